"""The watchdog is fed while whatever is under way shows life, and not one look longer."""

import asyncio
import socket
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from daemon.domain.liveness import Sign, silent
from daemon.notify import Notifier
from daemon.pulse import Work, beat, turn, waiting
from daemon.service import Service
from daemon.vendors.limiter import Limiter
from daemon.watchdog import Watchdog

ME = 4711


class Manager:
    """Whoever started us: everything that it was told."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """What came since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(str(tmp_path / "notify"))
    yield listening
    listening.close()


@pytest.fixture
def notifier(tmp_path: Path) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}, ME)


class Stage(Service):
    """A stage whose tick ends when it is told to."""

    def __init__(self) -> None:
        super().__init__("stage", "oslo", every=60.0)
        self.may_end = asyncio.Event()
        self.ticks = 0

    async def tick(self) -> bool:
        self.ticks += 1
        await self.may_end.wait()
        return False


async def settled() -> None:
    """Every task that can run does."""
    for _ in range(10):
        await asyncio.sleep(0)


# -- the decision


def test_a_piece_that_showed_life_within_the_patience_is_not_silent() -> None:
    assert silent([Sign("react", "oslo", 70.0)], now=100.0, patience=30.0) == []


def test_of_several_pieces_those_beyond_the_patience_are_silent_and_the_most_silent_comes_first() -> None:
    signs = [Sign("react", "oslo", 60.0), Sign("project", "oslo", 99.0), Sign("deliver", "oslo", 10.0)]
    assert [sign.stage for sign in silent(signs, now=100.0, patience=30.0)] == ["deliver", "react"]


def test_nothing_under_way_is_no_silence_and_waiting_by_right_is_none_either() -> None:
    assert silent([], now=100.0, patience=30.0) == []
    assert silent([Sign("polls", "oslo", inf)], now=1e9, patience=30.0) == []


# -- the signs


async def test_a_stage_that_waits_for_nothing_to_do_has_nothing_under_way() -> None:
    stage = Stage()
    stage.may_end.set()
    running = asyncio.create_task(stage.run())
    await settled()
    assert stage.ticks == 1
    assert stage.work.signs() == []
    stage.stop()
    await running


async def test_a_tick_that_hangs_shows_no_life_after_its_beginning() -> None:
    stage, loop = Stage(), asyncio.get_running_loop()
    before = loop.time()
    running = asyncio.create_task(stage.run())
    await settled()
    [sign] = stage.work.signs()
    assert before <= sign.at <= loop.time()
    await settled()
    assert stage.work.signs() == [sign]
    stage.may_end.set()
    stage.stop()
    await running
    assert stage.work.signs() == []


async def test_a_beat_in_a_task_that_was_begun_inside_is_a_sign_of_the_same_piece() -> None:
    work = Work("audit", "oslo")
    with work.under_way():
        [before] = work.signs()
        await asyncio.sleep(0.01)

        async def inside() -> None:
            beat()

        await asyncio.create_task(inside())
        [after] = work.signs()
    assert after.at > before.at


async def test_a_beat_of_one_piece_says_nothing_of_another_one() -> None:
    work, hangs = Work("deliver", "oslo"), asyncio.Event()

    async def job() -> None:
        with work.under_way():
            await hangs.wait()

    stuck = asyncio.create_task(job())
    await settled()
    [silent_one] = work.signs()
    with work.under_way():
        await asyncio.sleep(0.01)
        beat()
        assert silent_one in work.signs()
        assert len(work.signs()) == 2
    hangs.set()
    await stuck


async def test_who_waits_for_room_within_the_limits_waits_by_right_and_who_calls_does_not() -> None:
    limiter, work = Limiter([], 1), Work("polls", "oslo")
    answered = asyncio.Event()

    async def call() -> None:
        with work.under_way():
            async with limiter.slot():
                await answered.wait()

    calls = [asyncio.create_task(call()) for _ in range(2)]
    await settled()
    assert sorted(sign.at == inf for sign in work.signs()) == [False, True]
    answered.set()
    await asyncio.gather(*calls)


async def test_who_waits_for_somebody_elses_turn_waits_by_right_until_it_is_his() -> None:
    lock, work = asyncio.Lock(), Work("deliver", "oslo")
    await lock.acquire()
    entered = asyncio.Event()

    async def job() -> None:
        with work.under_way():
            async with turn(lock):
                entered.set()
                await asyncio.Event().wait()

    waits = asyncio.create_task(job())
    await settled()
    assert [sign.at for sign in work.signs()] == [inf]
    lock.release()
    await entered.wait()
    assert [sign.at < inf for sign in work.signs()] == [True]
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    assert not lock.locked()


async def test_without_work_a_beat_and_a_wait_are_nothing() -> None:
    beat()
    with waiting():
        beat()


# -- the watchdog


async def test_the_watchdog_is_fed_while_there_is_life_and_starves_when_a_tick_hangs(
    manager: Manager, notifier: Notifier
) -> None:
    stage, watchdog = Stage(), Watchdog(notifier, patience=0.05)
    running = asyncio.create_task(stage.run())
    await settled()
    watchdog.look([stage.work])
    assert manager.heard() == ["WATCHDOG=1"]
    await asyncio.sleep(0.1)
    watchdog.look([stage.work])
    assert manager.heard() == []
    stage.may_end.set()
    await settled()
    watchdog.look([stage.work])
    assert manager.heard() == ["WATCHDOG=1"]
    stage.stop()
    await running


async def test_who_is_silent_is_named_in_the_log_once(
    notifier: Notifier, capsys: pytest.CaptureFixture[str]
) -> None:
    work, watchdog = Work("react", "oslo"), Watchdog(notifier, patience=0.01)
    with work.under_way():
        await asyncio.sleep(0.05)
        watchdog.look([work])
        watchdog.look([work])
    lines = [line for line in capsys.readouterr().err.splitlines() if "watchdog.silent" in line]
    assert len(lines) == 1
    assert '"react"' in lines[0]


# -- the socket


def test_several_assignments_are_one_message(manager: Manager, notifier: Notifier) -> None:
    notifier.status("mode live\nand more", "READY=1")
    assert manager.heard() == ["READY=1\nSTATUS=mode live and more"]


def test_an_abstract_socket_begins_with_an_at() -> None:
    name = f"toveis-test-{id(object())}"
    listening = Manager(f"\0{name}")
    Notifier({"NOTIFY_SOCKET": f"@{name}"}, ME).say("READY=1")
    assert listening.heard() == ["READY=1"]
    listening.close()


def test_without_a_socket_or_a_listener_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    Notifier({}, ME).say("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, ME).say("READY=1")


@pytest.mark.parametrize(
    ("env", "watched"),
    [
        ({"WATCHDOG_USEC": "120000000"}, True),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(ME)}, True),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, False),
        ({"WATCHDOG_USEC": "0"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
        ({}, False),
    ],
)
def test_signs_of_life_are_sent_only_where_somebody_waits_for_ours(
    env: dict[str, str], watched: bool
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/systemd/notify", **env}, ME).watched is watched


async def test_nobody_who_waits_for_another_process_hears_our_signs_of_life(
    manager: Manager, tmp_path: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    Watchdog(Notifier(env, ME)).look([])
    assert manager.heard() == []
