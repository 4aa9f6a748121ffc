"""SIGHUP: what of a changed configuration a daemon that runs takes on, and what it says of the rest."""

import asyncio
import time
from collections.abc import Callable, Mapping

from daemon.clients import Limiters
from daemon.domain.capabilities import available
from daemon.domain.errors import ConfigError
from daemon.domain.settings import Settings
from daemon.notify import Notifier
from daemon.policies.reloading import Reload, reload
from daemon.processor import Tenant
from daemon.telemetry import log
from daemon.tenancy import Holder


class Reloader:
    """Knows the settings that hold, and whom others concern."""

    def __init__(
        self, settings: Settings, tenants: Mapping[str, Tenant], limiters: Limiters, holder: Holder
    ) -> None:
        self.settings = settings
        self._tenants = tenants
        self._limiters = limiters
        self._holder = holder

    def take_on(self, file: Settings) -> Reload:
        """Let other settings hold from now on. The stages that they concern drain, and begin anew under their lease;
        views that were folded with something else are folded anew before."""
        found = reload(self.settings, file)
        self.settings = found.settings
        for each in found.settings.tenants:
            self._tenants[each.name].change(available(each), found.settings.mode)
        self._limiters.change(found.settings.tenants)
        for name in found.tenants:
            self._holder.begin_anew(name)
        return found


async def reloads(
    asked: asyncio.Event, reloader: Reloader, reread: Callable[[], Settings], notifier: Notifier
) -> None:
    """Read the configuration again whenever it is asked for; a bad one changes nothing, and every problem is told."""
    while True:
        await asked.wait()
        asked.clear()
        notifier.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            told = _tell(reloader.take_on(await asyncio.to_thread(reread)))
        except ConfigError as error:
            for problem in error.problems:
                log.error("reload.refused", problem=problem)
            told = (
                f"the new configuration has {len(error.problems)} problems and changed nothing; see the log"
            )
        except Exception:
            log.exception("reload.failed")
            told = "the reload failed; see the log"
        notifier.status(told, "READY=1")


def _tell(found: Reload) -> str:
    """Say what changed, and what did not; the same in short."""
    if found.changed:
        log.info("reload.taken_on", fields=found.changed)
    if found.restart:
        log.warning(
            "reload.needs_restart", fields=found.restart, advice="it holds after systemctl restart toveis"
        )
    if not found.changed and not found.restart:
        log.info("reload.nothing_new")
    parts = [f"mode {found.settings.mode}"]
    if found.changed:
        parts.append(f"reloaded: {', '.join(found.changed)}")
    if found.restart:
        parts.append(f"needs a restart: {', '.join(found.restart)}")
    return "; ".join(parts)
