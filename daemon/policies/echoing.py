"""Echoes: what a vendor tells us of our own writes, and what says nothing new."""

from collections import Counter
from collections.abc import Iterable

from daemon.domain.events import OBSERVED, Event, reading_of
from daemon.domain.streams import other, parse_record_stream
from projections.entity import Entity
from projections.fold import Entities


def echoes(entities: Entities, events: Iterable[Event]) -> Counter[str]:
    """By vendor, how many of the events that were just folded were echoes.

    An echo is content that came by itself, changed nothing of a record, and found values there that we had written.
    What came while the write was still under way is not counted: nobody knows yet what it is.
    """
    return Counter(vendor for event in events if (vendor := _echo_of(entities, event)) is not None)


def _echo_of(entities: Entities, event: Event) -> str | None:
    names = parse_record_stream(event.stream)
    if event.type != OBSERVED or names is None or reading_of(event).command is not None:
        return None
    entity = entities.resolve(entities.by_record.get(names, ""))
    vendor = names[1]
    if entity is None or vendor not in entity.sides:
        return None
    side = entity.sides[vendor]
    came = side.unreadable == event.position or any(
        held.position == event.position for held in side.shadow.values()
    )
    kept = any(push.position == event.position for push in side.kept)
    return vendor if not came and not kept and _holds_ours(entity, vendor) else None


def _holds_ours(entity: Entity, vendor: str) -> bool:
    """A value that we wrote came later, and is as old as the edit on the other side that it was taken from."""
    here, there = entity.sides[vendor].shadow, entity.sides.get(other(vendor))
    return there is not None and any(
        held.since is not None
        and (source := there.shadow.get(field)) is not None
        and source.since == held.since
        and source.position < held.position
        for field, held in here.items()
    )
