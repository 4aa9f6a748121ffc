"""What a scrape and a look at the readiness ask of the database: rows that are few, or that an index leads to."""

import re
from collections import Counter
from datetime import datetime
from typing import Final

import msgspec

from daemon.domain.subscriptions import Health
from daemon.storage import brakes, leases, log, subscriptions, views, working
from daemon.storage.connection import Connection
from daemon.storage.queries import queries

_sql: Final = queries("watching")
_WORD: Final = re.compile(r"[a-z][a-z_]{0,39}")


class Standing(msgspec.Struct, frozen=True):
    """How a tenant stands: positions, commands by target and holds by reason, when sources and vendors were heard of."""

    head: int
    folded: int
    decided: int
    served: bool
    waiting: dict[str, int]
    dead: dict[str, int]
    held: dict[str, int]
    batches: int
    polled: dict[str, datetime]
    health: dict[str, Health]


class Backlog(msgspec.Struct, frozen=True):
    """What takes longer to count: the entities that are held, by reason, and those that wait for a backfill."""

    held: dict[str, int] = {}
    waiting: int = 0


async def standing(conn: Connection, tenant: str) -> Standing:
    """How a tenant stands now."""
    tenure = await leases.tenure(conn, tenant)
    counts: dict[str, Counter[str]] = {"waiting": Counter(), "dead": Counter(), "held": Counter()}
    for row in await conn.fetch(_sql["commands"], tenant):
        counts[row["state"]][_word(row["reason"]) if row["state"] == "held" else row["target"]] += row[
            "commands"
        ]
    cursors = await working.cursors(conn, tenant)
    return Standing(
        head=await log.head(conn, tenant),
        folded=await views.position(conn, tenant),
        decided=await working.checkpoint(conn, tenant, "react"),
        served=tenure is not None and tenure.live,
        waiting=dict(counts["waiting"]),
        dead=dict(counts["dead"]),
        held=dict(counts["held"]),
        batches=sum(row.released is None for row in await brakes.batches(conn, tenant)),
        polled={source: c.looked_at for source, c in cursors.items() if c.looked_at is not None},
        health=await subscriptions.healths(conn, tenant),
    )


async def backlog(conn: Connection, tenant: str) -> Backlog:
    """What waits for people."""
    held: Counter[str] = Counter()
    for row in await conn.fetch(_sql["entities"], tenant):
        held[_word(row["reason"])] += row["entities"]
    return Backlog(dict(held), sum((await views.waiting(conn, tenant)).values()))


def _word(reason: str) -> str:
    """A reason as a label: a word of ours, or `other`."""
    return reason if _WORD.fullmatch(reason) else "other"
