"""The VLM room on tiny random models: rows position by position, scoring by brute force, evidence, answers, saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import tiny_vlm

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from memescope.errors import UsageError  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.models.vlm import Ask, Instruction, Turn, VlmModel, export  # noqa: E402
from memescope.models.vlm.rows import packed, row  # noqa: E402
from memescope.taxonomy.tasks import load_taxonomy  # noqa: E402

MAKES = ("qwen3_vl", "qwen2_5_vl", "smolvlm", "tinyvlm")
NATIVE = {"not-harmful": "无害", "harmful": "有害的图片"}
SYSTEM = "You look at memes."
TASKS = ("harmful", "target", "propaganda_techniques")


class Family(VlmModel):
    """Picture and words first, the question last; `settings` turn that round."""

    family = "testing"

    def instructions(self, meme: Meme, tasks: Any) -> list[Instruction]:
        settings = self.config.settings or {}
        found = []
        for name in tasks:
            task = load_taxonomy()[name]
            words = {label: label.replace("-", " ") for label in task.labels}
            if settings.get("native") and name == "harmful":
                words = NATIVE
            if settings.get("nested") and name == "harmful":
                words = {"not-harmful": "harmful", "harmful": "harmful indeed"}
            asked, said = f"What is {name}?", f"Text: {self.short(meme.text)}"
            several = task.kind == "multilabel"
            found.append(
                Instruction(
                    name,
                    f"{asked}\n{said}" if settings.get("question_first") else f"{said}\n{asked}",
                    words,
                    system=f"You know {name}." if settings.get("own_system") else SYSTEM,
                    lead="Is it {label}? Label:" if several else "Label:",
                    multilabel=several,
                    image=settings.get("image", True),
                )
            )
        return found

    def turns(self, meme: Meme, objective: str) -> list[Turn]:
        rest = f"\nExplanation: {meme.rationale}" if objective == "both" else ""
        return [
            turn
            for one in self.instructions(meme, [task for task in self.tasks if task in meme.labels])
            for turn in one.turns(meme.labels[one.task], rest=rest)
        ]

    def reason(self, meme: Meme) -> Ask:
        return Ask(SYSTEM, f"Text: {meme.text}\nWhy?", "Explanation:")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("vlms")
    return {
        "qwen3_vl": tiny_vlm.qwen(folder / "q3"),
        "qwen2_5_vl": tiny_vlm.qwen(folder / "q25", "qwen2_5_vl"),
        "smolvlm": tiny_vlm.smol(folder / "smol"),
        "tinyvlm": tiny_vlm.tinyvlm(folder / "tiny"),
    }


def made(path: str, tasks: Any = ("harmful", "target"), **settings: Any) -> Family:
    torch.manual_seed(0)
    return Family.create(path, tasks, **({"max_rationale": 10} | settings))


def memes(count: int = 4) -> list[Meme]:
    found = tiny.memes(count)
    return [replace(meme, text=meme.text + " again" * (i % 3)) for i, meme in enumerate(found)]


def probabilities(model: Family, some: list[Meme]) -> list[np.ndarray]:
    return [
        np.concatenate([list(reading.answers[task].probabilities.values()) for task in model.tasks])
        for reading in model.answer(some)
    ]


# rows


def test_a_row_learns_the_answer_and_its_end_and_nothing_else(hub: dict[str, str]) -> None:
    for make in MAKES:
        vlm = made(hub[make]).vlm
        span = (vlm.image, vlm.image)
        given = vlm.open("S", "U", span)
        one = row(vlm, Turn("S", "U", ("Label:", " harmful", "\nExplanation: it is")), span)
        first = vlm.words(vlm.gap + "Label:")
        answer = [*first, *vlm.words(" harmful"), *vlm.words("\nExplanation: it is"), vlm.end]
        assert one.ids == [*given, *answer]
        assert one.labels == [-100] * len(given) + answer
        assert one.ids.count(vlm.image) == 2
        lead = row(vlm, Turn("S", "U", " harmful", image=False, lead="Label:"), span)
        assert lead.ids == [*vlm.open("S", "U", None), *first, *vlm.words(" harmful"), vlm.end]
        assert lead.labels[-len(vlm.words(" harmful")) - 1 :] == [*vlm.words(" harmful"), vlm.end]
        assert lead.labels.count(-100) == len(lead) - len(vlm.words(" harmful")) - 1
        cut = row(vlm, Turn("S", "U", "harmful harmful harmful"), None, longest=2)
        assert cut.ids[-2:] == cut.labels[-2:] == vlm.words(vlm.gap + "harmful harmful harmful")[:2]
        with pytest.raises(UsageError, match="nothing to learn"):
            row(vlm, Turn("S", "U", "", lead="Label:"), None)


def test_instructions_teach_what_they_score() -> None:
    one = Instruction("harmful", "Is it?", {"not-harmful": "no", "harmful": "yes"}, lead="Label:")
    assert one.turns("harmful") == [Turn("", "Is it?", (" yes",), True, "Label:")]
    assert one.turns("harmful", learn_lead=True, rest="\nSo.") == [Turn("", "Is it?", ("Label:", " yes", "\nSo."))]
    several = Instruction("t", "Which?", {"a": "A", "b": "B"}, lead="{label}:", multilabel=True, yes_no=("ja", "nein"))
    assert several.turns(["b"]) == [
        Turn("", "Which?", (" nein",), True, "A:"),
        Turn("", "Which?", (" ja",), True, "B:"),
    ]
    assert [answers for _, answers in several.questions()] == [("nein", "ja")] * 2
    with pytest.raises(UsageError, match="same words"):
        Instruction("harmful", "", {"a": "x", "b": "x"})
    with pytest.raises(UsageError, match=r"must say \{label\}"):
        Instruction("t", "Which?", {"a": "A"}, multilabel=True)
    with pytest.raises(UsageError, match="cannot be taught 'maybe'"):
        one.turns("maybe")


def test_packed_rows_stand_behind_one_trunk(hub: dict[str, str]) -> None:
    vlm = made(hub["qwen3_vl"]).vlm
    turns = [Turn("S", "U same A", " yes"), Turn("S", "U same B", " no no")]
    rows = [row(vlm, turn, (vlm.image,)) for turn in turns]
    (one,) = packed(rows, rows[0].ids.index(vlm.image) + 1)
    shared = one.branch.count(0)
    assert one.ids[:shared] == rows[0].ids[:shared] == rows[1].ids[:shared]
    assert rows[0].ids[shared] != rows[1].ids[shared]
    assert one.ids[shared:] == rows[0].ids[shared:] + rows[1].ids[shared:]
    assert one.branch[shared:] == [1] * (len(rows[0]) - shared) + [2] * (len(rows[1]) - shared)
    assert one.step[shared:] == [*range(len(rows[0]) - shared), *range(len(rows[1]) - shared)]
    assert [x for x in one.labels if x != -100] == [x for r in rows for x in r.labels if x != -100]
    assert packed(rows, shared + 1) == rows  # the picture would have to stand twice
    assert packed(rows[:1]) == rows[:1]
    # two answers to the same prompt: its last token is each branch's own, as it is what predicts
    same = [row(vlm, Turn("S", "U", answer), None) for answer in (" yes", " no")]
    (one,) = packed(same)
    assert one.branch.count(0) == same[0].labels.count(-100) - 1


@pytest.mark.parametrize("make", MAKES)
def test_a_packed_batch_has_the_loss_of_its_parts(hub: dict[str, str], make: str) -> None:
    model, some = made(hub[make], TASKS), memes(3)
    some[0].labels["propaganda_techniques"] = ["smears"]
    losses, gradients, lengths = [], [], []
    for pack in (False, True):
        rows = [model.rows(meme, "label", pack) for meme in some]
        assert [len(one) for one in rows] == ([1, 1, 1] if pack else [24, 2, 2])
        batch = model.batch(some, rows)
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.vlm.text_model.layers[0].self_attn.q_proj.weight.grad.clone())
        lengths.append(sum(len(one) for part in rows for one in part))
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-4, rtol=1e-3)
    assert lengths[1] < 0.6 * lengths[0]


# scoring


def brute_force(model: Family, meme: Meme, ask: Ask, words: tuple[str, ...], then: list[int]) -> list[float]:
    """Each answer's log-probability from transformers' own model on the whole row, one at a time."""
    from PIL import Image

    vlm, found = model.vlm, []
    shown = meme.image is not None and ask.image
    picture = vlm.span(model.look.grid(meme.image)) if shown else None
    given = [*vlm.open(ask.system, ask.user, picture), *vlm.words(vlm.gap + ask.lead)]
    for word in words:
        answer = [*vlm.words(" " + word), *then]
        inputs: dict[str, Any] = {"input_ids": torch.tensor([[*given, *answer]])}
        if shown:
            assert isinstance(meme.image, Image.Image)
            inputs |= dict(vlm.images([meme.image], return_tensors="pt"))
            inputs = {name: value for name, value in inputs.items() if name not in ("rows", "cols")}
        if vlm.kind.startswith("qwen"):
            inputs["mm_token_type_ids"] = (inputs["input_ids"] == vlm.image).int()
        with torch.inference_mode():
            logits = vlm.model(**inputs).logits[0].double().log_softmax(-1)
        found.append(sum(float(logits[len(given) + i - 1, token]) for i, token in enumerate(answer)))
    return found


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        *[(make, {}) for make in MAKES],
        ("qwen3_vl", {"native": True}), ("tinyvlm", {"native": True}), ("qwen3_vl", {"nested": True}),
        ("qwen2_5_vl", {"question_first": True}), ("smolvlm", {"question_first": True}),
        ("qwen3_vl", {"own_system": True}), ("smolvlm", {"image": False}),
    ],
    ids=lambda value: value if isinstance(value, str) else "".join(value) or "plain",
)  # fmt: skip
def test_scores_are_those_of_brute_force(hub: dict[str, str], make: str, settings: dict[str, Any]) -> None:
    model = made(hub[make], TASKS if not settings else ("harmful", "target"), settings=settings)
    some = [*memes(3), Meme(text="no picture")]
    for meme, scores in zip(some, model.score(some), strict=True):
        for instruction in model.instructions(meme, model.tasks):
            nested = bool(settings.get("nested")) and instruction.task == "harmful"
            then = [model.vlm.end] if nested else []
            its = [brute_force(model, meme, ask, words, then) for ask, words in instruction.questions()[:3]]
            expected = [yes - no for no, yes in its] if instruction.multilabel else its[0]
            got = scores[instruction.task][: len(expected)].tolist()
            np.testing.assert_allclose(got, expected, atol=2e-3 if instruction.multilabel else 1e-3)


@pytest.mark.parametrize("make", ["qwen3_vl", "tinyvlm"])
def test_the_mean_over_tokens_is_that_of_the_sum(hub: dict[str, str], make: str) -> None:
    model, meme = made(hub[make], ("target",)), memes(1)[0]
    total = model.score([meme])[0]["target"]
    model.config.length = "mean"
    mean = model.score([meme])[0]["target"]
    counts = [len(model.vlm.words(" " + label.replace("-", " "))) for label in load_taxonomy()["target"].labels]
    assert len(set(counts)) > 1
    np.testing.assert_allclose(mean * torch.tensor(counts), total, atol=1e-4)


@pytest.mark.parametrize("make", MAKES)
def test_answers_are_probabilities_and_do_not_depend_on_batch_or_order(hub: dict[str, str], make: str) -> None:
    model = made(hub[make], TASKS)
    some = [*memes(5), Meme(text="", image=None), Meme(text="a cat " * 200)]
    together, backwards = probabilities(model, some), probabilities(model, some[::-1])[::-1]
    for i, meme in enumerate(some):
        np.testing.assert_allclose(together[i], probabilities(model, [meme])[0], atol=1e-4)
        np.testing.assert_allclose(together[i], backwards[i], atol=1e-4)
    for reading in model.answer(some):
        for task in ("harmful", "target"):
            assert sum(reading.answers[task].probabilities.values()) == pytest.approx(1, abs=1e-9)
        assert isinstance(reading.answers["propaganda_techniques"].label, list)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_tasks_share_what_stands_before_their_questions(hub: dict[str, str]) -> None:
    meme = memes(1)[0]
    for settings, count in (({}, 1), ({"question_first": True}, 1), ({"own_system": True}, 3)):
        model = made(hub["qwen3_vl"], TASKS, settings=settings)
        span = model.vlm.span(model.look.grid(meme.image))
        parts = model._asker.parts(model.instructions(meme, TASKS), span)
        stems = model._asker.stems(parts, model.vlm.image)
        assert len(stems) == count
        assert all(model.vlm.image in stem.ids for stem in stems)
        if not settings:
            words = model.vlm.words("Text: " + meme.text)
            assert any(stems[0].ids[i : i + len(words)] == words for i in range(len(stems[0].ids)))
            # the trees of a task are made once for all memes
            other = model._asker.stems(
                model._asker.parts(model.instructions(memes(2)[1], TASKS), span), model.vlm.image
            )
            assert other[0].branches[0][0] is stems[0].branches[0][0]


def test_calibration_and_abstention_are_applied_as_stored(hub: dict[str, str]) -> None:
    model, some = made(hub["tinyvlm"], ("harmful",)), memes(4)
    plain = np.array(probabilities(model, some))
    model.config.calibration = {"harmful": {"temperature": 2.0, "bias": [0.3, -0.3]}}
    z = np.log(plain) / 2 + np.array([0.3, -0.3])
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities(model, some), expected, atol=1e-5)
    model.config.abstain = {"harmful": float(np.median(expected.max(1)))}
    found = [reading.answers["harmful"].abstain for reading in model.answer(some)]
    assert found == [bool(p < np.median(expected.max(1))) for p in expected.max(1)]


def test_long_words_are_cut_by_tokens(hub: dict[str, str]) -> None:
    model = made(hub["tinyvlm"], max_text=3)
    text = "When the cat sits on the wall"
    short = model.short(text)
    assert text.startswith(short)
    assert len(model.vlm.words(short)) == 3
    assert model.short("cat") == "cat"


# writing


@pytest.mark.parametrize("make", MAKES)
def test_writing_is_greedy_generation(hub: dict[str, str], make: str) -> None:
    model, some = made(hub[make]), memes(3)
    texts = model.generate(some)
    assert [model.generate([meme])[0] for meme in some] == texts
    readings = model.answer(some, rationale=True)
    assert [reading.rationale or "" for reading in readings] == texts
    vlm, ask = model.vlm, model.reason(some[0])
    given = [*vlm.open(ask.system, ask.user, vlm.span(model.look.grid(some[0].image))), *vlm.words(vlm.gap + ask.lead)]
    inputs = dict(vlm.images([some[0].image], return_tensors="pt"))
    inputs = {name: value for name, value in inputs.items() if name not in ("rows", "cols")}
    inputs["input_ids"] = torch.tensor([given])
    if vlm.kind.startswith("qwen"):
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == vlm.image).int()
    theirs = vlm.model.generate(
        **inputs, max_new_tokens=10, do_sample=False, eos_token_id=vlm.end, pad_token_id=vlm.pad
    )
    assert vlm.text([token for token in theirs[0, len(given) :].tolist() if token != vlm.end]) == texts[0]


# saving


@pytest.mark.parametrize("lora", [None, {"r": 4, "dropout": 0.0}], ids=["full", "lora"])
@pytest.mark.parametrize("make", MAKES)
def test_a_saved_model_answers_the_same_merged_or_not(
    hub: dict[str, str], make: str, lora: dict[str, Any] | None, tmp_path: Path
) -> None:
    model, some = made(hub[make], lora=lora), memes(4)
    before = probabilities(model, some)
    batch = model.batch(some, [model.rows(meme, "both") for meme in some])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    assert any("visual" in name or "vision" in name for name in frozen) == (make != "tinyvlm")
    for _ in range(3):
        model(**batch).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    for name, p in model.named_parameters():
        assert name not in frozen or torch.equal(p, frozen[name])
    trained = probabilities(model, some)
    assert np.abs(np.array(trained) - np.array(before)).max() > 1e-3
    model.save_pretrained(tmp_path / "run")
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file() == (lora is not None)
    loaded = Family.load_folder(tmp_path / "run")
    assert loaded.version.startswith("testing-")
    assert loaded.answer(some[:1])[0].model == loaded.version
    np.testing.assert_allclose(probabilities(loaded, some), trained, atol=1e-5)
    assert loaded.generate(some) == model.generate(some)
    loaded.save_pretrained(tmp_path / "again")
    np.testing.assert_allclose(probabilities(Family.load_folder(tmp_path / "again"), some), trained, atol=1e-5)
    # merged, in hub layout, as any other checkpoint
    export(loaded, tmp_path / "merged")
    np.testing.assert_allclose(probabilities(loaded, some), trained, atol=1e-4)
    plain = Family.create(str(tmp_path / "merged"), model.tasks, max_rationale=10)
    np.testing.assert_allclose(probabilities(plain, some), trained, atol=1e-4)


def test_a_hub_model_with_an_adapter_is_named_not_copied(
    hub: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(hub["qwen3_vl"]).parent)
    model = made(hub["qwen3_vl"], lora={"r": 4})
    model.config.vlm = "Qwen/Qwen3-VL-8B-Instruct"  # a hub id as far as anyone can tell
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "config.json"]
    text = (tmp_path / "config.json").read_text("utf-8")
    (tmp_path / "config.json").write_text(text.replace("Qwen/Qwen3-VL-8B-Instruct", hub["qwen3_vl"]), "utf-8")
    np.testing.assert_allclose(
        probabilities(Family.load_folder(tmp_path), memes(2)), probabilities(model, memes(2)), atol=1e-5
    )
    (tmp_path / "config.json").write_text(
        text.replace("Qwen/Qwen3-VL-8B-Instruct", hub["qwen3_vl"]).replace("q3@", "q3@0"), "utf-8"
    )
    with pytest.raises(UsageError, match="but the model was trained on"):
        Family.load_folder(tmp_path)


def test_settings_that_are_not_known_are_named(hub: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="lora: unknown rank"):
        made(hub["tinyvlm"], lora={"rank": 4})
    with pytest.raises(UsageError, match="precision"):
        made(hub["tinyvlm"], precision="float16")
    with pytest.raises(UsageError, match="length"):
        made(hub["tinyvlm"], length="median")
    model = made(hub["tinyvlm"], lora={"r": 2})
    with pytest.raises(UsageError, match="has an adapter already"):
        model.adapt()


def test_bfloat16_answers_are_near(hub: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    model, some = made(hub["tinyvlm"]), memes(4)
    exact = np.array(probabilities(model, some))
    model.config.precision = "bfloat16"
    monkeypatch.setattr("memescope.backbones.precision.fast_bf16", lambda device: False)
    assert np.array_equal(np.array(probabilities(model, some)), exact)
    assert model.computes_in == "float32"
    monkeypatch.setattr("memescope.backbones.precision.fast_bf16", lambda device: True)
    near = np.array(probabilities(model, some))
    assert 0 < np.abs(near - exact).max() < 0.1
    assert model.computes_in == "bfloat16"


# evidence


@pytest.mark.parametrize("make", MAKES)
def test_evidence_is_measured(hub: dict[str, str], make: str) -> None:
    model, meme = made(hub[make], ("harmful", "target")), memes(1)[0]
    found = model.explain(meme, ["harmful"])["harmful"]
    answer = model.answer([meme])[0].answers["harmful"]
    p = answer.probabilities[answer.label]
    for span in found.spans[:2]:
        text = " ".join((meme.text[: span.start] + meme.text[span.end :]).split())
        rest = model.answer([replace(meme, text=text)])[0].answers["harmful"].probabilities[answer.label]
        assert span.weight == pytest.approx(np.log(p / (1 - p)) - np.log(rest / (1 - rest)), abs=1e-3)
    assert found.says
    with pytest.raises(UsageError, match="does not answer sarcasm"):
        model.explain(meme, ["sarcasm"])


@pytest.mark.parametrize("make", MAKES)
def test_what_is_hidden_is_not_looked_at(hub: dict[str, str], make: str) -> None:
    model, meme = made(hub[make], ("harmful",)), memes(1)[0]
    sight = model.look([meme.image])[0]
    count = len(sight.features)
    half = torch.arange(count) < count // 2
    changed = replace(sight, features=torch.where(half[:, None], 2 * sight.features.flip(1), sight.features))

    def score(one: Any, hidden: Any) -> float:
        return float(model.score([meme], seen=[one], hidden=None if hidden is None else [hidden])[0]["harmful"][0])

    assert score(changed, half) == pytest.approx(score(sight, half), abs=1e-4)
    assert abs(score(changed, None) - score(sight, None)) > 1e-3
    assert abs(score(sight, half) - score(sight, None)) > 1e-5
    places = model.vlm.places(sight.grid)
    assert places.shape == (count, 2)
    assert 0 < float(places.min()) < float(places.max()) < 1


def test_transformers_serve_knows_a_tinyvlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from transformers import AutoModelForMultimodalLM
    from transformers.models.auto import modeling_auto

    from memescope.backbones.tinyvlm import serving

    folder, seen = tiny_vlm.tinyvlm(tmp_path), []
    monkeypatch.setattr("transformers.cli.transformers.main", lambda: seen.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["serving", folder, "--port", "8001"])
    monkeypatch.setattr(
        modeling_auto,
        "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
        dict(modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES),
    )
    serving.main()
    assert seen == [["serve", folder, "--port", "8001"]]
    # what the server does with a folder of this kind
    model = AutoModelForMultimodalLM.from_pretrained(folder)
    assert model.config.model_type in modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES
    assert type(model).__name__ == "TinyVlmForConditionalGeneration"
