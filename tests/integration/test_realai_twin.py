"""The RealAI Lead twin keeps the contract, and every switch turns what it says it turns."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from daemon.sandbox.twins.faults import Kind
from daemon.sandbox.twins.realai import RealAiTwin, Switches
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

CUSTOMER = "M11385"
SAMPLE: dict[str, Any] = {
    "customer": {"customer_id": CUSTOMER, "lead_id": "LEAD456"},
    "person": {
        "first_name": "Erik",
        "last_name": "Andersson",
        "email": "erik.andersson@example.com",
        "phone": "+46701234567",
        "address": "Storgatan 12",
        "zip_code": "11422",
        "city": "Stockholm",
    },
    "property": {
        "valuation": 5500000,
        "property_sub_type": "SingleFamilyResidence",
        "living_area": 150.0,
        "secondary_area": 40.0,
        "lot_size_area": 800.0,
        "year_built": "1992",
        "occupant_type": "Owner",
        "rooms": None,
        "association_fee": None,
    },
}
OPENING = "Du har fått ett lead från Real AI. Erik Andersson fick en värdering på"
VILLA = (
    f"{OPENING} 5 500 000 kr den 2026-01-27 av en villa med 150.0 m² boarea. "
    "Biarean är 40.0 m² och tomtarean 800.0 m². Byggåret är 1992."
)
APARTMENT = {
    "valuation": 2150000,
    "property_sub_type": "Apartment",
    "living_area": 62.5,
    "rooms": "3",
    "year_built": "1964",
    "occupant_type": "TenantOwnership",
    "association_fee": 3500.0,
}
TOWNHOUSE = {
    "valuation": 3000000,
    "property_sub_type": "Townhouse",
    "living_area": 110.0,
    "lot_size_area": 210.0,
}
OK = {"status": "OK", "message": "Response from Vitec API"}


class Vitec:
    """A far end that shows bare requests and gives any answer; the Vitec twin stands in for it in one test."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, Any]] = []
        self.refusal: web.Response | None = None
        self.answer: object = "LED00000000000000000000000000000001"
        self.app = web.Application()
        self.app.router.add_post("/Service/Contact/{customer}/Lead/Person", self.lead)
        self.app.router.add_get("/CRM/Lead/{customer}/LeadSources", self.sources)

    async def lead(self, request: web.Request) -> web.Response:
        login = request.headers.get("Authorization", "")
        self.got.append((request.match_info["customer"], login, await request.json()))
        return self.refusal or _json(self.answer)

    async def sources(self, request: web.Request) -> web.Response:
        number = request.match_info["customer"].removeprefix("M")
        row = {"id": f"LEAD{number}", "name": "Real AI Valuation Leads", "leadType": "ContactContactFlow"}
        return self.refusal or _json([row])

    @property
    def leads(self) -> list[Any]:
        return [body for _, _, body in self.got]

    @property
    def messages(self) -> list[str]:
        return [body["message"] for body in self.leads]


class Caller:
    """A form's server: posts leads and asks for lead sources."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session, self.base, self.token = session, base, ""

    async def call(
        self, method: str, path: str, data: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(
            method, f"{self.base}{path}", params=query, data=data, headers=headers
        ) as answer:
            body = await answer.read()
            return answer.status, msgspec.json.decode(body) if "json" in answer.content_type else None

    async def post(self, body: object) -> tuple[int, Any]:
        return await self.call("POST", "/lead", msgspec.json.encode(body))

    async def sources(self, path: str = "/lead-sources", **query: str) -> tuple[int, Any]:
        return await self.call("GET", path, query=query)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


@asynccontextmanager
async def running(
    at: str = "2026-01-27T10:00:00+00:00", **switches: Any
) -> AsyncIterator[tuple[RealAiTwin, Caller, Vitec]]:
    vitec = Vitec()
    async with serve(vitec.app) as far:
        twin = RealAiTwin(
            far,
            Switches(**switches),
            clock=lambda: datetime.fromisoformat(at).astimezone(UTC),
            customers=(CUSTOMER, "M20000"),
        )
        async with serve(twin.app) as base, aiohttp.ClientSession() as session:
            yield twin, Caller(session, base), vitec


def lead(*without: str, **fields: object) -> dict[str, Any]:
    """The sample with other fields, put where they belong, and some taken out."""
    body = copy.deepcopy(SAMPLE)
    for name, value in fields.items():
        group = next((group for group in body if name in body[group]), "person")
        body[group][name] = value
    for group in body.values():
        for name in without:
            group.pop(name, None)
    return body


def of(home: dict[str, object], **person: object) -> dict[str, Any]:
    """The sample's person with another property."""
    return lead(**person) | {"property": home}


async def message(body: object, **switches: Any) -> str:
    """The text that reaches Vitec."""
    async with running(**switches) as (_, api, vitec):
        assert await api.post(body) == (200, OK)
        [text] = vitec.messages
        return text


# --- a lead's way


async def test_a_lead_reaches_vitec_with_its_message_under_vitecs_names() -> None:
    async with running() as (twin, api, vitec):
        assert await api.post(SAMPLE) == (200, OK)
        [(customer, login, body)] = vitec.got
        assert customer == CUSTOMER
        assert login == aiohttp.encode_basic_auth("toveis", "twin-password")
        assert body == {
            "typeId": "LEAD456",
            "message": VILLA,
            "firstName": "Erik",
            "lastName": "Andersson",
            "telephone": {"cell": "+46701234567"},
            "email": {"emailAddress": "erik.andersson@example.com"},
            "address": {"streetAddress": "Storgatan 12", "zipCode": "11422", "city": "Stockholm"},
        }
        assert twin.received == [SAMPLE]


async def test_the_same_lead_twice_is_two_leads() -> None:
    async with running() as (twin, api, vitec):
        await api.post(SAMPLE)
        await api.post(SAMPLE)
        assert len(twin.received) == len(vitec.leads) == 2


async def test_what_is_not_given_is_not_sent() -> None:
    async with running() as (_, api, vitec):
        await api.post(lead("zip_code", city=None))
        assert vitec.leads[0]["address"] == {"streetAddress": "Storgatan 12"}


async def test_numbers_and_texts_may_change_places_and_unknown_fields_are_ignored() -> None:
    swapped = lead(valuation="5500000", living_area=150, lot_size_area="800", year_built=1992, utm="spring")
    assert await message(swapped) == VILLA


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (_json({"message": "Leadkällan finns inte"}, 400), "Leadkällan finns inte"),
        (web.Response(status=403, text="Åtkomst nekad"), "Åtkomst nekad"),
        (web.Response(status=500), ""),
        (web.Response(text="<html>"), "Unreadable answer from Vitec"),
    ],
)
async def test_a_refusal_of_vitec_is_a_502_in_vitecs_words(said: web.Response, told: str) -> None:
    async with running() as (_, api, vitec):
        vitec.refusal = said
        assert await api.post(SAMPLE) == (502, {"status": "ERROR", "message": told})


async def test_a_silent_vitec_is_a_502() -> None:
    async with running() as (twin, api, _):
        twin.vitec_url = "http://127.0.0.1:1"
        assert await api.post(SAMPLE) == (502, {"status": "ERROR", "message": "No answer from Vitec"})


async def test_a_fault_before_loses_the_lead_and_one_after_keeps_it() -> None:
    kinds: list[tuple[Kind, int]] = [("500", 0), ("429", 0), ("drop_before", 0), ("drop_after", 1)]
    for kind, kept in kinds:
        async with running() as (twin, api, vitec):
            twin.faults.plan(kind)
            if kind.startswith("drop"):
                with pytest.raises(aiohttp.ClientError):
                    await api.post(SAMPLE)
            else:
                assert await api.post(SAMPLE) == (int(kind), {"status": "ERROR", "message": "Internal error"})
            assert len(twin.received) == len(vitec.leads) == kept


async def test_before_the_vitec_twin_a_lead_becomes_a_person_with_a_lead() -> None:
    vitec = VitecConnectTwin(seed=7)
    vitec.define_lead_source("LEAD456", "Real AI Valuation Leads")
    async with serve(vitec.app) as far, aiohttp.ClientSession() as session:
        twin = RealAiTwin(far, Switches(rs8="lead_id"), clock=lambda: datetime(2026, 1, 27, tzinfo=UTC))
        async with serve(twin.app) as base:
            api = Caller(session, base)
            assert await api.sources() == (200, [{"id": "LEAD456", "name": "Real AI Valuation Leads"}])
            status, said = await api.post(SAMPLE)
            assert (status, [said["message"]]) == (200, list(vitec.leads))
            status, _ = await api.post(lead(lead_id="LEAD457"))
            assert (status, len(vitec.leads)) == (502, 1)
    [person] = vitec.records("person")
    assert (person["firstName"], person["telephone"]["cell"]) == ("Erik", "+46701234567")
    [kept] = vitec.leads.values()
    assert (kept["contactId"], kept["message"]) == (person["id"], VILLA)
    await vitec.close()


# --- the message


async def test_the_sample_gives_the_wikis_own_text() -> None:
    assert await message(SAMPLE) == VILLA


async def test_an_apartment_tells_its_rooms_and_fee() -> None:
    assert await message(of(APARTMENT)) == (
        f"{OPENING} 2 150 000 kr den 2026-01-27 av en lägenhet med 62.5 m² boarea och 3 rum. "
        "Månadsavgiften är 3 500 kr. Byggåret är 1964."
    )


async def test_a_townhouse_tells_its_lot_alone() -> None:
    assert await message(of(TOWNHOUSE)) == (
        f"{OPENING} 3 000 000 kr den 2026-01-27 av ett radhus med 110.0 m² boarea. Tomtarean är 210.0 m²."
    )


async def test_the_least_lead_has_two_sentences() -> None:
    least = {"valuation": 999, "property_sub_type": "Duplex"}
    assert await message(of(least)) == f"{OPENING} 999 kr den 2026-01-27 av ett parhus."
    assert await message(of(least | {"rooms": 4, "secondary_area": 12})) == (
        f"{OPENING} 999 kr den 2026-01-27 av ett parhus med 4 rum. Biarean är 12.0 m²."
    )


async def test_an_apartment_has_no_lot_and_an_owner_no_fee() -> None:
    told = await message(of(APARTMENT | {"occupant_type": "Owner", "lot_size_area": 10.0}))
    assert "avgift" not in told
    assert "omtarean" not in told


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-01-26T22:59:59+00:00", "2026-01-26"),
        ("2026-01-26T23:00:00+00:00", "2026-01-27"),
        ("2026-06-30T22:00:00+00:00", "2026-07-01"),
    ],
)
async def test_the_day_is_the_day_in_sweden(at: str, day: str) -> None:
    assert f" den {day} av " in await message(SAMPLE, at=at)


# --- the switches


async def test_rs1_the_first_revision_asks_for_no_zip_code_and_no_qualification() -> None:
    async with running() as (_, api, _):
        assert (await api.post(lead("zip_code")))[0] == 200


async def test_rs1_the_newest_revision_asks_for_both() -> None:
    async with running(rs1="2026-05-27") as (_, api, vitec):
        status, said = await api.post(lead("zip_code"))
        assert (status, [problem["loc"][-1] for problem in said["detail"]]) == (
            422,
            ["zip_code", "qualification"],
        )
        assert (await api.post(lead(qualification="Angett flytt inom 12 mån")))[0] == 200
        assert len(vitec.leads) == 1


@pytest.mark.parametrize("path", ["/lead-sources", "/lead_sources", "/lead"])
async def test_rs2_the_sources_stand_on_three_paths_or_on_one(path: str) -> None:
    everything = [
        {"id": "LEAD11385", "name": "Real AI Valuation Leads"},
        {"id": "LEAD20000", "name": "Real AI Valuation Leads"},
    ]
    async with running() as (_, api, _):
        assert await api.sources(path) == (200, everything)
        assert await api.sources(path, customer_id=CUSTOMER) == (200, everything[:1])
    async with running(rs2=path) as (_, api, _):
        statuses = {
            other: (await api.sources(other))[0] for other in ("/lead-sources", "/lead_sources", "/lead")
        }
        assert statuses == {"/lead-sources": 404, "/lead_sources": 404, "/lead": 404} | {path: 200}


@pytest.mark.parametrize(
    ("home", "word"), [("Townhouse", "radhus"), ("Terraced", "kedjehus"), ("Duplex", "parhus")]
)
async def test_rs3_a_row_house_is_ett_or_en(home: str, word: str) -> None:
    body = lead(property_sub_type=home)
    assert f" av ett {word} " in await message(body)
    assert f" av en {word} " in await message(body, rs3="en")
    assert " av en villa " in await message(SAMPLE, rs3="en")


async def test_rs4_thousands_may_stand_apart_by_a_no_break_space() -> None:
    told = await message(of(APARTMENT), rs4="no_break")
    assert "på 2\u00a0150\u00a0000 kr den" in told
    assert "är 3\u00a0500 kr." in told


async def test_rs5_a_fee_may_keep_its_decimals() -> None:
    assert "Månadsavgiften är 3500.0 kr." in await message(of(APARTMENT), rs5="decimal")
    assert "Månadsavgiften är 3 501 kr." in await message(of(APARTMENT | {"association_fee": 3500.5}))


async def test_rs6_rooms_of_a_house_may_be_left_out() -> None:
    assert "villa med 150.0 m² boarea och 6 rum." in await message(lead(rooms="6"))
    assert "villa med 150.0 m² boarea." in await message(lead(rooms="6"), rs6="left_out")
    assert "boarea och 3 rum." in await message(of(APARTMENT), rs6="left_out")


async def test_rs7_the_newer_fields_end_the_message_or_are_left_out() -> None:
    said = lead(qualification="Angett flytt inom 12 mån", custom_field="Bortrest till 1 mars.\n  Ring sedan!")
    newest = " Angett flytt inom 12 mån. Bortrest till 1 mars. Ring sedan!"
    assert await message(said) == VILLA + newest
    assert await message(said, rs7="left_out") == VILLA


async def test_rs8_the_answer_may_carry_vitecs_lead_id() -> None:
    async with running(rs8="lead_id") as (_, api, vitec):
        assert await api.post(SAMPLE) == (200, {"status": "OK", "message": vitec.answer})
        vitec.refusal = web.Response(status=204)
        assert await api.post(SAMPLE) == (200, OK)


async def test_rs9_every_bad_field_is_named_in_a_422() -> None:
    bad = lead("email", first_name=" ", phone=None, property_sub_type="Castle", living_area="big", city=[1])
    async with running() as (twin, api, vitec):
        status, said = await api.post(bad)
        assert (status, {tuple(problem["loc"]): problem["msg"] for problem in said["detail"]}) == (
            422,
            {
                ("body", "person", "first_name"): "field required",
                ("body", "person", "email"): "field required",
                ("body", "person", "phone"): "field required",
                ("body", "person", "city"): "str type expected",
                ("body", "property", "property_sub_type"): (
                    "value is not one of Apartment, SingleFamilyResidence, Townhouse, Terraced, Duplex"
                ),
                ("body", "property", "living_area"): "value is not a valid float",
            },
        )
        assert (twin.received, vitec.got) == ([bad], [])


async def test_rs9_a_missing_email_is_refused_in_the_contracts_words() -> None:
    async with running() as (_, api, _):
        problem = {"loc": ["body", "person", "email"], "msg": "field required"}
        assert await api.post(lead("email")) == (422, {"detail": [problem]})


async def test_rs9_a_body_that_is_not_valid_may_be_a_400() -> None:
    async with running(rs9="400") as (_, api, _):
        told = "person.email: field required; property.valuation: value is not a valid integer"
        assert await api.post(lead("email", valuation=1.5)) == (400, {"status": "ERROR", "message": told})
        told = "body: value is not valid JSON"
        assert await api.call("POST", "/lead", b"{") == (400, {"status": "ERROR", "message": told})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"person":[]}', b'{"x":"\xff"}']
)
async def test_a_body_that_is_no_lead_is_refused_and_kept(body: bytes) -> None:
    async with running() as (twin, api, vitec):
        assert (await api.call("POST", "/lead", body))[0] == 422
        assert (len(twin.received), vitec.got) == (1, [])


@pytest.mark.parametrize("value", [b"true", b"1e999", b"9" * 400, b'"nan"', b'"inf"', b"{}", b"[1]"])
async def test_an_odd_number_is_refused(value: bytes) -> None:
    body = msgspec.json.encode(lead(valuation="@")).replace(b'"@"', value)
    async with running() as (_, api, vitec):
        assert (await api.call("POST", "/lead", body))[0] == 422
        assert vitec.got == []


async def test_rs10_a_bearer_token_may_be_asked_for() -> None:
    async with running(rs10="bearer") as (twin, api, vitec):
        refused = (401, {"status": "ERROR", "message": "Unauthorized"})
        assert await api.post(SAMPLE) == refused
        api.token = "wrong"
        assert await api.sources() == refused
        assert (twin.received, vitec.got) == ([], [])
        api.token = twin.token
        assert (await api.post(SAMPLE))[0] == (await api.sources())[0] == 200


async def test_sources_of_an_unknown_customer_are_none_or_a_404() -> None:
    async with running() as (twin, api, _):
        assert await api.sources(customer_id="M99999") == (200, [])
        twin.switches.unknown_customer = "404"
        assert (await api.sources(customer_id="M99999"))[0] == 404


async def test_sources_that_vitec_refuses_are_a_502() -> None:
    async with running() as (_, api, vitec):
        vitec.refusal = web.Response(status=403, text="Åtkomst nekad")
        assert await api.sources(customer_id=CUSTOMER) == (
            502,
            {"status": "ERROR", "message": "Åtkomst nekad"},
        )
