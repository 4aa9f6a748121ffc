"""When a daemon counts as ready: its work is being done, by it or by another."""

from typing import Final

import msgspec

BEHIND: Final = 10_000
"""So many events behind the log the views tell an operator nothing true of now."""


class Duty(msgspec.Struct, frozen=True):
    """One tenant as a daemon sees it. `here`: it has the lease; `runs`: and its stages run; `served`: somebody has it."""

    tenant: str
    here: bool
    runs: bool
    served: bool
    behind: int


def reasons(duties: list[Duty]) -> list[str]:
    """Why the tenants' work is not being done; empty when it is."""
    return [f"{duty.tenant}: {why}" for duty in duties if (why := _reason(duty)) is not None]


def _reason(duty: Duty) -> str | None:
    if not duty.here and not duty.served:
        return "no daemon has its lease"
    if duty.here and not duty.runs:
        return "its stages do not run yet"
    if duty.behind > BEHIND:
        return f"the views are {duty.behind} events behind the log"
    return None
