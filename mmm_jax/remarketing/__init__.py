"""Who will respond: from tables of customers to a posterior of every customer's probability of a response.

Needs the extra `remarketing` (scikit-learn), which is imported with the first of these names that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmm_jax.remarketing.batch import fit_responses as fit_responses
    from mmm_jax.remarketing.datasets import load_marketing_campaign as load_marketing_campaign
    from mmm_jax.remarketing.model import ResponseModel as ResponseModel
    from mmm_jax.remarketing.prepare import Preparation as Preparation
    from mmm_jax.remarketing.synthetic import CustomerTruth as CustomerTruth
    from mmm_jax.remarketing.synthetic import SyntheticCustomers as SyntheticCustomers
    from mmm_jax.remarketing.synthetic import make_customers as make_customers
    from mmm_jax.remarketing.tables import merge_tables as merge_tables

_HOMES = {
    "CustomerTruth": "synthetic",
    "Preparation": "prepare",
    "ResponseModel": "model",
    "SyntheticCustomers": "synthetic",
    "fit_responses": "batch",
    "load_marketing_campaign": "datasets",
    "make_customers": "synthetic",
    "merge_tables": "tables",
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
