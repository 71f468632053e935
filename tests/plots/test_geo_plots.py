"""Pictures of geos and of experiments: sums where a picture is of one market, a place for each geo in their own."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.text import Text

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.errors import PanelError

GEOS = 20


@pytest.fixture(scope="module")
def panel() -> mj.GeoPanel:
    """Twenty geos, of which the last lacks two rows."""
    made = mj.synthetic.make_geo_market(geos=GEOS, channels=3, weeks=60, seed=1).panel
    frame = made.to_frame().reset_index()
    lacking = (frame["geo"] == "geo_20") & frame["date"].isin(made.dates[:2])
    columns = {"channels": list(made.channels), "controls": list(made.control_names)}
    return mj.Panel.from_frame(frame[~lacking], date="date", target="sales", geo="geo", **columns)  # pyright: ignore


@pytest.fixture(scope="module")
def draws(panel) -> dict[str, xr.DataArray]:
    """Stand-ins for what a fit says, with its dimensions."""
    rng, target = np.random.default_rng(0), np.nan_to_num(panel.target, nan=1e5)
    dates = panel.dates.astype("datetime64[ns]")
    sizes = {"chain": 2, "draw": 20, "date": len(dates), "geo": GEOS, "channel": 3}
    coords = {"date": dates, "geo": list(panel.geos), "channel": list(panel.channels)}

    def of(*dims: str, scale: np.ndarray | float = 1.0) -> xr.DataArray:
        noise = 1.0 + 0.05 * rng.normal(size=[sizes[dim] for dim in dims])
        return xr.DataArray(noise * scale, {dim: coords[dim] for dim in dims if dim in coords}, dims)

    roas = of("chain", "draw", "channel", "geo").assign_attrs(long_name="return on spend")
    return {
        "y": of("chain", "draw", "date", "geo", scale=target.T),
        "mean": of("chain", "draw", "date", "geo", scale=target.T),
        "media": of("chain", "draw", "channel", "date", "geo", scale=0.1 * target.T),
        "intercept": of("chain", "draw", "date", "geo", scale=0.7 * target.T),
        "roas": roas,
    }


def predicted(draws) -> xr.Dataset:
    return xr.Dataset({name: draws[name] for name in ("y", "mean")})


def texts(found) -> list[str]:
    figure = np.ravel(np.asarray(found, object))[0].get_figure()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_pictures_of_one_market_add_geos_up(panel, draws):
    """Each geo as far as it has rows: the sum's line is that of the sum of draws."""
    ax = plots.plot_predictive(predicted(draws), panel)
    total = panel.known_total()
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(lines["Observed"], np.nansum(panel.target, axis=0))
    there = xr.DataArray(panel.present, dims=("geo", "date"))
    np.testing.assert_allclose(lines["Median"], draws["y"].where(there, 0.0).sum("geo").median(("chain", "draw")))
    assert plots.plot_target(panel).lines[0].get_ydata().tolist() == total.target.tolist()
    contributions = xr.Dataset({name: draws[name] for name in ("intercept", "media")})
    found = plots.plot_contributions(contributions, panel)
    top = next(line for line in found.lines if line.get_label() == "Expected (the sum)").get_ydata()
    summed = contributions.sum("geo").mean(("chain", "draw"))
    np.testing.assert_allclose(top, summed["intercept"] + summed["media"].sum("channel"))
    assert len(plots.plot_residuals(predicted(draws), panel)) == 2
    assert "Spend by channel" in " ".join(texts(plots.plot_spend_shares(panel)))


def test_every_geo_has_its_own_axes_without_rows_that_it_lacks(panel, draws):
    axes = plots.plot_geo_predictive(predicted(draws), panel)
    assert [ax.get_title() for ax in axes] == list(panel.geos)
    median = next(line for line in axes[-1].lines if line.get_label() == "Median").get_ydata()
    assert np.isnan(median[:2]).all()
    assert np.isfinite(median[2:]).all()
    assert "Sales per week" in texts(axes)


def test_contributions_of_every_geo_fill_its_bar(panel, draws):
    totals = xr.Dataset({name: draws[name].sum("date") for name in ("intercept", "media")})
    ax = plots.plot_geo_contributions(totals, max_channels=2)
    widths = np.array([[bar.get_width() for bar in group] for group in ax.containers])
    np.testing.assert_allclose(widths.sum(axis=0), 1.0)
    assert widths.shape == (4, GEOS)
    assert "1 other channels" in texts(ax)
    with pytest.raises(PanelError, match="a bar for each geo"):
        plots.plot_geo_contributions(totals.sum("geo"))


def test_returns_have_a_row_per_geo_and_an_axes_per_channel_with_spend(draws):
    roas = draws["roas"].copy()
    roas[dict(channel=1)] = np.nan
    axes = plots.plot_geo_roas(roas, together=roas.mean("geo"), target="sales")
    assert [ax.get_title() for ax in axes] == ["channel_1", "channel_3"]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(roas["geo"].values)
    assert "Return on spend (sales per currency)" in " ".join(texts(axes))
    with pytest.raises(PanelError, match="call `plot_roas`"):
        plots.plot_geo_roas(roas.mean("geo"))


@pytest.mark.parametrize(
    ("draw", "advice"),
    [
        (lambda roas: plots.plot_roas(roas), "`by_geo=False`"),
        (lambda roas: plots.plot_contribution_shares(roas), "`by_geo=False`"),
        (lambda roas: plots.plot_share_against_roas(roas, roas), "`by_geo=False`"),
        (lambda roas: plots.plot_response_curves(xr.Dataset({"response": roas})), "response_curves(by_geo=False)"),
        (lambda roas: plots.plot_saturation_curves(xr.Dataset({"effect": roas})), "do not add up"),
    ],
)
def test_pictures_that_cannot_add_up_say_what_to_give(draws, draw, advice):
    with pytest.raises(PanelError, match="the values are of 20 geos") as caught:
        draw(draws["roas"])
    assert advice in str(caught.value)
    assert not plt.get_fignums()


def test_experiments_are_placed_in_standard_errors():
    rows = {
        "kind": ["lift test", "cost per target"],
        "channel": ["TV", "Radio"],
        "geo": ["north", ""],
        "start": ["2024-01-07", ""],
        "end": ["2024-01-28", ""],
        "mean": [12_000.0, 2.0],
        "lower": [10_000.0, 1.0],
        "upper": [14_000.0, 4.0],
        "measured": [10_000.0, 3.0],
        "se": [1_000.0, 0.5],
        "pit": [0.04, 0.9],
    }
    ax = plots.plot_experiments(pd.DataFrame(rows), target="sales")
    dots = next(line for line in ax.lines if line.get_label() == "Predicted mean")
    assert dots.get_xdata().tolist() == [2.0, -2.0]
    words = " ".join(texts(ax)).replace("\n", " ")
    assert "TV, north 2024-01-07" in words
    assert "Radio (cost)" in words
    assert "12.0k, measured 10.0k \u00b1 1.00k; PIT 0.04" in words
