"""Replay: a log of 100,000 events folded from nothing, alone and as a whole rebuild of the views."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from daemon.domain import fields
from daemon.domain.events import Event
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.storage import log, migrations, rebuild
from daemon.storage.connection import Connection, owner
from projections.views import Fold
from tests.benchmarks.corpus import OPTIONS, TENANT, fill
from tests.benchmarks.report import Measure, measure

EVENTS: Final = 100_000
ENTITIES: Final = 5_000
FOLD_FLOOR: Final = 50_000.0
ROUNDS: Final = 2
"""Each figure is the best of so many: other work on the machine only ever slows one down."""


async def run() -> list[Measure]:
    """Events a second of the fold alone and of the whole rebuild, beside reading and decoding the same rows."""
    with TemporaryDirectory(prefix="toveis-bench-") as folder, EmbeddedPostgres(Path(folder)) as postgres:
        dsn = postgres.dsn()
        await migrations.migrate(dsn)
        count = await fill(dsn, EVENTS, ENTITIES)
        async with owner(dsn) as conn:
            reading = min([await read_bare(conn) for _ in range(ROUNDS)])
            folding = min([await _fold(conn) for _ in range(ROUNDS)])
            rebuilding = min([await _rebuild(conn) for _ in range(ROUNDS)])
    read = count / reading
    return [
        measure("replay: fold alone", count / folding, "events/s", read, FOLD_FLOOR),
        measure("replay: whole rebuild", count / rebuilding, "events/s", read),
    ]


async def read_bare(conn: Connection) -> float:
    """Seconds to read every row and decode its JSON, without folding."""
    decode = msgspec.json.Decoder().decode
    begun = time.perf_counter()
    async for page in log.pages(conn, TENANT, 0, rebuild.PAGE):
        for event in page:
            decode(event.data)
            if event.meta is not None:
                decode(event.meta)
    return time.perf_counter() - begun


async def _fold(conn: Connection) -> float:
    """Seconds to fold the events, which are in memory already."""
    pages: list[list[Event]] = [page async for page in log.pages(conn, TENANT, 0, rebuild.PAGE)]
    fold = _afresh()
    begun = time.perf_counter()
    for page in pages:
        fold.evolve(page)
    took = time.perf_counter() - begun
    _check(fold)
    return took


async def _rebuild(conn: Connection) -> float:
    """Seconds to fold and write every view beside the live ones, and to swap."""
    _afresh()
    begun = time.perf_counter()
    await rebuild.rebuild(conn, {TENANT: OPTIONS})
    return time.perf_counter() - begun


def _afresh() -> Fold:
    """A fold that knows nothing yet, not even a phone number."""
    fields._dialled.cache_clear()
    return Fold(TENANT, OPTIONS)


def _check(fold: Fold) -> None:
    """The log is what it means to be: everybody linked, every write came to its end."""
    entities = fold.entities.by_id.values()
    assert len(entities) == ENTITIES
    assert all(len(e.sides) == 2 and not e.pending and not e.busy() for e in entities)
    assert all(s.need is None and s.unreadable is None for e in entities for s in e.sides.values())
    assert {command.state for command in fold.commands.values()} == {"succeeded"}
