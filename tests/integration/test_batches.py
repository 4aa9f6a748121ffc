"""One poll that changes too much: nothing is missed, nothing is acted on, and no cursor runs ahead of its events."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest

from daemon.domain.errors import Retryable
from daemon.domain.events import (
    LOG_RESTORED,
    BatchHeld,
    BatchReleased,
    LogRestored,
    RecordsLinked,
    decision_of,
    encode,
    reading_of,
)
from daemon.domain.settings import Brake
from daemon.domain.streams import LOG_STREAM, PROPSTREET, VITEC, entity_id, entity_stream, record_stream
from daemon.ingest.estates import VitecEstatePoller
from daemon.ingest.fetches import VitecConnectFetcher
from daemon.ingest.polls import PropstreetPoller, VitecConnectPoller
from daemon.ingest.removals import removed
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.storage import brakes, log, views, working
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from tests.integration.ground import event, tenant_at, whole_log
from tests.integration.test_polls import CONTACT, NOW, Vendor, cursor_of, streams

PAGE = "/api/v1/network/contacts"


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.server.start_server()
    yield vendor
    await vendor.server.close()


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    """A tenant whose brake lets two changes, or a tenth, go at once."""
    async with tenant_at(database) as tenant:
        tenant.clock = lambda: NOW
        few = Brake(count=2, percent=10.0)
        sync = msgspec.structs.replace(tenant.settings.sync, change_brake=few, delete_brake=few)
        tenant.settings = msgspec.structs.replace(tenant.settings, sync=sync)
        yield tenant


@pytest.fixture
async def poller(tenant: Tenant, vendor: Vendor) -> AsyncIterator[PropstreetPoller]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        base = str(vendor.server.make_url(""))
        client = PropstreetClient(session, base, "client", "hush", Limiter([], 5))
        yield PropstreetPoller(tenant, client, "contact")


@pytest.fixture
async def vitec(vendor: Vendor) -> AsyncIterator[VitecConnectClient]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        base = str(vendor.server.make_url(""))
        yield VitecConnectClient(session, base, "M11385", "1234", "hush", Limiter([], 5))


def row(n: int, name: str = "Berg", minute: int = 0) -> dict[str, Any]:
    """A contact at Propstreet, last changed at some minute."""
    return {
        "id": str(n),
        "lastName": name,
        "email": f"nr{n}@example.no",
        "tags": [],
        "externalRefs": [],
        "updatedUtc": f"2026-05-16T08:{minute:02}:00Z",
        "etag": f'W/"{name}"',
    }


async def acquainted(tenant: Tenant, *numbers: int) -> None:
    """These contacts are linked, and that is folded."""
    for n in numbers:
        here, there = (
            record_stream("contact", VITEC, f"A{n}"),
            record_stream("contact", PROPSTREET, str(n)),
        )
        name = entity_id(tenant.name, "contact", VITEC, f"A{n}")
        person = {"id": f"A{n}", "firstName": "Anna", "lastName": "Berg"}
        link = RecordsLinked(name, f"A{n}", str(n), "reference")
        await tenant.appender.append(
            [
                event(here, encode(person), origin="vitec"),
                event(there, encode(row(n))),
                event(
                    entity_stream("contact", name),
                    encode(link),
                    type="RecordsLinked",
                    origin="toveis",
                    meta=None,
                ),
            ]
        )
    await fold(tenant)


async def fold(tenant: Tenant) -> None:
    projector = Projector(tenant)
    async with tenant.connection() as conn:
        while await views.position(conn, tenant.name) < await log.head(conn, tenant.name):
            await projector.tick()


async def batches_of(dsn: str) -> list[str | None]:
    """The batch of each observation that a poll brought."""
    events = [e for e in await whole_log(dsn) if e.type == "RecordObserved"]
    return [reading.batch for e in events if (reading := reading_of(e)).via == "poll"]


async def holds(dsn: str) -> list[BatchHeld]:
    return [
        d
        for e in await whole_log(dsn)
        if e.type == "BatchHeld" and isinstance(d := decision_of(e), BatchHeld)
    ]


async def test_as_many_changes_as_the_brake_lets_go_pass(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    vendor.says[PAGE] = {"data": [row(1, "Ek", 1), row(2, "Ek", 2), row(3)]}
    await poller.tick()
    assert await holds(database) == []
    assert await batches_of(database) == [None, None]
    seen = await cursor_of(tenant, poller.source)
    assert (seen.cursor, seen.complete is not None) == ("2026-05-16T08:02:00Z", True)


async def test_one_more_and_all_of_them_are_held_behind_the_word_that_says_so(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await acquainted(tenant, 1, 2, 3, 4)
    vendor.says[PAGE] = {"data": [row(n, "Ek", n) for n in (1, 2, 3)] + [row(9)]}
    await poller.tick()
    [held] = await holds(database)
    assert (held.kind, held.category, held.vendor, held.count, held.limit) == (
        "changes",
        "contact",
        PROPSTREET,
        3,
        2,
    )
    kinds = [e.type for e in await whole_log(database)][-5:]
    assert kinds == ["RecordObserved", "BatchHeld", *["RecordObserved"] * 3]
    assert await batches_of(database) == [None, *[held.batch] * 3]  # whom nobody knew passed at once
    assert "brake.held" in capfd.readouterr().err
    await fold(tenant)
    async with tenant.connection() as conn:
        assert len(await brakes.entities_of_batches(conn, tenant.name, [held.batch])) == 3


async def test_a_share_of_the_linked_records_counts_where_it_is_more(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, *range(30))
    vendor.says[PAGE] = {"data": [row(n, "Ek", n) for n in range(3)]}
    await poller.tick()
    assert await holds(database) == []


async def test_first_sightings_and_what_says_nothing_new_do_not_count(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    spelled_anew = [row(n) | {"firstName": None, "country": "x"} for n in (1, 2, 3)]
    vendor.says[PAGE] = {"data": [*spelled_anew, *(row(n) for n in range(10, 20))]}
    await poller.tick()
    assert await holds(database) == []


async def test_what_the_poll_before_found_counts_once_though_the_views_are_behind(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    vendor.says[PAGE] = {"data": [row(1, "Ek", 1), row(2, "Ek", 2)]}
    await poller.tick()
    vendor.says[PAGE] = {"data": [row(1, "Ek", 1), row(2, "Ek", 2), row(3, "Ek", 3)]}
    await poller.tick()
    assert await holds(database) == []


async def test_a_cursor_waits_for_what_waits_and_goes_no_further_when_the_poll_fails(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    vendor.says[PAGE] = {"data": [row(8), row(1, "Ek", 1)], "page": {"nextCursor": "two"}}
    vendor.says[f"{PAGE} two"] = 500
    with pytest.raises(Retryable):
        await poller.tick()
    assert (await cursor_of(tenant, poller.source)).cursor is None
    assert "contact:propstreet:8" in await streams(database)
    assert await batches_of(database) == [None]
    vendor.says[f"{PAGE} two"] = {"data": [row(2, "Ek", 2)]}
    await poller.tick()
    assert await batches_of(database) == [None] * 3
    assert (await cursor_of(tenant, poller.source)).cursor == "2026-05-16T08:02:00Z"


async def test_a_poll_that_failed_in_the_middle_goes_on_with_the_same_batch(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, *range(1, 6))
    vendor.says[PAGE] = {
        "data": [row(n, "Ek", n) for n in (1, 2, 3)],
        "page": {"nextCursor": "two"},
    }
    vendor.says[f"{PAGE} two"] = 500
    with pytest.raises(Retryable):
        await poller.tick()
    await fold(tenant)
    vendor.says[PAGE] = {"data": [row(4, "Ek", 4)]}  # the rest alone is not too much
    await poller.tick()
    [held] = await holds(database)
    assert await batches_of(database) == [held.batch] * 4
    vendor.says[PAGE] = {"data": [row(5, "Ek", 5)]}  # the next poll begins anew
    await poller.tick()
    assert await batches_of(database) == [*[held.batch] * 4, None]


async def test_after_its_release_the_rest_of_a_batch_passes(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, *range(1, 8))
    vendor.says[PAGE] = {"data": [row(n, "Ek", n) for n in (1, 2, 3)], "page": {"nextCursor": "two"}}
    vendor.says[f"{PAGE} two"] = 500
    with pytest.raises(Retryable):
        await poller.tick()
    [held] = await holds(database)
    await poller.brake(BatchReleased(held.batch, "meant so", "kari"))
    await fold(tenant)
    vendor.says[PAGE] = {"data": [row(n, "Ek", n) for n in (4, 5, 6)]}
    await poller.tick()
    assert await batches_of(database) == [*[held.batch] * 3, *[None] * 3]
    assert len(await holds(database)) == 1


async def test_the_first_poll_after_each_restore_has_a_batch_of_its_own(
    poller: PropstreetPoller, tenant: Tenant, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    vendor.says[PAGE] = {"data": [row(1), row(2), row(3)]}
    await poller.tick()
    for mark, name in ((UUID(int=1), "Ek"), (UUID(int=2), "Lind")):
        restored = event(
            LOG_STREAM, encode(LogRestored(mark, 99)), type=LOG_RESTORED, origin="toveis", meta=None
        )
        await tenant.appender.append([restored], also=partial(working.forget, tenant=tenant.name))
        await fold(tenant)
        vendor.says[PAGE] = {"data": [row(n, name, 1) for n in (1, 2, 3)]}
        await poller.tick()
        held = (await holds(database))[-1]
        await tenant.appender.append([tenant.of_batch(BatchReleased(held.batch, "seen to", "kari"))])
        await fold(tenant)
    assert len({held.batch for held in await holds(database)}) == 2


async def test_too_many_changes_in_vitecs_list_are_held(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1, 2, 3)
    changed = [{"id": f"A{n}", "changedAt": f"2026-05-16T08:0{n}:00"} for n in (1, 2, 3)]
    vendor.says[CONTACT] = {"persons": changed}
    vendor.says[f"{CONTACT}/Person"] = [
        {"id": f"A{n}", "firstName": "Anna", "lastName": "Ek"} for n in (1, 2, 3)
    ]
    poller = VitecConnectPoller(tenant, vitec)
    await poller.tick()
    [held] = await holds(database)
    assert await batches_of(database) == [held.batch] * 3
    assert (await cursor_of(tenant, poller.source)).cursor == "2026-05-16T08:03:00"


async def test_fewer_estate_types_remove_nothing(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, database: str
) -> None:
    vendor.lists(A="2026-05-16T08:00:00", B="2026-05-16T08:01:00")
    await VitecEstatePoller(tenant, vitec).tick()
    await fold(tenant)
    sync = msgspec.structs.replace(tenant.settings.sync, estate_types=("Project",))
    tenant.settings = msgspec.structs.replace(tenant.settings, sync=sync)
    vendor.says["/Estate/GetEstateList"] = [{"projects": []}]
    await VitecEstatePoller(tenant, vitec).tick()
    assert await streams(database, "RecordRemoved") == []


async def test_a_record_whose_removal_waits_is_asked_for_again_and_may_be_back(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, database: str
) -> None:
    await acquainted(tenant, 1)
    stream = record_stream("contact", VITEC, "A1")
    await tenant.appender.append([removed(tenant, stream, VITEC, "1")])
    await fold(tenant)
    fetcher = VitecConnectFetcher(tenant, vitec)
    asked = []
    for minutes in (0, 1, 1, 2):
        tenant.clock = partial(NOW.__add__, timedelta(minutes=minutes))
        await fetcher.tick()
        asked.append(vendor.asked[f"{CONTACT}/Person/A1"])
    assert asked == [0, 2, 2, 4]  # most are decided on at once; the others after a while, later and later
    assert len(await streams(database, "RecordRemoved")) == 1
    vendor.says[f"{CONTACT}/Person/A1"] = {"id": "A1", "firstName": "Anna", "lastName": "Berg"}
    tenant.clock = partial(NOW.__add__, timedelta(minutes=9))
    await fetcher.tick()
    await fold(tenant)
    async with tenant.connection() as conn:
        assert await brakes.removals(conn, tenant.name, ["contact"]) == []
