"""The operator's override: a value that lost and was brought back by hand, and what ends it.

It is counted from the positions that the operator saw. A person's edit on either side moves one of them and ends it;
our own writes move them too, and the override goes along.
"""

from collections.abc import Callable

import msgspec

from daemon.domain.events import ConflictResolved, Want
from daemon.domain.fields import Value
from daemon.domain.streams import VENDORS
from projections.entity import Entity, Override


def lay(entity: Entity, restored: ConflictResolved, position: int) -> None:
    """The operator's word takes the place of an earlier one, unless a side has moved since the operator looked."""
    places = entity.places(restored.field)
    if restored.seen == places and len(entity.sides) == 2:
        entity.overrides[restored.field] = Override(
            position, restored.winner_value, restored.winner_since, restored.loser_value, places
        )


def end_overtaken(entity: Entity) -> None:
    """A side has moved, and it was not our write: from here on the ordinary rules decide."""
    if entity.overrides:
        entity.overrides = {f: o for f, o in entity.overrides.items() if o.seen == entity.places(f)}


def land(
    entity: Entity, vendor: str, field: str, want: Want, same: Callable[[str, Value, Value], bool]
) -> None:
    """Our own write has just moved this side. The override is met here if the write carried it, else it is due again.

    Met at both sides, or met at one while the other holds the value anyway, it is over.
    """
    override = entity.overrides.get(field)
    if override is None:
        return
    elsewhere = tuple(met for met in override.met if met != vendor)
    met = (*elsewhere, vendor) if want.override == override.position else elsewhere
    holds = {
        name
        for name, side in entity.sides.items()
        if field in side.shadow and same(field, override.value, side.shadow[field].value)
    }
    if met and holds.union(met).issuperset(VENDORS):
        del entity.overrides[field]
    else:
        entity.overrides[field] = msgspec.structs.replace(override, seen=entity.places(field), met=met)
