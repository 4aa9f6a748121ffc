"""The appender: one task per tenant that groups many requests into one commit.

Callers wait until their events are durable. A request whose expected versions do not hold fails alone; the others of
its group are written. A request that the database refuses (a statement of its own, a value) is retried alone, so that
it cannot take the group down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from daemon.domain.errors import DatabaseUnreachable, LeaseLost, StorageError, WrongExpectedVersion
from daemon.domain.events import NewEvent
from daemon.pulse import Work, beat
from daemon.storage import log
from daemon.storage.connection import UNREACHABLE, Connection, unreachable
from daemon.storage.leases import Lease
from daemon.storage.log import Appended, KnownRecord, Read, State

Item = NewEvent | Read
Also = Callable[[Connection], Awaitable[None]]
GROUP: Final = 512
CROWD: Final = 60
"""So many events in a tenth of a second are a burst: folding and deciding give way."""
COALESCE: Final = 0.02


Outcome = list[Appended] | StorageError


class Request:
    """What one caller wants appended together, with the versions it decided on, what must commit with it, and the lease
    that gives the right to it; None for what anybody may append."""

    __slots__ = ("also", "done", "expected", "items", "lease")

    def __init__(
        self,
        items: Sequence[Item],
        expected: Mapping[str, int],
        also: Also | None,
        done: "asyncio.Future[list[Appended]]",
        lease: Lease | None,
    ) -> None:
        self.items = items
        self.expected = expected
        self.also = also
        self.done = done
        self.lease = lease


class Appender:
    """Appends for one tenant."""

    def __init__(
        self,
        pool: "asyncpg.Pool[Any]",
        tenant: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        backlog: int = 10_000,
    ) -> None:
        self.tenant = tenant
        self.work = Work("append", tenant)
        self._head = 0
        self._pool = pool
        self._clock = clock
        self._queue: asyncio.Queue[Request] = asyncio.Queue(backlog)
        self._task: asyncio.Task[None] | None = None
        self._recent = 0.0
        self._counted = 0.0

    @property
    def head(self) -> int:
        """The newest position that this process knows: a safe start for a read."""
        return self._head

    async def start(self) -> None:
        """Learn the head and begin to serve."""
        await self.learn()
        self._task = asyncio.create_task(self._serve(), name=f"appender {self.tenant}")

    async def learn(self) -> None:
        """Learn how far others have come: a read that begins now began after all of that."""
        async with unreachable(), self._pool.acquire() as conn:
            self._head = max(self._head, await log.head(conn, self.tenant))

    async def stop(self) -> None:
        """Serve what was accepted, then end."""
        await self._queue.join()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def append(
        self,
        items: Sequence[Item],
        *,
        expected: Mapping[str, int] | None = None,
        also: Also | None = None,
        lease: Lease | None = None,
    ) -> list[Appended]:
        """Append the items in one transaction and wait for its commit.

        Raises WrongExpectedVersion when a stream moved, DatabaseUnreachable when there is no database now, LeaseLost
        when the `lease` is another's. `also` runs in the same transaction (a checkpoint, a cursor).
        """
        done: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(Request(items, expected or {}, also, done, lease))
        except asyncio.QueueFull:
            raise DatabaseUnreachable("too many events wait for the database") from None
        try:
            return await done
        finally:
            beat()

    def under(self, lease: Lease) -> "Appender":
        """The appender as the stages of one lease have it."""
        return Leased(self, lease)

    async def calm(self, patience: float) -> None:
        """Let the open port go first: during a burst wait a little, `patience` seconds at most."""
        loop = asyncio.get_running_loop()
        end = loop.time() + max(patience, COALESCE)
        while self._burst(loop.time()) > CROWD and loop.time() < end:  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(COALESCE)

    def _burst(self, now: float) -> float:
        """How many events came in the last tenth of a second, older ones counting less and less."""
        self._recent *= 2.0 ** (-10.0 * (now - self._counted))
        self._counted = now
        return self._recent

    async def _serve(self) -> None:
        while True:
            group = [await self._queue.get()]
            size = len(group[0].items)
            while size < GROUP and not self._queue.empty():
                group.append(self._queue.get_nowait())
                size += len(group[-1].items)
            try:
                with self.work.under_way():
                    await self._write(group)
            except asyncio.CancelledError:
                for request in group:
                    request.done.cancel()
                raise
            finally:
                self._recent = self._burst(asyncio.get_running_loop().time()) + size
                for _ in group:
                    self._queue.task_done()

    async def _write(self, group: list[Request]) -> None:
        plain = all(
            not r.expected and r.also is None and r.lease is None and _all_new(r.items) for r in group
        )
        try:
            outcomes = await (self._append(group) if plain else self._transaction(group))
        except UNREACHABLE as error:
            for request in group:
                _fail(request, DatabaseUnreachable("the database does not answer"), error)
        except Exception as error:
            if len(group) == 1:
                _fail(
                    group[0], error if isinstance(error, StorageError) else StorageError(_words(error)), error
                )
                return
            for request in group:
                await self._write([request])
        else:
            for request, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, StorageError):
                    _fail(request, outcome, None)
                elif not request.done.done():
                    request.done.set_result(outcome)

    async def _append(self, group: list[Request]) -> list[Outcome]:
        """A group of events that expect nothing, as webhooks are: one round trip."""
        events = {i.event_id: i for r in group for i in r.items if isinstance(i, NewEvent)}
        async with self._pool.acquire() as conn:
            places = await log.append(conn, self.tenant, list(events.values()), self._clock())
        self._head = max(self._head, *places.values(), 0)
        return [
            [Appended(i.event_id, places.pop(i.event_id, None)) for i in r.items if isinstance(i, NewEvent)]
            for r in group
        ]

    async def _transaction(self, group: list[Request]) -> list[Outcome]:
        async with self._pool.acquire() as conn, conn.transaction():
            await log.lock(conn, self.tenant)
            for lease in dict.fromkeys(request.lease for request in group):
                await _look_at(lease, conn)
            now = self._clock()
            reads = list({i.stream for r in group for i in r.items if isinstance(i, Read)})
            known = await log.known_records(conn, self.tenant, reads) if reads else {}
            state = await log.state(
                conn,
                self.tenant,
                [i.event_id for r in group for i in r.items if isinstance(i, NewEvent)],
                list({i.stream for r in group for i in r.items} | {s for r in group for s in r.expected}),
            )
            writer = _Writer(self.tenant, state, known)
            outcomes = [writer.take(request) for request in group]
            if writer.rows:
                await log.insert(conn, self.tenant, writer.rows, now)
            await log.remember_reads(conn, self.tenant, writer.reads, now)
            for request, outcome in zip(group, outcomes, strict=True):
                if request.also is not None and not isinstance(outcome, StorageError):
                    await request.also(conn)
        self._head = max(self._head, writer.state.head)
        return outcomes


class _Writer:
    """Gives positions and versions to a group of requests, under the lock."""

    def __init__(self, tenant: str, state: State, known: dict[str, KnownRecord]) -> None:
        self.tenant = tenant
        self.state = state
        self.known = known
        self.rows: list[tuple[int, int, NewEvent]] = []
        self.reads: list[tuple[Read, int]] = []

    def take(self, request: Request) -> Outcome:
        if request.lease is not None and request.lease.lost:
            return LeaseLost("another daemon has this tenant now")
        try:
            log.check(request.expected, self.state.versions)
        except WrongExpectedVersion as error:
            return error
        return [self._place(item) for item in request.items]

    def _place(self, item: Item) -> Appended:
        if isinstance(item, NewEvent):
            return self._add(item)
        known = self.known[item.stream]
        event = log.judge(item, known, self.tenant, self.state.head)
        placed = Appended(known.event_id or item.correlation_id, None) if event is None else self._add(event)
        known.ended = max(known.ended, self.state.head)
        self.reads.append((item, self.state.head))
        return placed

    def _add(self, event: NewEvent) -> Appended:
        if event.event_id in self.state.stored:
            return Appended(event.event_id, None)
        self.state.stored.add(event.event_id)
        self.state.head += 1
        self.state.versions[event.stream] += 1
        self.rows.append((self.state.head, self.state.versions[event.stream], event))
        return Appended(event.event_id, self.state.head)


class Leased(Appender):
    """An appender as the stages of a tenant have it: nothing is appended once the lease is another's."""

    def __init__(self, whole: Appender, lease: Lease) -> None:
        self.tenant = whole.tenant
        self._whole = whole
        self._lease = lease

    @property
    def head(self) -> int:
        """The newest position that this process knows."""
        return self._whole.head

    async def learn(self) -> None:
        """Learn how far others have come."""
        await self._whole.learn()

    async def append(
        self,
        items: Sequence[Item],
        *,
        expected: Mapping[str, int] | None = None,
        also: Also | None = None,
        lease: Lease | None = None,
    ) -> list[Appended]:
        """Append as the whole appender does; raises LeaseLost as well."""
        return await self._whole.append(items, expected=expected, also=also, lease=lease or self._lease)

    async def calm(self, patience: float) -> None:
        """Let the open port go first."""
        await self._whole.calm(patience)


async def _look_at(lease: Lease | None, conn: Connection) -> None:
    """Learn whether a lease still holds; until the transaction ends it does."""
    if lease is not None:
        with suppress(LeaseLost):
            await lease.check(conn)


def _all_new(items: Sequence[Item]) -> bool:
    return all(isinstance(item, NewEvent) for item in items)


def _fail(request: Request, error: BaseException, cause: BaseException | None) -> None:
    if not request.done.done():
        error.__cause__ = cause
        request.done.set_exception(error)


def _words(error: BaseException) -> str:
    """What the database said, without any value of a row."""
    return f"the database refused the append ({type(error).__name__})"
