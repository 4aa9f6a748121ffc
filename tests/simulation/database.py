"""A stand-in for PostgreSQL, in memory: one server that runs the daemon's own statements, and nothing else.

A statement is known by its text (`statements`); another raises at once. What a transaction writes
stays its own until the commit, which is all at once; a snapshot keeps what others change under it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tests.simulation.sessions import Server, Session, Statement
from tests.simulation.statements import by_text, every_text
from tests.simulation.tables import Rows, Seen, schemas

MARK: Final = UUID(int=1)
SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Database(Server):
    """A migrated database. `mark` is its incarnation; a copy, as from a backup, has the same."""

    def __init__(self, mark: UUID = MARK) -> None:
        super().__init__()
        self.tables = {name: Rows() for name in schemas()}
        self.open: dict[Tables, None] = {}
        self._statements = by_text()
        beginning = Tables(self)
        beginning.incarnation.insert(singleton=True, mark=mark, since=SINCE)
        self.commit(beginning)

    def statement(self, sql: str) -> Statement:
        """The statement of a text; raises NotImplementedError for one that is not known here."""
        try:
            return self._statements[sql]
        except KeyError:
            name = next((name for name, text in every_text().items() if text == sql), sql)
            raise NotImplementedError(f"the simulator's database does not know {name}") from None

    def session(self) -> Session:
        """A new connection."""
        return _Session(self)

    def copy(self) -> "Database":
        """What is committed now, as a backup would have it."""
        other = Database()
        for name, rows in self.tables.items():
            other.tables[name].by_key.clear()
            for key, row in rows.by_key.items():
                other.tables[name].put(key, row)
        return other

    def become(self, other: "Database") -> None:
        """Hold what another one holds, as after a backup was restored; nobody may be connected."""
        self.tables = other.copy().tables
        self.open.clear()

    def commit(self, tables: "Tables") -> None:
        """Let a transaction's writes be seen; every snapshot keeps what was there before."""
        self.open.pop(tables, None)
        for name, seen in tables.written():
            rows = self.tables[name]
            for key, row in seen.own.by_key.items():
                for other in self.open:
                    other.keep(name, key, rows.by_key.get(key))
                if row is not None:
                    rows.put(key, row)
                elif key in rows.by_key:
                    rows.forget(key)


class Tables:
    """The tables as a transaction sees them, each made when it is first asked for."""

    def __init__(self, database: Database, *, snapshot: bool = False, readonly: bool = False) -> None:
        self._database = database
        self._snapshot = snapshot
        self._writable = not readonly

    def __getattr__(self, name: str) -> Seen:
        seen = Seen(schemas()[name], self._database.tables[name], Rows(), self._writable)
        self.__dict__[name] = seen
        return seen

    def written(self) -> list[tuple[str, Seen]]:
        """The tables that have rows of this transaction's own, unless they are a snapshot's."""
        if self._snapshot:
            return []
        return [
            (name, seen) for name, seen in self.__dict__.items() if isinstance(seen, Seen) and seen.own.by_key
        ]

    def keep(self, name: str, key: Any, row: Any) -> None:
        """Another transaction is about to change a row: a snapshot goes on seeing it as it is."""
        own: dict[Any, Any] = getattr(self, name).own.by_key
        if not self._snapshot:
            assert key not in own, f"two transactions write a row of {name}, and neither waits"
        elif key not in own:
            getattr(self, name).own.put(key, row)


class _Session:
    """One connection at the stand-in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables: Tables | None = None
        self._asked: tuple[bool, bool] | None = None

    def begin(self, snapshot: bool, readonly: bool) -> None:
        assert readonly or not snapshot, "a snapshot that writes is not known here"
        self._asked = snapshot, readonly

    def run(self, statement: Statement, sql: str, args: Sequence[Any]) -> Sequence[Any]:
        if self._asked is None:
            tables = Tables(self._database)
            rows: Sequence[Any] = statement.run(tables, *args)
            self._database.commit(tables)
            return rows
        if self._tables is None:  # the moment of a snapshot is that of its first statement
            snapshot, readonly = self._asked
            self._tables = Tables(self._database, snapshot=snapshot, readonly=readonly)
            self._database.open[self._tables] = None
        answer: Sequence[Any] = statement.run(self._tables, *args)
        return answer

    def commit(self) -> None:
        if self._tables is not None:
            self._database.commit(self._tables)
        self._tables = self._asked = None

    def roll_back(self) -> None:
        if self._tables is not None:
            self._database.open.pop(self._tables, None)
        self._tables = self._asked = None

    def close(self) -> None:
        self.roll_back()
