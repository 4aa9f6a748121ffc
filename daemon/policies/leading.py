"""What a lead makes due: one command that brings it to Vitec, and never a second one."""

from typing import Final

from daemon.domain.events import CommandHeld, CommandIssued, CommandSuperseded, Decision, Want
from daemon.domain.streams import LEAD, VITEC, derived_id
from daemon.policies.plan import NOTHING, Context, Plan, command_id
from projections.entity import Entity
from projections.outbox import OBSERVE

WHOLE = "lead"
"""The one field of a lead's command: all of it."""

UNSENT: Final = OBSERVE, "nothing is sent in observe mode; set mode to live"
FORGOTTEN: Final = (
    "unknown_outcome",
    "the log was restored while it waited: Vitec may have it, and would take it twice; look there first",
)
"""Why a lead is held, and the way out."""


def lead_on(entity: Entity, context: Context) -> Plan:
    """Send a lead that was not sent, is not on its way, and is not held; in observe mode say only that it is due.

    One that may have been sent in a time that the log forgot is held.
    """
    lead = entity.lead
    assert lead is not None
    block, pending = entity.blocked.get(VITEC, {}).get(WHOLE), entity.pending.get(VITEC)
    observing = context.mode == "observe"
    if lead.sent is not None or (block is not None and (observing or not block.observed)):
        return NOTHING
    if pending is not None and not observing:
        return NOTHING
    outdated = pending.command if pending is not None else block.command if block is not None else None
    events: list[tuple[str, Decision]] = []
    if outdated is not None:
        events.append((entity.id, CommandSuperseded(outdated, f"the mode is {context.mode}")))
    want = {WHOLE: Want(None, LEAD, None, lead.event, lead.received_at, rule="a lead came in")}
    if lead.restored or observing:
        reason, detail = FORGOTTEN if lead.restored else UNSENT
        held = str(derived_id("hold", entity.id, reason, str(entity.version)))
        events.append((entity.id, CommandHeld(held, entity.id, LEAD, VITEC, None, want, reason, detail)))
    else:
        command = command_id(context, entity, VITEC)
        events.append((entity.id, CommandIssued(command, entity.id, LEAD, VITEC, None, want)))
    return Plan(tuple(events), (entity,))
