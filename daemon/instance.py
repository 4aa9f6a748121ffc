"""Which daemon this is: the same one after a restart in place, for nobody else can have its file open.

The file's lock proves that a former process with this id is dead, so that its leases need not run out first.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from daemon.telemetry import log


@contextmanager
def instance(data_dir: Path, fresh: UUID) -> Iterator[UUID]:
    """The id that stands in `data_dir`, held until the end; `fresh` where there is none yet, or somebody else has it."""
    descriptor = _locked(data_dir)
    if descriptor is None:
        yield fresh
        return
    try:
        yield _kept(descriptor, fresh)
    finally:
        os.close(descriptor)


def _locked(data_dir: Path) -> int | None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "instance", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        advice = (
            "give every daemon a data_dir of its own; until then a restart waits for its own leases to end"
        )
        log.warning("lease.no_instance", reason=type(error).__name__, advice=advice)
        return None
    return descriptor


def _kept(descriptor: int, fresh: UUID) -> UUID:
    try:
        return UUID(os.pread(descriptor, 64, 0).decode().strip())
    except ValueError:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{fresh}\n".encode(), 0)
        os.fsync(descriptor)
        return fresh
