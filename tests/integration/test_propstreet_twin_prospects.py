"""Prospects of the Propstreet twin: a seat in a project for a contact or a company, taken once, given up again."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from daemon.sandbox.twins.propstreet import Problem
from tests.integration.propstreet_bench import ANNA, PROJECTS, Bench, Receiver, bench, receiving

RELATION = {"namespace": "vitec-next", "id": "OBJ1:ADR1"}


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def project(propstreet: Bench, name: str = "Storgata 1") -> tuple[str, str]:
    """A new project: its id, and the path of its prospects."""
    key = propstreet.twin.create("project", name=name)
    return key, f"{PROJECTS}/{key}/prospects"


def seat(propstreet: Bench, **more: Any) -> tuple[str, str]:
    """A new prospect of a new contact in a new project: its id, and the path of all its project's prospects."""
    key, path = project(propstreet)
    contact = propstreet.twin.create("contact", **ANNA)
    return propstreet.twin.create("prospect", projectId=key, contactId=contact, **more), path


async def test_a_new_prospect_is_not_contacted_whatever_was_sent(propstreet: Bench) -> None:
    key, path = project(propstreet)
    contact = propstreet.twin.create("contact", **ANNA)
    body = {"contactId": contact, "externalRefs": [RELATION], "classification": "bidder"}
    made = await propstreet.call("POST", path, body)
    prospect = made.body
    assert (made.status, made.headers["Location"]) == (201, f"{path}/{prospect['id']}")
    assert (prospect["projectId"], prospect["contactId"], prospect["companyId"]) == (key, contact, None)
    assert (prospect["classification"], prospect["displayName"]) == ("not_contacted", "Anna Berg")
    assert (prospect["externalRefs"], "teaser" in prospect) == ([RELATION], False)
    read = await propstreet.call("GET", f"{path}/{prospect['id']}")
    assert (read.body, read.headers["ETag"]) == (prospect, prospect["etag"])
    found = await propstreet.call("GET", f"{path}/external/VITEC-NEXT/{RELATION['id']}")
    assert (found.status, found.body) == (200, prospect)


async def test_a_prospect_is_one_contact_or_one_company_that_is_there(propstreet: Bench) -> None:
    _, path = project(propstreet)
    contact = propstreet.twin.create("contact", **ANNA)
    company = propstreet.twin.create("company", name="Berg AB")
    for body in (
        {},
        {"contactId": contact, "companyId": company},
        {"contactId": "0"},
        {"companyId": contact},
    ):
        assert (await propstreet.call("POST", path, body)).status == 400
    made = (await propstreet.call("POST", path, {"companyId": company})).body
    assert (made["displayName"], made["organizationName"]) == ("Berg AB", "Berg AB")
    assert (await propstreet.call("POST", f"{PROJECTS}/0/prospects", {"contactId": contact})).status == 404


async def test_a_patch_writes_class_and_references_only(propstreet: Bench) -> None:
    key, path = seat(propstreet, externalRefs=[RELATION])
    other = propstreet.twin.create("contact", firstName="Bo")
    etag = propstreet.twin.get("prospect", key)["etag"]
    body = {"classification": "interested", "contactId": other, "tags": ["vip"]}
    patched = await propstreet.call("PATCH", f"{path}/{key}", body, headers={"If-Match": etag})
    assert patched.status == 200
    assert patched.body["classification"] == "interested"
    assert (patched.body["contactId"] == other, patched.body["tags"]) == (False, [])
    stale = await propstreet.call("PATCH", f"{path}/{key}", {"externalRefs": []}, headers={"If-Match": etag})
    assert stale.status == 412
    assert (await propstreet.call("PATCH", f"{path}/{key}", {"externalRefs": []})).body["externalRefs"] == []
    for wrong in ({"classification": "keen"}, {"classification": None}):
        assert (await propstreet.call("PATCH", f"{path}/{key}", wrong)).status == 400


async def test_a_prospect_is_found_below_its_own_project_only(propstreet: Bench) -> None:
    key, path = seat(propstreet, externalRefs=[RELATION])
    _, elsewhere = project(propstreet, "Storgata 2")
    for below in (f"/{key}", f"/external/vitec-next/{RELATION['id']}", f"/{key}/actions"):
        assert (await propstreet.call("GET", path + below)).status == 200
        assert (await propstreet.call("GET", elsewhere + below)).status == 404
    assert (await propstreet.call("PATCH", f"{elsewhere}/{key}", {"classification": "bidder"})).status == 404
    assert (await propstreet.call("GET", elsewhere)).body["data"] == []


async def test_prospects_of_a_project_are_paged_in_the_order_of_change(propstreet: Bench) -> None:
    key, path = project(propstreet)
    other, _ = project(propstreet, "Storgata 2")
    keys = []
    for i in range(3):
        propstreet.clock.pass_(1)
        contact = propstreet.twin.create("contact", firstName=str(i))
        keys.append(propstreet.twin.create("prospect", projectId=key, contactId=contact))
        propstreet.twin.create("prospect", projectId=other, contactId=contact)
    propstreet.clock.pass_(1)
    propstreet.twin.edit("prospect", keys[0], classification="contacted")
    first = (await propstreet.call("GET", path, page_size="2")).body
    cursor = first["page"]["nextCursor"]
    second = (await propstreet.call("GET", path, page_size="2", cursor=cursor)).body
    assert [row["id"] for page in (first, second) for row in page["data"]] == [keys[1], keys[2], keys[0]]
    since = propstreet.twin.get("prospect", keys[2])["updatedUtc"]
    rows = (await propstreet.call("GET", path, updated_since=since)).body["data"]
    assert [row["id"] for row in rows] == [keys[2], keys[0]]
    assert len({row["id"] for row in propstreet.twin.records("prospect")}) == 6


async def test_a_project_rests_while_its_prospects_change(propstreet: Bench) -> None:
    key, path = seat(propstreet)
    before = propstreet.twin.records("project")
    propstreet.clock.pass_(1)
    await propstreet.call("PATCH", f"{path}/{key}", {"classification": "bidder"})
    await propstreet.call("POST", f"{path}/{key}/remove")
    assert propstreet.twin.records("project") == before


# --- the same one twice ---


async def test_a_contact_has_one_seat_in_a_project(propstreet: Bench) -> None:
    key, path = seat(propstreet)
    prospect = propstreet.twin.get("prospect", key)
    body = {"contactId": prospect["contactId"]}
    again = await propstreet.call("POST", path, body)
    assert (again.status, again.body["detail"]) == (409, "already_in_prospects")
    with pytest.raises(Problem, match="already_in_prospects"):
        propstreet.twin.create("prospect", projectId=prospect["projectId"], **body)
    _, elsewhere = project(propstreet, "Storgata 2")
    assert (await propstreet.call("POST", elsewhere, body)).status == 201


async def test_ps24_the_same_contact_may_get_its_present_seat() -> None:
    async with bench(ps24="existing") as propstreet:
        key, path = seat(propstreet, classification="bidder")
        body = {"contactId": propstreet.twin.get("prospect", key)["contactId"]}
        again = await propstreet.call("POST", path, body)
        assert (again.status, again.body) == (200, propstreet.twin.get("prospect", key))
        assert [entry.record for entry in propstreet.twin.journal.echoes()] == [key]


@pytest.mark.parametrize(("how", "status"), [("conflict", 409), ("existing", 200)])
async def test_ps4_a_known_reference_of_a_prospect(how: str, status: int) -> None:
    async with bench(ps4=how) as propstreet:
        _, path = seat(propstreet, externalRefs=[RELATION])
        other = propstreet.twin.create("contact", firstName="Bo")
        again = await propstreet.call("POST", path, {"contactId": other, "externalRefs": [RELATION]})
        assert again.status == status
        twice = [RELATION, {**RELATION, "id": "2"}]
        refused = await propstreet.call("POST", path, {"contactId": other, "externalRefs": twice})
        assert refused.status == 400


# --- classifying many ---


async def test_many_are_classified_at_once_and_counted(propstreet: Bench) -> None:
    key, path = seat(propstreet)
    company = propstreet.twin.create("company", name="Berg AB")
    project_ = propstreet.twin.get("prospect", key)["projectId"]
    other = propstreet.twin.create("prospect", projectId=project_, companyId=company)
    body = {"prospectIds": [key, other, "0"], "classification": "contacted"}
    headers = {"Idempotency-Key": "one"}
    first, again = [
        await propstreet.call("POST", f"{path}/classify", body, headers=headers) for _ in range(2)
    ]
    assert first.body == again.body
    assert (first.status, first.body) == (
        200,
        {
            "classified": 2,
            "succeeded": [key, other],
            "failed": [{"prospectId": "0", "error": "not_found_or_no_access"}],
        },
    )
    assert {row["classification"] for row in propstreet.twin.records("prospect")} == {"contacted"}
    await propstreet.call("POST", f"{path}/classify", body)
    assert [entry.changed for entry in propstreet.twin.journal.writes()] == [True, False]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prospectIds": [str(i) for i in range(101)], "classification": "bidder"}, "prospectIds"),
        ({"classification": "bidder"}, "prospectIds"),
        ({"prospectIds": ["1"]}, "classification"),
        ({"prospectIds": ["1"], "classification": "keen"}, "classification"),
    ],
)
async def test_a_hundred_at_most_are_classified(propstreet: Bench, body: dict[str, Any], field: str) -> None:
    _, path = project(propstreet)
    refused = await propstreet.call("POST", f"{path}/classify", body)
    assert (refused.status, list(refused.body["errors"])) == (400, [field])


# --- removing ---


async def test_a_removed_prospect_is_gone_by_id_and_listed_only_on_request(propstreet: Bench) -> None:
    key, path = seat(propstreet, externalRefs=[RELATION])
    assert (await propstreet.call("POST", f"{path}/{key}/remove")).status == 204
    assert (await propstreet.call("GET", f"{path}/{key}")).status == 404
    assert (await propstreet.call("PATCH", f"{path}/{key}", {"classification": "bidder"})).status == 404
    assert (await propstreet.call("POST", f"{path}/{key}/remove")).status == 404
    assert (await propstreet.call("GET", f"{path}/external/vitec-next/{RELATION['id']}")).status == 404
    assert (await propstreet.call("GET", path)).body["data"] == []
    rows = (await propstreet.call("GET", path, include_deleted="true")).body["data"]
    assert [(row["id"], row["deletedUtc"] is None) for row in rows] == [(key, False)]
    propstreet.twin.switches.deleted_read = "record"
    assert (await propstreet.call("GET", f"{path}/{key}")).body["deletedUtc"]


async def test_a_removal_is_repeated_by_its_key_and_can_be_undone(propstreet: Bench) -> None:
    key, path = seat(propstreet)
    headers = {"Idempotency-Key": "one"}
    answers = [await propstreet.call("POST", f"{path}/{key}/remove", headers=headers) for _ in range(2)]
    assert [(one.status, one.body) for one in answers] == [(204, None)] * 2
    propstreet.twin.restore("prospect", key)
    assert propstreet.twin.get("prospect", key)["deletedUtc"] is None
    propstreet.twin.remove_prospect(key)
    contact = propstreet.twin.get("prospect", key)["contactId"]
    assert (await propstreet.call("POST", path, {"contactId": contact})).body["id"] != key


async def test_ps25_a_removed_prospect_may_stay_out_of_lists() -> None:
    async with bench(ps25="hidden") as propstreet:
        key, path = seat(propstreet)
        propstreet.twin.remove_prospect(key)
        assert (await propstreet.call("GET", path, include_deleted="true")).body["data"] == []


async def test_ps30_a_prospect_is_deleted_or_can_not_be() -> None:
    for there, status in ((True, 204), (False, 404)):
        async with bench(ps30=there) as propstreet:
            key, path = seat(propstreet)
            assert (await propstreet.call("DELETE", f"{path}/{key}")).status == status


# --- matched by Propstreet ---


async def test_propstreet_adds_investors_of_its_own_some_without_a_contact(propstreet: Bench) -> None:
    key, path = project(propstreet)
    contact = propstreet.twin.create("contact", **ANNA)
    known = propstreet.twin.match_prospect(key, contactId=contact)
    unknown = propstreet.twin.match_prospect(key, displayName="Bo Dal", organizationName="Dal AB")
    rows = {row["id"]: row for row in (await propstreet.call("GET", path)).body["data"]}
    assert rows[known]["teaser"] == {"acceptedUtc": None, "deadlineUtc": None}
    assert (rows[unknown]["contactId"], rows[unknown]["displayName"]) == (None, "Bo Dal")
    assert rows[unknown]["organizationName"] == "Dal AB"
    assert (await propstreet.call("POST", path, {"contactId": contact})).status == 409
    with pytest.raises(Problem, match="prospect"):
        propstreet.twin.create("prospect", projectId=key)


# --- events ---


async def test_prospects_raise_events_with_the_whole_resource(propstreet: Bench, receiver: Receiver) -> None:
    _, path = project(propstreet)
    contact = propstreet.twin.create("contact", **ANNA)
    propstreet.twin.add_webhook(receiver.url)
    made = (await propstreet.call("POST", path, {"contactId": contact})).body
    await propstreet.call("PATCH", f"{path}/{made['id']}", {"classification": "contacted"})
    await propstreet.call("PATCH", f"{path}/{made['id']}", {"classification": "contacted"})
    body = {"prospectIds": [made["id"]], "classification": "interested"}
    await propstreet.call("POST", f"{path}/classify", body)
    await propstreet.call("DELETE", f"{path}/{made['id']}")
    await propstreet.twin.settled()
    assert receiver.events == ["prospect.created", "prospect.updated", "prospect.updated", "prospect.deleted"]
    assert msgspec.json.decode(receiver.bodies[0])["data"] == made


REMOVED = {"type": "removed"}


@pytest.mark.parametrize(
    ("how", "event", "in_data", "at_top"),
    [
        ("data", "prospect.updated", REMOVED, None),
        ("top", "prospect.updated", None, REMOVED),
        ("deleted", "prospect.deleted", None, None),
    ],
)
@pytest.mark.parametrize("size", ["whole", "thin"])
async def test_ps6_a_removal_is_told_in_one_of_three_ways(
    receiver: Receiver, how: str, event: str, in_data: Any, at_top: Any, size: str
) -> None:
    async with bench(ps6=how, ps2=size) as propstreet:
        key, path = seat(propstreet)
        propstreet.twin.add_webhook(receiver.url)
        await propstreet.call("POST", f"{path}/{key}/remove")
        await propstreet.twin.settled()
        (body,) = map(msgspec.json.decode, receiver.bodies)
        assert (body["type"], body["data"].get("action"), body.get("action")) == (event, in_data, at_top)
        shown = {name for name in body["data"] if name != "action"}
        thin = {"id", "projectId"}
        assert shown == thin if size == "thin" else shown > thin
        assert (body["data"]["id"], body["data"]["projectId"]) == (key, path.split("/")[4])


async def test_ps1_and_ps11_hold_for_prospects_too(receiver: Receiver) -> None:
    async with bench(ps1="event", ps11=False) as propstreet:
        key, path = seat(propstreet)
        propstreet.twin.add_webhook(receiver.url)
        await propstreet.call("PATCH", f"{path}/{key}", {"classification": "bidder"})
        await propstreet.call("POST", f"{path}/{key}/remove")
        propstreet.twin.restore("prospect", key)
        await propstreet.twin.settled()
        assert [msgspec.json.decode(body)["event"] for body in receiver.bodies] == ["prospect.updated"]
