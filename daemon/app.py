"""The composition root: settings in, the running parts out. They stop upstream first, so that nothing is left half-done."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
from aiohttp import web

from daemon.clients import Limiters, Vendors
from daemon.deliver import Deliverer, PropstreetTarget, VitecConnectTarget
from daemon.deliver.vitec_hub import VitecHubTarget
from daemon.domain.capabilities import available
from daemon.domain.errors import ConfigError
from daemon.domain.settings import Settings
from daemon.domain.subscriptions import address_of
from daemon.incarnation import Keeper, MarkFile
from daemon.ingest.estates import VitecEstatePoller, VitecRelationPoller
from daemon.ingest.fetches import PropstreetFetcher, VitecConnectFetcher
from daemon.ingest.http import Receiver
from daemon.ingest.hub import VitecHubFetcher, VitecHubPoller
from daemon.ingest.joined import PropstreetNotePoller, VitecLinkPoller, VitecNotePoller
from daemon.ingest.leads import LeadReceiver
from daemon.ingest.polls import PropstreetPoller, PropstreetProspectPoller, VitecConnectPoller
from daemon.ingest.subscriptions import SubscriptionKeeper
from daemon.instance import instance
from daemon.lookout import Lookout
from daemon.metrics import Tallies
from daemon.notify import SILENT, Notifier
from daemon.policies.plan import direction
from daemon.processor import Tenant, options_of
from daemon.project import Projector, refold
from daemon.pulse import Work
from daemon.react import Reactor
from daemon.reconcile import Auditor
from daemon.reloading import Reloader
from daemon.service import Service
from daemon.storage import leases, rebuild
from daemon.storage import log as event_log
from daemon.storage.appender import Appender
from daemon.storage.connection import Connection, open_pool, owner, unreachable
from daemon.storage.leases import Lease
from daemon.storage.listener import EVENTS, LEASES, POLLS, READS, RETRIES, VIEWS, Listener
from daemon.telemetry import log
from daemon.tenancy import Crew, Holder
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_hub.client import VitecHubClient
from daemon.watch import Watch
from daemon.watchdog import Watchdog

STEP: Final = 300
"""Seconds that the service manager is asked for after each page of a rebuild: the views are written after the last."""


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def boot_time() -> float:
    """Seconds that run on while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def warnings(settings: Settings) -> list[str]:
    """What an operator should know about a configuration that is right as it is."""
    found = []
    if settings.http.lead_token is None:
        found.append("http.lead_token: without it anybody who reaches /lead can post a lead")
    if settings.http.public_url is None:
        found.append("http.public_url: without it Propstreet's webhook is neither registered nor watched")
    for tenant in settings.tenants:
        if tenant.vitec.product == "hub":
            found.append(
                f"tenants[{tenant.name}]: of Vitec Next (Hub) only estates are read, and nothing is written;"
                " all else is not available there"
            )
        elif tenant.vitec.webhook_secret is None:
            found.append(
                f"tenants[{tenant.name}].vitec.webhook_secret: without it no notification is taken in"
            )
        if tenant.propstreet.webhook_secret is None and settings.http.public_url is None:
            found.append(
                f"tenants[{tenant.name}].propstreet.webhook_secret: without it, or http.public_url,"
                " only polls bring changes"
            )
        if tenant.sync.website_custom_field:
            found.append(f"tenants[{tenant.name}].sync.website_custom_field: not read by this version")
    return found


class Daemon:
    """The running parts: what runs for the daemon as a whole, and for each tenant that it has."""

    reloader: Reloader

    def __init__(
        self, keepers: Sequence[Service], holder: Holder, appenders: Sequence[Appender] = ()
    ) -> None:
        self.holder = holder
        self.port = 0
        self._appenders = appenders
        self._crew = Crew([*keepers, holder])

    @property
    def services(self) -> list[Service]:
        """Everything that runs, upstream first."""
        return [*self.holder.services, *self._crew.services]

    @property
    def works(self) -> list[Work]:
        """Whatever may be under way."""
        ours = [appender.work for appender in self._appenders]
        return [*ours, *(service.work for service in self._crew.services), *self.holder.works]

    async def failure(self) -> None:
        """Wait until a stage ends with an error, and raise it."""
        await self._crew.failure()

    def heard(self, channel: str, tenant: str) -> None:
        """Wake who waits for what was just committed, of those that run here."""
        if channel == LEASES:
            self.holder.wake.set()
        for service in self.services:
            if service.tenant != tenant:
                continue
            if channel == RETRIES:
                service.rouse()
            elif channel in WAKES.get(type(service), ()):
                service.wake.set()

    async def drain(self) -> None:
        """Stop upstream first, let others have the tenants; what is under way comes to its outcome, within `DRAIN`."""
        await self.holder.close()
        await self._crew.drain()


WAKES: Final[dict[type[Service], tuple[str, ...]]] = {
    Projector: (EVENTS,),
    Reactor: (VIEWS, READS),
    Deliverer: (VIEWS, READS),
    VitecConnectPoller: (POLLS,),
    VitecEstatePoller: (POLLS,),
    VitecRelationPoller: (POLLS,),
    VitecLinkPoller: (POLLS,),
    VitecNotePoller: (POLLS,),
    PropstreetNotePoller: (POLLS,),
    PropstreetPoller: (POLLS,),
    PropstreetProspectPoller: (POLLS,),
    VitecHubPoller: (POLLS,),
    VitecConnectFetcher: (VIEWS,),
    VitecHubFetcher: (VIEWS,),
    PropstreetFetcher: (VIEWS,),
}


@asynccontextmanager
async def running(
    settings: Settings, dsn: str, *, alone: bool = False, notifier: Notifier = SILENT
) -> AsyncIterator[Daemon]:
    """Everything up, and down again in the right order. The open port comes first: nothing sent to us is lost.

    Only which log this is must be known before that. Nobody else uses the database of a daemon that is `alone`.
    """
    async with AsyncExitStack() as stack:
        me = stack.enter_context(instance(Path(settings.database.data_dir), uuid4()))
        pool = await open_pool(dsn, size=6 + 4 * len(settings.tenants))
        stack.push_async_callback(pool.close)
        apart = await open_pool(dsn, size=1)  # a lease is renewed however busy the stages are
        stack.push_async_callback(apart.close)
        tenants: dict[str, Tenant] = {}
        tallies = Tallies()
        keepers: list[Keeper] = []
        for each in settings.tenants:
            appender = Appender(pool, each.name, clock=utc_now)
            await appender.start()
            stack.push_async_callback(appender.stop)
            tenants[each.name] = tenant = Tenant(
                available(each), settings.mode, pool, appender, utc_now, tallies=tallies
            )
            keepers.append(Keeper(tenant, MarkFile(Path(settings.database.data_dir), each.name)))
            await keepers[-1].recognise()
            stack.push_async_callback(keepers[-1].close)
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        limiters = Limiters()
        stack.push_async_callback(limiters.settle)
        vendors = {name: Vendors(tenant, session, limiters) for name, tenant in tenants.items()}
        watch = Watch(dsn, tenants, vendors, tallies, utc_now, time.monotonic)
        port = await stack.enter_async_context(_port(settings, tenants, vendors, watch, tallies))
        await _refold(settings, dsn, None if alone else me, notifier)

        async def begin(lease: Lease) -> Sequence[Service]:
            address = address_of(settings.http.public_url, lease.tenant)
            return await begun(tenants[lease.tenant].under(lease), session, limiters, address)

        name, watchdog = f"{gethostname()}:{port}", Watchdog(notifier)
        holder = Holder(
            me,
            name,
            list(tenants),
            partial(_connection, apart),
            begin,
            ticks=boot_time,
            fresh=uuid4,
            alone=alone,
            each_round=lambda: watchdog.look(daemon.works),
        )
        watch.tenancies = holder.tenancies
        daemon = Daemon(keepers, holder, [tenant.appender for tenant in tenants.values()])
        daemon.port = port
        daemon.reloader = Reloader(settings, tenants, limiters, holder)
        listening = asyncio.create_task(Listener(dsn, daemon.heard).run())
        stack.callback(listening.cancel)
        try:
            yield daemon
        finally:
            await daemon.drain()


@asynccontextmanager
async def _connection(pool: Any) -> AsyncIterator[Connection]:
    async with unreachable(), pool.acquire() as conn:
        yield conn


async def begun(
    tenant: Tenant, session: aiohttp.ClientSession, limiters: Limiters, address: str | None
) -> list[Service]:
    """What runs for a tenant under its lease, upstream first, on views that were folded as we fold.

    `address` is where Propstreet shall deliver.
    """
    await refold(tenant)
    return stages(tenant, Vendors(tenant, session, limiters), address)


@asynccontextmanager
async def _port(
    settings: Settings,
    tenants: dict[str, Tenant],
    vendors: dict[str, Vendors],
    watch: Watch,
    tallies: Tallies,
) -> AsyncIterator[int]:
    leads = LeadReceiver(
        tenants, {name: each.lead_sources for name, each in vendors.items()}, settings.http.lead_token
    )
    receiver = Receiver(tenants, watch.reasons, leads, watch.metrics, tallies)
    runner = web.AppRunner(receiver.app(), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    site = web.TCPSite(runner, settings.http.host, settings.http.port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError([f"http.port: cannot listen on {settings.http.port} ({error.strerror})"]) from error
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _refold(settings: Settings, dsn: str, me: UUID | None, notifier: Notifier = SILENT) -> None:
    """Rebuild the views when what they were folded with has changed, or they are those of another version.

    Only as long as nobody but `me` works on them (None: nobody can); else what is stale of a tenant is folded anew by
    whoever takes it (`refold`).
    Raises ConfigError when the views of another daemon would not do here.
    """

    def progress(done: int, of: int) -> None:
        text = f"rebuilding the views: {done} of {of} events"
        notifier.status(text, f"EXTEND_TIMEOUT_USEC={STEP * 1_000_000}")

    options = {tenant.name: options_of(tenant) for tenant in settings.tenants}
    login = settings.database.migrate_dsn
    async with owner(dsn if login is None else login.reveal()) as conn:
        await rebuild.wait_for_turn(conn)
        fits = await rebuild.fits(conn)
        if me is not None and await leases.others(conn, me):
            if not fits:
                raise ConfigError(["database.dsn: a daemon of another version works there; stop it first"])
            return
        heads = {name: await event_log.head(conn, name) for name in options}
        stale = [
            name for name, each in options.items() if heads[name] and await rebuild.is_stale(conn, name, each)
        ]
        if stale or not fits:
            log.info("app.rebuilding_views", events=sum(heads.values()))
            await rebuild.rebuild(conn, options, progress=progress)


def stages(tenant: Tenant, vendors: Vendors, address: str | None) -> list[Service]:
    """One tenant's stages, upstream first; `address` is where Propstreet shall deliver."""
    vitec, propstreet = vendors.vitec, vendors.propstreet
    keeper = SubscriptionKeeper(tenant, propstreet, address)
    if isinstance(vitec, VitecHubClient):
        return [keeper, *_hub_services(tenant, vitec, propstreet), Lookout(tenant, vendors.reaches)]
    return [
        keeper,
        *_polls(tenant, vitec, propstreet),
        VitecConnectFetcher(tenant, vitec),
        PropstreetFetcher(tenant, propstreet),
        Auditor(tenant, vitec, propstreet),
        Reactor(tenant),
        Deliverer(tenant, {"vitec": VitecConnectTarget(vitec), "propstreet": PropstreetTarget(propstreet)}),
        Projector(tenant),
        Lookout(tenant, vendors.reaches),
    ]


def _hub_services(tenant: Tenant, vitec: VitecHubClient, propstreet: PropstreetClient) -> list[Service]:
    """The same stages with a tenant of the Hub, of which only estates are known."""
    polls: list[Service] = []
    if direction(tenant.settings.sync, "project") != "off":
        polls = [VitecHubPoller(tenant, vitec), PropstreetPoller(tenant, propstreet, "project")]
    return [
        *polls,
        VitecHubFetcher(tenant, vitec),
        PropstreetFetcher(tenant, propstreet),
        Auditor(tenant, vitec, propstreet),
        Reactor(tenant),
        Deliverer(tenant, {"vitec": VitecHubTarget(), "propstreet": PropstreetTarget(propstreet)}),
        Projector(tenant),
    ]


def _polls(tenant: Tenant, vitec: VitecConnectClient, propstreet: PropstreetClient) -> list[Service]:
    """The polls of what is synced; contacts and companies are always known, for all else is about them."""
    sync = tenant.settings.sync
    polls: list[Service] = [
        VitecConnectPoller(tenant, vitec),
        PropstreetPoller(tenant, propstreet, "contact"),
        PropstreetPoller(tenant, propstreet, "company"),
    ]
    if direction(sync, "project") != "off":
        polls += [
            VitecEstatePoller(tenant, vitec),
            PropstreetPoller(tenant, propstreet, "project"),
            PropstreetPoller(tenant, propstreet, "property"),
        ]
    if direction(sync, "prospect") != "off":
        polls += [VitecRelationPoller(tenant, vitec), PropstreetProspectPoller(tenant, propstreet)]
    if direction(sync, "link") != "off":
        polls += [VitecLinkPoller(tenant, vitec), PropstreetPoller(tenant, propstreet, "link")]
    if direction(sync, "note") != "off":
        polls += [VitecNotePoller(tenant, vitec), PropstreetNotePoller(tenant, propstreet)]
    return polls
