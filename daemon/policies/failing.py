"""What follows from a write that failed, or that must not go out: try again, look, decide anew, give up, or hold."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from daemon.domain import retry
from daemon.domain.errors import (
    AccessDenied,
    Duplicate,
    NotFound,
    NotWritable,
    RateLimited,
    Rejected,
    Retryable,
    Stale,
    TakenUnseen,
    UnknownOutcome,
    VendorAway,
    VendorError,
)
from daemon.domain.events import CommandDeadLettered, CommandFailed, CommandHeld, CommandUnknown, Decision
from daemon.mappings import lens
from projections.entity import Entity, Pending
from projections.outbox import recent_failure

STALE: Final = 3
"""So many answers of 409 in a row, each after a fresh read, are no race: another record has what we write."""


class Stuck(msgspec.Struct, frozen=True):
    """It must not be sent, or not again: the operator is shown why, and what to do.

    With a `field` it is about that one alone, and the others are decided anew.
    """

    reason: str
    detail: str
    field: str | None = None


class Tried(msgspec.Struct, frozen=True):
    """A write that failed at `now`, with the number of its attempt; `jitter` in [0, 1) spreads the next one.

    A vendor that refused us is asked again after `closed_for` seconds.
    """

    entity: Entity
    target: str
    pending: Pending
    attempt: int
    now: datetime
    jitter: float
    closed_for: float

    @property
    def later(self) -> datetime | None:
        """When it is tried again; None when it is time to give up."""
        before = recent_failure(self.entity, self.target, self.now)
        first = before.began if before is not None else self.now
        return retry.next_try(first, self.now, self.attempt, self.jitter)


def given_up(entity: Entity, target: str, now: datetime) -> CommandDeadLettered | None:
    """The end of what was tried, looked at and tried again for long enough: writes whose outcome nobody ever knew."""
    failure, pending = recent_failure(entity, target, now), entity.pending.get(target)
    last_try = now - timedelta(seconds=retry.LONGEST)  # what can be refused by itself is, with what was said
    if failure is None or pending is None or not retry.over(failure.began, last_try):
        return None
    return CommandDeadLettered(pending.command, "no outcome for 35 hours")


def lost(tried: Tried, reason: str, *, taken: bool = False) -> CommandUnknown:
    """Nobody knows what became of it. What is never repeated need not wait before it is held."""
    again = None if tried.entity.lead is not None else tried.later
    return CommandUnknown(tried.pending.command, reason, again, taken)


def failed(tried: Tried, error: VendorError) -> Decision:
    """What becomes of the command."""
    entity, pending, later = tried.entity, tried.pending, tried.later
    name, command = type(error).__name__, pending.command
    match error:
        case UnknownOutcome():
            return lost(tried, name, taken=isinstance(error, TakenUnseen))
        case RateLimited(retry_after=after) | VendorAway(retry_after=after):
            again = retry.put_off(tried.now, tried.jitter, after)
            return CommandFailed(command, name, error.status, again)
        case AccessDenied():
            again = tried.now + timedelta(seconds=tried.closed_for)
            return CommandFailed(command, name, error.status, again)
        case Duplicate() | NotFound() if entity.lead is not None:
            return CommandDeadLettered(command, error.reason or name, error.status, error.exchange)
        case Retryable() | Duplicate() if later is not None:
            return CommandFailed(command, name, error.status, later)
        case NotFound() if pending.record is None and later is not None:
            # what it joins is not there, or not yet
            return CommandFailed(command, name, error.status, later)
        case Stale(status=409) if tried.attempt > STALE:
            return CommandDeadLettered(command, error.reason or "Conflict", error.status, error.exchange)
        case Stale() | NotFound() if pending.record is not None:
            return CommandFailed(command, name, error.status, read_again=True)
        case NotWritable():
            return held_of(
                entity, tried.target, pending, Stuck("not_writable", "the vendor has no call for this")
            )
        case Rejected() if (
            entity.lead is None and pending.want.keys() <= lens(tried.target, entity.category).probed
        ):
            stuck = Stuck("not_writable", f"{tried.target} refuses it; change it there by hand")
            return held_of(entity, tried.target, pending, stuck)
        case Rejected(reason=reason):
            return CommandDeadLettered(command, reason or name, error.status, error.exchange)
    return CommandDeadLettered(command, name, error.status, error.exchange)


def held_of(entity: Entity, target: str, pending: Pending, stuck: Stuck) -> CommandHeld:
    """A command that must not go out, held with all that it would have written, or with the one field in its way."""
    want = pending.want if stuck.field is None else {stuck.field: pending.want[stuck.field]}
    return CommandHeld(
        pending.command,
        entity.id,
        entity.category,
        target,
        pending.record,
        want,
        stuck.reason,
        stuck.detail,
    )
