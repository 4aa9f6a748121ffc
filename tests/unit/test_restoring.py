"""An operator brings a lost value back: the override, what it writes, what holds it up, and what ends it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from daemon.cli.stories import Story
from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    ConflictResolved,
    RecordsUnlinked,
)
from daemon.domain.settings import Direction
from daemon.domain.streams import PROPSTREET, VITEC, other
from daemon.policies.plan import Refused
from daemon.policies.restoring import Restored, Settled
from daemon.policies.syncing import RESTORED
from projections.views import Fold
from tests.unit.pair import OPTIONS, SYNC, TENANT, Pair, Writing, linked
from tests.unit.test_joining import interested

BOTH = pytest.mark.parametrize("target", [VITEC, PROPSTREET])


def lost(pair: Pair, winner: str = VITEC, **fields: Any) -> ConflictResolved:
    """A conflict that one side won; by default Propstreet's Anni lost to Vitec's Anne."""
    [(field, (lose, win))] = (fields or {"first_name": ("Anni", "Anne")}).items()
    pair.desks[other(winner)].edit(**dict[str, Any]({field: lose}))
    pair.desks[winner].edit(**dict[str, Any]({field: win}))
    pair.sync_up()
    conflict = pair.told(ConflictResolved)[-1]
    assert isinstance(conflict, ConflictResolved)
    assert (conflict.winner, conflict.loser_value) == (winner, lose)
    return conflict


def restored() -> Pair:
    """Anni was brought back, and nothing is decided yet."""
    pair = linked()
    assert isinstance(pair.restore(lost(pair)), Restored)
    return pair


def under_way(pair: Pair, target: str) -> Writing:
    writing = pair.attempt(target)
    assert writing is not None
    return writing


def rows(pair: Pair) -> dict[str, list[Any]]:
    """Every row of every view, after a fold of the whole log from nothing."""
    fresh = Fold(TENANT, pair.options)
    fresh.evolve(pair.events)
    change: dict[str, list[Any]] = fresh.change().insert
    return change


# What is put on record


def test_a_restore_is_the_conflict_turned_round_with_who_did_it_and_what_was_seen() -> None:
    pair = linked()
    conflict = lost(pair)
    seen = pair.entity.places("first_name")
    pair.restore(conflict)
    word = pair.told(ConflictResolved)[-1]
    assert (word.winner, word.winner_value, word.loser_value) == (PROPSTREET, "Anni", "Anne")
    assert (word.rule, word.restores, word.by, word.seen) == (RESTORED, conflict.conflict, "kari", seen)
    assert pair.events[-1].origin == "operator"
    assert word.conflict != conflict.conflict


def test_a_restore_is_told_with_who_did_it() -> None:
    pair = restored()
    line = Story(OPTIONS).line(pair.events[-1])
    assert line.summary == "kari brought back first name Propstreet's Anni in place of Vitec's Anne"


def test_a_restore_that_is_typed_twice_is_one_event() -> None:
    pair = linked()
    conflict = lost(pair)
    pair.restore(conflict)
    head = pair.head
    assert isinstance(pair.restore(conflict), Settled)
    pair.sync_up()
    assert isinstance(pair.restore(conflict), Settled)
    assert len([c for c in pair.told(ConflictResolved) if c.restores]) == 1
    assert head < pair.head


def test_a_restore_can_be_restored() -> None:
    pair = restored()
    pair.sync_up()
    word = pair.told(ConflictResolved)[-1]
    assert isinstance(pair.restore(word), Restored)
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")


def test_of_two_restores_the_last_counts_also_when_it_is_the_first_one_again() -> None:
    pair = linked()
    anni = lost(pair)
    annika = lost(pair, first_name=("Annika", "Anna"))
    for conflict in (anni, annika, anni):
        assert isinstance(pair.restore(conflict), Restored)
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_a_restore_of_what_stands_now_takes_back_one_that_is_on_its_way() -> None:
    pair = restored()
    word = pair.told(ConflictResolved)[-1]
    pair.decide()
    assert isinstance(pair.restore(word), Restored)
    assert pair.sync_up() == 0
    assert pair.values("first_name") == ("Anne", "Anne")
    assert not pair.entity.pending


# What is refused


def test_a_value_that_is_there_already_is_not_brought_back() -> None:
    pair = linked()
    conflict = lost(pair)
    pair.propstreet.edit(first_name="Anni")
    pair.sync_up()
    head = pair.head
    assert pair.restore(conflict) == Settled("the value is there already")
    assert pair.head == head


def test_what_is_no_longer_linked_is_refused() -> None:
    pair = linked()
    conflict = lost(pair)
    pair.tell(RecordsUnlinked(pair.entity.id, "gone"))
    assert isinstance(pair.restore(conflict), Refused)


def test_a_field_that_is_no_longer_carried_is_refused() -> None:
    pair = linked()
    conflict = lost(pair)
    for vendor in (VITEC, PROPSTREET):
        del pair.side(vendor).shadow["first_name"]
    assert isinstance(pair.restore(conflict), Refused)


def test_a_category_that_is_switched_off_is_refused() -> None:
    pair = linked()
    conflict = lost(pair)
    pair.sync = msgspec.structs.replace(SYNC, contacts="off")
    assert isinstance(pair.restore(conflict), Refused)


@pytest.mark.parametrize(("way", "target"), [("to_propstreet", PROPSTREET), ("to_vitec", VITEC)])
def test_in_one_direction_the_target_alone_gets_it_and_keeps_it(way: Direction, target: str) -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, contacts=way))
    conflict = lost(pair, winner=other(target))
    verdict = pair.restore(conflict)
    assert isinstance(verdict, Restored)
    assert verdict.targets == (target,)
    assert pair.sync_up() == 1
    assert pair.desks[target].value("first_name") == "Anni"
    assert pair.desks[other(target)].value("first_name") == "Anne"
    assert pair.restore(conflict) == Settled("the value is there already")
    pair.desks[other(target)].edit(first_name="Annika")
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")


# What it writes


def test_a_restore_before_the_winner_was_carried_over_keeps_the_loser_where_it_is() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.read()
    pair.decide()
    [conflict] = pair.told(ConflictResolved)
    pair.restore(conflict)
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anni", "Anni")
    assert pair.told(CommandSuperseded)


def test_what_was_decided_before_the_restore_is_not_sent_any_more() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.read()
    pair.decide()
    [conflict] = pair.told(ConflictResolved)
    pair.restore(conflict)
    assert pair.attempt(PROPSTREET) is None
    pair.decide()
    pair.restore(pair.told(ConflictResolved)[-1])  # on second thoughts
    assert pair.attempt(VITEC) is None
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")


def test_a_restore_on_a_first_link_needs_no_base() -> None:
    pair = Pair()
    pair.vitec.add(first_name="Anna", last_name="Berg", email="anna@example.se")
    pair.propstreet.add(first_name="Anni", last_name="Berg", email="anna@example.se")
    pair.sync_up()
    [conflict] = pair.told(ConflictResolved)
    assert conflict.loser_value == "Anna"
    pair.restore(conflict)
    pair.sync_up()
    assert pair.values("first_name") == ("Anna", "Anna")


def test_a_third_value_that_the_restore_overwrites_is_on_record_too() -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, contacts="to_propstreet"))
    conflict = lost(pair)
    pair.propstreet.edit(first_name="Annika")  # drift
    pair.sync_up()
    pair.restore(conflict)
    pair.sync_up()
    assert pair.propstreet.value("first_name") == "Anni"
    last = pair.told(ConflictResolved)[-1]
    assert (last.loser_value, last.rule, last.restores) == ("Annika", RESTORED, None)


@BOTH
def test_a_crash_between_the_two_writes_loses_nothing(target: str) -> None:
    pair = restored()
    pair.decide()
    under_way(pair, target).leave().succeed()
    assert rows(pair)["entities"][0].state == pair.entity
    assert pair.entity.overrides["first_name"].met == (target,)
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert pair.entity.overrides == {}


@BOTH
def test_a_lost_answer_is_settled_by_a_read_that_meets_the_restore(target: str) -> None:
    pair = restored()
    pair.decide()
    under_way(pair, target).leave().lose()
    pair.fetch(target)
    assert pair.entity.overrides["first_name"].met == (target,)
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


@BOTH
def test_a_write_that_never_landed_is_sent_again(target: str) -> None:
    pair = restored()
    pair.decide()
    under_way(pair, target).lose()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_an_edit_between_the_restoring_write_and_its_read_back_wins() -> None:
    pair = restored()
    pair.decide()
    writing = under_way(pair, VITEC).leave()
    pair.vitec.edit(first_name="Annika")
    writing.succeed()
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")


def test_a_restore_while_our_own_write_of_the_field_is_under_way_survives_it() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.read()
    pair.decide()
    [conflict] = pair.told(ConflictResolved)
    writing = under_way(pair, PROPSTREET).leave()
    pair.restore(conflict)
    writing.succeed()
    assert pair.entity.overrides["first_name"].met == ()
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_a_late_write_of_ours_that_lands_on_the_restored_value_is_mended() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anni")
    pair.vitec.edit(first_name="Anne")
    pair.read()
    pair.decide()
    [conflict] = pair.told(ConflictResolved)
    late = under_way(pair, PROPSTREET)
    late.lose()
    pair.fetch(PROPSTREET)
    pair.restore(conflict)
    pair.decide()
    pair.deliver(VITEC)
    pair.propstreet.take("789", late.patch)  # it arrives after all
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_what_a_write_of_unknown_outcome_may_have_overwritten_can_be_brought_back() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    under_way(pair, PROPSTREET).leave().lose()
    pair.propstreet.edit(first_name="Anna")  # a person puts the old value back
    pair.sync_up()
    [doubt] = pair.told(ConflictResolved)
    assert (doubt.rule, pair.values("first_name")) == ("doubt", ("Anne", "Anne"))
    pair.restore(doubt)
    pair.sync_up()
    assert pair.values("first_name") == ("Anna", "Anna")


def test_in_observe_mode_a_restore_is_held_and_written_once_the_mode_is_live() -> None:
    pair = restored()
    pair.mode = "observe"
    assert pair.sync_up() == 0
    assert {held.target for held in pair.told(CommandHeld)} == {VITEC, PROPSTREET}
    pair.mode = "live"
    assert pair.sync_up() == 2
    assert pair.values("first_name") == ("Anni", "Anni")


# What a side makes of it


LONG = "Anna-Lisa Margareta Elisabet Kristina"


def test_what_vitec_cannot_hold_is_held_there_and_stays_at_propstreet() -> None:
    pair = linked()
    pair.propstreet.edit(first_name=LONG)
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    [conflict] = pair.told(ConflictResolved)
    pair.restore(conflict)
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anne", LONG)
    assert [held.reason for held in pair.told(CommandHeld)] == ["too_long"]
    pair.vitec.edit(last_name="Bergh")
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", LONG)
    assert len(pair.told(CommandHeld)) == 1
    pair.vitec.edit(first_name="Annika")
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")
    assert not pair.entity.blocked


def test_a_field_that_was_refused_is_tried_again_with_the_value_that_is_brought_back() -> None:
    pair = linked()
    conflict = lost(pair, winner=PROPSTREET)
    pair.vitec.edit(first_name="Bad")
    pair.read(VITEC)
    pair.decide()
    under_way(pair, PROPSTREET).refuse()
    pair.restore(conflict)
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")
    assert not pair.entity.blocked


def test_a_form_that_a_vendor_gives_the_restored_value_is_no_edit() -> None:
    pair = linked()
    conflict = lost(pair, first_name=("Anna  Lisa", "Anne"))
    pair.vitec.keeps = lambda _, value: " ".join(value.split()) if isinstance(value, str) else value
    pair.restore(conflict)
    assert pair.sync_up() == 2
    assert pair.values("first_name") == ("Anna Lisa", "Anna  Lisa")
    assert pair.sync_up() == 0


def test_a_class_that_was_brought_back_is_written_by_its_word_and_a_finer_level_stays() -> None:
    pair = interested("Interested", "interested")
    pair.propstreet.edit(classification="bidder")
    pair.vitec.edit(level="NotInterested")
    pair.sync_up()
    conflict = pair.told(ConflictResolved)[-1]
    assert conflict.loser_value == "bidder"
    pair.vitec.edit(level="VeryInterested")
    pair.sync_up()
    pair.restore(conflict)
    pair.sync_up()
    assert pair.vitec.value("level") == "ParticipateInBidding"
    assert pair.propstreet.value("classification") == "bidder"
    word = pair.told(ConflictResolved)[-1]
    pair.restore(word)
    pair.sync_up()
    assert (pair.vitec.value("level"), pair.propstreet.value("classification")) == (
        "Interested",
        "interested",
    )


def test_a_protected_level_is_not_overwritten_by_a_restore_either() -> None:
    pair = interested("Interested", "interested")
    pair.propstreet.edit(classification="not_interested")
    pair.vitec.edit(level="Reserved")
    pair.sync_up()
    conflict = pair.told(ConflictResolved)[-1]
    pair.restore(conflict)
    pair.sync_up()
    assert pair.vitec.value("level") == "Reserved"
    assert pair.propstreet.value("classification") == "not_interested"
    assert "protected" in {held.reason for held in pair.told(CommandHeld)}


def test_tags_come_back_whole_and_what_is_added_afterwards_is_merged_again() -> None:
    pair = linked()
    pair.vitec.edit(tags=("investor", "vip"))
    pair.read(VITEC)
    pair.decide()
    under_way(pair, PROPSTREET).leave().lose()
    pair.propstreet.edit(tags=("investor",))
    pair.sync_up()
    [doubt] = pair.told(ConflictResolved)
    assert (doubt.field, doubt.loser_value) == ("tags", ("investor",))
    assert pair.values("tags") == (("investor", "vip"),) * 2
    pair.restore(doubt)
    pair.sync_up()
    assert pair.values("tags") == (("investor",),) * 2
    pair.propstreet.edit(tags=("buyer", "investor"))
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "investor"),) * 2


# What ends it


def test_another_spelling_by_a_vendor_does_not_end_it() -> None:
    pair = restored()
    pair.vitec.edit(first_name="Anne ")
    pair.read(VITEC)
    assert "first_name" in pair.entity.overrides
    pair.sync_up()
    assert pair.values("first_name") == ("Anni", "Anni")


def test_a_link_that_is_closed_ends_it() -> None:
    pair = restored()
    pair.tell(RecordsUnlinked(pair.entity.id, "gone"))
    assert pair.entity.overrides == {}


@pytest.mark.parametrize(
    "happens",
    [
        lambda pair: None,
        lambda pair: pair.decide(),
        lambda pair: (pair.decide(), pair.deliver(VITEC)),
        lambda pair: pair.sync_up(),
        lambda pair: (pair.vitec.edit(first_name="Annika"), pair.sync_up()),
    ],
)
def test_a_rebuild_knows_it_as_the_live_fold_does(happens: Callable[[Pair], Any]) -> None:
    pair = restored()
    happens(pair)
    [row] = rows(pair)["entities"]
    assert row.state == pair.entity
    assert msgspec.json.decode(msgspec.json.encode(row.state), type=type(row.state)) == pair.entity
    marked = {row.restores: row.by for row in rows(pair)["conflicts"]}
    assert marked[pair.told(ConflictResolved)[0].conflict] == "kari"


def test_a_restore_that_was_overtaken_on_its_way_to_the_log_changes_nothing() -> None:
    pair = linked()
    conflict = lost(pair)
    word = ConflictResolved(
        "late", pair.entity.id, "first_name", PROPSTREET, "Anni", pair.now, 1, "Anne", None, 1, RESTORED
    )
    seen = pair.entity.places("first_name")
    pair.vitec.edit(first_name="Annika")
    pair.read(VITEC)
    pair.tell(msgspec.structs.replace(word, restores=conflict.conflict, by="kari", seen=seen))
    assert pair.entity.overrides == {}
    issued = pair.told(CommandIssued)
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")
    assert len(pair.told(CommandIssued)) == len(issued) + 1
