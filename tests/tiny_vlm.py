"""Tiny random vision-language models in hub layout, with chat templates as the real ones have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny

QWEN_MARKS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
]  # fmt: skip
QWEN_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOL_MARKS = [
    "<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>", "<image>",
    *[f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)],
]  # fmt: skip
SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def tokenizer(folder: Path, marks: list[str], template: str, own_file: bool = False) -> Any:
    """A byte-level BPE with these marks; `own_file` has the template in `chat_template.json`, as older models do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator([*tiny.corpus(), "Label: Explanation: Text: You look at memes."], trainer)
    end = "<|im_end|>" if "<|im_end|>" in marks else "<end_of_utterance>"
    found = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=end, pad_token="<|endoftext|>")
    if own_file:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}), "utf-8")
    else:
        found.chat_template = template
    found.save_pretrained(folder)
    return found


def qwen(folder: Path, make: str = "qwen3_vl", size: int = 28 * 28 * 6, **text: Any) -> str:
    """A Qwen3-VL or Qwen2.5-VL of width 32: grouped keys, M-RoPE, deepstack or windows, pictures of few patches."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    new = make == "qwen3_vl"
    made = tokenizer(folder, QWEN_MARKS, QWEN_TEMPLATE, own_file=not new)
    torch.manual_seed(5)
    language = {
        "vocab_size": len(made), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
        "tie_word_embeddings": True, "initializer_range": 0.2, "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2] if new else [2, 1, 1],
        }, **({"head_dim": 16} if new else {}), **text,
    }  # fmt: skip
    vision: dict[str, Any] = {
        "depth": 3, "hidden_size": 16, "num_heads": 2, "intermediate_size": 24, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.2, "out_hidden_size": 32,
    }  # fmt: skip
    ids = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
    model: Any
    if new:
        vision |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]}
        config = Qwen3VLConfig(text_config=language, vision_config=vision, tie_word_embeddings=True, **ids)
        model = Qwen3VLForConditionalGeneration(config)
    else:
        vision |= {"window_size": 56, "fullatt_block_indexes": [2]}
        config = Qwen2_5_VLConfig(text_config=language, vision_config=vision, tie_word_embeddings=True, **ids)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(folder)
    Qwen2VLImageProcessorPil(patch_size=14, size={"shortest_edge": 28 * 28, "longest_edge": size}).save_pretrained(
        folder
    )
    return str(folder)


def smol(folder: Path, splitting: bool = True) -> str:
    """A SmolVLM of width 32: pictures cut into tiles of 32 pixels, each 4 tokens."""
    import torch
    from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    made = tokenizer(folder, SMOL_MARKS, SMOL_TEMPLATE)
    torch.manual_seed(6)
    language = {
        "model_type": "llama", "vocab_size": len(made), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2, "head_dim": 8, "max_position_embeddings": 1024,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8, "initializer_range": 0.2,
    }  # fmt: skip
    config = SmolVLMConfig(
        text_config=language, vision_config=vision, scale_factor=2, image_token_id=made.convert_tokens_to_ids("<image>")
    )
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    SmolVLMImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=splitting
    ).save_pretrained(folder)
    return str(folder)


def tinyvlm(folder: Path, side: int = 2, layers: int = 2) -> str:
    """A TinyVLM around a Llama of width 24, on the packaged picture encoder, in a folder of its own."""
    from memescope.backbones.vlm.tiny import new_tiny

    language = tiny.llama(folder / "llama", layers)
    new_tiny(language, side=side, width=20, seed=3).save(folder / "vlm")
    return str(folder / "vlm")
