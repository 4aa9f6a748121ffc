"""Whether what is under way still moves: decided from the last sign of life of each piece of work."""

from collections.abc import Iterable

from msgspec import Struct


class Sign(Struct, frozen=True):
    """When a piece of a stage's work last showed life, in seconds of any clock that never goes back.

    `at` is inf while it waits by right. A stage that rests has none.
    """

    stage: str
    tenant: str
    at: float


def silent(signs: Iterable[Sign], now: float, patience: float) -> list[Sign]:
    """The pieces that have shown no life for longer than `patience` seconds, the most silent first."""
    return sorted((sign for sign in signs if now - sign.at > patience), key=lambda sign: sign.at)
