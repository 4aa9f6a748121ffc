"""The one way in which an operator's word reaches the log: decided on what is known, appended against its versions."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from daemon.cli.opening import connected, database
from daemon.domain.errors import StorageError, WrongExpectedVersion
from daemon.domain.events import Decision, NewEvent, encode
from daemon.domain.settings import Settings
from daemon.domain.streams import derived_id, entity_stream
from daemon.policies.plan import expected

if TYPE_CHECKING:
    from daemon.mappings.lens import Options
    from daemon.storage.connection import Connection
    from projections.entity import Entity

T = TypeVar("T")
PATIENCE: Final = 20
"""How often a decision is made again because the log has moved on."""
PAUSE: Final = 0.1


class Order(msgspec.Struct, Generic[T], frozen=True):
    """What is to be appended, the stream versions that it rests on, and what to tell the operator then."""

    answer: T
    events: tuple[NewEvent, ...] = ()
    expected: dict[str, int] = {}


def operator() -> str:
    """The system's user, who stands in the log with what was asked for."""
    return getpass.getuser()


def said(tenant: str, entity: "Entity", decision: Decision, *key: str) -> NewEvent:
    """An operator's decision in the entity's stream; with the same `key` it is the same event."""
    kind, stream = type(decision).__name__, entity_stream(entity.category, entity.id)
    event_id = derived_id(tenant, stream, kind, *key)
    return NewEvent(event_id, stream, kind, "operator", datetime.now(UTC), encode(decision), event_id)


async def present(conn: "Connection", tenant: str, name: str, options: "Options") -> "Entity | None":
    """An entity as the log has it now: its view, and what no projector has folded yet."""
    from daemon.storage import log, views
    from daemon.storage.connection import snapshot
    from projections.fold import Entities

    async with snapshot(conn):
        entity = await views.resolve(conn, tenant, name)
        if entity is None:
            return None
        folded = await views.position(conn, tenant)
        events = await log.of_streams(conn, tenant, list(expected((entity,))), folded)
    entities = Entities(tenant, options)
    entities.add(entity)
    for event in events:
        entities.evolve(event)
    return entities.resolve(entity.id)


def operate(settings: Settings, tenant: str, decide: "Callable[[Connection], Awaitable[Order[T]]]") -> T:
    """Decide and append; where the log has moved meanwhile, decide again. Raises StorageError when that does not help."""

    async def run(dsn: str, embedded: bool) -> T:
        from daemon.storage.appender import Appender
        from daemon.storage.connection import open_pool, unreachable

        async with (
            connected(dsn, embedded=embedded) as conn,
            unreachable(),
            await open_pool(dsn, size=1) as pool,
        ):
            appender = Appender(pool, tenant)
            await appender.start()
            try:
                for _ in range(PATIENCE):
                    order = await decide(conn)
                    try:
                        await appender.append(order.events, expected=order.expected)
                    except WrongExpectedVersion:
                        await asyncio.sleep(PAUSE)
                    else:
                        return order.answer
            finally:
                await appender.stop()
        raise StorageError("the log does not stand still; try again in a moment")

    with database(settings) as (dsn, embedded):
        return asyncio.run(run(dsn, embedded))
