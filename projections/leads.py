"""The view of leads: what came in, and what became of it at Vitec."""

from datetime import datetime
from typing import Literal

import msgspec

from daemon.domain.fields import normal
from daemon.domain.streams import VITEC
from projections.entity import Entity

State = Literal["waiting", "sending", "sent", "held", "discarded"]


class LeadRow(msgspec.Struct, frozen=True):
    """A lead as it is now. `vitec_id` is Vitec's id of it, where Vitec gave one."""

    tenant: str
    entity: str
    kind: str
    received_at: datetime
    customer: str
    estate: str | None
    email: str | None
    state: State
    vitec_id: str | None
    position: int


def lead_row(tenant: str, entity: Entity) -> LeadRow:
    """The row of a lead."""
    lead = entity.lead
    assert lead is not None
    email = normal("email", lead.email)
    return LeadRow(
        tenant=tenant,
        entity=entity.id,
        kind=lead.kind,
        received_at=lead.received_at,
        customer=lead.customer,
        estate=lead.estate,
        email=email if isinstance(email, str) else None,
        state=_state(entity),
        vitec_id=lead.sent or None,
        position=entity.position,
    )


def _state(entity: Entity) -> State:
    if entity.lead is not None and entity.lead.sent is not None:
        return "sent"
    if VITEC in entity.blocked:
        seen_to = all(block.discarded for block in entity.blocked[VITEC].values())
        return "discarded" if seen_to else "held"
    return "sending" if VITEC in entity.creating else "waiting"
