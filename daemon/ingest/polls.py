"""Polls: what correctness rests on. Each source is asked for its changes at least once per interval.

A cursor moves only with the events that it covers. A poll overlaps the one before, and counts as complete when
everything that changed before it was sent has been read.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec

from daemon.domain.errors import NotFound, Retryable, UntranslatablePayload
from daemon.domain.events import Reading
from daemon.domain.settings import Limits
from daemon.domain.streams import PROPSTREET, VITEC, derived_id, record_stream
from daemon.domain.times import vendor_time
from daemon.ingest.apart import AT_FAULT, CLOSED
from daemon.ingest.batches import batch
from daemon.ingest.removals import removed
from daemon.mappings import lens
from daemon.mappings.privacy import without_national_ids
from daemon.policies.polling import next_interval
from daemon.processor import ONCE_A_DAY, Processor, Tenant, with_catalogue
from daemon.storage import views, working
from daemon.storage.appender import Item
from daemon.storage.connection import Connection
from daemon.storage.log import Read
from daemon.storage.working import Cursor, source_of
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import Kind, Reference, VitecConnectClient

OVERLAP: Final = {VITEC: timedelta(hours=1), PROPSTREET: timedelta(minutes=15)}
"""How far a poll looks back beyond its cursor: Vitec's bare times repeat an hour in autumn, and clocks are set back."""

CUT: Final = 1000
"""So many rows in one of Vitec's lists may be the most that it gives (VS27)."""

BATCH: Final = 20
LISTS: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("persons", "contact", "Person"),
    ("companies", "company", "Company"),
    ("deceased_estates", "contact", "DeceasedEstate"),
)


class Sink(Protocol):
    """Where what was read goes to: the log, or somebody who looks at it first."""

    async def append(self, items: Sequence[Item]) -> object:
        """Take these together."""


class Poller(Processor):
    """Asks one source for what changed."""

    def __init__(self, tenant: Tenant, source: str, vendor: str, *, every: float) -> None:
        super().__init__(f"poll {source}", tenant, every=every)
        self.source = source
        self.vendor = vendor
        self.usual = every
        self.news = self.calls = 0
        """What the poll that is under way, or the last one, has found, and how many calls it took."""

    async def tick(self) -> bool:
        """One poll, from its cursor to the end; how much it found says how soon the next one is."""
        self.news = self.calls = 0
        try:
            return await self._poll()
        finally:
            self._adapt()

    def _adapt(self) -> None:
        polling, me = self.at.polling, (self.vendor, self.source)
        self.every = next_interval(
            self.usual,
            self.every,
            news=self.news,
            calls=self.calls,
            others=sum(rate for each, rate in polling.items() if each[0] == self.vendor and each != me),
            limits=self._limits(),
        )
        polling[me] = self.calls / self.every

    def _limits(self) -> Limits:
        settings = self.at.settings
        return settings.vitec.limits if self.vendor == VITEC else settings.propstreet.limits

    async def _poll(self) -> bool:
        async with self.at.writing() as conn:
            cursor = await working.open_cursor(conn, self.tenant, self.source, self.at.clock())
        started = self.at.appender.head
        if await self.poll(cursor):
            async with self.at.writing() as conn:
                await working.complete_cursor(conn, self.tenant, self.source, started, self.at.clock())
        return False

    @abstractmethod
    async def poll(self, cursor: Cursor) -> bool:
        """Take in what changed since the cursor; True when nothing was left out that another try would read."""

    def read(
        self,
        cursor: Cursor,
        category: str,
        record: str,
        payload: bytes,
        started: int,
        *,
        kind: str | None = None,
        listed: str | None = None,
    ) -> Read:
        """A record as this poll found it."""
        now = self.at.clock()
        changed = self._changed(category, payload)
        first = cursor.complete is None and (changed is None or changed <= cursor.started_at)
        stream = record_stream(category, self.vendor, record)
        return Read(
            stream=stream,
            origin=self.vendor,
            occurred_at=now if changed is None else min(changed, now),
            payload=payload if self.at.options.store_national_ids else without_national_ids(payload),
            reading=Reading(via="poll", started=started, first=first, kind=kind),
            correlation_id=derived_id(self.tenant, stream, str(started)),
            listed=listed,
        )

    def _changed(self, category: str, payload: bytes) -> datetime | None:
        try:
            return lens(self.vendor, category).get(payload, self.at.options).changed
        except UntranslatablePayload:
            return None

    def since(self, cursor: Cursor) -> datetime | None:
        """Where this poll begins: the cursor, and the overlap before it."""
        time = vendor_time(cursor.cursor)
        return None if time is None else min(time, self.at.clock()) - OVERLAP[self.vendor]

    async def move(
        self, cursor: Cursor, lists: Iterable[Sequence[str]], until: datetime | None = None
    ) -> None:
        """Move the cursor to what the lists say was changed last, and not beyond `until`.

        A list that may have been cut (VS27) counts as read up to its newest time but one. That is enough where it was
        cut at its newest end; more than a thousand changes under one time stamp cannot be told apart.
        """
        until, texts = min(until or self.at.clock(), self.at.clock()), [cursor.cursor or ""]
        for listed in lists:
            texts += listed
            if len(listed) == CUT:
                self._log.warning("poll.list_may_be_cut", rows=len(listed))
                latest = newest(listed, self.at.clock())
                before = newest((text for text in listed if text != latest), self.at.clock())
                until = min(until, vendor_time(before) or until)
        async with self.at.writing() as conn:
            await working.move_cursor(conn, self.tenant, self.source, newest(texts, until))


def priority_of(cursor: Cursor) -> Priority:
    """The first poll of a source reads everything, and gives way; a later one brings what somebody has just edited."""
    return Priority.LIVE if cursor.whole() else Priority.BACKFILL


def newest(texts: Iterable[str | None], until: datetime) -> str | None:
    """The latest of a vendor's times, in its own words; None where there is none.

    What lies beyond `until` does not count: a cursor in the future would hide every change before it.
    """
    times = {text: time for text in texts if text and (time := vendor_time(text)) and time <= until}
    return max(times, key=times.__getitem__, default=None)


class _Row(msgspec.Struct, rename="camel"):
    id: str | int
    updated_utc: str | None = None


_rows: Final = msgspec.json.Decoder(_Row)


class PropstreetPoller(Poller):
    """Propstreet's records of one category, page by page in the order of their change."""

    def __init__(self, tenant: Tenant, client: PropstreetClient, category: str) -> None:
        every = tenant.settings.propstreet.poll_interval
        super().__init__(tenant, source_of(PROPSTREET, category), PROPSTREET, every=every)
        self._client = client
        self._category = category

    async def poll(self, cursor: Cursor) -> bool:
        """Every page from the cursor on; the cursor moves with each page's events."""
        self._client = self._client.at(priority_of(cursor))
        await self._pages(cursor, self.source)
        return True

    async def _pages(self, cursor: Cursor, source: str, parent: str | None = None) -> None:
        since, latest = self.since(cursor), cursor.cursor
        text = since.astimezone(UTC).isoformat().replace("+00:00", "Z") if since is not None else None
        async with batch(self, source, (self.vendor, self._category), cursor) as found:
            async for reads, times in self.listed(cursor, text, parent):
                self.calls += 1
                latest = newest((latest, *times), self.at.clock())
                await found.append(
                    reads,
                    also=partial(working.move_cursor, tenant=self.tenant, source=source, cursor=latest),
                )
        self.news += found.news

    async def listed(
        self, cursor: Cursor, since: str | None, parent: str | None = None
    ) -> AsyncIterator[tuple[list[Read], list[str | None]]]:
        """The list from a time on, or all of it, page by page: its records, and when they were changed."""
        next_page: str | None = None
        followed: set[str] = set()
        while True:
            started = self.at.appender.head
            page = await self._client.page(
                self._category, updated_since=since, cursor=next_page, parent=parent
            )
            rows = [(row, raw) for raw in page.rows if (row := self._row(raw)) is not None]
            reads = [self.read(cursor, self._category, str(row.id), raw, started) for row, raw in rows]
            yield reads, [row.updated_utc for row, _ in rows]
            if page.next_cursor is None:
                return
            if page.next_cursor in followed:
                raise Retryable("a page of the list names one that was read before")
            followed.add(page.next_cursor)
            next_page = page.next_cursor

    def _row(self, raw: bytes) -> _Row | None:
        """A row that names no record says nothing of any, and must not keep the others back."""
        try:
            return _rows.decode(raw)
        except msgspec.DecodeError:
            self._log.warning("poll.unreadable_row")
            return None


class PropstreetProspectPoller(PropstreetPoller):
    """The prospects of every linked project: each project has a list, and a cursor, of its own."""

    def __init__(self, tenant: Tenant, client: PropstreetClient) -> None:
        super().__init__(tenant, client, "prospect")

    async def poll(self, cursor: Cursor) -> bool:
        """Every project's changes, one project after the other; one that cannot be read does not stop the others."""
        async with self.at.connection() as conn:
            projects = await views.linked_records(conn, self.tenant, "project", PROPSTREET)
        failed: list[Exception] = []
        for project in projects:
            try:
                await self._project(project)
            except NotFound:  # the project is gone; its own poll tells
                continue
            except CLOSED:
                raise
            except AT_FAULT as error:
                self._log.warning("poll.unreadable_project", record=project, reason=type(error).__name__)
                failed.append(error)
        if failed and len(failed) == len(projects):
            raise failed[0]
        return not failed

    async def _project(self, project: str) -> None:
        source, now = f"{self.source}:{project}", self.at.clock()
        async with self.at.writing() as conn:
            own = await working.open_cursor(conn, self.tenant, source, now)
        self._client = self._client.at(priority_of(own))
        started = self.at.appender.head
        await self._pages(own, source, project)
        async with self.at.writing() as conn:
            await working.complete_cursor(conn, self.tenant, source, started, self.at.clock())


class VitecConnectPoller(Poller):
    """Vitec's list of changed contacts, then the typed reads of those that it says have changed.

    It also keeps the list of Vitec's categories, without which no category can be written.
    """

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, VITEC, VITEC, every=tenant.settings.vitec.poll_interval)
        self._client = client

    async def start(self) -> None:
        """Read the categories, if any are mapped."""
        await learn_categories(self.at, self._client)

    async def poll(self, cursor: Cursor) -> bool:
        """The list from the cursor on, then what of it has to be read."""
        self._client = self._client.at(priority_of(cursor))
        self.calls += 1
        changes = await self._client.changed(self.since(cursor))
        for name, category, kind in LISTS:
            listed: list[Reference] = getattr(changes, name)
            async with self.at.connection() as conn:
                due = await self._due(conn, category, listed)
            async with batch(self, self.source, (VITEC, category), cursor) as found:
                for at in range(0, len(due), BATCH):
                    self.calls += 1
                    await found.append(await self._read(cursor, category, kind, due[at : at + BATCH]))
            self.news += found.news
        lists = (changes.persons, changes.companies, changes.deceased_estates)
        await self.move(cursor, [[each.changed_at for each in listed] for listed in lists])
        return True

    async def _due(self, conn: Connection, category: str, listed: Sequence[Reference]) -> list[Reference]:
        """What to read: what the list says anew, and once more what it said a moment ago (see `working.TICK`)."""
        said = {record_stream(category, VITEC, each.id): each.changed_at for each in listed}
        due = await working.to_read(conn, self.tenant, said, self.at.clock())
        return [each for each in listed if record_stream(category, VITEC, each.id) in due]

    async def _read(
        self, cursor: Cursor, category: str, kind: Kind, listed: Sequence[Reference]
    ) -> list[Item]:
        started = self.at.appender.head
        found = await self._client.read(kind, [reference.id for reference in listed])
        items: list[Item] = [
            self.read(cursor, category, r.id, found[r.id], started, kind=kind, listed=r.changed_at)
            for r in listed
            if r.id in found
        ]
        for reference in listed:
            if reference.id not in found and await self._client.read_one(kind, reference.id) is None:
                stream = record_stream(category, VITEC, reference.id)
                items.append(removed(self.at, stream, VITEC, reference.changed_at))
        return items


async def learn_categories(at: Tenant, client: VitecConnectClient) -> None:
    """Read Vitec's categories, if any are mapped."""
    if at.options.categories or at.options.company_categories:
        found = await client.categories()
        catalogue = tuple((c.id, c.name, c.read_only, c.kind) for c in found)
        at.options = with_catalogue(at.options, catalogue)
