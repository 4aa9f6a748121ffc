"""A Vitec notification as events: each arrival is a hint to read a record. It carries no id and no time.

Two dated texts of the vendor spell the fields differently; names are compared without case, the body wins over the
query, and a broken body with a good query is enough.
"""

import base64
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from daemon.domain.events import NOTIFIED, NewEvent, Reading, encode
from daemon.domain.streams import LEAD, VITEC, derived_id, inbox_stream, record_stream, relation_id, storable
from daemon.mappings.privacy import without_national_ids

CONTACTS: Final = {
    "person": ("contact", "Person"),
    "company": ("company", "Company"),
    "estate": ("contact", "DeceasedEstate"),
}
"""Subtype of a Contact notification to our category and to Vitec's word for the typed read."""

ESTATES: Final = {
    kind.lower(): kind
    for kind in (
        *("House", "Cottage", "HousingCooperative", "Plot", "Condominium", "Farm", "ForeignProperty"),
        *("CommercialProperty", "Premises"),
    )
}
"""Subtype of an Estate notification to Vitec's word for the typed read."""

RELATIONS: Final = frozenset(("speculator", "buyer", "viewingparticipant"))
"""Subtypes of an EstateContact notification that say something of a prospect (V7, V9, V11; the others V10)."""


class Named(msgspec.Struct, frozen=True):
    """A record that a notification names: its stream, its type, what it joins, and what it was merged into."""

    stream: str
    kind: str | None = None
    parts: dict[str, str] | None = None
    into: str | None = None


def events_of(
    tenant: str,
    arrival: UUID,
    body: bytes,
    query: Mapping[str, str],
    received: datetime,
    *,
    store_national_ids: bool,
    estate_types: Collection[str] = tuple(ESTATES.values()),
) -> list[NewEvent]:
    """The events of one arrival; `arrival` makes them distinct from those of an equal one. It never raises.

    Estates of other types than `estate_types` are out of scope, and kept in the inbox.
    """
    content = _object(body)
    fields: dict[str, Any] = {key.lower(): value for key, value in query.items()}
    fields |= {key.lower(): value for key, value in (content or {}).items() if value is not None}
    unreadable = content is None and bool(body.strip())
    told = {key: str(value) for key, value in query.items()}
    data = body if content is not None else encode({"unreadable": base64.b64encode(body).decode()})
    if content is None and not body.strip():
        data = encode(told)
    data = data if store_national_ids else without_national_ids(data)
    event = str(fields.get("event", ""))
    events = []
    for number, named in enumerate(_named(fields, estate_types)):
        reading = Reading(
            via="webhook",
            event=event,
            kind=named.kind,
            query=told or None,
            unreadable=unreadable,
            parts=named.parts,
            into=named.into,
        )
        event_id = derived_id(tenant, VITEC, "notification", str(arrival), str(number))
        events.append(
            NewEvent(
                event_id=event_id,
                stream=named.stream,
                type=NOTIFIED,
                origin=VITEC,
                occurred_at=received,
                data=data,
                meta=encode(reading),
                correlation_id=derived_id(tenant, VITEC, "notification", str(arrival)),
            )
        )
    return events


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return content if isinstance(content, dict) else None


def _named(fields: Mapping[str, Any], estate_types: Collection[str]) -> list[Named]:
    """The records that a notification is about; the inbox for everything else."""
    subtype = str(fields.get("subtype", "")).lower().removeprefix("estatecontact")
    record = str(fields.get("id", ""))
    match str(fields.get("type", "")).lower():
        case "contact" if subtype in CONTACTS:
            category, kind = CONTACTS[subtype]
            named = _records(category, [(record, None)], kind)
        case "merge" if subtype in ("person", ""):
            named = _merged(fields)
        case "estate" if ESTATES.get(subtype) in estate_types:
            named = _records("project", [(record, None)], ESTATES[subtype])
        case "project" if "Project" in estate_types:
            named = _records("project", [(record, None)], "Project")
        case "estatecontact" if subtype in RELATIONS and _in_scope(fields, estate_types):
            named = _relation(str(fields.get("relid1", "")), str(fields.get("relid2", "")))
        case "incominglead":  # what became of a lead of ours stands on its timeline (V15)
            named = _records(LEAD, [(record, None)], None)
        case "note":
            named = _note(record, str(fields.get("relid1", "")), str(fields.get("relid2", "")))
        case _:
            named = []
    return named or [Named(inbox_stream(VITEC))]


def _records(category: str, records: Iterable[tuple[str, str | None]], kind: str | None) -> list[Named]:
    return [
        Named(record_stream(category, VITEC, record), kind, into=into)
        for record, into in records
        if record and storable(record)
    ]


def _merged(fields: Mapping[str, Any]) -> list[Named]:
    """A merge names who stays and who is gone into it; both are read before anything is believed (V12)."""
    heir = str(fields.get("destinationid") or fields.get("id", ""))
    sources = fields.get("sourceids")
    gone = [str(source) for source in (sources if isinstance(sources, list) else [])]
    category, kind = CONTACTS["person"]
    return _records(category, [(heir, None), *((source, heir) for source in gone if source != heir)], kind)


def _in_scope(fields: Mapping[str, Any], estate_types: Collection[str]) -> bool:
    """Whether a relation may be about an estate that is synced; a project's type is not told."""
    kind = ESTATES.get(str(fields.get("reltype1", "")).lower())
    return kind is None or kind in estate_types


def _relation(estate: str, contact: str) -> list[Named]:
    record = relation_id(estate, contact)
    if not estate or not contact or not storable(record):
        return []
    return [Named(record_stream("prospect", VITEC, record), parts={"project": estate, "contact": contact})]


def _note(note: str, estate: str, contact: str) -> list[Named]:
    if not note or not contact or not storable(note):
        return []
    parts = {"contact": contact} | ({"project": estate} if estate else {})
    return [Named(record_stream("note", VITEC, note), parts=parts)]
