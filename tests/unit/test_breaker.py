"""The breaker: when a vendor counts as away, who may look whether it is back, and how soon it is called again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.breaker import ENOUGH, FIRST, LONGEST, Breaker


def opened(at: float = 10.0, jitter: float = 0.0) -> Breaker:
    """A breaker that so many failures have opened."""
    breaker = Breaker()
    for _ in range(ENOUGH):
        breaker.failed(at, at, jitter)
    return breaker


def test_a_few_failures_open_nothing_and_one_more_does() -> None:
    breaker = Breaker()
    for _ in range(ENOUGH - 1):
        breaker.failed(1.0, 2.0, 0.5)
    assert breaker.since is None
    breaker.failed(1.0, 3.0, 0.5)
    assert breaker.since == 3.0


def test_an_answer_in_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(3):
        for moment in range(ENOUGH - 1):
            breaker.failed(float(moment), float(moment), 0.5)
        breaker.answered(float(ENOUGH))
    assert breaker.since is None


def test_a_call_that_left_before_one_that_was_answered_says_nothing() -> None:
    breaker = Breaker()
    breaker.answered(100.0)
    for _ in range(3 * ENOUGH):
        breaker.failed(99.0, 130.0, 0.5)
    assert breaker.since is None


def test_looks_that_fail_make_the_pauses_grow_up_to_a_limit() -> None:
    breaker, now, pauses = opened(), 10.0, []
    for _ in range(9):
        pauses.append(breaker.delay(now))
        now = breaker.next_look
        breaker.failed(now, now, 0.0)
    assert pauses[:4] == [FIRST / 2, FIRST, FIRST * 2, FIRST * 4]
    assert pauses[-1] == LONGEST / 2
    assert breaker.since == 10.0


def test_stragglers_make_no_pause_longer() -> None:
    breaker = opened()
    before = breaker.next_look
    for _ in range(20):
        breaker.failed(9.0, 10.3, 0.9)
    assert breaker.next_look == before


def test_one_answer_closes_it_and_the_next_pauses_begin_small() -> None:
    breaker = opened()
    for _ in range(6):
        breaker.failed(breaker.next_look, breaker.next_look, 0.9)
    breaker.answered(breaker.next_look)
    assert (breaker.since, breaker.delay(11.0)) == (None, 0.0)
    for _ in range(ENOUGH):
        breaker.failed(900.0, 900.0, 0.0)
    assert breaker.delay(900.0) == FIRST / 2


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 1, exclude_max=True)), max_size=60))
def test_nobody_ever_waits_longer_than_half_a_minute_for_the_next_look(
    looks: list[tuple[float, float]],
) -> None:
    breaker = opened()
    for took, jitter in looks:
        left = breaker.next_look
        breaker.failed(left, left + took, jitter)
        assert 0.0 < breaker.delay(left + took) <= LONGEST + 1e-9


@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_the_pause_is_spread(jitter: float) -> None:
    assert opened(jitter=jitter).delay(10.0) == pytest.approx(FIRST * (1 + jitter) / 2)
