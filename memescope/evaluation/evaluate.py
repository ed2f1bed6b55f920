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

from memescope.curation.identity import KEYS_RULE, Identity, Progress, near_keys
from memescope.datasets import read_split, split_hash, spread
from memescope.datasets.clean import CLEAN_FILE, Clean, read_clean
from memescope.errors import MemescopeError, ModelLost, UsageError
from memescope.evaluation.intervals import RESAMPLES, clusters
from memescope.evaluation.predictions import MODEL, Row, Said, rounded
from memescope.evaluation.results import Evaluation
from memescope.evaluation.score import score
from memescope.evaluation.training_rows import add_training, known
from memescope.evaluation.written import score_written, write_for
from memescope.meme import Meme, Reading
from memescope.models import Computes, Looks, Narrows
from memescope.taxonomy import Task, load_taxonomy

Text = Literal["given", "ocr"]
BATCH = 32


class Model(Protocol):
    """What `evaluate` needs of a model."""

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
    data = Path(data)
    memes = spread(read_split(data, split), limit or 0)
    measured_on = split_hash(memes)
    if only is not None:
        memes = [meme for meme in memes if meme.id in only]
    audited = _audited(data, clean)
    tasks = _measurable(memes, model, f"{data}: the {split} split")
    blind = text == "given" and isinstance(model, Looks) and not model.looks
    identities = known(memes, blind, progress)
    errors = {meme.id: its.error for meme, its in zip(memes, identities, strict=True) if its.error}
    usable = [(meme, its) for meme, its in zip(memes, identities, strict=True) if not its.error]
    if text == "ocr":
        usable = read_texts(usable, progress)
    answered, readings, failed = _answers(model, usable, tasks, batch, progress)
    errors |= failed
    if not answered:
        first = next((f"{name}: {error}" for name, error in errors.items()), "none")
        raise UsageError(f"{data}: none of the {len(memes)} memes could be answered; the first error: {first}")
    langs = {meme.id: meme.lang for meme in memes}  # the set's own: `read_texts` puts what it found in its place
    rows = _rows(answered, readings, tasks, langs, progress)
    trained, left_out = add_training(rows, answered, data, split, learnt, tasks, baselines, seed, progress, blind)
    measured = [meme for meme, _ in answered]
    if audited is not None:
        for row, meme in zip(rows, measured, strict=True):
            row.seen = audited.seen(meme)
    metrics = {
        "model": model.name,
        "model_version": model.version,
        "precision": model.computes_in if isinstance(model, Computes) else "float32",
        "data": data.resolve().name,
        "split": split,
        "split_hash": measured_on,
        "text": text,
        "seed": seed,
        "resamples": resamples,
        "taxonomy": load_taxonomy().version,
        "clean_rule": audited.rule if audited is not None else KEYS_RULE if trained else None,
        "rows": len(memes),
        "errors": errors,
        "unanswered_tasks": sorted(_labelled(memes) - {task.name for task in tasks}),
    }
    if left_out:
        metrics["left_out"] = left_out
    metrics |= score(rows, tasks, seed=seed, resamples=resamples, progress=progress)
    if references is not None:
        write_for(model, measured, rows, references, written, progress)
        metrics["rationale"] = score_written(rows, seed, resamples)
    return Evaluation(metrics, rows)


def _audited(data: Path, clean: str | Path | None) -> Clean | None:
    """What the audit found, from `clean` or from the set's own folder; None where there was none."""
    if clean is None and (data / CLEAN_FILE).is_file():
        clean = data / CLEAN_FILE
    return None if clean is None else read_clean(clean)


def _labelled(memes: Sequence[Meme]) -> set[str]:
    return {task for meme in memes for task in meme.labels}


def _measurable(memes: Sequence[Meme], model: Model, where: str) -> list[Task]:
    """The tasks that some meme is labelled for and the model answers; `UsageError` for none."""
    taxonomy, there = load_taxonomy(), _labelled(memes)
    tasks = [taxonomy[name] for name in taxonomy.tasks if name in there and name in model.tasks]
    if not tasks:
        raise UsageError(
            f"{where} is labelled for {', '.join(sorted(there)) or 'nothing'}; "
            f"{model.name} answers {', '.join(model.tasks)}: nothing to measure"
        )
    return tasks


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


def _answers(
    model: Model, pairs: Sequence[tuple[Meme, Identity]], tasks: Sequence[Task], batch: int, progress: Progress
) -> tuple[list[tuple[Meme, Identity]], list[Reading], dict[str, str]]:
    """The memes that were answered, their readings, and the errors of the others by id."""
    answered: list[tuple[Meme, Identity]] = []
    readings: list[Reading] = []
    errors: dict[str, str] = {}
    for start in range(0, len(pairs), batch):
        some = pairs[start : start + batch]
        with model.asked_for([task.name for task in tasks]) if isinstance(model, Narrows) else nullcontext():
            said = _answer(model, [meme for meme, _ in some])
        for pair, reading in zip(some, said, strict=True):
            if isinstance(reading, MemescopeError):
                errors[pair[0].id] = str(reading)
            else:
                readings.append(reading)
                answered.append(pair)
        progress(f"{model.name} answers", min(start + batch, len(pairs)), len(pairs))
    return answered, readings, errors


def _answer(model: Model, memes: Sequence[Meme]) -> list[Reading | MemescopeError]:
    """Readings; where a batch fails its memes are asked one by one, and one that fails again gives its error.

    Raises `ModelLost` where the model will answer none of the others either.
    """
    # Labels, rationale and meta stay here: a model sees what a scan would show it.
    shown = [Meme(meme.image, meme.text, meme.id, meme.lang, aspect=meme.aspect) for meme in memes]
    try:
        return list(model.answer(shown))
    except ModelLost:
        raise
    except MemescopeError as error:
        if len(memes) == 1:
            return [error]
        return [one for meme in memes for one in _answer(model, [meme])]


def _rows(
    answered: Sequence[tuple[Meme, Identity]],
    readings: Sequence[Reading],
    tasks: Sequence[Task],
    langs: Mapping[str, str],
    progress: Progress,
) -> list[Row]:
    near = near_keys([meme for meme, _ in answered], progress)
    numbers = clusters([identity.keys + other for (_, identity), other in zip(answered, near, strict=True)])
    rows = []
    for (meme, _), number, reading in zip(answered, numbers, readings, strict=True):
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
