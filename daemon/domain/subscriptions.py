"""A vendor's subscription: what we want to be told, where, and how it is."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import msgspec

from daemon.domain.streams import PROPSTREET, VITEC

EVENTS: Final = tuple(
    f"{family}.{verb}"
    for family in ("contact", "company", "link", "project", "prospect")
    for verb in ("created", "updated", "deleted")
)
"""Propstreet's events, each by its name: `contact.*` may be refused (PS33)."""

State = Literal[
    "unknown",
    "working",
    "missing",
    "elsewhere",
    "disabled",
    "incomplete",
    "unverified",
    "silent",
    "unheard",
    "unwatched",
    "none",
]

TOLD: Final[dict[State, str]] = {
    "unknown": "nobody has looked yet",
    "working": "deliveries come",
    "missing": "there is no webhook of ours",
    "elsewhere": "our webhook points to another address, where it is left alone",
    "disabled": "Propstreet has switched our webhook off",
    "incomplete": "our webhook is not told of every event",
    "unverified": "nobody knows the secret of the webhook at our address",
    "silent": "changes come by polls alone; does the vendor reach http.public_url?",
    "unheard": "nothing has come yet",
    "unwatched": "without http.public_url nobody watches the webhook",
    "none": "polls alone",
}
"""What a state means to the operator."""


class Health(msgspec.Struct, frozen=True):
    """How a vendor's subscription is, and since when.

    `looked_at`: the vendor was asked. `sound_at`: it was on and no delivery failed. `heard_at`: the last delivery.
    `mends` in a row since a delivery came, the last at `mended_at`. `unheard`: changes since the last delivery that
    polls alone brought. `position`: so far the log was looked through for both.
    """

    vendor: str
    state: State
    since: datetime
    looked_at: datetime | None = None
    sound_at: datetime | None = None
    heard_at: datetime | None = None
    mended_at: datetime | None = None
    mends: int = 0
    unheard: int = 0
    position: int = 0


def path_of(vendor: str, tenant: str, secret: str = "") -> str:
    """Where the open port takes in what a vendor sends; Vitec's has a secret at its end."""
    return f"/webhooks/{vendor}/{tenant}" + (f"/{secret}" if vendor == VITEC else "")


def address_of(public_url: str | None, tenant: str) -> str | None:
    """Where Propstreet shall deliver; None where nobody said how it can reach us."""
    return None if public_url is None else public_url + path_of(PROPSTREET, tenant)


class Wish(msgspec.Struct, frozen=True):
    """One line of what Vitec is asked to tell (docs/mapping-rules.md, section 14)."""

    type: str
    subtypes: tuple[str, ...]
    events: tuple[str, ...]
    more: str = ""


def wishes(estate_types: Collection[str]) -> tuple[Wish, ...]:
    """What to ask Vitec for, where estates of these types are synced."""
    both, every = ("Update", "Remove"), "all statuses, not only advertised ones"
    estates = tuple(kind for kind in estate_types if kind != "Project")
    return (
        Wish("Contact", ("Person", "Company"), both),
        *((Wish("Estate", estates, both, every),) if estates else ()),
        *((Wish("Project", (), both, every),) if "Project" in estate_types else ()),
        Wish("EstateContact", ("Speculator", "Buyer", "ViewingParticipant"), both),
        Wish("Note", (), both),
        Wish("Merge", ("Person",), ("Merge",)),
        Wish("IncomingLead", (), ("Update",)),
    )
