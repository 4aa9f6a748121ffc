"""A Vitec Connect company (sections 2 and 6 of the mapping rules; typed read, UpdateCompany)."""

import re
from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value, normal
from daemon.mappings.lens import RECORD, Hold, Options, Seen, Text, carried, country_problem
from daemon.mappings.vitec import Record, VitecLens

_SCHEME = re.compile(r"^https?://", re.IGNORECASE)


class Address(Struct, frozen=True, rename="camel"):
    """The postal address; only the country is synced (B3, B10)."""

    street_address: Text = UNSET
    zip_code: Text = UNSET
    city: Text = UNSET
    country_code: Text = UNSET


class Company(Record, frozen=True, rename="camel"):
    """The mapped part of a company's payload."""

    name: Text = UNSET
    corporate_number: Text = UNSET
    home_page: Text = UNSET
    address: Address | UnsetType | None = UNSET


class VitecCompany(VitecLens[Company]):
    """Vitec's company."""

    category = "company"
    kind = "Company"
    fields = ("name", "organisation_number", "country", "website", "tags", "strategy")
    limits: ClassVar[Mapping[str, int]] = {
        "name": 100,
        "organisation_number": 20,
        "website": 60,
    }
    names: ClassVar[Mapping[str, str]] = {
        "name": "companyName",
        "organisation_number": "corporateNumber",
        "website": "homePage",
        "strategy": "note",
    }
    never_cleared = frozenset({"name"})

    def __init__(self) -> None:
        super().__init__(Company)

    def texts(self, record: Company) -> dict[str, Value]:
        """Give name, number, home page and country as far as the payload carries them."""
        return carried(
            name=record.name,
            organisation_number=record.corporate_number,
            country=record.address.country_code if isinstance(record.address, Address) else record.address,
            website=record.home_page,
        )

    def nested(self, field: str, value: str, record: Company | None) -> dict[str, object]:
        """Give the address with the new country and all else as it is."""
        present = record.address if record else None
        if not isinstance(present, Address):
            return {"address": {"countryCode": value}}
        parts = {"streetAddress": present.street_address, "zipCode": present.zip_code, "city": present.city}
        return {"address": {name: part for name, part in parts.items() if part} | {"countryCode": value}}

    def sent(self, field: str, value: Value, options: Options) -> Value:
        """Shorten a website that is too long by what carries no meaning: scheme and trailing slash (W7)."""
        text = super().sent(field, value, options)
        if field == "website" and isinstance(text, str) and len(text) > self.limits[field]:
            return _SCHEME.sub("", text).rstrip("/")
        return text

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold another organisation number (B2), a country that is no code, and what every record holds."""
        if field == "organisation_number" and seen is not None and normal(field, seen.fields.get(field)):
            return Hold(
                field, "other_number", "Vitec has an organisation number already; compare the two companies"
            )
        if field == "country" and (hold := country_problem(value)):
            return hold
        return super().check(field, value, seen, options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a company without a name."""
        if "name" in takes:
            return None
        return Hold(RECORD, "needs_name", "a company needs a name; give one at Propstreet")
