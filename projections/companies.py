"""The view of companies: one row a company, the value of every field with its provenance."""

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC
from projections.entity import Entity
from projections.provenance import Provenance, one, provenance


class CompanyRow(msgspec.Struct, frozen=True):
    """A company as it is now. `fields` says of each value which side brought it, when, and by which event."""

    tenant: str
    entity: str
    vitec_id: str | None
    propstreet_id: str | None
    name: str | None
    organisation_number: str | None
    country: str | None
    website: str | None
    tags: tuple[str, ...]
    strategy: str | None
    fields: dict[str, Provenance]
    position: int


def company_row(tenant: str, entity: Entity) -> CompanyRow:
    """The row of a company."""
    fields = provenance(entity)
    return CompanyRow(
        tenant=tenant,
        entity=entity.id,
        vitec_id=entity.sides[VITEC].record if VITEC in entity.sides else None,
        propstreet_id=entity.sides[PROPSTREET].record if PROPSTREET in entity.sides else None,
        name=one(fields, "name"),
        organisation_number=one(fields, "organisation_number"),
        country=one(fields, "country"),
        website=one(fields, "website"),
        tags=tuple(fields["tags"].value or ()) if "tags" in fields else (),
        strategy=one(fields, "strategy"),
        fields=fields,
        position=entity.position,
    )
