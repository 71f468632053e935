"""Panels with reach and frequency."""

import kinds
import numpy as np
import pytest
import reached

import mmm_jax as mj
from mmm_jax import PanelError
from mmm_jax.data.geo_scaling import GeoScales
from mmm_jax.data.reach import mean_frequency


def test_frequency_has_its_place():
    frame, panel = reached.table(), reached.panel()
    assert panel.frequency_columns == ("tv_frequency", "", "mail_frequency")
    expected = frame.assign(none=0.0)[["tv_frequency", "none", "mail_frequency"]].to_numpy().T
    np.testing.assert_array_equal(panel.average_frequency, expected)
    np.testing.assert_array_equal(panel.exposure, frame[["tv_grp", "Radio", "newsletter"]].to_numpy().T)


def test_a_panel_without_frequency_is_what_it_was():
    plain = kinds.panel()
    assert plain.average_frequency is None
    assert kinds.panel(frequency={}).fingerprint() == plain.fingerprint()
    assert "frequency" not in mj.Scales.from_panel(plain).to_dict()


def test_a_table_and_back_is_the_same_panel():
    panel = reached.panel()
    again = reached.panel(panel.to_frame().rename_axis("week").reset_index())
    assert again.fingerprint() == panel.fingerprint()
    changed = reached.panel(reached.table().assign(tv_frequency=lambda rows: rows["tv_frequency"] + 1.0))
    assert len({panel.fingerprint(), changed.fingerprint(), kinds.panel(reached.table()).fingerprint()}) == 3


@pytest.mark.parametrize("cut", ["split", "hold_out"])
def test_runs_of_rows_keep_their_frequency(cut):
    panel = reached.panel()
    parts = panel.split("2022-06-01") if cut == "split" else [panel.hold_out("2022-06-01")]
    np.testing.assert_array_equal(np.concatenate([p.average_frequency for p in parts], axis=1), panel.average_frequency)


def test_other_spend_buys_reach_at_the_same_frequency():
    frame = reached.table()
    frame.loc[3, ["TV", "tv_grp", "tv_frequency"]] = 0.0
    panel = reached.panel(frame)
    spend = panel.spend.copy()
    spend[0] = 2 * spend[0] + (np.arange(len(panel)) == 3)
    other = panel.with_spend(spend)
    mean = mean_frequency(panel.exposure, panel.average_frequency)[0]
    np.testing.assert_allclose(np.delete(other.exposure[0] / panel.exposure[0].clip(1e-9), 3), 2.0)
    np.testing.assert_array_equal(
        np.delete(other.average_frequency, 3, axis=1), np.delete(panel.average_frequency, 3, axis=1)
    )
    assert other.average_frequency[0, 3] == pytest.approx(mean)
    impressions = (panel.exposure[0] * panel.average_frequency[0]).sum()
    assert mean == pytest.approx(impressions / panel.exposure[0].sum())


def test_constant_reach_may_have_a_frequency_that_varies():
    frame = reached.table().assign(tv_grp=10.0)
    assert reached.panel(frame).exposure[0].std() == 0
    with pytest.raises(PanelError, match="constant"):
        reached.panel(frame.assign(tv_frequency=2.0))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"frequency": {"Radio": "tv_frequency"}}, "'Radio', whose reach is not known"),
        ({"frequency": {"Tv": "tv_frequency"}}, "names the channel 'Tv'"),
        ({"frequency": "tv_frequency"}, "must map channels to their columns, got str"),
        ({"frequency": {"TV": "nowhere"}}, "'nowhere'"),
        ({"frequency": {"TV": "rain"}}, "Column 'rain' is given twice"),
    ],
)
def test_mistakes_are_named(changed, words):
    with pytest.raises(PanelError, match=words):
        reached.panel(**changed)


@pytest.mark.parametrize(
    ("value", "reach", "words"),
    [(0.9, 5.0, "5 people are reached"), (-1.0, 0.0, "cannot be negative"), (np.nan, 5.0, "tv_freq")],
)
def test_a_cell_that_cannot_be_a_frequency_is_named(value, reach, words):
    frame = reached.table()
    frame.loc[7, ["tv_grp", "tv_frequency"]] = [reach, value]
    with pytest.raises(PanelError, match=words) as raised:
        reached.panel(frame)
    assert "2022-02-21" in str(raised.value)
    assert "tv_frequency" in str(raised.value)


def test_where_nobody_is_reached_any_frequency_will_do():
    frame = reached.table()
    frame.loc[7, ["tv_grp", "tv_frequency"]] = [0.0, 900.0]
    assert mj.Scales.from_panel(reached.panel(frame)).frequency[0] < 900.0


def test_scales_of_frequency_are_those_of_all_geos():
    panel = reached.geo_panel()
    scales = GeoScales.from_panel(panel)
    largest = np.where(panel.exposure > 0, panel.average_frequency, 0.0).max(axis=(1, 2))
    for market in scales.markets:
        np.testing.assert_array_equal(market.frequency, [largest[0], 1.0, largest[2]])
    again = GeoScales.from_dict(scales.to_dict())
    np.testing.assert_array_equal(again.markets[1].frequency, scales.markets[1].frequency)


def test_scales_without_frequency_do_not_fit():
    scales = mj.Scales.from_panel(kinds.panel())
    with pytest.raises(PanelError, match="'TV' has a frequency"):
        scales.check_fits(reached.panel())


def test_geos_added_up_have_the_mean_over_people():
    panel = reached.geo_panel().take(slice(5, None))
    total = panel.total()
    impressions = (panel.exposure * panel.average_frequency).sum(axis=1)
    np.testing.assert_allclose((total.exposure * total.average_frequency)[[0, 2]], impressions[[0, 2]])
    assert not total.average_frequency[1].any()
