"""A MemeLens recipe for tools of others: data and configuration of both stages, and one command that runs them through.

| form | what the folder holds |
|---|---|
| ms-swift | `STAGE-train.jsonl`, `STAGE-val.jsonl` (messages, images), `run.sh`: swift sft, merge, swift sft, merge |
| llama-factory | the same rows as ShareGPT with `dataset_info.json`, `STAGE.yaml`, `STAGE-merge.yaml`, `run.sh` |

Rows are those that our own training learns: the same mixture, wordings and replies, but whole. `max_text` and
`max_rationale` cut none of them: the tools cut a row at `MAX_LENGTH`, as the paper does. Keys are those of the tools'
public documentation (ms-swift 3.10 and later; LLaMA-Factory with Qwen3-VL). Pictures are named where they lie, not
copied.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from memescope.datasets.conversations import IMAGE
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.memelens.prompting import Manner, asked, can_ask, reply
from memescope.models.memelens.wording import NO, YES, draw, load_wording
from memescope.training.memelens import MemeLensRecipe
from memescope.training.memelens_data import read_mixture
from memescope.training.staged.recipe import Stage

FORMS = ("ms-swift", "llama-factory")
MAX_LENGTH = 4096
"""Tokens of a row, as in the paper's scripts."""
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
"""What both tools call a recipe's `schedule`."""
PIXELS = ("min_pixels", "max_pixels")
"""The settings of pictures that both tools have."""


def export_recipe(recipe: MemeLensRecipe, to: str, out: Path) -> dict[str, int]:
    """Write the folder; rows by file. Raises `UsageError`, before it writes, for a form that is not known, a folder
    with something in it, a model or a setting that those tools do not have, a stage without rows, and a picture that is
    no file."""
    if to not in FORMS:
        raise UsageError(f"no form {to!r} of a recipe; there are: {', '.join(FORMS)}")
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: exists and is not an empty folder; name a new one")
    part = recipe.model
    if part.vlm == "tinyvlm" or part.head:
        raise UsageError(f"{recipe.name}: a TinyVLM and heads are trained here alone; export a recipe with a hub id")
    _check(recipe)
    rows = _rows(recipe)
    files = _swift(recipe, rows) if to == "ms-swift" else _factory(recipe, rows)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_text(content, "utf-8", errors="backslashreplace")
    (out / SCRIPT).chmod(0o755)
    return {name: len(some) for name, some in rows.items()}


def _check(recipe: MemeLensRecipe) -> None:
    """`UsageError` for what the tools would do otherwise."""
    if other := sorted(set(recipe.model.picture or {}) - set(PIXELS)):
        raise UsageError(
            f"model.picture: the tools have {' and '.join(PIXELS)}, and no {', '.join(other)}: leave it out to export"
        )
    for stage in recipe.stages:
        if stage.select not in ("loss", "last"):
            raise UsageError(
                f"stage {stage.name!r}: the tools keep the checkpoint with the lowest loss or the last, and cannot "
                f"measure {stage.select}: export it with select=loss or select=last"
            )


Conversation = tuple[str, str, str, list[str]]
"""System message, user message, reply, pictures."""
Rows = Mapping[str, list[Conversation]]
"""`STAGE-SPLIT` -> what is learnt there."""


def _rows(recipe: MemeLensRecipe) -> Rows:
    """What each stage learns from and is chosen on."""
    part = recipe.model
    manner = Manner(
        part.setting, part.layout, part.order, part.text, part.image, wording=load_wording(part.instructions)
    )
    splits = dict(zip(("train", "val"), read_mixture(recipe.data), strict=True))
    found = {}
    for stage in recipe.stages:
        for split, memes in splits.items():
            rows = [row for meme in memes for row in conversations(meme, recipe, stage, manner)]
            if not rows:
                raise UsageError(f"stage {stage.name!r} ({stage.objective}): no {split} meme has what it learns from")
            found[f"{stage.name}-{split}"] = rows
    return found


def conversations(meme: Meme, recipe: MemeLensRecipe, stage: Stage, manner: Manner) -> Iterator[Conversation]:
    """What a stage learns of a meme, as our own training does it (`MemeLens.turns`)."""
    for task in recipe.data.tasks:
        if task not in meme.labels or not can_ask(meme, task):
            continue
        about = task in meme.meta.get("explains", ())
        reason = meme.rationale if about and stage.objective in ("both", "explain") else None
        if stage.objective == "both" and not reason:
            continue
        number = draw(0, meme.source, meme.id, task, meme.meta.get("copy", 0))
        variant = number % manner.wording.variants(task)
        questions = asked(meme, task, manner, variant, explain=reason is not None)
        if questions[0].part is not None and len(questions) > recipe.model.parts:
            questions = Random(number).sample(questions, recipe.model.parts)
        for one in questions:
            label = meme.labels[task] if one.part is None else (YES if one.part in meme.labels[task] else NO)
            pictures = [_place(meme)] if manner.image and meme.image is not None else []
            user = f"{IMAGE}{one.user}" if pictures else one.user
            yield manner.wording.system, user, reply(one.names[str(label)], reason, manner.order), pictures


def _place(meme: Meme) -> str:
    if not isinstance(meme.image, Path):
        raise UsageError(
            f"meme {meme.id!r}: its picture is no file; write the set with memescope data export --to ms-swift first"
        )
    if not meme.image.is_file():
        raise UsageError(f"meme {meme.id!r}: its picture {meme.image} is not there")
    return str(meme.image.absolute())


def _messages(row: Conversation) -> dict[str, Any]:
    system, user, said, pictures = row
    roles = (("system", system), ("user", user), ("assistant", said))
    return {"messages": [{"role": role, "content": content} for role, content in roles], "images": pictures}


def _sharegpt(row: Conversation) -> dict[str, Any]:
    system, user, said, pictures = row
    talk = [{"from": "human", "value": user}, {"from": "gpt", "value": said}]
    return {"conversations": talk, "system": system, "images": pictures}


SCRIPT = "run.sh"
_HEAD = """#!/usr/bin/env bash
# {name}: every stage from the merged weights of the one before. One command, in this folder, on a machine with GPUs:
#   GPUS=8 bash run.sh
set -euo pipefail
cd "$(dirname "$0")"
export NPROC_PER_NODE="${{GPUS:-4}}"
"""


def _script(recipe: MemeLensRecipe, commands: Sequence[str]) -> str:
    return _HEAD.format(name=recipe.name) + "\n".join(commands) + "\n"


def _swift(recipe: MemeLensRecipe, rows: Rows) -> dict[str, str]:
    """The content of each file."""
    part = recipe.model
    files = {
        f"{name}.jsonl": "".join(json.dumps(_messages(row), ensure_ascii=False) + "\n" for row in some)
        for name, some in rows.items()
    }
    lines = [f"export {name.upper()}={value}" for name, value in _pixels(recipe)]
    start = part.vlm
    for stage in recipe.stages:
        settings: list[tuple[str, Any]] = [
            ("model", start), ("dataset", f"{stage.name}-train.jsonl"), ("val_dataset", f"{stage.name}-val.jsonl"),
            ("train_type", "lora" if part.lora else "full"), ("torch_dtype", "bfloat16"), *_lora(recipe, "swift"),
            ("max_length", MAX_LENGTH), ("num_train_epochs", f"{stage.epochs:g}"),
            ("learning_rate", f"{stage.learning_rate:g}"), ("lr_scheduler_type", SCHEDULES[stage.schedule]),
            ("warmup_ratio", stage.warmup), ("weight_decay", stage.weight_decay),
            ("per_device_train_batch_size", stage.batch_size), ("per_device_eval_batch_size", stage.batch_size),
            ("gradient_accumulation_steps", stage.accumulate), ("eval_strategy", "epoch"), ("save_strategy", "epoch"),
            ("save_total_limit", 2), ("load_best_model_at_end", "true" if stage.select == "loss" else "false"),
            ("seed", recipe.train.seed), ("deepspeed", "zero2"), ("add_version", "false"),
            ("output_dir", f"{stage.name}-out"), ("create_checkpoint_symlink", "true"), *_steps(recipe),
        ]  # fmt: skip
        lines.append(_command("swift sft", settings))
        chosen = f"{stage.name}-out/{'best' if stage.select == 'loss' else 'last'}"
        if part.lora:
            merged = [("adapters", chosen), ("merge_lora", "true"), ("output_dir", f"{stage.name}-merged")]
            lines.append(_command("swift export", merged))
        start = f"{stage.name}-merged" if part.lora else chosen
    return files | {SCRIPT: _script(recipe, lines)}


def _lora(recipe: MemeLensRecipe, tool: str) -> list[tuple[str, Any]]:
    lora = recipe.model.lora
    if lora is None:
        return []
    full = {"r": 16, "alpha": 32, "dropout": 0.05} | lora
    found = [("lora_rank", full["r"]), ("lora_alpha", full["alpha"]), ("lora_dropout", full["dropout"])]
    targets = full.get("targets")
    if tool == "factory":
        return [*found, ("lora_target", ",".join(targets) if targets else "all")]
    if not targets:
        return [*found, ("target_modules", "all-linear")]
    # by names alone layers of the picture encoder would be taken, too
    return [*found, ("target_regex", rf".*(language_model|text_model)\.layers\..*\.({'|'.join(targets)})")]


def _pixels(recipe: MemeLensRecipe) -> list[tuple[str, int]]:
    return [(name, value) for name, value in (recipe.model.picture or {}).items() if value]


def _steps(recipe: MemeLensRecipe) -> list[tuple[str, Any]]:
    return [("max_steps", recipe.train.max_steps)] if recipe.train.max_steps else []


def _command(program: str, settings: Sequence[tuple[str, Any]]) -> str:
    return " \\\n  ".join([program, *(f"--{name} {shlex.quote(str(value))}" for name, value in settings)])


def _factory(recipe: MemeLensRecipe, rows: Rows) -> dict[str, str]:
    """The content of each file."""
    import yaml

    part = recipe.model
    start, lines = part.vlm, ["export FORCE_TORCHRUN=1"]
    template = {"qwen3-vl": "qwen3_vl_nothink", "qwen2.5-vl": "qwen2_vl"}
    found = next((name for key, name in template.items() if key in part.vlm.lower()), None)
    if found is None:
        raise UsageError(f"{part.vlm}: no template of LLaMA-Factory is known here for it; known: {', '.join(template)}")
    columns = {"messages": "conversations", "system": "system", "images": "images"}
    info = {name: {"file_name": f"{name}.json", "formatting": "sharegpt", "columns": columns} for name in rows}
    files = {
        f"{name}.json": json.dumps([_sharegpt(row) for row in some], ensure_ascii=False) for name, some in rows.items()
    }
    for stage in recipe.stages:
        config: dict[str, Any] = {
            "model_name_or_path": start, "stage": "sft", "do_train": True, "template": found,
            "finetuning_type": "lora" if part.lora else "full", **dict(_lora(recipe, "factory")),
            "dataset_dir": ".", "dataset": f"{stage.name}-train", "eval_dataset": f"{stage.name}-val",
            "cutoff_len": MAX_LENGTH, "num_train_epochs": stage.epochs, "learning_rate": stage.learning_rate,
            "lr_scheduler_type": SCHEDULES[stage.schedule], "warmup_ratio": stage.warmup,
            "weight_decay": stage.weight_decay, "per_device_train_batch_size": stage.batch_size,
            "per_device_eval_batch_size": stage.batch_size, "gradient_accumulation_steps": stage.accumulate,
            "bf16": True, "eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 2,
            "load_best_model_at_end": stage.select == "loss", "logging_steps": 50, "seed": recipe.train.seed,
            "report_to": "none", "output_dir": f"{stage.name}-out", **dict(_steps(recipe)),
            **{f"image_{name}": value for name, value in _pixels(recipe)},
        }  # fmt: skip
        files[f"{stage.name}.yaml"] = yaml.safe_dump(config, sort_keys=False)
        lines.append(f"llamafactory-cli train {stage.name}.yaml")
        merge = {"model_name_or_path": start, "adapter_name_or_path": f"{stage.name}-out", "template": found}
        merge |= {"finetuning_type": "lora", "export_dir": f"{stage.name}-merged"}
        if part.lora:
            files[f"{stage.name}-merge.yaml"] = yaml.safe_dump(merge, sort_keys=False)
            lines.append(f"llamafactory-cli export {stage.name}-merge.yaml")
        start = f"{stage.name}-merged" if part.lora else f"{stage.name}-out"
    files["dataset_info.json"] = json.dumps(info, indent=1) + "\n"
    return files | {SCRIPT: _script(recipe, lines)}
