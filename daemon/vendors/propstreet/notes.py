"""The notes among a record's actions, and the body of a new one (notes and actions)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from daemon.domain.times import vendor_time

# What a note can be at the vendor; the list of actions also knows audit and chat rows.
KINDS = frozenset({"note", "call", "meeting", "email", "news"})

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class NoteRow(msgspec.Struct, frozen=True):
    """A note of a record. `at` is the vendor's own text of a time, `raw` the row's JSON as it came."""

    id: str
    at: str
    raw: bytes


class _Details(msgspec.Struct):
    kind: str | None = None


class _Says(msgspec.Struct):
    type: str | None = None
    details: _Details | None = None

    @property
    def is_note(self) -> bool:
        """Contacts and companies say what a row is in `type`, prospects in `details.kind`."""
        kind = (self.details and self.details.kind) or self.type
        return kind is not None and kind.lower() in KINDS


class _Action(_Says, kw_only=True):
    id: str | int
    at: str = msgspec.field(name="timestampUtc")


_SAYS = msgspec.json.Decoder(_Says)
_ACTION = msgspec.json.Decoder(_Action)


def notes_among(rows: Iterable[bytes]) -> list[NoteRow]:
    """The rows that are notes: a vendor may overlook the filter.

    A row that does not even say when it was done is left out, unless it calls itself a note: msgspec.DecodeError then.
    """
    return [NoteRow(str(action.id), action.at, row) for row in rows if (action := _note(row)) is not None]


def _note(row: bytes) -> _Action | None:
    try:
        action = _ACTION.decode(row)
    except msgspec.DecodeError:
        if _says_note(row):
            raise
        return None
    return action if action.is_note else None


def _says_note(row: bytes) -> bool:
    try:
        return _SAYS.decode(row).is_note
    except msgspec.DecodeError:
        return False


def newest_first(notes: Iterable[NoteRow]) -> list[NoteRow]:
    """By time, the vendor's order where two are the same: the order is documented for prospects only."""
    return sorted(notes, key=lambda note: vendor_time(note.at) or LONG_AGO, reverse=True)


def note_body(category: str, text: str, kind: str) -> Mapping[str, str]:
    """What a new note is sent as; a prospect's has no kind."""
    return {"content": text} if category == "prospect" else {"note": text, "type": kind}
