"""When a vendor counts as away: after several failures in a row that are its own nobody calls it but one who looks.

Times are seconds of any clock that never goes back; `jitter` is random in [0, 1).
"""

from math import inf
from typing import Final

ENOUGH: Final = 5
"""So many calls in a row without an answer mean that the vendor is away, and no record is at fault."""

FIRST: Final = 1.0
LONGEST: Final = 30.0
"""Seconds at most between two looks: with the look itself, a vendor that is back waits less than a minute."""


class Breaker:
    """Closed while the vendor answers. Open, it lets one look at a time through, after pauses that grow."""

    def __init__(self) -> None:
        self.since: float | None = None
        """When it opened; None while it is closed."""
        self.next_look = -inf
        self._failures = 0
        self._looks = 0
        self._answered = -inf

    def answered(self, left: float) -> None:
        """A call that left then has an answer, whatever it says: the vendor is there."""
        self._answered = max(self._answered, left)
        self._failures = self._looks = 0
        self.since = None

    def failed(self, left: float, now: float, jitter: float) -> None:
        """A call that left then has none, or a 5xx. What left before one that was answered says nothing."""
        if left < self._answered:
            return
        if self.since is None:
            self._failures += 1
            if self._failures >= ENOUGH:
                self.since = now
                self._wait(now, jitter)
        elif left >= self.next_look:  # a look, and no straggler
            self._wait(now, jitter)

    def delay(self, now: float) -> float:
        """Seconds until somebody may look whether it is back; 0 while it is closed."""
        return 0.0 if self.since is None else max(0.0, self.next_look - now)

    def _wait(self, now: float, jitter: float) -> None:
        ceiling = min(LONGEST, FIRST * 2.0 ** min(self._looks, 20))
        self._looks += 1
        self.next_look = now + ceiling * (1.0 + jitter) / 2.0
