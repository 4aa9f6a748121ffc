"""Leads: what is taken, what is refused and in which words, when two are the same, and what Vitec gets."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mappings.leads import (
    Call,
    FieldError,
    InvalidLead,
    Lead,
    LeadKind,
    NotJson,
    Unsendable,
    call_of,
    parse,
)

PAYLOADS = Path(__file__).parents[1] / "payloads"
REALAI = (PAYLOADS / "leads/realai_lead.json").read_bytes()
WATCH = (PAYLOADS / "leads/final_price_watched.json").read_bytes()
WATCH_BY_CURL = (PAYLOADS / "leads/final_price_watched_curl.json").read_bytes()
INTEREST = (PAYLOADS / "vitec/send_interest_and_contact_on_estate.json").read_bytes()
INTEREST_BY_CURL = (PAYLOADS / "vitec/send_interest_and_contact_on_estate_curl.json").read_bytes()

PATH = {"customerId": "M11385", "estateId": "OBJ1"}
NOON = datetime(2026, 1, 27, 11, 0, tzinfo=UTC)
NEEDS_CHANNEL = "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."
KINDS: tuple[LeadKind, ...] = ("lead", "interest", "final_price")
SAMPLES: dict[LeadKind, bytes] = {"lead": REALAI, "interest": INTEREST, "final_price": WATCH}
GONE = object()
"""Instead of a value: the field is absent."""


def changed(body: bytes, *changes: tuple[str, object]) -> bytes:
    """A body with other values at dotted places."""
    document = json.loads(body)
    for place, value in changes:
        *outer, name = place.split(".")
        inner = document
        for step in outer:
            inner = inner[step]
        inner[name] = value
        if value is GONE:
            del inner[name]
    return json.dumps(document).encode()


def read(kind: LeadKind, body: bytes, *, strict: bool = False) -> Lead:
    return parse(kind, body, path=PATH if kind == "final_price" else {}, strict=strict)


def errors(kind: LeadKind, body: bytes, *, strict: bool = False) -> dict[str, str]:
    """The errors of a body: dotted places below the body, and words."""
    with pytest.raises(InvalidLead) as refusal:
        read(kind, body, strict=strict)
    assert all(error.loc[0] in ("body", "path") for error in refusal.value.errors)
    found = {".".join(error.loc).removeprefix("body."): error.msg for error in refusal.value.errors}
    assert len(found) == len(refusal.value.errors)
    return found


# Samples


def test_every_sample_is_read_here() -> None:
    names = {path.name for path in (PAYLOADS / "leads").iterdir()}
    assert names == {"realai_lead.json", "final_price_watched.json", "final_price_watched_curl.json"}


def test_the_sample_of_a_valuation_lead_is_read() -> None:
    lead = parse("lead", REALAI, strict=False)
    assert (lead.kind, lead.customer_id, lead.estate_id) == ("lead", "ABC123", None)
    assert (lead.email, lead.phone) == ("erik.andersson@example.com", "+46701234567")
    assert lead.name == "Erik Andersson"


def test_the_sample_of_an_interest_is_read() -> None:
    lead = parse("interest", INTEREST)
    assert (lead.kind, lead.customer_id, lead.estate_id) == ("interest", "sample string 8", "sample string 1")
    assert (lead.email, lead.phone) == ("sample string 1", "sample string 6")
    assert lead.name == "sample string 1 sample string 2"


def test_the_sample_of_a_final_price_watch_is_read() -> None:
    lead = parse("final_price", WATCH, path=PATH)
    assert (lead.kind, lead.customer_id, lead.estate_id) == ("final_price", "M11385", "OBJ1")
    assert (lead.email, lead.phone) == ("sample string 1", "sample string 3")
    assert lead.name == "sample string 1 sample string 2"


def test_curls_samples_lack_what_vitec_asks_for() -> None:
    assert errors("interest", INTEREST_BY_CURL) == {
        "updatePerson.customerId": "Kundid krävs",
        "updatePerson.email.emailAddress": NEEDS_CHANNEL,
    }
    assert errors("final_price", WATCH_BY_CURL) == {"person.email.emailAddress": NEEDS_CHANNEL}


# RealAI's lead: what is necessary

NECESSARY = {
    "customer.customer_id": "field required",
    "customer.lead_id": "field required",
    "person.first_name": "field required",
    "person.last_name": "field required",
    "person.email": "field required",
    "person.phone": "field required",
    "person.address": "field required",
    "property.valuation": "field required",
    "property.property_sub_type": "field required",
}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"customer":null,"person":null,"property":null}',
        b'{"customer":{},"person":{},"property":{}}',
        b'{"person":{"email":"","phone":" \\t","first_name":null},"property":{"valuation":"","property_sub_type":" "}}',
    ],
)
def test_every_missing_field_is_named_at_once(body: bytes) -> None:
    assert errors("lead", body) == NECESSARY


def test_the_newest_revision_asks_for_two_fields_more() -> None:
    sample = changed(REALAI, ("person.zip_code", GONE))
    assert errors("lead", sample, strict=True) == {
        "person.zip_code": "field required",
        "person.qualification": "field required",
    }
    assert read("lead", sample)
    assert read("lead", changed(REALAI, ("person.qualification", "Angett flytt inom 12 mån")), strict=True)


@pytest.mark.parametrize("value", [None, GONE, "", "  "])
def test_optional_values_may_be_null_absent_or_blank(value: object) -> None:
    optional = (
        *("person.zip_code", "person.city", "property.living_area", "property.rooms"),
        *("property.secondary_area", "property.lot_size_area", "property.year_built"),
        *("property.occupant_type", "property.association_fee"),
    )
    bare = changed(REALAI, *((place, GONE) for place in optional))
    assert read("lead", changed(REALAI, *((place, value) for place in optional))) == read("lead", bare)


@pytest.mark.parametrize(
    ("place", "documented", "slack"),
    [
        ("property.valuation", 5500000, "5500000"),
        ("property.valuation", 5500000, 5500000.0),
        ("property.valuation", 5500000, " 5500000.00 "),
        ("property.living_area", 150.0, 150),
        ("property.living_area", 150.0, "150"),
        ("property.living_area", 62.5, "62.50"),
        ("property.rooms", "4", 4),
        ("property.rooms", "4", 4.0),
        ("property.rooms", "3.5", 3.5),
        ("property.year_built", "1992", 1992),
        ("property.year_built", "1992", " 1992 "),
        ("property.association_fee", 3500.0, "3500"),
        ("person.zip_code", "11422", 11422),
        ("person.phone", "46701234567", 46701234567),
        ("customer.customer_id", "17", 17),
        ("customer.lead_id", "17", 17),
    ],
)
def test_numbers_and_texts_are_taken_for_each_other(place: str, documented: object, slack: object) -> None:
    assert read("lead", changed(REALAI, (place, slack))) == read("lead", changed(REALAI, (place, documented)))
    sent = call_of("lead", changed(REALAI, (place, slack)), NOON)
    assert sent == call_of("lead", changed(REALAI, (place, documented)), NOON)


TYPES = "must be one of Apartment, SingleFamilyResidence, Townhouse, Terraced, Duplex"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("property.property_sub_type", "Castle", TYPES),
        ("property.property_sub_type", "apartment", TYPES),
        ("property.property_sub_type", 1, TYPES),
        ("property.property_sub_type", ["Apartment"], TYPES),
        ("property.occupant_type", "Tenant", "must be one of Owner, TenantOwnership"),
        ("property.valuation", 5500000.5, "whole number expected"),
        ("property.valuation", -1, "must not be negative"),
        ("property.valuation", "mycket", "number expected"),
        ("property.valuation", "1_000", "number expected"),
        ("property.valuation", "٣", "number expected"),
        ("property.valuation", True, "number expected"),
        ("property.valuation", 10**15, "number out of range"),
        ("property.valuation", 10**400, "number out of range"),
        ("property.living_area", -0.5, "must not be negative"),
        ("property.living_area", "NaN", "number expected"),
        ("property.living_area", float("nan"), "number expected"),
        ("property.living_area", float("inf"), "number expected"),
        ("property.secondary_area", float("-inf"), "number expected"),
        ("property.lot_size_area", [800], "number expected"),
        ("property.association_fee", {}, "number expected"),
        ("property.rooms", False, "text expected"),
        ("property.year_built", [1992], "text expected"),
        ("person.city", {"name": "Stockholm"}, "text expected"),
        ("person.city", "Stock\ud800holm", "no valid text"),
        ("person.city", "Stock\0holm", "no valid text"),
        ("person.email", [], "text expected"),
        ("person", [], "object expected"),
        ("property", "villa", "object expected"),
        ("customer", 1, "object expected"),
    ],
)
def test_a_wrong_value_is_named(place: str, value: object, words: str) -> None:
    assert errors("lead", changed(REALAI, (place, value))) == {place: words}


@pytest.mark.parametrize(
    "number", ["1e999", "-1e-999", "1e99999999999999999999", "9" * 500, "1e-50", "1e100000"]
)
@pytest.mark.parametrize("place", ["valuation", "living_area", "rooms"])
def test_a_number_that_nothing_can_hold_is_named(place: str, number: str) -> None:
    body = changed(REALAI, (f"property.{place}", "HERE")).replace(b'"HERE"', number.encode())
    assert set(errors("lead", body)) == {f"property.{place}"}


def test_zero_is_zero_however_it_is_written() -> None:
    body = changed(REALAI, ("property.living_area", "HERE"))
    zeros = [body.replace(b'"HERE"', zero) for zero in (b"0", b"-0", b"-0.0", b"0e-999999", b"0e999999")]
    assert len({read("lead", zero).canonical for zero in zeros}) == 1
    assert len({call_of("lead", zero, NOON) for zero in zeros}) == 1


def test_a_refusal_names_fields_and_never_values() -> None:
    body = changed(REALAI, ("person.email", None), ("property.valuation", "hemligt"))
    with pytest.raises(InvalidLead) as refusal:
        read("lead", body)
    assert str(refusal.value) == "body.person.email: field required; body.property.valuation: number expected"
    assert refusal.value.errors[0] == FieldError(("body", "person", "email"), "field required")


# The two forms

PERSON: dict[LeadKind, str] = {"interest": "updatePerson", "final_price": "person"}


@pytest.mark.parametrize("person", [None, GONE, {}])
def test_a_form_without_a_person_names_all_that_is_missing(person: object) -> None:
    assert errors("interest", changed(INTEREST, ("updatePerson", person), ("estateId", " "))) == {
        "updatePerson": "Uppgift om personen krävs",
        "updatePerson.customerId": "Kundid krävs",
        "updatePerson.email.emailAddress": NEEDS_CHANNEL,
        "estateId": "Objektid krävs",
    }
    assert errors("final_price", changed(WATCH, ("person", person))) == {
        "person": "En kontaktperson måste anges",
        "person.firstName": "Förnamn krävs",
        "person.lastName": "Efternamn krävs",
        "person.email.emailAddress": NEEDS_CHANNEL,
    }


@pytest.mark.parametrize("path", [{}, {"customerId": "", "estateId": " "}])
def test_the_path_of_a_final_price_watch_is_looked_at(path: Mapping[str, str]) -> None:
    with pytest.raises(InvalidLead) as refusal:
        parse("final_price", WATCH, path=path)
    assert refusal.value.errors == (
        FieldError(("path", "customerId"), "Kundid krävs"),
        FieldError(("path", "estateId"), "Objektid krävs"),
    )


@pytest.mark.parametrize("channel", ["telePhone", "workPhone", "cellPhone", "email"])
def test_one_channel_is_enough_for_an_interest(channel: str) -> None:
    value = {"emailAddress": "kari@example.se"} if channel == "email" else "0701234567"
    person = {"customerId": "M11385", channel: value}
    lead = read("interest", json.dumps({"updatePerson": person, "estateId": "OBJ1"}).encode())
    assert (lead.email or lead.phone) in ("kari@example.se", "0701234567")
    assert lead.name is None


@pytest.mark.parametrize("channel", ["home", "work", "cell", "email"])
def test_one_channel_is_enough_for_a_final_price_watch(channel: str) -> None:
    person: dict[str, Any] = {"firstName": "Kari", "lastName": "Berg"}
    person |= {"email": {"emailAddress": "kari@example.se"}} if channel == "email" else {}
    person |= {} if channel == "email" else {"telephone": {channel: "0701234567"}}
    lead = read("final_price", json.dumps({"person": person}).encode())
    assert (lead.email or lead.phone) in ("kari@example.se", "0701234567")


def test_another_phone_is_no_channel() -> None:
    person = {
        "customerId": "M11385",
        "otherPhone": "0701234567",
        "email": {"emailAddress2": "kari@example.se"},
    }
    body = json.dumps({"updatePerson": person, "estateId": "OBJ1"}).encode()
    assert errors("interest", body) == {"updatePerson.email.emailAddress": NEEDS_CHANNEL}


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
@pytest.mark.parametrize("kind", PERSON)
def test_a_forms_names_count_without_regard_to_case(kind: LeadKind, spell: Callable[[str], str]) -> None:
    def spelt(value: object) -> object:
        match value:
            case dict():
                return {spell(name): spelt(one) for name, one in value.items()}
            case list():
                return [spelt(one) for one in value]
        return value

    body = json.dumps(spelt(json.loads(SAMPLES[kind]))).encode()
    assert read(kind, body) == read(kind, SAMPLES[kind])


@pytest.mark.parametrize(
    ("kind", "place", "value", "words"),
    [
        ("interest", "updatePerson", "Kari", "object expected"),
        ("interest", "updatePerson.email", "kari@example.se", "object expected"),
        ("interest", "updatePerson.customerId", True, "text expected"),
        ("interest", "updatePerson.categoryIds", "K1", "list expected"),
        ("interest", "updatePerson.cellPhone", ["0701234567"], "text expected"),
        ("interest", "estateId", {}, "text expected"),
        ("interest", "presentAccommodation.livingSpace", [1], "text expected"),
        ("interest", "interestNote", "half a pair: \udc00", "no valid text"),
        ("final_price", "person", [], "object expected"),
        ("final_price", "marketing.utmTags", {}, "list expected"),
        ("final_price", "message", [], "text expected"),
    ],
)
def test_a_form_of_the_wrong_shape_is_refused(kind: LeadKind, place: str, value: object, words: str) -> None:
    assert errors(kind, changed(SAMPLES[kind], (place, value))) == {place: words}


def test_a_wrong_element_is_named_by_its_place() -> None:
    body = changed(WATCH, ("marketing.utmTags", [{"name": "source"}, "source"]))
    assert errors("final_price", body) == {"marketing.utmTags.1": "object expected"}


def test_lengths_and_enums_of_a_form_are_vitecs_to_judge() -> None:
    assert read("final_price", changed(WATCH, ("person.firstName", "K" * 500), ("prospectiveBuyerStatus", 7)))
    assert read("interest", changed(INTEREST, ("updatePerson.obtainThrough", 0), ("estateId", "O" * 500)))


# JSON


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Expecting value: line 1 column 1"),
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2"),
        (b"customer=ABC123", "Expecting value: line 1 column 1"),
        (b"[]", "not an object"),
        (b'"lead"', "not an object"),
        (b"null", "not an object"),
        (b"1e999", "not an object"),
        (b'{"person": "\xff"}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"person": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_told_apart(kind: LeadKind, body: bytes, words: str) -> None:
    with pytest.raises(NotJson) as refusal:
        read(kind, body)
    assert str(refusal.value) == words


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_in_a_field_that_nobody_reads_is_no_json(kind: LeadKind, constant: str) -> None:
    body = changed(SAMPLES[kind], ("extra", "HERE")).replace(b'"HERE"', constant.encode())
    with pytest.raises(NotJson):
        read(kind, body)


ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1e308, 5e-324, -0.0])
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(document: object, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place of a document."""
    if not isinstance(document, dict):
        return [at]
    return [at, *(place for name, value in document.items() for place in places(value, (*at, name)))]


BENT = st.sampled_from(
    [(kind, ".".join(place)) for kind in KINDS for place in places(json.loads(SAMPLES[kind])) if place]
)


@given(
    st.sampled_from(KINDS),
    ANY_VALUE | st.dictionaries(st.sampled_from(["person", "updatePerson"]), ANY_VALUE),
)
def test_any_json_is_taken_or_refused_in_order(kind: LeadKind, document: object) -> None:
    body = json.dumps(document).encode()
    with pytest.raises((InvalidLead, NotJson)):
        read(kind, body)


@given(st.lists(BENT, min_size=1, max_size=1).map(lambda one: one[0]), ANY_VALUE)
def test_any_value_at_any_place_is_taken_or_refused_in_order(
    bent: tuple[LeadKind, str], value: object
) -> None:
    kind, place = bent
    body = changed(SAMPLES[kind], (place, value))
    try:
        lead = read(kind, body)
    except (InvalidLead, NotJson):
        return
    assert lead.customer_id
    json.loads(lead.canonical)
    call = call_of(kind, body, NOON, path=PATH)
    assert isinstance(call, Unsendable) or isinstance(json.loads(call.body.decode()), dict)


@given(st.sampled_from(KINDS), st.binary())
def test_any_bytes_are_refused_in_order(kind: LeadKind, body: bytes) -> None:
    with pytest.raises((InvalidLead, NotJson)):
        read(kind, body)
    assert isinstance(call_of(kind, body, NOON, path=PATH), Unsendable)


# The canonical form


def shuffled(document: object, random: Any) -> object:
    """The same document, said in another way: order of keys, 1 or 1.0, and fields that nobody knows."""
    match document:
        case dict():
            items = [(name, shuffled(value, random)) for name, value in document.items()]
            items += [("nobody's", [1, {"a": None}])]
            random.shuffle(items)
            return dict(items)
        case list():
            return [shuffled(value, random) for value in document]
        case bool():
            return document
        case int():
            return random.choice([document, float(document)])
        case float() if document.is_integer():
            return random.choice([document, int(document)])
    return document


@given(
    st.sampled_from(KINDS), st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]), st.booleans()
)
def test_the_same_lead_said_in_another_way_is_the_same(
    kind: LeadKind, random: Any, indent: Any, ascii_only: bool
) -> None:
    document = json.loads(SAMPLES[kind])
    told = json.dumps(shuffled(document, random), indent=indent, ensure_ascii=ascii_only).encode()
    assert read(kind, told) == read(kind, SAMPLES[kind])


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 6)), min_size=2, max_size=2))
def test_two_numbers_are_the_same_when_they_are_equal(numbers: list[tuple[int, int]]) -> None:
    first, second = (
        changed(REALAI, ("property.living_area", "HERE")).replace(b'"HERE"', f"{digits}e-{places}".encode())
        for digits, places in numbers
    )
    same = numbers[0][0] * 10 ** numbers[1][1] == numbers[1][0] * 10 ** numbers[0][1]
    assert (read("lead", first).canonical == read("lead", second).canonical) is same


@pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, ".".join(place)) for kind in KINDS for place in places(json.loads(SAMPLES[kind]))[1:]],
)
def test_every_known_field_counts(kind: LeadKind, place: str) -> None:
    document = json.loads(SAMPLES[kind])
    for step in place.split("."):
        document = document[step]
    other: object = {"property_sub_type": "Duplex", "occupant_type": "TenantOwnership"}.get(
        place.rpartition(".")[2], 7
    )
    if isinstance(document, bool):
        other = not document
    if isinstance(document, dict):
        return  # its fields count
    if isinstance(document, list):
        other = []
    assert read(kind, changed(SAMPLES[kind], (place, other))).canonical != read(kind, SAMPLES[kind]).canonical


def test_a_watch_of_another_estate_or_customer_is_another() -> None:
    paths = (PATH, PATH | {"estateId": "OBJ2"}, PATH | {"customerId": "M2"})
    assert len({parse("final_price", WATCH, path=path).canonical for path in paths}) == 3


def test_the_kinds_are_kept_apart() -> None:
    assert len({read(kind, body).canonical for kind, body in SAMPLES.items()}) == 3


# What Vitec gets


def test_the_sample_becomes_vitecs_lead() -> None:
    call = call_of("lead", REALAI, NOON)
    assert isinstance(call, Call)
    assert (call.kind, call.estate_id) == ("lead", None)
    body = json.loads(call.body)
    assert body.pop("message").startswith("Du har fått ett lead från Real AI. Erik Andersson ")
    assert body == {
        "firstName": "Erik",
        "lastName": "Andersson",
        "telephone": {"cell": "+46701234567"},
        "email": {"emailAddress": "erik.andersson@example.com"},
        "address": {"streetAddress": "Storgatan 12", "zipCode": "11422", "city": "Stockholm"},
        "typeId": "LEAD456",
    }


def test_what_is_not_given_is_not_sent() -> None:
    call = call_of("lead", changed(REALAI, ("person.zip_code", None), ("person.city", " ")), NOON)
    assert isinstance(call, Call)
    assert json.loads(call.body)["address"] == {"streetAddress": "Storgatan 12"}


LIMITS = {
    "first_name": 30,
    "last_name": 30,
    "email": 100,
    "phone": 17,
    "address": 68,
    "zip_code": 15,
    "city": 25,
}


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_what_is_too_long_for_vitec_is_held_and_never_cut(name: str, limit: int) -> None:
    fits = call_of("lead", changed(REALAI, (f"person.{name}", "å" * limit + "  \n")), NOON)
    assert isinstance(fits, Call)
    assert ("å" * limit).encode() in fits.body
    held = call_of("lead", changed(REALAI, (f"person.{name}", "å" * (limit + 1))), NOON)
    assert held == Unsendable("too_long", f"{name} has more than {limit} characters")


def test_all_that_is_too_long_is_named_at_once() -> None:
    held = call_of("lead", changed(REALAI, *((f"person.{name}", "x" * 200) for name in LIMITS)), NOON)
    assert isinstance(held, Unsendable)
    assert [part.partition(" ")[0] for part in held.detail.split("; ")] == [*LIMITS]


def test_a_form_goes_on_byte_for_byte() -> None:
    assert call_of("interest", INTEREST, NOON) == Call("interest", "sample string 1", INTEREST)
    assert call_of("final_price", WATCH, NOON, path=PATH) == Call("final_price", "OBJ1", WATCH)


def test_a_kept_lead_that_cannot_be_read_is_not_sent() -> None:
    assert call_of("lead", b"{", NOON) == Unsendable(
        "invalid", "Expecting property name enclosed in double quotes: line 1 column 2"
    )
    held = call_of("final_price", WATCH, NOON, path={"customerId": "M11385"})
    assert held == Unsendable("invalid", "path.estateId: Objektid krävs")
