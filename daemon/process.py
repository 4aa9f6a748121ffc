"""The process: it is told to stop or to reload, tells the service manager how it does, and keeps its PostgreSQL alive."""

import asyncio
import gc
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from daemon.app import Daemon, running
from daemon.domain.errors import ConfigError, DatabaseUnreachable
from daemon.domain.settings import Settings
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.notify import SILENT, Notifier
from daemon.reloading import reloads
from daemon.storage import migrations
from daemon.storage.connection import owner
from daemon.telemetry import log
from daemon.tenancy import DRAIN, LAST_WORD

STOPPED_WITHIN: Final = DRAIN + LAST_WORD
"""Seconds from SIGTERM to the end, whatever is under way; a service manager must wait longer."""


async def run(
    settings: Settings,
    dsn: str,
    server: EmbeddedPostgres | None,
    *,
    on_ready: Callable[[int], None] | None = None,
    reread: Callable[[], Settings] | None = None,
    notifier: Notifier = SILENT,
) -> None:
    """Run until SIGTERM or SIGINT; `server` is the embedded PostgreSQL, if it is ours. `on_ready` is told the port.

    SIGHUP takes on what `reread` gives. Raises ConfigError when migrations are missing.
    """
    async with AsyncExitStack() as stack:
        stop, hangup = asyncio.Event(), asyncio.Event()
        for sign, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hangup)):
            asyncio.get_running_loop().add_signal_handler(sign, event.set)
        stopped = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(_start(stack, settings, dsn, server, notifier))
        await asyncio.wait([stopped, starting], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            log.info("app.stopping")
            notifier.say("STOPPING=1")
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        daemon = starting.result()
        gc.collect()
        gc.freeze()  # what is up now stays up: the collector need not look at it again and again
        gc.set_threshold(20_000, 20, 20)
        log.info("app.ready", port=daemon.port, mode=settings.mode)
        notifier.status(f"mode {settings.mode}, port {daemon.port}", "READY=1")
        if on_ready is not None:
            on_ready(daemon.port)
        if reread is not None:
            reloading = asyncio.create_task(reloads(hangup, daemon.reloader, reread, notifier))
            stack.callback(reloading.cancel)
        failed = asyncio.create_task(daemon.failure())
        await asyncio.wait([stopped, failed], return_when=asyncio.FIRST_COMPLETED)
        log.info("app.stopping")
        notifier.status("draining", "STOPPING=1")
        if failed.done():
            failed.result()


async def _start(
    stack: AsyncExitStack, settings: Settings, dsn: str, server: EmbeddedPostgres | None, notifier: Notifier
) -> Daemon:
    await _migrate(dsn, embedded=server is not None)
    if server is not None:
        keeping = asyncio.create_task(_keep_alive(server))
        stack.callback(keeping.cancel)
    return await stack.enter_async_context(
        running(settings, dsn, alone=server is not None, notifier=notifier)
    )


async def _keep_alive(server: EmbeddedPostgres) -> None:
    """PostgreSQL may end by itself (a full disk, the kernel short of memory): start it again."""
    while True:
        await asyncio.sleep(1)
        try:
            if server.revive():
                log.warning(
                    "app.database_started_again", advice="postgres.log in data_dir says why it had ended"
                )
        except (DatabaseUnreachable, OSError) as error:
            log.error("app.database_does_not_start", reason=type(error).__name__)


async def _migrate(dsn: str, *, embedded: bool) -> None:
    """The embedded database is migrated here; for any other the operator decides when."""
    if embedded:
        for name in await migrations.migrate(dsn):
            log.info("app.migrated", migration=name)
        return
    async with owner(dsn) as conn:
        if missing := await migrations.missing(conn):
            problem = f"database.dsn: {len(missing)} migrations are missing; run `toveis migrate`"
            raise ConfigError([problem])
