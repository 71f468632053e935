"""The verb `retrain`: a new version of a model, by its parent's choices, judged beside the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np

from mmm_jax.data.calendar import continues
from mmm_jax.data.experiments import LiftTests
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.data.joining import joined
from mmm_jax.errors import MonitoringError
from mmm_jax.fitting.engines import Engine
from mmm_jax.fitting.fit import fit as fit_model
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.fitting.keys import Key
from mmm_jax.inference.svi import SVI
from mmm_jax.kernels.numerics import Precision
from mmm_jax.monitoring.calibration import HALF_LIFE
from mmm_jax.monitoring.challenge import Challenge, challenged, check_unseen
from mmm_jax.monitoring.facts import facts_of, fields_of, plain
from mmm_jax.monitoring.ledger import Day, Ledger
from mmm_jax.monitoring.lessons import Lessons, still_known, with_ledger
from mmm_jax.monitoring.new_rows import aligned
from mmm_jax.monitoring.registry import Named, Registry


class Sampling(TypedDict, total=False):
    """What `fit` is asked for; see there."""

    num_chains: int
    num_warmup: int | None
    num_samples: int
    target_accept: float
    max_tree_depth: int
    engine: Engine | SVI
    precision: Precision
    progress: bool


@dataclass(frozen=True, eq=False)
class Retraining:
    """What came of a retraining.

    Attributes:
        name: of the model.
        version: number of the new version.
        parent: number of the one whose spec and scales it has.
        fit: the new fit.
        challenge: the new fit beside the champion's; `None` if there is no champion.
        lessons: experiments that it has learned from, and those that were left out, with the reasons.
        promoted: whether it is the champion now.
        reason: why it is not, although that was asked for.
    """

    name: str
    version: int
    parent: int
    fit: AnyFit
    challenge: Challenge | None
    lessons: Lessons
    promoted: bool
    reason: str = ""

    def __repr__(self) -> str:
        """One line: which version, by how many experiments, and what became of it."""
        count, became = len(self.lessons.experiments), "champion" if self.promoted else "challenger, needs review"
        return f"Retraining({self.name!r} version {self.version} after {self.parent}, {count} experiments; {became})"


def retrain(
    name: str,
    panel: AnyPanel,
    trigger: str,
    *,
    registry: Registry,
    ledger: Ledger | None = None,
    later: AnyPanel | None = None,
    parent: Named = "champion",
    experiments: LiftTests | None = None,
    since: Day | None = None,
    independent: bool = True,
    half_life: float = HALF_LIFE,
    power: float | None = None,
    promote: bool = False,
    by: str = "",
    reason: str = "",
    key: Key = 0,
    **sampling: Unpack[Sampling],
) -> Retraining:
    """Fit a model anew by its parent's spec and scales, and put it beside the champion, which it does not replace unasked.

    With the parent's scales, the priors mean what they meant there. The new version is the challenger and needs review. If
    anything goes wrong on the way, it has failed, with the error's words.

    Args:
        name: of the model in the registry.
        panel: training rows, of the parent's channels, controls and geos.
        trigger: why, such as "drift alarm".
        registry: where the parent is, and the new version will be.
        ledger: its outcomes become experiments of the fit, see `Ledger.calibration`.
        later: rows right after the training rows, which neither model has seen, to compare the two on.
        parent: the version whose spec and scales are taken.
        experiments: others than those of the ledger; by default those that the parent knew, as far as they lie within the
            new rows. With a ledger, those of them that have a source are left to it.
        since: first date on which a measurement of the ledger may have ended.
        independent: take only outcomes that were measured apart from sales.
        half_life: of the ledger's outcomes, in weeks.
        power: how much is believed of the parent's rows that have left the window, those right before the panel: a power
            prior. They count in the likelihood to this power: 1 as all others, 0 not at all, so that only their spend works
            on into the window. Rows that the parent had discounted itself are so once more. Without it, they are not there
            at all, and nothing works on.
        promote: approve the new version and make it the champion, if its draws can be trusted.
        by: who asks for it.
        reason: what else is to be noted.
        key: random key or seed.
        sampling: settings of `fit`; the parent's precision by default.

    Raises:
        RegistryError: there is no such model or parent, or it is being trained already.
        LedgerError: an outcome was read off the sales of the new rows, and would count twice.
        MonitoringError: the rows are not of the parent's kind, the champion has seen the later ones, or a power is given
            and no row of the parent's has left the window.
        PredictionError: they have other columns or geos.

    Warns:
        ConvergenceWarning, ApproximationWarning: as `fit` does.
    """
    found = registry.version(name, parent)
    old = registry.load(name, found.version)
    rows = _checked(aligned(old, panel)) if power is None else _with_past(old, _checked(aligned(old, panel)), power)
    _check_later(old, rows, later)
    known = still_known(old.experiments, rows, ledger) if experiments is None else Lessons(experiments)
    asked: dict[str, Any] = {"since": since, "independent": independent, "half_life": half_life}
    learned = with_ledger(known, rows, ledger, asked)
    champion = _champion(registry, name, later)
    with registry.training(name, trigger, parent=found.version, by=by, reason=reason) as run:
        settings: dict[str, Any] = {"precision": old.precision, **sampling}
        settings |= {"key": key, "scales": old.scales, "experiments": learned.experiments}
        # One verb for both kinds, whose overloads tell them apart.
        new: Any = fit_model(rows, old.spec, **settings)  # pyright: ignore[reportCallIssue, reportArgumentType]
        challenge = None if champion is None else challenged(champion, new, later, key=key)
        run.succeed(
            new,
            {
                **fields_of(new),
                "facts": _facts(new, challenge, learned, sampling if power is None else {**sampling, "power": power}),
            },
        )
    promoted, refused = _promoted(registry, name, run.version, new, by) if promote else (False, "")
    return Retraining(name, run.version, found.version, new, challenge, learned, promoted, refused)


def _checked(panel: AnyPanel) -> AnyPanel:
    if panel.target is None:
        raise MonitoringError("The training rows have no target. Give `target=` to `Panel.from_frame`.")
    return panel


def _with_past(parent: AnyFit, rows: AnyPanel, power: float) -> AnyPanel:
    """The rows, and before them those of the parent's that have left the window, which count to a power."""
    gone = int(np.searchsorted(parent.panel.dates, rows.dates[0]))
    if not gone:
        raise MonitoringError(
            f"`power` is for rows that have left the window, but the parent's begin on {parent.panel.dates[0]}, and the new "
            f"ones on {rows.dates[0]}: leave it out."
        )
    past = parent.panel.take(slice(0, gone))
    return joined(past, rows).discount(power, until=past.dates[-1])


def _check_later(parent: AnyFit, rows: AnyPanel, later: AnyPanel | None) -> None:
    """Raise before anything is trained if the two models could not be compared on the later rows afterwards."""
    if later is None:
        return
    check_unseen({"new version": rows}, later)
    if not continues(rows.dates, aligned(parent, later).dates, rows.frequency):
        raise MonitoringError(
            f"The later weeks begin on {later.dates[0]}, the training rows end on {rows.dates[-1]}: between them rows are "
            "missing, whose spend works on. Begin the later weeks right after the training rows."
        )


def _champion(registry: Registry, name: str, later: AnyPanel | None) -> AnyFit | None:
    """The champion's fit, if there is one."""
    if "champion" not in registry.aliases(name):
        return None
    found = registry.load(name, "champion")
    if later is not None:
        check_unseen({"champion": found.panel}, later)
    return found


def _facts(fit: AnyFit, challenge: Challenge | None, learned: Lessons, settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value if np.isscalar(value) else repr(value) for name, value in settings.items() if name != "progress"}
    return {
        **facts_of(fit, None),
        "comparison": None if challenge is None else challenge.to_dict(),
        "ledger_rows": plain(learned.ledger_rows),
        "left_out": plain(learned.left_out),
        "experiments": len(learned.experiments),
        "settings": plain(kept),
    }


def _promoted(registry: Registry, name: str, version: int, fit: AnyFit, by: str) -> tuple[bool, str]:
    """Whether it is the champion now, and why it is not."""
    if not fit.diagnostics.converged:
        return False, f"its draws are not to be trusted: {' '.join(fit.diagnostics.problems)}"
    registry.promote(name, version, by=by, reason="retrained to be the champion")
    return True, ""
