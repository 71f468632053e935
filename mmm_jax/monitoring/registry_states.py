"""A model version and where it stands: which job, review and alias may come next."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from mmm_jax.errors import RegistryError
from mmm_jax.monitoring.worker import Worker

Job = Literal["queued", "training_in_progress", "success", "failed"]
Review = Literal["needs_review", "approved", "rejected"]
Alias = Literal["champion", "challenger"]

ACTIVE: tuple[Job, ...] = ("queued", "training_in_progress")
"""Jobs of which a name may have one at a time."""

_JOB_AFTER: dict[str, tuple[Job, ...]] = {
    "queued": ("training_in_progress", "failed"),
    "training_in_progress": ("success", "failed"),
    "success": (),
    "failed": (),
}

ALIASES: tuple[Alias, ...] = ("champion", "challenger")

_REVIEWS: dict[Alias, tuple[Review, ...]] = {"champion": ("approved",), "challenger": ("needs_review", "approved")}
"""What a review must have said of the version that an alias names."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a named model, as the registry holds it.

    Attributes:
        name: of the model.
        version: its number, from 1 on.
        job: where its training stands.
        review: what people say of it; "" until it was trained.
        parent: number of the version whose spec and scales it took; `None` for one that was registered from outside.
        trigger: why it was made.
        spec_hash: of the spec, "" where nothing was fitted yet.
        panel_fingerprint: of the training rows, likewise.
        model: fingerprint of the fit, by which a ledger names it, likewise.
        artefact: where the fit lies below the registry's folder, likewise.
        error: why it failed.
        worker: the process that trains or trained it.
        created: UTC, ISO 8601.
        finished: when its training ended, likewise; "" before.
        facts: whatever else is known: `scales`, `window` (first and last training date), `diagnostics`, `scores`,
            `comparison`, `ledger_rows`, `settings`.
    """

    name: str
    version: int
    job: Job
    review: Review | Literal[""]
    parent: int | None
    trigger: str
    spec_hash: str
    panel_fingerprint: str
    model: str
    artefact: str
    error: str
    worker: Worker | None
    created: str
    finished: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Number and name, as a sentence begins with them."""
        return f"Version {self.version} of {self.name!r}"

    def check_job(self, new: Job) -> None:
        """Raise a `RegistryError` unless the job may become the new one."""
        if new not in _JOB_AFTER[self.job]:
            said = f": {self.error}" if self.error else ""
            raise RegistryError(f"{self} is {self.job}{said}. It cannot become {new}.")

    def check_review(self, new: Review) -> None:
        """Raise a `RegistryError` unless the review may say this."""
        if self.job != "success":
            raise RegistryError(f"{self} is {self.job}: only a version that was trained can be {new}.")
        if self.review != "needs_review":
            raise RegistryError(f"{self} was {self.review} already. Train another version to judge it anew.")

    def check_alias(self, alias: Alias) -> None:
        """Raise a `RegistryError` unless the alias may name this version."""
        if self.job != "success":
            raise RegistryError(f"{self} is {self.job}: it cannot be the {alias}.")
        if self.review not in _REVIEWS[alias]:
            hint = "approve it first" if self.review == "needs_review" else "name one that was not"
            raise RegistryError(f"{self} {_SAYS[self.review]} and cannot be the {alias}: {hint}.")


_SAYS = {"needs_review": "needs review", "rejected": "was rejected", "approved": "was approved"}


def check_name(name: Any) -> str:
    """The name of a model, if it can be one: it becomes a folder's name, too.

    Example:
        >>> check_name("brand-a.uk")
        'brand-a.uk'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistryError(
            f"A model's name is made of letters A to Z, digits, '.', '_' and '-', begins with a letter or digit and has at "
            f"most 100 of them, got {name!r}."
        )
    return name


def check_alias_name(alias: Any) -> Alias:
    """The alias, if there is one of that name."""
    if alias not in ALIASES:
        raise RegistryError(f"There are the aliases {' and '.join(ALIASES)}, got {alias!r}.")
    return alias
