import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from daemon.domain.errors import (
    AccessDenied,
    Duplicate,
    NotFound,
    NotWritable,
    RateLimited,
    Rejected,
    Retryable,
    Stale,
    UnknownOutcome,
    VendorError,
)
from daemon.domain.settings import Secret
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.propstreet.client import PropstreetClient

BASE = "https://propstreet.test"
TOKEN = f"{BASE}/openid/token"
CONTACTS = f"{BASE}/api/v1/network/contacts"
COMPANIES = f"{BASE}/api/v1/network/companies"
WEBHOOKS = f"{BASE}/api/v1/webhooks"
NOW = datetime(2026, 5, 18, 12, 0, tzinfo=UTC)

Call = Callable[[PropstreetClient], Awaitable[object]]


def read(client: PropstreetClient) -> Awaitable[object]:
    return client.read("contact", "789")


def patch(client: PropstreetClient) -> Awaitable[object]:
    return client.patch("contact", "789", {"email": "anna@example.se"}, None)


def patch_if_match(client: PropstreetClient) -> Awaitable[object]:
    return client.patch("contact", "789", {"email": "anna@example.se"}, 'W/"1"')


def create(client: PropstreetClient) -> Awaitable[object]:
    return client.create("contact", {"email": "anna@example.se"}, reference=None, key="k1")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
def limiter() -> Limiter:
    return Limiter([], 8)


@pytest.fixture
def client(session: aiohttp.ClientSession, limiter: Limiter) -> PropstreetClient:
    return PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        vendor.post(TOKEN, payload={"access_token": "t1", "expires_in": 3600}, repeat=True)
        yield vendor


def sent(vendor: aioresponses) -> list[tuple[str, URL, Mapping[str, str], Any]]:
    """Every call but those for a token: method, address, headers, JSON."""
    return [
        (method, url, call.kwargs["headers"], json.loads(call.kwargs["data"] or b"null"))
        for (method, url), calls in vendor.requests.items()
        if url != URL(TOKEN)
        for call in calls
    ]


def tokens_asked(vendor: aioresponses) -> int:
    return len(vendor.requests.get(("POST", URL(TOKEN)), []))


# Shapes


async def test_a_page_keeps_every_row_byte_for_byte(client: PropstreetClient, vendor: aioresponses) -> None:
    rows = [b'{"id" : "1","firstName":"\\u00c5sa", "x":1.10}', '{"id":"2","lastName":"Åberg"}'.encode()]
    body = (
        b'{"data":[' + b" , ".join(rows) + b'],"page":{"nextCursor":"eyJ1Ijo=","pageSize":2,"hasMore":true}}'
    )
    since = "2026-05-18T20:22:36.9590000Z"
    vendor.get(f"{CONTACTS}?include_deleted=true&page_size=2&updated_since={since}", body=body)
    page = await client.page("contact", updated_since=since, cursor=None, page_size=2)
    assert page.rows == rows
    assert page.next_cursor == "eyJ1Ijo="


@pytest.mark.parametrize(
    "end",
    [
        '"page":{"nextCursor":null,"pageSize":500,"hasMore":false}',
        '"page":{"nextCursor":"left over","pageSize":"500","hasMore":false}',
        '"page":{"nextCursor":""}',
        '"nextCursor":null,"hasMore":false',
        '"nextCursor":null,"pageSize":"500","hasMore":"false"',
    ],
)
async def test_the_last_page_has_no_cursor_in_any_envelope(
    client: PropstreetClient, vendor: aioresponses, end: str
) -> None:
    vendor.get(f"{COMPANIES}?include_deleted=true&page_size=500&cursor=c%2B1", body=f'{{"data":[],{end}}}')
    page = await client.page("company", updated_since=None, cursor="c+1")
    assert (page.rows, page.next_cursor) == ([], None)


async def test_a_cursor_at_the_top_level_is_followed(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.get(
        f"{CONTACTS}?include_deleted=true&page_size=500",
        payload={"data": [], "nextCursor": "c2", "hasMore": True},
    )
    assert (await client.page("contact", updated_since=None, cursor=None)).next_cursor == "c2"


async def test_a_page_that_promises_more_without_a_cursor_is_not_taken_for_the_last(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.get(
        f"{CONTACTS}?include_deleted=true&page_size=500", payload={"data": [], "page": {"hasMore": True}}
    )
    with pytest.raises(Retryable):
        await client.page("contact", updated_since=None, cursor=None)


async def test_a_record_is_read_byte_for_byte(client: PropstreetClient, vendor: aioresponses) -> None:
    body = b'{ "id":"789",\n "price":1.10 }'
    vendor.get(f"{CONTACTS}/789", body=body)
    assert await client.read("contact", "789") == body


async def test_a_reference_is_quoted_whole_and_an_unknown_one_is_none(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    known = URL(f"{COMPANIES}/external/organization-number/a%2Fb%3F%25", encoded=True)
    vendor.get(known, body=b'{"id":"1"}')
    vendor.get(f"{COMPANIES}/external/vitec-next/ADR1", status=404)
    assert await client.by_reference("company", "organization-number", "a/b?%") == b'{"id":"1"}'
    assert await client.by_reference("company", "vitec-next", "ADR1") is None


@pytest.mark.parametrize("nothing", ["", ".", ".."])
async def test_an_id_that_would_name_the_whole_list_is_never_called(
    client: PropstreetClient, vendor: aioresponses, nothing: str
) -> None:
    with pytest.raises(ValueError, match="id"):
        await client.delete("contact", nothing, None)
    assert sent(vendor) == []


async def test_a_patch_echoes_the_etag_exactly_and_sends_null_to_clear(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.patch(f"{CONTACTS}/789", body=b'{"id":"789"}')
    assert (
        await client.patch("contact", "789", {"phone": None, "firstName": "Åsa"}, 'W/"AAA="')
        == b'{"id":"789"}'
    )
    [(_, _, headers, body)] = sent(vendor)
    assert headers["If-Match"] == 'W/"AAA="'
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer t1"
    assert body == {"phone": None, "firstName": "Åsa"}


async def test_a_patch_without_an_etag_is_unconditional(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.patch(f"{COMPANIES}/5", body=b"{}")
    await client.patch("company", "5", {"name": "Exempel AB"}, None)
    [(_, _, headers, _)] = sent(vendor)
    assert "If-Match" not in headers


@pytest.mark.parametrize(
    ("status", "said", "action"),
    [
        (201, "created", "created"),
        (200, "Updated", "updated"),
        (200, "revived", "revived"),
        (201, None, "created"),
        (200, None, "updated"),
        (201, "something new", "created"),
    ],
)
async def test_a_contact_with_a_reference_is_created_through_the_upsert_and_never_revived(
    client: PropstreetClient, vendor: aioresponses, status: int, said: str | None, action: str
) -> None:
    vendor.patch(
        f"{CONTACTS}/external/vitec-next/ADR1?revive=false",
        status=status,
        body=b'{"id":"9"}',
        headers={"X-Propstreet-Upsert-Action": said} if said else {},
    )
    created = await client.create(
        "contact", {"email": "anna@example.se"}, reference=("vitec-next", "ADR1"), key="k1"
    )
    assert (created.payload, created.action) == (b'{"id":"9"}', action)
    [(_, _, headers, body)] = sent(vendor)
    assert headers["Idempotency-Key"] == "k1"
    assert body == {"email": "anna@example.se"}


@pytest.mark.parametrize("present", [None, [], [{"namespace": "vitec-next", "id": "ADR1"}]])
async def test_a_company_is_posted_with_its_reference_once(
    client: PropstreetClient, vendor: aioresponses, present: list[object] | None
) -> None:
    vendor.post(COMPANIES, status=201, body=b'{"id":"5"}')
    body = {"name": "Exempel AB"} | ({} if present is None else {"externalRefs": present})
    created = await client.create("company", body, reference=("vitec-next", "ADR1"), key="k2")
    assert created.action == "created"
    [(_, _, headers, wanted)] = sent(vendor)
    assert headers["Idempotency-Key"] == "k2"
    assert wanted == {"name": "Exempel AB", "externalRefs": [{"namespace": "vitec-next", "id": "ADR1"}]}


async def test_a_post_answered_with_200_met_a_record_that_was_there(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(CONTACTS, status=200, body=b'{"id":"5"}')
    created = await client.create("contact", {"firstName": "Anna"}, reference=None, key="k3")
    assert created.action == "updated"


async def test_a_delete_is_content_with_no_content(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.delete(f"{CONTACTS}/789", status=204)
    await client.delete("contact", "789", '"1"')
    [(_, _, headers, _)] = sent(vendor)
    assert headers["If-Match"] == '"1"'


@pytest.mark.parametrize("paged", [False, True])
async def test_subscriptions_are_listed_in_both_shapes(
    client: PropstreetClient, vendor: aioresponses, paged: bool
) -> None:
    row = {
        "id": 3,
        "url": "https://sync.example.no/webhooks",
        "events": ["contact.created"],
        "isActive": False,
    }
    vendor.get(WEBHOOKS, payload={"data": [row]} if paged else [row])
    [webhook] = await client.webhooks()
    assert (webhook.id, webhook.url, webhook.is_active) == (3, row["url"], False)


async def test_a_registration_gives_the_secret(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.post(WEBHOOKS, status=201, payload={"id": 3, "secret": "whsec_AAAA"})
    assert await client.register_webhook("https://sync.example.no/w", ["contact.created"], "Toveis") == (
        "3",
        Secret("whsec_AAAA"),
    )
    [(_, _, headers, body)] = sent(vendor)
    assert headers["Idempotency-Key"]
    assert body == {"url": "https://sync.example.no/w", "events": ["contact.created"], "name": "Toveis"}


async def test_a_subscription_is_enabled_by_put_where_patch_is_not_known(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.patch(f"{WEBHOOKS}/3", status=405)
    vendor.put(f"{WEBHOOKS}/3", body=b"{}")
    await client.enable_webhook("3")
    assert [(method, body) for method, _, _, body in sent(vendor)] == [
        ("PATCH", {"isActive": True}),
        ("PUT", {"isActive": True}),
    ]


async def test_a_replay_tells_how_many_deliveries_it_queued(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(f"{WEBHOOKS}/3/replay", payload={"replayed_count": "15", "message": "15 re-queued"})
    assert await client.replay_webhook("3", "2026-01-01T00:00:00Z") == 15


# Tokens


async def test_a_token_is_renewed_a_minute_before_its_end(
    session: aiohttp.ClientSession, limiter: Limiter, vendor: aioresponses
) -> None:
    now = NOW
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: now)
    vendor.get(f"{CONTACTS}/1", body=b"{}", repeat=True)
    await client.read("contact", "1")
    now = NOW + timedelta(seconds=3539)
    await client.read("contact", "1")
    assert tokens_asked(vendor) == 1
    now = NOW + timedelta(seconds=3540)
    await client.read("contact", "1")
    assert tokens_asked(vendor) == 2
    form = vendor.requests["POST", URL(TOKEN)][0].kwargs["data"]
    assert form == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "s3cret",
        "scope": "api:public",
    }


@pytest.mark.parametrize("grant", [{"expires_in": 60}, {"expires_in": "60"}, {}])
async def test_a_token_of_short_or_unsaid_life_serves_more_than_one_call(
    session: aiohttp.ClientSession, limiter: Limiter, grant: dict[str, object]
) -> None:
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)
    with aioresponses() as vendor:
        vendor.post(TOKEN, payload={"access_token": "t1", **grant})
        vendor.get(f"{CONTACTS}/1", body=b"{}", repeat=True)
        await client.read("contact", "1")
        await client.read("contact", "1")


async def test_many_callers_ask_for_one_token(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.get(f"{CONTACTS}/1", body=b"{}", repeat=True)
    await asyncio.gather(*(client.at(priority).read("contact", "1") for priority in Priority))
    assert tokens_asked(vendor) == 1


async def test_a_401_renews_the_token_once_for_all_who_met_it(
    session: aiohttp.ClientSession, limiter: Limiter
) -> None:
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)
    together = asyncio.Barrier(3)

    async def only_new(url: URL, *, headers: Mapping[str, str], **_: object) -> CallbackResult:
        await together.wait()
        if headers["Authorization"] == "Bearer new":
            return CallbackResult(status=201, body=b"{}")
        return CallbackResult(status=401)

    with aioresponses() as vendor:
        vendor.post(TOKEN, payload={"access_token": "old", "expires_in": 3600})
        vendor.post(TOKEN, payload={"access_token": "new", "expires_in": 3600})
        vendor.post(CONTACTS, callback=only_new, repeat=True)
        await asyncio.gather(*(create(client) for _ in range(3)))
        bearers = [headers["Authorization"] for _, _, headers, _ in sent(vendor)]
    assert bearers == ["Bearer old"] * 3 + ["Bearer new"] * 3


async def test_a_401_to_a_fresh_token_denies_access(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.get(f"{CONTACTS}/789", status=401, repeat=True)
    with pytest.raises(AccessDenied):
        await read(client)
    assert tokens_asked(vendor) == 2


@pytest.mark.parametrize("status", [400, 401])
async def test_a_wrong_secret_denies_access_and_is_not_shown(
    session: aiohttp.ClientSession, limiter: Limiter, status: int
) -> None:
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)
    with aioresponses() as vendor:
        vendor.post(TOKEN, status=status, payload={"error": "invalid_client"})
        with pytest.raises(AccessDenied) as denied:
            await read(client)
    assert "s3cret" not in str(denied.value)


# What an answer means


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        (read, 400, Rejected),
        (read, 403, AccessDenied),
        (read, 404, NotFound),
        (read, 409, Rejected),
        (read, 500, Retryable),
        (read, 503, Retryable),
        (read, 302, Rejected),
        (patch, 422, Rejected),
        (patch, 404, NotFound),
        (patch, 409, Rejected),
        (patch, 502, UnknownOutcome),
        (patch, 503, UnknownOutcome),
        (patch, 307, Rejected),
        (patch_if_match, 409, Stale),
        (patch_if_match, 412, Stale),
        (patch_if_match, 428, Rejected),
        (patch_if_match, 500, UnknownOutcome),
        (create, 409, Duplicate),
        (create, 412, Duplicate),
        (create, 400, Rejected),
        (create, 504, UnknownOutcome),
    ],
)
async def test_a_status_means_one_error_by_what_the_call_was_for(
    client: PropstreetClient, vendor: aioresponses, call: Call, status: int, error: type[VendorError]
) -> None:
    elsewhere = {"Location": "https://elsewhere.test/"}
    for method in (vendor.get, vendor.patch):
        method(f"{CONTACTS}/789", status=status, body="<html>", headers=elsewhere)
    vendor.post(CONTACTS, status=status, body="<html>", headers=elsewhere)
    with pytest.raises(VendorError) as raised:
        await call(client)
    assert type(raised.value) is error
    assert raised.value.status == status
    assert len(sent(vendor)) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"id":"7', b"[]", b"null", b'{"id":"\xff"}'])
@pytest.mark.parametrize(
    ("call", "error"), [(read, Retryable), (patch, UnknownOutcome), (create, UnknownOutcome)]
)
async def test_a_good_status_with_an_unreadable_record_is_no_answer(
    client: PropstreetClient, vendor: aioresponses, call: Call, error: type[VendorError], body: bytes
) -> None:
    vendor.get(f"{CONTACTS}/789", body=body)
    vendor.patch(f"{CONTACTS}/789", body=body)
    vendor.post(CONTACTS, status=201, body=body)
    with pytest.raises(VendorError) as raised:
        await call(client)
    assert type(raised.value) is error


@pytest.mark.parametrize("call", [read, patch, create])
@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "12"}, 12.0),
        (503, {"Retry-After": " 7 "}, 7.0),
        (429, {"Retry-After": "Mon, 18 May 2026 12:00:30 GMT"}, 30.0),
        (503, {"Retry-After": "Mon, 18 May 2026 11:59:00 GMT"}, 0.0),
        (429, {"Retry-After": "Mon, 18 May 2026 13:00:05 GMT", "Date": "Mon, 18 May 2026 13:00:00 GMT"}, 5.0),
        (429, {"Retry-After": "99999999"}, 3600.0),
        (429, {"Retry-After": "soon"}, 10.0),
        (429, {"Retry-After": "-5"}, 10.0),
        (429, {}, 10.0),
    ],
)
async def test_a_reached_limit_pauses_everybody_for_as_long_as_the_vendor_says(
    session: aiohttp.ClientSession,
    vendor: aioresponses,
    call: Call,
    status: int,
    headers: dict[str, str],
    seconds: float,
) -> None:
    limiter = Limiter([], 8, clock=lambda: 0.0)
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)
    vendor.get(f"{CONTACTS}/789", status=status, headers=headers)
    vendor.patch(f"{CONTACTS}/789", status=status, headers=headers)
    vendor.post(CONTACTS, status=status, headers=headers)
    with pytest.raises(RateLimited) as raised:
        await call(client)
    assert (raised.value.retry_after, raised.value.status) == (seconds, status)
    assert limiter.delay() == max(seconds, 1.0), "and then it begins slowly"


async def test_a_used_up_window_pauses_before_the_vendor_has_to_refuse(
    session: aiohttp.ClientSession, vendor: aioresponses
) -> None:
    limiter = Limiter([], 8, clock=lambda: 0.0)
    client = PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)
    vendor.get(f"{CONTACTS}/1", body=b"{}", headers={"RateLimit-Remaining": "1", "RateLimit-Reset": "45"})
    vendor.get(f"{CONTACTS}/1", body=b"{}", headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "45"})
    await client.read("contact", "1")
    assert limiter.delay() == 0.0
    await client.read("contact", "1")
    assert limiter.delay() == 45.0


async def test_a_refusal_names_the_refused_fields_and_no_value(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    problem = {
        "detail": "anna@example.se is taken",
        "errors": {
            "phone": ["+46701740605"],
            "email": ["anna@example.se is not valid"],
            "emails[0].address": [],
            "anna@example.se": [],
        },
    }
    vendor.patch(f"{CONTACTS}/789", status=400, payload=problem, content_type="application/problem+json")
    with pytest.raises(Rejected) as raised:
        await patch(client)
    assert raised.value.reason == "email, emails[0].address, phone"
    assert str(raised.value) == (
        "PATCH /api/v1/network/{records}/{id} answered 400 for email, emails[0].address, phone"
    )


async def test_no_error_text_shows_an_id_or_a_query(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.get(URL(f"{CONTACTS}/external/vitec-next/anna%40example.se", encoded=True), status=500)
    with pytest.raises(Retryable) as raised:
        await client.by_reference("contact", "vitec-next", "anna@example.se")
    assert str(raised.value) == "GET /api/v1/network/{records}/external/{namespace}/{id}: answered 500"


async def test_a_text_that_no_json_can_hold_is_not_writable(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    with pytest.raises(NotWritable):
        await client.patch("contact", "789", {"firstName": "Anna \ud83d"}, None)
    assert sent(vendor) == []


# What happens on the wire


class Vendor:
    """A server of a few lines: gives tokens, counts all other calls, and answers them as told."""

    def __init__(self, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self.calls = 0
        self._answer = answer

    async def _count(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/openid/token":
            return web.json_response({"access_token": "t1"})
        self.calls += 1
        await request.read()
        return await self._answer(request)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._count)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0]
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody wakes it")


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def stop_midway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id":')
    return await hang_up(request)


async def refuse_midway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=404, headers={"Content-Length": "1000"})
    await response.prepare(request)
    return await hang_up(request)


async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "/elsewhere"})


@pytest.mark.parametrize(
    ("answer", "call", "error", "known_status"),
    [
        (hang, read, Retryable, None),
        (hang, patch, UnknownOutcome, None),
        (hang, patch_if_match, UnknownOutcome, None),
        (hang, create, UnknownOutcome, None),
        (hang_up, patch, UnknownOutcome, None),
        (hang_up, create, UnknownOutcome, None),
        (stop_midway, read, Retryable, 200),
        (stop_midway, create, UnknownOutcome, 200),
        (refuse_midway, patch, NotFound, 404),
        (redirect, read, Rejected, 307),
        (redirect, create, Rejected, 307),
    ],
)
async def test_a_call_without_an_answer_is_sent_once_and_a_write_stays_unknown(
    session: aiohttp.ClientSession,
    limiter: Limiter,
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    call: Call,
    error: type[VendorError],
    known_status: int | None,
) -> None:
    vendor = Vendor(answer)
    calls: list[tuple[str, int | None]] = []

    def on_call(route: str, status: int | None, seconds: float) -> None:
        assert 0 < seconds < 5
        calls.append((route, status))

    async with vendor.serving() as base_url:
        client = PropstreetClient(
            session, base_url, "client", "s3cret", limiter, timeout=0.2, on_call=on_call
        )
        with pytest.raises(VendorError) as raised:
            await call(client)
        assert type(raised.value) is error
        assert base_url not in str(raised.value)
    assert vendor.calls == 1
    [(token, _), (_, status)] = calls
    assert (token, status) == ("POST /openid/token", known_status)


async def test_a_read_meeting_a_closed_connection_may_be_repeated(
    session: aiohttp.ClientSession, limiter: Limiter
) -> None:
    async with Vendor(hang_up).serving() as base_url:
        client = PropstreetClient(session, base_url, "client", "s3cret", limiter)
        with pytest.raises(Retryable):
            await read(client)


@pytest.mark.parametrize("call", [read, patch, create])
async def test_a_refused_connection_has_sent_nothing_so_even_a_write_may_be_repeated(
    limiter: Limiter, call: Call
) -> None:
    async def well(request: web.Request) -> web.StreamResponse:
        return web.json_response({"id": "789"})

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        async with Vendor(well).serving() as base_url:
            client = PropstreetClient(session, base_url, "client", "s3cret", limiter)
            await read(client)
        with pytest.raises(Retryable, match="no connection"):
            await call(client)
