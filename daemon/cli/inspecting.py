"""`toveis history`, `toveis show` and `toveis status`: what happened, what is, and how the daemon is doing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.times import moment
from daemon.domain.events import TYPES as EVENTS

if TYPE_CHECKING:
    from daemon.storage.connection import Connection

CATEGORIES = click.Choice(["contact", "company", "project", "prospect", "lead"])
TYPES = click.Choice(sorted(EVENTS))
SIDES = click.Choice(["vitec", "propstreet", "toveis", "operator", "lead"])
EVERY = 0.5
"""Seconds between two looks at what is followed."""


@click.command()
@click.argument("category", type=CATEGORIES)
@click.argument("ref")
@click.option("--type", "types", multiple=True, type=TYPES, metavar="TYPE", help="Only events of this type.")
@click.option(
    "--side", "sides", multiple=True, type=SIDES, help="Only what this side said or did; may be repeated."
)
@click.option("--since", metavar="T", help="Only what was recorded since: ISO 8601, or '2h ago'.")
@click.option("--until", metavar="T", help="Only what was recorded until then.")
@click.option("--follow", is_flag=True, help="Go on and tell what happens next, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event.")
@with_tenant
@with_config
def history(
    config_file: Path | None,
    tenant: str | None,
    category: str,
    ref: str,
    types: tuple[str, ...],
    sides: tuple[str, ...],
    since: str | None,
    until: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Every event of one entity, both vendors' and ours, oldest first.

    REF is an entity's id, vitec:<id> (a prospect's is <estateId>:<contactId>), propstreet:<id>, an e-mail, an
    organisation number or a project's name; a lead's is the id that it was answered with, or an e-mail. --type and
    --side may be repeated. With --follow the earlier events of a record that joins the entity are told when it does.

    \b
    Example:  toveis history contact kari@example.no
              toveis history company 800000009 --since "2h ago" --side vitec
              toveis history project "Fjordgata 12" --type CommandHeld
    """
    begin, end = moment(since), moment(until)
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import finding, histories, stories
    from daemon.processor import options_of

    wanted = histories.Wanted(types, sides, begin, end)
    story = stories.Story(options_of(chosen))

    async def tell(conn: "Connection") -> None:
        import asyncio

        name = await finding.find(conn, chosen.name, category, ref)
        reader = finding.Reader(conn, chosen.name, category, name)
        told = False
        while True:
            lines = [line for line in map(story.line, await reader.news()) if wanted.wants(line.event)]
            histories.print_history(lines, as_json=as_json, heading=not told)
            told = told or bool(lines)
            if not follow:
                break
            await asyncio.sleep(EVERY)
        if not told and not as_json:
            click.echo("no event of it is of that kind, side or time")

    try:
        ask(settings, tell)
    except KeyboardInterrupt:
        if not follow:
            raise


@click.command()
@click.argument("category", type=CATEGORIES)
@click.argument("ref")
@click.option("--at", "at", metavar="T", help="As Toveis knew it then: ISO 8601, or '2h ago'.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def show(
    config_file: Path | None, tenant: str | None, category: str, ref: str, at: str | None, as_json: bool
) -> None:
    """One entity as it is, or was, with what each vendor holds.

    \b
    Example:  toveis show contact kari@example.no
              toveis show company vitec:ADR0123 --at "1d ago"
    """
    until = moment(at)
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import finding, pictures
    from daemon.processor import options_of

    async def look(conn: "Connection") -> dict[str, Any]:
        name = await finding.find(conn, chosen.name, category, ref)
        events = await finding.events_of(conn, chosen.name, category, name)
        known = events if until is None else finding.known_then(events, until)
        return pictures.picture(chosen.name, name, known, options_of(chosen), until)

    pictures.print_picture(ask(settings, look), as_json=as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per tenant.")
@click.option("--capabilities", is_flag=True, help="Also what is read and written at Vitec, and why not.")
@with_tenant
@with_config
def status(config_file: Path | None, tenant: str | None, as_json: bool, capabilities: bool) -> None:
    """How far each stage is, what waits, what is held, and when each source was last looked at.

    \b
    Example:  toveis status
              toveis status --capabilities
              toveis status --json | jq .commands
    """
    settings = load(config_file, secrets=False)
    chosen = [tenant_of(settings, tenant)] if tenant is not None else list(settings.tenants)
    from daemon.cli import states

    async def look(conn: "Connection") -> list[dict[str, Any]]:
        return [await states.state_of(conn, each) for each in chosen]

    states.print_states(ask(settings, look), as_json=as_json, capabilities=capabilities)
