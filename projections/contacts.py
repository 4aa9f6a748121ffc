"""The view of contacts: one row a contact, the value of every field with its provenance."""

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC
from projections.entity import Entity
from projections.provenance import Provenance, one, provenance


class ContactRow(msgspec.Struct, frozen=True):
    """A contact as it is now. `fields` says of each value which side brought it, when, and by which event."""

    tenant: str
    entity: str
    vitec_id: str | None
    propstreet_id: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    tags: tuple[str, ...]
    strategy: str | None
    fields: dict[str, Provenance]
    position: int


def contact_row(tenant: str, entity: Entity) -> ContactRow:
    """The row of a contact."""
    fields = provenance(entity)
    return ContactRow(
        tenant=tenant,
        entity=entity.id,
        vitec_id=entity.sides[VITEC].record if VITEC in entity.sides else None,
        propstreet_id=entity.sides[PROPSTREET].record if PROPSTREET in entity.sides else None,
        first_name=one(fields, "first_name"),
        last_name=one(fields, "last_name"),
        email=one(fields, "email"),
        phone=one(fields, "phone"),
        tags=tuple(fields["tags"].value or ()) if "tags" in fields else (),
        strategy=one(fields, "strategy"),
        fields=fields,
        position=entity.position,
    )
