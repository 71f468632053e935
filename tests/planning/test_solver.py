"""The solver on small programmes with known optima: polytope, requirements, saddles, many starts, and how runs end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.optimize import brentq

from mmm_jax.planning.quadratic import Polytope
from mmm_jax.planning.solver import MAX_ITERATIONS, TOLERANCE, AbstractProgram, Derivatives, Outcome, Solution, maximise

pytestmark = pytest.mark.usefixtures("float64")

NUMBER, TOTAL = 4, 2.0
ZEROS = np.zeros(NUMBER)

traces, visited = [], []


class Made(AbstractProgram):
    """`slope' x - x' hessian x / 2 + sum(weight log(offset + x)) + sum(height x^3 / (half^3 + x^3))`.

    Its requirement, if any: to stay within a ball. All tests share this family, and so a few compiled programs.
    """

    slope: Array
    hessian: Array
    weight: Array
    offset: Array
    height: Array
    half: Array
    centre: Array
    radius: Array
    warmths: Array
    warmth: Array
    bound: bool = eqx.field(static=True)

    def value(self, point):
        traces.append(1)
        linear, square = self.slope @ point, point @ (self.hessian + self.warmth * jnp.eye(NUMBER)) @ point
        curves = self.weight @ jnp.log(self.offset + point) + self.height @ (point**3 / (self.half**3 + point**3))
        met = jnp.atleast_1d(self.radius**2 - ((point - self.centre) ** 2).sum())
        return linear - 0.5 * square + curves, met if self.bound else jnp.zeros(0)

    def derivatives(self, point, prices):
        # As bits: the thread that calls back knows no double precision.
        bits = jax.lax.bitcast_convert_type(point, jnp.uint32)
        jax.debug.callback(lambda at: visited.append(np.array(at).view(np.float64)[:, 0]), bits)
        value, met = self.value(point)
        curved = jax.hessian(lambda x: self.value(x)[0] + prices @ self.value(x)[1])(point)
        gradient, jacobian = jax.jacrev(self.value)(point)
        return Derivatives(value, gradient, met, jacobian, curved)

    def cooled(self, stage):
        return eqx.tree_at(lambda program: program.warmth, self, self.warmths[stage])


def made(**given):
    parts = {"slope": ZEROS, "weight": ZEROS, "height": ZEROS, "centre": ZEROS, "hessian": np.zeros((NUMBER, NUMBER))}
    parts |= {"offset": np.ones(NUMBER), "half": np.ones(NUMBER), "radius": 1.0, "warmths": np.zeros(3), "warmth": 0.0}
    bound = "radius" in given
    return Made(**{name: jnp.asarray(part, float) for name, part in (parts | given).items()}, bound=bound)


def simplex(lower=0.0, upper=TOTAL, rows=(), limits=(), free=None):
    """Numbers that add up to the total, with room for four rows."""
    matrix, ends = np.zeros((4, NUMBER)), np.ones(4)
    matrix[: len(rows)], ends[: len(limits)] = np.reshape(rows, (-1, NUMBER)), limits
    low, high = (np.broadcast_to(np.asarray(bound, float), (NUMBER,)) for bound in (lower, upper))
    sums = np.ones((1, NUMBER)), np.array([TOTAL])
    movable = np.ones(NUMBER, bool) if free is None else free
    return jax.tree.map(jnp.asarray, Polytope(low, high, matrix, ends, *sums, movable))


def run(program, polytope, *starts, stages=1):
    begin = jnp.asarray(starts if starts else [np.full(NUMBER, TOTAL / NUMBER)])
    prices = jnp.zeros(1 if program.bound else 0)
    return jax.tree.map(np.asarray, maximise(program, begin, polytope, prices, stages=stages))


def single(program, polytope, *start, stages=1):
    return jax.tree.map(lambda leaf: leaf[0], run(program, polytope, *start, stages=stages))


def filled(weight, offset, total, upper=np.inf):
    """Spend that makes `sum(weight log(offset + x))` largest: one level of marginal returns for all that is not bound."""

    def at(log_price):
        return np.clip(weight / np.exp(log_price) - offset, 0.0, upper)

    return at(brentq(lambda price: at(price).sum() - total, -20, 20, xtol=1e-15))


WEIGHT, OFFSET = np.array([1.0, 2.0, 0.5, 0.1]), np.array([0.5, 1.0, 0.1, 1.0])


def test_a_quadratic_is_solved_in_hardly_more_than_one_step():
    """The second takes the least curvature out again, the third sees that nothing is left to gain."""
    root = np.random.default_rng(0).normal(size=(NUMBER, NUMBER))
    hessian, slope = root @ root.T + np.eye(NUMBER), np.array([2.0, 1.0, 3.0, 2.5])
    matrix = np.block([[hessian, np.ones((NUMBER, 1))], [np.ones((1, NUMBER)), np.zeros((1, 1))]])
    best = np.linalg.solve(matrix, np.append(slope, TOTAL))[:NUMBER]
    found = single(made(hessian=hessian, slope=slope), simplex(lower=-5.0, upper=5.0))
    np.testing.assert_allclose(found.point, best, atol=1e-12)
    assert found.outcome() is Outcome.CONVERGED
    assert found.iterations <= 3


@pytest.mark.parametrize("upper", [TOTAL, 0.9])
def test_logarithms_fill_up_to_one_level_in_few_steps(upper):
    expected = filled(WEIGHT, OFFSET, TOTAL, upper)
    assert expected.min() == 0.0
    found = single(made(weight=WEIGHT, offset=OFFSET), simplex(upper=upper))
    np.testing.assert_allclose(found.point, expected, atol=1e-12)
    at_bound = (expected == 0) | (expected == upper)
    np.testing.assert_array_equal(found.point[at_bound], expected[at_bound])
    assert found.outcome() is Outcome.CONVERGED
    assert found.residual < 1e-12
    assert found.iterations <= 10


def test_a_group_is_filled_apart_once_its_limit_binds():
    limit = 0.3
    found = single(made(weight=WEIGHT, offset=OFFSET), simplex(rows=[[1, 1, 0, 0]], limits=[limit]), [0.1, 0.1, 0.9, 0.9])
    apart = [filled(WEIGHT[:2], OFFSET[:2], limit), filled(WEIGHT[2:], OFFSET[2:], TOTAL - limit)]
    np.testing.assert_allclose(found.point, np.concatenate(apart), atol=1e-12)


def test_numbers_that_are_not_free_stay():
    free = np.array([True, True, True, False])
    start = np.array([0.1, 0.2, 0.7, 1.0])
    found = single(made(weight=WEIGHT, offset=OFFSET), simplex(lower=np.where(free, 0.0, start), free=free), start)
    assert found.point[3] == 1.0
    np.testing.assert_allclose(found.point[:3], filled(WEIGHT[:3], OFFSET[:3], TOTAL - 1.0), atol=1e-12)


def test_close_to_the_optimum_errors_square():
    """Newton's steps on the constraints that bind: the number of correct digits doubles."""
    expected = filled(WEIGHT, OFFSET, TOTAL)
    jax.effects_barrier()
    visited.clear()
    single(made(weight=WEIGHT, offset=OFFSET), simplex())
    jax.effects_barrier()
    errors = [np.abs(point - expected).max() for point in visited]
    close = [error for error in errors if 1e-7 < error < 0.1]
    assert close
    for error, after in zip(errors, errors[1:], strict=False):
        assert error not in close or after <= 10 * error**2


def test_all_iterates_satisfy_the_polytope():
    polytope = simplex(upper=0.8, rows=[[1, 1, 0, 0], [0, 1, -1, 0]], limits=[1.1, 0.2])
    program = made(height=np.array([1.0, 2.0, 1.5, 1.2]), half=np.array([0.3, 0.9, 0.5, 0.4]), weight=0.1 * WEIGHT)
    jax.effects_barrier()
    visited.clear()
    single(program, polytope, [0.4, 0.4, 0.4, 0.8])
    jax.effects_barrier()
    points = np.array(visited)
    assert len(points) > 2
    assert np.all((points >= 0) & (points <= 0.8))
    assert np.all(points @ np.asarray(polytope.rows).T <= np.asarray(polytope.limits) + 1e-12)
    np.testing.assert_allclose(points.sum(axis=1), TOTAL, atol=1e-12)


S_SHAPED = {"height": np.array([1.0, 2.0, 1.5, 1.2]), "half": np.array([0.3, 1.2, 0.5, 0.4])}
STARTS = np.random.default_rng(1).dirichlet(np.ones(NUMBER), 12) * TOTAL


def test_of_many_starts_one_finds_the_best_of_all_points():
    """S-shaped curves have many local optima; no point of a fine grid is better than the best of them."""
    program = made(**S_SHAPED)
    ends = run(program, simplex(), *STARTS)
    axis = np.linspace(0, TOTAL, 81)
    first = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    last = TOTAL - first.sum(axis=1)
    grid = np.column_stack([first, last])[last >= 0]
    values = (S_SHAPED["height"] * grid**3 / (S_SHAPED["half"] ** 3 + grid**3)).sum(axis=1)
    assert values.max() <= ends.value.max() <= values.max() + 1e-2
    assert ends.value.min() < ends.value.max() - 0.05
    assert np.all(ends.residual <= TOLERANCE)


def test_starts_at_once_end_where_single_ones_do():
    program = made(**S_SHAPED)
    together = run(program, simplex(), *STARTS)
    for number, start in enumerate(STARTS[:4]):
        alone = single(program, simplex(), start)
        np.testing.assert_allclose(together.point[number], alone.point, atol=1e-9)
        np.testing.assert_allclose(together.value[number], alone.value, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_saddle_is_left_for_a_maximum(seed):
    """No point nearby is better, although the run begins right beside the saddle of an indefinite form."""
    rng = np.random.default_rng(seed)
    root = np.linalg.qr(rng.normal(size=(NUMBER, NUMBER)))[0]
    hessian = root @ np.diag([2.0, 1.0, -1.0, -2.0]) @ root.T
    saddle = np.full(NUMBER, TOTAL / NUMBER)
    aside = rng.normal(size=NUMBER) * 1e-3
    program = made(hessian=hessian, slope=hessian @ saddle)
    found = single(program, simplex(), saddle + aside - aside.mean())
    near = found.point + 1e-3 * rng.normal(size=(2000, NUMBER))
    near = np.maximum(near, 0.0)
    near = near / near.sum(axis=1, keepdims=True) * TOTAL
    values = near @ hessian @ saddle - 0.5 * np.einsum("pi,ij,pj->p", near, hessian, near)
    assert np.all(values <= found.value + 1e-12)
    assert found.outcome() is Outcome.CONVERGED


def test_a_ball_around_the_middle_gives_way_along_the_slope():
    """The linear objective's optimum lies where the slope within the plane leaves the ball."""
    slope, middle, radius = np.array([1.0, 2.0, 4.0, 3.0]), np.full(NUMBER, TOTAL / NUMBER), 0.3
    along = slope - slope.mean()
    found = single(made(slope=slope, centre=middle, radius=radius), simplex())
    np.testing.assert_allclose(found.point, middle + radius * along / np.linalg.norm(along), atol=1e-10)
    np.testing.assert_allclose(found.prices, np.linalg.norm(along) / (2 * radius), rtol=1e-9)
    assert found.outcome() is Outcome.CONVERGED
    assert found.unmet <= TOLERANCE


def test_price_of_a_requirement_is_what_its_level_is_worth():
    parts = {"weight": WEIGHT, "offset": OFFSET, "centre": np.array([0.2, 0.2, 0.8, 0.8])}
    square = 0.3
    found, less, more = (single(made(radius=np.sqrt(square + change), **parts), simplex()) for change in (0.0, -1e-5, 1e-5))
    assert found.prices[0] > 0.01
    np.testing.assert_allclose(found.prices[0], (more.value - less.value) / 2e-5, rtol=1e-6)


def test_a_requirement_that_does_not_bind_changes_nothing_and_costs_nothing():
    found = single(made(weight=WEIGHT, offset=OFFSET, radius=50.0), simplex())
    np.testing.assert_allclose(found.point, filled(WEIGHT, OFFSET, TOTAL), atol=1e-10)
    np.testing.assert_allclose(found.prices, 0.0, atol=1e-10)


def test_a_requirement_out_of_reach_is_missed_by_as_little_as_possible_and_said():
    """The ball lies off the plane of the total; the nearest point of the plane is the one below its centre."""
    centre = np.array([1.0, 2.0, 2.0, 1.5])
    found = single(made(weight=1e-3 * WEIGHT, centre=centre, radius=0.5), simplex(lower=-5.0, upper=5.0))
    nearest = centre - (centre.sum() - TOTAL) / NUMBER
    assert found.outcome() is Outcome.UNMET
    np.testing.assert_allclose(found.unmet, ((nearest - centre) ** 2).sum() - 0.25, rtol=1e-3)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_objective_that_is_not_finite_stalls(number):
    found = single(made(slope=np.array([1.0, 2.0, number, 0.0]), weight=WEIGHT), simplex())
    assert found.outcome() is Outcome.STALLED
    np.testing.assert_array_equal(found.point, TOTAL / NUMBER)


def test_other_numbers_do_not_compile_anew():
    single(made(weight=WEIGHT, offset=OFFSET), simplex())
    before = len(traces)
    single(made(weight=2 * WEIGHT, offset=OFFSET + 0.1, slope=WEIGHT), simplex(upper=1.5, rows=[[1, 0, 0, 1]], limits=[1.0]))
    assert len(traces) == before


def test_the_last_stage_decides():
    """Stages that begin elsewhere lead to the optimum of the coldest program."""
    program = made(weight=WEIGHT, offset=OFFSET, warmths=np.array([10.0, 1.0, 0.0]))
    found = single(program, simplex(), stages=3)
    np.testing.assert_allclose(found.point, filled(WEIGHT, OFFSET, TOTAL), atol=1e-12)
    assert found.iterations > single(made(weight=WEIGHT, offset=OFFSET), simplex()).iterations


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.CONVERGED),
        ({"residual": 1e-3}, Outcome.ITERATION_LIMIT),
        ({"residual": 1e-3, "stalled": True}, Outcome.STALLED),
        ({"unmet": 1e-3}, Outcome.UNMET),
        ({"value": np.nan}, Outcome.STALLED),
        ({"value": -np.inf, "unmet": 1.0}, Outcome.STALLED),
        ({"residual": np.nan}, Outcome.STALLED),
    ],
)
def test_the_end_of_a_run_is_named(changes, outcome):
    usual = Solution(ZEROS, 1.0, 0.0, np.zeros(0), 1e-13, MAX_ITERATIONS, False)
    assert usual._replace(**changes).outcome() is outcome
    assert outcome.advice.endswith(".")
