"""The vendors' times, read into aware UTC. They stay text in payloads; only this module reads them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SWEDEN = ZoneInfo("Europe/Stockholm")


def vendor_time(text: str | None) -> datetime | None:
    """Read a vendor's time as aware UTC, or None when it tells nothing (year 1, year 9999, rubbish).

    Up to seven decimals, cut to microseconds (never rounded into the next day); an offset or Z, or none:
    then it is Swedish wall-clock time (Vitec Connect's `changedAt`). An hour that occurs twice in autumn is
    read as the later one, an hour that spring leaves out is shifted forward: both times the later of the
    two readings.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            # fold tells the two readings apart; the smaller offset gives the later one
            time = time.replace(tzinfo=UTC) - min(_offset(time), _offset(time.replace(fold=1)))
        else:
            time = time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if 1 < time.year < 9999 else None


def _offset(time: datetime) -> timedelta:
    return _SWEDEN.utcoffset(time) or timedelta()
