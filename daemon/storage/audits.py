"""What an audit asks the database: when the last one was, which records there are, and that nobody else is at it."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec

from daemon.domain.events import ReconcileFinished, decision_of
from daemon.domain.streams import RECONCILED
from daemon.storage.connection import Connection
from daemon.storage.log import event_of
from daemon.storage.queries import queries

_sql: Final = queries("audits")


class Known(msgspec.Struct, frozen=True):
    """A vendor's record that is not known to be gone."""

    external_id: str
    kind: str | None
    parts: dict[str, str]


class Finished(msgspec.Struct, frozen=True):
    """The newest audit: when it was over, and what it found."""

    at: datetime
    result: ReconcileFinished


@asynccontextmanager
async def alone(conn: Connection, tenant: str) -> AsyncIterator[bool]:
    """Whether no other audit of the tenant is under way; while the context lasts none begins.

    The lock is that of a transaction which does nothing else, so it goes with the connection. Nobody waits for it.
    """
    async with conn.transaction(readonly=True):
        await conn.execute(_sql["patience"])
        yield await conn.fetchval(_sql["lock"], tenant)


async def last(conn: Connection, tenant: str) -> Finished | None:
    """The newest audit that was finished."""
    row = await conn.fetchrow(_sql["last"], tenant, RECONCILED)
    if row is None:
        return None
    event = event_of(row)
    result = decision_of(event)
    assert isinstance(result, ReconcileFinished)
    return Finished(event.recorded_at, result)


async def records(conn: Connection, tenant: str, category: str, vendor: str) -> list[Known]:
    """A vendor's records of a category that are not known to be gone."""
    return [
        Known(row["external_id"], row["kind"], msgspec.json.decode(row["parts"], type=dict[str, str]))
        for row in await conn.fetch(_sql["records"], tenant, category, vendor)
    ]


async def reasons(conn: Connection, tenant: str, commands: Iterable[str]) -> dict[str, str]:
    """Why some commands were held, or that they were refused."""
    rows = await conn.fetch(_sql["reasons"], tenant, list(commands))
    return {row["command"]: "refused" if row["state"] == "dead" else row["reason"] or "" for row in rows}


async def open_commands(conn: Connection, tenant: str, entities: Sequence[str]) -> int:
    """How many commands of some entities have no end yet."""
    found: int = await conn.fetchval(_sql["open_of"], tenant, list(entities))
    return found
