"""When a daemon is ready, tenant by tenant."""

import pytest

from daemon.policies.readiness import BEHIND, Duty, reasons


def duty(*, here: bool = True, runs: bool = True, served: bool = True, behind: int = 0) -> Duty:
    return Duty("oslo", here, runs, served, behind)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (duty(), None),
        (duty(behind=BEHIND), None),
        (duty(here=False, runs=False), None),
        (duty(here=False, runs=False, served=False), "no daemon has its lease"),
        (duty(runs=False), "its stages do not run yet"),
        (duty(behind=BEHIND + 1), f"the views are {BEHIND + 1} events behind the log"),
        (
            duty(here=False, runs=False, behind=BEHIND + 1),
            f"the views are {BEHIND + 1} events behind the log",
        ),
    ],
    ids=[
        "works",
        "a little behind",
        "elsewhere",
        "nobody",
        "not begun",
        "far behind",
        "elsewhere, far behind",
    ],
)
def test_a_tenant_whose_work_is_not_being_done_says_why(found: Duty, why: str | None) -> None:
    assert reasons([found]) == ([] if why is None else [f"oslo: {why}"])


def test_each_tenant_tells_its_own_reason() -> None:
    other = Duty("bergen", False, False, False, 0)
    assert reasons([duty(), other, duty(runs=False)]) == [
        "bergen: no daemon has its lease",
        "oslo: its stages do not run yet",
    ]
