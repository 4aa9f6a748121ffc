"""`toveis sandbox`: both vendors' twins, the daemon, and a scripted day of edits on both sides, sales and leads."""

import asyncio
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from daemon.cli.screen import Screen
    from daemon.sandbox.day import Outcome, Pace
    from daemon.sandbox.world import World
    from daemon.storage.connection import Connection

NARRATED = 0.2
QUIET = 10.0


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, and say how to look around.")
@click.option("--json", "as_json", is_flag=True, help="No table; one JSON object at the end.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another day.")
@click.option(
    "--edits", default=85, show_default=True, help="How many edits the day has, besides what is new in it."
)
@click.option("--pace", type=float, help="Seconds between edits; 0.2 when the day is shown, else 0.")
@click.option("--lose", default=15, show_default=True, help="Percent of webhooks that are lost.")
@click.option("--copies", default=2, show_default=True, help="How often each webhook is delivered.")
def sandbox(
    keep: bool, as_json: bool, seed: int, edits: int, pace: float | None, lose: int, copies: int
) -> int:
    """A whole day on this machine alone: embedded PostgreSQL, twins of both vendors, and the daemon.

    Contacts and companies are edited at both vendors, estates are sold, investors are won, and leads come in. It shows
    what happens as it happens, then compares both vendors field by field. Exit 0 only if they agree.

    \b
    Example:  toveis sandbox
              toveis sandbox --keep
              toveis sandbox --json --seed 7
    """
    if not 0 <= lose <= 100 or not 1 <= copies <= 10:
        raise click.UsageError("--lose takes 0 to 100 percent, --copies 1 to 10")
    from daemon.cli.screen import Screen
    from daemon.sandbox.day import Pace

    if pace is None:
        pace = 0.0 if as_json else NARRATED
    with tempfile.TemporaryDirectory(prefix="toveis-sandbox-") as directory:
        plan = Plan(Path(directory), seed, edits, Pace(pace, 60.0, QUIET), lose / 100, copies)
        outcome = asyncio.run(_run(plan, Screen(quiet=as_json), keep=keep, as_json=as_json))
    return 0 if outcome.converged and outcome.echo_commands == 0 else 1


class Plan(NamedTuple):
    """What kind of day it is to be."""

    directory: Path
    seed: int
    edits: int
    pace: "Pace"
    lose: float
    copies: int


async def _run(plan: Plan, screen: "Screen", *, keep: bool, as_json: bool) -> "Outcome":
    import msgspec

    from daemon.embedded_postgres import EmbeddedPostgres
    from daemon.sandbox.cast import script
    from daemon.sandbox.day import Day, files
    from daemon.sandbox.process import DaemonProcess
    from daemon.sandbox.world import world
    from daemon.storage.connection import owner

    config_file, data, log_file = files(plan.directory)
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(world(plan.seed))
        told = script(plan.seed, plan.edits)
        place.people.move_in(told)
        for twin in (place.vitec, place.propstreet):
            twin.faults.delivery.drop, twin.faults.delivery.copies = plan.lose, plan.copies
        config_file.write_text(place.configuration(data, "1s", registers=True), "utf-8")
        daemon = DaemonProcess(config_file, log_file, place.daemon_url)
        screen.tell("sandbox", "starting PostgreSQL and the daemon")
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        place.subscribe(propstreet=False)
        server = EmbeddedPostgres(data)
        server.start()
        stack.callback(server.stop)
        conn = await stack.enter_async_context(owner(server.dsn()))
        screen.begin(await stack.enter_async_context(owner(server.dsn())), place)

        async def connect() -> "Connection":
            return conn

        day = Day(place, told, plan.pace, tell=screen.tell)
        outcome = await day.run(connect)
        await screen.end()
        if as_json:
            click.echo(msgspec.json.encode(outcome).decode())
        else:
            screen.verdict(outcome, day.left)
        if keep:
            await _stay(place, config_file, server.psql_line())
    return outcome


async def _stay(place: "World", config_file: Path, psql: str) -> None:
    """Say how to look around, and wait for Ctrl-C."""
    from daemon.sandbox.forms import STORY as LEADS

    someone = next(r["email"] for r in place.propstreet.records("contact") if r["email"])
    project, lead = place.propstreet.records("project")[0]["name"], LEADS[0].fields["email"]
    click.echo(f"configuration  {config_file}")
    click.echo(f"Vitec twin     {place.vitec_url}")
    click.echo(f"Propstreet     {place.propstreet_url}")
    click.echo(f"psql           {psql}")
    click.echo(f"try            toveis history contact {someone} --config {config_file}")
    click.echo(f"               toveis history project '{project}' --config {config_file}")
    click.echo(f"               toveis history lead {lead} --config {config_file}")
    click.echo("Ctrl-C ends it.")
    sys.stdout.flush()
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await stop.wait()
