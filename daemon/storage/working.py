"""Working knowledge beside the log: checkpoints, cursors, read intervals. Losing it costs reads, never facts."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("working")

BACKFILL: Final = "backfill"
"""Whose progress says which release of what only the first polls saw was looked at as a whole."""

TICK: Final = timedelta(seconds=2)
"""The coarsest time stamp of a vendor, with a margin: a record is read again once this long after it was listed,
so that a second edit under the same stamp is seen too."""


class Cursor(msgspec.Struct, frozen=True):
    """How far a poll has come. `complete` is the log's head when the newest complete poll was sent; None before any,
    -1 when the log was restored since."""

    cursor: str | None
    complete: int | None
    started_at: datetime
    looked_at: datetime | None

    def whole(self) -> bool:
        """Everything of the source was seen, as far as this log knows."""
        return self.complete is not None and self.complete >= 0


class KnownRead(msgspec.Struct, frozen=True):
    """When a record was last read, and what a change list last said of it, and since when it says so."""

    stream: str
    started: int
    ended: int
    listed: str | None
    listed_at: datetime | None
    read_at: datetime | None

    def settled(self) -> bool:
        """What the list said was read after its time stamp could still have stood for a later edit."""
        return self.listed_at is None or (self.read_at is not None and self.read_at >= self.listed_at + TICK)


async def checkpoint(conn: Connection, tenant: str, processor: str) -> int:
    """A processor's progress in the log."""
    position: int | None = await conn.fetchval(_sql["checkpoint"], tenant, processor)
    return position or 0


async def move_checkpoint(conn: Connection, tenant: str, processor: str, position: int) -> None:
    """Move a processor's progress."""
    await conn.execute(_sql["move_checkpoint"], tenant, processor, position)


async def open_cursor(conn: Connection, tenant: str, source: str, now: datetime) -> Cursor:
    """The cursor of a source; a new one remembers when its first poll began."""
    await conn.execute(_sql["open_cursor"], tenant, source, now)
    row = await conn.fetchrow(_sql["cursor"], tenant, source)
    assert row is not None
    return Cursor(*row)


async def move_cursor(conn: Connection, tenant: str, source: str, cursor: str | None) -> None:
    """Move a cursor, in the transaction of the events that it covers."""
    await conn.execute(_sql["move_cursor"], tenant, source, cursor)


async def complete_cursor(conn: Connection, tenant: str, source: str, started: int, now: datetime) -> None:
    """A poll has seen everything that changed before it was sent."""
    await conn.execute(_sql["complete_cursor"], tenant, source, started, now)


async def cursors(conn: Connection, tenant: str) -> dict[str, Cursor]:
    """The cursors of a tenant by source, without those of single records within a source."""
    return {
        row["source"]: Cursor(*list(row.values())[1:]) for row in await conn.fetch(_sql["cursors"], tenant)
    }


async def reads(conn: Connection, tenant: str, streams: Sequence[str]) -> dict[str, KnownRead]:
    """What is known of the reads of some records."""
    return {row["stream"]: KnownRead(*row) for row in await conn.fetch(_sql["reads"], tenant, streams)}


async def to_read(conn: Connection, tenant: str, said: Mapping[str, str], now: datetime) -> set[str]:
    """The streams that a list of changes says something new of, and those that it said so of a moment ago.

    `said` is the list's own text of the time of each record's last change, by stream.
    """
    known = await reads(conn, tenant, list(said))
    return {
        stream
        for stream, text in said.items()
        if (read := known.get(stream)) is None
        or read.listed != text
        or (not read.settled() and read.listed_at is not None and now >= read.listed_at + TICK)
    }


READ_ONE_BY_ONE: Final = frozenset(((VITEC, "prospect"), (VITEC, "link"), (VITEC, "note")))
"""What no list of changes covers: a complete poll says nothing of a record that it did not read."""


def source_of(vendor: str, category: str) -> str:
    """The poll that covers a category at a vendor: Vitec lists persons and companies in one answer, and a property
    is a part of an estate."""
    if vendor != VITEC:
        return f"{PROPSTREET}:{category}"
    match category:
        case "contact" | "company":
            return VITEC
        case "property":
            return f"{VITEC}:project"
    return f"{VITEC}:{category}"


async def ask_again(conn: Connection, tenant: str) -> None:
    """Ask every stage to try now what it put off, also with a vendor that refused us."""
    await conn.execute(_sql["ask_again"], tenant)


async def forget(conn: Connection, tenant: str) -> None:
    """Begin anew to poll and to read, in the transaction that says that the log was restored: nothing counts as read."""
    await conn.execute(_sql["forget_reads"], tenant)
    await conn.execute(_sql["forget_cursors"], tenant)


class Away(msgspec.Struct, frozen=True):
    """A vendor that does not answer: since when, and when it is looked whether it is back."""

    vendor: str
    since: datetime
    next_look: datetime


async def note_away(conn: Connection, tenant: str, away: Away) -> None:
    """A vendor does not answer."""
    await conn.execute(_sql["note_away"], tenant, away.vendor, away.since, away.next_look)


async def note_back(conn: Connection, tenant: str, vendor: str) -> None:
    """A vendor answers."""
    await conn.execute(_sql["note_back"], tenant, vendor)


async def away(conn: Connection, tenant: str) -> list[Away]:
    """The vendors that do not answer, as the daemon last noted."""
    return [Away(*row) for row in await conn.fetch(_sql["away"], tenant)]


async def ask_polls(conn: Connection, tenant: str) -> None:
    """Ask the polls to look now."""
    await conn.execute(_sql["ask_polls"], tenant)


async def tell_views(conn: Connection, tenant: str) -> None:
    """Wake those who wait for the views, at commit."""
    await conn.execute(_sql["tell_views"], tenant)
