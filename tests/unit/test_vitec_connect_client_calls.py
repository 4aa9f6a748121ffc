"""Every call for estates, relations, notes and leads: what leaves, and what a failure of it means."""

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp
import msgspec
import pytest
from aioresponses import aioresponses
from yarl import URL

from daemon.domain.errors import (
    AccessDenied,
    Duplicate,
    NotFound,
    RateLimited,
    Rejected,
    Retryable,
    UnknownOutcome,
    VendorError,
)
from daemon.vendors.limiter import Limiter
from daemon.vendors.vitec_connect.client import VitecConnectClient

BASE = "https://connect.test"
ANY_ADDRESS = re.compile(".*")
GROUPS = ("CRM-Contact", "CRM-Lead", "CRM-Project", "Estate", "Interest", "Advertising", "Service")


class Case(msgspec.Struct, frozen=True):
    """A call, what leaves for it, and what it is for."""

    call: Callable[[VitecConnectClient], Awaitable[object]]
    method: str
    path: str
    group: str
    intent: Literal["read", "write", "create"] = "read"
    query: Mapping[str, str] = {}
    body: bytes | None = None
    answer: bytes = b"null"


CASES: Mapping[str, Case] = {
    "all estates": Case(
        lambda client: client.estates(None, ["CommercialProperty", "ForeignProperty"]),
        "POST",
        "/Estate/GetEstateList",
        "Estate",
        body=b'{"customerId":"M11385","type":["CommercialProperty","Foreignproperty"],"typeOfDate":"None"}',
    ),
    "changed estates": Case(
        lambda client: client.estates(datetime(2026, 10, 4, 8, 38, 7, 966000, tzinfo=UTC), ["Project"]),
        "POST",
        "/Estate/GetEstateList",
        "Estate",
        body=b'{"customerId":"M11385","type":["Project"],"typeOfDate":"DateChanged",'
        b'"dateFrom":"2026-10-04T08:38:07.966000+00:00"}',
    ),
    "estate": Case(
        lambda client: client.estate("ForeignProperty", "OBJ1_2"),
        "GET",
        "/Estate/GetForeignProperty",
        "Estate",
        query={"estateId": "OBJ1_2", "customerId": "M11385"},
    ),
    "project": Case(
        lambda client: client.estate("Project", "PRO1_2"),
        "GET",
        "/Estate/GetProject",
        "Estate",
        query={"projectId": "PRO1_2", "customerId": "M11385"},
    ),
    "statuses": Case(
        lambda client: client.statuses(),
        "POST",
        "/Estate/GetStatuses",
        "Estate",
        query={"customerId": "M11385"},
    ),
    "update project": Case(
        lambda client: client.update_project("PRO1_2", {"baseInformation": {"projectName": "Åsen"}}),
        "PUT",
        "/CRM/Project/M11385/PRO1_2",
        "CRM-Project",
        "write",
        body='{"baseInformation":{"projectName":"Åsen"}}'.encode(),
    ),
    "speculators": Case(
        lambda client: client.speculators(["ADR1", "ADR2"]),
        "GET",
        "/CRM/Contact/M11385/Speculator",
        "CRM-Contact",
        query={"contactIds": "ADR1,ADR2"},
        answer=b"[]",
    ),
    "buyers": Case(
        lambda client: client.buyers(["ADR1"]),
        "GET",
        "/CRM/Contact/M11385/Buyer",
        "CRM-Contact",
        query={"contactIds": "ADR1"},
        answer=b"[]",
    ),
    "set speculator": Case(
        lambda client: client.set_speculator("ADR1", "OBJ1_2", {"status": "JoinedBidding"}),
        "PUT",
        "/CRM/Speculator/M11385/ADR1/Estate/OBJ1_2",
        "CRM-Contact",
        "write",
        body=b'{"status":"JoinedBidding"}',
    ),
    "interest": Case(
        lambda client: client.send_interest({"contactId": "ADR1", "notifyUser": False}),
        "POST",
        "/Interest/SendInterestOnEstate",
        "Interest",
        "create",
        body=b'{"contactId":"ADR1","notifyUser":false}',
    ),
    "relations": Case(
        lambda client: client.relations("ADR1"),
        "GET",
        "/CRM/Contact/M11385/ADR1/ContactRelations",
        "CRM-Contact",
    ),
    "notes": Case(
        lambda client: client.notes("ADR1"),
        "GET",
        "/Note/M11385/GetNotes",
        "CRM-Contact",
        query={"contactId": "ADR1"},
    ),
    "add note": Case(
        lambda client: client.add_note({"contactId": "ADR1", "text": "Ringde"}),
        "POST",
        "/Note/M11385",
        "CRM-Contact",
        "create",
        body=b'{"contactId":"ADR1","text":"Ringde"}',
    ),
    "lead sources": Case(
        lambda client: client.lead_sources(), "GET", "/CRM/Lead/M11385/LeadSources", "CRM-Lead"
    ),
    "lead": Case(
        lambda client: client.send_lead(b'{ "typeId":"L1" }'),
        "POST",
        "/Service/Contact/M11385/Lead/Person",
        "Service",
        "create",
        body=b'{ "typeId":"L1" }',
    ),
    "interest and contact": Case(
        lambda client: client.send_interest_and_contact(b'{"estateType" : 0}'),
        "POST",
        "/Interest/SendInterestAndContactOnEstate",
        "Interest",
        "create",
        body=b'{"estateType" : 0}',
    ),
    "final price": Case(
        lambda client: client.watch_final_price("OBJ1_2", b'{"prospectiveBuyerStatus" : 0}'),
        "POST",
        "/Advertising/Estate/M11385/OBJ1_2/FinalPriceWatched",
        "Advertising",
        "create",
        body=b'{"prospectiveBuyerStatus" : 0}',
    ),
}
# Reads for which a 404 is an answer, not an error.
ABSENT = ("estate", "project", "relations", "notes", "speculators", "buyers")

every_call = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture
async def client() -> AsyncIterator[VitecConnectClient]:
    credentials = {group: (group, "lösen") for group in GROUPS}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield VitecConnectClient(
            session, BASE, "M11385", "shared", "x", Limiter([], 5), credentials=credentials
        )


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        yield vendor


def sent(vendor: aioresponses) -> list[tuple[str, URL, dict[str, Any]]]:
    """Every call that left: method, address, the rest."""
    return [(method, url, call.kwargs) for (method, url), calls in vendor.requests.items() for call in calls]


def doubt(case: Case) -> type[VendorError]:
    """The error when nobody knows what became of a call."""
    return Retryable if case.intent == "read" else UnknownOutcome


# What leaves


@every_call
async def test_a_call_leaves_as_the_vendor_spells_it(
    client: VitecConnectClient, vendor: aioresponses, case: Case
) -> None:
    vendor.add(ANY_ADDRESS, case.method, body=case.answer)
    await case.call(client)
    ((method, url, rest),) = sent(vendor)
    assert (method, url.path, dict(url.query)) == (case.method, case.path, case.query)
    assert rest["data"] == case.body
    assert rest["headers"] == {
        "Accept": "application/json",
        "Authorization": "Basic " + b64encode(f"{case.group}:lösen".encode()).decode(),
        **({"Content-Type": "application/json"} if case.body else {}),
    }


@every_call
async def test_a_group_without_a_pair_of_its_own_uses_the_shared_one(
    vendor: aioresponses, case: Case
) -> None:
    vendor.add(ANY_ADDRESS, case.method, body=case.answer)
    others = {group: (group, "y") for group in GROUPS if group != case.group}
    limiter = Limiter([], 5)
    async with aiohttp.ClientSession() as session:
        await case.call(
            VitecConnectClient(session, BASE, "M11385", "shared", "x", limiter, credentials=others)
        )
    ((_, _, rest),) = sent(vendor)
    assert rest["headers"]["Authorization"] == "Basic " + b64encode(b"shared:x").decode()


async def test_an_id_stays_one_segment_of_its_path(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.add(ANY_ADDRESS, "PUT", status=204)
    await client.set_speculator("ADR/1", "OBJ?2", {})
    ((_, url, _),) = sent(vendor)
    assert url.raw_path_qs == "/CRM/Speculator/M11385/ADR%2F1/Estate/OBJ%3F2"


# What comes back


@every_call
@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
async def test_a_refusal_is_final_and_asked_for_once(
    client: VitecConnectClient, vendor: aioresponses, case: Case, status: int
) -> None:
    refusal = {"message": "Anna", "modelState": {"updatePerson.FirstName": ["Förnamn krävs"], "070-174": []}}
    vendor.add(ANY_ADDRESS, case.method, status=status, payload=refusal, repeat=True)
    with pytest.raises(VendorError) as raised:
        await case.call(client)
    met = Duplicate if case.intent == "create" else Rejected
    meaning: dict[int, type[Rejected]] = {401: AccessDenied, 403: AccessDenied, 409: met}
    assert type(raised.value) is meaning.get(status, Rejected)
    assert isinstance(raised.value, Rejected)
    assert raised.value.reason == "updatePerson.FirstName"
    assert not re.search("Anna|070|ADR1|OBJ1|M11385", str(raised.value))
    assert len(sent(vendor)) == 1


@pytest.mark.parametrize("name", CASES)
async def test_what_is_unknown_to_the_vendor_is_absent_from_a_read_and_refused_for_a_write(
    client: VitecConnectClient, vendor: aioresponses, name: str
) -> None:
    vendor.add(ANY_ADDRESS, CASES[name].method, status=404, repeat=True)
    if name in ABSENT:
        assert not await CASES[name].call(client)
        return
    with pytest.raises(NotFound):
        await CASES[name].call(client)


@every_call
@pytest.mark.parametrize(
    "answer", [{"status": 500, "body": "<html>"}, {"status": 503}, {"body": "<html>"}, {"body": '{"id":'}]
)
async def test_a_broken_answer_leaves_every_write_in_doubt(
    client: VitecConnectClient, vendor: aioresponses, case: Case, answer: dict[str, Any]
) -> None:
    vendor.add(ANY_ADDRESS, case.method, repeat=True, **answer)
    with pytest.raises(VendorError) as raised:
        await case.call(client)
    assert type(raised.value) is doubt(case)
    assert len(sent(vendor)) == 1


@every_call
@pytest.mark.parametrize("broken", [TimeoutError(), aiohttp.ServerDisconnectedError()])
async def test_no_answer_leaves_every_write_in_doubt(
    client: VitecConnectClient, vendor: aioresponses, case: Case, broken: Exception
) -> None:
    vendor.add(ANY_ADDRESS, case.method, exception=broken, repeat=True)
    with pytest.raises(VendorError) as raised:
        await case.call(client)
    assert type(raised.value) is doubt(case)
    assert len(sent(vendor)) == 1


@every_call
async def test_a_call_that_never_left_may_be_made_again(
    client: VitecConnectClient, vendor: aioresponses, case: Case
) -> None:
    vendor.add(ANY_ADDRESS, case.method, exception=aiohttp.ConnectionTimeoutError())
    with pytest.raises(Retryable):
        await case.call(client)


@every_call
@pytest.mark.parametrize("status", [429, 503])
async def test_a_vendor_that_asks_for_a_wait_gets_it(
    client: VitecConnectClient, vendor: aioresponses, case: Case, status: int
) -> None:
    vendor.add(ANY_ADDRESS, case.method, status=status, headers={"Retry-After": "12"}, repeat=True)
    with pytest.raises(RateLimited) as raised:
        await case.call(client)
    assert (raised.value.retry_after, raised.value.status) == (12.0, status)
    assert len(sent(vendor)) == 1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.intent != "read"])
@pytest.mark.parametrize("answer", [{"status": 204}, {"body": "null"}, {"body": json.dumps("LED1")}])
async def test_a_write_may_be_answered_with_nothing_or_with_a_word(
    client: VitecConnectClient, vendor: aioresponses, name: str, answer: dict[str, Any]
) -> None:
    vendor.add(ANY_ADDRESS, CASES[name].method, **answer)
    assert await CASES[name].call(client) in (None, "LED1")
