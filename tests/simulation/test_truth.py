"""The truth follows every value through both vendors: who typed it, what replaced it, and what was overwritten unseen."""

import asyncio

import pytest

from daemon.sandbox.steps import CATEGORIES
from tests.simulation.lineage import Lineage
from tests.simulation.planting import Plot
from tests.simulation.steps import (
    Being,
    Create,
    Edit,
    Lead,
    Merge,
    Note,
    Remove,
    SetClassification,
    SetLevel,
    SetStatus,
    Tag,
    ThirdParty,
    Unrelate,
    Untag,
)
from tests.simulation.truth import Cell, Version, plain


def held(plot: Plot, vendor: str, record: str, field: str, category: str = "contact") -> list[Version]:
    cell = Cell(vendor, category, record, field)
    return [version for version in plot.truth.versions if version.cell == cell]


async def test_an_edit_is_a_version_whose_parent_is_the_one_before() -> None:
    plot = Plot()
    here, _ = plot.pair()
    plot.at = 3.0
    plot.vitec.edit(here, lastName="Lie")
    first, second = held(plot, "vitec", here, "last_name")
    assert (first.value, second.value, second.who, second.at) == ("Berg", "Lie", "person", 3.0)
    assert second.replaced == first.n
    assert {first.n, second.n} <= Lineage(plot.truth).alive


async def test_what_only_looks_different_is_no_version() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, telephone={"cell": "070-174 06 05"})
    plot.vitec.edit(here, telephone={"cell": "+46 70 174 06 05"}, lastName=" Berg ")
    plot.propstreet.edit("contact", there, email="Anna@Example.se")
    assert len(held(plot, "vitec", here, "phone")) == 2
    assert len(held(plot, "vitec", here, "last_name")) == 1
    assert len(held(plot, "propstreet", there, "email")) == 1
    assert plain("website", "https://www.Fjord.example/") == "fjord.example"
    assert plain("price", "12500000 SEK") == "12500000.00"
    assert plain("country", None) == "SE"


async def test_each_tag_is_a_cell_of_its_own() -> None:
    plot = Plot()
    here, _ = plot.pair()
    vip = next(each.id for each in plot.vitec.catalogue.values() if CATEGORIES[each.name] == "vip")
    plot.vitec.edit(here, categories=[vip])
    assert [version.value for version in held(plot, "vitec", here, "tags:vip")] == ["", "yes"]
    assert len(held(plot, "vitec", here, "tags:buyer")) == 1


async def test_a_value_that_the_daemon_carries_over_knows_where_it_came_from() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.writes_at_propstreet(there, lastName="Lie")
    lineage = Lineage(plot.truth)
    ours = held(plot, "propstreet", there, "last_name")[-1]
    assert ours.who == "daemon"
    assert held(plot, "vitec", here, "last_name")[-1].n in lineage.knows[ours.n]
    assert not lineage.overwritten
    assert not lineage.invented


async def test_an_edit_that_the_daemon_overwrites_unseen_is_found() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.propstreet.edit("contact", there, lastName="Moe")
    plot.writes_at_propstreet(there, lastName="Lie")
    [overwritten] = Lineage(plot.truth).overwritten
    assert [version.value for version in overwritten.lost] == ["Moe"]


async def test_whoever_types_over_what_both_sides_hold_types_over_both() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.propstreet.edit("contact", there, lastName="Lie")
    plot.vitec.edit(here, lastName="Moe")
    plot.writes_at_propstreet(there, lastName="Moe")
    assert not Lineage(plot.truth).overwritten


async def test_a_round_trip_is_not_forgotten_when_its_value_comes_back() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    for name in ("Moe", "Berg"):
        plot.propstreet.edit("contact", there, lastName=name)
    plot.writes_at_propstreet(there, lastName="Lie")
    [overwritten] = Lineage(plot.truth).overwritten
    assert [version.value for version in overwritten.lost] == ["Moe", "Berg"]


async def test_a_value_that_nobody_had_is_invented() -> None:
    plot = Plot()
    _, there = plot.pair()
    plot.writes_at_propstreet(there, lastName="Nobody")
    assert [version.value for version in Lineage(plot.truth).invented] == ["Nobody"]


async def test_a_value_that_goes_round_is_counted_and_one_that_comes_late_is_not() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.vitec.edit(here, lastName="Berg")
    plot.writes_at_propstreet(there, lastName="Lie")
    plot.writes_at_propstreet(there, lastName="Berg")
    assert not Lineage(plot.truth).rounds
    plot.propstreet.edit("contact", there, phone="070-174 06 05")
    plot.writes_at_vitec(here, cellPhone="070-174 06 05")
    plot.writes_at_propstreet(there, phone=None)
    assert not Lineage(plot.truth).rounds
    plot.writes_at_propstreet(there, phone="070-174 06 05")
    assert [version.cell.field for version in Lineage(plot.truth).rounds] == ["phone"]


async def test_what_was_typed_at_vitec_after_our_last_read_fell_into_the_window() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Moe")
    plot.at = 1.0
    plot.reads_at_vitec(here)
    plot.at = 1.2
    plot.vitec.edit(here, lastName="Lie")
    plot.at = 1.3
    plot.writes_at_vitec(here, sent=1.1, lastName="Moe")
    [overwritten] = Lineage(plot.truth).overwritten
    [lost] = overwritten.lost
    assert plot.truth.in_window(lost, overwritten.by)


async def test_what_was_typed_at_vitec_before_our_last_read_did_not() -> None:
    plot = Plot()
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Moe")
    plot.at = 1.0
    plot.vitec.edit(here, lastName="Lie")
    plot.at = 1.1
    plot.reads_at_vitec(here)
    plot.at = 1.3
    plot.writes_at_vitec(here, sent=1.2, lastName="Moe")
    [overwritten] = Lineage(plot.truth).overwritten
    [lost] = overwritten.lost
    assert not plot.truth.in_window(lost, overwritten.by)


async def test_there_is_no_window_at_propstreet() -> None:
    plot = Plot()
    _, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Moe")
    plot.writes_at_propstreet(there, lastName="Berg")
    [overwritten] = Lineage(plot.truth).overwritten
    assert not plot.truth.in_window(overwritten.lost[0], overwritten.by)


async def test_a_record_that_is_gone_and_comes_back_begins_anew() -> None:
    plot = Plot()
    here, _ = plot.pair()
    estate = plot.vitec.create_estate("CommercialProperty")
    plot.vitec.relate(here, estate, "Interested")
    plot.at = 2.0
    plot.vitec.unrelate(here, estate)
    record = ("vitec", "prospect", f"{estate}:{here}")
    assert not plot.truth.is_there(record)
    assert plot.truth.lives[record].ended("person", since=1.0)
    plot.vitec.relate(here, estate, "Assigned")
    assert plot.truth.is_there(record)
    *_, latest = held(plot, "vitec", record[2], "classification", "prospect")
    assert (latest.value, latest.replaced) == ("contacted", None)


async def test_a_form_on_the_web_is_not_the_daemons_edit() -> None:
    plot = Plot()
    plot.vitec.define_lead_source("LED1", "Webben")
    name = {"firstName": "Eva", "lastName": "Lie", "email": {"emailAddress": "eva@example.no"}}
    change = plot.vitec.take_person_lead({**name, "message": "Hei", "typeId": "LED1"})
    plot.vitec.journal_api("POST", "/Service/Contact/{customer}/Lead/Person", 200, change)
    [made] = [life for record, life in plot.truth.lives.items() if record[1] == "contact"]
    assert made.made_by == "web"
    assert any(cell.category == "lead" for cell in plot.truth.present)


# --- the people


async def moved_in() -> Plot:
    plot = Plot()
    told = {"first_name": "Anna", "last_name": "Berg", "email": "anna@example.se", "tags": "vip"}
    estate = {"kind": "Project", "status": "Running", "name": "Hamnen"}
    plot.people.move_in(
        (
            Being("contact", 0, vitec=told, propstreet=told),
            Being("contact", 1, vitec={"first_name": "Eva", "email": "eva@example.se"}),
            Being("project", 0, vitec=estate),
            Being("prospect", 0, vitec={"level": "Interested"}, of=(0, 0)),
        )
    )
    return plot


async def test_people_do_what_their_steps_say_in_each_vendors_words() -> None:
    plot = await moved_in()
    people, vitec, propstreet = plot.people, plot.vitec, plot.propstreet
    here, there = people.id_of("vitec", "contact", 0), people.id_of("propstreet", "contact", 0)
    estate = people.id_of("vitec", "project", 0)
    for step in (
        Edit("vitec", "contact", 0, "phone", "070-174 06 05", at=1.0),
        Edit("propstreet", "contact", 0, "strategy", "", at=1.0),
        Tag("vitec", "contact", 0, "buyer", at=1.0),
        Untag("propstreet", "contact", 0, "vip", at=1.0),
        Note("vitec", 0, "Ringde", at=1.0),
        Note("propstreet", 0, "Skrev", at=1.0),
        SetLevel(0, 0, "ParticipateInBidding", at=1.0),
        SetStatus(0, "Resting", at=1.0),
        Merge(0, 1, at=1.0),
        Create("propstreet", "contact", 2, {"first_name": "Ola", "email": "ola@example.no"}, at=1.0),
    ):
        assert people.do(step), step
    assert vitec.get(here)["telephone"]["cell"] == "070-174 06 05"
    assert {c["name"] for c in vitec.get(here)["categories"]} == {"VIP", "Kjøper"}
    assert propstreet.get("contact", there)["tags"] == []
    assert [note["text"] for note in vitec.notes_of(here)] == ["Ringde"]
    assert vitec.levels() == {(estate, here): "ParticipateInBidding"}
    assert vitec.register[estate].status == "Resting"
    assert len(vitec.records("person")) == 1
    assert people.do(Unrelate(0, 0, at=2.0))
    assert people.do(Remove("vitec", "contact", 0, at=2.0))
    assert not people.skipped


async def test_what_cannot_be_done_is_skipped_and_counted() -> None:
    plot = await moved_in()
    people = plot.people
    for step in (
        Edit("propstreet", "contact", 1, "phone", "070-174 06 05", at=1.0),
        SetClassification(0, 0, "bidder", at=1.0),
        Edit("vitec", "contact", 0, "first_name", "x" * 31, at=1.0),
        Edit("propstreet", "contact", 0, "email", "no address", at=1.0),
    ):
        assert not people.do(step)
    assert people.skipped == {
        "Edit: nobody there": 1,
        "SetClassification: nobody there": 1,
        "Edit: ValueError": 1,
        "Edit: Problem": 1,
    }


async def test_what_the_daemon_made_is_found_by_its_reference() -> None:
    plot = await moved_in()
    here = plot.people.id_of("vitec", "contact", 1)
    reference = [{"namespace": "vitec-next", "id": here}]
    there = plot.makes_at_propstreet(firstName="Eva", email="eva@example.se", externalRefs=reference)
    assert plot.people.id_of("propstreet", "contact", 1) == there


async def test_a_bridge_rewrites_a_field_after_each_change_but_not_its_own() -> None:
    plot = await moved_in()
    plot.people.bridge(ThirdParty("vitec", "contact", 0, "last_name", 0.001, at=0.0))
    plot.people.do(Edit("vitec", "contact", 0, "last_name", "Lie", at=1.0))
    for _ in range(5):
        await asyncio.sleep(0.002)
    here = plot.people.id_of("vitec", "contact", 0)
    assert [v.value for v in held(plot, "vitec", here, "last_name")] == ["Berg", "Lie", "Lie (bridge)"]


@pytest.mark.parametrize("form", ["lead", "interest"])
async def test_a_form_says_who_fills_it_in(form: str) -> None:
    plot = await moved_in()
    told = {"first_name": "Lea", "last_name": "Moe", "email": "lea@example.no", "phone": "+47 400 00 020"}
    lead = Lead(form, {**told, "message": "Hei"}, 0 if form == "interest" else None, at=1.0)  # type: ignore[arg-type]
    path, body = plot.people.request(lead)
    assert path == ("/lead" if form == "lead" else "/Interest/SendInterestAndContactOnEstate")
    assert "lea@example.no" in str(body)
