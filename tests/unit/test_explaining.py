"""The log alone says of any field why it holds what it holds: event, side, time, rule, what lost, and the write."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from daemon.cli.causes import Causes, tree
from daemon.cli.reasons import Why, reasons
from daemon.domain.events import (
    CommandIssued,
    ConflictResolved,
    Event,
    RecordsLinked,
    Want,
    decision_of,
    reading_of,
)
from daemon.domain.fields import Value, same
from daemon.domain.streams import PROPSTREET, VITEC, other, parse_record_stream
from projections.fold import Entities, content_of
from tests.unit.pair import ADR, ANNA, OPTIONS, TENANT, Pair, Writing, linked
from tests.unit.test_fold_properties import FIELDS, Life, Step, settled, steps

BOTH = pytest.mark.parametrize("vendor", [VITEC, PROPSTREET])


class Found(msgspec.Struct, frozen=True):
    """What `toveis explain` says of a field. `rule` is that of the write that carried it over, if one did."""

    value: Value
    side: str
    since: datetime | None
    event: Event
    rule: str | None = None
    command: str | None = None
    losers: tuple[Value, ...] = ()


def why(events: list[Event], field: str) -> Found:
    """Read the log, and nothing else."""
    [found] = [each for each in _reasons(events) if each.field == field]
    return Found(
        value=found.value,
        side=found.side,
        since=found.since,
        event=events[found.event - 1],
        rule=found.rule,
        command=found.command.id if found.command is not None else None,
        losers=tuple(dict.fromkeys(lost.value for lost in found.lost)),
    )


def _reasons(events: list[Event]) -> list[Why]:
    entities = Entities(TENANT, OPTIONS)
    for event in events:
        entities.evolve(event)
    [entity] = entities.by_id
    return reasons(TENANT, entity, events, OPTIONS)[1]


def _issued(events: list[Event], field: str) -> list[tuple[CommandIssued, Want]]:
    every = [decision_of(event) for event in events if event.type == "CommandIssued"]
    return [(d, d.want[field]) for d in every if isinstance(d, CommandIssued) and field in d.want]


def _conflicts(events: list[Event]) -> list[ConflictResolved]:
    every = [decision_of(event) for event in events if event.type == "ConflictResolved"]
    return [d for d in every if isinstance(d, ConflictResolved)]


def says(event: Event, field: str) -> Value:
    """What an observation says of a field, in the vendor's own payload."""
    return content_of(event, reading_of(event), OPTIONS).fields[field]


def side_of(event: Event) -> str:
    names = parse_record_stream(event.stream)
    assert names is not None
    return names[1]


def under_way(pair: Pair, target: str) -> Writing:
    writing = pair.attempt(target)
    assert writing is not None
    return writing


@BOTH
def test_an_edit_is_explained_by_its_event_and_by_the_command_that_carried_it_over(vendor: str) -> None:
    pair = linked()
    pair.desks[vendor].edit(first_name="Anne")
    typed = pair.now
    pair.sync_up()
    found = why(pair.events, "first_name")
    name = {VITEC: "Vitec", PROPSTREET: "Propstreet"}[vendor]
    assert (found.value, found.side, found.since) == ("Anne", vendor, typed)
    assert (found.rule, found.losers) == (f"only {name} changed", ())
    assert (side_of(found.event), says(found.event, "first_name")) == (vendor, "Anne")
    [done] = [e for e in pair.events if e.type == "CommandSucceeded"]
    assert found.command is not None
    assert found.command in done.data


@BOTH
def test_a_conflict_is_explained_by_its_rule_and_by_what_lost(vendor: str) -> None:
    pair = linked()
    pair.desks[other(vendor)].edit(first_name="Anni")
    pair.later(60)
    pair.desks[vendor].edit(first_name="Anne")
    typed = pair.now
    pair.sync_up()
    found = why(pair.events, "first_name")
    assert (found.value, found.side, found.since) == ("Anne", vendor, typed)
    assert (found.rule, found.losers) == ("the later edit wins", ("Anni",))
    [conflict] = _conflicts(pair.events)
    loser = pair.events[conflict.loser_position - 1]
    assert (side_of(loser), says(loser, "first_name")) == (other(vendor), "Anni")


@BOTH
def test_a_value_that_arrived_though_our_answer_was_lost_is_explained_by_the_same_command(
    vendor: str,
) -> None:
    pair = linked()
    pair.desks[vendor].edit(first_name="Anne")
    pair.read(vendor)
    pair.decide()
    writing = under_way(pair, other(vendor)).leave()
    writing.lose()
    pair.sync_up()
    found = why(pair.events, "first_name")
    assert (found.value, found.side, found.command) == ("Anne", vendor, writing.pending.command)


@BOTH
def test_what_we_overwrote_in_doubt_is_explained_as_such(vendor: str) -> None:
    pair = linked()
    pair.desks[vendor].edit(first_name="Anne")
    pair.read(vendor)
    pair.decide()
    under_way(pair, other(vendor)).leave().lose()
    pair.desks[other(vendor)].edit(first_name="Anna")  # a person takes back what we may have written
    pair.sync_up()
    assert why(pair.events, "first_name").losers == ("Anna",)
    assert [c.rule for c in _conflicts(pair.events)] == ["doubt"]


@BOTH
def test_a_person_who_is_known_to_one_side_only_is_explained_by_the_create(vendor: str) -> None:
    pair = Pair()
    pair.desks[vendor].add(**ANNA)
    pair.sync_up()
    for field in ("first_name", "last_name", "email", "phone"):
        found = why(pair.events, field)
        assert (found.value, found.side, found.rule) == (ANNA[field], vendor, "new")
    [link] = [e for e in pair.events if e.type == "RecordsLinked"]
    assert msgspec.json.decode(link.data, type=RecordsLinked).rule == "created"


def test_a_first_link_is_explained_field_by_field() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA | {"phone": None, "last_name": "Berg"})
    pair.later(3600)
    pair.propstreet.add(reference=ADR, **ANNA | {"last_name": "Bergh"})
    pair.sync_up()
    told = {field: why(pair.events, field) for field in ("first_name", "last_name", "phone")}
    assert [(w.side, w.value, w.rule, w.losers) for w in told.values()] == [
        (VITEC, "Anna", "both sides said the same", ()),
        (PROPSTREET, "Bergh", "the later edit wins", ("Berg",)),
        (PROPSTREET, ANNA["phone"], "a blank never wins a first link", ()),
    ]


def test_tags_are_explained_by_the_elements_of_both_sides() -> None:
    pair = linked()
    pair.vitec.edit(tags=("investor", "vip"))
    pair.propstreet.edit(tags=("buyer", "investor"))
    pair.sync_up()
    assert pair.values("tags") == (("buyer", "investor", "vip"),) * 2
    assert {want.rule for _, want in _issued(pair.events, "tags")} == {"elements of both sides"}


@BOTH
def test_what_an_operator_brought_back_is_explained_by_the_word_and_by_what_it_took_the_place_of(
    vendor: str,
) -> None:
    pair = linked()
    pair.desks[other(vendor)].edit(first_name="Anni")
    pair.later(60)
    pair.desks[vendor].edit(first_name="Anne")
    pair.sync_up()
    [conflict] = _conflicts(pair.events)
    pair.restore(conflict)
    word = pair.events[-1]
    for later in (False, True):
        if later:
            pair.sync_up()
        [told] = [each for each in _reasons(pair.events) if each.field == "first_name"]
        assert (told.value, told.side, told.event) == ("Anni", other(vendor), word.position), later
        assert (told.operator, [lost.value for lost in told.lost]) == ("kari", ["Anne"])
    assert told.command is not None
    assert (told.agreed, told.command.state) == (True, "succeeded")


def test_a_refused_value_is_explained_by_the_refusal_until_its_source_changes() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read()
    pair.decide()
    under_way(pair, PROPSTREET).refuse()
    [told] = [each for each in _reasons(pair.events) if each.field == "first_name"]
    assert [(held.target, held.state) for held in told.held] == [(PROPSTREET, "dead")]
    assert told.values == {VITEC: "Anne", PROPSTREET: "Anna"}
    pair.vitec.edit(first_name="Annika")
    pair.sync_up()
    [told] = [each for each in _reasons(pair.events) if each.field == "first_name"]
    assert (told.held, told.value) == ([], "Annika")


def test_every_attempt_stands_below_its_command_in_a_trace_and_every_outcome_below_its_attempt() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    edit = pair.events[-1]
    pair.decide()
    under_way(pair, PROPSTREET).fail(retry_at=pair.now)
    under_way(pair, PROPSTREET).leave().succeed()
    causes = Causes(pair.events)
    outcome = next(event for event in pair.events if event.type == "CommandSucceeded")
    above = {
        node.line.event.position: node.parent for node in tree(causes, outcome, OPTIONS) if not node.again
    }
    types = {event.position: event.type for event in pair.events}
    assert causes.root(outcome) is edit
    steps = [(types[place], types[above[place] or 0]) for place in above if above[place]]
    assert steps == [
        ("CommandIssued", "RecordObserved"),
        ("CommandAttempted", "CommandIssued"),
        ("CommandFailed", "CommandAttempted"),
        ("CommandAttempted", "CommandIssued"),
        ("RecordObserved", "CommandAttempted"),
        ("CommandSucceeded", "CommandAttempted"),
    ]


@given(steps(most=50))
@settings(max_examples=60, deadline=None)
def test_whatever_happened_every_value_has_its_event_and_every_write_its_reason(history: list[Step]) -> None:
    pair = Life(settled()).live(history).end().pair
    for field, _ in FIELDS:
        found = why(pair.events, field)
        assert same(field, found.value, pair.desks[found.side].value(field))
        assert side_of(found.event) == found.side
        assert same(field, says(found.event, field), found.value)
        assert found.since is None or found.since <= found.event.recorded_at
        there: Any = pair.shadow(other(found.side), field)
        came = pair.events[there.position - 1]
        if reading_of(came).command is not None:  # we wrote it there, or meant to
            assert found.rule
    for event in pair.events:
        if event.type == "CommandIssued":
            issued = decision_of(event)
            assert isinstance(issued, CommandIssued)
            assert all(want.rule for want in issued.want.values())
