"""The family mrharm on tiny random checkpoints: formats, training, answering, saving, ablations, evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # matrices this small only wait for other threads

import memescope.models  # noqa: E402
from memescope.errors import MemescopeError, UsageError  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.models.mrharm import create  # noqa: E402
from memescope.models.mrharm.vision import VisualSettings, centre, load_visual_encoder  # noqa: E402

KINDS = ("seq2seq", "decoder")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("hub")
    return {
        "seq2seq": tiny.t5(folder / "t5"),
        "decoder": tiny.llama(folder / "llama"),
        "clip": tiny.clip(folder / "clip"),
    }


def made(hub: dict[str, str], kind: str, **settings: Any) -> Any:
    settings = {"tasks": ("harmful",), "max_rationale": 12, "silent": False} | settings
    torch.manual_seed(0)
    vision = settings.pop("vision", hub["clip"])
    return create(hub[kind], vision, **settings).eval()


def table(model: Any, memes: list[Meme], task: str = "harmful") -> np.ndarray:
    return np.array([list(reading.answers[task].probabilities.values()) for reading in model.answer(memes)])


def train(model: Any, memes: list[Meme], stage: Any, steps: int = 30, rate: float = 3e-3) -> list[float]:
    pairs = [(row, meme) for meme in memes for row in model.processor.rows(meme, stage)]
    batch = model.processor.collate([row for row, _ in pairs], model.processor.see([meme for _, meme in pairs]))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], rate)
    losses = []
    model.train()
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


# learning


@pytest.mark.parametrize("stage", ["rationale", "label", "answer", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_in_hub_layout_load_by_path_and_learn(hub: dict[str, str], kind: str, stage: Any) -> None:
    model = made(hub, kind)
    losses = train(model, tiny.memes(8), stage)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_two_stages_end_in_the_right_answers_and_reasons_of_their_own(hub: dict[str, str], kind: str) -> None:
    model, memes = made(hub, kind, max_rationale=40), tiny.memes(4)
    train(model, memes, "rationale", 120)
    written = model.generate(memes)
    assert written == [meme.rationale.lower() for meme in memes]
    train(model, memes, "label", 60)
    readings = model.answer(memes, rationale=True)
    assert [reading.answers["harmful"].label for reading in readings] == [meme.labels["harmful"] for meme in memes]
    assert all(isinstance(reading.rationale, str) for reading in readings)
    assert all(reading.rationale is None for reading in model.answer(memes))


@pytest.mark.parametrize("kind", KINDS)
def test_accumulated_small_batches_are_one_large_batch(hub: dict[str, str], kind: str) -> None:
    model, memes = made(hub, kind), tiny.memes(6)
    rows = [model.processor.rows(meme, "rationale")[0] for meme in memes]
    seen = model.processor.see(memes)
    whole = model(**model.processor.collate(rows, seen)).loss.item()
    total = sum(label != -100 for row in rows for label in row["labels"])
    parts = [
        model(**model.processor.collate(rows[at], seen[at]), num_items_in_batch=total).loss.item()
        for at in (slice(0, 1), slice(1, 6))
    ]
    assert sum(parts) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("fusion", ["cross-attention", "concatenation", "none"])
def test_rows_of_unlike_length_are_read_in_two_parts_with_the_same_loss_and_gradients(
    hub: dict[str, str], fusion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memescope.models.mrharm import decoder

    model = made(hub, "decoder", fusion=fusion, max_rationale=40).double()
    pairs = [(row, meme) for meme in tiny.memes(4) for row in model.processor.rows(meme, "both")]
    batch = model.processor.collate([row for row, _ in pairs], model.processor.see([meme for _, meme in pairs]))
    found = {}
    for worth, parts in ((1.0, 2), (0.0, 1)):
        monkeypatch.setattr(decoder, "WORTH", worth)
        cut = decoder.by_length(batch)
        assert len(cut) == parts
        assert sorted(len(part["labels"]) for part in cut) == ([4, 4] if parts == 2 else [8])
        assert sum(int(part["attention_mask"].sum()) for part in cut) == int(batch["attention_mask"].sum())
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        found[worth] = [loss, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]
    for ours, whole in zip(found[1.0], found[0.0], strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_checkpointing_changes_no_gradient(hub: dict[str, str], kind: str) -> None:
    model, memes = made(hub, kind), tiny.memes(2)
    rows = [model.processor.rows(meme, "rationale")[0] for meme in memes]
    batch = model.processor.collate(rows, model.processor.see(memes))
    model.train()
    found = []
    for _ in range(2):
        torch.manual_seed(5)  # the same dropout
        model.zero_grad()
        model(**batch).loss.backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        model.activation_checkpointing_enable()
    assert any("fusion.at.0.k" in name for name in found[0])
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad, atol=1e-6, rtol=1e-4)


def test_adapters_train_with_the_fusion_while_the_language_model_rests(hub: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model = made(hub, "decoder", lora={"r": 4, "alpha": 8, "dropout": 0.0})
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    losses = train(model, tiny.memes(8), "label")
    assert losses[-1] < losses[0]
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert {name for name, value in model.named_parameters() if value.requires_grad} == moved
    assert all(name.startswith("fusion.") or "lora_" in name for name in moved)
    assert any("lora_B" in name for name in moved)
    model.save_pretrained(tmp_path)
    np.testing.assert_allclose(
        table(memescope.models.load(tmp_path), tiny.memes(4)), table(model, tiny.memes(4)), atol=1e-5
    )
    with pytest.raises(UsageError, match="rank"):
        made(hub, "decoder", lora={"rank": 4})


# answering


@pytest.mark.parametrize("kind", KINDS)
def test_answers_do_not_depend_on_batch_or_order(hub: dict[str, str], kind: str) -> None:
    model = made(hub, kind, tasks=("harmful", "target", "propaganda_techniques"))
    memes = [*tiny.memes(6), Meme(text="", image=None), Meme(text="a cat " * 90)]
    together = model.answer(memes)
    alone = [model.answer([meme])[0] for meme in memes]
    backwards = model.answer(memes[::-1])[::-1]
    for one, other, third in zip(together, alone, backwards, strict=True):
        assert list(one.answers) == ["harmful", "target", "propaganda_techniques"]
        for task, answer in one.answers.items():
            p = list(answer.probabilities.values())
            np.testing.assert_allclose(list(other.answers[task].probabilities.values()), p, atol=1e-4)
            np.testing.assert_allclose(list(third.answers[task].probabilities.values()), p, atol=1e-4)
    assert model.generate(memes[:3]) == [model.generate([meme])[0] for meme in memes[:3]]


@pytest.mark.parametrize("fusion", ["cross-attention", "concatenation", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_matters_where_it_is_fused_and_only_there(hub: dict[str, str], kind: str, fusion: str) -> None:
    model = made(hub, kind, fusion=fusion)
    memes = tiny.memes(4)
    swapped = [replace(meme, image=memes[3 - i].image) for i, meme in enumerate(memes)]
    moved = np.abs(table(model, memes) - table(model, swapped)).max()
    if fusion == "none":
        assert moved == 0
        assert model.config.vision is None
    else:
        assert moved > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_without_fusion_it_is_the_plain_language_model(hub: dict[str, str], kind: str) -> None:
    from memescope.backbones.language import load_language_model

    model, lm = made(hub, kind, fusion="none"), load_language_model(hub[kind]).model
    row = model.processor.rows(tiny.memes(1)[0], "label")[0]
    logits = model(**model.processor.collate([row])).logits
    if kind == "seq2seq":
        whole = lm(
            input_ids=torch.tensor([row["input_ids"]]), decoder_input_ids=torch.tensor([row["decoder_input_ids"]])
        ).logits[0]
        expected = whole[[i for i, aim in enumerate(row["labels"]) if aim != -100]]
    else:
        whole = lm(input_ids=torch.tensor([row["input_ids"]])).logits[0]
        expected = whole[[i - 1 for i, aim in enumerate(row["labels"]) if aim != -100]]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_fusion_starts_as_the_language_model(hub: dict[str, str], kind: str) -> None:
    memes = tiny.memes(4)
    silent = table(made(hub, kind, silent=True), memes)
    np.testing.assert_allclose(silent, table(made(hub, kind, fusion="none"), memes), atol=1e-6)
    # published for T5: PyTorch's own start, which is heard; the small tier starts silent
    default = table(made(hub, kind, silent=None), memes)
    assert np.allclose(default, silent, atol=1e-6) == (kind == "decoder")


def test_calibration_and_abstention_are_applied_as_stored(hub: dict[str, str]) -> None:
    model, memes = made(hub, "decoder"), tiny.memes(4)
    plain = table(model, memes)
    model.config.calibration = {"harmful": {"temperature": 2.0, "bias": [0.3, -0.3]}}
    z = np.log(plain) / 2 + np.array([0.3, -0.3])
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(table(model, memes), expected, atol=1e-5)
    confidence = float(np.median(expected.max(1)))
    model.config.abstain = {"harmful": confidence}
    found = [reading.answers["harmful"].abstain for reading in model.answer(memes)]
    assert found == [bool(p < confidence) for p in expected.max(1)]
    model.config.abstain = {"harmful": None}
    assert all(reading.answers["harmful"].abstain for reading in model.answer(memes))


def test_bfloat16_answers_are_near_and_say_so(
    hub: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memescope.backbones.precision.fast_bf16", lambda device: True)
    model, memes = made(hub, "decoder"), tiny.memes(4)
    exact = table(model, memes)
    model.config.precision = "bfloat16"
    near = table(model, memes)
    assert 0 < np.abs(near - exact).max() < 0.1
    model.save_pretrained(tmp_path)
    np.testing.assert_allclose(table(memescope.models.load(tmp_path), memes), near, atol=1e-3)
    with pytest.raises(UsageError, match="precision"):
        made(hub, "decoder", precision="float16")


# saving


@pytest.mark.parametrize("vision", ["clip", "effnet-lite0"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_answers_the_same(hub: dict[str, str], kind: str, vision: str, tmp_path: Path) -> None:
    model = made(hub, kind, vision=hub.get(vision, vision), tasks=("harmful", "target"))
    train(model, tiny.memes(4), "label", 3)
    model.save_pretrained(tmp_path / "run")
    # a picture encoder from a folder comes along, a packaged one is named
    assert (tmp_path / "run" / "vision").is_dir() == (vision == "clip")
    loaded = memescope.models.load(tmp_path / "run")
    assert loaded.tasks == ("harmful", "target")
    assert loaded.version.startswith("mrharm-")
    assert loaded.answer(tiny.memes(1))[0].model == loaded.version
    for task in loaded.tasks:
        np.testing.assert_allclose(table(loaded, tiny.memes(4), task), table(model, tiny.memes(4), task), atol=1e-6)
    assert loaded.generate(tiny.memes(2)) == model.generate(tiny.memes(2))
    loaded.save_pretrained(tmp_path / "again")
    again = memescope.models.load(tmp_path / "again")
    np.testing.assert_allclose(table(again, tiny.memes(4)), table(model, tiny.memes(4)), atol=1e-6)


def test_a_head_that_is_not_tied_stays_so(hub: dict[str, str], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(Path(hub["seq2seq"], "model.safetensors"))  # as Flan-T5: two different matrices
    model = made(hub, "seq2seq")
    model.save_pretrained(tmp_path)
    for one in (model, memescope.models.load(tmp_path)):
        assert torch.equal(one.lm.lm_head.weight, stored["lm_head.weight"])
        assert torch.equal(one.lm.encoder.embed_tokens.weight, stored["shared.weight"])
        assert not one.lm.config.scale_decoder_outputs


def test_a_folder_without_weights_or_with_another_encoder_is_refused(hub: dict[str, str], tmp_path: Path) -> None:
    model = made(hub, "decoder", vision="effnet-lite0")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"vision_version": "effnet-lite0-000"}), "utf-8")
    with pytest.raises(UsageError, match=r"effnet-lite0-000.*would not be the same"):
        memescope.models.load(tmp_path).answer(tiny.memes(1))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"model\.safetensors: this file of the model is missing"):
        memescope.models.load(tmp_path)


# formats


def pieces(model: Any, ids: list[int]) -> str:
    return str(model.processor.tokenizer.decode([i for i in ids if i != -100]))


def test_formats_of_the_decoder(hub: dict[str, str]) -> None:
    model, meme = made(hub, "decoder", tasks=("harmful",)), tiny.memes(1)[0]
    (row,) = model.processor.rows(meme, "label")
    assert pieces(model, row["input_ids"]) == "<s>when the cat sits on the wall\nThe answer is: harmful</s>"
    assert pieces(model, row["labels"]) == " harmful</s>"
    (row,) = model.processor.rows(meme, "rationale")
    assert pieces(model, row["input_ids"]).startswith("<s>when the cat sits on the wall\nOutput: the text calls")
    assert len([aim for aim in row["labels"] if aim != -100]) == 12 + 1  # max_rationale, then the end
    both = model.processor.rows(meme, "both")
    assert [pieces(model, row["labels"]).endswith(" harmful</s>") for row in both] == [False, True]


def test_formats_of_t5(hub: dict[str, str]) -> None:
    model, meme = made(hub, "seq2seq", max_rationale=99), tiny.memes(1)[0]
    (row,) = model.processor.rows(meme, "label")
    assert pieces(model, row["input_ids"]) == "when the cat sits on the wall</s>"
    assert pieces(model, row["decoder_input_ids"]) == "<pad> The answer is: harmful"
    assert pieces(model, row["labels"]).strip() == "harmful</s>"
    assert len(row["labels"]) == len(row["decoder_input_ids"])
    (row,) = model.processor.rows(meme, "rationale")
    assert pieces(model, row["labels"]).strip() == f"{meme.rationale.lower()}</s>"


def test_several_tasks_are_told_apart_by_their_leads(hub: dict[str, str]) -> None:
    model = made(hub, "decoder", tasks=("harm_intensity", "propaganda_techniques"))
    meme = Meme(text="x", labels={"harm_intensity": "very-harmful", "propaganda_techniques": ["smears"]})
    rows = model.processor.rows(meme, "label")
    texts = [pieces(model, row["input_ids"]).partition("\n")[2] for row in rows]
    assert texts[0] == "harm intensity? The answer is: very-harmful</s>"
    assert "propaganda techniques: smears? The answer is: yes</s>" in texts
    assert sum(text.endswith(" yes</s>") for text in texts) == 1
    assert len(texts) == 1 + len(model.processor.questions[1].labels)
    assert model.processor.rows(Meme(text="x"), "both") == []
    with pytest.raises(UsageError, match="expected one of rationale, label, answer, both"):
        model.processor.rows(meme, "judge")


def test_prompts_are_cut_and_templates_filled(hub: dict[str, str]) -> None:
    long = Meme(text="CAT " * 50, aspect="dog", meta={"caption": "A wall"})
    assert len(made(hub, "seq2seq", max_text=40).processor.prompt(long)) == 40  # the end token counted, as published
    cut = made(hub, "decoder", max_text=40).processor
    assert len(cut.prompt(long)) == 1 + 40 + len(cut.tokens("\n"))
    filled = made(hub, "decoder", template="{caption} | {aspect}", lower=False)
    assert pieces(filled, filled.processor.prompt(long)) == "<s>A wall | dog\n"


def test_as_released_takes_the_released_settings(hub: dict[str, str]) -> None:
    model = made(hub, "seq2seq", as_released=True, max_rationale=40)
    assert (model.config.max_text, model.config.max_rationale, model.config.learn_lead) == (40, 40, True)
    (row,) = model.processor.rows(tiny.memes(1)[0], "label")
    assert pieces(model, row["labels"]) == "The answer is: harmful</s>"
    clip = load_visual_encoder(hub["clip"], VisualSettings())
    picture = tiny.memes(1)[0].image
    assert not torch.allclose(model.processor.see(tiny.memes(1)), clip([picture]))


def test_clip_tokens_are_its_last_hidden_state_on_the_centre_of_the_picture(hub: dict[str, str]) -> None:
    from PIL import Image
    from transformers import AutoImageProcessor, CLIPVisionModel

    noise = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((160, 96), Image.Resampling.BICUBIC)
    inputs = AutoImageProcessor.from_pretrained(hub["clip"])(picture, return_tensors="pt")
    expected = CLIPVisionModel.from_pretrained(hub["clip"])(**inputs).last_hidden_state.detach()
    found = load_visual_encoder(hub["clip"])([picture, None])
    assert found.shape == (2, 5, 20)
    # the processor of transformers is the reference; it rounds after resizing as Pillow does
    torch.testing.assert_close(found[:1], expected, atol=1e-4, rtol=0)
    assert float(found[1].abs().max()) == 0
    assert centre(noise, 24).shape == (24, 24, 3)
    whole = load_visual_encoder(hub["clip"], VisualSettings(crop="whole"))([picture])
    assert not torch.allclose(whole, found[:1], atol=1e-3)
    with pytest.raises(UsageError, match="crop is centre or whole"):
        VisualSettings(crop="left")  # type: ignore[arg-type]


# evidence


@pytest.mark.parametrize("vision", ["clip", "effnet-lite0"])
def test_evidence_is_measured_by_taking_parts_out(hub: dict[str, str], vision: str) -> None:
    model, memes = made(hub, "decoder", vision=hub.get(vision, vision)), tiny.memes(8)
    train(model, memes, "label", 12)
    meme = memes[0]
    evidence = model.explain(meme, ["harmful"])["harmful"]
    assert [span.text for span in evidence.spans] == meme.text.split()
    label = model.answer([meme])[0].answers["harmful"].label

    def odds(changed: Meme) -> float:
        p = model.answer([changed])[0].answers["harmful"].probabilities[label]
        return float(np.log(p / (1 - p)))

    # "When the cat sits on the wall" without "cat"
    lost = odds(meme) - odds(replace(meme, text="When the sits on the wall"))
    assert evidence.spans[2].weight == pytest.approx(lost, abs=1e-3)
    assert evidence.says.endswith(".")
    for region in evidence.regions:
        assert region.weight >= 0.05
        assert 0 <= region.x < region.x + region.width <= 1
    with pytest.raises(UsageError, match="does not answer humour"):
        model.explain(meme, ["humour"])
    assert model.explain(Meme(text="only words"), ["harmful"])["harmful"].regions == []


# what users get wrong


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fusion": "addition"}, "expected one of cross-attention, concatenation, none"),
        ({"fusion_layers": "last:9"}, r"every, last:N \(1 to 3\)"),
        ({"fusion_layers": "first"}, "every, last:N"),
        ({"fusion_heads": 5}, "cannot be shared by so many heads"),
        ({"vision": None}, "needs a picture encoder"),
        ({"layers": 4}, "has 3 layers; layers=4 cannot be kept"),
        ({"tasks": ("unheard",)}, "no task 'unheard'"),
    ],
)
def test_wrong_settings_are_named(hub: dict[str, str], settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made(hub, "decoder", **settings)


def test_language_models_that_are_not_there_say_what_to_do(hub: dict[str, str], tmp_path: Path) -> None:
    from memescope.backbones.language import load_language_model

    with pytest.raises(MemescopeError, match="memescope models pull smollm2-135m"):
        load_language_model("smollm2-135m")
    with pytest.raises(MemescopeError, match=r"cannot be read[\s\S]*a folder, or a hub id"):
        load_language_model(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="layers=1 is for decoder-only"):
        load_language_model(hub["seq2seq"], layers=1)
    with pytest.raises(UsageError, match="is none of float32"):
        load_language_model(hub["decoder"], dtype="float16")
    with pytest.raises(UsageError, match="is not a language model"):
        load_language_model(hub["clip"])


def test_the_first_layers_are_kept_with_norm_and_tied_head(hub: dict[str, str]) -> None:
    from memescope.backbones.language import load_language_model

    whole, cut = load_language_model(hub["decoder"]), load_language_model(hub["decoder"], layers=2)
    assert cut.version == f"{whole.version}/2"
    assert len(cut.model.model.layers) == 2
    assert cut.model.lm_head.weight is cut.model.model.embed_tokens.weight
    ids = torch.tensor([[3, 50, 99]])
    states = whole.model(ids, output_hidden_states=True).hidden_states[2]  # what the third layer would read
    expected = whole.model.lm_head(whole.model.model.norm(states))
    torch.testing.assert_close(cut.model(ids).logits, expected, atol=1e-6, rtol=0)
    model = made(hub, "decoder", layers=2)
    assert list(model.fusion.at) == ["0", "1"]


def test_the_card_names_every_deviation_that_holds(hub: dict[str, str]) -> None:
    from memescope.models.mrharm import MrHarmConfig, deviations

    small = " ".join(deviations(made(hub, "decoder", vision="effnet-lite0", max_text=64).config))
    for part in ("decoder-only", "effnet-lite0", "cut at 64 tokens and rationales at 12", '"Output:"', "scored"):
        assert part in small
    assert "CLIP's own statistics" not in small
    released = MrHarmConfig(
        kind="seq2seq", vision="openai/clip-vit-base-patch32", max_text=40, max_rationale=40, learn_lead=True,
        vision_settings={"crop": "centre", "statistics": "half"},
    )  # fmt: skip
    # what cannot be as released: augmentation, which would forbid kept features, and answers without probabilities
    assert [line.split()[0] for line in deviations(released)] == ["Pictures", "Answers"]
    text = " ".join(deviations(made(hub, "seq2seq", fusion="none", final_fusion=False).config))
    assert "does not see the picture" in text
    assert "No fusion behind" in text
