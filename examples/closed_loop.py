"""A model that is watched and learns from what it got wrong, beside the same model left alone.

Two years of plans in a simulated market whose truth is known. In month 15, search loses half of its effect. One team plans
with its first model to the end. The other watches it, asks what has changed when the alarm comes, has the channel that is
named measured in some regions, and trains again on what came out. Run it with `python examples/closed_loop.py`; it takes
some minutes on two cores.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import mmm_jax as mj

CHANNELS = ("TV", "Search", "Social", "Radio")
USUAL = np.array([120.0, 100.0, 60.0, 40.0])
"""Spend per week, in thousands, before the two years; what a plan is compared with."""

MARGIN = 0.4
"""Of a unit of sales."""

HISTORY, MONTH, MONTHS, WINDOW = 104, 4, 26, 104
"""Weeks before the two years, weeks of a month, months of two years, weeks that a model trains on."""

BROKEN, FROM_MONTH, KEPT = "Search", 15, 0.5

SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=6), yearly_seasonality=1, priors={"saturation_beta": mj.SpendShare(1.0)}
)
NAME, SAMPLING = "sales", {"num_chains": 4, "num_warmup": 300, "num_samples": 1000, "progress": False}


@dataclass
class Market:
    """The world: what is spent in every week, and what is sold."""

    spend: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """History in bursts; its weather is the same for both teams."""
        rng = np.random.default_rng(4)
        bursts = np.repeat(rng.random((len(CHANNELS), HISTORY // MONTH)) < 0.5, MONTH, axis=1)
        level = np.where(bursts, rng.gamma(8.0, 0.2, bursts.shape), rng.gamma(4.0, 0.1, bursts.shape))
        self.spend = USUAL[:, None] * level / level.mean(axis=1, keepdims=True)
        self.noise = rng.normal(0.0, 60.0, HISTORY + MONTH * MONTHS)

    @property
    def week(self) -> int:
        """Number of weeks so far."""
        return self.spend.shape[1]

    def effects(self, spend: np.ndarray) -> np.ndarray:
        """Expected sales of every channel and week, shape (channel, week)."""
        alpha, lam, top = np.array([[0.5, 0.2, 0.3, 0.4], [0.9, 1.3, 1.0, 0.8], [1100.0, 1000.0, 600.0, 260.0]])[..., None]
        weights = alpha ** np.arange(6)
        weights /= weights.sum(axis=1, keepdims=True)
        scaled = spend / USUAL[:, None]
        carried = np.stack([np.convolve(row, one)[: len(row)] for row, one in zip(scaled, weights, strict=True)])
        found = top * np.tanh(lam * carried / 2)
        found[CHANNELS.index(BROKEN), HISTORY + MONTH * (FROM_MONTH - 1) :] *= KEPT
        return found

    def panel(self, first: int = 0) -> mj.Panel:
        """The table as the teams see it, from a week on."""
        weeks = np.arange(self.week)
        season = 150.0 * np.sin(2 * np.pi * weeks / 52.18)
        sales = 2000.0 + season + self.effects(self.spend).sum(axis=0) + self.noise[: self.week]
        table = pd.DataFrame(dict(zip(CHANNELS, self.spend, strict=True)))
        table = table.assign(week=pd.date_range("2022-01-02", periods=self.week, freq="7D"), sales=sales)
        return mj.Panel.from_frame(table.iloc[first:], date="week", target="sales", channels=CHANNELS)

    def live(self, planned: np.ndarray) -> np.ndarray:
        """A month passes. What is delivered is not quite what was planned, shape (channel, week)."""
        rng = np.random.default_rng(self.week)
        delivered = planned * rng.uniform(0.9, 1.1, planned.shape)
        self.spend = np.hstack([self.spend, delivered])
        return delivered

    def measured(self, first: int, spend: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
        """What the spend of some weeks has brought more than a baseline, as tests in regions tell it, and its error."""
        after = np.repeat(USUAL[:, None], 6, axis=1)
        ways = [np.hstack([self.spend[:, :first], weeks, after]) for weeks in (spend, baseline)]
        more, less = (self.effects(way).sum() for way in ways)
        error = np.hypot(60.0, 0.1 * (more - less))
        return more - less + np.random.default_rng(first).normal(0.0, error), error

    def earned(self, since: int) -> float:
        """Margin on what media have sold from a week on, their cost taken off."""
        return float((MARGIN * self.effects(self.spend) - self.spend)[:, since:].sum())


class Team:
    """Plans every month with the model that it believes; watches it, if it is told to."""

    def __init__(self, folder: Path, first: mj.Fit, *, watching: bool) -> None:
        self.market, self.watching = Market(), watching
        self.ledger = mj.Ledger(folder / "decisions.db")
        self.registry = mj.Registry(folder / "decisions.db")
        self.registry.promote(NAME, self.registry.register(first, NAME, by="analyst"), by="head of marketing")
        self.model, self.tests, self.trained = first, {}, HISTORY

    def month(self, number: int) -> None:
        """Plan, approve, deliver, measure; then look whether the model still holds."""
        start, name = self.market.week, f"month {number}"
        plan = self.plan()
        self.ledger.propose(plan, name=name, baseline=dict(zip(CHANNELS, MONTH * USUAL, strict=True)), currency="k EUR")
        self.ledger.approve(name, by="head of marketing")
        delivered = self.market.live(plan.spend.transpose("channel", "date").to_numpy())
        spend = self.weekly(delivered, start)
        self.ledger.deliver(name, spend=spend, fit=plan)
        usual = np.repeat(USUAL[:, None], MONTH, axis=1)
        self.ledger.outcome(name, *self.market.measured(start, delivered, usual), method="holdout regions", independent=True)
        if not self.watching:
            return
        if self.tests.get("begin") == number:
            self.test(plan, number, delivered, start)
        elif self.tests.get("end") == number:
            self.retrain(number)
        elif not self.tests:
            self.watch(number)

    def plan(self) -> mj.Allocation:
        """The best month for the usual money, each channel in bursts of its own."""
        week = self.market.week
        rng = np.random.default_rng(week)
        total = MONTH * USUAL.sum()
        return mj.optimize_budget(
            self.model,
            horizon=MONTH,
            total=total,
            bounds={c: (0.3 * MONTH * u, 1.7 * MONTH * u) for c, u in zip(CHANNELS, USUAL, strict=True)},
            profile={channel: rng.dirichlet(np.full(MONTH, 4.0)) for channel in CHANNELS},
            history=self.market.panel(week - 12) if week > self.trained else None,
        )

    def watch(self, number: int) -> None:
        """Ask for drift; on an alarm, have the two channels measured that are likeliest to have changed."""
        drift = mj.detect_drift(self.model, self.market.panel(self.trained))
        if not drift.alarm:
            return
        suspects = [cause for cause in drift.causes.index if cause in CHANNELS][:2]
        shares = ", ".join(f"{cause} {share:.0%}" for cause, share in drift.causes.head(3).items())
        print(f"  month {number}: {drift!r}\n    causes: {shares}; to be measured: {' and '.join(suspects)}")
        self.tests = {"channels": suspects, "begin": number + 1, "end": number + 4, "since": drift.alarmed_on}

    def test(self, plan: mj.Allocation, number: int, delivered: np.ndarray, start: int) -> None:
        """In some regions, the channel had half of its money: what did the other half bring?"""
        for channel in self.tests["channels"]:
            halved = delivered.copy()
            halved[CHANNELS.index(channel)] /= 2
            name = f"test of {channel}, month {number}"
            spend, baseline = (self.weekly(one, start) for one in (delivered, halved))
            self.ledger.propose(spend, name=name, baseline=baseline, fit=plan, currency="k EUR")
            self.ledger.approve(name, by="analyst")
            self.ledger.deliver(name, spend=spend, fit=plan)
            value, error = self.market.measured(start, delivered, halved)
            # The window reaches as far as the carry-over does.
            window = [str(day)[:10] for day in self.dates(start, MONTH + 5)[[0, -1]]]
            options = {"method": "geo test", "independent": True, "channel": channel, "window": window}
            self.ledger.outcome(name, value, error, **options)

    def retrain(self, number: int) -> None:
        """A new version on the last two years but one month, with what the tests have measured; the month is to judge by."""
        end = self.market.week - MONTH
        rows, later = self.market.panel(end - WINDOW).split(str(self.dates(end - 1, 1)[0])[:10])
        # What was sold before the alarm is of another market, and counts a tenth.
        rows = rows.discount(0.1, until=self.tests["since"] - np.timedelta64(7, "D"))
        done = mj.retrain(
            NAME,
            rows,
            "drift alarm",
            registry=self.registry,
            ledger=self.ledger,
            later=later,
            by="analyst",
            promote=True,
            **SAMPLING,
        )
        print(f"  month {number}: {done!r}")
        if done.challenge is not None:
            print(done.challenge.scores.round(2).to_string())
        self.tests = {}
        if done.promoted:
            self.model, self.trained = done.fit, end

    def dates(self, first: int, count: int) -> np.ndarray:
        """Of some weeks."""
        return pd.date_range("2022-01-02", periods=first + count, freq="7D").to_numpy()[first:]

    def weekly(self, spend: np.ndarray, first: int) -> xr.DataArray:
        """Spend of shape (channel, week) with its names."""
        coords = {"date": self.dates(first, spend.shape[1]), "channel": list(CHANNELS)}
        return xr.DataArray(spend.T, coords, ("date", "channel"))


def tell(team: Team) -> None:
    """What the ledger says of the decisions before and after the break, and the last model's returns beside the truth."""
    variances = {number: team.ledger.variance(f"month {number}").loc["total"] for number in range(1, MONTHS + 1)}
    parts = ["planned", "delivered", "measured", "execution", "model"]
    eras = {
        "months 1 to 14": range(1, FROM_MONTH),
        "15 to 19": range(FROM_MONTH, 20),
        f"20 to {MONTHS}": range(20, MONTHS + 1),
    }
    means = {era: [np.mean([variances[month][part] for month in months]) for part in parts] for era, months in eras.items()}
    print("  Mean per month of what plans brought more than usual spend, and why not what was planned (k EUR of sales):")
    print(pd.DataFrame(means, index=parts).T.round().astype(int).to_string())
    last = slice(team.market.week - WINDOW // 2, None)
    true = (team.market.effects(team.market.spend)[:, last].sum(axis=1) / team.market.spend[:, last].sum(axis=1)).round(2)
    returns = mj.interval(team.model.roas(), prob=0.9).to_dataframe()[["lower", "mean", "upper"]].round(2)
    print("  Return on spend as the last model has it, and the truth of the last year:")
    print(returns.assign(true=true).to_string())
    print(f"  The ledger is {'whole' if team.ledger.verify() else 'NOT whole'}.")


def main() -> None:
    """Both teams, and what the one that watches has earned more."""
    first = mj.fit(Market().panel(), SPEC, key=0, **SAMPLING)
    print(first)
    teams = {}
    for name, watching in (("left alone", False), ("closed loop", True)):
        print(f"{name}:")
        with tempfile.TemporaryDirectory() as folder:
            teams[name] = Team(Path(folder), first, watching=watching)
            for number in range(1, MONTHS + 1):
                teams[name].month(number)
            tell(teams[name])
    alone, loop = (team.market.earned(HISTORY) for team in teams.values())
    print(
        f"Two years' margin less media: left alone {alone:,.0f} k EUR, closed loop {loop:,.0f} k EUR: {loop - alone:+,.0f}."
    )


if __name__ == "__main__":
    main()
