"""What a backfill would do: the same decisions as the reactor's, on copies that behave as if every write had landed.

Nothing is decided here. Each entity goes through `decide`; what that says is folded with the real fold, a write is
taken as done, and the entity is decided again, until nothing more follows. So a create brings the update that follows
it, and a record that joins others is seen as it will be when those are there.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from daemon.domain.events import (
    FIRST_SYNC,
    SCHEMA_VERSION,
    CommandHeld,
    CommandIssued,
    ConflictResolved,
    Decision,
    EntityHeld,
    EntityReleased,
    Event,
    Half,
    RecordsLinked,
    encode,
)
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, derived_id, entity_stream, other
from daemon.mappings import lens
from daemon.mappings.lens import REFERENCE
from daemon.policies.deciding import decide
from daemon.policies.linking import JOINING, abroad
from daemon.policies.plan import Context
from daemon.policies.syncing import OWNERS
from projections.entities import dormant
from projections.entity import NO_EVENT, Entity, Shadow, base_of
from projections.fold import Entities

ROUNDS: Final = 6
"""More steps than any entity needs one after the other: link, update, what a vendor perhaps ignores, at both sides."""

NEW: Final = "new:"
"""Begins what stands for the id of a record that is yet to be created."""


class Step(msgspec.Struct, frozen=True):
    """One thing that a backfill would do, or that keeps it from anything.

    `records` are those that there are, `fields` what a write or a hold is about, `overwrites` those of them whose other
    value goes to the conflicts. `reason` is the rule of a link, the word of a hold, or why it waits; `after` are the
    entities that are linked or created first.
    """

    do: Literal["link", "create", "update", "hold", "wait"]
    category: str
    entity: str
    records: tuple[str, ...]
    target: str | None = None
    fields: tuple[str, ...] = ()
    overwrites: tuple[str, ...] = ()
    reason: str = ""
    after: tuple[str, ...] = ()


class Rehearsal:
    """A run of a backfill on copies. It keeps what it changed: later entities meet it so."""

    def __init__(self, tenant: str, context: Context, head: int) -> None:
        self._tenant = tenant
        self._context = context
        self._position = head
        self._stage = Entities(tenant, context.options)
        self._changed: set[str] = set()

    def present(self, entity: Entity) -> Entity:
        """An entity as it would be by now."""
        return self._stage.resolve(entity.id) or entity

    def release(self, entity: Entity) -> None:
        """An entity of another category may go, since what is released needs it."""
        self._stage.add(entity)
        self._tell(entity, entity.id, EntityReleased(entity.id, FIRST_SYNC))

    def play(self, entity: Entity, kin: Mapping[str, Entity], candidates: Sequence[Entity]) -> list[Step]:
        """What follows from one entity; nothing if it was already met as somebody's counterpart."""
        if self.present(entity).id in self._changed:
            return []
        kin = {part: self.present(each) for part, each in kin.items()}
        met = {each.id: each for each in map(self.present, candidates)}
        context = msgspec.structs.replace(
            self._context,
            kin=kin,
            candidates=tuple(met.values()),
            read_since=dict.fromkeys(VENDORS, self._position),
        )
        after = tuple(sorted(each.id for each in kin.values() if each.id in self._changed))
        return list(self._follow(entity, context, after)) or self._waits(entity, context)

    def _follow(self, entity: Entity, context: Context, after: tuple[str, ...]) -> Iterator[Step]:
        for _ in range(ROUNDS):
            entity = self.present(entity)
            plan = decide(entity, context)
            if not plan.events:
                return
            for each in (entity, *plan.basis):
                if self._stage.resolve(each.id) is None:
                    self._stage.add(each)
            for name, decision in plan.events:
                yield from _step(entity, decision, plan.events, after)
                self._tell(entity, name, decision)
            self._changed.add(self.present(entity).id)
            issued = [decision for _, decision in plan.events if isinstance(decision, CommandIssued)]
            for command in issued:
                self._land(self.present(entity), command)
            context = msgspec.structs.replace(context, read_since=dict.fromkeys(VENDORS, self._position))

    def _tell(self, entity: Entity, name: str, decision: Decision) -> None:
        """Fold a decision as if it were in the log."""
        self._position += 1
        now = datetime.min.replace(tzinfo=UTC)
        kind, data = type(decision).__name__, encode(decision)
        stream = entity_stream(entity.category, name)
        known = self._stage.resolve(name)
        self._stage.evolve(
            Event(
                self._position,
                derived_id(self._tenant, stream, kind, str(self._position)),
                stream,
                known.version + 1 if known is not None else 1,
                kind,
                SCHEMA_VERSION,
                "toveis",
                now,
                now,
                None,
                NO_EVENT,
                data.decode(),
                None,
            )
        )

    def _land(self, entity: Entity, issued: CommandIssued) -> None:
        """The vendor takes a write, and keeps every value as it was sent."""
        target, takes = issued.target, None
        if issued.record is None:
            records = {vendor: side.record for vendor, side in entity.sides.items()}
            records[target] = NEW + entity.id
            link = RecordsLinked(entity.id, records[VITEC], records[PROPSTREET], "created")
            self._tell(entity, entity.id, link)
            takes = lens(target, entity.category).on_create
            if target == PROPSTREET:
                entity.sides[target].reference = records[VITEC]
            unknown = {f: held for f, held in entity.sides[other(target)].shadow.items() if f in OWNERS}
            entity.sides[target].shadow.update(unknown)  # what the vendor sets itself shows only then
        side = entity.sides[target]
        self._position += 1
        for field, want in issued.want.items():
            if field == REFERENCE:
                side.reference = str(want.value)
            elif field in lens(target, entity.category).pseudo:
                continue
            elif takes is not None and field not in takes:
                side.shadow[field] = Shadow(None, None, self._position)  # it follows
            else:
                side.shadow[field] = Shadow(want.value, want.since, self._position)
                here, there = Half(want.value, self._position), Half(want.source_value, want.source_position)
                entity.base[field] = base_of(target, here, there)
        entity.pending.pop(target, None)

    def _waits(self, entity: Entity, context: Context) -> list[Step]:
        """Why nothing follows, where that is something to wait for."""
        entity = self.present(entity)
        if any(side.need is not None for side in entity.sides.values()):
            return [_wait(entity, "it has to be read again first")]
        if entity.category not in JOINING or len(entity.sides) != 1:
            return []
        if abroad(entity, context.kin) is not None:
            return []
        missing = [
            each for each in context.kin.values() if len(each.sides) == 1 or each.tombstone is not None
        ]
        left = [each for each in missing if dormant(each) and each.category not in context.released]
        why = "what it joins is not linked" if not left else "what it joins waits for its own release"
        return [_wait(entity, why, tuple(sorted(each.id for each in missing)))]


def _wait(entity: Entity, why: str, after: tuple[str, ...] = ()) -> Step:
    return Step("wait", entity.category, entity.id, _records(entity), reason=why, after=after)


def _step(
    entity: Entity, decision: Decision, events: Sequence[tuple[str, Decision]], after: tuple[str, ...]
) -> Iterator[Step]:
    """What a decision is to an operator; what only keeps the books is nothing."""
    category, name, records = entity.category, entity.id, _records(entity)
    match decision:
        case RecordsLinked(vitec=vitec, propstreet=propstreet, rule=rule, entity=survivor):
            pair = (f"{VITEC}:{vitec}", f"{PROPSTREET}:{propstreet}")
            yield Step("link", category, survivor, pair, reason=rule, after=after)
        case CommandIssued(target=target, record=record, want=want):
            lost = tuple(sorted(d.field for _, d in events if isinstance(d, ConflictResolved)))
            do: Literal["create", "update"] = "create" if record is None else "update"
            over = tuple(field for field in lost if field in want)
            yield Step(do, category, name, records, target, tuple(sorted(want)), over, after=after)
        case CommandHeld(target=target, want=want, reason=reason):
            yield Step(
                "hold", category, name, records, target, tuple(sorted(want)), reason=reason, after=after
            )
        case EntityHeld(reason=reason):
            yield Step("hold", category, name, records, reason=reason, after=after)


def _records(entity: Entity) -> tuple[str, ...]:
    return tuple(
        f"{vendor}:{side.record}"
        for vendor, side in sorted(entity.sides.items(), reverse=True)
        if not side.record.startswith(NEW)
    )
