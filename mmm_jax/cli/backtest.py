"""The steps of `mmm-jax validate`: read, fit all folds, score, say."""

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmm_jax.cli import geo_report, pictures
from mmm_jax.cli.batches import read_sampling
from mmm_jax.cli.config import Config
from mmm_jax.cli.results import described
from mmm_jax.cli.screen import Screen, amount, percent, write_json
from mmm_jax.cli.steps import Inputs, read_inputs
from mmm_jax.cli.words import counted
from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.errors import ConvergenceWarning
from mmm_jax.validation.cross_validation import CrossValidation, cross_validate
from mmm_jax.validation.folds import folds_of, rows_without_test

RESULT_FILE, PLOTS_FOLDER = "validation.json", "plots"
_HORIZON, _INITIAL_SHARE = 8, 2 / 3
_SHOWN = 10
"""Parameters that are shown on the screen, the least stable first; the JSON has all."""


def run(screen: Screen, data: Path, config_path: Path, out: Path, *, plots: bool) -> dict[str, Any]:
    """Cross-validate, write and show.

    Raises:
        ConfigError: the configuration is wrong, or the folds do not fit the table.
        PanelError: the table is wrong.
        BatchError: every fold failed.
    """
    inputs = read_inputs(config_path, data, screen)
    slices, sampling = _slices(inputs.config, inputs.train), read_sampling(inputs.config)
    with inputs.config.at("validation"):
        folds_of(inputs.train.dates, **slices)
    out.mkdir(parents=True, exist_ok=True)
    with screen.stage("fit"), warnings.catch_warnings():
        # Each fold's status is in the first table.
        warnings.simplefilter("ignore", ConvergenceWarning)
        cv = cross_validate(inputs.train, inputs.spec, experiments=inputs.experiments.learned, **slices, **sampling)
    with screen.stage("score", "Scoring ..."):
        result = _summarised(cv, inputs, slices)
    _save(cv, result, out, screen, plots=plots)
    _show(screen, cv, inputs)
    screen.say_seconds()
    screen.say(f"Written: {', '.join(str(path) for path in sorted(out.iterdir()))}.")
    return result


def _slices(config: Config, panel: AnyPanel) -> dict[str, Any]:
    """The folds that the configuration asks for, or the defaults."""
    given = {"initial": round(_INITIAL_SHARE * len(panel)), "horizon": _HORIZON, **config.values.get("validation", {})}
    return {"step": given["horizon"], "window": "expanding", **given}


def _summarised(cv: CrossValidation, inputs: Inputs, slices: dict[str, Any]) -> dict[str, Any]:
    """The content of `validation.json`."""
    return {
        "mmm_jax_version": version("mmm-jax"),
        "data": described(inputs.train),
        "spec": inputs.spec.to_dict(),
        "spec_hash": inputs.spec.content_hash(),
        "validation": slices,
        "rows_without_test": rows_without_test(cv.folds, len(inputs.train)),
        "folds": cv.scores().to_dict("index"),
        "errors": cv.batch.errors,
        "horizon": cv.scores_by_horizon().to_dict("index"),
        "stability": cv.stability().to_dict("index"),
        **_summarised_parts(cv),
    }


def _summarised_parts(cv: CrossValidation) -> dict[str, Any]:
    """By geo, and which fold knew which experiment, where there are any."""
    found: dict[str, Any] = {}
    if cv.geos:
        found["geos"] = cv.scores_by_geo().to_dict("index")
    if cv.experiments is not None:
        found["experiments"] = cv.experiments_by_fold().to_dict("records")
    return found


def _save(cv: CrossValidation, result: dict[str, Any], out: Path, screen: Screen, *, plots: bool) -> None:
    for old in (out / PLOTS_FOLDER).glob("*.png"):
        old.unlink()
    if plots:
        with screen.stage("plots", "Drawing ..."):
            pictures.save_validation_pictures(cv, out / PLOTS_FOLDER)
    write_json(out / RESULT_FILE, result)


def _show(screen: Screen, cv: CrossValidation, inputs: Inputs) -> None:
    left, held_out = rows_without_test(cv.folds, len(cv.panel)), 0 if inputs.test is None else len(inputs.test)
    words = f"{counted(len(cv.folds), 'fold')} of {counted(len(cv.folds[0].test), 'row')} on {len(cv.panel)} rows"
    words += f"; the last {counted(left, 'row')} in no fold" if left else ""
    screen.say(words + (f"; {counted(held_out, 'later row')} held out, not touched" if held_out else "") + ".")
    if inputs.experiments.held_out is not None:
        screen.notice("held-out experiments are predicted by `mmm-jax fit`; here they are not used.")
    _show_folds(screen, cv)
    _show_horizon(screen, cv)
    if cv.geos:
        geo_report.show_validation(screen, cv)
    _show_stability(screen, cv)
    _notice_folds(screen, cv)


def _notice_folds(screen: Screen, cv: CrossValidation) -> None:
    """Which folds are not to be trusted, and what is wrong with the first of each kind; on standard error."""
    for status in ("failed", "not_converged"):
        names = [name for name, word in cv.status.items() if word == status]
        if names:
            entry = cv.batch.entries[names[0]]
            why = entry.error or " ".join((entry.diagnostics or {}).get("problems", []))
            words = "failed" if status == "failed" else "have not converged"
            screen.notice(f"{len(names)} of {len(cv.folds)} folds (*) {words}: {', '.join(names)}. The first: {why}")


def _show_folds(screen: Screen, cv: CrossValidation) -> None:
    rows = [
        [
            # What is wrong with it is said below.
            str(name) if row["status"] == "success" else f"{name} *",
            str(row["training_rows"]),
            amount(row["crps"]),
            amount(row["training_crps"]),
            percent(row["coverage_90"]),
            percent(row["mape"]),
            amount(row["bias"]),
            *([] if cv.experiments is None else [str(len(cv.entered.get(str(name), ())))]),
        ]
        for name, row in cv.scores().iterrows()
    ]
    columns = ["Cutoff", "rows", "CRPS", "fitted", "in 90%", "MAPE", "bias"]
    where = ", all geos together" if cv.geos else ""
    known = [] if cv.experiments is None else ["tests"]
    title = f"Forecasts by fold, in {cv.panel.target_name}{where} (fitted: CRPS of the training rows)"
    screen.table(title, [*columns, *known], rows)
    if cv.experiments is not None:
        screen.say(f"tests: of {len(cv.experiments)} experiments, those that were over at the cutoff and entered the fold.")


def _show_horizon(screen: Screen, cv: CrossValidation) -> None:
    rows = [
        [
            str(ahead),
            amount(row["crps"]),
            percent(row["coverage_90"]),
            percent(row["mape"]),
            percent(row["last_skill"], sign=True),
            percent(row["seasonal_skill"], sign=True),
        ]
        for ahead, row in cv.scores_by_horizon().iterrows()
    ]
    period = cv.panel.frequency.period
    columns = [f"{period.capitalize()}s ahead", "CRPS", "in 90%", "MAPE", "skill over last value", "over last year"]
    screen.table("Forecasts by how far ahead (skill above 0: better than the naive forecast)", columns, rows)


def _show_stability(screen: Screen, cv: CrossValidation) -> None:
    table = cv.stability().sort_values("spread", ascending=False).head(_SHOWN)
    rows = [
        [str(name), amount(row["mean"]), amount(row["spread"]), amount(row["drift"]), percent(row["overlap"])]
        for name, row in table.iterrows()
    ]
    columns = ["Parameter", "mean", "spread", "drift", "overlap"]
    screen.table("Least stable over the folds (spread and drift in posterior sd)", columns, rows)
