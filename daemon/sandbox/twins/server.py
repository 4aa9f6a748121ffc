"""What both twins need to stand on a port: serving on loopback, and counting calls against rate limits."""

import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web


@asynccontextmanager
async def serve(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 and yield the base address ("http://127.0.0.1:40123"); port 0 takes a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


def date_by(app: web.Application, clock: Callable[[], datetime]) -> None:
    """Every answer's Date is that of the twin's own clock, which may be wrong."""

    async def prepare(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(clock().astimezone(UTC), usegmt=True)

    app.on_response_prepare.append(prepare)


@dataclass(slots=True)
class Window:
    """At most `limit` calls in `seconds`; fixed windows start at whole multiples of `seconds`."""

    limit: int
    seconds: int
    sliding: bool = False
    _calls: deque[float] = field(default_factory=deque)

    def expire(self, now: float) -> None:
        """Forget the calls that no longer count at `now` (Unix seconds)."""
        start = now - self.seconds if self.sliding else now - now % self.seconds
        while self._calls and (self._calls[0] <= start if self.sliding else self._calls[0] < start):
            self._calls.popleft()

    def count(self, now: float) -> None:
        """Note one accepted call."""
        self._calls.append(now)

    @property
    def remaining(self) -> int:
        """How many calls are left, as of the last `expire`."""
        return self.limit - len(self._calls)

    def reset(self, now: float) -> int:
        """Whole seconds, at least 1, until a call is free again."""
        if not self.sliding:
            return max(1, math.ceil(self.seconds - now % self.seconds))
        return max(1, math.ceil(self._calls[0] + self.seconds - now)) if self._calls else self.seconds


@dataclass(slots=True, frozen=True)
class Allowance:
    """The answer to one call: whether it may pass, and the tightest window's figures (`reset` in seconds)."""

    allowed: bool
    limit: int
    remaining: int
    reset: int


class RateLimit:
    """Several windows obeyed at once; a refused call counts against none."""

    def __init__(self, *windows: Window) -> None:
        self.windows = windows

    def take(self, now: datetime) -> Allowance:
        """Count one call at `now`, if every window has room for it."""
        at = now.timestamp()
        for window in self.windows:
            window.expire(at)
        full = [window for window in self.windows if window.remaining <= 0]
        if full:
            worst = max(full, key=lambda window: window.reset(at))
            return Allowance(allowed=False, limit=worst.limit, remaining=0, reset=worst.reset(at))
        for window in self.windows:
            window.count(at)
        tightest = min(self.windows, key=lambda window: window.remaining)
        return Allowance(True, tightest.limit, tightest.remaining, tightest.reset(at))
