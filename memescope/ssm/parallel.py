"""The selective scan in plain torch, for machines without a compiler: chunks of the sequence side by side.

The sequence is cut into about sqrt(l) chunks. All chunks take their first step at once, then their second ..., from
state 0; that gives what each chunk adds to the state. One short pass over the chunks then gives the state each of
them truly begins with, and a second round of steps the states themselves. So 2 sqrt(l) operations instead of l, only
products of decays that are in the equations anyhow (no logarithms, no division: nothing can overflow that the
recurrence itself would not), and the same backwards for the gradient. Batch and channels are taken in slices whose
states fit the processor's cache; nothing of size (b, d, l, n) is kept: backward computes the slice's states again.

Shape letters: see `inputs`; c chunks, j steps of a chunk. Inside a slice time comes first: (l, b, n, d).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from memescope.ssm.inputs import Scan, finished, only_first_derivatives, steps, without_masked

SLICE = 1 << 18
"""States of one slice, over all steps."""


def scan(given: Scan) -> tuple[Tensor, Tensor]:
    """Output (b, d, l) in u's type and the state after the last step (b, d, n) in the scan's precision."""
    given = without_masked(given)
    kind = given.precision
    b, d, _ = given.u.shape
    state = given.u.new_zeros(b, d, given.a.shape[1], dtype=kind) if given.state is None else given.state.to(kind)
    u = given.u.to(kind)
    y, last = _States.apply(u, steps(given, kind), given.a.to(kind), given.b.to(kind), given.c.to(kind), state)
    return finished(given, u, y), last


class _States(torch.autograd.Function):
    """(u, dt, A, B, C, state) -> (sum over states of C h (b, d, l), last state (b, d, n))."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(u, dt, a, b, c, state)
        y, last = torch.empty_like(u, memory_format=torch.contiguous_format), torch.empty_like(state)
        for part in _slices(u, a, b, c):
            s = _Slice(part, u, dt, a, b, c, state)
            part.put(y, s.summed(s.c, s.h))
            last[part.rows, part.channels] = s.states[-1].transpose(-1, -2)
        return y, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        only_first_derivatives()
        u, dt, a, b, c, state = ctx.saved_tensors
        dy, dlast = grads
        du, ddt, dstate = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (u, dt, state))
        da, db, dc = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (a, b, c))
        for part in _slices(u, a, b, c):
            s = _Slice(part, u, dt, a, b, c, state)
            gy = s.fit(part.get(dy))
            g = gy * s.c
            first = s.reverse(g, dlast[part.rows, part.channels].transpose(-1, -2))
            dstate[part.rows, part.channels] = first.transpose(-1, -2)
            part.add(dc, 1, gy, s.h, s.length)
            part.add(db, 0, s.x, g, s.length)
            into_x = s.summed(s.b, g)  # gradient of dt u
            w = g.mul_(s.decay).mul_(s.before)
            part.put(du, into_x * s.dt[: s.length, :, 0])
            part.put(ddt, into_x * s.u[: s.length, :, 0] + (w * s.a).sum(2)[: s.length])
            da[part.channels] += (w * s.dt).sum((0, 1)).T
        return du, ddt, da, db, dc, dstate


class _Part:
    """Some rows of the batch and some channels of one group."""

    def __init__(self, rows: slice, channels: slice, group: tuple[int, int]) -> None:
        self.rows, self.channels, self.groups = rows, channels, group

    def get(self, x: Tensor) -> Tensor:
        """(b, d, l) -> (l, b, 1, d) of this part."""
        return x[self.rows, self.channels].permute(2, 0, 1).unsqueeze(2)

    def put(self, x: Tensor, value: Tensor) -> None:
        """Write (l, b, d) into (b, d, l)."""
        x[self.rows, self.channels] = value.permute(1, 2, 0)

    def group(self, x: Tensor, which: int) -> Tensor:
        """B or C of this part: (l, b, n, 1), or (n, d) where they do not change."""
        if x.ndim == 2:
            return x[self.channels].T
        return x[self.rows, self.groups[which]].permute(2, 0, 1).unsqueeze(-1)

    def add(self, into: Tensor, which: int, channel: Tensor, states: Tensor, length: int) -> None:
        """Add the gradient of B or C: channel (l, b, 1, d) times states (l, b, n, d), summed over what shares them."""
        if into.ndim == 2:
            into[self.channels] += (channel * states).sum((0, 1)).T
            return
        grad = torch.matmul(states, channel.transpose(-1, -2))[:length, :, :, 0]
        into[self.rows, self.groups[which]] += grad.permute(1, 2, 0)


def _slices(u: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Iterator[_Part]:
    """Parts in a fixed order, each inside one group of B and one of C."""
    batch, d, length = u.shape
    groups_b, groups_c = (x.shape[1] if x.ndim == 4 else 1 for x in (b, c))
    groups = math.lcm(groups_b, groups_c)
    per_group = d // groups
    per_channel = max(1, length * a.shape[1])
    channels = max(1, min(per_group, SLICE // per_channel))
    rows = max(1, SLICE // (per_channel * channels))
    for row in range(0, batch, rows):
        for group in range(groups):
            for start in range(group * per_group, (group + 1) * per_group, channels):
                stop = min(start + channels, (group + 1) * per_group)
                shared = (group * groups_b // groups, group * groups_c // groups)
                yield _Part(slice(row, min(row + rows, batch)), slice(start, stop), shared)


class _Slice:
    """One part's decays and states, time padded to whole chunks with steps of size 0."""

    def __init__(self, part: _Part, u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> None:
        self.length = u.shape[2]
        self.steps = max(1, math.isqrt(self.length))
        self.padding = -self.length % self.steps
        self.u, self.dt = self.fit(part.get(u)), self.fit(part.get(dt))
        self.a = a[part.channels].T.contiguous()
        self.b, self.c = (x if x.ndim == 2 else self.fit(x) for x in (part.group(b, 0), part.group(c, 1)))
        self.x = self.dt * self.u
        self.decay = torch.mul(self.dt, self.a).exp_()
        total, rows, n, channels = self.decay.shape
        self.states = u.new_empty(total + 1, rows, n, channels)
        self.states[0] = state[part.rows, part.channels].transpose(-1, -2)
        self.h, self.before = self.states[1:], self.states[:-1]
        torch.mul(self.x, self.b, out=self.h)
        self._forward()

    def fit(self, x: Tensor) -> Tensor:
        """Time in front, contiguous, padded with 0."""
        return torch.nn.functional.pad(x, (0, 0) * (x.ndim - 1) + (0, self.padding)).contiguous()

    def chunks(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.steps))

    def through(self) -> Tensor:
        """What is left of the state over a whole chunk: (c, b, n, d)."""
        return torch.mul(self.chunks(self.dt).sum(1), self.a).exp_()

    def summed(self, weights: Tensor, states: Tensor) -> Tensor:
        """Sum over n of weights (B or C) times states: (l, b, d) without padding."""
        if weights.ndim == 2:
            return (weights * states).sum(2)[: self.length]
        return torch.matmul(weights.transpose(-1, -2), states)[: self.length, :, 0]

    def _forward(self) -> None:
        """h from what each step adds to the state to the states, in place."""
        if not len(self.h):
            return
        decay, h = self.chunks(self.decay), self.chunks(self.h)
        if len(h) > 1:
            added = h[:, 0].clone()
            for j in range(1, self.steps):
                torch.addcmul(h[:, j], decay[:, j], added, out=added)
            through = self.through()
            start = added.new_empty(added.shape)
            start[0] = self.states[0]
            for i in range(1, len(start)):
                torch.addcmul(added[i - 1], through[i - 1], start[i - 1], out=start[i])
        else:
            start = self.states[:1].clone()
        for j in range(self.steps):
            torch.addcmul(h[:, j], decay[:, j], start, out=h[:, j])
            start = h[:, j]

    def reverse(self, g: Tensor, last: Tensor) -> Tensor:
        """g from each step's own gradient of its state to the whole gradient, in place; gradient of the first state.
        `last` is that of the last state, (b, n, d)."""
        if not len(g):
            return last
        decay, chunks = self.chunks(self.decay), self.chunks(g)
        through = self.through()
        carry = torch.zeros_like(chunks[:, 0])
        for j in reversed(range(self.steps)):
            carry.add_(chunks[:, j]).mul_(decay[:, j])
        into = torch.empty_like(carry)  # what reaches the end of each chunk from behind it
        into[-1] = last
        for i in reversed(range(len(into) - 1)):
            torch.addcmul(carry[i + 1], through[i + 1], into[i + 1], out=into[i])
        first = torch.addcmul(carry[0], through[0], into[0])
        for j in reversed(range(self.steps)):
            chunks[:, j].add_(into)
            torch.mul(chunks[:, j], decay[:, j], out=into)
        return first
