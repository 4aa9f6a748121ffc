"""Fetches: records that a hint, an overlap or an unknown outcome says must be read again."""

import asyncio
from collections.abc import Sequence
from typing import Final

from daemon.domain.errors import NotFound, UntranslatablePayload
from daemon.domain.events import Reading
from daemon.domain.streams import PROPSTREET, VITEC, derived_id, record_stream
from daemon.ingest.removals import removed
from daemon.mappings import lens
from daemon.mappings.privacy import without_national_ids
from daemon.processor import ONCE_A_DAY, Processor, Tenant
from daemon.storage import views
from daemon.storage.appender import Item
from daemon.storage.log import Read
from daemon.storage.views import Need
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import Kind, VitecConnectClient

KINDS: Final[dict[str, Kind]] = {"contact": "Person", "company": "Company"}


class Fetcher(Processor):
    """Reads what one vendor's records need. A read that meets a need is always kept, also if it says nothing new."""

    def __init__(self, tenant: Tenant, vendor: str) -> None:
        super().__init__(f"fetch {vendor}", tenant)
        self.vendor = vendor
        self._met: dict[str, int] = {}

    async def tick(self) -> bool:
        """Read what the views say is needed, except what was read since and is not folded yet."""
        async with self.at.connection() as conn:
            needs = await views.needs(conn, self.tenant, self.vendor)
        streams = {record_stream(n.category, self.vendor, n.external_id): n for n in needs}
        self._met = {stream: started for stream, started in self._met.items() if stream in streams}
        due = [need for stream, need in streams.items() if self._met.get(stream, -1) < need.need]
        if due:
            await self.fetch(due)
        return False

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read these records and append what was found."""
        raise NotImplementedError

    async def found(self, need: Need, started: int, payload: bytes | None) -> None:
        """Append a record as it was read, or its confirmed removal."""
        stream = record_stream(need.category, self.vendor, need.external_id)
        item: Item = (
            removed(self.at, stream, self.vendor, str(need.need))
            if payload is None
            else self._read(stream, need, started, payload)
        )
        await self.at.appender.append([item])
        self._met[stream] = started

    def _read(self, stream: str, need: Need, started: int, payload: bytes) -> Item:
        now = self.at.clock()
        try:
            changed = lens(self.vendor, need.category).get(payload, self.at.options).changed or now
        except UntranslatablePayload:
            changed = now
        return Read(
            stream=stream,
            origin=self.vendor,
            occurred_at=min(changed, now),
            payload=payload if self.at.options.store_national_ids else without_national_ids(payload),
            reading=Reading(via="fetch", started=started, kind=need.kind),
            correlation_id=derived_id(self.tenant, stream, str(need.need)),
            always=True,
        )


class PropstreetFetcher(Fetcher):
    """One GET a record, several under way."""

    def __init__(self, tenant: Tenant, client: PropstreetClient) -> None:
        super().__init__(tenant, PROPSTREET)
        self._client = client

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read each record; a 404 is its removal."""
        await asyncio.gather(*(self._fetch(need) for need in needs))

    async def _fetch(self, need: Need) -> None:
        started = self.at.appender.head
        try:
            payload = await self._client.read(need.category, need.external_id)
        except NotFound:
            await self.found(need, started, None)
        else:
            await self.found(need, started, payload)


class VitecConnectFetcher(Fetcher):
    """Typed batches; whoever is missing in the answer is asked for alone before it counts as removed."""

    closed_for = ONCE_A_DAY

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, VITEC)
        self._client = client

    async def fetch(self, needs: Sequence[Need]) -> None:
        """Read by type, up to twenty in a call."""
        by_kind: dict[Kind, list[Need]] = {}
        for need in needs:
            by_kind.setdefault(_kind(need), []).append(need)
        for kind, wanted in by_kind.items():
            started = self.at.appender.head
            found = await self._client.read(kind, [need.external_id for need in wanted])
            for need in wanted:
                payload = found.get(need.external_id)
                if payload is None:
                    started = self.at.appender.head
                    payload = await self._client.read_one(kind, need.external_id)
                await self.found(need, started, payload)


def _kind(need: Need) -> Kind:
    if need.kind == "DeceasedEstate":
        return "DeceasedEstate"
    return KINDS[need.category]
