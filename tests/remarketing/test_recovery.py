"""Known coefficients are found again: the intervals hold them as often as they say."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mmm_jax.remarketing import ResponseModel, fit_responses, make_customers
from mmm_jax.remarketing.rows import scales_of

PROB = 0.9


def simulated(seed):
    """Features, labels and coefficients of synthetic customers."""
    made = make_customers(seed=seed)
    return made.truth.features, made.table["Response"], made.truth.coefficients


def from_the_prior(seed):
    """The same, with intercept and coefficients of standardised columns from their priors."""
    features, rng = make_customers(seed=seed).truth.features, np.random.default_rng((seed, 1))
    center, scale, _ = scales_of(features.to_numpy(float))
    coefficients = pd.Series(rng.normal(size=len(scale)) / scale, index=features.columns)
    log_odds = rng.normal(0.0, 2.5) + (features - center) @ coefficients
    return features, rng.random(len(features)) < expit(log_odds), coefficients


def recovered(tables, **options):
    """Whether each interval holds its coefficient, and errors in posterior deviations, shape (table, coefficient)."""
    made = {str(number): table for number, table in enumerate(tables)}
    given = {name: (features, labels) for name, (features, labels, _) in made.items()}
    fitted = fit_responses(given, ResponseModel(**options), progress=False)
    inside, errors = [], []
    for name, model in fitted.items():
        truth = made[name][2].loc[model.columns_].to_numpy()
        draws = model.draws_["beta"].reshape(-1, len(truth)) / model.scale_
        low, high = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
        inside.append((low < truth) & (truth < high))
        errors.append((draws.mean(axis=0) - truth) / draws.std(axis=0))
    return np.array(inside), np.array(errors)


def test_a_few_tables_give_their_coefficients_back():
    inside, errors = recovered(map(simulated, range(4)), num_samples=800)
    # 64 intervals: fewer than 50 would be inside by chance once in 3,000 times.
    assert inside.sum() >= 50
    assert 0.6 < np.sqrt(np.mean(errors**2)) < 1.4


@pytest.mark.slow
def test_intervals_hold_the_truth_at_their_rate():
    inside, errors = recovered(map(simulated, range(1000, 1100)), num_samples=800)
    # Of 1,600 intervals, those of a table a little correlated: three deviations are 2.5 points.
    assert abs(inside.mean() - PROB) < 0.025
    assert (np.abs(inside.mean(axis=0) - PROB) < 0.11).all()
    # No coefficient is off on average by more than a third of its deviation.
    assert (np.abs(errors.mean(axis=0)) < 0.35).all()


@pytest.mark.slow
def test_truths_from_the_prior_are_inside_at_the_nominal_rate():
    """One fixed truth shows the prior's pull; over truths from the prior, there is none."""
    inside, errors = recovered(map(from_the_prior, range(2000, 2100)), num_samples=800)
    assert abs(inside.mean() - PROB) < 0.025
    assert (np.abs(inside.mean(axis=0) - PROB) < 0.11).all()
    assert abs(np.sqrt(np.mean(errors**2)) - 1.0) < 0.07
