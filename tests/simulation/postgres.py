"""A real PostgreSQL under the simulator: asyncpg in a thread with a loop of its own, one statement at a time.

The simulation stands still while a statement runs, so no virtual time passes and the order of everything is still the
simulator's. Nobody waits inside the server: who would have to, waits in `sessions.Locks` before. Should a statement
wait there all the same, it fails within a second, and `holds` of that statement must be told.
"""

import asyncio
import io
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from daemon.storage.connection import open_pool, owner
from tests.simulation.database import MARK
from tests.simulation.sessions import Server, Session, Statement
from tests.simulation.statements import by_text

T = TypeVar("T")
_MARK: Final = "UPDATE toveis.incarnation SET mark = $1"
_TABLES: Final = (
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('toveis', 'views') ORDER BY 1, 2"
)
Backup = dict[tuple[str, str], bytes]
"""The rows of every table, by schema and name, in PostgreSQL's binary form."""
PATIENCE: Final = 60.0
"""Seconds after which a server that does not answer is given up."""


class Postgres(Server):
    """A migrated database of a real server, as a context. What is random in it is made what `Database` has.

    Notifications are told at the commit by `sessions`; nobody listens at the server. `dsn` is that of the owner.
    """

    def __init__(self, dsn: str, size: int = 40) -> None:
        super().__init__()
        self._statements = by_text()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
        self._dsn = dsn
        self._size = size

    def __enter__(self) -> Self:
        self._thread.start()
        self._pool = self.wait_for(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait_for(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> Any:
        async with owner(self._dsn) as connection:
            await connection.execute(_MARK, MARK)
        return await open_pool(self._dsn, size=self._size)

    async def _end(self) -> None:
        self._pool.terminate()

    def copy(self) -> Backup:
        """What is committed now, as a backup would have it."""
        return self.wait_for(self._copy())

    async def _copy(self) -> Backup:
        backup: Backup = {}
        async with owner(self._dsn) as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            for schema, table in await conn.fetch(_TABLES):
                rows = io.BytesIO()
                await conn.copy_from_table(table, schema_name=schema, output=rows, format="binary")
                backup[schema, table] = rows.getvalue()
        return backup

    def become(self, backup: Backup) -> None:
        """Hold what a backup holds; nobody may be connected. The log's own triggers are off meanwhile."""
        self.wait_for(self._become(backup))

    async def _become(self, backup: Backup) -> None:
        async with owner(self._dsn) as conn, conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '1s'")
            for schema, table in backup:
                await conn.execute(f"TRUNCATE {schema}.{table}")
            for (schema, table), rows in backup.items():
                source = io.BytesIO(rows)
                await conn.copy_to_table(table, schema_name=schema, source=source, format="binary")

    def statement(self, sql: str) -> Statement:
        """The statement of a text; one that is not known takes no locks and tells nobody."""
        return self._statements.get(sql) or Statement(sql, list)

    def session(self) -> Session:
        """A new connection: one of a pool's, as the daemon's role."""
        return _Session(self)

    async def connect(self) -> Any:
        """A connection of the pool in which nobody waits long for a lock."""
        connection = await self._pool.acquire()
        await connection.execute("SET lock_timeout = '1s'")
        return connection

    async def leave(self, connection: Any) -> None:
        """Give a connection back."""
        await self._pool.release(connection)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the thread do something, and stand still meanwhile."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


class _Session:
    """One connection at the real server. A transaction begins there with its first statement."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._connection = server.wait_for(server.connect())
        self._planned: Any = None
        self._transaction: Any = None

    def begin(self, snapshot: bool, readonly: bool) -> None:
        isolation = "repeatable_read" if snapshot else None
        self._planned = self._connection.transaction(isolation=isolation, readonly=readonly)

    def run(self, statement: Statement, sql: str, args: Sequence[Any]) -> Sequence[Any]:
        return self._server.wait_for(self._run(sql, args))

    async def _run(self, sql: str, args: Sequence[Any]) -> Sequence[Any]:
        if self._planned is not None:
            self._transaction, self._planned = self._planned, None
            await self._transaction.start()
        rows: Sequence[Any] = await self._connection.fetch(sql, *args)
        return rows

    def commit(self) -> None:
        if (begun := self._over()) is not None:
            self._server.wait_for(begun.commit())

    def roll_back(self) -> None:
        if (begun := self._over()) is not None:
            self._server.wait_for(begun.rollback())

    def _over(self) -> Any:
        begun, self._transaction, self._planned = self._transaction, None, None
        return begun

    def close(self) -> None:
        self.roll_back()
        self._server.wait_for(self._server.leave(self._connection))
