"""A note among Propstreet's actions (section 5 of the mapping rules; GET …/actions?type=notes).

It can be added; a change of one would be a new revision, which Vitec's log has not (N15).
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import UNSET, Raw, Struct

from daemon.domain.times import vendor_time
from daemon.mappings.lens import Content, Options, Text, carried
from daemon.mappings.notes import REVISION, NoteLens

LONGEST = 10_000
"""N11."""

KINDS = frozenset({"call", "meeting", "email", "news"})
"""The types of a note that Vitec does not have: they go in front of the text (N18)."""


class Details(Struct, frozen=True, rename="camel"):
    """What an action tells of."""

    message: Text = UNSET
    type: str | None = None
    kind: str | None = None
    supersedes_activity_id: str | int | None = None


class Row(Struct, frozen=True, rename="camel"):
    """An action that is a note; where its type stands differs, and where the note that it replaces is not said."""

    id: str | int
    type: str | None = None
    timestamp_utc: str | None = None
    supersedes_activity_id: str | int | None = None
    details: Details | None = None


class Note(Struct, frozen=True, rename="camel"):
    """A note, and whose it is."""

    note: Row
    contact_id: str | None = None
    company_id: str | None = None
    prospect_id: str | None = None
    project_id: str | None = None


def note_of(row: bytes, **owners: str) -> bytes:
    """Put a note together from its raw row and its owners: contact=, company=, or prospect= and project=."""
    return msgspec.json.encode(
        {f"{category}Id": key for category, key in owners.items()} | {"note": Raw(row)}
    )


class PropstreetNote(NoteLens[Note]):
    """Propstreet's note."""

    vendor = "propstreet"
    limits: ClassVar[Mapping[str, int]] = {"text": LONGEST}

    def __init__(self) -> None:
        super().__init__(Note)

    def translate(self, record: Note, options: Options) -> Content:
        """Read a decoded note, its type in front of the text."""
        row = record.note
        fields = carried(text=row.details.message if row.details else UNSET)
        kind, text = _kind(row), fields.get("text")
        if kind and isinstance(text, str):
            fields["text"] = f"{kind.capitalize()}: {text}"
        written = vendor_time(row.timestamp_utc)
        owners = {
            "contact": record.contact_id,
            "company": record.company_id,
            "prospect": record.prospect_id,
            "project": record.project_id,
        }
        return Content(
            external_id=str(row.id),
            fields=fields,
            changed=written,
            created=written,
            flags=(REVISION,) if _replaces(row) else (),
            parts={category: key for category, key in owners.items() if key is not None},
        )


def _replaces(row: Row) -> bool:
    return any(place is not None and place.supersedes_activity_id is not None for place in (row, row.details))


def _kind(row: Row) -> str | None:
    words = (row.details.type, row.details.kind) if row.details else ()
    return next((word for word in (row.type, *words) if word and word.lower() in KINDS), None)
