"""Leads at the open port: what is taken in, what is refused and why, and that the same lead counts once a day."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from yarl import URL

from daemon.domain.errors import AccessDenied, Retryable, VendorError
from daemon.domain.events import reading_of
from daemon.ingest.http import LARGEST_BODY
from daemon.ingest.leads import Sources
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.storage import log
from daemon.storage.connection import owner
from tests.integration.annals import SETTINGS, TENANT, tenant_settings
from tests.integration.ground import rows_of, tenant_at
from tests.integration.open_port import Port, serving

PAYLOADS: Final = Path(__file__).parents[1] / "payloads"
CUSTOMER: Final = "ABC123"
LEAD: Final = (PAYLOADS / "leads/realai_lead.json").read_bytes()
CUT: Final = LEAD.rstrip()[:-1]
"""The sample without its last bracket."""
INTEREST: Final = (PAYLOADS / "vitec/send_interest_and_contact_on_estate.json").read_bytes()
INTEREST_CUSTOMER: Final = "sample string 8"
WATCH: Final = (PAYLOADS / "leads/final_price_watched.json").read_bytes()
CURL_WATCH: Final = (PAYLOADS / "leads/final_price_watched_curl.json").read_bytes()

TO_INTEREST: Final = "/Interest/SendInterestAndContactOnEstate"
TO_WATCH: Final = f"/Advertising/Estate/{CUSTOMER}/OBJ11385_1395932274/FinalPriceWatched"
DOORS: Final = {"/lead": LEAD, TO_INTEREST: INTEREST, TO_WATCH: WATCH}
"""The three addresses of leads, each with its sample."""

EVENING: Final = datetime(2026, 3, 2, 22, 59, tzinfo=UTC)
"""A minute before midnight in Sweden."""

SOURCES: Final = [("LEAD456", "Real AI Valuation Leads"), ("L2", "Hitta mäklare")]
LISTED: Final = [{"id": key, "name": name} for key, name in SOURCES]


@asynccontextmanager
async def office(database: str, name: str = TENANT, customer: str = CUSTOMER) -> AsyncIterator[Tenant]:
    """A tenant of a Vitec customer, whose clock a test sets."""
    async with tenant_at(database, name) as tenant:
        vitec = msgspec.structs.replace(SETTINGS.vitec, customer_id=customer)
        tenant.settings = tenant_settings(name, vitec=vitec)
        tenant.clock = lambda: EVENING
        yield tenant


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with office(database) as tenant:
        yield tenant


@pytest.fixture
async def port(tenant: Tenant, database: str) -> AsyncIterator[Port]:
    async with serving(tenant, dsn=database) as port:
        yield port


async def sent(
    port: Port, path: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Post a lead; the status and the answer."""
    status, answer = await port.ask("POST", path, body, headers)
    return status, msgspec.json.decode(answer)


async def refused(port: Port, path: str, body: bytes) -> dict[str, str]:
    """Post a lead that is refused; by dotted place what is wrong there."""
    status, answer = await sent(port, path, body)
    assert status == 422
    return {".".join(each["loc"]): each["msg"] for each in answer["detail"]}


def changed(body: bytes, **changes: Mapping[str, object]) -> bytes:
    """The sample with some fields of some sections replaced."""
    content = msgspec.json.decode(body)
    return msgspec.json.encode(content | {name: content[name] | dict(part) for name, part in changes.items()})


# -- what is taken in


async def test_a_lead_is_stored_as_it_was_sent_and_answered_with_the_id_of_its_event(port: Port) -> None:
    status, answer = await sent(port, "/lead", LEAD)
    [stored] = await port.stored()
    assert (status, answer) == (200, {"status": "OK", "message": str(stored.event_id)})
    assert (stored.type, stored.origin, stored.stream) == ("LeadReceived", "lead", f"lead:{stored.event_id}")
    assert stored.data.encode() == LEAD
    assert (stored.occurred_at, stored.correlation_id) == (EVENING, stored.event_id)
    assert (reading_of(stored).via, reading_of(stored).kind) == ("lead", "lead")


async def test_vitecs_printed_interest_is_taken_in(database: str) -> None:
    async with office(database, customer=INTEREST_CUSTOMER) as tenant, serving(tenant, dsn=database) as port:
        status, answer = await sent(port, TO_INTEREST, INTEREST)
        [stored] = await port.stored()
    assert (status, answer["message"]) == (200, str(stored.event_id))
    assert (stored.type, reading_of(stored).kind) == ("LeadReceived", "interest")


async def test_vitecs_printed_watch_is_taken_in_with_the_estate_of_its_path(port: Port) -> None:
    status, answer = await sent(port, TO_WATCH, WATCH)
    [stored] = await port.stored()
    assert (status, answer["message"]) == (200, str(stored.event_id))
    assert reading_of(stored).kind == "final_price"
    assert reading_of(stored).query == {"customerId": CUSTOMER, "estateId": "OBJ11385_1395932274"}


async def test_national_ids_of_a_lead_are_gone_before_anything_is_stored(database: str) -> None:
    async with (
        office(database) as oslo,
        office(database, "malmo", INTEREST_CUSTOMER) as malmo,
        serving(oslo, malmo, dsn=database) as port,
    ):
        await sent(port, TO_WATCH, WATCH)
        [watch] = await port.stored()
        await sent(port, TO_INTEREST, INTEREST)
        async with owner(database) as conn:
            [interest] = [event async for page in log.pages(conn, "malmo") for event in page]
    for event, sample, key in ((watch, WATCH, "person"), (interest, INTEREST, "updatePerson")):
        without = changed(sample, **{key: {"socialSecurityNumber": None}})
        assert msgspec.json.decode(event.data) == msgspec.json.decode(without)


async def test_where_national_ids_are_kept_a_lead_is_stored_byte_for_byte(database: str) -> None:
    async with office(database) as tenant, serving(tenant, dsn=database) as port:
        tenant.options = msgspec.structs.replace(tenant.options, store_national_ids=True)
        await sent(port, TO_WATCH, WATCH)
        [stored] = await port.stored()
    assert stored.data.encode() == WATCH


async def test_a_lead_that_was_taken_in_waits_to_be_sent(tenant: Tenant, port: Port) -> None:
    await sent(port, "/lead", LEAD)
    await Projector(tenant).tick()
    async with tenant.connection() as conn:
        [row] = await rows_of(conn, "leads")
    assert (row["kind"], row["state"], row["customer"]) == ("lead", "waiting", CUSTOMER)
    assert row["email"] == "erik.andersson@example.com"


async def test_fields_that_nobody_knows_are_kept_and_do_not_matter(port: Port) -> None:
    more = changed(LEAD, person={"pronoun": "hen", "custom_field": "Bortrest till 1 mars"})
    assert (await sent(port, "/lead", more))[0] == 200
    [stored] = await port.stored()
    assert stored.data.encode() == more


# -- the same lead twice


async def test_the_same_lead_twice_is_one_event_and_one_id(port: Port) -> None:
    otherwise = changed(LEAD, property={"living_area": 150, "rooms": "", "year_built": 1992})
    ids = [(await sent(port, "/lead", body))[1]["message"] for body in (LEAD, otherwise, LEAD)]
    assert len(set(ids)) == len(await port.stored()) == 1


async def test_the_same_lead_on_the_next_swedish_day_is_another(tenant: Tenant, port: Port) -> None:
    first = (await sent(port, "/lead", LEAD))[1]["message"]
    tenant.clock = lambda: EVENING + timedelta(minutes=1)
    second = (await sent(port, "/lead", LEAD))[1]["message"]
    assert first != second
    assert len(await port.stored()) == 2


async def test_two_leads_that_differ_in_anything_are_two(port: Port) -> None:
    bodies = (
        LEAD,
        changed(LEAD, property={"valuation": 5_500_001}),
        changed(LEAD, customer={"lead_id": "L2"}),
        changed(LEAD, person={"city": None}),
    )
    assert [(await sent(port, "/lead", body))[0] for body in bodies] == [200] * 4
    assert len(await port.stored()) == 4


async def test_a_watch_of_two_estates_is_two_leads(port: Port) -> None:
    for path in (TO_WATCH, TO_WATCH.replace("OBJ", "PRO"), TO_WATCH):
        assert (await sent(port, path, WATCH))[0] == 200
    assert len(await port.stored()) == 2


# -- what is refused


async def test_every_field_that_is_missing_or_wrong_is_named(port: Port) -> None:
    bare = msgspec.json.encode(
        {"customer": {"customer_id": CUSTOMER}, "person": {"email": 7, "city": []}, "property": "villa"}
    )
    assert await refused(port, "/lead", bare) == {
        "body.customer.lead_id": "field required",
        "body.person.first_name": "field required",
        "body.person.last_name": "field required",
        "body.person.phone": "field required",
        "body.person.address": "field required",
        "body.person.city": "text expected",
        "body.property": "object expected",
    }
    assert await port.stored() == []


async def test_vitecs_forms_are_refused_in_vitecs_words(port: Port) -> None:
    channel = "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."
    assert await refused(port, TO_WATCH, CURL_WATCH) == {"body.person.email.emailAddress": channel}
    assert await refused(port, TO_INTEREST, b"{}") == {
        "body.updatePerson": "Uppgift om personen krävs",
        "body.updatePerson.customerId": "Kundid krävs",
        "body.estateId": "Objektid krävs",
        "body.updatePerson.email.emailAddress": channel,
    }
    assert await port.stored() == []


async def test_a_lead_of_an_unknown_customer_is_refused_wherever_it_names_one(port: Port) -> None:
    unknown = {
        "/lead": (changed(LEAD, customer={"customer_id": "M1"}), "body.customer.customer_id"),
        TO_INTEREST: (INTEREST, "body.updatePerson.customerId"),
        TO_WATCH.replace(CUSTOMER, "M1"): (WATCH, "path.customerId"),
    }
    for path, (body, place) in unknown.items():
        assert await refused(port, path, body) == {place: "unknown customer"}
    assert await port.stored() == []


async def test_a_customer_of_the_hub_has_no_leads(database: str) -> None:
    async with office(database) as tenant:
        hub = msgspec.structs.replace(tenant.settings.vitec, product="hub")
        tenant.settings = tenant_settings(vitec=hub)
        async with serving(tenant, dsn=database) as port:
            assert await refused(port, "/lead", LEAD) == {"body.customer.customer_id": "unknown customer"}


@pytest.mark.parametrize("body", [b"", b"no JSON", CUT, b"[]", b"null", b'{"a": "\xff"}', b"[" * 5000])
async def test_what_is_no_json_object_is_a_bad_request(port: Port, body: bytes) -> None:
    for path in DOORS:
        status, answer = await sent(port, path, body)
        assert (path, status, answer["status"]) == (path, 400, "ERROR")
    assert await port.stored() == []


async def test_a_number_that_no_json_knows_is_a_bad_request_wherever_it_stands(port: Port) -> None:
    assert (await sent(port, "/lead", CUT + b', "unknown": NaN}'))[0] == 400
    assert await port.stored() == []


async def test_a_body_over_one_mebibyte_is_refused(port: Port) -> None:
    for path, sample in DOORS.items():
        padded = sample.rstrip()[:-1] + b', "x": "' + b"x" * LARGEST_BODY + b'"}'
        assert (path, await port.post(path, padded)) == (path, 413)
    assert await port.stored() == []


# -- who may come in


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer another", "Basic s3cret", "s3cret", "Bearer s3cret2", "Bearer å"]
)
async def test_where_a_token_is_configured_nobody_comes_in_without_it(
    tenant: Tenant, database: str, given: str | None
) -> None:
    shown = {} if given is None else {"Authorization": given}
    async with serving(tenant, dsn=database, token="s3cret") as port:
        assert [await port.post(path, body, shown) for path, body in DOORS.items()] == [401] * 3
        assert (await port.get("/lead-sources", shown))[0] == 401
        assert await port.stored() == []


async def test_a_token_that_is_no_text_is_not_the_token(tenant: Tenant, database: str) -> None:
    async with serving(tenant, dsn=database, token="s3cret") as port:
        place = URL(port.url)
        reader, writer = await asyncio.open_connection(place.host, place.port)
        writer.write(b"GET /lead-sources HTTP/1.0\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        assert b" 401 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("estate", [".", "..", "%2E%2E", "%20", "O" * 41])
async def test_a_watch_of_what_no_estate_is_called_is_refused(port: Port, estate: str) -> None:
    status, text = await port.ask("POST", TO_WATCH.replace("OBJ11385_1395932274", estate), WATCH)
    if status != 404:  # such a path may be another path
        assert [each["loc"] for each in msgspec.json.decode(text)["detail"]] == [["path", "estateId"]]
    assert await port.stored() == []


async def test_whoever_has_the_token_comes_in(tenant: Tenant, database: str) -> None:
    async with serving(tenant, dsn=database, token="s3cret") as port:
        for scheme in ("Bearer", "bearer"):
            shown = {"Authorization": f"{scheme} s3cret"}
            assert await port.post("/lead", LEAD, shown) == 200
            assert (await port.get("/lead-sources", shown))[0] == 200
        assert len(await port.stored()) == 1


# -- the list of lead sources


class Office:
    """Vitec's list of one customer's lead sources, and how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False
        self.only_away: str | None = None
        self.error: VendorError = Retryable("GET /CRM/Lead/{customer}/LeadSources: timed out")

    def of(self, tenant: str) -> Sources:
        async def ask() -> list[tuple[str, str]]:
            self.asked.append(tenant)
            if self.away or tenant == self.only_away:
                raise self.error
            return SOURCES if tenant == TENANT else []

        return ask


@pytest.mark.parametrize("path", ["/lead-sources", "/lead_sources", "/lead"])
async def test_the_lead_sources_are_listed_at_three_addresses(
    tenant: Tenant, database: str, path: str
) -> None:
    async with serving(tenant, dsn=database, sources=Office().of) as port:
        for query, expected in (
            ("", LISTED),
            (f"?customer_id={CUSTOMER}", LISTED),
            ("?customer_id=", LISTED),
            ("?customer_id=M1", []),
        ):
            status, text = await port.get(path + query)
            assert (query, status, msgspec.json.decode(text)) == (query, 200, expected)


async def test_vitec_is_asked_for_the_lead_sources_once_a_minute(tenant: Tenant, database: str) -> None:
    vitec = Office()
    async with serving(tenant, dsn=database, sources=vitec.of) as port:
        for _ in range(5):
            assert (await port.get("/lead-sources"))[0] == 200
    assert vitec.asked == [TENANT]


async def test_only_the_customer_who_was_named_is_asked_for(database: str) -> None:
    vitec = Office()
    async with (
        office(database) as oslo,
        office(database, "malmo", "M2") as malmo,
        serving(oslo, malmo, dsn=database, sources=vitec.of) as port,
    ):
        assert await port.get("/lead-sources?customer_id=M2") == (200, "[]")
        assert vitec.asked == ["malmo"]
        assert msgspec.json.decode((await port.get("/lead-sources"))[1]) == LISTED


async def test_while_vitec_is_away_there_is_no_list_and_it_is_asked_again_a_minute_later(
    tenant: Tenant, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.ingest.leads.FRESH", 0.0)
    vitec = Office()
    vitec.away = True
    async with serving(tenant, dsn=database, sources=vitec.of) as port:
        status, text = await port.get("/lead-sources")
        assert (status, msgspec.json.decode(text)["status"]) == (502, "ERROR")
        vitec.away = False
        assert (await port.get("/lead-sources"))[0] == 200


@pytest.mark.parametrize("error", [Retryable("no connection"), AccessDenied("refused", status=401)])
async def test_vitec_is_not_asked_again_at_once_for_what_it_did_not_tell(
    tenant: Tenant, database: str, error: VendorError
) -> None:
    vitec = Office()
    vitec.away, vitec.error = True, error
    async with serving(tenant, dsn=database, sources=vitec.of) as port:
        answers = await asyncio.gather(*(port.get("/lead-sources") for _ in range(5)))
    assert {status for status, _ in answers} == {502}
    assert vitec.asked == [TENANT]


async def test_a_customer_who_cannot_be_asked_hides_no_others_sources(database: str) -> None:
    vitec = Office()
    vitec.only_away = "malmo"
    async with (
        office(database) as oslo,
        office(database, "malmo", "M2") as malmo,
        serving(malmo, oslo, dsn=database, sources=vitec.of) as port,
    ):
        assert msgspec.json.decode((await port.get("/lead-sources"))[1]) == LISTED
        assert (await port.get("/lead-sources?customer_id=M2"))[0] == 502


# -- what is not told


async def test_no_line_of_the_log_shows_who_a_lead_is_about(
    port: Port, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    await sent(port, "/lead", LEAD)
    await sent(port, "/lead", changed(LEAD, person={"first_name": None}))
    await sent(port, "/lead", LEAD[:-1])
    out, err = capfd.readouterr()
    lines = caplog.text + out + err
    assert not any(told in lines for told in ("Erik", "Andersson", "erik.", "+4670", "Storgatan"))
