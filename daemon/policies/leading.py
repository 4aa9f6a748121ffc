"""What a lead makes due: one command that brings it to Vitec, and never a second one."""

from daemon.domain.events import CommandHeld, CommandIssued, Want
from daemon.domain.streams import LEAD, VITEC, derived_id
from daemon.policies.plan import NOTHING, Context, Plan, command_id
from projections.entity import Entity
from projections.fold import OBSERVE

WHOLE = "lead"
"""The one field of a lead's command: all of it."""


def lead_on(entity: Entity, context: Context) -> Plan:
    """Send a lead that was not sent, is not on its way, and is not held."""
    lead = entity.lead
    assert lead is not None
    block = entity.blocked.get(VITEC, {}).get(WHOLE)
    held = block is not None and not (block.observed and context.mode == "live")
    if lead.sent is not None or held or entity.pending:
        return NOTHING
    want = {WHOLE: Want(None, LEAD, None, lead.event, lead.received_at, rule="a lead came in")}
    if context.mode == "observe":
        held_id = str(derived_id("hold", entity.id, OBSERVE))
        detail = "nothing is sent in observe mode; set mode to live"
        hold = CommandHeld(held_id, entity.id, LEAD, VITEC, None, want, OBSERVE, detail)
        return Plan(((entity.id, hold),), (entity,))
    issued = CommandIssued(command_id(context, entity, VITEC), entity.id, LEAD, VITEC, None, want)
    return Plan(((entity.id, issued),), (entity,))
