"""Webhooks as Propstreet sends them: signed, tried nine times, switched off after ten failures."""

import asyncio
import base64
import hashlib
import hmac
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp
import msgspec

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.propstreet.switches import Switches

EVENTS = tuple(
    f"{family}.{verb}"
    for family in ("contact", "company", "link", "project", "prospect")
    for verb in ("created", "updated", "deleted")
)
FAILURES_TO_DISABLE = 10
REPLAYED_AT_ONCE = 100


@dataclass(slots=True)
class Delivery:
    """One event on its way to one webhook (model WebhookDelivery)."""

    id: int
    event_id: str
    event: str
    body: bytes
    created: datetime
    status: Literal["pending", "delivered", "failed", "exhausted"] = "pending"
    attempts: int = 0
    delivered: datetime | None = None
    last_attempt: datetime | None = None
    last_status: int | None = None
    last_ms: int | None = None
    last_error: str | None = None


@dataclass(slots=True)
class Due:
    """A copy waiting to be sent after `wait` seconds; only the first copy counts and is tried again."""

    delivery: Delivery
    wait: float = 0.0
    counts: bool = True


@dataclass(slots=True)
class Webhook:
    """A registered webhook, its deliveries in order, and those that wait."""

    id: str
    url: str
    events: list[str]
    name: str | None
    secret: str
    created: datetime
    active: bool = True
    failures: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    waiting: list[Due] = field(default_factory=list)
    pump: asyncio.Task[None] | None = None


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of one attempt; `status` is None when nobody answered, `pause` is Retry-After in seconds."""

    status: int | None
    error: str | None
    milliseconds: int
    pause: float = 0.0

    @property
    def good(self) -> bool:
        """Only 2xx is success (Standard Webhooks)."""
        return self.status is not None and 200 <= self.status < 300


class Webhooks:
    """All webhooks of the organisation; deliveries run as tasks of the running event loop."""

    def __init__(
        self, switches: Switches, faults: Faults, clock: Callable[[], datetime], *, timeout: float = 10.0
    ) -> None:
        self.switches = switches
        self.faults = faults
        self.clock = clock
        self.timeout = timeout
        self.all: dict[str, Webhook] = {}
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._retries: dict[asyncio.Task[None], tuple[Webhook, Delivery]] = {}

    def register(
        self, url: str, events: list[str], name: str | None = None, secret: str | None = None
    ) -> Webhook:
        """Add a webhook; without `secret` one is made."""
        secret = secret or "whsec_" + base64.b64encode(self.faults.random.randbytes(24)).decode()
        hook = Webhook(str(next(self._ids)), url, events, name, secret, self.clock())
        self.all[hook.id] = hook
        return hook

    def emit(self, event: str, data: dict[str, Any], at: str, *, action: str | None = None) -> None:
        """Queue one event for every active webhook that asked for it; `data` is the resource as it reads.

        `action` is what an update was, where there is a word for it ("removed").
        """
        hooks = [hook for hook in self.all.values() if hook.active and event in hook.events]
        if not hooks:
            return
        body = msgspec.json.encode(self._envelope(event, data, at, action))
        event_id = f"msg_{self.faults.random.getrandbits(96):024x}"
        for hook in hooks:
            waits = self.faults.copies()
            if not waits:
                continue  # dropped on the way: the vendor knows nothing of it
            delivery = Delivery(next(self._ids), event_id, event, body, self.clock())
            hook.deliveries.append(delivery)
            hook.waiting += [Due(delivery, wait, counts=i == 0) for i, wait in enumerate(waits)]
            self._start(hook)

    def _envelope(self, event: str, data: dict[str, Any], at: str, action: str | None) -> dict[str, Any]:
        """A webhook's body: PS1 names the event, PS2 cuts the data, PS6 says where an action stands."""
        if self.switches.ps2 == "thin":
            data = {name: data[name] for name in ("id", "projectId") if name in data}
        told = {} if action is None else {"action": {"type": action}}
        if self.switches.ps6 == "top":
            return {self.switches.ps1: event, "timestamp": at, "data": data, **told}
        return {self.switches.ps1: event, "timestamp": at, "data": {**data, **told}}

    # --- sending ---

    def _start(self, hook: Webhook) -> None:
        if hook.pump is None or hook.pump.done():
            with suppress(RuntimeError):  # no loop runs yet: `settled` starts it
                hook.pump = self._task(asyncio.get_running_loop(), self._drain(hook))

    def _task(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _drain(self, hook: Webhook) -> None:
        while hook.waiting and hook.active:
            due = self.faults.pick(hook.waiting)
            if due.wait:
                self._task(asyncio.get_running_loop(), self._late(hook, due))
            else:
                await self._attempt(hook, due)

    async def _late(self, hook: Webhook, due: Due) -> None:
        await asyncio.sleep(due.wait)
        if hook.active:
            await self._attempt(hook, due)

    async def _attempt(self, hook: Webhook, due: Due) -> None:
        delivery = due.delivery
        outcome = await self._post(hook, delivery.event_id, delivery.body)
        if not due.counts:
            return
        delivery.attempts += 1
        delivery.last_attempt = self.clock()
        delivery.last_status, delivery.last_ms = outcome.status, outcome.milliseconds
        delivery.last_error = outcome.error
        if outcome.good:
            delivery.status, delivery.delivered, hook.failures = "delivered", delivery.last_attempt, 0
        else:
            self._failed(hook, delivery, outcome)

    def _failed(self, hook: Webhook, delivery: Delivery, outcome: Outcome) -> None:
        gaps = self.switches.ps12
        exhausted = delivery.attempts > len(gaps) or outcome.status == 410
        delivery.status = "exhausted" if exhausted else "failed"
        if exhausted or self.switches.ps13 == "attempts":
            hook.failures += 1
        if outcome.status == 410 or hook.failures >= FAILURES_TO_DISABLE:
            self.disable(hook)
        elif not exhausted:
            self._retry(hook, delivery, max(gaps[delivery.attempts - 1], outcome.pause))

    def disable(self, hook: Webhook) -> None:
        """Switch a webhook off: nothing is sent, and what waited counts as failed."""
        hook.active = False
        for delivery in hook.deliveries:
            if delivery.status == "pending":
                delivery.status = "failed"
        hook.waiting.clear()
        self._unschedule(lambda other, _: other is hook)

    def _retry(self, hook: Webhook, delivery: Delivery, gap: float) -> None:
        jitter = self.switches.ps12_jitter
        gap *= 1 + (self.faults.random.uniform(-jitter, jitter) if jitter else 0.0)

        async def wait() -> None:
            await asyncio.sleep(gap)
            self._again(hook, delivery)

        task = asyncio.get_running_loop().create_task(wait())
        self._retries[task] = hook, delivery
        task.add_done_callback(lambda done: self._retries.pop(done, None))

    def _unschedule(self, which: Callable[[Webhook, Delivery], bool]) -> list[tuple[Webhook, Delivery]]:
        found = [(task, retry) for task, retry in self._retries.items() if which(*retry)]
        for task, _ in found:
            task.cancel()
            del self._retries[task]
        return [retry for _, retry in found]

    def _again(self, hook: Webhook, delivery: Delivery) -> None:
        if hook.active:
            hook.waiting.append(Due(delivery))
            self._start(hook)

    async def _post(self, hook: Webhook, event_id: str, body: bytes, **headers: str) -> Outcome:
        """One attempt; it never follows a redirect."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout))
        headers |= {"Content-Type": "application/json", **self._signed(hook, event_id, body)}
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with self._session.post(
                hook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                error = None if answer.ok and answer.status < 300 else f"HTTP {answer.status}"
                status, pause = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError) as failure:
            status, error, pause = None, type(failure).__name__, ""
        return Outcome(
            status, error, round((loop.time() - start) * 1000), int(pause) if pause.isdigit() else 0
        )

    def _signed(self, hook: Webhook, event_id: str, body: bytes) -> dict[str, str]:
        how, chance = self.faults.delivery, self.faults.random.random
        at = int(self.clock().timestamp())
        if how.old_timestamp and chance() < how.old_timestamp:
            at -= 3600
        secret = hook.secret
        if how.wrong_signature and chance() < how.wrong_signature:
            secret = _OTHER_SECRET
        right = signature(secret, event_id, at, body)
        entries = {
            "one": [right],
            "two": [signature(_OTHER_SECRET, event_id, at, body), right],
            "unknown_first": [right.replace("v1,", "v1a,", 1), right],
        }[self.switches.ps15]
        return {"webhook-id": event_id, "webhook-timestamp": str(at), "webhook-signature": " ".join(entries)}

    # --- what the owner of a webhook may ask for ---

    async def test(self, hook: Webhook, event: str, at: str) -> Outcome:
        """Send an invented event at once; it is in no history (ref POST webhooks/{id}/test)."""
        body = msgspec.json.encode({self.switches.ps1: event, "timestamp": at, "data": {"id": "0"}})
        return await self._post(hook, f"msg_test{next(self._ids)}", body, **{"X-Propstreet-Test": "true"})

    def replay(self, hook: Webhook, since: datetime) -> int:
        """Queue up to 100 failed or exhausted deliveries made after `since` anew; how many."""
        lost = [d for d in hook.deliveries if d.status in ("failed", "exhausted") and d.created > since]
        again = lost[:REPLAYED_AT_ONCE]
        ids = {delivery.id for delivery in again}
        self._unschedule(lambda _, delivery: delivery.id in ids)
        for delivery in again:
            delivery.status, delivery.attempts = "pending", 0
            self._again(hook, delivery)
        return len(again)

    def enable(self, hook: Webhook) -> None:
        """Switch a webhook on again; what failed needs a replay, what happened meanwhile is lost to it."""
        hook.active, hook.failures = True, 0

    def remove(self, hook: Webhook) -> None:
        """Forget a webhook and all it had to send."""
        self.disable(hook)
        del self.all[hook.id]

    # --- for the twin's owner ---

    def retry_now(self) -> None:
        """Make every scheduled retry due at once."""
        for hook, delivery in self._unschedule(lambda _, __: True):
            self._again(hook, delivery)

    async def settled(self, *, retries: bool = False) -> None:
        """Wait until nothing is on its way; with `retries` also until no retry is scheduled."""
        for hook in self.all.values():
            if hook.waiting:
                self._start(hook)
        while pending := {*self._tasks, *(self._retries if retries else ())}:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Stop sending and close the session."""
        running = [*self._tasks, *self._retries]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None


_OTHER_SECRET = "whsec_" + base64.b64encode(b"another key of this webhook").decode()


def signature(secret: str, event_id: str, at: int, body: bytes) -> str:
    """One signature entry: HMAC-SHA256 over "id.timestamp.body" (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{event_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def utc(text: str) -> datetime:
    """An ISO time as aware UTC, read as UTC when bare; raises ValueError."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
