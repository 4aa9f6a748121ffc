"""Removals: an absence is none, a tombstone ends the link, an edit beats a delete, and nothing is deleted by itself."""

from typing import Any

import msgspec
import pytest

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    EntityHeld,
    EntityReleased,
    RecordsUnlinked,
)
from daemon.domain.settings import OnDelete, Removal
from daemon.domain.streams import PROPSTREET, VITEC, other, relation_id
from daemon.mappings.lens import REMOVED
from tests.unit.desks import OBJ, PROJECT_KEY
from tests.unit.pair import ADR, ANNA, KEY, OPTIONS, SYNC, Fields, Pair, linked


def removed_at_vitec(removal: Removal = "keep") -> Pair:
    """A linked contact whose Vitec record was removed, and that was confirmed."""
    pair = linked(sync=msgspec.structs.replace(SYNC, on_delete=OnDelete(contacts=removal)))
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    return pair


def decided(pair: Pair) -> list[str]:
    return [type(decision).__name__ for decision in pair.decide()]


def test_a_record_that_is_missing_in_a_list_is_not_removed() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.read(VITEC)
    assert pair.side(VITEC).gone is None
    assert pair.decide() == []


def test_a_hint_about_a_removal_is_only_a_reason_to_read() -> None:
    pair = linked()
    pair.hint()
    assert pair.side(VITEC).gone is None
    pair.fetch(VITEC)
    assert pair.side(VITEC).gone is None
    assert pair.side(VITEC).need is None


def test_a_hint_and_a_404_are_a_removal() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.hint()
    pair.fetch(VITEC)
    assert pair.side(VITEC).gone == pair.head
    assert pair.side(VITEC).need is None


def test_keep_leaves_the_other_record_and_closes_the_link_with_a_tombstone() -> None:
    pair = removed_at_vitec("keep")
    assert decided(pair) == ["RecordsUnlinked"]
    assert [(u.tombstone, u.reason) for u in pair.told(RecordsUnlinked)] == [(True, "removed at vitec")]
    assert pair.sync_up() == 0
    assert set(pair.propstreet.rows) == {KEY}


def test_hold_asks_the_operator_once() -> None:
    pair = removed_at_vitec("hold")
    assert decided(pair) == ["EntityHeld"]
    assert decided(pair) == []
    assert [h.reason for h in pair.told(EntityHeld)] == ["removed"]
    assert not pair.told(RecordsUnlinked)


def test_propagate_shows_what_a_person_has_to_delete_and_never_reports_it_as_done() -> None:
    pair = removed_at_vitec("propagate")
    assert decided(pair) == ["CommandHeld", "RecordsUnlinked"]
    [held] = pair.told(CommandHeld)
    assert (held.target, held.record, held.reason, held.want) == (PROPSTREET, KEY, "not_writable", {})
    assert not pair.told(CommandIssued)


@pytest.mark.parametrize("removal", ["keep", "hold", "propagate"])
def test_a_removal_at_propstreet_cannot_be_carried_to_vitec_and_is_shown(removal: Removal) -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, on_delete=OnDelete(contacts=removal)))
    pair.propstreet.remove()
    pair.read(PROPSTREET)
    assert decided(pair) == ["CommandHeld", "RecordsUnlinked"]
    [held] = pair.told(CommandHeld)
    assert (held.target, held.record, held.reason) == (VITEC, ADR, "not_writable")


def test_a_removal_of_a_company_follows_the_setting_of_companies() -> None:
    sync = msgspec.structs.replace(SYNC, on_delete=OnDelete(contacts="propagate", companies="hold"))
    pair = linked("company", sync=sync, name="Fjord AB", organisation_number="5566778899", country="SE")
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert decided(pair) == ["EntityHeld"]


def test_a_removal_that_was_pushed_counts() -> None:
    pair = linked()
    pair.propstreet.remove()
    pair.arrive(pair.webhook("deleted"))
    assert pair.side(PROPSTREET).gone == pair.head


def test_a_thin_push_of_a_removal_is_only_a_reason_to_read() -> None:
    pair = linked()
    pair.arrive(pair.webhook("deleted"))
    assert pair.side(PROPSTREET).gone is None
    assert pair.side(PROPSTREET).need == pair.head


@pytest.mark.parametrize("edited", [VITEC, PROPSTREET])
def test_an_edit_beats_a_delete(edited: str) -> None:
    pair = linked()
    pair.desks[edited].edit(first_name="Anne")
    pair.read(edited)
    pair.decide()
    gone = other(edited)
    pair.desks[gone].remove()
    if gone == VITEC:
        pair.confirm_gone(VITEC)
    else:
        pair.read(PROPSTREET)
    pair.sync_up()
    assert pair.desks[edited].value("first_name") == "Anne"
    assert pair.entity.tombstone is not None
    assert not pair.entity.pending


def test_a_removal_takes_back_what_was_not_sent_yet() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    [issued] = pair.told(CommandIssued)
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert decided(pair) == ["CommandSuperseded", "RecordsUnlinked"]
    assert [s.command for s in pair.told(CommandSuperseded)] == [issued.command]


def test_a_removal_ends_the_wait_for_a_write_that_was_under_way() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    assert pair.attempt(VITEC) is not None
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert not pair.entity.busy()
    assert "RecordsUnlinked" in decided(pair)
    assert not pair.entity.pending


def test_what_is_gone_on_both_sides_needs_nothing() -> None:
    pair = removed_at_vitec()
    pair.propstreet.remove()
    pair.read(PROPSTREET)
    assert pair.decide() == []


def test_an_unlinked_record_that_is_removed_before_its_create_was_sent_is_not_created() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read()
    pair.decide()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert decided(pair) == ["CommandSuperseded"]
    assert pair.sync_up() == 0
    assert pair.propstreet.rows == {}


def test_a_record_that_is_seen_again_before_anything_was_decided_goes_on_with_its_base() -> None:
    pair = linked()
    base = dict(pair.entity.base)
    pair.confirm_gone(VITEC)  # a 404 that was false
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    assert pair.side(VITEC).gone is None
    assert pair.entity.base == base
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anne", "Anne")


def test_a_record_that_is_seen_again_while_it_was_held_is_released() -> None:
    pair = linked(sync=msgspec.structs.replace(SYNC, on_delete=OnDelete(contacts="hold")))
    pair.confirm_gone(VITEC)
    pair.decide()
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    assert len(pair.told(EntityReleased)) == 1
    assert pair.values("first_name") == ("Anne", "Anne")


def test_a_record_that_is_seen_again_after_a_false_404_reopens_its_link_with_its_base() -> None:
    pair = linked()
    base = dict(pair.entity.base)
    pair.confirm_gone(VITEC)
    pair.decide()
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    assert pair.entity.tombstone is None
    assert pair.entity.base.keys() == base.keys()
    assert pair.values("first_name") == ("Anne", "Anne")


# Projects


def project(removal: Removal = "keep") -> Pair:
    """An estate and its project, agreed on."""
    pair = Pair("project", sync=msgspec.structs.replace(SYNC, on_delete=OnDelete(projects=removal)))
    pair.vitec.add(name="Hamnkontoret")
    pair.propstreet.add(reference=OBJ, name="Hamnkontoret", classification="active", stage="communicated")
    assert pair.sync_up() == 0
    return pair


def test_an_estate_that_is_gone_may_only_be_unpublished_and_its_project_stays() -> None:
    pair = project()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    assert decided(pair) == ["RecordsUnlinked"]
    assert [told.reason for told in pair.told(RecordsUnlinked)] == ["gone or unpublished at Vitec"]
    assert pair.propstreet.rows[PROJECT_KEY].deleted is None


def test_a_project_that_was_removed_at_propstreet_cannot_be_removed_at_vitec_and_is_shown() -> None:
    pair = project()
    pair.propstreet.remove()
    pair.read(PROPSTREET)
    assert decided(pair) == ["CommandHeld", "RecordsUnlinked"]
    assert [(h.target, h.reason) for h in pair.told(CommandHeld)] == [(VITEC, "not_writable")]
    assert OBJ in pair.vitec.rows


# Prospects


RELATION = relation_id(OBJ, ADR)


def prospect(*, ours: bool = True, **settings: Any) -> Pair:
    """Anna's interest in the harbour office, on both sides; `ours`: the daemon made it at Propstreet."""
    pair = Pair("prospect", beside=("contact", "project"), **settings)
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(PROPSTREET, "contact").add(reference=ADR, **ANNA)
    harbour: Fields = {"name": "Hamnkontoret", "classification": "active", "stage": "communicated"}
    pair.desk(VITEC, "project").add(name="Hamnkontoret")
    pair.desk(PROPSTREET, "project").add(reference=OBJ, **harbour)
    pair.vitec.add()
    if not ours:
        parts = {"project": PROJECT_KEY, "contact": KEY}
        pair.propstreet.add(parts=parts, classification="interested")
    pair.sync_up()
    assert pair.sync_up() == 0
    return pair


def gone_at_vitec(pair: Pair) -> Pair:
    """The relation was removed, and that was confirmed."""
    pair.vitec.remove(RELATION)
    pair.confirm_gone(VITEC)
    return pair


def only_row(pair: Pair) -> Any:
    [row] = pair.propstreet.rows.values()
    return row


def test_a_prospect_that_we_made_is_removed_when_its_relation_is_gone() -> None:
    pair = gone_at_vitec(prospect())
    assert decided(pair) == ["CommandIssued"]
    issued = pair.told(CommandIssued)[-1]
    assert (issued.target, issued.record, issued.want.keys()) == (PROPSTREET, only_row(pair).id, {REMOVED})
    assert pair.sync_up() == 1
    assert only_row(pair).deleted is not None
    assert pair.told(CommandHeld) == []


def test_a_prospect_that_was_edited_since_its_relation_ended_is_not_removed() -> None:
    pair = prospect()
    gone_at_vitec(pair)
    pair.decide()
    assert pair.entity.pending
    pair.later(60)
    [record] = pair.propstreet.rows
    pair.propstreet.edit(record, classification="bidder")
    assert pair.sync_up() == 0
    hold = pair.entity.hold
    assert hold is not None
    assert "edited at Propstreet since" in hold.detail
    assert not pair.entity.pending
    assert only_row(pair).fields["classification"] == "bidder"


def test_a_removal_that_we_carried_out_is_decided_once_and_settles() -> None:
    pair = gone_at_vitec(prospect())
    pair.sync_up()
    for _ in range(3):
        assert pair.sync_up() == 0
    assert [c.want.keys() for c in pair.told(CommandIssued)].count({REMOVED}) == 1
    assert not pair.entity.pending


def test_a_read_that_left_before_our_removal_does_not_bring_the_prospect_back() -> None:
    pair = prospect()
    gone_at_vitec(pair)
    pair.decide()
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    early = pair.glance(PROPSTREET, only_row(pair).id)
    writing.leave().succeed()
    early.arrive()
    assert pair.side(PROPSTREET).gone is not None
    assert pair.decide() == []
    pair.fetch(PROPSTREET)
    pair.decide()
    assert pair.entity.pending == {}


def test_a_removal_of_what_is_gone_by_itself_is_taken_back() -> None:
    pair = prospect()
    gone_at_vitec(pair)
    pair.decide()
    assert set(pair.entity.pending) == {PROPSTREET}
    pair.confirm_gone(PROPSTREET, only_row(pair).id)
    pair.decide()
    assert pair.entity.pending == {}


def test_a_prospect_that_a_person_made_is_held_when_its_relation_is_gone() -> None:
    pair = gone_at_vitec(prospect(ours=False))
    assert decided(pair) == ["EntityHeld"]
    assert decided(pair) == []
    assert only_row(pair).deleted is None


@pytest.mark.parametrize(("removal", "decision"), [("keep", "RecordsUnlinked"), ("hold", "EntityHeld")])
def test_a_relation_that_is_gone_follows_the_setting_of_prospects(removal: Removal, decision: str) -> None:
    sync = msgspec.structs.replace(SYNC, on_delete=OnDelete(prospects=removal))
    pair = gone_at_vitec(prospect(sync=sync))
    assert decided(pair) == [decision]
    assert only_row(pair).deleted is None


def test_a_relation_that_is_there_again_before_the_removal_was_sent_takes_it_back() -> None:
    pair = prospect()
    gone = pair.vitec.rows[RELATION]
    gone_at_vitec(pair)
    pair.decide()
    pair.vitec.rows[RELATION] = gone
    pair.vitec.edit(RELATION, level="NotInterested")
    pair.read(VITEC)
    assert pair.sync_up() == 1
    row = only_row(pair)
    assert (row.deleted, row.fields["classification"]) == (None, "not_interested")


def test_a_removal_that_propstreet_refused_is_not_sent_again() -> None:
    pair = gone_at_vitec(prospect())
    pair.decide()
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    writing.refuse()
    assert pair.sync_up() == 0
    assert only_row(pair).deleted is None


def test_in_observe_mode_a_removal_is_recorded_and_nothing_is_sent() -> None:
    pair = prospect()
    pair.mode = "observe"
    gone_at_vitec(pair)
    assert pair.sync_up() == 0
    assert [(h.reason, h.want.keys()) for h in pair.told(CommandHeld)] == [("observe", {REMOVED})]
    assert decided(pair) == []
    pair.mode = "live"
    assert pair.sync_up() == 1
    assert only_row(pair).deleted is not None


def test_a_prospect_that_was_taken_off_the_list_at_propstreet_is_shown_and_vitec_stays_as_it_is() -> None:
    pair = prospect()
    pair.propstreet.remove(only_row(pair).id)
    pair.read(PROPSTREET)
    assert decided(pair) == ["CommandHeld", "RecordsUnlinked"]
    assert [(h.target, h.reason) for h in pair.told(CommandHeld)] == [(VITEC, "not_writable")]
    assert pair.vitec.rows[RELATION].fields == {}


def test_a_prospect_that_was_taken_off_the_list_is_not_interested_where_that_is_configured() -> None:
    changes = {"prospect_removed": "not_interested"}
    pair = prospect(
        options=msgspec.structs.replace(OPTIONS, **changes), sync=msgspec.structs.replace(SYNC, **changes)
    )
    pair.propstreet.remove(only_row(pair).id)
    assert pair.sync_up() == 1
    assert pair.vitec.value("level", RELATION) == "NotInterested"
    assert pair.told(RecordsUnlinked) == []
    pair.later(60)
    pair.vitec.edit(RELATION, level="ParticipateInBidding")
    assert pair.sync_up() == 0
    assert [(h.target, h.reason) for h in pair.told(CommandHeld)] == [(PROPSTREET, "not_writable")]


def test_a_relation_that_went_with_its_contact_is_held_once_the_contact_is_gone_for_good() -> None:
    pair = prospect()
    pair.vitec.remove(RELATION)
    pair.confirm_gone(VITEC, evidence="contact_gone")
    assert decided(pair) == []
    assert pair.plan().wait_for == (pair.entity_of(VITEC, ADR, "contact").id,)
    pair.desk(VITEC, "contact").remove()
    pair.confirm_gone(VITEC, category="contact")
    assert pair.sync_up() == 0
    assert [h.reason for h in pair.told(EntityHeld)] == ["removed"]
    assert only_row(pair).deleted is None
    assert pair.desk(PROPSTREET, "contact").rows[KEY].deleted is None
