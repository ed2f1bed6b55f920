"""`memescope bench mrharm`: what answering, learning and writing cost, each against the least it could cost.

The model is SmolLM2-135M's shape with random weights (speed does not depend on them): 12 of its 30 layers for learning,
as on small machines, and all 30 for answering and writing; 4 and 6 with `--quick`. Rows are as long as those of Harm-C.
Every pair of ways is timed in turn, best of several rounds, by the clock: nothing else should run meanwhile.

Shape letters: b memes, t tokens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

LEAD = (504, 2988, 314, 42)
"""Tokens of "The answer is:" in SmolLM2, then those of its labels harmful and not-harmful, and its end."""
LABELS = ((5794,), (441, 29, 24065, 739))
END = 2
VISUAL = (49, 1280)
CAP = 2048
"""Tokens of a training batch, padding counted."""


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Answering, cached features, batches by length, writing. `data` is not needed."""
    import torch

    from memescope.training.staged.heap import keep_freed_memory

    rounds = 2 if quick else 7
    learner, reader = model(4 if quick else 12), model(6 if quick else 30)
    # as training does on a CPU, for all ways alike
    learner.lm.set_attn_implementation("eager")
    keep_freed_memory()
    return {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "layers": {"learning": len(learner.lm.model.layers), "answering": len(reader.lm.model.layers)},
        "matmul_gflops": {name: round(matmul_peak(name) / 1e9, 1) for name in precisions()},
        "answering": answering(reader, rounds, batch=16),
        "features": features(learner, rounds, batch=8 if quick else 16),
        "batches": batches(learner, batch_count=2 if quick else 12),
        "writing": writing(reader, rounds, batch=16, tokens=12 if quick else 64),
    }


def model(layers: int) -> Any:
    """A Mr.Harm around a decoder-only model of SmolLM2-135M's width, with random weights and one task."""
    import torch
    from transformers import AutoConfig

    from memescope.models.mrharm import MrHarmConfig
    from memescope.models.mrharm.decoder import MrHarmDecoder
    from memescope.models.scoring import Question, Scorer

    language = AutoConfig.for_model(
        "llama", hidden_size=576, intermediate_size=1536, num_hidden_layers=layers, num_attention_heads=9,
        num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True, max_position_embeddings=8192,
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    made = MrHarmDecoder(MrHarmConfig(language_config=language.to_dict(), kind="decoder", visual_width=VISUAL[1]))
    question = Question("harmful", ("harmful", "not-harmful"), False, ((LEAD, LABELS),))
    made.__dict__["_scorer"] = Scorer([question])
    return made.eval()


def precisions() -> tuple[str, ...]:
    """What products are measured in on this processor; the last one is what training computes in."""
    from memescope.backbones.precision import fast_bf16

    return ("float32", "bfloat16") if fast_bf16() else ("float32",)


def as_trained() -> AbstractContextManager[Any]:
    """The context that training computes in on this processor."""
    from memescope.backbones.precision import products

    return products("bfloat16", "cpu")


def matmul_peak(dtype: str) -> float:
    """Multiplications and additions a second in a product of the size that training spends its time in."""
    import torch

    torch.manual_seed(0)
    a = torch.randn(CAP, 576, dtype=getattr(torch, dtype))
    b = torch.randn(576, 1536, dtype=getattr(torch, dtype))
    seconds = best([lambda: [a @ b for _ in range(10)]], 7)[0]
    return 10 * 2 * CAP * 576 * 1536 / seconds


def answering(made: Any, rounds: int, batch: int) -> dict[str, Any]:
    """Scoring every label against writing the answer and parsing it; and against what its tokens alone cost."""
    import torch

    from memescope.models.writing import write

    lengths = [36 + i % 5 for i in range(batch)]  # prompts of one batch are of similar length
    prompts = padded_batch([[5 + j for j in range(t)] for t in lengths])
    scorer = made.scorer
    longest = max(map(len, LABELS)) + 1
    read = len(scorer.tree.read)
    states = batch * len({scorer.tree.parents[node] for node in scorer.tree.wanted})
    tokens = sum(lengths) + batch * read
    # the same number of tokens in one plain pass of the language model, then the states that meet the vocabulary
    plain = torch.full((batch, round(tokens / batch)), 7)
    keys = made.fusion.look(prompts["visual"])
    head = made.lm.get_output_embeddings()
    some = torch.randn(states, made.lm.config.hidden_size)

    def ideal() -> None:
        made.fusion.look(prompts["visual"])
        made.lm.base_model(input_ids=plain, use_cache=False, visual=keys)
        head(some).logsumexp(-1)

    def scored() -> None:
        scorer(made.read(prompts))["harmful"].softmax(-1)

    def written() -> None:
        texts = write(made.read(prompts), LEAD, {END}, longest)
        [next((i for i, label in enumerate(LABELS) if tuple(text[: len(label)]) == label), None) for text in texts]

    with torch.inference_mode():
        times = best([scored, written, ideal], rounds)
    return {
        "memes": batch,
        "tokens": tokens,
        "scored_memes_per_second": round(batch / times[0], 1),
        "written_memes_per_second": round(batch / times[1], 1),
        "speedup": round(times[1] / times[0], 2),
        "share_of_ideal": round(times[2] / times[0], 3),
    }


def features(made: Any, rounds: int, batch: int) -> dict[str, Any]:
    """A training step on cached picture features, and one that computes them."""
    import torch

    from memescope.backbones import load_vision_encoder
    from memescope.perception.pictures import open_picture

    rng = np.random.default_rng(0)
    encoder = load_vision_encoder("effnet-lite0")
    rows = training_batch([100] * batch)
    from PIL import Image

    def pictures() -> list[Any]:
        noise = rng.integers(0, 255, (batch, 24, 24, 3), dtype=np.uint8)
        return [open_picture(Image.fromarray(one).resize((240, 240))) for one in noise]

    fresh = [pictures() for _ in range(rounds)]  # new ones each round: the encoder remembers what it has seen

    def step(visual: Any) -> None:
        made(**(rows | {"visual": visual})).loss.backward()
        made.zero_grad()

    cached = torch.rand(batch, *VISUAL)
    times = best(
        [lambda: step(cached), lambda: step(torch.from_numpy(encoder.patches(fresh.pop())).flatten(1, 2))], rounds
    )
    return {
        "memes": batch,
        "cached_seconds": round(times[0], 3),
        "computed_seconds": round(times[1], 3),
        "saved_share": round(1 - times[0] / times[1], 3),
    }


def batches(made: Any, batch_count: int) -> dict[str, Any]:
    """Rows of one epoch in batches by length and in random ones, both of at most `CAP` padded tokens."""
    from memescope.models.batching import length_batches

    rng = Random(0)
    lengths = [prompt_length(rng) + 4 + rng.randint(60, 140) for _ in range(3000)]
    order = list(range(len(lengths)))
    rng.shuffle(order)
    random: list[list[int]] = [[]]
    for i in order:
        if (len(random[-1]) + 1) * max(lengths[j] for j in [*random[-1], i]) > CAP:
            random.append([])
        random[-1].append(i)
    by_length = length_batches(lengths, 0, most_rows=64, most_tokens=CAP)
    peak = matmul_peak(precisions()[-1])
    found: dict[str, Any] = {"cap": CAP, "precision": precisions()[-1]}
    ways = {"by_length": by_length, "random": random}
    seconds, tokens, work = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    for number in range(batch_count + 1):
        for name, chosen in ways.items():
            some = [lengths[i] for i in chosen[number]]
            batch = training_batch(some)
            start = time.perf_counter()
            with as_trained():
                loss = made(**batch).loss
            loss.backward()
            made.zero_grad()
            if number:  # the first of each warms up
                seconds[name] += time.perf_counter() - start
                tokens[name] += sum(some)
                work[name] += useful_work(made, some, batch)
    for name, chosen in ways.items():
        padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in chosen)
        found[name] = {
            "tokens_per_second": round(tokens[name] / seconds[name], 1),
            "padding_share": round(1 - sum(lengths) / padded, 3),
            "share_of_matmul_peak": round(work[name] / seconds[name] / peak, 3),
        }
    found["speedup"] = round(found["by_length"]["tokens_per_second"] / found["random"]["tokens_per_second"], 2)
    return found


def useful_work(made: Any, lengths: list[int], batch: dict[str, Any]) -> float:
    """Multiplications and additions of a training step that are not spent on padding: matrix products, both ways."""
    blocks = sum(p.numel() for layer in made.lm.model.layers for p in layer.parameters() if p.dim() == 2)
    looks = sum(a.q.weight.numel() + a.out.weight.numel() for a in made.fusion.at.values())
    seen = sum(a.k.weight.numel() + a.v.weight.numel() for a in made.fusion.at.values())
    head = made.lm.lm_head.weight.numel()
    learned = int((batch["labels"] != -100).sum())
    # 2 for each weight and token forward, 4 backward; the picture's features need no gradient, so 2 there
    return 6.0 * sum(lengths) * (blocks + looks) + 6.0 * learned * head + 4.0 * len(lengths) * VISUAL[0] * seen


def writing(made: Any, rounds: int, batch: int, tokens: int) -> dict[str, Any]:
    """Rationales of a batch at once, against the bare language model fed as many single tokens with its own cache."""
    import torch
    from transformers import DynamicCache

    from memescope.models.writing import write

    prompts = padded_batch([[5 + j for j in range(40)] for _ in range(batch)])

    def written() -> None:
        write(made.read(prompts), (), set(), tokens)

    def floor() -> None:
        cache = DynamicCache(config=made.lm.config)
        logits = made.lm(input_ids=prompts["input_ids"], past_key_values=cache, logits_to_keep=1).logits
        for _ in range(tokens - 1):
            logits = made.lm(input_ids=logits[:, -1].argmax(-1)[:, None], past_key_values=cache).logits

    with torch.inference_mode():
        times = best([written, floor], rounds)
    return {
        "rows": batch,
        "tokens": tokens,
        "tokens_per_second": round(batch * tokens / times[0], 1),
        "floor_tokens_per_second": round(batch * tokens / times[1], 1),
        "share_of_floor": round(times[1] / times[0], 3),
    }


def prompt_length(rng: Random) -> int:
    """Tokens of a Harm-C text with SmolLM2's tokenizer, roughly: log-normal with a median of 30."""
    return max(6, min(128, round(rng.lognormvariate(3.4, 0.5))))


def padded_batch(rows: list[list[int]]) -> dict[str, Any]:
    """Prompts padded on the right, with visual tokens."""
    import torch

    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([row + [END] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        "visual": torch.rand(len(rows), *VISUAL),
    }


def training_batch(lengths: list[int]) -> dict[str, Any]:
    """Rows of these lengths; two thirds of each are learned, as of a Harm-C text and its rationale."""
    import torch

    batch = padded_batch([[5 + j for j in range(t)] for t in lengths])
    place = torch.arange(batch["input_ids"].shape[1])[None]
    limits = torch.tensor(lengths)[:, None]
    batch["labels"] = batch["input_ids"].masked_fill((place < limits // 3) | (place >= limits), -100)
    return batch


def best(ways: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of the fastest round of each, taken in turn so that a slow moment meets all of them."""
    for way in ways[:-1]:
        way()
    fastest = [float("inf")] * len(ways)
    for _ in range(rounds):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            way()
            fastest[i] = min(fastest[i], time.perf_counter() - start)
    return fastest
