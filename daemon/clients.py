"""A tenant's clients at both vendors, and the one limiter that all who use a credential share."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import aiohttp

from daemon.domain.errors import NotWritable, StorageError
from daemon.domain.settings import Limits, TenantSettings
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.processor import Tenant
from daemon.spending import Spending, client, fingerprint, login
from daemon.vendors.limiter import Limiter, windows_of
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.reach import Reach
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_hub.client import VitecHubClient


class Limiters:
    """The limiter of every credential: tenants that share one share its windows."""

    def __init__(self) -> None:
        self._known: dict[str, Limiter] = {}
        self._limits: dict[str, Limits] = {}

    def of(self, tenant: Tenant, limits: Limits, *credential: str) -> Limiter:
        """The limiter of a credential, on record in the tenant's database; the first tenant's limits count."""
        name, ticks = fingerprint(*credential), asyncio.get_running_loop().time
        if name not in self._known:
            self._limits[name] = limits
            ledger = Spending(name, tenant.random_id(), tenant.connection, tenant.clock, ticks)
            self._known[name] = Limiter(
                windows_of(limits),
                limits.concurrency,
                pace=limits.per_second or None,
                ledger=ledger,
                clock=ticks,
                reach=Reach(clock=ticks, chance=tenant.chance.random),
            )
        return self._known[name]

    def at_propstreet(self, tenant: Tenant) -> Limiter:
        """The limiter of a tenant's client at Propstreet."""
        propstreet = tenant.settings.propstreet
        return self.of(tenant, propstreet.limits, *client(propstreet))

    def change(self, tenants: Iterable[TenantSettings]) -> None:
        """Other limits for the credentials that are in use; the first tenant's count, as at the start."""
        limits: dict[str, Limits] = {}
        for name, each in _limits(tenants):
            limits.setdefault(name, each)
        for name, limiter in self._known.items():
            if name in limits and limits[name] != self._limits[name]:
                self._limits[name] = limits[name]
                limiter.change(limits[name])

    async def settle(self) -> None:
        """Nobody calls any more: what was spent is on record for the next start."""
        for limiter in self._known.values():
            with suppress(StorageError):  # then all that was taken counts as spent
                await limiter.settle()


class Vendors:
    """One tenant's two vendors: every stage shares a client, and thereby its limiter."""

    def __init__(self, tenant: Tenant, session: aiohttp.ClientSession, limiters: Limiters) -> None:
        settings = tenant.settings
        vitec = limiters.of(tenant, settings.vitec.limits, *login(settings.vitec))
        self.vitec = _vitec(tenant, session, vitec)
        self.propstreet = propstreet_client(tenant, session, limiters)
        self.limiters = {VITEC: vitec, PROPSTREET: limiters.at_propstreet(tenant)}
        self.reaches = {vendor: limiter.reach for vendor, limiter in self.limiters.items()}

    async def lead_sources(self) -> list[tuple[str, str]]:
        """The customer's lead sources as (id, name); raises NotWritable where there is no call for leads."""
        if isinstance(self.vitec, VitecHubClient):
            raise NotWritable("Vitec Next (Hub) has no call for leads")
        return [(source.id, source.name) for source in await self.vitec.lead_sources()]


def _limits(tenants: Iterable[TenantSettings]) -> Iterator[tuple[str, Limits]]:
    for tenant in tenants:
        yield fingerprint(*login(tenant.vitec)), tenant.vitec.limits
        yield fingerprint(*client(tenant.propstreet)), tenant.propstreet.limits


def _vitec(
    tenant: Tenant, session: aiohttp.ClientSession, limiter: Limiter
) -> VitecConnectClient | VitecHubClient:
    vitec = tenant.settings.vitec
    given = (session, vitec.base_url, vitec.customer_id, vitec.username, vitec.password.reveal(), limiter)
    calls: dict[str, Any] = {
        "clock": tenant.clock,
        "on_call": tenant.tallies.timing(VITEC),
        "left": tenant.left,
    }
    if vitec.product == "hub":
        return VitecHubClient(*given, **calls)
    pairs = {group: (pair.username, pair.password.reveal()) for group, pair in vitec.credentials.items()}
    return VitecConnectClient(*given, **calls, credentials=pairs)


def propstreet_client(tenant: Tenant, session: aiohttp.ClientSession, limiters: Limiters) -> PropstreetClient:
    """A tenant's client at Propstreet, within the limits of its credential."""
    propstreet = tenant.settings.propstreet
    return PropstreetClient(
        session,
        propstreet.base_url,
        propstreet.client_id,
        propstreet.client_secret.reveal(),
        limiters.at_propstreet(tenant),
        clock=tenant.clock,
        on_call=tenant.tallies.timing(PROPSTREET),
        left=tenant.left,
    )
