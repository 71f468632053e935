"""What every picture must keep to, and what each one must say; shapes and looks are judged by eye."""

import re
import warnings
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.text import Text

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.plots import style

CHANNELS = list(mj.synthetic.CHANNEL_SPEND)


class Case:
    """A small fit and everything that the pictures are made of."""

    def __init__(self):
        market = mj.synthetic.make_market(seed=3, weeks=60)
        self.panel, self.roas_truth = market.panel, dict(market.truth.roas)
        self.train, self.test = self.panel.split(str(self.panel.dates[51]))
        spec = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=2)
        with warnings.catch_warnings():
            # So few draws are enough to draw, not to believe.
            warnings.simplefilter("ignore", mj.ConvergenceWarning)
            sampler = {"num_chains": 2, "num_warmup": 150, "num_samples": 50, "max_tree_depth": 5}
            self.fit = mj.fit(self.train, spec, progress=False, **sampler)
        self.fitted, self.forecast = self.fit.predict(), self.fit.predict(self.test)
        self.contributions, self.waterfall = self.fit.contributions(), self.fit.waterfall()
        self.shares, self.roas = self.fit.contribution_shares(), self.fit.roas()
        self.response, self.saturation = self.fit.response_curves(), self.fit.saturation_curves()
        # Stand-ins, since sampling the prior takes longer to compile than all pictures take to draw.
        self.prior = self.fitted * xr.DataArray(np.random.default_rng(1).lognormal(0.0, 3.0, 50), dims="draw")
        slopes = self.fit.draws["saturation_lam"]
        moments = {
            "posterior_mean": slopes.mean((0, 1)),
            "posterior_sd": slopes.std((0, 1)),
            "prior_mean": 1.0,
            "prior_sd": 2.0,
        }
        self.learnt = pd.DataFrame(moments, index=[f"saturation_lam[{channel}]" for channel in CHANNELS])
        self.reference = spend_array(self.test)
        factors = xr.DataArray(np.linspace(0.4, 1.6, 7), {"channel": CHANNELS}, "channel")
        state = xr.DataArray(["at lower bound", *["interior"] * 5, "at upper bound"], factors.coords, "channel")
        self.plan = SimpleNamespace(spend=self.reference * factors, channel_state=state)
        gain = np.random.default_rng(0).normal(2.0e6, 3.0e6, (2, 200))
        difference = xr.DataArray(gain, dims=("chain", "draw"))
        self.comparison = SimpleNamespace(difference=difference, probability_better=float((gain > 0).mean()))


@pytest.fixture(scope="session")
def case():
    return Case()


def spend_array(panel):
    coords = {"date": panel.dates.astype("datetime64[ns]"), "channel": list(panel.channels)}
    return xr.DataArray(panel.spend.T, coords, ("date", "channel"))


# Picture, then the units that its horizontal and vertical axes must name.
SINGLE = {
    "target": (lambda c, **on: plots.plot_target(c.panel, **on), "Date", "Sales per week"),
    "spend shares": (lambda c, **on: plots.plot_spend_shares(c.panel, currency="USD", **on), "(USD)", "Channel"),
    "prior": (lambda c, **on: plots.plot_predictive(c.prior, c.train, **on), "Date", "Sales per week"),
    "posterior": (lambda c, **on: plots.plot_predictive(c.fitted, c.train, **on), "Date", "Sales per week"),
    "forecast": (
        lambda c, **on: plots.plot_forecast(c.fitted, c.forecast, c.train, c.test, target="sales (USD)", **on),
        "Date",
        "Sales (USD) per week",
    ),
    "contributions": (lambda c, **on: plots.plot_contributions(c.contributions, c.train, **on), "Date", "Sales per week"),
    "waterfall": (lambda c, **on: plots.plot_waterfall(c.waterfall, target="sales (USD)", **on), "(USD)", "Component"),
    "contribution shares": (lambda c, **on: plots.plot_contribution_shares(c.shares, **on), "%", "Channel"),
    "roas": (
        lambda c, **on: plots.plot_roas(c.roas, truth=c.roas_truth, break_even=1.0, currency="USD", target="sales", **on),
        "(sales per USD)",
        "Channel",
    ),
    "share against roas": (
        lambda c, **on: plots.plot_share_against_roas(c.shares, c.roas, currency="USD", target="sales", **on),
        "(sales per USD)",
        "%",
    ),
    "plan": (lambda c, **on: plots.plot_plan(c.plan, c.reference, currency="USD", **on), "(USD) over 8 weeks", "Channel"),
    "improvement": (lambda c, **on: plots.plot_improvement(c.comparison, target="sales", **on), "(sales)", "%"),
    "prior to posterior": (lambda c, **on: plots.plot_prior_posterior(c.learnt, **on), "standard deviations", "Parameter"),
}
MULTIPLE = {
    "scatter": (lambda c: plots.plot_spend_against_target(c.panel, currency="USD"), "(USD per week)", "Sales per week"),
    "residuals": (lambda c: plots.plot_residuals(c.fitted, c.train), "Date", "sales per week"),
    "response": (lambda c: plots.plot_response_curves(c.response, currency="USD", target="sales"), "(USD)", "(sales)"),
    "saturation": (
        lambda c: plots.plot_saturation_curves(c.saturation, currency="USD", target="sales", period="week"),
        "(USD per week)",
        "(sales per week)",
    ),
}
ALL = SINGLE | MULTIPLE


def first(drawn):
    return drawn.flat[0] if isinstance(drawn, np.ndarray) else drawn


def assert_nothing_cut_off(figure):
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    # Two hundredths of an inch are the pen's width.
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.parametrize("name", ALL)
def test_axes_name_their_units_and_nothing_is_cut_off(name, case):
    picture, x, y = ALL[name]
    settings = dict(mpl.rcParams)
    drawn = picture(case)
    ax = first(drawn)
    assert x in (ax.get_xlabel() or ax.figure.get_supxlabel())
    assert y in (ax.get_ylabel() or ax.figure.get_supylabel())
    assert ax.get_title() or ax.figure.get_suptitle()
    assert_nothing_cut_off(ax.figure)
    words = [text for text in ax.figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in words) >= 8
    assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("name", SINGLE)
def test_given_axes_are_drawn_on_and_no_figure_is_opened(name, case):
    figure, ax = plt.subplots()
    assert SINGLE[name][0](case, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert ax.has_data()


def band_edges(polygon, dates):
    """Lowest and highest point of a filled band at each date."""
    corners = polygon.get_paths()[0].vertices
    at = [corners[np.isclose(corners[:, 0], mpl.dates.date2num(date)), 1] for date in dates]
    return np.array([heights.min() for heights in at]), np.array([heights.max() for heights in at])


def bands(ax):
    return [found for found in ax.collections if isinstance(found, PolyCollection)]


def labelled_line(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def words_in(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("which", ["prior", "fitted"])
def test_predictive_intervals_nest_and_hold_the_median(which, case):
    predicted, dates = getattr(case, which), case.train.dates
    ax = plots.plot_predictive(predicted, case.train, probs=(0.9, 0.5))
    (low90, high90), (low50, high50) = (band_edges(band, dates) for band in bands(ax))
    median = labelled_line(ax, "Median").get_ydata()
    assert np.all((low90 <= low50) & (low50 <= median) & (median <= high50) & (high50 <= high90))
    np.testing.assert_allclose(high90, predicted["y"].quantile(0.95, ("chain", "draw")), rtol=1e-6)
    np.testing.assert_array_equal(labelled_line(ax, "Observed").get_ydata(), case.train.target)


def test_infinite_draws_are_left_out_and_admitted(case):
    spoilt = case.fitted.copy(deep=True)
    spoilt["y"][:, :25] = np.inf
    ax = plots.plot_predictive(spoilt, case.train)
    assert any("50% of the draws are infinite" in text.get_text() for text in ax.get_legend().get_texts())
    assert np.all(np.isfinite(ax.get_ylim()))


def test_forecast_marks_the_split_and_gives_the_scores(case):
    ax = plots.plot_forecast(case.fitted, case.forecast, case.train, case.test)
    split = mpl.dates.num2date(labelled_line(ax, "Forecast begins").get_xdata()[0]).replace(tzinfo=None)
    assert case.train.dates[-1] < np.datetime64(split) < case.test.dates[0]
    scores = mj.score_table(case.test.target, case.forecast)
    said = next(text.get_text() for text in ax.get_legend().get_texts() if text.get_text().startswith("Test"))
    assert f"covers {style.percent(scores['coverage'])}, CRPS {style.compact(scores['crps'])}" in said


def test_forecast_without_an_outcome_has_no_score(case):
    future = mj.Panel.from_frame(
        case.test.to_frame().reset_index().drop(columns="sales"),
        date="date",
        target=None,
        channels=case.test.channels,
        controls=case.test.control_names,
    )
    ax = plots.plot_forecast(case.fitted, case.forecast, case.train, future)
    assert [text.get_text().count("CRPS") for text in ax.get_legend().get_texts()][:2] == [1, 0]


def test_predictions_of_other_rows_are_refused(case):
    with pytest.raises(mj.PanelError, match="8 rows from .* the panel has 52"):
        plots.plot_residuals(case.forecast, case.train)
    with pytest.raises(mj.PanelError, match="Give the panel that was predicted"):
        plots.plot_forecast(case.fitted, case.forecast, case.train, case.train)


def test_residuals_are_all_drawn_and_those_outside_match_the_coverage(case):
    for ax in plots.plot_residuals(case.fitted, case.train, prob=0.8):
        inside, outside = (points.get_offsets()[:, 1] for points in ax.collections)
        residual = case.train.target - case.fitted["mean"].mean(("chain", "draw")).to_numpy()
        np.testing.assert_allclose(np.sort([*inside, *outside]), np.sort(residual))
        assert len(inside) / len(residual) == pytest.approx(mj.coverage(case.train.target, case.fitted["y"], 0.8))


def signed_heights(ax, dates):
    edges = [band_edges(band, dates) for band in bands(ax)]
    return sum(np.where(low < 0, low - high, high - low) for low, high in edges), edges


def test_stacked_contributions_add_up_to_the_mean(case):
    ax = plots.plot_contributions(case.contributions)
    mean = case.fitted["mean"].mean(("chain", "draw")).to_numpy()
    heights, edges = signed_heights(ax, case.train.dates)
    np.testing.assert_allclose(heights, mean, rtol=1e-4)
    np.testing.assert_allclose(labelled_line(ax, "Expected (the sum)").get_ydata(), mean, rtol=1e-4)
    # Nothing is negative here, so that the line is the upper edge of the stack.
    np.testing.assert_allclose(np.max([high for _, high in edges], axis=0), mean, rtol=1e-4)


def test_negative_contributions_hang_below_zero(case):
    dates = case.train.dates
    together = xr.full_like(case.contributions["intercept"], -3.0e7)
    changed = case.contributions.assign(interaction=together)
    changed["media"] = changed["media"] * xr.where(changed["channel"] == "TV", -1.0, 1.0)
    ax = plots.plot_contributions(changed, max_channels=3)
    means = changed.mean(("chain", "draw"), dtype=float)
    total = sum(part.sum([dim for dim in part.dims if dim != "date"]) for part in means.values()).to_numpy()
    heights, edges = signed_heights(ax, dates)
    np.testing.assert_allclose(heights, total, rtol=1e-4)
    np.testing.assert_allclose(labelled_line(ax, "Expected (the sum)").get_ydata(), total, rtol=1e-4)
    lowest = np.min([low for low, _ in edges], axis=0)
    assert np.all(lowest <= -3.0e7)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"4 other channels", "Interaction", "Baseline"} <= set(labels)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_components": 5}, {"groups": {"Holidays": list(mj.synthetic.HOLIDAYS)}}],
    ids=["all", "short", "grouped"],
)
def test_waterfall_has_no_gap_and_ends_at_the_total(options, case):
    bars = plots.plot_waterfall(case.waterfall, **options).patches
    *steps, total = sorted(bars, key=lambda bar: bar.get_y())
    assert total.get_x() == 0
    assert total.get_width() == pytest.approx(case.waterfall["mean"].sum())
    starts, widths = (np.array([getattr(bar, name)() for bar in steps]) for name in ("get_x", "get_width"))
    np.testing.assert_allclose(starts, np.cumsum(widths) - widths, atol=1e-6 * total.get_width())
    assert np.cumsum(widths)[-1] == pytest.approx(total.get_width())


def test_waterfall_bars_are_the_tables_numbers(case):
    ax = plots.plot_waterfall(case.waterfall, max_components=99)
    bars = sorted(ax.patches, key=lambda bar: bar.get_y())[:-1]
    np.testing.assert_allclose([bar.get_width() for bar in bars], case.waterfall["mean"])
    spans = next(lines for lines in ax.collections if lines.get_label() == "90% interval").get_segments()
    lengths = [np.ptp(span[:, 0]) for span in spans]
    np.testing.assert_allclose(lengths, case.waterfall["upper"] - case.waterfall["lower"])


def test_grouped_components_have_no_interval(case):
    ax = plots.plot_waterfall(case.waterfall, groups={"Holidays": case.train.control_names})
    names = [label.get_text() for label in ax.get_yticklabels()]
    spans = next(lines for lines in ax.collections if lines.get_label() == "90% interval").get_segments()
    without = set(range(len(names) - 1)) - {int(span[0, 1]) for span in spans if len(span)}
    assert [names[place] for place in without] == ["Holidays"]
    assert not set(case.train.control_names) & set(names)


def test_spend_shares_are_shares(case):
    bars = plots.plot_spend_shares(case.panel).patches
    widths = [bar.get_width() for bar in bars]
    assert sum(widths) == pytest.approx(1)
    assert widths == sorted(widths, reverse=True)
    np.testing.assert_allclose(np.sort(widths), np.sort(case.panel.describe()["spend_share"]))


def test_scatter_shows_every_period_and_its_correlation(case):
    for ax, spend in zip(plots.plot_spend_against_target(case.panel), case.panel.spend, strict=True):
        points = ax.collections[0].get_offsets()
        np.testing.assert_allclose(points, np.column_stack([spend, case.panel.target]))
        said = float(re.search(r"r = (\S+)", ax.get_title()).group(1).replace("\N{MINUS SIGN}", "-"))
        assert said == pytest.approx(np.corrcoef(spend, case.panel.target)[0, 1], abs=0.0051)


@pytest.mark.parametrize("which", ["shares", "roas"])
def test_rows_hold_mean_and_interval_largest_first(which, case):
    values = getattr(case, which)
    picture = {"shares": plots.plot_contribution_shares, "roas": plots.plot_roas}[which]
    ax, table = picture(values, prob=0.8), mj.interval(values, 0.8)
    names = [label.get_text() for label in ax.get_yticklabels()]
    rows = table.sel(channel=names)
    dots = labelled_line(ax, "Mean").get_xdata()
    np.testing.assert_allclose(dots, rows["mean"])
    assert list(dots) == sorted(dots, reverse=True)
    spans = np.array(next(lines for lines in ax.collections if isinstance(lines, LineCollection)).get_segments())[:, :, 0]
    np.testing.assert_allclose(spans, np.column_stack([rows["lower"], rows["upper"]]))
    assert ax.yaxis_inverted()


def test_roas_marks_the_truth_in_its_channels_row(case):
    ax = plots.plot_roas(case.roas, truth={"TV": 12.5}, break_even=2.0)
    mark, names = labelled_line(ax, "True value"), [label.get_text() for label in ax.get_yticklabels()]
    assert [(x, names[y]) for x, y in zip(*mark.get_data(), strict=True)] == [(12.5, "TV")]
    assert set(labelled_line(ax, "Break-even (2.00)").get_xdata()) == {2.0}
    assert plots.plot_roas(case.roas.assign_attrs(long_name="marginal return on spend")).get_title().startswith("Marginal")


def test_channel_without_spend_has_no_return(case):
    silent = case.roas.where(case.roas["channel"] != "Radio")
    ax = plots.plot_roas(silent)
    assert ax.get_yticklabels()[-1].get_text() == "Radio"
    assert words_in(ax)[-1] == "no spend"
    assert "Radio" not in words_in(plots.plot_share_against_roas(case.shares, silent))


def test_share_against_roas_keeps_names_apart_and_points_right(case):
    ax = plots.plot_share_against_roas(case.shares, case.roas)
    ax.figure.draw_without_rendering()
    boxes = {text.get_text(): Text.get_window_extent(text) for text in ax.texts}
    assert set(boxes) == set(CHANNELS)
    names = list(boxes)
    assert not any(boxes[one].overlaps(boxes[two]) for one in names for two in names if one < two)
    assert all(ax.bbox.contains(*corner) for box in boxes.values() for corner in box.corners())
    dots = np.column_stack(labelled_line(ax, "Mean").get_data())
    np.testing.assert_allclose(dots[:, 0], mj.interval(case.roas)["mean"])
    np.testing.assert_allclose(dots[:, 1], mj.interval(case.shares)["mean"], rtol=1e-6)
    np.testing.assert_allclose([text.xy for text in ax.texts], dots, rtol=1e-6)


def test_response_curves_mark_what_was_spent_and_brought(case):
    total, brought = case.train.spend.sum(axis=1), case.fit.contribution_totals()["media"].mean(("chain", "draw"))
    axes = plots.plot_response_curves(case.response)
    for ax, spent, contribution in zip(axes, total, brought.to_numpy(), strict=True):
        assert labelled_line(ax, "Observed spend").get_xdata()[0] == pytest.approx(spent)
        dot = ax.lines[-1].get_xydata()[0]
        np.testing.assert_allclose(dot, [spent, contribution], rtol=1e-4)


def test_curves_lie_in_their_intervals(case):
    for axes in (plots.plot_response_curves(case.response), plots.plot_saturation_curves(case.saturation)):
        assert [ax.get_title() for ax in axes] == CHANNELS
        for ax in axes:
            line = labelled_line(ax, "Mean").get_xydata()
            corners = bands(ax)[0].get_paths()[0].vertices
            at = [corners[np.isclose(corners[:, 0], x), 1] for x, _ in line]
            assert all(heights.min() <= y <= heights.max() for heights, (_, y) in zip(at, line, strict=True))


def test_response_window_without_one_marks_nothing(case):
    curves = case.response.isel(channel=[0], multiplier=slice(12, None))
    assert "Observed spend" not in [line.get_label() for line in plots.plot_response_curves(curves)[0].lines]


def test_channel_without_spend_has_no_curve(case):
    silent = case.response.where(case.response["channel"] != CHANNELS[0], 0.0)
    axes = plots.plot_response_curves(silent)
    assert words_in(axes[0]) == ["no spend"]
    assert [text.get_text() for text in axes[0].figure.legends[0].get_texts()] == ["90% interval", "Mean", "Observed spend"]


def test_saturation_curves_mark_the_largest_observed_spend(case):
    for ax, largest in zip(plots.plot_saturation_curves(case.saturation), case.train.spend.max(axis=1), strict=True):
        assert labelled_line(ax, "Largest observed spend").get_xdata()[0] == pytest.approx(largest)
    log_link = plots.plot_saturation_curves(case.saturation.isel(channel=[0]), log_link=True, target="sales")
    assert "logarithm of sales" in log_link[0].figure.get_supylabel()


def test_plan_bars_are_totals_and_say_where_they_are_bound(case):
    shuffled = case.reference.isel(channel=[3, 1, 0, 6, 5, 4, 2])
    ax = plots.plot_plan(case.plan, shuffled)
    planned, before = (np.array([bar.get_width() for bar in ax.patches[k : k + 7]]) for k in (0, 7))
    np.testing.assert_allclose(planned, case.plan.spend.sum("date"))
    np.testing.assert_allclose(before, case.test.spend.sum(axis=1))
    words = words_in(ax)
    assert words[0].endswith("(\N{MINUS SIGN}60%, at lower bound)")
    assert words[3].endswith("(unchanged)")
    assert words[6].endswith("(+60%, at upper bound)")


def test_plan_without_a_certificate_and_a_new_channel(case):
    reference = case.reference.where(case.reference["channel"] != "TV", 0.0)
    words = words_in(plots.plot_plan(SimpleNamespace(spend=case.reference), reference))
    assert words[-1].endswith("(new)")
    assert all(word.endswith("(unchanged)") for word in words[:-1])


def test_plan_refuses_a_reference_that_does_not_compare(case):
    with pytest.raises(mj.PlanError, match="The plan has 8 dates and the reference 7"):
        plots.plot_plan(case.plan, case.reference.isel(date=slice(1, None)))
    with pytest.raises(mj.PlanError, match="these differ: TV"):
        plots.plot_plan(case.plan, case.reference.drop_sel(channel="TV"))


@pytest.mark.parametrize("shift", [0.0, 5.0e7, -5.0e7], ids=["both", "all gain", "all loss"])
def test_improvement_shows_all_draws_and_splits_them_at_zero(shift, case):
    gain = case.comparison.difference + shift
    better = float((gain > 0).mean())
    ax = plots.plot_improvement(SimpleNamespace(difference=gain, probability_better=better))
    bars = [bar for container in ax.containers for bar in container]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1)
    right = sum(bar.get_height() for bar in bars if bar.get_x() >= -1e-6 * bar.get_width())
    assert right == pytest.approx(better)
    marks = {line.get_label().split(":")[0]: line.get_xdata()[0] for line in ax.lines}
    assert marks == {"Mean": pytest.approx(float(gain.mean())), "No gain": 0.0}
    span = next(patch for patch in ax.patches if "90% interval" in patch.get_label())
    expected = np.quantile(gain, [0.05, 0.95])
    np.testing.assert_allclose([span.get_x(), span.get_x() + span.get_width()], expected)
    assert ax.get_title().endswith(style.percent(better))


def test_prior_to_posterior_places_what_was_learnt(case):
    ax = plots.plot_prior_posterior(case.learnt)
    np.testing.assert_allclose(labelled_line(ax, "Posterior mean").get_xdata(), (case.learnt["posterior_mean"] - 1.0) / 2.0)
    spans = next(lines for lines in ax.collections if isinstance(lines, LineCollection)).get_segments()
    np.testing.assert_allclose([np.ptp(span[:, 0]) for span in spans], case.learnt["posterior_sd"])
    assert [label.get_text() for label in ax.get_yticklabels()] == list(case.learnt.index)


@pytest.mark.parametrize("count", [1, 30])
def test_one_channel_and_thirty_channels_fit(count):
    names = ["_tv"] if count == 1 else [f"A channel with a long name, market ${k}$" for k in range(count)]
    values = np.random.default_rng(count).gamma(2.0, 1.0, (2, 20, count))
    roas = xr.DataArray(values, {"channel": names}, ("chain", "draw", "channel"))
    grid = np.linspace(0.0, 2.0, 5)
    curves = xr.Dataset(
        {
            "response": roas * xr.DataArray(np.tanh(grid), {"multiplier": grid}, "multiplier"),
            "spend": (("channel", "multiplier"), np.outer(np.linspace(1e3, 1e6, count), grid)),
        }
    )
    shares = roas / roas.sum("channel")
    axes = plots.plot_response_curves(curves)
    assert len(axes) == count
    dates = np.datetime64("2024-01-01", "ns") + np.arange(20) * np.timedelta64(7, "D")
    spend = xr.DataArray(values[0], {"date": dates, "channel": names}, ("date", "channel"))
    drawn = [
        axes[0],
        plots.plot_roas(roas),
        plots.plot_share_against_roas(shares, roas),
        plots.plot_plan(SimpleNamespace(spend=2 * spend), spend),
    ]
    for ax in drawn:
        assert_nothing_cut_off(ax.figure)


def test_panel_without_target_cannot_be_looked_at(case):
    future = mj.Panel.from_frame(case.test.to_frame().reset_index(), date="date", target=None, channels=["TV"])
    with pytest.raises(mj.PanelError, match="no target to draw"):
        plots.plot_target(future)
