"""Reconcile: what no notification told of is found and repaired, what stands still is explained, nothing else is written."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.domain.events import CommandIssued, Event, ReconcileFinished, decision_of
from daemon.sandbox.twins.faults import Delivery
from daemon.sandbox.world import TENANT
from daemon.storage import log, views, working
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import rows, toveis

NEVER = "1h"
"""A poll's interval in a world where only its first poll, and one that is asked for, finds anything."""

numbers = count(1)


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A daemon whose polls hardly ever look; each test makes people of its own."""
    async with up(tmp_path_factory.mktemp("town"), cluster, poll=NEVER) as running:
        yield running


@contextmanager
def silence(running: Flow) -> Iterator[None]:
    """Vitec's notifications are lost, and Propstreet has switched the webhook off."""
    vitec, webhooks = running.world.vitec, running.world.propstreet.webhooks
    vitec.faults.delivery = Delivery(drop=1.0)
    for hook in webhooks.all.values():
        webhooks.disable(hook)
    try:
        yield
    finally:
        vitec.faults.delivery = Delivery()
        for hook in webhooks.all.values():
            webhooks.enable(hook)


def person(running: Flow, **fields: Any) -> str:
    """Somebody at Vitec whom nobody has met before."""
    number = next(numbers)
    given = {"firstName": f"Nr {number}", "lastName": "Berg", **fields}
    return running.world.vitec.create("person", email={"emailAddress": f"nr{number}@example.no"}, **given)


async def met(running: Flow, *people: str) -> list[str]:
    """Propstreet's ids of these people, once all is settled."""
    await eventually(lambda: all(running.named("contact", each) for each in people))
    await running.settled()
    return [running.named("contact", each)["id"] for each in people]


async def reconcile(running: Flow, *words: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The exit code, the differences, and the counts."""
    code, output, errors = await toveis("reconcile", "--json", *words, "--config", str(running.config_file))
    assert code in (0, 1), errors
    *found, told = rows(output)
    return code, found, told


async def since(running: Flow, position: int) -> list[Event]:
    """What the log holds after a position."""
    return await log.page(await running.connect(), TENANT, position)


async def head(running: Flow) -> int:
    """The position of the newest event."""
    return await log.head(await running.connect(), TENANT)


def issued(events: list[Event]) -> dict[tuple[str, str], dict[str, Any]]:
    """What was wanted, by category and target and entity."""
    found = {}
    for event in events:
        if event.type == CommandIssued.__name__:
            command = decision_of(event)
            assert isinstance(command, CommandIssued)
            want = {field: each.value for field, each in command.want.items()}
            found[command.entity, command.target] = msgspec.json.decode(msgspec.json.encode(want))
    return found


def planned(found: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """The same, as a plan tells it."""
    plan: dict[tuple[str, str], dict[str, Any]] = {}
    for each in found:
        if each["target"] is not None:
            value = each["value"] if each["field"] == "*" else {each["field"]: each["value"]}
            plan.setdefault((each["entity"], each["target"]), {}).update(value)
    return plan


def told(found: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    """Vendor, category, field, class and reason of each difference."""
    return {tuple(each[key] for key in ("vendor", "category", "field", "class", "reason")) for each in found}


async def test_a_settled_system_has_nothing_to_reconcile_and_nothing_is_written(town: Flow) -> None:
    vitec = town.world.vitec
    estate = vitec.create_estate("CommercialProperty", description={"sellingHeading": "Lager"})
    somebody = person(town)
    vitec.relate(somebody, estate, "Interested")
    vitec.create("company", name="Gård AS", homePage="gard.example")
    await met(town, somebody)
    await eventually(lambda: town.named("prospect", f"{estate}:{somebody}"))
    await town.settled()
    before, content = await head(town), town.content()
    assert (await reconcile(town, "--dry-run"))[0] == 0
    assert await head(town) == before
    code, found, counts = await reconcile(town)
    assert (code, [each for each in found if each["then"]]) == (0, [])
    assert (counts["due"], counts["unread"], counts["left"]) == (0, 0, 0)
    assert counts["pairs"] >= 4
    assert [event.type for event in await since(town, before)] == [ReconcileFinished.__name__]
    assert town.content() == content
    [state] = rows((await toveis("status", "--json", "--config", str(town.config_file)))[1])
    assert state["reconciled"]["pairs"] == counts["pairs"]
    assert state["reconciled"]["found"] == counts["counts"]
    await town.check_log()


async def test_what_no_notification_told_of_is_planned_and_done_exactly_so(town: Flow) -> None:
    vitec, propstreet = town.world.vitec, town.world.propstreet
    people = [person(town) for _ in range(4)]
    here = await met(town, *people)
    with silence(town):
        vitec.edit(people[0], lastName="Ås")
        propstreet.edit("contact", here[1], phone="+46701234567", lastName="Dahl")
        vitec.edit(people[2], firstName="Kari")
        propstreet.edit("contact", here[2], firstName="Silje")  # the later edit
        stranger = person(town, firstName="Ny")
        new = propstreet.create("contact", firstName="Mai", lastName="Ek", email="mai@example.se")
        before = await head(town)
        code, plan, counts = await reconcile(town, "--dry-run")
        assert (code, counts["counts"]["lost_webhook"]) == (1, {"contact": 7})
        assert await head(town) == before
        code, found, after = await reconcile(town)
        assert (code, after["left"], after["counts"]) == (0, 0, counts["counts"])
        assert planned(found) == planned(plan)
        assert {(each["field"], each["then"]) for each in plan} >= {
            ("last_name", "write at propstreet"),
            ("phone", "write at vitec"),
            ("*", "create at propstreet"),
            ("*", "create at vitec"),
        }
        events = await since(town, before)
        first = {key: want for key, want in issued(events).items() if key in planned(plan)}
        assert first == planned(plan)
        await eventually(lambda: town.named("contact", stranger))
        assert vitec.get(people[1])["telephone"]["cell"] == "+46701234567"
        assert propstreet.get("contact", here[0])["lastName"] == "Ås"
        assert vitec.get(people[2])["firstName"] == propstreet.get("contact", here[2])["firstName"] == "Silje"
        assert any(row["firstName"] == "Mai" for row in vitec.records("person"))
        assert propstreet.get("contact", new)["externalRefs"]
        await eventually(town.idle)
        assert [each for each in (await reconcile(town))[1] if each["then"]] == []
    await town.settled()
    await town.check_log()


async def test_a_level_at_vitec_that_moves_no_date_is_found(town: Flow) -> None:
    vitec = town.world.vitec
    estate = vitec.create_estate("CommercialProperty", description={"sellingHeading": "Kontor"})
    somebody = person(town)
    vitec.relate(somebody, estate, "Interested")
    await met(town, somebody)
    record = f"{estate}:{somebody}"
    await eventually(lambda: town.named("prospect", record))
    await town.settled()
    with silence(town):
        vitec.relate(somebody, estate, "NotInterested")
        _, found, _ = await reconcile(town)
        assert told(found) >= {("vitec", "prospect", "classification", "lost_webhook", "")}
        assert town.named("prospect", record)["classification"] == "not_interested"


async def test_a_field_that_is_held_stays_held_with_its_reason(town: Flow) -> None:
    somebody = person(town)
    [here] = await met(town, somebody)
    town.world.propstreet.edit("contact", here, lastName="L" * 60)

    async def held() -> bool:
        return ("vitec", "too_long", ("last_name",)) in await town.held_for("contact", "vitec", somebody)

    await eventually(held)
    await town.settled()
    before = await head(town)
    code, found, _ = await reconcile(town, "--dry-run")
    assert (code, [each for each in found if each["then"]]) == (0, [])
    assert ("vitec", "contact", "last_name", "not_writable", "too_long") in told(found)
    await reconcile(town)
    assert [event.type for event in await since(town, before)] == [ReconcileFinished.__name__]
    assert town.world.vitec.get(somebody)["lastName"] == "Berg"


async def test_a_removal_that_nobody_told_of_is_found_by_asking_for_the_record(town: Flow) -> None:
    somebody, other = person(town), person(town)
    await met(town, somebody, other)
    with silence(town):
        town.world.vitec.contacts.pop(somebody)
        before = await head(town)
        code, plan, _ = await reconcile(town, "--dry-run")
        assert code == 1
        assert ("vitec", "contact", "removed", "lost_webhook", "") in told(plan)
        _, found, _ = await reconcile(town)
        assert told(found) == told(plan)
        removals = [event for event in await since(town, before) if event.type == "RecordRemoved"]
        assert [event.stream for event in removals] == [f"contact:vitec:{somebody}"]

    async def closed() -> bool:  # after two more polls, as any other removal
        await working.ask_polls(await town.connect(), TENANT)
        entity = await town.entity("contact", "vitec", somebody)
        return entity is not None and entity.tombstone is not None

    await eventually(closed, timeout=30.0)
    await eventually(town.idle)
    assert town.named("contact", somebody)  # the other record stays (V5)
    await town.check_log()


async def test_several_candidates_are_told_as_held(town: Flow) -> None:
    twice = {"lastName": "Dahl", "email": {"emailAddress": "dahl@example.se"}}
    await town.forget_connection()
    await town.daemon.stop()  # it must not meet them one by one
    for name in ("Åke", "Örjan"):
        town.world.vitec.create("person", firstName=name, **twice)
    town.world.propstreet.create("contact", firstName="D", lastName="Dahl", email="dahl@example.se")
    await town.daemon.start()

    async def held() -> bool:
        waits = await views.held(await town.connect(), TENANT)
        return any(each.hold.reason == "ambiguous" for each in waits)

    await eventually(held)
    await town.settled()
    code, found, _ = await reconcile(town, "--dry-run")
    assert code == 0
    assert "ambiguous" in {each["reason"] for each in found if each["class"] == "held"}


async def test_two_at_once_never_begin(town: Flow) -> None:
    conn = await town.connect()
    async with conn.transaction():
        await conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('toveis reconcile ' || $1, 0))", TENANT
        )
        code, _, errors = await toveis("reconcile", "--config", str(town.config_file))
        assert (code, "under way already" in errors) == (2, True)
    assert (await toveis("reconcile", "--dry-run", "--config", str(town.config_file)))[0] == 0


async def test_what_a_corrected_setting_reads_otherwise_is_drift(tmp_path: Path, cluster: Path) -> None:
    sync = 'categories = { "Investor" = "investor" }'
    async with up(tmp_path, cluster, poll=NEVER, sync=sync) as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        somebody = person(running, categories=["KATP1", "KATP4"])  # Investor and VIP
        estate = vitec.create_estate("CommercialProperty", description={"sellingHeading": "Lager"})
        vitec.relate(somebody, estate, "FollowingBidding")
        [here] = await met(running, somebody)
        await eventually(lambda: running.named("prospect", f"{estate}:{somebody}"))
        await running.settled()
        was = running.named("prospect", f"{estate}:{somebody}")["classification"]
        assert (propstreet.get("contact", here)["tags"], was == "bidder") == (["investor"], False)

        await running.forget_connection()
        await running.daemon.stop()
        text = running.config_file.read_text()
        text = text.replace(sync, 'categories = { "Investor" = "investor", "VIP" = "vip" }')
        running.config_file.write_text(text + '\nlevels = { "FollowingBidding" = "bidder" }\n')
        code, _, errors = await toveis("reconcile", "--config", str(running.config_file))
        assert (code, "settings" in errors) == (2, True)
        await running.daemon.start()
        await eventually(running.idle)

        before = await head(running)
        code, plan, _ = await reconcile(running, "--dry-run")
        assert code == 1
        assert told(plan) >= {
            ("propstreet", "contact", "tags", "drift", ""),
            ("propstreet", "prospect", "classification", "drift", ""),
        }
        code, _, counts = await reconcile(running)
        assert (code, counts["left"]) == (0, 0)
        assert issued(await since(running, before)) == planned(plan)
        assert sorted(propstreet.get("contact", here)["tags"]) == ["investor", "vip"]
        assert running.named("prospect", f"{estate}:{somebody}")["classification"] == "bidder"
        await running.settled()
        assert [each for each in (await reconcile(running))[1] if each["then"]] == []
        await running.check_log()


async def test_too_much_at_once_is_held_as_one_until_it_is_released(tmp_path: Path, cluster: Path) -> None:
    brake = "change_brake = { count = 2, percent = 1 }"
    async with up(tmp_path, cluster, poll=NEVER, sync=brake) as running:
        people = [person(running) for _ in range(4)]
        here = await met(running, *people)
        with silence(running):
            for each in people:
                running.world.vitec.edit(each, lastName="Ås")
            _, plan, _ = await reconcile(running, "--dry-run")
            assert {(each["class"], each["then"]) for each in plan} == {("lost_webhook", "held by the brake")}
            await reconcile(running)
            await eventually(running.idle)
            names = {running.world.propstreet.get("contact", each)["lastName"] for each in here}
            assert names == {"Berg"}
            _, again, counts = await reconcile(running, "--dry-run")
            assert (told(again), counts["due"]) == (
                {("propstreet", "contact", "last_name", "held", "brake")},
                0,
            )
            config = ("--config", str(running.config_file))
            listed = rows((await toveis("commands", "--held", "--json", *config))[1])
            [batch] = [row["id"] for row in listed if row["reason"] == "changes"]
            assert (await toveis("release", batch, *config))[0] == 0

            def changed() -> bool:
                return all(running.world.propstreet.get("contact", e)["lastName"] == "Ås" for e in here)

            await eventually(changed)
            await running.check_log()


async def test_the_daemon_audits_by_itself_and_remembers_when_it_did(tmp_path: Path, cluster: Path) -> None:
    async with up(tmp_path, cluster, poll=NEVER, sync='reconcile_interval = "2s"') as running:
        somebody = person(running)
        [here] = await met(running, somebody)
        with silence(running):
            running.world.vitec.edit(somebody, lastName="Ås")
            await eventually(
                lambda: running.world.propstreet.get("contact", here)["lastName"] == "Ås", timeout=60.0
            )

        async def audits() -> list[ReconcileFinished]:
            found = await since(running, 0)
            return [decision_of(e) for e in found if e.type == ReconcileFinished.__name__]  # type: ignore[misc]

        async def told_of() -> bool:
            return any(each.found.get("lost_webhook") for each in await audits())

        await eventually(told_of, timeout=60.0)
        assert {each.by for each in await audits()} == {""}
        await running.check_log()


async def test_a_vendor_that_does_not_answer_is_said_and_nothing_is_written(town: Flow) -> None:
    await town.settled()
    before = await head(town)
    town.world.vitec.faults.plan("500", path_contains="/CRM/Contact/", times=1000)
    try:
        code, _, errors = await toveis("reconcile", "--config", str(town.config_file))
    finally:
        town.world.vitec.faults.clear()
    assert (code, "does not answer" in errors) == (2, True)
    await working.ask_again(await town.connect(), TENANT)
    assert ReconcileFinished.__name__ not in {event.type for event in await since(town, before)}
