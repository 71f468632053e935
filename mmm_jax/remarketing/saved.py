"""Response models as trees and on disk: draws, labels, scales and choices; no pickle, and no customer's features."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import xarray as xr

from mmm_jax.errors import MMMError, StoreError
from mmm_jax.fitting import store
from mmm_jax.fitting.labels import draw_coords
from mmm_jax.inference.approximation_diagnostics import diagnostics_from_dict
from mmm_jax.inference.svi import SVI
from mmm_jax.model.priors import prior_from_dict, prior_to_dict
from mmm_jax.remarketing.density import INTERCEPT
from mmm_jax.remarketing.sampling import DIMS

FORMAT = "mmm_jax.response_model"
FORMAT_VERSION = 1

_SCALES = ("center", "scale", "deviation")

Model = TypeVar("Model")


def to_tree(model: Any) -> xr.DataTree:
    """/posterior, /sample_stats, /observed_data, /constant_data, and the choices as attributes."""
    draws = draw_coords(model.draws_[INTERCEPT])
    names = {"column": model.columns_, "segment": [str(label) for label in model.segments_]}
    used = {dim for name in model.draws_ for dim in DIMS.get(name, ())}
    posterior = {name: (("chain", "draw", *DIMS.get(name, ())), values) for name, values in model.draws_.items()}
    constant = {name: ("column", getattr(model, f"{name}_")) for name in _SCALES}
    tree = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(posterior, {**draws, **{dim: names[dim] for dim in names if dim in used}}),
            "/sample_stats": xr.Dataset({n: (("chain", "draw"), v) for n, v in model.sample_stats_.items()}, draws),
            "/observed_data": xr.Dataset({"response": ("row", model.observed_)}),
            "/constant_data": xr.Dataset(constant, {"column": names["column"]}),
        }
    )
    tree.attrs.update(_attributes(model))
    return tree


def save(model: Any, path: str | Path, *, overwrite: bool) -> None:
    """Write the tree; see `store.save_tree`."""
    store.save_tree(to_tree(model), path, overwrite=overwrite)


def load(kind: type[Model], path: str | Path) -> Model:
    """The model that a path holds.

    Raises:
        StoreError: nothing is there, or it is no response model.
    """
    tree = store.load_tree(path, FORMAT, FORMAT_VERSION)
    try:
        return _model(kind, tree)
    except (KeyError, TypeError, json.JSONDecodeError, MMMError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error


def _attributes(model: Any) -> dict[str, Any]:
    names = getattr(model, "feature_names_in_", None)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "mmm_jax_version": version("mmm-jax"),
        "jax_version": version("jax"),
        "options": json.dumps(_options(model)),
        "classes": json.dumps([model.classes_.dtype.str, model.classes_.tolist()]),
        "features": json.dumps([model.n_features_in_, None if names is None else list(names)]),
        "segments": json.dumps(model.segments_.tolist()),
        "columns": json.dumps(model.columns_),
        "parameters": json.dumps(list(model.draws_)),
        "diagnostics": json.dumps(model.diagnostics_.to_dict()),
    }


def _options(model: Any) -> dict[str, Any]:
    """What was chosen, as plain values."""
    found = model.get_params(deep=False)
    for name in ("prior", "intercept_prior"):
        found[name] = None if found[name] is None else prior_to_dict(found[name])
    if isinstance(model.engine, SVI):
        found["engine"] = model.engine.to_dict()
    if isinstance(model.key, jax.Array):
        found["key"] = jax.random.key_data(model.key).tolist()
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `_options`."""
    found = dict(options)
    for name in ("prior", "intercept_prior"):
        found[name] = None if found[name] is None else prior_from_dict(name, found[name])
    if isinstance(found["engine"], dict):
        found["engine"] = SVI(**found["engine"])
    if isinstance(found["key"], list):
        found["key"] = jax.random.wrap_key_data(jax.numpy.asarray(found["key"], np.uint32))
    return found


def _model(kind: Any, tree: xr.DataTree) -> Any:
    attrs: dict[str, Any] = {str(name): value for name, value in tree.attrs.items()}
    model = kind(**_chosen(json.loads(attrs["options"])))
    classes, features = json.loads(attrs["classes"]), json.loads(attrs["features"])
    model.classes_ = np.asarray(classes[1], np.dtype(classes[0]))
    model.n_features_in_ = features[0]
    if features[1] is not None:
        model.feature_names_in_ = np.asarray(features[1], object)
    model.columns_ = json.loads(attrs["columns"])
    model.segments_ = np.asarray(json.loads(attrs["segments"]), object)
    for name in _SCALES:
        setattr(model, f"{name}_", tree["constant_data"][name].to_numpy())
    model.observed_ = tree["observed_data"]["response"].to_numpy()
    model.draws_ = {name: tree["posterior"][name].to_numpy() for name in json.loads(attrs["parameters"])}
    stats = tree["sample_stats"]
    model.sample_stats_ = {name: stats[name].to_numpy() for name in map(str, stats.data_vars)}
    model.diagnostics_ = diagnostics_from_dict(json.loads(attrs["diagnostics"]))
    return model
