"""Quadratic programmes: optimal by the duality of linear programming, as SciPy's general solver finds them, and exact."""

import jax
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from mmm_jax.planning.quadratic import Polytope, project, solve_quadratic

pytestmark = pytest.mark.usefixtures("float64")

solve = jax.jit(solve_quadratic)
nearest = jax.jit(project)

NUMBER, ROWS = 6, 4


def polytope(lower, upper, rows=(), limits=(), equalities=(), values=(), free=None, *, row_count=ROWS):
    """A set of the usual shape, so that one program serves many: rows of zeros fill it up."""
    matrix = np.zeros((row_count, NUMBER))
    matrix[: len(rows)] = np.asarray(rows, float).reshape(-1, NUMBER)
    ends = np.concatenate([np.asarray(limits, float), np.ones(row_count - len(rows))])
    low, high = (np.broadcast_to(np.asarray(bound, float), (NUMBER,)) for bound in (lower, upper))
    sides = np.asarray(equalities, float).reshape(-1, NUMBER)
    movable = np.ones(NUMBER, bool) if free is None else np.asarray(free)
    return Polytope(low, high, matrix, ends, sides, np.asarray(values, float), movable)


def random_programme(seed):
    """A programme with an interior point, 0 and others; every third has fixed variables, every second no equality."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(NUMBER, NUMBER))
    hessian = root @ root.T * rng.choice([0.1, 1.0, 100.0]) + 0.1 * np.eye(NUMBER)
    inner = rng.uniform(-0.5, 0.5, NUMBER)
    free = np.ones(NUMBER, bool)
    if seed % 3 == 0:
        free[rng.choice(NUMBER, 2, replace=False)] = False
    inner = np.where(free, inner, 0.0)
    rows, equalities = rng.normal(size=(ROWS, NUMBER)), rng.normal(size=(seed % 2, NUMBER))
    found = polytope(
        inner - rng.uniform(0.1, 1.0, NUMBER),
        inner + rng.uniform(0.1, 1.0, NUMBER),
        rows,
        rows @ inner + rng.uniform(0.05, 0.5, ROWS),
        equalities,
        equalities @ inner,
        free,
    )
    return hessian, 3.0 * rng.normal(size=NUMBER) * np.sqrt(np.diag(hessian)), found


def box_of(found):
    """Ends of the box as the solver reads them: variables that are fixed stay at 0."""
    return np.where(found.free, found.lower, 0.0), np.where(found.free, found.upper, 0.0)


def furthest(pull, found, lower, upper):
    """The most that can be gained in a direction within the set."""
    best = linprog(
        -pull,
        A_ub=found.rows,
        b_ub=found.limits,
        A_eq=found.equalities,
        b_eq=found.values,
        bounds=np.stack([lower, upper], axis=1),
    )
    assert best.status == 0
    return -best.fun


def assert_within(step, found, lower, upper, tolerance=1e-10):
    assert np.all(step >= lower - tolerance)
    assert np.all(step <= upper + tolerance)
    assert np.all(found.rows @ step <= found.limits + tolerance)
    np.testing.assert_allclose(found.equalities @ step, found.values, atol=tolerance)


def assert_priced(hessian, slope, found, way, tolerance=1e-9):
    """Prices explain the slope: not negative, 0 away from their constraints, and what is left is held by the box."""
    step, price = np.asarray(way.step), np.asarray(way.row_price)
    size = tolerance * np.abs(slope).max()
    assert np.all(price >= -size)
    np.testing.assert_allclose(price * (found.limits - found.rows @ step), 0.0, atol=size)
    left = slope - hessian @ step - found.rows.T @ price - found.equalities.T @ np.asarray(way.equality_price)
    left = left[found.free]
    lower, upper = step[found.free] <= found.lower[found.free] + 1e-9, step[found.free] >= found.upper[found.free] - 1e-9
    np.testing.assert_allclose(
        np.where(lower, np.maximum(left, 0), np.where(upper, np.minimum(left, 0), left)), 0, atol=size
    )


def value_of(hessian, slope, step):
    return 0.5 * step @ hessian @ step - slope @ step


@pytest.mark.parametrize("seed", range(30))
def test_solution_is_feasible_priced_and_no_direction_gains(seed):
    """The slope at an optimum makes it the best point of the linear programme with that slope."""
    hessian, slope, found = random_programme(seed)
    way = solve(hessian, slope, found)
    step, (lower, upper) = np.asarray(way.step), box_of(found)
    assert_within(step, found, lower, upper)
    assert_priced(hessian, slope, found, way)
    pull = slope - hessian @ step
    assert furthest(pull, found, lower, upper) - pull @ step <= 1e-9 * np.abs(pull).max()
    np.testing.assert_array_equal(step[~found.free], 0.0)
    np.testing.assert_array_equal(step[np.asarray(way.at_lower)], found.lower[np.asarray(way.at_lower)])
    np.testing.assert_array_equal(step[np.asarray(way.at_upper)], found.upper[np.asarray(way.at_upper)])


@pytest.mark.parametrize("seed", range(30))
def test_value_is_that_of_a_general_solver(seed):
    hessian, slope, found = random_programme(seed)
    lower, upper = box_of(found)
    size = np.abs(slope).max()
    sides = [{"type": "ineq", "fun": lambda x: found.limits - found.rows @ x, "jac": lambda x: -found.rows}]
    if len(found.equalities):
        sides.append({"type": "eq", "fun": lambda x: found.equalities @ x - found.values, "jac": lambda x: found.equalities})
    other = minimize(
        lambda x: value_of(hessian / size, slope / size, x),
        np.clip(0.0, lower, upper),
        jac=lambda x: (hessian @ x - slope) / size,
        bounds=np.stack([lower, upper], axis=1),
        constraints=sides,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    step = np.asarray(solve(hessian, slope, found).step)
    np.testing.assert_allclose(value_of(hessian / size, slope / size, step), other.fun, rtol=1e-10, atol=1e-10)


def test_without_constraints_that_bind_it_is_newtons_step():
    hessian, slope, _ = random_programme(1)
    step = np.linalg.solve(hessian, slope)
    way = solve(hessian, slope, polytope(step - 1.0, step + 1.0))
    np.testing.assert_allclose(way.step, step, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(np.asarray(way.at_lower) | np.asarray(way.at_upper), False)


def test_price_of_an_equality_is_what_its_value_is_worth():
    hessian, slope, _ = random_programme(2)
    ones = np.ones((1, NUMBER))

    def best(total):
        found = polytope(-50.0, 50.0, equalities=ones, values=[total])
        way = solve(hessian, slope, found)
        return value_of(hessian, slope, np.asarray(way.step)), float(way.equality_price[0])

    (before, _), (_, price), (after, _) = best(1.0 - 1e-4), best(1.0), best(1.0 + 1e-4)
    np.testing.assert_allclose(price, -(after - before) / 2e-4, rtol=1e-7)


def test_units_of_the_objective_change_no_step():
    hessian, slope, found = random_programme(4)
    way = solve(hessian, slope, found)
    for unit in (1e-9, 1e9):
        other = solve(unit * hessian, unit * slope, found)
        np.testing.assert_allclose(other.step, way.step, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(np.asarray(other.row_price) / unit, way.row_price, rtol=1e-9, atol=1e-9)


def test_the_same_row_twice_binds_once():
    hessian, slope, found = random_programme(1)
    loose = polytope(found.lower, found.upper, (), (), found.equalities, found.values)
    row = slope / np.linalg.norm(slope)
    limit = row @ np.asarray(solve(hessian, slope, loose).step) - 0.01
    once = polytope(found.lower, found.upper, [row], [limit], found.equalities, found.values)
    thrice = polytope(found.lower, found.upper, [row] * 3, [limit] * 3, found.equalities, found.values)
    one, many = solve(hessian, slope, once), solve(hessian, slope, thrice)
    assert one.row_price[0] > 0.01
    np.testing.assert_allclose(many.step, one.step, atol=1e-9)
    np.testing.assert_allclose(np.sum(many.row_price), one.row_price[0], rtol=1e-8)
    assert_priced(hessian, slope, thrice, many)


def test_more_constraints_than_dimensions_meet_in_the_optimum():
    """Six bounds and four rows go through the corner (1, ..., 1), where six would do."""
    rows = np.vstack([np.ones(NUMBER), np.arange(1.0, NUMBER + 1), np.eye(NUMBER)[0] + np.eye(NUMBER)[1], np.eye(NUMBER)[2]])
    found = polytope(0.0, 1.0, rows, rows.sum(axis=1))
    slope = np.full(NUMBER, 10.0)
    way = solve(np.eye(NUMBER), slope, found)
    np.testing.assert_allclose(way.step, 1.0, atol=1e-9)
    assert_priced(np.eye(NUMBER), slope, found, way)


@pytest.mark.parametrize("seed", range(5))
def test_with_hardly_any_curvature_it_is_a_linear_programme(seed):
    _, slope, found = random_programme(seed)
    step = np.asarray(solve(1e-9 * np.eye(NUMBER), slope, found).step)
    lower, upper = box_of(found)
    assert_within(step, found, lower, upper)
    np.testing.assert_allclose(slope @ step, furthest(slope, found, lower, upper), rtol=1e-8)


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_rows_of_zeros_change_nothing(seed):
    hessian, slope, found = random_programme(seed)
    parts = found.lower, found.upper, found.rows, found.limits, found.equalities, found.values, found.free
    wide = polytope(*parts, row_count=ROWS + 4)
    bare, padded = solve(hessian, slope, found), solve(hessian, slope, wide)
    np.testing.assert_allclose(padded.step, bare.step, atol=1e-12)
    np.testing.assert_allclose(padded.row_price[:ROWS], bare.row_price, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(padded.row_price[ROWS:], 0.0)


def test_no_slope_and_no_need_to_move_is_no_step():
    way = solve(np.eye(NUMBER), np.zeros(NUMBER), polytope(-1.0, 1.0))
    np.testing.assert_allclose(way.step, 0.0, atol=1e-13)


@pytest.mark.parametrize("seed", range(12))
def test_projection_is_the_nearest_point(seed):
    """No point of the set lies on the far side of the plane through it that faces the given point."""
    _, _, found = random_programme(seed)
    found = found._replace(upper=np.where(found.free, found.upper, found.lower))
    found = found._replace(
        limits=found.limits + found.rows @ np.where(found.free, 0, found.lower),
        values=found.values + found.equalities @ np.where(found.free, 0, found.lower),
    )
    point = np.random.default_rng(seed).normal(size=NUMBER) * 2.0
    reached = np.asarray(nearest(point, found))
    assert_within(reached, found, found.lower, found.upper)
    away = np.where(found.free, point - reached, 0.0)
    assert furthest(away, found, found.lower, found.upper) - away @ reached <= 1e-9
    np.testing.assert_allclose(nearest(reached, found), reached, atol=1e-10)
    np.testing.assert_array_equal(reached[~found.free], found.lower[~found.free])


def test_projection_onto_a_box_clips_exactly():
    lower, upper = np.linspace(0.1, 0.6, NUMBER), np.linspace(0.7, 0.9, NUMBER)
    point = np.array([-3.0, 0.4, 7.0, 0.0, 0.75, 0.9])
    reached = np.asarray(nearest(point, polytope(lower, upper)))
    outside = (point <= lower) | (point >= upper)
    np.testing.assert_array_equal(reached[outside], np.clip(point, lower, upper)[outside])
    np.testing.assert_allclose(reached, np.clip(point, lower, upper), rtol=1e-13)


def test_points_of_the_simplex_stay_and_others_are_thresholded():
    """The nearest point of the simplex is `max(x - level, 0)`, Held, Wolfe and Crowder (1974)."""
    point = np.array([0.9, 0.5, 0.2, -0.4, 0.1, 0.6])
    found = polytope(0.0, 1.0, equalities=np.ones((1, NUMBER)), values=[1.0])
    reached = np.asarray(nearest(point, found))
    level = (point[reached > 0].sum() - 1) / (reached > 0).sum()
    np.testing.assert_allclose(reached, np.maximum(point - level, 0), atol=1e-13)
    assert np.all(reached[[3, 4]] == 0.0)
    np.testing.assert_allclose(nearest(reached, found), reached, atol=1e-14)
