"""Every named statement of the `.sql` files, by its text.

What each one does stands in the modules beside this one (`log_statements` and so on), a function a statement. What every
view has (`delete`, `insert`, `all`) follows from its `.sql` file here, and the tables from `CREATE TABLE`. A statement
that is new needs a function, or a reason among `UNUSED`: test_database.py says so.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from daemon.storage.queries import queries
from projections.views import VIEWS
from tests.simulation import (
    audit_statements,
    brake_statements,
    call_statements,
    lease_statements,
    log_statements,
    subscription_statements,
    view_statements,
)
from tests.simulation.registry import STATEMENTS, Answers, Tables, statement
from tests.simulation.sessions import Statement
from tests.simulation.tables import schemas

__all__ = [
    "UNUSED",
    "audit_statements",
    "brake_statements",
    "by_text",
    "call_statements",
    "every_text",
    "lease_statements",
    "log_statements",
    "subscription_statements",
    "view_statements",
]

UNUSED: Final = {
    "migrations": "the tables stand from the beginning",
    "rebuild": "the simulator folds anew and compares (check_log); it never swaps the views",
    "create": "the tables stand from the beginning",
    "of_tenant": "its answer is a time of the server's; only `toveis status` asks",
    "spent": "only `toveis status` asks",
    "called": "only `toveis trace` asks",
    "checking": "only `toveis doctor` asks",
    "watching": "only a scrape asks, and whoever wants to know whether the daemon is ready",
}
"""Files, or statements of a view, that nobody runs in a simulation, and why."""


@cache
def every_text() -> dict[str, str]:
    """The SQL of every named statement, by `<file>.<statement>`."""
    return {
        f"{file.name.removesuffix('.sql')}.{name}": text
        for package in ("daemon.storage", "projections")
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
        for name, text in queries(file.name.removesuffix(".sql"), package).items()
    }


@cache
def by_text() -> dict[str, Statement]:
    """Every statement that is known here, by its SQL."""
    for view in VIEWS:
        _view(view)
    return {
        text: msgspec.structs.replace(STATEMENTS[name], ordered=ordered(text))
        for name, text in every_text().items()
        if name in STATEMENTS
    }


def ordered(text: str) -> bool:
    """Whether the answer as a whole has an order, and not only a part of the statement."""
    return "ORDER BY" in text.rpartition("FROM")[2]


# -- what every view has

_DELETE: Final = re.compile(r"DELETE FROM (\w+) WHERE tenant = \$1 AND (\w+) = ANY \(\$2::text\[\]\)")


def _view(view: str) -> None:
    schema = schemas()[view]
    found = _DELETE.fullmatch(queries(view, "projections")["delete"])
    assert found is not None, f"{view}.delete is not as those of the other views"
    column = found[2]

    @statement(f"{view}.delete")
    def delete(t: Tables, tenant: str, keys: Iterable[str]) -> None:
        table = getattr(t, view)
        for key in dict.fromkeys(keys):
            for row in list(table.where(**{"tenant": tenant, column: key})):
                table.delete(row)

    @statement(f"{view}.insert")
    def insert(t: Tables, text: str) -> None:
        table = getattr(t, view)
        for row in schema.rows_of(text):
            table.insert_row(row)

    @statement(f"{view}.all", "to_json")
    def everything(t: Tables, tenant: str) -> Answers:
        return [(schema.text_of(row),) for row in getattr(t, view).where(tenant=tenant)]
