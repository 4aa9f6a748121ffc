"""A contact as Vitec keeps it, and the forms in which its calls give it.

Sources: Vitec's help pages CRM contact, CrmContactAddress, Email, PersonTelephoneNumbers,
CompanyTelephoneNumbers and GetContacts.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from daemon.sandbox.twins.vitec_connect.switches import Switches

Kind = Literal["person", "company", "deceased_estate"]
Clock = Callable[[], datetime]
SWEDEN = ZoneInfo("Europe/Stockholm")
GROUPS = ("email", "telephone", "address")


@dataclass(slots=True)
class Category:
    """One entry of the catalogue; persons (and deceased estates) and companies have a list each."""

    id: str
    name: str
    kind: Kind
    read_only: bool = False

    def read(self) -> dict[str, Any]:
        """The form in which contacts and GetCategories give it."""
        return {"id": self.id, "name": self.name, "readOnly": self.read_only}


@dataclass(slots=True)
class Contact:
    """One contact of any kind. `fields` is flat, keyed by the path of the read form ("telephone.cell");
    an empty field is not in it. Times are aware UTC, whole milliseconds."""

    id: str
    kind: Kind
    created_at: datetime
    changed_at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    categories: list[str] = field(default_factory=list)

    def number(self) -> str:
        """The digits of the personal or organisation number, "" when there is none."""
        name = "corporateNumber" if self.kind == "company" else "socialSecurityNumber"
        return digits(self.fields.get(name))

    def phones(self) -> list[str]:
        """Every phone number as it stands."""
        return [value for path, value in self.fields.items() if path.startswith("telephone.")]

    def emails(self) -> list[str]:
        """Both e-mail addresses as they stand."""
        return [value for path, value in self.fields.items() if path.startswith("email.")]

    def title(self) -> str:
        """The name a user sees."""
        parts = (self.fields.get(part) for part in ("firstName", "lastName", "name"))
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind is called and which fields it has, in the order of the read form."""

    type: str  # in CRM answers
    subtype: str  # in notifications
    listed: str  # in the change feed
    listed_v1: str  # in the v1 lists
    fields: tuple[str, ...]
    defaults: Mapping[str, Any]


_PERSON_PHONES = ("telephone.home", "telephone.work", "telephone.cell", "telephone.other")
_ALL_HAVE = (
    *("agentId", "address.streetAddress", "address.zipCode", "address.city", "address.countryCode"),
    *("address.wgs84Coordinate", "email.emailAddress", "email.emailAddress2", "advertisingEnabled", "note"),
)
SHAPES: dict[Kind, Shape] = {
    "person": Shape(
        type="Person",
        subtype="Person",
        listed="persons",
        listed_v1="persons",
        fields=(
            *(
                "firstName",
                "lastName",
                "socialSecurityNumber",
                "isForeignSocialSecurityNumber",
                "dateOfBirth",
            ),
            *_PERSON_PHONES,
            *("leadScore", "wantsToBeMatched", "matchingChangedAt", "isDeceased", "isCompanyPerson"),
            *("gdprApprovalDate", *_ALL_HAVE),
        ),
        defaults={
            "isForeignSocialSecurityNumber": False,
            "wantsToBeMatched": "NotAsked",
            "isDeceased": False,
            "isCompanyPerson": False,
            "advertisingEnabled": True,
        },
    ),
    "company": Shape(
        type="Company",
        subtype="Company",
        listed="companies",
        listed_v1="companies",
        fields=(
            *("name", "corporateNumber", "isForeignCorporateNumber", "homePage"),
            *("telephone.switch", "telephone.other", "leadScore", *_ALL_HAVE),
        ),
        defaults={"isForeignCorporateNumber": False, "advertisingEnabled": True},
    ),
    "deceased_estate": Shape(
        type="DeceasedEstate",
        subtype="Estate",
        listed="deceasedEstates",
        listed_v1="estates",
        fields=(
            *("name", "socialSecurityNumber", "isForeignIdSocialSecurityNumber"),
            *(*_PERSON_PHONES, *_ALL_HAVE),
        ),
        defaults={"isForeignIdSocialSecurityNumber": False, "advertisingEnabled": True},
    ),
}
KIND_OF_TYPE: dict[str, Kind] = {shape.type: kind for kind, shape in SHAPES.items()}

# v1 name of each field, by its path in the CRM form (page GetContacts).
_V1_NAMES = {
    "name": "companyName",
    "telephone.home": "telePhone",
    "telephone.work": "workPhone",
    "telephone.cell": "cellPhone",
    "telephone.other": "otherPhone",
    "telephone.switch": "switchPhone",
    "agentId": "brokerId",
    "advertisingEnabled": "wishAdvertising",
}
_NOT_IN_V1 = {
    "wantsToBeMatched",
    "matchingChangedAt",
    "isDeceased",
    "isCompanyPerson",
    "address.wgs84Coordinate",
}


def flatten(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Nested read names as paths: {"email": {"emailAddress": x}} is {"email.emailAddress": x}.

    A group given as None stands for all its parts. Raises KeyError for a field that this kind does not have.
    """
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if name not in GROUPS:
            flat[name] = value
        elif value is None:
            flat |= dict.fromkeys(path for path in SHAPES[kind].fields if path.startswith(f"{name}."))
        else:
            flat |= {f"{name}.{part}": inner for part, inner in value.items()}
    if unknown := flat.keys() - set(SHAPES[kind].fields):
        raise KeyError(f"a {kind} has no {', '.join(sorted(unknown))}")
    return flat


def without_blanks(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only the fields that hold something: Vitec shows a blank text as null."""
    return {
        path: value
        for path, value in fields.items()
        if value is not None and not (isinstance(value, str) and not value.strip())
    }


def own_forms(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as a system keeps them that has its own mind about spelling."""
    return {
        path: _own_form(path, value) if isinstance(value, str) else value for path, value in fields.items()
    }


def _own_form(path: str, text: str) -> str:
    text = " ".join(text.split())
    match path.partition(".")[0]:
        case "telephone" if (number := dialled(text)).startswith("46"):
            return f"0{number[2:4]}-{number[4:]}"
        case "email":
            return text.lower()
        case "homePage":
            return re.sub(r"^https?://|/$", "", text)
    return text


def crm_form(
    contact: Contact, customer_id: str, catalogue: Mapping[str, Category], switches: Switches
) -> dict[str, Any]:
    """The typed read of pages CRM contact Person, Company and DeceasedEstate."""
    shape = SHAPES[contact.kind]
    form: dict[str, Any] = {"type": shape.type, "id": contact.id, "customerId": customer_id}
    for path in shape.fields:
        _place(form, path, contact.fields.get(path))
    if switches.vs39 == "SE" and not form["address"]["countryCode"]:
        form["address"]["countryCode"] = "SE"
    form["categories"] = [catalogue[category].read() for category in contact.categories]
    form |= {
        "createdAt": render(contact.created_at, switches),
        "changedAt": render(contact.changed_at, switches),
    }
    return without_nulls(form) if switches.vs19 == "left_out" else form


def v1_form(
    contact: Contact,
    customer_id: str,
    labels: Mapping[str, str],
    relations: Mapping[str, Any],
    switches: Switches,
) -> dict[str, Any]:
    """The full record of page GetContacts; `labels` gives the label of each custom field, `relations` the homes."""
    form: dict[str, Any] = {"contactId": contact.id, "customerId": customer_id}
    for path in SHAPES[contact.kind].fields:
        if path not in _NOT_IN_V1:
            _place(form, _V1_NAMES.get(path, path), contact.fields.get(path))
    point = contact.fields.get("address.wgs84Coordinate") or {"longitude": None, "latitude": None}
    custom: dict[str, str] = contact.fields.get("customFields", {})
    form |= {
        "obtainThrough": contact.fields.get("obtainThrough"),
        "customFields": [{"label": labels.get(name), "name": name, "value": v} for name, v in custom.items()],
        "categories": list(contact.categories),
        "coordinate": {"longitud": point["longitude"], "latitud": point["latitude"]},
        "createdAt": render(contact.created_at, switches),
        "changedAt": render(contact.changed_at, switches),
        "presentAccommodation": None,
        **relations,
    }
    return without_nulls(form) if switches.vs19 == "left_out" else form


def _place(form: dict[str, Any], path: str, value: Any) -> None:
    group, _, part = path.rpartition(".")
    (form.setdefault(group, {}) if group else form)[part] = value


def without_nulls(value: Any) -> Any:
    """The same JSON with every null field left out."""
    match value:
        case dict():
            return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [without_nulls(inner) for inner in value]
        case _:
            return value


def render(at: datetime, switches: Switches) -> str:
    """Swedish wall-clock time without offset, 0-3 decimals, trailing zeros dropped, as on Vitec's lists.

    By VS23 it has seven decimals and the offset, as in the samples of the help pages.
    """
    local = at.astimezone(SWEDEN)
    if switches.vs23 == "offset":
        text = local.isoformat(timespec="microseconds")
        return f"{text[:26]}0{text[26:]}"
    return re.sub(r"\.?0+$", "", local.strftime("%Y-%m-%dT%H:%M:%S.%f"))


def wall_clock(at: datetime) -> str:
    """Swedish time without decimals and offset, as v1 gives the times of viewings."""
    return at.astimezone(SWEDEN).replace(tzinfo=None).isoformat(timespec="seconds")


def moment(text: str) -> datetime:
    """Read a filter's time: an offset is honoured, a bare one is Swedish time. Raises ValueError."""
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=SWEDEN)).astimezone(UTC)


def digits(text: str | None) -> str:
    """Only the digits."""
    return re.sub(r"\D", "", text or "")


def dialled(number: str | None) -> str:
    """A phone number as digits with its country code; a leading 0 is Swedish (0701740605 is +46701740605)."""
    bare = digits(number)
    if bare.startswith("00"):
        return bare[2:]
    if bare.startswith("0"):
        return f"46{bare[1:]}"
    return f"46{bare[3:]}" if bare.startswith("460") else bare
