"""Which entity a REF means, and every event that is about it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from daemon.cli.harmless import harmless
from daemon.cli.times import shown
from daemon.cli.wording import LEADS
from daemon.domain.errors import UsageError
from daemon.domain.events import Event, RecordsLinked, RecordsMerged, RecordsUnlinked, decision_of
from daemon.domain.fields import normal
from daemon.domain.streams import (
    LEAD,
    LOG_STREAM,
    PROPSTREET,
    VENDORS,
    VITEC,
    entity_stream,
    other,
    record_stream,
)
from daemon.storage import log, views
from daemon.storage.connection import Connection, snapshot, unreachable
from projections.entity import Entity
from projections.provenance import provenance

_LINKING: Final = frozenset(kind.__name__ for kind in (RecordsLinked, RecordsMerged, RecordsUnlinked))


async def find(conn: Connection, tenant: str, category: str, ref: str) -> str:
    """The id of the one entity that is meant; raises UsageError with the candidates, or with what a REF may be."""
    found = await matching(conn, tenant, category, ref)
    if len(found) == 1:
        return found[0].id
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


class Reader:
    """Reads every event of an entity, and later what came since: a stream that joins it is read from its beginning.

    These are its own streams and those of whatever it absorbed, the streams of the records that belong to it, what it
    shared with others up to where they parted, and what happened to the log itself since the entity is there.
    """

    def __init__(self, conn: Connection, tenant: str, category: str, name: str) -> None:
        self._conn, self._tenant, self._category, self._name = conn, tenant, category, name
        self._ends: dict[str, int | None] = {}
        self._after = 0

    async def news(self) -> list[Event]:
        """The events that were not read yet, in the order of the log; raises DatabaseUnreachable."""
        async with unreachable(), snapshot(self._conn):
            head = await log.head(self._conn, self._tenant)
            known = [stream for stream, end in self._ends.items() if end is None]
            events = await self._read(known, self._after) if known else []
            events += await self._joined()
            self._after = head
        return sorted(events, key=lambda event: event.position)

    async def _joined(self) -> list[Event]:
        """The events of the streams that are new to us."""
        entity = await views.resolve(self._conn, self._tenant, self._name)
        name = entity.id if entity is not None else self._name
        own = [name, *await views.absorbed(self._conn, self._tenant, name)]
        told = await self._fresh([entity_stream(self._category, each) for each in own])
        sources = entity.sources if entity is not None else ()
        origins = [entity_stream(self._category, each) for each in sources]
        told += await self._fresh(origins)
        records = await self._fresh(_records(entity, self._category))
        ends = _ends(told, own, self._category)
        gone = [stream for stream in ends if stream not in self._ends]
        self._ends.update({stream: end for stream, end in ends.items() if stream in (*origins, *gone)})
        told += await self._read(gone, 0) if gone else []
        told = [event for event in told if event.position <= (self._ends[event.stream] or event.position)]
        found = [*told, *records]
        log_itself = await self._fresh([LOG_STREAM]) if found else []
        born = min((event.position for event in found), default=0)
        return [*found, *(event for event in log_itself if event.position > born)]

    async def _fresh(self, streams: Iterable[str]) -> list[Event]:
        fresh = [stream for stream in streams if stream not in self._ends]
        self._ends |= dict.fromkeys(fresh)
        return await self._read(fresh, 0) if fresh else []

    async def _read(self, streams: Sequence[str], after: int) -> list[Event]:
        return await log.of_streams(self._conn, self._tenant, streams, after)


async def events_of(conn: Connection, tenant: str, category: str, name: str) -> list[Event]:
    """Every event of an entity in the order of the log."""
    return await Reader(conn, tenant, category, name).news()


def known_at(events: Sequence[Event], time: datetime) -> Sequence[Event]:
    """The events that Toveis had recorded at a time."""
    known = [place for place, event in enumerate(events, 1) if event.recorded_at <= time]
    return events[: max(known, default=0)]


def known_then(events: Sequence[Event], time: datetime) -> Sequence[Event]:
    """The same; raises UsageError where there were none."""
    known = known_at(events, time)
    if not known:
        raise UsageError(f"nothing was known of it then; the first was at {shown(events[0].recorded_at)}")
    return known


def _records(entity: Entity | None, category: str) -> list[str]:
    """The streams of the records that belong to an entity now, and of what Vitec says of a lead."""
    if entity is None:
        return []
    streams = [record_stream(category, vendor, side.record) for vendor, side in entity.sides.items()]
    if entity.lead is not None and entity.lead.sent:
        streams.append(record_stream(LEAD, VITEC, entity.lead.sent))
    return streams


def _ends(events: Iterable[Event], names: Sequence[str], category: str) -> dict[str, int]:
    """The streams of which only a beginning is about an entity (known by these names), and where that ends.

    These are the records that left it and, where it left another one itself, that one and the records of that.
    """
    linked: dict[str, dict[str, str]] = {}
    ends: dict[str, int] = {}
    for event in sorted(events, key=lambda each: each.position):
        if event.type not in _LINKING:
            continue
        own = event.stream.partition(":")[2] in names
        records = linked.setdefault(event.stream, {})
        gone: list[str] = []
        match decision_of(event):
            case RecordsLinked() as link:
                records |= {VITEC: link.vitec, PROPSTREET: link.propstreet}
            case RecordsUnlinked(parted=parted) if own:
                gone = list(parted)
            case RecordsUnlinked(parted=parted) if set(parted.values()) & set(names):
                gone, ends[event.stream] = list(records), event.position
            case RecordsMerged(moved=True) as merged if own and records.get(merged.vendor) == merged.source:
                gone = [other(merged.vendor)]
        for vendor in gone:
            if vendor in records:
                ends[record_stream(category, vendor, records.pop(vendor))] = event.position
    return ends
