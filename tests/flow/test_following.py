"""`toveis history --follow` beside a living daemon, as an operator watches it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.conftest import eventually
from tests.flow.conftest import Flow

Up = Callable[..., Any]


class Watch:
    """A process that follows an entity, and what it has told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode())

    def tells(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    async def end(self, sign: signal.Signals | None) -> int:
        """Ctrl-C, or nothing: it ends by itself; its exit code."""
        if sign is not None:
            self.process.send_signal(sign)
        assert self.process.stderr is not None
        self.errors = (await self.process.stderr.read()).decode()
        return await asyncio.wait_for(self.process.wait(), 60)


def hears_ctrl_c() -> None:
    """Whoever started the tests in the background ignores Ctrl-C, and so would every process that begins there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def following(running: Flow, *words: str) -> AsyncIterator[Watch]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "daemon", "history", *words, "--follow"),
        *("--config", str(running.config_file)),
        stdout=-1,
        stderr=-1,
        preexec_fn=hears_ctrl_c,
    )
    watch = Watch(process)
    task = asyncio.create_task(watch.read())
    try:
        yield watch
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await task


async def test_what_is_followed_is_told_as_it_happens_until_ctrl_c(flow: Up) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        person = vitec.create("person", firstName="Åse", email={"emailAddress": "ase@example.no"})
        await eventually(lambda: running.entity("contact", "vitec", person), timeout=60)
        async with following(running, "contact", f"vitec:{person}", "--json") as watch:
            # Its counterpart is made and linked meanwhile: the stream of that is followed, too.
            await eventually(lambda: bool(propstreet.records("contact")), timeout=60)
            await eventually(lambda: watch.tells('"RecordsLinked"'), timeout=60)
            [there] = propstreet.records("contact")
            propstreet.edit("contact", there["id"], lastName="Bjørnstad-Öberg")
            await eventually(lambda: vitec.get(person)["lastName"] == "Bjørnstad-Öberg", timeout=60)
            await eventually(lambda: watch.tells("write to Vitec: last name Bjørnstad-Öberg"), timeout=60)
            await running.settled()
            assert (await watch.end(signal.SIGINT), watch.errors) == (0, "")
        told = [json.loads(line)["position"] for line in watch.lines]
        assert len(told) == len(set(told))
        assert any(row["record"] == f"propstreet:{there['id']}" for row in map(json.loads, watch.lines))


async def test_a_watch_ends_with_a_clear_word_when_the_database_goes_away(flow: Up) -> None:
    async with flow() as running:
        person = running.world.vitec.create(
            "person", firstName="Åse", email={"emailAddress": "ase@example.no"}
        )
        await eventually(lambda: running.entity("contact", "vitec", person), timeout=60)
        async with following(running, "contact", f"vitec:{person}", "--side", "vitec") as watch:
            await eventually(lambda: watch.tells("first name Åse"), timeout=60)
            await running.forget_connection()
            await running.daemon.stop()
            assert await watch.end(None) == 3, watch.errors
        assert watch.errors.startswith("toveis: the database")
        assert "Traceback" not in watch.errors
