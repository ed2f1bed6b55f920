"""The scan and the convolution in place of those of transformers' Mamba block, on the same weights."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from memescope.ssm import causal_conv, selective_scan, use  # noqa: E402


def mixer() -> Any:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    torch.manual_seed(3)
    config = MambaConfig(hidden_size=24, state_size=16, num_hidden_layers=1, time_step_rank=4, vocab_size=11)
    made = MambaMixer(config, 0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return made.eval()


def ours(m: Any, x: Any, mask: Any) -> Any:
    """The block (b, l, d) -> (b, l, d) with our convolution and scan and the weights of `m`."""
    u, z = m.in_proj(x).transpose(1, 2).chunk(2, 1)
    u = causal_conv(u, m.conv1d.weight[:, 0], m.conv1d.bias, mask=mask)
    dt, b, c = m.x_proj(u.transpose(1, 2)).split([m.time_step_rank, m.ssm_state_size, m.ssm_state_size], -1)
    y = selective_scan(
        u, (dt @ m.dt_proj.weight.T).transpose(1, 2), -m.A_log.exp(), b.transpose(1, 2), c.transpose(1, 2), m.D, z,
        m.dt_proj.bias, True, mask=mask,
    )  # fmt: skip
    return m.out_proj(y.transpose(1, 2))


@pytest.mark.parametrize("way", ["reference", "torch", None])
@pytest.mark.parametrize("padded", ["", "left", "right"])
def test_equals_the_slow_path_of_transformers(way: str | None, padded: str) -> None:
    m = mixer()
    x = torch.randn(2, 45, 24)
    mask = torch.ones(2, 45, dtype=torch.bool)
    if padded:
        mask[1, slice(0, 20) if padded == "left" else slice(25, 45)] = False
    weights = torch.randn(2, 45, 24) * mask[..., None]  # padding is looked at by neither
    results = []
    for block in (lambda: m(x, attention_mask=mask if padded else None), lambda: ours(m, x, mask if padded else None)):
        m.zero_grad()
        y = block()
        (y * weights).sum().backward()
        results.append({"y": y.detach() * mask[..., None]} | {k: p.grad.clone() for k, p in m.named_parameters()})
        if way and len(results) == 1:
            chosen = use(way)
            chosen.__enter__()
    if way:
        chosen.__exit__(None, None, None)
    theirs, mine = results
    assert theirs["y"].abs().max() > 0.01
    for name, wanted in theirs.items():
        assert (mine[name] - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name
