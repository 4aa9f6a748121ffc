"""The whole day, with the real daemon between both twins, and everything that may go wrong around it."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.day import Outcome
from tests.flow.conftest import Flow

Up = Callable[..., Any]


@pytest.fixture(scope="module")
def undisturbed() -> dict[int, list[tuple[str, ...]]]:
    """What each seed's day comes to when nothing goes wrong, kept for comparison."""
    return {}


async def _content_of_a_quiet_day(flow: Up, seed: int) -> list[tuple[str, ...]]:
    async with flow(seed) as running:
        await running.day(seed)
        content: list[tuple[str, ...]] = running.content()
        return content


async def test_the_day_converges_without_an_echo(flow: Up) -> None:
    async with flow() as running:
        outcome: Outcome = await running.day()
        assert outcome.edits >= 60
        assert outcome.echo_commands == 0
        assert (outcome.held, outcome.dead) == (0, 0)
        assert outcome.seconds < 10
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
    victim = chance.randrange(len(running.world.people.ids) or 1, 70)
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
        if step == 71:
            await asyncio.gather(*restarts)

    await running.day(seed, between)
    assert restarts
    await running.check_log()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_daemon_killed_in_the_middle_of_the_day_loses_and_doubles_nothing(
    flow: Up, seed: int
) -> None:
    async with flow(seed) as running:
        await _day_with_a_kill(running, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
async def test_a_daemon_killed_at_any_moment_loses_and_doubles_nothing(flow: Up, seed: int) -> None:
    async with flow(seed) as running:
        await _day_with_a_kill(running, seed)
