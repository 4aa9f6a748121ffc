"""Leads: one command brings one to Vitec, and whatever becomes of it, there is never a second."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.domain.events import (
    LEAD_RECEIVED,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandHeld,
    CommandIssued,
    CommandSucceeded,
    CommandUnknown,
    Decision,
    NewEvent,
    Reading,
    encode,
)
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import LEAD, VITEC, derived_id, entity_stream
from daemon.policies.leading import WHOLE
from daemon.policies.plan import NOTHING
from daemon.policies.syncing import still_due
from projections.commands import OPEN
from projections.entity import Entity
from projections.leads import LeadRow, lead_row
from tests.unit.pair import ANNA, TENANT, Pair

SAMPLE = (Path(__file__).parents[1] / "payloads/leads/realai_lead.json").read_bytes()


def received(kind: str = "lead", body: bytes = SAMPLE, **settings: Any) -> Pair:
    """A tenant with one lead."""
    pair = Pair(**settings)
    take_in(pair, kind, body)
    return pair


def take_in(pair: Pair, kind: str = "lead", body: bytes = SAMPLE, path: dict[str, str] | None = None) -> str:
    """A lead comes in; the id of its entity."""
    lead = derived_id(TENANT, LEAD, kind, str(pair.head))
    meta = encode(Reading(via="lead", kind=kind, query=path))
    stream = entity_stream(LEAD, str(lead))
    pair.append([NewEvent(lead, stream, LEAD_RECEIVED, LEAD, pair.later(1), body, lead, None, meta)])
    return str(lead)


def leads(pair: Pair) -> list[Entity]:
    return [entity for entity in pair.fold.entities.by_id.values() if entity.category == LEAD]


def lead_of(pair: Pair) -> Entity:
    [lead] = leads(pair)
    return lead


def state(pair: Pair) -> str:
    row: LeadRow = lead_row(TENANT, lead_of(pair))
    return row.state


def outcome(pair: Pair, *decisions: Decision) -> None:
    lead = lead_of(pair)
    pair.append([pair.ours(lead, decision) for decision in decisions])


def sent(pair: Pair) -> str:
    """Its command was issued and has left; the command's id."""
    pair.decide()
    [issued] = pair.told(CommandIssued)
    outcome(pair, CommandAttempted(issued.command, 1))
    command: str = issued.command
    return command


def test_a_lead_makes_one_command_for_vitec_that_stands_for_all_of_it() -> None:
    pair = received()
    assert [type(decision) for decision in pair.decide()] == [CommandIssued]
    [issued] = pair.told(CommandIssued)
    assert (issued.category, issued.target, issued.record) == (LEAD, VITEC, None)
    assert issued.want.keys() == {WHOLE}
    assert issued.want[WHOLE].source_position == lead_of(pair).seen
    assert state(pair) == "waiting"


def test_a_lead_waits_for_no_poll_and_for_no_release() -> None:
    pair = received(sync=SyncSettings(first_sync="wait"))
    pair.ready = False
    assert len(pair.decide()) == 1


def test_directions_of_contacts_do_not_hinder_a_lead() -> None:
    pair = received(sync=SyncSettings(contacts="off", companies="off", projects="off", prospects="off"))
    assert len(pair.decide()) == 1


def test_a_lead_that_waits_to_be_sent_or_is_on_its_way_makes_no_second_command() -> None:
    pair = received()
    pair.decide()
    assert pair.plan(lead_of(pair)) == NOTHING
    sent(pair)
    assert pair.plan(lead_of(pair)) == NOTHING
    assert state(pair) == "sending"


@pytest.mark.parametrize("record", ["LEA11385_5", ""])
def test_a_lead_that_vitec_took_is_done_whether_or_not_vitec_named_it(record: str) -> None:
    pair = received()
    outcome(pair, CommandSucceeded(sent(pair), record))
    assert pair.plan(lead_of(pair)) == NOTHING
    assert state(pair) == "sent"
    row = lead_row(TENANT, lead_of(pair))
    assert row.vitec_id == (record or None)


def test_a_lead_that_vitec_refused_is_not_sent_again() -> None:
    pair = received()
    outcome(pair, CommandDeadLettered(sent(pair), "typeId", 400))
    assert pair.plan(lead_of(pair)) == NOTHING
    assert state(pair) == "held"


def test_a_lead_that_vitec_could_not_take_whole_is_held_and_not_sent_again() -> None:
    pair = received()
    pair.decide()
    lead, [issued] = lead_of(pair), pair.told(CommandIssued)
    held = CommandHeld(
        issued.command,
        lead.id,
        LEAD,
        VITEC,
        None,
        issued.want,
        "too_long",
        "city has more than 25 characters",
    )
    outcome(pair, held)
    assert pair.plan(lead) == NOTHING
    assert state(pair) == "held"


def test_a_lead_whose_outcome_is_unknown_is_never_sent_again() -> None:
    pair = received()
    command = sent(pair)
    outcome(pair, CommandUnknown(command, "UnknownOutcome"))
    lead = lead_of(pair)
    assert lead.busy()
    assert pair.plan(lead) == NOTHING
    want = lead.pending[VITEC].want
    outcome(pair, CommandHeld(command, lead.id, LEAD, VITEC, None, want, "unknown_outcome", "look at Vitec"))
    assert pair.plan(lead) == NOTHING
    assert not lead.busy()
    assert (state(pair), lead.pending) == ("held", {})


def test_a_lead_that_certainly_did_not_leave_is_tried_again_by_the_same_command() -> None:
    pair = received()
    command = sent(pair)
    at = pair.now + timedelta(minutes=1)
    outcome(pair, CommandFailed(command, "RateLimited", 429, at))
    assert pair.plan(lead_of(pair)) == NOTHING
    assert (lead_of(pair).pending[VITEC].command, state(pair)) == (command, "waiting")


def test_a_command_of_a_lead_is_due_until_the_lead_was_sent() -> None:
    pair = received()
    pair.decide()
    pending = lead_of(pair).pending[VITEC]
    assert still_due(lead_of(pair), VITEC, pending)
    outcome(pair, CommandSucceeded(sent(pair), "LEA1"))
    assert not still_due(lead_of(pair), VITEC, pending)


def test_in_observe_mode_a_lead_is_recorded_once_and_live_mode_sends_it_once() -> None:
    pair = received(mode="observe")
    assert [type(decision) for decision in pair.decide()] == [CommandHeld]
    assert [held.reason for held in pair.told(CommandHeld)] == ["observe"]
    assert pair.decide() == []
    assert state(pair) == "held"
    pair.mode = "live"
    assert CommandIssued in [type(decision) for decision in pair.decide()]
    outcome(pair, CommandSucceeded(sent(pair), "LEA1"))
    assert pair.decide() == []
    pair.mode = "observe"
    assert pair.decide() == []
    assert state(pair) == "sent"


def test_going_live_ends_the_hold_of_a_lead_that_was_only_observed() -> None:
    pair = received(mode="observe")
    pair.decide()
    pair.mode = "live"
    pair.decide()
    assert state(pair) == "waiting"
    [held] = pair.told(CommandHeld)
    assert pair.fold.commands[held.command].state == "superseded"


def test_observe_mode_takes_back_a_lead_that_was_not_sent_yet() -> None:
    pair = received()
    pair.decide()
    pair.mode = "observe"
    pair.decide()
    assert lead_of(pair).pending == {}


def test_every_lead_is_sent_by_a_command_of_its_own() -> None:
    pair = received()
    path = {"customerId": "ABC123", "estateId": "OBJ1"}
    take_in(pair, "final_price", b'{"person": {"email": {"emailAddress": "a@example.se"}}}', path)
    take_in(pair, body=SAMPLE.replace(b"Erik", b"Erika"))
    pair.decide()
    commands = pair.told(CommandIssued)
    assert len({issued.command for issued in commands}) == len(commands) == 3


def test_a_lead_and_the_contact_that_vitec_makes_of_it_are_two_things() -> None:
    pair = received()
    outcome(pair, CommandSucceeded(sent(pair), "LEA1"))
    pair.vitec.add(**ANNA | {"email": "erik.andersson@example.com", "phone": "+46701234567"})
    pair.sync_up()
    assert len(pair.propstreet.rows) == 1
    assert len(leads(pair)) == 1
    assert lead_of(pair).sides == {}


def test_two_databases_send_a_lead_under_two_ids() -> None:
    """A database that was restored must not be taken for the one that has sent it already."""
    ids = set()
    for mark in (uuid.UUID(int=1), uuid.UUID(int=2)):
        pair = received(incarnation=mark)
        pair.decide()
        ids |= {issued.command for issued in pair.told(CommandIssued)}
    assert len(ids) == 2


@pytest.mark.parametrize("how_far", ["came in", "issued", "attempted"])
def test_a_lead_that_waited_when_the_log_was_restored_is_held_because_it_may_have_been_sent(
    how_far: str,
) -> None:
    pair = received()
    if how_far == "issued":
        pair.decide()
    elif how_far == "attempted":
        sent(pair)
    pair.rewind()
    [held] = pair.decide()
    assert isinstance(held, CommandHeld)
    assert held.reason == "unknown_outcome"
    assert state(pair) == "held"
    assert pair.decide() == []
    assert [row.state for row in pair.fold.commands.values()].count("held") == 1
    assert not [row for row in pair.fold.commands.values() if row.state in OPEN]


def test_a_lead_that_was_sent_or_held_before_the_restore_stays_so() -> None:
    pair = received()
    outcome(pair, CommandSucceeded(sent(pair), "LEA1"))
    pair.rewind()
    assert pair.decide() == []
    assert state(pair) == "sent"


def test_a_lead_of_a_restored_log_is_not_taken_for_unsent_by_the_observing_mode() -> None:
    pair = received(mode="observe")
    pair.decide()
    pair.rewind()
    assert pair.decide() == []
    pair.mode = "live"
    held = [decision for decision in pair.decide() if isinstance(decision, CommandHeld)]
    assert [each.reason for each in held] == ["unknown_outcome"]


def test_a_lead_that_comes_in_after_the_restore_is_sent() -> None:
    pair = Pair()
    pair.rewind()
    take_in(pair)
    assert [type(decision) for decision in pair.decide()] == [CommandIssued]
