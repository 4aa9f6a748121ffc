"""What an entity knows of our writes: what waits, what is under way, what is held or was refused, what failed."""

from datetime import datetime
from typing import Final

import msgspec

from daemon.domain import retry
from daemon.domain.events import CommandAttempted, CommandDiscarded, CommandHeld, CommandUnknown, Half
from daemon.domain.streams import Vendor, other
from projections.entity import Attempt, Blocked, Entity, Failure, base_of
from projections.merge import lose_sight

OBSERVE: Final = "observe"
"""The reason of a hold that only says that nothing is sent in observe mode."""

PUT_OFF: Final = frozenset(("RateLimited", "AccessDenied", "VendorAway", "DatabaseUnreachable"))
"""Failures that say nothing about the write: the vendor put us off, or it never left. No attempt is counted."""

UNKNOWN_OUTCOME: Final = "unknown_outcome"
"""The reason of a hold of what a vendor has or not, and would take twice."""


def block(entity: Entity, held: CommandHeld) -> None:
    """What was held is not written before its source changes."""
    blocked = entity.blocked.setdefault(held.target, {})
    for field, want in held.want.items():
        blocked[field] = Blocked(held.command, want.cause, observed=held.reason == OBSERVE)
    if entity.lead is not None:  # from here on the operator knows better
        entity.lead = msgspec.structs.replace(entity.lead, restored=False)


def block_pending(entity: Entity, command: str) -> None:
    """What a command would have written is not written before its source changes."""
    target = target_of(entity, command)
    if target is not None:
        blocked = entity.blocked.setdefault(target, {})
        for field, want in entity.pending[target].want.items():
            blocked[field] = Blocked(command, want.cause)


def try_again(entity: Entity, command: str) -> None:
    """What was held or refused is due again, as if nothing had failed before."""
    for target, blocked in entity.blocked.items():
        for field, stopped in blocked.items():
            if stopped.command == command:
                _take_as_unwritten(entity, field, other(target), stopped.position)
                entity.failures.pop(target, None)
    unblock(entity, command)
    entity.failures.pop(target_of(entity, command) or "", None)


def _take_as_unwritten(entity: Entity, field: str, source: Vendor, position: int) -> None:
    """A value that the vendor took without effect became a base: from now on it counts as an edit again (S31)."""
    base = entity.base.get(field)
    if base is None:
        return
    here, there = base.half(source), base.half(other(source))
    if here.position == position and here.value != there.value:
        entity.base[field] = base_of(source, Half(here.value, position - 1), there)


def discard(entity: Entity, discarded: CommandDiscarded) -> None:
    """An operator has seen to it: it is not decided anew by itself; a lead of unknown outcome counts as sent."""
    for blocked in entity.blocked.values():
        for field, stopped in blocked.items():
            if stopped.command == discarded.command:
                blocked[field] = msgspec.structs.replace(stopped, observed=False, discarded=True)
    if entity.lead is not None and discarded.reason == UNKNOWN_OUTCOME:
        entity.lead = msgspec.structs.replace(entity.lead, sent="")  # Vitec has it, says the operator


def unsent(entity: Entity) -> set[str]:
    """Every command of an entity that waits or is held."""
    blocked = {block.command for blocks in entity.blocked.values() for block in blocks.values()}
    return blocked | {pending.command for pending in entity.pending.values()}


def unblock(entity: Entity, command: str) -> None:
    """What this command stopped may be written again."""
    for target, blocked in list(entity.blocked.items()):
        entity.blocked[target] = {field: b for field, b in blocked.items() if b.command != command}
        if not entity.blocked[target]:
            del entity.blocked[target]


def target_of(entity: Entity, command: str) -> str | None:
    """The vendor that a pending command is for."""
    return next((t for t, pending in entity.pending.items() if pending.command == command), None)


def count_failure(entity: Entity, command: str, at: datetime) -> None:
    """One more write to this vendor failed or was lost."""
    target = target_of(entity, command)
    if target is not None:
        before = recent_failure(entity, target, at)
        count, began = (before.count, before.began) if before is not None else (0, at)
        entity.failures[target] = Failure(count + 1, at, began)


def recent_failure(entity: Entity, target: str, now: datetime) -> Failure | None:
    """The failures of writes to this vendor that one at `now` would go on with."""
    failure = entity.failures.get(target)
    return failure if failure is not None and retry.goes_on(failure.at, now) else None


def put_off(entity: Entity, command: str) -> None:
    """The vendor put us off, or the write never left: that was no attempt of this record's."""
    target = target_of(entity, command)
    if target is not None:
        pending = entity.pending[target]
        pending.attempts = max(0, pending.attempts - 1)


def attempt(entity: Entity, attempted: CommandAttempted, position: int) -> None:
    """The write is about to leave."""
    target = target_of(entity, attempted.command)
    if target is None:
        return
    pending = entity.pending[target]
    pending.state, pending.attempts = "flying", attempted.attempt
    attempt = Attempt(attempted.command, position, pending.want, attempted.etag, attempted.vendor_time)
    if pending.record is None:
        entity.creating[target] = attempt
    else:
        entity.sides[target].attempts.append(attempt)


def forget(entity: Entity, command: str) -> None:
    """The command has its end: it waits no more, and creates nothing."""
    target = target_of(entity, command)
    if target is not None:
        del entity.pending[target]
    for target in [t for t, attempt in entity.creating.items() if attempt.command == command]:
        del entity.creating[target]


def lose(entity: Entity, unknown: CommandUnknown, position: int, at: datetime) -> None:
    """The outcome is unknown. An update is settled by the next read; a create by looking for the record first."""
    command = unknown.command
    for attempt in entity.creating.values():
        if attempt.command == command:
            attempt.state, attempt.unknown, attempt.unknown_at = "open", position, at
            attempt.taken = unknown.taken
    for side in entity.sides.values():
        for attempt in side.attempts:
            if attempt.command == command and attempt.state == "flying":
                attempt.taken = unknown.taken
                lose_sight(side, attempt, position, at)
    target = target_of(entity, command)
    if target is not None:
        if entity.pending[target].record is None:
            entity.pending[target].state = "unknown"
        else:
            del entity.pending[target]
