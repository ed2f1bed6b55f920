"""Progress of a long verb: a bar with an estimate on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PLAIN_SECONDS = 5.0
"""Between two plain lines."""


@contextmanager
def progress(verb: str, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function of (stage, done, total) to call as often as one likes."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bar(verb) as report:
            yield report
    else:
        yield _plain(verb)


def _plain(verb: str) -> Callable[[str, int, int], None]:
    last = time.monotonic()
    begun: dict[str, tuple[float, int]] = {}

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        started, before = begun.setdefault(stage, (now, done))
        if now - last < PLAIN_SECONDS:
            return
        last = now
        left = (now - started) / max(done - before, 1) * (total - done)
        print(f"memescope {verb}: {stage} {done} of {total}, about {_duration(left)} left", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bar(verb: str) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            task = known.get(stage)
            if task is None:
                task = known[stage] = bars.add_task(f"{verb}: {stage}", total=total)
            bars.update(task, completed=done, total=total)

        yield report


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
