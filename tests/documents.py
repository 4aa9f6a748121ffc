"""What in docs/ is written from the code: `python -m tests.documents` writes it anew, a test sees that it is current."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from daemon.domain.capabilities import CAPABILITIES
from daemon.domain.fields import UNMAPPED, Value
from daemon.mappings import LENSES, lens
from daemon.mappings.estate_statuses import STATED, STATUSES, fields_of
from daemon.mappings.interest_levels import LEVELS, WRITTEN
from daemon.mappings.lens import RECORD, Lens, Options
from daemon.metrics import METRICS, OUTCOMES

DOCS: Final = Path(__file__).parents[1] / "docs"

EVERYTHING: Final = Options(
    customer_id="M11385",
    note="strategy",
    categories={"Investor": "investor"},
    company_categories={"Investor": "investor"},
    catalogue=(("7", "Investor", False, "Person"), ("8", "Investor", False, "Company")),
    project_status_writes=True,
    new_prospect_status="Assigned",
)
"""Settings in which everything is synced that can be."""

SAMPLES: Final[dict[str, tuple[Value, Value]]] = {
    "email": ("a@example.no", "b@example.no"),
    "phone": ("+4791234567", "+4791234568"),
    "organisation_number": ("923609016", "974760673"),
    "country": ("NO", "SE"),
    "website": ("https://example.no", "https://example.se"),
    "tags": (("investor",), ()),
    "price": ("12500000 SEK", "13500000 SEK"),
    "categories": (("office",), ("retail",)),
    "location": ("59.91,10.75", "55.60,13.00"),
}
"""Two values that can be written, by field; of classifications and texts further down."""

NEEDED: Final = {
    "contact": ("email",),
    "company": ("name",),
    "project": ("name",),
    "property": ("name", "location"),
}
"""What a new record cannot do without."""

PROJECT: Final = (
    '{"estateId": "PRO11385_1", "projectName": "Gammal", "assignment": {"status": {"id": "5", "name": "Vilande"}},'
    ' "baseInformation": {"projectName": "Gammal"}}'
)
"""A project of many units at Vitec: the only kind of estate that can be written."""


def samples(category: str, field: str) -> tuple[Value, Value]:
    """Two values that this field takes."""
    if field == "classification":
        return ("active", "inactive") if category == "project" else ("interested", "bidder")
    return SAMPLES.get(field, ("text", "other text"))


def written(mapping: Lens[Any], field: str) -> str:
    """Where a field stands in what is sent, or why it is not; found by having two values of it sent."""
    needed = {name: samples(mapping.category, name)[0] for name in NEEDED.get(mapping.category, ())}
    present = PROJECT if (mapping.vendor, mapping.category) == ("vitec", "project") else None
    bodies = []
    for value in samples(mapping.category, field):
        patch = mapping.put({**needed, field: value}, present, EVERYTHING, identity="ID")
        for hold in patch.holds:
            if hold.field in (field, RECORD):
                return f"not written: {hold.reason}"
        bodies.append(set(_paths(patch.body)))
    paths = sorted({path for path, _ in bodies[0] ^ bodies[1]})
    return ", ".join(f"`{path}`" for path in paths)


def _paths(body: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    match body:
        case dict():
            for name, value in body.items():
                yield from _paths(value, f"{prefix}.{name}" if prefix else name)
        case list() | tuple():
            for value in body:
                yield from _paths(value, f"{prefix}[]")
        case _:
            yield prefix, str(body)


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def mapping_tables() -> str:
    """docs/mapping-tables.md: which field is called what, and every table of words."""
    parts = [
        "# Mapping tables\n",
        "Written from the code (`make docs`); a test sees that they are current. What they mean, and why, stands in"
        " the\n[mapping rules](mapping-rules.md).\n",
        "## Fields\n",
        "Where a field stands in what is sent to each vendor, with every setting switched on, and the longest text"
        " that it\ntakes; what is longer is held. A field that is never cleared keeps its value when the other side"
        " is emptied.\n",
    ]
    for category in dict.fromkeys(each.category for each in LENSES):
        vitec, propstreet = lens("vitec", category), lens("propstreet", category)
        fields = dict.fromkeys([*vitec.fields, *propstreet.fields])
        rows: list[tuple[object, ...]] = [
            (f"`{field}`", *_cells(vitec, field), *_cells(propstreet, field)) for field in fields
        ]
        parts += [
            f"### {category}\n",
            table(("field", "at Vitec", "longest", "at Propstreet", "longest"), rows),
        ]
    parts += ["## Status of an estate, Vitec to Propstreet\n", _statuses()]
    parts += ["## Level of interest\n", _levels()]
    parts += ["## What each Vitec lets us do\n", _capabilities()]
    return "\n".join(parts)


def _cells(mapping: Lens[Any], field: str) -> tuple[str, str]:
    if field not in mapping.fields:
        return "-", ""
    kept = field in getattr(mapping, "never_cleared", ())
    return written(mapping, field) + (", never cleared" if kept else ""), str(mapping.limits.get(field, ""))


def _statuses() -> str:
    rows: list[tuple[object, ...]] = []
    for status in STATUSES:
        fields = fields_of(status, {})
        shown = [
            "as it is, shown" if str(fields.get(name, "")).startswith(UNMAPPED) else fields.get(name, "")
            for name in ("classification", "status", "stage")
        ]
        sure = "" if status.id in STATED else " (inferred)"
        rows.append((status.rule, f"`{status.name}`", f"{status.id}{sure}", ", ".join(status.labels), *shown))
    return table(("rule", "status", "id", "in Swedish", "classification", "status", "stage"), rows)


def _levels() -> str:
    read: list[tuple[object, ...]] = [
        (number, f"`{name}`", meaning or "as it is, shown") for number, (name, meaning) in LEVELS.items()
    ]
    back: list[tuple[object, ...]] = [
        (classification, f"`{status}`") for classification, status in WRITTEN.items()
    ]
    return (
        table(("number", "read at Vitec", "classification at Propstreet"), read)
        + "\n"
        + table(("classification at Propstreet", "written at Vitec"), back)
    )


def _capabilities() -> str:
    rows: list[tuple[object, ...]] = [
        (product, category, each.read, each.write, each.why)
        for product, categories in CAPABILITIES.items()
        for category, each in categories.items()
    ]
    return table(("product", "category", "read", "written", "how far"), rows)


def metrics() -> str:
    """docs/metrics.md: every metric."""
    rows = "\n".join(
        f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '-'} | {m.of} | {m.help} |" for m in METRICS
    )
    return f"""\
# Metrics

`GET /metrics` answers in the text format of Prometheus, also while the database is away: then `toveis_database_up` is 0,
and what is "in the database" is what was known last. Alert rules and a dashboard stand in
[systemd/](../systemd/README.md#watching-it).

A counter is of one process and begins at 0 with each start; use `rate` and `increase`, and `sum` over daemons. What is
"in the database" every daemon on it shows alike: use `max by (tenant, …)`. An event is counted by the daemon that folds
it, once, wherever it was appended. A limiter may be shared by tenants of one credential: each of them shows it.

| metric | kind | labels | of | what it says |
| --- | --- | --- | --- | --- |
{rows}

`outcome` of a command: {", ".join(OUTCOMES)}. `outcome` of a call: 2xx, 3xx, 4xx, 429, 5xx, or none without an answer.
Beside these stand `process_*` and `python_gc_*` of the Prometheus client.

This page is written from the code (`make docs`).
"""


WRITTEN_FROM_CODE: Final[dict[str, Callable[[], str]]] = {
    "mapping-tables.md": mapping_tables,
    "metrics.md": metrics,
}
"""Each document with what writes it."""


def main() -> None:
    """Write all of them."""
    for name, text in WRITTEN_FROM_CODE.items():
        (DOCS / name).write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
