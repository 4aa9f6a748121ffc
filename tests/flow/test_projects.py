"""Estates at Vitec are projects at Propstreet: their names, prices, and what of a status can be told there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.vitec_connect import estate_desk, estates
from tests.conftest import eventually
from tests.flow.conftest import SELDOM, Flow, up

STREET = {"streetAddress": "Storgatan 1", "city": "Malmö"}
LONG = "Ä" * 300


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world where Propstreet ignores a project's classification, as its schema says (PS5)."""
    ignored, where = PropstreetSwitches(ps5="ignored"), tmp_path_factory.mktemp("town")
    async with up(where, cluster, poll=SELDOM, propstreet=ignored) as running:
        yield running


@pytest.fixture(scope="module")
async def open_town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world where Propstreet takes the classification, and a project's status is written to Vitec."""
    accepted = PropstreetSwitches(ps5="accepted")
    where = tmp_path_factory.mktemp("open_town")
    async with up(
        where, cluster, poll=SELDOM, sync="project_status_writes = true\n", propstreet=accepted
    ) as running:
        yield running


def estate(running: Flow, heading: str | None, status: str = "ForSale", **fields: Any) -> str:
    """A commercial property with a heading."""
    described = {"description": {"sellingHeading": heading}, **fields}
    return running.world.vitec.create_estate("CommercialProperty", status=status, **described)


def project(running: Flow, name: str | None, status: str = "Running", **fields: Any) -> str:
    """A multi-unit project with a name."""
    base = {"projectName": name}
    return running.world.vitec.create_estate("Project", status=status, baseInformation=base, **fields)


async def pushed(running: Flow, *vitec_ids: str) -> list[str]:
    """Propstreet's ids of these, once they are there."""
    await eventually(lambda: all(running.named("project", each) for each in vitec_ids))
    return [running.named("project", each)["id"] for each in vitec_ids]


def shows(running: Flow, vitec_id: str, **fields: Any) -> Callable[[], bool]:
    """Whether the project has these fields at Propstreet."""
    return lambda: fields.items() <= running.named("project", vitec_id).items()


def costs(running: Flow, vitec_id: str, kronor: int) -> Callable[[], bool]:
    """Whether the project has this price at Propstreet."""
    return lambda: (running.named("project", vitec_id)["price"] or {}).get("value") == kronor


def known_as(running: Flow, vitec_id: str, status: str) -> Callable[[], Awaitable[bool]]:
    """Whether the daemon has taken in this status."""

    async def is_known() -> bool:
        found = await running.entity("project", "vitec", vitec_id)
        return found is not None and f"estate_status:{status}" in found.sides["vitec"].flags

    return is_known


def holds(
    running: Flow, vitec_id: str, target: str, reason: str, field: str
) -> Callable[[], Awaitable[bool]]:
    """Whether this field of the project is held for this reason, exactly once."""

    async def is_held() -> bool:
        held = await running.held_for("project", "vitec", vitec_id)
        return held.count((target, reason, (field,))) == 1

    return is_held


def closed(running: Flow, vitec_id: str, why: str) -> Callable[[], Awaitable[bool]]:
    """Whether the link of the project was closed for this reason."""

    async def is_closed() -> bool:
        found = await running.entity("project", "vitec", vitec_id)
        return found is not None and found.tombstone == why

    return is_closed


def vitec_status(running: Flow, vitec_id: str) -> Any:
    return running.world.vitec.estate(vitec_id)["assignment"]["status"]["name"]


def stands_as(running: Flow, vitec_id: str, label: str) -> Callable[[], bool]:
    """Whether Vitec calls the status so."""
    return lambda: bool(vitec_status(running, vitec_id) == label)


# --- what Vitec says is shown at Propstreet ---


async def test_a_commercial_estate_and_a_project_become_projects_with_name_and_price(town: Flow) -> None:
    office = estate(town, "Kontor i Malmö", price={"price": 12_500_000})
    docks = project(town, "Dockan")
    await pushed(town, office, docks)
    assert town.named("project", office)["name"] == "Kontor i Malmö"
    price = town.named("project", office)["price"]
    assert (price["value"], price["currency"]) == (12_500_000, "SEK")
    assert town.named("project", docks)["name"] == "Dockan"
    town.world.vitec.edit_estate(office, description={"sellingHeading": "Kontor vid Triangeln"})
    await eventually(shows(town, office, name="Kontor vid Triangeln"))
    town.world.vitec.edit_estate(office, price={"price": 13_000_000})
    await eventually(costs(town, office, 13_000_000))
    await town.check_log()


async def test_an_estate_without_a_usable_name_is_named_by_the_next_source(town: Flow) -> None:
    empty = estate(town, "  ", baseInformation={"objectAddress": STREET})
    lengthy = estate(town, LONG, baseInformation={"objectAddress": STREET})
    nameless, endless = project(town, None), project(town, LONG)
    await pushed(town, empty, lengthy, nameless, endless)
    assert town.named("project", empty)["name"] == "Storgatan 1, Malmö"
    assert town.named("project", lengthy)["name"] == "Storgatan 1, Malmö"
    assert town.named("project", nameless)["name"] == nameless
    assert town.named("project", endless)["name"] == endless
    await town.settled()
    assert town.world.vitec.estate(endless)["baseInformation"]["projectName"] == LONG
    await town.check_log()


async def test_every_status_of_an_estate_shows_in_classification_or_is_held_to_be_seen(
    open_town: Flow,
) -> None:
    here, vitec = open_town, open_town.world.vitec
    house = estate(here, "Torget 2", status="AssignmentAttempt")
    [shown] = await pushed(here, house)
    told = {"AssignmentAttempt": "draft", "Coming": "active", "SoonForSale": "active", "ForSale": "active"}
    for status, classification in {**told, "Resting": "draft"}.items():
        vitec.edit_estate(house, status=status)
        await eventually(known_as(here, house, status))
        await eventually(shows(here, house, classification=classification, status="open"))
        if classification == "active":
            await eventually(holds(here, house, "propstreet", "not_writable", "stage"))
    vitec.edit_estate(house, status="Sold")
    await eventually(holds(here, house, "propstreet", "not_writable", "status"))
    assert here.named("project", house)["classification"] == "draft"
    here.world.propstreet.close_project(shown)
    here.world.propstreet.set_stage(shown, "communicated")

    async def nothing_is_held() -> bool:
        return await here.held_for("project", "vitec", house) == []

    await eventually(nothing_is_held)
    await here.check_log()


async def test_a_difference_in_stage_is_shown_once_and_again_when_it_is_another(town: Flow) -> None:
    house = estate(town, "Torget 3", status="Coming")
    [shown] = await pushed(town, house)
    await eventually(holds(town, house, "propstreet", "not_writable", "stage"))
    town.world.vitec.edit_estate(house, price={"price": 1_000_000})
    await eventually(costs(town, house, 1_000_000))
    town.world.propstreet.set_stage(shown, "drafting")
    await town.settled()
    assert await holds(town, house, "propstreet", "not_writable", "stage")()
    town.world.propstreet.set_stage(shown, "published")
    await town.settled()
    assert not await holds(town, house, "propstreet", "not_writable", "stage")()
    assert town.named("project", house)["teaser"]["stage"] == "published"
    await town.check_log()


async def test_a_classification_that_propstreet_ignores_is_tried_once_for_all_projects(town: Flow) -> None:
    houses = [estate(town, f"Hamngatan {number}") for number in range(6)]
    await pushed(town, *houses)
    for house in houses:
        await eventually(holds(town, house, "propstreet", "not_writable", "classification"))
    journal = town.world.propstreet.journal
    await town.settled()
    before = len(journal.writes())
    await town.settled()
    assert len(journal.writes()) == before
    assert len([entry for entry in journal.echoes() if entry.category == "project"]) == 1
    await town.check_log()


async def test_a_classification_that_propstreet_refuses_is_tried_once_for_all_projects(
    flow: Callable[..., Any],
) -> None:
    async with flow(propstreet=PropstreetSwitches(ps5="400")) as running:
        houses = [estate(running, f"Hamngatan {number}") for number in range(6)]
        for house in houses:
            await eventually(holds(running, house, "propstreet", "not_writable", "classification"))
        await running.settled()
        refused = [e for e in running.world.propstreet.journal.writes() if e.status == 400]
        assert len(refused) == 1, refused
        await running.check_log()


async def test_a_status_that_nobody_knows_is_shown_and_changes_nothing(
    town: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = estate(town, "Torget 4")
    await pushed(town, house)
    read = estates.status_read
    monkeypatch.setattr(
        estate_desk,
        "status_read",
        lambda status, switches: (
            {"id": "77", "name": "Nytt"} if status == "Booked" else read(status, switches)
        ),
    )
    town.world.vitec.edit_estate(house, status="Booked", price={"price": 2_000_000})
    await eventually(holds(town, house, "propstreet", "unmapped", "classification"))
    await eventually(costs(town, house, 2_000_000))
    await town.settled()
    assert await holds(town, house, "propstreet", "unmapped", "classification")()
    town.world.vitec.edit_estate(house, status="ForSale")
    await eventually(known_as(town, house, "ForSale"))
    await town.check_log()


# --- what stays at Vitec ---


async def test_a_confidential_estate_is_held_until_it_is_none_any_more(town: Flow) -> None:
    secret = estate(town, "Bolaget AB", baseInformation={"sensitiveBusiness": True})

    async def is_held() -> bool:
        found = await town.entity("project", "vitec", secret)
        return found is not None and found.hold is not None and found.hold.reason == "sensitive"

    await eventually(is_held)
    await town.settled()
    assert not town.named("project", secret)
    town.world.vitec.edit_estate(secret, baseInformation={"sensitiveBusiness": False})
    await pushed(town, secret)
    await town.check_log()


async def test_a_valuation_and_a_type_that_is_out_of_scope_never_get_to_propstreet(town: Flow) -> None:
    valued = estate(town, "Värderingen", commissionType="Valuation")
    cottage = town.world.vitec.create_estate("Cottage", description={"sellingHeading": "Stugan"})
    await town.settled()
    assert await town.entity("project", "vitec", valued) is not None
    assert await town.entity("project", "vitec", cottage) is None
    assert not town.named("project", valued)
    assert not town.named("project", cottage)
    await town.check_log()


async def test_an_estate_that_is_gone_at_vitec_leaves_its_project_with_a_reason(town: Flow) -> None:
    house = estate(town, "Torget 5")
    [shown] = await pushed(town, house)
    town.world.vitec.remove_estate(house)
    await eventually(closed(town, house, "gone or unpublished at Vitec"))
    await town.settled()
    assert town.world.propstreet.get("project", shown)["deletedUtc"] is None
    await town.check_log()


async def test_an_estate_that_is_only_no_longer_marketed_stays_linked(town: Flow) -> None:
    vitec, subscriptions = town.world.vitec, town.world.vitec.notifier.subscriptions
    told = list(subscriptions)
    house = estate(town, "Torget 6")
    await pushed(town, house)
    subscriptions.clear()
    vitec.subscribe(told[0].url, advertised_only=True)
    vitec.unpublish_estate(house)  # which tells Remove (VS7)
    await town.settled()
    subscriptions[:] = told
    found = await town.entity("project", "vitec", house)
    assert found is not None
    assert "unpublished" in found.sides["vitec"].flags
    assert found.tombstone is None
    vitec.edit_estate(house, description={"sellingHeading": "Torget 6 igen"})
    await eventually(shows(town, house, name="Torget 6 igen"))
    await town.check_log()


# --- what a person does at Propstreet ---


async def test_a_new_name_is_written_to_a_project_and_held_for_an_estate(town: Flow) -> None:
    harbour, house = project(town, "Hamnen"), estate(town, "Torget 7")
    ours, theirs = await pushed(town, harbour, house)
    town.world.propstreet.edit("project", ours, name="Nya hamnen")
    town.world.propstreet.edit("project", theirs, name="Nya torget")
    await eventually(
        lambda: town.world.vitec.estate(harbour)["baseInformation"]["projectName"] == "Nya hamnen"
    )
    await eventually(holds(town, house, "vitec", "not_writable", "name"))
    await town.settled()
    assert town.named("project", house)["name"] == "Nya torget"
    assert vitec_status(town, harbour) == "Pågående"
    await town.check_log()


async def test_a_persons_classification_is_held_as_long_as_status_writes_are_off(town: Flow) -> None:
    harbour = project(town, "Hamnen 2")
    [shown] = await pushed(town, harbour)
    await eventually(holds(town, harbour, "propstreet", "not_writable", "classification"))
    town.world.propstreet.edit("project", shown, classification="inactive")
    await eventually(holds(town, harbour, "vitec", "not_writable", "classification"))
    await town.settled()
    assert vitec_status(town, harbour) == "Pågående"
    assert town.named("project", harbour)["classification"] == "inactive"
    await town.check_log()


async def test_a_persons_classification_moves_a_project_but_no_estate_once_that_is_switched_on(
    open_town: Flow,
) -> None:
    here = open_town
    harbour, house = project(here, "Hamnen 3"), estate(here, "Torget 8")
    ours, theirs = await pushed(here, harbour, house)
    for each in (harbour, house):
        await eventually(shows(here, each, classification="active"))
    here.world.propstreet.edit("project", theirs, classification="inactive")
    for classification, status in (("draft", "Vilande"), ("active", "Pågående"), ("inactive", "Vilande")):
        here.world.propstreet.edit("project", ours, classification=classification)
        await eventually(stands_as(here, harbour, status))
    await eventually(holds(here, house, "vitec", "not_writable", "classification"))
    await here.settled()
    assert here.named("project", harbour)["classification"] == "inactive"
    assert here.named("project", house)["classification"] == "inactive"
    assert here.world.vitec.estate(harbour)["baseInformation"]["projectName"] == "Hamnen 3"
    assert vitec_status(here, house) == "Till salu"
    await here.check_log()


async def test_a_project_deleted_at_propstreet_rests_at_vitec_where_that_is_switched_on(
    open_town: Flow,
) -> None:
    harbour = project(open_town, "Hamnen 4")
    [shown] = await pushed(open_town, harbour)
    await eventually(shows(open_town, harbour, classification="active"))
    open_town.world.propstreet.delete("project", shown)
    await eventually(stands_as(open_town, harbour, "Vilande"))
    await open_town.settled()
    assert not open_town.named("project", harbour)
    await open_town.check_log()


async def test_a_project_deleted_at_propstreet_is_never_made_again(town: Flow) -> None:
    house, harbour = estate(town, "Torget 9"), project(town, "Hamnen 5")
    for shown in await pushed(town, house, harbour):
        town.world.propstreet.delete("project", shown)
    for each in (house, harbour):
        await eventually(closed(town, each, "removed at propstreet"))
    town.world.vitec.edit_estate(house, description={"sellingHeading": "Torget 9 igen"})
    await town.settled()
    for each in (house, harbour):
        assert any(
            (target, reason) == ("vitec", "not_writable")
            for target, reason, _ in await town.held_for("project", "vitec", each)
        )
        assert not town.named("project", each)
    assert vitec_status(town, harbour) == "Pågående"
    await town.check_log()


async def test_a_project_that_a_person_makes_at_propstreet_is_held_for_vitec(town: Flow) -> None:
    made = town.world.propstreet.create("project", name="Eget uppdrag")

    async def is_held() -> bool:
        held = await town.held_for("project", "propstreet", made)
        return [(target, reason) for target, reason, _ in held] == [("vitec", "not_writable")]

    await eventually(is_held)
    await town.settled()
    assert await is_held()
    await town.check_log()
