"""A merge at Vitec: who was merged away leaves its counterpart to the heir, if there is room, and so do all that join it."""

from typing import Any

import pytest

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    EntityHeld,
    RecordRemoved,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
)
from daemon.domain.streams import PROPSTREET, VITEC, relation_id
from daemon.policies.merging import heir_of
from daemon.policies.plan import NOTHING
from tests.unit.desks import FIRM, FIRM_KEY, OBJ, PROJECT_KEY
from tests.unit.pair import ADR, ANNA, KEY, Fields, Pair

GONE, HEIR = "ADRGONE", ADR
TWIN: Fields = ANNA | {"email": "anna.berg@example.se", "phone": None}


def doubled(*, heir_is_linked: bool = False, beside: tuple[str, ...] = ()) -> Pair:
    """Anna twice at Vitec; Propstreet has her as `KEY`, and perhaps once more as 790."""
    pair = Pair("contact", beside=beside)
    pair.vitec.add(GONE, **ANNA)
    pair.propstreet.add(reference=GONE, **ANNA)
    pair.sync_up()
    pair.vitec.add(HEIR, **TWIN)
    if heir_is_linked:
        pair.propstreet.add("790", reference=HEIR, **TWIN)
        assert pair.sync_up() == 0
    else:
        pair.read(VITEC)
    return pair


def merged(pair: Pair) -> Pair:
    """Vitec merges them, says so, and both were read."""
    pair.merge(GONE, HEIR)
    pair.fetch(VITEC)
    return pair


def decided(pair: Pair) -> list[str]:
    return [type(decision).__name__ for decision in pair.decide()]


def records(pair: Pair, vendor: str, record: str, category: str = "contact") -> dict[str, str]:
    """The records of the entity that a record belongs to."""
    entity = pair.entity_of(vendor, record, category)
    return {side_vendor: side.record for side_vendor, side in entity.sides.items()}


# The link


def test_the_counterpart_goes_to_the_heir_and_its_reference_follows() -> None:
    pair = merged(doubled())
    pair.carry(pair.plan(pair.entity_of(VITEC, GONE)))
    [told] = pair.told(RecordsMerged)
    assert (told.source, told.destination, told.moved) == (GONE, HEIR, True)
    assert records(pair, PROPSTREET, KEY) == {VITEC: HEIR, PROPSTREET: KEY}
    assert records(pair, VITEC, GONE) == {VITEC: GONE}
    pair.sync_up()
    assert pair.propstreet.rows.keys() == {KEY}
    assert pair.propstreet.rows[KEY].reference == HEIR
    assert pair.propstreet.rows[KEY].deleted is None


def test_a_merge_is_decided_once_and_settles() -> None:
    pair = merged(doubled())
    pair.sync_up()
    assert pair.sync_up() == 0
    assert len(pair.told(RecordsMerged)) == 1
    assert pair.told(RecordsUnlinked) == []


def test_an_edit_of_the_heir_reaches_the_counterpart_from_then_on() -> None:
    pair = merged(doubled())
    pair.sync_up()
    pair.vitec.edit(HEIR, first_name="Anne")
    assert pair.sync_up() == 1
    assert pair.propstreet.value("first_name") == "Anne"


def test_the_source_is_closed_with_a_pointer_to_the_heir() -> None:
    pair = merged(doubled())
    pair.decide()
    source = pair.entity_of(VITEC, GONE)
    assert source.tombstone == f"merged into {VITEC}:{HEIR}"
    assert source.sides[VITEC].into == HEIR
    assert pair.plan(source) == NOTHING


def test_nothing_is_made_for_the_heir_that_it_gets_from_the_source() -> None:
    pair = merged(doubled())
    pair.sync_up()
    assert [command for command in pair.told(CommandIssued) if command.record is None] == []


def test_a_create_for_the_heir_that_was_not_sent_yet_is_taken_back() -> None:
    pair = doubled()
    pair.decide()
    [create] = pair.told(CommandIssued)
    merged(pair)
    pair.sync_up()
    assert pair.propstreet.rows.keys() == {KEY}
    assert pair.fold.commands[create.command].state == "superseded"


def test_what_was_held_of_the_source_is_taken_back_with_its_link() -> None:
    pair = doubled()
    pair.propstreet.edit(first_name="A" * 31)
    pair.read(PROPSTREET)
    pair.carry(pair.plan(pair.entity_of(VITEC, GONE)))
    [held] = pair.told(CommandHeld)
    merged(pair)
    pair.sync_up()
    assert pair.fold.commands[held.command].state == "superseded"


def test_a_source_that_has_no_counterpart_is_only_closed() -> None:
    pair = Pair("contact")
    pair.vitec.add(GONE, **ANNA)
    pair.vitec.add(HEIR, **TWIN)
    pair.propstreet.add(reference=HEIR, **TWIN)
    pair.read()
    merged(pair)
    pair.sync_up()
    assert records(pair, PROPSTREET, KEY) == {VITEC: HEIR, PROPSTREET: KEY}
    assert pair.entity_of(VITEC, GONE).tombstone is not None
    assert pair.told(EntityHeld) == []


def test_a_merge_that_is_told_before_the_heir_was_ever_seen_moves_the_link_too() -> None:
    pair = Pair("contact")
    pair.vitec.add(GONE, **ANNA)
    pair.propstreet.add(reference=GONE, **ANNA)
    pair.sync_up()
    pair.vitec.add(HEIR, **TWIN)
    pair.merge(GONE, HEIR)
    pair.confirm_gone(VITEC, GONE)
    pair.decide()
    assert pair.entity_of(VITEC, HEIR).sides[VITEC].need is not None
    pair.sync_up()
    assert records(pair, PROPSTREET, KEY) == {VITEC: HEIR, PROPSTREET: KEY}


def test_a_chain_of_merges_leaves_the_counterpart_to_the_last() -> None:
    pair = merged(doubled())
    pair.sync_up()
    pair.vitec.add("ADRLAST", **TWIN | {"email": "anna.b@example.se"})
    pair.read(VITEC)
    pair.merge(HEIR, "ADRLAST")
    pair.fetch(VITEC)
    pair.sync_up()
    assert records(pair, PROPSTREET, KEY) == {VITEC: "ADRLAST", PROPSTREET: KEY}
    assert pair.propstreet.rows[KEY].reference == "ADRLAST"


def test_two_sources_of_one_heir_leave_it_one_counterpart_and_the_other_is_held() -> None:
    pair = doubled()
    pair.vitec.add("ADRTHIRD", **TWIN | {"email": "ab@example.se"})
    pair.propstreet.add("791", reference="ADRTHIRD", **TWIN | {"email": "ab@example.se"})
    pair.read()
    pair.carry(pair.plan(pair.entity_of(VITEC, "ADRTHIRD")))
    pair.merge("ADRTHIRD", HEIR)
    merged(pair)
    pair.sync_up()
    assert sorted(told.moved for told in pair.told(RecordsMerged)) == [False, True]
    assert [held.reason for held in pair.told(EntityHeld)] == ["merged"]


# No room


def test_where_both_have_a_counterpart_the_sources_stays_and_is_held() -> None:
    pair = merged(doubled(heir_is_linked=True))
    pair.sync_up()
    [told] = pair.told(RecordsMerged)
    assert told.moved is False
    [held] = pair.told(EntityHeld)
    assert held.reason == "merged"
    assert held.candidates == (f"{PROPSTREET}:{KEY}", f"{PROPSTREET}:790")
    assert records(pair, PROPSTREET, KEY) == {VITEC: GONE, PROPSTREET: KEY}
    assert records(pair, PROPSTREET, "790") == {VITEC: HEIR, PROPSTREET: "790"}
    assert all(row.deleted is None for row in pair.propstreet.rows.values())


def test_what_is_held_for_want_of_room_is_said_once_and_writes_nothing() -> None:
    pair = merged(doubled(heir_is_linked=True))
    pair.sync_up()
    pair.propstreet.edit(KEY, first_name="Annie")
    assert pair.sync_up() == 0
    assert len(pair.told(EntityHeld)) == len(pair.told(RecordsMerged)) == 1
    assert pair.vitec.value("first_name", HEIR) == "Anna"


# What is not believed


def test_a_merge_is_only_a_reason_to_read() -> None:
    pair = doubled()
    pair.merge(GONE, HEIR)
    assert decided(pair) == []
    assert pair.entity_of(VITEC, GONE).sides[VITEC].need is not None


def test_a_merge_whose_source_is_still_there_changes_nothing() -> None:
    pair = doubled(heir_is_linked=True)
    pair.notify(type="Merge", event="Merge", subtype="Person", destinationId=HEIR, sourceIds=[GONE])
    pair.fetch(VITEC)
    assert pair.sync_up() == 0
    assert pair.told(RecordsMerged) == []
    assert pair.entity_of(VITEC, GONE).sides[VITEC].into is None
    pair.vitec.edit(GONE, first_name="Anne")
    assert pair.sync_up() == 1
    pair.vitec.remove(GONE)
    pair.confirm_gone(VITEC, GONE)
    pair.decide()
    assert pair.told(RecordsMerged) == []  # that is a removal, and no merge
    assert len(pair.told(RecordsUnlinked)) == 1


@pytest.mark.parametrize("event", ["Remove", "Update"])
def test_later_news_of_the_source_is_noise(event: str) -> None:
    pair = merged(doubled())
    pair.sync_up()
    for _ in range(2):
        pair.notify(type="Contact", subtype="Person", event=event, id=GONE)
        assert pair.sync_up() == 0
    assert len(pair.told(RecordsMerged)) == 1
    assert pair.told(RecordsUnlinked) == []
    assert records(pair, PROPSTREET, KEY) == {VITEC: HEIR, PROPSTREET: KEY}


def test_a_merge_that_is_told_again_is_noise() -> None:
    pair = merged(doubled())
    pair.sync_up()
    pair.notify(type="Merge", event="Merge", subtype="Person", destinationId=HEIR, sourceIds=[GONE])
    assert pair.sync_up() == 0
    assert len(pair.told(RecordsMerged)) == 1


def test_a_removal_that_was_told_before_the_merge_does_not_end_the_link() -> None:
    pair = doubled()
    pair.vitec.rows.pop(GONE)
    pair.confirm_gone(VITEC, GONE)
    pair.carry(pair.plan(pair.entity_of(VITEC, GONE)))
    assert len(pair.told(RecordsUnlinked)) == 1
    pair.notify(type="Merge", event="Merge", subtype="Person", destinationId=HEIR, sourceIds=[GONE])
    pair.fetch(VITEC)
    pair.sync_up()
    assert records(pair, PROPSTREET, KEY) == {VITEC: HEIR, PROPSTREET: KEY}
    assert pair.propstreet.rows[KEY].reference == HEIR


def test_a_removal_without_a_merge_has_no_heir() -> None:
    pair = doubled()
    pair.vitec.remove(GONE)
    pair.confirm_gone(VITEC, GONE)
    source = pair.entity_of(VITEC, GONE)
    assert heir_of(source, pair.kin(source)) is None
    assert len(pair.told(RecordsMerged)) == 0


# What joins the source


def with_prospect(pair: Pair, **more: Any) -> Pair:
    """The source is interested in the harbour office, and Propstreet knows it."""
    harbour: Fields = {"name": "Hamnkontoret"}
    live: Fields = harbour | {"classification": "active", "stage": "communicated"}
    pair.desk(VITEC, "project").add(**harbour)
    pair.desk(PROPSTREET, "project").add(reference=OBJ, **live)
    pair.desk(VITEC, "prospect").add(relation_id(OBJ, GONE), level="VeryInterested")
    pair.desk(PROPSTREET, "prospect").add(
        reference=relation_id(OBJ, GONE),
        parts={"project": PROJECT_KEY, "contact": KEY},
        classification="interested",
    )
    return pair


def test_a_prospect_of_the_source_follows_to_the_heir() -> None:
    pair = with_prospect(doubled(beside=("project", "prospect")))
    pair.read()
    pair.decide()
    assert records(pair, PROPSTREET, "77", "prospect") == {VITEC: relation_id(OBJ, GONE), PROPSTREET: "77"}
    merged(pair)
    pair.sync_up()
    assert records(pair, PROPSTREET, "77", "prospect") == {VITEC: relation_id(OBJ, HEIR), PROPSTREET: "77"}
    prospect = pair.desk(PROPSTREET, "prospect").rows["77"]
    assert (prospect.reference, prospect.fields["classification"]) == (relation_id(OBJ, HEIR), "interested")
    assert pair.desk(VITEC, "prospect").value("level", relation_id(OBJ, HEIR)) == "VeryInterested"
    assert pair.desk(PROPSTREET, "prospect").rows.keys() == {"77"}
    moved = next(told for told in pair.told(RecordsMerged) if told.source != GONE)
    assert moved.parts == {"project": OBJ, "contact": HEIR}


def test_a_prospect_that_went_with_the_source_before_the_merge_was_told_follows_too() -> None:
    pair = with_prospect(doubled(beside=("project", "prospect")))
    pair.read()
    pair.decide()
    relations = pair.desk(VITEC, "prospect").rows
    relations[relation_id(OBJ, HEIR)] = relations.pop(relation_id(OBJ, GONE))
    relations[relation_id(OBJ, HEIR)].id = relation_id(OBJ, HEIR)
    pair.confirm_gone(VITEC, relation_id(OBJ, GONE), "prospect", evidence="contact_gone")
    pair.carry(pair.plan(pair.entity_of(VITEC, relation_id(OBJ, GONE), "prospect")))
    merged(pair)
    pair.sync_up()
    assert records(pair, PROPSTREET, "77", "prospect") == {VITEC: relation_id(OBJ, HEIR), PROPSTREET: "77"}
    assert pair.desk(PROPSTREET, "prospect").rows["77"].deleted is None


def test_a_prospect_that_the_heir_has_too_is_held() -> None:
    pair = with_prospect(doubled(heir_is_linked=True, beside=("project", "prospect")))
    pair.desk(VITEC, "prospect").add(relation_id(OBJ, HEIR), level="Interested")
    pair.desk(PROPSTREET, "prospect").add(
        "78",
        reference=relation_id(OBJ, HEIR),
        parts={"project": PROJECT_KEY, "contact": "790"},
        classification="interested",
    )
    assert pair.sync_up() == 0
    merged(pair)
    pair.sync_up()
    assert [(told.moved) for told in pair.told(RecordsMerged)] == [False, False]
    assert [held.reason for held in pair.told(EntityHeld)] == ["merged", "merged"]
    assert pair.desk(PROPSTREET, "prospect").rows.keys() == {"77", "78"}


def test_a_link_of_the_source_follows_to_the_heir() -> None:
    pair = doubled(beside=("company", "link"))
    firm: Fields = {"name": "Fjord AB", "organisation_number": "5566778899", "tags": ()}
    pair.desk(VITEC, "company").add(FIRM, **firm)
    pair.desk(PROPSTREET, "company").add(FIRM_KEY, reference=FIRM, **firm)
    pair.desk(VITEC, "link").add(relation_id(FIRM, GONE))
    pair.desk(PROPSTREET, "link").add(parts={"contact": KEY, "company": FIRM_KEY})
    pair.read()
    pair.decide()
    merged(pair)
    pair.sync_up()
    assert records(pair, PROPSTREET, "31", "link") == {VITEC: relation_id(FIRM, HEIR), PROPSTREET: "31"}
    assert pair.desk(PROPSTREET, "link").rows.keys() == {"31"}


def test_a_removal_after_the_merge_is_carried_over_for_the_heir() -> None:
    pair = merged(doubled())
    pair.sync_up()
    pair.vitec.remove(HEIR)
    pair.confirm_gone(VITEC, HEIR)
    pair.decide()
    assert [told.entity for told in pair.told(RecordsUnlinked)] == [pair.entity_of(VITEC, HEIR).id]
    assert len([e for e in pair.events if e.type == RecordRemoved.__name__]) == 2
    assert [link.rule for link in pair.told(RecordsLinked)] == ["reference"]
