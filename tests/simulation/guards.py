"""What holds besides the merge: the vendors' windows, and that only who has the tenant writes."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from tests.simulation.bench import Bench, Violation

SPANS: Final = (1.0, 60.0, 3600.0)
GIVEN_UP: Final = 30.0
"""Seconds after which nobody waits for an answer: what crawls longer is out of the sender's hands."""


def crowded(bench: Bench) -> Iterator[Violation]:
    """More calls within a window than the vendor allows, by true time and by what the vendors took.

    What a restored backup forgot was not known to be spent.
    """
    limits = bench.story.knobs.limits
    calls = [
        c for c in bench.truth.calls.values() if c.processed is not None and not c.path.startswith("/openid")
    ]
    taken = sorted(
        (call.vendor, at > bench.forgot_at, at)
        for call in calls
        if (at := call.processed) is not None and at - call.sent <= GIVEN_UP
    )
    for (vendor, _), group in groupby(taken, key=lambda each: each[:2]):
        times = [at for _, _, at in group]
        for limit, span in zip(limits or (), SPANS, strict=False):
            for n, at in enumerate(times[limit:]):
                if at - times[n] < span:
                    told = f"{limit + 1} calls within {at - times[n]:.3f} s at {at:.3f}"
                    yield Violation("limits", f"{vendor}, {limit} in {span:g} s", told)
                    break


def fenced(bench: Bench) -> Iterator[Violation]:
    """Appended under a lease that was another's by then."""
    newest = 0
    for position, epoch in sorted(bench.world.epochs):
        if epoch < newest:
            told = f"appended under epoch {epoch}, after epoch {newest} had begun to write"
            yield Violation("fence", "the log", told, (position,))
        newest = max(newest, epoch)


ORACLES: Final = (crowded, fenced)
