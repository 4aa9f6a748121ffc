import asyncio
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.domain.errors import RateLimited, Retryable, UnknownOutcome
from daemon.vendors import http
from daemon.vendors.http import Endpoint, Route
from daemon.vendors.limiter import Limiter

GET = Route("GET", "/leads")
POST = Route("POST", "/leads", "create")


class Vendor:
    """Takes everything in and remembers what arrived: the headers and the bytes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, str], bytes]] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)
        self.says: bytes | None = None
        self.refuses: Mapping[str, str] | None = None
        self.waits = 0.0

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers, await request.read()))
        await asyncio.sleep(self.waits)
        if self.refuses is not None:
            return web.Response(status=429, headers=self.refuses)
        return web.Response(status=204) if self.says is None else web.Response(body=self.says)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.server.start_server()
    yield vendor
    await vendor.server.close()


@pytest.fixture
async def endpoint(vendor: Vendor) -> AsyncIterator[Endpoint]:
    async with aiohttp.ClientSession() as session:
        yield Endpoint(session, str(vendor.server.make_url("")), Limiter([], 5), ask=_nothing)


async def _nothing() -> None:
    """Nobody looks."""


@pytest.mark.parametrize(
    "body", [b' {"b" : 1.10,\r\n"a":"\\u00c5"}', '{"name":"Åsa"}'.encode(), b"not even JSON \xff", b""]
)
async def test_a_body_of_bytes_leaves_byte_for_byte_as_json(
    endpoint: Endpoint, vendor: Vendor, body: bytes
) -> None:
    await endpoint.call(POST, body=body)
    ((headers, arrived),) = vendor.asked
    assert arrived == body
    assert headers["Content-Type"] == "application/json"


async def test_any_other_body_leaves_as_compact_json(endpoint: Endpoint, vendor: Vendor) -> None:
    await endpoint.call(POST, body={"name": "Åsa", "at": None})
    ((headers, arrived),) = vendor.asked
    assert arrived == '{"name":"Åsa","at":null}'.encode()
    assert headers["Content-Type"] == "application/json"


async def test_a_post_without_a_body_says_that_it_has_none(endpoint: Endpoint, vendor: Vendor) -> None:
    await endpoint.call(POST)
    ((headers, arrived),) = vendor.asked
    assert arrived == b""
    assert headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (rb"\ud83c\udfe2", "🏢"),
        (rb"\uD83C\uDFE2", "🏢"),
        (rb"\ud83c", "\ufffd"),
        (rb"\udfe2", "\ufffd"),
        (rb"\ud83c\ud83c\udfe2", "\ufffd🏢"),
        (rb"\ud83c\u00c5", "\ufffdÅ"),
        (rb"\\ud83c", r"\ud83c"),
        (rb"\\\ud83c", "\\\ufffd"),
        (rb"\\ud83c\udfe2", "\\ud83c\ufffd"),
        (rb"\ud83c\\udfe2", "\ufffd\\udfe2"),
        (rb"\u0000\ud83c", "\x00\ufffd"),
    ],
)
async def test_half_a_surrogate_pair_spoils_no_answer(
    endpoint: Endpoint, vendor: Vendor, said: bytes, read: str
) -> None:
    vendor.says = b'["' + said + b'"]'
    assert (await endpoint.call(GET)).decoded(msgspec.json.Decoder(list[str])) == [read]


async def test_an_answer_nested_too_deep_is_unreadable(endpoint: Endpoint, vendor: Vendor) -> None:
    vendor.says = b"[" * 100_000 + b"]" * 100_000
    answer = await endpoint.call(GET)
    with pytest.raises(Retryable):
        answer.decoded(msgspec.json.Decoder(list[object]))


async def test_a_date_that_no_clock_shows_is_no_time_to_wait_for(endpoint: Endpoint, vendor: Vendor) -> None:
    vendor.refuses = {"Retry-After": "Mon, 18 May 99999999999999999999 12:00:30 GMT"}
    with pytest.raises(RateLimited):
        await endpoint.call(GET)


@pytest.mark.parametrize(("route", "left"), [(POST, 2.9), (POST, -1.0), (GET, -0.1)])
async def test_nothing_leaves_that_the_lease_may_not_outlast(
    vendor: Vendor, route: Route, left: float
) -> None:
    async with aiohttp.ClientSession() as session:
        base = str(vendor.server.make_url(""))
        endpoint = Endpoint(session, base, Limiter([], 5), ask=_nothing, left=lambda: left)
        with pytest.raises(Retryable, match="lease"):
            await endpoint.call(route)
    assert vendor.asked == []


async def test_a_lease_that_ends_while_a_write_waits_for_its_turn_holds_it_back(vendor: Vendor) -> None:
    left = 10.0
    limiter = Limiter([], 1)
    async with aiohttp.ClientSession() as session:
        endpoint = Endpoint(
            session, str(vendor.server.make_url("")), limiter, ask=_nothing, left=lambda: left
        )
        async with limiter.slot():
            waiting = asyncio.create_task(endpoint.call(POST))
            await asyncio.sleep(0)
            left = 0.0
        with pytest.raises(Retryable, match="lease"):
            await waiting
    assert vendor.asked == []


async def test_a_write_ends_before_the_lease_does_and_a_read_takes_its_time(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LEAST_SECONDS", 0.05)
    vendor.waits = 0.5
    async with aiohttp.ClientSession() as session:
        base = str(vendor.server.make_url(""))
        endpoint = Endpoint(session, base, Limiter([], 5), ask=_nothing, left=lambda: 0.1)
        with pytest.raises(UnknownOutcome, match="timed out"):
            await endpoint.call(POST)
        assert (await endpoint.call(GET)).status == 204
