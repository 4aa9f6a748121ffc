"""What deciding needs besides the entity, gathered from the views: by the reactor, and by whoever rehearses what it
would decide."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from daemon.domain.streams import VENDORS, VITEC, record_stream
from daemon.mappings import LENSES
from daemon.policies.brakes import Brakes
from daemon.policies.linking import JOINING, abroad, far_keys
from daemon.policies.merging import heir_of, passed_on
from daemon.policies.plan import Context
from daemon.processor import Tenant
from daemon.storage import views, working
from daemon.storage.connection import Connection
from daemon.storage.working import Cursor, source_of
from projections.entity import Entity

PROBED = tuple({lens.category for lens in LENSES if lens.probed})

Record = tuple[str, str, str]
"""Category, vendor and external id."""


class Frame(msgspec.Struct, frozen=True):
    """What is the same for all entities that are decided together.

    `ready` are the categories whose first polls are complete, `polled` has, by source, the log's head when the last
    complete poll but one was sent.
    """

    incarnation: UUID
    ready: frozenset[str]
    polled: Mapping[str, int]
    brakes: Brakes
    cursors: Mapping[str, Cursor]


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

    async def with_keys(self, category: str, keys: Sequence[str]) -> list[Entity]:
        """The entities that have one of the keys at either vendor."""
        return await views.with_keys(self.conn, self.tenant, category, keys)

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


async def contexts(at: Tenant, known: Views, entities: Sequence[Entity], frame: Frame) -> dict[str, Context]:
    """The context of each entity."""
    since = await known.read_since(entities, frame.cursors)
    kin = await _kin(known, entities)
    probed = any(entity.category in PROBED for entity in entities)
    refused = await views.refused_fields(known.conn, at.name, PROBED) if probed else frozenset()
    return {
        entity.id: Context(
            sync=at.settings.sync,
            options=at.options,
            mode=at.mode,
            incarnation=frame.incarnation,
            read_since=since[entity.id],
            ready=entity.category in frame.ready,
            candidates=tuple(await _candidates(at, known, entity, kin[entity.id])),
            kin=kin[entity.id],
            refused=refused,
            heir=await _heir(known, entity, kin[entity.id]),
            polled={v: frame.polled.get(source_of(v, entity.category), -1) for v in entity.sides},
            brakes=frame.brakes,
        )
        for entity in entities
    }


async def _kin(known: Views, entities: Sequence[Entity]) -> dict[str, dict[str, Entity]]:
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


async def _candidates(at: Tenant, known: Views, entity: Entity, kin: dict[str, Entity]) -> list[Entity]:
    if len(entity.sides) != 1:
        return []
    parts = abroad(entity, kin) if entity.category in JOINING else None
    keys = far_keys(entity, at.options, parts)
    if not keys:
        return []
    return await known.with_keys(entity.category, keys)
