"""MVSA's files and how a tweet's two labels, for text and picture, become one (Niu et al., MMM 2016).

`labelResultAll.txt`: a header, then `ID<TAB>text,image` (Single, one annotator) or three such cells (Multiple, one an
annotator), each label positive, neutral or negative. `data/ID.txt` and `data/ID.jpg` are the tweet; texts come in mixed
encodings.

The usual merge is that of MultiSentiNet (Xu and Mao, CIKM 2017), on which published numbers rest: equal labels stay; of
neutral and another the other stays; positive against negative leaves the tweet out. Multiple first takes, for text and
for picture, the label that at least two annotators gave; where there is none the tweet is left out. Without a stated
rule two papers on MVSA may not have measured the same tweets, so each other rule in use has a name (`RULES`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from memescope.datasets.native import lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Row

LABELS = ("negative", "neutral", "positive")
RULES = {
    "usual": "equal labels stay, of neutral and another the other, positive against negative is left out",
    "agree": "only tweets whose text and picture have the same label",
    "balance": "whichever of positive and negative was given more often, neutral where neither was",
    "text": "the text's label, the picture's not asked",
    "image": "the picture's label, the text's not asked",
}
"""Ways to merge; `balance` counts all labels of all annotators and leaves nothing out."""
TIE = "tie-neutral"
"""For three annotators only: as `usual`, but three different labels count as neutral and leave nothing out."""
_SIGN = {"negative": -1, "neutral": 0, "positive": 1}


def merge(text: str, image: str, rule: str = "usual") -> str | None:
    """The label of a tweet from its text's and its picture's, by a rule of `RULES`; None where it is left out."""
    if rule == "text":
        return text
    if rule == "image":
        return image
    if text == image:
        return text
    if rule == "agree":
        return None
    if rule == "balance":
        return balance((text, image))
    if "neutral" in (text, image):
        return image if text == "neutral" else text
    return None


def balance(labels: Sequence[str]) -> str:
    """The sign of the positive labels less the negative ones."""
    total = sum(_SIGN[label] for label in labels)
    return "neutral" if total == 0 else ("positive" if total > 0 else "negative")


def majority(labels: Sequence[str]) -> str | None:
    """The label that more than half of the annotators gave, None where there is none."""
    label, times = Counter(labels).most_common(1)[0]
    return label if times * 2 > len(labels) else None


def decide(pairs: Sequence[tuple[str, str]], rule: str) -> str | None:
    """The label of a tweet from each annotator's labels for (text, picture); None where the rule leaves it out."""
    texts, images = [text for text, _ in pairs], [image for _, image in pairs]
    if rule == "balance":
        return balance([*texts, *images])
    text, image = majority(texts), majority(images)
    if rule == TIE:
        return merge(text or "neutral", image or "neutral")
    # A rule that asks one of the two alone needs a majority there alone.
    if (text is None and rule != "image") or (image is None and rule != "text"):
        return None
    return merge(text or "", image or "", rule)


def read_mvsa(folder: Path, problems: Problems, annotators: int, rule: str) -> Iterator[Row]:
    """The rows of `labelResultAll.txt` with `annotators` pairs of labels each, merged by `rule`."""
    path = folder / "labelResultAll.txt"
    if not path.is_file():
        return
    for number, line in lines(path, problems):
        where, cells = f"{path.name}:{number}", [cell.strip() for cell in line.split("\t")]
        while cells and not cells[-1]:
            cells.pop()
        if not cells or (number == 1 and cells[0].upper() == "ID"):
            continue
        id = cells[0]
        if len(cells) != annotators + 1:
            expected = "one pair of labels" if annotators == 1 else f"{annotators} pairs of labels"
            problems.add("columns", where, f"expected an id and {expected}, found {len(cells) - 1} after it", id)
            continue
        pairs = [_pair(cell) for cell in cells[1:]]
        odd = [cell for cell, pair in zip(cells[1:], pairs, strict=True) if pair is None]
        if odd:
            told = f"expected text,image of {', '.join(LABELS)}; found {', '.join(map(repr, odd))}"
            problems.add("unknown-label", where, told, id)
            continue
        known = [pair for pair in pairs if pair is not None]
        label = decide(known, rule)
        if label is None:
            problems.add("left-out", where, f"{'; '.join(cells[1:])}: by rule {rule!r}", id)
            continue
        yield Row(
            id=id,
            image=f"{id}.jpg",
            text=_text(folder, id, where, problems),
            labels={"sentiment": label},
            lang="en",
            split="",
            where=where,
            meta={"text_labels": [text for text, _ in known], "image_labels": [image for _, image in known]},
        )


def _pair(cell: str) -> tuple[str, str] | None:
    parts = [part.strip().lower() for part in cell.split(",")]
    return (parts[0], parts[1]) if len(parts) == 2 and all(part in LABELS for part in parts) else None


def _text(folder: Path, id: str, where: str, problems: Problems) -> str:
    """The tweet's text. Files that are not UTF-8 are read as Windows-1252 and noted."""
    if Path(id).name != id:
        problems.add("outside-path", where, f"{id!r} is no name of a file", id, kept=True)
        return ""
    path = next((path for path in (folder / "data" / f"{id}.txt", folder / f"{id}.txt") if path.is_file()), None)
    if path is None:
        problems.add("missing-file", where, f"no text data/{id}.txt", id, kept=True)
        return ""
    return "\n".join(line for _, line in lines(path, problems)).strip()
