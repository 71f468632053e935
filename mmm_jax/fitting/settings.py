"""Sampler settings as users give them, checked once."""

from typing import get_args

from mmm_jax.errors import SpecError
from mmm_jax.inference.samples import SamplerSettings
from mmm_jax.kernels.numerics import Precision


def check_precision(precision: str) -> None:
    """Raise a `SpecError` for an unknown precision."""
    if precision not in get_args(Precision):
        raise SpecError(f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}.")


def checked_settings(chains: int, warmup: int, samples: int, target_accept: float, depth: int) -> SamplerSettings:
    """The settings, or a `SpecError` that names the one out of range."""
    least = {"num_chains": (chains, 1), "num_warmup": (warmup, 1), "num_samples": (samples, 4), "max_tree_depth": (depth, 1)}
    for name, (value, minimum) in least.items():
        if not isinstance(value, int) or value < minimum:
            raise SpecError(f"{name} must be a whole number of at least {minimum}, got {value!r}.")
    if not 0 < target_accept < 1:
        raise SpecError(f"target_accept must lie between 0 and 1, got {target_accept!r}.")
    return SamplerSettings(chains, warmup, samples, target_accept, depth)
