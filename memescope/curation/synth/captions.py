"""The hand-written captions (captions.yaml) and the truth that goes with each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Any

import yaml

from memescope.curation.synth.brush import Mood
from memescope.errors import UsageError


@dataclass(frozen=True, slots=True)
class Caption:
    """A filled-in caption. `id` is language, group and number, e.g. `en/joke/0`; `mood` None: goes with any picture."""

    id: str
    lang: str
    group: str
    top: str
    bottom: str
    mood: Mood | None

    def labels(self, mood: Mood) -> dict[str, str]:
        """Canonical labels of this caption on a picture of that mood."""
        known = _everything()
        labels = known["groups"][self.group]["labels"]
        return {**labels.get(mood, labels), **known["every_meme"]}


@cache
def _everything() -> dict[str, Any]:
    return yaml.safe_load(resources.files("memescope.curation.synth").joinpath("captions.yaml").read_text("utf-8"))


def languages() -> list[str]:
    """The languages there are captions in (ISO 639-1)."""
    return list(_everything()["captions"])


def check_languages(wanted: list[str]) -> list[str]:
    """The languages wanted, all of them when none is. Raises `UsageError` naming those there are."""
    for lang in wanted:
        if lang not in languages():
            raise UsageError(f"no captions in language {lang!r}; there are: {', '.join(languages())}")
    return wanted or languages()


def caption(lang: str, rng: Random, mood: Mood | None = None, unlike: Caption | None = None) -> Caption:
    """A random caption; of those that go with `mood` when given; of another group than `unlike` when given."""
    known = _everything()
    groups = [
        group
        for group, about in known["groups"].items()
        if (mood is None or about["mood"] in ("any", mood)) and (unlike is None or group != unlike.group)
    ]
    group = rng.choice(groups)
    number = rng.randrange(len(known["captions"][lang][group]))
    low, high = known["numbers"].get(lang, known["numbers"]["default"])
    text = known["captions"][lang][group][number]
    text = text.replace("{day}", rng.choice(known["days"][lang])).replace("{n}", str(rng.randint(low, high)))
    top, bottom = (part.strip() for part in text.split("|"))
    bound = known["groups"][group]["mood"]
    return Caption(f"{lang}/{group}/{number}", lang, group, top, bottom, None if bound == "any" else bound)
