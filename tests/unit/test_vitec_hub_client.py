"""The Hub's client reads what is stated, tolerates what is unknown, and never takes a puzzle for an empty list."""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest
from aioresponses import aioresponses

from daemon.domain.errors import AccessDenied, NotFound, RateLimited, Rejected, Retryable, VendorError
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.vitec_hub.client import INTERESTED, HubEstateReference, VitecHubClient

BASE = "https://hub.test"
INSTALLATION = f"{BASE}/MSPROATEST"
VILLA = "8462BF8C-EC9D-4A3D-875A-7B4449997B00"
RELATIONS = f"{INSTALLATION}/Estates/{VILLA}/ContactRelations?relationType=1"

Call = Callable[[VitecHubClient], Awaitable[object]]

LISTS: dict[str, tuple[str, Call]] = {
    "methods": (f"{BASE}/Account/Methods", VitecHubClient.methods),
    "estates": (f"{INSTALLATION}/Estates", VitecHubClient.estates),
    "departments": (f"{INSTALLATION}/Departments", VitecHubClient.departments),
    "employees": (f"{INSTALLATION}/Employees", VitecHubClient.employees),
}
RECORDS: dict[str, tuple[str, Call]] = {
    "estate": (f"{INSTALLATION}/Estates/{VILLA}", lambda client: client.estate(VILLA)),
    "relations": (RELATIONS, lambda client: client.contact_relations(VILLA, INTERESTED)),
}
CALLS = LISTS | RECORDS


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def limiter() -> Limiter:
    return Limiter([], 5, clock=lambda: 0.0)


@pytest.fixture
def client(session: aiohttp.ClientSession, limiter: Limiter) -> VitecHubClient:
    return VitecHubClient(session, BASE, "MSPROATEST", "partner", "nøkkel", limiter)


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        yield vendor


# Shapes


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_carries_the_partners_pair(
    client: VitecHubClient, vendor: aioresponses, name: str
) -> None:
    url, call = CALLS[name]
    vendor.get(url, body=b"[]" if name in LISTS else b'{"contacts":[]}')
    await call(client)
    [[sent]] = vendor.requests.values()
    expected = "Basic " + b64encode("partner:nøkkel".encode()).decode()
    assert sent.kwargs["headers"]["Authorization"] == expected


@pytest.mark.parametrize(
    "body", [b'["Estates","Employees"]', b'[{"name":"Estates","id":7},{"name":"Employees"}]']
)
async def test_open_functions_may_be_texts_or_named_objects(
    client: VitecHubClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(f"{BASE}/Account/Methods", body=body)
    assert await client.methods() == ["Estates", "Employees"]


async def test_estates_keep_the_vendors_time_and_every_byte(
    client: VitecHubClient, vendor: aioresponses
) -> None:
    first = f'{{ "estateId":"{VILLA}", "changedDate":"2026-10-04T10:38:07", "streetAdress":"\\u00c5sv. 1" }}'
    second = '{"estateId":"x","changedDate":null}'
    vendor.get(f"{INSTALLATION}/Estates", body=f"[{first},\n{second}]".encode())
    assert await client.estates() == [
        HubEstateReference(VILLA, "2026-10-04T10:38:07", first.encode()),
        HubEstateReference("x", "", second.encode()),
    ]


async def test_an_estates_id_keeps_its_case_and_may_be_a_number(
    client: VitecHubClient, vendor: aioresponses
) -> None:
    rows = [{"estateId": VILLA}, {"estateId": VILLA.lower()}, {"estateId": 1234}]
    vendor.get(f"{INSTALLATION}/Estates", payload=rows)
    assert [row.id for row in await client.estates()] == [VILLA, VILLA.lower(), "1234"]
    vendor.get(f"{INSTALLATION}/Estates/{VILLA.lower()}", body=b"{}")
    assert await client.estate(VILLA.lower()) == b"{}"


async def test_estates_are_asked_for_with_an_offset(client: VitecHubClient, vendor: aioresponses) -> None:
    vendor.get(f"{INSTALLATION}/Estates?changedAfter=2026-10-04T10%3A38%3A07%2B02%3A00", payload=[])
    after = datetime(2026, 10, 4, 10, 38, 7, tzinfo=timezone(timedelta(hours=2)))
    assert await client.estates(after) == []


async def test_a_bare_time_is_no_filter(client: VitecHubClient) -> None:
    with pytest.raises(ValueError, match="aware"):
        await client.estates(datetime(2026, 10, 4))


@pytest.mark.parametrize("name", ["departments", "employees"])
async def test_offices_and_brokers_are_kept_byte_for_byte(
    client: VitecHubClient, vendor: aioresponses, name: str
) -> None:
    url, call = LISTS[name]
    vendor.get(url, body=b'[{"departmentId" : 1},{"departmentId":[1,2]}]')
    assert await call(client) == [b'{"departmentId" : 1}', b'{"departmentId":[1,2]}']


@pytest.mark.parametrize("relation_type", [0, 1])
async def test_relations_are_kept_byte_for_byte(
    client: VitecHubClient, vendor: aioresponses, relation_type: int
) -> None:
    body = b'{"contacts" : [ {"x": 1.10} ], "more":null}'
    url = f"{INSTALLATION}/Estates/{VILLA}/ContactRelations?relationType={relation_type}"
    vendor.get(url, body=body)
    assert await client.contact_relations(VILLA, relation_type) == body


# What an answer means


@pytest.mark.parametrize(("status", "body"), [(404, b""), (204, b""), (200, b"null")])
@pytest.mark.parametrize("name", RECORDS)
async def test_an_unknown_estate_is_none(
    client: VitecHubClient, vendor: aioresponses, name: str, status: int, body: bytes
) -> None:
    url, call = RECORDS[name]
    vendor.get(url, status=status, body=body)
    assert await call(client) is None


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"null"), (200, b"{}"), (200, b"[7]")])
@pytest.mark.parametrize("name", LISTS)
async def test_only_an_array_of_records_is_a_list(
    client: VitecHubClient, vendor: aioresponses, name: str, status: int, body: bytes
) -> None:
    url, call = LISTS[name]
    vendor.get(url, status=status, body=body)
    with pytest.raises(Retryable):
        await call(client)


@pytest.mark.parametrize("body", [b'[{"name":"no id"}]', b'[{"estateId":null}]', b'[{"estateId":true}]'])
async def test_an_estate_without_an_id_is_never_left_out(
    client: VitecHubClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(f"{INSTALLATION}/Estates", body=body)
    with pytest.raises(Retryable):
        await client.estates()


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"contacts":', b"[]", b'"x"', b'{"contacts":"\xff"}'])
@pytest.mark.parametrize("name", RECORDS)
async def test_an_unreadable_record_is_never_taken_for_an_unknown_one(
    client: VitecHubClient, vendor: aioresponses, name: str, body: bytes
) -> None:
    url, call = RECORDS[name]
    vendor.get(url, body=body)
    with pytest.raises(Retryable):
        await call(client)


@pytest.mark.parametrize("body", [b"{}", b'{"contacts":null}', b'{"contacts":{}}'])
async def test_relations_without_their_list_are_unreadable(
    client: VitecHubClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(RELATIONS, body=body)
    with pytest.raises(Retryable):
        await client.contact_relations(VILLA, INTERESTED)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (401, AccessDenied), (403, AccessDenied), (500, Retryable), (503, Retryable)],
)
@pytest.mark.parametrize("name", CALLS)
async def test_a_status_means_one_error(
    client: VitecHubClient, vendor: aioresponses, name: str, status: int, error: type[VendorError]
) -> None:
    url, call = CALLS[name]
    vendor.get(url, status=status, body="<html>")
    with pytest.raises(VendorError) as raised:
        await call(client)
    assert type(raised.value) is error
    assert raised.value.status == status
    assert VILLA not in str(raised.value)


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_that_is_not_there_is_an_error(
    client: VitecHubClient, vendor: aioresponses, name: str
) -> None:
    url, call = LISTS[name]
    vendor.get(url, status=404)
    with pytest.raises(NotFound):
        await call(client)


@pytest.mark.parametrize("said", ["42", "Sun, 04 Oct 2026 08:00:42 GMT"])
async def test_a_reached_limit_pauses_everybody_as_long_as_the_hub_says(
    session: aiohttp.ClientSession, limiter: Limiter, vendor: aioresponses, said: str
) -> None:
    now = datetime(2026, 10, 4, 8, 0, tzinfo=UTC)
    client = VitecHubClient(session, BASE, "MSPROATEST", "partner", "x", limiter, clock=lambda: now)
    vendor.get(f"{INSTALLATION}/Estates", status=429, headers={"Retry-After": said})
    with pytest.raises(RateLimited) as raised:
        await client.estates()
    assert raised.value.retry_after == 42.0
    assert limiter.delay() == 42.0


async def test_each_call_is_measured_by_its_route(
    session: aiohttp.ClientSession, limiter: Limiter, vendor: aioresponses
) -> None:
    calls: list[tuple[str, int | None]] = []
    client = VitecHubClient(
        session,
        BASE,
        "MSPROATEST",
        "partner",
        "x",
        limiter,
        on_call=lambda route, status, seconds: calls.append((route, status)),
    ).at(Priority.BACKFILL)
    vendor.get(f"{INSTALLATION}/Estates/{VILLA}", status=404)
    await client.estate(VILLA)
    assert calls == [("GET /{installation}/Estates/{estate}", 404)]
