"""What must hold of the log itself: that it is whole, that commands are orderly, and that it explains every value."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from daemon.domain.events import (
    OBSERVED,
    CommandAttempted,
    CommandDeadLettered,
    CommandFailed,
    CommandHeld,
    CommandIssued,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    LogRestored,
    Want,
)
from tests.simulation.bench import Bench, Violation, named
from tests.simulation.truth import Version, plain

OUTCOMES: Final = (
    CommandSucceeded | CommandFailed | CommandUnknown | CommandDeadLettered | CommandHeld | CommandSuperseded
)


def whole(bench: Bench) -> Iterator[Violation]:
    """Positions are gapless, versions are gapless within a stream, no event is there twice."""
    versions: defaultdict[str, int] = defaultdict(int)
    for expected, event in enumerate(bench.events, 1):
        if event.position != expected:
            yield Violation("log", f"event {event.position}", f"stands at place {expected}")
            break
    for event in bench.events:
        versions[event.stream] += 1
        if event.version != versions[event.stream]:
            told = f"has version {event.version}, not {versions[event.stream]}"
            yield Violation("log", f"stream {event.stream}", told, (event.position,))
            versions[event.stream] = event.version
    for event_id, times in Counter(event.event_id for event in bench.events).items():
        if times > 1:
            yield Violation("log", f"event {event_id}", f"is there {times} times")


def orderly(bench: Bench) -> Iterator[Violation]:
    """No command is issued twice; an attempt follows its decision, alone for its entity, and has an outcome."""
    issued: dict[str, str] = {}
    flying: dict[str, tuple[str, int]] = {}
    for event, decision in bench.decisions:
        match decision:
            case LogRestored():  # whatever was under way is forgotten
                flying.clear()
            case CommandIssued(command=command, entity=entity):
                if command in issued:
                    yield Violation("commands", command, "was issued twice", (event.position,))
                issued[command] = bench.resolved(entity)
            case CommandAttempted(command=command):
                if command not in issued:
                    yield Violation("commands", command, "was attempted and never issued", (event.position,))
                    continue
                entity = issued[command]
                if entity in flying:
                    told = "was attempted while another write for its entity was in flight"
                    yield Violation("commands", command, told, (flying[entity][1], event.position))
                flying[entity] = command, event.position
            case _ if isinstance(decision, OUTCOMES):
                entity = issued.get(decision.command, "")
                if flying.get(entity, ("",))[0] == decision.command:
                    del flying[entity]
    for command, position in flying.values():
        yield Violation("commands", command, "was attempted and has no outcome", (position,))


def explains(bench: Bench) -> Iterator[Violation]:
    """For each value in a shared field the log has the event that set it, and who carried it over, from where and why."""
    if bench.forgetful:
        return
    seen = {event.stream for event in bench.events if event.type == OBSERVED}
    for cells in bench.paired():
        for cell in cells:
            version = bench.truth.present[cell]
            if version.given or bench.is_forgotten(version.at):
                continue
            if version.who != "daemon":
                if f"{cell.category}:{cell.vendor}:{cell.record}" not in seen:
                    yield Violation("explains", named(cell), "no event shows what a person typed")
            elif bench.lineage.sources(version) and (why := _unexplained(bench, version)) is not None:
                yield Violation("explains", named(cell), why, bench.positions(cell[:3]))


def _unexplained(bench: Bench, version: Version) -> str | None:
    """A create whose answer was lost is found by its entity."""
    cell = version.cell
    entity = bench.entity_of.get(cell[:3])
    wants = [
        want
        for event, decision in bench.issued.values()
        if isinstance(decision, CommandIssued)
        and decision.target == cell.vendor
        and event.stream.startswith(f"{cell.category}:")
        and _is_about(bench, decision, cell.record, entity)
        for field, want in decision.want.items()
        if field == cell.field.partition(":")[0] and _means(want, version)
    ]
    if not wants:
        return f"no command carried {version.value!r} there"
    by_position = {event.position: event for event in bench.events}
    for want in wants:
        if not want.rule:
            return "its command says no rule"
        source = by_position.get(want.source_position)
        if source is None or f":{want.source}:" not in f"{source.stream}:":
            continue
        return None
    return "the event that its command names as its source is not one of the other side's"


def _is_about(bench: Bench, decision: CommandIssued, record: str, entity: str | None) -> bool:
    if decision.record is None and bench.resolved(decision.entity) == entity:
        return True
    return record in (decision.record, bench.landed.get(decision.command))


def _means(want: Want, version: Version) -> bool:
    name, _, tag = version.cell.field.partition(":")
    value = plain(name, want.value)
    return (("yes" if tag in value.split(",") else "") if tag else value) == version.value


ORACLES: Final[tuple[Callable[[Bench], Iterator[Violation]], ...]] = (whole, orderly, explains)
