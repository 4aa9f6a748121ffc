"""What replay and verify say: how far they are, and where views differ, on any terminal."""

from typing import Any

import pytest

from daemon.cli import USAGE, _main
from daemon.cli.pacing import Pace, progress
from daemon.cli.replaying import tell, words
from daemon.storage.rebuild import Difference


def test_a_pace_tells_events_a_second_and_the_time_that_is_left() -> None:
    pace = Pace()
    assert pace.words(0, 1_000_000, 100.0) == "0 of 1,000,000 events"
    assert pace.words(250_000, 1_000_000, 110.0) == "250,000 of 1,000,000 events, 25,000 events/s, 0:30 left"
    assert pace.words(10_000, 1_000_000, 110.0).endswith("1,000 events/s, 16:30 left")
    assert pace.words(5, 5, 100.0).endswith("0:00 left")


def test_what_went_before_the_first_report_does_not_count_as_slow() -> None:
    pace = Pace()
    assert pace.words(2_000, 1_000_000, 60.0) == "2,000 of 1,000,000 events"
    assert pace.words(12_000, 32_000, 61.0) == "12,000 of 32,000 events, 10,000 events/s, 0:02 left"


def test_where_there_is_no_terminal_nothing_is_said_of_what_is_short_and_a_line_now_and_then_of_what_is_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress("folding", "writing") as report:
        for second in range(10):
            now[0] = float(second)
            report(second * 100, 4000)
    assert capsys.readouterr() == ("", "")
    now[0] = 0.0
    with progress("folding", "writing") as report:
        for second in range(41):
            now[0] = float(second)
            report(second * 100, 4000)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "folding: 1,000 of 4,000 events, 100 events/s, 0:30 left",
        "folding: 2,000 of 4,000 events, 100 events/s, 0:20 left",
        "folding: 3,000 of 4,000 events, 100 events/s, 0:10 left",
        "writing: 4,000 of 4,000 events, 100 events/s, 0:00 left",
    ]


def test_on_a_terminal_a_bar_is_drawn_and_wiped_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with progress("folding", "writing") as report:
        report(1, 4)
        report(4, 4)
    told = capsys.readouterr()
    assert told.out == ""
    assert "writing" in told.err
    assert "4 events" in told.err


def lines(*parts: Any) -> list[str]:
    return list(words(Difference(*parts)))


def test_a_difference_names_view_entity_and_field_and_both_values_below_it() -> None:
    assert lines("contacts", "con-1", "last_name", "Ingen", "Øst") == [
        "contacts  con-1  last_name",
        '    live   "Ingen"',
        '    fresh  "Øst"',
    ]
    assert lines("records", "con-1", "*", None, {"gone": None}) == [
        "records  con-1  *",
        "    live   no such row",
        '    fresh  {"gone":null}',
    ]
    assert lines("contacts", "con-1", "email", None, "a@b.se")[1:] == [
        "    live   null",
        '    fresh  "a@b.se"',
    ]


def test_of_long_values_the_place_is_shown_where_they_part() -> None:
    one, other = ({"text": "x" * 300 + sign + "y" * 300} for sign in "ab")
    _, live, fresh = lines("entities", "con-1", "state", one, other)
    assert "xay" in live
    assert "xby" in fresh
    assert max(len(live), len(fresh)) <= 80


def test_what_is_told_steers_no_terminal_and_ends_with_how_many_there_are_in_each_view(
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = "\x1b[2J\x9b31m\u202eevil\r\n"
    found = [
        Difference("contacts", odd, "first_name", odd, None),
        Difference("contacts", "con-2", "*", None, {"first_name": odd}),
        Difference("records", "con-2", "need", 1, 2),
    ]
    tell(found, as_json=False)
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.split("\n"))
    assert told.splitlines()[-1] == "3 differences: contacts 2, records 1"
    tell(found[:1], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "1 difference: contacts 1"
    tell([], as_json=False)
    assert capsys.readouterr().out == "no difference\n"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--view", "contact"], "there are: entities,"),
        (["--view", "contacts"], "give --view together with --dry-run"),
        (["--json"], "give --json together with --dry-run"),
        (["--rollback", "--dry-run"], "not both"),
    ],
)
def test_what_cannot_be_asked_of_a_replay_is_one_line_that_says_what_to_give(
    capsys: pytest.CaptureFixture[str], arguments: list[str], advice: str
) -> None:
    assert _main(["replay", *arguments]) == USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert advice in told.err
    assert len(told.err.splitlines()) == 1
