"""The calls by which leads and interests come in.

Sources: Vitec's help pages CRM/Lead, Lead/Person, SendInterestAndContactOnEstate and FinalPriceWatched;
Vitec's description of SendInterestOnEstate and of LeadSources.
"""

from aiohttp import web

from daemon.sandbox.twins.vitec_connect.calls import Answer, json_answer, no_content, write
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk
from daemon.sandbox.twins.vitec_connect.office import Change


class LeadCalls:
    """Every one of these makes another lead each time that it is called."""

    def __init__(self, twin: LeadDesk) -> None:
        self.twin = twin

    def routes(self) -> list[web.RouteDef]:
        """Every route of these calls."""
        estate = "/Advertising/Estate/{customer}/{estate}"
        posts = {
            "/Service/Contact/{customer}/Lead/Person": self.person_lead,
            "/Advertising/Lead/{customer}/Person": self.person_lead,
            "/CRM/Lead/{customer}": self.contact_lead,
            "/Interest/SendInterestOnEstate": self.interest,
            "/Interest/SendInterestAndContactOnEstate": self.interest_and_contact,
            f"{estate}/interest": self.advertised_interest,
            f"{estate}/interestRestrictive": self.advertised_interest,
            f"{estate}/FinalPriceWatched": self.final_price,
        }
        return [
            web.get("/CRM/Lead/{customer}/LeadSources", self.sources),
            *(web.post(path, write(self.twin, work)) for path, work in posts.items()),
        ]

    async def sources(self, request: web.Request) -> web.Response:
        """GET CRM/Lead/{c}/LeadSources: the active ones."""
        return json_answer(list(self.twin.lead_sources.values()))

    def person_lead(self, request: web.Request, body: object) -> Answer:
        """POST …/Lead/Person: a JSON string, the lead's id, or 204 (VS33)."""
        return self._lead_id(self.twin.take_person_lead(body))

    def contact_lead(self, request: web.Request, body: object) -> Answer:
        """POST CRM/Lead: as Lead/Person."""
        return self._lead_id(self.twin.take_contact_lead(body))

    def interest(self, request: web.Request, body: object) -> Answer:
        """POST Interest/SendInterestOnEstate: 204."""
        return self.twin.take_interest(body), no_content()

    def interest_and_contact(self, request: web.Request, body: object) -> Answer:
        """POST Interest/SendInterestAndContactOnEstate: 204."""
        return self.twin.take_interest_and_contact(body), no_content()

    def advertised_interest(self, request: web.Request, body: object) -> Answer:
        """POST Advertising/Estate/{c}/{e}/interest: 204."""
        return self.twin.take_advertised_interest(request.match_info["estate"], body), no_content()

    def final_price(self, request: web.Request, body: object) -> Answer:
        """POST Advertising/Estate/{c}/{e}/FinalPriceWatched: a JSON string, the lead's or the contact's id (VS17)."""
        change = self.twin.take_final_price(request.match_info["estate"], body)
        contact = self.twin.leads[change.record]["contactId"]
        return change, json_answer(contact if self.twin.switches.vs17 == "contact_id" else change.record)

    def _lead_id(self, change: Change) -> Answer:
        answer = no_content() if self.twin.switches.vs33 == "204" else json_answer(change.record)
        return change, answer
