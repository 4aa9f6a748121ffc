"""What UpdatePerson and UpdateCompany accept, and what they make of it.

Sources: Vitec's help pages UpdatePerson, UpdateCompany, Address, Email; the validation texts are Vitec's own
where its pages give them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.sandbox.twins.vitec_connect.contacts import Contact, Kind, dialled, digits
from daemon.sandbox.twins.vitec_connect.switches import Switches

INVALID = "The request is invalid."
NO_CHANNEL = "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."
OBTAIN_THROUGH = (
    "Interest",
    "Phone",
    "Visit",
    "Agreement",
    "Other",
    "Email",
    "NotAsked",
)  # the index is the number


class RefusedError(Exception):
    """Vitec answers `status` (400 and up) with these words; `state` is ASP.NET's modelState, by field."""

    def __init__(
        self,
        status: int,
        message: str = INVALID,
        state: Mapping[str, list[str]] | None = None,
        **headers: str,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.state = status, message, dict(state or {})
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a write: where it lands in the read form, and its limit with Vitec's word for it."""

    path: str
    limit: int | None = None
    label: str = ""
    holds: type | tuple[type, ...] = str
    fixed: bool = False  # blank or null never changes it


_ALL_TAKE = {
    "contactId": Field("", 40, "Kontaktid"),
    "customerId": Field("", 40, "Kundid"),
    "otherPhone": Field("telephone.other", 17, "Övrigt telefonnummer"),
    "address.streetAddress": Field("address.streetAddress", 68, "Gatuaddress"),
    "address.zipCode": Field("address.zipCode", 15, "Postnummer"),
    "address.city": Field("address.city", 25, "Postort"),
    "address.countryCode": Field("address.countryCode", 2, "Landskod"),
    "email.emailAddress": Field("email.emailAddress", 100, "Epostadresser"),
    "email.emailAddress2": Field("email.emailAddress2", 100, "Epostadresser"),
    "userId": Field("agentId"),
    "wishAdvertising": Field("advertisingEnabled", holds=bool),
    "note": Field("note"),
    "leadScore": Field("leadScore", holds=int),
}
FIELDS: dict[Kind, dict[str, Field]] = {
    "person": {
        "firstName": Field("firstName", 30, "Förnamn", fixed=True),
        "lastName": Field("lastName", 30, "Efternamn", fixed=True),
        "socialSecurityNumber": Field("socialSecurityNumber", 20, "Personnummer"),
        "isForeignSocialSecurityNumber": Field("isForeignSocialSecurityNumber", holds=bool),
        "telePhone": Field("telephone.home", 17, "Telefonnummer"),
        "workPhone": Field("telephone.work", 17, "Arbetsnummer"),
        "cellPhone": Field("telephone.cell", 17, "Mobilnummer"),
        "approval": Field("approval", holds=bool),
        "approvalDate": Field("approvalDate"),
        "gdprApprovalDate": Field("gdprApprovalDate"),
        "obtainThrough": Field("obtainThrough", holds=(str, int)),
        **_ALL_TAKE,
    },
    "company": {
        "companyName": Field("name", 100, "Företagsnamn", fixed=True),
        "corporateNumber": Field("corporateNumber", 20, "Organisationsnummer"),
        "isForeignCorporateNumber": Field("isForeignCorporateNumber", holds=bool),
        "switchPhone": Field("telephone.switch", 17, "Växelnummer"),
        "homePage": Field("homePage", 60, "Hemsida"),
        **_ALL_TAKE,
    },
}
_NUMBER = {"person": "socialSecurityNumber", "company": "corporateNumber"}
_NAMES = {"person": ("firstName", "lastName"), "company": ("companyName",)}
_CHECKED_PHONES = {"person": ("telePhone", "cellPhone"), "company": ("switchPhone",)}
_CHANNELS = ("telePhone", "workPhone", "cellPhone", "email.emailAddress")


@dataclass(frozen=True, slots=True)
class Sent:
    """A body that passed: `values` by write name ("email.emailAddress"), `groups` its nested objects."""

    kind: Kind
    values: dict[str, Any]
    groups: frozenset[str]
    categories: list[str] = field(default_factory=list)
    coordinate: dict[str, Any] | None = None
    custom_field: dict[str, Any] | None = None

    def filled(self, name: str) -> str:
        """A text without outer blanks; "" when it is missing, null or blank."""
        return str(self.values.get(name) or "").strip()

    def has_channel(self) -> bool:
        """Whether one of the ways to reach a person is given."""
        return any(self.filled(name) for name in _CHANNELS)


def read_body(kind: Kind, body: object, switches: Switches) -> Sent:
    """Check a body as Vitec does; names without regard to case, unknown ones ignored. Raises RefusedError."""
    if not isinstance(body, dict):
        raise RefusedError(400, state={"contact": ["Uppgift om personen krävs"]})
    given = {str(name).lower(): value for name, value in body.items()}
    groups = frozenset(group for group in ("email", "address") if isinstance(given.get(group), dict))
    for group in groups:
        given |= {f"{group}.{str(part).lower()}": value for part, value in given[group].items()}
    fields = FIELDS[kind]
    values = {name: given[name.lower()] for name in fields if name.lower() in given}
    if switches.vs22 == "cut":
        values = {name: _cut(value, fields[name].limit) for name, value in values.items()}
    complaints = {
        _state_key(n): text for n, v in values.items() if (text := _complaint(n, v, fields[n], switches))
    }
    if not str(values.get("customerId") or "").strip():
        complaints["contact.CustomerId"] = "Kundid krävs"
    categories = given.get("categoryids") or []
    if not (isinstance(categories, list) and all(isinstance(category, str) for category in categories)):
        complaints["contact.CategoryIds"] = "Kategorier måste vara en lista med id"
    if complaints:
        raise RefusedError(400, state={name: [text] for name, text in complaints.items()})
    if isinstance(values.get("obtainThrough"), int):
        values["obtainThrough"] = OBTAIN_THROUGH[values["obtainThrough"]]
    return Sent(
        kind, values, groups, categories, _object(given.get("coordinate")), _object(given.get("customfield"))
    )


def _complaint(name: str, value: Any, rule: Field, switches: Switches) -> str | None:
    if value is None:
        return None
    fits = isinstance(value, rule.holds) and isinstance(value, bool) == (rule.holds is bool)
    if not fits:
        return "Värdet har fel typ"
    if rule.limit is not None and len(value) > rule.limit:
        return f"{rule.label} måste vara mellan 0 och {rule.limit} tecken"
    if name == "obtainThrough" and not _is_choice(value, switches):
        return "Värdet finns inte i listan"
    return None


def _is_choice(value: str | int, switches: Switches) -> bool:
    if isinstance(value, int):
        return switches.vs25 == "name_or_number" and 0 <= value < len(OBTAIN_THROUGH)
    return value in OBTAIN_THROUGH


def _cut(value: Any, limit: int | None) -> Any:
    return value[:limit] if isinstance(value, str) and limit else value


def _state_key(name: str) -> str:
    return ".".join(["contact", *(part[0].upper() + part[1:] for part in name.split("."))])


def _object(value: object) -> dict[str, Any] | None:
    return {str(name).lower(): inner for name, inner in value.items()} if isinstance(value, dict) else None


def changes(sent: Sent, switches: Switches) -> dict[str, Any]:
    """What the body does to the fields of the read form, by path; None clears (VS8, VS9, VS10)."""
    found: dict[str, Any] = {}
    for name, rule in FIELDS[sent.kind].items():
        if not rule.path:
            continue
        value = sent.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if not rule.fixed and _clears(name, value, rule, sent, switches):
                found[rule.path] = None
        else:
            found[rule.path] = value
    if sent.coordinate is not None:
        longitude, latitude = sent.coordinate.get("longitud"), sent.coordinate.get("latitud")
        found["address.wgs84Coordinate"] = {"longitude": longitude, "latitude": latitude}
    return found


def _clears(name: str, value: Any, rule: Field, sent: Sent, switches: Switches) -> bool:
    if value is not None:
        return switches.vs9 == "cleared"
    if name.partition(".")[0] in sent.groups:
        return switches.vs10 == "cleared"
    return switches.vs8 == "cleared" and rule.holds is not bool


def same_number(sent: Sent, contact: Contact) -> bool:
    """Step 2 of the duplicate check: personal or organisation number, digits only."""
    number = digits(sent.filled(_NUMBER[sent.kind]))
    return bool(number) and number == contact.number()


def same_name_and_channel(sent: Sent, contact: Contact) -> bool:
    """Step 3 of the duplicate check: the whole name, and one phone or the e-mail address."""
    fields = FIELDS[sent.kind]
    names = [(sent.filled(name), contact.fields.get(fields[name].path, "")) for name in _NAMES[sent.kind]]
    if not all(given and given.casefold() == present.strip().casefold() for given, present in names):
        return False
    numbers = (digits(sent.filled(_NUMBER[sent.kind])), contact.number())
    if all(numbers) and numbers[0] != numbers[1]:
        return False  # two people of one name
    email = sent.filled("email.emailAddress").casefold()
    return bool(email and email == contact.fields.get("email.emailAddress", "").casefold()) or any(
        (number := dialled(sent.filled(name))) and number == dialled(contact.fields.get(fields[name].path))
        for name in _CHECKED_PHONES[sent.kind]
    )


_LEAD_REQUIRES = {
    "firstname": "Förnamn krävs",
    "lastname": "Efternamn krävs",
    "message": "Meddelande krävs",
    "typeid": "Typ krävs",
}


def person_of_lead(body: object, customer_id: str) -> dict[str, Any]:
    """The UpdatePerson body in a Lead/Person body (page Service/Contact/Lead/Person). Raises RefusedError."""
    lead = _object(body) or {}
    if missing := {
        name: text for name, text in _LEAD_REQUIRES.items() if not str(lead.get(name) or "").strip()
    }:
        raise RefusedError(400, state={f"lead.{name}": [text] for name, text in missing.items()})
    phones = _object(lead.get("telephone")) or {}
    taken = (
        "firstname",
        "lastname",
        "socialsecuritynumber",
        "isforeignsocialsecuritynumber",
        "address",
        "email",
    )
    return {name: lead[name] for name in taken if name in lead} | {
        "customerId": customer_id,
        "telePhone": phones.get("home"),
        "workPhone": phones.get("work"),
        "cellPhone": phones.get("cell"),
        "otherPhone": phones.get("other"),
    }
