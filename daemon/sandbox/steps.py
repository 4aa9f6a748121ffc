"""The words in which a day of the sandbox is written: who does what, to which record, at which vendor.

Fields have Toveis' common names. A `key` is the cast's own name of a record. What joins others is named after them:
"harbour/kari" is Kari's interest in the harbour, "fjord/kari" her place at Fjord Eiendom.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

Side = Literal["vitec", "propstreet", "web"]
"""Where something happens; on the web, leads are sent to the daemon itself."""

Category = Literal["contact", "company", "project", "prospect", "link", "lead"]
Action = Literal["create", "edit", "merge"]
Fields = Mapping[str, str | tuple[str, ...]]

CATEGORIES = {"Investor": "investor", "Kjøper": "buyer", "Säljare": "seller", "VIP": "vip"}
"""Vitec category to Propstreet tag, for persons; fields hold the tags."""

COMPANY_CATEGORIES = {"Investor": "investor", "VIP": "vip"}
"""The same for companies."""

BROKERS = ("Ingrid Solberg", "Lars Öberg", "Åsa Lindqvist")
"""Work in Vitec."""

INVESTORS_PEOPLE = ("Erik Ståhl", "Maja Nygård")
"""Work in Propstreet."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one vendor knows before the day."""

    side: Side
    category: Category
    key: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Step:
    """What one person does at one vendor. `fields` are those of a new record, or those that change.

    A merge gives the record of `key` everything that the `source` had, which is gone then.
    """

    actor: str
    side: Side
    action: Action
    category: Category
    key: str
    fields: Fields
    note: str
    together_with_previous: bool = False
    """At the same moment as the step before, before either could be carried to the other side."""
    crossed: bool = False
    """The record was made at the other vendor: it is here once Toveis has brought it."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole day."""

    population: tuple[Record, ...]
    steps: tuple[Step, ...]


Story = tuple[Step, ...]


def side_of(actor: str) -> Side:
    """Where somebody works."""
    return "vitec" if actor in BROKERS else "propstreet"


def together(first: Step, second: Step) -> tuple[Step, Step]:
    """Both at the same moment."""
    return first, replace(second, together_with_previous=True)


def crossed(step: Step) -> Step:
    """Something done to a record that was made at the other vendor."""
    return replace(step, crossed=True)


def woven(*stories: Story) -> Iterator[Step]:
    """Several stories at once, each in its own order and spread over the whole day."""
    placed = []
    for story in stories:
        moments = _moments(story)
        placed += [((at + 0.5) / len(moments), moment) for at, moment in enumerate(moments)]
    for _, moment in sorted(placed, key=lambda each: each[0]):
        yield from moment


def _moments(story: Iterable[Step]) -> list[Story]:
    """The steps of a story, those of one moment as one."""
    number = 0

    def moment(step: Step) -> int:
        nonlocal number
        number += not step.together_with_previous
        return number

    return [tuple(steps) for _, steps in groupby(story, key=moment)]
