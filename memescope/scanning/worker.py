"""The process that opens untrusted pictures: `python -m memescope.scanning.worker`, spoken to over standard streams.

It reads one meme at a time. When it dies, hangs or runs out of memory, only that meme is lost: the pool kills it and
starts another. It ends by itself when its parent is gone (end of input).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

from memescope.children import private_streams

MEMORY_LIMIT = 4 * 1024**3
"""Address space that reading may use beside the models, bytes: a picture that wants more is an error, not a dead
machine."""


def main() -> None:
    """Serve until the parent closes its end."""
    inbox, outbox = private_streams()
    try:
        _serve(inbox, outbox)
    except (EOFError, BrokenPipeError):
        # Nobody is listening any more. Leave without flushing what is left in the pipe.
        os._exit(0)


def _serve(inbox: BinaryIO, outbox: BinaryIO) -> None:
    from memescope.scanning.frames import receive, send

    header, _ = receive(inbox)
    try:
        from memescope.scanning.policy import Policy
        from memescope.scanning.reader import MemeReader

        reader = MemeReader(header["model"], Policy.model_validate(header["policy"]), header["reasons"])
        greeting = {
            "settings": reader.settings(),
            "card": reader.model.card,
            "tasks": list(reader.model.tasks),
            "writes": reader.writes,
        }
        _limit_memory()
    except Exception as error:
        send(outbox, {"fatal": f"{type(error).__name__}: {error}"})
        return
    send(outbox, greeting)
    while True:
        header, blobs = receive(inbox)
        send(outbox, *_answer(reader, header, blobs["picture"]))


def _answer(reader: Any, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    from memescope.errors import PictureError

    try:
        stored = reader.read(data, header["text"], header["lang"])
    except PictureError as error:
        return {"error": str(error), "lasting": True}, {}
    except MemoryError:
        return {"error": "reading this picture needs more memory than a worker may use", "lasting": True}, {}
    except Exception as error:
        # One bad meme never stops a run, whatever it breaks; the type is kept so that it can be reported.
        return {"error": f"{type(error).__name__}: {error}", "lasting": False}, {}
    blobs = {"thumbnail": stored.thumbnail, "fingerprint": stored.fingerprint, "embedding": stored.embedding}
    return {"record": stored.record}, {name: blob for name, blob in blobs.items() if blob is not None}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no resource limits; the time limit still holds there
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    except OSError:  # only Linux says it there
        pages = 0
    limit = MEMORY_LIMIT + pages * resource.getpagesize()
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main()
