"""The mark beside the database: an older log is recognised, a younger one is not taken for it, and views know of it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon import telemetry
from daemon.domain.errors import LogReplaced
from daemon.domain.events import LOG_RESTORED, LogRestored, decision_of
from daemon.domain.streams import VENDORS
from daemon.incarnation import RESTORED_BY_HAND, Keeper, Mark, MarkFile
from daemon.processor import Tenant
from daemon.storage import log, rebuild, views, working
from daemon.storage.connection import owner
from projections.views import VIEWS
from tests.integration.annals import NOON, OPTIONS, TENANT, annals
from tests.integration.ground import append_all, event, rows_of, tenant_at, whole_log
from tests.integration.ground import read as read_of
from tests.integration.test_views import catch_up, differences

Said = Callable[[], list[str]]


@pytest.fixture
async def tenant(database: str) -> AsyncIterator[Tenant]:
    async with tenant_at(database) as tenant:
        yield tenant


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """The names of what was logged since it was last asked."""
    telemetry.setup("info", console=False)
    return lambda: [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]


async def cut(dsn: str, upto: int) -> None:
    """Bring the log back to where it was at a position, as a backup would."""
    async with owner(dsn) as conn:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("DELETE FROM toveis.events WHERE position > $1", upto)


async def start(dsn: str, place: Path) -> tuple[list[LogRestored], uuid.UUID]:
    """Start anew on a database, and stop again: what the log says of restores, and the mark of its command ids."""
    async with tenant_at(dsn) as tenant:
        keeper = Keeper(tenant, mark_in(place))
        await keeper.recognise()
        await keeper.close()
        async with tenant.connection() as conn:
            incarnation = await log.incarnation(conn, TENANT)
    told = [decision_of(each) for each in await whole_log(dsn) if each.type == LOG_RESTORED]
    return [each for each in told if isinstance(each, LogRestored)], incarnation.mark


def polled(cursors: dict[str, working.Cursor]) -> bool:
    """Everybody was seen at both vendors."""
    return all(cursors[working.source_of(vendor, "contact")].whole() for vendor in VENDORS)


def mark_in(place: Path) -> MarkFile:
    return MarkFile(place, TENANT)


async def filled(tenant: Tenant, place: Path, events: int = 5) -> Keeper:
    """A log with some events, and its mark."""
    await tenant.appender.append([event() for _ in range(events)])
    keeper = Keeper(tenant, mark_in(place))
    await keeper.tick()
    return keeper


async def test_the_mark_names_the_newest_event(tenant: Tenant, database: str, tmp_path: Path) -> None:
    await filled(tenant, tmp_path)
    newest = (await whole_log(database))[-1]
    mark = await mark_in(tmp_path).read()
    assert (mark.position, mark.event) == (newest.position, newest.event_id)
    assert mark_in(tmp_path).path == tmp_path / "marks" / f"{TENANT}.json"


async def test_the_first_start_is_no_restore(database: str, tmp_path: Path, said: Said) -> None:
    assert (await start(database, tmp_path))[0] == []
    assert said() == []


async def test_a_log_that_is_where_its_mark_is_or_has_grown_since_is_no_restore(
    tenant: Tenant, database: str, tmp_path: Path, said: Said
) -> None:
    await filled(tenant, tmp_path)
    assert (await start(database, tmp_path))[0] == []
    await tenant.appender.append([event(), event()])  # and the daemon is killed before it can keep the mark
    assert (await start(database, tmp_path))[0] == []
    assert said() == []


async def test_a_log_that_lacks_the_event_of_its_mark_was_restored(
    tenant: Tenant, database: str, tmp_path: Path, said: Said
) -> None:
    await filled(tenant, tmp_path)
    async with tenant.connection() as conn:
        before = await log.incarnation(conn, TENANT)
    await cut(database, 3)
    [restored], mark = await start(database, tmp_path)
    assert restored == LogRestored(mark, known=5)
    assert mark != before.mark
    assert said() == ["mark.log_restored"]
    assert await start(database, tmp_path) == ([restored], mark)


async def test_a_restored_log_that_went_on_elsewhere_is_recognised_however_long_it_has_become(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path)
    await cut(database, 3)
    async with tenant_at(database) as elsewhere:
        await elsewhere.appender.append([event() for _ in range(10)])
    assert len((await start(database, tmp_path))[0]) == 1


async def test_the_same_backup_restored_twice_has_two_marks(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path)
    marks = set()
    for _ in range(2):
        await cut(database, 3)
        [_], mark = await start(database, tmp_path)
        marks.add(mark)
    assert len(marks) == 2


async def test_a_daemon_that_does_not_have_the_tenant_keeps_up_its_mark(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path / "one")
    async with tenant_at(database) as elsewhere:
        idle = Keeper(elsewhere, mark_in(tmp_path / "two"))
        await idle.tick()
        await tenant.appender.append([event() for _ in range(10)])
        await idle.tick()
    await cut(database, 9)
    assert len((await start(database, tmp_path / "two"))[0]) == 1


async def test_of_two_daemons_that_find_the_log_restored_one_says_so(
    tenant: Tenant, database: str, tmp_path: Path, said: Said
) -> None:
    for name in ("one", "two"):
        await filled(tenant, tmp_path / name)
    await cut(database, 3)
    [restored], mark = await start(database, tmp_path / "one")
    assert await start(database, tmp_path / "two") == ([restored], mark)
    assert await start(database, tmp_path / "one") == ([restored], mark)
    assert said() == ["mark.log_restored"]


async def test_of_two_that_find_it_at_the_same_moment_one_says_so(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        await filled(tenant, tmp_path / name)
    await cut(database, 3)
    async with tenant_at(database) as one, tenant_at(database) as two:
        keepers = (Keeper(one, mark_in(tmp_path / "one")), Keeper(two, mark_in(tmp_path / "two")))
        await asyncio.gather(*(keeper.recognise() for keeper in keepers))
    assert [each.type for each in await whole_log(database)].count(LOG_RESTORED) == 1


async def test_a_backup_of_before_an_earlier_restore_is_recognised_by_a_daemon_that_was_told_of_that_one(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        await filled(tenant, tmp_path / name)
    await cut(database, 4)
    await start(database, tmp_path / "one")
    await start(database, tmp_path / "two")
    await cut(database, 2)
    [_], mark = await start(database, tmp_path / "two")
    assert await start(database, tmp_path / "one") == (
        [decision_of(each) for each in await whole_log(database) if each.type == LOG_RESTORED],
        mark,
    )


async def test_an_empty_database_in_the_place_of_a_full_one_was_restored_too(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path)
    await cut(database, 0)
    [restored], _ = await start(database, tmp_path)
    assert [each.type for each in await whole_log(database)] == [LOG_RESTORED]
    assert restored.known == 5


async def test_an_operator_says_so_where_the_mark_came_out_of_the_backup_too(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path)
    mark_in(tmp_path).path.write_bytes(RESTORED_BY_HAND + b"\n")
    [restored], _ = await start(database, tmp_path)
    assert restored.known == 0
    assert len((await start(database, tmp_path))[0]) == 1


@pytest.mark.parametrize("text", [None, b"", b'{"position": 3}', b"\x00\xff"])
async def test_without_a_mark_that_can_be_read_nothing_is_said_of_a_restore_but_that(
    tenant: Tenant, database: str, tmp_path: Path, said: Said, text: bytes | None
) -> None:
    await filled(tenant, tmp_path)
    mark_in(tmp_path).path.unlink()
    if text is not None:
        mark_in(tmp_path).path.write_bytes(text)
    await cut(database, 3)
    assert (await start(database, tmp_path))[0] == []
    assert said() == ["mark.missing"]
    assert (await mark_in(tmp_path).read()).position == 3


async def test_without_a_place_for_the_mark_everything_else_goes_on(
    tenant: Tenant, tmp_path: Path, said: Said
) -> None:
    (tmp_path / "marks").write_text("a file")
    keeper = await filled(tenant, tmp_path)
    await keeper.recognise()
    for _ in range(2):
        await tenant.appender.append([event()])
        await keeper.tick()
    assert said() == ["mark.not_kept", "mark.missing"]


async def test_a_log_that_is_replaced_under_a_running_daemon_ends_it(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    keeper = await filled(tenant, tmp_path)
    kept = await mark_in(tmp_path).read()
    await cut(database, 3)
    with pytest.raises(LogReplaced, match="lost event 5"):
        await keeper.run()
    await keeper.close()
    assert await mark_in(tmp_path).read() == kept


async def test_a_mark_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    file, mark = mark_in(tmp_path), Mark(7, uuid.uuid4())
    await file.write(mark)
    file.path.with_suffix(".new").write_bytes(b'{"posi')  # the power failed while the next one was written
    assert await file.read() == mark
    await file.write(Mark(8, mark.event))
    assert (await file.read()).position == 8


async def test_after_a_restore_the_polls_begin_anew_and_nothing_counts_as_read(
    tenant: Tenant, database: str, tmp_path: Path
) -> None:
    await filled(tenant, tmp_path)
    await tenant.appender.append([read_of("contact:vitec:ADR1", b"{}", 5)])
    async with tenant.connection() as conn:
        for source in ("vitec", "propstreet:contact", "propstreet:prospect", "propstreet:prospect:7"):
            await working.open_cursor(conn, TENANT, source, NOON)
            await working.move_cursor(conn, TENANT, source, "2026-05-18T10:00:00Z")
        for source in ("vitec", "propstreet:contact"):
            await working.complete_cursor(conn, TENANT, source, 5, NOON)
        assert polled(await working.cursors(conn, TENANT))
    await cut(database, 3)
    await start(database, tmp_path)
    async with tenant.connection() as conn:
        cursors = await working.cursors(conn, TENANT)
        assert {cursor.cursor for cursor in cursors.values()} == {None}
        assert {cursor.started_at for cursor in cursors.values()} == {NOON}
        # what was not complete before is a first poll still: what it finds waits for its release
        assert {source: cursor.complete for source, cursor in cursors.items()} == {
            "vitec": -1,
            "propstreet:contact": -1,
            "propstreet:prospect": None,
        }
        assert not polled(cursors)
        assert await working.reads(conn, TENANT, ["contact:vitec:ADR1"]) == {}
        await working.complete_cursor(conn, TENANT, "vitec", 9, NOON)
        await working.complete_cursor(conn, TENANT, "propstreet:contact", 9, NOON)
        assert polled(await working.cursors(conn, TENANT))


@pytest.mark.parametrize("size", [7, 500])
async def test_every_entity_of_the_live_views_needs_a_read_as_in_a_fresh_fold(
    tenant: Tenant, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(views, "PAGE", size)
    await append_all(tenant.appender, annals(6, 320))
    await catch_up(tenant)
    await Keeper(tenant, mark_in(tmp_path)).tick()
    await cut(database, 300)
    async with owner(database) as conn:
        await rebuild.rebuild(conn, {TENANT: OPTIONS})  # the views of the backup
    await start(database, tmp_path)
    async with tenant_at(database) as anew:
        await anew.appender.append([event("contact:propstreet:new")])  # on the same page
        await catch_up(anew)
    assert await differences(database) == []
    async with owner(database) as conn:
        rows: dict[str, list[dict[str, Any]]] = {view: await rows_of(conn, view) for view in VIEWS}
    assert {row["need"] for row in rows["records"] if row["external_id"] != "new"} == {301}
    assert {row["state"] for row in rows["commands"]} & {"pending", "flying", "unknown"} == set()
    assert len(rows["entities"]) > 30
