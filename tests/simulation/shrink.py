"""Shrinking: a story that goes wrong is cut, piece by piece, for as long as it goes wrong in the same way."""

import time
from collections.abc import Callable
from typing import Final

from tests.simulation.run import simulate
from tests.simulation.steps import Story
from tests.simulation.story import shrunk
from tests.simulation.telling import emptied

PATIENCE: Final = 240.0
"""Seconds after which the shortest story so far has to do."""


def shrink(story: Story, *, say: Callable[[str], None] = lambda _: None) -> Story:
    """The shortest story found that goes wrong as this one does; the story itself when it ends well."""
    wrong = _complaints(story)
    end = time.monotonic() + PATIENCE
    if not wrong:
        say("this story ends well")
        return story
    say(f"{len(story.steps)} steps go wrong: {', '.join(sorted(wrong))}")
    while (shorter := _shorter(story, wrong, end)) is not None:
        story = shorter
        say(f"{len(story.steps)} steps are enough")
    return story


def _shorter(story: Story, wrong: set[str], end: float) -> Story | None:
    for candidate in shrunk(story):
        if time.monotonic() > end:
            return None
        if _complaints(candidate) & wrong:
            return candidate
    return None


def _complaints(story: Story) -> set[str]:
    with emptied("memory") as empty:
        return {finding.oracle for finding in simulate(story, empty).findings}
