"""The metrics: each documented, each well formed, and none that an alert rule or the dashboard only imagines."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.metrics import (
    ANSWERS,
    BUCKETS,
    CALLS,
    METRICS,
    Tallies,
    exposed,
    outcome_of,
)

ROOT = Path(__file__).parents[2]
RULES = ROOT / "systemd" / "toveis.rules.yml"
DASHBOARD = ROOT / "systemd" / "toveis.dashboard.json"
NAME = re.compile(r"\btoveis_[a-z_]+")
PROMTOOL = os.environ.get("TOVEIS_PROMTOOL") or shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: the package prometheus)"
)


def value_of(metric: Any) -> tuple[str, tuple[str, ...], float]:
    return metric.name, tuple(f"<{label}>" for label in metric.labels), 1.0


def everything() -> bytes:
    """A scrape in which every metric has a value."""
    tallies = Tallies()
    tallies.begin("oslo")
    for status in (200, 204, 404, 429, 503, None):
        tallies.timing("vitec")("GET /CRM/Contact/{customer}", status, 0.3)
    tallies.counts[ANSWERS]["vitec", "200"] += 1
    return exposed(tallies, [value_of(metric) for metric in METRICS if metric.kind != "histogram"])


def families(text: bytes) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def base(name: str) -> str:
    """The name of a metric without what Prometheus appends to that of a histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name) if name.startswith(CALLS) else name


def test_a_scrape_parses_and_has_every_metric_with_its_kind_and_its_labels() -> None:
    found = families(everything())
    for metric in METRICS:
        family = found[metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(metric.labels), metric.name
    assert {"process_cpu_seconds", "python_gc_collections"} <= found.keys()


def test_no_metric_can_have_a_label_that_grows_with_the_records() -> None:
    allowed = {
        *("tenant", "vendor", "target", "stage", "source", "category", "window", "route", "method"),
        *("type", "origin", "outcome", "reason", "winner", "status", "version", "python"),
    }
    assert {label for metric in METRICS for label in metric.labels} <= allowed


def test_a_call_is_counted_in_every_bucket_that_is_wide_enough() -> None:
    tallies = Tallies()
    for seconds in (0.01, 0.1, 0.3, 31.0):
        tallies.timing("vitec")("PUT /CRM/Contact/{customer}/Person", 200, seconds)
    samples = {(s.name, s.labels.get("le")): s.value for s in families(exposed(tallies, []))[CALLS].samples}
    assert [samples[f"{CALLS}_bucket", str(bound)] for bound in BUCKETS] == [1, 2, 2, 3, 3, 3, 3, 3, 3]
    assert samples[f"{CALLS}_bucket", "+Inf"] == samples[f"{CALLS}_count", None] == 4
    assert samples[f"{CALLS}_sum", None] == pytest.approx(31.41)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "2xx"), (304, "3xx"), (404, "4xx"), (429, "429"), (503, "5xx"), (None, "none")],
)
def test_answers_are_told_apart_by_their_class(status: int | None, outcome: str) -> None:
    assert outcome_of(status) == outcome


def test_what_may_happen_is_there_before_it_happens() -> None:
    tallies = Tallies()
    tallies.begin("oslo")
    dead = [
        sample.value
        for sample in families(exposed(tallies, []))["toveis_commands"].samples
        if sample.labels["outcome"] == "dead"
    ]
    assert dead == [0, 0]


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_every_metric_that_rules_and_dashboard_name_exists(file: Path) -> None:
    text = file.read_text("utf-8")
    named = {base(name) for name in NAME.findall(text)}
    assert named - {metric.name for metric in METRICS} == set()
    assert len(named) > 8


def test_every_metric_that_can_go_wrong_has_a_rule_or_a_panel() -> None:
    text = RULES.read_text("utf-8") + DASHBOARD.read_text("utf-8")
    shown = {base(name) for name in NAME.findall(text)}
    assert {metric.name for metric in METRICS} - shown == {"toveis_build_info", "toveis_log_head"} - shown


def test_the_dashboard_can_be_imported_and_no_panel_covers_another() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["expr"] for target in panel["targets"])


def test_every_alert_says_what_to_do() -> None:
    text = RULES.read_text("utf-8")
    assert text.count("- alert:") == text.count("summary:") == text.count("description:") >= 10


@needs_promtool
def test_promtool_finds_the_metrics_clean() -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=everything(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
