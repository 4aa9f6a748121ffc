"""What a vendor is to the deliverer: something to look at before a write, and to write to."""

from collections.abc import Collection
from typing import Protocol

import msgspec

from daemon.domain.events import Decision, NewEvent, Reading, RecordsLinked
from daemon.domain.streams import record_stream
from daemon.mappings import lens
from daemon.mappings.lens import Patch
from daemon.mappings.privacy import without_national_ids
from daemon.policies.failing import Stuck
from daemon.processor import Tenant
from daemon.storage.appender import Item
from daemon.storage.log import Read
from projections.entity import Entity, Pending


class Write(msgspec.Struct, frozen=True):
    """It is still due: this is what has to be sent. `seen` is the monotonic time of the read that it rests on."""

    patch: Patch
    seen: float | None = None


class Moved(msgspec.Struct, frozen=True):
    """The record is not what the decision rests on: append what was seen, and let the reactor decide again."""

    items: tuple[Item, ...] = ()


class Met(msgspec.Struct, frozen=True):
    """There is nothing to write: the value is there already, or the record to be created exists."""

    reason: str
    items: tuple[Item, ...] = ()


class Landed(msgspec.Struct, frozen=True):
    """A write that the vendor took: the record as it then was, what stands before it in the log (a link), and after.

    `read` is None where nothing can be read back: a lead, or a record that was removed.
    """

    record: str
    read: Read | None
    before: tuple[Item, ...] = ()
    after: tuple[Decision, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    window_ms: float | None = None


class Target(Protocol):
    """One vendor, as the deliverer sees it. Every call raises VendorError.

    `closed_for`: seconds before it is asked again after it refused us.
    """

    closed_for: float

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met | Stuck:
        """See, without writing, whether the command may go out, and with which body."""

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | Stuck | None:
        """See what became of a create whose outcome is unknown; None when it certainly did not happen."""

    async def reach(self) -> None:
        """Return if the vendor is there as far as is known; raises VendorAway before a write is attempted in vain."""

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """Write, and see what the vendor then holds."""


def read_of(
    at: Tenant,
    entity: Entity,
    vendor: str,
    record: str,
    payload: bytes,
    reading: Reading,
    *,
    kind: str | None = None,
) -> Read:
    """A record as it was seen around a write. What follows a write is always kept."""
    content = lens(vendor, entity.category).get(payload, at.options)
    return Read(
        stream=record_stream(entity.category, vendor, record),
        origin=vendor,
        occurred_at=min(content.changed or at.clock(), at.clock()),
        payload=payload if at.options.store_national_ids else without_national_ids(payload),
        reading=msgspec.structs.replace(reading, kind=kind),
        correlation_id=entity.correlation,
        causation_id=entity.cause,
        always=reading.command is not None,
    )


def link_of(at: Tenant, entity: Entity, vitec: str, propstreet: str) -> NewEvent:
    """The link between a record and the one that we created for it."""
    return at.decided(entity, RecordsLinked(entity.id, vitec, propstreet, "created"))


def ready(patch: Patch, seen: float | None = None) -> Write | Met | Stuck:
    """What follows from a request: it is sent; or nothing has to be; or the record, as it now is, cannot hold a field."""
    for hold in patch.holds:
        return Stuck(hold.reason, hold.detail, None if hold.whole else hold.field)
    return Met("the value is there already") if patch.empty else Write(patch, seen)


def unconfirmed(at: Tenant, vendor: str, category: str, pending: Pending, payload: bytes) -> tuple[str, ...]:
    """The fields that read back as something else than what was written, or not at all (G11)."""
    mapping = lens(vendor, category)
    sent = mapping.on_create if pending.record is None else None
    fields = mapping.get(payload, at.options).fields
    return tuple(
        sorted(
            field
            for field, want in pending.want.items()
            if field not in mapping.pseudo
            and (sent is None or field in sent)
            and not mapping.kept(field, want.value, fields.get(field), at.options)
        )
    )


def values(
    pending: Pending, only: Collection[str] | None = None
) -> "dict[str, str | tuple[str, ...] | None]":
    """The values of a command by field; `only` those, where a call does not take all."""
    return {field: want.value for field, want in pending.want.items() if only is None or field in only}
