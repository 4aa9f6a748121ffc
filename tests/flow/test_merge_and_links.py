"""What ties people together at Vitec: persons who become one (V12), and persons who speak for a company (K1, K5)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.flow.conftest import SELDOM, Flow, up

numbers = count(1)


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    async with up(tmp_path_factory.mktemp("town"), cluster, poll=SELDOM) as running:
        yield running


def person(running: Flow, email: str | None = None) -> str:
    """Somebody at Vitec; with an address of their own unless one is given."""
    number = next(numbers)
    address = {"emailAddress": email or f"m{number}@example.no"}
    return running.world.vitec.create("person", firstName=f"Nr {number}", lastName="Berg", email=address)


def office(running: Flow) -> str:
    """An estate for sale."""
    heading = {"sellingHeading": f"Lokal {next(numbers)}"}
    return running.world.vitec.create_estate("CommercialProperty", description=heading)


async def known(running: Flow, category: str, *vitec_ids: str) -> list[str]:
    """Propstreet's ids of these, once they are there."""
    await eventually(lambda: all(running.named(category, each) for each in vitec_ids))
    return [running.named(category, each)["id"] for each in vitec_ids]


def is_held(running: Flow, category: str, record: str, reason: str) -> Callable[[], Awaitable[bool]]:
    """Whether the entity of this record of Vitec is held for this reason."""

    async def found() -> bool:
        entity = await running.entity(category, "vitec", record)
        return entity is not None and entity.hold is not None and entity.hold.reason == reason

    return found


async def doubled(running: Flow) -> tuple[str, str, str]:
    """One person who stands twice at Vitec: who is synced, who is held for the same e-mail, and the contact."""
    email = f"dubbel{next(numbers)}@example.se"
    first = person(running, email)
    [contact] = await known(running, "contact", first)
    second = person(running, email)
    await eventually(is_held(running, "contact", second, "taken"))
    return first, second, contact


async def test_the_link_of_a_double_goes_to_the_one_that_stays(town: Flow) -> None:
    goes, stays, contact = await doubled(town)
    town.world.vitec.merge(stays, goes)
    await eventually(lambda: town.named("contact", stays).get("id") == contact)
    town.world.vitec.edit(stays, lastName="Lind")
    await eventually(lambda: town.named("contact", stays)["lastName"] == "Lind")
    await town.settled()
    assert not town.named("contact", goes)
    found = await town.entity("contact", "vitec", stays)
    assert found is not None
    assert (found.hold, found.sides["propstreet"].record) == (None, contact)
    await town.check_log()


async def test_prospects_of_a_double_go_to_the_one_that_stays(town: Flow) -> None:
    goes, stays, contact = await doubled(town)
    estate = office(town)
    town.world.vitec.relate(goes, estate, "VeryInterested")
    [prospect] = await known(town, "prospect", f"{estate}:{goes}")
    await eventually(lambda: town.named("prospect", f"{estate}:{goes}")["classification"] == "interested")
    town.world.vitec.merge(stays, goes)
    await eventually(lambda: town.named("prospect", f"{estate}:{stays}").get("id") == prospect)
    town.world.vitec.relate(stays, estate, "ParticipateInBidding")
    await eventually(lambda: town.named("prospect", f"{estate}:{stays}")["classification"] == "bidder")
    await town.settled()
    theirs = [
        each["id"] for each in town.world.propstreet.records("prospect") if each["contactId"] == contact
    ]
    assert theirs == [prospect]
    assert not town.named("prospect", f"{estate}:{goes}")
    await town.check_log()


async def test_removals_that_are_told_after_a_merge_are_noise(town: Flow) -> None:
    goes, stays, contact = await doubled(town)
    vitec, estate = town.world.vitec, office(town)
    vitec.relate(goes, estate, "Interested")
    [prospect] = await known(town, "prospect", f"{estate}:{goes}")
    vitec.merge(stays, goes)
    await eventually(lambda: town.named("prospect", f"{estate}:{stays}").get("id") == prospect)
    vitec.announce("Contact", "Remove", record=goes, subtype="Person")
    between = ((estate, "Estate"), (goes, "Contact"))
    vitec.announce("EstateContact", "Remove", subtype="Speculator", relations=between)
    await town.settled()
    assert town.named("contact", stays)["id"] == contact
    assert town.named("prospect", f"{estate}:{stays}")["id"] == prospect
    for category, record in (("contact", stays), ("prospect", f"{estate}:{stays}")):
        found = await town.entity(category, "vitec", record)
        assert found is not None
        assert (found.tombstone, found.hold) == (None, None)
    await town.check_log()


async def test_two_contacts_that_become_one_at_vitec_are_both_kept_and_one_is_held(town: Flow) -> None:
    stays, goes = person(town), person(town)
    ours, theirs = await known(town, "contact", stays, goes)
    town.world.vitec.merge(stays, goes)
    await eventually(is_held(town, "contact", goes, "merged"))
    await town.settled()
    people = {each["id"] for each in town.world.propstreet.records("contact")}
    assert {ours, theirs} <= people
    assert town.named("contact", stays)["id"] == ours
    await town.check_log()


async def test_two_prospects_of_one_estate_that_become_one_are_both_kept_and_one_is_held(town: Flow) -> None:
    stays, goes, estate = person(town), person(town), office(town)
    for contact, level in ((stays, "Interested"), (goes, "ParticipateInBidding")):
        town.world.vitec.relate(contact, estate, level)
    ours, theirs = await known(town, "prospect", f"{estate}:{stays}", f"{estate}:{goes}")
    await eventually(lambda: town.named("prospect", f"{estate}:{goes}")["classification"] == "bidder")
    town.world.vitec.merge(stays, goes)
    await eventually(is_held(town, "prospect", f"{estate}:{goes}", "merged"))
    await town.settled()
    assert town.named("prospect", f"{estate}:{stays}")["classification"] == "bidder"
    prospects = {each["id"] for each in town.world.propstreet.records("prospect")}
    assert {ours, theirs} <= prospects
    assert town.named("prospect", f"{estate}:{stays}")["id"] == ours
    await town.check_log()


async def test_a_removal_that_is_no_merge_leaves_the_contact_at_propstreet(town: Flow) -> None:
    goes, stays, contact = await doubled(town)
    town.world.vitec.switches.vs34 = "remove_and_update"  # nobody is told of merges
    town.world.vitec.merge(stays, goes)
    await town.settled()
    town.world.vitec.switches.vs34 = "merge"
    found = await town.entity("contact", "vitec", goes)
    assert found is not None
    assert found.tombstone == "removed at vitec"
    assert town.world.propstreet.get("contact", contact)["deletedUtc"] is None
    await town.check_log()


async def test_who_speaks_for_a_company_is_linked_with_it_and_the_link_outlives_the_relation(
    town: Flow,
) -> None:
    vitec, berg = town.world.vitec, person(town)
    company = vitec.create("company", name="Bergs Fastigheter AB")
    [contact] = await known(town, "contact", berg)
    [firm] = await known(town, "company", company)
    vitec.connect(company, berg)
    await town.settled()

    def links() -> list[tuple[str, str]]:
        return [(each["contactId"], each["companyId"]) for each in town.world.propstreet.records("link")]

    await eventually(lambda: links() == [(contact, firm)])
    vitec.disconnect(company, berg)
    await town.settled()
    assert links() == [(contact, firm)]
    await town.check_log()
