"""What goes wrong between the daemon, its database and the vendors, and what must hold nevertheless."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg
import pytest

from daemon.sandbox.agreement import differences
from daemon.sandbox.day import idle
from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.vitec_connect import Switches as VitecSwitches
from daemon.sandbox.world import TENANT
from tests.conftest import eventually
from tests.flow.conftest import Flow

Up = Callable[..., Any]


async def settled(running: Flow, timeout: float = 30) -> None:  # noqa: ASYNC109 - a test's own
    async def quiet() -> bool:
        conn = await running.connect()
        return not differences(running.world.vitec, running.world.propstreet) and await idle(conn)

    await eventually(quiet, timeout=timeout)


async def test_a_day_of_faulty_answers_loses_and_doubles_nothing(flow: Up) -> None:
    async with flow() as running:
        for twin in (running.world.vitec, running.world.propstreet):
            for kind in ("drop_before", "drop_after", "500", "503", "broken_json"):
                twin.faults.random_rate(kind, 0.02)
        outcome = await running.day()
        assert outcome.dead == 0
        await running.check_log()


@pytest.mark.parametrize(
    "kind",
    [
        "drop_after",
        "500",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("timeout_after", "broken_json")),
    ],
)
async def test_a_create_whose_answer_is_lost_never_makes_a_second_record(flow: Up, kind: str) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        await settled(running)
        vitec.faults.plan(kind, method="POST", path_contains="UpdatePerson", times=2)
        propstreet.faults.plan(kind, method="PATCH", path_contains="external", times=2)
        propstreet.faults.plan(kind, method="POST", path_contains="companies", times=2)
        vitec.create("person", firstName="Bjørg", lastName="Ås", email={"emailAddress": "bjorg@example.no"})
        vitec.create("company", name="Ås Bygg AB", corporateNumber="559999-9041")
        propstreet.create("contact", firstName="Jörgen", lastName="Ö", email="jorgen@example.se")
        await settled(running)
        assert len(vitec.records("person")) == len(propstreet.records("contact")) == 2
        assert len(vitec.records("company")) == len(propstreet.records("company")) == 1
        await running.check_log()


async def test_a_person_who_edits_while_our_write_is_on_its_way_keeps_the_edit(flow: Up) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        contact = vitec.create(
            "person", firstName="Eva", lastName="Lie", email={"emailAddress": "eva@example.no"}
        )
        await settled(running)
        [there] = propstreet.records("contact")
        propstreet.faults.plan("timeout_after", method="PATCH", path_contains="contacts", times=1)
        vitec.edit(contact, lastName="Lie Berg")
        await eventually(lambda: propstreet.get("contact", there["id"])["lastName"] == "Lie Berg")
        propstreet.edit("contact", there["id"], lastName="Lie Dahl")
        await settled(running)
        assert (
            vitec.get(contact)["lastName"] == propstreet.get("contact", there["id"])["lastName"] == "Lie Dahl"
        )


async def test_a_database_that_goes_away_for_ten_seconds_loses_nothing(flow: Up) -> None:
    async with flow(propstreet=PropstreetSwitches(ps12=(0.5, 1, 2, 4, 8))) as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        contact = vitec.create(
            "person", firstName="Ola", lastName="Moe", email={"emailAddress": "ola@example.no"}
        )
        await settled(running)
        [there] = propstreet.records("contact")
        await running.connect()
        beside = await asyncpg.connect(running.dsn("postgres"))
        await beside.execute("ALTER DATABASE toveis ALLOW_CONNECTIONS false")
        await beside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'toveis'"
        )
        async with aiohttp.ClientSession() as session:
            url = f"{running.world.daemon_url}/webhooks/vitec/{TENANT}/sandbox-path-secret-0001"
            async with session.post(
                url, json={"type": "Contact", "subtype": "Person", "id": contact}
            ) as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"]
            vitec.edit(contact, firstName="Olav")
            propstreet.edit("contact", there["id"], lastName="Moe Lund")
            async with session.get(f"{running.world.daemon_url}/readyz") as answer:
                assert answer.status == 503
            async with session.get(f"{running.world.daemon_url}/healthz") as answer:
                assert answer.status == 200
            await asyncio.sleep(10)
        await beside.execute("ALTER DATABASE toveis ALLOW_CONNECTIONS true")
        await beside.close()
        await settled(running, timeout=60)
        assert vitec.get(contact)["lastName"] == "Moe Lund"
        assert propstreet.get("contact", there["id"])["firstName"] == "Olav"
        await running.check_log()


async def test_a_contact_without_any_identifier_is_kept_and_held(flow: Up) -> None:
    async with flow() as running:
        propstreet = running.world.propstreet
        propstreet.create("contact", firstName="Navn", lastName="Uten")

        async def held() -> Any:
            conn = await running.connect()
            return await conn.fetchrow("SELECT reason, detail FROM commands WHERE state = 'held'")

        row = await eventually(held)
        assert row["reason"] == "needs_channel"
        assert running.world.vitec.records("person") == []
        await running.check_log()


async def test_a_name_that_is_too_long_for_vitec_is_held_alone_and_the_rest_is_written(flow: Up) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        contact = propstreet.create("contact", firstName="Kort", lastName="Navn", email="kort@example.no")
        await settled(running)
        [there] = vitec.records("person")
        propstreet.edit("contact", contact, lastName="Å" * 45, phone="+4740000051")

        async def written() -> bool:
            return bool(vitec.get(there["id"])["telephone"]["cell"] == "+4740000051")

        await eventually(written)
        assert vitec.get(there["id"])["lastName"] == "Navn"
        propstreet.edit("contact", contact, lastName="Åsen")
        await settled(running)
        assert vitec.get(there["id"])["lastName"] == "Åsen"
        conn = await running.connect()
        assert await conn.fetchval("SELECT count(*) FROM commands WHERE state = 'held'") == 0


async def test_a_contact_deleted_at_propstreet_is_not_revived_by_an_edit_at_vitec(flow: Up) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        contact = vitec.create(
            "person", firstName="Per", lastName="Vik", email={"emailAddress": "per@example.no"}
        )
        await settled(running)
        [there] = propstreet.records("contact")
        propstreet.delete("contact", there["id"])

        async def closed() -> Any:
            conn = await running.connect()
            return await conn.fetchval("SELECT state ->> 'tombstone' FROM entities WHERE linked")

        assert await eventually(closed) == "removed at propstreet"
        vitec.edit(contact, firstName="Pål")
        await asyncio.sleep(1)
        assert propstreet.records("contact") == []
        assert vitec.get(contact)["firstName"] == "Pål"
        conn = await running.connect()
        [row] = await conn.fetch("SELECT reason, target FROM commands WHERE state = 'held'")
        assert tuple(row) == ("not_writable", "vitec")


READINGS = {
    "the other envelope, thin bodies, 409 for a stale etag, no word on a project's class": (
        PropstreetSwitches(ps1="event", ps2="thin", ps3=409, ps5="400", ps9="top", ps10="string", ps29=3),
        VitecSwitches(vs1="old", vs2="query", vs19="left_out", vs21="left_out"),
    ),
    "no echoes, merged references, replaced categories, other dates": (
        PropstreetSwitches(
            ps5="accepted", ps11=False, ps15="unknown_first", ps19="merge", ps29=0, ps4="existing"
        ),
        VitecSwitches(vs2="body", vs5="none", vs11="replace", vs23="offset", vs20="empty", vs26="first_20"),
    ),
    "broken bodies, two echoes, exact phone search": (
        PropstreetSwitches(ps5="accepted", ps15="two", ps18=False, ps20="upsert", ps25="hidden", ps22=True),
        VitecSwitches(vs2="broken", vs5="twice", vs21="204", vs24="dotted", vs40="exact", vs39="SE"),
    ),
}
"""Both vendors' open points, read the other way, several at once."""


FIRST, *OTHERS = READINGS


@pytest.mark.parametrize(
    "reading", [FIRST, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)]
)
async def test_the_day_converges_whichever_way_the_vendors_mean_it(flow: Up, reading: str) -> None:
    propstreet, vitec = READINGS[reading]
    async with flow(propstreet=propstreet, vitec=vitec) as running:
        outcome = await running.day()
        assert outcome.echo_commands == 0
        await running.check_log()
