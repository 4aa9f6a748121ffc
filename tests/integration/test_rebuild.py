"""Rebuild: what differs is found and named, a fresh fold takes the place of the views, and can be taken back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import pytest

from daemon.app import _refold
from daemon.cli.opening import connected
from daemon.domain.errors import ConfigError, UsageError
from daemon.domain.events import Event
from daemon.domain.settings import Settings
from daemon.mappings.lens import Options
from daemon.processor import Tenant
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


# -- the log itself


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
