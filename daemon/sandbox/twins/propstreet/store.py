"""The records: contacts, companies and links, their rules, and how they read."""

import base64
import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from daemon.sandbox.twins.propstreet import fields as rules
from daemon.sandbox.twins.propstreet.fields import Fields
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.switches import Switches

Actor = Literal["api", "person"]
Action = Literal["created", "updated", "revived"]
Verb = Literal["created", "updated", "deleted"]
Key = tuple[str, ...]  # what must be unique among the living: ("email", …) or ("reference", namespace, id)
Place = tuple[datetime, int]  # where a record stands in a list: (updatedUtc, id)

CATEGORIES = ("contact", "company", "link")
VOLATILE = ("createdUtc", "updatedUtc", "deletedUtc", "etag", "changeType", "changeOrigin")
_CHANGE = {"created": "create", "updated": "update", "deleted": "delete"}
_PLURAL = {"contact": "contacts", "company": "companies", "link": "links"}


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
    order: list[Record] | None = None

    def ordered(self) -> list[Record]:
        """All rows by (updatedUtc, id)."""
        if self.order is None:
            self.order = sorted(self.rows.values(), key=place)
        return self.order


def place(record: Record) -> Place:
    """Where a record stands in a list."""
    return record.updated, record.id


class Store:
    """Reads and writes by the vendor's rules; every change is told to `changed(verb, record, actor)`."""

    def __init__(
        self,
        switches: Switches,
        clock: Callable[[], datetime],
        changed: Callable[[Verb, Record, Actor], None],
    ) -> None:
        self.switches = switches
        self.clock = clock
        self.changed = changed
        self.tables = {category: Table() for category in CATEGORIES}
        self.cursors: dict[str, Place] = {}  # every cursor given out
        self._ids = itertools.count(1001)
        self._etags = itertools.count(0x2B44)

    # --- reading ---

    def find(self, category: str, key: str, *, deleted: bool = False) -> Record:
        """The record of this id; raises Problem (404) when it is not there, or deleted and not asked for."""
        record = self.tables[category].rows.get(int(key)) if key.isascii() and key.isdigit() else None
        if record is None or (record.deleted and not deleted):
            raise not_found()
        return record

    def by_reference(self, category: str, namespace: str, key: str) -> Record | None:
        """The living record with this external reference."""
        return self.tables[category].taken.get(("reference", *rules.reference_key(namespace, key)))

    def page(
        self,
        category: str,
        *,
        size: int = 500,
        cursor: str | None = None,
        since: datetime | None = None,
        deleted: bool = False,
        wanted: Callable[[Record], bool] = lambda record: True,
    ) -> tuple[list[Record], str | None]:
        """One page in the order of (updatedUtc, id) and the next page's cursor; `since` is inclusive.

        Raises Problem (400) for a cursor that was never given out, or starts again (PS32).
        """
        rows = self.tables[category].ordered()
        start = bisect_left(rows, (since, 0), key=place) if since else 0
        if cursor is not None:
            if cursor in self.cursors:
                start = max(start, bisect_right(rows, self.cursors[cursor], key=place))
            elif self.switches.ps32 == "400":
                raise invalid(cursor="The cursor is not valid.")
        deleted = deleted and self.switches.ps25 == "listed"
        living = (r for r in itertools.islice(rows, start, None) if (deleted or not r.deleted) and wanted(r))
        found = list(itertools.islice(living, size + 1))
        more = len(found) > size
        return found[:size], self._cursor(found[size - 1]) if more else None

    def _cursor(self, last: Record) -> str:
        at = {"u": self.time(last.updated), "i": last.id}
        cursor = base64.urlsafe_b64encode(msgspec.json.encode(at)).decode()
        self.cursors[cursor] = place(last)
        return cursor

    # --- writing ---

    def create(self, category: str, body: Mapping[str, Any], actor: Actor) -> tuple[Record, bool]:
        """A new record and True; with PS4 "existing" the one in its way and False, unchanged.

        Raises Problem: 400 for refused fields, 409 for a known reference or e-mail address.
        """
        given = self._cleaned(category, body, actor)
        new = rules.settled(category, rules.blank(category), given, merge_references=False)
        rules.require_something(category, new)
        in_the_way = self._in_the_way(category, new, None)
        if in_the_way and actor == "api" and self.switches.ps4 == "existing":
            return in_the_way, False
        return self._insert(category, new, actor), True

    def update(
        self, record: Record, body: Mapping[str, Any], actor: Actor, *, etag: str | None = None
    ) -> bool:
        """Write these fields onto a record; False when nothing changed: then etag and webhooks rest.

        Raises Problem: 400 for refused fields, 409 when another holds the reference or address, 412 for a
        stale `etag` (PS3).
        """
        return self._write(record, self._cleaned(record.category, body, actor), actor, etag)

    def _write(self, record: Record, given: Fields, actor: Actor, etag: str | None) -> bool:
        self._check_etag(record, etag)
        if record.category == "link":
            given = {name: value for name, value in given.items() if name in ("jobTitle", "isPrimary")}
        merge = self.switches.ps19 == "merge" and actor == "api"
        new = rules.settled(record.category, record.fields, given, merge_references=merge)
        if new == record.fields and not record.deleted:
            return False
        self._refuse_taken(record.category, new, record)
        if record.category == "link" and new["isPrimary"]:
            self._unset_other_primary(record)
        self._commit(record, new, "updated", actor)
        return True

    def delete(self, record: Record, actor: Actor, *, etag: str | None = None) -> None:
        """Soft-delete a record: its reference and its address are free again."""
        self._check_etag(record, etag)
        self._commit(record, record.fields, "deleted", actor)

    def restore(self, record: Record, actor: Actor) -> None:
        """Undo a delete; raises Problem (409) when another took its reference or address meanwhile."""
        self._refuse_taken(record.category, record.fields, record)
        self._commit(record, record.fields, "updated", actor)

    def target(
        self,
        category: str,
        reference: tuple[str, str],
        body: Mapping[str, Any],
        *,
        match: str | None = None,
        revive: bool = True,
    ) -> Record | None:
        """The record an upsert will write to, None when it will create one (ref PATCH contacts/external).

        It is the living one with this reference, else with `revive` a deleted one, else with `match` =
        "email" a living contact with the same address.
        """
        record = self.by_reference(category, *reference)
        if record is None and revive:
            record = self._deleted_with(category, reference)
        if record is None and match == "email":
            record = self._with_email(category, self._cleaned(category, body, "api", upsert=True))
        return record

    def upsert(
        self,
        category: str,
        reference: tuple[str, str],
        body: Mapping[str, Any],
        target: Record | None,
        *,
        create_only: bool = False,
        etag: str | None = None,
    ) -> tuple[Record, Action]:
        """Create, or update or revive the `target`, which keeps or gains the reference.

        Raises Problem as `create` and `update` do, and by PS21.
        """
        self._check_create_only(create_only, present=target is not None)
        given = self._cleaned(category, body, "api", upsert=True)
        held: list[Fields] = target.fields["externalRefs"] if target else []
        own = {"namespace": reference[0], "id": reference[1]}
        given["externalRefs"] = rules.distinct([*given.get("externalRefs", held), own])
        if target is None:
            new = rules.settled(category, rules.blank(category), given, merge_references=False)
            rules.require_something(category, new)
            return self._insert(category, new, "api"), "created"
        action: Action = "revived" if target.deleted else "updated"
        self._write(target, given, "api", etag)
        return target, action

    def _check_create_only(self, create_only: bool, *, present: bool) -> None:
        if not create_only:
            return
        if self.switches.ps21 == "update_only" and not present:
            raise not_found()
        if self.switches.ps21 == "create_only" and present:
            raise Problem(409, "A record with this external reference already exists.")

    def _with_email(self, category: str, given: Fields) -> Record | None:
        listed = given.get("emails") or [{"address": ""}]
        address = given.get("email") or listed[0]["address"]
        return self.tables[category].taken.get(("email", address.casefold()))

    def _deleted_with(self, category: str, reference: tuple[str, str]) -> Record | None:
        key: Key = ("reference", *rules.reference_key(*reference))
        return next(
            (r for r in reversed(self.tables[category].ordered()) if r.deleted and key in _keys(r.fields)),
            None,
        )

    def _cleaned(
        self, category: str, body: Mapping[str, Any], actor: Actor, *, upsert: bool = False
    ) -> Fields:
        given = rules.cleaned(rules.schema(category, 100 if self.switches.ps34 == "400" else None), body)
        if upsert or actor == "person" or self.switches.ps20 == "all":
            return rules.with_normal_phones(given)
        return given

    def _check_etag(self, record: Record, etag: str | None) -> None:
        if not etag or etag == "*" or record.etag in (tag.strip() for tag in etag.split(",")):
            return
        detail = "The entity has been modified. Please refetch and retry."
        if self.switches.ps3 == 412:
            raise Problem(412, detail, kind="/help/precondition-failed")
        raise Problem(409, detail)

    def _in_the_way(self, category: str, new: Fields, own: Record | None) -> Record | None:
        taken = self.tables[category].taken
        return next((taken[key] for key in _keys(new) if key in taken and taken[key] is not own), None)

    def _refuse_taken(self, category: str, new: Fields, own: Record | None) -> None:
        if self._in_the_way(category, new, own):
            raise Problem(409, f"A {category} with the same external reference or email already exists.")

    def _insert(self, category: str, new: Fields, actor: Actor) -> Record:
        self._refuse_taken(category, new, None)
        if category == "link":
            self._check_link(new)
        now = self.now()
        record = Record(category, next(self._ids), new, created=now, updated=now)
        self.tables[category].rows[record.id] = record
        self._commit(record, new, "created", actor, at=now)
        return record

    def _commit(
        self, record: Record, new: Fields, change: Verb, actor: Actor, *, at: datetime | None = None
    ) -> None:
        table = self.tables[record.category]
        for key in [key for key in _keys(record.fields) if table.taken.get(key) is record]:
            del table.taken[key]
        record.fields, record.updated, record.change = new, at or self.now(), change
        record.deleted = record.updated if change == "deleted" else None
        record.origin = "api" if actor == "api" else "ui"
        record.etag = f'W/"{base64.b64encode(struct.pack(">Q", next(self._etags))).decode()}"'
        if not record.deleted:
            table.taken.update(dict.fromkeys(_keys(new), record))
        table.order = None
        self.changed(change, record, actor)

    # --- links ---

    def _check_link(self, new: Fields) -> None:
        for name, category in (("contactId", "contact"), ("companyId", "company")):
            try:
                self.find(category, new[name])
            except Problem:
                raise invalid(**{name: f"The {name} field names no {category}."}) from None

    def _unset_other_primary(self, link: Record) -> None:
        for other in self.links(contactId=link.fields["contactId"]):
            if other is not link:
                other.fields = {**other.fields, "isPrimary": False}

    def links(self, **ends: str) -> list[Record]:
        """The living links with these ends (contactId=…, companyId=…), the primary ones first."""
        rows = self.tables["link"].rows.values()
        found = [
            r for r in rows if not r.deleted and all(r.fields[name] == key for name, key in ends.items())
        ]
        return sorted(found, key=lambda link: not link.fields["isPrimary"])

    # --- how records read ---

    def now(self) -> datetime:
        """The time of a write, as precise as the vendor keeps it (PS29)."""
        now = self.clock().astimezone(UTC)
        match self.switches.ps29:
            case 7:
                return now
            case 3:
                return now.replace(microsecond=now.microsecond // 1000 * 1000)
            case _:
                return now.replace(microsecond=0)

    def time(self, at: datetime) -> str:
        """A time as the vendor writes it: 2026-05-18T20:22:36.9590000Z."""
        decimals = {7: f".{at.microsecond:06}0", 3: f".{at.microsecond // 1000:03}", 0: ""}
        return f"{at:%Y-%m-%dT%H:%M:%S}{decimals[self.switches.ps29]}Z"

    def view(self, record: Record) -> dict[str, Any]:
        """A record as the API gives it (models Contact, Company; ref GET links)."""
        match record.category:
            case "contact":
                own = self._contact(record)
            case "company":
                own = self._company(record)
            case _:
                own = {name: record.fields[name] for name in ("contactId", "companyId", "jobTitle")}
        return {
            "id": str(record.id),
            **own,
            "createdUtc": self.time(record.created),
            "updatedUtc": self.time(record.updated),
            "deletedUtc": self.time(record.deleted) if record.deleted else None,
            "etag": record.etag,
            "changeType": _CHANGE[record.change],
            "changeOrigin": record.origin,
        }

    def _contact(self, record: Record) -> dict[str, Any]:
        f = record.fields
        shown = ("externalRefs", "firstName", "lastName", "email", "phone", "linkedInUrl")
        links = [*self._ends(record, "contactId", "companyId", "company")]
        return {
            "uri": uri(record),
            **{name: f[name] for name in shown},
            "emails": [{**entry, "isPrimary": entry["address"] == f["email"]} for entry in f["emails"]],
            "phones": [{**entry, "isPrimary": entry["number"] == f["phone"]} for entry in f["phones"]],
            **{name: f[name] for name in ("primaryLanguage", "tags", "strategy")},
            "primaryCompanyId": next((end["id"] for end in links if end["isPrimary"]), None),
            "companies": links,
            "profilePictureUrl": None,
        }

    def _company(self, record: Record) -> dict[str, Any]:
        shown = ("externalRefs", "name", "countryCode", "domain", "homepageUrl")
        return {
            "uri": uri(record),
            **{name: record.fields[name] for name in shown},
            "contacts": [*self._ends(record, "companyId", "contactId", "contact")],
            **{name: record.fields[name] for name in ("linkedInUrl", "strategy", "tags")},
            "profilePictureUrl": None,
        }

    def _ends(self, record: Record, here: str, there: str, category: str) -> Iterator[dict[str, Any]]:
        names = ("name",) if category == "company" else ("firstName", "lastName", "email")
        for link in self.links(**{here: str(record.id)}) if self.tables["link"].rows else ():
            end = self.tables[category].rows[int(link.fields[there])]
            if not end.deleted:
                yield {
                    "id": str(end.id),
                    "uri": uri(end),
                    **{name: end.fields[name] for name in names},
                    "jobTitle": link.fields["jobTitle"],
                    "isPrimary": bool(link.fields["isPrimary"]),
                }


def uri(record: Record) -> str:
    """An opaque deep link."""
    return f"https://app.propstreet.com/network/{_PLURAL[record.category]}/{record.id}"


def _keys(fields: Fields) -> list[Key]:
    keys: list[Key] = [
        ("reference", *rules.reference_key(r["namespace"], r["id"])) for r in fields.get("externalRefs", ())
    ]
    if fields.get("email"):
        keys.append(("email", fields["email"].casefold()))
    return keys
