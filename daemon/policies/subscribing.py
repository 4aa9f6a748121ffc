"""What is due for our webhook at Propstreet, and whether a vendor tells us nothing although records change."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from daemon.domain.subscriptions import EVENTS, Health, State

SILENCE: Final = timedelta(hours=1)
MANY: Final = 10
"""So long nothing came, and so many changes were seen by polls alone: then a vendor is silent."""

FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""A webhook that is mended again and again, without a delivery in between, is mended later and later."""

HORIZON: Final = timedelta(hours=36)
"""Propstreet tries a delivery for about 35 hours: so much older than the last sound look may one be that failed."""

BROKEN: Final = frozenset[State](("missing", "elsewhere", "disabled", "incomplete", "unverified"))
"""States in which Propstreet does not tell us what it should."""


class Found(msgspec.Struct, frozen=True):
    """A webhook as Propstreet lists it; None where it does not tell."""

    id: str
    url: str
    events: frozenset[str]
    active: bool | None = None
    failures: int | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The events that it does not bring."""
        return tuple(event for event in EVENTS if event not in self.events)


class Known(msgspec.Struct, frozen=True):
    """Our address, the webhooks that we made and whose secrets we hold, and whether the operator gave one."""

    address: str
    held: frozenset[str]
    configured: bool


class Register(msgspec.Struct, frozen=True):
    """Make a webhook of our own at our address."""


class Enable(msgspec.Struct, frozen=True):
    """Switch a webhook on again."""

    webhook: str


class Complete(msgspec.Struct, frozen=True):
    """Let a webhook bring these events too, beside those that it brings."""

    webhook: str
    events: tuple[str, ...]


class Remove(msgspec.Struct, frozen=True):
    """Remove a webhook that we made."""

    webhook: str


Action = Register | Enable | Complete | Remove


class Plan(msgspec.Struct, frozen=True):
    """How our webhook is, which one it is, and what has to be done now."""

    state: State
    ours: Found | None = None
    actions: tuple[Action, ...] = ()


def decide(found: Sequence[Found], known: Known, health: Health, *, tried: bool = False) -> Plan:
    """What to do about the webhooks that there are. `tried`: to mend ours was tried just now.

    Only what stands at our own address is looked at, and only what we made is ever removed. A webhook at our address
    whose secret nobody knows is left to its maker, and one of our own made beside it; the same where ours points to
    another address by now: whoever did that may have meant it.
    """
    here = [each for each in found if same_address(each.url, known.address)]
    usable = [each for each in here if known.configured or each.id in known.held]
    if not usable:
        moved = any(each.id in known.held for each in found)
        state: State = "unverified" if here else "elsewhere" if moved else "missing"
        return Plan(state, None, (Register(),))
    ours = min(usable, key=lambda each: (each.id not in known.held, each.active is False, each.missing != ()))
    twice = tuple(Remove(each.id) for each in usable if each.id in known.held and each is not ours)
    if ours.active is not False and not ours.missing:
        return Plan("working", ours, twice)
    made = ours.id in known.held
    # a configured secret that is wrong switches a webhook off again and again
    stubborn = tried or (ours.active is False and not made and health.mends > 0 and not _heard_since(health))
    if stubborn:
        mend: tuple[Action, ...] = (*((Remove(ours.id),) if made else ()), Register())
    else:
        complete = (Complete(ours.id, ours.missing),) if ours.missing else ()
        mend = (*complete, *((Enable(ours.id),) if ours.active is False else ()))
    return Plan("disabled" if ours.active is False else "incomplete", ours, (*twice, *mend))


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are one; what cannot be read as an address is none of ours."""
    try:
        return _address(one) == _address(other)
    except ValueError:
        return False


def _address(url: str) -> tuple[str, str | None, int | None, str, str]:
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or usual, parts.path.rstrip("/"), parts.query


def may_mend(health: Health, now: datetime) -> bool:
    """Whether it is time: at once after a delivery has come, else later and later."""
    if health.mended_at is None or _heard_since(health):
        return True
    pause: timedelta = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(health.mends - 1, 10))
    return now >= health.mended_at + pause


def _heard_since(health: Health) -> bool:
    """A delivery has come since it was mended last."""
    return health.heard_at is not None and health.mended_at is not None and health.heard_at > health.mended_at


def mending(health: Health, now: datetime) -> Health:
    """What is to be remembered before anything is done."""
    mends = 1 if _heard_since(health) else health.mends + 1
    return msgspec.structs.replace(health, mends=mends, mended_at=now)


def looked(health: Health, plan: Plan, listening: datetime, now: datetime) -> Health:
    """How the webhook is after a look at Propstreet's list; silence is heard only by whoever listens since then."""
    silent = plan.state == "working" and is_silent(health, listening, now)
    sound = plan.state == "working" and not silent and plan.ours is not None and not plan.ours.failures
    health = in_state(health, "silent" if silent else plan.state, now)
    return msgspec.structs.replace(health, looked_at=now, sound_at=now if sound else health.sound_at)


def in_state(health: Health, state: State, now: datetime) -> Health:
    """The same subscription in a state, perhaps since now."""
    return msgspec.structs.replace(health, state=state, since=health.since if state == health.state else now)


def heard(health: Health, at: datetime | None, polled: int, position: int) -> Health:
    """What the log says up to `position`: the last delivery, if one came, and how many changes polls alone brought."""
    told = at is not None and (health.heard_at is None or at > health.heard_at)
    return msgspec.structs.replace(
        health,
        heard_at=at if told else health.heard_at,
        unheard=0 if told else health.unheard + polled,
        position=position,
    )


def is_silent(health: Health, listening: datetime, now: datetime) -> bool:
    """Whether many records have changed and nobody has told us for long; `listening`: since then we would have heard."""
    quiet_since = max(listening, health.heard_at or listening)
    return health.unheard >= MANY and now - quiet_since >= SILENCE


def by_ear(health: Health, listening: datetime, now: datetime, subscribed: State) -> Health:
    """The state of a subscription that cannot be looked at: only what comes tells of it. `subscribed`: what it is else."""
    state: State = "silent" if is_silent(health, listening, now) else subscribed
    return in_state(health, state, now)


def recovered(before: Health, found: Plan, after: Plan) -> bool:
    """Whether the webhook works again: what it has missed is to be made up for."""
    return after.state == "working" and (found.state != "working" or before.state in BROKEN)


def replay_since(health: Health, now: datetime) -> datetime:
    """From when on failed deliveries are asked for once more."""
    return (health.sound_at or now) - HORIZON
