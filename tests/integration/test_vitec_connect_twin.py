"""The Vitec Connect twin keeps the vendor contract, and every switch turns what it says it turns."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest

from daemon.sandbox.twins.faults import Delivery
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import Switches, VitecConnectTwin
from daemon.sandbox.twins.vitec_connect.contacts import render
from tests.integration.vitec_connect_bench import (
    CUSTOMER,
    FEED,
    FJORD,
    KARI,
    KARI_BODY,
    Clock,
    Receiver,
    running,
    told,
)

# --- login, customers, limits


async def test_every_call_needs_the_right_pair() -> None:
    async with running() as (_, api):
        api.pair = ("toveis", "wrong")
        assert (await api.get(FEED))[0] == 401
        assert (await api.write(**KARI_BODY))[0] == 401


async def test_another_customers_data_is_forbidden_wherever_the_customer_is_named() -> None:
    async with running() as (_, api):
        assert (await api.get("CRM/Contact/M99999"))[0] == 403
        assert (await api.get("Category/GetCategories", customerId="M99999"))[0] == 403
        assert (await api.post("Contacts/GetContacts", {"customerId": "M99999"}))[0] == 403
        assert (await api.post("Contacts/UpdatePerson", KARI_BODY | {"customerId": "M99999"}))[0] == 403


async def test_vs31_a_closed_customer_answers_403_to_everything() -> None:
    async with running(vs31=True) as (_, api):
        assert (await api.get(FEED))[0] == 403
        assert (await api.write(**KARI_BODY))[0] == 403


async def test_vs32_each_function_group_has_its_own_pair() -> None:
    async with running(vs32="pair_per_group") as (twin, api):
        assert (await api.get(FEED))[0] == 401
        api.pair = twin.credentials["CRM-Contact"]
        assert (await api.get(FEED))[0] == 200
        api.pair = twin.credentials["Service"]
        assert (await api.get(FEED))[0] == 401


async def test_vs30_no_limit_stands_by_default() -> None:
    async with running() as (_, api):
        assert {(await api.get(FEED))[0] for _ in range(25)} == {200}


async def test_vs30_the_twenty_first_call_of_a_second_waits_as_many_seconds_as_retry_after_says() -> None:
    clock = Clock()
    async with running(clock=clock, vs30="seconds") as (_, api):
        assert {(await api.get(FEED))[0] for _ in range(20)} == {200}
        assert (await api.get(FEED))[0] == 429
        clock.forward(seconds=int(api.headers["Retry-After"]))
        assert (await api.get(FEED))[0] == 200


async def test_vs30_retry_after_may_be_a_date() -> None:
    clock = Clock()
    async with running(clock=clock, vs30="date") as (_, api):
        for _ in range(21):
            status, _ = await api.get(FEED)
        assert status == 429
        assert parsedate_to_datetime(api.headers["Retry-After"]) == clock.at + timedelta(seconds=1)


# --- reading


async def test_the_feed_lists_references_by_kind_within_inclusive_ends() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        person = twin.create("person", **KARI)
        clock.forward(hours=1)
        company = twin.create("company", **FJORD)
        clock.forward(hours=1)
        estate = twin.create("deceased_estate", name="Nilssons dödsbo")
        status, feed = await api.get(FEED)
        assert status == 200
        assert feed["persons"] == [{"id": person, "changedAt": "2026-07-01T12:00:00", "customerId": CUSTOMER}]
        assert [row["id"] for row in feed["companies"]] == [company]
        assert [row["id"] for row in feed["deceasedEstates"]] == [estate]
        span = {"ChangedAtFrom": "2026-07-01T13:00:00", "ChangedAtTo": "2026-07-01T11:00:00Z"}
        _, feed = await api.get(FEED, **span)
        assert {kind: len(rows) for kind, rows in feed.items()} == {
            "persons": 0,
            "companies": 1,
            "deceasedEstates": 0,
        }
        clock.forward(hours=1)
        twin.edit(person, note="Nytt")
        _, feed = await api.get(
            FEED, createdAtTo="2026-07-01T12:00:00+02:00", changedatfrom="2026-07-01T15:00"
        )
        assert [row["id"] for rows in feed.values() for row in rows] == [person]


async def test_a_filter_that_is_no_time_is_refused() -> None:
    async with running() as (_, api):
        assert (await api.get(FEED, ChangedAtFrom="yesterday"))[0] == 400


@pytest.mark.parametrize(("binds", "plain", "dotted"), [("both", 0, 0), ("plain", 0, 1), ("dotted", 1, 0)])
async def test_vs24_a_filter_in_the_spelling_that_is_not_bound_filters_nothing(
    binds: str, plain: int, dotted: int
) -> None:
    async with running(vs24=binds) as (twin, api):
        twin.create("person", **KARI)
        later = "2026-07-02T00:00:00Z"
        assert len((await api.get(FEED, ChangedAtFrom=later))[1]["persons"]) == plain
        assert len((await api.get(FEED, **{"criteria.changedAtFrom": later}))[1]["persons"]) == dotted


async def test_vs27_a_list_may_be_cut_without_a_sign() -> None:
    async with running() as (twin, api):
        for number in range(1002):
            twin.create("person", lastName=f"Person {number}")
        assert len((await api.get(FEED))[1]["persons"]) == 1002
        twin.switches.vs27 = 1000
        status, feed = await api.get(FEED)
        assert (status, len(feed["persons"]), sorted(feed)) == (
            200,
            1000,
            ["companies", "deceasedEstates", "persons"],
        )


async def test_a_typed_read_gives_the_documented_fields() -> None:
    async with running() as (twin, api):
        twin.define_category("K1", "Investor")
        person = twin.create("person", **KARI, categories=["K1"])
        status, read = await api.get(f"{FEED}/Person/{person}")
        assert status == 200
        assert read == twin.get(person)
        assert read["type"] == "Person"
        assert person.startswith("ADR")
        assert len(person) == 35
        assert read["telephone"] == {"home": None, "work": None, "cell": "070-174 06 05", "other": None}
        assert read["categories"] == [{"id": "K1", "name": "Investor", "readOnly": False}]
        assert read["address"]["countryCode"] is None
        assert read["wantsToBeMatched"] == "NotAsked"
        company = twin.create("company", **FJORD)
        _, read = await api.get(f"{FEED}/Company/{company}")
        assert (read["name"], read["telephone"]) == (
            "Fjord Eiendom AS",
            {"switch": "08-465 004 01", "other": None},
        )
        assert twin.records("company") == [read]


async def test_the_untyped_read_takes_any_kind_one_or_several() -> None:
    async with running() as (twin, api):
        ids = [twin.create("person", **KARI), twin.create("company", **FJORD)]
        assert (await api.get(f"{FEED}/{ids[1]}"))[1]["type"] == "Company"
        assert [row["type"] for row in (await api.get(f"{FEED}/{','.join(ids)}"))[1]] == ["Person", "Company"]


async def test_ids_are_case_sensitive_and_of_their_kind() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        assert (await api.get(f"{FEED}/Person/{person.lower()}"))[0] == 404
        assert (await api.get(f"{FEED}/Company/{person}"))[0] == 404


async def test_vs19_empty_fields_may_be_left_out() -> None:
    async with running(vs19="left_out") as (twin, api):
        person = twin.create("person", lastName="Åkesson")
        _, read = await api.get(f"{FEED}/Person/{person}")
        assert "firstName" not in read
        assert read["telephone"] == {}
        assert read["lastName"] == "Åkesson"


async def test_vs21_an_unknown_contact_is_404_and_hides_its_batch() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        assert (await api.get(f"{FEED}/Person/ADR0"))[0] == 404
        assert (await api.get(f"{FEED}/Person", contactIds=f"{person},ADR0"))[0] == 404


@pytest.mark.parametrize(
    ("word", "single"), [("204", (204, None)), ("null", (200, None)), ("left_out", None)]
)
async def test_vs21_an_unknown_contact_may_be_left_out_of_a_batch(
    word: str, single: tuple[int, None] | None
) -> None:
    async with running(vs21=word) as (twin, api):
        person = twin.create("person", **KARI)
        status, rows = await api.get(f"{FEED}/Person", contactIds=f"ADR0,{person}")
        assert (status, [row["id"] for row in rows]) == (200, [person])
        answer = await api.get(f"{FEED}/Person/ADR0")
        assert answer == single if single else answer[0] == 404


@pytest.mark.parametrize(
    ("word", "by_query", "by_path"), [("400", None, None), ("first_20", 20, 6), ("accepted", 21, 6)]
)
async def test_vs26_too_many_ids(word: str, by_query: int | None, by_path: int | None) -> None:
    async with running(vs26=word) as (twin, api):
        ids = [twin.create("person", lastName=f"Person {number}") for number in range(21)]
        for path, query, rows in (
            (f"{FEED}/Person", {"ContactIds": ",".join(ids)}, by_query),
            (f"{FEED}/Person/{','.join(ids[:6])}", {}, by_path),
            (f"{FEED}/{','.join(ids[:6])}", {}, by_path),
        ):
            status, found = await api.get(path, **query)
            assert (status, None if status == 400 else len(found)) == (200 if rows else 400, rows)
        assert len((await api.get(f"{FEED}/Person", contactIds=",".join(ids[:20])))[1]) == 20


@pytest.mark.parametrize(
    ("at", "wall"),
    [
        (datetime(2026, 7, 1, 10, 38, 7, 966000, UTC), "2026-07-01T12:38:07.966"),
        (datetime(2026, 7, 1, 10, 38, 7, 650000, UTC), "2026-07-01T12:38:07.65"),
        (datetime(2026, 1, 1, 10, 30, 0, 0, UTC), "2026-01-01T11:30:00"),
        (datetime(2026, 10, 25, 0, 30, 0, 0, UTC), "2026-10-25T02:30:00"),
        (datetime(2026, 10, 25, 1, 30, 0, 0, UTC), "2026-10-25T02:30:00"),
    ],
)
def test_vs23_times_are_swedish_wall_clock_without_trailing_zeros(at: datetime, wall: str) -> None:
    assert render(at, Switches()) == wall


async def test_vs23_times_may_have_seven_decimals_and_an_offset() -> None:
    clock = Clock(datetime(2026, 11, 8, 4, 1, 45, 318772, UTC))
    async with running(clock=clock, vs23="offset") as (twin, api):
        person = twin.create("person", **KARI)
        assert twin.get(person)["changedAt"] == "2026-11-08T05:01:45.3180000+01:00"
        status, feed = await api.get(FEED, ChangedAtFrom=twin.get(person)["changedAt"])
        assert (status, len(feed["persons"])) == (200, 1)


async def test_vs39_a_country_that_was_never_set_may_read_back_as_sweden() -> None:
    async with running() as (twin, api):
        _, company = await api.write_company(companyName="Fjord Eiendom AS", address={"city": "Malmö"})
        assert twin.get(company)["address"]["countryCode"] is None
        twin.switches.vs39 = "SE"
        assert (await api.get(f"{FEED}/Company/{company}"))[1]["address"]["countryCode"] == "SE"


async def test_vs40_phones_are_found_by_digits_or_by_exact_text() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)

        async def found(number: str) -> list[str]:
            _, rows = await api.get(
                "Contacts/GetContactsWithPhonenumber", phoneNumber=number, customerId=CUSTOMER
            )
            return [contact for row in rows for contact in row["contactIds"]]

        for number in ("+46701740605", "0701740605", "0046 70 174 06 05", "+46 (0)70-174 06 05"):
            assert await found(number) == [person]
        assert await found("+47701740605") == []
        twin.switches.vs40 = "exact"
        assert await found("+46701740605") == []
        assert await found("070-174 06 05") == [person]


async def test_search_finds_by_name_email_phone_and_number() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI, socialSecurityNumber="19800101-1234")
        twin.create("company", **FJORD)
        for term in ("kari åk", "kari@example", "+4670174", "19800101"):
            _, found = await api.get(f"{FEED}/Search", Term=term)
            assert [(match["id"], match["type"]) for match in found["matches"]] == [(person, "Person")]
        assert (await api.get(f"{FEED}/Search", Term="kari"))[0] == 400
        assert (await api.get(f"{FEED}/Search", term="example", MaxSize="1001"))[0] == 400
        assert len((await api.get(f"{FEED}/Search", term="example", maxsize="1"))[1]["matches"]) == 1
        _, found = await api.get(f"{FEED}/search/SocialNumber", SocialNumber="198001011234")
        assert [(match["id"], match["contactClassTypes"]) for match in found["matches"]] == [
            (person, ["Person"])
        ]


async def test_the_v1_reads_use_the_v1_names() -> None:
    async with running() as (twin, api):
        twin.define_category("K1", "Investor")
        twin.define_custom_field("hemsida", "Hemsida", valid_for=("Person", "Company"))
        person = twin.create("person", **KARI, categories=["K1"])
        await api.write(
            contactId=person, customField={"name": "hemsida", "value": "kari.example"}, obtainThrough=3
        )
        twin.create("company", **FJORD)
        criteria = {"customerId": CUSTOMER, "emailAddresses": ["KARI@example.se"], "categories": ["K1"]}
        _, [lists] = await api.post("Contacts/GetContacts", criteria)
        [record] = lists["persons"]
        assert lists["companies"] == lists["estates"] == []
        assert (record["contactId"], record["cellPhone"], record["wishAdvertising"]) == (
            person,
            "070-174 06 05",
            True,
        )
        assert record["customFields"] == [{"label": "Hemsida", "name": "hemsida", "value": "kari.example"}]
        assert record["obtainThrough"] == "Agreement"
        _, [lists] = await api.post(
            "Contacts/GetContactsSyncList", {"customerId": CUSTOMER, "changedDateFrom": "2026-07-01T12:00:00"}
        )
        assert lists["persons"] == [{"contactId": person, "dateChanged": "2026-07-01T12:00:00"}]
        assert len(lists["companies"]) == 1
        _, [own] = await api.get("CustomField/Get", customerId=CUSTOMER)
        assert own["fields"][0]["validFor"] == ["Person", "Company"]


async def test_categories_stand_in_two_lists_and_relations_are_empty() -> None:
    async with running() as (twin, api):
        twin.define_category("K1", "Investor")
        twin.define_category("F1", "Fond", "company", read_only=True)
        person = twin.create("person", **KARI)
        assert (await api.get("Category/GetCategories", customerId=CUSTOMER))[1] == {
            "personCategories": [{"id": "K1", "name": "Investor", "readOnly": False}],
            "companyCategories": [{"id": "F1", "name": "Fond", "readOnly": True}],
        }
        _, relations = await api.get(f"{FEED}/{person}/ContactRelations")
        assert relations == {"relations": [], "reverseRelations": []}


# --- writing


async def test_a_write_without_a_match_makes_a_contact_and_answers_its_id() -> None:
    async with running() as (twin, api):
        status, person = await api.write(**KARI_BODY)
        assert status == 200
        made = twin.get(person)
        assert (made["firstName"], made["telephone"]["cell"]) == ("Kari", "+46701740605")
        assert made["createdAt"] == made["changedAt"]


async def test_property_names_are_read_without_regard_to_case() -> None:
    async with running() as (twin, api):
        body = {"CUSTOMERID": CUSTOMER, "LastName": "Åkesson", "Email": {"EmailAddress": "kari@example.se"}}
        _, person = await api.post("Contacts/UpdatePerson", body)
        assert twin.get(person)["email"]["emailAddress"] == "kari@example.se"


async def test_a_write_to_a_known_id_changes_what_was_sent_and_moves_the_date() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        person = twin.create("person", **KARI)
        clock.forward(minutes=5)
        assert await api.write(contactId=person, firstName="Karin", note=None) == (200, person)
        read = twin.get(person)
        assert (read["firstName"], read["lastName"], read["note"]) == ("Karin", "Åkesson", "Söker kontor")
        assert (read["createdAt"], read["changedAt"]) == ("2026-07-01T12:00:00", "2026-07-01T12:05:00")


async def test_a_write_with_a_matching_number_updates_that_contact() -> None:
    async with running() as (twin, api):
        company = twin.create("company", **FJORD)
        _, matched = await api.write_company(companyName="Fjord AB", corporateNumber="5566778899")
        assert (matched, twin.get(company)["name"]) == (company, "Fjord AB")


@pytest.mark.parametrize(
    "channel", [{"cellPhone": "0701740605"}, {"email": {"emailAddress": "KARI@example.se"}}]
)
async def test_vs12_a_write_with_a_matching_name_and_channel_updates_that_contact(
    channel: dict[str, Any],
) -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        body = {"firstName": "kari", "lastName": "Åkesson", "note": "Ny", **channel}
        assert await api.write(**body) == (200, person)
        assert twin.get(person)["note"] == "Ny"


async def test_vs12_the_matched_contact_may_stay_untouched() -> None:
    async with told(vs12="untouched") as (twin, api, receiver):
        person = twin.create("person", **KARI)
        before = twin.get(person)
        assert await api.write(**KARI_BODY, note="Ny") == (200, person)
        assert twin.get(person) == before
        await twin.settled()
        assert len(receiver.got) == 1


async def test_a_name_alone_a_work_phone_or_another_number_is_no_match() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI, socialSecurityNumber="198001011234")
        name = {"firstName": "Kari", "lastName": "Åkesson"}
        assert (await api.write(**name, workPhone="070-174 06 05"))[1] != person
        assert (await api.write(**KARI_BODY, socialSecurityNumber="197001011234"))[1] != person


async def test_blank_names_never_change_a_name() -> None:
    async with running(vs8="cleared", vs9="cleared") as (twin, api):
        person = twin.create("person", **KARI)
        company = twin.create("company", **FJORD)
        await api.write(contactId=person, firstName="", lastName=None)
        await api.write_company(contactId=company, companyName="  ")
        assert (twin.get(person)["firstName"], twin.get(person)["lastName"]) == ("Kari", "Åkesson")
        assert twin.get(company)["name"] == "Fjord Eiendom AS"


@pytest.mark.parametrize(("word", "note"), [("kept", "Söker kontor"), ("cleared", None)])
async def test_vs8_fields_that_are_omitted_or_null(word: str, note: str | None) -> None:
    async with running(vs8=word) as (twin, api):
        for body in ({}, {"note": None}):
            person = twin.create("person", **KARI)
            await api.write(contactId=person, firstName="Karin", **body)
            assert twin.get(person)["note"] == note
            assert twin.get(person)["advertisingEnabled"] is True


@pytest.mark.parametrize(
    ("word", "note", "email"), [("kept", "Söker kontor", "kari@example.se"), ("cleared", None, None)]
)
async def test_vs9_empty_texts(word: str, note: str | None, email: str | None) -> None:
    async with running(vs9=word) as (twin, api):
        person = twin.create("person", **KARI)
        await api.write(contactId=person, note="", email={"emailAddress": ""})
        read = twin.get(person)
        assert (read["note"], read["email"]["emailAddress"]) == (note, email)
        assert read["email"]["emailAddress2"] == "kari@home.test"


@pytest.mark.parametrize(
    ("word", "second", "city"), [("kept", "kari@home.test", "Östersund"), ("cleared", None, None)]
)
async def test_vs10_parts_left_out_of_email_and_address(
    word: str, second: str | None, city: str | None
) -> None:
    async with running(vs10=word) as (twin, api):
        person = twin.create("person", **KARI)
        await api.write(
            contactId=person, email={"emailAddress": "ny@example.se"}, address={"streetAddress": "Torget 2"}
        )
        read = twin.get(person)
        assert read["email"] == {"emailAddress": "ny@example.se", "emailAddress2": second}
        assert (read["address"]["streetAddress"], read["address"]["city"]) == ("Torget 2", city)
        assert read["telephone"]["cell"] == "070-174 06 05"


@pytest.mark.parametrize(("word", "expected"), [("add", ["K1", "K9", "K2"]), ("replace", ["K9", "K2"])])
async def test_vs11_category_ids_add_or_replace_but_never_touch_read_only_ones(
    word: str, expected: list[str]
) -> None:
    async with running(vs11=word) as (twin, api):
        for category in ("K1", "K2"):
            twin.define_category(category, category)
        twin.define_category("K9", "System", read_only=True)
        person = twin.create("person", **KARI, categories=["K1", "K9"])
        await api.write(contactId=person, categoryIds=["K2"])
        assert [category["id"] for category in twin.get(person)["categories"]] == expected
        await api.write(contactId=person, note="Ny")
        assert [category["id"] for category in twin.get(person)["categories"]] == expected


async def test_only_categories_of_the_right_list_that_are_not_read_only_can_be_assigned() -> None:
    async with running() as (twin, api):
        twin.define_category("F1", "Fond", "company")
        twin.define_category("K9", "System", read_only=True)
        person = twin.create("person", **KARI)
        for category in ("F1", "K9", "K0"):
            assert (await api.write(contactId=person, categoryIds=[category]))[0] == 400


async def test_delete_category_takes_one_category_off() -> None:
    async with running() as (twin, api):
        twin.define_category("K1", "Investor")
        twin.define_category("K9", "System", read_only=True)
        person = twin.create("person", **KARI, categories=["K1", "K9"])
        assert await api.call("DELETE", f"{FEED}/{person}/Category/K1") == (204, None)
        assert [category["id"] for category in twin.get(person)["categories"]] == ["K9"]
        assert (await api.call("DELETE", f"{FEED}/{person}/Category/K9"))[0] == 400
        assert (await api.call("DELETE", f"{FEED}/ADR0/Category/K1"))[0] == 404


async def test_a_new_person_needs_a_channel_and_a_new_company_does_not() -> None:
    async with running() as (_, api):
        status, refusal = await api.write(firstName="Kari", lastName="Åkesson", otherPhone="0701740605")
        assert status == 400
        assert refusal["modelState"]["contact"] == [
            "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."
        ]
        assert (await api.write_company(companyName="Fjord Eiendom AS"))[0] == 200


@pytest.mark.parametrize(("word", "status"), [("create", 200), ("always", 400)])
async def test_vs13_an_update_by_id_may_need_a_channel_too(word: str, status: int) -> None:
    async with running(vs13=word) as (twin, api):
        person = twin.create("person", **KARI)
        assert (await api.write(contactId=person, note="Ny"))[0] == status
        assert (await api.write(contactId=person, note="Ny", cellPhone="0701740605"))[0] == 200


@pytest.mark.parametrize(
    ("kind", "body", "key", "text"),
    [
        ("person", {"firstName": "x" * 31}, "contact.FirstName", "Förnamn måste vara mellan 0 och 30 tecken"),
        (
            "person",
            {"cellPhone": "0" * 18},
            "contact.CellPhone",
            "Mobilnummer måste vara mellan 0 och 17 tecken",
        ),
        (
            "person",
            {"email": {"emailAddress": "x" * 101}},
            "contact.Email.EmailAddress",
            "Epostadresser måste vara mellan 0 och 100 tecken",
        ),
        (
            "person",
            {"address": {"streetAddress": "x" * 69}},
            "contact.Address.StreetAddress",
            "Gatuaddress måste vara mellan 0 och 68 tecken",
        ),
        (
            "company",
            {"companyName": "x" * 101},
            "contact.CompanyName",
            "Företagsnamn måste vara mellan 0 och 100 tecken",
        ),
        ("company", {"homePage": "x" * 61}, "contact.HomePage", "Hemsida måste vara mellan 0 och 60 tecken"),
    ],
)
async def test_vs22_a_text_over_its_limit_is_refused_in_swedish(
    kind: str, body: dict[str, Any], key: str, text: str
) -> None:
    async with running() as (twin, api):
        status, refusal = await (api.write if kind == "person" else api.write_company)(**body)
        assert (status, refusal["modelState"][key]) == (400, [text])
        assert not twin.contacts


async def test_vs22_a_text_over_its_limit_may_be_cut_silently() -> None:
    async with running(vs22="cut") as (twin, api):
        status, company = await api.write_company(companyName="x" * 120)
        assert (status, twin.get(company)["name"]) == (200, "x" * 100)


async def test_vs25_enums_are_taken_by_name_or_number() -> None:
    async with running() as (twin, api):
        for choice in ("Visit", 2):
            assert (await api.write(**KARI_BODY, obtainThrough=choice))[0] == 200
        for choice in ("Pigeon", 7):
            assert (await api.write(**KARI_BODY, obtainThrough=choice))[0] == 400
        twin.switches.vs25 = "name"
        assert (await api.write(**KARI_BODY, obtainThrough="Visit"))[0] == 200
        assert (await api.write(**KARI_BODY, obtainThrough=2))[0] == 400


async def test_ids_that_are_gone_or_of_another_kind_and_bodies_that_make_no_sense_are_refused() -> None:
    async with running() as (twin, api):
        company = twin.create("company", **FJORD)
        assert (await api.write(contactId="ADR0", cellPhone="0701740605"))[0] == 404
        assert (await api.write(contactId=company, cellPhone="0701740605"))[0] == 400
        assert (await api.post("Contacts/UpdatePerson", {"lastName": "Åkesson"}))[0] == 400
        assert (await api.post("Contacts/UpdatePerson", [1]))[0] == 400
        assert (await api.write(**KARI_BODY | {"firstName": 5}))[0] == 400


@pytest.mark.parametrize(
    ("word", "status", "body"),
    [
        ("model_state", 400, {"message", "modelState"}),
        ("message", 400, {"message"}),
        ("empty", 400, None),
        ("html", 500, "<!DOCTYPE"),
    ],
)
async def test_vs20_the_error_body_has_many_faces(
    word: str, status: int, body: set[str] | str | None
) -> None:
    async with running(vs20=word) as (_, api):
        found, answer = await api.write(firstName="x" * 31)
        assert found == status
        match body:
            case None:
                assert answer is None
            case str():
                assert answer.startswith(body)
            case _:
                assert answer.keys() == body


@pytest.mark.parametrize(("word", "status"), [("lead_id", 200), ("204", 204)])
async def test_vs33_a_lead_finds_or_makes_its_person(word: str, status: int) -> None:
    async with running(vs33=word) as (twin, api):
        twin.define_lead_source("L1", "Webb")
        person = twin.create("person", **KARI)
        lead = {
            "firstName": "Kari",
            "lastName": "Åkesson",
            "telephone": {"cell": "+46701740605"},
            "message": "Ring mig",
            "typeId": "L1",
        }
        found, answer = await api.post(f"Service/Contact/{CUSTOMER}/Lead/Person", lead)
        [lead_id] = twin.leads
        assert (found, answer) == (status, lead_id if status == 200 else None)
        assert twin.leads[lead_id]["contactId"] == person
        assert (await api.post(f"Advertising/Lead/{CUSTOMER}/Person", lead | {"message": ""}))[0] == 400


# --- the user side and the journal


async def test_an_edit_merges_nested_fields_and_one_that_changes_nothing_is_silent() -> None:
    clock = Clock()
    receiver = Receiver()
    async with serve(receiver.app) as base, running(clock=clock) as (twin, _):
        twin.subscribe(f"{base}/in")
        person = twin.create("person", **KARI)
        clock.forward(minutes=1)
        twin.edit(person, email={"emailAddress": "ny@example.se"}, note="")
        read = twin.get(person)
        assert read["email"] == {"emailAddress": "ny@example.se", "emailAddress2": "kari@home.test"}
        assert (read["note"], read["changedAt"]) == (None, "2026-07-01T12:01:00")
        clock.forward(minutes=1)
        twin.edit(person, email={"emailAddress": "ny@example.se"}, note=None, categories=[])
        assert twin.get(person) == read
        await twin.settled()
        assert receiver.told() == [("Update", person)] * 2


def test_the_users_screen_takes_no_unknown_field_and_no_long_name() -> None:
    twin = VitecConnectTwin()
    with pytest.raises(KeyError):
        twin.create("company", firstName="Kari")
    with pytest.raises(ValueError, match="at most 30"):
        twin.create("person", firstName="x" * 31)


def test_ids_come_from_the_seed() -> None:
    first, second = (VitecConnectTwin(seed=3).create("person", **KARI) for _ in range(2))
    assert first == second


async def test_a_removed_contact_is_in_no_answer() -> None:
    async with told() as (twin, api, receiver):
        person = twin.create("person", **KARI)
        twin.remove(person)
        assert (await api.get(FEED))[1]["persons"] == []
        assert (await api.get(f"{FEED}/Person/{person}"))[0] == 404
        await twin.settled()
        assert receiver.told() == [("Update", person), ("Remove", person)]


async def test_the_journal_tells_our_writes_from_the_users_and_names_the_useless_ones() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        await api.write(contactId=person, note="Ny")
        await api.write(contactId=person, note="Ny")
        await api.write(contactId=person, firstName="x" * 31)
        await api.get(f"{FEED}/Person/{person}")
        first, second, refused = twin.journal.writes()
        assert (first.changed, second.changed, refused.status) == (True, False, 400)
        assert first.before is not None
        assert first.after is not None
        assert (first.before["note"], first.after["note"]) == ("Söker kontor", "Ny")
        assert "changedAt" not in first.after
        assert twin.journal.echoes() == [second]
        assert [entry.actor for entry in twin.journal.entries] == ["person", "api", "api", "api"]
        assert twin.journal.reads == {("GET", "/CRM/Contact/{customer}/Person/{ids}"): 1}


# --- notifications


async def test_vs1_the_new_form() -> None:
    async with told() as (twin, _, receiver):
        person = twin.create("person", **KARI)
        estate = ("OBJ11385_1", "CommercialProperty")
        twin.announce("EstateContact", subtype="Speculator", relations=(estate, (person, "Person")))
        await twin.settled()
        contact, speculator = receiver.bodies
        assert contact == {
            "name": "toveis",
            "type": "Contact",
            "event": "Update",
            "customerId": CUSTOMER,
            "id": person,
            "subtype": "Person",
            "chainId": "G1",
            "tenantId": "T1",
        }
        assert receiver.got[0][0] == contact
        assert (speculator["subtype"], speculator["relId1"], speculator["relType2"]) == (
            "Speculator",
            "OBJ11385_1",
            "Person",
        )
        assert speculator["id"] is None
        assert "id" not in receiver.got[1][0]


async def test_vs1_the_old_form() -> None:
    async with told(vs1="old") as (twin, _, receiver):
        estate, contact = ("OBJ11385_1", "House"), ("ADR1", "Person")
        twin.create("deceased_estate", name="Nilssons dödsbo")
        twin.announce("EstateContact", subtype="Speculator", relations=(estate, contact))
        twin.announce("User", record="HAN1", subtype="User")
        twin.announce("Meeting", record="CAL1", relations=(estate, contact))
        await twin.settled()
        plain, speculator, agent, meeting = receiver.bodies
        assert plain["subType"] == "Estate"
        assert not {"subtype", "tenantId", "chainId"} & plain.keys()
        assert speculator["subType"] == "EstateContactSpeculator"
        assert (agent["type"], "subType" in agent) == ("Agent", False)
        assert meeting["subType"] == "EstateContactSeller"
        assert "relId2" not in receiver.got[3][0]


@pytest.mark.parametrize("transport", ["query", "body", "broken"])
async def test_vs2_a_notification_may_come_by_query_only_by_body_only_or_with_a_broken_body(
    transport: str,
) -> None:
    async with told(vs2=transport) as (twin, _, receiver):
        person = twin.create("person", **KARI)
        await twin.settled()
        [(query, body)] = receiver.got
        assert query.get("id") == (None if transport == "body" else person)
        match transport:
            case "query":
                assert body == ""
            case "body":
                assert json.loads(body)["id"] == person
            case _:
                with pytest.raises(json.JSONDecodeError):
                    json.loads(body)


async def test_vs3_notifications_come_once_and_in_order_by_default() -> None:
    async with told() as (twin, _, receiver):
        ids = [twin.create("person", lastName=f"Person {number}") for number in range(20)]
        await twin.settled()
        assert receiver.told() == [("Update", person) for person in ids]


@pytest.mark.parametrize(
    ("how", "count"),
    [
        (Delivery(drop=1.0), 0),
        (Delivery(copies=3), 60),
        (Delivery(shuffle=True), 20),
        (Delivery(delay=0.02), 20),
    ],
)
async def test_vs3_notifications_may_be_lost_multiplied_shuffled_or_late(how: Delivery, count: int) -> None:
    async with told() as (twin, _, receiver):
        twin.faults.delivery = how
        ids = [twin.create("person", lastName=f"Person {number}") for number in range(20)]
        await twin.settled()
        arrived = [record for _, record in receiver.told()]
        assert sorted(arrived, key=str) == sorted(ids * (count // 20))
        if how.shuffle or how.delay:
            assert arrived != ids


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_vs4_what_the_receiver_refuses_is_lost(status: int) -> None:
    async with told(answers=[status]) as (twin, _, receiver):
        twin.create("person", **KARI)
        await twin.settled()
        assert len(receiver.got) == 1
        assert twin.notifier.outcomes == {"refused": 1}


async def test_vs4_a_receiver_over_the_time_limit_is_not_asked_again() -> None:
    async with told(vs4="retried") as (twin, _, receiver):
        assert twin.notifier.time_limit == 2.0
        twin.notifier.time_limit = 0.05
        receiver.hold.clear()
        twin.create("person", **KARI)
        await twin.settled()
        receiver.hold.set()
        assert (len(receiver.got), twin.notifier.outcomes) == (1, {"unanswered": 1})


@pytest.mark.parametrize(("answers", "attempts"), [([500, 503], 3), ([400], 1)])
async def test_vs4_retries_if_switched_on_follow_a_5xx_only(answers: list[int], attempts: int) -> None:
    async with told(answers=answers, vs4="retried") as (twin, _, receiver):
        twin.notifier.retry_gaps = (0, 0, 0)
        twin.create("person", **KARI)
        await twin.settled()
        assert len(receiver.got) == attempts


@pytest.mark.parametrize(("word", "echoes"), [("echo", 1), ("none", 0), ("twice", 2)])
async def test_vs5_a_write_through_the_api_comes_back_as_an_update(word: str, echoes: int) -> None:
    async with told(vs5=word) as (twin, api, receiver):
        _, person = await api.write(**KARI_BODY)
        await twin.settled()
        assert receiver.told() == [("Update", person)] * echoes
        await api.write(contactId=person, note="Ny")
        await twin.settled()
        assert receiver.told() == [("Update", person)] * (2 * echoes)


async def test_vs34_a_merge_is_told_once_and_its_sources_are_gone() -> None:
    async with told() as (twin, api, receiver):
        twin.define_category("K1", "Investor")
        kept = twin.create("person", lastName="Åkesson")
        gone = twin.create("person", **KARI, categories=["K1"])
        twin.merge(kept, gone)
        await twin.settled()
        merge = receiver.bodies[-1]
        assert len(receiver.got) == 3
        assert (merge["type"], merge["event"], merge["subtype"]) == ("Merge", "Merge", "Person")
        assert (merge["id"], merge["destinationId"], merge["sourceIds"]) == (kept, kept, [gone])
        assert not {"destinationId", "sourceIds"} & receiver.got[-1][0].keys()
        assert (await api.get(f"{FEED}/Person/{gone}"))[0] == 404
        assert twin.get(kept)["email"]["emailAddress"] == "kari@example.se"
        assert [category["id"] for category in twin.get(kept)["categories"]] == ["K1"]


@pytest.mark.parametrize(("types", "word"), [(None, "remove_and_update"), (["Contact"], "merge")])
async def test_vs34_without_a_merge_subscription_it_is_remove_and_update(
    types: list[str] | None, word: str
) -> None:
    async with told(types=types, vs34=word) as (twin, _, receiver):
        kept, gone = twin.create("person", lastName="Åkesson"), twin.create("person", **KARI)
        twin.merge(kept, gone)
        await twin.settled()
        assert receiver.told()[2:] == [("Remove", gone), ("Update", kept)]


async def test_vs35_an_office_is_told_by_the_customers_id_or_by_its_own() -> None:
    async with told() as (twin, _, receiver):
        twin.announce("Office", subtype="Office")
        twin.switches.vs35 = "office"
        twin.announce("Office", subtype="Office")
        await twin.settled()
        assert [record for _, record in receiver.told()] == ["M11385", "FIR11385"]


async def test_a_subscription_hears_only_its_types() -> None:
    async with told(types=["Office"]) as (twin, _, receiver):
        twin.create("person", **KARI)
        twin.announce("Office", subtype="Office")
        await twin.settled()
        assert [body["type"] for body in receiver.bodies] == ["Office"]


async def test_a_receiver_that_is_not_there_costs_the_notification_and_nothing_else() -> None:
    async with running() as (twin, _):
        twin.subscribe("http://127.0.0.1:9/in")
        person = twin.create("person", **KARI)
        await twin.settled()
        assert twin.notifier.outcomes == {"unanswered": 1}
        assert twin.get(person)["firstName"] == "Kari"


# --- faults


@pytest.mark.parametrize(
    ("kind", "done"),
    [("timeout_before", False), ("drop_before", False), ("timeout_after", True), ("drop_after", True)],
)
async def test_vs36_silence_before_or_after_the_write_was_done(kind: Any, done: bool) -> None:
    async with running() as (twin, api):
        twin.faults.timeout = 0.02
        twin.faults.plan(kind, path_contains="UpdatePerson")
        with pytest.raises(aiohttp.ClientError):
            await api.write(**KARI_BODY)
        assert bool(twin.contacts) == done
        assert (await api.write(**KARI_BODY))[0] == 200


@pytest.mark.parametrize("kind", ["500", "503", "429"])
async def test_vs36_a_failure_does_nothing_and_speaks_in_vitecs_form(kind: Any) -> None:
    async with running() as (twin, api):
        twin.faults.plan(kind)
        status, body = await api.write(**KARI_BODY)
        assert (status, body.keys(), len(twin.contacts)) == (int(kind), {"message"}, 0)
        assert ("Retry-After" in api.headers) == (kind == "429")


async def test_vs36_broken_json_comes_with_200_after_the_write_was_done() -> None:
    async with running() as (twin, api):
        twin.faults.plan("broken_json")
        with pytest.raises(json.JSONDecodeError):
            await api.write(**KARI_BODY)
        assert len(twin.contacts) == 1
