"""From observe mode to live: what would have been done was only said, and is decided anew when it may be done."""

from pathlib import Path

from daemon.sandbox.world import TENANT
from daemon.storage import views
from tests.conftest import eventually
from tests.flow.conftest import Flow
from tests.flow.test_brakes import held, town
from tests.flow.test_command_line import rows, toveis


async def in_mode(running: Flow, mode: str) -> None:
    """The daemon ends, and begins again in this mode."""
    text = running.config_file.read_text("utf-8")
    other = {"live": "observe", "observe": "live"}[mode]
    assert text.count(f'mode = "{other}"') == 1
    running.config_file.write_text(text.replace(f'mode = "{other}"', f'mode = "{mode}"'), "utf-8")
    await running.forget_connection()
    await running.daemon.stop()
    await running.daemon.start()


async def test_what_was_decided_in_observe_mode_is_decided_anew_in_live_mode(
    tmp_path: Path, cluster: Path
) -> None:
    brake = "change_brake = { count = 3, percent = 1 }"
    async with town(tmp_path, cluster, 12, brake) as (running, linked):
        vitec, propstreet = running.world.vitec, running.world.propstreet
        config = ("--config", str(running.config_file))

        async def agreed() -> bool:
            return not await views.unsealed(await running.connect(), TENANT)

        await eventually(agreed, 30.0)
        await in_mode(running, "observe")
        conn = await running.connect()
        attempted = "SELECT count(*) FROM events WHERE type = 'CommandAttempted'"
        before, sent = running.content(), await conn.fetchval(attempted)

        (plain, at_plain), (both, at_both), (back, at_back) = linked[:3]
        for person in (plain, both, back):
            vitec.edit(person, lastName="Ek")

        async def observed() -> set[str]:
            listed = rows((await toveis("commands", "--held", "--json", *config))[1])
            return {row["entity"] for row in listed if row["reason"] == "observe"}

        async def all_observed() -> bool:
            return len(await observed()) == 3

        await eventually(all_observed, 30.0)
        await running.settled()
        assert running.content() == before, "nothing is sent in observe mode"
        propstreet.edit("contact", at_both, lastName="Lie")  # later than the other side's
        vitec.edit(back, lastName="Berg")  # as if nothing had been
        await running.settled()
        for _, here in linked[6:]:
            propstreet.edit(
                "contact", here, firstName="Alle"
            )  # half of all at once, and no webhook tells of it

        async def braked() -> bool:
            return bool(await held(running))

        await eventually(braked, 30.0)
        await running.settled()
        assert await (await running.connect()).fetchval(attempted) == sent
        assert {vitec.get(there)["firstName"] for there, _ in linked[6:]} == {f"Nr {n}" for n in range(6, 12)}

        await in_mode(running, "live")
        await eventually(lambda: propstreet.get("contact", at_plain)["lastName"] == "Ek", 30.0)
        await eventually(lambda: vitec.get(both)["lastName"] == "Lie", 30.0)
        await running.settled()
        assert propstreet.get("contact", at_both)["lastName"] == "Lie", "the write of before was not sent"
        assert {vitec.get(back)["lastName"], propstreet.get("contact", at_back)["lastName"]} == {"Berg"}
        assert {vitec.get(there)["firstName"] for there, _ in linked[6:]} == {f"Nr {n}" for n in range(6, 12)}
        [batch] = await held(running)
        assert batch.kind == "changes", "the brake of before still holds"
        lost = rows((await toveis("conflicts", "--json", *config))[1])
        assert [(row["field"], row["loser_value"], row["winner_value"]) for row in lost] == [
            ("last_name", "Ek", "Lie")
        ]
        assert (await observed()) == set()
        conn = await running.connect()
        assert await conn.fetchval(attempted) == sent + 2

        listed = rows((await toveis("commands", "--held", "--json", *config))[1])
        [held_batch] = [row["id"] for row in listed if row["reason"] == "changes"]
        assert (await toveis("release", held_batch, *config))[0] == 0
        await eventually(lambda: {vitec.get(there)["firstName"] for there, _ in linked[6:]} == {"Alle"}, 30.0)
        await running.settled()
        await running.check_log()
