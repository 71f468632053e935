"""The steps of a fit that `fit` and `demo` share: read, sample, examine, save."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmm_jax.cli import pictures
from mmm_jax.cli.config import Config
from mmm_jax.cli.experiments import Experiments, read_experiments
from mmm_jax.cli.model import check_fits, read_spec
from mmm_jax.cli.results import Results, examine, summarised
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen, write_json
from mmm_jax.cli.table import read_panel, read_roles, read_table, split_panel
from mmm_jax.cli.validation import read_config
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import ApproximationWarning, ConvergenceWarning
from mmm_jax.fitting.fit import fit as fit_model
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.model.spec import ModelSpec

FIT_FILE, SUMMARY_FILE, PLOTS_FOLDER = "fit.zarr", "summary.json", "plots"


class Inputs(NamedTuple):
    """Everything that a fit needs, checked."""

    config: Config
    spec: ModelSpec
    train: AnyPanel
    test: AnyPanel | None
    experiments: Experiments = Experiments()


def read_inputs(config_path: Path, data_path: Path, screen: Screen) -> Inputs:
    """Configuration and table.

    Raises:
        ConfigError: the configuration is wrong, or does not fit the table; names key and line.
        PanelError: the table is wrong; names the file, column and date.
    """
    with screen.stage("read"):
        config = read_config(config_path, fit_schema())
        spec = read_spec(config)
        frame = read_table(data_path)
        panel = read_panel(data_path, frame, read_roles(config, frame))
        train, test = split_panel(config, panel)
        check_fits(config, spec, train)
        experiments = read_experiments(config, train)
    return Inputs(config, spec, train, test, experiments)


def sample(inputs: Inputs, screen: Screen) -> AnyFit:
    """The fit. Whether it converged or can be believed is said on the screen, not as a Python warning."""
    with warnings.catch_warnings():
        for kind in (ConvergenceWarning, ApproximationWarning):
            warnings.simplefilter("ignore", kind)
        settings = {"experiments": inputs.experiments.learned, **inputs.config.values.get("sampling", {})}
        # One verb for both kinds, whose overloads tell them apart.
        fit: Any = fit_model(inputs.train, inputs.spec, **settings)  # pyright: ignore[reportCallIssue, reportArgumentType]
    seconds = fit.diagnostics.wall_seconds
    known = {name: seconds[name] for name in ("compile", "sample")}
    screen.seconds |= {**known, "diagnose": seconds["total"] - sum(known.values())}
    return fit


def fit_and_examine(inputs: Inputs, screen: Screen) -> Results:
    """The fit with its predictions, returns and scores."""
    return examine(sample(inputs, screen), inputs.test, screen, inputs.experiments.held_out)


def save_results(
    results: Results, folder: Path, screen: Screen, *, plots: bool, truth: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Write the fit, its pictures and its summary into the folder, over what an earlier run left.

    Args:
        results: what is written.
        folder: made if it does not exist.
        screen: counts the seconds.
        plots: draw the pictures.
        truth: true return on spend by channel, drawn beside the estimates.

    Returns:
        The summary.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / PLOTS_FOLDER).glob("*.png"):
        old.unlink()
    if plots:
        with screen.stage("plots", "Drawing ..."):
            pictures.save_fit_pictures(results, folder / PLOTS_FOLDER, truth)
    with screen.stage("save"):
        results.fit.save(folder / FIT_FILE, overwrite=True)
    summary = summarised(results, screen)
    write_json(folder / SUMMARY_FILE, summary)
    return summary
