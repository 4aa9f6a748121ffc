"""The tables of the mapping rules, every row and every cell: statuses of estates, levels, and what is written."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from daemon.domain.fields import UNMAPPED, Value
from daemon.domain.settings import ESTATE_STATUSES, INTEREST_LEVELS
from daemon.mappings import lens
from daemon.mappings.estate_statuses import STATED, STATUSES
from daemon.mappings.interest_levels import LEVELS, WRITTEN
from daemon.mappings.lens import Options, Patch, Seen
from daemon.mappings.vitec_relation import relation_of

FOLDER = Path(__file__).parents[1] / "payloads" / "tables"
Row = dict[str, str]


def rows(name: str) -> list[Row]:
    with (FOLDER / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


STATUS_ROWS = rows("estate_statuses.csv")
LEVEL_ROWS = rows("interest_levels.csv")
CELLS = [
    (row["present"], wanted, cell)
    for row in rows("decisions.csv")
    for wanted, cell in row.items()
    if wanted != "present"
]

ESTATE = lens("vitec", "project")
PROJECT = lens("propstreet", "project")
RELATION = lens("vitec", "prospect")
PROSPECT = lens("propstreet", "prospect")
PLAIN = Options()

every_status = pytest.mark.parametrize("row", STATUS_ROWS, ids=lambda row: f"{row['rule']}-{row['name']}")
every_level = pytest.mark.parametrize("row", LEVEL_ROWS, ids=lambda row: f"{row['rule']}-{row['level']}")
every_cell = pytest.mark.parametrize(("present", "wanted", "cell"), CELLS)


def read(key: Any, label: Any, options: Options = PLAIN) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Classification, status and stage of an estate, and its flags."""
    payload = {"estateId": "OBJ1_1", "assignment": {"status": {"id": key, "name": label}}}
    content = ESTATE.get(json.dumps(payload), options)
    return {field: value for field, value in content.fields.items() if field != "name"}, content.flags


def expected(row: Row) -> dict[str, Value]:
    shown = row["classification"] == "shown"
    classification = UNMAPPED + row["name"] if shown else row["classification"]
    values = {"classification": classification, "status": row["status"], "stage": row["stage"]}
    return {field: value for field, value in values.items() if value}


def related(level: str | int | None, viewing: bool = False) -> bytes:
    """A contact's relation to an estate: a level, none, or a buyer."""
    buyer = level == "buyer"
    row = {
        "estateId": "OBJ1_1",
        "estateType": "CommercialProperty",
        "level": None if level == "none" else level,
    }
    interest = json.dumps({"id": "ADR1", "speculatorOn": [row]}).encode()
    purchase = json.dumps({"id": "ADR1", "buyerOn": [{"estateId": "OBJ1_1"}]}).encode()
    relation = relation_of(
        "OBJ1_1", "ADR1", None if buyer else interest, purchase if buyer else None, viewing
    )
    assert relation is not None
    return relation


def classified(payload: bytes, options: Options = PLAIN) -> Value:
    return RELATION.get(payload, options).fields["classification"]


# Estate statuses (section 10)


def test_the_code_knows_every_status_of_the_table_and_no_other() -> None:
    assert {status.name for status in STATUSES} == {row["name"] for row in STATUS_ROWS}
    assert {status.id for status in STATUSES} == {int(row["id"]) for row in STATUS_ROWS} == set(range(23))


def test_no_spelling_stands_for_two_statuses() -> None:
    spellings = [
        spelling.casefold()
        for status in STATUSES
        for spelling in {s.casefold() for s in (status.name, *status.notified, *status.labels)}
    ]
    assert len(spellings) == len(set(spellings))


@every_status
def test_a_status_is_read_by_its_number_and_label(row: Row) -> None:
    for label in row["labels"].split("|"):
        assert read(row["id"], label) == (expected(row), (f"estate_status:{row['name']}",))
        assert read(int(row["id"]), f" {label.upper()} ") == read(row["id"], label)


@every_status
def test_a_status_is_read_by_its_label_when_the_numbers_are_others(row: Row) -> None:  # VS28
    for label in filter(None, row["labels"].split("|")):
        for key in (None, "", "77", "4711", "X"):
            assert read(key, label)[0] == expected(row)


@every_status
def test_a_status_is_read_by_its_number_alone(row: Row) -> None:
    for label in (None, "", " "):
        assert read(row["id"], label)[0] == expected(row)


@every_status
def test_a_number_beside_a_label_that_nobody_knows_is_believed_only_where_it_is_stated(row: Row) -> None:
    fields, flags = read(row["id"], "Något nytt")  # decision 0013
    if int(row["id"]) in STATED:
        assert (fields, flags) == (expected(row), (f"estate_status:{row['name']}",))
    else:
        assert (fields, flags) == ({"classification": f"unmapped:{row['id']} Något nytt"}, ())
    assert read(row["name"], "Något nytt")[0] == expected(row)


@every_status
def test_a_status_is_read_by_each_of_its_names(row: Row) -> None:
    for name in filter(None, (row["name"], row["notified"])):
        assert read(None, name)[0] == expected(row)
        assert read(name, None)[0] == expected(row)


@every_status
def test_a_status_can_be_configured_by_each_of_its_names(row: Row) -> None:
    for name in filter(None, (row["name"], row["notified"])):
        assert name in ESTATE_STATUSES
        fields, _ = read(row["id"], row["labels"].split("|")[0], Options(statuses={name: "inactive"}))
        assert fields == expected(row) | {"classification": "inactive"}


@pytest.mark.parametrize("key", ["2", "3", "4", "10"])
def test_a_label_that_contradicts_a_stated_number_is_held(key: str) -> None:  # S33
    for row in STATUS_ROWS:
        if row["id"] != key and row["labels"]:
            assert read(key, row["labels"].split("|")[0]) == ({}, ("status_disagrees",))


def test_a_status_that_nobody_knows_is_shown_and_maps_to_nothing() -> None:  # G12
    assert read("77", "Något nytt") == ({"classification": "unmapped:77 Något nytt"}, ())
    assert read(None, "Något nytt") == ({"classification": "unmapped:Något nytt"}, ())
    assert read(None, None) == ({}, ())
    held = PROJECT.put({"classification": "unmapped:77 Något nytt"}, b'{"id": "1"}', PLAIN)
    assert [(hold.field, hold.reason) for hold in held.holds] == [("classification", "unmapped")]
    assert held.empty


@every_status
def test_propstreet_takes_the_classification_and_sets_the_rest_itself(row: Row) -> None:  # S30
    want = expected(row)
    present = b'{"id": "1", "classification": null, "status": null, "teaser": null}'
    patch = PROJECT.put(want, present, PLAIN)
    takes = row["classification"] not in ("", "shown")
    assert patch.body == ({"classification": row["classification"]} if takes else {})
    reasons = {hold.field: hold.reason for hold in patch.holds}
    assert reasons == {field: "not_writable" for field in ("status", "stage") if row[field]} | (
        {"classification": "unmapped"} if row["classification"] == "shown" else {}
    )


# Interest levels (section 12.2, 12.3)


def test_the_code_knows_every_level_of_the_table_and_no_other() -> None:
    numbered = {int(row["value"]): row["level"] for row in LEVEL_ROWS if row["value"]}
    assert {value: level for value, (level, _) in LEVELS.items()} == numbered
    assert set(INTEREST_LEVELS) == set(numbered.values())


@every_level
def test_a_level_is_read_by_name_and_by_number(row: Row) -> None:
    names: list[str | int] = [row["level"]]
    if row["value"]:
        names += [row["level"].upper(), row["value"], int(row["value"])]
    for name in names:
        assert classified(related(name)) == row["classification"]
    flags = RELATION.get(related(row["level"]), PLAIN).flags
    assert flags == (("buyer",) if row["level"] == "buyer" else (f"level:{row['level']}",))


@every_level
def test_a_level_can_be_configured(row: Row) -> None:
    if row["value"]:
        assert classified(related(row["level"]), Options(levels={row["level"]: "bidder"})) == "bidder"


def test_the_numbers_of_the_look_alike_enum_are_none_of_ours() -> None:
    for code in range(7):
        assert classified(related(code)) == f"unmapped:{code}"


def test_a_status_is_written_by_name() -> None:  # 12.3
    assert dict(WRITTEN) == {
        "contacted": "Assigned",
        "interested": "Interested",
        "not_interested": "NotInterested",
        "bidder": "JoinedBidding",
    }


@pytest.mark.parametrize(("wanted", "status"), WRITTEN.items())
def test_what_is_written_reads_back_as_what_was_wanted(wanted: str, status: str) -> None:  # Q1
    [level] = [row["level"] for row in LEVEL_ROWS if row["written"] == status]
    assert classified(related(level)) == wanted


# The decision table (section 12.4)


@every_cell
def test_every_cell_of_the_decision_table(present: str, wanted: str, cell: str) -> None:
    payload = None if present == "no relation" else related(present)
    patch = RELATION.put({"classification": wanted}, payload, PLAIN)
    reasons = {hold.reason for hold in patch.holds}
    match cell.split():
        case ["="]:
            assert patch == Patch({})
        case ["W", status]:
            assert patch == Patch({"status": status})  # Q3: no note
        case ["X"]:
            assert patch.empty
            assert reasons == {"not_writable"}
        case _:
            assert patch.empty
            assert reasons == {"unmapped" if present == "Enthusiastic" else "protected"}


@every_cell
def test_the_decision_and_the_write_agree(present: str, wanted: str, cell: str) -> None:
    payload = None if present == "no relation" else related(present)
    content = None if payload is None else RELATION.get(payload, PLAIN)
    seen = None if content is None else Seen(content.fields, content.flags)
    want: dict[str, Value] = {"classification": wanted}
    assert RELATION.cannot_hold(want, seen, PLAIN) == RELATION.put(want, payload, PLAIN).holds


@every_level
def test_writing_the_class_of_a_level_over_it_changes_nothing(row: Row) -> None:  # Q5
    payload = related(row["level"])
    assert RELATION.put({"classification": classified(payload)}, payload, PLAIN) == Patch({})


def test_an_archived_relation_is_left_alone_where_it_counts_as_not_interested() -> None:  # 12.4, note 3
    options = Options(levels={"Archived": "not_interested"})
    assert RELATION.put({"classification": "not_interested"}, related("Archived"), options) == Patch({})
    [hold] = RELATION.put({"classification": "bidder"}, related("Archived"), options).holds
    assert hold.reason == "protected"


def test_a_new_prospect_is_never_a_silent_success() -> None:  # 12.4, note 1; H11
    want: dict[str, Value] = {"classification": "not_contacted"}
    [hold] = RELATION.cannot_hold(want, None, PLAIN)
    assert (hold.whole, hold.reason) == (True, "not_writable")


def test_a_new_prospect_may_be_shown_as_assigned() -> None:  # 12.4, note 1
    options = Options(new_prospect_status="Assigned")
    assert RELATION.put({"classification": "not_contacted"}, None, options) == Patch({"status": "Assigned"})
    assert RELATION.kept("classification", "not_contacted", "contacted", options)
    assert not RELATION.kept("classification", "not_contacted", "contacted", PLAIN)
    assert not RELATION.kept("classification", "not_contacted", "interested", options)
    [hold] = RELATION.put({"classification": "not_contacted"}, related("Interested"), options).holds
    assert hold.reason == "not_writable"


@every_level
def test_propstreet_takes_every_class_and_no_level_without_one(row: Row) -> None:  # L11, L14
    want: dict[str, Value] = {"classification": classified(related(row["level"]))}
    present = json.dumps({"id": "77", "projectId": "12", "contactId": "7", "classification": None})
    patch, holds = PROSPECT.put(want, present, PLAIN), PROSPECT.cannot_hold(want, None, PLAIN)
    if row["classification"].startswith(UNMAPPED):
        assert patch.empty
        assert {hold.reason for hold in (*patch.holds, *holds)} == {"unmapped"}
        assert any(hold.whole for hold in holds)  # nothing is created
    else:
        assert patch == Patch({"classification": row["classification"]})
        assert holds == ()
