"""Many reads of which one may fail: the others go on."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import msgspec

from daemon.domain.errors import (
    AccessDenied,
    RateLimited,
    Retryable,
    UntranslatablePayload,
    VendorAway,
    VendorError,
)

T = TypeVar("T")

AT_ONCE: Final = 4
"""Of several reads where none is urgent."""

CLOSED: Final = (AccessDenied, RateLimited, VendorAway)
"""What every other call would meet as well."""

AT_FAULT: Final = (VendorError, UntranslatablePayload, msgspec.MsgspecError, ValueError)
"""What one record alone may be the cause of, once `CLOSED` is ruled out; a ValueError: an id that fits no address."""


async def apart(
    due: Iterable[T], read: Callable[[T], Awaitable[None]], at_once: int = AT_ONCE
) -> list[tuple[T, Exception]]:
    """Read each, some at once; what could not be read comes back with its error.

    No read outlives the call. Raises the first error that is not one record's own, and the first of all when every
    read failed because of the vendor's state: then there is nobody to ask.
    """
    waiting, failed = deque(due), list[tuple[T, Exception]]()
    many = len(waiting)

    async def work() -> None:
        while waiting:
            each = waiting.popleft()
            try:
                await read(each)
            except CLOSED:
                waiting.clear()
                raise
            except AT_FAULT as error:
                failed.append((each, error))

    ended = await asyncio.gather(*(work() for _ in range(min(at_once, many))), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
    if failed and len(failed) == many and all(passes(error) for _, error in failed):
        raise failed[0][1]
    return failed


def passes(error: Exception) -> bool:
    """Whether the vendor's state is at fault, not the record: no answer, a 5xx. An unreadable 2xx is the record's."""
    return isinstance(error, Retryable) and (error.status is None or error.status >= 300)
