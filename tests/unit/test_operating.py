"""What an operator can say: every hold has a way out, and nothing but the operator's word opens what was closed."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from daemon.domain.events import (
    CommandDeadLettered,
    CommandDiscarded,
    CommandHeld,
    CommandIssued,
    CommandReleased,
    CommandSuperseded,
    EntityHeld,
    RecordsLinked,
    RecordsUnlinked,
)
from daemon.domain.settings import OnDelete
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, entity_stream
from daemon.mappings.lens import Reason
from daemon.policies.deciding import HELD
from daemon.policies.operating import (
    COMMANDS,
    ENTITIES,
    discard_command,
    discard_entity,
    link,
    release_command,
    release_entity,
    retry_command,
    retry_entity,
    unlink,
)
from daemon.policies.plan import Refused
from projections.commands import CommandRow
from projections.entity import Entity, Hold
from projections.leads import lead_row
from projections.views import Fold
from tests.unit import test_leading as leading
from tests.unit.desks import OBJ, ProjectDesk
from tests.unit.pair import ADR, ANNA, KEY, SYNC, TENANT, Fields, Pair, linked

ROOT = Path(__file__).parents[2]
KARI = "kari"
FJORD: Fields = {"name": "Fjord AB", "country": "SE", "strategy": None, "tags": ()}
HARBOUR: Fields = {"name": "Hamnkontoret"}

# --- The table of reasons

ARGUMENT = {
    "hold": 1,
    "Hold": 1,
    "Doubt": 0,
    "Stuck": 0,
    "Unsendable": 0,
    "CommandHeld": 6,
    "EntityHeld": 1,
}
"""Which argument of what makes a hold is its reason."""

CARRIED = {"reason", "flag", "stuck.reason", "doubt.reason", "hold.reason"}
"""Names that only hand on a reason that was given elsewhere."""


def reasons() -> Iterator[str]:
    """Every reason that stands in the code of a hold."""
    rooms = ("daemon/policies", "daemon/deliver", "daemon/mappings")
    for path in (path for room in rooms for path in (ROOT / room).rglob("*.py")):
        module = import_module(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ARGUMENT:
                at = ARGUMENT[node.func.id]
                if len(node.args) > at:
                    yield from _reason(node.args[at], module, path)


def _reason(argument: ast.expr, module: Any, path: Path) -> Iterator[str]:
    match argument:
        case ast.Constant(value=str(reason)):
            yield reason
        case ast.Name(id=name) if isinstance(getattr(module, name, None), str):
            yield getattr(module, name)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _reason(value, module, path)
        case _:
            assert ast.unparse(argument) in CARRIED, f"{path}: {ast.unparse(argument)}"


def test_every_reason_that_the_code_can_give_has_a_way_out() -> None:
    given = {*reasons(), *get_args(Reason), *HELD, "observe"}
    assert given == COMMANDS.keys() | ENTITIES.keys()


def test_every_way_out_stands_in_the_design() -> None:
    lines = (ROOT / "docs/design.md").read_text().splitlines()
    rows = {
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for line in lines
        if line.startswith("| `")
    }
    for reason, way in (*COMMANDS.items(), *ENTITIES.items()):
        assert (f"`{reason}`", way.release or "-", way.otherwise) in rows


def test_every_reason_stands_in_the_mapping_rules() -> None:
    rows = (ROOT / "docs/mapping-rules.md").read_text().splitlines()
    assert [r for r in (*COMMANDS, *ENTITIES) if not any(row.startswith(f"| `{r}` |") for row in rows)] == []


# --- Commands


def row(pair: Pair, number: int = -1) -> CommandRow:
    """One of the commands that are held, refused or wait; the newest where none is named."""
    return [r for r in pair.fold.commands.values() if r.state in ("held", "dead", "pending", "unknown")][
        number
    ]


def too_long(name: str = "A" * 31) -> Pair:
    """Propstreet has a name that Vitec cannot hold."""
    pair = linked()
    pair.propstreet.edit(first_name=name)
    assert pair.sync_up() == 0
    assert row(pair).reason == "too_long"
    return pair


def refused() -> Pair:
    """Propstreet answered a write with 400."""
    pair = linked()
    pair.vitec.edit(phone="+46701740606")
    pair.read(VITEC)
    pair.decide()
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    writing.refuse()
    assert pair.sync_up() == 0
    assert row(pair).state == "dead"
    return pair


def test_a_held_field_that_the_vendor_still_cannot_take_is_held_again() -> None:
    pair = too_long()
    held = row(pair)
    pair.obey(release_command(pair.entity, held, KARI))
    assert pair.fold.commands[held.command].state == "released"
    assert pair.entity.blocked == {}
    assert pair.sync_up() == 0
    assert (row(pair).reason, row(pair).fields) == ("too_long", ("first_name",))
    assert row(pair).command != held.command


def test_a_discarded_hold_is_listed_no_more_and_not_tried_again_before_its_source_changes() -> None:
    pair = too_long()
    held = row(pair)
    pair.obey(discard_command(pair.entity, held, KARI))
    assert pair.fold.commands[held.command].state == "discarded"
    for _ in range(2):
        assert pair.sync_up() == 0
    assert len(pair.told(CommandHeld)) == 1
    pair.propstreet.edit(first_name="Anne")
    assert pair.sync_up() == 1
    assert pair.vitec.value("first_name") == "Anne"


def test_a_refused_write_that_is_tried_again_is_a_new_command() -> None:
    pair = refused()
    dead = row(pair)
    pair.obey(retry_command(pair.entity, dead, KARI))
    assert pair.sync_up() == 1
    assert pair.propstreet.value("phone") == "+46701740606"
    assert pair.fold.commands[dead.command].state == "released"
    assert len({issued.command for issued in pair.told(CommandIssued)}) == 2


def test_a_refused_write_that_is_discarded_stays_where_it_is() -> None:
    pair = refused()
    pair.obey(discard_command(pair.entity, row(pair), KARI))
    assert pair.sync_up() == 0
    pair.vitec.edit(phone="+46701740607")
    assert pair.sync_up() == 1


def test_what_waits_for_its_time_is_due_at_once_and_nothing_has_failed_before() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    writing = pair.attempt(PROPSTREET)
    assert writing is not None
    writing.fail(retry_at=pair.later(3600))
    assert row(pair).due_at is not None
    pair.obey(retry_command(pair.entity, row(pair), KARI))
    assert (row(pair).state, row(pair).due_at, pair.entity.failures) == ("pending", None, {})
    assert pair.sync_up() == 1


def test_what_waits_can_be_given_up() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    pair.obey(discard_command(pair.entity, row(pair), KARI))
    assert pair.sync_up() == 0
    assert pair.propstreet.value("first_name") == "Anna"


@pytest.mark.parametrize(
    ("state", "verb", "hint"),
    [
        ("dead", release_command, "toveis retry"),
        ("held", retry_command, "toveis release"),
        ("flying", discard_command, "under way"),
        ("succeeded", release_command, "succeeded"),
        ("pending", release_command, "waits to be sent"),
    ],
)
def test_a_word_that_does_not_fit_says_which_one_does(state: Any, verb: Any, hint: str) -> None:
    pair = too_long()
    said = verb(pair.entity, msgspec.structs.replace(row(pair), state=state), KARI)
    assert isinstance(said, Refused)
    assert hint in said.why


def test_a_retry_of_what_is_held_names_what_ends_that() -> None:
    pair = too_long()
    said = retry_command(pair.entity, msgspec.structs.replace(row(pair), reason="observe"), KARI)
    assert said == Refused('it is held: set `mode` to "live"')
    entity = pair.entity
    assert "toveis commands" in str(retry_entity(entity, KARI))
    entity.hold = Hold("taken", "", 1)
    assert retry_entity(entity, KARI) == Refused(f"it is held: {ENTITIES['taken'].otherwise}")


def test_what_is_only_observed_is_not_released() -> None:
    pair = linked(mode="observe")
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    said = release_command(pair.entity, row(pair), KARI)
    assert isinstance(said, Refused)
    assert "live" in said.why


def test_what_was_observed_and_discarded_is_not_sent_when_going_live() -> None:
    pair = linked(mode="observe")
    pair.vitec.edit(first_name="Anne")
    pair.sync_up()
    pair.obey(discard_command(pair.entity, row(pair), KARI))
    pair.mode = "live"
    assert pair.sync_up() == 0
    pair.vitec.edit(first_name="Anni")
    assert pair.sync_up() == 1


def test_what_a_vendor_took_without_effect_is_tried_once_more_for_whoever_is_released() -> None:
    pair = Pair("project")
    pair.vitec.add(**HARBOUR)
    pair.propstreet.add(reference=OBJ, **HARBOUR | {"classification": "active", "stage": "communicated"})
    assert pair.sync_up() == 0
    assert isinstance(pair.propstreet, ProjectDesk)
    pair.propstreet.takes_classification = False
    pair.vitec.edit(estate_status="Resting")
    pair.sync_up()
    held = row(pair)
    assert held.fields == ("classification",)
    pair.propstreet.takes_classification = True
    pair.obey(release_command(pair.entity, held, KARI))
    assert pair.sync_up() == 1
    assert pair.propstreet.value("classification") == "draft"


def test_a_removal_that_a_person_has_to_make_is_seen_to_by_its_release() -> None:
    pair = linked()
    pair.propstreet.remove()
    pair.read(PROPSTREET)
    pair.decide()
    assert (row(pair).reason, row(pair).fields) == ("not_writable", ())
    assert pair.obey(release_command(pair.entity, row(pair), KARI)) == "seen to"
    assert pair.sync_up() == 0
    assert {r.state for r in pair.fold.commands.values()} == {"released"}


# --- Leads


def doubtful() -> tuple[Pair, CommandRow]:
    """A lead that Vitec has or not."""
    pair = leading.received()
    command = leading.sent(pair)
    lead = leading.lead_of(pair)
    want = lead.creating[VITEC].want
    held = CommandHeld(command, lead.id, "lead", VITEC, None, want, "unknown_outcome", "look at Vitec")
    leading.outcome(pair, held)
    return pair, pair.fold.commands[command]


def test_a_released_lead_is_sent_once_more() -> None:
    pair, held = doubtful()
    assert pair.obey(release_command(leading.lead_of(pair), held, KARI)) == "sent once more"
    assert [type(decision) for decision in pair.decide()] == [CommandIssued]
    assert len({issued.command for issued in pair.told(CommandIssued)}) == 2


def test_a_discarded_lead_is_one_that_vitec_has() -> None:
    pair, held = doubtful()
    assert pair.obey(discard_command(leading.lead_of(pair), held, KARI)) == "it counts as sent"
    assert pair.decide() == []
    assert leading.state(pair) == "sent"


def test_a_lead_that_was_held_before_a_restore_is_held_once_more_and_that_is_said() -> None:
    pair, held = doubtful()
    pair.rewind()
    assert pair.obey(release_command(leading.lead_of(pair), held, KARI)).startswith("held once more")
    [again] = pair.decide()
    assert isinstance(again, CommandHeld)
    release = release_command(leading.lead_of(pair), pair.fold.commands[again.command], KARI)
    assert pair.obey(release) == "sent once more"
    assert [type(decision) for decision in pair.decide()] == [CommandIssued]


def test_a_lead_that_vitec_refused_is_given_up_and_said_to_be() -> None:
    pair = leading.received()
    command = leading.sent(pair)
    leading.outcome(pair, CommandDeadLettered(command, "typeId", 400))
    said = discard_command(leading.lead_of(pair), pair.fold.commands[command], KARI)
    assert pair.obey(said) == "it is given up, and never sent"
    assert pair.decide() == []
    assert lead_row(TENANT, leading.lead_of(pair)).state == "discarded"


def test_a_lead_that_vitec_refused_is_sent_again_by_a_new_command() -> None:
    pair = leading.received()
    command = leading.sent(pair)
    leading.outcome(pair, CommandDeadLettered(command, "typeId", 400))
    pair.obey(retry_command(leading.lead_of(pair), pair.fold.commands[command], KARI))
    assert [type(decision) for decision in pair.decide()] == [CommandIssued]


# --- Entities, reason by reason


def sync(**changes: object) -> Any:
    return msgspec.structs.replace(SYNC, **changes)


def met(here: Fields, there: Fields, category: str = "contact", **settings: Any) -> Pair:
    """Vitec has somebody, then Propstreet; both were looked at."""
    pair = Pair(category, **settings)
    pair.vitec.add(**here)
    pair.read(VITEC)
    pair.propstreet.add(**there)
    pair.sync_up()
    return pair


def held(pair: Pair, reason: str) -> Entity:
    """The entity that is held for this reason; of two the older."""
    found = [e for e in pair.fold.entities.by_id.values() if e.hold is not None and e.hold.reason == reason]
    return min(found, key=lambda entity: entity.seen)


def still_held(pair: Pair) -> list[str]:
    """The reasons of the holds that are listed."""
    holds = [e.hold for e in pair.fold.entities.by_id.values() if e.hold is not None]
    return [hold.reason for hold in holds if not hold.quiet]


DOUBTS = pytest.mark.parametrize(
    ("reason", "category", "here", "there", "settings"),
    [
        ("contradiction", "contact", ANNA, ANNA | {"email": "other@example.se"}, {}),
        ("name_phone", "contact", ANNA | {"email": None}, ANNA, {"sync": sync(match_name_phone="hold")}),
        ("similar_name", "company", FJORD, FJORD, {}),
    ],
)


@DOUBTS
def test_a_doubtful_candidate_is_linked_by_the_release_of_either(
    reason: str, category: str, here: Fields, there: Fields, settings: dict[str, Any]
) -> None:
    for vendor in VENDORS:
        pair = met(here, there, category, **settings)
        assert pair.told(RecordsLinked) == []
        both = [e for e in pair.fold.entities.by_id.values() if e.hold is not None and vendor in e.sides]
        pair.obey(release_entity(both[0], KARI))
        pair.sync_up()
        assert [linked.rule for linked in pair.told(RecordsLinked)] == ["operator"]
        assert still_held(pair) == []
        assert pair.sync_up() == 0
        assert replayed(pair)


@DOUBTS
def test_a_doubtful_candidate_is_left_alone_by_a_discard(
    reason: str, category: str, here: Fields, there: Fields, settings: dict[str, Any]
) -> None:
    pair = met(here, there, category, **settings)
    for entity in [e for e in pair.fold.entities.by_id.values() if e.hold is not None]:
        pair.obey(discard_entity(entity, KARI))
    told = len(pair.told(EntityHeld))
    pair.vitec.edit(strategy="Offices")
    assert pair.sync_up() == 0
    assert still_held(pair) == []
    assert len(pair.told(EntityHeld)) == told
    assert pair.told(RecordsLinked) == []


@pytest.mark.parametrize("reason", ["ambiguous", "taken", "unreadable"])
def test_what_only_a_pair_or_another_payload_can_end_is_not_released(reason: str) -> None:
    pair = linked()
    pair.tell(EntityHeld(pair.entity.id, reason, "", reason, ("vitec:ADR2",)))
    said = release_entity(pair.entity, KARI)
    assert isinstance(said, Refused)
    assert reason in said.why
    assert "vitec:ADR2" in said.why


def test_a_new_record_at_propstreet_is_created_by_its_release() -> None:
    pair = Pair(sync=sync(new_from_propstreet="hold"))
    pair.propstreet.add(**ANNA)
    assert pair.sync_up() == 0
    pair.obey(release_entity(held(pair, "new"), KARI))
    pair.sync_up()
    assert len(pair.vitec.rows) == 1
    assert pair.sync_up() == 0


def test_a_record_that_vitec_matched_is_synced_by_its_release() -> None:
    pair = linked()
    pair.tell(EntityHeld(pair.entity.id, "matched", "", f"matched:{ADR}"))
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 0
    pair.obey(release_entity(pair.entity, KARI))
    assert pair.sync_up() == 1


def test_a_person_who_is_marked_as_deceased_is_synced_by_the_release_and_not_held_again() -> None:
    pair = linked()
    pair.vitec.rows[ADR].extra["isDeceased"] = True
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 0
    pair.obey(release_entity(held(pair, "deceased"), KARI))
    assert pair.sync_up() == 1
    pair.vitec.edit(first_name="Anni")
    assert pair.sync_up() == 1
    assert len(pair.told(EntityHeld)) == 1


def test_a_status_that_disagrees_is_left_out_by_the_release() -> None:
    pair = Pair("project")
    pair.vitec.add(**HARBOUR)
    pair.propstreet.add(reference=OBJ, **HARBOUR | {"classification": "active", "stage": "communicated"})
    assert pair.sync_up() == 0
    pair.vitec.rows[OBJ].extra["assignment"] = {"status": {"id": "3", "name": "Vilande"}, "estatenumber": "7"}
    pair.vitec.edit(name="Kajen")
    assert pair.sync_up() == 0
    pair.obey(release_entity(held(pair, "status_disagrees"), KARI))
    assert pair.sync_up() == 1
    assert pair.propstreet.value("name") == "Kajen"
    assert pair.propstreet.value("classification") == "active"


def test_a_confidential_deal_is_pushed_with_its_prospects_by_its_own_release() -> None:
    pair = Pair("project", beside=("contact", "prospect"))
    pair.vitec.add(sensitive=True, **HARBOUR)
    pair.desk(VITEC, "contact").add(**ANNA)
    pair.desk(PROPSTREET, "contact").add(reference=ADR, **ANNA)
    pair.desk(VITEC, "prospect").add()
    assert pair.sync_up() == 0
    assert still_held(pair) == ["sensitive", "sensitive"]
    pair.obey(release_entity(held(pair, "sensitive"), KARI))
    pair.sync_up()
    assert len(pair.propstreet.rows) == len(pair.desk(PROPSTREET, "prospect").rows) == 1
    assert still_held(pair) == []


def test_a_removal_that_was_seen_to_closes_the_link_and_leaves_the_other_record() -> None:
    pair = linked(sync=sync(on_delete=OnDelete(contacts="hold")))
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.sync_up()
    pair.obey(release_entity(held(pair, "removed"), KARI))
    pair.sync_up()
    assert [u.tombstone for u in pair.told(RecordsUnlinked)] == [True]
    assert set(pair.propstreet.rows) == {KEY}
    assert pair.sync_up() == 0
    assert still_held(pair) == []


def test_a_merge_that_was_seen_to_stays_closed() -> None:
    pair = linked()
    pair.propstreet.add("790", reference="ADR2", **ANNA | {"email": "b@example.se", "first_name": "Bea"})
    pair.vitec.add("ADR2", **ANNA | {"email": "b@example.se", "first_name": "Bea"})
    pair.sync_up()
    pair.merge("ADR2", ADR)
    pair.sync_up()
    pair.obey(release_entity(held(pair, "merged"), KARI))
    assert pair.sync_up() == 0
    assert still_held(pair) == []


def test_who_names_a_record_that_is_not_at_vitec_is_created_there_and_then_names_the_new_one() -> None:
    pair = Pair()
    pair.propstreet.add(reference="ADRGONE", **ANNA)
    assert pair.sync_up() == 0
    pair.obey(release_entity(held(pair, "unknown_reference"), KARI))
    pair.sync_up()
    [record] = pair.vitec.rows
    assert pair.propstreet.rows[KEY].reference == record
    assert still_held(pair) == []


def removed_and_new() -> Pair:
    """A contact was removed at Vitec and kept at Propstreet; then somebody with the same address is new at Vitec."""
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.decide()
    pair.vitec.add("ADR2", **ANNA)
    assert pair.sync_up() == 0
    return pair


def test_what_is_left_of_a_removed_counterpart_is_linked_by_the_release() -> None:
    pair = removed_and_new()
    pair.obey(release_entity(held(pair, "tombstone"), KARI))
    pair.sync_up()
    assert together(pair, "ADR2", KEY)
    assert pair.propstreet.rows[KEY].reference == "ADR2"
    assert pair.entity_of(VITEC, ADR).sides.keys() == {VITEC}
    assert pair.sync_up() == 0
    assert replayed(pair)


def test_a_record_whose_counterpart_is_gone_is_created_anew_by_the_release() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.decide()
    pair.propstreet.add("790", reference=ADR, **ANNA | {"email": "new@example.se", "phone": None})
    assert pair.sync_up() == 0
    pair.obey(release_entity(held(pair, "tombstone"), KARI))
    pair.sync_up()
    [record] = pair.vitec.rows
    assert together(pair, record, "790")
    assert still_held(pair) == []


def test_a_closed_record_that_is_released_is_made_anew() -> None:
    pair = linked()
    pair.vitec.remove()
    pair.confirm_gone(VITEC)
    pair.decide()
    assert pair.sync_up() == 0
    pair.obey(release_entity(pair.entity_of(PROPSTREET, KEY), KARI))
    pair.sync_up()
    [record] = pair.vitec.rows
    assert together(pair, record, KEY)
    assert pair.propstreet.rows[KEY].reference == record
    assert replayed(pair)


def test_a_hold_of_another_cause_is_shown_again_after_a_discard() -> None:
    pair = Pair(sync=sync(new_from_propstreet="hold"))
    pair.propstreet.add(**ANNA)
    pair.sync_up()
    pair.obey(discard_entity(held(pair, "new"), KARI))
    assert still_held(pair) == []
    pair.propstreet.rows[KEY].reference = "ADRGONE"
    pair.propstreet.edit()
    pair.sync_up()
    assert still_held(pair) == ["unknown_reference"]


def test_what_is_not_held_is_not_released() -> None:
    assert isinstance(release_entity(linked().entity, KARI), Refused)
    assert isinstance(discard_entity(linked().entity, KARI), Refused)


# --- Which records are one


def together(pair: Pair, vitec: str, propstreet: str) -> bool:
    return pair.entity_of(VITEC, vitec).id == pair.entity_of(PROPSTREET, propstreet).id


def replayed(pair: Pair) -> bool:
    """A fold from nothing says what the live one says, and every record has one entity."""
    fresh = Fold(TENANT, pair.options)
    fresh.evolve(pair.events)
    records = [(v, side.record) for e in fresh.entities.by_id.values() for v, side in e.sides.items()]
    assert len(records) == len(set(records))
    return fresh.entities.by_id == pair.fold.entities.by_id


def strangers() -> Pair:
    """Two people at each vendor; Anna is linked, and nobody knows the others' counterparts."""
    pair = linked()
    pair.vitec.add("ADR2", first_name="Bea", last_name="Ek", email="bea@example.se", tags=())
    pair.read(VITEC)
    pair.propstreet.add("790", first_name="Beata", last_name="Eek", email="beata@example.se", tags=())
    pair.read(PROPSTREET)
    return pair


def test_an_operator_links_what_has_nothing_in_common_and_what_differs_is_written() -> None:
    pair = strangers()
    pair.obey(link(pair.entity_of(VITEC, "ADR2"), pair.entity_of(PROPSTREET, "790"), KARI))
    assert [each.by for each in pair.told(RecordsLinked)][-1] == KARI
    pair.sync_up()
    assert together(pair, "ADR2", "790")
    assert pair.vitec.value("email", "ADR2") == pair.propstreet.value("email", "790")
    assert pair.propstreet.rows["790"].reference == "ADR2"
    assert replayed(pair)


def test_a_link_takes_back_what_was_to_be_created() -> None:
    pair = strangers()
    pair.decide()
    assert pair.entity_of(VITEC, "ADR2").pending
    pair.obey(link(pair.entity_of(VITEC, "ADR2"), pair.entity_of(PROPSTREET, "790"), KARI))
    pair.sync_up()
    assert len(pair.vitec.rows) == len(pair.propstreet.rows) == 2


def test_a_record_with_a_live_link_is_not_linked_to_another() -> None:
    pair = strangers()
    said = link(pair.entity_of(VITEC, ADR), pair.entity_of(PROPSTREET, "790"), KARI)
    assert isinstance(said, Refused)
    assert "toveis unlink" in said.why


def test_a_record_that_is_gone_is_not_linked() -> None:
    pair = removed_and_new()
    said = link(pair.entity_of(VITEC, ADR), pair.entity_of(PROPSTREET, KEY), KARI)
    assert isinstance(said, Refused)
    assert "gone" in said.why


def test_linking_twice_changes_nothing() -> None:
    pair = linked()
    before = pair.head
    assert pair.obey(link(pair.entity, pair.entity, KARI)) == "they are linked already"
    assert pair.head == before


def test_unlinked_records_part_and_never_link_again_by_themselves() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    pair.obey(unlink(pair.entity, "father and son", KARI))
    assert pair.told(CommandSuperseded)[-1].reason == "the records were unlinked"
    assert not together(pair, ADR, KEY)
    pair.propstreet.edit(first_name="Anni")
    assert pair.sync_up() == 0
    assert (len(pair.vitec.rows), len(pair.propstreet.rows)) == (1, 1)
    gone = pair.vitec.rows.pop(ADR)
    pair.confirm_gone(VITEC)
    pair.vitec.rows[ADR] = gone
    pair.hint()
    assert pair.sync_up() == 0
    assert len(pair.told(RecordsLinked)) == 1
    assert replayed(pair)


def test_unlinked_records_are_linked_again_by_an_operator_and_keep_their_history() -> None:
    pair = linked()
    before = pair.entity.id
    pair.obey(unlink(pair.entity, "a mistake", KARI))
    pair.obey(link(pair.entity_of(VITEC, ADR), pair.entity_of(PROPSTREET, KEY), KARI))
    assert pair.entity.id == before
    assert together(pair, ADR, KEY)
    pair.vitec.edit(first_name="Anne")
    assert pair.sync_up() == 1
    assert replayed(pair)


def test_both_halves_of_two_wrong_links_find_each_other() -> None:
    pair = strangers()
    pair.obey(link(pair.entity_of(VITEC, "ADR2"), pair.entity_of(PROPSTREET, "790"), KARI))
    pair.sync_up()
    for record in (ADR, "ADR2"):
        pair.obey(unlink(pair.entity_of(VITEC, record), "crossed", KARI))
    pair.obey(link(pair.entity_of(VITEC, ADR), pair.entity_of(PROPSTREET, "790"), KARI))
    pair.obey(link(pair.entity_of(VITEC, "ADR2"), pair.entity_of(PROPSTREET, KEY), KARI))
    pair.sync_up()
    assert together(pair, ADR, "790")
    assert together(pair, "ADR2", KEY)
    assert (pair.propstreet.rows[KEY].reference, pair.propstreet.rows["790"].reference) == ("ADR2", ADR)
    assert pair.sync_up() == 0
    assert replayed(pair)


def test_an_unlinked_record_is_no_rival_of_another_with_its_address() -> None:
    pair = linked()
    pair.obey(unlink(pair.entity, "sold the firm", KARI))
    pair.vitec.add("ADR2", **ANNA)
    pair.sync_up()
    assert still_held(pair) == ["tombstone"]
    pair.obey(release_entity(held(pair, "tombstone"), KARI))
    pair.sync_up()
    assert together(pair, "ADR2", KEY)
    assert pair.entity_of(VITEC, ADR).sides.keys() == {VITEC}


def test_a_write_that_is_under_way_lets_nobody_link_or_unlink() -> None:
    pair = linked()
    pair.vitec.edit(first_name="Anne")
    pair.read(VITEC)
    pair.decide()
    assert pair.attempt(PROPSTREET) is not None
    said = unlink(pair.entity, "", KARI)
    assert isinstance(said, Refused)
    assert "under way" in said.why


def test_every_word_of_an_operator_carries_a_name() -> None:
    pair = too_long()
    pair.obey(release_command(pair.entity, row(pair), KARI))
    pair.sync_up()
    pair.obey(discard_command(pair.entity, row(pair), KARI))
    assert [each.by for each in (*pair.told(CommandReleased), *pair.told(CommandDiscarded))] == [KARI, KARI]
    assert pair.events[-1].stream == entity_stream("contact", pair.entity.id)
