"""Plans to write pages of: optimal ones of prior draws, and a made-up one whose responses have a closed form."""

from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace

import numpy as np
import xarray as xr
from planning.fits import fit_from_prior, planned_rows, usual_total

import mmm_jax as mj

ADDITIVE = ["logistic", "linear", "root", "hill", "s-shaped"]
MULTIPLIED = ["log link", "log link, saturation first"]
HOSTILE = "<script>alert(1)</script>"


@cache
def plan_of(name: str) -> mj.Allocation:
    """A plan over 13 weeks; equal arguments give the same object."""
    fit = fit_from_prior(name)
    total = usual_total(fit)
    bounds = dict.fromkeys(fit.panel.channels, (0.05 * total, 0.6 * total))
    return mj.optimize_budget(fit, horizon=planned_rows(), total=total, bounds=bounds)


def last_weeks(name: str) -> dict[str, float]:
    """What the channels spent right before the plan."""
    panel = fit_from_prior(name).panel
    return dict(zip(panel.channels, panel.spend[:, -13:].sum(axis=1).tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class RootPlan:
    """Stands in for an `Allocation`: draw `s` of channel `c` brings `beta[s, c] * sqrt(spend)` over date, channel and geo.

    Attributes:
        channels: names.
        draws: how many, in two chains.
        geos: how many; none of the dimensions is called geo if it is 0.
        optimal: what the certificate says.
        amounts: spend by channel.
        organic: channels without spend.
        unit_costs: cost and name of a unit, by channel.
        far: the channel whose spend is beyond what was observed.
    """

    channels: tuple[str, ...] = ("TV", "Radio")
    draws: int = 20
    geos: int = 0
    optimal: bool = True
    amounts: tuple[float, ...] = field(default=())
    far: str = ""
    organic: tuple[str, ...] = ()
    unit_costs: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def spend(self) -> xr.DataArray:
        dates = np.arange("2024-01-01", "2024-01-29", 7, dtype="datetime64[D]").astype("datetime64[ns]")
        level = np.array(self.amounts or [1000.0 * (1 + i) for i in range(len(self.channels))])
        weights = np.array([0.1, 0.2, 0.3, 0.4])
        coords = {"date": dates, "channel": list(self.channels)}
        spend = xr.DataArray(weights[:, None] * level, dims=("date", "channel"), coords=coords)
        if not self.geos:
            return spend
        shares = xr.DataArray(np.full(self.geos, 1 / self.geos), dims="geo", coords={"geo": list(range(self.geos))})
        return spend * shares

    @property
    def beta(self) -> xr.DataArray:
        """Drawn anew, and the same, every time."""
        values = np.random.default_rng(0).gamma(4.0, size=(2, self.draws // 2, len(self.channels)))
        return xr.DataArray(values, dims=("chain", "draw", "channel"), coords={"channel": list(self.channels)})

    def respond(self, spend: xr.DataArray) -> xr.Dataset:
        over = [dim for dim in spend.dims if dim not in ("channel", "geo")]
        found = self.beta * np.sqrt(spend.sum(over))
        total = found.sum([dim for dim in found.dims if dim not in ("chain", "draw")])
        return xr.Dataset({"by_channel": found, "total": total})

    @property
    def response(self) -> xr.DataArray:
        return self.respond(self.spend)["total"]

    @property
    def channel_response(self) -> xr.DataArray:
        return self.respond(self.spend)["by_channel"]

    @property
    def total(self) -> float:
        return float(self.spend.sum())

    @property
    def extrapolation(self) -> xr.Dataset:
        """The largest date of the channel `far` is twice what was observed, those of all others are half of it."""
        over = [dim for dim in self.spend.dims if dim not in ("channel", "geo")]
        planned = self.spend.max(over)
        factor = xr.where(self.spend["channel"] == self.far, 0.5, 2.0)
        return xr.Dataset({"planned_peak": planned, "observed_peak": factor * planned})

    @property
    def channel_state(self) -> xr.DataArray:
        return self.certificate.state

    @property
    def channel_marginal_return(self) -> xr.DataArray:
        return self.certificate.marginal_return

    @property
    def certificate(self) -> SimpleNamespace:
        coords = {"channel": list(self.channels)}
        count = len(self.channels)
        return SimpleNamespace(
            optimal=self.optimal,
            outcome=SimpleNamespace(advice="Raise `num_starts`, or narrow the bounds."),
            feasibility=0.0,
            kkt_residual=3e-11,
            shadow_price=0.25,
            marginal_return=xr.DataArray(np.full(count, 0.25), dims="channel", coords=coords),
            state=xr.DataArray(["interior"] * count, dims="channel", coords=coords),
            shadow_prices={"the total": 0.25},
            targets={},
            start_values=(1.0, 1.0),
            start_spread=0.0,
            concave=False,
            smoothing_gap=0.0,
        )

    def compare(self, spend: dict[str, float]) -> mj.Comparison:
        amounts = self.spend["channel"].copy(data=[spend[name] for name in self.channels])
        shape = self.spend / self.spend.sum([dim for dim in self.spend.dims if dim != "channel"])
        other = self.respond(shape * amounts)["total"]
        return mj.Comparison(self.response - other, self.response, other)
