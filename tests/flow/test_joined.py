"""What hangs on records of both vendors: who belongs to a company, notes, and the property behind an estate."""

from collections.abc import Callable
from typing import Any

from tests.conftest import eventually
from tests.flow.conftest import Flow


def _person(running: Flow, name: str) -> str:
    email = {"emailAddress": f"{name.lower()}@example.no"}
    return str(running.world.vitec.create("person", firstName=name, lastName="Næss", email=email))


def _at_propstreet(running: Flow, category: str, vitec_id: str) -> dict[str, Any] | None:
    wanted = {"namespace": "vitec-next", "id": vitec_id}
    found = (row for row in running.world.propstreet.records(category) if wanted in row["externalRefs"])
    return next((dict(row) for row in found), None)


async def test_a_companys_contact_person_is_linked_and_a_link_made_at_propstreet_is_held(
    flow: Callable[..., Any],
) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        company = vitec.create("company", name="Skog AS", corporateNumber="800000009")
        person, other = _person(running, "Ola"), _person(running, "Eva")
        vitec.connect(company, person)
        await eventually(lambda: len(propstreet.records("link")) == 1)
        [link] = propstreet.records("link")
        at_company, at_person = (
            _at_propstreet(running, "company", company),
            _at_propstreet(running, "contact", person),
        )
        assert at_company is not None
        assert at_person is not None
        assert (link["companyId"], link["contactId"]) == (at_company["id"], at_person["id"])
        assert link["jobTitle"] is None
        await eventually(lambda: _at_propstreet(running, "contact", other))
        propstreet.create(
            "link",
            companyId=at_company["id"],
            contactId=(_at_propstreet(running, "contact", other) or {})["id"],
        )
        await eventually(lambda: running.held("link"))
        assert await running.held("link") == [("vitec", "not_writable", ("job_title",))]
        vitec.disconnect(company, person)
        await eventually(lambda: _held_entity(running, "link"))
        assert len(propstreet.records("link")) == 2, "nothing is deleted"
        await running.check_log()


async def test_notes_are_carried_over_once_in_both_directions(flow: Callable[..., Any]) -> None:
    async with flow(sync='note = "activity"\n') as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        person = _person(running, "Ola")
        await eventually(lambda: _at_propstreet(running, "contact", person))
        contact = (_at_propstreet(running, "contact", person) or {})["id"]
        vitec.add_note(person, "Ringte om kontor i Bodø")
        await eventually(lambda: len(propstreet.notes("contact", contact)) == 1)
        propstreet.add_note("contact", contact, "Wants a viewing", type="call")
        await eventually(lambda: len(vitec.notes_of(person)) == 2)
        assert {note["text"] for note in vitec.notes_of(person)} == {
            "Ringte om kontor i Bodø",
            "Call: Wants a viewing",
        }
        await eventually(running.idle)
        vitec.edit(person, note="Ser etter lager")
        await eventually(lambda: len(propstreet.notes("contact", contact)) == 3)
        await eventually(running.idle)
        assert len(vitec.notes_of(person)) == 2
        assert len(propstreet.notes("contact", contact)) == 3
        await running.check_log()


async def test_a_note_about_an_estate_goes_to_the_prospect_once(flow: Callable[..., Any]) -> None:
    async with flow(sync='note = "activity"\n') as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        person = _person(running, "Ola")
        estate = vitec.create_estate(
            "CommercialProperty", status="ForSale", description={"sellingHeading": "Lager"}
        )
        vitec.relate(person, estate, "Interested")
        await eventually(lambda: len(propstreet.records("prospect")) == 1)
        [prospect] = propstreet.records("prospect")
        vitec.add_note(person, "Vill se huset igen", estate)
        await eventually(lambda: len(propstreet.notes("prospect", prospect["id"])) == 1)
        propstreet.add_note("prospect", prospect["id"], "Asked for the plans")
        await eventually(lambda: len(vitec.notes_of(person)) == 2)
        await eventually(running.idle)
        assert len(propstreet.notes("prospect", prospect["id"])) == 2
        assert len(vitec.notes_of(person)) == 2
        await running.check_log()


async def test_an_estate_with_coordinates_has_a_property_too(flow: Callable[..., Any]) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        estate = vitec.create_estate(
            "CommercialProperty",
            status="ForSale",
            description={"sellingHeading": "Kontor i Umeå"},
            price={"price": 9_000_000},
            marketedAs="OfficeProperty",
            baseInformation={
                "objectAddress": {"city": "Umeå", "coordinate": {"longitud": 20.26, "latitud": 63.82}}
            },
        )
        await eventually(lambda: _at_propstreet(running, "property", estate))
        found = _at_propstreet(running, "property", estate) or {}
        assert found["name"] == "Kontor i Umeå"
        assert (found["location"]["latitude"], found["location"]["longitude"]) == (63.82, 20.26)
        assert found["categories"] == ["office"]
        vitec.edit_estate(estate, price={"price": 8_500_000})
        await eventually(
            lambda: (_at_propstreet(running, "property", estate) or {})["price"]["value"] == 8_500_000
        )
        await eventually(running.idle)
        assert len(propstreet.records("property")) == 1
        await running.check_log()


async def _held_entity(running: Flow, category: str) -> Any:
    conn = await running.connect()
    return await conn.fetchval(
        "SELECT state -> 'hold' ->> 'reason' FROM entities WHERE category = $1 AND state -> 'hold' ->> 'reason' IS NOT NULL",
        category,
    )
