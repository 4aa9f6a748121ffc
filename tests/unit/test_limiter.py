import asyncio
import time
from itertools import pairwise

import pytest

from daemon.vendors.limiter import Limiter, Priority, Window


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def go(limiter: Limiter, times: int, priority: Priority = Priority.LIVE) -> None:
    for _ in range(times):
        async with limiter.slot(priority):
            pass


async def turns_taken() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_window_never_holds_more_calls_than_its_limit_in_any_span() -> None:
    window = Window(20, 60.0)
    left: list[float] = []
    now = 0.0
    for step in range(500):
        now += (step * 7919 % 13) / 4
        now += window.delay(now, Priority.LIVE)
        window.record(now)
        left.append(now)
    assert all(later - earlier >= 60.0 for earlier, later in zip(left, left[20:], strict=False))


def test_a_window_opens_exactly_when_its_oldest_call_leaves_it() -> None:
    window = Window(2, 60.0)
    window.record(0.0)
    window.record(10.0)
    assert window.delay(30.0, Priority.LIVE) == 30.0
    assert window.delay(60.0, Priority.LIVE) == 0.0
    window.record(60.0)
    assert window.delay(60.0, Priority.LIVE) == 10.0


async def test_a_tenth_of_the_minute_is_kept_for_live_traffic() -> None:
    limiter = Limiter(None, 600, None, 5, clock=Clock())
    await go(limiter, 540, Priority.BACKFILL)
    assert limiter.delay(Priority.BACKFILL) == 60.0
    assert limiter.delay(Priority.LIVE) == 0.0
    await go(limiter, 60)
    assert limiter.delay(Priority.LIVE) == 60.0


async def test_the_hour_binds_when_the_minute_does_not() -> None:
    clock = Clock()
    limiter = Limiter(0, 10, 15, 5, clock=clock)
    await go(limiter, 10)
    assert limiter.delay() == 60.0
    clock.now += 60
    await go(limiter, 5)
    assert limiter.delay() == 3540.0


async def test_calls_are_paced_evenly_within_the_second() -> None:
    limiter = Limiter(200, None, None, 5)
    left: list[float] = []

    async def call() -> None:
        async with limiter.slot():
            left.append(time.monotonic())

    await asyncio.gather(*(call() for _ in range(20)))
    assert left[-1] - left[0] >= 19 / 200 - 0.005
    assert all(later - earlier > 0.001 for earlier, later in pairwise(left))


@pytest.mark.parametrize("lifted", [0, None])
async def test_zero_and_none_lift_a_window_and_leave_calls_nearly_free(lifted: int | None) -> None:
    limiter = Limiter(lifted, lifted, lifted, 5)
    started = time.perf_counter()
    await go(limiter, 5000)
    assert (time.perf_counter() - started) / 5000 < 100e-6


async def test_no_more_calls_run_at_once_than_the_concurrency() -> None:
    limiter = Limiter(None, 600, None, 3)
    running = most = 0
    gate = asyncio.Event()

    async def call() -> None:
        nonlocal running, most
        async with limiter.slot():
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

    calls = [asyncio.create_task(call()) for _ in range(10)]
    await turns_taken()
    assert running == 3
    gate.set()
    await asyncio.gather(*calls)
    assert most == 3


async def test_live_calls_overtake_a_backfill_that_came_first() -> None:
    limiter = Limiter(None, None, None, 1)
    order: list[Priority] = []

    async def call(priority: Priority) -> None:
        async with limiter.slot(priority):
            order.append(priority)

    async with limiter.slot():
        waiting = [Priority.BACKFILL, Priority.AUDIT, Priority.LIVE, Priority.READ_BACK, Priority.LIVE]
        calls = [asyncio.create_task(call(priority)) for priority in waiting]
        await turns_taken()
    await asyncio.gather(*calls)
    assert order == sorted(waiting)


async def test_a_pause_is_obeyed_by_everybody_also_by_those_already_waiting() -> None:
    limiter = Limiter(100, None, None, 5)
    left: list[float] = []

    async def call() -> None:
        async with limiter.slot():
            left.append(time.monotonic())

    calls = [asyncio.create_task(call()) for _ in range(4)]
    await turns_taken()
    before = len(left)
    assert before == 1  # the second stands in the door, held up by the pace
    paused = time.monotonic()
    limiter.pause(0.1)
    await asyncio.gather(*calls)
    assert all(moment >= paused + 0.1 for moment in left[before:])


async def test_a_shorter_pause_does_not_shorten_a_longer_one() -> None:
    limiter = Limiter(None, None, None, 1, clock=Clock())
    limiter.pause(30)
    limiter.pause(5)
    assert limiter.delay() == 30.0


async def test_a_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    limiter = Limiter(50, None, None, 1)

    async def given_up(call: asyncio.Task[None]) -> None:
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    async with limiter.slot():
        in_line, just_admitted, last = (asyncio.create_task(go(limiter, 1)) for _ in range(3))
        await turns_taken()
        await given_up(in_line)
    await given_up(just_admitted)  # leaving the slot admitted it, and it has not run since
    await last
    in_door = asyncio.create_task(go(limiter, 1))
    await turns_taken()
    await given_up(in_door)
    await go(limiter, 2)


async def test_a_call_that_fails_gives_its_place_back() -> None:
    limiter = Limiter(None, None, None, 1)
    with pytest.raises(RuntimeError, match="broken"):
        async with limiter.slot():
            raise RuntimeError("broken")
    await go(limiter, 1)
