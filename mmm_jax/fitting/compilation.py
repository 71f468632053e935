"""Compiled programs on disk, so that the next process starts sampling at once."""

import os
from pathlib import Path

import jax

_LEAST_SECONDS = 0.01
"""Programs that compile faster than this are not kept."""


def use_compilation_cache(folder: str | Path | None = None) -> Path | None:
    """Keep compiled programs in a folder and take them from there, in this process from now on.

    A choice of the process, so never made on import: the command line makes it, services make it when they start.

    Args:
        folder: by default the one that `JAX_COMPILATION_CACHE_DIR` names, or else `jax` in this package's folder under the
            user's cache directory.

    Returns:
        The folder; `None` if it cannot be written, and nothing is kept.
    """
    import pooch

    place = Path(folder or os.environ.get("JAX_COMPILATION_CACHE_DIR") or Path(pooch.os_cache("mmm_jax")) / "jax")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(place, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return place
