"""`toveis release` of a batch: what a brake holds goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.opening import load, tenant_of, with_config, with_tenant
from daemon.cli.operating import Ruling, append, operator, tell
from daemon.domain.errors import UsageError
from daemon.domain.settings import Settings, TenantSettings

if TYPE_CHECKING:
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection


@click.command()
@click.argument("ref", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def release(config_file: Path | None, tenant: str | None, ref: str, as_json: bool) -> None:
    """Let a batch that a brake holds go: everything of it is looked at again.

    ID is a batch of `toveis commands --held`, or its beginning.

    \b
    Example:  toveis release bat-5qrx
    """
    settings = load(config_file, secrets=False)
    release_batch(settings, tenant_of(settings, tenant), ref, as_json=as_json)


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
