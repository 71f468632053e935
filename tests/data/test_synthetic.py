import helpers
import numpy as np
import pytest

from mmm_jax import Panel, PanelError
from mmm_jax.data import synthetic
from mmm_jax.data.synthetic import make_market

SEEDS = range(5)
every_seed = pytest.mark.parametrize("seed", SEEDS)


@pytest.mark.smoke
@every_seed
def test_the_same_seed_gives_the_same_market(seed):
    one, other = make_market(seed=seed), make_market(seed=seed)
    assert one.panel.fingerprint() == other.panel.fingerprint()
    assert one.truth.contributions.equals(other.truth.contributions)
    assert one.truth.roas.equals(other.truth.roas)


def test_other_seeds_give_other_markets():
    assert len({make_market(seed=seed).panel.fingerprint() for seed in SEEDS}) == len(SEEDS)


@every_seed
def test_without_scatter_the_contributions_add_up_to_the_sales(seed):
    market = make_market(seed=seed, noise=0.0)
    np.testing.assert_allclose(market.truth.contributions.sum(axis=1), market.panel.target, rtol=1e-12)
    assert market.truth.noise == 0.0


@every_seed
def test_with_scatter_they_add_up_within_it(seed):
    market = make_market(seed=seed, weeks=520)
    scatter = market.panel.target - market.truth.contributions.sum(axis=1).to_numpy()
    assert np.all(np.abs(scatter) < 5 * market.truth.noise)
    np.testing.assert_allclose(scatter.std(), market.truth.noise, rtol=0.15)
    np.testing.assert_allclose(scatter.mean(), 0.0, atol=5 * market.truth.noise / np.sqrt(520))


@every_seed
def test_roas_is_contribution_over_spend(seed):
    market = make_market(seed=seed)
    assert list(market.truth.roas.index) == list(market.panel.channels)
    for channel, spend in zip(market.panel.channels, market.panel.spend, strict=True):
        np.testing.assert_allclose(
            market.truth.roas[channel] * spend.sum(), market.truth.contributions[channel].sum(), rtol=1e-12
        )
        assert market.truth.roas[channel] > 0


@every_seed
def test_contributions_are_the_media_equation_at_the_true_parameters(seed):
    market = make_market(seed=seed)
    parameters = market.truth.parameters
    for index, channel in enumerate(market.panel.channels):
        weights = helpers.geometric_weights(parameters["alpha"][index], 6)
        spend = market.panel.spend[index]
        carried = helpers.adstock(spend / spend.max(), weights / weights.sum())
        expected = helpers.logistic(carried, parameters["lam"][index], parameters["top"][index])
        np.testing.assert_allclose(market.truth.contributions[channel], expected, rtol=1e-10)


@every_seed
@pytest.mark.parametrize("weeks", [52, 209])
def test_the_panel_keeps_all_rules(seed, weeks):
    panel = make_market(seed=seed, weeks=weeks).panel
    assert len(panel) == weeks
    assert np.all(panel.spend >= 0)
    assert np.all(panel.target >= 0)
    frame = panel.to_frame().reset_index()
    back = Panel.from_frame(frame, date="date", target="sales", channels=panel.channels, controls=panel.control_names)
    assert back.fingerprint() == panel.fingerprint()


@every_seed
def test_spend_is_about_as_large_as_it_says_and_sometimes_silent(seed):
    panel = make_market(seed=seed).panel
    np.testing.assert_allclose(panel.spend.mean(axis=1), list(synthetic.CHANNEL_SPEND.values()), rtol=1e-4)
    assert 0.0 < np.mean(panel.spend == 0) < 0.1


def test_holidays_come_once_a_year():
    panel = make_market(weeks=4 * 52 + 1).panel
    years = panel.dates.astype("datetime64[Y]").astype(int) + 1970
    for year in (2015, 2016, 2017):
        np.testing.assert_array_equal(panel.controls[:, years == year].sum(axis=1)[:-1], 1.0)


def test_start_is_the_first_date():
    assert make_market(start="2020-02-29", weeks=52).panel.dates[0] == np.datetime64("2020-02-29")


@pytest.mark.parametrize("weeks", [0, 51])
def test_less_than_a_year_is_refused(weeks):
    with pytest.raises(PanelError, match=f"at least 52 weeks, got {weeks}"):
        make_market(weeks=weeks)
