"""What was written elsewhere steers no terminal here."""

from uuid import UUID

import pytest

from daemon.cli.harmless import harmless
from daemon.cli.outbound import print_table
from daemon.cli.pictures import print_picture
from projections.commands import CommandRow

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
