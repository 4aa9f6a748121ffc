"""The Propstreet twin keeps the contract: by default, with each switch the other way, and under faults."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from multidict import CIMultiDictProxy
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from daemon.sandbox.twins.propstreet import Problem, PropstreetTwin, Switches
from daemon.sandbox.twins.propstreet.duplicates import jaro_winkler
from daemon.sandbox.twins.propstreet.webhooks import EVENTS
from daemon.sandbox.twins.server import RateLimit, Window, serve

CONTACTS = "/api/v1/network/contacts"
COMPANIES = "/api/v1/network/companies"
LINKS = "/api/v1/network/links"
WEBHOOKS = "/api/v1/webhooks"
ANNA = {"firstName": "Anna", "lastName": "Berg", "email": "anna@example.se"}
SOON = (0.001,) * 8


class Clock:
    """The vendor's clock, moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 18, 20, 22, 0, 959123, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Answer:
    status: int
    body: Any
    headers: CIMultiDictProxy[str]


@dataclass
class Bench:
    """A twin on a port, its clock, and a client that is logged in."""

    twin: PropstreetTwin
    clock: Clock
    base: str
    session: aiohttp.ClientSession
    token: str = ""

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Any = None, **query: str
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        async with self.session.request(
            method, self.base + path, json=body, params=query, headers=sent
        ) as answer:
            raw = await answer.read()
            return Answer(answer.status, msgspec.json.decode(raw) if raw else None, answer.headers)

    async def login(self, **changed: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.twin.client_id,
            "client_secret": self.twin.client_secret,
            "scope": "api:public",
        }
        async with self.session.post(self.base + "/openid/token", data=form | changed) as answer:
            body = await answer.json()
            self.token = body.get("access_token", "")
            return Answer(answer.status, body, answer.headers)

    async def walk(self, size: int, **query: str) -> list[str]:
        """The ids of all pages of contacts."""
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            body = (await self.call("GET", CONTACTS, page_size=str(size), **query, **cursor)).body
            ids += [row["id"] for row in body["data"]]
            if not body["page"]["hasMore"]:
                return ids
            cursor = {"cursor": body["page"]["nextCursor"]}


@dataclass
class Receiver:
    """Where webhooks arrive; it gives the next of `answers`, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": self.url} if status == 302 else None)

    @property
    def events(self) -> list[str]:
        return [msgspec.json.decode(body)["type"] for body in self.bodies]

    def verified(self, secret: str, index: int = -1) -> Any:
        return Verifier(secret).verify(self.bodies[index], self.headers[index])


@asynccontextmanager
async def bench(*, limits: RateLimit | None = None, seed: int = 0, **switches: Any) -> AsyncIterator[Bench]:
    clock = Clock()
    twin = PropstreetTwin(Switches(**switches), seed=seed, clock=clock, limits=limits)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        one = Bench(twin, clock, base, session)
        await one.login()
        yield one
        await twin.close()


@asynccontextmanager
async def limited(**switches: Any) -> AsyncIterator[Bench]:
    clock = Clock()
    twin = PropstreetTwin(Switches(**switches), clock=clock)
    async with serve(twin.app) as base, aiohttp.ClientSession() as session:
        one = Bench(twin, clock, base, session)
        await one.login()
        yield one


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.take)
    async with serve(app) as base:
        one.url = f"{base}/hook"
        yield one


# --- login and limits ---


async def test_a_token_is_had_for_client_credentials_only(propstreet: Bench) -> None:
    granted = await propstreet.login()
    assert granted.status == 200
    assert granted.body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    wrong = await propstreet.login(client_secret="guessed")
    assert (wrong.status, wrong.body) == (401, {"error": "invalid_client"})
    assert (await propstreet.login(grant_type="password")).status == 400
    assert (await propstreet.login(scope="all")).status == 400
    refused = await propstreet.call("GET", CONTACTS)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_token_ends_after_its_hour(propstreet: Bench) -> None:
    propstreet.clock.pass_(3599)
    assert (await propstreet.call("GET", CONTACTS)).status == 200
    propstreet.clock.pass_(1)
    assert (await propstreet.call("GET", CONTACTS)).status == 401


@pytest.mark.parametrize(("life", "told"), [(60, 60), (None, None)])
async def test_ps27_a_token_lives_shorter_or_does_not_say(life: int | None, told: int | None) -> None:
    async with bench(ps27=life) as propstreet:
        assert (await propstreet.login()).body.get("expires_in") == told
        propstreet.clock.pass_(61)
        assert (await propstreet.call("GET", CONTACTS)).status == (401 if life else 200)


async def test_ps27_a_token_may_die_in_the_middle(propstreet: Bench) -> None:
    propstreet.twin.expire_tokens()
    assert (await propstreet.call("GET", CONTACTS)).status == 401
    await propstreet.login()
    assert (await propstreet.call("GET", CONTACTS)).status == 200


async def test_every_answer_tells_the_limit_and_the_601st_call_of_a_minute_waits() -> None:
    async with limited() as propstreet:
        first = await propstreet.call("GET", f"{CONTACTS}/1")
        assert first.status == 404
        assert (first.headers["RateLimit-Limit"], first.headers["RateLimit-Remaining"]) == ("600", "599")
        for _ in range(599):
            propstreet.twin.gate.limits.take(propstreet.clock())  # type: ignore[union-attr]
        refused = await propstreet.call("GET", CONTACTS)
        assert (refused.status, refused.body["title"]) == (429, "Too Many Requests")
        assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"] == "60"
        propstreet.clock.pass_(60)
        assert (await propstreet.call("GET", CONTACTS)).status == 200


async def test_ps26_a_second_and_an_hour_may_be_limited_too() -> None:
    async with limited(ps26="three") as propstreet:
        statuses = [(await propstreet.call("GET", CONTACTS)).status for _ in range(21)]
        assert statuses == [200] * 20 + [429]
        propstreet.clock.pass_(1)
        assert (await propstreet.call("GET", CONTACTS)).status == 200
        hour = propstreet.twin.gate.limits.windows[2]  # type: ignore[union-attr]
        for _ in range(hour.remaining):
            hour.count(propstreet.clock().timestamp())
        refused = await propstreet.call("GET", CONTACTS)
        assert (refused.status, refused.headers["RateLimit-Limit"]) == (429, "10800")


async def test_ps26_a_personal_token_has_sixty_a_minute() -> None:
    async with limited(ps26="pat") as propstreet:
        assert (await propstreet.call("GET", CONTACTS)).headers["RateLimit-Limit"] == "60"


async def test_ps26_a_sliding_window_gives_back_one_call_after_another() -> None:
    async with limited(ps26="sliding") as propstreet:
        assert (await propstreet.call("GET", CONTACTS)).headers["RateLimit-Reset"] == "60"
    limit, clock = RateLimit(Window(2, 60, sliding=True)), Clock()
    assert limit.take(clock()).allowed
    clock.pass_(50)
    assert limit.take(clock()).allowed
    assert limit.take(clock()).reset == 10
    clock.pass_(10)
    assert limit.take(clock()).allowed
    assert not limit.take(clock()).allowed


# --- contacts ---


async def test_a_created_contact_reads_as_the_model_says(propstreet: Bench) -> None:
    made = await propstreet.call("POST", CONTACTS, {**ANNA, "phone": "070-174 06 05", "tags": ["vip"]})
    contact = made.body
    assert made.status == 201
    assert made.headers["Location"] == f"{CONTACTS}/{contact['id']}"
    assert made.headers["ETag"] == contact["etag"]
    assert base64.b64decode(contact["etag"][3:-1]) == (0x2B44).to_bytes(8, "big")
    assert contact["phone"] == "+46701740605"
    assert contact["emails"] == [{"address": "anna@example.se", "type": None, "isPrimary": True}]
    assert contact["createdUtc"] == contact["updatedUtc"] == "2026-05-18T20:22:00.9591230Z"
    assert (contact["deletedUtc"], contact["changeType"], contact["companies"]) == (None, "create", [])
    read = await propstreet.call("GET", f"{CONTACTS}/{contact['id']}")
    assert (read.body, read.headers["ETag"]) == (contact, contact["etag"])


@pytest.mark.parametrize(
    ("body", "field_"),
    [
        ({"tags": ["vip"]}, "contact"),
        ({"firstName": "  "}, "contact"),
        ({"firstName": "x" * 256}, "firstName"),
        ({"email": "anna at example"}, "email"),
        ({"phone": "1" * 51}, "phone"),
        ({"firstName": "Anna", "primaryLanguage": "swe"}, "primaryLanguage"),
        ({"firstName": "Anna", "externalRefs": [{"namespace": "vitec-next"}]}, "externalRefs"),
        ({"firstName": "Anna", "externalRefs": [{"namespace": "n" * 51, "id": "1"}]}, "externalRefs"),
        ({"firstName": "Anna", "emails": [{"address": "nobody"}]}, "emails"),
        ({"firstName": 7}, "firstName"),
        ({"firstName": "Anna", "tags": "vip"}, "tags"),
    ],
)
async def test_a_contact_that_breaks_a_rule_is_refused_by_field(
    propstreet: Bench, body: dict[str, Any], field_: str
) -> None:
    refused = await propstreet.call("POST", CONTACTS, body)
    assert (refused.status, refused.headers["Content-Type"]) == (400, "application/problem+json")
    assert refused.body["title"] == "Validation Error"
    assert refused.body["instance"] == CONTACTS
    assert list(refused.body["errors"]) == [field_]
    assert propstreet.twin.records("contact") == []


async def test_a_patch_sets_clears_and_keeps(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA, strategy="Offices", tags=["a", "b"])
    etag = propstreet.twin.get("contact", key)["etag"]
    propstreet.clock.pass_(1)
    patched = await propstreet.call("PATCH", f"{CONTACTS}/{key}", {"strategy": None, "tags": ["c"]})
    assert patched.status == 200
    assert (patched.body["strategy"], patched.body["tags"], patched.body["firstName"]) == (
        None,
        ["c"],
        "Anna",
    )
    assert patched.body["etag"] != etag
    assert patched.body["updatedUtc"] > patched.body["createdUtc"]


async def test_a_patch_that_changes_nothing_moves_neither_etag_nor_webhook(
    propstreet: Bench, receiver: Receiver
) -> None:
    key = propstreet.twin.create("contact", **ANNA, phone="+46701740605")
    before = propstreet.twin.get("contact", key)
    propstreet.twin.add_webhook(receiver.url)
    propstreet.clock.pass_(1)
    same = await propstreet.call("PATCH", f"{CONTACTS}/{key}", {"firstName": "Anna", "phone": "070-1740605"})
    await propstreet.twin.settled()
    assert (same.status, same.body, receiver.bodies) == (200, before, [])
    assert [entry.record for entry in propstreet.twin.journal.echoes()] == [key]


async def test_a_stale_if_match_is_refused_and_the_present_one_passes(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA)
    etag = propstreet.twin.get("contact", key)["etag"]
    propstreet.twin.edit("contact", key, firstName="Anne")
    change = {"lastName": "Borg"}
    stale = await propstreet.call("PATCH", f"{CONTACTS}/{key}", change, headers={"If-Match": etag})
    assert (stale.status, stale.body["type"]) == (412, "/help/precondition-failed")
    fresh = propstreet.twin.get("contact", key)["etag"]
    passed = await propstreet.call("PATCH", f"{CONTACTS}/{key}", change, headers={"If-Match": fresh})
    assert (passed.status, passed.body["lastName"]) == (200, "Borg")
    gone = await propstreet.call("DELETE", f"{CONTACTS}/{key}", headers={"If-Match": fresh})
    assert gone.status == 412


async def test_ps3_a_stale_if_match_may_be_a_conflict() -> None:
    async with bench(ps3=409) as propstreet:
        key = propstreet.twin.create("contact", **ANNA)
        stale = await propstreet.call("PATCH", f"{CONTACTS}/{key}", {}, headers={"If-Match": 'W/"old"'})
        assert (stale.status, stale.body["title"]) == (409, "Conflict")


async def test_an_address_and_a_reference_belong_to_one_contact(propstreet: Bench) -> None:
    refs = [{"namespace": "vitec-next", "id": "ADR1"}]
    key = propstreet.twin.create("contact", **ANNA, externalRefs=refs)
    other = propstreet.twin.create("contact", firstName="Bo")
    assert (await propstreet.call("POST", CONTACTS, {"email": "ANNA@example.se"})).status == 409
    taken = {"firstName": "Bo", "externalRefs": [{"namespace": "VITEC-NEXT", "id": "ADR1"}]}
    assert (await propstreet.call("POST", CONTACTS, taken)).status == 409
    assert (await propstreet.call("PATCH", f"{CONTACTS}/{other}", {"email": ANNA["email"]})).status == 409
    taken["externalRefs"] = [{"namespace": "vitec-next", "id": "adr1"}]
    assert (await propstreet.call("POST", CONTACTS, taken)).status == 201
    propstreet.twin.delete("contact", key)
    assert (await propstreet.call("PATCH", f"{CONTACTS}/{other}", {"email": ANNA["email"]})).status == 200


async def test_ps4_a_post_of_a_known_contact_may_answer_with_it() -> None:
    async with bench(ps4="existing") as propstreet:
        key = propstreet.twin.create("contact", **ANNA)
        again = await propstreet.call("POST", CONTACTS, {"firstName": "Other", "email": ANNA["email"]})
        assert (again.status, again.body["id"], again.body["firstName"]) == (200, key, "Anna")


async def test_a_contact_is_found_by_reference_whatever_the_case_of_its_namespace(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA, externalRefs=[{"namespace": "vitec-next", "id": "A/1"}])
    found = await propstreet.call("GET", f"{CONTACTS}/external/Vitec-Next/A%2F1")
    assert (found.status, found.body["id"]) == (200, key)
    assert (await propstreet.call("GET", f"{CONTACTS}/external/vitec-next/a%2F1")).status == 404


async def test_the_first_of_several_addresses_becomes_the_primary_one(propstreet: Bench) -> None:
    emails = [
        {"address": "work@example.se", "type": "work"},
        {"address": "home@example.se", "type": "personal"},
    ]
    made = (await propstreet.call("POST", CONTACTS, {"emails": emails})).body
    assert made["email"] == "work@example.se"
    moved = (await propstreet.call("PATCH", f"{CONTACTS}/{made['id']}", {"email": "home@example.se"})).body
    assert [(e["address"], e["isPrimary"]) for e in moved["emails"]] == [("home@example.se", True)]
    listed = (await propstreet.call("PATCH", f"{CONTACTS}/{made['id']}", {"emails": emails})).body
    assert listed["email"] == "work@example.se"
    cleared = (await propstreet.call("PATCH", f"{CONTACTS}/{made['id']}", {"email": None})).body
    assert [(e["address"], e["isPrimary"]) for e in cleared["emails"]] == [("home@example.se", False)]


async def test_a_phone_that_cannot_be_read_is_kept_as_sent(propstreet: Bench) -> None:
    made = await propstreet.call("POST", CONTACTS, {"phone": "ask at the desk"})
    assert made.body["phone"] == "ask at the desk"


async def test_ps19_references_in_a_patch_may_be_merged() -> None:
    first, second = {"namespace": "vitec-next", "id": "1"}, {"namespace": "other", "id": "2"}
    for how, expected in (("replace", [second]), ("merge", [first, second])):
        async with bench(ps19=how) as propstreet:
            key = propstreet.twin.create("contact", **ANNA, externalRefs=[first])
            patched = await propstreet.call("PATCH", f"{CONTACTS}/{key}", {"externalRefs": [second]})
            assert patched.body["externalRefs"] == expected


async def test_ps20_phones_may_be_normalised_on_upsert_only() -> None:
    async with bench(ps20="upsert") as propstreet:
        made = (await propstreet.call("POST", CONTACTS, {"phone": "070-174 06 05"})).body
        assert made["phone"] == "070-174 06 05"
        upserted = await propstreet.call("PATCH", f"{CONTACTS}/external/n/1", {"phone": "070-174 06 06"})
        assert upserted.body["phone"] == "+46701740606"


@pytest.mark.parametrize(("how", "status"), [("400", 400), ("accepted", 201)])
async def test_ps34_more_than_a_hundred_tags(how: str, status: int) -> None:
    async with bench(ps34=how) as propstreet:
        many = await propstreet.call("POST", CONTACTS, {**ANNA, "tags": [f"t{i}" for i in range(101)]})
        assert many.status == status


@pytest.mark.parametrize(("decimals", "written"), [(3, "20:22:00.959Z"), (0, "20:22:00Z")])
async def test_ps29_times_may_be_less_precise(decimals: int, written: str) -> None:
    async with bench(ps29=decimals) as propstreet:
        key = propstreet.twin.create("contact", **ANNA)
        updated = propstreet.twin.get("contact", key)["updatedUtc"]
        assert updated == f"2026-05-18T{written}"
        assert len((await propstreet.call("GET", CONTACTS, updated_since=updated)).body["data"]) == 1


async def test_ps31_no_route_takes_a_profile_picture(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA)
    for method in ("POST", "PUT"):
        assert (await propstreet.call(method, f"{CONTACTS}/{key}/profile-picture")).status == 404
    set_ = await propstreet.call(
        "PATCH", f"{CONTACTS}/{key}", {"profilePictureUrl": "https://example.se/a.png"}
    )
    assert set_.body["profilePictureUrl"] is None


async def test_what_is_no_json_and_what_is_no_route_are_problems(propstreet: Bench) -> None:
    broken = await propstreet.call("POST", CONTACTS, ["not", "an", "object"])
    assert (broken.status, broken.body["title"]) == (400, "Bad Request")
    assert (await propstreet.call("GET", "/api/v1/nowhere")).body["status"] == 404
    put = await propstreet.call("PUT", f"{CONTACTS}/1", {})
    assert (put.status, put.body["title"]) == (405, "Method Not Allowed")


# --- deletes ---


async def test_a_deleted_contact_is_gone_by_id_and_listed_only_on_request(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA)
    assert (await propstreet.call("DELETE", f"{CONTACTS}/{key}")).status == 204
    assert (await propstreet.call("GET", f"{CONTACTS}/{key}")).status == 404
    assert (await propstreet.call("DELETE", f"{CONTACTS}/{key}")).status == 404
    assert await propstreet.walk(10) == []
    rows = (await propstreet.call("GET", CONTACTS, include_deleted="true")).body["data"]
    assert [(row["id"], row["changeType"], row["deletedUtc"] is None) for row in rows] == [
        (key, "delete", False)
    ]


async def test_a_deleted_contact_may_still_be_read_by_id() -> None:
    async with bench(deleted_read="record") as propstreet:
        key = propstreet.twin.create("contact", **ANNA)
        propstreet.twin.delete("contact", key)
        assert (await propstreet.call("GET", f"{CONTACTS}/{key}")).body["deletedUtc"]


async def test_ps25_deleted_records_may_stay_out_of_lists() -> None:
    async with bench(ps25="hidden") as propstreet:
        propstreet.twin.delete("contact", propstreet.twin.create("contact", **ANNA))
        assert (await propstreet.call("GET", CONTACTS, include_deleted="true")).body["data"] == []


async def test_ps30_delete_may_not_be_there() -> None:
    async with bench(ps30=False) as propstreet:
        key = propstreet.twin.create("contact", **ANNA)
        assert (await propstreet.call("DELETE", f"{CONTACTS}/{key}")).status == 404
        assert propstreet.twin.records("contact")


# --- lists ---


async def test_pages_follow_each_other_in_the_order_of_change(propstreet: Bench) -> None:
    ids = []
    for i in range(5):
        propstreet.clock.pass_(i % 2)
        ids.append(propstreet.twin.create("contact", firstName=f"No {i}"))
    assert await propstreet.walk(2) == ids
    propstreet.clock.pass_(1)
    propstreet.twin.edit("contact", ids[0], firstName="Later")
    assert await propstreet.walk(2) == [*ids[1:], ids[0]]


async def test_updated_since_includes_its_own_moment(propstreet: Bench) -> None:
    first = propstreet.twin.create("contact", firstName="One")
    propstreet.clock.pass_(1)
    second = propstreet.twin.create("contact", firstName="Two")
    since = propstreet.twin.get("contact", second)["updatedUtc"]
    assert await propstreet.walk(1, updated_since=since) == [second]
    since = propstreet.twin.get("contact", first)["updatedUtc"]
    assert await propstreet.walk(1, updated_since=since) == [first, second]


async def test_a_cursor_is_base64_of_time_and_id(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", firstName="One")
    propstreet.twin.create("contact", firstName="Two")
    page = (await propstreet.call("GET", CONTACTS, page_size="1")).body["page"]
    assert (page["pageSize"], page["hasMore"]) == (1, True)
    assert msgspec.json.decode(base64.b64decode(page["nextCursor"])) == {
        "u": "2026-05-18T20:22:00.9591230Z",
        "i": int(key),
    }


@pytest.mark.parametrize(
    "query",
    [{"page_size": "0"}, {"page_size": "501"}, {"updated_since": "lately"}, {"include_deleted": "yes"}],
)
async def test_a_list_with_a_bad_parameter_is_refused(propstreet: Bench, query: dict[str, str]) -> None:
    refused = await propstreet.call("GET", CONTACTS, **query)
    assert (refused.status, list(refused.body["errors"])) == (400, list(query))


async def test_ps9_the_page_may_stand_at_the_top() -> None:
    async with bench(ps9="top") as propstreet:
        body = (await propstreet.call("GET", CONTACTS)).body
        assert body == {"data": [], "nextCursor": None, "pageSize": 500, "hasMore": False}


async def test_ps10_numbers_may_come_as_text() -> None:
    async with bench(ps10="string") as propstreet:
        page = (await propstreet.call("GET", CONTACTS)).body["page"]
        assert page == {"nextCursor": None, "pageSize": "500", "hasMore": False}


@pytest.mark.parametrize(("how", "status"), [("400", 400), ("restart", 200)])
async def test_ps32_an_old_or_invented_cursor(how: str, status: int) -> None:
    async with bench(ps32=how) as propstreet:
        ids = [propstreet.twin.create("contact", firstName=str(i)) for i in range(3)]
        cursor = (await propstreet.call("GET", CONTACTS, page_size="1")).body["page"]["nextCursor"]
        assert (await propstreet.call("GET", CONTACTS, cursor="invented")).status == status
        propstreet.twin.expire_cursors()
        old = await propstreet.call("GET", CONTACTS, cursor=cursor)
        assert old.status == status
        if status == 200:
            assert [row["id"] for row in old.body["data"]] == ids


# --- upsert by external reference ---

REFERENCE = f"{CONTACTS}/external/vitec-next/ADR1"


async def test_an_upsert_creates_once_and_then_updates(propstreet: Bench) -> None:
    made = await propstreet.call("PATCH", REFERENCE, ANNA)
    assert (made.status, made.headers["X-Propstreet-Upsert-Action"]) == (201, "created")
    assert made.headers["Location"] == f"{CONTACTS}/{made.body['id']}"
    assert made.body["externalRefs"] == [{"namespace": "vitec-next", "id": "ADR1"}]
    again = await propstreet.call("PATCH", REFERENCE, {"firstName": "Anne"})
    assert (again.status, again.headers["X-Propstreet-Upsert-Action"]) == (200, "updated")
    assert "Location" not in again.headers
    assert (again.body["id"], again.body["firstName"]) == (made.body["id"], "Anne")
    same = await propstreet.call("PATCH", REFERENCE, {"firstName": "Anne"})
    assert same.headers["ETag"] == again.headers["ETag"]


async def test_an_upsert_takes_a_contact_with_the_same_address_only_when_asked(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA, externalRefs=[{"namespace": "lime", "id": "7"}])
    assert (await propstreet.call("PATCH", REFERENCE, ANNA)).status == 409
    matched = await propstreet.call("PATCH", REFERENCE, ANNA, match="email")
    assert (matched.status, matched.body["id"]) == (200, key)
    assert [ref["id"] for ref in matched.body["externalRefs"]] == ["7", "ADR1"]


async def test_ps23_an_upsert_revives_a_deleted_contact_unless_told_not_to(propstreet: Bench) -> None:
    key = (await propstreet.call("PATCH", REFERENCE, ANNA)).body["id"]
    propstreet.twin.delete("contact", key)
    revived = await propstreet.call("PATCH", REFERENCE, ANNA)
    assert (revived.status, revived.headers["X-Propstreet-Upsert-Action"]) == (200, "revived")
    assert (revived.body["id"], revived.body["deletedUtc"]) == (key, None)
    propstreet.twin.delete("contact", key)
    fresh = await propstreet.call("PATCH", REFERENCE, ANNA, revive="false")
    assert (fresh.status, fresh.headers["X-Propstreet-Upsert-Action"]) == (201, "created")
    assert fresh.body["id"] != key
    with pytest.raises(Problem, match="409"):
        propstreet.twin.restore("contact", key)


async def test_ps21_create_only_means_update_only_or_what_it_says() -> None:
    async with bench() as propstreet:
        assert (await propstreet.call("PATCH", REFERENCE, ANNA, create_only="true")).status == 404
        await propstreet.call("PATCH", REFERENCE, ANNA)
        assert (await propstreet.call("PATCH", REFERENCE, ANNA, create_only="true")).status == 200
    async with bench(ps21="create_only") as propstreet:
        assert (await propstreet.call("PATCH", REFERENCE, ANNA, create_only="true")).status == 201
        assert (await propstreet.call("PATCH", REFERENCE, ANNA, create_only="true")).status == 409


async def test_ps22_companies_may_have_the_upsert_too() -> None:
    path = f"{COMPANIES}/external/organization-number/5566778899"
    async with bench() as propstreet:
        assert (await propstreet.call("PATCH", path, {"name": "Berg AB"})).status == 404
    async with bench(ps22=True) as propstreet:
        made = await propstreet.call("PATCH", path, {"name": "Berg AB"})
        assert (made.status, made.body["externalRefs"][0]["id"]) == (201, "5566778899")
        assert (await propstreet.call("GET", path)).body["id"] == made.body["id"]


# --- idempotency ---


async def test_the_same_key_and_body_give_the_first_answer_again(propstreet: Bench) -> None:
    key = {"Idempotency-Key": "one"}
    first = await propstreet.call("POST", CONTACTS, {"firstName": "Anna"}, headers=key)
    again = await propstreet.call("POST", CONTACTS, {"firstName": "Anna"}, headers=key)
    assert (again.status, again.body, again.headers["ETag"]) == (201, first.body, first.headers["ETag"])
    assert len(propstreet.twin.records("contact")) == 1
    propstreet.clock.pass_(24 * 3600)
    await propstreet.login()
    assert (await propstreet.call("POST", CONTACTS, {"firstName": "Anna"}, headers=key)).body != first.body


@pytest.mark.parametrize(
    ("how", "status", "records"), [("409", 409, 1), ("422", 422, 1), ("ignored", 201, 2)]
)
async def test_ps17_a_known_key_with_another_body(how: str, status: int, records: int) -> None:
    async with bench(ps17=how) as propstreet:
        key = {"Idempotency-Key": "one"}
        await propstreet.call("POST", CONTACTS, {"firstName": "Anna"}, headers=key)
        other = await propstreet.call("POST", CONTACTS, {"firstName": "Bo"}, headers=key)
        assert (other.status, len(propstreet.twin.records("contact"))) == (status, records)


async def test_ps18_keys_may_be_ignored_on_contacts_and_companies() -> None:
    async with bench(ps18=False) as propstreet:
        for _ in range(2):
            body, key = {"firstName": "Anna"}, {"Idempotency-Key": "one"}
            assert (await propstreet.call("POST", CONTACTS, body, headers=key)).status == 201
        assert len(propstreet.twin.records("contact")) == 2


# --- companies and links ---


async def test_a_company_takes_its_domain_from_its_homepage(propstreet: Bench) -> None:
    body = {"name": "Berg AB", "homepageUrl": "https://WWW.Berg.example/om-oss", "domain": "ignored.example"}
    made = await propstreet.call("POST", COMPANIES, body)
    assert (made.status, made.body["domain"]) == (201, "berg.example")
    path = f"{COMPANIES}/{made.body['id']}"
    assert (await propstreet.call("PATCH", path, {"homepageUrl": None})).body["domain"] is None
    assert (await propstreet.call("PATCH", path, {"domain": "www.BERG.test"})).body["domain"] == "berg.test"
    assert (await propstreet.call("DELETE", path)).status == 204


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 256}, {"name": "Berg", "countryCode": "SWE"}]
)
async def test_a_company_that_breaks_a_rule_is_refused(propstreet: Bench, body: dict[str, str]) -> None:
    assert (await propstreet.call("POST", COMPANIES, body)).status == 400


async def test_look_alikes_are_found_by_domain_name_and_spelling(propstreet: Bench) -> None:
    make = propstreet.twin.create
    ids = [
        make("company", name="Wholly Different", domain="berg.example"),
        make("company", name="Bergs Fastigheter AB"),
        make("company", name="Bergs Fastigheter Invest"),
        make("company", name="Bergs Fastighetar"),
    ]
    make("company", name="Nordhavn")
    body = {"name": "Bergs fastigheter", "domain": "berg.example"}
    found = (await propstreet.call("POST", "/api/v1/companies/find-duplicates", body)).body
    assert {one["id"]: one["method"] for one in found} == dict(
        zip(ids, ["Domain", "NormalizedName", "TokenContainment", "JaroWinkler"], strict=True)
    )
    assert all(0 < one["score"] <= 1 for one in found)
    assert jaro_winkler("martha", "marhta") == pytest.approx(0.961, abs=0.001)


async def test_ps8_look_alikes_may_be_asked_for_below_network() -> None:
    plain, network = "/api/v1/companies/find-duplicates", "/api/v1/network/companies/find-duplicates"
    for how, there, not_there in (("plain", plain, network), ("network", network, plain)):
        async with bench(ps8=how) as propstreet:
            assert (await propstreet.call("POST", there, {"name": "Berg"})).status == 200
            assert (await propstreet.call("POST", not_there, {"name": "Berg"})).status == 404


async def test_a_link_shows_on_both_of_its_ends(propstreet: Bench) -> None:
    contact, company = (
        propstreet.twin.create("contact", **ANNA),
        propstreet.twin.create("company", name="Berg"),
    )
    made = await propstreet.call(
        "POST", LINKS, {"contactId": contact, "companyId": company, "jobTitle": "CEO"}
    )
    assert made.status == 201
    path = f"{LINKS}/{made.body['id']}"
    await propstreet.call("PATCH", path, {"isPrimary": True})
    assert propstreet.twin.get("contact", contact)["primaryCompanyId"] == company
    assert propstreet.twin.get("company", company)["contacts"][0]["jobTitle"] == "CEO"
    assert len((await propstreet.call("GET", LINKS, contact_id=contact)).body["data"]) == 1
    assert (await propstreet.call("GET", LINKS, contact_id="0")).body["data"] == []
    assert (await propstreet.call("POST", LINKS, {"contactId": contact, "companyId": "0"})).status == 400


async def test_only_one_company_of_a_contact_is_primary(propstreet: Bench) -> None:
    contact = propstreet.twin.create("contact", **ANNA)
    companies = [propstreet.twin.create("company", name=name) for name in ("Berg", "Dal")]
    links = [propstreet.twin.create("link", contactId=contact, companyId=company) for company in companies]
    for link in links:
        propstreet.twin.edit("link", link, isPrimary=True)
    shown = propstreet.twin.get("contact", contact)["companies"]
    assert [(end["name"], end["isPrimary"]) for end in shown] == [("Dal", True), ("Berg", False)]


@pytest.mark.parametrize(("how", "status"), [("optional", 200), ("required", 428)])
async def test_ps7_a_patch_of_a_link_may_need_if_match(how: str, status: int) -> None:
    async with bench(ps7=how) as propstreet:
        contact, company = (
            propstreet.twin.create("contact", **ANNA),
            propstreet.twin.create("company", name="B"),
        )
        link = propstreet.twin.create("link", contactId=contact, companyId=company)
        etag = propstreet.twin.get("link", link)["etag"]
        path, body = f"{LINKS}/{link}", {"jobTitle": "CFO"}
        assert (await propstreet.call("PATCH", path, body)).status == status
        if status == 428:
            assert (await propstreet.call("PATCH", path, body, headers={"If-Match": etag})).status == 200


# --- webhooks: registering ---


async def test_a_webhook_is_registered_changed_and_deleted(propstreet: Bench) -> None:
    body = {"url": "https://toveis.example/hook", "events": ["contact.created"], "name": "CRM"}
    made = await propstreet.call("POST", WEBHOOKS, body)
    assert made.status == 201
    assert made.body["secret"].startswith("whsec_")
    assert len(base64.b64decode(made.body["secret"][6:])) >= 24
    assert made.body["isActive"] is True
    path = made.headers["Location"]
    assert "secret" not in (await propstreet.call("GET", path)).body
    changed = await propstreet.call("PATCH", path, {"events": ["company.created"], "isActive": False})
    assert (changed.body["events"], changed.body["isActive"]) == (["company.created"], False)
    assert [hook["id"] for hook in (await propstreet.call("GET", WEBHOOKS)).body["data"]] == [made.body["id"]]
    assert (await propstreet.call("DELETE", path)).status == 204
    assert (await propstreet.call("GET", path)).status == 404


@pytest.mark.parametrize(
    ("body", "field_"),
    [
        ({"url": "http://toveis.example/hook", "events": ["contact.created"]}, "url"),
        ({"events": ["contact.created"]}, "url"),
        ({"url": "https://toveis.example/hook"}, "events"),
        ({"url": "https://toveis.example/hook", "events": []}, "events"),
        ({"url": "https://toveis.example/hook", "events": ["contact.painted"]}, "events"),
    ],
)
async def test_a_webhook_needs_an_https_address_and_known_events(
    propstreet: Bench, body: dict[str, Any], field_: str
) -> None:
    refused = await propstreet.call("POST", WEBHOOKS, body)
    assert (refused.status, list(refused.body["errors"])) == (400, [field_])


async def test_ps33_wildcards_are_refused_or_expanded() -> None:
    body = {"url": "https://toveis.example/hook", "events": ["contact.*", "contact.created"]}
    async with bench() as propstreet:
        assert (await propstreet.call("POST", WEBHOOKS, body)).status == 400
    async with bench(ps33="expanded") as propstreet:
        events = (await propstreet.call("POST", WEBHOOKS, body)).body["events"]
        assert events == ["contact.created", "contact.updated", "contact.deleted"]


# --- webhooks: delivering ---


async def test_what_people_do_arrives_signed_and_in_order(propstreet: Bench, receiver: Receiver) -> None:
    secret = propstreet.twin.add_webhook(receiver.url)
    propstreet.clock.at = datetime.now(UTC)  # the verifier looks at its own clock
    key = propstreet.twin.create("contact", **ANNA)
    propstreet.twin.edit("contact", key, firstName="Anne")
    propstreet.twin.edit("contact", key, firstName="Anne")
    whole = propstreet.twin.get("contact", key)
    propstreet.twin.delete("contact", key)
    propstreet.twin.restore("contact", key)
    propstreet.twin.create("company", name="Berg")
    await propstreet.twin.settled()
    assert receiver.events == [
        "contact.created",
        "contact.updated",
        "contact.deleted",
        "contact.updated",
        "company.created",
    ]
    for i in range(5):
        receiver.verified(secret, i)
    body = receiver.verified(secret, 1)
    assert body == {"type": "contact.updated", "timestamp": whole["updatedUtc"], "data": whole}
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 5
    assert len(EVENTS) == 15


async def test_a_webhook_gets_only_the_events_it_asked_for(propstreet: Bench, receiver: Receiver) -> None:
    propstreet.twin.add_webhook(receiver.url, ["company.created"])
    propstreet.twin.create("contact", **ANNA)
    propstreet.twin.create("company", name="Berg")
    await propstreet.twin.settled()
    assert receiver.events == ["company.created"]


async def test_ps1_the_event_may_be_named_event(receiver: Receiver) -> None:
    async with bench(ps1="event") as propstreet:
        propstreet.twin.add_webhook(receiver.url)
        propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled()
        body = msgspec.json.decode(receiver.bodies[0])
        assert (body["event"], "type" in body) == ("contact.created", False)


async def test_ps2_the_data_may_be_an_id_only(receiver: Receiver) -> None:
    async with bench(ps2="thin") as propstreet:
        propstreet.twin.add_webhook(receiver.url)
        key = propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled()
        assert msgspec.json.decode(receiver.bodies[0])["data"] == {"id": key}


@pytest.mark.parametrize(("echoed", "arrived"), [(True, 2), (False, 1)])
async def test_ps11_own_changes_may_stay_silent(receiver: Receiver, echoed: bool, arrived: int) -> None:
    async with bench(ps11=echoed) as propstreet:
        propstreet.twin.add_webhook(receiver.url)
        await propstreet.call("POST", CONTACTS, ANNA)
        propstreet.twin.create("contact", firstName="Bo")
        await propstreet.twin.settled()
        assert len(receiver.bodies) == arrived


async def test_a_failed_delivery_is_tried_again_with_the_same_id(receiver: Receiver) -> None:
    async with bench(ps12=SOON) as propstreet:
        receiver.answers = [500, 302]
        secret = propstreet.twin.add_webhook(receiver.url)
        propstreet.clock.at = datetime.now(UTC)
        propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled(retries=True)
        assert len(set(receiver.bodies)) == len({h["webhook-id"] for h in receiver.headers}) == 1
        receiver.verified(secret)
        await propstreet.login()
        rows = (await propstreet.call("GET", f"{WEBHOOKS}/1/deliveries")).body["data"]
        assert [(row["status"], row["attemptCount"], row["lastStatusCode"]) for row in rows] == [
            ("delivered", 3, 200)
        ]
        assert rows[0]["eventId"] == receiver.headers[0]["webhook-id"]
        assert (await propstreet.call("GET", f"{WEBHOOKS}/1")).body["consecutiveFailures"] == 0


async def test_ps12_nine_attempts_and_then_no_more(receiver: Receiver) -> None:
    async with bench(ps12=SOON, ps12_jitter=0.5, ps13="deliveries") as propstreet:
        receiver.answers = [503] * 9
        propstreet.twin.add_webhook(receiver.url)
        propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled(retries=True)
        row = (await propstreet.call("GET", f"{WEBHOOKS}/1/deliveries")).body["data"][0]
        assert (len(receiver.bodies), row["status"], row["attemptCount"]) == (9, "exhausted", 9)


async def test_ps12_by_default_a_retry_waits_and_can_be_hurried(
    propstreet: Bench, receiver: Receiver
) -> None:
    assert sum(Switches().ps12) == pytest.approx(35 * 3600, rel=0.03)
    receiver.answers = [500]
    propstreet.twin.add_webhook(receiver.url)
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled()
    assert len(receiver.bodies) == 1
    propstreet.twin.webhooks.retry_now()
    await propstreet.twin.settled(retries=True)
    assert len(receiver.bodies) == 2


async def test_ps13_ten_failed_attempts_disable_a_webhook(propstreet: Bench, receiver: Receiver) -> None:
    receiver.answers = [500] * 10
    propstreet.twin.add_webhook(receiver.url)
    for i in range(12):
        propstreet.twin.create("contact", firstName=str(i))
    await propstreet.twin.settled(retries=True)
    hook = (await propstreet.call("GET", f"{WEBHOOKS}/1")).body
    assert (hook["isActive"], hook["consecutiveFailures"], len(receiver.bodies)) == (False, 10, 10)
    propstreet.twin.create("contact", firstName="Unheard")
    await propstreet.twin.settled()
    assert len(receiver.bodies) == 10


async def test_ps13_or_only_ten_exhausted_deliveries_do(receiver: Receiver) -> None:
    async with bench(ps12=(), ps13="deliveries") as propstreet:
        receiver.answers = [500] * 10
        propstreet.twin.add_webhook(receiver.url)
        for i in range(10):
            assert (await propstreet.call("GET", f"{WEBHOOKS}/1")).body["isActive"]
            propstreet.twin.create("contact", firstName=str(i))
            await propstreet.twin.settled()
        assert not (await propstreet.call("GET", f"{WEBHOOKS}/1")).body["isActive"]
    async with bench(ps12=SOON, ps13="deliveries") as propstreet:
        receiver.answers = [500] * 12
        propstreet.twin.add_webhook(receiver.url)
        propstreet.twin.create("contact", **ANNA)
        propstreet.twin.create("contact", firstName="Bo")
        await propstreet.twin.settled(retries=True)
        assert (await propstreet.call("GET", f"{WEBHOOKS}/1")).body["isActive"]


async def test_one_410_disables_at_once(propstreet: Bench, receiver: Receiver) -> None:
    receiver.answers = [410]
    propstreet.twin.add_webhook(receiver.url)
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled(retries=True)
    assert (await propstreet.call("GET", f"{WEBHOOKS}/1")).body["isActive"] is False


async def test_an_enabled_webhook_replays_what_failed_until_nothing_is_left(
    propstreet: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500] * 10
    propstreet.twin.add_webhook(receiver.url)
    before = propstreet.clock().isoformat()
    propstreet.clock.pass_(1)
    for i in range(103):
        propstreet.twin.create("contact", firstName=str(i))
    await propstreet.twin.settled()
    replay = f"{WEBHOOKS}/1/replay"
    assert (await propstreet.call("POST", replay, {"since": before})).status == 409
    assert (await propstreet.call("PATCH", f"{WEBHOOKS}/1", {"isActive": True})).body["isActive"]
    counts: list[int] = []
    while not counts or counts[-1]:
        counts.append((await propstreet.call("POST", replay, {"since": before})).body["replayed_count"])
        await propstreet.twin.settled()
    assert counts == [100, 3, 0]
    assert len(set(receiver.bodies)) == 103
    assert (await propstreet.call("POST", replay, {"since": "lately"})).status == 400


async def test_a_replay_takes_the_place_of_a_scheduled_retry(propstreet: Bench, receiver: Receiver) -> None:
    receiver.answers = [500]
    propstreet.twin.add_webhook(receiver.url)
    before = propstreet.clock().isoformat()
    propstreet.clock.pass_(1)
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled()
    assert (await propstreet.call("POST", f"{WEBHOOKS}/1/replay", {"since": before})).body[
        "replayed_count"
    ] == 1
    await propstreet.twin.settled(retries=True)
    assert len(receiver.bodies) == 2


@pytest.mark.parametrize(
    ("how", "patch", "put"),
    [
        ("patch", (200, True), (405, None)),
        ("put", (405, None), (200, True)),
        ("anew", (200, False), (405, None)),
    ],
)
async def test_ps14_how_a_webhook_is_enabled_again(
    how: str, patch: tuple[int, Any], put: tuple[int, Any]
) -> None:
    for method, expected in (("PATCH", patch), ("PUT", put)):
        async with bench(ps14=how) as propstreet:
            propstreet.twin.add_webhook("http://127.0.0.1:1/hook")
            propstreet.twin.webhooks.disable(propstreet.twin.webhooks.all["1"])
            enabled = await propstreet.call(method, f"{WEBHOOKS}/1", {"isActive": True})
            assert (enabled.status, enabled.body.get("isActive")) == expected


async def test_a_test_delivery_is_sent_at_once_and_not_kept(propstreet: Bench, receiver: Receiver) -> None:
    secret = propstreet.twin.add_webhook(receiver.url)
    propstreet.clock.at = datetime.now(UTC)
    await propstreet.login()
    tested = await propstreet.call("POST", f"{WEBHOOKS}/1/test", {"event_type": "company.updated"})
    assert (tested.body["success"], tested.body["status_code"], tested.body["error"]) == (True, 200, None)
    assert receiver.verified(secret)["type"] == "company.updated"
    assert receiver.headers[0]["x-propstreet-test"] == "true"
    assert (await propstreet.call("GET", f"{WEBHOOKS}/1/deliveries")).body["data"] == []
    receiver.answers = [500]
    failed = (await propstreet.call("POST", f"{WEBHOOKS}/1/test")).body
    assert (failed["success"], failed["status_code"]) == (False, 500)
    assert (await propstreet.call("POST", f"{WEBHOOKS}/1/test", {"event_type": "tea.made"})).status == 400


async def test_a_receiver_that_is_not_there_is_a_failure(propstreet: Bench) -> None:
    propstreet.twin.add_webhook("http://127.0.0.1:1/hook")
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled()
    row = (await propstreet.call("GET", f"{WEBHOOKS}/1/deliveries")).body["data"][0]
    assert (row["status"], row["lastStatusCode"], row["deliveredUtc"]) == ("failed", None, None)
    assert row["lastError"] == "ClientConnectorError"


async def test_a_slow_receiver_is_a_failure(propstreet: Bench) -> None:
    async def sleep(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", sleep)
    assert propstreet.twin.webhooks.timeout == 10
    propstreet.twin.webhooks.timeout = 0.05
    async with serve(app) as base:
        propstreet.twin.add_webhook(f"{base}/hook")
        propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled()
    assert propstreet.twin.webhooks.all["1"].deliveries[0].last_error == "TimeoutError"


@pytest.mark.parametrize(("how", "versions"), [("two", ["v1", "v1"]), ("unknown_first", ["v1a", "v1"])])
async def test_ps15_the_right_signature_may_come_second(
    receiver: Receiver, how: str, versions: list[str]
) -> None:
    async with bench(ps15=how) as propstreet:
        secret = propstreet.twin.add_webhook(receiver.url)
        propstreet.clock.at = datetime.now(UTC)
        propstreet.twin.create("contact", **ANNA)
        await propstreet.twin.settled()
        entries = receiver.headers[0]["webhook-signature"].split(" ")
        assert [entry.split(",")[0] for entry in entries] == versions
        receiver.verified(secret)


# --- webhooks: faults on the way ---


async def test_ps16_deliveries_may_be_lost(receiver: Receiver) -> None:
    async with bench() as propstreet:
        propstreet.twin.faults.delivery.drop = 0.5
        propstreet.twin.add_webhook(receiver.url)
        for i in range(40):
            propstreet.twin.create("contact", firstName=str(i))
        await propstreet.twin.settled()
        assert 5 < len(receiver.bodies) < 35


async def test_ps16_deliveries_may_come_thrice(propstreet: Bench, receiver: Receiver) -> None:
    propstreet.twin.faults.delivery.copies = 3
    propstreet.twin.add_webhook(receiver.url)
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled()
    assert [headers["webhook-id"] for headers in receiver.headers] == [receiver.headers[0]["webhook-id"]] * 3
    assert propstreet.twin.webhooks.all["1"].deliveries[0].attempts == 1


@pytest.mark.parametrize("fault", [{"shuffle": True}, {"delay": 0.03}])
async def test_ps16_deliveries_may_overtake_each_other(
    propstreet: Bench, receiver: Receiver, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(propstreet.twin.faults.delivery, name, value)
    propstreet.twin.add_webhook(receiver.url)
    for i in range(20):
        propstreet.twin.create("contact", firstName=f"{i:02}")
    await propstreet.twin.settled()
    names = [msgspec.json.decode(body)["data"]["firstName"] for body in receiver.bodies]
    assert names != sorted(names)
    assert sorted(names) == [f"{i:02}" for i in range(20)]


@pytest.mark.parametrize("fault", ["wrong_signature", "old_timestamp"])
async def test_a_forged_or_old_delivery_does_not_verify(
    propstreet: Bench, receiver: Receiver, fault: str
) -> None:
    setattr(propstreet.twin.faults.delivery, fault, 1.0)
    secret = propstreet.twin.add_webhook(receiver.url)
    propstreet.clock.at = datetime.now(UTC)
    propstreet.twin.create("contact", **ANNA)
    await propstreet.twin.settled()
    with pytest.raises(WebhookVerificationError):
        receiver.verified(secret)


# --- faults on the way in ---


@pytest.mark.parametrize(
    ("fault", "done"),
    [("timeout_before", 0), ("drop_before", 0), ("timeout_after", 1), ("drop_after", 1)],
)
async def test_a_silent_fault_leaves_the_client_in_the_dark(propstreet: Bench, fault: Any, done: int) -> None:
    propstreet.twin.faults.timeout = 0.02
    propstreet.twin.faults.plan(fault, method="POST", path_contains="contacts")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await propstreet.call("POST", CONTACTS, ANNA)
    assert len(propstreet.twin.records("contact")) == done
    assert propstreet.twin.faults.struck == {fault: 1}


@pytest.mark.parametrize("fault", ["500", "503", "429"])
async def test_an_error_fault_does_nothing_and_says_so(propstreet: Bench, fault: Any) -> None:
    propstreet.twin.faults.plan(fault, times=2, after=1)
    statuses = [(await propstreet.call("GET", CONTACTS)).status for _ in range(4)]
    assert statuses == [200, int(fault), int(fault), 200]
    propstreet.twin.faults.plan(fault)
    refused = await propstreet.call("POST", CONTACTS, ANNA)
    assert refused.body["status"] == int(fault)
    assert refused.headers.get("Retry-After") == ("1" if fault == "429" else None)
    assert propstreet.twin.records("contact") == []


async def test_broken_json_comes_after_the_work_was_done(propstreet: Bench) -> None:
    propstreet.twin.faults.plan("broken_json")
    with pytest.raises(msgspec.DecodeError):
        await propstreet.call("POST", CONTACTS, ANNA)
    assert len(propstreet.twin.records("contact")) == 1


async def test_random_faults_repeat_with_their_seed() -> None:
    runs = []
    for _ in range(2):
        async with bench(seed=7) as propstreet:
            propstreet.twin.faults.random_rate("500", 0.3)
            runs.append([(await propstreet.call("GET", CONTACTS)).status for _ in range(30)])
            propstreet.twin.faults.clear()
            assert (await propstreet.call("GET", CONTACTS)).status == 200
    assert runs[0] == runs[1]
    assert {200, 500} == set(runs[0])


async def test_a_twin_comes_back_after_an_outage_with_all_it_knew() -> None:
    twin = PropstreetTwin()
    key = twin.create("contact", **ANNA)
    for _ in range(2):
        async with serve(twin.app) as base, aiohttp.ClientSession() as session:
            one = Bench(twin, Clock(), base, session)
            await one.login()
            assert (await one.call("GET", f"{CONTACTS}/{key}")).status == 200


# --- the journal ---


async def test_the_journal_tells_who_wrote_what(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA)
    await propstreet.call("PATCH", f"{CONTACTS}/{key}", {"firstName": "Anne"})
    await propstreet.call("PATCH", f"{CONTACTS}/{key}", {"email": "nobody"})
    await propstreet.call("GET", f"{CONTACTS}/{key}")
    await propstreet.call("DELETE", f"{CONTACTS}/{key}")
    journal = propstreet.twin.journal
    assert [(e.actor, e.method, e.status, e.changed) for e in journal.entries] == [
        ("person", "POST", 200, True),
        ("api", "PATCH", 200, True),
        ("api", "PATCH", 400, False),
        ("api", "DELETE", 204, True),
    ]
    first = journal.writes()[0]
    assert first.before is not None
    assert first.after is not None
    assert (first.before["firstName"], first.after["firstName"]) == ("Anna", "Anne")
    assert not {"etag", "updatedUtc"} & first.after.keys()
    assert journal.writes()[-1].after is None
    assert journal.writes(since=propstreet.clock() + timedelta(seconds=1)) == []
    assert journal.echoes() == []
    assert journal.reads["GET", f"{CONTACTS}/{key}"] == 1


async def test_an_upsert_that_matched_by_address_is_no_creation_in_the_journal(propstreet: Bench) -> None:
    key = propstreet.twin.create("contact", **ANNA)
    await propstreet.call("PATCH", REFERENCE, {"email": ANNA["email"]}, match="email")
    await propstreet.call("PATCH", REFERENCE, {"email": ANNA["email"]}, match="email")
    writes = propstreet.twin.journal.writes()
    assert [(e.record, e.before is None, e.changed) for e in writes] == [
        (key, False, True),
        (key, False, False),
    ]


async def test_people_are_held_to_the_same_rules(propstreet: Bench) -> None:
    propstreet.twin.create("contact", **ANNA)
    with pytest.raises(Problem, match="409"):
        propstreet.twin.create("contact", **ANNA)
    with pytest.raises(Problem, match="email"):
        propstreet.twin.create("contact", email="nobody")
