"""`toveis webhooks` beside a running daemon, and an hour in which no vendor tells us anything."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.domain.subscriptions import EVENTS
from daemon.sandbox.agreement import differences
from daemon.sandbox.twins.propstreet.webhooks import Webhook
from daemon.sandbox.world import PATH_SECRET, TENANT
from daemon.storage import working
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import rows, toveis

Up = Callable[..., Any]
FOREIGN = ("http://127.0.0.1:9/somebody/else", ["company.deleted"])


def ours(running: Flow) -> Webhook:
    """The daemon's webhook."""
    address = f"{running.world.daemon_url}/webhooks/propstreet/{TENANT}"
    [found] = [hook for hook in running.world.propstreet.webhooks.all.values() if hook.url == address]
    return found


def registered(running: Flow) -> bool:
    """The daemon has made its webhook."""
    return any(hook.url != FOREIGN[0] for hook in running.world.propstreet.webhooks.all.values())


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    async with up(tmp_path_factory.mktemp("town"), cluster, registers=True) as running:
        running.world.propstreet.add_webhook(*FOREIGN)
        await eventually(lambda: registered(running))
        yield running


async def ask(running: Flow, *words: str) -> tuple[int, str, str]:
    return await toveis("webhooks", *words, "--config", str(running.config_file))


async def test_the_list_tells_ours_from_those_of_others_and_how_to_ask_vitec(town: Flow) -> None:
    code, output, errors = await ask(town, "list", "--json")
    assert (code, errors) == (0, "")
    *hooks, vitec = rows(output)
    by_address = {row["address"]: row for row in hooks}
    own, other = by_address[ours(town).url], by_address[FOREIGN[0]]
    assert (own["ours"], own["status"], own["failures"]) == (True, "on", 0)
    assert own["events"] == sorted(EVENTS)
    assert (other["ours"], other["events"]) == (False, ["company.deleted"])
    assert vitec["customer_id"] == town.world.vitec.customer_id
    assert vitec["address"].endswith(f"/webhooks/vitec/{TENANT}/<vitec.webhook_secret>")
    assert {"Contact", "Estate", "EstateContact", "Merge"} <= {each["type"] for each in vitec["events"]}
    assert PATH_SECRET not in output
    assert ours(town).secret not in output
    code, output, _ = await ask(town, "list")
    assert code == 0
    assert "not ours" in output
    assert f"for customer {town.world.vitec.customer_id}" in output
    assert PATH_SECRET not in output
    code, output, _ = await ask(town, "list", "--show-secret")
    assert f"/webhooks/vitec/{TENANT}/{PATH_SECRET}" in output


async def test_a_test_delivery_is_followed_into_the_log(town: Flow) -> None:
    code, output, _ = await ask(town, "test", "--json")
    assert code == 0
    assert rows(output)[0]["arrived"] is True
    code, output, _ = await ask(town, "test")
    assert (code, "arrived" in output) == (0, True)
    town.world.propstreet.faults.delivery.wrong_signature = 1.0
    code, output, _ = await ask(town, "test")
    town.world.propstreet.faults.delivery.wrong_signature = 0.0
    assert code == 1
    assert "did not arrive: it is signed with a secret that we do not know" in output


async def test_register_does_at_once_what_the_daemon_would_do_and_replay_fetches_what_failed(
    town: Flow,
) -> None:
    propstreet = town.world.propstreet
    before = ours(town)
    code, output, _ = await ask(town, "register", "--json")
    assert (code, rows(output)[0]["done"]) == (0, [])
    propstreet.webhooks.disable(before)
    code, _, errors = await ask(town, "replay")
    assert (code, "toveis webhooks register" in errors) == (2, True)

    async def is_switched_on() -> bool:
        """The daemon, which looks once a minute, may be faster."""
        propstreet.webhooks.disable(before)
        code, output, _ = await ask(town, "register")
        assert code == 0
        return f"switched webhook {before.id} on again" in output

    await eventually(is_switched_on, 60.0)
    assert before.active
    propstreet.webhooks.remove(before)
    code, output, _ = await ask(town, "register", "--json")
    [told] = rows(output)
    assert (code, told["state"], told["done"], told["address"]) == (0, "working", ["register"], before.url)
    assert ours(town).secret not in output
    assert (await ask(town, "test"))[0] == 0
    propstreet.faults.delivery.wrong_signature = 1.0
    propstreet.create("contact", firstName="Anna", email="anna@example.se")
    await eventually(lambda: any(each.status == "failed" for each in ours(town).deliveries))
    propstreet.faults.delivery.wrong_signature = 0.0
    code, output, _ = await ask(town, "replay", "--since", "1h ago", "--json")
    assert (code, rows(output)[0]["replayed"]) == (0, 1)
    await eventually(lambda: all(each.status == "delivered" for each in ours(town).deliveries))


async def test_status_tells_how_each_subscription_is_and_what_came_last(town: Flow) -> None:
    assert (await ask(town, "test"))[0] == 0
    conn = await town.connect()
    await working.ask_again(conn, TENANT)  # the keeper looks now, and not in a minute

    async def told() -> Any:
        _, output, _ = await toveis("status", "--json", "--config", str(town.config_file))
        subscription = rows(output)[0]["subscription"]
        return subscription if subscription["propstreet"]["last_delivery"] else None

    found = await eventually(told, timeout=30)
    assert found["propstreet"]["state"] == "working"
    assert found["propstreet"]["since"] <= found["propstreet"]["looked_at"]
    assert found["vitec"]["state"] in ("unheard", "working")
    _, output, _ = await toveis("status", "--config", str(town.config_file))
    assert "webhooks of propstreet  working since" in output
    assert max(map(len, output.splitlines())) <= 110


async def test_what_cannot_be_asked_is_said_with_its_exit_code(town: Flow, tmp_path: Path) -> None:
    text = town.config_file.read_text("utf-8")
    mistakes = {
        2: text.replace(f'client_secret = "{town.world.propstreet.client_secret}"', 'client_secret = "x"'),
        1: text.replace(town.world.propstreet_url, "http://127.0.0.1:9"),
    }
    for code, changed in mistakes.items():
        file = tmp_path / f"{code}.toml"
        file.write_text(changed, "utf-8")
        found, _, errors = await toveis("webhooks", "list", "--config", str(file))
        assert (found, "Traceback" in errors, "Propstreet" in errors) == (code, False, True)
    file = tmp_path / "nowhere.toml"
    file.write_text("\n".join(line for line in text.splitlines() if "public_url" not in line), "utf-8")
    for command in ("register", "test", "replay"):
        found, _, errors = await toveis("webhooks", command, "--config", str(file))
        assert (found, "http.public_url" in errors) == (2, True)


@pytest.mark.parametrize("command", ["list", "register", "test", "replay"])
async def test_every_command_of_webhooks_has_a_help_with_an_example(command: str) -> None:
    code, output, _ = await toveis("webhooks", command, "--help")
    assert code == 0
    assert f"Example:  toveis webhooks {command}" in output


class Hour:
    """The vendors' clock: an hour behind, until the hour has passed."""

    def __init__(self) -> None:
        self.behind = timedelta(hours=1)

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self.behind


async def test_an_hour_without_any_notification_is_made_up_for_one_poll_later(flow: Up) -> None:
    async with flow(registers=True, poll="1s") as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        await eventually(lambda: registered(running))
        assert (await ask(running, "test"))[0] == 0  # it has worked
        hour = Hour()
        for twin in (vitec, propstreet):
            _tell_time(twin, hour)
        vitec.faults.delivery.drop = 1.0
        propstreet.webhooks.disable(ours(running))
        propstreet.faults.plan("503", path_contains="webhooks", times=1000)  # nor can anybody look
        person = vitec.create("person", lastName="Lie", email={"emailAddress": "eva@example.no"})
        await eventually(lambda: propstreet.records("contact"))
        [there] = propstreet.records("contact")
        for n in range(12):  # every five minutes of theirs
            hour.behind -= timedelta(minutes=5)
            propstreet.edit("contact", there["id"], phone=f"+47400000{n:02}")
            vitec.edit(person, lastName=f"Lie {n}")
            vitec.create("person", lastName=f"Ny {n}", email={"emailAddress": f"ny{n}@example.no"})

        await running.settled()  # what polls see that began after it all
        assert not ours(running).active
        assert differences(vitec, propstreet) == []
        assert len(propstreet.records("contact")) == 13
        assert vitec.get(person)["telephone"]["cell"].endswith("11")

        propstreet.faults.clear()
        await working.ask_again(await running.connect(), TENANT)  # the keeper looks now, and not in a minute
        await eventually(lambda: ours(running).active, timeout=30)
        propstreet.edit("contact", there["id"], phone="+4740000099")
        await eventually(lambda: ours(running).deliveries[-1].status == "delivered", timeout=30)
        await eventually(lambda: vitec.get(person)["telephone"]["cell"].endswith("99"), timeout=30)
        await running.check_log()


def _tell_time(twin: Any, clock: Callable[[], datetime]) -> None:
    """Every part of a twin goes by this clock from now on."""
    for part in (twin, *vars(twin).values()):
        if callable(getattr(part, "clock", None)):
            part.clock = clock
