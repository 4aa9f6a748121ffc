"""Links of the Propstreet twin: who works where, and which company is a contact's first."""

from collections.abc import AsyncIterator

import pytest

from daemon.sandbox.twins.propstreet import Problem
from tests.integration.propstreet_bench import ANNA, COMPANIES, CONTACTS, LINKS, Bench, bench, receiving


@pytest.fixture
async def propstreet() -> AsyncIterator[Bench]:
    async with bench() as one:
        yield one


def ends(propstreet: Bench) -> dict[str, str]:
    """A contact and a company, as a link names them."""
    create = propstreet.twin.create
    return {"contactId": create("contact", **ANNA), "companyId": create("company", name="Berg")}


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


async def test_a_contact_and_a_company_are_linked_once(propstreet: Bench) -> None:
    both = ends(propstreet)
    first = await propstreet.call("POST", LINKS, both)
    assert (first.status, first.headers["Location"]) == (201, f"{LINKS}/{first.body['id']}")
    assert (await propstreet.call("POST", LINKS, {**both, "jobTitle": "CEO"})).status == 409
    with pytest.raises(Problem, match="already linked"):
        propstreet.twin.create("link", **both)
    assert (await propstreet.call("DELETE", f"{LINKS}/{first.body['id']}")).status == 204
    assert (await propstreet.call("POST", LINKS, both)).status == 201
    with pytest.raises(Problem, match="409"):
        propstreet.twin.restore("link", first.body["id"])


async def test_ps4_is_not_about_links() -> None:
    async with bench(ps4="existing") as propstreet:
        both = ends(propstreet)
        propstreet.twin.create("link", **both)
        assert (await propstreet.call("POST", LINKS, both)).status == 409


async def test_links_are_listed_by_end_by_change_and_with_the_deleted(propstreet: Bench) -> None:
    both = ends(propstreet)
    other = {**both, "companyId": propstreet.twin.create("company", name="Dal")}
    first, second = propstreet.twin.create("link", **both), propstreet.twin.create("link", **other)
    propstreet.clock.pass_(1)
    propstreet.twin.delete("link", first)

    async def listed(**query: str) -> list[str]:
        return [row["id"] for row in (await propstreet.call("GET", LINKS, **query)).body["data"]]

    assert await listed() == await listed(contact_id=both["contactId"]) == [second]
    assert await listed(include_deleted="true") == [second, first]
    assert await listed(company_id=both["companyId"], include_deleted="true") == [first]
    assert await listed(contact_id=both["contactId"], company_id=other["companyId"]) == [second]
    since = propstreet.twin.get("link", first)["updatedUtc"]
    assert await listed(include_deleted="true", updated_since=since) == [first]
    assert (await propstreet.call("GET", f"{LINKS}/{second}")).body == propstreet.twin.get("link", second)


async def test_a_link_keeps_its_ends_whatever_a_patch_says(propstreet: Bench) -> None:
    both = ends(propstreet)
    link = propstreet.twin.create("link", **both)
    body = {"jobTitle": "CFO", "companyId": propstreet.twin.create("company", name="Dal")}
    patched = await propstreet.call("PATCH", f"{LINKS}/{link}", body)
    assert (patched.body["jobTitle"], patched.body["companyId"]) == ("CFO", both["companyId"])
    cleared = await propstreet.call("PATCH", f"{LINKS}/{link}", {"jobTitle": None})
    assert cleared.body["jobTitle"] is None


async def test_making_a_company_the_first_is_a_change_in_the_journal(propstreet: Bench) -> None:
    link = propstreet.twin.create("link", **ends(propstreet))
    for _ in range(2):
        await propstreet.call("PATCH", f"{LINKS}/{link}", {"isPrimary": True})
    assert [entry.changed for entry in propstreet.twin.journal.writes()] == [True, False]


async def test_ps30_links_may_have_no_delete() -> None:
    async with bench(ps30=False) as propstreet:
        link = propstreet.twin.create("link", **ends(propstreet))
        assert (await propstreet.call("DELETE", f"{LINKS}/{link}")).status == 404


async def test_links_raise_events_and_stand_in_both_timelines(propstreet: Bench) -> None:
    async with receiving() as receiver:
        both = ends(propstreet)
        propstreet.twin.add_webhook(receiver.url)
        link = propstreet.twin.create("link", **both)
        propstreet.twin.edit("link", link, jobTitle="CEO")
        propstreet.twin.delete("link", link)
        await propstreet.twin.settled()
        assert receiver.events == ["link.created", "link.updated", "link.deleted"]
    told = ["LinkDeleted", "LinkUpdated", "LinkCreated"]
    for rows, key in ((CONTACTS, both["contactId"]), (COMPANIES, both["companyId"])):
        timeline = (await propstreet.call("GET", f"{rows}/{key}/actions", type="audit")).body["data"]
        assert [row["details"]["operation"] for row in timeline][:3] == told
