"""The process that applies a transform: `python -m memescope.datasets.worker`, see `memescope.datasets.workers`.

It reads a pickled transform, opens it, then answers memes until its input ends. A worker whose parent is gone ends.
"""

from __future__ import annotations

import os
import pickle
from typing import Any, BinaryIO

from memescope.children import private_streams


def main() -> None:
    """Serve until the parent closes its end."""
    inbox, outbox = private_streams()
    try:
        _serve(inbox, outbox)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody is listening: leave without flushing what is left in the pipe


def _serve(inbox: BinaryIO, outbox: BinaryIO) -> None:
    from memescope.datasets.workers import Job, Value, apply_here
    from memescope.errors import MemescopeError

    try:
        transform = pickle.load(inbox)
        _one_thread()
        transform.open()
    except EOFError:
        raise
    except MemescopeError as error:
        _send(outbox, str(error))
        return
    except Exception as error:
        _send(outbox, f"a worker could not start: {type(error).__name__}: {error}")
        return
    _send(outbox, None)
    while True:
        outcome = apply_here(transform, Job("", pickle.load(inbox)))
        if isinstance(outcome, Value):
            _send(outbox, ("value", outcome.data))
        else:
            _send(outbox, ("failed", outcome.reason, outcome.lasting))


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _send(outbox: BinaryIO, message: Any) -> None:
    pickle.dump(message, outbox, protocol=pickle.HIGHEST_PROTOCOL)
    outbox.flush()


if __name__ == "__main__":
    main()
