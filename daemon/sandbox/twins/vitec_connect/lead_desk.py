"""The desk where leads and interests come in: duplicate check, contact, relation, lead."""

from typing import Any

from daemon.sandbox.twins.vitec_connect import leads
from daemon.sandbox.twins.vitec_connect.leads import INTEREST_STATUS, LEAD_TYPES, Lead
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_CONTACT, Change
from daemon.sandbox.twins.vitec_connect.relation_desk import RelationDesk
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

_NOT_ON = {"Premises": set(INTEREST_STATUS), "Project": {"Assigned", "NotInterested"}}


class LeadDesk(RelationDesk):
    """Leads and interests through the API; `leads` keeps each of them whole. Every method raises RefusedError."""

    def define_lead_source(self, source_id: str, name: str, lead_type: str = "ContactContactFlow") -> None:
        """Add an active lead source. Raises ValueError for an unknown type."""
        if lead_type not in LEAD_TYPES:
            raise ValueError(f"no lead type is called {lead_type}")
        self.lead_sources[source_id] = {"id": source_id, "name": name, "leadType": lead_type}

    def take_person_lead(self, body: object) -> Change:
        """Lead/Person: a lead on the found or made person."""
        lead = leads.person_lead(body, self.switches)
        self._known_source(lead)
        return self._keep("Lead/Person", lead, body, self._person(lead))

    def take_contact_lead(self, body: object) -> Change:
        """CRM/Lead: a lead on a contact that is there."""
        lead = leads.contact_lead(body, self.switches)
        self._known_source(lead)
        if lead.contact not in self.contacts:
            raise RefusedError(404, UNKNOWN_CONTACT)
        return self._keep("Lead", lead, body, lead.contact)

    def take_interest(self, body: object) -> Change:
        """SendInterestOnEstate: a relation for a contact that is there; the change is the relation's."""
        lead = leads.interest(body, self.switches)
        self.own(lead.customer)
        self.known_estate(lead.estate, 400)
        if lead.contact not in self.contacts:
            raise RefusedError(400, UNKNOWN_CONTACT)
        self._not_twice(lead.contact, lead.estate)
        change = self.show_interest(lead.contact, lead.estate, self._first_level(), lead.message)
        self._keep("SendInterestOnEstate", lead, body, lead.contact)
        return change

    def take_interest_and_contact(self, body: object) -> Change:
        """SendInterestAndContactOnEstate: a relation for the found or made person."""
        lead = leads.interest_and_contact(body, self.switches)
        self.own(lead.customer)
        self.known_estate(lead.estate, 400)
        contact = self._person(lead)
        self.show_interest(contact, lead.estate, self._first_level(), lead.message)
        return self._keep("SendInterestAndContactOnEstate", lead, body, contact)

    def take_advertised_interest(self, estate_id: str, body: object) -> Change:
        """Advertising interest: a relation with the status of the form, and a lead."""
        estate = self.known_estate(estate_id, 404)
        lead = leads.advertised_interest(body, self.switches)
        self._known_source(lead)
        if lead.status in _NOT_ON.get(estate.kind, ()):
            raise RefusedError(400, state={"interest.Status": ["Status kan inte väljas för objektstypen"]})
        contact = self._person(lead, estate_id)
        self.show_interest(contact, estate_id, lead.status or self._first_level(), lead.message)
        return self._keep("interest", lead, body, contact, estate_id)

    def take_final_price(self, estate_id: str, body: object) -> Change:
        """FinalPriceWatched: a lead, and a relation with the status of the form if there is none."""
        self.known_estate(estate_id, 404)
        lead = leads.final_price(body, self.switches)
        self._known_source(lead)
        contact = self._person(lead)
        if self.interests.get(estate_id, contact) is None:
            self.show_interest(contact, estate_id, lead.status or self._first_level(), None)
        return self._keep("FinalPriceWatched", lead, body, contact, estate_id)

    # --- inside

    def _person(self, lead: Lead, estate_id: str = "") -> str:
        """Find or make the person of a lead; returns the contact's id."""
        assert lead.person is not None
        present, _ = self.match(lead.person)
        if present is not None:
            self._not_twice(present.id, lead.estate or estate_id)
        return self.save(lead.person).record

    def _not_twice(self, contact_id: str, estate_id: str) -> None:
        if self.switches.vs15 == "409" and self.interests.get(estate_id, contact_id) is not None:
            raise RefusedError(409, "Intresset finns redan")

    def _first_level(self) -> str | None:
        return None if self.switches.vs16 == "none" else self.switches.vs16

    def _known_source(self, lead: Lead) -> None:
        if lead.source and lead.source not in self.lead_sources:
            raise RefusedError(400, state={"lead.LeadSourceId": ["Leadkällan finns inte"]})

    def _keep(self, call: str, lead: Lead, body: object, contact: str, estate: str = "") -> Change:
        lead_id = self.new_id("LED")
        kept: dict[str, Any] = {
            "call": call,
            "contactId": contact,
            "estateId": lead.estate or estate or None,
            "leadSourceId": lead.source or None,
            "message": lead.message,
            "body": body,
        }
        self.leads[lead_id] = kept
        return Change("lead", lead_id, None, dict(kept), changed=True)
