"""The real daemon as a process of its own, between both twins."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from daemon import config
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.processor import options_of
from daemon.sandbox.agreement import PAIRS
from daemon.sandbox.cast import script
from daemon.sandbox.day import Day, Outcome, Pace, files, idle
from daemon.sandbox.process import DaemonProcess
from daemon.sandbox.world import TENANT, World, world
from daemon.storage import rebuild
from daemon.storage.connection import Connection


class Flow:
    """A world, its daemon, and a way into the daemon's database."""

    def __init__(self, place: World, directory: Path, poll: str, sync: str = "") -> None:
        self.world = place
        self.config_file, self.data, log_file = files(directory)
        self.config_file.write_text(place.configuration(self.data, poll) + sync, "utf-8")
        self.daemon = DaemonProcess(self.config_file, log_file, place.daemon_url)
        self._server: EmbeddedPostgres | None = None
        self._conn: Any = None

    async def connect(self) -> Connection:
        """A connection that works; a new one after the daemon took the database with it."""
        if self._conn is None or self._conn.is_closed():
            self._close_server()
            self._server = EmbeddedPostgres(self.data)
            self._server.start()
            assert not self._server.owner, "the daemon must be running"
            self._conn = await asyncpg.connect(
                self._server.dsn(), server_settings={"search_path": "toveis, views"}
            )
        conn: Connection = self._conn
        return conn

    def dsn(self, database: str) -> str:
        """Another database of the daemon's server; after `connect`."""
        assert self._server is not None
        return self._server.dsn(database=database)

    async def forget_connection(self) -> None:
        """The database is about to die: let go of it."""
        if self._conn is not None:
            self._conn.terminate()
            self._conn = None
        self._close_server()

    def _close_server(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    async def day(self, seed: int = 1, between: Callable[[int], Awaitable[None]] | None = None) -> Outcome:
        """The scripted day at full speed; asserts that nothing is left in words that say what."""
        told = script(seed)
        self.world.people.move_in(told)
        day = Day(self.world, told, Pace(patience=40.0, quiet=0.5), between=between)
        outcome = await day.run(self.connect)
        assert outcome.converged, day.left
        return outcome

    async def check_log(self) -> None:
        """The log is sound, and every view equals a fresh fold."""
        options = options_of(config.load(self.config_file, {}).tenants[0])
        conn = await self.connect()
        assert await rebuild.check_log(conn, TENANT) == []
        assert await rebuild.compare(conn, TENANT, options) == []

    async def idle(self) -> bool:
        """Every stage has seen the whole log, and nothing waits."""
        return await idle(await self.connect())

    async def held(self, category: str) -> list[tuple[str, str, tuple[str, ...]]]:
        """What is held of a category: target, reason, fields."""
        conn = await self.connect()
        rows = await conn.fetch(
            "SELECT target, reason, fields FROM commands WHERE category = $1 AND state = 'held' ORDER BY issued",
            category,
        )
        return [(row["target"], row["reason"], tuple(row["fields"])) for row in rows]

    def content(self) -> list[tuple[str, ...]]:
        """What Propstreet holds, without ids and without tags (a person sets those all at once)."""
        return sorted(
            (category, *(read(record) for field, (_, read) in pairs.items() if field != "tags"))
            for category, pairs in PAIRS.items()
            for record in self.world.propstreet.records(category)
        )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an empty PostgreSQL, made once and copied for each daemon."""
    made = tmp_path_factory.mktemp("cluster")
    with EmbeddedPostgres(made, own=True):
        pass
    return made


@pytest.fixture
def flow(tmp_path: Path, cluster: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def up(
        seed: int = 1, *, poll: str = "250ms", subscribe: bool = True, sync: str = "", **switches: Any
    ) -> AsyncIterator[Flow]:
        """`sync` are lines of [tenants.sync] beside the world's own."""
        async with world(seed, **switches) as place:
            running = Flow(place, tmp_path, poll, sync)
            shutil.copytree(cluster, running.data)
            try:
                await running.daemon.start()
                if subscribe:
                    place.subscribe()
                yield running
            finally:
                await running.forget_connection()
                await running.daemon.stop()

    return up
