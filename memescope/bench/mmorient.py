"""`memescope bench mmorient`: what relation graphs cost, and what the method costs beside plain concatenation.

Graphs: edges above the published threshold over drawn vectors of CLIP's width, each way in a process of its own
(`memescope.bench.relations`), against the bare product of all pairs. Steps and answers: the family's model at the
offline tier's widths on drawn features, against the concatenation baseline on the same ones (question O6). Times that
are compared are processor time. Nothing else should run meanwhile.

Shape letters: `n` memes of a graph, `b` memes of a batch.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.bench.relations import THRESHOLD, WIDTH, best_of, measured

if TYPE_CHECKING:
    from memescope.models.mmorient.features import Features

SIZES, QUICK_SIZES = (1_000, 5_000, 20_000), (500, 2_000)
ALONE, QUICK_ALONE = 100_000, 4_000
"""Memes over which no other way is tried: an N x N matrix of float32 would be 40 GB."""
DEGREE = 20
DEGREES, QUICK_DEGREES = (5, 20, 80, 320), (5, 80)
WAYS = ("product", "ours", "dense", "published")
BATCHES, QUICK_BATCHES = (30, 120, 480), (30, 120)
NODES, QUICK_NODES = (1_000, 10_000, 50_000), (500, 2_000)
SUPPORTS, QUICK_SUPPORTS = (32, 128, 512), (32, 128)
BATCH, FANOUT = 120, 15
TASKS = {"sentiment": 3, "humour_level": 4, "sarcasm_level": 4, "offensive_level": 4, "motivational": 2}
"""Memotion's task C and its numbers of labels."""
WORDS, REGIONS = (20, 384), (49, 1280)
HIDDEN = (1024, 512)


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Graphs by size and by number of edges, training steps, answers.

    With `data`, a prepared set, also the sparsity of its graphs by threshold: what `plot_sweep` draws.
    """
    import torch

    rounds = 1 if quick else 3
    measured_alike = {"sparsity": sparsity(data, 200 if quick else 0)} if data is not None else {}
    return measured_alike | {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "width": WIDTH,
        "threshold": THRESHOLD,
        "graphs": graphs(QUICK_SIZES if quick else SIZES, QUICK_ALONE if quick else ALONE, rounds),
        "memory_by_edges": by_edges(QUICK_SIZES[-1] if quick else SIZES[-1], QUICK_DEGREES if quick else DEGREES),
        "steps_by_batch": steps(QUICK_BATCHES if quick else BATCHES, 3 if quick else 7),
        "steps_by_nodes": sampled_steps(QUICK_NODES if quick else NODES, 3 if quick else 7),
        "answers": answers(QUICK_SUPPORTS if quick else SUPPORTS, 3 if quick else 7),
    }


def graphs(sizes: Sequence[int], alone: int, rounds: int) -> dict[str, Any]:
    """Each way at each size; how time and memory grow from the second largest to the largest."""
    rows: list[dict[str, Any]] = []
    for n in sizes:
        row: dict[str, Any] = {"memes": n} | {way: best_of(way, n, DEGREE, rounds) for way in WAYS}
        if not row["ours"]["edges"] == row["dense"]["edges"] == row["published"]["edges"]:
            raise AssertionError(f"the ways disagree about the edges of {n} memes: {row}")
        own = row["ours"]["cpu_seconds"]
        row["of_bare_product"] = round(own / row["product"]["cpu_seconds"], 3)
        row["dense_over_ours"] = round(row["dense"]["cpu_seconds"] / own, 2)
        row["published_over_ours"] = round(row["published"]["cpu_seconds"] / own, 2)
        rows.append(row)
    rows.append({"memes": alone, "ours": measured("ours", alone, DEGREE)})
    growth = {}
    for way in ("ours", "dense", "published"):
        small, large = [row for row in rows if way in row][-2:]
        growth[way] = {
            cost: exponent((small["memes"], small[way][cost]), (large["memes"], large[way][cost]))
            for cost in ("cpu_seconds", "peak_mib")
        }
    return {"degree": DEGREE, "rows": rows, "growth_exponent": growth}


def by_edges(memes: int, degrees: Sequence[int]) -> dict[str, Any]:
    """Peak memory of ours at one size as edges grow, and what an edge more costs, in bytes."""
    rows = [{"degree": degree} | measured("ours", memes, degree) for degree in degrees]
    more = (rows[-1]["peak_mib"] - rows[0]["peak_mib"]) * 2**20 / (rows[-1]["edges"] - rows[0]["edges"])
    return {"memes": memes, "rows": rows, "bytes_an_edge": round(more, 1)}


def sparsity(data: Path, limit: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Sparsity by threshold of the training memes of a prepared set, as the packaged encoders see them, by modality."""
    from memescope.models.mmorient.making import Making, MakingSettings
    from memescope.models.mmorient.sweep import sweep
    from memescope.training.recipe import Data
    from memescope.training.run import read_memes

    memes = read_memes(Data(root=data.parent, sets=(data.name,), limit=limit), ("train",))
    made = Making(MakingSettings(), keep=True)(memes, half=True)
    return {"text": sweep(made.text), "image": sweep(made.image)}


def exponent(first: tuple[float, float], second: tuple[float, float]) -> float | None:
    """p of cost ~ size^p through two points; None where a cost was too small to be told."""
    if min(first[1], second[1]) <= 0:
        return None
    return round(math.log(second[1] / first[1]) / math.log(second[0] / first[0]), 2)


def steps(batches: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """A training step on a batch that is its own graph, as published, and one of the concatenation baseline."""
    rows = []
    for b in batches:
        batch, labels = features(b), targets(b)
        ways = [_step(model("mmorient"), batch, labels), _step(model("concatenation"), batch, labels)]
        ours, plain = best(ways, rounds)
        rows.append({"batch": b, **_both(b, ours, plain, "rows_per_second")})
    return rows


def sampled_steps(nodes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """A step on 120 memes that hear at most 15 others each, drawn from graphs over `n` memes, and what those cost."""
    import torch

    from memescope.bench.relations import vectors
    from memescope.models.mmorient.cmrl import relate
    from memescope.models.mmorient.sampling import gather

    rows = []
    batch, labels, learner = features(BATCH), targets(BATCH), model("mmorient")
    for n in nodes:
        pooled = {"text": vectors(n, DEGREE)[:, : batch.text.shape[1]], "image": vectors(n, DEGREE)}
        pooled["image"] = torch.cat([pooled["image"]] * 3, 1)[:, : batch.image.shape[1]].contiguous()
        begun = time.process_time()
        joined = relate(pooled, dict.fromkeys(learner.config.graphs, THRESHOLD))
        built = time.process_time() - begun
        asked = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:BATCH]
        drawn = partial(gather, joined, asked, FANOUT, seed=0)
        others, edges = drawn()
        heard = {f"others_{name}": vectors[others] for name, vectors in pooled.items()}
        sample, step = best([drawn, _step(learner, batch, labels, edges=edges, **heard)], rounds)
        rows.append(
            {
                "memes": n,
                "edges": sum(len(graph.indices) for graph in joined.values()),
                "graphs_seconds": round(built, 3),
                "sample_milliseconds": round(1000 * sample, 2),
                "step_milliseconds": round(1000 * step, 2),
                "others": len(others),
            }
        )
    return rows


def answers(supports: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Memes answered a second from their features, each beside the support set, against the baseline."""
    batch = features(256)
    plain = model("concatenation")
    rows = []
    for size in supports:
        held = model("mmorient")
        held.hold(features(size, seed=1))
        ours, base = best([partial(held.tables, batch, "support"), partial(plain.tables, batch)], rounds)
        rows.append({"support": size, **_both(len(batch), ours, base, "answers_per_second")})
    return rows


def model(variant: str) -> Any:
    """The family at the offline tier's widths, with random weights."""
    import torch

    from memescope.models.mmorient.config import GRAPHS, MmOrientConfig
    from memescope.models.mmorient.model import MmOrient

    torch.manual_seed(0)
    labels = {task: [f"label {i}" for i in range(count)] for task, count in TASKS.items()}
    return MmOrient(
        MmOrientConfig(
            variant=variant,
            word_width=WORDS[1],
            region_width=REGIONS[1],
            text_width=WORDS[1],
            image_width=REGIONS[1],
            graphs=list(GRAPHS) if variant == "mmorient" else [],
            thresholds=dict.fromkeys(GRAPHS, THRESHOLD),
            hidden=list(HIDDEN),
            tasks={task: {"kind": "multiclass", "labels": names} for task, names in labels.items()},
        )
    )


def features(count: int, seed: int = 0) -> Features:
    """Drawn features of memes: 20 tokens, 49 regions, pooled vectors of which a twentieth of the pairs are alike."""
    import torch

    from memescope.models.mmorient.features import Features

    luck = torch.Generator().manual_seed(seed)
    template = torch.randint(0, 20, (count,), generator=luck)
    pooled = []
    for width in (WORDS[1], REGIONS[1]):
        centres = torch.randn(20, width, generator=torch.Generator().manual_seed(7))
        pooled.append(centres[template] + 0.25 * torch.randn(count, width, generator=luck))
    words, regions = (torch.randn(count, *shape, generator=luck) for shape in (WORDS, REGIONS))
    masks = [torch.ones(count, shape[0], dtype=torch.bool) for shape in (WORDS, REGIONS)]
    return Features(words, masks[0], regions, masks[1], pooled[0], pooled[1], torch.zeros(count, 0))


def targets(count: int) -> Any:
    """Drawn labels: (count, tasks)."""
    import torch

    luck = torch.Generator().manual_seed(0)
    return torch.stack([torch.randint(0, labels, (count,), generator=luck) for labels in TASKS.values()], 1)


def _step(learner: Any, batch: Features, labels: Any, **more: Any) -> Callable[[], None]:
    import torch

    optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-4)
    learner.train()

    def step() -> None:
        optimiser.zero_grad()
        learner(**batch.tensors(), labels=labels, **more).loss.backward()
        optimiser.step()

    return step


def _both(count: int, ours: float, plain: float, what: str) -> dict[str, float]:
    return {
        f"mmorient_{what}": round(count / ours, 1),
        f"concatenation_{what}": round(count / plain, 1),
        "times_as_slow": round(ours / plain, 2),
    }


def best(ways: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Processor seconds of the fastest round of each, after one to warm up, taken in turn."""
    for way in ways:
        way()
    fastest = [float("inf")] * len(ways)
    for _ in range(rounds):
        for i, way in enumerate(ways):
            begun = time.process_time()
            way()
            fastest[i] = min(fastest[i], time.process_time() - begun)
    return fastest


def plot(found: dict[str, Any], path: str | Path) -> None:
    """Time and memory by number of memes, from what `run` gives, as a picture (`.png` or `.svg`). Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    names = {"cpu_seconds": "seconds of one core", "peak_mib": "MiB beyond the vectors"}
    for axes, (figure_name, says) in zip(figure.subplots(1, 2), names.items(), strict=True):
        for way, marks in zip(("ours", "dense", "published", "product"), ("o-", "s--", "^:", "x-."), strict=True):
            rows = [row for row in found["graphs"]["rows"] if way in row]
            label = {"ours": "memescope", "dense": "torch, N x N", "product": "bare product"}.get(way, way)
            axes.loglog([row["memes"] for row in rows], [row[way][figure_name] for row in rows], marks, label=label)
        axes.set(xlabel="memes", ylabel=says)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"A relation graph: cosine above {THRESHOLD:g}, {DEGREE} relations a meme", fontsize=10)
    figure.savefig(path)
