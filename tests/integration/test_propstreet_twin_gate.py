"""What stands before every call of the Propstreet twin: tokens, limits, idempotency keys, faults, the journal."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from daemon.sandbox.twins.propstreet import Problem, PropstreetTwin
from daemon.sandbox.twins.server import RateLimit, Window, serve
from tests.integration.propstreet_bench import ANNA, CONTACTS, Bench, Clock, bench, limited

REFERENCE = f"{CONTACTS}/external/vitec-next/ADR1"


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
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
