"""Brakes: so much at once is rather a fault than anybody's will. All of it is recorded, and nothing follows from it."""

from typing import Any

import msgspec
import pytest

from daemon.domain.events import (
    BatchHeld,
    BatchReleased,
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    EntityHeld,
    EntityReleased,
    RecordsUnlinked,
)
from daemon.domain.settings import Brake, OnDelete
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.policies.brakes import CHANGES, OSCILLATION, Vanished, changes, held, limit, weigh
from projections.batches import BatchRow
from projections.fold import rules_of
from projections.removals import undecided
from tests.unit.pair import ADR, ANNA, KEY, OPTIONS, SYNC, TENANT, Pair, linked

FEW = msgspec.structs.replace(SYNC, delete_brake=Brake(count=2, percent=1.0))


def crowd(people: int, **pair: Any) -> Pair:
    """So many contacts who are linked and agree on everything."""
    crowded = Pair(**{"sync": FEW} | pair)
    for n in range(people):
        names = ANNA | {"email": f"nr{n}@example.no", "first_name": f"Nr {n}", "phone": None}
        crowded.vitec.add(f"ADR{n:032d}", **names)
        crowded.propstreet.add(str(1000 + n), reference=f"ADR{n:032d}", **names)
    assert crowded.sync_up() == 0
    crowded.awaits_polls = True
    return crowded


def vanish(pair: Pair, people: int) -> None:
    """So many of them are gone at Vitec, and each was asked for."""
    for record in list(pair.vitec.rows)[:people]:
        pair.vitec.remove(record)
        pair.confirm_gone(VITEC, record)


def come_back(pair: Pair, people: int) -> None:
    """They can be read again, as they were."""
    for n in range(people):
        names = ANNA | {"email": f"nr{n}@example.no", "first_name": f"Nr {n}", "phone": None}
        pair.vitec.add(f"ADR{n:032d}", **names)
    pair.read(VITEC)


# Removals


def test_a_brake_is_a_count_or_a_share_whichever_lets_more_go() -> None:
    assert [limit(Brake(count=10, percent=1.0), linked) for linked in (0, 999, 1000, 5000)] == [
        10,
        10,
        10,
        50,
    ]


def test_a_removal_waits_for_a_poll_that_is_sent_after_it() -> None:
    pair = crowd(4)
    vanish(pair, 1)
    assert pair.decide() == []
    pair.polled[VITEC] = pair.head - 1
    assert pair.decide() == []
    pair.polled[VITEC] = pair.head
    assert [type(each) for each in pair.decide()] == [RecordsUnlinked]


def test_more_removals_than_the_brake_lets_go_are_all_held() -> None:
    pair = crowd(6)
    vanish(pair, 3)
    pair.read()
    assert pair.decide() == []
    [batch] = pair.told(BatchHeld)
    assert (batch.kind, batch.vendor, batch.category, batch.count, batch.limit) == (
        "removals",
        VITEC,
        "contact",
        3,
        2,
    )
    assert f"toveis release {batch.batch}" in batch.detail


def test_a_later_removal_joins_those_that_are_held() -> None:
    pair = crowd(6)
    vanish(pair, 3)
    pair.decide()
    vanish(pair, 1)
    pair.polled[VITEC] = pair.head
    assert pair.decide() == []
    assert len(pair.told(BatchHeld)) == 1


def test_a_few_removals_wait_while_others_that_may_be_gone_are_asked_for() -> None:
    pair = crowd(6)
    asked = list(pair.vitec.rows)[2:5]
    for record in asked:
        pair.hint(record)
    vanish(pair, 2)
    pair.polled[VITEC] = pair.head
    assert pair.decide() == []
    pair.fetch(VITEC)
    assert [type(each) for each in pair.decide()] == [RecordsUnlinked, RecordsUnlinked]
    assert pair.told(BatchHeld) == []


def test_released_removals_go_their_way_and_later_ones_count_anew() -> None:
    pair = crowd(8)
    vanish(pair, 3)
    pair.decide()
    [batch] = pair.told(BatchHeld)
    pair.of_batch(BatchReleased(batch.batch, "meant so", "kari"))
    assert [type(each) for each in pair.decide()] == [RecordsUnlinked] * 3
    vanish(pair, 3)
    assert pair.decide() == []
    assert len({each.batch for each in pair.told(BatchHeld)} | {batch.batch}) == 2


def test_records_that_come_back_end_the_hold_and_everything_goes_on_as_before() -> None:
    pair = crowd(6)
    vanish(pair, 3)
    pair.decide()
    bases = [entity.base for entity in pair.fold.entities.by_id.values()]
    come_back(pair, 3)
    assert pair.decide() == []
    assert [each.reason for each in pair.told(BatchReleased)] == ["nothing of it is left"]
    assert [entity.base for entity in pair.fold.entities.by_id.values()] == bases
    pair.vitec.edit(f"ADR{1:032d}", strategy="Ny plan")
    assert pair.sync_up() == 1
    vanish(pair, 1)
    pair.polled[VITEC] = pair.head
    assert [type(each) for each in pair.decide()] == [RecordsUnlinked]


def test_a_removal_at_propstreet_is_braked_as_well() -> None:
    pair = crowd(6)
    for record in list(pair.propstreet.rows)[:3]:
        pair.propstreet.remove(record)
    pair.read()
    assert pair.decide() == []
    assert [each.vendor for each in pair.told(BatchHeld)] == [PROPSTREET]


def test_what_is_unlinked_counts_for_nothing() -> None:
    pair = Pair(sync=FEW)
    for n in range(4):
        pair.vitec.add(f"ADR{n:032d}", **ANNA | {"email": f"nr{n}@example.no"})
    pair.read()
    vanish(pair, 4)
    pair.decide()
    assert pair.told(BatchHeld) == []


def test_a_removal_is_undecided_until_something_followed_from_it() -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, on_delete=OnDelete(contacts="hold")))
    assert undecided(pair.entity, VITEC) is None
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert undecided(pair.entity, VITEC) == pair.side(VITEC).gone
    pair.decide()
    assert pair.entity.hold is not None
    assert undecided(pair.entity, VITEC) is None


def test_a_removal_that_is_confirmed_twice_is_as_old_as_the_first() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    first = pair.side(VITEC).gone
    pair.confirm_gone(VITEC)
    assert (pair.side(VITEC).gone, pair.head > (first or 0)) == (first, True)


def test_a_hold_of_removals_holds_no_other_category() -> None:
    rows = [BatchRow(TENANT, "bat-1", "removals", VITEC, "contact", 3, 2, "", 7)]
    kinds = {(VITEC, "contact"): Vanished(3, 0, 9), (VITEC, "company"): Vanished(1, 0, 9)}
    brakes, decided = weigh(TENANT, rows, kinds, Brake(count=2, percent=1.0))
    assert brakes.waiting == {(VITEC, "contact")}
    assert decided == []


@pytest.mark.parametrize("direction", ["off", "to_vitec", "to_propstreet"])
def test_a_narrower_direction_removes_nothing(direction: Any) -> None:
    pair = linked()
    pair.sync = msgspec.structs.replace(SYNC, contacts=direction)
    pair.vitec.edit(last_name="Ek")
    pair.read()
    decided = pair.decide()
    assert all(isinstance(each, CommandIssued) and "removed" not in each.want for each in decided)
    assert pair.entity.tombstone is None


# Changes


def held_change(pair: Pair, batch: str = "bat-1", vendor: str = VITEC) -> None:
    """What the poll of a held batch found of a record."""
    pair.of_batch(held(batch, CHANGES, (vendor, "contact"), 201, 200))
    pair.append(
        [
            pair.as_read(
                vendor,
                ADR if vendor == VITEC else KEY,
                pair.desk(vendor).payload(),
                pair.head,
                "poll",
                batch=batch,
            )
        ]
    )


def test_what_a_held_batch_changed_is_recorded_and_not_acted_on() -> None:
    pair = linked()
    pair.vitec.edit(last_name="Ek")
    held_change(pair)
    assert pair.shadow(VITEC, "last_name").value == "Ek"
    pair.read()
    assert pair.decide() == []


def test_later_edits_of_what_is_held_wait_too_at_either_side() -> None:
    pair = linked()
    pair.vitec.edit(last_name="Ek")
    held_change(pair)
    pair.propstreet.edit(strategy="Ny plan")
    pair.vitec.edit(first_name="Kari")
    pair.read()
    assert pair.decide() == []
    pair.of_batch(BatchReleased("bat-1", "meant so", "kari"))
    assert pair.sync_up() == 2
    assert [pair.values(f)[0] == pair.values(f)[1] for f in ("last_name", "first_name", "strategy")] == [
        True
    ] * 3


def test_a_command_that_waits_is_taken_back_when_a_held_batch_changes_its_entity() -> None:
    pair = linked()
    pair.propstreet.edit(strategy="Ny plan")
    pair.read()
    [issued] = pair.decide()
    assert isinstance(issued, CommandIssued)
    pair.vitec.edit(last_name="Ek")
    held_change(pair)
    assert [type(each) for each in pair.decide()] == [CommandSuperseded]
    assert pair.entity.pending == {}


def test_an_echo_and_a_reshape_are_no_change() -> None:
    pair = linked()
    rules = rules_of(VITEC, "contact", OPTIONS)
    assert not changes(pair.entity, VITEC, {"phone": "070-174 06 05", "last_name": "Berg"}, rules)
    assert changes(pair.entity, VITEC, {"last_name": "Ek"}, rules)
    pair.propstreet.edit(last_name="Ek")
    pair.read()
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    assert not changes(pair.entity, VITEC, {"last_name": "Ek"}, rules)


# Oscillation


class Machine:
    """Something that puts one field at either side back to a value of its own each time somebody else writes it."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def swing(self, times: int) -> list[Any]:
        """So many writes of ours that it undoes; what was decided at the end."""
        decided: list[Any] = []
        for n in range(times):
            vendor = (VITEC, PROPSTREET)[n % 2]
            self.pair.desk(vendor).edit(last_name=("Ek", "Berg")[n % 2])
            self.pair.read()
            self.pair.decide()
            for target in list(self.pair.entity.pending):
                self.pair.deliver(target)
            decided = self.pair.decide()
            if any(isinstance(each, EntityHeld) for each in decided):
                break
        return decided


def test_our_own_writes_that_bring_back_a_value_again_and_again_end_in_quarantine() -> None:
    pair = linked()
    [told] = Machine(pair).swing(40)
    assert isinstance(told, EntityHeld)
    assert told.reason == OSCILLATION
    assert "last_name at" in told.detail
    assert "Berg" not in told.detail
    assert f"toveis release {pair.entity.id}" in told.detail
    pair.vitec.edit(first_name="Kari")
    pair.read()
    assert pair.decide() == []


def test_three_returns_in_ten_minutes_are_somebodys_changes_of_mind() -> None:
    pair = linked()
    Machine(pair).swing(8)
    assert pair.told(EntityHeld) == []
    assert max(len(t.returns) for s in pair.entity.sides.values() for t in s.turns.values()) == 3


def test_returns_that_lie_far_apart_do_not_count_together() -> None:
    pair = linked()
    for _ in range(20):
        Machine(pair).swing(2)
        pair.later(300)
    assert pair.told(EntityHeld) == []


def test_new_values_are_no_returns() -> None:
    pair = linked()
    for n in range(12):
        pair.vitec.edit(last_name=f"Ek {n}")
        assert pair.sync_up() == 1
    assert pair.told(EntityHeld) == []


def test_an_operators_release_counts_anew() -> None:
    pair = linked()
    Machine(pair).swing(40)
    pair.tell(EntityReleased(pair.entity.id, "released"))
    assert pair.sync_up() <= 1
    assert pair.entity.hold is None
    [told] = Machine(pair).swing(40)
    assert isinstance(told, EntityHeld)
    assert len({each.fingerprint for each in pair.told(EntityHeld)}) == 2


def test_what_is_remembered_of_a_field_is_bounded() -> None:
    pair = linked()
    for n in range(30):
        pair.vitec.edit(last_name=f"Ek {n}")
        pair.sync_up()
    turns = pair.side(PROPSTREET).turns["last_name"]
    assert (len(turns.held), turns.returns) == (8, ())


# Observe mode


def test_in_observe_mode_too_many_removals_are_held_and_none_goes_when_it_ends() -> None:
    pair = crowd(6)
    pair.mode = "observe"
    vanish(pair, 3)
    pair.read()
    assert pair.decide() == []
    pair.mode = "live"
    assert pair.decide() == []
    assert len(pair.told(BatchHeld)) == 1


def test_going_live_decides_anew_under_the_brakes() -> None:
    pair = linked(mode="observe")
    pair.vitec.edit(last_name="Ek")
    pair.read()
    assert [type(each) for each in pair.decide()] == [CommandHeld]
    pair.vitec.edit(last_name="Lind")
    held_change(pair)
    pair.mode = "live"
    assert pair.decide() == []
    pair.of_batch(BatchReleased("bat-1", "meant so", "kari"))
    assert [type(each) for each in pair.decide()] == [CommandSuperseded, CommandIssued]
