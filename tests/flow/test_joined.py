"""What hangs on records of both vendors: who belongs to a company, notes, and the property behind an estate."""

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.flow.conftest import Flow, up

numbers = count(1)

SYNC = 'note = "activity"\nsignatory_links = true\nviewing_means_interested = true\n'


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world with everything switched on that can be joined."""
    async with up(tmp_path_factory.mktemp("town"), cluster, poll="500ms", sync=SYNC) as running:
        yield running


@pytest.fixture(scope="module")
async def keyed(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """A world where a keyword makes an investment strategy of a contact's note."""
    sync = 'note = "keyword"\nnote_keywords = ["MNOK"]\n'
    async with up(tmp_path_factory.mktemp("keyed"), cluster, poll="500ms", sync=sync) as running:
        yield running


def person(running: Flow, **fields: Any) -> str:
    """Somebody at Vitec with an address of their own."""
    number = next(numbers)
    email = {"emailAddress": f"joined{number}@example.no"}
    return running.world.vitec.create(
        "person", firstName=f"Nr {number}", lastName="Næss", email=email, **fields
    )


def company(running: Flow) -> str:
    """A company at Vitec."""
    return running.world.vitec.create("company", name=f"Skog {next(numbers)} AS")


def estate(running: Flow, **fields: Any) -> str:
    """An estate for sale."""
    heading = {"sellingHeading": f"Lager {next(numbers)}"}
    return running.world.vitec.create_estate("CommercialProperty", **{"description": heading, **fields})


async def known(running: Flow, category: str, *vitec_ids: str) -> list[str]:
    """Propstreet's ids of these, once they are there."""
    await eventually(lambda: all(running.named(category, each) for each in vitec_ids))
    return [running.named(category, each)["id"] for each in vitec_ids]


def links(running: Flow, at_company: str, at_person: str) -> list[Any]:
    """The job titles of the links between two at Propstreet."""
    rows = running.world.propstreet.records("link")
    return [
        row["jobTitle"] for row in rows if (row["companyId"], row["contactId"]) == (at_company, at_person)
    ]


def texts(running: Flow, category: str, record: str) -> list[str]:
    """The notes of a record at Propstreet."""
    return sorted(row["details"]["message"] for row in running.world.propstreet.notes(category, record))


def log(running: Flow, contact: str) -> list[str]:
    """Vitec's note log of a contact."""
    return sorted(note["text"] for note in running.world.vitec.notes_of(contact))


def is_held(
    running: Flow, category: str, vendor: str, record: str, reason: str
) -> Callable[[], Awaitable[bool]]:
    """Whether the entity of this record is held for this reason."""

    async def found() -> bool:
        entity = await running.entity(category, vendor, record)
        return entity is not None and entity.hold is not None and entity.hold.reason == reason

    return found


async def holds(running: Flow, category: str, record: str) -> int:
    """How often it was said that something of this record at Propstreet is held."""
    entity = await running.entity(category, "propstreet", record)
    assert entity is not None
    conn = await running.connect()
    counted = "SELECT count(*) FROM events WHERE stream = $1 AND type = 'CommandHeld'"
    return int(await conn.fetchval(counted, f"{category}:{entity.id}"))


# --- persons and companies ---


async def test_a_companys_contact_person_is_linked_and_nothing_is_unlinked(town: Flow) -> None:  # K1, K5
    skog, ola = company(town), person(town)
    town.world.vitec.connect(skog, ola)
    at_company, at_person = [*await known(town, "company", skog), *await known(town, "contact", ola)]
    await eventually(lambda: links(town, at_company, at_person) == [None])
    await eventually(town.idle)
    town.world.vitec.disconnect(skog, ola)
    await eventually(is_held(town, "link", "vitec", f"{skog}:{ola}", "removed"))
    assert links(town, at_company, at_person) == [None], "nothing is deleted"


async def test_a_link_made_at_propstreet_is_held_for_vitec(town: Flow) -> None:  # K3
    skog, eva = company(town), person(town)
    at_company, at_person = [*await known(town, "company", skog), *await known(town, "contact", eva)]
    made = town.world.propstreet.create("link", companyId=at_company, contactId=at_person)
    await eventually(lambda: town.held_for("link", "propstreet", made))
    assert await town.held_for("link", "propstreet", made) == [("vitec", "not_writable", ("job_title",))]


async def test_who_signs_for_a_company_is_linked_where_that_is_switched_on(town: Flow) -> None:  # K2
    skog, ida = company(town), person(town)
    town.world.vitec.connect(skog, ida, "CompanySignatory")
    at_company, at_person = [*await known(town, "company", skog), *await known(town, "contact", ida)]
    await eventually(lambda: links(town, at_company, at_person) == ["Firmatecknare"])


# --- viewings ---


async def test_whoever_comes_to_a_viewing_is_interested_where_that_is_switched_on(town: Flow) -> None:  # R6
    place, eager, cool = estate(town), person(town), person(town)
    town.world.vitec.relate(cool, place, "NotInterested")
    await known(town, "prospect", f"{place}:{cool}")
    town.world.vitec.add_viewing(place, [eager, cool])
    await known(town, "prospect", f"{place}:{eager}")
    await eventually(lambda: town.named("prospect", f"{place}:{eager}")["classification"] == "interested")
    await eventually(town.idle)
    assert town.named("prospect", f"{place}:{cool}")["classification"] == "not_interested"
    assert (place, eager) not in town.world.vitec.levels(), "no level is made of it at Vitec"


# --- notes ---


async def test_notes_are_carried_over_once_in_both_directions(town: Flow) -> None:  # N2, N18
    ola = person(town)
    [contact] = await known(town, "contact", ola)
    town.world.vitec.add_note(ola, "Ringte om kontor i Bodø")
    await eventually(lambda: texts(town, "contact", contact) == ["Ringte om kontor i Bodø"])
    town.world.propstreet.add_note("contact", contact, "Wants a viewing", type="call")
    both = ["Call: Wants a viewing", "Ringte om kontor i Bodø"]
    await eventually(lambda: log(town, ola) == both)
    town.world.vitec.edit(ola, note="Ser etter lager")
    await eventually(lambda: "Ser etter lager" in texts(town, "contact", contact))
    await town.settled()
    assert log(town, ola) == both
    assert len(texts(town, "contact", contact)) == 3


async def test_a_note_about_an_estate_goes_to_the_prospect_once(town: Flow) -> None:  # N10
    ola, place = person(town), estate(town)
    town.world.vitec.relate(ola, place, "Interested")
    [prospect] = await known(town, "prospect", f"{place}:{ola}")
    town.world.vitec.add_note(ola, "Vill se huset igen", place)
    await eventually(lambda: texts(town, "prospect", prospect) == ["Vill se huset igen"])
    town.world.propstreet.add_note("prospect", prospect, "Asked for the plans")
    both = ["Asked for the plans", "Vill se huset igen"]
    await eventually(lambda: log(town, ola) == both)
    await town.settled()
    assert (texts(town, "prospect", prospect), log(town, ola)) == (both, both)


async def test_a_note_removed_at_vitec_stays_at_propstreet_and_is_not_made_again(town: Flow) -> None:  # N16
    ola = person(town)
    [contact] = await known(town, "contact", ola)
    note = town.world.vitec.add_note(ola, "Ringer i morgen")
    await eventually(lambda: texts(town, "contact", contact) == ["Ringer i morgen"])
    await eventually(town.idle)
    town.world.vitec.remove_note(note)

    async def closed() -> bool:
        entity = await town.entity("note", "vitec", note)
        return entity is not None and entity.tombstone is not None

    await eventually(closed)
    await town.settled()
    assert texts(town, "contact", contact) == ["Ringer i morgen"]
    assert log(town, ola) == []


async def test_a_keyword_makes_a_strategy_of_a_note_and_other_texts_stay_notes(keyed: Flow) -> None:  # N3
    buyer, other = person(keyed, note="Ser etter kontor, 50 MNOK"), person(keyed, note="Ringer i morgen")
    at_buyer, at_other = await known(keyed, "contact", buyer, other)
    await eventually(lambda: keyed.named("contact", buyer)["strategy"] == "Ser etter kontor, 50 MNOK")
    await eventually(lambda: texts(keyed, "contact", at_other) == ["Ringer i morgen"])
    await eventually(keyed.idle)
    for contact in (at_buyer, at_other):
        keyed.world.propstreet.edit("contact", contact, strategy="Lager, 80 MNOK")
    await eventually(lambda: keyed.world.vitec.get(buyer)["note"] == "Lager, 80 MNOK")
    await eventually(lambda: keyed.held_for("contact", "vitec", other))
    assert await keyed.held_for("contact", "vitec", other) == [("vitec", "not_writable", ("strategy",))]
    await keyed.settled()
    assert keyed.world.vitec.get(other)["note"] == "Ringer i morgen", "the broker's note stays the broker's"
    assert keyed.named("contact", other)["strategy"] != "Ringer i morgen"
    assert (texts(keyed, "contact", at_buyer), log(keyed, other)) == ([], [])
    await keyed.check_log()


# --- properties ---


async def test_an_estate_with_coordinates_has_a_property_too(town: Flow) -> None:  # section 18
    coordinate = {"longitud": 20.26, "latitud": 63.82}
    place = estate(
        town,
        description={"sellingHeading": "Kontor i Umeå"},
        price={"price": 9_000_000},
        marketedAs="OfficeProperty",
        baseInformation={"objectAddress": {"city": "Umeå", "coordinate": coordinate}},
    )
    await known(town, "property", place)
    found = town.named("property", place)
    assert found["name"] == "Kontor i Umeå"
    assert (found["location"]["latitude"], found["location"]["longitude"]) == (63.82, 20.26)
    assert found["categories"] == ["office"]
    town.world.vitec.edit_estate(place, price={"price": 8_500_000})
    await eventually(lambda: town.named("property", place)["price"]["value"] == 8_500_000)
    await eventually(lambda: town.named("project", place)["price"]["value"] == 8_500_000)


async def test_what_is_hidden_later_is_taken_back_and_what_was_always_hidden_never_told(
    town: Flow,
) -> None:  # E6
    address = {"streetAddress": "Storgatan 1", "coordinate": {"longitud": 20.26, "latitud": 63.82}}
    fields: dict[str, Any] = {
        "description": None,
        "assignment": {"estatenumber": f"17-{next(numbers)}"},
        "price": {"price": 9_000_000},
        "baseInformation": {"objectAddress": address},
    }
    hidden = {"hideAddress": True, "hidePrice": True}
    shown, never = estate(town, **fields), estate(town, **fields, advertiseOn=hidden)
    await known(town, "property", shown)
    await known(town, "project", never)
    assert town.named("project", shown)["name"] == "Storgatan 1"
    await eventually(lambda: town.held_for("property", "vitec", never))
    assert [held[:2] for held in await town.held_for("property", "vitec", never)] == [
        ("propstreet", "invalid")
    ]
    town.world.vitec.edit_estate(shown, advertiseOn=hidden)
    await eventually(lambda: town.named("property", shown)["location"] is None)
    await eventually(lambda: town.named("project", shown)["price"] is None)
    await town.settled()
    assert town.named("property", shown)["price"] is None
    assert town.named("project", never)["price"] is None
    assert not town.named("property", never)
    number = fields["assignment"]["estatenumber"]
    assert {town.named("project", each)["name"] for each in (shown, never)} == {number}


async def test_the_log_of_all_of_this_is_sound(town: Flow) -> None:
    await town.check_log()


async def test_a_note_replaced_at_propstreet_is_no_second_note_at_vitec(town: Flow) -> None:  # N15
    ola, propstreet = person(town), town.world.propstreet
    [contact] = await known(town, "contact", ola)
    first = propstreet.add_note("contact", contact, "Budget 40")
    await eventually(lambda: log(town, ola) == ["Budget 40"])
    note = propstreet.activity.find(propstreet.store.find("contact", contact), first)
    body = {"action": "supersede", "supersede": {"message": "Budget 60"}}
    propstreet.activity.revise(note, body, "person", "*")
    [revision] = propstreet.notes("contact", contact)
    await eventually(lambda: town.held_for("note", "propstreet", revision["id"]))
    propstreet.add_note("contact", contact, "Called back")
    await eventually(lambda: log(town, ola) == ["Budget 40", "Called back"])
    assert await holds(town, "note", revision["id"]) == 1
