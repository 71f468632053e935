"""The user's whole choice of a model, as one immutable value."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import numpyro.distributions as dist

from mmm_jax.errors import SpecError
from mmm_jax.model import components as parts
from mmm_jax.model.events import EVENTS, AbstractEvent, checked_events
from mmm_jax.model.gaussian_process import MULTIPLIERS, AbstractMultiplier, GaussianProcessTrend
from mmm_jax.model.groups import (
    MediaGroup,
    check_effects,
    check_group_priors,
    checked_groups,
    choices_of,
    group_to_dict,
    groups_from_list,
    media_dims,
    media_priors,
)
from mmm_jax.model.horseshoe import COEFFICIENT, RegularizedHorseshoe
from mmm_jax.model.likelihoods import LIKELIHOODS, AbstractLikelihood, Normal
from mmm_jax.model.priors import DefaultPrior, Prior, Rule, check_prior, prior_from_dict, prior_to_dict
from mmm_jax.model.seasonality import check_waves
from mmm_jax.model.spec_checks import check_horseshoe, check_media_prior, check_spreads
from mmm_jax.model.trends import AbstractTrend, KnotTrend, LinearTrend, PiecewiseTrend

SCHEMA_VERSION = 1

POOLING = ("none", "partial", "complete")
"""How a parameter may differ over geos: each its own, around a common value, or not at all."""

SCALES = ("geo", "population", "panel")
"""What a panel of geos is scaled by: each geo's own largest values, those per head, or the panel's largest values."""

TRENDS: tuple[type[AbstractTrend], ...] = (LinearTrend, PiecewiseTrend, KnotTrend, GaussianProcessTrend)

_KINDS = (*parts.ADSTOCKS, *parts.SATURATIONS, *TRENDS, *MULTIPLIERS, *LIKELIHOODS, *EVENTS)
_REGISTRY = {kind.__name__: kind for kind in _KINDS}
_FIELD_TYPES = {
    "adstock": parts.AbstractAdstock,
    "saturation": parts.AbstractSaturation,
    "trend": AbstractTrend,
    "media_multiplier": AbstractMultiplier,
    "likelihood": AbstractLikelihood,
}
_OPTIONAL = ("trend", "media_multiplier")
_LATER = {
    "media_multiplier": None,
    "media_prior": "effect",
    "monthly_seasonality": 0,
    "weekly_seasonality": 0,
    "events": (),
    "pooling": {},
    "scale": "geo",
    "groups": (),
}
"""Fields that are written only where they are used, so that what was saved before there were any keeps its hash."""


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """What is believed about a market before its data are seen.

    Attributes:
        adstock: carry-over of spend.
        saturation: diminishing returns.
        adstock_first: carry-over before saturation (the default), or after it.
        yearly_seasonality: number of yearly Fourier waves; 0 for none.
        monthly_seasonality: number of waves over the calendar month, for daily and weekly rows.
        weekly_seasonality: number of waves over the week, at most 3, for daily rows.
        trend: `None`, `LinearTrend()`, `PiecewiseTrend(...)`, `KnotTrend(...)` or
            `GaussianProcessTrend(...)`.
        events: `Event(...)`, `Holidays(...)` and `SpecialCause(...)`: days that differ from others.
        likelihood: scatter of the target.
        priors: NumPyro distributions (or `SpendShare()`) by parameter name, for those that differ from the defaults; of
            many controls of which few matter, `RegularizedHorseshoe(...)` as that of `gamma_control`. Their arguments may be
            arrays, aligned with the parameter's last dimensions: by channel, say, or, of a parameter that every geo has on
            its own (`pooling` is `none`), by geo, or by geo and channel. Of one that is partially pooled, the priors of the
            geos' spread `<name>_eta` and of their places in it `<name>_eps` may be stated as well.
        media_multiplier: `None`, or `GaussianProcessMultiplier(...)`: all media work better in some times than in others.
        media_prior: what the prior of a channel's effect is stated on: the saturation's `effect` parameter, or its `roas`,
            `marginal_roas` or `contribution_share` over the training rows. For these, `priors` must have one of that name.
        standardize_controls: subtract each control's training mean and divide by its standard deviation.
        pooling: for a panel of geos, how parameters differ over them, by parameter name, for those that differ from the
            defaults: `partial` (around a common value, as far as the data say so), `none` (each geo its own) or `complete`
            (all the same). By default the intercept and the saturation's effect are partially pooled, all else completely.
        scale: for a panel of geos, what spend and target are divided by: every geo's own largest values (`geo`), the
            largest per head times its heads (`population`), or the largest values of any geo (`panel`).
        groups: `MediaGroup(...)`: channels whose adstock, saturation or order of the two are others than those above.

    Example:
        >>> spec = ModelSpec(adstock=parts.GeometricAdstock(l_max=6), priors={"intercept": dist.Normal(0.2, 0.05)})
        >>> ModelSpec.from_dict(spec.to_dict()) == spec
        True
    """

    adstock: parts.AbstractAdstock = field(default_factory=lambda: parts.GeometricAdstock(l_max=8))
    saturation: parts.AbstractSaturation = field(default_factory=parts.LogisticSaturation)
    adstock_first: bool = True
    yearly_seasonality: int = 0
    monthly_seasonality: int = 0
    weekly_seasonality: int = 0
    trend: AbstractTrend | None = None
    events: Sequence[AbstractEvent] = ()
    likelihood: AbstractLikelihood = field(default_factory=Normal)
    priors: Mapping[str, dist.Distribution | Rule] = field(default_factory=dict)
    media_multiplier: AbstractMultiplier | None = None
    media_prior: str = "effect"
    standardize_controls: bool = False
    pooling: Mapping[str, str] = field(default_factory=dict)
    scale: str = "geo"
    groups: Sequence[MediaGroup] = ()

    def __post_init__(self) -> None:
        for name, kind in _FIELD_TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kind) and not (name in _OPTIONAL and value is None):
                known = ", ".join(key for key, cls in _REGISTRY.items() if issubclass(cls, kind))
                raise SpecError(f"ModelSpec.{name} must be one of {known}; got {value!r}.")
        for name in ("yearly_seasonality", "monthly_seasonality", "weekly_seasonality"):
            check_waves(name, getattr(self, name))
        object.__setattr__(self, "events", checked_events(self.events))
        object.__setattr__(self, "groups", checked_groups(self.groups))
        check_effects(self)
        object.__setattr__(self, "priors", MappingProxyType(dict(self.priors)))
        check_media_prior(self)
        self._check_pooling()
        known = [name for name in (*self.parameter_dims, *self.pooling_priors()) if name not in self._not_stated]
        unknown = sorted(set(self.priors) - set(known))
        if unknown:
            raise SpecError(
                f"ModelSpec.priors names {unknown[0]!r}, which this model does not have; "
                f"its parameters are {', '.join(known)}."
            )
        for name, prior in self.priors.items():
            check_prior(name, prior)
        check_group_priors(self)
        check_horseshoe(self)
        check_spreads(self)
        object.__setattr__(self, "pooling", MappingProxyType(dict(self.pooling)))

    def _check_pooling(self) -> None:
        for name, how in self.pooling.items():
            known = [known for known in self.parameter_dims if known not in self._not_stated]
            if name not in known:
                raise SpecError(
                    f"ModelSpec.pooling names {name!r}, which this model does not have; "
                    f"its parameters are {', '.join(known)}."
                )
            if how not in POOLING:
                raise SpecError(f"ModelSpec.pooling of {name!r} must be one of {', '.join(POOLING)}; got {how!r}.")
        if self.scale not in SCALES:
            raise SpecError(f"ModelSpec.scale must be one of {', '.join(SCALES)}; got {self.scale!r}.")

    @property
    def parameter_dims(self) -> dict[str, tuple[str, ...]]:
        """Dimension names of every parameter, in the order in which people read them."""
        dims: dict[str, tuple[str, ...]] = {"intercept": ()}
        dims |= media_dims(self)
        if self.media_prior != "effect":
            dims[self.media_prior] = ("channel",)
        if self.media_multiplier is not None:
            dims |= self.media_multiplier.path.parameter_dims
        dims[COEFFICIENT] = ("control",)
        dims |= {} if self.horseshoe is None else self.horseshoe.dims
        if self.yearly_seasonality:
            dims["gamma_fourier"] = ("fourier_mode",)
        if self.monthly_seasonality:
            dims["gamma_monthly"] = ("monthly_mode",)
        if self.weekly_seasonality:
            dims["gamma_weekly"] = ("weekly_mode",)
        if self.trend is not None:
            dims |= self.trend.parameter_dims
        if self.events:
            dims["gamma_event"] = ("event",)
        return dims | {name: () for name in self.likelihood.default_priors()}

    @property
    def derived(self) -> tuple[str, ...]:
        """Of the parameters, those that follow from others and have no prior of their own."""
        found = () if self.media_prior == "effect" else self.effects
        return found if self.horseshoe is None else (*found, COEFFICIENT)

    @property
    def horseshoe(self) -> RegularizedHorseshoe | None:
        """The prior of the controls' coefficients, where it is one that shrinks most of them."""
        prior = self.priors.get(COEFFICIENT)
        return prior if isinstance(prior, RegularizedHorseshoe) else None

    @property
    def _not_stated(self) -> tuple[str, ...]:
        """Parameters whose prior is not the user's to state: what follows from others, and what a rule adds."""
        found = () if self.media_prior == "effect" else self.effects
        return found if self.horseshoe is None else (*found, *self.horseshoe.dims)

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the parameters that say how large a channel's effect is: one, unless saturations of groups differ."""
        return tuple(dict.fromkeys(choice.effect for choice in choices_of(self)))

    @property
    def l_max(self) -> int:
        """Length of the adstock window in periods: the longest one, where groups have their own."""
        return max(choice.adstock.l_max for choice in choices_of(self))

    def all_priors(self) -> dict[str, DefaultPrior]:
        """The prior of every parameter: the defaults of the parts, overridden by `priors`."""
        defaults: dict[str, DefaultPrior] = {
            "intercept": dist.Normal(0.0, 2.0),
            "gamma_control": dist.Normal(0.0, 2.0),
            **{f"gamma_{season}": dist.Laplace(0.0, 1.0) for season in ("fourier", "monthly", "weekly")},
            "gamma_event": dist.Normal(0.0, 1.0),
        }
        defaults |= media_priors(self)
        for part in (self.trend, self.media_multiplier):
            defaults |= {} if part is None else part.default_priors()
        defaults |= self.likelihood.default_priors()
        found = {**defaults, **self.priors}
        found |= {} if self.horseshoe is None else self.horseshoe.priors(found.get("y_sigma"))
        return {name: found[name] for name in self.parameter_dims if name not in self.derived}

    @property
    def pooling_by_parameter(self) -> dict[str, str]:
        """How every parameter differs over geos: the defaults, overridden by `pooling`."""
        partial = {"intercept", *(self.effects if self.media_prior == "effect" else (self.media_prior,))}
        defaults = {name: "partial" if name in partial else "complete" for name in self.parameter_dims}
        # An effect that follows from a return differs from geo to geo as these, and as spend, do.
        by_geo = {name: "none" for name in self.derived if name != COEFFICIENT}
        return {**defaults, **self.pooling, **by_geo}

    def pooling_priors(self) -> dict[str, DefaultPrior]:
        """Priors of what partial pooling adds to the parameters: the geos' spread `eta`, and their place in it `eps`."""
        found: dict[str, Prior] = {}
        for name, how in self.pooling_by_parameter.items():
            if how == "partial":
                found |= {f"{name}_eta": dist.HalfNormal(0.5), f"{name}_eps": dist.Normal(0.0, 1.0)}
        return {name: self.priors.get(name, prior) for name, prior in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML; `from_dict` restores an equal spec."""
        values: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.name in _LATER and value == _LATER[item.name]:
                continue
            if item.name == "events":
                values[item.name] = [event.to_dict() for event in value]
            elif item.name == "groups":
                values[item.name] = [group_to_dict(group, _part_to_dict) for group in value]
            elif item.name == "pooling":
                values[item.name] = dict(sorted(value.items()))
            elif item.name == "priors":
                values[item.name] = {name: prior_to_dict(prior) for name, prior in sorted(value.items())}
            else:
                values[item.name] = _part_to_dict(value) if item.name in _FIELD_TYPES else value
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Spec from plain values.

        Raises:
            SpecError: an unknown key, kind or option, or another schema version.
        """
        given = dict(values)
        version = given.pop("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise SpecError(f"The spec has schema_version {version!r}; this package reads {SCHEMA_VERSION}.")
        unknown = sorted(set(given) - {item.name for item in dataclasses.fields(cls)})
        if unknown:
            known = ", ".join(item.name for item in dataclasses.fields(cls))
            raise SpecError(f"A spec has no field {unknown[0]!r}; it has {known}.")
        for name in _FIELD_TYPES.keys() & given.keys():
            given[name] = _part_from_dict(name, given[name])
        if "events" in given:
            given["events"] = _events_from_list(given["events"])
        if "groups" in given:
            given["groups"] = groups_from_list(given["groups"], _part_from_dict)
        if "priors" in given:
            given["priors"] = {name: prior_from_dict(name, prior) for name, prior in given["priors"].items()}
        return cls(**given)

    def content_hash(self) -> str:
        """SHA-256 of the spec's content: equal specs have equal hashes, on any machine."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSpec) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.content_hash())


def _part_to_dict(part: Any) -> dict[str, Any] | None:
    if part is None:
        return None
    options = {item.name: getattr(part, item.name) for item in dataclasses.fields(part) if item.init}
    return {"kind": type(part).__name__, **options}


def _events_from_list(values: Any) -> list[Any]:
    if not isinstance(values, Sequence) or not all(isinstance(value, Mapping) for value in values):
        raise SpecError(f"ModelSpec.events must be a list of entries with a `kind` and its options; got {values!r}.")
    return [_part_from_dict(f"events[{place}]", value) for place, value in enumerate(values)]


def _part_from_dict(name: str, values: Mapping[str, Any] | None) -> Any:
    if values is None:
        return None
    options = dict(values)
    kind = options.pop("kind", None)
    if kind not in _REGISTRY:
        raise SpecError(f"ModelSpec.{name} names the kind {kind!r}; known: {', '.join(_REGISTRY)}.")
    try:
        return _REGISTRY[kind](**options)
    except TypeError as error:
        raise SpecError(f"ModelSpec.{name}, {kind}: {error}.") from error
