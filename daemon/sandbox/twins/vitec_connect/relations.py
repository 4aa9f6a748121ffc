"""How contacts stand to estates and to each other: levels, parties, viewings, bids.

Sources: Vitec's help pages Speculator_Status, Contact_InterestLevel, ContactRelationType, PartyRoles and Note.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

Tie = TypeVar("Tie")
Role = Literal["Buyer", "Seller"]

LEVELS = {
    "Reserved": 40,
    "Booked": 50,
    "ParticipateInBidding": 60,
    "OnHoldInBidding": 70,
    "FollowingBidding": 75,
    "VeryInterested": 80,
    "BeenAtOrComingToViewing": 90,
    "Interested": 100,
    "Assigned": 110,
    "NotInterested": 200,
    "Archived": 300,
}
"""What is read as a speculator's level: the lower the number, the more interested."""

LEVEL_OF_STATUS = {
    "JoinedBidding": "ParticipateInBidding",
    "VeryInterested": "VeryInterested",
    "BeenOnShowing": "BeenAtOrComingToViewing",
    "Interested": "Interested",
    "Assigned": "Assigned",
    "NotInterested": "NotInterested",
    "FollowingBidding": "FollowingBidding",
}
"""What PUT Speculator writes, in the order of its numbers, and what is then read."""

CONTACT_RELATIONS = (
    "EstateParty",
    "CompanySignatory",
    "CompanyContactPerson",
    "PowerOfAttorney",
    "Guardian",
    "LimitedGuardian",
    "Representative",
    "ExecutorUnderTheWill",
    "EstateAdministrator",
    "Deceased",
)


class Ties(Generic[Tie]):
    """Pairs of ids with something between them, found from either end in the order in which they were made.

    The left end is an estate or a company, the right one a contact.
    """

    def __init__(self) -> None:
        self._of_left: dict[str, dict[str, Tie]] = {}
        self._of_right: dict[str, dict[str, Tie]] = {}

    def get(self, left: str, right: str) -> Tie | None:
        """What is between the two, if anything."""
        return self._of_left.get(left, {}).get(right)

    def put(self, left: str, right: str, tie: Tie) -> None:
        """Tie the two, or replace what is between them."""
        self._of_left.setdefault(left, {})[right] = tie
        self._of_right.setdefault(right, {})[left] = tie

    def drop(self, left: str, right: str) -> Tie | None:
        """Untie the two; what was between them."""
        self._of_right.get(right, {}).pop(left, None)
        return self._of_left.get(left, {}).pop(right, None)

    def of_left(self, left: str) -> Mapping[str, Tie]:
        """Everything tied to a left end, by the right one."""
        return self._of_left.get(left, {})

    def of_right(self, right: str) -> Mapping[str, Tie]:
        """Everything tied to a right end, by the left one."""
        return self._of_right.get(right, {})

    def pairs(self) -> dict[tuple[str, str], Tie]:
        """Every tie by (left, right)."""
        return {(left, right): tie for left, ties in self._of_left.items() for right, tie in ties.items()}

    def forget(self, end: str) -> None:
        """Untie an id, whichever end it is."""
        for right in list(self.of_left(end)):
            self.drop(end, right)
        for left in list(self.of_right(end)):
            self.drop(left, end)

    def move(self, source: str, destination: str, better: Callable[[Tie, Tie], Tie]) -> None:
        """Give all ties of one id to another; `better` settles what both have, the other's one first."""
        for right, tie in self.of_left(source).items():
            present = self.get(destination, right)
            self.put(destination, right, tie if present is None else better(present, tie))
        for left, tie in self.of_right(source).items():
            present = self.get(left, destination)
            self.put(left, destination, tie if present is None else better(present, tie))
        self.forget(source)


@dataclass(frozen=True, slots=True)
class Interest:
    """A speculator: its level by the name that is read, None without one, and the broker's note."""

    level: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """A buyer's or a seller's part in an estate."""

    since: datetime
    share: float | None = None


@dataclass(slots=True)
class Viewing:
    """A viewing of an estate; `participants` gives the id of each taking part, by contact."""

    id: str
    estate: str
    starts_at: datetime
    ends_at: datetime
    participants: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Bid:
    """A bid in whole kronor."""

    id: str
    estate: str
    contact: str
    amount: int
    at: datetime


@dataclass(slots=True)
class Note:
    """A note of the log; contact and estate may be missing."""

    id: str
    at: datetime
    text: str | None
    user: str | None
    contact: str | None
    estate: str | None


def more_interested(present: Interest, other: Interest) -> Interest:
    """The one with the stronger level; a relation without a level is the weakest."""
    weakest = max(LEVELS.values()) + 1
    return min(present, other, key=lambda interest: LEVELS.get(interest.level or "", weakest))


def is_listed(interest: Interest, word: str) -> bool:
    """Whether a speculator stands in an estate's interests[] (VS18)."""
    if interest.level == "Archived":
        return word == "both"
    return interest.level != "NotInterested" or word != "neither"
