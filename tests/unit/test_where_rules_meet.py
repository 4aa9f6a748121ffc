"""Where one rule meets another: late links, kept pushes, unreadable answers, chains of merges, a brake and a switch."""

import msgspec

from daemon.domain.events import EntityHeld, RecordsLinked, RecordsMerged
from daemon.domain.streams import PROPSTREET, VITEC
from daemon.policies.operating import unlink
from tests.unit.pair import ADR, KEY, linked
from tests.unit.test_merging import GONE, HEIR, TWIN, doubled, records
from tests.unit.test_operating import KARI, replayed, strangers
from tests.unit.test_restoring import lost, under_way

LAST = "ADRLAST"


def test_a_link_that_comes_too_late_leaves_the_pair_that_is_there_as_it_is() -> None:
    pair = strangers()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    anna = pair.entity_of(VITEC, ADR)
    before = msgspec.json.encode((anna.base, anna.pending, anna.linked, anna.rule))
    pair.append([pair.ours(anna, RecordsLinked(anna.id, ADR, "790", "reference"))])
    assert msgspec.json.encode((anna.base, anna.pending, anna.linked, anna.rule)) == before
    assert pair.entity_of(PROPSTREET, "790").sides.keys() == {PROPSTREET}
    assert replayed(pair)


def test_an_edit_that_was_kept_until_a_write_had_failed_ends_a_restore() -> None:
    pair = linked()
    pair.restore(lost(pair, PROPSTREET, first_name=("Anni", "Anne")))
    pair.decide()
    writing = under_way(pair, PROPSTREET)
    pair.later(60)
    pair.propstreet.edit(first_name="Annika")
    pair.arrive(pair.webhook())
    writing.fail(retry_at=pair.later(5))
    assert pair.entity.overrides == {}
    pair.sync_up()
    assert pair.values("first_name") == ("Annika", "Annika")


def test_a_record_that_was_asked_for_and_cannot_be_read_is_held_and_asked_for_no_more() -> None:
    pair = linked()
    pair.hint()
    payload = msgspec.json.encode(
        msgspec.json.decode(pair.vitec.payload()) | {"emailAddress": 7, "firstName": 7}
    )
    pair.append([pair.as_read(VITEC, ADR, payload, pair.head, "fetch", always=True)])
    assert pair.side(VITEC).unreadable is not None
    assert pair.side(VITEC).need is None
    pair.decide()
    [held] = pair.told(EntityHeld)
    assert held.reason == "unreadable"


def test_who_is_merged_into_a_record_that_an_operator_closed_is_held() -> None:
    pair = doubled(heir_is_linked=True)
    pair.obey(unlink(pair.entity_of(VITEC, HEIR), "father and son", KARI))
    pair.merge(GONE, HEIR)
    pair.fetch(VITEC)
    pair.sync_up()
    [merged] = pair.told(RecordsMerged)
    assert not merged.moved
    assert pair.entity_of(VITEC, GONE).hold is not None


def test_a_merge_into_a_record_that_was_merged_away_itself_goes_on_to_the_last() -> None:
    pair = doubled()
    pair.vitec.add(LAST, **TWIN | {"email": "berg@example.se"})
    pair.read(VITEC)
    pair.merge(HEIR, LAST)
    pair.fetch(VITEC)
    pair.decide()
    pair.merge(GONE, HEIR)
    pair.fetch(VITEC)
    pair.decide()
    assert records(pair, PROPSTREET, KEY) == {VITEC: LAST, PROPSTREET: KEY}
    pair.sync_up()
    assert pair.propstreet.rows.keys() == {KEY}
