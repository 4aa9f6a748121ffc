"""Notes: neither vendor names the one that it made. It is the one of this text that was not there before.

A note whose outcome is unknown, and that is not found, is held: both vendors would take it twice.
"""

from collections.abc import Coroutine
from typing import Protocol, Self

import msgspec

from daemon.deliver.target import Landed, Met, link_of, read_of
from daemon.domain.errors import UnknownOutcome, VendorError
from daemon.domain.events import Reading
from daemon.domain.streams import PROPSTREET, VITEC, Vendor
from daemon.mappings import lens
from daemon.mappings import propstreet_note as at_propstreet
from daemon.mappings import vitec_note as at_vitec
from daemon.policies.failing import Stuck
from daemon.processor import Tenant
from daemon.storage import views
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from projections.entity import Entity, Pending


class Notes(Protocol):
    """The notes of one record at one vendor, of one text."""

    def back(self) -> "Notes":
        """The same, for the read after a write."""

    async def alike(self, at: Tenant) -> dict[str, bytes]:
        """Those that say the same, by id."""


class VitecNotes(msgspec.Struct, frozen=True):
    """A contact's notes at Vitec."""

    client: VitecConnectClient
    parts: dict[str, str]
    text: str

    def back(self) -> Self:
        """See Notes."""
        return msgspec.structs.replace(self, client=self.client.at(Priority.READ_BACK))

    async def alike(self, at: Tenant) -> dict[str, bytes]:
        """Those that say the same, by id, the oldest first."""
        contact = self.parts["contact"]
        rows = [
            at_vitec.note_of(contact, row, self.parts.get("project"))
            for row in await self.client.notes(contact)
        ]
        return _alike(at, VITEC, rows, self.text)


class PropstreetNotes(msgspec.Struct, frozen=True):
    """A contact's, a company's or a prospect's notes at Propstreet (N10)."""

    client: PropstreetClient
    category: str
    record: str
    parent: str | None
    text: str

    def back(self) -> Self:
        """See Notes."""
        return msgspec.structs.replace(self, client=self.client.at(Priority.READ_BACK))

    async def alike(self, at: Tenant) -> dict[str, bytes]:
        """Those that say the same, by id, the oldest first."""
        owners = {self.category: self.record} | ({"project": self.parent} if self.parent is not None else {})
        rows = await self.client.notes(self.category, self.record, parent=self.parent)
        payloads = [at_propstreet.note_of(row.raw, **owners) for row in reversed(rows)]
        return _alike(at, PROPSTREET, payloads, self.text)

    async def add(self, key: str) -> None:
        """Add one."""
        await self.client.add_note(self.category, self.record, self.text, key=key, parent=self.parent)


async def propstreet_notes(
    at: Tenant, client: PropstreetClient, parts: dict[str, str], text: str
) -> PropstreetNotes:
    """Where a note belongs at Propstreet: on the prospect, if the contact is one on that project, else on the contact."""
    category = "contact" if "contact" in parts else "company"
    project = parts.get("project")
    if project is not None:
        key = "parts:" + "|".join(sorted((f"{category}:{parts[category]}", f"project:{project}")))
        async with at.connection() as conn:
            found = await views.with_keys(conn, at.name, "prospect", [key])
        for entity in found:
            if PROPSTREET in entity.sides and entity.sides[PROPSTREET].gone is None:
                return PropstreetNotes(client, "prospect", entity.sides[PROPSTREET].record, project, text)
    return PropstreetNotes(client, category, parts[category], None, text)


async def write_note(
    at: Tenant,
    entity: Entity,
    vendor: Vendor,
    pending: Pending,
    notes: Notes,
    add: Coroutine[None, None, None],
) -> Landed:
    """Add a note, and find it again: of those of its text the newest that was not there before."""
    try:
        before = await notes.alike(at)
    except VendorError:
        add.close()  # nothing has left
        raise
    await add
    started = at.appender.head
    try:
        after = await notes.back().alike(at)
    except VendorError as error:
        raise UnknownOutcome("written, and not read back", status=error.status) from error
    new = [record for record in after if record not in before]
    if not new:
        raise UnknownOutcome("written, and not found again")
    record = new[-1]
    reading = Reading(via="readback", started=started, command=pending.command)
    read = read_of(at, entity, vendor, record, after[record], reading)
    pair = {vendor: record, **{side: each.record for side, each in entity.sides.items()}}
    return Landed(record, read, (link_of(at, entity, pair[VITEC], pair[PROPSTREET]),))


async def find_note(
    at: Tenant, entity: Entity, vendor: Vendor, notes: Notes, *, known: bool = False
) -> Met | None:
    """A note of its text that we have never seen, or with `known` one that belongs to no other."""
    started = at.appender.head
    for record, payload in (await notes.alike(at)).items():
        async with at.connection() as conn:
            owner = await views.entity_of_record(conn, at.name, "note", vendor, record)
        if owner is None or (known and len(owner.sides) == 1):
            read = read_of(at, entity, vendor, record, payload, Reading(via="fetch", started=started))
            return Met("the note is there", (read,))
    return None


async def look_up_note(at: Tenant, entity: Entity, vendor: Vendor, notes: Notes) -> Met | Stuck:
    """Whether a note whose outcome is unknown is there."""
    return await find_note(at, entity, vendor, notes, known=True) or Stuck(
        "unknown_outcome",
        "it may be there in another form, and would be added twice; look before it is released",
    )


def _alike(at: Tenant, vendor: Vendor, payloads: list[bytes], text: str) -> dict[str, bytes]:
    found = {}
    for payload in payloads:
        content = lens(vendor, "note").get(payload, at.options)
        said = content.fields.get("text")
        if isinstance(said, str) and said.split() == text.split():
            found[content.external_id] = payload
    return found
