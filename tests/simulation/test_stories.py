"""Stories told to their end: fifty of them, one of them twice, and a few on a real PostgreSQL.

Each runs in a process of its own, since the order of a set must follow from nothing but the seed. `make simulate` tells
a thousand.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = tuple(range(1, 51, 10))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m tests.simulation`, as `make simulate` starts it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--workers", "1", "--json", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def told(*arguments: str) -> dict[str, Any]:
    """What a run printed."""
    result = run(*arguments)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("first", BLOCKS)
def test_whatever_happens_nothing_is_lost_and_nothing_loops(first: int) -> None:
    result = run("--seeds", "10", "--start", str(first))
    assert result.returncode == 0, result.stderr[-4000:]
    counted = json.loads(result.stdout)
    assert counted["stories"] == 10
    assert counted["edits"] > 100
    assert counted["commands"] > 50
    assert [counted[name] for name in ("went_wrong", "lost", "loops", "duplicates")] == [0, 0, 0, 0]


def test_the_same_seed_gives_the_same_log_and_another_seed_another_one() -> None:
    first, again, other = (told("--seed", seed)["digest"] for seed in ("8", "8", "9"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", ["8", *(pytest.param(each, marks=pytest.mark.slow) for each in ("2", "11"))])
def test_a_real_postgresql_gives_the_same_log_as_the_stand_in(seed: str) -> None:
    real, stand_in = (told("--seed", seed, "--database", kind) for kind in ("postgres", "memory"))
    assert real["findings"] == []
    assert real["digest"] == stand_in["digest"]


@pytest.mark.parametrize(
    ("mechanism", "seed"), [("base_on_success", "7"), ("base_as_a_pair", "16"), ("change_by_position", "46")]
)
def test_a_story_notices_when_a_mechanism_of_the_merge_is_taken_out(mechanism: str, seed: str) -> None:
    assert told("--seed", seed)["findings"] == []
    assert told("--seed", seed, "--mutant", mechanism)["findings"] != []
