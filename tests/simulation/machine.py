"""The machine that the daemon runs on: it loses power between any two awaits, loses its database, and starts again.

A life of the daemon is put together as `daemon.app` does it, from the same parts; only the clock, the chance, the
connections and the network are the simulation's.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from daemon.app import Daemon, begun
from daemon.clients import Limiters, Vendors
from daemon.domain.capabilities import available
from daemon.domain.errors import DatabaseUnreachable
from daemon.domain.settings import Mode, TenantSettings
from daemon.incarnation import Keeper, Mark, MarkFile
from daemon.ingest.http import Receiver
from daemon.ingest.leads import LeadReceiver
from daemon.processor import Tenant
from daemon.service import Service
from daemon.storage.appender import Appender, Leased
from daemon.storage.leases import Lease
from daemon.storage.log import Appended
from daemon.tenancy import DRAIN, Holder, Terms
from tests.simulation.loop import LIFE, VirtualLoop, forever
from tests.simulation.network import Network

HOST: Final = "daemon.test"
AGAIN: Final = 5.0
"""Seconds until the service manager starts the daemon again."""
IDLE: Final = 15.0
"""Seconds after which a stage looks by itself; one, outside."""
TERMS: Final = Terms(life=90.0, every=IDLE)
"""A lease is looked after as seldom; it outlasts a call all the same."""
IDLE_IN_TRANSACTION: Final = 10.0
"""Seconds after which PostgreSQL ends a session that stands still in the middle of a transaction."""


class Drawer(MarkFile):
    """Where the mark lies that tells a restored backup: beside the database, and not in it."""

    def __init__(self) -> None:
        self.path = Path("marks")
        self.mark: Mark | None = None

    async def read(self) -> Mark:
        """The mark that was kept."""
        if self.mark is None:
            raise FileNotFoundError
        return self.mark

    async def write(self, mark: Mark) -> None:
        """Keep it."""
        self.mark = mark


class Noted(Leased):
    """Notes under which epoch of the lease each event was appended."""

    def __init__(self, whole: Appender, lease: Lease, epochs: list[tuple[int, int]]) -> None:
        super().__init__(whole, lease)
        self._epoch, self._epochs = lease.epoch, epochs

    async def append(self, *asked: Any, **how: Any) -> list[Appended]:
        """Append, and note it."""
        done = await super().append(*asked, **how)
        self._epochs += ((each.position, self._epoch) for each in done if each.position is not None)
        return done


class Machine:
    """Starts the daemon, ends it, and counts what it does: every statement and every request is a numbered operation."""

    def __init__(
        self,
        loop: VirtualLoop,
        network: Network,
        database: Any,
        settings: TenantSettings,
        mode: Mode,
        began: datetime,
        seed: int,
        me: UUID,
        lives: Iterator[int],
        epochs: list[tuple[int, int]],
    ) -> None:
        self.settings = settings
        self.mode = mode
        self.me = me
        self.life = 0
        self.begun = 0
        """How often the daemon was started here."""
        self.operations = 0
        self.crashes: dict[int, float] = {}
        """The numbers of the operations at which the power fails, and for how long."""
        self.crashed = 0
        self.failed: list[str] = []
        self.tenant: Tenant | None = None
        """As its stages have it."""
        self.address: str | None = None
        """Where Propstreet shall deliver; None where nobody can reach this machine."""
        self.slow = 0.002
        """Seconds that the database takes at most, most of the time."""
        self._loop = loop
        self._network = network
        self._database = database
        self._began = began
        self._chance = random.Random(seed)
        self._lives = lives
        self._epochs = epochs
        self._away_until = 0.0
        self._paused_until = 0.0
        self._daemon: Daemon | None = None
        self._appender: Appender | None = None
        self._pool: Any = None
        self._heard: Callable[[str, str], None] | None = None
        self._stopping = False
        self._drawer = Drawer()

    def clock(self) -> datetime:
        """The machine's own clock."""
        return self._began + timedelta(seconds=self._loop.now)

    @property
    def up(self) -> bool:
        """The stages run."""
        return self._daemon is not None and bool(self._daemon.holder.services)

    @property
    def resting(self) -> list[str]:
        """The stages that rest after a failure: they have not looked since."""
        return [s.name for s in self._daemon.services if s.failures] if self._daemon is not None else []

    @property
    def still(self) -> bool:
        """The process stands still, and will go on."""
        return self._loop.now < self._paused_until

    def start(self) -> None:
        """Begin a new life."""
        if self._pool is None:
            self.life, self.begun = next(self._lives), self.begun + 1
            self._loop.create_task(self._live(), context=self._loop.context_of(self.life))

    def crash(self, pause: float = AGAIN) -> None:
        """The power fails: what was not sent is not sent, what was not committed is not there."""
        if self._pool is not None:
            self.crashed += 1
            self._end_life(pause)

    def pause(self, seconds: float) -> None:
        """The process stands still, before whatever it does next; it does not know, and then goes on."""
        self._paused_until = max(self._paused_until, self._loop.now + seconds)
        self._loop.call_later(IDLE_IN_TRANSACTION, self._time_out, context=self._loop.context_of(0))

    def _time_out(self) -> None:
        if self._pool is not None and self._loop.now < self._paused_until:
            self._pool.lose_transactions()

    async def stop(self) -> None:
        """Drain, as on SIGTERM, and stay down."""
        if self._daemon is not None:
            self._stopping = True
            drained = self._loop.create_task(self._drain(), context=self._loop.context_of(self.life))
            await asyncio.wait([drained], timeout=3 * DRAIN)
        self._loop.end(self.life)
        self._down()

    async def _drain(self) -> None:
        if self._daemon is not None and self._appender is not None:
            await self._daemon.drain()
            await self._appender.stop()

    def lose_database(self, seconds: float) -> None:
        """Every connection breaks, and no new one is made for a while."""
        self._away_until = max(self._away_until, self._loop.now + seconds)
        if self._pool is not None:
            self._pool.terminate()

    def lose_connections(self) -> None:
        """Every connection breaks; new ones can be made."""
        if self._pool is not None:
            self._pool.terminate()

    def _down(self) -> None:
        self._network.hang_up(HOST, self.life)
        if self._pool is not None:
            self._pool.terminate()
        if self._heard is not None:
            self._database.listeners.remove(self._heard)
        self._pool = self._daemon = self._heard = None
        self._stopping = False

    async def _live(self) -> None:
        try:
            self._pool = self._database.pool(self._at_the_database)
            daemon = await self._started()
            await daemon.failure()
            if self._stopping:
                await forever()
        except (DatabaseUnreachable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass  # it could not start: the service manager tries again
        except Exception as error:
            self.failed.append(f"{type(error).__name__}: {error}")
        self._end_life()
        await forever()

    def _end_life(self, pause: float = AGAIN) -> None:
        self._loop.end(self.life)
        self._down()
        self._loop.call_later(pause, self.start, context=self._loop.context_of(0))

    async def _started(self) -> Daemon:
        self._appender = appender = Appender(self._pool, self.settings.name, clock=self.clock)
        await appender.start()
        chance = random.Random(self._chance.getrandbits(64))
        tenant = Tenant(available(self.settings), self.mode, self._pool, appender, self.clock, chance)
        keeper = Keeper(tenant, self._drawer)
        await keeper.recognise()
        session, limiters = self._network.session("daemon"), Limiters()
        vendors = Vendors(tenant, session, limiters)
        leads = LeadReceiver({tenant.name: tenant}, {tenant.name: vendors.lead_sources}, None)
        self._network.listen(HOST, Receiver({tenant.name: tenant}, _ready, leads).app(), self.life)
        keeper.every = IDLE

        async def begin(lease: Lease) -> list[Service]:
            self.tenant = tenant.under(lease)
            self.tenant.appender = Noted(appender, lease, self._epochs)
            services = await begun(self.tenant, session, limiters, self.address)
            for service in services:
                service.every = max(service.every, IDLE)
            return services

        holder = Holder(
            self.me,
            HOST,
            [tenant.name],
            tenant.connection,
            begin,
            ticks=self._loop.time,
            fresh=tenant.random_id,
            terms=TERMS,
        )
        self._daemon = daemon = Daemon([keeper], holder)
        self._listen(daemon)
        return daemon

    def _listen(self, daemon: Daemon) -> None:
        context = self._loop.context_of(self.life)

        def heard(channel: str, payload: str) -> None:
            delay = self._chance.uniform(0.0, self.slow)
            self._loop.call_later(delay, daemon.heard, channel, payload, context=context)

        self._heard = heard
        self._database.listeners.append(heard)

    async def _at_the_database(self, operation: str) -> None:
        if self._loop.now < self._away_until:
            await asyncio.sleep(0.001)
            raise ConnectionRefusedError(operation)
        await self._pass()

    async def at_the_network(self, _: str) -> None:
        """A request leaves, or its answer is here."""
        await self._pass()

    async def _pass(self) -> None:
        """One operation: perhaps the last of this life, mostly quick, sometimes not."""
        if LIFE.get() != self.life:
            await forever()
        while self.still:  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(self._paused_until - self._loop.now)
        self.operations += 1
        if self.operations in self.crashes:
            self.crash(self.crashes.pop(self.operations))
            await forever()
        chance = self._chance.random()
        if chance > 0.995:
            await asyncio.sleep(self._chance.uniform(0.0, 200 * self.slow))
        elif chance > 0.6:
            await asyncio.sleep(self._chance.uniform(0.0, self.slow))


async def _ready() -> list[str]:
    return []
