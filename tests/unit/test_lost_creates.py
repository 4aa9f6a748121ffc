"""A create whose answer never came: its record is not taken for a stranger."""

from daemon.domain.streams import PROPSTREET, VITEC
from tests.unit.pair import ANNA, Pair, Writing

EARLIER, LATER = "anna@example.no", "anna.berg@example.no"


def lost_create(**fields: object) -> tuple[Pair, Writing]:
    """A contact of Propstreet's that Vitec has taken, with nobody knowing it."""
    pair = Pair()
    pair.propstreet.add(**ANNA | {"email": EARLIER} | fields)
    pair.read(PROPSTREET)
    pair.decide()
    writing = pair.attempt(VITEC)
    assert writing is not None
    writing.leave().lose()
    return pair, writing


def test_its_record_is_no_stranger_although_its_source_was_edited_meanwhile() -> None:
    pair, writing = lost_create()
    pair.propstreet.edit(email=LATER)
    pair.read()
    plan = pair.plan(pair.entity_of(VITEC, writing.record))
    assert plan.events == ()
    assert plan.wait_for == (writing.entity.id,)
