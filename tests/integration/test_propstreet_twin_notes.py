"""Notes and timelines of the Propstreet twin: written, found, archived, superseded, and nobody is told."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.integration.propstreet_bench import (
    ANNA,
    COMPANIES,
    CONTACTS,
    PROJECTS,
    Bench,
    bench,
    receiving,
)


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


async def noted(propstreet: Bench, path: str, **query: str) -> list[dict[str, Any]]:
    """The notes of a timeline, newest first."""
    rows: list[dict[str, Any]] = (
        await propstreet.call("GET", f"{path}/actions", type="notes", **query)
    ).body["data"]
    return rows


def everywhere(propstreet: Bench) -> dict[str, tuple[str, str]]:
    """Category -> (id, path) of a record that takes notes."""
    create = propstreet.twin.create
    contact, company = create("contact", **ANNA), create("company", name="Berg AB")
    project = create("project", name="Storgata 1")
    prospect = create("prospect", projectId=project, contactId=contact)
    return {
        "contact": (contact, f"{CONTACTS}/{contact}"),
        "company": (company, f"{COMPANIES}/{company}"),
        "project": (project, f"{PROJECTS}/{project}"),
        "prospect": (prospect, f"{PROJECTS}/{project}/prospects/{prospect}"),
    }


@pytest.mark.parametrize(
    ("category", "body", "status"),
    [
        ("contact", {"note": "Called", "type": "call", "fileId": 789}, 204),
        ("company", {"note": "Called"}, 204),
        ("project", {"content": "Called"}, 201),
        ("prospect", {"content": "Called"}, 201),
    ],
)
async def test_a_note_has_no_id_in_its_answer_and_is_found_in_the_timeline(
    propstreet: Bench, category: str, body: dict[str, Any], status: int
) -> None:
    key, path = everywhere(propstreet)[category]
    before = propstreet.twin.get(category, key)
    propstreet.clock.pass_(1)
    made = await propstreet.call("POST", f"{path}/notes", body)
    assert (made.status, made.body) == (status, None)
    (row,) = await noted(propstreet, path)
    kind = row["type"] if category in ("contact", "company") else row["details"]["kind"]
    assert (row["details"]["message"], kind) == ("Called", body.get("type", "note"))
    assert row["details"]["file"] == ({"id": "789"} if "fileId" in body else None)
    assert propstreet.twin.notes(category, key) == [row]
    assert propstreet.twin.get(category, key) == before


async def test_a_note_raises_no_event_and_stands_in_the_journal(propstreet: Bench) -> None:
    places = everywhere(propstreet)
    async with receiving() as receiver:
        propstreet.twin.add_webhook(receiver.url)
        for _ in range(2):
            await propstreet.call("POST", f"{places['contact'][1]}/notes", {"note": "Called"})
        propstreet.twin.add_note("prospect", places["prospect"][0], "Came to the viewing")
        await propstreet.twin.settled()
        assert receiver.bodies == []
    writes = propstreet.twin.journal.writes()
    assert [(entry.category, entry.changed) for entry in writes] == [("note", True)] * 2
    assert writes[0].after is not None
    assert writes[0].after["message"] == "Called"
    person = propstreet.twin.journal.entries[-1]
    assert (person.actor, person.category) == ("person", "note")


async def test_a_note_is_posted_once_for_a_key(propstreet: Bench) -> None:
    places = everywhere(propstreet)

    async def post(path: str, text: str) -> int:
        body, key = {"note": text, "content": text}, {"Idempotency-Key": "one"}
        return (await propstreet.call("POST", f"{path}/notes", body, headers=key)).status

    for category, status in (("contact", 204), ("prospect", 201)):
        _, path = places[category]
        assert [await post(path, "Called") for _ in range(2)] == [status] * 2
        assert len(await noted(propstreet, path)) == 1
        assert await post(path, "Another") == 409


@pytest.mark.parametrize(
    ("category", "body", "field"),
    [
        ("contact", {}, "note"),
        ("contact", {"note": ""}, "note"),
        ("contact", {"note": "Called", "type": "fax"}, "type"),
        ("company", {"note": "x" * 10_001}, "note"),
        ("prospect", {"note": "Called"}, "content"),
        ("prospect", {"content": "x" * 10_001}, "content"),
        ("project", {"content": 7}, "content"),
    ],
)
async def test_a_note_that_breaks_a_rule_is_refused(
    propstreet: Bench, category: str, body: dict[str, Any], field: str
) -> None:
    _, path = everywhere(propstreet)[category]
    refused = await propstreet.call("POST", f"{path}/notes", body)
    assert (refused.status, list(refused.body["errors"])) == (400, [field])
    assert await noted(propstreet, path) == []


async def test_ps28_a_note_may_be_longer() -> None:
    for limit, statuses in ((10_000, (204, 400)), (50_000, (204, 204))):
        async with bench(ps28=limit) as propstreet:
            _, path = everywhere(propstreet)["contact"]
            lengths = (10_000, 10_001)
            answers = [await propstreet.call("POST", f"{path}/notes", {"note": "x" * n}) for n in lengths]
            assert tuple(answer.status for answer in answers) == statuses
            assert (await propstreet.call("POST", f"{path}/notes", {"note": "x" * 50_001})).status == 400


# --- timelines ---


async def test_a_timeline_is_newest_first_and_paged(propstreet: Bench) -> None:
    key, path = everywhere(propstreet)["contact"]
    for i in range(3):
        propstreet.clock.pass_(1)
        propstreet.twin.add_note("contact", key, f"No {i}", type="meeting")
    first = (await propstreet.call("GET", f"{path}/actions", type="notes", page_size="2")).body
    assert [row["details"]["message"] for row in first["data"]] == ["No 2", "No 1"]
    cursor = first["page"]["nextCursor"]
    last = first["data"][-1]
    assert cursor == last["cursor"]
    assert msgspec.json.decode(base64.b64decode(cursor)) == {
        "t": last["timestampUtc"],
        "i": int(last["id"]),
    }
    second = await noted(propstreet, path, page_size="2", cursor=cursor)
    assert [row["details"]["message"] for row in second] == ["No 0"]
    everything = (await propstreet.call("GET", f"{path}/actions")).body
    assert [row["type"] for row in everything["data"]] == ["meeting"] * 3 + ["audit"]
    assert everything["page"] == {"nextCursor": None, "pageSize": 100, "hasMore": False}
    propstreet.twin.expire_cursors()
    assert (await propstreet.call("GET", f"{path}/actions", cursor=cursor)).status == 400
    propstreet.twin.switches.ps32 = "restart"
    assert len((await propstreet.call("GET", f"{path}/actions", cursor=cursor)).body["data"]) == 4
    assert (await propstreet.call("GET", f"{path}/actions", type="chats")).status == 400


async def test_an_audit_row_names_the_fields_and_the_client(propstreet: Bench) -> None:
    key, path = everywhere(propstreet)["contact"]
    await propstreet.call("PATCH", path, {"firstName": "Anne", "strategy": "Offices"})
    propstreet.twin.edit("contact", key, lastName="Borg")
    rows = (await propstreet.call("GET", f"{path}/actions", type="audit")).body["data"]
    assert [row["details"] for row in rows[:2]] == [
        {"operation": "ContactUpdated", "changedFields": ["lastName"], "oauthClientId": None},
        {
            "operation": "ContactUpdated",
            "changedFields": ["firstName", "strategy"],
            "oauthClientId": propstreet.twin.client_id,
        },
    ]
    assert {row["type"] for row in rows} == {"audit"}


async def test_rows_of_projects_and_prospects_say_their_event_and_kind(propstreet: Bench) -> None:
    places = everywhere(propstreet)
    propstreet.twin.add_note("prospect", places["prospect"][0], "Called")
    rows = (await propstreet.call("GET", f"{places['prospect'][1]}/actions")).body["data"]
    assert [(row["event"], row["details"]["kind"]) for row in rows] == [
        ("prospect.note_added", "note"),
        ("prospect.created", "audit"),
    ]
    path = f"{places['project'][1]}/actions"
    own = (await propstreet.call("GET", path)).body["data"]
    assert [row["event"] for row in own] == ["project.created"]
    rolled = (await propstreet.call("GET", path, include_rollups="true")).body["data"]
    assert [row["event"] for row in rolled] == ["prospect.note_added", "prospect.created", "project.created"]


# --- changing a note ---


async def test_a_note_is_archived_and_comes_back(propstreet: Bench) -> None:
    key, path = everywhere(propstreet)["contact"]
    note = propstreet.twin.add_note("contact", key, "Called")

    async def patch(action: str, etag: str) -> int:
        headers = {"If-Match": etag}
        answer = await propstreet.call("PATCH", f"{path}/notes/{note}", {"action": action}, headers=headers)
        return answer.status

    async def etag() -> str:
        return str((await noted(propstreet, path, archived="true"))[0]["etag"])

    old = await etag()
    assert await patch("archive", old) == 204
    assert await patch("archive", old) == 412
    assert await patch("archive", await etag()) == 204
    assert await noted(propstreet, path) == propstreet.twin.notes("contact", key) == []
    assert await patch("unarchive", await etag()) == 204
    assert len(await noted(propstreet, path)) == 1
    assert await patch("shred", await etag()) == 400
    assert [entry.changed for entry in propstreet.twin.journal.writes()] == [True, False, False, True, False]


async def test_a_superseding_revision_points_back_and_inherits(propstreet: Bench) -> None:
    _, path = everywhere(propstreet)["contact"]
    await propstreet.call("POST", f"{path}/notes", {"note": "Called", "type": "call", "fileId": "7"})
    (old,) = await noted(propstreet, path)
    body = {"action": "supersede", "supersede": {"message": "Called twice", "contentFormat": "markdown"}}
    one, headers = f"{path}/notes/{old['id']}", {"If-Match": old["etag"]}
    assert (await propstreet.call("PATCH", one, body, headers=headers)).status == 204
    (new,) = await noted(propstreet, path)
    assert (new["type"], new["details"]) == (
        "call",
        {"message": "Called twice", "file": {"id": "7"}, "supersedesActivityId": old["id"]},
    )
    rows = await noted(propstreet, path, superseded="true")
    assert [row["id"] for row in rows] == [new["id"], old["id"]]
    for action in ("unarchive", "supersede"):
        headers = {"If-Match": rows[1]["etag"]}
        assert (
            await propstreet.call("PATCH", one, {**body, "action": action}, headers=headers)
        ).status == 400


async def test_a_note_is_changed_only_with_if_match_and_below_its_own_record(propstreet: Bench) -> None:
    places = everywhere(propstreet)
    note = propstreet.twin.add_note("contact", places["contact"][0], "Called")
    body = {"action": "archive"}
    for headers in ({}, {"If-Match": " "}):
        refused = await propstreet.call(
            "PATCH", f"{places['contact'][1]}/notes/{note}", body, headers=headers
        )
        assert (refused.status, refused.body["type"]) == (428, "/help/precondition-required")
    for category in ("company", "project", "prospect"):
        headers = {"If-Match": "*"}
        elsewhere = f"{places[category][1]}/notes/{note}"
        assert (await propstreet.call("PATCH", elsewhere, body, headers=headers)).status == 404


async def test_only_some_records_take_notes(propstreet: Bench) -> None:
    with pytest.raises(ValueError, match="no notes"):
        propstreet.twin.notes("link", "1")
    key, path = everywhere(propstreet)["contact"]
    propstreet.twin.delete("contact", key)
    assert (await propstreet.call("POST", f"{path}/notes", {"note": "Called"})).status == 404
    assert (await propstreet.call("GET", f"{path}/actions")).status == 404
