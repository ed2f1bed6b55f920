"""What a small backbone is pretrained on: distinct texts or pictures of the training splits of many data sets.

Texts and pictures that stand in any other split of any of these sets are left out, whatever set they are read from.
"""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

from pydantic import Field

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.training.recipe import Data


class PretrainData(Data):
    """Which texts or pictures: folders under `root`, prepared sets or native files (`*`: any), each name once.

    The training splits are learnt from, but for the share `val`, on which the checkpoint is chosen.
    """

    train_splits: tuple[str, ...] = ("train",)
    val: float = Field(default=0.02, gt=0, lt=0.5)


def folders(data: PretrainData) -> list[Path]:
    """The data folders that the patterns name, each once. `UsageError` for a pattern that finds none.

    Of two of one name, a set as prepared and as published, the first: published files may call all of a set `test`, and
    nothing that the prepared set learns from would be left.
    """
    found: dict[str, Path] = {}
    for pattern in data.sets:
        some = sorted(path for path in data.root.glob(pattern) if path.is_dir())
        if not some:
            raise UsageError(
                f"{data.root / pattern}: no such folder; say where the data is with data.root=FOLDER,"
                " and with data.sets which folders of it"
            )
        for path in some:
            found.setdefault(path.name, path)
    return list(found.values())


def read_texts(data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    """Distinct training texts that no held-out split has, in (train, val); val by the hash of the text."""
    train, held = _memes(data)
    gone = {_words(meme.text) for meme in held}
    texts: dict[str, str] = {}
    for meme in train:
        words = _words(meme.text)
        if words and words not in gone:
            texts.setdefault(words, meme.text)
    return _split([Meme(text=text, id=_digest(text.encode())) for text in texts.values()], data)


def read_pictures(data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    """Distinct training pictures that no held-out split has, in (train, val)."""
    train, held = _memes(data)
    gone = {digest for meme in held if (digest := _picture(meme))}
    found: dict[str, Meme] = {}
    for meme in train:
        digest = _picture(meme)
        if digest and digest not in gone:
            found.setdefault(digest, Meme(image=meme.image, id=digest))
    return _split(list(found.values()), data)


def _memes(data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    from memescope.datasets.opening import open_memes, recognise
    from memescope.datasets.prepared import splits_of

    train: list[Meme] = []
    held: list[Meme] = []
    for folder in folders(data):
        if splits_of(folder) or recognise(folder) is not None:  # others are no data sets: FORMATS.md and the like
            for meme in open_memes(folder):
                (train if meme.split in data.train_splits else held).append(meme)
    return train, held


def _split(memes: list[Meme], data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    memes.sort(key=lambda meme: meme.id)  # by hash: chance that is the same on every machine
    if data.limit:
        memes = memes[: data.limit]
    count = max(1, round(len(memes) * data.val))
    return memes[count:], memes[:count]


def _words(text: str) -> str:
    """Letters and digits alone: punctuation and line ends differ between copies of one text. Else the text itself."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, text)) or "".join(text.split())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _picture(meme: Meme) -> str | None:
    if isinstance(meme.image, bytes):
        return _digest(meme.image)
    return _digest(Path(meme.image).read_bytes()) if meme.image is not None and Path(meme.image).is_file() else None
