"""What a linked pair needs: which fields are agreed, which value wins, and the one command per target that follows."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from daemon.domain.events import (
    OPERATOR,
    CommandHeld,
    CommandIssued,
    CommandSuperseded,
    ConflictResolved,
    Decision,
    FieldsAgreed,
    Want,
)
from daemon.domain.fields import Value, same
from daemon.domain.settings import Authority
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, derived_id, other
from daemon.mappings import lens
from daemon.mappings.lens import RECORD, REFERENCE, REMOVED, Hold, Seen
from daemon.mappings.notes import REVISION
from daemon.policies.plan import Context, Plan, allowed, command_id, direction, disregarded
from projections.entities import unedited
from projections.entity import Base, Blocked, Entity, Override, Pending, Side
from projections.merge import (
    EQUAL,
    UNEXPLAINED,
    Same,
    Verdict,
    merge,
    merge_sets,
    says_nothing,
    sealable,
    typed_since_link,
)
from projections.outbox import OBSERVE

SETS: Final = frozenset(("tags",))
SKEW: Final = timedelta(seconds=30)
"""Two edits closer than the clocks are trusted: their order is uncertain, and the conflict says so."""

OWNERS: Final = {"status": VITEC, "stage": VITEC}
"""Fields that only one vendor decides: the other is told, or shown to differ, and never heard (S30)."""

RESTORED: Final = "restored by an operator"
"""Why a value is written that an operator brought back."""

CREATED: Final = "new"
"""Why a value is written that the other vendor has no record for."""

Events = list[tuple[str, Decision]]


def settle(entity: Entity, context: Context) -> Plan:
    """Seal what both sides mean alike, then write what one side lacks."""

    def alike(field: str, a: Value, b: Value) -> bool:
        return same(field, a, b, context.options.region)

    sealed = sealable(entity, alike, context.read_since)
    events: Events = [(entity.id, FieldsAgreed(entity.id, sealed))] if sealed else []
    agreed = {field: Base(*halves) for field, halves in sealed.items()}
    for target in VENDORS:
        want, verdicts = _wanted(entity, target, alike, agreed, context)
        events += _command(entity, target, want, verdicts, context)
    return Plan(tuple(events), (entity,)) if events else Plan()


def differing(entity: Entity, context: Context) -> dict[str, str | None]:
    """The fields of a linked pair in which the sides differ: who lacks what the other has, None where that is agreed.

    One side may hold another form than was written there, or what it does not take: the base says that both were seen.
    """

    def alike(field: str, a: Value, b: Value) -> bool:
        return same(field, a, b, context.options.region)

    found: dict[str, str | None] = {}
    for target in VENDORS:
        if not allowed(direction(context.sync, entity.category), target):
            continue
        want, _ = _wanted(entity, target, alike, {}, context)
        found |= dict.fromkeys(want, target)
        for field in entity.sides[other(target)].shadow.keys() - want.keys():
            if _verdict(entity, target, field, alike, {}, context) == UNEXPLAINED:
                found.setdefault(field, None)
    return found


def create(entity: Entity, vendor: str, context: Context, parts: dict[str, str] | None = None) -> Plan:
    """Create the record at the other vendor, with every field of this one; what a create does not take follows."""
    want = {
        field: Want(held.value, vendor, held.value, held.position, held.since, rule=CREATED)
        for field, held in entity.sides[vendor].shadow.items()
        if field not in OWNERS
    }
    events = _command(entity, other(vendor), want, {}, context, parts)
    return Plan(tuple(events), (entity,)) if events else Plan()


def still_due(entity: Entity, target: str, pending: Pending) -> bool:
    """Whether everything that the command was decided on still holds; checked right before it is sent."""
    if entity.lead is not None:
        return entity.lead.sent is None
    side = entity.sides.get(target)
    if (side is None) != (pending.record is None) or (side is not None and side.head.etag != pending.etag):
        return False
    return all(_holds(entity, side, field, want) for field, want in pending.want.items())


def _holds(entity: Entity, side: Side | None, field: str, want: Want) -> bool:
    if field == REFERENCE:
        return entity.linked == want.source_position
    if field == REMOVED:
        return entity.sides[want.source].gone == want.source_position
    source = entity.sides[want.source].shadow.get(field)
    if source is None or source.position != want.source_position:
        return False
    override = entity.overrides.get(field)
    if (0 if override is None else override.position) != want.override:
        return False
    present = side.shadow.get(field) if side is not None else None
    return want.replaces_position == (present.position if present is not None else 0)


def replaceable(pending: Pending, found: Mapping[str, Value], region: str) -> bool:
    """Whether the values read right before a write are those that it was decided to replace."""
    return all(
        same(field, found[field], want.replaces, region)
        for field, want in pending.want.items()
        if field in found
    )


def _wanted(
    entity: Entity, target: str, alike: Same, agreed: dict[str, Base], context: Context
) -> tuple[dict[str, Want], dict[str, Verdict]]:
    """What should change at the target, per field, with the verdict that says why."""
    want: dict[str, Want] = {}
    verdicts: dict[str, Verdict] = {}
    if not allowed(direction(context.sync, entity.category), target):
        return want, verdicts
    source, side = entity.sides[other(target)], entity.sides[target]
    for field in source.shadow:
        verdict = _verdict(entity, target, field, alike, agreed, context)
        if verdict.winner == other(target):
            verdicts[field] = verdict
            want[field] = _want(entity, target, field, agreed, verdict.rule)
    referable = target == PROPSTREET and REFERENCE in lens(target, entity.category).pseudo
    if (
        referable
        and side.reference != source.record
        and entity.linked is not None
        and REMOVED not in side.flags
    ):
        want[REFERENCE] = Want(source.record, VITEC, source.record, entity.linked, None, side.reference)
    return want, verdicts


def _want(entity: Entity, target: str, field: str, agreed: dict[str, Base], rule: str) -> Want:
    """The value of the other side, of both sides' elements, or of the operator; the rest is what it rests on."""
    held, present = entity.sides[other(target)].shadow[field], entity.sides[target].shadow.get(field)
    override = entity.overrides.get(field)
    value, since = held.value, held.since
    if override is not None:
        value, since = override.value, override.since
    elif field in SETS and present is not None:
        value = merge_sets(entity, field, agreed)
    return Want(
        value,
        other(target),
        held.value,
        held.position,
        since,
        replaces=present.value if present is not None else None,
        replaces_position=present.position if present is not None else 0,
        rule=rule,
        override=override.position if override is not None else 0,
    )


def _verdict(
    entity: Entity, target: str, field: str, alike: Same, agreed: dict[str, Base], context: Context
) -> Verdict:
    """Whether the target should take over what the other side holds in a field, and by which rule."""
    source, side = other(target), entity.sides[target]
    held, present = entity.sides[source].shadow[field], side.shadow.get(field)
    owner = OWNERS.get(field)
    if owner == target:
        return EQUAL
    override = entity.overrides.get(field)
    if override is not None:
        return _overruled(entity, target, field, override, alike, context)
    if present is None:  # left out by the vendor, which may mean that it is empty: a value can be written
        return EQUAL if says_nothing(source, field, held.value) else Verdict(source, CREATED)
    if field in SETS:
        value = merge_sets(entity, field, agreed)
        if alike(field, value, present.value):
            return EQUAL
        # without a base nobody can tell what was taken away since the link: then it is put on record
        without_base = field not in agreed and field not in entity.base
        return Verdict(
            source, "elements of both sides", conflict=without_base and typed_since_link(entity, present)
        )
    if owner is not None:
        alone = Verdict(source, f"{owner} alone decides it")
        return EQUAL if alike(field, held.value, present.value) else alone
    mapping = lens(target, entity.category)
    if field == "classification" and mapping.kept(field, held.value, present.value, context.options):
        return EQUAL  # the target's word for it is there already, also where it reads as another class
    return merge(entity, field, alike, _authority(entity, field, target, context), agreed)


def _overruled(
    entity: Entity, target: str, field: str, override: Override, alike: Same, context: Context
) -> Verdict:
    """Whether the target still lacks what the operator brought back; what else than its rival stood there is lost."""
    present = entity.sides[target].shadow.get(field)
    mapping = lens(target, entity.category)
    there = None if present is None else present.value
    if target in override.met or alike(field, override.value, there):
        return EQUAL
    if field == "classification" and mapping.kept(field, override.value, there, context.options):
        return EQUAL
    return Verdict(other(target), RESTORED, conflict=not alike(field, override.replaces, there))


def _authority(entity: Entity, field: str, target: str, context: Context) -> Authority:
    """Who wins when both changed. In one direction the source does: an edit at the target is drift."""
    if direction(context.sync, entity.category) != "both":
        return other(target)
    return context.sync.authority.get(f"{entity.category}.{field}", "latest")


def _command(
    entity: Entity,
    target: str,
    want: dict[str, Want],
    verdicts: dict[str, Verdict],
    context: Context,
    parts: dict[str, str] | None = None,
) -> Events:
    """One command with what can be written, a hold for each field that cannot, and the end of what is outdated."""
    due, outdated = unblocked(entity, target, want, context)
    events: Events = [
        (entity.id, CommandSuperseded(command, "a newer value")) for command in sorted(outdated)
    ]
    holds = _holds_of(entity, target, due, context)
    whole = tuple(hold for hold in holds if hold.whole)
    events += [(entity.id, _held(entity, target, due, hold)) for hold in whole or holds]
    held = {hold.field for hold in holds}
    due = {} if whole else {field: want for field, want in due.items() if field not in held}
    probed = lens(target, entity.category).probed
    if due.keys() - probed:  # what is perhaps ignored, or refused, goes alone when the rest is written
        due = {field: w for field, w in due.items() if field not in probed}
    return events + issue(entity, target, due, verdicts, context, parts)


def unblocked(
    entity: Entity, target: str, want: dict[str, Want], context: Context
) -> tuple[dict[str, Want], set[str]]:
    """What is not held or refused for the very value that is wanted, and the holds that are thereby outdated.

    What was held only because nothing is sent in observe mode is decided anew in live mode. A create is one piece:
    a change of any value that was held or refused makes all of it due anew.
    """
    blocked = entity.blocked.get(target, {})
    moved = {
        field
        for field, block in blocked.items()
        if (field not in want and not _still_ignored(entity, target, field, block, context))
        or (field in want and block.position != want[field].cause)
        or (block.observed and context.mode == "live")
    }
    if target not in entity.sides and moved & want.keys():
        return want, {block.command for block in blocked.values()}
    still = {block.command for field, block in blocked.items() if field not in moved}
    due = {field: w for field, w in want.items() if field not in blocked or field in moved}
    return due, {blocked[field].command for field in moved} - still


def _still_ignored(entity: Entity, target: str, field: str, block: Blocked, context: Context) -> bool:
    """What a vendor took without effect is shown as long as the sides differ, though no write is due (S31)."""
    source, side = entity.sides.get(other(target)), entity.sides.get(target)
    if source is None or side is None or field not in lens(target, entity.category).probed:
        return False
    held, present = source.shadow.get(field), side.shadow.get(field)
    if held is None or present is None or held.position != block.position:
        return False
    return not same(field, held.value, present.value, context.options.region)


def issue(
    entity: Entity,
    target: str,
    due: dict[str, Want],
    verdicts: dict[str, Verdict],
    context: Context,
    parts: dict[str, str] | None = None,
) -> Events:
    """The command for what is due, unless it is on its way already, and the end of one that is outdated."""
    side, pending = entity.sides.get(target), entity.pending.get(target)
    etag = side.head.etag if side is not None else None
    observed = context.mode == "observe"
    same = pending is not None and (pending.want, pending.etag, pending.parts) == (due, etag, parts)
    if same and not observed:
        return []
    events: Events = []
    if pending is not None:
        events.append((entity.id, CommandSuperseded(pending.command, "a newer decision")))
    if not due:
        return events
    if observed:
        held = Hold(RECORD, "not_writable", "nothing is sent in observe mode; set mode to live")
        return [*events, (entity.id, _held(entity, target, due, held, reason=OBSERVE))]
    events += _conflicts(entity, target, due, verdicts)
    record = side.record if side is not None else None
    reference = entity.sides[VITEC].record if target == PROPSTREET and VITEC in entity.sides else None
    issued = CommandIssued(
        command_id(context, entity, target),
        entity.id,
        entity.category,
        target,
        record,
        due,
        etag,
        reference,
        parts,
        unedited(entity),
    )
    return [*events, (entity.id, issued)]


def _holds_of(entity: Entity, target: str, due: dict[str, Want], context: Context) -> tuple[Hold, ...]:
    """What the target cannot take, by its mapping; and a reference that names another record."""
    side, source = entity.sides.get(target), entity.sides.get(other(target))
    if not due:
        return ()
    if side is None and source is not None and REVISION in source.flags:
        detail = f"a note is not rewritten at {target}; change it there by hand, or leave it (N15)"
        return (Hold(RECORD, "not_writable", detail),)
    seen = None if side is None else Seen({f: held.value for f, held in side.shadow.items()}, side.flags)
    values = {field: want.value for field, want in due.items() if field != REFERENCE}
    holds = lens(target, entity.category).cannot_hold(values, seen, context.options) if values else ()
    ignored = {f for t, c, f in context.refused if (t, c) == (target, entity.category)} - {
        hold.field for hold in holds
    }
    holds += tuple(
        Hold(field, "not_writable", f"{target.capitalize()} was seen to ignore it; change it there by hand")
        for field in sorted(ignored & due.keys() & lens(target, entity.category).probed)
    )
    reference = due.get(REFERENCE)
    if reference is not None and _names_another(entity, reference):
        detail = "the Propstreet record names another one at Vitec; correct the reference there"
        return (*holds, Hold(REFERENCE, "not_writable", detail))
    return holds


def _names_another(entity: Entity, reference: Want) -> bool:
    """Whether Propstreet's record refers to another one at Vitec, and neither a merge nor an operator explains it."""
    named = reference.replaces
    if named is None or entity.rule in ("merged", OPERATOR):
        return False
    return not disregarded(entity, str(named))


def _held(
    entity: Entity, target: str, due: dict[str, Want], hold: Hold, reason: str | None = None
) -> CommandHeld:
    """The hold of one field, or of the whole record; its id is that of its cause."""
    want = due if hold.field == RECORD else {hold.field: due[hold.field]}
    cause = [f"{field}@{want[field].cause}" for field in sorted(want)]
    side = entity.sides.get(target)
    return CommandHeld(
        str(derived_id("hold", entity.id, target, reason or hold.reason, *cause, str(entity.version))),
        entity.id,
        entity.category,
        target,
        side.record if side is not None else None,
        want,
        reason or hold.reason,
        hold.detail,
    )


def _conflicts(entity: Entity, target: str, due: dict[str, Want], verdicts: dict[str, Verdict]) -> Events:
    """What is lost by this command, recorded before anything is overwritten."""
    events: Events = []
    for field, want in due.items():
        side = entity.sides.get(target)
        doubt = side.doubt.get(field) if side is not None else None
        verdict = verdicts.get(field)
        conflict = verdict is not None and verdict.conflict
        if side is None or field not in side.shadow or not (conflict or doubt is not None):
            continue
        loser = side.shadow[field]
        marks = (str(want.cause), str(loser.position), str(doubt))
        close = want.since is not None and loser.since is not None and abs(want.since - loser.since) < SKEW
        resolved = ConflictResolved(
            conflict=str(derived_id("conflict", entity.id, field, *marks)),
            entity=entity.id,
            field=field,
            winner=want.source,
            winner_value=want.value,
            winner_since=want.since,
            winner_position=want.source_position,
            loser_value=loser.value,
            loser_since=loser.since,
            loser_position=loser.position,
            rule=verdict.rule if verdict is not None and conflict else "doubt",
            order_uncertain=conflict and close and not want.override,
            doubt=doubt,
        )
        events.append((entity.id, resolved))
    return events
