"""What changed of an entity between two times: each side's fields, its records, its link, its holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from daemon.cli.finding import known_at
from daemon.domain.events import OBSERVED, Event, reading_of
from daemon.domain.fields import Value
from daemon.mappings.lens import Options
from projections.commands import CommandRow, evolve
from projections.entity import Entity
from projections.fold import Entities

KINDS: Final = ("record", "link", "closed", "hold", "held", "field")
"""What can change, in the order in which it is told."""

Key = tuple[str, str, str]
"""Kind, side (a record, or the vendor that a write is held for), and field; empty where there is none."""


class Change(msgspec.Struct, frozen=True):
    """One thing that is another at the second time than at the first, with the event that made it so and its way to us.

    `kind`: field (a value at one side), record (known, or gone), link (by which rule), closed (a tombstone), hold (of
    the whole entity), held (a write of a field that is held or was refused). `side` is the record, or the vendor that
    the write is for. None is nothing.
    """

    kind: str
    side: str | None
    field: str | None
    before: Value
    after: Value
    event: int
    recorded_at: datetime
    origin: str
    type: str
    way: str | None


def changes(
    tenant: str, name: str, events: Sequence[Event], options: Options, begin: datetime, end: datetime
) -> list[Change]:
    """What changed after `begin` and until `end`. What came and went in between is not told."""
    entities = Entities(tenant, options)
    rows: dict[str, CommandRow] = {}
    known = known_at(events, end)
    before = len(known_at(known, begin))
    for event in known[:before]:
        entities.evolve(event)
        evolve(tenant, rows, event)
    first = last = _standing(entities, name, rows)
    by: dict[Key, Event] = {}
    for event in known[before:]:
        entities.evolve(event)
        evolve(tenant, rows, event)
        now = _standing(entities, name, rows)
        by |= {key: event for key in now.keys() | last.keys() if now.get(key) != last.get(key)}
        last = now
    fields = list(dict.fromkeys(field for _, _, field in (*first, *last)))
    moved = sorted(
        (key for key in by if first.get(key) != last.get(key)),
        key=lambda key: (KINDS.index(key[0]), fields.index(key[2])),
    )
    return [_change(key, first.get(key), last.get(key), by[key]) for key in moved]


def _standing(entities: Entities, name: str, rows: dict[str, CommandRow]) -> dict[Key, Value]:
    """All that can change, as it stands."""
    standing: dict[Key, Value] = {}
    for entity in sorted(entities.by_id.values(), key=lambda each: each.seen):
        standing |= _held_by(entity)
    whole = entities.resolve(name)
    return standing if whole is None else standing | _whole(whole, rows)


def _held_by(entity: Entity) -> dict[Key, Value]:
    """What each record of an entity holds."""
    standing: dict[Key, Value] = {}
    for vendor, side in entity.sides.items():
        record = f"{vendor}:{side.record}"
        standing["record", record, ""] = "known" if side.gone is None else "gone"
        standing |= {("field", record, field): held.value for field, held in side.shadow.items()}
    return standing


def _whole(entity: Entity, rows: dict[str, CommandRow]) -> dict[Key, Value]:
    """What stands over all of an entity, and the writes that are held."""
    standing: dict[Key, Value] = {}
    if entity.linked is not None and entity.tombstone is None:
        records = " and ".join(f"{vendor}:{side.record}" for vendor, side in entity.sides.items())
        standing["link", "", ""] = f"{records} by {entity.rule}"
    if entity.tombstone is not None:
        standing["closed", "", ""] = entity.tombstone
    if entity.hold is not None:
        standing["hold", "", ""] = f"{entity.hold.reason}: {entity.hold.detail}"
    for target, blocked in entity.blocked.items():
        for field, block in blocked.items():
            row = rows.get(block.command)
            why = ": ".join(filter(None, (row.reason, row.detail))) if row is not None else ""
            standing["held", target, field] = why or "held"
    return standing


def _change(key: Key, before: Value, after: Value, event: Event) -> Change:
    kind, side, field = key
    return Change(
        kind,
        side or None,
        field or None,
        before,
        after,
        event.position,
        event.recorded_at,
        event.origin,
        event.type,
        reading_of(event).via if event.type == OBSERVED else None,
    )


def row_of(change: Change) -> dict[str, Any]:
    """A change as JSON."""
    return msgspec.structs.asdict(change)
