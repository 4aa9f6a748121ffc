"""Reads a lead's JSON: any JSON, each value by what its field takes.

Numbers keep their spelling until a field asks for one, so that no number is too large to read. A reader gives
None for null and for blank text, and raises Unfit for every value that its field cannot take.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from daemon.mappings.leads.lead import NotJson

Reader = Callable[[object], str | int | float | None]

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40
_LARGEST_NUMBER = 10**15
_FINEST_NUMBER = Decimal("1e-40")

# Half of a surrogate pair is no character, and PostgreSQL's texts cannot hold U+0000.
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")


class Number(str):
    """A JSON number as it is written; also NaN and Infinity, which Python's json writes and no JSON knows."""


class Unfit(Exception):
    """A value that its field cannot take; the text says what the field takes."""


def document(body: bytes) -> dict[str, object]:
    """Read a JSON object, with a Number for every number; raises NotJson."""
    try:
        value = json.loads(body.decode(), parse_int=Number, parse_float=Number, parse_constant=Number)
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg}: line {error.lineno} column {error.colno}") from None
    if not isinstance(value, dict):
        raise NotJson("not an object")
    return value


def refuse_constants(body: bytes) -> None:
    """Raise NotJson for NaN and Infinity: in a field that nobody reads they would still make the body no JSON."""
    json.loads(body, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise NotJson(f"{constant} is no JSON")


def text(value: object) -> str | None:
    """A text without the blanks around it; a number is written in the shortest way: 4.0 is "4"."""
    match value:
        case None:
            return None
        case Number():
            return _shortest(_decimal(value))
        case str() if not _NO_TEXT.search(value):
            return value.strip() or None
        case str():
            raise Unfit("no valid text")
    raise Unfit("text expected")


def measure(value: object) -> float | None:
    """A number that is not negative; digits in a text count as well."""
    number = _given_number(value)
    return None if number is None else float(number)


def whole(value: object) -> int | None:
    """A whole number that is not negative; 5500000.0 and "5500000" count as well."""
    number = _given_number(value)
    if number is not None and number != int(number):
        raise Unfit("whole number expected")
    return None if number is None else int(number)


def one_of(*names: str) -> Reader:
    """A reader of one of these names, spelt like this."""

    def name(value: object) -> str | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str) and value.strip() in names:
            return value.strip()
        raise Unfit(f"must be one of {', '.join(names)}")

    return name


def _given_number(value: object) -> Decimal | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise Unfit("number expected")
    number = _decimal(value.strip())
    if number < 0:
        raise Unfit("must not be negative")
    return number


def _decimal(digits: str) -> Decimal:
    if not _NUMBER.fullmatch(digits):
        raise Unfit("number expected")
    if len(digits) > _LONGEST_NUMBER:
        raise Unfit("number out of range")
    try:
        number = Decimal(digits)
    except InvalidOperation:  # an exponent of twenty digits
        raise Unfit("number out of range") from None
    if not number:
        return Decimal()
    # Written out, a great exponent in either direction would be as many zeros.
    if not _FINEST_NUMBER <= number.copy_abs() < _LARGEST_NUMBER:
        raise Unfit("number out of range")
    return number


def _shortest(number: Decimal) -> str:
    digits = format(number, "f")
    return digits.rstrip("0").removesuffix(".") if "." in digits else digits
