"""One tenant on paper: a log in memory, the real fold, the real decisions, and two vendors that people edit.

A pair is about one category; others can stand beside it, where its records join theirs. Nothing runs by itself: a test
says when a read leaves and when it arrives, when a write is attempted, taken and answered, and whose clock says what.
What goes into the log is each vendor's own JSON, judged as the log judges it.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from daemon.deliver.target import Met, ready
from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import (
    FIRST_SYNC,
    LOG_RESTORED,
    SCHEMA_VERSION,
    BatchHeld,
    BatchReleased,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandHeld,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    ConflictResolved,
    Decision,
    Event,
    FirstSyncReleased,
    LogRestored,
    NewEvent,
    Reading,
    RecordRemoved,
    RecordsLinked,
    Want,
    encode,
)
from daemon.domain.fields import Value
from daemon.domain.settings import Mode, SyncSettings
from daemon.domain.streams import (
    LOG_STREAM,
    PROPSTREET,
    VENDORS,
    VITEC,
    batch_stream,
    derived_id,
    entity_stream,
    first_sync_stream,
    other,
    record_stream,
)
from daemon.ingest import propstreet_webhooks, vitec_notifications
from daemon.mappings import lens
from daemon.mappings.lens import REFERENCE, REMOVED, Options, Patch
from daemon.policies.brakes import Brakes, Vanished, standing, weigh
from daemon.policies.deciding import decide
from daemon.policies.failing import Stuck, held_of
from daemon.policies.linking import JOINING, abroad, far_keys
from daemon.policies.merging import heir_of, passed_on
from daemon.policies.operating import Said, Word
from daemon.policies.plan import Context, Plan, Refused, expected
from daemon.policies.restoring import Restored, Settled, restore
from daemon.policies.syncing import replaceable, still_due
from daemon.storage.log import KnownRecord, Read, check, judge
from projections.commands import CommandRow
from projections.conflicts import conflict_row
from projections.entities import keys_of
from projections.entity import Entity, Pending, Shadow, Side
from projections.removals import undecided
from projections.views import Fold
from tests.unit.desks import ADR, DESKS, KEY, TABLE, Desk, Fields, StaleError, stamp

__all__ = ["ADR", "KEY", "Fields", "StaleError"]  # and what is made here

TENANT = "oslo"
START = datetime(2026, 5, 18, 10, 0, tzinfo=UTC)
FIRST = {VITEC: ADR, PROPSTREET: KEY}
CATALOGUE = tuple(
    (key, tag.title(), False, kind) for key, tag in TABLE.items() for kind in ("Person", "Company")
)
OPTIONS = Options(
    customer_id="M11385", note="strategy", categories=TABLE, company_categories=TABLE, catalogue=CATALOGUE
)
SYNC = SyncSettings(categories=TABLE, company_categories=TABLE, note="strategy")
MARK = uuid.UUID("5b0c7a52-7a52-4f5e-9d5e-3f1f6a0c9a11")
ANNA: Fields = {
    "first_name": "Anna",
    "last_name": "Berg",
    "email": "anna@example.se",
    "phone": "+46701740605",
    "strategy": None,
    "tags": ("investor",),
}


@dataclass
class Glance:
    """A read that has left: the log's head when it was sent, and what the vendor answers."""

    pair: "Pair"
    vendor: str
    category: str
    record: str
    started: int
    payload: bytes

    def arrive(self, *, always: bool = False) -> list[Event]:
        """It is in the log, unless it says nothing new."""
        via = "fetch" if always else "poll"
        read = self.pair.as_read(
            self.vendor, self.record, self.payload, self.started, via, always=always, category=self.category
        )
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
        desk = self.pair.desk(self.target, self.entity.category)
        self.record = self.pending.record
        if self.record is None:
            parts = self.pending.parts or {}
            self.record = desk.new_id(parts)
            desk.add(self.record, reference=self.pending.reference, parts=parts)
        elif REMOVED in self.pending.want:
            desk.remove(self.record)
            return self
        elif self.target == PROPSTREET and self.pending.etag != f'W/"{desk.rows[self.record].etag}"':
            raise StaleError
        desk.take(self.record, self.patch)
        if self.target == PROPSTREET:
            self.answer = desk.payload(self.record)
        return self

    def succeed(self) -> None:
        """The answer arrives; at Vitec the record is read back now."""
        assert self.record is not None
        category = self.entity.category
        if REMOVED in self.pending.want:
            self.pair.confirm_gone(self.target, self.record, category, evidence="removed_by_us")
            self._end(CommandSucceeded(self.pending.command, self.record))
            return
        started = self.started if self.target == PROPSTREET else self.pair.head
        payload = self.answer or self.pair.desk(self.target, category).payload(self.record)
        read = self.pair.as_read(
            self.target,
            self.record,
            payload,
            started,
            "readback",
            always=True,
            command=self.pending.command,
            category=category,
        )
        items: list[NewEvent | Read] = [read]
        if self.pending.record is None:
            ids = {self.target: self.record, other(self.target): self.entity.sides[other(self.target)].record}
            link = RecordsLinked(self.entity.id, ids[VITEC], ids[PROPSTREET], "created")
            items.insert(0, self.pair.ours(self.entity, link))
        odd = self._unconfirmed(payload)
        done = CommandSucceeded(self.pending.command, self.record, odd)
        decisions = (done, *self._ignored(odd))
        self.pair.append([*items, *(self.pair.ours(self.entity, decision) for decision in decisions)])

    def _unconfirmed(self, payload: bytes) -> tuple[str, ...]:
        """The fields that read back as something else (G11)."""
        mapping, options = lens(self.target, self.entity.category), self.pair.options
        read = mapping.get(payload, options).fields
        takes = mapping.on_create if self.pending.record is None else None
        return tuple(
            field
            for field, want in sorted(self.pending.want.items())
            if field not in mapping.pseudo and (takes is None or field in takes)
            if not mapping.kept(field, want.value, read.get(field), options)
        )

    def _ignored(self, odd: tuple[str, ...]) -> Iterable[Decision]:
        """What the deliverer holds of a probed field that was taken without effect (S31)."""
        probed = lens(self.target, self.entity.category).probed
        want = {field: self.pending.want[field] for field in odd if field in probed}
        if want:
            command = str(derived_id("ignored", self.pending.command))
            yield self._held(command, want, "not_writable", "Propstreet took it and did not change it")

    def lose(self, *, taken: bool = False) -> None:
        """No answer came, or the daemon died: the outcome is unknown; or it was `taken`, and not read back."""
        self._end(CommandUnknown(self.pending.command, "UnknownOutcome", taken=taken))

    def fail(self, *, read_again: bool = False, retry_at: datetime | None = None) -> None:
        """It certainly did not happen: 412, or something that passes."""
        self._end(CommandFailed(self.pending.command, "Stale", 412, retry_at, read_again))

    def refuse(self) -> None:
        """A 4xx: it will never be taken."""
        self._end(CommandDeadLettered(self.pending.command, "phone", 400))

    def hold(self, reason: str) -> None:
        """It must not be sent, or not again."""
        self._end(self._held(self.pending.command, self.pending.want, reason, "see to it"))

    def _held(self, command: str, want: dict[str, Want], reason: str, detail: str) -> CommandHeld:
        entity, record = self.entity, self.pending.record
        return CommandHeld(command, entity.id, entity.category, self.target, record, want, reason, detail)

    def _end(self, decision: Decision) -> None:
        self.pair.append([self.pair.ours(self.entity, decision)])


class Pair:
    """The log of one tenant, both vendors, and whoever ingests, decides and delivers."""

    def __init__(
        self,
        category: str = "contact",
        *,
        beside: Iterable[str] = (),
        options: Options = OPTIONS,
        sync: SyncSettings = SYNC,
        mode: Mode = "live",
        incarnation: uuid.UUID = MARK,
    ) -> None:
        self.category, self.options, self.sync, self.mode = category, options, sync, mode
        self.incarnation = incarnation
        self.now = START
        self.ready = True
        self.awaits_polls = False
        self.events: list[Event] = []
        self.fold = Fold(TENANT, options)
        self._desks: dict[tuple[str, str], Desk] = {
            (each, vendor): DESKS[each, vendor](each, self.later)
            for each in (category, *beside)
            for vendor in VENDORS
        }
        self.vitec, self.propstreet = (self.desk(vendor) for vendor in VENDORS)
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
        version = self._versions.get(new.stream, 0) + 1
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
        self._store(event)
        return [event]

    def _store(self, event: Event) -> None:
        self.events.append(event)
        self._stored.add(event.event_id)
        self._versions[event.stream] = event.version
        self._remember(event)
        self.fold.evolve([event])

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

    def rewind(self, upto: int | None = None) -> None:
        """The log is the one that ended at `upto`, and says so; the vendors are as they are, and nothing counts as read."""
        backup = self.events[:upto]
        known = len(self.events)
        self.events, self.fold = [], Fold(TENANT, self.options)
        self._versions, self._stored, self._known, self._read = {}, set(), {}, {}
        self.polled = dict.fromkeys(VENDORS, -1)
        for event in backup:
            self._store(event)
        self.incarnation = derived_id(TENANT, "mark", str(known), str(self.now))
        restored = encode(LogRestored(self.incarnation, known))
        self.append(
            [
                NewEvent(
                    self.incarnation,
                    LOG_STREAM,
                    LOG_RESTORED,
                    "toveis",
                    self.now,
                    restored,
                    self.incarnation,
                )
            ]
        )

    def tell(self, *decisions: Decision) -> None:
        """Decisions, an operator's for instance, about the one entity."""
        self.append([self.ours(self.entity, decision) for decision in decisions])

    def restore(self, lost: ConflictResolved) -> Restored | Settled | Refused:
        """An operator brings back what lost; what is to be appended is in the log."""
        rows = [row for event in self.events if (row := conflict_row(TENANT, event)) is not None]
        row = next(row for row in reversed(rows) if row.conflict == lost.conflict)
        entity = self.fold.entities.resolve(row.entity)
        verdict = restore(entity, row, "kari", self.later(1), self.sync, self.fold.entities.same)
        if isinstance(verdict, Restored):
            assert entity is not None
            word = self.ours(entity, verdict.event)
            event_id = derived_id(TENANT, word.stream, word.type, verdict.event.conflict)
            word = msgspec.structs.replace(word, event_id=event_id, origin="operator")
            self.append([word], expected=expected((entity,)))
        return verdict

    # What is known

    def everything(self) -> list[tuple[str, str, str]]:
        """Vendor, category and id of every record that a vendor holds."""
        return [(v, category, record) for (category, v), desk in self._desks.items() for record in desk.rows]

    def desk(self, vendor: str, category: str | None = None) -> Desk:
        """A vendor's desk for a category."""
        return self._desks[category or self.category, vendor]

    @property
    def entity(self) -> Entity:
        """The one entity of this category."""
        [entity] = (e for e in self.fold.entities.by_id.values() if e.category == self.category)
        return entity

    def entity_of(self, vendor: str, record: str | None = None, category: str | None = None) -> Entity:
        """The entity that a record belongs to."""
        category = category or self.category
        record = record or self.desk(vendor, category).first
        return self.fold.entities.of_record(category, vendor, record, 0)[0]

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
        category: str | None = None,
        batch: str | None = None,
    ) -> Read:
        """What a poll, a fetch or a read-back brings to the log."""
        category = category or self.category
        stream = record_stream(category, vendor, record)
        return Read(
            stream=stream,
            origin=vendor,
            occurred_at=self._changed(vendor, category, payload),
            payload=payload,
            reading=Reading(via=via, started=started, command=command, first=first, batch=batch),
            correlation_id=derived_id(TENANT, stream, str(started)),
            always=always,
        )

    def _changed(self, vendor: str, category: str, payload: bytes) -> datetime:
        try:
            changed = lens(vendor, category).get(payload, self.options).changed
        except UntranslatablePayload:
            changed = None
        return min(changed or self.now, self.now)

    def glance(self, vendor: str, record: str | None = None, category: str | None = None) -> Glance:
        """A read leaves now and sees what the vendor holds now; it arrives when the test says so."""
        desk = self.desk(vendor, category)
        record = record or desk.first
        return Glance(self, vendor, desk.category, record, self.head, desk.payload(record))

    def read(self, *vendors: str) -> None:
        """A complete poll of these vendors (both, when none is named), and the fetches that are needed."""
        for vendor in vendors or VENDORS:
            started = self.head
            for (category, of), desk in self._desks.items():
                for record in desk.rows if of == vendor else ():
                    self.glance(vendor, record, category).arrive()
            self.polled[vendor] = started
            self.fetch(vendor)

    def fetch(self, vendor: str) -> None:
        """Read what must be read again; what is gone is a removal."""
        for entity in list(self.fold.entities.by_id.values()):
            side = entity.sides.get(vendor)
            check = side.check_at() if side is not None else None
            if side is None or (side.need is None and (check is None or check > self.now)):
                continue
            if side.record in self.desk(vendor, entity.category).rows:
                self.glance(vendor, side.record, entity.category).arrive(always=True)
            else:
                self.confirm_gone(vendor, side.record, entity.category)

    def confirm_gone(
        self,
        vendor: str,
        record: str | None = None,
        category: str | None = None,
        evidence: str = "not_found",
    ) -> None:
        """A read of one record was answered with 404, or with a list that lacks it."""
        desk = self.desk(vendor, category)
        stream = record_stream(desk.category, vendor, record or desk.first)
        event_id = derived_id(TENANT, stream, "RecordRemoved", str(self.head))
        data = encode(RecordRemoved(evidence))
        self.append([NewEvent(event_id, stream, "RecordRemoved", vendor, self.now, data, event_id)])
        known = self._known.setdefault(stream, KnownRecord(None, None, 0))
        known.event_id, known.content = event_id, None  # what is back is news, also if it looks as before

    def webhook(
        self,
        what: str = "updated",
        record: str | None = None,
        category: str | None = None,
        **change: object,
    ) -> bytes:
        """The body that Propstreet sends now for its record; `change` overrides parts of the resource."""
        desk = self.desk(PROPSTREET, category)
        resource = msgspec.json.decode(desk.payload(record)) | change
        return encode({"type": f"{desk.category}.{what}", "timestamp": stamp(self.now), "data": resource})

    def arrive(self, body: bytes, delivery: str | None = None) -> list[Event]:
        """A Propstreet delivery arrives."""
        self._deliveries += 1
        name = delivery or f"msg_{self._deliveries}"
        event = propstreet_webhooks.event_of(
            TENANT, name, body, self.now, test=False, store_national_ids=False
        )
        return self.append([event])

    def hint(self, record: str | None = None, category: str | None = None) -> list[Event]:
        """A Vitec notification arrives: something about this record changed."""
        desk = self.desk(VITEC, category)
        record = record or desk.first
        match desk.category:
            case "contact" | "company" as kind:
                subtype = "Person" if kind == "contact" else "Company"
                told = {"type": "Contact", "subtype": subtype, "id": record}
            case "project":
                told = {"type": "Estate", "subtype": "CommercialProperty", "id": record}
            case "note":
                told = {"type": "Note", "id": record, "relId2": desk.rows[record].parts["contact"]}
            case _:
                estate, _, contact = record.partition(":")
                told = {"type": "EstateContact", "subtype": "Speculator", "relId1": estate, "relId2": contact}
        return self.notify(event="Update", **told)

    def merge(self, source: str, into: str) -> list[Event]:
        """Vitec merges a person into another: it says so, and the source is gone."""
        self.desk(VITEC, "contact").rows.pop(source)
        for desk in (self._desks.get((category, VITEC)) for category in ("prospect", "link")):
            for record in [r for r in desk.rows if r.endswith(f":{source}")] if desk is not None else ():
                assert desk is not None
                moved = desk.rows.pop(record)
                moved.id = record.replace(source, into)
                desk.rows.setdefault(moved.id, moved)
        return self.notify(
            type="Merge", event="Merge", subtype="Person", destinationId=into, sourceIds=[source]
        )

    def notify(self, **told: object) -> list[Event]:
        """A Vitec notification arrives."""
        self._deliveries += 1
        return self.append(
            vitec_notifications.events_of(
                TENANT, uuid.UUID(int=self._deliveries), encode(told), {}, self.now, store_national_ids=False
            )
        )

    # React

    def plan(self, entity: Entity | None = None) -> Plan:
        """What is due for an entity now."""
        entity = entity or self.entity
        return decide(entity, self.context(entity))

    def context(self, entity: Entity) -> Context:
        """What the reactor decides with."""
        kin = self.kin(entity)
        return Context(
            self.sync,
            self.options,
            self.mode,
            self.incarnation,
            {vendor: self._read_since(entity, vendor) for vendor in VENDORS},
            self.ready,
            tuple(self._candidates(entity, kin)),
            kin,
            self.refused(),
            self._heir(entity, kin),
            self.polled if self.awaits_polls else dict.fromkeys(VENDORS, self.head),
            self.brakes(),
            frozenset(row.category for row in self.fold.batches.values() if row.kind == FIRST_SYNC),
        )

    def _heir(self, entity: Entity, kin: dict[str, Entity]) -> Entity | None:
        """Who has the place of a record that was merged away, also where that one was merged away itself."""
        heir, record = None, heir_of(entity, kin)
        while record is not None:
            known = self.fold.entities.by_record.get((record[0], VITEC, record[1]))
            heir = self.fold.entities.resolve(known) if known is not None else None
            record = passed_on(heir) if heir is not None else None
        return heir

    def brakes(self) -> Brakes:
        """What the brakes hold; what is decided of batches on the way is in the log."""
        batches = list(self.fold.batches.values())
        released = standing(batches).released
        everybody = [e for e in self.fold.entities.by_id.values() if len(e.sides) == 2]
        found: dict[tuple[str, str], int] = {}
        for entity, vendor in ((e, v) for e in everybody for v in VENDORS):
            kind = (vendor, entity.category)
            if (undecided(entity, vendor) or 0) > released.get(kind, 0):
                found[kind] = found.get(kind, 0) + 1
        vanished = {
            (vendor, category): Vanished(
                count,
                sum(e.category == category and e.sides[vendor].need is not None for e in everybody),
                sum(e.category == category for e in everybody),
            )
            for (vendor, category), count in found.items()
        }
        brakes, decided = weigh(TENANT, batches, vanished, self.sync.delete_brake)
        for decision in decided:
            self.of_batch(decision)
        return brakes

    def of_batch(self, decision: BatchHeld | BatchReleased) -> None:
        """What becomes of a batch, in its own stream."""
        stream, kind = batch_stream(decision.batch), type(decision).__name__
        event_id = derived_id(TENANT, stream, kind)
        self.append([NewEvent(event_id, stream, kind, "toveis", self.now, encode(decision), event_id)])

    def let_go(self, category: str) -> None:
        """An operator releases what only the first polls saw of a category."""
        stream, kind = first_sync_stream(TENANT, category), FirstSyncReleased.__name__
        data, event_id = encode(FirstSyncReleased(category, "kari")), derived_id(TENANT, stream, kind)
        self.append([NewEvent(event_id, stream, kind, "operator", self.now, data, event_id)])

    def kin(self, entity: Entity) -> dict[str, Entity]:
        """The entities that this one joins; Vitec knows persons and companies alike as contacts."""
        kin: dict[str, Entity] = {}
        for vendor in VENDORS:
            side = entity.sides.get(vendor)
            for part, record in side.parts.items() if side is not None else ():
                both = (vendor, part) == (VITEC, "contact")
                for category in ("company", "contact") if both else (part,):
                    name = self.fold.entities.by_record.get((category, vendor, record))
                    found = self.fold.entities.resolve(name) if name is not None else None
                    if found is not None:
                        kin.setdefault(part, found)
        return kin

    def refused(self) -> frozenset[tuple[str, str, str]]:
        """What a vendor took without effect, or not at all."""
        return frozenset(
            (row.target, row.category, field)
            for row in self.fold.commands.values()
            for field in (*row.unconfirmed, *(row.fields if row.state in ("held", "discarded") else ()))
            if row.unconfirmed or row.reason == "not_writable"
            if not self._released_since(row, field)
        )

    def _released_since(self, row: CommandRow, field: str) -> bool:
        """An operator wants such a field tried once more."""
        return any(
            each.state == "released"
            and (each.target, each.category) == (row.target, row.category)
            and field in each.fields
            and each.position > row.position
            for each in self.fold.commands.values()
        )

    def _read_since(self, entity: Entity, vendor: str) -> int:
        side = entity.sides.get(vendor)
        if side is None:
            return -1
        stream = record_stream(entity.category, vendor, side.record)
        return max(self.polled[vendor], self._read.get(stream, -1))

    def _candidates(self, entity: Entity, kin: dict[str, Entity]) -> Iterable[Entity]:
        if len(entity.sides) != 1:
            return
        parts = abroad(entity, kin) if entity.category in JOINING else None
        keys = set(far_keys(entity, self.options, parts))
        for each in self.fold.entities.by_id.values():
            theirs = (keys_of(each.category, v, s, self.options) for v, s in each.sides.items())
            if each.category == entity.category and keys.intersection(*[set().union(*theirs)]):
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

    # The operator

    def obey(self, said: Said) -> str:
        """An operator's word goes into the log; what will follow. Fails when it was refused."""
        assert isinstance(said, Word), said
        self.carry(said.plan)
        return said.then

    # Deliver

    def attempt(self, target: str, entity: Entity | None = None) -> Writing | None:
        """Look, check that it is still due, and log the attempt; None when it is not due any more."""
        entity = entity or self.entity
        pending = entity.pending.get(target)
        if pending is None or pending.state == "flying" or not still_due(entity, target, pending):
            return None
        mapping, desk = lens(target, entity.category), self.desk(target, entity.category)
        wanted = {name: want.value for name, want in pending.want.items()}
        present: bytes | None = None
        patch = Patch({})
        if pending.record is None:
            takes = mapping.on_create
            wanted = {name: value for name, value in wanted.items() if takes is None or name in takes}
            if REFERENCE in mapping.pseudo:
                wanted[REFERENCE] = pending.reference
        elif target == VITEC:
            if pending.record not in desk.rows:
                self.confirm_gone(VITEC, pending.record, entity.category)
                return None
            present = desk.payload(pending.record)
            found = mapping.get(present, self.options).fields
            seen = replaceable(pending, found, self.options.region)
            if self.glance(VITEC, pending.record, entity.category).arrive(always=not seen):
                return None  # something new: it is decided on first
        else:
            present = self.events[entity.sides[target].head.event - 1].data.encode()
            envelope = msgspec.json.decode(present)
            present = encode(envelope["data"]) if "data" in envelope else present
        if REMOVED not in pending.want:
            patch = mapping.put(wanted, present, self.options, identity=pending.record)
            if pending.record is not None and (end := self._end_of(entity, target, pending, patch)):
                self.append([self.ours(entity, end)])
                return None
        side = entity.sides.get(target)
        attempted = CommandAttempted(
            pending.command,
            pending.attempts + 1,
            side.head.etag if side else None,
            side.head.time if side else None,
        )
        self.append([self.ours(entity, attempted)], expected=expected((entity,)))
        return Writing(self, entity, target, pending, patch, self.head)

    def _end_of(self, entity: Entity, target: str, pending: Pending, patch: Patch) -> Decision | None:
        """What ends a command of which, as the record now is, there is nothing to send."""
        match ready(patch):
            case Stuck() as stuck:
                return held_of(entity, target, pending, stuck)
            case Met(reason=reason):
                return CommandSuperseded(pending.command, reason)
        return None

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
