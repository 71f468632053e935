"""Pictures of responses, audiences and uplift: what is drawn is what was computed."""

import numpy as np
import pandas as pd
import pytest
from remarketing import responders

from mmm_jax import plots
from mmm_jax.errors import RemarketingError
from mmm_jax.remarketing.audience import choose_audience
from mmm_jax.remarketing.curves import calibration_bins, gain_curves, precision_recall_curves, roc_curves
from mmm_jax.remarketing.uplift import uplift_curve

Y, P, _ = responders.customers(300, draws=20)


def line(ax, label: str) -> tuple[np.ndarray, np.ndarray]:
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def drawn(ax) -> None:
    ax.figure.draw_without_rendering()


CURVES = [
    (plots.plot_roc, roc_curves),
    (plots.plot_precision_recall, precision_recall_curves),
    (plots.plot_gain, gain_curves),
]


@pytest.mark.parametrize(("plot", "curve"), CURVES)
def test_curves_are_those_of_the_mean_with_the_draws_band(plot, curve):
    ax = plot(Y, P, prob=0.8)
    x, y = line(ax, "Mean probability")
    np.testing.assert_allclose(y, curve(Y, P.mean(axis=0), x)[0])
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    lower, upper = np.quantile(curve(Y, P, x), [0.1, 0.9], axis=0)
    middle = len(x) // 2
    heights = corners[np.isclose(corners[:, 0], x[middle])][:, 1]
    assert {heights.min(), heights.max()} == {lower[middle], upper[middle]}
    assert band.get_label() == "80% interval over the draws"
    drawn(ax)


@pytest.mark.parametrize(("plot", "curve"), CURVES)
def test_a_model_without_draws_has_no_band(plot, curve):
    ax = plot(Y, P[0])
    assert not ax.collections
    drawn(ax)


def test_guessing_finds_as_many_as_there_are():
    _, rate = line(plots.plot_precision_recall(Y, P), f"Guessing ({Y.mean():.0%})")
    assert rate[0] == Y.mean()
    x, y = line(plots.plot_gain(Y, P), "Knowing them all")
    np.testing.assert_allclose((x[1], y[1]), (Y.mean(), 1))


@pytest.mark.parametrize("equal_mass", [True, False])
def test_calibration_shows_bins_with_intervals_and_counts(equal_mass):
    ax = plots.plot_calibration_curve(Y, P, bins=5, equal_mass=equal_mass)
    table = calibration_bins(Y, P, bins=5, equal_mass=equal_mass)
    x, y = line(ax, "Share that responded")
    np.testing.assert_array_equal(x, table["predicted"])
    np.testing.assert_array_equal(y, table["observed"])
    (bars,) = ax.collections
    np.testing.assert_allclose([bar[:, 1] for bar in bars.get_segments()], table[["lower", "upper"]])
    words = [text.get_text() for text in ax.texts]
    assert words == ([] if equal_mass else [str(count) for count in table["customers"]])
    assert ("5 groups of 60 customers" in ax.get_title()) == equal_mass
    drawn(ax)


def odds(count: int) -> pd.DataFrame:
    centre = np.linspace(-0.45, 1.05, count)
    names = {"per_sd": 0.0, "per_sd_lower": -0.25, "per_sd_upper": 0.25}
    columns = {name: np.exp(centre + shift) for name, shift in names.items()}
    return pd.DataFrame(columns, index=[f"$feature {number}" for number in range(count)])


def test_odds_ratios_are_sorted_and_hollow_where_nothing_is_known():
    ax = plots.plot_odds_ratios(odds(7), prob=0.9, most=6)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [rf"\$feature {number}" for number in (6, 5, 4, 0, 3, 1)]
    clear, _ = line(ax, "Odds ratio")
    hidden, _ = line(ax, "Interval has 1 in it")
    np.testing.assert_allclose(np.log(clear), [1.05, 0.8, 0.55, -0.45, 0.3])
    np.testing.assert_allclose(np.log(hidden), [-0.2])
    assert ax.get_title() == "Odds ratios by feature, the 6 largest of 7"
    drawn(ax)


def test_odds_ratios_need_their_columns():
    with pytest.raises(RemarketingError, match="no column 'per_unit'"):
        plots.plot_odds_ratios(odds(3), per="unit")
    with pytest.raises(RemarketingError, match="`per` must be one of 'sd', 'unit', got 'day'"):
        plots.plot_odds_ratios(odds(3), per="day")


def test_the_audience_is_marked_on_the_profit():
    p, _, margin = responders.shop(0)
    found = choose_audience(p, margin=margin, cost=2.0)
    ax = plots.plot_audience(found, currency="EUR")
    x, y = line(ax, f"Audience: {found.contacts} contacts")
    contacts, profit = line(ax, "Expected profit")
    assert (x[0], y[0]) == (found.contacts, found.expected)
    assert y[0] == pytest.approx(profit.max())
    assert x[0] == contacts[profit.argmax()]
    np.testing.assert_array_equal(contacts, found.table["contacts"])
    assert ax.get_ylabel() == "Profit (EUR)"
    drawn(ax)
    held = plots.plot_audience(choose_audience(p, margin=margin, cost=2.0, holdout=10))
    x, y = line(held, f"Audience: {found.contacts - 10} contacts, 10 held out")
    assert y[0] < found.expected


def test_uplift_is_drawn_beside_chance():
    rng = np.random.default_rng(0)
    treated = rng.random(300) < 0.5
    curve = uplift_curve(P, Y, treated, permutations=20)
    ax = plots.plot_uplift_curve(curve)
    np.testing.assert_array_equal(line(ax, "By estimated uplift")[1], curve.table["gain"])
    np.testing.assert_array_equal(line(ax, "At random")[1], curve.table["random"])
    drawn(ax)
