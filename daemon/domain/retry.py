"""When a failed write is tried again: exponential backoff with full jitter, for at most 35 hours in all."""

from datetime import datetime, timedelta
from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 3600.0
IN_ALL: Final = timedelta(hours=35)

APART: Final = timedelta(hours=2)
"""Failures further apart than two of the longest pauses are not of one series: nobody tried in between."""


def pause(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (from 1); `jitter` is random in [0, 1)."""
    ceiling: float = min(LONGEST, FIRST * 2.0 ** min(max(failures, 1) - 1, 20))
    return max(0.05, ceiling * jitter)


def goes_on(last: datetime, now: datetime) -> bool:
    """Whether a failure at `now` belongs to the series whose last one was then."""
    return now - last <= APART


def over(first: datetime, now: datetime) -> bool:
    """Whether what has failed since then was tried for long enough."""
    return now - first >= IN_ALL


def next_try(first: datetime, now: datetime, failures: int, jitter: float) -> datetime | None:
    """When to try again what has failed since `first`; None when it is time to give up."""
    again = now + timedelta(seconds=pause(failures, jitter))
    return None if over(first, again) else again


def put_off(now: datetime, jitter: float, after: float) -> datetime:
    """When to ask again a vendor that put us off for so many seconds: never earlier, and not everybody at once."""
    return now + timedelta(seconds=after + pause(1, jitter))
