"""Leads: read and checked when one comes in, made into Vitec's request when it is sent on."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import msgspec

from daemon.mappings.leads import vitec_forms
from daemon.mappings.leads.document import document, refuse_constants
from daemon.mappings.leads.lead import Call, FieldError, InvalidLead, Lead, LeadKind, NotJson, Unsendable
from daemon.mappings.leads.message import message_of
from daemon.mappings.leads.realai import Valuation, valuation_of, vitec_body

__all__ = [
    "Call",
    "FieldError",
    "InvalidLead",
    "Lead",
    "LeadKind",
    "NotJson",
    "Unsendable",
    "call_of",
    "message_of",
    "parse",
]

_NO_PATH: Final[Mapping[str, str]] = MappingProxyType({})


def parse(kind: LeadKind, body: bytes, *, path: Mapping[str, str] = _NO_PATH, strict: bool = False) -> Lead:
    """Read a lead; raises InvalidLead naming every missing or wrong field, or NotJson.

    `path` carries customerId and estateId of a final-price watch. `strict` asks of a valuation lead what RealAI's
    revision of May 2026 asks. Hand in the body as it will be kept: `canonical` covers a national id as well.
    """
    given = document(body)
    match kind:
        case "lead":
            lead = _lead_of(valuation_of(given, strict=strict))
        case "interest":
            lead = vitec_forms.lead_of(vitec_forms.INTEREST, {"body": given})
        case "final_price":
            lead = vitec_forms.lead_of(vitec_forms.FINAL_PRICE, {"path": dict(path), "body": given})
    refuse_constants(body)
    return lead


def call_of(
    kind: LeadKind, data: bytes, received: datetime, *, path: Mapping[str, str] = _NO_PATH
) -> Call | Unsendable:
    """Give the request that hands a lead to Vitec, or why there is none.

    `data` and `path` are what was taken in at `received` (aware). A valuation lead becomes the body of
    Service/Contact/{customerId}/Lead/Person; the other two go on byte for byte.
    """
    try:
        if kind != "lead":
            return Call(kind, parse(kind, data, path=path).estate_id, data)
        valuation = valuation_of(document(data), strict=False)
    except (InvalidLead, NotJson) as error:
        return Unsendable("invalid", str(error))
    body = vitec_body(valuation, message_of(valuation, received))
    return body if isinstance(body, Unsendable) else Call(kind, None, body)


def _lead_of(valuation: Valuation) -> Lead:
    person = valuation.person
    return Lead(
        kind="lead",
        customer_id=valuation.customer.customer_id,
        estate_id=None,
        email=person.email,
        phone=person.phone,
        name=f"{person.first_name} {person.last_name}",
        canonical=msgspec.json.encode(["lead", valuation]),
    )
