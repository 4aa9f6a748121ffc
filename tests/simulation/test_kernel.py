"""The ground that the simulator stands on: virtual time, lives that end without a last word, requests that arrive late."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp import web

from daemon.deliver import deliverer
from daemon.policies import syncing
from projections import fold, merge, outbox
from tests.simulation.loop import NothingToDoError, VirtualLoop, forever
from tests.simulation.mutants import MUTANTS, mutated
from tests.simulation.network import Network
from tests.simulation.truth import Call

T = TypeVar("T")


def told(loop: VirtualLoop, story: Coroutine[Any, Any, T]) -> T:
    """Run a story on a loop of its own."""
    try:
        return loop.run_until_complete(story)
    finally:
        loop.bury()


def test_an_hour_passes_at_once_and_in_order() -> None:
    loop, seen = VirtualLoop(), list[tuple[str, float]]()

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.now))

    async def story() -> None:
        await asyncio.gather(wait("late", 3600.0), wait("early", 1.5))

    told(loop, story())
    assert [name for name, _ in seen] == ["early", "late"]
    assert seen[1][1] == pytest.approx(3600.0)


def test_a_story_in_which_everybody_waits_for_somebody_else_is_told_so() -> None:
    with pytest.raises(NothingToDoError):
        told(VirtualLoop(), forever())


def test_a_life_that_ends_runs_nothing_more_not_even_its_last_words() -> None:
    loop, seen = VirtualLoop(), list[str]()

    async def live() -> None:
        try:
            seen.append("born")
            await asyncio.sleep(10)
            seen.append("old")
        finally:
            seen.append("last words")

    async def story() -> None:
        loop.create_task(live(), context=loop.context_of(1))
        await asyncio.sleep(5)
        loop.end(1)
        await asyncio.sleep(20)

    told(loop, story())
    assert seen == ["born"]


def test_what_a_life_started_ends_with_it_and_what_others_started_goes_on() -> None:
    loop, seen = VirtualLoop(), list[str]()

    async def tick(name: str) -> None:
        while True:
            await asyncio.sleep(1)
            seen.append(name)

    async def live() -> None:
        child = asyncio.get_running_loop().create_task(tick("child"))
        await child

    async def story() -> None:
        loop.create_task(live(), context=loop.context_of(1))
        other = loop.create_task(tick("other"), context=loop.context_of(2))
        await asyncio.sleep(2.5)
        loop.end(1)
        await asyncio.sleep(2)
        other.cancel()

    told(loop, story())
    assert seen == ["other", "child", "other", "child", "other", "other"]


class Office:
    """A vendor that counts what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []

    def app(self) -> web.Application:
        """The vendor's API."""
        app = web.Application()
        app.router.add_route("*", "/{name}", self.hear)
        return app

    async def hear(self, request: web.Request) -> web.Response:
        """Note it."""
        body = await request.read()
        self.told.append((request.match_info["name"], body))
        return web.json_response(
            {"name": request.match_info["name"], "at": request.query.get("at")}, status=201
        )


def connected(loop: VirtualLoop, office: Office) -> Network:
    network = Network(loop, random.Random(7))
    network.listen("vitec.test", office.app())
    return network


def test_a_request_goes_there_and_its_answer_comes_back() -> None:
    loop, office = VirtualLoop(), Office()

    async def story() -> tuple[int, bytes]:
        network = connected(loop, office)
        session = network.session("daemon")
        async with session.post("http://vitec.test/lead?x=1", params={"at": "now"}, data=b"{}") as answer:
            return answer.status, await answer.read()

    assert told(loop, story()) == (201, b'{"name": "lead", "at": "now"}')
    assert office.told == [("lead", b"{}")]


def test_a_request_arrives_although_its_sender_has_died() -> None:
    loop, office, heard = VirtualLoop(), Office(), list[Call]()

    async def live(network: Network) -> None:
        async with network.session("daemon").post("http://vitec.test/late", data=b"1"):
            office.told.append(("answered", b""))

    async def story() -> None:
        network = connected(loop, office)
        network.weather.crawling = 1.0
        network.told = heard.append
        loop.create_task(live(network), context=loop.context_of(1))
        await asyncio.sleep(0.1)
        loop.end(1)
        await asyncio.sleep(200)

    told(loop, story())
    assert office.told == [("late", b"1")]
    assert heard[-1].processed is not None
    assert heard[-1].answered is None


def test_a_sender_loses_patience_and_the_request_arrives_all_the_same() -> None:
    loop, office = VirtualLoop(), Office()

    async def story() -> None:
        network = connected(loop, office)
        network.weather.crawling, network.weather.slow = 1.0, 60.0
        with pytest.raises(TimeoutError):
            await (
                network.session("daemon")
                .post("http://vitec.test/late", timeout=aiohttp.ClientTimeout(total=0.5))
                .__aenter__()
            )
        assert not office.told
        await asyncio.sleep(100)

    told(loop, story())
    assert office.told == [("late", b"")]


@pytest.mark.parametrize("mechanism", sorted(MUTANTS))
def test_every_mechanism_can_be_taken_out_and_is_back_afterwards(mechanism: str) -> None:
    rooms = {room: dict(vars(room)) for room in (fold, merge, outbox, syncing, deliverer)}
    with mutated(mechanism):
        pass
    assert {room: dict(vars(room)) for room in rooms} == rooms


@pytest.mark.parametrize("share", ["refused", "lost"])
def test_what_never_arrives_is_not_done(share: str) -> None:
    loop, office = VirtualLoop(), Office()

    async def story() -> None:
        network = connected(loop, office)
        setattr(network.weather, share, 1.0)
        with pytest.raises((aiohttp.ConnectionTimeoutError, TimeoutError)):
            await network.session("daemon").post("http://vitec.test/never").__aenter__()

    told(loop, story())
    assert office.told == []
