"""`toveis reconcile`: both vendors are read anew and compared; what differs is explained, and repaired the ordinary way."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli import FINDINGS
from daemon.cli.harmless import harmless
from daemon.cli.opening import connected, database, load, tenant_of, with_config, with_tenant
from daemon.cli.operating import operator
from daemon.domain.errors import AccessDenied, UsageError, VendorError
from daemon.domain.settings import Settings, TenantSettings
from daemon.domain.streams import PROPSTREET, VITEC

if TYPE_CHECKING:
    from daemon.processor import Tenant
    from daemon.reconcile import Findings
    from daemon.reconcile.survey import Progress, Step

STILL: Final = 20.0
"""Seconds without any event or outcome after which nobody waits for the rest."""
SHOWN: Final = 40
"""So many lines of what waits are shown on a screen; `--json` has all."""


class Left(msgspec.Struct, frozen=True):
    """What an audit leaves to the daemon: commands without an end, and whether it has looked at everything."""

    commands: int
    decided: bool


@click.command()
@click.option(
    "--dry-run", is_flag=True, help="Only print the plan; change nothing. Exit 1 unless it is empty."
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per difference, and a last one with counts."
)
@with_tenant
@with_config
def reconcile(config_file: Path | None, tenant: str | None, dry_run: bool, as_json: bool) -> int:
    """Read both vendors anew, compare every pair, explain each difference, and repair what can be repaired.

    What is read goes to the log, and the daemon does what follows, under the brakes. The daemon does the same by
    itself once in `reconcile_interval`. Exit 1 while something is left to be done.

    \b
    Example:  toveis reconcile --dry-run
              toveis reconcile
    """
    settings = load(config_file, secrets=True)
    chosen = tenant_of(settings, tenant)
    with database(settings) as (dsn, embedded):
        return asyncio.run(_reconcile(settings, chosen, dsn, embedded, dry_run, as_json))


async def _reconcile(
    settings: Settings, chosen: TenantSettings, dsn: str, embedded: bool, dry_run: bool, as_json: bool
) -> int:
    from daemon.reconcile import Behind, audit, carry_out
    from daemon.storage import audits

    async with AsyncExitStack() as stack:
        conn = await stack.enter_async_context(connected(dsn, embedded=embedded))
        at, vendors = await _opened(stack, settings, chosen, dsn)
        if not await stack.enter_async_context(audits.alone(conn, at.name)):
            raise UsageError("a reconcile is under way already; wait for its end")
        try:
            with progress(chosen) as (report, estimate):
                found = await audit(at, vendors.vitec, vendors.propstreet, progress=report, estimate=estimate)
        except Behind as error:
            raise UsageError(str(error)) from None
        except AccessDenied:
            raise UsageError("a vendor refused us; look at its credentials, then `toveis retry`") from None
        except VendorError as error:
            raise UsageError(
                f"a vendor does not answer as it should ({type(error).__name__}); try again"
            ) from None
        for each in found.differences if as_json else ():
            click.echo(msgspec.json.encode(each).decode())
        if dry_run:
            _sum_up(found, None, dry_run=True, as_json=as_json)
            return FINDINGS if found.due else 0
        if not as_json:
            _list(found)
        position = await carry_out(at, found, operator())
        left = await _settled(at, [name for name, _ in found.items], position) if found.due else Left(0, True)
        _sum_up(found, left, dry_run=False, as_json=as_json)
        return 0 if left.decided and not left.commands else FINDINGS


async def _opened(
    stack: AsyncExitStack, settings: Settings, chosen: TenantSettings, dsn: str
) -> tuple["Tenant", Any]:
    """The tenant as a stage would have it, and its vendors, with the calls on the same record."""
    import aiohttp

    from daemon.clients import Limiters, Vendors
    from daemon.domain.capabilities import available
    from daemon.processor import Tenant
    from daemon.storage.appender import Appender
    from daemon.storage.connection import open_pool

    pool = await open_pool(dsn, size=6)
    stack.push_async_callback(pool.close)
    appender = Appender(pool, chosen.name)
    await appender.start()
    stack.push_async_callback(appender.stop)
    at = Tenant(available(chosen), settings.mode, pool, appender, lambda: datetime.now(UTC))
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    limiters = Limiters()
    stack.push_async_callback(limiters.settle)
    return at, Vendors(at, session, limiters)


async def _settled(at: "Tenant", entities: Sequence[str], position: int) -> Left:
    """Wait until the daemon has done what follows; or as long as something moves."""
    from daemon.storage import audits, log, working

    loop = asyncio.get_running_loop()
    seen, end = None, 0.0
    while True:
        async with at.connection() as conn:
            head = await log.head(conn, at.name)
            decided = await working.checkpoint(conn, at.name, "react")
            commands = await audits.open_commands(conn, at.name, entities)
        left = Left(commands, decided >= position)
        if left.decided and not left.commands:
            return left
        if seen != (head, decided, commands):
            seen, end = (head, decided, commands), loop.time() + STILL
        if loop.time() >= end:
            return left
        await asyncio.sleep(0.2)


def _list(found: "Findings") -> None:
    """The plan line by line, then what waits, shortened."""
    due = [each for each in found.differences if each.then]
    rest = [each for each in found.differences if not each.then]
    for each in (*due, *rest[:SHOWN]):
        words = f"{each.kind} ({each.reason})" if each.reason else each.kind
        then = f": {each.then}" if each.then else ""
        click.echo(harmless(f"{each.category} {each.entity} {each.field}: {words} at {each.vendor}{then}"))
        if each.vitec != each.propstreet:
            click.echo(harmless(f"    vitec {_value(each.vitec)}, propstreet {_value(each.propstreet)}"))
    if len(rest) > SHOWN:
        click.echo(f"and {len(rest) - SHOWN} more that wait: `toveis reconcile --dry-run --json` has all")


def _value(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sum_up(found: "Findings", left: Left | None, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        told = {
            "counts": found.counts(),
            "began": found.began,
            "pairs": found.pairs,
            "records": found.records,
            "unread": found.unread,
            "due": found.due,
            "dry_run": dry_run,
            "left": None if left is None else left.commands,
            "settled": None if left is None else left.decided and not left.commands,
        }
        click.echo(msgspec.json.encode(told).decode())
        return
    if dry_run:
        _list(found)
    click.echo(f"{found.pairs} pairs and {found.records} records compared")
    for kind, of in found.counts().items():
        click.echo(f"  {kind}: " + ", ".join(f"{count} {category}" for category, count in of.items()))
    if found.unread:
        click.echo(f"  {found.unread} could not be read: see the service's log")
    for batch in found.batches:
        click.echo(f"  {batch.detail}")
    if left is None:
        click.echo(
            "nothing is due" if not found.due else f"due for {found.due} entities; nothing was changed"
        )
    elif not left.decided:
        click.echo("what was read is in the log; the daemon has not looked at it yet: is it running?")
    elif left.commands:
        click.echo(f"{left.commands} writes are not through yet: see `toveis commands --pending`")
    else:
        click.echo(f"done for {found.due} entities" if found.due else "nothing was due")


@contextmanager
def progress(
    chosen: TenantSettings,
) -> Iterator[tuple["Progress | None", "Callable[[Sequence[Step]], None] | None"]]:
    """A progress bar per vendor on a terminal, after how long it takes at least; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None, None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("reading {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} calls"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        tasks = {vendor: bar.add_task(vendor.capitalize(), total=0) for vendor in (VITEC, PROPSTREET)}

        def estimate(steps: Sequence["Step"]) -> None:
            from daemon.reconcile.survey import least_seconds

            limits = {VITEC: chosen.vitec.limits, PROPSTREET: chosen.propstreet.limits}
            calls = {v: sum(step.calls for step in steps if step.vendor == v) for v in limits}
            least = max(least_seconds(limits[vendor], count) for vendor, count in calls.items())
            for vendor, task in tasks.items():
                bar.update(task, total=calls[vendor])
            words = f"about {calls[VITEC]} calls at Vitec and {calls[PROPSTREET]} at Propstreet"
            minutes = max(1, round(least / 60))
            bar.console.print(f"{words}: {minutes} minutes at least, under the limits", highlight=False)

        yield lambda vendor, done, total: bar.update(tasks[vendor], completed=done, total=total), estimate
