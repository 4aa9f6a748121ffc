"""Rebuild: what differs is found and named, a fresh fold takes the place of the views, and can be taken back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from daemon.app import _refold
from daemon.cli.opening import connected
from daemon.domain import upcasters
from daemon.domain.errors import ConfigError, StorageError, UnknownEventError, UsageError
from daemon.domain.events import Event
from daemon.domain.settings import DatabaseSettings, Secret, Settings
from daemon.mappings.lens import Options
from daemon.processor import Tenant, options_of
from daemon.project import Projector
from daemon.storage import leases, log, rebuild, views
from daemon.storage.connection import Connection, owner
from daemon.storage.rebuild import Difference
from projections.views import Fold
from tests.conftest import eventually
from tests.integration.annals import OPTIONS, TENANT, annals, tenant_settings
from tests.integration.ground import append_all, event, tenant_at, waits_for_a_lock

EVENTS = annals(4)
OTHERS = Options(region="NO")
"""Other settings, under which the same log folds to other views."""


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    async with owner(database) as conn:
        yield conn


async def tell(tenant: Tenant, events: Sequence[Event]) -> None:
    """Append and project."""
    await append_all(tenant.appender, events)
    while await Projector(tenant).tick():
        pass


async def differences(conn: Connection) -> list[Difference]:
    return await rebuild.compare(conn, TENANT, OPTIONS)


# -- compare

BY_HAND = {
    ("contacts", "first_name"): "first_name = 'Someone' WHERE entity = (SELECT min(entity) FROM contacts)",
    ("contacts", "fields"): "fields = '{}' WHERE entity = (SELECT max(entity) FROM contacts)",
    ("companies", "tags"): "tags = '{x}' WHERE entity = (SELECT max(entity) FROM companies)",
    ("projects", "name"): "name = 'Someplace' WHERE entity = (SELECT min(entity) FROM projects)",
    ("prospects", "vitec_level"): "vitec_level = 'Keen' WHERE entity = (SELECT min(entity) FROM prospects)",
    ("prospects", "party"): "party = 'ADRX' WHERE entity = (SELECT max(entity) FROM prospects)",
    ("leads", "customer"): "customer = 'M1' WHERE entity = (SELECT min(entity) FROM leads)",
    ("entities", "position"): "position = position - 1 WHERE entity = (SELECT min(entity) FROM entities)",
    (
        "entities",
        "state",
    ): "state = (SELECT state FROM entities WHERE entity = (SELECT min(entity) FROM entities))"
    " WHERE entity = (SELECT max(entity) FROM entities)",
    ("commands", "state"): "state = 'flying' WHERE command = (SELECT min(command) FROM commands)",
    ("commands", "due_at"): "due_at = now() WHERE command = (SELECT max(command) FROM commands)",
    ("records", "need"): "need = 9999 WHERE external_id = (SELECT min(external_id) FROM records)",
    (
        "conflicts",
        "loser_value",
    ): "loser_value = '\"x\"' WHERE conflict = (SELECT min(conflict) FROM conflicts)",
}
"""One field of one row of a view, and what somebody did to it."""

GONE = {
    "companies": "entity = (SELECT min(entity) FROM companies)",
    "projects": "entity = (SELECT max(entity) FROM projects)",
    "leads": "entity = (SELECT max(entity) FROM leads)",
    "match_keys": "key = (SELECT min(key) FROM match_keys)",
    "aliases": "alias = (SELECT min(alias) FROM aliases)",
    "records": "external_id = (SELECT max(external_id) FROM records)",
}
"""One row of a view that somebody removed."""

STRANGERS = {
    "contacts": "SELECT tenant, 'con-x', vitec_id, propstreet_id, first_name, last_name, email, phone, tags,"
    " strategy, fields, position FROM contacts LIMIT 1",
    "aliases": "SELECT 'oslo', 'con-y', 'con-x'",
}
"""One row of a view that somebody made up."""


async def test_views_that_nobody_touched_have_no_difference(tenant: Tenant, conn: Connection) -> None:
    assert await differences(conn) == []  # an empty log has empty views
    await tell(tenant, EVENTS)
    told: list[tuple[int, int]] = []
    assert await rebuild.compare(conn, TENANT, OPTIONS, progress=lambda *far: told.append(far)) == []
    assert told[-1] == (len(EVENTS), len(EVENTS))


async def test_every_change_by_hand_is_named_by_view_entity_and_field_and_nothing_else_is(
    tenant: Tenant, conn: Connection
) -> None:
    await tell(tenant, EVENTS)
    damage: set[tuple[str, str, str]] = set()
    for (view, field), change in BY_HAND.items():
        entity = await conn.fetchval(f"UPDATE {view} SET {change} RETURNING entity")
        damage.add((view, entity, field))
    for view, which in GONE.items():
        for row in await conn.fetch(f"DELETE FROM {view} WHERE {which} RETURNING entity"):
            damage.add((view, row["entity"], "*"))
    for view, row in STRANGERS.items():
        entity = await conn.fetchval(f"INSERT INTO {view} {row} RETURNING entity")
        damage.add((view, entity, "*"))

    found = await differences(conn)
    assert {(d.view, d.entity, d.field) for d in found} == damage
    by_name = {(d.view, d.field, d.live is None): d for d in found}
    assert by_name["contacts", "first_name", False].live == "Someone"
    assert by_name["contacts", "first_name", False].fresh != "Someone"
    assert by_name["companies", "*", True].fresh["entity"] == by_name["companies", "*", True].entity
    assert by_name["contacts", "*", False].fresh is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE commands SET state = 'asleep' WHERE command = (SELECT min(command) FROM commands)",
        "UPDATE entities SET state = '{}' WHERE entity = (SELECT min(entity) FROM entities)",
    ],
)
async def test_a_change_by_hand_that_makes_no_sense_is_named_too(
    tenant: Tenant, conn: Connection, damage: str
) -> None:
    await tell(tenant, EVENTS[:200])
    await conn.execute(damage)
    assert [d.field for d in await differences(conn)] == ["state"]


async def test_comparing_changes_nothing_and_sees_one_moment(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS[:300])

    async def go_on() -> None:
        for start in range(300, len(EVENTS), 25):
            await tell(tenant, EVENTS[start : start + 25])

    async def look() -> list[Difference]:
        found: list[Difference] = []
        while await views.position(conn, TENANT) < len(EVENTS):
            found += await differences(conn)
        return found

    _, found = await asyncio.gather(go_on(), look())
    assert found == []


# -- swap


async def damaged(conn: Connection) -> list[Difference]:
    await conn.execute("UPDATE contacts SET first_name = 'Someone', phone = NULL")
    await conn.execute("DELETE FROM records")
    found = await differences(conn)
    assert found
    return found


async def test_a_rebuild_mends_the_views_and_can_be_taken_back(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS)
    damage = await damaged(conn)
    told: list[tuple[int, int]] = []
    await rebuild.rebuild(conn, {TENANT: OPTIONS}, progress=lambda *far: told.append(far))
    assert await differences(conn) == []
    assert told[-1] == (len(EVENTS), len(EVENTS))
    assert await views.progress(conn, TENANT) == (len(EVENTS), rebuild.digest_of(OPTIONS))
    await rebuild.roll_back(conn)
    assert await differences(conn) == damage
    await rebuild.roll_back(conn)  # and once more: the rebuilt ones were kept, too
    assert await differences(conn) == []


async def test_without_a_rebuild_there_is_nothing_to_go_back_to(conn: Connection) -> None:
    with pytest.raises(UsageError):
        await rebuild.roll_back(conn)


async def test_a_rebuild_appends_nothing(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS)
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await log.head(conn, TENANT) == len(EVENTS)


async def test_rebuilt_views_are_the_daemons_to_write(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS[:100])
    for _ in range(3):
        await rebuild.rebuild(conn, {TENANT: OPTIONS})
    await tell(tenant, EVENTS[100:200])
    assert await differences(conn) == []
    await rebuild.roll_back(conn)
    await tell(tenant, EVENTS[200:])  # the earlier views catch up
    assert await differences(conn) == []


async def test_other_settings_give_other_views_and_another_digest(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS)
    await rebuild.rebuild(conn, {TENANT: OTHERS})
    assert await rebuild.compare(conn, TENANT, OTHERS) == []
    assert {d.field for d in await differences(conn)} >= {"tags", "strategy"}
    assert rebuild.digest_of(OTHERS) != rebuild.digest_of(OPTIONS)
    assert (await views.progress(conn, TENANT)) == (len(EVENTS), rebuild.digest_of(OTHERS))


async def test_a_rebuild_of_several_tenants_keeps_them_apart(
    database: str, tenant: Tenant, conn: Connection
) -> None:
    await tell(tenant, EVENTS[:50])
    await rebuild.rebuild(conn, {TENANT: OPTIONS, "malmo": OPTIONS})
    assert await differences(conn) == []
    assert await rebuild.compare(conn, "malmo", OPTIONS) == []


async def test_a_rebuild_that_is_interrupted_leaves_the_live_views(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS)

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):  # what the first left behind does not disturb the second
        with pytest.raises(KeyboardInterrupt):
            await rebuild.rebuild(conn, {TENANT: OPTIONS}, progress=interrupt)
    assert await differences(conn) == []
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await differences(conn) == []


# -- while the projector goes on


async def test_a_rebuild_while_events_keep_coming_ends_consistent(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS[:200])
    await damaged(conn)
    projector = Projector(tenant)
    running = asyncio.create_task(projector.run())

    async def go_on() -> None:
        for start in range(200, len(EVENTS), 5):
            await append_all(tenant.appender, EVENTS[start : start + 5])
            projector.wake.set()

    async def rebuild_again_and_again() -> None:
        for _ in range(4):
            await rebuild.rebuild(conn, {TENANT: OPTIONS})

    await asyncio.gather(go_on(), rebuild_again_and_again())
    await eventually(lambda: caught_up(conn))
    projector.stop()
    await running
    assert await differences(conn) == []


async def test_what_arrived_while_it_was_folding_is_caught_up_before_the_swap(
    tenant: Tenant, database: str, conn: Connection
) -> None:
    await tell(tenant, EVENTS[:300])
    async with owner(database) as other, other.transaction():
        await other.execute("LOCK TABLE views.progress IN EXCLUSIVE MODE")
        rebuilding = asyncio.create_task(rebuild.rebuild(conn, {TENANT: OPTIONS}))
        await eventually(waits_for_a_lock(database))  # it has folded, and waits for its turn to swap
        await append_all(tenant.appender, EVENTS[300:])
    await rebuilding
    assert await views.position(conn, TENANT) == len(EVENTS)
    assert await differences(conn) == []


async def test_the_swap_waits_for_a_page_that_is_being_written(
    tenant: Tenant, database: str, conn: Connection
) -> None:
    await tell(tenant, EVENTS[:300])
    await append_all(tenant.appender, EVENTS[300:])
    async with tenant.connection() as projecting, projecting.transaction():
        page = await log.page(projecting, TENANT, 300)
        fold = Fold(TENANT, OPTIONS)
        await views.load(projecting, fold, page)
        fold.evolve(page)
        rest = len(EVENTS), rebuild.digest_of(OPTIONS)
        await views.advance(projecting, TENANT, fold.change(), 300, *rest, await views.mark(projecting))
        rebuilding = asyncio.create_task(rebuild.rebuild(conn, {TENANT: OPTIONS}))
        await eventually(waits_for_a_lock(database))
    await rebuilding
    assert await differences(conn) == []
    await rebuild.roll_back(conn)  # what was written went to the old views, whole
    assert await differences(conn) == []


async def caught_up(conn: Connection) -> bool:
    return await views.position(conn, TENANT) == await log.head(conn, TENANT)


async def test_a_page_that_was_folded_on_the_old_views_is_not_written_to_the_new_ones(
    tenant: Tenant, database: str, conn: Connection
) -> None:
    """An event commits after the rebuild's last look at the log, and is projected before the swap commits."""
    stream = "contact:propstreet:1"
    await tenant.appender.append([event(stream, b'{"id": "1", "firstName": "Anna", "lastName": "Ek"}')])
    await Projector(tenant).tick()
    await conn.execute("UPDATE entities SET state = replace(state::text, 'Anna', 'Wrong')::json")
    async with conn.transaction():
        await rebuild.rebuild(conn, {TENANT: OPTIONS})
        await tenant.appender.append([event(stream, b'{"id": "1", "lastName": "Berg"}')])
        projector = Projector(tenant)
        running = asyncio.create_task(projector.run())
        await eventually(waits_for_a_lock(database))
    async with owner(database) as other:
        await eventually(lambda: caught_up(other))
    projector.stop()
    await running
    assert await differences(conn) == []


async def test_most_of_what_arrived_meanwhile_is_caught_up_with_while_nobody_waits(
    tenant: Tenant, database: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live views are locked only once few events are left."""
    await tell(tenant, EVENTS[:300])
    monkeypatch.setattr(rebuild, "TAIL", 5)
    rounds: list[tuple[int, bool]] = []
    catch_up = rebuild._catch_up
    rest = iter([EVENTS[300:500], EVENTS[500:520], EVENTS[520:522], EVENTS[522:524]])

    async def watched(conn: Connection, beside: Any) -> int:
        await append_all(tenant.appender, next(rest))
        async with owner(database) as other:
            locked = await other.fetchval(
                "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'views.progress'::regclass"
                " AND mode = 'ExclusiveLock' AND granted"
            )
        behind = await catch_up(conn, beside)
        rounds.append((behind, locked))
        return behind

    monkeypatch.setattr(rebuild, "_catch_up", watched)
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert rounds == [(200, False), (20, False), (2, False), (2, True)]
    assert await views.position(conn, TENANT) == 524
    assert await differences(conn) == []


async def test_a_swap_gives_way_again_and_again_to_who_holds_the_views(
    tenant: Tenant, database: str, conn: Connection
) -> None:
    await tell(tenant, EVENTS[:300])
    async with owner(database) as other:
        held = other.transaction()
        await held.start()
        await other.execute("LOCK TABLE views.progress IN ROW SHARE MODE")  # a long page
        rebuilding = asyncio.create_task(rebuild.rebuild(conn, {TENANT: OPTIONS}))
        await eventually(waits_for_a_lock(database))
        await tell(tenant, EVENTS[300:400])  # another projector's page waits behind it, a second at most
        assert not rebuilding.done()
        await held.rollback()
    await rebuilding
    assert await differences(conn) == []


async def test_a_swap_that_never_gets_its_turn_says_so_and_leaves_the_live_views(
    tenant: Tenant, database: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell(tenant, EVENTS[:100])
    monkeypatch.setattr(rebuild, "TRIES", 2)
    async with owner(database) as other, other.transaction():
        await other.execute("LOCK TABLE views.progress IN ROW SHARE MODE")
        with pytest.raises(StorageError, match="nothing was swapped"):
            await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await differences(conn) == []
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await differences(conn) == []


async def test_who_still_reads_the_views_of_before_is_waited_for(
    tenant: Tenant, database: str, conn: Connection
) -> None:
    """A comparison that began before one swap ends before the next."""
    await tell(tenant, EVENTS[:300])
    async with owner(database) as reader:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            assert await reader.fetchval("SELECT count(*) FROM contacts")
            await rebuild.rebuild(conn, {TENANT: OPTIONS})
            rebuilding = asyncio.create_task(rebuild.rebuild(conn, {TENANT: OPTIONS}))
            await eventually(waits_for_a_lock(database))
            await tell(tenant, EVENTS[300:400])  # nobody else waits
        await rebuilding
    assert await differences(conn) == []


async def test_one_at_a_time_sees_to_the_views(tenant: Tenant, database: str, conn: Connection) -> None:
    await rebuild.take_turn(conn)
    async with owner(database) as other:
        with pytest.raises(UsageError, match="being rebuilt already"):
            await rebuild.take_turn(other)
    await conn.close()
    async with owner(database) as other:
        await rebuild.take_turn(other)


async def test_a_verification_reads_once_what_is_right_and_names_what_is_wrong(
    tenant: Tenant, conn: Connection
) -> None:
    await tell(tenant, EVENTS)
    told: list[tuple[int, int]] = []
    assert await rebuild.verify(conn, TENANT, OPTIONS, progress=lambda *far: told.append(far)) == []
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    damage = await damaged(conn)
    assert await rebuild.verify(conn, TENANT, OPTIONS) == damage
    for number in range(3):  # also where the views have not come yet
        await tenant.appender.append([event(f"contact:propstreet:odd{number}", meta=b"{}")])
    found = await rebuild.verify(conn, TENANT, OPTIONS)
    assert [(d.view, d.field) for d in found] == [("events", "unreadable")] * 3
    assert f"event {len(EVENTS) + 1} is a RecordObserved" in found[0].live


# -- back to earlier views


async def test_earlier_views_of_another_shape_are_not_put_back(tenant: Tenant, conn: Connection) -> None:
    await tell(tenant, EVENTS[:100])
    await conn.execute("ALTER TABLE views.leads ADD odd text")  # as an older version had them
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    with pytest.raises(UsageError, match="another version"):
        await rebuild.roll_back(conn)
    assert await rebuild.fits(conn)
    assert await differences(conn) == []


async def test_earlier_views_that_were_folded_with_something_else_say_so_until_a_start_rebuilds_them(
    tenant: Tenant, conn: Connection, database: str
) -> None:
    await rebuild.rebuild(conn, {TENANT: OTHERS})
    await append_all(tenant.appender, EVENTS[:200])
    await rebuild.rebuild(conn, {TENANT: OTHERS})
    assert not await rebuild.roll_back(conn)  # both were folded with the same
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await rebuild.roll_back(conn)
    await tell(tenant, EVENTS[200:300])  # pages that our own settings fold do not make them ours
    assert await rebuild.is_stale(conn, TENANT, OPTIONS)
    await _refold(Settings(tenants=(tenant_settings(),)), database, None)
    assert not await rebuild.is_stale(conn, TENANT, options_of(tenant_settings()))


# -- the log itself


async def test_an_event_of_an_earlier_shape_is_folded_as_it_would_be_written_today(
    tenant: Tenant, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day after: half of the log is older, with another name for a field of every held command."""
    await tell(tenant, EVENTS)

    def renamed(data: dict[str, Any]) -> dict[str, Any]:
        return {"reason": data.pop("why"), **data}

    async with conn.transaction():
        await conn.execute("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
        older = await conn.fetch(
            "UPDATE events SET schema_version = 0, data = replace(data::text, '\"reason\":', '\"why\":')::json"
            " WHERE type = 'CommandHeld' RETURNING position"
        )
        await conn.execute("ALTER TABLE events ENABLE TRIGGER events_are_append_only")
    assert older
    refused = [d for d in await rebuild.check_log(conn, TENANT) if d.field == "unreadable"]
    assert len(refused) == len(older)
    for why in (
        f"event {min(row[0] for row in older)} is a CommandHeld of schema version 0",
        "upgrade Toveis",
    ):
        assert why in refused[0].live
    with pytest.raises(UnknownEventError):
        await differences(conn)
    monkeypatch.setattr(upcasters, "UPCASTERS", {("CommandHeld", 0): renamed})
    assert await rebuild.check_log(conn, TENANT) == []
    assert await differences(conn) == []
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await differences(conn) == []


async def test_an_id_that_stands_twice_is_found(tenant: Tenant, conn: Connection) -> None:
    await append_all(tenant.appender, EVENTS[:20])
    await conn.execute("ALTER TABLE events DROP CONSTRAINT events_tenant_event_id_key")
    await conn.execute(
        "INSERT INTO events SELECT tenant, 21, event_id, 'contact:vitec:ADRX', 1, type, schema_version, origin,"
        " occurred_at, recorded_at, causation_id, correlation_id, data, meta FROM events WHERE position = 3"
    )
    [twice] = await rebuild.check_log(conn, TENANT)
    assert (twice.field, twice.live, twice.fresh) == ("event_id", 2, 1)


async def test_a_log_that_is_whole_has_nothing_to_show(tenant: Tenant, conn: Connection) -> None:
    await append_all(tenant.appender, EVENTS)
    assert await rebuild.check_log(conn, TENANT) == []


async def test_a_gap_in_the_log_is_found(tenant: Tenant, conn: Connection) -> None:
    await append_all(tenant.appender, EVENTS[:20])
    gone = EVENTS[9]
    async with conn.transaction():
        await conn.execute("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
        await conn.execute("DELETE FROM events WHERE position = 10")
        await conn.execute("ALTER TABLE events ENABLE TRIGGER events_are_append_only")
    [first, *_] = await rebuild.check_log(conn, TENANT)
    assert (first.view, first.field, first.live, first.fresh) == ("events", "position", 11, 10)
    assert gone.stream not in {
        d.entity for d in await rebuild.check_log(conn, TENANT) if d.field == "version"
    }


# -- views of another version


@pytest.mark.parametrize(
    "older",
    [
        "DROP TABLE views.batches",
        "ALTER TABLE views.records DROP gone",
        "ALTER TABLE views.leads ADD odd text",
    ],
)
async def test_views_of_another_version_do_not_fit_and_a_rebuild_mends_them_also_without_an_event(
    conn: Connection, older: str
) -> None:
    assert await rebuild.fits(conn)
    await conn.execute(older)
    assert not await rebuild.fits(conn)
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    assert await rebuild.fits(conn)
    assert await differences(conn) == []


async def test_a_start_gives_an_empty_log_the_views_of_its_version(conn: Connection, database: str) -> None:
    await conn.execute("DROP TABLE views.batches")
    settings = Settings(tenants=(tenant_settings(),))
    with pytest.raises(UsageError, match="another version"):
        async with connected(database, embedded=False):
            pass
    await _refold(settings, database, None)
    assert await rebuild.fits(conn)
    async with connected(database, embedded=False):
        pass


async def test_a_start_rebuilds_with_the_login_that_may_make_tables(conn: Connection, database: str) -> None:
    await conn.execute("DROP TABLE views.batches")
    owners = DatabaseSettings(dsn=Secret("unused"), migrate_dsn=Secret(database))
    settings = Settings(tenants=(tenant_settings(),), database=owners)
    await _refold(settings, "postgresql://clerk@127.0.0.1:1/nowhere", None)
    assert await rebuild.fits(conn)


async def test_a_start_leaves_the_views_alone_while_another_daemon_works_on_them(
    conn: Connection, database: str
) -> None:
    settings, ours, theirs = Settings(tenants=(tenant_settings(),)), UUID(int=1), UUID(int=2)
    await conn.execute("INSERT INTO progress (tenant, position, digest) VALUES ($1, 0, 'another')", TENANT)
    async with tenant_at(database) as tenant:
        await tenant.appender.append([event()])
    assert await leases.take(conn, TENANT, theirs, 600.0) == 1
    await _refold(settings, database, ours)
    assert await views.progress(conn, TENANT) == (0, "another")
    await conn.execute("DROP TABLE views.batches")
    with pytest.raises(ConfigError, match="another version"):
        await _refold(settings, database, ours)
    await leases.vacate(conn, theirs)
    await _refold(settings, database, ours)
    assert await rebuild.fits(conn)
    assert await views.position(conn, TENANT) == 1
