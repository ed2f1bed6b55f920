"""Reasoning chains in five parts (MulCoT-RD, arXiv 2508.05234): written, read back, and checked.

A chain is four parts of reasoning and a prediction, each under its quoted name, as its teacher wrote them:

    "Text_analysis": "..."

    "Image_analysis": "..."
    ...
    "Prediction": neutral

Without torch, and nothing here raises for what a model may write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

CHAIN_PARTS = ("Text_analysis", "Image_analysis", "Conflict_resolution", "Final_conclusion")
"""The reasoning, in its order."""
PREDICTION = "Prediction"
LEAD = f'"{PREDICTION}":'
"""What stands before the label, in a chain and where the label alone is asked for."""
_NAMES = "|".join((*CHAIN_PARTS, PREDICTION))
_HEAD = re.compile(
    rf"(?:^|(?<=[\s\"',{{.]))[\"'*]*({_NAMES})[\"'*]*[ \t]*:[\"'* \t]*|^[ \t]*#+[ \t*\"]*({_NAMES})[* \t\":]*$",
    re.MULTILINE,
)
"""A part's name with a colon, or as a heading: a few of the published chains have headings."""
_SENTENCE = re.compile(r"[.!?][\"'\u201d\u2019)]*\s+(?=[\"'\u201c\u2018(]*[A-Z])")
"""The end of a sentence that another one follows."""


def chain_text(parts: Mapping[str, str]) -> str:
    """The reasoning as one text: four parts, each under its name, without the prediction. What is stored."""
    return "\n".join(f"{name}: {parts[name]}" for name in CHAIN_PARTS)


def quoted(reasoning: str) -> str:
    """What a model learns to write before its label: the stored reasoning in the quoted form, up to `LEAD`.

    Of reasoning that has none of the four parts (a rationale from elsewhere) all is its conclusion.
    """
    parts = read_chain(reasoning)
    if not any(name in parts for name in CHAIN_PARTS):
        parts = {CHAIN_PARTS[-1]: " ".join(reasoning.split())}
    return "\n\n".join([*(f'"{name}": "{parts[name]}"' for name in CHAIN_PARTS if name in parts), LEAD])


def shortened(reasoning: str, sentences: int) -> str:
    """The stored reasoning with the first so many sentences of each part; of reasoning without parts, of the whole."""
    parts = read_chain(reasoning)
    kept = [f"{name}: {_beginning(parts[name], sentences)}" for name in CHAIN_PARTS if name in parts]
    return "\n".join(kept) or _beginning(reasoning, sentences)


def _beginning(text: str, sentences: int) -> str:
    ends = [match.end() for match in _SENTENCE.finditer(text)]
    return text[: ends[sentences - 1]].rstrip() if len(ends) >= sentences else text


def read_chain(text: str) -> dict[str, str]:
    """The parts that a text has, by name, in its order; of a name that comes again the first. {}: it has none."""
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    found: dict[str, str] = {}
    for head, end in zip(heads, ends[: len(heads)], strict=True):
        value = text[head.end() : end]
        value = " ".join(value.split()).strip("\"', {}\u201c\u201d").strip()
        if value:
            found.setdefault(head[1] or head[2], value)
    return found


def is_whole(parts: Mapping[str, str]) -> bool:
    """Whether all five parts are there."""
    return all(parts.get(name) for name in (*CHAIN_PARTS, PREDICTION))


def stated_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that a written chain states, as the released code reads it: the first label word after `Prediction`,
    else the last one anywhere; None where there is none. Labels of several words are looked for as a whole."""
    ordered = sorted(labels, key=len, reverse=True)
    word = re.compile("|".join(rf"(?<!\w){re.escape(label)}(?!\w)" for label in ordered), re.IGNORECASE)
    known = {label.lower(): label for label in labels}
    _, there, after = text.partition(PREDICTION)
    if there and (match := word.search(after)):
        return known[match[0].lower()]
    every = word.findall(text)
    return known[every[-1].lower()] if every else None


def is_right(text: str, label: str, labels: Sequence[str]) -> bool:
    """Whether a sampled chain may be learnt from: all five parts, and its prediction the gold label.

    The released code asks for the label alone, read by `stated_label`; a chain cut off before its prediction, whose
    last label word happens to be right, is not taken here.
    """
    parts = read_chain(text)
    return is_whole(parts) and stated_label(f"{PREDICTION}: {parts[PREDICTION]}", labels) == label
