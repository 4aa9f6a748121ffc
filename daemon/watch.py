"""What the daemon says of itself: whether it is ready, and its metrics. It asks the database little, and never for long."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from daemon.clients import Vendors
from daemon.domain.errors import DatabaseUnreachable, StorageError, UsageError
from daemon.domain.streams import VENDORS
from daemon.ingest.subscriptions import QUIET
from daemon.metrics import Labels, Tallies, exposed
from daemon.policies.plan import synced
from daemon.policies.readiness import Duty, reasons
from daemon.processor import Tenant
from daemon.storage import migrations, watching
from daemon.storage.connection import owner
from daemon.storage.watching import Backlog, Standing
from daemon.storage.working import source_of
from daemon.telemetry import log
from daemon.tenancy import Tenancy

PATIENCE: Final = 3.0
"""Seconds for the database; a scrape is given up after ten, as a rule."""

SELDOM: Final = 60.0
"""Seconds between two looks at what takes long to count, or hardly ever changes."""

FINE: Final = QUIET | {"unknown"}

AWAY: Final = "the database does not answer"


class Watch:
    """Looks at all tenants of a daemon. `tenancies` are those that it has a lease for; `ticks` never go back."""

    def __init__(
        self,
        dsn: str,
        tenants: Mapping[str, Tenant],
        vendors: Mapping[str, Vendors],
        tallies: Tallies,
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
    ) -> None:
        self.tenancies: Mapping[str, Tenancy] = {}
        self._dsn = dsn
        self._tenants, self._vendors = tenants, vendors
        self._tallies, self._clock, self._ticks = tallies, clock, ticks
        self._standing: dict[str, Standing] = {}
        self._backlog: dict[str, Backlog] = {}
        self._schema: list[str] = []
        self._seldom: dict[str, float] = {}
        self._turn = asyncio.Lock()
        for tenant in tenants:
            tallies.begin(tenant)

    async def reasons(self) -> list[str]:
        """Why the daemon is not ready; empty when it is. Whoever asks at the same time waits for one look."""
        async with self._turn:
            return await self._look()

    async def metrics(self) -> bytes:
        """Every metric in the text format of Prometheus."""
        async with self._turn:
            found = await self._look()
            up = AWAY not in found
            if up:
                await self._count()
        return exposed(self._tallies, self._samples(up=up, ready=not found))

    # -- asking the database

    async def _look(self) -> list[str]:
        """Learn how every tenant stands; why the work is not being done."""
        async with self._asking() as answered:
            for name, tenant in self._tenants.items():
                async with tenant.connection() as conn:
                    self._standing[name] = await watching.standing(conn, name)
            if self._is_due("schema"):
                self._schema = await self._lacking()
            answered.append(True)
        if not answered:
            return [AWAY]
        return [*self._schema, *reasons([self._duty(name) for name in self._tenants])]

    async def _count(self) -> None:
        """Count what takes longer, now and then."""
        async with self._asking():
            for name, tenant in self._tenants.items():
                if self._is_due(name):
                    async with tenant.connection() as conn:
                        self._backlog[name] = await watching.backlog(conn, name)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[list[bool]]:
        """What the database does not answer in time is left as it was known last."""
        try:
            async with asyncio.timeout(PATIENCE):
                yield []
        except (DatabaseUnreachable, TimeoutError):
            self._seldom.clear()
        except Exception:  # the views are being swapped, perhaps: the next look will tell
            log.exception("watch.failed")
            self._seldom.clear()

    def _is_due(self, what: str) -> bool:
        now = self._ticks()
        if self._seldom.get(what, now) > now:
            return False
        self._seldom[what] = now + SELDOM
        return True

    async def _lacking(self) -> list[str]:
        try:
            async with owner(self._dsn) as conn:
                lacking = await migrations.missing(conn)
        except DatabaseUnreachable:
            raise
        except (StorageError, UsageError) as error:
            return [f"database: {error}"]
        return [f"database: {len(lacking)} migrations are missing; run `toveis migrate`"] if lacking else []

    def _duty(self, name: str) -> Duty:
        known, tenancy = self._standing[name], self.tenancies.get(name)
        runs = tenancy is not None and bool(tenancy.services) and not tenancy.task.done()
        return Duty(name, tenancy is not None, runs, known.served, known.head - known.folded)

    # -- the values

    def _samples(self, *, up: bool, ready: bool) -> Iterator[tuple[str, Labels, float]]:
        yield "toveis_ready", (), ready
        yield "toveis_database_up", (), up
        for name in self._tenants:
            for metric, labels, value in (*self._of_process(name), *self._of_database(name)):
                yield metric, (name, *labels), value

    def _of_process(self, tenant: str) -> Iterator[tuple[str, Labels, float]]:
        tenancy = self.tenancies.get(tenant)
        yield "toveis_lease_held", (), tenancy is not None and not tenancy.lease.lost
        for service in tenancy.services if tenancy is not None else ():
            yield "toveis_stage_failures", (service.name,), service.failures
        for vendor, limiter in self._vendors[tenant].limiters.items():
            reach = limiter.reach
            yield "toveis_vendor_up", (vendor,), reach.breaker.since is None
            if reach.skew is not None:
                yield "toveis_vendor_clock_skew_seconds", (vendor,), round(reach.skew, 1)
            yield "toveis_limiter_waiting_calls", (vendor,), limiter.waiting
            for span, used, limit in limiter.used():
                yield "toveis_limiter_used_calls", (vendor, f"{span:g}s"), used
                yield "toveis_limiter_limit_calls", (vendor, f"{span:g}s"), limit

    def _of_database(self, tenant: str) -> Iterator[tuple[str, Labels, float]]:
        known, now = self._standing.get(tenant), self._clock()
        if known is None:
            return
        yield "toveis_log_head", (), known.head
        yield "toveis_stage_lag_events", ("project",), known.head - known.folded
        yield "toveis_stage_lag_events", ("react",), known.head - known.decided
        yield "toveis_batches_held", (), known.batches
        for vendor in self._vendors[tenant].limiters:
            yield "toveis_commands_waiting", (vendor,), known.waiting.get(vendor, 0)
            yield "toveis_dead_letters", (vendor,), known.dead.get(vendor, 0)
            health = known.health.get(vendor)
            times = [
                health.heard_at if health is not None else None,
                self._tallies.heard.get((tenant, vendor)),
            ]
            if heard := [time for time in times if time is not None]:
                yield "toveis_webhook_age_seconds", (vendor,), _age(now, max(heard))
            if health is not None:
                yield "toveis_subscription_failing", (vendor,), health.state not in FINE
        for reason, count in known.held.items():
            yield "toveis_commands_held", (reason,), count
        polled = _sources(self._tenants[tenant])
        for source in polled & known.polled.keys():
            looked = known.polled[source]
            yield "toveis_poll_age_seconds", (source,), _age(now, looked)
        if (backlog := self._backlog.get(tenant)) is not None:
            yield "toveis_backfill_waiting_entities", (), self._waits(tenant, backlog)
            for reason, count in backlog.held.items():
                yield "toveis_entities_held", (reason,), count

    def _waits(self, tenant: str, backlog: Backlog) -> int:
        return backlog.waiting if self._tenants[tenant].settings.sync.first_sync == "wait" else 0


def _sources(tenant: Tenant) -> set[str]:
    """The sources that are polled; the cursor of one that was switched off grows old in peace."""
    categories = {"contact", "company", *synced(tenant.settings.sync)}
    return {source_of(vendor, category) for vendor in VENDORS for category in categories}


def _age(now: datetime, then: datetime) -> float:
    return round(max(0.0, (now - then).total_seconds()), 1)
