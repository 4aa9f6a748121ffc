"""One audit: read, compare, say what follows; and, unless it is only asked for, let it follow."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from daemon.contexts import Frame
from daemon.domain.errors import StorageError
from daemon.domain.events import BatchHeld, NewEvent, ReconcileFinished, encode
from daemon.domain.streams import CATEGORIES, RECONCILED, VENDORS, batch_id, derived_id, parse_record_stream
from daemon.policies import brakes
from daemon.policies.brakes import Brakes, Kind
from daemon.policies.reconciling import (
    WHOLE,
    Audited,
    Difference,
    counted,
    explain,
    sources,
    under_way,
)
from daemon.processor import Tenant
from daemon.reconcile.rehearsal import Rehearsal
from daemon.reconcile.sieve import Sieve
from daemon.reconcile.survey import Progress, Step, Survey
from daemon.storage import audits, log, rebuild, views, working
from daemon.storage import brakes as stored
from daemon.storage.appender import Item
from daemon.storage.connection import Connection, snapshot
from daemon.storage.working import source_of
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_hub.client import VitecHubClient

GROUP: Final = 200
"""Events in one append, about."""

TAIL: Final = 1000
"""So many events may not be folded yet; what they are about is under way."""


class Behind(StorageError):
    """The views are not what the log and the settings say: start the daemon, which brings them up."""


class Findings(msgspec.Struct, frozen=True):
    """What an audit found, and what must be appended, entity by entity, for what follows from it."""

    began: datetime
    differences: list[Difference]
    items: list[tuple[str, list[Item]]]
    batches: list[BatchHeld]
    pairs: int
    records: int
    unread: int

    @property
    def due(self) -> int:
        """How many entities something follows for."""
        return len(self.items)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many differences there are, by class and category."""
        return counted(self.differences)


async def audit(
    at: Tenant,
    vitec: VitecConnectClient | VitecHubClient,
    propstreet: PropstreetClient,
    *,
    progress: Progress | None = None,
    estimate: Callable[[Sequence[Step]], None] | None = None,
) -> Findings:
    """Read both vendors and compare them; nothing is appended.

    Raises VendorError when a vendor cannot be asked, Behind when the views cannot be trusted.
    """
    began, sieve = at.clock(), Sieve(at)
    survey = Survey(at, vitec, propstreet, sieve)
    steps = await survey.steps()
    if estimate is not None:
        estimate(steps)
    await survey.run(steps, progress)
    async with at.connection() as conn, snapshot(conn):
        found, items, batches = await _compare(at, conn, list(sieve.kept.values()))
    told = {each.entity for each in found}
    found += [each for name, each in sieve.dormant.items() if name not in told]
    return Findings(began, found, items, batches, sieve.pairs, sieve.records, survey.unread)


async def carry_out(at: Tenant, found: Findings, by: str = "") -> int:
    """Append what was read and is due, and the audit's own event; the position of that. The reactor does the rest."""
    if found.batches:
        await at.appender.append([at.of_batch(each) for each in found.batches])
    group: list[Item] = []
    for _, items in found.items:
        group += items
        if len(group) >= GROUP:
            await at.appender.append(group)
            group = []
    if group:
        await at.appender.append(group)
    appended = await at.appender.append([_finished(at, found, by)])
    return appended[-1].position or at.appender.head


def _finished(at: Tenant, found: Findings, by: str) -> NewEvent:
    result = ReconcileFinished(
        found.began, found.pairs, found.records, found.counts(), found.due, found.unread, by
    )
    event_id = derived_id(at.name, RECONCILED, found.began.isoformat(), by)
    origin = "operator" if by else "toveis"
    kind = ReconcileFinished.__name__
    return NewEvent(event_id, RECONCILED, kind, origin, at.clock(), encode(result), event_id)


async def _compare(
    at: Tenant, conn: Connection, kept: Sequence[Item]
) -> tuple[list[Difference], list[tuple[str, list[Item]]], list[BatchHeld]]:
    """The differences, what is to be appended, and the brakes that hold a part of it."""
    kept = sorted(kept, key=lambda item: (_place(item), item.stream))
    fresh = await _unfolded(at, conn)
    head = await log.head(conn, at.name)
    frame = await _frame(at, conn)
    rehearsal = Rehearsal(at, conn, frame, head, {})
    await rehearsal.play(kept, fresh)
    held, batches = await _braked(at, conn, await rehearsal.audited({}), str(head))
    if held:
        standing = msgspec.structs.replace(
            frame.brakes, batches=frame.brakes.batches | {each.batch for each in batches}
        )
        frame = msgspec.structs.replace(frame, brakes=standing)
        rehearsal = Rehearsal(at, conn, frame, head, held)
        await rehearsal.play(kept, fresh)
    reasons = await audits.reasons(conn, at.name, rehearsal.blocked())
    found: list[Difference] = []
    for audited, context in await rehearsal.audited(reasons):
        entity = audited.entity
        rows = explain(audited, context)
        told = {row.vendor for row in rows}
        rows += [
            Difference(vendor, entity.category, entity.id, WHOLE, "in_flight", under_way(entity) or "")
            for vendor in sorted(rehearsal.late.get(entity.id, ()))
            if vendor not in told
        ]
        found += rows
    return found, [(name, items) for name, items in rehearsal.items.items() if items], batches


def _place(item: Item) -> int:
    """What others join comes first."""
    record = parse_record_stream(item.stream)
    return CATEGORIES.index(record[0]) if record is not None and record[0] in CATEGORIES else len(CATEGORIES)


async def _unfolded(at: Tenant, conn: Connection) -> frozenset[str]:
    """The streams of records with events that the views do not know yet."""
    progress = await views.progress(conn, at.name)
    position, digest = progress if progress is not None else (0, rebuild.digest_of(at.options))
    if digest != rebuild.digest_of(at.options):
        raise Behind("the views are those of other settings, or of another version: start toveis run first")
    tail = await log.page(conn, at.name, position, TAIL)
    if len(tail) == TAIL:
        raise Behind("the views are far behind the log: is the daemon running?")
    return frozenset(event.stream for event in tail)


async def _frame(at: Tenant, conn: Connection) -> Frame:
    """What is decided with. When the polls before the last were sent is the reactor's to know: removals wait for it."""
    cursors = await working.cursors(conn, at.name)
    whole = {source for source, cursor in cursors.items() if cursor.whole()}
    ready = frozenset(c for c in CATEGORIES if all(source_of(vendor, c) in whole for vendor in VENDORS))
    brake: Brakes = brakes.standing(await stored.batches(conn, at.name))
    incarnation = await log.incarnation(conn, at.name)
    return Frame(incarnation.mark, ready, {}, brake, cursors)


async def _braked(
    at: Tenant, conn: Connection, found: Sequence[tuple[Audited, object]], mark: str
) -> tuple[Mapping[str, str], list[BatchHeld]]:
    """What is too much at once, by the vendor and the category that it comes from, is held as one."""
    due: dict[Kind, set[str]] = defaultdict(set)
    for audited, _ in found:
        for vendor in sources(audited):
            due[vendor, audited.entity.category].add(audited.entity.id)
    held: dict[str, str] = {}
    batches = []
    brake = at.settings.sync.change_brake
    for kind, names in sorted(due.items()):
        linked = await stored.linked_count(conn, at.name, kind[1:]) if len(names) > brake.count else 0
        most = brakes.limit(brake, linked)
        if len(names) > most:
            batch = batch_id(at.name, brakes.CHANGES, RECONCILED, *kind, mark)
            batches.append(brakes.held(batch, brakes.CHANGES, kind, len(names), most))
            held |= dict.fromkeys(names, batch)
    return held, batches
