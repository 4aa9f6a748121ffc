"""Removals that nothing followed from yet: what the brake on removals counts."""

from daemon.domain.streams import other
from daemon.mappings.lens import OUT_OF_SCOPE, REMOVED
from projections.entity import Entity


def undecided(entity: Entity, vendor: str) -> int | None:
    """The event that removed a linked record, while nothing followed from it; None where there is nothing to decide.

    A merged record goes its own way, what we removed ourselves was decided before, and what is not synced is left as
    it is. A removal that reads as an edit, by the settings, is one.
    """
    if len(entity.sides) != 2 or entity.tombstone is not None:
        return None
    side, far = entity.sides[vendor], entity.sides[other(vendor)]
    if side.gone is None or far.gone is not None or side.into is not None or side.evidence == "removed_by_us":
        return None
    held = entity.hold is not None and entity.hold.reason == REMOVED
    aside = OUT_OF_SCOPE & {*side.flags, *far.flags}
    return None if held or aside or _answered(entity, other(vendor), side.gone) else side.gone


def _answered(entity: Entity, target: str, gone: int) -> bool:
    """A command carries it, or is held for good; what is only held in observe mode is decided anew."""
    pending, block = entity.pending.get(target), entity.blocked.get(target, {}).get(REMOVED)
    if pending is not None and REMOVED in pending.want:
        return True
    return block is not None and block.position == gone and not block.observed
