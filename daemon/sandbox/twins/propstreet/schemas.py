"""What may be written to a record of each category, by whom, and what a new one begins with."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from daemon.sandbox.twins.propstreet.checks import (
    Check,
    Fields,
    choice,
    email,
    flag,
    given,
    many,
    number,
    optional,
    parts,
    text,
    whole,
)
from daemon.sandbox.twins.propstreet.problems import invalid

Write = Literal["create", "update"]

PROJECT_CLASSES = ("draft", "active", "inactive")
PROSPECT_CLASSES = ("not_contacted", "contacted", "interested", "not_interested", "bidder")
STAGES = ("property_added", "drafting", "published", "verified", "communicated")
SCALES = {"none": 1, "thousands": 10**3, "millions": 10**6, "billions": 10**9}

_REFERENCE = parts(namespace=text(50, required=True), id=text(255, required=True))
_TAG = text(required=True)
_CURRENCY = text(3, required=True, pattern="[A-Z]{3}")
_EXCLUSIVITY = choice("exclusive", "non_exclusive", "other")
_LISTS = frozenset({"tags", "externalRefs", "emails", "phones", "categories"})
_ALIASES = frozenset({"mandate"})  # written, and kept under another name
_BEGIN: Mapping[str, Fields] = {
    "project": {"status": "open", "classification": "draft"},
    "prospect": {"classification": "not_contacted"},
}
_PROJECT = frozenset({"name", "asset", "exclusivity", "mandate", "price", "priceRange", "externalRefs"})
_BY_API: Mapping[tuple[str, Write], frozenset[str]] = {
    ("link", "create"): frozenset({"contactId", "companyId", "jobTitle"}),
    ("link", "update"): frozenset({"jobTitle", "isPrimary"}),
    ("project", "create"): _PROJECT,
    ("project", "update"): _PROJECT,
    ("prospect", "create"): frozenset({"contactId", "companyId", "externalRefs"}),
    ("prospect", "update"): frozenset({"classification", "externalRefs"}),
}
_FIXED = {"link": frozenset({"contactId", "companyId"}), "prospect": frozenset({"projectId"})}


def _scale(value: Any) -> str:
    return choice(*SCALES)(value) or "none"


_MONEY = parts(value=number(required=True), currency=_CURRENCY, scale=_scale)
_RANGE = parts(min=number(), max=number(), currency=_CURRENCY, scale=_scale)


def schema(category: str, tag_limit: int | None = 100) -> Mapping[str, Check]:
    """All fields of a category that somebody can set, be it a person or the system itself."""
    match category:
        case "contact" | "company" | "link":
            return _network(category, tag_limit)
        case "project":
            return _project()
        case "prospect":
            return _prospect(tag_limit)
        case _:
            return _property(tag_limit)


@cache
def writable(
    category: str, write: Write, *, by_api: bool, tag_limit: int | None = 100
) -> Mapping[str, Check]:
    """The fields that this write may carry; all others in a request are ignored (ref POST and PATCH of each)."""
    checks = schema(category, tag_limit)
    if by_api:
        names = _BY_API.get((category, write), checks.keys() - {"projectId"})
    else:
        names = checks.keys() - (_FIXED.get(category, frozenset()) if write == "update" else frozenset())
    return {name: check for name, check in checks.items() if name in names}


@cache
def _network(category: str, tag_limit: int | None) -> Mapping[str, Check]:
    """Contacts, companies and links (ref POST and PATCH of each; guide limits)."""
    shared = {"strategy": text(), **_tags_and_references(tag_limit)}
    match category:
        case "contact":
            return shared | {
                "firstName": text(255),
                "lastName": text(255),
                "email": email,
                "phone": text(50),
                "linkedInUrl": text(500),
                "emails": many(
                    parts(address=given(email), type=text(pattern="work|personal|other")), limit=100
                ),
                "phones": many(parts(number=text(50, required=True), type=text(50)), limit=100),
                "primaryLanguage": text(pattern="[A-Za-z]{2}"),
                "blocked": flag,
            }
        case "company":
            return shared | {
                "name": text(255, required=True),
                "countryCode": text(10, pattern="[A-Za-z]{2}"),
                "domain": text(255),
                "homepageUrl": text(500),
                "linkedInUrl": text(500),
            }
        case _:
            return {
                "contactId": text(required=True),
                "companyId": text(required=True),
                "jobTitle": text(255),
                "isPrimary": flag,
            }


@cache
def _project() -> Mapping[str, Check]:
    """Projects (ref POST and PATCH projects); state, class and stage belong to the system and the users."""
    return {
        "name": text(200, required=True),
        "asset": optional(parts(type=choice("single", "portfolio", required=True), propertyCount=whole)),
        "exclusivity": _EXCLUSIVITY,
        "mandate": _EXCLUSIVITY,
        "price": optional(_MONEY),
        "priceRange": optional(_RANGE),
        "externalRefs": many(_REFERENCE, limit=50),
        "classification": choice(*PROJECT_CLASSES),
        "status": choice("open", "closed", required=True),
        "teaser_stage": choice(*STAGES),
    }


@cache
def _prospect(tag_limit: int | None) -> Mapping[str, Check]:
    """Prospects (ref POST and PATCH prospects); the rest is of those that Propstreet matched itself."""
    return {
        "projectId": text(required=True),
        "contactId": text(),
        "companyId": text(),
        "classification": choice(*PROSPECT_CLASSES, required=True),
        "displayName": text(),
        "organizationName": text(),
        "teaser": optional(parts(acceptedUtc=text(), deadlineUtc=text())),
        **_tags_and_references(tag_limit),
    }


@cache
def _property(tag_limit: int | None) -> Mapping[str, Check]:
    """Properties (ref POST properties); the project of one is set in the vendor's own screens."""
    return {
        "projectId": text(),
        "name": text(200, required=True),
        "description": text(),
        "location": optional(parts(latitude=number(), longitude=number(), country=text(), locality=text())),
        "categories": many(text(required=True)),
        "price": optional(_MONEY),
        "operatingCosts": optional(_MONEY),
        "parcelArea": optional(parts(value=number(required=True), unit=choice("sqm", required=True))),
        "tags": many(text(required=True, pattern="[a-z0-9]+(_[a-z0-9]+)*"), limit=tag_limit),
        "tenure": choice("freehold", "leasehold"),
        "yearBuilt": whole,
        "avgContractLengthYears": number(),
        "externalRefs": many(_REFERENCE, limit=10),
    }


def _tags_and_references(tag_limit: int | None) -> dict[str, Check]:
    return {"tags": many(_TAG, limit=tag_limit), "externalRefs": many(_REFERENCE, limit=50)}


def blank(category: str) -> Fields:
    """The fields of a record of which nothing is known yet."""
    names = schema(category).keys() - _ALIASES
    return {name: [] if name in _LISTS else None for name in names} | _BEGIN.get(category, {})


def require_something(category: str, fields: Fields, *, by_api: bool) -> None:
    """Refuse a new record that says too little (ref POST of each category)."""
    match category:
        case "contact":
            if not any((fields[name] or "").strip() for name in ("firstName", "lastName", "email", "phone")):
                raise invalid(contact="At least one of name, email or phone is required.")
        case "prospect":
            ends = sum(fields[name] is not None for name in ("contactId", "companyId"))
            if by_api and ends != 1:
                raise invalid(prospect="Exactly one of contactId and companyId is required.")
            if not ends and fields["teaser"] is None:
                raise invalid(prospect="A contact or a company is required.")
            _require(fields, "projectId")
        case "link":
            _require(fields, "contactId", "companyId")
        case _:
            _require(fields, "name")


def _require(fields: Fields, *names: str) -> None:
    for name in names:
        if not fields[name]:
            raise invalid(**{name: f"The {name} field is required."})
