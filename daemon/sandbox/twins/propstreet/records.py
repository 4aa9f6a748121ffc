"""A record, and the table of one category: what must be unique in it, who belongs to whom, and its order."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from daemon.sandbox.twins.propstreet.checks import Fields
from daemon.sandbox.twins.propstreet.fields import reference_key

Actor = Literal["api", "person"]
Verb = Literal["created", "updated", "deleted", "removed"]  # removed: a prospect taken from its list
Key = tuple[str, ...]  # what must be unique among the living: ("email", …) or ("reference", namespace, id)
Member = tuple[str, str]  # what a record belongs to: ("projectId", "1003")
Place = tuple[datetime, int]  # where a record stands in a list: (updatedUtc, id)

CATEGORIES = ("contact", "company", "link", "project", "prospect", "property")
VOLATILE = ("createdUtc", "updatedUtc", "deletedUtc", "etag", "changeType", "changeOrigin")


@dataclass(slots=True)
class Record:
    """One row; `fields` are the writable ones in the form they are kept."""

    category: str
    id: int
    fields: Fields
    created: datetime
    updated: datetime
    etag: str = ""
    deleted: datetime | None = None
    change: Verb = "created"
    origin: str = ""


@dataclass(slots=True)
class Table:
    """The rows of one category, what they hold that must be unique, and their order once asked for."""

    rows: dict[int, Record] = field(default_factory=dict)
    taken: dict[Key, Record] = field(default_factory=dict)
    members: dict[Member, dict[int, Record]] = field(default_factory=dict)
    orders: dict[Member | None, list[Record]] = field(default_factory=dict)

    def ordered(self, within: Member | None = None) -> list[Record]:
        """All rows, or those that belong to `within`, by (updatedUtc, id)."""
        if within not in self.orders:
            rows = self.rows if within is None else self.members.get(within, {})
            self.orders[within] = sorted(rows.values(), key=place)
        return self.orders[within]

    def leave(self, record: Record) -> None:
        """Forget what a record holds and where it belongs; its row stays."""
        for key in [key for key in keys_of(record) if self.taken.get(key) is record]:
            del self.taken[key]
        self.orders.pop(None, None)
        for member in members_of(record):
            self.orders.pop(member, None)
            self.members.get(member, {}).pop(record.id, None)

    def enter(self, record: Record) -> None:
        """Note a record anew: a deleted one is a row and a member, and holds nothing."""
        self.rows[record.id] = record
        for member in members_of(record):
            self.orders.pop(member, None)
            self.members.setdefault(member, {})[record.id] = record
        if not record.deleted:
            self.taken.update(dict.fromkeys(keys_of(record), record))


def place(record: Record) -> Place:
    """Where a record stands in a list."""
    return record.updated, record.id


def keys_of(record: Record) -> list[Key]:
    """What a record holds that no other of its category may hold."""
    return keys(record.category, record.fields)


def keys(category: str, fields: Fields) -> list[Key]:
    """References and the e-mail address; the two ends of a link; a prospect's seat in its project."""
    found: list[Key] = [
        ("reference", *reference_key(r["namespace"], r["id"])) for r in fields.get("externalRefs", ())
    ]
    match category:
        case "contact" if fields["email"]:
            found.append(("email", fields["email"].casefold()))
        case "link":
            found.append(("ends", fields["contactId"], fields["companyId"]))
        case "prospect" if fields["contactId"] or fields["companyId"]:
            who = "contactId" if fields["contactId"] else "companyId"
            found.append(("seat", fields["projectId"], who, fields[who]))
    return found


def members_of(record: Record) -> list[Member]:
    """The records that a record names: its contact, its company, its project."""
    named = ((name, record.fields.get(name)) for name in ("contactId", "companyId", "projectId"))
    return [(name, key) for name, key in named if key]
