"""Why every field of an entity holds what it holds: its origin, what lost against it, and the write that carried it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from daemon.cli.pictures import folded
from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import (
    OBSERVED,
    CommandHeld,
    CommandIssued,
    ConflictResolved,
    Event,
    Want,
    decision_of,
    reading_of,
)
from daemon.domain.fields import Value, same
from daemon.domain.streams import PROPSTREET, VENDORS, other, parse_record_stream
from daemon.mappings.lens import Options
from projections.commands import CommandRow, evolve
from projections.entity import Entity
from projections.fold import content_of, payload_of, rules_of
from projections.provenance import Provenance, provenance


class Lost(msgspec.Struct, frozen=True):
    """A value that lost against the present one; `conflict` is the id by which it can be brought back."""

    conflict: str
    value: Value
    side: str
    since: datetime | None
    event: int
    rule: str
    order_uncertain: bool


class Carried(msgspec.Struct, frozen=True):
    """The command that carries the value to the other side, and what became of it at `event`."""

    id: str
    target: str
    state: str
    issued: int
    event: int
    at: datetime
    reason: str | None = None


class Held(msgspec.Struct, frozen=True):
    """Why the value does not reach a vendor: a write that is held or was refused, or the hold of the whole entity."""

    target: str | None
    state: str
    reason: str
    detail: str | None
    command: str | None = None


class Why(msgspec.Struct, frozen=True):
    """A field with everything that the log says of its present value.

    `side` and `event` say whose edit it is, `way` how it came to us, `operator` who brought it back. `change_origin` is
    Propstreet's own word on the change. `values` are what both sides hold, `agreed` whether they mean the same.
    """

    field: str
    value: Value
    side: str
    event: int
    since: datetime | None
    rule: str | None
    lost: list[Lost]
    record: str | None
    recorded_at: datetime | None
    way: str | None
    change_origin: str | None
    operator: str | None
    values: dict[str, Value]
    agreed: bool
    command: Carried | None
    held: list[Held]


def reasons(tenant: str, name: str, events: Sequence[Event], options: Options) -> tuple[Entity, list[Why]]:
    """The entity after these events, and every field of it."""
    entity = folded(tenant, name, events, options)
    log = _Log(tenant, events, options)
    return entity, [_why(log, entity, field, origin) for field, origin in provenance(entity).items()]


class _Log:
    """An entity's events, arranged for the questions that are asked of them."""

    def __init__(self, tenant: str, events: Sequence[Event], options: Options) -> None:
        self.options = options
        self.events = {event.position: event for event in events}
        self.rows: dict[str, CommandRow] = {}
        self.wants: dict[str, dict[str, Want]] = {}
        self.conflicts: list[tuple[Event, ConflictResolved]] = []
        for event in events:
            evolve(tenant, self.rows, event)
            match decision_of(event) if event.type in _TOLD else None:
                case CommandIssued() | CommandHeld() as decided:
                    self.wants[decided.command] = decided.want
                case ConflictResolved() as resolved:
                    self.conflicts.append((event, resolved))

    def origin(self, field: str, side: str, position: int) -> tuple[str, int]:
        """The side and the event that a value comes from: what we wrote comes from where we had it from.

        A set that was put together of both sides' elements comes from nowhere else.
        """
        seen: set[int] = set()
        while position not in seen:
            seen.add(position)
            want = self._written(field, position)
            if want is None or not (want.override or self._same(field, want.value, want.source_value)):
                break
            side, position = want.source, want.cause
        return side, position

    def _same(self, field: str, a: Value, b: Value) -> bool:
        return same(field, a, b, self.options.region)

    def _written(self, field: str, position: int) -> Want | None:
        """What we had written, where an observation shows just that after our write."""
        event, want = self.events.get(position), self._wanted(field, position)
        names = parse_record_stream(event.stream) if event is not None else None
        if event is None or want is None or names is None:
            return None
        try:
            read = content_of(event, reading_of(event), self.options).fields.get(field)
        except UntranslatablePayload:
            return None
        return want if rules_of(names[1], names[0], self.options).kept(field, want.value, read) else None

    def _wanted(self, field: str, position: int) -> Want | None:
        """What the command wanted that an observation is the read-back of."""
        return self.wants.get(self._read_back(position) or "", {}).get(field)

    def _read_back(self, position: int) -> str | None:
        event = self.events.get(position)
        return reading_of(event).command if event is not None and event.type == OBSERVED else None

    def carried(self, field: str, side: str, position: int) -> tuple[CommandRow, Want] | None:
        """The newest command for the value; one that left, if any did."""
        found = [
            (self.rows[command], want[field])
            for command, want in self.wants.items()
            if field in want
            and (
                want[field].override == position
                or (want[field].source, want[field].cause) == (side, position)
                or command == self._read_back(position)
            )
        ]
        left = [each for each in found if each[0].attempts]
        left = left or [each for each in found if each[0].state != "held"]
        return left[-1] if left else None

    def lost(self, field: str, position: int) -> list[tuple[Event, ConflictResolved]]:
        """The conflicts in which this value won, or an operator said that it should."""
        return [
            (event, conflict)
            for event, conflict in self.conflicts
            if conflict.field == field
            and position == (event.position if conflict.restores is not None else conflict.winner_position)
        ]


_TOLD = frozenset(kind.__name__ for kind in (CommandIssued, CommandHeld, ConflictResolved))


def _why(log: _Log, entity: Entity, field: str, present: Provenance) -> Why:
    override = entity.overrides.get(field)
    side, position = log.origin(field, present.side, override.position if override else present.position)
    event = log.events.get(position)
    names = parse_record_stream(event.stream) if event is not None else None
    reading = reading_of(event) if event is not None and event.type == OBSERVED else None
    carried = log.carried(field, side, position)
    lost = log.lost(field, position)
    word = next((conflict for each, conflict in log.conflicts if each.position == position), None)
    values: dict[str, Value] = {
        v: s.shadow[field].value for v in VENDORS if (s := entity.sides.get(v)) and field in s.shadow
    }
    return Why(
        field=field,
        value=override.value if override else present.value,
        side=word.winner if word is not None else side,
        event=position,
        since=present.since,
        rule=_rule(carried, lost, present),
        lost=[
            Lost(
                conflict.conflict,
                conflict.loser_value,
                other(conflict.winner),
                conflict.loser_since,
                conflict.loser_position,
                conflict.rule,
                conflict.order_uncertain,
            )
            for _, conflict in lost
        ],
        record=f"{names[1]}:{names[2]}" if names is not None else None,
        recorded_at=event.recorded_at if event is not None else None,
        way=reading.via if reading is not None else None,
        change_origin=_change_origin(event),
        operator=word.by if word is not None else None,
        values=values,
        agreed=present.agreed,
        command=_carried(log, carried),
        held=_held(log, entity, field),
    )


def _rule(
    carried: tuple[CommandRow, Want] | None,
    lost: Sequence[tuple[Event, ConflictResolved]],
    present: Provenance,
) -> str | None:
    """By which rule the value stands: that of its write, else of its conflict; None where none was needed yet."""
    if carried is not None and carried[1].rule:
        return carried[1].rule
    if lost:
        return lost[-1][1].rule
    return "both sides said the same" if present.agreed else None


class _Changed(msgspec.Struct):
    changeOrigin: str | None = None  # noqa: N815 Propstreet's name


_changed = msgspec.json.Decoder(_Changed)


def _change_origin(event: Event | None) -> str | None:
    """Propstreet's `changeOrigin` of the record as it was then: its word on the last change, whatever it means by it."""
    if event is None or event.type != OBSERVED or event.origin != PROPSTREET:
        return None
    try:
        return _changed.decode(payload_of(event, reading_of(event))).changeOrigin
    except msgspec.MsgspecError:
        return None


def _carried(log: _Log, carried: tuple[CommandRow, Want] | None) -> Carried | None:
    if carried is None:
        return None
    row, _ = carried
    at = log.events[row.position].recorded_at
    return Carried(row.command, row.target, row.state, row.issued, row.position, at, row.reason)


def _held(log: _Log, entity: Entity, field: str) -> list[Held]:
    """What keeps a field from a vendor now; a block for an older value than the present one keeps it no more."""
    found = []
    if entity.hold is not None:
        found.append(Held(None, "held", entity.hold.reason, entity.hold.detail))
    for target, blocked in entity.blocked.items():
        block, source = blocked.get(field), entity.sides.get(other(target))
        override = entity.overrides.get(field)
        due = {override.position} if override is not None else set()
        if source is not None and field in source.shadow:
            due.add(source.shadow[field].position)
        if block is not None and block.position in due and block.command in log.rows:
            row = log.rows[block.command]
            found.append(Held(target, row.state, row.reason or row.state, row.detail, row.command))
    return found


def row_of(why: Why) -> dict[str, Any]:
    """A field as JSON."""
    return msgspec.structs.asdict(why)
