"""Decide what is due for one entity: the one entrance to the policies."""

from typing import Final

from daemon.domain.events import CommandSuperseded, Decision, EntityHeld
from daemon.mappings.lens import OUT_OF_SCOPE, REMOVED
from daemon.policies.brakes import OSCILLATION, in_held_batch, oscillation, removal_waits
from daemon.policies.deleting import remove
from daemon.policies.leading import lead_on
from daemon.policies.linking import introduce
from daemon.policies.merging import follow, followed, heir_of
from daemon.policies.plan import NOTHING, Context, Plan, direction, hold, release, waived
from daemon.policies.syncing import settle
from projections.entities import dormant
from projections.entity import Entity

MATCHED: Final = "matched"
"""The hold of a record that we meant to create, and that Vitec matched with one that was there before."""

SENSITIVE: Final = "sensitive"
"""The flag, and the hold, of a confidential deal (E12)."""

OPERATORS_OWN: Final = frozenset((MATCHED, OSCILLATION))
"""Holds that do not end by themselves: only the operator knows whether it is the same person, or who else writes."""

HELD: Final = {
    "deceased": "marked as deceased at Vitec (C12)",
    "status_disagrees": "the number and the name of its status at Vitec do not agree; correct it there (S33)",
}
"""Flags that hold a record, with what the operator reads."""


def decide(entity: Entity, context: Context) -> Plan:
    """What must be appended for this entity now; nothing while a read or a write is outstanding."""
    if entity.orphans:
        why = "another write of ours made the record that it is about"
        return Plan(tuple((entity.id, CommandSuperseded(each, why)) for each in entity.orphans), (entity,))
    if entity.busy():
        return NOTHING
    if entity.lead is not None:
        return lead_on(entity, context)
    if heir_of(entity, context.kin) is not None and not followed(entity):
        return follow(entity, context)
    if entity.tombstone is not None or any(side.need is not None for side in entity.sides.values()):
        return NOTHING
    if entity.hold is not None and entity.hold.reason in OPERATORS_OWN:
        return _with_stop(entity, NOTHING)
    if in_held_batch(entity, context.brakes) or removal_waits(entity, context.brakes, context.polled):
        return _with_stop(entity, NOTHING)
    return _decide_records(entity, context)


def waits(entity: Entity, context: Context) -> bool:
    """Only the first polls saw it, and no operator has let such records go."""
    return context.sync.first_sync == "wait" and entity.category not in context.released and dormant(entity)


def _decide_records(entity: Entity, context: Context) -> Plan:
    """What the records of both vendors, as they were last read, make due."""
    sides = entity.sides.values()
    flags = {flag for side in sides for flag in side.flags}
    if direction(context.sync, entity.category) == "off" or OUT_OF_SCOPE & flags:
        return _with_stop(entity, NOTHING)
    if any(side.gone is not None for side in sides):
        return _with_stop(entity, remove(entity, context))
    if (plan := _held(entity, flags, context)) is not None:
        return _with_stop(entity, plan)
    if waits(entity, context):
        return NOTHING
    if any(not side.shadow for side in sides):
        return NOTHING  # never observed: a hint or a link told of it
    if len(entity.sides) == 1:
        plan = introduce(entity, context)
        held = any(isinstance(decision, EntityHeld) for _, decision in plan.events)
        return _with_stop(entity, plan) if held else plan
    plan = settle(entity, context)
    if entity.hold is not None:
        return Plan((*release(entity, "the cause is gone"), *plan.events), (entity,))
    return plan


def _held(entity: Entity, flags: set[str], context: Context) -> Plan | None:
    """The hold of a record that must not be synced as it is; None when nothing is in its way."""
    if (swing := oscillation(entity)) is not None:
        return hold(entity, OSCILLATION, *swing)
    if any(side.unreadable is not None for side in entity.sides.values()):
        return hold(entity, "unreadable", "a payload cannot be translated; see history", "unreadable")
    for flag, detail in HELD.items():
        if flag in flags and not waived(entity, flag):
            return hold(entity, flag, detail, flag)
    deals = [kin for kin in context.kin.values() if not waived(kin, SENSITIVE)]
    joined = {flag for kin in deals for side in kin.sides.values() for flag in side.flags}
    secret = SENSITIVE in flags | joined and not waived(entity, SENSITIVE)
    if secret and context.sync.sensitive_business == "hold":
        detail = "a confidential deal at Vitec (E12); release it, or set sensitive_business, to push it"
        plan = hold(entity, SENSITIVE, detail, SENSITIVE)
        return Plan(plan.events, plan.basis, tuple(kin.id for kin in context.kin.values()))
    held = tuple(kin.id for kin in context.kin.values() if kin.hold is not None)
    return Plan(wait_for=held) if held else None


def _is_gone(entity: Entity, vendor: str) -> bool:
    return vendor in entity.sides and entity.sides[vendor].gone is not None


def _with_stop(entity: Entity, plan: Plan) -> Plan:
    """A plan that also takes back what has not been sent yet."""
    stops: tuple[tuple[str, Decision], ...] = tuple(
        (entity.id, CommandSuperseded(pending.command, "the entity is held, closed or out of scope"))
        for target, pending in entity.pending.items()
        if REMOVED not in pending.want or _is_gone(entity, target)
    )
    if not stops:
        return plan
    return Plan((*stops, *plan.events), plan.basis or (entity,), plan.wait_for)
