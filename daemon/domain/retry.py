"""When a failed write is tried again: exponential backoff with full jitter, for about 35 hours."""

from datetime import datetime, timedelta
from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 3600.0
ATTEMPTS: Final = 46
"""With pauses that double from a second to an hour, this many attempts span about 35 hours."""


def pause(attempt: int, jitter: float) -> float:
    """Seconds to wait after the attempt of this number (from 1); `jitter` is random in [0, 1)."""
    ceiling: float = min(LONGEST, FIRST * 2.0 ** min(attempt - 1, 20))
    return max(0.05, ceiling * jitter)


def retry_at(now: datetime, attempt: int, jitter: float, after: float | None = None) -> datetime | None:
    """When to try again, never before the vendor's Retry-After (`after`, seconds); None when it is time to give up."""
    if attempt >= ATTEMPTS:
        return None
    return now + timedelta(seconds=max(pause(attempt, jitter), after or 0.0))
