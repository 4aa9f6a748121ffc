"""`toveis systemd`: the unit file for this very installation, and the files beside it."""

import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import click

from daemon import config
from daemon.cli.opening import with_config
from daemon.config import Asked
from daemon.domain.errors import ConfigError, UsageError

UNIT: Final = "toveis.service"
CREDENTIALS: Final = Path("/etc/toveis/credentials")
HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
"""What a service with ProtectHome= does not see."""


@click.command()
@with_config
@click.option(
    "--print", "file", flag_value=UNIT, help="The unit, with this program's path and this file's secrets."
)
@click.option("--env", "file", flag_value="toveis.env.example", help="An example of its environment file.")
@click.option(
    "--nginx", "file", flag_value="nginx.conf.example", help="An example of TLS before the open port."
)
def systemd(config_file: Path | None, file: str | None) -> None:
    """Print the unit file for this installation, or one of the files beside it.

    With a configuration, each of its secrets has a LoadCredential= line; those that may be left out, and have no file in
    /etc/toveis/credentials, are commented out. What else should be known is said on stderr.

    \b
    Example:  toveis systemd --print --config /etc/toveis/toveis.toml > /etc/systemd/system/toveis.service
    """
    if file is None:
        raise UsageError("give --print for the unit, --env or --nginx for the files beside it")
    text = shipped(file)
    if file == UNIT:
        program, path = _program(), _configuration(config_file)
        secrets = config.asked(path) if path is not None else None
        for advice in _advice(program, path, secrets):
            click.echo(f"toveis: {advice}", err=True)
        text = rendered(text, program, path, None if secrets is None else credentials(secrets, CREDENTIALS))
    click.echo(text, nl=False)


def shipped(name: str) -> str:
    """A file of systemd/, as it came with this program."""
    packed = resources.files("daemon").joinpath("_systemd")
    folder = packed if packed.is_dir() else Path(__file__).parents[2] / "systemd"
    return folder.joinpath(name).read_text("utf-8")


def rendered(unit: str, program: Path, path: Path | None, loads: Sequence[str] | None) -> str:
    """The unit for a program, a configuration file and the lines of its credentials; None leaves what stands there."""
    lines: list[str] = []
    for line in unit.splitlines():
        if line.startswith("ExecStart="):
            named = "/etc/toveis/toveis.toml" if path is None else _word(path)
            lines.append(f"ExecStart={_word(program)} run --config {named}")
        elif loads is None or not line.startswith("LoadCredential="):
            lines.append(line)
        elif loads:
            lines += loads
            loads = ()
    return "\n".join(lines) + "\n"


def credentials(secrets: Sequence[Asked], folder: Path) -> list[str]:
    """A line for each secret that the configuration leaves to a credential; commented out if it may stay out, and does."""
    lines = []
    for secret in secrets:
        if not secret.placed:
            file = folder / secret.name
            mark = "" if secret.required or file.exists() else "#"
            lines.append(f"{mark}LoadCredential={secret.name}:{file}")
    return lines


def _advice(program: Path, path: Path | None, secrets: Sequence[Asked] | None) -> list[str]:
    found = [
        f"{each}: the unit's ProtectHome= hides it from the service; install elsewhere, such as /opt/toveis"
        for each in (program, path)
        if each is not None and any(each.is_relative_to(home) for home in HOMES)
    ]
    if secrets is None:
        return [
            *found,
            "no configuration was found: the credentials are those of an example (give --config FILE)",
        ]
    found += [
        f"{each.name}: stands in the configuration, or in a file that it names, which the service must be able to read;"
        f" better leave it out there and put it into {CREDENTIALS}/{each.name}"
        for each in secrets
        if each.placed
    ]
    dsn = next(each for each in secrets if each.name == "database.dsn")
    if not dsn.placed and not (CREDENTIALS / dsn.name).exists():
        found.append(
            "database.dsn: is not given; the unit's hardening is for a PostgreSQL of your own, and the embedded one may"
            " not start under it"
        )
    return found


def _configuration(named: Path | None) -> Path | None:
    try:
        return config.find(named, os.environ, Path.cwd()).absolute()
    except ConfigError:
        return None


def _program() -> Path:
    """Where this program is called: by its name, or as a module of a Python that has it beside itself."""
    called = Path(sys.argv[0])
    if called.name == "toveis" and called.is_file():
        return called.absolute()
    beside = Path(sys.executable).with_name("toveis")
    if not beside.is_file():
        raise UsageError(f"there is no toveis beside {sys.executable}; call it by its path")
    return beside


def _word(path: Path) -> str:
    """A path as a word of a command line of systemd's."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(each in text for each in " \t'\"\\;") else text
