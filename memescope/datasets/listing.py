"""The public datasets as a table and as cards, in plain text and as the page `docs/data/sources.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memescope.datasets.catalogue import load_sources
from memescope.datasets.setcard import VERIFIED
from memescope.datasets.source import Source
from memescope.taxonomy import load_label_map

HEAD = """# Public datasets

Generated from the sources' cards by `memescope data list --markdown`; do not edit.

`verified` says how the reader of the native files was checked: `real-file` on the authors' own files, the others not,
and they say so when used: `loader-code` was written after public loader code, `paper` after the paper. Rows are those
the authors state. Pictures and annotations come from their authors, under their terms; memescope fetches nothing.
"""


def tasks_of(source: Source) -> list[str]:
    """The tasks its label map leads to."""
    return list(dict.fromkeys(task for task, _ in load_label_map(source.name).fields.values()))


def facts(source: Source) -> dict[str, Any]:
    """A card and what belongs to it, as JSON values."""
    card = source.card
    return {
        "name": source.name,
        "title": card.title,
        "languages": list(card.languages),
        "rows": dict(card.rows),
        "tasks": tasks_of(source),
        "paper": card.paper,
        "licence": card.licence,
        "get": card.get,
        "warning": card.warning,
        "flaws": list(card.flaws),
        "verified": card.verified,
        "memelens": list(card.memelens),
        "files": dict(source.files),
        "folders": [source.name, *source.folders],
        "variants": dict(source.variants),
    }


def table(sources: Sequence[Source]) -> list[dict[str, str]]:
    """One row a source: name, languages, rows, tasks, licence, verified."""
    return [
        {
            "name": source.name,
            "languages": " ".join(source.card.languages),
            "rows": str(sum(source.card.rows.values()) or "?"),
            "tasks": ", ".join(tasks_of(source)),
            "licence": source.card.licence,
            "verified": source.card.verified,
        }
        for source in sources
    ]


def markdown() -> str:
    """The page of all sources: the table, then each card."""
    sources = list(load_sources().values())
    rows = table(sources)
    lines = [HEAD, "| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        linked = row | {"name": f"[{row['name']}](#{row['name']})"}
        lines.append("| " + " | ".join(_cell(value) for value in linked.values()) + " |")
    for source in sources:
        checked = VERIFIED[source.card.verified].capitalize()
        lines += ["", f"## {source.name}", "", f"{source.card.title}. {checked}.", ""]
        lines += [f"- {name}: {value}" for name, value in _told(source)]
    return "\n".join(lines) + "\n"


def card(source: Source) -> str:
    """One card as plain text."""
    head = [f"{source.card.title} ({source.name})", f"{VERIFIED[source.card.verified]} ({source.card.verified})"]
    return "\n".join([*head, *(f"{name}: {value}" for name, value in _told(source))])


def _told(source: Source) -> list[tuple[str, str]]:
    card = source.card
    rows = ", ".join(f"{split} {number}" for split, number in card.rows.items()) or "not stated"
    told = [
        ("paper", card.paper),
        ("licence", card.licence),
        ("to be had from", card.get),
        ("content warning", card.warning),
        ("languages", ", ".join(card.languages)),
        ("rows", rows),
        ("tasks", ", ".join(tasks_of(source))),
        ("files", ", ".join(f"`{name}`" + (f" ({split})" if split else "") for name, split in source.files.items())),
        ("folder names", ", ".join(f"`{name}`" for name in (source.name, *source.folders))),
    ]
    told += [("variant", f"`{source.name}:{name}`: {what}") for name, what in source.variants.items() if name]
    told += [("known flaw", flaw) for flaw in card.flaws]
    if card.memelens:
        told.append(("MemeLens configurations", ", ".join(card.memelens)))
    return told


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
