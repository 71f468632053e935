"""The response of a plan against loops over dates and lags, and the fast path against the plain one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planning.fits import HORIZON, SPECS, over_horizon, planned_rows

from mmm_jax.analysis.draws import over_draws
from mmm_jax.planning.levels import LevelResponse, horizon_windows
from mmm_jax.planning.response import plan_response

pytestmark = pytest.mark.usefixtures("float64")

CHANNELS = 4
LEVELS = np.array([0.7, 0.0, 0.2, 1.6])
FLAT = np.ones((CHANNELS, HORIZON))
UNEVEN = np.random.default_rng(0).integers(0, 4, (CHANNELS, HORIZON)) / 2.0

respond = eqx.filter_jit(lambda response, levels: response(levels))
build = eqx.filter_jit(LevelResponse.build)


def level_response(fit, profile, *, carry_in=True):
    model, draws = over_horizon(fit, carry_in=carry_in)
    return build(model, draws, horizon_windows(model, profile))


def reference(fit, planned, *, carry_in=True):
    model, draws = over_horizon(fit, carry_in=carry_in)
    return over_draws(plan_response, model, draws, planned)


def loops(fit, planned):
    """maths.md section 12 for geometric adstock and logistic saturation: by draw, channel, date and lag."""
    draws, l_max = fit.flat_draws(), fit.spec.adstock.l_max
    before = fit.panel.spend[:, -(l_max - 1) :] / fit.scales.channel[:, None]
    tail = l_max - 1 if fit.spec.likelihood.additive else 0
    totals, by_channel = [], []
    for s in range(len(draws["intercept"])):
        alpha, lam, beta = (draws[name][s] for name in ("adstock_alpha", "saturation_lam", "saturation_beta"))

        def effects(plan, alpha=alpha, lam=lam, beta=beta):
            """Effect per channel over the horizon and the tail."""
            found = np.zeros((CHANNELS, HORIZON + tail))
            for c in range(CHANNELS):
                spend = np.concatenate([before[c], plan[c], np.zeros(tail)])
                size = sum(alpha[c] ** lag for lag in range(l_max))
                for t in range(HORIZON + tail):
                    carried = sum(alpha[c] ** lag / size * spend[t + l_max - 1 - lag] for lag in range(l_max))
                    found[c, t] = beta[c] * (1 - np.exp(-lam[c] * carried)) / (1 + np.exp(-lam[c] * carried))
            return found

        with_plan, carry_alone = effects(planned), effects(0 * planned)
        if fit.spec.likelihood.additive:
            change = fit.scales.target * (with_plan - carry_alone).sum(axis=1)
            by_channel.append(change)
            totals.append(change.sum())
        else:
            base = baseline(fit, {name: values[s] for name, values in draws.items()})
            sigma = draws["y_sigma"][s]

            def outcome(mu, sigma=sigma):
                return fit.scales.target * np.exp(mu + sigma**2 / 2).sum()

            totals.append(outcome(base + with_plan.sum(axis=0)) - outcome(base + carry_alone.sum(axis=0)))
            rest = base + with_plan.sum(axis=0) - with_plan + carry_alone
            by_channel.append([outcome(base + with_plan.sum(axis=0)) - outcome(rest[c]) for c in range(CHANNELS)])
    return np.array(totals), np.array(by_channel)


def baseline(fit, draw):
    """`intercept + controls + seasonality` over the horizon."""
    rows = planned_rows()
    day = (rows.dates - rows.dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(int) + 1
    angle = 2 * np.pi * day / 365.25
    return draw["intercept"] + draw["gamma_control"] @ rows.controls + draw["gamma_fourier"] @ [np.sin(angle), np.cos(angle)]


@pytest.mark.parametrize("profile", [FLAT, UNEVEN], ids=["flat", "uneven"])
@pytest.mark.parametrize("name", SPECS)
def test_fast_path_equals_the_plain_one(make_fit, name, profile):
    fit = make_fit(name)
    fast = np.asarray(respond(level_response(fit, profile), LEVELS))
    plain = reference(fit, LEVELS[:, None] * profile)["total"]
    np.testing.assert_allclose(fast, plain, rtol=1e-12)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["logistic", "log link"])
def test_response_equals_loops_over_dates_and_lags(make_fit, name):
    fit, planned = make_fit(name), LEVELS[:, None] * UNEVEN
    total, by_channel = loops(fit, planned)
    found = reference(fit, planned)
    np.testing.assert_allclose(found["total"], total, rtol=1e-11)
    np.testing.assert_allclose(found["channel"], by_channel, rtol=1e-11, atol=1e-12 * np.abs(total).max())


@pytest.mark.parametrize("name", SPECS)
def test_nothing_planned_brings_nothing(make_fit, name):
    """Exactly, in what people see; the optimiser's path to the rounding of what the carry-in brings."""
    fit = make_fit(name)
    found = reference(fit, 0 * FLAT)
    assert not found["total"].any()
    assert not found["channel"].any()
    response = level_response(fit, FLAT)
    carried = np.abs(response.link.offset).max()
    assert np.abs(respond(response, np.zeros(CHANNELS))).max() <= 1e-15 * carried


@pytest.mark.parametrize("name", SPECS)
def test_a_channel_without_spend_brings_nothing(make_fit, name):
    found = reference(make_fit(name), LEVELS[:, None] * FLAT)
    assert not found["channel"][:, LEVELS == 0].any()
    assert (found["channel"][:, LEVELS > 0] > 0).all()


@pytest.mark.parametrize("name", SPECS)
def test_channels_add_up_unless_they_multiply(make_fit, name):
    fit = make_fit(name)
    found = reference(fit, LEVELS[:, None] * UNEVEN)
    together = found["channel"].sum(axis=1)
    if fit.spec.likelihood.additive:
        np.testing.assert_allclose(together, found["total"], rtol=1e-13)
    else:
        assert (together > found["total"]).all()


@pytest.mark.parametrize("name", SPECS)
def test_more_spend_never_brings_less(make_fit, name):
    response = level_response(make_fit(name), UNEVEN)
    now = np.asarray(respond(response, LEVELS))
    for channel in range(CHANNELS):
        for more in (1e-3, 1.0, 100.0):
            gain = respond(response, LEVELS + more * np.eye(CHANNELS)[channel]) - now
            assert (gain >= -1e-13 * np.abs(now)).all()


def test_carry_in_is_of_no_account_without_saturation(make_fit):
    fit = make_fit("linear")
    with_it, without = (reference(fit, UNEVEN, carry_in=carry_in)["channel"] for carry_in in (True, False))
    np.testing.assert_allclose(with_it, without, rtol=1e-10)


def test_carry_in_leaves_less_to_gain_with_saturation(make_fit):
    fit = make_fit("logistic")
    with_it, without = (reference(fit, UNEVEN, carry_in=carry_in)["channel"] for carry_in in (True, False))
    assert (with_it < without).all()


def test_the_response_does_not_end_with_the_horizon(make_fit):
    """All that linear spend brings is its sum times the coefficient, wherever in the horizon it falls."""
    fit, last = make_fit("linear"), np.zeros((CHANNELS, HORIZON))
    last[:, -1] = 1.0
    found = reference(fit, last)["channel"]
    np.testing.assert_allclose(found, fit.scales.target * fit.flat_draws()["saturation_beta"], rtol=1e-10)


@pytest.mark.parametrize("name", SPECS)
def test_gradient_equals_central_differences(make_fit, name):
    response = level_response(make_fit(name), UNEVEN)
    levels, step = LEVELS + 0.3, 1e-5

    def mean(levels):
        return respond(response, levels).mean()

    slopes = eqx.filter_jit(jax.grad(lambda levels, response: response(levels).mean()))(jnp.asarray(levels), response)
    ways = step * np.eye(CHANNELS)
    expected = [(mean(levels + way) - mean(levels - way)) / (2 * step) for way in ways]
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_equal_periods_are_computed_once(make_fit):
    """Of 13 flat weeks and a window of 4: 3 with carry-in, one for the 10 that look the same, and 3 of the tail."""
    fit = make_fit("logistic")
    model, _ = over_horizon(fit)
    windows = horizon_windows(model, FLAT)
    assert windows.carry.shape == windows.plan.shape == (CHANNELS, 7, 4)
    assert sorted(windows.counts) == [1, 1, 1, 1, 1, 1, 10]
    assert horizon_windows(model, UNEVEN).counts.sum() == HORIZON + 3
    assert windows.carry.dtype == np.float64
