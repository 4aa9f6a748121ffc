"""One tenant on paper: a log in memory, the real fold, the real decisions, and two vendors that people edit.

Nothing runs by itself: a test says when a read leaves and when it arrives, when a write is attempted, taken and
answered, and whose clock says what. What goes into the log is each vendor's own JSON, judged as the log judges it.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import (
    SCHEMA_VERSION,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    Decision,
    Event,
    NewEvent,
    Reading,
    RecordRemoved,
    RecordsLinked,
    encode,
)
from daemon.domain.fields import Value
from daemon.domain.settings import Mode, SyncSettings
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, derived_id, entity_stream, other, record_stream
from daemon.ingest import propstreet_webhooks, vitec_notifications
from daemon.mappings import lens
from daemon.mappings.lens import REFERENCE, Options, Patch
from daemon.policies.deciding import decide
from daemon.policies.plan import Context, Plan, expected
from daemon.policies.syncing import still_due
from daemon.storage.log import KnownRecord, Read, check, judge
from projections.entities import keys_of
from projections.entity import Entity, Pending, Shadow, Side
from projections.views import Fold

TENANT = "oslo"
START = datetime(2026, 5, 18, 10, 0, tzinfo=UTC)
ADR = "ADR0123456789ABCDEF0123456789ABCDEF"
KEY = "789"
FIRST = {VITEC: ADR, PROPSTREET: KEY}
SWEDEN = ZoneInfo("Europe/Stockholm")
TABLE = {"K1": "investor", "K2": "vip", "K3": "buyer", "K4": "seller"}
CATALOGUE = tuple(
    (key, tag.title(), False, kind) for key, tag in TABLE.items() for kind in ("Person", "Company")
)
OPTIONS = Options(
    customer_id="M11385", note="strategy", categories=TABLE, company_categories=TABLE, catalogue=CATALOGUE
)
SYNC = SyncSettings(categories=TABLE, company_categories=TABLE, note="strategy")
MARK = uuid.UUID("5b0c7a52-7a52-4f5e-9d5e-3f1f6a0c9a11")
Fields = dict[str, Any]
"""Our fields by name."""

ANNA: Fields = {
    "first_name": "Anna",
    "last_name": "Berg",
    "email": "anna@example.se",
    "phone": "+46701740605",
    "strategy": None,
    "tags": ("investor",),
}


@dataclass
class Row:
    """A record as its vendor keeps it: our fields, and what the payload carries besides."""

    id: str
    fields: dict[str, Value]
    created: datetime
    changed: datetime
    etag: int = 1
    reference: str | None = None
    deleted: datetime | None = None
    labels: tuple[str, ...] = ()
    extra: dict[str, object] = field(default_factory=dict)


class Desk:
    """One vendor, and the people who work in it. `keeps` is how it reshapes what it is given."""

    vendor = ""

    def __init__(self, pair: "Pair", category: str) -> None:
        self.pair, self.category = pair, category
        self.rows: dict[str, Row] = {}
        self.keeps: Callable[[str, Value], Value] = lambda _, value: value

    def add(self, record: str | None = None, *, reference: str | None = None, **fields: Value) -> str:
        """A person makes a record; its id."""
        record = record or FIRST[self.vendor]
        now = self.pair.later(1)
        self.rows[record] = Row(record, dict(fields), now, now, reference=reference)
        return record

    def edit(self, record: str | None = None, *, at: datetime | None = None, **fields: Value) -> None:
        """A person edits a record; `at` is what the vendor's clock says, else a second has passed."""
        self.change(self.rows[record or FIRST[self.vendor]], fields, at or self.pair.later(1))

    def change(self, row: Row, fields: dict[str, Value], at: datetime) -> None:
        """The vendor keeps new values under a new stamp."""
        row.fields |= {name: self.keeps(name, value) for name, value in fields.items()}
        row.changed = at
        row.etag += 1

    def remove(self, record: str | None = None) -> None:
        """A person deletes a record."""
        raise NotImplementedError

    def payload(self, record: str | None = None) -> bytes:
        """The record as the vendor's API gives it."""
        raise NotImplementedError

    def take(self, record: str, patch: Patch) -> None:
        """A write of ours arrives."""
        raise NotImplementedError

    def value(self, name: str, record: str | None = None) -> Value:
        """What the vendor holds in one of our fields."""
        return self.rows[record or FIRST[self.vendor]].fields.get(name)


class VitecDesk(Desk):
    """Vitec Connect: no etags, Swedish wall-clock times, categories that are added and deleted one by one."""

    vendor = VITEC

    def remove(self, record: str | None = None) -> None:
        """A removed contact is a 404 from then on."""
        del self.rows[record or ADR]

    def payload(self, record: str | None = None) -> bytes:
        """The typed read (CRM contact)."""
        row = self.rows[record or ADR]
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
        return encode(common | getattr(self, f"_{self.category}")(row.fields) | row.extra)

    def _contact(self, fields: dict[str, Value]) -> dict[str, object]:
        return {
            "type": "Person",
            "firstName": fields.get("first_name"),
            "lastName": fields.get("last_name"),
            "socialSecurityNumber": None,
            "email": {"emailAddress": fields.get("email"), "emailAddress2": None},
            "telephone": {"home": None, "work": None, "cell": fields.get("phone"), "other": None},
            "isDeceased": False,
        }

    def _company(self, fields: dict[str, Value]) -> dict[str, object]:
        country = fields.get("country")
        return {
            "type": "Company",
            "name": fields.get("name"),
            "corporateNumber": fields.get("organisation_number"),
            "homePage": fields.get("website"),
            "address": {"streetAddress": None, "zipCode": None, "city": None, "countryCode": country},
        }

    def take(self, record: str, patch: Patch) -> None:
        """UpdatePerson or UpdateCompany: categoryIds add, DELETE Category removes."""
        row, body = self.rows[record], patch.body
        names = lens(VITEC, self.category).names  # type: ignore[attr-defined]  # Vitec's lenses have them
        new: dict[str, Any] = {ours: body[name] for ours, name in names.items() if name in body}
        if isinstance(email := body.get("email"), dict):
            new["email"] = email["emailAddress"]
        if isinstance(address := body.get("address"), dict):
            new["country"] = address["countryCode"]
        added = body.get("categoryIds", [])
        assert isinstance(added, list)
        present = {key for key, tag in TABLE.items() if tag in (row.fields.get("tags") or ())}
        kept = (present | set(added)) - set(patch.remove_categories)
        new["tags"] = tuple(sorted(TABLE[key] for key in kept))
        self.change(row, new, self.pair.later(1))


class PropstreetDesk(Desk):
    """Propstreet: etags and If-Match, UTC with seven decimals, lists that are replaced whole."""

    vendor = PROPSTREET
    _names: ClassVar = {
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
    }

    def remove(self, record: str | None = None) -> None:
        """A removed record is softly deleted."""
        row = self.rows[record or KEY]
        row.deleted = self.pair.later(1)
        self.change(row, {}, row.deleted)

    def payload(self, record: str | None = None) -> bytes:
        """GET /network/contacts/{id} or /network/companies/{id}."""
        row = self.rows[record or KEY]
        references = [{"namespace": "Vitec-Next", "id": row.reference}] if row.reference else []
        if number := row.fields.get("organisation_number"):
            references.append({"namespace": "organization-number", "id": str(number)})
        body: dict[str, object] = {
            "id": row.id,
            "uri": None,
            "externalRefs": references,
            **{name: row.fields.get(ours) for ours, name in self._names[self.category].items()},
            "tags": [*(row.fields.get("tags") or ()), *row.labels],
            "primaryLanguage": None,
            "createdUtc": stamp(row.created),
            "updatedUtc": stamp(row.changed),
            "deletedUtc": stamp(row.deleted) if row.deleted else None,
            "etag": f'W/"{row.etag}"',
            "changeType": "update",
            "changeOrigin": None,
        }
        return encode(body | row.extra)

    def take(self, record: str, patch: Patch) -> None:
        """PATCH: it sets what it carries."""
        row, body = self.rows[record], patch.body
        names = self._names[self.category].items()
        new: dict[str, Any] = {ours: body[name] for ours, name in names if name in body}
        if "tags" in body:
            new["tags"] = tuple(sorted(tag for tag in body["tags"] if tag in TABLE.values()))  # type: ignore[attr-defined]
        for reference in body.get("externalRefs", []):  # type: ignore[attr-defined]
            if reference["namespace"].casefold() == "vitec-next":
                row.reference = reference["id"]
            else:
                new["organisation_number"] = reference["id"]
        self.change(row, new, self.pair.later(1))


class StaleError(Exception):
    """412: the etag is not the record's."""


@dataclass
class Glance:
    """A read that has left: the log's head when it was sent, and what the vendor answers."""

    pair: "Pair"
    vendor: str
    record: str
    started: int
    payload: bytes

    def arrive(self, *, always: bool = False) -> list[Event]:
        """It is in the log, unless it says nothing new."""
        via = "fetch" if always else "poll"
        read = self.pair.as_read(self.vendor, self.record, self.payload, self.started, via, always=always)
        return self.pair.append([read])


@dataclass
class Writing:
    """A write that was attempted: it is under way until a test says what became of it."""

    pair: "Pair"
    entity: Entity
    target: str
    pending: Pending
    patch: Patch
    started: int
    record: str | None = None
    answer: bytes | None = None

    def leave(self) -> "Writing":
        """The vendor takes it; raises StaleError where the etag of the decision is not the record's."""
        desk = self.pair.desks[self.target]
        self.record = self.pending.record
        if self.record is None:
            self.record = f"NEW{len(desk.rows)}"
            desk.add(self.record, reference=self.pending.reference)
        elif self.target == PROPSTREET and self.pending.etag != f'W/"{desk.rows[self.record].etag}"':
            raise StaleError
        desk.take(self.record, self.patch)
        if self.target == PROPSTREET:
            self.answer = desk.payload(self.record)
        return self

    def succeed(self) -> None:
        """The answer arrives; at Vitec the record is read back now."""
        assert self.record is not None
        started = self.started if self.target == PROPSTREET else self.pair.head
        payload = self.answer or self.pair.desks[self.target].payload(self.record)
        read = self.pair.as_read(
            self.target, self.record, payload, started, "readback", always=True, command=self.pending.command
        )
        items: list[NewEvent | Read] = [read]
        if self.pending.record is None:
            ids = {self.target: self.record, other(self.target): self.entity.sides[other(self.target)].record}
            link = RecordsLinked(self.entity.id, ids[VITEC], ids[PROPSTREET], "created")
            items.insert(0, self.pair.ours(self.entity, link))
        done = CommandSucceeded(self.pending.command, self.record)
        self.pair.append([*items, self.pair.ours(self.entity, done)])

    def lose(self) -> None:
        """No answer came, or the daemon died: the outcome is unknown."""
        self._end(CommandUnknown(self.pending.command, "UnknownOutcome"))

    def fail(self, *, read_again: bool = False, retry_at: datetime | None = None) -> None:
        """It certainly did not happen: 412, or something that passes."""
        self._end(CommandFailed(self.pending.command, "Stale", 412, retry_at, read_again))

    def refuse(self) -> None:
        """A 4xx: it will never be taken."""
        self._end(CommandDeadLettered(self.pending.command, "phone", 400))

    def _end(self, decision: Decision) -> None:
        self.pair.append([self.pair.ours(self.entity, decision)])


class Pair:
    """The log of one tenant, both vendors, and whoever ingests, decides and delivers."""

    def __init__(
        self,
        category: str = "contact",
        *,
        options: Options = OPTIONS,
        sync: SyncSettings = SYNC,
        mode: Mode = "live",
        incarnation: uuid.UUID = MARK,
    ) -> None:
        self.category, self.options, self.sync, self.mode = category, options, sync, mode
        self.incarnation = incarnation
        self.now = START
        self.ready = True
        self.events: list[Event] = []
        self.fold = Fold(TENANT, options)
        self.vitec = VitecDesk(self, category)
        self.propstreet = PropstreetDesk(self, category)
        self.desks: dict[str, Desk] = {VITEC: self.vitec, PROPSTREET: self.propstreet}
        self.polled: dict[str, int] = dict.fromkeys(VENDORS, -1)
        self._versions: dict[str, int] = {}
        self._stored: set[uuid.UUID] = set()
        self._known: dict[str, KnownRecord] = {}
        self._read: dict[str, int] = {}
        self._deliveries = 0

    # The clock and the log

    def later(self, seconds: float) -> datetime:
        """Time passes."""
        self.now += timedelta(seconds=seconds)
        return self.now

    @property
    def head(self) -> int:
        """The position of the newest event."""
        return len(self.events)

    def append(
        self, items: Iterable[NewEvent | Read], *, expected: dict[str, int] | None = None
    ) -> list[Event]:
        """One transaction: judged, numbered, and folded at once. Raises WrongExpectedVersion."""
        check(expected or {}, {s: self._versions.get(s, 0) for s in expected or {}})
        return [event for item in items for event in self._place(item)]

    def _place(self, item: NewEvent | Read) -> list[Event]:
        if isinstance(item, NewEvent):
            return self._add(item)
        known = self._known.setdefault(item.stream, KnownRecord(None, None, 0))
        new = judge(item, known, TENANT, self.head)
        events = [] if new is None else self._add(new)
        known.ended = max(known.ended, self.head)
        if item.reading.started is not None:
            self._read[item.stream] = max(self._read.get(item.stream, -1), item.reading.started)
        return events

    def _add(self, new: NewEvent) -> list[Event]:
        if new.event_id in self._stored:
            return []
        self._stored.add(new.event_id)
        version = self._versions[new.stream] = self._versions.get(new.stream, 0) + 1
        event = Event(
            position=self.head + 1,
            event_id=new.event_id,
            stream=new.stream,
            version=version,
            type=new.type,
            schema_version=SCHEMA_VERSION,
            origin=new.origin,
            occurred_at=new.occurred_at,
            recorded_at=self.now,
            causation_id=new.causation_id,
            correlation_id=new.correlation_id,
            data=new.data.decode(),
            meta=None if new.meta is None else new.meta.decode(),
        )
        self.events.append(event)
        self._remember(event)
        self.fold.evolve([event])
        return [event]

    def _remember(self, event: Event) -> None:
        if event.type == "RecordObserved":
            content = msgspec.json.decode(event.data)
            if inside := msgspec.json.decode(event.meta or "{}").get("inside"):
                content = content[inside]
            known = self._known.setdefault(event.stream, KnownRecord(None, None, 0))
            known.event_id, known.content = event.event_id, content

    def ours(
        self, entity: Entity, decision: Decision, *, version: int = 0, name: str | None = None
    ) -> NewEvent:
        """A decision of ours as an event in the entity's stream."""
        data, kind = encode(decision), type(decision).__name__
        return NewEvent(
            event_id=derived_id(TENANT, name or entity.id, str(version), kind, data.decode(), str(self.head)),
            stream=entity_stream(entity.category, name or entity.id),
            type=kind,
            origin="toveis",
            occurred_at=self.now,
            data=data,
            correlation_id=entity.correlation,
            causation_id=entity.cause,
        )

    def tell(self, *decisions: Decision) -> None:
        """Decisions, an operator's for instance, about the one entity."""
        self.append([self.ours(self.entity, decision) for decision in decisions])

    # What is known

    @property
    def entity(self) -> Entity:
        """The one entity of this tenant."""
        [entity] = self.fold.entities.by_id.values()
        return entity

    def entity_of(self, vendor: str, record: str) -> Entity:
        """The entity that a record belongs to."""
        return self.fold.entities.of_record(self.category, vendor, record, 0)[0]

    def side(self, vendor: str) -> Side:
        """One side of the one entity."""
        return self.entity.sides[vendor]

    def shadow(self, vendor: str, name: str) -> Shadow:
        """What we believe a vendor holds in a field."""
        return self.side(vendor).shadow[name]

    def values(self, name: str) -> tuple[Value, Value]:
        """What Vitec and Propstreet really hold."""
        return self.vitec.value(name), self.propstreet.value(name)

    def agreed(self, name: str) -> bool:
        """Neither side has changed this field since both last meant the same."""
        return not any(self.entity.changed(vendor, name) for vendor in VENDORS)

    def told(self, kind: type[Decision]) -> list[Any]:
        """Every decision of a kind that the log holds, oldest first."""
        return [msgspec.json.decode(e.data, type=kind) for e in self.events if e.type == kind.__name__]

    # Ingest

    def as_read(
        self,
        vendor: str,
        record: str,
        payload: bytes,
        started: int,
        via: str,
        *,
        always: bool = False,
        command: str | None = None,
        first: bool = False,
    ) -> Read:
        """What a poll, a fetch or a read-back brings to the log."""
        stream = record_stream(self.category, vendor, record)
        return Read(
            stream=stream,
            origin=vendor,
            occurred_at=self._changed(vendor, payload),
            payload=payload,
            reading=Reading(via=via, started=started, command=command, first=first),
            correlation_id=derived_id(TENANT, stream, str(started)),
            always=always,
        )

    def _changed(self, vendor: str, payload: bytes) -> datetime:
        try:
            changed = lens(vendor, self.category).get(payload, self.options).changed
        except UntranslatablePayload:
            changed = None
        return min(changed or self.now, self.now)

    def glance(self, vendor: str, record: str | None = None) -> Glance:
        """A read leaves now and sees what the vendor holds now; it arrives when the test says so."""
        record = record or FIRST[vendor]
        return Glance(self, vendor, record, self.head, self.desks[vendor].payload(record))

    def read(self, *vendors: str) -> None:
        """A complete poll of these vendors (both, when none is named), and the fetches that are needed."""
        for vendor in vendors or VENDORS:
            started = self.head
            for record in self.desks[vendor].rows:
                self.glance(vendor, record).arrive()
            self.polled[vendor] = started
            self.fetch(vendor)

    def fetch(self, vendor: str) -> None:
        """Read what must be read again; what is gone is a removal."""
        for entity in list(self.fold.entities.by_id.values()):
            side = entity.sides.get(vendor)
            if side is None or side.need is None:
                continue
            if side.record in self.desks[vendor].rows:
                self.glance(vendor, side.record).arrive(always=True)
            else:
                self.confirm_gone(vendor, side.record)

    def confirm_gone(self, vendor: str, record: str | None = None) -> None:
        """A read of one record was answered with 404."""
        stream = record_stream(self.category, vendor, record or FIRST[vendor])
        event_id = derived_id(TENANT, stream, "RecordRemoved", str(self.head))
        removed = NewEvent(
            event_id, stream, "RecordRemoved", vendor, self.now, encode(RecordRemoved("not_found")), event_id
        )
        self.append([removed])

    def webhook(self, what: str = "updated", record: str | None = None, **change: object) -> bytes:
        """The body that Propstreet sends now for its record; `change` overrides parts of the resource."""
        resource = msgspec.json.decode(self.propstreet.payload(record)) | change
        return encode({"type": f"{self.category}.{what}", "timestamp": stamp(self.now), "data": resource})

    def arrive(self, body: bytes, delivery: str | None = None) -> list[Event]:
        """A Propstreet delivery arrives."""
        self._deliveries += 1
        name = delivery or f"msg_{self._deliveries}"
        event = propstreet_webhooks.event_of(
            TENANT, name, body, self.now, test=False, store_national_ids=False
        )
        return self.append([event])

    def hint(self, record: str = ADR) -> list[Event]:
        """A Vitec notification arrives: something about this record changed."""
        self._deliveries += 1
        subtype = "Person" if self.category == "contact" else "Company"
        body = encode({"type": "Contact", "subtype": subtype, "event": "Update", "id": record})
        return self.append(
            vitec_notifications.events_of(
                TENANT, uuid.UUID(int=self._deliveries), body, {}, self.now, store_national_ids=False
            )
        )

    # React

    def plan(self, entity: Entity | None = None) -> Plan:
        """What is due for an entity now."""
        entity = entity or self.entity
        return decide(entity, self.context(entity))

    def context(self, entity: Entity) -> Context:
        """What the reactor decides with."""
        return Context(
            self.sync,
            self.options,
            self.mode,
            self.incarnation,
            {vendor: self._read_since(entity, vendor) for vendor in VENDORS},
            self.ready,
            tuple(self._candidates(entity)),
        )

    def _read_since(self, entity: Entity, vendor: str) -> int:
        side = entity.sides.get(vendor)
        if side is None:
            return -1
        return max(self.polled[vendor], self._read.get(record_stream(self.category, vendor, side.record), -1))

    def _candidates(self, entity: Entity) -> Iterable[Entity]:
        if len(entity.sides) != 1:
            return
        [(vendor, side)] = entity.sides.items()
        keys = set(keys_of(self.category, vendor, side, self.options))
        for each in self.fold.entities.by_id.values():
            theirs = (keys_of(self.category, v, s, self.options) for v, s in each.sides.items())
            if keys.intersection(*[set().union(*theirs)]):
                yield each

    def decide(self) -> list[Decision]:
        """One look at every entity; what was decided is in the log."""
        decided: list[Decision] = []
        for name in list(self.fold.entities.by_id):
            entity = self.fold.entities.by_id.get(name)
            if entity is not None:
                decided += self.carry(self.plan(entity))
        return decided

    def carry(self, plan: Plan) -> list[Decision]:
        """Append a plan, as the reactor does; raises WrongExpectedVersion when it was overtaken."""
        if plan.events:
            basis = plan.basis[0]
            version = basis.version
            items = [self.ours(basis, d, version=version, name=name) for name, d in plan.events]
            self.append(items, expected=expected(plan.basis))
        return [decision for _, decision in plan.events]

    # Deliver

    def attempt(self, target: str, entity: Entity | None = None) -> Writing | None:
        """Look, check that it is still due, and log the attempt; None when it is not due any more."""
        entity = entity or self.entity
        pending = entity.pending.get(target)
        if pending is None or pending.state == "flying" or not still_due(entity, target, pending):
            return None
        wanted = {name: want.value for name, want in pending.want.items()}
        present: bytes | None = None
        if pending.record is not None:
            present = self.desks[target].payload(pending.record)
            if target == VITEC and self.glance(VITEC, pending.record).arrive():
                return None  # something new: it is decided on first
            if target == PROPSTREET:
                present = self.events[entity.sides[target].head.event - 1].data.encode()
                envelope = msgspec.json.decode(present)
                present = encode(envelope["data"]) if "data" in envelope else present
        elif target == PROPSTREET:
            wanted[REFERENCE] = pending.reference
        patch = lens(target, self.category).put(wanted, present, self.options, identity=pending.record)
        side = entity.sides.get(target)
        attempted = CommandAttempted(
            pending.command,
            pending.attempts + 1,
            side.head.etag if side else None,
            side.head.time if side else None,
        )
        self.append([self.ours(entity, attempted)], expected=expected((entity,)))
        return Writing(self, entity, target, pending, patch, self.head)

    def deliver(self, target: str, entity: Entity | None = None) -> bool:
        """A whole write that goes well; a stale one is a 412. Whether anything was written."""
        writing = self.attempt(target, entity)
        if writing is None:
            return False
        try:
            writing.leave().succeed()
        except StaleError:
            writing.fail(read_again=True)
        return True

    def discard(self, target: str) -> None:
        """What the deliverer does with a command whose values are there already."""
        pending = self.entity.pending[target]
        self.append(
            [self.ours(self.entity, CommandSuperseded(pending.command, "the value is there already"))]
        )

    def sync_up(self, rounds: int = 12) -> int:
        """Read, decide and deliver until nothing is left; the number of writes. Fails if it never ends."""
        writes = 0
        for _ in range(rounds):
            self.read()
            if not self.decide() and not any(e.pending for e in self.fold.entities.by_id.values()):
                return writes
            for entity in list(self.fold.entities.by_id.values()):
                writes += sum(self.deliver(target, entity) for target in list(entity.pending))
        raise AssertionError(f"not quiet after {rounds} rounds")


def wall_clock(at: datetime) -> str:
    """Swedish wall-clock time without offset, 0-3 decimals."""
    text = at.astimezone(SWEDEN).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23]
    return text.rstrip("0").rstrip(".")


def stamp(at: datetime) -> str:
    """UTC with seven decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def linked(
    category: str = "contact", *, sync: SyncSettings = SYNC, mode: Mode = "live", **fields: Value
) -> Pair:
    """A pair that agrees on everything and has nothing to do."""
    pair = Pair(category, sync=sync)
    both = (ANNA | fields) if category == "contact" else fields
    pair.vitec.add(**both)
    pair.propstreet.add(reference=ADR, **both)
    assert pair.sync_up() == 0
    pair.mode = mode
    return pair
