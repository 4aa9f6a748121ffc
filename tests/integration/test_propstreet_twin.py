"""The Propstreet twin keeps the contract on contacts, companies and their lists, with each switch both ways."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from daemon.sandbox.twins.propstreet import Problem
from daemon.sandbox.twins.propstreet.duplicates import jaro_winkler
from tests.integration.propstreet_bench import (
    ANNA,
    COMPANIES,
    CONTACTS,
    Bench,
    Receiver,
    bench,
    receiving,
)


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


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
