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
NO_PERSON = "Uppgift om personen krävs"
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
    choices: tuple[str, ...] = ()  # an enum: its names in the order of its numbers
    least: int = 0  # only said in the words about the limit
    required: str = ""  # the words when it is missing or blank


_ALL_TAKE = {
    "contactId": Field("", 40, "Kontaktid"),
    "customerId": Field("", 40, "Kundid", required="Kundid krävs"),
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
        "obtainThrough": Field("obtainThrough", holds=(str, int), choices=OBTAIN_THROUGH),
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
        raise RefusedError(400, state={"contact": [NO_PERSON]})
    sent, complaints = parse_body(kind, body, switches, "contact")
    refuse(complaints)
    return sent


def parse_body(
    kind: Kind, body: Mapping[str, Any], switches: Switches, prefix: str
) -> tuple[Sent, dict[str, str]]:
    """What a body holds, and what Vitec says against it by the key of modelState."""
    values, complaints = read_fields(body, FIELDS[kind], switches, prefix)
    given = spread(body)
    categories = given.get("categoryids") or []
    if not (isinstance(categories, list) and all(isinstance(category, str) for category in categories)):
        complaints[f"{prefix}.CategoryIds"] = "Kategorier måste vara en lista med id"
    own = (lowered(given.get("coordinate")), lowered(given.get("customfield")))
    return Sent(kind, values, groups_of(given), categories, *own), complaints


def read_fields(
    body: Mapping[str, Any], rules: Mapping[str, Field], switches: Switches, prefix: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a body by the name of their rule ("email.emailAddress"), and the complaints.

    Enum numbers come out as names (VS25), texts over their limit cut where VS22 says so.
    """
    given = spread(body)
    values = {name: given[name.lower()] for name in rules if name.lower() in given}
    if switches.vs22 == "cut":
        values = {name: _cut(value, rules[name].limit) for name, value in values.items()}
    complaints = {
        _state_key(prefix, name): text
        for name, rule in rules.items()
        if (text := _complaint(values.get(name), rule, switches) or _missing(name, rule, given))
    }
    for name, rule in rules.items():
        value = values.get(name)
        if rule.choices and isinstance(value, int) and 0 <= value < len(rule.choices):
            values[name] = rule.choices[value]
    return values, complaints


def refuse(complaints: Mapping[str, str]) -> None:
    """Raises RefusedError (400) when there are any."""
    if complaints:
        raise RefusedError(400, state={name: [text] for name, text in complaints.items()})


def spread(body: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of nested objects by its path in lower case, the objects themselves too."""
    flat: dict[str, Any] = {}
    for name, value in body.items():
        path = f"{prefix}{str(name).lower()}"
        flat[path] = value
        if isinstance(value, dict):
            flat |= spread(value, f"{path}.")
    return flat


def groups_of(given: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    """Which of the nested objects of a person or company were sent."""
    return frozenset(
        group for group in ("email", "address") if isinstance(given.get(f"{prefix}{group}"), dict)
    )


def lowered(value: object) -> dict[str, Any] | None:
    """An object with its names in lower case, None for anything else."""
    return {str(name).lower(): inner for name, inner in value.items()} if isinstance(value, dict) else None


def _missing(name: str, rule: Field, given: Mapping[str, Any]) -> str | None:
    group = name.rpartition(".")[0].lower()
    value = given.get(name.lower())
    blank = value is None or (isinstance(value, str) and not value.strip())
    within = not group or isinstance(given.get(group), dict)
    return rule.required if rule.required and blank and within else None


def _complaint(value: Any, rule: Field, switches: Switches) -> str | None:
    if value is None:
        return None
    fits = isinstance(value, rule.holds) and isinstance(value, bool) == (rule.holds is bool)
    if not fits:
        return rule.required if rule.holds is dict else "Värdet har fel typ"
    if rule.limit is not None and len(value) > rule.limit:
        return f"{rule.label} måste vara mellan {rule.least} och {rule.limit} tecken"
    if rule.choices and not _is_choice(value, rule.choices, switches):
        return "Värdet finns inte i listan"
    return None


def _is_choice(value: str | int, choices: tuple[str, ...], switches: Switches) -> bool:
    if isinstance(value, int):
        return switches.vs25 == "name_or_number" and 0 <= value < len(choices)
    return value in choices


def _cut(value: Any, limit: int | None) -> Any:
    return value[:limit] if isinstance(value, str) and limit else value


def _state_key(prefix: str, name: str) -> str:
    return ".".join([prefix, *(part[0].upper() + part[1:] for part in name.split("."))])


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
