"""`python -m tests.simulation`: tell many stories, print what was counted, and name every seed that went wrong.

python -m tests.simulation --seeds 1000          a thousand seeds, on both cores
python -m tests.simulation --seed 123 --words    one seed, with its story and what was found
python -m tests.simulation --seed 123 --shrink   the shortest story that goes wrong in the same way
python -m tests.simulation --seeds 20 --database postgres
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.figures import Figures
from tests.simulation.mutants import MUTANTS, STORIES, mutated
from tests.simulation.run import Result
from tests.simulation.shrink import shrink
from tests.simulation.steps import words
from tests.simulation.story import tell
from tests.simulation.telling import told

BATCH = 4
"""Seeds that a worker takes at once."""


def main() -> int:
    """0 when every story ended well, 1 when one did not, 2 for wrong arguments."""
    asked = _arguments()
    if asked.seed is not None:
        return _one(asked)
    if asked.mutants:
        return _hunt(asked)
    console = Console(stderr=asked.json)
    began = time.monotonic()
    results = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        bar = progress.add_task("stories", total=asked.seeds)
        for result in _told(range(asked.start, asked.start + asked.seeds), asked):
            results.append(result)
            progress.advance(bar)
            if result.findings:
                progress.console.print(_complaint(result), markup=False)
    results.sort(key=lambda result: result.seed)
    seconds = time.monotonic() - began
    if asked.json:
        print(json.dumps(summary(results, seconds)))
    else:
        console.print(_table(results, seconds))
    return 1 if any(result.findings for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many stories (100)")
    parser.add_argument("--start", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seed", type=int, help="one seed, told in full")
    parser.add_argument("--words", action="store_true", help="with --seed: print the story")
    parser.add_argument(
        "--shrink", action="store_true", help="with --seed: find the shortest story that still fails"
    )
    parser.add_argument("--story", help="a story from a file instead of a seed's own")
    parser.add_argument("--database", choices=("memory", "postgres"), default="memory")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="take a mechanism out")
    parser.add_argument(
        "--mutants", action="store_true", help="for each mechanism: the first seed that notices its loss"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout instead of the table")
    return parser.parse_args()


def _told(seeds: range, asked: argparse.Namespace) -> Iterator[Result]:
    """The results as they come, from several processes; each is started anew after a while, for its memory's sake."""
    batches = [list(seeds[at : at + BATCH]) for at in range(0, len(seeds), BATCH)]
    tell_some = partial(told, database=asked.database, mutant=asked.mutant)
    with get_context("spawn").Pool(asked.workers, maxtasksperchild=25) as pool:
        for results in pool.imap_unordered(tell_some, batches):
            yield from results


def _one(asked: argparse.Namespace) -> int:
    story = tell(asked.seed)
    if asked.shrink:
        with mutated(asked.mutant):
            story = shrink(story, say=lambda line: print(line, file=sys.stderr))
    if asked.words or asked.shrink:
        print(words(story))
    [result] = told([story], asked.database, asked.mutant)
    if asked.json:
        print(msgspec.json.encode(result).decode())
    else:
        for finding in result.findings:
            print(finding)
        print(f"seed {result.seed}: {result.figures.events} events, digest {result.digest}")
    return 1 if result.findings else 0


def _hunt(asked: argparse.Namespace) -> int:
    """For each mutant the first seed whose story goes wrong, or the test that fails; 1 when one outlives all of them."""
    table = Table("mechanism taken out", "seed", "what went wrong")
    alive = 0
    for name in sorted(MUTANTS) if asked.mutant is None else [asked.mutant]:
        caught = _first_wrong(name, asked)
        if caught is not None:
            row = (name, str(caught.seed), str(caught.findings[0])[:70])
        elif name in STORIES and not _told_well(name):
            row = (name, "-", STORIES[name].partition("::")[2])
        else:
            row, alive = (name, "-", "nothing"), alive + 1
        table.add_row(*row)
        print(*row, sep="\t", file=sys.stderr, flush=True)
    Console().print(table)
    return 1 if alive else 0


def _told_well(mutant: str) -> bool:
    """Whether the test that needs a mechanism passes without it."""
    told = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.simulation.with_mutant",
        f"tests/unit/{STORIES[mutant]}",
    ]
    ended = subprocess.run(
        told, env=os.environ | {"TOVEIS_MUTANT": mutant}, stdout=subprocess.DEVNULL, check=False
    )
    return ended.returncode != 1


def _first_wrong(mutant: str, asked: argparse.Namespace) -> Result | None:
    seeds = range(asked.start, asked.start + asked.seeds)
    with get_context("spawn").Pool(asked.workers) as pool:
        for [result] in pool.imap(partial(told, mutant=mutant), ([seed] for seed in seeds)):
            if result.findings:
                pool.terminate()
                return result
    return None


def _complaint(result: Result) -> str:
    lines = [f"  {finding}" for finding in result.findings[:5]]
    again = (
        f"again: make simulate ARGS='--seed {result.seed} --words'   shorter: --seed {result.seed} --shrink"
    )
    return "\n".join([f"seed {result.seed} went wrong", *lines, f"  {again}"])


def summary(results: list[Result], seconds: float) -> dict[str, float]:
    """Every count over all stories, and the times to convergence."""
    counted = {
        name: sum(getattr(result.figures, name) for result in results)
        for name in Figures.__struct_fields__
        if name != "settled"
    }
    settled = sorted(time for result in results for time in result.figures.settled)
    return {
        "stories": len(results),
        "went_wrong": sum(bool(result.findings) for result in results),
        **counted,
        "median_seconds_to_convergence": round(statistics.median(settled), 2) if settled else 0.0,
        "worst_seconds_to_convergence": round(settled[-1], 1) if settled else 0.0,
        "virtual_hours": round(sum(result.virtual for result in results) / 3600, 1),
        "seconds": round(seconds, 1),
    }


LABELS = {
    "stories": "stories told",
    "went_wrong": "that went wrong",
    "edits": "values typed by people",
    "echoes": "echoes suppressed",
    "commands": "commands",
    "conflicts": "conflicts on record",
    "doubts": "of them doubts",
    "lost": "edits lost",
    "in_window": "edits lost in Vitec's read-write window",
    "loops": "loops",
    "duplicates": "duplicates",
    "lives": "starts of the daemon",
    "events": "events",
    "median_seconds_to_convergence": "seconds to convergence, median",
    "worst_seconds_to_convergence": "seconds to convergence, worst",
    "virtual_hours": "hours told",
    "seconds": "seconds taken",
}


def _table(results: list[Result], seconds: float) -> Table:
    table = Table(show_header=False)
    for name, value in summary(results, seconds).items():
        table.add_row(LABELS[name], f"{value:,}")
    return table


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set must follow from nothing but the seed
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
