"""The card beside a prepared set: `README.md` in the hub's form, with what a user of the set must know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memescope.datasets.source import Card

VERIFIED = {
    "real-file": "reader checked on the authors' files",
    "loader-code": "reader written after public loader code, not checked on the authors' files",
    "paper": "reader written after the paper, not checked on the authors' files",
}


def write_card(path: Path, record: Mapping[str, Any], cards: Mapping[str, Card]) -> None:
    """Write the card of the set that `record` (`prepared.json`) describes, made of these public datasets."""
    path.write_text("\n".join([*_front(record, cards), *_body(record, cards)]) + "\n", "utf-8")


def _front(record: Mapping[str, Any], cards: Mapping[str, Card]) -> list[str]:
    import yaml

    languages = sorted({language for card in cards.values() for language in card.languages})
    rows = sum(record["rows"].values())
    front = {
        "pretty_name": " + ".join(card.title for card in cards.values()) or ", ".join(record["sources"]),
        "language": languages or ["und"],
        "license": "other",
        "tags": ["memes", "memescope"],
        "task_categories": ["image-text-to-text"],
        "size_categories": [_size(rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}/data-*.arrow"} for split in record["rows"]],
            }
        ],
    }
    return ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(), "---", ""]


def _size(rows: int) -> str:
    edges = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for edge, name in edges if rows < edge), "1M<n<10M")


def _body(record: Mapping[str, Any], cards: Mapping[str, Card]) -> list[str]:
    splits = list(record["rows"])
    lines = ["# " + (" + ".join(card.title for card in cards.values()) or ", ".join(record["sources"])), ""]
    lines += [
        f"{sum(record['rows'].values())} memes, prepared by memescope {record['memescope']}.",
        f"Taxonomy {record['taxonomy']}.",
        f"Fingerprint `{record['fingerprint']}`: the same input bytes and options give the same.",
        "",
        "## Sources",
        "",
    ]
    for name, about in record["sources"].items():
        card = cards.get(name)
        lines += _source(name, about, card) if card else [f"### {name}", "", "The user's own data.", ""]
    lines += ["## Rows by split and label", "", "| task | label | " + " | ".join(splits) + " |"]
    lines += ["|---|---|" + "---|" * len(splits)]
    lines += ["| | all rows | " + " | ".join(str(record["rows"][split]) for split in splits) + " |"]
    met = {(task, label): None for split in splits for task, some in record["labels"][split].items() for label in some}
    for task, label in met:
        numbers = [str(record["labels"][split].get(task, {}).get(label, 0)) for split in splits]
        lines.append(f"| {task} | {label} | " + " | ".join(numbers) + " |")
    lines += ["", "## How it was made", ""]
    lines += [f"- {option}: {value}" for option, value in record["options"].items()]
    lines += [f"- pictures found and readable: {record['pictures_found']}"]
    problems = ", ".join(f"{number} {kind}" for kind, number in record["problems"].items()) or "none"
    lines += [f"- problems in the input, each named in `problems.jsonl`: {problems}", ""]
    lines += ["Read it with `memescope.datasets.read_split(folder, split)` or `datasets.load_from_disk(folder)`."]
    return lines


def _source(name: str, about: Mapping[str, Any], card: Card) -> list[str]:
    lines = [f"### {card.title} (`{name}`)", "", f"- paper: {card.paper}", f"- licence: {card.licence}"]
    lines += [f"- to be had from: {card.get}", f"- content warning: {card.warning}"]
    lines += [f"- {VERIFIED[card.verified]} (`{card.verified}`)"]
    if about["variant"]:
        lines.append(f"- variant read: {about['variant']}")
    stated = ", ".join(f"{split} {number}" for split, number in card.rows.items())
    here = ", ".join(f"{split} {number}" for split, number in about["rows"].items())
    lines += [f"- rows here: {here or 'none'}; as the authors state: {stated or 'unknown'}"]
    return [*lines, *(f"- known flaw: {flaw}" for flaw in card.flaws), ""]
