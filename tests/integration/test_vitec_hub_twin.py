"""The Hub twin serves what public clients of the Hub show, marks it as partial, and serves nothing more."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from daemon.domain.errors import AccessDenied, RateLimited, Retryable, VendorError
from daemon.sandbox.twins.faults import Kind
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_hub import VitecHubTwin
from daemon.vendors.limiter import Limiter
from daemon.vendors.vitec_hub.client import INTERESTED, VIEWING_PARTICIPANTS, VitecHubClient

INSTALLATION = "MSPROATEST"
VILLA = {"streetAdress": "Fjordveien 1", "zipCode": "0250", "city": "Oslo", "assignmentNum": "1-26-0001"}
START = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


class Hub:
    """A twin on a port, with the daemon's own client and a bare way to ask."""

    def __init__(self, twin: VitecHubTwin, session: aiohttp.ClientSession, base: str) -> None:
        self.twin, self.session, self.base = twin, session, base
        self.client = self.login()

    def login(self, password: str = "twin-password", installation: str = INSTALLATION) -> VitecHubClient:
        limiter = Limiter([], 5)
        return VitecHubClient(
            self.session, self.base, installation, self.twin.username, password, limiter, timeout=2.0
        )

    async def ask(
        self, path: str, method: str = "GET", password: str = "twin-password"
    ) -> tuple[int, Any, str | None]:
        """The status, the JSON (None without) and the mark of one answer."""
        login = {"Authorization": aiohttp.encode_basic_auth(self.twin.username, password)}
        async with self.session.request(method, f"{self.base}/{path}", headers=login) as answer:
            body = await answer.read()
            read = msgspec.json.decode(body) if answer.content_type == "application/json" else None
            return answer.status, read, answer.headers.get("X-Twin-Fidelity")


@asynccontextmanager
async def running(clock: Clock | None = None) -> AsyncIterator[Hub]:
    twin = VitecHubTwin(seed=7, clock=clock or Clock())
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        yield Hub(twin, session, base)


async def test_every_answer_says_that_it_is_partial() -> None:
    async with running() as hub:
        estate = f"{INSTALLATION}/Estates/{hub.twin.create_estate(**VILLA)}"
        hub.twin.faults.plan("500", path_contains="Employees")
        answers = {
            "Account/Methods": 200,
            f"{INSTALLATION}/Departments": 200,
            f"{INSTALLATION}/Departments/1": 404,
            f"{INSTALLATION}/Employees": 500,
            f"{INSTALLATION}/Estates": 200,
            f"{INSTALLATION}/Estates?changedAfter=yesterday": 400,
            estate: 200,
            f"{estate}/ContactRelations?relationType=0": 200,
            f"{INSTALLATION}/Contacts": 404,
            "MSNOP/Estates": 403,
        }
        for path, status in answers.items():
            said, _, mark = await hub.ask(path)
            assert (path, said, mark) == (path, status, "partial")
        assert (await hub.ask("Account/Methods", password="wrong"))[::2] == (401, "partial")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "Contacts/Find"),
        ("GET", "Contacts/1"),
        ("POST", "Contacts"),
        ("POST", "Estates"),
        ("GET", "Next/EstateTypes"),
        ("GET", "Accounting/Estates"),
    ],
)
async def test_what_nobody_has_seen_is_not_served(method: str, path: str) -> None:
    async with running() as hub:
        assert (await hub.ask(f"{INSTALLATION}/{path}", method))[0] in (404, 405)


async def test_a_wrong_key_and_anothers_installation_are_refused() -> None:
    async with running() as hub:
        with pytest.raises(AccessDenied) as refused:
            await hub.login(password="wrong").methods()
        assert refused.value.status == 401
        with pytest.raises(AccessDenied) as refused:
            await hub.login(installation="MSNOP").estates()
        assert refused.value.status == 403


async def test_a_function_that_is_not_open_is_refused_and_not_listed() -> None:
    async with running() as hub:
        estate = hub.twin.create_estate(**VILLA)
        hub.twin.functions.remove("ContactRelations")
        assert await hub.client.methods() == ["Departments", "Employees", "Estates"]
        assert await hub.client.estate(estate) is not None
        with pytest.raises(AccessDenied):
            await hub.client.contact_relations(estate, INTERESTED)


async def test_offices_and_brokers_are_read_back() -> None:
    async with running() as hub:
        number = hub.twin.create_department(name="Fjord Eiendom", city="Oslo", webPublish=True)
        hub.twin.create_employee("KAN", name="Kari Nordmann", departmentId=[number], employeePositions=[1])
        [department] = map(msgspec.json.decode, await hub.client.departments())
        assert (department["departmentId"], department["name"]) == (1, "Fjord Eiendom")
        [employee] = map(msgspec.json.decode, await hub.client.employees())
        assert (employee["employeeId"], employee["departmentId"]) == ("KAN", [1])
        assert await hub.ask(f"{INSTALLATION}/Departments/1") == (200, department, "partial")
        assert await hub.ask(f"{INSTALLATION}/Employees/KAN") == (200, employee, "partial")


async def test_an_estate_has_a_guid_in_upper_case_and_only_the_fields_that_were_seen() -> None:
    async with running() as hub:
        estate = hub.twin.create_estate(**VILLA, brokersIdWithRoles=[{"employeeId": "KAN", "brokerRole": 1}])
        assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", estate)
        [row] = await hub.client.estates()
        assert (row.id, row.changed_at) == (estate, "2026-07-01T10:00:00.000Z")
        assert msgspec.json.decode(row.raw) == VILLA | {
            "estateId": estate,
            "changedDate": "2026-07-01T10:00:00.000Z",
            "estateBaseType": 0,
        }
        assert msgspec.json.decode(await hub.client.estate(estate) or b"") == {
            "address": {"streetAdress": "Fjordveien 1", "zipCode": "0250", "city": "Oslo"},
            "assignmentNum": "1-26-0001",
            "brokersIdWithRoles": [{"employeeId": "KAN", "brokerRole": 1}],
            "projectUnits": [],
        }


async def test_an_estate_is_found_letter_for_letter() -> None:
    async with running() as hub:
        estate = hub.twin.create_estate(**VILLA)
        assert await hub.client.estate(estate.lower()) is None


async def test_only_a_real_edit_moves_an_estate_into_the_changed_ones() -> None:
    clock = Clock()
    async with running(clock) as hub:
        first, _ = hub.twin.create_estate(**VILLA), hub.twin.create_estate(**VILLA)
        clock.at += timedelta(hours=1)
        hub.twin.edit_estate(first, city="Oslo")
        assert await hub.client.estates(START) == []
        hub.twin.edit_estate(first, city="Bergen")
        assert [row.id for row in await hub.client.estates(START)] == [first]
        assert await hub.client.estates(clock.at) == []
        assert len(await hub.client.estates()) == 2
        assert [estate["city"] for estate in hub.twin.estates()] == ["Bergen", "Oslo"]
        assert [entry.changed for entry in hub.twin.journal.entries] == [True, True, False, True]


async def test_a_removed_estate_is_gone_with_its_relations() -> None:
    async with running() as hub:
        estate = hub.twin.create_estate(**VILLA)
        hub.twin.relate(estate, {"contactId": "1"}, INTERESTED)
        hub.twin.remove_estate(estate)
        assert await hub.client.estates() == []
        assert await hub.client.estate(estate) is None
        assert await hub.client.contact_relations(estate, INTERESTED) is None
        assert hub.twin.estates() == hub.twin.related(estate, INTERESTED) == []


async def test_viewing_participants_and_interested_are_two_lists() -> None:
    async with running() as hub:
        estate = hub.twin.create_estate(**VILLA)
        hub.twin.relate(estate, {"contactId": "1"}, VIEWING_PARTICIPANTS)
        hub.twin.relate(estate, {"contactId": "2"}, INTERESTED)
        told = [await hub.client.contact_relations(estate, kind) for kind in (0, 1)]
        assert told == [b'{"contacts":[{"contactId":"1"}]}', b'{"contacts":[{"contactId":"2"}]}']
        assert (await hub.ask(f"{INSTALLATION}/Estates/{estate}/ContactRelations"))[0] == 400
        assert (await hub.ask(f"{INSTALLATION}/Estates/{estate}/ContactRelations?relationType=2"))[0] == 400


def test_the_hands_refuse_what_is_not_known() -> None:
    twin = VitecHubTwin()
    estate = twin.create_estate(**VILLA)
    with pytest.raises(KeyError, match="streetAddress"):
        twin.create_estate(streetAddress="the usual spelling")
    with pytest.raises(KeyError, match="status"):
        twin.edit_estate(estate, status=40)
    with pytest.raises(KeyError):
        twin.relate(estate.lower(), {}, INTERESTED)
    with pytest.raises(ValueError, match="0 and 1"):
        twin.relate(estate, {}, 2)


async def test_a_limit_on_demand_says_how_long_to_wait() -> None:
    async with running() as hub:
        hub.twin.retry_after = 42
        hub.twin.faults.plan("429")
        with pytest.raises(RateLimited) as limited:
            await hub.client.estates()
        assert limited.value.retry_after == 42.0
        assert await hub.login().estates() == []


# aiohttp itself asks once more when a connection breaks under a GET: that takes two strikes.
@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("500", 1),
        ("503", 1),
        ("broken_json", 1),
        ("drop_before", 2),
        ("drop_after", 2),
        ("timeout_before", 2),
        ("timeout_after", 2),
    ],
)
async def test_a_fault_strikes_as_planned_and_then_all_is_well(kind: Kind, times: int) -> None:
    async with running() as hub:
        hub.twin.faults.timeout = 0.01
        hub.twin.faults.plan(kind, times=times)
        with pytest.raises(VendorError) as raised:
            await hub.client.estates()
        assert type(raised.value) is Retryable
        assert await hub.client.estates() == []
        assert hub.twin.faults.struck == {kind: times}


async def test_the_same_seed_gives_the_same_guids_and_reads_are_counted() -> None:
    assert VitecHubTwin(seed=3).create_estate() == VitecHubTwin(seed=3).create_estate()
    async with running() as hub:
        await asyncio.gather(hub.client.estates(), hub.client.estates())
        assert hub.twin.journal.reads["GET", "/{installation}/Estates"] == 2
