"""Two vendors on paper, and the people who work in them: a desk per vendor and category, each with its own JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from daemon.domain.events import encode
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC, relation_id
from daemon.mappings import lens
from daemon.mappings.estate_statuses import STATUSES
from daemon.mappings.lens import Patch

ADR = "ADR0123456789ABCDEF0123456789ABCDEF"
KEY = "789"
FIRM, FIRM_KEY = "ADRFEDCBA9876543210FEDCBA9876543210", "501"
OBJ, PROJECT_KEY = "OBJ11385_1395932274", "12"
IDS: Final = {
    "contact": {VITEC: ADR, PROPSTREET: KEY},
    "company": {VITEC: ADR, PROPSTREET: KEY},
    "project": {VITEC: OBJ, PROPSTREET: PROJECT_KEY},
    "prospect": {VITEC: relation_id(OBJ, ADR), PROPSTREET: "77"},
    "link": {VITEC: relation_id(FIRM, ADR), PROPSTREET: "31"},
    "note": {VITEC: "NOT11385_1", PROPSTREET: "90"},
    "property": {VITEC: OBJ, PROPSTREET: "41"},
}
"""The record that is meant where none is named, by category and vendor."""

SWEDEN = ZoneInfo("Europe/Stockholm")
TABLE = {"K1": "investor", "K2": "vip", "K3": "buyer", "K4": "seller"}
Fields = dict[str, Any]
"""Our fields by name."""

Later = Callable[[float], datetime]
"""Lets seconds pass; the time then."""


class StaleError(Exception):
    """412: the etag is not the record's."""


@dataclass
class Row:
    """A record as its vendor keeps it: our fields, what it joins, and what the payload carries besides."""

    id: str
    fields: dict[str, Any]
    created: datetime
    changed: datetime
    etag: int = 1
    reference: str | None = None
    deleted: datetime | None = None
    labels: tuple[str, ...] = ()
    parts: dict[str, str] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)


class Desk:
    """One vendor's records of one category. `keeps` is how it reshapes what it is given."""

    vendor = ""

    def __init__(self, category: str, later: Later) -> None:
        self.category, self.later = category, later
        self.first = IDS[category][self.vendor]
        self.rows: dict[str, Row] = {}
        self.made = 0
        self.keeps: Callable[[str, Value], Value] = lambda _, value: value

    def add(
        self,
        record: str | None = None,
        *,
        reference: str | None = None,
        parts: dict[str, str] | None = None,
        **fields: Any,
    ) -> str:
        """A person makes a record; its id."""
        record = record or self.first
        now = self.later(1)
        self.rows[record] = Row(record, dict(fields), now, now, reference=reference, parts=parts or {})
        return record

    def new_id(self, parts: dict[str, str]) -> str:
        """The id of the next record that is made through the API."""
        self.made += 1
        return f"NEW{self.made}"

    def edit(self, record: str | None = None, *, at: datetime | None = None, **fields: Any) -> None:
        """A person edits a record; `at` is what the vendor's clock says, else a second has passed."""
        self.change(self.rows[record or self.first], fields, at or self.later(1))

    def change(self, row: Row, fields: Fields, at: datetime) -> None:
        """The vendor keeps new values under a new stamp."""
        row.fields |= {name: self.keeps(name, value) for name, value in fields.items()}
        row.changed = at
        row.etag += 1

    def remove(self, record: str | None = None) -> None:
        """A person deletes a record: from then on it is a 404."""
        del self.rows[record or self.first]

    def payload(self, record: str | None = None) -> bytes:
        """The record as the vendor's API gives it."""
        row = self.rows[record or self.first]
        return encode(self.body(row) | row.extra)

    def body(self, row: Row) -> dict[str, object]:
        """The JSON of a record."""
        raise NotImplementedError

    def take(self, record: str, patch: Patch) -> None:
        """A write of ours arrives."""
        raise NotImplementedError

    def value(self, name: str, record: str | None = None) -> Value:
        """What the vendor holds in one of our fields."""
        value: Value = self.rows[record or self.first].fields.get(name)
        return value


class VitecDesk(Desk):
    """Vitec Connect: no etags, Swedish wall-clock times, categories that are added and deleted one by one."""

    vendor = VITEC

    def body(self, row: Row) -> dict[str, object]:
        """The typed read (CRM contact)."""
        tags = [key for key, tag in TABLE.items() if tag in (row.fields.get("tags") or ())]
        common: dict[str, object] = {
            "id": row.id,
            "customerId": "M11385",
            "agentId": "U1",
            "note": row.fields.get("strategy"),
            "categories": [{"id": key, "name": TABLE[key].title(), "readOnly": False} for key in tags],
            "createdAt": wall_clock(row.created),
            "changedAt": wall_clock(row.changed),
        }
        return common | (_person if self.category == "contact" else _company)(row.fields)

    def take(self, record: str, patch: Patch) -> None:
        """UpdatePerson or UpdateCompany: categoryIds add, DELETE Category removes."""
        row, body = self.rows[record], patch.body
        names = lens(VITEC, self.category).names  # type: ignore[attr-defined]  # Vitec's lenses have them
        new: Fields = {ours: body[name] for ours, name in names.items() if name in body}
        if isinstance(email := body.get("email"), dict):
            new["email"] = email["emailAddress"]
        if isinstance(address := body.get("address"), dict):
            new["country"] = address["countryCode"]
        added = body.get("categoryIds", [])
        assert isinstance(added, list)
        present = {key for key, tag in TABLE.items() if tag in (row.fields.get("tags") or ())}
        kept = (present | set(added)) - set(patch.remove_categories)
        new["tags"] = tuple(sorted(TABLE[key] for key in kept))
        self.change(row, new, self.later(1))


def _person(fields: Fields) -> dict[str, object]:
    return {
        "type": "Person",
        "firstName": fields.get("first_name"),
        "lastName": fields.get("last_name"),
        "socialSecurityNumber": None,
        "email": {"emailAddress": fields.get("email"), "emailAddress2": None},
        "telephone": {"home": None, "work": None, "cell": fields.get("phone"), "other": None},
        "isDeceased": False,
    }


def _company(fields: Fields) -> dict[str, object]:
    country = fields.get("country")
    return {
        "type": "Company",
        "name": fields.get("name"),
        "corporateNumber": fields.get("organisation_number"),
        "homePage": fields.get("website"),
        "address": {"streetAddress": None, "zipCode": None, "city": None, "countryCode": country},
    }


class EstateDesk(Desk):
    """Vitec's estates and, with an id that begins with PRO, its projects. `estate_status` is a name of the tables."""

    vendor = VITEC

    def body(self, row: Row) -> dict[str, object]:
        """The v1 record of GetCommercialProperty or GetProject."""
        status = next((s for s in STATUSES if s.name == row.fields.get("estate_status", "ForSale")), None)
        number = str(status.id) if status is not None else "99"
        label = status.labels[0] if status is not None else str(row.fields["estate_status"])
        base: dict[str, object] = {"sensitiveBusiness": row.fields.get("sensitive", False)}
        if row.id.startswith("PRO"):
            base["projectName"] = row.fields.get("name")
        return {
            "estateId": row.id,
            "dateChanged": wall_clock(row.changed),
            "commissionType": row.fields.get("commission", "Sale"),
            "assignment": {"status": {"id": number, "name": label}, "estatenumber": "7"},
            "baseInformation": base,
            "description": {"sellingHeading": row.fields.get("name")},
            "price": {"price": row.fields.get("price"), "offer": False},
        }

    def take(self, record: str, patch: Patch) -> None:
        """PUT CRM/Project: the name, and four statuses."""
        base = patch.body["baseInformation"]
        assert isinstance(base, dict)
        new = {"name": base["projectName"]} | ({"estate_status": base["status"]} if "status" in base else {})
        self.change(self.rows[record], new, self.later(1))


class RelationDesk(Desk):
    """Who is interested in an estate, or bought it: Vitec's `level`, and `buyer`."""

    vendor = VITEC
    read_as: ClassVar = {"JoinedBidding": "ParticipateInBidding"}

    def new_id(self, parts: dict[str, str]) -> str:
        """Vitec gives a relation no id."""
        return relation_id(parts["project"], parts["contact"])

    def body(self, row: Row) -> dict[str, object]:
        """The rows of the contact's two lists."""
        estate, _, contact = row.id.partition(":")
        level, buyer = row.fields.get("level", "Interested"), row.fields.get("buyer")
        return {
            "estateId": estate,
            "contactId": contact,
            "speculatorOn": {"estateId": estate, "level": level} if level != "" else None,
            "buyerOn": {"estateId": estate} if buyer else None,
        }

    def take(self, record: str, patch: Patch) -> None:
        """PUT CRM/Speculator: a status is written, a level is read."""
        status = str(patch.body["status"])
        self.change(self.rows[record], {"level": self.read_as.get(status, status)}, self.later(1))


class VitecLinkDesk(Desk):
    """Who belongs to a company at Vitec."""

    vendor = VITEC

    def body(self, row: Row) -> dict[str, object]:
        """A row of the company's ContactRelations."""
        company, _, person = row.id.partition(":")
        return {"companyId": company, "personId": person, "relation": "CompanyContactPerson"}


class VitecNoteDesk(Desk):
    """Vitec's note log."""

    vendor = VITEC

    def body(self, row: Row) -> dict[str, object]:
        """A row of GetNotes, and whose it is."""
        note = {"id": row.id, "date": wall_clock(row.created), "text": row.fields.get("text")}
        estate = {"estateId": row.parts["project"]} if "project" in row.parts else {}
        return {"contactId": row.parts["contact"], **estate, "note": note}

    def take(self, record: str, patch: Patch) -> None:
        """POST Note."""
        self.change(self.rows[record], {"text": patch.body["text"]}, self.later(1))


class VitecPropertyDesk(Desk):
    """What and where an estate is."""

    vendor = VITEC

    def body(self, row: Row) -> dict[str, object]:
        """The slice of the estate's v1 record."""
        place = {"coordinate": {"latitud": 59.33, "longitud": row.fields.get("longitude", 18.06)}}
        return {
            "estateId": row.id,
            "dateChanged": wall_clock(row.changed),
            "baseInformation": {"objectAddress": place},
            "description": {"sellingHeading": row.fields.get("name")},
        }


class PropstreetDesk(Desk):
    """Propstreet: etags and If-Match, UTC with seven decimals, lists that are replaced whole."""

    vendor = PROPSTREET
    names: ClassVar = {
        "contact": {
            "first_name": "firstName",
            "last_name": "lastName",
            "email": "email",
            "phone": "phone",
            "strategy": "strategy",
        },
        "company": {
            "name": "name",
            "country": "countryCode",
            "website": "homepageUrl",
            "strategy": "strategy",
        },
        "project": {"name": "name", "classification": "classification", "status": "status"},
        "prospect": {"classification": "classification"},
        "link": {"job_title": "jobTitle"},
        "property": {"name": "name", "location": "location"},
    }

    def remove(self, record: str | None = None) -> None:
        """A removed record is softly deleted."""
        row = self.rows[record or self.first]
        row.deleted = self.later(1)
        self.change(row, {}, row.deleted)

    def body(self, row: Row) -> dict[str, object]:
        """GET of one resource."""
        references = [{"namespace": "Vitec-Next", "id": row.reference}] if row.reference else []
        if number := row.fields.get("organisation_number"):
            references.append({"namespace": "organization-number", "id": str(number)})
        body: dict[str, object] = {
            "id": row.id,
            "uri": None,
            "externalRefs": references,
            **{name: row.fields.get(ours) for ours, name in self.names[self.category].items()},
            **{f"{part}Id": record for part, record in row.parts.items()},
            "createdUtc": stamp(row.created),
            "updatedUtc": stamp(row.changed),
            "deletedUtc": stamp(row.deleted) if row.deleted else None,
            "etag": f'W/"{row.etag}"',
        }
        if self.category not in ("contact", "company"):
            return body
        audit = {"primaryLanguage": None, "changeType": "update", "changeOrigin": None}
        return body | audit | {"tags": [*(row.fields.get("tags") or ()), *row.labels]}

    def take(self, record: str, patch: Patch) -> None:
        """PATCH: it sets what it carries."""
        row, body = self.rows[record], patch.body
        names = self.names[self.category].items()
        new: Fields = {ours: body[name] for ours, name in names if name in body}
        if "tags" in body:
            new["tags"] = tuple(sorted(tag for tag in body["tags"] if tag in TABLE.values()))  # type: ignore[attr-defined]
        for reference in body.get("externalRefs", []):  # type: ignore[attr-defined]
            if reference["namespace"].casefold() == "vitec-next":
                row.reference = reference["id"]
            else:
                new["organisation_number"] = reference["id"]
        self.change(row, new, self.later(1))


class ProjectDesk(PropstreetDesk):
    """Propstreet's projects: status and stage are its own, and so is perhaps the classification (S31)."""

    takes_classification = True

    def add(self, record: str | None = None, **given: Any) -> str:
        """A project begins as an open draft without a teaser."""
        return super().add(record, **{"classification": "draft", "status": "open"} | given)

    def body(self, row: Row) -> dict[str, object]:
        """With the price, and the stage of the teaser."""
        stage, price = row.fields.get("stage"), row.fields.get("price")
        amount = {"value": price, "currency": "SEK", "scale": "none"}
        return super().body(row) | {
            "teaser": None if stage is None else {"stage": stage},
            "price": None if price is None else amount,
        }

    def take(self, record: str, patch: Patch) -> None:
        """A price comes as an object; the classification is perhaps ignored."""
        body = dict(patch.body)
        if not self.takes_classification:
            body.pop("classification", None)
        super().take(record, Patch(body))
        if isinstance(price := body.get("price"), dict):
            self.rows[record].fields["price"] = price["value"]


class ProspectDesk(PropstreetDesk):
    """Propstreet's prospects. One is new until somebody says more."""

    def add(self, record: str | None = None, **given: Any) -> str:
        """A prospect begins as not contacted."""
        return super().add(record, **{"classification": "not_contacted"} | given)


class PropstreetNoteDesk(PropstreetDesk):
    """Propstreet's notes: among the actions of whom they are about."""

    def body(self, row: Row) -> dict[str, object]:
        """An action that is a note, and whose it is."""
        details = {"message": row.fields.get("text")}
        note = {"id": row.id, "type": "note", "timestampUtc": stamp(row.created), "details": details}
        return {f"{part}Id": record for part, record in row.parts.items()} | {"note": note}

    def take(self, record: str, patch: Patch) -> None:
        """POST notes."""
        self.change(self.rows[record], {"text": patch.body["text"]}, self.later(1))


DESKS: Final[dict[tuple[str, str], type[Desk]]] = {
    ("contact", VITEC): VitecDesk,
    ("company", VITEC): VitecDesk,
    ("project", VITEC): EstateDesk,
    ("prospect", VITEC): RelationDesk,
    ("link", VITEC): VitecLinkDesk,
    ("note", VITEC): VitecNoteDesk,
    ("property", VITEC): VitecPropertyDesk,
    ("contact", PROPSTREET): PropstreetDesk,
    ("company", PROPSTREET): PropstreetDesk,
    ("project", PROPSTREET): ProjectDesk,
    ("prospect", PROPSTREET): ProspectDesk,
    ("link", PROPSTREET): PropstreetDesk,
    ("note", PROPSTREET): PropstreetNoteDesk,
    ("property", PROPSTREET): PropstreetDesk,
}
"""Who works where, by category and vendor."""


def wall_clock(at: datetime) -> str:
    """Swedish wall-clock time without offset, 0-3 decimals."""
    text = at.astimezone(SWEDEN).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]
    return text.rstrip("0").rstrip(".")


def stamp(at: datetime) -> str:
    """UTC with seven decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
