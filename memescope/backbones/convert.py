"""Foreign weight files to a folder with safetensors, once: GGUF language models and PyTorch pickles.

The caller has checked the file against its pinned hash; a pickle is still read with `weights_only=True`, which runs no
code. GGUF is read with the `gguf` package (the format: github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from memescope.errors import MemescopeError, MissingExtra

# GGUF name of a llama tensor -> its name in transformers, without ".weight"
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_INNER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_CONTROL = 3
"""The token type of GGUF that means special tokens."""


def gguf_llama(source: Path, folder: Path) -> None:
    """A GGUF file of a llama model with a byte-level BPE tokenizer -> config, float16 weights and tokenizer in
    `folder`.

    The checkpoint loads with `AutoModelForCausalLM` and `AutoTokenizer`, as float32 unless told otherwise. Raises
    `MemescopeError` for another architecture or tokenizer, or a tensor that is not known.
    """
    try:
        from gguf import GGUFReader, dequantize
        from safetensors.numpy import save_file
    except ImportError:
        raise MissingExtra("reading GGUF", "train") from None
    reader = GGUFReader(source)
    meta = {name: field.contents() for name, field in reader.fields.items()}
    for key, expected in (("general.architecture", "llama"), ("tokenizer.ggml.model", "gpt2")):
        if meta.get(key) != expected:
            raise MemescopeError(f"{source.name}: {key} is {meta.get(key)!r}; only {expected!r} can be converted")
    config = _llama_config(meta, tied=not any(tensor.name == "output.weight" for tensor in reader.tensors))
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":  # computed, not learned
            continue
        value = dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            value = _unpermute(value, heads[kind])
        weights[_llama_name(tensor.name, source)] = np.ascontiguousarray(value, dtype=np.float16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write(folder / "generation_config.json", generation)
    _byte_level_tokenizer(meta, folder)


def _llama_name(name: str, source: Path) -> str:
    stem = name.removesuffix(".weight")
    parts = stem.split(".")
    if stem in _OUTER:
        return f"{_OUTER[stem]}.weight"
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in _INNER:
        return f"model.layers.{parts[1]}.{_INNER[parts[2]]}.weight"
    raise MemescopeError(f"{source.name}: tensor {name!r} is not part of a llama model")


def _unpermute(value: np.ndarray, heads: int) -> np.ndarray:
    """Rotary halves side by side, as transformers has them; GGUF interleaves the two halves of each head: (out, in)."""
    out, width = value.shape
    return value.reshape(heads, out // heads // 2, 2, width).swapaxes(1, 2).reshape(out, width)


def _llama_config(meta: dict[str, Any], tied: bool) -> dict[str, Any]:
    width, heads = meta["llama.embedding_length"], meta["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": meta.get("llama.attention.head_count_kv", heads),
        "head_dim": meta.get("llama.rope.dimension_count", width // heads),
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": meta["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": meta.get("llama.rope.freq_base", 10000.0),
        "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta.get("tokenizer.ggml.padding_token_id"),
    }


def _byte_level_tokenizer(meta: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if meta.get("tokenizer.ggml.pre") == "smollm":  # every digit is a token of its own
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    else:
        tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, meta["tokenizer.ggml.token_type"], strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: meta.get(f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": meta["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        **{name: tokens[i] for name, i in ids.items() if i is not None},
    }
    if "tokenizer.chat_template" in meta:
        settings["chat_template"] = meta["tokenizer.chat_template"]
    _write(folder / "tokenizer_config.json", settings)


def effnet_lite0(source: Path, folder: Path) -> None:
    """The published pickle of EfficientNet-lite0 -> `model.safetensors` in `folder`, for `efficientnet.load_folder`."""
    try:
        from safetensors.torch import save_file

        from memescope.backbones.efficientnet import load_reference
    except ImportError:
        raise MissingExtra("reading a PyTorch file", "train") from None
    save_file(load_reference(source).state_dict(), folder / "model.safetensors")


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


CONVERT: dict[str, Callable[[Path, Path], None]] = {"gguf_llama": gguf_llama, "effnet_lite0": effnet_lite0}
