"""The mapping rules of contacts and companies, by their ids, and what every mapping does alike."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.domain.streams import CATEGORIES, VENDORS
from daemon.mappings import LENSES, lens
from daemon.mappings.lens import Hold, Options, Patch, Seen

PERSON = lens("vitec", "contact")
FIRM = lens("vitec", "company")
CONTACT = lens("propstreet", "contact")
COMPANY = lens("propstreet", "company")

ADR = "ADR0123456789ABCDEF0123456789ABCDEF"
PLAIN = Options(customer_id="M1")
FULL = Options(
    customer_id="M1",
    note="strategy",
    categories={"K1": "investor", "VIP": "vip", "K3": "investor", "System": "system"},
    company_categories={"F1": "investor"},
    catalogue=(
        ("K1", "Investor", False, "Person"),
        ("K2", "VIP", False, "Person"),
        ("K3", "Kapital", False, "Person"),
        ("K9", "System", True, "Person"),
        ("F1", "Investor", False, "Company"),
        ("F2", "VIP", False, "Company"),
    ),
)


def raw(**payload: Any) -> bytes:
    return json.dumps(payload).encode()


def person(**payload: Any) -> bytes:
    return raw(id=ADR, type="Person", **payload)


def firm(**payload: Any) -> bytes:
    return raw(id=ADR, type="Company", **payload)


def contact(**payload: Any) -> bytes:
    return raw(id="789", etag='W/"AAA="', updatedUtc="2026-05-18T20:22:36.9590000Z", **payload)


def category(key: str, name: str = "", read_only: bool = False) -> dict[str, object]:
    return {"id": key, "name": name, "readOnly": read_only}


def reasons(holds: tuple[Hold, ...]) -> dict[str, str]:
    return {hold.field: hold.reason for hold in holds}


def update(body: Mapping[str, object]) -> dict[str, object]:
    """What a body changes at Vitec, besides saying whom."""
    assert body["customerId"] == "M1"
    assert body["contactId"] == ADR
    return {name: value for name, value in body.items() if name not in ("customerId", "contactId")}


# Reading


def test_a_person_is_read() -> None:
    content = PERSON.get(
        person(
            firstName="Anna",
            lastName=" ",
            email={"emailAddress": "anna@example.se", "emailAddress2": "b@example.se"},
            telephone={"home": "08-1", "cell": "070-174 06 05"},
            note="Kontor",
            categories=[category("K1", "Investor"), category("K2", "VIP"), category("K7", "Annat")],
            changedAt="2026-08-31T11:46:09.65",
            createdAt="2026-01-01T00:00:00",
            leadScore="a wrong type in a field that nobody maps",
        ),
        FULL,
    )
    assert content.external_id == ADR
    assert content.fields == {
        "first_name": "Anna",
        "last_name": None,
        "email": "anna@example.se",
        "phone": "070-174 06 05",
        "tags": ("investor", "vip"),
        "strategy": "Kontor",
    }
    assert content.changed == datetime(2026, 8, 31, 9, 46, 9, 650000, tzinfo=UTC)
    assert content.created == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert (content.etag, content.removed, content.reference, content.flags) == (None, False, UNSET, ())


def test_a_contact_is_read() -> None:
    content = CONTACT.get(
        contact(
            firstName="Anna",
            lastName=None,
            email="anna@example.se",
            phone="+46701740605",
            tags=["vip", "loud", "investor"],
            strategy="Kontor",
            externalRefs=[{"namespace": "Vitec-Next", "id": ADR}, {"namespace": "other", "id": "1"}],
            createdUtc="2026-05-05T17:18:39.880Z",
            deletedUtc="2026-05-19T00:00:00Z",
            blocked=True,
        ),
        FULL,
    )
    assert content.fields == {
        "first_name": "Anna",
        "last_name": None,
        "email": "anna@example.se",
        "phone": "+46701740605",
        "tags": ("investor", "vip"),  # T8: loud belongs to Propstreet
        "strategy": "Kontor",
    }
    assert content.changed == datetime(2026, 5, 18, 20, 22, 36, 959000, tzinfo=UTC)
    assert content.reference == ADR  # a namespace is without case
    assert content.etag == 'W/"AAA="'
    assert content.removed
    assert content.flags == ("blocked",)  # C14


def test_companies_are_read_alike() -> None:
    here = FIRM.get(
        firm(
            name="Example AB",
            corporateNumber="556677-8899",
            homePage="www.example.se",
            address={"city": "Oslo", "countryCode": "no"},
        ),
        PLAIN,
    )
    there = COMPANY.get(
        contact(
            name="Example AB",
            countryCode="NO",
            homepageUrl="https://example.se/",
            domain="example.se",
            externalRefs=[{"namespace": "Organization-Number", "id": "5566778899"}],
        ),
        PLAIN,
    )
    assert here.fields.keys() == there.fields.keys() == {"name", "organisation_number", "country", "website"}
    assert all(COMPANY.kept(field, value, there.fields[field], PLAIN) for field, value in here.fields.items())
    assert there.domain == "example.se"


@pytest.mark.parametrize(
    "mapping", [PERSON, FIRM, *(lens("propstreet", c) for c in CATEGORIES if c != "note")]
)
def test_a_field_that_is_absent_is_unknown(mapping: Any) -> None:  # G5
    assert mapping.get(raw(id="1"), FULL).fields == {}


def test_an_explicit_null_is_a_clearing() -> None:  # G5
    assert PERSON.get(person(email=None, firstName=None), PLAIN).fields == {"email": None, "first_name": None}
    assert PERSON.get(person(email={"emailAddress": ""}), PLAIN).fields == {"email": None}
    assert PERSON.get(person(email={}, telephone={"home": "1"}), PLAIN).fields == {}
    assert CONTACT.get(contact(phone=None), PLAIN).fields == {"phone": None}
    assert COMPANY.get(contact(externalRefs=[]), PLAIN).fields == {"organisation_number": None}


def test_the_mobile_has_no_fallback() -> None:  # C6
    assert PERSON.get(person(telephone={"home": "08-1234567", "cell": None}), PLAIN).fields == {"phone": None}


def test_a_domain_alone_is_no_website_but_a_match_key() -> None:  # W5, W8
    content = COMPANY.get(contact(homepageUrl=None, domain="Example.se"), PLAIN)
    assert content.fields["website"] is None
    assert content.domain == "example.se"


@pytest.mark.parametrize(
    ("kind", "flags"),
    [("DeceasedEstate", ("deceased_estate",)), (2, ("deceased_estate",)), ("Association", ("association",))],
)
def test_estates_and_associations_are_out_of_scope(kind: object, flags: tuple[str, ...]) -> None:  # C15
    content = PERSON.get(raw(id=ADR, type=kind, name="Dödsbo", telephone={"cell": "1"}, note="x"), FULL)
    assert content.flags == flags
    assert content.fields == {}


def test_a_deceased_person_is_flagged() -> None:  # C12
    assert PERSON.get(person(isDeceased=True), PLAIN).flags == ("deceased",)


def test_tags_are_not_mapped_without_a_table() -> None:  # T1
    assert "tags" not in PERSON.get(person(categories=[category("K1")]), PLAIN).fields
    assert "tags" not in CONTACT.get(contact(tags=["vip"]), PLAIN).fields


@pytest.mark.parametrize("setting", ["activity", "off"])
def test_the_note_stays_where_it_is_unless_it_is_strategy(setting: Any) -> None:  # N2, N4
    options = Options(note=setting)
    assert "strategy" not in PERSON.get(person(note="Kontor"), options).fields
    assert "strategy" not in CONTACT.get(contact(strategy="Kontor"), options).fields


def test_a_note_with_a_keyword_is_strategy() -> None:  # N3
    options = Options(note="keyword", note_keywords=("MNOK", "söker"))
    assert PERSON.get(person(note="50 mnok i Oslo"), options).fields == {"strategy": "50 mnok i Oslo"}
    assert PERSON.get(person(note="Ringde i går"), options).fields == {}
    assert CONTACT.get(contact(strategy="Kontor"), options).fields == {"strategy": "Kontor"}


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"{}", b'{"id":"1"', b'{"id":null}', b"[" * 5000, b"\xff"]
)
@pytest.mark.parametrize("mapping", LENSES)
def test_a_payload_that_cannot_be_read_says_so(mapping: Any, payload: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        mapping.get(payload, FULL)


def test_the_error_names_the_place_and_never_a_value() -> None:
    with pytest.raises(UntranslatablePayload, match=r"vitec contact: .*\$\.email\.emailAddress") as caught:
        PERSON.get(person(firstName="Hemlig", email={"emailAddress": 19700101}), PLAIN)
    assert "1970" not in str(caught.value)
    assert "Hemlig" not in str(caught.value)


def test_odd_text_in_a_payload_does_not_hide_the_record() -> None:
    payload = b'{"id":"1","firstName":"Anna","nickname":"\\ud800","lastName":"\\u0000\\u202e"}'
    for form in (payload, payload.decode(), msgspec.Raw(payload)):
        assert CONTACT.get(form, PLAIN).fields == {"first_name": "Anna", "last_name": "\0\u202e"}
    broken = CONTACT.get(b'{"id":"1","firstName":"\\ud800"}', PLAIN).fields["first_name"]
    assert reasons(PERSON.cannot_hold({"first_name": broken}, Seen({"first_name": "A"}), PLAIN)) == {
        "first_name": "invalid"
    }


# Writing to Vitec


def test_only_what_differs_is_written_to_vitec() -> None:  # H2, D1, C5
    present = person(
        firstName="Anna",
        lastName="Berg",
        email={"emailAddress": "Anna@example.se"},
        telephone={"cell": "070-1740605"},
    )
    want: dict[str, Value] = {
        "first_name": "Anna ",
        "last_name": "Berg-Lind",
        "email": "anna@example.se",
        "phone": "070 174 06 06",
    }
    patch = PERSON.put(want, present, PLAIN, identity=ADR)
    assert update(patch.body) == {"lastName": "Berg-Lind", "cellPhone": "+46701740606"}
    assert patch.holds == ()


def test_nested_objects_are_written_whole() -> None:  # G10, C4
    present = person(email={"emailAddress": "a@example.se", "emailAddress2": "b@example.se"})
    patch = PERSON.put({"email": "c@example.se"}, present, PLAIN, identity=ADR)
    assert update(patch.body) == {"email": {"emailAddress": "c@example.se", "emailAddress2": "b@example.se"}}
    present = firm(
        address={"streetAddress": "Storgatan 1", "zipCode": "111 22", "city": "Kiruna", "countryCode": None}
    )
    patch = FIRM.put({"country": "no"}, present, PLAIN, identity=ADR)
    assert update(patch.body) == {
        "address": {
            "streetAddress": "Storgatan 1",
            "zipCode": "111 22",
            "city": "Kiruna",
            "countryCode": "NO",
        }
    }


def test_a_create_carries_what_is_known_and_no_contact_id() -> None:  # 8.2 step 5
    want: dict[str, Value] = {
        "first_name": "Anna",
        "last_name": None,
        "email": "a@example.se",
        "tags": ("vip",),
    }
    patch = PERSON.put(want, None, FULL)
    assert patch.body == {
        "customerId": "M1",
        "firstName": "Anna",
        "email": {"emailAddress": "a@example.se"},
        "categoryIds": ["K2"],
    }


def test_a_person_without_a_channel_is_not_created() -> None:  # C20, D3
    want: dict[str, Value] = {"first_name": "Anna", "last_name": "Berg", "email": None}
    assert [hold.reason for hold in PERSON.cannot_hold(want, None, PLAIN) if hold.whole] == ["needs_channel"]
    assert PERSON.put(want, None, PLAIN).empty
    too_long: dict[str, Value] = {"first_name": "Anna", "email": f"{'a' * 95}@example.se"}
    assert reasons(PERSON.cannot_hold(too_long, None, PLAIN)) == {"email": "too_long", "*": "needs_channel"}


@pytest.mark.parametrize("mapping", [FIRM, COMPANY])
def test_a_company_without_a_name_is_not_created(mapping: Any) -> None:
    want: dict[str, Value] = {"name": " ", "organisation_number": "5566778899"}
    assert reasons(mapping.cannot_hold(want, None, PLAIN)) == {"*": "needs_name"}


@pytest.mark.parametrize(
    ("mapping", "field", "longest", "letter"),
    [
        (PERSON, "first_name", 30, "å"),  # C1
        (PERSON, "last_name", 30, "å"),  # C2
        (PERSON, "email", 100, "a"),  # C3
        (PERSON, "phone", 17, "x"),  # C5
        (FIRM, "name", 100, "å"),  # B1
        (FIRM, "organisation_number", 20, "1"),  # B2
        (CONTACT, "first_name", 255, "å"),
        (CONTACT, "last_name", 255, "å"),
        (CONTACT, "phone", 50, "x"),
        (COMPANY, "name", 255, "å"),
        (COMPANY, "organisation_number", 255, "1"),
    ],
)
def test_the_longest_text_is_written_and_a_longer_one_is_held(
    mapping: Any, field: str, longest: int, letter: str
) -> None:  # G4
    for count, expected in ((longest, {}), (longest + 1, {field: "too_long"})):
        patch = mapping.put({field: letter * count}, raw(id=ADR, externalRefs=[]), PLAIN)
        assert reasons(patch.holds) == expected
        assert patch.empty == bool(expected)  # never cut


@pytest.mark.parametrize(("count", "held"), [(60, False), (61, True)])
def test_a_website_longer_than_vitec_takes_is_shortened_by_its_scheme_or_held(
    count: int, held: bool
) -> None:  # B4, W7
    bare = "example.se/" + "a" * (count - 11)
    patch = FIRM.put({"website": f"https://{bare}/"}, firm(homePage=""), PLAIN)
    assert reasons(patch.holds) == ({"website": "too_long"} if held else {})
    assert patch.body.get("homePage") == (None if held else bare)


def test_a_website_of_sixty_characters_is_written_as_it_is() -> None:  # W7
    address = "https://example.se/" + "a" * 41
    assert FIRM.put({"website": address}, firm(homePage=""), PLAIN).body["homePage"] == address


@pytest.mark.parametrize("clears", [False, True])
@pytest.mark.parametrize(
    ("mapping", "field", "present"),
    [
        (PERSON, "first_name", person(firstName="Anna")),
        (PERSON, "last_name", person(lastName="Berg")),
        (FIRM, "name", firm(name="Example AB")),
    ],
)
def test_blank_names_are_never_sent_to_vitec(
    mapping: Any, field: str, present: bytes, clears: bool
) -> None:  # C1, B1
    for nothing in (None, "", "  "):
        patch = mapping.put(
            {field: nothing}, present, msgspec.structs.replace(PLAIN, clear_by_empty_string=clears)
        )
        assert reasons(patch.holds) == {field: "cannot_clear"}
        assert patch.empty


def test_one_blank_name_is_shown_and_the_other_is_written() -> None:  # C23
    present = person(firstName="Anna", lastName="Berg")
    patch = PERSON.put({"first_name": "Anne", "last_name": None}, present, PLAIN)
    assert update(patch.body) == {"firstName": "Anne"}
    assert reasons(patch.holds) == {"last_name": "cannot_clear"}


@pytest.mark.parametrize(
    ("mapping", "field", "present", "body"),
    [
        (
            PERSON,
            "email",
            person(email={"emailAddress": "a@example.se", "emailAddress2": "b@example.se"}),
            {"email": {"emailAddress": "", "emailAddress2": "b@example.se"}},
        ),
        (PERSON, "phone", person(telephone={"cell": "070-1740605"}), {"cellPhone": ""}),
        (PERSON, "strategy", person(note="Kontor"), {"note": ""}),
        (FIRM, "website", firm(homePage="example.se"), {"homePage": ""}),
    ],
)
def test_vitec_texts_are_cleared_only_when_switched_on(
    mapping: Any, field: str, present: bytes, body: dict[str, object]
) -> None:  # T7
    off = mapping.put({field: None}, present, FULL)
    assert off.empty
    assert reasons(off.holds) == {field: "cannot_clear"}
    on = mapping.put({field: None}, present, msgspec.structs.replace(FULL, clear_by_empty_string=True))
    assert update(on.body) == body


def test_an_organisation_number_is_written_only_where_there_is_none() -> None:  # B2
    assert update(FIRM.put({"organisation_number": "556677-8899"}, firm(corporateNumber=""), PLAIN).body) == {
        "corporateNumber": "5566778899"
    }
    other = FIRM.put({"organisation_number": "5560000000"}, firm(corporateNumber="556677-8899"), PLAIN)
    assert other.empty
    assert reasons(other.holds) == {"organisation_number": "other_number"}
    cleared = FIRM.put({"organisation_number": None}, firm(corporateNumber="556677-8899"), PLAIN)
    assert reasons(cleared.holds) == {"organisation_number": "other_number"}
    alike = FIRM.put({"organisation_number": "5566778899"}, firm(corporateNumber="556677-8899"), PLAIN)
    assert alike == Patch({})


def test_sweden_over_an_empty_country_is_no_change() -> None:  # B3
    assert FIRM.put({"country": "SE"}, firm(address={"countryCode": ""}), PLAIN) == Patch({})
    assert COMPANY.put({"country": None}, contact(countryCode="SE"), PLAIN) == Patch({})


@pytest.mark.parametrize("mapping", [FIRM, COMPANY])
def test_a_country_that_is_no_code_is_held(mapping: Any) -> None:  # B3
    present = {"country": "SE"}
    assert reasons(mapping.cannot_hold({"country": "Norge"}, Seen(present), PLAIN)) == {"country": "invalid"}


# Categories and tags


def test_an_added_tag_sends_all_present_ids_and_the_tables_first() -> None:  # T4
    present = person(
        categories=[category("K2", "VIP"), category("K5", "Annat"), category("K8", "Auto", True)]
    )
    patch = PERSON.put({"tags": ("investor", "vip")}, present, FULL)
    assert update(patch.body) == {"categoryIds": ["K2", "K5", "K1"]}
    assert patch.remove_categories == ()


def test_a_tag_that_another_category_stands_for_is_not_added_again() -> None:  # T10, G2
    present = person(categories=[category("K3", "Kapital")])
    assert PERSON.put({"tags": ("investor",)}, present, FULL) == Patch({})


def test_a_removed_tag_deletes_every_category_that_maps_to_it() -> None:  # T5
    present = person(categories=[category("K1"), category("K3"), category("K2", "VIP")])
    patch = PERSON.put({"tags": ("vip",)}, present, FULL)
    assert patch.body == {}
    assert patch.remove_categories == ("K1", "K3")
    assert not patch.empty


def test_a_tag_in_and_a_tag_out_leave_the_others() -> None:  # T4, T5
    present = person(categories=[category("K1"), category("K5")])
    patch = PERSON.put({"tags": ("vip",)}, present, FULL)
    assert update(patch.body) == {"categoryIds": ["K5", "K2"]}
    assert patch.remove_categories == ("K1",)


def test_a_read_only_category_is_neither_assigned_nor_removed() -> None:  # T6
    added = PERSON.cannot_hold({"tags": ("system",)}, Seen({"tags": ()}), FULL)
    removed = PERSON.cannot_hold({"tags": ()}, Seen({"tags": ("system",)}), FULL)
    assert reasons(added) == reasons(removed) == {"tags": "not_writable"}
    present = person(categories=[category("K1", "Investor", True)])
    patch = PERSON.put({"tags": ()}, present, FULL)
    assert patch.empty
    assert reasons(patch.holds) == {"tags": "not_writable"}


def test_the_first_category_that_may_be_assigned_is_taken() -> None:  # T4, T6
    catalogue = (("K1", "Investor", True, "Person"), ("K3", "Kapital", False, "Person"))
    options = msgspec.structs.replace(FULL, catalogue=catalogue)
    assert PERSON.put({"tags": ("investor",)}, person(categories=[]), options).body["categoryIds"] == ["K3"]


def test_a_category_that_vitec_does_not_list_is_held() -> None:  # T4
    options = msgspec.structs.replace(FULL, catalogue=())
    assert reasons(PERSON.cannot_hold({"tags": ("vip",)}, Seen({"tags": ()}), options)) == {
        "tags": "unknown_category"
    }
    companies_only = msgspec.structs.replace(FULL, catalogue=FULL.catalogue[-2:])
    assert reasons(PERSON.put({"tags": ("vip",)}, person(categories=[]), companies_only).holds) == {
        "tags": "unknown_category"
    }


def test_companies_have_a_table_of_their_own() -> None:  # T1
    patch = FIRM.put({"tags": ("investor",)}, firm(categories=[]), FULL)
    assert update(patch.body) == {"categoryIds": ["F1"]}


def test_tags_without_a_mapping_are_left_alone() -> None:  # T2, T8
    present = contact(tags=["loud", "investor", "old"])
    patch = CONTACT.put({"tags": ("vip",)}, present, FULL)
    assert patch.body == {"tags": ["loud", "old", "vip"]}


def test_a_hundred_tags_are_written_and_one_more_is_held() -> None:  # T9
    for others, expected in ((99, {}), (100, {"tags": "too_many"})):
        present = contact(tags=[f"t{number}" for number in range(others)])
        patch = CONTACT.put({"tags": ("vip",)}, present, FULL)
        assert reasons(patch.holds) == expected
        assert patch.empty == bool(expected)


def test_tags_are_not_replaced_unseen() -> None:  # T2
    patch = CONTACT.put({"tags": ("vip",), "first_name": "Anna"}, contact(), FULL)
    assert patch.body == {"firstName": "Anna"}
    assert reasons(patch.holds) == {"tags": "unread"}


# Notes


def test_a_note_that_is_no_strategy_is_never_overwritten() -> None:  # N3
    options = Options(note="keyword", note_keywords=("MNOK",))
    patch = PERSON.put({"strategy": "50 MNOK"}, person(note="Ringde i går"), options)
    assert patch.empty
    assert reasons(patch.holds) == {"strategy": "not_writable"}


def test_a_routed_note_is_overwritten_by_a_text_that_is_found_again() -> None:  # N3
    options = Options(customer_id="M1", note="keyword", note_keywords=("MNOK",))
    present = person(note="50 MNOK")
    assert update(PERSON.put({"strategy": "60 mnok"}, present, options).body) == {"note": "60 mnok"}
    assert reasons(PERSON.put({"strategy": "Kontor"}, present, options).holds) == {"strategy": "not_writable"}


def test_strategy_is_not_written_where_the_note_is_off() -> None:  # N4
    assert reasons(CONTACT.put({"strategy": "x"}, contact(strategy=None), PLAIN).holds) == {
        "strategy": "not_writable"
    }


# Writing to Propstreet


def test_only_what_differs_is_written_to_propstreet() -> None:  # G2, G3
    present = contact(firstName="Anna", lastName="Berg", email="anna@example.se", phone="+46701740605")
    want: dict[str, Value] = {
        "first_name": "Anna",
        "last_name": None,
        "email": "ANNA@example.se",
        "phone": "070-174 06 05",
    }
    assert CONTACT.put(want, present, PLAIN) == Patch({"lastName": None})


def test_phones_reach_propstreet_in_e164_and_odd_ones_as_they_are() -> None:  # C21
    assert CONTACT.put({"phone": "070-174 06 05"}, contact(phone=None), PLAIN).body == {
        "phone": "+46701740605"
    }
    assert CONTACT.put({"phone": " växeln "}, contact(phone=None), PLAIN).body == {"phone": "växeln"}


@pytest.mark.parametrize(
    ("home_page", "url"),
    [
        ("www.example.se", "https://www.example.se"),  # W6
        ("http://example.se/om", "http://example.se/om"),
        ("HTTPS://example.se", "HTTPS://example.se"),
    ],
)
def test_a_home_page_gets_a_scheme(home_page: str, url: str) -> None:  # W1
    assert COMPANY.put({"website": home_page}, contact(homepageUrl=None), PLAIN).body == {"homepageUrl": url}


@pytest.mark.parametrize(
    "home_page", ["saknas", "kommer snart.", "example .se", "example.se/a\tb", "info@example.se"]
)
def test_a_home_page_that_is_no_address_is_held(home_page: str) -> None:  # W6
    assert reasons(COMPANY.put({"website": home_page}, contact(homepageUrl=None), PLAIN).holds) == {
        "website": "invalid"
    }


def test_a_home_page_longer_than_propstreet_takes_is_held() -> None:  # B4
    fits, not_quite = ("example.se/" + "a" * (count - 19) for count in (500, 501))
    assert COMPANY.cannot_hold({"website": fits}, Seen({"website": None}), PLAIN) == ()
    assert reasons(COMPANY.cannot_hold({"website": not_quite}, Seen({"website": None}), PLAIN)) == {
        "website": "too_long"
    }


@pytest.mark.parametrize("email", ["anna", "anna@", "anna berg@example.se", "anna@example", "a@b@example.se"])
def test_an_invalid_address_is_held_before_propstreet_refuses_it(email: str) -> None:  # C3
    assert reasons(CONTACT.put({"email": email}, contact(email=None), PLAIN).holds) == {"email": "invalid"}


@pytest.mark.parametrize("email", ["anna@example.se", "Åsa.Öberg@exämple.no", "a+b@mail.example.test"])
def test_a_valid_address_is_written_as_it_is(email: str) -> None:  # C3
    assert CONTACT.put({"email": email}, contact(email=None), PLAIN).body == {"email": email}


def test_a_companys_name_is_never_cleared_at_propstreet() -> None:
    patch = COMPANY.put({"name": None}, contact(name="Example AB"), PLAIN)
    assert patch.empty
    assert reasons(patch.holds) == {"name": "cannot_clear"}


def test_references_are_sent_as_the_full_list() -> None:  # B2, B7
    present = contact(
        name="Example AB",
        externalRefs=[
            {"namespace": "salesforce", "id": "1"},
            {"namespace": "ORGANIZATION-NUMBER", "id": "1"},
        ],
    )
    patch = COMPANY.put({"organisation_number": "556677-8899", "reference": ADR}, present, PLAIN)
    assert patch.body == {
        "externalRefs": [
            {"namespace": "salesforce", "id": "1"},
            {"namespace": "organization-number", "id": "5566778899"},
            {"namespace": "vitec-next", "id": ADR},
        ]
    }


def test_a_reference_that_is_there_is_not_sent_again() -> None:  # C10, G2
    present = contact(externalRefs=[{"namespace": "VITEC-NEXT", "id": ADR}])
    assert CONTACT.put({"reference": ADR}, present, PLAIN) == Patch({})
    assert CONTACT.put({"reference": None}, present, PLAIN).body == {"externalRefs": []}


def test_references_are_not_replaced_unseen() -> None:  # B2
    patch = COMPANY.put({"organisation_number": "5566778899"}, raw(id="1", name="Example AB"), PLAIN)
    assert patch.empty
    assert reasons(patch.holds) == {"organisation_number": "unread"}


def test_a_propstreet_create_carries_the_reference() -> None:  # 8.1 step 5
    patch = CONTACT.put({"first_name": "Anna", "email": None, "reference": ADR, "tags": ("vip",)}, None, FULL)
    assert patch.body == {
        "firstName": "Anna",
        "tags": ["vip"],
        "externalRefs": [{"namespace": "vitec-next", "id": ADR}],
    }
    assert [hold.reason for hold in CONTACT.put({"reference": ADR}, None, FULL).holds] == ["needs_channel"]


@pytest.mark.parametrize(
    ("setting", "body"), [("unset", {"countryCode": None}), ("SE", {"countryCode": "SE"})]
)
def test_an_empty_country_is_unset_or_sweden_as_configured(
    setting: Any, body: dict[str, object]
) -> None:  # B3
    options = Options(empty_country=setting)
    assert COMPANY.put({"country": None}, contact(countryCode="NO"), options).body == body
    created = COMPANY.put({"name": "Example AB", "country": None}, None, options).body
    assert created == {"name": "Example AB"} | ({"countryCode": "SE"} if setting == "SE" else {})


def test_a_field_of_another_category_is_not_writable() -> None:  # G1
    for mapping in (PERSON, CONTACT):
        assert reasons(mapping.cannot_hold({"website": "example.se"}, Seen({}), PLAIN)) == {
            "website": "not_writable"
        }
    assert reasons(PERSON.cannot_hold({"reference": "789"}, Seen({}), PLAIN)) == {"reference": "not_writable"}


# There and back


@pytest.mark.parametrize(
    ("field", "payload"),
    [
        ("phone", {"telephone": {"cell": "070-174 06 05"}}),
        ("phone", {"telephone": {"cell": "+46 (0)70 1740605"}}),
        ("phone", {"telephone": {"cell": "0046701740605"}}),
        ("email", {"email": {"emailAddress": "Anna.Berg@Example.se"}}),
        ("first_name", {"firstName": " Åsa "}),
        ("strategy", {"note": "Kontor\r\n50 MNOK"}),
    ],
)
def test_a_contact_field_goes_to_propstreet_and_back_and_changes_nothing(
    field: str, payload: Any
) -> None:  # G3
    there_and_back(PERSON, CONTACT, person(**payload), field)


@pytest.mark.parametrize(
    ("field", "payload"),
    [
        ("website", {"homePage": "www.Example.se/"}),
        ("website", {"homePage": "http://example.se/Om/"}),
        ("organisation_number", {"corporateNumber": "556677-8899"}),
        ("country", {"address": {"countryCode": "no"}}),
        ("country", {"address": {"countryCode": None}}),
        ("name", {"name": "Example  AB "}),
    ],
)
def test_a_company_field_goes_to_propstreet_and_back_and_changes_nothing(
    field: str, payload: Any
) -> None:  # G3
    there_and_back(FIRM, COMPANY, firm(**payload), field)


def there_and_back(here: Any, there: Any, payload: bytes, field: str) -> None:
    value = here.get(payload, FULL).fields[field]
    named = {"name": "Example AB"} if here is FIRM else {"last_name": "Berg"}
    body = there.put({**named, field: value, "reference": ADR}, None, FULL).body
    there_value = there.get(json.dumps({"id": "789", **body}).encode(), FULL).fields.get(field)
    assert here.kept(field, value, there_value, FULL)
    assert here.put({field: there_value}, payload, FULL) == Patch({})


@pytest.mark.parametrize(
    ("mapping", "field", "wanted", "read"),
    [
        (PERSON, "phone", "+46701740605", "070-174 06 05"),
        (PERSON, "first_name", "Anna  Lisa ", "Anna Lisa"),
        (CONTACT, "email", "Anna@Example.se", "anna@example.se"),
        (COMPANY, "website", "https://www.example.se/", "http://example.se"),
        (COMPANY, "country", None, "SE"),
        (CONTACT, "tags", ("vip", "buyer"), ("buyer", "vip")),
        (PERSON, "strategy", "a\r\nb", "a\nb"),
    ],
)
def test_a_declared_reshape_is_kept(mapping: Any, field: str, wanted: Value, read: Value) -> None:
    assert mapping.kept(field, wanted, read, FULL)


@pytest.mark.parametrize(
    ("field", "wanted", "read"),
    [
        ("first_name", "Anna", "Anne"),
        ("phone", "070-174 06 05", "070-174 06 06"),
        ("last_name", "Berg", None),
    ],
)
def test_a_persons_edit_is_not_taken_for_a_reshape(field: str, wanted: Value, read: Value) -> None:
    assert not PERSON.kept(field, wanted, read, FULL)


def test_there_is_a_lens_for_every_category_at_every_vendor() -> None:
    for vendor in VENDORS:
        for category_name in CATEGORIES:
            found = lens(vendor, category_name)
            assert (found.vendor, found.category) == (vendor, category_name)
