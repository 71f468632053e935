"""Retrainings in processes of their own; a script, so that the package is loaded once for all of them.

It reads lines `URL FOLDER`. Each begins an endless retraining of the model `brand`, whose process's number is the answer.
"""

import os
import sys

import mmm_jax as mj


def retrain(url: str, folder: str) -> None:
    """More draws than anybody has the time for."""
    registry = mj.Registry(url, artefacts=folder)
    panel = registry.load("brand").panel
    mj.retrain("brand", panel, "to be killed", registry=registry, num_samples=10**6, num_chains=1, progress=False)


def main() -> None:
    """Begin what is asked for until nobody asks any more."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                retrain(*line.split())
            finally:
                os._exit(1)
        print(child, flush=True)


if __name__ == "__main__":
    main()
