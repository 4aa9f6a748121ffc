"""Rebuild: fold the whole log beside the live views, compare, swap.

A replay appends nothing and issues no command. The old views are kept as `views_previous` for a roll back.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final

import msgspec
import phonenumbers

from daemon.domain.errors import UnknownEventError, UsageError
from daemon.domain.events import readable
from daemon.mappings.lens import Options
from daemon.storage import log, views
from daemon.storage.connection import Connection
from daemon.storage.migrations import make_views
from daemon.storage.queries import queries
from projections.views import VIEWS, Fold, Row

_sql: Final = queries("rebuild")
PAGE: Final = 2000

Progress = Callable[[int, int], None]
"""progress(events folded, events in all)."""


class Difference(msgspec.Struct, frozen=True):
    """One field of one row where the live view and a fresh fold differ; a missing row has the field `*`."""

    view: str
    entity: str
    field: str
    live: Any
    fresh: Any


def digest_of(options: Options) -> str:
    """What folding depends on besides the log: the code of the fold and of the mappings, the settings, phone metadata."""
    digest = hashlib.blake2b(digest_size=12)
    for package in ("daemon.domain", "daemon.mappings", "daemon.mappings.leads", "projections"):
        for item in sorted(resources.files(package).iterdir(), key=lambda item: item.name):
            if item.name.endswith((".py", ".sql")):
                digest.update(item.name.encode() + item.read_bytes())
    settings = msgspec.structs.replace(options, catalogue=())
    digest.update(msgspec.json.encode(settings, order="deterministic") + phonenumbers.__version__.encode())
    return digest.hexdigest()


async def fits(conn: Connection) -> bool:
    """Whether every view has its table, with the columns that this version knows."""
    found = {row["name"]: set(row["columns"]) for row in await conn.fetch(_sql["columns"])}
    return all(found.get(view) == set(kind.__struct_fields__) for view, kind in VIEWS.items())


async def is_stale(conn: Connection, tenant: str, options: Options) -> bool:
    """Whether a tenant's views were folded with something else than what we would fold with."""
    progress = await views.progress(conn, tenant)
    return progress is None or progress[1] != digest_of(options)


async def wait_for_turn(conn: Connection) -> None:
    """Until this connection ends nobody else sees to the views of all tenants."""
    while not await conn.fetchval(_sql["try_lock"]):  # noqa: ASYNC110 - the lock is another process's
        await asyncio.sleep(0.05)


async def replace(conn: Connection, fresh: Fold, upto: int, digest: str) -> None:
    """Put a whole fold in the place of one tenant's views, in the caller's transaction."""
    await conn.execute(_sql["clear"], fresh.tenant)
    for view, rows in all_rows(fresh).items():
        for start in range(0, len(rows), PAGE):
            await views.write(conn, view, rows[start : start + PAGE])
    await views.set_progress(conn, fresh.tenant, upto, digest)


async def fold(
    conn: Connection, tenant: str, options: Options, *, upto: int, progress: Progress | None = None
) -> Fold:
    """The whole log of a tenant up to a position, folded from nothing."""
    fresh = Fold(tenant, options)
    done = 0
    async for page in log.pages(conn, tenant, 0, PAGE):
        events = [event for event in page if event.position <= upto]
        fresh.evolve(events)
        done += len(events)
        if progress is not None:
            progress(done, upto)
        if len(events) < len(page):
            break
    return fresh


def all_rows(fresh: Fold) -> dict[str, list[Row]]:
    """Every row of every view after a whole fold."""
    change = fresh.change()
    return {view: change.insert.get(view, []) for view in VIEWS}


async def compare(
    conn: Connection, tenant: str, options: Options, *, progress: Progress | None = None
) -> list[Difference]:
    """Where the live views differ from a fresh fold of the same events; both are read in one snapshot."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        upto = await views.position(conn, tenant)
        rows = all_rows(await fold(conn, tenant, options, upto=upto, progress=progress))
        differences: list[Difference] = []
        for view in VIEWS:
            differences += differ(view, await views.live_rows(conn, view, tenant), rows[view])
        return differences


def differ(view: str, live: list[dict[str, Any]], fresh: list[Row]) -> Iterator[Difference]:
    """The fields in which two sets of rows of one view differ."""
    old = {_key(row): row for row in live}
    new = {_key(row): row for row in map(views.plain, fresh)}
    for key in sorted(old.keys() | new.keys()):
        here, there = old.get(key), new.get(key)
        entity = str((here or there or {}).get("entity", key[0]))
        if here is None or there is None:
            yield Difference(view, entity, "*", here, there)
            continue
        for field in here:
            if here[field] != there.get(field):
                yield Difference(view, entity, field, here[field], there.get(field))


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    """What makes a row of a view one row."""
    names = ("command", "conflict", "batch", "alias", "key", "vendor", "external_id", "entity")
    return tuple(str(row[name]) for name in names if name in row)


async def rebuild(conn: Connection, tenants: dict[str, Options], *, progress: Progress | None = None) -> None:
    """Fill `views_next` for every tenant, catch up, and swap it in; `conn` has the rights of the owner."""
    async with conn.transaction():
        await make_views(conn, "views_next")
    total = sum([await log.head(conn, tenant) for tenant in tenants])
    done = 0
    folds: dict[str, tuple[Fold, int]] = {}

    def report(folded: int, _: int) -> None:
        if progress is not None:
            progress(done + folded, total)

    for tenant, options in tenants.items():
        upto = await log.head(conn, tenant)
        fresh = await fold(conn, tenant, options, upto=upto, progress=report)
        done += upto
        await _fill(conn, fresh, upto, digest_of(options))
        folds[tenant] = (fresh, upto)
    await _swap(conn, folds, tenants)


async def _fill(conn: Connection, fresh: Fold, upto: int, digest: str) -> None:
    async with conn.transaction():
        await conn.execute(_sql["next_path"])
        await replace(conn, fresh, upto, digest)


async def _swap(conn: Connection, folds: dict[str, tuple[Fold, int]], tenants: dict[str, Options]) -> None:
    """Catch up with what arrived meanwhile while the live projector waits, then put the new schema in place."""
    async with conn.transaction():
        await conn.execute(_sql["block"])
        for tenant, (fresh, upto) in folds.items():
            async for page in log.pages(conn, tenant, upto, PAGE):
                fresh.evolve(page)
                upto = page[-1].position
            change = fresh.change()
            await conn.execute(_sql["next_path"])
            held = await views.position(conn, tenant)
            digest, seen = digest_of(tenants[tenant]), await views.mark(conn)
            await views.advance(conn, tenant, change, held, upto, digest, seen)
            await conn.execute(_sql["own_path"])
        await conn.execute(_sql["swap"])


async def roll_back(conn: Connection) -> None:
    """Put the views of before the last swap back; the projector then catches up. Raises UsageError without any."""
    if not await conn.fetchval(_sql["has_previous"]):
        raise UsageError("there are no earlier views to go back to: nothing was swapped yet")
    async with conn.transaction():
        await conn.execute(_sql["roll_back"])


async def check_log(conn: Connection, tenant: str) -> list[Difference]:
    """What is wrong with the log itself: gaps in positions or versions, events that this program cannot read."""
    found = [
        Difference("events", row["stream"], row["what"], row["found"], row["wanted"])
        for row in await conn.fetch(_sql["check_log"], tenant)
    ]
    async for page in log.pages(conn, tenant, 0, PAGE):
        for event in page:
            try:
                readable(event)
            except UnknownEventError:
                kind = f"{event.type} {event.schema_version}"
                found.append(Difference("events", event.stream, "unreadable", kind, str(event.position)))
    return found
