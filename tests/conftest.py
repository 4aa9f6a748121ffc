"""What the tests stand on: one real PostgreSQL for the session, and a fresh database for a test that asks."""

import asyncio
import importlib
import importlib.util
import inspect
import itertools
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aioresponses.core
import asyncpg
import pytest

from daemon import telemetry
from daemon.embedded_postgres import EmbeddedPostgres

TEMPLATE = f"toveis_test_{os.getpid()}"
numbers = itertools.count(1)


async def eventually(predicate: Callable[[], Any], timeout: float = 10.0) -> Any:  # noqa: ASYNC109 a test's own
    """Ask a plain or async predicate until its answer is truthy, and return that; fail after `timeout` s."""
    end = time.monotonic() + timeout
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < end, f"not so within {timeout:g} s: {predicate}"
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """Lines of warnings: whatever a command or a test has set, the next test does not inherit."""
    yield
    if "structlog" in sys.modules:
        before = logging.getLogger().handlers
        telemetry.setup("warning", console=False)
        logging.getLogger().handlers = [each for each in before if not isinstance(each, telemetry.Foreign)]


async def prepare_template(dsn: str) -> None:
    """Bring the database that all others are copied from to where the migrations bring it."""
    if importlib.util.find_spec("daemon.storage.migrations"):
        await importlib.import_module("daemon.storage.migrations").migrate(dsn)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def dsn_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """From a database's name to its dsn.

    `TOVEIS_TEST_DSN`, a superuser's, puts the tests on another PostgreSQL: an older one, for instance.
    """
    if elsewhere := os.environ.get("TOVEIS_TEST_DSN"):
        return lambda name: urlsplit(elsewhere)._replace(path=f"/{name}").geturl()
    server: EmbeddedPostgres = request.getfixturevalue("postgres")
    return lambda name: server.dsn(database=name)


@pytest.fixture(scope="session")
async def admin(dsn_of: Callable[[str], str]) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A superuser's connection on a server that holds the template."""
    connection = await asyncpg.connect(dsn_of("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await prepare_template(dsn_of(TEMPLATE))
        yield connection
        await connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def database(
    admin: "asyncpg.Connection[asyncpg.Record]", dsn_of: Callable[[str], str]
) -> AsyncIterator[str]:
    """The dsn of a fresh, migrated database that is this test's alone."""
    name = f"{TEMPLATE}_{next(numbers)}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield dsn_of(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class ResponseWithoutWriter(aiohttp.ClientResponse):
    """aiohttp 3.14 asks for the writer of the request, which aioresponses 0.7.9 does not have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": SimpleNamespace(output_size=0), **kwargs})


aioresponses.core.ClientResponse = ResponseWithoutWriter  # type: ignore[attr-defined]  # no public door
