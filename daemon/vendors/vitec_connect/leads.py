"""Vitec Connect's leads: the sources they may name, and the three calls that bring one in.

A lead that is sent twice is two leads, so no failure here says "try again" unless the vendor asked for a wait or
nothing left. The bodies are bytes and leave as they are: what somebody sent us is what the vendor gets.
"""

import msgspec

from daemon.vendors.http import Route
from daemon.vendors.vitec_connect.office import Office, named

LEAD_SOURCES = Route("GET", "/CRM/Lead/{customer}/LeadSources")
SEND_LEAD = Route("POST", "/Service/Contact/{customer}/Lead/Person", "create")
SEND_INTEREST_AND_CONTACT = Route("POST", "/Interest/SendInterestAndContactOnEstate", "create")
WATCH_FINAL_PRICE = Route("POST", "/Advertising/Estate/{customer}/{estate}/FinalPriceWatched", "create")


class LeadSource(msgspec.Struct, frozen=True):
    """Where a lead may come from; a lead names its source's `id`."""

    id: str
    name: str


class _LeadSource(msgspec.Struct):
    id: str | int
    name: str | None = None


_LEAD_SOURCES: msgspec.json.Decoder[list[_LeadSource] | None] = msgspec.json.Decoder(list[_LeadSource] | None)


class LeadCalls(Office):
    """The calls for leads."""

    async def lead_sources(self) -> list[LeadSource]:
        """The customer's active lead sources (leads)."""
        rows = (await self._call(LEAD_SOURCES)).decoded(_LEAD_SOURCES)
        return [LeadSource(str(row.id), row.name or "") for row in rows or ()]

    async def send_lead(self, body: bytes) -> str | None:
        """Brings in a person as a lead; returns the lead's id, None where the vendor names none (VS33)."""
        return named(await self._call(SEND_LEAD, body=body))

    async def send_interest_and_contact(self, body: bytes) -> None:
        """Brings in a person who is interested in an estate (interest)."""
        await self._send(SEND_INTEREST_AND_CONTACT, body=body)

    async def watch_final_price(self, estate_id: str, body: bytes) -> str | None:
        """Brings in a person who waits for an estate's final price; returns an id, a lead's or a contact's (VS17)."""
        return named(await self._call(WATCH_FINAL_PRICE, {"estate": estate_id}, body=body))
