"""Customers whose probabilities of a response are known, and draws of a posterior around them."""

import numpy as np


def logistic(x: np.ndarray) -> np.ndarray:
    """`1 / (1 + exp(-x))`."""
    return 1 / (1 + np.exp(-x))


def customers(
    rows: int, *, draws: int = 50, seed: int = 0, spread: float = 0.3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (rows,), draws of their probabilities as a posterior would have them (draws, rows), and the true ones (rows,).

    The truth is exchangeable with the draws: all are the same centre and an error of their own.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    beta = np.array([0.9, -0.6, 0.3])
    centre = beta + spread / np.sqrt(3) * rng.normal(size=3)
    errors = spread / np.sqrt(3) * rng.normal(size=(draws, 3))
    true = logistic(-1.6 + x @ beta)
    return rng.random(rows) < true, logistic(-1.6 + (centre + errors) @ x.T), true


def laplace_draws(x: np.ndarray, y: np.ndarray, others: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Probabilities of `others` (draws, rows), learnt from `x` and `y` by a logit with Normal(0, 1) coefficients."""
    design, flat = np.column_stack([np.ones(len(x)), x]), np.zeros(x.shape[1] + 1)
    for _ in range(12):
        p = logistic(design @ flat)
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + np.eye(len(flat))
        flat = flat + np.linalg.solve(hessian, design.T @ (y - p) - flat)
    errors = np.random.default_rng(seed).normal(size=(draws, len(flat)))
    sampled = flat + np.linalg.solve(np.linalg.cholesky(hessian).T, errors.T).T
    return logistic(sampled @ np.column_stack([np.ones(len(others)), others]).T)


def shop(seed: int, *, rows: int = 1500, train: int = 500, draws: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customers of whom some are learnt from: draws for the others (draws, rows), their responses, and their margins."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    y = rng.random(rows) < logistic(-1.8 + x @ np.array([1.0, -0.7, 0.4]))
    # Who buys for much does not respond the most.
    margin = np.exp(2.2 + 0.6 * rng.normal(size=rows) - 0.2 * x[:, 0])
    p = laplace_draws(x[:train], y[:train], x[train:], draws=draws, seed=seed)
    return p, y[train:], margin[train:]
