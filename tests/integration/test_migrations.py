"""Migrations: from nothing, once, one process at a time, and never past a file that changed."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from daemon.domain.errors import DatabaseUnreachable, StorageError, UsageError
from daemon.storage import migrations
from daemon.storage.connection import owner
from projections.views import VIEWS
from tests.integration.ground import appender_at, event

ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))
numbers = itertools.count()


@pytest.fixture
async def empty(
    admin: "asyncpg.Connection[asyncpg.Record]", dsn_of: Callable[[str], str]
) -> AsyncIterator[str]:
    """The dsn of a database that nobody has migrated."""
    name = f"toveis_empty_{next(numbers)}"
    await admin.execute(f"CREATE DATABASE {name}")
    yield dsn_of(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, which the runner takes for those that came with the program."""
    copied = Path(shutil.copytree(ROOT / "migrations", tmp_path / "migrations"))
    monkeypatch.setattr(migrations, "_folder", lambda: copied)
    return copied


async def tables(dsn: str, schema: str) -> set[str]:
    async with owner(dsn) as conn:
        return {
            row[0]
            for row in await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
        }


async def test_a_database_is_made_from_nothing(empty: str) -> None:
    async with owner(empty) as conn:
        assert await migrations.missing(conn) == FILES
    assert await migrations.migrate(empty) == FILES
    assert {"events", "checkpoints", "cursors", "reads", "incarnation"} <= await tables(empty, "toveis")
    assert await tables(empty, "views") == {*VIEWS, "progress"}
    async with appender_at(empty) as appender:
        assert (await appender.append([event()]))[0].position == 1


async def test_a_second_time_there_is_nothing_to_do(empty: str) -> None:
    await migrations.migrate(empty)
    async with owner(empty) as conn:
        mark = await conn.fetchval("SELECT mark FROM incarnation")
        assert await migrations.missing(conn) == []
        assert await migrations.migrate(empty) == []
        assert await conn.fetchval("SELECT mark FROM incarnation") == mark


async def test_of_two_at_once_one_migrates_and_the_other_waits(empty: str) -> None:
    found = await asyncio.gather(*(migrations.migrate(empty) for _ in range(3)))
    assert sorted(found) == [[], [], FILES]


async def test_every_database_has_a_mark_of_its_own(
    empty: str, admin: "asyncpg.Connection[asyncpg.Record]", dsn_of: Callable[[str], str]
) -> None:
    marks = []
    other = f"toveis_empty_{next(numbers)}"
    await admin.execute(f"CREATE DATABASE {other}")
    for dsn in (empty, dsn_of(other)):
        await migrations.migrate(dsn)
        async with owner(dsn) as conn:
            marks.append(await conn.fetchval("SELECT mark FROM incarnation"))
    await admin.execute(f"DROP DATABASE {other}")
    assert marks[0] != marks[1]


async def test_only_what_is_new_is_applied(empty: str, folder: Path) -> None:
    await migrations.migrate(empty)
    (folder / "9001_more.sql").write_text("CREATE TABLE toveis.more (n integer);")
    (folder / "notes.txt").write_text("no migration")
    async with owner(empty) as conn:
        assert await migrations.missing(conn) == ["9001_more.sql"]
    assert await migrations.migrate(empty) == ["9001_more.sql"]
    assert "more" in await tables(empty, "toveis")


async def test_a_file_that_changed_after_it_was_applied_is_refused(empty: str, folder: Path) -> None:
    await migrations.migrate(empty)
    changed = folder / FILES[1]
    changed.write_text(changed.read_text() + "\n-- a word more\n")
    (folder / "9001_more.sql").write_text("CREATE TABLE toveis.more (n integer);")
    async with owner(empty) as conn:
        with pytest.raises(StorageError, match=FILES[1]):
            await migrations.missing(conn)
    with pytest.raises(StorageError, match=FILES[1]):
        await migrations.migrate(empty)
    assert "more" not in await tables(empty, "toveis")


async def test_a_database_that_a_newer_version_migrated_is_refused(empty: str, folder: Path) -> None:
    newer = folder / "9001_more.sql"
    newer.write_text("CREATE TABLE toveis.more (n integer);")
    await migrations.migrate(empty)
    newer.unlink()
    async with owner(empty) as conn:
        with pytest.raises(UsageError, match="newer version"):
            await migrations.missing(conn)
    with pytest.raises(UsageError, match="newer version"):
        await migrations.migrate(empty)


async def test_a_migration_that_fails_leaves_nothing_behind_and_can_be_tried_again(
    empty: str, folder: Path
) -> None:
    (folder / "9001_more.sql").write_text("CREATE TABLE toveis.more (n integer);")
    broken = folder / "9002_broken.sql"
    broken.write_text("CREATE TABLE toveis.less (n integer); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrations.migrate(empty)
    assert {"more"} == await tables(empty, "toveis") & {"more", "less"}
    broken.write_text("CREATE TABLE toveis.less (n integer);")
    assert await asyncio.wait_for(migrations.migrate(empty), 5) == ["9002_broken.sql"]


async def test_a_tree_that_was_never_packed_brings_its_own_files() -> None:
    assert not resources.files("daemon").joinpath("_migrations").is_dir()
    assert [migration.name for migration in migrations.shipped()] == FILES


async def test_a_database_that_is_not_there_is_said_in_our_words(dsn_of: Callable[[str], str]) -> None:
    with pytest.raises(StorageError, match="create it first"):
        await migrations.migrate(dsn_of("toveis_nowhere"))
    with pytest.raises(DatabaseUnreachable):
        await migrations.migrate("postgresql://toveis@127.0.0.1:1/toveis")
