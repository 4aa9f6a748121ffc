"""Rebuild: fold the whole log beside the live views, compare, swap.

A replay appends nothing and issues no command. The old views are kept as `views_previous` for a roll back.
"""

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import resources
from typing import Any, Final

import asyncpg
import msgspec
import phonenumbers

from daemon.domain.errors import StorageError, UnknownEventError, UsageError
from daemon.domain.events import readable
from daemon.mappings.lens import Options
from daemon.storage import log, views
from daemon.storage.connection import Connection, snapshot
from daemon.storage.migrations import make_views
from daemon.storage.queries import queries
from projections.views import VIEWS, Fold, Row

_sql: Final = queries("rebuild")
PAGE: Final = 2000

KEYS: Final = ("command", "conflict", "batch", "alias", "key", "vendor", "external_id", "entity")
"""What makes a row of a view one row, of the columns that it has."""

TAIL: Final = 200
"""So few events may be left to catch up with while the projector waits."""

ROUNDS: Final = 20
"""So often the views beside catch up before the swap, if more than that keep coming."""

FINDINGS: Final = 100
"""So many events that cannot be read are named."""

TRIES: Final = 60
"""So often a swap asks for its turn, a second each: the projector may be in the middle of a long page."""

_Key = tuple[Any, ...]

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


async def fits(conn: Connection, schema: str = "views") -> bool:
    """Whether every view of a schema has its table, with the columns that this version knows."""
    found = {row["name"]: set(row["columns"]) for row in await conn.fetch(_sql["columns"], schema)}
    return all(found.get(view) == set(kind.__struct_fields__) for view, kind in VIEWS.items())


async def is_stale(conn: Connection, tenant: str, options: Options) -> bool:
    """Whether a tenant's views were folded with something else than what we would fold with."""
    progress = await views.progress(conn, tenant)
    return progress is None or progress[1] != digest_of(options)


async def wait_for_turn(conn: Connection) -> None:
    """Until this connection ends nobody else sees to the views of all tenants."""
    while not await conn.fetchval(_sql["try_lock"]):  # noqa: ASYNC110 - the lock is another process's
        await asyncio.sleep(0.05)


async def take_turn(conn: Connection) -> None:
    """The same without waiting; raises UsageError when somebody else is at it."""
    if not await conn.fetchval(_sql["try_lock"]):
        raise UsageError(
            "the views are being rebuilt already, by another replay or by a daemon that starts; wait for its end"
        )


async def replace(conn: Connection, fresh: Fold, upto: int, digest: str) -> None:
    """Put a whole fold in the place of one tenant's views, in the caller's transaction."""
    await conn.execute(_sql["clear"], fresh.tenant)
    for view, rows in all_rows(fresh).items():
        for start in range(0, len(rows), PAGE):
            await views.write(conn, view, rows[start : start + PAGE])
    await views.set_progress(conn, fresh.tenant, upto, digest)


async def fold(
    conn: Connection,
    tenant: str,
    options: Options,
    *,
    upto: int,
    strict: bool = False,
    progress: Progress | None = None,
) -> Fold:
    """The whole log of a tenant up to a position, folded from nothing; raises UnknownEventError.

    A `strict` one reads every part that is ours of every event, also of those that come after.
    """
    fresh = Fold(tenant, options)
    done = 0
    with _no_collecting():
        async for page in log.pages(conn, tenant, 0, PAGE):
            if strict:
                for event in page:
                    readable(event)
            events = [event for event in page if event.position <= upto]
            fresh.evolve(events)
            done += len(events)
            if progress is not None:
                progress(done, upto)
            if len(events) < len(page) and not strict:
                break
    return fresh


@contextmanager
def _no_collecting() -> Iterator[None]:
    """A fold makes no cycles, and its entities stay: to look through them again and again takes a third of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def all_rows(fresh: Fold) -> dict[str, list[Row]]:
    """Every row of every view after a whole fold."""
    change = fresh.change()
    return {view: change.insert.get(view, []) for view in VIEWS}


async def compare(
    conn: Connection,
    tenant: str,
    options: Options,
    *,
    strict: bool = False,
    progress: Progress | None = None,
) -> list[Difference]:
    """Where the live views differ from a fresh fold of the same events; both are read in one snapshot."""
    async with snapshot(conn):
        with _no_collecting():
            upto = await views.position(conn, tenant)
            fresh = await fold(conn, tenant, options, upto=upto, strict=strict, progress=progress)
            rows = all_rows(fresh)
            return [each for view in VIEWS for each in await _differ(conn, view, tenant, rows.pop(view))]


async def _differ(conn: Connection, view: str, tenant: str, fresh: list[Row]) -> list[Difference]:
    """The fields in which the live rows of a view differ from those of a fresh fold."""
    names = [name for name in KEYS if name in VIEWS[view].__struct_fields__]
    wanted: dict[_Key, Any] = {tuple(getattr(row, n) for n in names): row for row in fresh}
    found: list[tuple[_Key, list[Difference]]] = []
    async for live in views.live_rows(conn, view, tenant):
        key = tuple(live.get(n) if isinstance(live, dict) else getattr(live, n) for n in names)
        row = wanted.pop(key, None)
        if live != row:
            found.append((key, list(_parted(view, live, row))))
    found += [(key, list(_parted(view, None, row))) for key, row in wanted.items()]
    return [each for _, differences in sorted(found, key=_by_key) for each in differences]


def _by_key(found: "tuple[_Key, list[Difference]]") -> list[str]:
    return [str(part) for part in found[0]]


def _parted(view: str, live: Any, fresh: Any) -> Iterator[Difference]:
    """The fields in which two rows differ; a row that only one side has differs as a whole."""
    old, new = (None if row is None else views.plain(row) for row in (live, fresh))
    entity = str(next(row.get("entity", row.get("batch")) for row in (old, new) if row is not None))
    if old is None or new is None:
        yield Difference(view, entity, "*", old, new)
        return
    for field in old:
        same = not isinstance(live, dict) and getattr(live, field) == getattr(fresh, field)
        if not same and old[field] != new.get(field):
            yield Difference(view, entity, field, old[field], new.get(field))


async def rebuild(conn: Connection, tenants: dict[str, Options], *, progress: Progress | None = None) -> None:
    """Fill `views_next` for every tenant, catch up, and swap it in; `conn` has the rights of the owner, and the turn.

    Nobody waits for it but the projectors, and they only while the last few events are folded.
    """
    async with conn.transaction():
        await make_views(conn, "views_next")
    total = sum([await log.head(conn, tenant) for tenant in tenants])
    done = 0
    beside: list[_Beside] = []

    def report(folded: int, _: int) -> None:
        if progress is not None:
            progress(done + folded, total)

    with _no_collecting():
        for tenant, options in tenants.items():
            upto = await log.head(conn, tenant)
            fresh = await fold(conn, tenant, options, upto=upto, progress=report)
            done += upto
            beside.append(_Beside(fresh, upto, digest_of(options)))
            await _fill(conn, beside[-1])
        await _swap(conn, beside)


class _Beside(msgspec.Struct):
    """One tenant's views in `views_next`: the fold that filled them, how far it has come, and with what."""

    fold: Fold
    upto: int
    digest: str


async def _fill(conn: Connection, each: _Beside) -> None:
    async with conn.transaction():
        await conn.execute(_sql["next_path"])
        await replace(conn, each.fold, each.upto, each.digest)
        await conn.execute(_sql["own_path"])


async def _catch_up(conn: Connection, beside: list[_Beside]) -> int:
    """Bring `views_next` to the head of every log, in one transaction; how many events that were."""
    behind = 0
    async with conn.transaction():
        await conn.execute(_sql["next_path"])
        for each in beside:
            before = each.upto
            async for page in log.pages(conn, each.fold.tenant, before, PAGE):
                each.fold.evolve(page)
                each.upto = page[-1].position
            await views.apply(conn, each.fold.tenant, each.fold.change())
            await views.set_progress(conn, each.fold.tenant, each.upto, each.digest)
            behind += each.upto - before
        await conn.execute(_sql["own_path"])
    return behind


async def _swap(conn: Connection, beside: list[_Beside]) -> None:
    """Put the new schema in place, at the head of the log, while the live projectors wait. Raises StorageError."""
    for _ in range(ROUNDS):
        if await _catch_up(conn, beside) <= TAIL:
            break
    async with _locking(conn, "drop_previous"):
        pass
    async with _locking(conn, "block"):
        await _catch_up(conn, beside)
        await conn.execute(_sql["swap"])


@asynccontextmanager
async def _locking(conn: Connection, statement: str) -> AsyncIterator[None]:
    """A transaction in which this statement got its locks; until it does, nobody waits longer than a second behind it."""
    for _ in range(TRIES):
        async with conn.transaction():
            if await _locked(conn, statement):
                yield
                return
    raise StorageError("something has kept the views locked for a minute; nothing was swapped, try again")


async def _locked(conn: Connection, statement: str) -> bool:
    try:
        async with conn.transaction():
            await conn.execute(_sql["patience"])
            await conn.execute(_sql[statement])
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def roll_back(conn: Connection) -> bool:
    """Put the views of before the last swap back; the projector then catches up. `conn` has the turn.

    Whether they were folded with something else than the present ones. Raises UsageError when there are none, or when
    they are those of another version.
    """
    if not await conn.fetchval(_sql["has_previous"]):
        raise UsageError("there are no earlier views to go back to: nothing was swapped yet")
    if not await fits(conn, "views_previous"):
        raise UsageError(
            "the earlier views are those of another version, which this one cannot read: install that version, "
            "and it will rebuild them at its start"
        )
    differ: bool = await conn.fetchval(_sql["previous_differ"])
    async with _locking(conn, "block"):
        await conn.execute(_sql["roll_back"])
    return differ


async def verify(
    conn: Connection, tenant: str, options: Options, *, progress: Progress | None = None
) -> list[Difference]:
    """What is wrong with the log; when nothing is, where the live views differ from a fresh fold. It is read once."""
    found = await _gaps(conn, tenant)
    if not found:
        try:
            return await compare(conn, tenant, options, strict=True, progress=progress)
        except UnknownEventError:
            pass
    return found + await _unreadable(conn, tenant, progress)


async def check_log(conn: Connection, tenant: str) -> list[Difference]:
    """What is wrong with the log itself: gaps in positions or versions, an id twice, events that this program cannot read.

    The first of each.
    """
    return await _gaps(conn, tenant) + await _unreadable(conn, tenant)


async def _gaps(conn: Connection, tenant: str) -> list[Difference]:
    return [
        Difference("events", row["stream"], row["what"], row["found"], row["wanted"])
        for row in await conn.fetch(_sql["check_log"], tenant)
    ]


async def _unreadable(conn: Connection, tenant: str, progress: Progress | None = None) -> list[Difference]:
    found: list[Difference] = []
    head = await log.head(conn, tenant)
    async for page in log.pages(conn, tenant, 0, PAGE):
        for event in page:
            try:
                readable(event)
            except UnknownEventError as error:
                found.append(Difference("events", event.stream, "unreadable", str(error), None))
        if progress is not None:
            progress(page[-1].position, head)
        if len(found) >= FINDINGS:
            break
    return found[:FINDINGS]
