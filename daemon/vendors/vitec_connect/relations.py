"""What ties a Vitec Connect contact to estates and to other contacts, and the notes about it."""

from collections.abc import Mapping, Sequence

import msgspec

from daemon.vendors.http import Route
from daemon.vendors.vitec_connect.office import Office

SET_SPECULATOR = Route("PUT", "/CRM/Speculator/{customer}/{contact}/Estate/{estate}", "write")
SEND_INTEREST = Route("POST", "/Interest/SendInterestOnEstate", "create")
RELATIONS = Route("GET", "/CRM/Contact/{customer}/{contact}/ContactRelations")
NOTES = Route("GET", "/Note/{customer}/GetNotes")
ADD_NOTE = Route("POST", "/Note/{customer}", "create")

_OBJECT: msgspec.json.Decoder[dict[str, msgspec.Raw] | None] = msgspec.json.Decoder(
    dict[str, msgspec.Raw] | None
)
_ROWS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)


class RelationCalls(Office):
    """The calls for speculators, buyers, relations between contacts, and notes."""

    async def speculators(self, ids: Sequence[str]) -> dict[str, bytes]:
        """`{"id", "speculatorOn"}` by contact id, in batches of 20; an unknown id is absent (speculators, read)."""
        return await self._read("Speculator", ids)

    async def buyers(self, ids: Sequence[str]) -> dict[str, bytes]:
        """`{"id", "buyerOn"}` by contact id, in batches of 20; an unknown id is absent (speculators, read)."""
        return await self._read("Buyer", ids)

    async def speculator(self, contact_id: str) -> bytes | None:
        """As `speculators`, for one contact; None for an id that the vendor does not know (VS21)."""
        return await self._read_one("Speculator", contact_id)

    async def buyer(self, contact_id: str) -> bytes | None:
        """As `buyers`, for one contact; None for an id that the vendor does not know (VS21)."""
        return await self._read_one("Buyer", contact_id)

    async def set_speculator(self, contact_id: str, estate_id: str, body: Mapping[str, object]) -> None:
        """Sets a contact's status on an estate (speculators, write). Repeating it changes nothing more.

        NotFound or Rejected with 400 may also mean that there is no relation yet (VS14, Q2).
        """
        await self._send(SET_SPECULATOR, {"contact": contact_id, "estate": estate_id}, body=body)

    async def send_interest(self, body: Mapping[str, object]) -> None:
        """Makes a known contact interested in an estate (interest). Not idempotent: after UnknownOutcome look first."""
        await self._send(SEND_INTEREST, body=body)

    async def relations(self, contact_id: str) -> bytes | None:
        """`{"relations", "reverseRelations"}` of a contact; None for an id that the vendor does not know (VS21)."""
        answer = await self._found(RELATIONS, {"contact": contact_id})
        return None if answer is None or answer.decoded(_OBJECT) is None else answer.body

    async def notes(self, contact_id: str) -> list[bytes]:
        """The notes of a contact, each the vendor's JSON; none for an unknown contact (notes)."""
        answer = await self._found(NOTES, query={"contactId": contact_id})
        rows = answer.decoded(_ROWS) if answer else None
        return [bytes(row) for row in rows or () if bytes(row) != b"null"]

    async def add_note(self, body: Mapping[str, object]) -> None:
        """Adds a note. The vendor names none, and makes another each time: after UnknownOutcome look first (N14)."""
        await self._send(ADD_NOTE, body=body)
