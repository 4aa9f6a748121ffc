import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from daemon.domain.errors import DatabaseUnreachable, Retryable
from daemon.domain.settings import Limits
from daemon.domain.windows import Spent, Window
from daemon.vendors.limiter import Block, Limiter, Priority, windows_of


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


async def test_a_tenth_of_the_minute_is_kept_for_live_traffic() -> None:
    limiter = Limiter([Window(600, 60.0)], 5, clock=Clock())
    await go(limiter, 540, Priority.BACKFILL)
    assert limiter.delay(Priority.BACKFILL) == 60.0
    assert limiter.delay(Priority.LIVE) == 0.0
    await go(limiter, 60)
    assert limiter.delay(Priority.LIVE) == 60.0


async def test_the_hour_binds_when_the_minute_does_not() -> None:
    clock = Clock()
    limiter = Limiter([Window(10, 60.0), Window(15, 3600.0)], 5, clock=clock)
    await go(limiter, 10)
    assert limiter.delay() == 60.0
    clock.now += 60
    await go(limiter, 5)
    assert limiter.delay() == 3540.0


async def test_calls_are_paced_evenly_within_the_second() -> None:
    limiter = Limiter([], 5, pace=200)
    left: list[float] = []

    async def call() -> None:
        async with limiter.slot():
            left.append(time.monotonic())

    await asyncio.gather(*(call() for _ in range(20)))
    assert left[-1] - left[0] >= 19 / 200 - 0.005
    assert all(later - earlier > 0.001 for earlier, later in pairwise(left))


async def test_zero_lifts_a_window_and_without_any_calls_are_nearly_free() -> None:
    lifted = windows_of(Limits(per_second=0, per_minute=0, per_hour=0, concurrency=5))
    limiter = Limiter(lifted, 5)
    started = time.perf_counter()
    await go(limiter, 5000)
    assert (time.perf_counter() - started) / 5000 < 100e-6


async def test_no_more_calls_run_at_once_than_the_concurrency() -> None:
    limiter = Limiter([Window(600, 60.0)], 3)
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
    limiter = Limiter([], 1)
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
    limiter = Limiter([], 5, pace=100)
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
    limiter = Limiter([], 1, clock=Clock())
    limiter.pause(30)
    limiter.pause(5)
    assert limiter.delay() == 30.0


async def test_a_caller_that_gives_up_leaves_its_place_to_the_next() -> None:
    limiter = Limiter([], 1, pace=50)

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
    limiter = Limiter([], 1)
    with pytest.raises(RuntimeError, match="broken"):
        async with limiter.slot():
            raise RuntimeError("broken")
    await go(limiter, 1)


async def test_after_a_pause_calls_leave_slowly_at_first() -> None:
    clock = Clock()
    limiter = Limiter([], 5, clock=clock)
    limiter.pause(30)
    clock.now += 30
    await go(limiter, 1)
    assert limiter.delay() == 1.0


async def test_what_the_vendor_says_is_left_binds_everybody() -> None:
    limiter = Limiter([], 5, clock=Clock())
    async with limiter.slot() as call:
        limiter.hear(call, 2, 45.0)
    await go(limiter, 2)
    assert limiter.delay() == 45.0


class Paper:
    """A ledger that others write in, too."""

    def __init__(self, *others: Spent) -> None:
        self.others = list(others)
        self.blocks: list[Block] = []
        self.over: list[tuple[int, int]] = []
        self.broken = False

    async def take(
        self, room: Callable[[Sequence[Spent]], int], until: float, over: Sequence[Block]
    ) -> Block:
        if self.broken:
            raise DatabaseUnreachable("gone")
        self.over += [(block.number, block.used) for block in over]
        self.blocks.append(Block(len(self.blocks) + 1, room(self.others), until))
        return self.blocks[-1]


async def test_calls_are_on_record_before_they_leave_and_settled_when_they_are_over() -> None:
    paper, clock = Paper(), Clock()
    limiter = Limiter([Window(600, 60.0)], 5, ledger=paper, clock=clock)
    await go(limiter, 15)
    assert [(block.calls, block.used) for block in paper.blocks] == [(12, 12), (12, 3)]
    assert paper.over == [(1, 12)]
    clock.now += 2.0
    await go(limiter, 1)
    assert paper.over == [(1, 12), (2, 3)], "a block is old after a second"
    await limiter.settle()
    assert paper.over[-1] == (3, 1)


async def test_what_others_spent_is_known_before_a_call_leaves() -> None:
    clock = Clock()
    limiter = Limiter([Window(10, 60.0)], 5, ledger=Paper(Spent(clock.now, 9)), clock=clock)
    await go(limiter, 1)
    waiting = asyncio.create_task(go(limiter, 1))
    await turns_taken()
    assert not waiting.done()
    assert limiter.delay() == 60.0
    waiting.cancel()


async def test_without_a_record_nothing_leaves_and_it_may_be_tried_again() -> None:
    paper = Paper()
    limiter = Limiter([Window(10, 60.0)], 5, ledger=paper, clock=Clock())
    paper.broken = True
    with pytest.raises(Retryable):
        await go(limiter, 1)
    paper.broken = False
    await go(limiter, 1)
    assert [block.used for block in paper.blocks] == [1]
