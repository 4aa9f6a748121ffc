"""A pool and connections that behave as asyncpg's do, over a server that is a stand-in or a real one.

A server runs one statement at a time, at once. Everything that takes time is here: each round trip passes a gate
before the statement takes effect and another one before its answer arrives, and whoever needs what an open
transaction holds waits for its end. So the same tasks wait for each other whatever the server is, and no task ever
waits inside of it.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar

import asyncpg
import msgspec

T = TypeVar("T")
Gate = Callable[[str], Awaitable[None]]
"""gate("log.insert") before a statement takes effect, gate("log.insert answered") before its answer arrives.

An error that it raises is one of the connection, which is lost by it. Cancelling a task there loses nothing.
"""
Heard = Callable[[str, str], None]
"""heard(channel, payload), at a commit."""

LockKey = tuple[str, ...]
LOST: Final = "connection was closed in the middle of operation"
CLOSED: Final = "connection is closed"


class Statement(msgspec.Struct, frozen=True, eq=False):
    """A statement of the `.sql` files as everybody has to know it.

    `holds` gives the locks that it takes, from its arguments; `tells` is the channel on which it notifies, with the
    first argument. `run` is what the stand-in does. An answer that is not `ordered` may come in any order.
    """

    name: str
    run: Callable[..., Sequence[Any]]
    holds: Callable[..., Sequence[LockKey]] | None = None
    tells: str | None = None
    answered: str = ""
    ordered: bool = True


class Session(Protocol):
    """One connection at the server. Outside of a transaction every statement is one of its own."""

    def begin(self, snapshot: bool, readonly: bool) -> None:
        """Begin a transaction; a snapshot sees one moment."""

    def run(self, statement: Statement, sql: str, args: Sequence[Any]) -> Sequence[Any]:
        """Run a statement; its rows."""

    def commit(self) -> None:
        """Let the transaction's writes be seen."""

    def roll_back(self) -> None:
        """Let the transaction's writes never have been."""

    def close(self) -> None:
        """Go away, with whatever was under way."""


class Server:
    """What connections are made to."""

    def __init__(self) -> None:
        self.locks = Locks()
        self.listeners: list[Heard] = []

    def statement(self, sql: str) -> Statement:
        """The statement of a text."""
        raise NotImplementedError

    def session(self) -> Session:
        """A new connection."""
        raise NotImplementedError

    def pool(self, gate: Gate, size: int = 10) -> "Pool":
        """A pool as one incarnation of the daemon has it."""
        return Pool(self, gate, size)


class Locks:
    """Who may go on, by what they hold; the others wait in the order of their coming."""

    def __init__(self) -> None:
        self._holder: dict[LockKey, Connection] = {}
        self._held: dict[Connection, list[LockKey]] = defaultdict(list)
        self._queue: dict[LockKey, deque[Connection]] = defaultdict(deque)
        self._waits: dict[Connection, tuple[LockKey, asyncio.Future[None]]] = {}

    async def take(self, who: "Connection", key: LockKey) -> None:
        """Hold a key until `release`. Raises DeadlockDetectedError when its holder waits for us."""
        holder = self._holder.get(key)
        if holder is None:
            self._give(who, key)
        elif holder is not who:
            self._refuse_circle(who, holder)
            turn = asyncio.get_running_loop().create_future()
            self._queue[key].append(who)
            self._waits[who] = key, turn
            try:
                await turn
            finally:
                self._leave(who)

    def release(self, who: "Connection") -> None:
        """Let go of everything, also of a place in a queue."""
        self._leave(who)
        for key in self._held.pop(who, ()):
            del self._holder[key]
            queue = self._queue.get(key)
            while queue and key not in self._holder:
                next_one = queue.popleft()
                _, turn = self._waits.pop(next_one)
                if not turn.done():
                    self._give(next_one, key)
                    turn.set_result(None)

    def _give(self, who: "Connection", key: LockKey) -> None:
        self._holder[key] = who
        self._held[who].append(key)

    def _leave(self, who: "Connection") -> None:
        if who in self._waits:
            key, turn = self._waits.pop(who)
            self._queue[key].remove(who)
            if not turn.done():
                turn.set_result(None)

    def _refuse_circle(self, who: "Connection", holder: "Connection") -> None:
        while holder in self._waits:
            holder = self._holder[self._waits[holder][0]]
            if holder is who:
                raise asyncpg.DeadlockDetectedError("deadlock detected")


class Connection:
    """One connection, with the methods of asyncpg's that the daemon uses."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self._server = server
        self._gate = gate
        self._session: Session | None = server.session()
        self._busy = False
        self._inside = False
        self._failed = False
        self._told: dict[tuple[str, str], None] = {}

    # -- asyncpg's own

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        """All rows."""
        return await self._run(sql, args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        """The first row, or None."""
        rows = await self._run(sql, args)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: Any, column: int = 0) -> Any:
        """A value of the first row, or None."""
        rows = await self._run(sql, args)
        return rows[0][column] if rows else None

    async def cursor(self, sql: str, *args: Any, prefetch: int = 0) -> AsyncIterator[Any]:
        """The rows one after the other, which here come all at once."""
        for row in await self._run(sql, args):
            yield row

    async def execute(self, sql: str, *args: Any) -> str:
        """Run a statement for its effect. Unlike asyncpg's, the answer says nothing."""
        await self._run(sql, args)
        return ""

    def transaction(self, *, isolation: str | None = None, readonly: bool = False) -> "Transaction":
        """A transaction, as a context. There are no savepoints here."""
        return Transaction(self, isolation == "repeatable_read", readonly)

    def is_closed(self) -> bool:
        """Whether the connection is lost."""
        return self._session is None

    # -- a round trip

    async def _run(self, sql: str, args: tuple[Any, ...]) -> Sequence[Any]:
        statement = self._server.statement(sql)
        holds = statement.holds(*args) if statement.holds is not None else ()

        def effect(session: Session) -> Sequence[Any]:
            if self._failed:
                raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
            rows = session.run(statement, sql, args)
            if statement.tells is not None:
                self._told[statement.tells, args[0]] = None
            if not self._inside:
                self._end(committed=True)
            return rows if statement.ordered or len(rows) < 2 else sorted(rows, key=_any_order)

        return await self._trip(statement.name, statement.answered, effect, holds)

    async def begin(self, snapshot: bool, readonly: bool) -> None:
        """Begin a transaction."""
        assert not self._inside, "there are no savepoints here"

        def effect(session: Session) -> None:
            session.begin(snapshot, readonly)
            self._inside = True

        await self._trip("begin", "begin answered", effect)

    async def commit(self) -> None:
        """Commit; what has failed is rolled back, as PostgreSQL does."""

        def effect(session: Session) -> None:
            committed = not self._failed
            if committed:
                session.commit()
            else:
                session.roll_back()
            self._end(committed)

        await self._trip("commit", "commit answered", effect)

    async def roll_back(self) -> None:
        """Roll back."""

        def effect(session: Session) -> None:
            session.roll_back()
            self._end(committed=False)

        await self._trip("rollback", "rollback answered", effect)

    async def _trip(
        self, name: str, answered: str, effect: Callable[[Session], T], holds: Sequence[LockKey] = ()
    ) -> T:
        if self._session is None:
            raise asyncpg.InterfaceError(CLOSED)
        if self._busy:
            raise asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
        self._busy = True
        try:
            await self._pass(name)
            for key in holds:
                await self._server.locks.take(self, key)
            if self._session is None:
                raise asyncpg.ConnectionDoesNotExistError(LOST)
            answer = effect(self._session)
            await self._pass(answered)
            return answer
        except BaseException:
            self._failed = self._inside
            if not self._inside:
                self._end(committed=False)
            raise
        finally:
            self._busy = False

    async def _pass(self, step: str) -> None:
        try:
            await self._gate(step)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self.lose()
            raise
        if self._session is None:
            raise asyncpg.ConnectionDoesNotExistError(LOST)

    def _end(self, committed: bool) -> None:
        """The transaction is over: others may go on, and hear of it."""
        told, self._told = self._told, {}
        self._inside = self._failed = False
        self._server.locks.release(self)
        if committed:
            for channel, payload in told:
                for heard in self._server.listeners:
                    heard(channel, payload)

    def lose(self) -> None:
        """The connection breaks; what was under way is rolled back."""
        if self._session is not None:
            self._session.close()
            self._session = None
            self._end(committed=False)

    @property
    def inside(self) -> bool:
        """A transaction is under way."""
        return self._inside

    def leave_alone(self) -> bool:
        """Whether it may be used by somebody else: it lives, and nothing is under way. Else it is lost."""
        if self._inside:
            self.lose()
        return self._session is not None


def _any_order(row: Any) -> list[str]:
    """Where the SQL names no order there is none; so that a story ends the same on both servers, there is one here."""
    return [str(value) for value in row]


class Transaction:
    """A transaction as asyncpg's contexts are: committed at the end, rolled back after an error."""

    def __init__(self, connection: Connection, snapshot: bool, readonly: bool) -> None:
        self._connection = connection
        self._snapshot = snapshot
        self._readonly = readonly

    async def __aenter__(self) -> None:
        await self._connection.begin(self._snapshot, self._readonly)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._connection.commit()
        elif kind is not GeneratorExit:
            await self._connection.roll_back()


class Pool:
    """The connections of one incarnation of the daemon, `size` at most."""

    def __init__(self, server: Server, gate: Gate, size: int) -> None:
        self._server = server
        self._gate = gate
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._all: dict[Connection, None] = {}
        self._closed = False

    def acquire(self) -> "Acquired":
        """A connection, as a context; waits for one while all are in use."""
        return Acquired(self)

    async def close(self) -> None:
        """Wait until every connection is back, then close them."""
        self._closed = True
        for _ in range(self._size):
            await self._free.acquire()
        self.terminate()

    def terminate(self) -> None:
        """Break all connections at once. Unlike asyncpg's, the pool goes on: whoever asks gets a new one."""
        self._idle.clear()
        while self._all:
            self._drop(next(iter(self._all)))

    def lose_transactions(self) -> None:
        """Break every connection that is in the middle of a transaction, as PostgreSQL does when nobody goes on."""
        for connection in [each for each in self._all if each.inside]:
            connection.lose()

    async def take(self) -> Connection:
        """A connection that is alive."""
        if self._closed:
            raise asyncpg.InterfaceError("pool is closed")
        await self._free.acquire()
        try:
            return self._idle.pop() if self._idle else await self._connect()
        except BaseException:
            self._free.release()
            raise

    async def _connect(self) -> Connection:
        await self._gate("connect")
        connection = Connection(self._server, self._gate)
        self._all[connection] = None
        try:
            await self._gate("connect answered")
            if connection.is_closed():
                raise asyncpg.ConnectionDoesNotExistError(LOST)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """The user is done with a connection."""
        if connection.leave_alone() and not self._closed:
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._free.release()

    def _drop(self, connection: Connection) -> None:
        connection.lose()
        self._all.pop(connection, None)


class Acquired:
    """A connection of the pool, for as long as the context lasts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None

    async def __aenter__(self) -> Any:  # the daemon takes it for one of asyncpg's
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None
        self._pool.give_back(self._connection)
