"""The stated rates of drift over 500 simulated years: how often it is seen where there is some, and where there is none."""

import pytest
from monitoring.drift_rates import rates
from scipy.stats import binom

YEARS = 500


@pytest.mark.slow
def test_drift_is_seen_where_there_is_some_and_rarely_where_there_is_none(capsys):
    found = rates(YEARS)
    with capsys.disabled():
        print(f"\n{found}")
    # At or under 5 %, but for chance; a posterior that never learns from new rows alarms falsely far more often.
    assert binom.sf(found.false - 1, YEARS, 0.05) > 1e-3
    assert binom.sf(found.fixed - 1, YEARS, 0.05) < 1e-6
    assert found.fixed > 2 * found.false
    assert found.level >= 0.6 * YEARS
    assert found.channel >= 0.25 * YEARS
    assert found.right >= 0.7 * found.channel
