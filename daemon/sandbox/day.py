"""The scripted day: people edit at both vendors, the daemon carries it over, and in the end both twins are compared."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from daemon.domain.streams import VENDORS
from daemon.sandbox.agreement import differences
from daemon.sandbox.cast import Script, Step
from daemon.sandbox.world import TENANT, World
from daemon.storage import log, views, working
from daemon.storage.connection import Connection

Tell = Callable[[str, str], None]
"""tell(who, what): something happened."""

Connect = Callable[[], Awaitable[Connection]]
"""A connection to the daemon's database; a new one if that went away with the daemon."""


class Outcome(msgspec.Struct, frozen=True):
    """What a day came to. `echo_commands`: writes that left a record as it was, and all writes after the quiet began."""

    converged: bool
    edits: int
    events: int
    commands_sent: int
    echo_commands: int
    conflicts: int
    held: int
    dead: int
    seconds: float


class Pace(msgspec.Struct, frozen=True):
    """How the day goes by, in seconds: between edits, for convergence at most, and of quiet at the end."""

    step: float = 0.0
    patience: float = 30.0
    quiet: float = 0.0


class Day:
    """One day in a world with a daemon. `between` is called before each step: a test may kill the daemon there."""

    def __init__(
        self,
        world: World,
        script: Script,
        pace: Pace,
        *,
        tell: Tell = lambda who, what: None,
        between: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.world = world
        self.script = script
        self.pace = pace
        self.tell = tell
        self.between = between
        self.left: list[str] = []

    async def run(self, connect: Connect) -> Outcome:
        """The whole day, and what it came to."""
        began = time.monotonic()
        self.tell("sandbox", "first links: what both vendors know already")
        await self.converge(connect, sealed=True)
        edits = 0
        for number, step in enumerate(self.script.steps):
            if self.between is not None:
                await self.between(number)
            await self._do(step)
            edits += 1
        self.tell("sandbox", "the day is over: waiting for both sides to agree")
        converged = await self.converge(connect)
        settled = datetime.now(UTC)
        if self.pace.quiet:
            self.tell("sandbox", f"quiet for {self.pace.quiet:g} s: nothing may be written now")
            await asyncio.sleep(self.pace.quiet)
        self.left = differences(self.world.vitec, self.world.propstreet)
        return await self._outcome(await connect(), converged and not self.left, edits, settled, began)

    async def _do(self, step: Step) -> None:
        end = time.monotonic() + self.pace.patience
        while not self.world.people.can_do(step):
            if time.monotonic() > end:
                self.tell("sandbox", f"{step.key} never arrived at {step.side}")
                return
            await asyncio.sleep(0.01)
        self.world.people.do(step)
        self.tell(step.side, f"{step.actor}: {step.note}")
        if not step.together_with_previous:
            await asyncio.sleep(self.pace.step)

    async def converge(self, connect: Connect, *, sealed: bool = False) -> bool:
        """Wait until both twins hold the same and the daemon has nothing left to do; False when patience ends.

        `sealed`: also until it has seen that both sides mean the same, so that the next edit is an edit and no conflict.
        """
        end = time.monotonic() + self.pace.patience
        conn = await connect()
        while time.monotonic() < end:
            same = not differences(self.world.vitec, self.world.propstreet)
            if same and await idle(conn) and not (sealed and await views.unsealed(conn, TENANT)):
                return True
            await asyncio.sleep(0.05)
        return False

    async def _outcome(
        self, conn: Connection, converged: bool, edits: int, settled: datetime, began: float
    ) -> Outcome:
        journals = (self.world.vitec.journal, self.world.propstreet.journal)
        counts = await views.counts(conn, TENANT)
        late = [entry for journal in journals for entry in journal.writes(settled)]
        echoes = [entry for journal in journals for entry in journal.echoes() if entry not in late]
        return Outcome(
            converged=converged,
            edits=edits,
            events=await log.head(conn, TENANT),
            commands_sent=sum(len(journal.writes()) for journal in journals),
            echo_commands=len(echoes) + len(late),
            conflicts=counts["conflicts"],
            held=counts["held"] + counts["held_entities"],
            dead=counts["dead"],
            seconds=round(time.monotonic() - began, 1),
        )


async def idle(conn: Connection) -> bool:
    """Every stage has seen the whole log, nothing waits to be sent, and nothing has to be read again."""
    head = await log.head(conn, TENANT)
    if await views.position(conn, TENANT) != head or await working.checkpoint(conn, TENANT, "react") != head:
        return False
    if (await views.counts(conn, TENANT))["pending"]:
        return False
    return not any([await views.needs(conn, TENANT, vendor, 1) for vendor in VENDORS])


def files(directory: Path) -> tuple[Path, Path, Path]:
    """Where a sandbox keeps its configuration, its data and the daemon's log."""
    return directory / "toveis.toml", directory / "data", directory / "daemon.log"
