"""Token rows and sights through a vision-language model: read to be gone on from, or learnt.

Shape letters: `b` rows, `t` tokens, `d` width, `m` learnt places, `w` words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from memescope.backbones.vlm import Sight, Vlm
from memescope.models.prefix import CausalPrefix
from memescope.objectives.generation import IGNORED


def read(
    vlm: Vlm,
    rows: Sequence[Sequence[int]],
    sights: Sequence[Sight | None],
    hidden: Sequence[Tensor | None] | None = None,
) -> CausalPrefix:
    """Prompts read, one for each row, each with its sight where it has image tokens.

    `hidden` bool (n,): tokens of a picture that nothing looks at; what stands after them keeps its position.
    """
    longest = max(map(len, rows))
    device = vlm.text_model.get_input_embeddings().weight.device
    ids = torch.tensor([[*row, *[vlm.pad] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows], device=device)
    shown = [sight for row, sight in zip(rows, sights, strict=True) if vlm.image in row and sight is not None]
    vectors, first = vlm.embed(ids, shown)
    positions, following = vlm.positions(ids, mask, shown)
    if hidden is not None and any(one is not None for one in hidden):
        if positions is None:
            positions = (mask.cumsum(1) - 1).clamp(min=0)
        mask = mask.clone()
        for number, one in enumerate(hidden):
            if one is not None and vlm.image in rows[number]:
                places = (ids[number] == vlm.image).nonzero()[:, 0]
                mask[number, places[one.to(device)]] = False
    return CausalPrefix(vlm.decoder, {"inputs_embeds": vectors}, mask, {}, first, positions, following)


def states(vlm: Vlm, batch: Mapping[str, Any], sights: Sequence[Sight]) -> Tensor:
    """The language model's last states (b, t, d) of a batch of `rows.collate`, packed or not."""
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    vectors, first = vlm.embed(ids, sights)
    branch = batch.get("branch")
    trunk = mask if branch is None else mask & (branch == 0)
    positions, following = vlm.positions(ids, trunk, sights)
    # with the padding on the right nothing that counts can see it: no mask is the faster kernel
    seen: Tensor | None = None if bool((mask[:, 1:] <= mask[:, :-1]).all()) else mask
    if branch is not None:
        if positions is None:
            positions = (trunk.cumsum(1) - 1).clamp(min=0)
        positions = torch.where(branch > 0, following[:, None] + batch["step"], positions)
        seen = _additive(branch, mask, vectors, vlm)
    elif positions is None and seen is not None:
        positions = (mask.cumsum(1) - 1).clamp(min=0)
    found: Tensor = vlm.text_model(
        inputs_embeds=vectors, attention_mask=seen, position_ids=positions, use_cache=False, **first
    ).last_hidden_state
    return found


def learnt(vlm: Vlm, batch: Mapping[str, Any], labels: Tensor, sights: Sequence[Sight]) -> tuple[Tensor, Tensor]:
    """Logits (m, w) at the places that are learnt, and the tokens (m,) that are right there.

    Only learnt places meet the vocabulary: of a batch's tokens most are prompt.
    """
    found = states(vlm, batch, sights)
    places = labels[:, 1:] != IGNORED
    return vlm.model.get_output_embeddings()(found[:, :-1][places]), labels[:, 1:][places]


def _additive(branch: Tensor, mask: Tensor, vectors: Tensor, vlm: Vlm) -> Tensor:
    """(b, 1, t, t), 0 where a token may look: itself and before, in the trunk or in its own branch."""
    device = branch.device
    t = branch.shape[1]
    before = torch.ones(t, t, dtype=torch.bool, device=device).tril()
    own = (branch[:, :, None] == branch[:, None]) | (branch[:, None] == 0)
    seen = before & own & mask[:, None] | torch.eye(t, dtype=torch.bool, device=device)
    dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else vectors.dtype
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
