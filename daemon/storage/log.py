"""The event log: append in one transaction, read by position or by stream.

The append takes a transaction-scoped lock as its own statement, then reads the head, drops events that are already
stored, then inserts head+1…n. That order is what makes positions gapless and commit-ordered: a reader needs only
`position > checkpoint`.
"""

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from daemon.domain.errors import WrongExpectedVersion
from daemon.domain.events import (
    ACCEPTED,
    OBSERVED,
    OVERLAPPING,
    SCHEMA_VERSION,
    Event,
    NewEvent,
    Reading,
    encode,
)
from daemon.domain.streams import LOG_STREAM, derived_id
from daemon.domain.upcasters import upcast
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("log")


class Read(msgspec.Struct, frozen=True):
    """A record as a poll, a fetch or a read-back found it: appended only if it says something new, or if `always`.

    `payload` is the vendor's JSON. `listed` is what the vendor's change list said of it (its own time, as text).
    """

    stream: str
    origin: str
    occurred_at: datetime
    payload: bytes
    reading: Reading
    correlation_id: uuid.UUID
    causation_id: uuid.UUID | None = None
    always: bool = False
    listed: str | None = None


class Appended(msgspec.Struct, frozen=True):
    """What became of one item: its event, and the position it got; None when the log already knew it."""

    event_id: uuid.UUID
    position: int | None


class State(msgspec.Struct):
    """The log's head, which of the asked events are stored, and each asked stream's version, all under the lock."""

    head: int
    stored: set[uuid.UUID]
    versions: dict[str, int]


async def lock(conn: Connection, tenant: str) -> None:
    """Wait for this tenant's turn to append. Its own statement: the next one must see what the last holder wrote."""
    await conn.execute(_sql["lock"], tenant)


async def state(conn: Connection, tenant: str, ids: Sequence[uuid.UUID], streams: Sequence[str]) -> State:
    """What an append must know, read after `lock`."""
    row = await conn.fetchrow(_sql["state"], tenant, ids, streams)
    assert row is not None
    return State(row["head"], set(row["stored"]), dict(zip(streams, row["versions"], strict=True)))


async def known_records(conn: Connection, tenant: str, streams: Sequence[str]) -> dict[str, "KnownRecord"]:
    """The newest observation of each record, and where its newest read ended."""
    rows = await conn.fetch(_sql["observed"], tenant, streams)
    return {
        row["stream"]: KnownRecord(row["event_id"], _content(row["data"], row["meta"]), row["ended"] or 0)
        for row in rows
    }


class KnownRecord(msgspec.Struct):
    """What the log holds of a record: the newest observation's id and content, and the end of the newest read."""

    event_id: uuid.UUID | None
    content: Any
    ended: int


class _Inside(msgspec.Struct):
    inside: str | None = None


_inside: Final = msgspec.json.Decoder(_Inside)
_json: Final = msgspec.json.Decoder()


def _content(data: str | None, meta: str | None) -> Any:
    if data is None:
        return None
    content = _loose(data)
    inside = _inside.decode(meta).inside if meta else None
    return content.get(inside) if inside else content


def judge(read: Read, known: KnownRecord, tenant: str, end: int) -> NewEvent | None:
    """The event of a read, with its verdict; None when it says nothing new. Marks it as what is known from now on."""
    content = _loose(read.payload)
    started = read.reading.started
    verdict = OVERLAPPING if started is not None and started < known.ended else ACCEPTED
    known.ended = max(known.ended, end)
    if known.event_id is not None and content == known.content and not read.always:
        return None
    parts = [tenant, read.stream, str(known.event_id), json.dumps(content, sort_keys=True)]
    if read.always:
        parts.append(f"{read.reading.via} {started} {read.reading.command}")
    event_id = derived_id(*parts)
    known.event_id, known.content = event_id, content
    return NewEvent(
        event_id=event_id,
        stream=read.stream,
        type=OBSERVED,
        origin=read.origin,
        occurred_at=read.occurred_at,
        data=read.payload,
        meta=encode(msgspec.structs.replace(read.reading, verdict=verdict)),
        correlation_id=read.correlation_id,
        causation_id=read.causation_id,
    )


def is_news(read: Read, known: KnownRecord) -> bool:
    """Whether a read says anything else than the newest observation of its record."""
    return known.event_id is None or _loose(read.payload) != known.content


def _loose(text: bytes | str) -> Any:
    """JSON that the database would take: also half of a surrogate pair, which msgspec refuses."""
    try:
        return _json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def check(expected: Mapping[str, int], versions: Mapping[str, int]) -> None:
    """Raise WrongExpectedVersion when a stream is not where the caller saw it."""
    for stream, version in expected.items():
        if versions[stream] != version:
            raise WrongExpectedVersion(f"a stream is at version {versions[stream]}, expected {version}")


async def insert(
    conn: Connection,
    tenant: str,
    rows: Sequence[tuple[int, int, NewEvent]],
    recorded_at: datetime,
) -> None:
    """Write (position, version, event) rows and tell the listeners, in the caller's transaction."""
    events = [event for _, _, event in rows]
    await conn.execute(
        _sql["insert"],
        tenant,
        SCHEMA_VERSION,
        recorded_at,
        [position for position, _, _ in rows],
        [e.event_id for e in events],
        [e.stream for e in events],
        [version for _, version, _ in rows],
        *_columns(events),
    )


def _columns(events: Sequence[NewEvent]) -> Iterator[list[Any]]:
    """What both statements take of the events, column by column, from `type` on."""
    for name in ("type", "origin", "occurred_at", "causation_id", "correlation_id"):
        yield [getattr(e, name) for e in events]
    yield [e.data.decode() for e in events]
    yield [None if e.meta is None else e.meta.decode() for e in events]


async def append(
    conn: Connection, tenant: str, events: Sequence[NewEvent], recorded_at: datetime
) -> dict[uuid.UUID, int]:
    """Lock, look and insert in one round trip, for events that expect nothing; the positions of those that are new."""
    rows = await conn.fetch(
        _sql["append"],
        tenant,
        recorded_at,
        SCHEMA_VERSION,
        [e.event_id for e in events],
        [e.stream for e in events],
        *_columns(events),
    )
    return {row["id"]: row["place"] for row in rows}


async def remember_reads(
    conn: Connection, tenant: str, reads: Iterable[tuple[Read, int]], now: datetime
) -> None:
    """Keep each read's interval, the newest of a record winning: (read, end of its interval)."""
    newest = {read.stream: (read, end) for read, end in reads if read.reading.started is not None}
    if newest:
        await conn.execute(
            _sql["remember_reads"],
            tenant,
            list(newest),
            [read.reading.started for read, _ in newest.values()],
            [end for _, end in newest.values()],
            [read.listed for read, _ in newest.values()],
            now,
        )


async def head(conn: Connection, tenant: str) -> int:
    """The position of the newest event; 0 for an empty log."""
    position: int = await conn.fetchval(_sql["head"], tenant)
    return position


async def page(conn: Connection, tenant: str, after: int, limit: int = 1000) -> list[Event]:
    """The next events after a position, oldest first."""
    return [event_of(row) for row in await conn.fetch(_sql["page"], tenant, after, limit)]


async def pages(
    conn: Connection, tenant: str, after: int = 0, size: int = 1000
) -> AsyncIterator[list[Event]]:
    """All events after a position, a page at a time."""
    while events := await page(conn, tenant, after, size):
        yield events
        after = events[-1].position


async def of_streams(conn: Connection, tenant: str, streams: Sequence[str], after: int = 0) -> list[Event]:
    """The events of some streams in the order of the log."""
    return [event_of(row) for row in await conn.fetch(_sql["streams"], tenant, streams, after)]


async def at(conn: Connection, tenant: str, position: int) -> Event | None:
    """One event by its position."""
    row = await conn.fetchrow(_sql["at"], tenant, position)
    return None if row is None else event_of(row)


async def called(conn: Connection, tenant: str, low: uuid.UUID, high: uuid.UUID, limit: int) -> list[Event]:
    """The events whose id lies between two, both included, in the order of the ids."""
    return [event_of(row) for row in await conn.fetch(_sql["called"], tenant, low, high, limit)]


async def tenants(conn: Connection) -> list[str]:
    """The tenants that have events."""
    return [row["tenant"] for row in await conn.fetch(_sql["tenants"])]


class Incarnation(msgspec.Struct, frozen=True):
    """The random mark that tells this log from others of the same beginning, the event since which it holds, and how
    often this log was restored."""

    mark: uuid.UUID
    since: int = 0
    restores: int = 0


async def incarnation(conn: Connection, tenant: str) -> Incarnation:
    """The mark of the newest LogRestored; the database's own before any."""
    restored = await conn.fetchrow(_sql["restored"], tenant, LOG_STREAM)
    return (
        Incarnation(await conn.fetchval(_sql["incarnation"])) if restored is None else Incarnation(*restored)
    )


async def incarnations(conn: Connection, tenant: str) -> list[uuid.UUID]:
    """Every mark that this log has had, the database's own first."""
    return [row["mark"] for row in await conn.fetch(_sql["incarnations"], tenant, LOG_STREAM)]


def event_of(row: "asyncpg.Record") -> Event:
    """A row of the table as an Event of today's shape; the columns stand in the Struct's order."""
    event = Event(*row)
    return event if event.schema_version == SCHEMA_VERSION else upcast(event)
