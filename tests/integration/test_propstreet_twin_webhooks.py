"""Webhooks of the Propstreet twin: registered, signed, tried again, switched off, replayed, lost on the way."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from standardwebhooks import WebhookVerificationError

from daemon.sandbox.twins.propstreet import Switches
from daemon.sandbox.twins.propstreet.webhooks import EVENTS
from daemon.sandbox.twins.server import serve
from tests.integration.propstreet_bench import ANNA, CONTACTS, WEBHOOKS, Bench, Receiver, bench, receiving

SOON = (0.001,) * 8


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


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


async def test_ps13_a_delivery_that_arrives_ends_the_row_of_failures(
    propstreet: Bench, receiver: Receiver
) -> None:
    receiver.answers = [*[500] * 9, 200, *[500] * 9]
    propstreet.twin.add_webhook(receiver.url)
    for i in range(19):
        propstreet.twin.create("contact", firstName=str(i))
    await propstreet.twin.settled()
    hook = (await propstreet.call("GET", f"{WEBHOOKS}/1")).body
    assert (hook["isActive"], hook["consecutiveFailures"]) == (True, 9)


async def test_what_waits_when_a_webhook_is_switched_off_has_failed_and_what_comes_later_was_never_there(
    propstreet: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500] * 10
    propstreet.twin.add_webhook(receiver.url)
    for i in range(12):
        propstreet.twin.create("contact", firstName=str(i))
    await propstreet.twin.settled()
    propstreet.twin.create("contact", firstName="Unheard")
    rows = (await propstreet.call("GET", f"{WEBHOOKS}/1/deliveries")).body["data"]
    assert [(row["status"], row["attemptCount"]) for row in rows] == [("failed", 0)] * 2 + [
        ("failed", 1)
    ] * 10


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
