"""How fast a vendor is called: pace, windows, concurrency, and the pauses that it asks for, for all users at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final, Protocol

import msgspec
from aiolimiter import AsyncLimiter

from daemon.domain.errors import Retryable, StorageError
from daemon.domain.settings import Limits
from daemon.domain.windows import Priority, Ramp, Spent, Told, Window
from daemon.pulse import beat, waiting
from daemon.vendors.reach import Reach

__all__ = ["Ledger", "Limiter", "Priority", "windows_of"]

SPANS: Final = (("per_second", 1.0), ("per_minute", 60.0), ("per_hour", 3600.0))


def windows_of(limits: Limits) -> list[Window]:
    """The windows that a credential has; a limit of 0 lifts its window."""
    return [Window(limit, span) for name, span in SPANS if (limit := getattr(limits, name))]


class Block(msgspec.Struct, eq=False):
    """Calls that were put on record before they leave, all until one moment: how many were used, and when they ended."""

    number: int
    calls: int
    until: float
    used: int = 0
    running: int = 0
    ended: float = -inf

    def open(self, now: float) -> bool:
        """Whether a call may leave on it."""
        return self.used < self.calls and now < self.until


class Ledger(Protocol):
    """Where the calls of a credential are on record, for other processes and for the next start."""

    async def take(
        self, room: Callable[[Sequence[Spent]], int], until: float, over: Sequence[Block]
    ) -> Block:
        """Put calls on record that leave before `until`, and what the blocks that are over have really spent.

        `room` says how many, given what others spent. Raises StorageError.
        """


class Limiter:
    """Keeps all callers of one credential within every window of a vendor at once.

    `pace`: calls a second, evenly spread, since a burst is what a vendor's own window punishes; None lifts it.
    `concurrency`: the most calls under way. `clock`: seconds that never go back. With a `ledger`, calls are on record
    before they leave, a block at a time, so that other processes and the next start know of them. `reach` tells whether
    the vendor is there at all.
    """

    def __init__(
        self,
        windows: list[Window],
        concurrency: int,
        *,
        pace: float | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.monotonic,
        reach: Reach | None = None,
    ) -> None:
        self.reach = reach or Reach(clock=clock)
        self._clock = clock
        self._running = 0
        self._kept = ledger
        self._set(windows, concurrency, pace)
        self._blocks: list[Block] = []
        self._told = Told()
        self._ramp = Ramp()
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._tickets = count()
        # One caller at a time stands in the door: admitted, but still held up by the pace. What the windows
        # said when it was admitted stays true, because nobody else can leave meanwhile.
        self._door_taken = False
        self._timer: asyncio.TimerHandle | None = None

    def _set(self, windows: list[Window], concurrency: int, pace: float | None) -> None:
        self._pace = AsyncLimiter(1, 1 / pace) if pace else None
        self._windows = windows
        self._concurrency = concurrency
        self._ledger = self._kept if windows else None
        # a block is a fiftieth of the narrowest window: so much may be lost when a process dies with it
        wide = [window for window in windows if window.span > 1.0] or windows
        self._stretch = min([1.0, *(window.span / 50 for window in wide)])
        self._most = max(1, min([window.limit // 50 for window in wide], default=1))
        self._block = Block(0, 0, -inf)

    def change(self, limits: Limits) -> None:
        """Other limits from now on; what was spent stays spent. A window that was lifted until now cannot come back:
        nobody has counted its calls."""
        kept = {window.span: window for window in self._windows}
        windows = windows_of(limits)
        assert {window.span for window in windows} <= kept.keys()
        for window in windows:
            kept[window.span].change(window.limit)
        self._set([kept[window.span] for window in windows], limits.concurrency, limits.per_second or None)
        self._admit()

    @asynccontextmanager
    async def slot(self, priority: Priority = Priority.LIVE) -> AsyncIterator[int]:
        """Holds one call's place: `async with limiter.slot() as call: ...` waits until the call may leave."""
        with waiting():
            block, call = await self._enter(priority)
        try:
            yield call
        finally:
            beat()
            now = self._clock()
            self._running -= 1
            block.running, block.ended = block.running - 1, now
            for window in self._windows:
                window.end(now)
            self._admit()

    def pause(self, seconds: float) -> None:
        """Lets nobody leave for so many seconds (the vendor said Retry-After), and then slowly; calls under way go on."""
        self._ramp.restart(self._clock() + seconds)

    def hear(self, call: int, left: int, seconds: float) -> None:
        """The answer to a call, by the number of its slot, says how many are left for so many seconds."""
        self._told.hear(call, left, self._clock() + seconds)

    def delay(self, priority: Priority = Priority.LIVE) -> float:
        """Seconds until a call of this priority could leave; 0 when it could now, inf when an answer has to come first."""
        now = self._clock()
        delays = [window.delay(now, priority) for window in self._windows]
        return max(0.0, self._ramp.delay(now), self._told.delay(now), *delays)

    def fits(self, priority: Priority, calls: int) -> bool:
        """Whether so many calls of this priority could leave now, as far as anybody knows; nothing is kept for them."""
        now = self._clock()
        if self._ramp.delay(now) or self._told.delay(now):
            return False
        return all(window.fits(now, calls, priority) for window in self._windows)

    def used(self) -> list[tuple[float, int, int]]:
        """Of every window its span in seconds, the calls that it holds, and those that it may hold."""
        now = self._clock()
        return [(w.span, w.limit - w.room(now), w.limit) for w in self._windows]

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return sum(not turn.done() for _, _, turn in self._waiting)

    async def settle(self) -> None:
        """Nobody calls any more: record what was spent. Raises StorageError."""
        if self._ledger is not None and self._blocks:
            await self._ledger.take(lambda _: 0, self._clock(), self._over(closing=True))

    async def _enter(self, priority: Priority) -> tuple[Block, int]:
        ticket = next(self._tickets)
        while True:
            await self._reach_door(priority, ticket)
            try:
                if self._pace:
                    await self._pace.acquire()
                if self._ledger is not None and not self._block.open(self._clock()):
                    await self._book(self._ledger, priority)
                if self.delay(priority) == 0.0 and (self._ledger is None or self._block.open(self._clock())):
                    return self._leave()
                # else something was heard, or spent by others, while it stood in the door: queue again
            finally:
                self._door_taken = False
                self._admit()

    async def _book(self, ledger: Ledger, priority: Priority) -> None:
        """Put the next calls on record."""

        def room(others: Sequence[Spent]) -> int:
            now = self._clock()
            for window in self._windows:
                window.share(others)
            fits = min(window.room(now, priority) for window in self._windows)
            return max(0, min(fits, self._most))

        try:
            self._block = await ledger.take(room, self._clock() + self._stretch, self._over())
        except StorageError as error:
            raise Retryable("the calls cannot be put on record") from error
        if self._block.calls:
            self._blocks.append(self._block)

    def _over(self, *, closing: bool = False) -> list[Block]:
        """The blocks that nothing more will be spent of."""
        now = self._clock()
        over = [block for block in self._blocks if not block.running and (closing or not block.open(now))]
        self._blocks = [block for block in self._blocks if block not in over]
        return over

    def _leave(self) -> tuple[Block, int]:
        block = self._block
        block.used, block.running = block.used + 1, block.running + 1
        self._running += 1
        self._ramp.begin(self._clock())
        for window in self._windows:
            window.begin()
        return block, self._told.begin()

    async def _reach_door(self, priority: Priority, ticket: int) -> None:
        if not self._waiting and self._may_admit() and self.delay(priority) == 0.0:
            self._door_taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (priority, ticket, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # admitted in the same moment: give the door to the next
                self._door_taken = False
            self._admit()
            raise

    def _may_admit(self) -> bool:
        return not self._door_taken and self._running < self._concurrency

    def _admit(self) -> None:
        """Opens the door to the first in line, or comes back when there will be room."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._waiting[0][2].done():  # gave up waiting
            heappop(self._waiting)
        if not self._waiting or not self._may_admit():
            return
        priority, _, turn = self._waiting[0]
        if delay := self.delay(priority):
            if delay < inf:  # else the answer that has to come first admits it
                self._timer = turn.get_loop().call_later(delay, self._admit)
            return
        heappop(self._waiting)
        self._door_taken = True
        turn.set_result(None)
