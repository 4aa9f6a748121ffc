"""The body of POST /lead: which fields it has, which are necessary in which revision, and what they hold.

Source: the wiki page Lead in its revisions of January and May 2026. Whether a number may stand where a text is
documented is unknown; both are read.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from daemon.sandbox.twins.realai.switches import Revision

Problem = tuple[tuple[str, ...], str]

SUB_TYPES = ("Apartment", "SingleFamilyResidence", "Townhouse", "Terraced", "Duplex")
OCCUPANTS = ("Owner", "TenantOwnership")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A valid lead. `valuation` and `association_fee` are in SEK, areas in square metres."""

    customer_id: str
    lead_id: str  # the lead source's id, whatever its name says
    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    valuation: int
    property_sub_type: str
    zip_code: str | None = None
    city: str | None = None
    custom_field: str | None = None
    qualification: str | None = None
    living_area: float | None = None
    rooms: str | None = None
    secondary_area: float | None = None
    lot_size_area: float | None = None
    year_built: str | None = None
    occupant_type: str | None = None
    association_fee: float | None = None


class InvalidLeadError(Exception):
    """A body that is no lead; `problems` are (path from "body", the vendor's words)."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(", ".join(".".join(path) for path, _ in problems))
        self.problems = problems


def _text(value: object) -> str:
    match value:
        case str():
            return value.strip()
        case bool():
            raise ValueError("str type expected")
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
    raise ValueError("str type expected")


def _number(value: object) -> float:
    try:
        if not isinstance(value, bool) and math.isfinite(number := float(value)):  # type: ignore[arg-type]
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("value is not a valid float")


def _whole(value: object) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError("value is not a valid integer")
    return int(number)


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"value is not one of {', '.join(words)}")
        return str(value)

    return read


class _Field(NamedTuple):
    read: Callable[[object], Any]
    necessary: Literal["always", "newest", "never"] = "never"


FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "customer": {
        "customer_id": _Field(_text, "always"),
        "lead_id": _Field(_text, "always"),
    },
    "person": {
        "first_name": _Field(_text, "always"),
        "last_name": _Field(_text, "always"),
        "email": _Field(_text, "always"),
        "phone": _Field(_text, "always"),
        "address": _Field(_text, "always"),
        "zip_code": _Field(_text, "newest"),
        "city": _Field(_text),
        "custom_field": _Field(_text),
        "qualification": _Field(_text, "newest"),
    },
    "property": {
        "valuation": _Field(_whole, "always"),
        "property_sub_type": _Field(_one_of(*SUB_TYPES), "always"),
        "living_area": _Field(_number),
        "rooms": _Field(_text),
        "secondary_area": _Field(_number),
        "lot_size_area": _Field(_number),
        "year_built": _Field(_text),
        "occupant_type": _Field(_one_of(*OCCUPANTS)),
        "association_fee": _Field(_number),
    },
}


def read_lead(body: object, revision: Revision) -> Lead:
    """The lead in a JSON body; unknown fields are ignored. Raises InvalidLeadError with every problem."""
    if not isinstance(body, dict):
        raise InvalidLeadError((("body",), "value is not a valid dict"))
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for group, fields in FIELDS.items():
        section = body.get(group)
        if not isinstance(section, dict):
            words = "field required" if section is None else "value is not a valid dict"
            problems.append((("body", group), words))
            continue
        for name, found in _values(section, fields, revision):
            if isinstance(found, ValueError):
                problems.append((("body", group, name), str(found)))
            else:
                values[name] = found
    if problems:
        raise InvalidLeadError(*problems)
    return Lead(**values)


def _values(
    section: Mapping[str, object], fields: Mapping[str, _Field], revision: Revision
) -> Iterator[tuple[str, object]]:
    """Each field with what it holds, or with the ValueError that refuses it."""
    needed = ("always", "newest") if revision == "2026-05-27" else ("always",)
    for name, field in fields.items():
        value = section.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            yield name, ValueError("field required") if field.necessary in needed else None
            continue
        try:
            yield name, field.read(value)
        except ValueError as refused:
            yield name, refused
