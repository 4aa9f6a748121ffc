"""Tables as plain Python structures: columns as `CREATE TABLE` names them, rows by key, indexes that build themselves."""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from daemon.storage.migrations import shipped
from daemon.storage.queries import queries
from projections.views import VIEWS

Key = tuple[Any, ...]
Row = Any
"""A row: a Struct with one attribute a column. Nobody changes one; another takes its place."""

KeyOf = Callable[[Row], Key]

_TABLE: Final = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(?:\w+\.)?(\w+) \((.*?)\n\);", re.DOTALL)
_MORE: Final = re.compile(r"ALTER TABLE (?:\w+\.)?(\w+) ADD COLUMN (.*?);", re.DOTALL)
_COLUMN: Final = re.compile(r"(\w+)\s+([a-z]+(?:\[\])?)(.*)", re.DOTALL)
_UNIQUE: Final = re.compile(r"(PRIMARY KEY|UNIQUE) \(([\w, ]+)\)")
_TYPES: Final[dict[str, Any]] = {
    "text": str,
    "uuid": UUID,
    "bigint": int,
    "integer": int,
    "smallint": int,
    "boolean": bool,
    "timestamptz": datetime,
    "json": msgspec.Raw,
    "text[]": list[str],
}
_NULL: Final = msgspec.Raw(b"null")


def at(text: str, *path: str) -> Any:
    """What stands at a path of a JSON text, as `#>` finds it; None for what is missing and for null."""
    value = _decoded(text)
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


@lru_cache(maxsize=2048)
def _decoded(text: str) -> Any:
    """Of the same text once: the rows of entities are asked again and again, and seldom change."""
    return msgspec.json.decode(text)


class Schema(msgspec.Struct, frozen=True, eq=False):
    """A table's columns, its primary key, its other unique keys, and the type of its rows."""

    name: str
    columns: tuple[str, ...]
    json: frozenset[str]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    row: type[msgspec.Struct]
    reader: msgspec.json.Decoder[list[Row]]
    key_of: KeyOf

    def rows_of(self, text: str) -> list[Row]:
        """Rows that were handed over as a JSON array, as `json_populate_recordset` reads it."""
        try:
            rows = self.reader.decode(text)
        except msgspec.ValidationError as error:
            raise asyncpg.NotNullViolationError(f"{self.name}: {error}") from None
        for row in rows:
            for name in self.json:
                raw = bytes(getattr(row, name))
                setattr(row, name, None if raw == b"null" else raw.decode())
        if "\\u0000" in text:
            self._refuse_nul(rows)
        return rows

    def text_of(self, row: Row) -> str:
        """A row as `to_json` writes it."""
        values = {name: getattr(row, name) for name in self.columns}
        for name in self.json:
            values[name] = _NULL if values[name] is None else msgspec.Raw(values[name])
        return msgspec.json.encode(values).decode()

    def _refuse_nul(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if any("\0" in str(getattr(row, name)) for name in self.columns if name not in self.json):
                raise asyncpg.UntranslatableCharacterError(f"{self.name}: a text cannot hold \\u0000")


@cache
def schemas() -> dict[str, Schema]:
    """Every table that the migrations and the views make, by name."""
    texts = [migration.text for migration in shipped()]
    texts += [queries(view, "projections")["create"] for view in (*VIEWS, "progress")]
    made = {name: body for text in texts for name, body in _TABLE.findall(_uncommented(text))}
    for text in texts:
        for name, column in _MORE.findall(_uncommented(text)):
            made[name] += f",\n{column}"
    return {name: _schema(name, body) for name, body in made.items()}


def _uncommented(text: str) -> str:
    return re.sub(r"--.*", "", text)


def _schema(name: str, body: str) -> Schema:
    columns: dict[str, Any] = {}
    keys: dict[str, list[tuple[str, ...]]] = {"PRIMARY KEY": [], "UNIQUE": []}
    for part in re.split(r",(?![^(]*\))", body):
        if found := _UNIQUE.fullmatch(part.strip()):
            keys[found[1]].append(tuple(found[2].split(", ")))
        elif found := _COLUMN.fullmatch(part.strip()):
            column, kind, rest = found.groups()
            columns[column] = (_TYPES[kind], "NOT NULL" not in rest)
            if "PRIMARY KEY" in rest:
                keys["PRIMARY KEY"].append((column,))
    (key,) = keys["PRIMARY KEY"]
    row = msgspec.defstruct(name, [_field(column, *kind) for column, kind in columns.items()], kw_only=True)
    return Schema(
        name=name,
        columns=tuple(columns),
        json=frozenset(column for column, (kind, _) in columns.items() if kind is msgspec.Raw),
        key=key,
        unique=tuple(keys["UNIQUE"]),
        row=row,
        reader=msgspec.json.Decoder(list[row]),  # type: ignore[valid-type]  # made just now
        key_of=_getter(key),
    )


def _field(name: str, kind: Any, nullable: bool) -> Any:
    if not nullable:
        return (name, kind)
    return (name, kind, _NULL) if kind is msgspec.Raw else (name, kind | None, None)


@cache
def _getter(columns: tuple[str, ...]) -> KeyOf:
    if len(columns) > 1:
        return attrgetter(*columns)
    (name,) = columns
    return lambda row: (getattr(row, name),)


class Rows:
    """Rows by key, with an index for every choice of columns that was ever asked for.

    In the rows of a transaction None stands for a row that is not there, and hides what is committed.
    """

    __slots__ = ("_indexes", "by_key")

    def __init__(self) -> None:
        self.by_key: dict[Key, Row | None] = {}
        self._indexes: dict[tuple[str, ...], tuple[KeyOf, dict[Key, dict[Key, Row]]]] = {}

    def put(self, key: Key, row: Row | None) -> None:
        """Let a row stand under a key, or none."""
        old = self.by_key.get(key)
        for of, index in self._indexes.values():
            if old is not None:
                del index[of(old)][key]
            if row is not None:
                index.setdefault(of(row), {})[key] = row
        self.by_key[key] = row

    def forget(self, key: Key) -> None:
        """Take a key out."""
        self.put(key, None)
        del self.by_key[key]

    def having(self, columns: tuple[str, ...], values: Key) -> dict[Key, Row]:
        """The rows with these values, the newest last."""
        found = self._indexes.get(columns)
        if found is None:
            found = self._indexes[columns] = _getter(columns), {}
            of, index = found
            for key, row in self.by_key.items():
                if row is not None:
                    index.setdefault(of(row), {})[key] = row
        return found[1].get(values) or {}


class Seen:
    """One table as a transaction sees it: what is committed, behind what is its own.

    Its own are its writes; for a snapshot they are the rows as they were before others wrote them.
    """

    __slots__ = ("committed", "own", "schema", "writable")

    def __init__(self, schema: Schema, committed: Rows, own: Rows, writable: bool) -> None:
        self.schema = schema
        self.committed = committed
        self.own = own
        self.writable = writable

    def get(self, *key: Any) -> Row:
        """The row of a primary key, or None."""
        own = self.own.by_key
        return own[key] if key in own else self.committed.by_key.get(key)

    def all(self) -> list[Row]:
        """Every row."""
        own = self.own.by_key
        rows = [row for key, row in self.committed.by_key.items() if key not in own]
        return rows + [row for row in own.values() if row is not None]

    def where(self, **columns: Any) -> Collection[Row]:
        """The rows with these values, the newest last."""
        names, values = tuple(columns), tuple(columns.values())
        found = self.committed.having(names, values)
        own = self.own.by_key
        if not own:
            return found.values()
        rows = [row for key, row in found.items() if key not in own]
        return rows + list(self.own.having(names, values).values())

    def newest(self, **columns: Any) -> Row:
        """The row with these values that was inserted last, or None: in the log, the one with the highest place."""
        names, values = tuple(columns), tuple(columns.values())
        own = self.own.by_key
        if own:
            for row in reversed(self.own.having(names, values).values()):
                return row
        found = self.committed.having(names, values)
        return next((row for key, row in reversed(found.items()) if key not in own), None)

    def insert(self, **values: Any) -> None:
        """Write a new row. Raises UniqueViolationError."""
        self.insert_row(self.schema.row(**values))

    def insert_row(self, row: Row) -> None:
        """Write a new row. Raises UniqueViolationError."""
        schema = self.schema
        key = schema.key_of(row)
        if self.get(*key) is not None:
            raise _taken(schema, schema.key)
        for columns in schema.unique:
            values = _getter(columns)(row)
            if self.own.having(columns, values) or self.committed.having(columns, values):
                raise _taken(schema, columns)
        self._write(key, row)

    def put(self, **values: Any) -> None:
        """Write a row in the place of what its key has."""
        row = self.schema.row(**values)
        self._write(self.schema.key_of(row), row)

    def replace(self, row: Row, **changes: Any) -> None:
        """Write a row anew with some other values."""
        self._write(self.schema.key_of(row), msgspec.structs.replace(row, **changes))

    def delete(self, row: Row) -> None:
        """Take a row out."""
        self._write(self.schema.key_of(row), None)

    def _write(self, key: Key, row: Row | None) -> None:
        if not self.writable:
            raise asyncpg.ReadOnlySQLTransactionError(f"{self.schema.name}: the transaction is read-only")
        self.own.put(key, row)


def _taken(schema: Schema, columns: Iterable[str]) -> asyncpg.UniqueViolationError:
    return asyncpg.UniqueViolationError(f"{schema.name} has this {', '.join(columns)} already")
