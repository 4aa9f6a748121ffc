"""The real daemon as a process of its own, between both twins."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from daemon import config
from daemon.domain.streams import VENDORS
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.processor import options_of
from daemon.sandbox.agreement import PAIRS
from daemon.sandbox.cast import script
from daemon.sandbox.day import Day, Outcome, Pace, files, idle
from daemon.sandbox.process import DaemonProcess
from daemon.sandbox.world import TENANT, World, world
from daemon.storage import log, rebuild, views, working
from daemon.storage.connection import Connection
from projections.entity import Entity
from tests.conftest import eventually

POLLED = {working.source_of(v, c) for v in VENDORS for c in ("contact", "company", "project", "prospect")}

SELDOM = "3s"
"""A poll's interval in a world of many tests: they ask for a poll where they need one (`Flow.settled`)."""


ENDLESS = 100
"""So often nothing may still be quiet: whoever writes for ever would not let a test end."""


class Flow:
    """A world, its daemon, and a way into the daemon's database."""

    def __init__(
        self, place: World, directory: Path, poll: str, sync: str = "", *, registers: bool = False
    ) -> None:
        self.world = place
        self.config_file, self.data, log_file = files(directory)
        named = {line.partition(" =")[0] for line in sync.splitlines()}
        more = {"registers": True} if registers else {}
        lines = place.configuration(self.data, poll, **more).splitlines()
        kept = [line for line in lines if line.partition(" =")[0] not in named]
        self.config_file.write_text("\n".join([*kept, sync]), "utf-8")
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

    async def held_for(
        self, category: str, vendor: str, record: str
    ) -> list[tuple[str, str, tuple[str, ...]]]:
        """What is held of the entity that a vendor's record belongs to: target, reason, fields."""
        conn = await self.connect()
        rows = await conn.fetch(
            "SELECT target, reason, fields FROM commands JOIN records USING (tenant, entity)"
            " WHERE records.category = $1 AND vendor = $2 AND external_id = $3 AND state = 'held' ORDER BY issued",
            category,
            vendor,
            record,
        )
        return [(row["target"], row["reason"], tuple(row["fields"])) for row in rows]

    async def entity(self, category: str, vendor: str, record: str) -> Entity | None:
        """The entity that a vendor's record belongs to, as the daemon last folded it."""
        return await views.entity_of_record(await self.connect(), TENANT, category, vendor, record)

    def named(self, category: str, vitec_id: str) -> dict[str, Any]:
        """The record at Propstreet that refers to this one of Vitec; empty when there is none."""
        reference = {"namespace": "vitec-next", "id": vitec_id}
        records = self.world.propstreet.records(category)
        return next((dict(record) for record in records if reference in record["externalRefs"]), {})

    async def settled(self) -> None:
        """Everything was told, seen by a poll that began after it, and dealt with: nothing more will be written."""
        conn, head = await self.connect(), -1
        for _ in range(2):  # the first to end may have begun before
            seen = await self._looks()
            await working.ask_polls(conn, TENANT)
            await eventually(partial(self._looked_since, seen))
        for _ in range(ENDLESS):
            if head == (head := await log.head(conn, TENANT)):
                return
            await self.world.vitec.settled()
            await self.world.propstreet.settled()
            await eventually(self.idle)
        newest = "SELECT type, stream, meta FROM events ORDER BY position DESC LIMIT 20"
        raise AssertionError(f"events keep coming: {[tuple(row) for row in await conn.fetch(newest)]}")

    async def _looks(self) -> dict[str, Any]:
        conn = await self.connect()
        cursors = await working.cursors(conn, TENANT)
        return {source: cursor.looked_at for source, cursor in cursors.items() if source in POLLED}

    async def _looked_since(self, seen: dict[str, Any]) -> bool:
        looks = await self._looks()
        return all(looks[source] is not None and looks[source] != before for source, before in seen.items())

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


@asynccontextmanager
async def up(
    directory: Path,
    cluster: Path,
    seed: int = 1,
    *,
    poll: str = "250ms",
    subscribe: bool = True,
    sync: str = "",
    registers: bool = False,
    **switches: Any,
) -> AsyncIterator[Flow]:
    """A world and its daemon in an empty directory; `sync` are lines of [tenants.sync] beside the world's own.

    With `registers` the daemon makes its own webhook at Propstreet.
    """
    async with world(seed, **switches) as place:
        running = Flow(place, directory, poll, sync, registers=registers)
        shutil.copytree(cluster, running.data)
        try:
            await running.daemon.start()
            if subscribe:
                place.subscribe(propstreet=not registers)
            yield running
        finally:
            await running.forget_connection()
            await running.daemon.stop()


@pytest.fixture
def flow(tmp_path: Path, cluster: Path) -> Callable[..., Any]:
    return partial(up, tmp_path, cluster)
