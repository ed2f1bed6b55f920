"""The report in a real browser: it counts, filters, sorts, reveals, moves by keyboard and explains one meme."""

from __future__ import annotations

from typing import Any

import pytest
from browser import FRAMES, Opened, ids, open_meme
from fake_verdicts import awkward_verdicts, fake_verdicts

from memescope.meme import Verdict

pytest_plugins = ["report_pages"]
pytestmark = pytest.mark.browser

VERDICTS = list(fake_verdicts(120))


def expected(*, test: Any, key: Any) -> list[str]:
    """Paths of the verdicts that pass `test`, in the order of `key` and then of the input."""
    return [v.path for v in sorted((v for v in VERDICTS if test(v)), key=key)][:8]


def harm(verdict: Verdict) -> float:
    """The probability of harmful, -1 where not asked."""
    return round(verdict.answers["harmful"].probabilities["harmful"], 4) if verdict.answers else -1


def severity(verdict: Verdict) -> float:
    """The highest probability among the safety tasks of the invented verdicts."""
    tasks = {"harmful": "harmful", "hateful": "hateful", "offensive": "offensive"}
    return max(
        (round(verdict.answers[t].probabilities[p], 4) for t, p in tasks.items() if t in verdict.answers), default=0
    )


# what one sees first


def test_summary_counts_what_the_verdicts_say(many: Opened) -> None:
    counts = {
        "": len(VERDICTS),
        "flag": sum(v.action == "flag" for v in VERDICTS),
        "review": sum(v.action == "review" for v in VERDICTS),
        "pass": sum(v.action == "pass" for v in VERDICTS),
        "error": sum(v.error is not None for v in VERDICTS),
        "duplicate": sum(v.duplicate_of is not None for v in VERDICTS),
    }
    shown = {show: many.page.inner_text(f'.tile[data-show="{show}"] .tile-n') for show in counts}
    assert shown == {show: str(n) for show, n in counts.items()}
    assert counts["flag"]
    assert counts["error"]
    assert many.page.inner_text("h1") == "Invented memes"
    assert "harmful" in many.page.inner_text("#tasks")


def test_leads_with_what_is_flagged_then_what_needs_a_person(many: Opened) -> None:
    groups = ["flag", "review", "pass"]
    assert ids(many) == expected(test=lambda v: True, key=lambda v: (groups.index(v.action), -severity(v)))
    assert many.page.inner_text("#rows > li.group >> nth=0").startswith("Flagged")


def test_errors_have_a_section_with_file_and_cause(many: Opened) -> None:
    many.page.click("#errors-panel summary")
    cells = many.page.eval_on_selector_all("#errors td", "all => all.map(e => e.textContent)")
    assert cells == [text for v in VERDICTS if v.error for text in (v.path, v.error)]


# filters


def test_filter_by_task_label_probability_and_certainty(many: Opened) -> None:
    page = many.page
    page.select_option("#task", "harmful")
    page.select_option("#sort", "high")
    assert ids(many) == expected(test=lambda v: v.answers, key=lambda v: -harm(v))
    page.fill("#low", "20")
    page.fill("#high", "60")
    page.press("#high", "Tab")
    inside = expected(test=lambda v: 0.2 <= harm(v) <= 0.6, key=lambda v: -harm(v))
    assert ids(many) == inside
    page.select_option("#certainty", "unsure")
    unsure = [v for v in VERDICTS if 0.2 <= harm(v) <= 0.6 and v.answers["harmful"].abstain]
    assert many.status() == f"{len(unsure)} of {len(VERDICTS)}"
    page.click("#reset")
    assert many.status() == "All 120"
    page.select_option("#task", "target")
    page.click("#facet .count:has-text('society')")
    society = [v for v in VERDICTS if v.answers and v.answers["target"].label == "society"]
    assert many.status() == f"{len(society)} of {len(VERDICTS)}"


def test_filter_by_a_label_of_a_multilabel_task(many: Opened) -> None:
    many.page.select_option("#task", "propaganda_techniques")
    many.page.click("#facet .count:has-text('smears')")
    found = [v for v in VERDICTS if v.answers and "smears" in v.answers["propaganda_techniques"].label]
    assert many.status() == f"{len(found)} of {len(VERDICTS)}"
    assert found


def test_filter_by_action_language_duplicates_and_search(many: Opened) -> None:
    page = many.page
    page.click('.tile[data-show="review"]')
    assert many.status() == f"{sum(v.action == 'review' for v in VERDICTS)} of 120"
    assert page.evaluate("document.activeElement.dataset.show") == "review"
    page.click('.tile[data-show="error"]')
    assert many.status() == f"{sum(v.error is not None for v in VERDICTS)} of 120"
    page.click("#reset")
    page.select_option("#language", "ar")
    assert many.status() == f"{sum(v.lang == 'ar' for v in VERDICTS)} of 120"
    page.select_option("#language", "und")
    assert many.status() == f"{sum(v.lang == 'und' for v in VERDICTS)} of 120"
    page.click("#reset")
    page.select_option("#duplicates", "first")
    assert many.status() == f"{sum(v.duplicate_of is None for v in VERDICTS)} of 120"
    page.click("#reset")
    page.fill("#search", "PRINTER grandma")
    assert many.status() == f"{sum('printer' in v.text for v in VERDICTS)} of 120"
    page.fill("#search", '"grandma printer"')
    assert many.status() == "No meme passes these filters."


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("input", lambda v: 0),
        ("high", lambda v: -severity(v)),
        ("low", severity),
        ("lang", lambda v: (v.lang == "und", v.lang)),
        ("path", lambda v: [int(p) if p.isdigit() else p for p in v.path.replace("-", " ").replace(".", " ").split()]),
    ],
)
def test_sort(many: Opened, sort: str, key: Any) -> None:
    many.page.select_option("#sort", sort)
    assert ids(many) == expected(test=lambda v: True, key=key)


# pictures


def filter_of(opened: Opened, row: int = 0) -> str:
    return opened.page.eval_on_selector_all(".row .picture img", f"all => getComputedStyle(all[{row}]).filter")


def test_pictures_are_hidden_until_asked_for(many: Opened) -> None:
    page = many.page
    assert "blur(" in filter_of(many)
    assert "grayscale(1)" in filter_of(many)
    page.keyboard.press("r")
    assert filter_of(many) == filter_of(many, 1) == "none"
    page.keyboard.press("r")
    page.locator(".row .picture").first.click()
    assert filter_of(many) == "none"
    assert "blur(" in filter_of(many, 1)
    page.click(".warning .reveal")
    page.click(".warning .reveal")
    assert "blur(" in filter_of(many)  # hiding all hides what was shown one by one


def test_a_picture_shows_while_the_keyboard_is_on_it(many: Opened) -> None:
    page = many.page
    page.keyboard.press("j")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "picture"
    assert filter_of(many) == "none"
    page.keyboard.press("Shift+Tab")
    assert "blur(" in filter_of(many)


# keyboard


def focused(opened: Opened) -> int:
    """Place in the list of the row that has the focus, -1 when none has."""
    return opened.page.evaluate(
        "Number(document.activeElement.closest('#rows > li')?.getAttribute('aria-posinset') ?? 0) - 1"
    )


def test_moves_by_keyboard(many: Opened) -> None:
    page = many.page
    for key, place in [("j", 0), ("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)]:
        page.keyboard.press(key)
        assert focused(many) == place, key
    for _ in range(40):
        page.keyboard.press("j")
    assert focused(many) == 40
    box = page.locator("#rows > li:focus-within").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 900
    paths = ids(many, 200)
    page.keyboard.press("Enter")
    assert page.evaluate("document.getElementById('detail').open")
    page.keyboard.press("j")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("k")
    assert page.inner_text("#detail .detail-nav .muted") == "42 of 120"
    page.keyboard.press("Escape")
    page.evaluate(FRAMES)
    assert not page.evaluate("document.getElementById('detail').open")
    assert focused(many) == 41
    assert len(paths) < 60


def test_search_and_help_keys(many: Opened) -> None:
    page = many.page
    page.keyboard.press("/")
    page.keyboard.type("jr?")
    assert page.input_value("#search") == "jr?"
    page.keyboard.press("Escape")
    assert page.input_value("#search") == ""
    page.keyboard.press("Escape")
    assert focused(many) == 0
    page.keyboard.press("?")
    assert "search" in page.inner_text("#help")
    page.uncheck("#single-keys")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.keyboard.press("?")
    assert "blur(" in filter_of(many)
    assert not page.evaluate("document.getElementById('help').open")


# one meme


def test_a_meme_has_answers_evidence_reasons_and_notes(awkward: Opened) -> None:
    detail = open_meme(awkward, "emoji.png")
    verdict = next(v for v in awkward_verdicts() if v.id == "emoji")
    assert detail.locator(".card").count() == len(verdict.answers)
    harmful = detail.locator(".card", has=detail.page.get_by_role("heading", name="harmful"))
    p = verdict.answers["harmful"].probabilities["harmful"]
    assert f"{p:.0%}" in harmful.inner_text()
    assert "Trained on: drawn cats" in harmful.inner_text()
    marked = detail.locator("mark").all_inner_texts()
    assert marked == [span.text for span in verdict.evidence["harmful"].spans]
    assert marked[0] == "😀"  # positions count characters, not UTF-16 units
    region = detail.locator(".region.against").evaluate(
        "e => [e.offsetTop / e.parentElement.offsetHeight, e.offsetWidth / e.parentElement.offsetWidth]"
    )
    assert region == pytest.approx([0.5, 1], abs=0.02)
    assert "Rests on words." in detail.inner_text()
    several = detail.locator(".card", has=detail.page.get_by_role("heading", name="propaganda techniques"))
    assert several.locator(".label").count() == len(verdict.answers["propaganda_techniques"].probabilities)


def test_not_sure_is_said(many: Opened) -> None:
    verdict = next(v for v in VERDICTS if v.answers and v.answers["harmful"].abstain)
    detail = open_meme(many, f'"{verdict.path}"')
    card = detail.locator(".card", has=many.page.get_by_role("heading", name="harmful"))
    assert "not sure" in card.inner_text()
    assert "probability under 60 %" in card.inner_text()


def test_evidence_that_does_not_fit_the_text_marks_nothing(awkward: Opened) -> None:
    detail = open_meme(awkward, "spans.png")
    assert detail.locator("mark").count() == 0
    assert "absent" in detail.locator(".weights").inner_text()


def test_duplicates_lead_to_each_other(many: Opened) -> None:
    first = next(v for v in VERDICTS if any(w.duplicate_of == v.id for w in VERDICTS))
    copies = [v for v in VERDICTS if v.duplicate_of == first.id]
    detail = open_meme(many, f'"{first.path}"')
    assert detail.locator(".twins .link").all_inner_texts() == [v.path for v in copies]
    detail.locator(".twins .link").first.click()
    assert many.page.inner_text("#detail-title .path") == copies[0].path
    assert "first of them" in detail.locator(".twins").inner_text()
    assert "This one is a copy: re-encoded." in detail.inner_text()


def test_the_same_picture_with_another_text_is_a_link(many: Opened) -> None:
    other = next(v for v in VERDICTS if v.same_picture_as)
    first = next(v for v in VERDICTS if v.id == other.same_picture_as)
    detail = open_meme(many, f'"{other.path}"')
    detail.get_by_role("heading", name="The same picture with another text").locator("..").locator(".link").click()
    assert many.page.inner_text("#detail-title .path") == first.path


def test_a_copy_of_something_elsewhere_says_so(awkward: Opened) -> None:
    assert "not-here, which is not in this report" in open_meme(awkward, "orphan.png").inner_text()


def test_right_to_left_text_and_languages(awkward: Opened) -> None:
    detail = open_meme(awkward, "صورة")
    style = detail.locator(".meme-text").first.evaluate("e => [getComputedStyle(e).direction, e.lang]")
    assert style == ["rtl", "ar"]
    awkward.page.keyboard.press("Escape")
    assert open_meme(awkward, "y.png").locator(".meme-text").first.get_attribute("lang") is None


def test_disguised_names_are_spelt_out(awkward: Opened) -> None:
    awkward.page.fill("#search", "invoice")
    assert ids(awkward) == ["invoice⟨U+202E⟩gpj.exe"]
