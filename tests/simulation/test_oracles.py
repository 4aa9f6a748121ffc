"""No oracle that cannot fail: each is shown a world that is well, and one with something planted in it."""

import pytest
from msgspec import json, structs

from daemon.domain.events import (
    LEAD_RECEIVED,
    OBSERVED,
    CommandAttempted,
    CommandFailed,
    CommandIssued,
    CommandSucceeded,
    ConflictResolved,
    RecordsLinked,
    Want,
)
from tests.simulation.bench import Violation
from tests.simulation.oracles import check, examined
from tests.simulation.planting import ENTITY, Plot, wanted
from tests.simulation.steps import BackupRestored, Knobs

STREAM = f"contact:{ENTITY}"


def found(plot: Plot) -> set[str]:
    """Which oracles complain."""
    return {violation.oracle for violation in check(plot)}


def issue(plot: Plot, record: str | None, want: dict[str, Want], command: str = "c1") -> None:
    """A command that was decided, sent and taken."""
    decided = CommandIssued(command, ENTITY, "contact", "propstreet", record, want)
    plot.appended(STREAM, decided)
    plot.appended(STREAM, CommandAttempted(command, 1))
    plot.appended(STREAM, CommandSucceeded(command, record or ""))


def conflict(
    plot: Plot, winner: str, loser: str, origin: str = "toveis", field: str = "last_name"
) -> ConflictResolved:
    told = ConflictResolved(
        "k", ENTITY, field, "vitec", winner, None, 1, loser, None, 2, "the later edit wins"
    )
    plot.appended(STREAM, told, origin)
    return told


@pytest.fixture
async def plot() -> Plot:
    return Plot()


async def carried(plot: Plot) -> tuple[str, str]:
    """A pair in which one edit went its way."""
    here, there = plot.pair()
    plot.at = 5.0
    plot.vitec.edit(here, lastName="Lie")
    source = plot.observed("vitec", here)
    plot.at = 6.0
    plot.writes_at_propstreet(there, lastName="Lie")
    issue(plot, there, {"last_name": wanted("Lie", source)})
    plot.observed("propstreet", there)
    return here, there


async def test_a_world_in_which_all_went_well_has_no_findings(plot: Plot) -> None:
    await carried(plot)
    violations, figures = examined(plot)
    assert violations == []
    assert (figures.commands, figures.conflicts, figures.lost, figures.loops) == (1, 0, 0, 0)
    assert max(figures.settled) == 1.0
    assert figures.echoes == 1


# --- agreement


async def test_a_field_that_differs_is_found(plot: Plot) -> None:
    here, _ = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    [violation] = check(plot)
    assert violation.oracle == "agreement"
    assert "'Lie' at Vitec, 'Berg' at Propstreet" in str(violation)


@pytest.mark.parametrize(
    "state", [{"hold": {"reason": "ambiguous"}}, {"tombstone": "removed"}], ids=["held", "closed"]
)
async def test_a_difference_that_the_daemon_shows_is_none(plot: Plot, state: dict[str, object]) -> None:
    here, _ = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.knows(entity=ENTITY, **state)
    assert found(plot) == set()


async def test_a_field_that_is_held_explains_itself_and_no_other(plot: Plot) -> None:
    here, _ = plot.pair()
    plot.views["commands"] = [{"entity": ENTITY, "state": "held", "fields": ["last_name"]}]
    plot.vitec.edit(here, lastName="Lie")
    assert found(plot) == set()
    plot.vitec.edit(here, firstName="Eva")
    assert found(plot) == {"agreement"}


async def test_a_record_that_stands_alone_is_found_unless_it_is_held(plot: Plot) -> None:
    alone = plot.vitec.create("person", firstName="Eva")
    plot.observed("vitec", alone)
    plot.knows(("vitec", alone))
    assert found(plot) == {"agreement"}
    plot.knows(hold={"reason": "ambiguous"})
    assert found(plot) == set()


async def test_drift_at_the_target_of_one_direction_is_no_difference() -> None:
    plot = Plot(Knobs(sync={"contacts": "to_propstreet"}))
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Moe")
    assert found(plot) == set()
    plot.vitec.edit(here, lastName="Lie")
    plot.writes_at_propstreet(there, firstName="Anna B")
    assert "agreement" in found(plot)


async def test_what_only_the_nightly_audit_sees_is_no_difference_yet() -> None:
    plot = Plot()
    here, there = plot.pair()
    estate = plot.vitec.create_estate("CommercialProperty", status="ForSale")
    project = plot.propstreet.create(
        "project",
        name=estate,
        classification="active",
        externalRefs=[{"namespace": "vitec-next", "id": estate}],
    )
    plot.vitec.relate(here, estate, "Interested")
    reference = [{"namespace": "vitec-next", "id": f"{estate}:{here}"}]
    prospect = plot.propstreet.create(
        "prospect", projectId=project, contactId=there, classification="interested", externalRefs=reference
    )
    plot.observed("propstreet", project, "project")
    plot.observed("propstreet", prospect, "prospect")
    for category, record in (("project", estate), ("prospect", f"{estate}:{here}")):
        plot.appended(f"{category}:vitec:{record}", OBSERVED, "vitec")
    assert found(plot) == set()
    plot.vitec.relate(here, estate, "NotInterested")
    plot.vitec.notifier.outcomes["dropped"] += 1
    assert found(plot) == {"agreement"}, "an estate for sale is looked at with every poll"
    plot.vitec.edit_estate(estate, status="Sold")
    assert found(plot) == set()


# --- lost


async def overwritten(plot: Plot) -> tuple[str, str]:
    """Somebody's edit at Propstreet is overwritten by an edit of Vitec's, as if nobody had seen it."""
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    source = plot.observed("vitec", here)
    plot.propstreet.edit("contact", there, lastName="Moe")
    plot.observed("propstreet", there)
    plot.at = 4.0
    plot.writes_at_propstreet(there, lastName="Lie")
    issue(plot, there, {"last_name": wanted("Lie", source)})
    return here, there


async def test_an_edit_that_is_overwritten_in_silence_is_lost(plot: Plot) -> None:
    await overwritten(plot)
    violations, figures = examined(plot)
    assert [violation.oracle for violation in violations] == ["lost"]
    assert "'Moe'" in violations[0].told
    assert figures.lost == 1


async def test_an_edit_that_lost_on_record_is_not_lost(plot: Plot) -> None:
    await overwritten(plot)
    conflict(plot, "Lie", "Moe")
    assert found(plot) == set()


async def test_a_conflict_about_another_value_does_not_excuse_it(plot: Plot) -> None:
    await overwritten(plot)
    conflict(plot, "Lie", "Dahl")
    assert found(plot) == {"lost"}


async def test_what_fell_into_vitecs_window_is_counted_apart(plot: Plot) -> None:
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Moe")
    source = plot.observed("propstreet", there)
    plot.at = 1.0
    plot.reads_at_vitec(here)
    plot.at = 1.1
    plot.vitec.edit(here, lastName="Lie")
    plot.at = 1.2
    plot.writes_at_vitec(here, sent=1.05, lastName="Moe")
    decided = {"last_name": wanted("Moe", source, "only Propstreet changed", "propstreet")}
    plot.appended(STREAM, CommandIssued("c1", ENTITY, "contact", "vitec", here, decided))
    violations, figures = examined(plot)
    assert violations == []
    assert (figures.lost, figures.in_window) == (0, 1)


async def test_a_return_that_nobody_could_see_is_not_lost_but_one_that_was_read_is(plot: Plot) -> None:
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    source = plot.observed("vitec", here)
    plot.propstreet.edit("contact", there, lastName="Moe")
    between = plot.propstreet.get("contact", there)
    plot.propstreet.edit("contact", there, lastName="Berg")
    plot.writes_at_propstreet(there, lastName="Lie")
    issue(plot, there, {"last_name": wanted("Lie", source)})
    assert found(plot) == set()
    seen = json.encode(between).decode()
    plot.appended(f"contact:propstreet:{there}", OBSERVED, "propstreet", seen)
    assert found(plot) == {"lost"}


async def test_what_a_person_removed_is_not_lost(plot: Plot) -> None:
    here, _ = await overwritten(plot)
    plot.at = 9.0
    plot.vitec.remove(here)
    plot.knows(tombstone="removed at vitec")
    assert found(plot) == set()


async def test_a_lead_that_never_arrived_is_lost_unless_it_is_held(plot: Plot) -> None:
    told = json.encode({"person": {"email": "lea@example.no"}}).decode()
    plot.appended("lead:lea-1", LEAD_RECEIVED, "lead", told)
    assert found(plot) == {"lost"}
    plot.views["commands"] = [{"entity": "lea-1", "state": "held", "fields": []}]
    assert found(plot) == set()
    plot.views["commands"] = []
    name = {"firstName": "Lea", "lastName": "Moe", "email": {"emailAddress": "lea@example.no"}}
    plot.vitec.define_lead_source("LED1", "Webben")
    change = plot.vitec.take_person_lead({**name, "message": "Hei", "typeId": "LED1"})
    plot.vitec.journal_api("POST", "/Service/Contact/{customer}/Lead/Person", 200, change)
    assert "lost" not in found(plot)


# --- doubled, deleted, invented, restored


async def test_a_second_record_for_a_known_address_is_found(plot: Plot) -> None:
    plot.pair()
    plot.at = 5.0
    made = plot.vitec.create("person", firstName="Anna", email={"emailAddress": "anna@example.se"})
    assert "doubled" not in found(plot), "a person may enter somebody twice"
    plot.truth.lives["vitec", "contact", made].made_by = "daemon"
    assert "doubled" in found(plot)


async def test_two_counterparts_of_one_record_are_found(plot: Plot) -> None:
    here, _ = plot.pair()
    reference = [{"namespace": "vitec-next", "id": here}]
    row = plot.propstreet.store.find("contact", plot.propstreet.create("contact", firstName="Eva"))
    row.fields["externalRefs"] = reference
    plot.truth.look("daemon")
    assert "doubled" in found(plot)


async def test_a_lead_and_a_note_that_are_there_twice_are_found(plot: Plot) -> None:
    here, _ = plot.pair()
    plot.vitec.add_note(here, "Ringde")
    assert found(plot) == set()
    change = plot.vitec.post_note({"contactId": here, "text": "Ringde"})
    plot.vitec.journal_api("POST", "/Note/{customer}", 204, change)
    assert found(plot) == {"doubled"}


async def test_a_lead_that_is_there_twice_is_found(plot: Plot) -> None:
    plot.vitec.define_lead_source("LED1", "Webben")
    name = {"firstName": "Eva", "lastName": "Lie", "email": {"emailAddress": "eva@example.no"}}
    for _ in range(2):
        change = plot.vitec.take_person_lead({**name, "message": "Hei", "typeId": "LED1"})
        plot.vitec.journal_api("POST", "/Service/Contact/{customer}/Lead/Person", 200, change)
    assert "doubled" in found(plot)


async def test_a_record_that_the_daemon_removed_is_found(plot: Plot) -> None:
    _, there = plot.pair()
    plot.removes_at_propstreet(there)
    assert "deleted" in found(plot)


async def test_a_value_from_nowhere_is_found(plot: Plot) -> None:
    _, there = plot.pair()
    plot.writes_at_propstreet(there, strategy="Hotels")
    assert "invented" in found(plot)


async def test_a_restored_value_that_is_undone_is_found(plot: Plot) -> None:
    await overwritten(plot)
    conflict(plot, "Lie", "Moe")
    plot.at = 20.0
    conflict(plot, "Moe", "Lie", "operator")
    assert found(plot) == {"restored"}


# --- the log


@pytest.mark.parametrize("change", ["a gap", "a version twice", "an event twice"])
async def test_a_log_that_is_not_whole_is_found(plot: Plot, change: str) -> None:
    await carried(plot)
    first, second, third, *rest = plot.events
    match change:
        case "a gap":
            plot.events = [first, third, *rest]
        case "a version twice":
            plot.events = [first, second, structs.replace(third, version=1), *rest]
        case "an event twice":
            plot.events = [first, structs.replace(second, event_id=first.event_id), third, *rest]
    assert "log" in found(plot)


async def test_commands_out_of_order_are_found(plot: Plot) -> None:
    _, there = await carried(plot)
    source = plot.events[0]
    want = {"last_name": wanted("Lie", source)}

    def told() -> list[Violation]:
        return [violation for violation in check(plot) if violation.oracle == "commands"]

    plot.appended(STREAM, CommandAttempted("never", 1))
    assert [violation.told for violation in told()] == ["was attempted and never issued"]
    plot.appended(STREAM, CommandIssued("c1", ENTITY, "contact", "propstreet", there, want))
    assert told()[-1].told == "was issued twice"
    for command in ("c2", "c3"):
        plot.appended(STREAM, CommandIssued(command, ENTITY, "contact", "propstreet", there, want))
    plot.appended(STREAM, CommandAttempted("c2", 1))
    assert told()[-1].told == "was attempted and has no outcome"
    plot.appended(STREAM, CommandFailed("c2", "Retryable"))
    before = len(told())
    plot.appended(STREAM, CommandAttempted("c2", 2))
    plot.appended(STREAM, CommandAttempted("c3", 1))
    plot.appended(STREAM, CommandSucceeded("c3", there))
    assert any("in flight" in violation.told for violation in told()[before - 1 :])


# --- explains


async def test_a_value_that_no_command_carried_is_found(plot: Plot) -> None:
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    plot.observed("vitec", here)
    plot.writes_at_propstreet(there, lastName="Lie")
    assert found(plot) == {"explains"}


async def test_what_was_said_in_a_log_that_a_backup_replaced_is_not_asked_for(plot: Plot) -> None:
    await overwritten(plot)
    plot.events = [event for event in plot.events if event.stream != STREAM]
    plot.events = [structs.replace(event, position=n) for n, event in enumerate(plot.events, 1)]
    assert found(plot) == {"lost", "explains"}
    plot.story = structs.replace(plot.story, steps=(BackupRestored(age=3.0, at=6.0),))
    assert found(plot) == set()


async def test_a_pair_that_no_reference_joins_is_known_from_the_log() -> None:
    plot = Plot(Knobs(sync={"contacts": "to_vitec"}))
    told = {"firstName": "Anna", "lastName": "Berg"}
    here, there = plot.vitec.create("person", **told), plot.propstreet.create("contact", **told)
    plot.observed("vitec", here)
    plot.knows(("vitec", here), ("propstreet", there))
    plot.appended(STREAM, RecordsLinked(ENTITY, here, there, "name_phone"))
    plot.propstreet.edit("contact", there, lastName="Moe")
    source = plot.observed("propstreet", there)
    plot.writes_at_vitec(here, lastName="Moe", firstName="Anna")
    want = {"last_name": wanted("Moe", source, "only Propstreet changed", "propstreet")}
    plot.appended(STREAM, CommandIssued("c1", ENTITY, "contact", "vitec", here, want))
    assert found(plot) == set()


@pytest.mark.parametrize("what", ["no rule", "no source"])
async def test_a_command_that_says_no_rule_or_no_source_is_found(plot: Plot, what: str) -> None:
    here, there = plot.pair()
    plot.vitec.edit(here, lastName="Lie")
    source = plot.observed("vitec", here)
    plot.writes_at_propstreet(there, lastName="Lie")
    want = wanted("Lie", source)
    wrong = {"rule": ""} if what == "no rule" else {"source_position": 99}
    issue(plot, there, {"last_name": structs.replace(want, **wrong)})
    assert found(plot) == {"explains"}


async def test_a_create_whose_answer_was_lost_is_explained_by_its_entity(plot: Plot) -> None:
    here = plot.vitec.create("person", firstName="Eva")
    source = plot.observed("vitec", here)
    reference = [{"namespace": "vitec-next", "id": here}]
    there = plot.makes_at_propstreet(firstName="Eva", externalRefs=reference)
    plot.observed("propstreet", there)
    plot.knows(("vitec", here), ("propstreet", there))
    assert found(plot) == {"explains"}
    want = {"first_name": wanted("Eva", source, "new")}
    plot.appended(STREAM, CommandIssued("c1", ENTITY, "contact", "propstreet", None, want))
    plot.appended(STREAM, RecordsLinked(ENTITY, here, there, "reference"))
    assert found(plot) == set()


# --- the daemon's own writes


async def typed_over(plot: Plot, *, seen: bool = True) -> tuple[str, str]:
    """An edit of Propstreet's is carried to Vitec, where somebody types over it."""
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, lastName="Lie")
    source = plot.observed("propstreet", there)
    plot.at = 1.0
    plot.reads_at_vitec(here)
    plot.writes_at_vitec(here, lastName="Lie")
    decided = {"last_name": wanted("Lie", source, "only Propstreet changed", "propstreet")}
    plot.appended(STREAM, CommandIssued("c1", ENTITY, "contact", "vitec", here, decided))
    if seen:
        plot.observed("vitec", here)
    plot.at = 2.0
    plot.vitec.edit(here, lastName="Moe")
    plot.observed("vitec", here)
    conflict(plot, "Lie", "Moe")
    plot.at = 3.0
    return here, there


async def test_an_edit_must_not_lose_to_what_it_was_made_of_whatever_is_on_record(plot: Plot) -> None:
    here, _ = await typed_over(plot)
    plot.reads_at_vitec(here)
    plot.writes_at_vitec(here, lastName="Lie")
    assert found(plot) == {"reverted"}


async def test_an_edit_may_lose_to_a_write_that_had_left_before_it_and_to_one_that_was_never_seen() -> None:
    for seen, sent in ((True, 1.5), (False, 3.0)):
        plot = Plot()
        here, _ = await typed_over(plot, seen=seen)
        plot.reads_at_vitec(here)
        plot.writes_at_vitec(here, sent, lastName="Lie")
        assert found(plot) == set()


async def test_the_same_in_other_letters_is_not_written(plot: Plot) -> None:
    here, there = plot.pair()
    plot.vitec.edit(here, telephone={"cell": "070-174 06 05"})
    plot.writes_at_propstreet(there, phone="+46701740605")
    assert "respelled" not in found(plot)
    plot.at = 5.0
    plot.writes_at_vitec(here, cellPhone="+46701740605")
    assert "respelled" in found(plot)


async def test_a_value_that_goes_round_is_a_loop(plot: Plot) -> None:
    here, there = plot.pair()
    plot.propstreet.edit("contact", there, phone="070-174 06 05")
    plot.observed("propstreet", there)
    plot.writes_at_vitec(here, cellPhone="+46701740605")
    plot.observed("vitec", here)
    plot.writes_at_propstreet(there, phone=None)
    plot.writes_at_propstreet(there, phone="+46701740605")
    assert "looped" in found(plot)
