"""What the simulator's two databases have in common: transactions, locks, gates, and connections that are lost."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
import pytest

from daemon.domain.events import NewEvent
from daemon.storage import log, views, working
from daemon.storage.connection import snapshot
from projections.entities import AliasRow
from tests.integration.ground import event
from tests.simulation.database import Database
from tests.simulation.postgres import Postgres
from tests.simulation.sessions import Pool, Server
from tests.simulation.statements import every_text

TENANT: Final = "oslo"
NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each of the two."""
    if request.param == "memory":
        yield Database()
        return
    with Postgres(request.getfixturevalue("database")) as postgres:
        yield postgres


class Gate:
    """Notes who passes; `at` says what happens at a step."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.at: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}

    async def __call__(self, step: str) -> None:
        self.passed.append(step)
        if step in self.at:
            await self.at.pop(step)()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def pool(server: Server, gate: Gate) -> Pool:
    return server.pool(gate)


async def head(pool: Pool) -> int:
    async with pool.acquire() as conn:
        return await log.head(conn, TENANT)


async def lost() -> None:
    raise asyncpg.ConnectionDoesNotExistError("gone")


def append(conn: Any, *events: NewEvent) -> Coroutine[Any, Any, Any]:
    return log.append(conn, TENANT, events, NOON)


# -- transactions


async def test_what_is_not_committed_is_nobody_elses(pool: Pool) -> None:
    async with pool.acquire() as one:
        async with one.transaction():
            await append(one, event())
            await working.move_checkpoint(one, TENANT, "react", 5)
            assert await log.head(one, TENANT) == 1
            assert await working.checkpoint(one, TENANT, "react") == 5
            assert await head(pool) == 0
        assert await head(pool) == 1


async def test_after_a_rollback_nothing_was_written(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with suppress(ZeroDivisionError):
            async with conn.transaction():
                await append(conn, event())
                raise ZeroDivisionError
        assert await head(pool) == 0
        await append(conn, event())
    assert await head(pool) == 1


async def test_after_an_error_only_a_rollback_is_left(pool: Pool, server: Server) -> None:
    heard: list[str] = []
    server.listeners.append(lambda channel, _: heard.append(channel))
    async with pool.acquire() as conn:
        async with conn.transaction():
            await append(conn, event())
            with pytest.raises(asyncpg.CheckViolationError):
                await append(conn, event(origin="elsewhere"))
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await log.head(conn, TENANT)
        assert await log.head(conn, TENANT) == 0
    assert heard == []


async def test_a_snapshot_sees_the_moment_of_its_first_statement(pool: Pool) -> None:
    async with pool.acquire() as reader, pool.acquire() as writer:
        row = [AliasRow(TENANT, "con-young", "con-old")]
        await views.write(writer, "aliases", row)
        async with snapshot(reader):
            await append(writer, event("contact:con-a"))
            assert await log.head(reader, TENANT) == 1  # the moment begins here
            await append(writer, event("contact:con-a"), event("contact:con-b"))
            await writer.execute(every_text()["aliases.delete"], TENANT, ["con-young"])
            await working.move_checkpoint(writer, TENANT, "react", 3)
            assert await log.head(reader, TENANT) == 1
            assert len(await log.page(reader, TENANT, 0)) == 1
            assert (await log.state(reader, TENANT, [], ["contact:con-a"])).versions == {"contact:con-a": 1}
            assert await views.aliases(reader, TENANT, ["con-young"]) == {"con-young": "con-old"}
            assert await views.absorbed(reader, TENANT, "con-old") == ["con-young"]
            assert await working.checkpoint(reader, TENANT, "react") == 0
        assert await log.head(reader, TENANT) == 3
        assert await views.aliases(reader, TENANT, ["con-young"]) == {}


async def test_a_snapshot_writes_nothing(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with snapshot(conn):
                await working.move_checkpoint(conn, TENANT, "react", 1)


async def test_rows_may_be_replaced_within_a_transaction(pool: Pool) -> None:
    delete = every_text()["aliases.delete"]
    async with pool.acquire() as conn:
        await views.write(conn, "aliases", [AliasRow(TENANT, "con-b", "con-a")])
        async with conn.transaction():
            await conn.execute(delete, TENANT, ["con-b"])
            assert await views.absorbed(conn, TENANT, "con-a") == []
            await views.write(
                conn,
                "aliases",
                [AliasRow(TENANT, "con-b", "con-0"), AliasRow(TENANT, "con-c", "con-0")],
            )
            await conn.execute(delete, TENANT, ["con-c", "con-d"])
        assert await views.aliases(conn, TENANT, ["con-b", "con-c"]) == {"con-b": "con-0"}
        assert await views.absorbed(conn, TENANT, "con-0") == ["con-b"]
        assert await views.absorbed(conn, TENANT, "con-a") == []


# -- what is refused


async def test_a_place_an_event_and_a_version_are_taken_once(pool: Pool) -> None:
    first = event("contact:con-a")
    others = [(1, 9, event()), (2, 9, event(event_id=first.event_id)), (2, 1, event("contact:con-a"))]
    async with pool.acquire() as conn:
        await log.insert(conn, TENANT, [(1, 1, first)], NOON)
        for row in others:
            with pytest.raises(asyncpg.UniqueViolationError):
                await log.insert(conn, TENANT, [row], NOON)
        with pytest.raises(asyncpg.UniqueViolationError):
            await log.insert(conn, TENANT, [(2, 1, same := event()), (3, 2, same)], NOON)
        await log.insert(conn, "bergen", [(1, 1, first)], NOON)
    assert await head(pool) == 1


async def test_a_row_of_a_view_is_there_once(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await views.write(conn, "aliases", [AliasRow(TENANT, "con-b", "con-a")])
        with pytest.raises(asyncpg.UniqueViolationError):
            await views.write(conn, "aliases", [AliasRow(TENANT, "con-b", "con-0")])


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"tenant": TENANT, "alias": "con-b", "entity": None}, asyncpg.NotNullViolationError),
        ({"tenant": TENANT, "alias": "con-b"}, asyncpg.NotNullViolationError),
        (
            {"tenant": TENANT, "alias": "con-b", "entity": "con\0a"},
            asyncpg.UntranslatableCharacterError,
        ),
    ],
)
async def test_a_row_that_cannot_be_is_refused(
    pool: Pool, row: dict[str, Any], error: type[Exception]
) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(error):
            await conn.execute(every_text()["aliases.insert"], msgspec.json.encode([row]).decode())


async def test_what_is_no_json_is_refused_and_odd_json_is_kept_as_it_is(pool: Pool) -> None:
    odd = rb'{"b": 1.10, "a" : "\ud800\u0000", "a": [ ]}'
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await append(conn, event(data=b"{'a': 1}"))
        await append(conn, event(data=odd, meta=None))
        (kept,) = await log.page(conn, TENANT, 0)
    assert (kept.data, kept.meta) == (odd.decode(), None)


# -- who hears of it


async def test_others_hear_of_a_commit_and_only_of_that(pool: Pool, server: Server) -> None:
    heard: list[tuple[str, str]] = []
    server.listeners.append(lambda *told: heard.append(told))
    async with pool.acquire() as conn:
        with suppress(ZeroDivisionError):
            async with conn.transaction():
                await append(conn, event())
                raise ZeroDivisionError
        async with conn.transaction():
            await append(conn, event())
            await append(conn, event())
            await working.tell_views(conn, TENANT)
            assert heard == []
        assert heard == [("toveis", TENANT), ("toveis_views", TENANT)]
        await working.ask_polls(conn, "bergen")
    assert heard[2:] == [("toveis_polls", "bergen")]


# -- gates, and connections that are lost


async def test_every_round_trip_passes_two_gates(pool: Pool, gate: Gate) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await append(conn, event())
    async with pool.acquire() as conn:
        await log.head(conn, TENANT)
    names = ["connect", "begin", "log.append", "commit", "log.head"]
    assert gate.passed == [step for name in names for step in (name, f"{name} answered")]


@pytest.mark.parametrize(("step", "stored"), [("log.append", 0), ("log.append answered", 1)])
async def test_a_statement_is_lost_before_or_its_answer_after(
    pool: Pool, gate: Gate, step: str, stored: int
) -> None:
    gate.at[step] = lost
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await append(conn, event())
        assert conn.is_closed()
        with pytest.raises(asyncpg.InterfaceError):
            await log.head(conn, TENANT)
        with pytest.raises(asyncpg.InterfaceError):
            async with conn.transaction():
                pytest.fail("there is no connection")
    assert await head(pool) == stored  # on another connection


@pytest.mark.parametrize(
    ("step", "stored"), [("commit", 0), ("commit answered", 1), ("log.append answered", 0)]
)
async def test_a_commit_is_lost_before_or_its_answer_after(
    pool: Pool, gate: Gate, server: Server, step: str, stored: int
) -> None:
    heard: list[str] = []
    server.listeners.append(lambda channel, _: heard.append(channel))
    gate.at[step] = lost
    with pytest.raises((asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError)):
        async with pool.acquire() as conn, conn.transaction():
            await append(conn, event())
    assert await head(pool) == stored
    assert len(heard) == stored


async def test_a_connection_that_cannot_be_made_costs_nothing(server: Server, gate: Gate) -> None:
    pool = server.pool(gate, size=1)
    for step in ("connect", "connect answered"):
        gate.at[step] = lost
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await head(pool)
    assert await head(pool) == 0


async def test_when_all_connections_break_what_was_open_is_rolled_back(pool: Pool, gate: Gate) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def stand() -> None:
        reached.set()
        await go_on.wait()

    async def write() -> None:
        async with pool.acquire() as conn, conn.transaction():
            await append(conn, event())

    gate.at["commit"] = stand
    writing = asyncio.create_task(write())
    waiting = asyncio.create_task(write())  # for the first one's turn
    await reached.wait()
    pool.terminate()
    go_on.set()
    outcomes = await asyncio.gather(writing, waiting, return_exceptions=True)
    assert all(
        isinstance(each, asyncpg.ConnectionDoesNotExistError | asyncpg.InterfaceError) for each in outcomes
    )
    await write()  # nobody holds anything
    assert await head(pool) == 1


async def test_a_task_that_is_cancelled_loses_its_transaction_and_not_its_connection(
    pool: Pool, gate: Gate
) -> None:
    async def stand() -> None:
        await asyncio.Event().wait()

    async def write() -> None:
        async with pool.acquire() as conn, conn.transaction():
            await append(conn, event())

    gate.at["log.append answered"] = stand
    writing = asyncio.create_task(write())
    while "log.append answered" not in gate.passed:  # noqa: ASYNC110 - the others' turns are waited for
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(write()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    writing.cancel()
    outcomes = await asyncio.gather(writing, *waiting, return_exceptions=True)
    assert [type(each) for each in outcomes] == [asyncio.CancelledError] * 2 + [type(None)] * 2
    assert await head(pool) == 2
    assert gate.passed.count("connect") <= 4


async def test_a_connection_does_one_thing_at_a_time(pool: Pool, gate: Gate) -> None:
    go_on = asyncio.Event()

    async def stand() -> None:
        await go_on.wait()

    gate.at["log.append"] = stand
    async with pool.acquire() as conn:
        first = asyncio.create_task(append(conn, event()))
        await asyncio.sleep(0)
        with pytest.raises(asyncpg.InterfaceError):
            await log.head(conn, TENANT)
        go_on.set()
        await first
    assert await head(pool) == 1


async def test_who_finds_no_free_connection_waits(server: Server, gate: Gate) -> None:
    pool = server.pool(gate, size=1)
    async with pool.acquire():
        waiting = asyncio.create_task(head(pool))
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting == 0
    await closing
    with pytest.raises(asyncpg.InterfaceError):
        await head(pool)


# -- locks


async def test_those_who_append_take_turns(pool: Pool) -> None:
    order: list[str] = []

    async def write(name: str) -> None:
        async with pool.acquire() as conn, conn.transaction():
            await log.lock(conn, TENANT)
            order.append(name)
            before = await log.state(conn, TENANT, [], [])
            await asyncio.sleep(0)
            await log.insert(conn, TENANT, [(before.head + 1, 1, event())], NOON)

    await asyncio.gather(*map(write, "abcd"))
    assert order == list("abcd")
    assert await head(pool) == 4


async def test_two_who_wait_for_each_other_are_not_left_alone(pool: Pool) -> None:
    both = asyncio.Barrier(2)

    async def write(first: str, second: str) -> None:
        async with pool.acquire() as conn, conn.transaction():
            await working.move_checkpoint(conn, TENANT, first, 1)
            await both.wait()
            await working.move_checkpoint(conn, TENANT, second, 2)

    outcomes = await asyncio.gather(write("a", "b"), write("b", "a"), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["DeadlockDetectedError", "NoneType"]
    async with pool.acquire() as conn:
        assert {await working.checkpoint(conn, TENANT, name) for name in "ab"} == {1, 2}
