"""The view of conflicts: every value that lost, so that it can be brought back."""

from datetime import datetime

import msgspec

from daemon.domain.events import ConflictResolved, Event, decision_of
from daemon.domain.fields import Value
from daemon.domain.streams import other


class ConflictRow(msgspec.Struct, frozen=True):
    """One field that both sides had changed: who won, who lost, and why; `at` is when we put it on record.

    An operator's restore is one too: it `restores` what another had lost, and `by` is who did it.
    """

    tenant: str
    conflict: str
    entity: str
    field: str
    winner: str
    winner_value: Value
    loser: str
    loser_value: Value
    loser_since: datetime | None
    reason: str
    order_uncertain: bool
    position: int
    category: str
    at: datetime
    restores: str | None = None
    by: str | None = None


def conflict_row(tenant: str, event: Event) -> ConflictRow | None:
    """The row of a ConflictResolved; None for every other event."""
    if event.type != ConflictResolved.__name__:
        return None
    resolved = decision_of(event)
    assert isinstance(resolved, ConflictResolved)
    return ConflictRow(
        tenant=tenant,
        conflict=resolved.conflict,
        entity=resolved.entity,
        field=resolved.field,
        winner=resolved.winner,
        winner_value=resolved.winner_value,
        loser=other(resolved.winner),
        loser_value=resolved.loser_value,
        loser_since=resolved.loser_since,
        reason=resolved.rule,
        order_uncertain=resolved.order_uncertain,
        position=event.position,
        category=event.stream.partition(":")[0],
        at=event.recorded_at,
        restores=resolved.restores,
        by=resolved.by,
    )
