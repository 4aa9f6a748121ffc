"""Do both vendors hold the same? Answered from the twins alone, by a table of field pairs of its own."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import phonenumbers

from daemon.sandbox.people import ORGANISATION_NUMBER, REFERENCE, reference_of
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

Row = Mapping[str, Any]


def _text(value: object) -> str:
    return " ".join(str(value or "").split())


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


IN_SCOPE = ("CommercialProperty", "Project")

CLASS_OF_STATUS = {
    **dict.fromkeys(("Intagsförsök", "Uppdrag", "Vilande"), "draft"),
    **dict.fromkeys(("Kommande", "Snart till salu", "Försprång", "Till salu", "Pågående"), "active"),
    **dict.fromkeys(("Inget uppdrag", "Återtagen", "Ej till salu"), "inactive"),
}
"""A status at Vitec, by its label, to a project's classification (S1 to S22); the others leave it as it is."""

CLASS_OF_LEVEL = {
    **dict.fromkeys(("Reserved", "Booked", "ParticipateInBidding"), "bidder"),
    **dict.fromkeys(("OnHoldInBidding", "FollowingBidding", "VeryInterested"), "interested"),
    **dict.fromkeys(("BeenAtOrComingToViewing", "Interested"), "interested"),
    "Assigned": "contacted",
    "NotInterested": "not_interested",
}
"""A level at Vitec to a prospect's classification (L1 to L10); an archived one has none."""


def _estate_name(estate: Row) -> str:
    """The first name that is there (E2, E3)."""
    base = estate["baseInformation"]
    address = base.get("objectAddress") or {}
    street = [part for part in (address.get("streetAddress"), address.get("city")) if part]
    names = (
        base.get("projectName"),
        _inner(estate, "description", "sellingHeading"),
        ", ".join(street) if address.get("streetAddress") else "",
        base.get("propertyUnitDesignation"),
        _inner(estate, "assignment", "estatenumber"),
        estate["estateId"],
    )
    return next(name for each in names if 0 < len(name := _text(each)) <= 200)


def _estate_price(estate: Row) -> str:
    price, hidden = estate.get("price") or {}, _inner(estate, "advertiseOn", "hidePrice")
    return "" if hidden or price.get("offer") else _number(price.get("price"))


def _project_price(project: Row) -> str:
    return _number(_inner(project, "price", "value"))


def _number(value: object) -> str:
    return f"{float(str(value)):.2f}" if value else ""


def _estate_class(estate: Row) -> str:
    return CLASS_OF_STATUS.get(estate["assignment"]["status"]["name"], "")


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
    "project": {
        "name": (_estate_name, lambda p: _text(p.get("name"))),
        "price": (_estate_price, _project_price),
        "classification": (_estate_class, lambda p: _text(p.get("classification"))),
    },
    "prospect": {
        "classification": (lambda v: str(v["class"]), lambda p: _text(p.get("classification"))),
        "reference": (lambda v: str(v["id"]), lambda p: reference_of(p, REFERENCE) or ""),
    },
    "link": {},
}
"""Per category and field: how it is read at Vitec, and how at Propstreet."""

SPEAKS = frozenset((("project", "price"), ("project", "classification")))
"""What counts only where Vitec says something: a price may be hidden, and not every status has a class."""


class Posted(NamedTuple):
    """A lead that was posted to the daemon: the call that takes it at Vitec, and whose it is."""

    call: str
    email: str


def differences(
    vitec: VitecConnectTwin,
    propstreet: PropstreetTwin,
    leads: Iterable[Posted] = (),
    held: Collection[Posted] = (),
) -> list[str]:
    """What is not the same at both vendors, a line each: records without a counterpart, or with two, and fields.

    Each of `leads` has to be at Vitec once, or may not be there if it is `held`.
    """
    sides = _Sides(vitec, propstreet)
    found: list[str] = []
    for category in PAIRS:
        found += _compared(category, sides.at_vitec(category), sides.at_propstreet(category), sides.ignored)
    return [*found, *_leads_missing(vitec, leads, held)]


def _compared(
    category: str,
    at_vitec: Mapping[str, Row],
    at_propstreet: Iterable[tuple[str | None, Row]],
    ignored: Collection[tuple[str, str]],
) -> Iterator[str]:
    claimed: dict[str, Row] = {}
    for reference, record in at_propstreet:
        if reference is None or reference not in at_vitec:
            yield f"{category} propstreet:{record['id']} has no counterpart at Vitec"
        elif reference in claimed:
            yield f"{category} vitec:{reference} has two counterparts at Propstreet"
        else:
            claimed[reference] = record
    for record_id, record in at_vitec.items():
        if record_id not in claimed:
            yield f"{category} vitec:{record_id} has no counterpart at Propstreet"
            continue
        for field, (here, there) in PAIRS[category].items():
            a, b = here(record), there(claimed[record_id])
            silent = not a and (category, field) in SPEAKS
            if a != b and not silent and (category, field) not in ignored:
                yield f"{category} vitec:{record_id} {field}: {a!r} at Vitec, {b!r} at Propstreet"


class _Sides:
    """What both vendors hold, as it is compared: at Vitec by id, at Propstreet with the id that it should have there."""

    def __init__(self, vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> None:
        self.vitec, self.propstreet = vitec, propstreet
        self.known = {
            (category, str(record["id"])): _reference_into(rows, record)
            for category, rows in ((each, self.at_vitec(each)) for each in ("contact", "company", "project"))
            for record in propstreet.records(category)
        }
        writable = propstreet.switches.ps5 == "accepted"
        self.ignored = () if writable else (("project", "classification"),)

    def at_vitec(self, category: str) -> dict[str, Row]:
        match category:
            case "project":
                estates = (estate for kind in IN_SCOPE for estate in self.vitec.estates(kind))
                return {estate["estateId"]: estate for estate in estates}
            case "prospect":
                return {row["id"]: row for row in self._relations()}
            case "link":
                pairs = self.vitec.links.pairs().items()
                return {f"{a}:{b}": {} for (a, b), kinds in pairs if "CompanyContactPerson" in kinds}
        kind = "person" if category == "contact" else "company"
        return {record["id"]: record for record in self.vitec.records(kind)}  # type: ignore[arg-type]

    def at_propstreet(self, category: str) -> Iterator[tuple[str | None, Row]]:
        for record in self.propstreet.records(category):
            if (
                category != "prospect" or record["contactId"] or record["companyId"]
            ):  # else nobody is known (R12)
                yield self._reference(category, record), record

    def _reference(self, category: str, record: Row) -> str | None:
        """The id at Vitec; of what joins two others, it is made of theirs."""
        match category:
            case "prospect":
                party = "contact" if record["contactId"] else "company"
                ends = ("project", record["projectId"]), (party, record[f"{party}Id"])
            case "link":
                ends = ("company", record["companyId"]), ("contact", record["contactId"])
            case _:
                return self.known[category, str(record["id"])]
        left, right = (self.known.get(end) for end in ends)
        return None if left is None or right is None else f"{left}:{right}"

    def _relations(self) -> Iterator[Row]:
        """Who wants or bought what; a buyer before a level (R4), nothing for a level without a class (L11)."""
        levels, buyers = self.vitec.levels(), self.vitec.buyers()
        for estate, contact in {**levels, **dict.fromkeys(buyers)}:
            level = levels.get((estate, contact))
            word = "bidder" if (estate, contact) in buyers else CLASS_OF_LEVEL.get(level or "")
            if word is not None and self.vitec.register[estate].kind in IN_SCOPE:
                yield {"id": f"{estate}:{contact}", "class": word}


def _reference_into(rows: Mapping[str, Row], record: Row) -> str | None:
    """The first reference that names a row; where references can only be added, older ones stand before it (PS19)."""
    names = [reference["id"] for reference in record["externalRefs"] if reference["namespace"] == REFERENCE]
    return next((name for name in names if name in rows), names[0] if names else None)


def _leads_missing(
    vitec: VitecConnectTwin, leads: Iterable[Posted], held: Collection[Posted]
) -> Iterator[str]:
    there = Counter(
        Posted(lead["call"], address) for lead in vitec.leads.values() for address in _addresses(lead["body"])
    )
    for lead in leads:
        times = there[lead]
        if times > 1 or (times == 0 and lead not in held):
            yield f"lead of {lead.email} is {times} times at Vitec ({lead.call})"


def _addresses(body: object) -> Iterator[str]:
    """Every e-mail address in a body, wherever the call has it."""
    for name, value in body.items() if isinstance(body, dict) else ():
        if name == "emailAddress":
            yield str(value)
        else:
            yield from _addresses(value)
