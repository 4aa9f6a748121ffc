"""What a removal at one vendor means for the other. An absence never gets here; only a confirmed removal does."""

from typing import Final

from daemon.domain.events import CommandHeld, CommandSuperseded, Decision, RecordsUnlinked, Want
from daemon.domain.settings import Removal, SyncSettings
from daemon.domain.streams import PROPSTREET, VITEC, derived_id, other
from daemon.mappings.lens import REMOVED
from daemon.policies.plan import NOTHING, Context, Plan, hold, take_back, waived
from daemon.policies.syncing import issue, unblocked
from projections.entity import Entity

GONE: Final = {"project": "gone or unpublished at Vitec"}
"""What a removal at Vitec means, where it is less than it says (V2)."""


EDITED: Final = "removed at Vitec, and edited at Propstreet since; keep or remove it there by hand"


def remove(entity: Entity, context: Context) -> Plan:
    """Close the link with a tombstone and leave the other record; or remove it, or hold, as configured (V5, V8, H3)."""
    gone = [vendor for vendor, side in entity.sides.items() if side.gone is not None]
    if len(entity.sides) == 1 or len(gone) == 2:
        return NOTHING
    [vendor] = gone
    if entity.sides[vendor].evidence == "removed_by_us" and vendor != VITEC:
        detail = "it is back at Vitec after it was removed at Propstreet; put it back there by hand"
        return _by_hand(entity, detail, f"back:{entity.sides[VITEC].seen}")
    wanted = removal(context.sync, entity.category)
    if vendor == VITEC and entity.category == "prospect" and wanted == "propagate":
        return _propagate(entity, context)
    if vendor == VITEC and wanted == "hold":
        return _by_hand(entity)
    events: list[tuple[str, Decision]] = []
    if vendor != VITEC or wanted == "propagate":
        events.append((entity.id, _not_carried_over(entity, other(vendor))))
    reason = GONE.get(entity.category, f"removed at {vendor}") if vendor == VITEC else f"removed at {vendor}"
    events.append((entity.id, RecordsUnlinked(entity.id, reason, tombstone=True)))
    return Plan(tuple(events), (entity,))


def removal(sync: SyncSettings, category: str) -> Removal:
    """What is configured for a removal at Vitec. A link or a note that is gone there is only shown (K5, N16)."""
    match category:
        case "contact":
            return sync.on_delete.contacts
        case "company":
            return sync.on_delete.companies
        case "project" | "property":
            return sync.on_delete.projects
        case "prospect":
            return sync.on_delete.prospects
    return "hold" if category == "link" else "keep"


def _propagate(entity: Entity, context: Context) -> Plan:
    """Remove at Propstreet what we made there; what a person made is held (V8).

    A relation that went with its contact is not taken back at Propstreet: the contact may turn out to be merged (V12).
    """
    here, there = entity.sides[VITEC], entity.sides[PROPSTREET]
    if here.evidence == "contact_gone":
        contact = context.kin.get("contact")
        known = contact is None or VITEC not in contact.sides or contact.sides[VITEC].gone is not None
        return _by_hand(entity) if contact is None or known else Plan(wait_for=(contact.id,))
    if REMOVED in there.flags:
        return Plan(((entity.id, RecordsUnlinked(entity.id, "removed at both", tombstone=True)),), (entity,))
    if entity.rule not in ("created", "merged") or there.seen < here.seen or here.gone is None:
        return _by_hand(entity)
    if any(field in entity.base and entity.changed(PROPSTREET, field) for field in there.shadow):
        held = _by_hand(entity, EDITED, f"edited:{there.head.event}")  # an edit beats a removal
        stops = take_back(entity, "edited at Propstreet meanwhile") if entity.pending else []
        return Plan((*stops, *held.events), (entity,))
    want = {REMOVED: Want(REMOVED, VITEC, None, here.gone, None, rule="removed at Vitec")}
    due, outdated = unblocked(entity, PROPSTREET, want, context)
    events: list[tuple[str, Decision]] = [
        (entity.id, CommandSuperseded(command, "removed at Vitec")) for command in sorted(outdated)
    ]
    events += issue(entity, PROPSTREET, due, {}, context)
    return Plan(tuple(events), (entity,)) if events else NOTHING


def _by_hand(
    entity: Entity,
    detail: str = "removed at Vitec; keep or remove it at Propstreet by hand",
    fingerprint: str = f"removed:{VITEC}",
) -> Plan:
    """Ask the operator; who has released it has seen to it, and the link is closed."""
    if waived(entity, fingerprint):
        return Plan(((entity.id, RecordsUnlinked(entity.id, "removed, and seen to")),), (entity,))
    return hold(entity, "removed", detail, fingerprint)


def _not_carried_over(entity: Entity, target: str) -> CommandHeld:
    detail = (
        f"Vitec has no call that removes a {entity.category}; do it there by hand, or leave it"
        if target == VITEC
        else "a deletion is not carried over by itself; delete it at Propstreet by hand, or leave it"
    )
    side = entity.sides[target]
    command = str(derived_id("delete", entity.id, target, str(entity.version)))
    return CommandHeld(command, entity.id, entity.category, target, side.record, {}, "not_writable", detail)
