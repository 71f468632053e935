"""Saving and loading: one Zarr folder or NetCDF file, without pickle, the same numbers elsewhere."""

import json
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr

from mmm_jax.data.calendar import Frequency
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.data.geo_scaling import AnyScales, scales_from_dict
from mmm_jax.data.panel import Panel
from mmm_jax.errors import MMMError, StoreError
from mmm_jax.fitting import remote
from mmm_jax.fitting.labels import draw_coords
from mmm_jax.fitting.units import kinds_attributes, kinds_from
from mmm_jax.inference.approximation_diagnostics import diagnostics_from_dict
from mmm_jax.model.build import coordinates
from mmm_jax.model.pooling import parameter_dims
from mmm_jax.model.spec import ModelSpec

if TYPE_CHECKING:
    from mmm_jax.fitting.abstract import AbstractFit

Kept = TypeVar("Kept")

FORMAT = "mmm_jax.fit"
FORMAT_VERSION = 1

_WHOLE = ".zmetadata"
"""File of a folder that is whole: copied last, see `remote.upload`."""


def to_tree(fit: "AbstractFit") -> xr.DataTree:
    """The fit as a tree: /posterior, /sample_stats, /observed_data, /constant_data, and the choices as attributes."""
    panel, labels = fit.panel, coordinates(fit.spec, fit.panel)
    dates = {"date": panel.dates.astype("datetime64[ns]")}
    geos = {"geo": labels["geo"]} if "geo" in labels else {}
    names = {"channel": labels["channel"], "control": labels["control"]}
    draws = draw_coords(next(iter(fit.draws.values())))
    dims = parameter_dims(fit.spec, panel)
    posterior = {name: (("chain", "draw", *dims[name]), values) for name, values in fit.draws.items()}
    used = {dim for name in fit.draws for dim in dims[name]}
    rows, at = panel_rows(panel), [*geos, "date"]
    count, media = len(panel.channels), {}
    for name in beside_spend(panel.units, panel.frequency_columns):
        media[name], rows = (["channel", *at], rows[:count]), rows[count:]
    data = {**media, "spend": (["channel", *at], rows[:count]), "controls": (["control", *at], rows[count:-2])}
    if (rows[-1] != 1.0).any():
        whole = np.isin(rows[-1], (0.0, 1.0)).all()
        data["observed"] = (at, rows[-1].astype(bool) if whole else rows[-1])
    tree = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(posterior, {**draws, **{dim: labels[dim] for dim in labels if dim in used}}),
            "/sample_stats": xr.Dataset({n: (("chain", "draw"), v) for n, v in fit.sample_stats.items()}, draws),
            "/observed_data": xr.Dataset({panel.target_name: (at, rows[-2])}, {**dates, **geos}),
            "/constant_data": xr.Dataset(data, {**dates, **geos, **names}),
        }
    )
    tree.attrs.update(attributes(fit))
    return tree


def save(fit: "AbstractFit", path: str | Path, *, overwrite: bool) -> None:
    """Write the fit; see `save_tree`."""
    save_tree(to_tree(fit), path, overwrite=overwrite)


def save_tree(tree: xr.DataTree, path: str | Path, *, overwrite: bool) -> None:
    """Write a tree; the place is only touched once everything is written beside it, on this machine at least.

    Raises:
        StoreError: another suffix, the path exists and `overwrite` is not set, or the address cannot be used.
    """
    if remote.is_remote(path):
        _save_remotely(tree, str(path), overwrite=overwrite)
    else:
        _save_locally(tree, Path(path), overwrite=overwrite)


def _save_remotely(tree: xr.DataTree, address: str, *, overwrite: bool) -> None:
    name = Path(address.rpartition("/")[2])
    _kind(name)
    if not overwrite and remote.exists(address):
        raise StoreError(f"{remote.shown(address)} exists already. Choose another address, or pass overwrite=True.")
    with tempfile.TemporaryDirectory(prefix="mmm_jax_") as folder:
        _save_locally(tree, Path(folder) / name, overwrite=False)
        remote.remove(address)
        remote.upload(Path(folder) / name, address)


def _save_locally(tree: xr.DataTree, path: Path, *, overwrite: bool) -> None:
    kind = _kind(path)
    if path.exists() and not overwrite:
        raise StoreError(f"{path} exists already. Choose another path, or pass overwrite=True.")
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} does not exist. Create it first.")
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        if kind == "zarr":
            # Format 2 stores text in a way that every Zarr version reads; format 3 has not settled on one.
            tree.to_zarr(fresh, zarr_format=2, consolidated=True)
        else:
            tree.to_netcdf(fresh, engine="h5netcdf")
        _remove(path)
        fresh.rename(path)
    finally:
        _remove(fresh)


def load(path: str | Path) -> dict[str, Any]:
    """The fields of a saved fit.

    Raises:
        StoreError: nothing is there, or it is no fit.
    """
    tree = load_tree(path, FORMAT, FORMAT_VERSION)
    try:
        fields = _fields(tree)
    except (KeyError, TypeError, json.JSONDecodeError, MMMError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    check_events(tree.attrs, fields["spec"], fields["panel"])
    return fields


def load_tree(path: str | Path, expected: str, newest: int) -> xr.DataTree:
    """The tree that `save_tree` wrote.

    Args:
        path: on a disk, or an address.
        expected: its attribute `format`.
        newest: largest `format_version` that is understood.

    Raises:
        StoreError: nothing is there, it cannot be read, is of another format, or was written by a newer version.
    """
    if not remote.is_remote(path):
        return _load_locally(Path(path), expected, newest)
    with remote.downloaded(str(path)) as local:
        if local.is_dir() and not (local / _WHOLE).exists():
            raise StoreError(f"{remote.shown(str(path))} is no fit, or one that was not copied to its end. Save it again.")
        return _load_locally(local, expected, newest)


def _load_locally(path: Path, expected: str, newest: int) -> xr.DataTree:
    kind = _kind(path)
    if not path.exists():
        raise StoreError(f"There is no fit at {path}.")
    try:
        with xr.open_datatree(path, engine="zarr" if kind == "zarr" else "h5netcdf") as tree:
            loaded = tree.load()
    except (OSError, KeyError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a fit: {error}") from error
    found = str(loaded.attrs.get("format"))
    if found != expected:
        hint = f" It holds a {found.removeprefix('mmm_jax.')}." if found.startswith("mmm_jax.") else ""
        raise StoreError(f"{path} is not a {expected.removeprefix('mmm_jax.')} that this package saved.{hint}")
    if int(loaded.attrs["format_version"]) > newest:
        raise StoreError(f"{path} was saved by a newer version of mmm_jax. Upgrade to read it.")
    return loaded


def loaded(kind: type[Kept], path: str | Path) -> Kept:
    """The fit of this kind that a path holds.

    Raises:
        StoreError: nothing is there, it is no fit, or a fit of the other kind.
    """
    fields = load(path)
    found = "GeoFit" if isinstance(fields["panel"], GeoPanel) else "Fit"
    if kind.__name__ != found:
        raise StoreError(f"{path} holds a {found}. Load it with mmm_jax.{found}.load.")
    return kind(**fields)


def attributes(fit: "AbstractFit") -> dict[str, Any]:
    """Everything of a fit but its numbers, as text."""
    panel = fit.panel
    found = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mmm_jax_version": version("mmm-jax"),
        "jax_version": version("jax"),
        "spec": json.dumps(fit.spec.to_dict()),
        "spec_hash": fit.spec.content_hash(),
        "panel_fingerprint": panel.fingerprint(),
        "scales": json.dumps(fit.scales.to_dict()),
        "diagnostics": json.dumps(fit.diagnostics.to_dict()),
        "precision": fit.precision,
        "frequency": panel.frequency.value,
        "target_name": panel.target_name,
        # Empty dimensions have no coordinate that a file would keep.
        "channels": json.dumps(panel.channels),
        "controls": json.dumps(panel.control_names),
        **kinds_attributes(panel),
        **({"events": json.dumps(coordinates(fit.spec, panel)["event"])} if fit.spec.events else {}),
        **({"experiments": json.dumps(fit.experiments.to_dict())} if fit.experiments else {}),
    }
    if isinstance(panel, GeoPanel):
        heads = None if panel.population is None else panel.population.tolist()
        found |= {"geos": json.dumps(panel.geos), "population": json.dumps(heads)}
    return found


def panel_rows(panel: AnyPanel) -> np.ndarray:
    """Media where they are not spend, their frequency if any, spend, controls, target, and how far a row counts.

    Of shape (row, time) or (row, geo, time).
    """
    if isinstance(panel, GeoPanel):
        return np.stack([panel_rows(market) for market in panel.markets], axis=1)
    media = [getattr(panel, name) for name in beside_spend(panel.units, panel.frequency_columns)]
    known = [panel.spend, panel.controls, np.asarray(panel.target)[None], panel.weights[None]]
    return np.concatenate([*media, *known])


def beside_spend(units: Sequence[str], frequency_columns: Sequence[str]) -> list[str]:
    """Fields of a panel that have a row for every channel, besides the spend, in the order of `panel_rows`."""
    there = {"media": units, "average_frequency": frequency_columns}
    return [name for name, columns in there.items() if columns]


def panel_from(attributes: Mapping[str, Any], dates: np.ndarray, rows: np.ndarray) -> AnyPanel:
    """The panel of saved attributes and of rows as `panel_rows` gives them.

    Raises:
        StoreError: the numbers do not match their fingerprint.
    """
    if "geos" in attributes:
        heads = json.loads(attributes["population"])
        markets = tuple(_market_from(attributes, dates, own) for own in rows.swapaxes(0, 1))
        panel = GeoPanel(tuple(json.loads(attributes["geos"])), markets, None if heads is None else np.asarray(heads))
    else:
        panel = _market_from(attributes, dates, rows)
    if panel.fingerprint() != attributes["panel_fingerprint"]:
        raise StoreError("the data do not match their fingerprint")
    return panel


def _market_from(attributes: Mapping[str, Any], dates: np.ndarray, rows: np.ndarray) -> Panel:
    channels, controls = tuple(json.loads(attributes["channels"])), tuple(json.loads(attributes["controls"]))
    kinds, media = kinds_from(attributes), {}
    for name in beside_spend(kinds["units"], kinds["frequency_columns"]):
        media[name], rows = np.ascontiguousarray(rows[: len(channels)]), rows[len(channels) :]
    counted, discounted = rows[-1] > 0, (rows[-1] > 0) & (rows[-1] < 1)
    return Panel(
        dates=dates,
        spend=np.ascontiguousarray(rows[: len(channels)]),
        controls=np.ascontiguousarray(rows[len(channels) : -2]),
        target=np.ascontiguousarray(rows[-2]),
        channels=channels,
        control_names=controls,
        target_name=attributes["target_name"],
        frequency=Frequency(attributes["frequency"]),
        observed=None if counted.all() else counted,
        powers=np.where(discounted, rows[-1], 1.0) if discounted.any() else None,
        **media,
        **kinds,
    )


def spec_from(attributes: Mapping[str, Any]) -> ModelSpec:
    """The spec of saved attributes."""
    return ModelSpec.from_dict(json.loads(attributes["spec"]))


def check_events(attributes: Mapping[Any, Any], spec: ModelSpec, panel: AnyPanel) -> None:
    """Raise a `StoreError` if holidays have other names here than where the fit was made: its draws would be mistaken."""
    then = json.loads(attributes.get("events", "[]"))
    if then and then != (now := coordinates(spec, panel)["event"]):
        changed = sorted(set(then) ^ set(now)) or now
        raise StoreError(
            f"The fit's events are not those of its spec and panel here; the first that differs is {changed[0]!r}. Holidays "
            "have changed in the package holidays: install the version with which it was fitted, or fit again."
        )


def scales_from(attributes: Mapping[str, Any]) -> AnyScales:
    """The scales of saved attributes."""
    return scales_from_dict(json.loads(attributes["scales"]))


def experiments_from(attributes: Mapping[str, Any]) -> LiftTests | None:
    """The experiments of saved attributes, if there were any."""
    found = attributes.get("experiments")
    return None if found is None else LiftTests.from_dict(json.loads(found))


def _fields(tree: xr.DataTree) -> dict[str, Any]:
    attrs: dict[str, Any] = {str(name): value for name, value in tree.attrs.items()}
    data = tree["constant_data"]
    target = tree["observed_data"][attrs["target_name"]].to_numpy()
    counted = data["observed"].to_numpy() if "observed" in data else np.ones(target.shape)
    media = [data[name].to_numpy() for name in ("media", "average_frequency") if name in data]
    rows = np.concatenate([*media, data["spend"].to_numpy(), data["controls"].to_numpy(), target[None], counted[None]])
    spec = spec_from(attrs)
    posterior, stats = tree["posterior"], tree["sample_stats"]
    panel = panel_from(attrs, data["date"].to_numpy().astype("datetime64[D]"), rows)
    return {
        "spec": spec,
        "panel": panel,
        "scales": scales_from(attrs),
        "draws": {name: posterior[name].to_numpy() for name in parameter_dims(spec, panel)},
        "sample_stats": {name: stats[name].to_numpy() for name in map(str, stats.data_vars)},
        "diagnostics": diagnostics_from_dict(json.loads(attrs["diagnostics"])),
        "precision": attrs["precision"],
        "experiments": experiments_from(attrs),
    }


def _kind(path: Path) -> str:
    kinds = {".zarr": "zarr", ".nc": "netcdf"}
    if path.suffix not in kinds:
        raise StoreError(f"A fit is saved as .zarr or .nc, got {path.name!r}.")
    return kinds[path.suffix]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
