"""The view of prospects: who is interested in which project, and how much."""

from typing import Final

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC
from projections.entity import Entity
from projections.provenance import Provenance, one, provenance

LEVEL: Final = "level:"


class ProspectRow(msgspec.Struct, frozen=True):
    """A prospect as it is now. `vitec_level` is finer than the class; `project` and `party` are Vitec's ids if known."""

    tenant: str
    entity: str
    vitec_id: str | None
    propstreet_id: str | None
    classification: str | None
    vitec_level: str | None
    project: str | None
    party: str | None
    fields: dict[str, Provenance]
    position: int


def prospect_row(tenant: str, entity: Entity) -> ProspectRow:
    """The row of a prospect."""
    fields = provenance(entity)
    vitec = entity.sides.get(VITEC)
    parts = (vitec or entity.sides[PROPSTREET]).parts
    flags = vitec.flags if vitec is not None else ()
    return ProspectRow(
        tenant=tenant,
        entity=entity.id,
        vitec_id=vitec.record if vitec is not None else None,
        propstreet_id=entity.sides[PROPSTREET].record if PROPSTREET in entity.sides else None,
        classification=one(fields, "classification"),
        vitec_level=next((flag.removeprefix(LEVEL) for flag in flags if flag.startswith(LEVEL)), None),
        project=parts.get("project"),
        party=parts.get("contact") or parts.get("company"),
        fields=fields,
        position=entity.position,
    )
