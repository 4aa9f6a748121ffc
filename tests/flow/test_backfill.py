"""A backfill of a large office, killed three times: everybody once at both vendors, in little memory."""

import asyncio
import os
import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.day import idle
from daemon.sandbox.world import TENANT, World, world
from daemon.storage import views
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis

PEOPLE = int(os.environ.get("TOVEIS_BACKFILL_PEOPLE", "20000"))
COMPANIES = int(os.environ.get("TOVEIS_BACKFILL_COMPANIES", "3000"))
PATIENCE = float(os.environ.get("TOVEIS_BACKFILL_PATIENCE", "3600"))
MOST = 200 * 1024
"""KiB that the daemon may take."""


def where(n: int) -> tuple[bool, bool]:
    """Of four, two are at both vendors, one is at Vitec and one at Propstreet."""
    return n % 4 != 3, n % 4 != 2


def number(n: int) -> str:
    """A Swedish organisation number with its check digit."""
    digits = f"556{n:06d}"
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(digits))
    return f"{digits}{-total % 10}"


def populate(place: World, people: int, companies: int) -> None:
    """Two vendors that have been in use for long."""
    before = datetime.now(UTC) - timedelta(days=30)
    clocks = place.vitec.clock, place.propstreet.store.clock
    place.vitec.clock = place.propstreet.store.clock = lambda: before
    for n in range(people):
        names = {"firstName": f"Nr {n}", "lastName": "Berg"}
        if where(n)[0]:
            place.vitec.create("person", **names, email={"emailAddress": f"nr{n}@example.no"})
        if where(n)[1]:
            place.propstreet.create("contact", **names, email=f"nr{n}@example.no")
    for n in range(companies):
        if where(n)[0]:
            dashed = f"{number(n)[:6]}-{number(n)[6:]}"
            place.vitec.create("company", name=f"Firma {n} AB", corporateNumber=dashed)
        if where(n)[1]:
            ref = {"namespace": "organization-number", "id": number(n)}
            place.propstreet.create("company", name=f"Firma {n} AB", externalRefs=[ref])
    place.vitec.clock, place.propstreet.store.clock = clocks


class Memory:
    """The most that any life of the daemon has taken."""

    def __init__(self, running: Flow) -> None:
        self._running = running
        self.most = 0

    def look(self) -> int:
        """KiB, by now."""
        status = Path(f"/proc/{self._running.daemon.pid}/status").read_text("utf-8")
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        self.most = max(self.most, int(line.split()[1]))
        return self.most


async def written(running: Flow) -> int:
    """How many writes of the backfill have come to an end."""
    return sum(row.ended for row in await views.backfilled(await running.connect(), TENANT, 0))


def doubles(place: World) -> dict[str, int]:
    """Who is at a vendor more than once, or not at all."""
    found: Counter[str] = Counter()
    for record in place.vitec.records("person"):
        found[f"vitec {record['email']['emailAddress']}"] += 1
    for record in place.vitec.records("company"):
        found[f"vitec {record['corporateNumber'].replace('-', '')}"] += 1
    for record in place.propstreet.records("contact"):
        found[f"propstreet {record['email']}"] += 1
    for record in place.propstreet.records("company"):
        [own] = [r["id"] for r in record["externalRefs"] if r["namespace"] == "organization-number"]
        found[f"propstreet {own}"] += 1
    keys = {*(f"nr{n}@example.no" for n in range(PEOPLE)), *(number(n) for n in range(COMPANIES))}
    wanted = {f"{vendor} {key}" for vendor in ("vitec", "propstreet") for key in keys}
    return {name: found[name] for name in {*wanted, *found} if found[name] != 1 or name not in wanted}


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE)
async def test_a_large_backfill_that_is_killed_three_times_makes_everybody_once(
    tmp_path: Path, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world() as place:
        populate(place, PEOPLE, COMPANIES)
        running = Flow(place, tmp_path, "60s", 'first_sync = "wait"')
        shutil.copytree(cluster, running.data)
        config = ("--config", str(running.config_file))
        records = sum(sum(where(n)) for n in (*range(PEOPLE), *range(COMPANIES)))
        began = time.monotonic()

        def say(words: str) -> None:
            with capsys.disabled():
                print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)  # noqa: T201 - the figures are what it is for

        try:
            await running.daemon.start(120.0)
            place.subscribe()
            memory = Memory(running)

            async def read() -> Any:
                conn = await running.connect()
                seen = await conn.fetchval("SELECT count(*) FROM entities WHERE dormant")
                return seen == records and await idle(conn)

            await eventually(read, PATIENCE)
            say(f"{records} records read, {memory.look() / 1024:.0f} MiB")
            code, output, errors = await toveis("backfill", "--dry-run", "--json", *config)
            assert code == 1, errors
            planned = Counter(step["do"] for step in rows(output))
            assert planned.keys() == {"link", "create", "update"}
            writes = planned["create"] + planned["update"]
            say(f"planned: {dict(planned)}")

            released = time.monotonic()
            first = asyncio.create_task(toveis("backfill", "--yes", *config))
            for part in (0.2, 0.5, 0.8):

                async def come_so_far(part: float = part) -> Any:
                    memory.look()
                    await asyncio.sleep(0.2)
                    return await written(running) >= part * writes

                await eventually(come_so_far, PATIENCE)
                say(f"{await written(running)} of {writes} writes, {memory.look() / 1024:.0f} MiB; killed")
                await running.forget_connection()
                running.daemon.kill()
                await running.daemon.start(120.0)
            await first  # its database was killed with the daemon

            last = asyncio.create_task(toveis("backfill", *config))

            async def over() -> Any:
                memory.look()
                await asyncio.sleep(0.2)
                return last.done() and await idle(await running.connect())

            await eventually(over, PATIENCE)
            code, _, errors = last.result()
            assert (code, "done" in errors) == (0, True), errors
            took = time.monotonic() - released
            say(
                f"{await written(running)} writes in {took:.0f} s: {writes / took:.0f} writes/s, "
                f"{records / took:.0f} rows/s, {memory.most / 1024:.0f} MiB at most"
            )
            assert doubles(place) == {}
            assert (await toveis("backfill", "--dry-run", *config))[0] == 0
            assert rows((await toveis("status", "--json", *config))[1])[0]["waiting"] == 0
            counts = await views.counts(await running.connect(), TENANT)
            assert {key: counts[key] for key in ("pending", "held", "dead", "held_entities")} == {
                "pending": 0,
                "held": 0,
                "dead": 0,
                "held_entities": 0,
            }
            assert memory.most < MOST
            await running.check_log()
            say("the log is sound, and every view equals a fresh fold")
        finally:
            await running.forget_connection()
            await running.daemon.stop()
