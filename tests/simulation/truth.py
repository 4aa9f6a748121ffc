"""What really happened, seen from the vendors alone: every value that a field ever held, who brought it, and when.

Nothing here knows the daemon. After every person's step and every write through the API both twins are read from their
own stores; what changed is a new `Version` of its cell. A cell's value is the class of the value (phones in E.164,
e-mails in small letters), so that a vendor's own spelling is no change. Tags are a cell each ("tags:vip": "yes" or "").
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Literal, NamedTuple

import phonenumbers
from msgspec import Struct

from daemon.sandbox.agreement import CLASS_OF_LEVEL, IN_SCOPE, PAIRS
from daemon.sandbox.people import REFERENCE
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.twins.journal import Entry, Journal
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet.activity import Note as Message
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

Who = Literal["person", "web", "vendor", "daemon"]
"""A user of a vendor; a visitor whose form made it; the vendor by itself; the daemon."""

Record = tuple[str, str, str]
"""Vendor, category, id. Besides the synced categories: note and lead."""

FIELDS: Final = {
    "first name": "first_name",
    "last name": "last_name",
    "e-mail": "email",
    "mobile": "phone",
    "organisation number": "organisation_number",
}
"""The names that the sandbox's own comparison has for fields, where they are not Toveis'."""

GIVEN: Final = {("project", "classification", "draft"), ("prospect", "classification", "not_contacted")}
"""What Propstreet gives a new record by itself: nobody meant it."""

SPELLED: Final[dict[tuple[str, str], tuple[Callable[[Any], object], Callable[[Any], object]]]] = {
    ("contact", "first_name"): (lambda v: v.get("firstName"), lambda p: p.get("firstName")),
    ("contact", "last_name"): (lambda v: v.get("lastName"), lambda p: p.get("lastName")),
    ("contact", "strategy"): (lambda v: v.get("note"), lambda p: p.get("strategy")),
    ("contact", "email"): (lambda v: (v.get("email") or {}).get("emailAddress"), lambda p: p.get("email")),
    ("contact", "phone"): (lambda v: (v.get("telephone") or {}).get("cell"), lambda p: p.get("phone")),
    ("company", "website"): (lambda v: v.get("homePage"), lambda p: p.get("homepageUrl")),
}
"""Fields that may be spelled in several ways, as they stand at Vitec and at Propstreet."""

TAGS: Final = {"contact": tuple(CATEGORIES.values()), "company": tuple(COMPANY_CATEGORIES.values())}


ADJACENT: Final = 2.0
"""Seconds between the answer to a read and the write that rests on it, at the most."""


class Cell(NamedTuple):
    """One field of one record at one vendor."""

    vendor: str
    category: str
    record: str
    field: str


class Version(Struct, frozen=True, gc=False):
    """A value that a cell came to hold: the n-th change of the whole world, at a virtual second.

    `replaced` is the number of the version before it, None for the first of a record.
    """

    n: int
    cell: Cell
    value: str
    who: Who
    at: float
    replaced: int | None

    @property
    def given(self) -> bool:
        """Whether a new record had it by itself: a blank, or what Propstreet gives it."""
        blank = self.value == plain(self.cell.field, None)
        return self.replaced is None and (blank or (self.cell.category, self.cell.field, self.value) in GIVEN)

    @property
    def typed(self) -> bool:
        """Whether somebody meant it: not what the daemon or a vendor wrote, and no blank of a new record."""
        said = bool(self.value) and (self.cell.category, self.cell.field, self.value) not in GIVEN
        return self.who in ("person", "web") and (self.replaced is not None or said)


class Respelled(Struct, frozen=True, gc=False):
    """The daemon wrote the same in another spelling, over one that came `since` then."""

    cell: Cell
    before: str
    after: str
    since: float
    at: float


@dataclass(slots=True)
class Life:
    """Who made a record and when, and every removal of it: a relation can come back under its old id."""

    made_by: Who
    made: float
    gone: float | None = None
    ends: list[tuple[float, Who]] = field(default_factory=list)

    def ended(self, by: Who, since: float = 0.0) -> bool:
        """Whether somebody of this kind removed it then or later."""
        return any(at >= since and who == by for at, who in self.ends)


class Call(Struct, frozen=True):
    """One call of the daemon's, in virtual seconds: sent, carried out, and when the answer reached the daemon.

    `processed` is None for a call that never arrived, `answered` for one whose answer never did. `incarnation` counts
    the daemon's lives.
    """

    n: int
    vendor: str
    method: str
    path: str
    query: str = ""
    body: str = ""
    sent: float = 0.0
    processed: float | None = None
    answered: float | None = None
    incarnation: int = 1
    status: int | None = None

    @property
    def writes(self) -> bool:
        """Whether it may change something: Vitec reads lists by POST, too."""
        if self.method == "GET":
            return False
        return not self.path.startswith(("/Contacts/Get", "/Estate/Get", "/openid"))

    def names(self, record: str) -> bool:
        """Whether it is about a record: any part of a relation's id is enough."""
        text = f"{self.path}?{self.query}\n{self.body}"
        return all(part in text for part in record.split(":"))


class Truth:
    """Listens to both twins from now on. `now` gives the virtual seconds."""

    def __init__(
        self, vitec: VitecConnectTwin, propstreet: PropstreetTwin, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.vitec, self.propstreet, self.now = vitec, propstreet, now
        self.versions: list[Version] = []
        self.present: dict[Cell, Version] = {}
        self.lives: dict[Record, Life] = {}
        self.pairs: dict[tuple[str, str, str], float] = {}
        """(category, id at Vitec, id at Propstreet) of all that a reference ever joined, and since when."""
        self.respelled: list[Respelled] = []
        self._spelled: dict[Cell, tuple[str, float]] = {}
        self.calls: dict[int, Call] = {}
        self.heard: list[Callable[[Version], None]] = []
        """Told of every new version, after all of one change are known."""
        vitec.journal = _Heard(vitec.journal, self)
        propstreet.journal = propstreet.gate.journal = _Heard(propstreet.journal, self)
        self.look("person")

    def called(self, call: Call) -> None:
        """The network tells of a call of the daemon's; again when more of it is known."""
        self.calls[call.n] = call

    def look(self, who: Who) -> None:
        """Read both vendors; what is new was done by `who`."""
        found = dict(contents(self.vitec, self.propstreet))
        at, fresh = self.now(), []
        self._spell(who, at)
        for record in self.lives.keys() - found.keys():
            self._bury(record, who, at)
        for record, fields in found.items():
            self.lives.setdefault(record, Life(who, at)).gone = None
            for name, value in fields.items():
                cell = Cell(*record, name)
                before = self.present.get(cell)
                if before is None or before.value != value:
                    replaced = None if before is None else before.n
                    version = Version(len(self.versions) + 1, cell, value, who, at, replaced)
                    self.present[cell] = version
                    self.versions.append(version)
                    fresh.append(version)
        for pair in references(self.propstreet):
            self.pairs.setdefault(pair, at)
        for version in fresh:
            for listener in self.heard:
                listener(version)

    def _spell(self, who: Who, at: float) -> None:
        """Before anything else of a look: which texts changed of which the class did not."""
        for cell, text in spellings(self.vitec, self.propstreet):
            before, since = self._spelled.get(cell, (text, at))
            if text == before:
                self._spelled.setdefault(cell, (text, at))
                continue
            self._spelled[cell] = text, at
            alike = plain(cell.field, text) == plain(cell.field, before)
            if who == "daemon" and alike and cell in self.present:
                self.respelled.append(Respelled(cell, before, text, since, at))

    def _bury(self, record: Record, who: Who, at: float) -> None:
        life = self.lives[record]
        if life.gone is None:
            life.gone = at
            life.ends.append((at, who))
            for cell in [cell for cell in self.present if cell[:3] == record]:
                del self.present[cell]

    def version(self, n: int) -> Version:
        """A version by its number."""
        return self.versions[n - 1]

    def living(self) -> list[tuple[str, str, str]]:
        """The pairs of which both records are there."""
        return [
            (category, a, b)
            for category, a, b in self.pairs
            if self.is_there(("vitec", category, a)) and self.is_there(("propstreet", category, b))
        ]

    def is_there(self, record: Record) -> bool:
        """Whether a record is at its vendor now."""
        return record in self.lives and self.lives[record].gone is None

    def write_of(self, version: Version) -> Call | None:
        """The daemon's call that brought a version; None when the network did not tell of it."""
        return self.write_at(version.cell, version.at)

    def write_at(self, cell: Cell, at: float) -> Call | None:
        """The daemon's call that wrote there then."""
        hits = [
            call
            for call in self.calls.values()
            if call.vendor == cell.vendor
            and call.writes
            and call.processed is not None
            and abs(call.processed - at) < 1e-3
        ]
        named = [call for call in hits if call.names(cell.record)]
        return next(iter(named or hits), None)

    def in_window(self, lost: Version, by: Version) -> bool:
        """Whether Vitec's window explains it: typed there after the last read that the daemon had when it sent the write.

        A record that was made while we meant to make it was named by no read: then it is the search for what it has.
        """
        return lost.cell == by.cell and self.falls_in_window(by.cell, lost.at, by.at)

    def falls_in_window(self, cell: Cell, typed: float, written: float) -> bool:
        """Whether what was typed then stood there after the read right before the write of this moment."""
        write = self.write_at(cell, written) if cell.vendor == "vitec" else None
        if write is None:
            return False
        told = {v.value for each, v in self.present.items() if each == (*cell[:3], "email")}
        looks = [
            (
                call.processed,
                call.answered,
                call.names(cell.record),
                any(value and call.names(value) for value in told),
            )
            for call in self.calls.values()
            if call.vendor == "vitec"
            and not call.writes
            and call.processed is not None
            and call.answered is not None
            and call.answered <= write.sent
        ]
        made = not write.names(cell.record)  # Vitec matched it with what we meant to make (D2)
        reads = [(at, known) for at, known, named, sought in looks if (sought if made else named)]
        at, known = max(reads, default=(inf, -inf))
        return typed >= at and write.sent - known <= ADJACENT


class _Heard(Journal):
    """A twin's journal that tells of every write, at the moment when it was carried out."""

    def __init__(self, journal: Journal, truth: Truth) -> None:
        super().__init__(journal.entries, journal.reads)
        self._truth = truth

    def append(self, entry: Entry) -> None:
        super().append(entry)
        if entry.kind == "write" and entry.status < 300:
            self._truth.look(_who(entry))


def _who(entry: Entry) -> Who:
    if entry.actor == "person":
        return "person"
    if entry.path.endswith("/SendInterestOnEstate"):
        return "vendor"  # the level of a first interest is Vitec's own (VS16)
    forms = ("/Lead/Person", "SendInterestAndContactOnEstate", "FinalPriceWatched", "/interest")
    return "web" if entry.path.endswith(forms) else "daemon"


# --- reading the twins


def contents(vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> Iterator[tuple[Record, dict[str, str]]]:
    """Every record of both vendors with the class of each of its fields."""
    for category, rows in _at_vitec(vitec).items():
        for key, row in rows:
            yield ("vitec", category, key), fields_of(category, row, 0)
    for category in PAIRS:
        for record in propstreet.store.tables[category].rows.values():
            if record.deleted is None:
                row = propstreet.store.view(record)
                yield ("propstreet", category, str(record.id)), fields_of(category, row, 1)
    for notes in vitec.notes.values():
        for note in notes:
            yield ("vitec", "note", note.id), {"text": str(note.text), "contact": str(note.contact)}
    for lead, kept in vitec.leads.items():
        yield ("vitec", "lead", lead), {"call": kept["call"], "email": ",".join(_addresses(kept["body"]))}
    for (subject, owner), timeline in propstreet.activity.rows.items():
        for each in timeline:
            if isinstance(each, Message) and not (each.archived or each.superseded):
                yield ("propstreet", "note", str(each.id)), {"text": each.message, subject: str(owner)}


def spellings(vitec: VitecConnectTwin, propstreet: PropstreetTwin) -> Iterator[tuple[Cell, str]]:
    """How every field of `SPELLED` is spelled now at both vendors."""
    for (category, name), (here, there) in SPELLED.items():
        for row in vitec.records("person" if category == "contact" else "company"):
            yield Cell("vitec", category, row["id"], name), str(here(row) or "")
        for row in propstreet.records(category):
            yield Cell("propstreet", category, str(row["id"]), name), str(there(row) or "")


def references(propstreet: PropstreetTwin) -> Iterator[tuple[str, str, str]]:
    """(category, id at Vitec, id at Propstreet) of every living record that names its counterpart."""
    for category in ("contact", "company", "project", "prospect"):
        for record in propstreet.store.tables[category].rows.values():
            if record.deleted is None:
                for reference in record.fields["externalRefs"]:
                    if reference["namespace"] == REFERENCE:
                        yield category, reference["id"], str(record.id)


def _at_vitec(vitec: VitecConnectTwin) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    levels, buyers = vitec.levels(), vitec.buyers()
    prospects = {
        f"{estate}:{contact}": {
            "id": f"{estate}:{contact}",
            "class": "bidder"
            if (estate, contact) in buyers
            else CLASS_OF_LEVEL.get(levels.get((estate, contact)) or "", ""),
        }
        for estate, contact in {**levels, **dict.fromkeys(buyers)}
        if vitec.register[estate].kind in IN_SCOPE
    }
    links: list[tuple[str, Mapping[str, Any]]] = [
        (f"{a}:{b}", {}) for (a, b), kinds in vitec.links.pairs().items() if "CompanyContactPerson" in kinds
    ]
    return {
        "contact": [(row["id"], row) for row in vitec.records("person")],
        "company": [(row["id"], row) for row in vitec.records("company")],
        "project": [(row["estateId"], row) for kind in IN_SCOPE for row in vitec.estates(kind)],
        "prospect": list(prospects.items()),
        "link": links,
    }


def fields_of(category: str, row: Mapping[str, Any], side: int) -> dict[str, str]:
    """The class of every field of a vendor's record, as it reads; `side` is 0 for Vitec, 1 for Propstreet."""
    found: dict[str, str] = {}
    for name, readers in PAIRS[category].items():
        field = FIELDS.get(name, name)
        if field == "reference":
            continue
        value = readers[side](row)
        if field == "tags":
            held = set(value.split(","))
            found |= {f"tags:{tag}": "yes" if tag in held else "" for tag in TAGS[category]}
        else:
            found[field] = plain(field, value)
    return found


def _addresses(body: object) -> Iterator[str]:
    """Every e-mail address in a form, wherever it has it."""
    for name, value in body.items() if isinstance(body, dict) else ():
        if name == "emailAddress":
            yield str(value)
        else:
            yield from _addresses(value)


def plain(field: str, value: object) -> str:
    """The class of a value in the form in which cells hold it; a set or None as text."""
    if isinstance(value, list | tuple):
        return ",".join(sorted(value))
    text = " ".join(str(value or "").split())
    if not text:
        return "SE" if field == "country" else ""
    match field:
        case "phone":
            return _dialled(text)
        case "email" | "website":
            return _site(text) if field == "website" else text.lower()
        case "organisation_number":
            return "".join(filter(str.isdigit, text))
        case "price":
            return f"{float(text.split()[0]):.2f}"
    return text.upper() if field == "country" else text


def _dialled(text: str) -> str:
    try:
        number = phonenumbers.parse(text, "SE")
    except phonenumbers.NumberParseException:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _site(text: str) -> str:
    low = text.lower()
    for start in ("https://", "http://", "www."):
        low = low.removeprefix(start)
    return low.rstrip("/")
