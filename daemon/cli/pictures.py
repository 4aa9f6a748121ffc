"""The picture of one entity at a time: what each vendor holds, and where every value comes from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.times import shown, zones
from daemon.cli.wording import LEADS, NAMES, field_words, flag_words, tuple_of, value_words
from daemon.domain.events import Event
from daemon.domain.streams import VENDORS
from daemon.mappings.lens import Options
from projections.entity import Entity
from projections.fold import Entities
from projections.leads import lead_row
from projections.provenance import provenance

if TYPE_CHECKING:
    from rich.console import Console

LEAD_STATES: Final = {
    "waiting": "waits to be sent",
    "sending": "is being sent",
    "sent": "sent",
    "held": "not sent; `toveis commands` says why",
    "discarded": "given up by an operator",
}


def folded(tenant: str, name: str, events: Sequence[Event], options: Options) -> Entity:
    """The entity after these events, of which there is one at least."""
    entities = Entities(tenant, options)
    for event in events:
        entities.evolve(event)
    return entities.resolve(name) or min(entities.by_id.values(), key=lambda entity: entity.seen)


def picture(
    tenant: str, name: str, events: Sequence[Event], options: Options, at: datetime | None = None
) -> dict[str, Any]:
    """The entity after these events: its records, its fields with their provenance, and both shadows."""
    entity = folded(tenant, name, events, options)
    return {
        **heading(entity),
        "at": at,
        "flags": [flag for _, side in sorted(entity.sides.items()) for flag in side.flags],
        "lead": entity.lead,
        "state": lead_row(tenant, entity).state if entity.lead is not None else None,
        "fields": {field: msgspec.structs.asdict(p) for field, p in provenance(entity).items()},
        "shadows": {
            vendor: {
                field: {"value": held.value, "since": held.since, "position": held.position}
                for field, held in (entity.sides[vendor].shadow.items() if vendor in entity.sides else ())
            }
            for vendor in VENDORS
        },
    }


def heading(entity: Entity) -> dict[str, Any]:
    """Which entity it is, and what stands over all of it."""
    return {
        "entity": entity.id,
        "category": entity.category,
        "records": [f"{vendor}:{side.record}" for vendor, side in sorted(entity.sides.items(), reverse=True)],
        "linked_by": entity.rule,
        "hold": entity.hold.reason if entity.hold is not None else None,
        "tombstone": entity.tombstone,
    }


def print_heading(console: "Console", found: dict[str, Any]) -> None:
    """The same on a terminal."""
    told = [f"[bold]{found['category']} {found['entity']}[/]", _plain("  ".join(found["records"]))]
    for key, words in (("linked_by", "linked by"), ("hold", "held"), ("tombstone", "closed")):
        if found[key]:
            more = "; `toveis commands --held` says what ends that" if key == "hold" else ""
            told.append(f"{words}: {_plain(str(found[key]))}{more}")
    console.print("\n".join(told), highlight=False)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(harmless(text))


def print_picture(found: dict[str, Any], *, as_json: bool) -> None:
    """One JSON object, or a table with both shadows side by side."""
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    print_heading(console, found)
    if found.get("at") is not None:
        click.echo(f"as it was known at {shown(found['at'])}")
    if found["lead"] is not None:
        lead = found["lead"]
        words = f"{LEADS.get(lead.kind, lead.kind)}, received {shown(lead.received_at)}"
        click.echo(f"{words}: {LEAD_STATES[found['state']]}")
        return
    if found["flags"]:
        console.print("noted: " + _plain(", ".join(map(flag_words, found["flags"]))), highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("field", "Vitec", "Propstreet", "from", "since"):
        table.add_column(column, overflow="fold", no_wrap=column in ("field", "from", "since"))
    for field, origin in found["fields"].items():
        sides = [
            _plain(value_words(tuple_of(found["shadows"][vendor].get(field, {}).get("value"))))
            for vendor in VENDORS
        ]
        since = origin["since"].astimezone().strftime("%Y-%m-%d %H:%M:%S") if origin["since"] else "-"
        table.add_row(field_words(field), *sides, NAMES[origin["side"]], since)
    console.print(table)
    told = [origin["since"] for origin in found["fields"].values() if origin["since"]]
    click.echo(zones(told or [datetime.now(UTC)]))
