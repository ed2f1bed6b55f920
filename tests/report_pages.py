"""Reports of invented memes, opened in a browser: the fixtures of `test_report_browser*.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import INFO, Opened, chromium, finish, open_report
from fake_verdicts import awkward_verdicts, fake_thumbnail, fake_verdicts

from memescope.report import write_report


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three reports: 120 memes, the awkward ones, and none at all."""
    folder = tmp_path_factory.mktemp("reports")
    pictures = [fake_thumbnail(str(i)) for i in range(6)]

    def write(name: str, verdicts: Any) -> None:
        write_report(folder / name, verdicts, thumbnails=lambda name: pictures[len(name) % 6], info=INFO)

    write("many.html", fake_verdicts(120))
    write("awkward.html", awkward_verdicts())
    write("none.html", [])
    write("one.html", fake_verdicts(1))
    return folder


@pytest.fixture
def many(browser: Any, folder: Path) -> Iterator[Opened]:
    opened = open_report(browser, folder / "many.html")
    yield opened
    finish(opened)


@pytest.fixture
def awkward(browser: Any, folder: Path) -> Iterator[Opened]:
    opened = open_report(browser, folder / "awkward.html")
    yield opened
    finish(opened)
