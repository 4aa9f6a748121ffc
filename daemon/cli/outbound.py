"""`toveis commands`: what is to be written at a vendor, what is held, and what was refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.times import shown
from daemon.domain.streams import LEAD

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

NOTHING: Final = {
    "pending": "nothing waits to be sent",
    "held": "nothing is held",
    "dead": "nothing was refused",
    None: "nothing waits, is held or was refused",
}
"""What is said when there is nothing to list."""

SHORT: Final = 12
"""So many characters of an id are shown on a terminal: enough to say which one is meant."""


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

    rows, held, batches = ask(settings, look)
    if as_json:
        for each in (*map(_row, rows), *map(_held, held), *map(_batch, batches)):
            click.echo(msgspec.json.encode(each).decode())
    elif rows or held or batches:
        print_table(rows, held, batches)
    else:
        click.echo(NOTHING[state])


def print_table(rows: "Iterable[CommandRow]", held: "Iterable[Held]", batches: "Iterable[BatchRow]") -> None:
    """After the commands the entities that wait as a whole, and what a brake holds; and the ways out."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("what, why, and what to do", overflow="fold")
    told = [
        *((row.command, row.state, _command_words(row)) for row in rows),
        *((entity.entity, "held", _held_words(entity)) for entity in held),
        *((batch.batch, "held", f"{batch.kind}: {batch.detail}") for batch in batches),
    ]
    for name, state, words in told:
        table.add_row(name[:SHORT], state, escape(harmless(words)))
    Console().print(table)
    click.echo("`toveis release ID` lets what is held go; `toveis retry ID` tries again what was")
    click.echo("refused or waits; `toveis discard ID` settles it (a bat-… is only released).")


def _command_words(row: "CommandRow") -> str:
    from daemon.cli.wording import NAMES, field_words

    fields = () if row.category == LEAD else map(field_words, row.fields)
    what = ", ".join((f"{row.category} {row.entity} at {NAMES[row.target]}", *fields))
    again = f"again at {shown(row.due_at)}" if row.due_at is not None else ""
    reason = ": ".join(filter(None, (row.reason, row.detail)))
    said = f"answered {row.status}" if row.status is not None else ""
    why = "; ".join(filter(None, (said, reason, again)))
    return f"{what}: {why}" if why else what


def _held_words(held: "Held") -> str:
    names = ", ".join(held.hold.candidates)
    why = f"{held.hold.reason}: {held.hold.detail}" + (f" ({names})" if names else "")
    return f"{held.category} {held.entity}: {why}"


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
        "status": row.status,
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
