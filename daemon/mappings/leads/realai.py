"""RealAI's valuation lead: what it holds, and the lead that Vitec gets of it (RealAI's page Lead).

Every revision of the page is taken. `zip_code` and `qualification` are asked for only by the revision of May
2026, `custom_field` came in January 2026 and was always optional.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from daemon.mappings.leads.document import Reader, Unfit, measure, one_of, text, whole
from daemon.mappings.leads.lead import FieldError, InvalidLead, Unsendable

PropertyType = Literal["Apartment", "SingleFamilyResidence", "Townhouse", "Terraced", "Duplex"]
OccupantType = Literal["Owner", "TenantOwnership"]


class Customer(Struct, frozen=True):
    """Whose lead it is: Vitec's customer id, and the id of one of the customer's lead sources."""

    customer_id: str
    lead_id: str


class Person(Struct, frozen=True, omit_defaults=True):
    """Who got the valuation; the address is the property's."""

    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    zip_code: str | None = None
    city: str | None = None
    qualification: str | None = None
    custom_field: str | None = None


class Property(Struct, frozen=True, omit_defaults=True):
    """What was valued: SEK, SEK a month for the fee, square metres."""

    valuation: int
    property_sub_type: PropertyType
    living_area: float | None = None
    rooms: str | None = None
    secondary_area: float | None = None
    lot_size_area: float | None = None
    year_built: str | None = None
    occupant_type: OccupantType | None = None
    association_fee: float | None = None


class Valuation(Struct, frozen=True):
    """The body of POST /lead."""

    customer: Customer
    person: Person
    property: Property


_STRICT: Final = frozenset({"zip_code", "qualification"})

_READERS: Final[Mapping[str, Reader]] = {
    "valuation": whole,
    "property_sub_type": one_of(*get_args(PropertyType)),
    "living_area": measure,
    "secondary_area": measure,
    "lot_size_area": measure,
    "occupant_type": one_of(*get_args(OccupantType)),
    "association_fee": measure,
}
"""How a field is read; a field that is not here is a text."""

_LONGEST: Final[Mapping[str, int]] = {
    "first_name": 30,
    "last_name": 30,
    "email": 100,
    "phone": 17,
    "address": 68,
    "zip_code": 15,
    "city": 25,
}
"""What Vitec holds of a person, in characters (help page Service/Contact/{customerId}/Lead/Person)."""


def valuation_of(given: Mapping[str, object], *, strict: bool) -> Valuation:
    """Read a lead; `strict` asks for all that the newest revision asks. Raises InvalidLead with every error."""
    errors: list[FieldError] = []
    sections = {
        section.name: _section(section.name, section.type, given.get(section.name), strict, errors)
        for section in msgspec.structs.fields(Valuation)
    }
    if errors:
        raise InvalidLead(tuple(errors))
    return msgspec.convert(sections, Valuation)


def _section(
    name: str, struct: type[Struct], given: object, strict: bool, errors: list[FieldError]
) -> dict[str, object]:
    if given is None:
        given = {}  # then each of its necessary fields is missing
    if not isinstance(given, dict):
        errors.append(FieldError(("body", name), "object expected"))
        return {}
    read: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        try:
            read[field.name] = _READERS.get(field.name, text)(given.get(field.name))
            if read[field.name] is None and (field.required or (strict and field.name in _STRICT)):
                raise Unfit("field required")
        except Unfit as error:
            errors.append(FieldError(("body", name, field.name), str(error)))
    return read


def vitec_body(lead: Valuation, message: str) -> bytes | Unsendable:
    """Give the body of Service/Contact/{customerId}/Lead/Person; nothing is ever cut to Vitec's lengths."""
    person = lead.person
    if too_long := [
        f"{name} has more than {longest} characters"
        for name, longest in _LONGEST.items()
        if len(getattr(person, name) or "") > longest
    ]:
        return Unsendable("too_long", "; ".join(too_long))
    address = {"streetAddress": person.address, "zipCode": person.zip_code, "city": person.city}
    return msgspec.json.encode(
        {
            "firstName": person.first_name,
            "lastName": person.last_name,
            "telephone": {"cell": person.phone},
            "email": {"emailAddress": person.email},
            "address": {name: part for name, part in address.items() if part},
            "typeId": lead.customer.lead_id,
            "message": message,
        }
    )
