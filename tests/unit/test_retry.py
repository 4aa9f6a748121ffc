"""When a failed write is tried again: soon at first, then hourly, for about a day and a half."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.retry import APART, FIRST, IN_ALL, LONGEST, goes_on, next_try, pause, put_off

NOW = datetime(2026, 5, 18, 10, 0, tzinfo=UTC)
ALMOST = 1 - 1e-12
jitters = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (500, 3600)]
)
def test_pauses_double_from_a_second_to_an_hour(failures: int, seconds: float) -> None:
    assert pause(failures, ALMOST) == pytest.approx(seconds)


@given(st.integers(1, 10_000), jitters)
def test_a_pause_is_anything_up_to_its_ceiling_and_never_nothing(failures: int, jitter: float) -> None:
    assert 0.05 <= pause(failures, jitter) <= LONGEST


def test_jitter_is_full() -> None:
    assert pause(5, 0.25) == FIRST * 16 * 0.25


@pytest.mark.parametrize("jitter", [0.1, 0.5, ALMOST])
def test_it_is_tried_again_for_35_hours_whatever_the_jitter(jitter: float) -> None:
    now, failures = NOW, 0
    while (again := next_try(NOW, now, failures := failures + 1, jitter)) is not None:
        now = again
    assert IN_ALL - timedelta(hours=1) <= now - NOW <= IN_ALL


def test_pauses_never_part_a_series_of_failures() -> None:
    assert goes_on(NOW, NOW + timedelta(seconds=LONGEST))
    assert not goes_on(NOW, NOW + APART + timedelta(seconds=1))


@given(jitters, st.floats(0, 100_000))
def test_a_vendors_retry_after_is_honoured(jitter: float, after: float) -> None:
    assert put_off(NOW, jitter, after) >= NOW + timedelta(seconds=after)
