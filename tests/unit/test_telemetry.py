import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from daemon import telemetry
from daemon.domain.errors import ConfigError, Rejected
from daemon.domain.settings import Secret
from daemon.telemetry import context, log


@pytest.fixture(autouse=True)
def _json_lines() -> Iterator[None]:
    telemetry.setup("debug", console=False)
    yield
    structlog.reset_defaults()
    telemetry.setup("warning", console=False)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object_with_level_and_time(lines: Any) -> None:
    log.info("deliver.sent", tenant="oslo", command="c-1", seconds=0.2, last=True, next=None)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "deliver.sent",
        "level": "info",
        "tenant": "oslo",
        "command": "c-1",
        "seconds": 0.2,
        "last": True,
        "next": None,
    }


def test_text_under_an_unlisted_key_is_hidden(lines: Any) -> None:
    log.info(
        "ingest.read", name="Anna Berg", phone="+46701740605", payload={"email": "a@example.se"}, raw=b"x"
    )
    (line,) = lines()
    assert {line["name"], line["phone"], line["payload"], line["raw"]} == {"***"}


def test_even_under_a_listed_key_no_address_and_no_secret_is_shown(lines: Any) -> None:
    log.info(
        "ingest.read", reason="duplicate of anna@example.se", field=Secret("hush"), fields=("email", "phone")
    )
    log.info("ingest.read", reason={"email": "anna"}, record=["7", {"x": "anna"}])
    first, second = lines()
    assert (first["reason"], first["field"], first["fields"]) == (
        "duplicate of ***",
        "***",
        ["email", "phone"],
    )
    assert (second["reason"], second["record"]) == ("***", ["7", "***"])


def test_an_events_name_is_a_name_and_not_a_sentence(lines: Any) -> None:
    log.info("could not send to Anna Berg")
    log.info("sent")
    assert [line["event"] for line in lines()] == ["***", "***"]


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines", "\ud800", "\u202eturned", "x" * 10_000])
def test_no_text_breaks_a_line(lines: Any, text: str) -> None:
    log.info("ingest.read", reason=text)
    (line,) = lines()
    assert line["reason"].isprintable()
    assert len(line["reason"]) <= 300


def test_an_exception_shows_its_class_and_place_but_no_foreign_text(lines: Any) -> None:
    try:
        try:
            raise KeyError("anna@example.se")
        except KeyError as error:
            raise ValueError("Anna Berg") from error
    except ValueError:
        log.exception("project.stopped", tenant="oslo")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["error"] == ["ValueError", "KeyError"]
    assert line["at"][-1].startswith("test_telemetry.py:")
    assert "Anna" not in json.dumps(line)
    assert "problem" not in line


def test_our_own_errors_show_their_text(lines: Any) -> None:
    try:
        raise ExceptionGroup("several", [Rejected("PATCH /contacts/{id}: 400", status=400), OSError("Anna")])
    except ExceptionGroup as group:
        log.error("deliver.failed", exc_info=group.exceptions[0])
        log.exception("deliver.failed")
    first, second = lines()
    assert first["problem"] == "PATCH /contacts/{id}: 400"
    assert second["error"] == ["ExceptionGroup", "Rejected", "OSError"]


async def test_a_correlation_id_follows_its_task_alone(lines: Any) -> None:
    async def stage(correlation_id: str) -> None:
        with context(correlation_id=correlation_id):
            await asyncio.sleep(0)
            log.info("react.decided")

    await asyncio.gather(stage("one"), stage("two"))
    log.info("react.decided")
    assert [line.get("correlation_id") for line in lines()] == ["one", "two", None]


def test_a_bound_logger_repeats_its_facts(lines: Any) -> None:
    log.bind(tenant="oslo").bind(vendor="vitec").warning("ingest.slow", vendor="propstreet")
    (line,) = lines()
    assert (line["tenant"], line["vendor"]) == ("oslo", "propstreet")


def test_lines_below_the_level_are_not_written(lines: Any) -> None:
    telemetry.setup("warning", console=False)
    log.info("ingest.read")
    log.warning("ingest.slow")
    assert [line["event"] for line in lines()] == ["ingest.slow"]


def test_the_environment_says_which_level_and_a_mistake_is_told() -> None:
    assert telemetry.level_in({}) == "info"
    assert telemetry.level_in({"TOVEIS_LOG_LEVEL": "DEBUG"}) == "debug"
    with pytest.raises(ConfigError) as mistake:
        telemetry.level_in({"TOVEIS_LOG_LEVEL": "loud"})
    assert mistake.value.problems == ("TOVEIS_LOG_LEVEL: is not a level (write debug, info, warning, error)",)


def test_libraries_warn_through_the_same_log_without_their_arguments(lines: Any) -> None:
    logging.getLogger("some.library").warning("cannot reach %s", "anna@example.se")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: ValueError('Anna Berg')")
    logging.getLogger("some.library").info("nothing")
    logging.getLogger("aiohttp.access").warning("GET /webhooks/vitec/oslo/hush")
    first, second = lines()
    assert (first["event"], first["logger"], first["problem"]) == (
        "library.warned",
        "some.library",
        "cannot reach %s",
    )
    assert (second["level"], second["problem"]) == ("error", "Task exception was never retrieved")


def test_the_console_form_is_readable_and_hides_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.setup("info", console=True)
    log.info("deliver.sent", tenant="oslo", name="Anna Berg")
    written = capsys.readouterr().err
    assert "deliver.sent" in written
    assert "Anna" not in written


def test_importing_the_module_imports_no_logging_library() -> None:
    code = "import sys, daemon.telemetry; print('structlog' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_before_setup_only_warnings_are_written() -> None:
    code = "from daemon.telemetry import log; log.info('cli.started'); log.warning('cli.slow')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, json.loads(done.stderr)["event"]) == ("", "cli.slow")
