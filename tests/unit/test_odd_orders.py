"""Things that happen in an order that nobody would choose: nothing loops, nothing is lost, nothing is done twice."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from daemon.deliver.propstreet import PropstreetTarget
from daemon.deliver.target import Moved, Write
from daemon.deliver.vitec_connect import VitecConnectTarget
from daemon.domain.errors import NotFound, Retryable, UnknownOutcome
from daemon.domain.events import CommandIssued, Want
from daemon.domain.streams import PROPSTREET, VITEC, relation_id
from daemon.mappings.lens import REMOVED
from daemon.policies.failing import held_of
from tests.unit.desks import OBJ
from tests.unit.pair import ADR, ANNA, OPTIONS, SYNC, Pair, linked
from tests.unit.test_deleting import RELATION, gone_at_vitec, only_row, prospect
from tests.unit.test_merging import GONE, HEIR, TWIN, merged, with_prospect
from tests.unit.test_projects import reluctant, settled


def test_a_relation_that_is_back_after_we_took_its_prospect_off_is_held_with_what_to_do() -> None:
    pair = prospect()
    row = pair.vitec.rows[RELATION]
    gone_at_vitec(pair)
    pair.sync_up()
    pair.later(3600)
    pair.vitec.rows[RELATION] = row
    pair.vitec.edit(RELATION, level="ParticipateInBidding")
    assert pair.sync_up() == 0
    hold = pair.entity.hold
    assert hold is not None
    assert "put it back there" in hold.detail
    assert pair.entity.tombstone is None


def test_a_relation_that_ended_and_began_again_with_the_same_level_was_said_anew() -> None:
    pair = prospect()
    pair.mode = "observe"  # nothing is taken off at Propstreet meanwhile
    row = pair.vitec.rows[RELATION]
    before = pair.side(VITEC).shadow["classification"]
    gone_at_vitec(pair)
    pair.later(60)
    pair.vitec.rows[RELATION] = row
    pair.read(VITEC)
    after = pair.side(VITEC).shadow["classification"]
    assert after.value == before.value
    assert after.position > before.position


def test_a_create_is_taken_back_when_what_it_joins_is_no_longer_linked() -> None:
    pair = Pair("prospect", beside=("contact", "project"))
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(PROPSTREET, "contact").add(reference=ADR, **ANNA)
    estate: dict[str, Any] = {"name": "Hamnkontoret"}
    pair.desk(VITEC, "project").add(**estate)
    pair.desk(PROPSTREET, "project").add(
        reference=OBJ, **estate, classification="active", stage="communicated"
    )
    assert pair.sync_up() == 0
    pair.vitec.add()
    pair.read()
    pair.decide()
    pair.decide()
    assert pair.entity.pending
    pair.desk(PROPSTREET, "contact").remove()
    pair.read(PROPSTREET)
    pair.decide()
    pair.decide()
    assert not pair.entity.pending


def test_a_prospect_that_propstreet_removed_gets_no_reference_after_a_merge() -> None:
    change: dict[str, Any] = {"prospect_removed": "not_interested"}
    pair = Pair(
        "contact",
        beside=("project", "prospect"),
        options=msgspec.structs.replace(OPTIONS, **change),
        sync=msgspec.structs.replace(SYNC, **change),
    )
    pair.vitec.add(GONE, **ANNA)
    pair.propstreet.add(reference=GONE, **ANNA)
    pair.sync_up()
    pair.vitec.add(HEIR, **TWIN)
    pair.read(VITEC)
    with_prospect(pair)
    pair.read()
    pair.decide()
    pair.sync_up()
    pair.desk(PROPSTREET, "prospect").remove("77")
    pair.sync_up()
    assert pair.desk(VITEC, "prospect").value("level", relation_id(OBJ, GONE)) == "NotInterested"
    del pair.desk(PROPSTREET, "prospect").rows["77"]
    pair.confirm_gone(PROPSTREET, "77", "prospect")
    pair.sync_up()
    merged(pair)
    for _ in range(6):
        pair.decide()
        pair.fetch(VITEC)
    assert not pair.entity_of(PROPSTREET, "77", "prospect").pending


def test_what_propstreet_took_without_effect_stays_shown_while_the_sides_differ() -> None:
    pair = reluctant(settled())
    pair.vitec.edit(estate_status="Resting")
    pair.sync_up()
    pair.sync_up()
    pair.vitec.edit(name="Hamnkontoret 2")
    pair.sync_up()
    shown = [
        row for row in pair.fold.commands.values() if row.state == "held" and "classification" in row.fields
    ]
    assert [row.reason for row in shown] == ["not_writable"]


def test_a_prospect_held_with_its_confidential_project_waits_for_it() -> None:
    pair = prospect()
    pair.desk(VITEC, "project").edit(sensitive=True)
    pair.read(VITEC)
    pair.vitec.edit(RELATION, level="ParticipateInBidding")
    pair.read(VITEC)
    plan = pair.plan(pair.entity)
    assert plan.wait_for
    assert not any(isinstance(decision, CommandIssued) for _, decision in plan.events)


class Answers:
    """A Vitec that answers about relations and notes as a test wants."""

    def __init__(self, speculators: dict[str, bytes], escape: bool = False) -> None:
        self.lists = speculators
        self.written: list[Any] = []
        self.escape = escape

    def at(self, _: object) -> "Answers":
        return self

    async def speculators(self, ids: object) -> dict[str, bytes]:
        return self.lists

    async def buyers(self, ids: object) -> dict[str, bytes]:
        return dict.fromkeys(self.lists, b'{"buyerOn":[]}')

    async def read_one(self, kind: str, record: str) -> bytes | None:
        return self.lists.get(record)

    def __getattr__(self, name: str) -> Any:
        async def nobody(*_: object) -> None:
            return None

        return nobody

    async def add_note(self, body: Any) -> None:
        self.written.append(body)

    async def notes(self, contact: str) -> list[bytes]:
        return [
            msgspec.json.encode({"id": f"N{number}", "text": body["text"].replace("&", "&amp;")})
            for number, body in enumerate(self.written)
        ]


class Known:
    """An appender to which everything is known, except what is to be kept in any case."""

    head = 1

    async def append(self, items: Any) -> Any:
        return [SimpleNamespace(position=2 if item.always else None) for item in items]


def tenant(**options: Any) -> Any:
    def decided(entity: object, decision: object, **_: object) -> object:
        return decision

    return SimpleNamespace(
        name="oslo",
        appender=Known(),
        options=msgspec.structs.replace(OPTIONS, **options),
        decided=decided,
        clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
    )


async def test_a_relation_that_went_with_its_contact_is_told_so_before_a_write() -> None:
    pair = prospect()
    pair.propstreet.edit(only_row(pair).id, classification="bidder")
    pair.read(PROPSTREET)
    pair.decide()
    target = VitecConnectTarget(Answers({}))  # type: ignore[arg-type]  # as much of a client as is asked
    found: Any = await target.look(tenant(), pair.entity, pair.entity.pending[VITEC])
    assert [item.evidence for item in found.items] == ["contact_gone"]


async def test_an_answer_that_makes_no_sense_is_no_removal() -> None:
    pair = prospect()
    pair.propstreet.edit(only_row(pair).id, classification="bidder")
    pair.read(PROPSTREET)
    pair.decide()
    odd = {ADR: b'{"id":"%s","speculatorOn":"none"}' % ADR.encode()}
    target = VitecConnectTarget(Answers(odd))  # type: ignore[arg-type]  # as much of a client as is asked
    with pytest.raises(Retryable):
        await target.look(tenant(), pair.entity, pair.entity.pending[VITEC])


async def looked_at(pair: Pair, at: Any) -> Any:
    """What the deliverer finds when it looks at Vitec's record right before the write that is due."""
    target = VitecConnectTarget(Answers({ADR: pair.vitec.payload()}))  # type: ignore[arg-type]  # as much as is asked
    return await target.look(at, pair.entity, pair.entity.pending[VITEC])


async def test_a_value_that_is_in_the_log_and_was_never_decided_on_is_not_written_over() -> None:
    """An overlapping read brought it: nothing new to the log, and not what the write was to replace."""
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    assert isinstance(await looked_at(pair, tenant()), Write)
    pair.vitec.edit(first_name="Vera")
    assert isinstance(await looked_at(pair, tenant()), Moved)


async def test_a_field_that_the_record_cannot_hold_any_more_is_held_without_the_others() -> None:
    keyword: Any = {"note": "keyword", "note_keywords": ("söker",)}
    pair = Pair(options=msgspec.structs.replace(OPTIONS, **keyword))
    pair.vitec.add(**ANNA | {"strategy": "söker kontor"})
    pair.propstreet.add(reference=ADR, **ANNA | {"strategy": "söker kontor"})
    pair.sync_up()
    pair.propstreet.edit(strategy="söker lager", phone="+46701740999")
    pair.read(PROPSTREET)
    pair.decide()
    pair.vitec.edit(strategy="ring på fredag")
    stuck = await looked_at(pair, tenant(**keyword))
    held = held_of(pair.entity, VITEC, pair.entity.pending[VITEC], stuck)
    assert (set(held.want), held.reason) == ({"strategy"}, "not_writable")


async def test_a_note_that_vitec_keeps_in_another_form_is_written_once_and_held() -> None:
    vitec = Answers({})
    target = VitecConnectTarget(vitec)  # type: ignore[arg-type]  # as much of a client as is asked
    text = "Berg & Ås ringde"
    want = {"text": Want(text, PROPSTREET, text, 1, None)}
    pending: Any = SimpleNamespace(want=want, record=None, parts={"contact": ADR}, command="c")
    entity: Any = SimpleNamespace(
        lead=None, category="note", sides={PROPSTREET: SimpleNamespace(record="n1", parts={})}
    )
    write: Any = await target.look(tenant(), entity, pending)
    with pytest.raises(UnknownOutcome):
        await target.write(tenant(), entity, pending, write)
    stuck: Any = await target.look_up(tenant(), entity, pending)
    assert (stuck.reason, len(vitec.written)) == ("unknown_outcome", 1)


def test_a_removal_that_is_on_its_way_is_not_decided_again() -> None:
    pair = prospect()
    gone_at_vitec(pair)
    pair.decide()
    [command] = [p.command for p in pair.entity.pending.values() if REMOVED in p.want]
    pair.decide()
    assert [p.command for p in pair.entity.pending.values()] == [command]


class Prospects:
    """A Propstreet that holds one prospect, or none."""

    def __init__(self, payload: bytes | None) -> None:
        self.payload = payload

    async def read(self, *_: str, **__: object) -> bytes:
        if self.payload is None:
            raise NotFound("gone", status=404)
        return self.payload


async def before_removal(pair: Pair, payload: bytes | None) -> Any:
    """What the deliverer finds right before it takes the prospect off its list."""
    target = PropstreetTarget(Prospects(payload))  # type: ignore[arg-type]  # as much of a client as is asked
    return await target.look(tenant(), pair.entity, pair.entity.pending[PROPSTREET])


async def test_a_prospect_that_was_edited_is_not_taken_off_its_list_without_a_second_thought() -> None:
    """The call for it takes no condition, so the record is read right before it."""
    pair = prospect()
    gone_at_vitec(pair)
    pair.decide()
    row = only_row(pair)
    assert isinstance(await before_removal(pair, pair.propstreet.payload(row.id)), Write)
    assert isinstance(await before_removal(pair, None), Write), "it is off the list already"
    pair.propstreet.edit(row.id, classification="bidder")
    found = await before_removal(pair, pair.propstreet.payload(row.id))
    assert isinstance(found, Moved)
    assert [getattr(item, "always", None) for item in found.items] == [True], "the reactor must hear of it"


def test_a_note_that_a_poll_shows_before_our_answer_arrives_is_not_copied_back() -> None:
    pair = Pair(
        "note",
        beside=("contact",),
        sync=msgspec.structs.replace(SYNC, note="activity"),
        options=msgspec.structs.replace(OPTIONS, note="activity"),
    )
    her = ANNA | {"strategy": None}
    pair.desk(VITEC, "contact").add(**her)
    pair.desk(PROPSTREET, "contact").add(reference=ADR, **her)
    pair.sync_up()
    note = pair.vitec.add(text="Ring på fredag", parts={"contact": ADR})
    pair.read()
    pair.decide()
    writing = pair.attempt(PROPSTREET, pair.entity_of(VITEC, note))
    assert writing is not None
    writing.leave()
    pair.read(PROPSTREET)
    plan = pair.plan(pair.entity_of(PROPSTREET, writing.record))
    assert (plan.events, plan.wait_for) == ((), (writing.entity.id,))
    writing.succeed()
    assert pair.sync_up() == 0
    assert (len(pair.vitec.rows), len(pair.propstreet.rows)) == (1, 1)
