"""Where each value comes from: the side that brought it, when, and by which event."""

from datetime import datetime

import msgspec

from daemon.domain.fields import Value
from projections.entity import Entity, Shadow


class Provenance(msgspec.Struct, frozen=True, gc=False):
    """A value, the side whose edit it is, since when, the position of the event, and whether both sides hold it."""

    value: Value
    side: str
    since: datetime | None
    position: int
    agreed: bool


def provenance(entity: Entity) -> dict[str, Provenance]:
    """Every field of an entity. Where the sides differ, the one whose change is not yet carried over counts."""
    fields = dict.fromkeys(field for side in entity.sides.values() for field in side.shadow)
    return {field: _of_field(entity, field) for field in fields}


def _of_field(entity: Entity, field: str) -> Provenance:
    held = {vendor: side.shadow[field] for vendor, side in entity.sides.items() if field in side.shadow}
    side = _origin(entity, field, held)
    value = held[side]
    agreed = len(held) == 2 and field in entity.base and not any(entity.changed(v, field) for v in held)
    return Provenance(value.value, side, value.since, value.position, agreed)


def _origin(entity: Entity, field: str, held: dict[str, Shadow]) -> str:
    """The side whose edit it is: an agreed value came first where it was typed, later where we wrote it."""
    changed = [v for v in held if entity.changed(v, field)] if len(held) == 2 and field in entity.base else []
    if len(changed) == 1:
        return changed[0]
    if changed:
        return max(held, key=lambda vendor: held[vendor].position)
    return min(held, key=lambda vendor: held[vendor].position)


def one(fields: dict[str, Provenance], field: str) -> str | None:
    """The text of a field; None when it is blank or not known."""
    value = fields[field].value if field in fields else None
    return value if isinstance(value, str) else None
