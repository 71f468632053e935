"""A fit's results on the screen: verdict, ROAS, shares and scores."""

from mmm_jax.cli import geo_report
from mmm_jax.cli.experiment_report import say_experiments, show_experiments
from mmm_jax.cli.experiments import Experiments
from mmm_jax.cli.frequency_report import show_frequency
from mmm_jax.cli.results import PROB, Intervals, Results, by_channel
from mmm_jax.cli.screen import Screen, amount, percent, span
from mmm_jax.cli.words import counted
from mmm_jax.data.geo_panel import AnyPanel, GeoPanel
from mmm_jax.inference.approximation_diagnostics import ApproximationDiagnostics
from mmm_jax.inference.diagnostics import Diagnostics

AnyDiagnostics = Diagnostics | ApproximationDiagnostics

INTERVAL = f"{PROB:.0%} interval"


def say_rows(screen: Screen, panel: AnyPanel, test: AnyPanel | None, experiments: Experiments | None = None) -> None:
    """Which rows are fitted, and which are held out; which experiments are learned from, and which are held out."""
    held_out = "" if test is None else f"; {counted(len(test), 'later row')} held out"
    geos = geo_report.counted_geos(panel) if isinstance(panel, GeoPanel) else ""
    screen.say(f"{geos}{len(panel)} {panel.frequency} rows from {panel.dates[0]} to {panel.dates[-1]}{held_out}.")
    columns = f"{counted(len(panel.channels), 'channel')}, {counted(len(panel.control_names), 'control')}"
    screen.say(f"{columns}, target {panel.target_name!r}.")
    say_experiments(screen, experiments or Experiments())


def say_verdict(screen: Screen, diagnostics: AnyDiagnostics) -> None:
    """Whether the draws can be trusted; loud if not."""
    if isinstance(diagnostics, ApproximationDiagnostics):
        _say_quick_look(screen, diagnostics)
        return
    found = diagnostics
    draws = f"{found.num_chains} chains of {found.num_samples} draws"
    checks = (
        f"R-hat {found.max_rhat:.3f}, effective sample size {found.min_ess_bulk:,.0f} (bulk) and "
        f"{found.min_ess_tail:,.0f} (tail), {found.divergences} divergences"
    )
    screen.say()
    if found.converged:
        screen.say(f"Converged: {draws}, {checks}.", style="green")
        return
    screen.say(f"NOT CONVERGED: {draws}, {checks}.", style="bold red")
    notice_problems(screen, diagnostics)


def _say_quick_look(screen: Screen, found: ApproximationDiagnostics) -> None:
    draws = f"{found.num_chains * found.num_samples:,} draws out of {found.num_proposals:,} proposals"
    numbers = f"k-hat {found.pareto_k:.2f} (below {found.k_limit:.2f}), effective sample size {found.importance_ess:,.0f}"
    evidence = f"log evidence {found.log_evidence:.1f} +- {found.log_evidence_error:.1f}"
    screen.say()
    words, style = ("Quick look", "yellow") if found.converged else ("Quick look, NOT TO BE BELIEVED", "bold red")
    screen.say(f"{words} by {found.engine}: {draws}, {numbers}, {evidence}.", style=style)
    notice_problems(screen, found)


def notice_problems(screen: Screen, diagnostics: AnyDiagnostics) -> None:
    """What is wrong with the draws and what to do, on standard error; a quick look is always said to be one."""
    if isinstance(diagnostics, ApproximationDiagnostics):
        screen.notice(" ".join([diagnostics.notice, *diagnostics.problems]))
    elif not diagnostics.converged:
        screen.notice("the fit has not converged, so do not use its numbers yet. " + " ".join(diagnostics.problems))


def spend_by_channel(panel: AnyPanel) -> dict[str, float]:
    """Spend over all rows, of all geos together."""
    return dict(zip(panel.channels, panel.spend.reshape(len(panel.channels), -1).sum(axis=1).tolist(), strict=True))


def show_roas(screen: Screen, roas: Intervals, shares: Intervals, panel: AnyPanel) -> None:
    """One row per channel: what was spent, what a unit of it brought, and its part in what all media brought."""
    spend = spend_by_channel(panel)
    total = sum(spend.values()) or 1.0
    rows = [
        [
            name,
            percent(spend[name] / total),
            percent(shares[name]["mean"]),
            amount(found["mean"]),
            span(found["lower"], found["upper"]),
        ]
        for name, found in sorted(roas.items(), key=lambda item: -item[1]["mean"])
    ]
    columns = ["Channel", "Spend share", "Contribution share", "ROAS", INTERVAL]
    where = ", all geos together" if isinstance(panel, GeoPanel) else ""
    screen.table(f"Return on spend, in {panel.target_name} per unit of spend{where}", columns, rows)
    if panel.organic:
        screen.say(f"Organic, without spend and so without return: {', '.join(panel.organic)}.")


def show_scores(screen: Screen, scores: dict[str, dict[str, float]], prob: float = PROB) -> None:
    """One row per set of rows; nothing if there is nothing to score."""
    names = {"train": "Training", "test": "Held out", "new": "New rows"}
    rows = [
        [
            names[name],
            amount(found["crps"]),
            percent(found["coverage"]),
            percent(found["mape"]),
            percent(found["nrmse"]),
            f"{found['r2']:.3f}",
        ]
        for name, found in scores.items()
        if found
    ]
    if rows:
        columns = ["Rows", "CRPS", f"In {prob:.0%} interval", "MAPE", "NRMSE", "R2"]
        screen.table("Scores of the predictions", columns, rows)


def show_results(screen: Screen, results: Results) -> None:
    """Verdict, returns and scores of a fit."""
    say_verdict(screen, results.fit.diagnostics)
    show_roas(screen, results.returns, by_channel(results.shares), results.fit.panel)
    if results.by_geo is not None:
        geo_report.show_roas(screen, results.by_geo, results.fit.panel)
    if results.frequency is not None:
        show_frequency(screen, results.frequency, PROB)
    show_scores(screen, results.scores)
    if results.by_geo is not None:
        geo_report.show_scores(screen, results.by_geo.scores)
    for name, table in results.experiments.items():
        show_experiments(screen, name, table, results.fit.panel.target_name)


def show_shares(screen: Screen, shares: Intervals, panel: AnyPanel) -> None:
    """One row per channel: its part in what all media brought, beside its part in the spend."""
    spend = spend_by_channel(panel)
    total = sum(spend.values()) or 1.0
    rows = [
        [
            name,
            percent(spend[name] / total),
            percent(found["mean"]),
            f"{percent(found['lower'])} to {percent(found['upper'])}",
        ]
        for name, found in shares.items()
    ]
    screen.table("Share in what all media brought", ["Channel", "Of spend", "Of contribution", INTERVAL], rows)
