"""The open port: what is answered, what is stored, and that nothing is answered 2xx before it is stored."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from string import ascii_letters, digits
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import pytest

from daemon.domain.events import Event, Reading, reading_of
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.ingest.http import LARGEST_BODY
from daemon.project import Projector
from daemon.storage import log, migrations, views
from daemon.storage.connection import owner
from tests.conftest import eventually
from tests.integration.annals import SETTINGS, TENANT, tenant_settings
from tests.integration.ground import tenant_at, waits_for_a_lock, whole_log
from tests.integration.open_port import KEY, SECRET, Port, headers, serving

ROUTES: Final = (f"/webhooks/propstreet/{TENANT}", f"/webhooks/vitec/{TENANT}/{SECRET}")
WHOLE: Final = (
    b'{"type": "contact.updated", "timestamp": "2026-03-02T12:00:01Z",\n  "data": {"id": "17", "etag": "\\"3\\"",'
    b' "firstName": "\\u00c5sa", "updatedUtc": "2026-03-02T12:00:00.1234567Z", "price": 1.10}}'
)


@pytest.fixture
async def port(database: str) -> AsyncIterator[Port]:
    async with tenant_at(database) as tenant, serving(tenant, dsn=database) as port:
        yield port


# -- Propstreet: who may come in


async def test_a_signed_delivery_is_stored_as_it_was_sent_and_then_answered(port: Port) -> None:
    before = time.time()
    assert await port.deliver(WHOLE) == 200
    [stored] = await port.stored()
    assert stored.data.encode() == WHOLE
    assert (stored.type, stored.origin, stored.stream) == (
        "RecordObserved",
        "propstreet",
        "contact:propstreet:17",
    )
    assert before - 1 <= stored.recorded_at.timestamp() <= time.time() + 1


async def test_whoever_cannot_sign_is_refused_and_nothing_is_stored(port: Port) -> None:
    right = headers(WHOLE)
    refused = {
        "another key": headers(WHOLE, key=b"another"),
        "another body": headers(WHOLE + b" "),
        "no headers": {},
        **{f"no {name}": {k: v for k, v in right.items() if k != name} for name in right},
        **{f"empty {name}": right | {name: ""} for name in right},
        "another id": right | {"webhook-id": "msg_0"},
        "another time": right | {"webhook-timestamp": str(int(right["webhook-timestamp"]) - 1)},
        "no number": right | {"webhook-timestamp": "soon"},
        "six minutes old": headers(WHOLE, age=360),
        "six minutes early": headers(WHOLE, age=-360),
        "another version": right | {"webhook-signature": right["webhook-signature"].replace("v1,", "v2,")},
        "no base64": right | {"webhook-signature": "v1,¤¤¤"},
        "a part": right | {"webhook-signature": right["webhook-signature"][:-4]},
    }
    statuses = {
        name: await port.post(f"/webhooks/propstreet/{TENANT}", WHOLE, sent) for name, sent in refused.items()
    }
    assert statuses == dict.fromkeys(refused, 401)
    assert await port.stored() == []


async def test_four_minutes_either_way_are_no_matter(port: Port) -> None:
    assert [await port.deliver(WHOLE, age=240), await port.deliver(WHOLE, age=-240)] == [200, 200]


async def test_one_right_signature_of_several_is_enough(port: Port) -> None:
    wrong = headers(WHOLE, key=b"the old one")["webhook-signature"]
    assert await port.deliver(WHOLE, before=f"{wrong} v1a,xx ") == 200
    assert len(await port.stored()) == 1


async def test_an_unknown_tenant_is_not_found_whatever_it_signs(port: Port) -> None:
    assert await port.deliver(WHOLE, tenant="bergen") == 404
    assert await port.notify(WHOLE, tenant="bergen") == 404
    assert await port.post(f"/webhooks/propstreet/{TENANT}/more", WHOLE, headers(WHOLE)) == 404
    assert await port.post("/webhooks/elsewhere/oslo", WHOLE, headers(WHOLE)) == 404
    assert await port.stored() == []


async def test_without_a_secret_nobody_is_let_in(database: str) -> None:
    async with tenant_at(database) as tenant:
        vitec = msgspec.structs.replace(SETTINGS.vitec, webhook_secret=None)
        propstreet = msgspec.structs.replace(SETTINGS.propstreet, webhook_secret=None)
        tenant.settings = tenant_settings(vitec=vitec, propstreet=propstreet)
        async with serving(tenant, dsn=database) as port:
            assert await port.deliver(WHOLE) == 401
            assert await port.deliver(WHOLE, key=b"") == 401
            assert await port.notify(b"{}") == 404
            assert await port.notify(b"{}", secret="None") == 404
            assert await port.stored() == []


async def test_a_body_over_one_mebibyte_is_refused_and_one_of_just_that_size_is_not(port: Port) -> None:
    for size, status in ((2 * LARGEST_BODY, 413), (LARGEST_BODY + 1, 413), (LARGEST_BODY, 200)):
        body = b'{"x": "' + b"x" * (size - 9) + b'"}'
        assert len(body) == size
        assert (size, await port.deliver(body)) == (size, status)
        assert (size, await port.notify(body)) == (size, status)
    assert len(await port.stored()) == 2


async def test_only_a_post_is_a_delivery(port: Port) -> None:
    assert [(await port.get(path))[0] for path in ROUTES] == [405, 405]
    assert await port.stored() == []


# -- Propstreet: what is stored


def named(name: str, **data: Any) -> bytes:
    return msgspec.json.encode({"type": name, "data": data})


WHEN: Final = {"etag": '"1"', "updatedUtc": "2026-03-02T12:00:00Z"}


IN_RECORD = ("RecordObserved", "contact:propstreet:1", "data")
HINT = ("NotificationReceived", "contact:propstreet:1", None)
INBOX = ("NotificationReceived", "inbox:propstreet", None)
IN_PROSPECT = ("RecordObserved", "prospect:propstreet:1", "data")
PROSPECT_HINT = ("NotificationReceived", "prospect:propstreet:1", None)

DELIVERIES: Final = (
    (named("contact.created", id="1", **WHEN), IN_RECORD),
    (named("contact.updated", id=1, **WHEN), IN_RECORD),
    (named("company.created", id="1", **WHEN), ("RecordObserved", "company:propstreet:1", "data")),
    (msgspec.json.encode({"event": "contact.updated", "data": {"id": "1", **WHEN}}), IN_RECORD),
    (named("contact.deleted", id="1", deletedUtc="2026-03-02T12:00:00Z", **WHEN), IN_RECORD),
    (named("contact.deleted", id="1", **WHEN), HINT),  # it does not show that it is gone: read it
    (named("contact.deleted", id="1"), HINT),
    (named("contact.updated", id="1"), HINT),
    (named("contact.updated", id="1", etag="e"), HINT),
    (named("contact.painted", id="1"), HINT),
    (named("contact.updated"), INBOX),
    (named("contact.updated", id=""), INBOX),
    (named("contact.updated", id="a\0b", **WHEN), INBOX),
    (named("project.updated", id="1", **WHEN), ("RecordObserved", "project:propstreet:1", "data")),
    (named("prospect.created", id="1", projectId="7", **WHEN), IN_PROSPECT),
    (named("prospect.updated", id="1", projectId="7"), PROSPECT_HINT),
    (
        msgspec.json.encode(
            {
                "type": "prospect.updated",
                "action": {"type": "removed"},
                "data": {"id": "1", "projectId": 7, **WHEN},
            }
        ),
        PROSPECT_HINT,  # whoever was removed shows it in the record only: read it
    ),
    (named("link.created", id="1", **WHEN), ("RecordObserved", "link:propstreet:1", "data")),
    (named("link.deleted", id="1", **WHEN), ("NotificationReceived", "link:propstreet:1", None)),
    (named("property.updated", id="1", **WHEN), ("RecordObserved", "property:propstreet:1", "data")),
    (named("meteor.landed", id="1", **WHEN), INBOX),
    (b'{"data": {"id": [1]}, "type": 7}', INBOX),
    (b"{}", INBOX),
    (b"[1, 2]", INBOX),
    (b"null", INBOX),
)
"""A body, and the type and the stream of its event, with the key under which the record lies."""


async def test_a_whole_body_is_an_observation_a_thin_one_a_hint_and_all_else_goes_to_the_inbox(
    port: Port,
) -> None:
    for body, _ in DELIVERIES:
        assert await port.deliver(body) == 200
    stored = await port.stored()
    assert [e.data.encode() for e in stored] == [body for body, _ in DELIVERIES]
    assert [(e.type, e.stream, reading_of(e).inside) for e in stored] == [kind for _, kind in DELIVERIES]
    assert {reading_of(e).via for e in stored} == {"webhook"}
    assert not any(reading_of(e).unreadable for e in stored)
    projects = [reading_of(e).parts for e in stored if e.stream.startswith("prospect:")]
    assert projects == [{"project": "7"}] * 3


async def test_a_test_delivery_never_reaches_a_record(port: Port) -> None:
    assert [await port.deliver(WHOLE, test="true"), await port.deliver(WHOLE, test="True")] == [200, 200]
    assert [e.stream for e in await port.stored()] == ["inbox:propstreet"] * 2


async def test_a_delivery_that_comes_again_is_stored_once(port: Port) -> None:
    assert [await port.deliver(WHOLE, delivery="msg_a", age=age) for age in (200, 100, 0)] == [200] * 3
    together = await asyncio.gather(*(port.deliver(WHOLE, delivery="msg_b") for _ in range(5)))
    assert together == [200] * 5
    assert await port.deliver(WHOLE, delivery="msg_c") == 200  # the same body, another delivery
    assert len(await port.stored()) == 3


async def test_a_time_of_the_vendors_is_never_later_than_our_own(port: Port) -> None:
    late = named("contact.updated", id="1", etag="e", updatedUtc="2199-01-01T00:00:00Z")
    assert [await port.deliver(WHOLE), await port.deliver(late)] == [200, 200]
    in_time, in_future = await port.stored()
    assert in_time.occurred_at.isoformat() == "2026-03-02T12:00:00.123456+00:00"
    assert in_future.occurred_at <= in_future.recorded_at


def unreadable(event: Event) -> bytes:
    """What the log keeps of a body that is no JSON."""
    assert reading_of(event).unreadable
    content: dict[str, str] = msgspec.json.decode(event.data)
    return base64.b64decode(content["unreadable"])


TRUNCATED: Final = (
    WHOLE[:-1],
    WHOLE[:40],
    b"",
    b"   ",
    b"no JSON",
    b"\xef\xbb\xbf{}",
    b'{"a": 1e999}',
    b"NaN",
)
ODD: Final = {
    "bytes that are no UTF-8": b'{"type": "contact.updated", "data": {"id": "\xff"}}',
    "brackets without end": b'{"type": "contact.updated", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "half a character": b'{"type": "contact.updated", "data": {"id": "1", "firstName": "\\ud83d"}}',
}


async def test_a_signed_body_that_was_cut_off_is_kept_and_answered_200(port: Port) -> None:
    for body in (*TRUNCATED, ODD["half a character"]):
        assert await port.deliver(body) == 200
    stored = await port.stored()
    assert [unreadable(e) for e in stored] == [*TRUNCATED, ODD["half a character"]]
    assert {(e.type, e.stream) for e in stored} == {("NotificationReceived", "inbox:propstreet")}


@pytest.mark.parametrize("what", ["bytes that are no UTF-8", "brackets without end"])
async def test_a_signed_body_that_cannot_be_decoded_is_kept_and_answered_200(port: Port, what: str) -> None:
    assert await port.deliver(ODD[what]) == 200
    [stored] = await port.stored()
    assert unreadable(stored) == ODD[what]


async def test_an_id_of_any_length_is_stored_and_answered_200(port: Port) -> None:
    record = "".join(Random(1).choices(ascii_letters + digits, k=3000))
    assert await port.deliver(named("contact.updated", id=record, **WHEN)) == 200
    assert (
        await port.notify(msgspec.json.encode({"type": "Contact", "subtype": "Person", "id": record})) == 200
    )


# -- Vitec


async def test_a_wrong_secret_is_not_found_and_nothing_is_stored(port: Port) -> None:
    for secret in ("way-out", "way", "way-in2", "WAY-IN", "%20", "%C3%A5", "way-in%00"):
        assert await port.notify(b'{"type": "Contact"}', "type=Contact&id=ADR1", secret=secret) == 404
    assert await port.post(f"/webhooks/vitec/{TENANT}", b"{}") == 404
    assert await port.post(f"/webhooks/vitec/{TENANT}/", b"{}") == 404
    assert await port.stored() == []


PERSON: Final = ("contact:vitec:ADR1", "Person")
NOWHERE: Final = ("inbox:vitec", None)
NEW: Final = (
    b'{"name":"toveis","type":"Contact","event":"Update","customerId":"M1","id":"ADR1","subtype":"Person"}'
)
OLD: Final = b'{"name": "toveis", "type": "Contact", "event": "Update", "id": "ADR1", "subType": "Person"}'
ESTATE: Final = b'{"type":"Estate","event":"Update","id":"OBJ1","subtype":"CommercialProperty"}'
RELATION: Final = (
    b'{"type":"EstateContact","event":"Update","subtype":"Speculator","relId1":"OBJ1","relId2":"ADR1"}'
)
INTEREST: Final = ("prospect:vitec:OBJ1:ADR1", None)
QUERY: Final = "name=toveis&type=Contact&event=Update&customerId=M1&id=ADR1"

NOTIFICATIONS: Final = (
    ("body and query", NEW, f"{QUERY}&subtype=Person", PERSON),
    ("body and query, the old spelling", OLD, f"{QUERY}&subType=Person", PERSON),
    ("the body alone", NEW, "", PERSON),
    ("the query alone", b"", f"{QUERY}&subtype=Person", PERSON),
    ("the query alone, the old spelling", b"", f"{QUERY}&subType=Person", PERSON),
    ("a broken body and a good query", NEW[:-2] + b",}", f"{QUERY}&subtype=Person", PERSON),
    ("half a character and a good query", b'{"id": "\\ud83d"}', f"{QUERY}&subtype=Person", PERSON),
    ("a body that is no object, and a good query", b"[]", f"{QUERY}&subtype=Person", PERSON),
    (
        "nulls in the body, values in the query",
        b'{"type": null, "id": null}',
        f"{QUERY}&subtype=Person",
        PERSON,
    ),
    ("the body wins", NEW, "type=Contact&subtype=Person&id=ADR2", PERSON),
    ("capitals", b'{"TYPE":"CONTACT","Event":"Update","ID":"ADR1","SubType":"person"}', "", PERSON),
    ("a removal", NEW.replace(b"Update", b"Remove"), "", PERSON),
    ("a company", NEW.replace(b"Person", b"Company"), "", ("company:vitec:ADR1", "Company")),
    ("a deceased's estate", NEW.replace(b"Person", b"Estate"), "", ("contact:vitec:ADR1", "DeceasedEstate")),
    ("an association", NEW.replace(b"Person", b"Association"), "", NOWHERE),
    ("a contact without id", b'{"type": "Contact", "subtype": "Person"}', "", NOWHERE),
    ("an id with a NUL", b"", "type=Contact&subtype=Person&id=a%00b", NOWHERE),
    ("bytes that are no text", b"", "type=Contact&subtype=Person&id=%ff", ("contact:vitec:\ufffd", "Person")),
    ("an estate of no type", b'{"type":"Estate","event":"Update","id":"OBJ1"}', "", NOWHERE),
    ("an estate in scope", ESTATE, "", ("project:vitec:OBJ1", "CommercialProperty")),
    ("an estate out of scope", ESTATE.replace(b"CommercialProperty", b"House"), "", NOWHERE),
    ("a project", b'{"type":"Project","event":"Update","id":"PRO1"}', "", ("project:vitec:PRO1", "Project")),
    ("a speculator", RELATION, "", INTEREST),
    ("a speculator, the old spelling", RELATION.replace(b"Spec", b"EstateContactSpec"), "", INTEREST),
    (
        "a speculator in the query",
        b"",
        "type=EstateContact&subtype=Speculator&relId1=OBJ1&relId2=ADR1",
        INTEREST,
    ),
    ("a buyer", RELATION.replace(b"Speculator", b"Buyer"), "", INTEREST),
    ("a visitor of a viewing", RELATION.replace(b"Speculator", b"ViewingParticipant"), "", INTEREST),
    ("a seller", RELATION.replace(b"Speculator", b"Seller"), "", NOWHERE),
    ("a speculator on nothing", RELATION.replace(b"OBJ1", b""), "", NOWHERE),
    ("a note", b'{"type":"Note","id":"N1","relId1":"OBJ1","relId2":"ADR1"}', "", ("note:vitec:N1", None)),
    ("a note on nobody", b'{"type":"Note","id":"N1","relId1":"OBJ1"}', "", NOWHERE),
    ("an interest in a project", RELATION[:-1] + b',"relType1":"Project"}', "", INTEREST),
    ("an interest in a house", RELATION[:-1] + b',"relType1":"House"}', "", NOWHERE),
    (
        "a lead that came in",
        b'{"type":"IncomingLead","id":"L1","relId2":"ADR1"}',
        "",
        ("lead:vitec:L1", None),
    ),
    ("an unknown type", b'{"type": "Meteor", "id": "ADR1", "subtype": "Person"}', "", NOWHERE),
    ("broken, and no query", b'{"type": "Contact"', "", NOWHERE),
    ("nothing at all", b"", "", NOWHERE),
    ("a merge without sources", b"", "type=Merge&event=Merge&subtype=Person&id=ADR1", PERSON),
    ("a merge of companies", b'{"type":"Merge","id":"ADR1","subtype":"Company"}', "", NOWHERE),
)
"""What comes, its body and its query, and the stream and the kind of its event."""


async def test_every_form_of_a_notification_finds_its_record(port: Port) -> None:
    for name, body, query, _ in NOTIFICATIONS:
        assert (name, await port.notify(body, query)) == (name, 200)
    stored = await port.stored()
    found = [(e.stream, reading_of(e).kind) for e in stored]
    assert dict(zip((n[0] for n in NOTIFICATIONS), found, strict=True)) == {n[0]: n[3] for n in NOTIFICATIONS}
    assert {(e.type, e.origin) for e in stored} == {("NotificationReceived", "vitec")}


async def test_what_a_notification_said_is_kept(port: Port) -> None:
    for body, query in ((NEW, "id=ADR1&x=%C3%A5"), (NEW[:-1], "id=ADR1"), (b"", QUERY), (NEW, "")):
        await port.notify(body, query)
    both, broken, alone, without = await port.stored()
    assert both.data.encode() == NEW
    assert reading_of(both) == Reading(
        via="webhook", event="Update", kind="Person", query={"id": "ADR1", "x": "å"}
    )
    assert unreadable(broken) == NEW[:-1]
    assert msgspec.json.decode(alone.data) == {
        "name": "toveis",
        "type": "Contact",
        "event": "Update",
        "customerId": "M1",
        "id": "ADR1",
    }
    assert not reading_of(alone).unreadable
    assert reading_of(without).query is None


async def test_a_merge_is_a_hint_for_every_record_that_it_names(port: Port) -> None:
    body = b'{"type":"Merge","event":"Merge","subtype":"Person","destinationId":"ADR1","sourceIds":["ADR2","ADR3"]}'
    assert await port.notify(body, "type=Merge&event=Merge&subtype=Person&id=ADR1") == 200
    stored = await port.stored()
    assert [e.stream for e in stored] == [f"contact:vitec:ADR{n}" for n in (1, 2, 3)]
    assert {reading_of(e).event for e in stored} == {"Merge"}
    assert [reading_of(e).into for e in stored] == [None, "ADR1", "ADR1"]
    assert len({e.correlation_id for e in stored}) == 1
    assert {e.data.encode() for e in stored} == {body}


async def test_equal_notifications_are_events_of_their_own(port: Port) -> None:
    assert [await port.notify(NEW, QUERY) for _ in range(3)] == [200] * 3
    assert [(e.stream, e.version) for e in await port.stored()] == [
        ("contact:vitec:ADR1", n) for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("what", ["bytes that are no UTF-8", "brackets without end"])
async def test_a_notification_that_cannot_be_decoded_is_kept_with_its_query(port: Port, what: str) -> None:
    assert await port.notify(ODD[what], f"{QUERY}&subtype=Person") == 200
    [stored] = await port.stored()
    assert (stored.stream, unreadable(stored)) == ("contact:vitec:ADR1", ODD[what])


# -- both


async def test_a_hint_makes_the_record_due_to_be_read(database: str) -> None:
    async with tenant_at(database) as tenant, serving(tenant, dsn=database) as port:
        await port.notify(NEW)
        await port.deliver(named("company.updated", id="9"))
        await Projector(tenant).tick()
        async with tenant.connection() as conn:
            due = [
                need
                for vendor in ("vitec", "propstreet")
                for need in await views.needs(conn, TENANT, vendor, datetime.now(UTC))
            ]
    assert [(n.category, n.vendor, n.external_id, n.need) for n in due] == [
        ("contact", "vitec", "ADR1", 1),
        ("company", "propstreet", "9", 2),
    ]


async def test_national_ids_are_gone_before_anything_is_stored(port: Port) -> None:
    ids = b'{"type":"contact.updated","data":{"id":"1","socialSecurityNumber":"19811218-9876","DateOfBirth":[1981]}}'
    await port.deliver(ids)
    await port.notify(ids)
    assert [e.data for e in await port.stored()] == [
        '{"type":"contact.updated","data":{"id":"1","socialSecurityNumber":null,"DateOfBirth":null}}'
    ] * 2


async def test_deliveries_that_come_together_share_commits(port: Port) -> None:
    async with owner(port.dsn) as conn:
        async with conn.transaction():
            await log.lock(conn, TENANT)
            sent = [asyncio.create_task(port.deliver(WHOLE)) for _ in range(30)]
            sent += [asyncio.create_task(port.notify(NEW)) for _ in range(30)]
            await eventually(waits_for_a_lock(port.dsn))
        assert await asyncio.gather(*sent) == [200] * 60
        commits, events = await conn.fetchrow("SELECT count(DISTINCT xmin::text), count(*) FROM events") or (
            0,
            0,
        )
    assert events == 60
    assert commits < 30


async def test_nothing_is_answered_before_it_is_committed(port: Port) -> None:
    async with owner(port.dsn) as conn, conn.transaction():
        await log.lock(conn, TENANT)
        sent = asyncio.create_task(port.deliver(WHOLE))
        await eventually(waits_for_a_lock(port.dsn))
        assert await port.stored() == []
        assert not sent.done()
    assert await sent == 200


async def test_tenants_do_not_see_each_others_deliveries(database: str) -> None:
    async with (
        tenant_at(database) as oslo,
        tenant_at(database, "malmo") as malmo,
        serving(oslo, malmo, dsn=database) as port,
    ):
        assert await port.deliver(WHOLE, delivery="msg_a") == 200
        assert await port.deliver(WHOLE, delivery="msg_a", tenant="malmo") == 200
    assert len(await whole_log(database, "oslo")) == len(await whole_log(database, "malmo")) == 1


async def test_no_line_of_the_log_shows_a_secret(
    port: Port, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    await port.notify(NEW, QUERY)
    await port.notify(b"x" * 2 * LARGEST_BODY)
    await port.notify(ODD["bytes that are no UTF-8"])
    await port.notify(NEW, secret="not-the-way-in")
    await port.deliver(WHOLE, key=b"another")
    out, err = capfd.readouterr()
    lines = caplog.text + out + err
    assert "no signature fits" in lines
    assert SECRET not in lines
    assert KEY.decode() not in lines


# -- health


async def test_health_and_readiness_are_two_questions(database: str) -> None:
    why: list[str] = []

    async def reasons() -> list[str]:
        return why

    async with tenant_at(database) as tenant, serving(tenant, dsn=database, reasons=reasons) as port:
        assert await port.get("/healthz") == (200, "ok")
        assert await port.get("/readyz") == (200, '{"ready": true, "reasons": []}')
        why.append("oslo: the database does not answer")
        assert (await port.get("/healthz"))[0] == 200
        assert await port.get("/readyz") == (
            503,
            '{"ready": false, "reasons": ["oslo: the database does not answer"]}',
        )
        plain = {"Accept": "text/plain"}
        assert await port.get("/readyz", plain) == (503, "oslo: the database does not answer\n")
        assert (await port.get("/metrics"))[0] == 404  # nobody gave it any


# -- a database that goes away


async def test_while_the_database_is_away_the_answer_is_503_and_then_200_again() -> None:
    sample = Path(__file__).parents[1] / "payloads/leads/realai_lead.json"
    lead = sample.read_bytes().replace(b"ABC123", SETTINGS.vitec.customer_id.encode())
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        dsn = f"postgresql://toveis@/toveis?host={folder}/postgres&port=5432"
        await migrations.migrate(dsn)
        async with tenant_at(dsn) as tenant, serving(tenant, dsn=dsn) as port:
            assert await port.deliver(WHOLE) == 200
            server.stop()
            once = headers(WHOLE, delivery="msg_once")
            assert [await port.post(path, WHOLE, once) for path in ROUTES] == [503, 503]
            assert await port.post("/lead", lead) == 503
            assert port.retry_after == "5"
            assert await port.post("/lead", b"{}") == 422
            assert await port.deliver(WHOLE, key=b"another") == 401
            assert await port.notify(secret="another") == 404
            server.start()
            assert [await port.post(path, WHOLE, once) for path in ROUTES] == [200, 200]
            assert await port.post("/lead", lead) == 200
            assert len(await port.stored()) == 4


async def test_a_connection_that_breaks_in_the_middle_is_503_and_the_next_try_is_stored_once(
    port: Port,
) -> None:
    once = headers(WHOLE, delivery="msg_once")
    async with owner(port.dsn) as conn:
        async with conn.transaction():
            await log.lock(conn, TENANT)
            sent = asyncio.create_task(port.post(ROUTES[0], WHOLE, once))
            await eventually(waits_for_a_lock(port.dsn))
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            assert await sent == 503
        assert port.retry_after == "5"
    assert [await port.post(ROUTES[0], WHOLE, once) for _ in range(3)] == [200] * 3
    assert len(await port.stored()) == 1


async def test_a_backlog_that_is_full_is_503_and_what_was_accepted_is_stored(database: str) -> None:
    async with tenant_at(database, backlog=3) as tenant, serving(tenant, dsn=database) as port:
        async with owner(database) as conn, conn.transaction():
            await log.lock(conn, TENANT)
            sent = [asyncio.create_task(port.deliver(WHOLE)) for _ in range(20)]
            await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        statuses = await asyncio.gather(*sent)
    assert set(statuses) == {200, 503}
    assert len(await whole_log(database)) == statuses.count(200)
