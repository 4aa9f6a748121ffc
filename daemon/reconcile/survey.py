"""What both vendors hold, read anew: whole lists in the largest pages, what no list has one by one, behind live traffic.

To be missing in a list is no removal: whoever we knew and do not find is asked for alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from daemon.domain.errors import NotFound
from daemon.domain.settings import Limits
from daemon.domain.streams import PROPSTREET, VITEC, record_stream
from daemon.ingest.apart import AT_FAULT, CLOSED, apart, passes
from daemon.ingest.estates import VitecRelationPoller
from daemon.ingest.hub import VitecHubPoller
from daemon.ingest.joined import NOTED, PropstreetNotePoller, VitecLinkPoller, VitecNotePoller, VitecRounds
from daemon.ingest.polls import Poller, PropstreetPoller, Sink, VitecConnectPoller, learn_categories
from daemon.ingest.removals import removed
from daemon.policies.plan import synced
from daemon.processor import Tenant
from daemon.storage import audits, views
from daemon.storage.appender import Item
from daemon.storage.audits import Known
from daemon.storage.views import Owner, Typed
from daemon.storage.working import Cursor
from daemon.telemetry import log as service_log
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import Kind, VitecConnectClient
from daemon.vendors.vitec_hub.client import VitecHubClient

AT_ONCE: Final = 4
PAGE: Final = 500
"""Rows in one of Propstreet's pages."""
BATCH: Final = 20
"""Contacts in one of Vitec's reads."""

KINDS: Final[dict[str, Kind]] = {"contact": "Person", "company": "Company"}
LISTED: Final = ("contact", "company", "project", "property", "link")
"""What Propstreet has one list of."""

Progress = Callable[[str, int, int], None]
"""progress(vendor, calls made, calls in all), as far as they can be told."""


class Step(msgspec.Struct, frozen=True):
    """Something to read, and about how many calls it takes."""

    vendor: str
    calls: int
    read: Callable[[], Awaitable[None]]


class Survey:
    """Reads one tenant's vendors into a sink."""

    def __init__(
        self,
        at: Tenant,
        vitec: VitecConnectClient | VitecHubClient,
        propstreet: PropstreetClient,
        sink: Sink,
    ) -> None:
        self.at = at
        self.unread = 0
        self._vitec = vitec
        self._propstreet = propstreet.at(Priority.AUDIT)
        self._sink = sink
        self._whole = Cursor(None, 0, at.clock(), None)  # nothing is a first sighting any more
        self._categories = synced(at.settings.sync)

    async def steps(self) -> list[Step]:
        """What there is to read, by the lists of changes without a time, and what we know."""
        if isinstance(self._vitec, VitecHubClient):
            steps = await self._hub(self._vitec.at(Priority.AUDIT))
        else:
            steps = await self._connect(self._vitec.at(Priority.AUDIT))
        return [*steps, *await self._at_propstreet()]

    async def run(self, steps: Sequence[Step], progress: Progress | None = None) -> None:
        """Read everything, both vendors at once. Raises VendorError where there is nobody to ask."""
        await asyncio.gather(
            *(
                self._in_turn(vendor, [step for step in steps if step.vendor == vendor], progress)
                for vendor in (VITEC, PROPSTREET)
            )
        )

    async def _in_turn(self, vendor: str, steps: Sequence[Step], progress: Progress | None) -> None:
        done, total = 0, sum(step.calls for step in steps)

        async def read(step: Step) -> None:
            nonlocal done
            await self.at.appender.learn()
            await step.read()
            done += step.calls
            if progress is not None:
                progress(vendor, done, total)

        for _, error in await apart(steps, read, AT_ONCE):
            self._missed(error)

    def _missed(self, error: Exception) -> None:
        self.unread += 1
        service_log.warning("reconcile.unreadable", tenant=self.at.name, reason=type(error).__name__)

    async def _known(self, category: str, vendor: str) -> dict[str, Known]:
        async with self.at.connection() as conn:
            return {
                each.external_id: each for each in await audits.records(conn, self.at.name, category, vendor)
            }

    # -- Vitec Connect

    async def _connect(self, client: VitecConnectClient) -> list[Step]:
        await learn_categories(self.at, client)
        changes = await client.changed(None)
        listed: list[tuple[str, Kind, list[str]]] = [
            ("contact", "Person", [each.id for each in changes.persons]),
            ("contact", "DeceasedEstate", [each.id for each in changes.deceased_estates]),
            ("company", "Company", [each.id for each in changes.companies]),
        ]
        poller, steps = VitecConnectPoller(self.at, client), list[Step]()
        for category, kind, ids in listed:
            known = await self._known(category, VITEC)
            mine = [name for name, each in known.items() if (each.kind or KINDS[category]) == kind]
            steps += [
                Step(VITEC, 1, partial(self._contacts, client, poller, category, kind, chunk, known.keys()))
                for chunk in _chunks(dict.fromkeys((*ids, *mine)))
            ]
        if "project" in self._categories:
            steps += await self._estates(client)
        if "link" in self._categories:
            steps += await self._rounds(VitecLinkPoller(self.at, client), ("company",))
        if "note" in self._categories:
            steps += await self._rounds(VitecNotePoller(self.at, client), ("contact", "company"))
        return steps

    async def _contacts(
        self,
        client: VitecConnectClient,
        poller: Poller,
        category: str,
        kind: Kind,
        ids: Sequence[str],
        known: Iterable[str],
    ) -> None:
        """A batch of contacts; whoever is missing in it alone, and all of them where the batch makes no sense."""
        started = self.at.appender.head
        found: dict[str, bytes] = {}
        try:
            found = await client.read(kind, ids)
        except CLOSED:
            raise
        except AT_FAULT as error:
            if passes(error):
                raise

        async def alone(record: str) -> None:
            started = self.at.appender.head
            payload = await client.read_one(kind, record)
            if payload is not None:
                await self._sink.append(
                    [poller.read(self._whole, category, record, payload, started, kind=kind)]
                )
            elif record in known:
                await self._gone(category, VITEC, record, started)

        await self._sink.append(
            [
                poller.read(self._whole, category, record, found[record], started, kind=kind)
                for record in found
            ]
        )
        for _, failed in await apart([record for record in ids if record not in found], alone):
            self._missed(failed)

    async def _estates(self, client: VitecConnectClient) -> list[Step]:
        poller = VitecRelationPoller(self.at, client)
        kinds = {name: each.kind for name, each in (await self._known("project", VITEC)).items() if each.kind}
        kinds |= {
            each.id: each.kind for each in await client.estates(None, self.at.settings.sync.estate_types)
        }
        prospects = len(await self._known("prospect", VITEC)) if "prospect" in self._categories else 0
        calls = 1 + (2 + 2 * prospects // (BATCH * len(kinds)) if prospects and kinds else 0)

        async def look(estate: str, kind: str) -> None:
            await poller.look_at(self._whole, kind, estate, self._sink)

        return [Step(VITEC, calls, partial(look, estate, kind)) for estate, kind in sorted(kinds.items())]

    async def _rounds(self, rounds: VitecRounds, of: tuple[str, ...]) -> list[Step]:
        async def look(each: Typed) -> None:
            await self._sink.append(await rounds.joining(self._whole, each))

        async with self.at.connection() as conn:
            owners = await views.owners_to_look_at(
                conn, self.at.name, of, VITEC, rounds.source, self.at.clock() + timedelta(days=1)
            )
        return [Step(VITEC, rounds.calls, partial(look, each)) for each in owners]

    # -- Vitec Next (Hub)

    async def _hub(self, client: VitecHubClient) -> list[Step]:
        if "project" not in self._categories:
            return []
        poller = VitecHubPoller(self.at, client)
        estates = {each.id for each in await client.estates()} | (await self._known("project", VITEC)).keys()
        return [
            Step(VITEC, 1, partial(poller.look_at, self._whole, estate, None, self._sink))
            for estate in sorted(estates)
        ]

    # -- Propstreet

    async def _at_propstreet(self) -> list[Step]:
        steps = []
        connect = isinstance(self._vitec, VitecConnectClient)
        for category in LISTED:
            if (connect and category in ("contact", "company")) or category in self._categories:
                known = await self._known(category, PROPSTREET)
                calls = 1 + len(known) // PAGE
                steps.append(Step(PROPSTREET, calls, partial(self._list, category, list(known.values()))))
        if "prospect" in self._categories:
            steps += await self._prospects()
        if "note" in self._categories:
            steps += await self._notes()
        return steps

    async def _list(self, category: str, known: Sequence[Known], parent: str | None = None) -> None:
        """A whole list; whoever we knew and it lacks is asked for alone."""
        poller, seen = PropstreetPoller(self.at, self._propstreet, category), set[str]()
        async for reads, _ in poller.listed(self._whole, None, parent):
            await self._sink.append(reads)
            seen |= {read.stream for read in reads}

        async def alone(record: str) -> None:
            started = self.at.appender.head
            try:
                payload = await self._propstreet.read(category, record, parent=parent)
            except NotFound:
                await self._gone(category, PROPSTREET, record, started)
            else:
                await self._sink.append([poller.read(self._whole, category, record, payload, started)])

        missing = [
            each.external_id
            for each in known
            if record_stream(category, PROPSTREET, each.external_id) not in seen
        ]
        for _, error in await apart(missing, alone):
            self._missed(error)

    async def _prospects(self) -> list[Step]:
        """The list of each linked project. One that is gone is told of by the list of projects."""
        async with self.at.connection() as conn:
            projects = await views.linked_records(conn, self.at.name, "project", PROPSTREET)
        of: dict[str, list[Known]] = {project: [] for project in projects}
        for each in (await self._known("prospect", PROPSTREET)).values():
            of.get(each.parts.get("project", ""), []).append(each)

        async def look(project: str) -> None:
            try:
                await self._list("prospect", of[project], project)
            except NotFound:
                return

        return [
            Step(PROPSTREET, 1 + len(of[project]) // PAGE, partial(look, project)) for project in projects
        ]

    async def _notes(self) -> list[Step]:
        poller = PropstreetNotePoller(self.at, self._propstreet)

        async def look(each: Owner) -> None:
            await self._sink.append(await poller.notes(self._whole, each))

        async with self.at.connection() as conn:
            owners = await views.owners_of_notes(conn, self.at.name, NOTED, PROPSTREET, poller.source)
        return [Step(PROPSTREET, 1, partial(look, each)) for each in owners]

    async def _gone(self, category: str, vendor: str, record: str, started: int) -> None:
        stream = record_stream(category, vendor, record)
        items: list[Item] = [removed(self.at, stream, vendor, str(started))]
        await self._sink.append(items)


def least_seconds(limits: Limits, calls: int) -> float:
    """How long so many calls take at least, under a vendor's limits and with what is kept for live traffic."""
    windows = ((limits.per_second, 1.0, 1.0), (limits.per_minute, 60.0, 0.9), (limits.per_hour, 3600.0, 0.9))
    # the first windowful leaves at once
    return max(((calls - 1) // (most * share) * span for most, span, share in windows if most), default=0.0)


def _chunks(ids: Iterable[str]) -> list[list[str]]:
    left = iter(ids)
    return list(iter(lambda: list(islice(left, BATCH)), []))
