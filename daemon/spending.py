"""The calls of one vendor's credential, on record in the database: every process that uses it knows of all of them."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from daemon.domain.settings import PropstreetSettings, VitecSettings
from daemon.domain.windows import Spent
from daemon.storage import calls
from daemon.storage.connection import Connection
from daemon.vendors.limiter import Block

PATIENCE: Final = 30.0
"""So many seconds after it left a call is answered or given up; until then the vendor may count it."""

WIDEST: Final = timedelta(hours=1)
"""What no window holds any more is forgotten."""


def fingerprint(*parts: str) -> str:
    """What a credential is called on record: the name tells nothing about it."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()


def login(vitec: VitecSettings) -> tuple[str, str, str]:
    """What Vitec counts the calls of: nobody says whether by login or by customer, so by both."""
    return vitec.base_url, vitec.username, vitec.customer_id


def client(propstreet: PropstreetSettings) -> tuple[str, str]:
    """What Propstreet counts the calls of."""
    return propstreet.base_url, propstreet.client_id


class Spending:
    """One process's ledger of a credential's calls. `holder` is this start; `clock` gives wall time, `ticks` the
    limiter's seconds. The clocks of machines that share a credential must agree: what they differ by, a window leaks.
    """

    def __init__(
        self,
        credential: str,
        holder: UUID,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        clock: Callable[[], datetime],
        ticks: Callable[[], float],
    ) -> None:
        self._credential, self._holder = credential, holder
        self._connect, self._clock, self._ticks = connect, clock, ticks
        self._blocks = 0

    async def take(
        self, room: Callable[[Sequence[Spent]], int], until: float, over: Sequence[Block]
    ) -> Block:
        """See Ledger. Raises StorageError, and then nothing is on record."""
        now, ticks = self._clock(), self._ticks()

        def wall(moment: float) -> datetime:
            return now + timedelta(seconds=moment - ticks)

        async with self._connect() as conn, conn.transaction():
            await calls.lock(conn, self._credential)
            await calls.forget(conn, self._credential, now - WIDEST)
            for block in over:
                ended = wall(block.ended) if block.used else now
                await calls.settle(conn, self._credential, self._holder, block.number, block.used, ended)
            others = await calls.of_others(conn, self._credential, self._holder)
            granted = room([Spent(ticks + (o.counted_at - now).total_seconds(), o.calls) for o in others])
            if not granted:
                return Block(0, 0, until)
            self._blocks += 1
            counted = wall(until + PATIENCE)
            await calls.record(conn, self._credential, self._holder, self._blocks, granted, counted)
        return Block(self._blocks, granted, until)
