import datetime

import helpers
import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mmm_jax import Panel, PanelError
from mmm_jax.data.calendar import Frequency
from mmm_jax.data.panel import variance_inflation

ROLES = {"date": "date", "target": "sales", "channels": ["channel_0", "channel_1"], "controls": ["control"]}


def made(frame: pd.DataFrame, **roles) -> Panel:
    return Panel.from_frame(frame, **{**ROLES, **roles})


def months(count: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    numbers = {name: rng.uniform(1.0, 9.0, count) for name in ("sales", "channel_0", "channel_1", "control")}
    return pd.DataFrame({"date": pd.date_range("2023-01-01", periods=count, freq="MS"), **numbers})


@pytest.mark.smoke
@given(frame=strategies.good_tables())
def test_the_panel_holds_the_table_in_order_of_its_dates(frame):
    panel, ordered = made(frame), frame.sort_values("date")
    np.testing.assert_array_equal(panel.dates, ordered["date"].to_numpy().astype("datetime64[D]"))
    np.testing.assert_array_equal(panel.spend, [ordered["channel_0"], ordered["channel_1"]])
    np.testing.assert_array_equal(panel.controls, [ordered["control"]])
    np.testing.assert_array_equal(panel.target, ordered["sales"])
    assert len(panel) == len(frame)
    assert (panel.channels, panel.control_names, panel.target_name) == (("channel_0", "channel_1"), ("control",), "sales")


@given(frame=strategies.good_tables())
def test_the_table_is_not_changed_and_its_later_changes_do_not_reach_the_panel(frame):
    before = frame.copy(deep=True)
    panel = made(frame)
    fingerprint = panel.fingerprint()
    pd.testing.assert_frame_equal(frame, before)
    for column in ("sales", "channel_0", "channel_1", "control"):
        frame.loc[:, column] = -1.0
    assert panel.fingerprint() == fingerprint


@given(frame=strategies.good_tables(), has_target=st.booleans())
def test_arrays_are_read_only_even_after_taking_a_part(frame, has_target):
    whole = made(frame, target="sales" if has_target else None)
    for panel in (whole, whole.take(slice(1, None)), whole.with_spend(whole.spend + 1.0)):
        for array in (panel.dates, panel.spend, panel.controls, *([panel.target] if has_target else [])):
            with pytest.raises(ValueError, match="read-only"):
                array[..., 0] = array[..., 1]


def test_fields_cannot_be_set():
    with pytest.raises(AttributeError, match="cannot assign"):
        made(months()).target_name = "profit"


def test_without_controls_there_is_an_empty_block():
    assert made(months(), controls=[]).controls.shape == (0, 24)


def test_channels_keep_the_order_in_which_they_are_given():
    panel = made(months(), channels=["channel_1", "channel_0"])
    np.testing.assert_array_equal(panel.spend, months()[["channel_1", "channel_0"]].T)


def test_day_of_year_is_the_calendars():
    np.testing.assert_array_equal(made(months()).day_of_year, [date.day_of_year for date in months()["date"]])


@given(regular=strategies.regular_dates(min_rows=3))
def test_the_frequency_is_recognised(regular):
    frequency, dates = regular
    numbers = {name: np.arange(len(dates)) + 1.0 for name in ("sales", "channel_0", "channel_1", "control")}
    panel = made(pd.DataFrame({"date": dates.astype(str), **numbers}))
    assert panel.frequency is frequency
    assert f"{len(dates)} {frequency} rows" in repr(panel)


# Parts of a panel.


@given(frame=strategies.good_tables(), data=st.data())
def test_split_cuts_after_its_date_and_loses_nothing(frame, data):
    panel = made(frame)
    last = data.draw(st.integers(0, len(panel) - 2))
    cut = panel.dates[last]
    for date in (cut, str(cut), cut.astype(object), pd.Timestamp(cut)):
        train, test = panel.split(date)
        assert (len(train), len(test)) == (last + 1, len(panel) - last - 1)
        assert train.dates[-1] <= cut < test.dates[0]
    for name in ("dates", "spend", "controls", "target"):
        parts = [getattr(part, name) for part in (train, test)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=-1), getattr(panel, name))


def test_split_between_two_dates():
    train, test = made(months()).split("2024-06-15")
    assert (train.dates[-1], test.dates[0]) == (np.datetime64("2024-06-01"), np.datetime64("2024-07-01"))


@pytest.mark.parametrize("date", ["2022-12-31", "2024-12-01", "2030-01-01", datetime.date(1999, 1, 1), "NaT"])
def test_split_with_nothing_on_one_side(date):
    with pytest.raises(PanelError, match="leaves no rows on one side: the panel has 2023-01-01 to 2024-12-01"):
        made(months()).split(date)


@pytest.mark.parametrize("date", ["soon", "01/02/2024", None, [1, 2], object()])
def test_split_at_what_is_no_date(date):
    with pytest.raises(PanelError, match="The split date .* cannot be read. Write it as 2024-01-31"):
        made(months()).split(date)


@given(frame=strategies.good_tables(), data=st.data())
def test_take_is_slicing(frame, data):
    panel = made(frame)
    rows = slice(data.draw(st.integers(0, len(panel) - 1)), None)
    part = panel.take(rows)
    for name in ("dates", "spend", "controls", "target"):
        np.testing.assert_array_equal(getattr(part, name), getattr(panel, name)[..., rows])
    assert (part.channels, part.frequency, part.target_name) == (panel.channels, panel.frequency, panel.target_name)


def test_take_keeps_an_unknown_target_unknown():
    assert made(months(), target=None).take(slice(3)).target is None


@given(frame=strategies.good_tables(), factor=strategies.number(0.0, 3.0))
def test_with_spend_changes_the_spend_only(frame, factor):
    panel = made(frame)
    other = panel.with_spend((factor * panel.spend).tolist())
    np.testing.assert_array_equal(other.spend, factor * panel.spend)
    np.testing.assert_array_equal(other.target, panel.target)
    assert made(frame).fingerprint() == panel.fingerprint()


def test_with_spend_copies():
    spend = np.ones((2, 24))
    panel = made(months()).with_spend(spend)
    spend[0, 0] = 7.0
    assert panel.spend[0, 0] == 1.0


@pytest.mark.parametrize("shape", [(24,), (24, 2), (2, 23), (3, 24)])
def test_with_spend_of_another_shape(shape):
    with pytest.raises(PanelError, match=r"Spend must have the shape \(2, 24\) \(channel, time\), got"):
        made(months()).with_spend(np.ones(shape))


# Round trip and fingerprint.


@given(frame=strategies.good_tables(), has_target=st.booleans())
def test_to_frame_and_back_is_the_same_panel(frame, has_target):
    target = "sales" if has_target else None
    panel = made(frame, target=target)
    back = made(panel.to_frame().reset_index(), target=target)
    assert back.fingerprint() == panel.fingerprint()
    assert back.frequency is panel.frequency


@given(frame=strategies.good_tables(), data=st.data())
def test_fingerprint_changes_with_every_number(frame, data):
    panel = made(frame)
    changed, row = frame.copy(), data.draw(st.integers(0, len(frame) - 1))
    column = data.draw(st.sampled_from(["sales", "channel_0", "channel_1", "control"]))
    changed.iloc[row, changed.columns.get_loc(column)] += 0.5
    assume(np.ptp(changed[column]) > 0)
    assert made(changed).fingerprint() != panel.fingerprint()


def test_fingerprint_changes_with_names_dates_frequency_and_missing_targets():
    frame = months()
    weekly = frame.assign(date=pd.date_range("2023-01-01", periods=24, freq="7D"))
    later = frame.assign(date=frame["date"] + pd.DateOffset(years=1))
    renamed = frame.rename(columns={"channel_0": "tv", "control": "price", "sales": "orders"})
    panels = [
        made(frame),
        made(weekly),
        made(later),
        made(frame, target=None),
        made(frame, controls=[]),
        made(frame, channels=["channel_1", "channel_0"]),
        made(frame, channels=["channel_0"]),
        made(renamed, target="orders", channels=["channel_1", "tv"], controls=["price"]),
        made(renamed, target="orders", channels=["tv", "channel_1"], controls=["price"]),
        made(frame).take(slice(23)),
    ]
    assert len({panel.fingerprint() for panel in panels}) == len(panels)


def test_fingerprint_does_not_depend_on_the_order_of_rows_or_columns():
    frame = months()
    shuffled = frame.sample(frac=1.0, random_state=0)[["control", "channel_1", "sales", "date", "channel_0"]]
    assert made(shuffled).fingerprint() == made(frame).fingerprint()


def test_fingerprint_separates_renamed_columns_of_equal_values():
    frame = months()
    price = frame.rename(columns={"control": "price"})
    assert made(price, controls=["price"]).fingerprint() != made(frame).fingerprint()


# A first look.


def spends(channels: int, periods: int = 12):
    cells = st.just(0.0) | strategies.number(0.0, 1000.0)
    return npst.arrays(float, (channels, periods), elements=cells)


def as_panel(spend: np.ndarray, target: np.ndarray | None = None) -> Panel:
    dates = np.datetime64("2024-01-01") + 7 * np.arange(spend.shape[1]) * strategies.DAY
    names = tuple(f"channel_{index}" for index in range(len(spend)))
    return Panel(dates, np.array(spend), np.empty((0, len(dates))), target, names, (), "sales", Frequency.WEEKLY)


@given(frame=strategies.good_tables())
def test_describe_equals_the_naive_sums(frame):
    table, panel = made(frame).describe(), made(frame)
    assert list(table.index) == ["channel_0", "channel_1"]
    for name, row in zip(panel.channels, panel.spend, strict=True):
        np.testing.assert_allclose(table.loc[name, "total"], sum(row), rtol=1e-12)
        np.testing.assert_allclose(table.loc[name, "mean"], sum(row) / len(row), rtol=1e-12)
        np.testing.assert_allclose(table.loc[name, "spend_share"], sum(row) / panel.spend.sum(), rtol=1e-12)
        np.testing.assert_allclose(table.loc[name, "zero_share"], sum(value == 0 for value in row) / len(row), rtol=1e-12)
        np.testing.assert_allclose(table.loc[name, "correlation"], np.corrcoef(row, panel.target)[0, 1], atol=1e-9)
    np.testing.assert_allclose(table["spend_share"].sum(), 1.0, rtol=1e-12)


def test_describe_without_a_target_has_no_correlation():
    assert made(months(), target=None).describe()["correlation"].isna().all()


def test_describe_of_a_plan_without_spend():
    table = as_panel(np.zeros((2, 12))).describe()
    assert not table[["total", "mean"]].any(axis=None)
    assert (table["zero_share"] == 1.0).all()
    assert table[["spend_share", "correlation", "vif"]].isna().all(axis=None)


@given(spend=spends(3))
def test_variance_inflation_equals_the_regressions(spend):
    design = np.vstack([np.ones(spend.shape[1]), spend])
    assume(np.linalg.matrix_rank(design) == len(design))
    assume(np.linalg.cond(design / np.linalg.norm(design, axis=1, keepdims=True)) < 1e4)
    np.testing.assert_allclose(variance_inflation(spend), helpers.variance_inflation(spend), rtol=1e-6)


@given(spend=spends(3), scales=strategies.between(-8.0, 8.0, 3))
def test_variance_inflation_does_not_depend_on_the_currency(spend, scales):
    assume(np.linalg.matrix_rank(np.vstack([np.ones(12), spend])) == 4)
    found = variance_inflation(spend * 10.0 ** np.round(scales)[:, None])
    np.testing.assert_allclose(found, variance_inflation(spend), rtol=1e-5)


@given(spend=spends(2), share=strategies.number(0.1, 3.0))
def test_collinear_channels_have_infinite_variance_inflation(spend, share):
    assume(np.linalg.matrix_rank(np.vstack([np.ones(12), spend])) == 3)
    together = np.vstack([spend, spend[0] + share * spend[1] + 5.0])
    assert np.all(np.isinf(variance_inflation(together)))


@given(spend=spends(1))
def test_one_channel_has_variance_inflation_of_one(spend):
    assume(np.ptp(spend) > 0)
    np.testing.assert_allclose(variance_inflation(spend), 1.0, rtol=1e-12)


def test_orthogonal_channels_have_variance_inflation_of_one():
    spend = np.array([[0.0, 2.0, 0.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    np.testing.assert_allclose(variance_inflation(spend), 1.0, rtol=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.1, 3.3, 1e9 / 7])
def test_a_constant_channel_has_neither_variance_inflation_nor_correlation(level):
    rng = np.random.default_rng(0)
    spend = np.vstack([np.full(49, level), rng.uniform(0.0, 1.0, (2, 49))])
    table = as_panel(spend, rng.normal(size=49)).describe()
    assert np.isnan(table["vif"].iloc[0])
    assert np.isnan(table["correlation"].iloc[0])
    np.testing.assert_allclose(table["vif"].iloc[1:], helpers.variance_inflation(spend[1:]), rtol=1e-6)
