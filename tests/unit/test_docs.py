"""The documentation holds together: ids stand in it, links lead somewhere, and nothing points outside the project."""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from daemon.domain.capabilities import CAPABILITIES
from daemon.domain.events import TYPES
from daemon.domain.streams import CATEGORIES, LEAD
from daemon.mappings.estate_statuses import STATED, STATUSES
from daemon.mappings.interest_levels import LEVELS
from daemon.sandbox.twins.propstreet.switches import Switches as PropstreetSwitches
from daemon.sandbox.twins.realai.switches import Switches as RealaiSwitches
from daemon.sandbox.twins.vitec_connect.switches import Switches as VitecSwitches

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

ID = re.compile(r"\b(?:PS|RS|VS|[BCDEGHIKLNPQRSTVWX])\d{1,2}\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"\bdocs/[A-Za-z0-9_./-]+\.md\b")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

# An id is meant where it stands in parentheses, or begins a comment or a docstring (`# C15`, `"""T9."""`).
MEANT = re.compile(rf"\(([^()]*)\)|\A[\s#]*({ID.pattern}(?:(?:, | and ){ID.pattern})*)")

OUTSIDE = ("sha" + "red/", "see" + "ds/", "/wo" + "rk/")
"""Places that the project was made from or in, and that nobody who has it can open."""


def project_files() -> list[Path]:
    """Every file of the project; what tools leave behind is not of it."""
    return [path for path in _walk(ROOT) if path.suffix != ".pyc"]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name == "__pycache__" or (path.name.startswith(".") and path.name != ".ci"):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


def prose_of(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module, those behind an attribute among them."""
    source = path.read_text()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


def ids_in(text: str) -> set[str]:
    """The ids that a comment or a docstring names; `S1 to S22` names its two ends."""
    return {name for found in MEANT.finditer(text) for name in ID.findall(found[0])}


def python_files() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py"]


def pages() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def known_ids() -> set[str]:
    return {
        name for page in ("mapping-rules.md", "vendors.md") for name in ID.findall((DOCS / page).read_text())
    }


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of every table row below a heading, up to the next one."""
    section = (DOCS / page).read_text().partition(f"\n{heading}")[2].partition("\n#")[0]
    lines = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split(" |")] for line in lines]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(LINK, "", heading)).strip().lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("# C15", {"C15"}),
        ("# G10, C4", {"G10", "C4"}),
        ("T9.", {"T9"}),
        ("A link (D1, and as K2 says).", {"D1", "K2"}),
        ("the answer of a call (PS14)", {"PS14"}),
        ("# RS4: a blank that does not break", {"RS4"}),
        ("Categories K1 and K2 of the twin", set()),
        ("E.164 (the form of phones)", set()),
    ],
)
def test_an_id_is_told_from_a_word_that_looks_like_one(text: str, ids: set[str]) -> None:
    assert ids_in(text) == ids


def test_every_rule_that_the_code_names_stands_in_the_documentation() -> None:
    known = known_ids()
    unknown = {
        f"{name_of(path)}: {name}"
        for path in python_files()
        for text in prose_of(path)
        for name in ids_in(text) - known
    }
    assert unknown == set()


def test_every_rule_of_a_statement_stands_in_the_documentation() -> None:
    statements = [path for path in project_files() if path.suffix == ".sql"]
    comments = [(path, line) for path in statements for line in re.findall(r"--.*", path.read_text())]
    assert [name_of(path) for path, line in comments if ids_in(line) - known_ids()] == []


def test_a_rule_has_one_place() -> None:
    rows = re.findall(r"^\| ([A-Z]{1,2}\d[^|]*) \|", (DOCS / "mapping-rules.md").read_text(), re.MULTILINE)
    assert [name for name, times in Counter(ID.findall(", ".join(rows))).items() if times > 1] == []


@pytest.mark.parametrize("switches", [PropstreetSwitches, RealaiSwitches, VitecSwitches])
def test_every_switch_of_a_twin_stands_in_the_documentation(switches: type) -> None:
    named = {field.name.upper() for field in fields(switches)}
    assert {name for name in named if ID.fullmatch(name)} - known_ids() == set()


def test_every_category_has_a_row_in_the_design() -> None:
    table = (
        (DOCS / "design.md")
        .read_text()
        .partition("| Category | Vitec | Propstreet |")[2]
        .partition("\n\n")[0]
    )
    named = {
        name for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.MULTILINE) for name in row.split(", ")
    }
    assert named == {*CATEGORIES, LEAD}


def test_what_each_product_can_do_stands_in_the_design() -> None:
    rows = {
        name: row
        for row in rows_of("design.md", "## What each product can do")
        for name in row[0].split(", ")
    }
    for category, capability in CAPABILITIES["hub"].items():
        assert (rows[category][2] == "not available") == (capability.read == "not_readable")
    assert rows.keys() >= CAPABILITIES["connect"].keys()


def test_every_event_has_a_row_in_the_design() -> None:
    rows = re.findall(r"^\| (`[A-Z].*?`) \|", (DOCS / "design.md").read_text(), re.MULTILINE)
    assert set(TYPES) - {name.strip("`") for row in rows for name in row.split(", ")} == set()


def test_the_table_of_statuses_is_that_of_the_code() -> None:
    documented = {row[0]: row[3:6] for row in rows_of("mapping-rules.md", "## 10. ") if row[0][1:].isdigit()}
    for status in STATUSES:
        state = status.state
        meaning = "shown" if state.shown else state.classification or "left"
        assert documented[status.rule] == [state.status or "left", meaning, state.stage or ""]


def test_the_numbers_and_labels_of_statuses_are_those_of_the_code() -> None:
    documented = {row[0].strip("*"): row for row in rows_of("vendors.md", "## Statuses")}
    for status in STATUSES:
        row = documented[str(status.id)]
        assert (row[1].partition(" ")[0], row[3]) == (status.name, "; ".join(status.labels))
        assert row[0].startswith("*") == (status.id in STATED)


def test_the_table_of_levels_is_that_of_the_code() -> None:
    rows = [row for row in rows_of("mapping-rules.md", "### 12.2") if row[2].isdigit()]
    documented = {int(row[2]): (row[1], row[3].partition(":")[0]) for row in rows}
    assert documented == {number: (name, meaning or "none") for number, (name, meaning) in LEVELS.items()}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        place, _, anchor = link.partition("#")
        if place.startswith(("https:", "http:", "mailto:")):
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


def test_a_page_that_is_mentioned_exists() -> None:
    mentioned = {
        (name_of(path), page)
        for path in project_files()
        if path.suffix in (".py", ".sql", ".toml", ".md")
        for page in MENTION.findall(path.read_text())
    }
    assert {page for _, page in mentioned if not (ROOT / page).exists()} == set()


def test_the_decisions_are_numbered_without_a_gap_and_listed() -> None:
    names = sorted(path.name for path in (DOCS / "decisions").iterdir())
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    design = (DOCS / "design.md").read_text()
    assert [name for name in names if f"(decisions/{name})" not in design] == []
    for name in names:
        text = (DOCS / "decisions" / name).read_text()
        assert re.findall(r"^#+ (.+)$", text, re.MULTILINE)[1:] == ["Context", "Decision", "Consequences"]
        assert text.startswith(f"# {name[:4]} ")


def test_nothing_points_outside_the_project() -> None:
    pointing = {
        f"{name_of(path)}: {place}"
        for path in project_files()
        for place in OUTSIDE
        if place in path.read_text(errors="ignore")
    }
    assert pointing == set()


def test_every_test_that_a_guarantee_names_exists_and_is_as_slow_as_it_says() -> None:
    slow: dict[str, bool] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [ast.unparse(each) for each in node.decorator_list]
                slow[node.name] = "pytest.mark.slow" in marks
    named = re.findall(r"(† )?`(test_\w+)`", (DOCS / "guarantees.md").read_text("utf-8"))
    assert len(named) > 30
    assert [name for _, name in named if name not in slow] == []
    assert [name for dagger, name in named if bool(dagger) != slow[name]] == []
