"""Polls of Vitec's estates: the list of changes for what they are, and a look at each for who is interested in it.

A speculator's level moves no date at Vitec. So the estates in sale are read again every interval, within a share of
the limit, and all others once in a while.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from daemon.domain.errors import UntranslatablePayload, VendorError
from daemon.domain.events import CONTACT_GONE
from daemon.domain.settings import Limits
from daemon.domain.streams import VITEC, record_stream, relation_id
from daemon.domain.times import vendor_time
from daemon.ingest.apart import apart, passes
from daemon.ingest.batches import batch
from daemon.ingest.polls import Poller, Sink, priority_of
from daemon.ingest.relations import contacts_gone, relations_of_estate
from daemon.ingest.removals import removed
from daemon.ingest.rounds import Rounds
from daemon.mappings.estate_statuses import odd_statuses
from daemon.mappings.vitec_property import property_in
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.storage import views, working
from daemon.storage.appender import Item
from daemon.storage.connection import Connection
from daemon.storage.views import Typed
from daemon.storage.working import Cursor, source_of
from daemon.vendors.limiter import Priority
from daemon.vendors.vitec_connect.client import EstateReference, VitecConnectClient


class EstatePoller(Poller):
    """What both polls of estates do: read one whole, with its property and its relations, and append what was seen."""

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecConnectClient, category: str) -> None:
        every = tenant.settings.vitec.poll_interval
        super().__init__(tenant, source_of(VITEC, category), VITEC, every=every)
        self._client = client

    async def look_at(
        self, cursor: Cursor, kind: str, estate: str, found: Sink, listed: str | None = None
    ) -> int:
        """Read one estate and who is interested in it; the number of calls that it took, as far as it can be told."""
        started = self.at.appender.head
        payload = await self._client.estate(kind, estate)
        if payload is None:
            stream = record_stream("project", VITEC, estate)
            await found.append([removed(self.at, stream, VITEC, listed or str(started))])
            return 1
        whole = partial(self.read, cursor, "project", estate, payload, started, kind=kind)
        part = _property(payload)
        rest = [] if part is None else [self.read(cursor, "property", estate, part, started, kind=kind)]
        try:
            relations, calls = await self._relations(cursor, estate, payload)
        except VendorError:  # what was read is kept, and the estate stays due
            await found.append([whole(), *rest])
            raise
        await found.append([whole(listed=listed), *rest, *relations])
        return 1 + calls

    async def _relations(self, cursor: Cursor, estate: str, payload: bytes) -> tuple[list[Item], int]:
        """What is to be said of an estate's relations, and the number of calls that it took to know."""
        if self.at.settings.sync.prospects == "off":
            return [], 0
        started = self.at.appender.head
        found = await relations_of_estate(self.at, self._client, estate, payload)
        items: list[Item] = [
            self.read(cursor, "prospect", relation_id(estate, contact), relation, started)
            for contact, relation in found.present.items()
        ]
        for contact, evidence in found.gone.items():
            stream = record_stream("prospect", VITEC, relation_id(estate, contact))
            items.append(removed(self.at, stream, VITEC, str(started), evidence))
        lost = [contact for contact, evidence in found.gone.items() if evidence == CONTACT_GONE]
        items += await contacts_gone(self.at, self._client, lost, str(started))
        return items, 2 * -(-(len(found.present) + len(found.gone)) // 20)


class VitecEstatePoller(EstatePoller):
    """Vitec's list of changed estates, then each of those in full."""

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, client, "project")

    async def start(self) -> None:
        """Compare Vitec's list of statuses with ours: the sync reads them by name and by number (S33).

        A warning is all that comes of it, so that a list that cannot be had keeps no estate from being read.
        """
        try:
            odd = odd_statuses(await self._client.statuses())
        except VendorError as error:
            self._log.warning("poll.unknown_statuses", reason=type(error).__name__)
            return
        if odd:
            self._log.warning("poll.odd_statuses", state=odd)

    async def poll(self, cursor: Cursor) -> bool:
        """The list from the cursor on, then what of it has to be read.

        An estate that cannot be read stays due, and the cursor behind it.
        """
        self._client = self._client.at(priority_of(cursor))
        self.calls += 1
        listed = await self._client.estates(self.since(cursor), self.at.settings.sync.estate_types)
        said = {record_stream("project", VITEC, each.id): each.changed_at for each in listed}
        async with self.at.connection() as conn:
            streams = await working.to_read(conn, self.tenant, said, self.at.clock())
        due = [each for each in listed if record_stream("project", VITEC, each.id) in streams]

        async with batch(self, self.source, (VITEC, "project"), cursor) as found:

            async def read(each: EstateReference) -> None:
                took = await self.look_at(cursor, each.kind, each.id, found, each.changed_at)
                self.calls += took

            failed = await apart(due, read)
        self.news += found.news
        for each, error in failed:
            self._log.warning("poll.unreadable_estate", record=each.id, reason=type(error).__name__)
        left = [time for each, _ in failed if (time := vendor_time(each.changed_at))]
        await self.move(cursor, _by_kind(listed), min(left, default=None))
        return not any(passes(error) for _, error in failed)


class VitecRelationPoller(Rounds[Typed], EstatePoller):
    """The estates in sale, each once in an interval or as often as the share allows; the others once in a while."""

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, client.at(Priority.AUDIT), "prospect")

    async def due(self, conn: Connection, audited: datetime) -> list[Typed]:
        """The estates of the next round."""
        return await views.estates_to_look_at(conn, self.tenant, audited)

    async def look(self, cursor: Cursor, each: Typed) -> int:
        """Read an estate whole."""
        return await self.look_at(cursor, each.kind, each.external_id, self.at.appender)

    @property
    def limits(self) -> Limits:
        """Vitec's."""
        return self.at.settings.vitec.limits


def _property(payload: bytes) -> bytes | None:
    """The property behind an estate; none where its payload cannot be read, which its own observation shows."""
    try:
        return property_in(payload)
    except UntranslatablePayload:
        return None


def _by_kind(listed: Sequence[EstateReference]) -> list[list[str]]:
    """When the estates of each list were changed."""
    lists: dict[str, list[str]] = {}
    for each in listed:
        lists.setdefault(each.kind, []).append(each.changed_at)
    return list(lists.values())
