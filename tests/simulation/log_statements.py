"""What the statements of `log.sql`, `working.sql` and `progress.sql` do, and the look at the log of `rebuild.sql`."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.sessions import LockKey
from tests.simulation.tables import Row, at

# -- locks: what PostgreSQL makes others wait for


def _turn(tenant: str, *_: Any) -> list[LockKey]:
    return [("events", tenant)]


def _row(table: str) -> Callable[..., list[LockKey]]:
    return lambda tenant, key, *_: [(table, tenant, key)]


def _progress(tenant: str, *_: Any) -> list[LockKey]:
    return [("progress", tenant)]


def _reads(tenant: str, streams: Sequence[str], *_: Any) -> list[LockKey]:
    return [("reads", tenant, stream) for stream in streams]


# -- the log

EVENT: Final = (
    "position event_id stream version type schema_version origin occurred_at recorded_at"
    " causation_id correlation_id data meta"
)
_event: Final = attrgetter(*EVENT.split())
_ORIGINS: Final = ("vitec", "propstreet", "lead", "toveis", "operator")
_json: Final = msgspec.json.Decoder(msgspec.Raw)


@statement("log.lock", "pg_advisory_xact_lock", holds=_turn)
def log_lock(_: Tables, __: str) -> Answers:
    return [("",)]


@statement("log.head", "coalesce")
def log_head(t: Tables, tenant: str) -> Answers:
    return [(_head(t, tenant),)]


@statement("log.state", "head stored versions")
def log_state(t: Tables, tenant: str, ids: Iterable[Any], streams: Iterable[str]) -> Answers:
    stored = [
        row.event_id for each in dict.fromkeys(ids) for row in t.events.where(tenant=tenant, event_id=each)
    ]
    return [(_head(t, tenant), stored, [_version(t, tenant, stream) for stream in streams])]


@statement("log.insert", "pg_notify", holds=_turn, tells="toveis")
def log_insert(t: Tables, tenant: str, shape: int, now: Any, *columns: Sequence[Any]) -> Answers:
    for position, event_id, stream, version, *rest in zip(*columns, strict=True):
        _insert(t, tenant, position, event_id, stream, version, shape, now, rest)
    return [("",)]


@statement("log.append", "id place", holds=_turn, tells="toveis")
def log_append(t: Tables, tenant: str, now: Any, shape: int, *columns: Sequence[Any]) -> Answers:
    head = _head(t, tenant)
    fresh = [
        values
        for values in zip(*columns, strict=True)
        if not t.events.where(tenant=tenant, event_id=values[0])
    ]
    for place, (event_id, stream, *rest) in enumerate(fresh, head + 1):
        version = _version(t, tenant, stream) + 1
        _insert(t, tenant, place, event_id, stream, version, shape, now, rest)
    return [(values[0], place) for place, values in enumerate(fresh, head + 1)]


@statement("log.observed", "stream event_id data meta ended")
def log_observed(t: Tables, tenant: str, streams: Iterable[str]) -> Answers:
    rows: Answers = []
    for stream in streams:
        newest = _observation(t, tenant, stream)
        read = t.reads.get(tenant, stream)
        seen = (None, None, None) if newest is None else (newest.event_id, _content(newest), newest.meta)
        rows.append((stream, *seen, None if read is None else read.ended))
    return rows


@statement("log.remember_reads", holds=_reads)
def remember_reads(
    t: Tables,
    tenant: str,
    streams: Sequence[str],
    starts: Sequence[int],
    ends: Sequence[int],
    lists: Sequence[str | None],
    now: Any,
) -> None:
    for stream, started, ended, listed in zip(streams, starts, ends, lists, strict=True):
        known = t.reads.get(tenant, stream)
        since = None if listed is None else now
        if known is not None:
            started, ended = max(known.started, started), max(known.ended, ended)
            if listed is None or listed == known.listed:
                since = known.listed_at
            listed = known.listed if listed is None else listed
        t.reads.put(
            tenant=tenant,
            stream=stream,
            started=started,
            ended=ended,
            listed=listed,
            listed_at=since,
            read_at=now,
        )


@statement("log.page", EVENT)
def log_page(t: Tables, tenant: str, after: int, limit: int) -> Answers:
    rows: Answers = []
    for position in range(after + 1, _head(t, tenant) + 1):
        if len(rows) == limit:
            break
        row = t.events.get(tenant, position)
        if row is not None:
            rows.append(_event(row))
    return rows


@statement("log.streams", EVENT)
def log_streams(t: Tables, tenant: str, streams: Iterable[str], after: int) -> Answers:
    found = [
        row
        for stream in dict.fromkeys(streams)
        for row in t.events.where(tenant=tenant, stream=stream)
        if row.position > after
    ]
    return [_event(row) for row in sorted(found, key=attrgetter("position"))]


@statement("log.at", EVENT)
def log_at(t: Tables, tenant: str, position: int) -> Answers:
    row = t.events.get(tenant, position)
    return [] if row is None else [_event(row)]


@statement("log.tenants", "tenant")
def log_tenants(t: Tables) -> Answers:
    return [(tenant,) for tenant in sorted({row.tenant for row in t.events.all()})]


@statement("log.incarnation", "mark")
def log_incarnation(t: Tables) -> Answers:
    return [(row.mark,) for row in t.incarnation.all()]


@statement("rebuild.check_log", "stream what found wanted")
def check_log(t: Tables, tenant: str) -> Answers:
    wrong: list[tuple[str, str, int, int]] = []
    steps: Counter[str] = Counter()
    for place, row in enumerate(sorted(t.events.where(tenant=tenant), key=attrgetter("position")), 1):
        steps[row.stream] += 1
        if row.position != place:
            wrong.append((row.stream, "position", row.position, place))
        if row.version != steps[row.stream]:
            wrong.append((row.stream, "version", row.version, steps[row.stream]))
    told: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in t.events.where(tenant=tenant):
        told[row.event_id].append(row.stream)
    wrong += [(min(streams), "event_id", len(streams), 1) for streams in told.values() if len(streams) > 1]
    return [*sorted(wrong, key=lambda each: each[1:3])[:100]]


@statement("log.incarnations", "mark version")
def log_incarnations(t: Tables, tenant: str, stream: str) -> Answers:
    told = sorted(t.events.where(tenant=tenant, stream=stream), key=attrgetter("version"))
    own = [(row.mark, 0) for row in t.incarnation.all()]
    return [*own, *((UUID(at(row.data, "mark")), row.version) for row in told)]


@statement("log.restored", "mark since restores")
def log_restored(t: Tables, tenant: str, stream: str) -> Answers:
    newest = t.events.newest(tenant=tenant, stream=stream)
    return [] if newest is None else [(UUID(at(newest.data, "mark")), newest.position, newest.version)]


def _head(t: Tables, tenant: str) -> int:
    newest = t.events.newest(tenant=tenant)
    return 0 if newest is None else int(newest.position)


def _version(t: Tables, tenant: str, stream: str) -> int:
    newest = t.events.newest(tenant=tenant, stream=stream)
    return 0 if newest is None else int(newest.version)


def _observation(t: Tables, tenant: str, stream: str) -> Row | None:
    newest = t.events.newest(tenant=tenant, stream=stream)
    while newest is not None and newest.type not in ("RecordObserved", "RecordRemoved"):
        newest = t.events.newest(tenant=tenant, stream=stream, version=newest.version - 1)
    return newest


def _content(event: Row) -> str | None:
    return event.data if event.type == "RecordObserved" else None


def _insert(
    t: Tables,
    tenant: str,
    position: int,
    event_id: Any,
    stream: str,
    version: int,
    shape: int,
    now: Any,
    rest: Sequence[Any],
) -> None:
    kind, origin, occurred_at, causation_id, correlation_id, data, meta = rest
    if origin not in _ORIGINS:
        raise asyncpg.CheckViolationError(f"events has no origin {origin}")
    for text in (data, meta):
        if text is not None:
            _refuse_nonsense(text)
    t.events.insert(
        tenant=tenant,
        position=position,
        event_id=event_id,
        stream=stream,
        version=version,
        type=kind,
        schema_version=shape,
        origin=origin,
        occurred_at=occurred_at,
        recorded_at=now,
        causation_id=causation_id,
        correlation_id=correlation_id,
        data=data,
        meta=meta,
    )


def _refuse_nonsense(text: str) -> None:
    """PostgreSQL takes what a lone surrogate makes no JSON for msgspec."""
    try:
        _json.decode(text)
    except msgspec.DecodeError:
        try:
            json.loads(text)
        except ValueError:
            raise asyncpg.InvalidTextRepresentationError("invalid input syntax for type json") from None


# -- working knowledge


@statement("working.checkpoint", "position")
def checkpoint(t: Tables, tenant: str, processor: str) -> Answers:
    row = t.checkpoints.get(tenant, processor)
    return [] if row is None else [(row.position,)]


@statement("working.move_checkpoint", holds=_row("checkpoints"), tells="toveis_reads")
def move_checkpoint(t: Tables, tenant: str, processor: str, position: int) -> None:
    t.checkpoints.put(tenant=tenant, processor=processor, position=position)


@statement("working.cursor", "cursor complete started_at looked_at")
def cursor(t: Tables, tenant: str, source: str) -> Answers:
    row = t.cursors.get(tenant, source)
    return [] if row is None else [(row.cursor, row.complete, row.started_at, row.looked_at)]


@statement("working.open_cursor", holds=_row("cursors"))
def open_cursor(t: Tables, tenant: str, source: str, now: Any) -> None:
    if t.cursors.get(tenant, source) is None:
        t.cursors.insert(tenant=tenant, source=source, started_at=now)


@statement("working.move_cursor", holds=_row("cursors"))
def move_cursor(t: Tables, tenant: str, source: str, text: str | None) -> None:
    row = t.cursors.get(tenant, source)
    if row is not None and text is not None:
        t.cursors.replace(row, cursor=text)


@statement("working.complete_cursor", holds=_row("cursors"), tells="toveis_reads")
def complete_cursor(t: Tables, tenant: str, source: str, started: int, now: Any) -> None:
    row = t.cursors.get(tenant, source)
    if row is not None:
        t.cursors.replace(row, complete=started, looked_at=now)


@statement("working.cursors", "source cursor complete started_at looked_at")
def cursors(t: Tables, tenant: str) -> Answers:
    rows = [row for row in t.cursors.where(tenant=tenant) if row.source.count(":") < 2]
    return [
        (row.source, row.cursor, row.complete, row.started_at, row.looked_at)
        for row in sorted(rows, key=attrgetter("source"))
    ]


@statement("working.reads", "stream started ended listed listed_at read_at")
def reads(t: Tables, tenant: str, streams: Iterable[str]) -> Answers:
    found = (t.reads.get(tenant, stream) for stream in dict.fromkeys(streams))
    return [
        (row.stream, row.started, row.ended, row.listed, row.listed_at, row.read_at)
        for row in found
        if row is not None
    ]


@statement("working.forget_reads")
def forget_reads(t: Tables, tenant: str) -> None:
    for row in list(t.reads.where(tenant=tenant)):
        t.reads.delete(row)


@statement("working.forget_cursors")
def forget_cursors(t: Tables, tenant: str) -> None:
    for row in list(t.cursors.where(tenant=tenant)):
        complete = None if row.complete is None else -1
        t.cursors.replace(row, cursor=None, complete=complete, looked_at=None)


@statement("working.note_away", holds=_row("away"))
def note_away(t: Tables, tenant: str, vendor: str, since: Any, next_look: Any) -> None:
    t.away.put(tenant=tenant, vendor=vendor, since=since, next_look=next_look)


@statement("working.note_back")
def note_back(t: Tables, tenant: str, vendor: str) -> None:
    row = t.away.get(tenant, vendor)
    if row is not None:
        t.away.delete(row)


@statement("working.away", "vendor since next_look")
def away(t: Tables, tenant: str) -> Answers:
    rows = sorted(t.away.where(tenant=tenant), key=attrgetter("vendor"))
    return [(row.vendor, row.since, row.next_look) for row in rows]


@statement("working.ask_polls", tells="toveis_polls")
def ask_polls(_: Tables, __: str) -> None:
    """Nothing but the notification."""


@statement("working.ask_again", tells="toveis_retries")
def ask_again(_: Tables, __: str) -> None:
    """Nothing but the notification."""


@statement("working.tell_views", tells="toveis_views")
def tell_views(_: Tables, __: str) -> None:
    """Nothing but the notification."""


# -- the projector's progress


@statement("progress.read", "position digest")
def progress_read(t: Tables, tenant: str) -> Answers:
    row = t.progress.get(tenant)
    return [] if row is None else [(row.position, row.digest)]


@statement("progress.lock", "position", holds=_progress)
def progress_lock(t: Tables, tenant: str) -> Answers:
    row = t.progress.get(tenant)
    return [] if row is None else [(row.position,)]


@statement("progress.mark", "int8")
def progress_mark(_: Tables) -> Answers:
    return [(1,)]


@statement("progress.write", holds=_progress)
def progress_write(t: Tables, tenant: str, position: int, digest: str) -> None:
    row = t.progress.get(tenant)
    t.progress.put(tenant=tenant, position=position, digest=digest if row is None else row.digest)
