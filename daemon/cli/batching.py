"""`toveis release` of a batch: what a brake holds goes on."""

from typing import TYPE_CHECKING, Final

from daemon.cli.operating import Ruling, append, operator, tell
from daemon.domain.errors import UsageError
from daemon.domain.settings import Settings, TenantSettings

if TYPE_CHECKING:
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection


BATCH: Final = "bat-"
"""Begins the id of every batch."""


def release_batch(settings: Settings, chosen: TenantSettings, ref: str, *, as_json: bool) -> None:
    """Release the one held batch whose id begins so; raises UsageError."""

    async def rule(conn: "Connection", at: "Tenant") -> Ruling:
        from daemon.domain.events import BatchReleased
        from daemon.storage import brakes

        held = [row for row in await brakes.batches(conn, at.name) if row.released is None]
        found = [row for row in held if ref and row.batch.startswith(ref)]
        if len(found) != 1:
            why = "several batches begin so" if found else "no batch that is held begins so"
            raise UsageError(f"{why}; `toveis commands --held` lists them")
        [row] = found
        told = {
            "id": row.batch,
            "done": "released",
            "entity": None,
            "category": row.category,
            "reason": row.kind,
            "by": operator(),
        }
        decision = BatchReleased(row.batch, "released by an operator", operator())
        return Ruling((at.of_batch(decision, origin="operator"),), {}, told)

    told = append(settings, chosen, rule)
    words = f"released {told['id']} ({told['reason']}, {told['category']}): all of it is looked at again"
    tell(told, words, as_json=as_json)
