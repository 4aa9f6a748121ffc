"""`toveis trace`: from the webhook that began it to the outcome."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant

if TYPE_CHECKING:
    from daemon.cli.causes import Node
    from daemon.storage.connection import Connection


@click.command()
@click.argument("event", metavar="EVENT|COMMAND")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per event, parents before what follows."
)
@with_tenant
@with_config
def trace(config_file: Path | None, tenant: str | None, event: str, as_json: bool) -> None:
    """What led to an event, and what followed from it: a tree from the webhook to the outcome.

    EVENT is a position as `toveis history` shows it, or an event's id; COMMAND is an id as `toveis commands` and
    `toveis explain` show it. Six characters of an id are enough, if no other begins so. The tree begins with what no
    other event led to; the one that was asked for is marked.

    \b
    Example:  toveis trace 453
              toveis trace 0d5e5c0a --json | jq .summary
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import causes
    from daemon.processor import options_of

    async def look(conn: "Connection") -> "list[Node]":
        found = await causes.asked(conn, chosen.name, event)
        story = await causes.story_of(conn, chosen.name, found)
        return causes.tree(story, found, options_of(chosen))

    nodes = ask(settings, look)
    if as_json:
        for node in nodes:
            click.echo(msgspec.json.encode(causes.json_of(node)).decode())
    else:
        print_tree(nodes)


def print_tree(nodes: "Sequence[Node]") -> None:
    """The events, each below what led to it."""
    from rich.console import Console
    from rich.tree import Tree

    from daemon.cli.times import zones

    branches: dict[int, Tree] = {}
    for node in nodes:
        place = node.line.event.position
        if node.parent is None:
            branches[place] = Tree(_label(node), guide_style="dim")
        else:
            branch = branches[node.parent].add(_label(node))
            branches.setdefault(place, branch)
    console = Console()
    console.print(branches[nodes[0].line.event.position], highlight=False)
    click.echo(zones(node.line.event.recorded_at for node in nodes))


def _label(node: "Node") -> str:
    from rich.markup import escape

    from daemon.cli.harmless import harmless
    from daemon.cli.times import brief
    from daemon.cli.wording import COLOURS

    event = node.line.event
    words = "(as told elsewhere in this tree)" if node.again else escape(harmless(node.line.summary))
    mark = "[bold]>[/] " if node.asked else ""
    origin = f"[{COLOURS.get(event.origin, 'yellow')}]{event.origin}[/]"
    label = f"{mark}{event.position} {brief(event.recorded_at)} {origin} {words}"
    return f"[bold]{label}[/]" if node.asked else label
