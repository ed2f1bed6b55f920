"""Workers: whatever one picture does to them, the others get their answers."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.errors import MemescopeError
from memescope.scanning import frames
from memescope.scanning import pool as pools
from memescope.scanning.policy import load_policy
from memescope.scanning.pool import Job, Outcome, pool

SCRIPTED = [sys.executable, str(Path(__file__).parent / "workers" / "scripted.py")]


@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=20), max_size=4),
    st.dictionaries(st.text(max_size=8), st.binary(max_size=200), max_size=3),
)
def test_a_message_arrives_as_it_was_sent(header: dict, blobs: dict[str, bytes]) -> None:
    stream = io.BytesIO()
    frames.send(stream, header, blobs)
    stream.seek(0)
    assert frames.receive(stream) == (header, blobs)
    with pytest.raises(EOFError):
        frames.receive(stream)


def test_a_truncated_or_oversized_message_is_refused() -> None:
    stream = io.BytesIO()
    frames.send(stream, {"a": 1}, {"b": b"123"})
    with pytest.raises(EOFError):
        frames.receive(io.BytesIO(stream.getvalue()[:-1]))
    with pytest.raises(ValueError, match="at most"):
        frames.receive(io.BytesIO(b"\xff\xff\xff\xff"))


def _outcomes(monkeypatch: pytest.MonkeyPatch, pictures: list[bytes], workers: int = 2) -> list[Outcome]:
    monkeypatch.setattr(pools, "COMMAND", SCRIPTED)
    jobs = (Job(seq, str(seq), picture, "given", None) for seq, picture in enumerate(pictures))
    with pool(workers, "scripted", load_policy(), timeout=1.0) as running:
        assert running.start()["settings"] == {"model": "scripted"}
        return sorted(running.run(jobs), key=lambda outcome: outcome.job.seq)


def test_every_job_gets_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = _outcomes(monkeypatch, [b"x" * n for n in range(40)])
    assert [outcome.stored.record["length"] for outcome in outcomes if outcome.stored] == list(range(40))
    assert all(outcome.stored and outcome.stored.thumbnail == outcome.job.data for outcome in outcomes)
    assert {outcome.stored.record["text"] for outcome in outcomes if outcome.stored} == {"given"}


@pytest.mark.parametrize(
    ("picture", "cause", "lasting"),
    [
        (b"die", r"killed the worker \(SIGSEGV\)", False),
        (b"hang", "took longer than 1 s", False),
        (b"exit", r"ended the worker \(exit status 3\)", False),
        (b"garbage", "worker", False),
        (b"fail", "not a picture", True),
    ],
)
def test_a_bad_picture_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch, picture: bytes, cause: str, lasting: bool
) -> None:
    outcomes = _outcomes(monkeypatch, [b"a", picture, b"bb", b"print", b"ccc"], workers=1)
    assert [outcome.stored is None for outcome in outcomes] == [False, True, False, False, False]
    bad = outcomes[1]
    assert bad.lasting is lasting
    assert bad.error
    assert re.search(cause, bad.error)


def test_a_worker_that_cannot_start_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "COMMAND", SCRIPTED)
    with (
        pytest.raises(MemescopeError, match="could not start: no such model"),
        pool(2, "broken", load_policy(), 5) as running,
    ):
        running.start()
    monkeypatch.setattr(pools, "COMMAND", [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(MemescopeError, match="memescope doctor"), pool(1, "x", load_policy(), 5) as running:
        running.start()


def test_leaving_with_an_error_kills_the_workers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "COMMAND", SCRIPTED)
    jobs = (Job(seq, str(seq), b"hang", None, None) for seq in range(9))
    running = pool(2, "x", load_policy(), timeout=50)
    running.start()
    with pytest.raises(KeyboardInterrupt), running:
        list(running.run(jobs_then_interrupt(jobs)))
    assert not any(thread.is_alive() for thread in running._threads)


def jobs_then_interrupt(jobs):  # type: ignore[no-untyped-def]
    """Two jobs, then Ctrl-C."""
    yield next(jobs)
    yield next(jobs)
    raise KeyboardInterrupt
