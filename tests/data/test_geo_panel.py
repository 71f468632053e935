"""Panels of geos: the table taken apart and put together again, rows that are missing, errors that name the geo."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mmm_jax as mj
from mmm_jax.data.geo_scaling import scales_from_dict
from mmm_jax.errors import PanelError

COLUMNS = {"date": "week", "target": "sales", "channels": ["tv", "radio"], "controls": ["price"], "geo": "region"}


def table(geos=("north", "south", "west"), weeks: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    dates = pd.date_range("2024-01-01", periods=weeks, freq="7D")
    frames = [
        pd.DataFrame(
            {
                "week": dates,
                "region": geo,
                "heads": 1000 * (k + 1),
                "sales": (k + 1) * rng.uniform(50, 100, weeks),
                "tv": (k + 1) * rng.uniform(0, 10, weeks),
                "radio": rng.uniform(0, 5, weeks),
                "price": rng.normal(size=weeks),
            }
        )
        for k, geo in enumerate(geos)
    ]
    return pd.concat(frames, ignore_index=True)


def panel_of(frame: pd.DataFrame, **options) -> mj.GeoPanel:
    return mj.Panel.from_frame(frame, **{**COLUMNS, "population": "heads", **options})


def test_every_geo_is_its_own_table_whatever_the_order_of_rows():
    frame = table()
    found = panel_of(frame.sample(frac=1.0, random_state=1))
    assert set(found.geos) == {"north", "south", "west"}
    assert isinstance(found, mj.GeoPanel)
    for geo in found.geos:
        own = frame.loc[frame["region"] == geo]
        alone = mj.Panel.from_frame(own, date="week", target="sales", channels=["tv", "radio"], controls=["price"])
        assert found[geo].fingerprint() == alone.fingerprint()
    np.testing.assert_array_equal(found.spend[:, found.geos.index("west")], found["west"].spend)
    assert found.spend.shape == (2, 3, 8)
    assert found.population[found.geos.index("south")] == 2000


def test_a_table_comes_back_from_the_panel():
    frame = table().drop(index=[0, 1, 13])
    back = panel_of(frame).to_frame().reset_index()
    joined = back.merge(frame, left_on=["geo", "date"], right_on=["region", "week"], suffixes=("", "_then"))
    assert len(back) == len(joined) == len(frame)
    for name in ("sales", "tv", "radio", "price"):
        np.testing.assert_allclose(joined[name], joined[f"{name}_then"])


def test_rows_that_a_geo_lacks_have_no_spend_and_do_not_count():
    found = panel_of(table().drop(index=[0, 1, 4]))
    north = found["north"]
    np.testing.assert_array_equal(np.flatnonzero(~north.counted), [0, 1, 4])
    np.testing.assert_array_equal(north.present, north.counted)
    assert np.all(north.spend[:, [0, 1, 4]] == 0)
    assert found["south"].counted.all()
    assert found.observed.sum() == 21
    with pytest.raises(PanelError, match="Geo 'north' lacks rows"):
        found.total()


def test_splits_runs_and_held_out_rows():
    found = panel_of(table())
    train, test = found.split("2024-02-05")
    assert (len(train), len(test)) == (6, 2)
    assert train.geos == test.geos == found.geos
    held = found.hold_out("2024-01-08", "2024-01-15", geos=["south"])
    np.testing.assert_array_equal(np.flatnonzero(~held["south"].counted), [1, 2])
    assert held["south"].present.all()
    assert held["north"].counted.all()
    assert len({found.fingerprint(), held.fingerprint(), train.fingerprint()}) == 3
    with pytest.raises(PanelError, match="no geo 'east'"):
        found.hold_out("2024-01-08", geos=["east"])
    with pytest.raises(PanelError, match="leaves no row"):
        found.hold_out()
    with pytest.raises(PanelError, match="No row lies between 2030-01-01"):
        found.hold_out("2030-01-01", "2030-02-01")


def test_the_total_adds_up():
    found = panel_of(table())
    total = found.total()
    np.testing.assert_allclose(total.spend, sum(market.spend for market in found.markets))
    np.testing.assert_allclose(total.target, found.target.sum(axis=0))
    expected = np.average([market.controls for market in found.markets], axis=0, weights=[1000, 2000, 3000])
    np.testing.assert_allclose(total.controls, expected)
    bare = replace(found, population=None, markets=tuple(replace(m, controls=m.controls[:0]) for m in found.markets))
    assert bare.total().controls.shape == (0, len(found))


def test_scales_of_geos_of_heads_and_of_the_panel():
    found = panel_of(table())
    own = mj.GeoScales.from_panel(found)
    for scales, market in zip(own.markets, found.markets, strict=True):
        alone = mj.Scales.from_panel(market)
        np.testing.assert_array_equal(scales.channel, alone.channel)
        assert scales.target == alone.target
    heads = mj.GeoScales.from_panel(found, scale="population")
    per_head = np.array([scales.channel for scales in heads.markets]) / found.population[:, None]
    np.testing.assert_allclose(per_head, per_head[[0, 0, 0]])
    largest = (found.spend.max(axis=2) / found.population).max(axis=1)
    np.testing.assert_allclose(per_head[0], largest)
    same = mj.GeoScales.from_panel(found, scale="panel")
    assert {scales.target for scales in same.markets} == {found.target.max()}
    again = scales_from_dict(own.to_dict())
    assert again.to_dict() == own.to_dict()
    standard = mj.GeoScales.from_panel(found, standardize_controls=True).markets[0]
    joined = np.concatenate([market.controls for market in found.markets], axis=1)
    np.testing.assert_allclose(standard.control_location, joined.mean(axis=1))


def test_a_channel_that_one_geo_never_used_has_the_others_scale():
    frame = table()
    frame.loc[frame["region"] == "north", "radio"] = 0.0
    scales = mj.GeoScales.from_panel(panel_of(frame))
    assert scales.markets[0].channel[1] == max(one.channel[1] for one in scales.markets[1:])


def broken(change) -> pd.DataFrame:
    frame = table()
    change(frame)
    return frame


def put(row: int, column: str, value):
    def change(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value

    return change


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (broken(put(3, "tv", -1.0)), "Geo 'north': Spend must be non-negative.*'tv', 2024-01-22: got -1"),
        (broken(put(9, "sales", np.nan)), "Geo 'south': Column 'sales' must be finite.*2024-01-08"),
        (broken(put(9, "week", pd.Timestamp("2024-01-01"))), "Geo 'south': 1 dates stand in the table more than once"),
        (broken(put(2, "region", None)), "1 rows have no geo in column 'region'; the first is row 2"),
        (broken(put(2, "heads", 7)), "Geo 'north': the population in column 'heads' must be the same in every row"),
        (broken(put(2, "heads", -7)), "Geo 'north': the population in column 'heads' must be a positive number"),
        (table().assign(tv=1.0), "Channel 'tv' is constant"),
        (table().drop(columns="region"), "columns are missing from the table: 'region'"),
    ],
)
def test_what_is_wrong_is_named_with_its_geo(frame, words):
    with pytest.raises(PanelError, match=words):
        panel_of(frame)


def test_scales_that_cannot_be_are_refused():
    found = panel_of(table())
    with pytest.raises(PanelError, match="needs the geos' population"):
        mj.GeoScales.from_panel(panel_of(table(), population=None), scale="population")
    flat = table()
    flat.loc[flat["region"] == "west", "sales"] = 0.0
    with pytest.raises(PanelError, match="0 in all training rows of geo 'west'"):
        mj.GeoScales.from_panel(panel_of(flat))
    with pytest.raises(PanelError, match="scales are for the geos"):
        mj.GeoScales.from_panel(panel_of(table(geos=("a", "b")))).check_fits(found)


def test_a_plan_of_geos_has_no_outcome():
    planned = panel_of(table().drop(columns="sales"), target=None)
    assert planned.target is None
    assert planned["north"].target is None
    assert planned.with_target(np.ones((3, 8))).target.shape == (3, 8)
