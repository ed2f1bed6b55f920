"""`memescope bench vlm`: what learning and answering cost a vision-language model, against plain ways and ideals.

The model is a TinyVLM of SmolLM2-135M's shape with random weights (speed does not depend on them). A meme has 16 places
of a picture, words as long as Harm-C's, and some tasks asked of it, each with a question behind the words. All ways are
timed in turn, best of several rounds, by the process's own clock, so that other work on the machine disturbs little.

Shape letters: b rows, t tokens, k tasks of a meme.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from memescope.bench.mrharm import as_trained, precisions, prompt_length

VOCABULARY, IMAGE, END = 49152, 49152, 2
SIDE, WIDTH = 4, 1280
OPENING, QUESTION = 14, 24
"""Tokens of the system message with the template's marks, and of a task's question with the answer's lead."""
CAP = 2048
"""Tokens of a training batch, padding counted, for all ways alike."""


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Learning, answering, and models of several depths beside each other. `data` is not needed."""
    import torch

    from memescope.training.staged.heap import keep_freed_memory

    rounds = 1 if quick else 3
    keep_freed_memory()
    learner, reader = model(3 if quick else 12), model(4 if quick else 12)
    return {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "clock": "CPU seconds of the process",
        "layers": {"learning": depth(learner), "answering": depth(reader)},
        "matmul_gflops": {name: round(matmul_peak(name) / 1e9, 1) for name in precisions()},
        "learning": learning(learner, rounds, memes=60 if quick else 240, batches=1 if quick else 4),
        "answering": answering(reader, rounds, memes=8 if quick else 16, tasks=4 if quick else 8),
        "depths": depths((3, 2) if quick else (30, 12, 8, 6, 4), rounds),
    }


def model(layers: int) -> Any:
    """A family's model around a TinyVLM of SmolLM2-135M's width, without words: rows are made of token numbers."""
    import torch

    from memescope.backbones.tinyvlm import TinyVlmConfig, TinyVlmForConditionalGeneration
    from memescope.backbones.vlm.tiny import TinyVl
    from memescope.models.vlm import VlmConfig, VlmModel

    class Wordless(TinyVl):
        def __init__(self, made: Any) -> None:
            self.model, self.image, self.pad, self.end, self.gap = made, IMAGE, END, END, ""

    class Silent(VlmModel):
        def instructions(self, meme: Any, tasks: Any) -> list[Any]:
            return []

        def turns(self, meme: Any, objective: str) -> list[Any]:
            return []

    text = {
        "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": layers,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": VOCABULARY, "tie_word_embeddings": True,
        "max_position_embeddings": 8192, "bos_token_id": 1, "eos_token_id": END, "pad_token_id": END,
    }  # fmt: skip
    torch.manual_seed(0)
    config = TinyVlmConfig(text_config=text, visual_width=WIDTH, visual_side=SIDE, image_token_id=IMAGE)
    made = TinyVlmForConditionalGeneration(config).eval()
    return Silent(VlmConfig(), Wordless(made)).eval()


def depth(made: Any) -> int:
    """Layers of the language model."""
    return len(made.vlm.text_model.layers)


# learning


def learning(made: Any, rounds: int, memes: int, batches: int) -> dict[str, Any]:
    """Rows in batches by length, packed or not, on kept features and learnt places alone, against transformers' own
    loop: random batches, pictures encoded, logits everywhere. All in bfloat16 by autocast where the processor
    multiplies it, in float32 elsewhere; `CAP` tokens a batch.

    Tokens are those of the rows before packing, padding not counted: the same data for all ways.
    """
    import torch

    from memescope.models.batching import length_batches
    from memescope.models.vlm.rows import packed

    rng = Random(0)
    drawn = [rows_of_a_meme(rng, rng.choice((2, 3, 5))) for _ in range(memes)]
    sights = torch.rand(SIDE**2, WIDTH)
    flat = [[row] for rows in drawn for row in rows]
    joined = [packed(rows) for rows in drawn]
    order = list(range(len(flat)))
    rng.shuffle(order)
    random: list[list[int]] = [[]]
    for i in order:
        if (len(random[-1]) + 1) * max(len(flat[j][0]) for j in [*random[-1], i]) > CAP:
            random.append([])
        random[-1].append(i)
    by_length = length_batches([len(rows[0]) for rows in flat], 0, most_rows=64, most_tokens=CAP)
    by_meme = length_batches([len(rows[0]) for rows in joined], 0, most_rows=64, most_tokens=CAP)
    # what a packed row stands for
    sizes = {"plain": [len(rows[0]) for rows in flat], "packed": [sum(map(len, rows)) for rows in drawn]}
    ways: dict[str, tuple[list[list[int]], list[int], Callable[[list[int]], None]]] = {
        "plain": (random, sizes["plain"], lambda some: plain_step(made, [flat[i][0] for i in some])),
        "by_length": (by_length, sizes["plain"], lambda some: our_step(made, [flat[i][0] for i in some], sights)),
        "packed": (by_meme, sizes["packed"], lambda some: our_step(made, [joined[i][0] for i in some], sights)),
    }
    seconds, tokens = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
    work = 0.0
    for number in range(batches + 1):
        for name, (chosen, size, step) in ways.items():
            # as each would be run: fused attention is faster for one, plain products backward for the other
            made.vlm.text_model.set_attn_implementation("sdpa" if name == "plain" else "eager")
            some = chosen[number]
            spent = min(timed(lambda step=step, some=some: step(some)) for _ in range(max(1, rounds // 2)))  # type: ignore[misc]
            if number:  # the first of each warms up
                seconds[name] += spent
                tokens[name] += sum(size[i] for i in some)
                if name == "packed":
                    work += useful_work(made, [joined[i][0] for i in some])
    found: dict[str, Any] = {"cap": CAP, "precision": precisions()[-1], "rows_of_a_meme": "2, 3 or 5"}
    for name in ways:
        found[f"{name}_tokens_per_second"] = round(tokens[name] / seconds[name], 1)
    found["speedup_by_length"] = round(found["by_length_tokens_per_second"] / found["plain_tokens_per_second"], 2)
    found["speedup_packed"] = round(found["packed_tokens_per_second"] / found["plain_tokens_per_second"], 2)
    found["packed_share_of_matmul_peak"] = round(work / seconds["packed"] / matmul_peak(precisions()[-1]), 3)
    return found


def rows_of_a_meme(rng: Random, tasks: int) -> list[Any]:
    """One row for each task: opening, picture and words alike, then a question and a label of one to four tokens."""
    from memescope.models.vlm.rows import Row

    words = [rng.randrange(5, VOCABULARY) for _ in range(prompt_length(rng))]
    rows = []
    for task in range(tasks):
        given = [*range(5, 5 + OPENING), *[IMAGE] * SIDE**2, *words, *range(100 * task + 7, 100 * task + 7 + QUESTION)]
        answer = [rng.randrange(5, VOCABULARY) for _ in range(rng.randint(1, 4))] + [END]
        rows.append(Row([*given, *answer], [-100] * len(given) + answer))
    return rows


def our_step(made: Any, rows: Sequence[Any], features: Any) -> None:
    """One batch, both ways, on features as they are kept."""
    from memescope.backbones.vlm import Sight
    from memescope.models.vlm.rows import collate

    batch = collate(rows, END) | {"sights": [Sight(features, (SIDE, SIDE))] * len(rows)}
    with as_trained():
        loss = made(**batch).loss
    loss.backward()
    made.zero_grad()


def plain_step(made: Any, rows: Sequence[Any]) -> None:
    """One batch, both ways, as transformers' own model and a loop around it do it: the pictures are encoded."""
    from memescope.backbones.tinyvlm import TinyVlmImageProcessor
    from memescope.models.vlm.rows import collate

    batch = collate(rows, END)
    visual = TinyVlmImageProcessor().features(pictures(len(rows)))
    with as_trained():
        loss = made.vlm.model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"].long(),
            visual=visual,
            labels=batch["labels"],
            use_cache=False,
        ).loss
    loss.backward()
    made.zero_grad()


_DRAWN = [0]


def pictures(count: int) -> list[Any]:
    """New pictures each time: the encoder remembers what it has seen."""
    from PIL import Image

    _DRAWN[0] += 1
    rng = np.random.default_rng(_DRAWN[0])
    return [Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).resize((240, 240)) for _ in range(count)]


def useful_work(made: Any, rows: Sequence[Any]) -> float:
    """Multiplications and additions of a step that are not spent on padding: matrix products, both ways."""
    blocks = sum(p.numel() for layer in made.vlm.text_model.layers for p in layer.parameters() if p.dim() == 2)
    head = made.vlm.model.lm_head.weight.numel()
    projector = sum(p.numel() for p in made.vlm.model.model.projector.parameters() if p.dim() == 2)
    tokens, learnt = sum(map(len, rows)), sum(label != -100 for row in rows for label in row.labels)
    # 2 for each weight and token forward, 4 backward
    return 6.0 * (tokens * blocks + learnt * head + len(rows) * SIDE**2 * projector)


# answering


def answering(made: Any, rounds: int, memes: int, tasks: int) -> dict[str, Any]:
    """Every label of every task scored behind one reading of each meme, against `generate` with its cache for each
    task; and against one plain pass of as many tokens, and as many states that meet the vocabulary."""
    import torch

    from memescope.backbones.vlm import Sight
    from memescope.models.vlm.asking import Part

    rng = Random(1)
    labels = [
        tuple(tuple(rng.randrange(5, VOCABULARY) for _ in range(1 + i % 3)) for i in range(2 + t % 4))
        for t in range(tasks)
    ]
    asked = [
        [Part(str(t), tuple(given(row)), labels[t]) for t, row in enumerate(rows_of_a_meme(rng, tasks))]
        for _ in range(memes)
    ]
    sight = Sight(torch.rand(SIDE**2, WIDTH), (SIDE, SIDE))
    stems = [stem for parts in asked for stem in made._asker.stems(parts, IMAGE)]
    trees = [branch.tree for stem in stems for branch, _ in stem.branches]
    tokens = sum(len(stem.ids) for stem in stems) + sum(len(tree.read) for tree in trees)
    states = sum(len({tree.parents[node] for node in tree.wanted}) for tree in trees)
    longest = max(len(label) for some in labels for label in some) + 1
    length = round(np.mean([len(stem.ids) for stem in stems]))
    filled = torch.full((max(1, round(tokens / length)), length), 7)
    vectors = torch.randn(states, 576)

    def ideal() -> None:
        for some in filled.split(max(1, CAP // length)):
            made.vlm.text_model(input_ids=some, use_cache=False)
        for start in range(0, states, 256):
            made.vlm.model.lm_head(vectors[start : start + 256]).logsumexp(-1)

    def scored() -> None:
        made.scored(asked, lambda some: [sight] * len(some))

    def generated() -> None:
        for t in range(tasks):
            rows = [parts[t].given for parts in asked]
            most = max(map(len, rows))
            # padded on the left, as generate wants it
            ids = torch.tensor([[END] * (most - len(row)) + list(row) for row in rows])
            mask = torch.tensor([[0] * (most - len(row)) + [1] * len(row) for row in rows])
            made.vlm.model.generate(
                input_ids=ids, attention_mask=mask, visual=sight.features.expand(memes, -1, -1), do_sample=False,
                max_new_tokens=longest, min_new_tokens=longest, pad_token_id=END,
            )  # fmt: skip

    with torch.inference_mode():
        times = best([scored, generated, ideal], rounds)
    return {
        "memes": memes,
        "tasks": tasks,
        "tokens": tokens,
        "scored_answers_per_second": round(memes * tasks / times[0], 1),
        "generated_answers_per_second": round(memes * tasks / times[1], 1),
        "speedup": round(times[1] / times[0], 2),
        "share_of_ideal": round(times[2] / times[0], 3),
    }


def given(row: Any) -> list[int]:
    """The tokens of a row before what is learnt."""
    return [token for token, label in zip(row.ids, row.labels, strict=True) if label == -100]


# depths


def depths(layers: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Assistant and students: what a model of each depth takes to answer one meme and to write, and in memory."""
    import torch

    from memescope.backbones.vlm import Sight
    from memescope.models.vlm.asking import Part
    from memescope.models.vlm.reading import read
    from memescope.models.writing import write

    sight = Sight(torch.rand(SIDE**2, WIDTH), (SIDE, SIDE))
    found = []
    for count in layers:
        made = model(count)
        row = given(rows_of_a_meme(Random(2), 1)[0])
        part = Part("t", tuple(row), ((11,), (12, 13), (14,)))

        def one(made: Any = made, part: Any = part) -> None:
            made.scored([[part]], lambda some: [sight])

        def text(made: Any = made, row: Any = row) -> None:
            with torch.inference_mode():
                write(read(made.vlm, [row] * 8, [sight] * 8), (), set(), 16)

        seconds = best([one, text], rounds)
        found.append({
            "layers": count,
            "float32_megabytes": round(sum(p.numel() for p in made.parameters()) * 4 / 1e6, 1),
            "milliseconds_per_answer": round(1000 * seconds[0], 1),
            "written_tokens_per_second": round(8 * 16 / seconds[1], 1),
        })  # fmt: skip
    return found


def matmul_peak(dtype: str) -> float:
    """Multiplications and additions a CPU second in a product of the size that training spends its time in."""
    import torch

    torch.manual_seed(0)
    a = torch.randn(CAP, 576, dtype=getattr(torch, dtype))
    b = torch.randn(576, 1536, dtype=getattr(torch, dtype))
    return 10 * 2 * CAP * 576 * 1536 / best([lambda: [a @ b for _ in range(10)]], 7)[0]


def timed(way: Callable[[], Any]) -> float:
    """CPU seconds of the process."""
    start = time.process_time()
    way()
    return time.process_time() - start


def best(ways: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """CPU seconds of the fastest round of each, taken in turn so that a slow moment meets all of them."""
    for way in ways:
        way()
    fastest = [float("inf")] * len(ways)
    for _ in range(rounds):
        for i, way in enumerate(ways):
            fastest[i] = min(fastest[i], timed(way))
    return fastest
