"""Many reads of which one may fail."""

import asyncio

import pytest

from daemon.domain.errors import AccessDenied, Rejected, Retryable, UntranslatablePayload
from daemon.domain.times import vendor_time
from daemon.ingest.apart import apart
from daemon.ingest.polls import newest

NOON = vendor_time("2026-05-18T12:00:00Z")


class Vendor:
    """Answers with the errors that it was given, and remembers who was asked for."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = errors
        self.asked: list[str] = []

    async def read(self, name: str) -> None:
        self.asked.append(name)
        await asyncio.sleep(0)
        if name in self.errors:
            raise self.errors[name]


@pytest.mark.parametrize(
    "error",
    [Rejected("no", status=400), Retryable("away"), UntranslatablePayload("odd"), ValueError("no id")],
)
async def test_one_that_cannot_be_read_stops_no_other(error: Exception) -> None:
    vendor = Vendor(b=error)
    assert await apart("abcdefgh", vendor.read) == [("b", error)]
    assert sorted(vendor.asked) == list("abcdefgh")


async def test_a_closed_door_stops_all_and_nothing_goes_on_behind_it() -> None:
    vendor = Vendor(a=AccessDenied("closed", status=403))
    with pytest.raises(AccessDenied):
        await apart("abcdefgh", vendor.read, 2)
    asked = list(vendor.asked)
    await asyncio.sleep(0)
    assert vendor.asked == asked == ["a", "b"]


async def test_a_vendor_that_answers_nobody_is_away() -> None:
    with pytest.raises(Retryable):
        await apart("ab", Vendor(a=Retryable("away"), b=Retryable("away", status=500)).read)


async def test_one_unreadable_record_alone_is_no_reason_to_rest() -> None:
    unreadable = Retryable("unreadable answer with 200", status=200)
    assert await apart("a", Vendor(a=unreadable).read) == [("a", unreadable)]


async def test_nothing_to_read_is_nothing_failed() -> None:
    assert await apart([], Vendor().read) == []


def test_a_time_in_the_future_moves_no_cursor() -> None:
    assert NOON is not None
    times = ["2026-05-18T11:00:00Z", "2026-05-18T12:00:00Z", "2026-05-18T12:00:01Z", "2999-01-01T00:00:00"]
    assert newest(times, NOON) == times[1]
    assert newest(["", None, "9999-12-31T00:00:00", "no time"], NOON) is None
