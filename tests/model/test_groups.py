"""Groups of channels: a model is the sum of what each of its groups would be alone, and one group of all is none."""

import json
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.analysis.contributions import channel_totals
from mmm_jax.analysis.response import saturation_curve
from mmm_jax.errors import SpecError
from mmm_jax.kernels.places import taken
from mmm_jax.model.build import build_model, resolved_priors, scalar_names
from mmm_jax.model.media import media_parts

ADSTOCK = mj.GeometricAdstock(l_max=4)
SLOW = mj.MediaGroup(("TV", "Insert"), adstock=mj.WeibullCDFAdstock(l_max=9), saturation=mj.HillSaturation())
LATE = mj.MediaGroup(("Radio",), adstock=mj.DelayedAdstock(l_max=3), adstock_first=False)
MIXED = mj.ModelSpec(adstock=ADSTOCK, groups=(SLOW, LATE))

density_of = eqx.filter_jit(lambda model, params: model.log_density(params))


@pytest.fixture(scope="module")
def panel():
    return mj.synthetic.make_market(weeks=60).panel


def built(spec, panel):
    return build_model(spec, panel, mj.Scales.from_panel(panel))


def alone(panel, names):
    """The panel's rows with some of its channels."""
    return replace(panel, spend=panel.spend[[panel.channels.index(name) for name in names]], channels=tuple(names))


@pytest.mark.smoke
@pytest.mark.parametrize("groups", [(mj.MediaGroup(("TV", "Radio"), adstock=ADSTOCK),), "all"])
def test_groups_that_choose_alike_are_the_model_without_groups(panel, groups):
    """Bit for bit, and the same program: whether groups repeat the spec's choice, or have every channel."""
    plain, base = mj.ModelSpec(adstock=ADSTOCK), ADSTOCK
    if groups == "all":
        groups = tuple(mj.MediaGroup(names, adstock=ADSTOCK) for names in (panel.channels[:3], panel.channels[3:]))
        base = mj.BinomialAdstock(l_max=2)
    model, grouped = built(plain, panel), built(replace(plain, adstock=base, groups=groups), panel)
    params = model.sample_prior(jax.random.key(0))
    assert density_of(grouped, params) == density_of(model, params)
    jaxprs = [str(jax.make_jaxpr(lambda p, m=m: m.log_density(p))(params)) for m in (model, grouped)]
    assert jaxprs[0] == jaxprs[1]


@pytest.mark.smoke
@pytest.mark.usefixtures("float64")
def test_a_grouped_model_is_the_sum_of_its_groups_models(panel):
    """Effects, totals, weights and curves of every group are those of an ungrouped model of its channels alone."""
    model = built(MIXED, panel)
    params = model.sample_prior(jax.random.key(1))
    effects, names = np.asarray(model.media_effects(params)), scalar_names(MIXED, panel)
    curves = np.asarray(saturation_curve(model, params, panel.spend, model.channel_scale))
    weights = np.asarray(model.weights(params))
    flat = dict(zip(names, np.concatenate([np.ravel(params[name]) for name in MIXED.parameter_dims]), strict=True))
    total = np.zeros(len(panel))
    rest = [name for name in panel.channels if name not in (*SLOW.channels, *LATE.channels)]
    for channels, choices in ((SLOW.channels, SLOW), (LATE.channels, LATE), (rest, None)):
        given = {} if choices is None else {k: v for k, v in vars(choices).items() if k != "channels" and v is not None}
        spec, one = mj.ModelSpec(**{"adstock": ADSTOCK, **given}), alone(panel, channels)
        single = built(spec, one)
        own = {
            name: jnp.array([flat[f"{name}[{channel}]"] for channel in channels])
            for name, dims in spec.parameter_dims.items()
            if dims == ("channel",)
        }
        places = [panel.channels.index(name) for name in channels]
        expected = np.asarray(single.media_effects(own))
        np.testing.assert_allclose(effects[places], expected, rtol=1e-12)
        alone_curves = saturation_curve(single, own, one.spend, single.channel_scale)
        np.testing.assert_allclose(curves[places], alone_curves, rtol=1e-12)
        np.testing.assert_allclose(weights[places, : spec.l_max], single.weights(own), rtol=1e-12)
        assert not weights[places, spec.l_max :].any()
        total += expected.sum(axis=0)
    np.testing.assert_allclose(model.media_total(params), total, rtol=1e-12)
    mean = model.baseline(params) + total
    np.testing.assert_allclose(model.mean(params), mean, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_carry_in_reaches_back_over_the_longest_window(panel):
    """Rows that follow the training rows, with their history, have the effects of one run through."""
    whole, (train, later) = panel, panel.split(panel.dates[40])
    scales = mj.Scales.from_panel(train)
    history = train.spend[:, -(MIXED.l_max - 1) :]
    params = built(MIXED, panel).sample_prior(jax.random.key(2))
    found = build_model(MIXED, train, scales, panel=later, history=history).media_effects(params)
    through = build_model(MIXED, train, scales, panel=whole).media_effects(params)
    assert MIXED.l_max == 9
    np.testing.assert_allclose(found, through[:, 41:], rtol=1e-12)


def test_parameters_have_the_channels_that_have_them(panel):
    dims = MIXED.parameter_dims
    assert dims["saturation_beta"] == ("channel",)
    assert dims["adstock_theta"] == ("adstock_theta_channel",)
    names = scalar_names(MIXED, panel)
    assert [name for name in names if name.startswith("adstock_theta")] == ["adstock_theta[Radio]"]
    assert [name for name in names if name.startswith("saturation_kappa")] == [
        "saturation_kappa[Insert]",
        "saturation_kappa[TV]",
    ]
    assert len([name for name in names if name.startswith("adstock_alpha")]) == 5


def test_every_channel_has_the_default_prior_of_its_kind(panel):
    """Of the two Weibull adstocks' `lam`, and of effects of one family; a prior that is given holds for all."""
    peaked = mj.MediaGroup(("Radio",), adstock=mj.WeibullPDFAdstock(l_max=4))
    spec = mj.ModelSpec(
        adstock=mj.WeibullCDFAdstock(l_max=4), groups=(peaked, mj.MediaGroup(("TV",), saturation=mj.HillSaturation()))
    )
    family, found = resolved_priors(spec, panel)["adstock_lam"]
    kinds = [peaked.adstock if name == "Radio" else spec.adstock for name in panel.channels]
    assert family is dist.Gamma
    np.testing.assert_allclose(found["rate"], [float(kind.default_priors()["lam"].rate) for kind in kinds])
    scale = resolved_priors(spec, panel)["saturation_beta"][1]["scale"]
    np.testing.assert_allclose(scale, [1.5 if name == "TV" else 2.0 for name in panel.channels])
    given = resolved_priors(replace(spec, priors={"saturation_beta": dist.HalfNormal(3.0)}), panel)
    np.testing.assert_allclose(given["saturation_beta"][1]["scale"], 3.0)


def test_spend_shares_are_those_of_the_channels_that_have_the_parameter(panel):
    group = mj.MediaGroup(("TV", "Insert"), saturation=mj.MichaelisMentenSaturation())
    priors = {
        "saturation_alpha": mj.SpendShare(),
        "saturation_beta": mj.SpendShare(),
        "saturation_lam": dist.HalfNormal(1.0),
    }
    spec = mj.ModelSpec(adstock=ADSTOCK, groups=(group,), priors=priors)
    total = panel.spend.sum(axis=1) / panel.spend.sum()
    found = resolved_priors(spec, panel)["saturation_alpha"][1]["scale"]
    np.testing.assert_allclose(found, total[[panel.channels.index(name) for name in ("Insert", "TV")]], rtol=1e-6)


@pytest.mark.parametrize("name", ["roas", "marginal_roas"])
def test_returns_fix_effects_of_different_names(panel, name, float64):
    group = mj.MediaGroup(("TV", "Insert"), adstock=mj.DelayedAdstock(l_max=6), saturation=mj.MichaelisMentenSaturation())
    priors = {name: mj.lognormal_from_interval(0.5, 4.0), "saturation_lam": dist.HalfNormal(1.0)}
    spec = mj.ModelSpec(adstock=ADSTOCK, groups=(group,), media_prior=name, priors=priors)
    model = built(spec, panel)
    params = model.sample_prior(jax.random.key(1))
    assert spec.derived == ("saturation_beta", "saturation_alpha")
    assert params["saturation_alpha"].shape == (2,)
    if name == "roas":
        found = channel_totals(model, params, jnp.ones(len(panel))) / panel.spend.sum(axis=1)
        np.testing.assert_allclose(found, params["roas"], rtol=1e-6)
    else:
        window = jnp.pad(model.media, ((0, 0), (0, 5)))
        more = model.media_effects(params, 1.01 * window) - model.media_effects(params, window)
        found = model.target_scale * more.sum(axis=1) / (0.01 * panel.spend.sum(axis=1))
        np.testing.assert_allclose(found, params[name], rtol=1e-6)


def test_padded_channels_are_in_no_group(panel):
    """But where groups have all channels, with the first one's."""
    parts = media_parts(MIXED, panel.channels, 2)
    assert parts[0].channels == (0, 2, 3, 5, 7, 8)
    assert dict(parts[1].held)["saturation_beta"] == (1, 6)
    everyone = mj.ModelSpec(groups=(SLOW, mj.MediaGroup(("Radio",), adstock=ADSTOCK)))
    assert media_parts(everyone, ("TV", "Insert", "Radio"), 1)[0].channels == (0, 1, 3)


def test_specs_with_groups_survive_json_and_others_keep_their_hash():
    restored = mj.ModelSpec.from_dict(json.loads(json.dumps(MIXED.to_dict())))
    assert restored == MIXED
    assert restored.groups == MIXED.groups
    assert restored.content_hash() == MIXED.content_hash() != replace(MIXED, groups=MIXED.groups[:1]).content_hash()
    assert "groups" not in mj.ModelSpec().to_dict()


def test_places_are_taken_by_slices():
    values = np.arange(24.0).reshape(2, 4, 3)
    for places in ((0, 1, 2, 3), (3, 0, 1), (2,)):
        np.testing.assert_array_equal(taken(jnp.asarray(values), places, axis=-2), values[:, list(places)])
    np.testing.assert_array_equal(taken(jnp.asarray(values), None), values)
    assert "gather" not in str(jax.make_jaxpr(lambda x: taken(x, (1, 0)))(jnp.ones(3)))


HILL = mj.HillSaturation()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: mj.MediaGroup("TV", saturation=HILL), r"MediaGroup.channels must be a list of names.*'TV'"),
        (lambda: mj.MediaGroup((), saturation=HILL), "MediaGroup.channels is empty"),
        (
            lambda: mj.MediaGroup(("TV",)),
            r"MediaGroup\(\('TV',\)\) changes nothing: give adstock, saturation or adstock_first",
        ),
        (lambda: mj.MediaGroup(("TV",), adstock="weibull"), "MediaGroup.adstock must be an adstock.*'weibull'"),
        (lambda: mj.MediaGroup(("TV",), adstock_first=1), "MediaGroup.adstock_first must be true or false.*1"),
        (lambda: mj.ModelSpec(groups=SLOW), "ModelSpec.groups must be a list"),
        (lambda: mj.ModelSpec(groups=({"channels": ["TV"]},)), r"ModelSpec.groups\[0\] must be a MediaGroup"),
        (
            lambda: mj.ModelSpec(groups=(LATE, SLOW, replace(LATE, adstock=ADSTOCK))),
            r"groups\[2\].channels names 'Radio' as groups\[0\]",
        ),
        (lambda: mj.ModelSpec(groups=(replace(LATE, channels=("TV", "TV")),)), r"groups\[0\].channels names 'TV' twice"),
        (
            lambda: mj.ModelSpec(groups=(mj.MediaGroup(("TV",), saturation=mj.MichaelisMentenSaturation()),)),
            "share the parameter 'saturation_lam'.*Gamma and HalfNormal.*priors={'saturation_lam'",
        ),
        (
            lambda: mj.ModelSpec(
                saturation=mj.RootSaturation(), groups=(replace(SLOW, saturation=mj.MichaelisMentenSaturation()),)
            ),
            "MichaelisMentenSaturation and RootSaturation side by side: 'saturation_alpha'",
        ),
        (
            lambda: mj.ModelSpec(
                media_prior="roas",
                priors={"roas": dist.HalfNormal(1.0)},
                groups=(replace(SLOW, saturation=mj.TanhSaturation()),),
            ),
            "needs a saturation whose effect multiplies its curve; TanhSaturation's does not",
        ),
        (lambda: mj.ModelSpec(groups=(SLOW,), priors={"adstock_theta": dist.HalfNormal(1.0)}), "names 'adstock_theta'"),
        (
            lambda: mj.ModelSpec.from_dict({"groups": [{"channels": ["TV"], "window": 3}]}),
            r"groups\[0\] has no field 'window'",
        ),
        (lambda: mj.ModelSpec.from_dict({"groups": [{"channels": ["TV"]}]}), r"groups\[0\]: MediaGroup.*changes nothing"),
        (
            lambda: mj.ModelSpec.from_dict({"groups": [{"channels": ["TV"], "adstock": {"kind": "Weibull"}}]}),
            r"ModelSpec.groups\[0\].adstock names the kind 'Weibull'",
        ),
    ],
)
def test_contradictory_groups_are_named(make, match):
    with pytest.raises(SpecError, match=match):
        make()


def test_a_channel_that_the_panel_lacks_is_named(panel):
    spec = replace(MIXED, groups=(LATE, mj.MediaGroup(("Cinema",), saturation=HILL)))
    with pytest.raises(SpecError, match=r"groups\[1\].channels names 'Cinema'.*its channels are 'Direct Mail', 'Insert'"):
        built(spec, panel)
    shaped = replace(MIXED, priors={"adstock_theta": dist.HalfNormal(np.ones(3))})
    with pytest.raises(SpecError, match=r"'adstock_theta'.*\(3,\).*: 1\)"):
        built(shaped, panel)
