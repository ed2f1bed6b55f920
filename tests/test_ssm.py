"""The selective scan on every backend against its equations, written here once more in numpy from the paper alone.

Shape letters: b batch, d channels, l length, n states, g groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from memescope.errors import UsageError  # noqa: E402
from memescope.ssm import backend, causal_conv, selective_scan, selective_step, use  # noqa: E402
from memescope.ssm import native as kernel  # noqa: E402

WAYS = ("reference", "torch", "native base", "native avx2", "native avx512")
Tensors = dict[str, Any]


@contextmanager
def on(way: str) -> Iterator[None]:
    """Scans run on this backend, natively on this instruction set; skipped where the machine has no such thing."""
    name, _, level = way.partition(" ")
    with pytest.MonkeyPatch.context() as patch:
        if level:
            if kernel.missing():
                pytest.skip(f"no compiled kernel here: {kernel.missing()}")
            patch.setenv("MEMESCOPE_SSM_LEVEL", level)
            try:
                kernel.level()
            except UsageError as error:
                pytest.skip(str(error))
        with use(name):
            yield


def drawn(
    b: int, d: int, n: int, length: int, g: int | None = None, seed: int = 0, dtype: Any = None, parts: str = "DzbsBC"
) -> Tensors:
    """Random tensors of a scan: parts D, z, b (bias), s (initial state); B and C absent from it do not change."""
    torch.manual_seed(seed)
    many = (b, g, n, length) if g else (b, n, length)
    made = {
        "u": torch.randn(b, d, length), "delta": torch.randn(b, d, length) - 1, "A": -torch.rand(d, n) * 3 - 0.05,
        "B": torch.randn(many if "B" in parts else (d, n)), "C": torch.randn(many if "C" in parts else (d, n)),
    }  # fmt: skip
    for name, letter, shape in (
        ("D", "D", (d,)), ("z", "z", (b, d, length)), ("delta_bias", "b", (d,)), ("initial_state", "s", (b, d, n)),
    ):  # fmt: skip
        if letter in parts:
            made[name] = torch.randn(shape)
    return {name: x.to(dtype or torch.float32) for name, x in made.items()}


def equations(t: Tensors, softplus: bool = True, mask: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Output (b, d, l) and last state (b, d, n) in float64, one channel and step at a time."""
    x = {name: value.detach().double().numpy() for name, value in t.items()}
    (b, d, length), n = x["u"].shape, x["A"].shape[1]
    y, last = np.zeros((b, d, length)), np.zeros((b, d, n))

    def at(w: np.ndarray, i: int, j: int, k: int) -> np.ndarray:
        if w.ndim == 2:
            return w[j]
        return w[i, :, k] if w.ndim == 3 else w[i, j * w.shape[1] // d, :, k]

    for i in range(b):
        for j in range(d):
            h = x["initial_state"][i, j].copy() if "initial_state" in x else np.zeros(n)
            for k in range(length):
                if mask is not None and not mask[i, k]:
                    continue
                dt = x["delta"][i, j, k] + (x["delta_bias"][j] if "delta_bias" in x else 0)
                dt = np.logaddexp(0, dt) if softplus else dt
                h = np.exp(dt * x["A"][j]) * h + dt * at(x["B"], i, j, k) * x["u"][i, j, k]
                out = at(x["C"], i, j, k) @ h + (x["D"][j] * x["u"][i, j, k] if "D" in x else 0)
                gate = x["z"][i, j, k] if "z" in x else None
                y[i, j, k] = out if gate is None else out * gate / (1 + np.exp(-gate))
            last[i, j] = h
    return y, last


def both(way: str, t: Tensors, mask: Any = None) -> dict[str, Any]:
    """Output, state and every gradient of a fixed function of both, by backend `way`."""
    t = {name: x.detach().clone().requires_grad_() for name, x in t.items()}
    with on(way):
        y, state = selective_scan(**t, delta_softplus=True, mask=mask, return_state=True)
        # weights that bfloat16 holds exactly, as gradients come in the type of what they belong to
        wave, tide = (torch.sin(1.3 * torch.arange(x.numel())).bfloat16().double().view(x.shape) for x in (y, state))
        ((y.double() * wave).sum() + (state.double() * tide).sum()).backward()
    return {"y": y, "state": state} | {name: x.grad for name, x in t.items()}


def close(found: dict[str, Any], wanted: dict[str, Any], tolerance: float) -> None:
    for name, x in found.items():
        w = wanted[name].detach().double()
        error = (x.detach().double() - w).abs().max() if x.numel() else 0
        assert error <= tolerance * max(1e-3, float(w.abs().max())), f"{name}: {float(error)}"


def test_one_channel_by_hand() -> None:
    """A = -1, steps ln 2, so the state halves: h = 0.5 h + ln 2 B u; y = C h + D u."""
    step = float(np.log(2))
    row = [[[1.0, 2.0, 0.0]]]
    t = {"u": torch.tensor(row), "delta": torch.full((1, 1, 3), step), "A": torch.tensor([[-1.0]])}
    t |= {"B": torch.tensor([[[1.0, 3.0, 5.0]]]), "C": torch.tensor([[[2.0, 1.0, 4.0]]]), "D": torch.tensor([10.0])}
    states = [step, 0.5 * step + 6 * step, 0.25 * step + 3 * step]
    wanted = [2 * states[0] + 10, states[1] + 20, 4 * states[2]]
    for way in WAYS[:3]:
        with on(way):
            y, last = selective_scan(**t, return_state=True)
        assert y[0, 0].tolist() == pytest.approx(wanted, rel=1e-6)
        assert last.item() == pytest.approx(states[2], rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    b=st.integers(1, 3), groups=st.sampled_from((None, 1, 2, 3)), per=st.integers(1, 12),
    n=st.sampled_from((1, 2, 5, 16, 64)), length=st.sampled_from((1, 2, 7, 31, 32, 33, 70)),
    parts=st.sets(st.sampled_from("DzbsBC")), masked=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_equals_the_equations(
    way: str, b: int, groups: int | None, per: int, n: int, length: int, parts: set[str], masked: bool, seed: int
) -> None:
    t = drawn(b, per * (groups or 1), n, length, groups, seed, torch.float64, "".join(parts))
    mask = torch.rand(b, length) > 0.4 if masked else None
    y, last = equations(t, mask=mask)
    with on(way):
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
            given_ = {name: x.to(dtype) for name, x in t.items()}
            found, state = selective_scan(**given_, delta_softplus=True, mask=mask, return_state=True)
            assert found.dtype == dtype
            wanted = {"y": torch.tensor(y), "state": torch.tensor(last)}
            close({"y": found, "state": state}, wanted, tolerance)
    if way == "reference":
        return
    wanted = both("reference", t, mask)
    close(both(way, t, mask), wanted, 1e-10)
    close(both(way, {name: x.float() for name, x in t.items()}, mask), wanted, 1e-5)


@pytest.mark.parametrize("way", WAYS[1:])
def test_many_channels_and_units(way: str) -> None:
    """More channels than a unit of work, odd widths, three tiles of time, two groups."""
    t = drawn(2, 2 * 147, 5, 77, 2)
    mask = torch.arange(77) < torch.tensor([[77], [40]])
    wanted = both("reference", {name: x.double() for name, x in t.items()}, mask)
    close(both(way, t, mask), wanted, 1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("parts", ["DzbsBC", "s", "zB"])
def test_gradients_are_those_of_finite_differences(way: str, parts: str) -> None:
    t = {name: x.requires_grad_() for name, x in drawn(2, 3, 5, 4, None, 1, torch.float64, parts).items()}
    mask = torch.tensor([[True, True, False, True], [False, True, True, True]])
    names = list(t)

    def f(*tensors: Any) -> Any:
        return selective_scan(
            **dict(zip(names, tensors, strict=True)), delta_softplus=True, mask=mask, return_state=True
        )

    with on(way):
        assert torch.autograd.gradcheck(f, tuple(t.values()), atol=1e-6, fast_mode=False)


@pytest.mark.parametrize("way", WAYS)
def test_masked_positions_are_as_if_they_were_not_there(way: str) -> None:
    t = drawn(2, 6, 16, 70, parts="DzbsBC")
    mask = torch.rand(2, 70) > 0.4
    mask[1, 32:64] = False  # a whole tile
    for name in ("u", "delta", "z"):
        t[name][~mask[:, None].expand_as(t[name])] = float("nan")
    for name in ("B", "C"):
        t[name][~mask[:, None].expand_as(t[name])] = float("inf")
    found = both(way, t, mask)
    for i in range(2):
        keep = mask[i]
        short = {
            name: x if x.ndim < 3 else x[i : i + 1] if name == "initial_state" else x[i : i + 1, :, keep]
            for name, x in t.items()
        }
        with on(way):
            y, state = selective_scan(**short, delta_softplus=True, return_state=True)
        torch.testing.assert_close(found["y"][i][:, keep], y[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found["state"][i : i + 1], state, rtol=1e-5, atol=1e-5)
    for name in ("y", "u", "delta", "z", "B", "C"):
        assert (found[name].masked_select(~mask[:, None]) == 0).all(), name
    assert all(torch.isfinite(x).all() for x in found.values())


@pytest.mark.parametrize("way", WAYS)
def test_a_sequence_in_pieces_and_in_steps(way: str) -> None:
    t = drawn(2, 19, 16, 45)
    with on(way):
        whole, last = selective_scan(**t, delta_softplus=True, return_state=True)
        state, pieces = t["initial_state"], []
        for piece in (slice(0, 7), slice(7, 40), slice(40, 45)):
            part = {k: x[..., piece] if x.ndim == 3 and k != "initial_state" else x for k, x in t.items()}
            y, state = selective_scan(**part | {"initial_state": state}, delta_softplus=True, return_state=True)
            pieces.append(y)
        torch.testing.assert_close(torch.cat(pieces, -1), whole, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-5)
        state = t["initial_state"]
        for k in range(45):
            y, state = selective_step(
                t["u"][..., k], t["delta"][..., k], t["A"], t["B"][..., k], t["C"][..., k], state, t["D"],
                t["z"][..., k], t["delta_bias"], True,
            )  # fmt: skip
            torch.testing.assert_close(y, whole[..., k], rtol=1e-5, atol=1e-5)
        assert state.dtype == torch.float32


@pytest.mark.parametrize("way", WAYS)
def test_bfloat16_within_its_rounding(way: str) -> None:
    t = drawn(2, 33, 16, 40, dtype=torch.bfloat16)
    exact = both("reference", {name: x.double() for name, x in t.items()})
    found = both(way, t)
    assert found["y"].dtype == torch.bfloat16
    assert found["state"].dtype == torch.float32
    for name, x in found.items():
        assert x.dtype == (torch.float32 if name == "state" else torch.bfloat16)
        wanted = exact[name].detach()
        error = (x.detach().double() - wanted).abs()
        assert (error <= 2**-8 * wanted.abs() + 1e-5 * wanted.abs().max()).all(), name


@pytest.mark.parametrize("way", WAYS[1:])
def test_strides_and_half_precision(way: str) -> None:
    """Time innermost or channels innermost, sliced and expanded: the same figures. float16 is computed in float32."""
    t = drawn(2, 35, 16, 37)
    wanted = both(way, t)
    views = dict(t)
    for name in ("u", "z"):
        views[name] = t[name].transpose(1, 2).contiguous().transpose(1, 2)
    views["delta"] = torch.randn(2, 35, 74)[..., ::2].copy_(t["delta"])
    views["B"] = t["B"].transpose(1, 2).contiguous().transpose(1, 2)
    with on(way):
        y = selective_scan(**views, delta_softplus=True)
        torch.testing.assert_close(y, wanted["y"], rtol=1e-6, atol=1e-6)
        one = selective_scan(**t | {"u": torch.ones(1, 1, 1).expand(2, 35, 37)}, delta_softplus=True)
        whole = selective_scan(**t | {"u": torch.ones(2, 35, 37)}, delta_softplus=True)
        torch.testing.assert_close(one, whole, rtol=1e-6, atol=1e-6)
    half = both(way, {name: x.half() for name, x in t.items()})
    close(half, both("reference", {name: x.half().double() for name, x in t.items()}), 2e-3)
    assert half["y"].dtype == half["u"].dtype == torch.float16


def test_the_same_over_runs_and_threads() -> None:
    """Enough work for two threads, 50 runs: every bit the same, so no data race and no order of sums left to chance."""
    t = drawn(2, 300, 16, 40, 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with on("native"):
            first = both("native", t)
            for run in range(50):
                torch.set_num_threads(1 + run % 2)
                again = both("native", t)
                assert all(torch.equal(again[name], x) for name, x in first.items())
        torch.set_num_threads(2)
        close(both("torch", t), first, 1e-6 * 5)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("way", WAYS[1:])
def test_hard_values(way: str) -> None:
    """States that vanish, steps that are tiny or huge, A that grows: as the equations, without a NaN."""
    t = drawn(1, 4, 4, 40, dtype=torch.float64, parts="BC")
    t["A"] = torch.tensor([[-1e4, -200.0, -1e-6, 0.0]] * 3 + [[0.05, 0.1, -0.5, 1e-3]], dtype=torch.float64)
    t["delta"] = t["delta"] * 30
    wanted, _ = equations({name: x.float() for name, x in t.items()})
    with on(way):
        y = selective_scan(**{name: x.float() for name, x in t.items()}, delta_softplus=True)
    assert torch.isfinite(y).all()
    error = (y.double() - torch.tensor(wanted)).abs().amax((0, 2))
    assert (error <= 2e-5 * torch.tensor(wanted).abs().amax((0, 2))).all()


@pytest.mark.parametrize("way", WAYS[2:])
def test_exponential(way: str) -> None:
    """Relative error below 1e-7 wherever the result is a normal number; 0 and infinity beyond."""
    with on(way):
        x = torch.cat([torch.linspace(-87.3, 88.7, 400_001), torch.linspace(-1e-3, 1e-3, 20_001)])
        wanted = x.double().exp()
        error = ((kernel.exponential(x).double() - wanted) / wanted).abs().max()
        assert error < (1e-7 if way != "native base" else 1.6e-7)  # that one has no fused multiply-add
        assert kernel.exponential(torch.tensor([-200.0, -1e30, 200.0])).tolist() == [0, 0, float("inf")]
        assert torch.isposinf(kernel.exponential(torch.linspace(88.73, 89.1, 999))).all()  # e^88.7228 is the largest


@pytest.mark.parametrize("way", WAYS)
def test_a_gate_that_is_shut_gives_nothing(way: str) -> None:
    """z sigmoid(z) where e^-z just passes the largest float: nought, and no NaN."""
    one = torch.ones(1, 1, 64)
    z = torch.linspace(-89.2, -88.6, 64)[None, None]
    with on(way):
        y = selective_scan(one, one, -torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1), z=z)
    assert y.abs().max() < 1e-35


def test_nothing_of_all_states_is_kept() -> None:
    """Forward keeps for backward its input and one state in 32 steps, not (b, d, l, n)."""
    b, d, n, length = 2, 64, 16, 256
    t = {name: x.requires_grad_() for name, x in drawn(b, d, n, length).items()}
    for way, share in (("native", 1 / 32), ("torch", 0)):
        saved: dict[int, int] = {}
        with (
            on(way),
            torch.autograd.graph.saved_tensors_hooks(
                lambda x, saved=saved: saved.update({x.data_ptr(): x.nbytes}) or x, lambda x: x
            ),
        ):
            selective_scan(**t, delta_softplus=True)
        inputs = sum(x.nbytes for x in t.values())
        assert sum(saved.values()) <= 3 * inputs + 4 * b * d * length * n * share


def test_second_derivatives_only_from_the_reference() -> None:
    for way in WAYS[:3]:
        t = {name: x.requires_grad_() for name, x in drawn(1, 2, 2, 3, dtype=torch.float64).items()}
        with on(way):
            y = selective_scan(**t, delta_softplus=True)
            if way == "reference":
                (grad,) = torch.autograd.grad(y.sum(), t["u"], create_graph=True)
                assert torch.autograd.grad(grad.sum(), t["delta"])[0].abs().sum() > 0
            else:
                with pytest.raises(UsageError, match="second derivatives"):
                    torch.autograd.grad(y.sum(), t["u"], create_graph=True)


def test_empty_sequences_and_batches() -> None:
    for way in WAYS[:3]:
        with on(way):
            y, state = selective_scan(**drawn(2, 3, 4, 0), return_state=True)
            assert y.shape == (2, 3, 0)
            assert torch.equal(state.float(), drawn(2, 3, 4, 0)["initial_state"])
            assert selective_scan(**drawn(0, 3, 4, 5)).shape == (0, 3, 5)


def test_wrong_shapes_are_named() -> None:
    t = drawn(2, 6, 4, 5)
    for name, wrong, says in (
        ("u", t["u"][0], r"u must be \(batch, channels, length\), found \(6, 5\)"),
        ("A", t["A"][:3], r"A must be \(6, states\)"),
        ("A", t["A"].to(torch.complex64), "A must be real"),
        ("delta", t["delta"][..., 1:], r"delta must be \(2, 6, 5\), found \(2, 6, 4\)"),
        ("B", torch.zeros(2, 4, 4, 5), "groups that divide 6"),
        ("C", torch.zeros(4, 6), r"C must be \(6, 4\), \(2, 4, 5\)"),
        ("D", torch.zeros(5), r"D must be \(6,\)"),
        ("initial_state", torch.zeros(2, 6, 5), r"initial_state must be \(2, 6, 4\)"),
        ("mask", torch.ones(2, 4, dtype=torch.bool), r"mask must be \(2, 5\)"),
        ("mask", torch.ones(2, 5), "mask must be boolean"),
    ):
        with pytest.raises(UsageError, match=says):
            selective_scan(**t | {name: wrong})
    with pytest.raises(UsageError, match=r"u must be \(batch, channels\)"):
        selective_step(t["u"], t["delta"], t["A"], t["B"], t["C"], t["initial_state"])


def test_choosing_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    with use("torch"):
        assert backend() == "torch"
        with use("reference"):
            assert backend() == "reference"
        assert backend() == "torch"
    monkeypatch.setenv("MEMESCOPE_SSM", "reference")
    assert backend() == "reference"
    monkeypatch.setenv("MEMESCOPE_SSM", "fast")
    with pytest.raises(UsageError, match="MEMESCOPE_SSM: no backend 'fast'"):
        backend()
    monkeypatch.delenv("MEMESCOPE_SSM")
    with pytest.raises(UsageError, match="no backend 'x'"), use("x"):
        pass
    with use("cuda"), pytest.raises(UsageError, match="runs on cuda tensors, these are on cpu"):
        backend("cpu")
    with use("cuda"), pytest.raises(UsageError, match="mamba-ssm is not installed"):
        backend("cuda")
    assert backend("cuda") == "torch"
    monkeypatch.setenv("MEMESCOPE_SSM_LEVEL", "sse9")
    if not kernel.missing():
        with pytest.raises(UsageError, match="no instruction set 'sse9'"):
            kernel.level()


def test_causal_convolution() -> None:
    """Against its sum; masked positions as 0; in pieces as the whole."""
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 9), torch.randn(3, 4), torch.randn(3)
    wanted = bias[:, None].expand(2, 3, 9).clone()
    for t in range(9):
        for i in range(4):
            if t - 3 + i >= 0:
                wanted[:, :, t] += weight[:, i] * x[:, :, t - 3 + i]
    torch.testing.assert_close(causal_conv(x, weight, bias, silu=False), wanted)
    torch.testing.assert_close(causal_conv(x, weight, bias), torch.nn.functional.silu(wanted))
    first = causal_conv(x[..., :5], weight, bias)
    second = causal_conv(x[..., 5:], weight, bias, initial=x[..., 2:5])
    torch.testing.assert_close(torch.cat([first, second], -1), torch.nn.functional.silu(wanted))
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[:, :2] = False  # padding in front
    y = causal_conv(x.masked_fill(~mask[:, None], float("nan")), weight, bias, mask=mask)
    torch.testing.assert_close(y[..., 2:], causal_conv(x[..., 2:], weight, bias))
    assert (y[..., :2] == 0).all()
    for name in ("torch", "native"):
        if name == "torch" or not kernel.missing():
            with use(name):
                assert causal_conv(x[:0], weight, bias).shape == (0, 3, 9)
                assert causal_conv(x[..., :0], weight, bias).shape == (2, 3, 0)
    with pytest.raises(UsageError, match="weight \\(channels, taps\\)"):
        causal_conv(x, weight[:2])
    with pytest.raises(UsageError, match=r"initial must be \(2, 3, 3\)"):
        causal_conv(x, weight, initial=x)


@pytest.mark.parametrize("way", WAYS[2:])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    b=st.integers(1, 3), d=st.integers(1, 20), length=st.integers(1, 70), taps=st.integers(1, 40), silu=st.booleans(),
    masked=st.booleans(), biased=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_convolution_s_kernel_equals_plain_torch(
    way: str, b: int, d: int, length: int, taps: int, silu: bool, masked: bool, biased: bool, seed: int
) -> None:
    """Values and every gradient, of a strided view; NaN at masked positions stays there."""
    torch.manual_seed(seed)
    both, weight, bias = torch.randn(b, 2 * d, length), torch.randn(d, taps), torch.randn(d)
    mask = torch.rand(b, length) < 0.7 if masked else None
    slope = torch.randn(b, d, length)
    if mask is not None:
        both.masked_fill_(~mask[:, None], float("nan"))
    for dtype, bound in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        found = []
        for one in ("torch", way):
            tensors = [x.to(dtype).requires_grad_() for x in (both, weight, bias)][: 3 if biased else 2]
            with on(one):
                y = causal_conv(tensors[0].chunk(2, 1)[1], tensors[1], tensors[2] if biased else None, silu, mask)
                found.append([y.detach(), *torch.autograd.grad((y * slope.to(dtype)).sum(), tensors)])
        for plain, fast in zip(*found, strict=True):
            assert fast.dtype == dtype
            torch.testing.assert_close(fast, plain, atol=bound * (1 + float(plain.abs().max())), rtol=0)


def test_the_convolution_s_kernel_in_bfloat16_over_runs_and_threads() -> None:
    """Within the rounding of what goes out; bit for bit the same over runs and threads; no second derivatives."""
    if kernel.missing():
        pytest.skip(f"no compiled kernel here: {kernel.missing()}")
    torch.manual_seed(0)
    x, weight, bias = torch.randn(4, 300, 70).bfloat16(), torch.randn(300, 4), torch.randn(300)
    with use("torch"):
        wanted = causal_conv(x.float(), weight, bias)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2) * 10:
            torch.set_num_threads(threads)
            tensors = [t.clone().requires_grad_() for t in (x, weight, bias)]
            with use("native"):
                y = causal_conv(*tensors)
                found.append([y.detach(), *torch.autograd.grad(y.float().square().sum(), tensors)])
    finally:
        torch.set_num_threads(before)
    assert found[0][0].dtype == torch.bfloat16
    torch.testing.assert_close(found[0][0].float(), wanted, rtol=2**-8, atol=1e-6)
    for run in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, found[0], strict=True))
    leaf = x.float().requires_grad_()
    with use("native"):
        (slope,) = torch.autograd.grad(causal_conv(leaf, weight, bias).sum(), leaf, create_graph=False)
        with pytest.raises(UsageError, match="second derivatives"):
            torch.autograd.grad(causal_conv(leaf, weight, bias).sum(), leaf, create_graph=True)
    assert torch.isfinite(slope).all()
