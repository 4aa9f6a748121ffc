"""Polls, rounds and fetches of vendors that answer oddly: what one record spoils, it spoils for itself alone."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.domain.errors import Retryable
from daemon.ingest.estates import VitecEstatePoller
from daemon.ingest.fetches import VitecConnectFetcher
from daemon.ingest.joined import VitecLinkPoller, VitecNotePoller
from daemon.ingest.polls import CUT, PropstreetPoller, PropstreetProspectPoller, VitecConnectPoller
from daemon.processor import Tenant
from daemon.storage import views, working
from daemon.storage.views import Need, Typed
from daemon.storage.working import Cursor
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_connect.joined import relations_of
from tests.integration.ground import tenant_at, whole_log

NOW = datetime(2026, 5, 18, 12, tzinfo=UTC)
CONTACT = "/CRM/Contact/M11385"
GONE = 404


class Vendor:
    """Answers each address, a query's id behind it, with JSON or a status; counts who was asked for."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {"/openid/token": {"access_token": "t", "expires_in": 3600}}
        self.asked: Counter[str] = Counter()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        names = ("estateId", "contactIds", "contactId", "cursor")
        key = " ".join([request.path, *(request.query[name] for name in names if name in request.query)])
        self.asked[key] += 1
        said = self.says.get(key, self.says.get(request.path, GONE))
        return web.Response(status=said) if isinstance(said, int) else web.json_response(said)

    def lists(self, **changed: str | None) -> None:
        """The list of estates, each with the time of its change; each can be read."""
        rows = [{"id": name, "dateChanged": time} for name, time in changed.items()]
        self.says["/Estate/GetEstateList"] = [{"commercialPropertys": rows}]
        for name in changed:
            self.says[f"/Estate/GetCommercialProperty {name}"] = {"estateId": name}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.server.start_server()
    yield vendor
    await vendor.server.close()


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        tenant.clock = lambda: NOW
        yield tenant


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def vitec(vendor: Vendor, session: aiohttp.ClientSession) -> VitecConnectClient:
    base = str(vendor.server.make_url(""))
    return VitecConnectClient(session, base, "M11385", "1234", "hush", Limiter([], 5))


@pytest.fixture
def propstreet(vendor: Vendor, session: aiohttp.ClientSession) -> PropstreetClient:
    base = str(vendor.server.make_url(""))
    return PropstreetClient(session, base, "client", "hush", Limiter([], 5))


def believe(monkeypatch: pytest.MonkeyPatch, question: str, answer: Any) -> None:
    """What the views are asked for, without the whole way there."""

    async def answered(*_: Any) -> Any:
        return answer

    monkeypatch.setattr(views, question, answered)


async def cursor_of(tenant: Tenant, source: str) -> Cursor:
    async with tenant.connection() as conn:
        return await working.open_cursor(conn, tenant.name, source, NOW)


async def streams(database: str, kind: str = "RecordObserved") -> list[str]:
    return [event.stream for event in await whole_log(database) if event.type == kind]


# Estates


@pytest.mark.parametrize(("answer", "whole"), [(500, False), (400, True), ([], True)])
async def test_an_estate_that_cannot_be_read_stays_due_and_the_others_go_on(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, database: str, answer: Any, whole: bool
) -> None:
    vendor.lists(A="2026-05-16T08:00:00", B="2026-05-17T08:00:00", C="2026-05-18T08:00:00")
    vendor.says["/Estate/GetCommercialProperty B"] = answer
    poller = VitecEstatePoller(tenant, vitec)
    await poller.tick()
    assert sorted(await streams(database)) == ["project:vitec:A", "project:vitec:C"]
    seen = await cursor_of(tenant, poller.source)
    assert (seen.cursor, seen.complete is not None) == ("2026-05-17T08:00:00", whole)
    vendor.says["/Estate/GetCommercialProperty B"] = {"estateId": "B"}
    await poller.tick()
    assert "project:vitec:B" in await streams(database)
    seen = await cursor_of(tenant, poller.source)
    assert (seen.cursor, seen.complete is not None) == ("2026-05-18T08:00:00", True)


async def test_where_no_estate_can_be_read_the_poll_rests(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor
) -> None:
    vendor.lists(A="2026-05-16T08:00:00", B="2026-05-17T08:00:00")
    vendor.says |= dict.fromkeys(("/Estate/GetCommercialProperty A", "/Estate/GetCommercialProperty B"), 500)
    poller = VitecEstatePoller(tenant, vitec)
    with pytest.raises(Retryable):
        await poller.tick()
    assert (await cursor_of(tenant, poller.source)).cursor is None


async def test_a_change_in_the_future_moves_no_cursor_beyond_now(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor
) -> None:
    vendor.lists(A="2026-05-16T08:00:00", B="2027-05-17T08:00:00")
    poller = VitecEstatePoller(tenant, vitec)
    await poller.tick()
    assert (await cursor_of(tenant, poller.source)).cursor == "2026-05-16T08:00:00"


async def test_an_estate_without_a_date_is_not_read_at_every_look(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor
) -> None:
    vendor.lists(A=None)
    poller = VitecEstatePoller(tenant, vitec)
    for minutes in range(5):
        tenant.clock = partial(NOW.__add__, timedelta(minutes=minutes))
        await poller.tick()
    assert (
        vendor.asked["/Estate/GetCommercialProperty A"] <= 2
    )  # once more, as the list said it a moment before


async def test_estates_are_read_though_the_list_of_statuses_is_not_to_be_had(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor
) -> None:
    vendor.says["/Estate/GetStatuses"] = 403
    await VitecEstatePoller(tenant, vitec).start()
    assert vendor.asked["/Estate/GetStatuses"] == 1


async def test_the_statuses_that_we_do_not_know_are_shown_by_their_ids(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, capfd: pytest.CaptureFixture[str]
) -> None:
    vendor.says["/Estate/GetStatuses"] = [{"id": 3, "name": "Till salu"}, {"id": 99, "name": "Auktion"}]
    await VitecEstatePoller(tenant, vitec).start()
    assert '["99"]' in capfd.readouterr().err


async def test_a_list_that_may_be_cut_is_not_taken_for_the_whole(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor
) -> None:
    times = [f"2026-04-{1 + n // 60:02}T08:{n % 60:02}:00" for n in range(CUT)]
    vendor.says[CONTACT] = {"persons": [{"id": f"A{n}", "changedAt": time} for n, time in enumerate(times)]}
    poller = VitecConnectPoller(tenant, vitec)
    vendor.says[f"{CONTACT}/Person"] = [{"id": f"A{n}"} for n in range(CUT)]
    await poller.tick()
    assert (await cursor_of(tenant, poller.source)).cursor == times[-2]


# Relations and notes


async def test_a_contact_that_is_in_no_batch_is_asked_for_alone(
    vitec: VitecConnectClient, vendor: Vendor
) -> None:
    vendor.says |= {f"{CONTACT}/Speculator": [], f"{CONTACT}/Buyer": []}
    vendor.says[f"{CONTACT}/Speculator/C1"] = {"id": "C1", "speculatorOn": [{"estateId": "A", "level": 4}]}
    read = await relations_of(vitec, [("A", "C1"), ("A", "C2")])
    assert (read.found["A", "C1"] is not None, read.found["A", "C2"]) == (True, None)
    assert read.unknown == {"C2"}


async def test_a_round_goes_on_behind_what_cannot_be_looked_at(
    tenant: Tenant,
    vitec: VitecConnectClient,
    vendor: Vendor,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    believe(monkeypatch, "owners_to_look_at", [Typed("F1", "Company"), Typed("F2", "Company")])
    believe(monkeypatch, "joined_records", [])
    vendor.says[f"{CONTACT}/F1/ContactRelations"] = 400
    vendor.says[f"{CONTACT}/F2/ContactRelations"] = {"relations": [], "reverseRelations": []}
    poller = VitecLinkPoller(tenant, vitec)
    await poller.tick()
    assert vendor.asked[f"{CONTACT}/F2/ContactRelations"] == 1
    assert (await cursor_of(tenant, poller.source)).complete is not None


async def test_a_round_that_nobody_answers_rests_and_is_not_whole(
    tenant: Tenant, vitec: VitecConnectClient, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe(monkeypatch, "owners_to_look_at", [Typed(f"F{n}", "Company") for n in range(9)])
    vendor.says |= {f"{CONTACT}/F{n}/ContactRelations": 500 for n in range(9)}
    poller = VitecLinkPoller(tenant, vitec)
    with pytest.raises(Retryable):
        await poller.tick()
    assert vendor.asked.total() == 5
    assert (await cursor_of(tenant, poller.source)).complete is None


async def test_a_note_that_is_not_in_the_log_any_more_is_gone_and_a_contacts_own_note_is_not(
    tenant: Tenant,
    vitec: VitecConnectClient,
    vendor: Vendor,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    believe(monkeypatch, "joined_records", ["N1", "N2", "C1:note:abc"])
    vendor.says["/Note/M11385/GetNotes C1"] = [{"id": "N1", "date": "2026-05-16T08:00:00", "text": "Ring"}]
    vendor.says[f"{CONTACT}/Person/C1"] = {"id": "C1", "note": {"odd": 1}}
    poller = VitecNotePoller(tenant, vitec)
    await poller.look(await cursor_of(tenant, poller.source), Typed("C1", "Person"))
    assert await streams(database) == ["note:vitec:N1"]
    assert await streams(database, "RecordRemoved") == ["note:vitec:N2"]


# Fetches


async def test_a_record_that_cannot_be_read_rests_and_the_others_are_read(
    tenant: Tenant,
    vitec: VitecConnectClient,
    vendor: Vendor,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = {"project": "A", "contact": "C2"}
    needs = [
        Need("contact", "vitec", "C1", "Person", 0),
        Need("project", "vitec", "A", "CommercialProperty", 0),
        Need("project", "vitec", "B", "CommercialProperty", 0),
        Need("prospect", "vitec", "A:C2", None, 0, parts),
    ]
    believe(monkeypatch, "needs", needs)
    vendor.lists(A=None, B=None)
    vendor.says |= {f"{CONTACT}/Person": 400, "/Estate/GetCommercialProperty A": 400, f"{CONTACT}/Buyer": []}
    vendor.says[f"{CONTACT}/Speculator"] = [{"id": "C2", "speculatorOn": [{"estateId": 7}]}]
    vendor.says[f"{CONTACT}/Person/C1"] = {"id": "C1"}
    fetcher = VitecConnectFetcher(tenant, vitec)
    for _ in range(3):
        await fetcher.tick()
    assert sorted(await streams(database)) == ["contact:vitec:C1", "project:vitec:B"]
    assert vendor.asked["/Estate/GetCommercialProperty A"] == vendor.asked[f"{CONTACT}/Speculator C2"] == 1
    tenant.clock = lambda: NOW + timedelta(seconds=1)
    vendor.says["/Estate/GetCommercialProperty A"] = {"estateId": "A"}
    await fetcher.tick()
    assert "project:vitec:A" in await streams(database)


# Propstreet


async def test_pages_that_lead_in_a_circle_are_not_followed_for_ever(
    tenant: Tenant, propstreet: PropstreetClient, vendor: Vendor
) -> None:
    for key, following in (("", "a"), (" a", "b"), (" b", "a")):
        vendor.says[f"/api/v1/projects{key}"] = {"data": [], "page": {"nextCursor": following}}
    with pytest.raises(Retryable):
        await PropstreetPoller(tenant, propstreet, "project").tick()


@pytest.mark.parametrize("status", [400, 500])
async def test_a_project_that_cannot_be_read_stops_no_other_and_the_poll_is_not_whole(
    tenant: Tenant,
    propstreet: PropstreetClient,
    vendor: Vendor,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    believe(monkeypatch, "linked_records", ["1", "2"])
    odd = {"id": None}
    row = {"id": "7", "projectId": "2", "updatedUtc": "2026-05-16T08:00:00Z"}
    vendor.says["/api/v1/projects/1/prospects"] = status
    vendor.says["/api/v1/projects/2/prospects"] = {"data": [odd, row]}
    poller = PropstreetProspectPoller(tenant, propstreet)
    await poller.tick()
    assert await streams(database) == ["prospect:propstreet:7"]
    assert (await cursor_of(tenant, poller.source)).complete is None
    vendor.says["/api/v1/projects/1/prospects"] = {"data": []}
    await poller.tick()
    assert (await cursor_of(tenant, poller.source)).complete is not None
