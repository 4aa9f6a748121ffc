"""Vitec's interest levels and Propstreet's classifications (sections 12.2 to 12.4 of the mapping rules).

Vitec is read in one enum (InterestLevel) and written in another (Status). Their numbers differ and look
alike, so that names are sent, never numbers.
"""

from collections.abc import Mapping

from daemon.domain.fields import UNMAPPED
from daemon.mappings.lens import Hold, Options

NOT_CONTACTED, CONTACTED, INTERESTED = "not_contacted", "contacted", "interested"
NOT_INTERESTED, BIDDER = "not_interested", "bidder"

LEVELS: Mapping[int, tuple[str, str | None]] = {
    40: ("Reserved", BIDDER),  # L1
    50: ("Booked", BIDDER),  # L2
    60: ("ParticipateInBidding", BIDDER),  # L3
    70: ("OnHoldInBidding", INTERESTED),  # L4
    75: ("FollowingBidding", INTERESTED),  # L5
    80: ("VeryInterested", INTERESTED),  # L6
    90: ("BeenAtOrComingToViewing", INTERESTED),  # L7
    100: ("Interested", INTERESTED),  # L8
    110: ("Assigned", CONTACTED),  # L9
    200: ("NotInterested", NOT_INTERESTED),  # L10
    300: ("Archived", None),  # L11
}
"""InterestLevel: the lower, the more interested. Its number, its name, and its class, if it has one."""

WRITTEN: Mapping[str, str] = {
    CONTACTED: "Assigned",
    INTERESTED: "Interested",
    NOT_INTERESTED: "NotInterested",
    BIDDER: "JoinedBidding",
}
"""A classification to the Status that is written for it (12.3); not_contacted has none."""

CLASSIFICATIONS = frozenset({NOT_CONTACTED, *WRITTEN})

BUYER = "buyer"
NONE = "none"
PROTECTED = frozenset({"Reserved", "Booked", "Archived", BUYER})
"""What the operator alone may overwrite (Q4), and what cannot be told from a decision not to ask (Archived)."""

_NAMES = {name.casefold(): name for name, _ in LEVELS.values()}
_CLASSES = dict(LEVELS.values())


def level_named(word: str | int) -> str:
    """Give the name of a level that is read as a name or a number; an unknown word stays as it is."""
    text = str(word).strip()
    known = LEVELS.get(int(text)) if text.isdecimal() and len(text) < 4 else None
    return known[0] if known else _NAMES.get(text.casefold(), text)


def class_of(level: str, options: Options) -> str:
    """Give the classification of a level's name; UNMAPPED and the level where it has none (L11, L14)."""
    return options.levels.get(level) or _CLASSES.get(level) or UNMAPPED + level


def status_problem(wanted: str, present: str | None, options: Options) -> Hold | None:
    """Tell why a classification cannot be written over what Vitec holds (12.4).

    `present`: a level's name, NONE for a relation without one, BUYER, or None where there is no relation.
    The present level has another class than the wanted one: else there is nothing to write.
    """
    if wanted not in CLASSIFICATIONS:
        return Hold("classification", "invalid", "this is no classification of a prospect; correct it there")
    if present not in (None, NONE, BUYER) and present not in _CLASSES:
        return Hold("classification", "unmapped", f"Vitec says {present}, which is unknown; decide at Vitec")
    if wanted == NOT_CONTACTED:
        if present is None and options.new_prospect_status == "Assigned":
            return None
        detail = "Vitec has no such level; choose one at Propstreet, or leave Vitec as it is"
        return Hold("classification", "not_writable", detail)
    if present in PROTECTED:
        return Hold("classification", "protected", f"Vitec says {present}; change it at Vitec if it is over")
    return None


def status_of(wanted: str) -> str:
    """Give the Status to write. not_contacted is written as Assigned where that was configured (12.4, note 1)."""
    return WRITTEN.get(wanted, WRITTEN[CONTACTED])


def read_after(wanted: str, options: Options) -> str:
    """Give the class that a written classification reads back as: `levels` may give its level another one."""
    status = status_of(wanted)
    return class_of("ParticipateInBidding" if status == WRITTEN[BIDDER] else status, options)
