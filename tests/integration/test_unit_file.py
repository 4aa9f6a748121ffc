"""The unit file, as `toveis systemd` prints it: whole, for this installation, and hardened."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli.systemd import credentials, rendered, shipped
from daemon.config import Asked, asked
from daemon.process import STOPPED_WITHIN
from tests.unit.test_config import SMALLEST

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")

MOST_EXPOSED = 1.5


def toveis(*words: str, at: Path) -> "subprocess.CompletedProcess[str]":
    """One command, called where no configuration is found by chance."""
    env = {name: value for name, value in os.environ.items() if name != "TOVEIS_CONFIG"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "daemon", *words], capture_output=True, text=True, env=env, cwd=at
    )


def settings_of(unit: str) -> list[tuple[str, str]]:
    """Each setting of a unit, in order."""
    pairs = (line.partition("=") for line in unit.splitlines() if line[:1].isalpha())
    return [(name, value) for name, _, value in pairs]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit of this very installation, for a configuration with every kind of secret."""
    file = tmp_path / "toveis.toml"
    file.write_text('[database]\ndsn_file = "dsn"\n' + SMALLEST.replace("password", "#"), "utf-8")
    (tmp_path / "dsn").write_text("postgresql://db/toveis", "utf-8")
    printed = toveis("systemd", "--print", "--config", str(file), at=tmp_path)
    assert printed.returncode == 0, printed.stderr
    path = tmp_path / "toveis.service"
    path.write_text(printed.stdout, "utf-8")
    return path


@needs_systemd
def test_systemd_finds_nothing_to_say_about_the_unit_of_this_installation(unit: Path) -> None:
    found = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@needs_systemd
def test_systemd_has_something_to_say_about_a_unit_with_a_mistake(unit: Path) -> None:
    unit.write_text(unit.read_text("utf-8").replace("PrivateTmp=", "PrivateTemp="), "utf-8")
    found = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True)
    assert "PrivateTemp" in found.stderr


@needs_systemd
def test_the_exposure_of_the_unit_is_low(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    security = [str(ANALYZE), "security", "--offline=true", "--no-pager", str(unit)]
    found = subprocess.run(security, capture_output=True, text=True)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", found.stdout)
    assert score is not None, found.stderr
    with capsys.disabled():
        print(f"\nsystemd-analyze security: exposure {score[1]}, at most {MOST_EXPOSED} wanted")  # noqa: T201
    assert float(score[1]) <= MOST_EXPOSED


def test_the_unit_names_this_program_this_file_and_the_secrets_that_the_file_leaves_out(unit: Path) -> None:
    settings = settings_of(unit.read_text("utf-8"))
    [start] = [value for name, value in settings if name == "ExecStart"]
    program, *words = start.split()
    assert os.access(program, os.X_OK)
    assert words == ["run", "--config", str(unit.parent / "toveis.toml")]
    loads = [value.partition(":") for name, value in settings if name == "LoadCredential"]
    assert loads == [("oslo.vitec.password", ":", "/etc/toveis/credentials/oslo.vitec.password")]
    text = unit.read_text("utf-8")
    assert "#LoadCredential=http.lead_token:/etc/toveis/credentials/http.lead_token\n" in text
    assert "propstreet.client_secret" not in text, "it stands in the file"
    assert "database.dsn:" not in text, "so does where it stands"


def test_the_unit_keeps_what_the_daemon_promises() -> None:
    settings = dict(settings_of(shipped("toveis.service")))
    assert settings["Type"] == "notify"
    assert settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"] == "1 2"
    assert settings["DynamicUser"] == "yes"
    assert settings["StateDirectory"] == "toveis"
    assert settings["StartLimitIntervalSec"] == "0", "a database that is away is waited for"
    assert int(settings["TimeoutStopSec"]) > STOPPED_WITHIN
    assert int(settings["WatchdogSec"]) > 30
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"


# -- rendering


def test_a_credential_that_may_be_left_out_is_commented_out_until_it_has_a_file(tmp_path: Path) -> None:
    secrets = [
        Asked("oslo.vitec.password", required=True, placed=False),
        Asked("oslo.vitec.webhook_secret", required=False, placed=False),
        Asked("http.lead_token", required=False, placed=False),
        Asked("oslo.propstreet.client_secret", required=True, placed=True),
    ]
    (tmp_path / "http.lead_token").touch()
    assert credentials(secrets, tmp_path) == [
        f"LoadCredential=oslo.vitec.password:{tmp_path}/oslo.vitec.password",
        f"#LoadCredential=oslo.vitec.webhook_secret:{tmp_path}/oslo.vitec.webhook_secret",
        f"LoadCredential=http.lead_token:{tmp_path}/http.lead_token",
    ]


def test_every_secret_of_every_tenant_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "toveis.toml"
    groups = 'credentials = { "CRM-Contact" = { username = "5678" } }\n[tenants.propstreet]'
    second = SMALLEST.replace("oslo", "bergen").replace("M11385", "M2").replace('"client"', '"other"')
    file.write_text(SMALLEST.replace("[tenants.propstreet]", groups) + second, "utf-8")
    found = {secret.name: (secret.required, secret.placed) for secret in asked(file)}
    assert found == {
        "database.dsn": (False, False),
        "database.migrate_dsn": (False, False),
        "http.lead_token": (False, False),
        "oslo.vitec.password": (True, True),
        "oslo.vitec.credentials.CRM-Contact.password": (True, False),
        "oslo.vitec.webhook_secret": (False, False),
        "oslo.propstreet.client_secret": (True, True),
        "oslo.propstreet.webhook_secret": (False, False),
        "bergen.vitec.password": (True, True),
        "bergen.vitec.webhook_secret": (False, False),
        "bergen.propstreet.client_secret": (True, True),
        "bergen.propstreet.webhook_secret": (False, False),
    }


def test_without_a_configuration_the_example_stays_as_it_is() -> None:
    text = shipped("toveis.service")
    assert rendered(text, Path("/opt/toveis/bin/toveis"), None, None) == text
    assert "LoadCredential" not in rendered(text, Path("/opt/toveis/bin/toveis"), None, [])


def test_an_odd_path_stays_one_word() -> None:
    text = rendered(shipped("toveis.service"), Path("/opt/to veis/bin/toveis"), Path("/etc/50%.toml"), None)
    assert 'ExecStart="/opt/to veis/bin/toveis" run --config /etc/50%%.toml\n' in text


# -- the command


@pytest.mark.parametrize(
    ("option", "line"),
    [("--env", "# Copy to /etc/toveis/toveis.env"), ("--nginx", "    location ^~ /webhooks/vitec/ {")],
)
def test_the_files_beside_it_are_printed_as_they_are(option: str, line: str, tmp_path: Path) -> None:
    found = toveis("systemd", option, at=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert any(each.startswith(line) for each in found.stdout.splitlines())


def test_what_is_not_said_or_cannot_be_read_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    for words in (("systemd",), ("systemd", "--print", "--config", "nowhere.toml")):
        found = toveis(*words, at=tmp_path)
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith("toveis: ")
        assert found.stderr.count("\n") == 1


def test_what_should_be_known_is_said_beside_the_unit_and_not_in_it(tmp_path: Path) -> None:
    alone = toveis("systemd", "--print", at=tmp_path)
    assert "no configuration was found" in alone.stderr
    (tmp_path / "toveis.toml").write_text(SMALLEST, "utf-8")
    found = toveis("systemd", "--print", at=tmp_path)
    assert found.returncode == 0
    assert "toveis: oslo.vitec.password: stands in the configuration" in found.stderr
    assert "toveis: database.dsn: is not given" in found.stderr
    assert f"--config {tmp_path}/toveis.toml\n" in found.stdout
    assert "hush" not in found.stdout + found.stderr
