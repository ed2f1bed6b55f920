"""The hidden attention of Mamba (Ali, Zimerman, Wolf 2024, arXiv 2403.01590): the token-by-token matrix of a scan.

A scan is linear in its input once delta, B and C are known. With S_i the sum of delta up to place i,

    y_i      = sum over j <= i of  alpha_ij u_j   (+ D u_i)
    alpha_ij = sum over n of  C_in B_jn exp(A_n (S_i - S_j)) delta_j

so alpha plays attention's part, one matrix for each channel. Towards an answer, each entry is weighted by the answer's
gradient with respect to it, g_i u_j (g: the gradient at the scan's output), its positive part is averaged over channels
(Mamba-attribution), and layers are rolled out: R = (I + M_last) ... (I + M_first), rows scaled to 1.

Shape letters: `e` channels, `n` states, `l` places, `g` groups of channels with their own B and C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from memescope.models.mamba.mixer import Scanned

CHANNELS = 64
"""Channels whose matrices are held at once."""


def implied(scanned: Scanned, row: int = 0) -> Tensor:
    """alpha (e, l, l) of one row of a batch; alpha[e] @ u[e] + D u is the scan's output."""
    return torch.cat([alpha for _, alpha in _chunks(scanned, row)])


def towards(scanned: Scanned, row: int = 0) -> list[Tensor]:
    """One matrix (l, l) for each group: the mean over its channels of what alpha adds to the answer, where it adds.

    Needs a backward pass from the answer while scans were recorded.
    """
    groups = scanned.B.shape[1]
    width = scanned.u.shape[1] // groups
    grad = scanned.y.grad
    assert grad is not None, "no backward pass went through this scan"
    found = [torch.zeros(scanned.u.shape[-1], scanned.u.shape[-1], dtype=scanned.u.dtype) for _ in range(groups)]
    for channels, alpha in _chunks(scanned, row):
        g, u = grad[row, channels], scanned.u[row, channels].detach()
        found[channels.start // width] += (g[:, :, None] * u[:, None, :] * alpha).clamp(min=0).sum(0)
    return [matrix / width for matrix in found]


def _chunks(scanned: Scanned, row: int) -> Iterator[tuple[slice, Tensor]]:
    u, delta = scanned.u[row].detach(), scanned.delta[row].detach()
    groups = scanned.B.shape[1]
    width = u.shape[0] // groups
    later = torch.ones(u.shape[1], u.shape[1], dtype=torch.bool, device=u.device).tril()
    for group in range(groups):
        B, C = scanned.B[row, group].detach(), scanned.C[row, group].detach()  # (n, l)
        for start in range(group * width, (group + 1) * width, CHANNELS):
            some = slice(start, min(start + CHANNELS, (group + 1) * width))
            total = delta[some].cumsum(-1)
            apart = (total[:, :, None] - total[:, None, :]).masked_fill(~later, 0)
            alpha = torch.zeros_like(apart)
            for n in range(B.shape[0]):
                decay = torch.exp(scanned.A[some, n].detach()[:, None, None] * apart)
                alpha += decay * (C[n][:, None] * B[n][None, :])
            yield some, (alpha * delta[some][:, None, :]).masked_fill(~later, 0)


def rolled_out(matrices: Sequence[Tensor]) -> Tensor:
    """(l, l): what each place at the end owes to each at the start, through layers first to last with their skips."""
    eye = torch.eye(matrices[0].shape[0], dtype=matrices[0].dtype)
    found = eye
    for matrix in matrices:
        scaled = matrix / matrix.sum(-1, keepdim=True).clamp(min=1e-12)
        found = ((eye + scaled) / 2) @ found
    return found
