"""`toveis commands`: what is to be written at a vendor, what is held, and what was refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.times import shown

if TYPE_CHECKING:
    from daemon.storage.connection import Connection
    from daemon.storage.views import Held
    from projections.batches import BatchRow
    from projections.commands import CommandRow

STATES: Final = {
    "pending": ("pending", "flying", "unknown"),
    "held": ("held",),
    "dead": ("dead",),
}
"""What each option of the command lists; without one, all of it."""


@click.command()
@click.option(
    "--pending", "state", flag_value="pending", help="Only what waits to be sent, or is on its way."
)
@click.option("--held", "state", flag_value="held", help="Only what cannot, or may not, be written.")
@click.option("--dead", "state", flag_value="dead", help="Only what a vendor refused for good.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per command.")
@with_tenant
@with_config
def commands(config_file: Path | None, tenant: str | None, state: str | None, as_json: bool) -> None:
    """What is to be written, what is held and why, and what was refused; the oldest first.

    \b
    Example:  toveis commands --held
              toveis commands --dead --json | jq .reason
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.storage import brakes, views

    wanted = STATES[state] if state is not None else tuple(s for states in STATES.values() for s in states)

    async def look(conn: "Connection") -> "tuple[list[CommandRow], list[Held], list[BatchRow]]":
        held = await views.held(conn, chosen.name) if "held" in wanted else []
        batches = await brakes.batches(conn, chosen.name) if "held" in wanted else []
        waiting = [row for row in batches if row.released is None]
        return await views.commands_in(conn, chosen.name, wanted), held, waiting

    print_commands(*ask(settings, look), as_json=as_json)


def print_commands(
    rows: "Iterable[CommandRow]", held: "Iterable[Held]", batches: "Iterable[BatchRow]", *, as_json: bool
) -> None:
    """JSON objects, or a table; after the commands the entities that wait as a whole, and what a brake holds."""
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(_row(row)).decode())
        for entity in held:
            click.echo(msgspec.json.encode(_held(entity)).decode())
        for batch in batches:
            click.echo(msgspec.json.encode(_batch(batch)).decode())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("id", "state", "at", "about", "fields", "why, and what to do"):
        table.add_column(column, overflow="fold", no_wrap=column in ("state", "at"))
    for row in rows:
        why = ": ".join(filter(None, (row.reason, row.detail)))
        if row.due_at is not None:
            why = f"{why}; again at {shown(row.due_at)}".lstrip("; ")
        about = f"{row.category} {row.entity}"
        table.add_row(row.command, row.state, row.target, about, ", ".join(row.fields), escape(harmless(why)))
    for entity in held:
        names = ", ".join(entity.hold.candidates)
        why = f"{entity.hold.reason}: {entity.hold.detail}" + (f" ({names})" if names else "")
        table.add_row(
            entity.entity, "held", "", f"{entity.category} {entity.entity}", "", escape(harmless(why))
        )
    for batch in batches:
        about = f"{batch.count} or more of {batch.category}"
        table.add_row(batch.batch, "held", batch.vendor, about, "", f"{batch.kind}: {batch.detail}")
    if table.row_count:
        Console().print(table)
        click.echo(
            "toveis release ID lets what is held go, retry what was refused or waits, discard settles it"
        )
    else:
        click.echo("nothing waits, is held or was refused")


def _row(row: "CommandRow") -> dict[str, Any]:
    return {
        "id": row.command,
        "state": row.state,
        "target": row.target,
        "entity": row.entity,
        "reason": row.reason,
        "category": row.category,
        "record": row.record,
        "fields": row.fields,
        "detail": row.detail,
        "attempts": row.attempts,
        "due_at": row.due_at,
        "position": row.issued,
    }


def _held(held: "Held") -> dict[str, Any]:
    """An entity that is held as a whole: its id is the entity's own."""
    return {
        "id": held.entity,
        "state": "held",
        "target": None,
        "entity": held.entity,
        "reason": held.hold.reason,
        "category": held.category,
        "detail": held.hold.detail,
        "candidates": held.hold.candidates,
        "position": held.hold.position,
    }


def _batch(batch: "BatchRow") -> dict[str, Any]:
    """What a brake holds as one: its id is the batch's."""
    return {
        "id": batch.batch,
        "state": "held",
        "target": None,
        "entity": None,
        "reason": batch.kind,
        "category": batch.category,
        "vendor": batch.vendor,
        "detail": batch.detail,
        "count": batch.count,
        "position": batch.held,
    }
