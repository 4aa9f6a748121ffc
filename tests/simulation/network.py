"""The virtual network: requests travel between the daemon and the twins in virtual time, in one process.

Both ends are the real ones: the daemon's clients and the twins' senders talk to what looks like an aiohttp session,
and the twins' and the daemon's aiohttp applications answer. What leaves arrives, also when its sender has died or lost
patience meanwhile: that is how a write lands late.
"""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.simulation.loop import LIFE, VirtualLoop
from tests.simulation.truth import Call

PATIENCE: Final = 300.0
"""Seconds that a client waits which set no limit of its own."""


class Answer:
    """What a client sees of a response."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = CIMultiDictProxy(CIMultiDict(headers))
        self._body = body

    @property
    def ok(self) -> bool:
        """Not a refusal."""
        return self.status < 400

    async def read(self) -> bytes:
        """The body."""
        return self._body


@dataclass
class Weather:
    """How the network is: the shares (0..1) of requests that find nobody, are lost on the way, or crawl for `slow` s."""

    quick: float = 0.005
    refused: float = 0.0
    lost: float = 0.0
    crawling: float = 0.0
    slow: float = 90.0


class _Wire:
    """The little of a connection that a handler may touch: a twin that hangs up aborts it."""

    ssl_context = None
    peername = ("127.0.0.1", 1)
    sockname = ("127.0.0.1", 2)
    _reading_paused = False

    def __init__(self) -> None:
        self.aborted = False

    @property
    def transport(self) -> "_Wire":
        """Itself."""
        return self

    def abort(self) -> None:
        """The other end hears nothing more."""
        self.aborted = True

    def pause_reading(self) -> None:
        """The body is there already."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """The body is there already."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Nothing is known of it."""
        return default

    def is_closing(self) -> bool:
        """Whether it is down."""
        return self.aborted


class Network:
    """Who listens under which host name, and how requests get there."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self.weather = Weather()
        self.told: Callable[[Call], None] = lambda _: None
        """Hears of every call of the daemon's: when it is sent, carried out, and answered."""
        self.sent = 0
        self.broken: list[str] = []
        """What an application raised and should not have."""
        self.gate: Callable[[str], Awaitable[None]] | None = None
        self._loop = loop
        self._chance = chance
        self._calls: dict[int, Call] = {}
        self._hosts: dict[str, list[tuple[web.Application, int]]] = {}
        self._here = loop.context_of(0)

    def listen(self, host: str, app: web.Application, life: int = 0) -> None:
        """Answer at this host name, as a part of that life; of several the newest answers."""
        app.freeze()
        self._hosts.setdefault(host, []).append((app, life))

    def hang_up(self, host: str, life: int) -> None:
        """That life answers there no more."""
        self._hosts[host] = [each for each in self._hosts.get(host, ()) if each[1] != life]

    def session(self, caller: str) -> Any:
        """What looks like an aiohttp session; `caller` is daemon, vitec or propstreet."""
        return Session(self, caller)

    async def exchange(self, caller: str, request: "Request") -> Answer:
        """Carry a request there and its answer back; raises what aiohttp would."""
        if caller == "daemon" and self.gate is not None:
            await self.gate(f"send {request.method}")
        if self._strikes(self.weather.refused) or not self._hosts.get(request.url.host or ""):
            await asyncio.sleep(self._delay())
            raise aiohttp.ConnectionTimeoutError
        answer: asyncio.Future[Answer] = self._loop.create_future()
        lost, crawls = self._strikes(self.weather.lost), self._strikes(self.weather.crawling)
        call = self._noted(request) if caller == "daemon" else None
        if not lost:
            delay = self._delay() + (self._chance.uniform(1, self.weather.slow) if crawls else 0.0)
            self._loop.create_task(self._carry(request, call, delay, answer), context=self._here)
        found = await answer
        self._tell(call, answered=self._loop.now)
        if caller == "daemon" and self.gate is not None:
            await self.gate(f"received {request.method}")
        return found

    def _noted(self, request: "Request") -> int:
        url, self.sent = request.url, self.sent + 1
        self._calls[self.sent] = Call(
            self.sent,
            (url.host or "").partition(".")[0],
            request.method,
            url.path,
            url.query_string,
            request.body.decode("utf-8", "replace"),
            sent=self._loop.now,
            incarnation=LIFE.get(),
        )
        self._tell(self.sent)
        return self.sent

    def _tell(self, call: int | None, **known: Any) -> None:
        if call is not None:
            self._calls[call] = msgspec.structs.replace(self._calls[call], **known)
            self.told(self._calls[call])

    def _strikes(self, share: float) -> bool:
        return bool(share) and self._chance.random() < share

    def _delay(self) -> float:
        quick = self.weather.quick
        slower = 20.0 if self._chance.random() < 0.1 else 1.0
        return min(self._chance.uniform(0.2 * quick, slower * quick), quick + 5.0)

    async def _carry(
        self, request: "Request", call: int | None, delay: float, answer: "asyncio.Future[Answer]"
    ) -> None:
        await asyncio.sleep(delay)
        self._tell(call, processed=self._loop.now)
        found = await self._handled(request)
        self._tell(call, status=found.status if found is not None else None)
        await asyncio.sleep(self._delay())
        if answer.done():
            return
        if found is None:
            answer.set_exception(aiohttp.ServerDisconnectedError())
        else:
            answer.set_result(found)

    async def _handled(self, request: "Request") -> Answer | None:
        """The answer of whoever listens there now; None when the connection broke."""
        there = self._hosts.get(request.url.host or "")
        app, life = there[-1] if there else (None, 0)
        if app is None:
            return None
        task = self._loop.create_task(_answer(app, request, self.broken), context=self._loop.context_of(life))
        if life == 0:
            return await task
        while not task.done():  # a life may end in the middle of it, and says nothing then
            await asyncio.wait([task], timeout=1.0)
            if (app, life) not in self._hosts[request.url.host or ""]:
                return None
        return task.result()


async def _answer(app: web.Application, request: "Request", broken: list[str]) -> Answer | None:
    wire = _Wire()
    try:
        response = await app._handle(request.received(app, wire))
    except web.HTTPException as error:
        response = error
    except Exception:
        broken.append(traceback.format_exc(limit=-3))
        return Answer(500, {}, b"")
    if wire.aborted:
        return None
    body = response.body if isinstance(response, web.Response) else b""
    return Answer(response.status, response.headers, bytes(body or b""))  # type: ignore[arg-type]


@dataclass
class Request:
    """A request on its way."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes

    def received(self, app: web.Application, wire: _Wire) -> web.Request:
        """The same as the application at the other end sees it."""
        headers = CIMultiDict({"Host": self.url.authority, **self.headers})
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        raw = tuple((key.encode(), value.encode()) for key, value in headers.items())
        message = RawRequestMessage(
            self.method,
            self.url.raw_path_qs,
            HttpVersion11,
            CIMultiDictProxy(headers),
            raw,
            False,
            None,
            False,
            False,
            self.url.relative(),
        )
        payload: Any = EMPTY_PAYLOAD
        if self.body:
            payload = StreamReader(wire, 2**24, loop=asyncio.get_running_loop())  # type: ignore[arg-type]
            payload.feed_data(self.body)
            payload.feed_eof()
        return app._make_request(message, payload, wire, wire, None)  # type: ignore[arg-type]


@dataclass
class Session:
    """The part of aiohttp's client session that the daemon and the twins use."""

    network: Network
    caller: str
    closed: bool = field(default=False)

    def request(self, method: str, url: URL | str, **options: Any) -> "_Exchange":
        """A request, sent when the block is entered."""
        return _Exchange(self, method, URL(url) if isinstance(url, str) else url, options)

    def post(self, url: URL | str, **options: Any) -> "_Exchange":
        """A POST."""
        return self.request("POST", url, **options)

    async def close(self) -> None:
        """Nothing is open."""
        self.closed = True


class _Exchange:
    def __init__(self, session: Session, method: str, url: URL, options: dict[str, Any]) -> None:
        self._session = session
        headers = dict(options.get("headers") or {})
        data = options.get("data")
        if isinstance(data, Mapping):
            data = urlencode(data).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if options.get("params"):
            url = url.update_query(options["params"])
        self._request = Request(method, url, headers, data or b"")
        timeout = options.get("timeout")
        self._patience = PATIENCE if timeout is None or timeout.total is None else timeout.total

    async def __aenter__(self) -> Answer:
        async with asyncio.timeout(self._patience):
            return await self._session.network.exchange(self._session.caller, self._request)

    async def __aexit__(self, *_: object) -> None:
        return None
