"""The view of batches: what a brake holds as one, and what was released."""

from typing import Final

import msgspec

from daemon.domain.events import (
    FIRST_SYNC,
    BatchHeld,
    BatchReleased,
    Event,
    FirstSyncReleased,
    decision_of,
)

TYPES: Final = frozenset(kind.__name__ for kind in (BatchHeld, BatchReleased, FirstSyncReleased))


class BatchRow(msgspec.Struct, frozen=True):
    """One batch. `held` and `released` are the events that did it; `most` is how many would have passed.

    What the first polls saw of a category is a batch that is only ever released.
    """

    tenant: str
    batch: str
    kind: str
    vendor: str
    category: str
    count: int
    most: int
    detail: str
    held: int
    released: int | None = None


def evolve(tenant: str, rows: dict[str, BatchRow], event: Event) -> str | None:
    """Fold one event into the rows at hand; the id of the batch that it was about, or None."""
    if event.type not in TYPES:
        return None
    match decision_of(event):
        case BatchHeld() as d:
            rows[d.batch] = BatchRow(
                tenant, d.batch, d.kind, d.vendor, d.category, d.count, d.limit, d.detail, event.position
            )
            return d.batch
        case BatchReleased(batch=batch) if batch in rows:
            rows[batch] = msgspec.structs.replace(rows[batch], released=event.position)
            return batch
        case FirstSyncReleased(category=category):
            batch = event.stream.partition(":")[2]
            at = event.position
            rows[batch] = BatchRow(tenant, batch, FIRST_SYNC, "", category, 0, 0, "", at, at)
            return batch
    return None
