"""Leases on a real PostgreSQL: who has one, who may take it, and what a former holder can no longer write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.domain.errors import DatabaseUnreachable, LeaseLost, LogReplaced
from daemon.instance import instance
from daemon.processor import Tenant
from daemon.project import Projector, refold
from daemon.service import Service
from daemon.storage import connection, leases, log, views, working
from daemon.storage.connection import Connection
from daemon.storage.leases import MARGIN, Lease
from daemon.tenancy import Holder, Terms
from tests.conftest import eventually
from tests.integration.annals import OPTIONS, TENANT, annals
from tests.integration.ground import append_all, event, pool_at, read, tenant_at, waits_for_a_lock
from tests.integration.test_views import differences

A, B = UUID(int=1), UUID(int=2)
LONG, OVER = 600.0, 0.0
TENANTS = ("bergen", "lund", "malmo", "oslo")
QUICK = Terms(life=2.0, every=0.05, patience=1.0, rest=0.3)


@pytest.fixture
async def pool(database: str) -> AsyncIterator["asyncpg.Pool[Any]"]:
    async with pool_at(database, size=12) as pool:
        yield pool


@pytest.fixture
async def conn(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Connection]:
    async with pool.acquire() as conn:
        yield conn


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


def lease_of(holder: UUID, epoch: int, tenant: str = TENANT) -> Lease:
    return Lease(tenant, holder, epoch, inf, float, lambda: None)


async def taken(conn: Connection, holder: UUID, life: float = LONG) -> Lease:
    epoch = await leases.take(conn, TENANT, holder, life)
    assert epoch is not None
    return lease_of(holder, epoch)


# -- the rows


async def test_a_free_lease_is_taken_once_and_whoever_takes_it_raises_the_epoch(conn: Connection) -> None:
    assert await leases.take(conn, TENANT, A, LONG) == 1
    assert await leases.take(conn, TENANT, B, LONG) is None
    assert await leases.holders(conn) == {TENANT: A}
    await leases.release(conn, lease_of(A, 1))
    assert await leases.holders(conn) == {}
    assert await leases.take(conn, TENANT, B, LONG) == 2


async def test_a_lease_that_is_over_by_the_databases_clock_can_be_taken(conn: Connection) -> None:
    assert await leases.take(conn, TENANT, A, OVER) == 1
    assert await leases.take(conn, TENANT, B, LONG) == 2


async def test_of_many_that_take_at_once_one_gets_it(pool: "asyncpg.Pool[Any]") -> None:
    async def take(holder: UUID) -> int | None:
        async with pool.acquire() as conn:
            return await leases.take(conn, TENANT, holder, LONG)

    assert sorted(map(str, await asyncio.gather(*(take(uuid4()) for _ in range(8))))) == ["1"] + 7 * ["None"]


async def test_a_lease_is_renewed_by_who_has_it_with_this_epoch_also_when_it_is_over(
    conn: Connection,
) -> None:
    lease = await taken(conn, A, OVER)
    assert await leases.renew(conn, A, [lease], LONG) == {TENANT}
    assert await leases.holders(conn) == {TENANT: A}
    for stranger, epoch in ((B, 1), (A, 2)):
        assert await leases.renew(conn, stranger, [lease_of(stranger, epoch)], LONG) == set()


async def test_a_release_with_an_old_epoch_frees_nothing(conn: Connection) -> None:
    await taken(conn, A, OVER)
    await taken(conn, B)
    await leases.release(conn, lease_of(A, 1))
    assert await leases.holders(conn) == {TENANT: B}


async def test_only_what_stands_in_its_own_name_is_freed_after_a_restart_in_place(conn: Connection) -> None:
    await taken(conn, A)
    await leases.vacate(conn, B)
    assert await leases.holders(conn) == {TENANT: A}
    await leases.vacate(conn, A, [TENANT])
    assert await leases.holders(conn) == {TENANT: A}
    await leases.vacate(conn, A)
    assert await leases.take(conn, TENANT, A, LONG) == 2


async def test_whoever_is_alone_frees_everything(conn: Connection) -> None:
    await taken(conn, A)
    await leases.vacate(conn, B, everything=True)
    assert await leases.holders(conn) == {}


def test_a_holder_counts_from_before_it_asked_and_keeps_off_the_end() -> None:
    now = 100.0
    lease = Lease(TENANT, A, 1, 112.0, lambda: now, lambda: None)
    assert lease.left() == 12.0 - MARGIN
    now = 113.0
    assert lease.left() < 0.0
    lease.extend(125.0)
    assert lease.left() == 12.0 - MARGIN
    lease.lose()
    lease.extend(200.0)
    assert lease.left() == -inf


# -- the fence


async def write_events(at: Tenant) -> None:
    await at.appender.append([event()])


async def write_read(at: Tenant) -> None:
    await at.appender.append([read("contact:vitec:ADR9", b'{"contactId": "ADR9"}', at.appender.head)])


async def write_checkpoint(at: Tenant) -> None:
    async with at.writing() as conn:
        await working.move_checkpoint(conn, TENANT, "react", 1)


async def write_cursor(at: Tenant) -> None:
    async with at.writing() as conn:
        await working.open_cursor(conn, TENANT, "vitec", at.clock())


async def write_views(at: Tenant) -> None:
    await Projector(at).tick()


WRITES = (write_events, write_read, write_checkpoint, write_cursor, write_views)
LOOKED_AT = ("events", "checkpoints", "cursors", "reads", "progress", "entities")


async def content(conn: Connection) -> list[Any]:
    return [await conn.fetchval(f"SELECT count(*) FROM {table}") for table in LOOKED_AT]


@pytest.mark.parametrize("write", WRITES)
async def test_a_former_holder_writes_nothing(
    tenant: Tenant, conn: Connection, write: Callable[[Tenant], Awaitable[None]]
) -> None:
    await tenant.appender.append([event()])
    lost: list[str] = []
    lease = Lease(TENANT, A, (await taken(conn, A, OVER)).epoch, inf, float, lambda: lost.append("lost"))
    await taken(conn, B)
    before = await content(conn)
    with pytest.raises(LeaseLost):
        await write(tenant.under(lease))
    assert await content(conn) == before
    assert (lease.lost, lost) == (True, ["lost"])
    await write(tenant.under(lease_of(B, 2)))
    assert await content(conn) != before


async def test_a_holder_whose_lease_is_over_writes_as_long_as_nobody_has_taken_it(
    tenant: Tenant, conn: Connection
) -> None:
    at = tenant.under(await taken(conn, A, OVER))
    for write in WRITES:
        await write(at)


async def test_the_open_port_takes_in_what_comes_without_a_lease_beside_who_has_lost_one(
    tenant: Tenant, conn: Connection
) -> None:
    old = tenant.under(await taken(conn, A, OVER))
    await taken(conn, B)
    outcomes = await asyncio.gather(
        old.appender.append([event()]),
        tenant.appender.append([event()]),
        old.appender.append([event()]),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [LeaseLost, list, LeaseLost]
    assert tenant.appender.head == 1


async def test_a_take_over_waits_for_what_was_checked_and_a_renewal_does_not(
    tenant: Tenant, conn: Connection, pool: "asyncpg.Pool[Any]", database: str
) -> None:
    lease = await taken(conn, A, OVER)
    at = tenant.under(lease)
    async with pool.acquire() as other:
        async with at.writing() as inside:
            assert await leases.renew(conn, A, [lease], OVER) == {TENANT}
            taking = asyncio.create_task(leases.take(other, TENANT, B, LONG))
            await eventually(waits_for_a_lock(database))
            await working.move_checkpoint(inside, TENANT, "react", 7)
        assert await taking == 2
    assert await working.checkpoint(conn, TENANT, "react") == 7


async def test_a_holder_that_is_paused_in_the_middle_of_a_transaction_keeps_nobody_out(
    database: str, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.PATIENCE, "idle_in_transaction_session_timeout", "200ms")
    lease = await taken(conn, A, OVER)

    async def write_and_sleep(at: Tenant) -> None:
        async with at.writing() as inside:
            await working.move_checkpoint(inside, TENANT, "react", 7)
            assert await leases.take(conn, TENANT, B, LONG) == 2
            await working.move_checkpoint(inside, TENANT, "react", 8)

    async with tenant_at(database) as paused:
        with pytest.raises(DatabaseUnreachable):
            await write_and_sleep(paused.under(lease))
    assert await working.checkpoint(conn, TENANT, "react") == 0


# -- views that another daemon has folded with other settings


async def test_whoever_takes_a_tenant_folds_anew_what_was_folded_with_something_else(
    tenant: Tenant, conn: Connection, database: str
) -> None:
    await append_all(tenant.appender, annals(3))
    while await Projector(tenant).tick():
        pass
    await conn.execute("UPDATE progress SET digest = 'another'")
    await conn.execute("UPDATE entities SET linked = NOT linked")
    await conn.execute("DELETE FROM records")
    assert await differences(database)
    stranger = "INSERT INTO progress (tenant, position, digest) VALUES ('elsewhere', 3, 'another')"
    await conn.execute(stranger)
    async with tenant.transaction(conn):
        old = await taken(conn, A, OVER)
    now = await taken(conn, B)
    at = tenant.under(old)
    at.options = OPTIONS
    with pytest.raises(LeaseLost):
        await refold(at)
    at = tenant.under(now)
    at.options = OPTIONS
    await refold(at)
    assert await differences(database) == []
    assert await views.position(conn, TENANT) == await log.head(conn, TENANT)
    assert await views.position(conn, "elsewhere") == 3


# -- the holders


class Stage(Service):
    """A stage that counts, and may be told to fail."""

    fails: type[Exception] | None = None

    def __init__(self, tenant: str) -> None:
        super().__init__("stage", tenant, every=0.02)
        self.ticks = 0

    async def tick(self) -> bool:
        if self.fails is not None:
            raise self.fails("as told")
        self.ticks += 1
        return False


class Daemon:
    """A holder as `daemon.app` makes it, with stages that do nothing."""

    def __init__(self, pool: "asyncpg.Pool[Any]", me: UUID, tenants: tuple[str, ...]) -> None:
        self.now = asyncio.get_running_loop().time
        self.refuses: set[str] = set()
        self.begun: list[Lease] = []
        self._pool = pool
        self.holder = Holder(
            me, str(me), tenants, self.connect, self.begin, ticks=self.now, fresh=uuid4, terms=QUICK
        )
        self.task = asyncio.create_task(self.holder.run())
        self.away = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        if self.away:
            raise DatabaseUnreachable("away")
        async with self._pool.acquire() as conn:
            yield conn

    async def begin(self, lease: Lease) -> list[Service]:
        if lease.tenant in self.refuses:
            raise ValueError("not today")
        self.begun.append(lease)
        return [Stage(lease.tenant)]

    @property
    def has(self) -> set[str]:
        """The tenants whose stages run here."""
        return {service.tenant for service in self.holder.services}

    async def stop(self) -> None:
        await self.holder.close()
        self.holder.stop()
        await self.task

    async def die(self) -> None:
        """As by SIGKILL: nothing is released."""
        for tenancy in self.holder.tenancies.values():
            tenancy.task.cancel()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Start = Callable[..., Daemon]


@pytest.fixture
async def start(pool: "asyncpg.Pool[Any]") -> AsyncIterator[Start]:
    started: list[Daemon] = []

    def start(me: UUID, tenants: tuple[str, ...] = TENANTS) -> Daemon:
        started.append(Daemon(pool, me, tenants))
        return started[-1]

    yield start
    for daemon in started:
        if not daemon.task.done():
            await daemon.stop()


async def even(*daemons: Daemon) -> None:
    """Everybody has a share, and together they have everything once."""

    def shared() -> bool:
        shares = [daemon.has for daemon in daemons]
        return sorted(t for share in shares for t in share) == sorted(TENANTS) and (
            max(map(len, shares)) - min(map(len, shares)) <= 1
        )

    await eventually(shared)


async def test_a_daemon_that_is_alone_runs_every_tenant(start: Start) -> None:
    daemon = start(A)
    await even(daemon)
    assert [lease.epoch for lease in daemon.begun] == [1, 1, 1, 1]


async def test_a_daemon_that_joins_is_handed_its_share_and_keeps_it(start: Start, conn: Connection) -> None:
    first = start(A)
    await even(first)
    second = start(B)
    await even(first, second)
    third = start(UUID(int=3))
    await even(first, second, third)
    epochs = {row["tenant"]: row["epoch"] for row in await conn.fetch("SELECT * FROM leases")}
    stages = [stage for each in (first, second, third) for stage in each.holder.services]
    ticks = {stage: stage.ticks for stage in stages if isinstance(stage, Stage)}
    await eventually(lambda: all(stage.ticks > before + 20 for stage, before in ticks.items()))
    assert epochs == {row["tenant"]: row["epoch"] for row in await conn.fetch("SELECT * FROM leases")}


async def test_a_clean_stop_hands_everything_over_at_once(start: Start, conn: Connection) -> None:
    first, second = start(A), start(B)
    await even(first, second)
    await first.stop()
    assert A not in (await leases.holders(conn)).values()
    assert A not in await leases.living(conn)
    await even(second)


async def test_what_a_killed_daemon_had_is_taken_when_its_lease_is_over(start: Start) -> None:
    first, second = start(A), start(B)
    await even(first, second)
    lost = first.has
    await first.die()
    await even(second)
    assert {lease.epoch for lease in second.begun if lease.tenant in lost} >= {2}


async def test_a_restart_in_place_waits_for_nothing(start: Start, conn: Connection) -> None:
    first = start(A)
    await even(first)
    await first.die()
    for tenant in TENANTS:
        await leases.renew(conn, A, [lease_of(A, 1, tenant)], LONG)
    again = start(A)
    await even(again)
    assert {lease.epoch for lease in again.begun} == {2}


async def test_a_daemon_that_was_away_for_too_long_stops_its_stages_and_starts_others_later(
    start: Start, conn: Connection
) -> None:
    daemon = start(A, (TENANT,))
    await eventually(lambda: daemon.has == {TENANT})
    daemon.away = True
    [lease] = daemon.begun
    await eventually(lambda: lease.left() < 0)
    epoch = await eventually(lambda: leases.take(conn, TENANT, B, 1.0))
    daemon.away = False
    await eventually(lambda: lease.lost)
    await eventually(lambda: len(daemon.begun) == 2)  # once the other one's is over
    assert daemon.begun[1].epoch == epoch + 1
    assert daemon.has == {TENANT}


async def test_a_lease_outlives_a_database_that_is_away_while_nobody_takes_it(start: Start) -> None:
    daemon = start(A, (TENANT,))
    await eventually(lambda: daemon.has == {TENANT})
    daemon.away = True
    [lease] = daemon.begun
    await eventually(lambda: lease.left() < 0)
    daemon.away = False
    await eventually(lambda: lease.left() > 0)
    assert len(daemon.begun) == 1


async def test_a_tenant_that_does_not_start_here_goes_to_another_daemon(start: Start) -> None:
    first = start(A)
    first.refuses.add("oslo")
    await eventually(lambda: len(first.has) == 3)
    second = start(B, ("oslo",))
    await eventually(lambda: second.has == {"oslo"})
    assert len(first.has) == 3


async def test_a_log_that_no_stage_can_live_with_ends_the_daemon(start: Start) -> None:
    daemon = start(A, (TENANT,))
    await eventually(lambda: daemon.has == {TENANT})
    [stage] = daemon.holder.services
    assert isinstance(stage, Stage)
    stage.fails = LogReplaced
    with pytest.raises(LogReplaced):
        await asyncio.wait_for(daemon.task, 10)


async def test_a_stage_that_has_lost_the_lease_ends_with_the_others(start: Start) -> None:
    daemon = start(A, (TENANT,))
    await eventually(lambda: daemon.has == {TENANT})
    [stage] = daemon.holder.services
    assert isinstance(stage, Stage)
    stage.fails = LeaseLost
    [lease] = daemon.begun
    lease.lose()
    await eventually(lambda: len(daemon.begun) == 2)
    assert daemon.begun[1].epoch == 2


async def test_stages_that_begin_anew_drain_before_and_keep_the_lease_that_they_have(start: Start) -> None:
    daemon = start(A, (TENANT,))
    await eventually(lambda: daemon.has == {TENANT})
    [before], [lease] = daemon.holder.services, daemon.begun
    daemon.holder.begin_anew(TENANT)
    daemon.holder.begin_anew("elsewhere")
    await eventually(lambda: len(daemon.begun) == 2 and daemon.has == {TENANT})
    [after] = daemon.holder.services
    assert daemon.begun[1] is lease
    assert isinstance(before, Stage)
    assert isinstance(after, Stage)
    assert after is not before
    ended = before.ticks
    await eventually(lambda: after.ticks > 3)
    assert before.ticks == ended
    assert not lease.lost


# -- which daemon this is


def test_a_daemon_is_the_same_after_a_restart_in_place(tmp_path: Path) -> None:
    with instance(tmp_path / "data", A) as first:
        assert first == A
    with instance(tmp_path / "data", B) as again:
        assert again == A


def test_a_second_daemon_on_the_same_data_dir_is_another_one(tmp_path: Path) -> None:
    with instance(tmp_path, A) as first, instance(tmp_path, B) as second:
        assert (first, second) == (A, B)


def test_without_a_place_to_keep_it_every_start_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with instance(tmp_path / "file", B) as me:
        assert me == B


async def test_two_with_the_same_id_do_not_take_it_from_each_other_for_ever(
    start: Start, conn: Connection
) -> None:
    first = start(A)
    await even(first)
    twin = start(A)  # on a copied data_dir: it frees what the other one has
    await eventually(lambda: first.holder.me != A)
    await even(first, twin)
    assert twin.holder.me == A
    before = await conn.fetch("SELECT tenant, epoch FROM leases ORDER BY tenant")
    stages = [stage for each in (first, twin) for stage in each.holder.services]
    seen = {stage: stage.ticks for stage in stages if isinstance(stage, Stage)}
    await eventually(lambda: all(stage.ticks > ticks + 30 for stage, ticks in seen.items()))
    assert await conn.fetch("SELECT tenant, epoch FROM leases ORDER BY tenant") == before
