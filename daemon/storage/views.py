"""The views in the database: load what a page of events names, write what the fold changed, read what a stage asks."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from daemon.domain.errors import CheckpointMoved
from daemon.domain.events import Event, RecordsLinked, RecordsMerged, decision_of, known
from daemon.domain.streams import PROPSTREET, VITEC, parse_record_stream
from daemon.mappings.lens import Options
from daemon.storage.connection import Connection
from daemon.storage.queries import queries
from projections.batches import TYPES as BATCH_TYPES
from projections.batches import BatchRow
from projections.commands import OPEN, CommandRow
from projections.commands import TYPES as COMMAND_TYPES
from projections.conflicts import ConflictRow
from projections.entity import Entity, Hold
from projections.views import VIEWS, Change, Fold, Row

_sql: Final = queries("views")
_progress: Final = queries("progress", "projections")
_views: Final = {name: queries(name, "projections") for name in VIEWS}
_entities: Final = msgspec.json.Decoder(Entity)
_commands: Final = msgspec.json.Decoder(CommandRow)
_conflicts: Final = msgspec.json.Decoder(ConflictRow)
_batches: Final = msgspec.json.Decoder(BatchRow)
_rows: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(kind) for name, kind in VIEWS.items()
}


PAGE: Final = 500
NO_RESTS: Final[Mapping[str, int]] = {}
"""So many entities are at hand when all of them are gone through."""


class Need(msgspec.Struct, frozen=True):
    """A record that must be read again; `need` is the event that says so, or the last one there was.

    `missing`: it is gone, nothing followed from that yet, and it may have come back. `backfill`: only the first polls
    saw it, and it goes behind everything else.
    """

    category: str
    vendor: str
    external_id: str
    kind: str | None
    need: int
    parts: dict[str, str] = {}
    backfill: bool = False
    missing: bool = False


class Typed(msgspec.Struct, frozen=True):
    """A record at Vitec, and the vendor's word for its type."""

    external_id: str
    kind: str


class Owner(msgspec.Struct, frozen=True):
    """A linked record that may have notes, and what it joins itself."""

    category: str
    external_id: str
    parts: dict[str, str] = {}


async def progress(conn: Connection, tenant: str) -> tuple[int, str] | None:
    """The projector's position and the digest of what it folded with; None before the first page."""
    row = await conn.fetchrow(_progress["read"], tenant)
    return None if row is None else (row["position"], row["digest"])


async def position(conn: Connection, tenant: str) -> int:
    """How far the views have come in the log."""
    found = await progress(conn, tenant)
    return 0 if found is None else found[0]


async def load(conn: Connection, fold: Fold, events: Sequence[Event]) -> None:
    """Put at hand what these events name, and nothing else."""
    names = _names(events)
    known = await conn.fetch(
        _sql["entities_of_records"],
        fold.tenant,
        [category for category, _, _ in names.records],
        [vendor for _, vendor, _ in names.records],
        [record for _, _, record in names.records],
    )
    wanted = names.entities | {row["entity"] for row in known}
    fold.entities.aliases = await aliases(conn, fold.tenant, wanted)
    wanted = {fold.entities.aliases.get(name, name) for name in wanted}
    fold.entities.by_id.clear()
    fold.entities.by_record.clear()
    for entity in await entities(conn, fold.tenant, wanted):
        fold.entities.add(entity)
    fold.commands = {
        row.command: row
        for row in map(_commands.decode, await _column(conn, "commands", fold.tenant, list(names.commands)))
    }
    if names.batches:
        held = await _column(conn, "batches", fold.tenant, list(names.batches))
        fold.batches = {row.batch: row for row in map(_batches.decode, held)}


async def restored(conn: Connection, tenant: str, options: Options, event: Event) -> AsyncIterator[Change]:
    """What LogRestored does to the views. It touches every entity, so it is folded alone, a page of them at a time."""
    fold = Fold(tenant, options)
    fold.commands = {row.command: row for row in await commands_in(conn, tenant, sorted(OPEN))}
    last = ""
    while names := [row["entity"] for row in await conn.fetch(_sql["entity_names"], tenant, last, PAGE)]:
        for entity in await entities(conn, tenant, names):
            fold.entities.add(entity)
        fold.evolve([event])
        yield fold.change()
        fold, last = Fold(tenant, options), names[-1]


class _Names(msgspec.Struct):
    records: set[tuple[str, str, str]]
    entities: set[str]
    commands: set[str]
    batches: set[str]


def _names(events: Iterable[Event]) -> _Names:
    names = _Names(set(), set(), set(), set())
    for event in map(known, events):
        record = parse_record_stream(event.stream)
        if record is not None:
            names.records.add(record)
            continue
        category, _, entity = event.stream.partition(":")
        (names.batches if event.type in BATCH_TYPES else names.entities).add(entity)
        if event.type == RecordsLinked.__name__:
            link = decision_of(event)
            assert isinstance(link, RecordsLinked)
            names.records |= {(category, VITEC, link.vitec), (category, PROPSTREET, link.propstreet)}
            names.entities.add(link.entity)
        elif event.type == RecordsMerged.__name__:
            merged = decision_of(event)
            assert isinstance(merged, RecordsMerged)
            names.records |= {(category, merged.vendor, r) for r in (merged.source, merged.destination)}
        elif event.type in COMMAND_TYPES:
            names.commands.add(decision_of(event).command)  # type: ignore[attr-defined]  # all of COMMAND_TYPES have one
    return names


async def aliases(conn: Connection, tenant: str, names: Iterable[str]) -> dict[str, str]:
    """Younger ids among `names` with the entity that each resolves to, however often it was absorbed."""
    found: dict[str, str] = {}
    asked = set(names)
    while asked:
        rows = await conn.fetch(_sql["aliases"], tenant, list(asked))
        found.update({row["alias"]: row["entity"] for row in rows})
        asked = {row["entity"] for row in rows} - found.keys()
    for alias in found:
        while found[alias] in found:
            found[alias] = found[found[alias]]
    return found


async def entities(conn: Connection, tenant: str, names: Iterable[str]) -> list[Entity]:
    """The states of some entities; unknown names are left out."""
    return [_entities.decode(text) for text in await _column(conn, "states", tenant, list(names))]


async def resolve(conn: Connection, tenant: str, name: str) -> Entity | None:
    """The entity of this id, or the one that absorbed it."""
    found = await aliases(conn, tenant, [name])
    states = await entities(conn, tenant, [found.get(name, name)])
    return states[0] if states else None


async def entity_of_record(
    conn: Connection, tenant: str, category: str, vendor: str, external_id: str
) -> Entity | None:
    """The entity that a vendor's record belongs to."""
    rows = await conn.fetch(_sql["entities_of_records"], tenant, [category], [vendor], [external_id])
    found = await entities(conn, tenant, [row["entity"] for row in rows])
    return found[0] if found else None


async def entities_of_records(
    conn: Connection, tenant: str, records: Sequence[tuple[str, str, str]]
) -> set[str]:
    """The ids of the entities of some records (category, vendor, external id)."""
    return set((await owners(conn, tenant, records)).values())


async def owners(
    conn: Connection, tenant: str, records: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], str]:
    """The entity of each record (category, vendor, external id) that is known."""
    asked = list(records)
    if not asked:
        return {}
    rows = await conn.fetch(
        _sql["entities_of_records"],
        tenant,
        [category for category, _, _ in asked],
        [vendor for _, vendor, _ in asked],
        [record for _, _, record in asked],
    )
    return {(row["category"], row["vendor"], row["external_id"]): row["entity"] for row in rows}


async def with_keys(conn: Connection, tenant: str, category: str, keys: Sequence[str]) -> list[Entity]:
    """The entities that have one of the keys at either vendor."""
    rows = await conn.fetch(_sql["entities_with_any_key"], tenant, category, list(keys))
    return await entities(conn, tenant, [row["entity"] for row in rows])


async def absorbed(conn: Connection, tenant: str, name: str) -> list[str]:
    """The younger ids that resolve to an entity."""
    found: list[str] = []
    asked = [name]
    while asked:
        asked = await _column(conn, "absorbed", tenant, asked)
        found += asked
    return found


async def unsealed(conn: Connection, tenant: str) -> list[str]:
    """Entities with a field that means the same on both sides and is not yet the base."""
    return [row["entity"] for row in await conn.fetch(_sql["unsealed"], tenant)]


async def by_keys(conn: Connection, tenant: str, category: str, keys: Sequence[str]) -> list[tuple[str, str]]:
    """(key, entity) of the records of either vendor that have one of the keys."""
    rows = await conn.fetch(_sql["entities_by_key"], tenant, category, list(keys))
    return [(row["key"], row["entity"]) for row in rows]


async def unlinked(conn: Connection, tenant: str, category: str) -> list[str]:
    """Entities that only one vendor has, but for those that only the first polls saw."""
    return [row["entity"] for row in await conn.fetch(_sql["unlinked"], tenant, category)]


async def dormant(conn: Connection, tenant: str, category: str) -> list[str]:
    """The entities that only the first polls saw, the oldest first."""
    return [row["entity"] for row in await conn.fetch(_sql["dormant"], tenant, category)]


async def dependents(
    conn: Connection, tenant: str, categories: Sequence[str], keys: Sequence[str], *, linked: bool
) -> list[str]:
    """Entities whose record joins a record of these part keys; the linked ones only if asked for."""
    rows = await conn.fetch(_sql["dependents"], tenant, list(categories), list(keys), linked)
    return [row["entity"] for row in rows]


async def linked_records(conn: Connection, tenant: str, category: str, vendor: str) -> list[str]:
    """The ids of a vendor's records that are linked."""
    rows = await conn.fetch(_sql["linked_records"], tenant, category, vendor)
    return [row["external_id"] for row in rows]


async def joined_records(conn: Connection, tenant: str, category: str, vendor: str, key: str) -> list[str]:
    """The ids of a vendor's records, not known to be gone, that join the record of a part key."""
    rows = await conn.fetch(_sql["joined_records"], tenant, category, vendor, key)
    return [row["external_id"] for row in rows]


async def estates_to_look_at(conn: Connection, tenant: str, audited: datetime) -> list[Typed]:
    """The estates in sale, and those that were last read before `audited`; the longest unread first."""
    return [Typed(*row) for row in await conn.fetch(_sql["estates_to_look_at"], tenant, audited)]


async def owners_to_look_at(
    conn: Connection, tenant: str, categories: Sequence[str], vendor: str, source: str, audited: datetime
) -> list[Typed]:
    """Linked records that were read since a round looked at them, or not looked at since `audited`."""
    rows = await conn.fetch(_sql["owners_to_look_at"], tenant, list(categories), vendor, source, audited)
    return [Typed(*row) for row in rows]


async def owners_of_notes(
    conn: Connection, tenant: str, categories: Sequence[str], vendor: str, source: str
) -> list[Owner]:
    """The linked records of some categories, the longest unlooked at first."""
    rows = await conn.fetch(_sql["owners_of_notes"], tenant, list(categories), vendor, source)
    return [
        Owner(row["category"], row["external_id"], msgspec.json.decode(row["parts"], type=dict[str, str]))
        for row in rows
    ]


async def kinds(
    conn: Connection, tenant: str, category: str, vendor: str, records: Iterable[str]
) -> dict[str, str]:
    """The vendor's word for the type of some records."""
    rows = await conn.fetch(_sql["kinds"], tenant, category, vendor, list(records))
    return {row["external_id"]: row["kind"] for row in rows}


async def refused_fields(
    conn: Connection, tenant: str, categories: Sequence[str]
) -> frozenset[tuple[str, str, str]]:
    """(target, category, field) of what a vendor took without effect, or not at all."""
    rows = await conn.fetch(_sql["refused_fields"], tenant, list(categories))
    return frozenset((row["target"], row["category"], row["field"]) for row in rows)


async def leads_of(
    conn: Connection, tenant: str, *, email: str | None = None, vitec_id: str | None = None
) -> list[str]:
    """The leads of an e-mail address, in its normal form, or of Vitec's id; the newest first."""
    return [row["entity"] for row in await conn.fetch(_sql["leads_of"], tenant, email, vitec_id)]


async def waiting_leads(conn: Connection, tenant: str) -> list[str]:
    """The leads that were not sent, are not on their way, and are not held."""
    return [row["entity"] for row in await conn.fetch(_sql["waiting_leads"], tenant)]


async def projects_named(conn: Connection, tenant: str, name: str) -> list[Entity]:
    """The projects of this name, without regard to case."""
    rows = await conn.fetch(_sql["projects_named"], tenant, name)
    return await entities(conn, tenant, [row["entity"] for row in rows])


async def observed(conn: Connection, tenant: str) -> list[str]:
    """Entities with a command that was only recorded, because nothing is sent in observe mode."""
    return [row["entity"] for row in await conn.fetch(_sql["observed"], tenant)]


async def unsent(conn: Connection, tenant: str) -> list[str]:
    """Entities with a command that waits to be sent."""
    return [row["entity"] for row in await conn.fetch(_sql["unsent"], tenant)]


async def needs(conn: Connection, tenant: str, vendor: str, now: datetime, limit: int = 500) -> list[Need]:
    """The records of a vendor that must be read again by now, the oldest need first."""
    rows = await conn.fetch(_sql["needs"], tenant, vendor, now, limit)
    return [
        Need(**{**dict(row), "parts": msgspec.json.decode(row["parts"], type=dict[str, str])}) for row in rows
    ]


async def due_commands(
    conn: Connection,
    tenant: str,
    target: str,
    now: datetime,
    rests: Mapping[str, int] = NO_RESTS,
    limit: int = 100,
) -> list[CommandRow]:
    """The commands that may be sent to a vendor now: changes before new records, what is tried again first.

    `rests` are commands that are left out for as long as they stand at this position.
    """
    rows = await conn.fetch(
        _sql["due_commands"], tenant, target, now, limit, list(rests), list(rests.values())
    )
    return [_commands.decode(row[0]) for row in rows]


async def flying_commands(conn: Connection, tenant: str) -> list[CommandRow]:
    """The commands that left and have no outcome."""
    return [_commands.decode(row[0]) for row in await conn.fetch(_sql["flying_commands"], tenant)]


class Held(msgspec.Struct, frozen=True):
    """An entity that waits for the operator."""

    entity: str
    category: str
    position: int
    hold: Hold


async def held(conn: Connection, tenant: str) -> list[Held]:
    """The entities that wait for the operator, the longest first, without what an operator has seen to."""
    rows = await conn.fetch(_sql["held"], tenant)
    return [
        Held(row["entity"], row["category"], row["position"], msgspec.json.decode(row["hold"], type=Hold))
        for row in rows
    ]


class Lost(msgspec.Struct, frozen=True):
    """A value that lost, and the operator who last brought it back."""

    row: ConflictRow
    restored_by: str | None


async def conflicts(conn: Connection, tenant: str, since: datetime | None, *, restores: bool) -> list[Lost]:
    """What lost since then, the oldest first; with `restores` also what operators' own restores replaced."""
    rows = await conn.fetch(_sql["conflicts_since"], tenant, since, restores)
    return [Lost(_conflicts.decode(row["lost"]), row["restored_by"]) for row in rows]


async def conflicts_called(conn: Connection, tenant: str, prefix: str, limit: int = 10) -> list[ConflictRow]:
    """The conflicts whose id begins so, the oldest first."""
    return [
        _conflicts.decode(row[0]) for row in await conn.fetch(_sql["conflicts_called"], tenant, prefix, limit)
    ]


async def joining(conn: Connection, tenant: str, categories: Sequence[str]) -> list[str]:
    """Linked entities of these categories, and whatever was merged away: what a restart may have made forget."""
    rows = await conn.fetch(_sql["joining"], tenant, list(categories))
    return [row["entity"] for row in rows]


async def commands_in(conn: Connection, tenant: str, states: Sequence[str]) -> list[CommandRow]:
    """The commands in some states, the oldest first."""
    rows = await conn.fetch(_sql["commands_in"], tenant, list(states))
    return [_commands.decode(row[0]) for row in rows]


async def commands_like(conn: Connection, tenant: str, prefix: str, limit: int = 20) -> list[CommandRow]:
    """The commands whose id begins so; those that have no end yet come first."""
    rows = await conn.fetch(_sql["commands_like"], tenant, prefix, limit)
    return [_commands.decode(row[0]) for row in rows]


async def entities_like(conn: Connection, tenant: str, prefix: str, limit: int = 20) -> list[Entity]:
    """The held and the closed entities whose id begins so."""
    rows = await conn.fetch(_sql["entities_like"], tenant, prefix, limit)
    return [_entities.decode(row[0]) for row in rows]


async def counts(conn: Connection, tenant: str) -> dict[str, int]:
    """How many commands are open, held and dead, and how many entities are held or wait for their release."""
    row = await conn.fetchrow(_sql["counts"], tenant)
    assert row is not None
    return {
        **dict(row),
        "conflicts": await conn.fetchval(_sql["conflict_count"], tenant),
        "held_entities": await conn.fetchval(_sql["held_entities"], tenant),
        "waiting": sum((await waiting(conn, tenant)).values()),
    }


async def waiting(conn: Connection, tenant: str) -> dict[str, int]:
    """How many entities wait for their release, by category."""
    return {row["category"]: row["entities"] for row in await conn.fetch(_sql["waiting"], tenant)}


class Backfilled(msgspec.Struct, frozen=True):
    """How many writes of a backfill have come to an end at one vendor, and how many have not."""

    target: str
    ended: int
    open: int


async def backfilled(conn: Connection, tenant: str, since: int) -> list[Backfilled]:
    """The writes that became due of what was released, by vendor, from an event on."""
    return [Backfilled(*row) for row in await conn.fetch(_sql["backfilled"], tenant, since)]


async def mark(conn: Connection) -> int:
    """What tells the present views from those that a rebuild puts in their place."""
    oid: int = await conn.fetchval(_progress["mark"])
    return oid


async def advance(
    conn: Connection, tenant: str, change: Change, before: int, after: int, digest: str, seen: int
) -> None:
    """Write a page's change and move the checkpoint, in the caller's transaction.

    `seen` is the `mark` of the views that the page was folded on. Raises CheckpointMoved when they were moved on or
    swapped meanwhile.
    """
    await claim(conn, tenant, before, seen)
    await apply(conn, tenant, change)
    await set_progress(conn, tenant, after, digest)


async def claim(conn: Connection, tenant: str, before: int, seen: int) -> None:
    """Keep every other projector away until the caller's transaction ends; raises CheckpointMoved as `advance` does."""
    held = await conn.fetchval(_progress["lock"], tenant)
    if (held or 0) != before or await mark(conn) != seen:
        raise CheckpointMoved("another projector has moved this tenant's views")


async def apply(conn: Connection, tenant: str, change: Change) -> None:
    """Write a change."""
    for view, keys in change.delete.items():
        if keys:
            await conn.execute(_views[view]["delete"], tenant, keys)
    for view, rows in change.insert.items():
        await write(conn, view, rows)


async def write(conn: Connection, view: str, rows: Sequence[Row]) -> None:
    """Insert rows into a view."""
    if rows:
        await conn.execute(_views[view]["insert"], msgspec.json.encode(rows).decode())


async def create(conn: Connection) -> None:
    """Make every view's table in the schema that comes first on the search path."""
    for statements in (*_views.values(), _progress):
        await conn.execute(statements["create"])


async def live_rows(conn: Connection, view: str, tenant: str) -> AsyncIterator[Any]:
    """All rows of a view as they stand, in the caller's transaction; one that no fold would have written is a dict."""
    async for (text,) in conn.cursor(_views[view]["all"], tenant, prefetch=1000):
        try:
            yield _rows[view].decode(text)
        except msgspec.ValidationError:
            yield msgspec.json.decode(text)


def plain(row: Any) -> dict[str, Any]:
    """A row as the values that JSON knows, so that any two can be compared."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(row))
    return values


async def set_progress(conn: Connection, tenant: str, position: int, digest: str) -> None:
    """Write the projector's checkpoint without a page; `digest` counts only where there is none yet."""
    await conn.execute(_progress["write"], tenant, position, digest)


async def _column(conn: Connection, name: str, tenant: str, keys: list[str]) -> list[str]:
    return [row[0] for row in await conn.fetch(_sql[name], tenant, keys)]
