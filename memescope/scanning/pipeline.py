"""`scan`: entries in, verdicts out. Readings go to the journal as they come; what is there already is not read again.

Two passes over the input keep memory flat: the first counts (for the estimate of time), the second reads. Workers do
all that touches a picture's content (`reader.py`); this process hands out bytes, writes the journal, and at the end
derives duplicates, actions and result files from it (`finish.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memescope.curation.hashlist import load_hashlist
from memescope.errors import PictureError, UsageError
from memescope.meme import reading_from_dict
from memescope.models.reasons import Reasons
from memescope.scanning.finish import Results, finish
from memescope.scanning.inputs import Entry, entries, read_bytes
from memescope.scanning.lock import only_one
from memescope.scanning.policy import Policy, load_policy
from memescope.scanning.pool import Job, Outcome, pool
from memescope.store.journal import Journal, Stored

Progress = Callable[[str, int, int], None]
"""Called with the stage ("read" or "write"), how many entries are done, and how many there are."""


@dataclass(frozen=True)
class ScanResult:
    """Where a scan's results are, and what it found."""

    out: Path
    results: Results
    seconds: float
    read_now: int
    """How many contents were read in this run."""
    known: int
    """How many memes needed no reading: their content was in the journal, from this run or an earlier one."""
    card: dict[str, Any]


def scan(
    paths: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    model: str = "starter",
    policy: str | Path | Policy | None = None,
    hashlist: str | Path | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    reasons: Reasons = "acted-on",
    progress: Progress | None = None,
) -> ScanResult:
    """Read every meme in folders, files, globs, zips or lists, and leave verdicts in the folder `out`.

    `out` gets `memescope.db` (the journal), `results.jsonl`, `results.csv` and `report.html`; by default it is
    `memescope-NAME` in the current folder, NAME being the first path's. A scan that was stopped goes on where it was
    when called again. `policy` is a YAML file or a `Policy`; `hashlist` a PDQ list of known pictures; `workers`
    processes read at a time (default: one a core); `timeout` is the most seconds one meme may take (default: 60, where
    a server answers 900). `reasons` says of which memes a model that writes reasons is asked for them: those the policy
    acts on, all, none.

    Raises `UsageError` for paths that do not exist, for a policy or hash list that cannot be read and for reasons of
    "all" from a model that writes none, `MemescopeError` when no worker can start. A meme that cannot be read is a
    verdict with `error`, never an exception.
    """
    started = time.time()
    asked = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not asked:
        raise UsageError("nothing to scan: give a folder, a picture, a glob, a zip or a list")
    rules = policy if isinstance(policy, Policy) else load_policy(policy)
    folder = Path(out) if out is not None else default_out(asked[0])
    known_pictures = load_hashlist(hashlist) if hashlist is not None else None
    skipped: Counter[str] = Counter()
    total = sum(1 for _ in entries(asked, skipped=skipped))
    report_progress = progress or (lambda stage, done, of: None)
    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, min(workers or os.cpu_count() or 1, total))
    with (
        only_one(folder),
        (folder / "workers.log").open("wb") as log,
        Journal(folder / "memescope.db") as journal,
        pool(count, model, rules, timeout, log, reasons) as readers,
    ):
        greeting = readers.start()
        if reasons == "all" and not greeting["writes"]:
            raise UsageError(f"model {model!r} writes no reasons: scan without asking for them, or take one that does")
        run = _Run(
            journal, rules, reasons if greeting["writes"] else "none", greeting["settings"], total, report_progress
        )
        for outcome in readers.run(run.jobs(entries(asked))):
            run.take(outcome)
        seconds = time.time() - started
        info = {
            "inputs": [str(path) for path in asked],
            "out": str(folder),
            "started": started,
            "seconds": seconds,
            "settings": greeting["settings"],
            "card": greeting["card"],
            "policy": [str(rule) for rule in rules.rules],
            "skipped": dict(skipped),
        }
        journal.set_meta("scan", info)
        results = finish(journal, folder, rules, known_pictures, info, report_progress)
    return ScanResult(folder, results, time.time() - started, run.read_now, run.known, greeting["card"])


def default_out(first: str | Path) -> Path:
    """`memescope-NAME` in the current folder, from the first path's last part without wildcards and suffix."""
    name = Path(os.path.abspath(first)).stem or "scan"
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.")
    return Path(f"memescope-{kept or 'scan'}")


class _Run:
    """The bookkeeping of one run; all of it in one thread."""

    def __init__(
        self,
        journal: Journal,
        policy: Policy,
        reasons: Reasons,
        settings: dict[str, Any],
        total: int,
        progress: Progress,
    ) -> None:
        self._journal = journal
        self._policy = policy
        self._reasons = reasons
        self._settings = json.dumps(settings, sort_keys=True)
        self._total = total
        self._progress = progress
        self._same_content: dict[str, list[int]] = {}
        self._done = 0
        self.read_now = 0
        self.known = 0

    def jobs(self, found: Iterator[Entry]) -> Iterator[Job]:
        """Note each entry; yield those whose content has no reading yet."""
        self._journal.begin()
        for seq, entry in enumerate(found, 1):
            self._journal.add(seq, entry.id, entry.path, entry.error)
            if entry.error is not None:
                self._advance()
            elif (job := self._job(seq, entry)) is not None:
                yield job

    def _job(self, seq: int, entry: Entry) -> Job | None:
        try:
            data = read_bytes(entry)
        except (OSError, PictureError) as error:
            self._journal.fail(seq, str(error))
            self._advance()
            return None
        key = self._key(data, entry)
        if key in self._same_content:
            self._same_content[key].append(seq)
            return None
        record = self._journal.reading(key)
        if record is not None and self._complete(record):
            self._journal.put(seq, key, None)
            self.known += 1
            self._advance()
            return None
        self._same_content[key] = [seq]
        return Job(seq, key, data, entry.text, entry.lang)

    def _key(self, data: bytes, entry: Entry) -> str:
        digest = hashlib.sha256(data)
        digest.update(json.dumps([entry.text, entry.lang]).encode())
        digest.update(self._settings.encode())
        return digest.hexdigest()

    def _complete(self, record: dict[str, Any]) -> bool:
        """Whether a stored record has the evidence and the reasons that are asked for today."""
        if "error" in record:
            return True
        reading = reading_from_dict(record["reading"])
        acted_on = set(self._policy.explained_tasks(reading.answers))
        wanted = self._reasons == "all" or (self._reasons == "acted-on" and bool(acted_on))
        return acted_on <= set(reading.evidence) and (not wanted or record.get("reasoned", False))

    def take(self, outcome: Outcome) -> None:
        """Write one outcome to the journal, for every entry with this content."""
        job = outcome.job
        stored = outcome.stored
        if stored is None and outcome.lasting:
            stored = Stored({"error": outcome.error})
        for position, seq in enumerate(self._same_content.pop(job.key)):
            if stored is None:
                self._journal.fail(seq, outcome.error or "unknown error")
            else:
                self._journal.put(seq, job.key, stored if position == 0 else None)
            self._advance()
        self.read_now += 1

    def _advance(self) -> None:
        self._done += 1
        self._progress("read", self._done, max(self._total, self._done))
