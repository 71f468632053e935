"""Environments of the peers: made with `venv` and pip where they are not there yet."""

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = {
    # PyMC 6.3.2 cannot call blackjax 1.6 and later (pymc-devs/pymc#8367).
    "pymc": ("pymc-marketing==1.3.0", "pymc==6.3.2", "nutpie==0.16.11", "numpyro==0.22.0", "blackjax==1.5"),
    "meridian": ("google-meridian[jax]==2.1.0",),
}
"""Exact pins: what a number was measured with."""


def environment(name: str, folder: Path) -> Path:
    """The interpreter of a peer's environment, which is made or completed first if it must be.

    Raises:
        RuntimeError: pip could not install the peer; says what it said.
    """
    home = folder / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(home)])
    if not _has(python, REQUIREMENTS[name]):
        print(f"Installing {', '.join(REQUIREMENTS[name])} ...", file=sys.stderr, flush=True)
        _run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]])
    # Not resolved: the link is what makes the interpreter see its environment.
    return python.absolute()


def _has(python: Path, requirements: tuple[str, ...]) -> bool:
    pins = [item.split("[")[0].split("==")[0] + "==" + item.split("==")[1] for item in requirements]
    code = (
        "import sys; from importlib.metadata import version; "
        "sys.exit(any(version(pin.split('==')[0]) != pin.split('==')[1] for pin in sys.argv[1:]))"
    )
    return subprocess.run([str(python), "-c", code, *pins], capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise RuntimeError(f"{' '.join(command[:4])} ... ended with {done.returncode}: {last}")
