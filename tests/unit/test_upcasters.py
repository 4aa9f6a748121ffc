"""The day an event's shape first changes: what is older is read in the shape of today, and a gap is no day at all."""

import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from daemon.domain import upcasters
from daemon.domain.errors import UnknownEventError
from daemon.domain.events import (
    DECISIONS,
    OBSERVED,
    SCHEMA_VERSION,
    CommandFailed,
    Event,
    decision_of,
    known,
    readable,
    reading_of,
)
from daemon.domain.upcasters import UPCASTERS, Upcaster, check, upcast

BEFORE = SCHEMA_VERSION - 1


def written(kind: str, version: int, data: str, meta: str | None = None) -> Event:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Event(
        7, uuid.UUID(int=7), "contact:con-x", 1, kind, version, "toveis", now, now, None, uuid.UUID(int=7), data, meta
    )  # fmt: skip


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    """As if `reason` had been called `why`."""
    why = data.pop("why")
    return {**data, "reason": why}


OLD = '{"command": "c-1", "why": "timeout", "retry_at": null}'


def test_an_event_of_the_version_before_is_read_through_its_upcaster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcasters, "UPCASTERS", {(CommandFailed.__name__, BEFORE): renamed})
    event = upcast(written(CommandFailed.__name__, BEFORE, OLD))
    readable(event)
    failed = decision_of(event)
    assert isinstance(failed, CommandFailed)
    assert (failed.command, failed.reason) == ("c-1", "timeout")
    assert event.schema_version == SCHEMA_VERSION


def test_a_chain_goes_through_every_version_and_only_through_the_events_own_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raised(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "steps": data.get("steps", 0) + 1}

    steps: dict[tuple[str, int], Upcaster] = {
        ("FieldsAgreed", BEFORE - 2): raised,
        ("CommandHeld", BEFORE - 1): raised,
        ("FieldsAgreed", BEFORE): raised,
    }
    monkeypatch.setattr(upcasters, "UPCASTERS", steps)
    agreed, held = (upcast(written(kind, BEFORE - 2, "{}")) for kind in ("FieldsAgreed", "CommandHeld"))
    assert msgspec.json.decode(agreed.data) == {"steps": 2}
    assert msgspec.json.decode(held.data) == {"steps": 1}
    assert upcast(written("CommandDiscarded", BEFORE - 2, "{}")).data == "{}"
    assert msgspec.json.decode(upcast(written("FieldsAgreed", BEFORE, "{}")).data) == {"steps": 1}


def test_of_an_observation_only_how_it_came_is_ours_the_vendors_json_stays_as_it_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = '{ "why":  "no" }'
    monkeypatch.setattr(
        upcasters, "UPCASTERS", {(OBSERVED, BEFORE): lambda meta: {"via": meta["how"], "first": True}}
    )
    event = upcast(written(OBSERVED, BEFORE, sent, '{"how": "poll"}'))
    assert event.data == sent
    assert (reading_of(event).via, reading_of(event).first) == ("poll", True)


def test_without_an_upcaster_an_older_or_newer_version_stays_what_it_is_and_is_refused() -> None:
    for version in (BEFORE, SCHEMA_VERSION + 1, 99):
        event = written(CommandFailed.__name__, version, OLD)
        assert upcast(event) is event
        with pytest.raises(
            UnknownEventError,
            match=rf"event 7 is a CommandFailed of schema version {version}.*upgrade Toveis",
        ):
            known(event)


def test_a_type_that_a_newer_version_writes_is_refused_by_its_name() -> None:
    with pytest.raises(UnknownEventError, match=r"event 7 is a ContactPainted of schema version 1.*upgrade"):
        known(written("ContactPainted", SCHEMA_VERSION, "{}"))


def test_the_registry_of_this_version_is_whole() -> None:
    check(UPCASTERS)
    assert SCHEMA_VERSION == 1 or UPCASTERS


@pytest.mark.parametrize(
    ("chain", "present", "problem"),
    [
        ([], 2, "nothing leads on from version 1"),
        ([("FieldsAgreed", 1)], 3, "nothing leads on from version 2"),
        ([("FieldsAgreed", 1), ("FieldsAgreed", 3)], 4, "nothing leads on from version 2"),
        ([("FieldsAgreed", 2)], 3, "nothing leads on from version 1"),
        ([("FieldsAgreed", 1), ("FieldsAgreed", 2)], 2, "version 2 is not an earlier one"),
        ([("FieldsAgred", 1)], 2, "there is no FieldsAgred"),
    ],
)
def test_a_registry_with_a_gap_is_refused(chain: list[tuple[str, int]], present: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check(dict.fromkeys(chain, dict), present)


def test_a_whole_chain_is_taken() -> None:
    check({(kind, version): dict for kind in list(DECISIONS)[:2] for version in (1, 2, 3)}, 4)
