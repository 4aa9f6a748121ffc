"""The state of the daemon's work, as the database knows it."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import click
import msgspec

from daemon.cli.times import shown
from daemon.domain.capabilities import CAPABILITIES, NOT_AT_THE_HUB
from daemon.domain.settings import TenantSettings
from daemon.domain.streams import VENDORS, VITEC
from daemon.domain.subscriptions import TOLD
from daemon.storage import audits, brakes, leases, log, subscriptions, views, working
from daemon.storage.connection import Connection
from daemon.storage.leases import Tenure

WIDTH: Final = 80


async def state_of(conn: Connection, tenant: TenantSettings) -> dict[str, Any]:
    """One tenant's stages, commands, holds and sources, and what its product lets us do."""
    head = await log.head(conn, tenant.name)
    folded = await views.position(conn, tenant.name)
    decided = await working.checkpoint(conn, tenant.name, "react")
    counts = await views.counts(conn, tenant.name)
    cursors = await working.cursors(conn, tenant.name)
    return {
        "tenant": tenant.name,
        "lease": _lease(await leases.tenure(conn, tenant.name)),
        "stages": {
            "ingest": {"position": head, "lag": 0},
            "project": {"position": folded, "lag": head - folded},
            "react": {"position": decided, "lag": head - decided},
        },
        "commands": {key: counts[key] for key in ("pending", "held", "dead")},
        "held_entities": counts["held_entities"],
        "held_batches": sum(row.released is None for row in await brakes.batches(conn, tenant.name)),
        "waiting": counts["waiting"] if tenant.sync.first_sync == "wait" else 0,
        "limits": {
            "vitec": msgspec.to_builtins(tenant.vitec.limits),
            "propstreet": msgspec.to_builtins(tenant.propstreet.limits),
        },
        "away": {
            each.vendor: {"since": each.since, "next_look": each.next_look}
            for each in await working.away(conn, tenant.name)
        },
        "subscription": await _subscriptions(conn, tenant),
        "capabilities": msgspec.to_builtins(CAPABILITIES[tenant.vitec.product]),
        "sources": {
            source: {"looked_at": cursor.looked_at, "complete": cursor.whole()}
            for source, cursor in cursors.items()
        },
        "reconciled": await _reconciled(conn, tenant.name),
    }


async def _reconciled(conn: Connection, tenant: str) -> dict[str, Any] | None:
    """When the last audit was over, and what it found."""
    last = await audits.last(conn, tenant)
    if last is None:
        return None
    result = last.result
    return {
        "at": last.at,
        "began": result.began,
        "by": result.by or None,
        "pairs": result.pairs,
        "records": result.records,
        "unread": result.unread,
        "due": result.due,
        "found": result.found,
    }


def _lease(tenure: Tenure | None) -> dict[str, Any] | None:
    """Which daemon has the tenant: `holder` is its id, `name` its machine and port; None while nobody has."""
    if tenure is None or not tenure.live:
        return None
    return {
        "holder": tenure.holder,
        "name": tenure.name,
        "epoch": tenure.epoch,
        "expires": tenure.expires,
    }


async def _subscriptions(conn: Connection, tenant: TenantSettings) -> dict[str, Any]:
    """By vendor: the state, since when, when it was looked at, what came last, and changes that only polls brought since."""
    known = await subscriptions.healths(conn, tenant.name)
    found: dict[str, Any] = {}
    for vendor in VENDORS:
        health = known.get(vendor)
        state = "unknown" if health is None else health.state
        found[vendor] = {
            "state": state,
            "since": health and health.since,
            "last_delivery": health and health.heard_at,
            "looked_at": health and health.looked_at,
            "by_polls_alone": 0 if health is None else health.unheard,
            "told": TOLD[state],
        }
    if tenant.vitec.product == "hub":
        found[VITEC] |= {"state": "none", "told": NOT_AT_THE_HUB}
    return found


def print_states(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """JSON objects, or one screen."""
    for state in found:
        if as_json:
            click.echo(msgspec.json.encode(state).decode())
            continue
        click.echo(f"tenant {state['tenant']}")
        lease = state["lease"]
        click.echo(f"  held by    {lease['name'] or lease['holder'] if lease else 'no daemon'}")
        for name, stage in state["stages"].items():
            click.echo(f"  {name:<10} at {stage['position']:>8}, {stage['lag']} behind")
        commands = state["commands"]
        click.echo(
            f"  commands   {commands['pending']} pending, {commands['held']} held, {commands['dead']} dead"
        )
        click.echo(
            f"  entities   {state['held_entities']} held, {state['waiting']} waiting for their release"
        )
        if state["held_batches"]:
            click.echo(f"  brakes     {state['held_batches']} held: see `toveis commands --held`")
        for vendor, away in state["away"].items():
            since, look = shown(away["since"]), shown(away["next_look"])
            click.echo(f"  {vendor:<10} does not answer since {since}; asked again at {look}, commands wait")
        for source, looked in state["sources"].items():
            whole = "complete" if looked["complete"] else "first poll under way"
            click.echo(f"  {source:<22} last looked at {shown(looked['looked_at'])} ({whole})")
        click.echo(f"  reconciled {_reconciled_words(state['reconciled'])}")
        for vendor, each in state["subscription"].items():
            since = f" since {shown(each['since'])}" if each["since"] else ""
            click.echo(f"  webhooks of {vendor:<11} {each['state']}{since}: {each['told']}")
            click.echo(f"  {'':<23} last delivery {shown(each['last_delivery'])}")
        for line in capability_lines(state["capabilities"]):
            click.echo(line)


def _reconciled_words(last: dict[str, Any] | None) -> str:
    if last is None:
        return "never yet"
    counts = {kind: sum(of.values()) for kind, of in last["found"].items()}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing differed"
    return f"{shown(last['at'])}: {last['pairs']} pairs; {words}"


def capability_lines(capabilities: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A compact table: category, whether it is read and written at Vitec, and why not, or how far."""
    lines = []
    for category, can in capabilities.items():
        head = f"  {category:<9} {can['read']:<12} {can['write']:<12}  "
        lines += textwrap.wrap(
            head + can["why"], WIDTH, subsequent_indent=" " * len(head), drop_whitespace=True
        )
    return [f"  {'at Vitec':<9} {'read':<12} {'write':<12}  how far, or why not", *lines]
