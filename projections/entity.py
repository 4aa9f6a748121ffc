"""The state of one entity: what each vendor holds, what both last agreed on, and what is on its way.

These Structs are the only mutable ones: the fold owns them and works in place (a replay folds millions). Nothing
outside the fold changes them, and every one is rebuilt from the log.
"""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from daemon.domain.events import Half, Want
from daemon.domain.fields import Value
from daemon.domain.streams import VENDORS

NO_EVENT: Final = UUID(int=0)

# An attempt whose outcome was unknown may land this much later: three request time-outs. The first read after that
# ends the suspicion.
RECENT: Final = timedelta(seconds=90)


class Shadow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a vendor holds in one field: the value, when it came to be (an upper bound), and the event that brought it."""

    value: Value
    since: datetime | None
    position: int


class Base(msgspec.Struct, frozen=True, gc=False):
    """What each side held when both last meant the same; each side is compared with its own half."""

    vitec: Half
    propstreet: Half

    def half(self, vendor: str) -> Half:
        """The half of one side."""
        return self.vitec if vendor == "vitec" else self.propstreet

    def moved(self, vendor: str, held: Shadow) -> bool:
        """What this side holds is not what is in its half. Never by comparing values: one may have come back."""
        return held.position != self.half(vendor).position


def base_of(vendor: str, here: Half, there: Half) -> Base:
    """A base from the half of `vendor` and that of the other side."""
    return Base(vitec=here, propstreet=there) if vendor == "vitec" else Base(vitec=there, propstreet=here)


class Override(msgspec.Struct, frozen=True, omit_defaults=True):
    """An operator's word on a field: it wins at both sides for as long as no person moves either of them.

    `position` is that of the operator's event, `replaces` the value that stood then. `seen` are the positions of the
    field at Vitec and at Propstreet that it is counted from; `met` are the sides that our write has brought it to.
    """

    position: int
    value: Value
    since: datetime | None
    replaces: Value
    seen: tuple[int | None, int | None]
    met: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The newest accepted content: vendor time, etag, read interval, and the event that holds the payload."""

    time: datetime | None = None
    etag: str | None = None
    started: int = 0
    ended: int = 0
    event: int = 0


class Attempt(msgspec.Struct, omit_defaults=True):
    """A write that left. flying: no outcome yet; open: the outcome is unknown; recent: a later read settled it.

    An open one that was `taken` is known to have been carried out: the next read shows what the vendor made of it.
    """

    command: str
    position: int
    want: dict[str, Want]
    etag: str | None = None
    vendor_time: datetime | None = None
    state: Literal["flying", "open", "recent"] = "flying"
    unknown: int = 0
    unknown_at: datetime | None = None
    taken: bool = False
    doubted: list[str] = []


class Push(msgspec.Struct, frozen=True, omit_defaults=True):
    """Content that came by webhook while a write was in flight, kept until its outcome."""

    position: int
    fields: dict[str, Value]
    time: datetime | None
    etag: str | None
    recorded_at: datetime
    removed: bool = False
    reference: str | UnsetType | None = UNSET


class Past(msgspec.Struct, frozen=True, gc=False):
    """A value that a field had, and when it was last known to."""

    value: Value
    at: datetime


class Turns(msgspec.Struct, frozen=True, omit_defaults=True):
    """What our writes did to a field lately: the values that it had, and when one of them came back by our own hand."""

    held: tuple[Past, ...] = ()
    returns: tuple[datetime, ...] = ()


class Side(msgspec.Struct, omit_defaults=True):
    """One vendor's record of the entity. `batch` is the newest held batch that changed it, released or not."""

    record: str
    seen: int
    version: int = 0
    shadow: dict[str, Shadow] = {}
    head: Head = Head()
    need: int | None = None
    doubt: dict[str, int] = {}
    attempts: list[Attempt] = []
    kept: list[Push] = []
    restored: int | None = None
    """The event that says that the log was restored, until a read that began after it."""
    gone: int | None = None
    evidence: str | None = None
    reference: str | None = None
    domain: str | None = None
    kind: str | None = None
    flags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    first: bool = True
    unreadable: int | None = None
    parts: dict[str, str] = {}
    into: str | None = None
    batch: str | None = None
    turns: dict[str, Turns] = {}

    def ask(self, position: int) -> None:
        """The record must be read, by a read that begins after this event; never after an earlier one only."""
        self.need = max(self.need or 0, position)

    def flying(self) -> bool:
        """A write to this record is in flight."""
        return any(attempt.state == "flying" for attempt in self.attempts)

    def check_at(self) -> datetime | None:
        """When a write of unknown outcome has landed, if it ever does: a read from then on ends the suspicion."""
        if self.flying():
            return None
        lost = [a.unknown_at for a in self.attempts if a.state == "recent" and a.unknown_at is not None]
        return max(lost) + RECENT if lost else None

    def busy(self) -> bool:
        """A write to this record is in flight or its outcome is unknown."""
        return any(attempt.state != "recent" for attempt in self.attempts)


class Pending(msgspec.Struct, omit_defaults=True):
    """A command that was issued and has no final outcome. `record` is None for a create."""

    command: str
    want: dict[str, Want]
    record: str | None = None
    etag: str | None = None
    reference: str | None = None
    parts: dict[str, str] | None = None
    state: Literal["pending", "flying", "unknown"] = "pending"
    attempts: int = 0


class Blocked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field that is not written while its source value stays: the command that was held or refused.

    `observed`: only because nothing is sent in observe mode. `discarded`: an operator has seen to it.
    """

    command: str
    position: int
    observed: bool = False
    discarded: bool = False


class Failure(msgspec.Struct, frozen=True):
    """How often in a row a write to a vendor failed or was lost, when last, and when first."""

    count: int
    at: datetime
    began: datetime


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why the entity waits for the operator. `quiet`: an operator has seen to it, and it is no longer listed."""

    reason: str
    fingerprint: str
    position: int
    candidates: tuple[str, ...] = ()
    detail: str = ""
    quiet: bool = False


class Lead(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lead as it came in: its kind, the event that holds it, and what became of it at Vitec."""

    kind: str
    event: int
    received_at: datetime
    customer: str
    estate: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    sent: str | None = None
    """Vitec's id of it, or "" where Vitec gave none; None until it was sent."""
    restored: bool = False
    """The log was restored while it waited: nobody knows whether it was sent meanwhile."""


class Entity(msgspec.Struct, omit_defaults=True):
    """What the two vendors' records describe together. `cause` and `correlation` are those of its newest event."""

    id: str
    category: str
    seen: int = 0
    position: int = 0
    version: int = 0
    cause: UUID = NO_EVENT
    correlation: UUID = NO_EVENT
    sides: dict[str, Side] = {}
    base: dict[str, Base] = {}
    overrides: dict[str, Override] = {}
    linked: int | None = None
    rule: str | None = None
    creating: dict[str, Attempt] = {}
    pending: dict[str, Pending] = {}
    blocked: dict[str, dict[str, Blocked]] = {}
    failures: dict[str, Failure] = {}
    hold: Hold | None = None
    released: list[str] = []
    """The fingerprints of the holds that an operator released: these causes do not hold it again."""
    tombstone: str | None = None
    apart: bool = False
    """An operator closed the link: only an operator's word ends the tombstone."""
    lead: Lead | None = None
    sources: list[str] = []
    """The entities whose record was merged into this one's, and the one that this record was parted from."""

    backfill: bool = False
    """It was released after only the first polls had seen it, and nobody has edited it since."""

    orphans: list[str] = []
    """Commands of entities that were linked into this one by another's write: nobody sends or needs them."""

    def changed(self, vendor: str, field: str) -> bool:
        """The present value of this side is not the one in its half of the base."""
        base = self.base.get(field)
        return base is None or base.moved(vendor, self.sides[vendor].shadow[field])

    def places(self, field: str) -> tuple[int | None, int | None]:
        """The positions that brought a field's present value to Vitec and to Propstreet; None where there is none."""
        vitec, propstreet = (self.sides.get(vendor) for vendor in VENDORS)
        v = vitec.shadow.get(field) if vitec is not None else None
        p = propstreet.shadow.get(field) if propstreet is not None else None
        return v.position if v is not None else None, p.position if p is not None else None

    def busy(self) -> bool:
        """A write for this entity is in flight, or its outcome is unknown."""
        return bool(self.creating) or any(side.busy() for side in self.sides.values())
