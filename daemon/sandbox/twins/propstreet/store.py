"""The records and the rules of writing them."""

import base64
import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from daemon.sandbox.twins.journal import content
from daemon.sandbox.twins.propstreet import fields as rules
from daemon.sandbox.twins.propstreet import schemas
from daemon.sandbox.twins.propstreet.checks import Check, Fields, cleaned
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.records import (
    CATEGORIES,
    VOLATILE,
    Actor,
    Key,
    Member,
    Place,
    Record,
    Table,
    Verb,
    keys,
    keys_of,
    place,
)
from daemon.sandbox.twins.propstreet.switches import Switches
from daemon.sandbox.twins.propstreet.views import Views

Action = Literal["created", "updated", "revived"]
Changed = Callable[[Verb, Record, Actor, Fields], None]


class Store:
    """Reads and writes by the vendor's rules.

    Every change is told to `changed(verb, record, actor, before)`, `before` being the fields until then.
    """

    def __init__(
        self,
        switches: Switches,
        clock: Callable[[], datetime],
        changed: Changed,
    ) -> None:
        self.switches = switches
        self.clock = clock
        self.changed = changed
        self.tables = {category: Table() for category in CATEGORIES}
        self.views = Views(switches, self.tables)
        self.cursors: dict[str, Place] = {}  # every cursor given out
        self._ids = itertools.count(1001)
        self._etags = itertools.count(0x2B44)

    # --- reading ---

    def find(self, category: str, key: str, *, deleted: bool = False, within: Member | None = None) -> Record:
        """The record of this id; raises Problem (404) when it is not there, or deleted and not asked for."""
        record = self.tables[category].rows.get(int(key)) if key.isascii() and key.isdigit() else None
        if record is None or (record.deleted and not deleted) or not _is_within(record, within):
            raise not_found()
        return record

    def by_reference(
        self, category: str, namespace: str, key: str, *, within: Member | None = None
    ) -> Record | None:
        """The living record with this external reference."""
        record = self.tables[category].taken.get(("reference", *rules.reference_key(namespace, key)))
        return record if record and _is_within(record, within) else None

    def page(
        self,
        category: str,
        *,
        size: int = 500,
        cursor: str | None = None,
        since: datetime | None = None,
        deleted: bool = False,
        within: Member | None = None,
        wanted: Callable[[Record], bool] = lambda record: True,
    ) -> tuple[list[Record], str | None]:
        """One page in the order of (updatedUtc, id) and the next page's cursor; `since` is inclusive.

        `within` leaves the records of one project, contact or company.

        Raises Problem (400) for a cursor that was never given out, or starts again (PS32).
        """
        rows = self.tables[category].ordered(within)
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

    def create(
        self, category: str, body: Mapping[str, Any], actor: Actor, *, project: str | None = None
    ) -> tuple[Record, bool]:
        """A new record and True; the one in its way and False, unchanged, as PS4 and PS24 say.

        `project` is the one whose prospect this becomes. Raises Problem: 400 for refused fields, 409 for what
        another record holds: a reference, an e-mail address, both ends of a link, a seat among the prospects.
        """
        given = self._cleaned(category, body, actor, "create")
        if project is not None:
            given["projectId"] = project
        new = self._new(category, given, actor)
        key, in_the_way = self._in_the_way(category, new, None)
        if in_the_way and actor == "api" and self._gives_existing(key):
            return in_the_way, False
        return self._insert(category, new, actor), True

    def _new(self, category: str, given: Fields, actor: Actor) -> Fields:
        new = rules.settled(category, schemas.blank(category), given, merge_references=False)
        schemas.require_something(category, new, by_api=actor == "api")
        return new

    def _gives_existing(self, key: Key) -> bool:
        match key[0]:
            case "seat":
                return self.switches.ps24 == "existing"
            case "ends":
                return False
            case _:
                return self.switches.ps4 == "existing"

    def update(
        self, record: Record, body: Mapping[str, Any], actor: Actor, *, etag: str | None = None
    ) -> bool:
        """Write these fields onto a record; False when nothing changed: then etag and webhooks rest.

        Raises Problem: 400 for refused fields, 409 when another holds the reference or address, 412 for a
        stale `etag` (PS3).
        """
        return self._write(record, self._cleaned(record.category, body, actor, "update"), actor, etag)

    def _write(self, record: Record, given: Fields, actor: Actor, etag: str | None) -> bool:
        self._check_etag(record, etag)
        merge = self.switches.ps19 == "merge" and actor == "api" and record.category in ("contact", "company")
        new = rules.settled(record.category, record.fields, given, merge_references=merge)
        if new == record.fields and not record.deleted:
            return False
        self._refuse_taken(record.category, new, record)
        self._check_ends(new, record.fields)
        self._commit(record, new, "updated", actor)
        return True

    def delete(
        self,
        record: Record,
        actor: Actor,
        *,
        etag: str | None = None,
        verb: Literal["deleted", "removed"] = "deleted",
    ) -> None:
        """Soft-delete a record, or remove a prospect: what it held is free again."""
        self._check_etag(record, etag)
        self._commit(record, record.fields, verb, actor)

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
            return self._insert(category, self._new(category, given, "api"), "api"), "created"
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
            (r for r in reversed(self.tables[category].ordered()) if r.deleted and key in keys_of(r)),
            None,
        )

    def _cleaned(
        self,
        category: str,
        body: Mapping[str, Any],
        actor: Actor,
        write: schemas.Write = "update",
        *,
        upsert: bool = False,
    ) -> Fields:
        limit = 100 if self.switches.ps34 == "400" else None
        checks = schemas.writable(category, write, by_api=actor == "api", tag_limit=limit)
        if (category, write, actor) == ("project", "update", "api") and "classification" in body:
            checks = self._with_classification(checks)
        given = cleaned(checks, body)
        if upsert or actor == "person" or self.switches.ps20 == "all":
            return rules.with_normal_phones(given)
        return given

    def _with_classification(self, checks: Mapping[str, Check]) -> Mapping[str, Check]:
        """PATCH of a project's classification: ignored, accepted or refused (PS5)."""
        match self.switches.ps5:
            case "400":
                raise invalid(classification="The classification field can not be written.")
            case "accepted":
                return {**checks, "classification": schemas.schema("project")["classification"]}
            case _:
                return checks

    def _check_etag(self, record: Record, etag: str | None) -> None:
        if not etag or etag == "*" or record.etag in (tag.strip() for tag in etag.split(",")):
            return
        detail = "The entity has been modified. Please refetch and retry."
        if self.switches.ps3 == 412:
            raise Problem(412, detail, kind="/help/precondition-failed")
        raise Problem(409, detail)

    def _in_the_way(self, category: str, new: Fields, own: Record | None) -> tuple[Key, Record | None]:
        taken = self.tables[category].taken
        found = ((key, taken[key]) for key in keys(category, new) if key in taken)
        return next(((key, record) for key, record in found if record is not own), ((), None))

    def _refuse_taken(self, category: str, new: Fields, own: Record | None) -> None:
        key, in_the_way = self._in_the_way(category, new, own)
        if in_the_way is None:
            return
        match key[0]:
            case "seat":
                raise Problem(409, "already_in_prospects")
            case "ends":
                raise Problem(409, "The contact and the company are already linked.")
            case _:
                raise Problem(409, f"A {category} with the same external reference or email already exists.")

    def _check_ends(self, new: Fields, present: Fields) -> None:
        """What a link, a prospect or a property names must be there."""
        for name, other in (("contactId", "contact"), ("companyId", "company"), ("projectId", "project")):
            if new.get(name) is None or new[name] == present.get(name):
                continue
            try:
                self.find(other, new[name])
            except Problem:
                raise invalid(**{name: f"The {name} field names no {other}."}) from None

    def _insert(self, category: str, new: Fields, actor: Actor) -> Record:
        self._refuse_taken(category, new, None)
        self._check_ends(new, {})
        now = self.now()
        record = Record(category, next(self._ids), new, created=now, updated=now)
        self._commit(record, new, "created", actor, at=now)
        return record

    def _commit(
        self, record: Record, new: Fields, change: Verb, actor: Actor, *, at: datetime | None = None
    ) -> None:
        table, before = self.tables[record.category], record.fields
        table.leave(record)
        record.fields, record.updated, record.change = new, at or self.now(), change
        record.deleted = record.updated if change in ("deleted", "removed") else None
        record.origin = "api" if actor == "api" else "ui"
        record.etag = self.etag()
        table.enter(record)
        if record.category == "link" and new["isPrimary"] and not record.deleted:
            self._unset_other_primary(record)
        self.changed(change, record, actor, before)

    def _unset_other_primary(self, link: Record) -> None:
        for other in self.views.links("contactId", link.fields["contactId"]):
            if other is not link:
                other.fields = {**other.fields, "isPrimary": False}

    def etag(self) -> str:
        """A version that no other has: `W/"` + base64 of an 8-byte counter + `"`."""
        return f'W/"{base64.b64encode(struct.pack(">Q", next(self._etags))).decode()}"'

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
        """A time as the vendor writes it."""
        return self.views.time(at)

    def view(self, record: Record) -> dict[str, Any]:
        """A record as the API gives it."""
        return self.views.of(record)

    def content(self, record: Record) -> dict[str, Any] | None:
        """A record as its users see it, without times and etag; None when it is deleted."""
        if record.deleted:
            return None
        unseen = {"isPrimary": bool(record.fields["isPrimary"])} if record.category == "link" else {}
        return content({**self.view(record), **unseen}, VOLATILE)


def _is_within(record: Record, within: Member | None) -> bool:
    return within is None or record.fields[within[0]] == within[1]
