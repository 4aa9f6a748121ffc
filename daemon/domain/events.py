"""The events: immutable facts, in the past tense, one frozen Struct each.

An observation's `data` is the vendor's JSON as it was sent; how it came to us stands beside it in `meta` (`Reading`).
A decision's `data` is one of the Structs below, named by the event's `type`.
"""

import uuid
from datetime import datetime
from typing import Final

import msgspec

from daemon.domain.errors import UnknownEventError
from daemon.domain.fields import Value

SCHEMA_VERSION: Final = 1

ACCEPTED: Final = "accepted"
OVERLAPPING: Final = "overlapping"


NOT_FOUND: Final = "not_found"
CONTACT_GONE: Final = "contact_gone"
"""Why a relation is gone: a contact that is gone itself may have been merged into another, which has the relation."""


FIRST_SYNC: Final = "first_sync"
"""Why a record that only the first polls saw waits, and what is released as one."""

OPERATOR: Final = "operator"
"""The origin of what an operator decided; also the rule of a link that stands by an operator's word."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event that asks to be appended. `data` and `meta` are JSON texts; times are aware UTC."""

    event_id: uuid.UUID
    stream: str
    type: str
    origin: str
    occurred_at: datetime
    data: bytes
    correlation_id: uuid.UUID
    causation_id: uuid.UUID | None = None
    meta: bytes | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event as the log holds it. `position` is gapless within a tenant, `version` within a stream, from 1."""

    position: int
    event_id: uuid.UUID
    stream: str
    version: int
    type: str
    schema_version: int
    origin: str
    occurred_at: datetime
    recorded_at: datetime
    causation_id: uuid.UUID | None
    correlation_id: uuid.UUID
    data: str
    meta: str | None


class Reading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How an observation came to us (`meta` of RecordObserved and NotificationReceived).

    `via` is webhook, poll, fetch or readback. `started` is the log's head when a read was sent; a push has none.
    `inside` names the key of `data` under which the record lies. `command` is the write that a readback follows.
    `first` marks what the very first poll found; `kind` is the vendor's word for the record's type, `query` the
    query of a notification (without its secret). `parts` are the records that this one joins, where only the way
    it came tells them; `into` is the record that this one was merged into. `batch` is the held batch that it is a
    part of. `anew`: what it holds is not what it was read as when both sides last agreed, since the mapping was
    corrected; such a field counts as changed by this observation.
    """

    via: str
    started: int | None = None
    verdict: str = ACCEPTED
    inside: str | None = None
    command: str | None = None
    first: bool = False
    kind: str | None = None
    event: str | None = None
    query: dict[str, str] | None = None
    unreadable: bool = False
    parts: dict[str, str] | None = None
    into: str | None = None
    batch: str | None = None
    anew: bool = False


class Half(msgspec.Struct, frozen=True, gc=False):
    """One side's half of a base: what it held when both last meant the same, and the position that brought it."""

    value: Value
    position: int


class Want(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One field of a command: the value to write, where it comes from, what it replaces, and why it won.

    `override` is the position of the operator's word that it carries; `source_value` is then what the other side holds.
    """

    value: Value
    source: str
    source_value: Value
    source_position: int
    since: datetime | None
    replaces: Value = None
    replaces_position: int = 0
    rule: str = ""
    override: int = 0

    @property
    def cause(self) -> int:
        """The position of what made it due: a write that was held or refused is not tried again for the same cause."""
        return self.override or self.source_position


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """The root of our own events."""


class RecordRemoved(Decision, frozen=True):
    """The record is gone at its vendor, and that was confirmed.

    `evidence`: not_found; contact_gone (a relation whose contact is gone, which may have been merged into another);
    removed_by_us.
    """

    evidence: str


class RecordsMerged(Decision, frozen=True):
    """A vendor merged a record into another: what was linked with `source` belongs to `destination` from now on.

    With `moved` false the destination has a counterpart of its own; the source's stays where it is, and is held.
    `parts` are those of the destination, where it is a record that joins others.
    """

    entity: str
    vendor: str
    source: str
    destination: str
    moved: bool = True
    parts: dict[str, str] | None = None


class RecordsLinked(Decision, frozen=True):
    """These records describe one entity, by this rule, on this evidence (a match key). `by` is an operator's name."""

    entity: str
    vitec: str
    propstreet: str
    rule: str
    evidence: str = ""
    by: str = ""


class RecordsUnlinked(Decision, frozen=True):
    """The link is closed. With `tombstone` the records never link or create again by themselves.

    `parted` names, by vendor, the entity that a record is from now on; the other record keeps this one's id.
    `by` is an operator's name: then nothing but an operator's word ends the tombstone.
    """

    entity: str
    reason: str
    tombstone: bool = True
    parted: dict[str, str] = {}
    by: str = ""


class ConflictResolved(Decision, frozen=True):
    """Both sides changed a field: who won, who lost, by which rule. Appended before anything is overwritten.

    An operator's is the reverse of an earlier one: it `restores` what had lost there. `by` is the system's user, `seen`
    are the positions of the field at Vitec and at Propstreet that the operator looked at, None for a side without it.
    `doubt` is the position of the event after which a write of ours may have landed and been typed over unseen: the
    loser's time is no later than it was known, and this may be the second conflict about the same two values.
    """

    conflict: str
    entity: str
    field: str
    winner: str
    winner_value: Value
    winner_since: datetime | None
    winner_position: int
    loser_value: Value
    loser_since: datetime | None
    loser_position: int
    rule: str
    order_uncertain: bool = False
    restores: str | None = None
    by: str | None = None
    seen: tuple[int | None, int | None] | None = None
    doubt: int | None = None


class FieldsAgreed(Decision, frozen=True):
    """Both sides were seen to mean the same: the new base, per field (Vitec's half, Propstreet's half)."""

    entity: str
    fields: dict[str, tuple[Half, Half]]


class CommandIssued(Decision, frozen=True):
    """A write became due. `record` is None for a create; `etag` is that of the decision.

    `parts` are the target's own records that the record joins (a prospect's project and contact). `backfill`: it comes
    of what only the first polls saw, and goes behind everything else.
    """

    command: str
    entity: str
    category: str
    target: str
    record: str | None
    want: dict[str, Want]
    etag: str | None = None
    reference: str | None = None
    parts: dict[str, str] | None = None
    backfill: bool = False


class CommandAttempted(Decision, frozen=True):
    """The write is about to leave. `etag` and `vendor_time` are the target's before it."""

    command: str
    attempt: int
    etag: str | None = None
    vendor_time: datetime | None = None


class CommandSucceeded(Decision, frozen=True):
    """The vendor took it. `window_ms` is the time between our last read and our write (Vitec has no compare-and-swap)."""

    command: str
    record: str
    unconfirmed: tuple[str, ...] = ()
    window_ms: float | None = None


class CommandFailed(Decision, frozen=True):
    """The write certainly did not happen. With `retry_at` it is tried again then, else it is decided anew."""

    command: str
    reason: str
    status: int | None = None
    retry_at: datetime | None = None
    read_again: bool = False


class CommandUnknown(Decision, frozen=True):
    """Nobody knows whether the write happened, or `taken`: what the record then held. Look before writing again."""

    command: str
    reason: str
    retry_at: datetime | None = None
    taken: bool = False


class CommandSuperseded(Decision, frozen=True):
    """A newer decision, or a fact that arrived meanwhile, took its place before it was sent."""

    command: str
    reason: str


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked of a vendor and what it answered: no secrets, no header that does not matter, each text cut short.

    `status` is None where no answer came.
    """

    method: str
    path: str
    body: str = ""
    status: int | None = None
    headers: dict[str, str] = {}
    answer: str = ""
    sent: dict[str, str] = {}


class CommandDeadLettered(Decision, frozen=True):
    """The vendor refused for good. `reason` names fields, never values; the `exchange` has them."""

    command: str
    reason: str
    status: int | None = None
    exchange: Exchange | None = None


class CommandHeld(Decision, frozen=True):
    """A write that is due and cannot or may not be done. `reason` is a word of the mapping rules, `detail` the way out."""

    command: str
    entity: str
    category: str
    target: str
    record: str | None
    want: dict[str, Want]
    reason: str
    detail: str


class LogRestored(Decision, frozen=True):
    """The log is older than what this daemon knew of it: a backup was restored, and what followed is forgotten.

    `mark` is the database's incarnation from now on. `known` is how far the log had come; 0 when nobody can say.
    """

    mark: uuid.UUID
    known: int


class EntityHeld(Decision, frozen=True):
    """The entity waits for the operator. `fingerprint` tells one cause from the next; `candidates` are records."""

    entity: str
    reason: str
    detail: str
    fingerprint: str
    candidates: tuple[str, ...] = ()


class CommandReleased(Decision, frozen=True):
    """An operator wants it tried again: what was held or refused is decided anew, what waits for a time is due.

    `reason` is that of the hold or of the refusal; `by` the operator's name.
    """

    command: str
    entity: str
    reason: str
    by: str


class CommandDiscarded(Decision, frozen=True):
    """An operator has seen to it: it is not tried again before its source changes. `reason` and `by` as above."""

    command: str
    entity: str
    reason: str
    by: str


class EntityReleased(Decision, frozen=True):
    """The reason for holding the entity is gone, or an operator (`by`) said so.

    By an operator the cause with this `fingerprint` holds the entity no more. Without a hold it ends a tombstone.
    With the reason `FIRST_SYNC` it is no hold that ends: an entity that only the first polls saw may go.
    """

    entity: str
    reason: str
    fingerprint: str = ""
    by: str = ""


class HoldDiscarded(Decision, frozen=True):
    """An operator has seen to the hold with this fingerprint: it stands, and is no longer listed."""

    entity: str
    reason: str
    fingerprint: str
    by: str


class BatchHeld(Decision, frozen=True):
    """More than a brake lets go at once: nothing follows from any of it until it is released.

    `kind`: changes (of linked records, found by one poll) or removals (all of a vendor's in a category that nothing
    followed from yet). `count` is how many there were when it was held, `limit` how many would have passed.
    """

    batch: str
    kind: str
    vendor: str
    category: str
    count: int
    limit: int
    detail: str


class BatchReleased(Decision, frozen=True):
    """The batch may go: an operator (`by`) said so, or nothing of it is left."""

    batch: str
    reason: str
    by: str = ""


class ReconcileFinished(Decision, frozen=True):
    """An audit compared both vendors as they were read anew.

    `found` counts the differences by class and category, `due` those that something was to follow from. `unread` could
    not be read. `by` is an operator's name; without one it was the daemon's own.
    """

    began: datetime
    pairs: int
    records: int
    found: dict[str, dict[str, int]]
    due: int = 0
    unread: int = 0
    by: str = ""


class FirstSyncReleased(Decision, frozen=True):
    """What only the first polls saw of a category may go: an operator (`by`) said so, once and for all of it."""

    category: str
    by: str


DECISIONS: Final[dict[str, type[Decision]]] = {
    kind.__name__: kind
    for kind in (
        RecordRemoved,
        RecordsMerged,
        RecordsLinked,
        RecordsUnlinked,
        ConflictResolved,
        FieldsAgreed,
        CommandIssued,
        CommandAttempted,
        CommandSucceeded,
        CommandFailed,
        CommandUnknown,
        CommandSuperseded,
        CommandDeadLettered,
        CommandHeld,
        CommandReleased,
        CommandDiscarded,
        EntityHeld,
        EntityReleased,
        HoldDiscarded,
        LogRestored,
        BatchHeld,
        BatchReleased,
        ReconcileFinished,
        FirstSyncReleased,
    )
}
OBSERVED: Final = "RecordObserved"
NOTIFIED: Final = "NotificationReceived"
LEAD_RECEIVED: Final = "LeadReceived"
LOG_RESTORED: Final = LogRestored.__name__
TYPES: Final = frozenset(DECISIONS) | {OBSERVED, NOTIFIED, LEAD_RECEIVED}

_decoders: Final = {name: msgspec.json.Decoder(kind) for name, kind in DECISIONS.items()}
_readings: Final = msgspec.json.Decoder(Reading)
encode: Final = msgspec.json.Encoder().encode


def decision_of(event: Event) -> Decision:
    """The Struct of a decision event; raises UnknownEventError for a type or a shape that this program does not know."""
    try:
        return _decoders[event.type].decode(event.data)
    except (KeyError, msgspec.MsgspecError) as error:
        raise _unknown(event) from error


def reading_of(event: Event) -> Reading:
    """How an observation, a notification or a lead came to us; raises UnknownEventError."""
    try:
        return _readings.decode(event.meta or "")
    except msgspec.MsgspecError as error:
        raise _unknown(event) from error


def readable(event: Event) -> None:
    """Raise UnknownEventError unless this program can read every part of the event that is ours."""
    known(event)
    if event.type in DECISIONS:
        decision_of(event)
    else:
        reading_of(event)


def known(event: Event) -> Event:
    """The event itself; raises UnknownEventError when this program is too old for it: stop, never skip."""
    if event.schema_version != SCHEMA_VERSION or event.type not in TYPES:
        raise _unknown(event)
    return event


def _unknown(event: Event) -> UnknownEventError:
    return UnknownEventError(
        f"event {event.position} is a {event.type} of schema version {event.schema_version}, which this version of"
        " Toveis cannot read: upgrade Toveis to the version that wrote it, or a newer one"
    )
