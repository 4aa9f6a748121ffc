"""The state of the daemon's work, as the database knows it."""

import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from daemon.cli.times import shown
from daemon.domain.capabilities import CAPABILITIES, NOT_AT_THE_HUB
from daemon.domain.settings import Limits, TenantSettings
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC
from daemon.domain.subscriptions import TOLD
from daemon.policies.checking import ago
from daemon.spending import client, fingerprint, login
from daemon.storage import audits, brakes, calls, leases, log, subscriptions, views, working
from daemon.storage.connection import Connection
from daemon.storage.leases import Tenure
from daemon.vendors.limiter import SPANS

WIDTH: Final = 80
INDENT: Final = 13
UNITS: Final = {"per_second": "s", "per_minute": "min", "per_hour": "h"}


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
            VITEC: await _limits(conn, tenant.vitec.limits, *login(tenant.vitec)),
            PROPSTREET: await _limits(conn, tenant.propstreet.limits, *client(tenant.propstreet)),
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


async def _limits(conn: Connection, limits: Limits, *credential: str) -> dict[str, Any]:
    """The limits of a credential, and how many calls of each window are left; None where there is no limit."""
    now, left = datetime.now(UTC), {}
    for name, span in SPANS:
        spent = await calls.spent(conn, fingerprint(*credential), now - timedelta(seconds=span))
        limit = getattr(limits, name)
        left[name] = max(0, limit - spent) if limit else None
    return {**msgspec.to_builtins(limits), "left": left}


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


def print_states(found: list[dict[str, Any]], *, as_json: bool, capabilities: bool = False) -> None:
    """JSON objects, or one screen for each tenant, on request with what its product of Vitec can do."""
    for state in found:
        for line in (msgspec.json.encode(state).decode(),) if as_json else screen(state, datetime.now(UTC)):
            click.echo(line)
        if capabilities and not as_json:
            for line in capability_lines(state["capabilities"]):
                click.echo(line)


def screen(state: dict[str, Any], now: datetime) -> list[str]:
    """One tenant on a screen of 80 columns and 24 lines."""
    lease, commands, stages = state["lease"], state["commands"], state["stages"]
    behind = ", ".join(f"{name} {stage['lag']} behind" for name, stage in stages.items() if name != "ingest")
    lines = [
        f"tenant {state['tenant']}",
        f"  held by    {lease['name'] or lease['holder'] if lease else 'no daemon'}",
        f"  log        {stages['ingest']['position']} events; {behind}",
        f"  commands   {commands['pending']} pending, {commands['held']} held, {commands['dead']} dead",
        f"  entities   {state['held_entities']} held, {state['waiting']} waiting for their release",
    ]
    if state["held_batches"]:
        lines.append(f"  brakes     {state['held_batches']} held: see `toveis commands --held`")
    lines += _beside("limits", [_limits_words(vendor, each) for vendor, each in state["limits"].items()])
    for vendor, away in state["away"].items():
        since, look = shown(away["since"]), shown(away["next_look"])
        words = f"{vendor} does not answer since {since}; asked again at {look}, commands wait"
        lines += _beside("away", textwrap.wrap(words, WIDTH - INDENT))
    lines += _beside("polled", _sources_words(state["sources"], now))
    lines += _beside("reconciled", textwrap.wrap(_reconciled_words(state["reconciled"]), WIDTH - INDENT))
    for vendor, each in state["subscription"].items():
        since = f" since {shown(each['since'])}" if each["since"] else ""
        words = f"  webhooks of {vendor:<11} {each['state']}{since}: {each['told']}"
        lines += textwrap.wrap(words, WIDTH, subsequent_indent=" " * 26, drop_whitespace=True)
        if each["last_delivery"] is not None:
            lines.append(f"  {'':<23} last delivery {shown(each['last_delivery'])}")
    lines += _beside("at Vitec", textwrap.wrap(_lacks_words(state["capabilities"]), WIDTH - INDENT))
    return lines


def _beside(word: str, lines: list[str]) -> list[str]:
    """Lines beside a word in the first column."""
    return [f"  {word if at == 0 else '':<10} {line}" for at, line in enumerate(lines)]


def _limits_words(vendor: str, limits: dict[str, Any]) -> str:
    left = [
        f"{limits['left'][name]} of {limits[name]}/{unit}" for name, unit in UNITS.items() if limits[name]
    ]
    return f"{vendor}: " + (", ".join(left) + " left" if left else "none")


def _sources_words(sources: dict[str, Any], now: datetime) -> list[str]:
    """Two sources in a line, each with the age of its last look."""
    cells = [
        f"{source} {ago(looked['looked_at'], now) if looked['complete'] else 'first poll under way'}"
        for source, looked in sources.items()
    ]
    pairs = [cells[at : at + 2] for at in range(0, len(cells), 2)]
    return ["".join(f"{cell:<34}" for cell in pair).rstrip() for pair in pairs] or ["nothing yet"]


def _reconciled_words(last: dict[str, Any] | None) -> str:
    if last is None:
        return "never yet"
    counts = {kind: sum(of.values()) for kind, of in last["found"].items()}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing differed"
    return f"{shown(last['at'])}: {last['pairs']} pairs; {words}"


def _lacks_words(capabilities: Mapping[str, Mapping[str, str]]) -> str:
    """The categories that cannot be read or written at Vitec; `capability_lines` has why."""
    unread = [name for name, can in capabilities.items() if can["read"] != "yes"]
    unwritten = [name for name, can in capabilities.items() if can["write"] != "yes"]
    parts = [
        f"not {verb}: {', '.join(names)}"
        for verb, names in (("read", unread), ("written", unwritten))
        if names
    ]
    return "; ".join(parts) or "everything is read and written"


def capability_lines(capabilities: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A compact table: category, whether it is read and written at Vitec, and why not, or how far."""
    lines = []
    for category, can in capabilities.items():
        head = f"  {category:<9} {can['read']:<12} {can['write']:<12}  "
        lines += textwrap.wrap(
            head + can["why"], WIDTH, subsequent_indent=" " * len(head), drop_whitespace=True
        )
    return [f"  {'at Vitec':<9} {'read':<12} {'write':<12}  how far, or why not", *lines]
