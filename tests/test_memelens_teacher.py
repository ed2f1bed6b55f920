"""Further instructions by a teacher: what is taken, what is not, and a file that training reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from label_server import LabelServer

from memescope.errors import UsageError
from memescope.models.memelens.wording import load_wording
from memescope.rationales.address import check_address
from memescope.rationales.teacher import Teacher
from memescope.rationales.wordings import more_asks, taken, write_asks

REPLY = (
    """Here are some clauses:
1. whether this post shows contempt for a protected group.
- Whether this post shows contempt for a protected group
* whether the meme is hateful towards people because of a group they belong to
• how {label} it is
"which hatred, if any, it voices"
It is hateful.
whether """
    + "very " * 60
)


def test_only_clauses_that_can_stand_in_the_place_of_ours_are_taken() -> None:
    ours = load_wording().asks_of("hateful")
    assert taken(REPLY, ours) == [
        "whether this post shows contempt for a protected group", "which hatred, if any, it voices"
    ]  # fmt: skip
    several = load_wording().asks_of("targets")
    assert taken("whether it is aimed at {label}\nwhether it is aimed\nwhether {label} or {label}", several) == [
        "whether it is aimed at {label}"
    ]


def test_a_teachers_clauses_come_behind_ours(tmp_path: Path) -> None:
    def says(body: dict[str, Any]) -> str:
        return REPLY if "attack on people" in body["messages"][-1]["content"] else "I cannot do that."

    model: Any = SimpleNamespace(encode=lambda *_: [0])
    with LabelServer(model, set(), says=says) as server:
        teacher = Teacher(check_address(server.url), "faulty", first_wait=0.01)
        found = more_asks(teacher, ["hateful", "political"], 5)
    assert list(found) == ["hateful"]
    write_asks(found, tmp_path / "more.yaml")
    ours, more = load_wording(), load_wording(tmp_path / "more.yaml")
    assert more.asks["hateful"] == (*ours.asks["hateful"], *found["hateful"])
    assert more.asks["political"] == ours.asks["political"]
    with pytest.raises(UsageError, match="no instructions for the task 'nothing'"):
        more_asks(teacher, ["nothing"], 5)
    with pytest.raises(UsageError, match="nothing is written"):
        write_asks({}, tmp_path / "empty.yaml")
