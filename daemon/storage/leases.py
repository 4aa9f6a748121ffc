"""Leases: which daemon runs a tenant's stages, and the fence that keeps a former holder from writing.

A lease is a row with an epoch. It lasts until a moment of the database's clock. Its holder counts by a clock of its
own, from before it asked, and so never believes in it longer than the database does.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Final
from uuid import UUID

import msgspec

from daemon.domain.errors import LeaseLost
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("leases")

MARGIN: Final = 1.0
"""Seconds that a holder keeps off the end: clocks do not run quite alike, and time-outs are rounded up."""


class Lease:
    """The right to run a tenant's stages. `ticks` are seconds that run on while the process is stopped; `until` is one
    of them. `on_loss` is called once, when it turns out that somebody else has it."""

    def __init__(
        self,
        tenant: str,
        holder: UUID,
        epoch: int,
        until: float,
        ticks: Callable[[], float],
        on_loss: Callable[[], None],
    ) -> None:
        self.tenant = tenant
        self.holder = holder
        self.epoch = epoch
        self.lost = False
        self._until = until
        self._ticks = ticks
        self._on_loss = on_loss

    def left(self) -> float:
        """Seconds for which surely nobody else has it; not above 0 when it may be over."""
        return self._until - MARGIN - self._ticks()

    def extend(self, until: float) -> None:
        """It was renewed."""
        if not self.lost:
            self._until = until

    def lose(self) -> None:
        """Somebody else has it: it never comes back, only another one with a later epoch."""
        if not self.lost:
            self.lost, self._until = True, -inf
            self._on_loss()

    async def check(self, conn: Connection) -> None:
        """Make sure that nobody takes it before the caller's transaction ends; raises LeaseLost."""
        row = await conn.fetchrow(_sql["held"], self.tenant)
        if self.lost or row is None or (row["holder"], row["epoch"]) != (self.holder, self.epoch):
            self.lose()
            raise LeaseLost("another daemon has this tenant now")


class Tenure(msgspec.Struct, frozen=True):
    """Who holds a tenant, as `status` tells it. `name` is None for a daemon that nobody remembers."""

    holder: UUID
    name: str | None
    epoch: int
    expires: datetime
    live: bool


async def beat(conn: Connection, daemon: UUID, name: str, tenants: Sequence[str], life: float) -> None:
    """Say that a daemon lives, and whom it would serve."""
    await conn.execute(_sql["beat"], daemon, name, tenants, timedelta(seconds=life))


async def renew(conn: Connection, daemon: UUID, held: Iterable[Lease], life: float) -> set[str]:
    """Let leases last longer; the tenants of those that are still there."""
    held = list(held)
    rows = await conn.fetch(
        _sql["renew"],
        daemon,
        timedelta(seconds=life),
        [lease.tenant for lease in held],
        [lease.epoch for lease in held],
    )
    return {row["tenant"] for row in rows}


async def holders(conn: Connection) -> dict[str, UUID]:
    """Who holds which tenant now."""
    return {row["tenant"]: row["holder"] for row in await conn.fetch(_sql["holders"])}


async def living(conn: Connection) -> dict[UUID, frozenset[str]]:
    """The daemons that live, with the tenants that each would serve."""
    return {row["daemon"]: frozenset(row["tenants"]) for row in await conn.fetch(_sql["living"])}


async def take(conn: Connection, tenant: str, daemon: UUID, life: float) -> int | None:
    """Take a lease that is free or over; its epoch, or None when somebody else was faster.

    Waits for the transactions that checked the last one.
    """
    epoch: int | None = await conn.fetchval(_sql["take"], tenant, daemon, timedelta(seconds=life))
    return epoch


async def release(conn: Connection, lease: Lease) -> None:
    """Let somebody else have it at once."""
    await conn.execute(_sql["release"], lease.tenant, lease.holder, lease.epoch)


async def vacate(
    conn: Connection, daemon: UUID, known: Collection[str] = (), *, everything: bool = False
) -> None:
    """Free what stands in a daemon's name, or all that anybody has, but for the tenants that it knows to have."""
    await conn.execute(_sql["vacate"], daemon, everything, list(known))


async def leave(conn: Connection, daemon: UUID) -> None:
    """This daemon lives no more; nor do those that nobody has heard of for a day."""
    await conn.execute(_sql["leave"], daemon)


async def others(conn: Connection, daemon: UUID) -> bool:
    """Whether any tenant is another daemon's."""
    found: bool = await conn.fetchval(_sql["others"], daemon)
    return found


async def tenure(conn: Connection, tenant: str) -> Tenure | None:
    """Who holds a tenant, or held it last; None for one that nobody ever had."""
    row = await conn.fetchrow(_sql["of_tenant"], tenant)
    return None if row is None else Tenure(*row)
