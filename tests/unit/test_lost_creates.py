"""A create whose answer never came: its record is not taken for a stranger, and what was edited since is told apart."""

from datetime import timedelta

from daemon.domain.events import CommandSucceeded, ConflictResolved, RecordsLinked
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC
from tests.unit.pair import ANNA, START, Pair, Writing

EARLIER, LATER = "anna@example.no", "anna.berg@example.no"


def lost_create(*, taken: bool = False, **fields: object) -> tuple[Pair, Writing]:
    """A contact of Propstreet's that Vitec has taken, with nobody knowing it, or nobody knowing what became of it."""
    pair = Pair()
    pair.propstreet.add(**ANNA | {"email": EARLIER} | fields)
    pair.read(PROPSTREET)
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    writing.leave().lose(taken=taken)
    return pair, writing


def found(pair: Pair, writing: Writing) -> None:
    """It is looked up, and there."""
    record, [person] = writing.record, pair.propstreet.rows
    assert record is not None
    payload = pair.desk(VITEC, "contact").payload(record)
    pair.append(
        [
            pair.ours(writing.entity, RecordsLinked(writing.entity.id, record, person, "created")),
            pair.as_read(VITEC, record, payload, pair.head, "fetch", always=True),
            pair.ours(writing.entity, CommandSucceeded(writing.pending.command, record)),
        ]
    )


def held(pair: Pair, writing: Writing, name: str) -> tuple[Value, Value]:
    """What both vendors hold."""
    [person] = pair.propstreet.rows
    return pair.vitec.value(name, writing.record), pair.propstreet.value(name, person)


def test_its_record_is_no_stranger_although_its_source_was_edited_meanwhile() -> None:
    pair, writing = lost_create()
    pair.propstreet.edit(email=LATER)
    pair.read()
    plan = pair.plan(pair.entity_of(VITEC, writing.record))
    assert plan.events == ()
    assert plan.wait_for == (writing.entity.id,)


def test_what_was_edited_since_is_an_edit_and_what_was_written_is_the_base() -> None:
    pair, writing = lost_create(tags=("buyer", "investor"))
    pair.propstreet.edit(email=LATER, tags=("buyer",))
    pair.vitec.edit(writing.record, last_name="Bergh")
    pair.read(PROPSTREET)
    found(pair, writing)
    pair.sync_up()
    assert len(pair.vitec.rows) == len(pair.propstreet.rows) == 1
    assert [held(pair, writing, name) for name in ("email", "tags", "last_name")] == [
        (LATER, LATER),
        (("buyer",), ("buyer",)),
        ("Bergh", "Bergh"),
    ]
    lost = {(c.field, c.loser_value) for c in pair.told(ConflictResolved) if c.rule != "doubt"}
    assert lost == {("last_name", "Berg")}, (
        "what the create wrote there, nobody can tell any more: it is shown"
    )


def test_what_was_edited_after_a_create_that_was_taken_is_an_edit_and_no_conflict() -> None:
    pair, writing = lost_create(taken=True)
    pair.propstreet.edit(email=LATER)
    pair.vitec.edit(writing.record, last_name="Bergh", at=START - timedelta(minutes=10))
    pair.read(PROPSTREET)
    found(pair, writing)
    pair.sync_up()
    assert held(pair, writing, "email") == (LATER, LATER)
    assert held(pair, writing, "last_name") == ("Bergh", "Bergh")
    assert pair.told(ConflictResolved) == []
