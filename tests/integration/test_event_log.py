"""The event log under concurrent writers, refusals and odd texts."""

import asyncio
import uuid
from itertools import groupby
from operator import attrgetter

import asyncpg
import pytest

from daemon.domain.errors import DatabaseUnreachable, StorageError, WrongExpectedVersion
from daemon.domain.events import ACCEPTED, OVERLAPPING, Event, Reading, reading_of
from daemon.ingest import propstreet_webhooks
from daemon.storage import log, working
from daemon.storage.connection import Connection, owner
from daemon.storage.log import Appended
from tests.conftest import eventually
from tests.integration.annals import NOON, TENANT
from tests.integration.ground import appender_at, event, pool_at, read, waits_for_a_lock, whole_log

ANNA = "contact:vitec:ADR1"
BERIT = "contact:vitec:ADR2"


def verdicts(events: list[Event]) -> list[str]:
    return [reading_of(each).verdict for each in events]


async def locked(conn: Connection) -> None:
    """Keep every appender waiting until this transaction ends."""
    await log.lock(conn, TENANT)


# -- order


async def test_eight_writers_leave_no_gap_and_a_tight_reader_loses_nothing(database: str) -> None:
    writers, each = 8, 100
    seen: list[Event] = []

    async def write(writer: int) -> None:
        async with appender_at(database) as appender:
            for number in range(each):
                await appender.append([event(f"contact:vitec:{number % 5}", b'{"writer": %d}' % writer)])

    async def follow() -> None:
        async with pool_at(database, 1) as pool, pool.acquire() as conn:
            while len(seen) < writers * each:
                seen.extend(await log.page(conn, TENANT, seen[-1].position if seen else 0))

    await asyncio.wait_for(asyncio.gather(follow(), *map(write, range(writers))), 20)

    assert [e.position for e in seen] == list(range(1, writers * each + 1))
    assert seen == await whole_log(database)
    for _, stream in groupby(sorted(seen, key=attrgetter("stream", "position")), attrgetter("stream")):
        versions = [e.version for e in stream]
        assert versions == list(range(1, len(versions) + 1))


async def test_positions_and_versions_of_one_tenant_know_nothing_of_another(database: str) -> None:
    async with appender_at(database) as oslo, appender_at(database, "malmo") as malmo:
        await oslo.append([event(ANNA), event(ANNA)])
        [first] = await malmo.append([event(ANNA)])
    assert first.position == 1
    assert [e.version for e in await whole_log(database, "malmo")] == [1]
    async with owner(database) as conn:
        assert await log.tenants(conn) == ["malmo", "oslo"]


async def test_a_new_appender_goes_on_where_the_last_one_ended(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([event(), event()])
    async with appender_at(database) as appender:
        assert appender.head == 2
        [appended] = await appender.append([event()])
    assert appended.position == 3


async def test_stopping_serves_what_was_accepted(database: str) -> None:
    async with appender_at(database) as appender:
        waiting = [asyncio.create_task(appender.append([event()])) for _ in range(5)]
        await asyncio.sleep(0)  # the tasks begin
    assert [(await each)[0].position for each in waiting] == [1, 2, 3, 4, 5]


# -- once


async def test_the_same_event_twice_is_stored_once(database: str) -> None:
    async with appender_at(database) as appender:
        twice = event()
        assert [a.position for a in await appender.append([twice, event(), twice])] == [1, 2, None]
        assert await appender.append([twice]) == [Appended(twice.event_id, None)]
        both = await asyncio.gather(*(appender.append([again]) for again in (event(), twice, twice)))
    assert [a[0].position for a in both] == [3, None, None]
    assert len(await whole_log(database)) == 3


async def test_two_daemons_that_receive_the_same_delivery_store_it_once(database: str) -> None:
    delivery = event()
    async with appender_at(database) as one, appender_at(database) as two:
        found = await asyncio.gather(one.append([delivery]), two.append([delivery]))
    assert sorted(str(a[0].position) for a in found) == ["1", "None"]


# -- groups


async def test_requests_that_wait_together_share_a_commit(database: str) -> None:
    async with appender_at(database) as appender, owner(database) as conn:
        async with conn.transaction():
            await locked(conn)
            waiting = [asyncio.create_task(appender.append([event()])) for _ in range(50)]
            await eventually(waits_for_a_lock(database))
        await asyncio.gather(*waiting)
        commits = await conn.fetchval("SELECT count(DISTINCT xmin::text) FROM events")
    assert commits <= 2


async def test_a_stream_that_moved_fails_its_own_request_and_no_other(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([event(ANNA)])
        stale, right, late, after = await asyncio.gather(
            appender.append([event(BERIT), event(ANNA)], expected={ANNA: 0}),
            appender.append([event(ANNA)], expected={ANNA: 1, BERIT: 0}),
            appender.append([event(ANNA)], expected={ANNA: 1}),  # its neighbour in the group was first
            appender.append([event(BERIT)]),
            return_exceptions=True,
        )
    assert isinstance(stale, WrongExpectedVersion)
    assert isinstance(late, WrongExpectedVersion)
    assert isinstance(right, list)
    assert isinstance(after, list)
    assert [(e.stream, e.version) for e in await whole_log(database)] == [(ANNA, 1), (ANNA, 2), (BERIT, 1)]


async def test_only_one_of_many_who_decided_on_the_same_version_is_written(database: str) -> None:
    async def decide() -> list[Appended]:
        async with appender_at(database) as appender:
            return await appender.append([event(ANNA)], expected={ANNA: 0})

    found = await asyncio.gather(*(decide() for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["WrongExpectedVersion"] * 4 + ["list"]


async def test_a_request_that_the_database_refuses_does_not_take_its_group_down(database: str) -> None:
    async with appender_at(database) as appender:
        found = await asyncio.gather(
            appender.append([event(ANNA)]),
            appender.append([event(ANNA), event(ANNA, b"no JSON")]),
            appender.append([event(ANNA, origin="nobody")]),
            appender.append([event(ANNA, data=b"\xff")]),
            appender.append([event(ANNA)]),
            return_exceptions=True,
        )
        assert [type(each) for each in found] == [list, StorageError, StorageError, StorageError, list]
        await appender.append([event(ANNA)])
    assert [(e.position, e.version) for e in await whole_log(database)] == [(1, 1), (2, 2), (3, 3)]


async def test_a_refusal_says_nothing_of_the_refused_text(database: str) -> None:
    async with appender_at(database) as appender:
        with pytest.raises(StorageError) as refused:
            await appender.append([event(ANNA, b'{"firstName": "Anna Persson"')])
    assert "Anna" not in str(refused.value)


async def test_a_full_backlog_is_said_at_once(database: str) -> None:
    async with appender_at(database, backlog=2) as appender, owner(database) as conn:
        async with conn.transaction():
            await locked(conn)
            served = asyncio.create_task(appender.append([event()]))
            await eventually(waits_for_a_lock(database))
            queued = [asyncio.create_task(appender.append([event()])) for _ in range(2)]
            await asyncio.sleep(0)  # the tasks begin
            with pytest.raises(DatabaseUnreachable):
                await appender.append([event()])
        await asyncio.gather(served, *queued)
    assert len(await whole_log(database)) == 3


async def test_who_gives_up_waiting_does_not_disturb_the_others(database: str) -> None:
    async with appender_at(database) as appender, owner(database) as conn:
        async with conn.transaction():
            await locked(conn)
            gone, stays = (asyncio.create_task(appender.append([event()])) for _ in range(2))
            await eventually(waits_for_a_lock(database))
            gone.cancel()
        await stays
        assert (await appender.append([event()]))[0].position == 3


# -- with the events


async def test_a_cursor_moves_with_its_events_or_not_at_all(database: str) -> None:
    async def move(conn: Connection) -> None:
        await working.move_cursor(conn, TENANT, "vitec", "2026-03-02T12:00:00")

    async def move_and_fail(conn: Connection) -> None:
        await working.move_cursor(conn, TENANT, "vitec", "2027-01-01T00:00:00")
        await conn.execute("SELECT 1 / 0")

    async def cursor() -> str | None:
        async with owner(database) as conn:
            return (await working.open_cursor(conn, TENANT, "vitec", NOON)).cursor

    assert await cursor() is None
    async with appender_at(database) as appender:
        await appender.append([event()], also=move)
        assert await cursor() == "2026-03-02T12:00:00"
        failed, stale, fine = await asyncio.gather(
            appender.append([event()], also=move_and_fail),
            appender.append([event()], also=move_and_fail, expected={ANNA: 9}),
            appender.append([event()]),
            return_exceptions=True,
        )
    assert isinstance(failed, StorageError)
    assert isinstance(stale, WrongExpectedVersion)
    assert isinstance(fine, list)
    assert await cursor() == "2026-03-02T12:00:00"
    assert len(await whole_log(database)) == 2


async def test_every_commit_wakes_the_listeners_of_its_tenant(database: str) -> None:
    heard: list[object] = []

    def hear(*notified: object) -> None:
        heard.append(notified[3])

    async with appender_at(database) as appender:
        listener = await asyncpg.connect(database)
        try:
            await listener.add_listener("toveis", hear)
            await appender.append([event(), event(), event()])
            await eventually(lambda: heard)
        finally:
            await listener.close()
    assert heard == [TENANT]


# -- reads


async def test_a_read_that_says_nothing_new_is_not_appended(database: str) -> None:
    async with appender_at(database) as appender:
        [first] = await appender.append([read(ANNA, b'{"id": "ADR1", "note": null}', 0)])
        [again] = await appender.append([read(ANNA, b'{ "note" : null, "id":"ADR1" }', 1)])
        assert first.position == 1
        assert again == Appended(first.event_id, None)
        [new] = await appender.append([read(ANNA, b'{"id": "ADR1", "note": "x"}', 1)])
        assert new.position == 2


async def test_a_read_that_says_what_a_webhook_said_is_not_appended(database: str) -> None:
    body = event(
        "contact:propstreet:17",
        b'{"type": "contact.updated", "data": {"id": "17"}}',
        meta=b'{"via":"webhook","inside":"data"}',
    )
    async with appender_at(database) as appender:
        await appender.append([body])
        [equal] = await appender.append([read("contact:propstreet:17", b'{"id": "17"}', 1)])
        assert equal.position is None


async def test_there_and_back_again_is_three_events(database: str) -> None:
    async with appender_at(database) as appender:
        found = [
            (await appender.append([read(ANNA, payload, started)]))[0]
            for started, payload in enumerate((b'"A"', b'"B"', b'"A"'))
        ]
    assert [a.position for a in found] == [1, 2, 3]
    assert len({a.event_id for a in found}) == 3


async def test_there_and_back_again_within_one_commit_is_three_events(database: str) -> None:
    async with appender_at(database) as appender:
        found = await appender.append(
            [read(ANNA, payload, 0) for payload in (b'"A"', b'"B"', b'"B"', b'"A"')]
        )
    assert [a.position for a in found] == [1, 2, None, 3]


async def test_a_read_that_somebody_waits_for_is_always_appended(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, b"{}", 0)])
        [kept] = await appender.append([read(ANNA, b"{}", 1, always=True)])
        [once] = await appender.append([read(ANNA, b"{}", 2, always=True)])
    assert [kept.position, once.position] == [2, 3]
    assert kept.event_id != once.event_id


async def test_reads_that_overlap_are_told_from_those_that_follow_each_other(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, b"1", 0)])  # ended when the log's head was 1
        await appender.append([read(ANNA, b"2", 0)])  # was sent before that
        await appender.append([read(ANNA, b"3", 2)])
        await appender.append([read(BERIT, b"4", 0)])  # another record
        await appender.append([read(ANNA, b"5", 2), read(ANNA, b"6", 2)])
    assert verdicts(await whole_log(database)) == [
        ACCEPTED,
        OVERLAPPING,
        ACCEPTED,
        ACCEPTED,
        OVERLAPPING,
        OVERLAPPING,
    ]


async def test_a_read_that_brought_nothing_new_still_counts_as_a_read(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, b"1", 0)])
        await appender.append([event(BERIT), event(BERIT)])
        await appender.append([read(ANNA, b"1", 3)])  # not appended; it ended at 3
        await appender.append([read(ANNA, b"2", 2)])
        async with owner(database) as conn:
            known = (await working.reads(conn, TENANT, [ANNA]))[ANNA]
    assert verdicts((await whole_log(database))[-1:]) == [OVERLAPPING]
    assert (known.started, known.ended) == (3, 4)


async def test_overlap_is_seen_between_daemons(database: str) -> None:
    async with appender_at(database) as one, appender_at(database) as two:
        await one.append([read(ANNA, b"1", one.head)])
        await two.append([read(ANNA, b"2", two.head)])  # its own head is old: that is the safe side
    assert verdicts(await whole_log(database)) == [ACCEPTED, OVERLAPPING]


async def test_what_a_list_said_is_remembered_with_the_read(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, b"1", 0, listed="2026-03-02T12:00:00")])
        await appender.append([read(ANNA, b"2", 1)])
        async with owner(database) as conn:
            known = (await working.reads(conn, TENANT, [ANNA, BERIT]))[ANNA]
    assert known.listed == "2026-03-02T12:00:00"
    assert known.read_at is not None
    assert known.listed_at is not None
    assert known.read_at > known.listed_at


# -- texts

ODD = (
    b' {"price" :\t1.10,\r\n "b":1, "a":2 }\n',
    b'{"id": "1", "id": "2", "ID": 3}',
    b'{"a": "\\u0000", "b": "\\u00e5 \\/ \\ud83d\\ude00"}',
    '{"a": "åäö 😀 \u2028"}'.encode(),
    b'{"big": 123456789012345678901234567890, "small": 1E-7, "zero": -0.0}',
    b'"just a text"',
    b"null",
    b"[[[[]]], {}]",
)


async def test_a_vendors_text_is_kept_byte_for_byte(database: str) -> None:
    async with appender_at(database) as appender:
        await appender.append([event(ANNA, text) for text in ODD])
        for text in ODD:
            await appender.append([read(BERIT, text, 0)])
    assert [e.data.encode() for e in await whole_log(database)] == [*ODD, *ODD]


async def test_a_read_with_half_a_character_is_kept_too(database: str) -> None:
    text = b'{"id": "ADR1", "firstName": "cut off \\ud83d"}'
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, text, 0)])
    assert [e.data.encode() for e in await whole_log(database)] == [text]


async def test_national_ids_never_reach_the_log_and_the_rest_stays_as_it_was(database: str) -> None:
    body = (
        b'{"type": "contact.updated",  "data": {"id": "9", "socialSecurityNumber" : "19811218-9876",'
        b' "dateOfBirth":{"year":1981}, "note": "1.10"}}'
    )
    async with appender_at(database) as appender:
        for number, keep in enumerate((False, True)):
            new = propstreet_webhooks.event_of(
                TENANT, f"msg_{number}", body, NOON, test=False, store_national_ids=keep
            )
            await appender.append([new])
    without, kept = (each.data.encode() for each in await whole_log(database))
    assert without == (
        b'{"type": "contact.updated",  "data": {"id": "9", "socialSecurityNumber" : null,'
        b' "dateOfBirth":null, "note": "1.10"}}'
    )
    assert kept == body


async def test_times_come_back_as_they_were(database: str) -> None:
    async with appender_at(database, clock=lambda: NOON) as appender:
        await appender.append([event(ANNA, causation_id=uuid.UUID(int=5))])
    [stored] = await whole_log(database)
    assert (stored.occurred_at, stored.recorded_at, stored.causation_id) == (NOON, NOON, uuid.UUID(int=5))


async def test_a_read_keeps_how_it_came(database: str) -> None:
    how = Reading(via="readback", started=0, command="c-1", kind="Person", first=True)
    async with appender_at(database) as appender:
        await appender.append([read(ANNA, b"{}", 0, reading=how)])
    assert reading_of((await whole_log(database))[0]) == how
