"""The seventeen stories behind the merge rules (docs/merge-rules.md), each told against the obvious rule that it broke."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from daemon.domain.errors import WrongExpectedVersion
from daemon.domain.events import (
    DECISIONS,
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    ConflictResolved,
    EntityHeld,
    FieldsAgreed,
    LogRestored,
    RecordsLinked,
    RecordsUnlinked,
)
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.policies.plan import expected
from daemon.policies.restoring import Restored
from projections.entities import dormant
from tests.unit.pair import ADR, ANNA, KEY, OPTIONS, START, SYNC, Fields, Pair, StaleError, Writing, linked


def under_way(pair: Pair, target: str) -> Writing:
    """The write that is due at a target, attempted."""
    writing = pair.attempt(target)
    assert writing is not None
    return writing


def conflicts(pair: Pair) -> list[tuple[str, str, str]]:
    """(winner, the value that lost, the reason) of every conflict on record."""
    return [(c.winner, c.loser_value, c.rule) for c in pair.told(ConflictResolved)]


# 1. Vitec 0→1, our write to Propstreet is in flight, Vitec goes back to 0


def test_1_an_edit_taken_back_while_our_write_is_in_flight_is_not_undone() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    writing = under_way(pair, PROPSTREET).leave()
    pair.vitec.edit(first_name="Anna")
    pair.read(VITEC)
    writing.succeed()
    assert pair.entity.changed(VITEC, "first_name")
    assert not pair.entity.changed(PROPSTREET, "first_name")
    pair.sync_up()
    assert pair.values("first_name") == ("Anna", "Anna")
    assert conflicts(pair) == []


def test_1_the_same_with_the_sides_exchanged() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    writing = under_way(pair, VITEC).leave()
    pair.propstreet.edit(first_name="Anna")
    pair.arrive(pair.webhook())
    writing.succeed()
    pair.sync_up()
    assert pair.values("first_name") == ("Anna", "Anna")


# 2. Propstreet types a value that Vitec keeps in another form


def test_2_a_form_that_vitec_gave_a_value_is_no_edit_and_causes_no_second_write() -> None:
    pair = linked()
    pair.vitec.keeps = lambda _, value: " ".join(value.split()) if isinstance(value, str) else value
    pair.propstreet.edit(first_name="Anna  Lisa")
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anna Lisa", "Anna  Lisa")
    pair.vitec.edit(last_name="Bergh")
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anna Lisa", "Anna  Lisa")


def test_2_a_form_that_propstreet_gave_a_value_is_no_edit_even_when_nobody_declared_it() -> None:
    pair = linked()
    pair.propstreet.keeps = lambda name, value: value.upper() if name == "last_name" else value  # type: ignore[union-attr]
    pair.vitec.edit(last_name="Bergh")
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("Bergh", "BERGH")
    pair.propstreet.edit(first_name="Anne")
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("Bergh", "BERGH")


def test_2_the_next_real_edit_of_a_reshaped_value_still_travels() -> None:
    pair = linked()
    pair.vitec.keeps = lambda _, value: " ".join(value.split()) if isinstance(value, str) else value
    pair.propstreet.edit(first_name="Anna  Lisa")
    pair.sync_up()
    pair.vitec.edit(first_name="Anna-Lisa")
    pair.sync_up()
    assert pair.values("first_name") == ("Anna-Lisa", "Anna-Lisa")
    assert conflicts(pair) == []


# 3. Propstreet A→B→A, both seen, then Vitec changes


def propstreet_went_there_and_back(pair: Pair) -> datetime:
    """Propstreet typed Anni and then Anna again, both seen; the time between the two."""
    pair.propstreet.edit(first_name="Anni")
    pair.read(PROPSTREET)
    pair.decide()
    between = pair.later(1)
    pair.propstreet.edit(first_name="Anna")
    pair.read(PROPSTREET)
    pair.decide()
    return between


def test_3_a_value_that_came_back_is_an_edit_and_is_not_overwritten_in_silence() -> None:
    pair = linked()
    propstreet_went_there_and_back(pair)
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert conflicts(pair) == [(VITEC, "Anna", "the later edit wins")]


def test_3_the_later_of_the_two_wins_also_when_it_went_back_to_the_base() -> None:
    pair = linked()
    between = propstreet_went_there_and_back(pair)
    pair.vitec.edit(first_name="Anne", at=between)
    pair.sync_up()
    assert pair.values("first_name") == ("Anna", "Anna")
    assert conflicts(pair) == [(PROPSTREET, "Anne", "the later edit wins")]


# 4. Propstreet 0→2→0 while our shadow of Vitec is stale


def test_4_two_sides_agree_only_when_each_was_read_after_the_others_change() -> None:
    pair = linked()
    before = len(pair.told(FieldsAgreed))
    pair.vitec.edit(first_name="Anne")  # nobody has seen it yet
    propstreet_went_there_and_back(pair)
    assert len(pair.told(FieldsAgreed)) == before
    pair.sync_up()
    assert conflicts(pair) == [(PROPSTREET, "Anne", "the later edit wins")]
    assert pair.values("first_name") == ("Anna", "Anna")


# 5. The repeated hour in October, or any clock that goes back


def test_5_the_second_half_past_two_in_october_is_not_older_than_the_first() -> None:
    pair = linked()
    pair.now = datetime(2026, 10, 25, 0, 51, tzinfo=UTC)
    pair.vitec.edit(first_name="Anne", at=datetime(2026, 10, 25, 0, 50, tzinfo=UTC))  # 02:50, summer time
    pair.sync_up()
    pair.now = datetime(2026, 10, 25, 1, 11, tzinfo=UTC)
    pair.vitec.edit(first_name="Anni", at=datetime(2026, 10, 25, 1, 10, tzinfo=UTC))  # 02:10, winter time
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


@pytest.mark.parametrize("vendor", [VITEC, PROPSTREET])
def test_5_a_value_under_an_older_stamp_is_not_ignored(vendor: str) -> None:
    pair = linked()
    pair.desks[vendor].edit(first_name="Anne")
    pair.sync_up()
    pair.desks[vendor].edit(first_name="Anni", at=START - timedelta(days=1))
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_5_a_clock_that_is_ahead_does_not_win_a_conflict_from_the_future() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne", at=pair.now + timedelta(hours=3))
    pair.read(VITEC)
    assert pair.shadow(VITEC, "first_name").since == pair.now


def test_5_a_push_under_an_older_stamp_is_read_again_and_then_counts() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni", at=START - timedelta(hours=1))
    pair.arrive(pair.webhook())
    assert pair.shadow(PROPSTREET, "first_name").value == "Anna"
    assert pair.side(PROPSTREET).need == pair.head
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


# 6. Two contents under one second or one changedAt


def test_6_the_second_content_under_one_stamp_of_vitec_counts() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    pair.vitec.edit(first_name="Anni", at=pair.vitec.rows[ADR].changed)
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_6_the_second_push_under_one_stamp_is_read_again_and_then_counts() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.arrive(pair.webhook())
    pair.propstreet.edit(first_name="Anni", at=pair.propstreet.rows[KEY].changed)
    pair.arrive(pair.webhook())
    assert pair.side(PROPSTREET).need == pair.head
    pair.fetch(PROPSTREET)
    assert pair.shadow(PROPSTREET, "first_name").value == "Anni"


# 7. A person types exactly what is queued; or our response is lost and a person reverts


def test_7_a_person_who_types_what_is_queued_made_an_edit_and_not_our_echo() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    pair.propstreet.edit(first_name="Anne")  # our command still waits
    pair.read(PROPSTREET)
    pair.decide()
    assert not pair.entity.pending
    pair.vitec.edit(first_name="Anna")
    pair.sync_up()
    assert conflicts(pair) == [(VITEC, "Anne", "the later edit wins")]
    assert pair.values("first_name") == ("Anna", "Anna")


@pytest.mark.parametrize(("source", "target"), [(VITEC, PROPSTREET), (PROPSTREET, VITEC)])
def test_7_a_revert_after_a_lost_answer_is_put_on_record_before_we_write_again(
    source: str, target: str
) -> None:
    pair = linked()
    pair.desks[source].edit(first_name="Anne")
    pair.read(source)
    pair.decide()
    under_way(pair, target).leave().lose()
    pair.desks[target].edit(first_name="Anna")
    pair.fetch(target)
    decided = pair.decide()
    assert [type(d) for d in decided] == [ConflictResolved, CommandIssued]
    assert conflicts(pair) == [(source, "Anna", "doubt")]


# 8. A person edits Vitec between our write and our read-back


@pytest.mark.parametrize("typed", ["Anni", "Anna"])
def test_8_an_edit_between_our_write_and_our_read_back_is_a_persons(typed: str) -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    writing = under_way(pair, VITEC).leave()
    pair.vitec.edit(first_name=typed)
    writing.succeed()
    assert pair.entity.changed(VITEC, "first_name")
    assert not pair.entity.changed(PROPSTREET, "first_name")
    pair.sync_up()
    assert pair.values("first_name") == (typed, typed)


# 9. A queued command meets A-B-A; or a PATCH carries the etag of a fresh GET


@pytest.mark.parametrize(("source", "target"), [(VITEC, PROPSTREET), (PROPSTREET, VITEC)])
def test_9_a_queued_command_is_not_sent_over_a_value_that_went_and_came_back(
    source: str, target: str
) -> None:
    pair = linked()
    pair.desks[source].edit(first_name="Anne")
    pair.read(source)
    pair.decide()
    for name in ("Anni", "Anna"):
        pair.desks[target].edit(first_name=name)
        pair.read(target)
    assert pair.attempt(target) is None
    assert pair.decide()
    assert len(conflicts(pair)) == 1


def test_9_a_queued_command_is_not_sent_when_its_source_went_and_came_back() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    for name in ("Anni", "Anne"):
        pair.vitec.edit(first_name=name)
        pair.read(VITEC)
    assert pair.attempt(PROPSTREET) is None


def test_9_a_patch_carries_the_etag_of_the_decision_and_fails_on_an_edit_that_nobody_saw() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    seen = pair.side(PROPSTREET).head.etag
    pair.propstreet.edit(first_name="Anni")
    assert pair.entity.pending[PROPSTREET].etag == seen
    writing = under_way(pair, PROPSTREET)
    with pytest.raises(StaleError):
        writing.leave()
    writing.fail(read_again=True)
    assert pair.side(PROPSTREET).need == pair.head
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert conflicts(pair) == [(PROPSTREET, "Anne", "the later edit wins")]


def test_9_a_decision_that_was_overtaken_cannot_be_appended() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    plan = pair.plan()
    basis = expected(plan.basis)
    pair.propstreet.edit(first_name="Anni")
    pair.read(PROPSTREET)
    with pytest.raises(WrongExpectedVersion):
        pair.append([pair.ours(pair.entity, d) for _, d in plan.events], expected=basis)


# 10. A daemon sleeps, another takes over, the first one's write lands


def asleep_over_a_write(pair: Pair, target: str) -> Writing:
    """A write was attempted by a daemon that then slept; its successor has read the target since."""
    source = PROPSTREET if target == VITEC else VITEC
    pair.desks[source].edit(first_name="Anne")
    pair.read(source)
    pair.decide()
    writing = under_way(pair, target)
    writing.lose()
    pair.fetch(target)
    return writing


def test_10_a_late_write_of_ours_is_not_carried_to_the_other_side_as_an_edit() -> None:
    pair = linked()
    writing = asleep_over_a_write(pair, VITEC)
    pair.later(20)
    writing.leave()
    pair.read(VITEC)
    assert pair.agreed("first_name")
    assert pair.sync_up() == 0
    assert pair.values("first_name") == ("Anne", "Anne")


def test_10_a_late_write_does_not_beat_what_its_source_became_meanwhile() -> None:
    pair = linked()
    writing = asleep_over_a_write(pair, VITEC)
    pair.propstreet.edit(first_name="Anni")
    pair.sync_up()
    writing.leave()
    pair.hint()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


# 11. The database is restored from yesterday


def test_11_a_round_trip_across_the_gap_is_an_edit_where_there_are_no_etags() -> None:
    """Nobody can see that Vitec's value is a new one, or how new; so it does not win, but it is not lost in silence."""
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.vitec.edit(first_name="Anna")  # in the gap, there and back
    pair.rewind()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert conflicts(pair) == [(PROPSTREET, "Anna", "the later edit wins")]


def test_11_an_etag_that_did_not_move_proves_that_nothing_happened_in_the_gap() -> None:
    pair = linked()
    pair.rewind()
    pair.fetch(PROPSTREET)
    assert not pair.entity.changed(PROPSTREET, "first_name")
    pair.fetch(VITEC)
    assert pair.entity.changed(VITEC, "first_name")


@pytest.mark.parametrize("later", [VITEC, PROPSTREET])
def test_11_a_value_that_nobody_touched_does_not_beat_an_edit_of_the_gap(later: str) -> None:
    """Both records were edited, each in another field: the younger record is not younger in both."""
    pair = linked()
    pair.rewind()
    edits: dict[str, Fields] = {VITEC: {"first_name": "Anne"}, PROPSTREET: {"last_name": "Bergh"}}
    for vendor in sorted(edits, key=lambda vendor: vendor == later):
        pair.desks[vendor].edit(**edits[vendor])
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert pair.values("last_name") == ("Bergh", "Bergh")


def test_11_what_was_written_in_the_gap_is_not_written_again() -> None:
    pair = linked()
    backup = pair.head
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 1
    pair.rewind(backup)
    assert pair.sync_up() + pair.sync_up() == 0
    assert pair.agreed("first_name")
    assert conflicts(pair) == []


def test_11_nothing_is_decided_before_both_sides_were_read_again() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.rewind()
    pair.fetch(VITEC)
    assert pair.decide() == []
    pair.fetch(PROPSTREET)
    assert [issued.target for issued in pair.decide() if isinstance(issued, CommandIssued)] == [PROPSTREET]


def test_11_what_we_wrote_is_no_later_than_the_edit_that_it_came_from() -> None:
    """Both sides count as edited then, and the times decide: our write came after the newer edit."""
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    writing = under_way(pair, VITEC)
    pair.propstreet.edit(first_name="Anni")
    writing.leave().succeed()
    pair.rewind()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_11_a_read_that_left_before_the_restore_settles_nothing() -> None:
    pair = linked()
    early = pair.glance(VITEC)
    pair.rewind()
    early.arrive(always=True)
    assert pair.side(VITEC).restored is not None
    assert pair.side(VITEC).need is not None


def test_11_after_a_restore_a_push_proves_nothing_until_the_record_was_read() -> None:
    pair = linked()
    pair.rewind()
    pair.propstreet.edit(first_name="Anni")
    pair.arrive(pair.webhook())
    assert pair.side(PROPSTREET).restored is not None
    assert pair.side(PROPSTREET).need == pair.head
    assert pair.shadow(PROPSTREET, "first_name").value == "Anna"
    pair.fetch(PROPSTREET)
    assert pair.side(PROPSTREET).restored is None
    assert pair.shadow(PROPSTREET, "first_name").value == "Anni"


def test_11_a_record_that_is_gone_after_the_restore_closes_the_link() -> None:
    pair = linked()
    pair.vitec.remove(ADR)
    pair.rewind()
    pair.fetch(VITEC)
    pair.fetch(PROPSTREET)
    assert [unlinked.tombstone for unlinked in pair.decide() if isinstance(unlinked, RecordsUnlinked)] == [
        True
    ]


def test_11_what_was_due_in_the_backup_is_decided_anew_under_another_idempotency_key() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    [before] = pair.told(CommandIssued)
    pair.rewind()
    assert pair.entity.pending == {}
    assert pair.fold.commands[before.command].state == "superseded"
    pair.fetch(VITEC)
    pair.fetch(PROPSTREET)
    pair.decide()
    _, after = pair.told(CommandIssued)
    assert after.want["first_name"].value == "Anne"
    assert after.command != before.command


def test_11_a_write_that_was_in_flight_in_the_backup_is_unknown() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    under_way(pair, PROPSTREET).leave()
    pair.rewind()
    [attempt] = pair.side(PROPSTREET).attempts
    assert attempt.state == "open"
    assert pair.entity.busy()
    pair.sync_up()
    assert not pair.entity.busy()
    assert pair.values("first_name") == ("Anne", "Anne")


def test_11_the_same_decision_in_a_restored_log_has_another_idempotency_key() -> None:
    pair = linked()
    backup, keys = pair.head, []
    for name in ("Anne", "Anni", "Ann"):
        pair.vitec.edit(first_name=name)
        pair.sync_up()
        keys += [issued.command for issued in pair.told(CommandIssued)]
        pair.rewind(backup)
        pair.sync_up()
    assert len(set(keys)) == 3


def test_11_two_restores_of_one_backup_are_two() -> None:
    marks = set()
    pair = linked()
    backup = pair.head
    for _ in range(2):
        pair.later(60)
        pair.rewind(backup)
        marks |= {restored.mark for restored in pair.told(LogRestored)}
    assert len(marks) == 2


def test_11_a_record_that_waits_for_its_release_waits_after_a_restore_until_somebody_edits_it() -> None:
    pair = Pair(sync=msgspec.structs.replace(SYNC, first_sync="wait"))
    pair.vitec.add(**ANNA)
    payload = pair.vitec.payload()
    pair.append([pair.as_read(VITEC, ADR, payload, pair.head, "poll", first=True)])
    pair.rewind()
    pair.fetch(VITEC)
    assert dormant(pair.entity)
    pair.vitec.edit(first_name="Anne")
    pair.rewind()
    pair.fetch(VITEC)
    assert not dormant(pair.entity)


# 12. A mapping changes and the views are rebuilt


def refolded(pair: Pair, **options: object) -> Pair:
    """The same log, folded by another mapping."""
    again = Pair(options=msgspec.structs.replace(OPTIONS, **options), sync=pair.sync)
    again.now, again.polled = pair.now, pair.polled
    again.events, again._versions, again._read = list(pair.events), dict(pair._versions), dict(pair._read)
    again.fold.evolve(pair.events)
    return again


def test_12_a_rebuild_under_another_mapping_loses_no_base_and_writes_nothing() -> None:
    pair = linked(phone="070-174 06 05", strategy="Offices")
    pair.vitec.edit(first_name="Anne")
    pair.propstreet.edit(last_name="Bergh")
    pair.sync_up()
    for again in (refolded(pair), refolded(pair, region="NO"), refolded(pair, note="off", categories={})):
        assert set(pair.entity.base) == set(again.entity.base)
        assert again.decide() == []


def test_12_a_newly_mapped_field_is_a_first_link_and_the_others_are_left_alone() -> None:
    pair = Pair(options=OPTIONS, sync=linked().sync)
    off = refolded(pair, note="off")
    off.vitec.add(**ANNA | {"strategy": "Offices"})
    off.propstreet.add(reference=ADR, **ANNA | {"strategy": "Housing"})
    off.sync_up()
    on = refolded(off)
    [issued] = [d for d in on.decide() if isinstance(d, CommandIssued)]
    assert set(issued.want) == {"strategy"}
    assert [c.field for c in on.told(ConflictResolved)] == ["strategy"]


# 13. An operator restores a lost value


def lost(pair: Pair) -> ConflictResolved:
    """A conflict that Vitec won."""
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    [conflict] = pair.told(ConflictResolved)
    assert isinstance(conflict, ConflictResolved)
    return conflict


def test_13_what_lost_is_on_record_with_all_that_bringing_it_back_needs() -> None:
    pair = linked()
    conflict = lost(pair)
    assert (conflict.field, conflict.winner, conflict.winner_value) == ("first_name", VITEC, "Anne")
    assert (conflict.loser_value, conflict.loser_since) == ("Anni", START + timedelta(seconds=3))
    brought = {e.position: e.stream for e in pair.events}
    assert brought[conflict.winner_position].startswith("contact:vitec:")
    assert brought[conflict.loser_position].startswith("contact:propstreet:")


def test_13_a_restored_value_stays_after_the_next_decision_and_the_next_edit_elsewhere() -> None:
    pair = linked()
    assert isinstance(pair.restore(lost(pair)), Restored)
    assert pair.sync_up() == 2  # one write at each side
    assert pair.values("first_name") == ("Anni", "Anni")
    assert pair.entity.overrides == {}
    assert pair.agreed("first_name")
    pair.vitec.edit(last_name="Bergh")
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anni", "Anni")


def test_13_an_edit_after_the_restore_wins() -> None:
    pair = linked()
    pair.restore(lost(pair))
    pair.decide()
    pair.vitec.edit(first_name="Annika")  # our write to either side still waits
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")
    assert pair.entity.overrides == {}


def test_13_an_edit_after_the_restored_value_has_come_to_one_side_wins_over_it() -> None:
    pair = linked()
    pair.restore(lost(pair))
    pair.decide()
    under_way(pair, PROPSTREET).leave().succeed()
    pair.vitec.edit(first_name="Annika")
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")


@pytest.mark.parametrize("vendor", [VITEC, PROPSTREET])
def test_13_a_round_trip_on_either_side_is_an_edit_and_ends_the_restore(vendor: str) -> None:
    pair = linked()
    pair.restore(lost(pair))
    pair.desks[vendor].edit(first_name="Annika")
    pair.read(vendor)
    pair.desks[vendor].edit(first_name="Anne")
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")


def test_13_a_lost_value_that_is_typed_in_again_stays() -> None:
    pair = linked()
    lost(pair)
    pair.propstreet.edit(first_name="Anni")
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert len(conflicts(pair)) == 1


# 14. Two entities with one e-mail are created at the same time


def test_14_a_record_waits_for_the_create_that_may_be_about_it() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read(VITEC)
    pair.decide()
    assert pair.attempt(PROPSTREET) is not None
    pair.propstreet.add(**ANNA)  # a person was faster than our create
    pair.read(PROPSTREET)
    plan = pair.plan(pair.entity_of(PROPSTREET, KEY))
    assert plan.events == ()
    assert plan.wait_for == (pair.entity_of(VITEC, ADR).id,)


def test_14_a_create_that_was_not_sent_yet_gives_way_to_the_link() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read(VITEC)
    pair.decide()
    [issued] = pair.told(CommandIssued)
    pair.propstreet.add(**ANNA)
    pair.sync_up()
    assert [link.rule for link in pair.told(RecordsLinked)] == ["email"]
    assert issued.command in {s.command for s in pair.told(CommandSuperseded)}
    assert set(pair.propstreet.rows) == {KEY}
    assert set(pair.vitec.rows) == {ADR}


def test_14_after_the_vendor_refused_the_second_record_the_two_are_linked_and_not_created() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read(VITEC)
    pair.decide()
    creating = pair.attempt(PROPSTREET, pair.entity_of(VITEC, ADR))
    assert creating is not None
    pair.propstreet.add(**ANNA)
    pair.read(PROPSTREET)
    assert pair.decide() == []  # both sides wait for the create
    creating.fail(retry_at=pair.now)
    pair.sync_up()
    assert [link.rule for link in pair.told(RecordsLinked)] == ["email"]
    assert set(pair.propstreet.rows) == {KEY}
    assert set(pair.vitec.rows) == {ADR}


def test_14_of_two_contacts_with_one_address_the_second_is_held() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.sync_up()
    pair.vitec.add("ADR2", **ANNA | {"first_name": "Beata"})
    pair.sync_up()
    assert [held.reason for held in pair.told(EntityHeld)] == ["taken"]
    assert len(pair.propstreet.rows) == 1


# 15. A record merged away or kept after a delete links again by e-mail


def test_15_a_new_record_with_the_address_of_a_removed_one_is_held_and_not_linked() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.decide()
    assert [u.tombstone for u in pair.told(RecordsUnlinked)] == [True]
    pair.vitec.add("ADR2", **ANNA)
    pair.sync_up()
    assert [held.reason for held in pair.told(EntityHeld)] == ["tombstone"]
    assert len(pair.told(RecordsLinked)) == 1
    assert len(pair.propstreet.rows) == 1


def test_15_the_record_that_was_kept_is_not_created_again_at_the_other_vendor() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.decide()
    pair.propstreet.edit(first_name="Anne")
    assert pair.sync_up() == 0
    assert pair.vitec.rows == {}
    assert not pair.told(CommandIssued)


def test_15_a_record_has_at_most_one_live_link() -> None:
    pair = linked()
    pair.propstreet.add("790", reference=ADR, **ANNA | {"email": "second@example.se"})
    pair.sync_up()
    assert [held.reason for held in pair.told(EntityHeld)] == ["taken"]
    assert len(pair.told(RecordsLinked)) == 1


# 16. Tags or categories added by a person while ours are on their way


def test_16_a_tag_added_before_our_write_is_seen_and_kept() -> None:
    pair = linked()
    pair.propstreet.edit(tags=("investor", "vip"))
    pair.read(PROPSTREET)
    pair.decide()
    pair.vitec.edit(tags=("buyer", "investor"))
    assert pair.attempt(VITEC) is None  # the look right before the write sees it
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "investor", "vip"),) * 2


def test_16_a_tag_added_between_our_write_and_our_read_back_is_kept() -> None:
    pair = linked()
    pair.propstreet.edit(tags=("investor", "vip"))
    pair.read(PROPSTREET)
    pair.decide()
    writing = under_way(pair, VITEC).leave()
    pair.vitec.edit(tags=("buyer", "investor", "vip"))
    writing.succeed()
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "investor", "vip"),) * 2


def test_16_a_tag_added_while_our_patch_is_in_flight_is_kept() -> None:
    pair = linked()
    pair.vitec.edit(tags=("investor", "vip"))
    pair.read(VITEC)
    pair.decide()
    pair.propstreet.edit(tags=("buyer", "investor"))
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "investor", "vip"),) * 2


def test_16_a_tag_that_nobody_maps_stays_where_it_is() -> None:
    pair = linked()
    pair.propstreet.rows[KEY].labels = ("loud",)
    pair.propstreet.edit(first_name="Anne")
    pair.vitec.edit(tags=("investor", "vip"))
    pair.sync_up()
    body = pair.propstreet.payload().decode()
    assert '"tags":["investor","vip","loud"]' in body
    assert pair.vitec.value("tags") == ("investor", "vip")


# 17. Two equal notifications from Vitec


def test_17_each_of_two_equal_notifications_counts() -> None:
    pair = linked()
    pair.hint()
    first = pair.side(VITEC).need
    pair.hint()
    assert first is not None
    assert pair.side(VITEC).need == first + 1


def test_17_a_hint_is_met_only_by_a_read_that_started_after_it() -> None:
    pair = linked()
    pair.hint()
    glance = pair.glance(VITEC)
    pair.vitec.edit(first_name="Anne")
    pair.hint()
    glance.arrive(always=True)  # it left before the second hint: it may not have seen what that is about
    assert pair.side(VITEC).need is not None
    assert pair.decide() == []
    pair.fetch(VITEC)
    assert pair.side(VITEC).need is None
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")


def test_17_a_superseded_command_is_never_sent() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    pair.vitec.edit(first_name="Anni")
    pair.hint()
    pair.sync_up()
    stopped = {s.command for s in pair.told(CommandSuperseded)}
    sent = {e.command for e in pair.told(DECISIONS["CommandAttempted"])}
    assert stopped
    assert not stopped & sent
    assert not pair.told(CommandHeld)
