"""What the daemon counts of itself, and every metric that it shows at /metrics.

What is counted is counted in memory as it passes, never in the log: a scrape of a log of a million events costs what one
of an empty log costs. Labels name tenants, vendors, stages and kinds; never a record, an event or a person.
"""

import platform
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

import msgspec

from daemon.domain.events import ConflictResolved, Event, decision_of
from daemon.domain.streams import VENDORS
from daemon.policies.echoing import echoes
from projections.views import Fold

Labels = tuple[str, ...]
Sample = tuple[str, Labels, float]

Of = Literal["since the start", "now, here", "now, in the database"]


class Metric(msgspec.Struct, frozen=True):
    """One metric. `of` says what its value is of: of this process since it started, of this process now, or of the
    database, which every daemon on it shows alike."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    of: Of
    labels: Labels
    help: str


EVENTS: Final = "toveis_events_total"
COMMANDS: Final = "toveis_commands_total"
ECHOES: Final = "toveis_echoes_suppressed_total"
CONFLICTS: Final = "toveis_conflicts_total"
ANSWERS: Final = "toveis_port_answers_total"
CALLS: Final = "toveis_vendor_call_duration_seconds"

METRICS: Final[tuple[Metric, ...]] = (
    Metric("toveis_build_info", "gauge", "now, here", ("version", "python"), "1; what runs."),
    Metric("toveis_ready", "gauge", "now, here", (), "1 when /readyz says so."),
    Metric("toveis_database_up", "gauge", "now, here", (), "1 when the database answered this scrape."),
    Metric("toveis_lease_held", "gauge", "now, here", ("tenant",), "1 where this daemon has the tenant."),
    Metric("toveis_log_head", "gauge", "now, in the database", ("tenant",), "Position of the newest event."),
    Metric(
        "toveis_stage_lag_events",
        "gauge",
        "now, in the database",
        ("tenant", "stage"),
        "Events of the log that a stage has not seen yet.",
    ),
    Metric(
        "toveis_stage_failures",
        "gauge",
        "now, here",
        ("tenant", "stage"),
        "Rounds of a stage that failed in a row; 0 when the last one went well.",
    ),
    Metric(
        EVENTS,
        "counter",
        "since the start",
        ("tenant", "type", "origin"),
        "Events that were folded into the views here, whoever appended them.",
    ),
    Metric(
        COMMANDS,
        "counter",
        "since the start",
        ("tenant", "target", "outcome"),
        "Outcomes of commands that were folded here.",
    ),
    Metric(
        "toveis_commands_waiting",
        "gauge",
        "now, in the database",
        ("tenant", "target"),
        "Commands that are due, under way, or of unknown outcome.",
    ),
    Metric(
        "toveis_dead_letters",
        "gauge",
        "now, in the database",
        ("tenant", "target"),
        "Commands that a vendor refused for good, or that were given up.",
    ),
    Metric(
        "toveis_commands_held",
        "gauge",
        "now, in the database",
        ("tenant", "reason"),
        "Commands that are held, by the reason that `toveis commands --held` shows.",
    ),
    Metric(
        "toveis_entities_held",
        "gauge",
        "now, in the database",
        ("tenant", "reason"),
        "Entities that wait for an operator, by reason; at most a minute old.",
    ),
    Metric(
        "toveis_batches_held",
        "gauge",
        "now, in the database",
        ("tenant",),
        "So many times a brake holds too many changes at once.",
    ),
    Metric(
        "toveis_backfill_waiting_entities",
        "gauge",
        "now, in the database",
        ("tenant",),
        "Entities that wait for `toveis backfill`; at most a minute old.",
    ),
    Metric(
        ECHOES,
        "counter",
        "since the start",
        ("tenant", "vendor"),
        "Content that came back after our own writes and changed nothing.",
    ),
    Metric(
        CONFLICTS,
        "counter",
        "since the start",
        ("tenant", "category", "winner"),
        "Fields that both sides had changed, by the side that won.",
    ),
    Metric(
        "toveis_webhook_age_seconds",
        "gauge",
        "now, in the database",
        ("tenant", "vendor"),
        "Seconds since the last delivery of a vendor; none before the first.",
    ),
    Metric(
        "toveis_subscription_failing",
        "gauge",
        "now, in the database",
        ("tenant", "vendor"),
        "1 where a vendor should tell us of changes and does not; `toveis status` says why.",
    ),
    Metric(
        "toveis_poll_age_seconds",
        "gauge",
        "now, in the database",
        ("tenant", "source"),
        "Seconds since the last complete poll of a source; none before the first.",
    ),
    Metric(
        CALLS,
        "histogram",
        "since the start",
        ("vendor", "method", "outcome"),
        "How long calls to a vendor took, without the wait for the limiter.",
    ),
    Metric(
        "toveis_vendor_up",
        "gauge",
        "now, here",
        ("tenant", "vendor"),
        "0 while a vendor does not answer and nobody calls it.",
    ),
    Metric(
        "toveis_vendor_clock_skew_seconds",
        "gauge",
        "now, here",
        ("tenant", "vendor"),
        "By how much a vendor's clock is ahead of ours, as its last answer said.",
    ),
    Metric(
        "toveis_limiter_used_calls",
        "gauge",
        "now, here",
        ("tenant", "vendor", "window"),
        "Calls that a window of the credential holds, those of other processes included.",
    ),
    Metric(
        "toveis_limiter_limit_calls",
        "gauge",
        "now, here",
        ("tenant", "vendor", "window"),
        "Calls that a window may hold.",
    ),
    Metric(
        "toveis_limiter_waiting_calls",
        "gauge",
        "now, here",
        ("tenant", "vendor"),
        "Calls that wait for the limiter.",
    ),
    Metric(
        ANSWERS,
        "counter",
        "since the start",
        ("route", "status"),
        "Answers of the open port to the vendors, to forms and to everybody else.",
    ),
)
"""Every metric of our own. Beside them stand `process_*` and `python_gc_*` of prometheus-client."""

OUTCOMES: Final = ("succeeded", "failed", "unknown", "superseded", "dead", "held", "discarded")
_OUTCOME_OF: Final = {
    "CommandSucceeded": "succeeded",
    "CommandFailed": "failed",
    "CommandUnknown": "unknown",
    "CommandSuperseded": "superseded",
    "CommandDeadLettered": "dead",
    "CommandHeld": "held",
    "CommandDiscarded": "discarded",
}

BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: a vendor answers in tenths of a second, and is given up after thirty."""


class Timed(msgspec.Struct):
    """How many calls took how long: one count for each bucket, and one for all that took longer."""

    counts: list[int]
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more call."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """(upper bound, calls that took no longer), as Prometheus has them."""
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            yield bound, total


class Tallies:
    """What this process has counted since it started; every part that counts shares one."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[Labels]] = defaultdict(Counter)
        self.calls: dict[Labels, Timed] = {}
        self.heard: dict[tuple[str, str], datetime] = {}
        """When each vendor delivered something to a tenant here, last."""

    def begin(self, tenant: str) -> None:
        """Show what may happen to a tenant before it happens: a first dead letter is then an increase."""
        for vendor in VENDORS:
            self.counts[ECHOES][tenant, vendor] += 0
            for outcome in OUTCOMES:
                self.counts[COMMANDS][tenant, vendor, outcome] += 0

    def folded(self, fold: Fold, events: Sequence[Event]) -> None:
        """A page of events, right after it was folded and stored."""
        for event in events:
            self.counts[EVENTS][fold.tenant, event.type, event.origin] += 1
            if event.type in _OUTCOME_OF:
                self._outcome(fold, event)
            elif event.type == ConflictResolved.__name__:
                self._conflict(fold.tenant, event)
        for vendor, count in echoes(fold.entities, events).items():
            self.counts[ECHOES][fold.tenant, vendor] += count

    def _outcome(self, fold: Fold, event: Event) -> None:
        row = fold.commands.get(getattr(decision_of(event), "command", ""))
        if row is not None:
            self.counts[COMMANDS][fold.tenant, row.target, _OUTCOME_OF[event.type]] += 1

    def _conflict(self, tenant: str, event: Event) -> None:
        decision = decision_of(event)
        if isinstance(decision, ConflictResolved) and decision.restores is None:
            self.counts[CONFLICTS][tenant, event.stream.partition(":")[0], decision.winner] += 1

    def timing(self, vendor: str) -> Callable[[str, int | None, float], None]:
        """What is told of each call to a vendor: the route, the status (None without an answer), the seconds."""

        def called(route: str, status: int | None, seconds: float) -> None:
            method = route.partition(" ")[0]
            self.calls.setdefault((vendor, method, outcome_of(status)), Timed([0] * (len(BUCKETS) + 1))).add(
                seconds
            )

        return called


def outcome_of(status: int | None) -> str:
    """The class of a vendor's answer: `2xx` to `5xx`, 429 by itself, or `none`."""
    if status is None:
        return "none"
    return "429" if status == 429 else f"{status // 100}xx"


class Exposition:
    """All metrics of one scrape, as prometheus-client wants them."""

    def __init__(self, tallies: Tallies, samples: Iterable[Sample]) -> None:
        self._tallies = tallies
        self._values: dict[str, dict[Labels, float]] = {name: dict(of) for name, of in tallies.counts.items()}
        self._values["toveis_build_info"] = {(program_version(), platform.python_version()): 1}
        for name, labels, value in samples:
            self._values.setdefault(name, {})[labels] = value

    def collect(self) -> Iterator[Any]:
        """A family for every metric of the table, also one without a value."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for metric in METRICS:
            if metric.kind == "histogram":
                times = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, timed in self._tallies.calls.items():
                    times.add_metric(labels, list(timed.buckets()), timed.seconds)
                yield times
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in sorted(self._values.get(metric.name, {}).items()):
                family.add_metric(labels, value)
            yield family


def exposed(tallies: Tallies, samples: Iterable[Sample]) -> bytes:
    """The text of a scrape, with what prometheus-client itself says of the process and of its garbage collector."""
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(Exposition(tallies, samples))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return generate_latest(registry)


@cache
def program_version() -> str:
    """The version that was installed."""
    try:
        return version("toveis")
    except PackageNotFoundError:
        return "unknown"
