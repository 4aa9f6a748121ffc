"""Which records are one entity: every step of section 8 of the mapping rules, in both directions."""

import msgspec
import pytest

from daemon.domain.events import CommandHeld, CommandIssued, EntityHeld, EntityReleased, RecordsLinked
from daemon.domain.fields import same
from daemon.domain.settings import Direction, OnlyTagged, SyncSettings
from daemon.domain.streams import PROPSTREET, VITEC, other
from projections.entities import dormant
from tests.unit.pair import ADR, ANNA, KEY, OPTIONS, SYNC, Fields, Pair

FJORD: Fields = {
    "name": "Fjord AB",
    "organisation_number": "556677-8899",
    "country": "SE",
    "website": "https://www.fjord.example/om",
    "strategy": None,
    "tags": (),
}
BOTH_WAYS = pytest.mark.parametrize("first", [VITEC, PROPSTREET])


def sync(**changes: object) -> SyncSettings:
    return msgspec.structs.replace(SYNC, **changes)


def met(first: str, here: Fields, there: Fields, category: str = "contact") -> Pair:
    """Both vendors know somebody; the records are seen one after the other."""
    pair = Pair(category)
    pair.desks[first].add(**here)
    pair.read(first)
    pair.desks[other(first)].add(**there)
    pair.read(other(first))
    return pair


def links(pair: Pair) -> list[str]:
    return [link.rule for link in pair.told(RecordsLinked)]


def holds(pair: Pair) -> list[str]:
    return [held.reason for held in pair.told(EntityHeld)]


# Step 1: the reference


@BOTH_WAYS
@pytest.mark.parametrize("category", ["contact", "company"])
def test_a_reference_links_before_everything_else(first: str, category: str) -> None:
    pair = Pair(category)
    fields = ANNA if category == "contact" else FJORD
    for vendor in (first, other(first)):
        reference = ADR if vendor == PROPSTREET else None
        different: Fields = {"email": "b@example.se", "phone": None, "first_name": "Beata"}
        changed = different if category == "contact" else {"name": "Other AB", "organisation_number": None}
        pair.desks[vendor].add(reference=reference, **(fields | changed if vendor == VITEC else fields))
        pair.read(vendor)
    pair.decide()
    assert links(pair) == ["reference"]


def test_a_reference_to_a_vitec_record_that_is_not_here_is_held() -> None:
    pair = Pair()
    pair.propstreet.add(reference="ADRGONE", **ANNA)
    assert pair.sync_up() == 0
    assert holds(pair) == ["unknown_reference"]
    pair.vitec.add("ADRGONE", **ANNA)  # it turns up after all
    pair.sync_up()
    assert links(pair) == ["reference"]


def test_a_reference_to_a_record_that_is_linked_already_is_held() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.sync_up()
    pair.propstreet.add("790", reference=ADR, **ANNA | {"email": "b@example.se"})
    pair.sync_up()
    assert holds(pair) == ["taken"]


def test_a_reference_to_another_record_than_the_linked_one_is_shown_and_not_overwritten() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.propstreet.rows[KEY].reference = "ADRGONE"
    pair.propstreet.edit()
    pair.sync_up()
    assert links(pair) == ["email"]
    assert [(h.want.keys(), h.reason) for h in pair.told(CommandHeld)] == [({"reference"}, "not_writable")]
    assert pair.propstreet.rows[KEY].reference == "ADRGONE"


# Step 2: the e-mail, the organisation number


@BOTH_WAYS
def test_one_e_mail_in_two_spellings_links_and_the_reference_follows(first: str) -> None:
    here, there = ANNA, ANNA | {"email": "ANNA@Example.SE", "first_name": "Ann", "phone": None}
    pair = met(first, here, there)
    pair.decide()
    assert links(pair) == ["email"]
    pair.sync_up()
    assert pair.propstreet.rows[KEY].reference == ADR


@BOTH_WAYS
def test_one_organisation_number_with_and_without_its_dash_links(first: str) -> None:
    pair = met(first, FJORD, FJORD | {"organisation_number": "5566778899", "website": None}, "company")
    pair.decide()
    assert links(pair) == ["orgno"]


# Step 3: name and phone, the domain


@BOTH_WAYS
def test_one_name_and_phone_links_when_no_e_mail_contradicts(first: str) -> None:
    pair = met(first, ANNA | {"email": None}, ANNA | {"phone": "070-174 06 05"})
    pair.decide()
    assert links(pair) == ["name_phone"]


@BOTH_WAYS
def test_one_name_and_phone_with_another_e_mail_is_held(first: str) -> None:
    pair = met(first, ANNA, ANNA | {"email": "other@example.se"})
    pair.decide()
    assert links(pair) == []
    assert set(holds(pair)) == {"contradiction"}


def test_one_name_and_phone_waits_for_the_operator_where_that_is_configured() -> None:
    pair = met(VITEC, ANNA | {"email": None}, ANNA)
    pair.sync = sync(match_name_phone="hold")
    pair.decide()
    assert links(pair) == []
    assert set(holds(pair)) == {"name_phone"}


@pytest.mark.parametrize("change", [{"phone": None}, {"phone": "växeln"}, {"last_name": "Bergh"}])
def test_half_of_name_and_phone_links_nobody(change: Fields) -> None:
    pair = met(VITEC, ANNA | {"email": None} | change, ANNA | {"email": None})
    pair.decide()
    assert links(pair) == []
    assert holds(pair) == []


@BOTH_WAYS
def test_one_domain_links_companies_when_no_number_contradicts(first: str) -> None:
    pair = met(
        first, FJORD, FJORD | {"organisation_number": None, "website": "http://fjord.example"}, "company"
    )
    pair.decide()
    assert links(pair) == ["domain"]


@BOTH_WAYS
def test_one_domain_with_another_number_is_another_company(first: str) -> None:
    pair = met(first, FJORD, FJORD | {"organisation_number": "5599999009"}, "company")
    pair.sync_up()
    assert links(pair) == ["created", "created"]
    assert holds(pair) == []


def test_of_several_companies_with_one_domain_only_those_count_whose_number_does_not_contradict() -> None:
    pair = Pair("company")
    pair.propstreet.add("1", **FJORD | {"organisation_number": None})
    pair.propstreet.add("2", **FJORD | {"organisation_number": "5599999009"})
    pair.read(PROPSTREET)
    pair.vitec.add(**FJORD)
    pair.read(VITEC)
    pair.carry(pair.plan(pair.entity_of(VITEC, ADR)))
    [link] = pair.told(RecordsLinked)
    assert (link.rule, link.propstreet) == ("domain", "1")


def test_a_domain_that_many_share_links_nobody() -> None:
    shared = {"organisation_number": None, "website": "https://www.facebook.com/fjord"}
    pair = met(VITEC, FJORD | shared, FJORD | shared | {"name": "Annat AB"}, "company")
    pair.decide()
    assert links(pair) == []


# Step 4: several, or only alike


@BOTH_WAYS
@pytest.mark.parametrize(
    ("category", "fields"),
    [("contact", ANNA), ("contact", ANNA | {"email": None}), ("company", FJORD)],
)
def test_several_candidates_are_held_and_named(first: str, category: str, fields: Fields) -> None:
    pair = Pair(category)
    far = other(first)
    for record in ("R1", "R2"):
        pair.desks[far].add(record, **fields)
    pair.read(far)
    pair.desks[first].add(**fields)
    pair.read(first)
    pair.carry(pair.plan(next(e for e in pair.fold.entities.by_id.values() if first in e.sides)))
    [held] = pair.told(EntityHeld)
    assert held.reason == "ambiguous"
    assert held.candidates == (f"{far}:R1", f"{far}:R2")
    assert links(pair) == []


@pytest.mark.parametrize(
    ("category", "fields"),
    [
        ("contact", ANNA | {"email": None}),
        ("company", FJORD),
        ("company", FJORD | {"organisation_number": None}),
    ],
)
@BOTH_WAYS
def test_several_candidates_are_held_whichever_of_them_is_looked_at(
    first: str, category: str, fields: Fields
) -> None:
    pair = Pair(category)
    pair.desks[first].add(**fields)
    for record in ("R1", "R2"):
        pair.desks[other(first)].add(record, **fields)
    pair.sync_up()
    assert links(pair) == []


def test_a_hold_is_said_once_and_let_go_when_its_cause_is_gone() -> None:
    pair = met(VITEC, ANNA, ANNA | {"email": "other@example.se"})
    pair.decide()
    pair.decide()
    assert holds(pair) == ["contradiction", "contradiction"]  # once for each of the two
    pair.propstreet.edit(email=ANNA["email"])
    pair.sync_up()
    assert links(pair) == ["email"]
    assert pair.told(EntityReleased)
    assert pair.entity.hold is None


def test_a_company_of_the_same_name_and_nothing_else_is_held() -> None:
    bare = {"organisation_number": None, "website": None}
    pair = met(PROPSTREET, FJORD | bare, FJORD | bare, "company")
    pair.sync = sync(companies="to_propstreet")
    pair.sync_up()
    assert len(pair.propstreet.rows) == 1


# Step 5: nobody


@pytest.mark.parametrize(("category", "fields"), [("contact", ANNA), ("company", FJORD)])
@BOTH_WAYS
def test_who_is_known_to_one_side_only_is_created_at_the_other(
    first: str, category: str, fields: Fields
) -> None:
    pair = Pair(category)
    pair.desks[first].add(**fields)
    pair.sync_up()
    assert links(pair) == ["created"]
    [row] = pair.desks[other(first)].rows.values()
    assert all(same(name, row.fields.get(name), value) for name, value in fields.items())
    [record] = pair.propstreet.rows.values()
    assert record.reference in pair.vitec.rows
    assert pair.sync_up() == 0


def test_nothing_is_created_before_the_first_poll_of_both_vendors_is_complete() -> None:
    pair = Pair()
    pair.ready = False
    pair.vitec.add(**ANNA)
    assert pair.sync_up() == 0
    pair.ready = True
    assert pair.sync_up() == 1


def test_a_create_is_one_command_with_every_field_and_the_reference() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read()
    pair.decide()
    [issued] = pair.told(CommandIssued)
    assert (issued.target, issued.record, issued.reference) == (PROPSTREET, None, ADR)
    assert set(issued.want) == set(ANNA)


def test_a_create_that_became_outdated_before_it_was_sent_is_replaced() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.read()
    pair.decide()
    pair.vitec.edit(first_name="Anne")
    pair.read()
    assert pair.attempt(PROPSTREET) is None
    pair.sync_up()
    [row] = pair.propstreet.rows.values()
    assert row.fields["first_name"] == "Anne"


def test_a_contact_that_vitec_cannot_reach_is_held_and_created_once_it_can() -> None:
    pair = Pair()
    pair.propstreet.add(**ANNA | {"email": None, "phone": None})
    assert pair.sync_up() == 0
    [held] = pair.told(CommandHeld)
    assert (held.target, held.reason) == (VITEC, "needs_channel")
    pair.propstreet.edit(email="anna@example.se")
    pair.sync_up()
    assert links(pair) == ["created"]


def test_a_create_with_a_field_that_is_held_is_decided_once() -> None:
    pair = Pair()
    pair.propstreet.add(**ANNA | {"first_name": "A" * 31})
    pair.read()
    assert [type(d) for d in pair.decide()] == [CommandHeld, CommandIssued]
    assert pair.decide() == []


def test_a_create_with_a_field_that_is_held_writes_the_others() -> None:
    pair = Pair()
    pair.propstreet.add(**ANNA | {"first_name": "A" * 31})
    pair.read()
    pair.decide()
    assert pair.deliver(VITEC)
    pair.sync_up()
    [row] = pair.vitec.rows.values()
    assert row.fields["email"] == ANNA["email"]
    assert not row.fields.get("first_name")
    assert pair.propstreet.value("first_name") == "A" * 31


@pytest.mark.parametrize("reason", ["ambiguous", "unknown_reference"])
def test_a_hold_takes_back_the_create_that_was_not_sent_yet(reason: str) -> None:
    pair = Pair()
    if reason == "ambiguous":
        pair.vitec.add(**ANNA)
        pair.read()
        pair.decide()
        for record in ("R1", "R2"):
            pair.propstreet.add(record, **ANNA)
        entity = pair.entity_of(VITEC, ADR)
    else:
        pair.propstreet.add(**ANNA)
        pair.read()
        pair.decide()
        pair.propstreet.rows[KEY].reference = "ADRGONE"
        pair.propstreet.edit()
        entity = pair.entity_of(PROPSTREET, KEY)
    pair.read()
    pair.carry(pair.plan(entity))
    assert entity.hold is not None
    assert entity.hold.reason == reason
    assert not entity.pending


# What is configured


@pytest.mark.parametrize(
    ("direction", "first", "created"),
    [
        ("both", VITEC, True),
        ("both", PROPSTREET, True),
        ("to_propstreet", VITEC, True),
        ("to_propstreet", PROPSTREET, False),
        ("to_vitec", VITEC, False),
        ("to_vitec", PROPSTREET, True),
        ("off", VITEC, False),
        ("off", PROPSTREET, False),
    ],
)
@pytest.mark.parametrize(("category", "fields"), [("contact", ANNA), ("company", FJORD)])
def test_a_record_is_created_only_in_the_configured_direction(
    direction: Direction, first: str, created: bool, category: str, fields: Fields
) -> None:
    pair = Pair(category, sync=sync(**{"contacts" if category == "contact" else "companies": direction}))
    pair.desks[first].add(**fields)
    pair.sync_up()
    assert bool(pair.desks[other(first)].rows) is created


def test_a_direction_does_not_hinder_a_link() -> None:
    pair = met(PROPSTREET, ANNA, ANNA)
    pair.sync = sync(contacts="to_vitec")
    pair.decide()
    assert links(pair) == ["email"]


def test_new_records_of_propstreet_wait_where_that_is_configured() -> None:
    pair = Pair(sync=sync(new_from_propstreet="hold"))
    pair.propstreet.add(**ANNA)
    assert pair.sync_up() == 0
    assert holds(pair) == ["new"]
    pair.vitec.add(**ANNA)
    pair.sync_up()
    assert links(pair) == ["email"]


def test_only_tagged_records_of_propstreet_are_created_where_that_is_configured() -> None:
    pair = Pair(sync=sync(new_from_propstreet=OnlyTagged("oslo")))
    pair.propstreet.add(**ANNA)
    assert pair.sync_up() == 0
    assert holds(pair) == []
    pair.propstreet.rows[KEY].labels = ("oslo",)
    pair.propstreet.edit()
    pair.sync_up()
    assert len(pair.vitec.rows) == 1


def test_a_record_of_vitec_needs_no_tag() -> None:
    pair = Pair(sync=sync(new_from_propstreet=OnlyTagged("oslo")))
    pair.vitec.add(**ANNA)
    assert pair.sync_up() == 1


# The first start


def first_seen(pair: Pair, vendor: str) -> None:
    """What the very first poll found at a vendor."""
    for record in pair.desks[vendor].rows:
        payload = pair.desks[vendor].payload(record)
        pair.append([pair.as_read(vendor, record, payload, pair.head, "poll", first=True)])


def test_what_only_the_first_poll_saw_waits_until_it_is_released() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    first_seen(pair, VITEC)
    assert dormant(pair.entity)
    assert pair.decide() == []
    pair.sync = sync(first_sync="now")
    assert [type(d) for d in pair.decide()] == [CommandIssued]


def test_a_record_that_is_edited_after_the_first_start_is_synced_at_once() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    first_seen(pair, VITEC)
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    assert [type(d) for d in pair.decide()] == [CommandIssued]


# Links and ids


@BOTH_WAYS
def test_the_older_record_gives_the_entity_its_id_and_the_younger_resolves_to_it(first: str) -> None:
    pair = met(first, ANNA, ANNA)
    older, younger = (pair.entity_of(v, {VITEC: ADR, PROPSTREET: KEY}[v]).id for v in (first, other(first)))
    pair.decide()
    assert pair.entity.id == older
    assert pair.fold.entities.resolve(younger) is pair.entity
    assert pair.entity.seen == 1


def test_a_new_link_begins_without_a_base() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.sync_up()
    assert pair.entity.base
    pair.tell(RecordsLinked(pair.entity.id, ADR, KEY, "operator"))
    assert pair.entity.base == {}


def test_a_changed_e_mail_does_not_unlink() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.sync_up()
    pair.vitec.edit(email="new@example.se")
    pair.sync_up()
    assert pair.values("email") == ("new@example.se", "new@example.se")
    assert links(pair) == ["email"]


def test_a_create_that_was_held_is_taken_back_by_a_link() -> None:
    pair = Pair()
    pair.vitec.add(**ANNA | {"phone": None})
    pair.sync = sync(contacts="to_vitec")
    pair.sync_up()
    pair.propstreet.add(**ANNA | {"email": None, "phone": None})
    pair.sync_up()
    assert [h.reason for h in pair.told(CommandHeld)] == ["needs_channel"]
    pair.propstreet.edit(email=ANNA["email"])
    pair.sync_up()
    assert links(pair) == ["email"]
    assert [row.state for row in pair.fold.commands.values()] == ["superseded"]


# Out of scope


@pytest.mark.parametrize("kind", ["DeceasedEstate", "Association"])
def test_estates_of_the_deceased_and_associations_are_left_alone(kind: str) -> None:
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.vitec.rows[ADR].extra = {"type": kind}
    assert pair.sync_up() == 0
    assert holds(pair) == []


def test_a_person_who_died_is_held_and_nothing_is_written() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.sync_up()
    pair.vitec.rows[ADR].extra = {"isDeceased": True}
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 0
    assert holds(pair) == ["deceased"]


def test_a_payload_that_cannot_be_read_holds_the_entity_until_it_can() -> None:
    pair = met(VITEC, ANNA, ANNA)
    pair.sync_up()
    pair.vitec.rows[ADR].extra = {"firstName": {"not": "a text"}}
    pair.glance(VITEC).arrive()
    assert [type(d) for d in pair.decide()] == [EntityHeld]
    pair.vitec.rows[ADR].extra = {}
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    assert pair.values("first_name") == ("Anne", "Anne")
    assert pair.entity.hold is None


def test_another_mapping_links_by_the_same_rules() -> None:
    pair = Pair(options=msgspec.structs.replace(OPTIONS, region="NO"))
    pair.vitec.add(**ANNA | {"email": None, "phone": "400 00 001"})
    pair.propstreet.add(**ANNA | {"email": None, "phone": "+4740000001"})
    pair.sync_up()
    assert links(pair) == ["name_phone"]
