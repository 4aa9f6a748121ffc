"""Vitec Connect (Sweden): the calls that the sync of contacts and companies needs.

Records stay the bytes that the vendor sent. Every method raises the VendorErrors of `daemon.vendors.http`.
AccessDenied means: stop for this customer and ask once a day, since a closed office answers 403 to everything
and calling on gets a partner blocked (hosts, login, rights).
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from itertools import islice
from typing import Literal, Self

import aiohttp
import msgspec

from daemon.domain.errors import NotFound
from daemon.vendors.http import Answer, Endpoint, OnCall, Route, utc_now
from daemon.vendors.limiter import Limiter, Priority

Kind = Literal["Person", "Company", "DeceasedEstate"]

CHANGED = Route("GET", "/CRM/Contact/{customer}")
READ = Route("GET", "/CRM/Contact/{customer}/{kind}")
READ_ONE = Route("GET", "/CRM/Contact/{customer}/{kind}/{contact}")
SEARCH = Route("GET", "/CRM/Contact/{customer}/Search")
BY_SOCIAL_NUMBER = Route("GET", "/CRM/Contact/{customer}/search/SocialNumber")
BY_PHONE = Route("GET", "/Contacts/GetContactsWithPhonenumber")
CATEGORIES = Route("GET", "/Category/GetCategories")
UPDATE_PERSON = Route("POST", "/Contacts/UpdatePerson", "write")
CREATE_PERSON = Route("POST", "/Contacts/UpdatePerson", "create")
UPDATE_COMPANY = Route("POST", "/Contacts/UpdateCompany", "write")
CREATE_COMPANY = Route("POST", "/Contacts/UpdateCompany", "create")
DELETE_CATEGORY = Route("DELETE", "/CRM/Contact/{customer}/{contact}/Category/{category}", "write")

# Every call above is in this function group, which may have a password of its own (hosts, login, rights).
FUNCTION_GROUP = "CRM-Contact"

BATCH = 20  # the most ids in one read (calls used by this product)
MATCHES = 1000  # the most that a search gives (search)
TYPES = ("Person", "Company", "DeceasedEstate")  # by number (read, fields)


class Reference(msgspec.Struct, frozen=True):
    """A contact that changed; `changed_at` is the vendor's own text, bare Swedish wall-clock time."""

    id: str
    changed_at: str


class Changes(msgspec.Struct, frozen=True):
    """The change feed's three lists."""

    persons: list[Reference]
    companies: list[Reference]
    deceased_estates: list[Reference]


class Category(msgspec.Struct, frozen=True):
    """A category that a contact of this kind can carry; a read-only one is never assigned by hand (T6)."""

    id: str
    name: str
    read_only: bool
    kind: Literal["Person", "Company"]


class Match(msgspec.Struct, frozen=True):
    """A contact that a search found; `type` is a Kind, or whatever else the vendor says."""

    id: str
    type: str


class _Reference(msgspec.Struct, rename="camel"):
    id: str
    changed_at: str | None = None


class _Changes(msgspec.Struct, rename="camel"):
    persons: list[_Reference] | None = None
    companies: list[_Reference] | None = None
    deceased_estates: list[_Reference] | None = None


class _Category(msgspec.Struct, rename="camel"):
    id: str
    name: str | None = None
    read_only: bool | None = None

    def of(self, kind: Literal["Person", "Company"]) -> Category:
        return Category(self.id, self.name or "", bool(self.read_only), kind)


class _Categories(msgspec.Struct, rename="camel"):
    person_categories: list[_Category] | None = None
    company_categories: list[_Category] | None = None


class _Match(msgspec.Struct, rename="camel"):
    id: str
    type: str | int | None = None
    contact_class_types: list[str | int] | None = None


class _Matches(msgspec.Struct):
    matches: list[_Match] | None = None


class _Owners(msgspec.Struct, rename="camel"):
    contact_ids: list[str] | None = None


class _Identified(msgspec.Struct):
    id: str


_CHANGES = msgspec.json.Decoder(_Changes)
_CATEGORIES = msgspec.json.Decoder(_Categories)
_MATCHES: msgspec.json.Decoder[_Matches | None] = msgspec.json.Decoder(_Matches | None)
_OWNERS: msgspec.json.Decoder[list[_Owners] | None] = msgspec.json.Decoder(list[_Owners] | None)
_CONTACT_ID = msgspec.json.Decoder(str)
_RECORD: msgspec.json.Decoder[_Identified | None] = msgspec.json.Decoder(_Identified | None)
_RECORDS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)


class VitecConnectClient:
    """Calls for one customer, an office. `timeout` is in seconds per call.

    `credentials` holds (user name, password) by function group, for groups that have a pair of their own.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        customer_id: str,
        username: str,
        password: str,
        limiter: Limiter,
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        timeout: float = 30.0,
        clock: Callable[[], datetime] = utc_now,
        on_call: OnCall | None = None,
    ) -> None:
        self._endpoint = Endpoint(session, base_url, limiter, timeout=timeout, clock=clock, on_call=on_call)
        self._customer = customer_id
        pair = (credentials or {}).get(FUNCTION_GROUP, (username, password))
        self._headers = {"Authorization": "Basic " + b64encode(":".join(pair).encode()).decode()}

    def at(self, priority: Priority) -> Self:
        """The same client for calls of another priority."""
        other = copy(self)
        other._endpoint = self._endpoint.at(priority)
        return other

    async def changed(self, since: datetime | None) -> Changes:
        """Ids of the contacts changed since then, inclusive, or of all (change feed).

        One list without pages, in no promised order. The filter carries its offset, because a bare time would
        be read as Swedish (dates): ValueError on one.
        """
        if since is not None and since.tzinfo is None:
            raise ValueError("a filter needs an aware time")
        query = {} if since is None else {"ChangedAtFrom": since.isoformat()}
        changes = (await self._call(CHANGED, query=query)).decoded(_CHANGES)
        return Changes(
            _references(changes.persons),
            _references(changes.companies),
            _references(changes.deceased_estates),
        )

    async def read(self, kind: Kind, ids: Sequence[str]) -> dict[str, bytes]:
        """Contacts by id, in batches of 20; an id that the vendor does not know is absent."""
        found: dict[str, bytes] = {}
        for batch in _batches(ids):
            found |= await self._read_batch(kind, batch)
        return found

    async def read_one(self, kind: Kind, contact_id: str) -> bytes | None:
        """One contact; None for an id that the vendor does not know: 404, 204 or `null` (VS21)."""
        try:
            answer = await self._call(READ_ONE, {"kind": kind, "contact": contact_id})
        except NotFound:
            return None
        return None if answer.decoded(_RECORD) is None else answer.body

    async def update_person(self, body: Mapping[str, object]) -> str:
        """Updates the person `contactId`; without one, updates the match of Vitec's check or creates (D2).

        Returns the contact's id, which does not tell a match from a new person: read it back. Not idempotent
        without `contactId`: after UnknownOutcome look first.
        """
        return await self._write(UPDATE_PERSON if body.get("contactId") else CREATE_PERSON, body)

    async def update_company(self, body: Mapping[str, object]) -> str:
        """As `update_person`, for a company."""
        return await self._write(UPDATE_COMPANY if body.get("contactId") else CREATE_COMPANY, body)

    async def delete_category(self, contact_id: str, category_id: str) -> None:
        """Takes a category from a contact (T5)."""
        await self._call(DELETE_CATEGORY, {"contact": contact_id, "category": category_id})

    async def categories(self) -> list[Category]:
        """The customer's categories, persons' first (T1)."""
        found = (await self._call(CATEGORIES, query={"customerId": self._customer})).decoded(_CATEGORIES)
        return [
            *(category.of("Person") for category in found.person_categories or ()),
            *(category.of("Company") for category in found.company_categories or ()),
        ]

    async def search(self, term: str) -> list[Match]:
        """Contacts by name, e-mail, phone or number; the vendor wants at least 5 characters (search)."""
        return await self._matches(SEARCH, {"Term": term, "MaxSize": str(MATCHES)})

    async def by_social_number(self, number: str) -> list[Match]:
        """Contacts by personal or organisation number of 10 to 13 characters (search)."""
        return await self._matches(BY_SOCIAL_NUMBER, {"SocialNumber": number})

    async def by_phone(self, number: str) -> list[str]:
        """Ids of the contacts with this phone number. Which spellings match is the vendor's secret (VS40)."""
        query = {"phoneNumber": number, "customerId": self._customer}
        owners = (await self._call(BY_PHONE, query=query)).decoded(_OWNERS)
        return list(dict.fromkeys(contact for owner in owners or () for contact in owner.contact_ids or ()))

    async def _read_batch(self, kind: Kind, ids: Sequence[str]) -> dict[str, bytes]:
        try:
            answer = await self._call(READ, {"kind": kind}, query={"contactIds": ",".join(ids)})
            rows = answer.decoded(_RECORDS)
        except NotFound:
            rows = None
        if rows is None:  # one unknown id may hide the others (VS21)
            singles = {contact: await self.read_one(kind, contact) for contact in ids}
            return {contact: record for contact, record in singles.items() if record is not None}
        return dict(_by_id(answer, rows))

    async def _matches(self, route: Route, query: Mapping[str, str]) -> list[Match]:
        found = (await self._call(route, query=query)).decoded(_MATCHES)
        return [Match(match.id, _type(match)) for match in (found.matches if found else None) or ()]

    async def _write(self, route: Route, body: Mapping[str, object]) -> str:
        answer = await self._call(route, body=body)
        if contact_id := answer.decoded(_CONTACT_ID).strip():
            return contact_id
        raise answer.unreadable()

    async def _call(
        self,
        route: Route,
        segments: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        whole = {"customer": self._customer, **(segments or {})}
        return await self._endpoint.call(route, segments=whole, query=query, headers=self._headers, body=body)


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    unique = iter(dict.fromkeys(ids))
    while batch := list(islice(unique, BATCH)):
        yield batch


def _by_id(answer: Answer, rows: Sequence[msgspec.Raw]) -> Iterator[tuple[str, bytes]]:
    for row in rows:
        try:
            record = _RECORD.decode(row)
        except msgspec.DecodeError:
            raise answer.unreadable() from None
        if record is not None:
            yield record.id, bytes(row)


def _references(rows: list[_Reference] | None) -> list[Reference]:
    return [Reference(row.id, row.changed_at or "") for row in rows or ()]


def _type(match: _Match) -> str:
    """A type's name, also where the vendor gives its number."""
    said = match.type if match.type is not None else next(iter(match.contact_class_types or ()), "")
    return TYPES[said] if isinstance(said, int) and 0 <= said < len(TYPES) else str(said)
