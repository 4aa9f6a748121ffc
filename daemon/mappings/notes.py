"""What the notes of both vendors have in common: one can be added, and is never changed (N15)."""

from collections.abc import Mapping
from typing import ClassVar, TypeVar

from daemon.domain.fields import Value
from daemon.mappings.lens import RECORD, Hold, Lens, Options, Patch, Seen

N = TypeVar("N")

REVISION = "revision"
"""The flag of a note that replaces another one."""


class NoteLens(Lens[N]):
    """A mapping of notes. Whose a note is and when it was written, the caller says to the vendor."""

    category = "note"
    fields = ("text",)
    limits: ClassVar[Mapping[str, int]] = {}

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold the change of a note (N15)."""
        if seen is None:
            return None
        return Hold(
            field,
            "not_writable",
            f"a note is not rewritten at {self.vendor.capitalize()}; add another one there",
        )

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a note that says nothing."""
        return None if "text" in takes else Hold(RECORD, "invalid", "a note without a text is not written")

    def write(
        self, due: Mapping[str, Value], record: N | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the text of a new note."""
        return Patch(dict(due))
