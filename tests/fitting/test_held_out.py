"""Rows that are held out: no part of the fit, and what scores of them are of."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import quick_fit

import mmm_jax as mj
from mmm_jax.errors import PanelError

SPEC = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=4), yearly_seasonality=1)
HELD = ("2015-03-01", "2015-04-26")


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=70).panel.hold_out(*HELD)


@pytest.fixture(scope="module")
def fit(panel):
    return quick_fit(panel, SPEC)


def test_what_happened_in_held_out_rows_changes_nothing(panel, fit):
    held = ~panel.counted
    other = panel.with_target(np.where(held, 3.0 * panel.target.min(), panel.target))
    again = quick_fit(other, SPEC, scales=fit.scales)
    for name, values in fit.draws.items():
        np.testing.assert_array_equal(again.draws[name], values)


def test_scores_are_of_the_rows_they_say(panel, fit):
    predicted = fit.predict(key=3)
    assert int((~panel.counted).sum()) == 9
    for held_out, rows in ((True, ~panel.counted), (False, panel.counted)):
        expected = mj.score_table(panel.target[rows], predicted.isel(date=np.flatnonzero(rows)))
        assert fit.scores(held_out=held_out, key=3) == expected


def test_a_saved_fit_knows_what_was_held_out(fit, panel, tmp_path):
    fit.save(tmp_path / "fit.zarr")
    again = mj.Fit.load(tmp_path / "fit.zarr")
    np.testing.assert_array_equal(again.panel.counted, panel.counted)
    assert again.scores(held_out=True) == fit.scores(held_out=True)


def test_geos_are_scored_where_they_held_out():
    panel = mj.synthetic.make_geo_market(geos=2, channels=2, weeks=60).panel
    fit = quick_fit(panel.hold_out("2021-05-02", "2021-06-27", geos=["geo_2"]), SPEC, num_warmup=40, num_samples=20)
    assert set(fit.scores(held_out=True)) == {"geo_2"}
    assert set(fit.scores()) == {"geo_1", "geo_2"}


def test_without_such_rows_there_is_nothing_to_score(fit):
    with pytest.raises(PanelError, match="No row is held out"):
        replace(fit, panel=replace(fit.panel, observed=None)).scores(held_out=True)
    with pytest.raises(ValueError, match="rows that are not there"):
        mj.crps(np.array([1.0, np.nan]), np.ones((3, 2)))
