"""So much at once: nothing follows from it before an operator says so, or before it turns out to be a mistake."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.world import PATH_SECRET, TENANT, World, world
from daemon.storage import brakes
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis


def pairs(place: World, people: int) -> list[tuple[str, str]]:
    """So many persons who are at both vendors already, with Vitec's ids at Propstreet."""
    found = []
    for n in range(people):
        email = f"nr{n}@example.no"
        there = place.vitec.create(
            "person", firstName=f"Nr {n}", lastName="Berg", email={"emailAddress": email}
        )
        here = place.propstreet.create(
            "contact",
            firstName=f"Nr {n}",
            lastName="Berg",
            email=email,
            externalRefs=[{"namespace": "vitec-next", "id": there}],
        )
        found.append((there, here))
    return found


@asynccontextmanager
async def town(
    directory: Path, cluster: Path, people: int, sync: str = "", poll: str = "1s"
) -> AsyncIterator[tuple[Flow, list[tuple[str, str]]]]:
    """A daemon between two vendors that know the same people, all of them linked."""
    async with world() as place:
        linked = pairs(place, people)
        running = Flow(place, directory, poll, sync)
        shutil.copytree(cluster, running.data)
        try:
            await running.daemon.start()
            place.vitec.subscribe(f"{place.daemon_url}/webhooks/vitec/{TENANT}/{PATH_SECRET}")

            async def met() -> bool:
                conn = await running.connect()
                count = await brakes.linked_count(conn, TENANT, ["contact"])
                return count == people and await running.idle()

            await eventually(met, 30.0)
            yield running, linked
        finally:
            await running.forget_connection()
            await running.daemon.stop()


async def held(running: Flow) -> list[Any]:
    """The batches that a brake holds."""
    return [row for row in await brakes.batches(await running.connect(), TENANT) if row.released is None]


@pytest.mark.parametrize("people", [16, pytest.param(300, marks=pytest.mark.slow)])
async def test_all_who_vanish_at_once_are_held_and_come_back_as_if_nothing_had_been(
    tmp_path: Path, cluster: Path, people: int
) -> None:
    async with town(tmp_path, cluster, people) as (running, linked):
        vitec, before = running.world.vitec, running.content()
        away = {record: vitec.contacts.pop(record) for record, _ in linked}
        for contact in away.values():
            vitec.tell_contact("Update", contact)

        async def all_asked_for() -> bool:
            conn = await running.connect()
            return len(await brakes.removals(conn, TENANT, ["contact"])) == people and await running.idle()

        await eventually(all_asked_for, 30.0)
        [batch] = await held(running)
        assert (batch.kind, batch.vendor, batch.category, batch.most) == ("removals", "vitec", "contact", 10)
        await running.settled()
        conn = await running.connect()
        assert (
            await conn.fetchval("SELECT count(*) FROM entities WHERE state ->> 'tombstone' IS NOT NULL") == 0
        )
        assert running.content() == before
        assert await brakes.linked_count(conn, TENANT, ["contact"]) == people

        vitec.contacts.update(away)
        for contact in away.values():
            vitec.tell_contact("Update", contact)

        async def all_back() -> bool:
            return not await held(running)

        await eventually(all_back, 30.0)
        there, here = linked[7]
        vitec.edit(there, lastName="Ek")
        await eventually(lambda: running.world.propstreet.get("contact", here)["lastName"] == "Ek")
        await running.settled()
        await running.check_log()


async def test_a_poll_that_changes_too_much_is_held_until_it_is_released(
    tmp_path: Path, cluster: Path
) -> None:
    brake = "change_brake = { count = 3, percent = 1 }"
    async with town(tmp_path, cluster, 8, brake) as (running, linked):
        for _, here in linked[:5]:
            running.world.propstreet.edit("contact", here, lastName="Ek")

        async def braked() -> bool:
            return bool(await held(running))

        await eventually(braked)
        await running.settled()
        vitec = running.world.vitec
        assert {vitec.get(there)["lastName"] for there, _ in linked} == {"Berg"}
        vitec.edit(linked[0][0], firstName="Kari")
        vitec.edit(linked[7][0], firstName="Ola")
        await eventually(lambda: running.world.propstreet.get("contact", linked[7][1])["firstName"] == "Ola")
        await running.settled()
        assert running.world.propstreet.get("contact", linked[0][1])["firstName"] == "Nr 0"
        config = ("--config", str(running.config_file))
        listed = rows((await toveis("commands", "--held", "--json", *config))[1])
        [batch] = [row["id"] for row in listed if row["reason"] == "changes"]
        assert rows((await toveis("status", "--json", *config))[1])[0]["held_batches"] == 1
        assert (await toveis("release", "bat-nothing", *config))[0] == 2
        assert "toveis release" in (await toveis("discard", batch, *config))[2]
        assert max(map(len, (await toveis("commands", *config))[1].splitlines())) <= 80
        code, output, _ = await toveis("release", batch[:-3], *config)
        assert (code, batch in output) == (0, True)
        await eventually(lambda: {vitec.get(there)["lastName"] for there, _ in linked[:5]} == {"Ek"})
        await eventually(lambda: running.world.propstreet.get("contact", linked[0][1])["firstName"] == "Kari")
        assert rows((await toveis("status", "--json", *config))[1])[0]["held_batches"] == 0
        await running.check_log()
