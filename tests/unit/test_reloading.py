"""What a daemon that runs takes on of a changed configuration, and what it names as needing a restart."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from daemon import config
from daemon.app import utc_now
from daemon.clients import Limiters
from daemon.domain.settings import Limits, Settings, TenantSettings
from daemon.domain.windows import Priority
from daemon.policies.reloading import reload
from daemon.processor import Tenant
from daemon.storage.appender import Appender
from daemon.vendors.limiter import Limiter, windows_of
from tests.unit.test_limiter import Clock, go, turns_taken

FILE = """
mode = "live"
[database]
data_dir = "/var/lib/toveis"
[http]
port = 8080
[[tenants]]
name = "oslo"
[tenants.vitec]
base_url = "https://connect.example.se"
customer_id = "M11385"
username = "1234"
password = "old-hush"
poll_interval = "60s"
limits = { per_second = 20, per_hour = 0 }
[tenants.propstreet]
client_id = "client"
client_secret = "hush"
[tenants.sync]
note = "off"
categories = { "Investor" = "investor", "Kund" = "investor" }
on_delete = { contacts = "keep" }
new_from_propstreet = { tag = "oslo" }
[[tenants]]
name = "bergen"
[tenants.vitec]
customer_id = "M2"
username = "5678"
password = "hush"
[tenants.propstreet]
client_id = "client"
client_secret = "hush"
[tenants.sync]
new_from_propstreet = "hold"
"""


def settings(*changes: tuple[str, str]) -> Settings:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return config.parse(text, {}, Path("/etc/toveis"))


NOW = settings()


def test_the_same_file_changes_nothing() -> None:
    found = reload(NOW, settings())
    assert (found.settings, found.changed, found.restart, found.tenants) == (NOW, (), (), frozenset())


def test_another_mode_holds_at_once_and_for_every_tenant() -> None:
    file = settings(('"live"', '"observe"'))
    found = reload(NOW, file)
    assert found.settings == file
    assert found.changed == ('mode: "live" -> "observe"',)
    assert found.tenants == {"oslo", "bergen"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("per_second = 20", "per_second = 5"), "vitec.limits.per_second: 20 -> 5"),
        (('poll_interval = "60s"', 'poll_interval = "5m"'), "vitec.poll_interval: 60.0 -> 300.0"),
        (('note = "off"', 'note = "strategy"'), 'sync.note: "off" -> "strategy"'),
        (('contacts = "keep"', 'contacts = "hold"'), 'sync.on_delete.contacts: "keep" -> "hold"'),
        (
            ('{ tag = "oslo" }', '"hold"'),
            'sync.new_from_propstreet: {"tag":"oslo"} -> "hold"',
        ),
    ],
)
def test_limits_intervals_and_what_is_synced_hold_at_once_for_their_tenant_alone(
    change: tuple[str, str], told: str
) -> None:
    file = settings(change)
    found = reload(NOW, file)
    assert found.settings == file
    assert found.changed == (f"tenants[oslo].{told}",)
    assert found.restart == ()
    assert found.tenants == {"oslo"}


def test_another_order_of_categories_is_a_change() -> None:
    swapped = (
        '"Investor" = "investor", "Kund" = "investor"',
        '"Kund" = "investor", "Investor" = "investor"',
    )
    file = settings(swapped)
    [changed] = reload(NOW, file).changed
    assert changed.startswith("tenants[oslo].sync.categories: ")
    assert list(reload(NOW, file).settings.tenants[0].sync.categories) == ["Kund", "Investor"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("port = 8080", "port = 8081"), "http.port"),
        (("/var/lib/toveis", "/srv/toveis"), "database.data_dir"),
        (("[database]", '[database]\ndsn = "postgresql://db/toveis"'), "database.dsn"),
        (("connect.example.se", "other.example.se"), "tenants[oslo].vitec.base_url"),
        (("old-hush", "new-hush"), "tenants[oslo].vitec.password"),
        (('"M11385"', '"M11386"'), "tenants[oslo].vitec.customer_id"),
        (('username = "1234"', 'username = "1235"'), "tenants[oslo].vitec.username"),
        (("per_hour = 0", "per_hour = 100"), "tenants[oslo].vitec.limits.per_hour"),
        (('name = "bergen"', 'name = "moss"'), "tenants[bergen]"),
        (('name = "bergen"', 'name = "moss"'), "tenants[moss]"),
    ],
)
def test_what_a_running_daemon_cannot_take_on_is_named_and_left_as_it_is(
    change: tuple[str, str], key: str
) -> None:
    found = reload(NOW, settings(change))
    assert found.settings == NOW
    assert key in found.restart
    assert (found.changed, found.tenants) == ((), frozenset())


def test_no_secret_is_told() -> None:
    found = reload(NOW, settings(("old-hush", "new-hush"), ('"live"', '"observe"')))
    assert "hush" not in repr((found.changed, found.restart))


def test_what_is_synced_waits_for_the_restart_that_another_key_of_the_tenants_needs() -> None:
    """The file is right as a whole: with two organisations both may create what is new, with one neither may."""
    file = settings(('{ tag = "oslo" }', '"create"'), ('client_id = "client"', 'client_id = "another"'))
    found = reload(NOW, file)
    assert found.settings == NOW
    assert set(found.restart) == {
        "tenants[oslo].propstreet.client_id",
        "tenants[oslo].sync.new_from_propstreet",
    }
    both = reload(NOW, settings(("M2", "M3"), ("per_second = 20", "per_second = 5"), ('"live"', '"observe"')))
    assert both.restart == ("tenants[bergen].vitec.customer_id",)
    assert both.settings.mode == "observe"
    assert both.settings.tenants[0].vitec.limits.per_second == 5


# -- limits in place

LIMITS = Limits(per_second=0, per_minute=100, per_hour=0, concurrency=5)


async def test_a_lower_limit_counts_what_was_spent_before_it() -> None:
    clock = Clock()
    limiter = Limiter(windows_of(LIMITS), 5, clock=clock)
    await go(limiter, 60)
    limiter.change(Limits(per_second=0, per_minute=50, per_hour=0, concurrency=5))
    assert limiter.delay() == 60.0
    limiter.change(Limits(per_second=0, per_minute=61, per_hour=0, concurrency=5))
    assert limiter.delay() == 0.0
    await go(limiter, 1)
    assert limiter.delay() == 60.0


async def test_a_tenth_of_another_limit_is_kept_for_live_traffic() -> None:
    limiter = Limiter(windows_of(LIMITS), 5, clock=Clock())
    limiter.change(Limits(per_second=0, per_minute=20, per_hour=0, concurrency=5))
    await go(limiter, 18, Priority.BACKFILL)
    assert limiter.delay(Priority.BACKFILL) == 60.0
    assert limiter.delay() == 0.0


async def test_of_tenants_that_share_a_credential_the_first_ones_limits_count_also_after_a_reload() -> None:
    limiters = Limiters()

    def at_once(oslo: int, bergen: int) -> list[TenantSettings]:
        limits = [replace(LIMITS, per_minute=0, concurrency=each) for each in (oslo, bergen)]
        return [
            replace(tenant, propstreet=replace(tenant.propstreet, limits=each))
            for tenant, each in zip(NOW.tenants, limits, strict=True)
        ]

    first, second = at_once(1, 5)
    limiter = limiters.at_propstreet(at(first))
    assert limiters.at_propstreet(at(second)) is limiter
    async with limiter.slot():
        turn = asyncio.create_task(go(limiter, 1))
        await turns_taken()
        assert not turn.done()
        limiters.change(at_once(1, 9))
        await turns_taken()
        assert not turn.done()
        limiters.change(at_once(2, 1))
        await turn


def at(settings: TenantSettings) -> Tenant:
    """A tenant without a database: nothing is called here."""
    return Tenant(settings, "live", None, cast(Appender, None), utc_now)
