"""The mapping rules of person-company links, notes and properties, by their ids (sections 3, 5 and 15)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.mappings import lens, propstreet_note, vitec_note
from daemon.mappings.lens import Hold, Options, Patch
from daemon.mappings.notes import REVISION
from daemon.mappings.vitec_link import links_in
from daemon.mappings.vitec_property import property_in

HERE_LINK, THERE_LINK = lens("vitec", "link"), lens("propstreet", "link")
HERE_NOTE, THERE_NOTE = lens("vitec", "note"), lens("propstreet", "note")
HERE_PLACE, THERE_PLACE = lens("vitec", "property"), lens("propstreet", "property")
PLAIN = Options()
SIGNATORIES = Options(signatory_links=True)


def raw(**payload: Any) -> bytes:
    return json.dumps(payload).encode()


def reasons(holds: tuple[Hold, ...]) -> dict[str, str]:
    return {hold.field: hold.reason for hold in holds}


# Links


def relation(kind: Any, contact: str) -> dict[str, Any]:
    return {"relation": kind, "contactId": contact}


def links(options: Options, *rows: Any, reverse: Any = ()) -> dict[str, Value]:
    """The job titles of a company's links, by external id."""
    payload = raw(relations=list(rows), reverseRelations=list(reverse))
    return {
        key: HERE_LINK.get(link, PLAIN).fields["job_title"]
        for key, link in links_in("ADR9", payload, options)
    }


@pytest.mark.parametrize("kind", ["CompanyContactPerson", 4, "4"])
def test_a_contact_person_is_a_link_without_a_title(kind: Any) -> None:  # K1
    for found in (links(PLAIN, relation(kind, "ADR1")), links(PLAIN, reverse=[relation(kind, "ADR1")])):
        assert found == {"ADR9:ADR1": None}


@pytest.mark.parametrize("kind", ["CompanySignatory", 3, "3"])
def test_a_signatory_is_a_link_only_where_that_is_switched_on(kind: Any) -> None:  # K2
    assert links(PLAIN, relation(kind, "ADR1")) == {}
    assert links(SIGNATORIES, relation(kind, "ADR1")) == {"ADR9:ADR1": "Firmatecknare"}


@pytest.mark.parametrize("kinds", [(3, 4), (4, 3), ("CompanySignatory", 4), (4, 4, 3)])
def test_who_is_both_is_a_contact_person_once(kinds: Any) -> None:
    assert links(SIGNATORIES, *(relation(kind, "ADR1") for kind in kinds)) == {"ADR9:ADR1": None}


@pytest.mark.parametrize("kind", ["EstateParty", 2, 5, "Guardian", 100, None, "", 0])
def test_other_relations_are_ignored(kind: Any) -> None:  # K6
    assert links(SIGNATORIES, relation(kind, "ADR1")) == {}


def test_a_company_without_relations_has_no_links() -> None:
    assert links_in("ADR9", b"{}", PLAIN) == links_in("ADR9", b'{"relations": null}', PLAIN) == ()
    assert links(PLAIN, relation(4, "")) == {}
    with pytest.raises(UntranslatablePayload):
        links_in("ADR9", b'{"relations": [{"relation": 4}]}', PLAIN)


def test_a_link_knows_whom_it_joins() -> None:
    [(key, payload)] = links_in("ADR9", raw(relations=[relation(4, "ADR1")]), PLAIN)
    here = HERE_LINK.get(payload, PLAIN)
    assert (here.external_id, here.parts) == (key, {"company": "ADR9", "contact": "ADR1"})
    there = THERE_LINK.get(raw(id=31, contactId="7", companyId=8, jobTitle="CFO", etag='"1"'), PLAIN)
    assert (there.external_id, there.parts, there.etag) == ("31", {"contact": "7", "company": "8"}, '"1"')
    assert there.fields == {"job_title": "CFO"}


def test_no_link_is_written_at_vitec() -> None:  # K3, H7
    [(_, payload)] = links_in("ADR9", raw(relations=[relation(4, "ADR1")]), PLAIN)
    patch = HERE_LINK.put({"job_title": "CFO"}, payload, PLAIN)
    assert (patch.body, reasons(patch.holds)) == ({}, {"job_title": "not_writable"})
    assert reasons(HERE_LINK.cannot_hold({}, None, PLAIN)) == {"*": "not_writable"}


def test_a_link_is_made_at_propstreet_with_a_title_or_without() -> None:
    assert THERE_LINK.put({"job_title": None}, None, PLAIN) == Patch({})
    assert THERE_LINK.put({"job_title": "Firmatecknare"}, None, PLAIN) == Patch({"jobTitle": "Firmatecknare"})
    assert THERE_LINK.put({"job_title": None}, raw(id="31", jobTitle="CFO"), PLAIN) == Patch(
        {"jobTitle": None}
    )


@pytest.mark.parametrize(("count", "held"), [(255, {}), (256, {"job_title": "too_long"})])
def test_a_title_that_is_too_long_is_held(count: int, held: dict[str, str]) -> None:  # G4
    assert reasons(THERE_LINK.put({"job_title": "å" * count}, raw(id="31"), PLAIN).holds) == held


def test_a_link_has_no_reference() -> None:
    patch = THERE_LINK.put({"reference": "ADR9:ADR1"}, raw(id="31"), PLAIN)
    assert (patch.body, reasons(patch.holds)) == ({}, {"reference": "not_writable"})


# Notes


def row(text: Any = "Ringte", **more: Any) -> bytes:
    return raw(id="NOT1", date="2026-08-31T11:46:09", userId="HAN1", text=text, **more)


def action(message: Any = "Called", **more: Any) -> bytes:
    return raw(id=455, timestampUtc="2025-10-01T09:15:00Z", **({"details": {"message": message}} | more))


def test_notes_are_read() -> None:
    here = HERE_NOTE.get(vitec_note.note_of("ADR1", row(), "OBJ1_1"), PLAIN)
    assert (here.external_id, here.fields) == ("NOT1", {"text": "Ringte"})
    assert here.parts == {"project": "OBJ1_1", "contact": "ADR1"}  # N10
    assert here.changed == here.created == datetime(2026, 8, 31, 9, 46, 9, tzinfo=UTC)
    there = THERE_NOTE.get(propstreet_note.note_of(action(type="note"), contact="7"), PLAIN)
    assert (there.external_id, there.fields, there.parts) == ("455", {"text": "Called"}, {"contact": "7"})
    assert there.changed == there.created == datetime(2025, 10, 1, 9, 15, tzinfo=UTC)


def test_a_note_without_an_estate_is_the_contacts() -> None:
    assert HERE_NOTE.get(vitec_note.note_of("ADR1", row()), PLAIN).parts == {"contact": "ADR1"}


@pytest.mark.parametrize("owners", [{"company": "8"}, {"prospect": "77", "project": "12"}])
def test_a_note_at_propstreet_belongs_to_a_company_or_a_prospect_as_well(owners: Any) -> None:
    content = THERE_NOTE.get(propstreet_note.note_of(action(), **owners), PLAIN)
    assert content.parts == owners


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "call"},
        {"type": "note", "details": {"message": "Called", "type": "call"}},
        {"details": {"message": "Called", "kind": "Call"}},
    ],
)
def test_the_type_of_a_note_goes_in_front_of_its_text(kind: Any) -> None:  # N18
    content = THERE_NOTE.get(propstreet_note.note_of(action(**kind), contact="7"), PLAIN)
    assert content.fields["text"] == "Call: Called"


def test_the_raw_row_of_a_note_is_kept() -> None:
    for payload in (
        vitec_note.note_of("ADR1", b'{"id":  "NOT1"}'),
        propstreet_note.note_of(b'{"id":  1}', contact="7"),
    ):
        assert b'{"id":  ' in payload


def test_a_note_is_added() -> None:
    for notes in (HERE_NOTE, THERE_NOTE):
        assert notes.put({"text": " Ringte\r\nigjen "}, None, PLAIN) == Patch({"text": "Ringte\r\nigjen"})
        for nothing in (None, "", " \n"):
            assert reasons(notes.cannot_hold({"text": nothing}, None, PLAIN)) == {"*": "invalid"}


@pytest.mark.parametrize(("count", "held"), [(10_000, {}), (10_001, {"text": "too_long", "*": "invalid"})])
def test_a_note_that_is_too_long_for_propstreet_is_held(count: int, held: dict[str, str]) -> None:  # N11
    assert reasons(THERE_NOTE.cannot_hold({"text": "å" * count}, None, PLAIN)) == held
    assert HERE_NOTE.cannot_hold({"text": "å" * count}, None, PLAIN) == ()  # N12


def test_a_note_is_never_rewritten() -> None:  # N15
    for notes, present in (
        (HERE_NOTE, vitec_note.note_of("ADR1", row())),
        (THERE_NOTE, propstreet_note.note_of(action(), contact="7")),
    ):
        patch = notes.put({"text": "Annet"}, present, PLAIN)
        assert (patch.body, reasons(patch.holds)) == ({}, {"text": "not_writable"})
    assert HERE_NOTE.put({"text": "a\nb"}, vitec_note.note_of("ADR1", row("a\r\nb ")), PLAIN) == Patch({})


@pytest.mark.parametrize(
    "revision",
    [
        action(details={"message": "Called", "supersedesActivityId": "454"}),
        action(details={"message": "Called", "supersedesActivityId": 454}),
        action(supersedesActivityId="454"),
    ],
)
def test_a_note_that_replaces_another_one_says_so(revision: bytes) -> None:  # N15
    assert THERE_NOTE.get(propstreet_note.note_of(revision, contact="7"), PLAIN).flags == (REVISION,)
    assert THERE_NOTE.get(propstreet_note.note_of(action(), contact="7"), PLAIN).flags == ()


@pytest.mark.parametrize("odd", [b"{}", b'{"id": "1", "text": 5, "details": 5}', b"7"])
def test_an_odd_note_is_refused(odd: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        HERE_NOTE.get(vitec_note.note_of("ADR1", odd), PLAIN)
    with pytest.raises(UntranslatablePayload):
        THERE_NOTE.get(propstreet_note.note_of(odd, contact="7"), PLAIN)


# Properties

COORDINATE = {"latitud": 59.913868, "longitud": "10.752245"}


def estate(base: Any = None, **payload: Any) -> bytes:
    address = {"streetAddress": "Storgatan 1", "city": "Oslo", "coordinate": COORDINATE}
    return raw(
        estateId="OBJ1_1", baseInformation={"objectAddress": address} if base is None else base, **payload
    )


def placed(payload: bytes) -> Any:
    place = property_in(payload)
    assert place is not None
    return HERE_PLACE.get(place, PLAIN)


def test_the_property_behind_an_estate_is_read() -> None:
    content = placed(
        estate(
            dateChanged="2026-08-31T11:46:09",
            price={"price": 12_500_000},
            marketedAs=["OfficeProperty", "RetailProperty", "TransactionProperty"],
            assignment={"status": {"id": "3", "name": "Till salu"}},
        )
    )
    assert (content.external_id, content.parts) == ("OBJ1_1", {"project": "OBJ1_1"})
    assert content.fields == {
        "name": "Storgatan 1, Oslo",
        "location": "59.913868,10.752245",
        "categories": ("office", "retail"),
        "price": "12500000 SEK",
    }
    assert content.changed == datetime(2026, 8, 31, 9, 46, 9, tzinfo=UTC)


def test_a_multi_unit_project_has_a_property_too() -> None:
    base = {"projectName": "Kvarnen", "address": {"coordinate": COORDINATE}}
    assert placed(estate(base)).fields == {"name": "Kvarnen", "location": "59.913868,10.752245"}


@pytest.mark.parametrize(
    "coordinate",
    [
        None,
        {},
        {"latitud": 59.9},
        {"latitud": 0, "longitud": 0},
        {"latitud": "", "longitud": ""},
        {"latitud": 91, "longitud": 0},
    ],
)
def test_an_estate_without_a_place_on_earth_has_no_property(coordinate: Any) -> None:
    assert (
        property_in(estate({"objectAddress": {"streetAddress": "Storgatan 1", "coordinate": coordinate}}))
        is None
    )
    assert property_in(estate({"objectAddress": None})) is None


def test_a_hidden_address_tells_no_place_and_clears_one_that_was_told() -> None:  # section 18
    place = property_in(estate(advertiseOn={"hideAddress": True}, assignment={"estatenumber": "17-4"}))
    assert place is not None
    assert b"Storgatan" not in place
    assert b"59.9" not in place
    fields = HERE_PLACE.get(place, PLAIN).fields
    assert fields == {"name": "17-4", "location": None}
    present = raw(id="5", name="17-4", location={"latitude": 59.913868, "longitude": 10.752245})
    assert THERE_PLACE.put(fields, present, PLAIN) == Patch({"location": None})
    assert reasons(THERE_PLACE.cannot_hold(fields, None, PLAIN)) == {"*": "invalid"}
    assert placed(estate(advertiseOn={"hideAddress": False})).fields["location"] == "59.913868,10.752245"


def test_a_hidden_price_of_a_property_is_cleared() -> None:  # E6
    for payload in (
        estate(price={"price": 5}, advertiseOn={"hidePrice": True}),
        estate(price={"price": 5, "offer": True}),
    ):
        assert placed(payload).fields["price"] is None
    assert "price" not in placed(estate(price={"price": 0})).fields


def test_a_property_does_not_change_with_the_status() -> None:
    statuses = ({"id": "3", "name": "Till salu"}, {"id": "4", "name": "Såld"})
    assert len({property_in(estate(assignment={"status": status})) for status in statuses}) == 1


@pytest.mark.parametrize(
    ("marketed", "categories"),
    [
        ("OfficeProperty", ("office",)),
        ("OfficeProperty, WarehouseProperty", ("office", "warehouse")),
        ({"industrialProperty": True, "retailProperty": False}, ("industrial",)),
        (["ResidentialProperty", "PremisesProperty"], ("premises", "residential")),
        (["HotelProperty"], None),
        ([7, None], None),
        (7, None),
        (None, None),
    ],
)
def test_what_an_estate_is_marketed_as_gives_its_categories(marketed: Any, categories: Any) -> None:
    assert placed(estate(marketedAs=marketed)).fields.get("categories") == categories


def test_nothing_of_a_property_is_writable_at_vitec() -> None:
    place = property_in(estate())
    for field, value in (("name", "x"), ("location", "1,1"), ("categories", ("office",)), ("price", "1 SEK")):
        patch = HERE_PLACE.put({field: value}, place, PLAIN)
        assert (patch.body, reasons(patch.holds)) == ({}, {field: "not_writable"})
    assert reasons(HERE_PLACE.cannot_hold({}, None, PLAIN)) == {"*": "not_writable"}


def test_a_property_is_made_at_propstreet_and_read_back() -> None:
    want = placed(estate(price={"price": 5}, marketedAs="OfficeProperty")).fields
    body = THERE_PLACE.put(want | {"reference": "OBJ1_1"}, None, PLAIN).body
    assert body == {
        "name": "Storgatan 1, Oslo",
        "location": {"latitude": 59.913868, "longitude": 10.752245},
        "categories": ["office"],
        "price": {"value": 5, "currency": "SEK", "scale": "none"},
        "externalRefs": [{"namespace": "vitec-next", "id": "OBJ1_1"}],
    }
    content = THERE_PLACE.get(raw(id="5", **body), PLAIN)
    assert (content.fields, content.reference) == (want, "OBJ1_1")
    assert THERE_PLACE.put(want, raw(id="5", **body), PLAIN) == Patch({})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", " ", "cannot_clear"),
        ("name", "x" * 201, "too_long"),
        ("location", "here", "invalid"),
        ("price", "x", "invalid"),
    ],
)
def test_what_propstreet_does_not_take_of_a_property_is_held(field: str, value: Value, reason: str) -> None:
    patch = THERE_PLACE.put({field: value}, raw(id="5", name="y", location=None, price=None), PLAIN)
    assert (patch.body, reasons(patch.holds)) == ({}, {field: reason})


def test_a_property_without_a_name_is_not_made() -> None:
    assert reasons(THERE_PLACE.cannot_hold({"location": "1,1"}, None, PLAIN)) == {"*": "needs_name"}


@pytest.mark.parametrize(
    "odd",
    [b"{}", estate(base=5), estate({"objectAddress": {"coordinate": {"latitud": "nord", "longitud": 1}}})],
)
def test_an_odd_estate_gives_no_property(odd: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        property_in(odd)


@pytest.mark.parametrize(
    "odd",
    [b"{}", raw(id="5", location={"latitude": "nord", "longitude": 1}), raw(id="5", categories="office")],
)
def test_an_odd_property_is_refused(odd: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        THERE_PLACE.get(odd, PLAIN)
