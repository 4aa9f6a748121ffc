"""Reads the configuration: one TOML file, secrets also from other places, all problems reported together.

`find` chooses the file, `load` reads it, `parse` turns its text into `Settings`. A problem is one line: the
key, what is wrong, what to write. No problem shows the value of a secret.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from daemon.config.sections import database, http, mode, tenants
from daemon.config.table import Asked, Need, Source, Table
from daemon.domain.errors import ConfigError
from daemon.domain.settings import Settings

__all__ = ["Asked", "Need", "asked", "find", "load", "parse"]

FILE = "toveis.toml"
SYSTEM_FILE = Path("/etc/toveis/toveis.toml")


def find(path_option: Path | None, env: Mapping[str, str], cwd: Path) -> Path:
    """The file to read: --config, else TOVEIS_CONFIG, ./toveis.toml, /etc/toveis/toveis.toml.

    A file that is named is returned unseen. Raises ConfigError when none is named and none is found.
    """
    named = path_option or env.get("TOVEIS_CONFIG")
    if named:
        return cwd / named
    for path in (cwd / FILE, SYSTEM_FILE):
        if path.is_file():
            return path
    raise ConfigError(
        [f"configuration: neither ./{FILE} nor {SYSTEM_FILE} exists (write one, or give --config FILE)"]
    )


def load(path: Path | None, env: Mapping[str, str], *, need: Collection[Need] = get_args(Need)) -> Settings:
    """The settings in `path`, or in the file that `find` chooses. Raises ConfigError with all problems."""
    path = path or find(None, env, Path.cwd())
    return parse(_read(path), env, path.absolute().parent, need=need)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from None


def parse(
    text: str | bytes, env: Mapping[str, str], base_dir: Path, *, need: Collection[Need] = get_args(Need)
) -> Settings:
    """The settings in a TOML text; relative paths start at `base_dir`. Raises ConfigError as `load` does."""
    return _parsed(Source(base_dir, env, need), text)


def asked(path: Path) -> list[Asked]:
    """The secrets that a configuration file may have, in its order. Raises ConfigError as `load` does."""
    need: tuple[Need, ...] = ("tenants",)
    source = Source(path.absolute().parent, {}, need)
    _parsed(source, _read(path))
    return source.secrets


def _parsed(source: Source, text: str | bytes) -> Settings:
    with Table(source, _toml(text)) as top:
        settings = Settings(**mode(top), database=database(top), http=http(top), tenants=tenants(top))
    if source.problems:
        raise ConfigError(source.problems)
    return settings


def _toml(text: str | bytes) -> dict[str, object]:
    """A syntax error is the one problem of its file: what stands behind it cannot be read."""
    try:
        return tomllib.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"line {line}: is not UTF-8 text (save the file as UTF-8)"]) from None
    except (ValueError, RecursionError) as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError([f"{where}: {what or 'nothing can be read'} (write valid TOML)"]) from None
