"""`toveis doctor`: everything that can be wrong, each with what to do."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from daemon.cli import FINDINGS
from daemon.cli.harmless import harmless
from daemon.cli.opening import with_config

if TYPE_CHECKING:
    from daemon.policies.checking import Check

WIDTH: Final = 80
INDENT: Final = 9
COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@with_config
def doctor(config_file: Path | None, as_json: bool) -> int:
    """Check configuration, database, credentials, clocks, public URL, subscriptions and disk.

    Each line is ok, or says what to do. The daemon may run or not; nothing is written at a vendor. Exit code 1: a check
    has failed. A warning fails nothing.

    \b
    Example:  toveis doctor
              toveis doctor --json | jq 'select(.state != "ok")'
    """
    from daemon.cli import doctoring

    failed = warned = 0
    for check in doctoring.checks(config_file):
        failed, warned = failed + (check.state == "failed"), warned + (check.state == "warning")
        if as_json:
            click.echo(msgspec.json.encode(check).decode())
        else:
            _print(check)
    if not as_json:
        click.echo(f"{failed} failed, {warned} warnings" if failed or warned else "everything is well")
    return FINDINGS if failed else 0


def _print(check: "Check") -> None:
    of = f" of {check.tenant}" if check.tenant is not None else ""
    state = click.style(f"{check.state:<{INDENT}}", fg=COLOURS[check.state])
    first, *more = _wrapped(f"{check.check}{of}: {check.detail}")
    click.echo(state + first)
    for line in (*more, *(_wrapped(f"→ {check.advice}") if check.advice else ())):
        click.echo(" " * INDENT + line)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(harmless(text), WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
