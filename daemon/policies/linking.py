"""Which records are one entity: by reference, then by the match keys of the mapping rules (section 8). Never guess."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from daemon.domain.events import OPERATOR, CommandSuperseded, RecordsLinked, RecordsUnlinked
from daemon.domain.fields import same
from daemon.domain.settings import OnlyTagged
from daemon.domain.streams import PROPSTREET, VITEC, other, parted_id
from daemon.mappings.lens import Options
from daemon.policies.plan import (
    NOTHING,
    Context,
    Plan,
    allowed,
    direction,
    disregarded,
    gone_mark,
    hold,
    release,
    take_back,
    waived,
)
from daemon.policies.syncing import create
from projections.entities import joint_keys, keys_of, underway_keys
from projections.entity import Entity, Side

STEPS: Final = {
    "contact": ("reference", "email", "name_phone"),
    "company": ("reference", "orgno", "domain", "name"),
    "project": ("reference",),
    "prospect": ("reference", "parts"),
    "link": ("parts",),
    "note": ("note",),
    "property": ("reference",),
}
"""The rules in their order; each is the first part of a match key."""

KEYS: Final = {
    "reference": "reference",
    "email": "e-mail",
    "name_phone": "name and phone",
    "orgno": "organisation number",
    "organisation_number": "organisation number",
    "domain": "domain",
    "name": "name",
    "parts": "joined records",
}
"""What the rules, and the fields that contradict them, are called to an operator."""

MET_BY_CONTENT: Final = frozenset(("contact", "company"))
"""Categories whose records are recognised by what they hold, so that a new one may be meant by an old one."""

JOINING: Final = frozenset(("prospect", "link", "note", "property"))
"""Categories whose records join others, and are nothing before those are linked."""

WEAK: Final = {"name_phone": "email", "domain": "organisation_number", "name": "organisation_number"}
"""Rules that link only when this field does not contradict."""

APART: Final = frozenset(("domain", "name"))
"""Rules by which two records with contradicting numbers are simply two companies."""


def introduce(entity: Entity, context: Context) -> Plan:
    """Link an entity that only one vendor has, or create it at the other, or hold it."""
    if not context.ready:
        return NOTHING
    [(vendor, side)] = entity.sides.items()
    parts = abroad(entity, context.kin) if entity.category in JOINING else None
    if entity.category in JOINING and not parts:
        why = "what it joins is not linked any more"
        stops = tuple((entity.id, CommandSuperseded(p.command, why)) for p in entity.pending.values())
        return Plan(stops, (entity,), tuple(kin.id for kin in context.kin.values()))
    meeting = counterparts(entity, context.candidates, context.options, parts)
    if meeting is None:
        return _start(entity, vendor, side, context, parts)
    return _meet(entity, vendor, meeting, context)


def abroad(entity: Entity, kin: Mapping[str, Entity]) -> dict[str, str] | None:
    """The records that an unlinked one joins, as the other vendor names them; None while one is not linked.

    Vitec knows persons and companies alike as contacts, so there is one name for both on its side.
    """
    [(vendor, side)] = entity.sides.items()
    far = other(vendor)
    names = {}
    for category in side.parts:
        joined = kin.get(category)
        if (
            entity.category == "note"
            and category == "project"
            and (joined is None or far not in joined.sides)
        ):
            continue  # about an estate that is not synced: it stays a note on the contact (N10)
        if joined is None or joined.tombstone is not None or far not in joined.sides:
            return None
        if joined.sides[far].gone is not None:
            return None
        if category == "prospect":
            continue  # told by its project and its contact
        party = far == VITEC and entity.category != "link" and joined.category == "company"
        names["contact" if party else joined.category] = joined.sides[far].record
    return names


class Meeting(msgspec.Struct, frozen=True):
    """The entities whose record at the other vendor answers to the first rule that finds any, and the key that did."""

    rule: str
    key: str
    hits: tuple[Entity, ...]
    far: str

    @property
    def mark(self) -> str:
        """What tells this meeting from the next one: the rule and the records."""
        return f"{self.rule}:{','.join(sorted(hit.sides[self.far].record for hit in self.hits))}"


def counterparts(
    entity: Entity,
    candidates: Iterable[Entity],
    options: Options,
    parts: Mapping[str, str] | None = None,
) -> Meeting | None:
    """Who may be meant at the other vendor, by the rules in their order; None when it is nobody.

    `parts` are the records that this one joins, as the other vendor names them. Who is gone, and an operator lets be
    gone, is not meant.
    """
    left = tuple(candidates)
    while (meeting := _meeting(entity, left, options, parts)) is not None:
        gone = {hit.id for hit in meeting.hits if hit.sides[meeting.far].gone is not None}
        if not gone or not waived(entity, gone_mark(meeting.mark)):
            return meeting
        left = tuple(candidate for candidate in left if candidate.id not in gone)
    return None


def _meeting(
    entity: Entity, candidates: Iterable[Entity], options: Options, parts: Mapping[str, str] | None
) -> Meeting | None:
    [(vendor, side)] = entity.sides.items()
    far = other(vendor)
    keys = far_keys(entity, options, parts)
    there = {
        candidate.id: (
            candidate,
            {
                *keys_of(entity.category, far, candidate.sides[far], options),
                *underway_keys(candidate, options),
            },
        )
        for candidate in candidates
        if candidate.id != entity.id
        and far in candidate.sides
        and (entity.category != "note" or len(candidate.sides) == 1)
    }
    for rule in STEPS[entity.category]:
        ours = {key for key in keys if key.startswith(f"{rule}:")}
        hits = tuple(
            candidate
            for candidate, theirs in there.values()
            if ours & theirs
            and not (rule in APART and _contradicts(side, candidate.sides[far], rule, options))
        )
        if hits:
            return Meeting(rule, next(iter(ours)), hits, far)
    return None


def far_keys(entity: Entity, options: Options, parts: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The keys that a counterpart of an unlinked record would have at the other vendor."""
    [(vendor, side)] = entity.sides.items()
    keys = keys_of(entity.category, vendor, side, options)
    if parts is None:
        return keys
    own = tuple(key for key in keys if key.startswith("reference:"))
    return (*own, *joint_keys(entity.category, parts, side))


def _meet(entity: Entity, vendor: str, meeting: Meeting, context: Context) -> Plan:
    """Link with the only candidate, if it is free and nothing contradicts, or an operator said that nothing does."""
    far, rule, hits, mark = meeting.far, meeting.rule, meeting.hits, meeting.mark
    if any(c.busy() or (c.sides[far].need is not None and rule != "note") for c in hits):
        return Plan(wait_for=tuple(c.id for c in hits))  # it may be the very write that is under way
    if rule == "note":  # notes of one text on one record pair in any order
        return _link(entity, vendor, min(hits, key=lambda hit: hit.seen), rule, meeting.key)
    closed = any(c.tombstone is not None or c.sides[far].gone is not None for c in hits)
    if closed and not waived(entity, gone_mark(mark)):
        why = "its counterpart was removed, or unlinked; release it to link or create it anew"
        return hold(entity, "tombstone", why, gone_mark(mark), hits)
    rivals = _rivals(entity, vendor, meeting, context)
    if len(hits) > 1 or rivals:
        why = f"several records share its {KEYS[rule]}; link one by hand"
        return hold(entity, "ambiguous", why, mark, (*hits, *rivals))
    [hit] = hits
    if linked(hit):
        why = f"the record with its {KEYS[rule]} is linked already; if that is wrong, unlink it and link this one"
        return hold(entity, "taken", why, f"{mark}:taken", hits)
    doubt = _doubt(entity, vendor, hit, meeting, context)
    if doubt is not None and not waived(entity, doubt.fingerprint):
        return hold(entity, doubt.reason, doubt.detail, doubt.fingerprint, hits)
    return _link(entity, vendor, hit, OPERATOR if closed or doubt is not None else rule, meeting.key)


def linked(entity: Entity) -> bool:
    """Whether it has a live link."""
    return len(entity.sides) == 2 and entity.tombstone is None


class Doubt(msgspec.Struct, frozen=True):
    """Why the only candidate may be another one all the same."""

    reason: str
    detail: str
    fingerprint: str


def _doubt(entity: Entity, vendor: str, hit: Entity, meeting: Meeting, context: Context) -> Doubt | None:
    rule, mark = meeting.rule, meeting.mark
    if _contradicts(entity.sides[vendor], hit.sides[meeting.far], rule, context.options):
        detail = f"same {KEYS[rule]}, but another {KEYS[WEAK[rule]]}; release it if they are the same"
        return Doubt("contradiction", detail, f"{mark}:other")
    if rule == "name":
        detail = "a company of the same name is there; release it if they are the same, or give their numbers"
        return Doubt("similar_name", detail, mark)
    if rule == "name_phone" and context.sync.match_name_phone == "hold":
        return Doubt("name_phone", "same name and phone; release it if they are the same", mark)
    return None


def _rivals(entity: Entity, vendor: str, meeting: Meeting, context: Context) -> tuple[Entity, ...]:
    """Other unlinked records at this vendor that would answer to the same key."""
    return tuple(
        c
        for c in context.candidates
        if c.id != entity.id
        and c.sides.keys() == {vendor}
        and c.sides[vendor].gone is None
        and c.tombstone is None
        and meeting.key in keys_of(c.category, vendor, c.sides[vendor], context.options)
    )


def _contradicts(here: Side, there: Side, rule: str, options: Options) -> bool:
    field = WEAK.get(rule)
    if field is None or field not in here.shadow or field not in there.shadow:
        return False
    a, b = here.shadow[field].value, there.shadow[field].value
    return bool(a and b) and not same(field, a, b, options.region)


def _link(entity: Entity, vendor: str, hit: Entity, rule: str, key: str) -> Plan:
    vitec, propstreet = (entity, hit) if vendor == VITEC else (hit, entity)
    plan = join(vitec, propstreet, rule, key)
    return Plan((*release(entity, "linked"), *plan.events), plan.basis)


def join(vitec: Entity, propstreet: Entity, rule: str, key: str = "", by: str = "") -> Plan:
    """Link Vitec's record of one entity and Propstreet's of the other. The older one keeps its id.

    Commands that either had not sent yet are taken back. A record whose old link is closed leaves it first.
    """
    records = {VITEC: vitec.sides[VITEC].record, PROPSTREET: propstreet.sides[PROPSTREET].record}
    if vitec.id == propstreet.id:
        link = RecordsLinked(vitec.id, records[VITEC], records[PROPSTREET], rule, key, by)
        return Plan(((vitec.id, link),), (vitec,))
    older, younger = sorted((vitec, propstreet), key=lambda e: (e.seen, e.id))
    events = [event for each in (older, younger) for event in take_back(each, "the record was linked")]
    staying, leaving = [], []
    for each in (older, younger):
        if len(each.sides) == 1:
            staying.append(each.id)
            continue
        vendor, name = VITEC if each is vitec else PROPSTREET, parted_id(each.category, each.id, each.version)
        events.append((each.id, RecordsUnlinked(each.id, each.tombstone or "", parted={vendor: name})))
        leaving.append(name)
    survivor = (*staying, *leaving)[0]
    link = RecordsLinked(survivor, records[VITEC], records[PROPSTREET], rule, key, by)
    return Plan((*events, (survivor, link)), (older, younger))


def _start(entity: Entity, vendor: str, side: Side, context: Context, parts: dict[str, str] | None) -> Plan:
    """No candidate: create the record at the other vendor, if that is wanted."""
    named = side.reference if vendor == PROPSTREET and parts is None else None
    if named is not None and not disregarded(entity, named):
        detail = "it names a record at Vitec that is not here; remove the reference, link it, or release it"
        return hold(entity, "unknown_reference", detail, f"unknown_reference:{named}")
    if not allowed(direction(context.sync, entity.category), other(vendor)):
        return NOTHING
    if vendor == PROPSTREET and entity.category in MET_BY_CONTENT:
        match context.sync.new_from_propstreet:
            case "hold" if not waived(entity, "new"):
                return hold(entity, "new", "new at Propstreet; release it to create it at Vitec", "new")
            case OnlyTagged(tag=tag) if tag not in side.labels:
                return NOTHING
    plan = create(entity, vendor, context, parts)
    if entity.hold is not None:
        return Plan((*release(entity, "the cause is gone"), *plan.events), (entity,))
    return plan
