"""Pictures of folds and ranks: what they must say; looks are judged by eye."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.validation import tables
from mmm_jax.validation.folds import folds_of
from mmm_jax.validation.ranks import simultaneous_band

LARGEST = 19


def made_up_cv(failed: tuple[str, ...] = ()) -> mj.CrossValidation:
    """Three folds of forecasts that are right but for scatter; no sampling takes part."""
    panel = mj.synthetic.make_market(seed=3, weeks=104).panel
    folds, rng = folds_of(panel.dates, initial=80, horizon=8), np.random.default_rng(0)
    rows = [list(fold.test) for fold in folds]
    observed = panel.target[rows]
    y = observed[:, None, None, :] + rng.normal(0.0, 8e6, (3, 2, 100, 8))
    for number, fold in enumerate(folds):
        y[number] = np.nan if fold.name in failed else y[number]
    coords = {**tables.fold_coords(folds), "ahead": np.arange(1, 9)}
    dims = ("fold", "chain", "draw", "ahead")
    predictions = xr.Dataset({"y": (dims, y), "mean": (dims, y), "observed": (("fold", "ahead"), observed)}, coords)
    predictions["elpd"] = xr.full_like(predictions["observed"], -17.0)
    dated = predictions.assign_coords(date=(("fold", "ahead"), panel.dates[rows].astype("datetime64[ns]")))
    status = {fold.name: "failed" if fold.name in failed else "success" for fold in folds}
    returns = xr.DataArray(rng.gamma(9.0, 1.0, (3, 2, 100, 7)), {"fold": list(status), "channel": list(panel.channels)},
                           ("fold", "chain", "draw", "channel"))  # fmt: skip
    batch = SimpleNamespace(status=status)
    return mj.CrossValidation(mj.ModelSpec(), panel, folds, batch, dated, xr.DataArray(), returns)  # pyright: ignore


def made_up_calibration(*, narrow: bool) -> mj.Calibration:
    """Ranks of three quantities; those of the last one may be of a posterior that is too narrow."""
    rng, names = np.random.default_rng(1), ["intercept", "saturation_beta[TV]", "y_sigma"]
    ranks = rng.integers(0, LARGEST + 1, (200, 3))
    if narrow:
        ranks[:, 2] = np.floor((LARGEST + 1) * rng.beta(0.5, 0.5, 200))
    simulations = [f"simulation {k}" for k in range(200)]
    values = xr.DataArray(ranks, {"simulation": simulations, "quantity": names}, ("simulation", "quantity"))
    ess = xr.DataArray(np.full(200, 400.0), {"simulation": simulations}, ("simulation",))
    return mj.Calibration(values, values.astype(float), ess, LARGEST, dict.fromkeys(simulations, "success"), {})


def line(ax, label):
    return next(found for found in ax.lines if found.get_label() == label)


def assert_nothing_cut_off(figure):
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.parametrize(
    ("picture", "x", "y"),
    [
        (lambda **on: plots.plot_folds(made_up_cv(), target="sales (USD)", **on), "Date", "Sales (USD) per week"),
        (lambda **on: plots.plot_scores_by_horizon(made_up_cv(), **on), "Weeks ahead", "Mean CRPS: sales"),
        (lambda **on: plots.plot_ranks(made_up_calibration(narrow=True), **on), "fraction of the largest", "uniform"),
    ],
    ids=["folds", "horizon", "ranks"],
)
def test_axes_name_their_units_and_given_axes_are_drawn_on(picture, x, y):
    ax = picture()
    assert x in ax.get_xlabel()
    assert y in ax.get_ylabel()
    assert ax.get_title()
    assert_nothing_cut_off(ax.figure)
    plt.close("all")
    figure, given = plt.subplots()
    assert picture(ax=given) is given
    assert plt.get_fignums() == [figure.number]


def test_every_fold_is_drawn_but_those_that_failed():
    for failed, count in ((), 3), (("2016-04-03",), 2):
        cv = made_up_cv(failed)
        ax = plots.plot_folds(cv, prob=0.8)
        bars = [found for found in ax.collections if isinstance(found, LineCollection)]
        assert len(bars) == count
        known = [fold.name for fold in cv.folds if fold.name not in failed]
        band = mj.interval(cv.predictions["y"].sel(fold=known), 0.8)
        spans = np.array([bar.get_segments() for bar in bars])[:, :, :, 1]
        np.testing.assert_allclose(spans[..., 0], band["lower"])
        np.testing.assert_allclose(spans[..., 1], band["upper"])
        assert line(ax, "Observed").get_ydata()[-1] == cv.panel.target[-1]


def test_horizon_lines_are_the_tables_numbers():
    cv = made_up_cv()
    ax, table = plots.plot_scores_by_horizon(cv), cv.scores_by_horizon()
    for label, column in (("Model", "crps"), ("Last value", "last_crps"), ("Same period last year", "seasonal_crps")):
        np.testing.assert_allclose(line(ax, label).get_ydata(), table[column])


def test_stability_has_a_row_of_intervals_per_channel():
    found = made_up_cv().roas(prob=0.8)
    axes = plots.plot_stability(found)
    assert [ax.get_title() for ax in axes] == [str(name) for name in found["channel"].to_numpy()]
    for number, ax in enumerate(axes):
        np.testing.assert_allclose(line(ax, "Mean").get_ydata(), found["mean"][:, number])
        assert line(ax, "Mean of the last fold").get_ydata()[0] == pytest.approx(float(found["mean"][-1, number]))
    assert axes[0].figure.get_supxlabel().startswith("Last training date")
    assert "80% interval" in [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert_nothing_cut_off(axes[0].figure)


def test_ranks_name_what_leaves_the_band_of_all():
    calibration = made_up_calibration(narrow=True)
    ax = plots.plot_ranks(calibration)
    height = line(ax, "y_sigma").get_ydata()
    band = simultaneous_band(200, LARGEST, 1 - 0.05 / 3)
    uniform = np.arange(1, LARGEST + 1) / (LARGEST + 1)
    counts = np.round((height + uniform) * 200)
    assert np.any((counts < band.low) | (counts > band.high))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["95% band of all together", "95% band of one alone", "y_sigma"]


def test_ranks_name_the_worst_where_all_is_well():
    calibration = made_up_calibration(narrow=False)
    assert calibration.calibrated()
    ax = plots.plot_ranks(replace(calibration))
    assert [text.get_text() for text in ax.get_legend().get_texts()][2:] == [calibration.worst]
