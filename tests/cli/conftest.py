"""What all tests of the command line share."""

import pytest


@pytest.fixture(autouse=True)
def kept_programs(tmp_path_factory, monkeypatch):
    """Compiled programs go to a folder of the tests, not of the user."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "programs"))
