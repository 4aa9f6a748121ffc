"""The mapping rules of estates and projects, by their ids (sections 9, 10 and 13)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.mappings import lens
from daemon.mappings.lens import Hold, Options, Patch, Seen

ESTATE = lens("vitec", "project")
PROJECT = lens("propstreet", "project")
OBJ, PRO = "OBJ11385_1395932274", "PRO11385_1395932274"
PLAIN = Options()
STATUSES_ON = Options(project_status_writes=True)
FOR_SALE = {"status": {"id": "3", "name": "Till salu"}}
RUNNING = {"status": {"id": "14", "name": "Pågående"}}
STREET = {"streetAddress": "Storgatan 1", "zipCode": "111 22", "city": "Stockholm"}


def raw(**payload: Any) -> bytes:
    return json.dumps(payload).encode()


def estate(**payload: Any) -> bytes:
    return raw(estateId=OBJ, **payload)


def multi_unit(name: str | None = "Kvarnen", assignment: Any = RUNNING, **payload: Any) -> bytes:
    base = {"projectName": name, "address": STREET} | payload.pop("base", {})
    return raw(estateId=PRO, assignment=assignment, baseInformation=base, **payload)


def project(**payload: Any) -> bytes:
    return raw(id="12", etag='"1"', **payload)


def reasons(holds: tuple[Hold, ...]) -> dict[str, str]:
    return {hold.field: hold.reason for hold in holds}


def name_of(payload: bytes) -> Value:
    return ESTATE.get(payload, PLAIN).fields["name"]


# Reading an estate


def test_an_estate_is_read() -> None:
    content = ESTATE.get(
        estate(
            dateChanged="2026-08-31T11:46:09.65",
            assignment=FOR_SALE | {"estatenumber": "17-4"},
            baseInformation={"objectAddress": STREET, "propertyUnitDesignation": "Ek 1:2"},
            price={"price": 12_500_000, "priceText": "Utgångspris"},
            description={"sellingHeading": " Kontor vid Stureplan "},
            commissionType="Sale",
            advertiseOn={"homepage": True},
            interests=["ADR1"],
        ),
        PLAIN,
    )
    assert content.external_id == OBJ
    assert content.fields == {
        "name": "Kontor vid Stureplan",
        "classification": "active",
        "price": "12500000 SEK",
        "status": "open",
        "stage": "communicated",
    }
    assert content.changed == datetime(2026, 8, 31, 9, 46, 9, 650000, tzinfo=UTC)
    assert content.flags == ("estate_status:ForSale",)


def test_a_name_comes_from_the_first_source_that_is_filled() -> None:  # E3
    sources: dict[str, Any] = {
        "description": {"sellingHeading": "Kontor vid Stureplan"},
        "baseInformation": {"objectAddress": STREET, "propertyUnitDesignation": "Ek 1:2"},
        "assignment": {"estatenumber": "17-4"},
    }
    assert name_of(estate(**sources)) == "Kontor vid Stureplan"
    sources["description"] = {"sellingHeading": "  "}
    assert name_of(estate(**sources)) == "Storgatan 1, Stockholm"
    sources["baseInformation"]["objectAddress"] = {"streetAddress": "", "city": "Stockholm"}
    assert name_of(estate(**sources)) == "Ek 1:2"
    sources["baseInformation"] = None
    assert name_of(estate(**sources)) == "17-4"
    assert name_of(estate(assignment={"estatenumber": 17})) == "17"
    assert name_of(estate(assignment=None)) == OBJ


def test_a_street_without_a_city_names_an_estate() -> None:  # E3
    assert (
        name_of(estate(baseInformation={"objectAddress": {"streetAddress": "Storgatan 1"}})) == "Storgatan 1"
    )


@pytest.mark.parametrize(("count", "taken"), [(200, True), (201, False), (300, False)])
def test_a_source_that_is_too_long_for_a_name_is_passed_over(count: int, taken: bool) -> None:  # E3, G4
    long = "å" * count
    assert name_of(estate(description={"sellingHeading": long})) == (long if taken else OBJ)
    assert name_of(multi_unit(long, description={"sellingHeading": "Kvarnen"})) == (
        long if taken else "Kvarnen"
    )


@pytest.mark.parametrize("nothing", [None, "", " \n"])
def test_a_project_without_a_name_is_named_as_an_estate_is(nothing: str | None) -> None:  # E2, E3
    assert name_of(multi_unit(nothing, description={"sellingHeading": "Nybygge"})) == "Nybygge"
    assert name_of(multi_unit(nothing)) == "Storgatan 1, Stockholm"


@pytest.mark.parametrize(
    ("price", "advertised", "read"),
    [
        ({"price": 12_500_000}, {}, "12500000 SEK"),
        ({"price": 12_500_000.5}, None, "12500000.5 SEK"),
        ({"price": "12500000.00"}, None, "12500000 SEK"),
        ({"price": 12_500_000, "offer": False}, {"hidePrice": False}, "12500000 SEK"),
        ({"price": 12_500_000, "offer": True}, {}, None),
        ({"price": 12_500_000}, {"hidePrice": True}, None),
        ({"price": None}, {"hidePrice": True}, None),
        (None, {"hidePrice": True}, None),
        ({"price": None}, {}, "unknown"),
        ({"price": ""}, {}, "unknown"),
        ({"price": 0}, {}, "unknown"),
        ({}, {}, "unknown"),
        (None, {}, "unknown"),
    ],
)
def test_a_price_is_read_where_it_is_one_and_a_hidden_one_is_empty(
    price: Any, advertised: Any, read: Value
) -> None:  # E6
    fields = ESTATE.get(estate(price=price, advertiseOn=advertised), PLAIN).fields
    assert fields.get("price", "unknown") == read


def test_a_price_that_is_hidden_later_is_taken_away_at_propstreet() -> None:  # E6
    hidden = ESTATE.get(estate(price={"price": 5}, advertiseOn={"hidePrice": True}), PLAIN).fields["price"]
    present = project(price={"value": 5, "currency": "SEK", "scale": "none"})
    assert PROJECT.put({"price": hidden}, present, PLAIN) == Patch({"price": None})


def test_a_hidden_address_names_nothing() -> None:  # E3
    base = {"objectAddress": STREET, "propertyUnitDesignation": "Ek 1:2"}
    assert (
        name_of(estate(baseInformation=base, advertiseOn={"hideAddress": False})) == "Storgatan 1, Stockholm"
    )
    assert name_of(estate(baseInformation=base, advertiseOn={"hideAddress": True})) == "Ek 1:2"
    assert name_of(multi_unit(None, advertiseOn={"hideAddress": True})) == PRO


@pytest.mark.parametrize(
    ("payload", "flags"),
    [
        (multi_unit(), ("project", "estate_status:Running")),
        (multi_unit(None, None), ("project",)),
        (raw(estateId=PRO, baseInformation={"objectAddress": STREET}), ()),  # never by the id's prefix
        (estate(baseInformation={"sensitiveBusiness": True}), ("sensitive",)),  # E12
        (estate(commissionType="Valuation"), ("commission",)),  # E11
        (estate(commissionType="Writing"), ("commission",)),
        (estate(commissionType="Sale"), ()),
        (estate(advertiseOn={"homepage": False}), ("unpublished",)),
        (estate(advertiseOn={"homepage": None}), ()),
    ],
)
def test_what_the_operator_should_see_is_flagged(payload: bytes, flags: tuple[str, ...]) -> None:
    assert ESTATE.get(payload, PLAIN).flags == flags


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"{}",
        b'{"estateId": null}',
        b'{"estateId": 7}',
        estate(assignment="Till salu"),
        estate(assignment={"status": "Till salu"}),
        estate(baseInformation=[1]),
        estate(baseInformation={"objectAddress": {"streetAddress": 1}}),
        multi_unit(None, base={"address": {"city": 1}}),
        estate(price={"price": "enligt överenskommelse"}),
        estate(price={"price": "NaN"}),
        estate(price={"price": "1e400"}),
        estate(price={"price": True}),
        estate(dateChanged=5),
    ],
)
def test_an_odd_estate_is_refused_without_quoting_it(payload: bytes) -> None:
    with pytest.raises(UntranslatablePayload) as refusal:
        ESTATE.get(payload, PLAIN)
    assert "överenskommelse" not in str(refusal.value)
    assert "vitec project" in str(refusal.value)


# Writing to Vitec


@pytest.mark.parametrize("field", ["name", "classification", "price", "status", "stage"])
def test_nothing_of_an_estate_is_writable(field: str) -> None:  # E3, E6, S34, H9
    value = "active" if field == "classification" else "1 SEK" if field == "price" else "open"
    for options in (PLAIN, STATUSES_ON):
        patch = ESTATE.put({field: value}, estate(), options)
        assert patch.empty
        assert reasons(patch.holds) == {field: "not_writable"}


def test_no_estate_is_created_at_vitec() -> None:  # H8
    [hold] = [hold for hold in ESTATE.cannot_hold({"name": "Kvarnen"}, None, PLAIN) if hold.whole]
    assert hold.reason == "not_writable"
    assert "create it at Vitec" in hold.detail
    assert ESTATE.put({"name": "Kvarnen"}, None, PLAIN).empty


def test_a_projects_name_is_written_with_all_that_is_there() -> None:  # E2, section 13
    present = multi_unit(
        base={"other": "x"},
        assignment=RUNNING | {"producer": "Bygg AB"},
        salesStartDate="2026-09-01",
        movingIn=None,
        description={"sellingHeading": "Nybygge", "longSellingDescription": "Ljust", "sellPhrase": "x"},
    )
    assert ESTATE.put({"name": " Kvarnen 2 "}, present, PLAIN) == Patch(
        {
            "baseInformation": {
                "status": "Running",
                "projectName": "Kvarnen 2",
                "saleStart": "2026-09-01",
                "producer": "Bygg AB",
                "address": STREET,
            },
            "sellingHeading": "Nybygge",
            "longSellingDescription": "Ljust",
        }
    )


@pytest.mark.parametrize(
    "status", [{"id": "2", "name": "Intaget"}, {"id": "21", "name": "Slutsålt/Referensobjekt"}]
)
def test_a_status_that_the_call_does_not_take_is_left_out(status: Any) -> None:
    patch = ESTATE.put({"name": "Ny"}, multi_unit(assignment={"status": status}), PLAIN)
    assert patch.body == {"baseInformation": {"projectName": "Ny", "address": STREET}}


def test_a_projects_name_is_neither_cleared_nor_cut() -> None:  # G4
    assert reasons(ESTATE.put({"name": " "}, multi_unit(), PLAIN).holds) == {"name": "cannot_clear"}
    assert reasons(ESTATE.put({"name": "å" * 201}, multi_unit(), PLAIN).holds) == {"name": "too_long"}
    assert ESTATE.put({"name": "å" * 200}, multi_unit(), PLAIN).body


def test_a_projects_status_is_not_written_by_default() -> None:  # S35
    patch = ESTATE.put({"classification": "inactive"}, multi_unit(), PLAIN)
    assert patch.empty
    assert reasons(patch.holds) == {"classification": "not_writable"}
    assert "project_status_writes" in patch.holds[0].detail


@pytest.mark.parametrize(
    ("label", "wanted", "written"),
    [
        ("Pågående", "active", None),
        ("Kommande", "active", None),
        ("Vilande", "active", "Running"),
        ("Inget uppdrag", "active", "Running"),
        ("Pågående", "draft", "Resting"),
        ("Pågående", "inactive", "Resting"),
        ("Vilande", "draft", None),
        ("Vilande", "inactive", None),  # it rests already
    ],
)
def test_a_projects_status_is_written_where_it_is_switched_on(
    label: str, wanted: str, written: str | None
) -> None:  # S35
    present = multi_unit(assignment={"status": {"name": label}})
    patch = ESTATE.put({"classification": wanted}, present, STATUSES_ON)
    assert patch.holds == ()
    information: Any = patch.body.get("baseInformation", {})
    assert information.get("status") == written
    assert not patch.body or information["projectName"] == "Kvarnen"


@pytest.mark.parametrize("label", ["Slutsålt", "Slutsålt/Referensobjekt", "Såld", "Bokad", "Uthyrd"])
def test_a_status_that_may_be_final_is_never_overwritten(label: str) -> None:  # S35, H10
    for wanted in ("draft", "active", "inactive"):
        patch = ESTATE.put(
            {"classification": wanted}, multi_unit(assignment={"status": {"name": label}}), STATUSES_ON
        )
        assert patch.empty
        assert reasons(patch.holds) == {"classification": "protected"}


def test_a_final_status_protects_also_where_an_older_classification_is_remembered() -> None:  # S35
    want: dict[str, Value] = {"classification": "inactive"}
    for status, held in (("Soldout", {"classification": "protected"}), ("Running", {})):
        seen = Seen({"classification": "active"}, ("project", f"estate_status:{status}"))
        assert reasons(ESTATE.cannot_hold(want, seen, STATUSES_ON)) == held


def test_an_inactive_project_rests_at_vitec_and_that_is_what_was_wanted() -> None:  # S35
    assert ESTATE.kept("classification", "inactive", "draft", STATUSES_ON)
    assert not ESTATE.kept("classification", "inactive", "draft", PLAIN)
    assert not ESTATE.kept("classification", "active", "draft", STATUSES_ON)


# Propstreet


def test_a_project_is_read() -> None:
    content = PROJECT.get(
        project(
            name="Kvarnen",
            classification="active",
            price={"value": "12.5", "currency": "sek", "scale": "millions"},
            status="open",
            teaser={"stage": "published", "title": "x"},
            externalRefs=[{"namespace": "vitec-next", "id": PRO}],
            updatedUtc="2026-05-18T20:22:36.9590000Z",
        ),
        PLAIN,
    )
    assert content.fields == {
        "name": "Kvarnen",
        "classification": "active",
        "price": "12500000 SEK",
        "status": "open",
        "stage": "published",
    }
    assert (content.external_id, content.etag, content.reference) == ("12", '"1"', PRO)
    assert content.changed == datetime(2026, 5, 18, 20, 22, 36, 959000, tzinfo=UTC)


def test_nulls_are_empty_and_what_is_absent_is_unknown() -> None:  # G5
    empty = dict.fromkeys(("name", "classification", "price", "status", "stage"))
    assert (
        PROJECT.get(
            project(name=None, classification=None, price=None, status=None, teaser=None), PLAIN
        ).fields
        == empty
    )
    assert PROJECT.get(project(teaser={}), PLAIN).fields == {"stage": None}
    assert PROJECT.get(project(), PLAIN).fields == {}


@pytest.mark.parametrize(
    ("price", "read"),
    [
        ({"value": 12_500_000, "currency": "SEK", "scale": "none"}, "12500000 SEK"),
        ({"value": 12500.0, "currency": "SEK", "scale": "thousands"}, "12500000 SEK"),
        ({"value": 0.0125, "currency": "NOK", "scale": "billions"}, "12500000 NOK"),
        ({"value": 12_500_000, "currency": "SEK"}, "12500000 SEK"),
        ({"value": 12_500_000}, "12500000"),
        ({"value": None, "currency": "SEK"}, None),
        ({"value": 1, "currency": "SEK", "scale": "dozens"}, "unmapped:dozens"),
    ],
)
def test_a_price_is_its_value_times_its_scale(price: Any, read: Value) -> None:
    assert PROJECT.get(project(price=price), PLAIN).fields["price"] == read


def test_a_classification_that_nobody_knows_is_shown_and_not_carried_over() -> None:  # G12
    fields = PROJECT.get(project(classification="paused"), PLAIN).fields
    assert fields == {"classification": "unmapped:paused"}
    assert reasons(ESTATE.put(fields, multi_unit(), STATUSES_ON).holds) == {"classification": "unmapped"}


def test_a_project_is_created_with_name_price_and_reference() -> None:  # E1, E2, E6
    want: dict[str, Value] = {"name": "Kvarnen", "price": "12500000.50 SEK", "reference": OBJ}
    assert PROJECT.put(want, None, PLAIN).body == {
        "name": "Kvarnen",
        "price": {"value": 12500000.5, "currency": "SEK", "scale": "none"},
        "externalRefs": [{"namespace": "vitec-next", "id": OBJ}],
    }
    assert want.keys() == PROJECT.on_create
    assert PROJECT.probed == {"classification"}


def test_a_project_without_a_name_is_not_created() -> None:
    assert reasons(PROJECT.cannot_hold({"price": "1 SEK"}, None, PLAIN)) == {"*": "needs_name"}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("name", None, "cannot_clear"),
        ("name", " ", "cannot_clear"),
        ("name", "å" * 201, "too_long"),
        ("price", "dyrt", "invalid"),
        ("price", "12500000", "invalid"),  # no currency
        ("classification", None, "invalid"),
        ("classification", "paused", "invalid"),
        ("status", "closed", "not_writable"),  # S30
        ("stage", "published", "not_writable"),
    ],
)
def test_what_propstreet_does_not_take_is_held(field: str, value: Value, reason: str) -> None:
    present = project(
        name="K", classification="draft", price={"value": 1, "currency": "SEK"}, status="open", teaser=None
    )
    patch = PROJECT.put({field: value}, present, PLAIN)
    assert patch.empty
    assert reasons(patch.holds) == {field: reason}


def test_a_price_that_is_spelt_otherwise_is_no_change() -> None:  # G3
    present = project(price={"value": 12.5, "currency": "SEK", "scale": "millions"})
    assert PROJECT.put({"price": "12500000.00 sek"}, present, PLAIN) == Patch({})
    assert PROJECT.put({"price": None}, present, PLAIN).body == {"price": None}


def test_a_project_that_is_gone_is_inactive_where_statuses_are_written() -> None:  # H10
    gone = project(name="Kvarnen", classification="active", deletedUtc="2026-05-18T20:22:36Z")
    off, on = PROJECT.get(gone, PLAIN), PROJECT.get(gone, STATUSES_ON)
    assert (off.removed, off.flags, off.fields["classification"]) == (True, (), "active")
    assert (on.removed, on.flags, on.fields["classification"]) == (False, ("removed",), "inactive")
    patch = PROJECT.put({"name": "Ny", "classification": "active"}, gone, STATUSES_ON)
    assert patch.empty
    assert reasons(patch.holds) == {"*": "not_writable"}
    assert PROJECT.put({"name": "Kvarnen"}, gone, STATUSES_ON) == Patch({})
    assert reasons(PROJECT.cannot_hold({"name": "Ny"}, Seen(on.fields, on.flags), STATUSES_ON)) == {
        "*": "not_writable"
    }


@pytest.mark.parametrize(
    "payload",
    [
        project(price=5),
        project(price={"value": "mycket"}),
        project(price={"value": 1, "currency": 2}),
        project(name=["x"]),
        project(teaser="published"),
        project(classification=1),
        b'{"name": "x"}',
        b"12",
    ],
)
def test_an_odd_project_is_refused(payload: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        PROJECT.get(payload, PLAIN)


# There and back


@pytest.mark.parametrize("field", ["name", "price"])
def test_a_field_goes_to_propstreet_and_back_and_changes_nothing(field: str) -> None:  # G3
    present = estate(description={"sellingHeading": "  Kontor "}, price={"price": 12_500_000.10})
    value = ESTATE.get(present, PLAIN).fields[field]
    body = PROJECT.put({"name": "x", field: value}, None, PLAIN).body
    back = PROJECT.get(raw(id="12", **body), PLAIN).fields[field]
    assert ESTATE.put({field: back}, present, PLAIN) == Patch({})
