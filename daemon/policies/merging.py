"""What a merge at a vendor moves: the counterpart of the merged record, and of every record that joins it (V12)."""

from collections.abc import Mapping

from daemon.domain.events import CommandSuperseded, Decision, EntityHeld, RecordsMerged
from daemon.domain.streams import VITEC, other
from daemon.policies.plan import NOTHING, Context, Plan
from projections.entity import Entity
from projections.fold import MERGED
from projections.outbox import unsent

Record = tuple[str, str]
"""Category and external id at Vitec: the only vendor that merges."""


def heir_of(entity: Entity, kin: Mapping[str, Entity]) -> Record | None:
    """The record at Vitec that took the place of this entity's, because it, or what it joins, was merged away."""
    side = entity.sides.get(VITEC)
    if side is None:
        return None
    if side.into is not None:
        return (entity.category, side.into) if side.gone is not None else None
    if _into(kin) is None or entity.category not in ("prospect", "link"):
        return None
    return entity.category, _joined_name(entity.category, _parts(entity, kin))


def passed_on(heir: Entity) -> Record | None:
    """Where an heir went that was merged away itself; None while it has its own place."""
    into = heir.sides[VITEC].into
    return None if into is None or not followed(heir) else (heir.category, into)


def followed(entity: Entity) -> bool:
    """Whether the entity was closed by a merge already; a removal that was told first does not count."""
    return entity.tombstone is not None and entity.tombstone.startswith(MERGED)


def follow(entity: Entity, context: Context) -> Plan:
    """Close the record with a pointer to its heir; its counterpart goes there, if there is room.

    Propstreet has no documented merge: where both had a counterpart, the source's stays and is held.
    """
    side, heir, far = entity.sides[VITEC], context.heir, other(VITEC)
    joined = side.into is None
    if heir is None and not joined:
        return NOTHING  # the heir was never seen: the notification has asked for a read of it
    if heir is not None and heir.busy():
        return Plan(wait_for=(heir.id,))
    record = heir_of(entity, context.kin)
    assert record is not None
    name = heir.sides[VITEC].record if heir is not None else record[1]
    crowded = far in entity.sides and _crowded(heir, context.kin.get("contact") if joined else None, far)
    parts = _parts(entity, context.kin) if joined else None
    merged = RecordsMerged(entity.id, VITEC, side.record, name, moved=not crowded, parts=parts)
    events: list[tuple[str, Decision]] = [
        (each.id, CommandSuperseded(command, "the record was merged"))
        for each in (entity, *(() if heir is None or crowded else (heir,)))
        for command in sorted(unsent(each))
    ]
    events.append((entity.id, merged))
    if crowded:
        rival = heir.sides.get(far) if heir is not None else None
        detail = f"two {far} records now stand for one at Vitec; merge them there by hand"
        if heir is not None and heir.tombstone is not None and rival is None:
            detail = (
                f"{VITEC}:{name}, which it was merged into, is closed; link it with one by hand, or leave it"
            )
        names = (
            f"{far}:{entity.sides[far].record}",
            *((f"{far}:{rival.record}",) if rival is not None else ()),
        )
        events.append((entity.id, EntityHeld(entity.id, MERGED, detail, f"{MERGED}:{name}", names)))
    return Plan(tuple(events), (entity,) if heir is None else (entity, heir))


def _crowded(heir: Entity | None, contact: Entity | None, far: str) -> bool:
    """Whether the heir has a counterpart of its own, or may have none, or the merged contact's stayed where it was."""
    taken = heir is not None and (far in heir.sides or heir.tombstone is not None)
    return taken or (contact is not None and far in contact.sides)


def _into(kin: Mapping[str, Entity]) -> str | None:
    """The heir of the contact that is joined, once that merge was followed."""
    contact = kin.get("contact")
    if contact is None or VITEC not in contact.sides or not followed(contact):
        return None
    return contact.sides[VITEC].into


def _parts(entity: Entity, kin: Mapping[str, Entity]) -> dict[str, str]:
    """What the heir joins: the same, with the merged contact's heir in its place."""
    return {**entity.sides[VITEC].parts, "contact": _into(kin) or ""}


def _joined_name(category: str, parts: Mapping[str, str]) -> str:
    """How Vitec's relations and links are named here: by what they join, for Vitec gives them no id."""
    return f"{parts['project' if category == 'prospect' else 'company']}:{parts['contact']}"
