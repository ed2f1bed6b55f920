"""What `openai:URL#key=value&key=value` names: a server, and how the model behind it is asked.

| key | meaning | default |
|---|---|---|
| model | the model's name at the server | the only one it serves |
| run | run folder of the served model: its tasks, instructions, calibration | none: as below, uncalibrated |
| tasks | tasks to answer, separated by commas | those of `run`, else hateful,harmful,offensive |
| setting | hybrid or english | that of `run`, else hybrid |
| image | no: pictures are not sent | yes |
| allow | the host outside this machine that may be sent memes | none may |
| key | environment variable that holds the key | see `rationales.address.key_for` |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from memescope.errors import UsageError
from memescope.models.memelens.prompting import Manner, manner_of
from memescope.models.memelens.wording import SETTINGS
from memescope.taxonomy import load_taxonomy

PREFIX = "openai:"
TASKS = ("hateful", "harmful", "offensive")
KEYS = ("model", "run", "tasks", "setting", "image", "allow", "key")


@dataclass(frozen=True)
class Spec:
    """A server's address and how its model is asked. `calibration` and `abstain` are those of a run folder."""

    url: str
    model: str | None
    tasks: tuple[str, ...]
    manner: Manner
    allow: str | None
    key: str | None
    calibration: dict[str, dict[str, Any]]
    abstain: dict[str, float | None]
    length: str
    card: dict[str, dict[str, Any]]


def with_access(name: str, allow: str | None, key: str | None) -> str:
    """The name with what a command's `--allow-remote` and `--key-env` say; unchanged where they say nothing."""
    url, _, rest = name.partition("#")
    settings = dict(parse_qsl(rest)) | {k: v for k, v in (("allow", allow), ("key", key)) if v}
    return f"{url}#{urlencode(settings)}" if settings else url


def parse(name: str) -> Spec:
    """The server and settings that `name` says. Raises `UsageError` for a key or task that is not known."""
    url, _, rest = name.removeprefix(PREFIX).partition("#")
    settings = dict(parse_qsl(rest))
    if unknown := [key for key in settings if key not in KEYS]:
        raise UsageError(f"{PREFIX}{url}: no setting {unknown[0]!r}; there are: {', '.join(KEYS)}")
    run = _run(Path(settings["run"])) if "run" in settings else {}
    asked = [task.strip() for task in settings.get("tasks", "").split(",") if task.strip()]
    tasks = tuple(asked or run.get("tasks") or TASKS)
    for task in tasks:
        if task not in load_taxonomy().tasks:
            load_taxonomy()[task]  # names the tasks there are
    setting = settings.get("setting", run.get("setting", "hybrid"))
    if setting not in SETTINGS:
        raise UsageError(f"setting {setting!r}: expected one of {', '.join(SETTINGS)}")
    if settings.get("image", "yes") not in ("yes", "no"):
        raise UsageError(f"image={settings['image']}: expected yes or no")
    manner = run.get("manner", Manner())
    shown = manner.image and settings.get("image", "yes") == "yes"
    return Spec(
        url=url,
        model=settings.get("model"),
        tasks=tasks,
        manner=replace(manner, setting=setting, image=shown),
        allow=settings.get("allow"),
        key=settings.get("key"),
        calibration=run.get("calibration", {}),
        abstain=run.get("abstain", {}),
        length=run.get("length", "sum"),
        card=run.get("card", {}),
    )


def _run(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"run={folder}: no model of a run there: {error}") from None
    if config.get("family") != "memelens" or "manner" not in (config.get("settings") or {}):
        raise UsageError(f"run={folder}: expected a run of the family memelens, found {config.get('family')!r}")
    if config["settings"].get("head"):
        raise UsageError(f"run={folder}: its labels come from a head of their own, which no server has")
    manner = manner_of(config["settings"]["manner"])
    return {
        "tasks": tuple(config["tasks"]),
        "setting": manner.setting,
        "manner": manner,
        "calibration": config.get("calibration") or {},
        "abstain": config.get("abstain") or {},
        "length": config.get("length", "sum"),
        "card": config.get("card") or {},
    }
