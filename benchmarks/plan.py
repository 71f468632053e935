"""Plans over the case study's posterior: `python -m benchmarks.plan [--draws 4000]`. Prints a Markdown table.

First calls with compilation, calls of the same structure with other numbers, and many fits.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

import mmm_jax as mj
from benchmarks.measure import machine
from benchmarks.problem import case_study, spec, training_and_test

HORIZON = 26
_BATCH = 32
_REPEATS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000, help="posterior draws, in 4 chains")
    draws = parser.parse_args().draws
    fit = mj.fit(training_and_test()[0], spec(), key=0, num_samples=draws // 4, progress=False)
    print(f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {case_study()[0]}, {draws} draws, {HORIZON} weeks.\n")
    print("| plan | first call, s | other numbers, s | iterations | KKT residual |")
    print("| --- | --- | --- | --- | --- |")
    for name, statement in problems(fit).items():
        _print_row(name, lambda factor, statement=statement: _plan(fit, statement, factor))
    _print_batch(fit)


def problems(fit: mj.Fit) -> dict[str, dict[str, Any]]:
    """Statements by their name; totals are what the training weeks' mean spend comes to."""
    mean = dict(zip(fit.panel.channels, fit.panel.spend.mean(axis=1).tolist(), strict=True))
    total = HORIZON * sum(mean.values())
    boxes = {name: (0.5 * HORIZON * spend, 1.5 * HORIZON * spend) for name, spend in mean.items()}
    weekly: list[Any] = [mj.Box(name, lower=0.3 * spend, upper=2.0 * spend) for name, spend in mean.items()]
    weekly += [mj.Step(name, up=0.3 * spend, down=0.3 * spend) for name, spend in mean.items()]
    weekly += [mj.Group(["TV", "Radio"], lower=0.2 * total), mj.Ratio("Online Display", upper=0.45)]
    by_week = {"total": total, "by": ("channel", "date"), "constraints": weekly}
    return {
        "by channel, mean": {"total": total, "bounds": boxes},
        "by channel, CVaR 10 %": {"total": total, "bounds": boxes, "objective": mj.CVaR(0.1)},
        "by channel and week, boxes, steps, groups, mean": by_week,
        "by channel and week, boxes, steps, groups, CVaR 10 %": by_week | {"objective": mj.CVaR(0.1)},
    }


def _plan(fit: mj.Fit, statement: dict[str, Any], factor: float) -> mj.Allocation:
    plan = mj.optimize_budget(fit, horizon=HORIZON, **(statement | {"total": factor * statement["total"]}))
    if not plan.certificate.optimal:
        raise RuntimeError(f"No optimum: {plan.certificate.outcome}.")
    return plan


def _print_row(name: str, plan: Callable[[float], mj.Allocation]) -> None:
    first, _ = _timed(lambda: plan(1.0))
    others = [_timed(lambda factor=factor: plan(factor)) for factor in np.linspace(0.97, 1.03, _REPEATS)]
    certificate = others[-1][1].certificate
    fastest = min(seconds for seconds, _ in others)
    print(
        f"| {name} | {first:.1f} | {fastest:.3f} | {certificate.iterations} | {certificate.kkt_residual:.0e} |", flush=True
    )


def _print_batch(fit: mj.Fit) -> None:
    """Fits that differ in their draws, by other strengths of their channels."""
    rng = np.random.default_rng(0)
    fits = {f"fit {number}": _reweighted(fit, rng) for number in range(_BATCH)}
    statement: dict[str, Any] = problems(fit)["by channel, mean"] | {"horizon": HORIZON}
    mj.optimize_budget_batch(fits, **statement)
    seconds, _ = _timed(lambda: mj.optimize_budget_batch(fits, **statement))
    told, _ = _timed(lambda: [plan.to_frame() for plan in mj.optimize_budget_batch(fits, **statement).values()])
    print(
        f"\n{_BATCH} fits by channel, mean, programs compiled: {seconds:.2f} s; with the tables of their plans {told:.2f} s."
    )


def _reweighted(fit: mj.Fit, rng: np.random.Generator) -> mj.Fit:
    factor = rng.lognormal(0.0, 0.3, len(fit.panel.channels))
    return replace(fit, draws=fit.draws | {"saturation_beta": fit.draws["saturation_beta"] * factor})


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
