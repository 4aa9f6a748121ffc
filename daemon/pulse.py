"""Signs of life: what each stage has under way, and when it last showed any.

A statement that was answered and a call that left or came back are signs, wherever they happen. Who waits by right
(for room within a vendor's limits, for somebody else's turn) shows none, and need not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from math import inf

from daemon.domain.liveness import Sign


class Piece:
    """One piece of work that is under way."""

    def __init__(self) -> None:
        self.shown = _now()
        self.waits = 0


_piece: ContextVar[Piece | None] = ContextVar("piece", default=None)


class Work:
    """What one stage has under way; nothing while it rests."""

    def __init__(self, stage: str, tenant: str = "") -> None:
        self.stage = stage
        self.tenant = tenant
        self._pieces: set[Piece] = set()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """A piece of work; what happens inside, also in tasks that are begun there, are its signs of life."""
        piece = Piece()
        self._pieces.add(piece)
        token = _piece.set(piece)
        try:
            yield
        finally:
            _piece.reset(token)
            self._pieces.discard(piece)

    def signs(self) -> list[Sign]:
        """The last sign of each piece."""
        return [Sign(self.stage, self.tenant, inf if piece.waits else piece.shown) for piece in self._pieces]


def beat() -> None:
    """A sign of life of whatever is under way here."""
    if (piece := _piece.get()) is not None:
        piece.shown = _now()


@contextmanager
def waiting() -> Iterator[None]:
    """What is under way here waits by right."""
    if (piece := _piece.get()) is None:
        yield
        return
    piece.waits += 1
    try:
        yield
    finally:
        piece.waits -= 1
        piece.shown = _now()


@asynccontextmanager
async def turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    """Hold a lock; who has to wait for it waits by right."""
    with waiting():
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _now() -> float:
    return asyncio.get_running_loop().time()
