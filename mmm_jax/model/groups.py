"""Groups of channels with an adstock, a saturation or an order of their own: what is chosen for whom, and what follows.

A parameter that all channels have is an array over `channel`. One that only some channels have, such as the `theta` of a
delayed adstock beside a geometric one, is an array over a dimension of its own, `adstock_theta_channel`, with these channels
as labels: nothing is sampled or shown that means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpyro.distributions as dist

from mmm_jax.errors import SpecError
from mmm_jax.model.components import AbstractAdstock, AbstractSaturation
from mmm_jax.model.priors import DefaultPrior, KindPriors, arguments

if TYPE_CHECKING:
    from mmm_jax.model.spec import ModelSpec

_KINDS = {"adstock": AbstractAdstock, "saturation": AbstractSaturation, "adstock_first": bool}


@dataclass(frozen=True)
class MediaGroup:
    """Channels whose spend works in another way than the spec's own choice says.

    Attributes:
        channels: names; a channel is in one group at most, and one in no group takes the spec's choices.
        adstock: carry-over of their spend; the spec's where it is `None`, as with the choices below.
        saturation: their diminishing returns.
        adstock_first: carry-over before saturation, or after it.

    Raises:
        SpecError: no channels, a name twice, a choice of another kind, or none at all.

    Example:
        >>> from mmm_jax.model.components import WeibullCDFAdstock
        >>> MediaGroup(("TV", "Radio"), adstock=WeibullCDFAdstock(l_max=12)).channels
        ('TV', 'Radio')
    """

    channels: Sequence[str]
    adstock: AbstractAdstock | None = None
    saturation: AbstractSaturation | None = None
    adstock_first: bool | None = None

    def __post_init__(self) -> None:
        names = self.channels
        if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise SpecError(f"MediaGroup.channels must be a list of names, such as ('TV', 'Radio'); got {names!r}.")
        if not names:
            raise SpecError("MediaGroup.channels is empty: name the channels that the choices are for.")
        object.__setattr__(self, "channels", tuple(names))
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                what = "true or false" if kind is bool else f"an {name}" if name == "adstock" else f"a {name}"
                raise SpecError(f"MediaGroup.{name} must be {what}, or left out; got {value!r}.")
        if all(getattr(self, name) is None for name in _KINDS):
            raise SpecError(
                f"MediaGroup({self.channels!r}) changes nothing: give adstock, saturation or adstock_first, or leave it out."
            )


class Choice(NamedTuple):
    """How the spend of some channels works."""

    adstock: AbstractAdstock
    saturation: AbstractSaturation
    adstock_first: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order in which people read them."""
        return tuple(self.default_priors())

    @property
    def effect(self) -> str:
        """Name of the parameter that says how large the effect is."""
        return f"saturation_{self.saturation.effect}"

    def default_priors(self) -> dict[str, dist.Distribution]:
        """Prior of each parameter."""
        adstock, saturation = self.adstock.default_priors(), self.saturation.default_priors()
        found = {f"adstock_{name}": adstock[name] for name in self.adstock.parameters}
        return found | {f"saturation_{name}": saturation[name] for name in self.saturation.parameters}


def choices_of(spec: "ModelSpec") -> tuple[Choice, ...]:
    """The spec's own choice, then every group's."""
    return Choice(spec.adstock, spec.saturation, spec.adstock_first), *(_choice(group, spec) for group in spec.groups)


def channel_choices(spec: "ModelSpec", channels: Sequence[str]) -> list[Choice]:
    """The choice of every channel of a panel.

    Raises:
        SpecError: a group names a channel that the panel does not have.
    """
    own, *others = choices_of(spec)
    found = dict.fromkeys(channels, own)
    for place, (group, choice) in enumerate(zip(spec.groups, others, strict=True)):
        for name in group.channels:
            if name not in found:
                known = ", ".join(map(repr, channels))
                raise SpecError(
                    f"ModelSpec.groups[{place}].channels names {name!r}, which the panel does not have; "
                    f"its channels are {known}."
                )
            found[name] = choice
    return list(found.values())


def home_of(spec: "ModelSpec", chosen: Sequence[Choice]) -> Choice:
    """Whose padded channels are: those in no group, or the first channel's where a group has every channel."""
    own = choices_of(spec)[0]
    return own if own in chosen else chosen[0]


def media_dims(spec: "ModelSpec") -> dict[str, tuple[str, ...]]:
    """Dimensions of the parameters of adstock and saturation, in the order in which people read them."""
    every = choices_of(spec)
    names = dict.fromkeys(name for choice in every for name in choice.parameters)
    ordered = sorted(names, key=lambda name: name.startswith("saturation_"))
    shared = {name for name in names if all(name in choice.parameters for choice in every)}
    return {name: ("channel" if name in shared else f"{name}_channel",) for name in ordered}


def channel_labels(spec: "ModelSpec", channels: Sequence[str]) -> dict[str, list[str]]:
    """Labels of every dimension of `media_dims`: the channels that have the parameter, in the panel's order."""
    chosen = channel_choices(spec, channels)
    own = [name for name, (dim,) in media_dims(spec).items() if dim != "channel"]
    held = {name: [c for c, choice in zip(channels, chosen, strict=True) if name in choice.parameters] for name in own}
    return {"channel": list(channels), **{f"{name}_channel": labels for name, labels in held.items()}}


def padded_dims(spec: "ModelSpec", channels: Sequence[str]) -> list[str]:
    """Those of `channel_labels` that padded channels are in: the last of them, as they are the panel's last."""
    home = home_of(spec, channel_choices(spec, channels))
    return [dim for name, (dim,) in media_dims(spec).items() if name in home.parameters]


def media_priors(spec: "ModelSpec") -> dict[str, DefaultPrior]:
    """Default priors of the parameters of adstock and saturation: where kinds differ, every channel has its own kind's."""
    found: dict[str, DefaultPrior] = {}
    for name in media_dims(spec):
        own, *others = (choice.default_priors().get(name) for choice in choices_of(spec))
        by_channel = {c: prior for group, prior in zip(spec.groups, others, strict=True) if prior for c in group.channels}
        every = [prior for prior in (own, *others) if prior is not None]
        alike = all(_same(prior, every[0]) for prior in every)
        found[name] = every[0] if alike else KindPriors(own, by_channel)
    return found


def checked_groups(groups: Any) -> tuple[MediaGroup, ...]:
    """The groups, of different channels.

    Raises:
        SpecError: what is no group, or a channel that stands twice.
    """
    if not isinstance(groups, Sequence):
        raise SpecError(f"ModelSpec.groups must be a list of MediaGroup(...); got {groups!r}.")
    seen: dict[str, int] = {}
    for place, group in enumerate(groups):
        if not isinstance(group, MediaGroup):
            raise SpecError(f"ModelSpec.groups[{place}] must be a MediaGroup(...); got {group!r}.")
        for name in group.channels:
            if name in seen:
                where = "twice" if seen[name] == place else f"as groups[{seen[name]}] does"
                raise SpecError(f"ModelSpec.groups[{place}].channels names {name!r} {where}: a channel is in one group.")
            seen[name] = place
    return tuple(groups)


def check_effects(spec: "ModelSpec") -> None:
    """Raise a `SpecError` if a name is the effect of one saturation and the shape of another."""
    every = choices_of(spec)
    for choice in every:
        for other in every:
            if choice.effect in other.parameters and choice.effect != other.effect:
                kinds = f"{type(choice.saturation).__name__} and {type(other.saturation).__name__}"
                raise SpecError(
                    f"ModelSpec.groups cannot have {kinds} side by side: {choice.effect!r} is the effect of the one and the "
                    "shape of the other. Choose another saturation for one of them."
                )


def check_group_priors(spec: "ModelSpec") -> None:
    """Raise a `SpecError` where kinds share a parameter whose default priors are of families that no array holds."""
    for name, prior in media_priors(spec).items():
        if not isinstance(prior, KindPriors) or name in spec.priors or name in spec.derived:
            continue
        families = list(dict.fromkeys(type(one).__name__ for one in prior.every))
        if len(families) > 1:
            raise SpecError(
                f"ModelSpec.groups have kinds that share the parameter {name!r}, with default priors of different families: "
                f"{' and '.join(families)}. Give it one in ModelSpec.priors, such as priors={{{name!r}: ...}}, for all its "
                "channels or with one value for each."
            )


def group_to_dict(group: MediaGroup, part_to_dict: Any) -> dict[str, Any]:
    """Plain values; choices that are the spec's are left out."""
    values: dict[str, Any] = {"channels": list(group.channels)}
    for name in ("adstock", "saturation"):
        if getattr(group, name) is not None:
            values[name] = part_to_dict(getattr(group, name))
    return values if group.adstock_first is None else {**values, "adstock_first": group.adstock_first}


def groups_from_list(values: Any, part_from_dict: Any) -> list[MediaGroup]:
    """The inverse of a list of `group_to_dict`.

    Raises:
        SpecError: no such list, an unknown key, or what a group does not admit; names the group.
    """
    if not isinstance(values, Sequence) or not all(isinstance(value, Mapping) for value in values):
        raise SpecError(f"ModelSpec.groups must be a list of entries with `channels` and their choices; got {values!r}.")
    return [_group_from_dict(f"groups[{place}]", value, part_from_dict) for place, value in enumerate(values)]


def _group_from_dict(where: str, values: Mapping[str, Any], part_from_dict: Any) -> MediaGroup:
    given, known = dict(values), ("channels", *_KINDS)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise SpecError(f"ModelSpec.{where} has no field {unknown[0]!r}; it has {', '.join(known)}.")
    for name in {"adstock", "saturation"} & given.keys():
        given[name] = part_from_dict(f"{where}.{name}", given[name])
    try:
        return MediaGroup(**{"channels": (), **given})
    except SpecError as error:
        raise SpecError(f"ModelSpec.{where}: {error}") from error


def _choice(group: MediaGroup, spec: "ModelSpec") -> Choice:
    own = (getattr(group, name) for name in _KINDS)
    return Choice(*(getattr(spec, name) if value is None else value for name, value in zip(_KINDS, own, strict=True)))


def _same(prior: dist.Distribution, other: dist.Distribution) -> bool:
    if type(prior) is not type(other):
        return False
    theirs = arguments(other)
    return all(np.array_equal(value, theirs[name]) for name, value in arguments(prior).items())
