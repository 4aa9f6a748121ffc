"""The calls of Vitec Connect that concern contacts and companies, as an aiohttp application.

Sources: Vitec's help pages of category CRM-Contact; TechnicalInformation for login and errors.
"""

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from daemon.sandbox.twins.journal import Entry
from daemon.sandbox.twins.server import RateLimit, Window
from daemon.sandbox.twins.vitec_connect.contacts import (
    KIND_OF_TYPE,
    SHAPES,
    Contact,
    Kind,
    dialled,
    digits,
    moment,
    render,
    v1_form,
)
from daemon.sandbox.twins.vitec_connect.writing import INVALID, RefusedError

if TYPE_CHECKING:
    from daemon.sandbox.twins.vitec_connect.twin import Change, VitecConnectTwin

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = tuple["Change", web.Response]
UNKNOWN = "Kontakten finns inte"
BATCH, IN_PATH = 20, 5
_GROUP_OF = {"Service": "Service", "Advertising": "Advertising"}
_NEVER = {"newsletterlistid", "contactscheduledordertype"}  # nobody here subscribes to anything
_NEVER_V1 = ("viewingdate", "biddingdate", "contractdate", "sellerrelationdate", "buyerrelationdate")


class Api:
    """The routes over one twin, with login, closed customers, limits and the error bodies."""

    def __init__(self, twin: "VitecConnectTwin") -> None:
        self.twin = twin
        self._limit = RateLimit(
            Window(20, 1, sliding=True), Window(600, 60, sliding=True), Window(10_800, 3600, sliding=True)
        )

    def application(self) -> web.Application:
        """A fresh application; several may live one after the other."""
        app = web.Application(middlewares=[self.twin.faults.middleware, self._words, self._gate])
        contact = "/CRM/Contact/{customer}"
        app.add_routes(
            [
                web.get(contact, self.feed),
                web.get(f"{contact}/Search", self.search),
                web.get(f"{contact}/search/SocialNumber", self.by_social_number),
                *(web.get(f"{contact}/{kind}", self.typed_batch(kind)) for kind in KIND_OF_TYPE),
                *(web.get(f"{contact}/{kind}/{{ids}}", self.typed(kind)) for kind in KIND_OF_TYPE),
                web.get(f"{contact}/{{ids}}", self.untyped),
                web.get(f"{contact}/{{id}}/ContactRelations", self.relations),
                web.delete(f"{contact}/{{id}}/Category/{{category}}", self.write(self.delete_category)),
                web.post("/Contacts/GetContacts", self.v1_contacts),
                web.post("/Contacts/GetContactsSyncList", self.v1_sync_list),
                web.get("/Contacts/GetContactsWithPhonenumber", self.by_phone),
                web.post("/Contacts/UpdatePerson", self.write(self.update_person)),
                web.post("/Contacts/UpdateCompany", self.write(self.update_company)),
                web.get("/Category/GetCategories", self.categories),
                web.get("/CustomField/Get", self.custom_fields),
                web.post("/Service/Contact/{customer}/Lead/Person", self.write(self.lead)),
                web.post("/Advertising/Lead/{customer}/Person", self.write(self.lead)),
            ]
        )
        return app

    # --- around every call

    @web.middleware
    async def _words(self, request: web.Request, handler: Next) -> web.StreamResponse:
        path = _route(request)
        reads = request.method == "GET" or "/GetContacts" in path
        if reads:
            now = self.twin.clock()
            self.twin.journal.append(Entry(now, "api", "read", request.method, path, "contact", "", 200))
        try:
            return await handler(request)
        except RefusedError as refused:
            if not reads:
                self.twin.journal_api(request.method, path, refused.status)
            return self._error(refused.status, refused.message, refused.state, refused.headers)

    @web.middleware
    async def _gate(self, request: web.Request, handler: Next) -> web.StreamResponse:
        if self.twin.switches.vs31:
            raise RefusedError(403, "Åtkomst nekad")
        self._login(request)
        if self.twin.switches.vs30 != "none":
            self._pace(self.twin.clock())
        customer = request.match_info.get("customer") or _query(request).get("customerid")
        if customer is not None:
            self._own(customer)
        return await handler(request)

    def _login(self, request: web.Request) -> None:
        expected = (self.twin.username, self.twin.password)
        if self.twin.switches.vs32 == "pair_per_group":
            expected = self.twin.credentials[_GROUP_OF.get(request.path.split("/")[1], "CRM-Contact")]
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        pair = base64.b64encode(":".join(expected).encode()).decode()
        if scheme.lower() != "basic" or given.strip() != pair:
            raise RefusedError(401, "Åtkomst nekad", WWW_Authenticate="Basic")

    def _pace(self, now: datetime) -> None:
        allowance = self._limit.take(now)
        if allowance.allowed:
            return
        again = str(allowance.reset)
        if self.twin.switches.vs30 == "date":
            again = format_datetime(now + timedelta(seconds=allowance.reset), usegmt=True)
        raise RefusedError(429, "För många anrop", Retry_After=again)

    def _own(self, customer: object) -> None:
        if customer != self.twin.customer_id:
            raise RefusedError(403, "Åtkomst nekad")

    def failure(self, status: int, headers: Mapping[str, str]) -> web.Response:
        """A planned fault in Vitec's words."""
        return self._error(status, "An error has occurred.", {}, headers)

    def _error(
        self, status: int, message: str, state: Mapping[str, list[str]], headers: Mapping[str, str]
    ) -> web.Response:
        match self.twin.switches.vs20:
            case "empty":
                return web.Response(status=status, headers=headers)
            case "html":
                text = "<!DOCTYPE html><html><body><h1>Server Error</h1></body></html>"
                seen = 500 if status == 400 else status
                return web.Response(status=seen, text=text, content_type="text/html", headers=headers)
            case form:
                body: dict[str, Any] = {"message": message}
                if form == "model_state" and state:
                    body["modelState"] = state
                return _json(body, status, headers)

    def write(
        self, work: Callable[[web.Request, object], Answer]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that reads the body, does the work and puts it into the journal."""

        async def handler(request: web.Request) -> web.Response:
            change, response = work(request, await _body(request))
            self.twin.journal_api(request.method, _route(request), response.status, change)
            return response

        return handler

    # --- reading

    async def feed(self, request: web.Request) -> web.Response:
        """GET CRM/Contact/{c}: references of what was created or changed in a span, both ends included."""
        asked = self._criteria(request)
        spans = {
            name: (_time(asked.get(f"{name}from")), _time(asked.get(f"{name}to")))
            for name in ("createdat", "changedat")
        }
        found = [
            contact
            for contact in self.twin.contacts.values()
            if not _NEVER & asked.keys()
            and _within(contact.created_at, spans["createdat"])
            and _within(contact.changed_at, spans["changedat"])
            and self._has(contact, asked)
        ]
        return _json(
            {
                shape.listed: self._cut(self._reference(c) for c in found if c.kind == kind)
                for kind, shape in SHAPES.items()
            }
        )

    async def search(self, request: web.Request) -> web.Response:
        """GET …/Search: name, number, e-mail or phone holding the term."""
        asked = _query(request)
        term = asked.get("term", "").strip().casefold()
        size = asked.get("maxsize", "50")
        if len(term) < 5 or not size.isdecimal() or not 1 <= int(size) <= 1000:
            raise RefusedError(400)
        found = [contact for contact in self.twin.contacts.values() if _mentions(contact, term)]
        matches = [
            self._reference(c) | {"type": SHAPES[c.kind].type, "score": 1.0} for c in found[: int(size)]
        ]
        return _json({"matches": matches})

    async def by_social_number(self, request: web.Request) -> web.Response:
        """GET …/search/SocialNumber: persons and deceased estates with this number."""
        number = _query(request).get("socialnumber", "")
        if not 10 <= len(number) <= 13:
            raise RefusedError(400)
        matches = [
            self._reference(contact) | {"contactClassTypes": [SHAPES[contact.kind].type]}
            for contact in self.twin.contacts.values()
            if contact.kind != "company" and contact.number() == digits(number)
        ]
        return _json({"matches": matches})

    def typed(self, type_name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        """GET …/Person/{id} and its sisters; a few ids with commas give an array."""

        async def handler(request: web.Request) -> web.Response:
            return self._by_path(request, KIND_OF_TYPE[type_name])

        return handler

    def typed_batch(self, type_name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        """GET …/Person?contactIds=a,b and its sisters: at most 20."""

        async def handler(request: web.Request) -> web.Response:
            ids = _ids(_query(request).get("contactids", ""))
            return self._batch(ids, KIND_OF_TYPE[type_name])

        return handler

    async def untyped(self, request: web.Request) -> web.Response:
        """GET …/{id}: a contact of any type; ids with commas give an array."""
        return self._by_path(request, None)

    def _by_path(self, request: web.Request, kind: Kind | None) -> web.Response:
        ids = _ids(request.match_info["ids"])
        if "," in request.match_info["ids"]:
            if len(ids) > IN_PATH and self.twin.switches.vs26 == "400":
                raise RefusedError(400)
            return self._batch(ids, kind)
        contact = self._find(request.match_info["ids"], kind)
        if contact is not None:
            return _json(self.twin.form(contact))
        match self.twin.switches.vs21:
            case "204":
                return web.Response(status=204)
            case "null":
                return _json(None)
            case _:
                raise RefusedError(404, UNKNOWN)

    def _batch(self, ids: list[str], kind: Kind | None) -> web.Response:
        if not ids or (len(ids) > BATCH and self.twin.switches.vs26 == "400"):
            raise RefusedError(400)
        if self.twin.switches.vs26 == "first_20":
            ids = ids[:BATCH]
        found = [self._find(contact_id, kind) for contact_id in ids]
        if None in found and self.twin.switches.vs21 == "404":
            raise RefusedError(404, UNKNOWN)
        return _json([self.twin.form(contact) for contact in found if contact is not None])

    async def relations(self, request: web.Request) -> web.Response:
        """GET …/{id}/ContactRelations: nobody here has any."""
        if request.match_info["id"] not in self.twin.contacts:
            raise RefusedError(404, UNKNOWN)
        return _json({"relations": [], "reverseRelations": []})

    async def v1_contacts(self, request: web.Request) -> web.Response:
        """POST Contacts/GetContacts: full v1 records."""
        labels = {name: custom.label for name, custom in self.twin.custom_fields.items()}
        found = self._matching(await _body(request))
        return self._v1(found, lambda c: v1_form(c, self.twin.customer_id, labels, self.twin.switches))

    async def v1_sync_list(self, request: web.Request) -> web.Response:
        """POST Contacts/GetContactsSyncList: ids and dates."""
        found = self._matching(await _body(request))
        return self._v1(
            found, lambda c: {"contactId": c.id, "dateChanged": render(c.changed_at, self.twin.switches)}
        )

    def _v1(self, found: list[Contact], row: Callable[[Contact], dict[str, Any]]) -> web.Response:
        lists = {
            shape.listed_v1: self._cut(row(contact) for contact in found if contact.kind == kind)
            for kind, shape in SHAPES.items()
        }
        return _json([{"customerId": self.twin.customer_id} | lists])

    async def by_phone(self, request: web.Request) -> web.Response:
        """GET Contacts/GetContactsWithPhonenumber: who has this number (VS40)."""
        asked = _query(request)
        number = asked.get("phonenumber", "").strip()
        if not number or "customerid" not in asked:
            raise RefusedError(400)
        form: Callable[[str], str] = dialled if self.twin.switches.vs40 == "digits" else str
        ids = [
            contact.id
            for contact in self.twin.contacts.values()
            if any(form(phone) == form(number) for phone in contact.phones())
        ]
        return _json([{"customerId": self.twin.customer_id, "contactIds": self._cut(ids)}])

    async def categories(self, request: web.Request) -> web.Response:
        """GET Category/GetCategories: the two lists."""
        self._own(_query(request).get("customerid"))
        catalogue = self.twin.catalogue.values()
        return _json(
            {
                "companyCategories": [
                    category.read() for category in catalogue if category.kind == "company"
                ],
                "personCategories": [category.read() for category in catalogue if category.kind == "person"],
            }
        )

    async def custom_fields(self, request: web.Request) -> web.Response:
        """GET CustomField/Get: the customer's own fields."""
        self._own(_query(request).get("customerid"))
        fields = [
            {"label": own.label, "name": own.name, "type": own.type, "validFor": list(own.valid_for)}
            for own in self.twin.custom_fields.values()
        ]
        return _json([{"customerId": self.twin.customer_id, "fields": fields}])

    # --- writing

    def update_person(self, request: web.Request, body: object) -> Answer:
        """POST Contacts/UpdatePerson: a JSON string, the id of the matched or new contact."""
        change = self.twin.update("person", body)
        return change, _json(change.record)

    def update_company(self, request: web.Request, body: object) -> Answer:
        """POST Contacts/UpdateCompany: as UpdatePerson."""
        change = self.twin.update("company", body)
        return change, _json(change.record)

    def delete_category(self, request: web.Request, body: object) -> Answer:
        """DELETE …/Category/{categoryId}: 204."""
        change = self.twin.remove_category(request.match_info["id"], request.match_info["category"])
        return change, web.Response(status=204)

    def lead(self, request: web.Request, body: object) -> Answer:
        """POST …/Lead/Person: a JSON string, the lead's id, or 204 by VS33."""
        lead_id, change = self.twin.take_lead(body)
        return change, web.Response(status=204) if self.twin.switches.vs33 == "204" else _json(lead_id)

    # --- inside

    def _find(self, contact_id: str, kind: Kind | None) -> Contact | None:
        contact = self.twin.contacts.get(contact_id)
        return contact if contact is not None and kind in (None, contact.kind) else None

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
            for name, value in _query(request).items()
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
        self._own(asked["customerid"])
        if any(name.startswith(_NEVER_V1) for name in asked):
            return []
        lists = (asked.get(name, []) for name in ("contactid", "emailaddresses", "categories"))
        custom = asked.get("customfield", {})
        if not (all(isinstance(given, list) for given in lists) and isinstance(custom, dict)):
            raise RefusedError(400)
        asked |= {"agentid": asked.get("userid")}
        asked |= {"customfieldname": custom.get("name"), "customfieldvalue": custom.get("value")}
        created = (_time(asked.get("createddatefrom")), _time(asked.get("createddateto")))
        changed = (_time(asked.get("changeddatefrom")), _time(asked.get("changeddateto")))
        emails = {email.casefold() for email in asked.get("emailaddresses", [])}
        return [
            contact
            for contact in self.twin.contacts.values()
            if _within(contact.created_at, created)
            and _within(contact.changed_at, changed)
            and contact.id in asked.get("contactid", [contact.id])
            and (not emails or not emails.isdisjoint(email.casefold() for email in contact.emails()))
            and ("categories" not in asked or not set(asked["categories"]).isdisjoint(contact.categories))
            and digits(asked.get("socialsecuritynumber")) in ("", contact.number())
            and self._has(contact, asked)
        ]


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else request.path


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(
        status=status, body=body, content_type="application/json", charset="utf-8", headers=headers
    )


async def _body(request: web.Request) -> object:
    if request.method == "DELETE":
        return None
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as broken:
        raise RefusedError(400, INVALID) from broken


def _query(request: web.Request) -> dict[str, str]:
    """The query by lower-case name; a name that comes several times is joined with commas."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        low = name.lower()
        found[low] = f"{found[low]},{value}" if low in found else value
    return found


def _ids(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _time(text: str | None) -> datetime | None:
    try:
        return moment(text) if text else None
    except (ValueError, TypeError) as broken:
        raise RefusedError(400) from broken


def _within(at: datetime, span: tuple[datetime | None, datetime | None]) -> bool:
    start, end = span
    return (start is None or start <= at) and (end is None or at <= end)


def _mentions(contact: Contact, term: str) -> bool:
    number = digits(term)
    texts = (contact.title(), *contact.emails())
    numbers = (contact.number(), *(digits(phone) for phone in contact.phones()))
    return any(term in text.casefold() for text in texts) or (
        len(number) >= 5
        and any(number in present or dialled(term) in dialled(present) for present in numbers)
    )
