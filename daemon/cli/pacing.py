"""How far a long look through the log is: a bar on a terminal; elsewhere a line now and then, if it takes long."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from daemon.storage.rebuild import Progress

EVERY: Final = 10.0
"""Seconds between two lines where there is no terminal."""


class Pace:
    """The pace of some work since it was first told of, in words; `now` is in seconds."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def words(self, done: int, total: int, now: float) -> str:
        """How much is done, how fast it went until now, and how long the rest takes at that pace."""
        self._first = before, began = self._first or (done, now)
        far = f"{done:,} of {total:,} events"
        if done == before:
            return far
        rate = (done - before) / max(now - began, 1e-3)
        left = round((total - done) / rate)
        return f"{far}, {rate:,.0f} events/s, {left // 60}:{left % 60:02} left"


@contextmanager
def progress(doing: str, then: str) -> "Iterator[Progress]":
    """Tells on standard error of what is `doing` with the events; `then` is what follows once all of them are through."""
    show = _bar if sys.stderr.isatty() else _lines
    with show(doing, then) as report:
        yield report


@contextmanager
def _bar(doing: str, then: str) -> "Iterator[Progress]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=14), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, pace = bar.add_task(doing, total=None, words=""), Pace()

        def report(done: int, total: int) -> None:
            words = pace.words(done, total, time.monotonic()) if done < total else f"{total:,} events"
            description = doing if done < total else then
            bar.update(task, description=description, completed=done, total=total, words=words)

        yield report


@contextmanager
def _lines(doing: str, then: str) -> "Iterator[Progress]":
    told, pace = time.monotonic(), Pace()

    def report(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        words = pace.words(done, total, now)
        if now - told >= EVERY:
            told = now
            click.echo(f"{doing if done < total else then}: {words}", err=True)

    yield report
