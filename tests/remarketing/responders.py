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
