"""A believable log of one tenant, made in memory: two vendors' people edit, Toveis decides, writes and is refused.

Nothing here touches a database. Every decision is one that `daemon.policies` took, every observation a payload in its
vendor's own words; only chance says who does what, and a seed fixes chance.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec

from daemon.domain.events import (
    ACCEPTED,
    NOTIFIED,
    OBSERVED,
    OVERLAPPING,
    SCHEMA_VERSION,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandSucceeded,
    CommandUnknown,
    Decision,
    EntityReleased,
    Event,
    NewEvent,
    Reading,
    RecordRemoved,
    RecordsLinked,
    RecordsUnlinked,
    encode,
)
from daemon.domain.settings import PropstreetSettings, Secret, SyncSettings, TenantSettings, VitecSettings
from daemon.domain.streams import (
    PROPSTREET,
    VITEC,
    derived_id,
    entity_stream,
    inbox_stream,
    other,
    record_stream,
)
from daemon.mappings.lens import REFERENCE
from daemon.policies.deciding import decide
from daemon.policies.plan import Context
from daemon.processor import options_of
from projections.entities import keys_of
from projections.entity import Entity, Pending
from projections.views import Fold

TENANT: Final = "oslo"
NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
INCARNATION: Final = UUID(int=7)
TAGS: Final = {"Investor": "investor", "Tenant": "tenant"}
PERSON: Final = {
    "first_name": "firstName",
    "last_name": "lastName",
    "name": "name",
    "organisation_number": "corporateNumber",
    "website": "homePage",
    "strategy": "note",
}
CONTACT: Final = {
    "first_name": "firstName",
    "last_name": "lastName",
    "email": "email",
    "phone": "phone",
    "name": "name",
    "website": "homepageUrl",
    "strategy": "strategy",
}

Payload = dict[str, Any]
Fields = dict[str, Any]


def tenant_settings(name: str = TENANT, **changes: Any) -> TenantSettings:
    """One office with invented credentials; `changes` replace whole parts."""
    parts: dict[str, Any] = {
        "vitec": VitecSettings(
            customer_id="M11385", username="0000", password=Secret("pw"), webhook_secret=Secret("way-in")
        ),
        "propstreet": PropstreetSettings(
            client_id="id",
            client_secret=Secret("cs"),
            webhook_secret=Secret("whsec_dG92ZWlzLXRlc3RzLWtleQ=="),
        ),
        "sync": SyncSettings(first_sync="now", note="strategy", categories=TAGS),
    }
    return TenantSettings(name=name, **(parts | changes))


SETTINGS: Final = tenant_settings()
OPTIONS: Final = msgspec.structs.replace(
    options_of(SETTINGS), catalogue=tuple((f"K{n}", name, False, "Person") for n, name in enumerate(TAGS))
)


def written(vendor: str, record: str, present: Payload, fields: Fields, at: datetime, etag: str) -> Payload:
    """A record as its vendor would show it after `fields` were set at `at`."""
    stamp = at.isoformat().replace("+00:00", "Z")
    if vendor == PROPSTREET:
        words = {CONTACT[f]: v for f, v in fields.items() if f in CONTACT}
        tags = {"tags": list(fields["tags"])} if "tags" in fields else {}
        refs: list[Payload] = list(present.get("externalRefs", []))
        for field, namespace in ((REFERENCE, "vitec-next"), ("organisation_number", "organization-number")):
            if field in fields:
                refs = [r for r in refs if r["namespace"] != namespace]
                refs += [{"namespace": namespace, "id": fields[field]}]
        frame = {"id": record, "externalRefs": refs, "updatedUtc": stamp, "etag": etag}
        return {"deletedUtc": None, "tags": []} | present | words | tags | frame
    words = {PERSON[f]: v for f, v in fields.items() if f in PERSON}
    if "email" in fields:
        words["email"] = {"emailAddress": fields["email"], "emailAddress2": None}
    if "phone" in fields:
        words["telephone"] = {"home": None, "cell": fields["phone"]}
    if "tags" in fields:
        back = {tag: name for name, tag in TAGS.items()}
        words["categories"] = [
            {"id": f"K{list(TAGS).index(back[tag])}", "name": back[tag], "readOnly": False}
            for tag in fields["tags"]
        ]
    return {"categories": []} | present | words | {"id": record, "changedAt": stamp}


class Annals:
    """The log so far (`events`), its fold, and what each vendor holds (`held`)."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.events: list[Event] = []
        self.fold = Fold(TENANT, OPTIONS)
        self.held: dict[tuple[str, str, str], Payload] = {}
        self.versions: dict[str, int] = {}
        self.now = NOON
        self.numbers = 0

    # -- how the log grows

    def append(
        self, stream: str, kind: str, origin: str, data: bytes, reading: Reading | None = None
    ) -> Event:
        """One more event, folded at once."""
        self.now += timedelta(seconds=self.chance.randint(1, 40))
        position = len(self.events) + 1
        self.versions[stream] = self.versions.get(stream, 0) + 1
        event = Event(
            position=position,
            event_id=derived_id(TENANT, "annals", str(position)),
            stream=stream,
            version=self.versions[stream],
            type=kind,
            schema_version=SCHEMA_VERSION,
            origin=origin,
            occurred_at=self.now,
            recorded_at=self.now,
            causation_id=None,
            correlation_id=derived_id(TENANT, "annals", stream),
            data=data.decode(),
            meta=None if reading is None else encode(reading).decode(),
        )
        self.events.append(event)
        self.fold.evolve([event])
        return event

    def say(self, entity: Entity, decision: Decision) -> Event:
        """A decision of ours about an entity."""
        kind = type(decision).__name__
        return self.append(entity_stream(entity.category, entity.id), kind, "toveis", encode(decision))

    def read(self, vendor: str, category: str, record: str, **how: Any) -> Event:
        """A read of what the vendor holds now."""
        reading = Reading(**(dict[str, Any](via="poll", started=len(self.events)) | how))
        data = encode(self.held[vendor, category, record])
        return self.append(record_stream(category, vendor, record), OBSERVED, vendor, data, reading)

    # -- what people do

    def edit(self, vendor: str, category: str, record: str, fields: Fields) -> None:
        """A person changes a record at a vendor, or makes it."""
        self.now += timedelta(seconds=self.chance.randint(1, 40))
        self.numbers += 1
        present = self.held.get((vendor, category, record), {})
        self.held[vendor, category, record] = written(
            vendor, record, present, fields, self.now, f'"{self.numbers}"'
        )

    def move_in(self, people: int) -> None:
        """Those who are there before the first poll; two of three are known on both sides."""
        for n in range(people):
            category = "company" if n % 5 == 0 else "contact"
            for vendor, record in ((VITEC, f"ADR{n:032X}"), (PROPSTREET, str(1000 + n))):
                if n % 3 == 0 or vendor == (VITEC if n % 2 else PROPSTREET):
                    self.edit(vendor, category, record, self.someone(category, n))
        for vendor, category, record in list(self.held):
            self.read(vendor, category, record, first=True)
        for entity in list(self.fold.entities.by_id.values()):
            self.settle(entity.id)

    def someone(self, category: str, n: int) -> Fields:
        """All fields of the n-th of the cast. Some share an e-mail, so that a link would be a guess."""
        if category == "company":
            return {
                "name": f"Bygg {n} AB",
                "organisation_number": f"5560{n:06d}",
                "website": f"https://bygg{n}.example.se/",
                "strategy": None,
            }
        return {
            "first_name": f"Åsa{n}",
            "last_name": 'Ek, "jr" \\ {x}',
            "email": f"asa{n - n % 7 if n % 7 == 1 else n}@example.se",
            "phone": f"+4670{n:07d}",
            "strategy": "Køper\nhelst",
            "tags": ("investor",) if n % 2 else (),
        }

    def retouch(self, category: str) -> Fields:
        """One or two fields of a record with new values."""
        n = self.chance.randint(1, 10**6)
        choices: Fields = {"strategy": f"Ny plan {n}"}
        if category == "company":
            choices |= {"name": f"Nye Bygg {n} AB", "website": f"bygg{n}.example.no"}
        else:
            tags = self.chance.choice(((), ("investor",), ("tenant",), ("investor", "tenant")))
            choices |= {
                "first_name": f"Kari{n}",
                "last_name": "L" * (n % 40),
                "phone": f"+4790{n:06d}",
                "tags": tags,
            }
        return {
            field: choices[field] for field in self.chance.sample(sorted(choices), self.chance.randint(1, 2))
        }

    # -- what Toveis does

    def settle(self, name: str) -> None:
        """Decide for an entity until nothing more is due; nothing is sent."""
        for _ in range(3):
            entity = self.fold.entities.resolve(name)
            plan = decide(entity, self.context(entity)) if entity is not None else None
            if plan is None or not plan.events:
                return
            for about, decision in plan.events:
                basis = next((b for b in plan.basis if b.id == about), plan.basis[0])
                kind = type(decision).__name__
                self.append(entity_stream(basis.category, about), kind, "toveis", encode(decision))
                name = decision.entity if isinstance(decision, RecordsLinked) else name

    def context(self, entity: Entity) -> Context:
        """What the policies would be told: both vendors were read a moment ago."""
        candidates: list[Entity] = []
        if len(entity.sides) == 1:
            [(vendor, side)] = entity.sides.items()
            far, ours = other(vendor), set(keys_of(entity.category, vendor, side, OPTIONS))
            candidates = [
                c
                for c in self.fold.entities.by_id.values()
                if c.category == entity.category
                and far in c.sides
                and ours & set(keys_of(c.category, far, c.sides[far], OPTIONS))
            ]
        since = dict.fromkeys((VITEC, PROPSTREET), len(self.events))
        return Context(SETTINGS.sync, OPTIONS, "live", INCARNATION, since, True, tuple(candidates))

    def deliver(self, entity: Entity, target: str) -> None:
        """Attempt what is pending for a target; chance says what becomes of it."""
        pending = entity.pending[target]
        if pending.state != "pending":
            return
        side = entity.sides.get(target)
        etag, time = (side.head.etag, side.head.time) if side is not None else (None, None)
        self.say(entity, CommandAttempted(pending.command, pending.attempts + 1, etag, time))
        match self.chance.randrange(10):
            case 0:
                self.say(
                    entity,
                    CommandFailed(pending.command, "RateLimited", 429, self.now + timedelta(minutes=1)),
                )
            case 1:
                self.say(
                    entity, CommandUnknown(pending.command, "UnknownOutcome", self.now + timedelta(minutes=2))
                )
            case 2:
                self.say(entity, CommandDeadLettered(pending.command, "firstName", 400))
            case 3:
                self.say(entity, CommandFailed(pending.command, "Stale", 412, read_again=True))
            case _:
                self.land(entity, target, pending)

    def land(self, entity: Entity, target: str, pending: Pending) -> None:
        """The vendor takes a write: a link if it is a create, the record as it then is, and the success."""
        record = pending.record
        if record is None:
            self.numbers += 1
            record = f"ADR{self.numbers + 10**6:032X}" if target == VITEC else str(self.numbers + 10**6)
            ids = {target: record, other(target): entity.sides[other(target)].record}
            self.say(entity, RecordsLinked(entity.id, ids[VITEC], ids[PROPSTREET], "created"))
        want = {field: wanted.value for field, wanted in pending.want.items()}
        self.edit(target, entity.category, record, want)
        self.read(target, entity.category, record, via="readback", command=pending.command)
        self.say(entity, CommandSucceeded(pending.command, record))

    # -- what happens next

    def happen(self) -> None:
        """One thing happens to somebody, and Toveis looks at whom it concerns."""
        vendor, category, record = self.chance.choice(sorted(self.held))
        self.chance.choice(CHANCES)(self, vendor, category, record)
        name = self.fold.entities.by_record.get((category, vendor, record))
        if name is not None:
            self.settle(name)
            entity = self.fold.entities.resolve(name)
            for target in sorted(entity.pending) if entity is not None else ():
                if entity is not None and target in entity.pending and self.chance.random() < 0.7:
                    self.deliver(entity, target)


def polled(annals: Annals, vendor: str, category: str, record: str) -> None:
    """An edit that a poll finds."""
    annals.edit(vendor, category, record, annals.retouch(category))
    annals.read(vendor, category, record)


def notified(annals: Annals, vendor: str, category: str, record: str) -> None:
    """An edit that a hint tells of; perhaps it has been read, perhaps the read overlapped another."""
    annals.edit(vendor, category, record, annals.retouch(category))
    hint = Reading(via="webhook", event="Update", kind="Person" if vendor == VITEC else None)
    annals.append(record_stream(category, vendor, record), NOTIFIED, vendor, b'{"event": "Update"}', hint)
    if annals.chance.random() < 0.8:
        verdict = annals.chance.choice((ACCEPTED, ACCEPTED, OVERLAPPING))
        annals.read(vendor, category, record, via="fetch", verdict=verdict)


def pushed(annals: Annals, vendor: str, category: str, record: str) -> None:
    """An edit that a webhook carries whole."""
    annals.edit(vendor, category, record, annals.retouch(category))
    body = {"type": f"{category}.updated", "data": annals.held[vendor, category, record]}
    reading = Reading(via="webhook", inside="data", event=f"{category}.updated")
    annals.append(record_stream(category, vendor, record), OBSERVED, vendor, encode(body), reading)


def quarrelled(annals: Annals, vendor: str, category: str, record: str) -> None:
    """Both sides edit the same record before anybody looks."""
    name = annals.fold.entities.by_record.get((category, vendor, record))
    entity = annals.fold.entities.resolve(name) if name is not None else None
    for side, its in entity.sides.items() if entity is not None else ():
        if (side, category, its.record) in annals.held:
            annals.edit(side, category, its.record, {"strategy": f"{side} {annals.numbers}"})
            annals.read(side, category, its.record)


def removed(annals: Annals, vendor: str, category: str, record: str) -> None:
    """One in three of these goes for good; the others are told to the inbox only."""
    stream = record_stream(category, vendor, record)
    if annals.chance.random() < 0.3:
        annals.append(stream, "RecordRemoved", vendor, encode(RecordRemoved("not_found")))
    else:
        data = encode({"unreadable": "e30="})
        annals.append(inbox_stream(vendor), NOTIFIED, vendor, data, Reading(via="webhook", unreadable=True))


def released(annals: Annals, vendor: str, category: str, record: str) -> None:
    """An operator lets go whoever is held."""
    for entity in list(annals.fold.entities.by_id.values()):
        if entity.hold is not None:
            annals.say(entity, EntityReleased(entity.id, "looked at"))


def parted(annals: Annals, vendor: str, category: str, record: str) -> None:
    """Now and then a link is closed by hand."""
    name = annals.fold.entities.by_record.get((category, vendor, record))
    entity = annals.fold.entities.resolve(name) if name is not None else None
    if entity is not None and entity.linked is not None and annals.chance.random() < 0.3:
        annals.say(entity, RecordsUnlinked(entity.id, "by hand", tombstone=True))


CHANCES: Final[Sequence[Callable[[Annals, str, str, str], None]]] = (
    *(polled, polled, polled, notified, notified, pushed, pushed, pushed),
    *(quarrelled, quarrelled, removed, parted, released),
)


def annals(seed: int, length: int = 500) -> list[Event]:
    """A log of at least `length` events."""
    found = Annals(seed)
    found.move_in(30)
    while len(found.events) < length:
        found.happen()
    return found.events


def anew(event: Event) -> NewEvent:
    """The event as it asks to be appended."""
    return NewEvent(
        event_id=event.event_id,
        stream=event.stream,
        type=event.type,
        origin=event.origin,
        occurred_at=event.occurred_at,
        data=event.data.encode(),
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        meta=None if event.meta is None else event.meta.encode(),
    )
