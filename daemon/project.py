"""Stage 2: the projector folds events into the views, a page in one transaction with its checkpoint."""

from collections.abc import Sequence

from daemon.domain.events import LOG_RESTORED, Event
from daemon.processor import Polite, Tenant
from daemon.storage import log, rebuild, views, working
from daemon.storage.connection import Connection
from projections.views import Fold

PAGE = 200
"""Events in one transaction: few enough that folding them does not keep a webhook waiting."""


class Projector(Polite):
    """Folds one tenant's log into its views. There is one per tenant; a second is stopped by lease and checkpoint."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__("project", tenant)
        self._digest = rebuild.digest_of(tenant.options)

    async def tick(self) -> bool:
        """Fold the next page."""
        async with self.at.connection() as conn:
            seen = await views.mark(conn)
            before = await views.position(conn, self.tenant)
            page = await log.page(conn, self.tenant, before, PAGE)
            if not page:
                return False
            events = _apart(page)
            if events[0].type == LOG_RESTORED:
                await self._restore(conn, events[0], before, seen)
            else:
                await self._advance(conn, events, before, seen)
        return len(page) == PAGE or len(events) < len(page)

    async def _advance(self, conn: Connection, events: Sequence[Event], before: int, seen: int) -> None:
        fold = Fold(self.tenant, self.at.options)
        await views.load(conn, fold, events)
        fold.evolve(events)
        change = fold.change()
        async with self.at.transaction(conn):
            await views.advance(conn, self.tenant, change, before, events[-1].position, self._digest, seen)
            await working.tell_views(conn, self.tenant)
        self.at.tallies.folded(fold, events)

    async def _restore(self, conn: Connection, event: Event, before: int, seen: int) -> None:
        """Every entity must be read again: many rows, but never many at hand."""
        async with self.at.transaction(conn):
            await views.claim(conn, self.tenant, before, seen)
            async for change in views.restored(conn, self.tenant, self.at.options, event):
                await views.apply(conn, self.tenant, change)
            await views.set_progress(conn, self.tenant, event.position, self._digest)
            await working.tell_views(conn, self.tenant)
        self.at.tallies.folded(Fold(self.tenant, self.at.options), [event])


async def refold(tenant: Tenant) -> None:
    """Fold a tenant's whole log anew where its views were folded with something else, before its stages run.

    It happens when another daemon, with other settings, had the tenant before. Raises LeaseLost.
    """
    digest = rebuild.digest_of(tenant.options)
    async with tenant.connection() as conn:
        folded = await views.progress(conn, tenant.name)
        if folded is None or folded[1] == digest:
            return
        head = await log.head(conn, tenant.name)
        fresh = await rebuild.fold(conn, tenant.name, tenant.options, upto=head)
        async with tenant.transaction(conn):
            await rebuild.replace(conn, fresh, head, digest)


def _apart(page: Sequence[Event]) -> Sequence[Event]:
    """The events of a page that are folded together: up to one that touches every entity, or that one alone."""
    for place, event in enumerate(page):
        if event.type == LOG_RESTORED:
            return page[: place or 1]
    return page
