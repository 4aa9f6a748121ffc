"""What happens to the database: it dies, its disk is full, somebody locks it, it takes too long. Nothing is lost by it."""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.world import TENANT
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_faults import settled

Up = Callable[..., Any]
STUBBORN = PropstreetSwitches(ps12=(0.5, 1, 2, 4, 8))
"""Propstreet asks again soon."""
SEGMENT = 16 * 2**20
"""Bytes of a file of PostgreSQL's own log: what it has to be able to write."""


async def deliver(running: Flow, contact: str) -> aiohttp.ClientResponse:
    """A notification of Vitec's, and how it was answered."""
    url = f"{running.world.daemon_url}/webhooks/vitec/{TENANT}/sandbox-path-secret-0001"
    async with aiohttp.ClientSession() as session:
        return await session.post(url, json={"type": "Contact", "subtype": "Person", "id": contact})


async def refused(running: Flow, contact: str) -> bool:
    """Whether a delivery is asked to come again."""
    answer = await deliver(running, contact)
    assert answer.status in (200, 503)
    return answer.status == 503 and int(answer.headers["Retry-After"]) > 0


async def ready(running: Flow) -> bool:
    """Whether the daemon says that it works."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.world.daemon_url}/readyz") as answer,
    ):
        return answer.status == 200


def servers(running: Flow) -> Iterator[int]:
    """The processes of the daemon's PostgreSQL."""
    here = (running.data / "postgres").stat()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.path.samestat((process / "cwd").stat(), here):
                yield int(process.name)


def postmaster(running: Flow) -> int:
    """The first of them; 0 while there is none."""
    try:
        return int((running.data / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
    except (FileNotFoundError, ValueError):
        return 0


@contextmanager
def files_no_larger_than(limit: int, running: Flow) -> Iterator[None]:
    """A disk that is full for every file that has so many bytes."""

    def set_to(soft: int) -> None:
        for process in servers(running):
            with suppress(ProcessLookupError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    set_to(limit)
    try:
        yield
    finally:
        set_to(resource.RLIM_INFINITY)


@asynccontextmanager
async def one_pair(flow: Up) -> AsyncIterator[tuple[Flow, str, str]]:
    """A contact that both vendors have: the world, and its id at either."""
    async with flow(propstreet=STUBBORN) as running:
        email = {"emailAddress": "ola@example.no"}
        contact = running.world.vitec.create("person", firstName="Ola", lastName="Moe", email=email)
        await settled(running)
        [there] = running.world.propstreet.records("contact")
        yield running, contact, there["id"]


async def edited_at_both(running: Flow, contact: str, there: str) -> None:
    """Somebody edits at either side."""
    running.world.vitec.edit(contact, firstName="Olav")
    running.world.propstreet.edit("contact", there, lastName="Moe Lund")


async def both_arrived(running: Flow, contact: str, there: str) -> None:
    """Both edits are at both sides, once, and the log is sound."""
    await settled(running, timeout=90)
    assert running.world.vitec.get(contact)["lastName"] == "Moe Lund"
    assert running.world.propstreet.get("contact", there)["firstName"] == "Olav"
    assert len(running.world.vitec.records("person")) == len(running.world.propstreet.records("contact")) == 1
    await running.check_log()


async def test_a_postgresql_that_is_killed_is_started_again(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        await running.forget_connection()
        first = postmaster(running)
        for process in list(servers(running)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        await edited_at_both(running, contact, there)
        await eventually(lambda: postmaster(running) not in (0, first))
        await eventually(lambda: ready(running))
        await both_arrived(running, contact, there)


async def test_a_postgresql_that_restarts_in_the_middle_is_waited_for(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        await running.forget_connection()
        os.kill(postmaster(running), signal.SIGINT)  # a fast shutdown: every connection ends
        await edited_at_both(running, contact, there)
        await both_arrived(running, contact, there)


async def test_a_connection_that_is_cut_in_the_middle_of_edits_loses_nothing(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        await running.connect()
        beside = await asyncpg.connect(running.dsn("toveis"))
        for n in range(10):
            running.world.vitec.edit(contact, firstName=f"Olav {n}")
            await beside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'toveis' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.05)
        await beside.close()
        await edited_at_both(running, contact, there)
        await both_arrived(running, contact, there)


async def test_while_the_disk_is_full_deliveries_are_asked_to_come_again(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        conn = await running.connect()
        # the log's file is as large as a full disk lets it be; what holds PostgreSQL's own log still fits
        filled = """
            INSERT INTO events (tenant, position, event_id, stream, version, type, schema_version, origin, occurred_at,
                                recorded_at, causation_id, correlation_id, data)
            SELECT 'ballast', n, gen_random_uuid(), 'contact:vitec:1', n, 'NotificationReceived', 1, 'vitec', now(), now(),
                   NULL, gen_random_uuid(), to_json(repeat('x', 1800))
            FROM generate_series($1::int, $1::int + 99) n"""
        size, n = 0, 1
        while size < SEGMENT - 400_000:
            await conn.execute(filled, n)
            size, n = await conn.fetchval("SELECT pg_relation_size('toveis.events')"), n + 100
        with files_no_larger_than(SEGMENT, running):
            told = 0
            for _ in range(2000):
                told += await refused(running, contact)
                if told == 5:
                    break
            assert told == 5, "the disk was never full"
            await edited_at_both(running, contact, there)
            await asyncio.sleep(2)
        await eventually(lambda: ready(running))
        assert not await refused(running, contact)
        await both_arrived(running, contact, there)


async def test_a_log_that_somebody_locks_is_answered_with_503_and_waited_for(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        await running.connect()
        beside = await asyncpg.connect(running.dsn("toveis"))
        async with beside.transaction():
            await beside.execute("LOCK TABLE toveis.events IN ACCESS EXCLUSIVE MODE")
            await edited_at_both(running, contact, there)
            assert await refused(running, contact)
        await beside.close()
        await both_arrived(running, contact, there)


async def test_a_statement_that_takes_too_long_is_given_up_and_tried_again(flow: Up) -> None:
    async with one_pair(flow) as (running, contact, there):
        await running.connect()
        beside = await asyncpg.connect(running.dsn("toveis"))
        done = asyncio.Event()

        async def cancelling() -> None:
            while not done.is_set():
                await beside.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = 'toveis' AND pid <> pg_backend_pid() AND state = 'active'"
                )

        hurried = asyncio.create_task(cancelling())
        for n in range(20):
            running.world.vitec.edit(contact, firstName=f"Olav {n}")
            await deliver(running, contact)
        await edited_at_both(running, contact, there)
        await asyncio.sleep(1)
        done.set()
        await hurried
        await beside.close()
        await both_arrived(running, contact, there)
