"""The verb `fit_responses`: many response models in one batch, such as folds, campaigns or segments."""

import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.base import clone

from mmm_jax.errors import ApproximationWarning, BatchError, ConvergenceWarning, MMMError
from mmm_jax.fitting.progress import progress_bar
from mmm_jax.remarketing.model import ResponseModel
from mmm_jax.remarketing.sampling import sample


def fit_responses(
    tables: Mapping[str, tuple[Any, Any]], model: ResponseModel | None = None, *, progress: bool = True
) -> dict[str, ResponseModel]:
    """One fitted model per table, with the numbers that each would have alone.

    Tables are padded, so that those of nearly the same size share one compiled program. On an accelerator they run in it
    side by side; on a CPU every core takes one after the other.

    Args:
        tables: rows and labels by name, as `ResponseModel.fit` takes them. Every model has its own columns and scales.
        model: the options, the key among them; `ResponseModel()` by default. It stays as it is.
        progress: draw a progress bar if standard error is a terminal.

    Returns:
        By name, in the tables' order.

    Raises:
        BatchError: a table is not usable, or cannot be sampled; names it. Nothing is returned, since nothing was written.
        SpecError: an option is unknown or out of range.

    Warns:
        ConvergenceWarning: names the fits whose draws should not be trusted yet.
        ApproximationWarning: the draws are quick looks; says how many of them can be believed.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.normal(size=(100, 2)), rng.random(100) < 0.3
        >>> folds = {"a": (X[:60], y[:60]), "b": (X[40:], y[40:])}
        >>> fitted = fit_responses(folds, ResponseModel(num_samples=300), progress=False)
        >>> fitted["b"].predict_proba(X[:40]).shape
        (40, 2)
    """
    template = ResponseModel() if model is None else model
    fitted: dict[str, Any] = {name: clone(template) for name in tables}
    jobs = []
    for name, (rows, labels) in tables.items():
        try:
            jobs.append(fitted[name]._job(rows, labels))
        except ValueError as error:
            raise BatchError(f"The table {name!r} cannot be fitted. {error}") from error
    with progress_bar(progress, f"Sampling {len(jobs)} fits") as report:
        found = sample(jobs, template._how(), report)
    for name, drawn in zip(fitted, found, strict=True):
        if isinstance(drawn, MMMError):
            raise BatchError(f"The table {name!r} cannot be sampled. {drawn}") from drawn
        fitted[name]._take(drawn)
    _warn(fitted, approximated=template._how().engine.approximates)
    return fitted


def _warn(fitted: Mapping[str, ResponseModel], *, approximated: bool) -> None:
    bad = [name for name, model in fitted.items() if not model.diagnostics_.converged]
    some = ", ".join(repr(name) for name in bad[:5]) + (", ..." if len(bad) > 5 else "")
    if approximated:
        text = (
            f"The draws are quick looks, not samples of the posteriors; {len(fitted) - len(bad)} of {len(fitted)} fits "
            "can be believed" + (f", not {some}." if bad else ".")
        )
        warnings.warn(text, ApproximationWarning, stacklevel=3)
    elif bad:
        first = fitted[bad[0]].diagnostics_.problems[0]
        text = f"{len(bad)} of {len(fitted)} fits have not converged: {some}. Of {bad[0]!r}: {first}"
        warnings.warn(text, ConvergenceWarning, stacklevel=3)
