"""What the sandbox shows: a live table on a terminal, plain lines elsewhere, nothing with --json."""

import asyncio
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Any

import click

from daemon.cli.harmless import harmless
from daemon.cli.stories import Story
from daemon.mappings.lens import Options
from daemon.sandbox.day import Outcome
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.twins.journal import Journal
from daemon.sandbox.world import TENANT, World
from daemon.storage import log
from daemon.storage.connection import Connection

COLOURS = {"vitec": "cyan", "propstreet": "magenta", "web": "yellow", "toveis": "green", "sandbox": "bold"}
TOLD = (
    "LeadReceived",
    "RecordsLinked",
    "RecordsMerged",
    "RecordsUnlinked",
    "ConflictResolved",
    "CommandIssued",
    "CommandHeld",
    "CommandDeadLettered",
    "EntityHeld",
)
LINES = 22


class Screen:
    """Follows the log of the sandbox and tells it with the people's edits, as they happen."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began = time.monotonic()
        self._lines: deque[tuple[str, str, str]] = deque(maxlen=LINES)
        self._world: World | None = None
        self._follower: asyncio.Task[None] | None = None
        self._live: Any = None
        self._position = 0
        if not quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(refresh_per_second=8, transient=False)
            self._live.start()

    def tell(self, who: str, what: str) -> None:
        """One thing that happened."""
        if self._quiet:
            return
        what = harmless(what)
        at = f"{time.monotonic() - self._began:6.1f}"
        self._lines.append((at, who, what))
        if self._live is not None:
            self._live.update(self._table())
        else:
            click.echo(f"{at}  {who:<10}  {what}")

    def begin(self, conn: Connection, world: World) -> None:
        """Follow the log from now on."""
        self._world = world
        if not self._quiet:
            self._follower = asyncio.create_task(self._follow(conn))

    async def end(self) -> None:
        """Stop following and leave the table as it is."""
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        if self._live is not None:
            self._live.stop()

    def verdict(self, outcome: Outcome, left: list[str]) -> None:
        """The end of the day in words."""
        for difference in left[:20]:
            click.echo(f"  differs: {difference}")
        agree = "Both vendors hold the same" if outcome.converged else "The vendors DIFFER"
        click.echo(
            f"{agree}: {outcome.edits} edits, {outcome.events} events, {outcome.commands_sent} commands, "
            f"{outcome.echo_commands} echoes, {outcome.conflicts} conflicts, {outcome.held} held, "
            f"{outcome.dead} dead, {outcome.seconds:g} s."
        )

    async def _follow(self, conn: Connection) -> None:
        story = Story(Options(note="strategy", categories=CATEGORIES, company_categories=COMPANY_CATEGORIES))
        while True:
            for event in await log.page(conn, TENANT, self._position, 200):
                self._position = event.position
                if event.type in TOLD:
                    category = event.stream.partition(":")[0]
                    self.tell("toveis", f"{category}: {story.line(event).summary}")
            await asyncio.sleep(0.1)

    def _table(self) -> Any:
        from rich.markup import escape
        from rich.table import Table

        title = "Vitec  ⇄  Toveis  ⇄  Propstreet"
        caption = None
        if self._world is not None:
            caption = f"{self._position} events · {_writes('Vitec', self._world.vitec.journal)}"
            caption += f" · {_writes('Propstreet', self._world.propstreet.journal)}"
        table = Table(title=title, caption=caption, expand=True)
        table.add_column("s", justify="right", width=6)
        table.add_column("who", width=10)
        table.add_column("what", no_wrap=True, overflow="ellipsis")
        for at, who, what in self._lines:
            table.add_row(at, f"[{COLOURS.get(who, 'white')}]{who}[/]", escape(what))
        return table


def _writes(vendor: str, journal: Journal) -> str:
    """How often we wrote to a vendor, and to what."""
    counts = Counter(entry.category for entry in journal.writes())
    kinds = ", ".join(f"{number} {category}" for category, number in counts.most_common())
    return f"{counts.total()} writes to {vendor}" + (f" ({kinds})" if kinds else "")
