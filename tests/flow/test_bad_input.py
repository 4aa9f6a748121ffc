"""Whatever is typed wrong is answered in words that say what to do, with the exit code of the contract."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from daemon.cli import COMMANDS, _main
from tests.flow.commands import every_command
from tests.flow.conftest import Flow, up

GOOD = {
    "category": "contact",
    "ref": "kari@example.no",
    "reason": "a reason",
}
"""What is typed for what is needed, while something else is wrong."""

WRONG: dict[str, list[str]] = {
    "config_file": ["nowhere.toml"],
    "tenant": ["nobody", ""],
    "view": ["dragons", ""],
    "reason": ["", "  "],
    "ref": ["nobody@example.no", "", "propstreet:", "\x1b[31mred\x1b[0m"],
}
"""What is wrong for an option, by its name, where its type does not tell."""


def values(param: click.Parameter) -> list[str]:
    """What is typed wrong for this parameter."""
    if param.metavar in ("T", "T1", "T2"):
        return ["yesterdayish", "2026-13-45", "", "99999999d ago", "-1h"]
    kind = param.type
    if isinstance(kind, click.Choice):
        return ["dragon", ""]
    if isinstance(kind, click.IntRange | click.FloatRange):
        return ["many", "-1", "nan", ""]
    if kind.name in ("integer", "float"):
        return ["many", ""]
    return WRONG.get(param.name or "", WRONG["ref"])


def typed(params: list[click.Parameter], wrong: click.Parameter, value: str) -> list[str]:
    """The words of a command in which one parameter is wrong."""
    words: list[str] = []
    for param in params:
        name = param.name or ""
        if isinstance(param, click.Argument):
            words.append(value if param is wrong else GOOD.get(name, "0d5e5c0a"))
        elif param is wrong:
            words += [param.opts[0], value] if not getattr(param, "is_flag", False) else []
        elif param.required:
            words += [param.opts[0], GOOD.get(name, "1h ago")]
    return words


def cases() -> Iterator[tuple[str, ...]]:
    for path, command in every_command():
        if isinstance(command, click.Group):
            yield (*path.split()[1:], "dragon")
            continue
        for param in command.params:
            if path == "toveis doctor" and param.name == "config_file":
                continue  # a bad configuration is a check that has failed
            if not getattr(param, "is_flag", False):
                for value in values(param):
                    yield (*path.split()[1:], *typed(command.params, param, value))
        yield (*path.split()[1:], "--dragon")
        yield (*path.split()[1:], "one", "word", "too", "much")


@pytest.fixture(scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Flow]:
    async with up(tmp_path_factory.mktemp("office"), cluster, poll="1s") as running:
        running.world.vitec.create(
            "person", firstName="Kari", lastName="Vik", email={"emailAddress": "kari@example.no"}
        )
        await running.settled()
        yield running


@pytest.mark.parametrize("words", [pytest.param(each, id=" ".join(each)) for each in cases()])
async def test_what_is_typed_wrong_is_answered_in_words_that_say_what_to_do(
    words: tuple[str, ...], office: Flow, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOVEIS_CONFIG", str(office.config_file))
    monkeypatch.chdir(tmp_path)
    code = await asyncio.to_thread(_main, list(words))
    told = capsys.readouterr()
    assert (code, told.out) == (2, ""), told
    assert told.err.startswith("toveis: ")
    first, *candidates = told.err.splitlines()
    assert len(first) <= (700 if "is not one of" in first else 300)
    assert all(line.startswith("  ") for line in candidates)
    assert "\x1b" not in told.err
    assert "Traceback" not in told.err


async def test_what_nobody_expected_is_exit_code_70_and_says_nothing_of_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("kari@example.no")

    monkeypatch.setattr("daemon.cli.inspecting.load", fail)
    assert _main(["status"]) == 70
    told = capsys.readouterr().err
    assert told.startswith("toveis: unexpected RuntimeError at test_bad_input.py:")
    assert told.count("\n") == 1
    assert "kari" not in told


def test_every_command_is_among_those_that_are_typed_wrong() -> None:
    assert {words[0] for words in cases()} == set(COMMANDS)
