"""Which vendor is away: noted for `toveis status`, and told once when it goes and when it is back."""

from collections.abc import Mapping
from datetime import timedelta

from daemon.processor import Processor, Tenant
from daemon.storage import working
from daemon.storage.working import Away
from daemon.vendors.reach import Reach


class Lookout(Processor):
    """Writes down what the breakers of one tenant's vendors say."""

    def __init__(self, tenant: Tenant, reaches: Mapping[str, Reach]) -> None:
        super().__init__("lookout", tenant)
        self._reaches = reaches
        self._noted: dict[str, tuple[float, float] | None] = {}

    async def tick(self) -> bool:
        """Note what has changed; at first everything, since nobody knows what an earlier start left behind."""
        for vendor, reach in self._reaches.items():
            breaker = reach.breaker
            seen = None if breaker.since is None else (breaker.since, breaker.next_look)
            if vendor not in self._noted or self._noted[vendor] != seen:
                await self._note(vendor, seen, reach.clock())
                self._noted[vendor] = seen
        return False

    async def _note(self, vendor: str, seen: tuple[float, float] | None, ticks: float) -> None:
        before, now = self._noted.get(vendor), self.at.clock()
        async with self.at.writing() as conn:
            if seen is None:
                await working.note_back(conn, self.tenant, vendor)
            else:
                since, look = (now + timedelta(seconds=moment - ticks) for moment in seen)
                await working.note_away(conn, self.tenant, Away(vendor, since, look))
        if seen is None and before is not None:
            self._log.info("vendor.back", vendor=vendor)
        elif seen is not None and before is None:
            self._log.warning("vendor.away", vendor=vendor)
