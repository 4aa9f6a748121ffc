"""Nobody changes what is in the log: not the daemon's role by GRANT, not the owner by trigger."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from daemon.storage import views, working
from daemon.storage.connection import owner, unreachable
from daemon.storage.listener import EVENTS
from tests.integration.annals import NOON, TENANT
from tests.integration.ground import appender_at, event, pool_at, whole_log

CHANGES = (
    "UPDATE toveis.events SET data = '{}'",
    "UPDATE toveis.events SET recorded_at = now() WHERE position = 1",
    "DELETE FROM toveis.events",
    "DELETE FROM toveis.events WHERE position = 1",
    "TRUNCATE toveis.events",
    "TRUNCATE toveis.events CASCADE",
)
ESCAPES = (
    "ALTER TABLE toveis.events DISABLE TRIGGER ALL",
    "DROP TRIGGER events_are_append_only ON toveis.events",
    "DROP TABLE toveis.events",
    "CREATE OR REPLACE FUNCTION toveis.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "INSERT INTO toveis.migrations (name, checksum) VALUES ('9999_x.sql', '')",
    "UPDATE toveis.incarnation SET mark = gen_random_uuid()",
    "CREATE TABLE toveis.more (n integer)",
    "DROP SCHEMA views CASCADE",
)


@pytest.fixture
async def filled(database: str) -> AsyncIterator[str]:
    """A database with two events, which are still there, and as they were, when the test is over."""
    async with appender_at(database) as appender:
        await appender.append([event(), event()])
    before = await whole_log(database)
    yield database
    assert await whole_log(database) == before


async def test_the_daemons_role_may_neither_change_nor_remove_events(filled: str) -> None:
    async with pool_at(filled) as pool, pool.acquire() as conn:
        for statement in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await conn.execute(statement)


async def test_the_owner_may_neither_change_nor_remove_events(filled: str) -> None:
    async with owner(filled) as conn:
        for statement in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await conn.execute(statement)


async def test_the_daemons_role_cannot_lift_its_own_limits(filled: str) -> None:
    async with pool_at(filled) as pool, pool.acquire() as conn:
        for statement in ESCAPES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
        await conn.execute(
            "GRANT ALL ON events TO toveis_daemon"
        )  # PostgreSQL only warns: nothing is granted
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(CHANGES[0])


async def test_every_connection_of_a_stage_is_the_daemons_however_often_it_is_taken(database: str) -> None:
    async with pool_at(database, 2) as pool:
        for _ in range(3):
            async with pool.acquire() as one, pool.acquire() as two:
                assert await one.fetchval("SELECT current_user") == "toveis_daemon"
                assert await two.fetchval("SELECT current_user") == "toveis_daemon"
                await one.execute("RESET ROLE")  # whatever somebody left behind


async def test_the_daemons_role_can_do_the_daemons_work(database: str) -> None:
    async with pool_at(database) as pool, unreachable(), pool.acquire() as conn:
        await working.open_cursor(conn, TENANT, "vitec", NOON)
        await working.move_cursor(conn, TENANT, "vitec", "x")
        await working.move_checkpoint(conn, TENANT, "react", 7)
        await views.set_progress(conn, TENANT, 7, "digest")
        await conn.execute(f"NOTIFY {EVENTS}")
        assert await working.checkpoint(conn, TENANT, "react") == 7
        assert await views.position(conn, TENANT) == 7


async def test_an_origin_that_nobody_knows_is_refused(database: str) -> None:
    async with owner(database) as conn, conn.transaction():
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(
                "INSERT INTO events SELECT 'oslo', 1, gen_random_uuid(), 's', 1, 'T', 1, 'stranger',"
                " now(), now(), NULL, gen_random_uuid(), '{}'"
            )
