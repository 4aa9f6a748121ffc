"""What `toveis doctor` makes of what it found: every check well, every one at fault, and what it says to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from daemon.domain.subscriptions import Health
from daemon.policies import checking
from daemon.policies.checking import LITTLE, TOO_LITTLE, Check, ago

NOW: Final = datetime(2026, 5, 18, 12, tzinfo=UTC)
HEARD: Final = Health("propstreet", "working", NOW, heard_at=NOW)
UNHEARD: Final = Health("propstreet", "unheard", NOW)
SILENT: Final = Health("propstreet", "silent", NOW, heard_at=NOW)
URL: Final = "https://sync.example.no"
GB: Final = 1024**3

Make = Callable[[], Check]

TABLE: Final[list[tuple[str, str, Make]]] = [
    ("a newer server", "ok", lambda: checking.database(180004, "18.4", GB, "UTF8")),
    ("the oldest server", "ok", lambda: checking.database(150000, "15.0", GB, "UTF8")),
    ("too old a server", "failed", lambda: checking.database(140011, "14.11", GB, "UTF8")),
    ("another encoding", "failed", lambda: checking.database(180004, "18.4", GB, "SQL_ASCII")),
    ("all migrations", "ok", lambda: checking.migrations([])),
    ("a migration missing", "failed", lambda: checking.migrations(["0008_x.sql"])),
    ("only additions", "ok", lambda: checking.append_only(member=True, may=(), triggers=2)),
    ("not in the role", "failed", lambda: checking.append_only(member=False, may=(), triggers=2)),
    ("may change", "failed", lambda: checking.append_only(member=True, may=("UPDATE",), triggers=2)),
    ("no trigger", "failed", lambda: checking.append_only(member=True, may=(), triggers=1)),
    ("views of now", "ok", lambda: checking.views("oslo", fits=True, stale=False, behind=0, runs=True)),
    ("views that follow", "ok", lambda: checking.views("oslo", fits=True, stale=False, behind=9, runs=True)),
    (
        "nobody folds",
        "warning",
        lambda: checking.views("oslo", fits=True, stale=False, behind=9, runs=False),
    ),
    ("stale views", "warning", lambda: checking.views("oslo", fits=True, stale=True, behind=0, runs=True)),
    ("other views", "failed", lambda: checking.views("oslo", fits=False, stale=False, behind=0, runs=True)),
    ("a whole log", "ok", lambda: checking.log("oslo", 12, 0, None)),
    ("an empty log", "ok", lambda: checking.log("oslo", 0, 0, None)),
    ("a gap", "failed", lambda: checking.log("oslo", 12, 1, None)),
    ("an unknown event", "failed", lambda: checking.log("oslo", 12, 0, "event 9 is a Thing")),
    ("let in", "ok", lambda: checking.credentials("oslo", "vitec", "answered", "it lets us in")),
    ("refused", "failed", lambda: checking.credentials("oslo", "vitec", "refused", "it refuses us (401)")),
    ("limited", "warning", lambda: checking.credentials("oslo", "vitec", "limited", "for now")),
    ("away", "failed", lambda: checking.credentials("oslo", "propstreet", "away", "no connection")),
    ("clocks agree", "ok", lambda: checking.clock("oslo", "vitec", -1.5)),
    ("a minute ahead", "warning", lambda: checking.clock("oslo", "vitec", 61.0)),
    ("a minute behind", "warning", lambda: checking.clock("oslo", "vitec", -61.0)),
    ("six minutes", "failed", lambda: checking.clock("oslo", "vitec", 360.0)),
    ("no Date", "warning", lambda: checking.clock("oslo", "vitec", None)),
    ("the way is open", "ok", lambda: checking.public_url(URL, "daemon")),
    ("loopback", "ok", lambda: checking.public_url("http://127.0.0.1:8080", "daemon")),
    ("plain http", "failed", lambda: checking.public_url("http://sync.example.no", "daemon")),
    ("no name", "failed", lambda: checking.public_url(URL, "unresolved")),
    ("nobody there", "failed", lambda: checking.public_url(URL, "nobody", "ClientConnectorError")),
    ("no daemon runs", "warning", lambda: checking.public_url(URL, "nobody", "x", runs=False)),
    ("somebody else", "failed", lambda: checking.public_url(URL, "stranger", "it says 404")),
    ("none", "warning", lambda: checking.public_url(None, "unasked")),
    ("a webhook that works", "ok", lambda: checking.webhook("oslo", "working", HEARD, "1 s ago")),
    ("one that nothing came by", "ok", lambda: checking.webhook("oslo", "working", UNHEARD, "never")),
    ("one that is silent", "warning", lambda: checking.webhook("oslo", "working", SILENT, "1 d ago")),
    ("unwatched", "warning", lambda: checking.webhook("oslo", "unwatched", HEARD, "1 s ago")),
    *(
        (state, "failed", lambda state=state: checking.webhook("oslo", state, HEARD, "1 s ago"))
        for state in ("missing", "elsewhere", "disabled", "incomplete", "unverified")
    ),
    (
        "notified",
        "ok",
        lambda: checking.notifications("oslo", HEARD, "1 s ago", secret=True, hub=False),
    ),
    ("the Hub", "ok", lambda: checking.notifications("oslo", None, "never", secret=False, hub=True)),
    (
        "no secret",
        "warning",
        lambda: checking.notifications("oslo", None, "never", secret=False, hub=False),
    ),
    (
        "never notified",
        "warning",
        lambda: checking.notifications("oslo", None, "never", secret=True, hub=False),
    ),
    (
        "no longer notified",
        "warning",
        lambda: checking.notifications("oslo", SILENT, "1 d ago", secret=True, hub=False),
    ),
    ("room", "ok", lambda: checking.disk("/var/lib/toveis", LITTLE, 9 * LITTLE)),
    ("little room", "warning", lambda: checking.disk("/var/lib/toveis", LITTLE - 1, 9 * LITTLE)),
    ("a full disk", "failed", lambda: checking.disk("/var/lib/toveis", TOO_LITTLE - 1, 9 * LITTLE)),
    ("nothing waits", "ok", lambda: checking.first_sync("oslo", 0)),
    ("some wait", "warning", lambda: checking.first_sync("oslo", 3)),
    ("its own user", "ok", lambda: checking.embedded(root=False)),
    ("root", "warning", lambda: checking.embedded(root=True)),
    ("time zones", "ok", lambda: checking.time_zones(known=True)),
    ("no time zones", "failed", lambda: checking.time_zones(known=False)),
]


@pytest.mark.parametrize(("state", "make"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_every_check_says_how_it_is_and_one_that_is_not_well_says_what_to_do(state: str, make: Make) -> None:
    check = make()
    assert (check.state, check.detail != "") == (state, True)
    if state == "failed":
        assert check.advice
    if state == "ok":
        assert check.advice in ("", "run `toveis webhooks test`")


def test_every_problem_of_a_configuration_is_a_failed_check_and_every_warning_a_warning() -> None:
    found = checking.configuration(["a: is missing", "b: is blank"], ["c: without it"])
    assert [check.state for check in found] == ["failed", "failed", "warning"]
    [fine] = checking.configuration([], [])
    assert fine.state == "ok"


def test_what_could_not_be_looked_at_is_said_and_fails_nothing_more() -> None:
    found = checking.not_looked_at(["views", "log"], "there is no database")
    assert [(check.check, check.state) for check in found] == [("views", "warning"), ("log", "warning")]


@pytest.mark.parametrize(
    ("passed", "words"),
    [(0, "0 s ago"), (-5, "0 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")],
)
def test_how_long_ago_is_said_in_the_greatest_unit(passed: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=passed), NOW) == words
    assert ago(None, NOW) == "never"
