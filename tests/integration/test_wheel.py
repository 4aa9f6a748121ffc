"""The wheel: what is in it, and that it works in an empty environment for an ordinary user."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
OFFLINE = ("NewConnectionError", "Temporary failure", "No matching distribution", "ProxyError", "ReadTimeout")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that everybody may look into, as /opt is."""
    directory = Path(tempfile.mkdtemp(prefix="toveis-wheel-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(place: Path) -> Path:
    """The wheel of this working tree."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    [found] = place.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def interpreter() -> str:
    """Ours; where the tests are root's, one that everybody may run: ours may lie in root's home, the system's does not."""
    if os.geteuid() != 0:
        return sys.executable
    known = (sys.executable, shutil.which("python3", path=os.defpath))
    for each in filter(None, known):
        if all(folder.stat().st_mode & 0o001 for folder in Path(each).resolve().parents):
            return each
    pytest.skip("there is no Python here that an ordinary user may run")


@pytest.fixture(scope="module")
def installed(wheel: Path, place: Path) -> Path:
    """The `bin` of an environment that holds the hashed packages and the wheel, and nothing else."""
    subprocess.run([interpreter(), "-m", "venv", str(place / "opt")], check=True)
    pip = [str(place / "opt" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    for what in (
        ["--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt")],
        ["--no-deps", str(wheel)],
    ):
        done = subprocess.run([*pip, *what], capture_output=True, text=True, cwd=place)
        if done.returncode and any(word in done.stderr for word in OFFLINE):
            pytest.skip("the packages of requirements/runtime.txt cannot be fetched here: pip has no index")
        assert done.returncode == 0, done.stderr
    return place / "opt" / "bin"


def ordinary(place: Path) -> dict[str, Any]:
    """How a process of an ordinary user is started: nobody, where the tests are root's."""
    home = place / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8"}
    if os.geteuid() != 0:
        return {"env": env, "cwd": home}
    os.chown(home, NOBODY, NOBODY)
    return {"env": env, "cwd": home, "user": NOBODY, "group": NOBODY, "extra_groups": []}


def toveis(installed: Path, place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """One command of the installed program."""
    return subprocess.run(
        [str(installed / "toveis"), *words], capture_output=True, text=True, **ordinary(place)
    )


def shipped(folder: str, *suffixes: str) -> set[str]:
    """The files of a folder of the tree."""
    files = (ROOT / folder).rglob("*")
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix in suffixes}


def test_every_module_statement_migration_and_unit_file_is_in_it(content: set[str]) -> None:
    assert content >= shipped("daemon", ".py", ".sql") | shipped("projections", ".py", ".sql")
    migrations = {
        name.replace("migrations/", "daemon/_migrations/") for name in shipped("migrations", ".sql")
    }
    assert migrations
    assert content >= migrations
    assert content >= {f"daemon/_systemd/{path.name}" for path in (ROOT / "systemd").iterdir()}


def test_nothing_else_is_in_it(content: set[str]) -> None:
    tops = {name.partition("/")[0] for name in content}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"daemon", "projections"}
    assert {Path(name).suffix for name in content if ".dist-info/" not in name} <= {
        *(".py", ".sql", ".md", ".service", ".example", ".yml", ".json"),
    }
    assert not [name for name in content if "__pycache__" in name or "/tests/" in name]


def test_it_says_what_it_can_do(installed: Path, place: Path) -> None:
    found = toveis(installed, place, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert "toveis sandbox" in found.stdout


def test_its_unit_starts_it_from_where_it_is_installed(installed: Path, place: Path) -> None:
    found = toveis(installed, place, "systemd", "--print")
    assert found.returncode == 0
    assert f"\nExecStart={installed}/toveis run --config /etc/toveis/toveis.toml\n" in found.stdout
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed here")
    unit = place / "toveis.service"
    unit.write_text(found.stdout, "utf-8")
    said = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_its_sandbox_lives_through_a_day_as_an_ordinary_user(installed: Path, place: Path) -> None:
    found = toveis(installed, place, "sandbox", "--json")
    assert found.returncode == 0, found.stderr
    outcome = json.loads(found.stdout)
    assert outcome["converged"] is True
    assert outcome["echo_commands"] == 0
