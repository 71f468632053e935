"""A copy of a model version in MLflow: parameters, scores, the fit as an artefact, and a registered version."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmm_jax.errors import RegistryError
from mmm_jax.fitting.geo_fit import AnyFit
from mmm_jax.fitting.remote import shown
from mmm_jax.monitoring.registry_states import ModelVersion

if TYPE_CHECKING:
    from mmm_jax.monitoring.registry import Named, Registry

FIT = "fit.zarr"
"""Place of the fit among a run's artefacts: `mlflow.artifacts.download_artifacts` of it is what `Fit.load` reads."""


def exported(registry: "Registry", name: str, version: "Named", *, tracking_uri: str, experiment: str) -> int:
    """Copy a version to MLflow: one run with its parameters, metrics and artefacts, and a version of the registered model.

    The registry stays the source: MLflow's version is tagged with its number and model fingerprint, and has its aliases of
    today. Exporting a version again makes another run and another version of MLflow's.

    Args:
        registry: where the version is.
        name: of the model, in both registries.
        version: its number or alias.
        tracking_uri: MLflow's server, or a store that the installed MLflow can open.
        experiment: name of MLflow's experiment; made if it is not there.

    Returns:
        Number of MLflow's version.

    Raises:
        RegistryError: there is no such version, MLflow is not installed, or it refuses.
        StoreError: the fit cannot be read.
    """
    found, fit = registry.version(name, version), registry.load(name, version)
    aliases = [alias for alias, number in registry.aliases(name).items() if number == found.version]
    try:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
        from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise RegistryError("Exporting needs MLflow. Run: pip install 'mmm-jax[mlflow]'.") from None
    try:
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        run = _run(client, experiment, found, fit)
        return _registered(client, run, found, aliases)
    except MlflowException as error:
        # Not chained: MLflow's own error may hold a password.
        words = " ".join(str(error).split()).replace(tracking_uri, shown(tracking_uri))
        raise RegistryError(f"MLflow at {shown(tracking_uri)} refuses: {words}") from None


def _run(client: Any, experiment: str, found: ModelVersion, fit: AnyFit) -> Any:
    """A finished run with everything of a version."""
    known = client.get_experiment_by_name(experiment)
    place = client.create_experiment(experiment) if known is None else known.experiment_id
    run = client.create_run(place, run_name=f"{found.name} {found.version}", tags=_tags(found))
    number = run.info.run_id
    try:
        for name, value in _parameters(found).items():
            client.log_param(number, name, value)
        for name, value in _metrics(found).items():
            client.log_metric(number, name, value)
        client.log_dict(number, fit.spec.to_dict(), "spec.json")
        client.log_dict(number, dict(found.facts), "facts.json")
        with tempfile.TemporaryDirectory(prefix="mmm_jax_") as folder:
            fit.save(Path(folder) / FIT)
            client.log_artifacts(number, str(Path(folder) / FIT), FIT)
    except BaseException:
        client.set_terminated(number, "FAILED")
        raise
    client.set_terminated(number, "FINISHED")
    return run


def _registered(client: Any, run: Any, found: ModelVersion, aliases: list[str]) -> int:
    if not any(one.name == found.name for one in client.search_registered_models(f"name = '{found.name}'")):
        client.create_registered_model(found.name)
    source = f"{run.info.artifact_uri}/{FIT}"
    made = client.create_model_version(found.name, source, run.info.run_id, tags=_tags(found), description=found.trigger)
    for alias in aliases:
        client.set_registered_model_alias(found.name, alias, made.version)
    return int(made.version)


def _tags(found: ModelVersion) -> dict[str, str]:
    return {"mmm_jax.version": str(found.version), "mmm_jax.model": found.model, "mmm_jax.review": found.review}


def _parameters(found: ModelVersion) -> dict[str, str]:
    start, end = found.facts["window"]
    given = {
        "trigger": found.trigger,
        "parent": found.parent,
        "spec_hash": found.spec_hash,
        "panel_fingerprint": found.panel_fingerprint,
        "start": start,
        "end": end,
        "target": found.facts["target"],
        "channels": ", ".join(found.facts["channels"]),
        "precision": found.facts["precision"],
        **found.facts.get("settings", {}),
    }
    return {name: str(value) for name, value in given.items() if value not in (None, "")}


def _metrics(found: ModelVersion) -> dict[str, float]:
    """Scores, and the diagnostics that are numbers."""
    diagnostics: Mapping[str, Any] = found.facts["diagnostics"]
    numbers = {name: value for name, value in diagnostics.items() if isinstance(value, (int, float))}
    given = {**found.facts["scores"], **{f"diagnostics.{name}": value for name, value in numbers.items()}}
    return {name: float(value) for name, value in given.items() if value is not None}
