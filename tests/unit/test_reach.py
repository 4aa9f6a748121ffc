"""A vendor that does not answer is left alone by everybody but one who looks, and called again soon after it is back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.domain.breaker import ENOUGH
from daemon.domain.errors import AccessDenied, RateLimited, Rejected, Retryable, VendorAway, VendorError
from daemon.vendors.http import Endpoint, Route
from daemon.vendors.limiter import Limiter
from daemon.vendors.reach import PATIENCE, Reach
from tests.conftest import eventually

READ, WRITE, ASK = Route("GET", "/read"), Route("POST", "/write", "write"), Route("GET", "/ask")


class Vendor:
    """Answers with a status, or does not answer; it remembers what arrived."""

    def __init__(self) -> None:
        self.says: int | None = 200
        self.poisoned: set[str] = set()
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        await self.gate.wait()
        status = 500 if request.path in self.poisoned else self.says
        if status is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=status, headers={"Retry-After": "0"} if status == 429 else {})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """An endpoint, and calls that are expected to fail."""

    def __init__(self, session: aiohttp.ClientSession, vendor: Vendor) -> None:
        self.vendor, self.clock = vendor, Clock()
        self.reach = Reach(clock=self.clock, chance=lambda: 0.0)
        limiter = Limiter([], 20, reach=self.reach)
        self.endpoint = Endpoint(session, str(vendor.server.make_url("")), limiter, ask=self._ask)

    async def _ask(self) -> None:
        await self.endpoint.call(ASK)

    async def fails(self, route: Route = READ) -> VendorError:
        with pytest.raises(VendorError) as raised:
            await self.endpoint.call(route)
        return raised.value

    async def goes_away(self, says: int | None = 500) -> None:
        self.vendor.says = says
        for _ in range(ENOUGH):
            await self.fails()
        assert self.reach.breaker.since is not None
        self.vendor.asked.clear()

    def later(self) -> None:
        """It is time to look."""
        self.clock.now = self.reach.breaker.next_look + 0.001


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    vendor = Vendor()
    await vendor.server.start_server()
    async with aiohttp.ClientSession() as session:
        yield Desk(session, vendor)
    await vendor.server.close()


@pytest.mark.parametrize("says", [500, 502, None])
async def test_nobody_calls_a_vendor_that_is_away(desk: Desk, says: int | None) -> None:
    await desk.goes_away(says)
    for route in (READ, WRITE):
        error = await desk.fails(route)
        assert isinstance(error, VendorAway)
        assert 0.0 < error.retry_after <= 1.0
    assert desk.vendor.asked == []


@pytest.mark.parametrize(
    ("says", "error"), [(400, Rejected), (404, Rejected), (403, AccessDenied), (429, RateLimited)]
)
async def test_a_vendor_that_refuses_is_there(desk: Desk, says: int, error: type[VendorError]) -> None:
    desk.vendor.says = says
    for _ in range(ENOUGH + 1):
        assert isinstance(await desk.fails(), error)
        desk.clock.now += 10.0
    assert desk.reach.breaker.since is None


async def test_when_it_is_time_one_looks_and_the_call_that_came_goes_on(desk: Desk) -> None:
    await desk.goes_away()
    desk.vendor.says = 200
    desk.later()
    await desk.endpoint.call(WRITE)
    assert desk.vendor.asked == ["/ask", "/write"]


async def test_a_look_that_fails_sends_nothing_else_and_the_next_is_later(desk: Desk) -> None:
    await desk.goes_away()
    waits = []
    for _ in range(4):
        desk.later()
        assert isinstance(await desk.fails(WRITE), VendorAway)
        waits.append(desk.reach.breaker.delay(desk.clock()))
    assert desk.vendor.asked == ["/ask"] * 4
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


async def test_of_many_who_come_one_looks(desk: Desk) -> None:
    await desk.goes_away()
    desk.later()
    desk.vendor.says = 200
    desk.vendor.gate.clear()
    many: list[Awaitable[Any]] = [asyncio.ensure_future(desk.endpoint.call(READ)) for _ in range(9)]
    await eventually(lambda: desk.vendor.asked)
    assert isinstance(await desk.fails(), VendorAway)
    desk.vendor.gate.set()
    ended = await asyncio.gather(*many, return_exceptions=True)
    assert sum(isinstance(each, VendorAway) for each in ended) == 8
    assert desk.vendor.asked == ["/ask", "/read"]


async def test_a_call_that_is_broken_by_itself_never_keeps_a_live_vendor_away(desk: Desk) -> None:
    desk.vendor.poisoned = {"/read"}
    refused = 0
    for _ in range(200):
        desk.clock.now += 0.5
        refused += isinstance(await desk.fails(READ), VendorAway)
        try:
            await desk.endpoint.call(WRITE)
        except VendorAway:
            refused += 1
    assert refused == 0, "what is answered in between shows that the vendor is there"
    for _ in range(200):  # and where nothing else is called, a look tells
        desk.clock.now += 0.5
        await desk.fails(READ)
        assert desk.reach.breaker.delay(desk.clock()) <= 1.0


async def test_who_hangs_does_not_keep_the_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.vendors.reach.PATIENCE", 0.05)
    await desk.goes_away()
    desk.vendor.gate.clear()
    desk.later()
    assert isinstance(await desk.fails(), VendorAway)
    assert desk.reach.breaker.delay(desk.clock()) > 0.0
    desk.vendor.gate.set()
    desk.vendor.says = 200
    desk.later()
    await desk.endpoint.call(READ)
    assert desk.reach.breaker.since is None


def test_a_look_takes_less_patience_than_a_call() -> None:
    assert PATIENCE < 30.0


async def test_what_waited_for_the_limiter_while_the_vendor_went_away_is_not_sent(desk: Desk) -> None:
    limiter = Limiter([], 1, reach=desk.reach)
    session = desk.endpoint._session
    narrow = Endpoint(session, str(desk.vendor.server.make_url("")), limiter, ask=desk._ask)
    desk.vendor.says = 500
    ended = await asyncio.gather(*(narrow.call(READ) for _ in range(ENOUGH + 7)), return_exceptions=True)
    assert [type(each) for each in ended] == [Retryable] * ENOUGH + [VendorAway] * 7
    assert len(desk.vendor.asked) == ENOUGH


async def test_only_a_write_keeps_its_exchange(desk: Desk) -> None:
    desk.vendor.says = 400
    assert (await desk.fails(READ)).exchange is None
    with pytest.raises(Rejected) as raised:
        await desk.endpoint.call(WRITE, body={"phone": "1"}, headers={"Authorization": "Bearer hush-hush"})
    kept = raised.value.exchange
    assert kept is not None
    assert (kept.method, kept.path, kept.status, kept.body) == ("POST", "/write", 400, '{"phone":"1"}')
    assert "hush" not in repr(kept)
    with pytest.raises(Rejected) as raised:
        await desk.endpoint.call(WRITE, form={"client_secret": "hush-hush"})
    assert raised.value.exchange is not None
    assert "hush" not in repr(raised.value.exchange)
