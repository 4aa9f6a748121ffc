"""What the commands of `toveis webhooks` ask Propstreet, and how they tell it; the request that Vitec is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import aiohttp
import click
import msgspec

from daemon import telemetry
from daemon.app import utc_now
from daemon.cli import FINDINGS
from daemon.cli.harmless import harmless
from daemon.cli.opening import connected, database
from daemon.clients import Limiters, propstreet_client
from daemon.domain.capabilities import NOT_AT_THE_HUB, available
from daemon.domain.errors import AccessDenied, UsageError, VendorError
from daemon.domain.settings import Settings, TenantSettings
from daemon.domain.streams import PROPSTREET, VITEC, inbox_stream
from daemon.domain.subscriptions import TOLD, address_of, path_of, wishes
from daemon.ingest.subscriptions import SubscriptionKeeper, found_of
from daemon.policies.subscribing import (
    Action,
    Complete,
    Enable,
    Found,
    Register,
    Remove,
    replay_since,
    same_address,
)
from daemon.processor import Tenant
from daemon.storage import log, subscriptions
from daemon.storage.appender import Appender
from daemon.storage.connection import open_pool
from daemon.vendors.propstreet.client import PropstreetClient

T = TypeVar("T")

TEST: Final = "contact.updated"
"""The event that a test delivery pretends to be."""

NOT_ARRIVED: Final[dict[int | None, str]] = {
    None: "nobody answered there; does the daemon run, and does http.public_url lead to its port?",
    401: "it is signed with a secret that we do not know; run `toveis webhooks register`, or correct webhook_secret",
    404: "something else answers there; forward /webhooks/ to the daemon's port",
    503: "the daemon could not store it; does it reach its database?",
}
"""Why a test delivery did not arrive, by the status that Propstreet got, and what to do."""


class Bench(msgspec.Struct, frozen=True):
    """What a command works with."""

    at: Tenant
    client: PropstreetClient
    keeper: SubscriptionKeeper
    address: str | None


class Said(msgspec.Struct, frozen=True):
    """What a command prints: the keys of its JSON, its lines, and its exit code."""

    row: dict[str, Any]
    lines: tuple[str, ...]
    code: int = 0


def wants_address(settings: Settings) -> None:
    """Without an address of ours there is nothing to register and nothing to find; raises UsageError."""
    if settings.http.public_url is None:
        raise UsageError(
            'http.public_url: is missing; write how Propstreet reaches us, as in "https://sync.example.no"'
        )


def at_propstreet(settings: Settings, chosen: TenantSettings, question: Callable[[Bench], Awaitable[T]]) -> T:
    """Ask something of Propstreet, within the limits that a running daemon keeps too. Raises VendorError."""

    async def run(dsn: str, embedded: bool) -> T:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(connected(dsn, embedded=embedded, any_views=True))
            pool = await stack.enter_async_context(await open_pool(dsn, size=3))
            session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            await stack.enter_async_context(session)
            at = Tenant(available(chosen), settings.mode, pool, Appender(pool, chosen.name), utc_now)
            limiters = Limiters()
            stack.push_async_callback(limiters.settle)
            client = propstreet_client(at, session, limiters)
            address = address_of(settings.http.public_url, chosen.name)
            return await question(Bench(at, client, SubscriptionKeeper(at, client, address), address))

    telemetry.setup("error")  # what a keeper warns of is what the command tells
    with database(settings) as (dsn, embedded):
        return asyncio.run(run(dsn, embedded))


def answered(ask: Callable[[], int]) -> int:
    """The exit code of what is asked; a refused login is a matter of the configuration (UsageError), no answer a finding."""
    try:
        return ask()
    except AccessDenied as error:
        raise UsageError(
            f"Propstreet refuses us ({error.status}); are client_id and client_secret right?"
        ) from None
    except VendorError as error:
        click.echo(f"toveis: Propstreet cannot be asked now: {error}", err=True)
        return FINDINGS


def say(said: Said, *, as_json: bool) -> int:
    """Print what a command has to say; its exit code."""
    for line in (msgspec.json.encode(said.row).decode(),) if as_json else said.lines:
        click.echo(harmless(line))
    return said.code


# -- list


async def listed(bench: Bench) -> list[dict[str, Any]]:
    """Every webhook of our client at Propstreet."""
    async with bench.at.connection() as conn:
        held = await subscriptions.secrets(conn, bench.at.name)
    found = [found_of(webhook) for webhook in await bench.client.webhooks()]
    return [_row(each, each.id in held, bench.address) for each in found]


def _row(found: Found, held: bool, address: str | None) -> dict[str, Any]:
    here = address is not None and same_address(found.url, address)
    return {
        "vendor": PROPSTREET,
        "id": found.id,
        "address": found.url,
        "events": sorted(found.events),
        "status": {True: "on", False: "off", None: "unknown"}[found.active],
        "failures": found.failures,
        "ours": here or held,
        "here": here,
        "missing": found.missing if here else (),
    }


def print_rows(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """JSON objects, or a few lines for each."""
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
        return
    click.echo("Propstreet" if rows else "Propstreet: our client has no webhook")
    for row in rows:
        whose = "ours" if row["here"] else "ours, but it points elsewhere" if row["ours"] else "not ours"
        failures = "" if row["failures"] is None else f", {row['failures']} failures in a row"
        lines = [f"  {row['id']:<6} {row['status']}, {whose}{failures}", f"         {row['address']}"]
        lines.append(f"         {_events(row)}")
        for line in lines:
            click.echo(harmless(line))


def _events(row: dict[str, Any]) -> str:
    if row["missing"]:
        return f"lacks {', '.join(row['missing'])}; `toveis webhooks register` mends it"
    return f"{len(row['events'])} events" + ("" if row["here"] else f": {', '.join(row['events'])}")


# -- the request to Vitec


def request_of(settings: Settings, chosen: TenantSettings, *, show_secret: bool) -> dict[str, Any]:
    """What to send to Vitec, who alone can set up a subscription; its address is a secret."""
    vitec = chosen.vitec
    if vitec.product == "hub":
        return {"vendor": VITEC, "status": NOT_AT_THE_HUB, "address": None, "events": []}
    known = vitec.webhook_secret is not None
    secret = (
        vitec.webhook_secret.reveal() if vitec.webhook_secret and show_secret else "<vitec.webhook_secret>"
    )
    base = settings.http.public_url or "<http.public_url>"
    wanted = [
        {"type": wish.type, "subtypes": wish.subtypes, "events": wish.events, "more": wish.more}
        for wish in wishes(chosen.sync.estate_types)
    ]
    return {
        "vendor": VITEC,
        "status": "to be asked for" if known else "set tenants.vitec.webhook_secret first",
        "to": "Vitec",
        "customer_id": vitec.customer_id,
        "address": base + path_of(VITEC, chosen.name, secret),
        "events": wanted,
    }


def print_request(request: dict[str, Any], *, as_json: bool) -> None:
    """A JSON object, or the text of the request."""
    if as_json:
        click.echo(msgspec.json.encode(request).decode())
        return
    click.echo(f"Vitec: {request['status']}")
    if request["address"] is None:
        return
    for line in _letter(request):
        click.echo(line and f"  {harmless(line)}")
    if "<" in request["address"]:
        click.echo("Whoever knows the address can send notifications: --show-secret shows it whole.")


def _letter(request: dict[str, Any]) -> list[str]:
    lines = [
        "Only Vitec sets up subscriptions. Send this to your contact there:",
        "",
        f"Please set up a subscription for customer {request['customer_id']}, to this address:",
        request["address"],
        "by POST, with these notifications:",
    ]
    for wish in request["events"]:
        of = f" ({', '.join(wish['subtypes'])})" if wish["subtypes"] else ""
        more = f"; {wish['more']}" if wish["more"] else ""
        lines.append(f"- {wish['type']}{of}: {', '.join(wish['events'])}{more}")
    return lines


# -- register, test, replay


async def registered(bench: Bench) -> Said:
    """What the daemon would do, at once."""
    mended = await bench.keeper.mend(at_once=True)
    state = mended.plan.state
    lines = [_done(action, bench.address) for action in mended.done]
    lines += [f"Propstreet refused to {_word(action)}: {why}" for action, why in mended.refused]
    if mended.replayed:
        lines.append(f"{mended.replayed} deliveries that had failed come again")
    working = state == "working"
    lines.append(f"our webhook at {bench.address} is on" if working else TOLD[state])
    row = {
        "state": state,
        "webhook": mended.plan.ours and mended.plan.ours.id,
        "address": bench.address,
        "done": [type(action).__name__.lower() for action in mended.done],
        "refused": [type(action).__name__.lower() for action, _ in mended.refused],
        "replayed": mended.replayed,
    }
    return Said(row, tuple(lines), 0 if working else FINDINGS)


def _done(action: Action, address: str | None) -> str:
    match action:
        case Register():
            return f"registered a webhook at {address}"
        case Enable(webhook=webhook):
            return f"switched webhook {webhook} on again"
        case Complete(webhook=webhook, events=events):
            return f"added {', '.join(events)} to webhook {webhook}"
        case Remove(webhook=webhook):
            return f"removed webhook {webhook}, which we had made"


def _word(action: Action) -> str:
    return {Register: "register a webhook", Enable: "switch it on", Complete: "add events"}.get(
        type(action), "remove a webhook"
    )


async def tested(bench: Bench) -> Said:
    """A test delivery, as Propstreet saw it and as our log has it."""
    ours = await _ours(bench)
    async with bench.at.connection() as conn:
        head = await log.head(conn, bench.at.name)
    outcome = await bench.client.test_webhook(ours.id, TEST)
    async with bench.at.connection() as conn:
        came = await log.of_streams(conn, bench.at.name, [inbox_stream(PROPSTREET)], head)
    row = {"arrived": outcome.success and bool(came), "status": outcome.status_code, "address": ours.url}
    if row["arrived"]:
        return Said(row, (f"the test delivery to {ours.url} arrived and stands in the log",))
    why = NOT_ARRIVED.get(outcome.status_code, f"it was answered {outcome.status_code}")
    if outcome.success:
        why = "it was answered, but not by a daemon on this database"
    return Said({**row, "reason": why}, (f"the test delivery to {ours.url} did not arrive: {why}",), FINDINGS)


async def replayed(bench: Bench, since: datetime | None) -> Said:
    """What failed since then, or since our webhook worked last, comes again."""
    ours = await _ours(bench)
    if ours.active is False:
        raise UsageError("our webhook is switched off; `toveis webhooks register` switches it on and replays")
    begin = since or replay_since(await bench.keeper.health(PROPSTREET), datetime.now(UTC))
    count = await bench.keeper.fill(ours.id, begin)
    words = f"{count} failed deliveries come again; everything is polled now"
    return Said({"replayed": count, "since": begin, "webhook": ours.id}, (words,))


async def _ours(bench: Bench) -> Found:
    ours = await bench.keeper.ours()
    if ours is None:
        raise UsageError("there is no webhook of ours at Propstreet; run `toveis webhooks register`")
    return ours
