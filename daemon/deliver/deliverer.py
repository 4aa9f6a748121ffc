"""Stage 4: the deliverer sends what is due, and appends what became of it.

Everything a decision rests on is checked again right before the write: the attempt is appended with the versions of
the streams that were looked at, so an event that arrived meanwhile makes the append fail and nothing is sent.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from daemon.deliver.target import Landed, Met, Moved, Target, Write, link_of
from daemon.domain import retry
from daemon.domain.errors import (
    AccessDenied,
    DatabaseUnreachable,
    LeaseLost,
    StorageError,
    VendorAway,
    VendorError,
    WrongExpectedVersion,
)
from daemon.domain.events import (
    CommandAttempted,
    CommandFailed,
    CommandSucceeded,
    CommandSuperseded,
    Decision,
)
from daemon.domain.streams import LEAD, PROPSTREET, VITEC, entity_stream, parse_record_stream
from daemon.mappings import lens
from daemon.policies.failing import Stuck, Tried, failed, given_up, held_of, lost
from daemon.policies.linking import MET_BY_CONTENT, counterparts, far_keys
from daemon.policies.plan import expected
from daemon.policies.syncing import still_due
from daemon.processor import Processor, Tenant
from daemon.pulse import turn
from daemon.storage import log, views, working
from daemon.storage.appender import Item
from daemon.storage.connection import Connection, snapshot
from daemon.storage.log import Read
from daemon.telemetry import context
from projections.commands import CommandRow
from projections.entity import Entity, Pending
from projections.outbox import recent_failure

AT_ONCE: Final = 16
"""So many entities per vendor, or as many as it takes calls: while one waits for the log, others call."""

COUNTERPART: Final = "a counterpart appeared"

LOOKED_FOR: Final = MET_BY_CONTENT | {"property"}
"""Categories in which a create waits until the whole target was seen: nothing at the vendor refuses a second one."""
SERIAL: Final = LOOKED_FOR | {"note"}
"""Categories whose creates go one at a time: a note is told from another of the same text by what was not there before."""


KEPT_FOR_EDITS: Final = 4
"""So many of a vendor's places no backfill takes."""
CALLS: Final = 4
"""What one command of a backfill may take. It starts when the vendor has room for all of it at the lowest priority, and
is then carried through as any other: nobody waits for a window between a look and a write, or holds up a create."""


class Job(msgspec.Struct, frozen=True):
    """What is under way for one entity."""

    task: asyncio.Task[None]
    target: str
    serial: bool
    backfill: bool


class Deliverer(Processor):
    """Sends one tenant's commands: one at a time per entity, creates one at a time per target."""

    def __init__(self, tenant: Tenant, targets: dict[str, Target]) -> None:
        super().__init__("deliver", tenant)
        self._targets = targets
        self._probing = asyncio.Lock()
        self._jobs: dict[str, Job] = {}
        self._most = {
            VITEC: max(AT_ONCE, tenant.settings.vitec.limits.concurrency),
            PROPSTREET: max(AT_ONCE, tenant.settings.propstreet.limits.concurrency),
        }
        self._seen: dict[str, int] = {}
        self._barriers: dict[str, int] = {}
        self._closed: dict[str, datetime] = {}
        self._resting: dict[str, tuple[int, datetime]] = {}
        self._postponed: Counter[str] = Counter()

    async def start(self) -> None:
        """Whoever sent the attempts without outcome is gone: what became of them is unknown."""
        async with self.at.connection() as conn:
            head = await log.head(conn, self.tenant)
            while await views.position(conn, self.tenant) < head:  # noqa: ASYNC110 - the views are another stage's
                await asyncio.sleep(0.02)
            flying = await views.flying_commands(conn, self.tenant)
            entities = {e.id: e for e in await views.entities(conn, self.tenant, [c.entity for c in flying])}
        for command in flying:
            entity = entities.get(command.entity)
            pending = entity.pending.get(command.target) if entity is not None else None
            if entity is not None and pending is not None:
                tried = self._tried(entity, command.target, pending, command.attempts)
                await self._record(entity, [lost(tried, "the daemon stopped")])

    async def tick(self) -> bool:
        """Start what is due and not under way; a finished one wakes the loop again. In observe mode nothing is sent."""
        if self.at.mode == "observe":
            return False
        now = self.at.clock()
        open_ = [t for t in self._targets if t not in self._closed or self._closed[t] <= now]
        rests = {name: position for name, (position, until) in self._resting.items() if until > now}
        async with self.at.connection() as conn:
            due = [c for t in open_ for c in await views.due_commands(conn, self.tenant, t, now, rests)]
            creates = [c for c in due if c.record is None and c.category in LOOKED_FOR]
            early = await self._too_early(conn, creates)
        self._forget_all_but({command.command for command in due} | rests.keys())
        for command in due:
            if command.command not in early and self._may_start(command):
                self._start(command)
        return False

    def _may_start(self, command: CommandRow) -> bool:
        """Whether nothing of its entity is under way, there is room at its vendor, and it says something new."""
        there = [job for job in self._jobs.values() if job.target == command.target]
        return (
            command.entity not in self._jobs
            and len(there) < self._most[command.target]
            and self._seen.get(command.command) != command.position
            and not (_is_serial(command) and any(job.serial for job in there))
            and (not command.backfill or self._has_room(command.target, there))
        )

    def _has_room(self, target: str, there: Sequence[Job]) -> bool:
        """Whether a command of a backfill may start: it takes no place and no window from what edits make due."""
        behind = sum(job.backfill for job in there)
        most = self._most[target] - KEPT_FOR_EDITS
        return behind < most and self._targets[target].has_room(CALLS * (behind + 1))

    def _start(self, command: CommandRow) -> None:
        task = asyncio.create_task(self._deliver(command), name=f"deliver {command.command}")
        self._jobs[command.entity] = Job(task, command.target, _is_serial(command), command.backfill)
        task.add_done_callback(partial(self._done, command.entity))

    def _forget_all_but(self, due: set[str]) -> None:
        """What was noted of commands that are no longer due is of no use."""
        for notes in (self._seen, self._barriers, self._resting, self._postponed):
            for command in notes.keys() - due:
                del notes[command]

    async def _too_early(self, conn: Connection, creates: Sequence[CommandRow]) -> set[str]:
        """Creates wait until a poll that was sent after the decision has seen the whole target, and until what it
        found was decided on: the record may have been made there meanwhile, by a person or by an attempt of ours."""
        if not creates:
            return set()
        cursors = await working.cursors(conn, self.tenant)
        decided = await working.checkpoint(conn, self.tenant, "react")
        unseen, undecided = set(), set()
        for command in creates:
            cursor = cursors.get(working.source_of(command.target, command.category))
            if cursor is None or cursor.complete is None or cursor.complete < command.position:
                unseen.add(command.command)
            elif decided < self._barriers.setdefault(command.command, self.at.appender.head):
                undecided.add(command.command)
        if unseen:
            await working.ask_polls(conn, self.tenant)
        return unseen | undecided

    def _done(self, entity: str, _: asyncio.Task[None]) -> None:
        self._jobs.pop(entity, None)
        self.wake.set()

    def rouse(self) -> None:
        """A vendor that refused us is asked again."""
        self._closed.clear()
        self._resting.clear()
        self._postponed.clear()
        super().rouse()

    async def finish(self) -> None:
        """Let what is under way come to its outcome."""
        await asyncio.gather(*(job.task for job in self._jobs.values()), return_exceptions=True)

    async def _deliver(self, command: CommandRow) -> None:
        target = self._targets[command.target]
        try:
            with self.work.under_way():
                if self._is_probe(command):
                    async with turn(self._probing):
                        await self._probe(command, target)
                else:
                    await self._send(command, target)
        except WrongExpectedVersion:
            self._log.debug("deliver.overtaken", command=command.command)
        except LeaseLost:  # what became of it is whoever's who has the tenant now
            self._log.debug("deliver.lease_lost", command=command.command)
        except DatabaseUnreachable:
            await asyncio.sleep(0.5)
        except AccessDenied:  # while looking: nothing was attempted
            self._close(command.target)
        except VendorAway as error:  # the same
            self._closed[command.target] = self.at.clock() + timedelta(seconds=error.retry_after)
        except VendorError as error:  # the same
            self._postpone(command, error)
        except Exception as error:
            self._log.exception("deliver.failed", command=command.command)
            self._postpone(command, error)

    def _postpone(self, command: CommandRow, error: Exception) -> None:
        """It could not be looked at: this command waits, longer each time, and holds up no other."""
        self._postponed[command.command] += 1
        pause = retry.pause(self._postponed[command.command], self.at.chance.random())
        self._resting[command.command] = command.position, self.at.clock() + timedelta(seconds=pause)
        self._log.warning(
            "deliver.postponed", command=command.command, reason=type(error).__name__, seconds=round(pause, 1)
        )

    def _is_probe(self, command: CommandRow) -> bool:
        if command.category == LEAD:
            return False
        return set(command.fields) <= lens(command.target, command.category).probed

    async def _probe(self, command: CommandRow, target: Target) -> None:
        """What a vendor perhaps ignores is tried one at a time: the outcome of the last try is looked at first (S31)."""
        head = self.at.appender.head
        async with self.at.connection() as conn:
            while await views.position(conn, self.tenant) < head:  # noqa: ASYNC110 - the views are another stage's
                await asyncio.sleep(0.02)
            refused = await views.refused_fields(conn, self.tenant, [command.category])
            entity = await views.resolve(conn, self.tenant, command.entity)
        pending = entity.pending.get(command.target) if entity is not None else None
        known = {(command.target, command.category, field) for field in command.fields} & refused
        if entity is not None and pending is not None and pending.command == command.command and known:
            await self._supersede(entity, pending, "the vendor was seen to ignore it")
        else:
            await self._send(command, target)

    async def _send(self, command: CommandRow, target: Target) -> None:
        """Look, check that it is still due, attempt, write, and append the outcome."""
        async with self.at.connection() as conn, snapshot(conn):
            entity = await views.resolve(conn, self.tenant, command.entity)
            pending = entity.pending.get(command.target) if entity is not None else None
            met = entity is not None and pending is not None and await self._met(conn, entity, pending)
        if entity is None or pending is None or pending.command != command.command:
            self._seen[command.command] = command.position  # a newer decision is on its way
            return
        with context(correlation_id=entity.correlation, causation_id=entity.cause):
            await self._carry(entity, pending, command, target, met=met)

    async def _carry(
        self, entity: Entity, pending: Pending, command: CommandRow, target: Target, *, met: bool
    ) -> None:
        """What is due for a command, as its entity stands now."""
        if pending.state == "unknown":
            await self._look_up(entity, command, pending, target)
        elif not still_due(entity, command.target, pending):
            self._seen[command.command] = command.position
        elif met:  # somebody has appeared who may be meant: the reactor links them, or holds
            await self._supersede(entity, pending, COUNTERPART)
        elif (end := given_up(entity, command.target, self.at.clock())) is not None:
            await self._record(entity, [end], expected=_own(entity))
        elif self._rested(entity, command):
            await self._look(entity, pending, command, target)

    async def _look(self, entity: Entity, pending: Pending, command: CommandRow, target: Target) -> None:
        match await target.look(self.at, entity, pending):
            case Moved(items=items):
                await self.at.appender.append(items)
            case Met(items=items, reason=reason):
                await self._supersede(entity, pending, reason, items)
            case Stuck() as stuck:
                await self._hold(entity, command.target, pending, stuck)
            case Write() as write:
                async with self.at.connection() as conn:
                    met = await self._met(conn, entity, pending)
                if met:  # while we looked
                    await self._supersede(entity, pending, COUNTERPART)
                else:
                    await self._attempt(entity, pending, command, target, write)

    async def _look_up(self, entity: Entity, command: CommandRow, pending: Pending, target: Target) -> None:
        """A create whose outcome is unknown: see whether the record is there, and let the reactor decide anew.

        A poll that was sent afterwards has seen the whole target by now; the vendor's own searches are asked as well.
        What cannot be looked up, and must not be repeated, is held.
        """
        match await target.look_up(self.at, entity, pending):
            case Met(items=(Read() as read,)) if (
                record := await self._made(entity, command.target, read)
            ) is not None:
                await self._landed(entity, command.target, pending, read, record)
            case Met(items=items, reason=reason):
                await self._supersede(entity, pending, reason, items)
            case Stuck() as stuck:
                await self._hold(entity, command.target, pending, stuck)
            case None:
                await self._supersede(entity, pending, "looked up: it was not created")

    async def _made(self, entity: Entity, target: str, read: Read) -> str | None:
        """The record that a lost create made: the one that was looked up, if nobody has linked it or writes to it.

        Of notes of one text none can be told from another: the reactor links them.
        """
        names = parse_record_stream(read.stream)
        if names is None or names[0] == "note":
            return None
        async with self.at.connection() as conn:
            owner = await views.entity_of_record(conn, self.tenant, names[0], target, names[2])
        free = owner is None or (len(owner.sides) == 1 and owner.id != entity.id and not owner.busy())
        return names[2] if free else None

    async def _landed(self, entity: Entity, target: str, pending: Pending, read: Read, record: str) -> None:
        """The create was carried out, as is known now: the read tells what it wrote from what was edited since."""
        records = {target: record, **{vendor: side.record for vendor, side in entity.sides.items()}}
        done = self.at.decided(entity, CommandSucceeded(pending.command, record))
        link = link_of(self.at, entity, records[VITEC], records[PROPSTREET])
        items: list[Item] = [link, msgspec.structs.replace(read, always=True), done]
        await self.at.appender.append(items, expected=_own(entity))

    async def _hold(self, entity: Entity, target: str, pending: Pending, stuck: Stuck) -> None:
        held = self.at.decided(entity, held_of(entity, target, pending, stuck))
        await self.at.appender.append([held], expected=_own(entity))

    async def _supersede(
        self, entity: Entity, pending: Pending, reason: str, items: Sequence[Item] = ()
    ) -> None:
        superseded = self.at.decided(entity, CommandSuperseded(pending.command, reason))
        await self.at.appender.append([*items, superseded], expected=_own(entity))

    def _rested(self, entity: Entity, command: CommandRow) -> bool:
        """A write whose kind failed before waits, longer each time, also when it was decided anew meanwhile."""
        failure = recent_failure(entity, command.target, self.at.clock())
        if failure is None or command.due_at is not None:
            return True
        rest = self._rest_of(command)
        if rest is None:
            rest = failure.at + timedelta(seconds=retry.pause(failure.count, self.at.chance.random()))
            self._resting[command.command] = command.position, rest
        return rest <= self.at.clock()

    def _rest_of(self, command: CommandRow) -> datetime | None:
        """Until when a command waits, as it stands now; nothing is known of one that an operator retried since."""
        position, until = self._resting.get(command.command, (-1, None))
        return until if position == command.position else None

    async def _met(self, conn: Connection, entity: Entity, pending: Pending) -> bool:
        """Whether somebody is there by now whom the create may mean."""
        if len(entity.sides) != 1 or entity.lead is not None:
            return False
        keys = far_keys(entity, self.at.options, pending.parts)
        candidates = await views.with_keys(conn, self.tenant, entity.category, keys)
        return counterparts(entity, candidates, self.at.options, pending.parts) is not None

    async def _attempt(
        self, entity: Entity, pending: Pending, command: CommandRow, target: Target, write: Write
    ) -> None:
        side = entity.sides.get(command.target)
        attempted = CommandAttempted(
            pending.command,
            pending.attempts + 1,
            side.head.etag if side is not None else None,
            side.head.time if side is not None else None,
        )
        leaving = self.at.decided(entity, attempted, mark=str(entity.version))  # a number may come again
        await target.reach()
        try:
            await self.at.appender.append([leaving], expected=expected((entity,)))
        except DatabaseUnreachable as error:  # it may be in the log all the same, and nothing was sent
            unsent = CommandFailed(pending.command, type(error).__name__)
            await self._record(entity, [leaving, unsent])
            return
        self._log.debug(
            "deliver.sent",
            target=command.target,
            command=command.command,
            entity=entity.id,
            event_id=leaving.event_id,
        )
        outcome: list[Item | Decision]
        try:
            landed = await target.write(self.at, entity, pending, write)
        except VendorError as error:
            if isinstance(error, AccessDenied):
                self._close(command.target)
            outcome = [failed(self._tried(entity, command.target, pending, attempted.attempt), error)]
        except Exception as error:  # whatever broke, the write may have left: never forget it
            self._log.exception("deliver.lost_sight")
            tried = self._tried(entity, command.target, pending, attempted.attempt)
            outcome = [lost(tried, type(error).__name__)]
        else:
            read = () if landed.read is None else (landed.read,)
            outcome = [*landed.before, *read, _succeeded(pending, landed), *landed.after]
        await self._record(entity, outcome)
        self._log.info(
            "deliver.done",
            target=command.target,
            category=command.category,
            command=command.command,
            entity=entity.id,
            state=type(outcome[-1]).__name__,
        )

    def _close(self, target: str) -> None:
        """A vendor refuses us: nothing more is sent to it for a while."""
        seconds = self._targets[target].closed_for
        self._log.warning("deliver.closed", target=target, seconds=seconds)
        self._closed[target] = self.at.clock() + timedelta(seconds=seconds)

    def _tried(self, entity: Entity, target: str, pending: Pending, attempt: int) -> Tried:
        """A write that failed just now."""
        now, jitter = self.at.clock(), self.at.chance.random()
        return Tried(entity, target, pending, attempt, now, jitter, self._targets[target].closed_for)

    async def _record(
        self, entity: Entity, outcome: Sequence[Item | Decision], expected: dict[str, int] | None = None
    ) -> None:
        """Append an outcome, however long the database refuses: what happened at a vendor must not be forgotten."""
        items = [self.at.decided(entity, i) if isinstance(i, Decision) else i for i in outcome]
        while True:
            try:
                await self.at.appender.append(items, expected=expected)
                return
            except LeaseLost:
                raise
            except StorageError as error:
                if not isinstance(error, DatabaseUnreachable):
                    self._log.error("deliver.outcome_not_stored", entity=entity.id, reason=str(error))
                await asyncio.sleep(0.5)


def _is_serial(command: CommandRow) -> bool:
    return command.record is None and command.category in SERIAL


def _own(entity: Entity) -> dict[str, int]:
    return {entity_stream(entity.category, entity.id): entity.version}


def _succeeded(pending: Pending, landed: Landed) -> CommandSucceeded:
    return CommandSucceeded(pending.command, landed.record, landed.unconfirmed, landed.window_ms)
