"""The vendors' own printed records, as the daemon takes them in and as the operator reads them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import toveis

PAYLOADS = Path(__file__).parent.parent / "payloads"


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    async with up(tmp_path_factory.mktemp("town"), cluster) as running:
        yield running


async def story(running: Flow, *words: str) -> str:
    """What `toveis history` tells, on one line."""
    code, output, errors = await toveis("history", *words, "--config", str(running.config_file))
    assert code == 0, errors
    return " ".join(output.split())


async def post(running: Flow, path: str, body: bytes) -> int:
    """Somebody else's program posts this to Propstreet, byte for byte."""
    propstreet, base = running.world.propstreet, running.world.propstreet_url
    login = {
        "grant_type": "client_credentials",
        "client_id": propstreet.client_id,
        "client_secret": propstreet.client_secret,
        "scope": "api:public",
    }
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{base}/openid/token", data=login) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with session.post(f"{base}{path}", data=body, headers=headers) as answer:
            return answer.status


async def test_the_printed_contact_is_read_and_stands_in_its_history(town: Flow) -> None:
    """Its country is longer than a code, and its categories are nobody's: a user could not enter these."""
    printed: dict[str, Any] = msgspec.json.decode((PAYLOADS / "vitec/crm_contact.json").read_bytes())
    address = {part: text for part, text in printed["address"].items() if part != "countryCode"}
    contact = town.world.vitec.create(
        "person",
        agentId=printed["agentId"],
        address=address,
        email=printed["email"],
        advertisingEnabled=printed["advertisingEnabled"],
        note=printed["note"],
    )
    known = town.world.vitec.get(contact)
    assert (known["email"], known["note"]) == (printed["email"], printed["note"])

    async def is_known() -> bool:
        entity = await town.entity("contact", "vitec", contact)
        return entity is not None and "email" in entity.sides["vitec"].shadow

    await eventually(is_known)
    told = await story(town, "contact", f"vitec:{contact}")
    assert f"email {printed['email']['emailAddress']}" in told
    assert f"strategy {printed['note']}" in told
    assert printed["email"]["emailAddress2"] not in told  # C4


async def test_the_printed_project_is_found_by_its_name_and_names_the_estate_that_vitec_lacks(
    town: Flow,
) -> None:
    printed = (PAYLOADS / "propstreet/project_post.json").read_bytes()
    assert await post(town, "/api/v1/projects", printed) == 201
    [project] = town.world.propstreet.records("project")

    async def is_decided() -> bool:
        return bool(await town.held_for("project", "propstreet", project["id"])) or await town.idle()

    await eventually(lambda: town.entity("project", "propstreet", project["id"]))
    await eventually(is_decided)
    told = await story(town, "project", "Oslo Commercial Property")
    assert "name Oslo Commercial Property" in told
    assert told == await story(town, "project", f"propstreet:{project['id']}")
