"""What was written elsewhere steers no terminal here."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from daemon.cli.causes import Node
from daemon.cli.changes import KINDS, Change
from daemon.cli.comparing import print_changes
from daemon.cli.explaining import print_reasons
from daemon.cli.harmless import harmless
from daemon.cli.outbound import print_table
from daemon.cli.pictures import print_picture
from daemon.cli.reasons import Carried, Held, Lost, Why
from daemon.cli.stories import Line
from daemon.cli.tracing import print_tree
from daemon.domain.events import OBSERVED, Event
from projections.commands import CommandRow
from projections.entity import Entity, Side

ODD = "\x1b]0;owned\x07\x1b[2J\u202etxt\r\n"


@pytest.mark.parametrize("text", [ODD, "\x9b31m", "\u2066", "\u2028"])
def test_no_sign_that_steers_a_terminal_is_left(text: str) -> None:
    assert harmless(text).isprintable()


def test_ordinary_text_stays_as_it_is() -> None:
    assert harmless("Åsa Öberg, 12 345 kr – 🏢") == "Åsa Öberg, 12 345 kr – 🏢"


def test_a_picture_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    origin = {"side": "vitec", "since": None}
    print_picture(
        {
            "entity": str(UUID(int=1)),
            "category": "contact",
            "records": [f"vitec:{ODD}"],
            "linked_by": None,
            "hold": ODD,
            "tombstone": None,
            "flags": [ODD, f"level:{ODD}"],
            "lead": None,
            "fields": {"tags": origin, "name": origin},
            "shadows": {"vitec": {"tags": {"value": [ODD]}, "name": {"value": ODD}}, "propstreet": {}},
        },
        as_json=False,
    )
    shown(capsys)


def test_a_list_of_commands_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = CommandRow(**dict.fromkeys(CommandRow.__struct_fields__) | COMMAND)  # type: ignore[arg-type]
    print_table([row], [], [])
    shown(capsys)


COMMAND = {
    "command": str(UUID(int=2)),
    "entity": str(UUID(int=1)),
    "category": "contact",
    "state": "held",
    "target": "vitec",
    "fields": ("email",),
    "reason": "duplicate",
    "detail": ODD,
}


def shown(capsys: pytest.CaptureFixture[str]) -> None:
    out = capsys.readouterr().out
    assert "txt" in out
    assert all(line.isprintable() for line in out.split("\n"))


def test_an_explanation_a_difference_and_a_trace_steer_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = Lost(ODD, ODD, "vitec", NOON, 1, ODD, True)
    carried = Carried(ODD, "vitec", "dead", 1, 2, NOON, ODD)
    held = Held("vitec", "held", ODD, ODD, ODD)
    why = Why(
        *("phone", ODD, "propstreet", 1, NOON, ODD, [lost], f"propstreet:{ODD}", NOON, "webhook", ODD, ODD),
        values={"vitec": ODD, "propstreet": (ODD,)},
        agreed=False,
        command=carried,
        held=[held],
    )
    print_reasons(Entity("con-1", "contact", sides={"vitec": Side(ODD, 1)}, tombstone=ODD), [why])
    shown(capsys)
    for kind in KINDS:
        side = "vitec" if kind == "held" else f"vitec:{ODD}"
        change = Change(kind, side, ODD, ODD, (ODD,), 1, NOON, "vitec", "RecordObserved", "poll")
        print_changes({**HEAD, "records": [ODD]}, [change], NOON, NOON)
        shown(capsys)
    event = Event(
        1, UUID(int=1), "contact:con-1", 1, OBSERVED, 1, "vitec", NOON, NOON, None, UUID(int=1), "{}", None
    )
    print_tree([Node(Line(event, None, ODD), None, 0, True)])
    shown(capsys)


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HEAD = {"entity": "con-1", "category": "contact", "linked_by": ODD, "hold": ODD, "tombstone": ODD}
