"""What a value must be like to be written, each check a function that gives the value back or refuses it."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from email_validator import EmailNotValidError, validate_email

from daemon.sandbox.twins.propstreet.problems import Problem

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


def choice(*words: str, required: bool = False) -> Check:
    """One of these words; null unless `required`."""

    def check(value: Any) -> str | None:
        if value in words or (value is None and not required):
            return None if value is None else str(value)
        raise Refused(f"must be one of {', '.join(words)}")

    return check


def number(*, required: bool = False) -> Check:
    """A number, whole or not; null unless `required`."""

    def check(value: Any) -> float | None:
        if (value is None and not required) or (
            isinstance(value, int | float) and not isinstance(value, bool)
        ):
            return value
        raise Refused("must be a number")

    return check


def whole(value: Any) -> int | None:
    """A whole number or null."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Refused("must be a whole number")


def optional(check: Check) -> Check:
    """What the check allows, or null."""
    return lambda value: None if value is None else check(value)


def given(check: Check) -> Check:
    """What the check allows, but not null."""

    def check_given(value: Any) -> Any:
        if value is None:
            raise Refused("must not be null or hold empty items")
        return check(value)

    return check_given


@lru_cache(maxsize=10_000)
def _is_email(address: str) -> bool:
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return False
    return True
