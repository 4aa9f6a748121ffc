"""What must hold of a world that has come to rest. Each oracle gives violations, none when all is well.

agreement: both vendors hold the same in every shared field, or the daemon shows why not. lost: every value that a
person typed lives on in a present value's descent, or stands in a conflict, or fell into Vitec's window. doubled: no
second record for one entity, no lead, note or interest twice. deleted: nothing is gone that nobody removed. invented:
the daemon never writes what nobody had. looped: nor what it only has from itself. reverted: no edit loses to what it
was made of. respelled: nor to the same in other letters. restored: what an operator brought back stays. The log's own
stand in `logbook`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import takewhile
from math import inf
from typing import Final

from daemon.domain.events import LEAD_RECEIVED
from daemon.domain.streams import other
from daemon.sandbox.agreement import SPEAKS
from tests.simulation import guards, logbook
from tests.simulation.bench import SYNCED, Bench, Violation, World, named
from tests.simulation.figures import Figures, counted
from tests.simulation.lineage import Knows
from tests.simulation.steps import VENDORS
from tests.simulation.truth import GIVEN, Cell, Record, Version, plain

SPEAKING: Final = SPEAKS | {("prospect", "classification")}
"""What counts only where Vitec says something (S12, L11)."""

FOR_SALE: Final = ("ForSale", "Running", "Coming", "SoonForSale", "Advantage")
"""Statuses of estates whose speculators are read again with every poll."""


def check(world: World) -> list[Violation]:
    """Everything that is wrong."""
    return examined(world)[0]


def examined(world: World) -> tuple[list[Violation], Figures]:
    """Everything that is wrong, and what there is to count; `lives` are the runner's to fill in."""
    bench = Bench(world)
    found = [violation for oracle in ORACLES for violation in oracle(bench)]
    figures = counted(bench)
    figures.in_window = len(in_window(bench))
    figures.lost = sum(violation.oracle == "lost" for violation in found)
    figures.loops = sum(violation.oracle == "looped" for violation in found)
    figures.duplicates = sum(violation.oracle == "doubled" for violation in found)
    return found, figures


# --- (a) both hold the same


def agreement(bench: Bench) -> Iterator[Violation]:
    """Fields that differ, and records that stand alone, without a word of the daemon that explains it."""
    for here, there in bench.paired():
        a, b = bench.truth.present[here], bench.truth.present[there]
        if a.value != b.value and not _explained(bench, a, b):
            told = f"{a.value!r} at Vitec, {b.value!r} at Propstreet"
            yield Violation("agreement", named(here), told, bench.positions(here[:3]))
    coupled = {end for c, a, b in bench.pairs for end in (("vitec", c, a), ("propstreet", c, b))}
    for record, life in bench.truth.lives.items():
        alone = life.gone is None and record[1] in SYNCED and record not in coupled
        if alone and _alone(bench, record) is None:
            yield Violation("agreement", _name(record), "has no counterpart", bench.positions(record))


def _explained(bench: Bench, vitec: Version, propstreet: Version) -> bool:
    category, field = vitec.cell.category, vitec.cell.field
    if (category, field) in SPEAKING and not vitec.value:
        return True
    if field == "strategy" and bench.story.knobs.sync.get("note", "strategy") != "strategy":
        return True
    if _is_left_out(bench, vitec) or _drift(bench, category, vitec, propstreet):
        return True
    if category == "prospect" and vitec.who == "person" and _waits_for_the_audit(bench, vitec.cell.record):
        return True
    return any(bench.is_shown(v.cell[:3], field) for v in (vitec, propstreet))


def _waits_for_the_audit(bench: Bench, relation: str) -> bool:
    """A level at an estate that is not for sale, of which no notification came: only the nightly audit sees it."""
    estate = bench.vitec.register.get(relation.partition(":")[0])
    return bench.untold and estate is not None and estate.status not in FOR_SALE


def _direction(bench: Bench, category: str) -> str:
    sync = bench.story.knobs.sync
    plural = "companies" if category == "company" else f"{category}s"
    return str(sync.get(plural, "both"))


def _drift(bench: Bench, category: str, vitec: Version, propstreet: Version) -> bool:
    """In one direction an edit at the target stays until the source's next one; so does what an operator restored."""
    target = {"to_propstreet": propstreet, "to_vitec": vitec}.get(_direction(bench, category))
    return target is not None and (target.who != "daemon" or bench.is_restored(target))


def _alone(bench: Bench, record: Record) -> str | None:
    """Why a record has no counterpart; None when nothing says so."""
    vendor, category, key = record
    if (why := bench.is_shown(record)) is not None:
        return why
    gone = (each for each in bench.lineage.group(record) if each != record and not bench.truth.is_there(each))
    if bench.untold and any(each[0] == "vitec" for each in gone):
        return "gone, and no poll tells of it: the nightly audit does"
    if _direction(bench, category) not in ("both", f"to_{other(vendor)}"):
        return "direction"
    if category != "prospect":
        return None
    coupled = {(c, end) for c, a, b in bench.pairs for end in (a, b)}
    if vendor == "vitec":
        if _waits_for_the_audit(bench, key):
            return "not for sale"
        estate, contact = key.split(":")
        whole = ("project", estate) in coupled and {("contact", contact), ("company", contact)} & coupled
        value = bench.truth.present[Cell(*record, "classification")].value
        return None if whole and value else "what it joins stands alone"
    row = bench.propstreet.get("prospect", key)
    party = ("contact", row["contactId"]) if row["contactId"] else ("company", row["companyId"])
    return None if {("project", row["projectId"]), party} <= coupled else "what it joins stands alone"


# --- (c) nothing typed is lost


def lost(bench: Bench) -> Iterator[Violation]:
    """Values that people typed and that left no trace."""
    lineage, truth = bench.lineage, bench.truth
    kept = lineage.alive | excused(bench)
    for version in truth.versions:
        cell = version.cell
        if (
            not version.typed
            or version.n in kept
            or cell.category not in SYNCED
            or _is_return(bench, version)
        ):
            continue
        if any(truth.lives[record].ended("person", version.at) for record in lineage.group(cell[:3])):
            continue
        taken = next((o.by for o in lineage.overwritten if version in o.lost), None)
        by = f"overwritten at {taken.at:.3f}" if taken is not None else "nowhere any more"
        story = "; ".join(f"{v.at:.3f} {v.cell.vendor} {v.who} {v.value!r}" for v in lineage.story(cell))
        yield Violation(
            "lost",
            named(cell),
            f"{version.value!r} of {version.at:.3f}, {by}: {story}",
            bench.positions(cell[:3]),
        )


def excused(bench: Bench) -> Knows:
    """What stands in a conflict, or did before a backup took the log's place, fell into Vitec's window or was a round
    trip between two reads; with what it replaced."""
    truth, lineage = bench.truth, bench.lineage
    found = [
        v
        for o in lineage.overwritten
        for v in o.lost
        if truth.in_window(v, o.by) or bench.is_forgotten(o.by.at)
    ]
    found += [
        v
        for v in truth.versions
        if v.typed
        and (
            _in_conflict(bench, v)
            or _is_unseen(bench, v)
            or _is_left_out(bench, v)
            or _loses_first_link(bench, v)
            or _is_reborn(bench, v)
        )
    ]
    return Knows().union(*(lineage.knows[version.n] for version in found))


def in_window(bench: Bench) -> list[Version]:
    """What fell between the daemon's last read and its write at Vitec."""
    overwritten = bench.lineage.overwritten
    return [v for o in overwritten for v in o.lost if bench.truth.in_window(v, o.by)]


def _in_conflict(bench: Bench, version: Version, *, doubted: bool = False) -> bool:
    cell = version.cell
    name, _, tag = cell.field.partition(":")
    for _, conflict in bench.conflicts:
        if doubted and conflict.doubt is None:
            continue
        if conflict.field != name or not _of_entity(bench, conflict.entity, cell[:3]):
            continue
        for value in (conflict.winner_value, conflict.loser_value):
            told = plain(name, value)
            if (("yes" if tag in told.split(",") else "") if tag else told) == version.value:
                return True
    return False


def _is_unseen(bench: Bench, version: Version) -> bool:
    """A return to an older value, when nothing of the way there and back was ever seen: nobody can know of it.

    So is a blank that was there before anything else was seen, and loses the first link.
    """
    versions = [v for v in bench.truth.versions if v.cell == version.cell]
    before = [v for v in versions if v.n < version.n]
    trip = list(takewhile(lambda v: v.value != version.value, reversed(before)))
    if not trip or (len(trip) == len(before) and version.value):
        return False
    again = {v.value: v.at for v in reversed(versions) if v.n > version.n}
    seen = bench.observed.get(version.cell, ())
    return all(
        v.who != "daemon"
        and not any(value == v.value and v.at <= at < again.get(value, inf) for at, value in seen)
        for v in trip
    )


def _is_left_out(bench: Bench, version: Version) -> bool:
    """Where Vitec leaves empty fields out, nobody can tell an emptied one from an unknown one (G5, VS19)."""
    left_out = bench.story.knobs.vitec.get("vs19") == "left_out"
    return left_out and version.cell.vendor == "vitec" and not version.value


def _loses_first_link(bench: Bench, version: Version) -> bool:
    """A blank, or what a vendor says by itself, never wins a first link, and there is nothing to put on record."""
    if version.value and (version.cell.category, version.cell.field, version.value) not in GIVEN:
        return False
    return version.at <= bench.linked_at.get(version.cell[:3], 0.0)


def _is_reborn(bench: Bench, version: Version) -> bool:
    """A relation that was ended and begun again with the same level, and nobody saw that it was away."""
    cell, life = version.cell, bench.truth.lives[version.cell[:3]]
    if version.replaced is not None or not any(at <= version.at for at, _ in life.ends):
        return False
    before = [v for v in bench.truth.versions if v.cell == cell and v.n < version.n]
    stream = f"{cell.category}:{cell.vendor}:{cell.record}"
    ended = max(at for at, _ in life.ends if at <= version.at)
    told = any(
        e.type == "RecordRemoved" and e.stream == stream and bench.seconds(e) >= ended for e in bench.events
    )
    return bool(before) and before[-1].value == version.value and not told


def _of_entity(bench: Bench, entity: str, record: Record) -> bool:
    known = bench.records_of.get(bench.resolved(entity), set())
    return not known or bool(known & bench.lineage.group(record))


def _is_return(bench: Bench, version: Version) -> bool:
    """A tag given or taken back: three-way merges of sets look at what changed since both agreed, not at the way."""
    cell = version.cell
    if not cell.field.startswith("tags:"):
        return False
    return any(v.cell == cell and v.value == version.value and v.n < version.n for v in bench.truth.versions)


def leads(bench: Bench) -> Iterator[Violation]:
    """Leads that came in and are neither at Vitec nor shown to anybody."""
    there = [v.value for v in bench.truth.present.values() if v.cell[1::2] == ("lead", "email")]
    for event in bench.events:
        entity = event.stream.partition(":")[2]
        if event.type != LEAD_RECEIVED or bench.is_stuck(entity) or any(each in event.data for each in there):
            continue
        yield Violation(
            "lost", event.stream, "the lead is not at Vitec, and nothing says so", (event.position,)
        )


# --- (d) nothing twice


def doubled(bench: Bench) -> Iterator[Violation]:
    """Two records for one entity, a lead, an interest or a note twice: and no person made the second."""
    truth = bench.truth
    references: Counter[tuple[str, str]] = Counter((c, a) for c, a, b in truth.living())
    for (category, key), times in references.items():
        if times > 1 and not _merged(bench, category, key):
            yield Violation("doubled", f"{category} vitec:{key}", f"{times} counterparts at Propstreet")
    yield from _alike(bench)
    for vendor, category, field in (
        ("vitec", "lead", "email"),
        ("vitec", "note", "text"),
        ("propstreet", "note", "text"),
    ):
        told = [
            version
            for cell, version in truth.present.items()
            if (cell.vendor, cell.category, cell.field) == (vendor, category, field) and version.value
        ]
        for value, times in Counter(version.value for version in told).items():
            if times > sum(v.value == value and v.who == "person" for v in told) and times > 1:
                yield Violation("doubled", f"{category} at {vendor}", f"{value!r} is there {times} times")


def _merged(bench: Bench, category: str, key: str) -> bool:
    record = ("vitec", category, key)
    return any(
        bench.truth.lives[each].ended("person") for each in bench.lineage.group(record) if each != record
    )


ONE_PERSON: Final = (
    ("contact", ("email",)),
    ("contact", ("first_name", "last_name", "phone")),
    ("company", ("organisation_number",)),
)
"""What two records of a category have in common that are one."""

LISTS: Final = ("/network/contacts", "/Person")
"""Where whole lists of contacts are read: no vendor can be asked for all of these fields."""


def _alike(bench: Bench) -> Iterator[Violation]:
    """A record that the daemon made although there was one with this e-mail, number, or name and phone."""
    truth = bench.truth
    for vendor in VENDORS:
        for category, fields in ONE_PERSON:
            there: dict[tuple[str, ...], list[Record]] = {}
            for cell in truth.present:
                if (cell.vendor, cell.category, cell.field) == (vendor, category, fields[0]):
                    values = tuple(_present(bench, cell[:3], field) for field in fields)
                    if all(values):
                        there.setdefault(values, []).append(cell[:3])
            for values, records in there.items():
                made = [r for r in records if truth.lives[r].made_by == "daemon"]
                if len(records) > 1 and any(_stood_there(bench, m, records, fields, values) for m in made):
                    names = ", ".join(map(_name, records))
                    told = f"one {' and '.join(fields)}, and more than one record at {vendor}"
                    yield Violation("doubled", names, told)


def _present(bench: Bench, record: Record, field: str) -> str:
    version = bench.truth.present.get(Cell(*record, field))
    return version.value if version is not None else ""


def _stood_there(
    bench: Bench, made: Record, records: list[Record], fields: tuple[str, ...], values: tuple[str, ...]
) -> bool:
    """Whether another one, with the same key even then, stood there when the daemon last looked before it made this, or
    had to: after it was decided."""
    truth = bench.truth
    first = next(v for v in truth.versions if v.cell == Cell(*made, fields[0]))
    write = truth.write_of(first)
    looks = [
        call.processed
        for call in truth.calls.values()
        if write is not None
        and call.vendor == made[0]
        and not call.writes
        and (len(fields) == 1 or call.path.endswith(LISTS))
        and call.processed is not None
        and call.answered is not None
        and call.answered <= write.sent
    ]
    decided = [
        bench.seconds(event)
        for command, (event, each) in bench.issued.items()
        if (each.target, each.category, bench.landed.get(command)) == made
    ]
    looked = max([*looks, *decided], default=first.at)
    mail = _present(bench, made, "email")
    return any(
        all(
            _held(bench, Cell(*each, field), value, looked)
            for field, value in zip(fields, values, strict=True)
        )
        for each in records
        if each != made and (len(fields) == 1 or _present(bench, each, "email") in ("", mail) or not mail)
    )


def _held(bench: Bench, cell: Cell, value: str, before: float) -> bool:
    return any(v.cell == cell and v.at < before and v.value == value for v in bench.truth.versions)


# --- (e) nothing is gone that nobody removed


def deleted(bench: Bench) -> Iterator[Violation]:
    """Records and notes that the daemon took away, but for the prospect whose relation a person removed (V8)."""
    truth = bench.truth
    for record, life in truth.lives.items():
        asked = record[1] == "prospect" and any(
            truth.lives[each].ended("person") for each in bench.lineage.group(record)
        )
        for at, who in life.ends:
            if who != "person" and not asked:
                yield Violation("deleted", _name(record), f"the {who} removed it at {at:.3f}")


# --- the rest


def invented(bench: Bench) -> Iterator[Violation]:
    """Values that the daemon wrote and nobody ever had."""
    for version in bench.lineage.invented:
        told = f"{version.value!r} at {version.at:.3f} comes from nowhere"
        yield Violation("invented", named(version.cell), told, bench.positions(version.cell[:3]))


def reverted(bench: Bench) -> Iterator[Violation]:
    """Edits that lost to the very value that they replaced: whatever is on record, there was no conflict.

    A write that was on its way before the edit is none: it lands late, and is put right. Where an answer was lost, nobody
    can tell if the value was never seen there before somebody typed over it, nor if somebody typed just what we had
    written: that is a doubt on record.
    """
    for each in bench.lineage.reverted:
        by = each.by
        unseen = not any(value == by.value and at < by.at for at, value in bench.observed.get(by.cell, ()))
        in_window = any(bench.truth.in_window(version, by) for version in each.lost)
        doubted = all(_in_conflict(bench, version, doubted=True) for version in each.lost[-1:])
        if (
            in_window
            or doubted
            or _landed_late(bench, by)
            or unseen
            or bench.is_restored(by)
            or bench.forgetful
        ):
            continue
        story = "; ".join(
            f"{v.at:.3f} {v.cell.vendor} {v.who} {v.value!r}" for v in bench.lineage.story(by.cell)
        )
        told = f"{by.value!r} of {by.at:.3f} took the place of {each.lost[-1].value!r}: {story}"
        yield Violation("reverted", named(by.cell), told, bench.positions(by.cell[:3]))


def _landed_late(bench: Bench, version: Version | None) -> bool:
    """Whether a write of the daemon's had left before what it took the place of was there."""
    if version is None or version.who != "daemon" or version.replaced is None:
        return False
    write = bench.truth.write_of(version)
    return write is not None and bench.truth.version(version.replaced).at > write.sent


def looped(bench: Bench) -> Iterator[Violation]:
    """Writes with nothing new in them, from a side where the daemon had written it itself: a loop begins so.

    A write of ours that a restored backup forgot looks like an edit; what loses to it stands in a conflict.
    """
    for version in bench.lineage.rounds:
        before = bench.truth.version(version.replaced) if version.replaced is not None else None
        forgotten = any(bench.is_forgotten(each.at) for each in bench.lineage.sources(version))
        if bench.is_restored(version) or forgotten or _landed_late(bench, before):
            continue
        story = "; ".join(
            f"{v.at:.3f} {v.cell.vendor} {v.who} {v.value!r}" for v in bench.lineage.story(version.cell)
        )
        told = f"{version.value!r} of {version.at:.3f}: {story}"
        yield Violation("looped", named(version.cell), told, bench.positions(version.cell[:3]))


def respelled(bench: Bench) -> Iterator[Violation]:
    """Texts that the daemon wrote over others of the same meaning: a vendor's own form is nobody's edit.

    On a first link two spellings of a name may meet; then the one that lost is on record. After a restored backup
    what a vendor holds may have been typed there in the gap.
    """
    truth = bench.truth
    for each in truth.respelled:
        shown = any(c.field == each.cell.field and c.loser_value == each.before for _, c in bench.conflicts)
        if (
            not shown
            and each.at < bench.forgot_at
            and not truth.falls_in_window(each.cell, each.since, each.at)
        ):
            told = f"{each.before!r} became {each.after!r} at {each.at:.3f}"
            yield Violation("respelled", named(each.cell), told, bench.positions(each.cell[:3]))


def restored(bench: Bench) -> Iterator[Violation]:
    """What an operator brought back is there, at the side that had lost it, unless somebody typed after that."""
    for event, conflict in bench.conflicts:
        if event.origin != "operator":
            continue
        at, value = bench.seconds(event), plain(conflict.field, conflict.winner_value)
        cells = [
            cell
            for cell in bench.truth.present
            if cell.field == conflict.field
            and _of_entity(bench, conflict.entity, cell[:3])
            and _direction(bench, cell.category) in ("both", f"to_{cell.vendor}")
        ]
        if any(v.typed and v.at >= at - 1 for cell in cells for v in bench.lineage.story(cell)):
            continue
        later = [e for e, c in bench.conflicts if c.field == conflict.field and e.position > event.position]
        for cell in cells if not later else ():
            present = bench.truth.present[cell]
            if present.value != value and bench.is_shown(cell[:3], cell.field) is None:
                told = f"{value!r} was restored at {at:.3f}, and {present.value!r} is there"
                yield Violation("restored", named(cell), told, (event.position,))


def _name(record: Record) -> str:
    vendor, category, key = record
    return f"{category} {vendor}:{key}"


ORACLES: Final[tuple[Callable[[Bench], Iterator[Violation]], ...]] = (
    agreement,
    lost,
    leads,
    doubled,
    deleted,
    invented,
    looped,
    reverted,
    respelled,
    restored,
    *logbook.ORACLES,
    *guards.ORACLES,
)
