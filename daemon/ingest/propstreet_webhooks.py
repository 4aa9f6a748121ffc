"""A Propstreet delivery as an event: the record's content as a push, or a hint to read it."""

import base64
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from daemon.domain.events import NOTIFIED, OBSERVED, NewEvent, Reading, encode
from daemon.domain.streams import CATEGORIES, PROPSTREET, derived_id, inbox_stream, record_stream
from daemon.domain.times import vendor_time
from daemon.mappings.privacy import without_national_ids


class _Resource(msgspec.Struct, rename="camel"):
    """As much of a resource as tells whether the delivery carries it whole."""

    id: str | int | None = None
    etag: str | None = None
    updated_utc: str | None = None
    deleted_utc: str | None = None


class _Delivery(msgspec.Struct):
    """The envelope: the vendor's guides disagree on the name of its first key (P1)."""

    type: str | None = None
    event: str | None = None
    timestamp: str | None = None
    data: _Resource | None = None


_deliveries: Final = msgspec.json.Decoder(_Delivery)
_any: Final = msgspec.json.Decoder()


def event_of(
    tenant: str, delivery_id: str, body: bytes, received: datetime, *, test: bool, store_national_ids: bool
) -> NewEvent:
    """The event of a delivery whose signature was right. It never raises: what cannot be read is kept as it is."""
    event_id = derived_id(tenant, PROPSTREET, "webhook", delivery_id)
    try:
        _any.decode(body)
    except msgspec.DecodeError:
        return _unreadable(event_id, body, received)
    kept = body if store_national_ids else without_national_ids(body)
    try:
        delivery = _deliveries.decode(body)
    except msgspec.ValidationError:
        delivery = _Delivery()
    name = delivery.type or delivery.event or ""
    resource = delivery.data or _Resource()
    category, _, what = name.partition(".")
    record = None if resource.id is None else str(resource.id)
    if test or category not in CATEGORIES or not record or "\0" in record:
        reading = Reading(via="webhook", event=name)
        return _event(event_id, inbox_stream(PROPSTREET), NOTIFIED, received, kept, reading, received)
    stream = record_stream(category, PROPSTREET, record)
    whole = resource.etag is not None and resource.updated_utc is not None
    if not whole or (what == "deleted" and resource.deleted_utc is None):
        reading = Reading(via="webhook", event=name)
        return _event(event_id, stream, NOTIFIED, received, kept, reading, received)
    reading = Reading(via="webhook", event=name, inside="data")
    time = vendor_time(resource.updated_utc) or received
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
