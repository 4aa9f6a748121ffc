"""Nobody waits for ever: what a merge or a lost link concerns is looked at, what an operator retries goes at once."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from daemon.deliver import Deliverer
from daemon.deliver.target import Landed, Met, Write
from daemon.domain.errors import DatabaseUnreachable, UnknownOutcome
from daemon.domain.events import (
    NOTIFIED,
    BatchHeld,
    BatchReleased,
    CommandIssued,
    CommandReleased,
    Decision,
    EntityHeld,
    NewEvent,
    Reading,
    RecordRemoved,
    RecordsLinked,
    encode,
)
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, entity_id, entity_stream, record_stream
from daemon.mappings.lens import Patch
from daemon.policies.brakes import REMOVALS
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.react import Reactor
from daemon.storage import log, views, working
from daemon.storage.appender import Item
from daemon.storage.log import Appended
from projections.commands import CommandRow
from projections.entity import Entity, Pending
from tests.integration.ground import event, read, tenant_at, whole_log


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        sync = SyncSettings(first_sync="now", match_name_phone="auto")
        tenant.settings = msgspec.structs.replace(tenant.settings, sync=sync)
        yield tenant


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


class Often(random.Random):
    """Chance that always makes the longest pause."""

    def random(self) -> float:
        return 0.999


PROPSTREET_NOW = encode({"id": "1", "firstName": "Anna", "lastName": "Berg", "tags": [], "externalRefs": []})


@pytest.fixture
async def reactor(tenant: Tenant) -> Reactor:
    reactor = Reactor(tenant)
    await reactor.start()
    return reactor


async def test_an_heir_is_decided_on_as_soon_as_it_has_its_counterpart(
    tenant: Tenant, reactor: Reactor, database: str
) -> None:
    gone, heir = name_of(VITEC, "GONE"), name_of(VITEC, "HEIR")
    notice = event(
        record_stream("contact", VITEC, "GONE"),
        type=NOTIFIED,
        origin=VITEC,
        meta=encode(Reading(via="webhook", into="HEIR")),
    )
    removed = event(
        record_stream("contact", VITEC, "GONE"),
        encode(RecordRemoved("not_found")),
        type="RecordRemoved",
        origin=VITEC,
        meta=None,
    )
    await tell(
        tenant, at_vitec("GONE"), at_propstreet("1"), ours(gone, RecordsLinked(gone, "GONE", "1", "email"))
    )
    await tell(tenant, at_vitec("HEIR", firstName="Bea", lastName="Ek"))
    await react(tenant, reactor)
    await tell(tenant, notice, removed)
    await react(tenant, reactor)
    assert (await told(database, gone))[-1] == "RecordsMerged"
    assert CommandIssued.__name__ not in await told(database, heir)
    await react(tenant, reactor)
    assert CommandIssued.__name__ in await told(database, heir)


async def test_who_lost_a_counterpart_to_another_link_is_looked_at_again(
    tenant: Tenant, reactor: Reactor, database: str
) -> None:
    await polled(tenant)
    await settle(tenant, reactor)
    email = {"emailAddress": "anna@example.no"}
    await tell(tenant, at_vitec("V1", firstName="Bea"), at_vitec("V2", email=email))
    await settle(tenant, reactor)
    first, second, other = name_of(VITEC, "V1"), name_of(VITEC, "V2"), name_of(PROPSTREET, "1")
    await tell(
        tenant,
        at_propstreet("1", email="anna@example.no"),
        ours(first, RecordsLinked(first, "V1", "1", "operator")),
        ours(other, RecordsLinked(other, "V2", "1", "email")),
    )
    await settle(tenant, reactor)
    assert EntityHeld.__name__ in await told(database, second)


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


async def tenant_rests(tenant: Tenant, deliverer: Deliverer) -> None:
    """An hour later, when every pause after a failure is over."""
    now = tenant.clock
    tenant.clock = lambda: now() + timedelta(hours=1)
    await deliver(tenant, deliverer)


async def waiting(tenant: Tenant) -> CommandRow:
    async with tenant.connection() as conn:
        [command] = await views.commands_in(conn, tenant.name, ["pending"])
    return command


async def test_an_operators_retry_ends_the_rest_that_a_failure_had_brought(
    tenant: Tenant, reactor: Reactor
) -> None:
    desk = Desk()
    deliverer = Deliverer(tenant, {PROPSTREET: desk})
    tenant.chance = Often()
    began = tenant.clock()
    tenant.clock = lambda: began
    anna = await differing(tenant, reactor)
    await deliver(tenant, deliverer)
    assert desk.sent == 1
    started = tenant.appender.head
    again = read(record_stream("contact", PROPSTREET, "1"), PROPSTREET_NOW, started, always=True)
    await tenant.appender.append([again])
    await fold(tenant)
    await react(tenant, reactor)
    await deliver(tenant, deliverer)
    await deliver(tenant, deliverer)
    assert desk.sent == 1
    command = await waiting(tenant)
    await tell(tenant, ours(anna, CommandReleased(command.command, anna, "", "kari")))
    await deliver(tenant, deliverer)
    assert desk.sent == 2


async def test_an_attempt_of_which_nobody_can_say_whether_it_is_in_the_log_was_none(
    tenant: Tenant, reactor: Reactor, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    anna = await differing(tenant, reactor)
    append, lost = tenant.appender.append, list[Sequence[Item]]()

    async def unanswered(items: Sequence[Item], **rest: Any) -> list[Appended]:
        """The commit is done, and the connection breaks before we hear of it."""
        appended = await append(items, **rest)
        if not lost:
            lost.append(items)
            raise DatabaseUnreachable("gone")
        return appended

    monkeypatch.setattr(tenant.appender, "append", unanswered)
    await deliver(tenant, Deliverer(tenant, {PROPSTREET: desk}))
    assert desk.sent == 0
    assert (await told(database, anna))[-2:] == ["CommandAttempted", "CommandFailed"]
    await react(tenant, reactor)
    await deliver(tenant, Deliverer(tenant, {PROPSTREET: desk}))
    assert desk.sent == 1


class Slow(Desk):
    """While it is looked at, somebody enters the very person who is to be made there."""

    def __init__(self, somebody: NewEvent) -> None:
        super().__init__()
        self.somebody = somebody

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write:
        await tell(at, self.somebody)
        return Write(Patch({}))


MAIL = "anna@example.no"
HER_AT_VITEC = {"email": {"emailAddress": MAIL}}


async def creating(tenant: Tenant, reactor: Reactor) -> str:
    """A contact of Vitec's that is to be made at Propstreet, which was seen and does not have it."""
    await polled(tenant)
    await settle(tenant, reactor)
    await tell(tenant, at_vitec("V1", **HER_AT_VITEC))
    await settle(tenant, reactor)
    await polled(tenant)
    return name_of(VITEC, "V1")


async def test_who_appears_while_we_look_is_linked_and_not_made_a_second_time(
    tenant: Tenant, reactor: Reactor, database: str
) -> None:
    anna = await creating(tenant, reactor)
    desk = Slow(at_propstreet("7", email=MAIL))
    deliverer = Deliverer(tenant, {PROPSTREET: desk})
    await deliver(tenant, deliverer)
    assert desk.sent == 0
    await settle(tenant, reactor)
    decided = await told(database, anna)
    assert decided[decided.index("CommandSuperseded") :][:2] == ["CommandSuperseded", "RecordsLinked"]


class Finding(Desk):
    """The answer to a create is lost; the record is there when it is looked for."""

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met:
        payload = encode(msgspec.json.decode(PROPSTREET_NOW) | {"id": "7", "email": MAIL})
        found = read(record_stream("contact", PROPSTREET, "7"), payload, at.appender.head, origin=PROPSTREET)
        return Met("the record exists", (found,))


@pytest.mark.parametrize("stranger", [False, True], ids=["nobody's", "linked meanwhile"])
async def test_the_record_of_a_lost_create_is_ours_unless_somebody_linked_it(
    tenant: Tenant, reactor: Reactor, database: str, stranger: bool
) -> None:
    anna = await creating(tenant, reactor)
    desk = Finding()
    deliverer = Deliverer(tenant, {PROPSTREET: desk})
    tenant.chance = random.Random(1)
    await deliver(tenant, deliverer)
    assert (await told(database, anna))[-1] == "CommandUnknown"
    if stranger:
        other = name_of(VITEC, "V2")
        link = ours(other, RecordsLinked(other, "V2", "7", "operator"))
        await tell(tenant, at_vitec("V2", firstName="Bea"), at_propstreet("7", email=MAIL), link)
    await polled(tenant)
    await tenant_rests(tenant, deliverer)
    assert desk.sent == 1
    ended = (await told(database, anna))[-2:]
    assert ended == (
        ["CommandUnknown", "CommandSuperseded"] if stranger else ["RecordsLinked", "CommandSucceeded"]
    )


async def test_what_a_brake_holds_stays_held_while_its_category_is_switched_off(
    tenant: Tenant, reactor: Reactor, database: str
) -> None:
    held = BatchHeld("bat-1", REMOVALS, VITEC, "contact", 11, 10, "look")
    await tell(tenant, tenant.of_batch(held))
    sync = tenant.settings.sync
    off = msgspec.structs.replace(sync, contacts="off")
    for each, released in ((off, 0), (sync, 1)):
        tenant.settings = msgspec.structs.replace(tenant.settings, sync=each)
        await settle(tenant, reactor)
        log_now = await whole_log(database)
        assert [e.type for e in log_now].count(BatchReleased.__name__) == released
