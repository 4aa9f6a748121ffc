"""What the client sends for each category, and how it reads the answers that differ between them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from daemon.domain.errors import (
    Duplicate,
    NotFound,
    Rejected,
    Retryable,
    Stale,
    UnknownOutcome,
    VendorError,
)
from daemon.vendors.limiter import Limiter
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.propstreet.notes import NoteRow
from tests.unit.test_propstreet_client import BASE, NOW, TOKEN, sent

V1 = f"{BASE}/api/v1"
PROSPECTS = f"{V1}/projects/12/prospects"
# Category, the project that it is named with, its list.
LISTS = [
    ("contact", None, f"{V1}/network/contacts"),
    ("company", None, f"{V1}/network/companies"),
    ("link", None, f"{V1}/network/links"),
    ("project", None, f"{V1}/projects"),
    ("prospect", "12", PROSPECTS),
    ("property", None, f"{V1}/properties"),
]
REFERENCED = [row for row in LISTS if row[0] not in ("link", "property")]
NOTED = [row for row in LISTS if row[0] in ("contact", "company", "prospect")]

Call = Callable[[PropstreetClient, str, str | None], Awaitable[object]]

each = pytest.mark.parametrize(("category", "parent", "records"), LISTS)
each_referenced = pytest.mark.parametrize(("category", "parent", "records"), REFERENCED)
each_noted = pytest.mark.parametrize(("category", "parent", "records"), NOTED)

# Every call that names a category, for the rule about the parent.
CALLS: dict[str, Call] = {
    "page": lambda client, category, parent: client.page(
        category, updated_since=None, cursor=None, parent=parent
    ),
    "read": lambda client, category, parent: client.read(category, "7", parent=parent),
    "by_reference": lambda client, category, parent: client.by_reference(
        category, "vitec-next", "OBJ1", parent=parent
    ),
    "patch": lambda client, category, parent: client.patch(category, "7", {}, None, parent=parent),
    "create": lambda client, category, parent: client.create(
        category, {}, reference=("vitec-next", "OBJ1"), key="k1", parent=parent
    ),
    "delete": lambda client, category, parent: client.delete(category, "7", None, parent=parent),
    "notes": lambda client, category, parent: client.notes(category, "7", parent=parent),
    "add_note": lambda client, category, parent: client.add_note(
        category, "7", "Ringte.", key="k1", parent=parent
    ),
}


@pytest.fixture
async def client() -> AsyncIterator[PropstreetClient]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        limiter = Limiter([], 8)
        yield PropstreetClient(session, BASE, "client", "s3cret", limiter, clock=lambda: NOW)


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        vendor.post(TOKEN, payload={"access_token": "t1", "expires_in": 3600}, repeat=True)
        yield vendor


def note(number: object, at: str, **fields: object) -> dict[str, object]:
    return {"id": number, "type": "note", "timestampUtc": at, "details": {"message": "Ringte."}, **fields}


def actions(*rows: object, following: str | None = None) -> dict[str, object]:
    return {"data": rows, "page": {"nextCursor": following, "pageSize": 100, "hasMore": bool(following)}}


# Records


@each
async def test_every_category_has_its_list(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    since = "2026-05-18T20:22:36.9590000Z"
    query = f"include_deleted=true&page_size=50&updated_since={since}&cursor=c1"
    vendor.get(
        f"{records}?{query}", body=b'{"data":[{"id" : "7"}],"page":{"nextCursor":"c2","hasMore":true}}'
    )
    page = await client.page(category, updated_since=since, cursor="c1", page_size=50, parent=parent)
    assert (page.rows, page.next_cursor) == ([b'{"id" : "7"}'], "c2")


@each
async def test_the_envelope_of_every_list_may_be_flat_and_its_numbers_text(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    flat = {"data": [], "nextCursor": "c2", "pageSize": "500", "hasMore": "true"}
    vendor.get(f"{records}?include_deleted=true&page_size=500", payload=flat)
    page = await client.page(category, updated_since=None, cursor=None, parent=parent)
    assert page.next_cursor == "c2"


@each
async def test_every_category_is_read_by_id(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    vendor.get(f"{records}/7", body=b'{ "id":7 }')
    assert await client.read(category, "7", parent=parent) == b'{ "id":7 }'


@each_referenced
async def test_a_reference_is_looked_up_below_its_list(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    known = URL(f"{records}/external/vitec-next/OBJ%2F1", encoded=True)
    vendor.get(known, body=b'{"id":"7"}')
    vendor.get(f"{records}/external/vitec-next/OBJ2", status=404)
    assert await client.by_reference(category, "vitec-next", "OBJ/1", parent=parent) == b'{"id":"7"}'
    assert await client.by_reference(category, "vitec-next", "OBJ2", parent=parent) is None


@pytest.mark.parametrize("category", ["link", "property"])
async def test_a_lookup_that_the_vendor_does_not_offer_is_never_called(
    client: PropstreetClient, vendor: aioresponses, category: str
) -> None:
    with pytest.raises(ValueError, match=category):
        await client.by_reference(category, "vitec-next", "OBJ1")
    assert sent(vendor) == []


@each
async def test_every_category_is_changed_under_its_etag(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    vendor.patch(f"{records}/7", body=b'{"id":"7"}')
    assert await client.patch(category, "7", {"name": None}, 'W/"AAA="', parent=parent) == b'{"id":"7"}'
    [(method, url, headers, body)] = sent(vendor)
    assert (method, str(url), body) == ("PATCH", f"{records}/7", {"name": None})
    assert headers["If-Match"] == 'W/"AAA="'


@each
@pytest.mark.parametrize("status", [409, 412])
async def test_an_old_etag_is_stale_in_every_category(
    client: PropstreetClient,
    vendor: aioresponses,
    category: str,
    parent: str | None,
    records: str,
    status: int,
) -> None:
    vendor.patch(f"{records}/7", status=status)
    vendor.delete(f"{records}/7", status=status)
    with pytest.raises(Stale):
        await client.patch(category, "7", {}, '"1"', parent=parent)
    with pytest.raises(Stale):
        await client.delete(category, "7", '"1"', parent=parent)


@each
async def test_every_category_is_deleted_by_id(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    vendor.delete(f"{records}/7", status=204)
    vendor.delete(f"{records}/7", status=404)
    await client.delete(category, "7", '"1"', parent=parent)
    with pytest.raises(NotFound):
        await client.delete(category, "7", None, parent=parent)
    [conditional, plain] = [headers for _, _, headers, _ in sent(vendor)]
    assert (conditional["If-Match"], plain.get("If-Match")) == ('"1"', None)


@pytest.mark.parametrize(
    ("category", "parent", "records"), [row for row in LISTS if row[0] not in ("contact", "link")]
)
async def test_a_create_is_a_post_that_carries_its_reference(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    vendor.post(records, status=201, body=b'{"id":"7"}')
    others = [{"namespace": "archive", "id": "1"}]
    created = await client.create(
        category, {"externalRefs": others}, reference=("vitec-next", "OBJ1"), key="k1", parent=parent
    )
    assert (created.payload, created.action) == (b'{"id":"7"}', "created")
    [(method, url, headers, body)] = sent(vendor)
    assert (method, str(url), headers["Idempotency-Key"]) == ("POST", records, "k1")
    assert body == {"externalRefs": [*others, {"namespace": "vitec-next", "id": "OBJ1"}]}


async def test_a_link_is_posted_as_it_is_because_it_has_no_references(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(f"{V1}/network/links", status=201, body=b'{"id":"7"}')
    link = {"contactId": "1", "companyId": "2", "jobTitle": None}
    with pytest.raises(ValueError, match="link"):
        await client.create("link", link, reference=("vitec-next", "ADR1"), key="k1")
    await client.create("link", link, reference=None, key="k1")
    [(_, _, headers, body)] = sent(vendor)
    assert (headers["Idempotency-Key"], body) == ("k1", link)


@each
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 409}, Duplicate),
        ({"status": 422}, Rejected),
        ({"status": 502}, UnknownOutcome),
        ({"status": 201, "body": b""}, UnknownOutcome),
        ({"status": 204}, UnknownOutcome),
    ],
)
async def test_a_create_without_a_record_in_its_answer_is_an_error_in_every_category(
    client: PropstreetClient,
    vendor: aioresponses,
    category: str,
    parent: str | None,
    records: str,
    answer: dict[str, Any],
    error: type[VendorError],
) -> None:
    vendor.post(records, **answer)
    with pytest.raises(VendorError) as raised:
        await client.create(category, {}, reference=None, key="k1", parent=parent)
    assert type(raised.value) is error


# Prospects


@pytest.mark.parametrize("reason", ["already_in_prospects", "already_in_incoming"])
async def test_somebody_who_is_a_prospect_already_is_a_duplicate(
    client: PropstreetClient, vendor: aioresponses, reason: str
) -> None:
    vendor.post(PROSPECTS, status=409, payload={"title": "Conflict", "status": 409, "detail": reason})
    with pytest.raises(Duplicate):
        await client.create("prospect", {"contactId": "1"}, reference=None, key="k1", parent="12")


async def test_a_prospect_answered_with_200_was_there_before(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(PROSPECTS, status=200, body=b'{"id":"77"}')
    created = await client.create("prospect", {"contactId": "1"}, reference=None, key="k1", parent="12")
    assert (created.payload, created.action) == (b'{"id":"77"}', "updated")


async def test_removing_a_prospect_twice_asks_the_vendor_twice(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(f"{PROSPECTS}/77/remove", status=204, repeat=True)
    await client.remove_prospect("12", "77")
    await client.remove_prospect("12", "77")
    [first, second] = sent(vendor)
    assert first[3] is None
    assert first[2]["Idempotency-Key"] != second[2]["Idempotency-Key"]


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (500, UnknownOutcome), (409, Rejected)])
async def test_a_prospect_that_could_not_be_removed_is_an_error(
    client: PropstreetClient, vendor: aioresponses, status: int, error: type[VendorError]
) -> None:
    vendor.post(f"{PROSPECTS}/77/remove", status=status)
    with pytest.raises(VendorError) as raised:
        await client.remove_prospect("12", "77")
    assert type(raised.value) is error
    assert "77" not in str(raised.value)


@pytest.mark.parametrize("nothing", ["", ".", ".."])
async def test_a_project_whose_name_would_lead_elsewhere_is_never_called(
    client: PropstreetClient, vendor: aioresponses, nothing: str
) -> None:
    with pytest.raises(ValueError, match="id"):
        await client.read("prospect", "77", parent=nothing)
    with pytest.raises(ValueError, match="id"):
        await client.remove_prospect(nothing, "77")
    assert sent(vendor) == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_prospect_and_nothing_else_is_named_with_its_project(
    client: PropstreetClient, vendor: aioresponses, call: Call
) -> None:
    for category, parent in [("prospect", None), ("contact", "12"), ("company", "12")]:
        with pytest.raises(ValueError, match="project"):
            await call(client, category, parent)
    with pytest.raises(ValueError, match="teaser"):
        await call(client, "teaser", None)
    assert vendor.requests == {}


async def test_a_refusal_shows_the_route_and_not_the_project(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.patch(f"{PROSPECTS}/77", status=400, payload={"errors": {"classification": ["no"]}})
    with pytest.raises(Rejected) as raised:
        await client.patch("prospect", "77", {"classification": "?"}, None, parent="12")
    assert str(raised.value) == (
        "PATCH /api/v1/projects/{parent}/prospects/{id} answered 400 for classification"
    )


# Notes


@each_noted
async def test_all_pages_of_notes_are_read_newest_first(
    client: PropstreetClient, vendor: aioresponses, category: str, parent: str | None, records: str
) -> None:
    pages = {
        "": actions(
            note(3, "2026-05-03T08:00:00.0000000Z"), note("2", "2026-05-02T08:00:00Z"), following="c=2"
        ),
        "&cursor=c%3D2": actions(note("4", "2026-05-04T08:00:00Z"), note("1", "rubbish")),
    }
    for query, payload in pages.items():
        vendor.get(URL(f"{records}/7/actions?type=notes{query}", encoded=True), payload=payload)
    found = await client.notes(category, "7", parent=parent)
    assert [row.id for row in found] == ["4", "3", "2", "1"]
    assert found[1].at == "2026-05-03T08:00:00.0000000Z"


async def test_notes_of_the_same_moment_keep_the_vendors_order(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    at = "2026-05-03T08:00:00Z"
    payload = actions(note("9", at), note("2", at), note("5", at))
    vendor.get(f"{PROSPECTS}/7/actions?type=notes", payload=payload)
    assert [row.id for row in await client.notes("prospect", "7", parent="12")] == ["9", "2", "5"]


async def test_a_note_is_kept_byte_for_byte(client: PropstreetClient, vendor: aioresponses) -> None:
    at = "2025-10-01T09:15:00Z"
    row = f'{{"id":455, "type":"note","timestampUtc":"{at}","details":{{"message":"\\u00c5","file":null}}}}'
    vendor.get(f"{V1}/network/contacts/7/actions?type=notes", body=f'{{"data":[{row}],"hasMore":false}}')
    assert await client.notes("contact", "7") == [NoteRow("455", at, row.encode())]


@pytest.mark.parametrize(
    ("fields", "is_note"),
    [
        ({"type": "note"}, True),
        ({"type": "Note", "details": None}, True),
        ({"type": "call"}, True),
        ({"type": "meeting", "details": {"message": "Visning"}}, True),
        ({"type": "audit", "details": {"operation": "ContactUpdated"}}, False),
        ({"type": None, "details": {"kind": "note"}}, True),
        ({"type": "note", "details": {"kind": "chat"}}, False),
        ({"type": "note", "details": {"kind": "audit"}}, False),
        ({"type": None, "details": None}, False),
    ],
)
async def test_a_row_that_is_no_note_is_left_out_though_the_vendor_sent_it(
    client: PropstreetClient, vendor: aioresponses, fields: dict[str, object], is_note: bool
) -> None:
    payload = actions(note("1", "2026-05-03T08:00:00Z", **fields))
    vendor.get(f"{V1}/network/companies/7/actions?type=notes", payload=payload)
    assert bool(await client.notes("company", "7")) is is_note


@pytest.mark.parametrize(
    "payload",
    [
        actions({"id": "1", "type": "note"}),
        actions(note(None, "2026-05-03T08:00:00Z")),
        {"data": [], "page": {"hasMore": True}},
        [],
    ],
)
async def test_unreadable_notes_are_no_notes_at_all(
    client: PropstreetClient, vendor: aioresponses, payload: object
) -> None:
    vendor.get(f"{V1}/network/contacts/7/actions?type=notes", payload=payload)
    with pytest.raises(Retryable):
        await client.notes("contact", "7")


async def test_an_odd_row_that_is_no_note_hides_no_notes(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    odd = ["note", 7, {"type": "audit"}, {"type": 7, "id": []}]
    vendor.get(
        f"{V1}/network/contacts/7/actions?type=notes",
        payload=actions(*odd, note("1", "2026-05-03T08:00:00Z")),
    )
    assert [row.id for row in await client.notes("contact", "7")] == ["1"]


async def test_pages_of_notes_that_lead_in_a_circle_are_not_followed_for_ever(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    for query, following in (("", "a"), ("&cursor=a", "b"), ("&cursor=b", "a")):
        page = actions(following=following)
        vendor.get(f"{V1}/network/contacts/7/actions?type=notes{query}", payload=page)
    with pytest.raises(Retryable):
        await client.notes("contact", "7")


async def test_a_page_of_notes_that_leads_to_itself_is_not_followed_for_ever(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    for query in ("", "&cursor=c2"):
        vendor.get(f"{V1}/network/contacts/7/actions?type=notes{query}", payload=actions(following="c2"))
    with pytest.raises(Retryable):
        await client.notes("contact", "7")


async def test_notes_of_a_record_that_is_gone_are_not_none_at_all(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.get(f"{V1}/network/contacts/7/actions?type=notes", status=404)
    with pytest.raises(NotFound):
        await client.notes("contact", "7")


@each_noted
@pytest.mark.parametrize("status", [201, 204])
async def test_a_note_is_posted_under_its_key_and_answered_with_nothing(
    client: PropstreetClient,
    vendor: aioresponses,
    category: str,
    parent: str | None,
    records: str,
    status: int,
) -> None:
    vendor.post(f"{records}/7/notes", status=status, body=b"")
    await client.add_note(category, "7", "Ringte.", key="n1", kind="call", parent=parent)
    [(method, url, headers, body)] = sent(vendor)
    assert (method, str(url), headers["Idempotency-Key"]) == ("POST", f"{records}/7/notes", "n1")
    assert body == ({"content": "Ringte."} if category == "prospect" else {"note": "Ringte.", "type": "call"})


async def test_a_note_is_a_note_unless_told_otherwise(client: PropstreetClient, vendor: aioresponses) -> None:
    vendor.post(f"{V1}/network/contacts/7/notes", status=204)
    await client.add_note("contact", "7", "Ringte.", key="n1")
    [(_, _, _, body)] = sent(vendor)
    assert body == {"note": "Ringte.", "type": "note"}


@each_noted
@pytest.mark.parametrize(
    ("status", "error"), [(500, UnknownOutcome), (400, Rejected), (404, NotFound), (409, Rejected)]
)
async def test_a_note_that_was_not_taken_is_an_error_without_its_text(
    client: PropstreetClient,
    vendor: aioresponses,
    category: str,
    parent: str | None,
    records: str,
    status: int,
    error: type[VendorError],
) -> None:
    vendor.post(f"{records}/7/notes", status=status)
    with pytest.raises(VendorError) as raised:
        await client.add_note(category, "7", "Ringte.", key="n1", parent=parent)
    assert type(raised.value) is error
    assert "Ringte" not in str(raised.value)


async def test_a_note_whose_answer_was_lost_has_an_unknown_outcome(
    client: PropstreetClient, vendor: aioresponses
) -> None:
    vendor.post(f"{V1}/network/contacts/7/notes", exception=TimeoutError())
    with pytest.raises(UnknownOutcome):
        await client.add_note("contact", "7", "Ringte.", key="n1")


@pytest.mark.parametrize("category", ["link", "project", "property"])
async def test_notes_that_the_vendor_does_not_document_are_never_called(
    client: PropstreetClient, vendor: aioresponses, category: str
) -> None:
    with pytest.raises(ValueError, match=category):
        await client.notes(category, "7")
    with pytest.raises(ValueError, match=category):
        await client.add_note(category, "7", "Ringte.", key="n1")
    assert sent(vendor) == []
