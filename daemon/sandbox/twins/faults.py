"""Faults on order: what goes wrong between a client and a twin, and between a twin and a receiver.

All chance comes from one seeded random, so a run can be repeated.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Kind = Literal[
    "timeout_before",  # never answers, nothing done
    "timeout_after",  # done, then no answer
    "drop_before",  # closes the connection at once, nothing done
    "drop_after",  # done, then closes the connection without an answer
    "500",  # nothing done
    "503",  # nothing done
    "429",  # nothing done, Retry-After: 1
    "broken_json",  # done, then 200 with a body that does not parse
]

Item = TypeVar("Item")
Failure = Callable[[int, Mapping[str, str]], web.StreamResponse]


@dataclass(slots=True)
class Plan:
    """Strike the next `times` matching calls with `kind`, after letting `after` of them pass."""

    kind: Kind
    method: str | None = None
    path_contains: str = ""
    times: int = 1
    after: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether this call is struck; counts it if it matches."""
        if self.times <= 0 or self.method not in (None, method) or self.path_contains not in path:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass(slots=True)
class Delivery:
    """How badly webhooks and notifications travel; the default is once, at once and in order."""

    drop: float = 0.0  # share 0..1 that is never sent
    copies: int = 1  # 1 = once, 3 = thrice
    shuffle: bool = False  # a random waiting one goes first
    delay: float = 0.0  # longest random wait before each copy, seconds
    wrong_signature: float = 0.0  # share of attempts signed with another key (where there are signatures)
    old_timestamp: float = 0.0  # share of attempts whose time is an hour old

    @property
    def orderly(self) -> bool:
        """True when one after the other is enough; else several may be on their way at once."""
        return self.copies == 1 and not self.shuffle and not self.delay


def plain_failure(status: int, headers: Mapping[str, str]) -> web.StreamResponse:
    """A failure without a body; a twin gives its vendor's form instead."""
    return web.Response(status=status, headers=headers)


@dataclass
class Faults:
    """The faults of one twin: planned ones first, then random ones.

    `timeout` is how long, in seconds, a timed-out call hangs before the connection is closed.
    `struck` counts what really happened, by kind.
    """

    seed: int = 0
    timeout: float = 0.2
    failure: Failure = plain_failure
    delivery: Delivery = field(default_factory=Delivery)
    struck: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._plans: list[Plan] = []
        self._rates: dict[Kind, float] = {}

    def plan(
        self,
        kind: Kind,
        *,
        method: str | None = None,
        path_contains: str = "",
        times: int = 1,
        after: int = 0,
    ) -> None:
        """Strike `times` calls of this method and path, after letting `after` pass; None = any method."""
        self._plans.append(Plan(kind, method, path_contains, times, after))

    def random_rate(self, kind: Kind, share: float) -> None:
        """Strike this share (0..1) of all calls by chance; 0 ends it."""
        self._rates[kind] = share

    def clear(self) -> None:
        """End every fault: nothing planned, nothing random, deliveries orderly again."""
        self._plans.clear()
        self._rates.clear()
        self.delivery = Delivery()

    def next(self, method: str, path: str) -> Kind | None:
        """The fault that strikes this call, if any."""
        struck = next((plan.kind for plan in self._plans if plan.strikes(method, path)), None)
        if struck is None:
            struck = next((kind for kind, share in self._rates.items() if self.random.random() < share), None)
        if struck is not None:
            self.struck[struck] += 1
        return struck

    @property
    def middleware(self) -> Middleware:
        """The aiohttp middleware that strikes; put it first, outside login and limits."""

        @web.middleware
        async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
            match self.next(request.method, request.path):
                case None:
                    return await handler(request)
                case "500" | "503" | "429" as kind:
                    return self.failure(int(kind), {"Retry-After": "1"} if kind == "429" else {})
                case "broken_json":
                    await _done(request, handler)
                    return web.Response(text='{"id": "1", "na', content_type="application/json")
                case kind:
                    return await self._silence(kind, request, handler)

        return strike

    async def _silence(self, kind: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        when, _, done = kind.partition("_")
        if done == "after":
            await _done(request, handler)
        if when == "timeout":
            await asyncio.sleep(self.timeout)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # goes nowhere: the connection is closed

    def copies(self) -> list[float]:
        """The waits, in seconds, before each copy of one delivery; empty when it is dropped."""
        how = self.delivery
        if how.drop and self.random.random() < how.drop:
            return []
        return [self.random.uniform(0, how.delay) if how.delay else 0.0 for _ in range(how.copies)]

    def pick(self, waiting: list[Item]) -> Item:
        """Take the next delivery from those waiting: the first, or with `shuffle` any."""
        return waiting.pop(self.random.randrange(len(waiting)) if self.delivery.shuffle else 0)


async def _done(request: web.Request, handler: Handler) -> None:
    with suppress(web.HTTPException):
        await handler(request)
