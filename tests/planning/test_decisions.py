"""What one number of a plan stands for: its cells, its coefficients, its labels."""

from itertools import product

import numpy as np
import pytest

from mmm_jax.errors import PlanError
from mmm_jax.planning.decisions import Decisions, National, checked_by

CHANNELS = ("TV", "Radio", "Print")
DATES = np.datetime64("2024-01-01") + 7 * np.arange(4)
GEOS = ("north", "south")

BYS = [("channel",), ("date", "channel"), ("channel", "geo"), ("geo", "channel", "date")]
KINDS = list(product(BYS, [GEOS, (National,)]))


def made(by, geos=GEOS, seed=0):
    """Decisions with uneven shares, which sum to one over the cells of each number."""
    shape = (len(geos), len(CHANNELS), len(DATES))
    shares = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    together = tuple(axis for axis, name in enumerate(("geo", "channel", "date")) if name not in by)
    return Decisions(by, DATES, CHANNELS, geos, shares / shares.sum(axis=together, keepdims=True))


def amounts_of(decisions, seed=1):
    return np.random.default_rng(seed).uniform(1.0, 2.0, decisions.count)


@pytest.mark.parametrize(("by", "geos"), KINDS)
def test_every_number_is_spent_in_full(by, geos):
    decisions = made(by, geos)
    amounts = amounts_of(decisions)
    cells = decisions.cells(amounts)
    sums, shares = np.zeros(decisions.count), np.zeros(decisions.count)
    for place in np.ndindex(cells.shape):
        sums[decisions.index[place]] += cells[place]
        shares[decisions.index[place]] += decisions.shares[place]
    np.testing.assert_allclose(sums, amounts, rtol=1e-13)
    np.testing.assert_allclose(shares, 1.0, rtol=1e-13)


@pytest.mark.parametrize(("by", "geos"), KINDS)
def test_coefficients_of_cells_and_of_numbers_mean_the_same(by, geos):
    """`gathered` is the adjoint of `cells`."""
    decisions = made(by, geos)
    coefficients, amounts = np.random.default_rng(2).normal(size=decisions.shares.shape), amounts_of(decisions)
    by_number = decisions.gathered(coefficients)
    np.testing.assert_allclose(by_number @ amounts, (coefficients * decisions.cells(amounts)).sum(), rtol=1e-12)


@pytest.mark.parametrize(("by", "geos"), KINDS)
def test_cells_share_a_number_just_where_they_are_not_decided_apart(by, geos):
    decisions = made(by, geos)
    apart = [axis for axis, name in enumerate(("geo", "channel", "date")) if name in by]
    places = list(np.ndindex(decisions.shares.shape))
    for one, other in product(places, places):
        same = all(one[axis] == other[axis] for axis in apart)
        assert (decisions.index[one] == decisions.index[other]) == same
    assert decisions.identity == (decisions.count == decisions.shares.size)
    assert set(decisions.index.ravel()) == set(range(decisions.count))


@pytest.mark.parametrize(("by", "geos"), KINDS)
def test_labels_put_numbers_where_their_cells_are(by, geos):
    decisions = made(by, geos)
    table = decisions.labelled(np.arange(decisions.count))
    assert set(table.dims) == set(by)
    for geo, channel, date in np.ndindex(decisions.shares.shape):
        where = {"geo": geos[geo], "channel": CHANNELS[channel], "date": DATES[date]}
        assert table.sel({name: where[name] for name in by}).item() == decisions.index[geo, channel, date]
        assert decisions.channel_of[decisions.index[geo, channel, date]] == channel


@pytest.mark.parametrize(("by", "geos"), KINDS)
def test_spend_is_shown_by_date_channel_and_geo(by, geos):
    decisions = made(by, geos)
    amounts = amounts_of(decisions)
    table, cells = decisions.spend(amounts), decisions.cells(amounts)
    assert table.dims == (("date", "channel", "geo") if len(geos) > 1 else ("date", "channel"))
    for geo, channel, date in np.ndindex(cells.shape):
        where = {"channel": CHANNELS[channel], "date": DATES[date]} | ({"geo": geos[geo]} if len(geos) > 1 else {})
        assert table.sel(where).item() == cells[geo, channel, date]


@pytest.mark.parametrize("channels", [None, "TV", ["TV", "Print"]])
@pytest.mark.parametrize("dates", [None, ("2024-01-08", "2024-01-21"), (DATES[0], DATES[0])])
@pytest.mark.parametrize("geos", [None, "south", ["south", "north"]])
def test_selected_cells(channels, dates, geos):
    chosen = made(("channel",)).selected(channels, dates, geos)
    for geo, channel, date in np.ndindex(chosen.shape):
        inside = channels is None or CHANNELS[channel] in ([channels] if isinstance(channels, str) else channels)
        inside &= geos is None or GEOS[geo] in ([geos] if isinstance(geos, str) else geos)
        inside &= dates is None or np.datetime64(dates[0]) <= DATES[date] <= np.datetime64(dates[1])
        assert chosen[geo, channel, date] == float(inside)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": "Cinema"}, "There is no channel 'Cinema'; there are TV, Radio, Print"),
        ({"channels": ["TV", "Cinema"]}, "There is no channel 'Cinema'"),
        ({"channels": []}, "An empty list of channels selects nothing"),
        ({"channels": None, "geos": "west"}, "There is no geo 'west'; there are north, south"),
        (
            {"channels": None, "dates": ("2025-01-01", "2025-02-01")},
            "No planned date lies between 2025-01-01 and 2025-02-01",
        ),
        ({"channels": None, "dates": ("2024-01-09", "2024-01-02")}, "No planned date lies between"),
        ({"channels": None, "dates": ("first", "last")}, "`dates` must be the first and the last date"),
        ({"channels": None, "dates": ("2024-01-01",)}, "`dates` must be the first and the last date"),
    ],
)
def test_what_does_not_exist_cannot_be_selected(given, message):
    with pytest.raises(PlanError, match=message):
        made(("channel",)).selected(**given)


@pytest.mark.parametrize(
    ("by", "geographic", "message"),
    [
        ("month", False, "`by` must name some of date, channel, geo"),
        (("channel", "channel"), False, "each once"),
        ("date", False, "`by` must hold 'channel'"),
        ((), False, "`by` must hold 'channel'"),
        (("channel", "geo"), False, "there is one market"),
    ],
)
def test_what_cannot_be_decided_apart(by, geographic, message):
    with pytest.raises(PlanError, match=message):
        checked_by(by, geographic=geographic)


@pytest.mark.parametrize("by", ["channel", *BYS])
def test_what_can_be_decided_apart(by):
    assert checked_by(by, geographic=True) == ((by,) if isinstance(by, str) else by)
