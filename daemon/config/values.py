"""What a value of the configuration may look like: readers of values, and checks of secrets.

A reader turns a TOML value into one of the settings, or raises ValueError with the rest of a problem: what is
wrong, and in brackets what to write. A check of a secret raises likewise, and never shows the secret.
"""

import base64
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from typing import Any, get_args
from urllib.parse import urlsplit

from daemon.domain.settings import OnlyTagged

Reader = Callable[[object], Any]
Check = Callable[[str], None]

TENANT_NAME = r"[a-z0-9-]+"
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def shown(value: object) -> str:
    """A value as a problem shows it: a scalar shortened, anything else by its kind alone."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 40 else value[:39] + "…")
        case int() | float():
            return str(value)[:40]
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return "a date or time"


def text(value: object) -> str:
    """A text that is not blank and holds no control characters."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text (write it in quotes)")
    if not value.strip() or not value.isprintable():
        raise ValueError("is blank or holds control characters (write a text, or leave the key out)")
    return value


def any_text(value: object) -> str:
    """A text that may be empty: the feature is off."""
    return "" if value == "" else text(value)


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is not a list (write ["..", ".."])')
    return tuple(text(item) for item in value)


def flag(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false (write true or false, without quotes)")
    return value


def one_of(literal: object) -> Reader:
    """One of the words of a Literal type."""
    options = get_args(literal)

    def read(value: object) -> str:
        if isinstance(value, str) and value in options:
            return value
        raise ValueError(f"{shown(value)} is not a choice (write {', '.join(options[:-1])} or {options[-1]})")

    return read


def some_of(options: Collection[str]) -> Reader:
    """A list of words out of a longer list."""

    def read(value: object) -> tuple[str, ...]:
        words = texts(value)
        for word in words:
            if word not in options:
                write = meant(word, options) or f"write {', '.join(options)}"
                raise ValueError(f"{shown(word)} is not a choice ({write})")
        return words

    return read


def integer(low: int, high: int = 1_000_000_000) -> Reader:
    """A whole number between two bounds, both allowed."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(
            f"{shown(value)} is not a whole number (write one from {low} to {high}, without quotes)"
        )

    return read


def percent(value: object) -> float:
    """A number from 0 to 100."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        return float(value)
    raise ValueError(f"{shown(value)} is not a percentage (write a number from 0 to 100, without quotes)")


def duration(value: object) -> float:
    """A time span longer than nothing, in seconds."""
    found = (
        re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", value, re.ASCII)
        if isinstance(value, str)
        else None
    )
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise ValueError(f"{shown(value)} is not a duration (write 250ms, 2s, 5m or 24h)")
    return seconds


def tenant_name(value: object) -> str:
    """A tenant's name, fit for a path."""
    if not isinstance(value, str) or not re.fullmatch(TENANT_NAME, value):
        raise ValueError(f"{shown(value)} is not a tenant's name (write a-z, 0-9 and - only)")
    return value


def url(value: object) -> str:
    """An https address without user, query and fragment; plain http on loopback only. No trailing slash."""
    address = text(value)
    if "@" in address:
        raise ValueError("holds a user name or a password (write the address alone)")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or set(address) & set(" ?#\\"):
        raise ValueError(f'{shown(address)} is not an address (write "https://host" or "https://host/path")')
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"{shown(address)} is not encrypted (write https://; http:// is for loopback only)")
    return address.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def new_from_propstreet(value: object) -> str | OnlyTagged:
    """create, hold, or the tag that a new record must carry."""
    match value:
        case "create" | "hold":
            return value
        case {"tag": str() as tag, **others} if tag.strip() and not others:
            return OnlyTagged(tag)
        case _:
            raise ValueError(f'{shown(value)} is not a choice (write "create", "hold" or {{ tag = ".." }})')


# What a secret may look like. These never quote the value.


def secret_text(value: str) -> None:
    """One line."""
    if not value.strip() or not value.isprintable():
        raise ValueError("is blank or holds control characters (write the secret on one line)")


def dsn_text(value: str) -> None:
    """A PostgreSQL address."""
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError('is not a PostgreSQL address (write "postgresql://user@host/database")')


def token(value: str) -> None:
    """A bearer token."""
    if not value.isascii() or " " in value:
        raise ValueError("is not a token (write letters, digits and signs, without blanks)")


def path_secret(value: str) -> None:
    """The last part of POST /webhooks/vitec/{tenant}/{secret}: fit for a path, and too long to guess."""
    if not re.fullmatch(r"[A-Za-z0-9._~-]{16,}", value):
        raise ValueError("is not fit for a path (write 16 or more of A-Z, a-z, 0-9, -, _, . and ~)")


def signing_secret(value: str) -> None:
    """Propstreet's form of key material: `whsec_` and base64."""
    key = value.removeprefix("whsec_")
    try:
        right = key != value and base64.b64decode(key + "=" * (-len(key) % 4), validate=True) != b""
    except ValueError:
        right = False
    if not right:
        raise ValueError('is not a signing secret (write "whsec_" and base64, as Propstreet showed it)')


def meant(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, as a question; empty when none is near."""
    near = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
