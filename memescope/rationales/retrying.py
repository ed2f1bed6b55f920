"""What can go wrong between here and a teacher, by name, and how long to wait before trying again.

Waits grow twofold from try to try with jitter, and are never shorter than the server's Retry-After (RFC 9110, 10.2.3:
seconds or a date).
"""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from memescope.errors import MemescopeError

Charge = Literal["none", "unknown"]
LONGEST_WAIT = 60.0
"""Seconds between two tries, unless the server asks for more."""


class TeacherError(MemescopeError):
    """A request that will not be answered. `code` is its name in reports."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stop(TeacherError):
    """No further request can be answered either: wrong key, no such model, quota used up, server gone."""


class Passing(TeacherError):
    """A failure that may pass. `charge` says whether the server may have done the work all the same."""

    def __init__(self, code: str, message: str, charge: Charge, retry_after: float | None = None) -> None:
        super().__init__(code, message)
        self.charge = charge
        self.retry_after = retry_after


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a server asks to wait, from `retry-after-ms` or `Retry-After`; None where it asks for nothing."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = (headers.get(name) or "").strip()
        try:
            seconds = float(value) / unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    value = (headers.get("retry-after") or "").strip()
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return max(0.0, moment - now())


def wait_seconds(tries: int, asked: float | None, first: float, chance: Callable[[], float] = random.random) -> float:
    """How long to wait after `tries` failures: `first` doubled for each, between half and all of it, on top of what the
    server asked for (so that those who were turned away together do not come back together)."""
    usual = min(LONGEST_WAIT, first * 2 ** min(tries - 1, 30)) * (0.5 + 0.5 * chance())
    return usual if asked is None else asked + min(usual, first)


def from_status(status: int, headers: Mapping[str, str], body: Any, said: str) -> TeacherError:
    """The error that an HTTP status means. `body` is the parsed answer if it was JSON, `said` its text made safe."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    asked = retry_after(headers)
    told = f"status {status}" + (f": {said}" if said else "")
    if status in (401, 403):
        return Stop("not-allowed", f"the teacher refuses the key ({told}); see the environment variables in --help")
    if code in ("insufficient_quota", "billing_hard_limit_reached") or status == 402:
        return Stop("quota", f"the account has nothing left ({told})")
    if status == 429:
        return Passing("rate-limited", f"the teacher was too busy ({told})", "none", asked)
    if status in (408, 409, 425) or status >= 500:
        return Passing("server-error", f"the teacher failed ({told})", "none", asked)
    if status == 404:
        return Stop("not-found", f"the teacher has no such model or address ({told}); check --teacher and --model")
    if 300 <= status < 400:
        return Stop("redirect", "the teacher sends requests elsewhere; none is followed: give its real address")
    if "content" in code and "filter" in code:
        return TeacherError("content-filter", f"the teacher's filter refused the meme ({told})")
    return TeacherError("refused", f"the teacher refused the request ({told})")
