"""Writing to Vitec Connect, which has no compare-and-swap: read, compare, write, read back, close together."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from daemon.deliver.leads import lead_to_send, send_lead
from daemon.deliver.notes import VitecNotes, find_note, look_up_note, write_note
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
from daemon.domain.errors import (
    DatabaseUnreachable,
    NotWritable,
    Rejected,
    Retryable,
    TakenUnseen,
    UnknownOutcome,
    VendorError,
)
from daemon.domain.events import CONTACT_GONE, NOT_FOUND, Decision, EntityHeld, Reading, RecordRemoved
from daemon.domain.fields import match_keys
from daemon.domain.streams import PROPSTREET, VITEC, record_stream, relation_id
from daemon.mappings import lens
from daemon.mappings.vitec_relation import relations_in
from daemon.policies.deciding import MATCHED
from daemon.policies.failing import Stuck
from daemon.policies.syncing import replaceable
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.storage import views, working
from daemon.storage.appender import Item
from daemon.vendors.limiter import Priority
from daemon.vendors.vitec_connect.client import Kind, VitecConnectClient
from daemon.vendors.vitec_connect.joined import relations_of
from projections.entities import keys_of
from projections.entity import Entity, Pending, Shadow, Side

KINDS: Final[dict[str, Kind]] = {"contact": "Person", "company": "Company"}
NEW: Final = timedelta(minutes=1)
"""A record whose creation lies further back than this before its last change was not made by that change."""

STOCKHOLM: Final = ZoneInfo("Europe/Stockholm")
SHORTEST_TERM: Final = 5
"""Vitec's search takes no shorter term."""


class VitecConnectTarget:
    """Vitec Connect, as the deliverer sees it."""

    closed_for = ONCE_A_DAY

    def __init__(self, client: VitecConnectClient) -> None:
        self._client = client
        self._back = client.at(Priority.READ_BACK)
        self._asked = -1.0

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""
        return self._client.fits(Priority.BACKFILL, calls)

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met | Stuck:
        """Read the record right before the write; anything new in it goes to the log first, and is decided on."""
        if entity.lead is not None:
            return await lead_to_send(at, entity)
        if entity.category == "note":
            there = await find_note(at, entity, VITEC, self._notes(pending))
            return there or Write(lens(VITEC, "note").put(values(pending), None, at.options))
        if pending.record is None:
            return await self._look_for(at, entity, pending)
        record, side = pending.record, entity.sides[VITEC]
        started = at.appender.head
        payload, evidence = await self._read(self._client, at, entity.category, record, side.kind, side.parts)
        if payload is None:
            stream = record_stream(entity.category, VITEC, record)
            gone = RecordRemoved(evidence)
            return Moved((at.decided(entity, gone, stream=stream, origin=VITEC, mark=str(entity.position)),))
        seen = asyncio.get_running_loop().time()
        read = read_of(
            at, entity, VITEC, record, payload, Reading(via="fetch", started=started), kind=side.kind
        )
        mapping = lens(VITEC, entity.category)
        found = mapping.get(payload, at.options).fields
        # what only an overlapping read saw is in the log, and was never decided on
        always = not replaceable(pending, found, at.options.region)
        [appended] = await at.appender.append([msgspec.structs.replace(read, always=always)])
        if appended.position is not None:
            return Moved()
        return ready(mapping.put(values(pending), payload, at.options, identity=record), seen)

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | Stuck | None:
        """Look whether the record is there now. A lead cannot be looked up at Vitec, and is never sent twice."""
        if entity.lead is not None:
            return Stuck(
                "unknown_outcome",
                "Vitec may have it or not, and would take it twice; look there before it is released",
            )
        if entity.category == "note":
            return await look_up_note(at, entity, VITEC, self._notes(pending))
        found = await self._look_for(at, entity, pending)
        return found if isinstance(found, Met) else None

    def _notes(self, pending: Pending) -> VitecNotes:
        return VitecNotes(self._client, pending.parts or {}, str(values(pending)["text"]))

    async def _read(
        self,
        client: VitecConnectClient,
        at: Tenant,
        category: str,
        record: str,
        kind: str | None,
        parts: Mapping[str, str],
    ) -> tuple[bytes | None, str]:
        """The record as it is now, or None and the evidence that there is none. Raises Retryable when nobody can say."""
        match category:
            case "contact" | "company":
                return await client.read_one(KINDS[category], record), NOT_FOUND
            case "project":
                return None if kind is None else await client.estate(kind, record), NOT_FOUND
            case "prospect":
                return await self._read_relation(client, at, parts["project"], parts["contact"])
        raise NotWritable(f"nothing is written to a {category} at Vitec")

    async def _read_relation(
        self, client: VitecConnectClient, at: Tenant, estate: str, contact: str
    ) -> tuple[bytes | None, str]:
        seen: tuple[str, ...] = ()
        if at.options.viewing_means_interested:
            async with at.connection() as conn:
                kinds = await views.kinds(conn, at.name, "project", VITEC, [estate])
            payload = await client.estate(kinds[estate], estate) if estate in kinds else None
            seen = relations_in(payload).participants if payload is not None else ()
        read = await relations_of(client, [(estate, contact)], {estate: seen})
        if (estate, contact) not in read.found:
            raise Retryable("Vitec's answer about the relation cannot be read")
        return read.found[estate, contact], CONTACT_GONE if contact in read.unknown else NOT_FOUND

    async def _look_for(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Met:
        """Whoever Vitec could take for the new record is found first, for it matches by itself (D2)."""
        started = at.appender.head
        found = [
            read_of(at, entity, VITEC, record, payload, Reading(via="fetch", started=started), kind=kind)
            for record, payload, kind in await self._alike_records(at, entity, pending)
        ]
        if found:
            return Met("a record with these keys exists at Vitec", tuple(found))
        return Write(lens(VITEC, entity.category).put(values(pending), None, at.options))

    async def _alike_records(
        self, at: Tenant, entity: Entity, pending: Pending
    ) -> list[tuple[str, bytes, str | None]]:
        """Records at Vitec that may be meant by a create: id, payload, type."""
        parts = pending.parts or {}
        match entity.category:
            case "prospect":
                record = relation_id(parts["project"], parts["contact"])
                payload, _ = await self._read_relation(self._client, at, parts["project"], parts["contact"])
                return [] if payload is None else [(record, payload, None)]
        kind, side = KINDS[entity.category], entity.sides[PROPSTREET]
        ours = {
            *keys_of(entity.category, PROPSTREET, side, at.options),
            *match_keys(entity.category, values(pending), at.options.region),
        }
        ids = await self._alike(entity.category, ours)
        known = await self._client.read(kind, ids) if ids else {}
        return [
            (record, payload, kind)
            for record, payload in known.items()
            if ours & self._keys(at, entity, payload)
        ]

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

    async def reach(self) -> None:
        """See Target."""
        await self._client.reach()

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """Write, then read back: what the vendor kept, and what a person may have typed since, shows only there."""
        if entity.lead is not None:
            landed = await send_lead(self._client, write)
            await self._ask_polls(at)
            return landed
        if entity.category == "note":
            return await write_note(
                at, entity, VITEC, pending, self._notes(pending), self._add_note(at, pending, write)
            )
        sent = asyncio.get_running_loop().time()
        record = await self._send(at, entity, pending, write)
        if pending.record is None and entity.category in KINDS:
            await self._refuse_a_linked_one(at, entity.category, record)
        started = at.appender.head
        kind, payload = await self._read_back(at, entity, pending, record)
        if payload is None:
            raise UnknownOutcome("written, and not found again")
        record = lens(VITEC, entity.category).get(payload, at.options).external_id
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

    async def _ask_polls(self, at: Tenant) -> None:
        """Look soon for what Vitec makes of a lead; in a burst, once a second."""
        if asyncio.get_running_loop().time() - self._asked >= 1.0:
            self._asked = asyncio.get_running_loop().time()
            with suppress(DatabaseUnreachable):  # the polls come by themselves
                async with at.connection() as conn:
                    await working.ask_polls(conn, at.name)

    async def _read_back(
        self, at: Tenant, entity: Entity, pending: Pending, record: str
    ) -> tuple[str | None, bytes | None]:
        side = entity.sides.get(VITEC)
        kind = side.kind if side is not None else KINDS.get(entity.category)
        parts = side.parts if side is not None else pending.parts or {}
        try:
            payload, _ = await self._read(self._back, at, entity.category, record, kind, parts)
            return kind, payload
        except VendorError as error:
            raise TakenUnseen("written, and not read back", status=error.status) from error

    async def _refuse_a_linked_one(self, at: Tenant, category: str, record: str) -> None:
        """Vitec's own duplicate check may answer with somebody who is linked already (D2)."""
        async with at.connection() as conn:
            owner = await views.entity_of_record(conn, at.name, category, VITEC, record)
        if owner is not None and len(owner.sides) == 2:
            raise Rejected("Vitec matched a linked contact", status=200, reason="matched a linked contact")

    async def _send(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> str:
        """Send the request; the id of the record that it made or changed."""
        side = entity.sides.get(VITEC)
        parts = side.parts if side is not None else pending.parts or {}
        match entity.category:
            case "project" if pending.record is not None:
                await self._client.update_project(pending.record, write.patch.body)
                return pending.record
            case "prospect":
                await self._relate(at, parts["project"], parts["contact"], write, new=pending.record is None)
                return relation_id(parts["project"], parts["contact"])
        return await self._update(entity.category, pending, write)

    async def _add_note(self, at: Tenant, pending: Pending, write: Write) -> None:
        """Vitec dates a note by its own wall clock."""
        parts = pending.parts or {}
        now = at.clock().astimezone(STOCKHOLM).replace(tzinfo=None, microsecond=0)
        whose = {"contactId": parts["contact"]} | (
            {"estateId": parts["project"]} if "project" in parts else {}
        )
        await self._client.add_note({"date": now.isoformat(), **whose, **write.patch.body})

    async def _relate(self, at: Tenant, estate: str, contact: str, write: Write, *, new: bool) -> None:
        """Set the status; where that makes no relation, an interest does, and then the status is set (Q2)."""
        try:
            await self._client.set_speculator(contact, estate, write.patch.body)
        except Rejected as refusal:
            if not new or refusal.status not in (400, 404):
                raise
            interest = {"customerId": at.options.customer_id, "estateId": estate, "contactId": contact}
            await self._client.send_interest({**interest, "notifyUser": False})
            await self._client.set_speculator(contact, estate, write.patch.body)

    async def _update(self, category: str, pending: Pending, write: Write) -> str:
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
