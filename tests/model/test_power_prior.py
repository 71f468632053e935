"""Rows whose likelihood counts to a power: laws of the density by hand, and what becomes of such panels elsewhere."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest
from monitoring import made
from numpyro.infer.util import log_density
from planning.fits import SPECS
from scipy import stats

import mmm_jax as mj
from mmm_jax.data.joining import joined
from mmm_jax.errors import PanelError
from mmm_jax.fitting.density import padded_target, target_of
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_any_model
from mmm_jax.validation.examination import examined

SPEC = replace(SPECS["logistic"], likelihood=mj.Normal())
UNTIL, LEFT = "2022-05-16", 20
"""The last of the rows that have left the window, and how many these are."""


def _rows() -> mj.Panel:
    return kinds.panel()


def _geo_rows() -> mj.GeoPanel:
    return mj.Panel.from_frame(kinds.geo_table(), **kinds.ROLES, geo="geo")


def _parts(panel, spec=SPEC) -> dict[str, float]:
    """Terms of the log density at parameters somewhere in the middle, by the scales of all rows."""
    fit = made.fit(_geo_rows() if isinstance(panel, mj.GeoPanel) else _rows(), spec)
    with precision_scope("float64"):
        params = {name: jnp.asarray(values[0, 0]) for name, values in fit.draws.items()}
        model = build_any_model(spec, panel, fit.scales)
        return {name: float(value) for name, value in model.log_density_terms(params).items()}


def _by_hand(power: float) -> float:
    """`sum log p(y_new) + power * sum log p(y_old)` of the normal likelihood, from the mean over all rows."""
    panel = _rows()
    fit = made.fit(panel, SPEC)
    with precision_scope("float64"):
        params = {name: jnp.asarray(values[0, 0]) for name, values in fit.draws.items()}
        mean = np.asarray(build_any_model(SPEC, panel, fit.scales).mean(params))
    each = stats.norm.logpdf(panel.target / fit.scales.target, mean, float(params["y_sigma"]))
    return float(each[LEFT:].sum() + power * each[:LEFT].sum())


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0])
def test_the_density_is_that_of_the_window_and_of_what_left_it_to_the_power(power):
    panel = _rows().discount(power, until=UNTIL)
    assert _parts(panel)["likelihood"] == pytest.approx(_by_hand(power), rel=1e-12)
    priors = {name: value for name, value in _parts(panel).items() if name != "likelihood"}
    assert priors == {name: value for name, value in _parts(_rows()).items() if name != "likelihood"}


def test_to_the_power_0_rows_are_held_out_and_to_1_they_are_as_all_others():
    panel = _rows()
    for power, same in ((0.0, panel.hold_out(end=UNTIL)), (1.0, panel)):
        found = panel.discount(power, until=UNTIL)
        assert found.fingerprint() == same.fingerprint()
        assert _parts(found) == _parts(same)
    # What left still works on: the window alone knows nothing of it.
    alone = _parts(panel.take(slice(LEFT, None)))["likelihood"]
    assert abs(alone - _parts(panel.discount(0.0, until=UNTIL))["likelihood"]) > 1e-3
    bare = replace(SPEC, adstock=mj.NoAdstock())
    window, whole = panel.take(slice(LEFT, None)), panel.discount(0.0, until=UNTIL)
    assert _parts(window, bare)["likelihood"] == pytest.approx(_parts(whole, bare)["likelihood"], rel=1e-12)


def test_every_way_to_the_density_knows_of_the_powers():
    panel = _rows().discount(0.3, until=UNTIL)
    expected = _parts(panel)
    fit = made.fit(panel, SPEC)
    with precision_scope("float64"):
        model = build_any_model(SPEC, panel, fit.scales)
        params = {name: jnp.asarray(values[0, 0]) for name, values in fit.draws.items()}
        joint, _ = log_density(model.numpyro_model(), (), {}, params)
        assert float(joint) == pytest.approx(sum(expected.values()), rel=1e-12)
        # In the padded model of a batch, rows are padded and not discounted.
        padded = padded_target(SPEC, panel, fit.scales).target.model
        np.testing.assert_array_equal(padded.observed[: len(panel)], panel.weights)
        assert not padded.observed[len(panel) :].any()
        # The level that the sampler moves in is that of the rows as far as they count.
        leveling = np.asarray(target_of(model).leveling)
        np.testing.assert_allclose(leveling[:LEFT], 0.3 * leveling[LEFT])
        gradient = jax.grad(lambda one: model.log_density({**params, "intercept": one}))(params["intercept"])
        assert np.isfinite(float(gradient))


def test_geos_are_discounted_likewise():
    panel, spec = _geo_rows(), SPECS["root"]
    parts = {power: _parts(panel.discount(power, until=UNTIL), spec)["likelihood"] for power in (0.0, 0.3, 1.0)}
    assert parts[0.3] == pytest.approx(0.7 * parts[0.0] + 0.3 * parts[1.0], rel=1e-12)
    assert parts[1.0] == _parts(panel, spec)["likelihood"]
    assert panel.discount(0.3, until=UNTIL).known_total().powers is None


def test_powers_multiply_and_are_kept(tmp_path):
    panel = _rows().discount(0.5, until=UNTIL)
    twice = panel.discount(0.5, until="2022-02-07")
    np.testing.assert_array_equal(twice.weights, np.repeat([0.25, 0.5, 1.0], [6, 14, 40]))
    held = twice.hold_out(end="2022-01-10")
    assert held.weights[:3].tolist() == [0.0, 0.0, 0.25]
    prints = {one.fingerprint() for one in (_rows(), panel, twice, held)}
    assert len(prints) == 4
    for number, rows in enumerate((twice, held, _geo_rows().discount(0.2, until=UNTIL))):
        fit = made.fit(rows, SPECS["root"])
        fit.save(tmp_path / f"{number}.zarr")
        back = type(fit).load(tmp_path / f"{number}.zarr").panel
        assert back.fingerprint() == rows.fingerprint()
    np.testing.assert_array_equal(twice.take(slice(5, 8)).weights, [0.25, 0.5, 0.5])
    assert not twice.powers.flags.writeable


def test_two_tables_after_one_another_are_the_one_that_they_were_cut_from():
    for panel in (_rows(), _geo_rows(), _rows().discount(0.4, until=UNTIL), _rows().hold_out(end=UNTIL)):
        again = joined(panel.take(slice(0, 25)), panel.take(slice(25, None)))
        assert again.fingerprint() == panel.fingerprint()
    panel = _rows()
    with pytest.raises(PanelError, match="Rows are missing between 2022-02-28 and 2022-03-14"):
        joined(panel.take(slice(0, 9)), panel.take(slice(10, None)))
    with pytest.raises(PanelError, match="cannot be joined"):
        joined(panel.take(slice(0, 9)), _geo_rows().take(slice(9, None)))
    with pytest.raises(PanelError, match="has no target"):
        joined(panel.take(slice(0, 9)).with_target(None), panel.take(slice(9, None)))


@pytest.mark.parametrize(
    ("power", "until", "words"),
    [(-0.1, UNTIL, "between 0 and 1"), (1.1, UNTIL, "between 0 and 1"), (float("nan"), UNTIL, "between 0 and 1"),
     (0.5, "2021-01-01", "No row lies up to"), (0.5, "soon", "soon"), (0.0, "2030-01-01", "leaves no row")],
)  # fmt: skip
def test_discounts_that_cannot_be_are_refused(power, until, words):
    with pytest.raises(PanelError, match=words):
        _rows().discount(power, until=until)


def test_scores_and_returns_are_of_rows_whatever_their_power():
    train, test = _rows().take(slice(0, 50)), _rows().take(slice(50, 60))
    plain, found = (
        examined(made.fit(rows, SPECS["logistic"]), test, jax.random.key(0))
        for rows in (train, train.discount(0.3, until=UNTIL))
    )
    assert found.training_scores == pytest.approx(plain.training_scores)
    assert found.scores == pytest.approx(plain.scores)
    np.testing.assert_allclose(found.roas, plain.roas)
