"""What follows from each way in which a write can fail: tried again, looked for, decided anew, given up, or held."""

from datetime import timedelta

import msgspec
import pytest

from daemon.domain.errors import (
    AccessDenied,
    Duplicate,
    NotFound,
    NotWritable,
    RateLimited,
    Rejected,
    Retryable,
    Stale,
    TakenUnseen,
    UnknownOutcome,
    VendorAway,
    VendorError,
)
from daemon.domain.events import (
    CommandDeadLettered,
    CommandFailed,
    CommandHeld,
    CommandUnknown,
    Decision,
    Exchange,
    Want,
)
from daemon.domain.retry import APART, IN_ALL
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.policies.failing import STALE, Tried, failed, given_up
from projections.entity import Entity, Failure, Lead, Pending
from projections.outbox import PUT_OFF
from tests.unit.pair import START

WANT = {"last_name": Want("Berg", VITEC, "Berg", 1, None)}


def after(
    error: VendorError,
    *,
    record: str | None = "1",
    attempt: int = 1,
    lead: bool = False,
    category: str = "contact",
    want: dict[str, Want] = WANT,
    failing_for: timedelta | None = None,
) -> Decision:
    """What becomes of a command whose write failed so, perhaps after others had failed for some time."""
    told = Lead("lead", 1, START, "M11385") if lead else None
    pending = Pending("c", want, record)
    entity = failing(failing_for, Entity("e", category, lead=told))
    tried = Tried(entity, PROPSTREET, pending, attempt, START, 0.5, 300.0)
    return failed(tried, error)


def failing(since: timedelta | None, entity: Entity, *, last: timedelta = timedelta(hours=1)) -> Entity:
    """An entity whose writes to Propstreet have failed for so long, the last time a while ago."""
    if since is not None:
        entity.failures[PROPSTREET] = Failure(40, START - last, START - since)
    return entity


def seconds(decision: Decision) -> float:
    """After how long it is tried again."""
    assert isinstance(decision, CommandFailed | CommandUnknown)
    assert decision.retry_at is not None
    return (decision.retry_at - START) / timedelta(seconds=1)


def test_no_answer_means_that_it_is_looked_for_later() -> None:
    outcome = after(UnknownOutcome("time-out"), attempt=3)
    assert isinstance(outcome, CommandUnknown)
    assert seconds(outcome) == 2.0


def test_a_write_that_was_taken_and_not_read_back_says_so() -> None:
    outcome = after(TakenUnseen("not read back"))
    assert isinstance(outcome, CommandUnknown)
    assert (outcome.taken, outcome.reason) == (True, "TakenUnseen")


def test_a_lead_without_an_answer_is_never_sent_again_by_itself() -> None:
    outcome = after(UnknownOutcome("time-out"), lead=True)
    assert isinstance(outcome, CommandUnknown)
    assert outcome.retry_at is None


def test_a_vendor_that_says_how_long_is_left_alone_that_long_and_the_record_is_not_at_fault() -> None:
    put_off = RateLimited("429", retry_after=90.0)
    assert seconds(after(put_off, attempt=400, failing_for=2 * IN_ALL)) == 90.5


def test_a_vendor_that_is_away_is_waited_for_and_the_record_is_not_at_fault() -> None:
    outcome = after(VendorAway("away", retry_after=20.0), attempt=400, failing_for=2 * IN_ALL)
    assert isinstance(outcome, CommandFailed)
    assert (seconds(outcome), outcome.reason in PUT_OFF) == (20.5, True)


def test_a_vendor_that_refuses_us_is_asked_again_when_it_opens() -> None:
    assert seconds(after(AccessDenied("403", status=403))) == 300.0


def test_what_certainly_did_not_happen_is_tried_again_with_longer_pauses_and_then_given_up() -> None:
    pauses = [seconds(after(Retryable("503", status=503), attempt=n)) for n in (1, 2, 5, 40)]
    assert pauses == [0.5, 1.0, 8.0, 1800.0]
    broken = Retryable("503", status=503)
    assert isinstance(after(broken, attempt=40, failing_for=IN_ALL - timedelta(hours=1)), CommandFailed)
    assert isinstance(after(broken, attempt=40, failing_for=IN_ALL), CommandDeadLettered)


def test_failures_of_long_ago_are_not_held_against_a_write() -> None:
    entity = failing(timedelta(days=9), Entity("e", "contact"), last=APART + timedelta(minutes=1))
    tried = Tried(entity, PROPSTREET, Pending("c", WANT, "1"), 1, START, 0.5, 300.0)
    assert isinstance(failed(tried, Retryable("503", status=503)), CommandFailed)


def test_writes_whose_outcome_nobody_knows_come_to_an_end() -> None:
    unknown = after(UnknownOutcome("time-out"), attempt=40, failing_for=IN_ALL)
    assert isinstance(unknown, CommandUnknown), "it may have landed, so it is looked at first"
    for since, end in ((IN_ALL, False), (IN_ALL + timedelta(hours=1), True)):
        entity = failing(since, Entity("e", "contact"))
        entity.pending[PROPSTREET] = Pending("c", WANT, "1")
        assert (given_up(entity, PROPSTREET, START) is not None) == end


def test_a_dead_letter_holds_the_whole_exchange() -> None:
    error = Rejected("400", status=400, reason="phone")
    error.exchange = Exchange("PATCH", "/contacts/1", '{"phone":"x"}', 400, {}, '{"errors":{}}')
    outcome = after(error)
    assert isinstance(outcome, CommandDeadLettered)
    assert outcome.exchange == error.exchange


def test_a_dead_letter_of_an_earlier_version_still_reads() -> None:
    old = b'{"command":"c","reason":"phone","status":400}'
    assert msgspec.json.decode(old, type=CommandDeadLettered).exchange is None


@pytest.mark.parametrize("status", [412, 409])
def test_somebody_was_first_so_it_is_read_and_decided_again(status: int) -> None:
    outcome = after(Stale("stale", status=status))
    assert isinstance(outcome, CommandFailed)
    assert (outcome.read_again, outcome.retry_at) == (True, None)


def test_a_conflict_that_fresh_reads_do_not_end_is_with_another_record() -> None:
    assert isinstance(after(Stale("409", status=409, reason="email"), attempt=STALE), CommandFailed)
    given_up = after(Stale("409", status=409, reason="email"), attempt=STALE + 1)
    assert isinstance(given_up, CommandDeadLettered)
    assert given_up.reason == "email"
    assert isinstance(after(Stale("412", status=412), attempt=40), CommandFailed), (
        "an etag can be stale again"
    )


def test_a_record_that_is_gone_is_read_again_and_what_a_new_one_joins_is_waited_for() -> None:
    gone, early = after(NotFound("404", status=404)), after(NotFound("404", status=404), record=None)
    assert isinstance(gone, CommandFailed)
    assert gone.read_again
    assert seconds(early) == 0.5
    assert isinstance(after(NotFound("404", status=404), lead=True), CommandDeadLettered)


def test_a_record_that_exists_already_is_looked_for_again() -> None:
    assert seconds(after(Duplicate("409", status=409), record=None)) == 0.5
    assert isinstance(after(Duplicate("409", status=409), record=None, lead=True), CommandDeadLettered)


def test_what_the_vendor_has_no_call_for_is_held() -> None:
    outcome = after(NotWritable("no call"))
    assert isinstance(outcome, CommandHeld)
    assert (outcome.reason, set(outcome.want)) == ("not_writable", {"last_name"})


def test_a_field_that_is_only_tried_is_held_when_it_is_refused() -> None:
    want = {"classification": Want("active", VITEC, "active", 1, None)}
    outcome = after(Rejected("400", status=400), category="project", want=want)
    assert isinstance(outcome, CommandHeld)
    assert outcome.reason == "not_writable"


def test_any_other_refusal_is_for_the_operator_with_the_fields_that_were_refused() -> None:
    outcome = after(Rejected("400", status=400, reason="phone"))
    assert isinstance(outcome, CommandDeadLettered)
    assert (outcome.reason, outcome.status) == ("phone", 400)
