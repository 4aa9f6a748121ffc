"""What a removal at one vendor means for the other. An absence never gets here; only a confirmed removal does."""

from daemon.domain.events import CommandHeld, Decision, RecordsUnlinked
from daemon.domain.settings import Removal, SyncSettings
from daemon.domain.streams import VITEC, derived_id, other
from daemon.policies.plan import NOTHING, Context, Plan, hold
from projections.entity import Entity


def remove(entity: Entity, context: Context) -> Plan:
    """Close the link with a tombstone and leave the other record; or hold, as configured (V5, H3, H6)."""
    gone = [vendor for vendor, side in entity.sides.items() if side.gone is not None]
    if len(entity.sides) == 1 or len(gone) == 2:
        return NOTHING
    [vendor] = gone
    if vendor == VITEC and removal(context.sync, entity.category) == "hold":
        return hold(
            entity,
            "removed",
            "removed at Vitec; keep or delete it at Propstreet by hand",
            f"removed:{vendor}",
        )
    events: list[tuple[str, Decision]] = []
    if vendor != VITEC or removal(context.sync, entity.category) == "propagate":
        events.append((entity.id, _not_carried_over(entity, other(vendor))))
    events.append((entity.id, RecordsUnlinked(entity.id, f"removed at {vendor}", tombstone=True)))
    return Plan(tuple(events), (entity,))


def removal(sync: SyncSettings, category: str) -> Removal:
    """What is configured for a removal at Vitec."""
    return sync.on_delete.contacts if category == "contact" else sync.on_delete.companies


def _not_carried_over(entity: Entity, target: str) -> CommandHeld:
    detail = (
        "Vitec has no call that deletes a contact; delete it there by hand, or leave it"
        if target == VITEC
        else "a deletion is not carried over by itself; delete it at Propstreet by hand, or leave it"
    )
    side = entity.sides[target]
    command = str(derived_id("delete", entity.id, target, str(entity.version)))
    return CommandHeld(command, entity.id, entity.category, target, side.record, {}, "not_writable", detail)
