"""Folds: what is trained on, what is tested, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax.errors import PanelError, SpecError
from mmm_jax.validation.folds import folds_of, rows_without_test

settings = st.fixed_dictionaries(
    {
        "initial": st.integers(1, 60),
        "horizon": st.integers(1, 20),
        "step": st.none() | st.integers(1, 20),
        "window": st.sampled_from(["expanding", "rolling"]),
    }
)


def weeks(count: int) -> np.ndarray:
    return np.datetime64("2020-01-05") + 7 * np.arange(count)


@given(settings, st.integers(0, 60))
def test_every_fold_is_a_past_and_the_horizon_right_after_it(given, more):
    dates = weeks(given["initial"] + given["horizon"] + more)
    folds = folds_of(dates, **given)
    step = given["step"] or given["horizon"]
    for number, fold in enumerate(folds):
        cut = given["initial"] + number * step
        assert fold.train.stop == fold.test.start == cut
        assert len(fold.test) == given["horizon"]
        assert len(fold.train) == (given["initial"] if given["window"] == "rolling" else cut)
        assert fold.name == str(dates[cut - 1])
    assert 0 <= rows_without_test(folds, len(dates)) < step


def test_a_panel_that_is_too_short_says_what_it_needs():
    with pytest.raises(PanelError, match="30 training and 8 test rows needs 38 rows, but the panel has 37"):
        folds_of(weeks(37), initial=30, horizon=8)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"initial": 0}, "`initial`.*got 0"),
        ({"horizon": 2.0}, "`horizon`.*got 2.0"),
        ({"step": True}, "`step`.*got True"),
        ({"window": "growing"}, "expanding, rolling; got 'growing'"),
    ],
)
def test_settings_out_of_range_are_named(wrong, words):
    with pytest.raises(SpecError, match=words):
        folds_of(weeks(99), **{"initial": 10, "horizon": 5, **wrong})
