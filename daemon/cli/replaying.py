"""`toveis replay` and `toveis verify`: the views against the log."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from daemon.cli.harmless import harmless
from daemon.cli.opening import ask, connected, database, load, tenant_of, with_config, with_tenant
from daemon.cli.pacing import progress
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.domain.settings import Settings, TenantSettings
    from daemon.storage.connection import Connection
    from daemon.storage.rebuild import Difference

WIDTH: Final = 66
BEFORE: Final = 24
"""So many signs of a value are shown, and so many of them before the place where two values part."""


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

    The daemon goes on meanwhile. What `--rollback` puts back catches up with the log; a second one undoes it.

    \b
    Example:  toveis replay --dry-run
              toveis replay
    """
    from projections.views import VIEWS

    if view is not None and view not in VIEWS:
        raise UsageError(f"there is no view {view!r}; there are: {', '.join(VIEWS)}")
    if view is not None and not dry_run:
        raise UsageError("a replay always rebuilds every view; give --view together with --dry-run")
    if as_json and not dry_run:
        raise UsageError("only differences are told as JSON; give --json together with --dry-run")
    if rollback and dry_run:
        raise UsageError("give --dry-run or --rollback, not both")
    settings = load(config_file, secrets=False)
    if tenant is not None:
        tenant_of(settings, tenant)  # it must exist, although the views of all are rebuilt
    if dry_run:
        found = compared(settings, tenant_of(settings, tenant), view)
        tell(found, as_json=as_json)
        return 1 if found else 0
    with database(settings) as (dsn, embedded):
        login = settings.database.migrate_dsn
        dsn = dsn if embedded or login is None else login.reveal()
        click.echo(asyncio.run((_roll_back if rollback else _swap)(settings, dsn, embedded)))
    return 0


def compared(settings: "Settings", tenant: "TenantSettings", view: str | None) -> list["Difference"]:
    """Where the live views, or one of them, differ from a fresh fold."""
    from daemon.processor import options_of
    from daemon.storage import rebuild

    async def compare(conn: "Connection") -> list["Difference"]:
        with progress("folding", "comparing") as report:
            return await rebuild.compare(conn, tenant.name, options_of(tenant), progress=report)

    return [each for each in ask(settings, compare) if view in (None, each.view)]


async def _swap(settings: "Settings", dsn: str, embedded: bool) -> str:
    from daemon.processor import options_of
    from daemon.storage import log, rebuild

    async with connected(dsn, embedded=embedded, any_views=True) as conn:
        await rebuild.take_turn(conn)
        options = {each.name: options_of(each) for each in settings.tenants}
        strangers = set(await log.tenants(conn)) - options.keys()
        if strangers:
            raise UsageError(f"the log holds tenants that are not configured: {', '.join(sorted(strangers))}")
        with progress("folding", "writing") as report:
            await rebuild.rebuild(conn, options, progress=report)
        events = sum([await log.head(conn, name) for name in options])
    return f"{events} events replayed, the views of every tenant are swapped"


async def _roll_back(_: "Settings", dsn: str, embedded: bool) -> str:
    from daemon.storage import rebuild

    async with connected(dsn, embedded=embedded, any_views=True) as conn:
        await rebuild.take_turn(conn)
        differ = await rebuild.roll_back(conn)
    more = "; they were folded by another version or with other settings, so the next start rebuilds them"
    return f"the earlier views are back{more if differ else ''}"


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
        with progress("reading", "comparing") as report:
            return await rebuild.verify(conn, chosen.name, options_of(chosen), progress=report)

    found = ask(settings, check)
    tell(found, as_json=as_json)
    return 1 if found else 0


def tell(found: list["Difference"], *, as_json: bool) -> None:
    """Every difference as a line of JSON; or in words, with how many there are in each view at the end."""
    import msgspec

    if as_json:
        for difference in found:
            click.echo(msgspec.json.encode(difference).decode())
        return
    for difference in found:
        for line in words(difference):
            click.echo(harmless(line))
    if not found:
        click.echo("no difference")
        return
    counts = Counter(difference.view for difference in found).items()
    noun = "difference" if len(found) == 1 else "differences"
    click.echo(f"{len(found)} {noun}: {', '.join(f'{view} {count}' for view, count in counts)}")


def words(difference: "Difference") -> Iterator[str]:
    """Where it is, and below it what either side says, from shortly before they part."""
    import msgspec

    yield f"{difference.view}  {difference.entity}  {difference.field}"
    if difference.field == "unreadable":
        yield f"    {difference.live}"
        return
    live, fresh = (
        "no such row" if each is None and difference.field == "*" else msgspec.json.encode(each).decode()
        for each in (difference.live, difference.fresh)
    )
    common = next((place for place, (a, b) in enumerate(zip(live, fresh, strict=False)) if a != b), 0)
    for name, text in (("live", live), ("fresh", fresh)):
        yield f"    {name:<6} {_around(text, common)}"


def _around(text: str, place: int) -> str:
    """The part of a long text that shows a place in it."""
    begin = max(0, place - BEFORE) if len(text) > WIDTH else 0
    shown = text[begin : begin + WIDTH]
    return f"{'…' if begin else ''}{shown}{'…' if begin + WIDTH < len(text) else ''}"
