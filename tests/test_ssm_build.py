"""Building the compiled scan: no compiler, one that fails, two processes at once; and the GPU kernel, by a stub."""

from __future__ import annotations

import importlib.machinery
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from memescope.errors import UsageError  # noqa: E402
from memescope.ssm import backend, build, cuda, reference, selective_scan, use  # noqa: E402
from memescope.ssm.inputs import checked  # noqa: E402


def some(length: int = 6) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "u": torch.randn(2, 4, length), "delta": torch.randn(2, 4, length), "A": -torch.rand(4, 3),
        "B": torch.randn(2, 3, length), "C": torch.randn(2, 3, length), "D": torch.randn(4),
        "z": torch.randn(2, 4, length), "delta_bias": torch.randn(4),
    }  # fmt: skip


def test_without_a_compiler_scans_run_in_plain_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with use("reference"):
        wanted = selective_scan(**some())
    monkeypatch.setenv("MEMESCOPE_CXX", "none")
    build._loaded.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert backend() == "torch"
        torch.testing.assert_close(selective_scan(**some()), wanted, rtol=1e-5, atol=1e-6)
        backend()
    (record,) = caplog.records  # once
    assert record.message == (
        "selective scan: plain torch is used, as the kernel could not be compiled: no C++ compiler (none, as "
        "MEMESCOPE_CXX says); install g++ or set MEMESCOPE_CXX"
    )
    with use("native"), pytest.raises(UsageError, match=r"'native' .* cannot be used: no C\+\+ compiler"):
        selective_scan(**some())
    monkeypatch.setenv("MEMESCOPE_CXX", "no-such-compiler")
    assert "looked for no-such-compiler" in str(build.library()[1])


def test_windows_gets_plain_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build.platform, "system", lambda: "Windows")
    monkeypatch.setenv("MEMESCOPE_SSM_BUILD", str(tmp_path))
    assert build.library() == (None, "the kernel is not built for Windows")


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = 'if [ "$1" = --version ]; then echo broken 1; else echo "fatal: no such header" >&2; exit 1; fi\n'
    monkeypatch.setenv("MEMESCOPE_CXX", script(tmp_path / "cxx", broken))
    monkeypatch.setenv("MEMESCOPE_SSM_BUILD", str(tmp_path / "made"))
    assert backend() == "torch"
    assert "fatal: no such header" in str(build.library()[1])
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["lock"]  # nothing half-made stays


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEMESCOPE_SSM_BUILD", str(tmp_path / "file" / "below"))
    monkeypatch.setenv("MEMESCOPE_CXX", script(tmp_path / "cxx", "echo fake 1\n"))
    assert backend() == "torch"


def test_processes_that_start_together_compile_once(tmp_path: Path) -> None:
    """The compiler here is a script that notes each call and hands out the library built before."""
    library, reason = build.library()
    if library is None:
        pytest.skip(f"no compiled kernel here: {reason}")
    fake = (
        'if [ "$1" = --version ]; then echo fake 1; exit; fi\n'
        f'echo call >> {tmp_path}/calls; sleep 0.2; while [ "$1" != -o ]; do shift; done; cp {library._name} "$2"\n'
    )
    told = {"MEMESCOPE_CXX": script(tmp_path / "cxx", fake), "MEMESCOPE_SSM_BUILD": str(tmp_path / "made")}
    code = "import ctypes, memescope.ssm.build as b; print(b.library()[1])"
    # build.py needs no torch: a stub of the room keeps the children light
    code = (
        "import sys, types, importlib.util as u; m = types.ModuleType('memescope.ssm'); "
        f"m.__path__ = [{str(build.SOURCES)!r}]; sys.modules['memescope.ssm'] = m; " + code
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, **told}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [out.decode().strip() for out, _ in outputs] == ["None"] * 3
    sets = 1 + (len(build.X86) if build.platform.machine().lower() in ("x86_64", "amd64") else 0)
    assert (tmp_path / "calls").read_text().split() == ["call"] * (sets + 1)
    assert sum("compiling the kernel" in err.decode() for _, err in outputs) == 1
    assert sorted(p.suffix for p in (tmp_path / "made").iterdir()) == ["", ".so"]


def test_the_gpu_kernel_is_given_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stub with the signature of mamba-ssm's selective_scan_fn, which knows neither masks nor initial states."""
    calls: list[dict[str, Any]] = []

    def selective_scan_fn(
        u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any = None, z: Any = None, delta_bias: Any = None,
        delta_softplus: bool = False, return_last_state: bool = False,
    ) -> Any:  # fmt: skip
        calls.append({"delta": delta, "softplus": delta_softplus, "B": B, "A": A})
        y, last = reference.scan(checked(u, delta, A, B, C, D, z, delta_bias, delta_softplus, None, None))
        return (y, last.float()) if return_last_state else y

    assert "mamba-ssm is not installed" in str(cuda.missing())
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface"):
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    assert cuda.missing() is None
    assert backend("cuda") == "cuda"
    t = some()
    mask = torch.tensor([[True] * 6, [True, True, False, True, False, False]])
    t["u"][1, :, 4:] = float("nan")
    for masked in (None, mask):
        one = {**t, "u": t["u"].nan_to_num()} if masked is None else t
        scan = checked(*(one[k] for k in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")), True, None, masked)
        for found, wanted in zip(cuda.scan(scan), reference.scan(scan), strict=True):
            torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-5, atol=1e-6)
    assert [c["softplus"] for c in calls] == [True, False]
    assert (calls[1]["delta"][1, :, 2] == 0).all()
    assert calls[0]["B"].shape == (2, 1, 3, 6)
    state = checked(
        *(t[k] for k in ("u", "delta", "A", "B", "C", "D", "z", "delta_bias")), True, torch.zeros(2, 4, 3), mask
    )
    cuda.scan(state)
    assert len(calls) == 2  # an initial state goes to plain torch
