"""What an audit makes of a difference: why the two sides are not the same, and what follows from it.

Every function is given an entity as the log has it, as it is with what was read anew, and what is decided for it then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec

from daemon.domain.events import (
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    Decision,
    EntityHeld,
    EntityReleased,
    RecordsLinked,
    RecordsMerged,
    RecordsUnlinked,
)
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VENDORS, other
from daemon.mappings.lens import OUT_OF_SCOPE, REFERENCE, REMOVED, Reason
from daemon.policies.brakes import in_held_batch, removal_waits
from daemon.policies.plan import Context, direction
from daemon.policies.syncing import differing
from projections.entities import dormant
from projections.entity import Entity, Side
from projections.merge import Same, misread

Class = Literal["in_flight", "held", "lost_webhook", "drift", "not_writable"]
"""in_flight: a command waits or is under way, or a read is due. held: something says that it waits. lost_webhook: the
vendor holds what the log did not know of. drift: the log knew it all, and the sides differ. not_writable: the vendor
cannot hold it."""

CLASSES: Final[tuple[Class, ...]] = get_args(Class)
CANNOT: Final = frozenset(get_args(Reason)) - {"unread"}
"""Why a vendor cannot hold a value: the reasons of the mapping rules."""

WHOLE: Final = "*"
"""The field of a difference that is about a record as a whole."""

Amount = Value | dict[str, Value]


class Difference(msgspec.Struct, frozen=True):
    """One difference: `vendor` is where something unknown was found, or who lacks what the other has.

    `kind` is its class. `vitec` and `propstreet` are what each holds. `then` says what follows, "" for nothing; a write
    names its `target` and the `value`, a create every field with its value.
    """

    vendor: str
    category: str
    entity: str
    field: str
    kind: Class = msgspec.field(name="class")
    reason: str = ""
    vitec: Value = None
    propstreet: Value = None
    then: str = ""
    target: str | None = None
    value: Amount = None


class Audited(msgspec.Struct, frozen=True):
    """An entity as it is with what was read anew.

    `unknown` are the fields, by vendor, that the log had otherwise; `planned` is what is decided for it, `reasons` why
    its commands were held or refused, by command. `batch` is the brake that keeps it.
    """

    entity: Entity
    unknown: Mapping[str, Sequence[str]] = {}
    planned: Sequence[Decision] = ()
    reasons: Mapping[str, str] = {}
    batch: str | None = None


def news(before: Side | None, after: Side, same: Same) -> tuple[str, ...]:
    """The fields in which a record is another one than the log had it; `WHOLE` for one that was never observed."""
    if before is None or before.head.event == 0:
        return (WHOLE,)
    names = [
        field
        for field, held in after.shadow.items()
        if field not in before.shadow or not same(field, held.value, before.shadow[field].value)
    ]
    if (before.gone is None) != (after.gone is None) or REMOVED in set(before.flags) ^ set(after.flags):
        names.append(REMOVED)
    if before.reference != after.reference:
        names.append(REFERENCE)
    aspects = {
        "flags": (set(before.flags) - {REMOVED}, set(after.flags) - {REMOVED}),
        "labels": (set(before.labels), set(after.labels)),
        "parts": (before.parts, after.parts),
        "unreadable": (before.unreadable is None, after.unreadable is None),
    }
    return (*names, *(name for name, (then, now) in aspects.items() if then != now))


def corrected(entity: Entity, vendor: str, same: Same) -> tuple[str, ...]:
    """The fields of a side that a corrected mapping reads as something else than what both agreed on."""
    side = entity.sides[vendor]
    return tuple(field for field, held in side.shadow.items() if misread(entity, vendor, field, held, same))


def under_way(entity: Entity) -> str | None:
    """Why nothing can be said of an entity now; None when it stands still."""
    if entity.busy():
        return "a write is under way"
    if entity.orphans or any(side.need is not None for side in entity.sides.values()):
        return "a read is due"
    return None


def notable(entity: Entity, context: Context) -> bool:
    """Whether there is more to say of it than that both sides are the same."""
    if entity.tombstone is not None or direction(context.sync, entity.category) == "off":
        return False
    if any(side.gone is not None for side in entity.sides.values()):
        return False
    if len(entity.sides) == 1:
        return not dormant(entity) or context.sync.first_sync == "now"
    return all(side.shadow for side in entity.sides.values()) and bool(
        differing(entity, context) or entity.pending
    )


def explain(audited: Audited, context: Context) -> list[Difference]:
    """Every difference of an entity, each once: what was unknown, what the sides do not share, what is due besides."""
    entity = audited.entity
    rows = [
        _row(audited, vendor, field, "lost_webhook")
        for vendor, fields in audited.unknown.items()
        for field in fields
    ]
    told = {row.field for row in rows}
    pair = len(entity.sides) == 2 and all(side.shadow for side in entity.sides.values())
    if pair and entity.tombstone is None and direction(context.sync, entity.category) != "off":
        for field, target in differing(entity, context).items():
            if field not in told:
                kind, reason = _standing(audited, field, target, context)
                rows.append(_row(audited, target or _shaped(entity, field), field, kind, reason))
    told |= {row.field for row in rows}
    rows += [
        _row(audited, decision.target, field, "drift")
        for decision in audited.planned
        if isinstance(decision, CommandIssued) and decision.record is not None
        for field in decision.want
        if field not in told
    ]
    if not rows and (whole := _of_the_whole(audited, context)) is not None:
        kind, reason = whole
        lacking = [vendor for vendor in VENDORS if vendor not in entity.sides]
        rows.append(_row(audited, lacking[0] if lacking else PROPSTREET, WHOLE, kind, reason))
    return _with_rest(audited, rows)


def _with_rest(audited: Audited, rows: list[Difference]) -> list[Difference]:
    """A create, or a new link, that no row of one field tells of is told by one of the whole record."""
    if not rows or any(row.field == WHOLE for row in rows):
        return rows
    made = [d.target for d in audited.planned if isinstance(d, CommandIssued) and d.record is None]
    linked = [PROPSTREET for d in audited.planned if isinstance(d, RecordsLinked)]
    return [*rows, *(_row(audited, vendor, WHOLE, "drift") for vendor in (made or linked)[:1])]


def _of_the_whole(audited: Audited, context: Context) -> tuple[Class, str] | None:
    """What is to be said of an entity of which nothing in particular is: most often nothing."""
    entity = audited.entity
    if (why := under_way(entity)) is not None:
        return "in_flight", why
    if audited.planned and audited.batch is None:
        return "drift", ""
    if (why := held_by(audited, context)) is not None:
        return "held", why
    if entity.pending:
        return "in_flight", "a command waits"
    return _at_one_side(audited, context) if len(entity.sides) == 1 else None


def _at_one_side(audited: Audited, context: Context) -> tuple[Class, str] | None:
    """Why a record has no counterpart; None where the settings want none."""
    entity = audited.entity
    [(vendor, side)] = entity.sides.items()
    if side.gone is not None or OUT_OF_SCOPE & set(side.flags) or not side.shadow:
        return None
    if not context.ready:
        return "in_flight", "the first poll is not complete"
    reasons = [_reason(audited, other(vendor), field) for field in entity.blocked.get(other(vendor), {})]
    for reason in reasons:
        return _class_of(reason), reason
    if entity.category in ("prospect", "link", "note", "property"):
        return "held", "waits for what it joins"
    return None


def _standing(audited: Audited, field: str, target: str | None, context: Context) -> tuple[Class, str]:
    """The class of a difference that the log knew of, and why it is still there."""
    entity = audited.entity
    if (why := under_way(entity)) is not None:
        return "in_flight", why
    if (why := held_by(audited, context)) is not None:
        return "held", why
    for decision in audited.planned:
        match decision:
            case CommandHeld(want=want, reason=reason) if field in want:
                return _class_of(reason), reason
            case CommandIssued(want=want) if field in want:
                return "drift", ""
    if any(field in pending.want for pending in entity.pending.values()):
        return "in_flight", "a command waits"
    for vendor in VENDORS:
        if field in entity.blocked.get(vendor, {}):
            reason = _reason(audited, vendor, field)
            return _class_of(reason), reason
    if target is None:
        return "not_writable", "kept in another form"
    return "in_flight", "it follows what is under way"


def held_by(audited: Audited, context: Context) -> str | None:
    """What keeps an entity as a whole; None when nothing does."""
    entity = audited.entity
    if entity.tombstone is not None:
        return "tombstone"
    if audited.batch is not None or in_held_batch(entity, context.brakes):
        return "brake"
    if removal_waits(entity, context.brakes, context.polled):
        return "brake"
    if entity.hold is not None and not any(isinstance(d, RecordsLinked) for d in audited.planned):
        return entity.hold.reason
    if dormant(entity) and context.sync.first_sync == "wait":
        return "waiting for its release"
    held = [kin.hold.reason for kin in context.kin.values() if kin.hold is not None]
    return f"what it joins is held ({held[0]})" if held else None


def _reason(audited: Audited, vendor: str, field: str) -> str:
    """Why a field is not written: the word of the hold, or that it was refused, or that an operator has seen to it."""
    block = audited.entity.blocked[vendor][field]
    if block.discarded:
        return "operator"
    return "observe" if block.observed else audited.reasons.get(block.command, "refused")


def _class_of(reason: str) -> Class:
    return "not_writable" if reason in CANNOT else "held"


def _shaped(entity: Entity, field: str) -> str:
    """The side whose form of an agreed value came last."""
    return max(VENDORS, key=lambda vendor: entity.sides[vendor].shadow[field].position)


def _row(audited: Audited, vendor: str, field: str, kind: Class, reason: str = "") -> Difference:
    entity = audited.entity
    held = {
        name: side.shadow[field].value if (side := entity.sides.get(name)) and field in side.shadow else None
        for name in VENDORS
    }
    then, target, value = ("held by the brake", None, None) if audited.batch else _then(audited, field)
    if kind in ("in_flight", "held", "not_writable") and target is not None:
        then, target, value = "", None, None
    return Difference(
        vendor, entity.category, entity.id, field, kind, reason, **held, then=then, target=target, value=value
    )


def _then(audited: Audited, field: str) -> tuple[str, str | None, Amount]:
    """What follows for a field: words, and the target and value of a write."""
    for decision in audited.planned:
        match decision:
            case CommandIssued(record=None, target=target, want=want) if field == WHOLE:
                return f"create at {target}", target, {name: w.value for name, w in want.items()}
            case CommandIssued(target=target, want=want) if field in want:
                verb = "remove" if field == REMOVED else "write"
                return f"{verb} at {target}", target, want[field].value
            case CommandHeld(want=want, reason=reason) if field in want or field == WHOLE:
                return f"hold ({reason})", None, None
    for decision in audited.planned:
        match decision:
            case RecordsLinked(vitec=vitec, propstreet=propstreet) if field in (WHOLE, REFERENCE):
                return f"link vitec:{vitec} and propstreet:{propstreet}", None, None
            case EntityHeld(reason=reason):
                return f"hold ({reason})", None, None
            case RecordsUnlinked() if field in (WHOLE, REMOVED):
                return "close the link", None, None
            case EntityReleased() if field == WHOLE:
                return "end its hold", None, None
            case CommandSuperseded() if field == WHOLE:
                return "take back a write", None, None
            case RecordsMerged(destination=destination) if field in (WHOLE, REMOVED):
                return f"follow it to {destination}", None, None
    return (
        "on record" if field in {f for fields in audited.unknown.values() for f in fields} else "",
        None,
        None,
    )


def counted(found: Iterable[Difference]) -> dict[str, dict[str, int]]:
    """How many differences there are, by class and category."""
    counts: dict[str, dict[str, int]] = {}
    for each in found:
        of_class = counts.setdefault(each.kind, {})
        of_class[each.category] = of_class.get(each.category, 0) + 1
    return {kind: dict(sorted(counts[kind].items())) for kind in CLASSES if kind in counts}


def sources(audited: Audited) -> set[str]:
    """The vendors whose records make something due: what a brake counts. A create counts, and so does a new link."""
    issued = {other(d.target) for d in audited.planned if isinstance(d, CommandIssued | CommandHeld)}
    linked = any(isinstance(d, RecordsLinked) for d in audited.planned)
    return issued | (set(audited.entity.sides) if linked else set())
