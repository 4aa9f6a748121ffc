"""The merge: how observations and outcomes become shadows and bases, and which value wins.

The rules, with the stories that forced them, stand in docs/merge-rules.md; the names here are the names there. Every
function is a pure step on the state of one entity. A fold appends nothing.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from daemon.domain.events import ACCEPTED, Half
from daemon.domain.fields import Value
from daemon.mappings.lens import REFERENCE, REMOVED
from projections import overrides
from projections.entity import RECENT, Attempt, Base, Entity, Head, Push, Shadow, Side, base_of
from projections.turns import turn

Same = Callable[[str, Value, Value], bool]
"""same(field, a, b): equal by class, after normalising."""


class Rules(msgspec.Struct, frozen=True):
    """What the fold needs to know of a vendor's mapping: equality, declared reshapes, and whether it has etags."""

    vendor: str
    etags: bool
    same: Same
    kept: Same  # kept(field, wanted, read): equal, or a declared reshape of this vendor
    returns: bool = False
    """A record that is gone can be made again under its old id: then what it holds was said anew."""


class Observation(msgspec.Struct, frozen=True, gc=False):
    """A record's content with how it came. A push has no `started`; `command` is the write that a readback follows.

    `time` is the vendor's own, wherever its clock stands: what it is compared with is the vendor's as well.
    """

    position: int
    recorded_at: datetime
    fields: dict[str, Value]
    time: datetime | None
    etag: str | None = None
    started: int | None = None
    verdict: str = ACCEPTED
    command: str | None = None
    removed: bool = False
    reference: str | UnsetType | None = UNSET
    anew: bool = False


def observe(entity: Entity, side: Side, o: Observation, rules: Rules) -> None:
    """Fold one observation of a record into its side."""
    flying = next((a for a in side.attempts if a.state == "flying"), None)
    if flying is not None:
        if o.command == flying.command:
            _succeed(entity, side, o, flying, rules)
        elif o.started is None:
            side.kept.append(
                Push(o.position, o.fields, o.time, o.etag, o.recorded_at, o.removed, o.reference)
            )
        else:
            if not rules.etags and not _read_overlaps(side, o, o.started):
                _glimpse(entity, side, o, flying, rules)
            side.ask(o.position)
        return
    if o.started is None and _push_is_doubtful(side, o):
        if o.etag is None or o.etag != side.head.etag:
            side.ask(o.position)
        return
    if o.started is not None and _read_overlaps(side, o, o.started):
        side.ask(o.position)
        return
    taken = next((a for a in side.attempts if a.state == "open" and a.taken), None)
    if o.started is not None and taken is not None:
        _succeed(entity, side, o, taken, rules)
        return
    _accept(entity, side, o, rules, skip=())
    if o.started is not None:
        _settle(side, o)
    _advance(side, o)


def _glimpse(entity: Entity, side: Side, o: Observation, flying: Attempt, rules: Rules) -> None:
    """A read while a write is under way shows what is being written, and was not there: what is read next is younger."""
    for field, want in flying.want.items():
        present, value = side.shadow.get(field), o.fields.get(field, want.replaces)
        new = field in o.fields and (present is None or not rules.same(field, value, present.value))
        if new and rules.kept(field, want.value, value):
            _ours(entity, side, rules, field, value, flying, o.position)


def _push_is_doubtful(side: Side, o: Observation) -> bool:
    late = o.time is None or (side.head.time is not None and o.time <= side.head.time)
    return late or side.restored is not None or any(a.state == "open" for a in side.attempts)


def _read_overlaps(side: Side, o: Observation, started: int) -> bool:
    return (
        o.verdict != ACCEPTED
        or started < side.head.ended
        or (side.restored is not None and started < side.restored)
        or any(a.state == "open" and started < a.unknown for a in side.attempts)
    )


def _accept(entity: Entity, side: Side, o: Observation, rules: Rules, skip: tuple[str, ...]) -> None:
    """Bring every field of the observation into the shadow, as the rules say."""
    time = _since(side, o)
    moved = side.restored is not None and (not rules.etags or o.etag != side.head.etag)
    reborn = rules.returns and side.gone is not None and not o.removed
    side.restored = None
    if side.gone is not None and not o.removed and not entity.apart:
        entity.tombstone = None  # seen again after a false removal: the same link, with its base
    side.gone = (side.gone or o.position) if o.removed else None
    if o.reference is not UNSET:
        side.reference = o.reference
    suspects = [a for a in side.attempts if a.state != "flying"]
    for field, value in o.fields.items():
        present = side.shadow.get(field)
        if present is not None and value == present.value and not (moved or suspects or reborn or o.anew):
            continue  # most of what is observed says nothing new
        if reborn:
            side.shadow[field] = Shadow(value, time, o.position)
        elif field not in skip:
            _accept_field(entity, side, o, rules, field, value, time, moved, suspects)


def _accept_field(
    entity: Entity,
    side: Side,
    o: Observation,
    rules: Rules,
    field: str,
    value: Value,
    time: datetime | None,
    moved: bool,
    suspects: list[Attempt],
) -> None:
    present = side.shadow.get(field)
    new = present is None or not rules.same(field, value, present.value)
    if (
        moved
    ):  # perhaps edited in the time that the log forgot; only another value proves it, and is that young
        side.shadow[field] = Shadow(value, time if present is None or new else present.since, o.position)
        return
    for attempt in suspects:
        want = attempt.want.get(field)
        if want is None or not rules.kept(field, want.value, value):
            continue
        if (attempt.state == "open" and o.started is not None) or (attempt.state == "recent" and new):
            turn(side, field, want, o.recorded_at, rules.same)
            _ours(entity, side, rules, field, value, attempt, o.position)
            return
    if present is None or new:
        side.shadow[field] = Shadow(value, time, o.position)
        side.doubt.pop(field, None)
    elif o.anew and misread(entity, rules.vendor, field, present, rules.same):
        side.shadow[field] = Shadow(value, present.since, o.position)
    elif value != present.value:  # another form of the same value is the vendor's reshape, never an edit
        side.shadow[field] = Shadow(value, present.since, present.position)
    for attempt in suspects:
        if _was_perhaps_reverted(side, o, rules, field, value, attempt):
            side.doubt[field] = o.position
            if attempt.state == "recent":
                attempt.doubted.append(field)


def misread(entity: Entity, vendor: str, field: str, held: Shadow, same: Same) -> bool:
    """When both sides last agreed, the very content that a side holds was read as something else.

    Only a corrected mapping does that, or another setting of one.
    """
    base = entity.base.get(field)
    if base is None or base.moved(vendor, held):
        return False
    return not same(field, held.value, base.half(vendor).value)


def _was_perhaps_reverted(
    side: Side, o: Observation, rules: Rules, field: str, value: Value, attempt: Attempt
) -> bool:
    """The field holds what our write was to replace: perhaps it was applied, and a person put the old value back."""
    want = attempt.want.get(field)
    if want is None or field in attempt.doubted or not rules.same(field, want.replaces, value):
        return False
    if attempt.state == "open":
        return o.started is not None and not (rules.etags and o.etag == attempt.etag)
    return o.etag != attempt.etag or o.time != attempt.vendor_time


def _ours(
    entity: Entity, side: Side, rules: Rules, field: str, value: Value, attempt: Attempt, position: int
) -> None:
    """The field holds what an attempt of unknown outcome wrote: our own write, or a person who typed the same."""
    want = attempt.want[field]
    here = _half_after(field, attempt, value, position, rules)
    entity.base[field] = base_of(rules.vendor, here, Half(want.source_value, want.source_position))
    side.shadow[field] = Shadow(value, want.since, position)
    side.doubt[field] = position
    overrides.land(entity, rules.vendor, field, want, rules.same)


def _succeed(entity: Entity, side: Side, o: Observation, attempt: Attempt, rules: Rules) -> None:
    """Fold the content that followed our write: its answer, our read-back, or the first read after it was taken."""
    time = _since(side, o)
    recent = [a for a in side.attempts if a is not attempt and a.state == "recent"]
    for field, want in attempt.want.items():
        if field in (REFERENCE, REMOVED):
            continue
        read = o.fields.get(field, want.value)  # left out, a blank one perhaps: nothing contradicts our write
        turn(side, field, want, o.recorded_at, rules.same)
        there = Half(want.source_value, want.source_position)
        if rules.etags or rules.kept(field, want.value, read):
            entity.base[field] = base_of(
                rules.vendor, _half_after(field, attempt, read, o.position, rules), there
            )
            side.shadow[field] = Shadow(read, want.since, o.position)
            side.doubt.pop(field, None)
            overrides.land(entity, rules.vendor, field, want, rules.same)
        elif ours := next(
            (a for a in recent if field in a.want and rules.kept(field, a.want[field].value, read)), None
        ):
            _ours(entity, side, rules, field, read, ours, o.position)
        else:  # a person's edit after ours
            entity.base[field] = base_of(rules.vendor, Half(want.value, attempt.position), there)
            side.shadow[field] = Shadow(read, time, o.position)
    _accept(entity, side, o, rules, skip=tuple(attempt.want))
    side.attempts = [a for a in side.attempts if a is not attempt]
    _settle(side, o)
    _advance(side, o)
    release_kept(entity, side, rules)


def _half_after(field: str, attempt: Attempt, read: Value, position: int, rules: Rules) -> Half:
    """A merged set holds more, or less, than its source: the target then stays changed, and the source is next.

    An override is not the source's value either, but it waits for the source by itself.
    """
    want = attempt.want[field]
    if want.override or rules.same(field, want.value, want.source_value):
        return Half(read, position)
    return Half(want.source_value, attempt.position)


def release_kept(entity: Entity, side: Side, rules: Rules) -> None:
    """After a definite outcome: fold the pushes that were kept while the write was in flight."""
    kept, side.kept = side.kept, []
    for push in kept:
        observe(
            entity,
            side,
            Observation(
                push.position,
                push.recorded_at,
                push.fields,
                push.time,
                push.etag,
                removed=push.removed,
                reference=push.reference,
            ),
            rules,
        )


def lose_track(entity: Entity, position: int, at: datetime) -> None:
    """The log forgot what followed: both sides must be read, and whatever was due may have been sent meanwhile.

    Only open attempts are kept: what else was due is decided anew, from what the reads find.
    """
    entity.pending.clear()
    entity.creating.clear()
    if entity.lead is not None and entity.lead.sent is None:
        entity.lead = msgspec.structs.replace(entity.lead, restored=True)
    for side in entity.sides.values():
        for attempt in side.attempts:
            attempt.taken = False
            if attempt.state == "flying":
                lose_sight(side, attempt, position, at)
        side.restored = position
        side.ask(position)


def lose_sight(side: Side, attempt: Attempt, position: int, at: datetime) -> None:
    """The outcome of an attempt is unknown: it is open until a later read settles it."""
    attempt.state, attempt.unknown, attempt.unknown_at = "open", position, at
    side.ask(position)
    side.kept = []


def _settle(side: Side, o: Observation) -> None:
    """An accepted read: open attempts become recent, those that cannot land any more are over, a need is met."""
    for attempt in side.attempts:
        if attempt.state == "open":
            attempt.state = "recent"
    side.attempts = [a for a in side.attempts if a.state == "flying" or _is_recent(a, o)]
    if side.need is not None and o.started is not None and o.started >= side.need:
        side.need = None


def _advance(side: Side, o: Observation) -> None:
    started = side.head.started if o.started is None else o.started
    side.head = Head(_later(o.time, side.head.time), o.etag, started, o.position, o.position)


def _is_recent(attempt: Attempt, o: Observation) -> bool:
    """Whether a write of unknown outcome may still land after this read, or have landed without being seen."""
    return attempt.unknown_at is not None and o.recorded_at - attempt.unknown_at < RECENT


def _since(side: Side, o: Observation) -> datetime | None:
    """When what is new in it came to be, at the latest: the vendor's clock may have gone back, or be ahead of ours."""
    time = _later(o.time, side.head.time)
    return None if time is None else min(time, o.recorded_at)


def _later(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return a or b
    return max(a, b)


def sealable(entity: Entity, same: Same, read_since: dict[str, int]) -> dict[str, tuple[Half, Half]]:
    """The fields that both sides were seen to mean alike: each side was read after the other's change.

    `read_since` is, per vendor, the log's head when the newest read of that record was sent.
    """
    vitec, propstreet = entity.sides["vitec"], entity.sides["propstreet"]
    return {
        field: (Half(v.value, v.position), Half(p.value, p.position))
        for field, v in vitec.shadow.items()
        if (p := propstreet.shadow.get(field)) is not None
        and (entity.changed("vitec", field) or entity.changed("propstreet", field))
        and same(field, v.value, p.value)
        and read_since["vitec"] >= p.position
        and read_since["propstreet"] >= v.position
    }


def unsealed(entity: Entity, same: Same) -> bool:
    """Some field means the same on both sides and is not yet the base: the next completed polls may agree on it."""
    return len(entity.sides) == 2 and bool(sealable(entity, same, {"vitec": 1 << 62, "propstreet": 1 << 62}))


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of one field. `winner` is None when there is nothing to do; `conflict` when both had changed."""

    winner: str | None = None
    rule: str = "equal"
    conflict: bool = False


EQUAL = Verdict()
UNEXPLAINED = Verdict(rule="difference explained")


def merge(
    entity: Entity,
    field: str,
    same: Same,
    authority: Literal["latest", "vitec", "propstreet"],
    agreed: dict[str, Base] | None = None,
) -> Verdict:
    """Which side's value wins. `agreed` are bases that this very decision has just sealed."""
    v, p = entity.sides["vitec"].shadow[field], entity.sides["propstreet"].shadow[field]
    if same(field, v.value, p.value):
        return EQUAL
    base = (agreed or {}).get(field) or entity.base.get(field)
    if base is None:
        return _first_link(entity, field, v, p, authority)
    match base.moved("vitec", v), base.moved("propstreet", p):
        case (False, False):
            return UNEXPLAINED
        case (True, False):
            return Verdict("vitec", "only Vitec changed")
        case (False, True):
            return Verdict("propstreet", "only Propstreet changed")
    return _both_changed(v, p, authority)


UNSAID: Final = {"vitec": {"not_contacted"}, "propstreet": {"not_contacted", "draft"}}
"""Classifications that a vendor gives by itself to what nobody has classified: on a first link they are blanks."""


def says_nothing(vendor: str, field: str, value: Value) -> bool:
    """A blank, or a classification that the vendor gave by itself."""
    return is_blank(value) or (field == "classification" and value in UNSAID[vendor])


def _first_link(entity: Entity, field: str, v: Shadow, p: Shadow, authority: str) -> Verdict:
    """A blank loses. One that came after the link was typed by somebody, and is put on record."""
    blanks = says_nothing("vitec", field, v.value), says_nothing("propstreet", field, p.value)
    if any(blanks):
        winner, blank = ("propstreet", v) if blanks[0] else ("vitec", p)
        return Verdict(winner, "a blank never wins a first link", conflict=typed_since_link(entity, blank))
    return _both_changed(v, p, authority)


def typed_since_link(entity: Entity, held: Shadow) -> bool:
    """Somebody changed it after the link and before the first base: nobody can tell any more what it was."""
    return entity.rule != "created" and held.position > (entity.linked or 0)


def _both_changed(v: Shadow, p: Shadow, authority: str) -> Verdict:
    if authority != "latest":
        return Verdict(authority, f"authority is {authority}", conflict=True)
    if p.since is not None and (v.since is None or p.since > v.since):
        return Verdict("propstreet", "the later edit wins", conflict=True)
    return Verdict(
        "vitec", "the later edit wins" if v.since != p.since else "a tie goes to Vitec", conflict=True
    )


def merge_sets(entity: Entity, field: str, agreed: dict[str, Base] | None = None) -> tuple[str, ...]:
    """The three-way union of a set field: every element that either side holds and neither side took away."""
    base = (agreed or {}).get(field) or entity.base.get(field)
    held: set[str] = set()
    removed: set[str] = set()
    for vendor, side in entity.sides.items():
        present = set(side.shadow[field].value or ())
        held |= present
        if base is not None:
            removed |= set(base.half(vendor).value or ()) - present
    return tuple(sorted(held - removed))


def is_blank(value: Value) -> bool:
    """None, an empty text or an empty set."""
    return not (value.strip() if isinstance(value, str) else value)
