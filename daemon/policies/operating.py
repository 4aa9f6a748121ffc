"""What an operator can say: how every hold ends, and what the events of that word are."""

from typing import Final

import msgspec

from daemon.domain.events import (
    OPERATOR,
    CommandDiscarded,
    CommandReleased,
    Decision,
    EntityReleased,
    HoldDiscarded,
    RecordsUnlinked,
)
from daemon.domain.streams import LEAD, PROPSTREET, VENDORS, VITEC, parted_id
from daemon.policies.linking import join, linked
from daemon.policies.plan import Plan, Refused, gone_mark, take_back
from projections.commands import CommandRow
from projections.entity import Entity
from projections.fold import MERGED
from projections.outbox import UNKNOWN_OUTCOME


class WayOut(msgspec.Struct, frozen=True):
    """How a hold ends: what `toveis release` does, None where it could do nothing; and what else ends it."""

    release: str | None
    otherwise: str


ANEW: Final = "decided anew, and perhaps held again"
LINKED: Final = "linked with the candidate"

COMMANDS: Final = {
    "too_long": WayOut(ANEW, "shorten it where it comes from"),
    "too_many": WayOut(ANEW, "take some away where they come from"),
    "not_writable": WayOut(ANEW, "change it there by hand, or switch its setting on"),
    "unmapped": WayOut(ANEW, "give it a counterpart in the settings, or another value"),
    "protected": WayOut(ANEW, "change it at Vitec"),
    "cannot_clear": WayOut(ANEW, "give it a value, or clear it there by hand"),
    "invalid": WayOut(ANEW, "correct it where it comes from"),
    "needs_channel": WayOut(ANEW, "give it an e-mail or a phone"),
    "needs_name": WayOut(ANEW, "give it a name"),
    "other_number": WayOut(ANEW, "correct one of the two numbers"),
    "unknown_category": WayOut(ANEW, "make the category at Vitec, or map another one"),
    "unread": WayOut(ANEW, "it ends by itself when the record is read"),
    "unknown_outcome": WayOut("sent once more", "look there; if the vendor has it, `toveis discard`"),
    "observe": WayOut(None, 'set `mode` to "live"'),
}
"""Every reason of a CommandHeld."""

ENTITIES: Final = {
    "ambiguous": WayOut(None, "`toveis link` names the pair"),
    "taken": WayOut(None, "`toveis unlink` what is linked wrongly, then `toveis link`"),
    "contradiction": WayOut(LINKED, "correct one of the two; `toveis discard` leaves them apart"),
    "similar_name": WayOut(LINKED, "give both their numbers; `toveis discard` leaves them apart"),
    "name_phone": WayOut(LINKED, "`toveis discard` leaves them apart"),
    "matched": WayOut("the link stands, and is synced", "`toveis unlink` parts them"),
    MERGED: WayOut("seen to: it stays closed", "merge the two at Propstreet by hand"),
    "tombstone": WayOut("linked with what is left of its counterpart, else created anew", "`toveis link`"),
    "unknown_reference": WayOut("created at Vitec, whatever it refers to", "correct the reference there"),
    "new": WayOut("created at Vitec", "`toveis link` names its counterpart"),
    "removed": WayOut("seen to: the link is closed, the other record stays", "remove the other by hand"),
    "deceased": WayOut("synced all the same", "correct the mark at Vitec"),
    "sensitive": WayOut("pushed, with what joins it", 'set `sensitive_business` to "push"'),
    "status_disagrees": WayOut("synced, but for its status", "correct the status at Vitec"),
    "unreadable": WayOut(None, "it ends by itself when the record can be read"),
    "oscillation": WayOut("synced again, and counted anew", "find out what else writes to this field"),
}
"""Every reason of an EntityHeld."""

OLD: Final = WayOut("decided anew", "`toveis discard`")
"""What ends a hold of a reason that only an older version gave."""

NOT_HELD: Final = "it is not held as a whole; `toveis commands` has the ids of its writes"
CLOSED: Final = "it may be linked, or created, anew"


class Word(msgspec.Struct, frozen=True):
    """What is to be appended, and what will follow, in words."""

    plan: Plan
    then: str


Said = Word | Refused


# --- An entity that waits as a whole ---


def release_entity(entity: Entity, by: str) -> Said:
    """What stopped it stops it no more; without a hold a closed link is opened for a new decision."""
    if entity.hold is None:
        return _reopen(entity, by)
    hold = entity.hold
    way = ENTITIES.get(hold.reason, OLD)
    if way.release is None:
        names = ", ".join(hold.candidates)
        return Refused(f"{hold.reason}: {way.otherwise}" + (f"; candidates: {names}" if names else ""))
    return _word(entity, EntityReleased(entity.id, hold.reason, hold.fingerprint, by), way.release)


def _reopen(entity: Entity, by: str) -> Said:
    """What is left of a closed link begins anew; what is gone at its vendor leaves it."""
    if entity.tombstone is None:
        return Refused(NOT_HELD)
    gone = [vendor for vendor, side in entity.sides.items() if side.gone is not None]
    if len(gone) == len(entity.sides):
        return Refused("nothing is left of it")
    events = take_back(entity, "opened anew")
    mark = ""
    if len(entity.sides) == 2:
        if not gone:
            return Refused("both records are there: `toveis link` links them again")
        parted = {gone[0]: parted_id(entity.category, entity.id, entity.version)}
        events.append((entity.id, RecordsUnlinked(entity.id, entity.tombstone, parted=parted)))
        mark = gone_mark(f"reference:{entity.sides[gone[0]].record}")
    events.append((entity.id, EntityReleased(entity.id, "closed", mark, by)))
    return Word(Plan(tuple(events), (entity,)), CLOSED)


def retry_entity(entity: Entity, by: str) -> Said:
    """An entity as a whole is never refused by a vendor, so there is nothing to try again; says what there is to do."""
    if entity.hold is None:
        return Refused(NOT_HELD)
    return _only_held(ENTITIES.get(entity.hold.reason, OLD))


def _only_held(way: WayOut) -> Refused:
    return Refused(f"it is held: {way.otherwise if way.release is None else '`toveis release` lets it go'}")


def discard_entity(entity: Entity, by: str) -> Said:
    """The hold stands, and is listed no more."""
    if entity.hold is None:
        return Refused(NOT_HELD)
    hold = entity.hold
    discarded = HoldDiscarded(entity.id, hold.reason, hold.fingerprint, by)
    return _word(entity, discarded, "left as it is, until its cause is another one or gone")


# --- A command ---


def release_command(entity: Entity, row: CommandRow, by: str) -> Said:
    """A held command is decided anew."""
    match row.state:
        case "held":
            way = COMMANDS.get(row.reason or "", OLD)
            if way.release is None:
                return Refused(f"{row.reason}: {way.otherwise}")
            seen_to = not row.fields and row.reason == "not_writable"
            return _again(entity, row, by, "seen to" if seen_to else way.release)
        case "dead":
            return Refused("it was refused: `toveis retry` tries it again")
    return Refused(_not_now(row))


def retry_command(entity: Entity, row: CommandRow, by: str) -> Said:
    """What was refused for good is decided anew; what waits is due, also at a vendor that refused us."""
    match row.state:
        case "dead":
            return _again(entity, row, by, "decided anew, and sent if it is still due")
        case "pending" | "unknown":
            return _again(
                entity, row, by, f"due now; {row.target.capitalize()} is asked again, even if it refused us"
            )
        case "held":
            return _only_held(COMMANDS.get(row.reason or "", OLD))
    return Refused(_not_now(row))


def discard_command(entity: Entity, row: CommandRow, by: str) -> Said:
    """It is settled: the same value is not tried again."""
    if row.state not in ("held", "dead", "pending"):
        return Refused(_not_now(row))
    discarded = CommandDiscarded(row.command, entity.id, row.reason or "", by)
    if entity.category == LEAD:
        counts = row.reason == UNKNOWN_OUTCOME
        return _word(entity, discarded, "it counts as sent" if counts else "it is given up, and never sent")
    return _word(entity, discarded, "not tried again, until its source changes")


def _again(entity: Entity, row: CommandRow, by: str, then: str) -> Word:
    if entity.lead is not None and entity.lead.restored:
        then = "held once more, for the log was restored since: look at Vitec, then release that"
    return _word(entity, CommandReleased(row.command, entity.id, row.reason or "", by), then)


def _not_now(row: CommandRow) -> str:
    match row.state:
        case "flying" | "unknown":
            return "it is under way, and its outcome is still looked for; try again in a moment"
        case "pending":
            return "it is not held: it waits to be sent"
    return f"nothing is left to do: it is {row.state}"


def _word(entity: Entity, decision: Decision, then: str) -> Word:
    return Word(Plan(((entity.id, decision),), (entity,)), then)


# --- Which records are one ---


def link(vitec: Entity, propstreet: Entity, by: str) -> Said:
    """Vitec's record of one entity and Propstreet's of the other are one; an old link that is closed is no hindrance."""
    if vitec.id == propstreet.id and linked(vitec):
        return Word(Plan(), "they are linked already")
    for vendor, entity in ((VITEC, vitec), (PROPSTREET, propstreet)):
        if linked(entity):
            names = " and ".join(_names(entity))
            return Refused(f"{names} are linked; `toveis unlink {entity.category} {entity.id}` parts them")
        if entity.sides[vendor].gone is not None:
            return Refused(f"{vendor}:{entity.sides[vendor].record} is gone")
        if entity.busy():
            return Refused(f"a write to {_names(entity)[0]} is under way; try again in a moment")
    return Word(join(vitec, propstreet, OPERATOR, by=by), "what differs is written next")


def unlink(entity: Entity, reason: str, by: str) -> Said:
    """The records part, each an entity of its own; they never link again by themselves."""
    if len(entity.sides) < 2:
        return Refused("it is not linked")
    if entity.busy():
        return Refused("a write is under way; try again in a moment")
    younger: str = max(VENDORS, key=lambda vendor: entity.sides[vendor].seen)
    parted = {younger: parted_id(entity.category, entity.id, entity.version)}
    events = take_back(entity, "the records were unlinked")
    events.append((entity.id, RecordsUnlinked(entity.id, reason, parted=parted, by=by)))
    return Word(Plan(tuple(events), (entity,)), "neither links again before an operator says so")


def _names(entity: Entity) -> list[str]:
    return [f"{vendor}:{side.record}" for vendor, side in entity.sides.items()]
