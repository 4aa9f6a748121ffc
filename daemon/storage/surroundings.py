"""What deciding needs besides an entity itself, as the views and the reads tell it, for a page of entities at once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from daemon.domain.streams import VENDORS, VITEC, record_stream
from daemon.mappings.lens import Options
from daemon.policies.linking import JOINING, abroad, far_keys
from daemon.policies.merging import heir_of, passed_on
from daemon.storage import views, working
from daemon.storage.connection import Connection
from daemon.storage.working import Cursor, source_of
from projections.entity import Entity

Record = tuple[str, str, str]
"""Category, vendor and external id."""


class Views:
    """The entities as the views hold them."""

    def __init__(self, conn: Connection, tenant: str) -> None:
        self.conn = conn
        self.tenant = tenant

    async def entities(self, names: Iterable[str]) -> list[Entity]:
        """Some entities; unknown names are left out."""
        return await views.entities(self.conn, self.tenant, names)

    async def owners(self, records: Iterable[Record]) -> dict[Record, str]:
        """The entity of each record that is known."""
        return await views.owners(self.conn, self.tenant, records)

    async def by_keys(self, category: str, keys: Sequence[str]) -> list[tuple[str, str]]:
        """(key, entity) of the records of either vendor that have one of the keys."""
        return await views.by_keys(self.conn, self.tenant, category, keys)

    async def read_since(
        self, entities: Sequence[Entity], cursors: Mapping[str, Cursor]
    ) -> dict[str, dict[str, int]]:
        """Per entity and vendor: the log's head when the newest read of the record, or of all records, was sent."""
        streams = [
            record_stream(e.category, vendor, side.record)
            for e in entities
            if len(e.sides) == 2
            for vendor, side in e.sides.items()
        ]
        known = await working.reads(self.conn, self.tenant, streams)
        since: dict[str, dict[str, int]] = {}
        for e in entities:
            since[e.id] = {}
            for vendor in VENDORS:
                side = e.sides.get(vendor)
                read = known.get(record_stream(e.category, vendor, side.record)) if side else None
                cursor = cursors.get(source_of(vendor, e.category))
                polled = cursor.complete if cursor is not None and cursor.complete is not None else -1
                if (vendor, e.category) in working.READ_ONE_BY_ONE:
                    polled = -1
                if read is not None and not read.settled():
                    polled = -1
                since[e.id][vendor] = max(polled, read.started if read is not None else -1)
        return since


class Around(msgspec.Struct, frozen=True):
    """The entities that one joins, those that share a match key with it, and who has the place of a merged record."""

    kin: dict[str, Entity] = {}
    candidates: tuple[Entity, ...] = ()
    heir: Entity | None = None


def _as_it_is(entity: Entity) -> Entity:
    return entity


async def around(
    known: Views,
    options: Options,
    entities: Sequence[Entity],
    present: Callable[[Entity], Entity] = _as_it_is,
) -> dict[str, Around]:
    """What stands around each of some entities, by the entity's id; `present` tells what one that it joins is by now."""
    kin = {
        name: {part: present(each) for part, each in joined.items()}
        for name, joined in (await kin_of(known, entities)).items()
    }
    keys = {entity.id: keys_abroad(entity, kin[entity.id], options) for entity in entities}
    candidates = await _candidates(known, entities, keys)
    return {
        entity.id: Around(kin[entity.id], candidates[entity.id], await _heir(known, entity, kin[entity.id]))
        for entity in entities
    }


async def kin_of(known: Views, entities: Sequence[Entity]) -> dict[str, dict[str, Entity]]:
    """Per entity the entities that it joins, by the category that its own record names."""
    asked = {
        (entity.id, part, (category, vendor, record))
        for entity in entities
        for vendor, side in entity.sides.items()
        for part, record in side.parts.items()
        for category in (("contact", "company") if (vendor, part) == (VITEC, "contact") else (part,))
    }
    kin: dict[str, dict[str, Entity]] = {entity.id: {} for entity in entities}
    if not asked:
        return kin
    owners = await known.owners({record for _, _, record in asked})
    joined = {e.id: e for e in await known.entities(set(owners.values()))}
    for name, part, record in sorted(asked, key=lambda row: (row[2][1] != VITEC, row)):
        if record in owners and owners[record] in joined:
            kin[name].setdefault(part, joined[owners[record]])
    return kin


def keys_abroad(entity: Entity, kin: dict[str, Entity], options: Options) -> tuple[str, ...]:
    """The keys that the counterpart of an unlinked record would have; none for one that is linked."""
    if len(entity.sides) != 1:
        return ()
    parts = abroad(entity, kin) if entity.category in JOINING else None
    return far_keys(entity, options, parts)


async def _candidates(
    known: Views, entities: Sequence[Entity], keys: dict[str, tuple[str, ...]]
) -> dict[str, tuple[Entity, ...]]:
    """Per entity those that have one of its keys at either vendor; itself is among them."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for category in sorted({entity.category for entity in entities}):
        asked = {key for entity in entities if entity.category == category for key in keys[entity.id]}
        if asked:
            for key, name in await known.by_keys(category, sorted(asked)):
                owners[category, key].append(name)
    found = {
        entity.id: sorted({name for key in keys[entity.id] for name in owners[entity.category, key]})
        for entity in entities
    }
    there = {entity.id: entity for entity in entities}
    missing = {name for names in found.values() for name in names} - there.keys()
    there |= {entity.id: entity for entity in await known.entities(missing)}
    return {each: tuple(there[name] for name in names if name in there) for each, names in found.items()}


async def _heir(known: Views, entity: Entity, kin: dict[str, Entity]) -> Entity | None:
    """Who has the place of a record that was merged away, also where that one was merged away itself."""
    heir, record, seen = None, heir_of(entity, kin), {entity.id}
    while record is not None:
        owners = await known.owners([(record[0], VITEC, record[1])])
        found = await known.entities(owners.values())
        heir = found[0] if found else None
        if heir is None or heir.id in seen:
            break
        seen.add(heir.id)
        record = passed_on(heir)
    return heir
