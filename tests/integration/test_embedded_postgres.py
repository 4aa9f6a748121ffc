"""The embedded PostgreSQL under everything that can happen to its owner, its files and its path."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from daemon.domain.errors import DatabaseUnreachable
from daemon.embedded_postgres import EmbeddedPostgres
from tests.conftest import eventually

ROOT = Path(__file__).parents[2]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def nobody_runs_python() -> bool:
    """Only root can become nobody, who must be let into the virtual environment and into the working tree."""
    task = [*AS_NOBODY, sys.executable, "-c", "import asyncpg, daemon.embedded_postgres"]
    return os.geteuid() == 0 and subprocess.run(task, cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
with_nobody = pytest.mark.skipif(not nobody_runs_python(), reason="nobody may not run this Python")

# Another process that starts what the first argument names, does what the second says, and tells of it.
PROCESS = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from daemon.embedded_postgres import EmbeddedPostgres

async def query(text):
    connection = await asyncpg.connect(server.dsn())
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
exec(sys.argv[2])
print(server.owner, flush=True)
sys.stdin.read()
server.stop()
"""


class Process:
    """Another Toveis on this machine, up to the moment when it has its server."""

    def __init__(self, data_dir: Path, task: str = "", disguise: tuple[str, ...] | list[str] = ()) -> None:
        self.popen = subprocess.Popen(
            [*disguise, sys.executable, "-c", PROCESS, str(data_dir), task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def says(self) -> str:
        assert self.popen.stdout
        return self.popen.stdout.readline().strip()

    def end(self) -> None:
        self.popen.communicate(timeout=30)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts other processes, and leaves none behind."""
    started: list[Process] = []

    def start(*args: object, **more: object) -> Process:
        started.append(Process(*args, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own is closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="toveis-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


def postgres_processes(data_dir: Path) -> list[str]:
    def runs_there(process: Path) -> bool:
        try:
            return (process / "cwd").readlink() == data_dir / "postgres"
        except OSError:
            return False

    return [process.name for process in Path("/proc").glob("[0-9]*") if runs_there(process)]


def query(server: EmbeddedPostgres, text: str) -> object:
    async def answer() -> object:
        connection = await asyncpg.connect(server.dsn())
        try:
            return await connection.fetchval(text)
        finally:
            await connection.close()

    return asyncio.run(answer())


def test_it_starts_from_nothing_and_soon(tmp_path: Path) -> None:
    before = time.monotonic()
    with EmbeddedPostgres(tmp_path / "new" / "data") as server:
        first = time.monotonic() - before
        assert server.owner
        assert query(server, "SELECT current_user || '@' || current_database()") == "toveis@toveis"
        assert query(server, "SHOW fsync") == "on"
    before = time.monotonic()
    with EmbeddedPostgres(tmp_path / "new" / "data") as server:
        assert query(server, "SELECT 1") == 1
        again = time.monotonic() - before
    assert first < 10  # 0.6 s on an idle machine
    assert again < 2  # 0.05 s
    assert postgres_processes(tmp_path / "new" / "data") == []


def test_a_killed_owner_leaves_no_postgres_and_loses_no_commit(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    owner = start(tmp_path, "asyncio.run(query('CREATE TABLE kept AS SELECT 1 AS n'))")
    assert owner.says() == "True"
    assert postgres_processes(tmp_path)
    owner.kill()
    asyncio.run(eventually(lambda: not postgres_processes(tmp_path)))
    with EmbeddedPostgres(tmp_path) as server:
        assert query(server, "SELECT n FROM kept") == 1


def test_a_start_right_after_a_kill_waits_for_the_dying_server(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    owner = start(tmp_path, "asyncio.run(query('CREATE TABLE kept AS SELECT 1 AS n'))")
    assert owner.says() == "True"
    owner.popen.send_signal(signal.SIGKILL)
    with EmbeddedPostgres(tmp_path, own=True) as server:
        assert server.owner
        assert query(server, "SELECT n FROM kept") == 1


def test_a_server_that_outlived_its_owner_is_finished_off(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    careless = start(
        tmp_path, "asyncio.run(query('CREATE TABLE kept AS SELECT 1 AS n')); os.close(server._lock)"
    )
    assert careless.says() == "True"
    orphans = set(postgres_processes(tmp_path))
    with EmbeddedPostgres(tmp_path) as server:
        assert not orphans & set(postgres_processes(tmp_path))
        assert query(server, "SELECT n FROM kept") == 1


def test_a_crashed_server_recovers_its_data(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        query(server, "CREATE TABLE kept AS SELECT 1 AS n")
        for pid in postgres_processes(tmp_path):
            os.kill(int(pid), signal.SIGKILL)
    with EmbeddedPostgres(tmp_path) as server:
        assert query(server, "SELECT n FROM kept") == 1


@pytest.mark.parametrize("kind", ["dead", "foreign", "zombie"])
def test_a_stale_note_of_a_process_does_not_block(tmp_path: Path, kind: str) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    dead = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # ended, and a zombie until somebody waits for it
    if kind == "dead":
        dead.wait()
    pid = os.getppid() if kind == "foreign" else dead.pid
    note = f"{pid}\n{tmp_path}/postgres\n1700000000\n5432\n.\n\n  1234567   7654321\nready   \n"
    (tmp_path / "postgres" / "postmaster.pid").write_text(note)
    (tmp_path / "postgres" / ".s.PGSQL.5432.lock").write_text(note)
    with EmbeddedPostgres(tmp_path) as server:
        assert query(server, "SELECT 1") == 1
    dead.wait()


def test_a_first_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert query(server, "SELECT 1") == 1
    assert not (tmp_path / "postgres.new").exists()


@pytest.mark.parametrize("name", ["with spaces and æøå % ' \"", "/".join(["deep" * 10] * 6)])
def test_any_path_will_do_for_us_and_for_a_human_with_psql(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere-with-psql:/usr/bin:/bin")
    with EmbeddedPostgres(tmp_path / name) as server:
        assert query(server, "SELECT 1") == 1
        line = server.psql_line()
        done = subprocess.run(f"{line} -Atc 'SHOW search_path'", shell=True, capture_output=True, text=True)
    assert done.stdout == "toveis,views\n", done.stderr


def test_without_psql_on_the_path_the_line_names_the_wheels_own(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    psql, *_ = shlex.split(postgres.psql_line())
    assert Path(psql).is_file()


def test_a_second_process_connects_without_starting_and_ends_without_stopping(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        second = start(tmp_path, "assert asyncio.run(query('SELECT 1')) == 1")
        assert second.says() == "False"
        second.end()
        assert query(server, "SELECT 1") == 1


def test_two_processes_that_start_from_nothing_at_once_agree_on_one_owner(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    both = [start(tmp_path, "assert asyncio.run(query('SELECT 1')) == 1") for _ in range(2)]
    assert sorted([process.says() for process in both]) == ["False", "True"]


def test_when_the_owner_stops_the_server_is_gone_and_the_next_may_own(
    tmp_path: Path, start: Callable[..., Process]
) -> None:
    owner = start(tmp_path)
    assert owner.says() == "True"
    with EmbeddedPostgres(tmp_path) as guest:
        assert not guest.owner
        owner.end()
        assert postgres_processes(tmp_path) == []
        with pytest.raises((OSError, asyncpg.PostgresError)):
            query(guest, "SELECT 1")
    with EmbeddedPostgres(tmp_path) as heir:
        assert heir.owner


def test_who_insists_on_owning_is_told_which_process_does(
    tmp_path: Path, start: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.embedded_postgres.OWNERS_PATIENCE", 0.1)
    owner = start(tmp_path)
    assert owner.says() == "True"
    with pytest.raises(DatabaseUnreachable, match=f"process {owner.popen.pid} holds .*: stop it first"):
        EmbeddedPostgres(tmp_path, own=True).start()


def test_an_error_that_quotes_a_person_stays_out_of_the_log(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        with pytest.raises(asyncpg.PostgresError):
            query(server, "SELECT 'Kari Nordmann'::text::int")
        with pytest.raises(asyncpg.PostgresError):
            query(server, "DO $$ BEGIN RAISE EXCEPTION 'Kari Nordmann'; END $$")
    log = (tmp_path / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "Nordmann" not in log


def test_a_grown_log_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.log").write_text("old\n" * 300_000)
    with EmbeddedPostgres(tmp_path):
        pass
    assert (tmp_path / "postgres.log").stat().st_size < 100_000


def test_the_environments_own_postgres_settings_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGPORT": "6543",
        "PGHOST": "example.no",
        "PGDATA": "/nowhere",
        "PGUSER": "ola",
    }.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(tmp_path) as server:
        assert query(server, "SELECT current_user::text") == "toveis"


def test_a_start_that_fails_says_where_to_look_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path):
        pass
    version = tmp_path / "postgres" / "PG_VERSION"
    version.write_text("11\n")
    with pytest.raises(DatabaseUnreachable, match=r"postgres\.log says why"):
        EmbeddedPostgres(tmp_path).start()
    version.write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert server.owner


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnreachable, match="file/data"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


@with_nobody
def test_an_ordinary_user_runs_it_without_disguise(open_dir: Path, start: Callable[..., Process]) -> None:
    data_dir = open_dir / "data"
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)
    ordinary = start(data_dir, "assert asyncio.run(query('SELECT 1')) == 1", AS_NOBODY)
    assert ordinary.says() == "True"
    assert (data_dir / "postgres").stat().st_uid == 65534
    ordinary.kill()
    with EmbeddedPostgres(data_dir) as server:  # root takes over, as the files' owner
        assert server.owner
        assert (data_dir / "postgres" / "postmaster.pid").stat().st_uid == 65534
    ordinary = start(data_dir, "", AS_NOBODY)
    assert ordinary.says() == "True"


@as_root
def test_roots_files_stay_roots_where_user_namespaces_work(tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "true"]
    if subprocess.run(unshare, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("this machine forbids user namespaces")
    with EmbeddedPostgres(tmp_path):
        assert (tmp_path / "postgres" / "postmaster.pid").stat().st_uid == 0


@with_nobody
def test_where_user_namespaces_are_forbidden_root_becomes_nobody_even_in_a_closed_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[..., Process]
) -> None:
    with EmbeddedPostgres(tmp_path / "data") as server:
        query(server, "CREATE TABLE kept AS SELECT 1 AS n")
    tmp_path.chmod(0o700)
    forbid_user_namespaces(tmp_path, monkeypatch)
    with EmbeddedPostgres(tmp_path / "data") as server:
        assert (tmp_path / "data" / "postgres" / "postmaster.pid").stat().st_uid == 65534
        assert query(server, "SELECT n FROM kept") == 1
    owner = start(tmp_path / "first", "")
    assert owner.says() == "True"
    assert (tmp_path / "first" / "postgres").stat().st_uid == 65534
    owner.kill()
    asyncio.run(eventually(lambda: not postgres_processes(tmp_path / "first")))


@as_root
def test_root_who_can_become_nobody_else_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_user_namespaces(tmp_path, monkeypatch)
    (tmp_path / "bin" / "setpriv").symlink_to("/bin/false")
    with pytest.raises(DatabaseUnreachable, match=r"set database\.dsn"):
        EmbeddedPostgres(tmp_path / "data").start()


def forbid_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an `unshare` before the real one that is always refused."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "unshare").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
