"""Writing to Vitec Connect, which has no compare-and-swap: read, compare, write, read back, close together."""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from daemon.deliver.target import (
    Landed,
    Met,
    Moved,
    Write,
    link_of,
    read_of,
    unconfirmed,
    values,
)
from daemon.domain.errors import Rejected, Retryable, UnknownOutcome, VendorError
from daemon.domain.events import Decision, EntityHeld, Reading, RecordRemoved
from daemon.domain.streams import PROPSTREET, VITEC, record_stream
from daemon.mappings import lens
from daemon.policies.deciding import MATCHED
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.storage import views
from daemon.storage.appender import Item
from daemon.vendors.vitec_connect.client import Kind, VitecConnectClient
from projections.entities import keys_of
from projections.entity import Entity, Pending, Shadow, Side

KINDS: Final[dict[str, Kind]] = {"contact": "Person", "company": "Company"}
NEW: Final = timedelta(minutes=1)
"""A record whose creation lies further back than this before its last change was not made by that change."""

SHORTEST_TERM: Final = 5
"""Vitec's search takes no shorter term."""


class VitecConnectTarget:
    """Vitec Connect, as the deliverer sees it."""

    closed_for = ONCE_A_DAY

    def __init__(self, client: VitecConnectClient) -> None:
        self._client = client

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met:
        """Read the record right before the write; anything new in it goes to the log first, and is decided on."""
        if pending.record is None:
            return await self._look_for(at, entity, pending)
        kind, record = KINDS[entity.category], pending.record
        started = at.appender.head
        payload = await self._client.read_one(kind, record)
        if payload is None:
            stream = record_stream(entity.category, VITEC, record)
            gone = RecordRemoved("not_found")
            return Moved((at.decided(entity, gone, stream=stream, origin=VITEC, mark=str(entity.position)),))
        seen = time.monotonic()
        read = read_of(at, entity, VITEC, record, payload, Reading(via="fetch", started=started), kind=kind)
        [appended] = await at.appender.append([read])
        if appended.position is not None:
            return Moved()
        patch = lens(VITEC, entity.category).put(values(pending), payload, at.options, identity=record)
        return Met("the value is there already") if patch.empty else Write(patch, seen)

    async def _look_for(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Met:
        """Vitec matches by itself and may change somebody else's contact (D2): whoever it could match is found first."""
        started = at.appender.head
        side = entity.sides[PROPSTREET]
        ours = set(keys_of(entity.category, PROPSTREET, side, at.options))
        found = []
        kind = KINDS[entity.category]
        ids = await self._alike(entity.category, ours)
        for record, payload in (await self._client.read(kind, ids)).items() if ids else ():
            if ours & self._keys(at, entity, payload):
                reading = Reading(via="fetch", started=started)
                found.append(read_of(at, entity, VITEC, record, payload, reading, kind=kind))
        if found:
            return Met("a record with these keys exists at Vitec", tuple(found))
        return Write(lens(VITEC, entity.category).put(values(pending), None, at.options))

    async def _alike(self, category: str, keys: Iterable[str]) -> list[str]:
        """The ids of the contacts that Vitec's own searches find for our keys."""
        ids: list[str] = []
        for key in sorted(keys):
            rule, _, term = key.partition(":")
            match rule:
                case "email" if len(term) >= SHORTEST_TERM:
                    ids += [m.id for m in await self._client.search(term) if m.type == KINDS[category]]
                case "name_phone":
                    ids += await self._client.by_phone(term.rpartition("|")[2])
                case "orgno" if term.isdigit() and 10 <= len(term) <= 13:
                    ids += [m.id for m in await self._client.by_social_number(term)]
        return list(dict.fromkeys(ids))

    def _keys(self, at: Tenant, entity: Entity, payload: bytes) -> set[str]:
        content = lens(VITEC, entity.category).get(payload, at.options)
        shadow = {field: Shadow(value, None, 0) for field, value in content.fields.items()}
        keys = keys_of(entity.category, VITEC, Side(content.external_id, 0, shadow=shadow), at.options)
        return {key for key in keys if not key.startswith("domain:")}

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """Write, then read back: what the vendor kept, and what a person may have typed since, shows only there."""
        sent = time.monotonic()
        kind = KINDS[entity.category]
        record = await self._send(entity.category, pending, write)
        if pending.record is None:
            await self._refuse_a_linked_one(at, entity.category, record)
        started = at.appender.head
        try:
            payload = await self._client.read_one(kind, record)
        except VendorError as error:
            raise UnknownOutcome("written, and not read back", status=error.status) from error
        if payload is None:
            raise UnknownOutcome("written, and not found again")
        reading = Reading(via="readback", started=started, command=pending.command)
        read = read_of(at, entity, VITEC, record, payload, reading, kind=kind)
        before: tuple[Item, ...] = ()
        after: tuple[Decision, ...] = ()
        if pending.record is None:
            before = (link_of(at, entity, record, entity.sides[PROPSTREET].record),)
            after = _matched(at, entity, record, payload)
        window = None if write.seen is None else round((sent - write.seen) * 1000, 1)
        odd = unconfirmed(at, VITEC, entity.category, pending, payload)
        return Landed(record, read, before, after, odd, window)

    async def _refuse_a_linked_one(self, at: Tenant, category: str, record: str) -> None:
        """Vitec's own duplicate check may answer with somebody who is linked already (D2)."""
        async with at.connection() as conn:
            owner = await views.entity_of_record(conn, at.name, category, VITEC, record)
        if owner is not None and len(owner.sides) == 2:
            raise Rejected("Vitec matched a linked contact", status=200, reason="matched a linked contact")

    async def _send(self, category: str, pending: Pending, write: Write) -> str:
        record = pending.record
        if write.patch.body:
            update = self._client.update_person if category == "contact" else self._client.update_company
            answered = await update(write.patch.body)
            if record is not None and answered != record:
                raise Rejected("Vitec answered with another contact", status=200, reason="another contact")
            record = answered
        assert record is not None
        for number, removed in enumerate(write.patch.remove_categories):
            try:
                await self._client.delete_category(record, removed)
            except Retryable as error:
                if number or write.patch.body:  # a part of the command has left
                    raise UnknownOutcome("written in part", status=error.status) from error
                raise
        return record


def _matched(at: Tenant, entity: Entity, record: str, payload: bytes) -> tuple[Decision, ...]:
    """Hold a record that is older than our write: Vitec matched somebody who was there before (section 8.2).

    Both times are Vitec's own, so its clock does not matter.
    """
    content = lens(VITEC, entity.category).get(payload, at.options)
    if content.created is None or content.changed is None or content.changed - content.created < NEW:
        return ()
    detail = "Vitec matched an older contact; look whether it is the same, then release or unlink"
    return (EntityHeld(entity.id, MATCHED, detail, f"matched:{record}", (f"{VITEC}:{record}",)),)
