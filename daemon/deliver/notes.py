"""Notes: neither vendor names the one that it made, so it is found again by its text and never written blindly twice."""

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC, Vendor
from daemon.mappings import lens
from daemon.mappings import propstreet_note as at_propstreet
from daemon.mappings import vitec_note as at_vitec
from daemon.processor import Tenant
from daemon.storage import views
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient


async def written(client: PropstreetClient, at: Tenant, parts: dict[str, str], text: str, key: str) -> None:
    """Add a note at Propstreet: to the prospect, where the contact is one on that project, else to the contact (N10)."""
    category, record, parent = await _owner(at, parts)
    await client.add_note(category, record, text, key=key, parent=parent)


async def propstreet_note(
    at: Tenant, client: PropstreetClient, parts: dict[str, str], text: str
) -> bytes | None:
    """The newest note of this text that belongs to no other one at Vitec."""
    category, record, parent = await _owner(at, parts)
    owners = {category: record} | ({"project": parent} if parent is not None else {})
    for row in await client.notes(category, record, parent=parent):
        payload = at_propstreet.note_of(row.raw, **owners)
        if _says(at, PROPSTREET, payload, text) and not await _is_linked(at, PROPSTREET, row.id):
            return payload
    return None


async def vitec_note(
    at: Tenant, client: VitecConnectClient, parts: dict[str, str], text: str
) -> bytes | None:
    """The note of this text on the contact that belongs to no other one at Propstreet."""
    contact = parts["contact"]
    for row in reversed(await client.notes(contact)):
        payload = at_vitec.note_of(contact, row, parts.get("project"))
        record = _Row_id.decode(row).id
        if _says(at, VITEC, payload, text) and not await _is_linked(at, VITEC, record):
            return payload
    return None


async def _owner(at: Tenant, parts: dict[str, str]) -> tuple[str, str, str | None]:
    """Category, id and parent of the record at Propstreet that a note belongs to."""
    project = parts.get("project")
    category = "contact" if "contact" in parts else "company"
    if "prospect" in parts:
        return "prospect", parts["prospect"], project
    if project is not None:
        key = "parts:" + "|".join(sorted((f"{category}:{parts[category]}", f"project:{project}")))
        async with at.connection() as conn:
            found = await views.with_keys(conn, at.name, "prospect", [key])
        for entity in found:
            if PROPSTREET in entity.sides and entity.sides[PROPSTREET].gone is None:
                return "prospect", entity.sides[PROPSTREET].record, project
    return category, parts[category], None


def _says(at: Tenant, vendor: Vendor, payload: bytes, text: str) -> bool:
    fields = lens(vendor, "note").get(payload, at.options).fields
    said = fields.get("text")
    return isinstance(said, str) and said.split() == text.split()


async def _is_linked(at: Tenant, vendor: Vendor, record: str) -> bool:
    async with at.connection() as conn:
        owner = await views.entity_of_record(conn, at.name, "note", vendor, record)
    return owner is not None and len(owner.sides) == 2


class _Row(msgspec.Struct):
    id: str


_Row_id = msgspec.json.Decoder(_Row)
