"""What the pictures of plans must say; how they look is judged by eye."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.text import Text
from planning.fits import HORIZON, fit_from_prior, planned_rows, usual_total

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.cli.pictures import save_plan_pictures
from mmm_jax.planning.curves import plan_curves
from mmm_jax.plots import style
from mmm_jax.plots.frontier import break_even_total

CHANNELS = list(planned_rows().channels)


class Case:
    """A plan by date with some periods at bounds, the curves it stands on, and other totals."""

    def __init__(self):
        fit, total = fit_from_prior(), usual_total(fit_from_prior())
        statement = {"horizon": planned_rows(), "num_starts": 1}
        boxes = [mj.Box(CHANNELS[0], lower=0.0, upper=0.0), mj.Box(CHANNELS[1], upper=0.2 * total / HORIZON)]
        self.plan = mj.optimize_budget(fit, total=total, by=("channel", "date"), constraints=boxes, **statement)
        even = dict(zip(CHANNELS, [0.1 * total, 0.2 * total, 0.3 * total, 0.4 * total], strict=True))
        self.reference = xr.ones_like(self.plan.spend) * xr.DataArray(list(even.values()), {"channel": CHANNELS}) / HORIZON
        self.curves = plan_curves(self.plan, reference=self.reference)
        self.comparison = self.plan.compare(self.reference)
        self.frontier = mj.budget_frontier(fit, totals=[0.5 * total, total, 2 * total, 40 * total], **statement)


@pytest.fixture(scope="module")
def case():
    return Case()


# Picture, then the units that its horizontal and vertical axes must name.
PICTURES = {
    "plan": (lambda c: plots.plot_plan(c.plan, c.reference, currency="USD"), "(USD) over 13 weeks", "Channel"),
    "improvement": (lambda c: plots.plot_improvement(c.comparison, target="sales"), "(sales)", "%"),
    "by date": (lambda c: plots.plot_plan_by_date(c.plan, c.reference, currency="USD"), "Date", "(USD per week)"),
    "frontier": (
        lambda c: plots.plot_frontier(c.frontier, plan=c.plan, break_even=1.0, currency="USD", target="sales"),
        "(USD) over 13 weeks",
        "(sales)",
    ),
    "curves": (
        lambda c: plots.plot_plan_curves(c.curves, c.plan, c.reference, currency="USD", target="sales"),
        "(USD) over 13 weeks",
        "(sales per USD)",
    ),
}


def all_axes(drawn):
    return list(np.ravel(np.asarray(drawn, dtype=object)))


def line(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def steps(ax):
    """Heights of the plan's steps, and of the reference's, if there is one."""
    filled, _, *others = ax.patches
    return filled.get_data().values, others[0].get_data().values if others else None


def assert_nothing_cut_off(figure):
    figure.draw_without_rendering()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.smoke
@pytest.mark.parametrize("name", PICTURES)
def test_axes_name_their_units_and_nothing_is_cut_off_or_empty(name, case):
    picture, x, y = PICTURES[name]
    settings = dict(mpl.rcParams)
    axes = all_axes(picture(case))
    figure = axes[0].figure
    assert x in (figure.get_supxlabel() or axes[-1].get_xlabel())
    assert y in (figure.get_supylabel() or axes[0].get_ylabel())
    assert figure.get_suptitle() or axes[0].get_title()
    assert all(ax.has_data() for ax in axes)
    assert_nothing_cut_off(figure)
    words = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in words) >= 8
    assert dict(mpl.rcParams) == settings


def test_bars_add_all_dates_up_and_count_those_at_bounds(case):
    ax = plots.plot_plan(case.plan, case.reference)
    planned, before = (np.array([bar.get_width() for bar in ax.patches[k : k + 4]]) for k in (0, 4))
    np.testing.assert_allclose(planned, case.plan.channel_spend)
    np.testing.assert_allclose(before, case.reference.sum("date"))
    words = [text.get_text() for text in ax.texts]
    for channel, word in zip(CHANNELS, words, strict=True):
        state = case.plan.channel_state.sel(channel=channel).item()
        assert word.endswith(f", {state})") != (state == "interior")


def test_steps_are_the_spend_of_each_date(case):
    everything, *channels = plots.plot_plan_by_date(case.plan, case.reference.isel(channel=[2, 0, 3, 1]))
    assert everything.get_title() == "All channels"
    np.testing.assert_allclose(steps(everything)[0], case.plan.spend.sum("channel"))
    for name, ax in zip(CHANNELS, channels, strict=True):
        assert ax.get_title() == name
        for found, expected in zip(steps(ax), (case.plan.spend, case.reference), strict=True):
            np.testing.assert_allclose(found, expected.sel(channel=name))
        assert ax.get_ylim()[0] == 0


def test_triangles_stand_where_a_date_is_at_a_bound(case):
    _, *axes = plots.plot_plan_by_date(case.plan)
    for name, ax in zip(CHANNELS, axes, strict=True):
        state = case.plan.certificate.state.sel(channel=name).to_numpy()
        for word in ("at lower bound", "at upper bound"):
            marks = [line for line in ax.lines if line.get_label() == style.sentence(word)]
            assert sum(len(mark.get_xdata()) for mark in marks) == (state == word).sum()
    assert "At upper bound" in labels(axes[0].figure)


def test_dates_of_several_geos_are_added_up():
    spend = xr.DataArray(
        np.random.default_rng(0).gamma(2.0, 1e5, (3, 2, 2)),
        {"date": planned_rows().dates[:3].astype("datetime64[ns]"), "channel": ["TV", "Radio"], "geo": ["north", "south"]},
        ("date", "channel", "geo"),
    )
    states = xr.full_like(spend, "at upper bound", dtype=object)
    plan = SimpleNamespace(spend=spend, certificate=SimpleNamespace(state=states))
    everything, tv, _ = plots.plot_plan_by_date(plan, spend.transpose("geo", "date", "channel"))
    np.testing.assert_allclose(steps(tv)[0], spend.sel(channel="TV").sum("geo"))
    np.testing.assert_allclose(steps(tv)[1], steps(tv)[0])
    np.testing.assert_allclose(steps(everything)[0], spend.sum(["channel", "geo"]))
    assert not tv.lines
    np.testing.assert_allclose(
        [bar.get_width() for bar in plots.plot_plan(plan, spend).patches[:2]], spend.sum(["date", "geo"])
    )


@pytest.mark.parametrize(("channels", "dates"), [(1, 1), (2, 1), (1, 60), (13, 60), (30, 2)])
def test_few_and_many_channels_and_dates_fit(channels, dates):
    names = ["_tv"] if channels == 1 else [f"A channel with a long name, market ${k}$" for k in range(channels)]
    coords = {"date": np.datetime64("2024-01-07", "ns") + np.arange(dates) * np.timedelta64(7, "D"), "channel": names}
    spend = xr.DataArray(np.random.default_rng(0).gamma(2.0, 1e6, (dates, channels)), coords, ("date", "channel"))
    axes = plots.plot_plan_by_date(SimpleNamespace(spend=spend), 0.5 * spend, reference_name="A name that is rather long")
    assert len(axes) == (1 if channels == 1 else channels + 1)
    assert_nothing_cut_off(axes[0].figure)


def test_a_channel_without_spend_says_so(case):
    axes = plots.plot_plan_by_date(case.plan, case.reference.where(case.reference["channel"] != CHANNELS[0], 0.0))
    assert [text.get_text() for text in axes[1].texts] == ["no spend"]
    assert not axes[2].texts


def test_pictures_refuse_a_reference_that_does_not_compare(case):
    for draw in (plots.plot_plan_by_date, lambda *given: plots.plot_plan_curves(case.curves, *given)):
        with pytest.raises(mj.PlanError, match="The plan has 13 dates and the reference 12"):
            draw(case.plan, case.reference.isel(date=slice(1, None)))
        with pytest.raises(mj.PlanError, match=f"these differ: {CHANNELS[1]}"):
            draw(case.plan, case.reference.drop_sel(channel=CHANNELS[1]))


def test_the_frontier_is_its_table(case):
    top, bottom = plots.plot_frontier(case.frontier, prob=0.5)
    table = case.frontier.to_dataset(prob=0.5)
    for ax, name, label in ((top, "response", "Mean response"), (bottom, "marginal_return", "Marginal return")):
        np.testing.assert_allclose(line(ax, label).get_xydata(), np.column_stack([table["total"], table[name]]))
        beyond = line(ax, "Beyond the observed spend").get_xdata()
        np.testing.assert_allclose(beyond, table["total"][table["beyond_observed"]])
    assert 0 < len(beyond) < table.sizes["total"]
    edges = top.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((float(table["lower"].min()), float(table["upper"].max())))
    assert "Not proven to be the best" not in labels(top.figure)


def test_the_frontier_marks_a_plan_or_a_total(case):
    for ax, height in zip(
        plots.plot_frontier(case.frontier, plan=case.plan, plan_name="Ours"),
        (float(case.plan.response.mean()), case.plan.certificate.shadow_price),
        strict=True,
    ):
        np.testing.assert_allclose(line(ax, "Ours").get_xydata()[0], [case.plan.total, height])
    same = case.frontier.plans[1]
    top, bottom = plots.plot_frontier(case.frontier, plan=same.total)
    np.testing.assert_allclose(line(top, "Plan").get_ydata(), float(same.response.mean()))
    np.testing.assert_allclose(line(bottom, "Plan").get_ydata(), same.certificate.shadow_price)


def test_the_frontier_marks_where_more_budget_stops_to_pay(case):
    table = case.frontier.to_dataset()
    marginal = table["marginal_return"].to_numpy()
    for value, words in ((marginal[1], style.compact(float(table["total"][1]))), (2 * marginal[0], "reached before")):
        axes = plots.plot_frontier(case.frontier, break_even=float(value))
        assert f"Break-even ({style.compact(float(value))}): {words}" in labels(axes[0].figure)
    assert any("not reached" in label for label in labels(plots.plot_frontier(case.frontier, break_even=0.0)[0].figure))


def test_break_even_lies_between_the_totals_around_it():
    totals, marginal = np.array([1.0, 2.0, 4.0]), np.array([5.0, 3.0, 1.0])
    assert break_even_total(totals, marginal, 4.0) == pytest.approx(1.5)
    assert break_even_total(totals, marginal, 2.0) == pytest.approx(3.0)
    assert break_even_total(totals, marginal, 3.0) == pytest.approx(2.0)
    assert break_even_total(totals, marginal, 6.0) is None
    assert break_even_total(totals, marginal, 0.5) is None


def test_one_total_is_a_point_and_what_is_not_optimal_is_crossed_out(case):
    one = SimpleNamespace(
        plans=case.frontier.plans[:1], to_dataset=lambda prob: case.frontier.to_dataset(prob=prob)[{"total": [0]}]
    )
    axes = plots.plot_frontier(one, plan=case.frontier.plans[0])
    assert np.ptp(axes[0].get_xlim()) > case.frontier.plans[0].total
    assert_nothing_cut_off(axes[0].figure)
    doubtful = SimpleNamespace(
        plans=case.frontier.plans,
        to_dataset=lambda prob: case.frontier.to_dataset(prob=prob).assign(optimal=("total", [False, True] * 2)),
    )
    crosses = line(plots.plot_frontier(doubtful)[0], "Not proven to be the best").get_xdata()
    np.testing.assert_allclose(crosses, case.frontier.totals[::2])


def test_curves_pass_through_the_plan_and_mark_the_reference(case):
    means = case.plan.channel_response.mean(("chain", "draw"))
    axes = plots.plot_plan_curves(case.curves, case.plan, case.reference)
    assert axes.shape == (4, 2)
    for name, (upper, lower) in list(zip(CHANNELS, axes, strict=True))[1:]:
        assert upper.get_title() == name
        spent, before = case.plan.channel_spend.sel(channel=name), case.reference.sel(channel=name).sum()
        np.testing.assert_allclose(line(upper, "Plan").get_xydata()[0], [spent, means.sel(channel=name)], rtol=1e-6)
        assert line(lower, "Reference").get_xdata()[0] == pytest.approx(float(before))
        slope = np.diff(line(upper, "Mean response").get_ydata()) / np.diff(line(upper, "Mean response").get_xdata())
        heights = line(lower, "Mean marginal return").get_ydata()
        assert np.all((slope <= heights[:-1] * (1 + 1e-9)) & (slope >= heights[1:] * (1 - 1e-9)))


def test_a_channel_that_is_not_planned_is_shown_up_to_twice_the_reference(case):
    upper, lower = plots.plot_plan_curves(case.curves, case.plan, case.reference)[0]
    np.testing.assert_array_equal(line(upper, "Plan").get_xydata(), [[0.0, 0.0]])
    reached = line(upper, "Mean response").get_xdata()[-1]
    assert reached == pytest.approx(2.0 * float(case.reference.sel(channel=CHANNELS[0]).sum()))
    assert upper.get_xlim() == lower.get_xlim()
    assert upper.get_xlim()[1] >= reached


def test_marginal_returns_share_a_scale_and_responses_if_asked(case):
    for share in (False, True):
        axes = plots.plot_plan_curves(case.curves, case.plan, share_y=share)
        assert len({ax.get_ylim() for ax in axes[:, 1]}) == 1
        assert (len({ax.get_ylim() for ax in axes[:, 0]}) == 1) == share
        for ax in axes[:, 0]:
            assert ax.get_ylim()[1] >= max(ax.collections[0].get_paths()[0].vertices[:, 1])


def test_what_was_never_observed_is_grey(case):
    limits = case.curves["spend"].isel(multiplier=15).where(case.curves["channel"] != CHANNELS[2], np.inf)
    axes = plots.plot_plan_curves(case.curves.assign(observed_limit=limits), case.plan)
    for name, pair in zip(CHANNELS, axes, strict=True):
        for ax in pair:
            spans = [patch for patch in ax.patches if patch.get_label() == "Never observed"]
            assert [span.get_x() for span in spans] == [limits.sel(channel=name)] * (name != CHANNELS[2])
    assert "Never observed" in labels(axes[0, 0].figure)


def test_infinitely_steep_beginnings_do_not_hide_the_rest(case):
    steep = case.curves["marginal_return"].where(case.curves["multiplier"] > 0, 1e12)
    axes = plots.plot_plan_curves(case.curves.assign(marginal_return=steep), case.plan, break_even=1.0)
    ends = steep.isel(multiplier=-1).quantile(0.95, ("chain", "draw"))
    assert ends.max() < axes[0, 1].get_ylim()[1] < 1e11
    # The point of a plan without spend would lie far above.
    assert np.isnan(line(axes[0, 1], "Plan").get_ydata()).all()
    assert_nothing_cut_off(axes[0, 0].figure)
    assert "Break-even (1.00)" in labels(axes[0, 0].figure)


@pytest.mark.parametrize("count", [1, 5, 12])
def test_curves_of_any_number_of_channels_fit(count, case):
    names = [f"A channel with a long name, market ${k}$" for k in range(count)]
    curves = case.curves.isel(channel=[k % 3 + 1 for k in range(count)]).assign_coords(channel=names)
    plan = SimpleNamespace(
        spend=case.plan.spend.isel(channel=[k % 3 + 1 for k in range(count)]).assign_coords(channel=names)
    )
    axes = plots.plot_plan_curves(curves, plan, 2.5 * plan.spend, break_even=2.0, target="sales (thousands of units)")
    assert axes.shape == (count, 2)
    assert_nothing_cut_off(axes[0, 0].figure)


def test_a_channel_that_never_had_spend_has_no_curve(case):
    silent = case.curves.where(case.curves["channel"] != CHANNELS[1], 0.0)
    silent["marginal_return"] = silent["marginal_return"].where(silent["spend"] > 0)
    axes = plots.plot_plan_curves(
        silent, SimpleNamespace(spend=case.plan.spend.where(case.plan.spend["channel"] != CHANNELS[1], 0.0))
    )
    assert [text.get_text() for text in axes[1, 0].texts] == ["no spend"]
    assert not axes[1, 1].lines


@pytest.mark.parametrize("asked", [None, True, False])
def test_the_folder_of_a_plan_holds_what_it_has(asked, case, tmp_path):
    even = case.frontier.plans[0]
    reference = xr.ones_like(even.spend)
    paths = save_plan_pictures(even, reference, even.compare(reference), tmp_path, by_date=asked, frontier=case.frontier)
    expected = {"plan", "improvement", "plan_curves", "frontier"} | ({"plan_by_date"} if asked else set())
    assert {path.stem for path in paths} == {path.stem for path in tmp_path.iterdir()} == expected
    assert not plt.get_fignums()


def test_a_plan_that_changes_by_date_is_drawn_by_date(case, tmp_path):
    paths = save_plan_pictures(case.plan, case.reference, case.comparison, tmp_path)
    assert {path.stem for path in paths} == {"plan", "improvement", "plan_curves", "plan_by_date"}
