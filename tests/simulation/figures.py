"""What a run counts, for the table."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from daemon.domain.events import OBSERVED, CommandIssued, ConflictResolved, reading_of
from tests.simulation.bench import Bench
from tests.simulation.truth import Cell, Version

PASSING_BY: Final = ("webhook", "poll")


class Figures(Struct):
    """Sums over one run, and per edit the seconds until both sides meant the same."""

    edits: int = 0
    echoes: int = 0
    commands: int = 0
    conflicts: int = 0
    doubts: int = 0
    lost: int = 0
    in_window: int = 0
    loops: int = 0
    duplicates: int = 0
    lives: int = 0
    events: int = 0
    settled: list[float] = []


def counted(bench: Bench) -> Figures:
    """Everything but what the oracles find and the runner knows."""
    conflicts = [conflict for _, conflict in bench.conflicts]
    return Figures(
        edits=sum(version.typed for version in bench.truth.versions),
        echoes=sum(1 for _ in _echoes(bench)),
        commands=sum(isinstance(decision, CommandIssued) for _, decision in bench.decisions),
        conflicts=len(conflicts),
        doubts=sum(is_doubt(conflict) for conflict in conflicts),
        events=len(bench.events),
        settled=list(_settled(bench)),
    )


def is_doubt(conflict: ConflictResolved) -> bool:
    """Whether it only says that an edit may have been overwritten."""
    return conflict.doubt is not None


def _echoes(bench: Bench) -> Iterator[int]:
    """Observations by webhook or poll of a record that the daemon was the last to change: they brought its own write."""
    changes: dict[tuple[str, str, str], list[Version]] = {}
    for version in bench.truth.versions:
        changes.setdefault(version.cell[:3], []).append(version)
    for event in bench.events:
        parts = event.stream.split(":", 2)
        if event.type != OBSERVED or len(parts) != 3 or reading_of(event).via not in PASSING_BY:
            continue
        at = bench.seconds(event)
        before = [v for v in changes.get((parts[1], parts[0], parts[2]), ()) if v.at <= at]
        if before and before[-1].who == "daemon":
            yield event.position


def _settled(bench: Bench) -> Iterator[float]:
    """For each edit of a pair's field: when both sides next held the same."""
    fields: dict[frozenset[Cell], list[Version]] = {}
    together = {cell: frozenset(pair) for pair in bench.paired() for cell in pair}
    for version in bench.truth.versions:
        if version.cell in together:
            fields.setdefault(together[version.cell], []).append(version)
    for pair, versions in fields.items():
        held: dict[Cell, str] = {}
        waiting: list[float] = []
        for version in versions:
            held[version.cell] = version.value
            if version.typed:
                waiting.append(version.at)
            if len(held) == len(pair) and len(set(held.values())) == 1:
                yield from (version.at - at for at in waiting)
                waiting.clear()
