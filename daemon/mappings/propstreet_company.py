"""A Propstreet company (sections 2 and 6 of the mapping rules; model Company)."""

import re
from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET

from daemon.domain.fields import Value, domain_of
from daemon.mappings.lens import RECORD, Hold, Options, Seen, Text, carried, country_problem
from daemon.mappings.propstreet import Party, PartyLens

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Company(Party, frozen=True, rename="camel"):
    """The mapped part of a company's payload."""

    name: Text = UNSET
    country_code: Text = UNSET
    homepage_url: Text = UNSET
    domain: Text = UNSET


class PropstreetCompany(PartyLens[Company]):
    """Propstreet's company. Its organisation number is an external reference (B2)."""

    category = "company"
    fields = ("name", "organisation_number", "country", "website", "tags", "strategy")
    limits: ClassVar[Mapping[str, int]] = {
        "name": 255,
        "organisation_number": 255,
        "website": 500,
        "reference": 255,
    }
    names: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "country": "countryCode",
        "website": "homepageUrl",
        "strategy": "strategy",
    }

    def __init__(self) -> None:
        super().__init__(Company)

    def texts(self, record: Company) -> dict[str, Value]:
        """Give name, country and home page if the payload carries them; a domain alone is no website (W8)."""
        return carried(name=record.name, country=record.country_code, website=record.homepage_url)

    def domain(self, record: Company) -> str | None:
        """Give the domain of the home page, else the `domain` field (W3, W5)."""
        return domain_of(record.homepage_url or None) or domain_of(record.domain or None)

    def sent(self, field: str, value: Value, options: Options) -> Value:
        """Give a website its scheme (W6) and, where configured, an empty country its name (B3)."""
        text = super().sent(field, value, options)
        if field == "website" and isinstance(text, str):
            return text if _SCHEME.match(text) else f"https://{text}"
        if field == "country" and text is None and options.empty_country == "SE":
            return "SE"
        return text

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold a name that would be cleared, a country that is no code, and a website that is none (W6)."""
        match field:
            case "name" if value is None:
                return Hold(
                    "name", "cannot_clear", "a company must have a name at Propstreet; give one at Vitec"
                )
            case "country":
                return country_problem(value)
            case "website" if value is not None and (domain_of(value) is None or _has_blanks(value)):
                return Hold("website", "invalid", "this is no web address; correct the home page at Vitec")
        return super().check(field, value, seen, options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a company without a name (POST companies asks for it)."""
        if "name" in takes:
            return None
        return Hold(RECORD, "needs_name", "a company needs a name; give one at Vitec")


def _has_blanks(text: Value) -> bool:
    return any(map(str.isspace, text or ""))
