"""Projects and properties of the Propstreet twin: what is written, what only the system moves, who is told."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from daemon.sandbox.twins.propstreet import Problem
from tests.integration.propstreet_bench import PROJECTS, PROPERTIES, Bench, bench, receiving

ESTATE = {"namespace": "vitec-next", "id": "OBJ11385_1395932274"}
STORGATA = {"name": "Storgata 1", "externalRefs": [ESTATE]}


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


def price(value: float, scale: str = "none") -> dict[str, Any]:
    return {"value": value, "currency": "SEK", "scale": scale}


# --- projects ---


async def test_a_new_project_is_an_open_draft_without_a_teaser(propstreet: Bench) -> None:
    made = await propstreet.call("POST", PROJECTS, {**STORGATA, "price": {"value": 5, "currency": "SEK"}})
    project = made.body
    assert (made.status, made.headers["Location"]) == (201, f"{PROJECTS}/{project['id']}")
    assert made.headers["ETag"] == project["etag"]
    assert (project["status"], project["classification"], project["teaser"]) == ("open", "draft", None)
    assert (project["price"], project["properties"]) == (price(5), [])
    read = await propstreet.call("GET", f"{PROJECTS}/{project['id']}")
    assert (read.body, read.headers["ETag"]) == (project, project["etag"])
    found = await propstreet.call("GET", f"{PROJECTS}/external/Vitec-Next/{ESTATE['id']}")
    assert (found.status, found.body) == (200, project)
    assert (await propstreet.call("GET", f"{PROJECTS}/external/vitec-next/other")).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "A", "exclusivity": "total"}, "exclusivity"),
        ({"name": "A", "asset": {"type": "several"}}, "asset"),
        ({"name": "A", "asset": {"type": "single", "propertyCount": 2}}, "asset"),
        ({"name": "A", "price": {"value": "5", "currency": "SEK"}}, "price"),
        ({"name": "A", "price": {"value": 5, "currency": "kr"}}, "price"),
        ({"name": "A", "price": {"value": 5, "currency": "SEK", "scale": "dozens"}}, "price"),
        ({"name": "A", "externalRefs": [ESTATE, {**ESTATE, "id": "2"}]}, "externalRefs"),
    ],
)
async def test_a_project_that_breaks_a_rule_is_refused_by_field(
    propstreet: Bench, body: dict[str, Any], field: str
) -> None:
    refused = await propstreet.call("POST", PROJECTS, body)
    assert (refused.status, list(refused.body["errors"])) == (400, [field])
    assert propstreet.twin.records("project") == []


@pytest.mark.parametrize(
    ("low", "high", "scale", "status"),
    [
        (10, 20, "millions", 200),
        (15, 15, "millions", 200),
        (16, 20, "millions", 400),
        (10, 14, "millions", 400),
        (15_000, 16_000, "thousands", 200),
        (10, None, "millions", 200),
    ],
)
async def test_a_price_range_holds_the_price(
    propstreet: Bench, low: int, high: int | None, scale: str, status: int
) -> None:
    key = propstreet.twin.create("project", name="Storgata 1", price=price(15_000_000))
    between = {"min": low, "max": high, "currency": "SEK", "scale": scale}
    answer = await propstreet.call("PATCH", f"{PROJECTS}/{key}", {"priceRange": between})
    assert answer.status == status
    euros = {**between, "currency": "EUR"}
    assert (await propstreet.call("PATCH", f"{PROJECTS}/{key}", {"priceRange": euros})).status == 400


async def test_mandate_is_the_old_name_of_exclusivity(propstreet: Bench) -> None:
    made = (await propstreet.call("POST", PROJECTS, {"name": "A", "mandate": "exclusive"})).body
    assert (made["exclusivity"], made["mandate"]) == ("exclusive", "exclusive")
    path = f"{PROJECTS}/{made['id']}"
    both = {"mandate": "other", "exclusivity": "non_exclusive"}
    assert (await propstreet.call("PATCH", path, both)).status == 422
    assert (await propstreet.call("POST", PROJECTS, {"name": "A", **both})).status == 422
    one = (await propstreet.call("PATCH", path, {**both, "mandate": None})).body
    assert (one["exclusivity"], one["mandate"]) == ("non_exclusive", "non_exclusive")
    assert (await propstreet.call("PATCH", path, {"mandate": None})).body["exclusivity"] is None


async def test_a_patch_replaces_references_and_leaves_state_alone(propstreet: Bench) -> None:
    project = (await propstreet.call("POST", PROJECTS, {**STORGATA, "classification": "active"})).body
    assert project["classification"] == "draft"
    path = f"{PROJECTS}/{project['id']}"
    other = {"namespace": "lime", "id": "7"}
    body = {"externalRefs": [other], "status": "closed", "teaser": {"stage": "published"}}
    patched = (await propstreet.call("PATCH", path, body)).body
    assert (patched["externalRefs"], patched["status"], patched["teaser"]) == ([other], "open", None)
    assert (await propstreet.call("PATCH", path, {"externalRefs": []})).body["externalRefs"] == []
    assert (await propstreet.call("PATCH", path, {"name": ""})).status == 400
    assert (await propstreet.call("PATCH", path, {"name": None})).status == 400


async def test_a_stale_if_match_on_a_project_is_refused(propstreet: Bench) -> None:
    key = propstreet.twin.create("project", **STORGATA)
    etag = propstreet.twin.get("project", key)["etag"]
    propstreet.twin.edit("project", key, name="Storgata 2")
    stale = {"If-Match": etag}
    for method in ("PATCH", "DELETE"):
        refused = await propstreet.call(method, f"{PROJECTS}/{key}", {"name": "C"}, headers=stale)
        assert refused.status == 412


async def test_a_reference_belongs_to_one_project(propstreet: Bench) -> None:
    key = propstreet.twin.create("project", **STORGATA)
    propstreet.twin.create("contact", firstName="Anna", externalRefs=[ESTATE])
    assert (await propstreet.call("POST", PROJECTS, {**STORGATA, "name": "Other"})).status == 409
    propstreet.twin.switches.ps4 = "existing"
    again = await propstreet.call("POST", PROJECTS, {**STORGATA, "name": "Other"})
    assert (again.status, again.body["id"], again.body["name"]) == (200, key, "Storgata 1")


async def test_a_project_is_posted_once_for_a_key(propstreet: Bench) -> None:
    key = {"Idempotency-Key": "one"}
    propstreet.twin.switches.ps18 = False  # it is about contacts and companies
    first, again = [await propstreet.call("POST", PROJECTS, STORGATA, headers=key) for _ in range(2)]
    assert (again.status, again.body) == (201, first.body)
    assert len(propstreet.twin.records("project")) == len(propstreet.twin.journal.writes()) == 1


@pytest.mark.parametrize(
    ("how", "status", "classification"),
    [("ignored", 200, "draft"), ("accepted", 200, "active"), ("400", 400, "draft")],
)
async def test_ps5_a_project_may_be_classified_or_not(how: str, status: int, classification: str) -> None:
    async with bench(ps5=how) as propstreet:
        key = propstreet.twin.create("project", **STORGATA)
        etag = propstreet.twin.get("project", key)["etag"]
        body = {"classification": "active"}
        answer = await propstreet.call("PATCH", f"{PROJECTS}/{key}", body, headers={"If-Match": etag})
        assert answer.status == status
        now = propstreet.twin.get("project", key)
        assert (now["classification"], now["etag"] != etag) == (classification, how == "accepted")
        assert [entry.changed for entry in propstreet.twin.journal.writes()] == [how == "accepted"]
        if how == "accepted":
            refused = await propstreet.call("PATCH", f"{PROJECTS}/{key}", {"classification": "odd"})
            assert refused.status == 400


async def test_people_classify_and_the_system_moves_stage_and_state(propstreet: Bench) -> None:
    key = propstreet.twin.create("project", **STORGATA, classification="inactive")
    propstreet.twin.edit("project", key, classification="active")
    propstreet.twin.set_stage(key, "published")
    project = propstreet.twin.get("project", key)
    assert (project["classification"], project["teaser"]["stage"]) == ("active", "published")
    propstreet.twin.close_project(key)
    assert propstreet.twin.get("project", key)["status"] == "closed"
    with pytest.raises(Problem, match="teaser_stage"):
        propstreet.twin.set_stage(key, "launched")
    propstreet.twin.delete("project", key)
    assert propstreet.twin.get("project", key)["status"] == "deleted"


async def test_projects_are_listed_by_state_class_and_stage(propstreet: Bench) -> None:
    one, two, three = (propstreet.twin.create("project", name=name) for name in "ABC")
    propstreet.twin.edit("project", two, classification="active")
    propstreet.twin.set_stage(two, "communicated")
    propstreet.twin.close_project(three)

    async def listed(**query: str) -> set[str]:
        return {row["id"] for row in (await propstreet.call("GET", PROJECTS, **query)).body["data"]}

    assert await listed() == {one, two, three}
    assert await listed(status="closed") == {three}
    assert await listed(classification="active") == await listed(teaser_stage="communicated") == {two}
    assert await listed(classification="draft", status="open") == {one}
    propstreet.clock.pass_(1)
    propstreet.twin.delete("project", one)
    assert await listed(include_deleted="true", status="deleted") == {one}
    since = propstreet.twin.get("project", one)["updatedUtc"]
    assert await listed(updated_since=since) == set()
    assert await listed(updated_since=since, include_deleted="true") == {one}
    first = (await propstreet.call("GET", PROJECTS, page_size="1")).body["page"]
    assert await listed(page_size="1", cursor=first["nextCursor"]) == {three}


async def test_a_deleted_project_takes_its_prospects_out_of_reach() -> None:
    async with bench() as propstreet:
        key = propstreet.twin.create("project", **STORGATA)
        assert (await propstreet.call("DELETE", f"{PROJECTS}/{key}")).status == 204
        for below in ("", "/prospects", "/actions", "/properties"):
            assert (await propstreet.call("GET", f"{PROJECTS}/{key}{below}")).status == 404
        propstreet.twin.switches.deleted_read = "record"
        for below in ("", "/prospects", "/actions", "/properties"):
            assert (await propstreet.call("GET", f"{PROJECTS}/{key}{below}")).status == 200
        assert (await propstreet.call("POST", f"{PROJECTS}/{key}/prospects", {})).status == 404
    async with bench(ps30=False) as propstreet:
        key = propstreet.twin.create("project", **STORGATA)
        assert (await propstreet.call("DELETE", f"{PROJECTS}/{key}")).status == 404


async def test_projects_raise_events_and_no_event_for_nothing(propstreet: Bench) -> None:
    async with receiving() as receiver:
        propstreet.twin.add_webhook(receiver.url)
        key = (await propstreet.call("POST", PROJECTS, STORGATA)).body["id"]
        await propstreet.call("PATCH", f"{PROJECTS}/{key}", {"name": "Storgata 1"})
        propstreet.twin.set_stage(key, "drafting")
        await propstreet.call("DELETE", f"{PROJECTS}/{key}")
        await propstreet.twin.settled()
        assert receiver.events == ["project.created", "project.updated", "project.deleted"]
        assert msgspec.json.decode(receiver.bodies[0])["data"]["externalRefs"] == [ESTATE]
    assert [entry.changed for entry in propstreet.twin.journal.writes()] == [True, False, True]
    assert len(propstreet.twin.journal.echoes()) == 1


async def test_faults_strike_projects_too(propstreet: Bench) -> None:
    propstreet.twin.faults.plan("503", method="POST", path_contains="projects")
    assert (await propstreet.call("POST", PROJECTS, STORGATA)).status == 503
    assert propstreet.twin.records("project") == []


# --- properties ---

LAND = {
    "name": "Storgata 1",
    "location": {"latitude": 59.9, "longitude": 10.7, "country": "NO", "locality": "Oslo"},
    "categories": ["office"],
    "price": price(50, "millions"),
    "parcelArea": {"value": 1200, "unit": "sqm"},
    "tags": ["long_lease"],
    "tenure": "freehold",
    "yearBuilt": 1968,
}


async def test_a_property_is_created_changed_listed_and_deleted(propstreet: Bench) -> None:
    made = await propstreet.call("POST", PROPERTIES, LAND)
    assert made.status == 201
    assert {name: made.body[name] for name in LAND} == LAND
    path = made.headers["Location"]
    patched = (await propstreet.call("PATCH", path, {"tenure": "leasehold", "yearBuilt": None})).body
    assert (patched["tenure"], patched["yearBuilt"], patched["name"]) == ("leasehold", None, "Storgata 1")
    assert (await propstreet.call("GET", path)).body == patched
    assert (await propstreet.call("GET", PROPERTIES)).body["data"] == [patched]
    propstreet.twin.switches.ps30 = False  # it leaves properties alone
    assert (await propstreet.call("DELETE", path)).status == 204
    assert (await propstreet.call("GET", PROPERTIES)).body["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "A", "tenure": "rented"}, "tenure"),
        ({"name": "A", "tags": ["Long lease"]}, "tags"),
        ({"name": "A", "parcelArea": {"value": 3, "unit": "acres"}}, "parcelArea"),
        ({"name": "A", "yearBuilt": 1968.5}, "yearBuilt"),
        (
            {"name": "A", "externalRefs": [{"namespace": f"n{i}", "id": "1"} for i in range(11)]},
            "externalRefs",
        ),
    ],
)
async def test_a_property_that_breaks_a_rule_is_refused(
    propstreet: Bench, body: dict[str, Any], field: str
) -> None:
    refused = await propstreet.call("POST", PROPERTIES, body)
    assert (refused.status, list(refused.body["errors"])) == (400, [field])


async def test_a_property_shows_in_its_project_and_raises_no_event(propstreet: Bench) -> None:
    key = propstreet.twin.create("project", **STORGATA)
    async with receiving() as receiver:
        propstreet.twin.add_webhook(receiver.url)
        land = propstreet.twin.create("property", **LAND, projectId=key)
        propstreet.twin.create("property", name="Elsewhere")
        propstreet.twin.edit("property", land, tenure=None)
        await propstreet.twin.settled()
        assert receiver.bodies == []
    rows = (await propstreet.call("GET", f"{PROJECTS}/{key}/properties")).body["data"]
    assert [row["id"] for row in rows] == [land]
    assert [one["id"] for one in propstreet.twin.get("project", key)["properties"]] == [land]
    with pytest.raises(Problem, match="projectId"):
        propstreet.twin.create("property", name="A", projectId="0")
