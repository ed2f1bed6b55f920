"""The part of a results table that is about written rationales: every figure of every row that writes, and paired
differences on the memes that both wrote about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.evaluation.generated import TEXT_FIGURES, compare_texts, means
from memescope.evaluation.tables import cell, number
from memescope.training.table import Table
from memescope.training.table_measured import Measured

Floats = NDArray[np.float64]
_STATED = ("accuracy", "macro_f1", "agrees", "none")
_DIFFERENCES = ("bleu", "rouge_l", "similarity")
"""Figures whose difference to the reference row is shown."""


def written_of(table: Table, there: Sequence[Measured]) -> dict[str, Any]:
    """Row -> {"n", "seeds", "figures": {FIGURE: interval}, "less": {FIGURE: difference}, "stated", "note"} of the rows
    that write; `stated` are the figures of the labels that the reasons end in, means over seeds, where they end in any.

    Seeds that wrote about other memes than the row's first are left out, and so is the difference of a row that wrote
    about other memes than the reference: `note` says so.
    """
    wrote = {row.name: [one for one in there if one.row == row.name and _about(one)] for row in table.rows}
    alike = {name: [one for one in some if _about(one) == _about(some[0])] for name, some in wrote.items() if some}
    gathered = {name: _mean_over_seeds([one.content for one in some]) for name, some in alike.items()}
    against = gathered.get(table.against or "")
    found: dict[str, Any] = {}
    for name, (places, cluster, values) in gathered.items():
        notes, less = [], {}
        if odd := len(wrote[name]) - len(alike[name]):
            notes.append(f"{odd} of {len(wrote[name])} seeds wrote about other memes and are left out")
        if against is not None and name != table.against:
            if against[0] == places:
                less = {key: one.to_dict() for key, one in compare_texts(values, against[2], cluster).items()}
            else:
                notes.append(f"wrote about other memes than {table.against}: not compared")
        found[name] = {
            "n": len(places),
            "seeds": len(alike[name]),
            "figures": {key: vars(one) for key, one in means(values, cluster).items()},
            "less": less,
            "stated": _stated(alike[name]),
            "note": "; ".join(notes),
        }
    return found


def written_markdown(table: Table, there: Sequence[Measured]) -> list[str]:
    """The part as Markdown lines; none where no row wrote."""
    found = written_of(table, there)
    if not found:
        return []
    first = next(one.content["rationale"] for one in there if one.content.get("rationale"))
    heads = ["row", *TEXT_FIGURES, *(f"{name} less {table.against}" for name in _DIFFERENCES if table.against)]
    synonyms = "with" if first["synonyms"] else "without"
    said = (
        f"Against the teacher's; means over memes and seeds. Encoder: {first['encoder']}; METEOR {synonyms} synonyms."
    )
    lines = [f"## Written rationales (n = {first['n']})", "", said, ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, its in found.items():
        shown = [cell(its["figures"][key]) if key == "bleu" else _short(its["figures"][key]) for key in TEXT_FIGURES]
        less = [f"{cell(one)} {one['verdict']}" if (one := its["less"].get(key)) else "" for key in _DIFFERENCES]
        lines.append("| " + " | ".join([name, *shown, *(less if table.against else [])]) + " |")
    if notes := [f"- {name} (n = {its['n']}): {its['note']}" for name, its in found.items() if its["note"]]:
        lines += ["", *notes]
    if any(its["stated"] for its in found.values()):
        lines += [
            "",
            "The labels that these rationales end in (none counts as wrong); `agrees`: with the scored answer.",
            "",
        ]
        lines += ["| row | " + " | ".join(_STATED) + " |", "|---" * (1 + len(_STATED)) + "|"]
        for name, its in found.items():
            if its["stated"]:
                lines.append(f"| {name} | " + " | ".join(number(its["stated"][key]) for key in _STATED) + " |")
    return [*lines, ""]


def _stated(seeds: Sequence[Measured]) -> dict[str, float]:
    said = [its["stated"] for one in seeds if (its := one.content.get("rationale")) and "stated" in its]
    return {key: float(np.mean([one[key] for one in said])) for key in _STATED} if said else {}


def _short(figure: dict[str, float]) -> str:
    return f"{figure['value']:.0f}" if figure["value"] > 2 else number(figure["value"])


def _about(one: Measured) -> list[int]:
    """The places of the memes that one seed of a row wrote about; empty where it did not write."""
    places: list[int] = (one.content.get("rationale") or {}).get("rows", [])
    return places


def _mean_over_seeds(
    wrote: Sequence[Mapping[str, Any]],
) -> tuple[list[int], NDArray[np.int64], dict[str, Floats]]:
    """(places, clusters, figure -> mean over the seeds of each meme's value) of seeds that wrote about the same."""
    places = wrote[0]["rationale"]["rows"]
    cluster = np.unique([wrote[0]["predictions"]["cluster"][i] for i in places], return_inverse=True)[1]
    values: dict[str, Floats] = {
        name: np.array([one["rationale"]["values"][name] for one in wrote], np.float64).mean(axis=0)
        for name in TEXT_FIGURES
    }
    return places, cluster.astype(np.int64), values
