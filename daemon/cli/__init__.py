"""The command line: one module per command group, imported when its command is asked for."""

import sys
from importlib import import_module
from typing import Final

import click

from daemon.domain.errors import (
    ConfigError,
    DatabaseUnreachable,
    StorageError,
    ToveisError,
    UnknownEventError,
    UsageError,
)

FINDINGS: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
UNEXPECTED: Final = 70

COMMANDS: Final = {
    "run": "running",
    "migrate": "running",
    "systemd": "systemd",
    "sandbox": "sandbox",
    "history": "inspecting",
    "show": "inspecting",
    "explain": "explaining",
    "diff": "comparing",
    "trace": "tracing",
    "status": "inspecting",
    "commands": "outbound",
    "retry": "holds",
    "release": "holds",
    "discard": "holds",
    "link": "identity",
    "unlink": "identity",
    "conflicts": "conflicting",
    "restore": "conflicting",
    "webhooks": "webhooks",
    "doctor": "doctor",
    "backfill": "backfilling",
    "replay": "replaying",
    "verify": "replaying",
    "reconcile": "reconciling",
}
"""Every command with the module of this package that holds it."""


class Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"daemon.cli.{COMMANDS[name]}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with its whole first sentence, where click would cut it."""
        commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
        rows = [(name, command.get_short_help_str(200)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def toveis() -> None:
    """Keep contacts, companies, projects and prospects the same in Vitec and in Propstreet, and say why.

    \b
    Try it:            toveis sandbox
    Run it:            toveis run --config /etc/toveis/toveis.toml
    Ask it:            toveis history contact kari@example.no

    Exit codes: 0 fine, 1 findings, 2 usage or configuration, 3 the database is unreachable, 70 unexpected.
    """


def main() -> None:
    """The command `toveis`: every error becomes one clear text and an exit code."""
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    try:
        outcome = toveis.main(arguments, prog_name="toveis", standalone_mode=False)
    except click.ClickException as error:
        _say(_what_to_type(error))
        return USAGE
    except click.exceptions.Abort:
        return 130
    except ConfigError as error:
        for problem in error.problems:
            _say(problem)
        return USAGE
    except UsageError as error:
        _say(str(error))
        return USAGE
    except DatabaseUnreachable as error:
        _say(str(error))
        return UNREACHABLE
    except (UnknownEventError, StorageError) as error:
        _say(str(error))
        return FINDINGS if isinstance(error, UnknownEventError) else UNEXPECTED
    except BrokenPipeError:
        return 0
    except Exception as error:
        _unexpected(error)
        return UNEXPECTED
    return outcome if isinstance(outcome, int) else 0


def _what_to_type(error: click.ClickException) -> str:
    """click's own message as one line, with the help that tells more."""
    ctx = getattr(error, "ctx", None)
    more = f" (`{ctx.command_path} --help` tells more)" if ctx is not None else ""
    return " ".join(error.format_message().split()).rstrip(".") + more


def _say(text: str) -> None:
    click.echo(f"toveis: {text}", err=True)


def _unexpected(error: Exception) -> None:
    """Name the place and the class; the text of a foreign error may hold personal data."""
    words = str(error) if isinstance(error, ToveisError) else ""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}" if frame else "?"
    _say(f"unexpected {type(error).__name__} at {place} {words}".rstrip() + "; please report it")
