"""The desk for what ties contacts to estates: speculators, buyers, sellers, viewings, bids and notes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from daemon.sandbox.twins.vitec_connect.contact_desk import ContactDesk
from daemon.sandbox.twins.vitec_connect.contacts import Contact, moment, render
from daemon.sandbox.twins.vitec_connect.estate_desk import EstateDesk
from daemon.sandbox.twins.vitec_connect.estates import crm_type
from daemon.sandbox.twins.vitec_connect.notifications import Event, Notification
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_CONTACT, Change
from daemon.sandbox.twins.vitec_connect.relations import (
    LEVEL_OF_STATUS,
    LEVELS,
    Bid,
    Interest,
    Note,
    Party,
    Role,
    Viewing,
)
from daemon.sandbox.twins.vitec_connect.writing import Field, RefusedError, read_fields, refuse

_SPECULATOR = {
    "note": Field(""),
    "status": Field("", holds=(str, int), choices=tuple(LEVEL_OF_STATUS), required="Status krävs"),
}
_NOTE = {
    "date": Field(""),
    "userId": Field(""),
    "text": Field(""),
    "contactId": Field("", 40, "Kontaktid"),
    "estateId": Field("", 40, "Objektid"),
}


class RelationDesk(ContactDesk, EstateDesk):
    """Relations of contacts and estates. No date of an estate moves with them, nor a contact's but by VS37."""

    # --- the user side

    def relate(self, contact: str, estate: str, level: str | None) -> None:
        """A user makes somebody a speculator or sets the level (a name of InterestLevel; None: without).

        What changes nothing tells nobody. Raises KeyError for unknown ids and levels.
        """
        if level is not None and level not in LEVELS:
            raise KeyError(f"no level is called {level}")
        present = self.interests.get(estate, contact)
        change = self._put_interest(contact, estate, Interest(level, present.note if present else None))
        self.journal_person(change)
        if change.changed:
            self._tell_tie("Update", "Speculator", contact, estate)

    def unrelate(self, contact: str, estate: str) -> None:
        """A user takes a speculator away, and Remove is told. Raises KeyError when there is none."""
        before = self._interest(contact, estate)
        if self.interests.drop(estate, contact) is None:
            raise KeyError(f"{contact} is no speculator on {estate}")
        self.journal_person(Change("prospect", f"{estate}:{contact}", before, None, changed=True))
        self._tell_tie("Remove", "Speculator", contact, estate)

    def make_buyer(self, contact: str, estate: str) -> None:
        """A user makes somebody a buyer; a speculator's level stays. Raises KeyError for unknown ids."""
        self._make_party("Buyer", contact, estate)

    def unmake_buyer(self, contact: str, estate: str) -> None:
        """A user takes a buyer away, and Remove is told. Raises KeyError when there is none."""
        if self.parties["Buyer"].drop(estate, contact) is None:
            raise KeyError(f"{contact} is no buyer of {estate}")
        record = f"{estate}:{contact}"
        self.journal_person(Change("prospect", record, {"role": "Buyer"}, None, changed=True))
        self._tell_tie("Remove", "Buyer", contact, estate)

    def make_seller(self, contact: str, estate: str, share: float | None = None) -> None:
        """A user makes somebody a seller, with a share of 0 to 1. Raises KeyError for unknown ids."""
        self._make_party("Seller", contact, estate, share)

    def add_viewing(
        self, estate: str, participants: Iterable[str] = (), starts_at: datetime | None = None
    ) -> str:
        """A user enters a viewing of an hour (aware time; now when left out) and who takes part; returns its id.

        Nobody's level changes by it. Raises KeyError for unknown ids.
        """
        place = self.register[estate]
        begins = starts_at or self.now()
        taking_part = {self.contacts[contact].id: self.new_id("VID") for contact in participants}
        viewing = Viewing(self.new_id("VIS"), estate, begins, begins + timedelta(hours=1), taking_part)
        self.viewings[estate].append(viewing)
        place.changed_at = self.now()
        self._tell_estate("Update", place, place.standing)
        for contact, participant in taking_part.items():
            self._tell_tie("Update", "ViewingParticipant", contact, estate, participant, viewing.id)
        return viewing.id

    def bid(self, contact: str, estate: str, amount: int) -> str:
        """A user enters a bid of whole kronor; returns its id. Nobody's level changes by it. Raises KeyError."""
        found = Bid(
            self.new_id("BUD"), self.register[estate].id, self.contacts[contact].id, amount, self.now()
        )
        self.bids[estate].append(found)
        return found.id

    def levels(self) -> dict[tuple[str, str], str | None]:
        """Every speculator's level by (estate, contact)."""
        return {pair: interest.level for pair, interest in self.interests.pairs().items()}

    def buyers(self) -> set[tuple[str, str]]:
        """Every buyer as (estate, contact)."""
        return set(self.parties["Buyer"].pairs())

    def add_note(self, contact: str, text: str, estate: str | None = None) -> str:
        """A user writes a note on a contact, perhaps about an estate; returns its id. Raises KeyError."""
        about = None if estate is None else self.register[estate].id
        change = self._add_note(Note(self.new_id("NOT"), self.now(), text, None, contact, about))
        self.journal_person(change)
        return change.record

    def remove_note(self, note_id: str) -> None:
        """A user deletes a note, and Remove is told. Raises KeyError when there is none."""
        for notes in self.notes.values():
            for note in notes:
                if note.id == note_id:
                    notes.remove(note)
                    self.journal_person(Change("note", note_id, self._note(note), None, changed=True))
                    self.tell(self._about_note("Remove", note))
                    return
        raise KeyError(note_id)

    def notes_of(self, contact_id: str) -> list[dict[str, Any]]:
        """What GetNotes answers, oldest first."""
        return [
            {"id": note.id, "date": render(note.at, self.switches), "userId": note.user, "text": note.text}
            for note in self.notes.get(contact_id, ())
        ]

    # --- what the API reads

    def speculator(self, contact: Contact) -> dict[str, Any]:
        """The homes that a contact is speculator on. One without a level is not listed, or null by VS38."""
        rows = []
        for estate, interest in self.interests.of_right(contact.id).items():
            if interest.level is not None or self.switches.vs38 == "possible":
                rows.append(self._home(estate) | {"level": interest.level})
        return {"id": contact.id, "speculatorOn": rows}

    def buyer(self, contact: Contact) -> dict[str, Any]:
        """The homes that a contact has bought."""
        homes = self.parties["Buyer"].of_right(contact.id)
        return {"id": contact.id, "buyerOn": [self._home(estate) for estate in homes]}

    def seller(self, contact: Contact) -> dict[str, Any]:
        """The homes that a contact has sold or sells."""
        homes = self.parties["Seller"].of_right(contact.id).items()
        rows = [self._home(estate) | {"shareHolding": party.share} for estate, party in homes]
        return {"id": contact.id, "sellerOn": rows}

    def party_roles(self, contact: Contact) -> dict[str, list[dict[str, Any]]]:
        """What PartyRoles answers; the twin keeps buyers and sellers only."""
        roles: dict[str, list[dict[str, Any]]] = {
            name: []
            for role in ("buyer", "seller", "tenant", "owner")
            for name in (role, f"extra{role.capitalize()}")
        }
        for role, parties in self.parties.items():
            roles[role.lower()] = [
                {"estateId": estate, "roleCreatedAt": render(party.since, self.switches)}
                for estate, party in parties.of_right(contact.id).items()
            ]
        return roles

    def v1_relations(self, contact: Contact) -> dict[str, list[dict[str, Any]]]:
        """The relations as page GetContacts shows them on a contact."""

        def rows(role: Role) -> list[dict[str, Any]]:
            homes = self.parties[role].of_right(contact.id)
            return [{"estateId": estate, "type": self._home(estate)["estateType"]} for estate in homes]

        return {
            "buyerOnObjects": rows("Buyer"),
            "sellerOnObjects": rows("Seller"),
            "interestOnObjects": [
                {
                    "estateId": estate,
                    "type": self._home(estate)["estateType"],
                    "estateType": self._home(estate)["estateType"],
                    "viewing": any(contact.id in v.participants for v in self.viewings.get(estate, ())),
                    "bidder": any(bid.contact == contact.id for bid in self.bids.get(estate, ())),
                    "interestLevel": interest.level,
                }
                for estate, interest in self.interests.of_right(contact.id).items()
            ],
        }

    # --- what the API does

    def set_speculator(self, contact_id: str, estate_id: str, body: object) -> Change:
        """PUT Speculator: the level of a relation, made if need be (VS14). Raises RefusedError."""
        if contact_id not in self.contacts:
            raise RefusedError(404, UNKNOWN_CONTACT)
        self.known_estate(estate_id, 404)
        sent = body if isinstance(body, dict) else {}
        values, complaints = read_fields(sent, _SPECULATOR, self.switches, "speculator")
        refuse(complaints)
        present = self.interests.get(estate_id, contact_id)
        if present is None and self.switches.vs14 != "creates":
            raise RefusedError(int(self.switches.vs14), "Kontakten är inte spekulant på objektet")
        note = values.get("note") or (present.note if present else None)
        change = self._put_interest(contact_id, estate_id, Interest(LEVEL_OF_STATUS[values["status"]], note))
        self.echo_interest(contact_id, estate_id)
        return change

    def show_interest(self, contact_id: str, estate_id: str, level: str | None, note: str | None) -> Change:
        """What an interest form does: a relation of this level, or a note on the one that is there (VS15)."""
        present = self.interests.get(estate_id, contact_id)
        if present is not None:
            level = "Interested" if self.switches.vs15 == "interested" else present.level
            note = "\n".join(text for text in (present.note, note) if text) or None
        change = self._put_interest(contact_id, estate_id, Interest(level, note))
        self.echo_interest(contact_id, estate_id)
        return change

    def echo_interest(self, contact_id: str, estate_id: str) -> None:
        """Tell of a relation that a write through the API set (VS5)."""
        for _ in range(self.echoes()):
            self._tell_tie("Update", "Speculator", contact_id, estate_id)

    def post_note(self, body: object) -> Change:
        """POST Note: every call makes another note. Raises RefusedError."""
        sent = body if isinstance(body, dict) else {}
        values, complaints = read_fields(sent, _NOTE, self.switches, "note")
        refuse(complaints)
        contact, estate = values.get("contactId"), values.get("estateId")
        if contact and contact not in self.contacts:
            raise RefusedError(404, UNKNOWN_CONTACT)
        if estate:
            self.known_estate(estate, 404)
        try:
            at = moment(values["date"]) if values.get("date") else self.now()
        except ValueError as broken:
            raise RefusedError(400, state={"note.Date": ["Värdet har fel typ"]}) from broken
        note = Note(self.new_id("NOT"), at, values.get("text"), values.get("userId"), contact, estate)
        return self._add_note(note, times=self.echoes())

    # --- inside

    def _home(self, estate_id: str) -> dict[str, Any]:
        return {"estateId": estate_id, "estateType": crm_type(self.register[estate_id].kind)}

    def _interest(self, contact: str, estate: str) -> dict[str, Any] | None:
        present = self.interests.get(estate, contact)
        return None if present is None else {"level": present.level, "note": present.note}

    def _put_interest(self, contact: str, estate: str, interest: Interest) -> Change:
        card, home = self.contacts[contact], self.register[estate]
        before, present = self._interest(contact, estate), self.interests.get(estate, contact)
        self.interests.put(home.id, card.id, interest)
        if self.switches.vs37 and (present is None or present.level != interest.level):
            card.changed_at = self.now()
        after = self._interest(contact, estate)
        return Change("prospect", f"{estate}:{contact}", before, after, changed=interest != present)

    def _make_party(self, role: Role, contact: str, estate: str, share: float | None = None) -> None:
        home, card = self.register[estate], self.contacts[contact]
        if self.parties[role].get(estate, contact) is not None:
            return
        self.parties[role].put(home.id, card.id, Party(self.now(), share))
        self.journal_person(Change("prospect", f"{estate}:{contact}", None, {"role": role}, changed=True))
        self._tell_tie("Update", role, contact, estate)

    def _tell_tie(
        self,
        event: Event,
        subtype: str,
        contact: str,
        estate: str,
        participant: str | None = None,
        viewing: str | None = None,
    ) -> None:
        related = (self.related_estate(estate), self.related_contact(contact))
        third = (viewing, "Viewing") if viewing else None
        self.tell(Notification("EstateContact", event, participant, subtype, (*related, third)))

    def _add_note(self, note: Note, times: int = 1) -> Change:
        if note.contact is not None:
            note.contact = self.contacts[note.contact].id
        self.notes[note.contact].append(note)
        for _ in range(times):
            self.tell(self._about_note("Update", note))
        return Change("note", note.id, None, self._note(note), changed=True)

    def _about_note(self, event: Event, note: Note) -> Notification:
        estate = self.related_estate(note.estate) if note.estate else None
        contact = self.related_contact(note.contact) if note.contact else None
        return Notification("Note", event, note.id, relations=(estate, contact))

    def _note(self, note: Note) -> dict[str, Any]:
        return {"contactId": note.contact, "estateId": note.estate, "text": note.text}
