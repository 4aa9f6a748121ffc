"""Views of every entity: its whole state, its records, the keys it is found by, and the ids it absorbed."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from daemon.domain.fields import Value, match_keys
from daemon.domain.streams import VITEC
from daemon.mappings.lens import Options
from projections.entity import Entity, Side
from projections.merge import Same, unsealed
from projections.removals import undecided


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
    """Where a vendor's record belongs; `need` is the event after which it must be read again.

    What is read while a write of ours is under way proves nothing: then there is no need until its outcome.
    `check_at`: then it is read once more, for a write that was given up may land until then. `gone` is the event that
    removed it, while nothing followed from that; `batch` the held batch that changed it.
    """

    tenant: str
    category: str
    vendor: str
    external_id: str
    entity: str
    kind: str | None
    need: int | None
    parts: dict[str, str]
    gone: int | None = None
    batch: str | None = None
    check_at: datetime | None = None


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
        RecordRow(
            tenant,
            entity.category,
            vendor,
            side.record,
            entity.id,
            side.kind,
            None if side.flying() else side.need,
            side.parts,
            undecided(entity, vendor),
            side.batch,
            side.check_at(),
        )
        for vendor, side in entity.sides.items()
    ]


def key_rows(tenant: str, entity: Entity, options: Options) -> list[KeyRow]:
    """The rows of the keys of its records."""
    return [
        KeyRow(tenant, entity.category, key, vendor, side.record, entity.id)
        for vendor, side in entity.sides.items()
        for key in dict.fromkeys(
            (*keys_of(entity.category, vendor, side, options), *underway_keys(entity, options))
        )
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
    references: tuple[str, ...] = (f"reference:{reference}",) if reference else ()
    if side.parts:
        references += (
            *joint_keys(category, side.parts, side),
            *map(part_key, side.parts, side.parts.values()),
        )
    return (*references, *dict.fromkeys(match_keys(category, fields, options.region)))


def underway_keys(entity: Entity, options: Options) -> tuple[str, ...]:
    """The keys of the record that a create of ours may have made, also where its source has changed since."""
    sent = ({field: want.value for field, want in each.want.items()} for each in entity.creating.values())
    return tuple(key for fields in sent for key in match_keys(entity.category, fields, options.region))


def joint_keys(category: str, parts: Mapping[str, str], side: Side) -> tuple[str, ...]:
    """The keys of a record that joins others, by the names that one vendor has for them.

    One prospect per project and contact, one link per company and contact; of the notes on a contact the text tells.
    """
    if not parts or category == "property":
        return ()
    # a note on a prospect is one about its project and its contact
    named = ((part, record) for part, record in sorted(parts.items()) if part != "prospect")
    whole = "|".join(f"{part}:{record}" for part, record in named)
    if category != "note":
        return (f"parts:{whole}",)
    text = side.shadow["text"].value if "text" in side.shadow else None
    if not isinstance(text, str):
        return ()
    return (f"note:{whole}|{hashlib.blake2b(' '.join(text.split()).encode(), digest_size=12).hexdigest()}",)


def part_key(category: str, record: str) -> str:
    """The key under which a record is found by one of those that it joins."""
    return f"part:{category}:{record}"


def dormant(entity: Entity) -> bool:
    """Only the very first poll saw it: it waits until an operator releases what that poll found."""
    return not entity.backfill and unedited(entity)


def unedited(entity: Entity) -> bool:
    """Nobody has edited it since the first polls: whatever becomes due of it goes behind everything else."""
    return entity.backfill or (bool(entity.sides) and all(side.first for side in entity.sides.values()))
