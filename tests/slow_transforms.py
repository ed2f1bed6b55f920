"""Transforms for tests of the machinery: workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memescope.datasets.transforms import Transform
from memescope.errors import MemescopeError, PictureError
from memescope.meme import Meme


class Shout(Transform):
    """The text in capitals; every `apply` is noted in the file `log`. Texts can ask for trouble."""

    name, version = "shout", "1"

    def __init__(self, log: Path, loud: int = 1, seconds: float = 0.0) -> None:
        self.log, self.loud, self.seconds = log, loud, seconds

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"loud": self.loud}

    def content(self, meme: Meme) -> str:
        if meme.text == "no content":
            raise PictureError("nothing to shout")
        return meme.text

    def open(self) -> None:
        if self.loud == 0:
            raise MemescopeError("nobody shouts at 0: use loud=1")

    def apply(self, meme: Meme) -> str:
        with self.log.open("a") as log:
            log.write(f"{meme.text}\n")
        time.sleep(self.seconds)
        marker = self.log.with_name("died once")
        if meme.text == "die" or (meme.text == "die once" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if meme.text == "hang":
            time.sleep(60)
        if meme.text == "bad":
            raise PictureError("a bad picture")
        if meme.text == "bug":
            raise ZeroDivisionError("a bug")
        return meme.text.upper() + "!" * self.loud

    def pack(self, value: str) -> bytes:
        return value.encode()

    def unpack(self, data: bytes, meme: Meme) -> str:
        return data.decode()
