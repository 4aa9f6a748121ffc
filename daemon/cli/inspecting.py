"""`toveis history`, `toveis show` and `toveis status`: what happened, what is, and how the daemon is doing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.times import moment
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.storage.connection import Connection

CATEGORIES = click.Choice(["contact", "company", "project", "prospect", "lead"])


@click.command()
@click.argument("category", type=CATEGORIES)
@click.argument("ref")
@click.option("--follow", is_flag=True, help="Go on and tell what happens next.")
@click.option("--since", metavar="T", help="Only what was recorded since: ISO 8601, or '2h ago'.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event.")
@with_tenant
@with_config
def history(
    config_file: Path | None,
    tenant: str | None,
    category: str,
    ref: str,
    follow: bool,
    since: str | None,
    as_json: bool,
) -> None:
    """Every event of one entity, both vendors' and ours, oldest first.

    REF is an entity's id, vitec:<id> (a prospect's is <estateId>:<contactId>), propstreet:<id>, an e-mail, an
    organisation number or a project's name; a lead's is the id that it was answered with, or an e-mail.

    \b
    Example:  toveis history contact kari@example.no
              toveis history company 800000009 --since "2h ago"
              toveis history project "Fjordgata 12"
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    begin = moment(since)
    from daemon.cli import stories
    from daemon.processor import options_of

    options = options_of(chosen)

    async def tell(conn: "Connection") -> None:
        import asyncio

        names = await stories.find(conn, chosen.name, category, ref)
        story = stories.Story(options)
        after = 0
        while True:
            events = await stories.events_of(conn, chosen.name, category, names, after)
            lines = [
                line for line in map(story.line, events) if begin is None or line.event.recorded_at >= begin
            ]
            stories.print_history(lines, as_json=as_json, heading=after == 0)
            after = events[-1].position if events else after
            if not follow:
                return
            await asyncio.sleep(0.5)

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
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    until = moment(at)
    from daemon.cli import stories
    from daemon.processor import options_of

    async def look(conn: "Connection") -> dict[str, Any]:
        names = await stories.find(conn, chosen.name, category, ref)
        events = await stories.events_of(conn, chosen.name, category, names, 0)
        known = [event for event in events if until is None or event.recorded_at <= until]
        if not known:
            raise UsageError("nothing was known of it then")
        return stories.picture(chosen.name, names[0], known, options_of(chosen))

    stories.print_picture(ask(settings, look), as_json=as_json)


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
