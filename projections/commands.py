"""The view of commands: the outbox, and what became of every write."""

from datetime import datetime
from typing import Literal

import msgspec

from daemon.domain.events import (
    CommandAttempted,
    CommandDeadLettered,
    CommandDiscarded,
    CommandFailed,
    CommandHeld,
    CommandIssued,
    CommandReleased,
    CommandSucceeded,
    CommandSuperseded,
    CommandUnknown,
    Event,
    decision_of,
)
from projections.outbox import PUT_OFF

State = Literal[
    "pending",
    "flying",
    "unknown",
    "succeeded",
    "failed",
    "superseded",
    "held",
    "dead",
    "released",
    "discarded",
]
OPEN: frozenset[State] = frozenset(("pending", "flying", "unknown"))


class CommandRow(msgspec.Struct, frozen=True):
    """One command. `fields` names what it writes; the values stand in the log. `due_at` is None for at once.

    `unconfirmed` are the fields that read back as something else than what was written. `status` is the vendor's last
    answer that was no success. `backfill`: it goes behind whatever comes of an edit.
    """

    tenant: str
    command: str
    entity: str
    category: str
    target: str
    record: str | None
    fields: tuple[str, ...]
    state: State
    issued: int
    position: int
    attempts: int = 0
    due_at: datetime | None = None
    reason: str | None = None
    detail: str | None = None
    unconfirmed: tuple[str, ...] = ()
    status: int | None = None
    backfill: bool = False


TYPES = frozenset(
    kind.__name__
    for kind in (
        CommandIssued,
        CommandHeld,
        CommandAttempted,
        CommandSucceeded,
        CommandFailed,
        CommandUnknown,
        CommandSuperseded,
        CommandDeadLettered,
        CommandReleased,
        CommandDiscarded,
    )
)


def evolve(tenant: str, rows: dict[str, CommandRow], event: Event) -> str | None:
    """Fold one event into the rows at hand; the id of the command that it was about, or None."""
    if event.type not in TYPES:
        return None
    match decision_of(event):
        case CommandIssued() as d:
            rows[d.command] = CommandRow(
                tenant,
                d.command,
                d.entity,
                d.category,
                d.target,
                d.record,
                tuple(sorted(d.want)),
                "pending",
                event.position,
                event.position,
                backfill=d.backfill,
            )
            return d.command
        case CommandHeld() as d:
            before = rows.get(d.command)
            rows[d.command] = CommandRow(
                tenant,
                d.command,
                d.entity,
                d.category,
                d.target,
                d.record,
                tuple(sorted(d.want)),
                "held",
                event.position,
                event.position,
                attempts=before.attempts if before is not None else 0,
                reason=d.reason,
                detail=d.detail,
            )
            return d.command
        case (
            CommandAttempted()
            | CommandSucceeded()
            | CommandFailed()
            | CommandUnknown()
            | CommandSuperseded()
            | CommandDeadLettered()
            | CommandReleased()
            | CommandDiscarded()
        ) as d:
            row = rows.get(d.command)
            if row is not None:
                rows[d.command] = _outcome(row, d, event.position)
                return d.command
    return None


def forget(rows: dict[str, CommandRow], position: int) -> set[str]:
    """The log was restored: every open command may have come to an end that nobody remembers; their ids."""
    open_ = {row.command for row in rows.values() if row.state in OPEN}
    for command in open_:
        rows[command] = msgspec.structs.replace(
            rows[command], state="superseded", position=position, due_at=None, reason="the log was restored"
        )
    return open_


Outcome = (
    CommandAttempted
    | CommandSucceeded
    | CommandFailed
    | CommandUnknown
    | CommandSuperseded
    | CommandDeadLettered
    | CommandReleased
    | CommandDiscarded
)


def _outcome(row: CommandRow, decision: Outcome, position: int) -> CommandRow:
    change = msgspec.structs.replace
    match decision:
        case CommandAttempted(attempt=attempt):
            return change(row, state="flying", attempts=attempt, position=position, due_at=None)
        case CommandSucceeded(record=record, unconfirmed=odd):
            return change(
                row,
                state="succeeded",
                record=record,
                position=position,
                reason=None,
                unconfirmed=odd,
                status=None,
            )
        case CommandFailed(reason=reason, retry_at=retry_at):
            state: State = "failed" if retry_at is None else "pending"
            row = change(
                row, state=state, position=position, reason=reason, due_at=retry_at, status=decision.status
            )
            return change(row, attempts=max(0, row.attempts - 1)) if reason in PUT_OFF else row
        case CommandUnknown(reason=reason, retry_at=retry_at):
            state = "failed" if row.record is not None else "unknown"
            return change(row, state=state, position=position, reason=reason, due_at=retry_at)
        case CommandSuperseded(reason=reason):
            return change(row, state="superseded", position=position, reason=reason)
        case CommandDeadLettered(reason=reason, status=status):
            return change(row, state="dead", position=position, reason=reason, status=status)
        case CommandReleased() if row.state in OPEN:
            return change(row, position=position, due_at=None)
        case CommandReleased():
            return change(row, state="released", position=position)
        case CommandDiscarded():
            return change(row, state="discarded", position=position, due_at=None)
