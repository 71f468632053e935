"""The stated rates of drift over 500 simulated years: how often it is seen where there is some, and where there is none."""

import pytest
from monitoring.drift_rates import Rates, rates
from scipy.stats import binom

YEARS = 500
pytestmark = pytest.mark.slow


def told(found: Rates, capsys) -> Rates:
    """The same, which stands on the screen, too: the rates are what the check is run for."""
    with capsys.disabled():
        print(f"\n{found}")
    return found


def chance_of_more(alarms: int) -> float:
    """Of at least so many false alarms, if the promised 5 % were their rate."""
    return float(binom.sf(alarms - 1, YEARS, 0.05))


def test_drift_is_seen_where_there_is_some_and_rarely_where_there_is_none(capsys):
    found = told(rates(YEARS), capsys)
    assert chance_of_more(found.false) > 1e-3
    assert found.level >= 0.6 * YEARS
    assert found.channel >= 0.25 * YEARS
    assert found.right >= 0.7 * found.channel
    # A posterior that never learns from new rows breaks the promise, even with the little error that two years leave it.
    assert found.fixed > 2 * found.false
    assert chance_of_more(found.fixed) < 0.01


def test_a_fixed_posterior_breaks_the_promise_where_its_parameters_err_and_this_one_does_not(capsys):
    """After one year of training, of which all rows share the error."""
    found = told(rates(YEARS, training=52), capsys)
    assert chance_of_more(found.false) > 1e-3
    assert found.fixed > 3 * found.false
    assert chance_of_more(found.fixed) < 1e-6
