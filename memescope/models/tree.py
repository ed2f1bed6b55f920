"""Token sequences that share their beginnings, as a tree: every shared token is one node and is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Tree:
    """Nodes in an order where parents come first. `parents[node]` is -1 for those that follow the prompt itself.

    `wanted` are the nodes whose log-probability is asked for; the others are given (the words of a question).
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, given: Sequence[int], asked: Sequence[int]) -> list[int]:
        """Enter `given` then `asked`; the nodes of `asked`, whose log-probabilities are wanted."""
        at, nodes = -1, []
        for i, token in enumerate([*given, *asked]):
            key = (at, token)
            if key not in self._known:
                self._known[key] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(at)
                self.depth.append(i)
            at = self._known[key]
            if i >= len(given):
                nodes.append(at)
        self.wanted = sorted({*self.wanted, *nodes})
        return nodes

    @property
    def read(self) -> list[int]:
        """The nodes that the model has to read: those that something wanted comes after."""
        needed: set[int] = set()
        for node in self.wanted:
            at = self.parents[node]
            while at >= 0 and at not in needed:
                needed.add(at)
                at = self.parents[at]
        return sorted(needed)

    def ancestors(self, device: Any = None) -> Tensor:
        """bool (i, i): whether read node j is read node i or comes before it on its branch."""
        import torch

        read = self.read
        at = {node: i for i, node in enumerate(read)}
        seen = torch.eye(len(read), dtype=torch.bool)
        for i, node in enumerate(read):
            if self.parents[node] >= 0:
                seen[i] |= seen[at[self.parents[node]]]
        return seen.to(device)

    def trunk_and_paths(self) -> tuple[list[int], list[list[int]]]:
        """The read nodes that all branches share, and for each branch the read nodes after them."""
        read = self.read
        children: dict[int, list[int]] = {}
        for node in read:
            children.setdefault(self.parents[node], []).append(node)
        trunk, at = [], -1
        while len(children.get(at, [])) == 1:
            at = children[at][0]
            trunk.append(at)
        paths = []
        for node in read:
            if node not in children and node not in trunk:
                path = [node]
                while self.parents[path[0]] != at:
                    path.insert(0, self.parents[path[0]])
                paths.append(path)
        return trunk, paths
