"""Vitec Next (Hub): the installation's list of estates, and each of them in full. Nothing else of it is described.

Who came to a viewing or is interested in an estate can be asked for, but in rows of unknown shape: they are neither
read nor stored. The list's filter by time is weakly sourced, so the whole list is asked for, and its dates say what
is read one by one.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from daemon.domain.streams import VITEC, record_stream
from daemon.ingest.apart import apart, passes
from daemon.ingest.batches import batch
from daemon.ingest.fetches import Fetcher
from daemon.ingest.polls import Poller, Sink, priority_of
from daemon.ingest.removals import removed
from daemon.mappings.vitec_estate import hub_estate_of
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.storage import views, working
from daemon.storage.views import Need
from daemon.storage.working import Cursor, source_of
from daemon.vendors.limiter import Priority
from daemon.vendors.vitec_hub.client import VitecHubClient

KIND: Final = "Estate"
"""The type of every estate here: one call reads them all."""


class VitecHubPoller(Poller):
    """The list of estates, then those that it says have changed, those that it no longer names, and, once in a while,
    every other one."""

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecHubClient) -> None:
        every = tenant.settings.vitec.poll_interval
        super().__init__(tenant, source_of(VITEC, "project"), VITEC, every=every)
        self._client = client
        self._listed: set[str] = set()

    async def poll(self, cursor: Cursor) -> bool:
        """The whole list, then what has to be read. To be missing in it is no removal: only a 404 is."""
        self._client = self._client.at(priority_of(cursor))
        listed = {each.id: each.changed_at for each in await self._client.estates()}
        missing = sorted(self._listed - listed.keys())
        due = dict.fromkeys([*await self._changed_ones(listed), *missing, *await self._long_unread()])
        async with batch(self, self.source, (VITEC, "project"), cursor) as found:
            failed = await apart(due, lambda estate: self.look_at(cursor, estate, listed.get(estate), found))
        self.calls, self.news = 1 + len(due), found.news
        for estate, error in failed:
            self._log.warning("poll.unreadable_estate", record=estate, reason=type(error).__name__)
        self._listed = {*listed, *(estate for estate, _ in failed)}  # a missing one is asked for once more
        return not any(passes(error) for _, error in failed)

    async def _changed_ones(self, listed: dict[str, str]) -> list[str]:
        said = {record_stream("project", VITEC, each): text for each, text in listed.items()}
        async with self.at.connection() as conn:
            streams = await working.to_read(conn, self.tenant, said, self.at.clock())
        return [each for each in listed if record_stream("project", VITEC, each) in streams]

    async def _long_unread(self) -> list[str]:
        before = self.at.clock() - timedelta(seconds=self.at.settings.sync.reconcile_interval)
        async with self.at.connection() as conn:
            return [each.external_id for each in await views.estates_to_look_at(conn, self.tenant, before)]

    async def look_at(self, cursor: Cursor, estate: str, said: str | None, found: Sink) -> None:
        """Read one estate; a 404 is its removal."""
        started = self.at.appender.head
        detail = await self._client.estate(estate)
        if detail is None:
            gone = removed(self.at, record_stream("project", VITEC, estate), VITEC, said or str(started))
            await found.append([gone])
            return
        payload = hub_estate_of(estate, detail)
        read = self.read(cursor, "project", estate, payload, started, kind=KIND, listed=said)
        await found.append([read])


class VitecHubFetcher(Fetcher):
    """Estates that must be read again, one by one."""

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecHubClient) -> None:
        super().__init__(tenant, VITEC)
        self._client = client

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""
        return self._client.fits(Priority.BACKFILL, calls)

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read each estate; a 404 is its removal. Nothing else can be read at the Hub."""
        self._client = self._client.at(self.priority)
        await self.each((need for need in needs if need.category == "project"), self._estate)

    async def _estate(self, need: Need) -> None:
        started = self.at.appender.head
        detail = await self._client.estate(need.external_id)
        payload = None if detail is None else hub_estate_of(need.external_id, detail)
        await self.found(need, started, payload)
