"""A prepared set in the forms that other tools read. A folder is written whole, pictures included.

| form | for | what is written |
|---|---|---|
| hub | Hugging Face `load_dataset` | Parquet by split with the pictures in it, a dataset card |
| csv | spreadsheets, pandas | one table, safe to open in a spreadsheet |
| ms-swift | ms-swift | `SPLIT.jsonl` of `messages` and `images` |
| sharegpt | ShareGPT readers | `SPLIT.json` of `conversations` and `images` |
| llama-factory | LLaMA-Factory | the same with its `dataset_info.json` |
| label-studio | Label Studio | `tasks.json` with the labels as predictions, `config.xml` |

The conversations ask one question a task (`memescope.datasets.conversations`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from memescope.datasets.arrow import BATCH, features, needs_pyarrow, schema
from memescope.datasets.columns import ESCAPED, escape
from memescope.datasets.conversations import turns
from memescope.datasets.prepared import read_split, splits_of
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.sniff import SUFFIXES, picture_format
from memescope.taxonomy import load_taxonomy

_FIXED = ("id", "image", "text", "lang", "split", "source", "aspect", "rationale")


@dataclass
class Export:
    """A set on its way out: its memes by split, the tasks that are exported, where to, and what became of it."""

    memes: dict[str, list[Meme]]
    tasks: list[str]
    out: Path
    name: str
    files: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    without_picture: int = 0
    _placed: dict[str, str] = field(default_factory=dict)

    def picture(self, meme: Meme) -> str | None:
        """The meme's picture in the folder, as a relative path; None where there is none to be had."""
        if isinstance(meme.image, bytes):
            ending = SUFFIXES.get(picture_format(meme.image) or "", (".bin",))[0]
            name = f"images/{hashlib.sha256(meme.image).hexdigest()[:32]}{ending}"
            if not (self.out / name).exists():
                (self.out / "images").mkdir(exist_ok=True)
                (self.out / name).write_bytes(meme.image)
            return name
        if not isinstance(meme.image, Path) or not meme.image.is_file():
            return None
        key = os.fspath(meme.image)
        if key not in self._placed:
            self._placed[key] = name = self._free(meme)
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(meme.image.resolve(), self.out / name)  # the same file under another name: no second copy
            except OSError:
                shutil.copyfile(meme.image, self.out / name)
        return self._placed[key]

    def _free(self, meme: Meme) -> str:
        place = re.sub(r"[^\w.-]+", "_", meme.source or "set")
        name = f"images/{place}/{Path(meme.image).name}"
        if (self.out / name).exists():
            name = f"images/{place}/{hashlib.sha256(os.fspath(meme.image).encode()).hexdigest()[:12]}-{Path(name).name}"
        return name

    def put(self, name: str, text: str) -> None:
        """Write one file of the export."""
        (self.out / name).write_text(text, "utf-8")
        self.files.append(name)


def export(
    prepared: str | Path, to: str, out: str | Path, *, tasks: Sequence[str] = (), splits: Sequence[str] = ()
) -> Export:
    """Write the prepared set in the form `to` (one of `FORMS`) into the new or empty folder `out`.

    `tasks` and `splits` choose some of what the set has. Raises `UsageError` for a form, task or split that does not
    exist, and for a folder that is not empty.
    """
    out = Path(out)
    if to not in FORMS:
        raise UsageError(f"no form {to!r}; there are: {', '.join(FORMS)}")
    there = splits_of(prepared)
    if not there:
        raise UsageError(f"{prepared}: not a prepared set; memescope data prepare writes one")
    if wrong := [split for split in splits if split not in there]:
        raise UsageError(f"{prepared}: no split {', '.join(wrong)}; there are: {', '.join(there)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder; name a new one")
    memes = {split: read_split(prepared, split) for split in there if not splits or split in splits}
    known = {task for some in memes.values() for meme in some for task in meme.labels}
    if wrong := [task for task in tasks if task not in known]:
        raise UsageError(f"{prepared}: not labelled for {', '.join(wrong)}; it is for {', '.join(sorted(known))}")
    chosen = [name for name in load_taxonomy().tasks if name in known and (not tasks or name in tasks)]
    out.mkdir(parents=True, exist_ok=True)
    done = Export(memes, chosen, out, re.sub(r"\W+", "_", Path(prepared).resolve().name))
    FORMS[to](done)
    return done


def _hub(done: Export) -> None:
    arrow = needs_pyarrow("data export")
    import pyarrow.parquet

    taxonomy = load_taxonomy()
    described = features({name: taxonomy[name].kind == "multilabel" for name in done.tasks}, embed=True)
    layout = schema(described)
    (done.out / "data").mkdir()
    for split, memes in done.memes.items():
        name = f"data/{split}-00000-of-00001.parquet"
        with pyarrow.parquet.ParquetWriter(done.out / name, layout) as writer:
            for start in range(0, len(memes), BATCH):
                rows = [_hub_row(done, meme) for meme in memes[start : start + BATCH]]
                writer.write_batch(arrow.RecordBatch.from_pylist(rows, schema=layout))
        done.files.append(name)
        done.rows[split] = len(memes)
    paths = [{"split": split, "path": f"data/{split}-*.parquet"} for split in done.memes]
    front = {"license": "other", "tags": ["memes"], "configs": [{"config_name": "default", "data_files": paths}]}
    # JSON is YAML, too.
    told = f"{sum(done.rows.values())} memes from the prepared set {done.name}; its card says under which licences."
    done.put("README.md", f"---\n{json.dumps(front, indent=1)}\n---\n\n# {done.name}\n\n{told}\n")


def _hub_row(done: Export, meme: Meme) -> dict[str, Any]:
    content: bytes | None = meme.image if isinstance(meme.image, bytes) else None
    if isinstance(meme.image, Path) and meme.image.is_file():
        content = meme.image.read_bytes()
    done.without_picture += content is None
    meta = {key: value for key, value in meme.meta.items() if key not in ("native_labels", "where")}
    name = meme.image.name if isinstance(meme.image, Path) else None
    row = {key: getattr(meme, key) for key in _FIXED if key != "image"} | {
        "image": None if content is None else {"bytes": content, "path": name},
        "image_sha256": None if content is None else hashlib.sha256(content).hexdigest(),
        "native_labels": json.dumps(meme.meta.get("native_labels", {}), ensure_ascii=False, sort_keys=True),
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
    }
    return row | ({"labels": {task: meme.labels.get(task) for task in done.tasks}} if done.tasks else {})


def _csv(done: Export) -> None:
    """A formula gets an apostrophe in front; the column `escaped` says in which cells, so that reading undoes it."""
    with (done.out / "memes.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*_FIXED, *done.tasks, ESCAPED])
        for split, memes in done.memes.items():
            done.rows[split] = len(memes)
            for meme in memes:
                writer.writerow(_cells(done, meme))
    done.files.append("memes.csv")


def _cells(done: Export, meme: Meme) -> list[str]:
    image = done.picture(meme)
    done.without_picture += image is None
    values = {key: getattr(meme, key) or "" for key in _FIXED} | {"image": image or ""}
    for task in done.tasks:
        label = meme.labels.get(task, "")
        values[task] = label if isinstance(label, str) else "|".join(label) or "[]"
    safe = {name: escape(value) for name, value in values.items()}
    return [*safe.values(), " ".join(name for name in values if safe[name] != values[name])]


def _asked(done: Export) -> Iterator[tuple[str, Meme, str, list[tuple[str, str]]]]:
    """(split, meme, picture, turns) of memes with a picture and a label."""
    for split, memes in done.memes.items():
        done.rows[split] = 0
        for meme in memes:
            image = done.picture(meme)
            done.without_picture += image is None
            if image is not None and (said := turns(meme, done.tasks, pictured=True)):
                done.rows[split] += len(said)
                yield split, meme, image, said


def _by_split(done: Export, records: Iterator[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Mapping[str, Any]]]:
    by_split: dict[str, list[Mapping[str, Any]]] = {split: [] for split in done.memes}
    for split, record in records:
        by_split[split].append(record)
    return by_split


def _ms_swift(done: Export) -> None:
    """Paths are absolute, as its documentation advises."""

    def records() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for split, _, image, said in _asked(done):
            for asked, answered in said:
                messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
                yield split, {"messages": messages, "images": [str((done.out / image).absolute())]}

    for split, rows in _by_split(done, records()).items():
        done.put(f"{split}.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _sharegpt(done: Export) -> None:
    def records() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for split, meme, image, said in _asked(done):
            for asked, answered in said:
                talk = [{"from": "human", "value": asked}, {"from": "gpt", "value": answered}]
                yield split, {"id": meme.id, "conversations": talk, "images": [image]}

    for split, rows in _by_split(done, records()).items():
        done.put(f"{split}.json", json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def _llama_factory(done: Export) -> None:
    """The folder is its `dataset_dir`; the datasets are called NAME_SPLIT."""
    _sharegpt(done)
    columns = {"messages": "conversations", "images": "images"}
    info = {
        f"{done.name}_{split}": {"file_name": f"{split}.json", "formatting": "sharegpt", "columns": columns}
        for split in done.memes
    }
    done.put("dataset_info.json", json.dumps(info, indent=1) + "\n")


def _label_studio(done: Export) -> None:
    """Pictures are served from the folder: `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` is the folder above it."""
    taxonomy = load_taxonomy()
    tasks = []
    for split, memes in done.memes.items():
        done.rows[split] = 0
        for meme in memes:
            image = done.picture(meme)
            if image is None:
                done.without_picture += 1
                continue
            done.rows[split] += 1
            result = [
                {"from_name": task, "to_name": "image", "type": "choices", "value": {"choices": _listed(meme, task)}}
                for task in done.tasks
                if task in meme.labels
            ]
            data = {"image": f"/data/local-files/?d={done.out.absolute().name}/{image}", "text": meme.text}
            data |= {"meme_id": meme.id, "split": split, "source": meme.source or ""}
            tasks.append({"data": data, "predictions": [{"model_version": "dataset", "result": result}]})
    done.put("tasks.json", json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    lines = ["<View>", '  <Image name="image" value="$image"/>', '  <Text name="text" value="$text"/>']
    for name in done.tasks:
        several = "multiple" if taxonomy[name].kind == "multilabel" else "single"
        lines.append(f"  <Header value={quoteattr(name.replace('_', ' '))}/>")
        lines.append(f'  <Choices name={quoteattr(name)} toName="image" choice="{several}">')
        lines += [f"    <Choice value={quoteattr(label)}/>" for label in taxonomy[name].labels]
        lines.append("  </Choices>")
    done.put("config.xml", "\n".join([*lines, "</View>"]) + "\n")


def _listed(meme: Meme, task: str) -> list[str]:
    label = meme.labels[task]
    return [label] if isinstance(label, str) else list(label)


FORMS: dict[str, Callable[[Export], None]] = {
    "hub": _hub,
    "csv": _csv,
    "ms-swift": _ms_swift,
    "llama-factory": _llama_factory,
    "sharegpt": _sharegpt,
    "label-studio": _label_studio,
}
"""Every form and what writes it."""
