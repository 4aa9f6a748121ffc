"""The values that lost, in words, and an operator's word to bring one back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from daemon.cli.operating import Ruling, Told, as_sent, operator
from daemon.cli.wording import NAMES, conflict_words, field_words, value_words
from daemon.domain.errors import UsageError
from daemon.domain.events import ConflictResolved, NewEvent
from daemon.domain.fields import Value, same
from daemon.domain.settings import Mode
from daemon.domain.streams import derived_id
from daemon.policies.plan import Refused, expected
from daemon.policies.restoring import Restored, Settled, restore
from daemon.processor import Tenant
from daemon.storage import log, views
from daemon.storage.connection import Connection, snapshot
from daemon.storage.views import Lost
from projections.conflicts import ConflictRow
from projections.entity import Entity
from projections.fold import Entities

SHORT: Final = 8
"""So many characters of an id are shown on a terminal."""


def print_conflicts(found: Sequence[Lost], *, as_json: bool) -> None:
    """JSON objects, or a table and how to bring a value back."""
    if as_json:
        for lost in found:
            click.echo(msgspec.json.encode(_row(lost)).decode())
        return
    if not found:
        click.echo("no conflict is on record")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("recorded", no_wrap=True)
    table.add_column("what lost", overflow="fold")
    for lost in found:
        when = lost.row.at.astimezone().strftime("%m-%d %H:%M:%S")
        table.add_row(lost.row.conflict[:SHORT], when, escape(_words(lost)))
    Console().print(table)
    click.echo(f"Times are in {datetime.now().astimezone().strftime('%Z (UTC%z)')}.")
    click.echo("`toveis restore ID` brings back what lost, on both sides, until it is edited.")


def _words(lost: Lost) -> str:
    row = lost.row
    words = conflict_words(row.field, row.winner, row.winner_value, row.loser_value, row.reason, row.by)
    unsure = "; their order is uncertain" if row.order_uncertain else ""
    again = f"; brought back by {lost.restored_by}" if lost.restored_by is not None else ""
    return f"{row.category} {row.entity}: {words}{unsure}{again}"


def _row(lost: Lost) -> dict[str, Any]:
    row = lost.row
    return {
        "id": row.conflict,
        "entity": row.entity,
        "field": row.field,
        "winner": row.winner,
        "loser": row.loser,
        "reason": row.reason,
        "winner_value": row.winner_value,
        "loser_value": row.loser_value,
        "at": row.at,
        "category": row.category,
        "order_uncertain": row.order_uncertain,
        "restored": lost.restored_by is not None,
        "restored_by": lost.restored_by,
        "restores": row.restores,
        "by": row.by,
    }


async def bring_back(conn: Connection, at: Tenant, ref: str) -> Ruling:
    """The operator's word on a conflict, and what will become of it; raises UsageError where nothing can.

    Told are `id` (by which it can be taken back; None when nothing was left to do), restores, entity, field, value and
    summary.
    """
    lost = _meant(ref, await views.conflicts_called(conn, at.name, ref.strip().lower()))
    entity = await _present(conn, at, lost.entity)

    def alike(field: str, a: Value, b: Value) -> bool:
        return same(field, a, b, at.options.region)

    told: Told = {
        "id": None,
        "restores": lost.conflict,
        "entity": lost.entity,
        "field": lost.field,
        "value": lost.loser_value,
    }
    match restore(entity, lost, operator(), at.clock(), at.settings.sync, alike):
        case Refused(why=why):
            raise UsageError(why)
        case Settled(why=why):
            return Ruling((), {}, {**told, "summary": why})
        case Restored(event=event, targets=targets):
            assert entity is not None
            summary = _summary(event, targets, at.mode)
            word = _said(at, entity, event)
            return Ruling((word,), expected((entity,)), {**told, "id": event.conflict, "summary": summary})


async def _present(conn: Connection, at: Tenant, name: str) -> Entity | None:
    """An entity as the log has it now: its view, and what no projector has folded yet."""
    async with snapshot(conn):
        entity = await views.resolve(conn, at.name, name)
        if entity is None:
            return None
        folded = await views.position(conn, at.name)
        events = await log.of_streams(conn, at.name, list(expected((entity,))), folded)
    entities = Entities(at.name, at.options)
    entities.add(entity)
    for event in events:
        entities.evolve(event)
    return entities.resolve(entity.id)


def _said(at: Tenant, entity: Entity, event: ConflictResolved) -> NewEvent:
    """The event of a restore: the same one for the same conflict, whatever the clock says."""
    decided = at.decided(entity, event, origin="operator")
    event_id = derived_id(at.name, decided.stream, decided.type, event.conflict)
    return msgspec.structs.replace(decided, event_id=event_id)


def _meant(ref: str, found: Sequence[ConflictRow]) -> ConflictRow:
    """The one conflict whose id begins so."""
    if not found or not ref.strip():
        raise UsageError(f"there is no conflict {ref!r}; `toveis conflicts --all` lists them")
    if len(found) > 1:
        lines = "".join(f"\n  {row.conflict}  {row.category} {row.entity}: {row.field}" for row in found)
        raise UsageError(f"several conflicts begin with {ref!r}; give more of one of these ids:{lines}")
    return found[0]


def _summary(event: ConflictResolved, targets: Sequence[str], mode: Mode) -> str:
    """What happens now, and how to take it back."""
    what = f"{field_words(event.field)} {value_words(event.winner_value)}"
    to = " and ".join(NAMES[target] for target in targets)
    then = f"goes to {to} in place of {value_words(event.loser_value)}" if targets else "stays"
    return f"{what} {as_sent(then, mode)}; take it back: toveis restore {event.conflict[:SHORT]}"
