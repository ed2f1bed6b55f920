"""bfloat16 is taken where the processor multiplies it, and float32 elsewhere, in training as in answers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from memescope.backbones import precision  # noqa: E402
from memescope.cli import run  # noqa: E402


def able(monkeypatch: pytest.MonkeyPatch, **there: object) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "l2_cache_size": 1} | there)


@pytest.mark.parametrize(
    ("there", "fast"),
    [
        ({}, False),
        ({"amx_bf16": False, "avx512_bf16": False}, False),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"architecture": "bf16", "cpu_bf16": "no"}, False),
    ],
)
def test_it_is_fast_where_the_processor_says_so(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, object], fast: bool
) -> None:
    able(monkeypatch, **there)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.fast_bf16() is fast
    assert precision.fast_bf16("meta") is False
    assert precision.trains_in("bf16") == ("bf16" if fast else "float32")
    assert precision.trains_in("float32") == "float32"


def test_products_are_of_the_precision_asked_where_that_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    a = torch.ones(2, 2)
    for fast, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        able(monkeypatch, amx_bf16=fast)
        with precision.products("bfloat16", "cpu"):
            assert (a @ a).dtype == dtype
    assert isinstance(precision.products("float32", "cpu"), nullcontext)


def test_train_says_what_it_computes_in_where_that_is_not_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for there, setting, says in (
        ({}, [], True), ({"amx_bf16": True}, [], False), ({}, ["train.precision=float32"], False),
    ):  # fmt: skip
        able(monkeypatch, **there)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        recipe = Path(__file__).parent.parent / "recipes" / "memelens" / "single-offline.yaml"
        assert run(["train", str(recipe), "data.root=/nowhere", *setting]) != 0
        assert ("computed in float32" in capsys.readouterr().err) is says
