"""memescope reads memes: what they say, whether they harm, whom, and why, with probabilities one can trust.

import memescope as ms
model = ms.load("starter")
[reading] = model.answer([ms.Meme(image="meme.jpg", text="when monday comes")])
print(reading.answers["harmful"].probabilities)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memescope.version import __version__

if TYPE_CHECKING:
    from memescope.meme import Answer, Evidence, Meme, Reading, Verdict
    from memescope.models import load
    from memescope.scanning.pipeline import scan
    from memescope.taxonomy import Task, load_taxonomy
    from memescope.training import train

_HOMES = {
    "Answer": "memescope.meme",
    "Evidence": "memescope.meme",
    "Meme": "memescope.meme",
    "Reading": "memescope.meme",
    "Task": "memescope.taxonomy",
    "Verdict": "memescope.meme",
    "load": "memescope.models",
    "load_taxonomy": "memescope.taxonomy",
    "scan": "memescope.scanning.pipeline",
    "train": "memescope.training",
}

__all__ = [
    "Answer",
    "Evidence",
    "Meme",
    "Reading",
    "Task",
    "Verdict",
    "__version__",
    "load",
    "load_taxonomy",
    "scan",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import memescope` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'memescope' has no attribute {name!r}; it has: {', '.join(__all__)}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
