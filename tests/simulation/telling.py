"""What a worker process does: tell the stories of some seeds, one after the other, each on an empty database."""

import asyncio
import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg

from daemon.embedded_postgres import EmbeddedPostgres
from daemon.storage.migrations import migrate
from tests.simulation.database import Database
from tests.simulation.mutants import mutated
from tests.simulation.postgres import Postgres
from tests.simulation.run import Result, simulate
from tests.simulation.steps import Story
from tests.simulation.story import tell

TEMPLATE: Final = "empty_story"
_numbers: Final = count(1)


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
    with scratch() as dsn, Postgres(dsn) as empty:
        yield empty


@contextmanager
def scratch() -> Iterator[str]:
    """A migrated database on an embedded server of this process's own, dropped when it is no longer needed."""
    server = _server()
    name = f"story_{next(_numbers)}"
    asyncio.run(_execute(server.dsn(), f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    try:
        yield server.dsn(database=name)
    finally:
        asyncio.run(_execute(server.dsn(), f"DROP DATABASE {name} WITH (FORCE)"))


@cache
def _server() -> EmbeddedPostgres:
    """The server of this process, with an empty database to copy."""
    place = TemporaryDirectory(prefix="toveis-simulation-")
    server = EmbeddedPostgres(Path(place.name))
    server.__enter__()

    def stop() -> None:
        server.__exit__(None, None, None)
        place.cleanup()

    atexit.register(stop)
    asyncio.run(_execute(server.dsn(), f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(server.dsn(database=TEMPLATE)))
    return server


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
