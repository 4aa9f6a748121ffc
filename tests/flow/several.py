"""Several daemons on one PostgreSQL, and a relay on the way to a vendor that sees, and may hold back, what one sends."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from daemon import config
from daemon.processor import options_of
from daemon.sandbox.agreement import differences
from daemon.sandbox.day import idle
from daemon.sandbox.process import DaemonProcess
from daemon.sandbox.world import TENANT, World, free_port, world
from daemon.storage import rebuild
from daemon.storage.connection import Connection
from tests.conftest import eventually

WRITE = re.compile(rb"^(POST|PUT|PATCH|DELETE) (?!/openid/token)(\S+)")

WATCH = """
CREATE TABLE toveis.written (who text, what text, at timestamptz);
CREATE FUNCTION toveis.watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO toveis.written VALUES (session_user, TG_TABLE_NAME, clock_timestamp());
    RETURN NULL;
END
$$;
"""
WATCHED = ("toveis.events", "toveis.checkpoints", "toveis.cursors", "toveis.reads", "views.progress")


class Relay:
    """Hands on what passes, and remembers the writes among it.

    A write that it is `holding` waits here, and its sender for the answer; so do reads while it does not `flow`.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.writes: list[str] = []
        self.holding: Callable[[str], bool] = lambda _: False
        self.held: list[tuple[str, bytes]] = []
        self.flow = asyncio.Event()
        self.flow.set()
        self.waiting = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await self._connect()
        answering = asyncio.create_task(_pipe(there, writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                if head := WRITE.match(data):
                    path = head[2].decode()
                    self.writes.append(path)
                    if self.holding(path):
                        self.held.append((path, data))
                        continue
                else:
                    self.waiting += 1
                    await self.flow.wait()
                    self.waiting -= 1
                back.write(data)
                await back.drain()
        back.close()
        await asyncio.gather(answering, return_exceptions=True)
        writer.close()

    async def let_go(self) -> None:
        """What was held arrives now, however long ago its sender died."""
        for _, data in self.held:
            reader, writer = await self._connect()
            writer.write(data)
            await writer.drain()
            await reader.readline()
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._target.hostname, self._target.port)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class Peer(DaemonProcess):
    """One of several daemons. It logs in to the database under its own name, and its calls pass its relays."""

    def __init__(self, name: str, config_file: Path, log_file: Path, port: int, relays: list[Relay]) -> None:
        super().__init__(config_file, log_file, f"http://127.0.0.1:{port}")
        self.name = name
        self.port = port
        self.vitec, self.propstreet = relays

    @property
    def alive(self) -> bool:
        """It runs, as far as we know."""
        return self._process is not None and self._process.poll() is None


class Several:
    """A world, a database, and the daemons that share it."""

    def __init__(self, place: World, dsn: str, directory: Path, stack: AsyncExitStack) -> None:
        self.world = place
        self.peers: list[Peer] = []
        self._dsn = dsn.replace("/proc/self/", f"/proc/{os.getpid()}/")
        self._directory = directory
        self._stack = stack
        self.conn: Any = None

    async def open(self) -> None:
        """Connect, and watch who writes."""
        self.conn = await asyncpg.connect(self._dsn, server_settings={"search_path": "toveis, views"})
        self._stack.push_async_callback(self.conn.close)
        await self.conn.execute(WATCH)
        for table in WATCHED:
            await self.conn.execute(
                f"CREATE TRIGGER watched AFTER INSERT OR UPDATE ON {table} EXECUTE FUNCTION toveis.watch()"
            )

    async def add(self, name: str) -> Peer:
        """A daemon more, up and ready."""
        await self.conn.execute(
            f"DO $$ BEGIN CREATE ROLE {name} LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        place, home = self.world, self._directory / name
        home.mkdir()
        relays = [Relay(place.vitec_url), Relay(place.propstreet_url)]
        text, port = place.configuration(home / "data", "250ms"), free_port()
        for relay, url in zip(relays, (place.vitec_url, place.propstreet_url), strict=True):
            server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
            self._stack.callback(server.close)
            text = text.replace(url, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        dsn = self._dsn.replace("//toveis@", f"//{name}@")
        assert dsn != self._dsn
        text = text.replace(f"port = {place.port}", f"port = {port}")
        text = text.replace("[database]", f'[database]\ndsn = "{dsn}"')
        (home / "toveis.toml").write_text(text, "utf-8")
        peer = Peer(name, home / "toveis.toml", home / "daemon.log", port, relays)
        self.peers.append(peer)
        self._stack.push_async_callback(peer.stop)
        await peer.start()
        return peer

    async def holder(self) -> Peer | None:
        """Who has the tenant now."""
        name = await self.conn.fetchval(
            "SELECT name FROM leases JOIN daemons ON daemon = holder"
            " WHERE tenant = $1 AND leases.expires > clock_timestamp()",
            TENANT,
        )
        return next((peer for peer in self.peers if name and name.endswith(f":{peer.port}")), None)

    async def held_by(self, peer: Peer, timeout: float = 30.0) -> None:  # noqa: ASYNC109 - a test's own
        """Wait until a daemon has the tenant."""

        async def so() -> bool:
            return await self.holder() is peer

        await eventually(so, timeout)

    async def settled(self, timeout: float = 40.0) -> None:  # noqa: ASYNC109 - a test's own
        """Both vendors are the same, and nothing waits."""

        async def quiet() -> bool:
            return not differences(self.world.vitec, self.world.propstreet) and await idle(self.conn)

        await eventually(quiet, timeout)

    async def wrote(self, peer: Peer) -> int:
        """How often a daemon has written into the log, the views or the working knowledge."""
        count: int = await self.conn.fetchval("SELECT count(*) FROM written WHERE who = $1", peer.name)
        return count

    async def check_log(self) -> None:
        """The log is sound, and every view equals a fresh fold."""
        conn: Connection = self.conn
        options = options_of(config.load(self.peers[0].config_file, {}).tenants[0])
        assert await rebuild.check_log(conn, TENANT) == []
        assert await rebuild.compare(conn, TENANT, options) == []


@asynccontextmanager
async def several(directory: Path, dsn: str, *names: str) -> AsyncIterator[Several]:
    """A world and its daemons, the first one with the tenant."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(world(1))
        running = Several(place, dsn, directory, stack)
        await running.open()
        for name in names:
            peer = await running.add(name)
            await running.held_by(running.peers[0])
            assert peer is running.peers[-1]
        yield running
