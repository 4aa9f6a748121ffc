"""Writing to Propstreet: a PATCH with the etag of the decision, or a create with the external reference attached."""

from contextlib import suppress

import msgspec

from daemon.deliver.notes import PropstreetNotes, find_note, look_up_note, propstreet_notes, write_note
from daemon.deliver.target import (
    Landed,
    Met,
    Moved,
    Write,
    link_of,
    read_of,
    ready,
    unconfirmed,
    values,
)
from daemon.domain.errors import NotFound
from daemon.domain.events import CommandHeld, Decision, Reading, RecordRemoved, reading_of
from daemon.domain.streams import PROPSTREET, VITEC, derived_id, record_stream
from daemon.mappings import lens
from daemon.mappings.lens import REFERENCE, REMOVED, Patch
from daemon.policies.failing import Stuck
from daemon.processor import Tenant
from daemon.storage import log
from daemon.storage.appender import Item
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from projections.entity import Entity, Pending
from projections.fold import payload_of

REFERABLE = frozenset(("contact", "company", "project", "prospect"))
"""Categories that Propstreet finds by their external reference."""


class PropstreetTarget:
    """Propstreet, as the deliverer sees it."""

    closed_for = 300.0

    def __init__(self, client: PropstreetClient) -> None:
        self._client = client

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""
        return self._client.fits(Priority.BACKFILL, calls)

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met | Stuck:
        """Work the values into the record as it was decided on; a create looks for the reference, or the text, first."""
        if REMOVED in pending.want:
            return await self._look_before_removal(at, entity, pending)
        mapping = lens(PROPSTREET, entity.category)
        side = entity.sides.get(PROPSTREET)
        if side is None:
            return await self._look_for(at, entity, pending)
        async with at.connection() as conn:
            event = await log.at(conn, at.name, side.head.event)
        assert event is not None
        return ready(mapping.put(values(pending), payload_of(event, reading_of(event)), at.options))

    async def _look_before_removal(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved:
        """The call takes no condition, so an edit that nobody saw is looked for right before it (V8)."""
        assert pending.record is not None
        started = at.appender.head
        try:
            payload = await self._client.read(
                entity.category, pending.record, parent=_parent(entity, pending)
            )
        except NotFound:
            return Write(Patch({}))
        if lens(PROPSTREET, entity.category).get(payload, at.options).etag == pending.etag:
            return Write(Patch({}))
        reading = Reading(via="fetch", started=started)
        read = read_of(at, entity, PROPSTREET, pending.record, payload, reading)
        return Moved((msgspec.structs.replace(read, always=True),))

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | Stuck | None:
        """Look for the record by its reference, a note by its text."""
        if entity.category == "note":
            return await look_up_note(at, entity, PROPSTREET, await self._notes(at, pending))
        found = await self._look_for(at, entity, pending)
        return found if isinstance(found, Met) else None

    async def _notes(self, at: Tenant, pending: Pending) -> PropstreetNotes:
        return await propstreet_notes(at, self._client, pending.parts or {}, str(values(pending)["text"]))

    async def _look_for(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Met:
        if entity.category == "note" and (
            found := await find_note(at, entity, PROPSTREET, await self._notes(at, pending))
        ):
            return found
        started = at.appender.head
        payload = await self._find(at, entity, pending)
        if payload is not None:
            record = lens(PROPSTREET, entity.category).get(payload, at.options).external_id
            reading = Reading(via="fetch", started=started)
            read = read_of(at, entity, PROPSTREET, record, payload, reading)
            return Met("the record exists", (read,))
        mapping = lens(PROPSTREET, entity.category)
        want = values(pending, mapping.on_create)
        if REFERENCE in mapping.pseudo:
            want[REFERENCE] = entity.sides[VITEC].record
        return Write(mapping.put(want, None, at.options))

    async def _find(self, at: Tenant, entity: Entity, pending: Pending) -> bytes | None:
        if entity.category not in REFERABLE:
            return None
        reference = entity.sides[VITEC].record
        return await self._client.by_reference(
            entity.category,
            at.options.reference_namespace,
            reference,
            parent=_parent(entity, pending),
        )

    async def reach(self) -> None:
        """See Target."""
        await self._client.reach()

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """PATCH with If-Match, create, or remove; the answer is what Propstreet then holds."""
        if REMOVED in pending.want:
            return await self._remove(at, entity, pending)
        if entity.category == "note":
            return await self._add_note(at, entity, pending)
        started = at.appender.head
        reading = Reading(via="readback", started=started, command=pending.command)
        before: tuple[Item, ...] = ()
        if pending.record is None:
            payload = await self._create(at, entity, pending, write)
            record = lens(PROPSTREET, entity.category).get(payload, at.options).external_id
            before = (link_of(at, entity, entity.sides[VITEC].record, record),)
        else:
            record = pending.record
            payload = await self._client.patch(
                entity.category, record, write.patch.body, pending.etag, parent=_parent(entity, pending)
            )
        read = read_of(at, entity, PROPSTREET, record, payload, reading)
        odd = unconfirmed(at, PROPSTREET, entity.category, pending, payload)
        return Landed(record, read, before, _ignored(at, entity, pending, odd), odd)

    async def _create(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> bytes:
        parts = pending.parts or {}
        reference = (at.options.reference_namespace, entity.sides[VITEC].record)
        match entity.category:
            case "prospect" | "link":
                ids = {f"{part}Id": record for part, record in parts.items() if part != "project"}
                body: dict[str, object] = {**write.patch.body, **ids}
            case _:
                body = write.patch.body
        created = await self._client.create(
            entity.category,
            body,
            reference=None if entity.category == "link" else reference,
            key=pending.command,
            parent=_parent(entity, pending),
        )
        return created.payload

    async def _add_note(self, at: Tenant, entity: Entity, pending: Pending) -> Landed:
        """Its Idempotency-Key is that of Vitec's note, so that it is there once (N13)."""
        notes = await self._notes(at, pending)
        key = str(derived_id(at.name, "note", entity.sides[VITEC].record))
        return await write_note(at, entity, PROPSTREET, pending, notes, notes.add(key))

    async def _remove(self, at: Tenant, entity: Entity, pending: Pending) -> Landed:
        """Take a prospect off its project's list; one that is off it already is what was wanted."""
        assert pending.record is not None
        project = _parent(entity, pending)
        assert project is not None
        with suppress(NotFound):
            await self._client.remove_prospect(project, pending.record)
        stream = record_stream(entity.category, PROPSTREET, pending.record)
        gone = at.decided(
            entity, RecordRemoved("removed_by_us"), stream=stream, origin=PROPSTREET, mark=pending.command
        )
        return Landed(pending.record, None, (gone,))


def _parent(entity: Entity, pending: Pending) -> str | None:
    """The project under which Propstreet keeps a prospect."""
    if entity.category != "prospect":
        return None
    side = entity.sides.get(PROPSTREET)
    return (pending.parts or {}).get("project") if side is None else side.parts.get("project")


def _ignored(at: Tenant, entity: Entity, pending: Pending, odd: tuple[str, ...]) -> tuple[Decision, ...]:
    """Hold what Propstreet took without effect, so that it is shown, and not sent again (S31)."""
    mapping = lens(PROPSTREET, entity.category)
    want = {field: pending.want[field] for field in odd if field in mapping.probed}
    if not want:
        return ()
    detail = "Propstreet took it and did not change it; change it there by hand"
    command = str(derived_id("ignored", pending.command))
    return (
        CommandHeld(
            command, entity.id, entity.category, PROPSTREET, pending.record, want, "not_writable", detail
        ),
    )
