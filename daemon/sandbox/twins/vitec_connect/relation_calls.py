"""The calls that concern relations of contacts: speculators, parties, bids, viewings, each other, notes.

Sources: Vitec's help pages of category CRM-Contact; Vitec's description of CRM/Bids and Viewing.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.vitec_connect.calls import (
    Answer,
    Handler,
    Read,
    batch,
    by_path,
    ids_of,
    json_answer,
    no_content,
    query_of,
    write,
)
from daemon.sandbox.twins.vitec_connect.contacts import Contact, render, wall_clock
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk

Form = Callable[[Contact], dict[str, Any]]


class RelationCalls:
    """Relations are read by contact; a level and a note can be written."""

    def __init__(self, twin: LeadDesk) -> None:
        self.twin = twin

    def routes(self) -> list[web.RouteDef]:
        """Every route of these calls."""
        contact = "/CRM/Contact/{customer}"
        forms = {"Speculator": self.twin.speculator, "Buyer": self.twin.buyer, "Seller": self.twin.seller}
        return [
            *(web.get(f"{contact}/{name}", self.several(form)) for name, form in forms.items()),
            *(web.get(f"{contact}/{name}/{{ids}}", self.one(form)) for name, form in forms.items()),
            web.get(f"{contact}/{{ids}}/PartyRoles", self.one(self.twin.party_roles)),
            web.get(f"{contact}/{{ids}}/ContactRelations", self.one(self._contact_relations)),
            web.put(
                "/CRM/Speculator/{customer}/{contact}/Estate/{estate}", write(self.twin, self.set_speculator)
            ),
            web.get("/CRM/Bids/{customer}", self.bids),
            web.get("/Viewing/{customer}/{estate}", self.viewings),
            web.get("/Note/{customer}/GetNotes", self.notes),
            web.post("/Note/{customer}", write(self.twin, self.add_note)),
        ]

    def one(self, form: Form) -> Handler:
        """GET …/Speculator/{id} and its sisters; a few ids with commas give an array."""

        async def handler(request: web.Request) -> web.Response:
            return by_path(request.match_info["ids"], self._reader(form), self.twin.switches)

        return handler

    def several(self, form: Form) -> Handler:
        """GET …/Speculator?contactIds=a,b and its sisters: at most 20."""

        async def handler(request: web.Request) -> web.Response:
            ids = ids_of(query_of(request).get("contactids", ""))
            return batch(ids, self._reader(form), self.twin.switches)

        return handler

    def set_speculator(self, request: web.Request, body: object) -> Answer:
        """PUT CRM/Speculator: 204."""
        where = request.match_info
        return self.twin.set_speculator(where["contact"], where["estate"], body), no_content()

    async def bids(self, request: web.Request) -> web.Response:
        """GET CRM/Bids: by estate, by contact, or all."""
        asked = query_of(request)
        estate, contact = asked.get("estateid"), asked.get("contactid")
        rows = [
            {
                "id": bid.id,
                "estateId": bid.estate,
                "contactId": bid.contact,
                "isCanceled": False,
                "alias": f"Budgivare {place}",
                "amount": str(bid.amount),
                "createdAt": render(bid.at, self.twin.switches),
                "condition": None,
                "isHidden": False,
            }
            for bids in self.twin.bids.values()
            for place, bid in enumerate(bids, 1)
            if estate in (None, bid.estate) and contact in (None, bid.contact)
        ]
        return json_answer(rows[: self.twin.switches.vs27])

    async def viewings(self, request: web.Request) -> web.Response:
        """GET Viewing/{c}/{estateId}: an estate's viewings, one time slot each."""
        estate = self.twin.known_estate(request.match_info["estate"], 404)
        rows = []
        for viewing in self.twin.viewings.get(estate.id, ()):
            times = {"startsAt": wall_clock(viewing.starts_at), "endsAt": wall_clock(viewing.ends_at)}
            people = [{"hasParticipated": False, "contactId": contact} for contact in viewing.participants]
            rows.append(
                {
                    "id": viewing.id,
                    **times,
                    "showOnInternet": True,
                    "commentary": None,
                    "participantPerTimeSlot": None,
                    "bookableFromInternet": False,
                    "noLaterThen": None,
                    "bookingUrl": None,
                    "estateId": estate.id,
                    "timeSlots": [{"id": viewing.id, **times, "participants": people}],
                }
            )
        return json_answer(rows)

    async def notes(self, request: web.Request) -> web.Response:
        """GET Note/{c}/GetNotes?contactId: the log of one contact."""

        def read(contact_id: str) -> list[dict[str, Any]] | None:
            known = contact_id in self.twin.contacts
            return self.twin.notes_of(contact_id)[: self.twin.switches.vs27] if known else None

        return by_path(query_of(request).get("contactid", ""), read, self.twin.switches)

    def add_note(self, request: web.Request, body: object) -> Answer:
        """POST Note: 204, no id."""
        return self.twin.post_note(body), no_content()

    def _contact_relations(self, contact: Contact) -> dict[str, Any]:
        return {**self.twin.contact_relations(contact.id)}

    def _reader(self, form: Form) -> Read:
        def read(contact_id: str) -> dict[str, Any] | None:
            contact = self.twin.contacts.get(contact_id)
            return None if contact is None else form(contact)

        return read
