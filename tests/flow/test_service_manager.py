"""The daemon as systemd runs it: it says when it is ready, that it lives, and that it stops; and nothing while it hangs."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from daemon.embedded_postgres import EmbeddedPostgres
from daemon.storage import rebuild
from daemon.storage.connection import owner
from tests.conftest import eventually
from tests.flow.conftest import Flow, up
from tests.flow.test_command_line import toveis

FOUR_ROUNDS = 8.0
"""Seconds: the leases are looked after every two, and the watchdog is fed with them."""

PLANTED = """
import asyncio, sys, time
from pathlib import Path
from daemon.__main__ import main
from daemon import watchdog
from daemon.react import Reactor

flag, tick = Path({flag!r}), Reactor.tick

async def hanging(self):
    {hang}
    return await tick(self)

Reactor.tick = hanging
watchdog.Watchdog.__init__.__defaults__ = (2.0,)
main()
"""
"""The daemon itself, with one fault: a stage that hangs in its tick once a file is there."""


class Manager:
    """A stand-in for systemd: everything that it was told, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._signs, self._last = 0, time.monotonic()

    def heard(self) -> list[str]:
        """Each assignment without its text, in order."""
        while True:
            try:
                self.messages.append(self._socket.recv(8192).decode())
            except BlockingIOError:
                break
        lines = [line for message in self.messages for line in message.splitlines()]
        return [line.partition("=")[0] for line in lines]

    def silent_for(self) -> float:
        """Seconds since the last sign of life came, and before that nothing else."""
        signs = self.heard().count("WATCHDOG")
        if signs != self._signs:
            self._signs, self._last = signs, time.monotonic()
        return time.monotonic() - self._last

    def forget(self) -> None:
        """What was said until now."""
        self.heard()
        self.messages.clear()

    @property
    def env(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "20000000"}

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def managed(tmp_path: Path, cluster: Path, hang: str = "") -> AsyncIterator[tuple[Flow, Manager, Path]]:
    """A world whose daemon has a manager, and the file that makes a stage of it hang."""
    manager, flag = Manager(tmp_path / "notify"), tmp_path / "hang"
    async with AsyncExitStack() as stack:
        stack.callback(manager.close)
        running = await stack.enter_async_context(up(tmp_path, cluster, subscribe=False))
        await running.forget_connection()
        await running.daemon.stop()
        running.daemon.env = manager.env
        if hang:
            program = tmp_path / "planted.py"
            program.write_text(PLANTED.format(flag=str(flag), hang=hang), "utf-8")
            running.daemon.command = [sys.executable, str(program)]
            running.daemon.env["PYTHONPATH"] = str(Path(__file__).parents[2])
        await running.daemon.start()
        yield running, manager, flag


async def test_it_is_ready_it_lives_it_reloads_and_it_stops_in_words_that_systemd_knows(
    tmp_path: Path, cluster: Path
) -> None:
    async with managed(tmp_path, cluster) as (running, manager, _):
        await eventually(lambda: manager.heard().count("WATCHDOG") >= 3, 60.0)
        heard = manager.heard()
        assert heard.count("READY") == 1
        [ready] = [message for message in manager.messages if message.startswith("READY=1")]
        assert ready == f"READY=1\nSTATUS=mode live, port {running.world.port}"
        assert heard[0] == "STATUS", "it says that it starts"
        assert "STOPPING" not in heard

        running.daemon.reload()
        await eventually(lambda: manager.heard().count("READY") == 2, 30.0)
        [at] = [message for message in manager.messages if message.startswith("RELOADING=1")]
        assert at.splitlines()[1].partition("=")[0] == "MONOTONIC_USEC"

        assert await running.daemon.stop() == 0
        manager.heard()
        assert [m for m in manager.messages if "STOPPING=1" in m] == ["STOPPING=1\nSTATUS=draining"]


@pytest.mark.parametrize(
    ("hang", "port_answers"),
    [
        ("await asyncio.sleep(0.05)", True),  # one stage alone: everything else goes on
        pytest.param("time.sleep(0.05)", False, marks=pytest.mark.slow),  # the whole event loop
    ],
)
async def test_a_daemon_whose_work_hangs_stops_to_feed_the_watchdog(
    tmp_path: Path, cluster: Path, hang: str, port_answers: bool
) -> None:
    async with managed(tmp_path, cluster, f"while flag.exists(): {hang}") as (running, manager, flag):
        await eventually(lambda: manager.heard().count("WATCHDOG") >= 3, 60.0)
        flag.touch()
        await eventually(lambda: manager.silent_for() > FOUR_ROUNDS, 60.0)
        assert await answers(running) == port_answers
        flag.unlink()
        manager.forget()
        await eventually(lambda: "WATCHDOG" in manager.heard(), 60.0)
        if port_answers:  # who can still speak names the stage
            lines = map(json.loads, running.daemon.log_file.read_text("utf-8").splitlines())
            assert "react" in {line["stage"] for line in lines if line["event"] == "watchdog.silent"}


async def answers(running: Flow) -> bool:
    """Whether the open port answers."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session,
            session.get(f"{running.world.daemon_url}/healthz") as answer,
        ):
            return answer.status == 200
    except TimeoutError:
        return False


async def test_sigterm_during_the_start_ends_it_in_order(tmp_path: Path, cluster: Path) -> None:
    """It waits for its turn with the views, which somebody else has: a start may take long."""
    async with managed(tmp_path, cluster) as (running, manager, _):
        await running.daemon.stop()
        manager.forget()
        with EmbeddedPostgres(running.data) as server:
            async with owner(server.dsn()) as conn:
                await rebuild.wait_for_turn(conn)
                database = f'dsn = "{server.dsn()}"'.replace("/proc/self/", f"/proc/{os.getpid()}/")
                text = running.config_file.read_text("utf-8")
                running.config_file.write_text(text.replace("[database]", f"[database]\n{database}"), "utf-8")
                starting = asyncio.create_task(running.daemon.start(patience=60.0))
                await eventually(lambda: port_open(running), 60.0)
                assert await running.daemon.stop() == 0
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
        manager.heard()
        assert "READY" not in manager.heard()
        assert "STOPPING" in manager.heard()


def port_open(running: Flow) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", running.world.port)) == 0


TEN_PROBLEMS = """
mode = "lively"
colour = 1
[database]
migrate_dsn = "postgresql://db/toveis"
[http]
port = 99999
public_url = "sync.example.no"
[[tenants]]
name = "Oslo 1"
[tenants.vitec]
username = "1234"
password_file = "/nonexistent/secret"
poll_interval = "soon"
[tenants.propstreet]
client_id = "client"
client_secret = "hush-hush"
limits = { per_second = -1 }
[tenants.sync]
note = "loud"
"""


async def test_ten_problems_are_told_at_once_and_with_an_exit_code_that_systemd_does_not_try_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "toveis.toml"
    file.write_text(TEN_PROBLEMS, "utf-8")
    code, output, errors = await toveis("run", "--config", str(file))
    keys = [line.removeprefix("toveis: ").partition(": ")[0] for line in errors.splitlines()]
    assert (code, output) == (2, "")
    assert sorted(keys) == sorted(
        [
            *("mode", "colour", "database.migrate_dsn", "http.port", "http.public_url"),
            *(
                f"tenants[#1].{key}"
                for key in (
                    "name",
                    "vitec.customer_id",
                    "vitec.password_file",
                    "vitec.poll_interval",
                    "propstreet.limits.per_second",
                    "sync.note",
                )
            ),
        ]
    )
    assert "hush-hush" not in errors
    unit = (Path(__file__).parents[2] / "systemd" / "toveis.service").read_text("utf-8")
    assert "\nRestartPreventExitStatus=1 2\n" in unit
