"""The end of a scan: duplicates, known pictures and actions, then the files people and programs read. All of it is
derived from the journal, so it can be done again at any time with another policy."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from memescope.curation.hashes import Fingerprint
from memescope.curation.hashlist import Hashlist, HashlistMatch
from memescope.meme import ACTIONS, Verdict, reading_from_dict
from memescope.report import ScanInfo, write_csv, write_jsonl, write_report
from memescope.scanning.policy import Policy
from memescope.scanning.repeats import Repeat, find_repeats
from memescope.store.journal import Journal, Row

NOTES = (
    (
        "Probabilities are calibrated on held-out memes of the sets that the model was trained on. On other memes they "
        "may be wrong; where a meme looks unlike those sets, the answer says that it is not sure."
    ),
    "What this page proposes is for a person to decide.",
)
"""Said in every report."""


@dataclass(frozen=True)
class Results:
    """The files a scan left and what it counted. `actions` has pass, review and flag."""

    report: Path
    results: Path
    table: Path
    memes: int
    actions: dict[str, int]
    duplicates: int
    errors: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {name: str(getattr(self, name)) for name in ("report", "results", "table")}


def finish(
    journal: Journal,
    folder: Path,
    policy: Policy,
    hashlist: Hashlist | None,
    info: dict[str, Any],
    progress: Callable[[str, int, int], None],
) -> Results:
    """Derive verdicts from the journal's readings and write `results.jsonl`, `results.csv` and `report.html`."""
    total = journal.counts()["entries"]
    counts: Counter[str] = Counter()
    repeats = find_repeats(journal)
    settings = info["settings"]

    def records() -> Iterator[dict[str, Any]]:
        for row in journal.rows():
            verdict = _verdict(row, policy, hashlist, repeats.get(row.seq), settings)
            counts["errors"] += verdict.error is not None
            counts["duplicates"] += verdict.duplicate_of is not None
            counts[verdict.action] += 1
            progress("write", row.seq, total)
            yield verdict.to_dict()

    journal.put_verdicts(records())

    def verdicts() -> Iterator[Verdict]:
        return (Verdict.from_dict(record) for record in journal.verdicts())

    results, table, report = folder / "results.jsonl", folder / "results.csv", folder / "report.html"
    write_jsonl(results, verdicts())
    write_csv(table, verdicts())
    write_report(report, verdicts(), thumbnails=journal.thumbnail, info=_scan_info(info, total))
    return Results(
        report=report,
        results=results,
        table=table,
        memes=total,
        actions={action: counts[action] for action in ACTIONS},
        duplicates=counts["duplicates"],
        errors=counts["errors"],
    )


def _verdict(
    row: Row, policy: Policy, hashlist: Hashlist | None, repeat: Repeat | None, settings: dict[str, Any]
) -> Verdict:
    verdict = Verdict(
        id=row.id,
        path=row.path,
        model=f"{settings['model']} {settings['model_version']}",
        taxonomy=settings["taxonomy"],
    )
    record = row.stored.record if row.stored else {}
    verdict.error = row.error or record.get("error")
    if row.stored is None or verdict.error is not None:
        verdict.action, verdict.because = policy.unreadable, ["could not be read"]
        return verdict
    reading = reading_from_dict(record["reading"])
    verdict.text, verdict.ocr_text, verdict.lang = record["text"], record["ocr_text"], record["lang"]
    verdict.answers, verdict.rationale = reading.answers, reading.rationale
    verdict.action, verdict.because = policy.decide(reading.answers)
    # Evidence that only an earlier policy asked for stays in the journal.
    wanted = policy.explained_tasks(reading.answers)
    verdict.evidence = {task: reading.evidence[task] for task in wanted if task in reading.evidence}
    if repeat is not None:
        verdict.duplicate_of, verdict.duplicate_kind = repeat.of, repeat.kind
        verdict.same_picture_as = repeat.same_picture_as
    if hashlist is not None and row.stored.fingerprint is not None:
        prints = Fingerprint.from_bytes(row.stored.fingerprint)
        known = hashlist.match(prints.listed, prints.pdq, quality=prints.quality)
        if known is not None:
            _mark_known(verdict, known)
    return verdict


def _mark_known(verdict: Verdict, known: HashlistMatch) -> None:
    name = f"{known.name} (distance {known.distance})"
    if known.action == "match":
        verdict.action = "flag"
        verdict.because = [f"known picture on the match list: {name}", *verdict.because]
    else:
        verdict.action = "pass"
        verdict.because = [f"known picture on the allow list: {name}"]


def _scan_info(info: dict[str, Any], total: int) -> ScanInfo:
    settings, card = info["settings"], info["card"]
    return ScanInfo(
        title="Meme scan",
        inputs=info["inputs"],
        started=datetime.fromtimestamp(info["started"]).astimezone(),
        seconds=info["seconds"],
        model=settings["model"],
        model_version=settings["model_version"],
        taxonomy=settings["taxonomy"],
        policy=info["policy"],
        trained_on={task: entry["trained_on"] for task, entry in card.items() if "trained_on" in entry},
        abstains={task: entry["abstains"] for task, entry in card.items() if "abstains" in entry},
        notes=list(NOTES),
        command=shlex.join(["memescope", "scan", *info["inputs"], "--out", info["out"]]),
        counts={"entries": total} | {f"left out: {reason}": count for reason, count in info["skipped"].items()},
        versions={name: str(value) for name, value in settings.items()},
    )
