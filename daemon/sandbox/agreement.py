"""Do both vendors hold the same? Answered from the twins alone, by a table of field pairs of its own."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import phonenumbers

from daemon.sandbox.cast import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.people import ORGANISATION_NUMBER, REFERENCE, reference_of
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

Row = Mapping[str, Any]


def _text(value: object) -> str:
    return str(value or "").strip()


def _phone(value: object) -> str:
    text = _text(value)
    if not text:
        return ""
    number = phonenumbers.parse(text, "SE")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _site(value: object) -> str:
    return re.sub(r"^(https?://)?(www\.)?", "", _text(value).lower()).rstrip("/")


def _digits(value: object) -> str:
    return re.sub(r"\D", "", _text(value))


def _tags_at_vitec(record: Row, table: Mapping[str, str]) -> str:
    return ",".join(sorted({table[c["name"]] for c in record.get("categories") or [] if c["name"] in table}))


def _tags_at_propstreet(record: Row, table: Mapping[str, str]) -> str:
    return ",".join(sorted(set(record.get("tags") or []) & set(table.values())))


def _inner(record: Row, outer: str, name: str) -> object:
    return (record.get(outer) or {}).get(name)


Read = Callable[[Row], str]
PAIRS: dict[str, dict[str, tuple[Read, Read]]] = {
    "contact": {
        "first name": (lambda v: _text(v.get("firstName")), lambda p: _text(p.get("firstName"))),
        "last name": (lambda v: _text(v.get("lastName")), lambda p: _text(p.get("lastName"))),
        "e-mail": (
            lambda v: _text(_inner(v, "email", "emailAddress")).lower(),
            lambda p: _text(p.get("email")).lower(),
        ),
        "mobile": (lambda v: _phone(_inner(v, "telephone", "cell")), lambda p: _phone(p.get("phone"))),
        "tags": (lambda v: _tags_at_vitec(v, CATEGORIES), lambda p: _tags_at_propstreet(p, CATEGORIES)),
        "strategy": (lambda v: _text(v.get("note")), lambda p: _text(p.get("strategy"))),
    },
    "company": {
        "name": (lambda v: _text(v.get("name")), lambda p: _text(p.get("name"))),
        "organisation number": (
            lambda v: _digits(v.get("corporateNumber")),
            lambda p: _digits(reference_of(p, ORGANISATION_NUMBER)),
        ),
        "country": (
            lambda v: _text(_inner(v, "address", "countryCode")).upper() or "SE",
            lambda p: _text(p.get("countryCode")).upper() or "SE",
        ),
        "website": (lambda v: _site(v.get("homePage")), lambda p: _site(p.get("homepageUrl"))),
        "tags": (
            lambda v: _tags_at_vitec(v, COMPANY_CATEGORIES),
            lambda p: _tags_at_propstreet(p, COMPANY_CATEGORIES),
        ),
        "strategy": (lambda v: _text(v.get("note")), lambda p: _text(p.get("strategy"))),
    },
}
"""Per category and field: how it is read at Vitec, and how at Propstreet."""


def differences(vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> list[str]:
    """What is not the same at both vendors, a line each: records without a counterpart, or with two, and fields."""
    found: list[str] = []
    for category, kind in (("contact", "person"), ("company", "company")):
        at_vitec = {record["id"]: record for record in vitec.records(kind)}  # type: ignore[arg-type]
        claimed: dict[str, Row] = {}
        for record in propstreet.records(category):
            reference = reference_of(record, REFERENCE)
            if reference is None or reference not in at_vitec:
                found.append(f"{category} propstreet:{record['id']} has no counterpart at Vitec")
            elif reference in claimed:
                found.append(f"{category} vitec:{reference} has two counterparts at Propstreet")
            else:
                claimed[reference] = record
        for record_id, record in at_vitec.items():
            if record_id not in claimed:
                found.append(f"{category} vitec:{record_id} has no counterpart at Propstreet")
                continue
            for field, (here, there) in PAIRS[category].items():
                a, b = here(record), there(claimed[record_id])
                if a != b:
                    found.append(f"{category} vitec:{record_id} {field}: {a!r} at Vitec, {b!r} at Propstreet")
    return found
