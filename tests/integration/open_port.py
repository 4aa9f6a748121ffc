"""The open port as the vendors see it from outside: served on a real socket, with a tenant behind it."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import count
from typing import Any, Final

import aiohttp
from aiohttp import web
from yarl import URL

from daemon.domain.events import Event
from daemon.domain.settings import Secret
from daemon.ingest.http import Reasons, Receiver
from daemon.ingest.leads import LeadReceiver, Sources
from daemon.processor import Tenant
from tests.integration.annals import TENANT
from tests.integration.ground import whole_log

KEY: Final = b"toveis-tests-key"
SECRET: Final = "way-in"
numbers = count(1)


class Port:
    """The served receiver, from outside."""

    def __init__(self, url: str, session: aiohttp.ClientSession, dsn: str) -> None:
        self.url = url
        self.session = session
        self.dsn = dsn
        self.retry_after: str | None = None

    async def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> int:
        return (await self.ask("POST", path, body, headers))[0]

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        status, text = await self.ask("GET", path, None, headers)
        return status, text.decode()

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request; the status and the body of its answer."""
        data = None if body is None else BytesIO(body)
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=headers) as answer:
            self.retry_after = answer.headers.get("Retry-After")
            return answer.status, await answer.read()

    async def deliver(self, body: bytes, *, tenant: str = TENANT, **changes: Any) -> int:
        """A Propstreet delivery; `changes` as in `headers`."""
        return await self.post(f"/webhooks/propstreet/{tenant}", body, headers(body, **changes))

    async def notify(
        self, body: bytes = b"", query: str = "", *, secret: str = SECRET, tenant: str = TENANT
    ) -> int:
        """A Vitec notification."""
        return await self.post(f"/webhooks/vitec/{tenant}/{secret}{query and '?' + query}", body)

    async def stored(self) -> list[Event]:
        return await whole_log(self.dsn)


def headers(
    body: bytes,
    *,
    key: bytes = KEY,
    delivery: str | None = None,
    age: int = 0,
    before: str = "",
    test: str = "",
) -> dict[str, str]:
    """Standard Webhooks headers; `age` in seconds, `before` goes in front of the right signature."""
    delivery = delivery or f"msg_{next(numbers)}"
    at = str(int(time.time()) - age)
    mac = hmac.new(key, f"{delivery}.{at}.".encode() + body, hashlib.sha256).digest()
    signed = {
        "webhook-id": delivery,
        "webhook-timestamp": at,
        "webhook-signature": f"{before}v1,{base64.b64encode(mac).decode()}",
    }
    return signed | ({"X-Propstreet-Test": test} if test else {})


async def none() -> list[Any]:
    """No reasons, no lead sources."""
    return []


@asynccontextmanager
async def serving(
    *tenants: Tenant,
    dsn: str,
    reasons: Reasons = none,
    sources: Callable[[str], Sources] = lambda _: none,
    token: str | None = None,
) -> AsyncIterator[Port]:
    """The receiver of some tenants; `sources` gives for a tenant's name what asks for its lead sources."""
    named = {tenant.name: tenant for tenant in tenants}
    leads = LeadReceiver(
        named, {name: sources(name) for name in named}, None if token is None else Secret(token)
    )
    runner = web.AppRunner(Receiver(named, reasons, leads).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            host, number = runner.addresses[0][:2]
            yield Port(f"http://{host}:{number}", session, dsn)
    finally:
        await runner.cleanup()
