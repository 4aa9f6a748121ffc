"""What the statements of `leases.sql` do. The stand-in's clock is that of the loop."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.sessions import LockKey

_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


def _now() -> datetime:
    return _BEGAN + timedelta(seconds=asyncio.get_running_loop().time())


def _lease(tenant: str, *_: Any) -> list[LockKey]:
    """Taking a lease and the transactions that check it wait for each other. (Those among themselves do not outside.)"""
    return [("leases", tenant)]


@statement("leases.beat")
def beat(t: Tables, daemon: UUID, name: str, tenants: Sequence[str], life: timedelta) -> None:
    t.daemons.put(daemon=daemon, name=name, tenants=list(tenants), expires=_now() + life)


@statement("leases.renew", "tenant")
def renew(t: Tables, daemon: UUID, life: timedelta, tenants: Sequence[str], epochs: Sequence[int]) -> Answers:
    rows: Answers = []
    for tenant, epoch in zip(tenants, epochs, strict=True):
        row = t.leases.get(tenant)
        if row is not None and (row.holder, row.epoch) == (daemon, epoch):
            t.leases.replace(row, expires=_now() + life)
            rows.append((tenant,))
    return rows


@statement("leases.holders", "tenant holder")
def holders(t: Tables) -> Answers:
    rows = [row for row in t.leases.all() if row.expires > _now()]
    return [(row.tenant, row.holder) for row in sorted(rows, key=attrgetter("tenant"))]


@statement("leases.living", "daemon tenants")
def living(t: Tables) -> Answers:
    rows = [row for row in t.daemons.all() if row.expires > _now()]
    return [(row.daemon, row.tenants) for row in sorted(rows, key=attrgetter("daemon"))]


@statement("leases.take", "epoch", holds=_lease)
def take(t: Tables, tenant: str, daemon: UUID, life: timedelta) -> Answers:
    row = t.leases.get(tenant)
    if row is not None and row.expires > _now():
        return []
    epoch = 1 if row is None else row.epoch + 1
    t.leases.put(tenant=tenant, holder=daemon, epoch=epoch, expires=_now() + life)
    return [(epoch,)]


@statement("leases.held", "holder epoch", holds=_lease)
def held(t: Tables, tenant: str) -> Answers:
    row = t.leases.get(tenant)
    return [] if row is None else [(row.holder, row.epoch)]


@statement("leases.release", tells="toveis_leases")
def release(t: Tables, tenant: str, daemon: UUID, epoch: int) -> None:
    row = t.leases.get(tenant)
    if row is not None and (row.holder, row.epoch) == (daemon, epoch):
        t.leases.replace(row, expires=_now())


@statement("leases.vacate")
def vacate(t: Tables, daemon: UUID, everything: bool, known: Iterable[str]) -> None:
    for row in t.leases.all():
        if (everything or row.holder == daemon) and row.tenant not in known and row.expires > _now():
            t.leases.replace(row, expires=_now())


@statement("leases.leave")
def leave(t: Tables, daemon: UUID) -> None:
    for row in t.daemons.all():
        if row.daemon == daemon or row.expires < _now() - _DAY:
            t.daemons.delete(row)


@statement("leases.others", "exists")
def others(t: Tables, daemon: UUID) -> Answers:
    return [(any(row.holder != daemon and row.expires > _now() for row in t.leases.all()),)]
