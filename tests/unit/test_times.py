"""Vendors' times become aware UTC, or nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.times import vendor_time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-08-31T11:46:09.65", "2026-08-31T09:46:09.650000"),  # summer: UTC+2, trailing zeros dropped
        ("2026-01-31T11:46:09", "2026-01-31T10:46:09"),  # winter: UTC+1
        ("2026-05-05T17:18:39.880Z", "2026-05-05T17:18:39.880000"),
        ("2026-05-05T17:18:39.1234567Z", "2026-05-05T17:18:39.123456"),
        ("2025-11-08T05:01:45.3187722+01:00", "2025-11-08T04:01:45.318772"),
        ("2026-12-31T23:59:59.9999999Z", "2026-12-31T23:59:59.999999"),  # cut, not rounded into the next year
        ("2026-01-01T00:00:00.1", "2025-12-31T23:00:00.100000"),
    ],
)
def test_a_time_is_read_as_the_vendor_means_it(text: str, time: str) -> None:
    assert vendor_time(text) == datetime.fromisoformat(time).replace(tzinfo=UTC)


def test_the_doubled_autumn_hour_is_the_later_one() -> None:
    assert vendor_time("2026-10-25T02:30:00") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_the_missing_spring_hour_is_shifted_forward() -> None:
    assert vendor_time("2026-03-29T02:30:00") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert vendor_time("2026-03-29T02:30:00") == vendor_time("2026-03-29T03:30:00")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.9999999",
        "9999-12-31T23:59:59.9999999-01:00",
        "2026-02-30T00:00:00",
        "2026-05-05T25:00:00",
        "\ud800",
        "\0",
    ],
)
def test_what_tells_no_time_is_none(text: str | None) -> None:
    assert vendor_time(text) is None


@given(st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    vendor_time(text)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
def test_a_time_with_an_offset_is_the_same_moment(time: datetime) -> None:
    moment = time.replace(tzinfo=UTC)
    assert vendor_time(moment.isoformat()) == moment
    assert vendor_time(f"{time.isoformat()}Z") == moment


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_a_bare_time_is_one_or_two_hours_ahead_of_utc(time: datetime) -> None:
    found = vendor_time(time.isoformat())
    assert found is not None
    assert time.replace(tzinfo=UTC) - found in (timedelta(hours=1), timedelta(hours=2))
