"""The same person or company typed in at both vendors at the same moment: one entity, never two records at one vendor."""

from collections.abc import Callable
from typing import Any

from daemon.sandbox.agreement import differences
from daemon.sandbox.day import idle
from tests.conftest import eventually
from tests.flow.conftest import Flow

PAIRS = 15


async def test_what_is_created_at_both_sides_at_once_becomes_one_entity(flow: Callable[..., Any]) -> None:
    async with flow() as running:
        vitec, propstreet = running.world.vitec, running.world.propstreet
        for n in range(PAIRS):
            email = f"pair{n}@example.no"
            person = {"firstName": f"Kåre {n}", "lastName": "Strand"}
            vitec.create("person", **person, email={"emailAddress": email})
            propstreet.create("contact", **person, email=email.upper())
            phone = f"+4740000{n:03}"
            caller = {"firstName": f"Solveig {n}", "lastName": "Øye"}
            propstreet.create("contact", **caller, phone=phone)
            vitec.create("person", **caller, telephone={"cell": phone.replace("+47", "0047 ")})
            site = f"gård{n}.example".replace("å", "a")
            vitec.create("company", name=f"Gård {n} AS", homePage=f"www.{site}")
            propstreet.create("company", name=f"Gård {n} AS", homepageUrl=f"https://{site}")
        await _settled(running)
        assert len(vitec.records("person")) == len(propstreet.records("contact")) == 2 * PAIRS
        assert len(vitec.records("company")) == len(propstreet.records("company")) == PAIRS
        await running.check_log()


async def _settled(running: Flow) -> None:
    async def settled() -> bool:
        conn = await running.connect()
        return not differences(running.world.vitec, running.world.propstreet) and await idle(conn)

    await eventually(settled, timeout=30)
