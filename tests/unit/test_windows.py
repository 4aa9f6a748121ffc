"""Windows are exact wherever the vendor counts a call; what others spend, and what the vendor says, counts as well."""

from bisect import bisect_right
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.windows import Priority, Ramp, Spent, Told, Window

SECONDS = st.integers(0, 40).map(lambda tenths: tenths / 10)


def most_within(span: float, counted: list[float]) -> int:
    """The most calls that a vendor counts in any of its windows."""
    moments = sorted(counted)
    return max(n - bisect_right(moments, at - span) for n, at in enumerate(moments, 1))


@given(st.integers(1, 6), st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=60))
def test_a_vendor_never_counts_more_than_the_limit_wherever_on_the_way_it_counts(
    limit: int, calls: list[tuple[float, float, float]]
) -> None:
    """Each call: a pause before it, the way there, and the way back."""
    window, now, counted, ends = Window(limit, 10.0), 0.0, list[float](), list[float]()
    for pause, there, back in calls:
        now += pause
        while True:
            for end in [end for end in ends if end <= now]:
                ends.remove(end)
                window.end(end)
            wait = window.delay(now)
            if wait == 0.0:
                break
            now = min([*ends, inf if wait == inf else now + wait])
        window.begin()
        counted.append(now + there)
        ends.append(now + there + back)
        ends.sort()
    assert most_within(10.0, counted) <= limit


def test_a_window_opens_exactly_when_the_answer_to_its_oldest_call_leaves_it() -> None:
    window = Window(2, 60.0)
    window.begin()
    window.begin()
    assert window.delay(0.0) == inf
    window.end(1.0)
    assert window.delay(30.0) == 31.0
    assert window.delay(61.0) == 0.0


def test_a_tenth_is_kept_for_live_traffic() -> None:
    window = Window(100, 60.0)
    window.share([Spent(0.0, 90)])
    assert (window.room(1.0, Priority.BACKFILL), window.room(1.0, Priority.LIVE)) == (0, 10)
    assert window.delay(1.0, Priority.BACKFILL) == 59.0


def test_what_others_spent_leaves_the_window_like_our_own() -> None:
    window = Window(3, 60.0)
    window.begin()
    window.end(5.0)
    window.share([Spent(10.0, 2), Spent(-100.0, 50)])
    assert window.delay(20.0) == 45.0
    assert window.delay(65.0) == 0.0
    window.share([Spent(10.0, 4)])
    assert window.room(66.0) == -1
    assert window.delay(66.0) == 4.0


def test_what_the_vendor_says_is_left_binds_until_it_begins_anew() -> None:
    told = Told()
    first, second = told.begin(), told.begin()
    told.hear(first, left=3, until=60.0)
    for _ in range(2):
        assert told.delay(1.0) == 0.0
        told.begin()
    assert told.delay(1.0) == 59.0
    assert told.delay(60.0) == 0.0
    told.hear(second, left=9, until=60.0)
    assert told.delay(1.0) == 0.0


def test_an_answer_that_was_overtaken_says_nothing() -> None:
    told = Told()
    first, second = told.begin(), told.begin()
    told.hear(second, left=0, until=60.0)
    told.hear(first, left=1, until=60.0)
    assert told.delay(1.0) == 59.0


def test_without_a_word_of_the_vendors_nothing_binds() -> None:
    assert Told().delay(0.0) == 0.0
    assert Ramp().delay(0.0) == 0.0


def test_after_a_pause_calls_come_slowly_and_twice_as_fast_with_each_second() -> None:
    ramp, now, left = Ramp(), 0.0, list[float]()
    ramp.restart(10.0)
    ramp.restart(5.0)
    while now < 14.0:
        now += ramp.delay(now)
        ramp.begin(now)
        left.append(now)
    assert left[0] == 10.0
    assert [sum(second <= at < second + 1 for at in left) for second in (10, 11, 12, 13)] == [1, 2, 4, 8]
    assert ramp.delay(10.0 + Ramp.STEEPEST) == pytest.approx(0.0)
