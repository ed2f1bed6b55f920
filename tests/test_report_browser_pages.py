"""The report in a real browser: it stays silent, runs nothing injected, fits any size, and passes axe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import FRAMES, INFO, Opened, finish, ids, open_meme, open_report, to_list
from fake_verdicts import INJECTIONS, fake_thumbnail, fake_verdicts

from memescope.meme import Verdict
from memescope.report import ScanInfo, write_report

pytest_plugins = ["report_pages"]
pytestmark = pytest.mark.browser


# hostile and unusual content


def test_nothing_injected_runs_and_nothing_is_asked_for(awkward: Opened) -> None:
    page = awkward.page
    page.keyboard.press("r")
    page.select_option("#sort", "input")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    for text in INJECTIONS:
        body = page.locator("#detail .meme-text").first
        assert body.evaluate("e => e.textContent") == text
        assert body.locator("*:not(mark)").count() == 0
        page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert page.title() == "Invented memes"
    assert page.evaluate("document.scripts.length - document.querySelectorAll('script[type]').length") == 1
    assert page.locator("iframe, object, embed, base, meta[http-equiv=refresh], link:not([rel=icon])").count() == 0


def test_the_browser_refuses_what_a_bug_would_let_through(browser: Any, folder: Path) -> None:
    """Were a text ever made into markup, script, style or request, the policy of the page stops it."""
    opened = open_report(browser, folder / "many.html")
    page = opened.page
    refused = page.evaluate(
        """async () => {
            const tried = {};
            const attempt = async (name, act) => {
                try { await act(); tried[name] = "done"; } catch (error) { tried[name] = error.name ?? "refused"; }
            };
            const script = document.createElement("script");
            await attempt("markup", () => { document.body.innerHTML += "<p>x</p>"; });
            await attempt("script", () => { script.text = "document.title = 'pwned'"; document.body.append(script); });
            await attempt("fetch", () => fetch("https://example.org/leak"));
            await attempt("image", () => new Promise((done, refused) => {
                const image = new Image();
                Object.assign(image, { onload: done, onerror: refused, src: "https://example.org/leak.png" });
            }));
            return tried;
        }"""
    )
    assert refused == {"markup": "TypeError", "script": "TypeError", "fetch": "TypeError", "image": "refused"}
    assert page.title() == "Invented memes"
    assert [url for url in opened.requests if "example.org" in url and not _blocked(opened, url)] == []
    page.context.close()


def _blocked(opened: Opened, url: str) -> bool:
    """Whether the policy stopped the request before it left."""
    return any("Content Security Policy" in text and url in text for text in opened.complaints)


@pytest.mark.parametrize(("name", "says"), [("none.html", "There were no memes to read."), ("one.html", "All 1")])
def test_none_and_one(browser: Any, folder: Path, name: str, says: str) -> None:
    opened = open_report(browser, folder / name)
    assert opened.status() == says
    for key in ("j", "k", "r", "Enter", "j", "Escape", "/"):
        opened.page.keyboard.press(key)
    opened.page.select_option("#sort", "unsure")
    finish(opened)


# size, paper, phone


def test_five_thousand_memes_keep_the_page_small(browser: Any, tmp_path: Path) -> None:
    last = ""

    def verdicts() -> Iterator[Verdict]:
        nonlocal last
        for verdict in fake_verdicts(5000):
            last = last if verdict.error else verdict.path
            yield verdict

    picture = fake_thumbnail("x")
    write_report(tmp_path / "large.html", verdicts(), thumbnails=lambda _: picture, info=INFO)
    opened = open_report(browser, tmp_path / "large.html")
    page = opened.page

    def nodes() -> int:
        return page.evaluate("document.querySelectorAll('body *:not(script)').length")

    assert opened.status() == "All 5,000"
    assert nodes() < 2500
    assert page.locator("#rows > li").count() < 40
    height = page.evaluate("document.documentElement.scrollHeight")
    for part in (0.25, 0.5, 0.75, 1):
        page.evaluate(f"window.scrollTo(0, {height * part})")
        page.evaluate(FRAMES)
        assert page.evaluate("document.elementFromPoint(600, 400).closest('#rows > li') !== null")
        assert page.locator("#rows > li").count() < 40
    page.fill("#search", "picture 4998")
    assert ids(opened) == [last]
    assert nodes() < 2500
    finish(opened)


def test_print_shows_every_row_of_the_filter(many: Opened) -> None:
    page = many.page
    page.fill("#search", "grandma")
    n = sum("grandma" in v.text for v in fake_verdicts(120))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#rows > li.row").count() == n
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.pdf()[:4] == b"%PDF"
    assert page.locator("#rows > li.row").count() <= n


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(browser: Any, folder: Path, width: int) -> None:
    opened = open_report(browser, folder / "awkward.html", width=width, height=844)
    page = opened.page
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(wide) == 0
    for name in ("one-word.png", "long.png", "hostile-1"):
        opened.page.evaluate("document.getElementById('search').value = ''")
        detail = open_meme(opened, name)
        assert detail.evaluate("e => e.scrollWidth - e.clientWidth") == 0, name
        page.keyboard.press("Escape")
    finish(opened)


def test_on_a_phone_filters_open_from_the_list_and_a_tap_shows_a_picture(browser: Any, folder: Path) -> None:
    opened = open_report(browser, folder / "many.html", width=390, height=844, has_touch=True, is_mobile=True)
    page = opened.page
    assert not page.is_visible("#search")
    page.tap("#to-filters")
    assert page.evaluate("document.activeElement.id") == "search"
    page.fill("#search", "grandma")
    to_list(opened)
    page.locator(".row .picture").first.tap()
    assert page.eval_on_selector(".row .picture img", "e => getComputedStyle(e).filter") == "none"
    page.locator(".row .path").first.tap()
    assert page.locator("#detail .card").count() == 9
    finish(opened)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(browser: Any, folder: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    opened = open_report(browser, folder / "awkward.html", width=width, height=844, color_scheme=scheme)
    page = opened.page

    def check(what: str) -> None:
        found = axe.run(page)
        assert found.violations_count == 0, f"{what}: {found.generate_report()}"

    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.select_option("#task", "harmful")
    check("page")
    page.keyboard.press("?")
    check("help")
    page.keyboard.press("Escape")
    page.click("#reset")
    for name in ("صورة", "known.png", "emoji.png"):
        open_meme(opened, name)
        check(name)
        page.keyboard.press("Escape")
    page.context.close()


def test_chained_copies_form_one_cluster(browser: Any, tmp_path: Path) -> None:
    # the end of the chain comes first: what it points to is not in a cluster yet
    verdicts = [
        Verdict("c", "c.png", duplicate_of="b"),
        Verdict("b", "b.png", duplicate_of="a"),
        Verdict("a", "a.png"),
        Verdict("d", "d.png"),
    ]
    write_report(tmp_path / "r.html", verdicts, thumbnails=lambda _: None, info=ScanInfo())
    opened = open_report(browser, tmp_path / "r.html")
    assert opened.page.inner_text('.tile[data-show="duplicate"] .tile-n') == "2"
    assert opened.page.locator(".tag", has_text="3× the same").count() == 3
    assert open_meme(opened, "c.png").locator(".twins .link").all_inner_texts() == ["a.png", "b.png"]
    finish(opened)
