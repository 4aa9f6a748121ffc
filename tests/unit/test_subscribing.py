"""What is due for our webhook at Propstreet, case by case, and when a vendor counts as silent."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace

from daemon.domain.subscriptions import EVENTS, TOLD, Health, State, address_of, path_of, wishes
from daemon.policies.subscribing import (
    HORIZON,
    MANY,
    SILENCE,
    Complete,
    Enable,
    Found,
    Known,
    Plan,
    Register,
    Remove,
    by_ear,
    decide,
    heard,
    is_silent,
    looked,
    may_mend,
    mending,
    recovered,
    replay_since,
    same_address,
)

NOW: Final = datetime(2026, 5, 18, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
ADDRESS: Final = "https://sync.example.no/webhooks/propstreet/oslo"
HEALTH: Final = Health("propstreet", "working", NOW - timedelta(days=3))
OURS: Final = Found("1", ADDRESS, frozenset(EVENTS), True, 0)
FOREIGN: Final = Found("9", "https://other.example.no/hook", frozenset(("contact.created",)), False, 10)
GENERATED: Final = Known(ADDRESS, frozenset("1"), configured=False)
CONFIGURED: Final = Known(ADDRESS, frozenset(), configured=True)


def plan(*found: Found, known: Known = GENERATED, health: Health = HEALTH, tried: bool = False) -> Plan:
    return decide([FOREIGN, *found], known, health, tried=tried)


def test_there_are_fifteen_events_each_by_its_name() -> None:
    assert len(set(EVENTS)) == 15
    assert not any("*" in event for event in EVENTS)


@pytest.mark.parametrize("known", [GENERATED, CONFIGURED])
def test_a_webhook_that_is_as_it_should_be_is_left_alone(known: Known) -> None:
    assert plan(OURS, known=known) == Plan("working", OURS, ())


@pytest.mark.parametrize("known", [GENERATED, CONFIGURED])
def test_without_one_it_is_registered_and_those_of_others_are_not_touched(known: Known) -> None:
    assert plan(known=replace(known, held=frozenset())) == Plan("missing", None, (Register(),))


def test_one_that_is_off_is_switched_on() -> None:
    off = replace(OURS, active=False, failures=10)
    assert plan(off) == Plan("disabled", off, (Enable("1"),))
    assert plan(off, known=CONFIGURED) == Plan("disabled", off, (Enable("1"),))


def test_one_that_lacks_events_gets_them_and_keeps_what_it_has() -> None:
    lacking = replace(OURS, events=frozenset((*EVENTS[3:], "property.created")))
    assert plan(lacking) == Plan("incomplete", lacking, (Complete("1", EVENTS[:3]),))
    assert plan(replace(OURS, events=frozenset((*EVENTS, "property.created")))).actions == ()


def test_one_that_is_off_and_lacks_events_is_completed_before_it_is_switched_on() -> None:
    both = replace(OURS, active=False, events=frozenset(EVENTS[1:]))
    assert plan(both).actions == (Complete("1", EVENTS[:1]), Enable("1"))


def test_one_that_points_elsewhere_is_left_there_and_another_is_made() -> None:
    moved = replace(OURS, url="https://elsewhere.example.no/webhooks/propstreet/oslo")
    assert plan(moved) == Plan("elsewhere", None, (Register(),))
    assert plan(moved, known=CONFIGURED) == Plan("missing", None, (Register(),))


def test_one_at_our_address_that_nobody_can_verify_is_left_to_its_maker() -> None:
    assert plan(replace(OURS, id="7")) == Plan("unverified", None, (Register(),))


def test_of_two_that_we_made_one_goes_and_the_one_that_works_stays() -> None:
    two = replace(OURS, id="2", active=False)
    known = replace(GENERATED, held=frozenset(("1", "2")))
    for found in ((OURS, two), (two, OURS)):
        assert plan(*found, known=known) == Plan("working", OURS, (Remove("2"),))


def test_one_that_an_operator_made_stays_beside_ours() -> None:
    known = Known(ADDRESS, frozenset("1"), configured=True)
    assert plan(replace(OURS, id="7"), OURS, known=known) == Plan("working", OURS, ())


def test_what_was_mended_without_effect_is_made_anew() -> None:
    off = replace(OURS, active=False)
    assert plan(off, tried=True).actions == (Remove("1"), Register())
    lacking = replace(OURS, events=frozenset())
    assert plan(lacking, tried=True).actions == (Remove("1"), Register())
    assert plan(off, known=CONFIGURED, tried=True).actions == (Register(),)  # it is the operator's


def test_a_configured_secret_that_never_fits_ends_in_a_webhook_of_our_own() -> None:
    off = replace(OURS, active=False)
    mended = replace(HEALTH, mends=1, mended_at=NOW - MINUTE)
    assert plan(off, known=CONFIGURED, health=mended).actions == (Register(),)
    fits = replace(mended, heard_at=NOW)
    assert plan(off, known=CONFIGURED, health=fits).actions == (Enable("1"),)
    assert plan(off, health=mended).actions == (Enable("1"),)  # its secret is right: we have it


def test_what_propstreet_does_not_tell_is_taken_for_well() -> None:
    assert plan(replace(OURS, active=None, failures=None)).state == "working"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        (ADDRESS, True),
        (f"{ADDRESS}/", True),
        ("HTTPS://SYNC.example.no:443/webhooks/propstreet/oslo", True),
        ("http://sync.example.no/webhooks/propstreet/oslo", False),
        ("https://sync.example.no:8443/webhooks/propstreet/oslo", False),
        ("https://sync.example.no/webhooks/propstreet/OSLO", False),
        ("https://sync.example.no/webhooks/propstreet/oslo2", False),
        (f"{ADDRESS}?to=me", False),
        ("https://[broken/webhooks/propstreet/oslo", False),
        ("https://sync.example.no:port/webhooks/propstreet/oslo", False),
        ("", False),
    ],
)
def test_an_address_is_ours_however_it_is_spelt(url: str, same: bool) -> None:
    assert same_address(url, ADDRESS) is same
    assert plan(replace(OURS, url=url)).state == ("working" if same else "elsewhere")


def test_our_address_follows_from_the_public_one() -> None:
    assert address_of("https://sync.example.no", "oslo") == ADDRESS
    assert address_of(None, "oslo") is None
    assert path_of("vitec", "oslo", "way-in") == "/webhooks/vitec/oslo/way-in"


# -- again and again


def test_a_first_mend_is_at_once_and_then_ever_later_up_to_an_hour() -> None:
    health, pauses = HEALTH, []
    for _ in range(9):
        now = health.mended_at or NOW
        while not may_mend(health, now):
            now += MINUTE
        pauses.append((now - (health.mended_at or NOW)) // MINUTE)
        health = mending(health, now)
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert health.mends == 9


def test_after_a_delivery_it_is_mended_at_once_again() -> None:
    health = replace(HEALTH, mends=8, mended_at=NOW - MINUTE)
    assert not may_mend(health, NOW)
    again = replace(health, heard_at=NOW)
    assert may_mend(again, NOW)
    assert mending(again, NOW).mends == 1


@pytest.mark.parametrize(
    ("before", "found", "after", "yes"),
    [
        ("working", "disabled", "working", True),
        ("missing", "missing", "working", True),
        ("disabled", "working", "working", True),  # somebody else did it, or we died in the middle
        ("working", "working", "working", False),
        ("unknown", "working", "working", False),
        ("silent", "working", "working", False),
        ("working", "disabled", "disabled", False),
    ],
)
def test_what_was_missed_is_made_up_for_when_it_works_again(
    before: State, found: State, after: State, yes: bool
) -> None:
    assert recovered(replace(HEALTH, state=before), Plan(found), Plan(after)) is yes


def test_failed_deliveries_are_asked_for_from_before_the_last_sound_look() -> None:
    """Propstreet tries for 35 hours: what fails for long may be older than a look that saw nothing."""
    assert replay_since(replace(HEALTH, sound_at=NOW - MINUTE), NOW) == NOW - MINUTE - HORIZON
    assert replay_since(HEALTH, NOW) == NOW - HORIZON
    assert timedelta(hours=35) < HORIZON


# -- how it is


def test_a_state_is_of_the_time_at_which_it_began() -> None:
    seen = looked(HEALTH, Plan("working", OURS), NOW - MINUTE, NOW)
    assert (seen.since, seen.looked_at, seen.sound_at) == (HEALTH.since, NOW, NOW)
    off = looked(seen, Plan("disabled", OURS), NOW, NOW + MINUTE)
    assert (off.state, off.since, off.sound_at) == ("disabled", NOW + MINUTE, NOW)


def test_one_with_failures_is_not_sound() -> None:
    assert looked(HEALTH, Plan("working", replace(OURS, failures=3)), NOW, NOW).sound_at is None


def test_a_webhook_that_is_on_and_brings_nothing_is_silent() -> None:
    """It may point to us and never arrive: the list alone does not tell."""
    quiet = replace(HEALTH, unheard=MANY)
    seen = looked(quiet, Plan("working", OURS), NOW - SILENCE, NOW)
    assert (seen.state, seen.since, seen.sound_at) == ("silent", NOW, None)


LONG: Final = NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("heard_at", "listening", "unheard", "silent"),
    [
        (None, LONG, MANY, True),
        (None, LONG, MANY - 1, False),  # hardly anything changed
        (None, NOW - SILENCE + MINUTE, 99, False),  # we have just begun to listen
        (NOW - SILENCE + MINUTE, LONG, 99, False),  # something came a moment ago
        (NOW - SILENCE, LONG, MANY, True),
        (LONG, NOW - MINUTE, 99, False),  # we were not there to hear
    ],
)
def test_a_vendor_is_silent_when_much_changes_and_nothing_is_told_for_an_hour(
    heard_at: datetime | None, listening: datetime, unheard: int, silent: bool
) -> None:
    health = Health("vitec", "working", LONG, heard_at=heard_at, unheard=unheard)
    assert is_silent(health, listening, NOW) is silent
    assert by_ear(health, listening, NOW, "unheard").state == ("silent" if silent else "unheard")


def test_a_delivery_ends_the_count_and_polls_add_to_it() -> None:
    health = heard(Health("vitec", "unheard", NOW), None, 4, 10)
    assert (health.unheard, health.position, health.heard_at) == (4, 10, None)
    health = heard(health, None, 5, 20)
    assert health.unheard == 9
    health = heard(health, NOW, 3, 30)
    assert (health.unheard, health.heard_at, health.position) == (0, NOW, 30)
    assert heard(health, NOW, 2, 40).unheard == 2  # the same delivery again: nothing new came


def test_every_state_is_told_in_words() -> None:
    assert set(State.__args__) == TOLD.keys()  # type: ignore[attr-defined]  # a Literal has them


# -- Vitec


def test_vitec_is_asked_for_what_is_synced() -> None:
    def asked(*types: str) -> dict[str, Any]:
        return {wish.type: wish for wish in wishes(types)}

    usual = asked("CommercialProperty", "Project")
    assert list(usual) == ["Contact", "Estate", "Project", "EstateContact", "Note", "Merge", "IncomingLead"]
    assert usual["Estate"].subtypes == ("CommercialProperty",)
    assert "not only advertised" in usual["Estate"].more
    assert usual["EstateContact"].subtypes == ("Speculator", "Buyer", "ViewingParticipant")
    assert asked("Farm", "House")["Estate"].subtypes == ("Farm", "House")
    assert "Project" not in asked("Farm")
    assert "Estate" not in asked("Project")
