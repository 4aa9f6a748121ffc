"""Connections: the pool of the stages, the owner's connection, and foreign errors mapped in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from daemon.domain.errors import DatabaseUnreachable, StorageError
from daemon.pulse import beat

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[Any] | asyncpg.Connection[Any]
else:
    Connection = object  # asyncpg takes no type arguments at run time

SEARCH_PATH: Final = "toveis, views"
ROLE: Final = "toveis_daemon"
PATIENCE: Final = {
    "lock_timeout": "8s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
}
"""How long PostgreSQL lets a stage wait: for a lock that somebody else holds, for an answer, and in the middle of things.

A daemon that is paused in the middle of a transaction keeps nobody up for longer than its leases last."""

UNREACHABLE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it shuts down, starts up, recovers, or a statement took too long
    asyncpg.InsufficientResourcesError,  # a full disk, no memory, too many connections
    asyncpg.PostgresSystemError,  # an error of the disk
    asyncpg.InternalServerError,  # a file that may not grow, among others
    asyncpg.ObjectNotInPrerequisiteStateError,  # it takes no connections now, or a lock was held for too long
    asyncpg.ReadOnlySQLTransactionError,  # it is a standby
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionRollbackError,  # a deadlock with somebody else's work
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection died while a statement was being prepared
    TimeoutError,
)
"""There is no database to work with now; nothing was kept, and the same can be tried again."""


async def open_pool(dsn: str, *, size: int = 8, role: bool = True) -> "asyncpg.Pool[Any]":
    """The stages' pool: every connection runs as `toveis_daemon`. Raises DatabaseUnreachable."""
    async with unreachable():
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=10,
            command_timeout=60,
            init=_show_life,
            reset=_no_reset,
            # A role given at the start is also what RESET ROLE comes back to.
            server_settings={
                "search_path": SEARCH_PATH,
                "application_name": "toveis",
                **PATIENCE,
                **({"role": ROLE} if role else {}),
            },
        )


async def _show_life(connection: "asyncpg.Connection[Any]") -> None:
    """Each statement that was answered is a sign of life of whoever sent it."""
    connection.add_query_logger(lambda _: beat())


async def _no_reset(connection: Connection) -> None:
    """Our statements leave nothing behind in a session, so a connection goes back as it is."""


@asynccontextmanager
async def owner(dsn: str) -> AsyncIterator[Connection]:
    """A connection with the rights of the login: migrations, rebuilds. Raises DatabaseUnreachable."""
    async with unreachable():
        connection = await asyncpg.connect(
            dsn, timeout=10, server_settings={"search_path": SEARCH_PATH, "application_name": "toveis"}
        )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def snapshot(conn: Connection) -> AsyncIterator[None]:
    """Everything read inside is of one moment."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        yield


@asynccontextmanager
async def unreachable() -> AsyncIterator[None]:
    """Map everything that means 'there is no database now' onto DatabaseUnreachable."""
    try:
        yield
    except UNREACHABLE as error:
        raise DatabaseUnreachable(
            "the database does not answer; is it running, and is database.dsn right?"
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise StorageError("the database refused the login; see database.dsn") from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StorageError("the database of database.dsn does not exist; create it first") from error
