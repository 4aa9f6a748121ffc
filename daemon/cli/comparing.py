"""`toveis diff`: what changed of an entity between two times."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from daemon.cli.opening import ask, load, tenant_of, two_sided, with_config, with_tenant
from daemon.cli.times import moment, shown
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.cli.changes import Change
    from daemon.domain.fields import Value
    from daemon.storage.connection import Connection


@click.command()
@click.argument("category")
@click.argument("ref")
@click.option("--from", "begin", required=True, metavar="T1", help="The first time: ISO 8601, or '2h ago'.")
@click.option("--to", "end", metavar="T2", help="The second time; left out: now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per change.")
@with_tenant
@with_config
def diff(
    config_file: Path | None,
    tenant: str | None,
    category: str,
    ref: str,
    begin: str,
    end: str | None,
    as_json: bool,
) -> None:
    """What changed between two times: each side's fields, the link, what is held; each with the event that did it.

    Times are what Toveis knew then. What came and went in between is in `toveis history`. The exit code is 0, whether
    or not anything changed.

    \b
    Example:  toveis diff contact kari@example.no --from "2d ago"
              toveis diff company vitec:ADR0123 --from 2026-03-01 --to 2026-03-02
    """
    two_sided(category, "diff")
    now = datetime.now(UTC)
    since, until = moment(begin, now) or now, moment(end, now) or now
    if since > until:
        raise UsageError(f"--from is later than --to: {shown(since)}, {shown(until)}")
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import changes, finding, pictures
    from daemon.processor import options_of

    async def look(conn: "Connection") -> "tuple[dict[str, Any], list[Change]]":
        name = await finding.find(conn, chosen.name, category, ref)
        events = await finding.events_of(conn, chosen.name, category, name)
        known = finding.known_then(events, until)
        options = options_of(chosen)
        entity = pictures.folded(chosen.name, name, known, options)
        return pictures.heading(entity), changes.changes(chosen.name, name, events, options, since, until)

    head, found = ask(settings, look)
    if as_json:
        for change in found:
            click.echo(msgspec.json.encode(changes.row_of(change)).decode())
    else:
        print_changes(head, found, since, until)


def print_changes(head: dict[str, Any], found: "Sequence[Change]", since: datetime, until: datetime) -> None:
    """What was, what is, and the event between them."""
    from rich.console import Console
    from rich.table import Table

    from daemon.cli.pictures import print_heading
    from daemon.cli.times import zones

    console = Console()
    print_heading(console, head)
    click.echo(f"from {shown(since)} to {shown(until)}")
    if not found:
        click.echo("nothing changed")
        return
    for change in found:
        click.echo()
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for sign, words in _lines(change):
            table.add_row(sign, words)
        console.print(f"[bold]{_what(change)}[/]", highlight=False)
        console.print(table, highlight=False)
    click.echo()
    click.echo(zones(change.recorded_at for change in found))


def _what(change: "Change") -> str:
    from rich.markup import escape

    from daemon.cli.harmless import harmless
    from daemon.cli.wording import NAMES, field_words

    field = field_words(change.field or "")
    match change.kind:
        case "field":
            words = f"{field} at {NAMES[(change.side or '').partition(':')[0]]}"
        case "held":
            words = f"{field} held for {NAMES[change.side or '']}"
        case "record":
            words = f"record {change.side}"
        case _:
            words = {"link": "link", "closed": "closed", "hold": "held as a whole"}[change.kind]
    return escape(harmless(words))


def _lines(change: "Change") -> "Iterator[tuple[str, str]]":
    from daemon.cli.times import brief
    from daemon.cli.wording import WAYS

    for sign, colour, value in (("-", "red", change.before), ("+", "green", change.after)):
        if value is not None or change.kind == "field":
            yield f"  [{colour}]{sign}[/]", f"[{colour}]{_words(value)}[/]"
    how = WAYS[change.way] if change.way is not None else change.type
    yield "", f"[dim]event {change.event}, {brief(change.recorded_at)}, {change.origin}: {how}[/]"


def _words(value: "Value") -> str:
    from rich.markup import escape

    from daemon.cli.wording import value_words

    return escape(value_words(value))
