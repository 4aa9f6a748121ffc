"""The stand-in for PostgreSQL beside a real one: the same statements on the same data give the same rows."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from daemon.domain.events import (
    LOG_RESTORED,
    CommandAttempted,
    CommandHeld,
    CommandIssued,
    EntityHeld,
    LogRestored,
    NewEvent,
    Reading,
    RecordRemoved,
    encode,
)
from daemon.domain.settings import Secret
from daemon.domain.streams import (
    LOG_STREAM,
    PROPSTREET,
    VITEC,
    derived_id,
    entity_id,
    entity_stream,
    parse_record_stream,
    record_stream,
)
from daemon.domain.subscriptions import Health
from daemon.processor import Tenant
from daemon.project import Projector
from daemon.storage import calls, leases, log, rebuild, subscriptions, views, working
from daemon.storage.appender import Appender
from daemon.storage.leases import Lease
from projections.views import VIEWS, Fold
from tests.integration.annals import NOON, OPTIONS, TENANT, anew, annals, tenant_settings
from tests.integration.ground import event, read
from tests.simulation.database import Database
from tests.simulation.postgres import Postgres
from tests.simulation.registry import STATEMENTS
from tests.simulation.sessions import Pool, Server
from tests.simulation.statements import UNUSED, by_text, every_text
from tests.simulation.tables import schemas

EVENTS: Final = annals(4)
ELSEWHERE: Final = "bergen"
STRANGER: Final = event("contact:vitec:ADR1", b'{"contactId": "ADR1"}')
RESTORED: Final = event(
    LOG_STREAM, encode(LogRestored(UUID(int=7), 99)), type=LOG_RESTORED, origin="toveis", meta=None
)
LATER: Final = NOON + timedelta(days=30)
LONG: Final = 600.0
HOLDERS: Final = (UUID(int=7), UUID(int=8))
Samples = dict[str, list[tuple[Any, ...]]]


@pytest.fixture
def real(database: str) -> Iterator[Postgres]:
    with Postgres(database) as server:
        yield server


class Journal:
    """A gate at which nothing happens, and which remembers who passed."""

    def __init__(self) -> None:
        self.passed: dict[str, None] = {}

    async def __call__(self, step: str) -> None:
        self.passed[step] = None


class Told:
    """One tenant's annals, told to a server through the daemon's own code."""

    def __init__(self, server: Server) -> None:
        self.journal = Journal()
        self.pool: Any = server.pool(self.journal)
        self._ticks = itertools.count()

    def clock(self) -> datetime:
        """Every look is a second later."""
        return NOON + timedelta(days=1, seconds=next(self._ticks))

    async def tell(self) -> None:
        """Append, read, look around and fold, so that every table has rows."""
        appender = Appender(self.pool, TENANT, clock=self.clock)
        other = Appender(self.pool, ELSEWHERE, clock=self.clock)
        await appender.start()
        await other.start()
        half = len(EVENTS) // 2
        await appender.append([anew(each) for each in EVENTS[:half]])
        version = {EVENTS[0].stream: sum(each.stream == EVENTS[0].stream for each in EVENTS[:half])}
        await appender.append([anew(each) for each in EVENTS[half - 3 :]], expected=version)
        await other.append([STRANGER, RESTORED], also=partial(working.forget, tenant=ELSEWHERE))
        await self._look_around(appender)
        await appender.append(list(_epilogue()))
        for name, each in ((TENANT, appender), (ELSEWHERE, other)):
            tenant = Tenant(tenant_settings(name), "live", self.pool, each, self.clock)
            tenant.options = OPTIONS
            while await Projector(tenant).tick():
                pass
        await appender.stop()
        await other.stop()

    async def _look_around(self, appender: Appender) -> None:
        """Read all records but one anew, and let rounds look at all but one."""
        for stream, (payload, record) in itertools.islice(_records().items(), 1, None):
            source = f"round:{record}"
            async with self.pool.acquire() as conn:
                await working.open_cursor(conn, TENANT, source, self.clock())
            move = _move(source, f"after {stream}")
            await appender.append([read(stream, payload, appender.head, listed=stream)], also=move)
            if stream.startswith(("project:vitec", "contact:vitec")):
                reading = Reading(via="fetch", started=appender.head, kind="Kind")
                await appender.append(
                    [read(stream, payload, 0, listed="again", reading=reading, always=True)]
                )
            async with self.pool.acquire() as conn:
                await working.complete_cursor(conn, TENANT, source, appender.head, self.clock())
        async with self.pool.acquire() as conn:
            for position in (7, 9):
                await working.move_checkpoint(conn, TENANT, "react", position)
            for source in (VITEC, "propstreet:contact", VITEC):
                await working.open_cursor(conn, TENANT, source, self.clock())
            await working.move_cursor(conn, TENANT, VITEC, None)
            await working.ask_polls(conn, TENANT)
            await working.ask_again(conn, TENANT)
            for vendor, look in ((VITEC, NOON), (PROPSTREET, NOON), (VITEC, LATER)):
                await working.note_away(conn, TENANT, working.Away(vendor, NOON, look))
            await working.note_back(conn, TENANT, PROPSTREET)
        await self._spend()
        await self._hold()

    async def _spend(self) -> None:
        """Two processes put calls of one credential on record; one block is over, one is old."""
        for holder in HOLDERS:
            for block, (granted, age) in enumerate(((3, 4000), (5, 20), (7, 10))):
                async with self.pool.acquire() as conn, conn.transaction():
                    await calls.lock(conn, "credential")
                    await calls.forget(conn, "credential", LATER - timedelta(hours=1))
                    counted = LATER - timedelta(seconds=age)
                    await calls.record(conn, "credential", holder, block, granted, counted)
                    await calls.settle(conn, "credential", holder, 1, 4, LATER)
        await self._subscribe()

    async def _subscribe(self) -> None:
        """Two webhooks were made, one of them anew; one subscription is worse than before."""
        async with self.pool.acquire() as conn:
            for webhook, text in (("1", "whsec_AAAA"), ("2", "whsec_BBBB"), ("1", "whsec_CCCC")):
                await subscriptions.keep_secret(conn, TENANT, webhook, Secret(text), self.clock())
            for vendor, mends in ((PROPSTREET, 1), (VITEC, 2), (PROPSTREET, 3)):
                health = Health(vendor, "disabled", self.clock(), heard_at=LATER, mends=mends, position=9)
                await subscriptions.keep_health(conn, TENANT, health)

    async def _hold(self) -> None:
        """Two daemons live; one has a tenant, the other one's lease was released, and it has left."""
        async with self.pool.acquire() as conn:
            for daemon, name in zip(HOLDERS, ("one", "two"), strict=True):
                await leases.beat(conn, daemon, name, [TENANT, ELSEWHERE], LONG)
            for daemon, tenant in zip(HOLDERS, (TENANT, ELSEWHERE), strict=True):
                assert await leases.take(conn, tenant, daemon, LONG) == 1
            ours, theirs = (
                Lease(tenant, daemon, 1, inf, float, print)
                for daemon, tenant in zip(HOLDERS, (TENANT, ELSEWHERE), strict=True)
            )
            assert await leases.renew(conn, HOLDERS[0], [ours, theirs], LONG) == {TENANT}
            await leases.vacate(conn, HOLDERS[1], [ELSEWHERE])
            assert await leases.take(conn, ELSEWHERE, HOLDERS[0], LONG) is None
            await leases.release(conn, theirs)
            assert await leases.take(conn, ELSEWHERE, HOLDERS[1], LONG) == 2
            await leases.vacate(conn, HOLDERS[1])
            await leases.leave(conn, HOLDERS[1])


def _move(source: str, cursor: str) -> Callable[[Any], Any]:
    async def move(conn: Any) -> None:
        await working.move_cursor(conn, TENANT, source, cursor)

    return move


def _epilogue() -> Iterator[NewEvent]:
    """What chance left out: entities and commands that are held, and a command that is under way."""
    records = [record for record in map(parse_record_stream, _records()) if record and record[0] == "contact"]
    for number, (category, vendor, record) in enumerate(records[:3]):
        entity = entity_id(TENANT, category, vendor, record)
        decisions = (
            EntityHeld(entity, "new", "a reason", f"mark {number}", (record,)),
            CommandHeld(f"held-{number}", entity, category, PROPSTREET, None, {}, "observe", "a way out"),
            CommandIssued(f"sent-{number}", entity, category, PROPSTREET, None, {}),
            CommandAttempted(f"sent-{number}", 1),
        )
        for decision in decisions:
            parts = {"type": type(decision).__name__, "origin": "toveis", "meta": None}
            name = derived_id(entity, parts["type"] or "")
            stream = entity_stream(category, entity)
            yield event(stream, encode(decision), event_id=name, correlation_id=name, **parts)
    yield from _what_happens_to_records()


def _what_happens_to_records() -> Iterator[NewEvent]:
    """A linked record is gone, and of another there is a hint."""
    fold = Fold(TENANT, OPTIONS)
    fold.evolve(EVENTS)
    linked = [
        each for each in fold.entities.by_id.values() if len(each.sides) == 2 and each.category != "note"
    ]
    gone, hinted = (
        record_stream(each.category, VITEC, each.sides[VITEC].record)
        for each in sorted(linked, key=attrgetter("id"))[:2]
    )
    for stream, kind, data in (
        (gone, "RecordRemoved", encode(RecordRemoved("not_found"))),
        (hinted, "NotificationReceived", b"{}"),
    ):
        name = derived_id(stream, kind)
        yield event(stream, data, type=kind, origin=VITEC, event_id=name, correlation_id=name)


def _records() -> dict[str, tuple[bytes, str]]:
    """The records that polls found, with what they last read and their ids."""
    found: dict[str, tuple[bytes, str]] = {}
    for each in EVENTS:
        record = parse_record_stream(each.stream)
        if record is not None and each.type == "RecordObserved" and '"inside"' not in (each.meta or ""):
            found[each.stream] = each.data.encode(), record[2]
    return found


def _samples(rows: dict[str, list[dict[str, Any]]]) -> Samples:
    """What every reading statement is asked, by what the views hold."""
    entities = [row["entity"] for row in rows["entities"]]
    categories = sorted({row["category"] for row in rows["entities"]})
    records = [(row["category"], row["vendor"], row["external_id"]) for row in rows["records"]]
    keys = [(row["category"], row["key"], row["vendor"]) for row in rows["match_keys"]]
    pairs = list(itertools.product(categories, (VITEC, PROPSTREET)))
    names = [*entities, "con-nobody", *entities[:2]]
    commands = [row["command"] for row in rows["commands"]]
    batches = [row["batch"] for row in rows["batches"]]
    conflicts = [row["conflict"] for row in rows["conflicts"]]
    states = sorted({row["state"] for row in rows["commands"]})
    streams = sorted({each.stream for each in EVENTS})
    leads = [(row["email"], row["vitec_id"]) for row in rows["leads"]]
    tenants = [(TENANT,), (ELSEWHERE,), ("nowhere",)]
    times = (NOON, LATER, NOON + timedelta(days=1, seconds=40))
    return {
        "log.head": tenants,
        "log.incarnation": [()],
        "log.state": [(TENANT, [e.event_id for e in EVENTS[5:9]], ["contact:nobody", *streams[:9]])],
        "log.observed": [(TENANT, [*streams, "contact:vitec:NOBODY"])],
        "log.page": [(TENANT, after, limit) for after, limit in ((0, 1), (3, 50), (0, 5000), (9999, 5))],
        "log.streams": [(TENANT, [*streams[3:30], streams[3]], 20), (TENANT, [], 0)],
        "log.at": [(TENANT, 3), (TENANT, 99999)],
        "log.tenants": [()],
        "log.incarnations": [(ELSEWHERE, LOG_STREAM), (TENANT, LOG_STREAM)],
        "log.restored": [(ELSEWHERE, LOG_STREAM), (TENANT, LOG_STREAM)],
        "working.checkpoint": [(TENANT, "react"), (TENANT, "nobody")],
        "working.cursor": [(TENANT, VITEC), (TENANT, "nobody")],
        "working.cursors": tenants,
        "working.away": tenants,
        "working.reads": [(TENANT, [*streams, streams[0]])],
        "progress.read": tenants,
        "calls.of_others": [("credential", holder) for holder in (*HOLDERS, UUID(int=9))]
        + [("no", HOLDERS[0])],
        "leases.holders": [()],
        "leases.living": [()],
        "leases.held": tenants,
        "leases.others": [(holder,) for holder in HOLDERS],
        "rebuild.check_log": [(TENANT,)],
        "subscriptions.secrets": tenants,
        "subscriptions.healths": tenants,
        "subscriptions.deliveries": [
            (TENANT, vendor, after, until, since)
            for vendor in (VITEC, PROPSTREET)
            for after, until in ((0, 9999), (20, 40), (9999, 9999))
            for since in (NOON - timedelta(days=9000), NOON, LATER)
        ],
        **{f"{view}.all": tenants for view in VIEWS},
        "views.entities_of_records": [
            (TENANT, *map(list, zip(*records, ("contact", VITEC, "NOBODY"), strict=True)))
        ],
        "views.aliases": [(TENANT, [row["alias"] for row in rows["aliases"]] + names)],
        "views.absorbed": [(TENANT, [row["entity"] for row in rows["aliases"]])],
        "views.states": [(TENANT, names)],
        "views.entity_names": [(TENANT, "", 7), (TENANT, sorted(entities)[3], 500), ("nowhere", "", 1)],
        "views.waiting_leads": tenants,
        "views.commands": [(TENANT, [*commands, "nothing", *commands[:2]])],
        "views.entities_with_any_key": [
            (TENANT, category, [key for of, key, _ in keys if of == category]) for category in categories
        ],
        "views.unsealed": tenants,
        "views.entities_by_key": [
            (TENANT, category, [key for of, key, _ in keys if of == category]) for category in categories
        ],
        "views.unlinked": [(TENANT, category) for category in categories],
        "views.dormant": [(TENANT, category) for category in categories],
        "views.backfilled": [(TENANT, since) for since in (0, 100)],
        "views.dependents": [
            (TENANT, categories, [key for _, key, _ in keys if key.startswith("part:")], flag)
            for flag in (True, False)
        ],
        "views.linked_records": [(TENANT, *pair) for pair in pairs],
        "views.refused_fields": [(TENANT, categories), (TENANT, [])],
        "views.leads_of": [(TENANT, *lead) for lead in leads] + [(TENANT, leads[0][0], None)],
        "views.projects_named": [(TENANT, str(row["name"]).upper()) for row in rows["projects"]],
        "views.observed": tenants,
        "views.unsent": tenants,
        "views.needs": [
            (TENANT, vendor, now, limit)
            for vendor in (VITEC, PROPSTREET)
            for now in (NOON, NOON + timedelta(days=9000))
            for limit in (500, 0)
        ],
        "views.due_commands": [
            (TENANT, vendor, when, limit, *rests)
            for vendor in (VITEC, PROPSTREET)
            for when in times
            for limit in (500, 1)
            for rests in (((), ()), (commands, [row["position"] for row in rows["commands"]]))
        ],
        "views.flying_commands": tenants,
        "views.commands_in": [(TENANT, [state]) for state in states] + [(TENANT, states)],
        "views.counts": tenants,
        "views.conflict_count": tenants,
        "views.conflicts_since": [
            (TENANT, since, flag) for since in (None, *times) for flag in (True, False)
        ],
        "views.conflicts_called": [
            (TENANT, prefix, limit)
            for prefix in ("", conflicts[0], conflicts[0][:3], "x")
            for limit in (99, 1)
        ],
        "views.batches": [(TENANT, [*batches, "none", *batches[:1]])],
        "views.commands_like": [
            (TENANT, prefix, limit)
            for prefix in ("", commands[0][:2], commands[0], "x")
            for limit in (500, 2)
        ],
        "views.entities_like": [
            (TENANT, prefix, 9) for prefix in ("", "con-", "con-nobody", entities[0][:6])
        ],
        "audits.patience": [()],
        "audits.lock": tenants,
        "audits.last": [(TENANT, streams[0]), (ELSEWHERE, LOG_STREAM), (TENANT, "log:reconciled")],
        "audits.records": [(TENANT, *pair) for pair in pairs],
        "audits.reasons": [(TENANT, [*commands, "nothing", *commands[:2]]), (TENANT, [])],
        "audits.open_of": [(TENANT, names), (TENANT, [])],
        "brakes.batches": tenants,
        "brakes.entities_of_batches": [(TENANT, batches), (TENANT, [])],
        "brakes.removals": [(TENANT, categories), (TENANT, ["contact"]), (TENANT, [])],
        "brakes.asked_for": tenants,
        "brakes.linked_count": [(TENANT, categories), (TENANT, ["contact"]), (TENANT, [])],
        "views.held_entities": tenants,
        "views.held": tenants,
        "views.joining": [(TENANT, categories), (TENANT, [])],
        "views.waiting": tenants,
        "views.joined_records": [(TENANT, category, vendor, key) for category, key, vendor in keys],
        "views.estates_to_look_at": [(TENANT, when) for when in times],
        "views.kinds": [(TENANT, *pair, [record for _, _, record in records]) for pair in pairs],
        "views.owners_to_look_at": [
            (TENANT, categories, vendor, "round", when) for vendor in (VITEC, PROPSTREET) for when in times
        ],
        "views.owners_of_notes": [
            (TENANT, categories, vendor, source)
            for vendor in (VITEC, PROPSTREET)
            for source in ("round", "no")
        ],
    }


_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)")


def _alike(value: Any) -> Any:
    """A value in a form in which two servers can be compared: what JSON means, and lists without their order."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return _alike(msgspec.json.decode(value))
    if isinstance(value, str) and _TIME.fullmatch(value):
        return datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(value, dict):
        return {key: _alike(each) for key, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], str | int | dict):
        return [_alike(each) for each in value]
    if isinstance(value, list):
        return sorted(map(str, value))
    return value


def _rows(answer: Sequence[Any]) -> list[Any]:
    return [
        tuple((key, type(value).__name__.lower(), _alike(value)) for key, value in row.items())
        for row in answer
    ]


async def _ask(pool: Pool, samples: Samples) -> dict[tuple[str, int], list[Any]]:
    async with pool.acquire() as conn:
        return {
            (name, number): _rows(await conn.fetch(every_text()[name], *args))
            for name, asked in samples.items()
            for number, args in enumerate(asked)
        }


async def _held(pool: Pool) -> dict[str, list[dict[str, Any]]]:
    async with pool.acquire() as conn, conn.transaction():
        return {
            view: [views.plain(row) async for row in views.live_rows(conn, view, TENANT)] for view in VIEWS
        }


async def test_every_statement_gives_the_rows_that_postgresql_gives(real: Postgres) -> None:
    memory, truth = Told(Database()), Told(real)
    await memory.tell()
    await truth.tell()
    samples = _samples(await _held(truth.pool))
    ours, theirs = await _ask(memory.pool, samples), await _ask(truth.pool, samples)
    assert {place: (ours[place], theirs[place]) for place in theirs if ours[place] != theirs[place]} == {}
    asked = {name for name, _ in theirs} | memory.journal.passed.keys()
    assert sorted(STATEMENTS.keys() - asked) == []
    empty = {name for name in samples if not any(theirs[name, n] for n in range(len(samples[name])))}
    assert empty == {"rebuild.check_log", "audits.patience"}  # nothing is wrong with that log


def test_every_statement_of_the_sql_files_is_known_or_said_to_be_unused() -> None:
    unused = {name for name in every_text() if any(part in UNUSED for part in name.split("."))}
    assert sorted(every_text().keys() - unused - STATEMENTS.keys()) == []
    assert sorted(STATEMENTS.keys() - every_text().keys()) == []  # gone from the files
    assert len(by_text()) == len(STATEMENTS)  # no two have the same text


async def test_a_statement_that_is_not_known_says_its_name() -> None:
    pool = Database().pool(Journal())
    async with pool.acquire() as conn:
        with pytest.raises(NotImplementedError, match=r"does not know rebuild\.swap"):
            await conn.execute(every_text()["rebuild.swap"])


async def test_the_tables_have_the_columns_of_postgresql(real: Postgres) -> None:
    async with real.pool(Journal()).acquire() as conn:
        query = (
            "SELECT table_name::text AS name, array_agg(column_name::text ORDER BY ordinal_position) AS columns"
            " FROM information_schema.columns WHERE table_schema IN ('toveis', 'views') GROUP BY table_name"
        )
        there = {row["name"]: tuple(row["columns"]) for row in await conn.fetch(query)}
    assert {name: schema.columns for name, schema in schemas().items()} == {
        name: columns for name, columns in there.items() if name != "migrations"
    }


async def test_a_fresh_fold_is_compared_with_the_views_of_the_stand_in() -> None:
    told = Told(Database())
    await told.tell()
    async with told.pool.acquire() as conn:
        assert await rebuild.compare(conn, TENANT, OPTIONS) == []
        await conn.execute(every_text()["records.delete"], TENANT, [_one_entity()])
        assert {each.view for each in await rebuild.compare(conn, TENANT, OPTIONS)} == {"records"}
        assert await rebuild.check_log(conn, TENANT) == []


def _one_entity() -> str:
    category, vendor, record = next(filter(None, map(parse_record_stream, _records())))
    return entity_id(TENANT, category, vendor, record)


async def test_a_copy_goes_its_own_way() -> None:
    told = Told(database := Database())
    await told.tell()
    backup = database.copy()
    async with told.pool.acquire() as conn, backup.pool(Journal()).acquire() as other:
        head = await log.head(conn, TENANT)
        assert await log.head(other, TENANT) == head
        assert await log.incarnation(other, TENANT) == await log.incarnation(conn, TENANT)
        await log.append(conn, TENANT, [event()], NOON)
        await log.append(other, ELSEWHERE, [event(), event()], NOON)
        assert await log.head(conn, TENANT) == head + 1
        assert await log.head(other, TENANT) == head
        assert await log.head(conn, ELSEWHERE) == 2
        assert await log.head(other, ELSEWHERE) == 4
