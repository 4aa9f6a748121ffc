"""The fold: events in the order of the log become entities. Live projection and replay run this same code."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import (
    FIRST_SYNC,
    LEAD_RECEIVED,
    LOG_RESTORED,
    NOTIFIED,
    OBSERVED,
    OPERATOR,
    CommandAttempted,
    CommandDeadLettered,
    CommandDiscarded,
    CommandFailed,
    CommandHeld,
    CommandIssued,
    CommandReleased,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    ConflictResolved,
    Decision,
    EntityHeld,
    EntityReleased,
    Event,
    FieldsAgreed,
    HoldDiscarded,
    Reading,
    RecordRemoved,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
    decision_of,
    known,
    reading_of,
)
from daemon.domain.fields import Value, same
from daemon.domain.streams import LEAD, PROPSTREET, VITEC, entity_id, other, parse_record_stream
from daemon.mappings import leads, lens
from daemon.mappings.lens import REMOVED, Content, Options
from projections import outbox, overrides
from projections.entities import dormant, unedited
from projections.entity import (
    Attempt,
    Base,
    Entity,
    Hold,
    Lead,
    Pending,
    Shadow,
    Side,
)
from projections.merge import Observation, Rules, lose_track, observe, release_kept

MERGED: Final = "merged"
"""Begins the tombstone of a record that was merged into another; the hold of one whose counterpart found no room."""

ETAGS: Final = {VITEC: False, PROPSTREET: True}


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_envelopes: Final = msgspec.json.Decoder(_Envelope)


_UNSTORABLE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:\\u0000"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
"""A NUL, or half of a surrogate pair: no text column holds them. The log does; the views show U+FFFD instead."""


def payload_of(event: Event, reading: Reading) -> bytes:
    """The record's own JSON: the whole data, or the part of a webhook's envelope that holds the record."""
    text = event.data.encode()
    if b"\\u" in text:
        text = _UNSTORABLE.sub(rb"\1\\ufffd", text)
    return text if reading.inside is None else bytes(_envelopes.decode(text).data)


def content_of(event: Event, reading: Reading, options: Options) -> Content:
    """An observation translated by the lens of its record; raises UntranslatablePayload."""
    names = parse_record_stream(event.stream)
    if names is None:
        raise UntranslatablePayload(f"event {event.position} is an observation outside a record's stream")
    category, vendor, _ = names
    return lens(vendor, category).get(payload_of(event, reading), options)


class Entities:
    """The entities at hand, by id and by record, with what the fold touched since `clear`.

    A replay starts with none and keeps all; the live projector loads those that a page of events names.
    """

    def __init__(self, tenant: str, options: Options) -> None:
        self.tenant = tenant
        self.options = options
        self.by_id: dict[str, Entity] = {}
        self.by_record: dict[tuple[str, str, str], str] = {}
        self.aliases: dict[str, str] = {}
        self.touched: set[str] = set()
        self.merged: set[str] = set()
        self._rules: dict[tuple[str, str], Rules] = {}

    def same(self, field: str, a: Value, b: Value) -> bool:
        """Whether two values of a field mean the same."""
        return same(field, a, b, self.options.region)

    def clear(self) -> None:
        """Forget what was touched; what is at hand stays."""
        self.touched.clear()
        self.merged.clear()

    def add(self, entity: Entity) -> None:
        """Put an entity at hand."""
        self.by_id[entity.id] = entity
        for vendor, side in entity.sides.items():
            self.by_record[entity.category, vendor, side.record] = entity.id

    def rules(self, vendor: str, category: str) -> Rules:
        """Equality and reshapes of one vendor's mapping."""
        if (vendor, category) not in self._rules:
            self._rules[vendor, category] = rules_of(vendor, category, self.options)
        return self._rules[vendor, category]

    def resolve(self, entity: str) -> Entity | None:
        """The entity of this id, or the older one that it was merged into."""
        while entity in self.aliases:
            entity = self.aliases[entity]
        return self.by_id.get(entity)

    def of_record(self, category: str, vendor: str, record: str, position: int) -> tuple[Entity, Side]:
        """The entity and the side of a record; both are new when it was never seen."""
        known_id = self.by_record.get((category, vendor, record))
        entity = self.resolve(known_id) if known_id else None
        if entity is None:
            entity = Entity(entity_id(self.tenant, category, vendor, record), category, seen=position)
            entity.sides[vendor] = Side(record, seen=position)
            self.add(entity)
        return entity, entity.sides[vendor]

    def evolve(self, event: Event) -> None:
        """Fold one event; raises UnknownEventError for one that this program does not know."""
        known(event)
        names = parse_record_stream(event.stream)
        if names is not None:
            if names[0] != LEAD:  # Vitec's word on a lead changes nothing here: it is only told
                self._evolve_record(event, *names)
        elif event.type == LEAD_RECEIVED:
            self._receive(event)
        elif event.type == LOG_RESTORED:
            for entity in self.by_id.values():
                lose_track(entity, event.position, event.recorded_at)
                self._touch(entity, event)
        elif event.type not in (OBSERVED, NOTIFIED):
            self._evolve_entity(event, decision_of(event))

    def _evolve_record(self, event: Event, category: str, vendor: str, record: str) -> None:
        entity, side = self.of_record(category, vendor, record, event.position)
        side.version = event.version
        self._touch(entity, event)
        match event.type:
            case "NotificationReceived":
                reading = reading_of(event)
                side.ask(event.position)
                side.first = False
                side.kind = reading.kind or side.kind
                side.parts = reading.parts or side.parts
                side.into = reading.into or side.into
            case "RecordObserved":
                self._observe(event, entity, vendor, side, reading_of(event))
            case _:
                self._evolve_decision(event, entity, decision_of(event), side)
        overrides.end_overtaken(entity)

    def _observe(self, event: Event, entity: Entity, vendor: str, side: Side, reading: Reading) -> None:
        side.batch = reading.batch or side.batch
        side.kind = reading.kind or side.kind
        if reading.parts is not None and not side.parts:
            side.parts = reading.parts
        rules = self.rules(vendor, entity.category)
        asked = side.restored is not None and reading.started is not None  # a read that no change has caused
        side.first = side.first and (reading.first or asked)
        try:
            content = lens(vendor, entity.category).get(payload_of(event, reading), self.options)
        except UntranslatablePayload:
            side.unreadable = event.position
            if side.need is not None and reading.started is not None and reading.started >= side.need:
                side.need = None  # to ask again would bring nothing else: it is held, and shown
            return
        side.unreadable = None
        side.first = side.first and not (asked and self._differs(side, content))
        if reading.command is not None:
            _land_creation(entity, vendor, side, reading.command)
        accepted = side.head.event
        observe(entity, side, observation_of(event, reading, content), rules)
        if reading.command is None and any(held.position == event.position for held in side.shadow.values()):
            entity.backfill = entity.backfill and reading.first  # somebody edited it
        if side.head.event != accepted:
            side.flags, side.domain, side.labels = content.flags, content.domain, content.labels
            if content.parts:
                side.parts = {**side.parts, **content.parts}  # what a notification told besides stays
            side.into = None  # it is there, so it was not merged away

    def _differs(self, side: Side, content: Content) -> bool:
        """Whether a record is another than it was when it was last accepted."""
        held = side.shadow
        return content.etag != side.head.etag or any(
            field not in held or not self.same(field, value, held[field].value)
            for field, value in content.fields.items()
        )

    def _receive(self, event: Event) -> None:
        """A lead is an entity without sides: one command brings it to Vitec."""
        _, _, name = event.stream.partition(":")
        entity = Entity(name, LEAD, seen=event.position, version=event.version, lead=lead_of(event))
        self.add(entity)
        self._touch(entity, event)

    def _evolve_entity(self, event: Event, decision: Decision) -> None:
        category, _, name = event.stream.partition(":")
        if isinstance(decision, RecordsLinked):
            entity = self._link(event, category, decision)
        elif isinstance(decision, RecordsMerged):
            entity = self._merge(event, category, decision)
        else:
            found = self.resolve(name)
            if found is None:
                return
            entity = found
        if entity.id == name:
            entity.version = event.version
        self._touch(entity, event)
        self._evolve_decision(event, entity, decision, None)
        overrides.end_overtaken(entity)

    def _touch(self, entity: Entity, event: Event) -> None:
        entity.position = event.position
        entity.cause, entity.correlation = event.event_id, event.correlation_id
        self.touched.add(entity.id)

    def _link(self, event: Event, category: str, link: RecordsLinked) -> Entity:
        """Bring both records under the entity of the link, if both are free; the younger entity resolves to it."""
        pairs = [
            (vendor, self.of_record(category, vendor, record, event.position)[0])
            for vendor, record in ((VITEC, link.vitec), (PROPSTREET, link.propstreet))
        ]
        survivor = self.resolve(link.entity) or pairs[0][1]
        for vendor, entity in pairs:
            # A record has at most one live link: one that would take a place, or leave one, is not followed.
            if entity is not survivor and (vendor in survivor.sides or len(entity.sides) == 2):
                return survivor
        for vendor, entity in pairs:
            if entity is not survivor:
                if link.rule != "created":  # an edit of either takes the other along
                    unmoved = unedited(survivor) and unedited(entity)
                    survivor.backfill = unmoved and (survivor.backfill or entity.backfill)
                survivor.sides[vendor] = entity.sides[vendor]
                survivor.seen = min(survivor.seen, entity.seen)
                survivor.released = _all_of(survivor.released, entity.released)
                survivor.sources = _all_of(survivor.sources, entity.sources)
                survivor.orphans = _all_of(survivor.orphans, sorted(outbox.unsent(entity)))
                self._absorb(survivor, entity, vendor, entity.sides[vendor].record)
        _begin_link(survivor, link, event.position)
        return survivor

    def _merge(self, event: Event, category: str, merged: RecordsMerged) -> Entity:
        """Close the source with a pointer to the destination, which takes over its counterpart."""
        source, gone = self.of_record(category, merged.vendor, merged.source, event.position)
        heir, side = self.of_record(category, merged.vendor, merged.destination, event.position)
        if merged.parts is not None and not side.parts:
            side.parts = merged.parts
        if side.head.event == 0 or merged.parts is not None:
            side.ask(event.position)  # never seen, or told of by nobody: what moved there must be read
        source.tombstone, source.hold = f"{MERGED} into {merged.vendor}:{merged.destination}", None
        source.overrides.clear()
        gone.into = merged.destination
        far = other(merged.vendor)
        if heir is not source:
            heir.sources = _all_of(heir.sources, [source.id])
            self._touch(heir, event)
        if merged.moved and heir is not source and far in source.sides and far not in heir.sides:
            heir.sides[far] = source.sides.pop(far)
            self.by_record[category, far, heir.sides[far].record] = heir.id
            heir.linked, heir.rule, heir.hold = event.position, "merged", None
            for entity in (source, heir):
                entity.base.clear()
                entity.overrides.clear()
                entity.creating.clear()
                entity.pending.clear()
                entity.blocked.clear()
            source.linked = None
        return source

    def _part(self, event: Event, entity: Entity, parted: Mapping[str, str]) -> None:
        """Records that leave a closed link, each an entity of its own from now on; what was between them is over."""
        for vendor, name in parted.items():
            side = entity.sides.pop(vendor)
            alone = Entity(name, entity.category, seen=side.seen, sides={vendor: side}, sources=[entity.id])
            alone.tombstone, alone.apart = entity.tombstone, entity.apart
            self.add(alone)
            self._touch(alone, event)
        if parted:
            entity.linked, entity.rule, entity.hold = None, None, None
            for left in (entity.base, entity.creating, entity.pending, entity.blocked, entity.failures):
                left.clear()

    def _absorb(self, survivor: Entity, younger: Entity, vendor: str, record: str) -> None:
        self.by_id.pop(younger.id, None)
        self.aliases[younger.id] = survivor.id
        self.by_record[survivor.category, vendor, record] = survivor.id
        self.touched.discard(younger.id)
        self.merged.add(younger.id)

    def _evolve_decision(self, event: Event, entity: Entity, decision: Decision, side: Side | None) -> None:
        match decision:
            case RecordsUnlinked():
                entity.tombstone = decision.reason if decision.tombstone else None
                entity.overrides.clear()
                entity.apart = entity.apart or bool(decision.by)
                self._part(event, entity, decision.parted)
            case RecordRemoved() if side is not None:
                self._remove(event, entity, side, decision)
                side.attempts = [a for a in side.attempts if a.state == "recent"]
            case FieldsAgreed():
                for field, (vitec, propstreet) in decision.fields.items():
                    entity.base[field] = Base(vitec, propstreet)
            case ConflictResolved(restores=str()):
                overrides.lay(entity, decision, event.position)
            case EntityHeld():
                entity.hold = Hold(
                    decision.reason,
                    decision.fingerprint,
                    event.position,
                    decision.candidates,
                    decision.detail,
                )
            case EntityReleased(reason=reason) if reason == FIRST_SYNC:
                entity.backfill = entity.backfill or dormant(entity)
            case EntityReleased():
                _release_hold(entity, decision)
            case HoldDiscarded() if entity.hold is not None:
                entity.hold = msgspec.structs.replace(entity.hold, quiet=True)
            case CommandIssued():
                failure = outbox.recent_failure(entity, decision.target, event.recorded_at)
                entity.backfill = decision.backfill
                entity.pending[decision.target] = Pending(
                    decision.command,
                    decision.want,
                    decision.record,
                    decision.etag,
                    decision.reference,
                    decision.parts,
                    attempts=failure.count if failure is not None else 0,
                )
            case CommandHeld():
                outbox.block(entity, decision)
                self._give_up(entity, decision.command)
            case _:
                self._evolve_outcome(event, entity, decision)

    def _remove(self, event: Event, entity: Entity, side: Side, removed: RecordRemoved) -> None:
        """The record is gone; where the settings give that a meaning, it reads as an edit instead."""
        side.need, side.restored, side.evidence = None, None, removed.evidence
        side.head = msgspec.structs.replace(side.head, ended=event.position)
        vendor = next(name for name, each in entity.sides.items() if each is side)
        reads_as = lens(vendor, entity.category).when_gone(self.options)
        if not reads_as or removed.evidence == "removed_by_us":
            side.gone = side.gone or event.position
            return
        for field, value in reads_as.items():
            held = side.shadow.get(field)
            if held is None or not self.same(field, value, held.value):
                side.shadow[field] = Shadow(value, event.occurred_at, event.position)
        side.flags = tuple(dict.fromkeys((*side.flags, REMOVED)))

    def _evolve_outcome(self, event: Event, entity: Entity, decision: Decision) -> None:
        match decision:
            case CommandAttempted():
                outbox.attempt(entity, decision, event.position)
            case CommandSucceeded():
                if entity.lead is not None:
                    entity.lead = msgspec.structs.replace(entity.lead, sent=decision.record)
                entity.failures.pop(outbox.target_of(entity, decision.command) or "", None)
                outbox.forget(entity, decision.command)
            case CommandSuperseded():
                outbox.forget(entity, decision.command)
                outbox.unblock(entity, decision.command)
                entity.orphans = [each for each in entity.orphans if each != decision.command]
            case CommandFailed():
                if decision.reason in outbox.PUT_OFF:
                    outbox.put_off(entity, decision.command)
                else:
                    outbox.count_failure(entity, decision.command, event.recorded_at)
                self._fail(event, entity, decision)
            case CommandUnknown():
                outbox.count_failure(entity, decision.command, event.recorded_at)
                outbox.lose(entity, decision, event.position, event.recorded_at)
            case CommandDeadLettered():
                outbox.block_pending(entity, decision.command)
                self._give_up(entity, decision.command)
            case CommandReleased():
                outbox.try_again(entity, decision.command)
            case CommandDiscarded():
                outbox.block_pending(entity, decision.command)
                self._give_up(entity, decision.command)
                outbox.discard(entity, decision)

    def _give_up(self, entity: Entity, command: str) -> None:
        """The command has its end: nothing of it is in flight or pending any more."""
        self._drop_attempt(entity, command)
        outbox.forget(entity, command)

    def _fail(self, event: Event, entity: Entity, failed: CommandFailed) -> None:
        side = self._drop_attempt(entity, failed.command)
        if side is not None and failed.read_again:
            side.ask(event.position)
        target = outbox.target_of(entity, failed.command)
        if target is None:
            return
        if failed.retry_at is None:
            del entity.pending[target]
        else:
            entity.pending[target].state = "pending"

    def _drop_attempt(self, entity: Entity, command: str) -> Side | None:
        """A definite failure: the attempt never was; the pushes kept meanwhile are folded now."""
        for target in [t for t, attempt in entity.creating.items() if attempt.command == command]:
            del entity.creating[target]
        for vendor, side in entity.sides.items():
            if any(a.command == command and a.state == "flying" for a in side.attempts):
                side.attempts = [a for a in side.attempts if a.command != command]
                release_kept(entity, side, self.rules(vendor, entity.category))
                return side
        return None


def lead_of(event: Event) -> Lead:
    """What the log says of a lead; one that this version cannot parse any more keeps its place."""
    reading = reading_of(event)
    kind = reading.kind or "lead"
    received = event.occurred_at
    try:
        lead = leads.parse(kind, event.data.encode(), path=reading.query or {})  # type: ignore[arg-type]  # what the port wrote
    except (leads.InvalidLead, leads.NotJson):
        return Lead(kind, event.position, received, "")
    return Lead(
        kind, event.position, received, lead.customer_id, lead.estate_id, lead.email, lead.phone, lead.name
    )


def rules_of(vendor: str, category: str, options: Options) -> Rules:
    """What the merge must know of a vendor's mapping of a category."""
    mapping = lens(vendor, category)
    return Rules(
        vendor=vendor,
        etags=ETAGS[vendor],
        same=lambda field, a, b: same(field, a, b, options.region),
        kept=lambda field, wanted, read: mapping.kept(field, wanted, read, options),
        returns=mapping.returns,
    )


def observation_of(event: Event, reading: Reading, content: Content) -> Observation:
    """What the merge needs of an observation."""
    return Observation(
        position=event.position,
        recorded_at=event.recorded_at,
        fields=content.fields,
        time=content.changed or event.occurred_at,
        etag=content.etag,
        started=reading.started,
        verdict=reading.verdict,
        command=reading.command,
        removed=content.removed,
        reference=content.reference,
        anew=reading.anew,
    )


def _land_creation(entity: Entity, vendor: str, side: Side, command: str) -> None:
    """The record that a create made is seen: the attempt now belongs to its side."""
    attempt = entity.creating.get(vendor)
    if attempt is not None and attempt.command == command:
        attempt.state = "flying"
        _take_over(entity, vendor, side, attempt)


def _take_over(entity: Entity, vendor: str, side: Side, attempt: Attempt) -> None:
    """An attempt to create belongs to the side that it made; what a create does not take follows as an update."""
    del entity.creating[vendor]
    takes = lens(vendor, entity.category).on_create
    if takes is not None:
        attempt.want = {field: want for field, want in attempt.want.items() if field in takes}
    side.attempts.append(attempt)


def _all_of(here: list[str], there: list[str]) -> list[str]:
    return list(dict.fromkeys((*here, *there)))


def _begin_link(entity: Entity, link: RecordsLinked, position: int) -> None:
    entity.linked, entity.rule, entity.hold = position, link.rule, None
    if link.rule == OPERATOR:
        entity.tombstone, entity.apart = None, False
    entity.base.clear()
    entity.overrides.clear()
    if link.rule != "created":
        entity.creating.clear()
        entity.pending.clear()
    for vendor, attempt in list(entity.creating.items()):
        if attempt.state == "open" and vendor in entity.sides:  # found later: a read settles it
            _take_over(entity, vendor, entity.sides[vendor], attempt)


def _release_hold(entity: Entity, released: EntityReleased) -> None:
    if released.fingerprint:
        entity.released = _all_of(entity.released, [released.fingerprint])
    if released.by and entity.hold is None:
        entity.tombstone, entity.apart = None, False
    entity.hold = None
    for side in entity.sides.values():
        side.turns.clear()
