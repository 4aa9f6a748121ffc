"""The story of one entity in words, and its picture: what each vendor holds and where every value comes from."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.times import shown
from daemon.domain.errors import UntranslatablePayload, UsageError
from daemon.domain.events import (
    FIRST_SYNC,
    LEAD_RECEIVED,
    NOTIFIED,
    OBSERVED,
    OPERATOR,
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
    HoldDiscarded,
    RecordRemoved,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
    decision_of,
    reading_of,
)
from daemon.domain.fields import Value, normal
from daemon.domain.streams import (
    LEAD,
    VENDORS,
    VITEC,
    entity_stream,
    other,
    parse_record_stream,
    record_stream,
)
from daemon.mappings.lens import Options
from daemon.storage import log, views
from daemon.storage.connection import Connection
from projections.entity import Entity
from projections.fold import Entities, content_of
from projections.leads import lead_row
from projections.provenance import provenance

NAMES: Final = {"vitec": "Vitec", "propstreet": "Propstreet"}
WAYS: Final = {"poll": "poll", "fetch": "read", "readback": "read back", "webhook": "webhook"}
LEADS: Final = {
    "lead": "a valuation lead",
    "interest": "an interest in an estate",
    "final_price": "a final-price watch",
}
LEAD_STATES: Final = {
    "waiting": "waits to be sent",
    "sending": "is being sent",
    "sent": "sent",
    "held": "not sent; `toveis commands` says why",
    "discarded": "given up by an operator",
}


# --- Finding ---


async def find(conn: Connection, tenant: str, category: str, ref: str) -> list[str]:
    """The ids of an entity, the present one first, then those that it absorbed; raises UsageError."""
    found = await matching(conn, tenant, category, ref)
    if len(found) == 1:
        [entity] = found
        return [entity.id, *await views.absorbed(conn, tenant, entity.id)]
    if not found:
        raise UsageError(f"no {category} matches {ref!r}; give {_ways(category)}")
    lines = "".join(f"\n  {entity.id}  {title(entity)}" for entity in found)
    raise UsageError(f"{len(found)} {category} records match; give one of these ids:{lines}")


def _ways(category: str) -> str:
    match category:
        case "lead":
            return "the id that it was answered with, vitec:<id>, or an e-mail"
        case "project":
            return "an id, vitec:<id>, propstreet:<id>, or a name"
        case "prospect":
            return "an id, vitec:<estateId>:<contactId>, or propstreet:<id>"
    return "an id, vitec:<id>, propstreet:<id>, an e-mail or an organisation number"


async def matching(conn: Connection, tenant: str, category: str, ref: str) -> list[Entity]:
    """The entities of a category that a REF may mean."""
    vendor, _, external_id = ref.partition(":")
    if category == LEAD and vendor in VENDORS:
        names = await views.leads_of(conn, tenant, vitec_id=external_id)
        return await views.entities(conn, tenant, names)
    if vendor in VENDORS:
        entity = await views.entity_of_record(conn, tenant, category, vendor, external_id)
        return [entity] if entity is not None else []
    resolved = await views.resolve(conn, tenant, ref)
    if resolved is not None:
        return [resolved] if resolved.category == category else []
    return sorted(await _named(conn, tenant, category, ref), key=lambda entity: entity.id)


async def _named(conn: Connection, tenant: str, category: str, ref: str) -> list[Entity]:
    """The entities that go by a name, an e-mail or a number."""
    match category:
        case "project":
            return await views.projects_named(conn, tenant, ref)
        case "lead":
            email = normal("email", ref)
            names = await views.leads_of(conn, tenant, email=email) if isinstance(email, str) else []
            return await views.entities(conn, tenant, names)
        case "contact" | "company":
            key = (
                f"email:{normal('email', ref)}"
                if "@" in ref
                else f"orgno:{normal('organisation_number', ref)}"
            )
            return await views.with_keys(conn, tenant, category, [key])
    return []


def title(entity: Entity) -> str:
    """An entity in a line: its name, and its records."""
    if entity.lead is not None:
        return f"{LEADS.get(entity.lead.kind, entity.lead.kind)} of {shown(entity.lead.received_at)}"
    fields = provenance(entity)
    words = [fields[f].value for f in ("first_name", "last_name", "name") if f in fields and fields[f].value]
    records = [f"{vendor}:{side.record}" for vendor, side in sorted(entity.sides.items())]
    return harmless(" ".join([*map(str, words), *records]))


async def events_of(
    conn: Connection, tenant: str, category: str, names: Sequence[str], after: int
) -> list[Event]:
    """Every event of an entity: of its own streams and its sources', and of the records that belong to it now."""
    entity = await views.resolve(conn, tenant, names[0])
    records = entity.sides.items() if entity is not None else ()
    sources = entity.sources if entity is not None else ()
    streams = [entity_stream(category, name) for name in (*names, *sources)]
    streams += [record_stream(category, vendor, side.record) for vendor, side in records]
    if entity is not None and entity.lead is not None and entity.lead.sent:
        streams.append(record_stream(LEAD, VITEC, entity.lead.sent))
    return await log.of_streams(conn, tenant, streams, after)


# --- History ---


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
        flags = [_flag(flag) for flag in content.flags if flag not in self._flags.get(event.stream, ())]
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
            return f"both sides agree on {_list(d.fields)}"
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
            return f"{verb} {NAMES[d.target]}: {words or _list(d.want)}" + (f" ({why})" if why else "")
    return _outcome(event)


def _outcome(event: Event) -> str:
    match decision_of(event):
        case CommandAttempted() as d:
            return f"write leaves (attempt {d.attempt})"
        case CommandSucceeded() as d:
            odd = f"; reads back differently: {_list(d.unconfirmed)}" if d.unconfirmed else ""
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
            return f"held for {NAMES[d.target]} ({d.reason}): {_list(d.want)}; {d.detail}"
        case CommandReleased() as d:
            return f"{_ended(d.reason)} is released{_by(d.by)}: decided anew"
        case CommandDiscarded() as d:
            then = "" if event.stream.startswith(f"{LEAD}:") else ": not tried again until its source changes"
            return f"{_ended(d.reason)} is discarded{_by(d.by)}{then}"
    return event.type


def _ended(reason: str) -> str:
    """What an operator ended: a write, by the reason that it had to wait for."""
    return f"the write ({reason})" if reason else "the write"


def _by(operator: str) -> str:
    return f" ({harmless(operator)})" if operator else ""


def conflict_words(
    field: str, winner: str, winner_value: Value, loser_value: Value, rule: str, by: str | None
) -> str:
    """Who won a field, who lost it, and why; or who brought it back."""
    won = f"{NAMES[winner]}'s {value_words(winner_value)}"
    lost = f"{NAMES[other(winner)]}'s {value_words(loser_value)}"
    if by is not None:
        return f"{harmless(by)} brought back {field_words(field)} {won} in place of {lost}"
    return f"conflict in {field_words(field)}: {won} wins ({rule}), {lost} lost"


def field_words(name: str) -> str:
    """A field's name in words."""
    return name.replace("_", " ")


def _flag(flag: str) -> str:
    """A flag in words: the finer level or status at Vitec, or a word of its own."""
    name, _, value = flag.partition(":")
    return harmless(f"{field_words(name)} {value}" if value else field_words(name))


def _list(names: Iterable[str]) -> str:
    return harmless(", ".join(map(field_words, sorted(names))))


def value_words(value: Value) -> str:
    """A value for a terminal; tags in braces."""
    if isinstance(value, tuple):
        return "{" + ", ".join(map(harmless, value)) + "}"
    return harmless(value) if value else "(empty)"


def print_history(lines: Sequence[Line], *, as_json: bool, heading: bool) -> None:
    """JSON objects, or a table."""
    if as_json:
        for line in lines:
            click.echo(msgspec.json.encode(_row(line)).decode())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not lines:
        return
    table = Table(box=None, pad_edge=False, show_header=heading)
    table.add_column("#", justify="right", style="dim")
    table.add_column("recorded", no_wrap=True, min_width=8)
    table.add_column("by", no_wrap=True)
    table.add_column("what happened", overflow="fold")
    colours = {"vitec": "cyan", "propstreet": "magenta", "toveis": "green"}
    for line in lines:
        origin = line.event.origin
        when = line.event.recorded_at.astimezone().strftime("%m-%d %H:%M:%S")
        colour = colours.get(origin, "yellow")
        table.add_row(
            str(line.event.position),
            when,
            f"[{colour}]{origin}[/]",
            escape(harmless(line.summary) + exchange_words(line.event)),
        )
    Console().print(table)
    if heading:
        click.echo(f"Times are in {lines[0].event.recorded_at.astimezone().strftime('%Z (UTC%z)')}.")


def _row(line: Line) -> dict[str, Any]:
    event = line.event
    return {
        "position": event.position,
        "recorded_at": event.recorded_at,
        "occurred_at": event.occurred_at,
        "origin": event.origin,
        "type": event.type,
        "stream": event.stream,
        "record": line.record,
        "summary": line.summary,
        "data": msgspec.Raw(_on_one_line(event.data)),
    }


def _on_one_line(data: str) -> bytes:
    """A payload without the line breaks between its values; the log keeps them."""
    try:
        return msgspec.json.format(data.encode(), indent=-1)
    except msgspec.MsgspecError:  # half of a surrogate pair, which the log may hold
        return " ".join(data.splitlines()).encode()


# --- Picture ---


def picture(tenant: str, name: str, events: Sequence[Event], options: Options) -> dict[str, Any]:
    """The entity after these events: its records, its fields with their provenance, and both shadows."""
    entities = Entities(tenant, options)
    for event in events:
        entities.evolve(event)
    entity = entities.resolve(name) or min(entities.by_id.values(), key=lambda e: e.seen)
    return {
        "entity": entity.id,
        "category": entity.category,
        "records": [f"{vendor}:{side.record}" for vendor, side in sorted(entity.sides.items(), reverse=True)],
        "linked_by": entity.rule,
        "hold": entity.hold.reason if entity.hold is not None else None,
        "tombstone": entity.tombstone,
        "flags": [flag for _, side in sorted(entity.sides.items()) for flag in side.flags],
        "lead": entity.lead,
        "state": lead_row(tenant, entity).state if entity.lead is not None else None,
        "fields": {field: msgspec.structs.asdict(p) for field, p in provenance(entity).items()},
        "shadows": {
            vendor: {
                field: {"value": held.value, "since": held.since, "position": held.position}
                for field, held in (entity.sides[vendor].shadow.items() if vendor in entity.sides else ())
            }
            for vendor in VENDORS
        },
    }


def print_picture(found: dict[str, Any], *, as_json: bool) -> None:
    """One JSON object, or a table with both shadows side by side."""
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    click.echo(f"{found['category']} {found['entity']}  {harmless('  '.join(found['records']))}")
    for key, words in (("linked_by", "linked by"), ("hold", "held"), ("tombstone", "closed")):
        if found[key]:
            more = "; `toveis commands --held` says what ends that" if key == "hold" else ""
            click.echo(f"{words}: {harmless(str(found[key]))}{more}")
    if found["lead"] is not None:
        lead = found["lead"]
        words = f"{LEADS.get(lead.kind, lead.kind)}, received {shown(lead.received_at)}"
        click.echo(f"{words}: {LEAD_STATES[found['state']]}")
        return
    if found["flags"]:
        click.echo("noted: " + ", ".join(map(_flag, found["flags"])))
    table = Table(box=None, pad_edge=False)
    for column in ("field", "Vitec", "Propstreet", "from", "since"):
        table.add_column(column, overflow="fold", no_wrap=column in ("field", "from", "since"))
    for field, origin in found["fields"].items():
        sides = [
            escape(value_words(_tuple(found["shadows"][vendor].get(field, {}).get("value"))))
            for vendor in VENDORS
        ]
        since = origin["since"].astimezone().strftime("%Y-%m-%d %H:%M:%S") if origin["since"] else "-"
        table.add_row(field_words(field), *sides, NAMES[origin["side"]], since)
    Console().print(table)
    click.echo(f"Times are in {datetime.now().astimezone().strftime('%Z (UTC%z)')}.")


def _tuple(value: Any) -> Value:
    return tuple(value) if isinstance(value, list | tuple) else value
