"""Headless Chromium for the tests that open a report: the system's own, driven by playwright; skipped where absent.

The fixtures that use it are in `report_pages.py`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from memescope.report import ScanInfo

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


INFO = ScanInfo(
    title="Invented memes",
    inputs=["memes/"],
    seconds=75,
    model="invented",
    policy=["harmful at 70 % or more is flagged"],
    trained_on={"harmful": "drawn cats", "humour": "drawn dogs"},
    abstains={"harmful": "probability under 60 %"},
    notes=["Probabilities are invented."],
    counts={"files found": 120},
    versions={"python": "3"},
    command="memescope scan memes/",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test with the reason where playwright or Chromium is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(NAMES)})")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A report in a page of its own, with everything it asked for, said or failed at."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def status(self) -> str:
        return self.page.inner_text("#status")


def open_report(browser: Any, path: Path, width: int = 1280, height: int = 900, **context: Any) -> Opened:
    """Open `path` and wait until it has drawn itself."""
    page = browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
    page.set_default_timeout(5000)
    opened = Opened(page)
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("websocket", lambda socket: opened.requests.append(socket.url))
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (opened.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return opened


def finish(opened: Opened) -> None:
    """Whatever a test did: only the file itself and data were asked for, nothing was logged, refused or failed."""
    outside = [url for url in opened.requests[1:] if not url.startswith("data:")]
    opened.page.context.close()
    assert opened.requests[0].startswith("file://")
    assert outside == []
    assert opened.complaints == []


FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def to_list(opened: Opened) -> None:
    """Scroll to where rows are drawn."""
    opened.page.evaluate("document.getElementById('browse').scrollIntoView()")
    opened.page.evaluate(FRAMES)


def ids(opened: Opened, limit: int = 8) -> list[str]:
    """File names of the first rows."""
    to_list(opened)
    return opened.page.eval_on_selector_all("#rows > li.row .path", "all => all.map(e => e.textContent)")[:limit]


def open_meme(opened: Opened, search: str) -> Any:
    opened.page.fill("#search", search)
    to_list(opened)
    opened.page.locator("#rows > li.row .open").first.click()
    return opened.page.locator("#detail")
