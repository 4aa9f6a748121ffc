"""Delivery when a vendor is away, puts us off or refuses, and after a restart: who waits, who does not, and what is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
import pytest

from daemon.deliver import Deliverer
from daemon.deliver.target import Landed, Met, Write
from daemon.domain.errors import (
    RateLimited,
    Rejected,
    Retryable,
    UnknownOutcome,
    VendorAway,
    VendorError,
)
from daemon.domain.events import (
    CommandAttempted,
    CommandDeadLettered,
    CommandHeld,
    Exchange,
    NewEvent,
    RecordsLinked,
    Want,
)
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.processor import Tenant
from daemon.react import Reactor
from daemon.storage import rebuild, views
from daemon.storage.connection import owner
from projections.commands import CommandRow
from projections.entity import Entity, Pending
from tests.conftest import eventually
from tests.integration.ground import tenant_at, whole_log
from tests.integration.pairs import (
    Desk,
    at_propstreet,
    at_vitec,
    deliver,
    fold,
    name_of,
    ours,
    polled,
    settle,
    tell,
)

MANY = 40
NOW = datetime.fromisoformat("2026-05-18T12:00:00+00:00")


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        sync = SyncSettings(first_sync="now")
        tenant.settings = msgspec.structs.replace(tenant.settings, sync=sync)
        tenant.clock = lambda: NOW
        yield tenant


class Vendor(Desk):
    """A vendor that does as it is told; it counts who is looked at, who is written to, and how many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.says: VendorError | None = None
        self.away: VendorAway | None = None
        self.lost_sight: set[str] = set()
        self.looked: list[str] = []
        self.looked_up: list[str] = []
        self.at_once = self.most = 0
        self.waits: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write:
        self.looked.append(pending.command)
        if pending.command in self.lost_sight:
            raise Retryable("500", status=500)
        return await super().look(at, entity, pending)

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | None:
        self.looked_up.append(pending.command)
        return None

    async def reach(self) -> None:
        if self.away is not None:
            raise self.away

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        self.sent += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.waits()
        finally:
            self.at_once -= 1
        if self.says is not None:
            raise self.says
        raise UnknownOutcome("no answer")


def differing(number: int, target: str = PROPSTREET) -> list[NewEvent]:
    """A linked pair of which one side, the later one, has another name than the target."""
    vitec, propstreet = f"V{number}", str(number)
    entity = name_of(VITEC, vitec)
    newer = {"lastName": "Ek", "updatedUtc": "2026-05-18T11:00:00Z"} if target == VITEC else {}
    return [
        at_vitec(vitec, **({} if newer else {"lastName": "Ek"})),
        at_propstreet(propstreet, **newer),
        ours(entity, RecordsLinked(entity, vitec, propstreet, "email")),
    ]


async def become_due(tenant: Tenant, *pairs: list[NewEvent]) -> None:
    """A command for each pair."""
    await tell(tenant, *(each for pair in pairs for each in pair))
    reactor = Reactor(tenant)
    await reactor.start()
    await settle(tenant, reactor)


async def rows(tenant: Tenant) -> dict[str, CommandRow]:
    async with tenant.connection() as conn:
        states = ["pending", "flying", "unknown", "held", "dead", "failed"]
        return {row.command: row for row in await views.commands_in(conn, tenant.name, states)}


async def attempts(database: str) -> list[CommandAttempted]:
    return [
        msgspec.json.decode(each.data, type=CommandAttempted)
        for each in await whole_log(database)
        if each.type == CommandAttempted.__name__
    ]


async def test_many_entities_are_written_at_once_and_each_by_itself(tenant: Tenant) -> None:
    vendor, gate = Vendor(), asyncio.Event()
    vendor.waits = gate.wait
    concurrency = tenant.settings.propstreet.limits.concurrency
    await become_due(tenant, *map(differing, range(MANY)))
    deliverer = Deliverer(tenant, {PROPSTREET: vendor})
    await deliverer.tick()

    async def full() -> bool:
        return vendor.at_once >= concurrency

    await eventually(full)
    gate.set()
    await deliverer.finish()
    await fold(tenant)
    for _ in range(MANY):
        await deliver(tenant, deliverer)
    assert vendor.sent == len(set(vendor.looked)) == MANY


async def test_a_vendor_that_hangs_holds_up_no_write_to_the_other(tenant: Tenant) -> None:
    stuck, there, gate = Vendor(), Vendor(), asyncio.Event()
    stuck.waits = gate.wait
    await become_due(tenant, *map(differing, range(MANY)), differing(MANY, VITEC))
    deliverer = Deliverer(tenant, {PROPSTREET: stuck, VITEC: there})
    await deliverer.tick()

    async def sent() -> bool:
        return there.sent == 1

    await eventually(sent)
    assert stuck.at_once > 0
    gate.set()
    await deliverer.finish()


async def test_records_that_cannot_be_looked_at_hold_up_no_other(tenant: Tenant) -> None:
    vendor = Vendor()
    await become_due(tenant, *map(differing, range(121)))
    vendor.lost_sight = {*list(await rows(tenant))[:120]}
    deliverer = Deliverer(tenant, {PROPSTREET: vendor})
    for _ in range(12):
        await deliver(tenant, deliverer)
    assert vendor.sent == 1
    assert len(vendor.looked) == 121, "each rests after it could not be looked at"


async def test_of_a_vendor_that_is_away_nothing_is_attempted_and_then_all_of_it(
    tenant: Tenant, database: str
) -> None:
    away, there = Vendor(), Vendor()
    away.away = VendorAway("away", retry_after=20.0)
    await become_due(tenant, *map(differing, range(MANY)), differing(MANY, VITEC))
    deliverer = Deliverer(tenant, {PROPSTREET: away, VITEC: there})
    for _ in range(3):
        await deliver(tenant, deliverer)
    assert (away.sent, there.sent) == (0, 1)
    looked = len(away.looked)
    assert len(await attempts(database)) == 1
    waiting = [row for row in (await rows(tenant)).values() if row.target == PROPSTREET]
    assert {(row.state, row.attempts) for row in waiting} == {("pending", 0)}
    tenant.clock = lambda: NOW + timedelta(seconds=19)
    await deliver(tenant, deliverer)
    assert len(away.looked) == looked, "before it is time nobody even looks"
    away.away = None
    tenant.clock = lambda: NOW + timedelta(seconds=21)
    for _ in range(MANY):
        await deliver(tenant, deliverer)
    assert away.sent == len(waiting) > MANY


@pytest.mark.parametrize("said", [RateLimited("429", retry_after=30.0), VendorAway("away", retry_after=30.0)])
async def test_a_vendor_that_puts_us_off_for_days_costs_no_attempt_and_no_dead_letter(
    tenant: Tenant, database: str, said: VendorError
) -> None:
    vendor = Vendor()
    vendor.says = said
    await become_due(tenant, differing(1))
    deliverer = Deliverer(tenant, {PROPSTREET: vendor})
    for hours in range(0, 100, 2):
        tenant.clock = lambda hours=hours: NOW + timedelta(hours=hours)  # type: ignore[misc]
        await deliver(tenant, deliverer)
    assert vendor.sent == 50
    assert [each.attempt for each in await attempts(database)] == [1] * 50
    [row] = (await rows(tenant)).values()
    assert (row.state, row.attempts, row.reason) == ("pending", 0, type(said).__name__)
    assert row.due_at is not None
    assert row.due_at >= tenant.clock() + timedelta(seconds=30)


async def test_a_write_that_fails_for_35_hours_is_given_up_with_what_was_said(
    tenant: Tenant, database: str
) -> None:
    vendor = Vendor()
    vendor.says = Retryable("no connection")
    vendor.says.exchange = Exchange("PATCH", "/contacts/1", '{"lastName":"Ek"}')
    await become_due(tenant, differing(1))
    deliverer = Deliverer(tenant, {PROPSTREET: vendor})
    for hours in range(40):
        tenant.clock = lambda hours=hours: NOW + timedelta(hours=hours)  # type: ignore[misc]
        tenant.appender._clock = tenant.clock
        await deliver(tenant, deliverer)
    [row] = (await rows(tenant)).values()
    assert (row.state, row.reason) == ("dead", "Retryable")
    assert 34 <= vendor.sent <= 36
    assert (await dead(database)).exchange == vendor.says.exchange


async def dead(database: str) -> CommandDeadLettered:
    [letter] = [each for each in await whole_log(database) if each.type == CommandDeadLettered.__name__]
    return msgspec.json.decode(letter.data, type=CommandDeadLettered)


async def test_everything_that_waits_survives_a_restart_and_a_rebuild(tenant: Tenant, database: str) -> None:
    failing, refusing = Vendor(), Vendor()
    failing.says = Retryable("503", status=503)
    refusing.says = Rejected("400", status=400, reason="lastName")
    await become_due(tenant, differing(1), differing(2, VITEC))
    for _ in range(2):
        await deliver(tenant, Deliverer(tenant, {PROPSTREET: failing, VITEC: refusing}))
    failed = next(name for name, row in (await rows(tenant)).items() if row.due_at is not None)
    await polled(tenant)
    await become_due(tenant, [at_vitec("V3", email={"emailAddress": "anna@example.no"})])
    await polled(tenant)
    await deliver(tenant, Deliverer(tenant, {PROPSTREET: Vendor()}))
    await polled(tenant)
    held, want = name_of(VITEC, "V4"), {"last_name": Want("Berg", VITEC, "Berg", 1, None)}
    hold = CommandHeld("hold-4", held, "contact", PROPSTREET, None, want, "too_long", "shorten it")
    await tell(tenant, at_vitec("V4"), ours(held, hold))
    before = await rows(tenant)
    assert {row.state for row in before.values()} >= {"dead", "held", "pending", "unknown"}
    [lost] = [name for name, row in before.items() if row.state == "unknown"]
    assert (before[failed].attempts, before[failed].due_at is not None) == (1, True)

    async with owner(database) as conn:
        await rebuild.rebuild(conn, {tenant.name: tenant.options})
    assert await rows(tenant) == before
    await become_due(tenant)  # the reactor goes on, too
    again = Vendor()
    deliverer = Deliverer(tenant, {PROPSTREET: again, VITEC: again})
    await deliverer.start()
    await deliver(tenant, deliverer)
    assert (again.sent, again.looked_up) == (0, []), "nothing before its time"
    later = NOW + timedelta(hours=1)
    tenant.clock = lambda: later
    await deliver(tenant, deliverer)
    await become_due(tenant)
    await deliver(tenant, deliverer)
    assert again.looked_up == [lost]
    assert (await rows(tenant))[failed].attempts == 2
