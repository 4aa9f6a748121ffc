"""`toveis conflicts` and `toveis restore`: what lost when both sides changed a field, and bringing it back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.times import moment

if TYPE_CHECKING:
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection
    from daemon.storage.views import Lost


@click.command()
@click.option("--since", metavar="T", help="Only what was recorded since: ISO 8601, or '2h ago'.")
@click.option(
    "--all", "restores", is_flag=True, help="Also what an operator's own restore took the place of."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per conflict.")
@with_tenant
@with_config
def conflicts(
    config_file: Path | None, tenant: str | None, since: str | None, restores: bool, as_json: bool
) -> None:
    """Every field that both sides had changed: who won, who lost, and why; the newest last.

    A value that lost is kept: `toveis restore` brings it back.

    \b
    Example:  toveis conflicts --since "1d ago"
              toveis conflicts --json | jq 'select(.order_uncertain)'
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    begin = moment(since)
    from daemon.cli import losses
    from daemon.storage import views

    async def look(conn: "Connection") -> "list[Lost]":
        return await views.conflicts(conn, chosen.name, begin, restores=restores)

    losses.print_conflicts(ask(settings, look), as_json=as_json)


@click.command()
@click.argument("conflict")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def restore(config_file: Path | None, tenant: str | None, conflict: str, as_json: bool) -> None:
    """Bring back the value that lost in a conflict.

    CONFLICT is an id as `toveis conflicts` prints it, or the beginning of one. The value is written to both sides as
    far as the configured direction goes, and stays until somebody edits the field. What stands now is put on record
    and can be brought back in the same way.

    \b
    Example:  toveis restore 3f6c2a91
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import losses, operating

    async def rule(conn: "Connection", at: "Tenant") -> "operating.Ruling":
        return await losses.bring_back(conn, at, conflict)

    told = operating.append(settings, chosen, rule)
    operating.tell(told, told["summary"], as_json=as_json)
