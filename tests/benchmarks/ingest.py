"""Ingest: Propstreet's webhooks into the real daemon, answered after commit, while all its other stages work."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncpg
import msgspec

from daemon.embedded_postgres import EmbeddedPostgres
from tests.benchmarks.daemons import ROOT, Running, bare_server, daemon
from tests.benchmarks.load import Load
from tests.benchmarks.report import Measure, measure

CONNECTIONS: Final = 64
SECONDS: Final = 8.0
RATE_FLOOR: Final = 5_000.0
P99_FLOOR: Final = 50.0
BUSY_FLOOR: Final = 90.0


async def run() -> list[Measure]:
    """Webhooks a second and the times of an answer in ms, beside the same server without a database."""
    with TemporaryDirectory(prefix="toveis-bench-") as name:
        folder = Path(name)
        async with bare_server(folder) as server:
            bare = await _load(server)
        async with daemon(folder) as server:
            real = await _load(server)
            stored = await _stored(folder / "data")
    assert real.refused == bare.refused == 0, f"{real.refused} webhooks were refused"
    assert stored == real.stored, f"{real.stored} webhooks were answered, {stored} are in the log"
    return [
        measure("ingest: webhooks", real.rate, "webhooks/s", bare.rate, RATE_FLOOR),
        measure("ingest: answer, median", real.p50, "ms", bare.p50),
        measure("ingest: answer, 99 of 100", real.p99, "ms", bare.p99, P99_FLOOR),
        # Above this the figures would say more of the load's process than of the daemon's.
        measure("ingest: the load itself", real.busy * 100, "% of a core", bare.busy * 100, BUSY_FLOOR),
    ]


async def _load(server: Running) -> Load:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.load", server.url, str(CONNECTIONS), str(SECONDS)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return msgspec.json.decode(out, type=Load)


async def _stored(data: Path) -> int:
    """How many webhooks the log holds."""
    with EmbeddedPostgres(data) as postgres:
        conn = await asyncpg.connect(postgres.dsn())
        try:
            stored: int = await conn.fetchval(
                "SELECT count(*) FROM toveis.events WHERE origin = 'propstreet' AND meta ->> 'via' = 'webhook'"
            )
            return stored
        finally:
            await conn.close()
