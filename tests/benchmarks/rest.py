"""Rest: the memory of the real daemon that has nothing to do."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.benchmarks.daemons import bare_server, daemon
from tests.benchmarks.report import Measure, measure

SETTLING: Final = 5.0
"""Seconds from ready to the look."""

FLOOR: Final = 90.0


async def run() -> list[Measure]:
    """Resident memory in MiB of the daemon's process alone, beside an aiohttp server's."""
    with TemporaryDirectory(prefix="toveis-bench-") as name:
        async with bare_server(Path(name)) as bare, daemon(Path(name)) as real:
            await asyncio.sleep(SETTLING)
            return [measure("rest: resident memory", real.resident(), "MiB", bare.resident(), FLOOR)]
