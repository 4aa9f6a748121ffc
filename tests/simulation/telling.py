"""What a worker process does: tell the stories of some seeds, one after the other, each on an empty database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.simulation.database import Database
from tests.simulation.mutants import mutated
from tests.simulation.run import Result, simulate
from tests.simulation.steps import Story
from tests.simulation.story import tell


def told(stories: Sequence[int | Story], database: str = "memory", mutant: str | None = None) -> list[Result]:
    """The results of some stories, or of the stories of some seeds, perhaps with a mechanism taken out."""
    results = []
    with mutated(mutant):
        for each in stories:
            story = tell(each) if isinstance(each, int) else each
            with emptied(database) as empty:
                results.append(simulate(story, empty))
    return results


@contextmanager
def emptied(database: str) -> Iterator[Any]:
    """An empty database of the kind that is asked for."""
    if database == "memory":
        yield Database()
        return
    from tests.simulation.postgres import fresh

    with fresh() as empty:
        yield empty
