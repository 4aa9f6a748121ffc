"""The keeper before a Propstreet that switches off, forgets, redirects and refuses; and vendors who tell us nothing."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from daemon import telemetry
from daemon.domain.errors import UnknownOutcome
from daemon.domain.events import Reading
from daemon.domain.settings import Secret
from daemon.domain.streams import PROPSTREET, VITEC, record_stream
from daemon.domain.subscriptions import EVENTS
from daemon.ingest.keyring import PAUSE
from daemon.ingest.subscriptions import LOOK, SubscriptionKeeper
from daemon.policies.subscribing import MANY
from daemon.processor import Tenant
from daemon.sandbox.twins.propstreet import Switches
from daemon.storage import subscriptions
from daemon.storage.connection import owner
from tests.conftest import eventually
from tests.integration.annals import TENANT
from tests.integration.ground import pool_at, read, tenant_at, whole_log
from tests.integration.open_port import serving
from tests.integration.subscription_bench import FOREIGN, Scene, complete, scene, settings_of

CONFIGURED = "whsec_" + base64.b64encode(b"the operator's own key").decode()
BODY = b'{"type": "contact.updated", "data": {"id": "1"}}'


@pytest.fixture
async def at(database: str) -> AsyncIterator[Scene]:
    async with scene(database) as one:
        yield one


def untouched(at: Scene) -> bool:
    """Webhooks of others are as they were."""
    return at.others == [(*FOREIGN, True)]


def key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))


# -- registering


@pytest.mark.parametrize("mode", ["live", "observe"])
async def test_a_daemon_without_a_webhook_makes_one_and_understands_what_it_brings(
    database: str, mode: str
) -> None:
    async with scene(database, mode=mode) as at:
        await at.look()
        [hook] = at.ours
        assert complete(hook)
        assert len(hook.events) == 15
        assert await at.secrets() == {hook.id: hook.secret}
        assert await at.arrives("Anna")
        assert (hook.failures, (await at.health()).state) == (0, "working")
        assert untouched(at)
        await at.look(minutes=1)
        assert at.calls("POST", "/webhooks") == 1
        assert (await at.health()).heard_at is not None


async def test_four_looks_fit_into_the_five_minutes_within_which_a_fault_is_found(at: Scene) -> None:
    assert at.keeper.every == LOOK
    assert timedelta(minutes=5).total_seconds() > 4 * LOOK


async def test_a_secret_outlives_a_restart_and_is_known_to_other_daemons(at: Scene) -> None:
    async with tenant_at(at.dsn) as other:
        other.settings = settings_of()
        async with serving(other, dsn=at.dsn) as early:
            assert await early.deliver(BODY) == 401
            await at.look()
            [hook] = at.ours
            await asyncio.sleep(PAUSE)  # so often the open port looks for new keys
            assert await early.deliver(BODY, key=key(hook.secret)) == 200
            assert await early.deliver(BODY, key=b"another") == 401
        async with serving(other, dsn=at.dsn) as later:
            assert await later.deliver(BODY, key=key(hook.secret)) == 200
    other_tenant = [event for event in await whole_log(at.dsn) if event.stream.startswith("contact")]
    assert len(other_tenant) == 2


async def test_a_secret_of_one_tenant_opens_no_other(at: Scene) -> None:
    await at.look()
    [hook] = at.ours
    async with tenant_at(at.dsn, "bergen") as bergen:
        bergen.settings = msgspec.structs.replace(settings_of(), name="bergen")
        async with serving(bergen, dsn=at.dsn) as port:
            assert await port.deliver(BODY, tenant="bergen", key=key(hook.secret)) == 401


async def test_a_configured_secret_counts_and_propstreets_own_counts_beside_it(database: str) -> None:
    async with scene(database, secret=CONFIGURED) as at:
        await at.look()
        [hook] = at.ours
        assert hook.secret != CONFIGURED
        assert await at.arrives("Anna")
        assert await at.port.deliver(BODY, key=key(CONFIGURED)) == 200
        assert await at.port.deliver(BODY, key=b"another") == 401


async def test_a_webhook_of_the_operators_with_the_configured_secret_is_all_there_is_to_have(
    database: str,
) -> None:
    async with scene(database, secret=CONFIGURED) as at:
        at.twin.add_webhook(at.address, secret=CONFIGURED)
        await at.look()
        assert len(at.ours) == 1
        assert await at.secrets() == {}
        assert await at.arrives("Anna")


async def test_a_webhook_at_our_address_that_nobody_can_verify_is_left_and_ours_made_beside_it(
    at: Scene,
) -> None:
    at.twin.add_webhook(at.address)
    await at.look()
    theirs, ours = at.ours
    assert await at.secrets() == {ours.id: ours.secret}
    assert theirs.active
    await at.look(minutes=5)
    assert at.ours == [theirs, ours]


async def test_a_registration_whose_answer_was_lost_is_made_up_for(at: Scene) -> None:
    at.twin.faults.plan("drop_after", method="POST", path_contains="webhooks")
    with pytest.raises(UnknownOutcome):
        await at.look()
    assert len(at.ours) == 1
    assert await at.secrets() == {}
    await at.look(minutes=1)
    assert await at.arrives("Anna")
    for _ in range(5):
        await at.look(minutes=5)
    assert len(at.ours) == 2


async def test_without_a_public_address_nobody_is_asked_and_nothing_registered(database: str) -> None:
    async with scene(database, known=False) as at:
        await at.look()
        assert at.calls("GET", "/webhooks") == at.calls("POST", "/webhooks") == 0
        assert (await at.health()).state == "none"
        at.tenant.settings = settings_of(webhook_secret=Secret(CONFIGURED))
        await at.look()
        assert (await at.health()).state == "unwatched"


async def test_an_address_that_propstreet_refuses_is_said_and_not_asked_for_at_every_look(
    at: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    keeper = SubscriptionKeeper(at.tenant, at.client, "http://sync.example.no/webhooks/propstreet/oslo")
    for _ in range(10):
        at.clock.pass_(minutes=1)
        await keeper.tick()
    assert at.calls("POST", "/webhooks") <= 4  # after 0, 1, 3 and 7 minutes
    assert (await at.health()).state == "missing"
    said = capfd.readouterr().err
    assert '"kind": "Register"' in said
    assert '"reason": "url"' in said


# -- mending


@pytest.mark.parametrize("how", ["patch", "put", "anew"])
async def test_a_webhook_that_was_switched_off_works_again_and_the_gap_is_filled(
    database: str, how: Any
) -> None:
    async with scene(database, switches=Switches(ps12=(3600.0,) * 8, ps14=how)) as at:
        await at.look()
        [before] = at.ours
        at.twin.faults.delivery.wrong_signature = 1.0
        failed = [await at.typed(f"Failed {n}") for n in range(10)]
        at.twin.faults.delivery.wrong_signature = 0.0
        assert not before.active
        unheard = await at.typed("Unheard")
        at.asked.clear()
        await at.look(minutes=1)
        await at.polls_asked()
        [hook] = at.ours
        assert complete(hook)
        assert (hook.id == before.id) is (how != "anew")
        assert (await at.health()).state == "working"
        await at.twin.settled()
        came = {event.stream for event in await at.stored()}
        again = {f"contact:propstreet:{contact}" for contact in failed}
        assert (again <= came) is (how != "anew")
        assert f"contact:propstreet:{unheard}" not in came  # the polls bring it
        await eventually(lambda: at.arrives("After"))
        assert untouched(at)


async def test_a_webhook_that_was_deleted_is_made_anew(at: Scene) -> None:
    await at.look()
    at.twin.webhooks.remove(at.ours[0])
    at.asked.clear()
    await at.look(minutes=2)
    await at.polls_asked()
    assert await at.arrives("Anna")
    assert untouched(at)


async def test_a_webhook_that_was_turned_elsewhere_is_left_there_and_another_made(at: Scene) -> None:
    await at.look()
    [hook] = at.ours
    hook.url = "http://127.0.0.1:9/elsewhere"
    await at.look(minutes=2)
    assert hook.url == "http://127.0.0.1:9/elsewhere"
    assert await at.arrives("Anna")
    assert len(at.ours) == 1


@pytest.mark.parametrize("how", ["patch", "put"])
async def test_a_webhook_that_lacks_events_gets_them(database: str, how: Any) -> None:
    async with scene(database, switches=Switches(ps14=how)) as at:
        await at.look()
        [hook] = at.ours
        hook.events = ["company.created"]
        await at.look(minutes=2)
        assert at.ours == [hook]
        assert set(hook.events) == set(EVENTS)


async def test_of_two_webhooks_that_two_daemons_made_at_once_one_stays(at: Scene) -> None:
    await at.look()
    [first] = at.ours
    first.url = "http://127.0.0.1:9/not/seen/yet"
    await at.look(minutes=1)
    first.url = at.address
    assert len(at.ours) == 2
    await at.look(minutes=5)
    assert len(at.ours) == 1
    assert await at.arrives("Anna")


async def test_an_address_that_is_never_reached_is_not_switched_on_at_every_look(at: Scene) -> None:
    """Propstreet would be asked to replay everything, minute by minute, for days."""
    await at.look()
    for _ in range(180):
        at.twin.webhooks.disable(at.ours[0])
        await at.look(minutes=1)
    assert 6 <= at.calls("PATCH", at.ours[0].id) <= 8


async def test_a_replay_whose_answer_fails_is_asked_for_again(at: Scene) -> None:
    await at.look()
    at.twin.webhooks.disable(at.ours[0])
    at.twin.faults.plan("500", method="POST", path_contains="replay")
    with pytest.raises(UnknownOutcome):
        await at.look(minutes=1)
    assert at.ours[0].active
    assert (await at.health()).state == "disabled"
    at.asked.clear()
    await at.look(minutes=1)
    await at.polls_asked()
    assert at.calls("POST", "/replay") == 2
    assert (await at.health()).state == "working"


# -- the secret


async def test_the_secret_is_nowhere_but_in_the_table_of_credentials(
    at: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.setup("debug", console=False)
    try:
        await at.look()
        [hook] = at.ours
        assert await at.arrives("Anna")
        assert await at.port.deliver(BODY, key=b"another") == 401
        at.twin.webhooks.disable(hook)
        await at.look(minutes=1)
        assert await at.arrives("Bo")
    finally:
        telemetry.setup("warning", console=False)
        logging.getLogger().handlers = []
    traces = (hook.secret, hook.secret.removeprefix("whsec_"), key(hook.secret).hex())
    said = "".join(capfd.readouterr())
    assert "subscription.registered" in said
    places = {"the service's log": said, "repr": repr([vars(at.keeper), await at.health()])}
    async with owner(at.dsn) as conn:
        tables = await conn.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('toveis', 'views')"
        )
        for name in [row["name"] for row in tables]:
            rows = await conn.fetch(f"SELECT t::text AS row FROM {name} AS t")
            places[name] = "\n".join(row["row"] for row in rows)
    assert len(places) > 15
    assert {name for name, text in places.items() if any(t in text for t in traces)} == {"toveis.credentials"}
    assert "***" in repr(await _secrets(at.tenant))


async def _secrets(tenant: Tenant) -> dict[str, Secret]:
    async with tenant.connection() as conn:
        return await subscriptions.secrets(conn, TENANT)


async def test_the_daemons_role_cannot_forget_a_credential(at: Scene) -> None:
    await at.look()
    async with pool_at(at.dsn) as pool, pool.acquire() as conn:
        for table in ("credentials", "subscriptions"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"DELETE FROM toveis.{table}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"TRUNCATE toveis.{table}")


# -- who tells us nothing


async def polled(
    at: Scene, vendor: str, count: int, *, age: timedelta = timedelta(), first: bool = False
) -> None:
    """So many contacts were changed, and only polls saw it."""
    now = at.clock()
    head = at.tenant.appender.head
    await at.tenant.appender.append(
        [
            read(
                record_stream("contact", vendor, f"{head}-{n}"),
                b"{}",
                head,
                origin=vendor,
                occurred_at=now - age,
                reading=Reading(via="poll", started=head, first=first),
            )
            for n in range(count)
        ]
    )


async def test_the_operator_is_warned_once_when_vitec_tells_nothing_though_much_changes(
    at: Scene, capfd: pytest.CaptureFixture[str]
) -> None:
    await at.look()
    assert (await at.health(VITEC)).state == "unheard"
    assert await at.port.notify(b'{"type": "Contact"}') == 200
    await at.look(minutes=1)
    assert (await at.health(VITEC)).state == "working"
    capfd.readouterr()
    for _ in range(3):
        await polled(at, VITEC, MANY // 2)
        await at.look(minutes=29)
    assert (await at.health(VITEC)).state == "silent"
    await at.look(minutes=5)
    warnings = [line for line in capfd.readouterr().err.splitlines() if "subscription.state" in line]
    assert len(warnings) == 1
    told = msgspec.json.decode(warnings[0])
    assert (told["vendor"], told["state"], told["level"]) == (VITEC, "silent", "warning")
    assert await at.port.notify(b'{"type": "Contact"}') == 200
    await at.look(minutes=1)
    assert (await at.health(VITEC)).state == "working"
    assert (await at.health(VITEC)).unheard == 0


async def test_what_changed_while_we_were_away_is_nobodys_silence(at: Scene) -> None:
    await polled(at, VITEC, 50, age=timedelta(hours=3))
    await at.look(hours=2)
    assert (await at.health(VITEC)).state == "unheard"
    assert (await at.health(VITEC)).unheard == 0


async def test_a_quiet_day_is_no_silence(at: Scene) -> None:
    await polled(at, VITEC, MANY - 1)
    await at.look(hours=9)
    assert (await at.health(VITEC)).state == "unheard"


async def test_a_start_begins_to_count_anew(at: Scene) -> None:
    await polled(at, VITEC, 50)
    await at.look(minutes=1)
    assert (await at.health(VITEC)).unheard == 50
    at.clock.pass_(hours=2)
    await at.keeper.start()
    await at.look(hours=2)
    assert (await at.health(VITEC)).state == "unheard"


async def test_a_webhook_of_propstreets_that_is_on_and_brings_nothing_is_told_too(at: Scene) -> None:
    await at.look()
    await polled(at, PROPSTREET, MANY)
    await at.look(hours=1)
    assert (await at.health()).state == "silent"
    assert at.ours[0].active


async def test_where_no_notification_is_taken_in_nobody_is_warned(at: Scene) -> None:
    vitec = msgspec.structs.replace(at.tenant.settings.vitec, webhook_secret=None)
    at.tenant.settings = msgspec.structs.replace(at.tenant.settings, vitec=vitec)
    await at.look()
    assert (await at.health(VITEC)).state == "none"


async def test_a_test_delivery_counts_as_heard(at: Scene) -> None:
    await at.look()
    tested = await at.client.test_webhook(at.ours[0].id, "contact.updated")
    assert (tested.success, tested.status_code) == (True, 200)
    await at.look(minutes=1)
    assert (await at.health()).heard_at is not None
