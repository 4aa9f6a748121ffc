"""The view of commands: the outbox, and what became of every write."""

from datetime import timedelta

import pytest

from daemon.domain.events import CommandFailed, CommandIssued, CommandUnknown, ConflictResolved
from daemon.domain.streams import PROPSTREET, VITEC
from projections.commands import OPEN, CommandRow
from projections.outbox import PUT_OFF
from tests.unit.pair import ADR, ANNA, KEY, TENANT, Pair, Writing, linked


def due() -> Pair:
    """A command waits for Propstreet."""
    pair = linked()
    pair.vitec.edit(first_name="Anne", last_name="Bergh")
    pair.read(VITEC)
    pair.decide()
    return pair


def under_way(pair: Pair) -> Writing:
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    return writing


def row(pair: Pair) -> CommandRow:
    """The newest command."""
    return list(pair.fold.commands.values())[-1]


def test_a_command_that_became_due_waits_in_the_outbox() -> None:
    pair = due()
    [issued] = pair.told(CommandIssued)
    assert row(pair) == CommandRow(
        tenant=TENANT,
        command=issued.command,
        entity=pair.entity.id,
        category="contact",
        target=PROPSTREET,
        record=KEY,
        fields=("first_name", "last_name"),
        state="pending",
        issued=pair.head,
        position=pair.head,
    )


def test_an_attempt_is_counted() -> None:
    pair = due()
    under_way(pair)
    assert (row(pair).state, row(pair).attempts, row(pair).position) == ("flying", 1, pair.head)


def test_a_write_that_went_well_is_done() -> None:
    pair = due()
    under_way(pair).leave().succeed()
    assert (row(pair).state, row(pair).record, row(pair).reason) == ("succeeded", KEY, None)


def test_a_create_learns_the_id_of_its_record() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read()
    pair.decide()
    assert row(pair).record is None
    pair.deliver(PROPSTREET)
    assert (row(pair).state, row(pair).record) == ("succeeded", "NEW1")


def test_a_failure_that_passes_waits_until_its_time_and_counts_on() -> None:
    pair = due()
    later = pair.now + timedelta(minutes=5)
    under_way(pair).fail(retry_at=later)
    assert (row(pair).state, row(pair).due_at, row(pair).reason) == ("pending", later, "Stale")
    under_way(pair)
    assert (row(pair).state, row(pair).due_at, row(pair).attempts) == ("flying", None, 2)


@pytest.mark.parametrize("reason", sorted(PUT_OFF))
def test_a_vendor_that_puts_us_off_costs_no_attempt(reason: str) -> None:
    pair = due()
    for _ in range(3):
        writing = under_way(pair)
        assert row(pair).attempts == 1
        pair.now += timedelta(minutes=1)
        pair.tell(CommandFailed(writing.pending.command, reason, 429, pair.now))
        assert (row(pair).state, row(pair).attempts, row(pair).status) == ("pending", 0, 429)
        assert pair.entity.pending[PROPSTREET].attempts == 0
        assert pair.entity.failures == {}


def test_a_write_that_met_an_edit_is_over_and_is_decided_anew() -> None:
    pair = due()
    under_way(pair).fail(read_again=True)
    assert row(pair).state == "failed"
    assert row(pair).state not in OPEN


def test_an_update_whose_outcome_is_unknown_is_over_and_its_record_is_read() -> None:
    pair = due()
    under_way(pair).lose()
    assert row(pair).state == "failed"
    assert not pair.entity.pending


def test_a_create_whose_outcome_is_unknown_stays_in_the_outbox_and_looks_again() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read()
    pair.decide()
    writing = under_way(pair)
    at = pair.now + timedelta(seconds=7)
    pair.tell(CommandUnknown(writing.pending.command, "UnknownOutcome", at))
    assert (row(pair).state, row(pair).due_at) == ("unknown", at)
    assert row(pair).state in OPEN
    assert pair.attempt(PROPSTREET) is not None


def test_a_refused_write_is_dead_with_the_names_of_its_fields() -> None:
    pair = due()
    under_way(pair).refuse()
    assert (row(pair).state, row(pair).reason) == ("dead", "phone")


def test_a_held_field_is_shown_with_its_reason_and_the_way_out() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="A" * 31)
    pair.read(PROPSTREET)
    pair.decide()
    assert (row(pair).state, row(pair).reason, row(pair).fields) == ("held", "too_long", ("first_name",))
    assert row(pair).record == ADR
    assert row(pair).detail


def test_a_command_that_was_overtaken_is_superseded() -> None:
    pair = due()
    pair.vitec.edit(first_name="Anni")
    pair.read(VITEC)
    pair.decide()
    assert [r.state for r in pair.fold.commands.values()] == ["superseded", "pending"]


def test_an_outcome_of_a_command_that_nobody_knows_makes_no_row() -> None:
    pair = linked()
    pair.tell(CommandFailed("unheard-of", "Retryable"))
    assert pair.fold.commands == {}
    assert pair.entity.pending == {}


def test_no_value_stands_in_the_outbox() -> None:
    pair = due()
    assert "Anne" not in str(row(pair))


@pytest.mark.parametrize("winner", [VITEC, PROPSTREET])
def test_a_lost_value_stands_in_the_view_of_conflicts(winner: str) -> None:
    pair = linked()
    names = {VITEC: "Anne", PROPSTREET: "Anni"}
    for vendor in sorted(names, key=lambda vendor: vendor == winner):
        pair.desks[vendor].edit(first_name=names[vendor])
        pair.later(60)
    pair.fold.change()
    pair.sync_up()
    [shown] = pair.fold.change().insert["conflicts"]
    [conflict] = pair.told(ConflictResolved)
    loser = VITEC if winner == PROPSTREET else PROPSTREET
    assert (shown.conflict, shown.winner, shown.loser) == (conflict.conflict, winner, loser)  # type: ignore[union-attr]
    assert (shown.winner_value, shown.loser_value) == (names[winner], names[loser])  # type: ignore[union-attr]
    assert shown.position < pair.head  # type: ignore[union-attr]
