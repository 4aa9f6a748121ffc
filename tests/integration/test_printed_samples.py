"""The vendors' own printed JSON, byte for byte, sent to the twins: accepted, or refused in the vendor's own words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.realai import RealAiTwin
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from tests.integration.propstreet_bench import Bench, Clock

PAYLOADS = Path(__file__).parent.parent / "payloads"
INTEREST = "Interest/SendInterestAndContactOnEstate"
EXAMPLE = (
    "Du har fått ett lead från Real AI. Erik Andersson fick en värdering på 5 500 000 kr den 2026-01-27 av en villa "
    "med 150.0 m² boarea. Biarean är 40.0 m² och tomtarean 800.0 m². Byggåret är 1992."
)


def printed(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


async def post(url: str, body: bytes, login: dict[str, str]) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **login}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


def basic(twin: VitecConnectTwin) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(twin.username, twin.password)}


async def test_vitec_refuses_the_printed_interest_for_its_country_code_of_fifteen_characters() -> None:
    twin = VitecConnectTwin(customer_id="sample string 8")
    async with serve(twin.app) as base:
        body = printed("vitec/send_interest_and_contact_on_estate.json")
        status, answer = await post(f"{base}/{INTEREST}", body, basic(twin))
    assert status == 400, answer
    assert [path.lower() for path in answer["modelState"]] == ["interest.updateperson.address.countrycode"]
    assert twin.leads == {}


async def test_vitec_takes_the_printed_final_price_watch_of_an_estate_that_it_knows() -> None:
    twin = VitecConnectTwin(customer_id="M11385")
    twin.define_lead_source("sample string 1", "A form")
    estate = twin.create_estate("CommercialProperty")
    async with serve(twin.app) as base:
        url = f"{base}/Advertising/Estate/M11385/{estate}/FinalPriceWatched"
        status, answer = await post(url, printed("leads/final_price_watched.json"), basic(twin))
    assert status == 200, answer
    assert list(twin.leads) == [answer]
    assert twin.leads[answer]["call"] == "FinalPriceWatched"


async def test_vitec_names_what_the_printed_curl_samples_lack() -> None:
    """They carry neither a customer of ours nor an e-mail or a phone."""
    twin = VitecConnectTwin(customer_id="M11385")
    estate = twin.create_estate("CommercialProperty")
    async with serve(twin.app) as base:
        body = printed("vitec/send_interest_and_contact_on_estate_curl.json")
        status, answer = await post(f"{base}/{INTEREST}", body, basic(twin))
        assert (status, [*answer["modelState"].values()]) == (400, [["Kundid krävs"]])
        url = f"{base}/Advertising/Estate/M11385/{estate}/FinalPriceWatched"
        status, answer = await post(url, printed("leads/final_price_watched_curl.json"), basic(twin))
        [texts] = answer["modelState"].values()
        assert status == 400
        assert texts == ["Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."]
    assert twin.leads == {}


async def test_the_printed_lead_brings_exactly_the_printed_message_to_vitec() -> None:
    vitec = VitecConnectTwin(customer_id="ABC123")
    vitec.define_lead_source("LEAD456", "Real AI Valuation Leads")
    async with serve(vitec.app) as far:
        service = RealAiTwin(
            far,
            clock=lambda: datetime(2026, 1, 27, 10, tzinfo=UTC),
            username=vitec.username,
            password=vitec.password,
            customers=("ABC123",),
        )
        async with serve(service.app) as base:
            status, body = await post(f"{base}/lead", printed("leads/realai_lead.json"), {})
    assert (status, body["status"]) == (200, "OK")
    [lead] = vitec.leads.values()
    assert lead["message"] == EXAMPLE
    assert lead["leadSourceId"] == "LEAD456"


async def test_propstreet_makes_the_printed_project_and_finds_it_by_its_vitec_id() -> None:
    twin = PropstreetTwin(limits=None)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        bench = Bench(twin, Clock(), base, session)
        await bench.login()
        login = {"Authorization": f"Bearer {bench.token}"}
        status, body = await post(f"{base}/api/v1/projects", printed("propstreet/project_post.json"), login)
        assert status == 201, body
        found = await bench.call("GET", "/api/v1/projects/external/vitec-next/OBJ11385_1395932274")
        assert (found.status, found.body["name"]) == (200, "Oslo Commercial Property")
        await twin.close()
