"""How fast a vendor is called: pace, minute and hour windows, concurrency, and the pauses it asks for."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

from aiolimiter import AsyncLimiter

# This share of every minute and hour is kept for live traffic, so that a backfill never shuts it out.
RESERVED_FOR_LIVE = 0.1


class Priority(IntEnum):
    """Who goes first when calls must wait; the lower number does."""

    LIVE = 0
    READ_BACK = 1
    AUDIT = 2
    BACKFILL = 3


class Window:
    """An exact sliding window: never more than `limit` calls within any `span` seconds."""

    def __init__(self, limit: int, span: float) -> None:
        self._limit = limit
        self._for_others = max(1, limit - int(limit * RESERVED_FOR_LIVE))
        self._span = span
        self._times: deque[float] = deque()

    def delay(self, now: float, priority: Priority) -> float:
        """Seconds until a call of this priority fits; 0 when it fits now."""
        while self._times and self._times[0] + self._span <= now:
            self._times.popleft()
        limit = self._limit if priority is Priority.LIVE else self._for_others
        if len(self._times) < limit:
            return 0.0
        return self._times[-limit] + self._span - now

    def record(self, now: float) -> None:
        """A call leaves."""
        self._times.append(now)


class Limiter:
    """Keeps all callers of one credential within every window of a vendor at once.

    `per_second`, `per_minute`, `per_hour`: the most calls in any such span; 0 or None lifts that window.
    Calls are paced evenly within the second, since a burst of twenty is what a vendor's own window punishes.
    `concurrency`: the most calls under way. `clock`: seconds that never go back.
    """

    def __init__(
        self,
        per_second: float | None,
        per_minute: int | None,
        per_hour: int | None,
        concurrency: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = AsyncLimiter(1, 1 / per_second) if per_second else None
        self._windows = [
            Window(limit, span) for limit, span in ((per_minute, 60.0), (per_hour, 3600.0)) if limit
        ]
        self._concurrency = concurrency
        self._clock = clock
        self._running = 0
        self._paused_until = float("-inf")
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._tickets = count()
        # One caller at a time stands in the door: admitted, but still held up by the pace. What the windows
        # said when it was admitted stays true, because nobody else can leave meanwhile.
        self._door_taken = False
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def slot(self, priority: Priority = Priority.LIVE) -> AsyncIterator[None]:
        """Holds one call's place: `async with limiter.slot(): ...` waits until the call may leave."""
        await self._enter(priority)
        try:
            yield
        finally:
            self._running -= 1
            self._admit()

    def pause(self, seconds: float) -> None:
        """Lets nobody leave for so many seconds (the vendor said Retry-After); calls under way go on."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def delay(self, priority: Priority = Priority.LIVE) -> float:
        """Seconds until pauses and windows would let a call of this priority leave; 0 when they would now."""
        now = self._clock()
        delays = [window.delay(now, priority) for window in self._windows]
        return max(0.0, self._paused_until - now, *delays)

    async def _enter(self, priority: Priority) -> None:
        ticket = next(self._tickets)
        while True:
            await self._reach_door(priority, ticket)
            try:
                if self._pace:
                    await self._pace.acquire()
                now = self._clock()
                if self._paused_until <= now:  # else a pause began while standing in the door: queue again
                    self._running += 1
                    for window in self._windows:
                        window.record(now)
                    return
            finally:
                self._door_taken = False
                self._admit()

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
        """Opens the door to the first in line, or comes back when the windows will have room."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._waiting[0][2].done():  # gave up waiting
            heappop(self._waiting)
        if not self._waiting or not self._may_admit():
            return
        priority, _, turn = self._waiting[0]
        if delay := self.delay(priority):
            self._timer = turn.get_loop().call_later(delay, self._admit)
            return
        heappop(self._waiting)
        self._door_taken = True
        turn.set_result(None)
