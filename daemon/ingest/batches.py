"""Batches: what one poll finds changed is kept back until it is known not to be too much of it.

What says nothing new of a linked record passes at once. The rest waits for the end of the poll, or until there is more
than the brake lets go: then the batch is held, and goes to the log as one. A cursor never moves before the events that
it covers.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.streams import batch_id, batch_stream, other, parse_record_stream
from daemon.mappings import lens
from daemon.policies import brakes
from daemon.policies.plan import allowed, direction
from daemon.processor import Processor
from daemon.storage import brakes as stored
from daemon.storage import log, views
from daemon.storage.appender import Also, Item
from daemon.storage.log import Read
from daemon.storage.working import Cursor
from projections.entity import Entity
from projections.fold import rules_of


@asynccontextmanager
async def batch(poll: Processor, source: str, kind: brakes.Kind, cursor: Cursor) -> AsyncIterator["Batch"]:
    """What one poll of a list appends, most of it of one kind; a poll that fails forgets what waited."""
    rows = Batch(poll, kind)
    await rows.open(source, cursor)
    yield rows
    await rows.flush()


class Batch:
    """Appends as the appender does, and counts the linked records that change, and the `news`: events that are new."""

    def __init__(self, poll: Processor, kind: brakes.Kind) -> None:
        self.at = poll.at
        self.name = ""
        self.news = 0
        self._poll = poll
        self._kind = kind
        self._held = self._free = False
        self._changed: dict[str, str] = {}
        self._most = poll.at.settings.sync.change_brake.count
        self._waiting: list[tuple[Sequence[Item], Also | None]] = []

    async def open(self, source: str, cursor: Cursor) -> None:
        """Learn what became of the batch when an earlier poll failed in the middle of it: that one goes on.

        Whatever log is restored begins to poll as the last one did, and with a batch of its own.
        """
        async with self.at.connection() as conn:
            began = str(cursor.complete), str((await log.incarnation(conn, self.at.name)).mark)
            self.name = batch_id(self.at.name, brakes.CHANGES, source, self._kind[1], *began)
            told = await log.of_streams(conn, self.at.name, [batch_stream(self.name)])
        self._held, self._free = len(told) == 1, len(told) > 1

    async def append(self, items: Sequence[Item], *, also: Also | None = None) -> None:
        """Append what may pass; keep the rest, and all that moves a cursor over it."""
        changing = {} if self._free else await self._changing(items)
        self._changed.update(changing)
        if self._held or self._free or not (changing or self._waiting):
            await self._put(items, also)
            return
        waits = {
            i.stream for i in items if i.stream in changing or (changing and isinstance(i, Read) and i.listed)
        }
        self._waiting.append(([item for item in items if item.stream in waits], also))
        await self._put([item for item in items if item.stream not in waits])
        if len(self._changed) > self._most:
            await self._weigh()

    async def flush(self) -> None:
        """Append what waits."""
        waiting, self._waiting = self._waiting, []
        for items, also in waiting:
            await self._put(items, also)

    async def _put(self, items: Sequence[Item], also: Also | None = None) -> None:
        if self._held:
            items = [self._marked(item) if item.stream in self._changed else item for item in items]
        if items or also is not None:
            appended = await self.at.appender.append(items, also=also)
            self.news += sum(each.position is not None for each in appended)

    async def _weigh(self) -> None:
        """More changed than always passes: see whether it is too much for so many linked records, and hold it then."""
        async with self.at.connection() as conn:
            linked = await stored.linked_count(conn, self.at.name, set(self._changed.values()))
        self._most, count = brakes.limit(self.at.settings.sync.change_brake, linked), len(self._changed)
        if count > self._most and not self._held:
            self._held = True
            await self._poll.brake(brakes.held(self.name, brakes.CHANGES, self._kind, count, self._most))
            await self.flush()

    def _marked(self, item: Item) -> Item:
        if not isinstance(item, Read):
            return item
        reading = msgspec.structs.replace(item.reading, batch=self.name)
        return msgspec.structs.replace(item, reading=reading)

    async def _changing(self, items: Sequence[Item]) -> dict[str, str]:
        """The streams, with their categories, of what changes a linked record whose change would go on from here."""
        reads = {i.stream: i for i in items if isinstance(i, Read)}
        names = {stream: name for stream in reads if (name := parse_record_stream(stream)) is not None}
        async with self.at.connection() as conn:
            owners = await views.owners(conn, self.at.name, names.values())
            known = {e.id: e for e in await views.entities(conn, self.at.name, set(owners.values()))}
            pairs = {stream: known.get(owners.get(name, "")) for stream, name in names.items()}
            found = [
                stream
                for stream, entity in pairs.items()
                if entity is not None and self._changes(entity, names[stream][1], reads[stream])
            ]
            told = await log.known_records(conn, self.at.name, found) if found else {}
        # the views may be behind the log, which knows what the poll before has found
        return {stream: names[stream][0] for stream in found if log.is_news(reads[stream], told[stream])}

    def _changes(self, entity: Entity, vendor: str, read: Read) -> bool:
        """Whether the entity is linked and goes on from here, and this changes what its record holds."""
        towards = direction(self.at.settings.sync, entity.category)
        if len(entity.sides) != 2 or entity.tombstone is not None or not allowed(towards, other(vendor)):
            return False
        try:
            content = lens(vendor, entity.category).get(read.payload, self.at.options)
        except UntranslatablePayload:
            return False
        rules = rules_of(vendor, entity.category, self.at.options)
        return not content.removed and brakes.changes(entity, vendor, content.fields, rules)
