"""What the tests of storage and of the open port stand on: a tenant with its appender, on a database of the test's own."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import asyncpg

from daemon.domain.events import OBSERVED, Event, NewEvent, Reading
from daemon.domain.streams import record_stream
from daemon.processor import Tenant
from daemon.storage import log, views
from daemon.storage.appender import Appender
from daemon.storage.connection import Connection, open_pool, owner
from daemon.storage.log import Read
from tests.integration.annals import NOON, OPTIONS, TENANT, anew, tenant_settings

_numbers: Final = count(1)


def utc_now() -> datetime:
    return datetime.now(UTC)


def event(stream: str = "", data: bytes = b"{}", **parts: Any) -> NewEvent:
    """An observation by webhook; `parts` replace its fields."""
    number = next(_numbers)
    whole: dict[str, Any] = {
        "event_id": uuid.uuid5(uuid.NAMESPACE_OID, str(number)),
        "stream": stream or record_stream("contact", "propstreet", str(number)),
        "type": OBSERVED,
        "origin": "propstreet",
        "occurred_at": NOON,
        "data": data,
        "correlation_id": uuid.UUID(int=number),
        "meta": b'{"via":"webhook"}',
    }
    return NewEvent(**(whole | parts))


def read(stream: str, payload: bytes, started: int, **parts: Any) -> Read:
    """A poll's read that was sent when the log's head was `started`."""
    whole: dict[str, Any] = {
        "stream": stream,
        "origin": "vitec",
        "occurred_at": NOON,
        "payload": payload,
        "reading": Reading(via="poll", started=started),
        "correlation_id": uuid.UUID(int=1),
    }
    return Read(**(whole | parts))


@asynccontextmanager
async def pool_at(dsn: str, size: int = 4) -> AsyncIterator["asyncpg.Pool[Any]"]:
    """The stages' own pool."""
    pool = await open_pool(dsn, size=size)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def appender_at(dsn: str, tenant: str = TENANT, **options: Any) -> AsyncIterator[Appender]:
    """A started appender on a pool of its own."""
    async with pool_at(dsn) as pool:
        appender = Appender(pool, tenant, **options)
        await appender.start()
        try:
            yield appender
        finally:
            await appender.stop()


@asynccontextmanager
async def tenant_at(dsn: str, name: str = TENANT, **options: Any) -> AsyncIterator[Tenant]:
    """A tenant as its stages see it; `options` are the appender's."""
    async with pool_at(dsn) as pool:
        appender = Appender(pool, name, **options)
        await appender.start()
        tenant = Tenant(tenant_settings(name), "live", pool, appender, utc_now)
        tenant.options = OPTIONS
        try:
            yield tenant
        finally:
            await appender.stop()


async def append_all(appender: Appender, events: Iterable[Event]) -> None:
    """Bring events of the annals into the log, at the positions that they have there."""
    await appender.append([anew(each) for each in events])


async def whole_log(dsn: str, tenant: str = TENANT) -> list[Event]:
    """Every event that is stored."""
    async with owner(dsn) as conn:
        return [each async for page in log.pages(conn, tenant) for each in page]


async def rows_of(conn: Connection, view: str, tenant: str = TENANT) -> list[dict[str, Any]]:
    """The rows of a view as they stand, as plain values."""
    async with conn.transaction():
        return [views.plain(row) async for row in views.live_rows(conn, view, tenant)]


def waits_for_a_lock(dsn: str) -> Callable[[], Awaitable[bool]]:
    """A predicate: some connection to this database waits for another one's lock."""

    async def asked() -> bool:
        async with owner(dsn) as conn:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return bool(await conn.fetchval(query))

    return asked
