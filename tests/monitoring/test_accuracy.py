"""What the ledger says of predictions: variance, scores, bias per channel, evidence of one-sided errors."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from monitoring import made
from scipy import integrate, stats

import mmm_jax as mj
from mmm_jax.monitoring.bias import channel_bias
from mmm_jax.monitoring.decisions import Outcome
from mmm_jax.monitoring.one_sided import discoveries, log_e_values, one_sided_errors
from mmm_jax.monitoring.predictions import Prediction
from mmm_jax.monitoring.records import Measurement

DAY = np.datetime64("2024-01-07")


def measurement(number: int, value: float, se: float, channel: np.ndarray, names: tuple[str, ...], of: str | None = None):
    """An outcome beside draws of its prediction, (draw, channel)."""
    outcome = Outcome(number, f"d{number}", value, se, "geo test", of, True, False, DAY, DAY)
    return Measurement(outcome, Prediction(channel.sum(axis=1), channel), names, "m", of)


def test_variance_closes_for_the_total_and_each_channel_with_an_outcome(kept):
    made.measure(kept, value=55.0)
    kept.outcome("q1", 30.0, 2.0, method="lift test", independent=True, channel="TV")
    kept.outcome("q1", 31.0, 2.0, method="panel", independent=False, channel="TV")
    table = kept.variance("q1")
    assert list(table.index) == ["total", "TV", "TV", "Radio"]
    np.testing.assert_allclose(table["planned"], [60.0, 40.0, 40.0, 20.0])
    np.testing.assert_allclose(table["execution"], [0.0, -4.0, -4.0, 4.0], atol=1e-12)
    np.testing.assert_allclose(table["model"], [-5.0, -6.0, -5.0, np.nan])
    closes = (table["execution"] + table["model"] - table["difference"]).dropna()
    assert closes.abs().max() < 1e-9
    planned, delivered = made.draws().sum("channel"), made.draws(36.0, 24.0).sum("channel")
    assert table.loc["total", "execution_sd"] == pytest.approx(float((delivered - planned).std()), abs=1e-12)
    assert table.loc["total", "model_sd"] == pytest.approx(np.hypot(float(delivered.std()), 3.0))
    made.propose(kept, "q2")
    with pytest.raises(mj.LedgerError, match="'q2' is proposed: there is no variance"):
        kept.variance("q2")


def test_scores_are_those_of_the_mixture_over_the_draws(kept):
    made.measure(kept, value=66.0, se=5.0)
    row = kept.scores(prob=0.8).iloc[0]
    centres = made.draws(36.0, 24.0).sum("channel").to_numpy()
    assert row["pit"] == pytest.approx(stats.norm.cdf(66.0, centres, 5.0).mean())
    grid = np.linspace(0.0, 120.0, 24001)
    below = stats.norm.cdf(grid[:, None], centres, 5.0).mean(axis=1)
    exact = integrate.trapezoid((below - (grid >= 66.0)) ** 2, grid)
    assert row["crps"] == pytest.approx(exact, rel=0.02)
    ends = [float(np.interp(level, below, grid)) for level in (0.1, 0.9)]
    assert [row["lower"], row["upper"]] == pytest.approx(ends, abs=0.4)
    assert row["inside"] == (ends[0] <= 66.0 <= ends[1])
    assert row.name == ("q1", 4)


def test_bias_of_one_channel_is_the_posterior_on_a_grid():
    draws = np.full((2, 1), 10.0)
    found = channel_bias(
        [measurement(1, 5.0, 2.0, draws, ("TV",)), measurement(2, 6.0, 1.0, draws, ("TV",))], tau=0.4, prob=0.9, key=0
    )
    logs = np.linspace(-3.0, 2.0, 20001)
    density = stats.norm.pdf(logs, 0.0, 0.4)
    for value, se in ((5.0, 2.0), (6.0, 1.0)):
        density = density * stats.norm.pdf(value, 10.0 * np.exp(logs), se)
    below = np.cumsum(density) / density.sum()
    for name, level in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        assert found.loc["TV", name] == pytest.approx(np.exp(np.interp(level, below, logs)), rel=0.02)
    assert found.loc["TV", "mean"] == pytest.approx((np.exp(logs) * density).sum() / density.sum(), rel=0.01)
    assert found.loc["TV", "below_one"] == pytest.approx(np.interp(0.0, logs, below), abs=0.01)
    assert found.loc["TV", "outcomes"] == 2


def test_bias_knows_what_no_channel_brings_alone_and_stays_at_the_prior_without_outcomes(kept):
    found = xr.Dataset({"by_channel": made.draws(), "total": made.draws().sum("channel") + 30.0})
    made.propose(kept, draws=found)
    kept.approve("q1")
    kept.deliver("q1", spend=made.spend(), draws=found, model=made.MODEL)
    kept.outcome("q1", 90.0, 0.1, method="geo test", independent=True)
    assert kept.bias(tau=0.1).loc["TV", "median"] == pytest.approx(1.0, abs=0.02)
    assert kept.bias(model="another").empty
    kept.outcome("q1", 20.0, 0.1, method="lift test", independent=True, channel="Radio")
    assert kept.bias().loc["TV", "sd"] < 0.01
    with pytest.raises(mj.LedgerError, match="`tau` must be positive"):
        kept.bias(tau=0.0)


@pytest.mark.slow
def test_bias_is_recovered_at_the_nominal_rate_over_100_ledgers(tmp_path):
    rng, inside, hits = np.random.default_rng(1), 0, []
    for number in range(100):
        ledger = mj.Ledger(tmp_path / f"{number}.db")
        factors = dict(zip(made.CHANNELS, np.exp(rng.normal(0.0, 0.5, 2)), strict=True))
        for decision in range(6):
            _simulated_decision(ledger, f"d{decision}", factors, rng)
        table = ledger.bias(tau=0.5, prob=0.9)
        hits += [bool(table.loc[name, "lower"] <= factor <= table.loc[name, "upper"]) for name, factor in factors.items()]
    inside = sum(hits)
    print(f"{inside} of {len(hits)} factors inside of their 90 % intervals")
    assert stats.binomtest(inside, len(hits), 0.9).pvalue > 0.01


def _simulated_decision(ledger: mj.Ledger, name: str, factors: dict[str, float], rng: np.random.Generator) -> None:
    expected = rng.gamma(4.0, 5.0, 2)
    draws = made.draws(*expected, sd=1.0, count=20)
    made.propose(ledger, name, draws=draws)
    ledger.approve(name)
    ledger.deliver(name, spend=made.spend(), draws=draws, model=made.MODEL)
    parts = dict(zip(made.CHANNELS, expected * np.array(list(factors.values())), strict=True))
    channel = rng.choice([None, *made.CHANNELS])
    truth = sum(parts.values()) if channel is None else parts[channel]
    se = 0.3 * float(expected.mean())
    ledger.outcome(name, rng.normal(truth, se), se, method="geo test", independent=True, channel=channel)


def _history(factor: float, rng: np.random.Generator, outcomes: int = 8, draws: int = 400) -> tuple[np.ndarray, ...]:
    """Outcomes of a channel whose effect one draw of the posterior tells, times a factor."""
    effect = rng.lognormal(0.0, 0.2, draws)
    size = rng.uniform(5.0, 15.0, outcomes)
    predicted, se = effect[1:, None] * size, np.full(outcomes, 2.0)
    return rng.normal(factor * effect[0] * size, se), se, predicted


def _e_value(block: tuple[np.ndarray, ...]) -> float:
    return float(np.exp(np.logaddexp(*log_e_values([block], 0.5)) - np.log(2.0)))


def _largest_e_value(block: tuple[np.ndarray, ...]) -> float:
    """Over all times at which one may have looked."""
    value, se, draws = block
    return max(_e_value((value[:n], se[:n], draws[:, :n])) for n in range(1, len(value) + 1))


def test_evidence_is_the_ratio_of_the_definition():
    value, se, draws = _history(0.7, np.random.default_rng(5), outcomes=3, draws=50)
    grid = np.exp(-0.5 * stats.norm.ppf(0.5 + (np.arange(64) + 0.5) / 128))
    densities = [stats.norm.pdf(value, factor * draws, se).prod(axis=1).mean() for factor in [1.0, *grid]]
    less, _ = log_e_values([(value, se, draws)], 0.5)
    assert np.exp(less) == pytest.approx(np.mean(densities[1:]) / densities[0], rel=1e-9)


def test_evidence_of_one_sided_errors_is_rare_without_one_and_strong_with_one():
    rng = np.random.default_rng(0)
    null = np.array(
        [
            max(_e_value((v[:n], s[:n], d[:, :n])) for n in range(1, 9))
            for v, s, d in (_history(1.0, rng) for _ in range(200))
        ]
    )
    # Ville: the chance of ever reaching 1 / alpha is at most alpha; here at 20 and at 5.
    assert (null >= 20.0).mean() <= 0.05
    assert (null >= 5.0).mean() <= 0.2
    wrong = np.array([_e_value(_history(0.3, rng)) for _ in range(50)])
    assert (wrong >= 20.0).mean() > 0.7
    # An error that the posterior holds possible is no evidence against it, however often it is measured.
    assert _e_value(_history(1.1, rng, outcomes=40)) < 20.0


def test_one_sided_errors_names_channel_and_direction():
    rng = np.random.default_rng(3)
    names, rows = ("TV", "Radio", "Print"), []
    for number, (channel, factor) in enumerate([("TV", 0.3), ("Radio", 1.0), ("Print", 2.5)] * 6):
        draws = np.zeros((300, 3))
        draws[:, names.index(channel)] = 20.0 * np.random.default_rng(names.index(channel)).lognormal(0.0, 0.1, 300)
        rows.append(measurement(number, rng.normal(factor * 20.0, 2.0), 2.0, draws, names, channel))
    rows.append(measurement(99, 500.0, 1.0, np.ones((300, 3)), names, None))  # Of all together: it tells of none alone.
    table = one_sided_errors(rows, alpha=0.05, tau=0.5)
    assert set(table.index[table["flagged"]]) == {"TV", "Print"}
    assert table.loc["TV", "direction"] == "less"
    assert table.loc["Print", "direction"] == "more"
    assert table.loc["TV", "ratio"] == pytest.approx(0.3, abs=0.08)
    assert table["outcomes"].tolist() == [6, 6, 6]
    assert table.loc["Radio", "draws"] > 20
    with pytest.raises(mj.LedgerError, match="`alpha` must lie"):
        one_sided_errors(rows, alpha=1.0, tau=0.5)
    assert one_sided_errors([], alpha=0.05, tau=0.5).empty


@pytest.mark.parametrize("seed", range(3))
def test_discoveries_are_those_of_the_definition(seed):
    e_values = np.random.default_rng(seed).lognormal(2.0, 2.0, 12)
    counts = [k for k in range(1, 13) if np.sort(e_values)[-k] >= 12 / (0.1 * k)]
    expected: Any = e_values >= np.sort(e_values)[-max(counts)] if counts else np.zeros(12, bool)
    np.testing.assert_array_equal(discoveries(e_values, 0.1), expected)
