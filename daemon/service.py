"""The skeleton of everything that runs: wait for a wake or for time to pass, tick, and come back after a failure."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

from daemon.domain.errors import (
    AccessDenied,
    CheckpointMoved,
    DatabaseUnreachable,
    LeaseLost,
    LogReplaced,
    UnknownEventError,
    VendorAway,
    VendorError,
)
from daemon.pulse import Work
from daemon.telemetry import log

LONGEST_REST = 30.0


class Service(ABC):
    """One loop. `tick` returns True when there is more to do at once; a failed tick is repeated after a rest."""

    closed_for = 300.0
    """Seconds to rest after a vendor said that we have no access."""

    def __init__(self, name: str, tenant: str, *, every: float = 1.0) -> None:
        self.name = name
        self.tenant = tenant
        self.every = every
        self.wake = asyncio.Event()
        self.work = Work(name, tenant)
        self.took = 0.0
        self.failures = 0
        self._stop = asyncio.Event()
        self._roused = asyncio.Event()
        self._log = log.bind(stage=name, tenant=tenant)

    async def start(self) -> None:
        """What must be done once, before the first tick."""

    async def before(self) -> None:
        """What must be waited for before each tick."""

    @abstractmethod
    async def tick(self) -> bool:
        """Do what is due now; True when there is more."""

    async def finish(self) -> None:
        """What must be done once, after the last tick."""

    def came_round(self) -> None:
        """What is to be done each time that the loop comes round, whatever became of its tick."""

    def stop(self) -> None:
        """End after the tick that is under way."""
        self._stop.set()
        self.rouse()

    def rouse(self) -> None:
        """End a rest: an operator wants it tried now, also with a vendor that refused us."""
        self._roused.set()
        self.wake.set()

    async def run(self) -> None:
        """Tick until stopped, or until the tenant is another daemon's. Only a log that is not ours to read is an error."""
        started = False
        while not self._stop.is_set():
            self.came_round()
            try:
                if not started:
                    with self.work.under_way():
                        await self.start()
                    started = True
                await self.before()
                self.wake.clear()
                began = asyncio.get_running_loop().time()
                with self.work.under_way():
                    more = await self.tick()
                self.took = asyncio.get_running_loop().time() - began
                self.failures = 0
            except (UnknownEventError, LogReplaced):
                raise
            except LeaseLost:
                break
            except AccessDenied as error:
                await self._rest(type(error).__name__, self.closed_for)
            except VendorAway as error:
                await self._rest(type(error).__name__, error.retry_after)
            except VendorError as error:
                await self._rest(type(error).__name__)
            except (DatabaseUnreachable, CheckpointMoved) as error:
                await self._rest(type(error).__name__)
            except Exception:
                self._log.exception("service.failed")
                await self._rest("failed")
            else:
                if not more:
                    await self._wait(self.every)
        with self.work.under_way():
            await self.finish()

    async def _rest(self, reason: str, pause: float | None = None) -> None:
        self.failures += 1
        if pause is None:
            pause = min(LONGEST_REST, 0.1 * 2 ** min(self.failures, 10))
        tell = (
            self._log.debug if reason == VendorAway.__name__ else self._log.warning
        )  # told once, by the lookout
        tell("service.resting", reason=reason, seconds=pause)
        self._roused.clear()
        if not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._roused.wait(), pause)

    async def _wait(self, seconds: float) -> None:
        if not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), seconds)
