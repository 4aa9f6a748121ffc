"""The nightly audit, as a stage: once in `reconcile_interval`, by what the log says of the last one."""

from datetime import datetime, timedelta
from typing import Final

from daemon.domain.errors import AccessDenied, VendorError
from daemon.processor import ONCE_A_DAY, Processor, Tenant
from daemon.reconcile.audit import Behind, Findings, audit, carry_out
from daemon.storage import audits, log
from daemon.storage.connection import Connection
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_hub.client import VitecHubClient

LOOK: Final = 60.0
"""Seconds between two looks at the clock."""
AGAIN: Final = timedelta(minutes=10)
"""When an audit is tried again that a vendor did not let come to its end."""


class Auditor(Processor):
    """Audits one tenant. One that is cut off begins again; the first is due an interval after the log began."""

    closed_for = ONCE_A_DAY

    def __init__(
        self, tenant: Tenant, vitec: VitecConnectClient | VitecHubClient, propstreet: PropstreetClient
    ) -> None:
        self._interval = timedelta(seconds=tenant.settings.sync.reconcile_interval)
        super().__init__("reconcile", tenant, every=min(LOOK, self._interval.total_seconds()))
        self._vitec = vitec
        self._propstreet = propstreet
        self._due: datetime | None = None

    async def tick(self) -> bool:
        """Audit, if it is time and nobody else is at it."""
        now = self.at.clock()
        if self._due is not None and now < self._due:
            return False
        async with self.at.connection() as conn, audits.alone(conn, self.tenant) as mine:
            if mine:
                self._due = await self._next(conn)
            if mine and self._due is not None and self._due <= now:
                await self._audit(now)
        return False

    async def _next(self, conn: Connection) -> datetime | None:
        """When the next audit is due; None for an empty log."""
        finished = await audits.last(conn, self.tenant)
        if finished is not None:
            return finished.at + self._interval
        first = await log.at(conn, self.tenant, 1)
        return None if first is None else first.recorded_at + self._interval

    async def _audit(self, now: datetime) -> None:
        self._log.info("reconcile.begins")
        try:
            found = await audit(self.at, self._vitec, self._propstreet)
            await carry_out(self.at, found)
        except AccessDenied:
            raise
        except (VendorError, Behind) as error:
            self._due = now + min(AGAIN, self._interval)
            self._log.warning("reconcile.cut_off", reason=type(error).__name__)
            return
        self._due = self.at.clock() + self._interval
        self._tell(found)

    def _tell(self, found: Findings) -> None:
        for batch in found.batches:
            self._log.warning(
                "brake.held", batch=batch.batch, kind=batch.kind, vendor=batch.vendor, category=batch.category
            )
        self._log.info(
            "reconcile.finished",
            pairs=found.pairs,
            records=found.records,
            due=found.due,
            unread=found.unread,
            found={kind: sum(each.values()) for kind, each in found.counts().items()},
        )
