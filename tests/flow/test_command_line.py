"""The command line, as an operator types it, against a daemon that has lived through a day."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.cast import script
from tests.conftest import eventually

Up = Callable[..., Any]


async def toveis(*words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """(exit code, output, errors) of one command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", *words, stdout=-1, stderr=-1, env=env
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


async def test_every_command_that_reads_after_a_day(flow: Up) -> None:
    async with flow() as running:
        await running.day()
        someone = next(r for r in running.world.propstreet.records("contact") if r["email"])
        config = ("--config", str(running.config_file))

        code, output, _ = await toveis("history", "contact", someone["email"], *config, "--json")
        story = rows(output)
        assert code == 0
        keys = {
            "position",
            "recorded_at",
            "occurred_at",
            "origin",
            "type",
            "stream",
            "record",
            "summary",
            "data",
        }
        assert keys <= story[0].keys()
        assert [row["position"] for row in story] == sorted(row["position"] for row in story)
        assert {"vitec", "propstreet", "toveis"} <= {row["origin"] for row in story}

        code, output, _ = await toveis("history", "contact", f"propstreet:{someone['id']}", *config)
        assert code == 0
        assert max(map(len, output.splitlines())) <= 80
        assert "linked" in output

        code, output, _ = await toveis("show", "contact", someone["email"], *config, "--json")
        [picture] = rows(output)
        assert code == 0
        assert {"entity", "category", "records", "fields", "shadows"} <= picture.keys()
        assert picture["shadows"]["vitec"]["email"]["value"].lower() == someone["email"].lower()
        assert picture["shadows"]["propstreet"]["email"]["value"].lower() == someone["email"].lower()
        again = await toveis("show", "contact", picture["entity"], *config, "--json")
        assert rows(again[1]) == [picture]
        early = await toveis(
            "show", "contact", picture["entity"], *config, "--json", "--at", story[0]["recorded_at"]
        )
        assert (
            set(rows(early[1])[0]["records"]) < set(picture["records"])
            or len(rows(early[1])[0]["records"]) == 1
        )

        code, output, _ = await toveis("status", *config, "--json")
        [state] = rows(output)
        assert code == 0
        assert {"stages", "commands", "waiting", "limits", "subscription"} <= state.keys()
        assert {"pending", "held", "dead"} <= state["commands"].keys()
        assert all({"position", "lag"} <= stage.keys() for stage in state["stages"].values())

        # A row changed by hand is named by verify and by replay.
        for command in (("verify",), ("replay", "--dry-run")):
            code, output, _ = await toveis(*command, *config)
            assert (code, output) == (0, "no difference\n"), command
        conn = await running.connect()
        entity = await conn.fetchval("UPDATE contacts SET last_name = 'Ingen' RETURNING entity")
        for command in (("verify",), ("replay", "--dry-run")):
            code, output, _ = await toveis(*command, *config, "--json")
            assert code == 1, command
            [first, *_] = rows(output)
            assert {"view", "entity", "field", "live", "fresh"} == first.keys()
            assert entity in {row["entity"] for row in rows(output)}
            assert {(row["view"], row["field"], row["live"]) for row in rows(output)} == {
                ("contacts", "last_name", "Ingen")
            }
        code, output, _ = await toveis("replay", *config)
        assert code == 0
        assert (await toveis("verify", *config))[0] == 0
        code, _, _ = await toveis("replay", "--rollback", *config)
        assert code == 0
        assert (await toveis("verify", *config))[0] == 1


async def test_a_ref_that_matches_two_contacts_lists_them_and_one_that_matches_none_says_so(flow: Up) -> None:
    async with flow(subscribe=False) as running:
        vitec = running.world.vitec
        twice = {"lastName": "Dahl", "email": {"emailAddress": "dahl@example.se"}}
        ids = [vitec.create("person", firstName=name, **twice) for name in ("Åke", "Örjan")]
        config = ("--config", str(running.config_file))

        async def both_known() -> bool:
            conn = await running.connect()
            return bool(
                await conn.fetchval(
                    "SELECT count(*) = 2 FROM match_keys WHERE key = 'email:dahl@example.se' AND vendor = 'vitec'"
                )
            )

        await eventually(both_known)
        code, output, errors = await toveis("history", "contact", "dahl@example.se", *config)
        assert (code, output) == (2, "")
        assert all(f"vitec:{one}" in errors for one in ids)
        code, _, errors = await toveis("show", "contact", "nobody@example.se", *config)
        assert code == 2
        assert "nobody@example.se" in errors
        assert (await toveis("history", "project", "vitec:OBJ1", *config))[0] == 2


async def test_a_project_goes_by_its_name_and_a_prospect_by_its_estate_and_contact(flow: Up) -> None:
    async with flow() as running:
        vitec, config = running.world.vitec, ("--config", str(running.config_file))
        estate = vitec.create_estate("CommercialProperty", description={"sellingHeading": "Kontor i Ystad"})
        contact = vitec.create("person", lastName="Lind", email={"emailAddress": "lind@example.se"})
        vitec.relate(contact, estate, "Interested")
        relation = f"{estate}:{contact}"
        await eventually(lambda: running.named("prospect", relation).get("classification") == "interested")
        await eventually(running.idle)
        project = running.named("project", estate)["id"]
        prospect = running.named("prospect", relation)["id"]

        for category, ref, field, value, records in (
            (
                "project",
                "kontor i ystad",
                "name",
                "Kontor i Ystad",
                [f"vitec:{estate}", f"propstreet:{project}"],
            ),
            (
                *("prospect", f"vitec:{relation}", "classification", "interested"),
                [f"vitec:{relation}", f"propstreet:{prospect}"],
            ),
        ):
            code, output, _ = await toveis("history", category, ref, *config, "--json")
            assert code == 0
            linked = f"linked {' and '.join(records)}"
            assert any(row["summary"].startswith(linked) for row in rows(output))
            code, output, _ = await toveis("show", category, ref, *config, "--json")
            [picture] = rows(output)
            assert (code, picture["records"]) == (0, records)
            assert [picture["shadows"][vendor][field]["value"] for vendor in ("vitec", "propstreet")] == [
                value
            ] * 2


async def test_a_configuration_with_five_mistakes_names_all_five(tmp_path: Path) -> None:
    file = tmp_path / "toveis.toml"
    file.write_text(
        'mode = "lively"\n[http]\nport = 99999\n[[tenants]]\nname = "Oslo!"\n'
        '[tenants.vitec]\ncustomer_id = "M1"\nusername = "u"\npassword = "p"\npoll_interval = "60 parsecs"\n'
        '[tenants.propstreet]\nclient_id = "c"\nclient_secret = "s"\n[tenants.sync]\nnotes = "strategy"\n',
        "utf-8",
    )
    code, output, errors = await toveis("run", "--config", str(file))
    assert (code, output) == (2, "")
    for key in ("mode", "http.port", "name", "poll_interval", "notes"):
        assert sum(key in line for line in errors.splitlines()) >= 1, key
    assert len(errors.splitlines()) == 5


@pytest.mark.parametrize(
    "command",
    [
        *(
            "sandbox",
            "run",
            "migrate",
            "history",
            "show",
            "explain",
            "diff",
            "trace",
            "status",
            "conflicts",
            "restore",
            "backfill",
            "replay",
            "verify",
        ),
        *("commands", "retry", "release", "discard", "link", "unlink", "webhooks"),
    ],
)
async def test_every_command_has_a_help_with_an_example(command: str) -> None:
    code, output, _ = await toveis(command, "--help")
    assert code == 0
    assert f"Example:  toveis {command}" in output


async def test_bad_options_are_answered_in_one_line_with_exit_code_2(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere.toml")
    for words in (
        ("status", "--config", missing),
        ("history", "contact"),
        ("history", "dragon", "x"),
        ("show", "contact", "x", "--at", "yesterdayish", "--config", missing),
        ("history", "contact", "x", "--until", "yesterdayish", "--config", missing),
        ("history", "contact", "x", "--type", "Edited"),
        ("history", "contact", "x", "--side", "upside"),
        ("explain", "dragon", "x"),
        ("diff", "contact", "x"),
        ("diff", "contact", "x", "--from", "2h ago", "--to", "yesterdayish", "--config", missing),
        ("trace",),
        ("replay", "--view", "nothing"),
        ("sandbox", "--lose", "200"),
        ("fly",),
    ):
        code, _, errors = await toveis(*words)
        assert code == 2, words
        assert "Traceback" not in errors


async def test_a_database_that_cannot_be_reached_is_exit_code_3(flow: Up, tmp_path: Path) -> None:
    file = tmp_path / "away.toml"
    text = (
        '[database]\ndsn = "postgresql://nobody@127.0.0.1:9/none"\n[[tenants]]\nname = "oslo"\n'
        '[tenants.vitec]\ncustomer_id = "M1"\nusername = "u"\npassword = "p"\n'
        '[tenants.propstreet]\nclient_id = "c"\nclient_secret = "s"\n'
    )
    file.write_text(text, "utf-8")
    for command in (("status",), ("run",), ("migrate",), ("verify",)):
        code, _, errors = await toveis(*command, "--config", str(file))
        assert code == 3, (command, errors)
        assert "database" in errors


async def test_the_daemon_drains_on_sigterm_and_exits_0(flow: Up) -> None:
    async with flow() as running:
        running.world.people.move_in(script(3))
        assert await running.daemon.stop() == 0


async def test_a_database_without_migrations_is_refused_by_run_and_mended_by_migrate(
    database: str, admin: Any, dsn_of: Callable[[str], str], flow: Up, tmp_path: Path
) -> None:
    async with flow() as running:
        pass
    empty = "toveis_test_empty"
    await admin.execute(f"CREATE DATABASE {empty}")
    try:
        dsn = reachable(dsn_of(empty))
        file = tmp_path / "dsn.toml"
        file.write_text(
            running.config_file.read_text("utf-8").replace("data_dir", f'dsn = "{dsn}"\ndata_dir'), "utf-8"
        )
        code, _, errors = await toveis("run", "--config", str(file))
        assert code == 2
        assert "toveis migrate" in errors
        code, output, _ = await toveis("migrate", "--config", str(file))
        assert code == 0
        assert "0001_event_log.sql" in output
        assert (await toveis("migrate", "--config", str(file)))[1].startswith("nothing to do")
        assert (await toveis("verify", "--config", str(file)))[0] == 0
    finally:
        await admin.execute(f"DROP DATABASE {empty} WITH (FORCE)")


def reachable(dsn: str) -> str:
    """The test's own descriptor means nothing to another process: name the directory through our pid."""
    import os

    return dsn.replace("%2Fproc%2Fself%2F", f"%2Fproc%2F{os.getpid()}%2F").replace(
        "/proc/self/", f"/proc/{os.getpid()}/"
    )


@pytest.mark.parametrize("command", ["replay", "verify"])
async def test_on_a_terminal_a_long_command_shows_how_far_it_is(flow: Up, command: str) -> None:
    async with flow() as running:
        await running.settled()
        ours, theirs = os.openpty()
        words = (command, "--config", str(running.config_file))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daemon", *words, stdout=-1, stderr=theirs
        )
        os.close(theirs)
        shown = await asyncio.to_thread(_told_on, ours)
        assert await process.wait() == 0
        assert {"replay": "folding", "verify": "reading"}[command] in shown


def _told_on(terminal: int) -> str:
    """Everything that is written on a terminal until nobody has it open."""
    told = b""
    try:
        while text := os.read(terminal, 4096):
            told += text
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return told.decode()
