"""`toveis backfill`: let go what only the first polls saw, after saying what that comes to."""

import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from daemon.cli.harmless import harmless
from daemon.cli.opening import ask, load, tenant_of, with_config, with_tenant
from daemon.cli.operating import Ruling, append, operator
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.cli.planning import Prospectus
    from daemon.domain.settings import Settings, TenantSettings
    from daemon.policies.rehearsing import Step
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection

CATEGORIES = click.Choice(["contact", "company", "project", "prospect"])

LINES: Final = 8
"""So many things of the plan are told one by one; --json tells all."""


@click.command()
@click.argument("category", type=CATEGORIES, required=False)
@click.option("--dry-run", is_flag=True, help="Only say what would be done; exit 1 if that is anything.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per thing that would be done.")
@with_tenant
@with_config
def backfill(
    config_file: Path | None,
    tenant: str | None,
    category: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Link and write what waits since the first start, because nobody has edited it (first_sync = "wait").

    Says first what it would link, create, update and hold. The daemon does the work, behind whatever people edit
    meanwhile; this command shows how far it is, and Ctrl-C only ends the showing. With CATEGORY only that category is
    released, and what it needs to be linked.

    \b
    Example:  toveis backfill --dry-run
              toveis backfill contact --yes
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import following

    found = _plan(settings, chosen, category)
    _print(found, as_json=as_json)
    if dry_run:
        return 1 if found.steps else 0
    if not found.waiting:
        following.follow(settings, chosen, Counter())
        return 0
    if not yes and not _agreed(found):
        click.echo("nothing was released", err=True)
        return 1
    _release(settings, chosen, found)
    following.follow(settings, chosen, found.writes())
    return 0


def _agreed(found: "Prospectus") -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "this is no terminal to ask at: look at `toveis backfill --dry-run`, then give --yes"
        )
    return click.confirm(f"Release {sum(found.waiting.values()) + len(found.entities)} of them?", err=True)


def _plan(settings: "Settings", chosen: "TenantSettings", category: str | None) -> "Prospectus":
    async def look(conn: "Connection") -> "Prospectus":
        from daemon.cli import planning
        from daemon.domain.capabilities import available
        from daemon.processor import Tenant
        from daemon.storage.appender import Appender

        # it only reads: nothing goes through the pool or the appender
        appender = Appender(None, chosen.name)  # type: ignore[arg-type]
        at = Tenant(available(chosen), settings.mode, None, appender, lambda: datetime.now(UTC))
        return await planning.prospectus(conn, at, category)

    return ask(settings, look)


def _release(settings: "Settings", chosen: "TenantSettings", found: "Prospectus") -> None:
    """One event per category, and one for each entity of another category that is needed; once each."""

    async def rule(conn: "Connection", at: "Tenant") -> Ruling:
        from daemon.domain.events import FIRST_SYNC, OPERATOR, EntityReleased
        from daemon.storage import views

        by = operator()
        entities = await views.entities(conn, at.name, [name for _, name in found.entities])
        needed = tuple(
            at.decided(
                each, EntityReleased(each.id, FIRST_SYNC, by=by), origin=OPERATOR, mark=str(each.version)
            )
            for each in entities
        )
        words = tuple(at.let_go(category, by) for category in found.categories)
        return Ruling((*needed, *words), {}, {})

    append(settings, chosen, rule)


def _print(found: "Prospectus", *, as_json: bool) -> None:
    if as_json:
        import msgspec

        for step in found.steps:
            click.echo(msgspec.json.encode(step).decode())
        return
    if not found.waiting:
        click.echo("nothing waits for its release")
    else:
        for line in _table(found):
            click.echo(line)
        for step in _some(found.steps):
            click.echo(f"  {harmless(_words(step))}")
        if len(found.steps) > LINES:
            click.echo(f"  … {len(found.steps)} in all; --json has every one")
    for category, count in found.left.items():
        click.echo(f"{count} {category} stay waiting: `toveis backfill` without a category releases them")


def _table(found: "Prospectus") -> Iterable[str]:
    """Counts per category and vendor."""
    writes = ("create", "update", "hold")
    yield f"{'':<35}{'at Vitec':>21}{'at Propstreet':>21}"
    heads = ("release", "link", "hold", "stay", *writes, *writes)
    yield f"{'':<9}{heads[0]:>8}" + "".join(f"{head:>6}" for head in heads[1:4]) + _wide(heads[4:])
    categories = Counter(found.waiting) + Counter(category for category, _ in found.entities)
    for category, waiting in categories.items():
        count: Counter[tuple[str, str | None]] = Counter(
            (step.do, step.target) for step in found.steps if step.category == category
        )
        alone = "".join(f"{count[do, None]:>6}" for do in ("link", "hold", "wait"))
        there = [count[do, vendor] for vendor in ("vitec", "propstreet") for do in writes]
        yield f"{category:<9}{waiting:>8}{alone}{_wide(there)}"
    if {"project", "company"} & set(found.categories):
        yield "What is found only once a project or a company is linked follows by itself. So does what"
        yield "Propstreet itself sets on a new project."


def _wide(cells: Iterable[object]) -> str:
    return "".join(f"{cell!s:>7}" for cell in cells)


def _some(steps: Iterable["Step"]) -> list["Step"]:
    """A few of every sort."""
    sorts: dict[tuple[str, str, str | None], list[Step]] = {}
    for step in steps:
        sorts.setdefault((step.do, step.category, step.target), []).append(step)
    found: list[Step] = []
    for deep in range(LINES):
        found += [of[deep] for of in sorts.values() if deep < len(of)]
    return found[:LINES]


def _words(step: "Step") -> str:
    names = " and ".join(step.records) or step.entity
    fields = ", ".join(step.fields)
    after = f" (after {', '.join(step.after)})" if step.after else ""
    lost = f"; other values of {', '.join(step.overwrites)} go to the conflicts" if step.overwrites else ""
    match step.do:
        case "link":
            return f"{step.category}: link {names} by {step.reason}{after}"
        case "create" | "update":
            return f"{step.category}: {step.do} at {(step.target or '').capitalize()} for {names}: {fields}{lost}{after}"
        case "hold":
            where = f" for {step.target.capitalize()}" if step.target else ""
            return f"{step.category}: hold {names}{where} ({step.reason}){f': {fields}' if fields else ''}"
        case "wait":
            return f"{step.category}: {names} stays: {step.reason}{after}"
