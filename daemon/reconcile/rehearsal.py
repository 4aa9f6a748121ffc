"""What would follow: what was read is folded in memory on top of the views, and the policies are asked what is due.

Nothing is written. What is decided here is what the reactor decides once the same reads are in the log.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from daemon.contexts import Frame, contexts
from daemon.domain.events import (
    OBSERVED,
    SCHEMA_VERSION,
    Decision,
    Event,
    FieldsAgreed,
    NewEvent,
    encode,
)
from daemon.domain.fields import Value
from daemon.domain.streams import derived_id, entity_stream, parse_record_stream, record_stream
from daemon.mappings.lens import REMOVED
from daemon.policies.deciding import decide
from daemon.policies.plan import Context, Plan
from daemon.policies.reconciling import Audited, corrected, news, notable, under_way
from daemon.processor import Tenant
from daemon.storage import log
from daemon.storage.appender import Item
from daemon.storage.connection import Connection
from daemon.storage.log import KnownRecord, Read
from daemon.storage.surroundings import Record, Views
from daemon.storage.working import Cursor
from projections.entities import keys_of, underway_keys
from projections.entity import Entity
from projections.fold import Entities

PASSES: Final = 10
"""So many decisions may follow from one another, such as a write from a link."""

_copies: Final = msgspec.json.Decoder(Entity)


class Overlay(Views):
    """The views, with the entities of a rehearsal in the place of their own."""

    def __init__(self, conn: Connection, tenant: str, fold: Entities, started: Mapping[str, int]) -> None:
        super().__init__(conn, tenant)
        self._fold = fold
        self._started = started
        self._keys: dict[tuple[str, str], set[str]] = {}

    def index(self) -> None:
        """Learn the keys of the entities as they are now."""
        self._keys.clear()
        for entity in self._fold.by_id.values():
            for vendor, side in entity.sides.items():
                keys = keys_of(entity.category, vendor, side, self._fold.options)
                for key in (*keys, *underway_keys(entity, self._fold.options)):
                    self._keys.setdefault((entity.category, key), set()).add(entity.id)

    async def entities(self, names: Iterable[str]) -> list[Entity]:
        """Those of the rehearsal, and the others as the views hold them."""
        asked = list(dict.fromkeys(names))
        mine = {name: entity for name in asked if (entity := self._fold.resolve(name)) is not None}
        return [*mine.values(), *await super().entities([name for name in asked if name not in mine])]

    async def owners(self, records: Iterable[Record]) -> dict[Record, str]:
        """The entity of each record that is known."""
        asked = list(records)
        owners = await super().owners(asked)
        for record in asked:
            name = self._fold.by_record.get(record)
            if name is not None and (entity := self._fold.resolve(name)) is not None:
                owners[record] = entity.id
        return owners

    async def by_keys(self, category: str, keys: Sequence[str]) -> list[tuple[str, str]]:
        """(key, entity) of the records that have one of the keys now."""
        told = [pair for pair in await super().by_keys(category, keys) if self._fold.resolve(pair[1]) is None]
        mine = [(key, name) for key in keys for name in sorted(self._keys.get((category, key), ()))]
        return [*told, *(pair for pair in mine if pair[1] in self._fold.by_id)]

    async def read_since(
        self, entities: Sequence[Entity], cursors: Mapping[str, Cursor]
    ) -> dict[str, dict[str, int]]:
        """As the log has it, or by what was read now."""
        since = await super().read_since(entities, cursors)
        for entity in entities:
            for vendor, side in entity.sides.items():
                stream = record_stream(entity.category, vendor, side.record)
                if len(entity.sides) == 2 and stream in self._started:
                    since[entity.id][vendor] = max(since[entity.id][vendor], self._started[stream])
        return since


class Rehearsal:
    """One rehearsal, with what was read. `batches` names, by entity, the brake that keeps it.

    Afterwards `items` has, by entity, what must be appended so that the reactor decides the same.
    """

    def __init__(
        self,
        at: Tenant,
        conn: Connection,
        frame: Frame,
        head: int,
        batches: Mapping[str, str],
    ) -> None:
        self.items: dict[str, list[Item]] = defaultdict(list)
        self.late: dict[str, set[str]] = defaultdict(set)
        """The vendors, by entity, that hold something new of what cannot be looked at now."""
        self._at = at
        self._conn = conn
        self._frame = frame
        self._position = head
        self._batches = batches
        self._fold = Entities(at.name, at.options)
        self._started: dict[str, int] = {}
        self._unknown: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        self._others: dict[str, list[Read]] = defaultdict(list)
        self._planned: dict[str, list[Decision]] = defaultdict(list)
        self._overlay = Overlay(conn, at.name, self._fold, self._started)

    async def play(self, kept: Sequence[Item], fresh: frozenset[str]) -> None:
        """Fold what was read, then decide until nothing more follows. `fresh` are streams that are not folded yet."""
        records = {
            item.stream: name for item in kept if (name := parse_record_stream(item.stream)) is not None
        }
        owners = await Views(self._conn, self._at.name).owners(records.values())
        for entity in await Views(self._conn, self._at.name).entities(set(owners.values())):
            self._fold.add(entity)
        told = await log.known_records(self._conn, self._at.name, list(records))
        for item in kept:
            if item.stream not in fresh:
                self._take(item, records[item.stream], told[item.stream])
        self._read_again()
        for _ in range(PASSES):
            if not await self._decide():
                break
        self._touch()

    async def audited(self, reasons: Mapping[str, str]) -> list[tuple[Audited, Context]]:
        """Every entity of the rehearsal with what was found and decided, and its context."""
        names = self._names()
        known = await contexts(self._at, self._overlay, names, self._frame)
        return [
            (
                Audited(
                    entity,
                    self._unknown.get(entity.id, {}),
                    self._planned.get(entity.id, ()),
                    reasons,
                    self._batches.get(entity.id),
                ),
                known[entity.id],
            )
            for entity in names
        ]

    def blocked(self) -> set[str]:
        """The commands that were held or refused for these entities."""
        blocks = [
            block for entity in self._names() for each in entity.blocked.values() for block in each.values()
        ]
        return {block.command for block in blocks}

    # -- folding

    def _take(self, item: Item, record: Record, told: KnownRecord) -> None:
        vendor = record[1]
        name = self._fold.by_record.get(record)
        entity = self._fold.by_id[name] if name is not None else None
        side = entity.sides[vendor] if entity is not None else None
        if isinstance(item, Read):
            started = item.reading.started or 0
            if started < told.ended or (side is not None and started < side.head.ended):
                return  # something newer is known by now
            self._started[item.stream] = started
        if entity is not None and under_way(entity) is not None:
            if not isinstance(item, Read) or log.is_news(item, told):
                self.late[entity.id].add(vendor)
            return
        if not isinstance(item, Read):
            if entity is not None and side is not None and side.gone is None:
                self._keep(entity.id, vendor, item, (REMOVED,))
            return
        names: tuple[str, ...] = ()
        if log.is_news(item, told):
            alone = Entities(self._at.name, self._at.options)
            if entity is not None:
                alone.add(_copies.decode(encode(entity)))
            alone.evolve(self._event(item, 1 << 40))
            names = news(side, alone.by_id[alone.by_record[record]].sides[vendor], self._same)
        if names:
            self._keep(entity.id if entity is not None else None, vendor, item, names)
        elif entity is not None:
            self._others[entity.id].append(item)

    def _keep(self, entity: str | None, vendor: str, item: Item, names: tuple[str, ...]) -> None:
        """Fold something that the log did not know."""
        if isinstance(item, Read):
            anew = entity is not None and bool(corrected(self._fold.by_id[entity], vendor, self._same))
            item = self._with(item, entity, anew=anew)
        self._evolve(item)
        record = parse_record_stream(item.stream)
        assert record is not None
        name = self._fold.by_record[record]
        if entity is None and name in self._batches and isinstance(item, Read):
            item = self._with(item, name, anew=False)
            self._fold.by_id[name].sides[vendor].batch = self._batches[name]
        self._unknown[name][vendor] = names
        self.items[name].append(item)

    def _read_again(self) -> None:
        """What a corrected mapping reads otherwise counts as changed by a read that says so; a brake needs one, too."""
        for name, reads in self._others.items():
            for read in reads:
                _, vendor, _ = parse_record_stream(read.stream) or ("", "", "")
                entity = self._fold.by_id[name]
                if not self._open(entity):
                    continue
                anew = bool(corrected(entity, vendor, self._same))
                braked = name in self._batches and not self.items[name]
                if anew or braked:
                    item = msgspec.structs.replace(self._with(read, name, anew=anew), always=True)
                    self._evolve(item)
                    self.items[name].append(item)

    def _touch(self) -> None:
        """Whatever something is decided for must be looked at: a read is appended though it says nothing new.

        What was only read again to see what follows, and nothing does, stays as it is.
        """
        for name in [name for name in self.items if name not in self._unknown and name not in self._batches]:
            if not self._planned.get(name):
                del self.items[name]
        for name, planned in self._planned.items():
            if planned and not self.items.get(name) and self._others.get(name):
                self.items[name].append(msgspec.structs.replace(self._others[name][0], always=True))

    def _with(self, read: Read, entity: str | None, *, anew: bool) -> Read:
        batch = self._batches.get(entity or "")
        return msgspec.structs.replace(
            read, reading=msgspec.structs.replace(read.reading, anew=anew, batch=batch)
        )

    def _evolve(self, item: Item) -> None:
        self._position += 1
        self._fold.evolve(self._event(item, self._position))

    def _event(self, item: Item, position: int) -> Event:
        now = self._at.clock()
        meta: bytes | None
        if isinstance(item, Read):
            data, meta, kind = item.payload, encode(item.reading), OBSERVED
            event_id = derived_id(self._at.name, item.stream, str(position))
        else:
            data, meta, kind, event_id = item.data, item.meta, item.type, item.event_id
        return Event(
            position,
            event_id,
            item.stream,
            self._version(item.stream) + 1,
            kind,
            SCHEMA_VERSION,
            item.origin,
            item.occurred_at,
            now,
            item.causation_id,
            item.correlation_id,
            data.decode(),
            None if meta is None else meta.decode(),
        )

    def _version(self, stream: str) -> int:
        record = parse_record_stream(stream)
        if record is None:
            entity = self._fold.resolve(stream.partition(":")[2])
            return 0 if entity is None else entity.version
        name = self._fold.by_record.get(record)
        return 0 if name is None else self._fold.by_id[name].sides[record[1]].version

    def _same(self, field: str, a: Value, b: Value) -> bool:
        return self._fold.same(field, a, b)

    # -- deciding

    def _names(self) -> list[Entity]:
        return sorted(self._fold.by_id.values(), key=lambda entity: (entity.position, entity.id))

    async def _decide(self) -> bool:
        """Ask once for every entity of which there is more to say; whether anything was decided."""
        self._overlay.index()
        entities = [each for each in self._names() if self._open(each)]
        known = await contexts(self._at, self._overlay, entities, self._frame)
        moved = set[str]()
        for entity in entities:
            if self._fold.by_id.get(entity.id) is not entity or entity.id in moved:
                continue
            plan = decide(entity, known[entity.id])
            if plan.events and not moved & {each.id for each in plan.basis}:
                moved |= {each.id for each in plan.basis}
                self._follow(plan)
        return bool(moved)

    def _open(self, entity: Entity) -> bool:
        fresh = entity.id in self._unknown or entity.id in self._planned
        plain = Context(
            self._at.settings.sync, self._at.options, self._at.mode, self._frame.incarnation, {}, ready=False
        )
        return fresh or notable(entity, plain)

    def _follow(self, plan: Plan) -> None:
        """Fold a decision as if it were in the log."""
        basis = plan.basis[0]
        for each in plan.basis:
            if self._fold.resolve(each.id) is None:
                self._fold.add(each)
        for name, decision in plan.events:
            stream = entity_stream(basis.category, name)
            item: NewEvent = self._at.decided(basis, decision, stream=stream, mark=str(basis.version))
            self._evolve(item)
            entity = self._fold.resolve(name)
            if entity is not None:
                self._gather(entity, [each.id for each in plan.basis])
                if not isinstance(decision, FieldsAgreed):  # the next poll would bring it, too
                    self._planned[entity.id].append(decision)

    def _gather(self, entity: Entity, names: Iterable[str]) -> None:
        """What was found of an entity that became a part of another is the other's."""
        for name in names:
            if name == entity.id or self._fold.resolve(name) is not entity:
                continue
            self._unknown[entity.id] |= self._unknown.pop(name, {})
            self.items[entity.id] += self.items.pop(name, [])
            self._others[entity.id] += self._others.pop(name, [])
            self._planned[entity.id] = [*self._planned.pop(name, []), *self._planned[entity.id]]
