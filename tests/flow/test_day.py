"""The whole day, with the real daemon between both twins, and everything that may go wrong around it."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.agreement import Posted, differences
from daemon.sandbox.cast import script
from daemon.sandbox.day import Outcome
from daemon.sandbox.world import world
from tests.flow.conftest import Flow

Up = Callable[..., Any]


async def test_the_day_converges_without_an_echo(flow: Up) -> None:
    async with flow() as running:
        outcome: Outcome = await running.day()
        assert outcome.edits >= 60
        assert outcome.echo_commands == 0
        assert (outcome.held, outcome.dead) == (0, 0)
        await running.check_log()


async def test_the_day_converges_by_polls_alone(flow: Up) -> None:
    async with flow(subscribe=False) as running:
        outcome = await running.day()
        assert outcome.echo_commands == 0
        await running.check_log()


async def test_webhooks_delivered_three_times_in_random_order_change_nothing(
    flow: Up, tmp_path: Path
) -> None:
    async with flow() as running:
        for twin in (running.world.vitec, running.world.propstreet):
            twin.faults.delivery.copies, twin.faults.delivery.shuffle = 3, True
        outcome = await running.day()
        assert outcome.echo_commands == 0
        await running.check_log()


async def _day_with_a_kill(running: Flow, seed: int) -> None:
    """Kill the daemon at a moment of the seed's choosing, and start it again while people go on working."""
    chance = random.Random(seed)
    end = len(script(seed).steps) - 1
    victim = chance.randrange(1, end)
    restarts: list[asyncio.Task[None]] = []

    async def kill_and_restart() -> None:
        await asyncio.sleep(chance.uniform(0, 0.15))
        await running.forget_connection()
        running.daemon.kill()
        await asyncio.sleep(chance.uniform(0, 0.3))
        await running.daemon.start()

    async def between(step: int) -> None:
        await asyncio.sleep(0.01)
        if step == victim:
            restarts.append(asyncio.create_task(kill_and_restart()))
        if step == end:
            await asyncio.gather(*restarts)

    await running.day(seed, between)
    assert restarts
    await running.check_log()


@pytest.mark.parametrize("seed", [1])
async def test_a_daemon_killed_in_the_middle_of_the_day_loses_and_doubles_nothing(
    flow: Up, seed: int
) -> None:
    async with flow(seed) as running:
        await _day_with_a_kill(running, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, *range(10, 30)])
async def test_a_daemon_killed_at_any_moment_loses_and_doubles_nothing(flow: Up, seed: int) -> None:
    async with flow(seed) as running:
        await _day_with_a_kill(running, seed)


async def test_two_vendors_that_were_never_brought_together_do_not_agree() -> None:
    async with world() as place:
        place.people.move_in(script(1))
        found = differences(place.vitec, place.propstreet)
        lacking = [line.split()[0] for line in found if line.endswith("no counterpart at Propstreet")]
        assert {"contact", "company", "project", "prospect"} == set(lacking)
        assert lacking.count("prospect") == 3


async def test_a_prospect_in_another_class_is_a_difference_and_one_in_the_same_class_is_none() -> None:
    async with world() as place:
        vitec, propstreet = place.vitec, place.propstreet
        person = vitec.create(
            "person", firstName="Åsne", lastName="Ås", email={"emailAddress": "aasne@example.no"}
        )
        estate = vitec.create_estate("Project", status="Coming", baseInformation={"projectName": "Åsen"})
        names = [{"namespace": "vitec-next", "id": name} for name in (person, estate, f"{estate}:{person}")]
        contact = propstreet.create(
            "contact", firstName="Åsne", lastName="Ås", email="aasne@example.no", externalRefs=names[:1]
        )
        project = propstreet.create("project", name="Åsen", classification="active", externalRefs=names[1:2])
        prospect = propstreet.create(
            "prospect",
            projectId=project,
            contactId=contact,
            classification="interested",
            externalRefs=names[2:],
        )
        assert differences(vitec, propstreet) == [
            f"prospect propstreet:{prospect} has no counterpart at Vitec"
        ]
        vitec.relate(person, estate, "VeryInterested")
        assert differences(vitec, propstreet) == []
        vitec.relate(person, estate, "ParticipateInBidding")
        [line] = differences(vitec, propstreet)
        assert line.endswith("classification: 'bidder' at Vitec, 'interested' at Propstreet")


async def test_a_lead_has_to_be_at_vitec_once_and_may_be_missing_only_while_it_is_held() -> None:
    async with world() as place:
        lead = Posted("Lead/Person", "dag@example.no")
        assert differences(place.vitec, place.propstreet, [lead], held=[lead]) == []
        assert differences(place.vitec, place.propstreet, [lead]) == [
            "lead of dag@example.no is 0 times at Vitec (Lead/Person)"
        ]
        for key in ("LED1", "LED2"):
            place.vitec.leads[key] = {
                "call": "Lead/Person",
                "body": {"email": {"emailAddress": "dag@example.no"}},
            }
        assert len(differences(place.vitec, place.propstreet, [lead], held=[lead])) == 1
