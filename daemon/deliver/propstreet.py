"""Writing to Propstreet: a PATCH with the etag of the decision, or a create with the external reference attached."""

from daemon.deliver.target import Landed, Met, Moved, Write, link_of, read_of, unconfirmed, values
from daemon.domain.events import Reading, reading_of
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.mappings import lens
from daemon.mappings.lens import REFERENCE
from daemon.processor import Tenant
from daemon.storage import log
from daemon.storage.appender import Item
from daemon.vendors.propstreet.client import PropstreetClient
from projections.entity import Entity, Pending
from projections.fold import payload_of


class PropstreetTarget:
    """Propstreet, as the deliverer sees it."""

    closed_for = 300.0

    def __init__(self, client: PropstreetClient) -> None:
        self._client = client

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met:
        """Work the values into the record as it was decided on; a create looks for the reference first."""
        mapping = lens(PROPSTREET, entity.category)
        side = entity.sides.get(PROPSTREET)
        if side is None:
            return await self._look_for(at, entity, pending)
        async with at.connection() as conn:
            event = await log.at(conn, at.name, side.head.event)
        assert event is not None
        patch = mapping.put(values(pending), payload_of(event, reading_of(event)), at.options)
        return Met("the value is there already") if patch.empty else Write(patch)

    async def _look_for(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Met:
        reference = entity.sides[VITEC].record
        namespace = at.options.reference_namespace
        started = at.appender.head
        payload = await self._client.by_reference(entity.category, namespace, reference)
        if payload is not None:
            record = lens(PROPSTREET, entity.category).get(payload, at.options).external_id
            reading = Reading(via="fetch", started=started)
            read = read_of(at, entity, PROPSTREET, record, payload, reading)
            return Met("the record exists with this reference", (read,))
        want = {**values(pending), REFERENCE: reference}
        return Write(lens(PROPSTREET, entity.category).put(want, None, at.options))

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """PATCH with If-Match, or create; the answer is what Propstreet then holds."""
        started = at.appender.head
        reading = Reading(via="readback", started=started, command=pending.command)
        before: tuple[Item, ...] = ()
        if pending.record is None:
            reference = entity.sides[VITEC].record
            created = await self._client.create(
                entity.category,
                write.patch.body,
                reference=(at.options.reference_namespace, reference),
                key=pending.command,
            )
            payload = created.payload
            record = lens(PROPSTREET, entity.category).get(payload, at.options).external_id
            before = (link_of(at, entity, reference, record),)
        else:
            record = pending.record
            payload = await self._client.patch(entity.category, record, write.patch.body, pending.etag)
        read = read_of(at, entity, PROPSTREET, record, payload, reading)
        return Landed(
            record, read, before, (), unconfirmed(at, PROPSTREET, entity.category, pending, payload)
        )
