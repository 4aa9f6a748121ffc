"""A Propstreet delivery as an event: the record's content as a push, or a hint to read it."""

import base64
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from daemon.domain.events import NOTIFIED, OBSERVED, NewEvent, Reading, encode
from daemon.domain.streams import (
    PROPSTREET,
    derived_id,
    inbox_stream,
    record_stream,
    storable,
)
from daemon.domain.times import vendor_time
from daemon.mappings.privacy import without_national_ids

FAMILIES: Final = frozenset(("contact", "company", "link", "project", "prospect", "property"))
"""The categories of which a delivery is believed to tell (N17: there is none of a note)."""

_any: Final = msgspec.json.Decoder()


def event_of(
    tenant: str, delivery_id: str, body: bytes, received: datetime, *, test: bool, store_national_ids: bool
) -> NewEvent:
    """The event of a delivery whose signature was right. It never raises: what cannot be read is kept as it is."""
    event_id = derived_id(tenant, PROPSTREET, "webhook", delivery_id)
    try:
        content = _any.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return _unreadable(event_id, body, received)
    kept = body if store_national_ids else without_national_ids(body)
    envelope = content if isinstance(content, dict) else {}
    name = str(envelope.get("type") or envelope.get("event") or "")  # the vendor's guides disagree (P1)
    resource = envelope.get("data")
    resource = resource if isinstance(resource, dict) else {}
    category, _, what = name.partition(".")
    record = str(resource.get("id") or "")
    if test or category not in FAMILIES or not record or not storable(record):
        reading = Reading(via="webhook", event=name)
        return _event(event_id, inbox_stream(PROPSTREET), NOTIFIED, received, kept, reading, received)
    stream = record_stream(category, PROPSTREET, record)
    project = resource.get("projectId")
    parts = {"project": str(project)} if category == "prospect" and project is not None else None
    updated = resource.get("updatedUtc")
    whole = isinstance(resource.get("etag"), str) and isinstance(updated, str)
    unsaid = resource.get("deletedUtc") is None and (what == "deleted" or "action" in envelope)
    if not whole or unsaid:
        reading = Reading(via="webhook", event=name, parts=parts)
        return _event(event_id, stream, NOTIFIED, received, kept, reading, received)
    reading = Reading(via="webhook", event=name, inside="data", parts=parts)
    time = vendor_time(updated) or received
    return _event(event_id, stream, OBSERVED, time, kept, reading, received)


def _event(
    event_id: UUID,
    stream: str,
    kind: str,
    occurred_at: datetime,
    data: bytes,
    reading: Reading,
    received: datetime,
) -> NewEvent:
    return NewEvent(
        event_id=event_id,
        stream=stream,
        type=kind,
        origin=PROPSTREET,
        occurred_at=min(occurred_at, received),
        data=data,
        meta=encode(reading),
        correlation_id=event_id,
    )


def _unreadable(event_id: UUID, body: bytes, received: datetime) -> NewEvent:
    """A signed body that is no JSON: kept in base64, so that it cannot switch the subscription off."""
    data = encode({"unreadable": base64.b64encode(body).decode()})
    reading = Reading(via="webhook", unreadable=True)
    return _event(event_id, inbox_stream(PROPSTREET), NOTIFIED, received, data, reading, received)
