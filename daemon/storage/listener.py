"""Wakes the stages when another one has committed. A hint only: every stage also looks by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from daemon.storage.connection import UNREACHABLE

EVENTS: Final = "toveis"
VIEWS: Final = "toveis_views"
READS: Final = "toveis_reads"
POLLS: Final = "toveis_polls"
RETRIES: Final = "toveis_retries"
LEASES: Final = "toveis_leases"

Heard = Callable[[str, str], None]
"""heard(channel, tenant)."""


class Listener:
    """One LISTEN connection for the process; it is made anew when it is lost."""

    def __init__(self, dsn: str, heard: Heard) -> None:
        self._dsn = dsn
        self._heard = heard

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with suppress(*UNREACHABLE, asyncpg.PostgresError):
                await self._listen()
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        gone = asyncio.Event()
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            connection.add_termination_listener(lambda _: gone.set())
            for channel in (EVENTS, VIEWS, READS, POLLS, RETRIES, LEASES):
                await connection.add_listener(channel, self._on_notify)
            await gone.wait()
        finally:
            await connection.close(timeout=1)

    def _on_notify(self, _: Any, __: int, channel: str, payload: object) -> None:
        self._heard(channel, str(payload))
