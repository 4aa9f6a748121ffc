"""What led to what: the events of one story as a tree, from the webhook that began it to the outcome of the write."""

import string
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from daemon.cli.finding import events_of
from daemon.cli.harmless import harmless
from daemon.cli.histories import row_of
from daemon.cli.stories import Line, Story
from daemon.domain.errors import UsageError
from daemon.domain.events import (
    NOTIFIED,
    OBSERVED,
    CommandAttempted,
    CommandDiscarded,
    CommandHeld,
    CommandIssued,
    CommandReleased,
    ConflictResolved,
    Event,
    decision_of,
    reading_of,
)
from daemon.domain.streams import CATEGORIES, LEAD, parse_record_stream
from daemon.mappings.lens import Options
from daemon.storage import log, views
from daemon.storage.connection import Connection
from projections.commands import TYPES as COMMAND_TYPES

SHORTEST: Final = 6
"""So many characters of an id say which one is meant, if no other begins so."""

MOST: Final = 10
"""So many candidates are listed."""


class Node(msgspec.Struct, frozen=True):
    """An event in its place: `depth` below the root, `parent` the event that led to it.

    `again`: it stands elsewhere in the tree with all that follows, and this event had a part in it.
    """

    line: Line
    parent: int | None
    depth: int
    asked: bool
    again: bool = False


async def asked(conn: Connection, tenant: str, ref: str) -> Event:
    """The event that a position, an event's id or a command's means; of a command the event that made it due.

    Raises UsageError where there is none, or several.
    """
    ref = ref.strip().lower().removeprefix("#")
    if ref.isascii() and ref.isdigit() and len(ref) < SHORTEST * 3:
        event = await log.at(conn, tenant, int(ref))
        if event is not None:
            return event
    found = await _called(conn, tenant, ref)
    if len(found) == 1:
        [event] = found.values()
        return event
    if found:
        lines = "".join(f"\n  {name}  event {event.position}, {event.type}" for name, event in found.items())
        raise UsageError(f"several ids begin with {harmless(ref)!r}; give more of one of these:{lines}")
    raise UsageError(
        f"no event or command is called {harmless(ref)!r}; give a position as `toveis history` shows it, or "
        f"{SHORTEST} characters or more of an event's or a command's id"
    )


async def _called(conn: Connection, tenant: str, ref: str) -> dict[str, Event]:
    """The events whose id, or whose command's id, begins so, by that id."""
    if len(ref) < SHORTEST or not set(ref) <= {*string.hexdigits, "-"}:
        return {}
    digits = ref.replace("-", "")
    if len(digits) > 32:
        return {}
    low, high = (uuid.UUID(digits.ljust(32, end)) for end in "0f")
    events = await log.called(conn, tenant, low, high, MOST)
    found = {str(event.event_id): event for event in events}
    for row in await views.commands_like(conn, tenant, ref, MOST):
        event = await log.at(conn, tenant, row.issued)
        if event is not None:
            found[row.command] = event
    return found


async def story_of(conn: Connection, tenant: str, event: Event) -> "Causes":
    """The events among which an event's causes and consequences are: those of its entity, else of its stream."""
    causes = Causes(await _around(conn, tenant, event))
    while (cause := causes.root(event).causation_id) is not None and cause not in causes.by_id:
        far = await log.called(conn, tenant, cause, cause, 1)
        if not far:
            break
        causes = Causes([*far, *causes.events])
    return causes


async def _around(conn: Connection, tenant: str, event: Event) -> list[Event]:
    names = parse_record_stream(event.stream)
    category, _, name = event.stream.partition(":")
    entity = None
    if names is not None and names[0] != LEAD:
        entity = await views.entity_of_record(conn, tenant, *names)
    elif names is not None:
        leads = await views.leads_of(conn, tenant, vitec_id=names[2])
        entity = await views.resolve(conn, tenant, leads[0]) if leads else None
    elif category in (*CATEGORIES, LEAD):
        entity = await views.resolve(conn, tenant, name)
    events = await events_of(conn, tenant, entity.category, entity.id) if entity is not None else []
    if all(each.position != event.position for each in events):
        events += await log.of_streams(conn, tenant, [event.stream])
    return events


class Causes:
    """The events of a story, and what led to each of them."""

    def __init__(self, events: Iterable[Event]) -> None:
        by_position = {event.position: event for event in events}
        self.events = [by_position[position] for position in sorted(by_position)]
        self.by_id = {event.event_id: event for event in self.events}
        self.parents: dict[int, list[Event]] = {}
        self._conflicts: list[Event] = []
        commands: dict[str, list[Event]] = {}
        for event in self.events:
            command = _command_of(event)
            steps = commands.setdefault(command, []) if command is not None else []
            self.parents[event.position] = (
                [_step_before(event, steps)] if steps else self._decided_by(event, by_position)
            )
            steps.append(event)

    def _decided_by(self, event: Event, by_position: Mapping[int, Event]) -> list[Event]:
        """What an event names as its cause, the most telling first.

        A write that won a conflict follows from that. Where what is named is word of a vendor that has no part in what
        was decided, it is the newest of the edits that the decision is about.
        """
        named = self.by_id.get(event.causation_id) if event.causation_id is not None else None
        edits = [by_position[place] for place in sorted(_about(event), reverse=True) if place in by_position]
        if event.type in _WRITES:
            won = [each for each in self._conflicts if each.causation_id == event.causation_id]
            won = [each for each in won if _about(event) & _about(each)]
            if won:
                return won[-1:]
        if event.type == ConflictResolved.__name__:
            self._conflicts.append(event)
        if named is None or (edits and named.type in (OBSERVED, NOTIFIED) and named not in edits):
            return edits
        return [named, *(edit for edit in edits if edit is not named)]

    def root(self, event: Event) -> Event:
        """The event that began what led to this one, as far as the story goes. What led to an event stands before it."""
        while earlier := [
            each for each in self.parents[event.position][:1] if each.position < event.position
        ]:
            [event] = earlier
        return event


_DECIDED: Final = frozenset(kind.__name__ for kind in (CommandIssued, CommandHeld, ConflictResolved))
_WRITES: Final = (CommandIssued.__name__, CommandHeld.__name__)
_STEPS: Final = (CommandIssued.__name__, CommandAttempted.__name__)
_WORDS: Final = (CommandReleased.__name__, CommandDiscarded.__name__)


def _about(event: Event) -> set[int]:
    """The positions of the edits that a decision carries on, or chose between."""
    match decision_of(event) if event.type in _DECIDED else None:
        case CommandIssued(want=want) | CommandHeld(want=want):
            return {w.cause for w in want.values()}
        case ConflictResolved() as resolved:
            return {resolved.winner_position, resolved.loser_position}
    return set()


def _command_of(event: Event) -> str | None:
    """The command that an event is a step of."""
    if event.type in COMMAND_TYPES:
        command: str = decision_of(event).command  # type: ignore[attr-defined]  # all of COMMAND_TYPES have one
        return command
    return reading_of(event).command if event.type == OBSERVED else None


def _step_before(event: Event, steps: Sequence[Event]) -> Event:
    """Every attempt follows from the command, an outcome from its attempt, an operator's word from what was held."""
    if event.type == CommandAttempted.__name__:
        return steps[0]
    if event.type in _WORDS:
        return steps[-1]
    return next((each for each in reversed(steps) if each.type in _STEPS), steps[0])


def tree(causes: Causes, event: Event, options: Options) -> list[Node]:
    """All that followed from what began it, in the order of the tree; the one that was asked for is marked.

    What has several causes is told below the first of them, and named again below the others.
    """
    words = Story(options)
    lines = {each.position: words.line(each) for each in causes.events}
    children: dict[int, list[Event]] = {}
    for each in causes.events:
        for parent in causes.parents[each.position]:
            children.setdefault(parent.position, []).append(each)
    root = causes.root(event)
    own = {each.position for each in causes.events if causes.root(each) is root}
    found: list[Node] = []
    told: set[int] = set()
    waiting: list[tuple[Event, int | None, int]] = [(root, None, 0)]
    while waiting:
        each, parent_at, depth = waiting.pop()
        place = each.position
        first = parent_at is None or causes.parents[place][0].position == parent_at
        again = place in told or (not first and place in own)
        found.append(Node(lines[place], parent_at, depth, place == event.position and not again, again))
        if not again:
            told.add(place)
            waiting += [(child, place, depth + 1) for child in reversed(children.get(place, []))]
    return found


def json_of(node: Node) -> dict[str, Any]:
    """A node as JSON: the keys of `toveis history`, and its place."""
    event = node.line.event
    return {
        **row_of(node.line),
        "event_id": event.event_id,
        "parent": node.parent,
        "depth": node.depth,
        "asked": node.asked,
        "again": node.again,
        "correlation_id": event.correlation_id,
    }
