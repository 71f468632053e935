"""Saving and loading: the same numbers, in another process too, and nothing half written."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import mmm_jax as mj
from mmm_jax.errors import StoreError

_PREDICT_ELSEWHERE = """
import hashlib, sys
import numpy as np
import mmm_jax as mj
fit = mj.Fit.load(sys.argv[1])
horizon = mj.Fit.load(sys.argv[1]).panel.dates[-1] + 7 * np.arange(1, 9)
panel = mj.Panel(dates=horizon, spend=fit.panel.spend[:, :8].copy(), controls=fit.panel.controls[:, :8].copy(), target=None,
                 channels=fit.panel.channels, control_names=fit.panel.control_names, target_name="sales",
                 frequency=fit.panel.frequency)
predicted = fit.predict(panel, key=7)
print(hashlib.sha256(predicted["y"].to_numpy().tobytes() + predicted["mean"].to_numpy().tobytes()).hexdigest())
"""


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["fit.zarr", "fit.nc"])
def test_round_trip_keeps_everything(small_fit, split, tmp_path, name):
    small_fit.save(tmp_path / name)
    loaded = mj.Fit.load(tmp_path / name)
    assert loaded.spec == small_fit.spec
    assert loaded.panel.fingerprint() == small_fit.panel.fingerprint()
    assert loaded.diagnostics == small_fit.diagnostics
    assert loaded.scales.to_dict() == small_fit.scales.to_dict()
    for name, values in small_fit.draws.items():
        np.testing.assert_array_equal(loaded.draws[name], values)
        assert loaded.draws[name].dtype == values.dtype
    assert loaded.predict(split[1], key=1).identical(small_fit.predict(split[1], key=1))


def test_another_process_predicts_bit_for_bit_the_same(small_fit, tmp_path):
    path = tmp_path / "fit.zarr"
    small_fit.save(path)
    there = subprocess.run([sys.executable, "-c", _PREDICT_ELSEWHERE, path], capture_output=True, text=True, check=True)
    fit = small_fit
    horizon = fit.panel.dates[-1] + 7 * np.arange(1, 9)
    panel = mj.Panel(
        dates=horizon,
        spend=fit.panel.spend[:, :8].copy(),
        controls=fit.panel.controls[:, :8].copy(),
        target=None,
        channels=fit.panel.channels,
        control_names=fit.panel.control_names,
        target_name="sales",
        frequency=fit.panel.frequency,
    )
    predicted = fit.predict(panel, key=7)
    here = hashlib.sha256(predicted["y"].to_numpy().tobytes() + predicted["mean"].to_numpy().tobytes()).hexdigest()
    assert there.stdout.strip() == here


def test_the_tree_carries_what_made_it(small_fit):
    attrs = small_fit.posterior.attrs
    assert attrs["spec_hash"] == small_fit.spec.content_hash()
    assert attrs["panel_fingerprint"] == small_fit.panel.fingerprint()
    assert {"mmm_jax_version", "jax_version", "precision"} <= attrs.keys()


def test_an_existing_fit_is_kept_unless_told(small_fit, tmp_path):
    path = tmp_path / "fit.zarr"
    small_fit.save(path)
    with pytest.raises(StoreError, match="exists already.*overwrite=True"):
        small_fit.save(path)
    small_fit.save(path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.zarr"]


def test_wrong_places_are_named(small_fit, tmp_path):
    with pytest.raises(StoreError, match=r"\.zarr or \.nc.*fit\.pkl"):
        small_fit.save(tmp_path / "fit.pkl")
    with pytest.raises(StoreError, match="nowhere does not exist"):
        small_fit.save(tmp_path / "nowhere" / "fit.nc")
    with pytest.raises(StoreError, match="no fit at"):
        mj.Fit.load(tmp_path / "fit.zarr")


def test_other_files_and_changed_data_are_refused(small_fit, tmp_path):
    other = tmp_path / "other.nc"
    xr.Dataset({"x": 1}).to_netcdf(other, engine="h5netcdf")
    with pytest.raises(StoreError, match="not a fit"):
        mj.Fit.load(other)
    text = tmp_path / "text.nc"
    text.write_text("no fit")
    with pytest.raises(StoreError, match="cannot be read"):
        mj.Fit.load(text)
    tree = small_fit.posterior
    data = tree["constant_data"].to_dataset()
    tree["constant_data"] = xr.DataTree(data.assign(spend=data["spend"] + 1.0))
    changed = tmp_path / "changed.nc"
    tree.to_netcdf(changed, engine="h5netcdf")
    with pytest.raises(StoreError, match="do not match their fingerprint"):
        mj.Fit.load(changed)
    tree.attrs["format_version"] = 99
    newer = tmp_path / "newer.nc"
    tree.to_netcdf(newer, engine="h5netcdf")
    with pytest.raises(StoreError, match="newer version"):
        mj.Fit.load(newer)


@pytest.mark.parametrize("name", ["fit.zarr", "fit.nc"])
def test_an_address_of_fsspec_holds_a_fit_as_a_path_does(small_fit, name):
    filesystem = pytest.importorskip("fsspec", reason="addresses need fsspec: pip install fsspec").filesystem("memory")
    address = f"memory://store/{name}"
    with pytest.raises(StoreError, match=f"no fit at {address}"):
        mj.Fit.load(address)
    small_fit.save(address)
    with pytest.raises(StoreError, match="exists already"):
        small_fit.save(address)
    small_fit.save(address, overwrite=True)
    loaded = mj.Fit.load(address)
    assert loaded.panel.fingerprint() == small_fit.panel.fingerprint()
    for parameter, values in small_fit.draws.items():
        np.testing.assert_array_equal(loaded.draws[parameter], values)
    filesystem.rm("/store", recursive=True)


def test_a_fit_that_was_copied_in_part_is_never_read(small_fit, monkeypatch):
    fsspec = pytest.importorskip("fsspec", reason="addresses need fsspec: pip install fsspec")
    system, copied = fsspec.filesystem("memory"), []
    whole = type(system).put_file

    def broken(self, *arguments, **options):
        if len(copied) == limit:
            raise OSError("the line is dead")
        copied.append(arguments)
        return whole(self, *arguments, **options)

    monkeypatch.setattr(type(system), "put_file", broken)
    limit = 10**6
    small_fit.save("memory://part/whole.zarr")
    limit, copied = len(copied) - 1, []
    with pytest.raises(StoreError, match="the line is dead"):
        small_fit.save("memory://part/fit.zarr")
    with pytest.raises(StoreError, match="not copied to its end"):
        mj.Fit.load("memory://part/fit.zarr")
    system.rm("/part", recursive=True)


def test_addresses_that_cannot_be_used_are_told_without_their_passwords(small_fit):
    pytest.importorskip("fsspec", reason="addresses need fsspec: pip install fsspec")
    for ask in (mj.Fit.load, small_fit.save):
        with pytest.raises(StoreError) as raised:
            ask("nonsense://keeper:s3cret@host/fit.zarr")
        assert "s3cret" not in str(raised.value)
        assert raised.value.__cause__ is None
    with pytest.raises(StoreError, match="zarr or .nc"):
        small_fit.save("memory://store/fit.txt")
