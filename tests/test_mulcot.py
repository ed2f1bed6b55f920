"""MulCoT-RD on tiny random models: losses against float64, masks, roles end to end, resume, teacher loop, refusals."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_vlm
import torch
from PIL import Image
from teacher_server import FaultyServer
from together import run_together

from memescope.errors import UsageError
from memescope.evaluation.predictions import Row, Said
from memescope.evaluation.written import score_stated
from memescope.meme import Meme
from memescope.models import load
from memescope.models.mulcot.chain import CHAIN_PARTS, LEAD, chain_text, quoted
from memescope.models.mulcot.model import MulCot, Taught, reasoning, said
from memescope.models.writing import Sampled
from memescope.objectives.generation import IGNORED
from memescope.objectives.joint import joint_loss
from memescope.training.mulcot import MulCotLearner, MulCotRecipe, assistants
from memescope.training.mulcot_chains import read_chained
from memescope.training.recipe import load_recipe
from memescope.training.run import train
from memescope.training.staged.stage import places_by_task

TASK = "aspect_sentiment"
LABELS = ("negative", "neutral", "positive")
TEXTS = ("cats win", "dogs lose", "rain", "a sunny day")


def chain(label: str, number: int = 0) -> str:
    return chain_text(
        dict(zip(CHAIN_PARTS, (f"words {number}", "a red square", "none", f"so it is {label}"), strict=True))
    )


def meme(number: int, reasons: bool = True) -> Meme:
    label = LABELS[number % 3]
    picture = Image.new("RGB", (40, 40 + number), (200 - 9 * number, 40 * (number % 3), 30))
    return Meme(
        picture, TEXTS[number % 4], f"m{number}", "en", {TASK: label}, "cats", chain(label) if reasons else None
    )


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of two language models of one family: three layers and two."""
    folder = tmp_path_factory.mktemp("languages")
    return tiny.llama(folder / "large", 3), tiny.llama(folder / "small", 2)


def made(language: str, **settings: Any) -> MulCot:
    options: dict[str, Any] = {"max_text": 24, "max_rationale": 200} | settings
    return MulCot.create("tinyvlm", [TASK], tiny={"language": language, "side": 1, "width": 12}, **options)


@pytest.fixture(scope="module")
def roles(languages: tuple[str, str]) -> tuple[MulCot, MulCot]:
    return made(languages[0]).double(), made(languages[1]).double()


def batch_of(model: MulCot, memes: list[Meme], pack: bool) -> dict[str, Any]:
    return model.batch(memes, [model.rows(one, "explain", pack) for one in memes])


def by_row(model: MulCot, memes: list[Meme]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(0 reasoning or 1 label, logits (t, w), labels (t,)) of every row by itself, in float64; places shifted so that a
    row of logits says what comes at the same row of labels."""
    for one in memes:
        for row, kind in zip(model.rows(one, "explain"), (0, 1) if one.rationale else (1,), strict=True):
            from memescope.models.vlm.reading import states

            part = model.batch([one], [[row]])
            with torch.no_grad():
                logits = model.vlm.model.get_output_embeddings()(states(model.vlm, part, part["sights"]))[0]
            yield kind, logits.numpy(), np.array([*row.labels[1:], IGNORED])


def soft(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


@pytest.mark.parametrize("pack", [False, True])
def test_reasoning_and_label_count_the_same(roles: tuple[MulCot, MulCot], pack: bool) -> None:
    """Sum of two means, each over its own tokens, from the logits of each row by itself."""
    _, student = roles
    memes = [meme(0), meme(1), meme(2, reasons=False)]
    losses: dict[int, list[float]] = {0: [], 1: []}
    for kind, logits, labels in by_row(student, memes):
        losses[kind] += [-math.log(soft(z)[y]) for z, y in zip(logits, labels, strict=True) if y != IGNORED]
    assert len(losses[0]) > 10 * len(losses[1]) / 3
    expected = np.mean(losses[0]) + np.mean(losses[1])
    student.eval()
    found = student(**batch_of(student, memes, pack)).loss.item()
    assert found == pytest.approx(expected, rel=1e-5)
    # several batches of one optimiser step are what one is, whichever of them has the chains
    batches = [batch_of(student, [one], pack) for one in memes]
    totals = torch.stack([places_by_task(batch["labels"], batch["task"]) for batch in batches]).sum(0)
    assert totals.tolist() == [len(losses[0]), len(losses[1])]
    apart = sum(student(**batch, totals=totals).loss.item() for batch in batches)
    assert apart == pytest.approx(expected, rel=1e-5)


def test_the_label_is_told_apart_behind_a_template_that_writes_a_space(tmp_path: Path) -> None:
    """SmolVLM's template has a space between `Assistant:` and the first word: the lead begins with it."""
    model = MulCot.create(tiny_vlm.smol(tmp_path / "smol", False), [TASK], max_text=24, max_rationale=200)
    assert model.vlm.gap == " "
    for pack in (False, True):
        batch = batch_of(model, [meme(0)], pack)
        learnt = batch["labels"] != IGNORED
        alone = batch["labels"][learnt & (batch["task"] == 1)].tolist()
        assert alone == [*model.vlm.words(f" {LEAD}"), *model.vlm.words(" negative"), model.vlm.end]
        assert int((learnt & (batch["task"] == 0)).sum()) > 2 * len(alone)


@pytest.mark.parametrize(("mask", "pack", "squared"), [("answers", True, True), ("everything", False, False)])
def test_the_distilled_loss_equals_float64(roles: tuple[MulCot, MulCot], mask: Any, pack: bool, squared: bool) -> None:
    assistant, student = roles
    memes = [meme(0), meme(1)]
    rows = list(zip(by_row(student, memes), by_row(assistant, memes), strict=True))
    total = 0.0
    for task in (0, 1):
        hard, kl = [], []
        for (kind, own, labels), (_, other, _) in rows:
            for z, t, y in zip(own, other, labels, strict=True):
                if kind == task and y != IGNORED:
                    hard.append(-math.log(soft(z)[y]))
                if kind == task and (mask == "everything" or y != IGNORED):
                    p, q = soft(t / 2.0), soft(z / 2.0)
                    kl.append(float((p * np.log(p / q)).sum()))
        total += 0.7 * np.mean(hard) + 0.3 * (4.0 if squared else 1.0) * np.mean(kl)
    taught = Taught(student, assistant, 0.3, 2.0, squared, mask)
    batch = batch_of(student, memes, pack)
    if mask == "everything":  # rows of one length, so that there is no padding to be listened to
        found = sum(
            taught(**student.batch([one], [[row]])).loss.item()
            for one in memes[:1]
            for row in student.rows(one, "explain")
        )
        rows, total = rows[:2], 0.0
        for (_, own, labels), (_, other, _) in rows:
            hard = [-math.log(soft(z)[y]) for z, y in zip(own, labels, strict=True) if y != IGNORED]
            kl = [
                float((soft(t / 2) * np.log(soft(t / 2) / soft(z / 2))).sum()) for z, t in zip(own, other, strict=True)
            ]
            total += 0.7 * np.mean(hard) + 0.3 * np.mean(kl)
    else:
        found = taught(**batch).loss.item()
    assert found == pytest.approx(total, rel=1e-5)


def test_the_released_mask_listens_to_prompt_and_padding(roles: tuple[MulCot, MulCot]) -> None:
    """As many places as the batch has, padding included, against those of the answers."""
    assistant, student = roles
    batch = batch_of(student, [meme(0), meme(1, reasons=False)], pack=False)
    answers = Taught(student, assistant, 1.0, 2.0, True, "answers")
    everything = Taught(student, assistant, 1.0, 2.0, True, "everything")
    words = {key: batch[key] for key in ("input_ids", "attention_mask")}
    heard = [
        said(student, words, batch["labels"], batch["task"], batch["sights"], mask)[0]
        for mask in ("answers", "everything")
    ]
    assert len(heard[0]) == int((batch["labels"] != IGNORED).sum())
    assert len(heard[1]) == batch["labels"].numel()
    assert answers(**batch).loss.item() != pytest.approx(everything(**batch).loss.item(), rel=1e-3)


def test_only_the_student_learns(roles: tuple[MulCot, MulCot]) -> None:
    from memescope.training.vlm import trained_part

    assistant, student = roles
    taught = Taught(student, assistant, 0.3, 2.0, True, "answers")
    part = trained_part(student, taught)
    before = {name: p.detach().clone() for name, p in assistant.named_parameters()}
    part(**batch_of(student, [meme(0)], True)).loss.backward()
    assert all(p.grad is None for p in assistant.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())
    assert sum(p.numel() for p in part.parameters()) == sum(p.numel() for p in student.parameters())
    assert all(torch.equal(p, before[name]) for name, p in assistant.named_parameters())
    student.zero_grad()


def test_a_teacher_of_another_vocabulary_is_refused(languages: tuple[str, str], tmp_path: Path) -> None:
    assistant, student = made(languages[0]), made(languages[1])
    student.vlm.tokenizer.add_tokens(["another"])
    with pytest.raises(UsageError, match=r"the assistant .* cannot teach the student .*'another'"):
        Taught(student, assistant, 0.3, 2.0, True, "answers")


def test_joint_loss_leaves_out_what_is_not_there() -> None:
    values = torch.tensor([1.0, 3.0])
    assert joint_loss(torch.tensor([1, 1]), lambda places: values[places].mean(), (1.0, 0.5)).item() == 1.0
    assert joint_loss(torch.tensor([], dtype=torch.int64), lambda places: values.mean()).item() == 0.0


# chains that are drawn


def test_draws_follow_the_probabilities_and_their_own_seed() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    many = Sampled(1.0, list(range(3000)))(logits.expand(3000, -1), range(3000))
    shares = torch.bincount(many, minlength=3) / 3000
    assert shares.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    cold = Sampled(0.01, list(range(50)))(logits.expand(50, -1), range(50))
    assert set(cold.tolist()) == {0}
    alone = Sampled(1.0, [11, 12, 13])(logits, [2])
    beside = Sampled(1.0, [11, 12, 13])(logits.expand(3, -1), [0, 1, 2])
    assert alone.item() == beside[2].item()


def test_a_memes_drawn_chain_does_not_depend_on_the_others(languages: tuple[str, str]) -> None:
    model = made(languages[1], max_rationale=6)
    memes = [meme(i) for i in range(3)]
    together = model.chains(memes, 0.7, seed=1)
    assert model.chains(memes[::-1], 0.7, seed=1)[::-1] == together
    assert model.chains(memes[:1], 0.7, seed=1) == together[:1]
    assert model.chains(memes, 0.7, seed=2) != together


def test_reasoning_is_the_stored_form() -> None:
    assert reasoning(f"{quoted(chain('neutral'))} neutral") == chain("neutral")
    assert reasoning("no parts at all. Prediction: neutral") == "no parts at all."


def test_the_task_of_a_chain(languages: tuple[str, str]) -> None:
    model = made(languages[1])
    model.config.tasks = [TASK, "sentiment"]
    assert model.about(meme(0)) == TASK
    assert model.about(Meme(text="x")) == "sentiment"


# from a recipe to a run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 9 posts to learn from (all with chains but the last), 9 to choose on, 6 to test."""
    root = tmp_path_factory.mktemp("ready")
    folder = root / "posts"
    (folder / "images").mkdir(parents=True)
    for split, count, first in (("val", 9, 0), ("train", 9, 20), ("test", 6, 40)):
        lines = []
        for i in range(first, first + count):
            Image.new("RGB", (60, 50), (i * 4, 200 - 3 * i, 9 * (i % 20))).save(folder / "images" / f"{i}.png")
            row = {"id": f"r{i}", "image": f"images/{i}.png", "text": f"{TEXTS[i % 4]}, meme number {i}", "lang": "en"}
            lines.append(row | {"labels": {TASK: LABELS[i % 3]}, "meta": {"aspect": "cats"}})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    rows = [
        {"id": f"r{i}", "rationale": chain(LABELS[i % 3], i), "task": TASK, "label": LABELS[i % 3]} for i in range(8)
    ]
    rows[0]["parts"] = {"Prediction": "positive"}  # r0 is negative: this chain ends in another label
    (root / "chains.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tests = [{"id": f"r{i}", "rationale": chain(LABELS[i % 3], i)} for i in range(40, 46)]
    (root / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tests))
    return root


def saying(said: list[str]) -> Any:
    """Progress that notes what is trained or written; pictures are looked at before that."""
    return lambda stage, done, total: said.append(stage) if "pictures" not in stage else None


def recipe_of(prepared: Path, languages: tuple[str, str], out: Path, **changes: Any) -> dict[str, Any]:
    stage = {"name": "learn", "objective": "explain", "epochs": 1, "learning_rate": 0.003, "batch_size": 3,
             "select": "macro_f1"}  # fmt: skip
    sizes = {"family": "mulcot", "max_text": 24, "max_rationale": 120}
    tinies = [{"language": language, "side": 1, "width": 12} for language in languages]
    return {
        "name": "tiny-mulcot", "out": str(out),
        "data": {"root": str(prepared), "sets": ["posts"], "train_splits": ["val"], "val_split": "train",
                 "val_rows": 6, "tasks": [TASK], "rationales": str(prepared / "chains.jsonl")},
        "also": ["sentiment"],
        "assistant": {"model": sizes | {"tiny": tinies[0]}, "stages": [stage]},
        "augment": {"rows": 4, "wrong": "keep"}, "distil": {},
        "model": sizes | {"tiny": tinies[1]}, "stages": [stage],
    } | changes  # fmt: skip


def test_one_command_trains_all_roles_and_the_run_answers(
    prepared: Path, languages: tuple[str, str], tmp_path: Path
) -> None:
    said: list[str] = []
    content = recipe_of(prepared, languages, tmp_path / "run")
    run = train(content, progress=saying(said))
    steps = list(dict.fromkeys(said))
    assert steps == ["assistant: learn", "augmentation", "student: learn"]
    roles = run.metrics["roles"]
    assert roles["chains"] == {
        "memes": 9, "with_chain": 8, "ending_in_another_label": 1, "origins": {"generated": 8},
    }  # fmt: skip
    assert roles["augmentation"]["written"] == 4
    assert run.metrics["rows"] == 9 + roles["augmentation"]["learnt_from"]
    assert run.metrics["val_rows"] == 6
    assert roles["assistant"]["parameters"] > roles["student"]["parameters"]
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "8 of 9 training memes have a teacher's chain; 1 chains end in another label" in card
    assert "squared (Hinton" in card

    model = load(tmp_path / "run")
    assert model.tasks == (TASK, "sentiment")
    memes = [Meme(Image.new("RGB", (60, 50), (9, 9, 9)), "cats win", "a", aspect="cats"), Meme(None, "rain", "b")]
    for reading in model.answer(memes):
        for task in model.tasks:
            assert sum(reading.answers[task].probabilities.values()) == pytest.approx(1, abs=1e-6)
    turned = model.answer(memes[::-1])[::-1]
    for a, b in zip(model.answer(memes), turned, strict=True):
        assert a.answers[TASK].probabilities == pytest.approx(b.answers[TASK].probabilities, abs=1e-4)

    # again: everything is there already, and the model is the same
    said.clear()
    again = train(content | {"out": str(tmp_path / "again")}, progress=saying(said))
    assert said == []
    assert again.metrics["val"] == run.metrics["val"]
    # another student: the assistant and its chains are not made again
    train(content | {"distil": {"weight": 0.7}, "out": str(tmp_path / "other")},
          progress=saying(said))  # fmt: skip
    assert list(dict.fromkeys(said)) == ["student: learn"]


def test_a_post_whose_picture_is_gone_is_left_out_and_told(
    prepared: Path, languages: tuple[str, str], tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "sets")
    (tmp_path / "sets" / "posts" / "images" / "3.png").unlink()
    alone = {"assistant": None, "augment": None, "distil": None}
    run = train(recipe_of(tmp_path / "sets", languages, tmp_path / "run", **alone))
    assert run.metrics["rows"] == 8
    assert [Path(file).name for file in run.metrics["unread"]] == ["3.png"]
    assert "1 training and 0 selection memes were left out" in (tmp_path / "run" / "MODEL_CARD.md").read_text()


def test_two_processes_train_the_roles_that_one_does(
    prepared: Path, languages: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = recipe_of(prepared, languages, tmp_path / "one")
    for part in (content, content["assistant"]):
        part["stages"] = [part["stages"][0] | {"batch_size": 4}]
    (tmp_path / "recipe.json").write_text(json.dumps(content), "utf-8")
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    one = train(tmp_path / "recipe.json")
    cache = {"MEMESCOPE_CACHE": str(tmp_path / "cache-two")}
    run_together(["train", str(tmp_path / "recipe.json"), f"out={tmp_path / 'two'}"], **cache)
    two = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert two["roles"]["augmentation"] == one.metrics["roles"]["augmentation"]
    ours, theirs = (found["roles"]["assistant"]["stages"][0]["chosen"] for found in (one.metrics, two))
    assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-2)  # the last batch of a pass is filled up


def test_controls_without_assistant_or_chains(prepared: Path, languages: tuple[str, str], tmp_path: Path) -> None:
    alone = {"assistant": None, "augment": None, "distil": None}
    stage = {"name": "judge", "objective": "label", "epochs": 1, "learning_rate": 0.003, "batch_size": 3}
    run = train(recipe_of(prepared, languages, tmp_path / "run", stages=[stage], **alone))
    assert run.metrics["rows"] == run.metrics["stages"][0]["rows"] == 9
    assert "no assistant" in (tmp_path / "run" / "MODEL_CARD.md").read_text()
    right = recipe_of(prepared, languages, tmp_path / "right", **alone)
    right["data"] = right["data"] | {"chains": "right"}
    assert train(right).metrics["roles"]["chains"]["with_chain"] == 7


def test_how_label_scores_are_summed_is_chosen_as_for_every_model(
    prepared: Path, languages: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memescope.training import vlm

    content = recipe_of(prepared, languages, tmp_path / "run", assistant=None, augment=None, distil=None)
    content["model"] = content["model"] | {"length": "choose"}
    losses = iter((2.0, 1.0))  # of the sum, of the mean
    monkeypatch.setattr(vlm, "log_loss", lambda *_: next(losses))
    train(content | {"train": {"max_steps": 1}})
    assert load(tmp_path / "run").config.length == "mean"


def test_posts_without_a_label_are_not_learnt(prepared: Path, languages: tuple[str, str], tmp_path: Path) -> None:
    content = recipe_of(prepared, languages, tmp_path)
    content["data"] = content["data"] | {"tasks": ["sentiment"], "rationales": None}
    assert read_chained(MulCotRecipe.model_validate(content), lambda *_: None) == ([], [], {})


def test_students_of_two_seeds_have_one_assistant(prepared: Path, languages: tuple[str, str], tmp_path: Path) -> None:
    content = recipe_of(prepared, languages, tmp_path / "run")
    content["assistant"] = content["assistant"] | {"seed": 7}
    train(content | {"train": {"seed": 1}})
    said: list[str] = []
    train(content | {"train": {"seed": 2}, "out": str(tmp_path / "other")},
          progress=saying(said))  # fmt: skip
    assert list(dict.fromkeys(said)) == ["student: learn"]


def test_softened_and_shortened(prepared: Path, languages: tuple[str, str], tmp_path: Path) -> None:
    content = recipe_of(prepared, languages, tmp_path / "run", assistant=None, augment=None, distil=None)
    plain, softened = (
        MulCotLearner(MulCotRecipe.model_validate(content | {"model": content["model"] | {"soften": soften}}))
        for soften in (1.0, 0.25)
    )
    before, after = (one.made.vlm.text_model.norm.weight for one in (plain, softened))
    assert torch.equal(after, before / 4)
    content["data"] = content["data"] | {"sentences": 1}
    long = {name: f"{name[0]} is so. And more." for name in CHAIN_PARTS}
    (tmp_path / "chains.jsonl").write_text(json.dumps({"id": "r0", "rationale": chain_text(long), "task": TASK}) + "\n")
    content["data"]["rationales"] = str(tmp_path / "chains.jsonl")
    memes, _, _ = read_chained(MulCotRecipe.model_validate(content), lambda *a: None)
    assert memes[0].rationale == chain_text({name: f"{name[0]} is so." for name in CHAIN_PARTS})


def test_paper_settings_on_tiny_qwen_models(prepared: Path, tmp_path: Path) -> None:
    """LoRA on two Qwen2.5-VL that see with different eyes: the assistant gets features of its own."""
    folders = [
        tiny_vlm.qwen(tmp_path / name, "qwen2_5_vl", num_hidden_layers=layers) for name, layers in (("a", 3), ("s", 2))
    ]
    content = recipe_of(prepared, ("", ""), tmp_path / "run", augment=None, train={"max_steps": 1})
    parts = [
        {"family": "mulcot", "vlm": folder, "lora": {"r": 2, "alpha": 4, "dropout": 0.0}, "max_text": 24,
         "max_rationale": 40} for folder in folders
    ]  # fmt: skip
    content |= {"assistant": content["assistant"] | {"model": parts[0]}, "model": parts[1]}
    run = train(content)
    assert math.isfinite(run.metrics["stages"][0]["chosen"]["loss"])
    reading = load(tmp_path / "run").answer([Meme(Image.new("RGB", (60, 50)), "cats", "x", aspect="cats")])[0]
    assert sum(reading.answers[TASK].probabilities.values()) == pytest.approx(1, abs=1e-6)


def test_wrong_recipes_are_named(prepared: Path, languages: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="augment and distil need an assistant"):
        load_recipe(recipe_of(prepared, languages, tmp_path, assistant=None))
    with pytest.raises(UsageError, match=r"needs model\.pack=false"):
        load_recipe(recipe_of(prepared, languages, tmp_path, distil={"mask": "everything"}))
    with pytest.raises(UsageError, match=r"soften is for a TinyVLM, .*model\.soften=1"):
        load_recipe(
            recipe_of(prepared, languages, tmp_path), ["model.soften=0.5", "model.vlm=some/vlm", "model.tiny=null"]
        )
    with pytest.raises(UsageError, match=r"tiny describes a TinyVLM, .*model\.tiny=null"):
        load_recipe(recipe_of(prepared, languages, tmp_path), ["model.vlm=some/vlm"])
    with pytest.raises(
        UsageError, match="task 'propaganda_techniques' is multilabel: this family learns tasks that are"
    ):
        load_recipe(recipe_of(prepared, languages, tmp_path), ["data.tasks=[propaganda_techniques]", "also=[]"])
    with pytest.raises(UsageError, match="also: 'harmful' has other labels than 'aspect_sentiment'"):
        load_recipe(recipe_of(prepared, languages, tmp_path), ["also=[harmful]"])
    for stages in ("stages", "assistant.stages"):
        with pytest.raises(UsageError, match="this family learns label, rationale, both, explain, and not pretrain"):
            load_recipe(recipe_of(prepared, languages, tmp_path), [f"{stages}.0.objective=pretrain"])
    other = ["assistant.model.tiny.side=2"]
    with pytest.raises(UsageError, match=r"student sees pictures by \{'tiny.side': 1\}, the assistant by .*: 2"):
        load_recipe(recipe_of(prepared, languages, tmp_path), other)
    load_recipe(recipe_of(prepared, languages, tmp_path), [*other, "distil.weight=0"])  # nothing is listened to
    ok = load_recipe(recipe_of(prepared, languages, tmp_path, distil={"mask": "everything"}), ["model.pack=false"])
    assert isinstance(ok, MulCotRecipe)


def test_roles_that_cannot_be_compared_are_told_before_the_first_is_trained(
    prepared: Path, languages: tuple[str, str], tmp_path: Path
) -> None:
    folders = [tmp_path / "assistant", tmp_path / "student"]
    for folder, side in zip(folders, (1, 2), strict=True):
        MulCot.create("tinyvlm", [TASK], tiny={"language": languages[1], "side": side, "width": 12}).vlm.save(folder)
    content = recipe_of(prepared, languages, tmp_path / "run")
    for part, folder in zip((content["assistant"], content), folders, strict=True):
        part["model"] = {"family": "mulcot", "vlm": str(folder), "max_text": 24, "max_rationale": 120}
    said: list[str] = []
    report = saying(said)
    with pytest.raises(
        UsageError, match=r"assistant .* has 1 tokens of a picture, the student .* 4: .*distil.weight=0"
    ):
        train(content, progress=report)
    assert said == []
    train(content | {"distil": {"weight": 0}, "augment": None}, progress=report)  # chains alone


def test_drawn_chains_are_kept_only_where_they_are_right(
    prepared: Path, languages: tuple[str, str], tmp_path: Path
) -> None:
    from memescope.training.mulcot_chains import add_sampled, read_chained

    class Assistant:
        """Right of even rows, wrong of those that divide by three, cut off else; counts what it is asked."""

        asked = 0

        class config:
            max_rationale = 100

        def about(self, meme):
            return TASK

        def chains(self, memes, temperature, seed):
            self.asked += len(memes)
            found = []
            for one in memes:
                number, label = int(one.id[1:]), one.labels[TASK]
                other = "positive" if label == "neutral" else "neutral"
                whole = f"{quoted(chain(label))} {other if number % 2 else label}"
                found.append(whole if number % 2 == 0 or number % 3 == 0 else whole[:40])
            return found

    settings = load_recipe(recipe_of(prepared, languages, tmp_path, augment={"rows": 0, "wrong": "drop"}))
    assert isinstance(settings, MulCotRecipe)
    memes, _, _ = read_chained(settings, lambda *_: None)
    assistant: Any = Assistant()
    rows, told = add_sampled(assistant, "key", memes, settings, lambda *_: None)
    assert [one.id for one in rows[9:]] == ["r0~1", "r2~1", "r4~1", "r6~1", "r8~1"]
    assert told["written"] == 9
    assert told["whole_and_right"] == told["learnt_from"] == 5
    assert told["right_by_label"] == {"negative": 2, "positive": 2, "neutral": 1}  # r0 and r6, r2 and r8, r4
    again, _ = add_sampled(assistant, "key", memes, settings, lambda *_: None)
    assert assistant.asked == 9  # what was written is kept
    assert [one.rationale for one in again] == [one.rationale for one in rows]
    keep = settings.model_copy(update={"augment": settings.augment.model_copy(update={"wrong": "keep"})})
    rows, told = add_sampled(assistant, "key", memes, keep, lambda *_: None)
    wrong = next(one for one in rows if one.id == "r3~1")
    assert wrong.labels[TASK] == "negative"
    assert wrong.meta["stated"] == "neutral"
    assert told["learnt_from"] == 6  # r1, r5 and r7 were cut off before any label


def test_the_teacher_writes_first_where_there_is_one(
    prepared: Path, languages: tuple[str, str], tmp_path: Path
) -> None:
    """It predicts `positive`; where that is wrong it is told the label. Faults of the server are got over."""
    from memescope.training.mulcot_chains import read_chained

    def reply(user: str, body: dict[str, Any]) -> str:
        label = next((one for one in LABELS if f"label is: {one}" in user), "positive")
        long = "The words speak of an animal that has come home and is fed by someone who likes it very much indeed."
        return json.dumps(dict.fromkeys(CHAIN_PARTS, long) | {"Prediction": label})

    with FaultyServer(share=0.3, faults=("busy", "slow"), reply=reply) as server:
        teacher = {"url": server.url, "model": "m", "pictures": False}
        settings = load_recipe(recipe_of(prepared, languages, tmp_path, teacher=teacher))
        assert isinstance(settings, MulCotRecipe)
        train_rows, _, told = read_chained(settings, lambda *_: None)
        asked = len(server.served())
        read_chained(settings, lambda *_: None)
        assert len(server.served()) == asked  # from the cache
    assert told["teacher"]["errors"] == {}
    assert told["teacher"]["origins"] == {"predicted": 3, "explained": 6}
    assert all(one.rationale for one in train_rows)
    assert len((tmp_path / "chains.jsonl").read_text().splitlines()) == 9


def test_what_a_chain_states_is_measured_beside_the_answer() -> None:
    def row(truth: str, answer: str, stated: str | None) -> Row:
        said = {"model": {TASK: Said(answer, dict.fromkeys(LABELS, 1 / 3))}}
        return Row("x", 0, (), {TASK: truth}, said, stated={TASK: stated})

    rows = [row("positive", "positive", "positive"), row("neutral", "positive", None),
            row("neutral", "neutral", "neutral"), row("negative", "negative", "neutral")]  # fmt: skip
    found = score_stated(rows)
    assert found is not None
    # F1: positive 1, neutral 2 of 2 + 2 (one right), negative 0
    assert found == {"task": TASK, "accuracy": 0.5, "macro_f1": 0.5, "agrees": 0.5, "none": 0.25}
    assert score_stated([Row("x", 0, (), {TASK: "neutral"})]) is None


def test_the_assistants_row_of_the_table_is_the_assistant_of_the_others() -> None:
    """Its stage has the key of the assistant's in the recipe: it is trained once."""
    from memescope.training.staged.run import stage_keys
    from memescope.training.table import load_table

    root = Path(__file__).parent.parent
    table = load_table(str(root / "recipes" / "tables" / "mulcot-twitter2015.yaml"))
    row = next(one for one in table.rows if one.name == "assistant")
    whole = load_recipe(root / "recipes" / "mulcot" / "twitter2015-offline.yaml")
    alone = load_recipe(root / str(row.recipe), list(row.settings))
    assert isinstance(whole, MulCotRecipe)
    assert isinstance(alone, MulCotRecipe)
    assert whole.assistant is not None
    first = assistants(whole, whole.assistant)
    assert stage_keys(first, "v", [], []) == stage_keys(alone, "v", [], [])


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "recipes" / "mulcot").glob("*.yaml")))
def test_recipes_of_the_package_are_right(path: Path) -> None:
    recipe = load_recipe(path)
    assert isinstance(recipe, MulCotRecipe)
    if path.stem.endswith("-paper"):
        assert recipe.distil is not None
        assert recipe.teacher is not None
        assert (recipe.distil.weight, recipe.distil.temperature) == (0.3, 2.0)
        assert [stage.batch_size * stage.accumulate for stage in recipe.stages] == [40]
