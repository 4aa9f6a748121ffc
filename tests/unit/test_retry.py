"""When a failed write is tried again: soon at first, then hourly, for about a day and a half."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.retry import ATTEMPTS, FIRST, LONGEST, pause, retry_at

NOW = datetime(2026, 5, 18, 10, 0, tzinfo=UTC)
ALMOST = 1 - 1e-12
jitters = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (500, 3600)]
)
def test_pauses_double_from_a_second_to_an_hour(attempt: int, seconds: float) -> None:
    assert pause(attempt, ALMOST) == pytest.approx(seconds)


@given(st.integers(1, 10_000), jitters)
def test_a_pause_is_anything_up_to_its_ceiling_and_never_nothing(attempt: int, jitter: float) -> None:
    assert 0.05 <= pause(attempt, jitter) <= LONGEST


def test_jitter_is_full() -> None:
    assert pause(5, 0.25) == FIRST * 16 * 0.25


def test_all_attempts_together_span_at_most_35_hours() -> None:
    longest = sum(pause(attempt, ALMOST) for attempt in range(1, ATTEMPTS))
    assert timedelta(hours=33) < timedelta(seconds=longest) <= timedelta(hours=35)


def test_after_the_last_attempt_it_is_time_to_give_up() -> None:
    assert retry_at(NOW, ATTEMPTS - 1, 0.5) is not None
    assert retry_at(NOW, ATTEMPTS, 0.5) is None


@given(st.integers(1, ATTEMPTS - 1), jitters, st.floats(0, 100_000))
def test_a_vendors_retry_after_is_honoured(attempt: int, jitter: float, after: float) -> None:
    at = retry_at(NOW, attempt, jitter, after)
    assert at is not None
    assert at >= NOW + timedelta(seconds=after)
    assert at >= NOW + timedelta(seconds=pause(attempt, jitter))
