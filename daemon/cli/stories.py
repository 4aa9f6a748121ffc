"""The story of one entity: each of its events in words."""

from typing import Final

import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.times import shown
from daemon.cli.wording import (
    LEADS,
    NAMES,
    WAYS,
    conflict_words,
    field_words,
    flag_words,
    list_words,
    value_words,
)
from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import (
    FIRST_SYNC,
    LEAD_RECEIVED,
    NOTIFIED,
    OBSERVED,
    OPERATOR,
    BatchHeld,
    BatchReleased,
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
    ConflictResolved,
    EntityHeld,
    EntityReleased,
    Event,
    FieldsAgreed,
    FirstSyncReleased,
    HoldDiscarded,
    LogRestored,
    ReconcileFinished,
    RecordRemoved,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
    decision_of,
    reading_of,
)
from daemon.domain.fields import Value
from daemon.domain.streams import LEAD, parse_record_stream
from daemon.mappings.lens import Options
from projections.fold import content_of


class Line(msgspec.Struct, frozen=True):
    """One event with its summary; `record` is the vendor's record that it is about."""

    event: Event
    record: str | None
    summary: str


class Story:
    """Tells events in words. It remembers each record's last content, so that an observation says what changed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._fields: dict[str, dict[str, Value]] = {}
        self._flags: dict[str, tuple[str, ...]] = {}

    def line(self, event: Event) -> Line:
        """One event in words."""
        names = parse_record_stream(event.stream)
        record = f"{names[1]}:{names[2]}" if names else None
        return Line(event, record, self._summary(event))

    def _summary(self, event: Event) -> str:
        if event.type == OBSERVED:
            return self._observed(event)
        if event.type == NOTIFIED:
            reading = reading_of(event)
            return f"{NAMES[event.origin]} says: {reading.event or 'something changed'}{_besides(event)}"
        if event.type == LEAD_RECEIVED:
            return f"came in: {LEADS.get(reading_of(event).kind or LEAD, LEAD)}"
        return _decided(event)

    def _observed(self, event: Event) -> str:
        reading = reading_of(event)
        try:
            content = content_of(event, reading, self._options)
        except UntranslatablePayload:
            return f"{NAMES[event.origin]} holds something that cannot be read"
        before = self._fields.get(event.stream)
        self._fields[event.stream] = {**(before or {}), **content.fields}
        changes = {f: v for f, v in content.fields.items() if (v if before is None else v != before.get(f))}
        way = WAYS[reading.via]
        overlap = " (set aside: it overlapped another read)" if reading.verdict != "accepted" else ""
        overlap += f" (with too many others at once: {reading.batch})" if reading.batch is not None else ""
        if content.removed:
            return f"{NAMES[event.origin]} ({way}): removed"
        flags = [flag_words(flag) for flag in content.flags if flag not in self._flags.get(event.stream, ())]
        self._flags[event.stream] = content.flags
        words = ", ".join([*(f"{field_words(f)} {value_words(v)}" for f, v in changes.items()), *flags])
        return f"{NAMES[event.origin]} ({way}): {words or 'nothing new'}{overlap}"


class _Told(msgspec.Struct):
    cause: str | None = None


class _Notification(msgspec.Struct):
    data: _Told | None = None


_notifications: Final = msgspec.json.Decoder(_Notification)


def _besides(event: Event) -> str:
    """What a notification says besides its word."""
    reading = reading_of(event)
    if reading.into is not None:
        return f" (merged into {reading.into})"
    if event.stream.startswith("project:") and (reading.event or "").lower() == "remove":
        return " (gone, or no longer advertised)"
    try:
        told = _notifications.decode(event.data).data if event.stream.startswith(f"{LEAD}:") else None
    except msgspec.MsgspecError:
        return ""
    return f" ({harmless(told.cause)})" if told is not None and told.cause else ""


def _decided(event: Event) -> str:
    """Our own events in words."""
    match decision_of(event):
        case RecordsLinked() as d:
            rule = "an operator's word" if d.rule == OPERATOR else d.rule
            return f"linked vitec:{d.vitec} and propstreet:{d.propstreet} by {rule}{_by(d.by)}"
        case RecordsUnlinked() as d:
            return f"link closed{_by(d.by)}: {d.reason}"
        case RecordsMerged() as d:
            then = (
                "what was linked with it follows" if d.moved else "both had a counterpart, so its own is held"
            )
            return f"{d.vendor}:{d.source} was merged into {d.vendor}:{d.destination}; {then}"
        case RecordRemoved() as d:
            return f"gone at {NAMES[event.origin]} ({d.evidence.replace('_', ' ')})"
        case FieldsAgreed() as d:
            return f"both sides agree on {list_words(d.fields)}"
        case ConflictResolved() as d:
            return conflict_words(d.field, d.winner, d.winner_value, d.loser_value, d.rule, d.by)
        case CommandIssued() as d:
            if d.category == LEAD:
                return f"send on to {NAMES[d.target]}"
            verb = "create at" if d.record is None else "write to"
            words = ", ".join(
                f"{field_words(f)} {value_words(w.value)}" for f, w in d.want.items() if w.value
            )
            why = "; ".join(sorted({w.rule for w in d.want.values() if w.rule}))
            return f"{verb} {NAMES[d.target]}: {words or list_words(d.want)}" + (f" ({why})" if why else "")
    return _outcome(event)


def _outcome(event: Event) -> str:
    match decision_of(event):
        case CommandAttempted() as d:
            return f"write leaves (attempt {d.attempt})"
        case CommandSucceeded() as d:
            odd = f"; reads back differently: {list_words(d.unconfirmed)}" if d.unconfirmed else ""
            return f"written{odd}"
        case CommandFailed() as d:
            then = f"again at {shown(d.retry_at)}" if d.retry_at else "decided anew"
            return f"write failed ({d.reason}): {then}"
        case CommandUnknown() as d:
            if d.taken:
                return "written, and not read back: it is read before anything is written again"
            return f"outcome unknown ({d.reason}): looked up before anything is written again"
        case CommandSuperseded() as d:
            return f"write taken back: {d.reason}"
        case CommandDeadLettered() as d:
            return f"refused for good ({d.status}): {d.reason}" if d.status else f"given up: {d.reason}"
    return _waiting(event)


def exchange_words(event: Event) -> str:
    """What was sent to a vendor that refused it, and what it said, a line each."""
    decision = decision_of(event) if event.type == CommandDeadLettered.__name__ else None
    exchange = decision.exchange if isinstance(decision, CommandDeadLettered) else None
    if exchange is None:
        return ""
    asked = " ".join(filter(None, (exchange.method, exchange.path, exchange.body)))
    said = " ".join(filter(None, (str(exchange.status or "none"), exchange.answer)))
    return f"\nsent: {harmless(asked)}\nanswer: {harmless(said)}"


def _waiting(event: Event) -> str:
    """What waits for the operator, and what the operator said."""
    match decision_of(event):
        case EntityHeld() as d:
            return f"held ({d.reason}): {d.detail}" + (
                f" ({', '.join(d.candidates)})" if d.candidates else ""
            )
        case EntityReleased(reason=reason, by=by) if reason == FIRST_SYNC:
            return f"released{_by(by)}: nobody had edited it since the first start"
        case EntityReleased() as d:
            return f"released{_by(d.by)}: {d.reason}"
        case HoldDiscarded() as d:
            return f"the hold is discarded{_by(d.by)}: {d.reason}; it is not shown again"
        case CommandHeld() as d:
            return f"held for {NAMES[d.target]} ({d.reason}): {list_words(d.want)}; {d.detail}"
        case CommandReleased() as d:
            return f"{_ended(d.reason)} is released{_by(d.by)}: decided anew"
        case CommandDiscarded() as d:
            then = "" if event.stream.startswith(f"{LEAD}:") else ": not tried again until its source changes"
            return f"{_ended(d.reason)} is discarded{_by(d.by)}{then}"
    return _of_many(event)


def _of_many(event: Event) -> str:
    """What concerns more than one entity."""
    match decision_of(event):
        case BatchHeld() as d:
            return f"held as one: {d.count} {d.kind} of {d.category} at {NAMES[d.vendor]} ({d.detail})"
        case BatchReleased() as d:
            return f"let go as one{_by(d.by)}: {d.reason}"
        case LogRestored():
            return "the log is older than it was: everything is read again before anything is decided"
        case FirstSyncReleased() as d:
            return f"what only the first polls saw of {d.category} is released{_by(d.by)}"
        case ReconcileFinished() as d:
            return f"an audit of {d.pairs} pairs is over{_by(d.by)}"
    return event.type


def _ended(reason: str) -> str:
    """What an operator ended: a write, by the reason that it had to wait for."""
    return f"the write ({reason})" if reason else "the write"


def _by(operator: str) -> str:
    return f" ({harmless(operator)})" if operator else ""
