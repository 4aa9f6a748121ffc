"""`toveis replay` and `toveis verify`: the views against the log."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.opening import ask, connected, database, load, tenant_of, with_config, with_tenant
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.storage.connection import Connection
    from daemon.storage.rebuild import Difference, Progress


@click.command()
@click.option("--dry-run", is_flag=True, help="Only compare; exit 1 if anything differs.")
@click.option("--view", help="Compare only this view (with --dry-run).")
@click.option("--rollback", is_flag=True, help="Put the views of before the last replay back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per difference.")
@with_tenant
@with_config
def replay(
    config_file: Path | None,
    tenant: str | None,
    dry_run: bool,
    view: str | None,
    rollback: bool,
    as_json: bool,
) -> int:
    """Rebuild every view from the log, beside the live ones, and swap. It writes no event and issues no command.

    \b
    Example:  toveis replay --dry-run
              toveis replay
    """
    from projections.views import VIEWS

    if view is not None and view not in VIEWS:
        raise UsageError(f"there is no view {view!r}; there are: {', '.join(VIEWS)}")
    if view is not None and not dry_run:
        raise UsageError("a replay always rebuilds every view; give --view together with --dry-run")
    settings = load(config_file, secrets=False)
    if dry_run or tenant is not None:
        chosen = tenant_of(settings, tenant)
    from daemon.processor import options_of
    from daemon.storage import log, rebuild

    if dry_run:

        async def compare(conn: "Connection") -> list["Difference"]:
            with progress() as report:
                return await rebuild.compare(conn, chosen.name, options_of(chosen), progress=report)

        found = [d for d in ask(settings, compare) if view in (None, d.view)]
        tell(found, as_json=as_json)
        return 1 if found else 0

    async def swap(dsn: str, embedded: bool) -> int:
        async with connected(dsn, embedded=embedded, any_views=True) as conn:
            if rollback:
                await rebuild.roll_back(conn)
                return 0
            options = {each.name: options_of(each) for each in settings.tenants}
            strangers = set(await log.tenants(conn)) - options.keys()
            if strangers:
                raise UsageError(
                    f"the log holds tenants that are not configured: {', '.join(sorted(strangers))}"
                )
            with progress() as report:
                await rebuild.rebuild(conn, options, progress=report)
            return sum([await log.head(conn, name) for name in options])

    with database(settings) as (dsn, embedded):
        login = settings.database.migrate_dsn
        events = asyncio.run(swap(dsn if embedded or login is None else login.reveal(), embedded))
    click.echo(
        "the earlier views are back" if rollback else f"{events} events replayed, the views are swapped"
    )
    return 0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
@with_tenant
@with_config
def verify(config_file: Path | None, tenant: str | None, as_json: bool) -> int:
    """Check the log (gapless, unique, readable), and every view against a fresh fold. Exit 1 on any finding.

    \b
    Example:  toveis verify
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.processor import options_of
    from daemon.storage import rebuild

    async def check(conn: "Connection") -> list["Difference"]:
        with progress() as report:
            findings = await rebuild.check_log(conn, chosen.name)
            return findings or await rebuild.compare(conn, chosen.name, options_of(chosen), progress=report)

    found = ask(settings, check)
    tell(found, as_json=as_json)
    return 1 if found else 0


def tell(found: list["Difference"], *, as_json: bool) -> None:
    """Every difference: a line of JSON, or a line of text."""
    import msgspec

    for difference in found:
        if as_json:
            click.echo(msgspec.json.encode(difference).decode())
        else:
            live, fresh = (msgspec.json.encode(v).decode() for v in (difference.live, difference.fresh))
            where = f"{difference.view} {difference.entity} {difference.field}"
            click.echo(f"{where}: live {_short(live)}, fresh {_short(fresh)}")
    if not as_json:
        words = "difference" if len(found) == 1 else "differences"
        click.echo(f"{len(found)} {words}" if found else "no difference")


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


@contextmanager
def progress() -> "Iterator[Progress | None]":
    """A progress bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("folding"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} events"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fold", total=0)
        yield lambda done, total: bar.update(task, completed=done, total=total)
