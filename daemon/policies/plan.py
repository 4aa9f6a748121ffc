"""What a decision is made with, and what it is: pure values in, events to append out."""

import uuid
from typing import Final

import msgspec

from daemon.domain.events import CommandSuperseded, Decision, EntityHeld, EntityReleased
from daemon.domain.settings import Direction, Mode, SyncSettings
from daemon.domain.streams import CATEGORIES, PROPSTREET, derived_id, entity_stream, record_stream
from daemon.mappings.lens import Options
from daemon.policies.brakes import Brakes
from projections.entity import Entity
from projections.outbox import unsent


class Context(msgspec.Struct, frozen=True):
    """What deciding needs besides the entity.

    `read_since` is, per vendor, the log's head when the newest read of this entity's record was sent. `ready` says that
    the first poll of both vendors is complete. `candidates` are entities that share a match key, for an unlinked one.
    `kin` are the entities that this one joins, by the category that its own record names. `refused` are (target,
    category, field) that a vendor was seen to ignore. `heir` is the entity that a record was merged into. `polled` is,
    per vendor, the log's head when the last complete poll of this category but one was sent; `brakes` is what is held.
    `released` are the categories of which an operator let go what only the first polls saw.
    """

    sync: SyncSettings
    options: Options
    mode: Mode
    incarnation: uuid.UUID
    read_since: dict[str, int]
    ready: bool
    candidates: tuple[Entity, ...] = ()
    kin: dict[str, Entity] = {}
    refused: frozenset[tuple[str, str, str]] = frozenset()
    heir: Entity | None = None
    polled: dict[str, int] = {}
    brakes: Brakes = Brakes()
    released: frozenset[str] = frozenset()


class Plan(msgspec.Struct, frozen=True):
    """The events that a decision appends, each with the entity whose stream it goes to, and the entities it rests on.

    `wait_for` names entities whose next change may settle what could not be decided now.
    """

    events: tuple[tuple[str, Decision], ...] = ()
    basis: tuple[Entity, ...] = ()
    wait_for: tuple[str, ...] = ()


NOTHING: Final = Plan()


class Refused(msgspec.Struct, frozen=True):
    """What an operator asks for cannot be done now, or not so: why, and what to do instead."""

    why: str


def expected(basis: tuple[Entity, ...]) -> dict[str, int]:
    """The stream versions that a decision rests on; any later event on one of them makes it void."""
    versions: dict[str, int] = {}
    for entity in basis:
        versions[entity_stream(entity.category, entity.id)] = entity.version
        for vendor, side in entity.sides.items():
            versions[record_stream(entity.category, vendor, side.record)] = side.version
    return versions


def allowed(direction: str, target: str) -> bool:
    """Whether the configured direction lets us write at this vendor."""
    return direction in ("both", "to_propstreet" if target == PROPSTREET else "to_vitec")


def direction(sync: SyncSettings, category: str) -> Direction:
    """The configured direction of a category. What joins others goes where they go."""
    match category:
        case "contact":
            return sync.contacts
        case "company":
            return sync.companies
        case "project" | "property":
            return sync.projects
        case "prospect":
            return "off" if sync.projects == "off" or sync.contacts == "off" else sync.prospects
        case "link":
            return "off" if sync.companies == "off" else sync.contacts
        case "note":
            return sync.contacts if sync.note in ("activity", "keyword") else "off"
    raise ValueError(f"{category} has no direction")


def synced(sync: SyncSettings) -> tuple[str, ...]:
    """The categories that go anywhere."""
    return tuple(category for category in CATEGORIES if direction(sync, category) != "off")


def command_id(context: Context, entity: Entity, target: str) -> str:
    """The id of the command that this version of the entity makes due; it is also the Idempotency-Key."""
    return str(derived_id(str(context.incarnation), entity.id, target, str(entity.version)))


def hold(
    entity: Entity, reason: str, detail: str, fingerprint: str, candidates: tuple[Entity, ...] = ()
) -> Plan:
    """Hold the entity for the operator, once per cause; look again when a candidate changes."""
    waiting = tuple(candidate.id for candidate in candidates)
    if entity.hold is not None and entity.hold.fingerprint == fingerprint:
        return Plan(wait_for=waiting)
    names = tuple(
        sorted(
            f"{v}:{side.record}" for c in candidates for v, side in c.sides.items() if v not in entity.sides
        )
    )
    held = EntityHeld(entity.id, reason, detail, fingerprint, names)
    return Plan(((entity.id, held),), (entity, *candidates), waiting)


def waived(entity: Entity, fingerprint: str) -> bool:
    """Whether an operator has said that this cause is none."""
    return fingerprint in entity.released


def disregarded(entity: Entity, reference: str | None) -> bool:
    """Whether an operator has said that the record at Vitec that Propstreet names does not matter."""
    marks = (f"unknown_reference:{reference}", gone_mark(f"reference:{reference}"))
    return reference is not None and any(waived(entity, mark) for mark in marks)


def gone_mark(mark: str) -> str:
    """The fingerprint of the hold of a record whose counterparts were removed."""
    return f"{mark}:gone"


def release(entity: Entity, reason: str) -> tuple[tuple[str, Decision], ...]:
    """Let a held entity go, if it is held."""
    return ((entity.id, EntityReleased(entity.id, reason)),) if entity.hold is not None else ()


def take_back(entity: Entity, reason: str) -> list[tuple[str, Decision]]:
    """The end of every command that waits or is held."""
    return [(entity.id, CommandSuperseded(command, reason)) for command in sorted(unsent(entity))]
