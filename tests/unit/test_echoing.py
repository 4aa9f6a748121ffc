"""What counts as an echo: content that came by itself, changed nothing, and found what we had written."""

from collections import Counter

import pytest

from daemon.domain.streams import PROPSTREET, VENDORS, VITEC
from daemon.policies.echoing import echoes
from tests.unit.pair import Pair, linked


def told_twice(pair: Pair, vendor: str) -> Counter[str]:
    """What the newest content of a vendor, told once more, counts as."""
    before = len(pair.events)
    pair.later(60)
    pair.glance(vendor).arrive(always=True)
    assert len(pair.events) == before + 1
    return echoes(pair.fold.entities, pair.events[before:])


def written() -> Pair:
    """A linked pair; a name was changed at Vitec and written to Propstreet."""
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    assert pair.sync_up() == 1
    return pair


def test_our_own_write_that_comes_back_is_an_echo() -> None:
    assert told_twice(written(), PROPSTREET) == {PROPSTREET: 1}


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_a_vendor_tells_again_of_its_own_is_no_echo(vendor: str) -> None:
    assert told_twice(linked(), vendor) == Counter()
    assert told_twice(written(), VITEC) == Counter()


def test_an_edit_after_our_write_is_no_echo() -> None:
    pair = written()
    pair.propstreet.edit(first_name="Anna-Lise")
    assert told_twice(pair, PROPSTREET) == Counter()


def test_the_read_back_of_our_write_is_no_echo() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    before = len(pair.events)
    assert pair.sync_up() == 1
    ours = [event for event in pair.events[before:] if '"readback"' in (event.meta or "")]
    assert ours
    assert echoes(pair.fold.entities, ours) == Counter()
