"""The Vitec Connect twin on a port, with a client that logs in and a receiver of notifications."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import Switches, VitecConnectTwin

CUSTOMER = "M11385"
FEED = f"CRM/Contact/{CUSTOMER}"
KARI = {
    "firstName": "Kari",
    "lastName": "Åkesson",
    "email": {"emailAddress": "kari@example.se", "emailAddress2": "kari@home.test"},
    "telephone": {"cell": "070-174 06 05"},
    "address": {"streetAddress": "Storgatan 1", "city": "Östersund"},
    "note": "Söker kontor",
}
KARI_BODY = {
    "customerId": CUSTOMER,
    "firstName": "Kari",
    "lastName": "Åkesson",
    "cellPhone": "+46701740605",
    "email": {"emailAddress": "kari@example.se"},
}
FJORD = {
    "name": "Fjord Eiendom AS",
    "corporateNumber": "556677-8899",
    "homePage": "fjord.example",
    "email": {"emailAddress": "post@fjord.example"},
    "telephone": {"switch": "08-465 004 01"},
}


class Clock:
    """A clock that only the test moves."""

    def __init__(self, at: datetime = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


class Caller:
    """A client that logs in and gives (status, JSON or text) of every answer."""

    def __init__(self, session: aiohttp.ClientSession, base: str, pair: tuple[str, str]) -> None:
        self.session, self.base, self.pair = session, base, pair
        self.headers: dict[str, str] = {}

    async def call(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        login = {"Authorization": aiohttp.encode_basic_auth(*self.pair)}
        content = None if body is None else json.dumps(body)
        async with self.session.request(
            method, f"{self.base}/{path}", params=query, data=content, headers=login
        ) as answer:
            self.headers = dict(answer.headers)
            text = await answer.text()
            if answer.content_type == "application/json" and text:
                return answer.status, json.loads(text)
            return answer.status, text or None

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        return await self.call("POST", path, body)

    async def write(self, **body: Any) -> tuple[int, Any]:
        return await self.post("Contacts/UpdatePerson", {"customerId": CUSTOMER, **body})

    async def write_company(self, **body: Any) -> tuple[int, Any]:
        return await self.post("Contacts/UpdateCompany", {"customerId": CUSTOMER, **body})


@asynccontextmanager
async def running(
    *, clock: Clock | None = None, **switches: Any
) -> AsyncIterator[tuple[VitecConnectTwin, Caller]]:
    twin = VitecConnectTwin(Switches(**switches), seed=7, clock=clock or Clock())
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        try:
            yield twin, Caller(session, base, (twin.username, twin.password))
        finally:
            await twin.close()


class Receiver:
    """Takes notifications; gives the answers it was told to give, then 200."""

    def __init__(self, answers: Sequence[int] = ()) -> None:
        self.answers = list(answers)
        self.got: list[tuple[dict[str, str], str]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.app = web.Application()
        self.app.router.add_post("/in", self.take)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.query), await request.text()))
        await self.hold.wait()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def told(self) -> list[tuple[str, str | None]]:
        return [(body["event"], body["id"]) for body in self.bodies]


@asynccontextmanager
async def told(
    answers: Sequence[int] = (),
    types: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    advertised_only: bool = False,
    **switches: Any,
) -> AsyncIterator[tuple[VitecConnectTwin, Caller, Receiver]]:
    receiver = Receiver(answers)
    async with serve(receiver.app) as base, running(**switches) as (twin, api):
        twin.subscribe(f"{base}/in", types=types, statuses=statuses, advertised_only=advertised_only)
        yield twin, api, receiver
