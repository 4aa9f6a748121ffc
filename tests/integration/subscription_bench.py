"""A tenant with its open port, a Propstreet twin that delivers to it, and the keeper between them; one clock for all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec

from daemon.domain.events import Event
from daemon.domain.settings import Secret
from daemon.domain.streams import PROPSTREET
from daemon.domain.subscriptions import EVENTS, Health, path_of
from daemon.ingest.subscriptions import SubscriptionKeeper
from daemon.processor import Tenant
from daemon.sandbox.twins.propstreet import PropstreetTwin, Switches
from daemon.sandbox.twins.propstreet.webhooks import Webhook
from daemon.sandbox.twins.server import serve
from daemon.storage import subscriptions
from daemon.storage.listener import POLLS, Listener
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import PropstreetClient
from tests.conftest import eventually
from tests.integration.annals import SETTINGS, TENANT, tenant_settings
from tests.integration.ground import tenant_at, whole_log
from tests.integration.open_port import Port, serving

FOREIGN: Final = ("http://127.0.0.1:9/somebody/else", ["company.deleted"])
"""A webhook of another program of the same client."""


class Clock:
    """The real time, moved forward by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_(self, **time: float) -> None:
        self.ahead += timedelta(**time)


@dataclass
class Scene:
    """What a test of subscriptions plays with."""

    dsn: str
    clock: Clock
    tenant: Tenant
    twin: PropstreetTwin
    port: Port
    client: PropstreetClient
    keeper: SubscriptionKeeper
    asked: list[str] = field(default_factory=list)
    """Who asked the polls to look at once."""

    @property
    def address(self) -> str:
        return self.port.url + path_of(PROPSTREET, TENANT)

    @property
    def ours(self) -> list[Webhook]:
        """What stands at our address."""
        return [hook for hook in self.twin.webhooks.all.values() if hook.url == self.address]

    @property
    def others(self) -> list[tuple[str, list[str], bool]]:
        """What does not."""
        hooks = self.twin.webhooks.all.values()
        return [(hook.url, hook.events, hook.active) for hook in hooks if hook.url != self.address]

    def calls(self, method: str, end: str) -> int:
        """How often the API was called so."""
        found = self.twin.journal.reads.items()
        return sum(times for (verb, path), times in found if verb == method and path.endswith(end))

    async def look(self, **later: float) -> None:
        """One look, perhaps so much later."""
        self.clock.pass_(**later)
        await self.keeper.tick()

    async def health(self, vendor: str = PROPSTREET) -> Health:
        async with self.tenant.connection() as conn:
            return (await subscriptions.healths(conn, TENANT))[vendor]

    async def secrets(self) -> dict[str, str]:
        """What the table of credentials holds."""
        async with self.tenant.connection() as conn:
            found = await subscriptions.secrets(conn, TENANT)
        return {webhook: secret.reveal() for webhook, secret in found.items()}

    async def typed(self, name: str) -> str:
        """Somebody types in a contact at Propstreet, who tells whom it will; the contact's id."""
        contact = self.twin.create("contact", firstName=name)
        await self.twin.settled()
        return contact

    async def stored(self) -> list[Event]:
        """What came in."""
        return [event for event in await whole_log(self.dsn) if event.origin == PROPSTREET]

    async def arrives(self, name: str) -> bool:
        """Whether what somebody types in comes through the open port."""
        contact = await self.typed(name)
        return any(event.stream == f"contact:propstreet:{contact}" for event in await self.stored())

    async def polls_asked(self) -> None:
        """Wait until the polls were asked to look at once."""
        await eventually(lambda: self.asked)


def settings_of(**changes: Any) -> Any:
    """The tenant's settings, with Propstreet's changed; without a secret of a webhook."""
    propstreet = msgspec.structs.replace(SETTINGS.propstreet, **{"webhook_secret": None, **changes})
    return tenant_settings(propstreet=propstreet)


@asynccontextmanager
async def scene(
    dsn: str,
    *,
    secret: str | None = None,
    switches: Switches | None = None,
    known: bool = True,
    mode: Any = "live",
) -> AsyncIterator[Scene]:
    """Everything up. `secret` is configured; `known` False: nobody said how we can be reached."""
    clock, session = Clock(), aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    async with AsyncExitStack() as stack:
        tenant = await stack.enter_async_context(tenant_at(dsn, clock=clock))
        tenant.settings = settings_of(webhook_secret=None if secret is None else Secret(secret))
        tenant.clock, tenant.mode = clock, mode
        port = await stack.enter_async_context(serving(tenant, dsn=dsn))
        twin = PropstreetTwin(switches or Switches(ps12=(3600.0,) * 8), clock=clock, limits=None)
        stack.push_async_callback(twin.close)
        base = await stack.enter_async_context(serve(twin.app))
        await stack.enter_async_context(session)
        client = PropstreetClient(
            session, base, twin.client_id, twin.client_secret, Limiter([], 5), clock=clock
        )
        twin.add_webhook(*FOREIGN)
        address = port.url + path_of(PROPSTREET, TENANT) if known else None
        keeper = SubscriptionKeeper(tenant, client, address)
        await keeper.start()
        one = Scene(dsn, clock, tenant, twin, port, client, keeper)
        ready = asyncio.Event()
        listener = Listener(
            dsn, lambda channel, _: one.asked.append(channel) if channel == POLLS else ready.set()
        )
        listening = asyncio.create_task(listener.run())
        stack.callback(listening.cancel)
        await _listened(tenant, ready)
        yield one


async def _listened(tenant: Tenant, ready: asyncio.Event) -> None:
    """Whoever listens has heard something: from now on nothing escapes."""

    async def heard() -> bool:
        async with tenant.connection() as conn:
            await conn.execute(f"NOTIFY toveis_views, '{tenant.name}'")
        return ready.is_set()

    await eventually(heard)


def complete(hook: Webhook) -> bool:
    """It is on and brings everything."""
    return hook.active and set(EVENTS) <= set(hook.events)
