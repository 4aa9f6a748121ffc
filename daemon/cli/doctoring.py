"""What `toveis doctor` gathers; what it means is decided in `policies.checking`."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiohttp
import msgspec

from daemon import telemetry
from daemon.app import utc_now, warnings
from daemon.cli.opening import load, served
from daemon.clients import Limiters, Vendors
from daemon.domain.capabilities import available
from daemon.domain.errors import (
    AccessDenied,
    ConfigError,
    RateLimited,
    StorageError,
    UsageError,
    VendorError,
)
from daemon.domain.settings import Settings, TenantSettings
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.domain.subscriptions import Health, State, address_of, path_of
from daemon.ingest.subscriptions import SubscriptionKeeper
from daemon.policies import checking
from daemon.policies.checking import Answered, Check, Reached, ago
from daemon.processor import Tenant, options_of
from daemon.storage import checking as facts
from daemon.storage import leases, log, migrations, rebuild, subscriptions, views
from daemon.storage.appender import Appender
from daemon.storage.connection import Connection, open_pool, owner

PATIENCE: Final = 15.0
"""Seconds for one vendor, and for our own address."""

IN_THE_DATABASE: Final = ["migrations", "append-only", "views", "log", "first sync"]
AT_THE_VENDORS: Final = ["credentials", "clocks", "subscriptions"]


def checks(config_file: Path | None) -> Iterator[Check]:
    """Every check, in the order in which one would mend them."""
    telemetry.setup("error")
    yield checking.time_zones(known=_knows_time_zones())
    try:
        settings = load(config_file, secrets=True)
    except ConfigError as error:
        yield from checking.configuration(error.problems, [])
        return
    yield from checking.configuration([], warnings(settings))
    yield _disk(Path(settings.database.data_dir))
    if settings.database.dsn is None:
        yield checking.embedded(root=os.geteuid() == 0)
    try:
        with served(settings) as (dsn, server):
            yield from asyncio.run(_all(settings, dsn, embedded=server is not None))
    except (
        StorageError,
        UsageError,
    ) as error:  # also where it cannot be reached, or is that of a newer version
        advice = "start it, or correct database.dsn; `postgres.log` in data_dir tells of the embedded one"
        yield Check("database", None, "failed", str(error), advice)
        yield from checking.not_looked_at([*IN_THE_DATABASE, *AT_THE_VENDORS], "there is no database")


def _knows_time_zones() -> bool:
    try:
        ZoneInfo("Europe/Stockholm")
    except ZoneInfoNotFoundError:
        return False
    return True


def _disk(data_dir: Path) -> Check:
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    usage = shutil.disk_usage(place)
    return checking.disk(str(place), usage.free, usage.total)


async def _all(settings: Settings, dsn: str, *, embedded: bool) -> list[Check]:
    return [check async for check in _gathered(settings, dsn, embedded=embedded)]


async def _gathered(settings: Settings, dsn: str, *, embedded: bool) -> AsyncIterator[Check]:
    if embedded:  # as every command does
        await migrations.migrate(dsn)
    async with owner(dsn) as conn:
        yield checking.database(*msgspec.structs.astuple(await facts.server(conn)))
        lacking = await migrations.missing(conn)
        yield checking.migrations(lacking)
        if lacking:
            others = [*IN_THE_DATABASE[1:], *AT_THE_VENDORS]
            for each in checking.not_looked_at(others, "migrations are missing"):
                yield each
            yield await _public_url(settings, runs=False)
            return
        guard = await facts.guard(conn)
        yield checking.append_only(member=guard.member, may=guard.may, triggers=guard.triggers)
        fits, runs = await rebuild.fits(conn), False
        for tenant in settings.tenants:
            here = await _runs(conn, tenant.name)
            runs = runs or here
            async for check in _of_database(conn, tenant, fits=fits, runs=here):
                yield check
        healths = {tenant.name: await subscriptions.healths(conn, tenant.name) for tenant in settings.tenants}
    yield await _public_url(settings, runs=runs)
    if not guard.member:
        for each in checking.not_looked_at(AT_THE_VENDORS, "the calls could not be put on record"):
            yield each
        return
    async for check in _vendors(settings, dsn, healths):
        yield check


async def _runs(conn: Connection, tenant: str) -> bool:
    """Whether a daemon has the tenant."""
    tenure = await leases.tenure(conn, tenant)
    return tenure is not None and tenure.live


async def _of_database(
    conn: Connection, tenant: TenantSettings, *, fits: bool, runs: bool
) -> AsyncIterator[Check]:
    head = await facts.head(conn, tenant.name)
    yield checking.log(tenant.name, head.position, head.missing, head.unreadable)
    stale = fits and head.position > 0 and await rebuild.is_stale(conn, tenant.name, options_of(tenant))
    behind = await log.head(conn, tenant.name) - await views.position(conn, tenant.name) if fits else 0
    yield checking.views(tenant.name, fits=fits, stale=stale, behind=behind, runs=runs)
    if fits:
        waiting = sum((await views.waiting(conn, tenant.name)).values())
        yield checking.first_sync(tenant.name, waiting if tenant.sync.first_sync == "wait" else 0)


# -- our own address


async def _public_url(settings: Settings, *, runs: bool) -> Check:
    url = settings.http.public_url
    if url is None:
        return checking.public_url(None, "unasked")
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return checking.public_url(url, "unresolved")
    reached, said = await _reached(url, settings.tenants[0].name)
    return checking.public_url(url, reached, said, runs=runs)


async def _reached(url: str, tenant: str) -> tuple[Reached, str]:
    """Who answers there. A proxy may keep /healthz to itself: then the port of webhooks, which takes no GET, tells."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(f"{url}/healthz", allow_redirects=False) as answer:
                if answer.status == 200 and (await answer.content.read(16)) == b"ok":
                    return "daemon", ""
            async with session.get(url + path_of(PROPSTREET, tenant), allow_redirects=False) as answer:
                if answer.status == 405 and answer.headers.get("Allow") == "POST":
                    return "daemon", ""
                return "stranger", f"it says {answer.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return "nobody", type(error).__name__


# -- the vendors


async def _vendors(
    settings: Settings, dsn: str, healths: dict[str, dict[str, Health]]
) -> AsyncIterator[Check]:
    """A call to each vendor of each tenant, within the limits that a running daemon keeps too."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(dsn, size=3))
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        limiters = Limiters()
        stack.push_async_callback(limiters.settle)
        for chosen in settings.tenants:
            at = Tenant(available(chosen), settings.mode, pool, Appender(pool, chosen.name), utc_now)
            vendors = Vendors(at, session, limiters)
            address = address_of(settings.http.public_url, chosen.name)
            for vendor, client in ((VITEC, vendors.vitec), (PROPSTREET, vendors.propstreet)):
                answer, said = await _asked(client.ask)
                yield checking.credentials(chosen.name, vendor, answer, said)
                if answer != "away":
                    yield checking.clock(chosen.name, vendor, vendors.reaches[vendor].skew)
            keeper = SubscriptionKeeper(at, vendors.propstreet, address)
            async for check in _subscriptions(chosen, keeper, address, healths[chosen.name], answer):
                yield check


async def _asked(ask: Callable[[], Awaitable[object]]) -> tuple[Answered, str]:
    try:
        async with asyncio.timeout(PATIENCE):
            await ask()
    except AccessDenied as error:
        return "refused", f"it refuses us ({error.status})"
    except RateLimited:
        return "limited", "it lets nobody in for now"
    except VendorError as error:
        return "away", str(error)
    except TimeoutError:
        return "away", "no answer in time, or no room left within the limits"
    return "answered", "it lets us in"


async def _subscriptions(
    tenant: TenantSettings,
    keeper: SubscriptionKeeper,
    address: str | None,
    healths: dict[str, Health],
    answer: Answered,
) -> AsyncIterator[Check]:
    now, ours, vitec = datetime.now(UTC), healths.get(PROPSTREET), healths.get(VITEC)
    if address is None:
        known: State = "unwatched" if tenant.propstreet.webhook_secret is not None else "none"
        yield checking.webhook(tenant.name, known, ours, _when(ours, now))
    elif answer == "answered":
        try:
            async with asyncio.timeout(PATIENCE):
                state = (await keeper.seen()).state
            yield checking.webhook(tenant.name, state, ours, _when(ours, now))
        except (VendorError, TimeoutError) as error:
            said = f"its webhooks cannot be listed ({type(error).__name__})"
            yield Check("propstreet webhook", tenant.name, "failed", said, "give the client that right")
    yield checking.notifications(
        tenant.name,
        vitec,
        _when(vitec, now),
        secret=tenant.vitec.webhook_secret is not None,
        hub=tenant.vitec.product == "hub",
    )


def _when(health: Health | None, now: datetime) -> str:
    return ago(health.heard_at if health is not None else None, now)
