"""Which log this is: a mark beside the database tells a restored backup from the log that we knew.

The mark says how far the log had come and which event stood there. It is only ever behind the log, by a second or so;
a log that lacks that event has lost what followed. Then commands get other ids (Idempotency-Keys), every record is
read again before anything is decided, and the polls begin anew.

Every daemon keeps the mark of every tenant, also of those that another daemon has: a mark that is old still fits a log
that has lost what came after it. Of several that find the log restored the first says so, and the others see that.
"""

import asyncio
import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from daemon.domain.errors import LogReplaced, StorageError, WrongExpectedVersion
from daemon.domain.events import LOG_RESTORED, LogRestored, NewEvent, encode
from daemon.domain.streams import LOG_STREAM, derived_id
from daemon.processor import Processor, Tenant
from daemon.storage import log, working

RESTORED_BY_HAND: Final = b"restored"
"""What an operator writes instead of a mark, where it came out of the backup together with the database."""


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a log had come, the event that stood there, and the incarnations that it has had by then."""

    position: int
    event: UUID
    incarnations: tuple[UUID, ...] = ()


NO_LOG: Final = Mark(0, UUID(int=0))
"""The mark that fits no log."""


class MarkFile:
    """The file that a tenant's mark stands in, beside the database and not in it."""

    def __init__(self, data_dir: Path, tenant: str) -> None:
        self.path = data_dir / "marks" / f"{tenant}.json"

    async def read(self) -> Mark:
        """The mark that was kept; raises OSError or MsgspecError where there is none that can be read."""
        text = await asyncio.to_thread(self.path.read_bytes)
        return NO_LOG if text.strip() == RESTORED_BY_HAND else msgspec.json.decode(text, type=Mark)

    async def write(self, mark: Mark) -> None:
        """Put the mark in the place of the last one; raises OSError."""
        await asyncio.to_thread(_write, self.path, encode(mark))


def _write(path: Path, text: bytes) -> None:
    """Write a file whole or not at all: power may fail at any moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


class Keeper(Processor):
    """Keeps the mark of one tenant, at most once a second. Without a place to write it everything else goes on."""

    def __init__(self, tenant: Tenant, file: MarkFile) -> None:
        super().__init__("mark", tenant)
        self._file = file
        self._mark: Mark | None = None
        self._known: tuple[UUID, ...] = ()
        self._refused = False

    async def recognise(self) -> None:
        """Compare the log with its mark, before anything is taken in, decided or sent; append LogRestored to an older one.

        Without a readable mark nothing can be said: a first start, or a data_dir that was lost.
        """
        try:
            mark = await self._file.read()
        except (OSError, msgspec.MsgspecError) as error:
            if self.at.appender.head:
                advice = (
                    f"whether the log was restored cannot be said without {self._file.path}: it is made anew"
                )
                self._log.warning("mark.missing", reason=type(error).__name__, advice=advice)
            return
        self._known = mark.incarnations
        if not await self._fits(mark):
            await self._restored(mark)

    async def _restored(self, mark: Mark) -> None:
        async with self.at.connection() as conn:
            incarnation = await log.incarnation(conn, self.tenant)
        if self._known and incarnation.mark not in self._known:
            return  # another daemon has seen to it
        try:
            await self._say(mark, incarnation.restores)
        except WrongExpectedVersion:  # at this very moment
            await self._restored(mark)

    async def _say(self, mark: Mark, restores: int) -> None:
        self._log.warning(
            "mark.log_restored",
            head=self.at.appender.head,
            known=mark.position,
            advice="the log is older than it was: every record is read again before anything is decided for it,"
            " and leads that had not been sent are held",
        )
        restored = LogRestored(self.at.random_id(), mark.position)
        event_id = derived_id(self.tenant, LOG_STREAM, LOG_RESTORED, str(restored.mark))
        event = NewEvent(
            event_id, LOG_STREAM, LOG_RESTORED, "toveis", self.at.clock(), encode(restored), event_id
        )
        await self.at.appender.append(
            [event], expected={LOG_STREAM: restores}, also=partial(working.forget, tenant=self.tenant)
        )

    async def tick(self) -> bool:
        """Keep the mark where the log is now; raises LogReplaced when an older one took its place meanwhile."""
        await self.keep()
        return False

    async def close(self) -> None:
        """Keep it a last time, when nothing more is taken in."""
        with suppress(StorageError):
            await self.keep()

    async def keep(self) -> None:
        """Write the mark, if the log has grown."""
        if self._mark is not None and not await self._fits(self._mark):
            raise LogReplaced(f"the log has lost event {self._mark.position}; start toveis anew")
        async with self.at.connection() as conn:
            head = await log.head(conn, self.tenant)  # others append, too
            if not head or (self._mark is not None and head == self._mark.position and not self._refused):
                return
            event = await log.at(conn, self.tenant, head)
            known = await log.incarnations(conn, self.tenant)
        if event is None:
            raise LogReplaced(f"the log has lost event {head}; start toveis anew")
        self._known = tuple(dict.fromkeys((*self._known, *known)))
        self._mark = Mark(head, event.event_id, self._known)
        try:
            await self._file.write(self._mark)
            self._refused = False
        except OSError as error:
            if not self._refused:
                advice = f"{self._file.path} cannot be written: a restored backup would not be recognised"
                self._log.warning("mark.not_kept", reason=type(error).__name__, advice=advice)
            self._refused = True

    async def _fits(self, mark: Mark) -> bool:
        """Whether the log holds the event of a mark in its place."""
        async with self.at.connection() as conn:
            event = await log.at(conn, self.tenant, mark.position)
        return event is not None and event.event_id == mark.event
