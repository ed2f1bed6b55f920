"""For the tests of sources: native files written byte for byte, and what was read from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.meme import Meme


def read(
    name: str, folder: Path, files: Mapping[str, str | bytes], variant: str | None = None
) -> tuple[list[Meme], Problems]:
    """The memes of a dataset whose native files have just been written, and the problems besides missing pictures."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    problems = Problems()
    memes = read_source(load_source(name), folder, problems, variant=variant)
    return memes, problems


def noted(problems: Problems) -> list[tuple[str, str, bool]]:
    """(kind, where, kept) of each problem; pictures, which no fixture has, are left out."""
    return [(found.kind, found.where, found.kept) for found in problems if found.kind != "missing-picture"]


def rows(memes: list[Meme]) -> list[tuple[str | None, str, str, dict]]:
    """(split, id, text, labels) of each meme."""
    return [(meme.split, meme.id, meme.text, meme.labels) for meme in memes]


def picture(meme: Meme, folder: Path) -> str:
    """The meme's picture relative to the dataset's folder."""
    return Path(meme.image).relative_to(folder.resolve()).as_posix()
