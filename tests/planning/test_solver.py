"""The projection is the nearest feasible point; a run ends at an optimum or says that it did not."""

from collections.abc import Callable
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array
from scipy.optimize import brentq, minimize

from mmm_jax.planning import solver
from mmm_jax.planning.solver import Outcome, Solution, kkt, maximise

pytestmark = pytest.mark.usefixtures("float64")

project = jax.jit(solver.project)


class Saturating(eqx.Module):
    """`sum_i top_i tanh(speed_i x_i)`."""

    top: Array
    speed: Array

    def __call__(self, x):
        return jnp.sum(self.top * jnp.tanh(self.speed * x))


class Logarithmic(eqx.Module):
    """`sum_i weight_i log(offset_i + x_i)`: the water-filling problem."""

    weight: Array
    offset: Array

    def __call__(self, x):
        return jnp.sum(self.weight * jnp.log(self.offset + x))


class SShaped(eqx.Module):
    """`sum_i top_i x_i^3 / (half_i^3 + x_i^3)`: many local maxima."""

    top: Array
    half: Array

    def __call__(self, x):
        return jnp.sum(self.top * x**3 / (self.half**3 + x**3))


class Quadratic(eqx.Module):
    """`slope x - x' bend x / 2`."""

    slope: Array
    bend: Array

    def __call__(self, x):
        return self.slope @ x - 0.5 * x @ self.bend @ x


class Coupled(eqx.Module):
    """`1e8 sum_t exp(t + sum_i top_i tanh(speed_i x_i))`: all variables bend it together, as under a log link."""

    top: Array
    speed: Array

    def __call__(self, x):
        return 1e8 * jnp.sum(jnp.exp(jnp.linspace(0.5, 1.5, 9) + self.top @ jnp.tanh(self.speed * x)))


TARGET = np.array([0.3, 0.5, 0.2])
NOT_SMOOTH: dict[str, Callable[[Array], Array]] = {
    "flat": lambda x: 0.0 * jnp.sum(x) + 3.0,
    "wrong slope": lambda x: jax.lax.stop_gradient(2 * jnp.sum(TARGET * x)) - jnp.sum(TARGET * x),
    "kink": lambda x: -jnp.sum(jnp.abs(x - 0.9 * TARGET)),
    "-inf": lambda x: jnp.where(x[0] > 0.35, jnp.sum(x * TARGET), -jnp.inf),
    "nan": lambda x: jnp.where(x[0] > 0.35, jnp.sum(x * TARGET), jnp.nan),
    "nowhere finite": lambda x: jnp.sum(x) / 0.0,
    "plateau at -inf": lambda x: jnp.where(x[0] > 2.0, 1.0, -jnp.inf) + 0.0 * jnp.sum(x),
    "overflow": lambda x: jnp.exp(1e4 * x[0]),
}


class NotSmooth(eqx.Module):
    """One of `NOT_SMOOTH`, compiled together."""

    which: Array

    def __call__(self, x):
        return jax.lax.switch(self.which, list(NOT_SMOOTH.values()), x)


def not_smooth(name: str) -> NotSmooth:
    return NotSmooth(jnp.asarray(list(NOT_SMOOTH).index(name)))


def boxes(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Bounds around a random point of the simplex, some of them at it."""
    centre = rng.dirichlet(np.ones(size))
    lower = centre * rng.choice([0.0, 0.5, 1.0], size, p=[0.6, 0.2, 0.2])
    return lower, np.minimum(centre + rng.choice([0.0, 0.1, 1.0], size, p=[0.1, 0.3, 0.6]), 1.0)


def solve(objective, lower, upper, *, count: int = 4, seed: int = 0) -> Solution:
    lower, upper = jnp.asarray(lower, float), jnp.asarray(upper, float)
    starts = np.random.default_rng(seed).uniform(size=(count, len(lower)))
    return maximise(objective, jnp.asarray(starts), lower, upper)


def runs(solution: Solution) -> list[Solution]:
    return [Solution(*values) for values in zip(*map(np.asarray, solution), strict=True)]


def assert_all_converged(solution: Solution, lower, upper) -> None:
    """Feasible, and no slope can be exchanged for a better one: from the definition, not from the solver's own word."""
    for run in runs(solution):
        assert run.outcome() is Outcome.CONVERGED
        assert abs(run.point.sum() - 1) < 1e-12
        assert np.all((run.point >= lower) & (run.point <= upper))
        grows = np.max(run.gradient, where=run.point < upper, initial=-np.inf)
        shrinks = np.min(run.gradient, where=run.point > lower, initial=np.inf)
        assert grows - shrinks <= 2.01e-9 * np.abs(run.gradient).max()


@eqx.filter_jit
def value_and_grad(objective, x):
    return jax.value_and_grad(objective)(x)


def by_scipy(objective, lower, upper, start) -> np.ndarray:
    """SLSQP's solution, to its own accuracy."""

    def negative(x):
        value, gradient = value_and_grad(objective, jnp.asarray(x))
        return -float(value), -np.asarray(gradient)

    found = minimize(
        negative,
        start,
        jac=True,
        method="SLSQP",
        bounds=list(zip(lower, upper, strict=True)),
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return found.x


@st.composite
def projections(draw):
    """Point, bounds and metric, with ties, channels that cannot move, and sets of a single point among them."""
    size = draw(st.sampled_from([1, 2, 5]))

    def numbers(elements):
        return np.array(draw(st.lists(elements, min_size=size, max_size=size)), float)

    parts = numbers(st.integers(0, 6))
    parts[draw(st.integers(0, size - 1))] += 1
    centre = parts / parts.sum()
    lower = centre * numbers(st.sampled_from([0.0, 0.3, 1.0]))
    upper = centre + numbers(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    point = numbers(st.integers(-3, 3) | st.floats(-100, 100, width=32))
    metric = 10.0 ** numbers(st.integers(-3, 3))
    return point, lower, upper, metric


@settings(max_examples=300)
@given(projections())
def test_projection_is_the_nearest_feasible_point(problem):
    point, lower, upper, metric = problem
    found = np.asarray(project(*problem))
    assert abs(found.sum() - 1) < 1e-12
    assert np.all((found >= lower) & (found <= upper))
    # To bring one nearer, another one must go away, and by more.
    pull = metric * (point - found)
    nearer = np.max(pull, where=found < upper, initial=-np.inf)
    away = np.min(pull, where=found > lower, initial=np.inf)
    assert nearer - away <= 1e-11 * np.abs(pull).max()


@settings(max_examples=100)
@given(projections())
def test_projecting_twice_changes_nothing(problem):
    once = np.asarray(project(*problem))
    np.testing.assert_allclose(project(once, *problem[1:]), once, rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_projection_agrees_with_a_root_of_the_sum(seed):
    rng = np.random.default_rng(seed)
    lower, upper = boxes(rng, 8)
    point, metric = rng.normal(0, 1, 8), rng.lognormal(0, 2, 8)

    def at(multiplier):
        return np.clip(point + multiplier / metric, lower, upper)

    reach = 10 * metric.max() * (1 + np.abs(point).max())
    root = brentq(lambda multiplier: at(multiplier).sum() - 1, -reach, reach, xtol=1e-15, rtol=1e-15)
    np.testing.assert_allclose(project(point, lower, upper, metric), at(root), rtol=0, atol=1e-11)


@pytest.mark.parametrize("side", ["lower", "upper", "both"])
def test_projection_onto_a_single_point_is_that_point(side):
    corner = np.array([0.1, 0.2, 0.3, 0.4])
    lower = np.zeros(4) if side == "upper" else corner
    upper = np.ones(4) if side == "lower" else corner
    found = project(np.array([3.0, -1.0, 0.0, 7.0]), lower, upper, np.array([1.0, 0.3, 2.0, 5.0]))
    np.testing.assert_array_equal(found, corner)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_projection_onto_a_corner_that_rounding_has_moved(side):
    """Bounds that sum to 1 on paper do so in floats only to the last digits."""
    rng, sums = np.random.default_rng(0), set()
    for _ in range(100):
        corner = rng.dirichlet(np.ones(5)) * (1 + rng.choice([-2e-16, 0.0, 2e-16]))
        sums.add(corner.sum())
        lower, upper = (corner, np.ones(5)) if side == "lower" else (np.zeros(5), corner)
        found = project(rng.normal(0, 10, 5), lower, upper, rng.lognormal(0, 2, 5))
        np.testing.assert_allclose(found, corner, rtol=0, atol=1e-14)
    assert len(sums) >= 3


def test_projection_meets_bounds_to_the_last_digit():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lower, upper = boxes(rng, 6)
        found = np.asarray(project(rng.normal(0, 3, 6), lower, upper, rng.lognormal(0, 3, 6)))
        gap = np.minimum(np.abs(found - lower), np.abs(found - upper))
        assert np.all((gap == 0) | (gap > 1e-15))


@pytest.mark.parametrize("place", list(product("lius", repeat=3)), ids="".join)
def test_residual_at_hand_made_optima_and_away_from_them(place):
    """A variable at its lower bound, inside, at its upper bound, or stuck between equal ones."""
    where = np.array(place)
    point = np.array([0.2, 0.3, 0.5])
    lower = np.where(np.isin(where, ["l", "s"]), point, 0.0)
    upper = np.where(np.isin(where, ["u", "s"]), point, 1.0)
    gradient = np.select([where == "l", where == "i", where == "u"], [1.0, 2.0, 3.0], 100.0)
    residual, price = kkt(point, gradient, lower, upper)
    assert residual == 0
    can_grow = point < upper
    assert price == (gradient[can_grow].max() if can_grow.any() else 0.0)
    if "i" in place and set(place) & {"l", "u"}:
        wrong = np.where(where == "i", 2.0, 4.0 - gradient)
        gap = (3.0 if "l" in place else 2.0) - (1.0 if "u" in place else 2.0)
        assert kkt(point, wrong, lower, upper)[0] == pytest.approx(0.5 * gap / wrong[where != "s"].max())


def test_residual_is_half_the_gap_between_interior_slopes():
    residual, price = kkt(np.array([0.5, 0.5]), np.array([1.0, -4.0]), np.zeros(2), np.ones(2))
    assert float(residual) == 0.5 * 5.0 / 4.0
    assert float(price) == 1.0


@pytest.mark.parametrize("distance", [0.1, 1e-6, 1e-12])
def test_close_to_a_bound_is_not_at_it(distance):
    """What little there is could still be spent better."""
    gradient, point = np.array([1.0, 2.0]), np.array([distance, 1 - distance])
    assert kkt(point, gradient, np.zeros(2), np.ones(2))[0] == 0.25
    assert kkt(point, gradient, np.array([distance, 0.0]), np.ones(2))[0] == 0.0


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
def test_no_residual_where_a_slope_is_not_finite(slope):
    residual, _ = kkt(np.array([1.0, 0.0]), np.array([slope, 1.0]), np.zeros(2), np.ones(2))
    assert np.isnan(residual)


@pytest.mark.smoke
def test_water_filling():
    rng = np.random.default_rng(1)
    weight, offset = rng.uniform(0.5, 2.0, 6), rng.uniform(0.05, 1.0, 6)
    lower, upper = np.zeros(6), np.full(6, 0.4)

    def level(price):
        return np.clip(weight / price - offset, lower, upper)

    price = brentq(lambda price: level(price).sum() - 1, 1e-3, 1e3, xtol=1e-14)
    found = solve(Logarithmic(jnp.asarray(weight), jnp.asarray(offset)), lower, upper)
    assert_all_converged(found, lower, upper)
    np.testing.assert_allclose(found.point, np.tile(level(price), (4, 1)), rtol=0, atol=1e-8)
    assert np.ptp(found.value) < 1e-14 * np.abs(found.value).max()


@pytest.mark.parametrize("kind", [Saturating, Quadratic])
def test_concave_objectives_agree_with_scipy(kind):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        lower, upper = boxes(rng, 5)
        if kind is Saturating:
            objective = Saturating(jnp.asarray(rng.uniform(0.5, 2, 5)), jnp.asarray(rng.lognormal(0.5, 1, 5)))
        else:
            root = rng.normal(size=(5, 5))
            objective = Quadratic(jnp.asarray(rng.normal(size=5)), jnp.asarray(root @ root.T + 0.1 * np.eye(5)))
        found = solve(objective, lower, upper, seed=seed)
        assert_all_converged(found, lower, upper)
        expected = by_scipy(objective, lower, upper, np.asarray(found.point[0]))
        assert float(found.value.min()) >= float(objective(expected)) - 1e-12
        np.testing.assert_allclose(found.point, np.tile(expected, (4, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_linear_objectives_fill_the_best_first(unit):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        slope, (lower, upper) = rng.normal(size=5), boxes(rng, 5)
        expected, left = lower.copy(), 1 - lower.sum()
        for index in np.argsort(-slope):
            more = min(upper[index] - lower[index], left)
            expected[index] += more
            left -= more
        found = solve(Quadratic(jnp.asarray(unit * slope), jnp.zeros((5, 5))), lower, upper)
        assert_all_converged(found, lower, upper)
        np.testing.assert_allclose(found.point, np.tile(expected, (4, 1)), rtol=0, atol=1e-13)


def test_all_but_linear_objectives_end_at_the_corner_as_well():
    """Curvature so small that Newton's step leaves the set by a factor of millions."""
    slope, bend = np.array([1.0, 1.1, 1.2, 0.3, 0.4]), 1e-8 * np.eye(5)
    found = solve(Quadratic(jnp.asarray(slope), jnp.asarray(bend)), np.zeros(5), np.array([1.0, 0.5, 0.2, 1.0, 1.0]))
    np.testing.assert_allclose(found.point, np.tile([0.3, 0.5, 0.2, 0.0, 0.0], (4, 1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_objectives_unit_does_not_matter(unit):
    rng = np.random.default_rng(3)
    top, speed = rng.uniform(0.5, 2, 5), rng.lognormal(0.5, 1, 5)
    plain = solve(Saturating(jnp.asarray(top), jnp.asarray(speed)), np.zeros(5), np.ones(5))
    other = solve(Saturating(jnp.asarray(unit * top), jnp.asarray(speed)), np.zeros(5), np.ones(5))
    np.testing.assert_allclose(other.point, plain.point, rtol=0, atol=1e-8)
    assert_all_converged(other, np.zeros(5), np.ones(5))


@pytest.mark.parametrize("spread", [1.0, 3.0, 5.0])
def test_channels_of_very_different_size_converge(spread):
    """Some channels bend within a thousandth of the budget, others hardly within all of it."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        speed = jnp.asarray(rng.lognormal(1.0, spread, 5))
        objective = Saturating(jnp.asarray(rng.uniform(0.5, 2, 5)) / speed, speed)
        found = solve(objective, np.zeros(5), np.ones(5), seed=seed)
        assert_all_converged(found, np.zeros(5), np.ones(5))
        assert np.ptp(found.value) < 1e-12 * np.abs(found.value).max()


def test_strongly_coupled_channels_converge():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        objective = Coupled(jnp.asarray(rng.uniform(0.05, 0.2, 5)), jnp.asarray(rng.lognormal(0.5, 1.0, 5)))
        found = solve(objective, np.zeros(5), np.ones(5), seed=seed)
        assert_all_converged(found, np.zeros(5), np.ones(5))
        assert found.iterations.max() < 60


def test_s_curves_end_in_local_optima_of_which_the_highest_is_kept():
    rng = np.random.default_rng(0)
    objective = SShaped(jnp.asarray(rng.uniform(0.8, 1.2, 4)), jnp.asarray(rng.uniform(0.2, 0.5, 4)))
    found = solve(objective, np.zeros(4), np.ones(4), count=24)
    assert_all_converged(found, np.zeros(4), np.ones(4))
    assert len(np.unique(np.round(found.value, 6))) > 1
    shares = np.array([share for share in product(np.linspace(0, 1, 21), repeat=4) if abs(sum(share) - 1) < 1e-9])
    assert float(found.value.max()) >= float(jax.vmap(objective)(jnp.asarray(shares)).max())


def test_a_flat_objective_has_converged():
    for run in runs(solve(not_smooth("flat"), np.zeros(3), np.ones(3))):
        assert run.outcome() is Outcome.CONVERGED
        assert run.iterations == 0


def test_a_single_variable_has_the_whole():
    (run,) = runs(solve(Saturating(jnp.ones(1), jnp.ones(1)), np.zeros(1), np.ones(1), count=1))
    assert run.outcome() is Outcome.CONVERGED
    np.testing.assert_array_equal(run.point, [1.0])


@pytest.mark.parametrize("name", NOT_SMOOTH)
def test_no_progress_is_not_called_success(name):
    """It ends, and says `converged` only where the conditions of an optimum hold at a finite value."""
    lower, upper = jnp.zeros(3), jnp.ones(3)
    for run in runs(solve(not_smooth(name), lower, upper)):
        value, gradient = jax.value_and_grad(NOT_SMOOTH[name])(jnp.asarray(run.point))
        residual = kkt(jnp.asarray(run.point), gradient, lower, upper)[0]
        holds = bool(jnp.isfinite(value) & (residual <= solver.TOLERANCE))
        assert (run.outcome() is Outcome.CONVERGED) == holds


def test_a_slope_that_points_downhill_stalls_where_it_started():
    starts = np.random.default_rng(0).uniform(size=(4, 3))
    for run, start in zip(runs(solve(not_smooth("wrong slope"), np.zeros(3), np.ones(3))), starts, strict=True):
        assert run.outcome() is Outcome.STALLED
        assert run.residual > 0.1
        np.testing.assert_allclose(run.point, project(start, np.zeros(3), np.ones(3), np.ones(3)), rtol=0, atol=1e-15)


def test_too_few_iterations_are_reported():
    solution = Solution(TARGET, 1.0, TARGET, 1e-3, solver.MAX_ITERATIONS, False)
    assert solution.outcome() is Outcome.ITERATION_LIMIT
    assert all(outcome.advice for outcome in Outcome)


def test_the_same_problem_gives_the_same_numbers():
    objective = Saturating(*jnp.asarray(np.random.default_rng(0).uniform(0.5, 2, (2, 5))))
    first, second = (solve(objective, np.zeros(5), np.ones(5)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_numbers_do_not_compile_anew():
    traced = []

    class Counting(Saturating):
        def __call__(self, x):
            traced.append(None)
            return super().__call__(x)

    for seed in range(3):
        rng = np.random.default_rng(seed)
        solve(Counting(*jnp.asarray(rng.uniform(0.5, 2, (2, 4)))), *boxes(rng, 4), seed=seed)
        if seed == 0:
            first = len(traced)
    assert len(traced) == first > 0
