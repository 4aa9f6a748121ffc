"""What an operator asks for who brings a lost value back: an override, or the reason why there is none."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from daemon.domain.events import ConflictResolved
from daemon.domain.fields import Value
from daemon.domain.settings import SyncSettings
from daemon.domain.streams import VENDORS, derived_id
from daemon.policies.plan import Refused, allowed, direction
from daemon.policies.syncing import OWNERS, RESTORED
from projections.conflicts import ConflictRow
from projections.entity import Entity


class Restored(msgspec.Struct, frozen=True):
    """The event to append, and the vendors that lack the value and may be given it."""

    event: ConflictResolved
    targets: tuple[str, ...]


class Settled(msgspec.Struct, frozen=True):
    """There is nothing left to do: the value is there, or on its way."""

    why: str


def restore(
    entity: Entity | None,
    lost: ConflictRow,
    by: str,
    at: datetime,
    sync: SyncSettings,
    same: Callable[[str, Value, Value], bool],
) -> Restored | Settled | Refused:
    """Bring back what lost in a conflict; `at` is when the operator said so, `by` who did."""
    field, value = lost.field, lost.loser_value
    if entity is None or not linked(entity):
        return Refused("its records are no longer linked; type the value in by hand where it belongs")
    seen = entity.places(field)
    if None in seen:
        return Refused(f"{field} is no longer carried over between the two; type it in by hand")
    targets = writable(entity, field, sync)
    if not targets:
        return Refused(
            f"nothing may be written: {entity.category} is synced {direction(sync, entity.category)!r}"
        )
    lacking = tuple(v for v in targets if not same(field, entity.sides[v].shadow[field].value, value))
    override = entity.overrides.get(field)
    if override is None or same(field, override.value, value):
        if not lacking and (
            len(targets) == len(VENDORS) or not any(entity.changed(v, field) for v in VENDORS)
        ):
            return Settled("the value is there already")
        if override is not None:
            return Settled(
                "it is on its way already; what a vendor cannot take is in `toveis commands --held`"
            )
    winner, loser = entity.sides[lost.loser].shadow[field], entity.sides[lost.winner].shadow[field]
    marks = (str(seen), str(entity.linked), str(override.position if override is not None else 0))
    event = ConflictResolved(
        conflict=str(derived_id("restore", lost.conflict, entity.id, *marks)),
        entity=entity.id,
        field=field,
        winner=lost.loser,
        winner_value=value,
        winner_since=at,
        winner_position=winner.position,
        loser_value=loser.value,
        loser_since=loser.since,
        loser_position=loser.position,
        rule=RESTORED,
        restores=lost.conflict,
        by=by,
        seen=seen,
    )
    return Restored(event, lacking)


def linked(entity: Entity) -> bool:
    """Whether the entity has a live record at both vendors."""
    there = [side for side in entity.sides.values() if side.gone is None]
    return len(there) == len(VENDORS) and entity.tombstone is None


def writable(entity: Entity, field: str, sync: SyncSettings) -> tuple[str, ...]:
    """The vendors that may be given a value of this field: those of the configured direction, but for its owner."""
    way = direction(sync, entity.category)
    return tuple(v for v in VENDORS if allowed(way, v) and OWNERS.get(field) != v)
