"""memescope rationales serve."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def serve_command(
    model: Annotated[str, typer.Argument(help="smollm2-135m (once pulled), a folder, or a hub id.")] = "smollm2-135m",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8081,
    batch: Annotated[int, typer.Option(min=1, help="Requests that are answered together at most.")] = 8,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
) -> None:
    """Serve a local language model as a teacher, for this machine only; stop it with Ctrl-C.

    Example:  memescope rationales serve smollm2-135m --port 8081
    """
    from memescope.errors import UsageError
    from memescope.rationales.serving import LocalServer, load_writer

    if dtype not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"--dtype: expected auto, float32 or bfloat16, found {dtype!r}")
    writer = load_writer(model, dtype)
    try:
        server = LocalServer(writer, model, port, batch)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror or error}; another program may be there") from None
    server.log = lambda line: print(line, file=sys.stderr, flush=True)
    print(f"serving {model} at {server.start()}; in another window:", flush=True)
    print(f"  memescope rationales generate DATA --teacher {server.url} --model {model} --out FILE", flush=True)
    try:
        server.wait()
    finally:
        server.stop()
