"""What the report says of the scan itself: one small dataclass, filled by the scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class ScanInfo:
    """How a report came about. Every text is shown as it is; what is empty is left out.

    `seconds` is the scan's duration. `policy` has one line of text for each rule, in the order they apply.
    `trained_on` and `abstains` map a task to a note shown beside its answers: what the model learned it from, and when
    it says that it is not sure. `notes` are paragraphs on the whole model (calibration, known weaknesses).
    `counts` (files found, left out, resumed ...) and `versions` are shown as tables.
    """

    title: str = "Meme scan"
    inputs: list[str] = field(default_factory=list)
    started: datetime | None = None
    seconds: float | None = None
    model: str = ""
    model_version: str = ""
    taxonomy: str = ""
    policy: list[str] = field(default_factory=list)
    trained_on: dict[str, str] = field(default_factory=dict)
    abstains: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the time as ISO 8601 to the second."""
        record = asdict(self)
        record["started"] = self.started.isoformat(timespec="seconds") if self.started else None
        return record
