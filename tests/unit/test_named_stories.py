"""Stories that everybody tells who has run a two-way sync: what people did, what both sides hold then, and what lost.

Each ends with the values at both vendors, the number of writes that it took, and the conflict on record, if there is
one. Here are echoes, clocks and who wins; `test_stories_of_values.py` has what vendors make of values.
"""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from daemon.domain.events import ConflictResolved, RecordsMerged
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC, other
from daemon.sandbox.twins.vitec_connect.contacts import render
from daemon.sandbox.twins.vitec_connect.switches import Switches
from tests.unit import desks
from tests.unit.pair import ADR, ANNA, KEY, SYNC, Pair, Writing, linked
from tests.unit.test_merging import GONE, HEIR

BOTH = pytest.mark.parametrize("vendor", [VITEC, PROPSTREET])
Lost = tuple[str, Value, datetime | None, Value, datetime | None, str, bool]


def lost(pair: Pair) -> list[Lost]:
    """Every conflict: who won, with what and since when; what lost, and its time; the rule; whether the order is unsure."""
    return [
        (c.winner, c.winner_value, c.winner_since, c.loser_value, c.loser_since, c.rule, c.order_uncertain)
        for c in pair.told(ConflictResolved)
    ]


def under_way(pair: Pair, target: str) -> Writing:
    """The write that is due at a target, attempted."""
    writing = pair.attempt(target)
    assert writing is not None
    return writing


def off_by(vendor: str, skew: timedelta) -> Pair:
    """A linked pair; this vendor's clock has always been off."""
    pair = Pair()
    pair.desks[vendor].later = lambda seconds: pair.later(seconds) + skew
    pair.vitec.add(**ANNA)
    pair.propstreet.add(reference=ADR, **ANNA)
    assert pair.sync_up() == 0
    return pair


# Echoes, pushes and reads


@BOTH
def test_an_echo_that_arrives_before_our_response_is_no_edit(vendor: str) -> None:
    pair = linked()
    pair.desks[other(vendor)].edit(first_name="Anne")
    pair.read(other(vendor))
    pair.decide()
    writing = under_way(pair, vendor).leave()
    if vendor == PROPSTREET:
        pair.arrive(pair.webhook())
    else:
        pair.hint()
    writing.succeed()
    assert pair.sync_up() == 0
    assert pair.values("first_name") == ("Anne", "Anne")
    assert lost(pair) == []


def test_an_echo_that_arrives_before_our_response_costs_no_read() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    writing = under_way(pair, PROPSTREET).leave()
    pair.arrive(pair.webhook())
    writing.succeed()
    assert pair.side(PROPSTREET).need is None


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_pushes_in_any_order_end_at_the_last_edit(order: tuple[int, ...], minutes: int) -> None:
    """Also when Propstreet's clock is off: its times are compared with its own times."""
    pair = off_by(PROPSTREET, timedelta(minutes=minutes))
    pushes = []
    for name in ("Anne", "Anni", "Anja"):
        pair.propstreet.edit(first_name=name)
        pushes.append(pair.webhook())
    for number in order:
        pair.later(1)
        pair.arrive(pushes[number])
    assert pair.shadow(PROPSTREET, "first_name").value == "Anja"
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anja", "Anja")
    assert lost(pair) == []


def test_a_push_that_is_an_hour_late_takes_nothing_back() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    late = pair.webhook()
    assert pair.sync_up() == 1
    pair.vitec.edit(first_name="Anni")
    assert pair.sync_up() == 1
    pair.later(3600)
    pair.arrive(late)
    assert pair.sync_up() == 0
    assert pair.values("first_name") == ("Anni", "Anni")
    assert lost(pair) == []


def test_an_edit_that_only_an_overlapping_read_saw_is_not_overwritten() -> None:
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    anne = pair.now
    pair.read(PROPSTREET)
    pair.decide()
    pair.vitec.edit(last_name="Bergh")
    quick = pair.glance(VITEC)
    pair.vitec.edit(first_name="Vera")
    vera = pair.now
    slow = pair.glance(VITEC)
    quick.arrive()
    pair.decide()
    slow.arrive()  # it overlaps the other one: it is in the log, and must be read again
    assert not pair.deliver(VITEC)
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Vera", "Vera")
    assert lost(pair) == [(VITEC, "Vera", vera, "Anne", anne, "the later edit wins", True)]


def test_an_edit_in_the_second_of_our_own_write_is_no_echo() -> None:
    """Vitec's stamps are coarse: our write and the edit after it carry the same one."""
    pair = linked()
    pair.propstreet.edit(first_name="Anne")
    assert pair.sync_up() == 1
    pair.vitec.edit(first_name="Anni", at=pair.vitec.rows[ADR].changed)
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anni", "Anni")
    assert lost(pair) == []


# Both sides at once


@pytest.mark.parametrize(
    ("fraction", "winner", "rule"),
    [(0.0, VITEC, "a tie goes to Vitec"), (0.4, PROPSTREET, "the later edit wins")],
)
def test_edits_within_one_second_on_both_sides_are_a_conflict_of_uncertain_order(
    fraction: float, winner: str, rule: str
) -> None:
    pair = linked()
    second = pair.later(60)
    typed = {VITEC: ("Anne", second), PROPSTREET: ("Anni", second + timedelta(seconds=fraction))}
    for vendor, (name, at) in typed.items():
        pair.desks[vendor].edit(first_name=name, at=at)
    pair.later(1)
    assert pair.sync_up() == 1
    assert pair.values("first_name") == (typed[winner][0],) * 2
    assert lost(pair) == [(winner, *typed[winner], *typed[other(winner)], rule, True)]


def test_an_email_that_changed_on_both_sides_is_the_later_one_and_the_link_stays() -> None:
    pair = linked()
    pair.vitec.edit(email="anna.berg@example.se")
    first = pair.now
    second = pair.later(300)
    pair.propstreet.edit(email="anna@berg.example", at=second)
    assert pair.sync_up() == 1
    assert pair.values("email") == ("anna@berg.example", "anna@berg.example")
    rule = "the later edit wins"
    assert lost(pair) == [
        (PROPSTREET, "anna@berg.example", second, "anna.berg@example.se", first, rule, False)
    ]
    assert {side.record for side in pair.entity.sides.values()} == {ADR, KEY}


def test_each_field_has_the_authority_that_the_operator_gave_it() -> None:
    authority = {"contact.email": VITEC, "contact.phone": PROPSTREET}
    pair = linked(sync=msgspec.structs.replace(SYNC, authority=authority))
    pair.propstreet.edit(phone="+46701740607", email="p@example.se")
    at_propstreet = pair.now
    pair.vitec.edit(phone="+46701740606", email="v@example.se")
    at_vitec = pair.now
    assert pair.sync_up() == 2
    assert pair.values("email") == ("v@example.se", "v@example.se")
    assert pair.values("phone") == ("+46701740607", "+46701740607")
    assert sorted(lost(pair)) == [
        (
            PROPSTREET,
            "+46701740607",
            at_propstreet,
            "+46701740606",
            at_vitec,
            "authority is propstreet",
            True,
        ),
        (VITEC, "v@example.se", at_vitec, "p@example.se", at_propstreet, "authority is vitec", True),
    ]
    pair.propstreet.edit(email="later@example.se")  # alone, it is no matter of authority
    assert pair.sync_up() == 1
    assert pair.values("email") == ("later@example.se", "later@example.se")


# Clocks


@BOTH
@pytest.mark.parametrize("minutes", [-10, 10])
def test_edits_travel_whatever_the_clock_of_their_vendor_says(vendor: str, minutes: int) -> None:
    pair = off_by(vendor, timedelta(minutes=minutes))
    for name in ("Anne", "Anni"):
        pair.desks[vendor].edit(first_name=name)
        assert pair.sync_up() == 1
        pair.desks[other(vendor)].edit(first_name=f"{name}-Lisa")
        assert pair.sync_up() == 1
        assert pair.values("first_name") == (f"{name}-Lisa",) * 2
    assert lost(pair) == []


@BOTH
@pytest.mark.parametrize("minutes", [-10, 10])
@pytest.mark.parametrize("skewed_goes_first", [True, False])
def test_with_a_clock_that_is_off_the_wrong_edit_may_win_and_never_in_silence(
    vendor: str, minutes: int, skewed_goes_first: bool
) -> None:
    pair = off_by(vendor, timedelta(minutes=minutes))
    order = (vendor, other(vendor)) if skewed_goes_first else (other(vendor), vendor)
    typed = {}
    for who, name in zip(order, ("Anne", "Anni"), strict=True):
        pair.later(60)
        pair.desks[who].edit(first_name=name)
        typed[who] = name
    seen = pair.later(1)
    assert pair.sync_up() == 1
    winner = vendor if minutes > 0 else other(vendor)
    assert pair.values("first_name") == (typed[winner],) * 2
    [(who, won, since, gone, before, rule, _)] = lost(pair)
    assert (who, won, gone, rule) == (winner, typed[winner], typed[other(winner)], "the later edit wins")
    assert since is not None
    assert before is not None
    assert before <= since <= seen  # a time in the future counts as that at which we saw it


@BOTH
def test_of_two_edits_whose_clocks_are_nearly_right_the_order_is_said_to_be_uncertain(vendor: str) -> None:
    pair = off_by(vendor, timedelta(seconds=-20))
    pair.desks[other(vendor)].edit(first_name="Anne")
    pair.desks[vendor].edit(first_name="Anni")  # the later one, by a clock that is behind
    assert pair.sync_up() == 1
    assert pair.values("first_name") == ("Anne", "Anne")
    assert [(one[0], one[3], one[6]) for one in lost(pair)] == [(other(vendor), "Anni", True)]


@pytest.mark.parametrize("vs23", ["wall_clock", "offset"])
def test_edits_at_half_past_two_and_again_at_half_past_two(
    vs23: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night in which 02:30 comes twice; Vitec's times are bare or not."""
    switches = Switches(vs23=vs23)  # type: ignore[arg-type]  # one of the two words
    monkeypatch.setattr(desks, "wall_clock", lambda at: render(at, switches))
    pair = linked()
    for hour, first, last in ((0, "Anne", "Bergh"), (1, "Anni", "Bergström")):
        half_past = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
        pair.now = half_past + timedelta(seconds=20)
        pair.vitec.edit(first_name=first, at=half_past)
        pair.propstreet.edit(last_name=last, at=half_past)
        assert pair.sync_up() == 2
        assert pair.values("first_name") == (first, first)
        assert pair.values("last_name") == (last, last)
    assert lost(pair) == []


@pytest.mark.parametrize("vs23", ["wall_clock", "offset"])
@pytest.mark.parametrize("hour", [0, 1])
def test_a_conflict_at_half_past_two_is_on_record_with_both_times(
    vs23: str, hour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = Switches(vs23=vs23)  # type: ignore[arg-type]  # one of the two words
    monkeypatch.setattr(desks, "wall_clock", lambda at: render(at, switches))
    pair = linked()
    anne = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    anni = anne + timedelta(minutes=2)
    pair.vitec.edit(first_name="Anne", at=anne)
    pair.propstreet.edit(first_name="Anni", at=anni)
    pair.now = seen = anni + timedelta(minutes=1)
    assert pair.sync_up() == 1
    rule = "the later edit wins"
    if vs23 == "wall_clock" and hour == 0:  # a bare 02:30 is read as the second: at the latest when we saw it
        assert pair.values("first_name") == ("Anne", "Anne")
        assert lost(pair) == [(VITEC, "Anne", seen, "Anni", anni, rule, False)]
    else:
        assert pair.values("first_name") == ("Anni", "Anni")
        assert lost(pair) == [(PROPSTREET, "Anni", anni, "Anne", anne, rule, False)]


# Records


def test_a_merge_at_vitec_during_our_write_leaves_the_edit_with_the_heir() -> None:
    pair = Pair()
    pair.vitec.add(GONE, **ANNA)
    pair.propstreet.add(reference=GONE, **ANNA)
    pair.sync_up()
    pair.vitec.add(HEIR, **ANNA | {"email": "anna.berg@example.se"})
    pair.read(VITEC)
    vitec = pair.now
    pair.later(60)
    pair.propstreet.edit(first_name="Anne", email="anne@example.se")
    propstreet = pair.now
    pair.read(PROPSTREET)
    entity = pair.entity_of(PROPSTREET, KEY)
    pair.carry(pair.plan(entity))
    writing = pair.attempt(VITEC, entity)
    assert writing is not None
    pair.merge(GONE, HEIR)
    writing.fail(read_again=True)  # Vitec knows no such person any more
    assert pair.sync_up() == 2  # the heir gets the edit, and the contact its new reference
    assert pair.told(RecordsMerged)[0].moved
    assert set(pair.vitec.rows) == {HEIR}
    assert (set(pair.propstreet.rows), pair.propstreet.rows[KEY].reference) == ({KEY}, HEIR)
    for name, value in (("first_name", "Anne"), ("email", "anne@example.se")):
        assert (pair.vitec.value(name, HEIR), pair.propstreet.value(name)) == (value, value)
    rule = "the later edit wins"
    assert sorted(lost(pair)) == [
        (PROPSTREET, "Anne", propstreet, "Anna", vitec, rule, False),
        (PROPSTREET, "anne@example.se", propstreet, "anna.berg@example.se", vitec, rule, False),
    ]


# Third parties


@BOTH
def test_a_bridge_that_rewrites_one_side_is_followed_once_and_not_fought(vendor: str) -> None:
    pair = linked()

    def bridge() -> None:
        value = pair.desks[vendor].value("last_name")
        if isinstance(value, str) and value != value.upper():
            pair.desks[vendor].edit(last_name=value.upper())

    pair.desks[other(vendor)].edit(last_name="Bergh")
    assert pair.sync_up() == 1
    bridge()
    assert pair.sync_up() == 1
    bridge()
    assert pair.sync_up() == 0
    assert pair.values("last_name") == ("BERGH", "BERGH")
    assert lost(pair) == []


def test_two_bridges_that_contradict_each_other_cause_one_write_a_poll_at_most() -> None:
    pair = linked()
    favourites = {VITEC: "Anne", PROPSTREET: "Anni"}
    writes = 0
    for _ in range(6):
        for vendor, name in favourites.items():
            if pair.desks[vendor].value("first_name") != name:
                pair.desks[vendor].edit(first_name=name)
        pair.read()
        pair.decide()
        writes += sum(pair.deliver(target) for target in list(pair.entity.pending))
        pair.later(60)
    assert writes <= 6
