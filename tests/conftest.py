"""Shared fixtures. Real datasets are looked for in $MEMESCOPE_DATA, then in ../shared/data beside the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: one thread for each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


def _data_folder() -> Path:
    return Path(os.environ.get("MEMESCOPE_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real datasets; tests that need it carry the marker `real`."""
    folder = _data_folder()
    if not (folder / "ready").is_dir():
        pytest.skip(f"real datasets not found in {folder} (set MEMESCOPE_DATA)")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[None]:
    """No test, nor what several of them share, reads or leaves anything in the user's cache. The compiled scan is kept
    in pytest's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMESCOPE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        if pytestconfig.cache is not None:
            patch.setenv("MEMESCOPE_SSM_BUILD", str(pytestconfig.cache.mkdir("ssm")))
        yield
