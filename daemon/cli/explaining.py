"""`toveis explain`: blame for fields."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from daemon.cli.opening import ask, load, tenant_of, two_sided, with_config, with_tenant
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.cli.reasons import Carried, Held, Lost, Why
    from daemon.storage.connection import Connection
    from projections.entity import Entity


@click.command()
@click.argument("category")
@click.argument("ref")
@click.argument("field", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per field.")
@with_tenant
@with_config
def explain(
    config_file: Path | None, tenant: str | None, category: str, ref: str, field: str | None, as_json: bool
) -> None:
    """Why each field holds its value: whose edit it is, since when, by which rule, and what lost against it.

    Also the command that carried it to the other side with its outcome, and what keeps it from there. Whoever made
    the edit is named as far as it is told: Propstreet's changeOrigin, or an operator. REF is what `toveis history`
    takes; FIELD is a field as `toveis show` names it, all without one.

    \b
    Example:  toveis explain contact kari@example.no phone
              toveis explain company vitec:ADR0123 --json | jq 'select(.lost != [])'
    """
    two_sided(category, "explain")
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import finding, reasons
    from daemon.processor import options_of

    async def look(conn: "Connection") -> "tuple[Entity, list[Why]]":
        name = await finding.find(conn, chosen.name, category, ref)
        events = await finding.events_of(conn, chosen.name, category, name)
        return reasons.reasons(chosen.name, name, events, options_of(chosen))

    entity, found = ask(settings, look)
    wanted = found if field is None else [_named(found, field)]
    if as_json:
        for why in wanted:
            click.echo(msgspec.json.encode(reasons.row_of(why)).decode())
    else:
        print_reasons(entity, wanted)


def _named(found: "Sequence[Why]", field: str) -> "Why":
    """The field of this name, in words or as JSON has it; raises UsageError."""
    name = field.strip().lower().replace(" ", "_").replace("-", "_")
    for why in found:
        if why.field == name:
            return why
    known = ", ".join(why.field for why in found) or "none: it was not read yet"
    raise UsageError(f"it has no field {field!r}; its fields: {known}")


def print_reasons(entity: "Entity", found: "Sequence[Why]") -> None:
    """A block of a few lines per field."""
    from rich.console import Console
    from rich.table import Table

    from daemon.cli.pictures import heading, print_heading
    from daemon.cli.times import zones

    console = Console()
    print_heading(console, heading(entity))
    for why in found:
        click.echo()
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=10)
        table.add_column(overflow="fold")
        for label, words in _lines(why):
            table.add_row(label, words)
        console.print(table, highlight=False)
    if found:
        click.echo()
        times = [time for why in found for time in (why.since, why.recorded_at) if time is not None]
        click.echo(zones(times or [datetime.now(UTC)]))


def _lines(why: "Why") -> Iterator[tuple[str, str]]:
    """A label and what stands behind it, as markup."""
    from rich.markup import escape

    from daemon.cli.harmless import harmless
    from daemon.cli.times import brief
    from daemon.cli.wording import COLOURS, NAMES, field_words, tuple_of, value_words

    def plain(text: str) -> str:
        return escape(harmless(text))

    def words(value: object) -> str:
        return plain(value_words(tuple_of(value)))

    yield f"[bold]{plain(field_words(why.field))}[/]", f"[bold]{words(why.value)}[/]"
    yield "  from", f"[{COLOURS[why.side]}]{NAMES[why.side]}[/], {plain(_edit(why))}"
    if why.since is not None:
        yield "  since", brief(why.since)
    if why.rule:
        yield "  rule", plain(why.rule)
    for lost in why.lost:
        yield "  lost", f"{NAMES[lost.side]}'s {words(lost.value)}{plain(_loss(lost))}"
    for vendor, value in why.values.items():
        if vendor != why.side and not why.agreed:
            yield "  but", f"{NAMES[vendor]} holds {words(value)}"
    if why.command is not None:
        yield "  carried", f"to {NAMES[why.command.target]}: {plain(_outcome(why.command))}"
    for held in why.held:
        yield "  held", plain(_hold(held))


def _edit(why: "Why") -> str:
    """By which event, in which way, and by whom as far as it is told."""
    from daemon.cli.times import brief
    from daemon.cli.wording import WAYS

    told = [f"event {why.event}"]
    if why.recorded_at is not None:
        told.append(f"recorded {brief(why.recorded_at)}")
    if why.way is not None:
        told.append(WAYS[why.way])
    if why.change_origin:
        told.append(f"changeOrigin {why.change_origin}")
    if why.operator is not None:
        told.append(f"brought back by {why.operator}")
    return ", ".join(told)


def _loss(lost: "Lost") -> str:
    from daemon.cli.losses import SHORT
    from daemon.cli.times import brief

    since = f" since {brief(lost.since)}" if lost.since is not None else ""
    unsure = ", their order is uncertain" if lost.order_uncertain else ""
    return f"{since} ({lost.rule}{unsure}; conflict {lost.conflict[:SHORT]})"


def _outcome(carried: "Carried") -> str:
    from daemon.cli.outbound import SHORT
    from daemon.cli.times import brief

    why = f" ({carried.reason})" if carried.reason else ""
    return f"{carried.state} {brief(carried.at)}{why}, command {carried.id[:SHORT]}"


def _hold(held: "Held") -> str:
    from daemon.cli.outbound import SHORT
    from daemon.cli.wording import NAMES

    what = f"not written to {NAMES[held.target]}" if held.target is not None else "the whole entity waits"
    command = f"; command {held.command[:SHORT]}" if held.command is not None else ""
    why = f"{held.reason}: {held.detail}" if held.detail else held.reason
    return f"{what} ({held.state}), {why}{command}"
