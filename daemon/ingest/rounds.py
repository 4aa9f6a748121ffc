"""Rounds: what no list of changes tells of is looked at again and again, within a share of the vendor's limit."""

from abc import abstractmethod
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from daemon.domain.settings import Limits
from daemon.ingest.apart import AT_FAULT, CLOSED, passes
from daemon.ingest.polls import Poller
from daemon.storage import working
from daemon.storage.connection import Connection
from daemon.storage.working import Cursor

SHARE: Final = 0.5
"""The part of a vendor's windows that one kind of round may take."""

PATIENCE: Final = 5
"""So many looks that fail one after the other for want of an answer mean that there is nobody to ask."""

T = TypeVar("T")


class Rounds(Poller, Generic[T]):
    """A poll that may take several ticks: it is complete when all that was due at its beginning was looked at.

    What cannot be looked at is left to the next round, so that it does not keep the others from theirs.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._round: deque[T] = deque()
        self._began = 0
        self._missed = 0
        self._unanswered = 0

    async def tick(self) -> bool:
        """Go on with the round, as far as the share of this interval goes."""
        now = self.at.clock()
        async with self.at.writing() as conn:
            cursor = await working.open_cursor(conn, self.tenant, self.source, now)
            if not self._round:
                self._began, self._missed = self.at.appender.head, 0
                audited = now - timedelta(seconds=self.at.settings.sync.reconcile_interval)
                self._round.extend(await self.due(conn, audited))
        calls = self._calls()
        while self._round and calls > 0:
            calls -= await self._try(cursor, self._round.popleft())
        if not self._round and not self._missed:
            async with self.at.writing() as conn:
                await working.complete_cursor(conn, self.tenant, self.source, self._began, self.at.clock())
        return False

    async def _try(self, cursor: Cursor, each: T) -> int:
        """Look at one, if it can be done; the number of calls that it took."""
        try:
            calls = await self.look(cursor, each)
        except CLOSED:
            self._round.appendleft(each)  # nobody else would have been answered
            raise
        except AT_FAULT as error:
            self._log.warning("poll.unreadable", reason=type(error).__name__)
            if passes(error):
                self._missed += 1
                self._unanswered += 1
                if self._unanswered >= PATIENCE:
                    raise
            return 1
        self._unanswered = 0
        return calls

    async def poll(self, cursor: Cursor) -> bool:
        """Nothing: a round is not over in one tick."""
        return False

    @property
    @abstractmethod
    def limits(self) -> Limits:
        """The windows of which a share is taken."""

    @abstractmethod
    async def due(self, conn: Connection, audited: datetime) -> list[T]:
        """What has to be looked at in this round; what was last looked at before `audited`, in any case."""

    @abstractmethod
    async def look(self, cursor: Cursor, each: T) -> int:
        """Look at one; the number of calls that it took."""

    async def looked(self, what: str) -> None:
        """Remember when one was looked at, where no read of its own says so."""
        now = self.at.clock()
        async with self.at.writing() as conn:
            source = f"{self.source}:{what}"
            await working.open_cursor(conn, self.tenant, source, now)
            await working.complete_cursor(conn, self.tenant, source, self._began, now)

    def _calls(self) -> float:
        """How many calls this tick may take."""
        rates = ((self.limits.per_minute, 60.0), (self.limits.per_hour, 3600.0))
        return min((SHARE * self.every * most / span for most, span in rates if most), default=1e9)
