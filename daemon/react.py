"""Stage 3: the reactor looks at every entity that changed and appends what is due. Deciding itself is pure."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from uuid import UUID

import msgspec

from daemon.contexts import Frame, contexts
from daemon.domain.errors import WrongExpectedVersion
from daemon.domain.events import (
    FIRST_SYNC,
    LOG_RESTORED,
    BatchHeld,
    BatchReleased,
    EntityHeld,
    Event,
    FirstSyncReleased,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
    decision_of,
)
from daemon.domain.streams import (
    CATEGORIES,
    PROPSTREET,
    VENDORS,
    VITEC,
    entity_stream,
    parse_record_stream,
)
from daemon.policies import brakes
from daemon.policies.brakes import OSCILLATION, Brakes
from daemon.policies.deciding import decide
from daemon.policies.linking import JOINING
from daemon.policies.plan import Plan, expected, synced
from daemon.processor import Polite, Tenant
from daemon.storage import brakes as stored
from daemon.storage import log, views, working
from daemon.storage.brakes import Removal
from daemon.storage.connection import Connection, snapshot
from daemon.storage.surroundings import Views
from daemon.storage.working import Cursor, source_of
from projections.entities import part_key
from projections.entity import Entity

PAGE = 200
SWEEP = 500
"""How many entities are looked at in one tick that no event has named."""

SHAKING = frozenset(("EntityHeld", "EntityReleased", "RecordsUnlinked"))
"""What happens to an entity that concerns those that join it, also the linked ones."""

MOVING = frozenset(kind.__name__ for kind in (RecordsLinked, RecordsMerged, RecordsUnlinked))
"""What concerns more records than those of the stream that it stands in, also where it came too late for one."""


class Poll(msgspec.Struct, frozen=True):
    """A poll that was complete: when, the log's head when it was sent, and that of the one before it."""

    looked_at: datetime | None = None
    sent: int = -1
    before: int = -1


class Braking(msgspec.Struct, frozen=True):
    """The removals that nothing followed from yet, what the brakes hold, and what is decided of them now.

    `first_syncs` are the categories of which an operator let go what only the first polls saw, each with the event.
    """

    removals: list[Removal]
    first_syncs: dict[str, int]
    brakes: Brakes
    decided: list[BatchHeld | BatchReleased]


class Reactor(Polite):
    """Decides for one tenant. It never looks at an event that the views have not folded yet."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__("react", tenant)
        self._incarnation: UUID | None = None
        self._looked: dict[str, datetime | None] = {}
        self._started = False
        self._swept = 0
        self._ready: set[str] = set()
        self._polls: dict[str, tuple[Poll, int]] = {}
        self._polled: dict[str, Poll] = {}
        self._backlog: dict[str, None] = {}
        self._waiting: dict[str, set[str]] = defaultdict(set)

    async def start(self) -> None:
        """Learn the mark of this log. After a restore nothing is decided before the views know of it."""
        async with self.at.connection() as conn:
            incarnation = await log.incarnation(conn, self.tenant)
            while await views.position(conn, self.tenant) < incarnation.since:  # noqa: ASYNC110 - another stage's
                await asyncio.sleep(0.02)
            self._swept = await working.checkpoint(conn, self.tenant, working.BACKFILL)
        self._incarnation = incarnation.mark

    async def tick(self) -> bool:
        """Decide for the entities of the next page of events, and for those that a poll, or the start, may settle.

        What is to be looked at is forgotten only when all of it was: a tick that fails looks again.
        """
        if self._awaits_catalogue():
            return False
        async with self.at.connection() as conn, snapshot(conn):
            upto = await views.position(conn, self.tenant)
            after = await working.checkpoint(conn, self.tenant, self.name)
            events = [e for e in await log.page(conn, self.tenant, after, PAGE) if e.position <= upto]
            cursors = await working.cursors(conn, self.tenant)
            touched = await self._touched(conn, events)
            if any(event.type == LOG_RESTORED for event in events):
                self._incarnation = (await log.incarnation(conn, self.tenant)).mark
                touched |= set(await views.waiting_leads(conn, self.tenant))
            polled = await self._fold_polls(conn, cursors, upto)
            braking = await self._weigh(conn)
            woken = {name for one in touched for name in self._waiting.get(one, ())}
            for name in (
                *await self._settled_by_polls(conn, cursors),
                *await self._become_ready(conn, braking.first_syncs),
                *await self._let_go(conn, events),
                *await self._freed(conn, events, braking, polled=polled),
            ):
                self._backlog[name] = None
            swept = list(islice(self._backlog, SWEEP))
            shaken = {e.stream.partition(":")[2] for e in events if e.type in SHAKING}
            names = {*touched, *woken, *swept}
            plans = await self._decide(conn, names, shaken, cursors, braking)
        for decision in braking.decided:
            await self.brake(decision)
        for name in touched:
            self._waiting.pop(name, None)
        waits = [(name, entity) for entity, plan in plans for name in plan.wait_for]
        for name, waiting in waits:
            self._waiting[name].add(waiting)
        due = [plan for _, plan in plans if plan.events]
        try:
            for at in range(0, len(due), PAGE):
                await asyncio.gather(*(self._append(plan) for plan in due[at : at + PAGE]))
        except BaseException:
            self._backlog.update(dict.fromkeys(names))  # whatever was not appended is looked at again
            raise
        for name in swept:
            self._backlog.pop(name, None)
        if events:
            async with self.at.writing() as conn:
                await working.move_checkpoint(conn, self.tenant, self.name, events[-1].position)
        await self._note_backfill(braking.first_syncs, events[-1].position if events else after)
        return len(events) == PAGE or bool(self._backlog)

    async def _note_backfill(self, first_syncs: dict[str, int], upto: int) -> None:
        """Whoever follows a backfill is told when each entity of it was looked at once."""
        newest = max(first_syncs.values(), default=0)
        if self._swept < newest <= upto and not self._backlog and first_syncs.keys() <= self._ready:
            async with self.at.writing() as conn:
                await working.move_checkpoint(conn, self.tenant, working.BACKFILL, newest)
            self._swept = newest

    def _awaits_catalogue(self) -> bool:
        """Which categories may be written is not known yet; a product without contacts has none to tell of."""
        options = self.at.options
        if self.at.settings.vitec.product != "connect" or options.catalogue:
            return False
        return bool(options.categories or options.company_categories)

    async def _touched(self, conn: Connection, events: Sequence[Event]) -> set[str]:
        """The entities that some events are about, by their present names and by the younger ones."""
        streams = {event.stream for event in events}
        records = {record for stream in streams if (record := parse_record_stream(stream)) is not None}
        direct = {s.partition(":")[2] for s in streams if parse_record_stream(s) is None}
        for event in events:
            category = event.stream.partition(":")[0]
            match decision_of(event) if event.type in MOVING else None:
                case RecordsLinked(vitec=vitec, propstreet=propstreet):
                    records |= {(category, VITEC, vitec), (category, PROPSTREET, propstreet)}
                case RecordsMerged(vendor=vendor, destination=destination):
                    records.add((category, vendor, destination))
                case RecordsUnlinked(parted=parted):
                    direct.update(parted.values())
        direct |= await views.entities_of_records(conn, self.tenant, list(records))
        aliases = await views.aliases(conn, self.tenant, direct)
        return direct | {aliases.get(name, name) for name in direct}

    async def _fold_polls(self, conn: Connection, cursors: dict[str, Cursor], upto: int) -> bool:
        """Take note of the polls that are complete, once all that they found is folded; whether there is a new one."""
        head, new = await log.head(conn, self.tenant), False
        for source, cursor in cursors.items():
            before = self._polled.get(source, Poll())
            if cursor.complete is None or cursor.looked_at == before.looked_at:
                continue
            poll, end = self._polls.setdefault(
                source, (Poll(cursor.looked_at, cursor.complete, before.sent), head)
            )
            if upto >= end:
                self._polled[source], new = poll, True
                del self._polls[source]
        return new

    async def _weigh(self, conn: Connection) -> Braking:
        """What the brakes hold, and the removals that nothing followed from yet."""
        categories = synced(self.at.settings.sync)
        # what is not synced any more stays as it is: none of it has come back
        batches = [row for row in await stored.batches(conn, self.tenant) if row.category in categories]
        first_syncs = {row.category: row.held for row in batches if row.kind == FIRST_SYNC}
        removals = await stored.removals(conn, self.tenant, categories)
        before, brake = brakes.standing(batches), self.at.settings.sync.delete_brake
        gone = Counter(
            (r.vendor, r.category)
            for r in removals
            if r.gone > before.released.get((r.vendor, r.category), 0)
        )
        asked = await stored.asked_for(conn, self.tenant) if gone else {}
        vanished = {}
        for kind, count in gone.items():
            few = kind in before.waiting or count + asked.get(kind, 0) <= brake.count
            linked = 0 if few else await stored.linked_count(conn, self.tenant, kind[1:])
            vanished[kind] = brakes.Vanished(count, asked.get(kind, 0), linked)
        return Braking(removals, first_syncs, *brakes.weigh(self.tenant, batches, vanished, brake))

    async def _freed(
        self, conn: Connection, events: Iterable[Event], braking: Braking, *, polled: bool
    ) -> set[str]:
        """The entities that waited for the release of a batch, or for a poll that would find what else is gone."""
        released = [e.stream.partition(":")[2] for e in events if e.type == BatchReleased.__name__]
        names = set(await stored.entities_of_batches(conn, self.tenant, released)) if released else set()
        if released or polled:
            names |= {
                r.entity for r in braking.removals if (r.vendor, r.category) not in braking.brakes.waiting
            }
        return names

    async def _settled_by_polls(self, conn: Connection, cursors: dict[str, Cursor]) -> set[str]:
        """Entities that no event touches, and that a completed poll lets be decided."""
        looked = {source: cursor.looked_at for source, cursor in cursors.items()}
        if looked == self._looked:
            return set()
        self._looked = looked
        names = set(await views.unsealed(conn, self.tenant))
        if not self._started:
            # the mode may be another one than before, and nobody remembers who waited for whom
            self._started = True
            live = self.at.mode == "live"
            names |= set(await (views.observed if live else views.unsent)(conn, self.tenant))
            names |= set(await views.joining(conn, self.tenant, sorted(JOINING)))
            freed = [row.batch for row in await stored.batches(conn, self.tenant) if row.released is not None]
            names |= set(await stored.entities_of_batches(conn, self.tenant, freed))
        return names

    async def _let_go(self, conn: Connection, events: Iterable[Event]) -> list[str]:
        """What only the first polls saw of a category that an operator has just released, the oldest first."""
        names: list[str] = []
        for event in events:
            if event.type == FirstSyncReleased.__name__:
                released = decision_of(event)
                assert isinstance(released, FirstSyncReleased)
                names += await views.dormant(conn, self.tenant, released.category)
        return names

    async def _become_ready(self, conn: Connection, first_syncs: Iterable[str]) -> list[str]:
        """Unlinked entities of a category whose first polls are complete, and folded: now they may be introduced."""
        names: list[str] = []
        for category in CATEGORIES:
            if category in self._ready or not all(source_of(v, category) in self._polled for v in VENDORS):
                continue
            self._ready.add(category)
            names += await views.unlinked(conn, self.tenant, category)
            if self.at.settings.sync.first_sync == "now" or category in first_syncs:
                names += await views.dormant(conn, self.tenant, category)
        return names

    async def _decide(
        self, conn: Connection, names: set[str], shaken: set[str], cursors: dict[str, Cursor], held: Braking
    ) -> list[tuple[str, Plan]]:
        entities = await views.entities(conn, self.tenant, names)
        entities += await self._joining(conn, entities, shaken)
        assert self._incarnation is not None
        polled = {source: poll.before for source, poll in self._polled.items()}
        frame = Frame(
            self._incarnation,
            frozenset(self._ready),
            polled,
            held.brakes,
            cursors,
            frozenset(held.first_syncs),
        )
        known = await contexts(self.at, Views(conn, self.tenant), entities, frame)
        return [
            (entity.id, decide(entity, known[entity.id]))
            for entity in sorted(entities, key=lambda e: e.position)
        ]

    async def _joining(self, conn: Connection, entities: Sequence[Entity], shaken: set[str]) -> list[Entity]:
        """The unlinked entities that waited for one of these to be linked; all that join one that was merged away,
        held or released."""
        found: set[str] = set()
        for linked in (False, True):
            keys = [
                part_key(entity.category, side.record)
                for entity in entities
                if entity.category not in JOINING
                for vendor, side in entity.sides.items()
                if (
                    (side.into is not None and vendor == VITEC) or entity.id in shaken
                    if linked
                    else len(entity.sides) == 2
                )
            ]
            # Vitec's relations name persons and companies alike as contacts
            keys += [key.replace("part:company:", "part:contact:", 1) for key in keys if ":company:" in key]
            if keys:
                found |= set(await views.dependents(conn, self.tenant, sorted(JOINING), keys, linked=linked))
        found -= {entity.id for entity in entities}
        return await views.entities(conn, self.tenant, found) if found else []

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
            return
        for (name, decision), item in zip(plan.events, items, strict=True):
            self._log.debug(
                "react.decided",
                type=item.type,
                entity=name,
                event_id=item.event_id,
                command=getattr(decision, "command", None),
                correlation_id=item.correlation_id,
                causation_id=item.causation_id,
            )
            if isinstance(decision, EntityHeld) and decision.reason == OSCILLATION:
                self._log.warning("brake.held", kind=OSCILLATION, category=basis.category, entity=name)
