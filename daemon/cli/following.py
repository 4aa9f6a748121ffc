"""How far a backfill is: what the daemon has done of it, read from the database, with an honest estimate of the rest."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click
import msgspec

from daemon.cli.opening import ask
from daemon.domain.events import FIRST_SYNC
from daemon.domain.settings import Limits, Settings, TenantSettings
from daemon.domain.windows import least

if TYPE_CHECKING:
    from daemon.storage.connection import Connection
    from daemon.storage.views import Backfilled

CALLS: Final = {"vitec": 4, "propstreet": 2}
"""What a write takes of a vendor: the look before it, the write, and at Vitec the search and the read after it."""

SILENCE: Final = 15.0
"""Seconds without a sign of the daemon, after which it is taken to be down."""

SOON: Final = 5.0
"""So many seconds it is looked at more often."""

EVERY: Final = 10.0
"""Seconds between two lines where there is no terminal."""


class Progress(msgspec.Struct, frozen=True):
    """How far it is: writes that ended, those that are due, whether every entity was looked at, what is left by vendor."""

    done: int
    open: int
    swept: bool
    left: dict[str, int]

    @property
    def total(self) -> int:
        """All writes, as far as anybody can tell."""
        return self.done + sum(self.left.values())

    def over(self) -> bool:
        """Nothing of it is under way."""
        return self.swept and not self.open


Report = Callable[[Progress, str], None]


def follow(settings: Settings, chosen: TenantSettings, planned: Counter[str]) -> None:
    """Show the progress of what was released until all of it is done; Ctrl-C ends the showing alone."""

    async def look(conn: "Connection") -> str:
        with _screen() as report:
            return await _follow(conn, chosen, planned, report)

    try:
        click.echo(ask(settings, look), err=True)
    except KeyboardInterrupt:
        click.echo("the daemon goes on with it; `toveis backfill` shows how far it is", err=True)


async def _follow(conn: "Connection", chosen: TenantSettings, planned: Counter[str], report: Report) -> str:
    from daemon.storage import brakes, log, views, working

    rows = await brakes.batches(conn, chosen.name)
    released = max((row.held for row in rows if row.kind == FIRST_SYNC), default=0)
    if not released and not planned:
        return "nothing was released before"
    began = heard = time.monotonic()
    mark, first, seen = -1, -1, (-1, -1, -1)
    while True:
        decided = await working.checkpoint(conn, chosen.name, "react")
        folded = await views.position(conn, chosen.name)
        swept = await working.checkpoint(conn, chosen.name, working.BACKFILL) >= released > 0
        progress = progress_of(await views.backfilled(conn, chosen.name, released), planned, swept=swept)
        first = progress.done if first < 0 else first
        now = time.monotonic()
        if (decided, folded, progress.done) != seen:
            seen, heard = (decided, folded, progress.done), now
        report(progress, estimate(chosen, progress, progress.done - first, now - began))
        head = await log.head(conn, chosen.name)
        if not progress.over():
            mark = -1
        elif mark < 0:  # what was decided last may make more due
            mark = head
        elif decided >= mark:
            return f"done: {progress.done} writes"
        if now - heard > SILENCE and folded < head:
            return "it is released; the daemon does not seem to run, and does the work when it does"
        if not released:  # the views do not know of it yet
            rows = await brakes.batches(conn, chosen.name)
            released = max((row.held for row in rows if row.kind == FIRST_SYNC), default=0)
        await asyncio.sleep(0.2 if now - began < SOON else 1.0)


def progress_of(rows: Iterable["Backfilled"], planned: Counter[str], *, swept: bool) -> Progress:
    """How far it is. As long as not every entity was looked at, what the plan says counts as left."""
    ended = Counter({row.target: row.ended for row in rows})
    due = Counter({row.target: row.open for row in rows})
    left = due if swept else Counter({v: max(due[v], planned[v] - ended[v]) for v in CALLS})
    return Progress(ended.total(), due.total(), swept, dict(+left))


def estimate(chosen: TenantSettings, progress: Progress, done: int, seconds: float) -> str:
    """What the rest takes: at the rate seen so far, and no less than the vendors' windows allow."""
    bound = max(
        (
            least(_windows(_limits(chosen, vendor)), CALLS[vendor] * left)
            for vendor, left in progress.left.items()
        ),
        default=0.0,
    )
    rate = done / seconds if done and seconds > 1.0 else 0.0
    words = f"about {_span(max(bound, sum(progress.left.values()) / rate))} left" if rate else "no rate yet"
    return f"{words}; the limits allow no less than {_span(bound)}" if bound >= 1.0 else words


def _limits(chosen: TenantSettings, vendor: str) -> Limits:
    return chosen.vitec.limits if vendor == "vitec" else chosen.propstreet.limits


def _windows(limits: Limits) -> list[tuple[int, float]]:
    spans = ((limits.per_second, 1.0), (limits.per_minute, 60.0), (limits.per_hour, 3600.0))
    return [(limit, span) for limit, span in spans if limit]


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@contextmanager
def _screen() -> Iterator[Report]:
    """A bar on a terminal, elsewhere a line now and then."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("writes"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
    with Bar(*columns, TextColumn("{task.fields[rest]}"), console=Console(stderr=True)) as bar:
        click.echo("Ctrl-C ends this display; the daemon goes on with the work", err=True)
        task = bar.add_task("writes", total=0, rest="")
        yield lambda progress, rest: bar.update(
            task, completed=progress.done, total=progress.total, rest=rest
        )


def _lines() -> Report:
    said = -EVERY

    def report(progress: Progress, rest: str) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            click.echo(f"{progress.done} of {progress.total} writes; {rest}", err=True)

    return report
