"""A Propstreet twin on a port, a client that is logged in, and a place where its webhooks arrive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDictProxy
from standardwebhooks import Webhook as Verifier

from daemon.sandbox.twins.propstreet import PropstreetTwin, Switches
from daemon.sandbox.twins.server import RateLimit, serve

CONTACTS = "/api/v1/network/contacts"
COMPANIES = "/api/v1/network/companies"
LINKS = "/api/v1/network/links"
PROJECTS = "/api/v1/projects"
PROPERTIES = "/api/v1/properties"
WEBHOOKS = "/api/v1/webhooks"
ANNA = {"firstName": "Anna", "lastName": "Berg", "email": "anna@example.se"}


class Clock:
    """The vendor's clock, moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 18, 20, 22, 0, 959123, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Answer:
    status: int
    body: Any
    headers: CIMultiDictProxy[str]


@dataclass
class Bench:
    """A twin on a port, its clock, and a client that is logged in."""

    twin: PropstreetTwin
    clock: Clock
    base: str
    session: aiohttp.ClientSession
    token: str = ""

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Any = None, **query: str
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        async with self.session.request(
            method, self.base + path, json=body, params=query, headers=sent
        ) as answer:
            raw = await answer.read()
            return Answer(answer.status, msgspec.json.decode(raw) if raw else None, answer.headers)

    async def login(self, **changed: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.twin.client_id,
            "client_secret": self.twin.client_secret,
            "scope": "api:public",
        }
        async with self.session.post(self.base + "/openid/token", data=form | changed) as answer:
            body = await answer.json()
            self.token = body.get("access_token", "")
            return Answer(answer.status, body, answer.headers)

    async def walk(self, size: int, **query: str) -> list[str]:
        """The ids of all pages of contacts."""
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            body = (await self.call("GET", CONTACTS, page_size=str(size), **query, **cursor)).body
            ids += [row["id"] for row in body["data"]]
            if not body["page"]["hasMore"]:
                return ids
            cursor = {"cursor": body["page"]["nextCursor"]}


@dataclass
class Receiver:
    """Where webhooks arrive; it gives the next of `answers`, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)

    @property
    def events(self) -> list[str]:
        return [msgspec.json.decode(body)["type"] for body in self.bodies]

    def verified(self, secret: str, index: int = -1) -> Any:
        return Verifier(secret).verify(self.bodies[index], self.headers[index])


@asynccontextmanager
async def bench(*, limits: RateLimit | None = None, seed: int = 0, **switches: Any) -> AsyncIterator[Bench]:
    clock = Clock()
    twin = PropstreetTwin(Switches(**switches), seed=seed, clock=clock, limits=limits)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        one = Bench(twin, clock, base, session)
        await one.login()
        yield one
        await twin.close()


@asynccontextmanager
async def limited(**switches: Any) -> AsyncIterator[Bench]:
    clock = Clock()
    twin = PropstreetTwin(Switches(**switches), clock=clock)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        one = Bench(twin, clock, base, session)
        await one.login()
        yield one


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.take)
    async with serve(app) as base:
        one.url = f"{base}/hook"
        yield one
