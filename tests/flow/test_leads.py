"""Leads: each comes in at the daemon's open port, and is at Vitec once, or held where somebody sees it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any, get_args
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from daemon.sandbox.twins.faults import Kind
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.realai import RealAiTwin
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.sandbox.world import World, free_port
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis

PAYLOADS = Path(__file__).parents[1] / "payloads"
EXAMPLE = (PAYLOADS / "leads/realai_lead.json").read_bytes().strip()
PRINTED_INTEREST = (PAYLOADS / "vitec/send_interest_and_contact_on_estate.json").read_bytes()
PRINTED_WATCH = (PAYLOADS / "leads/final_price_watched.json").read_bytes()
CUSTOMER = "ABC123"
"""The customer of the example lead."""

LEAD = "/lead"
INTEREST = "/Interest/SendInterestAndContactOnEstate"
STOCKHOLM = ZoneInfo("Europe/Stockholm")
ENDS = ("succeeded", "held", "dead")
DOUBTFUL: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "429")
"""What leaves open whether Vitec has a lead."""

Kept = dict[str, Any]


class Door:
    """A twin's port. While it is shut nobody even connects."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._port = free_port()
        self._open = AsyncExitStack()

    async def open(self) -> str:
        return await self._open.enter_async_context(serve(self._app, self._port))

    async def shut(self) -> None:
        await self._open.aclose()


class Desk(Flow):
    """A daemon that takes leads in for one Vitec customer, and whoever posts them."""

    def __init__(self, place: World, directory: Path, door: Door, session: aiohttp.ClientSession) -> None:
        super().__init__(place, directory, "250ms")
        self.vitec, self.propstreet = place.vitec, place.propstreet
        self.door = door
        self.session = session

    async def post(self, path: str, body: bytes) -> tuple[int, Any]:
        async with self.session.post(f"{self.world.daemon_url}{path}", data=body) as answer:
            return answer.status, await answer.json()

    async def take(self, path: str, body: bytes) -> str:
        """Post a lead that is good; the id that it is answered with."""
        status, said = await self.post(path, body)
        assert (status, said["status"]) == (200, "OK"), said
        lead: str = said["message"]
        return lead

    async def end(self, lead: str) -> tuple[str, str | None, str | None]:
        """What became of a lead, once there is something to say: state, reason, detail."""

        async def found() -> Any:
            conn = await self.connect()
            return await conn.fetchrow(
                "SELECT state, reason, detail FROM commands WHERE entity = $1 AND state = ANY($2)", lead, ENDS
            )

        state, reason, detail = await eventually(found)
        return state, reason, detail

    async def held_leads(self) -> dict[str, str]:
        """What `toveis commands --held` lists of leads: why, by the lead's id."""
        held = rows(await self.told("commands", "--held", "--json"))
        return {row["entity"]: row["reason"] for row in held if row["category"] == "lead"}

    async def states(self) -> dict[str, str]:
        """The state of every lead by its id."""
        conn = await self.connect()
        return {row["entity"]: row["state"] for row in await conn.fetch("SELECT entity, state FROM leads")}

    async def told(self, *words: str) -> str:
        """What a command of `toveis` prints."""
        code, output, errors = await toveis(*words, "--config", str(self.config_file))
        assert code == 0, errors
        return output

    async def story(self, ref: str) -> list[dict[str, Any]]:
        """What `toveis history lead` tells, an event a row."""
        return rows(await self.told("history", "lead", ref, "--json"))

    def sent(self, email: str) -> list[Kept]:
        """What Vitec has of the leads of one e-mail address, oldest first."""
        return [lead for lead in self.vitec.leads.values() if f"'{email}'" in str(lead["body"])]

    def contacts(self, email: str) -> list[Kept]:
        return [row for row in self.propstreet.records("contact") if row["email"] == email]


@asynccontextmanager
async def desk_of(directory: Path, cluster: Path, customer: str = CUSTOMER) -> AsyncIterator[Desk]:
    """Both twins, with the example's lead source at Vitec, and a daemon between them."""
    async with AsyncExitStack() as stack:
        vitec = VitecConnectTwin(customer_id=customer)
        propstreet = PropstreetTwin(PropstreetSwitches(ps5="accepted"), limits=None)
        stack.push_async_callback(vitec.close)
        stack.push_async_callback(propstreet.close)
        door = Door(vitec.app)
        stack.push_async_callback(door.shut)
        place = World(
            vitec, propstreet, await door.open(), await stack.enter_async_context(serve(propstreet.app))
        )
        desk = Desk(place, directory, door, await stack.enter_async_context(aiohttp.ClientSession()))
        copytree(cluster, desk.data)
        vitec.define_lead_source("LEAD456", "Real AI Valuation Leads")
        stack.push_async_callback(desk.daemon.stop)
        stack.push_async_callback(desk.forget_connection)
        await desk.daemon.start()
        place.subscribe()
        yield desk


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Desk]:
    """One daemon for every test here that leaves it as it was; each test posts people of its own."""
    async with desk_of(tmp_path_factory.mktemp("desk"), cluster) as running:
        yield running


def valuation(name: str, lead_source: str = "LEAD456", **person: str) -> bytes:
    """The example lead of another person."""
    lead = json.loads(EXAMPLE)
    lead["customer"]["lead_id"] = lead_source
    lead["person"] |= {"first_name": name, "email": email_of(name), "phone": phone_of(name)} | person
    return json.dumps(lead).encode()


def email_of(name: str) -> str:
    return f"{name.lower()}@example.se"


def phone_of(name: str) -> str:
    return f"+46{random.Random(name).randrange(700_000_000, 709_999_999)}"


# --- valuation leads


async def test_the_example_lead_is_at_vitec_once_and_its_person_at_propstreet(desk: Desk) -> None:
    email = "erik.andersson@example.com"
    lead = await desk.take(LEAD, EXAMPLE)
    assert await desk.take(LEAD, EXAMPLE) == lead
    assert await desk.end(lead) == ("succeeded", None, None)
    [contact] = await eventually(lambda: desk.contacts(email))
    assert (contact["firstName"], contact["lastName"], contact["phone"]) == (
        "Erik",
        "Andersson",
        "+46701234567",
    )
    assert await desk.take(LEAD, json.dumps(json.loads(EXAMPLE), indent=2).encode()) == lead
    await eventually(desk.idle)

    story = await desk.story(lead)
    assert story == await desk.story(email)
    assert [row["summary"] for row in story] == [
        "came in: a valuation lead",
        "send on to Vitec",
        "write leaves (attempt 1)",
        "written",
    ]
    assert story[0]["data"] == json.loads(EXAMPLE)
    received = datetime.fromisoformat(story[0]["occurred_at"]).astimezone(STOCKHOLM)
    [kept] = desk.sent(email)
    assert kept["call"] == "Lead/Person"
    assert kept["body"] == {
        "typeId": "LEAD456",
        "message": "Du har fått ett lead från Real AI. Erik Andersson fick en värdering på 5 500 000 kr"
        f" den {received.date()} av en villa med 150.0 m² boarea."
        " Biarean är 40.0 m² och tomtarean 800.0 m². Byggåret är 1992.",
        "firstName": "Erik",
        "lastName": "Andersson",
        "telephone": {"cell": "+46701234567"},
        "email": {"emailAddress": email},
        "address": {"streetAddress": "Storgatan 12", "zipCode": "11422", "city": "Stockholm"},
    }
    await desk.check_log()


async def test_vitec_gets_the_same_of_us_as_of_real_ai(desk: Desk) -> None:
    body = valuation("Åsa", custom_field="Bortrest till 1 mars", qualification="Angett flytt inom 12 mån")
    lead = await desk.take(LEAD, body)
    await desk.end(lead)
    conn = await desk.connect()
    received = await conn.fetchval("SELECT received_at FROM leads WHERE entity = $1", lead)
    real_ai = RealAiTwin(desk.world.vitec_url, clock=lambda: received, customers=[CUSTOMER])
    async with serve(real_ai.app) as url, desk.session.post(f"{url}/lead", data=body) as answer:
        assert answer.status == 200
    ours, theirs = desk.sent(email_of("Åsa"))
    assert ours["body"] == theirs["body"]


async def test_the_lead_sources_are_vitecs_own(desk: Desk) -> None:
    url = f"{desk.world.daemon_url}/lead-sources"
    async with desk.session.get(url, params={"customer_id": CUSTOMER}) as answer:
        assert {"id": "LEAD456", "name": "Real AI Valuation Leads"} in await answer.json()


async def test_a_lead_that_vitec_cannot_hold_is_held_and_the_others_go_on(desk: Desk) -> None:
    long = await desk.take(LEAD, valuation("Långnamn", last_name="Å" * 31))
    short = await desk.take(LEAD, valuation("Kortnamn"))
    assert await desk.end(short) == ("succeeded", None, None)
    assert await desk.end(long) == ("held", "too_long", "last_name has more than 30 characters")
    assert [len(desk.sent(email_of(name))) for name in ("Långnamn", "Kortnamn")] == [0, 1]


async def test_a_lead_that_vitec_refuses_is_a_dead_letter_with_the_fields_names(desk: Desk) -> None:
    lead = await desk.take(LEAD, valuation("Okänd", lead_source="LEAD999"))
    assert (await desk.end(lead))[:2] == ("dead", "lead.LeadSourceId")
    assert (await desk.story(lead))[-1]["summary"] == "refused for good (400): lead.LeadSourceId"
    assert desk.sent(email_of("Okänd")) == []


async def test_a_lead_posted_over_many_lines_is_told_on_one(desk: Desk) -> None:
    lead = await desk.take(LEAD, json.dumps(json.loads(valuation("Rader")), indent=2).encode())
    await desk.end(lead)
    assert len((await desk.told("history", "lead", lead, "--json")).splitlines()) == 4


# --- what goes wrong on the way


@pytest.mark.parametrize("kind", DOUBTFUL)
async def test_a_lead_of_which_nobody_knows_is_held_and_never_sent_again(desk: Desk, kind: Kind) -> None:
    name = kind.replace("_", "-")
    desk.vitec.faults.plan(kind, method="POST", path_contains="Lead/Person")
    lead = await desk.take(LEAD, valuation(name))
    state, reason, detail = await desk.end(lead)
    assert (state, reason) == ("held", "unknown_outcome")
    assert detail is not None
    assert "look there" in detail
    assert await desk.take(LEAD, valuation(name)) == lead
    await eventually(desk.idle)
    assert (await desk.states())[lead] == "held"
    done = kind.endswith("_after") or kind == "broken_json"
    assert len(desk.sent(email_of(name))) == int(done)
    if done:
        assert len(await eventually(lambda: desk.contacts(email_of(name)))) == 1


async def test_what_is_held_is_counted_and_told(desk: Desk) -> None:
    desk.vitec.faults.plan("timeout_after", method="POST", path_contains="Lead/Person")
    lead = await desk.take(LEAD, valuation("Tyst"))
    await desk.end(lead)
    [state] = rows(await desk.told("status", "--json"))
    assert state["commands"]["held"] == len(rows(await desk.told("commands", "--held", "--json")))
    assert lead in await desk.held_leads()
    *_, unknown, held = [row["summary"] for row in await desk.story(email_of("Tyst"))]
    assert unknown.startswith("outcome unknown (UnknownOutcome)")
    assert held.startswith("held for Vitec (unknown_outcome): lead; Vitec may have it or not")
    assert "not sent; `toveis commands` says why" in await desk.told("show", "lead", lead)


async def test_a_lead_that_vitec_puts_off_comes_later_and_once(desk: Desk) -> None:
    desk.vitec.faults.plan("429", method="POST", path_contains="Lead/Person")
    lead = await desk.take(LEAD, valuation("Senare"))
    assert await desk.end(lead) == ("succeeded", None, None)
    assert len(desk.sent(email_of("Senare"))) == 1
    story = await desk.story(lead)
    at = {row["type"]: datetime.fromisoformat(row["recorded_at"]) for row in story}
    assert [row["summary"].partition(":")[0] for row in story][2:] == [
        "write leaves (attempt 1)",
        "write failed (RateLimited)",
        "write leaves (attempt 1)",
        "written",
    ]
    assert at["CommandAttempted"] - at["CommandFailed"] >= timedelta(seconds=1)


async def test_a_lead_that_never_left_is_sent_again(desk: Desk) -> None:
    await desk.door.shut()
    try:
        lead = await desk.take(LEAD, valuation("Stängt"))

        async def failed() -> Any:
            conn = await desk.connect()
            return await conn.fetchval("SELECT reason FROM commands WHERE entity = $1", lead)

        assert await eventually(failed) == "Retryable"
    finally:
        await desk.door.open()
    assert await desk.end(lead) == ("succeeded", None, None)
    assert len(desk.sent(email_of("Stängt"))) == 1


# --- Vitec's own forms


async def test_whoever_is_interested_becomes_a_contact_and_a_prospect(desk: Desk) -> None:
    estate = desk.vitec.create_estate(
        "CommercialProperty", status="ForSale", description={"sellingHeading": "Kontor i Malmö"}
    )
    reference = {"namespace": "vitec-next", "id": estate}

    def project() -> Any:
        return next((p for p in desk.propstreet.records("project") if reference in p["externalRefs"]), None)

    there = await eventually(project)
    watch = {
        "person": {"firstName": "Bjørg", "lastName": "Moe", "email": {"emailAddress": "bjorg@example.no"}},
        "prospectiveBuyerStatus": "Interested",
        "leadSourceId": "LEAD456",
    }
    posted = {
        email_of("Jens"): (INTEREST, interest("Jens", estate), "SendInterestAndContactOnEstate"),
        "bjorg@example.no": (watch_path(CUSTOMER, estate), watch, "FinalPriceWatched"),
    }
    for email, (path, body, call) in posted.items():
        lead = await desk.take(path, json.dumps(body).encode())
        assert await desk.end(lead) == ("succeeded", None, None)
        [kept] = desk.sent(email)
        assert (kept["call"], kept["estateId"], kept["body"]) == (call, estate, body)

    def prospects() -> set[str]:
        return {
            row["contactId"] for row in desk.propstreet.records("prospect") if row["projectId"] == there["id"]
        }

    await eventually(lambda: len(prospects()) == 2)
    assert prospects() == {desk.contacts(email)[0]["id"] for email in posted}
    await desk.check_log()


async def test_an_interest_that_vitec_has_already_is_a_dead_letter(desk: Desk) -> None:
    desk.vitec.switches.vs15 = "409"
    try:
        estate = desk.vitec.create_estate("CommercialProperty", status="ForSale")
        for note, end in (
            ("Ring", ("succeeded", None, None)),
            ("Ring igen", ("dead", "Duplicate", None)),
        ):
            lead = await desk.take(INTEREST, json.dumps(interest("Ingrid", estate, note)).encode())
            assert await desk.end(lead) == end
    finally:
        desk.vitec.switches.vs15 = "kept"
    assert len(desk.sent(email_of("Ingrid"))) == 1


async def test_the_printed_forms_reach_vitec_as_printed(tmp_path: Path, cluster: Path) -> None:
    """The national id alone is gone from them."""
    async with desk_of(tmp_path, cluster, customer="sample string 8") as desk:
        desk.vitec.define_lead_source("sample string 1", "Utskrivet", "ProspectiveLogFlow")
        estate = desk.vitec.create_estate("CommercialProperty", status="ForSale")

        refused = await desk.take(INTEREST, PRINTED_INTEREST)
        assert (await desk.end(refused))[:2] == ("dead", "interest.UpdatePerson.Address.CountryCode")
        words = " ".join((await desk.told("history", "lead", refused)).split())
        assert "refused for good (400): interest.UpdatePerson.Address.CountryCode" in words
        conn = await desk.connect()
        data = await conn.fetchval("SELECT data FROM events WHERE stream = $1", f"lead:{refused}")
        assert data.encode() == without_national_id(PRINTED_INTEREST)

        taken = await desk.take(watch_path("sample string 8", estate), PRINTED_WATCH)
        assert await desk.end(taken) == ("succeeded", None, None)
        [kept] = desk.vitec.leads.values()
        assert (kept["call"], kept["estateId"]) == ("FinalPriceWatched", estate)
        assert kept["body"] == json.loads(without_national_id(PRINTED_WATCH))
        await desk.check_log()


def interest(name: str, estate: str, note: str = "Ring efter fem") -> dict[str, Any]:
    person = {
        "firstName": name,
        "lastName": "Lindström",
        "cellPhone": phone_of(name),
        "customerId": CUSTOMER,
        "email": {"emailAddress": email_of(name)},
    }
    return {"updatePerson": person, "estateId": estate, "interestNote": note}


def watch_path(customer: str, estate: str) -> str:
    return f"/Advertising/Estate/{customer}/{estate}/FinalPriceWatched"


def without_national_id(body: bytes) -> bytes:
    return body.replace(b'"socialSecurityNumber": "sample string 3"', b'"socialSecurityNumber": null')


# --- a daemon that is killed


LEADS = 200


async def _post_until_answered(desk: Desk, bodies: list[bytes]) -> list[str]:
    """As a form's server does it: again until there is an answer."""
    answered: list[str] = []
    while bodies:
        body, status = bodies.pop(), 0
        while status != 200:
            try:
                status, said = await desk.post(LEAD, body)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.02)
        answered.append(said["message"])
    return answered


def _reached(desk: Desk, count: int) -> bool:
    return len(desk.vitec.leads) >= count


async def _leads_and_kills(desk: Desk, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    names = [f"Lead{number:03}" for number in range(LEADS)]
    waiting = [valuation(name) for name in names]
    posters = [asyncio.create_task(_post_until_answered(desk, waiting)) for _ in range(8)]
    for moment in sorted(chance.sample(range(1, LEADS - 20), kills)):
        await eventually(partial(_reached, desk, moment), timeout=30)
        await asyncio.sleep(chance.uniform(0, 0.02))
        await desk.forget_connection()
        desk.daemon.kill()
        await desk.daemon.start()
    answered = [lead for taken in await asyncio.gather(*posters) for lead in taken]
    assert len(set(answered)) == LEADS

    async def settled() -> bool:
        conn = await desk.connect()
        count = await conn.fetchval("SELECT count(*) FROM leads WHERE state IN ('sent', 'held')")
        return bool(count == LEADS)

    await eventually(settled, timeout=60)
    states = await desk.states()
    assert states.keys() == set(answered)
    copies = {name: len(desk.sent(email_of(name))) for name in names}
    assert max(copies.values()) == 1
    held = await desk.held_leads()
    assert set(held.values()) <= {"unknown_outcome"}
    assert held.keys() == {lead for lead, state in states.items() if state == "held"}
    conn = await desk.connect()
    listed = {row["email"] for row in await conn.fetch("SELECT email FROM leads WHERE state = 'held'")}
    assert {email_of(name) for name, count in copies.items() if count == 0} <= listed
    await desk.check_log()


async def test_a_daemon_killed_among_two_hundred_leads_loses_and_doubles_none(
    tmp_path: Path, cluster: Path
) -> None:
    async with desk_of(tmp_path, cluster) as desk:
        await _leads_and_kills(desk, seed=1, kills=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 18))
async def test_a_daemon_killed_again_and_again_loses_and_doubles_no_lead(
    tmp_path: Path, cluster: Path, seed: int
) -> None:
    async with desk_of(tmp_path, cluster) as desk:
        await _leads_and_kills(desk, seed, kills=3)


# --- last, for it would go on until the daemon is stopped


async def test_a_watch_of_an_estate_that_is_gone_is_a_dead_letter(desk: Desk) -> None:
    path = watch_path(CUSTOMER, "OBJ_gone")
    lead = await desk.take(path, PRINTED_WATCH)

    async def refused() -> bool:
        return lead in await desk.told("commands", "--dead", "--json")

    await eventually(refused, timeout=2)
    assert [entry.status for entry in desk.vitec.journal.writes()].count(404) == 1
