"""Stories that have a name among those who run two-way syncs, each told from the people's edits to what both hold."""

from datetime import timedelta

import msgspec

from daemon.domain.events import CommandHeld, CommandIssued, ConflictResolved
from daemon.domain.streams import PROPSTREET, VITEC
from tests.unit.pair import ADR, ANNA, OPTIONS, Pair, linked

AHEAD = timedelta(minutes=10)


def test_a_push_that_comes_too_late_is_known_as_such_also_when_the_vendors_clock_is_ahead() -> None:
    pair = linked()
    pushes = []
    for name in ("Anne", "Anni"):
        pair.propstreet.edit(first_name=name, at=pair.later(1) + AHEAD)
        pushes.append(pair.webhook())
    pair.arrive(pushes[1])
    pair.later(1)
    pair.arrive(pushes[0])
    assert pair.shadow(PROPSTREET, "first_name").value == "Anni"
    assert pair.side(PROPSTREET).need == pair.head


def test_an_edit_that_only_an_overlapping_read_saw_is_not_overwritten() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    pair.read(PROPSTREET)
    pair.decide()
    pair.vitec.edit(last_name="Bergh")
    quick = pair.glance(VITEC)
    pair.vitec.edit(first_name="Vera")
    slow = pair.glance(VITEC)
    quick.arrive()
    pair.decide()
    slow.arrive()  # it overlaps the other one: read again
    assert not pair.deliver(VITEC)
    pair.sync_up()
    assert pair.values("first_name") == ("Vera", "Vera")
    assert [c.loser_value for c in pair.told(ConflictResolved)] == ["Anne"]


def test_a_blank_that_vitec_leaves_out_of_its_answers_is_written_once() -> None:
    pair = Pair(options=msgspec.structs.replace(OPTIONS, clear_by_empty_string=True))
    pair.vitec.add(**ANNA)
    pair.propstreet.add(reference=ADR, **ANNA)
    body = pair.vitec.body
    pair.vitec.body = lambda row: {  # type: ignore[method-assign]
        name: value for name, value in body(row).items() if row.fields["phone"] or name != "telephone"
    }
    pair.sync_up()
    pair.propstreet.edit(phone=None)
    assert pair.sync_up() == 1
    assert pair.agreed("phone")


def test_a_note_that_ceased_to_be_a_strategy_is_held_alone_and_the_rest_is_written() -> None:
    strategy = {"strategy": "söker kontor"}
    pair = Pair(options=msgspec.structs.replace(OPTIONS, note="keyword", note_keywords=("söker",)))
    pair.vitec.add(**ANNA | strategy)
    pair.propstreet.add(reference=ADR, **ANNA | strategy)
    pair.sync_up()
    pair.vitec.edit(strategy="ring på fredag")
    pair.propstreet.edit(strategy="söker lager", phone="+46701740999")
    assert pair.sync_up() == 1
    assert pair.values("strategy") == ("ring på fredag", "söker lager")
    assert pair.values("phone") == ("+46701740999", "+46701740999")
    [held] = pair.told(CommandHeld)
    assert (set(held.want), held.reason) == ({"strategy"}, "not_writable")
    assert len(pair.told(CommandIssued)) == 2
