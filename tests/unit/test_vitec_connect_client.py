import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import aiohttp
import pytest
from aiohttp import web
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
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.vitec_connect.client import Category, Match, Reference, VitecConnectClient

BASE = "https://connect.test"
CONTACT = f"{BASE}/CRM/Contact/M11385"
ANNA = "ADR8462BF8CEC9D4A3D875A7B4449997B00"

Call = Callable[[VitecConnectClient], Awaitable[object]]


def read_one(client: VitecConnectClient) -> Awaitable[object]:
    return client.read_one("Person", ANNA)


def update(client: VitecConnectClient) -> Awaitable[object]:
    return client.update_person({"contactId": ANNA, "customerId": "M11385", "firstName": "Anna"})


def create(client: VitecConnectClient) -> Awaitable[object]:
    return client.update_person({"contactId": None, "customerId": "M11385", "firstName": "Anna"})


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def limiter() -> Limiter:
    return Limiter([], 5)


@pytest.fixture
def client(session: aiohttp.ClientSession, limiter: Limiter) -> VitecConnectClient:
    return VitecConnectClient(session, BASE, "M11385", "1234", "hemligt", limiter)


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        yield vendor


def sent(vendor: aioresponses) -> list[tuple[str, URL, Mapping[str, str], Any]]:
    """Every call: method, address, headers, JSON."""
    return [
        (method, url, call.kwargs["headers"], json.loads(call.kwargs["data"] or b"null"))
        for (method, url), calls in vendor.requests.items()
        for call in calls
    ]


def batch(kind: str, *ids: str) -> str:
    return f"{CONTACT}/{kind}?contactIds={','.join(ids)}"


# Shapes


async def test_changes_are_asked_for_with_an_offset_and_keep_the_vendors_times(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.get(
        f"{CONTACT}?ChangedAtFrom=2026-10-04T10%3A38%3A07.966000%2B02%3A00",
        payload={
            "persons": [{"id": "ADR1", "changedAt": "2026-10-04T10:38:07.966", "customerId": "M11385"}],
            "companies": [{"id": "ADR2", "changedAt": None}],
            "deceasedEstates": None,
        },
    )
    since = datetime(2026, 10, 4, 10, 38, 7, 966000, tzinfo=timezone(timedelta(hours=2)))
    changes = await client.changed(since)
    assert changes.persons == [Reference("ADR1", "2026-10-04T10:38:07.966")]
    assert changes.companies == [Reference("ADR2", "")]
    assert changes.deceased_estates == []


async def test_without_a_time_everything_is_asked_for(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.get(CONTACT, payload={})
    changes = await client.changed(None)
    assert (changes.persons, changes.companies, changes.deceased_estates) == ([], [], [])


async def test_a_bare_time_is_no_filter(client: VitecConnectClient) -> None:
    with pytest.raises(ValueError, match="aware"):
        await client.changed(datetime(2026, 10, 4))


async def test_a_batch_keeps_every_record_byte_for_byte(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    one = b'{"type" : "Person", "id":"ADR1","firstName":"\\u00c5sa", "x":1.10}'
    two = '{"id":"ADR2","lastName":"Åberg"}'.encode()
    vendor.get(batch("Person", "ADR1", "ADR2", "ADR3"), body=b"[ " + one + b",\n" + two + b",null]")
    assert await client.read("Person", ["ADR1", "ADR2", "ADR1", "ADR3"]) == {"ADR1": one, "ADR2": two}


async def test_more_than_twenty_are_read_in_batches_of_twenty(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    ids = [f"ADR{number}" for number in range(45)]
    for start in (0, 20, 40):
        part = ids[start : start + 20]
        vendor.get(batch("Company", *part), payload=[{"id": contact} for contact in part])
    assert list(await client.read("Company", ids)) == ids
    assert len(sent(vendor)) == 3


async def test_no_ids_need_no_call(client: VitecConnectClient, vendor: aioresponses) -> None:
    assert await client.read("Person", []) == {}
    assert sent(vendor) == []


@pytest.mark.parametrize(("status", "body"), [(404, b""), (204, b""), (200, b"null")])
async def test_one_unknown_id_does_not_hide_the_rest_of_its_batch(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.get(batch("Person", "ADR1", "ADR2", "ADR3"), status=status, body=body)
    vendor.get(f"{CONTACT}/Person/ADR1", body=b'{"id": "ADR1"}')
    vendor.get(f"{CONTACT}/Person/ADR2", status=status, body=body)
    vendor.get(f"{CONTACT}/Person/ADR3", body=b'{"id": "ADR3"}')
    found = await client.read("Person", ["ADR1", "ADR2", "ADR3"])
    assert found == {"ADR1": b'{"id": "ADR1"}', "ADR3": b'{"id": "ADR3"}'}


async def test_a_failing_batch_reads_as_failure_and_never_as_absence(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.get(batch("Person", "ADR1", "ADR2"), status=500)
    with pytest.raises(Retryable):
        await client.read("Person", ["ADR1", "ADR2"])


@pytest.mark.parametrize(("status", "body"), [(404, b""), (204, b""), (200, b"null"), (200, b" null\r\n")])
async def test_an_unknown_contact_is_none(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.get(f"{CONTACT}/DeceasedEstate/ADR1", status=status, body=body)
    assert await client.read_one("DeceasedEstate", "ADR1") is None


async def test_a_write_returns_the_contacts_id(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.post(f"{BASE}/Contacts/UpdatePerson", body=f'"{ANNA}"')
    vendor.post(f"{BASE}/Contacts/UpdateCompany", body='"ADR2"')
    assert await client.update_person({"contactId": ANNA, "firstName": "Åsa"}) == ANNA
    assert await client.update_company({"companyName": "Exempel AB"}) == "ADR2"
    (_, _, headers, person), (_, _, _, company) = sent(vendor)
    assert headers["Content-Type"] == "application/json"
    assert person == {"contactId": ANNA, "firstName": "Åsa"}
    assert company == {"companyName": "Exempel AB"}


async def test_a_category_is_taken_away(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.delete(f"{CONTACT}/{ANNA}/Category/KAT1", status=204)
    await client.delete_category(ANNA, "KAT1")
    assert len(sent(vendor)) == 1


async def test_categories_come_in_two_lists(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.get(
        f"{BASE}/Category/GetCategories?customerId=M11385",
        payload={
            "companyCategories": [{"id": "K2", "name": "Leverantör", "readOnly": True}],
            "personCategories": [
                {"id": "K1", "name": "Investor", "readOnly": False},
                {"id": "K3", "name": None},
            ],
        },
    )
    assert await client.categories() == [
        Category("K1", "Investor", False, "Person"),
        Category("K3", "", False, "Person"),
        Category("K2", "Leverantör", True, "Company"),
    ]


async def test_a_search_finds_contacts_with_their_type(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    matches = [{"id": "ADR1", "type": "Person", "score": 1.5}, {"id": "ADR2", "type": 1}, {"id": "ADR3"}]
    vendor.get(f"{CONTACT}/Search?Term=anna%2Bb%40example.se&MaxSize=1000", payload={"matches": matches})
    assert await client.search("anna+b@example.se") == [
        Match("ADR1", "Person"),
        Match("ADR2", "Company"),
        Match("ADR3", ""),
    ]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"null"), (200, b'{"matches":[]}')])
async def test_a_search_without_matches_is_empty(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.get(f"{CONTACT}/Search?Term=nobody&MaxSize=1000", status=status, body=body)
    assert await client.search("nobody") == []


async def test_a_number_finds_contacts(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.get(
        f"{CONTACT}/search/SocialNumber?SocialNumber=5560000000",
        payload={"matches": [{"id": "ADR2", "contactClassTypes": ["Company"]}]},
    )
    assert await client.by_social_number("5560000000") == [Match("ADR2", "Company")]


async def test_a_phone_number_finds_ids(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.get(
        f"{BASE}/Contacts/GetContactsWithPhonenumber?phoneNumber=%2B46701740605&customerId=M11385",
        payload=[{"customerId": "M11385", "contactIds": ["ADR1", "ADR2", "ADR1"]}, {"contactIds": None}],
    )
    assert await client.by_phone("+46701740605") == ["ADR1", "ADR2"]


# Who calls


def basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


async def test_every_call_carries_the_pair_of_its_function_group(
    session: aiohttp.ClientSession, client: VitecConnectClient, limiter: Limiter, vendor: aioresponses
) -> None:
    credentials = {"CRM-Contact": ("5678", "lösen"), "Advertising": ("9", "x")}
    other = VitecConnectClient(session, BASE, "M11385", "1234", "hemligt", limiter, credentials=credentials)
    vendor.get(CONTACT, payload={}, repeat=True)
    await client.changed(None)
    await other.at(Priority.BACKFILL).changed(None)
    assert [headers["Authorization"] for _, _, headers, _ in sent(vendor)] == [
        basic("1234", "hemligt"),
        basic("5678", "lösen"),
    ]


async def test_a_closed_office_is_asked_only_once(client: VitecConnectClient, vendor: aioresponses) -> None:
    vendor.get(batch("Person", "ADR1", "ADR2"), status=403, repeat=True)
    with pytest.raises(AccessDenied):
        await client.read("Person", ["ADR1", "ADR2"])
    assert len(sent(vendor)) == 1


# What an answer means


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        (read_one, 400, Rejected),
        (read_one, 401, AccessDenied),
        (read_one, 500, Retryable),
        (update, 400, Rejected),
        (update, 401, AccessDenied),
        (update, 404, NotFound),
        (update, 409, Rejected),
        (update, 422, Rejected),
        (update, 500, UnknownOutcome),
        (create, 409, Duplicate),
        (create, 500, UnknownOutcome),
        (create, 302, Rejected),
    ],
)
async def test_a_status_means_one_error_by_what_the_call_was_for(
    client: VitecConnectClient, vendor: aioresponses, call: Call, status: int, error: type[VendorError]
) -> None:
    vendor.get(f"{CONTACT}/Person/{ANNA}", status=status, body="<html>")
    vendor.post(f"{BASE}/Contacts/UpdatePerson", status=status, body="<html>")
    with pytest.raises(VendorError) as raised:
        await call(client)
    assert type(raised.value) is error
    assert raised.value.status == status
    assert ANNA not in str(raised.value)


async def test_a_refusal_names_the_refused_fields_and_no_value(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    refusal = {
        "message": "Anna is too long",
        "modelState": {"contact.FirstName": ["Förnamn måste vara mellan 0 och 30 tecken"], "070-1740605": []},
    }
    vendor.post(f"{BASE}/Contacts/UpdatePerson", status=400, payload=refusal)
    with pytest.raises(Rejected) as raised:
        await update(client)
    assert raised.value.reason == "contact.FirstName"
    assert str(raised.value) == "POST /Contacts/UpdatePerson answered 400 for contact.FirstName"


@pytest.mark.parametrize("body", [b"", b"{}", b'"ADR1', b'""', b'" "', b"null", b"7"])
@pytest.mark.parametrize("call", [update, create])
async def test_a_write_that_does_not_name_its_contact_stays_unknown(
    client: VitecConnectClient, vendor: aioresponses, call: Call, body: bytes
) -> None:
    vendor.post(f"{BASE}/Contacts/UpdatePerson", body=body)
    with pytest.raises(UnknownOutcome):
        await call(client)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b'{"id":"ADR1"}', b'[{"name":"no id"}]', b'["ADR1"]'])
async def test_an_unreadable_batch_may_be_read_again(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(batch("Person", "ADR1", "ADR2"), body=body)
    with pytest.raises(Retryable):
        await client.read("Person", ["ADR1", "ADR2"])


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id":', b"[]", b'{"name":"no id"}'])
async def test_an_unreadable_contact_is_never_taken_for_an_unknown_one(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(f"{CONTACT}/Person/{ANNA}", body=body)
    with pytest.raises(Retryable):
        await client.read_one("Person", ANNA)


async def test_a_reached_limit_waits_as_long_as_a_date_says(
    session: aiohttp.ClientSession, vendor: aioresponses
) -> None:
    limiter = Limiter([], 5, clock=lambda: 0.0)
    now = datetime(2026, 10, 4, 8, 0, tzinfo=UTC)
    client = VitecConnectClient(session, BASE, "M11385", "1234", "hemligt", limiter, clock=lambda: now)
    vendor.post(
        f"{BASE}/Contacts/UpdatePerson", status=503, headers={"Retry-After": "Sun, 04 Oct 2026 08:05:00 GMT"}
    )
    with pytest.raises(RateLimited) as raised:
        await update(client)
    assert raised.value.retry_after == 300.0
    assert limiter.delay() == 300.0


async def test_each_call_is_measured_by_its_route(
    session: aiohttp.ClientSession, limiter: Limiter, vendor: aioresponses
) -> None:
    calls: list[tuple[str, int | None]] = []
    client = VitecConnectClient(
        session,
        BASE,
        "M11385",
        "1234",
        "hemligt",
        limiter,
        on_call=lambda route, status, seconds: calls.append((route, status)),
    )
    vendor.get(f"{CONTACT}/Person/{ANNA}", status=404)
    await client.read_one("Person", ANNA)
    assert calls == [("GET /CRM/Contact/{customer}/{kind}/{contact}", 404)]


# What happens on the wire


@pytest.mark.parametrize(
    ("call", "error"), [(read_one, Retryable), (update, UnknownOutcome), (create, UnknownOutcome)]
)
@pytest.mark.parametrize("answered", ["late", "half", "never"])
async def test_a_lost_answer_may_be_read_again_but_a_write_stays_unknown(
    session: aiohttp.ClientSession, limiter: Limiter, call: Call, error: type[VendorError], answered: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Length": "100"})
        match answered:
            case "late":
                await asyncio.Event().wait()
            case "half":
                await response.prepare(request)
                await response.write(b'"ADR')
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        client = VitecConnectClient(
            session, f"http://{host}:{port}/", "M11385", "1234", "hemligt", limiter, timeout=0.2
        )
        with pytest.raises(VendorError) as raised:
            await call(client)
        assert type(raised.value) is error
    finally:
        await runner.cleanup()
