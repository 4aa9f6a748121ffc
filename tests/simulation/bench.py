"""What the oracles look at: a world that has come to rest, and what follows from it by a first look."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from typing import Any, Final, Protocol

from msgspec import Struct, json, to_builtins

from daemon.domain.events import (
    ACCEPTED,
    LOG_RESTORED,
    OBSERVED,
    CommandHeld,
    CommandIssued,
    CommandSucceeded,
    ConflictResolved,
    Decision,
    Event,
    RecordsLinked,
    decision_of,
    reading_of,
)
from daemon.domain.events import DECISIONS as DECISION_TYPES
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from tests.simulation.lineage import Lineage
from tests.simulation.steps import BackupRestored, Story
from tests.simulation.truth import Cell, Record, Truth, Version, fields_of, plain

Row = Mapping[str, Any]
SYNCED: Final = ("contact", "company", "project", "prospect")
"""The categories whose fields are kept the same."""


class World(Protocol):
    """What a run leaves behind. `events` is the whole log; `views` are plain rows by the view's name."""

    @property
    def story(self) -> Story:
        """What was told."""

    @property
    def vitec(self) -> VitecConnectTwin:
        """Vitec as it is now."""

    @property
    def propstreet(self) -> PropstreetTwin:
        """Propstreet as it is now."""

    @property
    def truth(self) -> Truth:
        """What really happened."""

    @property
    def events(self) -> Sequence[Event]:
        """The log."""

    @property
    def epochs(self) -> Sequence[tuple[int, int]]:
        """Positions of the log, with the epoch of the lease under which a stage appended there."""

    @property
    def views(self) -> Mapping[str, Sequence[Row]]:
        """The daemon's views."""


class Violation(Struct, frozen=True):
    """Something that must not be: which oracle saw it, about what, why, and the positions in the log to look at."""

    oracle: str
    about: str
    told: str
    positions: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" (events {', '.join(map(str, self.positions))})" if self.positions else ""
        return f"{self.oracle}: {self.about}: {self.told}{where}"


class Bench:
    """A world with its log read, its links and holds found, and its lineage worked out."""

    def __init__(self, world: World) -> None:
        self.world, self.truth, self.story = world, world.truth, world.story
        self.vitec, self.propstreet = world.vitec, world.propstreet
        self.events = sorted(world.events, key=lambda event: event.position)
        self.decisions: list[tuple[Event, Decision]] = [
            (event, decision_of(event)) for event in self.events if event.type in DECISION_TYPES
        ]
        self.lineage = Lineage(world.truth, self._linked())

    def rows(self, view: str) -> list[Row]:
        """The rows of a view as plain JSON, none where the view is not there."""
        return [to_builtins(row) for row in self.world.views.get(view, ())]

    def seconds(self, event: Event) -> float:
        """When an event was recorded, in virtual seconds."""
        return (event.recorded_at - datetime.fromisoformat(self.story.knobs.start)) / timedelta(seconds=1)

    def _linked(self) -> Iterator[tuple[str, str, str]]:
        for event, decision in self.decisions:
            if isinstance(decision, RecordsLinked):
                yield event.stream.partition(":")[0], decision.vitec, decision.propstreet

    # --- who is who

    @cached_property
    def aliases(self) -> dict[str, str]:
        """A younger entity to the one that it resolves to."""
        return {row["alias"]: row["entity"] for row in self.rows("aliases")}

    def resolved(self, entity: str) -> str:
        """The entity that an id stands for now."""
        while entity in self.aliases:
            entity = self.aliases[entity]
        return entity

    @cached_property
    def states(self) -> dict[str, Row]:
        """The whole state of every entity."""
        return {row["entity"]: row for row in self.rows("entities")}

    @cached_property
    def entity_of(self) -> dict[Record, str]:
        """Where each record belongs now."""
        return {(r["vendor"], r["category"], r["external_id"]): r["entity"] for r in self.rows("records")}

    @cached_property
    def records_of(self) -> Mapping[str, set[Record]]:
        """Every record that ever belonged to an entity."""
        found: defaultdict[str, set[Record]] = defaultdict(set)
        for record, entity in self.entity_of.items():
            found[entity].add(record)
        for event, decision in self.decisions:
            if isinstance(decision, RecordsLinked):
                category = event.stream.partition(":")[0]
                entity = self.resolved(decision.entity)
                found[entity] |= {
                    ("vitec", category, decision.vitec),
                    ("propstreet", category, decision.propstreet),
                }
        return found

    @cached_property
    def pairs(self) -> list[tuple[str, str, str]]:
        """(category, id at Vitec, id at Propstreet) of all that belongs together, by references or by the daemon's word."""
        linked: defaultdict[str, dict[str, Record]] = defaultdict(dict)
        for record, entity in self.entity_of.items():
            linked[entity][record[0]] = record
        told = {
            (sides["vitec"][1], sides["vitec"][2], sides["propstreet"][2])
            for sides in linked.values()
            if len(sides) == 2 and all(map(self.truth.is_there, sides.values()))
        }
        return sorted(told | set(self.truth.living()))

    def paired(self) -> Iterator[tuple[Cell, Cell]]:
        """Every shared field of every pair: its cell at Vitec and at Propstreet."""
        for category, at_vitec, at_propstreet in self.pairs:
            for cell in list(self.truth.present) if category in SYNCED else ():
                if cell[:3] == ("vitec", category, at_vitec):
                    there = Cell("propstreet", category, at_propstreet, cell.field)
                    if there in self.truth.present:
                        yield cell, there

    @cached_property
    def untold(self) -> bool:
        """Whether some notification of Vitec's never reached the daemon: it is not sent again."""
        outcomes = self.vitec.notifier.outcomes
        return not self.story.knobs.webhooks or any(
            outcomes[each] for each in ("dropped", "refused", "unanswered")
        )

    # --- what the daemon says of it

    @cached_property
    def _stuck(self) -> set[tuple[str, str]]:
        """(entity, field) of what is held or refused, as the view of commands shows it; "*" is all of an entity."""
        return {
            (self.resolved(row["entity"]), field)
            for row in self.rows("commands")
            if row["state"] in ("held", "dead")
            for field in (row["fields"] or ("*",))
        }

    @cached_property
    def _braked(self) -> set[str]:
        """Entities that a held batch stops."""
        held = {row["batch"] for row in self.rows("batches") if row.get("released") is None}
        return {row["entity"] for row in self.rows("records") if row.get("batch") in held}

    def is_shown(self, record: Record, field: str | None = None) -> str | None:
        """Why a field, or a record without a counterpart, waits for somebody; None when nothing says so."""
        entity = self.entity_of.get(record)
        if entity is None:
            return None
        row = self.states.get(entity, {})
        state = row.get("state") or {}
        for word in ("hold", "tombstone"):
            if state.get(word):
                return word
        if row.get("dormant"):
            return "dormant"
        if entity in self._braked:
            return "batch held"
        return "command held" if self.is_stuck(entity, field) else None

    def is_stuck(self, entity: str, field: str | None = None) -> bool:
        """Whether something of an entity, or one field of it, is held or refused."""
        wanted = field.partition(":")[0] if field is not None else None
        return any(held == entity and (wanted is None or name in ("*", wanted)) for held, name in self._stuck)

    @cached_property
    def linked_at(self) -> dict[Record, float]:
        """When each record was linked last."""
        return {
            (vendor, event.stream.partition(":")[0], record): self.seconds(event)
            for event, decision in self.decisions
            if isinstance(decision, RecordsLinked)
            for vendor, record in (("vitec", decision.vitec), ("propstreet", decision.propstreet))
        }

    @cached_property
    def forgetful(self) -> bool:
        """The log was restored in this story: what it forgot cannot be explained from it."""
        return self.forgot_at < inf

    @cached_property
    def forgot_at(self) -> float:
        """The second in which a restored log was recognised for the first time, inf without one."""
        return min((self.seconds(e) for e in self.events if e.type == LOG_RESTORED), default=inf)

    @cached_property
    def observed(self) -> Mapping[Cell, list[tuple[float, str]]]:
        """When the daemon saw which value in a field of a contact, a company or of anything at Propstreet.

        A push that is late, or a read that overlaps another, is no sight: it only says that something is to be read.
        """
        found: defaultdict[Cell, list[tuple[float, str]]] = defaultdict(list)
        latest: defaultdict[str, str] = defaultdict(str)
        ended: defaultdict[str, int] = defaultdict(int)
        for event in self.events:
            category, _, rest = event.stream.partition(":")
            vendor, _, record = rest.partition(":")
            if event.type != OBSERVED or category not in SYNCED:
                continue
            reading, row = reading_of(event), json.decode(event.data)
            with suppress(
                KeyError, TypeError, AttributeError
            ):  # a relation or an estate has a form of its own
                row = row if reading.inside is None else row[reading.inside]
                fields = fields_of(category, row, 0 if vendor == "vitec" else 1)
                stamp = str(row["changedAt" if vendor == "vitec" else "updatedUtc"])
                late = (
                    stamp <= latest[event.stream]
                    if reading.started is None
                    else reading.started < ended[event.stream]
                )
                if late or reading.verdict != ACCEPTED:
                    continue
                ended[event.stream] = event.position
                latest[event.stream] = max(stamp, latest[event.stream])
                for field, value in fields.items():
                    found[Cell(vendor, category, record, field)].append((self.seconds(event), value))
        return found

    @cached_property
    def conflicts(self) -> list[tuple[Event, ConflictResolved]]:
        """Every conflict in the log."""
        return [(e, d) for e, d in self.decisions if isinstance(d, ConflictResolved)]

    def is_restored(self, version: Version) -> bool:
        """Whether an operator brought this value back: it goes to both sides then, where it may."""
        return any(
            event.origin == "operator" and plain(conflict.field, conflict.winner_value) == version.value
            for event, conflict in self.conflicts
            if conflict.field == version.cell.field
        )

    def is_forgotten(self, at: float) -> bool:
        """Whether what the log said then is lost, because an older backup took its place."""
        return any(
            step.at - step.age <= at <= step.at
            for step in self.story.steps
            if isinstance(step, BackupRestored)
        )

    @cached_property
    def issued(self) -> dict[str, tuple[Event, CommandIssued | CommandHeld]]:
        """Every command by its id, as it was first decided."""
        found: dict[str, tuple[Event, CommandIssued | CommandHeld]] = {}
        for event, decision in self.decisions:
            if isinstance(decision, CommandIssued | CommandHeld):
                found.setdefault(decision.command, (event, decision))
        return found

    @cached_property
    def landed(self) -> dict[str, str]:
        """The record that a command wrote to or made, where it succeeded."""
        return {d.command: d.record for _, d in self.decisions if isinstance(d, CommandSucceeded)}

    def positions(self, record: Record) -> tuple[int, ...]:
        """The last few events of a record and of its entity."""
        entity = self.entity_of.get(record)
        streams = {f"{record[1]}:{record[0]}:{record[2]}", f"{record[1]}:{entity}"}
        return tuple(event.position for event in self.events if event.stream in streams)[-8:]


def named(cell: Cell) -> str:
    """A cell in words."""
    return f"{cell.category} {cell.vendor}:{cell.record} {cell.field}"
