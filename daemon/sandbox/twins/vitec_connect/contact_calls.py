"""The calls that concern contacts and companies.

Sources: Vitec's help pages of category CRM-Contact.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.vitec_connect.calls import (
    Answer,
    Handler,
    Read,
    batch,
    body_of,
    by_path,
    ids_of,
    json_answer,
    no_content,
    query_of,
    time_of,
    within,
    write,
)
from daemon.sandbox.twins.vitec_connect.contacts import (
    KIND_OF_TYPE,
    SHAPES,
    Contact,
    Kind,
    dialled,
    digits,
    render,
    v1_form,
)
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

_NEVER = {"newsletterlistid", "contactscheduledordertype"}  # nobody here subscribes to anything
_NEVER_V1 = ("viewingdate", "biddingdate", "contractdate", "sellerrelationdate", "buyerrelationdate")


class ContactCalls:
    """Feed, searches, reads and writes of contacts."""

    def __init__(self, twin: LeadDesk) -> None:
        self.twin = twin

    def routes(self) -> list[web.RouteDef]:
        """The last one takes any path of one word more, so it comes after the other calls of contacts."""
        contact = "/CRM/Contact/{customer}"
        return [
            web.get(contact, self.feed),
            web.get(f"{contact}/Search", self.search),
            web.get(f"{contact}/search/SocialNumber", self.by_social_number),
            *(web.get(f"{contact}/{kind}", self.typed_batch(kind)) for kind in KIND_OF_TYPE),
            *(web.get(f"{contact}/{kind}/{{ids}}", self.typed(kind)) for kind in KIND_OF_TYPE),
            web.delete(f"{contact}/{{id}}/Category/{{category}}", write(self.twin, self.delete_category)),
            web.post("/Contacts/GetContacts", self.v1_contacts),
            web.post("/Contacts/GetContactsSyncList", self.v1_sync_list),
            web.get("/Contacts/GetContactsWithPhonenumber", self.by_phone),
            web.post("/Contacts/UpdatePerson", write(self.twin, self.update_person)),
            web.post("/Contacts/UpdateCompany", write(self.twin, self.update_company)),
            web.get("/Category/GetCategories", self.categories),
            web.get("/CustomField/Get", self.custom_fields),
            web.get(f"{contact}/{{ids}}", self.untyped),
        ]

    # --- reading

    async def feed(self, request: web.Request) -> web.Response:
        """GET CRM/Contact/{c}: references of what was created or changed in a span, both ends included."""
        asked = self._criteria(request)
        spans = {
            name: (time_of(asked.get(f"{name}from")), time_of(asked.get(f"{name}to")))
            for name in ("createdat", "changedat")
        }
        found = [
            contact
            for contact in self.twin.contacts.values()
            if not _NEVER & asked.keys()
            and within(contact.created_at, spans["createdat"])
            and within(contact.changed_at, spans["changedat"])
            and self._has(contact, asked)
        ]
        return json_answer(
            {
                shape.listed: self._cut(self._reference(c) for c in found if c.kind == kind)
                for kind, shape in SHAPES.items()
            }
        )

    async def search(self, request: web.Request) -> web.Response:
        """GET …/Search: name, number, e-mail or phone holding the term."""
        asked = query_of(request)
        term = asked.get("term", "").strip().casefold()
        size = asked.get("maxsize", "50")
        if len(term) < 5 or not size.isdecimal() or not 1 <= int(size) <= 1000:
            raise RefusedError(400)
        found = [contact for contact in self.twin.contacts.values() if _mentions(contact, term)]
        matches = [
            self._reference(c) | {"type": SHAPES[c.kind].type, "score": 1.0} for c in found[: int(size)]
        ]
        return json_answer({"matches": matches})

    async def by_social_number(self, request: web.Request) -> web.Response:
        """GET …/search/SocialNumber: persons and deceased estates with this number."""
        number = query_of(request).get("socialnumber", "")
        if not 10 <= len(number) <= 13:
            raise RefusedError(400)
        matches = [
            self._reference(contact) | {"contactClassTypes": [SHAPES[contact.kind].type]}
            for contact in self.twin.contacts.values()
            if contact.kind != "company" and contact.number() == digits(number)
        ]
        return json_answer({"matches": matches})

    def typed(self, type_name: str) -> Handler:
        """GET …/Person/{id} and its sisters; a few ids with commas give an array."""

        async def handler(request: web.Request) -> web.Response:
            read = self._reader(KIND_OF_TYPE[type_name])
            return by_path(request.match_info["ids"], read, self.twin.switches)

        return handler

    def typed_batch(self, type_name: str) -> Handler:
        """GET …/Person?contactIds=a,b and its sisters: at most 20."""

        async def handler(request: web.Request) -> web.Response:
            ids = ids_of(query_of(request).get("contactids", ""))
            return batch(ids, self._reader(KIND_OF_TYPE[type_name]), self.twin.switches)

        return handler

    async def untyped(self, request: web.Request) -> web.Response:
        """GET …/{id}: a contact of any type; ids with commas give an array."""
        return by_path(request.match_info["ids"], self._reader(None), self.twin.switches)

    async def v1_contacts(self, request: web.Request) -> web.Response:
        """POST Contacts/GetContacts: full v1 records."""
        labels = {name: custom.label for name, custom in self.twin.custom_fields.items()}
        found = self._matching(await body_of(request))
        twin = self.twin
        return self._v1(
            found, lambda c: v1_form(c, twin.customer_id, labels, twin.v1_relations(c), twin.switches)
        )

    async def v1_sync_list(self, request: web.Request) -> web.Response:
        """POST Contacts/GetContactsSyncList: ids and dates."""
        found = self._matching(await body_of(request))
        return self._v1(
            found, lambda c: {"contactId": c.id, "dateChanged": render(c.changed_at, self.twin.switches)}
        )

    def _v1(self, found: list[Contact], row: Callable[[Contact], dict[str, Any]]) -> web.Response:
        lists = {
            shape.listed_v1: self._cut(row(contact) for contact in found if contact.kind == kind)
            for kind, shape in SHAPES.items()
        }
        return json_answer([{"customerId": self.twin.customer_id} | lists])

    async def by_phone(self, request: web.Request) -> web.Response:
        """GET Contacts/GetContactsWithPhonenumber: who has this number (VS40)."""
        asked = query_of(request)
        number = asked.get("phonenumber", "").strip()
        if not number or "customerid" not in asked:
            raise RefusedError(400)
        form: Callable[[str], str] = dialled if self.twin.switches.vs40 == "digits" else str
        ids = [
            contact.id
            for contact in self.twin.contacts.values()
            if any(form(phone) == form(number) for phone in contact.phones())
        ]
        return json_answer([{"customerId": self.twin.customer_id, "contactIds": self._cut(ids)}])

    async def categories(self, request: web.Request) -> web.Response:
        """GET Category/GetCategories: the two lists."""
        self.twin.own(query_of(request).get("customerid"))
        catalogue = self.twin.catalogue.values()
        return json_answer(
            {
                "companyCategories": [
                    category.read() for category in catalogue if category.kind == "company"
                ],
                "personCategories": [category.read() for category in catalogue if category.kind == "person"],
            }
        )

    async def custom_fields(self, request: web.Request) -> web.Response:
        """GET CustomField/Get: the customer's own fields."""
        self.twin.own(query_of(request).get("customerid"))
        fields = [
            {"label": own.label, "name": own.name, "type": own.type, "validFor": list(own.valid_for)}
            for own in self.twin.custom_fields.values()
        ]
        return json_answer([{"customerId": self.twin.customer_id, "fields": fields}])

    # --- writing

    def update_person(self, request: web.Request, body: object) -> Answer:
        """POST Contacts/UpdatePerson: a JSON string, the id of the matched or new contact."""
        change = self.twin.update("person", body)
        return change, json_answer(change.record)

    def update_company(self, request: web.Request, body: object) -> Answer:
        """POST Contacts/UpdateCompany: as UpdatePerson."""
        change = self.twin.update("company", body)
        return change, json_answer(change.record)

    def delete_category(self, request: web.Request, body: object) -> Answer:
        """DELETE …/Category/{categoryId}: 204."""
        change = self.twin.remove_category(request.match_info["id"], request.match_info["category"])
        return change, no_content()

    # --- inside

    def _reader(self, kind: Kind | None) -> Read:
        def read(contact_id: str) -> dict[str, Any] | None:
            contact = self.twin.contacts.get(contact_id)
            fits = contact is not None and kind in (None, contact.kind)
            return self.twin.form(contact) if contact is not None and fits else None

        return read

    def _reference(self, contact: Contact) -> dict[str, Any]:
        changed_at = render(contact.changed_at, self.twin.switches)
        return {"id": contact.id, "changedAt": changed_at, "customerId": self.twin.customer_id}

    def _cut(self, rows: Iterable[Any]) -> list[Any]:
        return list(rows)[: self.twin.switches.vs27]

    def _criteria(self, request: web.Request) -> dict[str, str]:
        """The feed's filters by lower-case name, in the spellings that VS24 binds."""
        bound = {"both": (True, False), "plain": (False,), "dotted": (True,)}[self.twin.switches.vs24]
        return {
            name.rpartition(".")[2]: value
            for name, value in query_of(request).items()
            if ("." in name) in bound
        }

    def _has(self, contact: Contact, asked: Mapping[str, Any]) -> bool:
        custom = contact.fields.get("customFields", {})
        wanted = (
            (asked.get("agentid"), contact.fields.get("agentId")),
            (asked.get("leadscore"), str(contact.fields.get("leadScore"))),
            (asked.get("customfieldvalue"), custom.get(asked.get("customfieldname"))),
        )
        return all(given in (None, present) for given, present in wanted)

    def _matching(self, body: object) -> list[Contact]:
        """The contacts that a ContactCriteria body asks for. Raises RefusedError."""
        if not isinstance(body, dict):
            raise RefusedError(400)
        asked = {str(name).lower(): value for name, value in body.items() if value not in (None, "", [])}
        if "customerid" not in asked:
            raise RefusedError(400, state={"criteria.CustomerId": ["Kundid krävs"]})
        self.twin.own(asked["customerid"])
        if any(name.startswith(_NEVER_V1) for name in asked):
            return []
        lists = (asked.get(name, []) for name in ("contactid", "emailaddresses", "categories"))
        custom = asked.get("customfield", {})
        if not (all(isinstance(given, list) for given in lists) and isinstance(custom, dict)):
            raise RefusedError(400)
        asked |= {"agentid": asked.get("userid")}
        asked |= {"customfieldname": custom.get("name"), "customfieldvalue": custom.get("value")}
        created = (time_of(asked.get("createddatefrom")), time_of(asked.get("createddateto")))
        changed = (time_of(asked.get("changeddatefrom")), time_of(asked.get("changeddateto")))
        emails = {email.casefold() for email in asked.get("emailaddresses", [])}
        return [
            contact
            for contact in self.twin.contacts.values()
            if within(contact.created_at, created)
            and within(contact.changed_at, changed)
            and contact.id in asked.get("contactid", [contact.id])
            and (not emails or not emails.isdisjoint(email.casefold() for email in contact.emails()))
            and ("categories" not in asked or not set(asked["categories"]).isdisjoint(contact.categories))
            and digits(asked.get("socialsecuritynumber")) in ("", contact.number())
            and self._has(contact, asked)
        ]


def _mentions(contact: Contact, term: str) -> bool:
    number = digits(term)
    texts = (contact.title(), *contact.emails())
    numbers = (contact.number(), *(digits(phone) for phone in contact.phones()))
    return any(term in text.casefold() for text in texts) or (
        len(number) >= 5
        and any(number in present or dialled(term) in dialled(present) for present in numbers)
    )
