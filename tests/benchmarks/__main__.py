"""The benchmarks: python -m tests.benchmarks [--json] [ingest] [replay] [rest] [million].

Exits 1 when a figure does not hold its floor.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from tests.benchmarks import ingest, million, replay, rest
from tests.benchmarks.report import Measure, as_json, as_table

BENCHMARKS: Final[dict[str, Callable[[], Awaitable[list[Measure]]]]] = {
    "ingest": ingest.run,
    "replay": replay.run,
    "rest": rest.run,
    "million": million.run,
}
USUAL: Final = ("ingest", "replay", "rest")
"""What takes a minute; the others are asked for by name."""


async def run(names: list[str]) -> list[Measure]:
    """The measures of these benchmarks, one after the other: they share the machine's cores."""
    return [found for name in names for found in await BENCHMARKS[name]()]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Toveis' benchmarks.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(BENCHMARKS)}; when left out {', '.join(USUAL)}",
    )
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    measures = asyncio.run(run(given.names or list(USUAL)))
    print(as_json(measures) if given.json else as_table(measures))
    return 0 if all(measure.holds for measure in measures) else 1


if __name__ == "__main__":
    sys.exit(main())
