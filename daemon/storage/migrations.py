"""Migrations: numbered SQL files, forward only, each applied once in a transaction of its own.

What was applied is remembered with a checksum; a file that changed afterwards is refused.
"""

import asyncio
import hashlib
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import msgspec

from daemon.domain.errors import StorageError, UsageError
from daemon.storage import views
from daemon.storage.connection import Connection, owner
from daemon.storage.queries import queries

_sql: Final = queries("migrations")
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One file: its name, its text and the checksum of the text."""

    name: str
    text: str
    checksum: str


def shipped() -> list[Migration]:
    """The migrations that came with this program, in order."""
    found = [item for item in _folder().iterdir() if _NAME.fullmatch(item.name)]
    return [
        Migration(item.name, text, hashlib.sha256(text.encode()).hexdigest())
        for item in sorted(found, key=lambda item: item.name)
        for text in (item.read_text("utf-8"),)
    ]


def _folder() -> Traversable:
    packed = resources.files("daemon").joinpath("_migrations")
    return packed if packed.is_dir() else Path(__file__).parents[2] / "migrations"


async def missing(conn: Connection) -> list[str]:
    """The names of the migrations that this database lacks; raises StorageError when an applied file has changed."""
    return [migration.name for migration in await _missing(conn)]


async def _missing(conn: Connection) -> list[Migration]:
    applied: dict[str, str] = {}
    if await conn.fetchval(_sql["known"]):
        applied = {row["name"]: row["checksum"] for row in await conn.fetch(_sql["applied"])}
    for migration in shipped():
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise StorageError(f"migration {migration.name} was applied with another text; restore the file")
    unknown = sorted(applied.keys() - {migration.name for migration in shipped()})
    if unknown:
        raise UsageError(
            f"this database was migrated by a newer version ({unknown[-1]}); install that version"
        )
    return [migration for migration in shipped() if migration.name not in applied]


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing, one process at a time; the names of what was applied."""
    async with owner(dsn) as conn:
        await _wait_for_turn(conn)
        try:
            await conn.execute(_sql["create"])
            applied = []
            for migration in await _missing(conn):
                async with conn.transaction():
                    await conn.execute(migration.text)
                    await conn.execute(_sql["remember"], migration.name, migration.checksum)
                applied.append(migration.name)
            if not await conn.fetchval(_sql["has_views"]):
                async with conn.transaction():
                    await make_views(conn, "views")
            return applied
        finally:
            await conn.execute(_sql["unlock"])


async def _wait_for_turn(conn: Connection) -> None:
    """Polled, because a blocking advisory lock and CREATE INDEX CONCURRENTLY wait for each other."""
    while not await conn.fetchval(_sql["try_lock"]):  # noqa: ASYNC110 - the lock is another process's
        await asyncio.sleep(0.05)


async def make_views(conn: Connection, schema: str) -> None:
    """Make a schema with every view empty, open to the daemon's role; in the caller's transaction."""
    await conn.execute(_sql[f"make_{schema}"])
    await views.create(conn)
    await conn.execute(_sql[f"open_{schema}"])
    await conn.execute(_sql["own_path"])
