"""The journal of a scan: `memescope.db`, SQLite in WAL mode. Everything else a scan leaves is derived from it.

Tables:
  meta      settings of the last scan, as JSON by key
  entries   what the last scan was asked to read, in input order; each points at a reading by key, or has an error
  readings  what was found out about one content (bytes, given text, settings); kept from scan to scan, never done twice
  verdicts  the verdict on each entry, one JSON record each, written when a scan ends
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError

from memescope.errors import MemescopeError

FORMAT = "1"
_PAGE = 500

_schema = MetaData()
_meta = Table("meta", _schema, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
_entries = Table(
    "entries",
    _schema,
    Column("seq", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("path", Text, nullable=False),
    Column("reading", Text),
    Column("error", Text),
)
_readings = Table(
    "readings",
    _schema,
    Column("key", Text, primary_key=True),
    Column("record", Text, nullable=False),
    Column("thumbnail", LargeBinary),
    Column("fingerprint", LargeBinary),
    Column("embedding", LargeBinary),
)
_verdicts = Table(
    "verdicts",
    _schema,
    Column("seq", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("path", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("error", Text),
    Column("duplicate_of", Text),
    Column("record", Text, nullable=False),
)


@dataclass(slots=True)
class Stored:
    """What the journal keeps of one content: a JSON record and three blobs (any may be None after an error)."""

    record: dict[str, Any]
    thumbnail: bytes | None = None
    fingerprint: bytes | None = None
    embedding: bytes | None = None


@dataclass(slots=True)
class Row:
    """One entry joined with its reading, in input order."""

    seq: int
    id: str
    path: str
    reading: str | None
    error: str | None
    stored: Stored | None


class Journal:
    """Opens or creates the journal at `path`; a context manager. One process writes at a time (see `scan.lock`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _pragmas)
        try:
            self._db: Connection = self._engine.connect()
            _schema.create_all(self._db)
            self._db.commit()
        except DatabaseError as error:
            raise MemescopeError(
                f"{path}: not a journal memescope can open ({error.orig}); move it away or choose another --out"
            ) from None
        found = self.meta("format")
        if found is None:
            self.set_meta("format", FORMAT)
        elif found != FORMAT:
            raise MemescopeError(f"{path}: journal format {found}, this version reads {FORMAT}; choose another --out")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit and fold the write-ahead log back into the one file."""
        self._db.commit()
        self._db.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        self._db.close()
        self._engine.dispose()

    def meta(self, key: str) -> Any:
        """The value stored under `key`, or None."""
        value = self._db.execute(select(_meta.c.value).where(_meta.c.key == key)).scalar()
        return None if value is None else json.loads(value)

    def set_meta(self, key: str, value: Any) -> None:
        """Store a JSON value under `key`."""
        statement = insert(_meta).values(key=key, value=json.dumps(value))
        self._db.execute(
            statement.on_conflict_do_update(index_elements=["key"], set_={"value": statement.excluded.value})
        )
        self._db.commit()

    def begin(self) -> None:
        """Forget the entries and verdicts of the scan before; readings stay."""
        self._db.execute(_entries.delete())
        self._db.execute(_verdicts.delete())
        self._db.commit()

    def add(self, seq: int, entry_id: str, path: str, error: str | None) -> None:
        """Note one entry of the input; committed with the next reading."""
        self._db.execute(_entries.insert().values(seq=seq, id=entry_id, path=path, error=error, reading=None))

    def reading(self, key: str) -> dict[str, Any] | None:
        """The record stored for a content, or None."""
        record = self._db.execute(select(_readings.c.record).where(_readings.c.key == key)).scalar()
        return None if record is None else json.loads(record)

    def put(self, seq: int, key: str, stored: Stored | None) -> None:
        """Point an entry at a content's reading, stored first unless it is there (None); durable on return."""
        if stored is not None:
            values = {
                "record": json.dumps(stored.record, ensure_ascii=False),
                "thumbnail": stored.thumbnail,
                "fingerprint": stored.fingerprint,
                "embedding": stored.embedding,
            }
            statement = insert(_readings).values(key=key, **values)
            self._db.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))
        self._db.execute(_entries.update().where(_entries.c.seq == seq).values(reading=key))
        self._db.commit()

    def fail(self, seq: int, error: str) -> None:
        """Give an entry an error that belongs to this run (file gone, decoder died): the next run tries it again."""
        self._db.execute(_entries.update().where(_entries.c.seq == seq).values(error=error))
        self._db.commit()

    def rows(self) -> Iterator[Row]:
        """All entries with their readings, in input order, a page at a time; without thumbnails."""
        columns = (_entries, _readings.c.record, _readings.c.fingerprint, _readings.c.embedding)
        joined = select(*columns).join_from(_entries, _readings, _entries.c.reading == _readings.c.key, isouter=True)
        last = 0
        while True:
            page = self._db.execute(joined.where(_entries.c.seq > last).order_by(_entries.c.seq).limit(_PAGE)).all()
            for row in page:
                last = row.seq
                stored = None
                if row.record is not None:
                    stored = Stored(json.loads(row.record), None, row.fingerprint, row.embedding)
                yield Row(row.seq, row.id, row.path, row.reading, row.error, stored)
            if len(page) < _PAGE:
                return

    def thumbnail(self, entry_id: str) -> bytes | None:
        """The small picture of one entry, or None."""
        joined = select(_readings.c.thumbnail).join_from(_entries, _readings, _entries.c.reading == _readings.c.key)
        return self._db.execute(joined.where(_entries.c.id == entry_id)).scalar()

    def fingerprint(self, key: str) -> bytes | None:
        """The stored marks of one reading's picture, or None."""
        return self._db.execute(select(_readings.c.fingerprint).where(_readings.c.key == key)).scalar()

    def put_verdicts(self, records: Iterable[dict[str, Any]]) -> None:
        """Replace all verdicts by these records (`Verdict.to_dict`), in order, in one transaction."""
        self._db.execute(_verdicts.delete())
        page: list[dict[str, Any]] = []
        for seq, record in enumerate(records, 1):
            row = {name: record[name] for name in ("id", "path", "action", "error", "duplicate_of")}
            page.append({"seq": seq, **row, "record": json.dumps(record, ensure_ascii=False)})
            if len(page) == _PAGE:
                self._db.execute(_verdicts.insert(), page)
                page.clear()
        if page:
            self._db.execute(_verdicts.insert(), page)
        self._db.commit()

    def verdicts(self) -> Iterator[dict[str, Any]]:
        """The records of all verdicts in input order, a page at a time."""
        last = 0
        while True:
            page: Sequence[Any] = self._db.execute(
                select(_verdicts.c.seq, _verdicts.c.record)
                .where(_verdicts.c.seq > last)
                .order_by(_verdicts.c.seq)
                .limit(_PAGE)
            ).all()
            for seq, record in page:
                last = seq
                yield json.loads(record)
            if len(page) < _PAGE:
                return

    def counts(self) -> dict[str, int]:
        """How many entries there are, how many have a reading or an error of their own."""
        total, read, failed = self._db.execute(
            select(func.count(), func.count(_entries.c.reading), func.count(_entries.c.error)).select_from(_entries)
        ).one()
        return {"entries": total, "read": read, "failed": failed}


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # WAL with NORMAL survives a killed process; only a power cut may lose the last commits, never the file.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
