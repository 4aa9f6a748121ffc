"""A value that lost is listed, brought back with one command, and stays; as an operator types it."""

import getpass
from collections.abc import Callable
from typing import Any

from daemon.sandbox.agreement import differences
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_command_line import rows, toveis

Up = Callable[..., Any]


class Office:
    """One contact on both sides, and a daemon that is away while both are edited."""

    def __init__(self, running: Flow, vitec_id: str, key: str) -> None:
        self.running, self.vitec_id, self.key = running, vitec_id, key
        self.config = ("--config", str(running.config_file))

    def names(self) -> tuple[str, str]:
        """What Vitec and Propstreet hold."""
        world = self.running.world
        there = world.propstreet.get("contact", self.key)
        return world.vitec.get(self.vitec_id)["lastName"], there["lastName"]

    async def quiet(self) -> bool:
        """Both sides hold the same, and nothing waits."""
        world = self.running.world
        return not differences(world.vitec, world.propstreet) and await self.running.idle()

    async def away(self) -> None:
        """The daemon stops."""
        await self.running.forget_connection()
        assert await self.running.daemon.stop() == 0

    async def listed(self, *words: str) -> list[dict[str, Any]]:
        """What `toveis conflicts` knows."""
        code, output, errors = await toveis("conflicts", *words, "--json", *self.config)
        assert code == 0, errors
        return rows(output)


async def conflicting(running: Flow) -> Office:
    """Both sides edit the name of a contact while nobody is there to carry it over."""
    vitec, propstreet = running.world.vitec, running.world.propstreet
    person = vitec.create("person", firstName="Eva", lastName="Lie", email={"emailAddress": "eva@example.no"})
    await eventually(lambda: bool(propstreet.records("contact")))
    [there] = propstreet.records("contact")
    office = Office(running, person, there["id"])
    await eventually(office.quiet, timeout=30)
    await office.away()
    propstreet.edit("contact", there["id"], lastName="Lie Dahl")
    vitec.edit(person, lastName="Lie Berg")
    await running.daemon.start()
    await eventually(office.quiet, timeout=30)
    return office


async def test_what_lost_is_listed_and_comes_back_to_both_sides(flow: Up) -> None:
    async with flow() as running:
        office = await conflicting(running)
        [conflict] = await office.listed()
        assert {"id", "entity", "field", "winner", "loser", "reason"} <= conflict.keys()
        assert {
            "winner_value",
            "loser_value",
            "at",
            "category",
            "order_uncertain",
            "restored",
        } <= conflict.keys()
        assert (conflict["category"], conflict["field"], conflict["restored"]) == (
            "contact",
            "last_name",
            False,
        )
        won, lost = conflict["winner_value"], conflict["loser_value"]
        assert office.names() == (won, won)
        assert {won, lost} == {"Lie Berg", "Lie Dahl"}

        code, output, _ = await toveis("conflicts", *office.config)
        assert code == 0
        assert max(map(len, output.splitlines())) <= 80
        assert "toveis restore" in output
        short = conflict["id"][:8]
        assert short in output

        code, output, errors = await toveis("restore", short, *office.config)
        assert code == 0, errors
        assert f"last name {lost} goes to Vitec and Propstreet in place of {won}" in output
        await eventually(lambda: office.names() == (lost, lost), timeout=30)
        await running.settled()
        assert office.names() == (lost, lost)

        code, output, _ = await toveis("restore", conflict["id"], *office.config)
        assert (code, output) == (0, "the value is there already\n")
        [again] = await office.listed()
        assert (again["restored"], again["restored_by"]) == (True, getpass.getuser())
        first, word = await office.listed("--all")
        assert first == again
        assert (word["restores"], word["by"]) == (conflict["id"], getpass.getuser())
        assert await office.listed("--since", "2099-01-01T00:00") == []
        code, output, _ = await toveis("history", "contact", conflict["entity"], *office.config, "--json")
        told = [row for row in rows(output) if row["origin"] == "operator"]
        assert [row["type"] for row in told] == ["ConflictResolved"]
        assert told[0]["summary"].startswith(f"{getpass.getuser()} brought back last name")
        await running.check_log()

        # While no daemon runs, the command brings its own database up and down again.
        await office.away()
        code, output, errors = await toveis("restore", word["id"], *office.config, "--json")
        assert code == 0, errors
        [answer] = rows(output)
        assert {"id", "restores", "entity", "field", "value", "summary"} <= answer.keys()
        assert (answer["restores"], answer["value"]) == (word["id"], won)
        # … and the views still lack that word, which the log has.
        twice = await toveis("restore", word["id"], *office.config)
        assert twice[:2] == (
            0,
            "it is on its way already; what a vendor cannot take is in `toveis commands --held`\n",
        )
        await running.daemon.start()
        await eventually(lambda: office.names() == (won, won), timeout=30)
        await eventually(office.quiet, timeout=30)
        await running.check_log()


async def test_an_id_that_is_no_conflict_is_told_so(flow: Up) -> None:
    async with flow(subscribe=False) as running:
        config = ("--config", str(running.config_file))
        for ref in ("3f6c2a91", "", "%", "con-nobody"):
            code, output, errors = await toveis("restore", ref, *config)
            assert (code, output) == (2, ""), ref
            assert "toveis conflicts" in errors
        code, output, _ = await toveis("conflicts", *config)
        assert (code, output) == (0, "no conflict is on record\n")
