"""Views of every entity: its whole state, its records, the keys it is found by, and the ids it absorbed."""

from collections.abc import Iterable

import msgspec

from daemon.domain.fields import Value, match_keys
from daemon.domain.streams import VITEC
from daemon.mappings.lens import Options
from projections.entity import Entity, Side
from projections.merge import Same, unsealed


class EntityRow(msgspec.Struct, frozen=True):
    """One entity with everything that the fold knows of it."""

    tenant: str
    entity: str
    category: str
    position: int
    linked: bool
    unsealed: bool
    dormant: bool
    state: Entity


class RecordRow(msgspec.Struct, frozen=True):
    """Where a vendor's record belongs; `need` is the event after which it must be read again."""

    tenant: str
    category: str
    vendor: str
    external_id: str
    entity: str
    kind: str | None
    need: int | None


class KeyRow(msgspec.Struct, frozen=True):
    """One key by which a record may be found to be the same as another."""

    tenant: str
    category: str
    key: str
    vendor: str
    external_id: str
    entity: str


class AliasRow(msgspec.Struct, frozen=True):
    """A younger id that resolves to an older entity."""

    tenant: str
    alias: str
    entity: str


def entity_row(tenant: str, entity: Entity, same: Same) -> EntityRow:
    """The row of one entity."""
    return EntityRow(
        tenant=tenant,
        entity=entity.id,
        category=entity.category,
        position=entity.position,
        linked=len(entity.sides) == 2,
        unsealed=unsealed(entity, same),
        dormant=dormant(entity),
        state=entity,
    )


def record_rows(tenant: str, entity: Entity) -> list[RecordRow]:
    """The rows of its records."""
    return [
        RecordRow(tenant, entity.category, vendor, side.record, entity.id, side.kind, side.need)
        for vendor, side in entity.sides.items()
    ]


def key_rows(tenant: str, entity: Entity, options: Options) -> list[KeyRow]:
    """The rows of the keys of its records."""
    return [
        KeyRow(tenant, entity.category, key, vendor, side.record, entity.id)
        for vendor, side in entity.sides.items()
        for key in keys_of(entity.category, vendor, side, options)
    ]


def alias_rows(tenant: str, aliases: Iterable[tuple[str, str]]) -> list[AliasRow]:
    """The rows of absorbed ids: (younger, older)."""
    return [AliasRow(tenant, alias, entity) for alias, entity in aliases]


def keys_of(category: str, vendor: str, side: Side, options: Options) -> tuple[str, ...]:
    """Every key of a record, the reference of the other vendor first (mapping rules, section 8)."""
    fields: dict[str, Value] = {field: held.value for field, held in side.shadow.items()}
    if not fields.get("website") and side.domain:
        fields["website"] = side.domain
    reference = side.record if vendor == VITEC else side.reference
    references = (f"reference:{reference}",) if reference else ()
    return (*references, *dict.fromkeys(match_keys(category, fields, options.region)))


def dormant(entity: Entity) -> bool:
    """Only the very first poll saw it: it waits until an operator releases what that poll found."""
    return all(side.first for side in entity.sides.values())
