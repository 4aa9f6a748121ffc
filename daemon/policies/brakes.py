"""Brakes: so much at once is rather a fault than anybody's will. All of it is recorded, and nothing follows from it."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from daemon.domain.events import BatchHeld, BatchReleased
from daemon.domain.fields import Value
from daemon.domain.settings import Brake
from daemon.domain.streams import batch_id
from projections.batches import BatchRow
from projections.entity import Entity
from projections.merge import Rules
from projections.removals import undecided
from projections.turns import swinging

CHANGES: Final = "changes"
REMOVALS: Final = "removals"
OSCILLATION: Final = "oscillation"
"""The hold of an entity whose field goes to and fro by our own writes."""

Kind = tuple[str, str]
"""A vendor and a category: what removals are counted by."""


class Brakes(msgspec.Struct, frozen=True):
    """What is held: batches of changes by id, and the vendors and categories whose removals wait.

    `released` is, per vendor and category, the event that last released its removals: what was gone before may go.
    """

    batches: frozenset[str] = frozenset()
    waiting: frozenset[Kind] = frozenset()
    released: dict[Kind, int] = {}


class Vanished(msgspec.Struct, frozen=True):
    """The removals that wait at one vendor in a category, and how many linked records there are asked for right now."""

    gone: int
    asked: int
    linked: int


def limit(brake: Brake, linked: int) -> int:
    """How many of so many linked records may go at once."""
    return max(brake.count, int(linked * brake.percent / 100))


def standing(batches: Iterable[BatchRow]) -> Brakes:
    """What the batches of a tenant hold, before anything new is weighed."""
    rows = list(batches)
    removals = [row for row in rows if row.kind == REMOVALS]
    return Brakes(
        frozenset(row.batch for row in rows if row.kind == CHANGES and row.released is None),
        frozenset((row.vendor, row.category) for row in removals if row.released is None),
        {(row.vendor, row.category): row.released for row in removals if row.released is not None},
    )


def weigh(
    tenant: str, batches: Iterable[BatchRow], vanished: Mapping[Kind, Vanished], brake: Brake
) -> tuple[Brakes, list[BatchHeld | BatchReleased]]:
    """Which removals wait, what has to be held as one from now on, and what of it has come back altogether.

    As long as others that are asked for may turn out to be gone as well, a few removals wait for them.
    """
    before = standing(batches)
    waiting, decided = set(before.waiting), list[BatchHeld | BatchReleased]()
    for kind, each in vanished.items():
        most = limit(brake, each.linked)
        if kind not in before.waiting and each.gone > most:
            mark = str(before.released.get(kind, 0))
            decided.append(held(batch_id(tenant, REMOVALS, *kind, mark), REMOVALS, kind, each.gone, most))
        if each.gone + each.asked > most:
            waiting.add(kind)
    for row in batches:
        if row.kind == REMOVALS and row.released is None and (row.vendor, row.category) not in vanished:
            decided.append(BatchReleased(row.batch, "nothing of it is left"))
            waiting.discard((row.vendor, row.category))
    return msgspec.structs.replace(before, waiting=frozenset(waiting)), decided


def held(batch: str, what: str, kind: Kind, count: int, most: int) -> BatchHeld:
    """The hold of a batch, with the way out."""
    vendor, category = kind
    told = {
        CHANGES: f"{count} or more linked {category} records changed at {vendor.capitalize()} in one poll",
        REMOVALS: f"{count} or more linked {category} records are gone at {vendor.capitalize()}",
    }
    way = f"look at some of them, and let them go with `toveis release {batch}`"
    return BatchHeld(
        batch, what, vendor, category, count, most, f"{told[what]}, and {most} may be at once; {way}"
    )


def in_held_batch(entity: Entity, brakes: Brakes) -> bool:
    """A batch that is held changed one of its records."""
    return any(side.batch in brakes.batches for side in entity.sides.values())


def removal_waits(entity: Entity, brakes: Brakes, polled: Mapping[str, int]) -> bool:
    """A record is gone, and what follows waits: until two polls, one after the other, show what else is gone.

    `polled` is, per vendor, the log's head when the last complete poll of this category but one was sent.
    """
    for vendor in entity.sides:
        gone, kind = undecided(entity, vendor), (vendor, entity.category)
        if gone is None or gone <= brakes.released.get(kind, 0):
            continue
        if kind in brakes.waiting or polled.get(vendor, -1) < gone:
            return True
    return False


def changes(entity: Entity, vendor: str, fields: Mapping[str, Value], rules: Rules) -> bool:
    """Whether these values change what a record holds. What a write of ours put there is no change."""
    side = entity.sides[vendor]
    return any(
        not rules.same(field, value, shadow.value)
        and not any(
            field in attempt.want and rules.kept(field, attempt.want[field].value, value)
            for attempt in side.attempts
        )
        for field, value in fields.items()
        if (shadow := side.shadow.get(field)) is not None
    )


def oscillation(entity: Entity) -> tuple[str, str] | None:
    """Why an entity is in quarantine, and what tells this time from the next; None while it is not."""
    found = swinging(entity)
    if not found:
        return None
    names = ", ".join(f"{field} at {vendor.capitalize()}" for vendor, field in sorted(found))
    last = max(turns.returns[-1] for turns in found.values())
    detail = (
        f"our writes gave {names} back an earlier value again and again: something else rewrites it, too;"
        f" stop that, then `toveis release {entity.id}`"
    )
    return detail, f"{OSCILLATION}:{last.isoformat()}"
