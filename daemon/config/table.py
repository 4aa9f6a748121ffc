"""The reading of one table of the configuration file, with every mistake kept for the end."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from msgspec import Struct

from daemon.config.values import TENANT_NAME, Check, Reader, meant, secret_text, shown, text
from daemon.domain.settings import Secret

Need = Literal["tenants", "secrets"]
"""What a command cannot do without: at least one tenant; the secrets of the vendors and of /lead.

A command that only reads the database needs no secrets, so that an operator who cannot read them may call it:
they are then empty, or None where they are optional. The secrets of `[database]` are always needed.
"""


class Asked(Struct, frozen=True):
    """A secret that a configuration may have: the name of its credential, and whether the file says where it stands."""

    name: str
    required: bool
    placed: bool


class Source:
    """What a configuration is read from, and the problems found in it so far."""

    def __init__(self, base_dir: Path, env: Mapping[str, str], need: Collection[Need]) -> None:
        self.base_dir = base_dir
        self.credentials = env.get("CREDENTIALS_DIRECTORY", "")
        self.need = need
        self.problems: list[str] = []
        self.secrets: list[Asked] = []

    def directory(self, value: object) -> str:
        """The absolute path of a directory, which need not exist yet."""
        path = self.base_dir / text(value)
        if path.exists() and not path.is_dir():
            raise ValueError(f"{shown(value)} is not a directory (write the path of one)")
        return str(path)

    def credential(self, name: str) -> Path | None:
        """The file of a systemd credential, if the service was given one of this name."""
        path = Path(self.credentials, name)
        return path if self.credentials and "/" not in name and path.is_file() else None


class Table:
    """One table of the file: hands out its keys, reports each mistake, and on leaving each unknown key.

    `path` is how problems name it (`tenants[oslo].vitec`), `credential` how systemd does (`oslo.vitec`).
    An `absent` table was reported as a whole: what it lacks is not reported again.
    """

    def __init__(
        self, source: Source, data: dict[str, Any], path: str = "", credential: str = "", absent: bool = False
    ) -> None:
        self.source = source
        self.data = data
        self._path = path
        self._credential = credential
        self._absent = absent
        self._known: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self.data:
            if key not in self._known:
                self.report(key, f"is not a known key ({meant(key, self._known) or 'leave it out'})")

    def report(self, key: str, problem: str) -> None:
        """One more problem, under one key of this table."""
        self.source.problems.append(f"{_join(self._path, key)}: {problem}")

    def given(self, readers: Mapping[str, Reader], *, required: Collection[str] = ()) -> dict[str, Any]:
        """The values that stand here and are right; a required one that is not is reported and "" for now."""
        values: dict[str, Any] = dict.fromkeys(required, "")
        self._known.update(readers)
        for key, read in readers.items():
            if key in self.data:
                try:
                    values[key] = read(self.data[key])
                except ValueError as problem:
                    self.report(key, str(problem))
            elif key in required:
                self._missing(key, f'{key} = ".."')
        return values

    def mapping(self, key: str, read: Reader, known: Collection[str] = ()) -> dict[str, Any]:
        """A table of the operator's own keys, or of some of the `known` ones, in the file's order."""
        with self.table(key) as table:
            table._known.update(known)
            return table.given({name: read for name in table.data if not known or name in known})

    def table(self, key: str, *, required: bool = False) -> "Table":
        """A table inside this one; empty when it is left out."""
        self._known.add(key)
        data = self.data.get(key, {})
        absent = not isinstance(data, dict) or (required and key not in self.data)
        if not isinstance(data, dict):
            self.report(key, f"{shown(data)} is not a table (write {{ key = value }})")
            data = {}
        elif absent:
            self._missing(key, "a table for it")
        path, credential = _join(self._path, key), _join(self._credential, key)
        return Table(self.source, data, path, credential, absent or self._absent)

    def tables(self, key: str) -> Iterator["Table"]:
        """The tables of a list such as [[tenants]], each called by its name, else by its place."""
        self._known.add(key)
        listed = self.data.get(key, [])
        if not isinstance(listed, list):
            self.report(key, f"{shown(listed)} is not a list (write [[{key}]])")
        elif not listed and key in self.source.need:
            self.report(key, f"there is none (write [[{key}]])")
        for place, data in enumerate(listed if isinstance(listed, list) else (), start=1):
            if isinstance(data, dict):
                name = str(data.get("name", ""))
                name = name if re.fullmatch(TENANT_NAME, name) else ""
                yield Table(self.source, data, f"{key}[{name or f'#{place}'}]", name)
            else:
                self.report(f"{key}[#{place}]", f"{shown(data)} is not a table (write [[{key}]])")

    def secret(
        self, key: str, check: Check = secret_text, *, required: bool = False, always: bool = False
    ) -> Secret | None:
        """The secret that stands here, or in the file `<key>_file`, or in the systemd credential of its path.

        Two places are a problem. `always`: needed even by a command that needs no secrets.
        """
        needed = always or "secrets" in self.source.need
        placed = not self.data.keys().isdisjoint((key, f"{key}_file"))
        self.source.secrets.append(Asked(_join(self._credential, key), required, placed))
        places = self._places(key)
        if len(places) > 1:
            self.report(key, f"is given more than once (keep one of {', '.join(places)})")
        if not places and required and needed:
            self._missing(key, f'{key} = "..", {key}_file = "..", or a systemd credential')
        for place, read in places.items() if len(places) == 1 else ():
            try:
                value = read()
                secret_text(value)
                check(value)
                return Secret(value)
            except ValueError as problem:
                if needed or place == key:
                    self.report(place if place in self.data else key, str(problem))
        return None

    def required_secret(self, key: str) -> Secret:
        """A secret that nothing works without; an empty one when the command needs no secrets."""
        return self.secret(key, required=True) or Secret("")

    def _places(self, key: str) -> dict[str, Callable[[], str]]:
        """Where a secret stands, by the names that an operator knows the places by."""
        in_file, name = f"{key}_file", _join(self._credential, key)
        self._known.update((key, in_file))
        places: dict[str, Callable[[], str]] = {}
        if key in self.data:
            places[key] = lambda: _inline(self.data[key])
        if in_file in self.data:
            places[in_file] = lambda: _content(self.source.base_dir / text(self.data[in_file]))
        if credential := self.source.credential(name):
            places[f"credential {name}"] = lambda: _content(credential)
        return places

    def _missing(self, key: str, write: str) -> None:
        if not self._absent:
            self.report(key, f"is missing (write {write})")


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _inline(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text (write the secret in quotes)")
    return value


def _content(path: Path) -> str:
    """A secret's file without the line end. Its path may be shown, its content not."""
    name = shown(str(path))
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror} (write the path of a file)") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text (write the secret alone into it)") from None
