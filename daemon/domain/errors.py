"""The error tree: what can go wrong, and what the caller should do about it.

Expected outcomes are values; these are for surprise and for bad input. Foreign errors (asyncpg, aiohttp) are
mapped onto this tree in one place per adapter. No message ever carries personal data or a secret.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.domain.events import Exchange


class ToveisError(Exception):
    """The root. The command line prints its text as one line."""


class ConfigError(ToveisError):
    """The configuration cannot be used. `problems` names every mistake, each with its key. Exit code 2."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class UsageError(ToveisError):
    """A command was called with something that cannot be served. Exit code 2."""


class UnknownEventError(ToveisError):
    """The log holds an event of a type or schema version that this program does not know: stop, never skip."""


class IngestError(ToveisError):
    """Something that arrived was not taken in."""


class InvalidSignature(IngestError):
    """The signature, the secret or the timestamp of a delivery is wrong: answer 401 or 404, store nothing."""


class UntranslatablePayload(IngestError):
    """A stored payload cannot be read as its category. It stays in the log and is shown; the stage goes on."""


class StorageError(ToveisError):
    """The database refused."""


class DatabaseUnreachable(StorageError):
    """There is no connection: answer 503, try again. Exit code 3."""


class WrongExpectedVersion(StorageError):
    """Another writer was first on a stream. Read again and decide again."""


class CheckpointMoved(StorageError):
    """The views were swapped, or another projector moved their checkpoint: read them again."""


class LeaseLost(StorageError):
    """Another daemon has this tenant now. Stop: nothing was written, and nothing more may be sent."""


class LogReplaced(StorageError):
    """The log lacks an event that this process has seen in it: an older one took its place. Stop; a new start sees to it."""


class VendorError(ToveisError):
    """A call to a vendor did not give what was asked. `status` is the HTTP status, or None without an answer.

    Of a write `exchange` has the whole of it: personal data, for the log of events alone.
    """

    exchange: "Exchange | None" = None

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Retryable(VendorError):
    """The call certainly changed nothing, or is safe to repeat (a read; a 5xx; no connection): try again later."""


class RateLimited(Retryable):
    """429 or 503 with Retry-After. `retry_after` is in seconds; the record is not at fault."""

    def __init__(self, message: str, *, retry_after: float, status: int = 429) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class VendorAway(Retryable):
    """Nothing was sent: the vendor did not answer several calls in a row. Ask again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownOutcome(VendorError):
    """A write left, and no answer came (time-out, broken connection, unreadable answer, 5xx): look before repeating."""


class TakenUnseen(UnknownOutcome):
    """The vendor took the write; what it then holds could not be read: the next read tells what was typed since."""


class Rejected(VendorError):
    """The vendor refused for good (a 4xx). `reason` holds the names of the refused fields, never their values."""

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        super().__init__(message, status=status)
        self.reason = reason


class NotFound(Rejected):
    """404 for a named record: it is gone."""


class Stale(Rejected):
    """412 or 409 to a conditional write: somebody edited first. Read, merge, decide again."""


class Duplicate(Rejected):
    """409 to a create: the vendor already has a record with this reference or e-mail. Look it up, then link or hold."""


class AccessDenied(Rejected):
    """401 or 403 that a fresh token does not mend: stop calling for this customer, ask once a day."""


class NotWritable(VendorError):
    """The vendor has no call or no value for it. Hold and show; never report it as done."""
