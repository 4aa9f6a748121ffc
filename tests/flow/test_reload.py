"""SIGHUP: the daemon that runs takes on what it can of the file, says what it cannot, and loses nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon.sandbox.world import TENANT
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_faults import settled

Up = Callable[..., Any]


def told(running: Flow, event: str) -> list[dict[str, Any]]:
    """The lines of the daemon's log that have this event."""
    lines = running.daemon.log_file.read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


async def reload(running: Flow, event: str, *changes: tuple[str, str]) -> dict[str, Any]:
    """The file changes, the daemon is told to read it, and the newest line of this event in its log."""
    text = running.config_file.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    running.config_file.write_text(text, "utf-8")
    before = len(told(running, event))
    running.daemon.reload()
    await eventually(lambda: len(told(running, event)) > before, 60.0)
    return told(running, event)[-1]


async def epoch(running: Flow) -> int:
    """How often the tenant's lease was taken by somebody."""
    conn = await running.connect()
    found: int = await conn.fetchval("SELECT epoch FROM leases WHERE tenant = $1", TENANT)
    return found


async def test_the_mode_changes_while_the_daemon_runs_and_what_was_only_observed_is_done_then(
    flow: Up,
) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        email = {"emailAddress": "ola@example.no"}
        contact = vitec.create("person", firstName="Ola", lastName="Moe", email=email)
        await settled(running)
        [there] = propstreet.records("contact")
        pid, lease = running.daemon.pid, await epoch(running)

        line = await reload(running, "reload.taken_on", ('mode = "live"', 'mode = "observe"'))
        assert line["fields"] == ['mode: "live" -> "observe"']
        vitec.edit(contact, firstName="Olav")

        async def observed() -> bool:
            conn = await running.connect()
            asked = "SELECT count(*) FROM commands WHERE state = 'held' AND reason = 'observe'"
            return bool(await conn.fetchval(asked) == 1)

        await eventually(observed, 60.0)
        await running.settled()
        assert propstreet.get("contact", there["id"])["firstName"] == "Ola"

        await reload(running, "reload.taken_on", ('mode = "observe"', 'mode = "live"'))
        await eventually(lambda: propstreet.get("contact", there["id"])["firstName"] == "Olav", 60.0)
        await settled(running)
        assert running.daemon.pid == pid
        assert await epoch(running) == lease, "it never let go of the tenant"
        await running.check_log()


async def test_what_the_views_are_folded_with_changes_while_edits_keep_coming(flow: Up) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        people = [
            vitec.create(
                "person",
                firstName=f"Nr {n}",
                lastName="Dahl",
                note="Sjøtomt",
                email={"emailAddress": f"nr{n}@example.no"},
            )
            for n in range(6)
        ]
        await settled(running)
        conn = await running.connect()
        digest = await conn.fetchval("SELECT digest FROM progress")
        assert {record["strategy"] for record in propstreet.records("contact")} == {"Sjøtomt"}

        vitec.edit(people[0], firstName="Før")
        line = await reload(
            running,
            "reload.taken_on",
            ('note = "strategy"', 'note = "off"'),
            ("concurrency = 16", "concurrency = 7"),
        )
        assert sorted(line["fields"]) == [
            'tenants[oslo].sync.note: "strategy" -> "off"',
            "tenants[oslo].vitec.limits.concurrency: 16 -> 7",
        ]
        vitec.edit(people[1], firstName="Etter", note="Skogstomt")

        def arrived() -> bool:
            names = {record["firstName"] for record in propstreet.records("contact")}
            return names == {"Før", "Etter", "Nr 2", "Nr 3", "Nr 4", "Nr 5"}

        await eventually(arrived, 60.0)
        await running.settled()
        assert {record["strategy"] for record in propstreet.records("contact")} == {"Sjøtomt"}
        conn = await running.connect()
        assert await conn.fetchval("SELECT digest FROM progress") != digest
        await running.check_log()  # every view is what the log says under the new file, none is mixed


async def test_a_bad_file_changes_nothing_and_what_needs_a_restart_is_named(flow: Up) -> None:
    async with flow(subscribe=False) as running:
        good = running.config_file.read_text("utf-8")
        bad = (
            ('mode = "live"', 'mode = "observe"\nmood = 1'),
            ("port = ", 'port = "x" # '),
            ('note = "strategy"', 'note = "loud"'),
        )
        await reload(running, "reload.refused", *bad)
        await eventually(lambda: len(told(running, "reload.refused")) == 3)
        problems = {line["problem"].partition(":")[0] for line in told(running, "reload.refused")}
        assert problems == {"mood", "http.port", "tenants[oslo].sync.note"}
        assert told(running, "reload.taken_on") == []

        running.config_file.write_text(good, "utf-8")
        line = await reload(
            running,
            "reload.needs_restart",
            (running.world.propstreet_url, "https://elsewhere.example.com"),
            (f'password = "{running.world.vitec.password}"', 'password = "another-hush"'),
        )
        assert line["fields"] == ["tenants[oslo].propstreet.base_url", "tenants[oslo].vitec.password"]
        assert "restart" in line["advice"]
        assert told(running, "reload.taken_on") == []
        assert "another-hush" not in running.daemon.log_file.read_text("utf-8")

        running.config_file.write_text(good, "utf-8")
        await reload(running, "reload.nothing_new")
        running.world.vitec.create(
            "person", firstName="Kari", lastName="Ek", email={"emailAddress": "kari@example.no"}
        )
        await eventually(lambda: len(running.world.propstreet.records("contact")) == 1, 60.0)


async def test_a_file_that_is_gone_changes_nothing(flow: Up, tmp_path: Path) -> None:
    async with flow(subscribe=False) as running:
        hidden = tmp_path / "hidden.toml"
        running.config_file.rename(hidden)
        running.daemon.reload()
        await eventually(lambda: told(running, "reload.refused"), 30.0)
        hidden.rename(running.config_file)
        await reload(running, "reload.nothing_new")
