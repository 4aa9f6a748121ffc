"""Leads and interests at the Vitec Connect twin: what each call accepts, finds or makes, and keeps."""

import copy
from typing import Any

import aiohttp
import pytest

from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from tests.integration.vitec_connect_bench import CUSTOMER, KARI, KARI_BODY, Caller, running, told

PERSON_LEAD = f"Service/Contact/{CUSTOMER}/Lead/Person"
BOTH = "Interest/SendInterestAndContactOnEstate"
ALONE = "Interest/SendInterestOnEstate"
LEAD = {
    "firstName": "Kari",
    "lastName": "Åkesson",
    "email": {"emailAddress": "kari@example.se"},
    "telephone": {"cell": "+46701740605"},
    "message": "Ring mig",
    "typeId": "L1",
}
WATCHER: dict[str, Any] = {
    "person": {"firstName": "Kari", "lastName": "Åkesson", "email": {"emailAddress": "kari@example.se"}},
    "prospectiveBuyerStatus": "Assigned",
    "message": "Vad blev priset?",
}
VISITOR = {
    "firstName": "Kari",
    "lastName": "Åkesson",
    "email": {"emailAddress": "kari@example.se"},
    "contactMessage": "Jag vill veta mer",
}
# The samples of the vendor's pages, as printed there.
PRINTED_INTEREST: dict[str, Any] = {
    "updatePerson": {
        "firstName": "sample string 1",
        "lastName": "sample string 2",
        "socialSecurityNumber": "sample string 3",
        "isForeignSocialSecurityNumber": True,
        "telePhone": "sample string 4",
        "workPhone": "sample string 5",
        "cellPhone": "sample string 6",
        "approval": True,
        "approvalDate": "2025-11-08T05:01:45.3187722+01:00",
        "gdprApprovalDate": "2025-11-08T05:01:45.3187722+01:00",
        "obtainThrough": "Interest",
        "contactId": "sample string 7",
        "customerId": "sample string 8",
        "categoryIds": ["sample string 1", "sample string 2"],
        "address": {
            "streetAddress": "sample string 1",
            "zipCode": "sample string 2",
            "city": "sample string 3",
            "countryCode": "sample string 4",
        },
        "email": {"emailAddress": "sample string 1", "emailAddress2": "sample string 2"},
        "userId": "sample string 9",
        "otherPhone": "sample string 10",
        "wishAdvertising": True,
        "note": "sample string 11",
        "coordinate": {"longitud": 1.1, "latitud": 2.1},
        "task": {
            "predefinedTaskId": "sample string 1",
            "note": "sample string 2",
            "estateId": "sample string 3",
            "assignedTo": "sample string 4",
        },
        "customField": {"name": "sample string 1", "value": "sample string 2"},
        "leadScore": 1,
    },
    "estateId": "sample string 1",
    "presentAccommodation": {
        "estateType": "House",
        "livingSpace": 1.1,
        "numberOfRooms": 1.1,
        "price": 1.1,
        "other": "sample string 1",
        "coordinate": {"longitud": 1.1, "latitud": 2.1},
    },
    "interestNote": "sample string 2",
    "notifyUser": True,
}
PRINTED_FINAL_PRICE: dict[str, Any] = {
    "person": {
        "firstName": "sample string 1",
        "lastName": "sample string 2",
        "socialSecurityNumber": "sample string 3",
        "isForeignSocialSecurityNumber": True,
        "address": {
            "streetAddress": "sample string 1",
            "zipCode": "sample string 2",
            "city": "sample string 3",
        },
        "email": {"emailAddress": "sample string 1", "emailAddress2": "sample string 2"},
        "telephone": {
            "home": "sample string 1",
            "work": "sample string 2",
            "cell": "sample string 3",
            "other": "sample string 4",
        },
    },
    "prospectiveBuyerStatus": "Assigned",
    "leadSourceId": "sample string 1",
    "marketing": {
        "referrer": "sample string 1",
        "utmTags": [{"name": "sample string 1", "value": "sample string 2"}],
    },
    "message": "sample string 2",
}


def watch(estate: str) -> str:
    return f"Advertising/Estate/{CUSTOMER}/{estate}/FinalPriceWatched"


def visit(estate: str) -> str:
    return f"Advertising/Estate/{CUSTOMER}/{estate}/interest"


def both(estate: str, **more: Any) -> dict[str, Any]:
    return {"updatePerson": KARI_BODY, "estateId": estate, "interestNote": "Gärna kväll", **more}


def alone(person: str, estate: str, **more: Any) -> dict[str, Any]:
    return {"customerId": CUSTOMER, "contactId": person, "estateId": estate, **more}


def calls(twin: VitecConnectTwin) -> list[str]:
    return [lead["call"] for lead in twin.leads.values()]


async def complaints(api: Caller, path: str, body: object) -> dict[str, list[str]]:
    status, answer = await api.post(path, body)
    assert status == 400
    found: dict[str, list[str]] = answer["modelState"]
    return found


# --- lead sources and Lead/Person


async def test_lead_sources_are_listed() -> None:
    async with running() as (twin, api):
        assert await api.get(f"CRM/Lead/{CUSTOMER}/LeadSources") == (200, [])
        twin.define_lead_source("L1", "Webb", "AcceptObjectFlow")
        rows = [{"id": "L1", "name": "Webb", "leadType": "AcceptObjectFlow"}]
        assert await api.get(f"CRM/Lead/{CUSTOMER}/LeadSources") == (200, rows)


async def test_a_lead_is_kept_whole_with_the_contact_that_it_made() -> None:
    async with running() as (twin, api):
        twin.define_lead_source("L1", "Webb")
        status, lead_id = await api.post(PERSON_LEAD, LEAD)
        assert (status, lead_id[:3]) == (200, "LED")
        [contact] = twin.contacts
        assert twin.get(contact)["telephone"]["cell"] == "+46701740605"
        assert twin.leads[lead_id] == {
            "call": "Lead/Person",
            "contactId": contact,
            "estateId": None,
            "leadSourceId": "L1",
            "message": "Ring mig",
            "body": LEAD,
        }
        await api.post(PERSON_LEAD, LEAD)
        assert (len(twin.leads), len(twin.contacts)) == (2, 1)
        first, second = twin.journal.writes()
        assert (first.category, first.record, first.changed) == ("lead", lead_id, True)
        assert (second.changed, twin.journal.echoes()) == (True, [])


async def test_a_lead_of_one_of_the_same_name_but_another_channel_makes_another_contact() -> None:
    async with running() as (twin, api):
        twin.define_lead_source("L1", "Webb")
        twin.create(
            "person", firstName="Kari", lastName="Åkesson", email={"emailAddress": "annan@example.se"}
        )
        await api.post(PERSON_LEAD, LEAD)
        assert len(twin.contacts) == 2


@pytest.mark.parametrize(
    ("part", "key", "text"),
    [
        ({"firstName": ""}, "lead.FirstName", "Förnamn krävs"),
        ({"lastName": None}, "lead.LastName", "Efternamn krävs"),
        ({"firstName": "x" * 31}, "lead.FirstName", "Förnamn måste vara mellan 1 och 30 tecken"),
        ({"message": " "}, "lead.Message", "Meddelande krävs"),
        ({"typeId": None}, "lead.TypeId", "Typ krävs"),
        ({"typeId": "L9"}, "lead.LeadSourceId", "Leadkällan finns inte"),
        ({"telephone": {"cell": "1" * 18}}, "lead.Telephone.Cell", "Mobilnummer måste vara mellan 0 och 17 tecken"),
        ({"address": {"city": "x" * 26}}, "lead.Address.City", "Postort måste vara mellan 0 och 25 tecken"),
        ({"address": {"streetAddress": "x" * 69}}, "lead.Address.StreetAddress",
         "Gatuaddress måste vara mellan 0 och 68 tecken"),
    ],
)  # fmt: skip
async def test_a_lead_is_refused_in_vitecs_words(part: dict[str, Any], key: str, text: str) -> None:
    async with running() as (twin, api):
        twin.define_lead_source("L1", "Webb")
        assert await complaints(api, PERSON_LEAD, LEAD | part) == {key: [text]}
        assert (twin.leads, twin.contacts) == ({}, {})
        [entry] = twin.journal.writes()
        assert (entry.category, entry.status, entry.changed) == ("lead", 400, False)


@pytest.mark.parametrize("body", [[], "Ring mig", None, {}, {"telephone": "nej"}])
async def test_a_lead_of_a_wrong_shape_is_refused(body: object) -> None:
    async with running() as (_, api):
        assert (await api.call("POST", PERSON_LEAD, body))[0] == 400


@pytest.mark.parametrize(("word", "answer"), [("lead_id", 200), ("204", 204)])
async def test_vs33_a_lead_on_a_known_contact(word: str, answer: int) -> None:
    async with running(vs33=word) as (twin, api):
        twin.define_lead_source("L1", "Webb")
        person = twin.create("person", **KARI)
        body = {"contactId": person, "assignedToId": "HAN1", "leadSourceId": "L1", "message": "Ring"}
        status, lead_id = await api.post(f"CRM/Lead/{CUSTOMER}", body)
        assert (status, lead_id) == (answer, next(iter(twin.leads)) if answer == 200 else None)
        assert (await api.post(f"CRM/Lead/{CUSTOMER}", body | {"contactId": "ADR0"}))[0] == 404
        assert (await api.post(f"CRM/Lead/{CUSTOMER}", body | {"leadSourceId": "L9"}))[0] == 400
        found = await complaints(api, f"CRM/Lead/{CUSTOMER}", {})
        assert sorted(found) == ["lead.AssignedToId", "lead.ContactId", "lead.LeadSourceId"]


@pytest.mark.parametrize(("kind", "kept"), [("timeout_before", 0), ("timeout_after", 1), ("broken_json", 1)])
async def test_vs36_a_lead_may_be_kept_though_nobody_was_told(kind: Any, kept: int) -> None:
    async with running() as (twin, api):
        twin.define_lead_source("L1", "Webb")
        twin.faults.timeout = 0.02
        twin.faults.plan(kind, path_contains="/Lead/Person")
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await api.post(PERSON_LEAD, LEAD)
        assert len(twin.leads) == kept


# --- interest in an estate


async def test_an_interest_of_a_new_contact_makes_both_the_contact_and_the_relation() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        assert await api.post(BOTH, both(estate)) == (204, None)
        [contact] = twin.contacts
        assert twin.levels() == {(estate, contact): "Interested"}
        [lead] = twin.leads.values()
        assert (lead["call"], lead["estateId"], lead["message"]) == (
            "SendInterestAndContactOnEstate",
            estate,
            "Gärna kväll",
        )
        assert lead["body"] == both(estate)


async def test_an_interest_of_a_known_contact_is_its_relation() -> None:
    async with running() as (twin, api):
        person, estate = twin.create("person", **KARI), twin.create_estate("House")
        assert await api.post(ALONE, alone(person, estate, notifyUser=False)) == (204, None)
        assert twin.levels() == {(estate, person): "Interested"}
        [entry] = twin.journal.writes()
        assert (entry.category, entry.record, entry.changed) == ("prospect", f"{estate}:{person}", True)
        assert calls(twin) == ["SendInterestOnEstate"]
        assert (await api.post(ALONE, alone("ADR0", estate)))[0] == 400
        assert (await api.post(ALONE, alone(person, "OBJ0")))[0] == 400
        assert (await api.post(ALONE, alone(person, estate, customerId="M99999")))[0] == 403
        assert sorted(await complaints(api, ALONE, {})) == [
            "interest.ContactId",
            "interest.CustomerId",
            "interest.EstateId",
        ]


@pytest.mark.parametrize(
    ("word", "status", "level"),
    [("kept", 204, "VeryInterested"), ("interested", 204, "Interested"), ("409", 409, "VeryInterested")],
)
async def test_vs15_an_interest_on_a_relation_that_is_there(word: str, status: int, level: str) -> None:
    async with running(vs15=word) as (twin, api):
        person, estate = twin.create("person", **KARI), twin.create_estate("House")
        twin.relate(person, estate, "VeryInterested")
        note = twin.get(person)["note"]
        assert (await api.post(ALONE, alone(person, estate, interestNote="Igen")))[0] == status
        assert (await api.post(BOTH, both(estate)))[0] == status
        assert twin.levels() == {(estate, person): level}
        kept = twin.interests.get(estate, person)
        assert kept is not None
        assert kept.note == ("Igen\nGärna kväll" if status == 204 else None)
        assert (len(twin.leads), twin.get(person)["note"]) == (2 if status == 204 else 0, note)


@pytest.mark.parametrize(
    ("word", "level"), [("BeenAtOrComingToViewing", "BeenAtOrComingToViewing"), ("none", None)]
)
async def test_vs16_the_level_after_an_interest(word: str, level: str | None) -> None:
    async with running(vs16=word) as (twin, api):
        estate = twin.create_estate("House")
        await api.post(BOTH, both(estate))
        assert list(twin.levels().values()) == [level]


async def test_an_interest_names_a_person_and_an_estate() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        assert await complaints(api, BOTH, {}) == {
            "interest.UpdatePerson": ["Uppgift om personen krävs"],
            "interest.EstateId": ["Objektid krävs"],
        }
        assert await complaints(api, BOTH, {"updatePerson": {}, "estateId": "x" * 41}) == {
            "interest.UpdatePerson.CustomerId": ["Kundid krävs"],
            "interest.EstateId": ["Objektid måste vara mellan 0 och 40 tecken"],
        }
        nobody = {"customerId": CUSTOMER, "lastName": "Åkesson"}
        found = await complaints(api, BOTH, {"updatePerson": nobody, "estateId": estate})
        assert list(found.values()) == [
            ["Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."]
        ]
        home = {"presentAccommodation": {"estateType": "Castle"}}
        assert list(await complaints(api, BOTH, both(estate) | home)) == [
            "interest.PresentAccommodation.EstateType"
        ]
        assert (await api.post(BOTH, both(estate) | {"presentAccommodation": {"estateType": 0}}))[0] == 204
        assert (await api.post(BOTH, both("OBJ0")))[0] == 400


async def test_the_printed_interest_is_refused_for_its_country_and_then_for_what_does_not_exist() -> None:
    async with running() as (twin, api):
        body = copy.deepcopy(PRINTED_INTEREST)
        assert await complaints(api, BOTH, body) == {
            "interest.UpdatePerson.Address.CountryCode": ["Landskod måste vara mellan 0 och 2 tecken"]
        }
        person = body["updatePerson"]
        person["address"]["countryCode"] = "SE"
        assert (await api.post(BOTH, body))[0] == 403
        person["customerId"] = CUSTOMER
        assert (await api.post(BOTH, body))[0] == 400
        body["estateId"] = twin.create_estate("House")
        assert (await api.post(BOTH, body))[0] == 404
        del person["contactId"]
        for category in person["categoryIds"]:
            twin.define_category(category, category)
        twin.define_custom_field("sample string 1", "Fält")
        assert (await api.post(BOTH, body))[0] == 204


async def test_vs5_an_interest_comes_back_as_contact_and_relation() -> None:
    async with told() as (twin, api, receiver):
        estate = twin.create_estate("House")
        await api.post(BOTH, both(estate))
        await twin.settled()
        assert [(body["type"], body["subtype"]) for body in receiver.bodies[1:]] == [
            ("Contact", "Person"),
            ("EstateContact", "Speculator"),
        ]


# --- Advertising


@pytest.mark.parametrize("path", ["interest", "interestRestrictive"])
async def test_an_advertised_interest_makes_a_relation_and_a_lead(path: str) -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        url = f"Advertising/Estate/{CUSTOMER}/{estate}/{path}"
        assert await api.post(url, VISITOR | {"status": 1}) == (204, None)
        [contact] = twin.contacts
        assert twin.levels() == {(estate, contact): "VeryInterested"}
        [lead] = twin.leads.values()
        assert (lead["call"], lead["contactId"], lead["message"]) == (
            "interest",
            contact,
            "Jag vill veta mer",
        )


async def test_an_advertised_interest_takes_longer_names_than_a_contact() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        assert (await api.post(visit(estate), VISITOR | {"firstName": "x" * 40}))[0] == 204
        assert await complaints(api, visit(estate), VISITOR | {"firstName": "x" * 41}) == {
            "interest.FirstName": ["Förnamn måste vara mellan 1 och 40 tecken"]
        }
        assert await complaints(api, visit(estate), VISITOR | {"email": None}) == {
            "interest": ["Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."]
        }
        assert (await api.post(visit("OBJ0"), VISITOR))[0] == 404


@pytest.mark.parametrize(
    ("kind", "status", "answer"),
    [
        ("House", "NotInterested", 204),
        ("House", "BeenOnShowing", 400),
        ("Project", "VeryInterested", 204),
        ("Project", "Assigned", 400),
        ("Premises", "Interested", 400),
        ("Premises", None, 204),
    ],
)
async def test_not_every_status_of_the_form_fits_every_estate(
    kind: str, status: str | None, answer: int
) -> None:
    async with running() as (twin, api):
        estate = twin.create_estate(kind)
        assert (await api.post(visit(estate), VISITOR | {"status": status}))[0] == answer
        assert len(twin.contacts) == (answer == 204)


@pytest.mark.parametrize("word", ["lead_id", "contact_id"])
async def test_vs17_a_final_price_watch_answers_the_leads_or_the_contacts_id(word: str) -> None:
    async with running(vs17=word) as (twin, api):
        estate = twin.create_estate("House", status="Sold")
        status, answer = await api.post(watch(estate), WATCHER)
        [(lead_id, lead)] = twin.leads.items()
        assert (status, answer) == (200, lead_id if word == "lead_id" else lead["contactId"])
        assert (lead["call"], lead["message"]) == ("FinalPriceWatched", "Vad blev priset?")
        assert twin.levels() == {(estate, lead["contactId"]): "Assigned"}


async def test_a_final_price_watch_leaves_the_level_of_a_contact_that_is_there_already() -> None:
    async with running(vs15="interested") as (twin, api):
        person, estate = twin.create("person", **KARI), twin.create_estate("House")
        twin.relate(person, estate, "ParticipateInBidding")
        assert (await api.post(watch(estate), WATCHER))[0] == 200
        assert twin.levels() == {(estate, person): "ParticipateInBidding"}
        assert len(twin.leads) == 1


async def test_a_final_price_watch_is_refused_in_vitecs_words() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        assert await complaints(api, watch(estate), {}) == {
            "finalPriceWatched.Person": ["En kontaktperson måste anges"]
        }
        assert await complaints(api, watch(estate), {"person": {}}) == {
            "finalPriceWatched.Person.FirstName": ["Förnamn krävs"],
            "finalPriceWatched.Person.LastName": ["Efternamn krävs"],
            "finalPriceWatched.Person": [
                "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."
            ],
        }
        assert list(await complaints(api, watch(estate), WATCHER | {"prospectiveBuyerStatus": 3})) == [
            "finalPriceWatched.ProspectiveBuyerStatus"
        ]
        assert (await api.post(watch("OBJ0"), WATCHER))[0] == 404
        assert (twin.leads, twin.contacts) == ({}, {})


async def test_the_printed_final_price_watch_is_taken_once_its_lead_source_exists() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        assert await complaints(api, watch(estate), PRINTED_FINAL_PRICE) == {
            "lead.LeadSourceId": ["Leadkällan finns inte"]
        }
        twin.define_lead_source("sample string 1", "Webb")
        status, lead_id = await api.post(watch(estate), PRINTED_FINAL_PRICE | {"prospectiveBuyerStatus": 0})
        assert (status, twin.leads[lead_id]["leadSourceId"]) == (200, "sample string 1")
        assert list(twin.levels().values()) == ["Assigned"]


async def test_vs22_a_text_over_its_limit_may_be_cut() -> None:
    async with running(vs22="cut") as (twin, api):
        estate = twin.create_estate("House")
        person = WATCHER["person"] | {"lastName": "x" * 50}
        assert (await api.post(watch(estate), WATCHER | {"person": person}))[0] == 200
        [contact] = twin.contacts
        assert twin.get(contact)["lastName"] == "x" * 40


async def test_a_merge_takes_the_leads_along() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House")
        await api.post(watch(estate), WATCHER)
        [gone] = twin.contacts
        kept = twin.create("person", lastName="Åkesson")
        twin.merge(kept, gone)
        assert [lead["contactId"] for lead in twin.leads.values()] == [kept]
