"""The case study, or a synthetic market of its shape where the data is absent."""

import os
from pathlib import Path

import yaml

import mmm_jax as mj
from mmm_jax.data.datasets import CASE_STUDY_LAST_TRAINING_DATE, DATA_FOLDER_VARIABLE
from mmm_jax.kernels.numerics import precision_scope
from mmm_jax.model.build import build_model
from mmm_jax.model.mmm import MMM

_CONFIG = Path(__file__).resolve().parents[1] / "examples" / "case_study" / "config.yaml"
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder() -> Path:
    """Where the data lie: the folder that the environment variable names, or the one beside the repository."""
    return Path(os.environ.get(DATA_FOLDER_VARIABLE, _SHARED))


def case_study() -> tuple[str, mj.Panel]:
    """Name and panel; never the network."""
    if DATA_FOLDER_VARIABLE not in os.environ and (_SHARED / "case_study.csv").is_file():
        os.environ[DATA_FOLDER_VARIABLE] = str(_SHARED)
    if DATA_FOLDER_VARIABLE in os.environ:
        return "case study", mj.datasets.load_case_study()
    return "synthetic market", mj.synthetic.make_market().panel


def spec() -> mj.ModelSpec:
    """The case study's model, from the example's configuration."""
    return mj.ModelSpec.from_dict(yaml.safe_load(_CONFIG.read_text())["model"])


def training_and_test() -> tuple[mj.Panel, mj.Panel]:
    """183 training and 26 test weeks."""
    return case_study()[1].split(CASE_STUDY_LAST_TRAINING_DATE)


def training_model(precision: str = "float32") -> MMM:
    """The case study's model over its training weeks."""
    train, _ = training_and_test()
    with precision_scope("float64" if precision == "float64" else "float32"):
        return build_model(spec(), train, mj.Scales.from_panel(train))
