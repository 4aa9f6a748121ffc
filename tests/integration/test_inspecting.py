"""Inspection of a log in which everything happens that can: nothing is missed, and no table is gone through."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from daemon.cli import causes, changes, pictures, reasons
from daemon.cli.finding import Reader, events_of
from daemon.domain.errors import UsageError
from daemon.processor import Tenant
from daemon.storage import log, views
from daemon.storage.connection import owner
from daemon.storage.queries import queries
from projections.entity import Entity
from tests.benchmarks.corpus import COLUMNS, log_of
from tests.integration.annals import OPTIONS, TENANT, annals
from tests.integration.ground import append_all, event, tenant_at
from tests.integration.test_views import catch_up


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


async def entities(tenant: Tenant) -> list[Entity]:
    async with tenant.connection() as conn:
        names = [row["entity"] for row in await conn.fetch("SELECT entity FROM entities ORDER BY entity")]
        return await views.entities(conn, TENANT, names)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_events_that_are_read_of_an_entity_make_the_entity_that_the_views_hold(
    tenant: Tenant, seed: int
) -> None:
    await append_all(tenant.appender, annals(seed))
    await catch_up(tenant)
    odd = []
    async with tenant.connection() as conn:
        for entity in await entities(tenant):
            events = await events_of(conn, TENANT, entity.category, entity.id)
            folded = pictures.folded(TENANT, entity.id, events, OPTIONS)
            if folded != entity:
                odd.append((entity, folded))
    assert odd == []


async def test_whatever_happened_every_field_has_its_event_and_every_change_its_place(tenant: Tenant) -> None:
    await append_all(tenant.appender, annals(4))
    await catch_up(tenant)
    async with tenant.connection() as conn:
        for entity in await entities(tenant):
            events = await events_of(conn, TENANT, entity.category, entity.id)
            positions = {event.position for event in events}
            _, found = reasons.reasons(TENANT, entity.id, events, OPTIONS)
            assert {why.event for why in found} <= positions
            assert all(lost.conflict and lost.value != why.value for why in found for lost in why.lost)
            middle = events[len(events) // 2].recorded_at
            told = changes.changes(TENANT, entity.id, events, OPTIONS, middle, events[-1].recorded_at)
            assert {change.event for change in told} <= positions
            assert all(change.before != change.after for change in told)
            assert all(change.recorded_at > middle for change in told)


async def test_every_event_stands_once_in_the_tree_of_whatever_led_to_it(tenant: Tenant) -> None:
    await append_all(tenant.appender, annals(5))
    await catch_up(tenant)
    async with tenant.connection() as conn:
        for each in await log.page(conn, TENANT, 0, 10_000):
            nodes = causes.tree(await causes.story_of(conn, TENANT, each), each, OPTIONS)
            whole = [node.line.event.position for node in nodes if not node.again]
            assert len(whole) == len(set(whole)), each.position
            assert [node.line.event.position for node in nodes if node.asked] == [each.position]
            assert all(node.line.summary != node.line.event.type for node in nodes)


async def test_a_beginning_of_an_id_that_several_have_is_refused_with_all_of_them(tenant: Tenant) -> None:
    ids = [UUID(f"abcdef00-0000-4000-8000-00000000000{n}") for n in range(3)]
    await tenant.appender.append([event(event_id=each) for each in ids])
    async with tenant.connection() as conn:
        with pytest.raises(UsageError, match="several ids begin with 'abcdef'") as refused:
            await causes.asked(conn, TENANT, "abcdef")
        assert all(str(each) in str(refused.value) for each in ids)
        assert (await causes.asked(conn, TENANT, str(ids[1]))).event_id == ids[1]


async def test_a_reader_that_goes_on_tells_every_event_once_also_of_what_joined_meanwhile(
    tenant: Tenant,
) -> None:
    events = annals(2)
    pages = [events[:300], events[300:450], events[450:700], events[700:]]
    async with tenant.connection() as conn:
        readers: dict[str, Reader] = {}
        told: dict[str, list[int]] = {}
        for page in pages:
            await append_all(tenant.appender, page)
            await catch_up(tenant)
            for entity in await entities(tenant):
                readers.setdefault(entity.id, Reader(conn, TENANT, entity.category, entity.id))
            for name, reader in readers.items():
                news = [each.position for each in await reader.news()]
                assert news == sorted(news)
                told.setdefault(name, []).extend(news)
        for entity in await entities(tenant):
            whole = [each.position for each in await events_of(conn, TENANT, entity.category, entity.id)]
            assert len(told[entity.id]) == len(set(told[entity.id]))
            assert set(whole) <= set(told[entity.id])


async def test_every_question_is_answered_by_an_index(database: str) -> None:
    """A log of many entities, so that going through a table would cost more than an index."""
    asked: dict[str, tuple[Any, ...]] = {
        "streams": (TENANT, ["contact:con-a", "contact:vitec:ADR1", "contact:propstreet:1"], 0),
        "called": (TENANT, UUID(int=5), UUID(int=6), 10),
        "at": (TENANT, 500),
        "head": (TENANT,),
    }
    statements = queries("log")
    async with owner(database) as conn:
        await conn.copy_records_to_table(
            "events", schema_name="toveis", records=log_of(20_000, 2_000), columns=COLUMNS
        )
        await conn.execute("ANALYZE toveis.events")
        for name, words in asked.items():
            plan = [row[0] for row in await conn.fetch(f"EXPLAIN {statements[name]}", *words)]
            assert any("Index" in line for line in plan), (name, plan)
            assert not any("Seq Scan" in line for line in plan), (name, plan)
