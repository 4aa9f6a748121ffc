"""The processes that are measured: the real daemon against both twins, and a server that does nothing but answer."""

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp
from msgspec import Struct

from daemon.sandbox.world import FREE, World, free_port, world

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 30.0
"""Seconds in which a process must be ready, or gone."""

VENDORS_LIMITS: Final = "{ per_second = 20, per_minute = 600, per_hour = 10800, concurrency = 8 }"


class Running(Struct, frozen=True):
    """A process that answers at `url`."""

    pid: int
    url: str

    def resident(self) -> float:
        """Its resident memory in MiB; its children (PostgreSQL) do not count."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kilobytes) / 1024


@asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[Running]:
    """`toveis run` with its own PostgreSQL below `folder`, in sync with twins that nobody is known to yet.

    It keeps to the limits that the vendors have, as it would at a customer's.
    """
    async with world() as vendors:
        file = folder / "toveis.toml"
        file.write_text(_configuration(vendors, folder))
        async with _running(
            "daemon", "run", "--config", str(file), url=vendors.daemon_url, log=folder / "log"
        ) as up:
            yield up


def _configuration(vendors: World, folder: Path) -> str:
    return vendors.configuration(folder / "data", poll="2s").replace(FREE, VENDORS_LIMITS)


@asynccontextmanager
async def bare_server(folder: Path) -> AsyncIterator[Running]:
    """aiohttp with the same route and the signature checked, and nothing behind it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with _running("tests.benchmarks.bare", str(port), url=url, log=folder / "bare.log") as up:
        yield up


@asynccontextmanager
async def _running(*words: str, url: str, log: Path) -> AsyncIterator[Running]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, cwd=ROOT, stdout=out, stderr=out
        )
    try:
        await _ready(process, url, log)
        yield Running(process.pid, url)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(process: Process, url: str, log: Path) -> None:
    """Wait until /readyz says so. Raises RuntimeError with the end of the log."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    async with aiohttp.ClientSession() as session:
        while loop.time() < end and process.returncode is None:
            with suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
    with log.open() as lines:
        raise RuntimeError(f"{url} did not become ready:\n{lines.read()[-2000:]}")
