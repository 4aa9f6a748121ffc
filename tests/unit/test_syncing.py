"""What a linked pair makes due: one command per target, only what differs, and what cannot be written beside it."""

from typing import Any

import msgspec
import pytest

from daemon.domain.events import (
    CommandDeadLettered,
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    ConflictResolved,
)
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC, other
from daemon.policies.plan import NOTHING, expected
from daemon.policies.syncing import still_due
from tests.unit.pair import ADR, KEY, Fields, Pair, linked

FJORD: Fields = {
    "name": "Fjord AB",
    "organisation_number": "5566778899",
    "country": "SE",
    "website": "https://fjord.example",
    "strategy": None,
    "tags": (),
}
BOTH = pytest.mark.parametrize("target", [VITEC, PROPSTREET])


def decided(pair: Pair) -> list[str]:
    """The types of what is due now, appended."""
    return [type(decision).__name__ for decision in pair.decide()]


def edited(pair: Pair, vendor: str, **fields: Any) -> None:
    """Somebody edits, and it is read."""
    pair.desks[vendor].edit(**fields)
    pair.read(vendor)


# What is written


@BOTH
def test_only_the_fields_that_differ_are_written(target: str) -> None:
    pair = linked()
    edited(pair, other(target), first_name="Anne", email="ANNA@example.se ", phone="070-174 06 05")
    pair.decide()
    [issued] = pair.told(CommandIssued)
    assert set(issued.want) == {"first_name"}
    writing = pair.attempt(target)
    assert writing is not None
    names = {"customerId", "contactId", "firstName"} if target == VITEC else {"firstName"}
    assert set(writing.patch.body) == names


def test_a_command_says_what_it_rests_on_and_what_it_replaces() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    [issued] = pair.told(CommandIssued)
    want = issued.want["first_name"]
    source, target = pair.shadow(VITEC, "first_name"), pair.shadow(PROPSTREET, "first_name")
    assert (issued.target, issued.record, issued.etag) == (PROPSTREET, KEY, 'W/"1"')
    assert (want.value, want.source, want.source_value) == ("Anne", VITEC, "Anne")
    assert (want.source_position, want.since) == (source.position, source.since)
    assert (want.replaces, want.replaces_position) == ("Anna", target.position)


def test_edits_on_both_sides_are_one_command_per_target() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne", last_name="Bergh")
    pair.propstreet.edit(email="anne@example.se", phone="+46701740606")
    pair.read()
    pair.decide()
    assert {c.target: set(c.want) for c in pair.told(CommandIssued)} == {
        PROPSTREET: {"first_name", "last_name"},
        VITEC: {"email", "phone"},
    }
    assert pair.sync_up() == 2
    assert not pair.told(ConflictResolved)


def test_what_was_decided_is_not_decided_again() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    assert decided(pair) == ["CommandIssued"]
    assert pair.plan() == NOTHING


def test_a_decision_rests_on_the_entity_and_on_both_records() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    entity = pair.entity
    assert expected(pair.plan().basis) == {
        f"contact:{entity.id}": entity.version,
        f"contact:vitec:{ADR}": entity.sides[VITEC].version,
        f"contact:propstreet:{KEY}": entity.sides[PROPSTREET].version,
    }


@pytest.mark.parametrize("name", sorted(FJORD.keys() - {"organisation_number"}))
@BOTH
def test_every_field_of_a_company_travels_both_ways(target: str, name: str) -> None:
    new: Fields = {
        "name": "Fjorden AB",
        "country": "NO",
        "website": "https://fjorden.example",
        "strategy": "Offices",
        "tags": ("vip",),
    }
    pair = linked("company", **FJORD)
    pair.desks[other(target)].edit(**{name: new[name]})
    assert pair.sync_up() == 1
    assert pair.values(name) == (new[name], new[name])


# Newer decisions


@BOTH
def test_a_newer_decision_takes_the_place_of_one_that_was_not_sent(target: str) -> None:
    pair = linked()
    edited(pair, other(target), first_name="Anne")
    pair.decide()
    edited(pair, other(target), first_name="Anni")
    assert decided(pair) == ["CommandSuperseded", "CommandIssued"]
    first, second = pair.told(CommandIssued)
    assert [s.command for s in pair.told(CommandSuperseded)] == [first.command]
    assert pair.entity.pending[target].command == second.command != first.command


def test_a_command_whose_reason_is_gone_is_taken_back() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    edited(pair, VITEC, first_name="Anna")
    assert "CommandSuperseded" in decided(pair)
    assert not pair.entity.pending


def test_a_command_for_an_etag_that_moved_is_replaced_by_one_for_the_new_etag() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    edited(pair, PROPSTREET, last_name="Bergh")
    pair.decide()
    assert pair.entity.pending[PROPSTREET].etag == 'W/"2"'
    assert pair.sync_up() == 2
    assert not pair.told(ConflictResolved)


def test_a_command_that_was_attempted_is_not_replaced() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    assert pair.attempt(PROPSTREET) is not None
    edited(pair, VITEC, first_name="Anni")
    assert decided(pair) == []


def test_a_command_is_due_until_anything_that_it_rests_on_moves() -> None:
    for moved in ("nothing", "source", "target", "etag", "elsewhere"):
        pair = linked()
        edited(pair, VITEC, first_name="Anne")
        pair.decide()
        match moved:
            case "source":
                edited(pair, VITEC, first_name="Anni")
            case "target":
                edited(pair, PROPSTREET, first_name="Anni")
            case "etag":
                edited(pair, PROPSTREET, last_name="Bergh")
            case "elsewhere":
                edited(pair, VITEC, phone="+46701740606")
        is_due = still_due(pair.entity, PROPSTREET, pair.entity.pending[PROPSTREET])
        assert is_due is (moved in ("nothing", "elsewhere")), moved


def test_a_command_that_finds_its_value_there_is_closed_and_the_sides_agree() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    pair.propstreet.edit(first_name="Anne")
    pair.read()
    pair.decide()
    pair.read()
    pair.decide()
    assert not pair.entity.pending
    assert pair.agreed("first_name")


# What the other side cannot hold


def test_a_name_that_is_too_long_is_held_alone_and_never_cut() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="A" * 31, last_name="Bergh")
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("Bergh", "Bergh")
    assert pair.values("first_name") == ("Anna", "A" * 31)
    [held] = pair.told(CommandHeld)
    assert (held.target, set(held.want), held.reason) == (VITEC, {"first_name"}, "too_long")
    assert "30" in held.detail


def test_a_field_that_is_held_keeps_its_base() -> None:
    pair = linked()
    base = pair.entity.base["first_name"]
    pair.propstreet.edit(first_name="A" * 31)
    pair.sync_up()
    assert pair.entity.base["first_name"] == base
    assert pair.entity.changed(PROPSTREET, "first_name")


def test_a_field_that_was_shortened_is_let_go_and_written() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="A" * 31)
    pair.sync_up()
    [held] = pair.told(CommandHeld)
    pair.propstreet.edit(first_name="A" * 30)
    pair.sync_up()
    assert pair.values("first_name") == ("A" * 30, "A" * 30)
    assert held.command in {s.command for s in pair.told(CommandSuperseded)}


def test_a_hold_ends_when_the_value_is_no_longer_wanted() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="A" * 31)
    pair.sync_up()
    pair.propstreet.edit(first_name="Anna")
    pair.sync_up()
    [held] = pair.told(CommandHeld)
    assert [s.command for s in pair.told(CommandSuperseded)] == [held.command]
    assert pair.entity.blocked == {}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("phone", "+4670174060500000", None),
        ("phone", "0" * 18, "too_long"),
        ("first_name", None, "cannot_clear"),
    ],
)
def test_what_vitec_cannot_take_is_held_with_its_reason(field: str, value: Value, reason: str | None) -> None:
    pair = linked()
    change: Fields = {field: value}
    pair.propstreet.edit(**change)
    pair.sync_up()
    assert [h.reason for h in pair.told(CommandHeld)] == ([reason] if reason else [])


def test_another_organisation_number_is_held() -> None:
    pair = linked("company", **FJORD)
    pair.propstreet.edit(organisation_number="5599999009")
    assert pair.sync_up() == 0
    assert [h.reason for h in pair.told(CommandHeld)] == ["other_number"]


# What the vendor refused


def refused(**fields: Any) -> Pair:
    """A write to Vitec with these fields was refused for good."""
    pair = linked()
    edited(pair, PROPSTREET, **fields)
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    writing.refuse()
    return pair


def test_what_was_refused_is_not_sent_again() -> None:
    pair = refused(phone="+46701740606")
    assert len(pair.told(CommandDeadLettered)) == 1
    assert pair.sync_up() == 0


def test_what_was_refused_is_not_sent_again_because_another_field_changed() -> None:
    pair = refused(phone="+46701740606")
    pair.propstreet.edit(last_name="Bergh")
    assert pair.sync_up() == 1
    assert pair.values("phone") == ("+46701740605", "+46701740606")
    assert pair.values("last_name") == ("Bergh", "Bergh")


def test_what_was_refused_is_sent_once_its_source_changes() -> None:
    pair = refused(phone="+46701740606")
    pair.propstreet.edit(phone="+46701740607")
    assert pair.sync_up() == 1
    assert pair.values("phone") == ("+46701740607", "+46701740607")
    assert pair.entity.blocked == {}


def test_what_was_refused_gives_way_to_an_edit_at_the_target() -> None:
    pair = refused(phone="+46701740606")
    pair.later(60)
    pair.vitec.edit(phone="+46701740608")
    pair.sync_up()
    assert pair.values("phone") == ("+46701740608", "+46701740608")
    assert pair.entity.blocked == {}


def test_of_several_refused_fields_only_the_one_whose_source_changed_is_sent() -> None:
    pair = refused(phone="+46701740606", last_name="Bergh")
    edited(pair, PROPSTREET, last_name="Bergman")
    pair.decide()
    pair.decide()
    assert set(pair.entity.pending[VITEC].want) == {"last_name"}


# Observe


def test_in_observe_mode_what_is_due_is_recorded_and_nothing_is_sent() -> None:
    pair = linked(mode="observe")
    edited(pair, VITEC, first_name="Anne")
    assert decided(pair) == ["CommandHeld"]
    [held] = pair.told(CommandHeld)
    assert (held.reason, held.target, set(held.want)) == ("observe", PROPSTREET, {"first_name"})
    assert not pair.entity.pending
    assert decided(pair) == []


def test_in_observe_mode_a_newer_value_takes_the_place_of_the_older() -> None:
    pair = linked(mode="observe")
    for name in ("Anne", "Anni"):
        edited(pair, VITEC, first_name=name)
        pair.decide()
    assert [h.want["first_name"].value for h in pair.told(CommandHeld)] == ["Anne", "Anni"]
    assert [s.command for s in pair.told(CommandSuperseded)] == [pair.told(CommandHeld)[0].command]


def test_going_live_decides_anew_what_was_only_observed() -> None:
    pair = linked(mode="observe")
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    pair.mode = "live"
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anne", "Anne")
    assert [s.command for s in pair.told(CommandSuperseded)] == [pair.told(CommandHeld)[0].command]


def test_observe_mode_takes_back_what_was_not_sent_yet() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    pair.mode = "observe"
    pair.decide()
    assert not pair.entity.pending


def test_a_category_that_is_switched_off_takes_back_what_was_not_sent_yet() -> None:
    pair = linked()
    edited(pair, VITEC, first_name="Anne")
    pair.decide()
    pair.sync = msgspec.structs.replace(pair.sync, contacts="off")
    pair.decide()
    assert not pair.entity.pending
