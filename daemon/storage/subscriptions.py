"""Subscriptions: how they are, what they brought, and the secrets of the webhooks that we made."""

from datetime import datetime
from typing import Final

import msgspec

from daemon.domain.settings import Secret
from daemon.domain.subscriptions import Health
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("subscriptions")


class Deliveries(msgspec.Struct, frozen=True):
    """When a vendor told us something last in a stretch of the log, and how many changes polls alone brought."""

    heard_at: datetime | None
    polled: int


async def secrets(conn: Connection, tenant: str) -> dict[str, Secret]:
    """The secret of every webhook that we made, by its id, the newest first."""
    rows = await conn.fetch(_sql["secrets"], tenant)
    return {row["webhook"]: Secret(row["secret"]) for row in rows}


async def keep_secret(conn: Connection, tenant: str, webhook: str, secret: Secret, now: datetime) -> None:
    """Keep what Propstreet tells only once."""
    await conn.execute(_sql["keep_secret"], tenant, webhook, secret.reveal(), now)


async def healths(conn: Connection, tenant: str) -> dict[str, Health]:
    """How each vendor's subscription is, as far as somebody has looked."""
    rows = await conn.fetch(_sql["healths"], tenant)
    return {row["vendor"]: Health(*row) for row in rows}


async def keep_health(conn: Connection, tenant: str, health: Health) -> None:
    """Remember how a subscription is."""
    await conn.execute(_sql["keep_health"], tenant, *msgspec.structs.astuple(health))


async def deliveries(
    conn: Connection, tenant: str, vendor: str, after: int, until: int, since: datetime
) -> Deliveries:
    """What came of a vendor between two positions; of changes those that were made after `since`."""
    row = await conn.fetchrow(_sql["deliveries"], tenant, vendor, after, until, since)
    assert row is not None
    return Deliveries(*row)
