"""A day of the real daemon, watched from outside: its metrics, its log, what it says of itself, and `toveis doctor`."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.sandbox.world import PATH_SECRET, TENANT, WEBHOOK_SECRET
from daemon.storage import log, working
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import rows, toveis

Up = Callable[..., Any]
Scrape = dict[tuple[str, frozenset[tuple[str, str]]], float]

CANARIES = ("Kanarifugl", "kanari@example.no", "+4799000111", "Kanariveien 12", "19850102-1234")


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A daemon at debug level that has lived through a day, and through a contact full of canaries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOVEIS_LOG_LEVEL", "debug")
        async with up(tmp_path_factory.mktemp("watched"), cluster, registers=True) as running:
            await eventually(lambda: running.world.propstreet.webhooks.all)
            await running.day()
            name, email, phone, street, number = CANARIES
            running.world.vitec.create(
                "person",
                firstName=name,
                lastName=name,
                socialSecurityNumber=number,
                email={"emailAddress": email},
                telephone={"cell": phone},
                address={"streetAddress": street},
            )
            await eventually(
                lambda: any(r["email"] == email for r in running.world.propstreet.records("contact")), 30
            )
            await running.settled()
            conn = await running.connect()
            await working.ask_again(conn, TENANT)  # the keeper looks now, and not in a minute
            heard = "SELECT count(*) = 2 FROM subscriptions WHERE heard_at IS NOT NULL AND state = 'working'"
            await eventually(partial(conn.fetchval, heard), 30)
            yield running


async def get(running: Flow, path: str, **headers: str) -> tuple[int, str, str]:
    """(status, content type, body) of a GET."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(running.world.daemon_url + path, headers=headers) as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def scrape(running: Flow) -> Scrape:
    """Every sample by name and labels."""
    status, content_type, text = await get(running, "/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def by(found: Scrape, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """The values of one metric, added up by some of its labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for (metric, named), value in found.items():
        if metric == name:
            sums[tuple(dict(named)[label] for label in labels)] += int(value)
    return sums


def lines(running: Flow) -> list[dict[str, Any]]:
    """What the daemon has logged."""
    return [json.loads(line) for line in running.daemon.log_file.read_text("utf-8").splitlines()]


# -- metrics


async def test_the_metrics_of_a_day_say_what_the_log_says(watched: Flow) -> None:
    conn = await watched.connect()
    found = await scrape(watched)
    events = await conn.fetch("SELECT type, origin, count(*) FROM events GROUP BY type, origin")
    assert by(found, "toveis_events_total", "type", "origin") == {
        (row["type"], row["origin"]): row["count"] for row in events
    }
    assert by(found, "toveis_log_head", "tenant") == {(TENANT,): await log.head(conn, TENANT)}
    outcomes = by(found, "toveis_commands_total", "outcome")
    assert outcomes["succeeded",] == await conn.fetchval(
        "SELECT count(*) FROM events WHERE type = 'CommandSucceeded'"
    )
    targets = await conn.fetch(
        "SELECT target, count(*) FROM commands WHERE state = 'succeeded' GROUP BY target"
    )
    sent = by(found, "toveis_commands_total", "target", "outcome")
    assert {row["target"]: row["count"] for row in targets} == {
        target: count for (target, outcome), count in sent.items() if outcome == "succeeded"
    }
    assert by(found, "toveis_conflicts_total").total() == await conn.fetchval(
        "SELECT count(*) FROM events WHERE type = 'ConflictResolved'"
    )
    assert by(found, "toveis_echoes_suppressed_total", "vendor")["vitec",] > 0
    assert set(by(found, "toveis_stage_lag_events", "stage").values()) == {0}
    assert by(found, "toveis_lease_held", "tenant") == {(TENANT,): 1}
    assert by(found, "toveis_vendor_up", "vendor") == {("vitec",): 1, ("propstreet",): 1}
    assert found["toveis_ready", frozenset()] == found["toveis_database_up", frozenset()] == 1


async def test_holds_dead_letters_and_ages_are_those_of_the_database(watched: Flow) -> None:
    conn = await watched.connect()
    found = await scrape(watched)
    held = await conn.fetch("SELECT reason, count(*) FROM commands WHERE state = 'held' GROUP BY reason")
    assert by(found, "toveis_commands_held", "reason") == {(r["reason"],): r["count"] for r in held}
    dead = await conn.fetchval("SELECT count(*) FROM commands WHERE state = 'dead'")
    assert by(found, "toveis_dead_letters").total() == dead
    sources = {row["source"] for row in await conn.fetch("SELECT source FROM cursors WHERE complete >= 0")}
    ages = by(found, "toveis_poll_age_seconds", "source")
    assert {source for (source,) in ages} == {s for s in sources if s.count(":") < 2}
    assert max(ages.values()) < 120
    assert max(by(found, "toveis_webhook_age_seconds", "vendor").values()) < 300
    assert by(found, "toveis_subscription_failing").total() == 0


async def test_every_call_to_a_vendor_was_timed(watched: Flow) -> None:
    found = await scrape(watched)
    calls = by(found, "toveis_vendor_call_duration_seconds_count", "vendor", "method", "outcome")
    for vendor, twin in (("vitec", watched.world.vitec), ("propstreet", watched.world.propstreet)):
        writes = sum(n for (of, method, outcome), n in calls.items() if of == vendor and method != "GET")
        assert writes >= len(twin.journal.writes()) > 0
    skews = {
        dict(labels)["vendor"]: value
        for (name, labels), value in found.items()
        if name == "toveis_vendor_clock_skew_seconds"
    }
    assert set(skews) == {"vitec", "propstreet"}
    assert all(abs(skew) < 30 for skew in skews.values())
    assert by(found, "toveis_port_answers_total", "route", "status")["vitec", "200"] > 0


async def test_no_label_names_a_person_a_record_or_a_secret(watched: Flow) -> None:
    _, _, text = await get(watched, "/metrics")
    for canary in (*CANARIES, PATH_SECRET, watched.world.propstreet.client_id):
        assert canary not in text
    for record in watched.world.propstreet.records("contact"):
        assert f'="{record["id"]}"' not in text


# -- what it says of itself


async def test_health_and_readiness_answer_people_and_programs(watched: Flow) -> None:
    assert (await get(watched, "/healthz"))[::2] == (200, "ok")
    assert (await get(watched, "/readyz"))[::2] == (200, '{"ready": true, "reasons": []}')
    assert (await get(watched, "/readyz", Accept="text/plain"))[::2] == (200, "ready\n")


async def test_the_status_of_one_tenant_fits_on_one_screen(watched: Flow) -> None:
    code, output, errors = await toveis("status", "--config", str(watched.config_file))
    assert (code, errors) == (0, "")
    assert len(output.splitlines()) <= 24
    assert max(map(len, output.splitlines())) <= 80
    for words in (
        "project",
        "react",
        "pending",
        "waiting for their release",
        "webhooks",
        "limits",
        "not written: link, property",
    ):
        assert words in output


# -- the log of the service


async def issued_after_a_delivery(running: Flow) -> tuple[Any, Any]:
    """A delivery of Propstreet's and the command that it made due; a poll may be faster, then somebody edits again."""
    conn = await running.connect()
    [contact] = [r for r in running.world.propstreet.records("contact") if r["email"] == CANARIES[1]]
    for number in range(10):
        head = await log.head(conn, TENANT)
        running.world.propstreet.edit("contact", contact["id"], phone=f"+4799000{number:03}")

        async def issued(head: int = head) -> Any:
            return await conn.fetchrow(
                "SELECT * FROM events WHERE type = 'CommandIssued' AND position > $1 LIMIT 1", head
            )

        command = await eventually(issued, 30)
        cause: Any = await conn.fetchrow("SELECT * FROM events WHERE event_id = $1", command["causation_id"])
        if json.loads(cause["meta"] or "{}").get("via") == "webhook":
            return cause, command
    raise AssertionError("no delivery was ever faster than a poll")


async def test_one_correlation_id_goes_from_a_delivery_to_the_outcome(watched: Flow) -> None:
    conn = await watched.connect()
    came, issued = await issued_after_a_delivery(watched)
    correlation, command = came["correlation_id"], json.loads(issued["data"])["command"]
    assert issued["correlation_id"] == correlation

    async def ended() -> Any:
        return await conn.fetchrow(
            "SELECT * FROM events WHERE type = 'CommandSucceeded' AND data ->> 'command' = $1", command
        )

    done = await eventually(ended, 30)
    assert done["correlation_id"] == correlation

    def told(key: str, value: str) -> set[str]:
        return {line["event"] for line in lines(watched) if line.get(key) == value}

    wanted = {"ingest.received", "react.decided", "deliver.sent", "deliver.done"}
    await eventually(lambda: wanted <= told("correlation_id", str(correlation)))
    assert wanted - {"ingest.received"} <= told("command", command)


async def test_what_a_notification_led_us_to_read_is_its_child(watched: Flow) -> None:
    conn = await watched.connect()
    row: Any = await conn.fetchrow(
        "SELECT told.correlation_id AS told, read.correlation_id AS read FROM events AS read"
        " JOIN events AS told ON told.event_id = read.causation_id"
        " WHERE read.type = 'RecordObserved' AND read.meta ->> 'via' = 'fetch'"
        " AND told.type = 'NotificationReceived' ORDER BY read.position DESC LIMIT 1"
    )
    assert row["told"] == row["read"]
    assert any(
        line["event"] == "fetch.found" and line["correlation_id"] == str(row["read"])
        for line in lines(watched)
    )


async def test_no_line_of_a_day_at_debug_level_holds_personal_data_or_a_secret(watched: Flow) -> None:
    text = watched.daemon.log_file.read_text("utf-8")
    assert text.count("\n") > 200
    world = watched.world
    secrets = (world.vitec.password, world.propstreet.client_secret, PATH_SECRET, WEBHOOK_SECRET)
    hooks = tuple(hook.secret for hook in world.propstreet.webhooks.all.values())
    people = {
        str(record[field])
        for record in world.propstreet.records("contact")
        for field in ("email", "lastName", "phone")
        if record.get(field) and len(str(record[field])) > 5
    }
    found = {word for word in (*CANARIES, *secrets, *hooks, *people) if word in text}
    assert found == set()


# -- doctor


async def ask(running: Flow, *words: str, changed: str | None = None) -> tuple[int, dict[str, Any], str]:
    """`toveis doctor` with the daemon's configuration, or with a changed one; each check by its name."""
    file = running.config_file
    if changed is not None:
        file = file.with_name("changed.toml")
        file.write_text(changed, "utf-8")
    code, output, errors = await toveis("doctor", *words, "--config", str(file))
    assert "Traceback" not in errors
    return code, {row["check"]: row for row in rows(output)} if "--json" in words else {}, output


async def test_doctor_finds_a_sound_world_sound(watched: Flow) -> None:
    before = len(watched.world.vitec.journal.writes()), len(watched.world.propstreet.journal.writes())
    code, found, output = await ask(watched, "--json")
    assert code == 0, output
    assert {name: row["state"] for name, row in found.items() if row["state"] == "failed"} == {}
    wanted = {
        *("time zones", "configuration", "disk", "embedded database", "database", "migrations"),
        *("append-only", "log", "views", "first sync", "public url", "vitec login", "vitec clock"),
        *("propstreet login", "propstreet clock", "propstreet webhook", "vitec notifications"),
    }
    assert wanted <= found.keys()
    for name in wanted - {"configuration", "embedded database", "disk"}:
        assert found[name]["state"] == "ok", found[name]
    assert found["views"].keys() == {"check", "tenant", "state", "detail", "advice"}
    after = len(watched.world.vitec.journal.writes()), len(watched.world.propstreet.journal.writes())
    assert before == after
    code, _, output = await ask(watched)
    assert code == 0
    assert max(map(len, output.splitlines())) <= 80
    assert watched.world.vitec.password not in output


async def test_doctor_names_what_is_wrong_and_what_to_do(watched: Flow) -> None:
    text, world = watched.config_file.read_text("utf-8"), watched.world
    faults = {
        "vitec login": text.replace(f'password = "{world.vitec.password}"', 'password = "wrong"'),
        "propstreet login": text.replace(f'"{world.propstreet.client_secret}"', '"wrong"'),
        "public url": text.replace('public_url = "http://127.0.0.1:', 'public_url = "http://127.0.0.9:'),
        "configuration": text.replace("[http]", "[http]\nprot = 1"),
    }
    for name, changed in faults.items():
        assert changed != text, name
        code, found, output = await ask(watched, "--json", changed=changed)
        assert (code, found[name]["state"]) == (1, "failed"), output
        assert found[name]["advice"]


async def test_doctor_sees_a_clock_that_is_off_and_a_webhook_that_is_switched_off(watched: Flow) -> None:
    vitec = watched.world.vitec
    before, vitec.clock = vitec.clock, lambda: datetime.now(UTC) + timedelta(minutes=6)
    hooks = list(watched.world.propstreet.webhooks.all.values())
    try:
        code, found, output = await ask(watched, "--json")
        assert (code, found["vitec clock"]["state"]) == (1, "failed"), output
        vitec.clock = lambda: datetime.now(UTC) - timedelta(seconds=90)
        _, found, output = await ask(watched, "--json")
        assert found["vitec clock"]["state"] == "warning", output
    finally:
        vitec.clock = before

    async def seen() -> str | None:
        for hook in hooks:  # the daemon, which looks once a minute, may switch it on again meanwhile
            watched.world.propstreet.webhooks.disable(hook)
        code, found, _ = await ask(watched, "--json")
        told = found["propstreet webhook"]
        return str(told["advice"]) if (code, told["state"]) == (1, "failed") else None

    assert "toveis webhooks register" in await eventually(seen, 60.0)


# -- the daemon is down, or its database


async def test_a_scrape_answers_while_the_database_is_away(watched: Flow) -> None:
    before = await scrape(watched)
    beside = await asyncpg.connect(watched.dsn("postgres"))
    await beside.execute("ALTER DATABASE toveis ALLOW_CONNECTIONS false")
    await beside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'toveis'")
    try:
        found = await scrape(watched)
        assert found["toveis_database_up", frozenset()] == found["toveis_ready", frozenset()] == 0
        for name in ("toveis_events_total", "toveis_commands_total", "toveis_log_head"):
            assert by(found, name).total() >= by(before, name).total() > 0
        status, _, body = await get(watched, "/readyz")
        assert (status, json.loads(body)["ready"]) == (503, False)
        assert (await get(watched, "/readyz", Accept="text/plain"))[2] == "the database does not answer\n"
        assert (await get(watched, "/healthz"))[0] == 200
    finally:
        await beside.execute("ALTER DATABASE toveis ALLOW_CONNECTIONS true")
        await beside.close()

    async def ready() -> bool:
        return (await get(watched, "/readyz"))[0] == 200

    await eventually(ready, 60)


async def test_doctor_runs_without_a_daemon(watched: Flow) -> None:
    await watched.forget_connection()
    await watched.daemon.stop()
    _, found, output = await ask(watched, "--json")
    assert (found["database"]["state"], found["vitec login"]["state"]) == ("ok", "ok"), output
    assert found["public url"]["state"] == "warning"
