"""`toveis run` and `toveis migrate`."""

import asyncio
import faulthandler
import os
from pathlib import Path

import click

from daemon.cli.opening import database, load, served, with_config


@click.command()
@with_config
def run(config_file: Path | None) -> None:
    """Run the daemon until SIGTERM, which drains within ten seconds.

    SIGHUP reads the configuration again: mode, limits, poll intervals and [tenants.sync] hold at once, and the log
    names what waits for a restart. The embedded database is migrated here; with database.dsn, run `toveis migrate` first.

    \b
    Example:  toveis run --config /etc/toveis/toveis.toml
    """
    settings = load(config_file, secrets=True)
    from daemon import app, process, telemetry
    from daemon.notify import Notifier

    telemetry.setup(telemetry.level_in(os.environ))
    faulthandler.enable()  # the watchdog of systemd ends us by SIGABRT: say where we stood
    notifier = Notifier(os.environ, os.getpid())
    notifier.status("starting")
    for warning in app.warnings(settings):
        telemetry.log.warning("app.configuration", advice=warning)
    with served(settings, own=True) as (dsn, server):
        asyncio.run(
            process.run(
                settings,
                dsn,
                server,
                reread=lambda: load(config_file, secrets=True),
                notifier=notifier,
            )
        )


@click.command()
@with_config
def migrate(config_file: Path | None) -> None:
    """Bring the database to this version.

    \b
    Example:  toveis migrate --config /etc/toveis/toveis.toml
    """
    from daemon.storage import migrations

    settings = load(config_file, secrets=False)
    with database(settings) as (dsn, _):
        login = settings.database.migrate_dsn
        applied = asyncio.run(migrations.migrate(login.reveal() if login is not None else dsn))
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("nothing to do: the database is up to date")
