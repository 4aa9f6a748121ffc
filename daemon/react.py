"""Stage 3: the reactor looks at every entity that changed and appends what is due. Deciding itself is pure."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from daemon.domain.errors import WrongExpectedVersion
from daemon.domain.events import Event
from daemon.domain.streams import (
    VENDORS,
    entity_stream,
    parse_record_stream,
    record_stream,
)
from daemon.policies.deciding import decide
from daemon.policies.plan import Context, Plan, expected
from daemon.processor import Polite, Tenant
from daemon.storage import log, views, working
from daemon.storage.connection import Connection, snapshot
from daemon.storage.working import Cursor, source_of
from projections.entities import keys_of
from projections.entity import Entity

PAGE = 200


class Reactor(Polite):
    """Decides for one tenant. It never looks at an event that the views have not folded yet."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__("react", tenant)
        self._incarnation: UUID | None = None
        self._looked: dict[str, datetime | None] = {}
        self._swept = False
        self._waiting: dict[str, set[str]] = defaultdict(set)

    async def start(self) -> None:
        """Learn the mark of this database."""
        async with self.at.connection() as conn:
            self._incarnation = await log.incarnation(conn)

    async def tick(self) -> bool:
        """Decide for the entities of the next page of events, and for those that completed polls may settle."""
        if (
            self.at.options.categories or self.at.options.company_categories
        ) and not self.at.options.catalogue:
            return False  # which categories may be written is not known yet
        async with self.at.connection() as conn, snapshot(conn):
            upto = await views.position(conn, self.tenant)
            after = await working.checkpoint(conn, self.tenant, self.name)
            events = [e for e in await log.page(conn, self.tenant, after, PAGE) if e.position <= upto]
            cursors = await working.cursors(conn, self.tenant)
            names = await self._touched(conn, events) | await self._settled_by_polls(conn, cursors)
            plans = await self._decide(conn, names, cursors)
        await asyncio.gather(*(self._append(plan) for plan in plans))
        if events:
            async with self.at.connection() as conn:
                await working.move_checkpoint(conn, self.tenant, self.name, events[-1].position)
        return len(events) == PAGE

    async def _touched(self, conn: Connection, events: Iterable[Event]) -> set[str]:
        """The entities that some events are about, and those that waited for one of them."""
        streams = {event.stream for event in events}
        records = [record for stream in streams if (record := parse_record_stream(stream)) is not None]
        direct = {s.partition(":")[2] for s in streams if parse_record_stream(s) is None}
        direct |= await views.entities_of_records(conn, self.tenant, records)
        aliases = await views.aliases(conn, self.tenant, direct)
        names = {aliases.get(name, name) for name in direct}
        waiting = [self._waiting.pop(name, set()) for name in names | direct]
        return names.union(*waiting)

    async def _settled_by_polls(self, conn: Connection, cursors: dict[str, Cursor]) -> set[str]:
        """Entities that no event touches, and that a completed poll lets be decided."""
        looked = {source: cursor.looked_at for source, cursor in cursors.items()}
        if looked == self._looked:
            return set()
        self._looked = looked
        names = set(await views.unsealed(conn, self.tenant))
        if not self._swept and all(ready(cursors, category) for category in ("contact", "company")):
            self._swept = True
            released = self.at.settings.sync.first_sync == "now"
            names |= set(await views.unlinked(conn, self.tenant, dormant=released))
            if self.at.mode == "live":
                names |= set(await views.observed(conn, self.tenant))
        return names

    async def _decide(self, conn: Connection, names: set[str], cursors: dict[str, Cursor]) -> list[Plan]:
        entities = await views.entities(conn, self.tenant, names)
        since = await self._read_since(conn, entities, cursors)
        plans = []
        for entity in sorted(entities, key=lambda e: e.position):
            plan = decide(entity, await self._context(conn, entity, since[entity.id], cursors))
            for name in plan.wait_for:
                self._waiting[name].add(entity.id)
            if plan.events:
                plans.append(plan)
        return plans

    async def _context(
        self, conn: Connection, entity: Entity, since: dict[str, int], cursors: dict[str, Cursor]
    ) -> Context:
        assert self._incarnation is not None
        return Context(
            sync=self.at.settings.sync,
            options=self.at.options,
            mode=self.at.mode,
            incarnation=self._incarnation,
            read_since=since,
            ready=ready(cursors, entity.category),
            candidates=tuple(await self._candidates(conn, entity)),
        )

    async def _candidates(self, conn: Connection, entity: Entity) -> list[Entity]:
        if len(entity.sides) != 1:
            return []
        [(vendor, side)] = entity.sides.items()
        keys = keys_of(entity.category, vendor, side, self.at.options)
        if not keys:
            return []
        return await views.with_keys(conn, self.tenant, entity.category, keys)

    async def _read_since(
        self, conn: Connection, entities: list[Entity], cursors: dict[str, Cursor]
    ) -> dict[str, dict[str, int]]:
        """Per entity and vendor: the log's head when the newest read of the record, or of all records, was sent."""
        streams = [
            record_stream(e.category, vendor, side.record)
            for e in entities
            if len(e.sides) == 2
            for vendor, side in e.sides.items()
        ]
        known = await working.reads(conn, self.tenant, streams)
        since: dict[str, dict[str, int]] = {}
        for e in entities:
            since[e.id] = {}
            for vendor in VENDORS:
                side = e.sides.get(vendor)
                read = known.get(record_stream(e.category, vendor, side.record)) if side else None
                cursor = cursors.get(source_of(vendor, e.category))
                polled = cursor.complete if cursor is not None and cursor.complete is not None else -1
                if read is not None and not read.settled():
                    polled = -1
                since[e.id][vendor] = max(polled, read.started if read is not None else -1)
        return since

    async def _append(self, plan: Plan) -> None:
        """Append a decision, unless something that it rests on has moved: then newer events bring it here again."""
        basis = plan.basis[0]
        versions = expected(plan.basis)
        items = [
            self.at.decided(
                basis, decision, stream=entity_stream(basis.category, name), mark=str(basis.version)
            )
            for name, decision in plan.events
        ]
        try:
            await self.at.appender.append(items, expected=versions)
        except WrongExpectedVersion:
            for moved in plan.basis:  # the event that overtook us may be about another entity than this one
                self._waiting[moved.id].update(entity.id for entity in plan.basis)


def ready(cursors: dict[str, Cursor], category: str) -> bool:
    """The first poll of both vendors is complete: nothing is created before everything was seen."""
    found = [cursors.get(source_of(vendor, category)) for vendor in VENDORS]
    return all(cursor is not None and cursor.complete is not None for cursor in found)
