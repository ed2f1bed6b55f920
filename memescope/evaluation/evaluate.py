"""`evaluate`: one model on one split of a prepared set, beside baselines fitted in the same run.

A meme whose picture cannot be read is an error: it is named, and left out of every figure, as no system can read it.
Where a model reads text alone and is given the set's own, a picture that was never obtained does not matter: the meme
is measured, and a baseline that needs pictures is left out, with the reason.
Memes go through the model in batches, so memory does not grow with the pictures.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

from memescope.curation.identity import KEYS_RULE, Identity, Key, Progress, identify, near_keys, seen
from memescope.datasets import has_split, read_split, split_hash, spread
from memescope.datasets.clean import CLEAN_FILE, read_clean
from memescope.errors import MemescopeError, UsageError
from memescope.evaluation.baselines import BASELINES, answer_baselines
from memescope.evaluation.intervals import RESAMPLES, clusters
from memescope.evaluation.predictions import MODEL, Row, Said, rounded, rows_of
from memescope.evaluation.results import Evaluation
from memescope.evaluation.score import score
from memescope.evaluation.written import score_written, write_for
from memescope.meme import Meme, Reading
from memescope.models import Looks, Narrows
from memescope.taxonomy import Task, load_taxonomy

Text = Literal["given", "ocr"]
BATCH = 32


class Model(Protocol):
    """What `evaluate` needs of a model. `card` may state its `precision`; float32 is the default."""

    name: str
    version: str
    tasks: tuple[str, ...]
    card: Mapping[str, Any]

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """One Reading for each meme."""
        ...


def evaluate(
    model: Model,
    data: str | Path,
    *,
    split: str = "test",
    text: Text = "given",
    seed: int = 0,
    limit: int | None = None,
    baselines: bool = True,
    resamples: int = RESAMPLES,
    clean: str | Path | None = None,
    only: Collection[str] | None = None,
    learnt: Sequence[str] = ("train",),
    references: Mapping[str, str] | None = None,
    written: int = 0,
    batch: int = BATCH,
    progress: Progress = lambda stage, done, total: None,
) -> Evaluation:
    """Measure `model` on a split of the prepared set in the folder `data`.

    `text="ocr"` gives every system the text our OCR reads from the picture instead of the set's own. `limit` takes that
    many rows, spread evenly over the split. `learnt` are the splits that the model was trained on: baselines are fitted
    on them, and clean rows share nothing with them. Where they are not there, or one of them is itself measured, there
    are neither. `seed` fixes folds, resamples and simulations.

    Clean rows are those that share no key with a training row (`curation.identity.seen`), or where `clean` names what
    `memescope data audit --out` wrote, or a `clean.json` lies in `data`, those that the audit finds no leak of.

    With `references` (rationales by meme id) a model that writes is measured on what it writes, too, for `written` of
    the rows that have one (0: all): see `evaluation.written`.

    `only` takes the memes with these ids; `split_hash` still names the whole split. `batch` memes are given to the
    model at once: that matters to a model whose answers depend on each other (`mmorient`, transductive).

    Raises `UsageError` for a set without the split, for one that shares no task with the model, and when no row can be
    read.
    """
    memes = spread(read_split(data, split), limit or 0)
    measured_on = split_hash(memes)
    if only is not None:
        memes = [meme for meme in memes if meme.id in only]
    there = {task for meme in memes for task in meme.labels}
    taxonomy = load_taxonomy()
    tasks = [taxonomy[name] for name in taxonomy.tasks if name in there and name in model.tasks]
    if not tasks:
        raise UsageError(
            f"{data}: the {split} split is labelled for {', '.join(sorted(there)) or 'nothing'}; "
            f"{model.name} answers {', '.join(model.tasks)}: nothing to measure"
        )
    blind = text == "given" and isinstance(model, Looks) and not model.looks
    identities = _known(memes, blind, progress)
    errors = {meme.id: identity.error for meme, identity in zip(memes, identities, strict=True) if identity.error}
    usable = [(meme, identity) for meme, identity in zip(memes, identities, strict=True) if not identity.error]
    if text == "ocr":
        usable = read_texts(usable, progress)
    readings: list[Reading] = []
    answered: list[tuple[Meme, Identity]] = []
    for start in range(0, len(usable), batch):
        some = usable[start : start + batch]
        with model.asked_for([task.name for task in tasks]) if isinstance(model, Narrows) else nullcontext():
            said = _answer(model, [meme for meme, _ in some])
        for pair, reading in zip(some, said, strict=True):
            if isinstance(reading, MemescopeError):
                errors[pair[0].id] = str(reading)
            else:
                readings.append(reading)
                answered.append(pair)
        progress(f"{model.name} answers", min(start + batch, len(usable)), len(usable))
    if not answered:
        raise UsageError(f"{data}: none of the {len(memes)} memes could be answered; the first error: {_first(errors)}")
    measured, known = [meme for meme, _ in answered], [identity for _, identity in answered]
    langs = {meme.id: meme.lang for meme in memes}  # the set's own: `read_texts` puts what it found in its place
    rows = _rows(measured, known, readings, tasks, near_keys(measured, progress), langs)
    if clean is None and (Path(data) / CLEAN_FILE).is_file():
        clean = Path(data) / CLEAN_FILE
    audited = read_clean(clean) if clean is not None else None
    trained, left_out = _add_training(
        rows, answered, Path(data), split, learnt, tasks, baselines, seed, progress, blind
    )
    if audited is not None:
        for row, meme in zip(rows, measured, strict=True):
            row.seen = audited.seen(meme)
    metrics = {
        "model": model.name,
        "model_version": model.version,
        "precision": model.card.get("precision", "float32"),
        "data": Path(data).resolve().name,
        "split": split,
        "split_hash": measured_on,
        "text": text,
        "seed": seed,
        "resamples": resamples,
        "taxonomy": taxonomy.version,
        "clean_rule": audited.rule if audited is not None else KEYS_RULE if trained else None,
        "rows": len(memes),
        "errors": errors,
        "unanswered_tasks": sorted(there - {task.name for task in tasks}),
    }
    if left_out:
        metrics["left_out"] = left_out
    metrics |= score(rows, tasks, seed=seed, resamples=resamples, progress=progress)
    if references is not None:
        write_for(model, measured, rows, references, written, progress)
        metrics["rationale"] = score_written(rows, seed, resamples)
    return Evaluation(metrics, rows)


def read_texts(pairs: Sequence[tuple[Meme, Identity]], progress: Progress) -> list[tuple[Meme, Identity]]:
    """The memes with the text our OCR reads and the language found in it; readings are kept by picture and engine."""
    from memescope.perception.language import detect
    from memescope.perception.ocr import kept_texts

    result: list[tuple[Meme, Identity]] = []
    texts = kept_texts((meme.image, identity.picture) for meme, identity in pairs)
    for (meme, identity), text in zip(pairs, texts, strict=True):
        result.append((replace(meme, text=text, lang=detect(text)), identity))
        progress("read text", len(result), len(pairs))
    return result


def _answer(model: Model, memes: Sequence[Meme]) -> list[Reading | MemescopeError]:
    """Readings; where a batch fails its memes are asked one by one, and one that fails again gives its error."""
    # Labels, rationale and meta stay here: a model sees what a scan would show it.
    shown = [Meme(meme.image, meme.text, meme.id, meme.lang, aspect=meme.aspect) for meme in memes]
    try:
        return list(model.answer(shown))
    except MemescopeError as error:
        if len(memes) == 1:
            return [error]
        return [one for meme in memes for one in _answer(model, [meme])]


def _rows(
    memes: Sequence[Meme],
    identities: Sequence[Identity],
    readings: Sequence[Reading],
    tasks: Sequence[Task],
    near: Sequence[tuple[Key, ...]],
    langs: Mapping[str, str],
) -> list[Row]:
    numbers = clusters([identity.keys + other for identity, other in zip(identities, near, strict=True)])
    rows = []
    for meme, number, reading in zip(memes, numbers, readings, strict=True):
        mine = [task.name for task in tasks if task.name in meme.labels]
        missing = [name for name in mine if name not in reading.answers]
        if missing:
            raise MemescopeError(f"the model lists {', '.join(missing)} among its tasks but gave {meme.id!r} no answer")
        answers = {name: reading.answers[name] for name in mine}
        model = {name: Said(a.label, rounded(a.probabilities), a.abstain) for name, a in answers.items()}
        truth = {name: meme.labels[name] for name in mine}
        source = meme.meta.get("dataset") or meme.source
        rows.append(Row(meme.id, int(number), (), truth, {MODEL: model}, source, langs[meme.id]))
    return rows


def _add_training(
    rows: list[Row],
    answered: Sequence[tuple[Meme, Identity]],
    data: Path,
    split: str,
    learnt: Sequence[str],
    tasks: Sequence[Task],
    baselines: bool,
    seed: int,
    progress: Progress,
    blind: bool,
) -> tuple[bool, dict[str, str]]:
    """Note in each row what it shares with the splits that were learnt from, and what baselines fitted on them say.

    False where one of them is not there, or is the one that is measured; and baselines left out, with the reason.
    """
    if split in learnt or not all(has_split(data, one) for one in learnt):
        return False, {}
    train = [meme for one in learnt for meme in read_split(data, one)]
    known = _known(train, blind, progress)
    for row, kinds in zip(rows, seen([identity for _, identity in answered], known), strict=True):
        row.seen = kinds
    if not baselines:
        return True, {}
    whole = [(meme, identity) for meme, identity in zip(train, known, strict=True) if not identity.error]
    used = [*whole, *answered]
    without = sum(not identity.picture for _, identity in used)
    left_out = {"probe": f"needs pictures, and {without} of {len(used)} memes have none"} if without else {}
    said = answer_baselines(
        tasks,
        [meme for meme, _ in whole],
        [meme for meme, _ in answered],
        [identity for _, identity in whole],
        [identity for _, identity in answered],
        names=[name for name in BASELINES if name not in left_out],
        seed=seed,
        progress=progress,
    )
    for name, by_task in said.items():
        for task, answers in by_task.items():
            for i in rows_of(rows, task, MODEL):
                rows[i].answers.setdefault(name, {})[task] = answers[i]
    return True, left_out


def _known(memes: Sequence[Meme], blind: bool, progress: Progress) -> list[Identity]:
    """Identities; with `blind` a picture that is not there at all is no error, one that is broken still is."""
    found = identify(memes, progress)
    if not blind:
        return found
    return [replace(its, error=None) if _absent(meme) else its for meme, its in zip(memes, found, strict=True)]


def _absent(meme: Meme) -> bool:
    return meme.image is None or (not isinstance(meme.image, bytes) and not Path(meme.image).is_file())


def _first(errors: Mapping[str, str | None]) -> str:
    return next((f"{name}: {error}" for name, error in errors.items()), "none")
