"""Tiny random checkpoints in hub layout (config, safetensors, tokenizer), and memes drawn to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXTS = [
    "When the cat sits on the wall", "Nobody told me about the dog", "Lock them all up", "Have a lovely day",
    "They should go back home", "My grandmother bakes bread", "These people are animals", "The sun is out",
]  # fmt: skip
RATIONALES = [
    "The text calls a group of people animals.", "The picture shows a cat on a wall and nothing else.",
    "The meme wants people to be locked up.", "It wishes the reader a good day.",
]  # fmt: skip


def corpus() -> list[str]:
    """Everything that the tokenizers have seen."""
    words = "Output: The answer is: harmful not-harmful target? individual organization community society none yes no"
    return [*TEXTS, *RATIONALES, words, words.lower(), *[text.lower() for text in [*TEXTS, *RATIONALES]]]


def tokenizer(folder: Path, kind: str) -> int:
    """A byte-level BPE (llama) or a Metaspace BPE with </s> behind every text (T5); the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if kind == "t5":
        made = Tokenizer(models.BPE(unk_token="<unk>"))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        alphabet: list[str] = []
    else:
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        special = {"bos_token": "<s>", "eos_token": "</s>"}
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=list(special.values()), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(corpus(), trainer)
    if kind == "t5":
        made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(folder)
    return made.get_vocab_size()


def llama(folder: Path, layers: int = 3, **settings: Any) -> str:
    """A decoder-only model of width 24 with grouped keys and a tied head."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = tokenizer(folder, "llama")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=size, hidden_size=24, intermediate_size=40, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        max_position_embeddings=512, initializer_range=0.3, **settings,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def t5(folder: Path, layers: int = 2) -> str:
    """A T5 of width 24 as Flan-T5 is made: gated GELU, a head of its own that is not tied to the embeddings."""
    import json

    import torch
    from safetensors.torch import save_file
    from transformers import T5Config, T5ForConditionalGeneration

    size = tokenizer(folder, "t5")
    torch.manual_seed(2)
    config = T5Config(
        vocab_size=size, d_model=24, d_kv=6, d_ff=40, num_layers=layers, num_decoder_layers=layers, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, dropout_rate=0.1,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    # transformers ties the head of every T5 that it makes, but reads Flan-T5's own head from a file
    weights = {name: value.clone() for name, value in model.state_dict().items() if "embed_tokens" not in name}
    weights["lm_head.weight"] = torch.randn(size, 24) * 0.3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    stored = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(stored | {"tie_word_embeddings": False}), "utf-8")
    return str(folder)


def clip(folder: Path, projector: bool = True) -> str:
    """A CLIP of width 20 on pictures of 32 pixels in 4 patches; `projector` saves text tower and projections too."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPVisionModel

    torch.manual_seed(3)
    tower = {"hidden_size": 20, "intermediate_size": 30, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**tower, "vocab_size": 50}, vision_config={**tower, "image_size": 32, "patch_size": 16}
    )
    model = CLIPModel(config) if projector else CLIPVisionModel(config.vision_config)
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def memes(count: int = 8) -> list[Any]:
    """Drawn memes: the harmful ones are red, so text and picture both tell."""
    from PIL import Image

    from memescope.meme import Meme

    found = []
    for i in range(count):
        harmful = i % 2 == 0
        colour = (200, 20 + 3 * i, 30) if harmful else (20, 60 + 9 * i, 200 - 5 * i)
        found.append(
            Meme(
                image=Image.new("RGB", (40 + i, 50 - i), colour),
                text=TEXTS[i % len(TEXTS)],
                id=f"m{i}",
                labels={
                    "harmful": "harmful" if harmful else "not-harmful",
                    "target": "community" if harmful else "none",
                },
                rationale=RATIONALES[i % len(RATIONALES)],
            )
        )
    return found
