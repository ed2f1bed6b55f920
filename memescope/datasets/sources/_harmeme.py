"""HarMeme's rows (Harm-C, Harm-P): `{"id", "image", "labels": [intensity, target ...], "text"}`, a JSON object a line.

A meme that is not harmful has the one label "not harmful". The files break this rule here and there; what a row says is
kept, and what it leaves open stays unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Row
from memescope.datasets.sources._fields import files_of_variant, picture, strings, text
from memescope.datasets.sources._strict import keys

_HARMFUL = {"not harmful": "not_harmful", "somewhat harmful": "harmful", "very harmful": "harmful"}


def read_harmeme(folder: Path, problems: Problems, files: Mapping[str, str]) -> Iterator[Row]:
    """Rows with the native fields of the prepared set: harmful, harm_intensity, target, and targets for several."""
    for path, split in files_of_variant(folder, files, problems):
        for where, row in keys(json_lines(path, problems), ("id", "labels", "text"), problems):
            id = text(row.get("id"))
            found = strings(row.get("labels"))
            intensity, targets = (found[0] if found else ""), found[1:]
            yield Row(
                id=id,
                image=picture(row.get("image")),
                text=text(row.get("text")),
                labels=_labels(intensity, targets, where, id, problems),
                lang="en",
                split=split,
                where=where,
                meta={"targets": targets} if targets else {},
            )


def _labels(
    intensity: str, targets: list[str], where: str, id: str, problems: Problems
) -> dict[str, str | list[str] | None]:
    harmful = _HARMFUL.get(intensity, intensity) or None
    labels: dict[str, str | list[str] | None] = {
        "harmful": harmful,
        "harm_intensity": intensity.replace(" ", "_") or None,
        "target": None,
        "targets": None,
    }
    if harmful is None:
        problems.add("missing-field", where, f"no intensity, targets {targets}", id, kept=True)
    if harmful == "not_harmful":
        # Whom a meme is aimed at is asked of harmful memes only.
        if targets:
            problems.add("contradiction", where, f"not harmful, with targets {targets}", id, kept=True)
        return labels | {"target": "none", "targets": []}
    if not targets:
        if harmful is not None:
            problems.add("missing-field", where, f"{intensity!r} without a target", id, kept=True)
        return labels
    return labels | {"target": targets[0] if len(targets) == 1 else None, "targets": targets}
