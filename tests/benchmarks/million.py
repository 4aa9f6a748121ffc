"""Million: what an operator waits for on a log of 1,000,000 events over 50,000 entities."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from uuid import uuid4

from daemon.domain.events import OBSERVED, NewEvent
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.storage import log, migrations
from daemon.storage.connection import owner
from tests.benchmarks.corpus import TENANT, fill
from tests.benchmarks.daemons import ROOT
from tests.benchmarks.replay import read_bare
from tests.benchmarks.report import Measure, measure

EVENTS: Final = 1_000_000
ENTITIES: Final = 50_000
ROUNDS: Final = 3
"""Each question is asked so often, and the best counts: other work on the machine only ever slows one down."""

ASKED: Final = (
    ("history", "contact", "person.31415@example.no"),
    ("show", "contact", "person.31415@example.no"),
    ("explain", "contact", "person.31415@example.no"),
    ("status",),
)
"""What somebody asks of one entity among all of them, or of the whole."""

ASKING_FLOOR: Final = 1_000.0
REBUILD_FLOOR: Final = 0.12
"""Of the rate of reading and decoding the same rows; as a floor of its work it holds also on a busy machine."""

VERIFY_FLOOR: Final = 120.0
WAIT_FLOOR: Final = 1_000.0
MEMORY_FLOOR: Final = 1_500.0

CONFIGURATION: Final = """
[database]
data_dir = "{data}"

[[tenants]]
name = "{tenant}"

[tenants.vitec]
customer_id = "M11385"
username = "1234"

[tenants.propstreet]
client_id = "client"

[tenants.sync]
note = "strategy"
"""


class Run(NamedTuple):
    """One command in a process of its own: the seconds that it took and worked, and the MiB that it had at its peak."""

    seconds: float
    worked: float
    peak: float


async def run() -> list[Measure]:
    """The times of what is asked, of a replay while events keep coming, and of a verification."""
    with TemporaryDirectory(prefix="toveis-bench-") as name, EmbeddedPostgres(Path(name)) as postgres:
        file = Path(name) / "toveis.toml"
        file.write_text(CONFIGURATION.format(data=name, tenant=TENANT))
        await migrations.migrate(postgres.dsn())
        count = await fill(postgres.dsn(), EVENTS, ENTITIES)
        async with owner(postgres.dsn()) as conn:
            began = time.process_time()
            read = count / await read_bare(conn)
            reading = time.process_time() - began
        async with _projector_that_waits(postgres.dsn()) as waits:
            replay = await _toveis(file, "replay")
        verify = await _toveis(file, "verify")
        asked = {words: min([await _toveis(file, *words) for _ in range(ROUNDS)]) for words in ASKED}
    return [
        measure("million: replay", count / replay.seconds, "events/s", read, share=REBUILD_FLOOR),
        measure("million: replay, the longest wait", max(waits) * 1000, "ms", None, WAIT_FLOOR),
        measure("million: replay, at work", replay.worked, "s", reading, share=1 / REBUILD_FLOOR),
        measure("million: replay, memory", replay.peak, "MiB", None, MEMORY_FLOOR),
        measure("million: verify", verify.seconds, "s", count / read, VERIFY_FLOOR),
        measure("million: verify, at work", verify.worked, "s"),
        measure("million: verify, memory", verify.peak, "MiB", None, MEMORY_FLOOR),
        *(
            measure(f"million: {words[0]}", each.seconds * 1000, "ms", None, ASKING_FLOOR)
            for words, each in asked.items()
        ),
    ]


async def _toveis(file: Path, *words: str) -> Run:
    """Run a command to its end; raises RuntimeError when it finds anything."""
    return await asyncio.to_thread(_run, [sys.executable, "-m", "daemon", *words, "--config", str(file)])


def _run(command: list[str]) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {' '.join(command)}")
    return Run(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


@asynccontextmanager
async def _projector_that_waits(dsn: str) -> AsyncIterator[list[float]]:
    """Append events and claim the views for them, all the time; the seconds that each claim took."""
    waits: list[float] = []
    task = asyncio.create_task(_claim(dsn, waits))
    try:
        yield waits
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _claim(dsn: str, waits: list[float]) -> None:
    async with owner(dsn) as conn:
        while True:
            mark, now = uuid4(), datetime.now(UTC)
            stream = f"contact:propstreet:{mark}"
            event = NewEvent(
                mark, stream, OBSERVED, "propstreet", now, b"{}", mark, None, b'{"via":"webhook"}'
            )
            await log.append(conn, TENANT, [event], now)
            began = time.perf_counter()
            await conn.execute("SELECT FROM progress WHERE tenant = $1 FOR UPDATE", TENANT)
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
