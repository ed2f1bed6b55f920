"""Mr.Harm against its equations, written here once more in float64 from the papers alone: forward and gradients, 1e-9.

T5: Raffel et al. 2020 (pre-norm, RMS norm without mean, unscaled dot products, bucketed relative positions shared by
all layers), gated tanh-GELU of T5 v1.1. Llama: RMS norm, rotary positions, grouped keys, SwiGLU. The fusion: Mr.Harm.

Shape letters: t tokens, s source tokens, v visual tokens, d width, h heads, a width of a head.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # matrices this small only wait for other threads

from memescope.models.mrharm import create  # noqa: E402

Params = dict[str, Any]


def linear(p: Params, name: str, x: Any) -> Any:
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def rms(p: Params, name: str, x: Any, eps: float) -> Any:
    return p[f"{name}.weight"] * x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)


def softmax(x: Any) -> Any:
    e = torch.exp(x - x.max(-1, keepdim=True).values)
    return e / e.sum(-1, keepdim=True)


def fuse(p: Params, place: str, hidden: Any, visual: Any, heads: int = 1) -> Any:
    """H + out(softmax(q k^T / sqrt(d/2)) v), for one meme: hidden (t, d), visual (v, e)."""
    name = f"fusion.at.{place}"
    if f"{name}.q.weight" not in p:
        return hidden
    q, k, v = linear(p, f"{name}.q", hidden), linear(p, f"{name}.k", visual), linear(p, f"{name}.v", visual)
    a = q.shape[-1] // heads
    parts = [
        softmax(q[:, i : i + a] @ k[:, i : i + a].T / math.sqrt(a)) @ v[:, i : i + a] for i in range(0, a * heads, a)
    ]
    return hidden + linear(p, f"{name}.out", torch.cat(parts, -1))


def bucket(distance: int, both_ways: bool, buckets: int, farthest: int) -> int:
    """T5's bucket of a key's place less the query's."""
    number = 0
    if both_ways:
        buckets //= 2
        number, distance = (buckets if distance > 0 else 0), abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return number + distance
    far = exact + int(math.log(distance / exact) / math.log(farthest / exact) * (buckets - exact))
    return number + min(far, buckets - 1)


def t5_attention(p: Params, name: str, x: Any, source: Any, bias: Any, h: int) -> Any:
    q, k, v = linear(p, f"{name}.q", x), linear(p, f"{name}.k", source), linear(p, f"{name}.v", source)
    a = q.shape[-1] // h
    parts = []
    for i in range(h):
        at = slice(i * a, (i + 1) * a)
        parts.append(softmax(q[:, at] @ k[:, at].T + bias[i]) @ v[:, at])
    return linear(p, f"{name}.o", torch.cat(parts, -1))


def gated(p: Params, name: str, x: Any) -> Any:
    g = linear(p, f"{name}.wi_0", x)
    gelu = 0.5 * g * (1 + torch.tanh(math.sqrt(2 / math.pi) * (g + 0.044715 * g**3)))
    return linear(p, f"{name}.wo", gelu * linear(p, f"{name}.wi_1", x))


def t5_bias(p: Params, side: str, t: int, c: Any) -> Any:
    table = p[f"lm.{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    n, far = c.relative_attention_num_buckets, c.relative_attention_max_distance
    places = torch.tensor([[bucket(key - query, side == "encoder", n, far) for key in range(t)] for query in range(t)])
    bias = table[places].permute(2, 0, 1)
    if side == "decoder":
        bias = bias.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
    return bias


def t5_logits(p: Params, c: Any, source: list[int], visual: Any, target: list[int]) -> Any:
    """Logits of one meme at each place of its target: source text, picture, tokens the decoder has read."""
    eps, h = c.layer_norm_epsilon, c.num_heads
    x = p["lm.shared.weight"][source]
    bias = t5_bias(p, "encoder", len(source), c)
    for i in range(c.num_layers):
        name = f"lm.encoder.block.{i}.layer"
        y = rms(p, f"{name}.0.layer_norm", x, eps)
        x = x + t5_attention(p, f"{name}.0.SelfAttention", y, y, bias, h)
        x = x + gated(p, f"{name}.1.DenseReluDense", rms(p, f"{name}.1.layer_norm", x, eps))
        x = fuse(p, str(i), x, visual)
    states = fuse(p, "final", rms(p, "lm.encoder.final_layer_norm", x, eps), visual)
    x = p["lm.shared.weight"][target]
    bias = t5_bias(p, "decoder", len(target), c)
    for i in range(c.num_decoder_layers):
        name = f"lm.decoder.block.{i}.layer"
        y = rms(p, f"{name}.0.layer_norm", x, eps)
        x = x + t5_attention(p, f"{name}.0.SelfAttention", y, y, bias, h)
        y = rms(p, f"{name}.1.layer_norm", x, eps)
        x = x + t5_attention(p, f"{name}.1.EncDecAttention", y, states, [0.0] * h, h)
        x = x + gated(p, f"{name}.2.DenseReluDense", rms(p, f"{name}.2.layer_norm", x, eps))
    return rms(p, "lm.decoder.final_layer_norm", x, eps) @ p["lm.lm_head.weight"].T


def rotated(x: Any, theta: float) -> Any:
    """Each pair (i, i + a/2) of (t, a) turned by its place times theta^(-2i/a)."""
    t, a = x.shape
    # transformers keeps these angles in float32, and a table is not what is tested here
    angles = torch.arange(t).float()[:, None] * (1.0 / theta ** (torch.arange(0, a, 2).float() / a))
    cos, sin = angles.cos().double(), angles.sin().double()
    left, right = x[:, : a // 2], x[:, a // 2 :]
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


def llama_logits(p: Params, c: Any, ids: list[int], visual: Any, heads: int = 1) -> Any:
    eps, h, groups, a = c.rms_norm_eps, c.num_attention_heads, c.num_key_value_heads, c.head_dim
    theta = c.rope_parameters["rope_theta"]
    x = p["lm.model.embed_tokens.weight"][ids]
    later = torch.ones(len(ids), len(ids)).triu(1).bool()
    for i in range(c.num_hidden_layers):
        name = f"lm.model.layers.{i}"
        y = rms(p, f"{name}.input_layernorm", x, eps)
        q, k, v = (linear(p, f"{name}.self_attn.{one}_proj", y) for one in "qkv")
        parts = []
        for head in range(h):
            own, shared = slice(head * a, (head + 1) * a), head // (h // groups)
            of = slice(shared * a, (shared + 1) * a)
            scores = rotated(q[:, own], theta) @ rotated(k[:, of], theta).T / math.sqrt(a)
            parts.append(softmax(scores.masked_fill(later, -math.inf)) @ v[:, of])
        x = x + linear(p, f"{name}.self_attn.o_proj", torch.cat(parts, -1))
        y = rms(p, f"{name}.post_attention_layernorm", x, eps)
        gate = linear(p, f"{name}.mlp.gate_proj", y)
        x = x + linear(p, f"{name}.mlp.down_proj", gate * torch.sigmoid(gate) * linear(p, f"{name}.mlp.up_proj", y))
        x = fuse(p, str(i), x, visual, heads)
    return rms(p, "lm.model.norm", x, eps) @ p["lm.model.embed_tokens.weight"].T


@pytest.fixture(autouse=True)
def _norms_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norms of transformers pass through float32 whatever they are given; here they do not."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from transformers.models.t5.modeling_t5 import T5LayerNorm

    def forward(self: Any, x: Any) -> Any:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    monkeypatch.setattr(LlamaRMSNorm, "forward", forward)
    monkeypatch.setattr(T5LayerNorm, "forward", forward)


def made(folder: Path, kind: str, **settings: Any) -> Any:
    language = tiny.t5(folder / "t5") if kind == "seq2seq" else tiny.llama(folder / "llama")
    tasks = ("harmful", "target")
    model = create(language, tiny.clip(folder / "clip"), tasks, silent=False, max_rationale=9, **settings)
    return model.double().eval()


def compare(model: Any, loss: Any, expected: Any, parameters: Params) -> None:
    """Equal losses, and equal gradients of everything that has one."""
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-9)
    own = dict(model.named_parameters())
    used = torch.autograd.grad(expected, [parameters[name] for name in own], allow_unused=True)
    grads = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
    for name, found, right in zip(own, grads, used, strict=True):
        assert (found is None) == (right is None), name
        if right is not None:
            torch.testing.assert_close(
                found, right, atol=1e-9, rtol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert sum(right is not None and float(right.abs().max()) > 1e-6 for right in used) > len(own) / 2


def names(model: Any) -> Params:
    """The model's tensors by name as leaves of a graph of their own; tied ones are one leaf."""
    leaves = {id(value): value.detach().clone().requires_grad_() for _, value in model.named_parameters()}
    return {name: leaves[id(value)] for name, value in model.named_parameters(remove_duplicate=False)}


@pytest.mark.parametrize("stage", ["rationale", "label"])
@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_both_stages_follow_the_equations(tmp_path: Path, kind: str, stage: Any) -> None:
    model = made(tmp_path, kind)
    memes = tiny.memes(3)
    rows = [(row, meme) for meme in memes for row in model.processor.rows(meme, stage)]
    visual = model.processor.see([meme for _, meme in rows]).double()
    batch = model.processor.collate([row for row, _ in rows])
    loss = model(**batch, visual=visual).loss
    p, c = names(model), model.lm.config
    total, count = torch.zeros((), dtype=torch.float64), 0
    for i, (row, _) in enumerate(rows):
        if kind == "seq2seq":
            logits, aims = t5_logits(p, c, row["input_ids"], visual[i], row["decoder_input_ids"]), row["labels"]
        else:
            logits, aims = llama_logits(p, c, row["input_ids"][:-1], visual[i]), row["labels"][1:]
        for place, aim in enumerate(aims):
            if aim != -100:
                total = total - torch.log(softmax(logits[place])[aim])
                count += 1
    assert count > len(rows)
    compare(model, loss, total / count, p)


@pytest.mark.parametrize("kind", ["seq2seq", "decoder"])
def test_answers_by_scoring_follow_the_equations(tmp_path: Path, kind: str) -> None:
    model = made(tmp_path, kind)
    memes = tiny.memes(3)
    memes[1].labels = {"target": "society"}
    rows = [model.processor.rows(meme, "answer")[0] for meme in memes]
    assert [row["answers"] for row in rows] == [[1, 3], [-1, 4], [1, 3]]
    visual = model.processor.see(memes).double()
    loss = model(**model.processor.collate(rows), visual=visual).loss
    p, c = names(model), model.lm.config

    def score(i: int, given: Any, answer: Any) -> Any:
        prompt, written = rows[i]["input_ids"], [*given, *answer]
        if kind == "seq2seq":
            logits = t5_logits(p, c, prompt, visual[i], [0, *written])[len(given) :]
        else:
            logits = llama_logits(p, c, [*prompt, *written], visual[i])[len(prompt) + len(given) - 1 :]
        return sum(torch.log(softmax(logits[j])[token]) for j, token in enumerate(answer))

    expected = torch.zeros((), dtype=torch.float64)
    for question, labelled in zip(model.processor.questions, ([(0, 1), (2, 1)], [(0, 3), (1, 4), (2, 3)]), strict=True):
        given, choices = question.parts[0]
        losses = [
            -torch.log(softmax(torch.stack([score(i, given, a) for a in choices]))[right]) for i, right in labelled
        ]
        expected = expected + torch.stack(losses).mean()
    compare(model, loss, expected, p)


def test_heads_and_chosen_layers_follow_the_equations(tmp_path: Path) -> None:
    model = made(tmp_path, "decoder", fusion_heads=3, fusion_layers="last:2")
    assert sorted(model.fusion.at) == ["1", "2"]
    meme = tiny.memes(1)[0]
    row = model.processor.rows(meme, "label")[0]
    visual = model.processor.see([meme]).double()
    model.fusion.double()
    p = names(model)
    logits = model(**model.processor.collate([row]), visual=visual).logits
    expected = llama_logits(p, model.lm.config, row["input_ids"], visual[0], heads=3)
    learned = [i - 1 for i, aim in enumerate(row["labels"]) if aim != -100]
    torch.testing.assert_close(logits, expected[learned], atol=1e-9, rtol=0)


def test_the_published_model_has_one_fusion_a_block_and_one_behind_the_encoder(tmp_path: Path) -> None:
    model = made(tmp_path, "seq2seq")
    assert list(model.fusion.at) == ["0", "1", "final"]
    shapes = {name: tuple(value.shape) for name, value in model.fusion.at["0"].named_parameters()}
    # d = 24, dv = 20: q d -> d/2, k and v dv -> d/2, out d/2 -> d
    assert shapes == {
        "q.weight": (12, 24), "q.bias": (12,), "k.weight": (12, 20), "k.bias": (12,),
        "v.weight": (12, 20), "v.bias": (12,), "out.weight": (24, 12), "out.bias": (24,),
    }  # fmt: skip
    assert list(made(tmp_path, "seq2seq", final_fusion=False).fusion.at) == ["0", "1"]
