"""Naive references: by hand, and blind to what comes after the cut."""

import numpy as np
from helpers import crps

from mmm_jax.validation.naive import last_value_crps, seasonal_crps

TARGET = np.random.default_rng(0).gamma(9.0, 10.0, 80)


def test_references_are_the_repeated_value_with_its_past_errors():
    cut, season = 60, 26
    last, seasonal = last_value_crps(TARGET, cut, 4), seasonal_crps(TARGET, cut, 4, season)
    for ahead in range(1, 5):
        past = [TARGET[t] - TARGET[t - ahead] for t in range(ahead, cut)]
        draws = (TARGET[cut - 1] + np.array(past))[:, None]
        np.testing.assert_allclose(last[ahead - 1], crps(TARGET[cut + ahead - 1 : cut + ahead], draws)[0])
        past = [TARGET[t] - TARGET[t - season] for t in range(season, cut)]
        draws = (TARGET[cut + ahead - 1 - season] + np.array(past))[:, None]
        np.testing.assert_allclose(seasonal[ahead - 1], crps(TARGET[cut + ahead - 1 : cut + ahead], draws)[0])


def test_a_horizon_beyond_a_year_repeats_the_last_known_year():
    changed = TARGET.copy()
    changed[40:49] = 1e6
    np.testing.assert_array_equal(seasonal_crps(TARGET, 40, 10, 5)[9], seasonal_crps(changed, 40, 10, 5)[9])


def test_too_short_a_past_is_unknown():
    assert np.isnan(seasonal_crps(TARGET, 61, 3, 52)).all()
    assert np.isfinite(seasonal_crps(TARGET, 62, 3, 52)).all()
    np.testing.assert_array_equal(np.isnan(last_value_crps(TARGET, 12, 4)), [False, False, True, True])
