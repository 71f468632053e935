import hashlib

import helpers
import numpy as np
import pooch
import pytest
import requests

from mmm_jax import DatasetError, datasets


@pytest.fixture
def no_network(monkeypatch):
    """No folder is named, and nothing can be fetched."""
    monkeypatch.delenv("MMM_JAX_DATA", raising=False)

    def refuse(url, **options):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", refuse)


@pytest.mark.smoke
def test_an_unreachable_file_says_where_it_is_and_what_to_do(no_network):
    with pytest.raises(
        DatasetError, match=r"case_study.csv could not be fetched from https://.*: no route to host"
    ) as error:
        datasets.case_study_frame()
    assert "Download it by hand and set MMM_JAX_DATA to the folder that holds it as case_study.csv" in str(error.value)
    assert isinstance(error.value.__cause__, requests.ConnectionError)


@pytest.mark.parametrize("cause", [OSError("disk full"), ValueError("SHA256 hash of downloaded file does not match")])
def test_a_full_disk_or_a_changed_file_is_a_dataset_error(monkeypatch, no_network, cause):
    def fail(url, **options):
        raise cause

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(DatasetError, match=str(cause)):
        datasets.load_case_study()


def test_the_file_is_asked_for_by_url_and_checksum(monkeypatch, no_network):
    asked = {}

    def retrieve(url, known_hash, **options):
        asked.update(url=url, known_hash=known_hash)
        return str(helpers.data_file("case_study.csv"))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(datasets.case_study_frame()) == 209
    assert asked == {"url": datasets.CASE_STUDY_URL, "known_hash": f"sha256:{datasets.CASE_STUDY_SHA256}"}


def test_a_folder_without_the_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MMM_JAX_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="MMM_JAX_DATA names .* but there is no case_study.csv in it") as error:
        datasets.load_case_study()
    assert str(tmp_path) in str(error.value)


def test_the_file_in_the_named_folder_is_read(monkeypatch, no_network, tmp_path):
    tmp_path.joinpath("case_study.csv").write_bytes(helpers.data_file("case_study.csv").read_bytes())
    monkeypatch.setenv("MMM_JAX_DATA", str(tmp_path))
    assert len(datasets.case_study_frame()) == 209


def test_the_recorded_checksum_is_that_of_the_file():
    content = helpers.data_file("case_study.csv").read_bytes()
    assert hashlib.sha256(content).hexdigest() == datasets.CASE_STUDY_SHA256


def test_the_case_study_is_what_its_description_says(case_study):
    assert len(case_study) == 209
    assert case_study.frequency == "weekly"
    assert case_study.channels == ("Direct Mail", "Insert", "Newspaper", "Online Display", "Radio", "Social Media", "TV")
    assert len(case_study.control_names) == 22
    assert set(np.unique(case_study.controls)) == {0.0, 1.0}
    train, test = case_study.split(datasets.CASE_STUDY_LAST_TRAINING_DATE)
    assert (len(train), len(test)) == (183, 26)


def test_the_case_study_has_the_scales_of_the_oracle(case_study):
    oracle = helpers.load_oracle("case_study_logp.json")
    train, _ = case_study.split(datasets.CASE_STUDY_LAST_TRAINING_DATE)
    np.testing.assert_allclose(train.spend.max(axis=1), oracle["channel_scale"], rtol=1e-12)
    np.testing.assert_allclose(train.target.max(), oracle["target_scale"], rtol=1e-12)
