"""What every stage of a tenant stands on: its database pool, its appender, its settings."""

import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from math import inf
from typing import Any

import msgspec

from daemon.domain.events import (
    OPERATOR,
    BatchHeld,
    BatchReleased,
    Decision,
    FirstSyncReleased,
    NewEvent,
    encode,
)
from daemon.domain.settings import Mode, TenantSettings
from daemon.domain.streams import batch_stream, derived_id, entity_stream, first_sync_stream
from daemon.mappings.lens import Options
from daemon.metrics import Tallies
from daemon.service import Service
from daemon.storage.appender import Appender
from daemon.storage.connection import Connection, unreachable
from daemon.storage.leases import Lease
from projections.entity import Entity

ONCE_A_DAY = 86_400.0
"""Seconds: how often a Vitec customer that refuses us is asked again. Hammering gets clients blocked."""


class Tenant:
    """One tenant at run time. `options` may gain Vitec's catalogue of categories once it is known.

    `clock` and `chance` are the machine's, or those of a run that can be repeated. Without a `lease` it is what the open
    port knows, at every daemon; the stages have one (`under`).
    """

    def __init__(
        self,
        settings: TenantSettings,
        mode: Mode,
        pool: Any,
        appender: Appender,
        clock: Callable[[], datetime],
        chance: random.Random | None = None,
        lease: Lease | None = None,
        tallies: Tallies | None = None,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.mode = mode
        self.pool = pool
        self.appender = appender
        self.clock = clock
        self.chance = chance or random.SystemRandom()
        self.lease = lease
        self.tallies = tallies or Tallies()
        """What this process counts."""
        self.options = options_of(settings)
        self.polling: dict[tuple[str, str], float] = {}
        """The calls a second that the polls of each vendor's sources take."""

    def under(self, lease: Lease) -> "Tenant":
        """The tenant as the stages of a lease have it: they write nothing once it is another's."""
        appender = self.appender.under(lease)
        return Tenant(
            self.settings, self.mode, self.pool, appender, self.clock, self.chance, lease, self.tallies
        )

    def change(self, settings: TenantSettings, mode: Mode) -> None:
        """Other settings from now on, for the open port and for whoever gets a lease after this."""
        self.settings, self.mode, self.options = settings, mode, options_of(settings)

    def left(self) -> float:
        """Seconds that a call to a vendor may take at most: none outlasts the lease."""
        return inf if self.lease is None else self.lease.left()

    def random_id(self) -> uuid.UUID:
        """A mark of its own for what came without one."""
        return uuid.UUID(int=self.chance.getrandbits(128), version=4)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection as the daemon's role; raises DatabaseUnreachable."""
        async with unreachable(), self.pool.acquire() as conn:
            yield conn

    @asynccontextmanager
    async def transaction(self, conn: Connection) -> AsyncIterator[None]:
        """What is written inside is written whole, and only under the lease; raises LeaseLost."""
        async with conn.transaction():
            if self.lease is not None:
                await self.lease.check(conn)
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """A connection in such a transaction; raises DatabaseUnreachable, LeaseLost."""
        async with self.connection() as conn, self.transaction(conn):
            yield conn

    def decided(
        self,
        entity: Entity,
        decision: Decision,
        *,
        stream: str | None = None,
        origin: str = "toveis",
        mark: str = "",
    ) -> NewEvent:
        """The event of a decision about an entity, by default in its own stream; `mark` tells equal ones apart."""
        kind, data = type(decision).__name__, encode(decision)
        stream = stream or entity_stream(entity.category, entity.id)
        return NewEvent(
            event_id=derived_id(self.name, stream, kind, mark, data.decode()),
            stream=stream,
            type=kind,
            origin=origin,
            occurred_at=self.clock(),
            data=data,
            correlation_id=entity.correlation,
            causation_id=entity.cause,
        )

    def of_batch(self, decision: BatchHeld | BatchReleased, *, origin: str = "toveis") -> NewEvent:
        """The event of what becomes of a batch: it is held once, and released once."""
        stream, kind = batch_stream(decision.batch), type(decision).__name__
        event_id = derived_id(self.name, stream, kind)
        return NewEvent(event_id, stream, kind, origin, self.clock(), encode(decision), event_id)

    def let_go(self, category: str, by: str) -> NewEvent:
        """The event of an operator's word that what only the first polls saw of a category may go."""
        stream, kind = first_sync_stream(self.name, category), FirstSyncReleased.__name__
        event_id = derived_id(self.name, stream, kind)
        return NewEvent(
            event_id, stream, kind, OPERATOR, self.clock(), encode(FirstSyncReleased(category, by)), event_id
        )


def options_of(settings: TenantSettings) -> Options:
    """What the mappings depend on. National numbers are read as Swedish at Connect, as Norwegian at the Hub."""
    sync = settings.sync
    return Options(
        region="SE" if settings.vitec.product == "connect" else "NO",
        customer_id=settings.vitec.customer_id,
        reference_namespace=sync.external_ref_namespace,
        organisation_number_namespace=sync.organisation_number_namespace,
        note=sync.note,
        note_keywords=sync.note_keywords,
        categories=sync.categories,
        company_categories=sync.company_categories,
        empty_country=sync.empty_country,
        clear_by_empty_string=sync.clear_by_empty_string,
        store_national_ids=sync.store_national_ids,
        statuses=sync.statuses,
        levels=sync.levels,
        new_prospect_status=sync.new_prospect_status,
        prospect_removed=sync.prospect_removed,
        project_status_writes=sync.project_status_writes,
        viewing_means_interested=sync.viewing_means_interested,
        signatory_links=sync.signatory_links,
    )


def with_catalogue(options: Options, catalogue: tuple[tuple[str, str, bool, str], ...]) -> Options:
    """The same options with Vitec's categories."""
    return msgspec.structs.replace(options, catalogue=catalogue)


class Processor(Service):
    """A stage of one tenant."""

    def __init__(self, name: str, tenant: Tenant, *, every: float = 1.0) -> None:
        super().__init__(name, tenant.name, every=every)
        self.at = tenant

    async def brake(self, decision: BatchHeld | BatchReleased) -> None:
        """Append what becomes of a batch, and tell the operator of a new one."""
        await self.at.appender.append([self.at.of_batch(decision)])
        if isinstance(decision, BatchHeld):
            self._log.warning(
                "brake.held",
                batch=decision.batch,
                kind=decision.kind,
                vendor=decision.vendor,
                category=decision.category,
                count=decision.count,
            )


class Polite(Processor):
    """A stage that gives way to the open port: in a burst it takes a tenth of the time at most, never none."""

    async def before(self) -> None:
        """Wait nine times as long as the last tick took, if so much is coming in."""
        await self.at.appender.calm(9 * self.took)
