"""A version in MLflow's own store of files: what is there, what it is called, and that it is the same fit."""

import sys
from functools import cache

import kinds
import pytest
from monitoring import made
from planning.fits import SPECS

import mmm_jax as mj


@cache
def _fit() -> mj.Fit:
    return made.fit(kinds.panel(), SPECS["logistic"])


@pytest.fixture
def registry(tmp_path) -> mj.Registry:
    """A registry with a champion."""
    made = mj.Registry(tmp_path / "loop.db")
    made.register(_fit(), "brand", trigger="first model", scores={"crps": 12.5, "coverage": 0.9})
    made.promote("brand")
    return made


# Its own: MLflow's models of pydantic, and its files, whose end it announces.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_version_has_a_run_and_a_version_there(registry, tmp_path, monkeypatch):
    reason = "MLflow is not installed: pip install mlflow-skinny"
    mlflow = pytest.importorskip("mlflow", reason=reason, exc_type=ImportError)
    # Files are no longer MLflow's first choice, but need neither its server nor a database.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "mlruns").as_uri()
    assert registry.export_mlflow("brand", tracking_uri=store) == 1
    client = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
    theirs = client.get_model_version_by_alias("brand", "champion")
    assert theirs.version in (1, "1")
    found = registry.version("brand", 1)
    assert theirs.tags["mmm_jax.model"] == found.model
    assert theirs.tags["mmm_jax.review"] == "approved"
    run = client.get_run(theirs.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["crps"] == 12.5
    assert run.data.metrics["diagnostics.converged"] == 1.0
    assert run.data.params["spec_hash"] == found.spec_hash
    assert run.data.params["trigger"] == "first model"
    local = client.download_artifacts(theirs.run_id, "fit.zarr", str(tmp_path))
    assert mj.Fit.load(local).panel.fingerprint() == found.panel_fingerprint
    spec = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/spec.json")
    assert mj.ModelSpec.from_dict(spec) == _fit().spec
    registry.register(_fit(), "brand", scores={"crps": 11.0})
    assert registry.export_mlflow("brand", "challenger", tracking_uri=store) == 2
    with pytest.raises(mj.RegistryError, match="MLflow at nonsense://keeper:...@host refuses") as raised:
        registry.export_mlflow("brand", tracking_uri="nonsense://keeper:s3cret@host")
    assert "s3cret" not in str(raised.value)


def test_without_mlflow_it_is_said_what_to_install(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(mj.RegistryError, match=r"pip install 'mmm-jax\[mlflow\]'"):
        registry.export_mlflow("brand", tracking_uri="sqlite:///x.db")
    with pytest.raises(mj.RegistryError, match="has no version 4"):
        registry.export_mlflow("brand", 4, tracking_uri="sqlite:///x.db")
