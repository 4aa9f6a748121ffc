"""Every example that a `--help` prints is typed as it stands there, by a shell, in a world that has what it names."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.world import PATH_SECRET, TENANT, world
from daemon.storage import views
from tests.conftest import eventually
from tests.flow.commands import every_command, examples
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis
from tests.flow.test_every_fault import refused

FINDINGS = {"toveis backfill --dry-run"}
"""Examples that have something to tell here: exit code 1."""

ALONE = {"run", "sandbox"}
"""Commands that go on until they are told to stop, or bring a world of their own."""


ALL = [(path, line) for path, command in every_command() for line in examples(command)]
HERE = list(dict.fromkeys(line for path, line in ALL if path.split()[1] not in ALONE))
SANDBOX = [line for path, line in ALL if path == "toveis sandbox"]


@pytest.mark.parametrize("path", [path for path, _ in every_command()])
def test_every_command_has_an_example_of_itself(path: str) -> None:
    assert any(line.startswith(path) for each, line in ALL if each == path)


class Town(Flow):
    """A world with what the examples name; `real` says what each printed name is called here."""

    real: dict[str, str]


@pytest.fixture(scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, cluster: Path) -> AsyncIterator[Town]:
    directory = tmp_path_factory.mktemp("examples")
    async with world() as place:
        early = {"firstName": "Før", "lastName": "Alt", "email": {"emailAddress": "early@example.no"}}
        place.vitec.create("person", **early)
        sync = 'first_sync = "wait"\nnew_from_propstreet = "hold"'
        running = Town(place, directory, "1s", sync, registers=True)
        shutil.copytree(cluster, running.data)
        try:
            await running.daemon.start()
            place.vitec.subscribe(f"{place.daemon_url}/webhooks/vitec/{TENANT}/{PATH_SECRET}")
            await running.settled()
            running.real = await furnished(running)
            yield running
        finally:
            await running.forget_connection()
            await running.daemon.stop()


async def furnished(town: Town) -> dict[str, str]:
    """Everything that an example names, and what each is called here."""
    vitec, propstreet = town.world.vitec, town.world.propstreet

    def person(name: str) -> str:
        return vitec.create(
            "person", firstName=name, lastName="Vik", email={"emailAddress": f"{name.lower()}@example.no"}
        )

    kari, ola, refuses = person("Kari"), person("Ola"), person("Refused")
    vitec.create("company", name="Fjord AS", corporateNumber="800000009")
    propstreet.create("project", name="Fjordgata 12")
    for each in (kari, ola, refuses):
        await eventually(partial(town.named, "contact", each), 30.0)
    await town.settled()
    at = {each: town.named("contact", each)["id"] for each in (kari, ola, refuses)}

    propstreet.faults.failure = refused
    propstreet.faults.plan("500", method="PATCH", path_contains=at[refuses], times=1)
    vitec.edit(refuses, lastName="Nei")
    [dead] = await eventually(partial(listed, town, "commands", "--dead"), 30.0)

    await town.daemon.stop()  # both sides are edited before it sees either
    vitec.edit(kari, lastName="Ek")
    propstreet.edit("contact", at[kari], lastName="Lie")
    await town.forget_connection()
    await town.daemon.start()
    [conflict, *_] = await eventually(partial(listed, town, "conflicts"), 30.0)
    held = [await hold(town, name) for name in ("Berit", "Cilla")]
    return {
        "0d5e5c0a": dead["id"],
        "3f6c2a91": conflict["id"],
        "release con-5qrx": f"release {held[0]}",
        "discard con-5qrx": f"discard {held[1]}",
        "vitec:ADR0123 propstreet:1001": f"vitec:{ola} propstreet:{at[ola]}",
        "unlink contact vitec:ADR0123": f"unlink contact vitec:{ola}",
        "contact vitec:ADR0123": f"contact vitec:{kari}",
        "company vitec:ADR0123": "company 800000009",
        '--at "1d ago"': '--at "1s ago"',
        "--from 2026-03-01 --to 2026-03-02": '--from "1h ago" --to "1s ago"',
        "trace 453": "trace 1",
        "/etc/toveis/toveis.toml": str(town.config_file),
        "/etc/systemd/system/": "",
    }


async def listed(town: Town, *words: str) -> list[dict[str, Any]]:
    return rows((await toveis(*words, "--json", "--config", str(town.config_file)))[1])


async def hold(town: Town, name: str) -> str:
    """The entity of somebody new at Propstreet, who is held."""
    record = town.world.propstreet.create(
        "contact", firstName=name, lastName="Strand", email=f"{name.lower()}@example.no"
    )

    async def found() -> str | None:
        entity = await views.entity_of_record(await town.connect(), TENANT, "contact", "propstreet", record)
        return entity.id if entity is not None and entity.hold is not None else None

    name_of: str = await eventually(found, 30.0)
    return name_of


async def typed(line: str, directory: Path, config: Path | None) -> tuple[int, str, str]:
    """What a shell makes of a line, with our command and this configuration."""
    command = directory / "bin" / "toveis"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m daemon "$@"\n', "utf-8")
    command.chmod(0o755)
    if shutil.which("jq") is None:
        line = line.partition(" | jq")[0]
    env = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd()}
    env |= {"TOVEIS_CONFIG": str(config)} if config is not None else {}
    process = await asyncio.create_subprocess_exec(
        "bash", "-o", "pipefail", "-c", line, stdin=-3, stdout=-1, stderr=-1, env=env, cwd=directory
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize("line", HERE)
async def test_an_example_does_what_it_says(town: Town, line: str, tmp_path: Path) -> None:
    here = line
    for printed, real in town.real.items():
        here = here.replace(printed, real)
    for unknown in re.findall(r"\b(?:ADR0123|con-5qrx|1001)\b", here):
        pytest.fail(f"no such record is here: {unknown}")
    code, output, errors = await typed(here, tmp_path, town.config_file)
    assert code == (1 if line in FINDINGS else 0), (here, output, errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("line", [line for path, line in ALL if path == "toveis run"])
async def test_the_daemon_of_the_example_runs_until_it_is_told_to_stop(
    town: Town, line: str, tmp_path: Path
) -> None:
    await town.daemon.stop()  # its port is the one that is configured
    try:
        here = line.replace("/etc/toveis/toveis.toml", str(town.config_file))
        code, _, errors = await typed(f"timeout --preserve-status -s TERM 8 {here}", tmp_path, None)
        assert code == 0, errors
    finally:
        await town.daemon.start()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("line", SANDBOX)
async def test_the_sandbox_of_the_example_converges(line: str, tmp_path: Path) -> None:
    code, output, errors = await typed(f"timeout --preserve-status -s INT 120 {line}", tmp_path, None)
    assert code == 0, (output, errors)


async def test_what_the_examples_did_left_a_sound_log(town: Town) -> None:
    await town.settled()
    await town.check_log()
