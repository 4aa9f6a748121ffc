"""Stage 2: the projector folds events into the views, a page in one transaction with its checkpoint."""

from daemon.processor import Polite, Tenant
from daemon.storage import log, views, working
from daemon.storage.rebuild import digest_of
from projections.views import Fold

PAGE = 200
"""Events in one transaction: few enough that folding them does not keep a webhook waiting."""


class Projector(Polite):
    """Folds one tenant's log into its views. There is one per tenant; a second is stopped by the checkpoint."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__("project", tenant)
        self._digest = digest_of(tenant.options)

    async def tick(self) -> bool:
        """Fold the next page."""
        async with self.at.connection() as conn:
            seen = await views.mark(conn)
            before = await views.position(conn, self.tenant)
            events = await log.page(conn, self.tenant, before, PAGE)
            if not events:
                return False
            fold = Fold(self.tenant, self.at.options)
            await views.load(conn, fold, events)
            fold.evolve(events)
            change = fold.change()
            async with conn.transaction():
                await views.advance(
                    conn, self.tenant, change, before, events[-1].position, self._digest, seen
                )
                await working.tell_views(conn, self.tenant)
        return len(events) == PAGE
