"""Encoders by hub id, tried on tiny random checkpoints of the same classes saved to a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.backbones.base import squeeze
from memescope.errors import MemescopeError, MissingExtra, UsageError
from memescope.perception.pictures import Picture

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
transformers = pytest.importorskip("transformers", reason="the extra 'train' is not installed")

TEXTS = ["hello world", "a", "", "hello hello a world " * 9]
SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def save(folder: Path, model: Any, processor: Any) -> str:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def word_tokenizer(pad: str, first: str, last: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = [first, pad, last, "<unk>", "hello", "world", "a"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 0), (last, 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=first, eos_token=last, unk_token="<unk>"
    )


def random_picture(seed: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    return Picture(pixels, f"random {seed}", 60, 40, "PNG")


def bert(folder: Path) -> str:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=7, max_position_embeddings=20, pad_token_id=1, **SIZES)
    return save(folder, transformers.BertModel(config), word_tokenizer("[PAD]", "[CLS]", "[SEP]"))


def xlm_roberta(folder: Path) -> str:
    config = transformers.XLMRobertaConfig(vocab_size=7, max_position_embeddings=22, pad_token_id=1, **SIZES)
    return save(folder, transformers.XLMRobertaModel(config), word_tokenizer("<pad>", "<s>", "</s>"))


@pytest.mark.parametrize("make", [bert, xlm_roberta])
def test_mean_of_the_states_of_a_text_encoder(tmp_path: Path, make: Any) -> None:
    name = make(tmp_path)
    encoder = load_text_encoder(name)
    assert (encoder.name, encoder.dim, encoder.max_tokens) == (name, 16, 20)
    tokens, pooled, offsets = encoder.tokens(TEXTS), encoder.pooled(TEXTS), encoder.offsets(TEXTS)
    assert [len(states) for states in tokens] == [4, 3, 2, 20]
    assert offsets[0].tolist() == [[0, 0], [0, 5], [6, 11], [0, 0]]

    ids = transformers.AutoTokenizer.from_pretrained(name)(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = transformers.AutoModel.from_pretrained(name)(input_ids=ids).last_hidden_state[0].numpy()
    np.testing.assert_allclose(tokens[0], expected, atol=1e-5)
    mean = expected.mean(axis=0)
    np.testing.assert_allclose(pooled[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_text_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    name = bert(tmp_path)
    from memescope.backbones.hub import HubText

    together, alone = HubText(name).pooled(TEXTS), HubText(name)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(alone.pooled([text])[0], vector, atol=1e-4)


def clip_config() -> Any:
    text = {"vocab_size": 7, "max_position_embeddings": 12, "eos_token_id": 2, "pad_token_id": 1, **SIZES}
    return transformers.CLIPConfig(text_config=text, vision_config={"image_size": 24, "patch_size": 8, **SIZES})


def test_both_towers_of_clip(tmp_path: Path) -> None:
    model = transformers.CLIPModel(clip_config())
    save(tmp_path, model, word_tokenizer("<pad>", "<s>", "</s>"))
    transformers.CLIPImageProcessor().save_pretrained(tmp_path)

    text = load_text_encoder(str(tmp_path))
    assert (text.dim, text.max_tokens) == (16, 12)
    ids = transformers.AutoTokenizer.from_pretrained(tmp_path)("hello world", return_tensors="pt")["input_ids"]
    reference = transformers.CLIPModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = reference.text_model(input_ids=ids).pooler_output[0].numpy()
    np.testing.assert_allclose(text.pooled(["a", "hello world"])[1], expected / np.linalg.norm(expected), atol=1e-5)

    vision = load_vision_encoder(str(tmp_path))
    assert (vision.dim, vision.grid) == (16, 3)
    pictures = [random_picture(1), random_picture(2)]
    pixels = np.stack([squeeze(picture.pixels, 24) for picture in pictures]) / 255
    mean, deviation = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]  # OpenAI's
    inputs = torch.tensor((pixels - mean) / deviation, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.inference_mode():
        out = reference.vision_model(pixel_values=inputs)
    np.testing.assert_allclose(vision.pooled(pictures), out.pooler_output.numpy(), atol=1e-4)
    places = out.last_hidden_state[:, 1:].reshape(2, 3, 3, 16).numpy()
    np.testing.assert_allclose(vision.patches(pictures), places, atol=1e-4)


def test_clip_vision_alone(tmp_path: Path) -> None:
    model = transformers.CLIPVisionModel(clip_config().vision_config)
    name = save(tmp_path, model, transformers.CLIPImageProcessor())
    assert load_vision_encoder(name).patches([random_picture()]).shape == (1, 3, 3, 16)


def test_cls_state_of_a_vision_transformer(tmp_path: Path) -> None:
    model = transformers.ViTModel(transformers.ViTConfig(image_size=24, patch_size=8, **SIZES))
    name = save(tmp_path, model, transformers.ViTImageProcessor(size={"height": 24, "width": 24}))
    encoder = load_vision_encoder(name)
    picture = random_picture()
    pixels = torch.tensor(squeeze(picture.pixels, 24) / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.inference_mode():
        states = transformers.ViTModel.from_pretrained(name).eval()(pixel_values=pixels).last_hidden_state[0].numpy()
    np.testing.assert_allclose(encoder.pooled([picture])[0], states[0], atol=1e-4)
    np.testing.assert_allclose(encoder.patches([picture])[0].reshape(9, 16), states[1:], atol=1e-4)


def test_siglip_reads_texts_at_full_length(tmp_path: Path) -> None:
    text = {"vocab_size": 7, "max_position_embeddings": 10, "projection_size": 16, "pad_token_id": 1, **SIZES}
    config = transformers.SiglipConfig(text_config=text, vision_config={"image_size": 24, "patch_size": 8, **SIZES})
    save(tmp_path, transformers.SiglipModel(config), word_tokenizer("<pad>", "<s>", "</s>"))
    transformers.SiglipImageProcessor(size={"height": 24, "width": 24}).save_pretrained(tmp_path)
    encoder = load_text_encoder(str(tmp_path))
    reference = transformers.SiglipTextModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([[0, 6, 2] + [1] * 7])).pooler_output[0].numpy()
    np.testing.assert_allclose(encoder.pooled(["a"])[0], expected / np.linalg.norm(expected), atol=1e-5)
    assert encoder.tokens(["a"])[0].shape == (3, 16)
    vision = load_vision_encoder(str(tmp_path))
    assert vision.patches([random_picture()]).shape == (1, 3, 3, 16)  # no [CLS] to leave out


def test_version_follows_the_weights(tmp_path: Path) -> None:
    from memescope.backbones.hub import HubText

    first = HubText(bert(tmp_path / "one" / "m")).version
    assert first == HubText(bert(tmp_path / "two" / "m")).version
    assert first.startswith("m@")
    model = transformers.BertModel.from_pretrained(tmp_path / "one" / "m")
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[4] += 1
    model.save_pretrained(tmp_path / "one" / "m")
    assert HubText(str(tmp_path / "one" / "m")).version != first


def test_an_id_that_cannot_be_had_offline() -> None:
    with pytest.raises(MemescopeError, match=r"text encoder 'nobody/nothing' cannot be read(.|\n)*hf download nobody"):
        load_text_encoder("nobody/nothing")
    with pytest.raises(MemescopeError, match=r"vision encoder 'nobody/nothing' cannot be read"):
        load_vision_encoder("nobody/nothing")


def test_only_safetensors_are_read(tmp_path: Path) -> None:
    name = bert(tmp_path)
    model = transformers.BertModel.from_pretrained(name)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(MemescopeError, match="safetensors"):
        load_text_encoder(name)


def test_a_model_that_is_no_encoder(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=7, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    name = save(tmp_path, transformers.T5Model(config), word_tokenizer("<pad>", "<s>", "</s>"))
    with pytest.raises(UsageError, match="a t5 model is not a plain encoder"):
        load_text_encoder(name)


def test_a_text_model_has_no_grid(tmp_path: Path) -> None:
    name = bert(tmp_path)
    transformers.CLIPImageProcessor().save_pretrained(name)
    with pytest.raises(UsageError, match="a bert model has no square grid of patches"):
        load_vision_encoder(name)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="text encoder 'some/model' needs the extra 'train'"):
        load_text_encoder("some/model")
