"""How soon a source is asked again: the sooner, the more its polls find that nobody has told."""

from math import inf
from typing import Final

from daemon.domain.settings import Limits

SOONEST: Final = 5.0
"""Seconds: no source is asked more often because it is busy."""

SHARE: Final = 0.1
"""The part of a vendor's narrowest window that all polls of busy sources together may take."""


def room(limits: Limits) -> float:
    """The calls a second that polls may take where sources are busy."""
    rates = ((limits.per_minute, 60.0), (limits.per_hour, 3600.0))
    return min((SHARE * most / span for most, span in rates if most), default=inf)


def next_interval(
    usual: float, last: float, *, news: int, calls: int, others: float, limits: Limits
) -> float:
    """Seconds until the next poll: half as long after one that brought news, twice as long after one that did not.

    Never longer than `usual`, and shorter only as far as the `calls` of such a poll fit beside the calls a second that
    the polls of `others` take.
    """
    wanted = max(SOONEST, last / 2) if news else 2 * last
    left = room(limits) - others
    fits = calls / left if left > 0 else inf
    return min(usual, max(wanted, fits))
