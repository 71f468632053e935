"""The estimator `ResponseModel`: a Bayesian logistic regression with the conventions of scikit-learn."""

from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import numpyro.distributions as dist
import xarray as xr
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from mmm_jax.errors import MMMError, RemarketingError, SpecError
from mmm_jax.fitting.engines import BatchEngine, chosen_engine
from mmm_jax.fitting.keys import Key, as_key
from mmm_jax.fitting.progress import progress_bar
from mmm_jax.fitting.settings import check_precision, checked_settings
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics
from mmm_jax.inference.svi import SVI
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.horseshoe import RegularizedHorseshoe
from mmm_jax.remarketing import odds, predicted, saved
from mmm_jax.remarketing.believed import Beliefs, Design
from mmm_jax.remarketing.checks import checked_labels
from mmm_jax.remarketing.rows import column_names, rows_of, scales_of
from mmm_jax.remarketing.sampling import Drawn, How, Job, sample

_ENGINES = ("lanes", "laplace", "svi")


class ResponseModel(ClassifierMixin, BaseEstimator):
    """Who will respond: `logit P(response) = intercept + X beta`, with the posterior of all of it.

    Columns are standardised inside, so that one prior is fair to all of them: divided by their standard deviation, or, where
    they have two values only, by half of the range, so that rare words do not get a wider prior than frequent ones. All that
    comes out is in the units that went in. There are no class weights: the threshold between addressing a customer and not
    follows from profit, not from 0.5.

    A response is not uplift: a customer with a high probability may have bought without the campaign.

    Args:
        prior: of the coefficients of standardised columns, in log odds: a NumPyro `Normal` with scalar arguments,
            `Normal(0, 1)` by default: odds that change by a
            factor of up to 7 per standard deviation, within two deviations of the prior; or
            a `RegularizedHorseshoe` for many columns of which few matter.
        intercept_prior: of the log odds of a customer who is average in every column; `Normal(0, 2.5)` by default, response
            rates from 0.7 % to 99.3 % within two deviations, wide enough for the data of any campaign to speak.
        segment: name or number of the column that says which segment, such as a country, a customer is of. Segments have
            intercepts of their own, partially pooled: `intercept + intercept_eta intercept_eps`.
        segment_slopes: whether segments have coefficients of their own, too, partially pooled.
        segment_spread: scale of the half-normal prior of how much segments differ, in log odds.
        engine: `lanes`, the no-U-turn sampler; for a quick look `laplace` or `svi`, see `mmm_jax.fit`.
        num_chains: independent chains.
        num_warmup: iterations per chain that adapt the sampler and are thrown away; 300 by default.
        num_samples: draws kept per chain.
        target_accept: mean acceptance that the step size aims at.
        max_tree_depth: a trajectory has at most `2**max_tree_depth - 1` leapfrogs.
        precision: of the draws; predictions from them are always made in float64.
        key: random key or seed: the same key gives the same draws.
        progress: draw a progress bar if standard error is a terminal.

    Attributes:
        classes_: the two labels, sorted; the second is a response.
        n_features_in_, feature_names_in_: as in scikit-learn.
        center_, scale_, deviation_: of every column with a coefficient, shape (column,): its mean, what it is divided by,
            and its standard deviation.
        segments_: labels of the segments, sorted; none without `segment`.
        draws_: by parameter name, shape (chain, draw, ...), on standardised columns.
        sample_stats_: by ArviZ's names, shape (chain, draw).
        diagnostics_: whether the draws can be trusted.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 2))
        >>> y = rng.random(200) < 1 / (1 + np.exp(-2 * X[:, 0]))
        >>> model = ResponseModel().fit(X, y)
        >>> model.predict_proba([[1.0, 0.0], [-1.0, 0.0]])[:, 1].round(1).tolist()
        [0.9, 0.1]

    Reference:
        Gelman et al. (2008), A weakly informative default prior distribution for logistic and other regression models.
    """

    def __init__(
        self,
        *,
        prior: dist.Normal | RegularizedHorseshoe | None = None,
        intercept_prior: dist.Normal | None = None,
        segment: str | int | None = None,
        segment_slopes: bool = False,
        segment_spread: float = 1.0,
        engine: BatchEngine | SVI = "lanes",
        num_chains: int = 4,
        num_warmup: int | None = None,
        num_samples: int = 1000,
        target_accept: float = 0.9,
        max_tree_depth: int = 10,
        precision: Precision = "float32",
        key: Key = 0,
        progress: bool = False,
    ) -> None:
        self.prior = prior
        self.intercept_prior = intercept_prior
        self.segment = segment
        self.segment_slopes = segment_slopes
        self.segment_spread = segment_spread
        self.engine = engine
        self.num_chains = num_chains
        self.num_warmup = num_warmup
        self.num_samples = num_samples
        self.target_accept = target_accept
        self.max_tree_depth = max_tree_depth
        self.precision = precision
        self.key = key
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        """Tags of scikit-learn: two classes only."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Draw from the posterior, given customers and what they did.

        Args:
            X: numbers, shape (row, column), as an array or a DataFrame; of the segment's column, labels.
            y: labels, shape (row,), of two kinds.

        Raises:
            RemarketingError: labels or columns are not usable; names the column and the count.
            SpecError: an option is unknown or out of range.
            SamplingError: no point with a finite density was found.

        Warns:
            ConvergenceWarning: the draws should not be trusted yet; says why and what to do.
            ApproximationWarning: the draws are a quick look; says whether to believe it.
        """
        job = self._job(X, y)
        with progress_bar(self.progress, f"Sampling {self.num_chains} chains") as report:
            (drawn,) = sample([job], self._how(), report)
        if isinstance(drawn, MMMError):
            raise drawn
        self._take(drawn)
        self.diagnostics_.warn()
        return self

    def probabilities(self, X: Any, *, num_draws: int | None = None) -> np.ndarray:  # noqa: N803
        """Posterior draws of every customer's probability of a response, shape (draw, row), chain after chain.

        Customers of a segment that was not fitted get, in every draw, a segment's effect from the prior that it has learned.

        Args:
            X: rows of the columns that were fitted.
            num_draws: at most so many draws, evenly spread over all; all of them by default.

        Raises:
            RemarketingError: a column is missing, unknown, or has no number in some row.
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        rows = rows_of(self, X, reset=False)
        return expit(predicted.log_odds(self, rows, predicted.thinned(self, num_draws)))

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Posterior mean probability of both classes, shape (row, 2); see `probabilities`."""
        check_is_fitted(self)
        rows = rows_of(self, X, reset=False)
        responds = predicted.mean_probabilities(self, rows)
        return np.stack([1.0 - responds, responds], axis=1)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likelier class of every row, shape (row,). To choose an audience, go by expected profit instead."""
        likelier = (self.predict_proba(X)[:, 1] > 0.5).astype(int)
        return self.classes_[likelier]

    @property
    def diagnostics(self) -> Diagnostics | ApproximationDiagnostics:
        """Whether the draws can be trusted."""
        check_is_fitted(self)
        return self.diagnostics_

    @property
    def posterior(self) -> xr.DataTree:
        """Draws, sample statistics, labels and scales as an ArviZ-like tree. It holds no features of any customer."""
        check_is_fitted(self)
        return saved.to_tree(self)

    def summary(self, *, prob: float = 0.9) -> Any:
        """Table of the parameters: mean, sd, interval, R-hat, effective sample sizes, Monte Carlo error (pandas)."""
        check_is_fitted(self)
        return odds.parameter_table(self, prob)

    def odds_ratios(self, *, prob: float = 0.9, units: Any = None) -> Any:
        """What a step in every column multiplies the odds of a response by, all else equal (pandas).

        Args:
            prob: probability of the intervals.
            units: by column name, how many of a user's units are one of the column's, such as `Preparation.units_`; 1 for
                those that are not named.

        Returns:
            One row per column: `per_unit`, `per_unit_lower`, `per_unit_upper` for one unit more; `per_sd`, `per_sd_lower`,
            `per_sd_upper` for a standard deviation more; medians, with central intervals; `sd` in the user's units; and
            `raises`, the probability that more of it raises the odds. With segments, of the average segment.
        """
        check_is_fitted(self)
        return odds.odds_table(self, prob, units)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted model to one Zarr folder (`.zarr`) or NetCDF file (`.nc`), without any customer's features.

        Raises:
            StoreError: another suffix, or the path exists and `overwrite` is not set.
            NotFittedError: `fit` has not been called.
        """
        check_is_fitted(self)
        saved.save(self, path, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; it predicts bit for bit the same.

        Raises:
            StoreError: nothing is there, or it is no response model.
        """
        return saved.load(cls, path)

    def _job(self, X: Any, y: Any) -> Job:  # noqa: N803
        """Learn columns, classes and scales, and say what is to be sampled."""
        beliefs = self._beliefs()
        rows = rows_of(self, X, reset=True)
        classes, responded = checked_labels(y)
        if len(rows.numbers) != len(responded):
            raise RemarketingError(f"There are {len(rows.numbers)} rows of features, but {len(responded)} labels.")
        self.classes_ = classes
        self.center_, self.scale_, self.deviation_ = scales_of(rows.numbers)
        self.segments_, number = _numbered(rows.segments)
        self.observed_ = responded.astype(np.int8)
        self.columns_ = column_names(self)
        columns = (rows.numbers - self.center_) / self.scale_
        labels = {"column": self.columns_, "segment": self.segments_.tolist()}
        return Job(Design(columns, responded, number, len(self.segments_)), beliefs, self._own_key(), labels)

    def _own_key(self) -> jax.Array:
        # Seeds may come from NumPy, as those of a grid search do.
        return as_key(int(self.key) if isinstance(self.key, np.integer) else self.key)

    def _how(self) -> How:
        engine = chosen_engine(self.engine, _ENGINES)
        check_precision(self.precision)
        precision: Any = self.precision
        asked = (self.num_chains, engine.warmup(self.num_warmup), self.num_samples)
        return How(engine, checked_settings(*asked, self.target_accept, self.max_tree_depth), precision)

    def _beliefs(self) -> Beliefs:
        prior = dist.Normal(0.0, 1.0) if self.prior is None else self.prior
        intercept = dist.Normal(0.0, 2.5) if self.intercept_prior is None else self.intercept_prior
        known = {"prior": prior, "intercept_prior": intercept}
        for name, given in known.items():
            horseshoe = name == "prior" and isinstance(given, RegularizedHorseshoe)
            if not horseshoe and not (isinstance(given, dist.Normal) and given.batch_shape == ()):
                other = " or a RegularizedHorseshoe" if name == "prior" else ""
                raise SpecError(f"{name} must be a NumPyro Normal with scalar arguments{other}, got {given!r}.")
        if not self.segment_spread > 0:
            raise SpecError(f"segment_spread must be positive, got {self.segment_spread!r}.")
        return Beliefs(prior, intercept, float(self.segment_spread), bool(self.segment_slopes))

    def _take(self, drawn: Drawn) -> None:
        self.draws_, self.sample_stats_, self.diagnostics_ = drawn


def _numbered(segments: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Sorted labels, and the number of every row's."""
    if segments is None:
        return np.array([], object), None
    labels, number = np.unique(segments, return_inverse=True)
    return labels, number
