"""Plans against exhaustive search and against SciPy's solvers: never worse, always feasible."""

import warnings
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planning.made import made_fit
from scipy.optimize import Bounds, LinearConstraint, minimize

import mmm_jax as mj
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.planning.problem import Statement, lay_out
from mmm_jax.planning.search import program_of

DRAWS = 6
SMALL_SAMPLE, ALL = range(4), range(30)
NAMES = ("channel 1", "channel 2", "channel 3")


class Case(NamedTuple):
    """A planning problem: a fit and the arguments of `optimize_budget`."""

    fit: mj.Fit
    statement: dict[str, Any]


def random_case(seed: int) -> Case:
    """Three to five channels over one to four dates, concave or S-shaped in turn, with a group and steps."""
    rng = np.random.default_rng(seed)
    channels, dates = int(rng.integers(3, 6)), int(rng.integers(1, 5))
    shape = (DRAWS, channels)
    beta = rng.lognormal(0.0, 0.7, channels) * rng.lognormal(0.0, 0.1, shape)
    if seed % 2:
        slope = rng.uniform(1.5, 5.0, channels) * rng.lognormal(0.0, 0.05, shape)
        kappa = rng.uniform(0.5, 3.0, channels) * rng.lognormal(0.0, 0.05, shape)
        saturation, parameters = mj.HillSaturation(), {"slope": slope, "kappa": kappa, "beta": beta}
    else:
        saturation, parameters = mj.LogisticSaturation(), {"lam": rng.gamma(3.0, 0.5, shape), "beta": beta}
    fit = made_fit(saturation, parameters, alpha=rng.uniform(0.1, 0.7, shape), l_max=3)
    total = float(channels * dates * rng.uniform(0.5, 1.5))
    constraints: list[Any] = [mj.Group(NAMES[:2], lower=0.2 * total, upper=0.8 * total)]
    if dates > 1:
        constraints.append(mj.Step(NAMES[0], up=0.3 * total / dates, down=0.4 * total / dates))
    by = ("channel", "date") if dates > 1 else ("channel",)
    return Case(fit, {"horizon": dates, "total": total, "by": by, "constraints": constraints, "key": seed})


def best_of_scipy(case: Case, plan: mj.Allocation, starts: int) -> float:
    """The largest mean response of SLSQP's and trust-constr's feasible ends from random starts."""
    problem = plan.problem
    system = problem.feasible.system
    value = objective_of(case)
    bounds = Bounds(system.box_lower, np.minimum(system.box_upper, problem.reference))
    parts = (system.equal, ~system.equal)
    linear = [LinearConstraint(system.matrix[rows], system.lower[rows], system.upper[rows]) for rows in parts if rows.any()]
    rng, found = np.random.default_rng(1), [-np.inf]
    for _ in range(starts):
        start = rng.dirichlet(np.full(len(plan.amounts), rng.choice([0.3, 1.0, 5.0]))) * problem.reference
        for method, options in (("SLSQP", {"ftol": 1e-14, "maxiter": 300}), ("trust-constr", {"maxiter": 200})):
            with warnings.catch_warnings():
                # SciPy's own, of steps too short to learn a curvature from.
                warnings.filterwarnings("ignore", "delta_grad == 0.0", UserWarning)
                end = minimize(
                    lambda x: tuple(-np.asarray(part) for part in value(x)),
                    start,
                    jac=True,
                    bounds=bounds,
                    constraints=linear,
                    method=method,
                    options=options,
                )
            # What violates its constraints has an unfair advantage.
            if np.isfinite(end.fun) and violation(system, end.x) <= 1e-8 * problem.reference:
                found.append(-float(end.fun))
    return max(found)


def violation(system: Any, amounts: np.ndarray) -> float:
    level = system.matrix @ amounts
    outside = [level - system.upper, system.lower - level, amounts - system.box_upper, system.box_lower - amounts]
    return float(max(np.max(part, initial=0.0) for part in outside))


def objective_of(case: Case) -> Callable[[np.ndarray], tuple[Any, Any]]:
    """Mean response and its gradient, in double precision whatever the caller's."""
    with precision_scope("float64"):
        problem = lay_out(case.fit, Statement(**case.statement))
        response = program_of(problem, problem.draws).response
        both = eqx.filter_jit(jax.value_and_grad(lambda x, response: response(x).mean()))

    def value(amounts: np.ndarray) -> tuple[Any, Any]:
        with precision_scope("float64"):
            return jax.tree.map(np.asarray, both(jnp.asarray(np.maximum(amounts, 0.0)), response))

    return value


def check_never_worse(seed: int, starts: int) -> None:
    case = random_case(seed)
    plan = mj.optimize_budget(case.fit, **case.statement)
    system = plan.problem.feasible.system
    assert plan.certificate.optimal
    assert plan.certificate.feasibility <= 1e-8
    assert violation(system, plan.amounts) <= 1e-8 * plan.problem.reference
    assert plan.certificate.kkt_residual <= 1e-9
    ours, theirs = float(plan.response.mean()), best_of_scipy(case, plan, starts)
    print(f"seed {seed}: better by {ours / theirs - 1:.1e}, {len(plan.amounts)} numbers")
    assert ours >= theirs * (1 - 1e-6)


@pytest.mark.parametrize("seed", SMALL_SAMPLE)
def test_never_worse_than_scipy(seed):
    check_never_worse(seed, starts=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ALL)
def test_never_worse_than_scipy_from_twenty_starts(seed):
    check_never_worse(seed, starts=20)


@pytest.mark.parametrize("kind", ["concave", "S-shaped"])
def test_three_channels_against_all_plans_on_a_fine_grid(kind):
    rng = np.random.default_rng(5)
    shape = (DRAWS, 3)
    beta = rng.lognormal(0.0, 0.3, shape)
    if kind == "concave":
        fit = made_fit(mj.LogisticSaturation(), {"lam": rng.gamma(4.0, 0.5, shape), "beta": beta})
    else:
        slope, kappa = rng.uniform(3.0, 5.0, shape), rng.uniform(0.8, 1.2, shape)
        fit = made_fit(mj.HillSaturation(), {"slope": slope, "kappa": kappa, "beta": beta})
    bounds = {"channel 1": (0.2, 2.0), "channel 2": (0.0, 1.0)}
    constraints = [mj.Ratio("channel 3", of=["channel 1"], upper=1.5)]
    plan = mj.optimize_budget(fit, horizon=1, total=3.0, bounds=bounds, constraints=constraints)
    steps = 300
    shares = np.array([(a, b) for a, b in product(range(steps + 1), repeat=2) if a + b <= steps]) * 3.0 / steps
    plans = np.column_stack([shares, 3.0 - shares.sum(axis=1)])
    allowed = (plans[:, 0] >= 0.2) & (plans[:, 0] <= 2) & (plans[:, 1] <= 1) & (plans[:, 2] <= 1.5 * plans[:, 0] + 1e-12)
    value = objective_of(Case(fit, {"horizon": 1, "total": 3.0}))
    best = max(float(value(one)[0]) for one in plans[allowed])
    assert plan.certificate.optimal
    assert float(plan.response.mean()) >= best * (1 - 1e-12)
    assert float(plan.response.mean()) == pytest.approx(best, rel=1e-3)


def published_case() -> mj.Fit:
    """Two channels and four draws: the allocation case of PyMC-Marketing's own tests."""
    lam = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]])
    parameters = {"lam": lam, "beta": np.broadcast_to([0.5, 1.0], (4, 2))}
    return made_fit(mj.LogisticSaturation(), parameters, alpha=np.array([0.5, 0.7]))


@pytest.mark.smoke
def test_the_published_case_of_pymc_marketing():
    """Its stored answer, 54.7836, is 3e-4 off the optimum."""
    plan = mj.optimize_budget(published_case(), horizon=30, total=100.0, per="period", carry_in=False)
    np.testing.assert_allclose(plan.channel_spend / 30, [54.7833, 45.2167], atol=5e-5)
    assert float(plan.response.mean()) == pytest.approx(48.9317, abs=5e-5)
    assert plan.certificate.optimal
    assert plan.certificate.concave


def test_the_published_case_within_boxes():
    bounds = {"channel 1": (0.0, 50.0), "channel 2": (0.0, 50.0)}
    plan = mj.optimize_budget(published_case(), horizon=30, total=100.0, per="period", bounds=bounds, carry_in=False)
    np.testing.assert_allclose(plan.channel_spend / 30, [50.0, 50.0], rtol=1e-12)


def test_an_s_curve_beside_a_concave_channel_gets_what_exhaustive_search_gives_it():
    """A greedy search that adds what brings most next never climbs the S, and leaves most of the money unspent."""
    parameters = {"slope": [[6.0, 1.0]], "kappa": [[700.0, 300.0]], "beta": [[10.0, 8.0]]}
    fit = made_fit(mj.HillSaturation(), {name: np.array(values) for name, values in parameters.items()})
    plan = mj.optimize_budget(fit, horizon=1, total=1000.0)
    first = np.linspace(0.0, 1000.0, 100_001)
    curves = 10 * first**6 / (700.0**6 + first**6) + 8 * (1000 - first) / (300 + (1000 - first))
    assert plan.total == pytest.approx(1000.0, rel=1e-12)
    np.testing.assert_allclose(plan.channel_spend.values[0], first[curves.argmax()], atol=0.02)
    assert float(plan.response.mean()) >= curves.max()
