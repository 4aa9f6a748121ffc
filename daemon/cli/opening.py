"""What every command begins with: the configuration, the tenant, and a way to the database."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from daemon import config
from daemon.domain.errors import UsageError
from daemon.domain.settings import Settings, TenantSettings

if TYPE_CHECKING:
    from daemon.embedded_postgres import EmbeddedPostgres
    from daemon.storage.connection import Connection

TWO_SIDED = ("contact", "company", "project", "prospect")
"""The categories of which each vendor has a record of its own."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def with_config(command: F) -> F:
    """The option that every command has."""
    option = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="The configuration file; else TOVEIS_CONFIG, ./toveis.toml, /etc/toveis/toveis.toml.",
    )
    return option(command)


def with_tenant(command: F) -> F:
    """The option of every command that is about one tenant."""
    return click.option("--tenant", help="Which tenant; needed only with more than one.")(command)


def two_sided(category: str, command: str) -> None:
    """Refuse a category of which a command has nothing to tell; raises UsageError."""
    if category == "lead":
        raise UsageError(
            f"a lead has no two sides for `toveis {command}`; `toveis history lead REF` tells what became of it"
        )
    if category not in TWO_SIDED:
        raise UsageError(f"{category!r} is none of: {', '.join(TWO_SIDED)}")


def load(config_file: Path | None, *, secrets: bool) -> Settings:
    """The settings; a command that only reads the database needs no vendor's secrets. Raises ConfigError."""
    path = config.find(config_file, os.environ, Path.cwd())
    need: tuple[config.Need, ...] = ("tenants", "secrets") if secrets else ("tenants",)
    return config.load(path, os.environ, need=need)


def tenant_of(settings: Settings, name: str | None) -> TenantSettings:
    """The tenant that is meant; raises UsageError."""
    names = ", ".join(tenant.name for tenant in settings.tenants)
    if name is None:
        if len(settings.tenants) == 1:
            return settings.tenants[0]
        raise UsageError(f"there are several tenants; give --tenant one of: {names}")
    for tenant in settings.tenants:
        if tenant.name == name:
            return tenant
    raise UsageError(f"there is no tenant {name!r}; there are: {names}")


@contextmanager
def database(settings: Settings) -> Iterator[tuple[str, bool]]:
    """(dsn, embedded): the configured PostgreSQL, or the embedded one, started if nobody runs it."""
    with served(settings) as (dsn, server):
        yield dsn, server is not None


@contextmanager
def served(settings: Settings, *, own: bool = False) -> Iterator[tuple[str, "EmbeddedPostgres | None"]]:
    """The same with the embedded server itself; the daemon is to `own` it."""
    if settings.database.dsn is not None:
        yield settings.database.dsn.reveal(), None
        return
    from daemon.embedded_postgres import EmbeddedPostgres

    with EmbeddedPostgres(Path(settings.database.data_dir), own=own) as server:
        yield server.dsn(), server


@asynccontextmanager
async def connected(dsn: str, *, embedded: bool, any_views: bool = False) -> AsyncIterator["Connection"]:
    """A connection with the rights of the login, to a database that has every migration, and views that can be read."""
    from daemon.storage import migrations, rebuild
    from daemon.storage.connection import owner

    if embedded:
        await migrations.migrate(dsn)
    async with owner(dsn) as conn:
        if not embedded and await migrations.missing(conn):
            raise UsageError("the database lacks migrations; run `toveis migrate`")
        if not any_views and not await rebuild.fits(conn):
            raise UsageError(
                "the views are those of another version; start `toveis run`, or run `toveis replay`"
            )
        yield conn


def ask(settings: Settings, question: Callable[["Connection"], Awaitable[T]]) -> T:
    """Run a question against the database, and close everything again."""

    async def run(dsn: str, embedded: bool) -> T:
        async with connected(dsn, embedded=embedded) as conn:
            return await question(conn)

    with database(settings) as (dsn, embedded):
        return asyncio.run(run(dsn, embedded))
