"""A note of Vitec's note log (section 5 of the mapping rules; Note/…/GetNotes). It can be added, never changed."""

import msgspec
from msgspec import UNSET, Raw, Struct

from daemon.domain.times import vendor_time
from daemon.mappings.lens import Content, Options, Text, carried
from daemon.mappings.notes import NoteLens


class Row(Struct, frozen=True):
    """A row of GetNotes; the estate that a note is about is not among it."""

    id: str
    date: str | None = None
    text: Text = UNSET


class Note(Struct, frozen=True, rename="camel"):
    """A note, and whose it is."""

    contact_id: str
    note: Row
    estate_id: str | None = None


def note_of(contact: str, row: bytes, estate: str | None = None) -> bytes:
    """Put a note together from its raw row, its contact, and the estate that a notification named (N10)."""
    whose = {"contactId": contact} | ({"estateId": estate} if estate else {})
    return msgspec.json.encode(whose | {"note": Raw(row)})


class VitecNote(NoteLens[Note]):
    """Vitec's note. How long its text may be nobody says (N12)."""

    vendor = "vitec"

    def __init__(self) -> None:
        super().__init__(Note)

    def translate(self, record: Note, options: Options) -> Content:
        """Read a decoded note."""
        written = vendor_time(record.note.date)
        return Content(
            external_id=record.note.id,
            fields=carried(text=record.note.text),
            changed=written,
            created=written,
            parts=({"project": record.estate_id} if record.estate_id else {})
            | {"contact": record.contact_id},
        )
