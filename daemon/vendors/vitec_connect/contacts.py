"""Vitec Connect's contacts, persons and companies, and their categories."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from daemon.vendors.http import Route
from daemon.vendors.vitec_connect.office import CHANGED, Office

Kind = Literal["Person", "Company", "DeceasedEstate"]

SEARCH = Route("GET", "/CRM/Contact/{customer}/Search")
BY_SOCIAL_NUMBER = Route("GET", "/CRM/Contact/{customer}/search/SocialNumber")
BY_PHONE = Route("GET", "/Contacts/GetContactsWithPhonenumber")
CATEGORIES = Route("GET", "/Category/GetCategories")
UPDATE_PERSON = Route("POST", "/Contacts/UpdatePerson", "write")
CREATE_PERSON = Route("POST", "/Contacts/UpdatePerson", "create")
UPDATE_COMPANY = Route("POST", "/Contacts/UpdateCompany", "write")
CREATE_COMPANY = Route("POST", "/Contacts/UpdateCompany", "create")
DELETE_CATEGORY = Route("DELETE", "/CRM/Contact/{customer}/{contact}/Category/{category}", "write")

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


_CHANGES = msgspec.json.Decoder(_Changes)
_CATEGORIES = msgspec.json.Decoder(_Categories)
_MATCHES: msgspec.json.Decoder[_Matches | None] = msgspec.json.Decoder(_Matches | None)
_OWNERS: msgspec.json.Decoder[list[_Owners] | None] = msgspec.json.Decoder(list[_Owners] | None)
_CONTACT_ID = msgspec.json.Decoder(str)


class ContactCalls(Office):
    """The calls for contacts."""

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
        return await self._read(kind, ids)

    async def read_one(self, kind: Kind, contact_id: str) -> bytes | None:
        """One contact; None for an id that the vendor does not know: 404, 204 or `null` (VS21)."""
        return await self._read_one(kind, contact_id)

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

    async def _matches(self, route: Route, query: Mapping[str, str]) -> list[Match]:
        found = (await self._call(route, query=query)).decoded(_MATCHES)
        return [Match(match.id, _type(match)) for match in (found.matches if found else None) or ()]

    async def _write(self, route: Route, body: Mapping[str, object]) -> str:
        answer = await self._call(route, body=body)
        if contact_id := answer.decoded(_CONTACT_ID).strip():
            return contact_id
        raise answer.unreadable()


def _references(rows: list[_Reference] | None) -> list[Reference]:
    return [Reference(row.id, row.changed_at or "") for row in rows or ()]


def _type(match: _Match) -> str:
    """A type's name, also where the vendor gives its number."""
    said = match.type if match.type is not None else next(iter(match.contact_class_types or ()), "")
    return TYPES[said] if isinstance(said, int) and 0 <= said < len(TYPES) else str(said)
