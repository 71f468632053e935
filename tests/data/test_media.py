"""Panels with media in units, organic media and treatments."""

import kinds
import numpy as np
import pytest

import mmm_jax as mj
from mmm_jax import PanelError
from mmm_jax.data.media import mean_cost, unit_of
from mmm_jax.data.treatments import reference_levels


def test_every_kind_has_its_place():
    frame, panel = kinds.table(), kinds.panel()
    assert panel.channels == ("TV", "Radio", "newsletter")
    assert panel.control_names == ("rain", "price", "promotion")
    np.testing.assert_array_equal(panel.exposure, frame[["tv_grp", "Radio", "newsletter"]].to_numpy().T)
    np.testing.assert_array_equal(panel.spend, frame.assign(none=0.0)[["TV", "Radio", "none"]].to_numpy().T)
    assert [unit_of(panel, name) for name in panel.channels] == ["tv_grp", "currency", "newsletter"]
    assert reference_levels(panel) == {"price": frame["price"].max(), "promotion": 0.25}


def test_a_panel_of_spend_alone_has_no_media_of_its_own():
    panel = kinds.panel(media=None, organic=[], treatments=None)
    assert panel.media is None
    assert panel.exposure is panel.spend
    named = mj.Panel.from_frame(kinds.table(), **kinds.ROLES, controls=["rain"])
    assert panel.fingerprint() == named.fingerprint()


def test_a_table_and_back_is_the_same_panel():
    panel = kinds.panel()
    again = kinds.panel(panel.to_frame().rename_axis("week").reset_index())
    assert again.fingerprint() == panel.fingerprint()


def test_every_kind_shows_in_the_fingerprint():
    frame = kinds.table()
    changed = [
        kinds.panel(),
        kinds.panel(media=None),
        kinds.panel(treatments={"price": "min", "promotion": 0.25}),
        kinds.panel(frame.assign(tv_grp=frame["tv_grp"] + 1)),
        kinds.panel(frame.assign(newsletter=frame["newsletter"] + 1)),
        kinds.panel(channels=["TV", "Radio", "newsletter"], organic=[]),
    ]
    assert len({panel.fingerprint() for panel in changed}) == len(changed)


def test_runs_of_rows_keep_their_media():
    panel = kinds.panel()
    before, after = panel.split("2022-06-01")
    np.testing.assert_array_equal(np.concatenate([before.exposure, after.exposure], axis=1), panel.exposure)
    assert before.organic == panel.organic
    assert before.treatments == panel.treatments


def test_units_follow_other_spend_at_their_own_cost():
    frame = kinds.table()
    frame.loc[3, "TV"] = 0.0
    panel = kinds.panel(frame)
    spend = panel.spend * 1.5
    spend[0, 3] = 70.0
    found = panel.with_spend(spend).exposure
    naive = panel.exposure * np.array([[1.5], [1.5], [1.0]])
    naive[0, 3] = panel.exposure[0, 3] + 70.0 / (panel.spend[0].sum() / panel.exposure[0].sum())
    np.testing.assert_allclose(found, naive, rtol=1e-14)


def test_costs_and_units_are_described():
    panel = kinds.panel()
    table = panel.describe()
    assert list(table["unit"]) == ["tv_grp", "", "newsletter"]
    np.testing.assert_allclose(table["cost_per_unit"], [panel.spend[0].sum() / panel.exposure[0].sum(), 1.0, np.nan])
    np.testing.assert_allclose(
        mean_cost(np.array([[4.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [1.0, 0.0]])), [2, np.nan]
    )


def test_geos_have_every_kind_too():
    frame = kinds.geo_table()
    panel = kinds.panel(frame, geo="geo")
    south = frame[frame["geo"] == "south"]
    np.testing.assert_array_equal(panel["south"].exposure[0, 5:], south["tv_grp"])
    assert not panel["south"].exposure[:, :5].any()
    # What a geo lacks is no price of 0.
    assert reference_levels(kinds.panel(frame, geo="geo", treatments={"price": "min"})["south"]) == {
        "price": south["price"].min()
    }
    again = kinds.panel(panel.to_frame().reset_index().rename(columns={"date": "week"}), geo="geo")
    assert again.fingerprint() == panel.fingerprint()


def test_geos_add_up():
    whole = kinds.geo_table()
    panel = kinds.panel(whole[whole["week"] >= "2022-02-07"], geo="geo")
    np.testing.assert_allclose(panel.total().exposure, panel.exposure.sum(axis=1))
    assert panel.total().organic == ("newsletter",)


@pytest.mark.parametrize("geo", [None, "geo"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tv_grp": -1.0}, r"Media must be non-negative.* channel 'TV', column 'tv_grp', 2022-02-28: got -1\.0"),
        ({"newsletter": -1.0}, r"channel 'newsletter', column 'newsletter', 2022-02-28: got -1\.0"),
        ({"tv_grp": np.nan}, "Column 'tv_grp' must be finite.* 2022-02-28: got nan"),
    ],
)
def test_a_bad_cell_is_named(geo, changes, message):
    frame = kinds.table().assign(geo="north")
    frame.loc[8, list(changes)] = list(changes.values())
    with pytest.raises(PanelError, match=message):
        kinds.panel(frame, geo=geo)


@pytest.mark.parametrize("geo", [None, "geo"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tv_grp": 0.0}, "Channel 'TV' is constant .*: its media, column 'tv_grp', are 0 in every row"),
        ({"newsletter": 3.0}, "Channel 'newsletter' is constant .* are 3 in every row"),
        ({"TV": 0.0}, "Channel 'TV' has units .column 'tv_grp'., but no spend .* `organic=.'tv_grp'.`"),
    ],
)
def test_a_bad_column_is_named(geo, changes, message):
    with pytest.raises(PanelError, match=message):
        kinds.panel(kinds.table().assign(geo="north", **changes), geo=geo)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"media": {"Print": "tv_grp"}}, "`media` names the channel 'Print'; the channels are 'TV', 'Radio'"),
        ({"media": {"newsletter": "tv_grp"}}, "`media` names 'newsletter', which is organic"),
        ({"media": "tv_grp"}, "`media` must map channels to their columns"),
        ({"media": {"TV": "Radio"}}, "Column 'Radio' is given twice: as channel and as media of 'TV'"),
        ({"media": {"TV": "grp"}}, "1 columns are missing from the table: 'grp'"),
        ({"organic": "newsletter"}, "`organic` must be a list"),
        ({"organic": ["TV"], "media": None}, "Column 'TV' is given twice: as channel and as organic"),
        ({"treatments": {"rain": "max"}}, "Column 'rain' is given twice: as control and as treatment"),
        ({"treatments": {"price": "median"}}, "The reference of treatment 'price' must be 'max', 'mean', 'min' or a finite"),
        ({"treatments": {"price": np.inf}}, "got inf"),
        ({"treatments": ["price"]}, "`treatments` must map columns"),
    ],
)
def test_a_bad_role_is_named(roles, message):
    with pytest.raises(PanelError, match=message):
        kinds.panel(**roles)


def test_spend_on_what_is_organic_is_refused():
    panel = kinds.panel()
    with pytest.raises(PanelError, match="'newsletter' is organic"):
        panel.with_spend(panel.spend + 1.0)


def test_a_market_may_be_organic_alone():
    panel = kinds.panel(channels=[], media=None, controls=[], treatments=None)
    assert panel.channels == ("newsletter",)
    with pytest.raises(PanelError, match="At least one channel is needed"):
        kinds.panel(channels=[], media=None, organic=[])
