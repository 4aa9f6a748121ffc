"""Two real daemons on one PostgreSQL: one dies or is paused, the other goes on, and nothing is lost, doubled or undone."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.sandbox.world import TENANT
from tests.conftest import eventually
from tests.flow.several import Peer, Several, several

TAKEN_WITHIN = 15.0
BUSY = 10.0
"""Seconds more on a machine that has much else to do."""


def person(running: Several, name: str) -> str:
    """Somebody at Vitec."""
    email = {"emailAddress": f"{name.lower()}@example.no"}
    return running.world.vitec.create("person", firstName=name, lastName="Næss", email=email)


def stop(peer: Peer) -> None:
    os.kill(peer.pid, signal.SIGSTOP)


def go_on(peer: Peer) -> None:
    os.kill(peer.pid, signal.SIGCONT)


def there(running: Several) -> str:
    """The one contact at Propstreet."""
    [contact] = running.world.propstreet.records("contact")
    name: str = contact["id"]
    return name


async def test_when_one_is_killed_the_other_has_its_tenant_within_fifteen_seconds(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        one, two = running.peers
        person(running, "Ada")
        await running.settled()
        assert two.vitec.writes == two.propstreet.writes == []
        one.kill()
        person(running, "Bo")
        await running.held_by(two, TAKEN_WITHIN + BUSY)
        await running.settled()
        assert len(running.world.propstreet.records("contact")) == 2
        await running.check_log()


async def test_a_daemon_that_was_paused_past_its_lease_writes_nothing_when_it_goes_on(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        one, two = running.peers
        vitec, propstreet = running.world.vitec, running.world.propstreet
        people = [person(running, f"Bo{number}") for number in range(5)]
        await running.settled()
        contacts = [contact["id"] for contact in propstreet.records("contact")]
        one.vitec.flow.clear()  # it stops between its look at Vitec and its write there
        for contact in contacts:
            propstreet.edit("contact", contact, lastName="Dahl")
        await eventually(lambda: one.vitec.waiting >= len(contacts))
        stop(one)
        await running.held_by(two, TAKEN_WITHIN + BUSY)
        await eventually(lambda: all(vitec.get(each)["lastName"] == "Dahl" for each in people), 30)
        propstreet.edit("contact", contacts[0], lastName="Lie")
        await running.settled()
        wrote, sent = await running.wrote(one), len(one.vitec.writes + one.propstreet.writes)
        one.vitec.flow.set()
        go_on(one)
        await eventually(lambda: "lease.lost" in one.log_file.read_text("utf-8"), 30)
        propstreet.edit("contact", contacts[1], lastName="Ås")
        await running.settled()
        assert await running.holder() is two
        assert await running.wrote(one) == wrote
        assert len(one.vitec.writes + one.propstreet.writes) == sent
        assert sorted(vitec.get(each)["lastName"] for each in people) == ["Dahl", "Dahl", "Dahl", "Lie", "Ås"]
        await running.check_log()


async def test_a_write_to_vitec_that_lands_after_another_daemon_has_taken_over_undoes_no_edit(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        one, two = running.peers
        ada = person(running, "Ada")
        await running.settled()
        one.vitec.holding = lambda path: "UpdatePerson" in path
        propstreet.edit("contact", there(running), firstName="Beate")
        await eventually(lambda: one.vitec.held)
        one.kill()
        await running.held_by(two, TAKEN_WITHIN + BUSY)
        await eventually(lambda: vitec.get(ada)["firstName"] == "Beate")  # by the other one's hand
        vitec.edit(ada, firstName="Cecilia")
        await running.settled()
        assert propstreet.get("contact", there(running))["firstName"] == "Cecilia"
        await one.vitec.let_go()
        assert vitec.get(ada)["firstName"] == "Beate"
        await eventually(lambda: vitec.get(ada)["firstName"] == "Cecilia", 30)
        await running.settled()
        assert propstreet.get("contact", there(running))["firstName"] == "Cecilia"
        await running.check_log()


@pytest.mark.slow
async def test_a_write_to_propstreet_that_lands_late_meets_another_etag(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        one, two = running.peers
        ada = person(running, "Ada")
        await running.settled()
        one.propstreet.holding = lambda path: "contacts" in path
        vitec.edit(ada, firstName="Beate")
        await eventually(lambda: one.propstreet.held)
        one.kill()
        await running.held_by(two, TAKEN_WITHIN + BUSY)
        await eventually(lambda: propstreet.get("contact", there(running))["firstName"] == "Beate", 30)
        propstreet.edit("contact", there(running), firstName="Cecilia")
        await running.settled()
        await one.propstreet.let_go()
        assert propstreet.get("contact", there(running))["firstName"] == "Cecilia"
        await running.settled()
        assert vitec.get(ada)["firstName"] == "Cecilia"
        await running.check_log()


async def test_a_daemon_that_stops_hands_over_at_once_and_one_that_starts_again_waits_for_nothing(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        one, two = running.peers
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await one.stop() == 0
        await running.held_by(two)
        two.kill()
        await two.start()
        epoch = "SELECT epoch FROM leases WHERE tenant = $1"

        async def taken_anew() -> bool:
            return bool(await running.conn.fetchval(epoch, TENANT) == 3)

        await eventually(taken_anew, 30)
        await running.held_by(two)
        assert loop.time() - began < 12.0 + BUSY  # no lease had to run out


async def test_status_says_who_has_the_tenant(tmp_path: Path, database: str) -> None:
    async with several(tmp_path, database, "one") as running:
        [one] = running.peers
        words = [sys.executable, "-m", "daemon", "status", "--config", str(one.config_file)]

        async def asked(*more: str) -> str:
            done = await asyncio.to_thread(
                subprocess.run, [*words, *more], capture_output=True, text=True, check=True
            )
            return done.stdout

        assert f":{one.port}\n" in await asked()
        assert '"epoch":1' in await asked("--json")
        await one.stop()
        assert "held by    no daemon" in await asked()
        assert '"lease":null' in await asked("--json")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_two_daemons_of_which_one_is_killed_every_ten_seconds_lose_and_double_nothing(
    tmp_path: Path, database: str
) -> None:
    async with several(tmp_path, database, "one", "two") as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        people = [person(running, f"P{number}") for number in range(11)]
        await running.settled()
        at_propstreet = {c["email"]: c["id"] for c in propstreet.records("contact")}
        loop = asyncio.get_running_loop()
        typed, killed, end, next_kill = 0, [], loop.time() + 120.0, loop.time() + 10.0
        restarts: list[asyncio.Task[None]] = []

        async def again(peer: Peer, seconds: float) -> None:
            """In place before its lease is over, or after the other one has taken it."""
            await asyncio.sleep(seconds)
            await peer.start()

        while loop.time() < end:
            number = typed % len(people)
            contact = at_propstreet[f"p{number}@example.no"]
            if typed % 2:
                vitec.edit(people[number], firstName=f"Vidar {typed}")
            else:
                propstreet.edit("contact", contact, lastName=f"Pil {typed}")
            if typed % 7 == 0:
                person(running, f"Ny{typed}")
            typed += 1
            if loop.time() >= next_kill and (victim := await running.holder()) and victim.alive:
                victim.kill()
                killed.append(victim.name)
                restarts.append(asyncio.create_task(again(victim, 1.0 if len(killed) % 2 else 16.0)))
                next_kill = loop.time() + 10.0
            await asyncio.sleep(0.3)
        await asyncio.gather(*restarts)
        await running.settled(120)
        assert len(killed) >= 6
        assert set(killed) == {"one", "two"}
        assert len(vitec.records("person")) == len(propstreet.records("contact")) == 11 + (typed + 6) // 7
        last = {n: {t % 2: t for t in range(n, typed, len(people))} for n in range(len(people))}
        for number, contact in enumerate(people):
            found = vitec.get(contact)
            for side, what in ((1, f"Vidar {last[number].get(1)}"), (0, f"Pil {last[number].get(0)}")):
                if side in last[number]:
                    assert found["firstName" if side else "lastName"] == what
        for twin in (vitec, propstreet):
            created = [e.record for e in twin.journal.writes() if e.before is None and e.after is not None]
            assert len(created) == len(set(created))
        await running.check_log()
