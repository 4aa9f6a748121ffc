"""What an estate makes due at Propstreet: the name and the price are written, the rest is shown or tried once."""

from typing import Any

import msgspec
import pytest

from daemon.domain.events import CommandHeld, CommandIssued, ConflictResolved, EntityHeld, EntityReleased
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.policies.plan import NOTHING
from tests.unit.desks import OBJ, PROJECT_KEY, ProjectDesk
from tests.unit.pair import ADR, ANNA, OPTIONS, SYNC, Fields, Pair

HARBOUR: Fields = {"name": "Hamnkontoret"}
LIVE: Fields = HARBOUR | {"classification": "active", "stage": "communicated"}


def sync(**changes: object) -> Any:
    return msgspec.structs.replace(SYNC, **changes)


def linked(vitec: Fields | None = None, propstreet: Fields | None = None, **settings: Any) -> Pair:
    """An estate for sale, and the project that says the same."""
    pair = Pair("project", beside=("contact", "prospect"), **settings)
    pair.vitec.add(**HARBOUR | (vitec or {}))
    pair.propstreet.add(reference=OBJ, **LIVE | (propstreet or {}))
    return pair


def settled(**settings: Any) -> Pair:
    pair = linked(**settings)
    assert pair.sync_up() == 0
    return pair


def holds(pair: Pair) -> list[tuple[str, tuple[str, ...], str]]:
    return [(h.target, tuple(h.want), h.reason) for h in pair.told(CommandHeld)]


def reluctant(pair: Pair) -> Pair:
    """Propstreet takes a classification and does not change it (PS5)."""
    assert isinstance(pair.propstreet, ProjectDesk)
    pair.propstreet.takes_classification = False
    return pair


# Linking and creating


def test_a_project_is_linked_by_its_reference_alone() -> None:
    pair = linked()
    pair.propstreet.rows[PROJECT_KEY].reference = None
    pair.sync_up()
    assert len(pair.propstreet.rows) == 2  # a name says nothing: the estate gets a project of its own
    assert [h[2] for h in holds(pair)].count(
        "not_writable"
    ) >= 1  # and Vitec has no call that makes an estate


def test_a_create_carries_name_price_and_reference_and_the_classification_follows_alone() -> None:
    pair = Pair("project")
    pair.vitec.add(**HARBOUR, price=125_000_000)
    pair.read()
    pair.decide()
    create = pair.attempt(PROPSTREET)
    assert create is not None
    assert set(create.patch.body) == {"name", "price", "externalRefs"}
    create.leave().succeed()
    pair.sync_up()
    [_, follows] = pair.told(CommandIssued)
    assert set(follows.want) == {"classification"}
    assert pair.propstreet.value("classification", create.record) == "active"


@pytest.mark.parametrize("record", [OBJ, "PRO11385_1395932275"])
def test_a_project_of_propstreet_cannot_be_made_at_vitec_and_is_shown_once(record: str) -> None:
    pair = Pair("project")
    pair.propstreet.add(**LIVE)
    for _ in range(3):
        assert pair.sync_up() == 0
    assert holds(pair) == [(VITEC, tuple(pair.told(CommandHeld)[0].want), "not_writable")]
    assert pair.vitec.rows == {}


# Names


def test_a_name_of_an_estate_goes_to_propstreet_and_never_back() -> None:
    pair = settled()
    pair.vitec.edit(name="Hamnkontoret 2")
    assert pair.sync_up() == 1
    assert pair.values("name") == ("Hamnkontoret 2", "Hamnkontoret 2")
    pair.propstreet.edit(name="Kontoret")
    for _ in range(3):
        assert pair.sync_up() == 0
    assert holds(pair) == [(VITEC, ("name",), "not_writable")]


def test_a_name_of_a_multi_unit_project_goes_both_ways() -> None:
    pair = Pair("project")
    pair.vitec.add("PRO1", estate_status="Running", **HARBOUR)
    pair.propstreet.add(reference="PRO1", **LIVE)
    assert pair.sync_up() == 0
    pair.propstreet.edit(name="Kajen")
    assert pair.sync_up() == 1
    assert pair.vitec.value("name", "PRO1") == "Kajen"


# Status and stage


@pytest.mark.parametrize("there", [{"status": "closed"}, {"stage": "published"}, {"stage": None}])
def test_status_and_stage_are_never_sent_and_a_difference_is_shown_once(there: Fields) -> None:
    pair = linked(propstreet=there)
    for seconds in range(5):
        pair.later(seconds)
        assert pair.sync_up() == 0
    [field] = there
    assert holds(pair) == [(PROPSTREET, (field,), "not_writable")]


def test_a_status_that_propstreet_changes_by_itself_is_no_edit_of_vitecs() -> None:
    pair = settled()
    pair.propstreet.edit(status="closed", stage="published")
    assert pair.sync_up() == 0
    assert {h[0] for h in holds(pair)} == {PROPSTREET}
    assert not pair.told(ConflictResolved)
    pair.propstreet.edit(status="open", stage="communicated")
    pair.sync_up()
    assert pair.entity.blocked == {}


def test_another_decision_about_the_project_does_not_show_the_difference_again() -> None:
    pair = linked(propstreet={"status": "closed"})
    pair.sync_up()
    pair.vitec.edit(name="Hamnkontoret 2")
    assert pair.sync_up() == 1
    assert holds(pair) == [(PROPSTREET, ("status",), "not_writable")]


def test_a_new_status_at_vitec_ends_what_was_shown_and_shows_what_differs_now() -> None:
    pair = linked(propstreet={"status": "closed"})
    pair.sync_up()
    pair.vitec.edit(estate_status="Sold")
    pair.sync_up()
    assert "status" not in pair.entity.blocked.get(PROPSTREET, {})


@pytest.mark.parametrize("unknown", ["Rented", "Förtrollad"])
def test_a_status_without_a_counterpart_leaves_the_classification_and_is_shown(unknown: str) -> None:
    pair = settled()
    pair.vitec.edit(estate_status=unknown)
    assert pair.sync_up() == 0
    assert (PROPSTREET, ("classification",), "unmapped") in holds(pair)
    assert pair.propstreet.value("classification") == "active"


# The classification


def test_draft_is_what_propstreet_says_of_everything_new_and_never_wins_a_first_link() -> None:
    pair = linked()
    pair.sync_up()
    again = Pair("project")
    again.vitec.add(**HARBOUR)
    again.read(VITEC)
    again.later(3600)
    again.propstreet.add(reference=OBJ, **LIVE | {"classification": "draft"})
    assert again.sync_up() == 1
    assert again.propstreet.value("classification") == "active"
    assert not again.told(ConflictResolved)


def test_a_classification_goes_alone_after_what_is_known_to_be_written() -> None:
    pair = settled()
    pair.vitec.edit(name="Hamnkontoret 2", estate_status="Resting")
    assert pair.sync_up() == 2
    first, second = pair.told(CommandIssued)
    assert (set(first.want), set(second.want)) == ({"name"}, {"classification"})
    assert pair.propstreet.value("classification") == "draft"


def test_a_classification_that_was_ignored_is_shown_and_not_sent_again_for_this_project() -> None:
    pair = reluctant(settled())
    pair.vitec.edit(estate_status="Resting")
    assert pair.sync_up() == 1
    for name in ("NotForSale", "Coming", "Resting", "NotForSale"):
        pair.vitec.edit(estate_status=name)
        assert pair.sync_up() == 0
    assert pair.propstreet.value("classification") == "active"
    assert {h[2] for h in holds(pair)} == {"not_writable"}


def test_what_was_ignored_for_one_project_is_not_tried_for_another() -> None:
    pair = reluctant(settled())
    pair.vitec.edit(estate_status="Resting")
    assert pair.sync_up() == 1
    pair.vitec.add("OBJ2", name="Kajen")
    pair.propstreet.add("13", reference="OBJ2", **LIVE | {"name": "Kajen", "classification": "draft"})
    assert pair.sync_up() == 0
    assert pair.entity_of(PROPSTREET, "13").blocked[PROPSTREET].keys() == {"classification"}


def test_a_name_is_still_written_where_the_classification_is_ignored() -> None:
    pair = reluctant(settled())
    pair.vitec.edit(estate_status="Resting")
    pair.sync_up()
    pair.vitec.edit(name="Hamnkontoret 2", estate_status="NotForSale")
    assert pair.sync_up() == 1
    assert pair.propstreet.value("name") == "Hamnkontoret 2"


def test_what_was_ignored_is_let_go_when_a_person_sets_it_by_hand() -> None:
    pair = reluctant(settled())
    pair.vitec.edit(estate_status="Resting")
    pair.sync_up()
    pair.propstreet.edit(classification="draft")
    for _ in range(2):
        assert pair.sync_up() == 0
    assert pair.entity.blocked == {}
    assert pair.agreed("classification")


def test_a_classification_of_propstreet_cannot_be_written_at_vitec() -> None:
    pair = settled()
    pair.propstreet.edit(classification="inactive")
    for _ in range(3):
        assert pair.sync_up() == 0
    assert holds(pair) == [(VITEC, ("classification",), "not_writable")]


def test_a_classification_of_a_multi_unit_project_is_written_where_that_is_switched_on() -> None:
    options = msgspec.structs.replace(OPTIONS, project_status_writes=True)
    pair = Pair("project", options=options)
    pair.vitec.add("PRO1", estate_status="Running", **HARBOUR)
    pair.propstreet.add(reference="PRO1", **LIVE)
    assert pair.sync_up() == 0
    pair.propstreet.edit(classification="inactive")
    pair.sync_up()
    assert pair.vitec.value("estate_status", "PRO1") == "Resting"
    assert pair.propstreet.value("classification") == "inactive"


def test_a_project_that_rests_at_vitec_is_inactive_enough() -> None:
    options = msgspec.structs.replace(OPTIONS, project_status_writes=True)
    pair = Pair("project", options=options)
    pair.vitec.add("PRO1", estate_status="Resting", **HARBOUR)
    pair.propstreet.add(reference="PRO1", **LIVE | {"classification": "draft"})
    assert pair.sync_up() == 0
    pair.propstreet.edit(classification="inactive")
    assert pair.sync_up() == 0
    assert pair.propstreet.value("classification") == "inactive"


# What is held, and what is out of scope


def with_anna(pair: Pair) -> Pair:
    """Anna, who is interested in the estate."""
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(PROPSTREET, "contact").add(reference=ADR, **ANNA)
    pair.desk(VITEC, "prospect").add()
    return pair


def test_a_confidential_deal_is_held_and_so_are_its_prospects() -> None:
    pair = Pair("project", beside=("contact", "prospect"))
    pair.vitec.add(sensitive=True, **HARBOUR)
    with_anna(pair)
    assert pair.sync_up() == 0
    assert [h.reason for h in pair.told(EntityHeld)] == ["sensitive", "sensitive"]
    assert pair.propstreet.rows == pair.desk(PROPSTREET, "prospect").rows == {}


def test_a_deal_that_becomes_confidential_is_held_with_all_that_it_has() -> None:
    pair = with_anna(settled())
    pair.sync_up()
    pair.vitec.edit(sensitive=True, name="Hemligt")
    pair.desk(VITEC, "prospect").edit(level="NotInterested")
    assert pair.sync_up() == 0
    assert pair.propstreet.value("name") == "Hamnkontoret"
    [prospect] = pair.desk(PROPSTREET, "prospect").rows.values()
    assert prospect.fields["classification"] == "interested"


def test_a_deal_that_is_no_longer_confidential_is_made_and_its_prospects_follow() -> None:
    pair = Pair("project", beside=("contact", "prospect"))
    pair.vitec.add(sensitive=True, **HARBOUR)
    with_anna(pair)
    pair.sync_up()
    pair.vitec.edit(sensitive=False)
    pair.sync_up()
    assert len(pair.told(EntityReleased)) == 2
    assert len(pair.propstreet.rows) == len(pair.desk(PROPSTREET, "prospect").rows) == 1


def test_a_confidential_deal_is_pushed_where_that_is_configured() -> None:
    pair = Pair("project", sync=sync(sensitive_business="push"))
    pair.vitec.add(sensitive=True, **HARBOUR)
    assert pair.sync_up() >= 1
    assert pair.told(EntityHeld) == []


@pytest.mark.parametrize("commission", ["Valuation", "Writing"])
def test_a_commission_that_sells_nothing_is_out_of_scope_and_its_prospects_wait(commission: str) -> None:
    pair = Pair("project", beside=("contact", "prospect"))
    pair.vitec.add(commission=commission, **HARBOUR)
    with_anna(pair)
    assert pair.sync_up() == 0
    assert pair.plan() == NOTHING
    assert pair.told(EntityHeld) == []
    assert pair.propstreet.rows == pair.desk(PROPSTREET, "prospect").rows == {}


def test_a_label_and_a_number_that_disagree_hold_the_project() -> None:
    pair = settled()
    status = {"status": {"id": "4", "name": "Till salu"}}  # 4 is sold, for sure (S38)
    pair.vitec.rows[OBJ].extra = {"assignment": status}
    pair.vitec.edit(name="Hamnkontoret 2")
    assert pair.sync_up() == 0
    assert [h.reason for h in pair.told(EntityHeld)] == ["status_disagrees"]


def test_in_observe_mode_a_classification_is_recorded_and_counts_as_not_tried() -> None:
    pair = settled()
    pair.mode = "observe"
    pair.vitec.edit(estate_status="Resting")
    assert pair.sync_up() == 0
    assert holds(pair) == [(PROPSTREET, ("classification",), "observe")]
    pair.mode = "live"
    assert pair.sync_up() == 1
    assert pair.propstreet.value("classification") == "draft"
