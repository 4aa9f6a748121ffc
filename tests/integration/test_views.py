"""The views as the projector writes them: page by page, whatever the pages, the same as a fold of the whole log."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from daemon import project
from daemon.domain.errors import CheckpointMoved, UnknownEventError
from daemon.domain.events import (
    ACCEPTED,
    DECISIONS,
    OBSERVED,
    OVERLAPPING,
    TYPES,
    Decision,
    EntityHeld,
    Event,
    NewEvent,
    RecordsLinked,
    RecordsMerged,
    decision_of,
    encode,
    reading_of,
)
from daemon.domain.streams import CATEGORIES, LEAD, entity_id, entity_stream, record_stream
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.storage import log, rebuild, views
from daemon.storage.connection import owner
from projections.views import VIEWS, Fold
from tests.conftest import eventually
from tests.integration.annals import OPTIONS, TENANT, annals
from tests.integration.ground import append_all, event, rows_of, tenant_at

SIZES = (1, 2, 7, 31, 113)


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


@pytest.fixture
def odd_pages(monkeypatch: pytest.MonkeyPatch) -> "itertools.cycle[int]":
    """Every time it is asked, the projector's next page has another size."""
    sizes = itertools.cycle(SIZES)
    monkeypatch.setattr(project, "PAGE", next(sizes))
    return sizes


async def catch_up(tenant: Tenant, sizes: "itertools.cycle[int] | None" = None) -> None:
    """Project until there is nothing more."""
    projector = Projector(tenant)
    async with tenant.connection() as conn:
        while await views.position(conn, tenant.name) < await log.head(conn, tenant.name):
            if sizes is not None:
                project.PAGE = next(sizes)  # the fixture puts it back
            await projector.tick()


async def differences(dsn: str) -> list[rebuild.Difference]:
    async with owner(dsn) as conn:
        return await rebuild.compare(conn, TENANT, OPTIONS)


def test_the_annals_hold_whatever_can_happen() -> None:
    """The other tests lean on these logs: every type of event, rows in every view, and how each command may end."""
    types, states, verdicts, moved, linked = set(), set(), set(), set(), set()
    unconfirmed: set[str] = set()
    for seed in (1, 2, 3, 4, 5):
        events = annals(seed)
        fold = Fold(TENANT, OPTIONS)
        fold.evolve(events)
        rows: dict[str, list[Any]] = fold.change().insert
        assert [view for view in VIEWS if not rows[view]] == []
        types |= {each.type for each in events}
        verdicts |= {reading_of(each).verdict for each in events if each.type == OBSERVED}
        moved |= {told.moved for each in events if isinstance(told := decided(each), RecordsMerged)}
        states |= {(row.category == LEAD, row.state) for row in rows["commands"]}
        unconfirmed |= {field for row in rows["commands"] for field in row.unconfirmed}
        linked |= {row.category for row in rows["entities"] if row.linked}
    assert types == TYPES
    assert verdicts == {ACCEPTED, OVERLAPPING}
    assert moved == {True, False}
    assert linked == set(CATEGORIES)
    assert "classification" in unconfirmed
    ends = {
        "pending",
        "unknown",
        "succeeded",
        "failed",
        "superseded",
        "held",
        "dead",
        "released",
        "discarded",
    }
    assert {state for lead, state in states if not lead} >= ends
    assert {state for lead, state in states if lead} >= {"pending", "succeeded", "held", "dead"}


def decided(event: Event) -> Decision | None:
    """The decision that an event holds, if it holds one."""
    return decision_of(event) if event.type in DECISIONS else None


@pytest.mark.parametrize("seed", [1, 2])
async def test_live_views_are_those_of_a_fresh_fold_whatever_the_pages(
    tenant: Tenant, database: str, odd_pages: "itertools.cycle[int]", seed: int
) -> None:
    events = annals(seed)
    await append_all(tenant.appender, events)
    await catch_up(tenant, odd_pages)
    assert await differences(database) == []
    async with owner(database) as conn:
        assert await views.progress(conn, TENANT) == (len(events), rebuild.digest_of(OPTIONS))
        for view in VIEWS:
            assert await rows_of(conn, view), view


async def test_events_that_arrive_while_it_projects_are_projected(tenant: Tenant, database: str) -> None:
    events = annals(3, 300)
    projector = Projector(tenant)
    running = asyncio.create_task(projector.run())
    for start in range(0, len(events), 17):
        await append_all(tenant.appender, events[start : start + 17])
        projector.wake.set()
    await eventually(lambda: reached(tenant, len(events)))
    projector.stop()
    await running
    assert await differences(database) == []


async def reached(tenant: Tenant, position: int) -> bool:
    async with tenant.connection() as conn:
        return await views.position(conn, tenant.name) == position


async def test_two_projectors_of_one_tenant_do_no_harm(
    tenant: Tenant, database: str, odd_pages: "itertools.cycle[int]"
) -> None:
    await append_all(tenant.appender, annals(4, 200))
    found = await asyncio.gather(*(catch_up(tenant, odd_pages) for _ in range(3)), return_exceptions=True)
    assert {type(each) for each in found} <= {type(None), CheckpointMoved}
    await catch_up(tenant)
    assert await differences(database) == []


async def test_a_moved_checkpoint_writes_nothing(tenant: Tenant, database: str) -> None:
    events = annals(1, 120)
    await append_all(tenant.appender, events)
    await catch_up(tenant)
    fold = Fold(TENANT, OPTIONS)
    fold.evolve(events)
    with pytest.raises(CheckpointMoved):
        async with tenant.connection() as conn, conn.transaction():
            await views.advance(conn, TENANT, fold.change(), 5, 6, "digest", await views.mark(conn))
    assert await differences(database) == []


async def test_the_views_of_one_tenant_know_nothing_of_another(tenant: Tenant, database: str) -> None:
    await append_all(tenant.appender, annals(1, 150))
    await catch_up(tenant)
    async with owner(database) as conn:
        assert await rebuild.compare(conn, "malmo", OPTIONS) == []
        for view in VIEWS:
            assert await rows_of(conn, view, "malmo") == []


async def test_an_id_that_was_absorbed_resolves_to_who_absorbed_it(tenant: Tenant) -> None:
    await append_all(tenant.appender, annals(1, 200))
    await catch_up(tenant)
    async with tenant.connection() as conn:
        rows = await rows_of(conn, "aliases")
        assert rows
        for row in rows:
            found = await views.resolve(conn, TENANT, row["alias"])
            assert found is not None
            assert found.id == row["entity"]


# -- what this program does not know


UNKNOWN = {
    "a type of a later version": ("ContactsPainted", 1, "{}"),
    "a shape of a later version": ("RecordObserved", 2, "{}"),
    "a command of a later version": ("CommandIssued", 2, '{"id": "x"}'),
    "a command without its name": ("CommandIssued", 1, '{"id": "x"}'),
    "a link of a later version": ("RecordsLinked", 2, "[]"),
    "an observation that does not say how it came": ("RecordObserved", 1, "{}"),
}


@pytest.mark.parametrize("what", UNKNOWN)
async def test_an_event_that_this_program_does_not_know_stops_it(
    tenant: Tenant, database: str, what: str
) -> None:
    kind, version, data = UNKNOWN[what]
    known = annals(1, 100)
    await append_all(tenant.appender, known)
    await catch_up(tenant)
    stream = entity_stream("contact", "con-x") if kind.startswith("Command") else "contact:vitec:ADR1"
    await tenant.appender.append([event("contact:vitec:ADR2")])
    async with owner(database) as conn:
        await conn.execute(
            "INSERT INTO events SELECT $1, max(position) + 1, $2, $3,"
            "  coalesce(max(version) FILTER (WHERE stream = $3), 0) + 1,"
            "  $4, $5, 'toveis', now(), now(), NULL, $2, $6 FROM events WHERE tenant = $1",
            TENANT,
            uuid.UUID(int=1),
            stream,
            kind,
            version,
            data,
        )
    projector = Projector(tenant)
    running = asyncio.create_task(projector.run())
    try:
        with pytest.raises(UnknownEventError, match=str(len(known) + 2)):
            await asyncio.wait_for(running, 0.5)
    finally:
        projector.stop()
    async with owner(database) as conn:
        assert await views.position(conn, TENANT) == len(known)  # nothing of its page counts
        assert await rebuild.compare(conn, TENANT, OPTIONS) == []  # the views hold what came before
        await views.set_progress(conn, TENANT, len(known) + 2, "")
        with pytest.raises(UnknownEventError):
            await rebuild.compare(conn, TENANT, OPTIONS)
        with pytest.raises(UnknownEventError):
            await rebuild.rebuild(conn, {TENANT: OPTIONS})
        assert await views.position(conn, TENANT) == len(known) + 2  # and the live ones still stand
        assert [d.field for d in await rebuild.check_log(conn, TENANT)] == ["unreadable"]


# -- odd content


async def test_a_text_that_postgresql_cannot_hold_does_not_stop_the_projector(
    tenant: Tenant, database: str
) -> None:
    odd = event("contact:propstreet:1", b'{"id": "1", "firstName": "A\\u0000B", "email": "a@example.no"}')
    await tenant.appender.append([odd])
    await catch_up(tenant)
    assert await differences(database) == []


async def test_a_payload_that_cannot_be_translated_does_not_stop_the_projector(
    tenant: Tenant, database: str
) -> None:
    texts = (b'{"id": {}}', b'{"id": "1", "firstName": 7}', b"[]")
    await tenant.appender.append([event("contact:propstreet:1", text) for text in texts])
    await tenant.appender.append([event("contact:vitec:ADR1", b'"' + b"\\u00e5" * 9999 + b'"')])
    await catch_up(tenant)
    assert await differences(database) == []
    async with owner(database) as conn:
        entity = await views.entity_of_record(conn, TENANT, "contact", "propstreet", "1")
    assert entity is not None
    assert entity.sides["propstreet"].unreadable == 3


async def test_odd_ids_and_odd_texts_stand_in_the_views_as_they_are(tenant: Tenant, database: str) -> None:
    name = "Ø\"\\'{},;\u2028😀 NULL"
    for record in ("1' OR 1=1", "{a,b}", "å:b", "%", "NULL"):
        body = encode({"id": record, "firstName": name, "tags": [name], "email": "Å@Example.NO"})
        await tenant.appender.append([event(record_stream("contact", "propstreet", record), body)])
    await catch_up(tenant)
    assert await differences(database) == []
    async with owner(database) as conn:
        rows = await rows_of(conn, "contacts")
        assert {row["first_name"] for row in rows} == {name}
        found = await views.entity_of_record(conn, TENANT, "contact", "propstreet", "å:b")
    assert found is not None


def told(entity: str, decision: Decision) -> NewEvent:
    kind = type(decision).__name__
    stream = entity_stream("contact", entity)
    return event(stream, encode(decision), type=kind, origin="operator", meta=None)


def link(vitec: str, propstreet: str, entity: str) -> NewEvent:
    return told(entity, RecordsLinked(entity, vitec, propstreet, "by hand"))


def observed(stream: str, name: str) -> NewEvent:
    return event(stream, encode({"id": stream.rpartition(":")[2], "firstName": name}))


async def test_what_is_said_of_an_absorbed_id_counts_for_who_absorbed_it(
    tenant: Tenant, database: str
) -> None:
    older, younger = (
        entity_id(TENANT, "contact", *record) for record in (("vitec", "ADR1"), ("propstreet", "1"))
    )
    steps = [
        observed("contact:vitec:ADR1", "A"),
        observed("contact:propstreet:1", "B"),
        link("ADR1", "1", older),
        told(younger, EntityHeld(younger, "ambiguous", "look", "mark")),
    ]
    for step in steps:
        await tenant.appender.append([step])
        await catch_up(tenant)
    assert await differences(database) == []
    async with tenant.connection() as conn:
        found = await views.resolve(conn, TENANT, younger)
    assert found is not None
    assert (found.id, found.hold is not None) == (older, True)


async def test_a_record_that_lost_its_place_to_another_is_the_same_live_and_fresh(
    tenant: Tenant, database: str
) -> None:
    """A link that replaces one record of an entity by a third one, and news of the one that was replaced."""
    entity = entity_id(TENANT, "contact", "vitec", "ADR1")
    steps = [
        observed("contact:vitec:ADR1", "A"),
        observed("contact:propstreet:1", "B"),
        observed("contact:propstreet:2", "C"),
        link("ADR1", "1", entity),
        link("ADR1", "2", entity),
        observed("contact:propstreet:1", "D"),
    ]
    for step in steps:
        await tenant.appender.append([step])
        await catch_up(tenant)
    assert await differences(database) == []


def test_an_event_is_what_the_annals_say_it_is() -> None:
    """Ids of the annals are distinct, positions and versions gapless: the appender gives them the same ones."""
    events: list[Event] = annals(5, 200)
    assert [each.position for each in events] == list(range(1, len(events) + 1))
    assert len({each.event_id for each in events}) == len(events)
