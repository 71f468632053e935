"""A folder that a batch streams its fits into, that it resumes from, and that they are read from again.

`manifest.json` says what the folder is; `results.jsonl` has one line per fit, written when its draws are safely on disk;
`fits/` has one Zarr group per fit. Whatever a killed process left half written has no line, and is made again.
"""

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr

from mmm_jax.errors import StoreError
from mmm_jax.fitting import store
from mmm_jax.fitting.geo_fit import GeoFit, fit_of
from mmm_jax.fitting.jobs import Outcome, Request
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.units import kinds_from
from mmm_jax.inference.approximation_diagnostics import diagnostics_from_dict

FORMAT, FORMAT_VERSION = "mmm_jax.batch", 1
_MANIFEST, _RESULTS, _FITS, _LOCK = "manifest.json", "results.jsonl", "fits", ".lock"
_BYTES_PER_NUMBER = 8


@dataclass(frozen=True)
class Entry:
    """One line of the results.

    Attributes:
        name: of the fit.
        request: hash of what was asked for.
        status: `success`, `not_converged` or `failed`.
        error: the reason of a failure.
        diagnostics: of a fit that was made.
        again: a failure of the machine, not of the fit: the next run makes it again.
    """

    name: str
    request: str
    status: str
    error: str
    diagnostics: dict[str, Any] | None
    again: bool = False


class BatchStore:
    """A batch's folder, open for reading; inside of a `with` block for writing as well, by one process at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.entries: dict[str, Entry] = {}
        self._lock: Any = None
        if (self.path / _MANIFEST).is_file():
            self._read()

    def __enter__(self) -> Self:
        try:
            (self.path / _FITS).mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("w")
            self._take_over()
        except OSError as error:
            self._release()
            raise StoreError(f"The store {self.path} cannot be written: {error.strerror or error}.") from error
        except StoreError:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def check_exists(self) -> None:
        """Raise a `StoreError` if there is no store."""
        if not (self.path / _MANIFEST).is_file():
            raise StoreError(f"There is no store of a batch at {self.path}.")

    def finished(self, request: Request) -> Entry | None:
        """What is there of a request already.

        Raises:
            StoreError: something else is there under its name.
        """
        entry = self.entries.get(request.name)
        if entry is not None and entry.request != request.fingerprint():
            raise StoreError(
                f"The store {self.path} holds another fit under the name {request.name!r}: its data, spec, sampler "
                "settings, precision or key differ. Choose another store, or another name."
            )
        return entry

    def check_space(self, numbers: int) -> None:
        """Raise a `StoreError` if the disk has no room for so many numbers."""
        free, needed = shutil.disk_usage(self.path).free, numbers * _BYTES_PER_NUMBER
        if needed > free:
            raise StoreError(
                f"The store {self.path} needs about {needed / 1e9:.1f} GB, but the disk has {free / 1e9:.1f} GB left. "
                "Free some space, or keep fewer draws."
            )

    def add(self, request: Request, outcome: Outcome) -> None:
        """Write a fit, then its line.

        Raises:
            StoreError: the disk is full or the folder not writable; what was written before stays.
        """
        diagnostics = None if outcome.fit is None else outcome.fit.diagnostics.to_dict()
        entry = Entry(outcome.name, request.fingerprint(), outcome.status, outcome.error, diagnostics, outcome.again)
        try:
            if outcome.fit is not None:
                _write_fit(outcome.fit, self._place(outcome.name))
            with (self.path / _RESULTS).open("a") as lines:
                lines.write(json.dumps(vars(entry)) + "\n")
                lines.flush()
                os.fsync(lines.fileno())
        except OSError as error:
            raise StoreError(
                f"The fit {outcome.name!r} cannot be written to {self.path}: {error.strerror or error}. "
                "The fits before it are there; run the same batch again to go on."
            ) from error
        self.entries[outcome.name] = entry

    def load(self, name: str) -> Fit | GeoFit:
        """Read one fit.

        Raises:
            StoreError: it is not there, or damaged.
        """
        place = self._place(name)
        if not place.is_dir():
            raise StoreError(f"The store {self.path} has no fit {name!r}.")
        try:
            return _read_fit(place)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise StoreError(f"The fit {name!r} in {self.path} is damaged: {error}") from error

    def _place(self, name: str) -> Path:
        # A hash, since a name may be anything, also a path.
        return self.path / _FITS / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.zarr"

    def _take_over(self) -> None:
        _take(self._lock, self.path)
        if not (self.path / _MANIFEST).is_file():
            _write(self.path / _MANIFEST, json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION}))
        self._read()
        self._mend()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _read(self) -> None:
        manifest = json.loads((self.path / _MANIFEST).read_text())
        if manifest.get("format") != FORMAT or manifest.get("format_version", 0) > FORMAT_VERSION:
            raise StoreError(f"{self.path} is not a store of a batch that this version can read.")
        lines = (self.path / _RESULTS).read_text().splitlines() if (self.path / _RESULTS).is_file() else []
        self.entries = {entry.name: entry for entry in map(_entry, lines) if entry is not None}

    def _mend(self) -> None:
        """Drop what is made again: a line cut short, a fit without its line, a line without its fit, a machine's failure."""
        kept = {n: e for n, e in self.entries.items() if not e.again}
        self.entries = {n: e for n, e in kept.items() if e.status == "failed" or self._place(n).is_dir()}
        _write(self.path / _RESULTS, "".join(json.dumps(vars(entry)) + "\n" for entry in self.entries.values()))
        known = {self._place(name) for name, entry in self.entries.items() if entry.status != "failed"}
        for place in (self.path / _FITS).iterdir():
            if place not in known:
                shutil.rmtree(place)


def _entry(line: str) -> Entry | None:
    try:
        return Entry(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fresh.write_text(text)
    fresh.replace(path)


def _take(lock: Any, path: Path) -> None:
    """Hold the lock until the file is closed, or the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        take = lambda: msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)  # noqa: E731  # pyright: ignore
    else:
        take = lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: E731
    try:
        take()
    except OSError as error:
        raise StoreError(f"Another process is writing to the store {path}. Wait for it, or choose another store.") from error


def _write_fit(fit: Fit | GeoFit, place: Path) -> None:
    """One Zarr group with few arrays: a thousand fits are written in seconds."""
    fresh = place.with_name(f".{uuid.uuid4().hex}")
    group = zarr.open_group(fresh, mode="w", zarr_format=2)
    draws = {name: values.reshape(*values.shape[:2], -1) for name, values in fit.draws.items()}
    stats, panel = fit.sample_stats, fit.panel
    rows = store.panel_rows(panel)
    arrays = {
        "draws": np.concatenate(list(draws.values()), axis=2),
        "stats": np.stack([np.asarray(values, np.float64) for values in stats.values()], axis=2),
        "panel": rows,
        "dates": panel.dates.astype("datetime64[D]").astype(np.int64),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, chunks=values.shape)
    group.attrs.update(
        {
            **store.attributes(fit),
            "shapes": {name: list(values.shape[2:]) for name, values in fit.draws.items()},
            "stats": {name: str(values.dtype) for name, values in stats.items()},
        }
    )
    if place.exists():
        shutil.rmtree(place)
    fresh.rename(place)


def _read_fit(place: Path) -> Fit | GeoFit:
    group: Any = zarr.open_group(place, mode="r")
    attributes = dict(group.attrs)
    joined, start, draws = group["draws"][:], 0, {}
    for name, shape in attributes["shapes"].items():
        stop = start + int(np.prod(shape))
        draws[name] = joined[:, :, start:stop].reshape(*joined.shape[:2], *shape)
        start = stop
    stats = {name: group["stats"][:][:, :, k].astype(dtype) for k, (name, dtype) in enumerate(attributes["stats"].items())}
    dates = group["dates"][:].astype("datetime64[D]")
    channels, controls = (len(json.loads(attributes[name])) for name in ("channels", "controls"))
    kinds, rows = kinds_from(attributes), group["panel"][:]
    count = channels * (1 + len(store.beside_spend(kinds["units"], kinds["frequency_columns"]))) + controls + 1
    # Stores of before rows could be held out lack the last one.
    rows = rows if len(rows) > count else np.concatenate([rows, np.ones_like(rows[:1])])
    panel, spec = store.panel_from(attributes, dates, rows), store.spec_from(attributes)
    store.check_events(attributes, spec, panel)
    return fit_of(
        spec,
        panel,
        store.scales_from(attributes),
        draws,
        stats,
        diagnostics_from_dict(json.loads(attributes["diagnostics"])),
        attributes["precision"],
        store.experiments_from(attributes),
    )
