"""JSON schema (Draft 2020-12) of the fit's configuration, made from the parts that the package has.

A new component, likelihood or prior family needs no line here.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

from mmm_jax.cli.schema_parts import (
    BOOLEAN,
    DATE,
    DIALECT,
    KEY,
    NUMBERS,
    POSITIVE,
    SHARE,
    TEXT,
    Schema,
    by_name,
    count,
    items,
    keys,
    options,
    tagged,
)
from mmm_jax.data.experiments import CostPerTarget, Day, LiftTest
from mmm_jax.data.treatments import RULES
from mmm_jax.fitting.engines import Engine
from mmm_jax.kernels.numerics import Precision
from mmm_jax.model.components import ADSTOCKS, SATURATIONS
from mmm_jax.model.event_options import Day as EventDay
from mmm_jax.model.event_options import DayWindow
from mmm_jax.model.events import EVENTS
from mmm_jax.model.gaussian_process import MULTIPLIERS
from mmm_jax.model.likelihoods import LIKELIHOODS
from mmm_jax.model.priors import FAMILIES, PRIOR_RULES
from mmm_jax.model.returns import RETURNS
from mmm_jax.model.spec import POOLING, SCALES, SCHEMA_VERSION, TRENDS
from mmm_jax.validation.folds import Window

_EVENT_OPTIONS: dict[Any, Schema] = {EventDay: DATE, DayWindow: items(count(0), 2, 2)}

_REFERENCE: Schema = {"type": ["number", "string"], "if": {"type": "string"}, "then": {"enum": list(RULES)}}


def fit_schema() -> Schema:
    """Schema of the file that `mmm-jax fit`, `batch`, `predict` and `validate` read."""
    properties = {
        "data": _data(),
        "experiments": _experiments(),
        "model": _model(),
        "sampling": _sampling(),
        "validation": _validation(),
    }
    return {"$schema": DIALECT, "title": "mmm-jax fit", **keys(properties, required=["data"])}


def _data() -> Schema:
    channels = {
        "type": ["object", "array"],
        "minProperties": 1,
        "minItems": 1,
        "items": TEXT,
        "additionalProperties": TEXT,
    }
    properties = {
        "date": TEXT,
        "target": TEXT,
        "channels": channels,
        "controls": {"type": "array", "items": TEXT},
        "media": by_name(TEXT),
        "organic": {"type": "array", "items": TEXT},
        "frequency": by_name(TEXT),
        "treatments": by_name(_REFERENCE),
        "geo": TEXT,
        "population": TEXT,
        "last_training_date": DATE,
    }
    return keys(properties, required=["date", "target", "channels"])


def _experiments() -> Schema:
    """A file of lift tests, and known costs; a text alone is the file."""
    properties = {
        "file": TEXT,
        "columns": keys({item.name: TEXT for item in fields(LiftTest)}),
        "held_out": TEXT,
        "by": TEXT,
        "costs": items(options(CostPerTarget, {Day | None: DATE}), 1),
    }
    return {**keys(properties), "type": ["string", "object"], "minLength": 1, "minProperties": 1}


def _model() -> Schema:
    properties = {
        "schema_version": {"const": SCHEMA_VERSION},
        "adstock": _part(ADSTOCKS),
        "saturation": _part(SATURATIONS),
        "adstock_first": BOOLEAN,
        "groups": items(_group()),
        "yearly_seasonality": count(0),
        "monthly_seasonality": count(0),
        "weekly_seasonality": count(0),
        "trend": {**_part(TRENDS), "type": ["object", "null"]},
        "media_multiplier": {**_part(MULTIPLIERS), "type": ["object", "null"]},
        "events": items(_part(EVENTS, _EVENT_OPTIONS)),
        "likelihood": _part(LIKELIHOODS),
        "media_prior": {"enum": ["effect", *RETURNS]},
        "priors": {"type": "object", "additionalProperties": _prior()},
        "standardize_controls": BOOLEAN,
        "pooling": by_name({"enum": list(POOLING)}),
        "scale": {"enum": list(SCALES)},
    }
    return keys(properties)


def _group() -> Schema:
    properties = {
        "channels": items(TEXT, 1),
        "adstock": _part(ADSTOCKS),
        "saturation": _part(SATURATIONS),
        "adstock_first": BOOLEAN,
    }
    return keys(properties, required=["channels"])


def _sampling() -> Schema:
    properties = {
        "num_chains": count(1),
        "num_warmup": count(1),
        "num_samples": count(4),
        "target_accept": SHARE,
        "max_tree_depth": count(1),
        "key": KEY,
        "engine": {"enum": list(get_args(Engine))},
        "precision": {"enum": list(get_args(Precision))},
    }
    return keys(properties)


def _validation() -> Schema:
    counts = {name: count(1) for name in ("initial", "horizon", "step")}
    return keys({**counts, "window": {"enum": list(get_args(Window))}})


def _part(kinds: Iterable[type], known: Mapping[Any, Schema] | None = None) -> Schema:
    """A component: its kind, and the options which that kind has; `known` are schemas of their own types."""
    return tagged("kind", {kind.__name__: options(kind, known) for kind in kinds})


def _prior() -> Schema:
    families = {name: _arguments(family) for name, family in FAMILIES.items()}
    rules = {name: options(rule, {float: POSITIVE}) for name, rule in PRIOR_RULES.items()}
    return tagged("dist", {**families, **rules})


def _arguments(family: Any) -> Schema:
    known = inspect.signature(family.__init__).parameters
    needed = [name for name in family.arg_constraints if known[name].default is inspect.Parameter.empty]
    return keys(dict.fromkeys(family.arg_constraints, NUMBERS), required=needed)
