"""What the statements of `audits.sql` do."""

from collections.abc import Iterable
from operator import attrgetter

from tests.simulation.log_statements import EVENT
from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.tables import at


@statement("audits.patience")
def patience(_: Tables) -> None:
    """Nobody is timed out here."""


@statement("audits.lock", "pg_try_advisory_xact_lock")
def lock(_: Tables, __: str) -> Answers:
    return [(True,)]  # there is one daemon


@statement("audits.last", EVENT)
def last(t: Tables, tenant: str, stream: str) -> Answers:
    rows = sorted(t.events.where(tenant=tenant, stream=stream), key=attrgetter("version"))
    return [attrgetter(*EVENT.split())(row) for row in rows[-1:]]


@statement("audits.records", "external_id kind parts")
def records(t: Tables, tenant: str, category: str, vendor: str) -> Answers:
    rows = [
        row
        for row in t.records.where(tenant=tenant, category=category, vendor=vendor)
        if (entity := t.entities.get(tenant, row.entity)) is not None
        and at(entity.state, "sides", vendor, "gone") is None
    ]
    return [(row.external_id, row.kind, row.parts) for row in sorted(rows, key=attrgetter("external_id"))]


@statement("audits.reasons", "command state reason")
def reasons(t: Tables, tenant: str, commands: Iterable[str]) -> Answers:
    found = (t.commands.get(tenant, name) for name in dict.fromkeys(commands))
    return [(row.command, row.state, row.reason) for row in found if row is not None]


@statement("audits.open_of", "count")
def open_of(t: Tables, tenant: str, entities: Iterable[str]) -> Answers:
    wanted = set(entities)
    rows = [
        row
        for state in ("pending", "unknown", "flying")
        for row in t.commands.where(tenant=tenant, state=state)
    ]
    return [(sum(row.entity in wanted for row in rows),)]
