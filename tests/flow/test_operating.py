"""What an operator says on the command line, and what the running daemon makes of it."""

import getpass
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.world import TENANT
from daemon.storage import views
from tests.conftest import eventually
from tests.flow.conftest import SELDOM, Flow, up
from tests.flow.test_command_line import rows, toveis


@pytest.fixture(scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    """One daemon for every test here; each makes people of its own."""
    sync = 'first_sync = "now"\nnew_from_propstreet = "hold"'
    async with up(tmp_path_factory.mktemp("office"), cluster, poll=SELDOM, sync=sync) as running:
        yield running


async def said(office: Flow, *words: str) -> dict[str, Any]:
    """What a command tells as JSON; it must have gone well."""
    code, output, errors = await toveis(*words, "--config", str(office.config_file), "--json")
    assert code == 0, errors
    [told] = rows(output)
    return told


async def refused(office: Flow, *words: str) -> str:
    """Why a command was refused."""
    code, output, errors = await toveis(*words, "--config", str(office.config_file))
    assert (code, output) == (2, "")
    return errors


async def held(office: Flow, record: str, reason: str = "new", vendor: str = "propstreet") -> str:
    """The id of a contact's entity, once it is held for this reason."""

    async def found() -> str | None:
        entity = await office.entity("contact", vendor, record)
        hold = entity.hold if entity is not None else None
        return entity.id if entity is not None and hold is not None and hold.reason == reason else None

    name: str = await eventually(found)
    return name


def new(office: Flow, name: str, **fields: Any) -> str:
    """A contact that somebody makes at Propstreet; its id there."""
    email = f"{name.lower()}@example.se"
    return office.world.propstreet.create(
        "contact", **{"firstName": name, "lastName": "Ek", "email": email, **fields}
    )


async def linked_with(office: Flow, record: str) -> str | None:
    """The id at Vitec of a Propstreet contact's counterpart."""
    entity = await office.entity("contact", "propstreet", record)
    side = entity.sides.get("vitec") if entity is not None else None
    return side.record if side is not None else None


async def test_a_new_contact_is_held_and_its_release_by_a_part_of_its_id_creates_it(office: Flow) -> None:
    record = new(office, "Berit")
    entity = await held(office, record)
    _, output, _ = await toveis("commands", "--held", "--json", "--config", str(office.config_file))
    assert (entity, "new") in {(row["id"], row["reason"]) for row in rows(output)}
    told = await said(office, "release", entity[:12])
    assert (told["id"], told["done"], told["reason"]) == (entity, "released", "new")
    assert (told["by"], told["then"]) == (getpass.getuser(), "created at Vitec")
    made = await eventually(partial(linked_with, office, record))
    assert office.world.vitec.get(made)["firstName"] == "Berit"
    _, output, _ = await toveis("history", "contact", entity, "--config", str(office.config_file), "--json")
    [event] = [each for each in rows(output) if each["origin"] == "operator"]
    assert event["summary"] == f"released ({getpass.getuser()}): new"
    assert "it is not held" in await refused(office, "release", told["id"])
    await office.check_log()


async def test_what_is_listed_fits_a_terminal_and_the_ids_in_it_are_enough(office: Flow) -> None:
    record = new(office, "Åse-Marie")
    entity = await held(office, record)
    config = ("--config", str(office.config_file))
    code, output, _ = await toveis("commands", "--held", *config)
    assert (code, max(map(len, output.splitlines())) <= 80) == (0, True)
    [line] = [line for line in output.splitlines() if f"contact {entity}: new" in line]
    assert (await said(office, "discard", line.split()[0]))["id"] == entity
    assert (await toveis("commands", "--dead", *config))[1] == "nothing was refused\n"


async def test_a_hold_that_is_discarded_is_listed_no_more(office: Flow) -> None:
    record = new(office, "Cilla")
    entity = await held(office, record)
    await said(office, "discard", entity)

    async def quiet() -> bool:
        return entity not in {each.entity for each in await views.held(await office.connect(), TENANT)}

    await eventually(quiet)
    assert await linked_with(office, record) is None


async def test_an_operator_links_two_records_and_parts_them_again(office: Flow) -> None:
    record = new(office, "Doris", phone="+46701740601")
    await held(office, record)
    at_vitec = office.world.vitec.create(
        "person",
        firstName="Doris",
        lastName="Ek",
        email={"emailAddress": "d.ek@example.se"},
        telephone={"cell": "0701740601"},
    )
    await held(office, at_vitec, "contradiction", "vitec")
    told = await said(office, "link", "contact", f"vitec:{at_vitec}", "doris@example.se")
    assert told["records"] == [f"vitec:{at_vitec}", f"propstreet:{record}"]
    assert await eventually(partial(linked_with, office, record)) == at_vitec
    reference = {"namespace": "vitec-next", "id": at_vitec}
    await eventually(lambda: reference in office.world.propstreet.get("contact", record)["externalRefs"])
    await eventually(office.idle)
    assert (await said(office, "link", "contact", at_vitec, record))["then"] == "they are linked already"

    await said(office, "unlink", "contact", told["entity"], "--reason", "mother and daughter")

    async def apart() -> bool:
        return await linked_with(office, record) is None

    await eventually(apart)
    await office.settled()
    assert await linked_with(office, record) is None
    _, output, _ = await toveis(
        "history", "contact", f"propstreet:{record}", "--config", str(office.config_file), "--json"
    )
    assert f"link closed ({getpass.getuser()}): mother and daughter" in {
        each["summary"] for each in rows(output)
    }
    await office.check_log()


async def test_a_link_to_a_record_that_has_one_names_it_and_says_what_to_do(office: Flow) -> None:
    pair = [new(office, "Edith"), new(office, "Fanny")]
    for record in pair:
        await said(office, "release", await held(office, record))
    first, _ = [await eventually(partial(linked_with, office, record)) for record in pair]
    errors = await refused(office, "link", "contact", first, pair[1])
    assert "toveis unlink contact" in errors
    assert first in errors


async def test_an_unknown_id_says_where_the_ids_are(office: Flow) -> None:
    for verb in ("release", "retry", "discard"):
        assert "toveis commands" in await refused(office, verb, "nothing-has-it")
    assert "matches" in await refused(office, "link", "contact", "vitec:NONE", "propstreet:0")


async def test_what_waits_for_a_vendor_that_refused_us_is_sent_at_the_retry(office: Flow) -> None:
    vitec = office.world.vitec
    record = new(office, "Greta")
    await said(office, "release", await held(office, record))
    at_vitec = await eventually(partial(linked_with, office, record))
    await office.settled()
    vitec.switches.vs31 = True
    office.world.propstreet.edit("contact", record, firstName="Gretha")
    await eventually(lambda: "deliver.closed" in office.daemon.log_file.read_text())
    vitec.switches.vs31 = False
    [command] = await views.commands_in(await office.connect(), TENANT, ("pending",))
    told = await said(office, "retry", command.command)
    assert (told["done"], told["category"]) == ("retried", "contact")
    await eventually(lambda: vitec.get(at_vitec)["firstName"] == "Gretha")
    await office.settled()
