"""Naive NumPy references, each with its equation, and where the oracles and the data lie."""

import inspect
import json
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import mmm_jax as mj
from mmm_jax.data.calendar import Frequency
from mmm_jax.kernels.numerics import precision_scope

_SHARED = Path(__file__).resolve().parents[1].parent / "shared"
ORACLES = _SHARED / "oracles"
DATA = Path(os.environ.get("MMM_JAX_DATA", _SHARED / "data"))


def oracle(name: str) -> Path:
    """Path of an oracle; skips the test where it is absent."""
    return _existing(ORACLES / name, "numbers of another implementation, kept outside of the repository")


def data_file(name: str) -> Path:
    """Path of a data file; skips the test where it is absent."""
    return _existing(DATA / name, "data kept outside of the repository; set MMM_JAX_DATA to its folder")


def load_oracle(name: str) -> dict[str, Any]:
    """A JSON oracle's content."""
    return json.loads(oracle(name).read_text())


def case_study_panel() -> mj.Panel:
    """The case study's table as a panel."""
    folder = data_file("case_study.csv").parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMM_JAX_DATA", str(folder))
        return mj.datasets.load_case_study()


def case_study_spec() -> mj.ModelSpec:
    """The case study's model, as `shared/oracles/README.md` describes it."""
    return mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=6),
        saturation=mj.LogisticSaturation(),
        yearly_seasonality=5,
        likelihood=mj.TruncatedNormal(),
        priors={
            "intercept": dist.Normal(0.2, 0.05),
            "saturation_beta": mj.SpendShare(),
            "gamma_control": dist.Normal(0.0, 1.0),
            "y_sigma": dist.HalfNormal(1.0),
        },
    )


@cache
def prior_draws(component: type, count: int = 100) -> dict[str, np.ndarray]:
    """Draws from the default priors of an adstock or a saturation, by parameter, exact in float32."""
    made = component(l_max=5) if "l_max" in inspect.signature(component).parameters else component()
    with precision_scope("float32"):
        keys = jax.random.split(jax.random.key(0), 3)
        priors = made.default_priors().items()
        return {
            name: np.asarray(prior.sample(key, (count,)), float) for (name, prior), key in zip(priors, keys, strict=False)
        }


def days_from(start: str, count: int) -> np.ndarray:
    """Days in a row, `datetime64[D]`."""
    return np.datetime64(start, "D") + np.arange(count)


def panel_of(dates: np.ndarray, frequency: str, target: np.ndarray | None = None) -> mj.Panel:
    """A panel of one channel over given dates."""
    rng = np.random.default_rng(0)
    return mj.Panel(
        dates=np.asarray(dates, "datetime64[D]"),
        spend=rng.gamma(2.0, 1.0, (1, len(dates))),
        controls=np.zeros((0, len(dates))),
        target=rng.gamma(20.0, 1.0, len(dates)) if target is None else target,
        channels=("TV",),
        control_names=(),
        target_name="sales",
        frequency=Frequency(frequency),
    )


SMALL_SPEC = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=4),
    yearly_seasonality=1,
    trend=mj.LinearTrend(),
    likelihood=mj.TruncatedNormal(),
    priors={"saturation_beta": mj.SpendShare(2.0)},
)


def quick_fit(panel: mj.Panel, spec: mj.ModelSpec = SMALL_SPEC, **settings) -> mj.Fit:
    """A fit of few draws, whose warning that it has not converged is expected."""
    options = {"num_chains": 2, "num_warmup": 100, "num_samples": 60, "progress": False, **settings}
    with warnings.catch_warnings():
        # 120 draws can never have the effective sample size that the diagnostics ask for.
        warnings.simplefilter("ignore", mj.ConvergenceWarning)
        return mj.fit(panel, spec, **options)


# Adstock: maths.md section 2, with `l = 0 ... l_max - 1`.


def geometric_weights(alpha: float, l_max: int) -> np.ndarray:
    """`w_l = alpha**l`."""
    return np.array([alpha**lag for lag in range(l_max)])


def delayed_weights(alpha: float, theta: float, l_max: int) -> np.ndarray:
    """`w_l = alpha**((l - theta)**2)`."""
    return np.array([alpha ** ((lag - theta) ** 2) for lag in range(l_max)])


def binomial_weights(alpha: float, l_max: int) -> np.ndarray:
    """`w_l = (1 - l / (l_max + 1))**(1 / alpha - 1)`."""
    return np.array([(1 - lag / (l_max + 1)) ** (1 / alpha - 1) for lag in range(l_max)])


def weibull_pdf_weights(lam: float, k: float, l_max: int) -> np.ndarray:
    """`w_l = pdf(l + 1; k, lam)`, then `(w - min w) / (max w - min w)`; a window of 1 is the identity."""
    if l_max == 1:
        return np.ones(1)
    ratio = np.array([(lag + 1) / lam for lag in range(l_max)])
    density = k / lam * ratio ** (k - 1) * np.exp(-(ratio**k))
    return (density - density.min()) / (density.max() - density.min())


def weibull_cdf_weights(lam: float, k: float, l_max: int) -> np.ndarray:
    """`w = cumprod([1, 1 - cdf(1), ..., 1 - cdf(l_max - 1)])`, `1 - cdf(l) = exp(-(l / lam)**k)`."""
    return np.cumprod([1.0] + [np.exp(-((lag / lam) ** k)) for lag in range(1, l_max)])


def adstock(media: np.ndarray, weights: np.ndarray, lead: int = 0) -> np.ndarray:
    """`a_t = sum_l w_l x_{t + lead - l}` of one channel, with `x = 0` outside of its rows."""
    effect = np.zeros(len(media))
    for time in range(len(media)):
        for lag, weight in enumerate(weights):
            if 0 <= time + lead - lag < len(media):
                effect[time] += weight * media[time + lead - lag]
    return effect


# Saturation: maths.md section 3.


def logistic(x, lam, beta):
    """`beta (1 - e^(-lam x)) / (1 + e^(-lam x))`."""
    return beta * (1 - np.exp(-lam * x)) / (1 + np.exp(-lam * x))


def tanh(x, b, c):
    """`b tanh(x / (b c))`."""
    return b * np.tanh(x / (b * c))


def michaelis_menten(x, alpha, lam):
    """`alpha x / (lam + x)`."""
    return alpha * x / (lam + x)


def hill(x, slope, kappa, beta):
    """`beta x^s / (kappa^s + x^s)`."""
    return beta * x**slope / (kappa**slope + x**slope)


def root(x, alpha, beta):
    """`beta x^alpha`."""
    return beta * x**alpha


def linear(x, beta):
    """`beta x`."""
    return beta * x


# Tables and scores.


def variance_inflation(spend: np.ndarray) -> np.ndarray:
    """`1 / (1 - R^2)` of the regression of each row, by least squares with an intercept, on the others."""
    factors = []
    for index, outcome in enumerate(spend):
        design = np.vstack([np.ones(spend.shape[1]), np.delete(spend, index, axis=0)]).T
        residual = outcome - design @ np.linalg.lstsq(design, outcome, rcond=None)[0]
        factors.append(np.sum((outcome - outcome.mean()) ** 2) / np.sum(residual**2))
    return np.array(factors)


def crps(y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """`mean_s |y_s - y| - 1/2 mean_{s,s'} |y_s - y_{s'}|` per observation, over all pairs; draws of shape (draw, time)."""
    error = np.mean([np.abs(draw - y) for draw in draws], axis=0)
    spread = np.mean([np.abs(one - other) for one in draws for other in draws], axis=0)
    return error - spread / 2


def central_difference(function: Callable[[float], float], at: float = 0.0, step: float = 1e-5) -> float:
    """`(f(x + h) - f(x - h)) / (2 h)`."""
    return (function(at + step) - function(at - step)) / (2 * step)


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is absent: {what}")
    return path
