"""Names: streams, entities, events and commands. Every id is derived, so that the same fact has the same id."""

import base64
import hashlib
import uuid
from typing import Final, Literal

Vendor = Literal["vitec", "propstreet"]
Category = Literal["contact", "company", "project", "prospect", "link", "note", "property"]

VITEC: Final = "vitec"
PROPSTREET: Final = "propstreet"
VENDORS: Final[tuple[Vendor, Vendor]] = (VITEC, PROPSTREET)
CATEGORIES: Final[tuple[Category, ...]] = (
    "contact",
    "company",
    "project",
    "prospect",
    "link",
    "note",
    "property",
)
LEAD: Final = "lead"
"""What comes in from outside and goes to Vitec once: it has a history, and no record of its own at either vendor."""

_PREFIXES: Final = {"project": "prj", "prospect": "psp", "property": "pty"}

_NAMESPACE: Final = uuid.UUID("6f1c3b52-0d5e-5c0a-9a57-70f2e1c4b9d3")


def other(vendor: str) -> Vendor:
    """The vendor on the far side."""
    return PROPSTREET if vendor == VITEC else VITEC


def record_stream(category: str, vendor: str, external_id: str) -> str:
    """The stream of one vendor's row: `contact:vitec:ADR…`."""
    return f"{category}:{vendor}:{external_id}"


def entity_stream(category: str, entity: str) -> str:
    """The stream of our decisions about one entity: `contact:con-…`."""
    return f"{category}:{entity}"


def inbox_stream(vendor: str) -> str:
    """The stream of deliveries that name no record that we keep."""
    return f"inbox:{vendor}"


LOG_STREAM: Final = "log:restored"
"""The stream of what happened to the log itself."""

RECONCILED: Final = "log:reconciled"
"""The stream of the audits: what both vendors hold was compared."""


def parse_record_stream(stream: str) -> tuple[str, str, str] | None:
    """(category, vendor, external id) of a record's stream; None for every other stream."""
    parts = stream.split(":", 2)
    if len(parts) == 3 and parts[1] in VENDORS:
        return parts[0], parts[1], parts[2]
    return None


def storable(external_id: str) -> bool:
    """Whether an id can be part of a stream's name: Propstreet's have at most 255 characters, Vitec's 40."""
    return len(external_id) <= 255 and external_id.isprintable()


def entity_id(tenant: str, category: str, vendor: str, external_id: str) -> str:
    """The id of the entity whose oldest record this is: short, stable, safe to print and to type."""
    return _entity_id(category, tenant, category, vendor, external_id)


def parted_id(category: str, entity: str, version: int) -> str:
    """The id of a record that leaves an entity, decided on at this version of the entity's stream."""
    return _entity_id(category, "parted", entity, str(version))


def _entity_id(category: str, *parts: str) -> str:
    return f"{_PREFIXES.get(category, category[:3])}-{_short(*parts)}"


def batch_id(*parts: str) -> str:
    """The id of what a brake holds as one: as short as an entity's, and the same for the same parts."""
    return f"bat-{_short(*parts)}"


def batch_stream(batch: str) -> str:
    """The stream of the decisions about a batch: `batch:bat-…`."""
    return f"batch:{batch}"


def first_sync_stream(tenant: str, category: str) -> str:
    """The stream of what becomes of all that only the first polls saw of a category."""
    return batch_stream(batch_id(tenant, "first_sync", category))


def _short(*parts: str) -> str:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


def relation_id(estate: str, contact: str) -> str:
    """The id of a relation between an estate and a contact at Vitec, which gives it none."""
    return f"{estate}:{contact}"


def derived_id(*parts: str) -> uuid.UUID:
    """A UUID that is the same for the same parts, whatever characters they hold."""
    return uuid.uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))
