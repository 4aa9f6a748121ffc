"""Who is interested in an estate at Vitec is a prospect at Propstreet, and what is said there is written back."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.sandbox.twins.faults import Delivery
from tests.conftest import eventually
from tests.flow.conftest import SELDOM, Flow, up
from tests.flow.test_command_line import toveis

numbers = count(1)


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world as it is by default: what Vitec has no word for is held."""
    async with up(tmp_path_factory.mktemp("town"), cluster, poll=SELDOM) as running:
        yield running


@pytest.fixture(scope="module")
async def lenient(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world where a new prospect is shown as assigned, and a removed one as not interested."""
    sync = 'new_prospect_status = "Assigned"\nprospect_removed = "not_interested"\n'
    async with up(tmp_path_factory.mktemp("lenient"), cluster, poll=SELDOM, sync=sync) as running:
        yield running


@pytest.fixture(scope="module")
async def unpolled(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world where a poll comes only when it is asked for."""
    async with up(tmp_path_factory.mktemp("unpolled"), cluster, poll="1h") as running:
        yield running


class Interest:
    """A new contact and the world's one estate at Vitec, and what they have to do with each other at both vendors."""

    def __init__(self, running: Flow, *, company: bool = False) -> None:
        self.running, number = running, next(numbers)
        vitec = running.world.vitec
        name: dict[str, Any] = {"name": f"Bolag {number} AB"} if company else {"lastName": f"Ås {number}"}
        email = {"emailAddress": f"nr{number}@example.no"}
        self.contact = vitec.create("company" if company else "person", email=email, **name)
        estates = vitec.estates("CommercialProperty")
        self.estate = estates[0]["estateId"] if estates else vitec.create_estate("CommercialProperty")
        self.record = f"{self.estate}:{self.contact}"

    @property
    def prospect(self) -> dict[str, Any]:
        """The prospect that refers to the relation; empty when there is none."""
        return self.running.named("prospect", self.record)

    @property
    def level(self) -> str | None:
        """The level at Vitec."""
        return self.running.world.vitec.levels().get((self.estate, self.contact))

    def relate(self, level: str) -> None:
        """A broker sets the level."""
        self.running.world.vitec.relate(self.contact, self.estate, level)

    def classify(self, classification: str) -> None:
        """A person sets the classification at Propstreet."""
        self.running.world.propstreet.edit("prospect", self.prospect["id"], classification=classification)

    async def ends(self, category: str = "contact") -> tuple[str, str]:
        """Propstreet's ids of project and contact, once both are there."""
        named = self.running.named
        await eventually(lambda: named("project", self.estate) and named(category, self.contact))
        return named("project", self.estate)["id"], named(category, self.contact)["id"]

    async def shown(self, classification: str) -> None:
        """Wait for a classification at Propstreet."""
        await eventually(lambda: self.prospect.get("classification") == classification)

    async def levelled(self, level: str) -> None:
        """Wait for a level at Vitec."""
        await eventually(lambda: self.level == level)

    async def held(self) -> list[tuple[str, str]]:
        """What is held of it: target and reason."""
        held = await self.running.held_for("prospect", "vitec", self.record)
        return [(target, reason) for target, reason, _ in held]

    def is_held(self, target: str, reason: str) -> Callable[[], Awaitable[bool]]:
        """Whether just this is held."""

        async def found() -> bool:
            return await self.held() == [(target, reason)]

        return found


async def interested(running: Flow, level: str = "Interested", shown: str = "interested") -> Interest:
    """An interest of this level that Propstreet shows."""
    each = Interest(running)
    each.relate(level)
    await each.shown(shown)
    return each


@contextmanager
def unheard(*twins: Any) -> Iterator[None]:
    """No webhook and no notification of these twins arrives meanwhile."""
    for twin in twins:
        twin.faults.delivery = Delivery(drop=1.0)
    try:
        yield
    finally:
        for twin in twins:
            twin.faults.delivery = Delivery()


# --- Vitec to Propstreet ---

CLASSES = {
    "Reserved": "bidder",
    "ParticipateInBidding": "bidder",
    "FollowingBidding": "interested",
    "VeryInterested": "interested",
    "BeenAtOrComingToViewing": "interested",
    "Assigned": "contacted",
    "NotInterested": "not_interested",
}


async def test_each_level_becomes_a_prospect_with_its_class(town: Flow) -> None:
    found = {level: Interest(town) for level in CLASSES}
    for level, each in found.items():
        each.relate(level)
    for level, each in found.items():
        await each.shown(CLASSES[level])
        _, contact = await each.ends()
        assert each.prospect["contactId"] == contact
    await town.settled()
    assert {level: each.level for level, each in found.items()} == {level: level for level in found}
    await town.check_log()


async def test_a_buyer_is_a_bidder_until_the_purchase_is_taken_back(town: Flow) -> None:
    each = Interest(town)
    town.world.vitec.make_buyer(each.contact, each.estate)
    await each.shown("bidder")
    each.relate("Interested")
    await town.settled()
    assert each.prospect["classification"] == "bidder"
    town.world.vitec.unmake_buyer(each.contact, each.estate)
    await each.shown("interested")
    await town.check_log()


async def test_a_company_becomes_a_prospect_as_a_company(town: Flow) -> None:
    each = Interest(town, company=True)
    each.relate("Interested")
    await each.shown("interested")
    _, company = await each.ends("company")
    assert each.prospect["companyId"] == company
    each.classify("bidder")
    await each.levelled("ParticipateInBidding")
    await town.check_log()


async def test_an_archived_interest_makes_no_prospect_and_changes_none(town: Flow) -> None:
    new, old = Interest(town), await interested(town)
    new.relate("Archived")
    old.relate("Archived")
    await eventually(new.is_held("propstreet", "unmapped"))
    await eventually(old.is_held("propstreet", "unmapped"))
    await town.settled()
    assert not new.prospect
    assert old.prospect["classification"] == "interested"
    await town.check_log()


async def test_a_level_within_one_class_writes_nothing_and_is_never_lowered(town: Flow) -> None:
    each = await interested(town, "BeenAtOrComingToViewing")
    await town.settled()
    journals = town.world.vitec.journal, town.world.propstreet.journal
    before = [len(journal.writes()) for journal in journals]
    each.relate("VeryInterested")
    await town.settled()
    assert [len(journal.writes()) for journal in journals] == before
    town.world.propstreet.edit("prospect", each.prospect["id"], tags=["ring på måndag"])
    town.world.vitec.edit_estate(each.estate, price={"price": 3_000_000})
    town.world.vitec.edit(each.contact, firstName="Kari")
    await town.settled()
    assert each.level == "VeryInterested"
    assert each.prospect["classification"] == "interested"
    await town.check_log()


async def test_a_level_changed_while_nothing_is_told_arrives_by_the_polls(town: Flow) -> None:
    each = await interested(town)
    with unheard(town.world.vitec, town.world.propstreet):
        each.relate("ParticipateInBidding")
        await town.settled()
        assert each.prospect["classification"] == "bidder"
        each.classify("contacted")
        await town.settled()
        assert each.level == "Assigned"
    await town.check_log()


# --- Propstreet to Vitec ---


async def test_each_classification_is_written_as_its_status(town: Flow) -> None:
    each = await interested(town)
    for classification, level in (
        ("contacted", "Assigned"),
        ("bidder", "ParticipateInBidding"),
        ("not_interested", "NotInterested"),
        ("interested", "Interested"),
    ):
        each.classify(classification)
        await each.levelled(level)
    each.classify("not_contacted")
    await eventually(each.is_held("vitec", "not_writable"))
    await town.settled()
    assert (each.level, each.prospect["classification"]) == ("Interested", "not_contacted")
    await town.check_log()


async def test_a_level_that_only_a_broker_may_change_is_never_overwritten(town: Flow) -> None:
    reserved, bought = await interested(town, "Reserved", "bidder"), Interest(town)
    town.world.vitec.make_buyer(bought.contact, bought.estate)
    await bought.shown("bidder")
    for each in (reserved, bought):
        each.classify("not_interested")
        await eventually(each.is_held("vitec", "protected"))
    await town.settled()
    assert (reserved.level, bought.level) == ("Reserved", None)
    assert reserved.prospect["classification"] == "not_interested"
    await town.check_log()


async def test_a_bidder_meets_a_finer_level_and_history_says_why_the_bidder_stays(town: Flow) -> None:
    each = await interested(town, "BeenAtOrComingToViewing")
    await town.settled()
    each.relate("VeryInterested")
    each.classify("bidder")
    await each.levelled("ParticipateInBidding")
    await town.settled()
    assert each.prospect["classification"] == "bidder"
    config = ("--config", str(town.config_file))
    code, output, errors = await toveis("history", "prospect", f"vitec:{each.record}", *config, "--json")
    assert code == 0, errors
    story = [msgspec.json.decode(line)["summary"] for line in output.splitlines()]
    [seen] = [number for number, line in enumerate(story) if "level VeryInterested" in line]
    [written] = [number for number, line in enumerate(story) if line.startswith("write to Vitec")]
    assert "bidder" in story[written]
    assert any("level ParticipateInBidding" in line for line in story[max(seen, written) :])
    await town.check_log()


async def test_a_prospect_made_at_propstreet_becomes_a_relation_however_vitec_takes_it(town: Flow) -> None:
    """PUT Speculator may make a relation or refuse to (VS14); an interest makes it then (Q2)."""
    found = []
    for answer in ("creates", "404", "400"):
        each = Interest(town)
        project, contact = await each.ends()
        town.world.vitec.switches.vs14 = answer
        made = town.world.propstreet.create(
            "prospect", projectId=project, contactId=contact, classification="bidder"
        )
        await each.levelled("ParticipateInBidding")
        found.append((each, made))
    town.world.vitec.switches.vs14 = "creates"
    await town.settled()
    for each, made in found:
        assert (each.level, each.prospect["id"]) == ("ParticipateInBidding", made)
        assert each.prospect["classification"] == "bidder"
    await town.check_log()


async def test_a_contact_that_is_new_at_propstreet_is_made_at_vitec_before_its_prospect(town: Flow) -> None:
    known = Interest(town)
    project, _ = await known.ends()
    email = f"ny{next(numbers)}@example.se"
    contact = town.world.propstreet.create("contact", firstName="Nya", lastName="Kund", email=email)
    town.world.propstreet.create(
        "prospect", projectId=project, contactId=contact, classification="interested"
    )
    vitec = town.world.vitec

    def made() -> list[str]:
        people = vitec.records("person")
        return [p["id"] for p in people if (p["email"] or {}).get("emailAddress") == email]

    await eventually(lambda: made() and vitec.levels().get((known.estate, made()[0])) == "Interested")
    await town.settled()
    assert len(made()) == 1
    assert town.named("prospect", f"{known.estate}:{made()[0]}")["classification"] == "interested"
    await town.check_log()


async def test_a_prospect_without_a_class_is_held_until_it_has_one(town: Flow) -> None:
    each = Interest(town)
    project, contact = await each.ends()
    made = town.world.propstreet.create("prospect", projectId=project, contactId=contact)

    async def is_held() -> bool:
        held = await town.held_for("prospect", "propstreet", made)
        return [(target, reason) for target, reason, _ in held] == [("vitec", "not_writable")]

    await eventually(is_held)
    await town.settled()
    assert each.level is None
    town.world.propstreet.edit("prospect", made, classification="contacted")
    await each.levelled("Assigned")
    await eventually(lambda: each.prospect.get("id") == made)
    await town.check_log()


async def test_a_prospect_without_a_class_is_shown_as_assigned_where_that_is_configured(
    lenient: Flow,
) -> None:
    each = Interest(lenient)
    project, contact = await each.ends()
    lenient.world.propstreet.create("prospect", projectId=project, contactId=contact)
    await each.levelled("Assigned")
    await eventually(lambda: bool(each.prospect))
    await lenient.settled()
    assert each.prospect["classification"] == "not_contacted"
    assert each.level == "Assigned"
    each.relate("VeryInterested")
    await each.shown("interested")
    await lenient.check_log()


async def test_a_prospect_that_both_vendors_make_at_once_is_one(unpolled: Flow) -> None:
    """Ours is refused as it is there already (R11), and linked with when a poll has seen the other one."""
    each = Interest(unpolled)
    project, contact = await each.ends()
    journal = unpolled.world.propstreet.journal
    await unpolled.settled()
    with unheard(unpolled.world.propstreet):
        made = unpolled.world.propstreet.create("prospect", projectId=project, contactId=contact)
        each.relate("VeryInterested")
        await eventually(
            lambda: (journal.writes()[-1].category, journal.writes()[-1].status) == ("prospect", 409)
        )
        await unpolled.settled()
    await each.shown("interested")
    await unpolled.settled()
    prospects = unpolled.world.propstreet.records("prospect")
    assert [found["id"] for found in prospects if found["contactId"] == contact] == [made]
    assert (each.prospect["id"], each.level) == (made, "VeryInterested")
    await unpolled.check_log()


async def test_a_matched_investor_whom_nobody_knows_stays_at_propstreet(town: Flow) -> None:
    each = Interest(town)
    project, _ = await each.ends()
    made = town.world.propstreet.match_prospect(project, displayName="En investerare")
    await town.settled()
    found = await town.entity("prospect", "propstreet", made)
    assert found is not None
    assert found.sides.keys() == {"propstreet"}
    assert not town.world.vitec.levels().keys() & {(each.estate, each.contact)}
    await town.check_log()


# --- removals ---


async def test_a_prospect_removed_at_propstreet_is_held_for_vitec_in_whichever_form_it_is_told(
    town: Flow,
) -> None:
    removed = []
    for form in ("data", "top", "deleted"):
        each = await interested(town)
        town.world.propstreet.switches.ps6 = form
        town.world.propstreet.remove_prospect(each.prospect["id"])
        await eventually(each.is_held("vitec", "not_writable"))
        removed.append(each)
    town.world.propstreet.switches.ps6 = "data"
    for each in removed:
        each.relate("VeryInterested")
    await town.settled()
    for each in removed:
        assert (each.prospect, each.level) == ({}, "VeryInterested")
    await town.check_log()


@pytest.mark.parametrize(
    "form",
    [
        "data",
        "top",
        "deleted",
    ],
)
async def test_a_prospect_removed_at_propstreet_is_not_interested_where_that_is_configured(
    lenient: Flow, form: Any
) -> None:
    each, switches = await interested(lenient), lenient.world.propstreet.switches
    switches.ps6, switches.ps25 = form, "hidden"  # so that no list tells of it
    lenient.world.propstreet.remove_prospect(each.prospect["id"])
    await lenient.settled()
    switches.ps6, switches.ps25 = "data", "listed"
    assert (each.prospect, each.level) == ({}, "NotInterested")
    await lenient.check_log()


async def test_an_interest_taken_away_at_vitec_takes_our_own_prospect_away(town: Flow) -> None:
    each = await interested(town)
    shown = each.prospect["id"]
    town.world.vitec.unrelate(each.contact, each.estate)
    await eventually(lambda: town.world.propstreet.get("prospect", shown)["deletedUtc"] is not None)
    await town.settled()
    assert not each.prospect
    await town.check_log()


async def test_an_interest_taken_away_at_vitec_leaves_a_prospect_that_a_person_made(town: Flow) -> None:
    each = Interest(town)
    project, contact = await each.ends()
    made = town.world.propstreet.create(
        "prospect", projectId=project, contactId=contact, classification="interested"
    )
    await each.levelled("Interested")
    await eventually(lambda: each.prospect.get("id") == made)
    town.world.vitec.unrelate(each.contact, each.estate)

    async def is_held() -> bool:
        found = await town.entity("prospect", "vitec", each.record)
        return found is not None and found.hold is not None and found.hold.reason == "removed"

    await eventually(is_held)
    await town.settled()
    assert each.prospect["id"] == made
    await town.check_log()
