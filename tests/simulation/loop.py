"""Virtual time: an event loop whose clock jumps to the next timer, and whose tasks can be killed without a last word.

Everything that waits in a simulation waits for a timer of this loop or for another task. So a story of an hour takes
as long as its work, and the order of everything follows from the seed.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar
from weakref import WeakSet

T = TypeVar("T")

TICK: Final = 1e-9
"""Seconds: who waits for a moment that rounds to now would wait for ever, since nothing else moves the time."""

LIFE: Final[ContextVar[int]] = ContextVar("life", default=0)
"""Which life of the daemon a task belongs to; 0 is the world around it, which never dies."""


class NothingToDoError(RuntimeError):
    """Nobody is waiting for anything: the simulation can never go on."""


class _Jump(selectors.SelectSelector):
    """Instead of waiting for a file to become ready, move the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingToDoError("every task waits for another one")
        if self.loop is not None and timeout > 0:
            self.loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with `now`, seconds since the story began, for its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._over: set[int] = set()
        self._tasks: dict[int, WeakSet[asyncio.Task[Any]]] = {}
        self._graves: list[asyncio.Task[Any]] = []  # a task that is forgotten would still run its `finally`
        jump = _Jump()
        super().__init__(jump)
        jump.loop = self
        self.set_exception_handler(lambda _, __: None)

    def time(self) -> float:
        """The virtual clock."""
        return self.now

    def context_of(self, life: int) -> Context:
        """The context in which a life's tasks run; what they start inherits it."""
        context = copy_context()
        context.run(LIFE.set, life)
        return context

    def end(self, life: int) -> None:
        """Kill every task of a life between two steps. Nothing of it runs again, not even its `finally`."""
        self._over.add(life)
        self._graves += self._tasks.pop(life, ())
        for handle in (*self._ready, *self._scheduled):  # type: ignore[attr-defined]  # asyncio's own queues
            if handle._context.get(LIFE, 0) == life:
                handle.cancel()

    def bury(self) -> None:
        """The story is told: forget whoever was killed, and close."""
        self._ready.clear()  # type: ignore[attr-defined]  # asyncio's own queues
        self._scheduled.clear()  # type: ignore[attr-defined]
        self._graves.clear()
        self._tasks.clear()
        self.close()

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],  # type: ignore[override]  # nobody hands in a generator
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """As the loop does, and note whose life the task belongs to."""
        task = super().create_task(coro, name=name, context=context)
        life = LIFE.get() if context is None else context.get(LIFE, 0)
        if life:
            self._tasks.setdefault(life, WeakSet()).add(task)
        return task

    def call_soon(  # type: ignore[override]  # the arguments' types are tied to the callback's there
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As the loop does, but nothing for those who are dead."""
        handle = super().call_soon(callback, *args, context=context)
        self._spare(handle, context)
        return handle

    def call_at(  # type: ignore[override]  # the same
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As the loop does, but nothing for those who are dead; a timer takes time, however little is left."""
        if when <= self.now:
            when = self.now + TICK
        handle = super().call_at(when, callback, *args, context=context)
        self._spare(handle, context)
        return handle

    def _spare(self, handle: asyncio.Handle, context: Context | None) -> None:
        if self._over and context is not None and context.get(LIFE, 0) in self._over:
            handle.cancel()


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()
