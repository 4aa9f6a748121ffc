"""A history: which of an entity's events are told, in a table or as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.stories import Line, exchange_words
from daemon.cli.times import brief, zones
from daemon.cli.wording import COLOURS
from daemon.domain.events import Event


class Wanted(msgspec.Struct, frozen=True):
    """Which events are told: of these types, of these origins, recorded from `since` to `until`; empty is all."""

    types: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def wants(self, event: Event) -> bool:
        """Whether an event is told."""
        return (
            (not self.types or event.type in self.types)
            and (not self.origins or event.origin in self.origins)
            and (self.since is None or event.recorded_at >= self.since)
            and (self.until is None or event.recorded_at <= self.until)
        )


def print_history(lines: Sequence[Line], *, as_json: bool, heading: bool) -> None:
    """JSON objects, or a table."""
    if as_json:
        for line in lines:
            click.echo(msgspec.json.encode(row_of(line)).decode())
        return
    if not lines:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=heading)
    table.add_column("#", justify="right", style="dim")
    table.add_column("recorded", no_wrap=True, min_width=8)
    table.add_column("by", no_wrap=True)
    table.add_column("what happened", overflow="fold")
    for line in lines:
        origin = line.event.origin
        table.add_row(
            str(line.event.position),
            brief(line.event.recorded_at),
            f"[{COLOURS.get(origin, 'yellow')}]{origin}[/]",
            escape(harmless(line.summary) + exchange_words(line.event)),
        )
    Console().print(table)
    if heading:
        click.echo(zones(line.event.recorded_at for line in lines))


def row_of(line: Line) -> dict[str, Any]:
    """One event as JSON."""
    event = line.event
    return {
        "position": event.position,
        "recorded_at": event.recorded_at,
        "occurred_at": event.occurred_at,
        "origin": event.origin,
        "type": event.type,
        "stream": event.stream,
        "record": line.record,
        "summary": line.summary,
        "data": msgspec.Raw(_on_one_line(event.data)),
    }


def _on_one_line(data: str) -> bytes:
    """A payload without the line breaks between its values; the log keeps them."""
    try:
        return msgspec.json.format(data.encode(), indent=-1)
    except msgspec.MsgspecError:  # half of a surrogate pair, which the log may hold
        return " ".join(data.splitlines()).encode()
