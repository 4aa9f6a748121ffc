"""A Vitec notification as events: each arrival is a hint to read a record. It carries no id and no time.

Two dated texts of the vendor spell the fields differently; names are compared without case, the body wins over the
query, and a broken body with a good query is enough.
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from daemon.domain.events import NOTIFIED, NewEvent, Reading, encode
from daemon.domain.streams import VITEC, derived_id, inbox_stream, record_stream, storable
from daemon.mappings.privacy import without_national_ids

CONTACTS: Final = {
    "person": ("contact", "Person"),
    "company": ("company", "Company"),
    "estate": ("contact", "DeceasedEstate"),
}
"""Subtype of a Contact notification to our category and to Vitec's word for the typed read."""


def events_of(
    tenant: str,
    arrival: UUID,
    body: bytes,
    query: Mapping[str, str],
    received: datetime,
    *,
    store_national_ids: bool,
) -> list[NewEvent]:
    """The events of one arrival; `arrival` makes them distinct from those of an equal one. It never raises."""
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
    for number, (stream, kind) in enumerate(_streams(fields)):
        reading = Reading(via="webhook", event=event, kind=kind, query=told or None, unreadable=unreadable)
        event_id = derived_id(tenant, VITEC, "notification", str(arrival), str(number))
        events.append(
            NewEvent(
                event_id=event_id,
                stream=stream,
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


def _streams(fields: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The streams that a notification is about, each with the record's type; the inbox for everything else."""
    subtype = str(fields.get("subtype", "")).lower()
    match str(fields.get("type", "")).lower():
        case "contact" if subtype in CONTACTS:
            category, kind = CONTACTS[subtype]
            records = [str(fields.get("id", ""))]
        case "merge" if subtype in ("person", ""):
            category, kind = CONTACTS["person"]
            sources = fields.get("sourceids")
            destination = fields.get("destinationid") or fields.get("id", "")
            records = [str(destination), *(str(s) for s in (sources if isinstance(sources, list) else []))]
        case _:
            records = []
            category, kind = "", ""
    named = [record for record in records if record and storable(record)]
    if not named:
        return [(inbox_stream(VITEC), None)]
    return [(record_stream(category, VITEC, record), kind) for record in named]
