"""What the registry notes of a fit beside its fingerprints: scales, window, diagnostics, scores; all of it plain values."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmm_jax.analysis.scores import score_table
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.errors import RegistryError
from mmm_jax.fitting.geo_fit import AnyFit, GeoFit
from mmm_jax.fitting.geo_totals import summed_over_geos
from mmm_jax.monitoring.versions import fingerprint


def fields_of(fit: AnyFit) -> dict[str, Any]:
    """The hashes by which a version is told from others."""
    return {
        "spec_hash": fit.spec.content_hash(),
        "panel_fingerprint": fit.panel.fingerprint(),
        "model": fingerprint(fit),
    }


def facts_of(fit: AnyFit, scores: Mapping[str, float] | None) -> dict[str, Any]:
    """What a fit says of itself.

    Args:
        fit: of one market or of geos.
        scores: by name; those of the training rows, of geos of their sum, if not given.
    """
    panel = fit.panel
    geos = {"geos": list(panel.geos)} if isinstance(panel, GeoPanel) else {}
    return plain(
        {
            "scales": fit.scales.to_dict(),
            "window": [panel.dates[0], panel.dates[-1]],
            "target": panel.target_name,
            "channels": panel.channels,
            **geos,
            "precision": fit.precision,
            "diagnostics": fit.diagnostics.to_dict(),
            "scores": training_scores(fit) if scores is None else _checked(scores),
        }
    )


def training_scores(fit: AnyFit) -> dict[str, float]:
    """Scores over the training rows, of geos of their sum; see `score_table`."""
    if not isinstance(fit, GeoFit):
        return fit.scores()
    return score_table(fit.panel.known_total().target, summed_over_geos(fit.predict(), fit.panel))


def plain(values: Any) -> Any:
    """Values that JSON knows: arrays become lists, dates text, what is not finite nothing.

    Example:
        >>> plain({"a": np.array([1.0, np.nan]), "b": np.datetime64("2024-01-31"), "c": (True, None)})
        {'a': [1.0, None], 'b': '2024-01-31', 'c': [True, None]}
    """
    if isinstance(values, Mapping):
        return {str(name): plain(value) for name, value in values.items()}
    if isinstance(values, np.datetime64):
        return str(values)
    if isinstance(values, (np.generic, np.ndarray)):
        return plain(values.tolist())
    if isinstance(values, (list, tuple)):
        return [plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def _checked(scores: Mapping[str, float]) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in scores.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise RegistryError(f"`scores` must be numbers by name, got {scores!r}.") from error
