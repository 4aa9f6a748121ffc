"""Calls of a vendor's credential, on record before they leave: what other processes, and the next start, know of them."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("calls")


class SpentCalls(msgspec.Struct, frozen=True):
    """So many calls, of which the vendor counted none later than `counted_at`."""

    calls: int
    counted_at: datetime


async def lock(conn: Connection, credential: str) -> None:
    """Until the transaction ends nobody else records calls of this credential."""
    await conn.execute(_sql["lock"], credential)


async def settle(
    conn: Connection, credential: str, holder: UUID, block: int, calls: int, counted_at: datetime
) -> None:
    """A block is over: so many of its calls were used."""
    await conn.execute(_sql["settle"], credential, holder, block, calls, counted_at)


async def forget(conn: Connection, credential: str, before: datetime) -> None:
    """Calls that no window holds any more."""
    await conn.execute(_sql["forget"], credential, before)


async def of_others(conn: Connection, credential: str, holder: UUID) -> list[SpentCalls]:
    """What others than this holder spent, or may yet spend."""
    return [SpentCalls(*row) for row in await conn.fetch(_sql["of_others"], credential, holder)]


async def spent(conn: Connection, credential: str, since: datetime) -> int:
    """How many calls of a credential stand on record as counted since then, by anybody."""
    count: int = await conn.fetchval(_sql["spent"], credential, since)
    return count


async def record(
    conn: Connection, credential: str, holder: UUID, block: int, calls: int, counted_at: datetime
) -> None:
    """A block of calls that will leave."""
    await conn.execute(_sql["record"], credential, holder, block, calls, counted_at)
