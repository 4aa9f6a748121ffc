"""The view of projects: one row a project, an estate at Vitec, the value of every field with its provenance."""

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC
from projections.entity import Entity
from projections.provenance import Provenance, one, provenance


class ProjectRow(msgspec.Struct, frozen=True):
    """A project as it is now. `status` and `stage` are what Vitec's status asks for, where the sides differ."""

    tenant: str
    entity: str
    vitec_id: str | None
    propstreet_id: str | None
    name: str | None
    classification: str | None
    status: str | None
    stage: str | None
    price: str | None
    fields: dict[str, Provenance]
    position: int


def project_row(tenant: str, entity: Entity) -> ProjectRow:
    """The row of a project."""
    fields = provenance(entity)
    return ProjectRow(
        tenant=tenant,
        entity=entity.id,
        vitec_id=entity.sides[VITEC].record if VITEC in entity.sides else None,
        propstreet_id=entity.sides[PROPSTREET].record if PROPSTREET in entity.sides else None,
        name=one(fields, "name"),
        classification=one(fields, "classification"),
        status=one(fields, "status"),
        stage=one(fields, "stage"),
        price=one(fields, "price"),
        fields=fields,
        position=entity.position,
    )
