"""A release on a real database: edits go first, a reactor that dies in the middle goes on, and a rebuild keeps it."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from daemon import react as reacting
from daemon.deliver import Deliverer
from daemon.domain.events import CommandIssued, Reading, RecordsLinked, encode
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import PROPSTREET, VITEC, record_stream
from daemon.processor import Tenant
from daemon.react import Reactor
from daemon.storage import rebuild, views, working
from daemon.storage.connection import owner
from tests.integration.ground import event, tenant_at, whole_log
from tests.integration.pairs import Desk, deliver, fold, name_of, ours, polled, react, tell

FIRST = encode(Reading(via="poll", started=0, first=True))


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        tenant.settings = msgspec.structs.replace(tenant.settings, sync=SyncSettings(first_sync="wait"))
        yield tenant


async def reactor_of(tenant: Tenant) -> Reactor:
    reactor = Reactor(tenant)
    await reactor.start()
    return reactor


def person(record: str, *, first: bool, **fields: Any) -> Any:
    """A person at Vitec, whom only the first poll saw or whom somebody has edited since."""
    data = {"id": record, "firstName": "Anna", "lastName": f"Berg {record}"} | fields
    how = {"meta": FIRST} if first else {}
    return event(record_stream("contact", VITEC, record), encode(data), origin=VITEC, **how)


def contact(record: str, *, first: bool, **fields: Any) -> Any:
    data = {"id": record, "firstName": "Anna", "lastName": "Berg", "tags": [], "externalRefs": []} | fields
    how = {"meta": FIRST} if first else {}
    return event(record_stream("contact", PROPSTREET, record), encode(data), **how)


class Full(Desk):
    """A vendor without room for what goes behind everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.room = False

    def has_room(self, calls: int) -> bool:
        return self.room


async def test_what_an_edit_made_due_is_sent_first_and_a_backfill_only_where_there_is_room(
    tenant: Tenant,
) -> None:
    reactor, desk = await reactor_of(tenant), Full()
    old, new = name_of(VITEC, "V1"), name_of(VITEC, "V2")
    await tell(
        tenant,
        person("V1", first=True),
        contact("1", first=True),
        ours(old, RecordsLinked(old, "V1", "1", "email")),
        person("V2", first=False),
        contact("2", first=True),
        ours(new, RecordsLinked(new, "V2", "2", "email")),
        tenant.let_go("contact", "kari"),
    )
    await react(tenant, reactor)
    async with tenant.connection() as conn:
        due = await views.due_commands(conn, tenant.name, PROPSTREET, tenant.clock())
    assert [(command.entity, command.backfill) for command in due] == [(new, False), (old, True)]
    deliverer = Deliverer(tenant, {PROPSTREET: desk})
    await deliver(tenant, deliverer)
    assert desk.sent == 1
    desk.room = True
    await deliver(tenant, deliverer)
    assert desk.sent == 2


async def test_a_reactor_that_dies_in_the_middle_of_a_release_goes_on_where_it_was(
    tenant: Tenant, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reacting, "SWEEP", 2)
    reactor = await reactor_of(tenant)
    await tell(tenant, *(person(f"V{n}", first=True, cellPhone=f"0701740{n:03d}") for n in range(7)))
    await polled(tenant)
    await react(tenant, reactor)
    assert await issued(database) == []
    await tell(tenant, tenant.let_go("contact", "kari"))
    assert await reactor.tick()
    assert len(await issued(database)) == 2
    assert await swept(tenant) == 0

    again = await reactor_of(tenant)
    await fold(tenant)
    await react(tenant, again)
    assert sorted(await issued(database)) == sorted(name_of(VITEC, f"V{n}") for n in range(7))
    assert await swept(tenant) > 0
    await react(tenant, await reactor_of(tenant))
    assert len(await issued(database)) == 7


async def test_a_rebuild_keeps_what_was_released(tenant: Tenant, database: str) -> None:
    await tell(tenant, person("V1", first=True), person("V2", first=True), contact("1", first=True))
    async with tenant.connection() as conn:
        assert await views.waiting(conn, tenant.name) == {"contact": 3}
    await tell(tenant, tenant.let_go("contact", "kari"))
    async with owner(database) as conn:
        assert await views.waiting(conn, tenant.name) == {}
        await rebuild.rebuild(conn, {tenant.name: tenant.options})
        assert await views.waiting(conn, tenant.name) == {}
        assert await rebuild.compare(conn, tenant.name, tenant.options) == []
        assert (await views.counts(conn, tenant.name))["waiting"] == 0
    head = tenant.appender.head
    await tenant.appender.append([tenant.let_go("contact", "ola")])
    assert tenant.appender.head == head  # it is said once and for all


async def issued(database: str) -> list[str]:
    """The entities that a write became due for."""
    events = [each for each in await whole_log(database) if each.type == CommandIssued.__name__]
    return [each.stream.partition(":")[2] for each in events]


async def swept(tenant: Tenant) -> int:
    async with tenant.connection() as conn:
        return await working.checkpoint(conn, tenant.name, working.BACKFILL)
