"""What the statements of `calls.sql` do."""

from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.sessions import LockKey


def _credential(credential: str, *_: Any) -> list[LockKey]:
    return [("calls", credential)]


@statement("calls.lock", "pg_advisory_xact_lock", holds=_credential)
def lock(_: Tables, __: str) -> Answers:
    return [("",)]


@statement("calls.settle")
def settle(t: Tables, credential: str, holder: UUID, block: int, calls: int, counted_at: datetime) -> None:
    row = t.calls.get(credential, holder, block)
    if row is not None:
        t.calls.replace(row, calls=calls, counted_at=counted_at)


@statement("calls.forget")
def forget(t: Tables, credential: str, before: datetime) -> None:
    for row in list(t.calls.where(credential=credential)):
        if row.counted_at < before:
            t.calls.delete(row)


@statement("calls.of_others", "calls counted_at")
def of_others(t: Tables, credential: str, holder: UUID) -> Answers:
    found = [row for row in t.calls.where(credential=credential) if row.holder != holder]
    return [(row.calls, row.counted_at) for row in sorted(found, key=lambda row: (row.counted_at, row.calls))]


@statement("calls.record")
def record(t: Tables, credential: str, holder: UUID, block: int, calls: int, counted_at: datetime) -> None:
    t.calls.insert(credential=credential, holder=holder, block=block, calls=calls, counted_at=counted_at)
