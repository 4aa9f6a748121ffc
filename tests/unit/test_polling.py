"""How soon a source is asked again: busy ones more often within their share, none more seldom than configured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.settings import Limits
from daemon.policies.polling import SHARE, SOONEST, next_interval, room

LIMITS = Limits(per_second=20, per_minute=600, per_hour=10_800, concurrency=8)
FREE = Limits(per_second=0, per_minute=0, per_hour=0, concurrency=8)


def after(last: float, news: int, *, usual: float = 60.0, calls: int = 1, others: float = 0.0) -> float:
    return next_interval(usual, last, news=news, calls=calls, others=others, limits=LIMITS)


def test_a_busy_source_is_asked_twice_as_often_until_every_five_seconds() -> None:
    pauses = [60.0]
    for _ in range(6):
        pauses.append(after(pauses[-1], news=3))
    assert pauses == [60.0, 30.0, 15.0, 7.5, 5.0, 5.0, 5.0]


def test_a_quiet_one_goes_back_to_its_usual_interval() -> None:
    pauses = [5.0]
    for _ in range(5):
        pauses.append(after(pauses[-1], news=0))
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_an_interval_that_is_shorter_than_that_stays_as_it_is() -> None:
    assert after(0.25, news=9, usual=0.25) == 0.25
    assert after(0.25, news=0, usual=0.25) == 0.25


def test_the_hour_is_the_narrowest_window_of_the_usual_limits() -> None:
    assert room(LIMITS) == pytest.approx(SHARE * 3.0)
    assert next_interval(60, 10, news=1, calls=99, others=99.0, limits=FREE) == SOONEST


def test_a_poll_of_many_calls_is_not_made_too_often() -> None:
    assert after(10.0, news=1, calls=6) == pytest.approx(20.0)
    assert after(10.0, news=1, calls=600) == 60.0


def test_where_the_others_take_the_whole_share_nobody_is_asked_more_often() -> None:
    assert after(60.0, news=5, others=room(LIMITS)) == 60.0


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 50), st.integers(1, 40)), max_size=80),
    st.floats(5.0, 300.0),
)
def test_whatever_happens_no_source_is_forgotten_and_the_share_is_kept(
    polls: list[tuple[int, int, int]], usual: float
) -> None:
    pauses = dict.fromkeys(range(8), usual)
    rates = dict.fromkeys(range(8), 0.0)
    for source, news, calls in polls:
        others = sum(rates.values()) - rates[source]
        pauses[source] = next_interval(
            usual, pauses[source], news=news, calls=calls, others=others, limits=LIMITS
        )
        rates[source] = calls / pauses[source]
        assert SOONEST <= pauses[source] <= usual
        assert pauses[source] == usual or others + rates[source] <= room(LIMITS) + 1e-9
