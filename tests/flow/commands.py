"""Every command of the command line, with its options and its examples."""

from collections.abc import Iterator

import click

from daemon.cli import COMMANDS
from daemon.cli import toveis as group


def leaves(command: click.Command, path: str, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command under this one, with its words."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            yield from leaves(below, f"{path} {name}", ctx)


def every_command() -> list[tuple[str, click.Command]]:
    """`toveis …`, each with its click command."""
    ctx = click.Context(group)
    return [
        each
        for name in COMMANDS
        for command in [group.get_command(ctx, name)]
        if command is not None
        for each in leaves(command, f"toveis {name}", ctx)
    ]


def examples(command: click.Command) -> list[str]:
    """The lines under `Example:`."""
    _, found, text = (command.help or "").partition("Example:")
    return [line.strip() for line in text.splitlines() if line.strip()] if found else []
