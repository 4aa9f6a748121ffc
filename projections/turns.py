"""Oscillation: our own writes give a field a value that it had before, again and again, since others rewrite it too."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from daemon.domain.events import Want
from daemon.domain.fields import Value
from projections.entity import Entity, Past, Side, Turns

WITHIN: Final = timedelta(minutes=10)
MOST: Final = 3
"""So many returns of a value within that time are somebody's changes of mind; more are two machines that disagree."""

REMEMBERED: Final = 8
"""So many values of a field are remembered: two machines swing between few."""


def turn(side: Side, field: str, want: Want, at: datetime, same: Callable[[str, Value, Value], bool]) -> None:
    """A write of ours has landed: remember what it replaced and what it wrote, and count it if that was there before."""
    if same(field, want.replaces, want.value):
        return
    before = side.turns.get(field, Turns())
    held = [past for past in before.held if at - past.at < WITHIN]
    returns = [time for time in before.returns if at - time < WITHIN]
    if any(same(field, past.value, want.value) for past in held):
        returns.append(at)
    for value in (want.replaces, want.value):
        held = [past for past in held if not same(field, past.value, value)]
        held.append(Past(value, at))
    side.turns[field] = Turns(tuple(held[-REMEMBERED:]), tuple(returns[-MOST - 1 :]))


def swinging(entity: Entity) -> dict[tuple[str, str], Turns]:
    """The fields, by vendor, that our own writes brought back to an earlier value too often."""
    return {
        (vendor, field): turns
        for vendor, side in entity.sides.items()
        for field, turns in side.turns.items()
        if len(turns.returns) > MOST
    }
