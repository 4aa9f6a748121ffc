"""What `toveis doctor` asks of the database: the server, who may change the log, and whether its head is sound."""

from typing import Final

import msgspec

from daemon.domain.errors import UnknownEventError
from daemon.domain.events import readable
from daemon.storage import log
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("checking")
NEWEST: Final = 200
"""So many events at the head of the log are read."""


class Server(msgspec.Struct, frozen=True):
    """The server that answers: `number` is its version as PostgreSQL counts, `size` bytes of the database."""

    number: int
    version: str
    size: int
    encoding: str


class Guard(msgspec.Struct, frozen=True):
    """Whether the login can act as the daemon's role, what that role may do to the log beside adding, and how many of
    the two triggers that refuse it are on."""

    member: bool
    may: tuple[str, ...]
    triggers: int


class Head(msgspec.Struct, frozen=True):
    """The newest events of a log: how many positions are missing among them, and what of them cannot be read."""

    position: int
    missing: int
    unreadable: str | None


async def server(conn: Connection) -> Server:
    """The server behind a connection."""
    row = await conn.fetchrow(_sql["server"])
    assert row is not None
    return Server(*row)


async def guard(conn: Connection) -> Guard:
    """Who may change the log."""
    row = await conn.fetchrow(_sql["guard"])
    assert row is not None
    return Guard(row["member"], tuple(row["may"]), row["triggers"])


async def head(conn: Connection, tenant: str) -> Head:
    """The newest events of a tenant's log; the whole of it is the business of `verify`."""
    row = await conn.fetchrow(_sql["newest"], tenant)
    assert row is not None
    position, unreadable = await log.head(conn, tenant), None
    for event in await log.page(conn, tenant, max(0, position - NEWEST), NEWEST):
        try:
            readable(event)
        except UnknownEventError as error:
            unreadable = unreadable or str(error)
    return Head(position, row["places"] - row["events"], unreadable)
