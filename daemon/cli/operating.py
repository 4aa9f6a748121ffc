"""How what an operator decides reaches the log: the one way in which a command writes events."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli.harmless import harmless
from daemon.cli.opening import connected, database
from daemon.domain.errors import UsageError, WrongExpectedVersion
from daemon.domain.events import OPERATOR, NewEvent
from daemon.domain.settings import Mode, Settings, TenantSettings
from daemon.domain.streams import entity_stream

if TYPE_CHECKING:
    from daemon.policies.plan import Plan
    from daemon.processor import Tenant
    from daemon.storage.appender import Also
    from daemon.storage.connection import Connection

PATIENCE: Final = 10.0
"""Seconds in which the views must come up with the log, where they are behind it."""

Told = dict[str, Any]
"""What a command prints: keys of its JSON."""


class Ruling(msgspec.Struct, frozen=True):
    """What an operator's command appends, the stream versions that it rests on, what commits with it, what it tells."""

    items: tuple[NewEvent, ...]
    expected: Mapping[str, int]
    told: Told
    also: "Also | None" = None


Rule = Callable[["Connection", "Tenant"], Awaitable[Ruling]]
"""Looks at the views and decides; it is asked again when what it rests on has moved. Raises UsageError."""


def operator() -> str:
    """The system user's name, which stands in every event of an operator."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def append(settings: Settings, chosen: TenantSettings, rule: Rule) -> Told:
    """Decide on the views as they are, and append it; decide again when something was faster.

    A running daemon hears of it at once. Returns what the ruling tells, with the `position` of its last event (None: it
    was there already, or there was nothing to append).
    """

    async def run(dsn: str, embedded: bool) -> Told:
        from daemon.processor import Tenant
        from daemon.storage.appender import Appender
        from daemon.storage.connection import open_pool

        async with connected(dsn, embedded=embedded) as conn, await open_pool(dsn, size=1) as pool:
            appender = Appender(pool, chosen.name)
            await appender.start()
            try:
                at = Tenant(chosen, settings.mode, pool, appender, lambda: datetime.now(UTC))
                return await _append(conn, at, rule)
            finally:
                await appender.stop()

    with database(settings) as (dsn, embedded):
        return asyncio.run(run(dsn, embedded))


async def _append(conn: "Connection", at: "Tenant", rule: Rule) -> Told:
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while True:
        ruling = await rule(conn, at)
        if not ruling.items:
            return {**ruling.told, "position": None}
        try:
            appended = await at.appender.append(ruling.items, expected=ruling.expected, also=ruling.also)
        except WrongExpectedVersion:
            if loop.time() >= end:
                raise UsageError(
                    "the log knows more than the views, so this cannot be decided now; is the daemon running?"
                ) from None
            await asyncio.sleep(0.2)
        else:
            return {**ruling.told, "position": appended[-1].position}


def ruling_of(at: "Tenant", plan: "Plan", told: Told, also: "Also | None" = None) -> Ruling:
    """A plan of the policies as an operator's ruling."""
    from daemon.policies.plan import expected

    if not plan.events:
        return Ruling((), {}, told)
    basis = plan.basis[0]
    items = tuple(
        at.decided(
            basis,
            decision,
            stream=entity_stream(basis.category, name),
            origin=OPERATOR,
            mark=str(basis.version),
        )
        for name, decision in plan.events
    )
    return Ruling(items, expected(plan.basis), told, also)


def as_sent(then: str, mode: Mode) -> str:
    """What follows from a word, in the mode that the daemon is configured for."""
    return f"{then} (nothing is sent in observe mode)" if mode == "observe" else then


def tell(told: Told, words: str, *, as_json: bool) -> None:
    """One line, or one JSON object."""
    click.echo(msgspec.json.encode(told).decode() if as_json else harmless(words))
