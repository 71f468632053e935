import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from mmm_jax import Panel, PanelError, Scales

ROLES = {"date": "date", "target": "sales", "channels": ["channel_0", "channel_1"], "controls": ["control"]}


def weeks(rows: int = 49, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    numbers = {name: rng.uniform(1.0, 9.0, rows) for name in ("sales", "channel_0", "channel_1", "control")}
    return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=rows, freq="7D"), **numbers, **columns})


def made(frame: pd.DataFrame, **roles) -> Panel:
    return Panel.from_frame(frame, **{**ROLES, **roles})


@pytest.mark.smoke
@given(frame=strategies.good_tables())
def test_scales_are_the_largest_values(frame):
    scales = Scales.from_panel(made(frame))
    np.testing.assert_array_equal(scales.channel, [max(frame["channel_0"]), max(frame["channel_1"])])
    assert scales.target == max(abs(value) for value in frame["sales"])
    np.testing.assert_array_equal(scales.control_location, [0.0])
    np.testing.assert_array_equal(scales.control_scale, [1.0])


@given(frame=strategies.good_tables(), factor=st.sampled_from([0.5, 2.0, 1024.0]))
def test_scaled_values_do_not_depend_on_the_currency(frame, factor):
    panel, other = made(frame), made(frame.assign(channel_0=factor * frame["channel_0"], sales=factor * frame["sales"]))
    scales, others = Scales.from_panel(panel), Scales.from_panel(other)
    np.testing.assert_array_equal(panel.spend / scales.channel[:, None], other.spend / others.channel[:, None])
    np.testing.assert_array_equal(panel.target / scales.target, other.target / others.target)
    assert np.max(panel.spend / scales.channel[:, None]) == np.max(np.abs(panel.target / scales.target)) == 1.0


@given(frame=strategies.good_tables())
def test_standardized_controls_have_mean_zero_and_deviation_one(frame):
    panel = made(frame)
    scales = Scales.from_panel(panel, standardize_controls=True)
    np.testing.assert_array_equal(scales.control_location, [np.mean(panel.controls)])
    if np.ptp(panel.controls) > 0:
        standardized = (panel.controls - scales.control_location[:, None]) / scales.control_scale[:, None]
        np.testing.assert_allclose([standardized.mean(), standardized.std()], [0.0, 1.0], atol=1e-10)


@pytest.mark.parametrize("level", [0.0, 0.1, 3.3, 1e9 / 7])
def test_a_constant_control_is_shifted_but_not_blown_up(level):
    panel = made(weeks(control=level))
    scales = Scales.from_panel(panel, standardize_controls=True)
    np.testing.assert_array_equal(scales.control_scale, [1.0])
    np.testing.assert_allclose(panel.controls - scales.control_location, 0.0, atol=1e-12 * max(level, 1.0))


@pytest.mark.parametrize("standardize", [False, True])
def test_without_controls_the_scales_are_empty(standardize):
    scales = Scales.from_panel(made(weeks(), controls=[]), standardize_controls=standardize)
    assert scales.control_location.shape == scales.control_scale.shape == (0,)


def test_a_panel_without_a_target_has_no_scale():
    with pytest.raises(PanelError, match="without a target has no target scale.*Give `target="):
        Scales.from_panel(made(weeks(), target=None))


def test_a_channel_without_spend_has_no_scale_and_is_named():
    panel = made(weeks())
    silent = panel.spend.copy()
    silent[1] = 0.0
    with pytest.raises(PanelError, match="Channel 'channel_1' has no spend in the training rows"):
        Scales.from_panel(panel.with_spend(silent))


def test_a_target_of_zero_has_no_scale_and_is_named():
    with pytest.raises(PanelError, match="Target 'sales' is 0 in all training rows"):
        Scales.from_panel(made(weeks(sales=np.r_[np.zeros(40), np.ones(9)])).take(slice(40)))


@given(frame=strategies.good_tables(), standardize=st.booleans())
def test_round_trip_through_json(frame, standardize):
    panel = made(frame)
    scales = Scales.from_panel(panel, standardize_controls=standardize)
    back = Scales.from_dict(json.loads(json.dumps(scales.to_dict())))
    assert (back.target, back.target_mean) == (scales.target, scales.target_mean)
    for name in ("channel", "control_location", "control_scale"):
        np.testing.assert_array_equal(getattr(back, name), getattr(scales, name))
    back.check_fits(panel)


def test_scales_of_another_panel_are_refused():
    scales = Scales.from_panel(made(weeks(), controls=[]))
    with pytest.raises(PanelError, match="The scales are for 2 channels and 0 controls, the panel has 2 and 1"):
        scales.check_fits(made(weeks()))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("channel", np.ones(3), "The scales are for 3 channels and 1 controls, the panel has 2 and 1"),
        ("control_scale", np.ones(2), "Every control needs a location and a scale, but there are 1 and 2"),
        ("control_location", np.ones(2), "Every control needs a location and a scale, but there are 2 and 1"),
        ("channel", np.array([1.0, 0.0]), "positive and finite"),
        ("channel", np.array([1.0, -1.0]), "positive and finite"),
        ("channel", np.array([1.0, np.nan]), "positive and finite"),
        ("target", 0.0, "positive and finite"),
        ("target", np.inf, "positive and finite"),
        ("control_scale", np.zeros(1), "positive and finite"),
        ("control_location", np.array([np.nan]), "locations of the controls must be finite"),
    ],
)
def test_scales_that_do_not_fit_are_refused(field, value, message):
    panel = made(weeks())
    scales = Scales.from_panel(panel)
    scales.check_fits(panel)
    with pytest.raises(PanelError, match=message):
        replace(scales, **{field: value}).check_fits(panel)
