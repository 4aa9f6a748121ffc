"""What happened to a record: notes that people and clients wrote, and an audit row for each change."""

import base64
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from daemon.sandbox.twins.propstreet.checks import Fields, choice, cleaned, given, optional, parts, text
from daemon.sandbox.twins.propstreet.problems import Problem, invalid, not_found
from daemon.sandbox.twins.propstreet.records import Actor, Record, Verb
from daemon.sandbox.twins.propstreet.store import Store

NOTE_KINDS = ("note", "call", "meeting", "email", "news")
NOTED = ("contact", "company", "project", "prospect")
_USERS = {"api": {"id": "bot-1", "name": "A bot user"}, "person": {"id": "user-1", "name": "A user"}}

Subject = tuple[str, int]  # (category, id) of the record that something happened to
Which = Literal["all", "audit", "notes"]


@dataclass(slots=True)
class Note:
    """One revision of a note; `kind` is one of NOTE_KINDS, `file` the id of an uploaded file."""

    id: int
    subject: Subject
    kind: str
    message: str
    file: str | None
    format: str
    at: datetime
    actor: Actor
    etag: str
    supersedes: int | None = None
    archived: bool = False
    superseded: bool = False


@dataclass(slots=True, frozen=True)
class Audit:
    """One change of the record, or of a link at one of its ends."""

    id: int
    subject: Subject
    family: str
    verb: Verb
    changed: tuple[str, ...]
    at: datetime
    actor: Actor


def _file_id(value: Any) -> str | None:
    """A note's file, as a number or as text (P21)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text()(value)


class Activity:
    """The timelines of all records. A note moves nobody's etag or updatedUtc, and raises no event."""

    def __init__(self, store: Store, client_id: str) -> None:
        self.store = store
        self.client_id = client_id
        self.rows: defaultdict[Subject, list[Note | Audit]] = defaultdict(list)
        self.cursors: dict[str, int] = {}  # every cursor given out
        self._ids = itertools.count(455)

    # --- writing ---

    def audit(self, verb: Verb, record: Record, actor: Actor, before: Fields) -> None:
        """Note a change of a record; a link's stands in the timelines of both its ends (ref PATCH links)."""
        changed = tuple(sorted(name for name, value in record.fields.items() if before.get(name) != value))
        f = record.fields
        subjects: list[Subject] = [(record.category, record.id)]
        if record.category == "link":
            subjects = [("contact", int(f["contactId"])), ("company", int(f["companyId"]))]
        for subject in subjects:
            row = Audit(next(self._ids), subject, record.category, verb, changed, record.updated, actor)
            self.rows[subject].append(row)

    def add_note(self, record: Record, body: Mapping[str, Any], actor: Actor) -> Note:
        """A new note from a request's body; raises Problem (400) as the note's rules say (PS28).

        Contacts and companies take `note`, `type` and `fileId` (ref POST contacts/{id}/notes), prospects
        `content` (ref POST prospects/{id}/notes). A project's note is not described: it is taken for the latter.
        """
        words = text(self.store.switches.ps28, required=True)
        if record.category in ("contact", "company"):
            checks = {"note": words, "type": choice(*NOTE_KINDS), "fileId": _file_id}
            name = "note"
        else:
            checks, name = {"content": words}, "content"
        note = cleaned(checks, {name: None, **body})
        return self._append(
            (record.category, record.id),
            actor,
            kind=note.get("type") or "note",
            message=note[name],
            file=note.get("fileId"),
            format="plaintext",
        )

    def revise(self, note: Note, body: Mapping[str, Any], actor: Actor, etag: str) -> None:
        """Archive, unarchive or supersede a note (ref PATCH contacts/{id}/notes/{noteId}).

        Raises Problem: 428 without `etag`, 400 for an unknown action and for what a superseded note refuses,
        412 for a stale `etag` (P19).
        """
        if not etag:
            raise Problem(428, "The If-Match header is required.", kind="/help/precondition-required")
        action = body.get("action")
        if action not in ("archive", "unarchive", "supersede"):
            raise Problem(400, "ValidationFailed", errors={"action": ["The action field is not known."]})
        if etag not in ("*", note.etag):
            raise Problem(412, "The note has been modified.", kind="/help/precondition-failed")
        if note.superseded and action != "archive":
            raise invalid(action="The note is superseded.")
        if action == "supersede":
            self._supersede(note, body.get("supersede"), actor)
        elif note.archived != (action == "archive"):
            note.archived, note.etag = action == "archive", self.store.etag()

    def _supersede(self, note: Note, body: Any, actor: Actor) -> None:
        """A new revision that points back; what it leaves unset it inherits."""
        words = given(text(self.store.switches.ps28, required=True))
        checks = parts(
            message=optional(words), fileId=_file_id, contentFormat=choice("plaintext", "markdown")
        )
        new = cleaned({"supersede": checks}, {"supersede": body})["supersede"]
        self._append(
            note.subject,
            actor,
            kind=note.kind,
            message=new["message"] or note.message,
            file=new["fileId"] or note.file,
            format=new["contentFormat"] or note.format,
            supersedes=note.id,
        )
        note.superseded, note.etag = True, self.store.etag()

    def _append(self, subject: Subject, actor: Actor, **what: Any) -> Note:
        etag, now = self.store.etag(), self.store.now()
        note = Note(id=next(self._ids), subject=subject, actor=actor, at=now, etag=etag, **what)
        self.rows[subject].append(note)
        return note

    # --- reading ---

    def find(self, record: Record, key: str) -> Note:
        """A note of this record by the id of its row; raises Problem (404)."""
        rows = self.rows.get((record.category, record.id), ())
        note = next((row for row in rows if isinstance(row, Note) and str(row.id) == key), None)
        if note is None:
            raise not_found()
        return note

    def shown(
        self, records: Iterable[Record], which: Which, *, archived: bool = False, superseded: bool = False
    ) -> list[Note | Audit]:
        """The rows of these records, newest first; archived and superseded notes only on request."""
        rows = [row for record in records for row in self.rows.get((record.category, record.id), ())]
        return sorted(
            (row for row in rows if _is_shown(row, which, archived, superseded)),
            key=lambda row: row.id,
            reverse=True,
        )

    def page(
        self, rows: list[Note | Audit], size: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """One page of these rows and the next one's cursor; raises Problem (400) for an unknown one (PS32)."""
        if cursor in self.cursors:
            rows = [row for row in rows if row.id < self.cursors[cursor]]
        elif cursor is not None and self.store.switches.ps32 == "400":
            raise invalid(cursor="The cursor is not valid.")
        views = [self.view(row) for row in rows[:size]]
        return views, views[-1]["cursor"] if len(rows) > size else None

    def view(self, row: Note | Audit) -> dict[str, Any]:
        """A row as it reads: contacts and companies say what it is in `type`, projects and prospects in
        `details.kind` (ref GET contacts/{id}/actions; models ProjectAction, ProspectAction)."""
        kind = row.kind if isinstance(row, Note) else "audit"
        of_network = row.subject[0] in ("contact", "company")
        own = self._note(row) if isinstance(row, Note) else self._audit(row)
        what: dict[str, Any] = {"type": kind, "details": own}
        if not of_network:
            event = f"{row.subject[0]}.note_added" if isinstance(row, Note) else f"{row.family}.{row.verb}"
            what = {"event": event, "details": {"kind": kind, **own}}
        return {
            "id": str(row.id),
            **what,
            "timestampUtc": self.store.time(row.at),
            "user": _USERS[row.actor],
            **({"etag": row.etag} if isinstance(row, Note) else {}),
            "cursor": self._cursor(row),
        }

    def _note(self, note: Note) -> dict[str, Any]:
        back = {} if note.supersedes is None else {"supersedesActivityId": str(note.supersedes)}
        return {"message": note.message, "file": {"id": note.file} if note.file else None, **back}

    def _audit(self, row: Audit) -> dict[str, Any]:
        client = self.client_id if row.actor == "api" else None
        operation = f"{row.family.capitalize()}{row.verb.capitalize()}"
        return {"operation": operation, "changedFields": list(row.changed), "oauthClientId": client}

    def _cursor(self, row: Note | Audit) -> str:
        at = {"t": self.store.time(row.at), "i": row.id}
        cursor = base64.urlsafe_b64encode(msgspec.json.encode(at)).decode()
        self.cursors[cursor] = row.id
        return cursor


def note_content(note: Note) -> dict[str, Any]:
    """A note as its users see it, for the journal."""
    names = ("kind", "message", "file", "format", "archived", "superseded")
    return {name: getattr(note, name) for name in names}


def _is_shown(row: Note | Audit, which: Which, archived: bool, superseded: bool) -> bool:
    if isinstance(row, Audit):
        return which != "notes"
    return which != "audit" and (archived or not row.archived) and (superseded or not row.superseded)
