"""How much of each dataset a mixture has: in proportion to its size, tempered, or the same of each.

MemeLens (arXiv 2601.12539) joins its 38 datasets as they are, which is `proportional`. With a temperature T a dataset
of n rows gets a share in proportion to n^(1/T) (the sampling of multilingual models, arXiv 1907.05019); T = 1 is
proportional, T without end balanced.

The same arguments give the same rows in the same order. Glossary: `n` rows of a dataset, `total` rows of the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal, TypeVar

from memescope.errors import UsageError

Sampling = Literal["proportional", "temperature", "balanced"]
T = TypeVar("T")


def shares(sizes: Sequence[int], sampling: Sampling, temperature: float = 1.0) -> list[float]:
    """The share of each dataset, adding up to 1; a dataset without rows has none."""
    if sampling == "temperature" and temperature < 1:
        raise UsageError(f"sampling temperature {temperature}: expected 1 (proportional) or more (towards balanced)")
    power = {"proportional": 1.0, "balanced": 0.0, "temperature": 1 / temperature}[sampling]
    weights = [float(n) ** power if n else 0.0 for n in sizes]
    whole = sum(weights)
    return [weight / whole for weight in weights] if whole else weights


def counts(sizes: Sequence[int], total: int, sampling: Sampling, temperature: float = 1.0) -> list[int]:
    """How many rows of each dataset make `total`; what rounding leaves goes to the largest remainders, then the first.

    A dataset with rows has at least one, so that no task is forgotten: `total` must be at least their number.
    """
    there = [i for i, n in enumerate(sizes) if n]
    if total < len(there):
        raise UsageError(f"a mixture of {total} rows cannot hold {len(there)} datasets; ask for more rows")
    wanted = [share * total for share in shares(sizes, sampling, temperature)]
    found = [int(one) for one in wanted]
    for i in sorted(there, key=lambda i: (found[i] - wanted[i], i))[: total - sum(found)]:
        found[i] += 1
    for i in there:
        if not found[i]:
            found[found.index(max(found))] -= 1
            found[i] = 1
    return found


def mixed(
    groups: Mapping[str, Sequence[T]], total: int, sampling: Sampling, temperature: float = 1.0, seed: int = 0
) -> list[tuple[T, int]]:
    """The rows of a mixture in random order, each with the number of its copy, from 0.

    A dataset that gives more rows than it has gives all of them that often, and of the last round a random part
    without repetition. Which rows of a dataset are taken depends on no other dataset.
    """
    names = list(groups)
    found: list[tuple[T, int]] = []
    for name, count in zip(names, counts([len(groups[n]) for n in names], total, sampling, temperature), strict=True):
        rows = groups[name]
        order = list(range(len(rows)))
        Random(f"mix-{seed}-{name}").shuffle(order)
        found += [(rows[order[i % len(rows)]], i // len(rows)) for i in range(count)]
    Random(f"mix-{seed}").shuffle(found)
    return found
