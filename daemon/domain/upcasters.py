"""Upcasters: an event of an earlier shape in the shape of today. The log is never rewritten; reading brings it up to date.

The day the shape of an event first changes, so that what was stored would be misread: raise `SCHEMA_VERSION` in
`events.py` by one, and add here, for every type that changed, the function from the version before. It takes what is
ours of the event: the `data` of a decision, the `meta` of everything else (whose data is the vendor's, and stays). It is
pure, and it stays for good. A type without one for a version reads the same in the next. A new type, or a new field
with a default, needs none of this for the past; but programs that are older must refuse the log: raise the version.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from daemon.domain.events import DECISIONS, SCHEMA_VERSION, TYPES, Event, encode

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""By the type, and the schema version that it takes."""

_dicts: Final = msgspec.json.Decoder(dict[str, Any])


def upcast(event: Event) -> Event:
    """The event as this version would have written it; unchanged where no chain of upcasters begins at its version."""
    first = min((version for _, version in UPCASTERS), default=SCHEMA_VERSION)
    if not first <= event.schema_version < SCHEMA_VERSION:
        return event
    part = "data" if event.type in DECISIONS else "meta"
    text = getattr(event, part)
    for version in range(event.schema_version, SCHEMA_VERSION):
        step = UPCASTERS.get((event.type, version))
        if step is not None and text is not None:
            text = encode(step(_dicts.decode(text))).decode()
    return msgspec.structs.replace(event, schema_version=SCHEMA_VERSION, **{part: text})


def check(upcasters: Mapping[tuple[str, int], Upcaster], present: int = SCHEMA_VERSION) -> None:
    """Raise ValueError unless they lead from every version since the first to the present one, for types that exist."""
    steps = {version for _, version in upcasters}
    wrong = [f"nothing leads on from version {v}" for v in range(min({1} | steps), present) if v not in steps]
    wrong += [f"version {v} is not an earlier one" for v in sorted(steps) if v >= present]
    wrong += [f"there is no {kind}" for kind, _ in upcasters if kind not in TYPES]
    if wrong:
        raise ValueError("; ".join(wrong))


check(UPCASTERS)
