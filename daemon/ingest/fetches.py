"""Fetches: records that a hint, an overlap or an unknown outcome says must be read again."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from daemon.domain.errors import NotFound, UntranslatablePayload
from daemon.domain.events import CONTACT_GONE, NOT_FOUND, Event, Reading
from daemon.domain.streams import PROPSTREET, VITEC, derived_id, record_stream
from daemon.ingest.apart import AT_FAULT, CLOSED, apart, passes
from daemon.ingest.relations import contacts_gone
from daemon.ingest.removals import removed
from daemon.mappings import lens, propstreet_note
from daemon.mappings.privacy import without_national_ids
from daemon.mappings.vitec_link import links_in
from daemon.mappings.vitec_property import property_in
from daemon.mappings.vitec_relation import relations_in
from daemon.policies.plan import synced
from daemon.processor import ONCE_A_DAY, Processor, Tenant
from daemon.storage import brakes, log, views
from daemon.storage.appender import Item
from daemon.storage.log import Read
from daemon.storage.views import Need
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import Kind, VitecConnectClient
from daemon.vendors.vitec_connect.joined import notes_of, relations_of

AT_ONCE: Final = 20
"""So many reads may wait for the limiter, which lets through what the vendor allows."""

LONGEST_REST: Final = timedelta(minutes=10)
"""A record that cannot be read is asked for again after a second, two, four, and at last this often."""

PATIENCE: Final = 4
"""A removal that still waits after as long as this many failed reads take is asked for again: it may be a false one."""

FEW: Final = 5
"""So many of them in a tick: there may be thousands, and nobody waits for them."""

KINDS: Final[dict[str, Kind]] = {"contact": "Person", "company": "Company"}


class Fetcher(Processor):
    """Reads what one vendor's records need. A read that meets a need is always kept, also if it says nothing new."""

    def __init__(self, tenant: Tenant, vendor: str) -> None:
        super().__init__(f"fetch {vendor}", tenant)
        self.vendor = vendor
        self.priority = Priority.LIVE
        self._met: dict[str, int] = {}
        self._failed: dict[str, tuple[int, datetime]] = {}

    async def tick(self) -> bool:
        """Read what the views say is needed, except what was read since and is not folded yet."""
        async with self.at.connection() as conn:
            needs = await views.needs(conn, self.tenant, self.vendor, self.at.clock())
            gone = await brakes.removals(conn, self.tenant, synced(self.at.settings.sync))
        missing = [each.need() for each in gone if each.vendor == self.vendor]
        streams = {self._stream(need): need for need in (*missing, *needs)}
        self._met = {stream: started for stream, started in self._met.items() if stream in streams}
        self._failed = {stream: failed for stream, failed in self._failed.items() if stream in streams}
        now = self.at.clock()
        for need in missing:  # most are decided on before it is worth while to ask
            self._failed.setdefault(self._stream(need), (PATIENCE, now + _rest(PATIENCE)))
        due = [
            need
            for stream, need in streams.items()
            if self._met.get(stream, -1) < need.need
            and (stream not in self._failed or self._failed[stream][1] <= now)
        ]
        live = [need for need in due if not need.missing and not need.backfill]
        behind = [need for need in due if need.backfill and not need.missing]
        missing = [need for need in due if need.missing][:FEW]
        for priority, wanted in ((Priority.LIVE, live), (Priority.AUDIT, missing)):
            if wanted:
                self.priority = priority
                await self.fetch(wanted)
        if not live and behind and self.has_room(AT_ONCE):
            self.priority = Priority.BACKFILL
            await self.fetch(behind[:AT_ONCE])
            return len(behind) > AT_ONCE
        return False

    @abstractmethod
    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""

    def _stream(self, need: Need) -> str:
        return record_stream(need.category, self.vendor, need.external_id)

    @abstractmethod
    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read these records and append what was found."""

    async def each(self, needs: Iterable[Need], read: Callable[[Need], Awaitable[None]]) -> None:
        """Read each; one that cannot be read rests, and the others go on."""
        for need, error in await apart(needs, read, AT_ONCE):
            self.rests(need, error)

    def rests(self, need: Need, error: Exception | None = None) -> None:
        """This record cannot be read now."""
        stream = self._stream(need)
        times = self._failed.get(stream, (0, None))[0] + 1
        self._failed[stream] = times, self.at.clock() + _rest(times)
        if error is not None or not need.missing:
            self._log.warning(
                "fetch.unreadable", stream=stream, reason=type(error).__name__ if error else None
            )

    async def found(self, need: Need, started: int, payload: bytes | None, evidence: str = NOT_FOUND) -> None:
        """Append a record as it was read, or its confirmed removal; one that is missing still is asked for later."""
        stream = self._stream(need)
        if payload is None and need.missing:
            self.rests(need)
            return
        told = await self._told(need)
        item: Item = (
            removed(self.at, stream, self.vendor, str(need.need), evidence)
            if payload is None
            else self._read(stream, need, started, payload, told)
        )
        if told is not None:
            item = replace(item, causation_id=told.event_id, correlation_id=told.correlation_id)
        await self.at.appender.append([item])
        self._met[stream] = started
        self._failed.pop(stream, None)

    async def _told(self, need: Need) -> Event | None:
        """What told us to read: it led to the read, and where the record bears no time, its change is as old as that."""
        async with self.at.connection() as conn:
            return await log.at(conn, self.tenant, need.need)

    def _read(self, stream: str, need: Need, started: int, payload: bytes, told: Event | None) -> Read:
        now = self.at.clock()
        since = now if told is None else told.occurred_at
        try:
            changed = lens(self.vendor, need.category).get(payload, self.at.options).changed or since
        except UntranslatablePayload:
            changed = since
        return Read(
            stream=stream,
            origin=self.vendor,
            occurred_at=min(changed, now),
            payload=payload if self.at.options.store_national_ids else without_national_ids(payload),
            reading=Reading(via="fetch", started=started, kind=need.kind),
            correlation_id=derived_id(self.tenant, stream, str(need.need)),
            always=not need.missing,
        )


class PropstreetFetcher(Fetcher):
    """One GET a record, several under way."""

    def __init__(self, tenant: Tenant, client: PropstreetClient) -> None:
        super().__init__(tenant, PROPSTREET)
        self._client = client

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""
        return self._client.fits(Priority.BACKFILL, calls)

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read each record; a 404 is its removal."""
        self._client = self._client.at(self.priority)
        await self.each(needs, self._fetch)

    async def _fetch(self, need: Need) -> None:
        started = self.at.appender.head
        parent = need.parts.get("project") if need.category == "prospect" else None
        if need.category == "prospect" and parent is None:
            return  # only the polls of the projects can tell where it belongs
        try:
            payload = (
                await self._note(need)
                if need.category == "note"
                else await self._client.read(need.category, need.external_id, parent=parent)
            )
        except NotFound:
            payload = None
        await self.found(need, started, payload)

    async def _note(self, need: Need) -> bytes | None:
        """A note is read with those of its owner."""
        category = next(part for part in ("prospect", "contact", "company") if part in need.parts)
        parent = need.parts.get("project") if category == "prospect" else None
        rows = await self._client.notes(category, need.parts[category], parent=parent)
        found = next((row for row in rows if row.id == need.external_id), None)
        return None if found is None else propstreet_note.note_of(found.raw, **need.parts)


class VitecConnectFetcher(Fetcher):
    """Contacts in typed batches, estates one by one, relations by contact.

    Whoever is missing in the answer to a batch is asked for alone before it counts as removed.
    """

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, VITEC)
        self._client = client

    def has_room(self, calls: int) -> bool:
        """Whether so many calls that go behind everything else could leave now."""
        return self._client.fits(Priority.BACKFILL, calls)

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read by category, as many in a call as Vitec allows."""
        self._client = self._client.at(self.priority)
        by_category: dict[str, list[Need]] = {}
        for need in needs:
            by_category.setdefault(need.category, []).append(need)
        failed: list[Exception] = []
        for category, wanted in by_category.items():
            try:
                await self._category(category, wanted)
            except CLOSED:
                raise
            except AT_FAULT as error:
                self._log.warning("fetch.failed", category=category, reason=type(error).__name__)
                failed.append(error)
        if failed:  # after the other categories: the service rests, and asks again
            raise failed[0]

    async def _category(self, category: str, wanted: Sequence[Need]) -> None:
        match category:
            case "contact" | "company":
                await self._contacts(wanted)
            case "project" | "property":
                await self.each(wanted, self._estate)
            case "prospect":
                await self._relations(wanted)
            case "link":
                await self._links(wanted)
            case "note":
                await self._notes(wanted)

    async def _contacts(self, needs: Sequence[Need]) -> None:
        """In batches; whoever is missing in the answer, or was asked for in a batch that makes no sense, alone."""
        by_kind: dict[Kind, list[Need]] = {}
        for need in needs:
            by_kind.setdefault(_kind(need), []).append(need)
        for kind, wanted in by_kind.items():
            started = self.at.appender.head
            found: dict[str, bytes] = {}
            try:
                found = await self._client.read(kind, [need.external_id for need in wanted])
            except CLOSED:
                raise
            except AT_FAULT as error:
                if passes(error):
                    raise
            for need in wanted:
                if need.external_id in found:
                    await self.found(need, started, found[need.external_id])
            await self.each((need for need in wanted if need.external_id not in found), self._contact)

    async def _contact(self, need: Need) -> None:
        started = self.at.appender.head
        await self.found(need, started, await self._client.read_one(_kind(need), need.external_id))

    async def _estate(self, need: Need) -> None:
        if need.kind is None:
            return  # the list of estates will tell its type
        started = self.at.appender.head
        payload = await self._client.estate(need.kind, need.external_id)
        if payload is not None and need.category == "property":
            payload = property_in(payload)
        await self.found(need, started, payload)

    async def _relations(self, needs: Sequence[Need]) -> None:
        named = [need for need in needs if {"project", "contact"} <= need.parts.keys()]
        try:
            await self._pairs(named)
        except CLOSED:
            raise
        except AT_FAULT as error:
            if passes(error):
                raise
            await self.each(named, lambda need: self._pairs([need]))

    async def _pairs(self, named: Sequence[Need]) -> None:
        started = self.at.appender.head
        viewing: dict[str, set[str]] = {}
        if self.at.options.viewing_means_interested:
            viewing = await self._participants({need.parts["project"] for need in named})
        pairs = {(need.parts["project"], need.parts["contact"]): need for need in named}
        read = await relations_of(self._client, pairs, viewing=viewing)
        for pair, need in pairs.items():
            if pair in read.found:
                evidence = CONTACT_GONE if pair[1] in read.unknown else NOT_FOUND
                await self.found(need, started, read.found[pair], evidence)
            else:
                self.rests(need)
        lost = [contact for (_, contact) in pairs if contact in read.unknown]
        await self.at.appender.append(await contacts_gone(self.at, self._client, lost, str(started)))

    async def _participants(self, estates: set[str]) -> dict[str, set[str]]:
        """Who came to a viewing, by estate (R6)."""
        async with self.at.connection() as conn:
            known = await views.kinds(conn, self.tenant, "project", VITEC, estates)
        seen: dict[str, set[str]] = {}
        for estate, kind in known.items():
            payload = await self._client.estate(kind, estate)
            seen[estate] = set(relations_in(payload).participants) if payload is not None else set()
        return seen

    async def _links(self, needs: Sequence[Need]) -> None:
        async def read(company: str) -> None:
            started = self.at.appender.head
            payload = await self._client.relations(company)
            found = dict(links_in(company, payload, self.at.options)) if payload is not None else {}
            for need in of[company]:
                await self.found(need, started, found.get(need.external_id))

        of = _grouped(needs, "company")
        for company, error in await apart(of, read):
            for need in of[company]:
                self.rests(need, error)

    async def _notes(self, needs: Sequence[Need]) -> None:
        of = _grouped(needs, "contact")
        async with self.at.connection() as conn:
            companies = await views.kinds(conn, self.tenant, "company", VITEC, of)

        async def read(contact: str) -> None:
            started = self.at.appender.head
            found = await notes_of(self._client, contact, companies.get(contact), self.at.options)
            for need in of[contact]:
                await self.found(need, started, found.get(need.external_id))

        for contact, error in await apart(of, read):
            for need in of[contact]:
                self.rests(need, error)


def _rest(times: int) -> timedelta:
    return min(LONGEST_REST, timedelta(seconds=2.0 ** min(times - 1, 20)))


def _grouped(needs: Iterable[Need], part: str) -> dict[str, list[Need]]:
    """What is needed by what it belongs to."""
    groups: dict[str, list[Need]] = {}
    for need in needs:
        if part in need.parts:
            groups.setdefault(need.parts[part], []).append(need)
    return groups


def _kind(need: Need) -> Kind:
    if need.kind == "DeceasedEstate":
        return "DeceasedEstate"
    return KINDS[need.category]
