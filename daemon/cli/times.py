"""Times as people write and read them: ISO 8601 or `2h ago` in, the machine's zone out."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from daemon.domain.errors import UsageError

_AGO: Final = re.compile(r"(\d{1,6})\s*(s|m|h|d|w)(?:\s+ago)?")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | None, now: datetime | None = None) -> datetime | None:
    """An aware time; a bare one is in the machine's zone. Raises UsageError for anything else."""
    if text is None:
        return None
    now = now or datetime.now(UTC)
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time; write 2026-03-01T12:00, or '2h ago' (s, m, h, d, w)"
        ) from None


def shown(time: datetime | None) -> str:
    """A time in the machine's zone, with the zone."""
    return "-" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def brief(time: datetime, now: datetime | None = None) -> str:
    """A time for a narrow column: in the machine's zone, and without the year where it is this one."""
    here, now = time.astimezone(), (now or datetime.now(UTC)).astimezone()
    return here.strftime("%m-%d %H:%M:%S" if here.year == now.year else "%Y-%m-%d %H:%M")


def zones(times: Iterable[datetime]) -> str:
    """Which zone these times are shown in; two where they lie on both sides of a change of the clocks."""
    names = dict.fromkeys(time.astimezone().strftime("%Z (UTC%z)") for time in sorted(times))
    return f"Times are in {', later in '.join(names)}."
