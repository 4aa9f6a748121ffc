"""A Vitec contact's relation to an estate: speculator, buyer (sections 11 and 12 of the mapping rules).

Vitec has no record of a relation. It is put together here from the contact's two lists: the raw rows of the
estate, the level as Vitec spells it.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.domain.streams import relation_id
from daemon.mappings.decoding import decoded
from daemon.mappings.interest_levels import (
    BIDDER,
    BUYER,
    CLASSIFICATIONS,
    INTERESTED,
    NONE,
    NOT_CONTACTED,
    class_of,
    level_named,
    read_after,
    status_of,
    status_problem,
)
from daemon.mappings.lens import RECORD, Content, Hold, Lens, Options, Patch, Seen

LEVEL = "level:"
"""Begins the flag that tells the finer level at Vitec (section 16)."""

VIEWING = "viewing"


class SpeculatorRow(Struct, frozen=True, rename="camel"):
    """A row of `speculatorOn`. The estate's type tells nothing that is needed."""

    estate_id: str
    level: str | int | None = None


class BuyerRow(Struct, frozen=True, rename="camel"):
    """A row of `buyerOn`."""

    estate_id: str


class Relation(Struct, frozen=True, rename="camel"):
    """What a contact and an estate have to do with each other. `viewing`: a participant, where that was asked."""

    estate_id: str
    contact_id: str
    speculator_on: SpeculatorRow | None = None
    buyer_on: BuyerRow | None = None
    viewing: bool = False


class Relations(Struct, frozen=True):
    """The contacts that an estate's record names: by interest, as buyers, at viewings. In order, each once."""

    interests: tuple[str, ...] = ()
    buyers: tuple[str, ...] = ()
    participants: tuple[str, ...] = ()


class _Lists(Struct, frozen=True, rename="camel"):
    speculator_on: list[Raw] | None = None
    buyer_on: list[Raw] | None = None


class _Viewing(Struct, frozen=True):
    participants: list[str | None] | None = None


class _People(Struct, frozen=True):
    interests: list[str | None] | None = None
    buyers: list[str | None] | None = None
    viewings: list[_Viewing | None] | None = None


def relation_of(
    estate: str, contact: str, speculator: bytes | None, buyer: bytes | None, viewing: bool = False
) -> bytes | None:
    """Put a relation together from a contact's answers to Speculator and Buyer.

    None: the contact has nothing to do with the estate (any more). Raises UntranslatablePayload.
    """
    interest = _row(_lists(speculator).speculator_on, estate)
    purchase = _row(_lists(buyer).buyer_on, estate)
    if interest is None and purchase is None and not viewing:
        return None
    parts = {"estateId": estate, "contactId": contact, "speculatorOn": interest, "buyerOn": purchase}
    return msgspec.json.encode(parts | ({VIEWING: True} if viewing else {}))


def relations_in(estate_payload: bytes) -> Relations:
    """Give the contacts that an estate's v1 record names (speculators, read).

    Raises UntranslatablePayload.
    """
    people = decoded(estate_payload, _PEOPLE, "vitec estate")
    viewings = filter(None, people.viewings or ())
    participants = (name for viewing in viewings for name in viewing.participants or ())
    return Relations(_once(people.interests or ()), _once(people.buyers or ()), _once(participants))


class VitecRelation(Lens[Relation]):
    """Vitec's relation. A write sets the speculator's level; the note of the call is left out (Q3)."""

    vendor = "vitec"
    category = "prospect"
    fields = ("classification",)
    limits: ClassVar[Mapping[str, int]] = {}
    returns = True

    def __init__(self) -> None:
        super().__init__(Relation)

    def translate(self, record: Relation, options: Options) -> Content:
        """Read a decoded relation; a visit to a viewing alone is one only where that was switched on (R6)."""
        present, visited = _present(record), record.viewing and options.viewing_means_interested
        flags = {
            BUYER: record.buyer_on is not None,
            f"{LEVEL}{_level(record)}": record.speculator_on is not None,
            VIEWING: record.viewing,
        }
        classification = _classification(present, visited, options)
        return Content(
            external_id=relation_id(record.estate_id, record.contact_id),
            fields={} if classification is None else {"classification": classification},
            changed=None,
            removed=classification is None,
            flags=tuple(flag for flag, is_so in flags.items() if is_so),
            parts={"project": record.estate_id, "contact": record.contact_id},
        )

    def kept(self, field: str, wanted: Value, read: Value, options: Options) -> bool:
        """Tell whether the value read is the wanted one, or the class that its written status has at Vitec.

        That is another one where a new prospect is shown as assigned, and where `levels` says so.
        """
        if super().kept(field, wanted, read, options):
            return True
        if wanted not in CLASSIFICATIONS or (
            wanted == NOT_CONTACTED and options.new_prospect_status == "hold"
        ):
            return False
        return read == read_after(str(wanted), options)

    def _settled(self, field: str, value: Value, seen: Seen | None, options: Options) -> bool:
        """Whether Vitec's word for the value is there already (G2)."""
        if super()._settled(field, value, seen, options):
            return True
        return (
            seen is not None and field in seen.fields and self.kept(field, value, seen.fields[field], options)
        )

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Decide by the table of 12.4. Of a create, what concerns the whole of it is told by `check_create`."""
        if not isinstance(value, str):
            return Hold(field, "cannot_clear", "Vitec cannot take a level away; choose one at Propstreet")
        if seen is None and value == NOT_CONTACTED:
            return None
        return status_problem(value, _seen_level(seen), options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a relation that would have no level: Vitec cannot make one (12.4, note 1; H11)."""
        wanted = takes.get("classification")
        if not isinstance(wanted, str):
            return Hold(RECORD, "not_writable", "Vitec takes no prospect without a level; choose one there")
        hold = status_problem(wanted, None, options)
        return None if hold is None else Hold(RECORD, hold.reason, hold.detail)

    def write(
        self, due: Mapping[str, Value], record: Relation | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body of PUT CRM/Speculator, the Status by name (12.3)."""
        wanted = due.get("classification")
        return Patch({"status": status_of(wanted)} if isinstance(wanted, str) else {})


def _present(record: Relation) -> str | None:
    """What 12.4 calls the present state: a buyer before a level (R4)."""
    if record.buyer_on:
        return BUYER
    return _level(record) if record.speculator_on else None


def _level(record: Relation) -> str:
    level = record.speculator_on.level if record.speculator_on else None
    return level_named(level) or NONE if level is not None else NONE


def _classification(present: str | None, visited: bool, options: Options) -> str | None:
    if present == BUYER:
        return BIDDER
    if present is None or present == NONE:
        return INTERESTED if visited else present and NOT_CONTACTED
    return class_of(present, options)


def _seen_level(seen: Seen | None) -> str | None:
    flags = seen.flags if seen is not None else ()
    if BUYER in flags:
        return BUYER
    return next((flag.removeprefix(LEVEL) for flag in flags if flag.startswith(LEVEL)), None)


def _row(rows: list[Raw] | None, estate: str) -> Raw | None:
    """The row of an estate. Beside a row that cannot be read nothing is certain but what is found."""
    unreadable: UntranslatablePayload | None = None
    for row in rows or ():
        if bytes(row) == b"null":
            continue
        try:
            if decoded(row, _ROW, "vitec prospect").estate_id == estate:
                return row
        except UntranslatablePayload as error:
            unreadable = error
    if unreadable is not None:
        raise unreadable
    return None


def _lists(payload: bytes | None) -> _Lists:
    return _Lists() if payload is None else decoded(payload, _LISTS, "vitec prospect")


_LISTS = msgspec.json.Decoder(_Lists)
_PEOPLE = msgspec.json.Decoder(_People)
_ROW = msgspec.json.Decoder(BuyerRow)


def _once(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))
