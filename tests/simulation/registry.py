"""The register of what the daemon's statements do, and the shape of their answers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from tests.simulation.sessions import LockKey, Statement
from tests.simulation.tables import Seen

Values = Sequence[Any]
Answers = list[Values]


class Tables(Protocol):
    """The tables as a transaction sees them."""

    def __getattr__(self, name: str) -> Seen:
        """One of them."""


class Answer(tuple[Any, ...]):
    """A row of an answer: by name, by place and in order, as an asyncpg.Record is."""

    __slots__ = ()
    names: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.names[key] if isinstance(key, str) else key)

    def keys(self) -> Iterator[str]:
        """The columns."""
        return iter(self.names)

    def values(self) -> Iterator[Any]:
        """The values in their order."""
        return iter(self)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Columns with their values."""
        return zip(self.names, self, strict=True)


Run = TypeVar("Run", bound=Callable[..., Any])
STATEMENTS: Final[dict[str, Statement]] = {}


def statement(
    name: str,
    columns: str = "",
    *,
    holds: Callable[..., Sequence[LockKey]] | None = None,
    tells: str | None = None,
) -> Callable[[Run], Run]:
    """Register what a statement does: its answer's columns, the locks that it takes, where it notifies."""
    names = {"names": {column: place for place, column in enumerate(columns.split())}, "__slots__": ()}
    answer: type[Answer] = type("Answer", (Answer,), names)

    def register(run: Run) -> Run:
        def answers(tables: Tables, *args: Any) -> list[Answer]:
            return [answer(values) for values in run(tables, *args) or ()]

        STATEMENTS[name] = Statement(name, answers, holds, tells, f"{name} answered")
        return run

    return register
