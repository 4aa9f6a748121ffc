"""Fields, values, vendors and conflicts in words, harmless on a terminal."""

from collections.abc import Iterable
from typing import Any, Final

from daemon.cli.harmless import harmless
from daemon.domain.fields import Value
from daemon.domain.streams import other

NAMES: Final = {"vitec": "Vitec", "propstreet": "Propstreet"}
WAYS: Final = {"poll": "poll", "fetch": "read", "readback": "read back", "webhook": "webhook"}
LEADS: Final = {
    "lead": "a valuation lead",
    "interest": "an interest in an estate",
    "final_price": "a final-price watch",
}
COLOURS: Final = {"vitec": "cyan", "propstreet": "magenta", "toveis": "green"}
"""Each origin's colour on a terminal; an operator's and a form's is another."""


def conflict_words(
    field: str, winner: str, winner_value: Value, loser_value: Value, rule: str, by: str | None
) -> str:
    """Who won a field, who lost it, and why; or who brought it back."""
    won = f"{NAMES[winner]}'s {value_words(winner_value)}"
    lost = f"{NAMES[other(winner)]}'s {value_words(loser_value)}"
    if by is not None:
        return f"{harmless(by)} brought back {field_words(field)} {won} in place of {lost}"
    return f"conflict in {field_words(field)}: {won} wins ({rule}), {lost} lost"


def field_words(name: str) -> str:
    """A field's name in words."""
    return name.replace("_", " ")


def flag_words(flag: str) -> str:
    """A flag in words: the finer level or status at Vitec, or a word of its own."""
    name, _, value = flag.partition(":")
    return harmless(f"{field_words(name)} {value}" if value else field_words(name))


def list_words(names: Iterable[str]) -> str:
    """Fields in words, in the order of the alphabet."""
    return harmless(", ".join(map(field_words, sorted(names))))


def value_words(value: Value) -> str:
    """A value for a terminal; tags in braces."""
    if isinstance(value, tuple):
        return "{" + ", ".join(map(harmless, value)) + "}"
    return harmless(value) if value else "(empty)"


def tuple_of(value: Any) -> Value:
    """A value as the fold has it, whether or not it went through JSON."""
    return tuple(value) if isinstance(value, list | tuple) else value
