"""The first start: everything is recorded, nothing is written for what nobody has touched since, until it is released."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    EntityHeld,
    RecordsLinked,
    decision_of,
)
from daemon.policies.syncing import OWNERS
from daemon.sandbox.day import idle
from daemon.sandbox.world import TENANT, World, world
from daemon.storage import log
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis

WAIT = 'first_sync = "wait"\nnote = "strategy"'
Planned = Counter[tuple[str, str, str | None]]


@asynccontextmanager
async def waiting(directory: Path, cluster: Path, place: World, wanted: int) -> AsyncIterator[Flow]:
    """A daemon that has seen all there is at both vendors, and so many entities that nobody has touched since."""
    running = Flow(place, directory, "250ms", WAIT)
    shutil.copytree(cluster, running.data)
    try:
        await running.daemon.start()
        place.subscribe()
        await eventually(lambda: _waiting(running, wanted), 30.0)
        yield running
    finally:
        await running.forget_connection()
        await running.daemon.stop()


async def _waiting(running: Flow, wanted: int) -> Any:
    conn = await running.connect()
    polled = await conn.fetchval("SELECT count(*) FROM toveis.cursors WHERE complete IS NOT NULL")
    dormant = await conn.fetchval("SELECT count(*) FROM entities WHERE dormant")
    return await idle(conn) and polled >= 8 and dormant == wanted


def person(place: World, name: str, email: str | None, **more: Any) -> str:
    """A person at Vitec."""
    channel = {"email": {"emailAddress": email}} if email else {}
    return place.vitec.create("person", firstName=name, lastName="Berg", **channel, **more)


def contact(place: World, name: str, email: str | None, **more: Any) -> str:
    """A contact at Propstreet."""
    return place.propstreet.create("contact", firstName=name, lastName="Berg", email=email, **more)


def market(place: World) -> int:
    """One of every sort at both vendors; how many entities that is before anything is linked."""
    person(place, "Lik", "lik@example.no")
    contact(place, "Lik", "lik@example.no")
    person(place, "Ulik", "ulik@example.no")
    contact(place, "Annen", "ulik@example.no", phone="+46701740605")
    buyer = person(place, "Vitec", "bare.vitec@example.no")
    contact(place, "Propstreet", "bare.propstreet@example.no")
    contact(place, "Uten", None)
    for name in ("Tvilling", "Dobbel"):
        person(place, name, "to@example.no")
    contact(place, "Tre", "to@example.no")
    for number in ("556036-0793", "556012-5790"):
        place.vitec.create("company", name=f"Firma {number}", corporateNumber=number)
    place.propstreet.create(
        "company",
        name="Firma 556036-0793",
        externalRefs=[{"namespace": "organization-number", "id": "5560360793"}],
    )
    estate = place.vitec.create_estate("CommercialProperty", description={"sellingHeading": "Kontor i Ystad"})
    place.vitec.relate(buyer, estate, "Interested")
    return 10 + 3 + 2


async def done(running: Flow, after: int) -> Planned:
    """What the daemon did since an event, counted as the plan counts."""
    events = await log.page(await running.connect(), TENANT, after, 10_000)
    decisions = [(e.stream.partition(":")[0], decision_of(e)) for e in events if e.origin == "toveis"]
    taken_back = {d.command for _, d in decisions if isinstance(d, CommandSuperseded)}
    found: Planned = Counter()
    for category, decision in decisions:
        match decision:
            case RecordsLinked(rule=rule) if rule != "created":
                found["link", category, None] += 1
            case CommandIssued(command=command, target=target, record=record) if command not in taken_back:
                found["create" if record is None else "update", category, target] += 1
            case CommandHeld(want=want) if want.keys() <= OWNERS.keys():
                pass  # what Propstreet itself sets on a new project shows only when it is there
            case CommandHeld(target=target):
                found["hold", category, target] += 1
            case EntityHeld():
                found["hold", category, None] += 1
    return found


async def test_what_was_there_before_waits_and_what_is_edited_since_is_synced(
    tmp_path: Path, cluster: Path
) -> None:
    async with world() as place:
        old = [person(place, "Gammel", f"{name}@example.no") for name in ("en", "to")]
        vitec, propstreet = place.vitec, place.propstreet
        async with waiting(tmp_path, cluster, place, 2) as running:
            assert propstreet.records("contact") == []
            vitec.edit(old[0], firstName="Ny")
            contact(place, "Fersk", "fersk@example.no")
            await eventually(lambda: _waiting(running, 1))
            await eventually(
                lambda: len(propstreet.records("contact")) == 2 and len(vitec.records("person")) == 3
            )
            assert {record["firstName"] for record in propstreet.records("contact")} == {"Ny", "Fersk"}
            await running.check_log()


async def test_a_dry_run_says_exactly_what_the_backfill_then_does(tmp_path: Path, cluster: Path) -> None:
    async with world() as place:
        entities = market(place)
        async with waiting(tmp_path, cluster, place, entities) as running:
            config = ("--config", str(running.config_file))
            head = await log.head(await running.connect(), TENANT)
            code, output, errors = await toveis("backfill", "--dry-run", "--json", *config)
            assert (code, errors) == (1, "")
            plan = rows(output)
            assert {"do", "category", "entity", "records", "target", "fields", "reason", "after"} <= plan[
                0
            ].keys()
            planned: Planned = Counter((step["do"], step["category"], step["target"]) for step in plan)
            assert {step["do"] for step in plan} == {"link", "create", "update", "hold"}
            assert planned["create", "prospect", "propstreet"] == 1
            [prospect] = [s for s in plan if (s["do"], s["category"]) == ("create", "prospect")]
            assert len(prospect["after"]) == 2  # its contact and its project are made first
            [ulik] = [step for step in plan if "first_name" in (step.get("overwrites") or ())]
            assert ulik["do"] == "update"

            code, output, _ = await toveis("backfill", "--dry-run", *config)
            assert (code, max(map(len, output.splitlines()[:5])) <= 80) == (1, True)
            code, _, errors = await toveis("backfill", *config)
            assert (code, "--yes" in errors) == (2, True)
            assert await log.head(await running.connect(), TENANT) == head
            assert rows((await toveis("status", "--json", *config))[1])[0]["waiting"] == entities

            code, output, errors = await toveis("backfill", "--yes", *config)
            assert (code, "done" in errors) == (0, True), errors
            await running.settled()
            assert await done(running, head) == planned
            assert rows((await toveis("status", "--json", *config))[1])[0]["waiting"] == 0

            head = await log.head(await running.connect(), TENANT)
            assert (await toveis("backfill", "--dry-run", *config))[0] == 0
            assert (await toveis("backfill", "--dry-run", "--json", *config))[:2] == (0, "")
            assert (await toveis("backfill", *config))[0] == 0
            assert await log.head(await running.connect(), TENANT) == head
            await running.check_log()


async def test_a_category_is_released_with_what_it_needs_and_the_rest_goes_on_waiting(
    tmp_path: Path, cluster: Path
) -> None:
    async with world() as place:
        entities = market(place)
        async with waiting(tmp_path, cluster, place, entities) as running:
            config = ("--config", str(running.config_file))
            code, output, _ = await toveis("backfill", "prospect", "--dry-run", "--json", *config)
            creates = [step["category"] for step in rows(output) if step["do"] == "create"]
            assert (code, creates) == (1, ["contact", "project", "prospect"])
            code, output, errors = await toveis("backfill", "prospect", "--yes", *config)
            assert (code, "done" in errors) == (0, True), errors
            assert "9 contact stay waiting" in output
            await running.settled()
            propstreet = running.world.propstreet
            assert [record["classification"] for record in propstreet.records("prospect")] == ["interested"]
            assert len(propstreet.records("contact")) == 6  # five were there, and one was needed
            assert rows((await toveis("status", "--json", *config))[1])[0]["waiting"] == entities - 3
            code, output, _ = await toveis("backfill", "company", "--dry-run", *config)
            assert (code, "3" in output.splitlines()[2]) == (1, True)
            await running.check_log()
