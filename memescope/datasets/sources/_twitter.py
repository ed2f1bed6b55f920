"""Twitter-2015 and Twitter-2017 (Yu and Jiang, IJCAI 2019): a tweet, one phrase of it, the feeling towards that phrase.

Two native forms of the same rows. `.tsv` (for BERT): a header whose names do not fit, then `index, label, picture, text
with $T$ for the phrase, phrase`, label 0 negative, 1 neutral, 2 positive. `.txt` (for LSTMs): four lines a row, text
with $T$, phrase, label -1, 0 or 1, picture. Quotation marks are letters in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from memescope.datasets.native import lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Row
from memescope.datasets.sources._fields import files_there

MASK = "$T$"
FILES = {
    "train.tsv | train.txt": "train",
    "dev.tsv | dev.txt | valid.txt": "val",
    "test.tsv | test.txt": "test",
}
_TSV = {"0": "negative", "1": "neutral", "2": "positive"}
_TXT = {"-1": "negative", "0": "neutral", "1": "positive"}


def read_twitter(folder: Path, problems: Problems, files: Mapping[str, str]) -> Iterator[Row]:
    """Rows with ids FILE_INDEX (train_1, dev_1); the phrase is put back into the text, "
    "`meta["text_masked"]` keeps the masked one."""
    for path, split in files_there(folder, files):
        yield from (_tsv if path.suffix == ".tsv" else _txt)(path, split, problems)


def _tsv(path: Path, split: str, problems: Problems) -> Iterator[Row]:
    for number, line in lines(path, problems):
        where, cells = f"{path.name}:{number}", line.split("\t")
        if not line.strip() or (number == 1 and cells[0] == "index"):
            continue
        if len(cells) != 5:
            problems.add("columns", where, f"expected 5 columns, found {len(cells)}")
            continue
        index, native, image, text, aspect = cells
        id = f"{path.stem}_{index.strip()}"
        yield _row(id, split, _TSV.get(native, native), image, text, aspect, where, problems)


def _txt(path: Path, split: str, problems: Problems) -> Iterator[Row]:
    """Blocks of four lines; after a broken block reading goes on at the next line that can begin one."""
    found = [(number, line.strip()) for number, line in lines(path, problems) if line.strip()]
    position = index = 0
    while position < len(found):
        number, text = found[position]
        block = [line for _, line in found[position : position + 4]]
        if len(block) < 4 or MASK not in text or block[2] not in _TXT:
            problems.add("broken-line", f"{path.name}:{number}", f"no row of four lines begins with {text[:60]!r}")
            position += 1
            continue
        index += 1
        where = f"{path.name}:{number}"
        id = f"{path.stem.replace('valid', 'dev')}_{index}"
        yield _row(id, split, _TXT[block[2]], block[3], text, block[1], where, problems)
        position += 4


def _row(id: str, split: str, label: str, image: str, text: str, aspect: str, where: str, problems: Problems) -> Row:
    text, aspect = text.strip(), aspect.strip()
    if MASK not in text:
        problems.add("missing-field", where, f"no {MASK} in the text", id, kept=True)
    return Row(
        id=id,
        image=image.strip() or None,
        text=text.replace(MASK, aspect),
        labels={"aspect_sentiment": label},
        lang="en",
        split=split,
        where=where,
        aspect=aspect or None,
        meta={"text_masked": text},
    )
