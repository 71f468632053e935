"""Reach and frequency in the model: `Adstock(reach * S(frequency))`, and nothing else for all other channels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import numpyro.distributions as dist
import pytest
import reached
from planning.fits import SPECS

import mmm_jax as mj
from mmm_jax.fitting.density import flat_log_density, padded_target, target_of
from mmm_jax.inference.transforms import flat_size
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model, build_model

HILL = mj.ModelSpec(adstock=mj.GeometricAdstock(l_max=3), saturation=mj.HillSaturation())

density, slope = jax.jit(flat_log_density), jax.jit(jax.grad(flat_log_density))
"""One program each, rather than one for every operation."""


def first_draw(fit: mj.Fit) -> dict[str, jax.Array]:
    return {name: jnp.asarray(values[0]) for name, values in fit.flat_draws().items()}


@pytest.mark.parametrize("adstock_first", [True, False])
def test_the_effect_is_the_formula(adstock_first):
    """`sum_l w_l reach~_{t-l} beta f~^s / (kappa^s + f~^s)`, by hand."""
    fit = kinds.from_prior(reached.panel(), replace(HILL, adstock_first=adstock_first))
    panel, draw = fit.panel, {name: values[0] for name, values in fit.flat_draws().items()}
    with precision_scope("float64"):
        found = np.asarray(fit.model().media_effects(first_draw(fit)))
        total = np.asarray(fit.model().media_total(first_draw(fit)))
    for place in reached.OWN:
        frequency = panel.average_frequency[place] / panel.average_frequency[place].max()
        slope, kappa, beta = (draw[f"saturation_{name}"][place] for name in ("slope", "kappa", "beta"))
        response = beta * frequency**slope / (kappa**slope + frequency**slope)
        weights = draw["adstock_alpha"][place] ** np.arange(3)
        reach = panel.exposure[place] / panel.exposure[place].max()
        naive = np.convolve(reach * response, weights / weights.sum())[: len(panel)]
        np.testing.assert_allclose(found[place], naive, rtol=1e-10)
    np.testing.assert_allclose(total, found.sum(axis=0), rtol=1e-10)


def test_a_group_of_its_own_has_frequency_as_well():
    """TV by a logistic curve of frequency and a longer carry-over, the newsletter by Hill's."""
    own = mj.MediaGroup(("TV",), adstock=mj.GeometricAdstock(l_max=5), saturation=mj.LogisticSaturation())
    fit = kinds.from_prior(reached.panel(), replace(HILL, groups=(own,)))
    panel, draw = fit.panel, {name: values[0] for name, values in fit.flat_draws().items()}
    with precision_scope("float64"):
        found = np.asarray(fit.model().media_effects(first_draw(fit)))
    frequency = panel.average_frequency / panel.average_frequency.max(axis=1, keepdims=True).clip(1e-9)
    kappa, slope = draw["saturation_kappa"][1], draw["saturation_slope"][1]
    responses = {0: np.tanh(draw["saturation_lam"][0] * frequency[0] / 2)}
    responses[2] = frequency[2] ** slope / (kappa**slope + frequency[2] ** slope)
    for place, length in ((0, 5), (2, 3)):
        weights = draw["adstock_alpha"][place] ** np.arange(length)
        reach = panel.exposure[place] / panel.exposure[place].max() * draw["saturation_beta"][place]
        naive = np.convolve(reach * responses[place], weights / weights.sum())[: len(panel)]
        np.testing.assert_allclose(found[place], naive, rtol=1e-10)


@pytest.mark.parametrize("name", ["hill", "s-shaped", "log link"])
def test_other_channels_are_what_they_were(name):
    """Bit for bit, in the same model with and without the frequency of others."""
    with precision_scope("float64"):
        effects = []
        for panel in (reached.panel(), kinds.panel(reached.table())):
            model = build_model(SPECS[name], panel, mj.Scales.from_panel(panel))
            params = model.sample_prior(jax.random.key(1))
            effects.append(np.asarray(model.media_effects(params)))
            np.testing.assert_allclose(model.media_total(params), effects[-1].sum(axis=0), rtol=1e-10)
    np.testing.assert_array_equal(effects[0][1], effects[1][1])
    assert not np.allclose(effects[0][0], effects[1][0])


def test_a_constant_frequency_is_linear_media_times_what_it_saturates_to():
    """With `f~ = 1` throughout, logistic saturation leaves `beta tanh(lam / 2)` per unit of reach."""
    frame = reached.table().assign(**dict.fromkeys(reached.COLUMNS.values(), 3.0))
    adstock = mj.GeometricAdstock(l_max=4)
    logistic = kinds.from_prior(reached.panel(frame), mj.ModelSpec(adstock=adstock))
    linear = mj.ModelSpec(adstock=adstock, saturation=mj.NoSaturation())
    with precision_scope("float64"):
        draw = first_draw(logistic)
        slope = draw["saturation_beta"] * jnp.tanh(draw["saturation_lam"] / 2)
        plain = build_model(linear, kinds.panel(reached.table()), logistic.scales)
        expected = plain.media_effects({**draw, "saturation_beta": slope})
        found = logistic.model().media_effects(draw)
    np.testing.assert_allclose(found[jnp.array(reached.OWN)], expected[jnp.array(reached.OWN)], rtol=1e-10)


@pytest.mark.parametrize(("name", "precision"), [("s-shaped", "float64"), ("root", "float32"), ("hill", "float32")])
def test_padding_changes_nothing_and_gradients_are_finite(name, precision):
    frame = reached.table()
    frame.loc[:4, ["tv_grp", "tv_frequency"]] = 0.0
    panel, spec = reached.panel(frame), SPECS[name]
    scales = mj.Scales.from_panel(panel)
    with precision_scope(precision):
        plain, prepared = target_of(build_model(spec, panel, scales)), padded_target(spec, panel, scales)
        active = prepared.active
        flat = 0.1 * jax.random.normal(jax.random.key(3), (int(active.sum()),))
        wide = jnp.zeros(len(active)).at[np.flatnonzero(active)].set(flat)
        short, long = slope(flat, plain), slope(wide, prepared.target)
    assert np.isfinite(short).all()
    tolerance = 1e-9 if precision == "float64" else 2e-3
    np.testing.assert_allclose(long[np.flatnonzero(active)], short, rtol=tolerance, atol=tolerance * np.abs(short).max())


def test_the_gradient_is_the_difference_quotient():
    with precision_scope("float64"):
        target = target_of(build_model(HILL, reached.panel(), mj.Scales.from_panel(reached.panel())))
        flat = 0.1 * jax.random.normal(jax.random.key(3), (flat_size(target.charts),))
        step = jax.random.normal(jax.random.key(4), flat.shape)
        ends = [density(flat + sign * 1e-5 * step, target) for sign in (1.0, -1.0)]
        np.testing.assert_allclose(slope(flat, target) @ step, (ends[0] - ends[1]) / 2e-5, rtol=1e-6)


def test_every_geo_is_a_market_of_its_own():
    fit = kinds.from_prior(reached.geo_panel(), HILL)
    with precision_scope("float64"):
        draw = {name: jnp.asarray(values[0]) for name, values in fit.flat_draws().items()}
        together = fit.model().mean(draw)
        for place, geo in enumerate(fit.panel.geos):
            alone = fit[geo].model()
            np.testing.assert_allclose(together[place], alone.mean(first_draw(fit[geo])), rtol=1e-8)


@pytest.mark.parametrize("media_prior", ["roas", "marginal_roas"])
def test_a_return_fixes_the_effect(media_prior):
    spec = mj.ModelSpec(adstock=HILL.adstock, media_prior=media_prior, priors={media_prior: dist.LogNormal(0.5, 0.5)})
    fit = kinds.from_prior(reached.panel(organic=[], frequency={"TV": "tv_frequency"}), spec)
    found = getattr(fit, media_prior)().to_numpy()
    stated = fit.draws[media_prior]
    # The effect after the last row is counted by the marginal return in the same way.
    np.testing.assert_allclose(found[..., 0], stated[..., 0], rtol=1e-6)


def test_an_experiment_changes_the_reach_and_not_the_frequency():
    """Against the model's own mean over the panel with the other spend, carry-over included."""
    panel = reached.panel()
    dates = panel.dates
    test = mj.LiftTest(
        channel="TV", start=dates[20], end=dates[23], outcome_end=dates[26], delta_spend=30.0, delta_outcome=1.0, se=1.0
    )
    radio = replace(test, channel="Radio")
    for spec in (HILL, replace(HILL, adstock_first=False)):
        scales = mj.Scales.from_panel(panel)
        with precision_scope("float64"):
            model = build_any_model(spec, panel, scales, experiments=mj.LiftTests([test, radio]))
            params = model.sample_prior(jax.random.key(2))
            for row, channel in enumerate((0, 1)):
                spend = panel.spend.copy()
                spend[channel, 20:24] += 30.0
                other = build_model(spec, panel, scales, panel=panel.with_spend(spend))
                change = scales.target * (other.mean(params) - model.mean(params))[20:27].sum()
                np.testing.assert_allclose(model.predicted_experiments(params)[row], change, rtol=1e-9)
