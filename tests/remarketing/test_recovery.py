"""Known coefficients are found again: the intervals hold them as often as they say."""

import numpy as np
import pytest

from mmm_jax.remarketing import ResponseModel, fit_responses, make_customers

PROB = 0.9


def recovered(seeds, **options):
    """Whether each interval holds its coefficient, and errors in posterior deviations, shape (seed, coefficient)."""
    made = {str(seed): make_customers(seed=seed) for seed in seeds}
    tables = {name: (each.truth.features, each.table["Response"]) for name, each in made.items()}
    fitted = fit_responses(tables, ResponseModel(**options), progress=False)
    inside, errors = [], []
    for name, model in fitted.items():
        truth = made[name].truth.coefficients.loc[model.columns_].to_numpy()
        draws = model.draws_["beta"].reshape(-1, len(truth)) / model.scale_
        low, high = np.quantile(draws, [(1 - PROB) / 2, (1 + PROB) / 2], axis=0)
        inside.append((low < truth) & (truth < high))
        errors.append((draws.mean(axis=0) - truth) / draws.std(axis=0))
    return np.array(inside), np.array(errors)


def test_a_few_tables_give_their_coefficients_back():
    inside, errors = recovered(range(4), num_samples=800)
    # 64 intervals: fewer than 50 would be inside by chance once in 3,000 times.
    assert inside.sum() >= 50
    assert 0.6 < np.sqrt(np.mean(errors**2)) < 1.4


@pytest.mark.slow
def test_intervals_hold_the_truth_at_their_rate():
    inside, errors = recovered(range(1000, 1100), num_samples=800)
    # Of 1,600 intervals, those of a table a little correlated: three deviations are 2.5 points.
    assert abs(inside.mean() - PROB) < 0.025
    assert (np.abs(inside.mean(axis=0) - PROB) < 0.11).all()
    # No coefficient is off on average by more than a third of its deviation.
    assert (np.abs(errors.mean(axis=0)) < 0.35).all()
