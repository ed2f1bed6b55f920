"""The ways `bench mmorient` builds a relation graph, each in a process of its own, so that its peak memory is its own.

    python -m memescope.bench.relations WAY MEMES DEGREE

prints seconds and memory as JSON. Vectors are 512 wide, as CLIP's are, and drawn so that the published threshold, 0.9,
joins each meme to DEGREE others: memes of one template, each the template's vector with noise.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from memescope.errors import MemescopeError

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 512
THRESHOLD = 0.9
NOISE = 0.25
"""Of a meme beside its template: cosines within a template are then about 0.94, to others about 0."""


def vectors(memes: int, degree: int) -> Tensor:
    """float32 (memes, 512), of length 1, each above the threshold with `degree` others."""
    import torch
    from torch.nn.functional import normalize

    luck = torch.Generator().manual_seed(memes + degree)
    found = torch.empty(memes, WIDTH)
    per = degree + 1
    for start in range(0, memes, per):
        template = normalize(torch.randn(1, WIDTH, generator=luck))
        count = min(per, memes - start)
        noise = torch.randn(count, WIDTH, generator=luck) * (NOISE / WIDTH**0.5)
        found[start : start + count] = normalize(template + noise)
    return found[torch.randperm(memes, generator=luck)].contiguous()


def ours(x: Tensor) -> int:
    """Tiles, sparse."""
    from memescope.models.mmorient.graph import build

    return len(build(x, threshold=THRESHOLD).indices)


def dense(x: Tensor) -> int:
    """What one writes in torch: the N x N product, a mask, its places."""
    import torch
    from torch.nn.functional import normalize

    unit = normalize(x)
    joined = unit @ unit.T > THRESHOLD
    joined.fill_diagonal_(False)
    return int(torch.nonzero(joined).T.contiguous().shape[1])


def published(x: Tensor) -> int:
    """The steps of the authors' `get_adj` (src/model.py): scaled rows, scikit-learn's cosines, a matrix of 0 and 1 as
    integers, the same as float32, made sparse. In place of TensorFlow's sparse matrix torch's."""
    import numpy as np
    import torch
    from sklearn.metrics.pairwise import cosine_similarity

    raw = x.numpy()
    similar = cosine_similarity(raw / np.linalg.norm(raw, axis=1, keepdims=True))
    adjacency = np.where(similar > THRESHOLD, 1, 0)
    sparse = torch.from_numpy(adjacency).to(torch.float32).to_sparse()
    return int(sparse._nnz()) - len(x)  # their diagonal is 1


def product(x: Tensor) -> int:
    """The bare product of all pairs, nothing kept."""
    x @ x.T
    return 0


WAYS: dict[str, Callable[[Tensor], int]] = {"ours": ours, "dense": dense, "published": published, "product": product}


def measured(way: str, memes: int, degree: int) -> dict[str, float]:
    """One way in a new process: `seconds`, `cpu_seconds`, `peak_mib` beyond vectors and libraries, `edges`."""
    command = [sys.executable, "-m", "memescope.bench.relations", way, str(memes), str(degree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise MemescopeError(f"bench mmorient: {way} over {memes} memes failed: {why[0]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def best_of(way: str, memes: int, degree: int, rounds: int) -> dict[str, float]:
    """The fastest of some processes."""
    return min((measured(way, memes, degree) for _ in range(rounds)), key=lambda one: one["cpu_seconds"])


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _main(way: str, memes: int, degree: int) -> dict[str, Any]:
    WAYS[way](vectors(max(64, degree), degree))  # libraries are loaded and warm
    x = vectors(memes, degree)
    before = _resident()
    wall, cpu = time.perf_counter(), time.process_time()
    edges = WAYS[way](x)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {
        "seconds": round(wall, 4),
        "cpu_seconds": round(cpu, 4),
        "peak_mib": round(peak, 1),
        "edges": edges,
    }


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
