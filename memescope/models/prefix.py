"""What a language model has computed of some prompts: everything that follows is read from here, never again from them.

`CausalPrefix` holds a decoder-only model's keys and values, `EncodedPrefix` an encoder's states and the decoder's keys
and values. Both do the same three things: `branch` gives the log-probabilities of a tree of continuations and leaves
the prefix as it is (scoring labels), `feed` goes on with given tokens and `keep` drops prompts that are done
(generation). All of it can be differentiated.

Shape letters: `b` prompts, `t` tokens of the longest prompt, `n` nodes of a tree, `i` its nodes that have to be read,
`d` width, `w` words of the vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from memescope.models.tree import Tree

HEAD_ROWS = 256
"""So many states meet the vocabulary at once: 256 x 49152 float32 is 50 MB."""


class Prefix(Protocol):
    """Prompts that a model has read."""

    def __len__(self) -> int: ...

    @property
    def logits(self) -> Tensor:
        """(b, w): what may come next."""
        ...

    def branch(self, tree: Tree) -> Tensor:
        """(b, n) log-probability of each node's token after its ancestors; 0 for nodes that are not `tree.wanted`."""
        ...

    def feed(self, ids: Tensor) -> Tensor:
        """Go on with int64 (b, n) tokens; logits (b, w) after the last of them."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only these prompts, in this order."""
        ...


class CausalPrefix:
    """Prompts read by a decoder-only model. Padding may be on either side.

    All continuations go through the model in one pass, packed behind the prompt: each token attends to the prompt and
    to its own ancestors, and its position is counted along its own branch, so no prompt or shared beginning is read
    twice and no keys are copied for each label.
    """

    def __init__(
        self,
        lm: Any,
        inputs: Mapping[str, Tensor],
        mask: Tensor,
        extras: Mapping[str, Any],
        first: Mapping[str, Any] | None = None,
        positions: Tensor | None = None,
        following: Tensor | None = None,
    ) -> None:
        """`inputs`: `input_ids` (b, t) or `inputs_embeds` (b, t, d); `mask` bool (b, t).

        `extras` go with every call of the model; tensors in them have a row for each prompt. `first` goes with the
        prompts only. Positions are counted along the mask unless given, in the model's own form; `following` int64
        (b,) are then those of what comes after each prompt.
        """
        from transformers import DynamicCache

        self._lm, self._extras = lm, dict(extras)
        self._mask = mask.bool()
        self._length = self._mask.sum(1) if following is None else following
        self._cache = DynamicCache(config=lm.config)
        if positions is None:
            positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        # with the padding on the right no token that counts can see it: no mask is the faster kernel
        right = bool((self._mask[:, 1:] <= self._mask[:, :-1]).all())
        given = {**inputs, **(first or {})}
        states = self._run(given, None if right else self._mask, positions, self._cache)
        last = (self._mask * torch.arange(mask.shape[1], device=mask.device)).argmax(1)
        self._state = states[torch.arange(len(mask), device=mask.device), last]

    def __len__(self) -> int:
        return len(self._mask)

    @property
    def logits(self) -> Tensor:
        """(b, w): what may come next."""
        return self._lm.get_output_embeddings()(self._state)

    def branch(self, tree: Tree) -> Tensor:
        """(b, n) log-probability of each node's token after its ancestors."""
        b, device = len(self), self._mask.device
        states = self._state[:, None]
        if tree.read:
            ids = torch.tensor([tree.tokens[node] for node in tree.read], device=device).expand(b, -1)
            depth = torch.tensor([tree.depth[node] for node in tree.read], device=device)
            seen = torch.cat(
                [self._mask[:, None].expand(-1, len(depth), -1), tree.ancestors(device).expand(b, -1, -1)], 2
            )
            cache = fork(self._cache)
            found = self._run({"input_ids": ids}, self._additive(seen), self._length[:, None] + depth, cache)
            states = torch.cat([states, found], 1)
        return _edges(tree, states, self._lm.get_output_embeddings())

    def branch_each(self, rows: Sequence[int], trees: Sequence[Tree]) -> list[Tensor]:
        """A tree of its own behind some prompts, each as often as it is named: (n,) of each, as `branch` gives."""
        device = self._mask.device
        most = max(len(tree.read) for tree in trees)
        chosen_rows = torch.tensor(list(rows), device=device)
        states = self._state[chosen_rows][:, None]
        if most:
            ids, depth, seen = grown(trees, most)
            seen = torch.cat([self._mask[chosen_rows][:, None].expand(-1, most, -1), seen.to(device)], 2)
            cache = fork(self._cache)
            cache.batch_select_indices(chosen_rows)
            positions = self._length[chosen_rows][:, None] + depth.to(device)
            extras = {name: chosen(value, chosen_rows) for name, value in self._extras.items()}
            found = self._run({"input_ids": ids.to(device)}, self._additive(seen), positions, cache, extras)
            states = torch.cat([states, found], 1)
        return _edges_each(trees, states, self._lm.get_output_embeddings())

    def feed(self, ids: Tensor) -> Tensor:
        """Go on with int64 (b, n) tokens; logits (b, w) after the last of them."""
        steps = torch.arange(ids.shape[1], device=ids.device)
        self._mask = torch.cat([self._mask, torch.ones_like(ids, dtype=torch.bool)], 1)
        states = self._run({"input_ids": ids}, self._mask, self._length[:, None] + steps, self._cache)
        self._length = self._length + ids.shape[1]
        self._state = states[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Only these prompts, in this order."""
        self._cache.batch_select_indices(rows)
        self._mask, self._length, self._state = self._mask[rows], self._length[rows], self._state[rows]
        self._extras = {name: chosen(value, rows) for name, value in self._extras.items()}

    def _run(
        self, inputs: dict[str, Any], mask: Tensor | None, positions: Tensor, cache: Any, extras: Any = None
    ) -> Tensor:
        output = self._lm.base_model(
            **inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **(self._extras if extras is None else extras),
        )
        return output.last_hidden_state

    def _additive(self, seen: Tensor) -> Tensor:
        """bool (b, q, k) as every attention of transformers takes it: (b, 1, q, k), 0 where seen."""
        dtype = torch.get_autocast_dtype(seen.device.type) if torch.is_autocast_enabled(seen.device.type) else None
        dtype = dtype or self._lm.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]


class EncodedPrefix:
    """Prompts read by an encoder, with its decoder begun.

    T5 counts positions by where a token lies, so branches cannot be packed: what all continuations share is read once
    for each prompt, and what then differs as rows beside each other that share the encoder's keys and values.
    """

    def __init__(self, lm: Any, states: Tensor, mask: Tensor) -> None:
        """`states` (b, t, d) are the encoder's, fused or not; `mask` (b, t) tells its padding."""
        self._lm, self._states, self._mask = lm, states, mask
        self._cache: Any = None
        self.logits = self.feed(torch.full((len(mask), 1), lm.config.decoder_start_token_id, device=mask.device))

    def __len__(self) -> int:
        return len(self._mask)

    def branch(self, tree: Tree) -> Tensor:
        """(b, n) log-probability of each node's token after its ancestors."""
        trunk, paths = tree.trunk_and_paths()
        b, cache = len(self), fork(self._cache)
        before = self.logits[:, None]
        found = {}
        if trunk:
            logits = self._run(self._ids(tree, [trunk], b), cache).logits
            found.update({node: logits[:, i] for i, node in enumerate(trunk)})
        if paths:
            many = len(paths)
            cache.batch_repeat_interleave(many)
            logits = self._run(self._ids(tree, paths, b), cache, many).logits.unflatten(0, (b, many))
            found.update({node: logits[:, p, i] for p, path in enumerate(paths) for i, node in enumerate(path)})
        return _edges(tree, torch.cat([before, *(found[node][:, None] for node in tree.read)], 1), None)

    def feed(self, ids: Tensor) -> Tensor:
        """Go on with int64 (b, n) tokens; logits (b, w) after the last of them."""
        output = self._run(ids, self._cache)
        self._cache = output.past_key_values
        self.logits = output.logits[:, -1]
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Only these prompts, in this order."""
        self._cache.batch_select_indices(rows)
        self._states, self._mask, self.logits = self._states[rows], self._mask[rows], self.logits[rows]

    def _ids(self, tree: Tree, paths: Sequence[Sequence[int]], b: int) -> Tensor:
        """int64 (b * paths, longest path); what pads the shorter ones comes after them and is never looked at."""
        longest = max(map(len, paths))
        rows = [[tree.tokens[node] for node in path] + [0] * (longest - len(path)) for path in paths]
        return torch.tensor(rows, device=self._mask.device).repeat(b, 1)

    def _run(self, ids: Tensor, cache: Any, many: int = 1) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        states, mask = self._states, self._mask
        if many > 1:
            # the decoder's keys of the encoder are in the cache: of its states only the shape is looked at
            states, mask = states[:1].expand(len(ids), -1, -1), mask.repeat_interleave(many, 0)
        return self._lm(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=ids,
            past_key_values=cache,
            use_cache=True,
        )


def fork(cache: Any) -> Any:
    """A cache that may be appended to while the first stays as it is. No tensor is copied."""
    from transformers import EncoderDecoderCache

    twin = copy.copy(cache)
    if isinstance(cache, EncoderDecoderCache):
        twin.self_attention_cache = fork(cache.self_attention_cache)
        twin.cross_attention_cache = fork(cache.cross_attention_cache)
        twin.is_updated = dict(cache.is_updated)
    else:
        twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def chosen(value: Any, rows: Tensor) -> Any:
    """Rows of every tensor in a nest of dictionaries and tuples."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, Mapping):
        return {key: chosen(one, rows) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(chosen(one, rows) for one in value)
    return value


def _edges(tree: Tree, states: Tensor, head: Any) -> Tensor:
    """(b, n) from the states (b, 1 + i, d) behind the prompt and each read node; logits where `head` is None."""
    b = len(states)
    at = {node: i + 1 for i, node in enumerate(tree.read)} | {-1: 0}
    wanted = tree.wanted
    needed = sorted({at[tree.parents[node]] for node in wanted})
    of = {place: i for i, place in enumerate(needed)}
    rows = states[:, needed].flatten(0, 1)
    parents = torch.tensor([of[at[tree.parents[node]]] for node in wanted], device=states.device)
    tokens = torch.tensor([tree.tokens[node] for node in wanted], device=states.device)
    # the vocabulary is met in pieces, and of each piece only the wanted tokens are kept
    found = []
    step = max(HEAD_ROWS // len(needed), 1)
    for start in range(0, b, step):
        some = rows[start * len(needed) : (start + step) * len(needed)]
        logits = some if head is None else head(some)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        logits = logits.unflatten(0, (-1, len(needed)))
        found.append(logits[:, parents, tokens] - logits.logsumexp(-1)[:, parents])
    edges = torch.cat(found).new_zeros(b, len(tree.tokens))
    return edges.index_copy(1, torch.tensor(wanted, device=states.device), torch.cat(found))


def grown(trees: Sequence[Tree], most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The read nodes of some trees side by side, filled up to `most`: tokens and depths int64 (r, i), and bool
    (r, i, i), which node each may look at. What fills up looks at itself alone."""
    ids = torch.zeros(len(trees), most, dtype=torch.long)
    depth = torch.zeros_like(ids)
    seen = torch.eye(most, dtype=torch.bool).repeat(len(trees), 1, 1)
    known: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    for row, tree in enumerate(trees):
        if id(tree) not in known:
            read = tree.read
            parts = ([tree.tokens[node] for node in read], [tree.depth[node] for node in read])
            known[id(tree)] = (torch.tensor(parts[0]), torch.tensor(parts[1]), tree.ancestors())
        count = len(known[id(tree)][0])
        if count:
            ids[row, :count], depth[row, :count], seen[row, :count, :count] = known[id(tree)]
    return ids, depth, seen


def _edges_each(trees: Sequence[Tree], states: Tensor, head: Any) -> list[Tensor]:
    """For each row's own tree what `_edges` gives, from states (r, 1 + i, d)."""
    places: dict[tuple[int, int], int] = {}
    of, tokens = [], []
    for row, tree in enumerate(trees):
        at = {node: i + 1 for i, node in enumerate(tree.read)} | {-1: 0}
        for node in tree.wanted:
            of.append(places.setdefault((row, at[tree.parents[node]]), len(places)))
            tokens.append(tree.tokens[node])
    device = states.device
    where = torch.tensor(list(places), device=device)
    rows = states[where[:, 0], where[:, 1]]
    # wanted tokens come in the order of their states: each piece of the states has a stretch of them
    order = sorted(range(len(of)), key=of.__getitem__)
    found, at_wanted = [], 0
    for start in range(0, len(rows), HEAD_ROWS):
        stop = at_wanted
        while stop < len(order) and of[order[stop]] < start + HEAD_ROWS:
            stop += 1
        logits = head(rows[start : start + HEAD_ROWS])
        logits = logits if logits.dtype == torch.float64 else logits.float()
        some = torch.tensor([of[i] - start for i in order[at_wanted:stop]], device=device)
        words = torch.tensor([tokens[i] for i in order[at_wanted:stop]], device=device)
        found.append(logits[some, words] - logits.logsumexp(-1)[some])
        at_wanted = stop
    flat = torch.cat(found)
    flat = flat.new_zeros(len(flat)).index_copy(0, torch.tensor(order, device=device), flat)
    edges, done = [], 0
    for tree in trees:
        wanted = tree.wanted
        whole = flat.new_zeros(len(tree.tokens))
        edges.append(whole.index_copy(0, torch.tensor(wanted, device=device), flat[done : done + len(wanted)]))
        done += len(wanted)
    return edges
