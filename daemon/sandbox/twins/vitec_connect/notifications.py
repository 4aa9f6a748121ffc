"""Vitec's push notifications: fire and forget, two seconds to answer, no id, no time, no signature.

Source: Vitec's page NotificationsApi, in its text of October 2026 ("new") and of September 2026 ("old").
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import aiohttp
import msgspec

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.vitec_connect.switches import Form, Switches, Transport

Event = Literal["Update", "Remove", "Merge"]
Pairs = dict[str, Any]

TENANT = {"chainId": "G1", "tenantId": "T1"}
_OLD_RELATIONS = {"Buyer", "Seller", "Speculator"}
_BODY_ONLY = {"data", "destinationId", "sourceIds"}


Related = tuple[str, str | None] | None
"""The id and the type of what a notification is also about; None where there is nothing."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell; `relations` are (id, type) pairs, relId1 first, `sources` the ids merged away."""

    type: str
    event: Event
    id: str | None = None
    subtype: str | None = None
    relations: tuple[Related, ...] = ()
    data: dict[str, Any] | None = None
    sources: tuple[str, ...] = ()

    def written(self, form: Form, name: str, customer_id: str) -> tuple[Pairs, Pairs]:
        """The query string and the body in one of the two documented forms."""
        body: Pairs = {"name": name, "type": self.type, "event": self.event, "customerId": customer_id}
        body |= {"id": self.id, "subtype": self.subtype}
        for place, related in enumerate(self.relations, 1):
            if related is not None:
                body |= {f"relId{place}": related[0], f"relType{place}": related[1]}
        if self.data is not None:
            body["data"] = self.data
        if self.sources:
            body |= {"destinationId": self.id, "sourceIds": list(self.sources)}
        body = body | TENANT if form == "new" else self._aged(body)
        query = {key: value for key, value in body.items() if key not in _BODY_ONLY and value is not None}
        if form == "old" and self.type in ("Meeting", "Note"):
            # The older page's examples: a stray subType in the body, and a query that disagrees with it.
            body["subType"] = "EstateContactSeller"
            query = {key: value for key, value in query.items() if key not in ("relId2", "relType2")}
        return query, body

    def _aged(self, body: Pairs) -> Pairs:
        if self.type == "User":
            return {key: value for key, value in body.items() if key != "subtype"} | {"type": "Agent"}
        subtype = f"EstateContact{self.subtype}" if self.subtype in _OLD_RELATIONS else self.subtype
        if self.subtype == "ViewingParticipant":
            body = body | {"id": None}
        key = "subtype" if self.type == "Estate" else "subType"
        return {key if old == "subtype" else old: value for old, value in body.items()} | {key: subtype}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a subscription's filter looks at: an estate's status by its notification name, and whether it is marketed."""

    status: str | None
    advertised: bool


@dataclass(slots=True, eq=False)
class Subscription:
    """Who is told what; made by Vitec's staff on request, so the API has no call for it."""

    url: str
    name: str
    form: Form | None  # None: as VS1 says at the time
    transport: Transport | None  # None: as VS2 says at the time
    types: frozenset[str] | None
    statuses: frozenset[str] | None = None
    advertised_only: bool = False
    waiting: list[Notification] = field(default_factory=list)
    worker: asyncio.Task[None] | None = None

    def wants(self, kind: str) -> bool:
        """Whether this type of notification is subscribed to."""
        return self.types is None or kind in self.types

    def covers(self, standing: Standing | None) -> bool:
        """Whether an estate in this standing is within the filter."""
        if standing is None:
            return False
        return (self.statuses is None or standing.status in self.statuses) and (
            standing.advertised or not self.advertised_only
        )


class Notifier:
    """Delivers to every subscription, in order unless the faults say otherwise.

    `outcomes` counts attempts and losses: "delivered", "refused" (an answer that is not 2xx), "unanswered"
    (nobody there, or over `time_limit` seconds), "dropped" (never sent).
    """

    def __init__(self, switches: Switches, faults: Faults, customer_id: str) -> None:
        self.subscriptions: list[Subscription] = []
        self.outcomes: Counter[str] = Counter()
        self.time_limit = 2.0
        self.retry_gaps: tuple[float, ...] = (1.0, 5.0, 30.0)  # VS4's retried variant; no page gives its gaps
        self._switches, self._faults, self._customer_id = switches, faults, customer_id
        self._session: aiohttp.ClientSession | None = None
        self._flying: set[asyncio.Task[None]] = set()

    def subscribe(
        self,
        url: str,
        *,
        name: str = "toveis",
        form: Form | None = None,
        transport: Transport | None = None,
        types: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        advertised_only: bool = False,
    ) -> Subscription:
        """Add a receiver; form and transport come from VS1 and VS2 unless given, types None is every type.

        `statuses` (notification names) and `advertised_only` narrow what is told of estates and projects.
        """
        chosen = None if types is None else frozenset(types)
        found = Subscription(
            url,
            name,
            form,
            transport,
            chosen,
            None if statuses is None else frozenset(statuses),
            advertised_only,
        )
        self.subscriptions.append(found)
        return found

    def publish(self, notification: Notification) -> None:
        """Tell everyone who wants this type; returns at once."""
        for subscription in self.subscriptions:
            if subscription.wants(notification.type):
                self._enqueue(subscription, notification)

    def publish_estate(
        self, notification: Notification, before: Standing | None, after: Standing | None
    ) -> None:
        """Tell of an estate as each filter sees it; None is an estate that is not there.

        One that is no longer marketed is a Remove to a subscription of marketed ones (VS7). One that leaves
        the statuses is told to nobody, or as a Remove by VS6.
        """
        removal = replace(notification, event="Remove", data=None)
        for subscription in self.subscriptions:
            if not subscription.wants(notification.type):
                continue
            if subscription.covers(after):
                self._enqueue(subscription, notification)
            elif subscription.covers(before):
                unmarketed = subscription.advertised_only and after is not None and not after.advertised
                if after is None or unmarketed or self._switches.vs6 == "remove":
                    self._enqueue(subscription, removal)

    def publish_merge(self, subtype: str, destination: str, sources: Sequence[str]) -> None:
        """Tell a merge; without Merge (VS34) it shows as Remove of the sources and an Update."""
        merge = Notification("Merge", "Merge", destination, subtype, sources=tuple(sources))
        removals = [Notification("Contact", "Remove", source, subtype) for source in sources]
        for subscription in self.subscriptions:
            if self._switches.vs34 == "merge" and subscription.wants("Merge"):
                self._enqueue(subscription, merge)
            elif subscription.wants("Contact"):
                for notification in (*removals, Notification("Contact", "Update", destination, subtype)):
                    self._enqueue(subscription, notification)

    async def settled(self) -> None:
        """Wait until nothing is queued or on its way."""
        while running := [task for task in self._tasks() if not task.done()]:
            await asyncio.wait(running)

    async def close(self) -> None:
        """Stop delivering; what is queued is lost."""
        running = self._tasks()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _tasks(self) -> list[asyncio.Task[None]]:
        workers = [subscription.worker for subscription in self.subscriptions if subscription.worker]
        return [*workers, *self._flying]

    def _enqueue(self, subscription: Subscription, notification: Notification) -> None:
        subscription.waiting.append(notification)
        if subscription.worker is None or subscription.worker.done():
            subscription.worker = asyncio.get_running_loop().create_task(self._work(subscription))

    async def _work(self, subscription: Subscription) -> None:
        while subscription.waiting:
            notification = self._faults.pick(subscription.waiting)
            waits = self._faults.copies()
            if not waits:
                self.outcomes["dropped"] += 1
            elif self._faults.delivery.orderly:
                await self._deliver(subscription, notification, 0.0)
            else:
                for wait in waits:
                    task = asyncio.create_task(self._deliver(subscription, notification, wait))
                    self._flying.add(task)
                    task.add_done_callback(self._flying.discard)

    async def _deliver(self, subscription: Subscription, notification: Notification, wait: float) -> None:
        if wait:
            await asyncio.sleep(wait)
        status = await self._post(subscription, notification)
        for gap in self.retry_gaps if self._switches.vs4 == "retried" else ():
            if status is None or status < 500:
                break
            await asyncio.sleep(gap)
            status = await self._post(subscription, notification)

    async def _post(self, subscription: Subscription, notification: Notification) -> int | None:
        form = subscription.form or self._switches.vs1
        transport = subscription.transport or self._switches.vs2
        query, body = notification.written(form, subscription.name, self._customer_id)
        content = b"" if transport == "query" else msgspec.json.encode(body)
        if transport == "broken":
            content = content[:-2] + b",}"
        if self._session is None:
            self._session = aiohttp.ClientSession()
        call = self._session.post(
            subscription.url,
            params={} if transport == "body" else query,
            data=content,
            headers={"Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=self.time_limit),
            allow_redirects=False,
        )
        status = None
        with suppress(aiohttp.ClientError, TimeoutError):
            async with call as answer:
                status = answer.status
        outcome = "unanswered" if status is None else "delivered" if 200 <= status < 300 else "refused"
        self.outcomes[outcome] += 1
        return status
