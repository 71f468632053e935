"""Programs on disk: the next process must find what this one compiled."""

import os
import subprocess
import sys

import pytest

_LOWERED = """
import hashlib, warnings; warnings.simplefilter("ignore")
import jax, jax.numpy as jnp, mmm_jax as mj
from mmm_jax.fitting.density import flat_log_density, padded_target
panel = mj.synthetic.make_market(weeks=60).panel
target, active, *_ = padded_target(mj.ModelSpec(yearly_seasonality=1), panel, mj.Scales.from_panel(panel))
text = jax.jit(jax.value_and_grad(flat_log_density)).lower(jnp.asarray(active), target).as_text()
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.smoke
def test_a_program_does_not_depend_on_the_process_that_makes_it():
    """The order of Python's sets and hashes differs from process to process; the cache's keys must not."""
    found = {
        subprocess.run(
            [sys.executable, "-c", _LOWERED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
