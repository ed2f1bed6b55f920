"""Mamba's backbones: equal to transformers on its weights, VMamba by its official names, LoRA's counts and sums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vmamba_names import official

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from torch.nn import functional as F  # noqa: E402

from memescope.errors import MemescopeError, UsageError  # noqa: E402
from memescope.models.mamba import lora  # noqa: E402
from memescope.models.mamba.mixer import read_both_ways, recorded, reverse, run_mamba  # noqa: E402
from memescope.models.mamba.official import convert, load_named, load_vmamba, save_vmamba  # noqa: E402
from memescope.models.mamba.vmamba import (  # noqa: E402
    OFFICIAL,
    SS2D,
    VMamba,
    VMambaSettings,
    cross_merge,
    cross_scan,
)

SMALL = VMambaSettings((1, 1, 1, 1), 16, classes=0)


def hub_mamba(folder: Path, **settings: Any) -> str:
    """A random checkpoint in hub layout."""
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(3)
    values = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "state_size": 8} | settings
    MambaForCausalLM(MambaConfig(**values)).save_pretrained(folder)
    return str(folder)


# text


def test_states_and_gradients_are_those_of_transformers_on_a_checkpoint_in_hub_layout(tmp_path: Path) -> None:
    from transformers import MambaModel

    place = hub_mamba(tmp_path)
    theirs, ours = MambaModel.from_pretrained(place), MambaModel.from_pretrained(place)
    ids = torch.randint(0, 50, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 11, dtype=torch.bool)
    mask[1, 7:] = False
    mask[2, 3:] = False
    expected = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    found = run_mamba(ours, ours.embeddings(ids), mask)
    assert torch.allclose(found[mask], expected[mask], atol=1e-4)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)) * mask[..., None]
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    for (name, p), (_, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-4, rtol=1e-4), name


def test_what_stands_in_padding_changes_nothing(tmp_path: Path) -> None:
    from transformers import MambaModel

    model = MambaModel.from_pretrained(hub_mamba(tmp_path)).eval()
    read_both_ways(model)
    embeds = torch.randn(2, 9, 32)
    mask = torch.arange(9)[None] < torch.tensor([[5], [9]])
    other = torch.where(mask[..., None], embeds, torch.randn(2, 9, 32) * 100)
    with torch.no_grad():
        assert torch.allclose(run_mamba(model, embeds, mask)[mask], run_mamba(model, other, mask)[mask], atol=1e-6)
        alone = run_mamba(model, embeds[:1, :5], mask[:1, :5])
    assert torch.allclose(run_mamba(model, embeds, mask)[0, :5], alone[0], atol=1e-5)


def test_reverse_turns_each_row_within_its_own_length_and_is_its_own_inverse() -> None:
    rows = torch.tensor([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])[..., None]
    lengths = torch.tensor([3, 5])
    assert reverse(rows, lengths)[..., 0].tolist() == [[3, 2, 1, 0, 0], [8, 7, 6, 5, 4]]
    assert torch.equal(reverse(reverse(rows, lengths), lengths), rows)


def test_both_ways_in_a_block_sees_what_comes_later_and_one_way_does_not(tmp_path: Path) -> None:
    from transformers import MambaModel

    model = MambaModel.from_pretrained(hub_mamba(tmp_path)).eval()
    embeds = torch.randn(1, 6, 32)
    later = embeds.clone()
    later[:, 5] += 1
    with torch.no_grad():
        assert torch.equal(run_mamba(model, embeds, None)[:, :5], run_mamba(model, later, None)[:, :5])
        read_both_ways(model)
        assert (run_mamba(model, embeds, None)[:, 0] - run_mamba(model, later, None)[:, 0]).abs().max() > 1e-5


def test_dropout_on_delta_acts_in_training_only(tmp_path: Path) -> None:
    from transformers import MambaModel

    model = MambaModel.from_pretrained(hub_mamba(tmp_path))
    embeds = torch.randn(1, 6, 32)
    with torch.no_grad():
        plain = run_mamba(model.eval(), embeds, None)
        assert torch.equal(run_mamba(model, embeds, None, 0.5), plain)
        assert not torch.allclose(run_mamba(model.train(), embeds, None, 0.5), plain)


def test_recorded_scans_are_what_the_block_computes(tmp_path: Path) -> None:
    from transformers import MambaModel

    model = MambaModel.from_pretrained(hub_mamba(tmp_path)).eval()
    embeds = torch.randn(1, 6, 32)
    with torch.no_grad():
        plain = run_mamba(model, embeds, None)
        with recorded() as scans:
            assert torch.allclose(run_mamba(model, embeds, None), plain, atol=1e-5)
    assert [scan.place for scan in scans] == ["0", "1", "2"]
    assert scans[0].u.shape == (1, 64, 6)
    assert scans[0].B.shape == (1, 1, 8, 6)


# VMamba


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_and_shapes_are_the_official_ones(name: str) -> None:
    settings = OFFICIAL[name]
    with torch.device("meta"):
        own = VMamba(settings).state_dict()
    assert {key: tuple(value.shape) for key, value in own.items()} == official(settings.depths, settings.width)


def test_an_official_state_dict_loads_and_wrong_names_are_named() -> None:
    settings = VMambaSettings((1, 1, 1, 1), 16, classes=1000)
    generator = torch.Generator().manual_seed(0)
    weights = {k: torch.rand(s, generator=generator) for k, s in official((1, 1, 1, 1), 16).items()}
    model = VMamba(settings)
    load_named(model, weights, "x")
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    wrong = {
        ("layers.0.blocks.0.ln_1.weight" if k == "layers.0.blocks.0.norm.weight" else k): v for k, v in weights.items()
    }
    wrong["patch_embed.0.bias"] = torch.zeros(5)
    with pytest.raises(MemescopeError) as error:
        load_named(model, wrong, "some.safetensors")
    for part in ("some.safetensors", "missing: layers.0.blocks.0.norm.weight", "unexpected: layers.0.blocks.0.ln_1"):
        assert part in str(error.value)
    assert "patch_embed.0.bias (5,) (expected (8,))" in str(error.value)


def test_a_pickle_is_never_loaded_but_converted_reading_tensors_alone(tmp_path: Path, monkeypatch: Any) -> None:
    from memescope.models.mamba import official as module

    monkeypatch.setattr(module, "OFFICIAL", {"little": VMambaSettings((1, 1, 1, 1), 16, classes=1000)})
    weights = {k: torch.rand(s) for k, s in official((1, 1, 1, 1), 16).items()}
    torch.save({"model": weights, "epoch": 237}, tmp_path / "c.pth")
    with pytest.raises(UsageError, match="a pickle can run code"):
        load_vmamba(tmp_path / "c.pth")
    assert convert(tmp_path / "c.pth", tmp_path / "out") == "little"
    loaded = load_vmamba(tmp_path / "out")
    assert torch.equal(loaded.layers[3].blocks[0].op.Ds, weights["layers.3.blocks.0.op.Ds"])
    assert not hasattr(loaded.classifier, "head")
    torch.save({"model": Path("x")}, tmp_path / "evil.pth")
    with pytest.raises(MemescopeError, match="holds more than tensors"):
        convert(tmp_path / "evil.pth", tmp_path / "out2")
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(MemescopeError, match="none of the models"):
        convert(tmp_path / "other.pth", tmp_path / "out2")


def test_cross_scan_goes_four_ways_and_cross_merge_puts_them_back() -> None:
    x = torch.arange(6.0).reshape(1, 1, 2, 3)  # 0 1 2 / 3 4 5
    ways = cross_scan(x)
    assert ways[0, :, 0].tolist() == [[0, 1, 2, 3, 4, 5], [0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [5, 2, 4, 1, 3, 0]]
    assert torch.equal(cross_merge(ways, 2, 3), 4 * x)


def test_the_2d_scan_is_the_recurrence_in_four_directions() -> None:
    torch.manual_seed(0)
    op = SS2D(16, SMALL, "").double()
    op.start()
    x = torch.randn(1, 16, 3, 2, dtype=torch.float64)
    u = F.silu(op.conv2d(op.in_proj(x)))[0]  # (e, h, w)
    orders = [[(i, j) for i in range(3) for j in range(2)], [(i, j) for j in range(2) for i in range(3)]]
    orders += [orders[0][::-1], orders[1][::-1]]
    merged = torch.zeros_like(u)
    for k, order in enumerate(orders):
        state = torch.zeros(32, 1, dtype=torch.float64)
        A = -op.A_logs.view(4, 32, 1)[k].exp()
        for i, j in order:
            t, B, C = (op.x_proj_weight[k] @ u[:, i, j]).split([1, 1, 1])
            delta = F.softplus(op.dt_projs_weight[k] @ t + op.dt_projs_bias[k])[:, None]
            state = torch.exp(delta * A) * state + delta * B * u[:, i, j, None]
            merged[:, i, j] += state @ C + op.Ds.view(4, 32)[k] * u[:, i, j]
    expected = op.out_proj(op.out_norm(merged[None]))
    assert torch.allclose(op(x), expected, atol=1e-10)


def test_a_saved_vmamba_loads_and_gives_the_same_states(tmp_path: Path) -> None:
    model = VMamba(SMALL).eval()
    save_vmamba(model, tmp_path)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_vmamba(tmp_path).eval().states(pixels), model.states(pixels))
        assert model.states(pixels).shape == (2, 128, 2, 2)


# LoRA


def test_trainable_counts_are_those_of_the_source() -> None:
    from transformers import MambaConfig, MambaModel

    with torch.device("meta"):
        text = MambaModel(MambaConfig(hidden_size=1024, num_hidden_layers=48))
        image = VMamba(OFFICIAL["vmamba_base_s2l15"])
    assert sum(p.numel() for p in text.parameters()) == 371_516_416
    assert lora.adapt(text, lora.TEXT_TARGETS) == 3_969_024
    assert round(100 * 3_969_024 / sum(p.numel() for p in text.parameters()), 3) == 1.057
    assert lora.adapt(image, lora.IMAGE_TARGETS) == 1_343_488
    # the source's table gives 1.51 % of about 89 M, the backbone without the 1000 classes of ImageNet
    total = sum(p.numel() for name, p in image.named_parameters() if "head" not in name)
    assert round(100 * 1_343_488 / total, 2) in (1.51, 1.52), total


@pytest.mark.parametrize("first", [False, True])
def test_an_adapter_is_the_dense_update_also_where_channels_come_first(first: bool) -> None:
    torch.manual_seed(0)
    base = (lora.Linear2d if first else torch.nn.Linear)(6, 5)
    layer = lora.LowRank(base, 2, 8, 0.1).eval()
    x = torch.randn(3, 6, 4, 7) if first else torch.randn(3, 4, 6)
    assert torch.equal(layer(x), base(x))  # B starts at zero
    torch.nn.init.normal_(layer.lora_B)
    dense = base.weight + 4 * layer.lora_B @ layer.lora_A
    if first:
        expected = torch.einsum("oi,bihw->bohw", dense, x) + base.bias[:, None, None]
    else:
        expected = x @ dense.T + base.bias
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert not base.weight.requires_grad
    assert layer.lora_A.requires_grad


def test_a_target_that_is_no_linear_layer_is_named() -> None:
    with pytest.raises(UsageError, match=r"x_proj_weight is no linear layer.*bare parameters"):
        lora.adapt(VMamba(SMALL), ("in_proj", "x_proj_weight"))


def test_peft_refuses_out_proj_and_ours_acts_there(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import MambaModel

    model = MambaModel.from_pretrained(hub_mamba(tmp_path)).eval()
    with pytest.raises(ValueError, match="incompatible with Mamba"):
        peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["out_proj"]), model)
    model = MambaModel.from_pretrained(tmp_path).eval()
    embeds = torch.randn(1, 4, 32)
    before = run_mamba(model, embeds, None)
    lora.adapt(model, ("out_proj",))
    torch.nn.init.normal_(model.layers[0].mixer.out_proj.lora_B)
    assert not torch.allclose(run_mamba(model, embeds, None), before)
