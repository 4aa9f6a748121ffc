"""Whether a vendor can be reached: while it is away nobody calls it but one who looks, and everybody else waits."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from daemon.domain.breaker import Breaker
from daemon.domain.errors import VendorAway, VendorError

PATIENCE: Final = 10.0
"""Seconds that a look may take: less than a call, since somebody waits for it."""

UNDER_WAY: Final = 1.0
"""Seconds after which to ask again while somebody else looks."""


class Reach:
    """The breaker of one vendor's credential, shared by all who call with it.

    `clock`: seconds that never go back; `chance`: random in [0, 1).
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self.breaker = Breaker()
        self.clock = clock
        self.skew: float | None = None
        """Seconds by which the vendor's clock is ahead of ours, as its last answer said; None before any that did."""
        self._chance = chance
        self._looking: asyncio.Task[object] | None = None

    def check(self) -> None:
        """Return if a call may leave; raises VendorAway."""
        if self.breaker.since is not None and self._looking is not asyncio.current_task():
            raise VendorAway("the vendor is away", retry_after=self._delay())

    async def look(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Return if the vendor is there, or answers now when it is asked; raises VendorAway."""
        if self.breaker.since is None or self._looking is asyncio.current_task():
            return
        if self._looking is not None or self.breaker.delay(self.clock()) > 0.0:
            self.check()
        self._looking, began = asyncio.current_task(), self.clock()
        try:
            async with asyncio.timeout(PATIENCE):
                await ask()
        except TimeoutError:
            self.failed(began)
        except VendorError:  # what it means was told already
            pass
        finally:
            self._looking = None
        self.check()

    def left(self) -> float:
        """When a call leaves, for `answered` and `failed`."""
        return self.clock()

    def answered(self, left: float) -> None:
        """The vendor said something."""
        self.breaker.answered(left)

    def failed(self, left: float) -> None:
        """The vendor said nothing, or that it is broken."""
        self.breaker.failed(left, self.clock(), self._chance())

    def _delay(self) -> float:
        return max(self.breaker.delay(self.clock()), UNDER_WAY if self._looking is not None else 0.05)
