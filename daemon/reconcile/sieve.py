"""What of all that was read is worth another look: what the log does not know, and whoever is not the same at both."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from daemon.domain.streams import other, parse_record_stream
from daemon.policies.plan import Context, synced
from daemon.policies.reconciling import WHOLE, Difference, notable
from daemon.processor import Tenant
from daemon.storage import log, views
from daemon.storage.appender import Item
from daemon.storage.log import Read
from projections.entities import dormant
from projections.entity import Entity

WAITING: Final = "waiting for its release"


class Sieve:
    """A sink that keeps few of what it is given. `dormant` are the entities that only wait for their release."""

    def __init__(self, at: Tenant) -> None:
        self.kept: dict[str, Item] = {}
        self.dormant: dict[str, Difference] = {}
        self.records = 0
        self._at = at
        self._halves: dict[str, set[str]] = {}
        self._categories = {"contact", "company", *synced(at.settings.sync)}
        self._plain = Context(at.settings.sync, at.options, at.mode, UUID(int=0), {}, ready=False)

    @property
    def pairs(self) -> int:
        """How many linked pairs were read at both vendors."""
        return sum(len(vendors) == 2 for vendors in self._halves.values())

    async def append(self, items: Sequence[Item]) -> None:
        """Keep of these what is news, or about an entity of which there is more to say."""
        names = {
            item.stream: name for item in items if (name := parse_record_stream(item.stream)) is not None
        }
        async with self._at.connection() as conn:
            owners = await views.owners(conn, self._at.name, names.values())
            known = {e.id: e for e in await views.entities(conn, self._at.name, set(owners.values()))}
            reads = [item.stream for item in items if isinstance(item, Read)]
            told = await log.known_records(conn, self._at.name, reads) if reads else {}
        self.records += len(reads)
        for item in items:
            _, vendor, _ = names[item.stream]
            entity = known.get(owners.get(names[item.stream], ""))
            if isinstance(item, Read):
                if self._notable(entity, vendor) or log.is_news(item, told[item.stream]):
                    self.kept[item.stream] = item
            elif entity is not None and entity.sides[vendor].gone is None:
                self.kept[item.stream] = item

    def _notable(self, entity: Entity | None, vendor: str) -> bool:
        if entity is None:
            return True
        if len(entity.sides) == 2 and entity.tombstone is None:
            self._halves.setdefault(entity.id, set()).add(vendor)
        elif dormant(entity) and self._plain.sync.first_sync == "wait":
            self.dormant[entity.id] = Difference(
                other(vendor), entity.category, entity.id, WHOLE, "held", WAITING
            )
        return notable(entity, self._plain)
