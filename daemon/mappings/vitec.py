"""What Vitec Connect's mappings have in common: what cannot be written, and how persons and companies are.

Reading and writing use different names (UpdatePerson, UpdateCompany), and a write has no etag: it carries
only what is due, nested objects whole (G10), always with the contact's id, so that Vitec never picks a
match (D1).
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value, blank
from daemon.domain.times import vendor_time
from daemon.mappings.categories import Category, Change, change, tags_of, tags_problem
from daemon.mappings.lens import RECORD, Content, Hold, Lens, Options, Patch, Seen, Text, carried

OUT_OF_SCOPE: Mapping[str | int | None, str] = {
    "DeceasedEstate": "deceased_estate",
    2: "deceased_estate",
    "Association": "association",
}
"""The types of contact that are counted and otherwise ignored (C15)."""


Q = TypeVar("Q")


class UnwritableLens(Lens[Q]):
    """A mapping from Vitec Connect for which there is no call that writes (section 15): all of it is held."""

    vendor = "vitec"
    limits: ClassVar[Mapping[str, int]] = {}
    refusal: ClassVar[str]
    """Why, and what to do instead."""

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold every change."""
        return Hold(field, "not_writable", self.refusal)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold every new record."""
        return Hold(RECORD, "not_writable", self.refusal)

    def write(
        self, due: Mapping[str, Value], record: Q | None, options: Options, identity: str | None
    ) -> Patch:
        """Send nothing: everything was held."""
        return Patch({})


class Record(Struct, frozen=True, rename="camel"):
    """The part of a typed read that persons and companies share, as far as it is mapped."""

    id: str
    type: str | int | None = None
    categories: tuple[Category, ...] | UnsetType | None = UNSET
    note: Text = UNSET
    created_at: str | None = None
    changed_at: str | None = None


R = TypeVar("R", bound=Record)


class VitecLens(Lens[R]):
    """A mapping to or from Vitec Connect's contacts, which are persons and companies."""

    vendor = "vitec"
    kind: ClassVar[Literal["Person", "Company"]]
    names: ClassVar[Mapping[str, str]]
    """Our field to the write call's, where the value is a plain text."""
    never_cleared: ClassVar[frozenset[str]]
    """Names: a blank one does not change anything at Vitec (C1, B1)."""

    @abstractmethod
    def texts(self, record: R) -> dict[str, Value]:
        """Give the plain texts of the category that the payload carries."""

    @abstractmethod
    def nested(self, field: str, value: str, record: R | None) -> dict[str, object]:
        """Give the whole object that a field is part of, with the present values of its other parts (G10)."""

    def flags(self, record: R) -> tuple[str, ...]:
        """Give what the operator should see about this record."""
        return ()

    def translate(self, record: R, options: Options) -> Content:
        """Read a decoded payload; a type that is out of scope has no fields (C15)."""
        ignored = OUT_OF_SCOPE.get(record.type)
        return Content(
            external_id=record.id,
            fields={} if ignored else self._fields(record, options),
            changed=vendor_time(record.changed_at),
            created=vendor_time(record.created_at),
            flags=(ignored,) if ignored else self.flags(record),
        )

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Tell why Vitec cannot take a value."""
        present = seen.fields if seen is not None else {}
        if field == "tags":
            before = present.get("tags") or ()
            return tags_problem(tuple(value or ()), tuple(before), self.table(options), self.kind, options)
        if field == "strategy" and options.note == "keyword":
            return _note_problem(value, present, options)
        if blank(value) and (field in self.never_cleared or not options.clear_by_empty_string):
            return Hold(
                field, "cannot_clear", f"{field} cannot be emptied through Vitec's API; empty it at Vitec"
            )
        return None

    def write(
        self, due: Mapping[str, Value], record: R | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body of UpdatePerson or UpdateCompany, and the categories to DELETE (T5)."""
        body: dict[str, object] = {}
        for field, value in due.items():
            text = value if isinstance(value, str) else ""
            if field in self.names:
                body[self.names[field]] = text
            elif field != "tags":
                body |= self.nested(field, text, record)
        categories = self._change(due, record, options)
        if categories.assign is not None:
            body["categoryIds"] = list(categories.assign)
        contact = identity or (record.id if record else None)
        if body:
            body = {"customerId": options.customer_id} | ({"contactId": contact} if contact else {}) | body
        return Patch(body, categories.remove, (categories.hold,) if categories.hold else ())

    def _fields(self, record: R, options: Options) -> dict[str, Value]:
        fields = self.texts(record)
        if record.categories is not UNSET and (table := self.table(options)):
            fields["tags"] = tags_of(record.categories or (), table)
        if is_strategy(record.note, options):
            fields |= carried(strategy=record.note)
        return fields

    def _change(self, due: Mapping[str, Value], record: R | None, options: Options) -> Change:
        if "tags" not in due:
            return Change()
        present = record.categories if record is not None else ()
        return change(tuple(due["tags"] or ()), present or (), self.table(options), self.kind, options)


def is_strategy(note: Text, options: Options) -> bool:
    """Tell whether a note is an investment strategy: by the setting (N1), or by a keyword in it (N3)."""
    if options.note != "keyword":
        return options.note == "strategy"
    text = note.casefold() if isinstance(note, str) else ""
    return any(keyword.casefold() in text for keyword in options.note_keywords if keyword)


def _note_problem(value: Value, present: Mapping[str, Value], options: Options) -> Hold | None:
    """A note that was no strategy stays the broker's (N3); one without a keyword would not be found again."""
    if "strategy" not in present:
        return Hold(
            "strategy",
            "not_writable",
            "the note at Vitec is no strategy; write one of the keywords into it there",
        )
    if not isinstance(value, str) or not is_strategy(value, options):
        return Hold(
            "strategy", "not_writable", "without one of the keywords the note at Vitec would be no strategy"
        )
    return None
