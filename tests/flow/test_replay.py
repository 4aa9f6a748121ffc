"""`toveis replay` beside the running daemon: nobody who tells us anything waits for it, and nothing follows from it."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import aiohttp
import pytest

from daemon.domain.signatures import key_of
from daemon.embedded_postgres import EmbeddedPostgres
from daemon.sandbox.day import idle
from daemon.sandbox.world import PATH_SECRET, TENANT, WEBHOOK_SECRET, World
from daemon.storage import log, migrations, views
from daemon.storage.connection import Connection, owner
from tests.benchmarks.corpus import fill
from tests.conftest import eventually
from tests.flow.conftest import up
from tests.flow.several import several
from tests.flow.test_command_line import rows, toveis

Up = Callable[..., Any]

EVENTS: Final = 12_000
ENTITIES: Final = 300

AT_MOST: Final = 8.0
"""Seconds for one answer, on a machine that has much else to do."""

LONG: Final = 90.0


class Place(NamedTuple):
    """A daemon with a long log, between both vendors: where it listens, and a way into its database."""

    world: World
    url: str
    config: tuple[str, str]
    connect: Callable[[], Awaitable[Connection]]

    async def idle(self) -> bool:
        return await idle(await self.connect())

    async def commands(self) -> int:
        """How many were ever issued."""
        conn = await self.connect()
        count: int = await conn.fetchval("SELECT count(*) FROM events WHERE type = 'CommandIssued'")
        return count


@pytest.fixture(scope="module")
async def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a PostgreSQL with a log of people whom both vendors knew, and who were edited."""
    made = tmp_path_factory.mktemp("long")
    with EmbeddedPostgres(made, own=True) as server:
        await migrations.migrate(server.dsn())
        await fill(server.dsn(), EVENTS, ENTITIES)
    return made


@asynccontextmanager
async def embedded(directory: Path, long_log: Path) -> AsyncIterator[Place]:
    """The daemon runs PostgreSQL itself."""
    async with up(directory, long_log, subscribe=False) as running:
        config = ("--config", str(running.config_file))
        yield Place(running.world, running.world.daemon_url, config, running.connect)


@asynccontextmanager
async def by_dsn(directory: Path, database: str) -> AsyncIterator[Place]:
    """The daemon logs in to a database as one, a replay as another."""
    await fill(database, EVENTS, ENTITIES)
    async with several(directory, database, "one") as running:
        [peer] = running.peers
        owner = running._dsn
        text = peer.config_file.read_text("utf-8")
        peer.config_file.write_text(text.replace("dsn =", f'migrate_dsn = "{owner}"\ndsn =', 1), "utf-8")

        async def connect() -> Connection:
            conn: Connection = running.conn
            return conn

        yield Place(
            running.world, f"http://127.0.0.1:{peer.port}", ("--config", str(peer.config_file)), connect
        )


class Crowd:
    """Everybody who tells us something, one after the other and all the time, until it is `over`.

    Propstreet's signed deliveries say what is known already; Vitec's notifications name records that are not there.
    """

    def __init__(self, place: Place, record: dict[str, Any]) -> None:
        self.answers: list[tuple[int, float]] = []
        self.over = asyncio.Event()
        self._url = place.url
        self._body = json.dumps(
            {"type": "contact.updated", "timestamp": record["updatedUtc"], "data": record}
        )

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while not self.over.is_set():
                number = len(self.answers)
                name = {"customerId": "M11385", "type": "Contact", "subtype": "Person", "event": "Update"}
                told = {**name, "id": f"ADRGONE{number:09}"}
                vitec = session.post(f"{self._url}/webhooks/vitec/{TENANT}/{PATH_SECRET}", json=told)
                await asyncio.gather(self._tell(vitec), self._tell(self._signed(session, number)))

    async def _tell(self, request: Any) -> None:
        began = time.monotonic()
        async with request as answer:
            self.answers.append((answer.status, time.monotonic() - began))

    def _signed(self, session: aiohttp.ClientSession, number: int) -> Any:
        delivery, now = f"msg_{number:024x}", str(int(time.time()))
        signed = hmac.new(
            key_of(WEBHOOK_SECRET), f"{delivery}.{now}.{self._body}".encode(), hashlib.sha256
        ).digest()
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": now,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }
        return session.post(
            f"{self._url}/webhooks/propstreet/{TENANT}", data=self._body.encode(), headers=headers
        )


async def replays_under_load(place: Place) -> None:
    twin = place.world.propstreet
    await eventually(place.idle, LONG)
    contact = twin.create("contact", firstName="Kari", lastName="Øst", email="kari@example.no")
    in_vitec = await eventually(lambda: kari_at_vitec(place.world), LONG)
    await eventually(place.idle, LONG)

    conn, before = await place.connect(), await place.commands()
    head = await log.head(conn, TENANT)
    code, said, errors = await toveis("replay", *place.config)
    assert (code, errors) == (0, "")
    assert said.endswith(" events replayed, the views of every tenant are swapped\n")
    await eventually(place.idle, LONG)
    query = (
        "SELECT count(*) FROM events WHERE position > $1 AND type NOT IN ('RecordObserved', 'FieldsAgreed')"
    )
    assert await conn.fetchval(query, head) == 0  # in a quiet world nothing follows from it; only polls go on

    head = await log.head(conn, TENANT)
    crowd, seen = Crowd(place, dict(twin.get("contact", contact))), set()
    telling = asyncio.create_task(crowd.run())
    replaying = asyncio.create_task(toveis("replay", *place.config))
    while not replaying.done():
        seen.add(await views.position(conn, TENANT))
        await asyncio.wait([replaying], timeout=0.05)
    code, said, errors = await replaying
    crowd.over.set()
    await telling
    assert (code, errors) == (0, ""), said
    assert len(crowd.answers) > 20
    assert {status // 100 for status, _ in crowd.answers} == {2}
    assert max(took for _, took in crowd.answers) < AT_MOST
    assert len(seen) > 2  # the projector went on meanwhile
    await eventually(place.idle, LONG)
    assert await log.head(conn, TENANT) >= head + len(crowd.answers)  # nothing of it was lost
    assert await place.commands() == before

    assert await toveis("verify", *place.config) == (0, "no difference\n", "")
    twin.edit("contact", contact, lastName="Vest")
    await eventually(lambda: place.world.vitec.get(in_vitec)["lastName"] == "Vest", LONG)
    await eventually(place.idle, LONG)

    assert await toveis("replay", "--rollback", *place.config) == (0, "the earlier views are back\n", "")
    await eventually(place.idle, LONG)  # they were behind, and catch up
    assert await toveis("verify", *place.config) == (0, "no difference\n", "")
    twin.edit("contact", contact, lastName="Nord")
    await eventually(lambda: place.world.vitec.get(in_vitec)["lastName"] == "Nord", LONG)


def kari_at_vitec(world: World) -> str | None:
    """The id of the person that the daemon made at Vitec."""
    return next((p["id"] for p in world.vitec.records("person") if p["firstName"] == "Kari"), None)


async def test_a_replay_under_load_beside_the_daemon_that_runs_the_database(
    tmp_path: Path, long_log: Path
) -> None:
    async with embedded(tmp_path, long_log) as place:
        await replays_under_load(place)


@pytest.mark.slow
async def test_a_replay_under_load_beside_a_daemon_on_another_postgresql(
    tmp_path: Path, database: str
) -> None:
    async with by_dsn(tmp_path, database) as place:
        await replays_under_load(place)


async def test_one_replay_at_a_time_and_one_that_was_killed_leaves_nothing_that_disturbs(
    tmp_path: Path, long_log: Path
) -> None:
    async with embedded(tmp_path, long_log) as place:
        await eventually(place.idle, LONG)
        conn = await place.connect()
        await conn.execute(
            "UPDATE contacts SET last_name = 'Ingen' WHERE entity = (SELECT min(entity) FROM contacts)"
        )
        first = await asyncio.create_subprocess_exec(sys.executable, "-m", "daemon", "replay", *place.config)
        await eventually(lambda: conn.fetchval("SELECT to_regnamespace('views_next') IS NOT NULL"), LONG)
        os.kill(first.pid, signal.SIGSTOP)  # in the middle
        assert first.returncode is None
        for words in (("replay",), ("replay", "--rollback")):
            code, said, why = await toveis(*words, *place.config)
            assert (code, said) == (2, "")
            assert "being rebuilt already" in why
        first.kill()
        await first.wait()
        assert (await toveis("verify", *place.config))[0] == 1  # the live views are as they were
        for _ in range(2):  # back and forth
            assert (await toveis("replay", "--rollback", *place.config))[0] == 0
        for _ in range(2):
            assert (await toveis("replay", *place.config))[0] == 0
            assert (await toveis("verify", *place.config))[0] == 0


@pytest.mark.parametrize(
    ("kind", "version"), [("ContactPainted", 1), ("RecordObserved", 2), ("CommandIssued", 2)]
)
async def test_a_log_that_a_newer_version_wrote_is_refused_by_the_daemon_by_replay_and_by_verify(
    flow: Up, kind: str, version: int
) -> None:
    async with flow() as running:
        await eventually(running.idle, 30)
        config = ("--config", str(running.config_file))
        await running.forget_connection()
        await running.daemon.stop()
        with EmbeddedPostgres(running.data) as server:
            async with owner(server.dsn()) as conn:
                head = await log.head(conn, TENANT) + 1
                await conn.execute(
                    "INSERT INTO events VALUES ($1, $2, $3, 'contact:vitec:ADRX', 1, $4, $5, 'vitec', now(), now(),"
                    " NULL, $3, '{}', NULL)",
                    *(TENANT, head, UUID(int=1), kind, version),
                )
        refused = f"event {head} is a {kind} of schema version {version}"
        for words in (("run",), ("replay",)):
            code, said, why = await asyncio.wait_for(toveis(*words, *config), 60)
            assert code == 1, words
            assert refused in why
            assert "upgrade Toveis" in why
            assert "Traceback" not in said + why
        code, said, _ = await toveis("verify", *config, "--json")
        assert code == 1
        [finding] = rows(said)
        assert (finding["view"], finding["field"]) == ("events", "unreadable")
        assert refused in finding["live"]
        assert "upgrade Toveis" in (await toveis("verify", *config))[1]
        with EmbeddedPostgres(running.data) as server:
            async with owner(server.dsn()) as conn:
                assert await views.position(conn, TENANT) < head  # it was not skipped
