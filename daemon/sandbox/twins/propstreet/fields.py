"""What may be written to a contact, a company or a link, and the form it is kept in."""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from daemon.sandbox.twins.propstreet.problems import Problem, invalid

Fields = dict[str, Any]
Check = Callable[[Any], Any]


class Refused(ValueError):
    """A value that a check refuses; its text is the message for that field."""


def cleaned(schema: Mapping[str, Check], body: Mapping[str, Any]) -> Fields:
    """The known fields of a request body, checked; unknown ones are ignored.

    Raises Problem (400) that names every refused field.
    """
    fields: Fields = {}
    errors: dict[str, list[str]] = {}
    for name, check in schema.items():
        if name not in body:
            continue
        try:
            fields[name] = check(body[name])
        except Refused as refusal:
            errors[name] = [f"The {name} field {refusal}."]
    if errors:
        raise Problem(400, "One or more fields are not valid", errors=errors)
    return fields


# --- checks ---


def text(limit: int | None = None, *, required: bool = False, pattern: str | None = None) -> Check:
    """Text of at most `limit` characters; null unless `required`."""

    def check(value: Any) -> str | None:
        if value is None and not required:
            return None
        if not isinstance(value, str):
            raise Refused("must be a string")
        if required and not value.strip():
            raise Refused("is required")
        if limit is not None and len(value) > limit:
            raise Refused(f"must be at most {limit} characters")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise Refused("does not have the expected form")
        return value

    return check


def flag(value: Any) -> bool | None:
    """True, false or null."""
    if value is None or isinstance(value, bool):
        return value
    raise Refused("must be a boolean")


def email(value: Any) -> str | None:
    """A valid address of at most 255 characters, kept as sent."""
    address: str | None = text(255)(value)
    if address is not None and not _is_email(address):
        raise Refused("is not a valid e-mail address")
    return address


def many(check: Check, *, limit: int | None = None) -> Check:
    """A list whose every item passes; null empties it."""

    def check_all(value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise Refused("must be an array")
        if limit is not None and len(value) > limit:
            raise Refused(f"must have at most {limit} items")
        return [check(item) for item in value]

    return check_all


def parts(**checks: Check) -> Check:
    """An object of exactly these parts; a missing one is null."""

    def check(value: Any) -> Fields:
        if not isinstance(value, Mapping):
            raise Refused("must hold objects")
        return {name: check_part(value.get(name)) for name, check_part in checks.items()}

    return check


@lru_cache(maxsize=10_000)
def _is_email(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return True


# --- schemas ---

_REFERENCE = parts(namespace=text(50, required=True), id=text(255, required=True))
_TAG = text(required=True)


@cache
def schema(category: str, tag_limit: int | None = 100) -> Mapping[str, Check]:
    """The writable fields of a category (ref POST and PATCH contacts, companies, links; guide limits)."""
    shared = {
        "strategy": text(),
        "tags": many(_TAG, limit=tag_limit),
        "externalRefs": many(_REFERENCE, limit=50),
    }
    match category:
        case "contact":
            return shared | {
                "firstName": text(255),
                "lastName": text(255),
                "email": email,
                "phone": text(50),
                "linkedInUrl": text(500),
                "emails": many(
                    parts(address=_given(email), type=text(pattern="work|personal|other")), limit=100
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


def _given(check: Check) -> Check:
    def check_given(value: Any) -> Any:
        if value is None:
            raise Refused("must not hold empty items")
        return check(value)

    return check_given


@cache
def _lists(category: str) -> frozenset[str]:
    found = {"contact": {"tags", "externalRefs", "emails", "phones"}, "company": {"tags", "externalRefs"}}
    return frozenset(found.get(category, ()))


def blank(category: str) -> Fields:
    """The fields of a record of which nothing is known yet."""
    return {name: [] if name in _lists(category) else None for name in schema(category)}


def require_something(category: str, fields: Fields) -> None:
    """Refuse a new record that says too little (ref POST contacts, POST companies, POST links)."""
    match category:
        case "contact":
            if not any((fields[name] or "").strip() for name in ("firstName", "lastName", "email", "phone")):
                raise invalid(contact="At least one of name, email or phone is required.")
        case "company":
            if not fields["name"]:
                raise invalid(name="The name field is required.")
        case _:
            for name in ("contactId", "companyId"):
                if not fields[name]:
                    raise invalid(**{name: f"The {name} field is required."})


# --- settling what depends on each other ---


def settled(category: str, present: Fields, given: Fields, *, merge_references: bool) -> Fields:
    """The fields after a write of `given` onto `present`, with what follows from them."""
    fields = {**present, **given}
    if "externalRefs" in given:
        before = present["externalRefs"] if merge_references else []
        fields["externalRefs"] = distinct([*before, *given["externalRefs"]])
    match category:
        case "contact":
            _settle_primary(fields, present, given, one="email", all_="emails", part="address")
            _settle_primary(fields, present, given, one="phone", all_="phones", part="number")
        case "company":
            _settle_domain(fields, given)
    return fields


def _settle_primary(
    fields: Fields, present: Fields, given: Fields, *, one: str, all_: str, part: str
) -> None:
    """Keep the primary value and the list in step; without a primary the first entry becomes it."""
    if all_ in given and one not in given:
        fields[one] = fields[all_][0][part] if fields[all_] else None
        return
    if one not in given or (fields[one] == present[one] and all_ not in given):
        return
    value, old = fields[one], present[one]
    entries = fields[all_]
    if all_ in given:
        if value is not None and all(entry[part] != value for entry in entries):
            fields[all_] = [{part: value, "type": None}, *entries]
        return
    kinds = {entry[part]: entry["type"] for entry in entries}
    rest = [entry for entry in entries if entry[part] not in (old, value)]
    first = [] if value is None else [{part: value, "type": kinds.get(value, kinds.get(old))}]
    fields[all_] = [*first, *rest]


def _settle_domain(fields: Fields, given: Fields) -> None:
    """A homepage decides the domain; a domain alone is kept lower case and without www (model Company)."""
    if given.get("homepageUrl"):
        fields["domain"] = domain_of(given["homepageUrl"])
    elif given.get("domain"):
        fields["domain"] = given["domain"].lower().removeprefix("www.")
    elif "homepageUrl" in given:
        fields["domain"] = None


def domain_of(url: str) -> str | None:
    """The domain of an address, lower case and without www; None when it has none."""
    try:
        host = urlsplit(url if "://" in url else f"https://{url}").hostname
    except ValueError:
        return None
    return host.lower().removeprefix("www.") or None if host else None


def with_normal_phones(given: Fields) -> Fields:
    """The same fields, phone numbers in E.164 where that is possible, else as sent (upsert page)."""
    fields = dict(given)
    if fields.get("phone"):
        fields["phone"] = e164(fields["phone"])
    if fields.get("phones"):
        fields["phones"] = [{**entry, "number": e164(entry["number"])} for entry in fields["phones"]]
    return fields


@lru_cache(maxsize=10_000)
def e164(number: str) -> str:
    """A phone number as +46701234567, Swedish unless it says otherwise; as sent when it is unreadable."""
    try:
        parsed = phonenumbers.parse(number, "SE")
    except phonenumbers.NumberParseException:
        return number
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def reference_key(namespace: str, key: str) -> tuple[str, str]:
    """What makes a reference unique: the namespace ignores case, the id does not (model ExternalRef)."""
    return namespace.casefold(), key


def distinct(references: list[Fields]) -> list[Fields]:
    """References without repetition, the first spelling kept."""
    found: dict[tuple[str, str], Fields] = {}
    for reference in references:
        found.setdefault(reference_key(reference["namespace"], reference["id"]), reference)
    return list(found.values())
