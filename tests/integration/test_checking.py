"""What `toveis doctor` finds in a database: a log that can be changed, one with a gap, a migration that is missing."""

import json
import os
from pathlib import Path
from typing import Any

from daemon.storage import checking, watching
from daemon.storage.connection import owner
from daemon.storage.queries import queries
from tests.flow.test_command_line import toveis
from tests.integration.annals import TENANT
from tests.integration.ground import appender_at, event

CONFIGURATION = """
[database]
dsn = "{dsn}"
data_dir = "{data}"

[[tenants]]
name = "oslo"
[tenants.vitec]
base_url = "http://127.0.0.1:9"
customer_id = "M1"
username = "u"
password = "vitec-hush"
[tenants.propstreet]
base_url = "http://127.0.0.1:9"
client_id = "c"
client_secret = "propstreet-hush"
"""


async def doctor(tmp_path: Path, dsn: str) -> tuple[int, dict[str, Any]]:
    """`toveis doctor` on this database; each check by its name."""
    file = tmp_path / "toveis.toml"
    file.write_text(CONFIGURATION.format(dsn=dsn, data=tmp_path), "utf-8")
    code, output, errors = await toveis("doctor", "--json", "--config", str(file))
    assert (errors, "hush" in output) == ("", False)
    return code, {row["check"]: row for row in map(json.loads, output.splitlines())}


def reachable(dsn: str) -> str:
    """The same database as another process reaches it."""
    return dsn.replace("/proc/self/", f"/proc/{os.getpid()}/").replace("%2Fself%2F", f"%2F{os.getpid()}%2F")


async def test_a_role_that_may_change_events_is_found(database: str) -> None:
    async with owner(database) as conn:
        assert await checking.guard(conn) == checking.Guard(True, (), 2)
        await conn.execute("GRANT UPDATE, DELETE ON toveis.events TO toveis_daemon")
        assert (await checking.guard(conn)).may == ("UPDATE", "DELETE")
        await conn.execute("REVOKE UPDATE, DELETE ON toveis.events FROM toveis_daemon")
        await conn.execute("ALTER TABLE toveis.events DISABLE TRIGGER events_are_append_only")
        assert (await checking.guard(conn)).triggers == 1


async def test_a_gap_and_an_event_of_another_version_are_found_at_the_head(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([event() for _ in range(5)])
    async with owner(database) as conn:
        assert await checking.head(conn, TENANT) == checking.Head(5, 0, None)
        await conn.execute("ALTER TABLE toveis.events DISABLE TRIGGER ALL")
        await conn.execute("DELETE FROM toveis.events WHERE position = 3")
        await conn.execute("UPDATE toveis.events SET schema_version = 9 WHERE position = 5")
        found = await checking.head(conn, TENANT)
        assert (found.position, found.missing) == (5, 1)
        assert found.unreadable is not None
        assert "schema version 9" in found.unreadable


async def test_doctor_names_a_migration_that_is_missing_and_looks_at_nothing_that_needs_it(
    database: str, tmp_path: Path
) -> None:
    async with owner(database) as conn:
        await conn.execute(
            "DELETE FROM toveis.migrations WHERE name = (SELECT max(name) FROM toveis.migrations)"
        )
    code, found = await doctor(tmp_path, reachable(database))
    assert (code, found["migrations"]["state"]) == (1, "failed")
    assert found["migrations"]["advice"] == "run `toveis migrate`"
    assert found["log"]["detail"] == "not looked at: migrations are missing"


async def test_doctor_says_which_vendor_does_not_answer(database: str, tmp_path: Path) -> None:
    code, found = await doctor(tmp_path, reachable(database))
    assert code == 1
    assert {name for name, row in found.items() if row["state"] == "failed"} == {
        "vitec login",
        "propstreet login",
    }
    assert found["append-only"]["state"] == found["log"]["state"] == "ok"


async def test_doctor_tells_a_database_that_is_not_there(tmp_path: Path) -> None:
    code, found = await doctor(tmp_path, "postgresql://toveis@127.0.0.1:9/toveis")
    assert (code, found["database"]["state"]) == (1, "failed")
    assert found["views"]["detail"] == "not looked at: there is no database"


# -- what a scrape asks


async def test_a_scrape_finds_what_is_stuck_by_reason(database: str) -> None:
    async with owner(database) as conn:
        rows = [("held", "too_long"), ("held", "too_long"), ("held", "A long tale."), ("dead", "lastName")]
        for number, (state, reason) in enumerate([*rows, ("pending", None)]):
            await conn.execute(
                "INSERT INTO commands (tenant, command, entity, category, target, fields, state, issued,"
                " position, attempts, reason, unconfirmed, backfill)"
                " VALUES ($1, $2, 'con-1', 'contact', 'vitec', '{}', $3, 1, 1, 0, $4, '{}', false)",
                TENANT,
                str(number),
                state,
                reason,
            )
        found = await watching.standing(conn, TENANT)
    assert (found.held, found.dead, found.waiting) == (
        {"too_long": 2, "other": 1},
        {"vitec": 1},
        {"vitec": 1},
    )
    assert (found.head, found.folded, found.served) == (0, 0, False)


async def test_what_a_scrape_asks_of_the_commands_is_led_by_an_index(database: str) -> None:
    async with owner(database) as conn:
        await conn.execute(
            "INSERT INTO commands (tenant, command, entity, category, target, fields, state, issued, position,"
            " attempts, unconfirmed, backfill) SELECT $1, n::text, 'con-1', 'contact', 'vitec', '{}', 'succeeded',"
            " n, n, 1, '{}', false FROM generate_series(1, 20000) AS n",
            TENANT,
        )
        await conn.execute("ANALYZE commands")
        statement = queries("watching")["commands"]
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {statement}", TENANT))
    assert "commands_open" in plan
    assert "commands_stuck" in plan
    assert "Seq Scan" not in plan
