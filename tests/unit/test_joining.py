"""Records that join others: a prospect is nothing before its project and its party are linked, and says one thing only."""

from typing import Any

import msgspec
import pytest

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    ConflictResolved,
    EntityHeld,
    RecordsLinked,
)
from daemon.domain.streams import PROPSTREET, VITEC, other, relation_id
from daemon.policies.linking import abroad
from daemon.policies.plan import NOTHING
from projections.entity import Entity
from tests.unit.desks import FIRM, FIRM_KEY, OBJ, PROJECT_KEY
from tests.unit.pair import ADR, ANNA, KEY, OPTIONS, SYNC, Fields, Pair

HARBOUR: Fields = {"name": "Hamnkontoret"}
FJORD: Fields = {"name": "Fjord AB", "organisation_number": "5566778899", "tags": ()}
RELATION = relation_id(OBJ, ADR)
CLASSES = {
    "Assigned": "contacted",
    "Interested": "interested",
    "NotInterested": "not_interested",
    "ParticipateInBidding": "bidder",
}
FINER = ("OnHoldInBidding", "FollowingBidding", "VeryInterested", "BeenAtOrComingToViewing", "Interested")
BOTH_WAYS = pytest.mark.parametrize("first", [VITEC, PROPSTREET])


def sync(**changes: object) -> Any:
    return msgspec.structs.replace(SYNC, **changes)


def office(*, project: bool = True, contact: bool = True, **settings: Any) -> Pair:
    """Anna and the harbour office, linked where it is said so; else only Vitec knows of them."""
    pair = Pair("prospect", beside=("contact", "company", "project"), **settings)
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(VITEC, "project").add(**HARBOUR)
    if contact:
        pair.desk(PROPSTREET, "contact").add(reference=ADR, **ANNA)
    if project:
        harbour: Fields = {"classification": "active", "stage": "communicated", **HARBOUR}
        pair.desk(PROPSTREET, "project").add(reference=OBJ, **harbour)
    pair.read()
    if contact and project:
        pair.sync_up()
    return pair


def with_company(pair: Pair) -> Pair:
    """A company that both vendors know."""
    pair.desk(VITEC, "company").add(FIRM, **FJORD)
    pair.desk(PROPSTREET, "company").add(FIRM_KEY, reference=FIRM, **FJORD)
    pair.sync_up()
    return pair


def known(pair: Pair, first: str, **here: Any) -> None:
    """One vendor knows of Anna's interest, and it was read."""
    parts = {"project": PROJECT_KEY, "contact": KEY} if first == PROPSTREET else None
    pair.desks[first].add(parts=parts, **here)
    pair.read(first)


def interested(level: str = "Interested", classification: str = "interested", **settings: Any) -> Pair:
    """Anna's interest, linked and agreed on."""
    pair = office(**settings)
    known(pair, VITEC, level=level, buyer=level == "")
    known(pair, PROPSTREET, reference=RELATION, classification=classification)
    assert pair.sync_up() == 0
    return pair


def links(pair: Pair, category: str = "prospect") -> list[str]:
    mine = [e for e in pair.events if e.type == "RecordsLinked" and e.stream.startswith(f"{category}:")]
    return [msgspec.json.decode(e.data, type=RecordsLinked).rule for e in mine]


def issued(pair: Pair, category: str = "prospect") -> list[CommandIssued]:
    return [command for command in pair.told(CommandIssued) if command.category == category]


def held(pair: Pair, category: str = "prospect") -> list[tuple[str, str]]:
    """The target and the reason of every command that was held."""
    return [(h.target, h.reason) for h in pair.told(CommandHeld) if h.category == category]


# Waiting for what is joined


@pytest.mark.parametrize(("project", "contact"), [(False, False), (True, False), (False, True)])
def test_a_prospect_waits_until_its_project_and_its_contact_are_linked(project: bool, contact: bool) -> None:
    pair = office(project=project, contact=contact)
    known(pair, VITEC)
    plan = pair.plan()
    assert plan.events == ()
    assert set(plan.wait_for) == {
        pair.entity_of(VITEC, ADR, "contact").id,
        pair.entity_of(VITEC, OBJ, "project").id,
    }
    pair.decide()
    assert issued(pair) == []


def test_a_prospect_whose_party_nobody_has_seen_waits() -> None:
    pair = office()
    pair.vitec.add(relation_id(OBJ, "ADRNOBODY"))
    assert pair.sync_up() == 0
    assert issued(pair) == []
    assert pair.plan().wait_for == (pair.entity_of(VITEC, OBJ, "project").id,)


def test_what_is_joined_is_created_first_and_the_prospect_at_last() -> None:
    pair = office(project=False, contact=False)
    known(pair, VITEC)
    pair.sync_up()
    order = [command.category for command in pair.told(CommandIssued) if command.record is None]
    assert set(order[:2]) == {"contact", "project"}
    assert order[2:] == ["prospect"]
    assert links(pair) == ["created"]


def test_a_prospect_waits_while_what_it_joins_is_held() -> None:
    pair = interested()
    pair.desk(VITEC, "contact").rows[ADR].extra = {"isDeceased": True}
    pair.desk(VITEC, "contact").edit(first_name="Anne")
    pair.vitec.edit(level="NotInterested")
    assert pair.sync_up() == 0
    assert [h.reason for h in pair.told(EntityHeld)] == ["deceased"]
    assert pair.plan().wait_for == (pair.entity_of(VITEC, ADR, "contact").id,)
    pair.desk(VITEC, "contact").rows[ADR].extra = {}
    pair.desk(VITEC, "contact").edit(first_name="Anna")
    assert pair.sync_up() == 1
    assert pair.propstreet.value("classification") == "not_interested"


def test_the_names_abroad_are_those_of_the_other_vendor() -> None:
    pair = office()
    known(pair, VITEC)
    assert abroad(pair.entity, pair.kin(pair.entity)) == {"project": PROJECT_KEY, "contact": KEY}
    known(pair, PROPSTREET, reference=None)
    there = pair.entity_of(PROPSTREET)
    assert abroad(there, pair.kin(there)) == {"project": OBJ, "contact": ADR}


def test_there_are_no_names_abroad_while_one_part_is_missing_unlinked_or_closed() -> None:
    pair = office()
    known(pair, VITEC)
    kin = pair.kin(pair.entity)
    assert abroad(pair.entity, {"project": kin["project"]}) is None
    assert abroad(pair.entity, kin | {"contact": Entity("con-x", "contact")}) is None
    kin["contact"].tombstone = "removed at vitec"
    assert abroad(pair.entity, kin) is None


@BOTH_WAYS
def test_a_company_is_a_contact_to_vitec_and_a_company_to_propstreet(first: str) -> None:
    pair = with_company(office(options=msgspec.structs.replace(OPTIONS, new_prospect_status="Assigned")))
    if first == VITEC:
        pair.vitec.add(relation_id(OBJ, FIRM))
    else:
        parts = {"project": PROJECT_KEY, "company": FIRM_KEY}
        pair.propstreet.add(parts=parts, classification="interested")
    pair.sync_up()
    create = issued(pair)[0]
    far = {"project": OBJ, "contact": FIRM} if first == PROPSTREET else parts_of(FIRM_KEY, "company")
    assert (create.target, create.record, create.parts) == (other(first), None, far)
    assert links(pair) == ["created"]
    assert pair.vitec.value("level", relation_id(OBJ, FIRM)) in ("Interested", None)


def parts_of(record: str, category: str = "contact") -> dict[str, str]:
    return {"project": PROJECT_KEY, category: record}


# Linking


@BOTH_WAYS
def test_a_prospect_is_linked_by_its_reference(first: str) -> None:
    pair = office()
    for vendor in (first, other(first)):
        known(pair, vendor, **({"reference": RELATION} if vendor == PROPSTREET else {}))
    pair.decide()
    assert links(pair) == ["reference"]


@BOTH_WAYS
def test_a_prospect_without_a_reference_is_linked_by_what_it_joins_and_the_reference_follows(
    first: str,
) -> None:
    pair = office()
    for vendor in (first, other(first)):
        known(pair, vendor, **({"classification": "interested"} if vendor == PROPSTREET else {}))
    pair.decide()
    assert links(pair) == ["parts"]
    pair.sync_up()
    assert pair.propstreet.rows["77"].reference == RELATION


@BOTH_WAYS
def test_a_company_as_the_party_is_linked_by_what_it_joins(first: str) -> None:
    pair = with_company(office())
    for vendor in (first, other(first)):
        if vendor == VITEC:
            pair.vitec.add(relation_id(OBJ, FIRM))
        else:
            pair.propstreet.add(parts=parts_of(FIRM_KEY, "company"), classification="interested")
        pair.read(vendor)
    pair.decide()
    assert links(pair) == ["parts"]


def test_a_prospect_of_another_project_or_another_contact_is_another_prospect() -> None:
    pair = office()
    pair.desk(VITEC, "project").add("OBJ2", name="Kajen")
    pair.desk(PROPSTREET, "project").add("13", reference="OBJ2", name="Kajen", classification="active")
    pair.sync_up()
    pair.vitec.add()
    pair.propstreet.add(parts={"project": "13", "contact": KEY}, classification="interested")
    pair.sync_up()
    assert links(pair) == ["created", "created"]


def test_two_prospects_for_one_relation_are_held() -> None:
    pair = office()
    for record in ("77", "78"):
        pair.propstreet.add(record, parts=parts_of(KEY), classification="interested")
    pair.read()
    known(pair, VITEC)
    pair.carry(pair.plan(pair.entity_of(VITEC)))
    assert [h.reason for h in pair.told(EntityHeld)] == ["ambiguous"]
    assert links(pair) == []


def test_a_prospect_that_propstreet_matched_by_itself_is_left_alone() -> None:
    pair = office()
    pair.propstreet.add(parts={"project": PROJECT_KEY}, classification="interested")
    assert pair.sync_up() == 0
    assert pair.plan() == NOTHING
    assert pair.vitec.rows == {}


# Creating


def test_a_create_names_the_parts_and_the_reference_and_the_classification_follows() -> None:
    pair = office()
    known(pair, VITEC, level="VeryInterested")
    pair.decide()
    [create] = issued(pair)
    assert (create.target, create.record, create.reference) == (PROPSTREET, None, RELATION)
    assert create.parts == {"project": PROJECT_KEY, "contact": KEY}
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    assert set(writing.patch.body) == {"externalRefs"}
    writing.leave().succeed()
    assert pair.propstreet.value("classification", writing.record) == "not_contacted"
    assert pair.sync_up() == 1
    assert pair.propstreet.value("classification", writing.record) == "interested"


def test_an_archived_relation_makes_no_prospect_and_is_shown() -> None:
    pair = office()
    known(pair, VITEC, level="Archived")
    assert pair.sync_up() == 0
    assert (PROPSTREET, "unmapped") in held(pair)
    assert pair.propstreet.rows == {}


def test_a_new_prospect_has_no_counterpart_at_vitec_and_is_shown_once() -> None:
    pair = office()
    known(pair, PROPSTREET)
    assert pair.sync_up() == 0
    assert held(pair) == [(VITEC, "not_writable")]
    assert pair.sync_up() == 0
    assert held(pair) == [(VITEC, "not_writable")]


@pytest.mark.parametrize(("level", "classification"), CLASSES.items())
def test_a_prospect_that_says_something_becomes_a_relation_with_the_status_that_means_it(
    level: str, classification: str
) -> None:
    pair = office()
    known(pair, PROPSTREET, classification=classification)
    assert pair.sync_up() == 2  # the relation, and the reference at Propstreet
    assert pair.vitec.value("level", RELATION) == level
    assert pair.propstreet.value("classification") == classification


def test_a_new_prospect_is_shown_as_assigned_where_that_is_configured_and_stays_new_at_propstreet() -> None:
    options = msgspec.structs.replace(OPTIONS, new_prospect_status="Assigned")
    pair = office(options=options, sync=sync(new_prospect_status="Assigned"))
    known(pair, PROPSTREET)
    pair.sync_up()
    assert pair.vitec.value("level", RELATION) == "Assigned"
    assert pair.propstreet.value("classification") == "not_contacted"


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"prospects": "both"}, True),
        ({"prospects": "to_vitec"}, False),
        ({"prospects": "off"}, False),
        ({"projects": "off"}, False),
        ({"contacts": "off"}, False),
    ],
)
def test_a_prospect_goes_where_it_is_let_and_where_what_it_joins_goes(
    changes: dict[str, str], made: bool
) -> None:
    pair = office()
    pair.sync = sync(**changes)
    known(pair, VITEC)
    pair.sync_up()
    assert bool(pair.propstreet.rows) is made


def test_in_observe_mode_a_create_is_recorded_and_nothing_is_sent() -> None:
    pair = office()
    pair.mode = "observe"
    known(pair, VITEC)
    assert pair.sync_up() == 0
    assert held(pair) == [(PROPSTREET, "observe")]
    pair.mode = "live"
    assert pair.sync_up() == 2
    assert [row.fields["classification"] for row in pair.propstreet.rows.values()] == ["interested"]


# What a first link says


@BOTH_WAYS
def test_not_contacted_never_wins_a_first_link(first: str) -> None:
    pair = office()
    unsaid: Fields = {"level": None} if first == VITEC else {"classification": "not_contacted"}
    said: Fields = {"level": "NotInterested"} if first == PROPSTREET else {"classification": "not_interested"}
    known(pair, other(first), **said)
    pair.later(3600)  # and be it the later one
    known(pair, first, **unsaid)
    pair.sync_up()
    assert pair.vitec.value("level") == "NotInterested"
    assert pair.propstreet.value("classification") == "not_interested"
    assert not pair.told(ConflictResolved)


def test_two_that_say_something_are_a_conflict_on_a_first_link_and_the_later_wins() -> None:
    pair = office()
    known(pair, VITEC, level="Assigned")
    pair.later(3600)
    known(pair, PROPSTREET, classification="bidder")
    pair.sync_up()
    assert pair.vitec.value("level") == "ParticipateInBidding"
    [conflict] = pair.told(ConflictResolved)
    assert (conflict.winner, conflict.loser_value) == (PROPSTREET, "contacted")


# Levels


@pytest.mark.parametrize("finer", FINER)
def test_a_finer_level_inside_one_class_writes_nothing(finer: str) -> None:
    pair = interested("VeryInterested")
    pair.vitec.edit(level=finer)
    assert pair.sync_up() == 0
    assert not pair.told(ConflictResolved)
    assert f"level:{finer}" in pair.side(VITEC).flags


@pytest.mark.parametrize("level", [*FINER, "Reserved", "Booked", *CLASSES])
def test_a_level_is_never_lowered_by_the_class_that_it_already_means(level: str) -> None:
    classification = CLASSES.get(level, "bidder" if level in ("Reserved", "Booked") else "interested")
    pair = interested(level, classification)
    pair.propstreet.edit(classification="contacted")
    pair.read(PROPSTREET)
    pair.propstreet.edit(classification=classification)
    assert pair.sync_up() == 0
    assert pair.vitec.value("level") == level


def test_a_finer_level_at_vitec_is_no_conflict_with_a_new_class_at_propstreet() -> None:
    pair = interested("Interested")
    pair.propstreet.edit(classification="bidder")
    pair.later(60)
    pair.vitec.edit(level="VeryInterested")
    assert pair.sync_up() == 1
    assert pair.vitec.value("level") == "ParticipateInBidding"
    assert pair.propstreet.value("classification") == "bidder"
    assert not pair.told(ConflictResolved)


@pytest.mark.parametrize(
    ("level", "classification"), [("Reserved", "bidder"), ("Booked", "bidder"), ("", "bidder")]
)
def test_a_protected_level_is_held_once_and_never_overwritten(level: str, classification: str) -> None:
    pair = interested(level, classification)
    pair.propstreet.edit(classification="not_interested")
    for _ in range(3):
        assert pair.sync_up() == 0
    assert held(pair) == [(VITEC, "protected")]
    assert pair.vitec.value("level") == level
    pair.propstreet.edit(classification="bidder")
    pair.sync_up()
    assert len(pair.told(CommandSuperseded)) == 1
    assert pair.entity.blocked == {}


def test_an_archived_relation_is_shown_and_protected() -> None:
    pair = interested()
    pair.vitec.edit(level="Archived")
    assert pair.sync_up() == 0
    assert held(pair) == [(PROPSTREET, "unmapped")]
    assert pair.propstreet.value("classification") == "interested"
    pair.later(60)
    pair.propstreet.edit(classification="bidder")
    assert pair.sync_up() == 0
    assert held(pair)[-1] == (VITEC, "protected")


def test_a_level_that_nobody_knows_is_shown_and_nothing_is_sent() -> None:
    pair = interested()
    pair.vitec.edit(level="Enchanted")
    assert pair.sync_up() == 0
    assert held(pair) == [(PROPSTREET, "unmapped")]
    assert pair.propstreet.value("classification") == "interested"


def test_back_to_not_contacted_cannot_be_said_at_vitec() -> None:
    pair = interested()
    pair.propstreet.edit(classification="not_contacted")
    assert pair.sync_up() == 0
    assert held(pair) == [(VITEC, "not_writable")]
    assert pair.vitec.value("level") == "Interested"


def test_a_buyer_is_a_bidder() -> None:
    pair = interested()
    pair.vitec.edit(buyer=True)
    assert pair.sync_up() == 1
    assert pair.propstreet.value("classification") == "bidder"
