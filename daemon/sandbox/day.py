"""The scripted day: people edit at both vendors and fill in forms on the web, the daemon carries it over, and in the
end both twins are compared."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec

from daemon.domain.events import CommandHeld, decision_of
from daemon.domain.streams import CATEGORIES, LEAD, VENDORS, entity_stream
from daemon.sandbox.agreement import Posted, differences
from daemon.sandbox.forms import CALLS, request
from daemon.sandbox.market import TOLD_ONCE
from daemon.sandbox.steps import Script, Step
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.sandbox.world import TENANT, World
from daemon.storage import brakes, log, views, working
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
        self.posted: list[Posted] = []

    async def run(self, connect: Connect) -> Outcome:
        """The whole day, and what it came to."""
        began = time.monotonic()
        self.tell("sandbox", "first links: what both vendors know already")
        await self.converge(connect, sealed=True)
        steps = self._steps()
        for number, step in enumerate(steps):
            if self.between is not None:
                await self.between(number)
            await self._do(step)
        self.tell("sandbox", "the day is over: waiting for both sides to agree")
        converged = await self.converge(connect)
        settled = datetime.now(UTC)
        if self.pace.quiet:
            self.tell("sandbox", f"quiet for {self.pace.quiet:g} s: nothing may be written now")
            await asyncio.sleep(self.pace.quiet)
        conn = await connect()
        self.left = await self._differences(conn)
        return await self._outcome(conn, converged and not self.left, len(steps), settled, began)

    def _steps(self) -> tuple[Step, ...]:
        """All steps; where Vitec tells nobody of a merge, in the body that names both, without those about one."""
        vitec = self.world.vitec
        told = vitec.notifier.subscriptions and vitec.switches.vs2 in ("both", "body")
        return tuple(step for step in self.script.steps if told or step.key not in TOLD_ONCE)

    async def _do(self, step: Step) -> None:
        end = time.monotonic() + self.pace.patience
        while not self.world.people.can_do(step):
            if time.monotonic() > end:
                self.tell("sandbox", f"{step.key} never arrived at {step.side}")
                return
            await asyncio.sleep(0.02)
        self.tell(step.side, f"{step.actor}: {step.note}")
        if step.category == "lead":
            await self._post(step)
        elif step.action == "merge":
            await self._merge(step)
        else:
            self.world.people.do(step)
        if not step.together_with_previous:
            await asyncio.sleep(self.pace.step)

    async def _post(self, step: Step) -> None:
        """Send a form to the daemon until it is answered: the same one twice is one lead."""
        estate = self.world.people.ids["vitec", str(step.fields["estate"])] if "estate" in step.fields else ""
        path, body = request(step, self.world.vitec.customer_id, estate)
        self.posted.append(Posted(CALLS[str(step.fields["form"])], str(step.fields["email"])))
        end = time.monotonic() + self.pace.patience
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            while True:
                try:
                    async with session.post(f"{self.world.daemon_url}{path}", json=body):
                        return
                except aiohttp.ClientError:  # the daemon is away
                    if time.monotonic() > end:
                        raise
                    await asyncio.sleep(0.05)

    async def _merge(self, step: Step) -> None:
        """Vitec tells a merge once, and no poll shows it: here it is told again until it was heard."""
        vitec, people = self.world.vitec, self.world.people
        heir, source = people.ids["vitec", step.key], people.ids["vitec", str(step.fields["source"])]
        await vitec.settled()
        lost = _lost(vitec)
        people.do(step)
        await vitec.settled()
        while _lost(vitec) > lost:
            lost = _lost(vitec)
            await asyncio.sleep(0.05)
            vitec.notifier.publish_merge("Person", heir, [source])
            await vitec.settled()

    async def _differences(self, conn: Connection) -> list[str]:
        """What is not the same. A lead of which nobody can say whether it arrived may be held instead."""
        twins = self.world.vitec, self.world.propstreet
        found = differences(*twins, self.posted)
        if not found:
            return found
        held = [lead for lead in self.posted if await _is_held(conn, lead)]
        return differences(*twins, self.posted, held)

    async def converge(self, connect: Connect, *, sealed: bool = False) -> bool:
        """Wait until both twins hold the same and the daemon has nothing left to do; False when patience ends.

        `sealed`: also until it has seen that both sides mean the same, so that the next edit is an edit and no conflict.
        """
        end = time.monotonic() + self.pace.patience
        conn = await connect()
        while time.monotonic() < end:
            settled = await idle(conn) and not (sealed and await views.unsealed(conn, TENANT))
            if settled and not await self._differences(conn):
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


def _lost(vitec: VitecConnectTwin) -> int:
    """How many notifications nobody has heard so far."""
    return sum(vitec.notifier.outcomes[fate] for fate in ("dropped", "unanswered", "refused"))


async def _is_held(conn: Connection, lead: Posted) -> bool:
    """Whether it left for Vitec and nobody can say if it arrived."""
    names = await views.leads_of(conn, TENANT, email=lead.email)
    events = await log.of_streams(conn, TENANT, [entity_stream(LEAD, name) for name in names])
    decisions = [decision_of(event) for event in events if event.type == CommandHeld.__name__]
    return any(isinstance(each, CommandHeld) and each.reason == "unknown_outcome" for each in decisions)


async def idle(conn: Connection) -> bool:
    """Every stage has seen the whole log, nothing waits to be sent or decided, and nothing has to be read again."""
    head = await log.head(conn, TENANT)
    if await views.position(conn, TENANT) != head or await working.checkpoint(conn, TENANT, "react") != head:
        return False
    if (await views.counts(conn, TENANT))["pending"]:
        return False
    held = {(b.vendor, b.category) for b in await brakes.batches(conn, TENANT) if b.released is None}
    gone = await brakes.removals(conn, TENANT, CATEGORIES)
    if any((removal.vendor, removal.category) not in held for removal in gone):
        return False
    if any([await views.needs(conn, TENANT, vendor, datetime.now(UTC), 1) for vendor in VENDORS]):
        return False
    return await log.head(conn, TENANT) == head  # nothing came while the rest was read


def files(directory: Path) -> tuple[Path, Path, Path]:
    """Where a sandbox keeps its configuration, its data and the daemon's log."""
    return directory / "toveis.toml", directory / "data", directory / "daemon.log"
