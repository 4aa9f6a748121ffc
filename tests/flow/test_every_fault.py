"""Each fault that the twins know, one by one, with the real daemon: it ends in agreement, or in a hold that says why."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest

from daemon.sandbox.agreement import differences
from daemon.sandbox.twins.faults import Delivery, Kind
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import rows, toveis

numbers = count(1)
SOME: tuple[Kind, ...] = ("timeout_after", "drop_after", "429", "broken_json")
OTHERS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in SOME)
PATIENCE = 90.0
"""Seconds: after a few failures in a row the next try may be this far away."""


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world with notes, in which a prospect that is new at Propstreet goes to Vitec."""
    sync = 'note = "activity"\nnew_prospect_status = "Assigned"\n'
    async with up(tmp_path_factory.mktemp("world"), cluster, poll="500ms", sync=sync) as running:
        yield running


@pytest.fixture
async def town(world: Flow) -> AsyncIterator[Flow]:
    """The same, and after each test nothing goes wrong any more."""
    yield world
    for twin in (world.world.vitec, world.world.propstreet):
        twin.faults.clear()
    await converged(world)


def at_vitec(running: Flow) -> str:
    """Somebody new at Vitec."""
    number = next(numbers)
    email = {"emailAddress": f"fault{number}@example.no"}
    return running.world.vitec.create("person", firstName=f"Nr {number}", lastName="Vik", email=email)


def at_propstreet(running: Flow) -> str:
    """Somebody new at Propstreet."""
    number = next(numbers)
    return running.world.propstreet.create(
        "contact", firstName=f"Nr {number}", lastName="Strand", email=f"fault{number}@example.no"
    )


async def pair(running: Flow) -> tuple[str, str]:
    """The ids of somebody whom both know."""
    vitec = at_vitec(running)
    await eventually(lambda: running.named("contact", vitec), PATIENCE)
    return vitec, running.named("contact", vitec)["id"]


async def converged(running: Flow) -> None:
    """Both sides hold the same, and nothing waits."""

    async def same() -> bool:
        return not differences(running.world.vitec, running.world.propstreet) and await running.idle()

    await eventually(same, PATIENCE)


def last_name(running: Flow, vitec: str, propstreet: str) -> set[str]:
    at_both = running.world.vitec.get(vitec), running.world.propstreet.get("contact", propstreet)
    return {str(each["lastName"]) for each in at_both}


@pytest.mark.parametrize("kind", [*SOME, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHERS)])
async def test_edits_survive_each_fault_of_a_call(town: Flow, kind: Kind) -> None:
    (one, there), (other, yonder) = await pair(town), await pair(town)
    for twin in (town.world.vitec, town.world.propstreet):
        for method in ("GET", "POST", "PATCH"):
            twin.faults.plan(kind, method=method, path_contains="ontact", times=3)
    town.world.vitec.edit(one, lastName=f"Vik {kind}")
    town.world.propstreet.edit("contact", yonder, lastName=f"Strand {kind}")
    await converged(town)
    assert last_name(town, one, there) == {f"Vik {kind}"}
    assert last_name(town, other, yonder) == {f"Strand {kind}"}
    assert town.world.vitec.faults.struck[kind] >= 3
    assert town.world.propstreet.faults.struck[kind] >= 3


# --- a write that was carried out, and whose answer is lost, is made once


Count = Callable[[], int]
Make = Callable[[Flow], Awaitable[tuple[Any, str, Count]]]


async def _contact_at_propstreet(running: Flow) -> tuple[Any, str, Count]:
    records = running.world.propstreet.records
    before = len(records("contact"))
    return lambda: at_vitec(running), "network/contacts", lambda: len(records("contact")) - before


async def _contact_at_vitec(running: Flow) -> tuple[Any, str, Count]:
    records = running.world.vitec.records
    before = len(records("person"))
    return lambda: at_propstreet(running), "UpdatePerson", lambda: len(records("person")) - before


async def _company_at_propstreet(running: Flow) -> tuple[Any, str, Count]:
    twin, number = running.world, next(numbers)
    before = len(twin.propstreet.records("company"))
    return (
        lambda: twin.vitec.create("company", name=f"Skog {number} AB"),
        "network/companies",
        lambda: len(twin.propstreet.records("company")) - before,
    )


async def _company_at_vitec(running: Flow) -> tuple[Any, str, Count]:
    twin, number = running.world, next(numbers)
    before = len(twin.vitec.records("company"))
    site = f"https://skog{number}.example"
    return (
        lambda: twin.propstreet.create("company", name=f"Skog {number} AB", homepageUrl=site),
        "UpdateCompany",
        lambda: len(twin.vitec.records("company")) - before,
    )


async def _project_at_propstreet(running: Flow) -> tuple[Any, str, Count]:
    twin, heading = running.world, {"sellingHeading": f"Lager {next(numbers)}"}
    before = len(twin.propstreet.records("project"))
    return (
        lambda: twin.vitec.create_estate("CommercialProperty", description=heading),
        "/projects",
        lambda: len(twin.propstreet.records("project")) - before,
    )


async def _estate(running: Flow) -> tuple[str, str]:
    heading = {"sellingHeading": f"Kontor {next(numbers)}"}
    estate = running.world.vitec.create_estate("CommercialProperty", description=heading)
    await eventually(lambda: running.named("project", estate), PATIENCE)
    return estate, running.named("project", estate)["id"]


async def _prospect_at_propstreet(running: Flow) -> tuple[Any, str, Count]:
    (contact, there), (estate, project) = await pair(running), await _estate(running)
    prospects = running.world.propstreet.records
    return (
        lambda: running.world.vitec.relate(contact, estate, "VeryInterested"),
        "/prospects",
        lambda: sum(
            (row["projectId"], row["contactId"]) == (project, there) for row in prospects("prospect")
        ),
    )


async def _prospect_at_vitec(running: Flow) -> tuple[Any, str, Count]:
    (contact, there), (estate, project) = await pair(running), await _estate(running)
    twin = running.world
    return (
        lambda: twin.propstreet.create(
            "prospect", projectId=project, contactId=there, classification="interested"
        ),
        "Speculator",
        lambda: sum(key == (estate, contact) for key in twin.vitec.levels()),
    )


async def _note_at_propstreet(running: Flow) -> tuple[Any, str, Count]:
    vitec, propstreet = await pair(running)
    return (
        lambda: running.world.vitec.add_note(vitec, "Ringte om lager"),
        "/notes",
        lambda: len(running.world.propstreet.notes("contact", propstreet)),
    )


async def _note_at_vitec(running: Flow) -> tuple[Any, str, Count]:
    vitec, propstreet = await pair(running)
    return (
        lambda: running.world.propstreet.add_note("contact", propstreet, "Wants a viewing"),
        "Note",
        lambda: len(running.world.vitec.notes_of(vitec)),
    )


MAKE: dict[str, Make] = {
    "contact at Propstreet": _contact_at_propstreet,
    "contact at Vitec": _contact_at_vitec,
    "company at Propstreet": _company_at_propstreet,
    "company at Vitec": _company_at_vitec,
    "project at Propstreet": _project_at_propstreet,
    "prospect at Propstreet": _prospect_at_propstreet,
    "prospect at Vitec": _prospect_at_vitec,
    "note at Propstreet": _note_at_propstreet,
    "note at Vitec": _note_at_vitec,
}
"""What is made at one vendor for what is new at the other; a lead has tests of its own (test_leads.py)."""


@pytest.mark.parametrize("what", MAKE)
async def test_what_was_made_and_never_answered_is_not_made_again(town: Flow, what: str) -> None:
    begin, path, made = await MAKE[what](town)
    await town.settled()
    twin = town.world.vitec if what.endswith("Vitec") else town.world.propstreet
    for method in ("POST", "PATCH", "PUT"):
        twin.faults.plan("timeout_after", method=method, path_contains=path, times=1)
    before = twin.faults.struck["timeout_after"]
    begin()
    await eventually(lambda: made() > 0, PATIENCE)
    await converged(town)
    await town.settled()
    assert twin.faults.struck["timeout_after"] > before, "the fault struck"
    assert made() == 1


# --- webhooks


@pytest.mark.parametrize(
    "how",
    [
        Delivery(drop=1.0),
        Delivery(copies=3),
        Delivery(copies=2, shuffle=True),
        Delivery(delay=4.0),
        Delivery(wrong_signature=1.0),
        Delivery(old_timestamp=1.0),
    ],
    ids=["lost", "doubled", "reordered", "late", "signed wrongly", "an hour old"],
)
async def test_webhooks_that_go_wrong_lose_and_revert_nothing(town: Flow, how: Delivery) -> None:
    (one, there), (other, yonder) = await pair(town), await pair(town)
    for twin in (town.world.vitec, town.world.propstreet):
        twin.faults.delivery = how
    for n in range(5):
        town.world.vitec.edit(one, lastName=f"Vik {n}")
        town.world.propstreet.edit("contact", yonder, lastName=f"Strand {n}")
    await converged(town)
    town.world.vitec.edit(one, lastName="Sist")  # while those of before may still be under way
    await town.world.vitec.settled()
    await town.world.propstreet.settled()
    await converged(town)
    assert last_name(town, one, there) == {"Sist"}
    assert last_name(town, other, yonder) == {"Strand 4"}


async def test_a_subscription_that_is_switched_off_costs_time_and_nothing_else(town: Flow) -> None:
    vitec, propstreet = await pair(town)
    hooks = list(town.world.propstreet.webhooks.all.values())
    for hook in hooks:
        hook.active = False
    town.world.propstreet.edit("contact", propstreet, lastName="Unheard")
    await converged(town)
    for hook in hooks:
        hook.active = True
    assert last_name(town, vitec, propstreet) == {"Unheard"}


# --- tokens, clocks


async def test_a_token_that_ends_early_is_renewed_and_nothing_is_refused(town: Flow) -> None:
    vitec, propstreet = await pair(town)
    for n in range(3):
        town.world.propstreet.expire_tokens()
        town.world.vitec.edit(vitec, lastName=f"Vik {n}")
        await converged(town)
        assert last_name(town, vitec, propstreet) == {f"Vik {n}"}
    assert (await state(town))["commands"]["dead"] == 0


@pytest.mark.parametrize(("vitec_skew", "propstreet_skew"), [(-600, 600), (600, -600)])
async def test_clocks_that_are_wrong_lose_no_single_edit(
    town: Flow, vitec_skew: float, propstreet_skew: float
) -> None:
    (one, there), (other, yonder) = await pair(town), await pair(town)
    twins = town.world
    clocks = twins.vitec.clock, twins.propstreet.clock, twins.propstreet.store.clock
    twins.vitec.clock = wrong(vitec_skew)
    twins.propstreet.clock = twins.propstreet.store.clock = wrong(propstreet_skew)
    try:
        twins.vitec.edit(one, lastName="From Vitec")
        twins.propstreet.edit("contact", yonder, lastName="From Propstreet")
        await converged(town)
    finally:
        twins.vitec.clock, twins.propstreet.clock, twins.propstreet.store.clock = clocks
    assert last_name(town, one, there) == {"From Vitec"}
    assert last_name(town, other, yonder) == {"From Propstreet"}
    twins.vitec.edit(one, lastName="Put right")
    await converged(town)
    assert last_name(town, one, there) == {"Put right"}


def wrong(seconds: float) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


# --- a vendor that is away, or refuses


async def state(running: Flow) -> dict[str, Any]:
    """What `toveis status` says."""
    code, output, errors = await toveis("status", "--json", "--config", str(running.config_file))
    assert code == 0, errors
    [found] = rows(output)
    return found


async def attempted(running: Flow) -> int:
    conn = await running.connect()
    return int(await conn.fetchval("SELECT count(*) FROM events WHERE type = 'CommandAttempted'"))


@pytest.mark.parametrize("kind", ["500", pytest.param("drop_before", marks=pytest.mark.slow)])
async def test_a_vendor_that_is_away_is_waited_for_and_the_other_goes_on(town: Flow, kind: Kind) -> None:
    (one, there), (other, yonder) = await pair(town), await pair(town)
    await town.settled()
    town.world.propstreet.faults.random_rate(kind, 1.0)

    async def away() -> Any:
        return (await state(town))["away"].get("propstreet")

    seen = await eventually(away, PATIENCE)
    assert seen.keys() == {"since", "next_look"}
    before = await attempted(town)
    for n in range(20):
        town.world.vitec.edit(one, lastName=f"Vik {n}")
    town.world.propstreet.edit("contact", yonder, lastName="Strand")  # its webhook still arrives
    await eventually(lambda: town.world.vitec.get(other)["lastName"] == "Strand", PATIENCE)
    assert await attempted(town) == before + 1, "nothing was attempted at the vendor that is away"
    town.world.propstreet.faults.random_rate(kind, 0.0)
    await converged(town)
    assert last_name(town, one, there) == {"Vik 19"}

    async def back() -> bool:
        return bool((await state(town))["away"] == {})

    await eventually(back, PATIENCE)  # the write is there before its answer is
    assert (await state(town))["commands"]["dead"] == 0


async def test_what_a_vendor_refuses_is_a_dead_letter_that_shows_the_whole_exchange(town: Flow) -> None:
    vitec, propstreet = await pair(town)
    await town.settled()
    config = ("--config", str(town.config_file))
    town.world.propstreet.faults.failure = refused
    town.world.propstreet.faults.plan("500", method="PATCH", path_contains=propstreet, times=1)
    town.world.vitec.edit(vitec, lastName="Refusé")

    async def listed() -> Any:
        return rows((await toveis("commands", "--dead", "--json", *config))[1])

    [dead] = await eventually(listed, PATIENCE)
    assert (dead["status"], dead["reason"]) == (422, "lastName")
    assert "answered 422; lastName" in " ".join((await toveis("commands", "--dead", *config))[1].split())
    ref = f"vitec:{vitec}"
    [letter] = [
        each
        for each in rows((await toveis("history", "contact", ref, "--json", *config))[1])
        if each["type"] == "CommandDeadLettered"
    ]
    exchange = letter["data"]["exchange"]
    assert (exchange["method"], exchange["status"]) == ("PATCH", 422)
    assert exchange["path"].endswith(propstreet)
    assert json.loads(exchange["body"])["lastName"] == "Refusé"
    assert "lastName" in exchange["answer"]
    assert "Bearer" not in json.dumps(letter)
    told = " ".join((await toveis("history", "contact", ref, *config))[1].split())
    assert "refused for good (422): lastName sent: PATCH" in told
    town.world.vitec.edit(vitec, lastName="Vik igjen")  # another value is tried anew
    await eventually(lambda: last_name(town, vitec, propstreet) == {"Vik igjen"}, PATIENCE)
    written = (town.config_file.parent / "daemon.log").read_text("utf-8")
    assert "Refus" not in written
    assert "CommandDeadLettered" in written


def refused(status: int, headers: Any) -> Any:
    from aiohttp import web

    return web.json_response({"errors": {"lastName": ["not a name"]}}, status=422, headers=headers)


async def test_the_log_of_all_of_this_is_sound(town: Flow) -> None:
    await converged(town)
    await town.check_log()
