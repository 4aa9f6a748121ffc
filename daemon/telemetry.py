"""The log: one event a line on stderr, as JSON, or readable on a terminal.

    log.info("deliver.sent", tenant="oslo", command=command.id, seconds=0.2)

An event's name is dotted, `stage.fact`. Text is shown under the keys in `SHOWN` only, so that a name, a phone number
or a secret that strays into a call comes out as `***`. structlog is imported with the first line, not with this
module: a command that writes none starts without it.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from daemon.domain.errors import ConfigError, ToveisError

SHOWN = frozenset(
    [
        *(
            "level",
            "timestamp",
            "logger",
            "error",
            "problem",
            "at",
            "advice",
            "file",
            "host",
            "mode",
            "digest",
        ),
        *(
            "tenant",
            "vendor",
            "side",
            "origin",
            "target",
            "category",
            "stage",
            "type",
            "kind",
            "state",
            "version",
        ),
        *("stream", "record", "entity", "command", "batch", "event_id", "causation_id", "correlation_id"),
        *("field", "fields", "rule", "reason", "view", "migration", "subscription", "delivery"),
        *("method", "route", "since", "until"),
    ]
)
"""The keys whose text is shown. Numbers, true, false and nothing are shown under any key."""

LEVELS = ("debug", "info", "warning", "error")

HIDDEN = "***"
EVENT = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
LONGEST = 300
FRAMES = 8


class Log:
    """A logger whose lines all carry some facts. The level that is written is chosen by `setup`."""

    def __init__(self, **facts: object) -> None:
        self._facts = facts

    def bind(self, **facts: object) -> "Log":
        """The same logger with more facts."""
        return Log(**{**self._facts, **facts})

    def debug(self, event: str, **facts: object) -> None:
        """What only a developer asks for."""
        if _levels["debug"]:
            self._write("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        """What happened."""
        self._write("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """What an operator should look at."""
        self._write("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        """What does not work."""
        self._write("error", event, facts)

    def exception(self, event: str, **facts: object) -> None:
        """What does not work, with the exception being handled: its class and its place, and no foreign text."""
        self._write("error", event, {**facts, "exc_info": True})

    def _write(self, level: str, event: str, facts: dict[str, object]) -> None:
        getattr(_structlog().get_logger(), level)(event, **{**self._facts, **facts})


log = Log()

_levels = {"debug": False}
"""Whether debug lines are written: they stand where much passes, and cost nothing when nobody asked."""


@contextmanager
def context(**facts: object) -> Iterator[None]:
    """Every line written inside, by whomever in this task, carries these facts: `context(correlation_id=...)`."""
    with _structlog().contextvars.bound_contextvars(**facts):
        yield


def level_in(env: Mapping[str, str]) -> str:
    """The level that `TOVEIS_LOG_LEVEL` asks for, else info. Raises ConfigError."""
    level = env.get("TOVEIS_LOG_LEVEL", "info").lower()
    if level not in LEVELS:
        raise ConfigError([f"TOVEIS_LOG_LEVEL: is not a level (write {', '.join(LEVELS)})"])
    return level


def setup(level: str = "info", *, console: bool | None = None) -> None:
    """Writes lines of `level` and above; `console` is the readable form, by default when stderr is a terminal.

    Other libraries' warnings come along as `library.warned`, without their arguments. May be called again.
    """
    _configure(level, sys.stderr.isatty() if console is None else console)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, Foreign)] + [Foreign()]
    logging.getLogger("aiohttp.access").disabled = True


@cache
def _structlog() -> Any:
    """structlog, configured: by `setup`, or before it to warnings alone."""
    import structlog

    if not structlog.is_configured():
        _configure("warning", console=False)
    return structlog


def _configure(level: str, console: bool) -> None:
    import structlog

    _levels["debug"] = level == "debug"
    render = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            without_foreign_text,
            shown_only,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each line: a test, or a supervisor, may have replaced stderr since.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


class Foreign(logging.Handler):
    """Takes what libraries log through the standard library: the logger's name and the text before its arguments."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """The first line of the text is a constant of the library; what follows may quote a person's data."""
        first_line = str(record.msg).partition("\n")[0]
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write("library.warned", logger=record.name, problem=first_line, exc_info=record.exc_info)


# --- What a line may show ---


def shown_only(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hides every text whose key is not in `SHOWN`, and an event whose name is not dotted."""
    for key, value in event.items():
        if key == "event":
            event[key] = value if isinstance(value, str) and EVENT.fullmatch(value) else HIDDEN
        else:
            event[key] = _shown(value, key in SHOWN)
    return event


def _shown(value: object, listed: bool) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple() | set() | frozenset() if listed:
            return [_shown(item, listed) for item in value]
        case dict() | bytes() | bytearray():
            return HIDDEN
        case _ if listed:
            return _plain(str(value))
        case _:
            return HIDDEN


def _plain(text: str) -> str:
    """Without e-mail addresses, control characters and great length."""
    text = EMAIL.sub(HIDDEN, text[:LONGEST])
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def without_foreign_text(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turns `exc_info` into `error` (classes, outermost first), `at` (innermost last) and our own `problem`.

    Only our errors promise to carry no personal data; the text of any other (a database's, a parser's) is left out.
    """
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["error"] = [type(cause).__qualname__ for cause in _causes(error)]
        event["at"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-FRAMES:]
        ]
        if isinstance(error, ToveisError):
            event.setdefault("problem", str(error))
    return event


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came from, and the members of a group."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop(0)
        if id(error) not in seen:
            seen.add(id(error))
            yield error
            waiting += error.exceptions if isinstance(error, BaseExceptionGroup) else ()
            cause = error.__cause__ or error.__context__
            waiting += [cause] if cause else []
