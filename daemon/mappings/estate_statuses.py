"""What an estate's status at Vitec means for a project at Propstreet (S1 to S22), and how Vitec spells it.

A status has a name in lists (Api_EstateStatus), for some another one in notifications, a number in v1
records, and labels in Swedish. A v1 record shows the number and a label.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from daemon.domain.fields import UNMAPPED, Value


class State(Struct, frozen=True):
    """What a project should say, None where it is left as it is. `shown`: the operator sees the status itself."""

    classification: str | None = None
    status: str | None = None
    stage: str | None = None
    shown: bool = False


class EstateStatus(Struct, frozen=True):
    """One status: its rule, its name in lists, its v1 id, its Swedish labels, and its names in notifications."""

    rule: str
    name: str
    id: int
    labels: tuple[str, ...]
    state: State
    notified: tuple[str, ...] = ()


DRAFT = State("draft", "open")
PUBLISHED = State("active", "open", "published")
COMMUNICATED = State("active", "open", "communicated")
INACTIVE = State("inactive", "open")
CLOSED = State(status="closed")
HELD_BACK = State(status="open", shown=True)
OUT_OF_SCOPE = State(shown=True)

STATUSES = (
    EstateStatus("S17", "Undefined", 0, (), OUT_OF_SCOPE),
    EstateStatus("S1", "AssignmentAttempt", 1, ("Intagsförsök", "Under intag"), DRAFT),
    EstateStatus("S7", "AssignmentAccepted", 2, ("Uppdrag", "Intaget"), DRAFT),
    EstateStatus("S4", "ForSale", 3, ("Till salu",), COMMUNICATED),
    EstateStatus("S6", "Sold", 4, ("Såld",), CLOSED),
    EstateStatus("S5", "Resting", 5, ("Vilande",), DRAFT, ("Paused",)),
    EstateStatus("S9", "NoAssignment", 6, ("Inget uppdrag",), INACTIVE, ("NoAssigment",)),
    EstateStatus("S10", "AssignmentWithdrawn", 7, ("Återtagen",), INACTIVE),
    EstateStatus("S12", "ReservedNotForSale", 8, ("Reserverad/Ej till salu",), HELD_BACK),
    EstateStatus("S11", "NotForSale", 9, ("Ej till salu",), INACTIVE),
    EstateStatus("S14", "SoldReferenceObject", 10, ("Såld/Referensobjekt", "Såld/Referensbostad"), CLOSED),
    EstateStatus("S2", "Coming", 11, ("Kommande",), PUBLISHED, ("Upcoming",)),
    EstateStatus("S8", "Advantage", 12, ("Försprång",), PUBLISHED, ("PreSale",)),
    EstateStatus("S13", "Booked", 13, ("Bokad",), HELD_BACK),
    EstateStatus("S19", "Running", 14, ("Pågående",), COMMUNICATED, ("Ongoing",)),
    EstateStatus("S21", "Soldout", 15, ("Slutsålt",), CLOSED),
    EstateStatus("S3", "SoonForSale", 16, ("Snart till salu",), PUBLISHED),
    EstateStatus("S16", "ReadyForRent", 17, ("Hyresledig",), OUT_OF_SCOPE),
    EstateStatus("S16", "TentativelyRented", 18, ("Uthyrd preliminärt",), OUT_OF_SCOPE),
    EstateStatus("S16", "Rented", 19, ("Uthyrd",), OUT_OF_SCOPE),
    EstateStatus("S15", "AppointedAdmission", 20, ("Tillträdd",), CLOSED),
    EstateStatus("S22", "SoldoutReferenceProject", 21, ("Slutsålt/Referensobjekt",), CLOSED),
    EstateStatus("S17", "ReservedNotForRental", 22, ("Reserverad/Uthyres ej",), OUT_OF_SCOPE),
)

STATED = frozenset({2, 3, 4, 10})
"""The v1 ids that a public source gives; the others follow from the order of the names (S38)."""

_BY_ID = {status.id: status for status in STATUSES}
_BY_NAME = {
    spelling.casefold(): status
    for status in STATUSES
    for spelling in (status.name, *status.notified, *status.labels)
}


def spelt(text: str) -> EstateStatus | None:
    """Give the status that a name or a label stands for, without regard to case, or None."""
    return _BY_NAME.get(" ".join(text.split()).casefold())


class Disagreement(Struct, frozen=True):
    """A label and a stated id that name two statuses: nothing is concluded from either (S33)."""


class Unknown(Struct, frozen=True):
    """A status that the tables do not know; `word` is what Vitec says (G12)."""

    word: str


def found(key: str, label: str) -> EstateStatus | Disagreement | Unknown | None:
    """Give the status of a v1 record's id and label, None where it has neither.

    The label decides, as the ids may be numbered otherwise. Beside a label that nobody knows an id is believed only
    if a public source gives it: such a label may be the customer's own status, and the id inferred.
    """
    by_label = spelt(label)
    numbered = key.isdecimal() and len(key) < 4
    by_id = _BY_ID.get(int(key)) if numbered else spelt(key)
    if by_label is not None:
        doubted = by_id is not None and by_id.id in STATED and by_id is not by_label
        return Disagreement() if doubted else by_label
    if by_id is not None and (not label.strip() or not numbered or by_id.id in STATED):
        return by_id
    word = f"{key} {label}".strip()
    return Unknown(word) if word else None


def fields_of(status: EstateStatus, overrides: Mapping[str, str]) -> dict[str, Value]:
    """Give classification, status and stage, as far as the status says something about them.

    `overrides` is [tenants.sync] statuses: a name of a status to the classification that it shall have.
    """
    named = {name.casefold(): value for name, value in overrides.items()}
    spellings = (status.name, *status.notified)
    chosen = next((named[s.casefold()] for s in spellings if s.casefold() in named), None)
    state = status.state
    classification = chosen or (UNMAPPED + status.name if state.shown else state.classification)
    values = {"classification": classification, "status": state.status, "stage": state.stage}
    return {field: value for field, value in values.items() if value is not None}


def odd_statuses(listed: Iterable[tuple[str, str]]) -> list[str]:
    """Give the ids in a customer's own list of statuses (GetStatuses: id, name) that are not as the tables have them."""
    return [key for key, label in listed if not _is_known(key, label)]


def _is_known(key: str, label: str) -> bool:
    named = spelt(label)
    return named is not None and key.isdecimal() and named is _BY_ID.get(int(key))
