"""Removals that nothing followed from yet: what the brake on removals counts."""

from daemon.domain.streams import other
from daemon.mappings.lens import OUT_OF_SCOPE, REMOVED
from projections.entity import Entity


def undecided(entity: Entity, vendor: str) -> int | None:
    """The event that removed a linked record, while nothing followed from it; None where there is nothing to decide.

    A merged record goes its own way, and what we removed ourselves was decided before. A removal that reads as an edit
    is one all the same.
    """
    if len(entity.sides) != 2 or entity.tombstone is not None:
        return None
    if any(OUT_OF_SCOPE & set(each.flags) for each in entity.sides.values()):
        return None
    side, far = entity.sides[vendor], entity.sides[other(vendor)]
    if side.gone is not None:
        held = entity.hold is not None and entity.hold.reason == REMOVED
        settled = far.gone is not None or side.into is not None or side.evidence == "removed_by_us" or held
        return None if settled or _answered(entity, other(vendor), REMOVED, side.gone) else side.gone
    if REMOVED not in side.flags:
        return None
    changed = [
        shadow.position
        for field, shadow in side.shadow.items()
        if entity.changed(vendor, field) and not _answered(entity, other(vendor), field, shadow.position)
    ]
    return max(changed, default=None)


def _answered(entity: Entity, target: str, field: str, position: int) -> bool:
    """A command carries it, or is held for good; what is only held in observe mode is decided anew."""
    pending, block = entity.pending.get(target), entity.blocked.get(target, {}).get(field)
    if pending is not None and field in pending.want:
        return True
    return block is not None and block.position == position and not block.observed
