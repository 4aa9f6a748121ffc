"""How many calls of a vendor's credential fit: exact sliding windows over our own calls and everybody else's.

A vendor counts a call at some moment between its sending and its answer. A window that holds a call from its sending
until its span after the answer is therefore never over the limit, wherever in between the vendor counts. Times are
seconds of any clock that never goes back.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import IntEnum
from heapq import merge
from itertools import chain, islice, repeat
from math import inf
from typing import Final

import msgspec

RESERVED_FOR_LIVE: Final = 0.1
"""This share of every window is kept for live traffic, so that a backfill never shuts it out."""


class Priority(IntEnum):
    """Who goes first when calls must wait; the lower number does."""

    LIVE = 0
    READ_BACK = 1
    AUDIT = 2
    BACKFILL = 3


class Spent(msgspec.Struct, frozen=True):
    """So many calls of others, the last of which may have been counted as late as `at`."""

    at: float
    calls: int


class Window:
    """Never more than `limit` calls within any `span` seconds."""

    def __init__(self, limit: int, span: float) -> None:
        self.span = span
        self.change(limit)
        self._running = 0
        self._over: deque[float] = deque()
        self._others: Sequence[Spent] = ()

    def change(self, limit: int) -> None:
        """Another limit from now on, also for what was spent before."""
        self.limit = limit
        self._for_others = max(1, limit - int(limit * RESERVED_FOR_LIVE))

    def begin(self) -> None:
        """A call leaves."""
        self._running += 1

    def end(self, now: float) -> None:
        """Its answer is there, or nobody waits for it any more."""
        self._running -= 1
        self._over.append(now)

    def share(self, others: Sequence[Spent]) -> None:
        """What others have spent, or may spend; it takes the place of what was known of them."""
        self._others = sorted(others, key=lambda spent: spent.at)

    def room(self, now: float, priority: Priority = Priority.LIVE) -> int:
        """How many calls of this priority fit now; below 0 where others have spent too much."""
        while self._over and self._over[0] + self.span <= now:
            self._over.popleft()
        others = sum(spent.calls for spent in self._others if spent.at + self.span > now)
        limit = self.limit if priority is Priority.LIVE else self._for_others
        return limit - self._running - len(self._over) - others

    def fits(self, now: float, calls: int, priority: Priority) -> bool:
        """Whether so many calls of this priority fit now, or all that the window takes of it."""
        limit = self.limit if priority is Priority.LIVE else self._for_others
        return self.room(now, priority) >= min(calls, limit)

    def delay(self, now: float, priority: Priority = Priority.LIVE) -> float:
        """Seconds until a call of this priority fits: 0 when it fits now, inf when an answer has to come first."""
        too_many = 1 - self.room(now, priority)
        if too_many <= 0:
            return 0.0
        of_others = chain.from_iterable(
            repeat(spent.at, spent.calls) for spent in self._others if spent.at + self.span > now
        )
        leaves = next(islice(merge(self._over, of_others), too_many - 1, None), inf)
        return leaves + self.span - now


def least(windows: Iterable[tuple[int, float]], calls: int) -> float:
    """Seconds that so many calls take at least, without what is kept for live traffic, by (limit, span) windows."""
    return max(
        (
            span * max(0.0, calls / max(1, limit - int(limit * RESERVED_FOR_LIVE)) - 1)
            for limit, span in windows
        ),
        default=0.0,
    )


class Told:
    """What the vendor itself says is left (`RateLimit-Remaining`, `RateLimit-Reset`): others may use the credential, too."""

    def __init__(self) -> None:
        self._begun = 0
        self._newest = 0
        self._left = 0
        self._until = -inf

    def begin(self) -> int:
        """A call leaves; its number."""
        self._begun += 1
        self._left -= 1
        return self._begun

    def hear(self, number: int, left: int, until: float) -> None:
        """The answer to a call says how many are left until then; what left after that call is not yet counted in it."""
        if number > self._newest:
            self._newest, self._left, self._until = number, left - (self._begun - number), until

    def delay(self, now: float) -> float:
        """Seconds until the vendor would take a call."""
        return self._until - now if self._left <= 0 and now < self._until else 0.0


class Ramp:
    """A slow start after a pause: one call a second at first, twice as many with each second."""

    STEEPEST: Final = 6

    def __init__(self) -> None:
        self._began = -inf
        self._last = -inf

    def restart(self, at: float) -> None:
        """Nobody leaves before `at`; from then on slowly."""
        self._began = max(self._began, at)

    def begin(self, now: float) -> None:
        """A call leaves."""
        self._last = now

    def delay(self, now: float) -> float:
        """Seconds until the next call may leave."""
        if now < self._began:
            return self._began - now
        doublings = now - self._began
        if doublings >= self.STEEPEST:
            return 0.0
        return max(0.0, self._last + 0.5 ** int(doublings) - now)
