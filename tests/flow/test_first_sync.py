"""The first start: everything is recorded, and nothing is written for what nobody has touched since."""

import shutil
from pathlib import Path
from typing import Any

from daemon.sandbox.day import idle
from daemon.sandbox.world import world
from tests.conftest import eventually
from tests.flow.conftest import Flow


async def test_what_was_there_before_waits_and_what_is_edited_since_is_synced(
    tmp_path: Path, cluster: Path
) -> None:
    async with world() as place:
        vitec, propstreet = place.vitec, place.propstreet
        old = [
            vitec.create(
                "person", firstName="Gammel", lastName=name, email={"emailAddress": f"{name}@example.no"}
            )
            for name in ("en", "to")
        ]
        running = Flow(place, tmp_path, "250ms")
        shutil.copytree(cluster, running.data)
        text = running.config_file.read_text("utf-8").replace('first_sync = "now"', 'first_sync = "wait"')
        running.config_file.write_text(text, "utf-8")
        try:
            await running.daemon.start()
            place.subscribe()
            await eventually(lambda: _waiting(running, 2))
            assert propstreet.records("contact") == []
            vitec.edit(old[0], firstName="Ny")
            propstreet.create("contact", firstName="Fersk", lastName="Person", email="fersk@example.no")
            await eventually(lambda: _waiting(running, 1))
            await eventually(
                lambda: len(propstreet.records("contact")) == 2 and len(vitec.records("person")) == 3
            )
            assert {record["firstName"] for record in propstreet.records("contact")} == {"Ny", "Fersk"}
            await running.check_log()
        finally:
            await running.forget_connection()
            await running.daemon.stop()


async def _waiting(running: Flow, wanted: int) -> Any:
    conn = await running.connect()
    return await idle(conn) and await conn.fetchval("SELECT count(*) FROM entities WHERE dormant") == wanted
