"""Experiments as values: read from tables, kept, and refused with row, channel, date and value."""

from dataclasses import FrozenInstanceError, replace
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.data.experiment_places import places_of
from mmm_jax.errors import ExperimentError, MMMError

TEST = {
    "channel": "TV",
    "start": "2014-10-05",
    "end": "2014-10-26",
    "delta_spend": 1e4,
    "delta_outcome": 3e6,
    "se": 1e6,
}
COST = {"channel": "TV", "cost": 0.02, "sigma": 0.01}


@pytest.fixture(scope="module")
def panel() -> mj.Panel:
    return mj.synthetic.make_market(weeks=60).panel


@pytest.fixture(scope="module")
def geos(panel) -> mj.GeoPanel:
    lacking = np.arange(60) >= 10
    west = replace(
        panel,
        spend=np.where(lacking, 3 * panel.spend, 0.0),
        target=np.where(lacking, panel.target, np.nan),
        observed=lacking,
    )
    return mj.GeoPanel(("north", "west"), (panel, west))


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame([{**TEST, **row} for row in rows])


def test_tables_are_read_as_they_are_written():
    found = mj.LiftTests.from_frame(
        table({"geo": "north", "nu": inf}, {"start": pd.Timestamp("2014-09-28"), "outcome_end": "2014-11-09"}),
        costs=[mj.CostPerTarget(**COST)],
    )
    written = [
        mj.LiftTest(**TEST, geo="north", nu=inf),
        mj.LiftTest(**{**TEST, "start": "2014-09-28"}, outcome_end="2014-11-09"),
    ]
    assert found == mj.LiftTests(written, [mj.CostPerTarget(**COST)])
    assert len(found) == 3
    assert repr(found) == "LiftTests(2 lift tests, 1 costs per target)"
    assert mj.LiftTests.from_frame(pd.DataFrame(table({}).to_dict("list"))).tests == (mj.LiftTest(**TEST),)


def test_experiments_never_change_and_come_back_equal():
    tests = [mj.LiftTest(**{**TEST, "delta_spend": [1e4, 0.0, 0.0, 2e4]}, nu=inf), mj.LiftTest(**TEST, geo="a")]
    experiments = mj.LiftTests(tests, [mj.CostPerTarget(**COST, start="2014-10-05")])
    assert mj.LiftTests.from_dict(experiments.to_dict()) == experiments
    assert mj.LiftTests(tests).fingerprint() != experiments.fingerprint()
    assert mj.LiftTests(tests).fingerprint() == mj.LiftTests(tuple(tests)).fingerprint()
    with pytest.raises(FrozenInstanceError):
        experiments.tests = ()  # pyright: ignore
    assert not mj.LiftTests()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"se": 0.0}, "'TV' from 2014-10-05: `se` must be a positive number, got 0.0"),
        ({"se": -1.0}, "got -1.0"),
        ({"se": nan}, "got nan"),
        ({"delta_outcome": nan}, "`delta_outcome` must be a number, got nan"),
        ({"delta_outcome": "much"}, "`delta_outcome` must be a number, got 'much'"),
        ({"delta_spend": inf}, "`delta_spend` must be a number, got inf"),
        ({"delta_spend": [1.0, None]}, "`delta_spend` must be a number, got None"),
        ({"nu": 0.0}, "`nu` must be a positive number, got 0.0"),
        ({"start": "soon"}, "`start`: The date 'soon' cannot be read"),
        ({"end": None}, "the date `end` is missing"),
        ({"start": pd.NaT}, "the date `start` is missing"),
        ({"end": "2014-09-28"}, "`end` is 2014-09-28, before the start 2014-10-05"),
        ({"outcome_end": "2014-09-28"}, "`outcome_end` is 2014-09-28, before the start"),
        ({"channel": nan}, "the channel must be a name, got nan"),
    ],
)
def test_impossible_tests_are_refused_by_row(change, words):
    with pytest.raises(ExperimentError, match=words):
        mj.LiftTest(**{**TEST, **change})
    rows = pd.DataFrame([TEST, {**TEST, **change}], dtype=object)
    if "nu" not in change and "outcome_end" not in change:
        with pytest.raises(ExperimentError, match="Row 1: .*" + words):
            mj.LiftTests.from_frame(rows)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost": 0.0}, "`cost` must be a positive number, got 0.0"),
        ({"sigma": nan}, "`sigma` must be a positive number, got nan"),
        ({"start": "2014-10-05", "end": "2014-09-28"}, "before the start"),
        ({"geo": 3}, "the geo must be a name or None, got 3"),
    ],
)
def test_impossible_costs_are_refused(change, words):
    with pytest.raises(ExperimentError, match=words):
        mj.CostPerTarget(**{**COST, **change})


def test_tables_without_a_column_and_other_things_are_refused():
    with pytest.raises(ExperimentError, match="lacks the column 'se'; it has 'channel'"):
        mj.LiftTests.from_frame(table({}).drop(columns="se"))
    with pytest.raises(ExperimentError, match="DataFrame is needed"):
        mj.LiftTests.from_frame([TEST])  # pyright: ignore
    with pytest.raises(ExperimentError, match="Entry 0 of `tests` must be a LiftTest"):
        mj.LiftTests([mj.CostPerTarget(**COST)])  # pyright: ignore
    assert issubclass(ExperimentError, MMMError)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channel": "TVV"}, r"row 1 \(channel 'TVV', 2014-10-05 to 2014-10-26\): the panel has no channel 'TVV'"),
        ({"geo": "north"}, "names the geo 'north', but the panel is of one market"),
        ({"start": "2014-07-27"}, "its start is 2014-07-27, outside of the training rows from 2014-08-03 to 2015-09-20"),
        ({"end": "2015-10-04"}, "its end is 2015-10-04, outside"),
        ({"outcome_end": "2016-01-03"}, "its end is 2016-01-03, outside"),
        ({"start": "2014-10-06"}, "begins on 2014-10-06, within a week of the panel"),
        ({"end": "2014-10-29"}, "ends on 2014-10-29, within a week"),
        ({"delta_spend": -1e9}, "on 2014-10-05, the change of -1e.09 would leave negative spend: the panel has "),
        ({"delta_spend": [1.0, 2.0]}, "`delta_spend` has 2 values, its window 4 rows"),
    ],
)
def test_tests_that_do_not_fit_the_panel_are_refused(panel, change, words):
    tests = [mj.LiftTest(**TEST), mj.LiftTest(**{**TEST, **change})]
    with pytest.raises(ExperimentError, match=words):
        places_of(mj.LiftTests(tests), panel)


def test_windows_are_whole_periods(panel):
    """The last day of a week ends a window as its date does."""
    for end in ("2014-10-26", "2014-11-01"):
        (place,) = places_of(mj.LiftTests([mj.LiftTest(**{**TEST, "end": end})]), panel)
        assert list(np.flatnonzero(place.parts[0].rows)) == [9, 10, 11, 12]
        changed = place.parts[0].other - panel.spend[place.channel]
        np.testing.assert_allclose(changed[9:13], 1e4)
        assert not changed[:9].any()
        assert not changed[13:].any()


def test_a_channel_may_go_dark(panel):
    (tv,) = [panel.channels.index("TV")]
    dark = mj.LiftTest(**{**TEST, "delta_spend": -panel.spend[tv, 9:13]})
    assert not places_of(mj.LiftTests([dark]), panel)[0].parts[0].other[9:13].any()


def test_tests_everywhere_are_split_as_the_spend_is(geos):
    inside = mj.LiftTests([mj.LiftTest(**{**TEST, "start": "2014-10-12", "end": "2014-10-26"})])
    place = places_of(inside, geos)[0]
    changes = [part.other - geos.spend[place.channel, part.geo] for part in place.parts]
    np.testing.assert_allclose(changes[0][10:13], 2500.0)
    np.testing.assert_allclose(changes[1][10:13], 7500.0)
    # West lacks a row of the window, so that the test was not there.
    assert [part.geo for part in places_of(mj.LiftTests([mj.LiftTest(**TEST)]), geos)[0].parts] == [0]
    silent = replace(geos, markets=tuple(replace(m, spend=0.0 * m.spend) for m in geos.markets))
    found = [part.other[10:13] for part in places_of(inside, silent)[0].parts]
    np.testing.assert_allclose(found, 5000.0)


def test_geos_that_are_not_there_are_refused(geos):
    for change, words in [
        ({"geo": "east"}, "no geo 'east'; it has 'north', 'west'"),
        ({"geo": "west"}, "no market has all rows"),
    ]:
        with pytest.raises(ExperimentError, match=words):
            places_of(mj.LiftTests([mj.LiftTest(**{**TEST, **change})]), geos)


def test_costs_need_spend(panel, geos):
    (place,) = places_of(mj.LiftTests(costs=[mj.CostPerTarget(**COST)]), panel)
    assert place.spend == pytest.approx(panel.spend[panel.channels.index("TV")].sum())
    before = mj.CostPerTarget(**COST, geo="west", end="2014-10-05")
    with pytest.raises(ExperimentError, match="Cost per target in row 0 .*nothing was spent"):
        places_of(mj.LiftTests(costs=[before]), geos)
