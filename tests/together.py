"""Two processes that train one model, as `accelerate launch` starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def run_together(command: Sequence[str], **env: str) -> list[bytes]:
    """What each of two processes of `memescope COMMAND` says; fails where one of them does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env |= {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "memescope.cli", *command],
            env=os.environ | env | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=500) for process in started]
    for process, (_, wrong) in zip(started, said, strict=True):
        assert process.returncode == 0, wrong.decode()
    return [out for out, _ in said]
