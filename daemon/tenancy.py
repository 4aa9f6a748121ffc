"""Tenancies: what runs for a tenant while this daemon has its lease, and the holder that takes and hands over leases.

Every daemon on one database looks every two seconds: it says that it lives, renews what it has, takes what is free and
hands over what is too much. What it can no longer prove to have it stops.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final
from uuid import UUID

import msgspec

from daemon.domain.errors import DatabaseUnreachable, LogReplaced, StorageError, UnknownEventError
from daemon.policies.leasing import share
from daemon.pulse import Work
from daemon.service import Service
from daemon.storage import leases
from daemon.storage.connection import Connection
from daemon.storage.leases import Lease

DRAIN: Final = 9.0
"""Seconds for what is under way when a tenancy, or the daemon, is told to stop."""

LAST_WORD: Final = 1.0
"""Seconds for the release at the end; without it the leases run out."""


class Terms(msgspec.Struct, frozen=True):
    """Seconds that a lease lasts, between two looks, for one look, and before a tenant that would not start is tried
    again. A killed daemon's tenants are taken within `life` and one look."""

    life: float = 12.0
    every: float = 2.0
    patience: float = 4.0
    rest: float = 15.0


class Crew:
    """Services that run together, upstream first."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.services = services
        self.tasks = [asyncio.create_task(service.run(), name=service.name) for service in services]

    async def failure(self) -> None:
        """Wait until a service ends with an error, and raise it; or until all have ended."""
        done, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def drain(self) -> None:
        """Stop upstream first; what is under way comes to its outcome, within `DRAIN`."""
        for service in self.services:
            service.stop()
        _, late = await asyncio.wait(self.tasks, timeout=DRAIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


Begin = Callable[[Lease], Awaitable[Sequence[Service]]]
"""What is to run under a lease, upstream first; whatever must be done before is done."""


class Tenancy:
    """One tenant's stages, for as long as we have its lease."""

    def __init__(self, lease: Lease, begin: Begin, ended: Callable[[], None]) -> None:
        self.lease = lease
        self.services: Sequence[Service] = ()
        self.work = Work("begin", lease.tenant)
        self._begin = begin
        self._asked = asyncio.Event()
        self._leaving = False
        self.task = asyncio.create_task(self._run(), name=f"tenancy {lease.tenant}")
        self.task.add_done_callback(lambda _: ended())

    @property
    def leaving(self) -> bool:
        """It is on its way out, or gone."""
        return self._leaving or self.task.done()

    def leave(self) -> None:
        """Drain, and end."""
        if not self.services:
            self.task.cancel()
        self._leaving = True
        self._asked.set()

    def begin_anew(self) -> None:
        """Drain, and begin again under the same lease: the settings are others."""
        self._asked.set()

    async def _run(self) -> None:
        while True:
            self._asked.clear()
            with self.work.under_way():
                self.services = await self._begin(self.lease)
            await self._live(Crew(self.services))
            if self._leaving or self.lease.lost or not self._asked.is_set():
                return
            self.services = ()

    async def _live(self, crew: Crew) -> None:
        asked = asyncio.create_task(self._asked.wait())
        failed = asyncio.create_task(crew.failure())
        await asyncio.wait([asked, failed], return_when=asyncio.FIRST_COMPLETED)
        await crew.drain()
        asked.cancel()
        await failed


class Holder(Service):
    """Takes, renews and releases the leases of one daemon, and runs a tenancy for each that it has.

    `ticks` are seconds that run on while the process is stopped or the machine sleeps. Whoever is `alone` on the
    database need not wait for anybody's lease. `each_round` is called whenever its loop comes round.
    """

    def __init__(
        self,
        me: UUID,
        name: str,
        tenants: Sequence[str],
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        begin: Begin,
        *,
        ticks: Callable[[], float],
        fresh: Callable[[], UUID],
        alone: bool = False,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        each_round: Callable[[], None] | None = None,
    ) -> None:
        super().__init__("lease", "", every=terms.every)
        self._each_round = each_round
        self.me = me
        self.tenancies: dict[str, Tenancy] = {}
        self._named, self._tenants = name, tenants
        self._connect, self._begin = connect, begin
        self._ticks, self._fresh = ticks, fresh
        self._alone, self._terms = alone, terms
        self._resting: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._sure = self._closing = self._closed = self._away = self._warned = False

    @property
    def services(self) -> list[Service]:
        """The stages of every tenant that is held."""
        return [service for tenancy in self.tenancies.values() for service in tenancy.services]

    def begin_anew(self, tenant: str) -> None:
        """Let a tenant's stages, if they run here, drain and begin again under the lease that they have."""
        if tenant in self.tenancies:
            self.tenancies[tenant].begin_anew()

    @property
    def works(self) -> list[Work]:
        """What is under way for every tenant that is held."""
        return [
            *(tenancy.work for tenancy in self.tenancies.values()),
            *(service.work for service in self.services),
        ]

    def came_round(self) -> None:
        """Let whoever watches look."""
        if self._each_round is not None:
            self._each_round()

    async def tick(self) -> bool:
        """One look; a database that is away is looked for again, and meanwhile the leases run out."""
        try:
            async with asyncio.timeout(self._terms.patience), self._turn, self._connect() as conn:
                await self._look(conn)
        except (DatabaseUnreachable, TimeoutError) as error:
            self._sure = False
            if not self._away:
                self._log.warning("lease.database_away", reason=type(error).__name__)
            self._away = True
        else:
            self._away = False
        return False

    async def _look(self, conn: Connection) -> None:
        if self._closed:
            return
        if not self._sure:  # a former life of ours may have left something, or an answer was lost
            await leases.vacate(conn, self.me, self.tenancies, everything=self._alone)
            self._sure = True
        await self._renew(conn)
        if self._closing:
            return
        await self._bury(conn)
        holders, living = await leases.holders(conn), await leases.living(conn)
        self._beware_of_a_twin(holders)
        moves = share(self.me, holders, living)
        for tenant in moves.give:
            if tenant in self.tenancies and not self.tenancies[tenant].leaving:
                self._log.info("lease.handing_over", tenant=tenant)
                self.tenancies[tenant].leave()
        for tenant in moves.take:
            if tenant not in self.tenancies:
                await self._take(conn, tenant)

    async def _renew(self, conn: Connection) -> None:
        """Say that we live, and keep what we have; what is no longer ours is lost."""
        now, terms = self._ticks(), self._terms
        willing = [tenant for tenant in self._tenants if self._resting.get(tenant, now) <= now]
        held = [tenancy.lease for tenancy in self.tenancies.values() if not tenancy.lease.lost]
        await leases.beat(conn, self.me, self._named, willing, terms.life)
        kept = await leases.renew(conn, self.me, held, terms.life)
        for lease in held:
            if lease.tenant in kept:
                lease.extend(now + terms.life)
            else:
                lease.lose()

    async def _bury(self, conn: Connection) -> None:
        """Forget the tenancies that have ended, and let others have their leases. Raises what no stage can live with."""
        for tenant, tenancy in list(self.tenancies.items()):
            if tenancy.lease.lost and not tenancy.leaving:
                tenancy.leave()
            if not tenancy.task.done():
                continue
            if not tenancy.lease.lost:
                await leases.release(conn, tenancy.lease)
            del self.tenancies[tenant]
            error = None if tenancy.task.cancelled() else tenancy.task.exception()
            if isinstance(error, UnknownEventError | LogReplaced):
                raise error
            if error is not None:
                self._log.warning("lease.would_not_start", tenant=tenant, reason=type(error).__name__)
                self._resting[tenant] = self._ticks() + self._terms.rest

    async def _take(self, conn: Connection, tenant: str) -> None:
        now = self._ticks()
        epoch = await leases.take(conn, tenant, self.me, self._terms.life)
        if epoch is None:
            return
        until = now + self._terms.life
        lease = Lease(tenant, self.me, epoch, until, self._ticks, lambda: self._lost(tenant, epoch))
        self._log.info("lease.taken", tenant=tenant, epoch=epoch)
        self.tenancies[tenant] = Tenancy(lease, self._begin, self.wake.set)

    def _lost(self, tenant: str, epoch: int) -> None:
        self._log.warning("lease.lost", tenant=tenant, epoch=epoch)
        self.wake.set()

    def _beware_of_a_twin(self, holders: dict[str, UUID]) -> None:
        """A lease in our name that we do not have: somebody runs on a copy of our data_dir. Go by another id."""
        if all(holder != self.me or tenant in self.tenancies for tenant, holder in holders.items()):
            return
        if not self._warned:
            advice = (
                "another daemon has the same id: remove the file `instance` from one of the two data_dirs"
            )
            self._log.warning("lease.twin", advice=advice)
        self._warned = True
        if not self.tenancies:
            self.me = self._fresh()

    async def close(self) -> None:
        """Drain everything, and let others have it at once."""
        self._closing = True
        for tenancy in self.tenancies.values():
            tenancy.leave()
        await asyncio.gather(*(each.task for each in self.tenancies.values()), return_exceptions=True)
        with suppress(StorageError, TimeoutError):
            async with asyncio.timeout(LAST_WORD), self._turn:
                self._closed = True
                async with self._connect() as conn:
                    await leases.leave(conn, self.me)
                    for tenancy in self.tenancies.values():
                        if not tenancy.lease.lost:
                            await leases.release(conn, tenancy.lease)
        self.tenancies.clear()
