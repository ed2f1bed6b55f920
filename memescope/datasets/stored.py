"""Captions and paraphrases somebody else made, from files, held against the memes they are for.

Captions: a JSON object of id -> caption, or JSONL of `{"id", "caption"}`. Paraphrases: JSONL of `{"id", "paraphrases":
[...]}`, or what `memescope rationales generate --prompt paraphrase` wrote; checked as MM-ORIENT's authors check theirs
(five of each text, each inherits the meme's labels).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from memescope.datasets.transforms import Lookup
from memescope.errors import UsageError
from memescope.meme import Meme

_TRIED = 20
WANTED = 5
"""Paraphrases of each text: few_shot_prompting.py of MM-ORIENT accepts only answers of exactly five."""


class StoredCaptions(Lookup):
    """Captions by id. `problems` names what is wrong with the file; empty captions count as none.

    `prefix` is what the file's ids have before the memes' own: MR.HARM's captions of Harm-P are for `politics_memes_44`
    where the dataset says `memes_44`.

    Raises `UsageError` for a file that is missing or holds neither form.
    """

    name = "captions"

    def __init__(self, path: str | Path, prefix: str = "") -> None:
        super().__init__()
        self.path, self.prefix = Path(path), prefix
        self._captions: dict[str, str] = {}
        for where, name, caption in _pairs(self.path, ("caption", "captions")):
            if isinstance(caption, list) and len(caption) == 1:
                caption = caption[0]
            if not isinstance(caption, str):
                self.problems.add("bad-value", where, f"expected a caption, found {type(caption).__name__}", name)
            elif not caption.strip():
                self.problems.add("missing-field", where, "empty caption", name)
            elif self._captions.setdefault(name, caption.strip()) != caption.strip():
                self.problems.add("duplicate-id", where, "another caption came before; that one is kept", name)

    def __len__(self) -> int:
        return len(self._captions)

    def of(self, meme: Meme) -> str | None:
        """The meme's caption, or None."""
        return self._captions.get(self.prefix + meme.id)

    def check(self, memes: Sequence[Meme]) -> None:
        """Note in `problems` when the file fits none of the memes; and the prefix with which it would."""
        if not memes or any(self.of(meme) for meme in memes):
            return
        few = [meme.id for meme in memes[:_TRIED]]
        before = Counter(key.removesuffix(name) for name in few for key in self._captions if key.endswith(name))
        [(prefix, fits)] = before.most_common(1) or [("", 0)]
        hint = f"; with prefix={prefix} it would" if fits > len(few) / 2 else ": is it another dataset's?"
        self.problems.add("bad-value", str(self.path), f"has none of these {len(memes)} memes{hint}")

    def coverage(self, memes: Sequence[Meme]) -> dict[str, Any]:
        """How far the file is for these memes: rows with and without a caption by split, ids it has beyond them."""
        splits: dict[str, dict[str, int]] = {}
        for meme in memes:
            counts = splits.setdefault(meme.split or "all", {"with": 0, "without": 0})
            counts["with" if self.of(meme) else "without"] += 1
        beyond = len(self._captions.keys() - {self.prefix + meme.id for meme in memes})
        missing = [meme.id for meme in memes if not self.of(meme)]
        return {"captions": len(self), "splits": splits, "without": missing, "beyond": beyond}


class StoredParaphrases(Lookup):
    """Paraphrases by id; a row counts only when it has `wanted` of them, none empty, twice, or the text itself.

    `problems` names the rows that do not count. The text they are compared with is the meme's, so rows that repeat it
    are found by `of`, which then gives None.
    """

    name = "paraphrases"

    def __init__(self, path: str | Path, wanted: int = WANTED) -> None:
        super().__init__()
        self.path, self.wanted = Path(path), wanted
        self._texts: dict[str, list[str]] = {}
        for where, name, texts in _pairs(self.path, ("paraphrases", "rewrites")):
            reason = self._wrong(texts)
            if name in self._texts:
                self.problems.add("duplicate-id", where, "paraphrases came before; those are kept", name)
            elif reason:
                self.problems.add("bad-value", where, reason, name)
            else:
                self._texts[name] = [text.strip() for text in texts]

    def _wrong(self, texts: Any) -> str:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return "expected a list of texts"
        if len(texts) != self.wanted:
            return f"{len(texts)} paraphrases, expected {self.wanted}"
        if any(not text.strip() for text in texts):
            return "an empty paraphrase"
        if len({_folded(text) for text in texts}) < len(texts):
            return "the same paraphrase twice"
        return ""

    def __len__(self) -> int:
        return len(self._texts)

    def of(self, meme: Meme) -> list[str] | None:
        """The meme's paraphrases, or None."""
        texts = self._texts.get(meme.id)
        if texts and any(_folded(text) == _folded(meme.text) for text in texts):
            return None
        return texts

    def check(self, memes: Sequence[Meme]) -> None:
        """Note in `problems` the rows whose paraphrase is the meme's own text."""
        for meme in memes:
            if meme.id in self._texts and self.of(meme) is None:
                self.problems.add("bad-value", str(self.path), "a paraphrase that is the text itself", meme.id)

    def memes(self, memes: Sequence[Meme]) -> Iterator[Meme]:
        """New memes: each paraphrase as the text of a copy, with the same labels; `meta["paraphrase_of"]` is the id.

        Only for training: a copy of a test meme would count it twice.
        """
        for meme in memes:
            for number, text in enumerate(self.of(meme) or [], 1):
                meta = {**meme.meta, "paraphrase_of": meme.id}
                yield replace(meme, id=f"{meme.id}#p{number}", text=text, labels=dict(meme.labels), meta=meta)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _pairs(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """(place, id, value) of a JSON object or of JSONL with `id` and one of the fields."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    try:
        # Pairs, not a dictionary: a key that comes twice must be seen.
        whole = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError:
        whole = None
    if isinstance(whole, _Pairs) and "id" not in dict(whole):
        for name, value in whole:
            yield path.name, name, value
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
            name = row["id"]
            row |= row.get("parts") or {}  # as `memescope rationales generate` writes them
            value = next(row[field] for field in fields if field in row)
        except (json.JSONDecodeError, KeyError, TypeError, StopIteration):
            raise UsageError(
                f"{path.parent / where}: expected a JSON object of id -> value, or a line with id and {fields[0]}"
            ) from None
        yield where, str(name), value


class _Pairs(list[Any]):
    """The pairs of a JSON object."""
