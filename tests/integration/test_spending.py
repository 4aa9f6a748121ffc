"""A vendor that counts exactly never has to refuse: not across a restart, not with several processes at one credential."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import pytest

from daemon.domain.windows import Window
from daemon.processor import Tenant
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.server import RateLimit, serve
from daemon.sandbox.twins.server import Window as Counted
from daemon.spending import Spending, fingerprint
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import PropstreetClient
from tests.integration.ground import tenant_at

LIMIT, SPAN = 150, 3
"""The binding window, scaled down: a second holds more."""


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


class Strict:
    """A Propstreet that enforces its windows, and when it counted which calls."""

    def __init__(self) -> None:
        self.windows = RateLimit(Counted(100, 1, sliding=True), Counted(LIMIT, SPAN, sliding=True))
        self.twin = PropstreetTwin(limits=self.windows)
        self.record = self.twin.create("contact", firstName="Anna", lastName="Berg")
        self.taken: list[float] = []
        self.refused = 0
        take = self.windows.take

        def noted(now: datetime) -> object:
            allowance = take(now)
            self.refused += not allowance.allowed
            if allowance.allowed:
                self.taken.append(now.timestamp())
            return allowance

        self.windows.take = noted  # type: ignore[method-assign,assignment]

    def busiest(self) -> int:
        """The most calls within any span of the binding window."""
        return max(n - bisect_right(self.taken, at - SPAN) for n, at in enumerate(self.taken, 1))


@pytest.fixture
async def strict() -> Strict:
    return Strict()


@asynccontextmanager
async def using(
    tenant: Tenant, strict: Strict, session: aiohttp.ClientSession, base: str
) -> AsyncIterator[Limiter]:
    """A process that calls as often as it may."""
    ticks = asyncio.get_running_loop().time
    ledger = Spending(fingerprint(base), tenant.random_id(), tenant.connection, tenant.clock, ticks)
    limiter = Limiter([Window(100, 1.0), Window(LIMIT, float(SPAN))], 8, ledger=ledger, clock=ticks)
    client = PropstreetClient(session, base, strict.twin.client_id, strict.twin.client_secret, limiter)

    record = strict.record

    async def calling() -> None:
        while True:
            await client.read("contact", record)

    calls = [asyncio.create_task(calling()) for _ in range(8)]
    try:
        yield limiter
    finally:
        for call in calls:
            call.cancel()
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome


async def test_a_credential_is_used_to_the_full_and_never_refused_across_a_restart(
    tenant: Tenant, strict: Strict
) -> None:
    async with serve(strict.twin.app) as base, aiohttp.ClientSession() as session:
        async with using(tenant, strict, session, base) as limiter:
            await asyncio.sleep(4.0)
        await limiter.settle()
        async with using(tenant, strict, session, base):
            await asyncio.sleep(4.0)
    assert strict.refused == 0
    assert strict.busiest() > 0.95 * LIMIT
    assert len(strict.taken) > 0.95 * 2 * LIMIT


async def test_a_process_that_was_killed_leaves_what_it_spent_on_record(
    tenant: Tenant, strict: Strict
) -> None:
    async with serve(strict.twin.app) as base, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with using(tenant, strict, session, base):
                await asyncio.sleep(1.0)
    assert strict.refused == 0


async def test_two_processes_share_the_windows_of_one_credential(tenant: Tenant, strict: Strict) -> None:
    async with (
        serve(strict.twin.app) as base,
        aiohttp.ClientSession() as session,
        using(tenant, strict, session, base),
        using(tenant, strict, session, base),
    ):
        await asyncio.sleep(4.0)
    assert strict.refused == 0
    assert strict.busiest() > 0.9 * LIMIT
