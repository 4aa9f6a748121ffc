"""Decide what is due for one entity: the one entrance to the policies."""

from typing import Final

from daemon.domain.events import CommandSuperseded, Decision, EntityHeld
from daemon.policies.deleting import remove
from daemon.policies.linking import introduce
from daemon.policies.plan import NOTHING, Context, Plan, direction, hold, release
from daemon.policies.syncing import settle
from projections.entities import dormant
from projections.entity import Entity

MATCHED: Final = "matched"
"""The hold of a record that we meant to create, and that Vitec matched with one that was there before."""

OUT_OF_SCOPE: Final = frozenset(("deceased_estate", "association"))


def decide(entity: Entity, context: Context) -> Plan:
    """What must be appended for this entity now; nothing while a read or a write is outstanding."""
    sides = entity.sides.values()
    if entity.busy() or any(side.need is not None for side in sides) or entity.tombstone is not None:
        return NOTHING
    if entity.hold is not None and entity.hold.reason == MATCHED:
        return NOTHING  # only the operator knows whether it is the same person
    if direction(context.sync, entity.category) == "off" or any(OUT_OF_SCOPE & set(s.flags) for s in sides):
        return _with_stop(entity, NOTHING)
    if any(side.gone is not None for side in sides):
        return _with_stop(entity, remove(entity, context))
    if any(side.unreadable is not None for side in sides):
        return _with_stop(
            entity, hold(entity, "unreadable", "a payload cannot be translated; see history", "unreadable")
        )
    if any("deceased" in side.flags for side in sides):
        return _with_stop(entity, hold(entity, "deceased", "marked as deceased at Vitec (C12)", "deceased"))
    if dormant(entity) and context.sync.first_sync == "wait":
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


def _with_stop(entity: Entity, plan: Plan) -> Plan:
    """A plan that also takes back what has not been sent yet."""
    stops: tuple[tuple[str, Decision], ...] = tuple(
        (entity.id, CommandSuperseded(pending.command, "the entity is held, closed or out of scope"))
        for pending in entity.pending.values()
    )
    if not stops:
        return plan
    return Plan((*stops, *plan.events), plan.basis or (entity,), plan.wait_for)
