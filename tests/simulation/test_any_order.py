"""The same chaos of transactions on both of the simulator's databases: every task sees the same on each."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from daemon.storage import log, views, working
from daemon.storage.connection import snapshot
from projections.entities import AliasRow
from tests.integration.ground import event
from tests.simulation.database import Database
from tests.simulation.postgres import Postgres
from tests.simulation.sessions import Server

NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Chaos:
    """Some tasks that write, look and fail on a few rows, as a seed has it; `seen` is what each of them saw."""

    def __init__(self, server: Server, seed: int, tenant: str) -> None:
        self._chance = random.Random(seed)
        self._tenant = tenant
        self._pool = server.pool(self._pass, size=3)
        self._numbers = iter(range(1, 10_000))
        self.seen: list[tuple[int, Any]] = []
        server.listeners.append(lambda *told: self.seen.append((0, told)))

    async def _pass(self, step: str) -> None:
        chance = self._chance.random()
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        if chance < 0.01:
            raise asyncpg.ConnectionDoesNotExistError(step)

    async def run(self) -> list[tuple[int, Any]]:
        await asyncio.gather(*(self._work(who) for who in range(1, 5)))
        return self.seen

    async def _work(self, who: int) -> None:
        for _ in range(12):
            try:
                async with self._pool.acquire() as conn:
                    await self._use(who, conn)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, ZeroDivisionError) as error:
                self.seen.append((who, type(error).__name__))

    async def _use(self, who: int, conn: Any) -> None:
        match self._chance.randrange(4):
            case 0:
                await self._step(who, conn, self._chance.randrange(8))
            case 1:
                async with snapshot(conn):
                    for _ in range(4):
                        await self._step(who, conn, self._chance.randrange(4))
            case _:
                async with conn.transaction():
                    for _ in range(self._chance.randrange(8)):
                        await self._step(who, conn, self._chance.randrange(10) % 9)

    async def _step(self, who: int, conn: Any, what: int) -> None:
        name = self._chance.choice("ab")
        found: Any = None
        match what:
            case 0:
                found = [
                    e.event_id for e in await log.page(conn, self._tenant, self._chance.randrange(5), 30)
                ]
            case 1:
                found = await working.checkpoint(conn, self._tenant, name)
            case 2:
                found = sorted(await views.absorbed(conn, self._tenant, name))
            case 3:
                found = await working.cursors(conn, self._tenant)
            case 4:
                number = next(self._numbers)
                ids: dict[str, Any] = {"event_id": UUID(int=number), "correlation_id": UUID(int=1)}
                found = await log.append(conn, self._tenant, [event(f"contact:con-{name}", **ids)], NOON)
            case 5:
                await working.move_checkpoint(conn, self._tenant, name, next(self._numbers))
            case 6:
                found = await working.open_cursor(conn, self._tenant, name, NOON)
                await working.move_cursor(conn, self._tenant, name, str(next(self._numbers)))
            case 7:
                row = AliasRow(self._tenant, str(next(self._numbers)), name)
                await views.write(conn, "aliases", [row])
            case 8:
                raise ZeroDivisionError
        self.seen.append((who, found))


async def test_whatever_the_order_both_servers_say_the_same(database: str) -> None:
    kinds: set[str] = set()
    with Postgres(database) as real:
        for seed in range(12):
            tenant = f"office-{seed}"
            mine, theirs = [await Chaos(each, seed, tenant).run() for each in (Database(), real)]
            assert mine == theirs
            kinds |= {found for _, found in mine if isinstance(found, str)}
    assert kinds >= {"ConnectionDoesNotExistError", "ZeroDivisionError", "DeadlockDetectedError"}
