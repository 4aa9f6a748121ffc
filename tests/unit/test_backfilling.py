"""What only the first polls saw: how it is released, what goes first, and a rehearsal that says what will be done."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from daemon.cli.following import estimate, progress_of
from daemon.domain.events import (
    FIRST_SYNC,
    CommandHeld,
    CommandIssued,
    ConflictResolved,
    EntityHeld,
    EntityReleased,
    HoldDiscarded,
    RecordsLinked,
)
from daemon.domain.settings import Limits, PropstreetSettings, Secret, TenantSettings, VitecSettings
from daemon.domain.streams import CATEGORIES, PROPSTREET, VITEC, relation_id
from daemon.domain.windows import Priority, Window, least
from daemon.policies.rehearsing import Rehearsal, Step
from daemon.storage.views import Backfilled
from projections.entities import dormant
from projections.entity import Entity
from tests.unit.desks import OBJ
from tests.unit.pair import ADR, ANNA, KEY, SYNC, TENANT, Fields, Pair

WAIT = msgspec.structs.replace(SYNC, first_sync="wait")
OLA: Fields = ANNA | {"first_name": "Ola", "email": "ola@example.no", "phone": None}


def first_seen(pair: Pair, *categories: str) -> Pair:
    """What the very first polls found at both vendors."""
    for category in categories or (pair.category,):
        for vendor in (VITEC, PROPSTREET):
            desk = pair.desk(vendor, category)
            for record in desk.rows:
                payload, head = desk.payload(record), pair.head
                read = pair.as_read(vendor, record, payload, head, "poll", category=category, first=True)
                pair.append([read])
    return pair


def waiting(vitec: Fields | None = ANNA, propstreet: Fields | None = None) -> Pair:
    """Somebody who was there before the first start, and whom nobody has edited since."""
    pair = Pair(sync=WAIT)
    if vitec is not None:
        pair.vitec.add(**vitec)
    if propstreet is not None:
        pair.propstreet.add(**propstreet)
    return first_seen(pair)


def issued(decisions: list[Any]) -> list[CommandIssued]:
    return [each for each in decisions if isinstance(each, CommandIssued)]


def rehearse(pair: Pair, *categories: str) -> list[Step]:
    """The plan of a backfill; nothing of the pair may change by it."""
    before = msgspec.json.encode(pair.fold.entities.by_id)
    released = frozenset(categories or CATEGORIES)
    context = msgspec.structs.replace(
        pair.context(next(iter(pair.fold.entities.by_id.values()))), released=released
    )
    rehearsal, steps = Rehearsal(TENANT, context, pair.head), list[Step]()
    copies = {e.id: _copy(e) for e in pair.fold.entities.by_id.values()}
    for category in CATEGORIES:
        mine = [e for e in copies.values() if e.category == category]
        for entity in (e for e in mine if dormant(e) and category in released):
            kin = {part: copies[each.id] for part, each in pair.kin(entity).items()}
            steps += rehearsal.play(entity, kin, mine)
    assert msgspec.json.encode(pair.fold.entities.by_id) == before
    return steps


def _copy(entity: Entity) -> Entity:
    return msgspec.json.decode(msgspec.json.encode(entity), type=Entity)


def carried_out(pair: Pair) -> Counter[tuple[str, str | None]]:
    """What is done until nothing is left, counted as the plan counts."""
    head = pair.head
    pair.sync_up()
    done: Counter[tuple[str, str | None]] = Counter()
    for kind in (RecordsLinked, CommandIssued, CommandHeld, EntityHeld):
        for each in pair.told(kind):
            match each:
                case RecordsLinked(rule=rule) if rule != "created":
                    done["link", None] += 1
                case CommandIssued(record=record, target=target):
                    done["create" if record is None else "update", target] += 1
                case CommandHeld(target=target):
                    done["hold", target] += 1
                case EntityHeld():
                    done["hold", None] += 1
    assert pair.head > head
    return done


# The release


def test_what_is_released_is_decided_and_goes_behind_everything_else() -> None:
    pair = waiting()
    assert pair.decide() == []
    pair.let_go("contact")
    [command] = issued(pair.decide())
    assert command.backfill
    assert not dormant(pair.entity)
    [row] = pair.fold.commands.values()
    assert row.backfill


def test_the_release_of_another_category_changes_nothing() -> None:
    pair = waiting()
    pair.let_go("company")
    assert pair.decide() == []
    assert dormant(pair.entity)


def test_whoever_edits_a_released_record_is_served_first() -> None:
    pair = waiting()
    pair.let_go("contact")
    pair.decide()
    pair.later(60)
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    [command] = issued(pair.decide())
    assert not command.backfill


def test_an_edit_takes_the_counterpart_that_was_released_along() -> None:
    pair = waiting(ANNA, ANNA | {"first_name": "Ann"})
    pair.let_go("contact")
    pair.later(60)
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    commands = issued(pair.decide())
    assert commands
    assert not any(command.backfill for command in commands)


def test_two_that_were_released_link_and_are_written_behind_everything_else() -> None:
    pair = waiting(ANNA, ANNA | {"first_name": "Ann"})
    pair.let_go("contact")
    pair.decide()
    commands = issued(pair.decide())
    assert [command.target for command in commands] == [VITEC, PROPSTREET]
    assert all(command.backfill for command in commands)


def test_what_follows_a_create_of_a_backfill_goes_behind_as_well() -> None:
    pair = waiting(None, ANNA)
    pair.let_go("contact")
    pair.sync_up()
    assert {command.target for command in pair.told(CommandIssued)} == {VITEC, PROPSTREET}
    assert all(command.backfill for command in pair.told(CommandIssued))


def test_one_that_is_needed_is_released_alone_and_keeps_its_hold() -> None:
    pair = waiting(ANNA | {"first_name": "Kari"})
    pair.append([pair.ours(pair.entity, EntityHeld(pair.entity.id, "deceased", "see to it", "deceased"))])
    pair.append([pair.ours(pair.entity, HoldDiscarded(pair.entity.id, "deceased", "deceased", "kari"))])
    pair.append([pair.ours(pair.entity, EntityReleased(pair.entity.id, FIRST_SYNC, by="kari"))])
    assert not dormant(pair.entity)
    assert pair.entity.hold is not None
    assert pair.entity.hold.quiet


def test_a_release_says_nothing_of_a_record_that_somebody_has_edited_meanwhile() -> None:
    pair = waiting()
    pair.later(60)
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.append([pair.ours(pair.entity, EntityReleased(pair.entity.id, FIRST_SYNC, by="kari"))])
    [command] = issued(pair.decide())
    assert not command.backfill


# The rehearsal


@pytest.mark.parametrize(
    ("vitec", "propstreet"),
    [
        (ANNA, None),
        (None, ANNA),
        (ANNA, ANNA),
        (ANNA, ANNA | {"first_name": "Ann", "phone": None}),
        (ANNA, OLA),
        (None, ANNA | {"email": None, "phone": None}),
        (None, ANNA | {"first_name": "A" * 31}),
    ],
)
def test_a_rehearsal_says_what_is_then_done(vitec: Fields | None, propstreet: Fields | None) -> None:
    pair = waiting(vitec, propstreet)
    planned = Counter((step.do, step.target) for step in rehearse(pair))
    assert planned
    pair.let_go("contact")
    assert carried_out(pair) == planned


def test_a_rehearsal_holds_whom_two_may_mean_and_says_what_would_be_lost() -> None:
    pair = Pair(sync=WAIT)
    for record in (ADR, ADR[:-1] + "X"):
        pair.vitec.add(record, **ANNA)
    pair.propstreet.add(**ANNA)
    steps = rehearse(first_seen(pair))
    assert [(step.do, step.reason) for step in steps] == [("hold", "ambiguous")] * 3
    lost = waiting(ANNA, ANNA | {"first_name": "Ann"})
    [update] = [step for step in rehearse(lost) if step.overwrites]
    assert update.overwrites == ("first_name",)
    lost.let_go("contact")
    lost.sync_up()
    assert [conflict.field for conflict in lost.told(ConflictResolved)] == ["first_name"]


def office() -> Pair:
    """An estate and somebody interested in it, all of it from before the first start."""
    pair = Pair("prospect", beside=("contact", "company", "project"), sync=WAIT)
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(VITEC, "project").add(name="Hamnkontoret")
    pair.desk(VITEC, "prospect").add(relation_id(OBJ, ADR), level="Interested")
    return first_seen(pair, "contact", "project", "prospect")


def test_a_prospect_follows_the_contact_and_the_project_that_are_made_first() -> None:
    pair = office()
    steps = rehearse(pair)
    creates = [step for step in steps if step.do == "create"]
    assert [step.category for step in creates] == ["contact", "project", "prospect"]
    assert set(creates[-1].after) == {
        pair.entity_of(VITEC, ADR, "contact").id,
        pair.entity_of(VITEC, OBJ, "project").id,
    }


def test_a_prospect_stays_when_what_it_joins_is_not_released() -> None:
    [step] = rehearse(office(), "prospect")
    assert (step.do, step.reason) == ("wait", "what it joins waits for its own release")
    assert len(step.after) == 2


def test_a_record_that_is_linked_in_the_rehearsal_is_met_as_taken_afterwards() -> None:
    pair = Pair(sync=WAIT)
    pair.vitec.add(**(ANNA | {"email": "anna.old@example.se", "phone": None}))
    pair.vitec.add(ADR[:-1] + "X", **(ANNA | {"phone": None}))
    pair.propstreet.add(KEY, reference=ADR, **ANNA)
    steps = rehearse(first_seen(pair))
    assert [(step.do, step.reason) for step in steps if step.reason] == [
        ("link", "reference"),
        ("hold", "taken"),
    ]
    assert pair.entity_of(VITEC, ADR[:-1] + "X").id == steps[-1].entity


# Room, and how long it takes


def test_a_backfill_leaves_a_tenth_of_a_window_to_live_traffic() -> None:
    window = Window(100, 60.0)
    for _ in range(86):
        window.begin()
    assert window.fits(0.0, 4, Priority.BACKFILL)
    window.begin()
    assert not window.fits(0.0, 4, Priority.BACKFILL)
    assert window.fits(0.0, 4, Priority.LIVE)


def test_a_window_that_is_smaller_than_what_is_asked_for_fits_when_it_is_empty() -> None:
    window = Window(3, 60.0)
    assert window.fits(0.0, 8, Priority.BACKFILL)
    window.begin()
    assert not window.fits(0.0, 8, Priority.BACKFILL)


def test_no_less_time_is_told_than_the_windows_take() -> None:
    assert least([(600, 60.0)], 540) == 0.0
    assert least([(600, 60.0)], 5400) == pytest.approx(540.0)
    assert least([(20, 1.0), (600, 60.0), (10_800, 3600.0)], 97_200) == pytest.approx(9 * 3600.0)
    assert least([], 1_000_000) == 0.0


def tenant(limits: Limits) -> TenantSettings:
    vitec = VitecSettings(customer_id="M1", username="u", password=Secret("p"), limits=limits)
    propstreet = PropstreetSettings(client_id="c", client_secret=Secret("s"), limits=limits)
    return TenantSettings(name="oslo", vitec=vitec, propstreet=propstreet, sync=WAIT)


def test_progress_counts_what_the_plan_says_until_every_entity_was_looked_at() -> None:
    rows = [Backfilled("propstreet", 10, 5), Backfilled("vitec", 1, 0)]
    early = progress_of(rows, Counter(propstreet=100, vitec=3), swept=False)
    assert (early.done, early.total, early.over()) == (11, 103, False)
    late = progress_of(rows, Counter(propstreet=100, vitec=3), swept=True)
    assert (late.total, late.over()) == (16, False)
    assert progress_of([Backfilled("vitec", 3, 0)], Counter(vitec=9), swept=True).over()


def test_an_estimate_names_the_rate_and_the_bound_of_the_limits() -> None:
    free = tenant(Limits(per_second=0, per_minute=0, per_hour=0, concurrency=8))
    progress = progress_of([Backfilled("propstreet", 10, 90)], Counter(), swept=True)
    assert estimate(free, progress, 10, 10.0) == "about 2 min left"
    assert estimate(free, progress, 0, 10.0) == "no rate yet"
    tight = tenant(Limits(per_second=0, per_minute=10, per_hour=0, concurrency=8))
    assert estimate(tight, progress, 10, 1000.0).endswith("the limits allow no less than 19 min")
