"""Polls at the edges: equal times, full pages, failures in the middle, and records that change while they are paged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from daemon.domain.errors import VendorError
from daemon.ingest.polls import PropstreetPoller, VitecConnectPoller
from daemon.ingest.rounds import Rounds
from daemon.processor import Tenant
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import Switches as VitecSwitches
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.storage import working
from daemon.storage.working import TICK, Cursor
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.propstreet.client import Page, PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from tests.integration.ground import tenant_at, whole_log

PAGE = 500
TIMES = {"drop_before": 2, "timeout_after": 2}
"""aiohttp asks once more by itself when a connection that was open before is closed."""

BEGAN = datetime(2026, 5, 18, 12, tzinfo=UTC)


class Clock:
    """One clock for everybody, moved by hand."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **by: float) -> None:
        self.now += timedelta(**by)


class Between(PropstreetClient):
    """A client that lets something happen before it asks for its n-th page."""

    at_page: dict[int, Callable[[], object]]
    asked: Counter[str]
    priorities: list[Priority]

    async def page(self, category: str, **how: Any) -> Page:
        self.asked["pages"] += 1
        self.priorities.append(self._endpoint._priority)
        happens = self.at_page.pop(self.asked["pages"], None)
        if happens is not None:
            happens()
        return await super().page(category, **how)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tenant(database: str, clock: Clock) -> AsyncIterator[Tenant]:
    async with tenant_at(database, clock=clock) as tenant:
        tenant.clock = clock
        yield tenant


@pytest.fixture
async def twin(clock: Clock) -> AsyncIterator[PropstreetTwin]:
    twin = PropstreetTwin(PropstreetSwitches(), limits=None, clock=clock)
    yield twin
    await twin.close()


@pytest.fixture
async def client(twin: PropstreetTwin) -> AsyncIterator[Between]:
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        client = Between(session, base, twin.client_id, twin.client_secret, Limiter([], 5))
        client.at_page, client.asked, client.priorities = {}, Counter(), []
        yield client


def contacts(twin: PropstreetTwin, count: int, start: int = 0) -> list[str]:
    return [
        twin.create("contact", firstName="Anna", lastName=f"Berg {n}", email=f"anna{n}@example.no")
        for n in range(start, start + count)
    ]


async def observed(database: str) -> Counter[str]:
    """How often each record was appended."""
    log = await whole_log(database)
    return Counter(each.stream.rpartition(":")[2] for each in log if each.type == "RecordObserved")


async def cursor_of(tenant: Tenant, source: str) -> Cursor:
    async with tenant.connection() as conn:
        return await working.open_cursor(conn, tenant.name, source, tenant.clock())


async def test_thousands_under_one_time_stamp_are_all_read_once(
    tenant: Tenant, twin: PropstreetTwin, client: Between, database: str
) -> None:
    ids = contacts(twin, 2 * PAGE + 7)
    poller = PropstreetPoller(tenant, client, "contact")
    for _ in range(3):
        await poller.tick()
    assert await observed(database) == Counter(ids)
    late = contacts(twin, 3, start=5000)  # under the very same stamp, after the polls have seen it
    await poller.tick()
    assert await observed(database) == Counter([*ids, *late])


async def test_a_list_that_ends_with_a_full_page_is_whole(
    tenant: Tenant, twin: PropstreetTwin, client: Between, database: str
) -> None:
    ids = contacts(twin, PAGE)
    poller = PropstreetPoller(tenant, client, "contact")
    await poller.tick()
    assert await observed(database) == Counter(ids)
    assert (await cursor_of(tenant, poller.source)).complete is not None


@pytest.mark.parametrize("kind", ["500", "drop_before", "broken_json", "timeout_after"])
async def test_a_page_that_fails_in_the_middle_loses_nothing(
    tenant: Tenant, twin: PropstreetTwin, client: Between, clock: Clock, database: str, kind: Any
) -> None:
    first = contacts(twin, PAGE)
    clock.pass_(hours=2)
    second = contacts(twin, PAGE + 9, start=PAGE)
    twin.faults.plan(kind, method="GET", path_contains="contacts", after=1, times=TIMES.get(kind, 1))
    poller = PropstreetPoller(tenant, client, "contact")
    with pytest.raises(VendorError):
        await poller.tick()
    assert await observed(database) == Counter(first)
    seen = await cursor_of(tenant, poller.source)
    assert (seen.cursor is not None, seen.complete) == (True, None)
    await poller.tick()
    assert await observed(database) == Counter([*first, *second])


async def test_what_changes_while_it_is_paged_is_read_as_it_then_is(
    tenant: Tenant, twin: PropstreetTwin, client: Between, clock: Clock, database: str
) -> None:
    ids = contacts(twin, 3 * PAGE)

    def somebody_works() -> None:
        clock.pass_(seconds=1)
        twin.edit("contact", ids[0], lastName="Edited")  # was read already: it moves to the end
        twin.edit("contact", ids[-1], lastName="Edited")  # is still to come
        twin.delete("contact", ids[1])
        twin.delete("contact", ids[PAGE])

    client.at_page[2] = somebody_works
    poller = PropstreetPoller(tenant, client, "contact")
    await poller.tick()
    await poller.tick()
    log = await whole_log(database)
    newest = {
        e.stream.rpartition(":")[2]: msgspec.json.decode(e.data) for e in log if e.type == "RecordObserved"
    }
    assert newest.keys() == set(ids)
    assert newest[ids[0]]["lastName"] == newest[ids[-1]]["lastName"] == "Edited"
    assert [key for key, row in newest.items() if row.get("deletedUtc")] == [ids[1], ids[PAGE]]


async def test_an_edit_right_at_the_cursor_and_one_that_is_stamped_behind_it_are_found(
    tenant: Tenant, twin: PropstreetTwin, client: Between, clock: Clock, database: str
) -> None:
    [one, other] = contacts(twin, 2)
    poller = PropstreetPoller(tenant, client, "contact")
    await poller.tick()
    twin.edit("contact", one, lastName="At once")
    await poller.tick()
    clock.pass_(minutes=20)
    twin.edit("contact", one, lastName="Later")
    await poller.tick()
    clock.pass_(minutes=-14)  # a server whose clock is behind
    twin.edit("contact", other, lastName="Behind")
    clock.pass_(minutes=14)
    await poller.tick()
    assert await observed(database) == Counter({one: 3, other: 2})


@pytest.mark.parametrize("answer", ["400", "restart"])
async def test_a_page_cursor_that_has_expired_loses_nothing(
    tenant: Tenant, clock: Clock, database: str, answer: Any
) -> None:
    twin = PropstreetTwin(PropstreetSwitches(ps32=answer), limits=None, clock=clock)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        client = Between(session, base, twin.client_id, twin.client_secret, Limiter([], 5))
        client.at_page, client.asked, client.priorities = {2: twin.expire_cursors}, Counter(), []
        ids = contacts(twin, 3 * PAGE)
        poller = PropstreetPoller(tenant, client, "contact")
        for _ in range(2):
            try:
                await poller.tick()
            except VendorError:
                continue
        assert await observed(database) == Counter(ids)
        assert (await cursor_of(tenant, poller.source)).complete is not None
    await twin.close()


async def test_the_first_poll_gives_way_and_the_next_ones_do_not(
    tenant: Tenant, twin: PropstreetTwin, client: Between
) -> None:
    contacts(twin, PAGE + 1)
    poller = PropstreetPoller(tenant, client, "contact")
    await poller.tick()
    await poller.tick()
    assert client.priorities == [Priority.BACKFILL, Priority.BACKFILL, Priority.LIVE, Priority.LIVE]


async def test_a_source_that_brings_news_is_asked_sooner_and_a_quiet_one_as_usual(
    tenant: Tenant, twin: PropstreetTwin, client: Between, clock: Clock
) -> None:
    poller = PropstreetPoller(tenant, client, "contact")
    usual = poller.every
    assert usual == tenant.settings.propstreet.poll_interval == 60.0
    [one] = contacts(twin, 1)
    pauses = []
    for n in range(8):
        if n < 5:
            clock.pass_(seconds=1)
            twin.edit("contact", one, lastName=f"Edit {n}")
        await poller.tick()
        pauses.append(poller.every)
    assert pauses == [30.0, 15.0, 7.5, 5.0, 5.0, 10.0, 20.0, 40.0]
    assert not isinstance(poller, Rounds)


# Vitec


@pytest.fixture
async def vitec(clock: Clock) -> AsyncIterator[tuple[VitecConnectTwin, VitecConnectClient]]:
    twin = VitecConnectTwin(VitecSwitches(), clock=clock)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        yield (
            twin,
            VitecConnectClient(
                session, base, twin.customer_id, twin.username, twin.password, Limiter([], 5), clock=clock
            ),
        )
    await twin.close()


def person(twin: VitecConnectTwin, name: str) -> str:
    return twin.create(
        "person", firstName=name, lastName="Berg", email={"emailAddress": f"{name}@example.no"}
    )


async def test_vitecs_contacts_that_share_a_time_stamp_are_all_read(
    tenant: Tenant, vitec: tuple[VitecConnectTwin, VitecConnectClient], database: str
) -> None:
    twin, client = vitec
    ids = [person(twin, f"n{n}") for n in range(61)]
    await VitecConnectPoller(tenant, client).tick()
    assert await observed(database) == Counter(ids)


async def test_a_second_edit_under_the_stamp_of_the_first_is_seen(
    tenant: Tenant, vitec: tuple[VitecConnectTwin, VitecConnectClient], clock: Clock, database: str
) -> None:
    twin, client = vitec
    one = person(twin, "kari")
    poller = VitecConnectPoller(tenant, client)
    await poller.tick()
    twin.edit(one, lastName="Second")  # at the same moment, so the list says the same
    await poller.tick()
    clock.pass_(seconds=TICK.total_seconds())
    await poller.tick()
    assert (await observed(database))[one] == 2


@pytest.mark.parametrize("kind", ["500", "broken_json", "drop_before"])
async def test_a_batch_of_vitecs_that_fails_in_the_middle_loses_nothing(
    tenant: Tenant, vitec: tuple[VitecConnectTwin, VitecConnectClient], database: str, kind: Any
) -> None:
    twin, client = vitec
    ids = [person(twin, f"n{n}") for n in range(61)]
    twin.faults.plan(kind, method="GET", path_contains="Person", after=1, times=TIMES.get(kind, 1))
    poller = VitecConnectPoller(tenant, client)
    with pytest.raises(VendorError):
        await poller.tick()
    assert len(await observed(database)) == 20
    assert (await cursor_of(tenant, poller.source)).cursor is None
    await poller.tick()
    assert await observed(database) == Counter(ids)


async def test_a_contact_that_is_edited_between_the_list_and_its_read_is_read_once_more(
    tenant: Tenant, vitec: tuple[VitecConnectTwin, VitecConnectClient], clock: Clock, database: str
) -> None:
    twin, client = vitec
    one, asked = person(twin, "kari"), asyncio.Event()
    poller = VitecConnectPoller(tenant, client)
    read = client._read

    async def edited_before(kind: str, ids: Any) -> Any:
        if not asked.is_set():
            asked.set()
            clock.pass_(seconds=5)
            twin.edit(one, lastName="Meanwhile")
        return await read(kind, ids)

    client._read = edited_before  # type: ignore[method-assign]
    await poller.tick()
    clock.pass_(minutes=1)
    twin.edit(one, lastName="Afterwards")
    await poller.tick()
    log = [each for each in await whole_log(database) if each.type == "RecordObserved"]
    assert [msgspec.json.decode(each.data)["lastName"] for each in log] == ["Meanwhile", "Afterwards"]
