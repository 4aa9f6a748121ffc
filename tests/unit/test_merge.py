"""Each rule of the merge (docs/merge-rules.md), one after the other, on a linked pair."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    ConflictResolved,
    Decision,
    FieldsAgreed,
    Half,
    RecordsUnlinked,
    encode,
)
from daemon.domain.settings import Authority, Direction
from daemon.domain.streams import PROPSTREET, VITEC, other
from projections.entities import record_rows
from projections.entity import RECENT
from projections.merge import is_blank
from tests.unit.pair import ADR, ANNA, KEY, START, SYNC, Pair, StaleError, Writing, linked

BOTH = pytest.mark.parametrize("target", [VITEC, PROPSTREET])


def due(pair: Pair, target: str, **fields: Any) -> Writing:
    """An edit on the other side has become a command, and it is attempted."""
    pair.desks[other(target)].edit(**fields or {"first_name": "Anne"})
    pair.read(other(target))
    pair.decide()
    writing = pair.attempt(target)
    assert writing is not None
    return writing


def kinds(decided: list[Decision]) -> list[str]:
    return [type(decision).__name__ for decision in decided]


# Reads


def test_a_read_moves_a_position_only_where_the_value_moved() -> None:
    pair = linked()
    before = {name: held.position for name, held in pair.side(VITEC).shadow.items()}
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    after = {name: held.position for name, held in pair.side(VITEC).shadow.items()}
    assert {name for name in after if after[name] != before[name]} == {"first_name"}
    assert after["first_name"] == pair.head


def test_a_read_that_says_nothing_new_is_not_kept() -> None:
    pair = linked()
    head = pair.head
    pair.read()
    assert pair.head == head


def test_a_field_that_the_payload_does_not_carry_stays_as_it_was() -> None:
    pair = linked()
    row = pair.propstreet.rows[KEY]
    pair.propstreet.edit(first_name="Anne")
    body = msgspec.json.decode(pair.propstreet.payload())
    del body["phone"]
    read = pair.as_read(PROPSTREET, row.id, encode(body), pair.head, "poll")
    pair.append([read])
    assert pair.shadow(PROPSTREET, "phone").value == ANNA["phone"]
    assert pair.shadow(PROPSTREET, "first_name").value == "Anne"


def test_of_two_overlapping_reads_the_one_that_arrives_later_proves_nothing() -> None:
    pair = linked()
    early = pair.glance(VITEC)
    pair.vitec.edit(first_name="Anne")
    pair.glance(VITEC).arrive()
    pair.vitec.edit(first_name="Anni")
    late = pair.glance(VITEC)
    early.arrive()  # it saw Anna, before Anne
    assert pair.shadow(VITEC, "first_name").value == "Anne"
    assert pair.side(VITEC).need == pair.head
    late.arrive()  # it left before the one that asked to read again
    assert pair.side(VITEC).need is not None
    pair.fetch(VITEC)
    assert pair.shadow(VITEC, "first_name").value == "Anni"
    assert pair.side(VITEC).need is None


def test_a_read_that_left_before_a_push_arrived_is_read_again() -> None:
    pair = linked()
    glance = pair.glance(PROPSTREET)
    pair.propstreet.edit(first_name="Anne")
    pair.arrive(pair.webhook())
    glance.arrive(always=True)
    assert pair.shadow(PROPSTREET, "first_name").value == "Anne"
    assert pair.side(PROPSTREET).need == pair.head


def test_a_read_that_left_before_one_that_found_nothing_new_proves_nothing_either() -> None:
    """The later read left no event, only its interval: the verdict given at the append knows it, the fold alone not."""
    pair = linked()
    stamp = pair.vitec.rows[ADR].changed
    pair.vitec.edit(first_name="Anne", at=stamp)
    early = pair.glance(VITEC)
    pair.vitec.edit(first_name="Anna", at=stamp)  # taken back, all under one coarse stamp
    pair.propstreet.edit(last_name="Bergh")
    pair.read(PROPSTREET)
    pair.read(VITEC)  # as we know it
    early.arrive()
    assert pair.shadow(VITEC, "first_name").value == "Anna"
    assert pair.side(VITEC).need == pair.head


def test_a_value_under_an_older_stamp_came_to_be_no_earlier_than_what_we_had_seen() -> None:
    pair = linked()
    pair.vitec.edit(last_name="Bergh")
    pair.read(VITEC)
    seen = pair.side(VITEC).head.time
    pair.vitec.edit(first_name="Anne", at=pair.now - timedelta(days=1))
    pair.read(VITEC)
    assert pair.shadow(VITEC, "first_name").since == seen


def test_another_form_of_the_same_value_is_no_edit() -> None:
    pair = linked()
    before = pair.shadow(VITEC, "phone")
    pair.vitec.edit(phone="070-174 06 05")
    pair.read(VITEC)
    after = pair.shadow(VITEC, "phone")
    assert after.value == "070-174 06 05"
    assert (after.since, after.position) == (before.since, before.position)
    assert pair.decide() == []


def test_nothing_is_decided_while_a_side_must_be_read() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.hint()
    assert pair.decide() == []
    pair.fetch(VITEC)
    assert kinds(pair.decide()) == ["CommandIssued"]


# Pushes


def test_a_push_is_content() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.arrive(pair.webhook())
    assert pair.shadow(PROPSTREET, "first_name").value == "Anne"
    assert pair.side(PROPSTREET).need is None


def test_a_push_is_not_a_read_and_never_seals() -> None:
    pair = linked()
    started = pair.side(PROPSTREET).head.started
    pair.vitec.edit(first_name="Anne")
    pair.propstreet.edit(first_name="Anne")
    pair.read(VITEC)
    before = len(pair.told(FieldsAgreed))
    pair.arrive(pair.webhook())
    pair.read(VITEC)
    pair.decide()
    assert pair.side(PROPSTREET).head.started == started
    assert len(pair.told(FieldsAgreed)) == before
    pair.read(PROPSTREET)
    pair.decide()
    assert len(pair.told(FieldsAgreed)) == before + 1


def test_a_delivery_that_comes_twice_is_one_event() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    body = pair.webhook()
    assert len(pair.arrive(body, "msg_x")) == 1
    assert pair.arrive(body, "msg_x") == []


def test_a_late_push_asks_for_a_read_and_changes_nothing() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    late = pair.webhook()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.arrive(late)
    assert pair.shadow(PROPSTREET, "first_name").value == "Anne"
    assert pair.side(PROPSTREET).need == pair.head


def test_a_late_push_with_the_etag_that_we_know_asks_for_nothing() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    body = pair.webhook()
    pair.read(PROPSTREET)
    pair.arrive(body)
    assert pair.side(PROPSTREET).need is None


def test_the_push_of_our_own_write_changes_nothing() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET).leave()
    echo = pair.webhook()
    writing.succeed()
    before = msgspec.json.encode(pair.entity.base)
    pair.arrive(echo)
    assert pair.decide() == []
    assert msgspec.json.encode(pair.entity.base) == before


# While a write is in flight


def test_a_push_during_a_write_waits_for_the_outcome_and_then_counts() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET).leave()
    pair.propstreet.edit(first_name="Anni")  # a person, after our write
    [push] = pair.arrive(pair.webhook())
    assert pair.shadow(PROPSTREET, "first_name").value == "Anna"
    writing.succeed()
    assert pair.shadow(PROPSTREET, "first_name").value == "Anni"
    assert pair.shadow(PROPSTREET, "first_name").position == push.position
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_our_own_push_that_overtakes_the_answer_is_no_edit() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET).leave()
    pair.arrive(pair.webhook())
    writing.succeed()
    assert pair.agreed("first_name")
    assert pair.sync_up() == 0


def test_a_late_push_does_not_take_back_that_a_read_is_needed() -> None:
    pair = linked()
    late = pair.webhook()
    writing = due(pair, PROPSTREET, first_name="Anne").leave()
    pair.arrive(late)
    pair.read(PROPSTREET)  # set aside, since a write is under way
    asked = pair.side(PROPSTREET).need
    assert asked is not None
    writing.succeed()
    assert pair.side(PROPSTREET).need == asked


def test_a_push_kept_during_a_write_counts_after_a_definite_failure() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    pair.propstreet.edit(last_name="Bergh")
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    with pytest.raises(StaleError):
        writing.leave()
    [push] = pair.arrive(pair.webhook())
    writing.fail(read_again=True)
    assert pair.shadow(PROPSTREET, "last_name").position == push.position
    assert pair.side(PROPSTREET).need == pair.head
    assert not pair.entity.busy()


def test_a_push_kept_right_before_the_answer_of_a_merged_write_is_a_change() -> None:
    pair = linked()
    pair.propstreet.edit(tags=("buyer", "investor"))
    pair.read(PROPSTREET)
    writing = due(pair, PROPSTREET, tags=("investor", "vip")).leave()
    pair.propstreet.edit(tags=("seller",))
    [push] = pair.arrive(pair.webhook())
    writing.succeed()
    assert pair.shadow(PROPSTREET, "tags").position == push.position
    assert pair.entity.changed(PROPSTREET, "tags")


def test_a_push_kept_during_a_write_is_dropped_when_the_outcome_becomes_unknown() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET).leave()
    pair.arrive(pair.webhook())
    writing.lose()
    assert pair.side(PROPSTREET).kept == []
    assert pair.shadow(PROPSTREET, "first_name").value == "Anna"
    assert pair.side(PROPSTREET).need == pair.head


@BOTH
def test_a_read_that_arrives_during_a_write_is_set_aside(target: str) -> None:
    pair = linked()
    writing = due(pair, target)
    pair.desks[target].edit(last_name="Bergh")
    pair.glance(target).arrive(always=True)
    assert pair.shadow(target, "last_name").value == "Berg"
    assert pair.side(target).need == pair.head
    writing.fail()
    assert pair.decide() == []
    pair.fetch(target)
    assert pair.shadow(target, "last_name").value == "Bergh"


def test_one_command_is_in_flight_for_an_entity() -> None:
    pair = linked()
    due(pair, VITEC)
    pair.vitec.edit(last_name="Bergh")
    pair.propstreet.edit(phone="+46701740606")
    pair.read()
    assert pair.decide() == []


# What follows a write


@BOTH
def test_a_write_that_went_well_is_the_new_base_on_both_halves(target: str) -> None:
    pair = linked()
    due(pair, target).leave().succeed()
    base = pair.entity.base["first_name"]
    assert base.half(target) == Half("Anne", pair.shadow(target, "first_name").position)
    assert base.half(other(target)) == Half("Anne", pair.shadow(other(target), "first_name").position)
    assert pair.agreed("first_name")
    assert pair.plan().events == ()


@BOTH
def test_what_we_wrote_keeps_the_time_of_the_edit_that_it_came_from(target: str) -> None:
    pair = linked()
    writing = due(pair, target)
    since = pair.shadow(other(target), "first_name").since
    pair.later(60)
    writing.leave().succeed()
    assert pair.shadow(target, "first_name").since == since


@BOTH
def test_an_edit_made_while_our_write_was_on_its_way_still_wins_over_its_echo(target: str) -> None:
    """Our write lands later than the edit; with the time of the landing it would beat the edit."""
    pair = linked()
    source = other(target)
    writing = due(pair, target)
    pair.desks[source].edit(first_name="Anni")
    pair.later(60)
    writing.leave().succeed()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert not pair.told(ConflictResolved)


@BOTH
def test_fields_beside_our_write_are_an_observation(target: str) -> None:
    pair = linked()
    writing = due(pair, target)
    if target == VITEC:
        pair.vitec.edit(phone="+46701740606")
    writing.leave().succeed()
    pair.sync_up()
    assert len(set(pair.values("phone"))) == 1


def test_a_definite_failure_leaves_no_trace_of_the_attempt() -> None:
    pair = linked()
    due(pair, VITEC).fail()
    assert pair.side(VITEC).attempts == []
    assert pair.side(VITEC).need is None
    assert kinds(pair.decide()) == ["CommandIssued"]


def test_after_412_the_record_is_read_before_anything_is_decided() -> None:
    pair = linked()
    due(pair, PROPSTREET).fail(read_again=True)
    assert pair.decide() == []
    pair.fetch(PROPSTREET)
    assert kinds(pair.decide()) == ["CommandIssued"]


# An outcome that nobody knows


@BOTH
def test_an_unknown_outcome_is_settled_by_a_read_that_left_after_it(target: str) -> None:
    pair = linked()
    writing = due(pair, target).leave()
    early = pair.glance(target)
    writing.lose()
    early.arrive(always=True)
    assert [a.state for a in pair.side(target).attempts] == ["open"]
    assert pair.decide() == []
    pair.fetch(target)
    assert [a.state for a in pair.side(target).attempts] == ["recent"]
    assert pair.agreed("first_name")
    assert pair.sync_up() == 0


@BOTH
def test_what_an_open_attempt_wrote_is_ours_and_in_doubt(target: str) -> None:
    pair = linked()
    due(pair, target).leave().lose()
    pair.fetch(target)
    held = pair.shadow(target, "first_name")
    assert (held.value, held.position) == ("Anne", pair.head)
    assert held.since == pair.shadow(other(target), "first_name").since
    assert pair.side(target).doubt == {"first_name": pair.head}


def test_a_write_that_was_taken_and_not_read_back_is_no_doubt_and_needs_no_suspicion() -> None:
    pair = linked()
    due(pair, VITEC).leave().lose(taken=True)
    assert pair.decide() == []
    pair.fetch(VITEC)
    assert (pair.side(VITEC).doubt, pair.side(VITEC).attempts) == ({}, [])
    assert pair.agreed("first_name")
    assert pair.sync_up() == 0


def test_what_is_typed_after_a_write_that_was_taken_is_the_later_edit_whatever_the_clocks_say() -> None:
    pair = linked()
    due(pair, VITEC).leave().lose(taken=True)
    pair.vitec.edit(first_name="Anni", at=START - timedelta(minutes=10))
    pair.fetch(VITEC)
    assert pair.entity.changed(VITEC, "first_name")
    assert not pair.entity.changed(PROPSTREET, "first_name")
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert pair.told(ConflictResolved) == []


def test_what_is_typed_after_our_value_was_seen_there_is_the_later_edit_though_the_answer_is_lost() -> None:
    pair = linked()
    writing = due(pair, VITEC).leave()
    pair.read(VITEC)  # a poll, while it is under way
    pair.vitec.edit(first_name="Anni", at=START - timedelta(minutes=10))
    writing.lose()
    pair.fetch(VITEC)
    assert pair.entity.changed(VITEC, "first_name")
    assert not pair.entity.changed(PROPSTREET, "first_name")
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_after_a_restore_nobody_remembers_that_a_write_was_taken() -> None:
    pair = linked()
    due(pair, VITEC).leave().lose(taken=True)
    pair.rewind()
    assert [attempt.taken for attempt in pair.side(VITEC).attempts] == [False]


def test_an_element_that_was_taken_away_does_not_come_back_when_an_answer_is_lost() -> None:
    """What was written is the union of both sides, so the other side is still to be told what was taken away."""
    pair = linked(tags=("buyer",))
    pair.propstreet.edit(tags=("buyer", "seller"))
    pair.vitec.edit(tags=("investor",))
    pair.read()
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    writing.leave().lose()
    pair.sync_up()
    assert pair.values("tags") == (("investor", "seller"), ("investor", "seller"))


@BOTH
def test_nothing_is_fetched_while_a_write_is_under_way_for_it_would_prove_nothing(target: str) -> None:
    pair = linked()
    writing = due(pair, target)
    pair.glance(target).arrive(always=True)
    assert pair.side(target).need is not None

    def asked() -> int | None:
        [row] = [row for row in record_rows("oslo", pair.entity) if row.vendor == target]
        return row.need

    assert asked() is None
    writing.lose()
    assert asked() == pair.head


def test_what_we_overwrite_in_doubt_is_put_on_record_with_the_doubt_in_its_id() -> None:
    pair = linked()
    due(pair, VITEC).leave().lose()
    pair.fetch(VITEC)
    pair.propstreet.edit(first_name="Anni")
    pair.read(PROPSTREET)
    assert kinds(pair.decide()) == ["ConflictResolved", "CommandIssued"]
    [conflict] = pair.told(ConflictResolved)
    assert (conflict.rule, conflict.loser_value, conflict.order_uncertain) == ("doubt", "Anne", False)


def test_an_attempt_that_was_not_applied_by_its_etag_raises_no_doubt() -> None:
    pair = linked()
    due(pair, PROPSTREET).lose()
    pair.fetch(PROPSTREET)
    assert pair.side(PROPSTREET).doubt == {}
    assert kinds(pair.decide()) == ["CommandIssued"]


def test_without_etags_the_old_value_after_an_unknown_outcome_is_in_doubt() -> None:
    pair = linked()
    due(pair, VITEC).lose()
    pair.fetch(VITEC)
    assert pair.side(VITEC).doubt == {"first_name": pair.head}


def test_another_value_after_an_unknown_outcome_is_a_persons_and_clears_the_doubt() -> None:
    pair = linked()
    due(pair, VITEC).lose()
    pair.fetch(VITEC)
    pair.vitec.edit(first_name="Anni")
    pair.read(VITEC)
    assert pair.side(VITEC).doubt == {}
    assert pair.entity.changed(VITEC, "first_name")


def test_a_write_that_went_well_clears_the_doubt() -> None:
    pair = linked()
    due(pair, VITEC).lose()
    pair.fetch(VITEC)
    pair.decide()
    assert pair.deliver(VITEC)
    assert pair.side(VITEC).doubt == {}


def test_a_late_write_that_is_reverted_while_it_is_recent_raises_a_doubt() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET)
    writing.lose()
    pair.fetch(PROPSTREET)
    writing.leave()
    pair.propstreet.edit(first_name="Anna")
    pair.read(PROPSTREET)
    assert pair.side(PROPSTREET).doubt == {"first_name": pair.head}


def test_the_doubt_is_raised_once_more_while_the_attempt_is_recent() -> None:
    pair = linked()
    due(pair, VITEC).lose()
    pair.fetch(VITEC)
    pair.vitec.edit(last_name="Bergh")  # the record moved: perhaps our write landed and was taken back
    pair.read(VITEC)
    assert pair.side(VITEC).doubt == {"first_name": pair.head}


def test_what_a_recent_attempt_wrote_is_ours_whether_pushed_or_read() -> None:
    for through_push in (True, False):
        pair = linked()
        writing = due(pair, PROPSTREET)
        writing.lose()
        pair.fetch(PROPSTREET)
        writing.leave()
        if through_push:
            pair.arrive(pair.webhook())
        else:
            pair.read(PROPSTREET)
        assert pair.agreed("first_name")
        assert pair.side(PROPSTREET).doubt == {"first_name": pair.head}


def test_what_an_old_attempt_wrote_is_an_edit_like_any_other() -> None:
    pair = linked()
    writing = due(pair, VITEC)
    writing.lose()
    pair.fetch(VITEC)
    assert pair.side(VITEC).check_at() is not None
    pair.later(RECENT.total_seconds())
    pair.read(VITEC)
    assert pair.side(VITEC).check_at() is None
    writing.leave()
    pair.read(VITEC)
    assert pair.entity.changed(VITEC, "first_name")


def test_what_landed_late_is_ours_however_long_nobody_could_read_it() -> None:
    pair = linked()
    writing = due(pair, VITEC)
    writing.lose()
    pair.fetch(VITEC)
    pair.later(10.0)
    writing.leave()
    pair.propstreet.edit(first_name="Anni")
    pair.read(PROPSTREET)
    pair.later(3600.0)
    pair.read(VITEC)
    assert pair.side(VITEC).doubt == {"first_name": pair.head}
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_a_push_during_an_open_attempt_only_asks_for_a_read() -> None:
    pair = linked()
    due(pair, PROPSTREET).leave().lose()
    pair.arrive(pair.webhook())
    assert pair.shadow(PROPSTREET, "first_name").value == "Anna"
    assert pair.side(PROPSTREET).need == pair.head


def test_the_answer_of_a_write_whose_outcome_was_called_unknown_still_counts() -> None:
    """The daemon that slept wakes up and appends what it knows, after its successor gave the attempt up."""
    for target in (VITEC, PROPSTREET):
        pair = linked()
        writing = due(pair, target).leave()
        writing.lose()
        writing.succeed()
        assert pair.sync_up() == 0
        assert pair.values("first_name") == ("Anne", "Anne")


def test_a_doubt_about_tags_is_put_on_record_too() -> None:
    pair = linked()
    pair.propstreet.edit(tags=("investor", "vip"))
    pair.read(PROPSTREET)
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    writing.leave().lose()
    pair.vitec.edit(tags=("investor",))  # a person takes away what we had added
    pair.fetch(VITEC)
    assert pair.side(VITEC).doubt == {"tags": pair.head}
    assert kinds(pair.decide()) == ["ConflictResolved", "CommandIssued"]


def test_an_outcome_that_holds_a_command_ends_its_attempt() -> None:
    pair = linked()
    writing = due(pair, PROPSTREET)
    want, command = writing.pending.want, writing.pending.command
    pair.tell(
        CommandHeld(
            command, pair.entity.id, "contact", PROPSTREET, KEY, want, "not_writable", "no call for this"
        )
    )
    assert not pair.entity.busy()
    assert not pair.entity.pending


# The seal


def test_equal_values_are_agreed_on_when_each_side_was_read_after_the_others_change() -> None:
    pair = linked()
    before = len(pair.told(FieldsAgreed))
    pair.vitec.edit(first_name="Anne")
    pair.propstreet.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()  # Propstreet differs still: a command, not yet attempted
    pair.read(PROPSTREET)
    pair.decide()
    assert len(pair.told(FieldsAgreed)) == before  # Vitec was read before Propstreet's change was seen
    pair.read(VITEC)
    pair.decide()
    assert set(pair.told(FieldsAgreed)[-1].fields) == {"first_name"}
    assert pair.agreed("first_name")


def test_an_edit_after_the_seal_is_one_sided_and_no_conflict() -> None:
    pair = linked()
    for name in ("Anni", "Anna"):
        pair.propstreet.edit(first_name=name)
        pair.read(PROPSTREET)
        pair.decide()
    pair.read()
    pair.decide()
    assert pair.agreed("first_name")
    pair.vitec.edit(first_name="Anne", at=pair.now - timedelta(minutes=1))
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert not pair.told(ConflictResolved)


def test_nothing_is_sealed_while_an_outcome_is_unknown() -> None:
    pair = linked()
    writing = due(pair, VITEC)
    before = len(pair.told(FieldsAgreed))
    writing.lose()
    pair.polled = {VITEC: pair.head, PROPSTREET: pair.head}
    assert pair.decide() == []
    assert len(pair.told(FieldsAgreed)) == before


# Who wins


@BOTH
def test_the_only_side_that_changed_wins_whatever_the_clocks_say(target: str) -> None:
    pair = linked()
    pair.desks[other(target)].edit(first_name="Anne", at=pair.now - timedelta(days=400))
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert not pair.told(ConflictResolved)


@pytest.mark.parametrize(
    ("vitec", "propstreet", "winner", "rule"),
    [
        (60, 120, "Anni", "the later edit wins"),
        (120, 60, "Anne", "the later edit wins"),
        (90, 90, "Anne", "a tie goes to Vitec"),
    ],
)
def test_when_both_changed_the_later_edit_wins_and_a_tie_goes_to_vitec(
    vitec: int, propstreet: int, winner: str, rule: str
) -> None:
    pair = linked()
    start = pair.later(1)
    pair.later(600)
    pair.vitec.edit(first_name="Anne", at=start + timedelta(seconds=vitec))
    pair.propstreet.edit(first_name="Anni", at=start + timedelta(seconds=propstreet))
    pair.sync_up()
    assert pair.values("first_name") == (winner, winner)
    [conflict] = pair.told(ConflictResolved)
    assert conflict.rule == rule
    assert {conflict.winner_value, conflict.loser_value} == {"Anne", "Anni"}


@pytest.mark.parametrize(("authority", "winner"), [("vitec", "Anne"), ("propstreet", "Anni")])
def test_when_both_changed_the_fields_authority_goes_before_the_clocks(
    authority: Authority, winner: str
) -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, authority={"contact.first_name": authority}))
    first, second = (VITEC, "Anne"), (PROPSTREET, "Anni")
    for vendor, name in (first, second) if authority == "vitec" else (second, first):
        pair.desks[vendor].edit(first_name=name)
        pair.later(60)
    pair.sync_up()
    assert pair.values("first_name") == (winner, winner)
    assert [c.rule for c in pair.told(ConflictResolved)] == [f"authority is {authority}"]


@pytest.mark.parametrize(("apart", "uncertain"), [(10, True), (29, True), (30, False), (600, False)])
def test_two_edits_closer_than_the_clocks_are_trusted_are_marked(apart: int, uncertain: bool) -> None:
    pair = linked()
    start = pair.later(1)
    pair.later(3600)
    pair.vitec.edit(first_name="Anne", at=start)
    pair.propstreet.edit(first_name="Anni", at=start + timedelta(seconds=apart))
    pair.sync_up()
    assert [c.order_uncertain for c in pair.told(ConflictResolved)] == [uncertain]


def test_a_conflict_is_recorded_before_anything_is_overwritten() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.propstreet.edit(first_name="Anni")
    pair.read()
    decided = kinds(pair.decide())
    assert decided.index("ConflictResolved") < decided.index("CommandIssued")


def test_a_conflict_has_the_same_id_however_often_it_is_decided() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.propstreet.edit(first_name="Anni")
    pair.read()
    pair.decide()
    pair.vitec.edit(last_name="Bergh")
    pair.read(VITEC)
    pair.decide()
    assert len({c.conflict for c in pair.told(ConflictResolved)}) == 1
    assert len(pair.fold.change().insert["conflicts"]) == 1


# The first link


def first_link(vitec: str | None, propstreet: str | None) -> Pair:
    """Two records that were edited an hour apart, Propstreet's later, and are now linked."""
    pair = Pair()
    pair.vitec.add(**ANNA | {"strategy": vitec})
    pair.later(3600)
    pair.propstreet.add(reference=ADR, **ANNA | {"strategy": propstreet})
    pair.sync_up()
    return pair


def test_a_blank_never_wins_a_first_link() -> None:
    for vitec, propstreet in (("Offices", None), (None, "Offices"), ("Offices", " ")):
        pair = first_link(vitec, propstreet)
        assert pair.values("strategy") == ("Offices", "Offices")
        assert not pair.told(ConflictResolved)


def test_a_value_that_was_emptied_after_the_link_and_before_the_base_is_put_on_record() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA | {"strategy": "Offices"})
    pair.propstreet.add(reference=ADR, **ANNA | {"strategy": "Offices"})
    pair.read()
    pair.decide()
    assert pair.entity.linked is not None
    assert "strategy" not in pair.entity.base
    pair.later(60)
    pair.propstreet.edit(strategy=None)
    pair.sync_up()
    assert pair.values("strategy") == ("Offices", "Offices")
    [conflict] = pair.told(ConflictResolved)
    assert (conflict.winner, conflict.loser_value, conflict.rule) == (
        VITEC,
        None,
        "a blank never wins a first link",
    )


def test_two_values_at_a_first_link_are_a_conflict_that_the_later_wins() -> None:
    pair = first_link("Offices", "Housing")
    assert pair.values("strategy") == ("Housing", "Housing")
    assert [(c.winner, c.loser_value) for c in pair.told(ConflictResolved)] == [(PROPSTREET, "Offices")]


def test_equal_values_at_a_first_link_cause_no_write() -> None:
    pair = first_link("Offices", "Offices ")
    assert not pair.told(CommandIssued)
    assert pair.agreed("strategy")


def test_the_tags_of_a_first_link_are_those_of_both() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA | {"tags": ("buyer",)})
    pair.propstreet.add(reference=ADR, **ANNA | {"tags": ("vip",)})
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "vip"),) * 2


@pytest.mark.parametrize(
    ("value", "blank"), [(None, True), ("", True), (" \t", True), ((), True), ("x", False)]
)
def test_blank_is_what_says_nothing(value: str | tuple[str, ...] | None, blank: bool) -> None:
    assert is_blank(value) is blank


# Sets


def test_an_element_added_here_and_another_removed_there_are_both_carried() -> None:
    pair = linked(tags=("buyer", "investor"))
    pair.vitec.edit(tags=("buyer", "investor", "vip"))
    pair.propstreet.edit(tags=("investor",))
    pair.sync_up()
    assert pair.values("tags") == (("investor", "vip"),) * 2
    assert pair.agreed("tags")
    assert not pair.told(ConflictResolved)


def test_an_element_that_both_removed_stays_away() -> None:
    pair = linked(tags=("buyer", "investor"))
    pair.vitec.edit(tags=("investor",))
    pair.propstreet.edit(tags=("investor",))
    assert pair.sync_up() == 0


def test_an_element_removed_after_a_merged_write_is_removed_on_both_sides() -> None:
    pair = linked(tags=("buyer", "investor"))
    pair.vitec.edit(tags=("buyer", "investor", "vip"))
    pair.propstreet.edit(tags=("investor",))
    pair.sync_up()
    pair.propstreet.edit(tags=("investor",))
    pair.sync_up()
    assert pair.values("tags") == (("investor",),) * 2


def test_an_element_removed_between_the_two_halves_of_a_merge_stays_away() -> None:
    pair = linked(tags=("buyer", "investor"))
    pair.vitec.edit(tags=("buyer", "investor", "vip"))
    pair.propstreet.edit(tags=("investor", "seller"))
    pair.read()
    pair.decide()
    assert pair.deliver(VITEC)
    assert not pair.agreed("tags")  # Propstreet's half is still to be written
    pair.vitec.edit(tags=("investor", "vip"))  # seller is taken away again before Propstreet was written
    pair.sync_up()
    assert pair.values("tags") == (("investor", "vip"),) * 2


def test_all_elements_may_go() -> None:
    pair = linked(tags=("buyer", "investor"))
    pair.propstreet.edit(tags=())
    pair.sync_up()
    assert pair.values("tags") == ((), ())


# One way


@pytest.mark.parametrize(("direction", "source"), [("to_propstreet", VITEC), ("to_vitec", PROPSTREET)])
def test_in_one_direction_edits_at_the_target_are_drift_until_the_source_is_edited(
    direction: Direction, source: str
) -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, contacts=direction))
    pair.desks[other(source)].edit(first_name="Drift")
    assert pair.sync_up() == 0
    assert pair.desks[source].value("first_name") == "Anna"
    pair.desks[source].edit(first_name="Anne")
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anne", "Anne")
    assert [c.loser_value for c in pair.told(ConflictResolved)] == ["Drift"]


@pytest.mark.parametrize("authority", ["latest", "propstreet"])
def test_in_one_direction_the_next_edit_of_the_source_wins_whatever_the_clocks_say(
    authority: Authority,
) -> None:
    sync = msgspec.structs.replace(
        SYNC, contacts="to_propstreet", authority={"contact.first_name": authority}
    )
    pair = linked(sync=sync)
    pair.propstreet.edit(first_name="Drift")
    pair.sync_up()
    slow = pair.now - timedelta(minutes=2)
    pair.vitec.edit(first_name="Anne", at=slow if authority == "latest" else None)
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert [c.loser_value for c in pair.told(ConflictResolved)] == ["Drift"]


def test_a_category_that_is_off_is_left_alone() -> None:
    pair = linked()
    pair.sync = msgspec.structs.replace(SYNC, contacts="off")
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 0


# References


def test_the_reference_of_the_vitec_record_is_written_to_propstreet_once() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.propstreet.add(**ANNA)
    assert pair.sync_up() == 1
    assert pair.propstreet.rows[KEY].reference == ADR
    assert pair.sync_up() == 0


def test_a_payload_without_references_does_not_take_the_reference_away() -> None:
    pair = linked()
    pair.propstreet.edit(last_name="Bergh")
    body = msgspec.json.decode(pair.webhook())
    del body["data"]["externalRefs"]
    pair.arrive(encode(body))
    assert pair.side(PROPSTREET).reference == ADR


def test_a_tombstone_ends_every_decision() -> None:
    pair = linked()
    pair.tell(RecordsUnlinked(pair.entity.id, "operator"))
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 0
