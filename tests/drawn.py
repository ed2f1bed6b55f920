"""Pictures for tests, all drawn: nothing here needs a dataset, a network or a system font."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from memescope.curation.synth import Expectation, draw_meme
from memescope.curation.synth import broken_files as _broken_files


def drawn_meme(
    text: str = "One small step\nfor a potato",
    seed: int | str = 0,
    size: tuple[int, int] = (600, 450),
    layout: str | None = "impact",
) -> bytes:
    """A meme with this text as a JPEG file; the same arguments give the same bytes. A newline parts top from bottom."""
    return draw_meme(text, seed, size, layout)


def broken_files(folder: Path) -> dict[str, Expectation]:
    """Writes every kind of broken file into `folder`: name (with /) -> what must come of it."""
    return _broken_files(folder)


def encoded(image: Any, form: str, **options: Any) -> bytes:
    """A PIL picture as a file of this format."""
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()
