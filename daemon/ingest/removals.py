"""A record that its vendor says is gone. Absence from a list never gets here: only a confirmed 404."""

from daemon.domain.events import Event, NewEvent, RecordRemoved, encode
from daemon.domain.streams import derived_id
from daemon.processor import Tenant


def removed(
    at: Tenant,
    stream: str,
    vendor: str,
    mark: str,
    evidence: str = "not_found",
    cause: Event | None = None,
) -> NewEvent:
    """The removal of a record; `mark` tells one removal from the next, `cause` told us to look."""
    event_id = derived_id(at.name, stream, "RecordRemoved", mark)
    return NewEvent(
        event_id=event_id,
        stream=stream,
        type="RecordRemoved",
        origin=vendor,
        occurred_at=at.clock(),
        data=encode(RecordRemoved(evidence)),
        correlation_id=event_id if cause is None else cause.correlation_id,
        causation_id=None if cause is None else cause.event_id,
    )
