"""Who will respond: from tables of customers to a posterior of every customer's probability of a response.

Needs the extra `remarketing` (scikit-learn), which is imported with the first of these names that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmm_jax.remarketing.audience import Audience as Audience
    from mmm_jax.remarketing.audience import choose_audience as choose_audience
    from mmm_jax.remarketing.batch import fit_responses as fit_responses
    from mmm_jax.remarketing.datasets import load_marketing_campaign as load_marketing_campaign
    from mmm_jax.remarketing.holdout import HoldoutSize as HoldoutSize
    from mmm_jax.remarketing.holdout import holdout_size as holdout_size
    from mmm_jax.remarketing.lift import campaign_lift as campaign_lift
    from mmm_jax.remarketing.model import ResponseModel as ResponseModel
    from mmm_jax.remarketing.prepare import Preparation as Preparation
    from mmm_jax.remarketing.reference import stratified_split as stratified_split
    from mmm_jax.remarketing.reference import tuned_logistic_regression as tuned_logistic_regression
    from mmm_jax.remarketing.scores import Scores as Scores
    from mmm_jax.remarketing.scores import compare_responses as compare_responses
    from mmm_jax.remarketing.scores import majority_guess as majority_guess
    from mmm_jax.remarketing.scores import score_responses as score_responses
    from mmm_jax.remarketing.synthetic import CustomerTruth as CustomerTruth
    from mmm_jax.remarketing.synthetic import SyntheticCustomers as SyntheticCustomers
    from mmm_jax.remarketing.synthetic import make_customers as make_customers
    from mmm_jax.remarketing.tables import merge_tables as merge_tables
    from mmm_jax.remarketing.two_models import TwoModels as TwoModels
    from mmm_jax.remarketing.two_models import fit_two_models as fit_two_models
    from mmm_jax.remarketing.uplift import Uplift as Uplift
    from mmm_jax.remarketing.uplift import UpliftCurve as UpliftCurve
    from mmm_jax.remarketing.uplift import check_arms as check_arms
    from mmm_jax.remarketing.uplift import estimate_uplift as estimate_uplift
    from mmm_jax.remarketing.uplift import uplift_curve as uplift_curve

_HOMES = {
    "Audience": "audience",
    "CustomerTruth": "synthetic",
    "HoldoutSize": "holdout",
    "Preparation": "prepare",
    "ResponseModel": "model",
    "Scores": "scores",
    "SyntheticCustomers": "synthetic",
    "TwoModels": "two_models",
    "Uplift": "uplift",
    "UpliftCurve": "uplift",
    "campaign_lift": "lift",
    "check_arms": "uplift",
    "choose_audience": "audience",
    "compare_responses": "scores",
    "estimate_uplift": "uplift",
    "fit_responses": "batch",
    "fit_two_models": "two_models",
    "holdout_size": "holdout",
    "load_marketing_campaign": "datasets",
    "majority_guess": "scores",
    "make_customers": "synthetic",
    "merge_tables": "tables",
    "score_responses": "scores",
    "stratified_split": "reference",
    "tuned_logistic_regression": "reference",
    "uplift_curve": "uplift",
}
"""The module of every public name."""

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ImportError(f"{name} needs the package scikit-learn: pip install 'mmm-jax[remarketing]'.") from error


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
