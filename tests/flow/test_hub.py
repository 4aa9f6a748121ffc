"""A tenant of Vitec Next (Hub): its estates become projects, nothing is written there, and the rest is not available."""

import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from daemon.embedded_postgres import EmbeddedPostgres
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_hub import VitecHubTwin
from daemon.sandbox.world import TENANT, WEBHOOK_SECRET, World, free_port
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import toveis

VILLA = {"streetAdress": "Fjordveien 1", "zipCode": "0250", "city": "Oslo", "assignmentNum": "1-26-0001"}
PATH_SECRET = "a-path-secret-for-the-hub"
LIST = ("GET", "/{installation}/Estates")
DETAIL = ("GET", "/{installation}/Estates/{id}")

CONFIGURATION = """\
[database]
data_dir = {data_dir}

[http]
port = {port}

[[tenants]]
name = "{tenant}"

[tenants.vitec]
product = "hub"
base_url = "{vitec}"
customer_id = "{installation}"
username = "{username}"
password = "{password}"
webhook_secret = "{path_secret}"
poll_interval = "{poll}"

[tenants.propstreet]
base_url = "{propstreet}"
client_id = "{client_id}"
client_secret = "{client_secret}"
webhook_secret = "{webhook_secret}"
poll_interval = "{poll}"

[tenants.sync]
first_sync = "now"
note = "activity"
categories = {{ "Investor" = "investor" }}
"""


class HubWorld:
    """The Hub and Propstreet, and where a daemon finds them."""

    def __init__(
        self, hub: VitecHubTwin, propstreet: PropstreetTwin, hub_url: str, propstreet_url: str, password: str
    ) -> None:
        self.hub = hub
        self.propstreet = propstreet
        self._urls = (hub_url, propstreet_url)
        self._password = password
        self.port = free_port()
        self.daemon_url = f"http://127.0.0.1:{self.port}"

    def configuration(self, data_dir: Path, poll: str) -> str:
        """The text of a configuration file."""
        return CONFIGURATION.format(
            data_dir=json.dumps(str(data_dir)),
            port=self.port,
            tenant=TENANT,
            vitec=self._urls[0],
            installation=self.hub.installation,
            username=self.hub.username,
            password=self._password,
            path_secret=PATH_SECRET,
            poll=poll,
            propstreet=self._urls[1],
            client_id=self.propstreet.client_id,
            client_secret=self.propstreet.client_secret,
            webhook_secret=WEBHOOK_SECRET,
        )


class HubFlow(Flow):
    """The daemon of a Hub tenant, and what it did at the Hub."""

    def __init__(self, place: HubWorld, directory: Path) -> None:
        super().__init__(cast(World, place), directory, "100ms")
        self.hub = place.hub

    def project(self, estate: str) -> dict[str, Any]:
        """The project of an estate; empty when there is none."""
        return self.named("project", estate)

    async def name_is_held(self, estate: str) -> bool:
        """Whether another name waits at Propstreet that cannot be written to the Hub."""
        held = await self.held_for("project", "vitec", estate)
        return ("vitec", "not_writable", ("name",)) in held

    async def polled(self) -> None:
        """The Hub was asked for its list twice, and what came of it is dealt with."""
        asked = self.hub.journal.reads[LIST]
        await eventually(lambda: self.hub.journal.reads[LIST] >= asked + 2)
        await eventually(self.idle)


@asynccontextmanager
async def up(directory: Path, cluster: Path, *, password: str = "twin-password") -> AsyncIterator[HubFlow]:
    """Both twins and a daemon between them."""
    hub, propstreet = VitecHubTwin(seed=7), PropstreetTwin(seed=7, limits=None)
    async with serve(hub.app) as hub_url, serve(propstreet.app) as propstreet_url:
        place = HubWorld(hub, propstreet, hub_url, propstreet_url, password)
        running = HubFlow(place, directory)
        shutil.copytree(cluster, running.data)
        try:
            await running.daemon.start()
            propstreet.add_webhook(f"{place.daemon_url}/webhooks/propstreet/{TENANT}", secret=WEBHOOK_SECRET)
            yield running
        finally:
            await running.forget_connection()
            await running.daemon.stop()
            await propstreet.close()


@pytest.fixture(scope="module")
async def norway(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[HubFlow]:
    async with up(tmp_path_factory.mktemp("norway"), cluster) as running:
        yield running
        # whatever the tests did: nothing was written to the Hub, nothing but estates was read, all is in the log
        assert running.hub.journal.writes() == []
        assert set(running.hub.journal.reads) == {LIST, DETAIL}
        await running.check_log()


async def test_an_estate_becomes_a_project_with_its_reference_and_its_address(norway: HubFlow) -> None:
    villa, plot = norway.hub.create_estate(**VILLA), norway.hub.create_estate(assignmentNum="1-26-0002")
    await eventually(lambda: norway.project(villa) and norway.project(plot))
    assert norway.project(villa)["name"] == "Fjordveien 1, Oslo"
    assert norway.project(plot)["name"] == "1-26-0002"
    await norway.polled()
    assert not await norway.name_is_held(villa)
    rows = norway.world.propstreet.records("project")
    assert len([row for row in rows if row["name"] == "Fjordveien 1, Oslo"]) == 1


async def test_an_edit_at_the_hub_arrives(norway: HubFlow) -> None:
    estate = norway.hub.create_estate(**VILLA)
    await eventually(lambda: norway.project(estate))
    norway.hub.edit_estate(estate, streetAdress="Fjordveien 2")
    await eventually(lambda: norway.project(estate)["name"] == "Fjordveien 2, Oslo")


async def test_a_name_edited_at_propstreet_is_held_until_the_hub_has_another(norway: HubFlow) -> None:
    estate = norway.hub.create_estate(**VILLA)
    await eventually(lambda: norway.project(estate))
    await norway.polled()
    norway.world.propstreet.edit("project", norway.project(estate)["id"], name="Villa ved fjorden")
    await eventually(lambda: norway.name_is_held(estate))
    await norway.polled()
    assert norway.project(estate)["name"] == "Villa ved fjorden"
    norway.hub.edit_estate(estate, streetAdress="Fjordveien 3")
    await eventually(lambda: norway.project(estate)["name"] == "Fjordveien 3, Oslo")
    await norway.polled()
    assert not await norway.name_is_held(estate)


async def test_a_project_that_is_new_at_propstreet_is_held(norway: HubFlow) -> None:
    project = norway.world.propstreet.create("project", name="Kvarnen")

    async def held() -> bool:
        found = await norway.held_for("project", "propstreet", project)
        return [(target, reason) for target, reason, _ in found] == [("vitec", "not_writable")]

    await eventually(held)


async def test_an_estate_is_gone_when_the_hub_says_so_and_its_project_is_left(norway: HubFlow) -> None:
    estate = norway.hub.create_estate(**VILLA)
    await eventually(lambda: norway.project(estate))
    await norway.polled()
    norway.hub.remove_estate(estate)

    async def gone() -> bool:
        entity = await norway.entity("project", "vitec", estate)
        return entity is not None and entity.tombstone is not None

    await eventually(gone)
    assert norway.project(estate)


async def test_an_estate_that_is_only_missing_in_the_list_stays(
    norway: HubFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = norway.hub.create_estate(**VILLA)
    await eventually(lambda: norway.project(estate))
    await norway.polled()
    read = norway.hub.journal.reads[DETAIL]
    monkeypatch.setattr(norway.hub, "estates", list)
    await eventually(lambda: norway.hub.journal.reads[DETAIL] > read)
    await norway.polled()
    entity = await norway.entity("project", "vitec", estate)
    assert entity is not None
    assert entity.tombstone is None
    assert entity.sides["vitec"].gone is None


async def test_a_contact_at_propstreet_is_recorded_and_goes_nowhere(norway: HubFlow) -> None:
    contact = norway.world.propstreet.create("contact", firstName="Kari", email="kari@example.no")

    async def recorded() -> bool:
        return await norway.entity("contact", "propstreet", contact) is not None

    await eventually(recorded)
    await norway.polled()
    entity = await norway.entity("contact", "propstreet", contact)
    assert entity is not None
    assert (entity.pending, entity.hold, entity.blocked) == ({}, None, {})


async def test_notifications_and_leads_are_refused_and_never_swallowed(norway: HubFlow) -> None:
    lead = {"customer": {"customer_id": norway.hub.installation}, "name": "Kari", "email": "kari@example.no"}
    url = norway.world.daemon_url
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/webhooks/vitec/{TENANT}/{PATH_SECRET}", json={"id": "1"}) as answer:
            assert answer.status == 404
        async with session.post(f"{url}/lead", json=lead) as answer:
            assert answer.status == 422
        async with session.get(
            f"{url}/lead-sources", params={"customer_id": norway.hub.installation}
        ) as answer:
            assert await answer.json() == []


async def test_status_tells_what_is_not_available(norway: HubFlow) -> None:
    await norway.polled()
    config = ("--config", str(norway.config_file))
    code, output, errors = await toveis("status", *config, "--json")
    assert code == 0, errors
    [state] = map(json.loads, output.splitlines())
    assert state["capabilities"]["project"]["read"] == "yes"
    assert state["capabilities"]["project"]["write"] == "not_writable"
    assert state["capabilities"]["contact"] == {
        "read": "not_readable",
        "write": "not_writable",
        "why": "not available for Vitec Next (Hub)",
    }
    assert state["subscription"]["vitec"]["told"] == "not available for Vitec Next (Hub)"
    assert set(state["sources"]) == {"vitec:project", "propstreet:project"}
    assert all(source["complete"] for source in state["sources"].values())
    code, output, _ = await toveis("status", "--capabilities", *config)
    assert code == 0
    assert "not available for Vitec Next (Hub)" in output


async def test_a_reached_limit_is_waited_for_as_long_as_the_hub_says(norway: HubFlow) -> None:
    norway.hub.retry_after = 2
    norway.hub.faults.plan("429")
    await eventually(lambda: norway.hub.faults.struck["429"])
    struck, asked = time.monotonic(), norway.hub.journal.reads.total()
    await eventually(lambda: norway.hub.journal.reads.total() > asked)
    assert time.monotonic() - struck >= 1.9
    estate = norway.hub.create_estate(**VILLA)
    await eventually(lambda: norway.project(estate))


async def test_a_wrong_key_lets_the_tenant_rest_for_a_day(tmp_path: Path, cluster: Path) -> None:
    async with up(tmp_path, cluster, password="another-password") as running:

        def rested() -> list[dict[str, Any]]:
            lines = map(json.loads, running.daemon.log_file.read_text("utf-8").splitlines())
            return [line for line in lines if line["event"] == "service.resting"]

        await eventually(rested)
        [line] = rested()
        assert (line["stage"], line["reason"]) == ("poll vitec:project", "AccessDenied")
        assert line["seconds"] == 86_400
        project = running.world.propstreet.create("project", name="Kvarnen")

        async def recorded() -> bool:
            return await running.entity("project", "propstreet", project) is not None

        await eventually(recorded)
        await eventually(running.idle)
        assert running.hub.journal.reads.total() == 1  # asked once, refused, and left alone
        assert await running.held_for("project", "propstreet", project) == []  # the Hub was never seen whole


async def test_a_project_is_found_again_by_its_reference_after_the_database_was_lost(
    tmp_path: Path, cluster: Path
) -> None:
    async with up(tmp_path, cluster) as running:
        estate = running.hub.create_estate(**VILLA)
        await eventually(lambda: running.project(estate))
        await running.forget_connection()
        await running.daemon.stop()
        shutil.rmtree(running.data)
        with EmbeddedPostgres(running.data, own=True):
            pass
        await running.daemon.start()
        running.hub.edit_estate(estate, city="Bergen")
        await eventually(lambda: running.project(estate)["name"] == "Fjordveien 1, Bergen")
        assert len(running.world.propstreet.records("project")) == 1
