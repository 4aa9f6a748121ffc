"""Relations and notes as records: Vitec tells of them by contact, so several answers are put together into one."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec

from daemon.domain.errors import UntranslatablePayload
from daemon.mappings.lens import Options
from daemon.mappings.vitec import is_strategy
from daemon.mappings.vitec_note import note_of
from daemon.mappings.vitec_relation import relation_of
from daemon.vendors.vitec_connect.client import VitecConnectClient

Pair = tuple[str, str]
"""An estate's id and a contact's."""

OWN = ":note:"
"""Stands between a contact's id and the digest of its own note."""


class Relations(msgspec.Struct, frozen=True):
    """The present relation of each pair, None where there is none; and the contacts that Vitec does not know."""

    found: dict[Pair, bytes | None]
    unknown: frozenset[str]


async def relations_of(
    client: VitecConnectClient, pairs: Iterable[Pair], viewing: Mapping[str, Collection[str]] | None = None
) -> Relations:
    """The present relation of each pair. Reads speculators and buyers in batches of 20.

    `viewing` has, by estate, who came to a viewing, where that counts (R6). A pair whose answer makes no sense is left
    out: nothing is concluded from it. A contact that is in neither answer is asked for alone before it counts as
    unknown: one unknown id may hide the others (VS21).
    """
    pairs = list(pairs)
    contacts = list(dict.fromkeys(contact for _, contact in pairs))
    if not contacts:
        return Relations({}, frozenset())
    speculators, buyers = await client.speculators(contacts), await client.buyers(contacts)
    for contact in contacts:
        if contact not in speculators.keys() | buyers.keys():
            if (interests := await client.speculator(contact)) is not None:
                speculators[contact] = interests
            if (purchases := await client.buyer(contact)) is not None:
                buyers[contact] = purchases
    found: dict[Pair, bytes | None] = {}
    for estate, contact in pairs:
        seen = contact in (viewing or {}).get(estate, ())
        try:
            found[estate, contact] = relation_of(
                estate, contact, speculators.get(contact), buyers.get(contact), viewing=seen
            )
        except UntranslatablePayload:
            continue
    return Relations(
        found, frozenset(each for each in contacts if each not in speculators.keys() | buyers.keys())
    )


async def notes_of(
    client: VitecConnectClient, contact: str, kind: str | None, options: Options
) -> dict[str, bytes]:
    """Every note of a contact by id: the rows of its log, and its own note where that is not an investment strategy.

    The contact's own note has no id: it is known by its text, so that a new text is another note (N2, N3).
    """
    found = {}
    for row in await client.notes(contact):
        try:
            found[_NOTED.decode(row).id] = note_of(contact, row)
        except msgspec.MsgspecError:
            continue
    payload = await client.read_one("Company" if kind == "Company" else "Person", contact)
    text = _text(_CONTACT.decode(payload).note) if payload is not None else None
    if text and text.strip() and not is_strategy(text, options):
        digest = hashlib.blake2b(text.strip().encode("utf-8", "replace"), digest_size=9).hexdigest()
        record = f"{contact}{OWN}{digest}"
        found[record] = note_of(contact, msgspec.json.encode({"id": record, "text": text}))
    return found


def is_own_note(record: str) -> bool:
    """Whether a note's id is one of ours, for a contact's own note."""
    return OWN in record


def _text(note: msgspec.Raw) -> str | None:
    """A contact's own note, None where it is no text."""
    try:
        return _TEXT.decode(note)
    except msgspec.MsgspecError:
        return None


class _Noted(msgspec.Struct):
    id: str


class _Contact(msgspec.Struct):
    note: msgspec.Raw = msgspec.Raw(b"null")


_NOTED = msgspec.json.Decoder(_Noted)
_CONTACT = msgspec.json.Decoder(_Contact)
_TEXT: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
