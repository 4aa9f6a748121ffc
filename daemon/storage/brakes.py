"""What the brakes ask the views: removals that wait, how many records there are, and what is held as one."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from daemon.storage.connection import Connection
from daemon.storage.queries import queries
from daemon.storage.views import Need
from projections.batches import BatchRow

_sql: Final = queries("brakes")
_batches: Final = msgspec.json.Decoder(BatchRow)


class Removal(msgspec.Struct, frozen=True):
    """A confirmed removal of a linked record that nothing followed from yet; `gone` is its event."""

    vendor: str
    category: str
    external_id: str
    entity: str
    gone: int
    kind: str | None
    parts: dict[str, str]

    def need(self) -> Need:
        """The record, as one that must be asked for."""
        return Need(
            self.category,
            self.vendor,
            self.external_id,
            self.kind,
            self.gone,
            self.parts,
            missing=True,
        )


async def removals(conn: Connection, tenant: str, categories: Iterable[str]) -> list[Removal]:
    """The removals of some categories that are to be decided, the oldest first."""
    return [
        Removal(**{**dict(row), "parts": msgspec.json.decode(row["parts"], type=dict[str, str])})
        for row in await conn.fetch(_sql["removals"], tenant, list(categories))
    ]


async def asked_for(conn: Connection, tenant: str) -> dict[tuple[str, str], int]:
    """How many linked records must be read again, by vendor and category."""
    rows = await conn.fetch(_sql["asked_for"], tenant)
    return {(row["vendor"], row["category"]): row["records"] for row in rows}


async def linked_count(conn: Connection, tenant: str, categories: Iterable[str]) -> int:
    """How many entities of some categories are linked."""
    found: int = await conn.fetchval(_sql["linked_count"], tenant, list(categories))
    return found


async def batches(conn: Connection, tenant: str) -> list[BatchRow]:
    """What brakes held as one, the oldest first."""
    rows = await conn.fetch(_sql["batches"], tenant)
    return [_batches.decode(row[0]) for row in rows]


async def entities_of_batches(conn: Connection, tenant: str, names: Sequence[str]) -> list[str]:
    """The entities with a record that one of these batches changed."""
    rows = await conn.fetch(_sql["entities_of_batches"], tenant, list(names))
    return [row["entity"] for row in rows]
