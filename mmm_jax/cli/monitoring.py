"""What `mmm-jax monitor` found, on the screen, as JSON and as a picture."""

from pathlib import Path
from typing import Any

from mmm_jax.cli import pictures
from mmm_jax.cli.monitor_work import Found
from mmm_jax.cli.screen import Screen, amount, compact, percent, write_json
from mmm_jax.cli.steps import PLOTS_FOLDER
from mmm_jax.cli.words import counted
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.monitoring.drift import LEVEL, RAMP, Drift
from mmm_jax.monitoring.staleness_errors import Errors
from mmm_jax.monitoring.staleness_mix import Mix
from mmm_jax.monitoring.staleness_range import MEASURES, PlannedRange

RESULT_FILE = "monitor.json"

_CAUSES = 5
"""Causes that are shown, the likeliest first; the JSON has all."""

_CELLS = 3
"""Restated cells that are named; the JSON has all."""

_ROWS = 20
"""Rows of the table of planned against observed amounts, those beyond first."""

_NAMES = {LEVEL: "level, a step", RAMP: "level, a ramp"}


def say(screen: Screen, found: Found, reasons: list[str], written: list[Path]) -> None:
    """Both checks on the screen, and whether they are an alarm."""
    _say_rows(screen, found)
    _say_drift(screen, found.drift)
    _say_staleness(screen, found)
    if reasons:
        screen.say(f"\nALARM: {' and '.join(reasons)}.", style="bold red")
    else:
        screen.say(
            f"\nNo alarm{' (the stale verdict was told to be none)' if found.staleness.stale else ''}.", style="green"
        )
    if written:
        screen.say(f"Written: {', '.join(map(str, written))}.")


def save(found: Found, reasons: list[str], folder: Path | None, screen: Screen, *, plots: bool) -> list[Path]:
    """Write the result, and the picture, over what an earlier run left."""
    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / PLOTS_FOLDER).glob("*.png"):
        old.unlink()
    written = [folder / RESULT_FILE]
    write_json(written[0], summarised(found, reasons))
    if plots:
        with screen.stage("plots", "Drawing ..."):
            written += pictures.save_drift_picture(found.drift, found.target, folder / PLOTS_FOLDER)
    return written


def summarised(found: Found, reasons: list[str]) -> dict[str, Any]:
    """The result for machines."""
    return {
        "alarm": bool(reasons),
        "reasons": reasons,
        "rows": found.new,
        "first_date": str(found.panel.dates[-found.new]),
        "last_date": str(found.panel.dates[-1]),
        "drift": found.drift.to_dict(),
        "staleness": found.staleness.to_dict(),
    }


def alarms(found: Found, *, stale_ok: bool) -> list[str]:
    """Why there is an alarm; empty if there is none."""
    drift = ["the new rows are not the model's own any more"] if found.drift.alarm else []
    return [*drift, *(["the model is stale"] if found.staleness.stale and not stale_ok else [])]


def _say_rows(screen: Screen, found: Found) -> None:
    geos = f" of {counted(len(found.panel.geos), 'geo')} each" if isinstance(found.panel, GeoPanel) else ""
    dates = found.panel.dates
    ends = f"{dates[-1]}" if found.new == 1 else f"{dates[-found.new]} to {dates[-1]}"
    screen.say(f"{counted(found.new, 'row')}{geos} after training, {ends}.")
    cells = found.drift.restated
    if cells:
        told = "; ".join(
            f"{one.column}{f' of {one.geo}' if one.geo else ''} on {one.date} ({amount(one.before)}, now {amount(one.now)})"
            for one in cells[:_CELLS]
        )
        rest = f" and {len(cells) - _CELLS} more" if len(cells) > _CELLS else ""
        screen.notice(f"{counted(len(cells), 'training cell')} restated since: {told}{rest}. A refit would learn from it.")


def _say_drift(screen: Screen, drift: Drift) -> None:
    rows, now = drift.rows, float(drift.rows["evidence"].to_numpy()[-1])
    limit = f"threshold {drift.threshold:.3g}, at most {percent(drift.alpha)} of false alarms"
    evidence = f"{now:.3g}" if now < 1e6 else f"{now:.0e}"
    if drift.alarm:
        screen.say(f"\nDRIFT since {str(drift.alarmed_on)[:10]}: evidence {evidence} ({limit}).", style="bold red")
        causes: Any = drift.causes
        shown = [[_NAMES.get(str(name), str(name)), percent(share)] for name, share in causes.iloc[:_CAUSES].items()]
        screen.table("Likeliest causes", ("Cause", "Share of the evidence"), shown)
        if drift.of_scatter:
            screen.say("Most of the evidence is of the scatter, rather than of one of these: it has grown or shrunk.")
    else:
        screen.say(f"\nNo drift: evidence {evidence} ({limit}).", style="green")
    scores = [
        ["Training", compact(drift.training["crps"]), percent(drift.training["coverage"])],
        [
            "Last rows",
            *(words(float(rows[name].to_numpy()[-1])) for name, words in (("crps", compact), ("coverage", percent))),
        ],
    ]
    screen.table("Scores of the predictions", ("Rows", "CRPS", f"In {drift.prob:.0%} interval"), scores)
    if drift.needs_refit:
        left = float(rows["ess"].to_numpy()[-1])
        screen.notice(
            f"the last rows were judged by {left:.0f} effective draw{'' if round(left) == 1 else 's'}, fewer than "
            f"{drift.least_ess:.0f}: the posterior has moved away from its draws. Fit the model anew with the new rows."
        )


def _say_staleness(screen: Screen, found: Found) -> None:
    staleness = found.staleness
    verdict, style = ("STALE", "bold red") if staleness.stale else ("Not stale", "green")
    screen.say(f"\n{verdict}.", style=style)
    _show_mix(screen, staleness.mix)
    if staleness.errors is not None:
        _show_errors(screen, staleness.errors)
    if staleness.range is not None:
        _show_range(screen, staleness.range)
    for place, reason in enumerate(staleness.reasons, start=1):
        screen.say(f"{chr(10) if place == 1 else ''}{place}. {reason.found}.")
        screen.say(f"   {reason.advice}", style="bold")


def _show_mix(screen: Screen, mix: Mix) -> None:
    marks = dict.fromkeys(mix.new, "new") | dict.fromkeys(mix.dropped, "dropped")
    rows = [
        [name, percent(mix.training[name]), percent(mix.recent[name]), f"{100 * change:+.1f}", marks.get(name, "")]
        for name, change in mix.changes.items()
    ]
    screen.table("Shares of spend", ("Channel", "Training", "Recent", "Points", ""), rows)
    against = "the same season of training" if mix.window == "same season" else "all training rows"
    screen.say(f"{percent(mix.distance)} of the budget moved, against {against} (threshold {percent(mix.threshold)}).")


def _show_errors(screen: Screen, errors: Errors) -> None:
    rows = [
        [
            one.channel,
            f"{one.outcomes}",
            "-" if one.ratio is None else f"{one.ratio:.2f}",
            amount(one.e_value),
            f"{one.direction} than predicted" if one.flagged else "",
        ]
        for one in errors.channels
    ]
    if rows:
        screen.table("Outcomes over predictions", ("Channel", "Outcomes", "Ratio", "E-value", "Brings"), rows)
    else:
        screen.say("\nNo outcome of the ledger tells of one channel alone.")


def _show_range(screen: Screen, planned: PlannedRange) -> None:
    ordered = sorted(planned.channels, key=lambda one: -len(one.beyond))
    rows = [
        [
            one.channel if one.geo is None else f"{one.channel}, {one.geo}",
            *(_times(one.planned[name], one.observed[name], name in one.beyond) for name in MEASURES),
            "-" if one.sd_ratio is None else f"{one.sd_ratio:.2f}",
        ]
        for one in ordered[:_ROWS]
    ]
    columns = ("Channel", "In a period", "Adstocked", "In all", "Posterior/prior sd")
    screen.table(f"The plan over training, {planned.first} to {planned.last}", columns, rows)
    if len(ordered) > _ROWS:
        screen.say(f"and {len(ordered) - _ROWS} more; the JSON file has them all.")


def _times(planned: float, observed: float, beyond: bool) -> str:
    return ("-" if observed <= 0 else f"{planned / observed:.2f}") + (" !" if beyond else "")
