import helpers
import numpy as np
import pytest
import strategies
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st

from mmm_jax import coverage, crps, mape, nrmse, r2, score_table

ALL_SCORES = [crps, coverage, mape, nrmse, r2]


def test_crps_oracle():
    oracle = helpers.load_oracle("transforms.json")["crps"]
    found = crps(np.array(oracle["y_true"]), np.array(oracle["y_pred"]))
    np.testing.assert_allclose(found, oracle["per_obs"], rtol=0, atol=1e-10)


@pytest.mark.smoke
@given(forecast=strategies.forecasts())
def test_crps_equals_the_sum_over_all_pairs(forecast):
    y, draws = forecast
    np.testing.assert_allclose(crps(y, draws), helpers.crps(y, draws), rtol=0, atol=1e-10)


@given(forecast=strategies.forecasts(), factor=strategies.number(-3.0, 3.0), shift=strategies.number(-50.0, 50.0))
def test_crps_scales_with_the_units_and_does_not_move_with_the_origin(forecast, factor, shift):
    y, draws = forecast
    np.testing.assert_allclose(
        crps(factor * y + shift, factor * draws + shift), abs(factor) * crps(y, draws), rtol=0, atol=1e-10
    )


@given(forecast=strategies.forecasts(), data=st.data())
def test_crps_does_not_depend_on_the_order_of_the_draws(forecast, data):
    y, draws = forecast
    order = data.draw(st.permutations(range(len(draws))))
    np.testing.assert_allclose(crps(y, draws[order]), crps(y, draws), rtol=0, atol=1e-10)


@given(forecast=strategies.forecasts())
def test_crps_is_not_negative_and_zero_for_a_sure_and_right_forecast(forecast):
    y, draws = forecast
    assert np.all(crps(y, draws) >= -1e-10)
    np.testing.assert_allclose(crps(y, np.tile(y, (7, 1))), 0.0, atol=1e-12)


@given(forecast=strategies.forecasts())
def test_crps_of_one_draw_is_the_absolute_error(forecast):
    y, draws = forecast
    np.testing.assert_allclose(crps(y, draws[:1]), np.abs(draws[0] - y), rtol=0, atol=1e-12)


def test_crps_of_a_normal_forecast_is_its_closed_form():
    # Gneiting and Raftery (2007), eq. 21, at y = mu: sigma (2 phi(0) - 1 / sqrt(pi)).
    draws = np.random.default_rng(0).normal(3.0, 2.0, (200_000, 1))
    expected = 2.0 * (2 / np.sqrt(2 * np.pi) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(crps(np.array([3.0]), draws), expected, rtol=0.01)


@given(forecast=strategies.forecasts(), prob=strategies.number(0.05, 0.95))
def test_coverage_equals_the_naive_count(forecast, prob):
    y, draws = forecast
    inside = [
        np.quantile(column, (1 - prob) / 2) <= value <= np.quantile(column, (1 + prob) / 2)
        for value, column in zip(y, draws.T, strict=True)
    ]
    np.testing.assert_allclose(coverage(y, draws, prob), sum(inside) / len(y), rtol=1e-12)


@given(forecast=strategies.forecasts())
def test_coverage_grows_with_the_probability(forecast):
    shares = [coverage(*forecast, prob) for prob in (0.0, 0.3, 0.9, 1.0)]
    assert shares == sorted(shares)
    y, draws = forecast
    assert shares[-1] == np.mean((draws.min(axis=0) <= y) & (y <= draws.max(axis=0)))


def test_coverage_of_a_calibrated_forecast_is_its_probability():
    rng = np.random.default_rng(0)
    y, draws = rng.normal(size=5000), rng.normal(size=(400, 5000))
    np.testing.assert_allclose([coverage(y, draws, prob) for prob in (0.5, 0.9)], [0.5, 0.9], atol=0.02)
    assert coverage(y, draws) == coverage(y, draws, 0.9)


@given(forecast=strategies.forecasts())
def test_mape_equals_the_naive_mean(forecast):
    y, draws = forecast
    assume(np.all(y != 0))
    expected = [
        sum(abs(value - found) / abs(value) for value, found in zip(y, draw, strict=True)) / len(y) for draw in draws
    ]
    np.testing.assert_allclose(mape(y, draws), expected, rtol=1e-10)


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_mape_is_infinite_where_an_observation_is_zero(draw):
    np.testing.assert_array_equal(mape(np.array([0.0, 2.0]), np.array([[draw, 2.0]])), [np.inf])


@given(forecast=strategies.forecasts())
def test_nrmse_and_r2_equal_the_naive_sums(forecast):
    y, draws = forecast
    assume(np.ptp(y) > 0)
    squares = np.array([sum((value - found) ** 2 for value, found in zip(y, draw, strict=True)) for draw in draws])
    np.testing.assert_allclose(nrmse(y, draws), np.sqrt(squares / len(y)) / (max(y) - min(y)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(r2(y, draws), 1 - squares / sum((value - y.mean()) ** 2 for value in y), rtol=1e-9, atol=1e-9)


@given(forecast=strategies.forecasts(), factor=strategies.number(0.1, 3.0))
def test_relative_scores_do_not_depend_on_the_units(forecast, factor):
    y, draws = forecast
    assume(np.ptp(y) > 0)
    assume(np.all(y != 0))
    for score in (mape, nrmse, r2):
        np.testing.assert_allclose(score(factor * y, factor * draws), score(y, draws), rtol=1e-7, atol=1e-7)


def test_r2_is_one_for_truth_zero_for_the_mean_and_negative_beyond():
    y = np.array([1.0, 2.0, 6.0])
    draws = np.stack([y, np.full(3, 3.0), -y])
    found = r2(y, draws)
    np.testing.assert_allclose(found[:2], [1.0, 0.0], atol=1e-12)
    assert found[2] < 0


@pytest.mark.parametrize("y", [np.array([5.0]), np.full(4, 0.1)], ids=["one row", "constant"])
def test_scores_relative_to_the_spread_are_infinite_without_one(y):
    draws = np.tile(y, (2, 1)) + [[1.0], [-2.0]]
    np.testing.assert_array_equal(nrmse(y, draws), [np.inf, np.inf])
    np.testing.assert_array_equal(r2(y, draws), [-np.inf, -np.inf])


# Shapes and labels.


@pytest.mark.parametrize("score", ALL_SCORES)
def test_chains_and_draws_all_count_as_draws(score):
    rng = np.random.default_rng(0)
    y, draws = rng.uniform(1.0, 2.0, 5), rng.uniform(1.0, 2.0, (2, 3, 5))
    np.testing.assert_array_equal(score(y, draws), score(y, draws.reshape(6, 5)))
    labelled = xr.DataArray(draws, dims=("chain", "draw", "date"))
    np.testing.assert_array_equal(score(xr.DataArray(y, dims="date"), labelled), score(y, draws))


@pytest.mark.parametrize("score", ALL_SCORES)
@pytest.mark.parametrize(
    ("y", "draws"),
    [
        (np.zeros(3), np.zeros((4, 2))),
        (np.zeros(3), np.zeros((3, 4))),
        (np.zeros((1, 3)), np.zeros((4, 3))),
        (np.float64(1.0), np.zeros((4, 1))),
        (np.zeros(3), np.float64(1.0)),
    ],
    ids=["other time", "transposed", "two axes", "no axis", "draws without axis"],
)
def test_shapes_that_do_not_fit_are_refused_and_named(score, y, draws):
    with pytest.raises(ValueError, match=r"`y` must have shape \(time,\).*got") as error:
        score(y, draws)
    assert f"{y.shape} and {draws.shape}" in str(error.value)


def test_score_table_scores_draws_and_their_mean():
    rng = np.random.default_rng(0)
    y, draws, means = rng.uniform(1.0, 2.0, 5), rng.uniform(1.0, 2.0, (2, 3, 5)), rng.uniform(1.0, 2.0, (2, 3, 5))
    dims = ("chain", "draw", "date")
    table = score_table(y, xr.Dataset({"y": (dims, draws), "mean": (dims, means)}), prob=0.5)
    centre = means.mean(axis=(0, 1))
    assert list(table) == ["crps", "coverage", "mape", "nrmse", "r2"]
    np.testing.assert_allclose(table["crps"], crps(y, draws).mean(), rtol=1e-12)
    np.testing.assert_allclose(table["coverage"], coverage(y, draws, 0.5), rtol=1e-12)
    for name, score in (("mape", mape), ("nrmse", nrmse), ("r2", r2)):
        np.testing.assert_allclose(table[name], score(y, centre[None])[0], rtol=1e-12)
    assert all(type(value) is float for value in table.values())
