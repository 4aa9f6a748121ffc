"""The watchdog is fed by whoever holds the leases, round by round, as long as nothing that is under way is silent."""

import asyncio
from collections.abc import Iterable
from typing import Final

from daemon.domain.liveness import silent
from daemon.notify import Notifier
from daemon.pulse import Work
from daemon.telemetry import log

PATIENCE: Final = 300.0
"""Seconds: a statement and a call to a vendor end long before."""


class Watchdog:
    """Tells the service manager that the daemon lives, and the log what has stopped to."""

    def __init__(self, notifier: Notifier, patience: float = PATIENCE) -> None:
        self._notifier = notifier
        self._patience = patience
        self._told: set[tuple[str, str]] = set()

    def look(self, works: Iterable[Work]) -> None:
        """Look at everything that is under way; a silent piece of it starves the watchdog."""
        signs = [sign for work in works for sign in work.signs()]
        now = asyncio.get_running_loop().time()
        found = silent(signs, now, self._patience)
        for sign in found:
            if (sign.stage, sign.tenant) not in self._told:
                log.error(
                    "watchdog.silent", stage=sign.stage, tenant=sign.tenant, seconds=round(now - sign.at)
                )
        self._told = {(sign.stage, sign.tenant) for sign in found}
        if not found and self._notifier.watched:
            self._notifier.say("WATCHDOG=1")
