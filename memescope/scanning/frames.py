"""Messages between a scan and its workers: a JSON header and named blobs, length-prefixed. No pickle: a worker that
was taken over by a hostile picture can send wrong values, but not code."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LIMIT = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


def send(stream: IO[bytes], header: dict[str, Any], blobs: dict[str, bytes] | None = None) -> None:
    """Write one message and flush."""
    parts = blobs or {}
    head = json.dumps({"header": header, "blobs": [[name, len(blob)] for name, blob in parts.items()]}).encode()
    stream.write(_LENGTH.pack(len(head)))
    stream.write(head)
    for blob in parts.values():
        stream.write(blob)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read one message. `EOFError` when the other side is gone, `ValueError` when it does not keep to the format."""
    size = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
    if size > _LIMIT:
        raise ValueError(f"message of {size} bytes, at most {_LIMIT} expected")
    message = json.loads(_exactly(stream, size))
    blobs = {}
    for name, length in message["blobs"]:
        if not 0 <= length <= _LIMIT:
            raise ValueError(f"blob {name!r} of {length} bytes, at most {_LIMIT} expected")
        blobs[name] = _exactly(stream, length)
    return message["header"], blobs


def _exactly(stream: IO[bytes], count: int) -> bytes:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            raise EOFError("the other side closed the pipe")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
