"""The journal of a twin: what was asked of it, by whom, and what each write changed."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(slots=True)
class Entry:
    """One call through the API, or one edit by a person.

    `at` is aware UTC by the twin's clock, `path` is the route without the query. `before` and `after` are
    what a user sees of the record (see `content`), None when it is not there. Only writes carry them.
    """

    at: datetime
    actor: Literal["api", "person"]
    kind: Literal["write", "read"]
    method: str
    path: str
    category: str
    record: str
    status: int
    changed: bool = False
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


@dataclass(slots=True)
class Journal:
    """Every write in order; reads are only counted, by (method, path)."""

    entries: list[Entry] = field(default_factory=list)
    reads: Counter[tuple[str, str]] = field(default_factory=Counter)

    def append(self, entry: Entry) -> None:
        """Keep a write, count a read."""
        if entry.kind == "read":
            self.reads[entry.method, entry.path] += 1
        else:
            self.entries.append(entry)

    def writes(self, since: datetime | None = None) -> list[Entry]:
        """The writes that came through the API, oldest first; `since` is inclusive."""
        return [e for e in self.entries if e.actor == "api" and (since is None or e.at >= since)]

    def echoes(self) -> list[Entry]:
        """The API writes that were accepted and left the record as it was: a sync should make none."""
        return [e for e in self.writes() if e.status < 300 and not e.changed]


def content(record: Mapping[str, Any] | None, volatile: Iterable[str]) -> dict[str, Any] | None:
    """A deep copy of a record without its `volatile` top-level fields (times, etag)."""
    if record is None:
        return None
    left_out = frozenset(volatile)
    return {name: copy.deepcopy(value) for name, value in record.items() if name not in left_out}
