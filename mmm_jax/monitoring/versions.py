"""Which model it was: one hash over everything that a fit's answers depend on."""

import hashlib
from collections.abc import Mapping

import numpy as np

from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.posterior import Fit
from mmm_jax.planning.decisions import National
from mmm_jax.planning.markets import Fits


def fingerprint(fit: Fits) -> str:
    """SHA-256 of choices, data, scales, experiments and draws: a saved fit keeps it, a refit has another.

    Args:
        fit: one market, or several by geo; a fit of all geos has the fingerprint of its markets.
    """
    digest = hashlib.sha256()
    for name, one in sorted(markets_of(fit).items()):
        digest.update(repr((name, *_choices(one))).encode())
        for parameter, values in sorted(one.draws.items()):
            digest.update(repr((parameter, values.shape, values.dtype.str)).encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def markets_of(fit: Fits) -> Mapping[str, Fit]:
    """The fits of all markets by geo; of one market under `National`."""
    if isinstance(fit, Fit):
        return {National: fit}
    return fit.markets if isinstance(fit, GeoFit) else {str(name): one for name, one in fit.items()}


def _choices(fit: Fit) -> tuple[str, ...]:
    learned = "" if fit.experiments is None else fit.experiments.fingerprint()
    return fit.spec.content_hash(), fit.panel.fingerprint(), repr(fit.scales.to_dict()), learned, fit.precision
