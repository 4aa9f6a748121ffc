"""Pairs of contacts in a real database, the stages that fold and decide about them, and a vendor to write to."""

from typing import Any

from daemon.deliver import Deliverer
from daemon.deliver.target import Landed, Met, Write
from daemon.domain.errors import UnknownOutcome
from daemon.domain.events import Decision, NewEvent, RecordsLinked, encode
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, entity_id, entity_stream, record_stream
from daemon.mappings.lens import Patch
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.react import Reactor
from daemon.storage import log, views, working
from projections.entity import Entity, Pending
from tests.integration.ground import event, whole_log


def at_vitec(record: str, **fields: Any) -> NewEvent:
    person = {"id": record, "firstName": "Anna", "lastName": "Berg"}
    return event(record_stream("contact", VITEC, record), encode(person | fields), origin=VITEC)


def at_propstreet(record: str, **fields: Any) -> NewEvent:
    person = {"id": record, "firstName": "Anna", "lastName": "Berg", "tags": [], "externalRefs": []}
    return event(record_stream("contact", PROPSTREET, record), encode(person | fields))


def ours(entity: str, decision: Decision) -> NewEvent:
    kind = type(decision).__name__
    return event(entity_stream("contact", entity), encode(decision), type=kind, origin="toveis", meta=None)


def name_of(vendor: str, record: str) -> str:
    return entity_id("oslo", "contact", vendor, record)


async def tell(tenant: Tenant, *items: NewEvent) -> None:
    """Append and project."""
    await tenant.appender.append(list(items))
    await fold(tenant)


async def fold(tenant: Tenant) -> None:
    projector = Projector(tenant)
    async with tenant.connection() as conn:
        while await views.position(conn, tenant.name) < await log.head(conn, tenant.name):
            await projector.tick()


async def polled(tenant: Tenant) -> None:
    """Both vendors were read from beginning to end."""
    async with tenant.connection() as conn:
        for source in {working.source_of(vendor, "contact") for vendor in VENDORS}:
            await working.open_cursor(conn, tenant.name, source, tenant.clock())
            await working.complete_cursor(conn, tenant.name, source, tenant.appender.head, tenant.clock())


async def told(dsn: str, entity: str) -> list[str]:
    """The types of what was decided about an entity."""
    return [each.type for each in await whole_log(dsn) if each.stream == entity_stream("contact", entity)]


async def react(tenant: Tenant, reactor: Reactor) -> None:
    """Decide once, and see what was decided."""
    while await reactor.tick():
        pass
    await fold(tenant)


async def settle(tenant: Tenant, reactor: Reactor) -> None:
    """Decide until nothing more is decided."""
    head = -1
    while head < tenant.appender.head:
        head = tenant.appender.head
        await react(tenant, reactor)


class Desk:
    """A vendor that loses every answer; what was sent to it is counted."""

    closed_for = 60.0

    def has_room(self, calls: int) -> bool:
        return True

    def __init__(self) -> None:
        self.sent = 0

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write:
        return Write(Patch({}))

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | None:
        return None

    async def reach(self) -> None:
        return None

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        self.sent += 1
        raise UnknownOutcome("no answer")


async def differing(tenant: Tenant, reactor: Reactor) -> str:
    """A linked pair with one command that waits for Propstreet."""
    anna = name_of(VITEC, "V1")
    linked = ours(anna, RecordsLinked(anna, "V1", "1", "email"))
    await tell(tenant, at_vitec("V1", lastName="Ek"), at_propstreet("1"), linked)
    await react(tenant, reactor)
    return anna


async def deliver(tenant: Tenant, deliverer: Deliverer) -> None:
    await deliverer.tick()
    await deliverer.finish()
    await fold(tenant)
