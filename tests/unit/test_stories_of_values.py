"""What vendors make of the values that they are given: trimmed, reshaped, cut, left out, refused.

As in `test_named_stories.py`, each story ends with the values at both vendors, the number of writes, and what lost.
"""

from collections.abc import Callable

import msgspec
import pytest

from daemon.domain.events import CommandHeld, CommandIssued, CommandSucceeded, CommandSuperseded
from daemon.domain.fields import Value
from daemon.domain.streams import PROPSTREET, VITEC, other
from tests.unit.desks import Row
from tests.unit.pair import ADR, ANNA, OPTIONS, Fields, Pair, linked
from tests.unit.test_named_stories import lost

BOTH = pytest.mark.parametrize("vendor", [VITEC, PROPSTREET])
FJORD: Fields = {"name": "Fjord AB", "country": "SE", "website": "https://fjord.example", "tags": ()}


def reshaping(pair: Pair, vendor: str, field: str, form: Callable[[str], str]) -> None:
    """From now on this vendor keeps a field in a form of its own, whoever gives it."""

    def keeps(name: str, value: Value) -> Value:
        return form(value) if name == field and isinstance(value, str) else value

    pair.desks[vendor].keeps = keeps


def unconfirmed(pair: Pair) -> list[tuple[str, ...]]:
    """What read back as something else, write by write."""
    return [done.unconfirmed for done in pair.told(CommandSucceeded)]


# Forms of one value


@BOTH
@pytest.mark.parametrize(
    ("field", "typed", "kept"),
    [
        ("first_name", " Anna  Lisa ", "Anna Lisa"),
        ("last_name", "A\u030angstro\u0308m", "Ångström"),
        ("phone", "+46701740606", "070-174 06 06"),
        ("phone", "0046 70 174 06 06", "+46701740606"),
        ("email", "Anna.Berg@Example.SE", "anna.berg@example.se"),
        ("strategy", "Kontor\r\n50 MSEK ", "Kontor\n50 MSEK"),
    ],
)
def test_a_value_that_a_vendor_keeps_in_its_own_form_is_written_once(
    vendor: str, field: str, typed: str, kept: str
) -> None:
    pair = linked()
    reshaping(pair, vendor, field, lambda _: kept)
    change: Fields = {field: typed}
    pair.desks[other(vendor)].edit(**change)
    assert pair.sync_up() == 1
    assert pair.sync_up() == 0
    held = {vendor: kept, other(vendor): typed}
    assert pair.values(field) == (held[VITEC], held[PROPSTREET])
    assert pair.agreed(field)
    assert (unconfirmed(pair), lost(pair)) == ([()], [])


@BOTH
def test_a_phone_that_somebody_writes_in_another_form_is_no_edit(vendor: str) -> None:
    pair = linked()
    pair.desks[vendor].edit(phone="070-174 06 05")
    assert pair.sync_up() == 0
    pair.desks[other(vendor)].edit(phone="+46 70 174 06 06")
    assert pair.sync_up() == 1
    assert pair.agreed("phone")
    assert lost(pair) == []


@BOTH
def test_a_domain_with_umlauts_and_its_punycode_are_one_domain(vendor: str) -> None:
    pair = linked("company", **FJORD)
    reshaping(pair, vendor, "website", lambda url: url.replace("räksmörgås", "xn--rksmrgs-5wao1o"))
    pair.desks[other(vendor)].edit(website="https://räksmörgås.example")
    assert pair.sync_up() == 1
    assert pair.sync_up() == 0
    assert pair.agreed("website")
    assert pair.desks[vendor].value("website") == "https://xn--rksmrgs-5wao1o.example"
    assert pair.desks[other(vendor)].value("website") == "https://räksmörgås.example"
    assert (unconfirmed(pair), lost(pair)) == ([()], [])


# Forms that no mapping declares


@pytest.mark.parametrize(
    ("form", "kept"), [(str.title, "Af Ekenstam"), (lambda name: name[:6], "af Eke")], ids=["capitals", "cut"]
)
def test_what_propstreet_makes_of_a_value_stays_there_for_its_answer_proves_it(
    form: Callable[[str], str], kept: str
) -> None:
    pair = linked()
    reshaping(pair, PROPSTREET, "last_name", form)
    pair.vitec.edit(last_name="af Ekenstam")
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("af Ekenstam", kept)
    pair.propstreet.edit(phone="+46701740606")
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("af Ekenstam", kept)
    assert unconfirmed(pair)[0] == ("last_name",)
    assert lost(pair) == []


@pytest.mark.parametrize(
    ("form", "kept"), [(str.title, "Af Ekenstam"), (lambda name: name[:6], "af Eke")], ids=["capitals", "cut"]
)
def test_what_vitec_makes_of_a_value_looks_like_an_edit_after_ours_and_comes_back_once(
    form: Callable[[str], str], kept: str
) -> None:
    """Nobody can tell it from a person's (what stays impossible); it is named, and does not go round."""
    pair = linked()
    reshaping(pair, VITEC, "last_name", form)
    pair.propstreet.edit(last_name="af Ekenstam")
    assert pair.sync_up() == 2
    assert pair.sync_up() == 0
    assert pair.values("last_name") == (kept, kept)
    assert unconfirmed(pair) == [("last_name",), ()]
    assert [want.value for issued in pair.told(CommandIssued) for want in issued.want.values()] == [
        "af Ekenstam",
        kept,
    ]
    assert lost(pair) == []


# What a vendor cannot hold


def test_a_name_of_45_characters_is_held_and_an_edit_at_vitec_meanwhile_is_not_lost() -> None:
    pair = linked()
    pair.vitec.edit(last_name="Bergh")
    vitec = pair.now
    pair.later(60)
    pair.propstreet.edit(last_name="B" * 45)
    assert pair.sync_up() == 0
    assert pair.values("last_name") == ("Bergh", "B" * 45)
    [held] = pair.told(CommandHeld)
    assert (held.target, set(held.want), held.reason) == (VITEC, {"last_name"}, "too_long")
    assert lost(pair) == []  # nothing is overwritten yet
    pair.propstreet.edit(last_name="Berggren")
    shortened = pair.now
    assert pair.sync_up() == 1
    assert pair.values("last_name") == ("Berggren", "Berggren")
    rule = "the later edit wins"
    assert lost(pair) == [(PROPSTREET, "Berggren", shortened, "Bergh", vitec, rule, False)]
    assert held.command in {ended.command for ended in pair.told(CommandSuperseded)}


def test_a_phone_that_cannot_be_cleared_at_vitec_is_held_until_somebody_gives_another() -> None:
    pair = linked()
    pair.propstreet.edit(phone=None)
    cleared = pair.now
    assert pair.sync_up() == 0
    assert pair.values("phone") == ("+46701740605", None)
    [held] = pair.told(CommandHeld)
    assert (held.target, set(held.want), held.reason) == (VITEC, {"phone"}, "cannot_clear")
    pair.later(60)
    pair.vitec.edit(phone="+46701740606")
    given = pair.now
    assert pair.sync_up() == 1
    assert pair.values("phone") == ("+46701740606", "+46701740606")
    rule = "the later edit wins"
    assert lost(pair) == [(VITEC, "+46701740606", given, None, cleared, rule, False)]
    assert pair.entity.blocked == {}


def clearing(blank: str) -> Pair:
    """A pair whose Vitec is cleared by an empty text, which it then shows as null, or leaves out."""
    pair = Pair(options=msgspec.structs.replace(OPTIONS, clear_by_empty_string=True))
    pair.vitec.add(**ANNA)
    pair.propstreet.add(reference=ADR, **ANNA)
    body = pair.vitec.body

    def shown(row: Row) -> dict[str, object]:
        return {
            name: value
            for name, value in body(row).items()
            if blank == "null" or name != "telephone" or row.fields["phone"]
        }

    pair.vitec.body = shown  # type: ignore[method-assign]  # another Vitec
    assert pair.sync_up() == 0
    return pair


@pytest.mark.parametrize("blank", ["null", "left out"])
def test_a_phone_that_may_be_cleared_at_vitec_is_cleared_once(blank: str) -> None:
    pair = clearing(blank)
    pair.propstreet.edit(phone=None)
    assert pair.sync_up() == 1
    assert pair.sync_up() == 0
    assert pair.agreed("phone")
    assert (pair.vitec.value("phone") or None, pair.propstreet.value("phone")) == (None, None)
    assert (unconfirmed(pair), lost(pair)) == ([()], [])


def test_a_field_that_is_in_no_answer_is_written_once_and_named() -> None:
    pair = Pair()
    body = pair.propstreet.body
    pair.propstreet.body = lambda row: {n: v for n, v in body(row).items() if n != "strategy"}  # type: ignore[method-assign]  # another Propstreet
    pair.vitec.add(**ANNA | {"strategy": "Offices"})
    pair.propstreet.add(reference=ADR, **ANNA)
    assert pair.sync_up() == 1
    assert pair.sync_up() == 0
    assert pair.values("strategy") == ("Offices", "Offices")
    assert unconfirmed(pair) == [("strategy",)]


def test_a_note_that_ceased_to_be_a_strategy_is_left_alone_and_the_rest_is_written() -> None:
    """N3: what is no strategy any more is not in the fields, so the decision cannot see it; the write can."""
    pair = Pair(options=msgspec.structs.replace(OPTIONS, note="keyword", note_keywords=("söker",)))
    strategy = {"strategy": "söker kontor"}
    pair.vitec.add(**ANNA | strategy)
    pair.propstreet.add(reference=ADR, **ANNA | strategy)
    assert pair.sync_up() == 0
    pair.vitec.edit(strategy="ring på fredag")
    pair.propstreet.edit(strategy="söker lager", phone="+46701740999")
    assert pair.sync_up() == 1
    assert pair.sync_up() == 0
    assert pair.values("strategy") == ("ring på fredag", "söker lager")
    assert pair.values("phone") == ("+46701740999", "+46701740999")
    [held] = pair.told(CommandHeld)
    assert (held.target, set(held.want), held.reason) == (VITEC, {"strategy"}, "not_writable")
    assert lost(pair) == []
