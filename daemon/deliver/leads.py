"""Sending a lead on to Vitec: once, by the call that is its own."""

from daemon.deliver.target import Landed, Write
from daemon.domain.events import reading_of
from daemon.mappings.leads import Call, Unsendable, call_of
from daemon.mappings.lens import Patch
from daemon.policies.failing import Stuck
from daemon.processor import Tenant
from daemon.storage import log
from daemon.vendors.vitec_connect.client import VitecConnectClient
from projections.entity import Entity


class LeadWrite(Write, frozen=True, kw_only=True):
    """A lead's request."""

    call: Call


async def lead_to_send(at: Tenant, entity: Entity) -> LeadWrite | Stuck:
    """The request, made from the lead as it came in; or why Vitec could not take it whole."""
    lead = entity.lead
    assert lead is not None
    async with at.connection() as conn:
        event = await log.at(conn, at.name, lead.event)
    assert event is not None
    path = reading_of(event).query or {}
    match call_of(lead.kind, event.data.encode(), event.occurred_at, path=path):  # type: ignore[arg-type]  # as stored
        case Unsendable(reason=reason, detail=detail):
            return Stuck(reason, detail)
        case Call() as call:
            return LeadWrite(Patch({}), call=call)


async def send_lead(client: VitecConnectClient, write: Write) -> Landed:
    """Send it. The contact, and the relation, that Vitec makes of it reach us as those of anybody else."""
    assert isinstance(write, LeadWrite)
    call = write.call
    match call.kind:
        case "lead":
            record = await client.send_lead(call.body)
        case "interest":
            await client.send_interest_and_contact(call.body)
            record = None
        case "final_price":
            assert call.estate_id is not None
            record = await client.watch_final_price(call.estate_id, call.body)
    return Landed(record or "", None)
